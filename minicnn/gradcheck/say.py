"""Saying: what the check found, in words that one can act on. One function for each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log10
from textwrap import fill

import numpy as np

from . import display
from .evidence import Evidence, Floats, Kink
from .subject import Input, WrongShape
from .thresholds import BAR, BAR_FROM, BAR_TO, CLOSE, SAME, WORST
from .verdict import Verdict

__all__ = ["GradientError", "Report"]

ROUNDED = ("something computes in float32, or rounds as much: look for astype, and for float32 arrays made inside, and "
           "compute in float64 to check")  # fmt: skip


@dataclass
class Report:
    """error: the largest relative error. kinks: how many elements of each input were left out, since they lie at a kink
    or a tie. near: how many lie so near to one that they were checked with a smaller step. moved: how many were checked
    a little away, since all of the input lies at kinks. untold: how many of each input agree with differences that a
    kink near by, or rounding, makes too rough to tell right from wrong. evaluations: how often the function was called.
    resolution: the error that would have been seen, relative to the norm of the gradient, of that input where it is
    largest."""

    error: float = 0.0
    kinks: dict[str, int] = field(default_factory=dict)
    near: dict[str, int] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    untold: dict[str, int] = field(default_factory=dict)
    evaluations: int = 0
    resolution: float = 0.0

    def add(self, layer: str, other: Report) -> None:
        """What was found of a layer of a net."""
        self.error = max(self.error, other.error)
        self.resolution = max(self.resolution, other.resolution)
        self.evaluations += other.evaluations
        for mine, its in ((self.kinks, other.kinks), (self.near, other.near), (self.moved, other.moved),
                          (self.untold, other.untold)):
            mine.update({f"{layer}, {input}": count for input, count in its.items()})

    def _repr_html_(self) -> str:
        """For notebooks."""
        return display.of_report(self.error, self.evaluations, {
            "at kinks or ties, left out": self.kinks, "near to a kink, checked with a smaller step": self.near,
            "at kinks all over, checked a little away": self.moved,
            "too rough to tell, and as right as can be seen": self.untold})  # fmt: skip


class GradientError(AssertionError):
    """backward and the numerical derivative disagree.

    input: its name. verdicts: the mistakes it looks like, the most telling first; none where no known one fits.
    analytic, numeric: ∂L/∂x by backward and by differences, of x's shape, NaN where nothing was measured, or None.
    errors: their difference, relative to what is added up for each element, likewise. layer: of a net, which is wrong.
    """

    layer = ""

    def __init__(self, message: str, input: str = "", verdicts: Sequence[Verdict] = (),
                 analytic: Floats | None = None, numeric: Floats | None = None, errors: Floats | None = None):
        super().__init__(f"gradcheck: {message}")
        self.input, self.verdicts, self.errors = input, list(verdicts), errors
        self.analytic, self.numeric = analytic, numeric

    def _repr_html_(self) -> str:
        """For notebooks: the verdicts, and a map of the errors."""
        place = f"{self.layer}: {self.input}" if self.layer else self.input
        return display.of_error(str(self), place, self.verdicts, self.errors)


def plain(message: str, input: str, name: str, text: str) -> GradientError:
    """An error of one verdict."""
    verdict = Verdict(name, text)
    return GradientError(f"{message}\n{listed([verdict])}", input, [verdict])


def listed(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "No known mistake fits: compare the elements above with the formula, on an input as small as can be."
    head = ["Several mistakes look like this:"] * (len(verdicts) > 1)
    lines = [fill(f"Verdict: {v}.", 100, subsequent_indent="    ") for v in verdicts]
    return "\n".join(head + lines)


def shown(x: Input) -> str:
    return f"{x.name}, shape {x.start.shape}"


# -- the function and its backward -------------------------------------------------------------------------------------


def changes_input(title: str, who: str, x: Input) -> GradientError:
    return plain(f"{title}: {who} changes {shown(x)}", x.name, "input changed in place",
                 "work on a copy, as by x = x.copy(), or x = x * 2 for x *= 2")  # fmt: skip


def not_finite(title: str) -> GradientError:
    return plain(f"{title}: the value of the function has elements that are not finite", "output", "not finite",
                 "there is nothing to differentiate: choose other inputs")  # fmt: skip


def not_same(title: str, once: Floats, again: Floats) -> GradientError:
    """Two calls with the same inputs give different values."""
    i = int(np.abs(once - again).argmax())
    return plain(f"{title}: called twice with the same inputs, it gave {once.flat[i]:.8g} and {again.flat[i]:.8g}",
                 "output", "not deterministic", "there is nothing to differentiate: fix the random numbers, those of "
                 "dropout by its counter, or call eval()")  # fmt: skip


def gy_not_used(title: str, x: Input) -> GradientError:
    return plain(f"{title}: the gradient of {shown(x)}, is the same for twice gy", x.name, "gy not used",
                 "multiply by gy, the gradient that comes in")  # fmt: skip


def not_of_gy(title: str, x: Input, always: np.ndarray, where: str) -> GradientError:
    """always: what is added to the gradient of x, whatever gy is. where: backward makes it."""
    c = float((always * x.start).sum() / max((x.start**2).sum(), np.finfo(np.float64).tiny))
    of_x = bool(np.allclose(always, c * x.start, rtol=SAME, atol=0))
    return plain(f"{title}: to the gradient of {shown(x)}, something is added that is no part of it: it is there where "
                 "gy is 0", x.name, "extra term", f"{f'{c:.6g} · the {x.name} itself is' * of_x or 'a term is'} added "
                 f"that gy is no factor of{where}; weight decay belongs into the loss, or into the step")  # fmt: skip


def not_linear(title: str) -> GradientError:
    return plain(f"{title}: backward does not give twice as much for twice gy", "output", "not deterministic",
                 "it keeps something from call to call, as a gradient never set to zero, or is no linear function of "
                 "gy")  # fmt: skip


def wrong_shape(title: str, wrong: WrongShape) -> GradientError:
    input, shape, gradient = wrong.name, wrong.shape, wrong.gradient
    message = (f"{title}: the gradient of {input} has the shape {gradient.shape}, the input {shape}: both must be the "
               "same")  # fmt: skip
    if sorted(gradient.shape) == sorted(shape):
        return plain(message, input, "transposed", "the same sizes in another order: a transposition is missing, or "
                                                   "one too many")  # fmt: skip
    wide = (1,) * (gradient.ndim - len(shape)) + shape
    if len(wide) == gradient.ndim and all(n in (1, m) for n, m in zip(wide, gradient.shape, strict=True)):
        axes = tuple(a for a, n in enumerate(wide) if n != gradient.shape[a] or a < gradient.ndim - len(shape))
        return plain(message, input, "broadcast axis not summed", f"the input was broadcast along axes {axes}, so each "
                     "of its elements was used many times: sum the gradient over these axes")  # fmt: skip
    hint = ": reshape it" if gradient.size == np.prod(shape) else ""
    return GradientError(f"{message}{hint}", input)


def no_gradient(title: str, x: Input) -> GradientError:
    return plain(f"{title}: no gradient reached {shown(x)}, and none should", x.name, "input not used",
                 "the function does not depend on it: leave it out, or use it")  # fmt: skip


# -- what cannot be checked --------------------------------------------------------------------------------------------


def single_gradient(title: str, x: Input) -> GradientError:
    return plain(f"{title}: the gradient of {shown(x)}, has come through float32: all its numbers have no more than 24 "
                 "bits", x.name, "single precision", ROUNDED)  # fmt: skip


def single(title: str, x: Input, curve: Sequence[tuple[float, float]]) -> GradientError:
    """The error falls with a larger step, as that of rounding does."""
    step, least = min(curve, key=lambda point: point[1])
    heights = [max(1, round(BAR * (log10(min(max(e, BAR_FROM), BAR_TO)) - log10(BAR_FROM)))) for _, e in curve]
    bars = "\n".join(f"    step {h:7.0e}   error {e:8.1e}   {'#' * n}"
                     for (h, e), n in zip(curve, heights, strict=True))  # fmt: skip
    return plain(f"{title}: {shown(x)}, cannot be checked: differences along a random line come closest to backward, "
                 f"{least:.1e}, with a step of {step:.0e}, and drown in rounding with smaller ones:\n{bars}", x.name,
                 "single precision", ROUNDED)  # fmt: skip


def lost_in_rounding(title: str, x: Input) -> GradientError:
    return plain(f"{title}: {shown(x)}, cannot be checked: small steps are lost in rounding, larger ones change the "
                 "value, and backward says 0", x.name, "single precision", ROUNDED)  # fmt: skip


def all_at_kinks(title: str, x: Input, e: Evidence) -> GradientError:
    return plain(f"{title}: {shown(x)}, was not checked: all of it lies at kinks or ties, moved too", x.name,
                 "kink or tie", f"{kink(e, 0)}: give another input")  # fmt: skip


def not_found(title: str, x: Input, e: Evidence, error: float) -> GradientError:
    """Wrong along a line, but in none of the elements that were looked at."""
    message = (f"{title}: the gradient of {shown(x)}, is wrong by {error:.2g} along a random line, but in none of "
               f"{len(e.flat)} elements drawn by chance: look at more with elements=")  # fmt: skip
    if not e.kinks:
        return GradientError(message, x.name)
    return plain(message, x.name, "kink or tie", f"{len(e.kinks)} of them lie at a kink or a tie; so may others, and "
                 "then all may be well: move the input away from there")  # fmt: skip


def tie_between(title: str, inputs: Sequence[Input], kink: Kink, said: float) -> GradientError:
    """Elements of several inputs contend for an output, and it gave its gradient to each, or to none."""
    names = " and ".join(x.name for x in inputs)
    return plain(f"{title}: elements of {names} contend for the same outputs. Moved together they change the loss by "
                 f"{kink.below:.6g} to {kink.above:.6g}, and backward says {said:.6g}", inputs[-1].name, "kink or tie",
                 "where both are equal the gradient belongs to one of them, or is shared out: not to each, nor to none")


# -- what is wrong, element by element ---------------------------------------------------------------------------------


def wrong(title: str, x: Input, e: Evidence, mistakes: Sequence[Verdict]) -> GradientError:
    """The gradient of an input is wrong: where, by how much, and what that looks like."""
    verdicts = [*([Verdict("kink or tie", tie(e))] if e.tie else []), *mistakes]
    drawn = "" if e.complete else f" looked at (it has {e.x.size})"
    lines = [f"{title}: the gradient of {shown(x)}, is wrong in {e.wrong.sum()} of {len(e.wrong)} elements{drawn}; the "
             "worst:", "", f"{'element':>20} {'backward':>15} {'numeric':>15} {'ratio':>10}"]  # fmt: skip
    with np.errstate(invalid="ignore"):
        off = np.where(e.wrong, np.nan_to_num(np.abs(e.analytic - e.numeric), nan=np.inf), -1)
    for j in np.argsort(-off, kind="stable")[: min(WORST, int(e.wrong.sum()))].tolist():
        backward, numeric = float(e.analytic[j]), float(e.numeric[j])
        ratio = backward / numeric if numeric else np.nan
        near = abs(ratio - 1) < CLOSE  # 7 digits would not show it
        told = "-" if np.isnan(ratio) else f"1 {ratio - 1:+.1e}" if near else f"{ratio:.4g}"
        digits = 14 if near else 7
        lines.append(f"{e.place(j)!s:>20} {backward:>15.{digits}g} {numeric:>15.{digits}g} {told:>10}")
    return GradientError("\n".join([*lines, "", listed(verdicts)]), x.name, verdicts, e.spread(e.analytic),
                         e.spread(e.numeric), e.spread(e.error))  # fmt: skip


def kink(e: Evidence, j: int) -> str:
    """Where it is, who contends, how far they are from each other, and the two slopes."""
    x, here = e.x.ravel()[e.flat], e.kinks[j]
    others = [i for i, there in e.kinks.items() if i != j and there.outputs & here.outputs]
    if others:
        other = min(others, key=lambda i: abs(float(x[i] - x[j])))
        who = (f"elements {e.place(j)} = {x[j]:.9g} and {e.place(other)} = {x[other]:.9g}, "
               f"{abs(x[other] - x[j]):.2g} apart, contend for one output; for the first")  # fmt: skip
    else:
        who = f"element {e.place(j)} = {x[j]:.9g} lies at a kink, or less than a step from it;"
    return (f"{who} the slope is {here.below:.6g} below and {here.above:.6g} above, and backward says "
            f"{e.analytic[j]:.6g}")  # fmt: skip


def tie(e: Evidence) -> str:
    assert e.tie
    if not e.tie.together:
        return kink(e, e.tie.j)
    why = ("the gradient belongs to one of them, not to each" if e.kinks[e.tie.j].simple else "it has no derivative "
           "there, and what stands for one must lie between the slopes in every direction, as 0 does")  # fmt: skip
    return (f"{kink(e, e.tie.j)}. Moved together, all that contend change the loss by {e.tie.together.below:.6g} to "
            f"{e.tie.together.above:.6g}, and backward says {e.tie.said:.6g}: {why}")  # fmt: skip
