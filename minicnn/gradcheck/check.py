"""gradcheck itself: along a line, and where that fails, element by element."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .error import ROUNDED, GradientError, changing, explained, misshapen, noisy, plain, rounds
from .evidence import Evidence
from .kink import Kink, kink_between
from .subject import Input, Subject, of_arrays, of_tensors
from .verdict import Verdict

__all__ = ["Report", "gradcheck"]

LADDER = (1.0, 10.0, 0.1, 100.0, 0.01, 1e3, 1e-3)  # the steps to try, in units of the given one
CURVE = tuple(10.0**-n for n in range(1, 12))
OURS = (0x67726164, 0x63686563)  # our own stream: inputs drawn by default_rng(0) must not be u over again
FLOOR = 1e-6  # changes of the output this small beside it, for a change of x by its own size, count as none
PATIENCE = 20  # so many wrong elements must be wrong at every step before the others are taken to be


@dataclass
class Report:
    """error: the largest relative error. kinks: how many elements of each input were left out, since they lie at a kink
    or a tie. near: how many lie so near to one that they were checked with a smaller step. evaluations: how often the
    function was called."""

    error: float = 0.0
    kinks: dict[str, int] = field(default_factory=dict)
    near: dict[str, int] = field(default_factory=dict)
    evaluations: int = 0


def gradcheck(function: Callable[..., Any], *inputs: Any, backward: Callable[..., Any] | None = None,
              parameters: Iterable[Any] = (), seed: int = 0, step: float = 1e-6, tolerance: float = 1e-6,
              elements: int = 500, picture: Any = None) -> Report:
    """Hold ∂L/∂x by backward against (L(x + h) − L(x − h)) / 2h, in float64, for L = Σ y · u with a random u.

    First along one random line for each input, which takes two evaluations; only where that fails, element by element,
    to find out what is wrong. (With u all ones, an error that cancels in the sum, as any softmax's, would go unseen.)

    function: takes tensors like ``inputs`` and returns a tensor y: an op, a layer, a model with its loss. Or takes and
        returns NumPy arrays, if there is a
    backward: a hand-written backward(gy, *inputs), which returns ∂L/∂input for each input (or for the only one), None
        where an input has no gradient. It is called right after function(*inputs).
    inputs: arrays or tensors, on any devices. Real numbers are checked; labels and the like pass through.
    parameters: tensors that function uses besides, or (name, tensor) as from ``model.named_parameters()``; checked too,
        in float64, and put back afterwards. Those of a layer given as the function are found without.
    seed: of u, the lines, and the choice of elements. step: h, in units of the root mean square of the input.
    tolerance: of the error, in units of what is added up to make the gradient. elements: at most so many of an input
        are looked at one by one.
    picture: a file for a picture: the relative error of every element, and over the size of the step. With it, all
        inputs are looked at element by element.

    Where a step is too large or too small for a function, others are tried. An element at a kink or a tie, as 0 is to
    ReLU, has no derivative: it is found out, left out and counted, once what backward says there was seen to lie
    between the slopes on both sides.

    Raises GradientError, which says which input, which elements, and what mistake that looks like.
    """
    if elements < 1 or not step > 0 or not tolerance > 0:
        raise ValueError(f"gradcheck: elements {elements}, step {step}, tolerance {tolerance}: all must be above 0")
    with contextlib.ExitStack() as stack:
        subject = (of_arrays(function, inputs, backward) if backward
                   else stack.enter_context(of_tensors(function, inputs, parameters)))  # fmt: skip
        check = _Check(subject.title, subject, np.random.default_rng((seed, *OURS)), step, tolerance, elements, bool(picture))
        try:
            return check.run()
        finally:
            if picture:
                from ..plots import draw_gradcheck  # needs matplotlib

                draw_gradcheck(subject.title, check.maps, picture)


@dataclass
class _Check:
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
        if not np.isfinite(self.y).all():
            raise plain(f"{self.title}: the value of the function has elements that are not finite", "output",
                        "not finite", "there is nothing to differentiate: choose other inputs")  # fmt: skip
        self.call_again(1)
        self.u = self.random.standard_normal(self.y.shape)
        self.floor = FLOOR * float(np.abs(self.u * self.y).sum())
        gradients = self.subject.gradients(self.u)
        for i, (x, gradient) in enumerate(zip(self.subject.inputs, gradients, strict=True)):
            if gradient is not None and gradient.shape != x.start.shape:
                raise misshapen(self.title, x.name, x.start.shape, gradient)
            if x.start.size:
                self.check(i, x, gradient)
        return self.report

    def value(self) -> np.ndarray:
        self.report.evaluations += 1
        return np.array(self.subject.value(), np.float64)

    def call_again(self, times: int) -> None:
        """Raise if the function does not give the same every time."""
        for again in (self.value() for _ in range(times)):
            if (np.abs(self.y - again) > 1e-9 * np.abs(self.y).max(initial=0)).any():
                raise changing(self.title, self.y, again)

    def check(self, i: int, x: Input, gradient: np.ndarray | None) -> None:
        what = f"{x.name}, shape {x.start.shape}"
        g = np.zeros(x.start.shape) if gradient is None else gradient.astype(np.float64)
        if g.any() and (g == g.astype(np.float32)).all():  # as u is not
            raise plain(f"{self.title}: the gradient of {what}, has come through float32: all its numbers have no more "
                        "than 24 bits", x.name, "single precision", ROUNDED)  # fmt: skip
        direction = self.random.standard_normal(x.start.shape) * x.size
        errors = self.along(x, g, direction, [self.step * rung for rung in LADDER], self.tolerance)
        error = min(errors.values())
        right = error <= self.tolerance
        if right and gradient is None:
            raise plain(f"{self.title}: no gradient reached {what}, and none should", x.name,
                        "zero where it should not be", "the function does not depend on it: leave it out, or use it")
        if right and not self.thorough:
            self.report.error = max(self.report.error, error)
            return
        self.call_again(0 if right else 3)
        curve = sorted(self.along(x, g, direction, CURVE).items())
        if not right and rounds(curve):
            self.maps.append((x.name, np.full(x.start.shape, np.nan), curve))
            raise noisy(self.title, what, x.name, curve)
        self.look(i, x, g, right, curve)

    # -- along a line ------------------------------------------------------------------------------------------------

    def along(self, x: Input, g: np.ndarray, direction: np.ndarray, steps: Iterable[float],
              enough: float = -1.0) -> dict[float, float]:
        """The relative error along a line, by step; no more steps once one is good enough."""
        errors = {}
        expected, scale = float((g * direction).sum()), float(np.linalg.norm(g)) * x.size + self.floor
        for h in steps:
            above, below = self.beside(x, h * direction)
            off = abs(float(((above - below) * self.u).sum()) / (2 * h) - expected)
            relative = off / scale if scale else off and np.inf
            errors[h] = relative if np.isfinite(relative) else np.inf
            if errors[h] <= enough:
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
        if len(kinks) == count:
            raise plain(f"{self.title}: {what}, was not checked: every element lies at a kink or a tie", x.name,
                        "kink or tie", f"{kinks[0].told(e, kinks)}: move the input away from there")  # fmt: skip
        if not right and count < size and not kinks:
            raise GradientError(f"{self.title}: the gradient of {what}, is wrong by {min(curve)[1]:.2g} along a random "
                                f"line, but in none of {count} elements drawn by chance: look at more with elements=",
                                x.name)  # fmt: skip
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
        patience = PATIENCE
        for j in np.flatnonzero(e.wrong & np.isfinite(e.analytic)).tolist():
            if not patience and j not in kinks:
                continue
            for rung in LADDER[1:]:
                kink = self.measure(x, e, j, h * rung)
                if not kink and e.error[j] <= self.tolerance:
                    e.wrong[j] = False
                    if j in kinks:
                        self.report.near[x.name] = self.report.near.get(x.name, 0) + 1
                    break
            else:
                self.measure(x, e, j, h)
                patience -= j not in kinks

    def between_slopes(self, x: Input, e: Evidence, kinks: dict[int, Kink], h: float) -> list[Verdict]:
        """At a kink backward is right if what it says lies between the slopes on both sides: those of one element, and
        those of all that contend, moved together. What passes is wrong no more."""
        fine = [j for j, kink in kinks.items() if kink.low <= e.analytic[j] <= kink.high]
        if fine:
            change = np.zeros(x.start.shape)
            change.flat[e.flat[fine]] = self.random.uniform(0.5, 1, len(fine))
            together = kink_between(fine[0], self.y, self.u, *self.beside(x, h * change), h)
            said = float((e.analytic[fine] * change.flat[e.flat[fine]]).sum())
            if together and not together.low <= said <= together.high:
                return [Verdict("kink or tie", f"{kinks[fine[0]].told(e, kinks)}. Moved together, all contenders "
                                f"change the loss by {together.below:.6g} to {together.above:.6g}, and backward says "
                                f"{said:.6g}: the gradient belongs to one of them, not to each")]  # fmt: skip
            e.wrong[fine] = False
        return [Verdict("kink or tie", kink.told(e, kinks)) for j, kink in kinks.items() if j not in fine][:1]
