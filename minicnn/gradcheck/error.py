"""What the check says when it finds something, in words that one can act on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from .verdict import Evidence, Verdict, read

__all__ = ["GradientError", "changing", "explained", "misshapen", "noisy", "plain"]

WORST = 4  # elements to show


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
    return GradientError(f"{message}\n{named([Verdict(name, text)])}", input, [Verdict(name, text)])


def explained(title: str, input: str, e: Evidence, kinks: Sequence[Verdict]) -> GradientError:
    """The gradient of an input is wrong: where, by how much, and what that looks like."""
    verdicts = [*kinks, *read(e)]
    measured = f" looked at (it has {e.x.size})" if not e.complete else ""
    lines = [f"{title}: the gradient of {input}, shape {e.x.shape}, is wrong in {e.wrong.sum()} of {len(e.wrong)} elements"
             f"{measured}; the worst:", "", f"{'element':>20} {'backward':>15} {'numeric':>15} {'ratio':>10}"]  # fmt: skip
    error = np.where(e.wrong, np.nan_to_num(np.abs(e.analytic - e.numeric), nan=np.inf), -1)
    for j in np.argsort(-error, kind="stable")[: min(WORST, int(e.wrong.sum()))]:
        a, n = float(e.analytic[j]), float(e.numeric[j])
        ratio = f"{a / n:.4g}" if n else "-"
        lines.append(f"{str(e.place(j)):>20} {a:>15.8g} {n:>15.8g} {ratio:>10}")
    maps = np.full((2, e.x.size), np.nan)
    maps[:, e.flat] = e.analytic, e.numeric
    return GradientError("\n".join([*lines, "", named(verdicts)]), input, verdicts, *maps.reshape(2, *e.x.shape))


def named(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "No known mistake fits: compare the elements above with the formula, on an input as small as can be."
    head = ["Several mistakes look like this:"] if len(verdicts) > 1 else []
    return "\n".join([*head, *(f"Verdict: {v.name}: {v.text}." for v in verdicts)])


def misshapen(title: str, input: str, shape: tuple[int, ...], gradient: np.ndarray) -> GradientError:
    """The gradient has not the shape of its input."""
    message = f"{title}: the gradient of {input} has the shape {gradient.shape}, the input {shape}: both must be the same"
    if gradient.ndim == len(shape) and sorted(gradient.shape) == sorted(shape):
        order = next((axes for axes in combinations(range(len(shape)), 2)
                      if _exchanged(gradient.shape, axes) == shape), None)  # fmt: skip
        return plain(message, input, "transposed", f"the same sizes in another order{f', axes {order} exchanged' if order else ''}")
    wide = (1,) * (gradient.ndim - len(shape)) + shape
    if len(wide) == gradient.ndim and all(n in (1, m) for n, m in zip(wide, gradient.shape, strict=True)):
        axes = tuple(a for a, (n, m) in enumerate(zip(wide, gradient.shape, strict=True)) if n != m or a < len(wide) - len(shape))
        return plain(message, input, "broadcast axis not summed", f"the input was broadcast along axes {axes}, so each of "
                     "its elements was used many times: sum the gradient over these axes")  # fmt: skip
    if gradient.size == int(np.prod(shape)):
        return GradientError(f"{message}: reshape it", input)
    return GradientError(message, input)


def _exchanged(shape: tuple[int, ...], axes: tuple[int, int]) -> tuple[int, ...]:
    sizes = list(shape)
    sizes[axes[0]], sizes[axes[1]] = sizes[axes[1]], sizes[axes[0]]
    return tuple(sizes)


def changing(title: str, once: np.ndarray, again: np.ndarray) -> GradientError:
    """Two calls with the same inputs give different values."""
    i = int(np.abs(once - again).argmax())
    return plain(f"{title}: called twice with the same inputs, it gave {once.flat[i]:.8g} and {again.flat[i]:.8g}", "output",
                 "not deterministic", "there is nothing to differentiate: fix the random numbers, as dropout's by key= and "
                 "step= or a layer's by its counter, or call eval()")  # fmt: skip


def noisy(title: str, input: str, curve: Sequence[tuple[float, float]]) -> GradientError:
    """The error falls with a larger step, as rounding does."""
    step, best = min(curve, key=lambda point: point[1])
    bars = "\n".join(f"    step {h:8.0e}   error {e:8.1e}   {'#' * max(1, round(4 * (np.log10(max(e, 1e-10)) + 10)))}"
                     for h, e in curve)  # fmt: skip
    return plain(f"{title}: {input} cannot be checked: differences along a random line come closest to backward, {best:.1e}, "
                 f"with a step of {step:.0e}, and drown in rounding with smaller ones:\n{bars}", input, "single precision",
                 "something in the function computes in float32 or rounds as much: look for astype, float32 arrays made "
                 "inside, and compute in float64 to check")  # fmt: skip
