"""Calls of the function that only put elements in order: what backward gives where one of them is not undone."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .chain import Edge
from .record import Call, Ref, walk

if TYPE_CHECKING:
    from .slopes import Slope
    from .ways import Ways

__all__ = ["not_undone"]

NAMES = {"roll": "shifted", "transpose": "transposed", "swapaxes": "transposed", "moveaxis": "transposed",
         "flip": "wrong direction", "fliplr": "wrong direction", "flipud": "wrong direction",
         "rot90": "wrong direction", "take": "transposed", "take_along_axis": "transposed"}  # fmt: skip


def not_undone(w: Ways, edge: Edge) -> Iterator[tuple[Slope, str, str]]:
    """(what comes back along an edge, what is wrong then, the name of it), where a call that only moves elements is not
    undone in backward, or done once more."""
    call, text, shape = w.tape.calls[edge.by], w.words.of(edge.by), w.chain.values[edge.of].shape
    name = named(call)
    if not name or call.value.size != int(np.prod(shape)):
        return

    def stays(part: np.ndarray, e: Edge) -> np.ndarray:
        return w.chain.last[e.by].reshape(part.shape)

    def again(part: np.ndarray, e: Edge) -> np.ndarray:
        try:
            moved = moved_by(w.tape.calls[e.by], e.of, w.chain.last[e.by], w)
        except (ValueError, IndexError, TypeError):
            moved = np.empty(0)
        return moved if moved.shape == part.shape else np.full(part.shape, np.nan)

    yield stays, f"`{text}` moves elements, and backward does not move them back", name
    yield again, f"`{text}` moves elements, and backward moves them on, not back", name


def named(call: Call) -> str:
    """What it is not to undo a call, or nothing where it does not only move elements."""
    name = getattr(call.function, "__name__", "")
    if call.function is not operator.getitem:
        return NAMES.get(name, "")
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    turned = any(isinstance(part, slice) and part.step == -1 for part in index)
    places = any(isinstance(part, (Ref, np.ndarray, list)) for part in index)
    return "wrong direction" if turned else "transposed" if places else ""


def moved_by(call: Call, source: int, gradient: np.ndarray, w: Ways) -> np.ndarray:
    """What a call makes of a gradient in the place of what it takes."""
    args, settings = walk((call.args, call.settings),
                          lambda ref: gradient if ref.to == source else w.chain.values[ref.to], Ref)  # fmt: skip
    assert call.function
    return np.asarray(call.function(*args, **settings))
