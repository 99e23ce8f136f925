"""Convolution by columns (im2col): forward, and the gradients of image and weights.

    image (C · groups, H, W, N)    w (C, R, S, K · groups)    y (K · groups, P, Q, N), as they lie in memory

The pixels seen by one kernel at one place are a column; with all columns side by side a convolution is one product of
matrices, (K × C·R·S) · (C·R·S × P·Q·N). They are made, used and forgotten a block of places at a time, small enough to
stay in cache; backwards they are made again.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from . import MOST_ELEMENTS
from .cores import PARTS, parallel_for, split_range
from .im2col import col2im, im2col
from .product import product

if TYPE_CHECKING:
    from .convolution import Geometry

__all__ = ["forward", "image_gradient", "room", "weight_gradient", "work"]

LEAST_BLOCKS = 8  # so that every core gets some

Block = tuple[int, int, int]
"""(group, first place, end): places are counted row by row, p · Q + q."""


def forward(image: Any, w: Any, b: Any, geometry: Geometry) -> Any:
    """y[k, p, q, n] = b[k] + Σ w[c, r, s, k] · image[c, p · down + r − top, q · right + s − left, n]."""
    (C, R, S, K), (*_, N), (groups, P, Q, *_) = w.shape, image.shape, geometry
    matrix, y = w.reshape(C * R * S, K), np.empty_like(image, shape=(K, P * Q * N), order="C")
    bytes_, _, parts = room(image)
    blocks = _blocks(image, w.shape, geometry, bytes_, LEAST_BLOCKS)

    def some(first: int, last: int) -> None:
        for g, start, stop in blocks[first:last]:
            own = _of_group(g, K // groups)
            part = y[own, start * N : stop * N]
            product(matrix[:, own].T, _columns(image, w.shape, geometry, (g, start, stop)), part, len(blocks) == 1)
            if b is not None:
                part += b[own, None]

    parallel_for(len(blocks), some, parts)
    return y.reshape(K, P, Q, N)


def image_gradient(gy: Any, w: Any, shape: tuple[int, ...], geometry: Geometry) -> Any:
    """∂L/∂image, of this shape, from gy = ∂L/∂y: every place sends its gradient back to all that its kernel saw."""
    (C, R, S, K), (*_, N), (groups, P, Q, *steps) = w.shape, shape, geometry
    matrix, sent = w.reshape(C * R * S, K), gy.reshape(K, P * Q * N)
    gx = np.zeros_like(gy, shape=shape, order="C")
    _, bytes_, _ = room(gy)
    for g, start, stop in _blocks(gy, w.shape, geometry, bytes_, 1):  # one after the other, as windows overlap
        own = _of_group(g, K // groups)
        columns = product(matrix[:, own], sent[own, start * N : stop * N])
        col2im(gx[_of_group(g, C)], columns.reshape(C, R, S, stop - start, N), start, Q, *steps)
    return gx


def weight_gradient(gy: Any, image: Any, shape: tuple[int, ...], geometry: Geometry) -> Any:
    """∂L/∂w, of this shape, from gy = ∂L/∂y: what each weight saw, times the gradient at the place where it saw it."""
    (C, R, S, K), (*_, N), (groups, P, Q, *_) = shape, image.shape, geometry
    sent = gy.reshape(K, P * Q * N)
    bytes_, _, parts = room(image)
    blocks = _blocks(image, shape, geometry, bytes_, LEAST_BLOCKS)

    def some(first: int, last: int) -> Any:
        total = np.zeros_like(image, shape=(C * R * S, K), order="C")
        for g, start, stop in blocks[first:last]:
            own = _of_group(g, K // groups)
            columns = _columns(image, shape, geometry, (g, start, stop))
            total[:, own] += product(columns, sent[own, start * N : stop * N].T, shared=len(blocks) == 1)
        return total

    gw, *others = parallel_for(len(blocks), some, parts)
    for part in others:
        gw += part
    return gw.reshape(shape)


def work(image: tuple[int, ...], w: tuple[int, ...], geometry: Geometry) -> tuple[float, float, float]:
    """Of one way, for these shapes: (multiplications, numbers moved, small products)."""
    (C, R, S, K), (groups, P, Q, *_), N = w, geometry, image[-1]
    return float(C * R * S * P * Q * N) * K, float(C * R * S * P * Q * N) * groups, 0.0


def _of_group(g: int, size: int) -> slice:
    return slice(g * size, (g + 1) * size)


def _blocks(like: Any, shape: tuple[int, ...], geometry: Geometry, bytes_: int, least: int) -> list[Block]:
    """Blocks whose columns fit into so many bytes: one for each group, or at least so many. shape: of w; like: an array
    of the batch."""
    (C, R, S, _), (*_, N), (groups, P, Q, *_) = shape, like.shape, geometry
    count = -(-C * R * S * P * Q * N * like.itemsize // bytes_)
    return [(g, *places) for g in range(groups) for places in split_range(P * Q, max(count, least) if count > 1 else 1)]


def _columns(image: Any, shape: tuple[int, ...], geometry: Geometry, block: Block) -> Any:
    """(C · R · S, places · N): what the kernels of a group see at the places of a block. shape: of w."""
    (C, R, S, _), (g, start, stop), (_, _, Q, *steps) = shape, block, geometry
    columns = np.empty_like(image, shape=(C, R, S, stop - start, image.shape[-1]), order="C")
    im2col(columns, image[_of_group(g, C)], start, Q, *steps)
    return columns.reshape(C * R * S, -1)


def room(like: Any) -> tuple[int, int, int]:
    """(bytes of columns for a core, for all cores together, how many parts of the work go on side by side).

    On the processor, what stays in caches. A GPU divides its work itself: a sixteenth of its memory, for products as
    large as it can use, but no more than a kernel can count.
    """
    if isinstance(like, np.ndarray):
        return 4 << 20, 16 << 20, PARTS
    bytes_ = min(_memory(like.device) // 16, MOST_ELEMENTS * like.itemsize)
    return bytes_, bytes_, 1


@functools.cache
def _memory(gpu: Any) -> int:
    return int(gpu.mem_info[1])  # bytes in all, asked once: the driver need not answer while a graph is captured
