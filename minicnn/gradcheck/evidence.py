"""What was measured about one input: backward beside differences, element by element, and kinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .thresholds import CLOSE, KEPT

__all__ = ["Evidence", "Floats", "Kink", "Tie"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kink:
    """Within a step from an element, L has the slopes below and above. outputs: those which bend there.

    low, high: between them lies whatever comes of a choice of one of the two slopes at each output. simple: one of the
    two slopes is 0 at each of these outputs, as at a ReLU or a maximum alone.
    """

    outputs: frozenset[int]
    below: float
    above: float
    low: float
    high: float
    simple: bool


@dataclass(frozen=True)
class Tie:
    """At the kink of element j backward is wrong; or it says ``said`` for all that contend there, moved together."""

    j: int
    together: Kink | None = None
    said: float = 0.0


class Evidence:
    """All that was measured about one input x, of which k elements were looked at.

    flat, places: where they are, as (k,) numbers and as (k, axes of x). analytic, numeric: (k,), ∂L/∂x by backward and
    by differences. sent: (size of y, k), u · ∂y/∂x, what each output sends back to each element; None if that is too
    much to keep. kinks: of the elements that have one within the step. uses: for each use of x by an op, (k,), what
    came back from it. shapes: of all inputs. wrong, (k,), and tie, the first found, are judged.
    """

    def __init__(self, x: Floats, y: Floats, u: Floats, flat: NDArray[np.intp], analytic: Floats, floor: float,
                 shapes: Sequence[tuple[int, ...]]):  # fmt: skip
        self.x, self.y, self.u, self.flat, self.analytic = x, y, u, flat, analytic
        self.floor, self.shapes, k = floor, shapes, len(flat)
        self.places = np.stack(np.unravel_index(flat, x.shape), 1) if x.ndim else np.zeros((k, 0), int)
        self.numeric, self.sums, self.wrong = np.zeros(k), np.zeros(k), np.zeros(k, bool)
        self.sent = np.zeros((y.size, k)) if y.size * k <= KEPT else None
        self.kinks: dict[int, Kink] = {}
        self.uses: list[Floats] = []
        self.tie: Tie | None = None

    def measured(self, j: int, sent: Floats, kink: Kink | None) -> None:
        self.numeric[j], self.sums[j] = sent.sum(), np.abs(sent).sum()
        if self.sent is not None:
            self.sent[:, j] = sent
        self.kinks.pop(j, None)
        if kink:
            self.kinks[j] = kink

    @property
    def scale(self) -> Floats:
        """Of each element: the sum of |what is added up| to make its gradient, or what backward says where more."""
        said = np.where(np.isfinite(self.analytic), np.abs(self.analytic), 0)
        return np.maximum(self.sums, said) + self.floor

    @property
    def error(self) -> Floats:
        """Of each element, in units of ``scale``."""
        with np.errstate(invalid="ignore"):
            off = np.abs(self.analytic - self.numeric) / np.where(self.scale > 0, self.scale, 1)
        return np.where(np.isfinite(off), off, np.inf)

    def place(self, j: int) -> tuple[int, ...]:
        return tuple(self.places[j].tolist())

    def spread(self, values: Floats) -> Floats:
        """Numbers of the k elements, in their places in an array of x's shape; NaN elsewhere."""
        array = np.full(self.x.size, np.nan)
        array[self.flat] = values
        return array.reshape(self.x.shape)

    @property
    def complete(self) -> bool:
        return len(self.flat) == self.x.size

    def gives(self, guess: Floats, where: slice | NDArray[np.bool_] = slice(None)) -> bool:
        """Whether that is what backward gave."""
        near = np.abs(guess - self.analytic) <= CLOSE * (self.scale + np.abs(guess))
        return bool(near[where].all())

    def by_place(self) -> Floats | None:
        """``sent``, with the channels of one place of an image taken together: (places of y, k)."""
        if self.sent is None or self.y.ndim != 4:
            return self.sent
        N, K, P, Q = self.y.shape
        places: Floats = self.sent.reshape(N, K, P * Q, -1).sum(1)
        return places.reshape(N * P * Q, -1)
