"""Judging: what of the measured is right, what is wrong, what lies at a kink, and what cannot be told.

It measures nothing and raises nothing. The numbers by which it judges stand in thresholds.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from .evidence import Evidence, Floats, Found, Kink, Slope, Tie
from .thresholds import (
    BEND,
    BENT,
    CERTAIN,
    DOUBLE,
    EPSILON,
    EVEN,
    FAR,
    FITS,
    GROWS,
    GROWTH,
    LADDER,
    LARGE,
    LEAST,
    LEFT,
    NO_DIGITS,
    ORDERS,
    RATIO,
    SAME,
    SMALL,
    SOON,
    STEPS,
)
from .verdict import Verdict

# -- the function and its backward -------------------------------------------------------------------------------------


def same(once: np.ndarray, again: np.ndarray) -> bool:
    """Whether two calls gave the same, but for the order of sums."""
    return not (np.abs(again - once) > SAME * np.abs(once).max(initial=0)).any()


def doubled(once: np.ndarray, twice: np.ndarray) -> bool:
    """Whether twice gy gave twice the gradient, as far as one can tell."""
    comparable = once.shape == twice.shape and np.isfinite(once).all()
    allowed = max(SAME * np.abs(once).max(initial=0), LEAST)
    return not (comparable and (np.abs(twice - 2 * once) > allowed).any())


def own_rounding(g: Floats, thrice_above: np.ndarray | None, below: np.ndarray | None) -> Floats:
    """What backward rounds each element by: a second difference, of places so near that nothing but rounding bends."""
    least = EPSILON * np.where(np.isfinite(g), np.abs(g), 0)
    if thrice_above is None or below is None or not g.shape == thrice_above.shape == below.shape:
        return least
    with np.errstate(invalid="ignore"):
        off = np.abs(thrice_above.astype(np.float64) / 3 + below - 2 * g)
    return np.maximum(np.where(np.isfinite(off), off, 0), least)


def single_gradient(g: Floats) -> bool:
    """Whether a gradient has come through float32, as u has not."""
    return bool(g.any() and np.isfinite(g).all() and (g == g.astype(np.float32)).all())


def single(curve: Sequence[tuple[float, float]], scale: float, terms: float) -> bool:
    """Whether the error grows with smaller steps, as rounding does, from a step at which double precision would not, or
    by more than it rounds ``terms`` by. scale: in units of which the errors are."""
    points = sorted(curve, reverse=True)
    best = min(range(len(points)), key=lambda i: points[i][1])
    step, least = points[best]
    grows = [b > GROWTH * a for (_, a), (_, b) in pairwise(points[best : best + STEPS + 1])]
    noise = [error * scale * h for h, error in points[best + 1 : best + STEPS + 1] if np.isfinite(error)]
    if noise and np.median(noise) <= LEFT * EPSILON * terms:
        return False
    return least < FITS and step > LARGE and sum(grows) >= GROWS and points[best + 2][1] > SOON * least


def another_slope(curve: Sequence[tuple[float, float]]) -> bool:
    """Whether the error is the same over three steps, or far less with the next smaller one, as that of a slope between
    kinks is, and no rounding."""
    errors = [error for _, error in sorted(curve) if np.isfinite(error)]
    best = errors.index(min(errors)) if errors else 0
    even = any(max(some) <= (1 + EVEN) * min(some) for some in zip(errors, errors[1:], errors[2:], strict=False))
    return even or any(SOON * less < more for less, more in pairwise(errors[:best]))


def cannot_tell(found: Found, size: float, y: Floats, u: Floats, noise: float, terms: float) -> bool:
    """Whether digits cancel in a function, so that differences tell no more than that backward agrees: its value is
    what double precision leaves of far larger numbers, near 1, as of 1 + x² where x is small, so that noise is large
    beside it and still small beside 1; or it stands still, and backward says less than such rounding, too, or is as
    small as the value, which goes by stairs; or nothing is left of it, as of sin x where x is large. size: of what
    backward says, for a change of the input by its own size."""
    one = EPSILON * float(np.linalg.norm(u))
    stands = found.slope == 0 and (size <= one or max(size, terms) <= LEFT * one)
    less = digits_lost(y, u, noise, terms) and found.error <= found.seen <= FAR
    return stands or noise > NO_DIGITS * terms > 0 or less


def digits_lost(y: Floats, u: Floats, noise: float, terms: float) -> bool:
    """Whether a value is what double precision leaves of larger numbers, near 1: see ``cannot_tell``."""
    one = EPSILON * float(np.linalg.norm(u))
    of_one = noise <= one and bool(y.any() and (np.ldexp(y, 53) % 1 == 0).all())  # steps of 2⁻⁵³, as what is left of 1
    return LEFT * EPSILON * terms < noise <= LEFT * one and (of_one or not (y == y.astype(np.float32)).all())


# -- along a line ------------------------------------------------------------------------------------------------------


def rounding_along(own: Sequence[Floats], lines: Sequence[Floats], most: float) -> float:
    """What backward rounds Σ g · line by, at most a share of ``most`` where it computes in double precision."""
    parts = np.concatenate([(r * line).ravel() for r, line in zip(own, lines, strict=True)])
    return min(CERTAIN * float(np.linalg.norm(parts)), DOUBLE * most)


def agrees(slope: Slope, said: float, own: float, limit: float) -> bool:
    """Whether a slope is what backward said but for rounding, and it does not round too much to say so."""
    return abs(slope.value - said) <= slope.rounding + own <= limit


def surest(slopes: Sequence[Slope], noise: float = 0.0) -> Slope:
    """That which is off by least. noise: by which L is rounded, if that is more than was known."""
    return min(slopes, key=lambda s: s.bend + max(s.rounding, CERTAIN * noise / s.step))


def exhausted(slopes: Sequence[Slope]) -> bool:
    """Whether all smaller steps round by more than the surest slope is off."""
    best = surest(slopes)
    return RATIO * slopes[-1].rounding >= best.bend + best.rounding


def noise_of(slopes: Sequence[Slope]) -> float:
    """The noise that slopes by small steps show: a few values may have been rounded alike when it was measured."""
    return max(s.curve * s.step for s in slopes[ORDERS:] or slopes[-1:])


# -- one element, and the steps to try -----------------------------------------------------------------------------


def smaller_steps(x: float, size: float, step: float) -> list[float]:
    """The steps to try for an element x that met a kink at ``step · size``: smaller ones, and its own."""
    units = sizes(x, size)
    return [step * unit * rung for unit in units for rung in LADDER if rung < 1 or unit < size]


def sizes(x: float, size: float) -> list[float]:
    """In units of what an element x is to be moved: of the input's size, and of its own where that is far less."""
    return [size, abs(x)] if 0 < abs(x) < SMALL * size else [size]


