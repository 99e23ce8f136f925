"""The numerical check: is what backward says what the function does?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .tensor import Tensor, no_grad

__all__ = ["GradientError", "gradcheck"]


class GradientError(AssertionError):
    """backward and the numerical derivative disagree."""


def gradcheck(function: Callable[..., Tensor], *inputs: Any, parameters: Iterable[Tensor] = (), seed: int = 0,
              step: float = 1e-6, tolerance: float = 1e-6) -> float:
    """Hold ∂L/∂x by backward against (L(x + h) − L(x − h)) / 2h, for every element x of every input.

    function: takes tensors like ``inputs`` and returns a tensor y; L = Σ y · u for a random u, since with all ones an
        error that cancels in the sum, as any softmax's, goes unseen.
    inputs: arrays or tensors; real numbers are checked, and computed with in float64; labels and the like pass through.
    parameters: tensors of float64 that function uses besides, as a layer's; checked too.
    step: h. tolerance: of the difference, relative to the largest gradient of that input (or to 1 if that is smaller).

    Returns the largest relative difference. Raises GradientError, which says which element of which input is worst.
    Inputs must keep clear of kinks and ties by more than h.
    """
    tensors = [Tensor(_values(x), dtype=np.float64, requires_grad=True) if _values(x).dtype.kind == "f" else x
               for x in inputs]
    y = function(*tensors)
    cotangent = np.random.default_rng(seed).standard_normal(y.shape)
    checked = [(f"input {i}", x) for i, x in enumerate(tensors) if isinstance(x, Tensor)]
    checked += [(f"parameter {i}", p) for i, p in enumerate(parameters)]
    for _, x in checked:
        x.zero_grad()
    y.backward(cotangent)

    def loss() -> float:
        with no_grad():
            return float((function(*tensors).numpy() * cotangent).sum())

    worst = 0.0
    for name, x in checked:
        if x.grad is None:
            raise GradientError(f"gradcheck: no gradient reached {name} {x.shape}")
        analytic, numeric = x.grad.numpy(), np.empty(x.shape)
        array = x.writable()
        for index in np.ndindex(x.shape):
            value = array[index]
            array[index] = value + step
            above = loss()
            array[index] = value - step
            numeric[index] = (above - loss()) / (2 * step)
            array[index] = value
        difference = np.abs(analytic - numeric) / max(1.0, np.abs(numeric).max(initial=0.0))
        if not difference.size:
            continue
        index = tuple(int(i) for i in np.unravel_index(np.nan_to_num(difference, nan=np.inf).argmax(), x.shape))
        if not difference[index] <= tolerance:
            raise GradientError(f"gradcheck: {name} {x.shape}, element {index}: backward says {analytic[index]:.9g}, "
                                f"the function does {numeric[index]:.9g}: relative difference {difference[index]:.2g}, "
                                f"allowed {tolerance:.2g}")
        worst = max(worst, float(difference[index]))
    return worst


def _values(x: Any) -> np.ndarray:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)
