"""What differences along a line say of a gradient; and where an error is, by lines through ever fewer elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import judge
from .evidence import Found, Slope
from .measure import Differences
from .rounding import Line
from .said import Said, Settings
from .subject import Subject
from .thresholds import BLOCK, CERTAIN, DEAR, DRAWN, EPSILON, FINE, LARGEST, ROUGH, SAFE, SAME_NOISE, SINGLE

__all__ = ["Lines"]


@dataclass
class Lines:
    """title: what to call the subject."""

    subject: Subject
    title: str
    d: Differences
    random: np.random.Generator
    settings: Settings

    def line(self, said: Sequence[Said], close: bool = True, least: float = 0.0) -> Found:
        """What differences along one random line through some inputs say. close: even where one of them would do.
        least: the smallest step."""
        line = [(s.x, self.random.standard_normal(s.x.start.shape) * s.x.size) for s in said]
        return self.on(line, said, close, least)

    def on(self, line: Line, said: Sequence[Said], close: bool = True, least: float = 0.0) -> Found:
        d, tolerance = self.d, self.settings.tolerance
        ways = [way for _, way in line]
        expected = float(sum((s.g * way).sum() for s, way in zip(said, ways, strict=True)))
        size = float(np.linalg.norm([s.size for s in said]))
        scale = size + d.floor
        own = judge.rounding_along([s.own for s in said], ways, size + d.size_of(d.terms, d.noise))

        def found(slope: Slope, allowed: float, limit: float) -> Found:
            off, allowed, sure = abs(slope.value - expected), max(allowed, tolerance * scale), allowed <= limit
            error, seen = (off / scale, allowed / scale) if scale else (float(off > 0), 0.0)
            return Found(off <= allowed and (sure or off <= tolerance * scale), sure and off > allowed, error, seen,
                         slope.value)  # fmt: skip

        if not close:
            told = self.at_step(line, found, own, FINE * size)
            if told.right:
                return told
        slopes, tried = d.slopes(line, least), list[Slope]()
        terms = d.size_of(d.terms, d.noise)
        limit = (ROUGH if d.noise < SINGLE * terms else LARGEST) * (size + terms)
        for slope in slopes:
            told = found(slope, slope.rounding + own, limit)
            if told.right:
                return told
            tried.append(slope)
            if judge.exhausted(tried):
                break
            if len(said) > 1 and len(tried) == 2 and slope.kinks > FINE * size:  # none as large will tell
                told = self.at_step(line, found, own, FINE * size)
                if told.right:
                    return told
        if not tried:
            return Found(False, False, np.inf, np.inf, np.nan)
        best = judge.surest(tried)
        told = found(best, SAFE * best.bend + best.rounding + own, FINE * (size + terms))
        if told.right:
            return told
        noise = judge.noise_of([*tried, *slopes])
        terms = d.size_of(d.terms, noise)
        if noise > SAME_NOISE * max(d.noise, EPSILON * terms):
            return told
        best = judge.surest(tried, noise)
        allowed = SAFE * best.bend + max(best.rounding, CERTAIN * noise / best.step) + own
        more = found(best, allowed, LARGEST * (size + terms))
        return more if more.right else told

    def at_step(self, line: Line, found: Callable[[Slope, float, float], Found], own: float, limit: float) -> Found:
        """By one difference, with the step given."""
        first = self.d.slope(line, self.settings.step)
        return found(first, first.rounding + own, limit)

    def elements(self, s: Said, right: bool) -> Iterator[NDArray[np.intp]]:
        """Those to be looked at one by one, as numbers, until some are wrong: all, or of a large input some that are
        drawn by chance. Where a line was not right, and it would take long, first a few, and those of a block that is
        wrong."""
        size, most = s.x.start.size, self.settings.elements
        each = self.d.y.size + sum(int(np.prod(shape)) for shape in self.subject.shapes)
        if not right and (size > most or size * each > DEAR):
            block = self.block(s, min(BLOCK, (most + 1) // 2))
            others = np.delete(np.arange(size), block)
            drawn = self.random.choice(others, min(DRAWN, len(others), most - len(block)), replace=False)
            yield np.union1d(drawn, block)
        yield np.arange(size) if size <= most else np.sort(self.random.choice(size, most, replace=False))

    def block(self, s: Said, most: int) -> NDArray[np.intp]:
        """Neighbours, no more than so many, along which backward is wrong by more than along those beside them."""
        whole = self.random.standard_normal(s.x.start.size) * s.x.size
        begin, end = 0, len(whole)
        off = self.off(s, whole, begin, end)
        while end - begin > most:
            middle = (begin + end) // 2
            left = self.off(s, whole, begin, middle)
            first = abs(left) >= abs(off - left)
            begin, end, off = (begin, middle, left) if first else (middle, end, off - left)
        return np.arange(begin, end)

    def off(self, s: Said, whole: NDArray[np.float64], begin: int, end: int) -> float:
        """By how much backward is wrong along a part of a line."""
        way = np.zeros_like(whole)
        way[begin:end] = whole[begin:end]
        slope = self.d.slope([(s.x, way.reshape(s.x.start.shape))], self.settings.step)
        return slope.value - float(s.g.ravel() @ way)
