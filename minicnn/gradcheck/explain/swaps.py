"""One value where another belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ..thresholds import FEW
from .edits import Use, View, varies
from .kinds import CHOOSE
from .program import Edit, Get, Make
from .relation import relation

__all__ = ["swaps"]

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "square": np.square, "sign": np.sign, "abs": np.abs,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x))}  # fmt: skip


def swaps(view: View) -> Iterator[Edit]:
    for use in view.uses():
        yield from operands(view, use)
    yield from everywhere(view)


def operands(view: View, use: Use) -> Iterator[Edit]:
    """Another value, or a function of one, where one place of the program uses a value."""
    site, k, olds = use
    old, n = olds[0], site[0]
    if any(o != old for o in olds):
        return
    for new in view.candidates:
        if new < n and new != old and fits(view.values[new], view.values[old]):
            name, why, cost = relation(view, old, new, n, whole=use)
            yield Edit(view.changed_use(use, partial(another, new)), name, partial(said, view, n, k, new, why), cost)
    if view.tape.calls[old].function is None and not view.of_gy(old) and view.is_real(old):
        like = [c for c in view.candidates if not view.of_gy(c) and fits(view.values[c], view.values[old])]
        for new in like[:FEW]:
            for called, function in FUNCTIONS.items():
                if varies(np.nan_to_num(function(view.values[new]))):
                    other = "input for output" if view.leaf(new) == old or new == old else "another input"
                    why = f"stands where `{called}({view.text(new)})` belongs"
                    yield Edit(view.changed_use(use, partial(made, new, function)),
                               "wrong power" if new == old and called in ("sqrt", "square") else other,
                               f"{view.inside(n, old)} {why}", 1.4)  # fmt: skip


def another(new: int, x: object, get: Get) -> object:
    return get(new)


def made(new: int, function: Callable[[np.ndarray], np.ndarray], x: object, get: Get) -> object:
    return function(get(new))


def said(view: View, n: int, k: int, new: int, why: str) -> str:
    """What call n should be, with use number k of another call."""
    return f"{view.shown(n, view.program.call_with(n, k, new))}: {why}"


def everywhere(view: View) -> Iterator[Edit]:
    """Wherever backward uses a value, however often it computed it."""
    users: dict[int, dict[int, int]] = {}  # of each value: the calls that use it, and as the value of which call
    for site, _, olds in view.uses():
        for n, old in zip(site, olds, strict=True):
            users.setdefault(view.alias.get(old, old), {})[n] = old
    for old, of in users.items():
        if len(of) < 2:
            continue
        text, first = view.text(old), min(of)
        for new in view.candidates:
            if new < first and new != old and fits(view.values[new], view.values[old]):
                name, why, cost = relation(view, old, new, first, whole=False)
                changes = {n: view.instead(n, o, partial(another, new, None)) for n, o in of.items()}
                yield Edit(changes, name, f"`{text}` should be `{view.text(new)}` wherever backward uses it: {why}",
                           cost + 0.2)  # fmt: skip
        if view.is_real(old) and not view.of_gy(old):
            changes = {n: view.instead(n, o, partial(made, o, np.negative, None)) for n, o in of.items()}
            name = "wrong mask" if {view.name(n) for n in of} <= CHOOSE | {"max", "min"} else "wrong sign of a term"
            yield Edit(changes, name, f"`{text}` has the wrong sign wherever backward uses it", 1.3)
            if view.values[old].ndim > 1:
                changes = {n: view.instead(n, o, partial(made, o, transposed, None)) for n, o in of.items()}
                yield Edit(changes, "operand not transposed", f"{view.called(old)} is to be transposed wherever "
                           "backward uses it", 1.0)  # fmt: skip
    yield from exchanged(view, users)


def exchanged(view: View, users: dict[int, dict[int, int]]) -> Iterator[Edit]:
    """Two inputs have changed places."""
    inputs = [leaf for leaf in view.tape.leaves if leaf in users]
    for i, a in enumerate(inputs):
        for b in inputs[:i]:
            if fits(view.values[a], view.values[b]):
                other = {a: b, b: a}
                changes: dict[int, Make] = {n: partial(view.with_others, n, other) for n in {**users[a], **users[b]}}
                yield Edit(changes, "another input", f"{view.called(b)} and {view.called(a)} have changed places", 1.1)


def transposed(x: np.ndarray) -> np.ndarray:
    return x.swapaxes(-1, -2)


def fits(new: np.ndarray, old: np.ndarray) -> bool:
    """Whether one value may stand for another."""
    return new.shape == old.shape and new.dtype.kind == old.dtype.kind
