"""Which pictures a network takes to be alike: training pictures that are near, in its last hidden layer, to pictures of
the validation set, as in Figure 4, right, of Krizhevsky et al. 2012 (§6.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..data import Loader, central_crops, read_picture
from ..models import AlexNet
from ..models.features import last_hidden, nearest, outputs_of
from .pictures import some_pictures

__all__ = ["Neighbours", "enough", "neighbours"]

LEAST, SHARE = 2000, 0.1  # training pictures that are searched
AT_ONCE = 128  # of them, at most


@dataclass(frozen=True)
class Neighbours:
    """rows: for each query its picture, (256, 256, 3), its label, and the nearest first, (picture, label, distance).
    searched: so many training pictures, of ``among``. layer: in which, of so many ``units``."""

    rows: list[tuple[np.ndarray, int, list[tuple[np.ndarray, int, float]]]]
    searched: int
    among: int
    layer: str
    units: int

    def in_words(self) -> str:
        """What is to be seen in a picture of it."""
        among = "" if self.searched == self.among else f" of {self.among:,}"
        return (f"validation pictures, and of {self.searched:,}{among} training pictures those that are nearest in "
                f"{self.layer} ({self.units:,} numbers, Euclidean distance)")


def enough(count: int) -> int:
    """How many of so many training pictures are searched where nothing else is asked: a tenth, at least 2,000. As each
    goes forward alone, that takes a thirtieth of an epoch of a large set, and seconds of a small one."""
    return min(count, max(LEAST, round(SHARE * count)))


def neighbours(model: AlexNet, training: Loader, validation: Loader, count: int = 5, each: int = 6,
               searched: int | None = None, progress: Callable[[int, int], object] = lambda done, of: None
               ) -> Neighbours:
    """For ``count`` pictures from all over the validation set the ``each`` nearest of the training pictures, of which
    ``searched`` are looked at, spread evenly over all, as in validation; those that cannot be read are left out.

    progress: called as progress(pictures done, pictures in all).
    Raises ValueError where no picture of one of the sets can be read, or a feature is not finite.
    """
    pictures, labels = some_pictures(validation, count)
    if not pictures:
        raise ValueError(f"{validation.folder.root}: none of its pictures can be read")
    layer, among = last_hidden(model), len(training.folder)
    wanted = enough(among) if searched is None else min(searched, among)
    chosen = np.zeros(among, bool)
    chosen[np.linspace(0, among - 1, wanted).astype(int)] = True
    loader, seen = training.of(training.folder.part(chosen), min(training.batch_size, AT_ONCE)), 0

    def features() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal seen
        for images, found in loader.epoch(0, device=model.devices[0]):
            seen += len(found)
            progress(seen, wanted)
            if len(found):
                yield outputs_of(model, images, layer), np.array(loader.shown)

    views = central_crops(pictures, validation.statistics, validation.scale, validation.crop)
    queries = outputs_of(model, views, layer)
    places, distances = nearest(queries, features(), each)
    progress(wanted, wanted)
    samples, rows = loader.folder.samples, []
    for picture, label, where, far in zip(pictures, labels, places.tolist(), distances.tolist(), strict=True):
        near = [(*samples[place], distance) for place, distance in zip(where, far, strict=True)]
        rows.append((picture, label, [(read_picture(path), other, distance) for path, other, distance in near]))
    return Neighbours(rows, seen, among, layer, queries.shape[1])
