"""What was measured about one input: backward beside differences, element by element, and kinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .thresholds import CLOSE, DOUBLE, EPSILON, FLOOR, KEPT, LARGEST, ROUNDING

__all__ = ["Evidence", "Floats", "Found", "Kink", "Slope", "Tie"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Slope:
    """What differences with steps down to ``step`` say of ∂L along a line: it may be off by ``curve``, as the value is
    no straight line, by ``kinks``, and by ``rounding``."""

    step: float
    value: float
    curve: float
    kinks: float
    rounding: float

    @property
    def bend(self) -> float:
        return self.curve + self.kinks


@dataclass(frozen=True)
class Found:
    """What differences along a line say of a gradient: whether it is right, or wrong (neither, where they cannot tell),
    its error, and what error would have been seen, both relative to the norm of the gradient. slope: what they are."""

    right: bool
    wrong: bool
    error: float
    seen: float
    slope: float


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

    def allows(self, said: float) -> bool:
        """Whether it lies between."""
        return self.low <= said <= self.high

    def off(self, said: float) -> float:
        """By how much it does not."""
        return max(self.low - said, said - self.high, 0.0)


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
    came back from it. shapes: of all inputs. own, rounding: (k,), what backward and differences round by. terms: (k,),
    what of the value changes with an element, in units of x. tolerance: what error is allowed anyway, in units of
    ``scale``. wrong, (k,), and tie, the first found, are judged. apart: of each element, what backward gave and what
    was last seen to be the same, how far from each other.
    """

    def __init__(self, x: Floats, y: Floats, u: Floats, flat: NDArray[np.intp], analytic: Floats, own: Floats,
                 tolerance: float, floor: float, shapes: Sequence[tuple[int, ...]]):  # fmt: skip
        self.x, self.y, self.u, self.flat, self.analytic, self.own = x, y, u, flat, analytic, own
        self.tolerance = tolerance
        self.floor, self.shapes, k = floor, shapes, len(flat)
        self.places = np.stack(np.unravel_index(flat, x.shape), 1) if x.ndim else np.zeros((k, 0), int)
        self.numeric, self.sums, self.wrong = np.zeros(k), np.zeros(k), np.zeros(k, bool)
        self.rounding, self.terms = np.zeros(k), np.zeros(k)
        self.sent = np.zeros((y.size, k)) if y.size * k <= KEPT else None
        self.dependent = np.zeros((y.size, k), bool) if y.size * k <= KEPT else None
        self.kinks: dict[int, Kink] = {}
        self.uses: list[Floats] = []
        self.tie: Tie | None = None
        self.apart: Floats | None = None

    def depends(self, j: int, differ: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The outputs seen to depend on element j: those that differ, or did before. All, if it is too much to keep."""
        if self.dependent is None:
            return np.ones_like(differ)
        self.dependent[:, j] |= differ.ravel()
        return self.dependent[:, j].reshape(differ.shape)

    def measured(self, j: int, sent: Floats, kink: Kink | None, rounding: float, terms: float) -> None:
        self.numeric[j], self.sums[j] = sent.sum(), np.abs(sent).sum()
        self.rounding[j], self.terms[j] = rounding, terms
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
        """Of each element."""
        return self.off / self.units

    @property
    def units(self) -> Floats:
        """``scale``, but 1 where that is 0."""
        return np.where(self.scale > 0, self.scale, 1)

    @property
    def off(self) -> Floats:
        """Of each element: |backward − differences|."""
        with np.errstate(invalid="ignore"):
            off = np.abs(self.analytic - self.numeric)
        return np.where(np.isfinite(off), off, np.inf)

    @property
    def allowed(self) -> Floats:
        """What rounding may have left between the two; but no more than it leaves in double precision. And what would
        not change the last digit of L, where the element moves by the size of the input: an output that hardly
        depends on it may not change at all."""
        most = self.scale + self.terms
        rounding = np.minimum(self.rounding + np.minimum(self.own, DOUBLE * most), LARGEST * most)
        return np.maximum(rounding + ROUNDING * EPSILON * self.floor / FLOOR, self.tolerance * self.scale)

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
        off = np.abs(guess - self.analytic)
        if not (off <= CLOSE * (self.scale + np.abs(guess)))[where].all():
            return False
        self.apart = (off / (self.units + np.abs(guess)))[where]
        return True

    def by_place(self) -> Floats | None:
        """``sent``, with the channels of one place of an image taken together: (places of y, k)."""
        if self.sent is None or self.y.ndim != 4:
            return self.sent
        N, K, P, Q = self.y.shape
        places: Floats = self.sent.reshape(N, K, P * Q, -1).sum(1)
        return places.reshape(N * P * Q, -1)
