"""The rectified linear unit (Krizhevsky et al. 2012, §3.1)."""

import numpy as np

from minicnn.kernels.relu import relu as kernel
from minicnn.kernels.relu import relu_backward as kernel_backward

from ..engine.memory import Array, rows
from ..engine.op import Computed, Operand, op

__all__ = ["relu"]


@op
def relu(x: Operand) -> Computed:
    """max(x, 0), elementwise. The slope at 0 is taken as 0. NaN stays NaN, ∞ stays ∞."""
    y = np.empty_like(x)
    kernel(rows(y), rows(x))

    def gx(gy: Array) -> Array:
        g = np.empty_like(gy)
        kernel_backward(rows(g), rows(gy), rows(y))
        return g

    return y, gx
