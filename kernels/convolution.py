"""Convolution, forward, and the gradients of image and weights, by one of two algorithms: by columns or by Fourier.

    image (C · groups, H, W, N)    w (C, R, S, K · groups)    y (K · groups, P, Q, N), as they lie in memory

Fourier multiplies less, moves more, and makes many small products. So it is for batches: the spectrum of the weights,
which serves all images, is larger than the weights. Both round, each in its own way.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from . import columns, fourier
from .cores import parallel_for, parts_on
from .product import capturing

__all__ = ["ALGORITHMS", "Geometry", "bias_gradient", "chosen", "forward", "image_gradient", "scratch",
           "weight_gradient"]

ALGORITHMS = ("columns", "fourier")
LARGE = 1 << 20  # numbers, which one core adds up before a second one has woken up
Shape = tuple[int, ...]
TILES = (1, 2, 3, 4, 6, 8, 12, 16)  # along the longer axis

# The time of so many multiplications, fitted to convolutions of AlexNet, VGG and nets for CIFAR at batches of 1 to 512:
# of 71 the choice takes 1.000 times as long as the better of both, at most 1.02. See benchmarks/convolutions.py.
MOVED = 40  # a number from one array to another
CALLED = 80_000  # one small product
CUT = 1.1  # times as long, where an image is cut into tiles


class Geometry(NamedTuple):
    """How kernels go over an image: in so many ``groups``, to P × Q places, ``down`` and ``right`` apart, from ``top``
    rows above it and ``left`` columns beside it."""

    groups: int
    P: int
    Q: int
    down: int
    right: int
    top: int
    left: int


def forward(image: Any, w: Any, b: Any, geometry: Geometry, algorithm: str | None = None) -> Any:
    """y[k, p, q, n] = b[k] + Σ w[c, r, s, k] · image[c, p · down + r − top, q · right + s − left, n].

    algorithm: one of ALGORITHMS; None: the one that seems to be faster.

    Raises ValueError where Fourier is asked for and the stride is not 1, the numbers are of half precision, or a CUDA
    graph is captured.
    """
    tile = _asked(algorithm, image, image.shape, w.shape, geometry)
    return fourier.forward(image, w, b, geometry, tile) if tile else columns.forward(image, w, b, geometry)


def image_gradient(gy: Any, w: Any, shape: tuple[int, ...], geometry: Geometry, algorithm: str | None = None) -> Any:
    """∂L/∂image, of this shape, from gy = ∂L/∂y: every place sends its gradient back to all that its kernel saw."""
    if tile := _asked(algorithm, gy, shape, w.shape, geometry, backwards=True):
        return fourier.image_gradient(gy, w, _turned(shape, w.shape, geometry)[2], tile)
    return columns.image_gradient(gy, w, shape, geometry)


def weight_gradient(gy: Any, image: Any, shape: tuple[int, ...], geometry: Geometry, algorithm: str | None = None
                    ) -> Any:
    """∂L/∂w, of this shape, from gy = ∂L/∂y: what each weight saw, times the gradient at the place where it saw it."""
    if tile := _asked(algorithm, gy, image.shape, shape, geometry):
        return fourier.weight_gradient(gy, image, shape, geometry, tile)
    return columns.weight_gradient(gy, image, shape, geometry)


def bias_gradient(gy: Any) -> Any:
    """∂L/∂b, (K,): one bias served every image and place."""
    rows, gb = gy.reshape(len(gy), -1), np.empty_like(gy, shape=len(gy))

    def some(first: int, last: int) -> None:
        rows[first:last].sum(axis=1, out=gb[first:last])

    parallel_for(len(gy), some, parts_on(gy) if gy.size > LARGE else 1, products=False)
    return gb


def scratch(way: str, image: Any, w: Shape, geometry: Geometry) -> int:
    """Bytes that a way takes for a while beside what it returns: "forward", the gradient of the "image", or that of the
    "weight"; by the algorithm that is chosen by itself. image: an array of the shape, the type and the machine of the
    images, whatever is in it. w: the shape of the weights."""
    tile = _asked(None, image, image.shape, w, geometry, backwards=way == "image")
    if not tile:
        return columns.scratch(way, image, w, geometry)
    if way != "image":
        return fourier.scratch(way, image, w, geometry, tile)
    sent, turned, there = _turned(image.shape, w, geometry)
    copies = 2 * math.prod(turned) * int(image.itemsize)  # of the kernels, turned round
    return copies + fourier.scratch("forward", np.broadcast_to(image[:1, :1, :1, :1], sent), turned, there, tile)


# -- the choice --------------------------------------------------------------------------------------------------------


def _asked(algorithm: str | None, like: Any, image: Shape, w: Shape, geometry: Geometry, backwards: bool = False
           ) -> int | None:
    """Places along a side of the tiles that Fourier takes; None: by columns."""
    if algorithm is None:
        return chosen(image, w, geometry, backwards) if isinstance(like, np.ndarray) else None  # no GPU was ever timed
    if algorithm == "columns":
        return None
    if (geometry.down, geometry.right) != (1, 1):
        raise ValueError(f"Fourier needs a stride of 1, and it is ({geometry.down}, {geometry.right}): leave algorithm "
                         "out")
    if like.dtype.itemsize < 4:
        raise ValueError(f"Fourier needs single or double precision, and x is {like.dtype}: leave algorithm out")
    if capturing():
        raise ValueError("Fourier was not made to be captured in a CUDA graph: leave algorithm out")
    return _best_tile(*(_turned(image, w, geometry) if backwards else (image, w, geometry)))[1]


@functools.lru_cache
def chosen(image: Shape, w: Shape, geometry: Geometry, backwards: bool = False) -> int | None:
    """Places along a side of a tile, where Fourier takes less time than columns, as shapes alone tell; else None.

    backwards: to the gradient of the image.
    """
    if (geometry.down, geometry.right) != (1, 1):
        return None
    time, tile = _best_tile(*(_turned(image, w, geometry) if backwards else (image, w, geometry)))
    return tile if time < _time(*columns.work(image, w, geometry, backwards)) else None


def _turned(image: Shape, w: Shape, geometry: Geometry) -> tuple[Shape, Shape, Geometry]:
    """The convolution, of ∂L/∂y with the kernels turned round, that is ∂L/∂image: its own image, w and geometry."""
    (_, H, W, N), (C, R, S, K), groups = image, w, geometry.groups
    there = geometry._replace(P=H, Q=W, top=R - 1 - geometry.top, left=S - 1 - geometry.left)
    return (K, geometry.P, geometry.Q, N), (K // groups, R, S, C * groups), there


def _best_tile(image: Shape, w: Shape, geometry: Geometry) -> tuple[float, int]:
    """(time, places along a side) of the tiles that take the least."""
    sides = [(-(-max(geometry.P, geometry.Q) // n), CUT if n > 1 else 1.0) for n in TILES]
    return min((factor * _time(*fourier.work(image, w, geometry, tile)), tile) for tile, factor in sides)


def _time(multiplications: float, moved: float, calls: float) -> float:
    return multiplications + MOVED * moved + CALLED * calls
