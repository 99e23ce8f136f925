"""Convolution as a matrix product (im2col)."""

from typing import Any

import numpy as np

from minicnn.kernels import cut, over, workspace
from minicnn.kernels.graph import matmul
from minicnn.kernels.im2col import col2im, im2col

from ..engine.memory import Array, batch_first, batch_last
from ..engine.op import op
from ..engine.settings import whole
from .window import Padding, Pair, Windows

__all__ = ["conv2d"]

BUSY = 8  # blocks, so that every core gets some


@op
def conv2d(x: Array, w: Array, b: Array | None = None, *, stride: Pair = 1, padding: Padding = 0,
           groups: int = 1) -> Any:
    """Every kernel at every place of the image:

    y[n, k, p, q] = b[k] + Σ w[k, c, r, s] · x[n, c, p·stride + r − padding, q·stride + s − padding]

    x: (N, C, H, W).  w: (K, C / groups, R, S).  b: (K,) or None.  y: (N, K, P, Q).
    P = ⌊(H + 2 padding − R) / stride⌋ + 1, and Q likewise.  stride, padding: one number, or (height, width).  padding:
    rows and columns of zeros on every side; ((above, below), (left, right)) where sides differ, as in ``np.pad``.
    groups: the channels and the kernels are split into so many equal parts, and each part of the kernels sees only its
    own part of the channels.

    The pixels seen by one kernel at one place are a column; with all columns side by side the sum is one product of
    matrices, (K × C·R·S) · (C·R·S × P·Q·N). They are made, used and forgotten a block at a time, small enough to
    stay in cache; backwards they are made again.

    Raises ValueError where the shapes do not fit, and TypeError where a setting is no whole number.
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
    (N, _, H, W), (_, C, R, S), K = x.shape, w.shape, w.shape[0] // groups  # C and K of one group
    windows = Windows.over("conv2d", (H, W), (R, S), stride, padding)
    P, Q = windows.P, windows.Q
    geometry = (Q, *windows.steps)
    image = batch_last(x)  # (C · groups, H, W, N)
    matrix = batch_last(w).reshape(C * R * S, K * groups)

    def positions(size: int, least: int) -> list[tuple[int, int, int]]:
        """(group, first position, end) of blocks whose columns fit into so many bytes: one, or at least so many."""
        count = -(-C * R * S * P * Q * N * x.itemsize // size)
        return [(g, *block) for g in range(groups) for block in cut(P * Q, max(count, least) if count > 1 else 1)]

    blocks = positions(workspace(x), BUSY)  # a core's own
    alone = len(blocks) == 1  # then all cores share its product

    def columns(g: int, start: int, stop: int) -> Array:
        result = np.empty_like(x, shape=(C, R, S, stop - start, N), order="C")
        im2col(C * R, result, image[g * C : (g + 1) * C], start, *geometry)
        return result.reshape(C * R * S, -1)

    def seen_by(g: int) -> slice:
        return slice(g * K, (g + 1) * K)

    y = np.empty_like(x, shape=(K * groups, P * Q * N), order="C")

    def forward(first: int, last: int) -> None:
        for g, start, stop in blocks[first:last]:
            part = y[seen_by(g), start * N : stop * N]
            matmul(matrix[:, seen_by(g)].T, columns(g, start, stop), part, alone)
            if b is not None:
                part += b[seen_by(g), None]

    over(len(blocks), forward, like=x)

    def gx(gy: Array) -> Array:
        gy = batch_last(gy).reshape(K * groups, P * Q * N)
        g_image = np.zeros_like(image)
        for g, start, stop in positions(workspace(x, shared=True), 1):  # one after the other, as windows overlap
            part = matmul(matrix[:, seen_by(g)], gy[seen_by(g), start * N : stop * N])
            col2im(C, g_image[g * C : (g + 1) * C], part.reshape(C, R, S, stop - start, N), start, *geometry)
        return batch_first(g_image)

    def gw(gy: Array) -> Array:
        gy = batch_last(gy).reshape(K * groups, P * Q * N)
        g_matrix = np.zeros_like(matrix)

        def backward(first: int, last: int) -> Array:
            total = np.zeros_like(matrix)
            for g, start, stop in blocks[first:last]:
                sent = gy[seen_by(g), start * N : stop * N].T
                total[:, seen_by(g)] += matmul(columns(g, start, stop), sent, shared=alone)
            return total

        for part in over(len(blocks), backward, like=x):
            g_matrix += part
        return batch_first(g_matrix.reshape(C, R, S, K * groups))

    def gb(gy: Array) -> Array:
        return batch_last(gy).reshape(K * groups, -1).sum(axis=1)  # one bias served every image and place

    return batch_first(y.reshape(K * groups, P, Q, N)), gx, gw, gb
