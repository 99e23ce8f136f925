"""What the network is shown of a picture: 224 of 256 pixels, or as many as it takes, about the mean, in training varied
at random (§4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from minicnn.kernels import crop as kernels

from ..engine.memory import Array
from .picture import SIDE
from .statistics import Statistics

__all__ = ["CROP", "NOISE", "central_crop", "central_crops", "centre", "draw", "ten_crops", "training_crop", "views"]

CROP = 224
NOISE = 0.1  # standard deviation of the colour noise, in units of sigma


def draw(sigma: NDArray[np.float32], axes: NDArray[np.float32], rng: np.random.Generator, crop: int = CROP,
         noise: float = NOISE) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """How a picture is varied: (top, left, mirrored or not), and what is added to its three colours.

        Σᵢ axes[:, i] · αᵢ · sigma[i],    αᵢ ~ N(0, noise²), drawn once for the whole view

    Each of the places, 33 × 33 of 224 pixels, has the same chance; one half of the views are mirrored. The noise is a
    multiple of the standard deviation, as in the authors' program: the paper's formula has the variance, whose size
    depends on the scale of the pixels and would be useless on this one.
    """
    top, left = rng.integers(0, SIDE - crop, size=2, endpoint=True)
    mirrored = rng.random() < 0.5
    colour = axes @ (rng.normal(0, noise, size=3) * sigma).astype(np.float32)
    return np.array([top, left, mirrored], np.uint8), colour


def centre(crop: int = CROP) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The place and the noise, none, of the middle of a picture; where no middle is, of the one above and left of it,
    as in Caffe."""
    return np.array([(SIDE - crop) // 2, (SIDE - crop) // 2, False], np.uint8), np.zeros(3, np.float32)


def ten_crops(crop: int = CROP) -> NDArray[np.uint8]:
    """The places of the paper's ten views at test (§4.1), (10, 3): four corners and the middle, then these mirrored."""
    middle, last = (SIDE - crop) // 2, SIDE - crop
    corners = [(0, 0), (0, last), (last, 0), (last, last), (middle, middle)]
    return np.array([(*place, mirrored) for mirrored in (False, True) for place in corners], np.uint8)


def views(pictures: Array, places: Array, noise: Array, mean: Array, scale: float = 1.0, crop: int = CROP) -> Array:
    """The views (N, 3, crop, crop), in memory with the batch fastest, of pictures (N, 256, 256, 3), where these live.

    places (3, N) and noise (3, N): a column of each for every picture, as ``draw`` gives them. mean: (3, 256, 256).
    scale: the factor of the views, which without it are on the scale of 0 to 255, less the mean.
    """
    y = np.empty_like(mean, shape=(3, crop, crop, len(pictures)))
    kernels.crop(y, pictures, places, mean, noise, float(scale))
    return y.transpose(3, 0, 1, 2)


def training_crop(picture: NDArray[np.uint8], statistics: Statistics,
                  rng: np.random.Generator, crop: int = CROP) -> NDArray[np.float32]:
    """A random view of a picture (256, 256, 3), as ``draw`` varies it: (3, crop, crop), on the scale of 0 to 255."""
    return _one(picture, statistics, crop, *draw(statistics.sigma, statistics.axes, rng, crop))


def central_crop(picture: NDArray[np.uint8], statistics: Statistics, crop: int = CROP) -> NDArray[np.float32]:
    """The middle of a picture (256, 256, 3): (3, crop, crop), less the mean, on the scale of 0 to 255."""
    return _one(picture, statistics, crop, *centre(crop))


def central_crops(pictures: Sequence[NDArray[np.uint8]], statistics: Statistics, scale: float = 1.0,
                  crop: int = CROP) -> NDArray[np.float32]:
    """The middles of pictures (256, 256, 3) as a network sees them in validation: (N, 3, crop, crop). scale: as in
    ``views``."""
    return np.stack([central_crop(picture, statistics, crop) for picture in pictures]) * np.float32(scale)


def _one(picture: NDArray[np.uint8], statistics: Statistics, crop: int, place: NDArray[np.uint8],
         noise: NDArray[np.float32]) -> NDArray[np.float32]:
    view: NDArray[np.float32] = views(np.ascontiguousarray(picture[None]), place[:, None],
                                      noise[:, None].astype(np.float32), np.ascontiguousarray(statistics.mean),
                                      crop=crop)[0]
    return view
