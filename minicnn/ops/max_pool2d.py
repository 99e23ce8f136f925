"""Overlapping max-pooling (Krizhevsky et al. 2012, §3.4)."""

import numpy as np

from minicnn.kernels.max_pool2d import max_pool2d as kernel
from minicnn.kernels.max_pool2d import max_pool2d_backward as kernel_backward

from ..engine.memory import Array, batch_first, batch_last
from ..engine.op import Computed, Operand, op
from .window import Padding, Pair, Windows

__all__ = ["max_pool2d"]


@op
def max_pool2d(x: Operand, *, size: Pair = 3, stride: Pair = 2, padding: Padding = 0) -> Computed:
    """The maximum of every size × size window, ``stride`` apart: y[p, q] = max x[p·stride + r, q·stride + s].

    x: (N, C, H, W).  y: (N, C, P, Q), P = ⌊(H + 2 padding − size) / stride⌋ + 1, and Q likewise.  size, stride,
    padding: one number, or (height, width).  padding: rows and columns of −∞ on every side; where sides differ,
    ((above, below), (left, right)). Of equal maxima the first, row by row, takes the gradient; NaN wins a window.

    Raises ValueError where the window does not fit, or could lie in the padding alone.
    """
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ValueError(f"max_pool2d: x {x.shape} must have the shape (N, C, H, W), with H and W at least 1")
    windows = Windows.on("max_pool2d", x.shape[2:], size, stride, padding)
    R, S, P, Q = windows.R, windows.S, windows.P, windows.Q
    if max(windows.around[0]) >= R or max(windows.around[1]) >= S:
        raise ValueError(f"max_pool2d: padding {padding} must be smaller than the window, {R} × {S}")
    geometry = (R, S, *windows.steps)
    C, H, W, N = batch_last(x).shape
    y = np.empty_like(x, shape=(C, P, Q, N), order="C")
    winner = np.empty_like(y, dtype=np.uint8 if R * S <= 256 else np.uint32)
    kernel(y, winner, batch_last(x), *geometry)

    def gx(gy: Array) -> Array:
        g = np.empty_like(gy, shape=(C, H, W, N), order="C")
        kernel_backward(g, batch_last(gy), winner, *geometry)
        return batch_first(g)

    return batch_first(y), gx
