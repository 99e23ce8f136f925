"""What is to be known of a training set before training: its mean picture and the main axes of its colours."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from .cache import cache_folder, cached
from .images import Images, Place
from .picture import SIDE
from .reading import Reading
from .share import ALL, Share
from .workers import Workers

__all__ = ["Statistics"]

CHUNK = 32  # pictures a task


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and colour axes of a set of pictures, all on the scale of 0 to 255.

    mean: (3, 256, 256) float32, the mean picture, which the paper subtracts (§2).
    sigma: (3,) float32, standard deviations along the axes, ascending.
    axes: (3, 3) float32, one unit vector (R, G, B) a column: the eigenvectors of the 3 × 3 covariance of the RGB values
        of all pixels about their mean, of which sigma² are the eigenvalues (§4.1).
    bad: the reason for every picture that could not be read and does not count, by its path.
    """

    mean: NDArray[np.float32]
    sigma: NDArray[np.float32]
    axes: NDArray[np.float32]
    bad: dict[str, str]

    @property
    def deviation(self) -> float:
        """√(mean of sigma²): the standard deviation of a pixel's value, over all channels.

        It is 1 where all pixels of all pictures have one colour: what does not vary need not be scaled.
        """
        return float(np.sqrt(np.mean(np.square(self.sigma, dtype=np.float64)))) or 1.0

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """mean, sigma and axes, as a checkpoint keeps them: ``statistics.mean`` and so on."""
        return {f"statistics.{name}": getattr(self, name) for name in ("mean", "sigma", "axes")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]]) -> Statistics:
        """The statistics that ``arrays`` gave; others may be among them. A mean picture of (3, h, w), h and w dividing
        256, is of squares of one colour: a net that is kept small keeps so much of it. Raises KeyError where one is
        missing, ValueError where the mean has another shape."""
        mean, sigma, axes = (np.asarray(arrays[f"statistics.{name}"], np.float32) for name in ("mean", "sigma", "axes"))
        if mean.ndim != 3 or len(mean) != 3 or not all(n and SIDE % n == 0 for n in mean.shape[1:]):
            raise ValueError(f"Statistics: a mean picture of {mean.shape}: it is (3, h, w), and h and w divide {SIDE}")
        return cls(mean.repeat(SIDE // mean.shape[1], axis=1).repeat(SIDE // mean.shape[2], axis=2), sigma, axes, {})

    @classmethod
    def of(cls, folder: Images, *, workers: int = 0, sample: int | None = None,
           progress: Callable[[int, int], object] | None = None, share: Share = ALL,
           gather: Callable[[Any], list[Any]] = lambda value: [value]) -> Statistics:
        """The statistics of all pictures of a folder, or of a sample of so many, spread evenly over them; the same
        whatever the number of workers.

        They are kept in the cache folder, if that can be written: where no file was written, moved or put in another's
        place since, no picture is read again. They are not kept where a picture could not be read for a reason that
        may pass.
        progress: called as progress(pictures done, pictures in all).
        share, gather: where several processes measure together, what of the pictures is this one's, and what gives all
            of them a list of what each has. They get the same, bit for bit, as one would.
        Raises DataError where no picture can be read, or none any more.
        """
        if sample is not None and sample < len(folder):
            chosen = np.zeros(len(folder), bool)
            chosen[np.linspace(0, len(folder) - 1, sample).astype(int)] = True
            folder = folder.part(chosen)
        name = f"statistics-{_fingerprint(folder)}.npz"
        kept: Statistics | None = None
        with suppress(Exception):  # not there, or damaged in whatever way
            kept = _load(cache_folder() / name, folder)
        found: list[Statistics] = [each for each in gather(kept) if each]
        if found:
            return found[0]
        statistics, unread = _measure(folder, workers, progress, share, gather)
        if not unread:
            with suppress(OSError):
                _save(statistics, cache_folder() / name, folder.root)
        return statistics


def _measure(folder: Images, workers: int,
             progress: Callable[[int, int], object] | None, share: Share, gather: Callable[[Any], list[Any]]
             ) -> tuple[Statistics, int]:
    """The statistics, and how many pictures the machine could not read."""
    count, reading = len(folder), Reading()
    own = [range(cut.start, cut.stop) for cut in share.cuts(count)]
    # Sums of integers: exact, so their order does not matter.
    total = np.zeros((SIDE, SIDE, 3), np.int64)
    products = np.zeros((3, 3), np.int64)
    with Workers(workers) as pool:
        tasks = (([folder.samples[i][0] for i in part[start : start + CHUNK]],)
                 for part in own for start in range(0, len(part), CHUNK))
        for done, (chunk_total, chunk_products, chunk) in enumerate(pool.starmap(_sums, tasks), 1):
            total += chunk_total
            products += chunk_products
            reading.add(chunk, folder)
            if progress:
                progress(min(done * CHUNK, sum(map(len, own))), sum(map(len, own)))
    sums = gather((total, products, reading))
    total, products = (sum(each[i] for each in sums) for i in (0, 1))
    reading = Reading({path: why for *_, each in sums for path, why in each.bad.items()},
                      sum(each.unread for *_, each in sums))
    good = count - len(reading.bad)
    if not good:
        raise reading.nothing(folder)
    pixels = good * SIDE * SIDE
    colour = total.sum(axis=(0, 1)).tolist()
    # Python's whole numbers have no end: what does not vary has a covariance of 0, not of what is lost by rounding.
    covariance = [[(pixels * products[i, j].item() - colour[i] * colour[j]) / pixels**2 for j in range(3)]
                  for i in range(3)]
    eigenvalues, axes = np.linalg.eigh(covariance)
    return Statistics(mean=(total / good).transpose(2, 0, 1).astype(np.float32),
                      sigma=np.sqrt(np.maximum(eigenvalues, 0)).astype(np.float32),  # rounding may go below 0
                      axes=axes.astype(np.float32), bad=reading.bad), reading.unread


def _sums(paths: list[Place]) -> tuple[NDArray[np.int64], NDArray[np.int64], Reading]:
    """Sums over pictures of the pixels (256, 256, 3) and, over their pixels too, of r rᵀ (3, 3) for r = (R, G, B); and
    what became of the files."""
    total = np.zeros((SIDE, SIDE, 3), np.int64)
    products = np.zeros((3, 3), np.int64)
    reading = Reading()
    for _, picture in reading.pictures(paths):
        total += picture
        colours = picture.reshape(-1, 3).astype(np.float64)
        products += (colours.T @ colours).astype(np.int64)  # exact: 255² · 256² is far below 2⁵³
    return total, products, reading


def _fingerprint(folder: Images) -> str:
    """A hash of what the disk knows of every picture, see ``Images.state``."""
    digest = hashlib.sha256(f"2 {PIL.__version__}".encode())  # 2: to be changed with what is computed or how it is kept
    for state in folder.state():
        digest.update(state)
    return digest.hexdigest()[:32]


def _save(statistics: Statistics, path: Path, root: Path) -> None:
    bad = {os.path.relpath(name, root): reason for name, reason in statistics.bad.items()}
    with cached(path) as aside, aside.open("wb") as file:
        np.savez(file, mean=statistics.mean, sigma=statistics.sigma, axes=statistics.axes, bad=json.dumps(bad))


def _load(path: Path, folder: Images) -> Statistics:
    """Raises nearly anything where the file is not as it was written."""
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as kept:
        bad = {str(folder.root / name): str(reason) for name, reason in json.loads(str(kept["bad"])).items()}
        statistics = Statistics(kept["mean"], kept["sigma"], kept["axes"], bad)
    for array, shape, low, high in ((statistics.mean, (3, SIDE, SIDE), 0, 255), (statistics.sigma, (3,), 0, 255),
                                    (statistics.axes, (3, 3), -1.001, 1.001)):
        if array.dtype != np.float32 or array.shape != shape or not ((low <= array) & (array <= high)).all():
            raise ValueError("not what was kept")
    return statistics
