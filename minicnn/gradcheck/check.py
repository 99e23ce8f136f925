"""The pipe: measure, judge, say. First the function, then each input, then a second look.

measure.py measures; judge.py judges, with verdict.py; say.py says. None of the three calls another: what goes from one
to the next goes through here, look.py and second.py, and what is found wrong is raised there.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from . import judge, say
from .evidence import Floats, Kink
from .explain import where
from .look import Look
from .measure import Differences
from .said import Said, Settings, call_again, said_of
from .say import Report
from .second import Second
from .several import not_right_together
from .subject import Gradients, Input, Subject
from .thresholds import CALLS, INSIDE, PATIENCE, TOGETHER

__all__ = ["Check"]


@dataclass
class Check:
    """maps: to draw, as a Look has them."""

    subject: Subject
    random: np.random.Generator
    step: float
    tolerance: float
    elements: int
    thorough: bool
    search: bool = True
    maps: list[tuple[str, Floats, list[tuple[float, float]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.title = self.subject.title
        self.settings = Settings(self.step, self.tolerance, self.elements, self.thorough, self.search)

    def run(self) -> Report:
        y = self.subject.value()
        self.unchanged("the function")
        if not np.isfinite(y).all():
            raise say.not_finite(self.title)
        call_again(self.subject, self.title, y)
        u = self.random.standard_normal(y.shape)
        gradients, d = self.backward(y, u), Differences(self.subject, y, u, self.step, self.random)
        said = [s for s in said_of(self.subject, u, gradients, d.near()) if s.g.size]
        look = Look(self.subject, self.title, d, self.random, self.settings, maps=self.maps)
        for s in not_right_together(look, said):
            look.along_a_line(s, close=len(said) == 1)
        self.between_inputs(look)
        smooth = [s for s in said if s.x.name not in {*look.report.kinks, *look.report.moved}]
        together = look.line(smooth, least=self.step) if smooth else None  # one line may miss it by chance
        for s in smooth if together and together.wrong else ():
            look.along_a_line(s, close=True)
        Second(look, said).run()
        look.report.evaluations = self.subject.evaluations
        return look.report

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
            call_again(self.subject, self.title, y, CALLS)
            i = self.subject.inputs.index(x)
            always = self.subject.gradients(0 * u)[i]
            if always is not None and judge.doubled(once - always, twice - always):
                raise say.not_of_gy(self.title, x, always, where(self.subject, i, u))
            raise say.not_linear(self.title)
        return gradients

    def unchanged(self, who: str) -> None:
        for x in self.subject.inputs:
            if x.changed:
                raise say.changes_input(self.title, who, x)

    # -- ties --------------------------------------------------------------------------------------------------------

    def between_inputs(self, look: Look) -> None:
        """Move elements of several inputs together that contend for the same outputs, as those of maximum(a, b)."""
        patience = PATIENCE if len(self.subject.inputs) > 1 and look.met and self.subject.whole() else 0
        for group in judge.groups((k, kink) for k, (*_, kink) in enumerate(look.met)):
            tied = [look.met[k] for k in group]
            ways = {s.x.name: (s.x, np.zeros(s.x.start.shape)) for s, *_ in tied}
            if len(ways) < 2:
                if patience:
                    self.with_others(look, tied)
                patience = max(0, patience - 1)
                continue
            weights = self.random.uniform(*TOGETHER, len(tied))
            for (s, place, _), weight in zip(tied, weights, strict=True):
                ways[s.x.name][1].flat[place] = weight
            said = float(sum(s.g.flat[place] * weight for (s, place, _), weight in zip(tied, weights, strict=True)))
            h = INSIDE * self.step * max(x.size for x, _ in ways.values())
            kink = look.d.kink(*look.d.beside(list(ways.values()), h), h)
            if kink and judge.contended([alone for *_, alone in tied], weights, kink, said):
                raise say.tie_between(self.title, [x for x, _ in ways.values()], kink, said)

    def with_others(self, look: Look, tied: Sequence[tuple[Said, int, Kink]]) -> None:
        """Move elements of one input that lie at kinks, and all that sends to the same outputs: half of the gradient of
        a maximum looks right alone, and with all of it for the other it is too much."""
        d = copy.copy(look.d)
        d.u = np.zeros_like(d.u)
        outputs = sorted(frozenset[int]().union(*(kink.outputs for *_, kink in tied)))
        d.u.flat[outputs] = look.d.u.flat[outputs]
        at = [place for _, place, _ in tied]
        line, others = list[tuple[Input, Floats]](), 0.0
        for x, g in zip(self.subject.inputs, self.subject.gradients(d.u), strict=True):
            g = np.zeros(x.start.shape) if g is None else g.astype(np.float64)
            way = self.random.uniform(*TOGETHER, x.start.shape) * (g != 0)
            if x is tied[0][0].x:
                way.flat[at] = weights = self.random.uniform(*TOGETHER, len(at))
                own = float((g.flat[at] * weights).sum())
                others -= own
            line.append((x, way))
            others += float((g * way).sum())
        h = INSIDE * self.step * max(x.size for x, _ in line)
        kink = d.kink(*d.beside(line, h), h)
        if kink:  # without what the others add, to compare it with that of the tied alone
            rest = replace(kink, below=kink.below - others, above=kink.above - others, low=kink.low - others,
                           high=kink.high - others)  # fmt: skip
            if judge.contended([alone for *_, alone in tied], weights, rest, own):
                raise say.tie_between(self.title, [x for x, way in line if way.any()], kink, own + others)
