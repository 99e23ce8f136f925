"""What was measured about one input: backward beside differences, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["CLOSE", "Evidence"]

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
