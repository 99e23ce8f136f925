"""The loader of arrays: whoever has the data in memory already needs no folder of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.device import Device, cpu, ensure_on
from ..engine.memory import Array, array_of, in_engine_order
from ..engine.settings import flag, real, whole
from .order import order_of, seed_of

__all__ = ["ArrayLoader"]

CHECKED = 1024  # images at a time


class ArrayLoader:
    """The batches of (images, labels), epoch by epoch: what ``Loader`` is to a folder, for a ``Trainer``.

    images: (N, ...), as (N, C, H, W): real or whole numbers, as pixels of 8 bits. labels: (N,), whole numbers from 0,
        the places of the classes. The images are not copied: what is written into them later is seen.
    train: in random order, another one in every epoch; else in the order of the arrays.
    seed: of the order and of ``augment``. What is drawn depends on it, the epoch and the image alone, so the batches
        are bit for bit the same from wherever an epoch is taken up again.
    scale: the factor of the images, as 1 / 255.
    augment: a function (image, rng) that gives what is shown of an image, of the same shape for all. The image is for
        reading; rng, one of NumPy's generators, is this image's own in this epoch.

    Raises TypeError where these are not of that kind, and ValueError where there is no image, images and labels differ
    in number, a label is negative, or an image has a number that is not finite in single precision.
    """

    def __init__(self, images: Any, labels: Any, batch_size: int, *, train: bool, seed: int = 0, scale: float = 1.0,
                 augment: Callable[[Array, np.random.Generator], Any] | None = None):
        who = type(self).__name__
        self.images = cpu(0).view(ensure_on(array_of(images, name=f"{who}: images"), cpu(0)))
        self.labels = _whole_numbers(f"{who}: labels", labels)
        self.batch_size = whole(who, "batch_size", batch_size, least=1)
        self.train = flag(who, "train", train)
        self.seed = whole(who, "seed", seed, least=0)
        self.scale = real(who, "scale", scale)
        self.augment = augment
        if self.images.ndim < 2 or not self.images.size:
            raise ValueError(f"{who}: images have the shape {self.images.shape}: give (N, ...), as (N, C, H, W), none "
                             "of them 0")
        if len(self.images) != len(self.labels):
            raise ValueError(f"{who}: there are {len(self.images)} images and {len(self.labels)} labels: give each "
                             "image one")
        if self.images.dtype.kind == "f" and (bad := _not_finite(self.images)) is not None:
            raise ValueError(f"{who}: images[{bad}] has numbers that are not finite in single precision: mend it, or "
                             "leave it out")

    def __len__(self) -> int:
        """The number of batches in an epoch; the last one may be smaller than the others."""
        return math.ceil(len(self.images) / self.batch_size)

    def epoch(self, number: int, start: int = 0,
              device: Device | None = None) -> Iterator[tuple[Array, NDArray[np.int64]]]:
        """Yield (images, labels) for the batches of an epoch, without its first ``start`` images.

        device: where the images are to be, by default main memory. A GPU is sent them as they are, 8 bits a number if
            these are bytes, prefetched by a batch.
        images: (N, ...) in float32, in memory with the batch fastest. labels: (N,), int64, in main memory.
        Raises TypeError and ValueError where ``augment`` gives no numbers, or images of several shapes.
        """
        order = order_of(len(self.images), self.train, self.seed, number)
        places = (order[first:first + self.batch_size] for first in range(start, len(order), self.batch_size))
        device = device or cpu(0)
        for given, labels in device.prefetch((self._shown(number, some), self.labels[some]) for some in places):
            with device:
                images = in_engine_order(given.astype(np.float32) * np.float32(self.scale))
            yield images, labels

    def _shown(self, epoch: int, places: NDArray[np.int64]) -> Array:
        """The images at these places, as augment gives them."""
        if self.augment is None:
            return self.images[places]
        shown = [self.augment(self.images[i], np.random.default_rng(seed_of(self.seed, epoch, i)))
                 for i in places.tolist()]
        if len(shapes := sorted(set(map(np.shape, shown)))) > 1:
            raise ValueError(f"ArrayLoader: augment gives images of the shapes {shapes[0]} and {shapes[1]}: let all "
                             "have one")
        return array_of(shown, name="ArrayLoader: augment")


def _whole_numbers(who: str, labels: Any) -> NDArray[np.int64]:
    given = array_of(labels, name=who)
    if given.ndim != 1:
        raise ValueError(f"{who} have the shape {given.shape}: give (N,); of scores or one-hot rows take .argmax(1)")
    if given.dtype.kind not in "iu":
        raise TypeError(f"{who} are {given.dtype}: give whole numbers, the places of the classes, as by "
                        ".astype(np.int64)")
    places: NDArray[np.int64] = array_of(ensure_on(given, cpu(0)), np.int64, who)
    if places.size and places.min() < 0:
        raise ValueError(f"{who}[{places.argmin()}] is {places.min()}: classes are counted from 0")
    return places


def _not_finite(images: Array) -> int | None:
    """The first image with a number that is not finite in single precision."""
    with np.errstate(over="ignore"):
        for first in range(0, len(images), CHECKED):
            some = images[first:first + CHECKED].astype(np.float32)
            fine = np.isfinite(some).reshape(len(some), -1).all(axis=1)
            if not fine.all():
                return first + int(fine.argmin())
    return None
