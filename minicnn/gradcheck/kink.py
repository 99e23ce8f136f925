"""Kinks and ties: places where a function has two slopes, and so no derivative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .verdict import Evidence

__all__ = ["Kink", "kink_between"]

BEND = 0.01  # the slopes on both sides differ by this share of the larger: far more than any smooth curve in one step
ROUNDING = 16 * float(np.finfo(np.float64).eps)


@dataclass(eq=False)
class Kink:
    """Within a step from an element, L has the slopes below and above. outputs: which bend there.

    low, high: between them lies what any choice of one of the two slopes, at each output, gives.
    """

    element: int
    outputs: frozenset[int]
    below: float
    above: float
    low: float
    high: float

    def told(self, e: Evidence, kinks: Mapping[int, Kink]) -> str:
        """Where it is, who contends, how far they are from each other, and the two slopes."""
        x, at = e.x.ravel(), e.flat
        value = float(x[at[self.element]])
        others = [k.element for k in kinks.values() if k is not self and k.outputs & self.outputs]
        if others:
            j = min(others, key=lambda j: abs(float(x[at[j]]) - value))
            other = float(x[at[j]])
            who = (f"elements {e.place(self.element)} = {value:.9g} and {e.place(j)} = {other:.9g}, {abs(other - value):.2g} "
                   "apart, contend for one output")  # fmt: skip
        else:
            who = f"element {e.place(self.element)} = {value:.9g} lies at a kink, or less than a step from it"
        return (f"{who}; for the first the slope is {self.below:.6g} below and {self.above:.6g} above, and backward says "
                f"{float(e.analytic[self.element]):.6g}")  # fmt: skip


def kink_between(element: int, y: np.ndarray, u: np.ndarray, above: np.ndarray, below: np.ndarray, h: float) -> Kink | None:
    """The kink, if any output has another slope above than below."""
    y, u = y.ravel(), u.ravel()
    plus, minus = (above.ravel() - y) / h, (y - below.ravel()) / h
    larger, noise = np.maximum(np.abs(plus), np.abs(minus)), ROUNDING * np.abs(y) / h
    bent = np.abs(plus - minus) > BEND * larger + noise
    if not bent.any():
        return None
    slack = float((np.abs(u) * (1e-5 * larger + noise)).sum())
    low, high = float(np.minimum(u * plus, u * minus).sum()), float(np.maximum(u * plus, u * minus).sum())
    return Kink(element, frozenset(np.flatnonzero(bent).tolist()), float(u @ minus), float(u @ plus), low - slack, high + slack)
