"""Which cause the numbers show. Each reader stands for one thing that goes wrong, and speaks where it is measured."""

from __future__ import annotations

from .cause import Cause
from .examine import Measured
from .of_data import OF_DATA
from .of_net import BROKEN, OF_SIGNAL, OF_STEPS, faint, no_numbers

__all__ = ["causes"]


def causes(m: Measured) -> list[Cause]:
    """What is wrong with the pictures and their labels, then with the network and its loss; where nothing in it is
    broken and it has not learned, what becomes of the signal, and of the steps. What follows from a cause is none."""
    found = [cause for read in OF_DATA for cause in read(m)]
    for read in BROKEN:
        if not (found and read is no_numbers):
            found += read(m)
    if found or m.learned:
        return found
    for read in OF_SIGNAL:
        if found := list(read(m)):
            return found
    for read in OF_STEPS:
        found += read(m)
    return found or list(faint(m))
