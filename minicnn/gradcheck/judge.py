"""Judging: what of the measured is right, what is wrong, what lies at a kink, and what cannot be told.

It measures nothing and raises nothing. The numbers by which it judges stand in thresholds.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from . import verdict
from .evidence import Evidence, Floats, Kink, Tie
from .thresholds import FAR, FITS, GROWS, GROWTH, LADDER, LARGE, SAME, SMALL, SOON, STEPS
from .verdict import Verdict

# -- the function and its backward -------------------------------------------------------------------------------------


def same(once: np.ndarray, again: np.ndarray) -> bool:
    """Whether two calls gave the same, but for the order of sums."""
    return not (np.abs(again - once) > SAME * np.abs(once).max(initial=0)).any()


def doubled(once: np.ndarray, twice: np.ndarray) -> bool:
    """Whether twice gy gave twice the gradient, as far as one can tell."""
    comparable = once.shape == twice.shape and np.isfinite(once).all()
    return not (comparable and (np.abs(twice - 2 * once) > SAME * np.abs(once).max(initial=0)).any())


def single_gradient(g: Floats) -> bool:
    """Whether a gradient has come through float32, as u has not."""
    return bool(g.any() and np.isfinite(g).all() and (g == g.astype(np.float32)).all())


def single(curve: Sequence[tuple[float, float]]) -> bool:
    """Whether the error grows with smaller steps, as rounding does, from a step at which double precision would not."""
    points = sorted(curve, reverse=True)
    best = min(range(len(points)), key=lambda i: points[i][1])
    step, least = points[best]
    grows = [b > GROWTH * a for (_, a), (_, b) in pairwise(points[best : best + STEPS + 1])]
    return least < FITS and step > LARGE and sum(grows) >= GROWS and points[best + 2][1] > SOON * least


# -- one element, and the next step to try -----------------------------------------------------------------------------


def other_steps(x: float, size: float, step: float, at_kink: bool) -> Iterator[float]:
    """The steps to try for an element x that looks wrong at ``step · size``: smaller ones at a kink, and its own."""
    yield from (step * size * rung for rung in LADDER[1:] if not at_kink or rung < 1)
    own = step * abs(x)
    if 0 < own < SMALL * (step * size):
        yield from (own * rung for rung in LADDER)


def at_step(e: Evidence, j: int, tolerance: float, at_kink: bool, changes: bool) -> bool | None:
    """Whether element j is right at the step just measured; None where that step does not tell.

    It was too large or too small, or reached over a kink. at_kink, changes: the first step met a kink, changed y.
    """
    lost = changes and not e.sums[j] and not at_kink  # in rounding
    if lost or j in e.kinks:
        return None
    if e.error[j] <= tolerance:
        return True
    return False if at_kink and e.error[j] > FAR else None


# -- kinks -------------------------------------------------------------------------------------------------------------


def at_kinks(e: Evidence) -> None:
    """At a kink backward is right if what it says lies between the slopes on both sides. What is undecided passes:
    where several kinks meet, as in a deep network, other slopes may come of right choices at each."""
    e.kinks = {j: e.kinks[j] for j in sorted(e.kinks) if e.wrong[j]}
    for j, kink in e.kinks.items():
        e.wrong[j] = kink.simple and not kink.low <= e.analytic[j] <= kink.high
        if e.wrong[j]:
            e.tie = e.tie or Tie(j)


def contenders(e: Evidence) -> list[list[int]]:
    """The elements whose gradients each lie between the slopes, in groups that contend for the same outputs."""
    groups: list[tuple[set[int], list[int]]] = []  # outputs, elements
    for j, kink in e.kinks.items():
        if not kink.simple or e.wrong[j]:
            continue
        outputs, elements = set(kink.outputs), [j]
        for group in [group for group in groups if group[0] & outputs]:
            groups.remove(group)
            outputs, elements = outputs | group[0], group[1] + elements
        groups.append((outputs, elements))
    return [elements for _, elements in groups]


def together(e: Evidence, tied: list[int], weights: Floats, kink: Kink | None) -> None:
    """What backward says of all that contend, moved together, must lie between the slopes too."""
    said = float((e.analytic[tied] * weights).sum())
    if kink and not kink.low <= said <= kink.high:
        e.wrong[tied] = True
        e.tie = e.tie or Tie(tied[0], kink, said)


# -- what mistake it looks like ----------------------------------------------------------------------------------------

# Each yields what it sees in the evidence; the most telling first. What else can read it takes its place here.
READERS: list[Callable[[Evidence], Iterator[Verdict]]] = [
    verdict.factor, verdict.transposed, verdict.broadcast, verdict.accumulation, verdict.group, verdict.border,
    verdict.overlap, verdict.zero, verdict.misplaced, verdict.term,
]  # fmt: skip


def mistakes(e: Evidence, explained: Sequence[Verdict] = ()) -> list[Verdict]:
    """All verdicts that fit, none twice: what ``explained`` the gradient alone where there is that. None is looked for
    where a tie explains what is wrong."""
    if e.tie and not e.wrong.all():
        return []
    bad = ~np.isfinite(e.analytic)
    if bad.any():
        return [Verdict("not finite", f"{bad.sum()} of {bad.size} elements are not finite numbers: look for a division "
                                      "by 0, a logarithm or a power of 0, an overflow")]
    if not e.numeric.any():
        return [Verdict("input not used", "the function does not change with it: it reads another array, or one kept "
                                          "from an earlier call")]  # fmt: skip
    found: dict[str, Verdict] = {}
    if explained:
        found = {seen.name: seen for where in (verdict.factor, verdict.group, verdict.border)
                 for seen in where(e)}
        whole = found.keys() & {"wrong sign", "constant factor"}  # of what is not 0, a branch then
        return [*found.values(), *(seen for seen in explained
                                   if seen.name not in found and not (whole and seen.name == "one branch"))]
    for reader in READERS:
        for seen in reader(e):
            found.setdefault(seen.name, seen)
    return list(found.values())
