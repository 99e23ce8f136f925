"""Other functions than the one that backward is of: what they read lies elsewhere."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .others import Other, calls_of, name_of, sites, with_arg
from .record import Call, Ref, Tape, at_place
from .relation import as_tuple
from .words import Words

__all__ = ["apart", "first_places", "moved", "pads", "repeats", "steps"]

Index = tuple[Any, ...]


def apart(tape: Tape, leaf: int, words: Words) -> Iterator[Other]:
    """The windows of a loop, at other distances of each other, or from the last to the first."""
    for members in sites(tape, operator.getitem):
        indices: list[Index] = [as_tuple(tape.calls[n].args[1]) for n in members]
        for k in range(min(map(len, indices))) if len(members) > 1 else ():
            parts = [index[k] for index in indices]
            if not all(isinstance(part, slice) for part in parts):
                continue
            starts = [part.start or 0 for part in parts]
            far = starts[1] - starts[0]
            if not far or starts != [starts[0] + j * far for j in range(len(starts))] or min(starts) < 0:
                continue
            for new in (1, 2, 3):
                by = new if far > 0 else -new
                calls = {n: at(tape.calls[n], k, starts[0] + j * by, parts[j].step or 1) for j, n in enumerate(members)}
                if by != far:
                    yield Other(calls, "stride", f"one in which `{words.of(members[-1])}` and the like begin {new} "
                                f"apart of each other, and not {abs(far)}")  # fmt: skip


def at(call: Call, k: int, start: int, step: int) -> Call:
    """As many places of axis k as before, from a start on, by steps."""
    index = as_tuple(call.args[1])
    part = slice(start, start + step * (length(call.value.shape, index, k) - 1) + 1, step)
    return with_arg(call, 1, (*index[:k], part, *index[k + 1 :]))


def length(shape: tuple[int, ...], index: Index, k: int) -> int:
    """How many places part k of an index takes."""
    kept = [part for part in index if not isinstance(part, (int, np.integer))]
    before = sum(not isinstance(part, (int, np.integer)) for part in index[:k])
    return shape[before - len(kept) if any(part is ... for part in index[:k]) else before]


def steps(tape: Tape, leaf: int, words: Words) -> Iterator[Other]:
    """Every second, or every third, of what is read, or all of it."""
    for members in sites(tape, operator.getitem):
        index = as_tuple(tape.calls[members[0]].args[1])
        for old in {part.step for part in index if isinstance(part, slice) and (part.step or 0) > 1}:
            for new in (1, 2, 3):
                if new != old:
                    calls = {n: with_step(tape.calls[n], old, new) for n in members}
                    yield Other(calls, "stride", f"one in which `{words.of(members[-1])}` takes places {new} apart, "
                                f"and not {old}")  # fmt: skip


def with_step(call: Call, old: int, new: int) -> Call:
    """As many places as before, so far apart, along all axes where they were ``old`` apart."""
    for k, part in enumerate(as_tuple(call.args[1])):
        if isinstance(part, slice) and part.step == old:
            call = at(call, k, part.start or 0, new)
    return call


def moved(tape: Tape, leaf: int, words: Words) -> Iterator[Other]:
    """What is read, one place before or after; of a loop, one turn."""
    for members in sites(tape, operator.getitem):
        indices = [as_tuple(tape.calls[n].args[1]) for n in members]
        for k in range(min(map(len, indices))):
            parts = [index[k] for index in indices]
            loop = len({*map(str, parts)}) > 1 and all(isinstance(part, (int, np.integer)) for part in parts)
            if loop or all(isinstance(part, slice) and part != slice(None) for part in parts):
                for by in (1, -1):
                    calls = {n: replace(tape.calls[n], function=partial(from_moved, by, k)) for n in members}
                    yield Other(calls, "shifted", f"one in which `{words.of(members[-1])}` reads one place further "
                                f"{'back' if by > 0 else 'on'}")  # fmt: skip


def from_moved(by: int, axis: int, x: np.ndarray, index: Any) -> np.ndarray:
    """x[index], of x moved by so many places along an axis, zeros behind."""
    there = np.roll(x, by, axis)
    there.swapaxes(0, axis)[slice(0, by) if by > 0 else slice(by, None)] = 0
    return np.asarray(there[index])


def first_places(tape: Tape, leaf: int, words: Words) -> Iterator[Other]:
    """Places that are looked up, as if they were the first ones."""
    for n, call in calls_of(tape):
        where = call.args[1] if call.function in (operator.getitem, at_place) else None
        where = tape.calls[where.to].value if isinstance(where, Ref) else where
        if isinstance(where, np.ndarray) and where.dtype.kind in "iu" and where.ndim == 1:
            yield Other({n: with_arg(call, 1, slice(0, len(where)))}, "shifted",
                        f"one in which `{words.of(n)}` goes to the first {len(where)} places")  # fmt: skip


def repeats(tape: Tape, leaf: int, words: Words) -> Iterator[Other]:
    """Every element repeated, as if all of them were, one after the other."""
    calls = {n: replace(call, function=tiled) for n, call in calls_of(tape) if call.function is np.repeat}
    if calls:
        yield Other(calls, "transposed", f"one with np.tile for np.repeat in `{words.of(max(calls))}`")


def tiled(x: np.ndarray, times: int, axis: int) -> np.ndarray:
    return np.concatenate([x] * times, axis)


def pads(tape: Tape, leaf: int, words: Words) -> Iterator[Other]:
    """Padding of another kind."""
    for n, call in calls_of(tape):
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap") if name_of(call) == "pad" else ():
            calls = {n: replace(call, args=call.args[:2], settings={"mode": mode})}
            yield Other(calls, "padded border", f"one in which `{words.of(n)}` has the mode {mode!r}")
