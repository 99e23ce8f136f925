"""A sum, a mean, a product over the wrong axis; the axes of an operand, or of the result, in the wrong order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations, permutations
from typing import Any

import numpy as np

from .edits import Site, Use, View
from .kinds import JOINS, PRODUCTS
from .program import Edit, Get, Make
from .record import Call

__all__ = ["axes", "turned"]

OVER = ("sum", "mean", "cumsum", "max", "min", "prod", "std", "var")
FLIPS = ((-1,), (-2,), (-2, -1))


def axes(view: View) -> Iterator[Edit]:
    """Other axes of sums, one by one and all at once, of reshapes, einsums and joins; mean for sum."""
    groups: dict[Any, list[tuple[Site, bool]]] = {}
    for site in view.sites:
        n = site[0]
        call = view.tape.calls[n]
        axis = call.settings.get("axis", call.args[1] if view.name(n) in OVER and len(call.args) > 1 else None)
        if view.name(n) in ("sum", "mean"):
            swapped = np.mean if view.name(n) == "sum" else np.sum
            yield Edit(view.calls(site, partial(replace, function=swapped)),
                       "constant factor" if view.whole(n) else "wrong factor of a term",
                       f"`{view.text(n)}`{view.words.at(n)}: a {view.name(n)} stands where a {swapped.__name__} "
                       f"belongs, over {together(view, n)}", 0.95)  # fmt: skip
        if axis is None and view.name(n) not in ("sum", "mean"):
            continue
        kept = bool(call.settings.get("keepdims", False))
        for new in all_axes(view.values[view.used(n)[0]].ndim if view.used(n) else 0):
            for keep in (False, True):
                if new != axis or keep != kept:
                    change = partial(with_axis, new, keep)
                    yield Edit(view.calls(site, change), "wrong axis", f"{view.shown(n, change(call))}: it goes over "
                               f"axis {axis}, and should over axis {new}", 0.9)  # fmt: skip
        groups.setdefault(axis, []).append((site, kept))
    for axis, members in groups.items():
        ndim = max(view.values[view.used(site[0])[0]].ndim for site, _ in members if view.used(site[0]))
        for new in all_axes(ndim) if len(members) > 1 else ():
            for keep_all in (False, True):
                changes: dict[int, Make] = {}
                for site, kept in members:
                    changes |= view.calls(site, partial(with_axis, new, kept or keep_all))
                why = f"sums and means go over axis {axis}, and should over axis {new}"
                yield Edit(changes, "wrong axis", why, 1.0)
    yield from not_summed(view)
    yield from throughout(view)
    yield from letters(view)
    yield from shapes(view)
    yield from joined(view)


def shapes(view: View) -> Iterator[Edit]:
    """The sizes of a reshape in another order, and the sum after it over another axis."""
    for n in view.program.live:
        call = view.tape.calls[n]
        shape = call.args[1] if view.name(n) == "reshape" and len(call.args) > 1 else ()
        if not isinstance(shape, tuple) or not 2 < len(shape) < 7:
            continue
        sums = [m for m in view.program.users.get(n, ()) if view.name(m) in ("sum", "mean", "max")]
        for order in permutations(range(len(shape))):
            new = tuple(shape[i] for i in order)
            if new == shape and not sums:
                continue
            reshaped = replace(call, args=(call.args[0], new)).again
            for axes_ in all_axes(len(shape)) if sums and len(shape) < 5 else [None]:
                changes: dict[int, Make] = {n: reshaped}
                if sums:
                    m = sums[0]
                    keep = bool(view.tape.calls[m].settings.get("keepdims", False))
                    changes[m] = with_axis(axes_, keep, view.tape.calls[m]).again if axes_ is not None else (
                        view.tape.calls[m].again)
                yield Edit(changes, "transposed", f"`{view.text(n)}`{view.words.at(n)} should have the shape {new}"
                           f"{f', summed over axis {axes_}' if sums else ''}", 1.2)  # fmt: skip


def joined(view: View) -> Iterator[Edit]:
    """What is put together, in another order."""
    for site in view.sites:
        n = site[0]
        call = view.tape.calls[n]
        parts_ = call.args[0] if view.name(n) in JOINS and call.args else ()
        if isinstance(parts_, (tuple, list)) and 1 < len(parts_) < 6:
            for order in permutations(range(len(parts_))):
                if order != tuple(range(len(parts_))):
                    change = partial(in_order, order)
                    yield Edit(view.calls(site, change), "channels exchanged", f"{view.shown(n, change(call))}: the "
                               "parts are in the wrong order", 1.0)  # fmt: skip


def not_summed(view: View) -> Iterator[Edit]:
    """What every element has, where the sum or the mean along an axis belongs, as of gy in the softmax's gradient."""
    for use in view.uses():
        n, old = use[0][0], use[2][0]
        if view.is_real(old) and view.values[old].ndim > 1 and view.of_gy(old):
            for axis in range(view.values[old].ndim):
                for function in (np.sum, np.mean):
                    changes = view.arguments(use, partial(function, axis=axis, keepdims=True))
                    yield Edit(changes, "broadcast axis not summed", f"{view.inside(n, old)} is to be its "
                               f"{function.__name__} over axis {axis}", 1.1)  # fmt: skip


