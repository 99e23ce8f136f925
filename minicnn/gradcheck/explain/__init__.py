"""Naming the mistake: people's function and backward run once more on arrays that record every operation, and slips of
the kinds that people make are undone, one at a time, until the gradient is right."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..thresholds import AS_LIKELY, SAID
from ..verdict import Verdict
from .people import record
from .search import search
from .words import Words

if TYPE_CHECKING:
    from ..evidence import Evidence, Floats
    from ..subject import Source, Subject
    from .record import Tape

__all__ = ["explain", "where"]


def where(subject: Subject, i: int, gy: Floats) -> str:
    """", in `dW = x.T @ gy` in line 12": where backward makes the gradient of checked input number i, as far as that is
    known."""
    source = subject.source
    if source and i < len(source.real):
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            tape = recorded(source, gy)
            made = tape.gradients[source.real[i]]
            return f", in {Words(tape).statement(made)}" if made > tape.gy else ""
    return ""


def recorded(source: Source, gy: Floats) -> Tape:
    return record(source.function, source.backward, source.given, gy, source.names, source.layer, source.slots)


def explain(subject: Subject, i: int, e: Evidence, g: Floats) -> list[Verdict]:
    """The slips that explain the gradient g of checked input number i, the likeliest first; none where its program is
    not known or is not searched: where it holds numbers that are not finite, or kinks."""
    source = subject.source
    if not (source and i < len(source.real) and np.isfinite(g).all()) or e.kinks:
        return []
    with np.errstate(all="ignore"):
        try:
            tape = recorded(source, e.u)
            found = search(tape, source.real[i], e.u, g, e.spread(e.numeric), e.spread(e.sums))
        except Exception:  # their program does what cannot be recorded: other readers go on without
            return []
        finally:  # what they keep outside of themselves are numbers again, and nothing that is watched
            with contextlib.suppress(Exception):
                source.function(*source.given)
    found.sort(key=lambda f: f.cost)
    best = [f for f in found if f.cost <= found[0].cost + AS_LIKELY] if found else []
    if not g.any():  # whatever it is, that is what is seen
        best = [replace(f, name="zero where it should not be") for f in best[:1]]
    unique = {f.name: f for f in reversed(best)}
    return [Verdict(f.name, f.text, f.explains) for f in list(unique.values())[::-1][:SAID]]
