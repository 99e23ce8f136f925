"""Overlapping max-pooling (Krizhevsky et al. 2012, §3.4)."""

from typing import Any

import numpy as np

from minicnn.kernels import max_pool2d as kernels

from ..memory import Array, batch_first, batch_last
from ..op import op
from .conv2d import output_size, padding_of

__all__ = ["max_pool2d"]


@op
def max_pool2d(x: Array, *, size: int = 3, stride: int = 2, padding: int | tuple[int, int] = 0) -> Any:
    """The maximum of every size × size window, ``stride`` apart: y[p, q] = max x[p·stride + r, q·stride + s].

    x: (N, C, H, W).  y: (N, C, P, Q), P = ⌊(H + padding − size) / stride⌋ + 1.  padding: rows and columns of −∞ on
    every side, or (before, after). Of equal maxima the first, row by row, takes the gradient; NaN wins a window.

    Raises ValueError where the window does not fit, or could lie in the padding alone.
    """
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ValueError(f"max_pool2d: x {x.shape} must have the shape (N, C, H, W), with H and W at least 1")
    before, after = padding_of("max_pool2d", padding)
    if not before < size or not after < size:
        raise ValueError(f"max_pool2d: padding {padding} must be smaller than the window, {size}")
    P, Q = (output_size("max_pool2d", pixels, size, stride, before + after) for pixels in x.shape[2:])
    C, H, W, N = batch_last(x).shape
    y = np.empty_like(x, shape=(C, P, Q, N), order="C")
    winner = np.empty_like(y, dtype=np.uint8 if size <= 16 else np.uint32)
    kernels.max_pool2d(C * P, y, winner, batch_last(x), size, stride, before, before)

    def gx(gy: Array) -> Array:
        g = np.zeros_like(gy, shape=(C, H, W, N), order="C")
        kernels.max_pool2d_backward(C, g, batch_last(gy), winner, size, stride, before, before)
        return batch_first(g)

    return batch_first(y), gx
