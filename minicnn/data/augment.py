"""What the network is shown of a picture: 224 of 256 pixels, about the mean, in training varied at random (§4.1)."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .picture import SIDE
from .statistics import Statistics

CROP = 224
NOISE = 0.1  # standard deviation of the colour noise, in units of sigma


def training_crop(picture: NDArray[np.uint8], statistics: Statistics,
                  rng: np.random.Generator) -> NDArray[np.float32]:
    """A random view of a picture (256, 256, 3): (3, 224, 224), less the mean, on the scale of 0 to 255.

        x + Σᵢ axes[:, i] · αᵢ · sigma[i],    αᵢ ~ N(0, 0.1²), drawn once for the whole view

    Each of the 33 × 33 places has the same chance; one half of the views are mirrored.  The noise is a multiple of the
    standard deviation, as in the authors' program: the paper's formula has the variance, whose size depends on the
    scale of the pixels and would be useless on this one.
    """
    top, left = rng.integers(0, SIDE - CROP, size=2, endpoint=True)
    mirrored = rng.random() < 0.5
    noise = statistics.axes @ (rng.normal(0, NOISE, size=3) * statistics.sigma).astype(np.float32)
    view = _crop(picture, statistics, top, left)
    view += noise[:, None, None]
    return view[:, :, ::-1] if mirrored else view


def central_crop(picture: NDArray[np.uint8], statistics: Statistics) -> NDArray[np.float32]:
    """The middle of a picture (256, 256, 3): (3, 224, 224), less the mean, on the scale of 0 to 255."""
    margin = (SIDE - CROP) // 2
    return _crop(picture, statistics, margin, margin)


def _crop(picture: NDArray[np.uint8], statistics: Statistics, top: int, left: int) -> NDArray[np.float32]:
    rows, columns = slice(top, top + CROP), slice(left, left + CROP)
    return picture[rows, columns].transpose(2, 0, 1) - statistics.mean[:, rows, columns]
