"""A factor or a term that is missing, or has the wrong weight or power."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..thresholds import SMALL_FACTOR
from .edits import Site, View
from .kinds import REMOVABLE
from .makers import inside, makers
from .program import Change, Edit, Get, Make
from .record import Ref, put

__all__ = ["amounts", "factors", "moved_factors"]


def amounts(view: View) -> Iterator[Edit]:
    """At every place: a number, a factor that it lacks or has too often, a term."""
    for site in view.sites:
        if view.is_real(site[0]) and view.tape.calls[site[0]].function is not put:
            yield from around(view, site, site[0], partial(view.changed, site))
    for use in view.uses():
        site, _, olds = use
        old, name = olds[0], view.name(site[0])
        several = len(view.program.users.get(old, ())) > 1 or old < view.tape.gy
        added = name in REMOVABLE or old < view.tape.gy or name in ("add", "subtract")
        if several and added and not name.startswith("log") and set(olds) == {old} and view.is_real(old):
            yield from around(view, site, old, partial(view.changed_use, use))


def around(view: View, site: Site, n: int, changes: Callable[[Change], dict[int, Make]]) -> Iterator[Edit]:
    """changes: from what becomes of the value of call n, what becomes of other calls."""
    aim, values, result = view.aim, view.values, view.program.result
    at = view.inside(site[0], n)
    nothing, double = (result(changes(partial(scaled, c)), values) for c in (0.0, 2.0))
    linear = nothing is not None and double is not None and aim.same(nothing + double, 2 * aim.gradient)
    if linear:
        c = aim.times(aim.gradient - nothing, aim.right - nothing)
        if c is not None and c != 1:
            name, why, cost = weight(c, aim.nothing(nothing))
            yield Edit(changes(partial(scaled, c)), name, f"{at} {why}", cost)
    own = factors(view, n)
    for text, make, mask, source in makers(view, n, view.values[n].shape, site[0]):
        for power in (1, -1, 2, -2) if not mask else (1,):
            got = result(changes(partial(multiplied, make, power, 1.0)), values)
            if got is None or got.shape != aim.right.shape:
                continue
            c = 1.0 if aim.is_right(got) else aim.times(got - nothing, aim.right - nothing) if linear else None
            if c is None or abs(c) < SMALL_FACTOR or (mask and c != 1):
                continue
            cost = (1.1 if site[0] == view.program.out or mask else 1.6) + 0.4 * (abs(c - 1) > SMALL_FACTOR)
            cost += 0.1 * (power < 0) + 0.3 * (abs(power) > 1) + 0.2 * (source < 0)
            name, why = named(view, own, source, power, mask, text, c)
            yield Edit(changes(partial(multiplied, make, power, c)), name, f"{at} {why}",
                       min(cost, 1.2) if source in own else cost)  # fmt: skip
        if not mask:
            yield from term(view, at, f"`{text}`", changes, make, 1.8)
    yield from term(view, at, "", changes, one, 1.9)


def term(view: View, at: str, text: str, changes: Callable[[Change], dict[int, Make]], make: Make, cost: float,
         ) -> Iterator[Edit]:  # fmt: skip
    """c · make() is missing as a term of a value; without text, a number."""
    aim = view.aim
    got = view.program.result(changes(partial(added_to, make, 1.0)), view.values)
    if got is None or got.shape != aim.right.shape:
        return
    c = aim.times(got - aim.gradient, aim.right - aim.gradient)
    if c and abs(c) > SMALL_FACTOR:
        shown = text if abs(c) == 1 and text else f"{abs(c):.6g} · {text}"
        shown = f"{'−' if c < 0 else '+'} {shown}"
        why = f"{at} lacks the term {shown.removesuffix(' · ')}"
        yield Edit(changes(partial(added_to, make, c)), "term missing", why, cost + 0.3 * (abs(c) != 1))


def one(get: Get) -> float:
    return 1.0


def scaled(c: float, x: Any, get: Get) -> Any:
    return c * x


def multiplied(make: Make, power: int, c: float, x: Any, get: Get) -> Any:
    return c * x * make(get) ** power if power > 0 else c * x / make(get) ** -power


def added_to(make: Make, c: float, x: Any, get: Get) -> Any:
    return x + c * make(get)


def weight(c: float, whole: bool) -> tuple[str, str, float]:
    """What it is to lack a factor c. whole: whether all of the gradient does."""
    times = f"has {1 / c:.6g} times its weight" if c else ""
    if whole:
        return ("wrong sign", "has the wrong sign", 1.0) if c == -1 else ("constant factor", times, 1.0)
    easy = {0.0: ("extra term", "is a term too many", 1.4), -1.0: ("wrong sign of a term", "has the wrong sign", 1.15)}
    round_number = any(abs(v - round(v)) < 1e-6 for v in (c, 1 / c if c else 0.5))
    return easy.get(c, ("wrong factor of a term", times, 1.19 if round_number else 1.6))


def named(view: View, own: dict[int, int], source: int, missing: int, mask: bool, text: str, c: float,
          ) -> tuple[str, str]:  # fmt: skip
    """own: the factors that stand there, and to which power. missing: to which power one is to be added."""
    times = "" if abs(c - 1) < SMALL_FACTOR else f"{c:.6g} · "
    if mask:
        return "mask forgotten", f"lacks the mask `{text}`"
    power = own.get(source, 0)
    if power == 2 and missing == -1:
        return "extra factor", f"has {times}`{text}` twice, and should have it once"
    if power and power + missing:
        return "wrong power", (f"has {times}`{text}` to the power {power}, and should have it to the power "
                               f"{power + missing}")  # fmt: skip
    if power:
        return "extra factor", f"has the factor {times}`{text}` to the power {power}, and should not have it"
    for m in own if missing < 0 <= source else ():
        if source in view.before[m] and view.values[m].shape == view.values[source].shape and np.isin(
                np.round(view.values[m] / view.values[source], 9), (0, 1)).all():  # fmt: skip
            return "extra factor", f"has the factor `{view.text(m)}`, where its slope belongs: `{text}` is too much"
    by = "should be divided by" if missing < 0 else "lacks the factor"
    return "factor missing", f"{by} {times}`{text}`{' squared' * (abs(missing) > 1)}"


def factors(view: View, n: int, power: int = 1) -> dict[int, int]:
    """The calls that are factors of call n, and to which power."""
    found: dict[int, int] = {view.alias.get(n, n): power}
    name, of, call = view.name(n), view.used(n), view.tape.calls[n]
    inner: list[tuple[int, int]] = []
    if name == "multiply":
        inner = [(s, power) for s in of]
    elif name in ("divide", "true_divide"):
        inner = [(ref.to, -power if j else power) for j, ref in enumerate(call.args) if isinstance(ref, Ref)]
    elif of and (name in ("negative", "expand_dims", "reshape") or call.function is operator.getitem):
        inner = [(of[0], power)]
    elif name == "power" and len(of) == 1 and isinstance(call.args[1], int):
        inner = [(of[0], power * call.args[1])]
    for s, p in inner:
        for m, q in factors(view, s, p).items():
            found[m] = found.get(m, 0) + q
    return found


def moved_factors(view: View) -> Iterator[Edit]:
    """A factor that belongs to gy, before anything is summed, stands behind it; or another mask does."""
    gy = view.tape.gy
    users = [n for n in view.program.users.get(gy, ()) if view.tape.calls[n].function]
    for use in view.uses():
        site, k, olds = use
        n, f = site[0], olds[0]
        if view.name(n) != "multiply" or len(view.used(n)) != 2 or view.of_gy(f):
            continue
        for c in view.candidates:
            mask = view.is_mask(c) and view.is_mask(f)
            if not (mask or c == view.alias.get(f, f)) or view.of_gy(c):
                continue
            if inside(view.values[c].shape, view.values[gy].shape):
                changes = {m: view.instead(m, gy, partial(product, gy, c)) for m in users}
                other = view.used(n)[1 - k]
                changes[n] = partial(product, gy, c) if other == gy else partial(another_call, other)
                why = (f"the mask `{view.text(f)}` stands where gy should go through `{view.text(c)}`" if mask else
                       f"`{view.text(c)}` is a factor of gy, before anything is summed, and not of `{view.text(n)}`")
                yield Edit(changes, "wrong mask" if mask else "factor missing", why, 1.3)


def product(a: int, b: int, get: Get) -> Any:
    return get(a) * get(b)


def another_call(n: int, get: Get) -> Any:
    """Call n in the place of another."""
    return get(n)
