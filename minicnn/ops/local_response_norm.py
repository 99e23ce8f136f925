"""Local response normalisation (Krizhevsky et al. 2012, §3.3)."""

import numpy as np

from minicnn.kernels.local_response_norm import local_response_norm as kernel
from minicnn.kernels.local_response_norm import local_response_norm_backward as kernel_backward

from ..engine.memory import Array, rows
from ..engine.op import Computed, Operand, op
from ..engine.settings import real, whole

__all__ = ["local_response_norm"]


@op
def local_response_norm(x: Operand, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75,
                        k: float = 2.0) -> Computed:
    """Let neighbouring channels compete.

    y[c] = x[c] / d[c]^β    where d[c] = k + α Σ x[j]², over the channels j at most size // 2 from c

    x, y: (N, C, H, W).  size: window in channels, odd.  α multiplies the plain sum, as in the paper; PyTorch, Caffe
    and ONNX divide it by the size: they agree when given α · size.

    Raises ValueError for an even or negative size, and where d might not be positive; TypeError where a setting is no
    number.
    """
    if x.ndim < 2 or not x.shape[1]:
        raise ValueError(f"local_response_norm: x {x.shape} has no channels: it needs the shape (N, C, ...)")
    size, alpha, beta, k = norm_settings("local_response_norm", size, alpha, beta, k)
    y = np.empty_like(x)
    settings = (min(size // 2, x.shape[1]), alpha, beta, k)
    kernel(rows(y), rows(x), *settings)

    def gx(gy: Array) -> Array:
        g = np.empty_like(gy)
        kernel_backward(rows(g), rows(gy), rows(x), *settings, 2.0 * alpha * beta)
        return g

    return y, gx


def norm_settings(op: str, size: int, alpha: float, beta: float, k: float) -> tuple[int, float, float, float]:
    """(size, α, β, k) as plain numbers. Raises as ``local_response_norm``."""
    size = whole(op, "size", size, 1)
    if size % 2 == 0:
        raise ValueError(f"{op}: size is {size}: a window with a middle is odd: give {size + 1}")
    alpha, beta, k = (real(op, name, value) for name, value in {"alpha": alpha, "beta": beta, "k": k}.items())
    if k <= 0 or alpha < 0:
        raise ValueError(f"{op}: k is {k} and alpha {alpha}: k + alpha Σ x² stays positive when k > 0 and alpha ≥ 0")
    return size, alpha, beta, k
