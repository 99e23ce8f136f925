"""Kinks and ties: places where a function has two slopes, and so no derivative."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .evidence import Evidence

__all__ = ["Kink", "contenders", "kink_between"]

BEND = 0.01  # the slopes on both sides differ by this share of the larger: far more than a smooth curve in one step
ROUNDING = 16 * float(np.finfo(np.float64).eps)


@dataclass(eq=False)
class Kink:
    """Within a step from an element, L has the slopes below and above. outputs: those which bend there.

    low, high: between them lies whatever comes of a choice of one of the two slopes at each output. simple: one of the
    two slopes is 0 at each of these outputs, as at a ReLU or a maximum alone.
    """

    element: int
    outputs: frozenset[int]
    below: float
    above: float
    low: float
    high: float
    simple: bool

    def told(self, e: Evidence, kinks: Mapping[int, Kink]) -> str:
        """Where it is, who contends, how far they are from each other, and the two slopes."""
        x, j = e.x.ravel()[e.flat], self.element
        others = [kink.element for kink in kinks.values() if kink is not self and kink.outputs & self.outputs]
        if others:
            other = min(others, key=lambda i: abs(float(x[i] - x[j])))
            who = (f"elements {e.place(j)} = {x[j]:.9g} and {e.place(other)} = {x[other]:.9g}, "
                   f"{abs(x[other] - x[j]):.2g} apart, contend for one output; for the first")  # fmt: skip
        else:
            who = f"element {e.place(j)} = {x[j]:.9g} lies at a kink, or less than a step from it;"
        return (f"{who} the slope is {self.below:.6g} below and {self.above:.6g} above, and backward says "
                f"{e.analytic[j]:.6g}")  # fmt: skip


def kink_between(element: int, y: np.ndarray, u: np.ndarray, above: np.ndarray, below: np.ndarray,
                 h: float) -> Kink | None:
    """The kink between x − h and x + h, if any output has another slope above than below."""
    y, u = y.ravel(), u.ravel()
    plus, minus = (above.ravel() - y) / h, (y - below.ravel()) / h
    larger, noise = np.maximum(np.abs(plus), np.abs(minus)), ROUNDING * np.abs(y) / h
    bent = np.abs(plus - minus) > BEND * larger + noise
    if not bent.any():
        return None
    slack = float((np.abs(u) * (1e-5 * larger + noise)).sum())
    low, high = (float(choose(u * plus, u * minus).sum()) for choose in (np.minimum, np.maximum))
    bends = frozenset(np.flatnonzero(bent).tolist())
    simple = bool((np.minimum(np.abs(plus), np.abs(minus)) <= BEND * larger + noise)[bent].all())
    return Kink(element, bends, float(u @ minus), float(u @ plus), low - slack, high + slack, simple)


def contenders(kinks: Iterable[Kink]) -> list[list[int]]:
    """The elements, in groups that contend for the same outputs."""
    groups: list[tuple[set[int], list[int]]] = []  # outputs, elements
    for kink in kinks:
        outputs, elements = set(kink.outputs), [kink.element]
        for group in [group for group in groups if group[0] & outputs]:
            groups.remove(group)
            outputs, elements = outputs | group[0], group[1] + elements
        groups.append((outputs, elements))
    return [elements for _, elements in groups]