def at_step(e: Evidence, j: int) -> bool | None:
    """Whether element j, which met a kink at the first step, is right at the one just measured; None where that step
    reaches over a kink, too, or is too small to tell."""
    if j in e.kinks:
        return None
    if e.off[j] <= e.allowed[j]:
        return True
    return False if e.error[j] > FAR and e.rounding[j] <= e.allowed[j] else None


# -- kinks -------------------------------------------------------------------------------------------------------------


def outside(e: Evidence) -> list[int]:
    """The elements at kinks with two slopes, neither of them 0, which got what does not lie between the two."""
    return [j for j, kink in e.kinks.items()
            if e.wrong[j] and not kink.simple and not kink.allows(e.analytic[j])]  # fmt: skip


def just_outside(e: Evidence) -> list[int]:
    """The elements that got a little more than lies between the slopes at their kink, which a curve may have bent."""
    return [j for j, kink in e.kinks.items() if e.wrong[j] and not kink.allows(e.analytic[j])
            and kink.off(e.analytic[j]) <= FAR * (abs(kink.low) + abs(kink.high))]  # fmt: skip


def same_kink(here: Kink, there: Kink | None) -> bool:
    """Whether two kinks have the same slopes, but for what they change with a small move."""
    near = BENT * (abs(here.above) + abs(here.below))
    return there is not None and abs(here.above - there.above) <= near >= abs(here.below - there.below)


def at_kinks(e: Evidence, alone: set[int]) -> None:
    """At a kink backward is right if what it says lies between the slopes on both sides. What is undecided passes if it
    is finite: where several kinks meet, as in a deep network, other slopes may come of right choices at each. alone:
    elements at kinks that do not depend on any other element."""
    e.kinks = {j: e.kinks[j] for j in sorted(e.kinks) if e.wrong[j]}
    for j, kink in e.kinks.items():
        between = kink.allows(e.analytic[j])
        e.wrong[j] = not (between or (np.isfinite(e.analytic[j]) and not (kink.simple or j in alone)))
        if e.wrong[j] and np.isfinite(e.analytic[j]):
            e.tie = e.tie or Tie(j)


def contenders(e: Evidence) -> list[list[int]]:
    """The elements whose gradients each lie between the slopes, in groups that contend for the same outputs."""
    return groups((j, kink) for j, kink in e.kinks.items() if kink.simple and not e.wrong[j])


def corners(e: Evidence) -> list[list[int]]:
    """The elements at kinks with two slopes that are not judged yet, in groups that have them in the same outputs, as a
    row of zeros has in its norm."""
    return [group for group in groups((j, kink) for j, kink in e.kinks.items() if not (kink.simple or e.wrong[j]))
            if len(group) > 1]  # fmt: skip


def groups(kinks: Iterable[tuple[int, Kink]]) -> list[list[int]]:
    """Numbers of kinks, in groups that bend the same outputs."""
    found: list[tuple[set[int], list[int]]] = []  # outputs, numbers
    for j, kink in kinks:
        outputs, numbers = set(kink.outputs), [j]
        for group in [group for group in found if group[0] & outputs]:
            found.remove(group)
            outputs, numbers = outputs | group[0], group[1] + numbers
        found.append((outputs, numbers))
    return [numbers for _, numbers in found]


def apart(kinks: Sequence[Kink], weights: Floats, all_of_them: Kink) -> bool:
    """Whether several kinks in the same outputs have nothing to do with each other: moved together, each adds what it
    adds alone. Then a right choice at each may add up to what lies outside of the slopes together."""
    sides = [(k.below, k.above) if w > 0 else (k.above, k.below) for k, w in zip(kinks, weights, strict=True)]
    below, above = (float(np.array(side) @ weights) for side in zip(*sides, strict=True))
    near = BEND * float(np.array([abs(k.below) + abs(k.above) for k in kinks]) @ np.abs(weights))
    return abs(all_of_them.below - below) <= near >= abs(all_of_them.above - above)


def contended(kinks: Sequence[Kink], weights: Floats, kink: Kink, said: float) -> bool:
    """Whether what backward says of all that contend, moved together, does not lie between the slopes."""
    return not kink.allows(said) and not apart(kinks, weights, kink)


def tied(e: Evidence, numbers: list[int], kink: Kink | None, said: float) -> None:
    """What contends is wrong."""
    e.wrong[numbers] = True
    e.tie = e.tie or Tie(numbers[0], kink, said)


def only_kinks(verdicts: Sequence[Verdict]) -> bool:
    return [v.name for v in verdicts] == ["kink or tie"]