def in_order(order: tuple[int, ...], call: Call) -> Call:
    """What a call puts together, in another order."""
    return replace(call, args=([call.args[0][i] for i in order], *call.args[1:]))


def together(view: View, n: int) -> int:
    """How many numbers a sum adds up."""
    return int(view.values[view.used(n)[0]].size // max(view.values[n].size, 1)) if view.used(n) else 1


def with_axis(axis: Any, keep: bool, call: Call) -> Call:
    settings = {k: v for k, v in call.settings.items() if k not in ("axis", "keepdims")} | {"axis": axis}
    return replace(call, args=call.args[:1], settings=settings | ({"keepdims": True} if keep else {}))


def all_axes(ndim: int) -> list[Any]:
    """Each axis, and two or three that are not all."""
    return [*range(ndim), *(some for r in (2, 3) for some in combinations(range(ndim), r) if r < ndim)]


def throughout(view: View) -> Iterator[Edit]:
    """All is done along the other axis of a matrix."""
    out, gy = view.program.out, view.tape.gy
    if view.values[out].ndim == 2 == view.values[gy].ndim and gy in view.program.live and out != gy:
        changes = {n: view.instead(n, gy, partial(arranged_value, gy, np.transpose)) for n in view.program.users[gy]}
        changes[out] = partial(arranged_result, changes.get(out, partial(view.old, out)), np.transpose)
        yield Edit(changes, "wrong axis", f"`{view.text(out)}` goes along axis 0 where axis 1 belongs, or the other "
                                          "way round", 1.2)  # fmt: skip
    if gy in view.program.live and out != gy and view.values[gy].ndim == view.values[out].ndim:
        for axis in range(view.values[gy].ndim):
            flip = partial(np.flip, axis=axis)
            changes = {n: view.instead(n, gy, partial(arranged_value, gy, flip)) for n in view.program.users[gy]}
            changes[out] = partial(arranged_result, changes.get(out, partial(view.old, out)), flip)
            yield Edit(changes, "wrong direction", f"`{view.text(out)}` runs from the end along axis {axis} where it "
                                                   "should from the front, or the other way round", 1.3)  # fmt: skip


def arranged_value(n: int, how: Callable[[Any], Any], get: Get) -> Any:
    return how(get(n))


def arranged_result(make: Make, how: Callable[[Any], Any], get: Get) -> Any:
    return how(make(get))


def letters(view: View) -> Iterator[Edit]:
    """The letters of an einsum."""
    for site in view.sites:
        n = site[0]
        call = view.tape.calls[n]
        if view.name(n) != "einsum" or not isinstance(call.args[0], str) or "->" not in call.args[0]:
            continue
        terms = call.args[0].replace(" ", "").replace("->", ",").split(",")
        of = view.used(n)
        for a, b in combinations(sorted(set("".join(terms))), 2):
            for which in [*combinations(range(len(terms)), 1), *combinations(range(len(terms)), 2)]:
                swapped = [t.translate(str.maketrans(a + b, b + a)) if i in which else t for i, t in enumerate(terms)]
                if swapped == terms:
                    continue
                alone, what = which[0] if len(which) == 1 else -1, ""
                if 0 <= alone < len(of) and not view.of_gy(of[alone]):
                    name, cost, what = "operand not transposed", 0.9, f" of {view.called(view.leaf(of[alone]))}"
                elif set("".join(terms[:-1])) - set(terms[-1]) != set("".join(swapped[:-1])) - set(swapped[-1]):
                    name, cost = "wrong axis", 0.95 if alone == len(terms) - 1 else 1.1
                else:
                    name, cost = "transposed", 1.05
                change = partial(with_letters, ",".join(swapped[:-1]) + "->" + swapped[-1])
                text = f"{view.shown(n, change(call))}: axes {a} and {b}{what}"
                yield Edit(view.calls(site, change), name, text, cost)


def with_letters(new: str, call: Call) -> Call:
    return replace(call, args=(new, *call.args[1:]))


# -- order, direction, position ----------------------------------------------------------------------------------------


def turned(view: View) -> Iterator[Edit]:
    """Axes in another order, turned round or moved: of what is used, and of the gradient."""
    for use in view.uses():
        yield from arranged(view, use, use[0][0], use[2][0])
    yield from arranged(view, None, view.program.out, view.program.out)
    for site in view.sites:
        n = site[0]
        call = view.tape.calls[n]
        axis = call.settings.get("axis", (*call.args, None)[1]) if view.name(n) in ("cumsum", "cumprod") else None
        if axis is not None:
            yield Edit({m: partial(from_the_end, view, m, axis) for m in site}, "wrong direction",
                       f"`{view.text(n)}`{view.words.at(n)} should run from the end", 1.0)  # fmt: skip


def from_the_end(view: View, n: int, axis: int, get: Get) -> Any:
    """What call n gives if it runs from the end of an axis."""
    return np.flip(view.tape.calls[n].again(lambda s: np.flip(get(s), axis)), axis)


def arranged(view: View, use: Use | None, n: int, old: int) -> Iterator[Edit]:
    """What one place of the program uses, or the gradient, with its axes in another order, turned round or moved."""
    value = view.values[old]
    if not view.is_real(old) or value.ndim > 4:
        return
    leaf = view.tape.calls[old].function is None
    operand = use is not None and not view.of_gy(old) and (view.name(n) in PRODUCTS or leaf)

    def edit(make: Any, name: str, why: str, cost: float) -> Edit:
        changes = view.arguments(use, make) if use else view.changed([n], lambda x, get: make(x))
        return Edit(changes, name, f"{view.inside(n, old)} {why}", cost if use else cost + 0.05)

    for order in permutations(range(value.ndim)):
        if order != tuple(range(value.ndim)):
            name = "operand not transposed" if operand else "transposed"
            if value.ndim == 4 and order == (1, 0, 2, 3) and operand:
                name = "channels exchanged"
            yield edit(partial(np.transpose, axes=order), name, f"should have its axes in the order {order}", 1.0)
    for flip in FLIPS:
        if value.ndim >= len(flip):
            name = "kernel turned round" if len(flip) == 2 and operand else "wrong direction"
            yield edit(partial(np.flip, axis=flip), name, f"should be turned round along axes {flip}", 1.2)
    for axis in range(value.ndim):
        last = value.shape[axis] if use is None else min(3, value.shape[axis])
        for by in [b for near in range(1, last) for b in (near, -near)]:
            why = f"is off by {abs(by)} place{'s' * (abs(by) > 1)} along axis {axis}"
            yield edit(partial(np.roll, shift=by, axis=axis), "shifted", why, 1.5)
            yield edit(partial(moved, by=by, axis=axis), "shifted", why, 1.5)


def moved(x: np.ndarray, by: int, axis: int) -> np.ndarray:
    """By so many places along an axis, zeros behind."""
    y = np.roll(x, by, axis)
    edge = [slice(None)] * x.ndim
    edge[axis] = slice(0, by) if by > 0 else slice(by, None)
    y[tuple(edge)] = 0
    return y
