"""What the check says when it finds something, in words that one can act on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log10
from textwrap import fill

import numpy as np

from .evidence import Evidence
from .verdict import Verdict, read

__all__ = ["ROUNDED", "GradientError", "changing", "explained", "misshapen", "noisy", "plain", "rounds"]

WORST = 4  # elements to show
ROUNDED = ("something computes in float32, or rounds as much: look for astype, and for float32 arrays made inside, and "
           "compute in float64 to check")  # fmt: skip


class GradientError(AssertionError):
    """backward and the numerical derivative disagree.

    input: its name. verdicts: the mistakes it looks like, the most telling first; none where no known one fits.
    analytic, numeric: ∂L/∂x by backward and by differences, of x's shape, NaN where nothing was measured, or None.
    """

    def __init__(self, message: str, input: str = "", verdicts: Sequence[Verdict] = (),
                 analytic: np.ndarray | None = None, numeric: np.ndarray | None = None):
        super().__init__(f"gradcheck: {message}")
        self.input, self.verdicts, self.analytic, self.numeric = input, list(verdicts), analytic, numeric


def plain(message: str, input: str, name: str, text: str) -> GradientError:
    """An error of one verdict."""
    verdict = Verdict(name, text)
    return GradientError(f"{message}\n{told([verdict])}", input, [verdict])


def told(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "No known mistake fits: compare the elements above with the formula, on an input as small as can be."
    head = ["Several mistakes look like this:"] * (len(verdicts) > 1)
    lines = [fill(f"Verdict: {v.name}: {v.text}.", 100, subsequent_indent="    ") for v in verdicts]
    return "\n".join(head + lines)


def explained(title: str, input: str, e: Evidence, ties: Sequence[Verdict]) -> GradientError:
    """The gradient of an input is wrong: where, by how much, and what that looks like."""
    at_kinks_alone = bool(ties) and not e.wrong.all() and len(e.flat) > 1
    verdicts = [*ties, *([] if at_kinks_alone else read(e))]
    drawn = "" if e.complete else f" looked at (it has {e.x.size})"
    lines = [f"{title}: the gradient of {input}, shape {e.x.shape}, is wrong in {e.wrong.sum()} of {len(e.wrong)} "
             f"elements{drawn}; the worst:", "",
             f"{'element':>20} {'backward':>15} {'numeric':>15} {'ratio':>10}"]  # fmt: skip
    with np.errstate(invalid="ignore"):
        off = np.where(e.wrong, np.nan_to_num(np.abs(e.analytic - e.numeric), nan=np.inf), -1)
    for j in np.argsort(-off, kind="stable")[: min(WORST, int(e.wrong.sum()))].tolist():
        backward, numeric = float(e.analytic[j]), float(e.numeric[j])
        ratio = f"{backward / numeric:.4g}" if numeric else "-"
        lines.append(f"{e.place(j)!s:>20} {backward:>15.7g} {numeric:>15.7g} {ratio:>10}")
    maps = np.full((2, e.x.size), np.nan)
    maps[:, e.flat] = e.analytic, e.numeric
    analytic, numeric_map = maps.reshape(2, *e.x.shape)
    return GradientError("\n".join([*lines, "", told(verdicts)]), input, verdicts, analytic, numeric_map)


def misshapen(title: str, input: str, shape: tuple[int, ...], gradient: np.ndarray) -> GradientError:
    """The gradient does not have the shape of its input."""
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


def changing(title: str, once: np.ndarray, again: np.ndarray) -> GradientError:
    """Two calls with the same inputs give different values."""
    i = int(np.abs(once - again).argmax())
    return plain(f"{title}: called twice with the same inputs, it gave {once.flat[i]:.8g} and {again.flat[i]:.8g}",
                 "output", "not deterministic", "there is nothing to differentiate: fix the random numbers, those of "
                 "dropout by its counter, or call eval()")  # fmt: skip


def rounds(curve: Sequence[tuple[float, float]]) -> bool:
    """Whether the error grows with smaller steps, as rounding does, from a step at which double precision would not."""
    points = sorted(curve, reverse=True)
    best = min(range(len(points)), key=lambda i: points[i][1])
    step, least = points[best]
    grows = [b > 2 * a for (_, a), (_, b) in pairwise(points[best : best + 5])]
    return least < 0.03 and step > 0.99e-5 and sum(grows) >= 3 and points[best + 2][1] > 10 * least


def noisy(title: str, what: str, input: str, curve: Sequence[tuple[float, float]]) -> GradientError:
    """The error falls with a larger step, as that of rounding does."""
    step, least = min(curve, key=lambda point: point[1])
    heights = [max(1, round(3 * (log10(min(max(e, 1e-9), 1e6)) + 9))) for _, e in curve]
    bars = "\n".join(f"    step {h:7.0e}   error {e:8.1e}   {'#' * n}"
                     for (h, e), n in zip(curve, heights, strict=True))  # fmt: skip
    return plain(f"{title}: {what}, cannot be checked: differences along a random line come closest to backward, "
                 f"{least:.1e}, with a step of {step:.0e}, and drown in rounding with smaller ones:\n{bars}", input,
                 "single precision", ROUNDED)  # fmt: skip
