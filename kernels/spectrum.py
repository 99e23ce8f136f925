"""There and back between pixels and what they are at the angles of a discrete Fourier transform, by products of
matrices: see fourier.py, which says what for."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .cores import PARTS, parallel_for, parts_on
from .product import WORTH_A_CORE, product

__all__ = ["Part", "Tiles", "across", "angles", "down", "each_angle", "up", "width"]

# What of real and imaginary part is taken at the three points of an angle, and of m₁, m₂, m₃ to get back.
POINTS = {"image": [[1, 1], [1, 0], [0, 1]], "weights": [[1, 0], [1, 1], [1, -1]], "places": [[1, 1], [0, -1], [-1, 0]]}


class Part(NamedTuple):
    """Rows and columns of an image, of weights or of places, the first of which are pixel (top, left) of a tile."""

    rows: slice
    columns: slice
    top: int = 0
    left: int = 0

    @property
    def width(self) -> int:
        return int(self.columns.stop - self.columns.start)


class Tiles(NamedTuple):
    """Some tiles of T × U pixels: the window of each on the image, and the places that see no more than that."""

    T: int
    U: int
    windows: list[Part]
    places: list[Part]

    @property
    def angles(self) -> int:
        return angles(self.T)


def angles(T: int) -> int:
    """How many angles down a height of T pixels there are: half of T, and 0 where it is its own conjugate."""
    return (T + 1) // 2


def down(x: Any, kind: str, tiles: Tiles, parts: list[Part]) -> list[Any]:
    """Parts of x, (C, H, W, N), at the angles of the height: (C, angles, 2 · columns, N), real parts above."""
    C, (*_, N) = len(x), x.shape
    some = [np.empty_like(x, shape=(C, tiles.angles, 2 * part.width, N), order="C") for part in parts]

    def channels(first: int, last: int) -> None:
        for part, numbers in zip(parts, some, strict=True):
            seen, A = x[first:last, part.rows, part.columns], _height(kind, tiles.T, part, x)
            product(A, seen.reshape(last - first, A.shape[1], part.width * N),
                    numbers[first:last].reshape(last - first, len(A), part.width * N), shared=False)

    parallel_for(C, channels, _parts(x, sum(each.size for each in some) * tiles.T))
    return some


def up(numbers: Any, kind: str, tiles: Tiles, part: Part, y: Any, b: Any = None) -> None:
    """The transpose of ``down``, into that part of y; b, of each channel, is added."""
    N, Z = y.shape[-1], _height(kind, tiles.T, part, y).T

    def channels(first: int, last: int) -> None:
        rows = y[first:last, part.rows, part.columns].reshape(last - first, len(Z), part.width * N)  # a view
        product(Z, numbers[first:last].reshape(last - first, Z.shape[1], part.width * N), rows, shared=False)
        if b is not None:
            rows += b[first:last, None, None]

    parallel_for(len(y), channels, _parts(y, numbers.size * len(Z)))


def across(numbers: list[Any], kind: str, tiles: Tiles, parts: list[Part], f: int, some: slice) -> Any:
    """What came down of some images, at the points of angle f of the height: (points, C, tiles · images)."""
    C, images = len(numbers[0]), some.stop - some.start
    points = np.empty_like(numbers[0], shape=(3 * tiles.U, C, len(parts), images), order="C")
    for i, part in enumerate(parts):
        A = width(kind, tiles.U, part, points)
        product(A, numbers[i][:, f, :, some], points[:, :, i].swapaxes(0, 1), shared=False)
    return points.reshape(len(points), C, len(parts) * images)


def each_angle(at_angle: Callable[[int], None], tiles: Tiles, like: Any) -> None:
    def some(first: int, last: int) -> None:
        for f in range(first, last):
            at_angle(f)

    parallel_for(tiles.angles, some, parts_on(like, tiles.angles))


def _parts(like: Any, multiplications: int) -> int:
    """As many as are worth a core's waking: where two of Python's threads do small products, each waits for the other
    at every one of them."""
    return parts_on(like, max(1, min(PARTS, multiplications // WORTH_A_CORE)))


# -- the matrices ------------------------------------------------------------------------------------------------------


def _height(kind: str, T: int, part: Part, like: Any) -> Any:
    return np.asarray(_height_of(kind, T, part.rows.stop - part.rows.start, part.top, like.dtype.name), like=like)


def width(kind: str, U: int, part: Part, like: Any) -> Any:
    return np.asarray(_width_of(kind, U, part.width, part.left, like.dtype.name), like=like)


@functools.lru_cache
def _height_of(kind: str, T: int, pixels: int, start: int, dtype: str) -> np.ndarray:
    """(2 · angles, pixels): cos θt and −sin θt, from t = start; of places times the share of θ in 1/T Σ."""
    theta = (np.arange(angles(T)) + (0.5 if T % 2 == 0 else 0)) * (2 * math.pi / T)
    turns = theta[:, None] * (np.arange(pixels) + start)
    numbers = np.stack([np.cos(turns), -np.sin(turns)], axis=1)
    if kind == "places":
        numbers *= np.where(theta, 2, 1)[:, None, None] / T  # twice, for the conjugate that is left out
    return numbers.reshape(2 * len(theta), pixels).astype(dtype)


@functools.lru_cache
def _width_of(kind: str, U: int, pixels: int, start: int, dtype: str) -> np.ndarray:
    """(3 U, 2 · pixels): of (x + iy) e^(−iφt), from t = start, for all U angles φ, three numbers; of places by 1/U."""
    turns = np.arange(U)[:, None] * (2 * math.pi / U) * (np.arange(pixels) + start)
    cos, sin = np.cos(turns), np.sin(turns)
    real, imaginary = np.concatenate([cos, sin], axis=1), np.concatenate([-sin, cos], axis=1)
    numbers = np.stack([a * real + b * imaginary for a, b in POINTS[kind]], axis=1) / (U if kind == "places" else 1)
    return numbers.reshape(3 * U, 2 * pixels).astype(dtype)
