"""The loader: batches of pictures, prepared beside the training and always the same for the same seed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.device import Device, cpu, ensure_on
from ..engine.memory import Array
from ..engine.settings import whole
from .augment import CROP, NOISE, centre, draw, ten_crops, views
from .images import Images, Place
from .order import WINDOW, order_of, order_of_blocks, seed_of
from .picture import SIDE
from .reading import Reading
from .share import ALL, Share
from .statistics import Statistics
from .workers import Workers

__all__ = ["Loader"]


class Loader:
    """The batches of a folder, or of an archive, epoch by epoch.

    train: random views of the pictures in random order; else their central crops in the order of the folder.
    seed: of the order and the views. What is drawn depends on it, the epoch and the picture alone, so the batches are
        bit for bit the same for any number of workers and from wherever an epoch is taken up again.
    workers: processes that prefetch batches; with 0 each batch is prepared when it is asked for.
    scale: the factor of the images, which without it are on the scale of 0 to 255, less the mean.
    block: in training so many neighbours stay together, see ``order.order_of_blocks``; 0: none do.
    crop: the side of the images, in pixels. noise: of the colours, see ``augment.draw``.
    crops: 10: of each picture the ten views of ``augment.ten_crops``, next to each other, where not in training.
    share: of every batch, of which ``batch_size`` stays the whole, the parts that are yielded, one by one.
    shown: the places, in the folder's samples, of the pictures in the batch that was yielded last.

    Raises TypeError and ValueError where ``batch_size``, ``workers`` or ``crop`` is no such number.
    """

    def __init__(self, folder: Images, statistics: Statistics, batch_size: int, *, train: bool, seed: int = 0,
                 workers: int = 0, scale: float = 1.0, crop: int = CROP, noise: float = NOISE, block: int = 0,
                 crops: int = 1, share: Share = ALL):
        self.folder = folder
        self.statistics = statistics
        self.batch_size = whole("Loader", "batch_size", batch_size, least=1)
        self.train = train
        self.seed = seed
        self.scale = scale
        self.crop = whole("Loader", "crop", crop, least=1, most=SIDE)
        self.noise = noise
        self.block = whole("Loader", "block", block, least=0)
        if crops not in (1, 10) or (train and crops != 1):
            raise ValueError(f"Loader: crops is {crops}: give 1, or 10 where it is not for training")
        self.crops, self.share = crops, share
        self.shown: list[int] = []
        self._reading = Reading()
        self._workers = Workers(workers)

    @property
    def bad(self) -> dict[str, str]:
        """The reason for every picture that could not be read so far, by its path. Such a picture is missing from its
        batch; all others stay as they are."""
        return self._reading.bad

    def __len__(self) -> int:
        """The number of batches in an epoch; the last one may be smaller than the others."""
        return math.ceil(len(self.folder) / self.batch_size)

    def epoch(self, number: int, start: int = 0,
              device: Device | None = None) -> Iterator[tuple[Array, NDArray[np.int64]]]:
        """Yield (images, labels) for the batches of an epoch, without its first ``start`` pictures.

        device: where the images are to be, by default main memory. A GPU is sent the pictures as they are read, 8 bits
            a number, prefetched by a batch, and cuts its views itself.
        images: (N · crops, 3, crop, crop), in memory with the batch fastest: transpose(1, 2, 3, 0) is contiguous.
        labels: (N,). A batch of which no picture can be read comes empty, so that the number of batches, each of
        ``batch_size`` pictures read or not, tells the place in the epoch; so does a part without a picture.
        Raises DataError where that is so for a whole epoch, or once the storage of the pictures has gone away; and
        WorkerDied where a worker process is killed.
        """
        order = self.order(number)
        parts = [slice(first + cut.start, first + cut.stop) for first in range(start, len(order), self.batch_size)
                 for cut in self.share.cuts(min(self.batch_size, len(order) - first))]
        tasks = self._tasks(number, order, parts)
        found, device = False, device or cpu(0)
        mean = ensure_on(np.ascontiguousarray(self.statistics.mean), device)
        prepared = device.prefetch(self._workers.starmap(_prepare, tasks))
        for (pictures, (places, noise, labels, reading)), part in zip(prepared, parts, strict=True):
            self._reading.add(reading, self.folder)
            self.shown = [i for i in order[part].tolist()
                          if not reading.bad or str(self.folder.samples[i][0]) not in reading.bad]
            found |= len(labels) > 0
            with device:
                pictures = pictures.repeat(self.crops, axis=0) if self.crops > 1 else pictures
                images = views(pictures, ensure_on(places, device), ensure_on(noise, device), mean, self.scale,
                               self.crop)
            yield images, labels
        if not found and start == 0 and self.share == ALL:
            raise self._reading.nothing(self.folder)

    def of(self, folder: Images, batch_size: int) -> Loader:
        """As for validation, of other pictures: their central crops, in the order of the folder. Its workers, and what
        it knows of bad pictures, are those of this loader."""
        other = copy.copy(self)
        other.folder, other.batch_size = folder, batch_size
        other.train, other.crops, other.share, other.shown = False, 1, ALL, []
        return other

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The places, in the folder's samples, in the order in which an epoch shows them."""
        if self.train and self.block:
            return order_of_blocks(self.folder.lying(), self.block, self.seed, epoch)
        return order_of(len(self.folder), self.train, self.seed, epoch)

    def close(self) -> None:
        """End the worker processes."""
        self._workers.close()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _tasks(self, epoch: int, order: NDArray[np.int64], parts: list[slice]) -> Iterator[tuple[object, ...]]:
        window = self.block * WINDOW if self.train else 0
        own = np.array([i for part in parts for i in range(part.start, part.stop)] if window else [], np.int64)
        asked = 0  # of one's own
        for part in parts:
            end = int(np.searchsorted(own, (part.start // window + 2) * window)) if window else 0  # of the next window
            if end > asked:
                self.folder.will_need(order[own[asked:end]])
                asked = end
            yield self._task(epoch, order[part].tolist())

    def _task(self, epoch: int, batch: list[int]) -> tuple[object, ...]:
        samples = [self.folder.samples[index] for index in batch]
        seeds = [seed_of(self.seed, epoch, index) if self.train else None for index in batch]
        return samples, seeds, self.statistics.sigma, self.statistics.axes, self.crop, self.noise, self.crops


def _prepare(samples: list[tuple[Place, int]], seeds: list[np.random.SeedSequence | None], sigma: NDArray[np.float32],
             axes: NDArray[np.float32], crop: int, noise: float, crops: int
             ) -> tuple[NDArray[np.uint8], tuple[Any, ...]]:
    """A batch: pictures (N, 256, 256, 3), places and noise of their views (3, N · crops), labels (N,); and what became
    of its files: the bad pictures are in none of these."""
    reading = Reading()
    pictures, places, noises, labels = [], [], [], []
    for i, picture in reading.pictures(path for path, _ in samples):
        seed, (_, label) = seeds[i], samples[i]
        place, colour = (centre(crop) if seed is None else
                         draw(sigma, axes, np.random.default_rng(seed), crop, noise))
        pictures.append(picture)
        places.append(place if crops == 1 else ten_crops(crop))
        noises.append(np.tile(colour, crops))
        labels.append(label)
    return (np.array(pictures, np.uint8).reshape(-1, SIDE, SIDE, 3),
            (np.array(places, np.uint8).reshape(-1, 3).T.copy(), np.array(noises, np.float32).reshape(-1, 3).T.copy(),
             np.array(labels, np.int64), reading))
