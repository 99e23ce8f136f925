"""The pipe: measure, judge, say. First the function, then each input along a line, and where that fails by element.

measure.py measures; judge.py judges, with verdict.py; say.py says. None of the three calls another: what goes from one
to the next goes through here, and what is found wrong is raised here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import judge, say
from .evidence import Evidence, Floats
from .explain import explain
from .measure import Differences
from .say import Report
from .subject import Gradients, Input, Subject, WrongShape
from .thresholds import AWAY, CALLS, CURVE, LADDER, PATIENCE, TOGETHER
from .verdict import Verdict

__all__ = ["Check"]


@dataclass
class Check:
    """thorough: look at the elements of what is right, too. maps: to draw, of each input that was looked at by element:
    its name, the error of every element, and (step, error) along a line."""

    subject: Subject
    random: np.random.Generator
    step: float
    tolerance: float
    elements: int
    thorough: bool
    search: bool = True
    maps: list[tuple[str, Floats, list[tuple[float, float]]]] = field(default_factory=list)
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self.title = self.subject.title

    def run(self) -> Report:
        y = self.subject.value()
        self.unchanged("the function")
        if not np.isfinite(y).all():
            raise say.not_finite(self.title)
        self.call_again(y)
        u = self.random.standard_normal(y.shape)
        gradients = self.backward(y, u)
        differences = Differences(self.subject, y, u, self.step)
        for i, (x, gradient) in enumerate(zip(self.subject.inputs, gradients, strict=True)):
            if gradient is not None and gradient.shape != x.start.shape:
                raise WrongShape(x.name, x.start.shape, gradient)
            if x.start.size:
                self.along_a_line(differences, i, x, gradient)
        self.report.evaluations = self.subject.evaluations
        return self.report

    # -- the function and its backward -------------------------------------------------------------------------------

    def backward(self, y: Floats, u: Floats) -> Gradients:
        """The gradients; twice u must give twice as much."""
        gradients = self.subject.gradients(u)
        self.unchanged("backward")
        for x, once, twice in zip(self.subject.inputs, gradients, self.subject.gradients(2 * u), strict=True):
            if once is None or twice is None or judge.doubled(once, twice):
                continue
            if judge.same(once, twice):
                raise say.gy_not_used(self.title, x)
            self.call_again(y, CALLS)
            raise say.not_linear(self.title)
        return gradients

    def unchanged(self, who: str) -> None:
        for x in self.subject.inputs:
            if x.changed:
                raise say.changes_input(self.title, who, x)

    def call_again(self, y: Floats, times: int = 1) -> None:
        for _ in range(times):
            again = self.subject.value()
            if not judge.same(y, again):
                raise say.not_same(self.title, y, again)

    # -- one input ---------------------------------------------------------------------------------------------------

    def along_a_line(self, d: Differences, i: int, x: Input, gradient: np.ndarray | None) -> None:
        """Check an input along one random line; by element only where that fails, or all is to be drawn."""
        g = np.zeros(x.start.shape) if gradient is None else gradient.astype(np.float64)
        if not d.floor:
            d.floor_beside(x)
        if judge.single_gradient(g):
            raise say.single_gradient(self.title, x)
        line = self.random.standard_normal(x.start.shape) * x.size
        error = np.inf
        for _, at_step in d.along(x, g, line, [self.step * rung for rung in LADDER]):
            error = min(error, at_step)
            if error <= self.tolerance:
                break
        right = error <= self.tolerance
        if right and gradient is None:
            raise say.no_gradient(self.title, x)
        if right and not self.thorough:
            self.report.error = max(self.report.error, error)
            return
        if not right:
            self.call_again(d.y, CALLS)
        curve = sorted(d.along(x, g, line, CURVE))
        if not right and judge.single(curve):
            self.maps.append((x.name, np.full(x.start.shape, np.nan), curve))
            raise say.single(self.title, x, curve)
        self.by_element(d, i, x, g, right, curve)

    def by_element(self, d: Differences, i: int, x: Input, g: Floats, right: bool,
                   curve: list[tuple[float, float]]) -> None:  # fmt: skip
        """Check the elements of an input one by one, or some of them. right, curve: what was found along the line."""
        size = x.start.size
        count = min(size, self.elements)
        flat = np.arange(size) if count == size else np.sort(self.random.choice(size, count, replace=False))
        e = Evidence(x.start, d.y, d.u, flat, g.ravel()[flat], d.floor / x.size, self.subject.shapes)
        for j in range(count):
            d.element(x, e, j, self.step * x.size)
        e.wrong[:] = e.error > self.tolerance
        self.measure_again(d, x, e)
        self.at_kinks(d, x, e)
        self.maps.append((x.name, e.spread(e.error), curve))
        if e.wrong.any():
            e.uses = [use.ravel()[flat] for use in self.subject.uses(d.u, i)]
            raise say.wrong(self.title, x, e, judge.mistakes(e, self.explained(i, x, e, g)))
        if not right and self.lost_in_rounding(d, x, e):
            raise say.lost_in_rounding(self.title, x)
        if len(e.kinks) == count:
            self.elsewhere(d, i, x, e)
            return
        if not right and count < size:
            raise say.not_found(self.title, x, e, min(error for _, error in curve))
        self.report.error = max(self.report.error, float(np.delete(e.error, list(e.kinks)).max(initial=0)))
        if e.kinks:
            self.report.kinks[x.name] = len(e.kinks)

    def explained(self, i: int, x: Input, e: Evidence, g: Floats) -> list[Verdict]:
        """What slip in backward, undone, makes the gradient right; none where that is not known."""
        source = self.subject.source
        if not (source and i < len(source.real) and self.search and e.complete and np.isfinite(g).all()) or e.kinks:
            return []
        return explain(source, i, e.u, g, e.spread(e.numeric), e.spread(e.scale))

    def measure_again(self, d: Differences, x: Input, e: Evidence) -> None:
        """What looks wrong at one step is measured at others, until one of them tells."""
        patience, changes = PATIENCE, e.sums > 0
        for j in np.flatnonzero(e.wrong & np.isfinite(e.analytic)).tolist():
            at_kink = j in e.kinks
            if not patience and not at_kink:
                continue
            right = None
            for h in judge.other_steps(float(x.start[e.place(j)]), x.size, self.step, at_kink):
                d.element(x, e, j, h)
                right = judge.at_step(e, j, self.tolerance, at_kink, bool(changes[j]))
                if right is not None:
                    break
            e.wrong[j] = not right
            if right and at_kink:
                self.report.near[x.name] = self.report.near.get(x.name, 0) + 1
            if right is None:  # none of them did: as at first
                d.element(x, e, j, self.step * x.size)
                patience -= not at_kink

    def at_kinks(self, d: Differences, x: Input, e: Evidence) -> None:
        """Judge the elements at kinks: one by one, and all that contend for an output moved together."""
        judge.at_kinks(e)
        for tied in judge.contenders(e):
            weights = self.random.uniform(*TOGETHER, len(tied))
            _, kink = d.together(x, e.flat[tied], weights, self.step * x.size)
            judge.together(e, tied, weights, kink)

    def lost_in_rounding(self, d: Differences, x: Input, e: Evidence) -> bool:
        """Whether backward says 0 of elements where only larger steps change the value, and not over a kink."""
        still = e.flat[~(e.sums > 0) & (e.analytic == 0)]
        changes, kink = d.together(x, still, np.ones(len(still)), d.largest * x.size)
        return changes and not kink

    def elsewhere(self, d: Differences, i: int, x: Input, e: Evidence) -> None:
        """Check an input all of which lies at kinks a little away from there."""
        if x.name in self.report.moved:
            raise say.all_at_kinks(self.title, x, e)
        with d.moved(x, AWAY * x.size * self.random.standard_normal(x.start.shape)):
            self.report.moved[x.name] = x.start.size
            self.along_a_line(d, i, x, self.subject.gradients(d.u)[i])
