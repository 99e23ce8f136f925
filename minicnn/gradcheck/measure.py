"""Measuring: slopes along a line, differences by element and of several together; the kinks between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence, Floats, Kink, Slope
from .rounding import Line, Rounding
from .subject import Input
from .thresholds import AWAY, BEND, CERTAIN, ORDERS, RATIO, ROUNDING, RUNGS, SLACK, TOP

__all__ = ["Differences"]


@dataclass
class Differences(Rounding):
    """Differences of L along lines and by element, and what kinks lie between."""

    # -- along a line ------------------------------------------------------------------------------------------------

    def slope(self, line: Line, h: float) -> Slope:
        """By one difference."""
        above, below = self.beside(line, h)
        with np.errstate(invalid="ignore"):
            return Slope(h, float(((above - below) * self.u).sum()) / (2 * h), 0.0, 0.0, CERTAIN * self.noise / h)

    def rounds(self, differ: NDArray[np.bool_]) -> float:
        """What rounding adds to a difference of L at most. differ: the outputs that depend on what was moved."""
        some = differ.any() and not differ.all()
        return CERTAIN * (float(np.linalg.norm(self.u * self.rounding * differ)) if some else self.noise)

    def slopes(self, line: Line, least: float) -> Iterator[Slope]:
        """By differences with ever smaller steps, from which Richardson's extrapolation takes the curve away.

        curve: the last two that were found differ by as much. kinks: those between the two ends add as much.
        """
        before, bent_before, off_before = list[float](), np.zeros(self.y.shape), np.inf
        one = sum(np.count_nonzero(way) for _, way in line) == 1  # element may not move all outputs
        differ = np.full(self.y.shape, not one)
        for h in (TOP * RATIO**-n for n in range(RUNGS)):
            if h < least:
                return
            above, below = self.beside(line, h)
            with np.errstate(all="ignore"):
                row = [float(((above - below) * self.u).sum()) / (2 * h)]
                for n, coarse in enumerate(before[:ORDERS]):
                    row.append(row[n] + (row[n] - coarse) / (RATIO ** (2 * n + 2) - 1))
                differ |= (above != below) | (above != self.y)
                rounding = self.rounds(differ) / h
                bent = np.abs(above + below - 2 * self.y) / h
                sharp = np.maximum(bent - bent_before / 2 - CERTAIN * self.rounding / h, 0)  # a curve: a RATIO-th
                kinks = float((sharp * np.abs(self.u)).sum()) if before else np.inf
            best, off = row[0], np.inf
            for n in range(1, len(row)):
                apart = max(abs(row[n] - row[n - 1]), abs(row[n] - before[n - 1]))
                if apart < off:
                    best, off = row[n], apart
            off, off_before = max(off, off_before / RATIO) if before[1:] else off, off
            before, bent_before = row if np.isfinite(row[0]) else [], bent if np.isfinite(row[0]) else 0 * bent
            if np.isfinite(best):
                yield Slope(h, best, off, kinks, rounding)

    def along(self, x: Input, g: Floats, line: Floats, steps: Iterable[float]) -> Iterator[tuple[float, float]]:
        """(step, relative error of g along a line), one after the other.

        A step that changes nothing says nothing, unless the largest changes nothing either.
        """
        expected, scale = float((g * line).sum()), float(np.linalg.norm(g)) * x.size + self.floor
        for h in steps:
            above, below = self.beside([(x, line)], h)
            with np.errstate(invalid="ignore"):
                off = abs(float(((above - below) * self.u).sum()) / (2 * h) - expected)
            lost = (above == below).all() and not np.equal(*self.beside([(x, line)], self.largest)).all()
            yield h, np.inf if lost or not np.isfinite(off) else off / scale if scale else float(off > 0)

    # -- by element --------------------------------------------------------------------------------------------------

    def element(self, x: Input, e: Evidence, j: int, h: float) -> None:
        """Take down the differences by element j, with step h, and the kink, if there is one within h."""
        above, below = self.beside_element(x, e.place(j), h)
        with np.errstate(invalid="ignore"):
            sent = (self.u * (above - below) / (2 * h)).ravel()
        differ = e.depends(j, (above != below) | (above != self.y))  # both the same, where |x| is 0
        rounding = self.rounds(differ)
        terms = self.size_of(float(np.linalg.norm(self.u * self.y * differ)), rounding / CERTAIN) / x.size
        e.measured(j, sent, self.kink(above, below, h), rounding / h, terms)

    def beside_element(self, x: Input, place: tuple[int, ...], h: float) -> tuple[Floats, Floats]:
        """The values h above an element and h below."""
        value = float(x.start[place])
        try:
            x.move_element(place, value + h)
            above = self.subject.value()
            x.move_element(place, value - h)
            return above, self.subject.value()
        finally:
            x.move_element(place, value)

    def alone(self, x: Input, place: tuple[int, ...], h: float) -> Kink | None:
        """The kink of an element while all others, of all inputs, are a little away. It is still the same, with a
        smaller step too, if it is of this element alone, as that of |x|, and not where several happen to meet."""
        line = [(other, AWAY * other.size * self.random.standard_normal(other.start.shape))
                for other in self.subject.inputs]  # fmt: skip
        next(way for other, way in line if other is x)[place] = 0
        with self.moved(line):
            return self.kink(*self.beside_element(x, place, h), h)

    def kink(self, above: Floats, below: Floats, h: float) -> Kink | None:
        """The kink between x − h and x + h, if any output has another slope above than below."""
        y, u = self.y.ravel(), self.u.ravel()
        plus, minus = (above.ravel() - y) / h, (y - below.ravel()) / h
        larger, own = np.maximum(np.abs(plus), np.abs(minus)), ROUNDING * self.rounding.ravel() / h
        changed = (above.ravel() != y) | (below.ravel() != y)
        noise = own[changed].max(initial=0)  # an op may round all that it changes as the largest, as Fourier does
        bent = np.abs(plus - minus) > BEND * larger + noise
        if not bent.any():
            return None
        slack = float((np.abs(u) * (SLACK * larger + own)).sum())
        low, high = (float(choose(u * plus, u * minus).sum()) for choose in (np.minimum, np.maximum))
        bends = frozenset(np.flatnonzero(bent).tolist())
        simple = bool((np.minimum(np.abs(plus), np.abs(minus)) <= BEND * larger + noise)[bent].all())
        return Kink(bends, float(u @ minus), float(u @ plus), low - slack, high + slack, simple)
