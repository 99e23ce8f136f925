"""What a function rounds by, measured where its value is the same but for that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .evidence import Floats
from .subject import Input, Subject
from .thresholds import BARE, EPSILON, FLOOR, LADDER, LEFT, NEAR, NOTHING, STAIRS, TINY, TOP

__all__ = ["Line", "Rounding"]

Line = Sequence[tuple[Input, Floats]]  # inputs, and the way in which each moves


def stands(near: Sequence[Sequence[Floats]]) -> NDArray[np.bool_]:
    """Which outputs did not change from one place to the next, as where they go up by stairs."""
    first, second, third = (np.array(pair) for pair in near)
    return np.asarray(((first == second) | (second == third)).any(0))


def step_of(values: Floats) -> Floats:
    """The steps in which values (n, …) go up: the lowest bit that is set in any of the n, 2⁻⁵³ for 1 − cos x. 0 where
    all are 0 or some are no numbers."""
    mantissa, exponent = np.frexp(np.where(np.isfinite(values), values, 0))
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    bits = np.ldexp((whole & -whole).astype(np.float64), exponent - 53)
    least = np.where(whole == 0, np.inf, bits).min(0)
    return np.where(np.isfinite(least) & np.isfinite(values).all(0), least, 0)


@dataclass
class Rounding:
    """Values of L = Σ y · u around the inputs of a subject, where that of the function is y. step: the first to try, in
    units of the size of an input; largest: the last. floor: changes of L that count as none. terms: √Σ (y · u)², what L
    is added up of. rounding: of each output, the standard deviation of what it is rounded by. noise: that of L."""

    subject: Subject
    y: Floats
    u: Floats
    step: float
    random: np.random.Generator

    def __post_init__(self) -> None:
        self.largest = self.step * max(LADDER)
        self.measure_rounding()

    def measure_rounding(self) -> None:
        """By second differences of the value at places so near to one another that it is straight but for rounding: of
        each output the largest, and of L. On one side of the inputs at a time, as they may lie at a kink.

        Where the value is nothing but rounding, as at a minimum, that away from there tells of the terms, too."""
        found = []
        for far in NEAR:
            line = self.near(far)
            ahead = [self.ahead(line, n) for n in (1, 2, 3, 4)]
            with np.errstate(invalid="ignore"):
                found += [a - 2 * b + c for a, b, c in zip(ahead, ahead[1:], ahead[2:], strict=False)]
        still = (self.y != 0) & stands([[y] for y in ahead[:3]])
        for far in STAIRS:
            if not still.any():
                break
            line = self.near(far)
            near = [(self.y, self.y), *(self.beside(line, n) for n in (1, 2, 3))]
            found += [np.where(still, above - 2 * between + below, 0)
                      for some in (near[:3], near[1:]) for above, between, below in zip(*some, strict=True)]
            still &= stands(near[1:])
        bends = np.array(found)
        bends[~np.isfinite(bends)] = 0
        together = float(np.abs((bends * self.u).reshape(len(bends), -1).sum(1)).max()) / sqrt(6)
        self.rounding = np.maximum(np.abs(bends).max(0), self.beside_zero()) / sqrt(6)
        self.made_of(self.y, together)
        beside = next(self.away(TOP), self.y)
        if self.terms < BARE * max(self.noise, EPSILON * float(np.linalg.norm(self.u * beside))):
            self.made_of(next(self.away(1.0), beside), together)

    def beside_zero(self) -> Floats:
        """The largest second difference of each output that is nearly 0, as log(1 + x²) is of a small x, a little away
        from there. What it is rounded by where it is 0 does not show."""
        zero = np.abs(self.y) <= LEFT * EPSILON * np.abs(self.y).max(initial=0)
        if not zero.any():
            return np.zeros(self.y.shape)
        line = [(x, TOP * self.random.standard_normal(x.start.shape) * x.size) for x in self.subject.inputs]
        with self.subject.moved(line):
            ahead = [self.ahead(near, n) for near in map(self.near, NEAR) for n in (0, 1, 2, 3)]
        found = ahead[:4], ahead[4:]
        with np.errstate(invalid="ignore"):
            bends = np.array([some[n] - 2 * some[n + 1] + some[n + 2] for some in found for n in (0, 1)])
        bends = np.abs(np.where(np.isfinite(bends), bends, 0)).max(0)
        return np.where(zero, np.maximum(bends, step_of(np.array(ahead))), 0)

    def size_of(self, terms: float, noise: float) -> float:
        """Of terms, measured by their sum. If that is nothing but noise, and near to 0, which has no scale, so that 1
        is taken, what such noise is the rounding of."""
        bare = BARE * noise > terms and noise <= NOTHING * float(np.linalg.norm(self.u))
        return noise / EPSILON if bare else terms

    def near(self, far: float = NEAR[0]) -> Line:
        """The way to where a value is the same but for its slope and rounding. What is 0 stays so: it may be a kink."""
        size = min([1.0, *(x.size for x in self.subject.inputs if x.start.any())])  # 0 beside small numbers
        return [(x, far * self.random.standard_normal(x.start.shape) * (x.start if x.start.any() else size))
                for x in self.subject.inputs]  # fmt: skip

    def made_of(self, y: Floats, noise: float) -> None:
        """The value is made of terms of the size of y."""
        self.rounding = np.maximum(self.rounding, EPSILON * np.abs(y) + TINY)
        self.noise = max(float(np.linalg.norm(self.rounding * self.u)), noise)
        self.floor, self.terms = FLOOR * float(np.abs(self.u * y).sum()), float(np.linalg.norm(self.u * y))

    def away(self, h: float) -> Iterator[Floats]:
        """Values h away from here, in units of the inputs."""
        line = [(x, self.random.standard_normal(x.start.shape) * x.size) for x in self.subject.inputs]
        yield from (y for side in (h, -h) if np.isfinite(y := self.ahead(line, side)).all())

    # -- values ------------------------------------------------------------------------------------------------------

    def beside(self, line: Line, h: float) -> tuple[Floats, Floats]:
        """The values h along a line and h back."""
        return self.ahead(line, h), self.ahead(line, -h)

    def ahead(self, line: Line, h: float) -> Floats:
        try:
            for x, way in line:
                x.move(x.start + h * way)
            return self.subject.value()
        finally:
            for x, _ in line:
                x.move(x.start)

    @contextlib.contextmanager
    def moved(self, line: Line) -> Iterator[None]:
        """Inside of ``with`` the inputs start from elsewhere."""
        before = self.y, self.rounding, self.noise, self.floor, self.terms
        with self.subject.moved(line):
            try:
                self.y = self.subject.value()
                if self.y.shape == self.u.shape and np.isfinite(self.y).all():
                    self.measure_rounding()
                yield
            finally:
                self.y, self.rounding, self.noise, self.floor, self.terms = before
