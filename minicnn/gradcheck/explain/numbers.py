"""A wrong number in the program: a power, a limit, a shift, a weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .edits import Site, View
from .kinds import COMPARED
from .program import Edit, Make
from .record import Call

__all__ = ["numbers"]


def numbers(view: View) -> Iterator[Edit]:
    """Other numbers, and functions that are taken for others."""
    for site in view.sites:
        for k, old in enumerate(view.tape.calls[site[0]].args):
            if isinstance(old, (float, np.floating)) or (isinstance(old, np.ndarray) and not old.ndim):
                yield from number(view, site, k, float(old))
            elif isinstance(old, (int, np.integer)) and not isinstance(old, (bool, np.bool_)):
                yield from number(view, site, k, int(old))
    yield from functions(view)
    yield from signs(view)
    yield from constants(view)
    yield from powers(view)
    yield from exchanged(view)


def number(view: View, site: Site, k: int, old: float) -> Iterator[Edit]:
    """Number ``old``, argument number k of what one place of the program calls."""
    n = site[0]
    name = view.name(n)

    def other(new: float, kind: str, why: str, cost: float) -> Edit:
        change = partial(with_number, k, new)
        return Edit(view.calls(site, change), kind, lambda: f"{view.shown(n, change(view.tape.calls[n]))}: {why}", cost)

    if name == "power" and k == 1:
        tried = (old + 1, old - 1, 2 * old, old / 2, -old, old + 0.5, old - 0.5, old + 2, old - 2)
        for new in dict.fromkeys(tried):
            yield other(new, "wrong power", f"the power is {old:g}, and should be {new:g}", 1.1)
    elif name in COMPARED:
        for new in (0, 1, -1, 0.5, -0.5):
            yield other(new, "wrong mask", f"the limit is {old:g}, and should be {new:g}", 1.1)
    elif name == "roll" and isinstance(old, int):
        yield Edit(view.calls(site, partial(negative_number, k)), "wrong direction", lambda: f"`{view.text(n)}`"
                   f"{view.words.at(n)} goes the other way round", 1.0)  # fmt: skip
        for new in range(-4, 5):
            yield other(new, "shifted", f"by {old}, and should be by {new}, {abs(new - old)} further", 1.0)
    elif name in ("add", "subtract", "where"):
        one, two = (view.program.result(other(old + d, "", "", 0).changes, view.values) for d in (1.0, 2.0))
        if one is not None and two is not None and view.aim.same(two - one, one - view.aim.gradient):
            c = view.aim.times(one - view.aim.gradient, view.aim.right - view.aim.gradient)
            if c and abs(old + c) > 1e-6 * abs(old):  # else no number belongs there: see removed.py
                new = float(f"{old + c:.9g}")
                yield other(new, "wrong factor of a term", f"{old:g} should be {new:.6g}", 1.3)


def with_number(k: int, new: Any, call: Call) -> Call:
    """Another number as argument number k."""
    return replace(call, args=(*call.args[:k], new, *call.args[k + 1 :]))


def negative_number(k: int, call: Call) -> Call:
    return with_number(k, -call.args[k], call)


FUNCTIONS: dict[Any, tuple[Any, str]] = {
    np.add: (np.subtract, "wrong sign of a term"), np.subtract: (np.add, "wrong sign of a term"),
    np.multiply: (np.divide, "wrong power"), np.divide: (np.multiply, "wrong power"),
    np.maximum: (np.minimum, "wrong mask"), np.minimum: (np.maximum, "wrong mask"),
    np.argmax: (np.argmin, "wrong mask"), np.argmin: (np.argmax, "wrong mask"),
    np.tril: (np.triu, "wrong mask"), np.triu: (np.tril, "wrong mask"),
    np.sin: (np.cos, "extra factor"), np.cos: (np.sin, "extra factor"),
    np.repeat: (np.tile, "transposed"), np.tile: (np.repeat, "transposed"),
}  # fmt: skip


def functions(view: View) -> Iterator[Edit]:
    """A function that is easily taken for another."""
    for site in view.sites:
        n = site[0]
        function = view.tape.calls[n].function
        if function in FUNCTIONS and view.used(n):
            other, name = FUNCTIONS[function]
            yield Edit(view.calls(site, partial(replace, function=other)), name, f"`{view.text(n)}`{view.words.at(n)}: "
                       f"{view.name(n)} stands where {other.__name__} belongs", 1.05)  # fmt: skip


def constants(view: View) -> Iterator[Edit]:
    """An array of constants with the wrong sign, wherever backward uses it, as the sine of an angle."""
    users: dict[bytes, list[tuple[int, int]]] = {}
    for n in view.program.live:
        for k, arg in enumerate(view.tape.calls[n].args):
            if isinstance(arg, np.ndarray) and arg.ndim and arg.dtype.kind == "f":
                users.setdefault(arg.tobytes(), []).append((n, k))
    for of in users.values():
        changes = {n: negative_number(k, view.tape.calls[n]).again for n, k in of}
        said = " and ".join(f"`{view.text(n)}`" for n in changes)
        yield Edit(changes, "wrong sign of a term", f"the constants in {said} have the wrong sign", 1.2)


def signs(view: View) -> Iterator[Edit]:
    """All sums for differences, and the other way round, as where an angle has the wrong sign."""
    sites = [site for site in view.sites if view.tape.calls[site[0]].function in (np.add, np.subtract)]
    if 1 < len(sites) < 6:
        changes: dict[int, Make] = {}
        for site in sites:
            changes |= view.calls(site, lambda call: replace(call, function=FUNCTIONS[call.function][0]))
        yield Edit(changes, "wrong sign of a term", "sums stand where differences belong, and the other way round, in "
                   + " and ".join(f"`{view.text(site[0])}`" for site in sites), 1.2)  # fmt: skip


def powers(view: View) -> Iterator[Edit]:
    """The square, the root or the inverse of what is used."""
    inner: dict[str, Callable[[Any], Any]] = {"square": np.square, "root": np.sqrt, "inverse": np.reciprocal}
    for use in view.uses():
        n, old = use[0][0], use[2][0]
        if view.is_real(old) and not view.name(n).startswith("log"):
            kind = "wrong mask" if view.name(n) in COMPARED else "wrong power"
            cost = 1.25 if view.name(n) == "multiply" else 1.05
            for what, function in inner.items() if view.name(old) != "exp" else ():
                yield Edit(view.arguments(use, function), kind, f"{view.inside(n, old)} should be its {what}", cost)


def exchanged(view: View) -> Iterator[Edit]:
    """The numbers of two products have changed places."""
    found = [(n, k) for site in view.sites for n in site if view.name(n) == "multiply"
             for k, arg in enumerate(view.tape.calls[n].args) if isinstance(arg, float)]  # fmt: skip
    for i, (n, k) in enumerate(found):
        for m, j in found[:i]:
            a, b = view.tape.calls[n], view.tape.calls[m]
            changes = {n: with_number(k, b.args[j], a).again, m: with_number(j, a.args[k], b).again}
            yield Edit(changes, "wrong factor of a term", f"{a.args[k]:g} and {b.args[j]:g} have changed places", 1.2)
