"""Convolution of images with kernels."""

from minicnn.kernels import convolution

from ..engine.memory import batch_first, batch_last
from ..engine.op import Computed, Operand, op
from ..engine.settings import whole
from .window import Padding, Pair, Windows

__all__ = ["conv2d"]


@op
def conv2d(x: Operand, w: Operand, b: Operand | None = None, *, stride: Pair = 1, padding: Padding = 0,
           groups: int = 1, algorithm: str | None = None) -> Computed:
    """Every kernel at every place of the image:

    y[n, k, p, q] = b[k] + Σ w[k, c, r, s] · x[n, c, p·stride + r − padding, q·stride + s − padding]

    x: (N, C, H, W).  w: (K, C / groups, R, S).  b: (K,) or None.  y: (N, K, P, Q).
    P = ⌊(H + 2 padding − R) / stride⌋ + 1, and Q likewise.  stride, padding: one number, or (height, width).  padding:
    rows and columns of zeros on every side; ((above, below), (left, right)) where sides differ, as in ``np.pad``.
    groups: the channels and the kernels are split into so many equal parts, and each part of the kernels sees only its
    own part of the channels.

    algorithm: "columns", im2col; "fourier", which multiplies less, for stride 1; None: on the processor the one that
    takes less time by a count of what both do, on a GPU columns. ``kernels/convolution.py`` says how.

    Raises ValueError where the shapes or settings do not fit, and TypeError where a number among these is not whole.
    """
    if x.ndim != 4 or w.ndim != 4:
        raise ValueError(f"conv2d: x {x.shape} must have the shape (N, C, H, W), w {w.shape} the shape (K, C, R, S)")
    groups = whole("conv2d", "groups", groups, 1)
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(f"conv2d: {groups} groups do not divide the {x.shape[1]} channels of x {x.shape} and the "
                         f"{w.shape[0]} kernels of w {w.shape}")
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError(f"conv2d: x has {x.shape[1]} channels, w expects {w.shape[1] * groups}: x {x.shape}, "
                         f"w {w.shape}, groups {groups}")
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"conv2d: b {b.shape} does not fit w {w.shape}: it needs the shape ({w.shape[0]},)")
    if algorithm not in (None, *convolution.ALGORITHMS):
        raise ValueError(f"conv2d: algorithm is {algorithm!r}: give {', '.join(convolution.ALGORITHMS)}, or "
                         "None for the faster one")
    windows = Windows.on("conv2d", x.shape[2:], w.shape[2:], stride, padding)
    geometry = convolution.Geometry(groups, windows.P, windows.Q, *windows.steps)
    image, weights = batch_last(x), batch_last(w)  # (C · groups, H, W, N), (C, R, S, K · groups)
    image_shape, weights_shape = image.shape, weights.shape  # no more than these is kept where it suffices
    y = convolution.forward(image, weights, b, geometry, algorithm)
    return (
        batch_first(y),
        lambda gy: batch_first(convolution.image_gradient(batch_last(gy), weights, image_shape, geometry, algorithm)),
        lambda gy: batch_first(convolution.weight_gradient(batch_last(gy), image, weights_shape, geometry, algorithm)),
        lambda gy: convolution.bias_gradient(batch_last(gy)),
    )
