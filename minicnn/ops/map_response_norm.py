"""Response normalisation within a map, which the authors' program has after its second convolution and the paper does
not name (computerhistory/AlexNet-Source-Code, layers/layers-145.cfg: rnorm; Caffe's WITHIN_CHANNEL)."""

import numpy as np

from ..engine.memory import Array, batch_first, batch_last
from ..engine.op import Computed, Operand, op
from .local_response_norm import norm_settings

__all__ = ["map_response_norm"]


@op
def map_response_norm(x: Operand, *, size: int = 5, alpha: float = 4e-5, beta: float = 0.75,
                      k: float = 1.0) -> Computed:
    """Let neighbouring places of a map compete.

    y[p, q] = x[p, q] / d[p, q]^β    where d[p, q] = k + α Σ x[i, j]², over the places of the same map with |i − p| and
    |j − q| at most size // 2

    x, y: (N, C, H, W).  size: window in rows and in columns, odd.  α multiplies the plain sum; the authors' program and
    Caffe divide it by size²: they agree when given α · size².

    Raises ValueError for an even or negative size, and where d might not be positive; TypeError where a setting is no
    number.
    """
    if x.ndim != 4:
        raise ValueError(f"map_response_norm: x {x.shape} has no maps: it needs the shape (N, C, H, W)")
    size, alpha, beta, k = norm_settings("map_response_norm", size, alpha, beta, k)
    pixels = single(batch_last(x))
    half = min(size // 2, max(x.shape[2:]))
    d = k + alpha * around(pixels * pixels, half)
    root = np.sqrt(d)  # the usual d^¾ is √d √√d, without a power, which is slow, and too large no sooner than d
    factor = 1 / (root * np.sqrt(root)) if beta == 0.75 else d**-beta

    def gx(gy: Array) -> Array:
        g = single(batch_last(gy)) * factor
        g -= 2 * alpha * beta * pixels * around(g * pixels / d, half)
        return batch_first(g.astype(gy.dtype, copy=False))

    return batch_first((pixels * factor).astype(x.dtype, copy=False)), gx


def single(a: Array) -> Array:
    """Half precision as single, in which squares of more than 256 are numbers; all else as it is."""
    return a.astype(np.result_type(a.dtype, np.float32), copy=False)


def around(a: Array, half: int) -> Array:
    """Σ a[c, i, j] over the places at most ``half`` rows and columns from each: a (C, H, W, N). As j is around i where
    i is around j, it is its own transpose."""
    for axis in (1, 2):
        before, total = (slice(None),) * axis, a.copy()
        for far in range(1, half + 1):
            total[(*before, slice(far, None))] += a[(*before, slice(-far))]
            total[(*before, slice(-far))] += a[(*before, slice(far, None))]
        a = total
    return a
