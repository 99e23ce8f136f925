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

if TYPE_CHECKING:
    from ..subject import Source

__all__ = ["explain"]


def explain(source: Source, i: int, gy: np.ndarray, gradient: np.ndarray, right: np.ndarray, scale: np.ndarray,
            ) -> list[Verdict]:  # fmt: skip
    """The slips that explain the gradient of checked input number i, the likeliest first. right: by differences.
    scale: of each element the sum of |what is added up|."""
    with np.errstate(all="ignore"):
        try:
            tape = record(source.function, source.backward, source.given, gy, source.names, source.layer)
            found = search(tape, source.real[i], gy, gradient, right, scale)
        except Exception:  # their program does what cannot be recorded: other readers go on without
            return []
        finally:  # a layer keeps what it saw: numbers, and nothing that is watched
            with contextlib.suppress(Exception):
                source.function(*source.given)
    found.sort(key=lambda f: f.cost)
    best = [f for f in found if f.cost <= found[0].cost + AS_LIKELY] if found else []
    if not gradient.any():  # whatever it is, that is what is seen
        best = [replace(f, name="zero where it should not be") for f in best[:1]]
    unique = {f.name: f for f in reversed(best)}
    return [Verdict(f.name, f.text) for f in list(unique.values())[::-1][:SAID]]
