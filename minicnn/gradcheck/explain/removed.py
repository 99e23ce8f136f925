"""A factor, a term, or a call that is one too many."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from .amounts import factors
from .edits import View
from .kinds import REMOVABLE
from .makers import inside
from .program import Edit, Get
from .record import Call, Ref, put

__all__ = ["removed", "removed_pairs"]


def removed(view: View) -> Iterator[Edit]:
    """A call that is one too many: in its place, one of the values that it uses."""
    for site in view.sites:
        n = site[0]
        call = view.tape.calls[n]
        if call.function in (None, put) or view.values[n].dtype.kind not in "fiu":
            continue
        for k, source in enumerate(view.used(n)):
            lost = view.values[source].shape != view.values[n].shape
            if lost and (view.name(n) not in REMOVABLE or len(site) > 1):
                continue
            name, why, cost = too_many(view, n, k, call)
            text = f"`{view.text(n)}`{view.words.at(n)} should be `{view.text(source)}`: {why}"
            yield Edit({m: partial(use_number, view, m, k) for m in site}, name, text, cost)


def removed_pairs(view: View) -> Iterator[Edit]:
    """Two factors of one product."""
    for site in view.sites:
        n = site[0]
        if view.name(n) not in ("multiply", "divide") or len(site) > 1:
            continue
        powers = factors(view, n)
        own = [m for m in powers if m != n and not view.of_gy(m) and inside(view.values[m].shape, view.values[n].shape)]
        for a, b in combinations(own, 2):
            if not {view.name(a), view.name(b)} & {"multiply", "divide", "negative"}:
                why = f"the factors `{view.text(a)}` and `{view.text(b)}` are too many"
                yield Edit(view.changed([n], partial(divided, powers, a, b)), "extra factor",
                           f"`{view.text(n)}`{view.words.at(n)}: {why}", 1.4)  # fmt: skip


def divided(powers: dict[int, int], a: int, b: int, x: Any, get: Get) -> Any:
    """A product without two of its factors."""
    for m in (a, b):
        x = x / get(m) if powers[m] > 0 else x * get(m)
    return x


def use_number(view: View, n: int, k: int, get: Get) -> Any:
    """What call n uses, in its place."""
    return get(view.used(n)[k])


def too_many(view: View, n: int, k: int, call: Call) -> tuple[str, str, float]:
    """What it is to have call n, and not what it takes."""
    name = view.name(n)
    other = next((s for j, s in enumerate(view.used(n)) if j != k), -1)
    if view.values[n].dtype.kind in "iu":
        if view.is_mask(n) and name in ("subtract", "invert", "logical_not"):
            return "wrong mask", f"the mask is changed by `{name}`", 1.0
        if name in ("flip", "getitem"):
            return "wrong direction", f"the places are turned round by `{view.text(n)}`", 1.0
        return ("transposed" if name in ("sort", "argsort") else "shifted"), f"the places are changed by `{name}`", 1.0
    if name in ("multiply", "divide", "true_divide"):
        if other < 0 and any(np.ndim(arg) for arg in call.args if not isinstance(arg, Ref)):
            return "extra factor", "the factor is one too many", 1.3
        if other < 0:  # by a number
            whole = view.whole(n)
            if any(np.ndim(arg) == 0 and arg == -1 for arg in call.args if not isinstance(arg, Ref)):
                return ("wrong sign" if whole else "wrong sign of a term"), "a minus too many", 1.0
            return ("constant factor" if whole else "wrong factor of a term"), "a number too many", 1.06
        what = view.text(other)
        if view.is_mask(other):
            constant = not any(leaf in view.before[other] or leaf == other for leaf in view.tape.leaves)
            return ("zero where it should not be" if constant else "wrong mask"), f"`{what}` takes away some of it", 1.0
        if at_border(view.values[other]):
            return "padded border", f"at the border `{what}` is another factor than inside", 1.0
        return "extra factor", f"the factor `{what}` is one too many", 1.3
    if name in ("add", "subtract"):
        if name == "subtract" and other == view.tape.gy:
            return "term missing", "gy is taken away, and belongs there", 1.3
        term = view.text(other) if other >= 0 else next(arg for arg in call.args if not isinstance(arg, Ref))
        return "extra term", f"the term `{term}` is one too many", 1.4
    if name == "power":
        return "wrong power", "no power of it belongs there", 1.2
    kinds = {"flip": "wrong direction", "cumsum": "extra factor", "roll": "shifted", "maximum": "wrong mask",
             "clip": "wrong mask", "transpose": "transposed", "swapaxes": "transposed"}  # fmt: skip
    if name in kinds:
        return kinds[name], f"`{name}` is one too many", 1.3
    if np.all(view.values[n] == 1):
        return "factor missing", f"`{name}` makes ones of it", 1.1
    return ("wrong mask", f"`{name}` is one too many", 1.1) if view.is_mask(n) else (
        "extra factor", f"`{name}` is one too many", 1.7)  # fmt: skip


def at_border(x: np.ndarray) -> bool:
    """Whether an array is 1, but for the first and last places of some axes."""
    inner = x[tuple(slice(1, -1) if n > 2 else slice(None) for n in x.shape)]
    return x.ndim > 0 and bool((inner == 1).all()) and inner.size > 1 and not bool((x == 1).all())
