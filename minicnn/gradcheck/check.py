"""The check itself: along a line, and where that fails, element by element."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from .error import ROUNDED, GradientError, changing, explained, misshapen, noisy, plain, rounds
from .evidence import Evidence
from .kink import Kink, contenders, kink_between
from .subject import Input, Subject
from .verdict import Verdict

__all__ = ["Check", "Report"]

LADDER = (1.0, 10.0, 0.1, 100.0, 0.01, 1e3, 1e-3)  # the steps to try, in units of the given one
CURVE = tuple(10.0**-n for n in range(1, 12))
FLOOR = 1e-6  # changes of the output this small beside it, for a change of x by its own size, count as none
PATIENCE = 20  # so many wrong elements must be wrong at every step before the others are taken to be


@dataclass
class Report:
    """error: the largest relative error. kinks: how many elements of each input were left out, since they lie at a kink
    or a tie. near: how many lie so near to one that they were checked with a smaller step. moved: how many were checked
    a little away, since all of the input lies at kinks. evaluations: how often the function was called."""

    error: float = 0.0
    kinks: dict[str, int] = field(default_factory=dict)
    near: dict[str, int] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    evaluations: int = 0


@dataclass
class Check:
    title: str
    subject: Subject
    random: np.random.Generator
    step: float
    tolerance: float
    elements: int
    thorough: bool
    report: Report = field(default_factory=Report)
    maps: list[tuple[str, np.ndarray, list[tuple[float, float]]]] = field(default_factory=list)  # to draw

    def run(self) -> Report:
        self.y = self.value()
        self.subject.unchanged("the function")
        if not np.isfinite(self.y).all():
            raise plain(f"{self.title}: the value of the function has elements that are not finite", "output",
                        "not finite", "there is nothing to differentiate: choose other inputs")  # fmt: skip
        self.call_again(1)
        self.u = self.random.standard_normal(self.y.shape)
        self.floor = FLOOR * float(np.abs(self.u * self.y).sum())
        gradients = self.subject.gradients(self.u)
        self.subject.unchanged("backward")
        if not self.subject.linear(self.u, gradients):
            self.call_again(3)
            raise plain(f"{self.title}: backward does not give twice as much for twice gy", "output",
                        "not deterministic", "it keeps something from call to call, as a gradient never set to zero, "
                        "or is no linear function of gy")  # fmt: skip
        for i, (x, gradient) in enumerate(zip(self.subject.inputs, gradients, strict=True)):
            if gradient is not None and gradient.shape != x.start.shape:
                raise misshapen(self.title, x.name, x.start.shape, gradient)
            if x.start.size:
                self.check(i, x, gradient)
        return self.report

    def value(self) -> np.ndarray:
        self.report.evaluations += 1
        return self.subject.value()

    def call_again(self, times: int) -> None:
        """Raise if the function does not give the same every time."""
        for _ in range(times):
            again = self.value()
            if (np.abs(self.y - again) > 1e-9 * np.abs(self.y).max(initial=0)).any():
                raise changing(self.title, self.y, again)

    def check(self, i: int, x: Input, gradient: np.ndarray | None) -> None:
        what = f"{x.name}, shape {x.start.shape}"
        g = np.zeros(x.start.shape) if gradient is None else gradient.astype(np.float64)
        if not self.floor:  # the value is 0 here, but not everywhere
            self.floor = FLOOR * float(np.abs(self.u * self.beside(x, np.full(x.start.shape, x.size))[0]).sum())
        if g.any() and np.isfinite(g).all() and (g == g.astype(np.float32)).all():  # as u is not
            raise plain(f"{self.title}: the gradient of {what}, has come through float32: all its numbers have no "
                        "more than 24 bits", x.name, "single precision", ROUNDED)  # fmt: skip
        direction = self.random.standard_normal(x.start.shape) * x.size
        errors = self.along(x, g, direction, [self.step * rung for rung in LADDER], self.tolerance)
        error = min(errors.values())
        right = error <= self.tolerance
        if right and gradient is None:
            raise plain(f"{self.title}: no gradient reached {what}, and none should", x.name, "input not used",
                        "the function does not depend on it: leave it out, or use it")  # fmt: skip
        if right and not self.thorough:
            self.report.error = max(self.report.error, error)
            return
        if not right:
            self.call_again(3)
        curve = sorted(self.along(x, g, direction, CURVE).items())
        if not right and rounds(curve):
            self.maps.append((x.name, np.full(x.start.shape, np.nan), curve))
            raise noisy(self.title, what, x.name, curve)
        self.look(i, x, g, right, curve)

    # -- along a line ------------------------------------------------------------------------------------------------

    def along(self, x: Input, g: np.ndarray, direction: np.ndarray, steps: Iterable[float],
              enough: float | None = None) -> dict[float, float]:
        """The relative error along a line, by step; no more steps once one is good enough.

        A step that changes nothing says nothing, unless a larger one changes nothing either.
        """
        errors = {}
        expected, scale = float((g * direction).sum()), float(np.linalg.norm(g)) * x.size + self.floor
        for h in steps:
            above, below = self.beside(x, h * direction)
            off = abs(float(((above - below) * self.u).sum()) / (2 * h) - expected)
            lost = (above == below).all() and not np.equal(*self.beside(x, self.step * max(LADDER) * direction)).all()
            errors[h] = np.inf if lost or not np.isfinite(off) else off / scale if scale else float(off > 0)
            if enough is not None and errors[h] <= enough:
                break
        return errors

    def beside(self, x: Input, change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values at x + change and at x − change."""
        try:
            x.move(x.start + change)
            above = self.value()
            x.move(x.start - change)
            return above, self.value()
        finally:
            x.move(x.start)

    # -- element by element ------------------------------------------------------------------------------------------

    def look(self, i: int, x: Input, g: np.ndarray, right: bool, curve: list[tuple[float, float]]) -> None:
        """Find out which elements are wrong, and how; raise if any is."""
        what, size = f"{x.name}, shape {x.start.shape}", x.start.size
        count = min(size, self.elements)
        flat = np.arange(size) if count == size else np.sort(self.random.choice(size, count, replace=False))
        e = Evidence(x.start, self.y, self.u, flat, g.ravel()[flat], self.floor / x.size, self.subject.shapes)
        h = self.step * x.size
        kinks = {j: kink for j in range(count) if (kink := self.measure(x, e, j, h))}
        e.wrong[:] = e.error > self.tolerance
        self.try_other_steps(x, e, kinks, h)
        kinks = {j: kink for j, kink in kinks.items() if e.wrong[j]}
        ties = self.between_slopes(x, e, kinks, h)
        drawn = np.full(size, np.nan)
        drawn[flat] = e.error
        self.maps.append((x.name, drawn.reshape(x.start.shape), curve))
        if e.wrong.any():
            e.uses = [use.ravel()[flat] for use in self.subject.uses(self.u, i)]
            raise explained(self.title, x.name, e, ties)
        if not right:
            self.rounded_away(x, e)
        if len(kinks) == count:
            if x.name in self.report.moved:
                raise plain(f"{self.title}: {what}, was not checked: all of it lies at kinks or ties, moved too",
                            x.name, "kink or tie", f"{kinks[0].told(e, kinks)}: give another input")  # fmt: skip
            self.check_away(i, x)
            return
        if not right and count < size:
            message = (f"{self.title}: the gradient of {what}, is wrong by {min(e for _, e in curve):.2g} along a "
                       f"random line, but in none of {count} elements drawn by chance: look at more with elements=")
            if not kinks:
                raise GradientError(message, x.name)
            raise plain(message, x.name, "kink or tie", f"{len(kinks)} of them lie at a kink or a tie; so may others, "
                        "and then all may be well: move the input away from there")  # fmt: skip
        self.report.error = max(self.report.error, float(np.delete(e.error, list(kinks)).max(initial=0)))
        if kinks:
            self.report.kinks[x.name] = len(kinks)

    def measure(self, x: Input, e: Evidence, j: int, h: float) -> Kink | None:
        """Take the differences by element j, with step h; the kink, if there is one within h."""
        place = e.place(j)
        value = float(x.start[place])
        try:
            x.move_element(place, value + h)
            above = self.value()
            x.move_element(place, value - h)
            below = self.value()
        finally:
            x.move_element(place, value)
        e.measured(j, (self.u * (above - below) / (2 * h)).ravel())
        return kink_between(j, self.y, self.u, above, below, h)

    def try_other_steps(self, x: Input, e: Evidence, kinks: dict[int, Kink], h: float) -> None:
        """What is wrong at one step may be right at others: it was too large, too small, or reached over a kink."""
        patience, changes = PATIENCE, e.sums > 0
        for j in np.flatnonzero(e.wrong & np.isfinite(e.analytic)).tolist():
            if not patience and j not in kinks:
                continue
            own = self.step * abs(float(x.start[e.place(j)]))  # for a small number among large ones
            rungs = [h * rung for rung in LADDER[1:] if j not in kinks or rung < 1]
            for smaller in rungs + [own * rung for rung in LADDER if 0 < own < 0.1 * h]:
                kink = self.measure(x, e, j, smaller)
                if changes[j] and not e.sums[j] and j not in kinks:
                    continue  # the step is lost in rounding
                if not kink and e.error[j] <= self.tolerance:
                    e.wrong[j] = False
                    if j in kinks:
                        self.report.near[x.name] = self.report.near.get(x.name, 0) + 1
                    break
                if not kink and j in kinks and e.error[j] > 1e-2:
                    del kinks[j]  # no kink so near, and wrong all the same
                    break
            else:
                self.measure(x, e, j, h)
                patience -= j not in kinks

    def rounded_away(self, x: Input, e: Evidence) -> None:
        """Raise if backward says 0 of elements where only larger steps change the value, and not over a kink."""
        still = ~(e.sums > 0) & (e.analytic == 0)
        change = np.zeros(x.start.shape)
        change.flat[e.flat[still]] = self.step * max(LADDER) * x.size
        above, below = self.beside(x, change)
        if not np.array_equal(above, below) and not kink_between(0, self.y, self.u, above, below, float(change.max())):
            raise plain(f"{self.title}: {x.name}, shape {x.start.shape}, cannot be checked: small steps are lost in "
                        "rounding, larger ones change the value, and backward says 0", x.name, "single precision",
                        ROUNDED)  # fmt: skip

    def check_away(self, i: int, x: Input) -> None:
        """Check an input all of which lies at kinks a little away from there."""
        home, y = x.start, self.y
        try:
            x.start = home + 0.01 * x.size * self.random.standard_normal(home.shape)
            x.move(x.start)
            self.y = self.value()
            self.report.moved[x.name] = home.size
            self.check(i, x, self.subject.gradients(self.u)[i])
        finally:
            x.start, self.y = home, y
            x.move(home)

    def between_slopes(self, x: Input, e: Evidence, kinks: dict[int, Kink], h: float) -> list[Verdict]:
        """At a kink backward is right if what it says lies between the slopes on both sides: those of one element, and
        those of all that contend for an output, moved together. What passes is wrong no more, nor what is undecided:
        where several kinks meet, as in a deep network, other slopes may come of right choices at each."""
        for j, kink in kinks.items():
            e.wrong[j] = kink.simple and not kink.low <= e.analytic[j] <= kink.high
        ties = [Verdict("kink or tie", kink.told(e, kinks)) for j, kink in kinks.items() if e.wrong[j]]
        for tied in contenders([kink for j, kink in kinks.items() if kink.simple and not e.wrong[j]]):
            change = np.zeros(x.start.shape)
            change.flat[e.flat[tied]] = self.random.uniform(0.5, 1, len(tied))
            together = kink_between(tied[0], self.y, self.u, *self.beside(x, h * change), h)
            said = float((e.analytic[tied] * change.flat[e.flat[tied]]).sum())
            if together and not together.low <= said <= together.high:
                e.wrong[tied] = True
                ties.append(Verdict("kink or tie", f"{kinks[tied[0]].told(e, kinks)}. Moved together, all that contend "
                                    f"change the loss by {together.below:.6g} to {together.above:.6g}, and backward "
                                    f"says {said:.6g}: the gradient belongs to one of them, not to each"))  # fmt: skip
        return ties[:1]
