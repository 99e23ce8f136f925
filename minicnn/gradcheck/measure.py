"""Measuring: differences along a line, by element, and of several elements together; and the kinks between them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence, Floats, Kink
from .subject import Input, Subject
from .thresholds import BEND, FLOOR, LADDER, ROUNDING, SLACK

__all__ = ["Differences"]


@dataclass
class Differences:
    """Differences of L = Σ y · u around the inputs of a subject, where its value is y. step: the first to try, in units
    of the size of an input; largest: the last. floor: changes of L that count as none."""

    subject: Subject
    y: Floats
    u: Floats
    step: float

    def __post_init__(self) -> None:
        self.largest = self.step * max(LADDER)
        self.floor = FLOOR * float(np.abs(self.u * self.y).sum())

    def floor_beside(self, x: Input) -> None:
        """Measure the floor where the value is not 0, as it is here."""
        above, _ = self.beside(x, np.full(x.start.shape, x.size))
        self.floor = FLOOR * float(np.abs(self.u * above).sum())

    def beside(self, x: Input, change: Floats) -> tuple[Floats, Floats]:
        """The values at x + change and at x − change."""
        try:
            x.move(x.start + change)
            above = self.subject.value()
            x.move(x.start - change)
            return above, self.subject.value()
        finally:
            x.move(x.start)

    def along(self, x: Input, g: Floats, line: Floats, steps: Iterable[float]) -> Iterator[tuple[float, float]]:
        """(step, relative error of g along a line), one after the other.

        A step that changes nothing says nothing, unless the largest changes nothing either.
        """
        expected, scale = float((g * line).sum()), float(np.linalg.norm(g)) * x.size + self.floor
        for h in steps:
            above, below = self.beside(x, h * line)
            off = abs(float(((above - below) * self.u).sum()) / (2 * h) - expected)
            lost = (above == below).all() and not np.equal(*self.beside(x, self.largest * line)).all()
            yield h, np.inf if lost or not np.isfinite(off) else off / scale if scale else float(off > 0)

    def element(self, x: Input, e: Evidence, j: int, h: float) -> None:
        """Take down the differences by element j, with step h, and the kink, if there is one within h."""
        place = e.place(j)
        value = float(x.start[place])
        try:
            x.move_element(place, value + h)
            above = self.subject.value()
            x.move_element(place, value - h)
            below = self.subject.value()
        finally:
            x.move_element(place, value)
        sent = (self.u * (above - below) / (2 * h)).ravel()
        e.measured(j, sent, kink_between(self.y, self.u, above, below, h))

    def together(self, x: Input, flat: NDArray[np.intp], weights: Floats, h: float) -> tuple[bool, Kink | None]:
        """Move several elements at once, each by its weight times h: whether the value changes, and the kink."""
        change = np.zeros(x.start.shape)
        change.flat[flat] = weights
        above, below = self.beside(x, h * change)
        return not np.array_equal(above, below), kink_between(self.y, self.u, above, below, h)

    @contextlib.contextmanager
    def moved(self, x: Input, change: Floats) -> Iterator[None]:
        """Inside of ``with`` x starts from elsewhere."""
        home, y = x.start, self.y
        try:
            x.start = home + change
            x.move(x.start)
            self.y = self.subject.value()
            yield
        finally:
            x.start, self.y = home, y
            x.move(home)


def kink_between(y: Floats, u: Floats, above: Floats, below: Floats, h: float) -> Kink | None:
    """The kink between x − h and x + h, if any output has another slope above than below."""
    y, u = y.ravel(), u.ravel()
    plus, minus = (above.ravel() - y) / h, (y - below.ravel()) / h
    larger, own = np.maximum(np.abs(plus), np.abs(minus)), ROUNDING * np.abs(y) / h
    noise = own.max(initial=0)  # an op may round all its outputs as the largest, as Fourier does
    bent = np.abs(plus - minus) > BEND * larger + noise
    if not bent.any():
        return None
    slack = float((np.abs(u) * (SLACK * larger + own)).sum())
    low, high = (float(choose(u * plus, u * minus).sum()) for choose in (np.minimum, np.maximum))
    bends = frozenset(np.flatnonzero(bent).tolist())
    simple = bool((np.minimum(np.abs(plus), np.abs(minus)) <= BEND * larger + noise)[bent].all())
    return Kink(bends, float(u @ minus), float(u @ plus), low - slack, high + slack, simple)
