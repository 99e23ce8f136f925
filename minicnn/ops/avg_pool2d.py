"""Average pooling, as in the authors' nets for small pictures (cuda-convnet, example-layers, pool=avg)."""

from collections.abc import Sequence

import numpy as np

from ..engine.memory import Array, batch_first, batch_last
from ..engine.op import Computed, Operand, op
from ..engine.settings import flag
from .map_response_norm import single
from .window import Padding, Pair, Windows

__all__ = ["avg_pool2d"]

Met = Sequence[tuple[slice, slice]]
"""For each place inside of a window: in which windows it is a pixel, and which pixels those are."""


@op
def avg_pool2d(x: Operand, *, size: Pair = 3, stride: Pair = 2, padding: Padding = 0,
               count_include_pad: bool = True) -> Computed:
    """The mean of every size × size window, ``stride`` apart: y[p, q] = Σ x[p·stride + r, q·stride + s] / n[p, q].

    x: (N, C, H, W).  y: (N, C, P, Q), P = ⌊(H + 2 padding − size) / stride⌋ + 1, and Q likewise.  size, stride,
    padding: as of ``max_pool2d``, but with zeros outside.  n: how many places a window has, or, without
    ``count_include_pad``, how many of them are in the image, as in cuda-convnet.

    Raises ValueError where the window does not fit, or could lie in the padding alone.
    """
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ValueError(f"avg_pool2d: x {x.shape} must have the shape (N, C, H, W), with H and W at least 1")
    on, (H, W) = Windows.on("avg_pool2d", x.shape[2:], size, stride, padding), x.shape[2:]
    if max(on.around[0]) >= on.R or max(on.around[1]) >= on.S:
        raise ValueError(f"avg_pool2d: padding {padding} must be smaller than the window, {on.R} × {on.S}")
    down, right, top, left = on.steps
    rows, columns = met(on.R, down, top, H, on.P), met(on.S, right, left, W, on.Q)

    def summed(pixels: Array) -> Array:
        return gather(gather(pixels, rows, on.P, axis=1), columns, on.Q, axis=2)

    pixels = single(batch_last(x))
    include = flag("avg_pool2d", "count_include_pad", count_include_pad)
    n = on.R * on.S if include else summed(np.ones_like(pixels, shape=(1, H, W, 1)))

    def gx(gy: Array) -> Array:
        g = single(batch_last(gy)) / n
        g = scatter(scatter(g, columns, W, axis=2), rows, H, axis=1)
        return batch_first(g.astype(gy.dtype, copy=False))

    return batch_first((summed(pixels) / n).astype(x.dtype, copy=False)), gx


def met(size: int, step: int, before: int, pixels: int, count: int) -> Met:
    """Along one axis, where window p of ``count`` begins at pixel p · step − before."""
    places = []
    for first in range(-before, size - before):  # pixel first + p · step is in the image for begin ≤ p < end
        begin, end = max(0, -(first // step)), max(0, min(count, (pixels - 1 - first) // step + 1))
        places.append((slice(begin, end), slice(first + begin * step, first + end * step, step)))
    return places


def gather(a: Array, places: Met, count: int, axis: int) -> Array:
    """The sum over each window along an axis of a (C, H, W, N)."""
    y = np.zeros_like(a, shape=(*a.shape[:axis], count, *a.shape[axis + 1:]))
    for windows, pixels in places:
        y[(slice(None),) * axis + (windows,)] += a[(slice(None),) * axis + (pixels,)]
    return y


def scatter(a: Array, places: Met, count: int, axis: int) -> Array:
    """Its transpose: to each pixel the sum of what the windows have that hold it."""
    return gather(a, [(pixels, windows) for windows, pixels in places], count, axis)
