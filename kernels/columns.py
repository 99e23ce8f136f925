"""Convolution by columns (im2col): forward, and the gradients of image and weights.

    image (C · groups, H, W, N)    w (C, R, S, K · groups)    y (K · groups, P, Q, N), as they lie in memory

The pixels seen by one kernel at one place are a column; with all columns side by side a convolution is one product of
matrices, (K × C·R·S) · (C·R·S × P·Q·N). They are made, used and forgotten a block of places at a time, small enough to
stay in cache; backwards they are made again.

Where the places of one row make a product of their own, their columns serve on: the windows of row p + 1 see R − down
rows of pixels that those of row p saw. The columns of R rows of pixels lie in a ring, row h at h mod R, where new rows
take the place of the oldest. For row p it begins with what the kernels' row −p · down mod R sees, and so do the weights
for it: a slice of weights that are written twice, one below the other.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import MOST_ELEMENTS
from .cores import cores_for, parallel_for, parts_on, split_range
from .im2col import col2im, im2col
from .product import product
from .row2col import row2col

if TYPE_CHECKING:
    from .convolution import Geometry

__all__ = ["forward", "image_gradient", "room", "scratch", "weight_gradient", "work"]

LEAST_BLOCKS = 8  # so that every core gets some
LEAST_ROW = 1 << 10  # places and images of a row, whose product is worth a call
RING = 8 << 20  # bytes of the columns that serve on


class Block(NamedTuple):
    """Places of a group, counted row by row, p · Q + q: from start to stop; or those of so many rows, below each other,
    whose columns serve on."""

    group: int
    start: int
    stop: int
    rows: int = 0


def forward(image: Any, w: Any, b: Any, geometry: Geometry) -> Any:
    """y[k, p, q, n] = b[k] + Σ w[c, r, s, k] · image[c, p · down + r − top, q · right + s − left, n]."""
    (*_, K), (*_, N), (groups, P, Q, *_) = w.shape, image.shape, geometry
    y = np.empty_like(image, shape=(K, P * Q * N), order="C")
    blocks = _blocks(image, w.shape, geometry)
    matrix = (np.concatenate([w, w], axis=1).swapaxes(0, 1) if blocks[0].rows else w).reshape(-1, K)

    def some(first: int, last: int) -> None:
        for block in blocks[first:last]:
            own = _of_group(block.group, K // groups)
            for start, stop, turned, columns in _columns(image, w.shape, geometry, block):
                part = y[own, start * N : stop * N]
                product(matrix[turned : turned + len(columns), own].T, columns, part, len(blocks) == 1)
                if b is not None:
                    part += b[own, None]

    parallel_for(len(blocks), some, parts_on(image))
    return y.reshape(K, P, Q, N)


def image_gradient(gy: Any, w: Any, shape: tuple[int, ...], geometry: Geometry) -> Any:
    """∂L/∂image, of this shape, from gy = ∂L/∂y: every place sends its gradient back to all that its kernel saw."""
    (C, R, S, K), (*_, N), (groups, P, Q, *steps) = w.shape, shape, geometry
    matrix, sent = w.reshape(C * R * S, K), gy.reshape(K, P * Q * N)
    gx = np.zeros_like(gy, shape=shape, order="C")
    for g, start, stop, _ in _in_turn(gy, w.shape, geometry, room(gy)[1], 1):  # as windows overlap
        own = _of_group(g, K // groups)
        columns = product(matrix[:, own], sent[own, start * N : stop * N])
        col2im(gx[_of_group(g, C)], columns.reshape(C, R, S, stop - start, N), start, Q, *steps)
    return gx


def weight_gradient(gy: Any, image: Any, shape: tuple[int, ...], geometry: Geometry) -> Any:
    """∂L/∂w, of this shape, from gy = ∂L/∂y: what each weight saw, times the gradient at the place where it saw it."""
    (C, R, S, K), (*_, N), (groups, P, Q, *_) = shape, image.shape, geometry
    sent = gy.reshape(K, P * Q * N)
    blocks = _blocks(image, shape, geometry)
    written = 2 if blocks[0].rows else 1

    def some(first: int, last: int) -> Any:
        total = np.zeros_like(image, shape=(written * C * R * S, K), order="C")
        for block in blocks[first:last]:
            own = _of_group(block.group, K // groups)
            for start, stop, turned, columns in _columns(image, shape, geometry, block):
                part = product(columns, sent[own, start * N : stop * N].T, shared=len(blocks) == 1)
                total[turned : turned + len(columns), own] += part
        return total

    gw, *others = parallel_for(len(blocks), some, parts_on(image))
    for part in others:
        gw += part
    return gw.reshape(2, R, C, S, K).sum(axis=0).swapaxes(0, 1).copy(order="C") if written == 2 else gw.reshape(shape)


def work(image: tuple[int, ...], w: tuple[int, ...], geometry: Geometry, backwards: bool = False
         ) -> tuple[float, float, float]:
    """Of one way, for these shapes: (multiplications, numbers moved, small products). backwards: to ∂L/∂image."""
    (C, R, S, K), (groups, P, Q, down, *_), N = w, geometry, image[-1]
    rows = (P - 1) * down + R if _serve_on(w, geometry, N) and not backwards else P * R  # of pixels, made into columns
    return float(C * R * S * P * Q * N) * K, float(C * rows * S * Q * N) * groups, 0.0


def scratch(way: str, image: Any, w: tuple[int, ...], geometry: Geometry) -> int:
    """Bytes that this way, "forward", "image" or "weight", takes for a while beside what it returns. See
    ``convolution.scratch``.

    The columns of a block for every core, and while the next are made those before; the weights written twice, of a
    ring; for the weights' gradient a sum for each part of the work, and a product for every core.
    """
    (C, R, S, K), N, G, size = w, image.shape[-1], geometry.groups, image.itemsize
    inner = way == "image"
    blocks = _in_turn(image, w, geometry, room(image)[1], 1) if inner else _blocks(image, w, geometry)
    parts = 1 if inner else min(parts_on(image), len(blocks))
    cores, written = cores_for(parts), 2 if blocks[0].rows else 1
    columns = C * R * S * N * size * max(block.stop - block.start for block in blocks)
    taken = columns * cores * (2 if len(blocks) > parts else 1)
    weights = C * R * S * K * size * written
    if way == "weight":
        taken += weights * parts + weights // G * cores - (weights if written == 1 else 0)
    elif written == 2:
        taken += weights
    return int(taken)


def _of_group(g: int, size: int) -> slice:
    return slice(g * size, (g + 1) * size)


def _blocks(image: Any, shape: tuple[int, ...], geometry: Geometry) -> list[Block]:
    """How forward and the weights' gradient go over the places. shape: of w."""
    (C, R, S, _), (*_, N), (groups, P, Q, *_) = shape, image.shape, geometry
    if not isinstance(image, np.ndarray) or not _serve_on(shape, geometry, N):
        return _in_turn(image, shape, geometry, room(image)[0], LEAST_BLOCKS)
    across = split_range(Q, -(-C * R * S * Q * N * image.itemsize // RING))
    down = split_range(P, -(-LEAST_BLOCKS // (groups * len(across))))
    return [Block(g, p * Q + q, p * Q + q_end, p_end - p)
            for g in range(groups) for q, q_end in across for p, p_end in down]  # fmt: skip


def _serve_on(shape: tuple[int, ...], geometry: Geometry, N: int) -> bool:
    """Whether a processor keeps columns for the next row. shape: of w."""
    return shape[1] > geometry.down and geometry.Q * N >= LEAST_ROW


def _in_turn(like: Any, shape: tuple[int, ...], geometry: Geometry, bytes_: int, least: int) -> list[Block]:
    """Blocks whose columns fit into so many bytes: one for each group, or at least so many. shape: of w; like: an array
    of the batch."""
    (C, R, S, _), (*_, N), (groups, P, Q, *_) = shape, like.shape, geometry
    count = -(-C * R * S * P * Q * N * like.itemsize // bytes_)
    places = split_range(P * Q, max(count, least) if count > 1 else 1)
    return [Block(g, *some) for g in range(groups) for some in places]


def _columns(image: Any, shape: tuple[int, ...], geometry: Geometry, block: Block
             ) -> Iterator[tuple[int, int, int, Any]]:
    """What the kernels of a group see, piece by piece of a block: (first place, end, row of the matrix of weights that
    theirs begin at, columns (C · R · S, places · N)). shape: of w."""
    (C, R, S, _), (g, start, stop, rows), (_, _, Q, *steps) = shape, block, geometry
    own, size = image[_of_group(g, C)], (stop - start, image.shape[-1])
    if not rows:
        columns = np.empty_like(image, shape=(C, R, S, *size), order="C")
        im2col(columns, own, start, Q, *steps)
        yield start, stop, 0, columns.reshape(C * R * S, -1)
        return
    ring, (p, q), (down, *across) = np.empty_like(image, shape=(R, C, S, *size), order="C"), divmod(start, Q), steps
    made = p * down  # rows of pixels, counted with those of padding
    for row in range(rows):
        top = (p + row) * down
        while made < top + R:  # to the end of the ring, and on from its beginning
            slot, some = made % R, min(top + R - made, R - made % R)
            row2col(ring[slot : slot + some], own, made, q, *across)
            made += some
        yield start + row * Q, stop + row * Q, -top % R * C * S, ring.reshape(C * R * S, -1)


def room(like: Any) -> tuple[int, int]:
    """(bytes of columns for a core, for all cores together).

    On the processor, what stays in caches. A GPU divides its work itself: a sixteenth of its memory, for products as
    large as it can use, but no more than a kernel can count.
    """
    if isinstance(like, np.ndarray):
        return 4 << 20, 16 << 20
    bytes_ = min(_memory(like.device) // 16, MOST_ELEMENTS * like.itemsize)
    return bytes_, bytes_


@functools.cache
def _memory(gpu: Any) -> int:
    return int(gpu.mem_info[1])  # bytes in all, asked once: the driver need not answer while a graph is captured
