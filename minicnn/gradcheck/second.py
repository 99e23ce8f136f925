"""A second look, a little away from the inputs: what is right at the given ones alone is a mistake that they hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import judge
from .evidence import Floats
from .look import Look
from .rounding import Line
from .said import Said, said_of
from .say import GradientError
from .say_second import right_only_here
from .subject import Input
from .thresholds import AWAY, FINE, HUGE, KEEPS, MANY, NEARER

__all__ = ["Second", "constrained", "special"]


def constrained(x: Floats) -> bool:
    """Whether numbers look as if they obey something that moving them would break: ones and zeros, as of labels and
    masks; whole numbers; few different ones; rows that add up to 1; rows of norm 1.

    Not so those that hide mistakes: one number all over, as 1 or 0, and a symmetric matrix.
    """
    values = different(x)
    if len(values) < 2:
        return False
    few = np.isin(values, (-1, 0, 1)).all() or (len(values) == 2 < x.size) or 2 * len(values) <= min(x.size, MANY)
    whole = (x == np.round(x)).all() and not is_symmetric(x)
    huge = (np.abs(x) > HUGE).any()
    axes = [axis for axis, n in enumerate(x.shape) if n > 1]
    ones = any((np.abs(of.sum(axis) - 1) < KEEPS).all() for axis in [*axes, None] for of in (x, x * x))
    return bool(few or whole or huge or ones)


def different(x: Floats) -> Floats:
    """The different numbers of an array, or of so many of its elements as tell whether they are few."""
    return np.unique(x if x.size <= MANY else x.flat[:: x.size // MANY][:MANY])


def is_symmetric(x: Floats) -> bool:
    return x.ndim == 2 and x.shape[0] == x.shape[1] > 1 and np.array_equal(x, x.T)


def special(x: Input) -> str:
    """What of an input may hide a mistake."""
    values = different(x.start)
    if len(values) == 1:
        return f"{x.name} is {values[0]:.6g}{' all over' if x.start.size > 1 else ''}"
    return f"{x.name} is symmetric" if is_symmetric(x.start) else ""


def expected(said: Sequence[Said], line: Line) -> float:
    """∂L along a line, as backward says."""
    return float(sum((s.g * way).sum() for s, (_, way) in zip(said, line, strict=True)))


@dataclass
class Second:
    """look: the first. said: what backward says at the inputs given."""

    look: Look
    said: Sequence[Said]

    def run(self) -> None:
        """Where the function is not defined a little away, or raises, that is not held against it."""
        self.special = [special(s.x) for s in self.said]
        self.ways = [self.look.random.standard_normal(s.x.start.shape) * s.x.size for s in self.said]
        for by_size in (True, False):
            line = [(s.x, way) for s in self.said if (way := self.way(s.x, by_size)).any()]
            if not line:
                return
            try:
                with np.errstate(all="ignore"):
                    if not self.right(line) and self.converges(line):
                        self.name(line)
                return
            except GradientError:
                raise
            except (ArithmeticError, AssertionError, LookupError, ValueError):
                continue

    def way(self, x: Input, by_size: bool) -> Floats:
        """How an input is moved. What lies at kinks stays, and all zeros among others; so does what backward is not
        asked for, and what obeys a constraint."""
        report, zero = self.look.report, np.zeros(x.start.shape)
        if x.name in report.kinks or x.name in report.moved or x.fixed or constrained(x.start):
            return zero
        way = AWAY * self.look.random.standard_normal(x.start.shape) * (x.size if by_size else x.start)
        return way * (x.start != 0) if x.start.any() else way

    def here(self, said: Sequence[Said]) -> tuple[list[Said], Line]:
        """Of these inputs a line that keeps away from known kinks."""
        kept, line = [], []
        for s, way in zip(said, self.ways, strict=True):
            kinks = self.look.kinked.get(s.x.name)
            if s.x.name in self.look.report.moved or (kinks is not None and not kinks[0]):
                continue
            way.flat[kinks[1] if kinks else []] = 0
            kept.append(s)
            line.append((s.x, way))
        return kept, line

    def right(self, line: Line) -> bool:
        """By one difference; True, too, where that is not finite."""
        d = self.look.d
        with self.look.subject.moved(line):
            gradients = self.look.subject.gradients(d.u)
            said = [replace(s, g=np.zeros(s.x.start.shape) if g is None else g.astype(np.float64))
                    for s, g in zip(self.said, gradients, strict=True)]  # fmt: skip
            said, way = self.here(said)
            first = d.slope(way, self.look.settings.step)
        off = abs(first.value - expected(said, way))
        size = float(np.linalg.norm([s.size for s in said]))
        if not np.isfinite(off):
            raise ArithmeticError("gradcheck: not defined there")
        return off <= max(FINE, self.look.settings.tolerance) * size + first.rounding

    def converges(self, line: Line) -> bool:
        """Whether backward is wrong a little away, and ever less so nearer to the inputs given; what stays wrong at any
        distance is another function's, as of a label that is no whole number any more."""
        self.errors: list[float] = []
        for near in NEARER:
            with self.look.d.moved([(x, near * way) for x, way in line]):
                off = self.off()
            if off is None:
                return len(self.errors) > 1
            if self.errors and off > self.errors[-1] / 2:
                return False
            self.errors.append(off)
        return True

    def off(self) -> float | None:
        """By how much backward is wrong where the inputs are now; None if it is not, or that cannot be told."""
        d, look = self.look.d, self.look
        gradients = look.subject.gradients(d.u) if d.y.shape == d.u.shape and np.isfinite(d.y).all() else []
        if not gradients or not all(np.isfinite(g).all() for g in gradients if g is not None):
            raise ArithmeticError("gradcheck: not defined there")
        said, line = self.here(said_of(look.subject, d.u, gradients, d.near()))
        found = look.on(line, said)
        return abs(found.slope - expected(said, line)) if found.wrong else None

    def name(self, line: Line) -> None:
        """Raise what is wrong at the farthest, with the mistake that it looks like."""
        look, d = self.look, self.look.d
        with d.moved(line):
            away = Look(look.subject, look.title, d, look.random, replace(look.settings, thorough=False))
            for s in said_of(look.subject, d.u, look.subject.gradients(d.u), d.near()):
                found = away.line([s]) if s.g.size else None
                if not found or found.right:
                    continue
                try:
                    away.by_element(s, found, [])
                except GradientError as error:
                    if error.numeric is not None and not judge.only_kinks(error.verdicts):
                        raise right_only_here(error, self.errors, [AWAY * n for n in NEARER],
                                              [text for text in self.special if text]) from None  # fmt: skip
