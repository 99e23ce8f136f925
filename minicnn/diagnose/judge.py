"""Which cause the numbers show. Each reader stands for one thing that goes wrong, and speaks where it is measured."""

from __future__ import annotations

from .cause import Cause
from .examine import Measured
from .of_data import OF_DATA, independent
from .of_net import BROKEN, no_numbers
from .of_steps import FLAT, OF_SIGNAL, OF_STEPS, crushed, faint, flat, hasty, lost, stopped, uncentred

__all__ = ["causes"]

FEWER = 0.35  # of the way from chance to 1: what has to be seen where no other cause explains what is not learned


def causes(m: Measured) -> list[Cause]:
    """What is wrong with the pictures and their labels, then with the network and its loss. Where nothing is, and it
    has not learned: what becomes of the signal, or else of the steps. What follows from a cause is none itself. Where
    pixels lie far off 0 that is said beside what else there is; where they lie somewhat off, only if nothing else is
    found and the loss stays where it was."""
    found = [cause for read in OF_DATA for cause in read(m)]
    for read in [crushed, *BROKEN, stopped]:
        if not (found and read is no_numbers):
            found += read(m)
    if found or m.learned:
        return found or list(hasty(m)) or list(lost(m))
    far_off = list(uncentred(m))
    for read in OF_SIGNAL:
        if found := list(read(m)):
            return far_off + found
    found = far_off + ([cause for read in OF_STEPS for cause in read(m)] or list(faint(m)))
    if not found and flat(m):
        found += uncentred(m, FLAT)
    return found or (list(independent(m, FEWER)) if len(m.history) >= 100 else [])
