"""A look at each input: along a line, and where that fails by element."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from . import judge, reading, say
from .evidence import Evidence, Floats, Found, Kink
from .explain import explain
from .lines import Lines
from .said import Said, call_again, said_of
from .say import GradientError, Report
from .subject import Input
from .thresholds import AWAY, CALLS, CERTAIN, CURVE, FAR, HURRY, INSIDE, LARGEST, PATIENCE, TOGETHER

__all__ = ["Look"]


@dataclass
class Look(Lines):
    """maps: to draw, of each input that was looked at by element: its name, the error of every element, and (step,
    error) along a line. met: elements at kinks, and what backward says of them. kinked: of an input with kinks, whether
    all of it was looked at, and where they are."""

    report: Report = field(default_factory=Report)
    maps: list[tuple[str, Floats, list[tuple[float, float]]]] = field(default_factory=list)
    met: list[tuple[Said, int, Kink]] = field(default_factory=list)
    kinked: dict[str, tuple[bool, NDArray[np.intp]]] = field(default_factory=dict)

    # -- along a line ------------------------------------------------------------------------------------------------

    def along_a_line(self, s: Said, close: bool = False) -> None:
        """Check an input along a line; by element only where that fails, or all is to be drawn."""
        x, d = s.x, self.d
        found = self.line([s], close)
        if found.right and s.nothing:
            raise say.no_gradient(self.title, x)
        if found.right and not self.settings.thorough:
            self.seen(found.error, found)
            return
        # what a backward leaves that adds up to 0
        bare = 0 < s.size <= min(s.rounding, LARGEST * d.size_of(d.terms, d.noise))
        if not found.right and not bare and judge.single_gradient(s.g):
            raise say.single_gradient(self.title, x)
        if not found.right:
            call_again(self.subject, self.title, d.y, CALLS)
        curve = sorted(d.along(x, s.g, self.random.standard_normal(x.start.shape) * x.size, CURVE))
        bare &= found.error * (s.size + d.floor) <= s.rounding
        if not found.right and (bare or judge.cannot_tell(found, s.size, d.y, d.u, d.noise, d.terms)):
            self.report.untold[x.name] = x.start.size
            self.seen(found.error, found)
            return
        double = judge.digits_lost(d.y, d.u, d.noise, d.terms) or not judge.single(curve, s.size + d.floor, d.terms)
        if found.right or double:
            self.by_element(s, found, curve)
            return
        drawn = len(self.maps)
        with contextlib.suppress(GradientError):  # of kinks nearby one by one are told, and rounding is not
            if judge.another_slope(curve):
                self.by_element(s, found, curve)
                return
        self.maps[drawn:] = [(x.name, np.full(x.start.shape, np.nan), curve)]
        raise say.single(self.title, x, curve)

    def seen(self, error: float, found: Found) -> None:
        self.report.error = max(self.report.error, error)
        self.report.resolution = max(self.report.resolution, found.seen)

    # -- by element --------------------------------------------------------------------------------------------------

    def by_element(self, s: Said, found: Found, curve: list[tuple[float, float]]) -> None:
        """Check the elements of an input one by one, or some of them. found, curve: what was found along a line."""
        x, d = s.x, self.d
        for flat in self.elements(s, found.right):
            e, told = self.evidence(s, flat)
            if not (found.right or e.wrong.any()):
                if self.lost_in_rounding(x, e):
                    raise say.lost_in_rounding(self.title, x)
                if not e.kinks:
                    e.wrong[:] = [j not in told and not self.closely(s, e, j) for j in range(len(flat))]
            if e.wrong.any():
                break
        self.maps.append((x.name, e.spread(e.error), curve))
        if e.wrong.any():
            i = next(i for i, known in enumerate(self.subject.inputs) if known is x)
            e.uses = [use.ravel()[flat] for use in self.subject.uses(d.u, i)]
            slips = explain(self.subject, i, e, s.g) if self.settings.search else []
            raise say.wrong(self.title, x, e, reading.small(e) or reading.mistakes(e, slips))
        self.looked_at(s, found, e)

    def evidence(self, s: Said, flat: NDArray[np.intp]) -> tuple[Evidence, set[int]]:
        """What is measured of some elements one by one, and judged; and which of them were told right near a kink."""
        x, d = s.x, self.d
        e = Evidence(x.start, d.y, d.u, flat, s.g.ravel()[flat], CERTAIN * s.own.ravel()[flat],
                     self.settings.tolerance, d.floor / x.size, self.subject.shapes)  # fmt: skip
        for j in range(len(flat)):
            d.element(x, e, j, self.settings.step * x.size)
        e.wrong[:] = e.off > e.allowed
        told = self.measure_again(s, e)
        self.at_kinks(x, e)
        return e, told

    def looked_at(self, s: Said, found: Found, e: Evidence) -> None:
        """Count what is right, and what was left out of it."""
        x, flat, count = s.x, e.flat, len(e.flat)
        if x.name not in self.report.moved:
            self.met += [(s, int(flat[j]), kink) for j, kink in e.kinks.items() if kink.simple]
        if len(e.kinks) == count:
            self.elsewhere(x, e)
            return
        if not (found.right or e.complete):
            if found.wrong or e.kinks:
                raise say.not_found(self.title, x, e, found.error)
            self.report.untold[x.name] = x.start.size - count
        error, seen = (float(np.delete(of, list(e.kinks)).max(initial=0)) for of in (e.error, e.allowed / e.units))
        self.seen(error, found if found.right else replace(found, seen=seen))
        if e.kinks:
            self.report.kinks[x.name] = len(e.kinks)
            self.kinked[x.name] = e.complete, flat[list(e.kinks)]

    def measure_again(self, s: Said, e: Evidence) -> set[int]:
        """What looks wrong at one step is measured at others, until one of them tells. What they told is right near a
        kink is returned: larger steps would tell of the kink."""
        x, step, patience, told = s.x, self.settings.step, PATIENCE, set[int]()
        for j in np.flatnonzero(e.wrong & np.isfinite(e.analytic)).tolist():
            if j not in e.kinks:
                cost = HURRY if e.error[j] > FAR else 1
                e.wrong[j] = not (patience > 0 and self.closely(s, e, j))
                patience -= cost if e.wrong[j] else 0
                continue
            for h in judge.smaller_steps(float(x.start[e.place(j)]), x.size, step):
                self.d.element(x, e, j, h)
                right = judge.at_step(e, j)
                if right is not None:
                    e.wrong[j] = not right
                    break
            else:  # none of them told
                self.d.element(x, e, j, INSIDE * step * x.size)
                if j not in e.kinks and e.off[j] <= e.rounding[j] + e.own[j]:
                    e.wrong[j] = False
                    told.add(j)
                    self.counted(self.report.untold, x)
                    continue
            if not e.wrong[j]:
                told.add(j)
                self.counted(self.report.near, x)
        return told

    def counted(self, counts: dict[str, int], x: Input) -> None:
        counts[x.name] = counts.get(x.name, 0) + 1

    def closely(self, s: Said, e: Evidence, j: int) -> bool:
        """Whether an element is right, as closely as rounding lets one see, or may be, which is counted. Takes down the
        nearest difference."""
        way, untold = np.zeros(s.x.start.shape), False
        for size in judge.sizes(float(s.x.start[e.place(j)]), s.x.size):
            way[e.place(j)] = size
            found = self.on([(s.x, way)], [s])
            if found.right or (size == s.x.size and np.isfinite(found.slope)):
                e.numeric[j] = found.slope / size
            if found.right:
                return True
            untold |= found.error <= found.seen < np.inf
        if untold:
            self.counted(self.report.untold, s.x)
        return untold

    def at_kinks(self, x: Input, e: Evidence) -> None:
        """Judge the elements at kinks: one by one, and all that contend for an output moved together."""
        step = self.settings.step * x.size
        h = INSIDE * step
        for j in judge.just_outside(e):
            steps = [step * INSIDE ** (0.5 * n) for n in (1, 2, 3, 4)]
            nearer = (self.d.kink(*self.d.beside_element(x, e.place(j), by), by) for by in steps)
            e.kinks[j] = next((kink for kink in nearer if kink and kink.allows(e.analytic[j])), e.kinks[j])
        whole = bool(e.kinks) and self.subject.whole()
        odd = judge.outside(e)[:PATIENCE] if whole else []
        judge.at_kinks(e, {j for j in odd if judge.same_kink(e.kinks[j], self.d.alone(x, e.place(j), h / 2))})
        for tied in [*judge.contenders(e), *(judge.corners(e) if whole else [])]:
            weights = self.random.uniform(*TOGETHER, len(tied))
            if not e.kinks[tied[0]].simple:  # where what backward says grows fastest
                weights *= np.where(e.analytic[tied] < 0, -1, 1)
            said = float((e.analytic[tied] * weights).sum())
            kink = self.contend(x, e, tied, weights, said, h)
            if kink and all(self.contend(x, e, tied, weights, said, by) for by in (step * INSIDE**0.5, step)):
                judge.tied(e, tied, kink, said)

    def contend(self, x: Input, e: Evidence, tied: list[int], weights: Floats, said: float, h: float) -> Kink | None:
        """The kink of elements moved together, if what backward says of them does not lie between its slopes, nor is it
        made of what each is alone. Alone each moves as far: a kink nearer than that adds its share."""
        way = np.zeros(x.start.shape)
        way.flat[e.flat[tied]] = weights
        kink = self.d.kink(*self.d.beside([(x, way)], h), h)
        if kink is None or not judge.contended([e.kinks[j] for j in tied], weights, kink, said):
            return None
        steps = [(j, h * abs(w)) for j, w in zip(tied, weights, strict=True)]
        alone = [self.d.kink(*self.d.beside_element(x, e.place(j), by), by) or e.kinks[j] for j, by in steps]
        return kink if judge.contended(alone, weights, kink, said) else None

    def lost_in_rounding(self, x: Input, e: Evidence) -> bool:
        """Whether backward says 0 of elements where only larger steps change the value, and not over a kink."""
        h = self.d.largest * x.size
        for j in np.flatnonzero(~(e.sums > 0) & (e.analytic == 0))[:PATIENCE].tolist():
            way = np.zeros(x.start.shape)
            way[e.place(j)] = 1  # alone: kinks on both sides of two would look like a slope
            above, below = self.d.beside([(x, way)], h)
            changes = not (np.array_equal(above, self.d.y) or np.array_equal(below, self.d.y))  # on both sides
            slopes = np.abs(above - below).sum() > np.abs(above + below - 2 * self.d.y).sum()  # not as x⁴ does at 0
            if changes and slopes and not self.d.kink(above, below, h):
                return True
        return False

    def elsewhere(self, x: Input, e: Evidence) -> None:
        """Check an input all of which lies at kinks a little away from there."""
        if x.name in self.report.moved:
            raise say.all_at_kinks(self.title, x, e)
        with self.d.moved([(x, AWAY * x.size * self.random.standard_normal(x.start.shape))]):
            self.report.moved[x.name] = x.start.size
            gradients = self.subject.gradients(self.d.u)
            said = said_of(self.subject, self.d.u, gradients, self.d.near())
            self.along_a_line(next(s for s in said if s.x is x))
