"""What was measured about one input: backward beside differences, element by element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["CLOSE", "Evidence", "terms"]

KEPT = 1 << 24  # numbers of ∂y/∂x to keep
CLOSE = 1e-4  # how near, in units of what is added up, two gradients must be to be called the same


class Evidence:
    """All that was measured about one input x, of which k elements were looked at.

    flat, places: where they are, as (k,) numbers and as (k, axes of x). analytic, numeric: (k,), ∂L/∂x by backward and
    by differences. wrong: (k,). sent: (size of y, k), u · ∂y/∂x, what each output sends back to each element; None if
    that is too much to keep. uses: for each use of x by an op, (k,), what came back from it. shapes: of all inputs.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, u: np.ndarray, flat: np.ndarray, analytic: np.ndarray,
                 floor: float, shapes: Sequence[tuple[int, ...]]):
        self.x, self.y, self.u, self.flat, self.analytic = x, y, u, flat, analytic
        self.floor, self.shapes, k = floor, shapes, len(flat)
        self.places = np.stack(np.unravel_index(flat, x.shape), 1) if x.ndim else np.zeros((k, 0), int)
        self.numeric, self.sums, self.wrong = np.zeros(k), np.zeros(k), np.zeros(k, bool)
        self.sent = np.zeros((y.size, k)) if y.size * k <= KEPT else None
        self.uses: list[np.ndarray] = []

    def measured(self, j: int, sent: np.ndarray) -> None:
        self.numeric[j], self.sums[j] = sent.sum(), np.abs(sent).sum()
        if self.sent is not None:
            self.sent[:, j] = sent

    @property
    def scale(self) -> np.ndarray:
        """Of each element: the sum of |what is added up| to make its gradient, or what backward says where more."""
        said = np.where(np.isfinite(self.analytic), np.abs(self.analytic), 0)
        return np.maximum(self.sums, said) + self.floor

    @property
    def error(self) -> np.ndarray:
        """Of each element, in units of ``scale``."""
        with np.errstate(invalid="ignore"):
            off = np.abs(self.analytic - self.numeric) / np.where(self.scale > 0, self.scale, 1)
        return np.where(np.isfinite(off), off, np.inf)

    def place(self, j: int) -> tuple[int, ...]:
        return tuple(self.places[j].tolist())

    @property
    def complete(self) -> bool:
        return len(self.flat) == self.x.size

    def gives(self, guess: np.ndarray, where: Any = slice(None)) -> bool:
        """Whether that is what backward gave."""
        near = np.abs(guess - self.analytic) <= CLOSE * (self.scale + np.abs(guess))
        return bool(near[where].all())

    def by_place(self) -> np.ndarray | None:
        """``sent``, with the channels of one place of an image taken together: (places of y, k)."""
        if self.sent is None or self.y.ndim != 4:
            return self.sent
        N, K, P, Q = self.y.shape
        return self.sent.reshape(N, K, P * Q, -1).sum(1).reshape(N * P * Q, -1)


def terms(e: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    """What often is one term of a gradient: (name, (k,))."""
    uses = e.uses if len(e.uses) > 1 else []
    yield from ((f"what comes from use {i} of the input", use) for i, use in enumerate(uses))
    if e.x.shape != e.y.shape:
        return
    x, y, u = (array.ravel()[e.flat] for array in (e.x, e.y, e.u))
    with np.errstate(all="ignore"):
        simple = {"gy": u, "gy · y": u * y, "gy · x": u * x, "gy · y / x": u * y / x, "gy · y²": u * y * y,
                  "gy · x²": u * x * x, "gy · x · y": u * x * y, "gy / x": u / x}  # fmt: skip
    yield from ((name, t) for name, t in simple.items() if np.isfinite(t).all())
    if e.sent is None:
        return
    yield "what goes through the output at the same place", e.sent[e.flat, np.arange(len(e.flat))]
    for axis, n in enumerate(e.x.shape):
        for far in range(1, n):
            before, after = (passed(e, e.sent, axis, away) for away in (-far, far))
            for text, t in ((f"{far} before", before), (f"{far} after", after), (f"{far} away", before + after)):
                if t.any():
                    yield f"what goes through the outputs {text} along axis {axis}", t


def passed(e: Evidence, sent: np.ndarray, axis: int, away: int) -> np.ndarray:
    """What each element gets from the output ``away`` from it along an axis, x and y having one shape."""
    there = e.places[:, axis] + away
    inside = (there >= 0) & (there < e.x.shape[axis])
    places = e.places[inside]
    places[:, axis] = there[inside]
    got = np.zeros(len(e.flat))
    got[inside] = sent[np.ravel_multi_index(tuple(places.T), e.x.shape), np.flatnonzero(inside)]
    return got
