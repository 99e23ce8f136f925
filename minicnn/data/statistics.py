"""What is to be known of a training set before training: its mean picture and the main axes of its colours."""
from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .cache import cache_folder, written_aside
from .folder import DataError, ImageFolder
from .picture import SIDE, BadPicture, read_picture
from .workers import Workers

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
        """√(mean of sigma²): the standard deviation of a pixel's value, over all channels."""
        return float(np.sqrt(np.mean(np.square(self.sigma, dtype=np.float64))))

    @classmethod
    def of(cls, folder: ImageFolder, *, workers: int = 0,
           progress: Callable[[int, int], object] | None = None) -> Statistics:
        """The statistics of all pictures of a folder, the same whatever the number of workers.

        They are kept in the cache folder, if that can be written, under the names and the sizes of the files: where
        these are the same, no picture is read again.
        progress: called as progress(pictures done, pictures in all).
        Raises DataError if no picture can be read.
        """
        kept = cache_folder() / f"statistics-{_fingerprint(folder)}.npz"
        with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # not there, or broken
            return _load(kept, folder.root)
        statistics = _measure(folder, workers, progress)
        with suppress(OSError):
            _save(statistics, kept, folder.root)
        return statistics


def _measure(folder: ImageFolder, workers: int, progress: Callable[[int, int], object] | None) -> Statistics:
    paths = [path for path, _ in folder.samples]
    bad: dict[str, str] = {}
    # Sums of integers: exact, so their order does not matter.
    total = np.zeros((SIDE, SIDE, 3), np.int64)
    products = np.zeros((3, 3), np.int64)
    with Workers(workers) as pool:
        tasks = ((paths[start:start + CHUNK],) for start in range(0, len(paths), CHUNK))
        for done, (chunk_total, chunk_products, chunk_bad) in enumerate(pool.starmap(_sums, tasks), 1):
            total += chunk_total
            products += chunk_products
            bad |= chunk_bad
            if progress:
                progress(min(done * CHUNK, len(paths)), len(paths))
    good = len(paths) - len(bad)
    if not good:
        path, reason = next(iter(bad.items()))
        raise DataError(f"{folder.root}: none of its {len(paths)} pictures can be read; the first is {path}: {reason}")
    pixels = good * SIDE * SIDE
    colour = total.sum(axis=(0, 1)) / pixels
    eigenvalues, axes = np.linalg.eigh(products / pixels - np.outer(colour, colour))
    return Statistics(mean=(total / good).transpose(2, 0, 1).astype(np.float32),
                      sigma=np.sqrt(np.maximum(eigenvalues, 0)).astype(np.float32),  # rounding may go below 0
                      axes=axes.astype(np.float32), bad=bad)


def _sums(paths: list[Path]) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, str]]:
    """Sums over pictures of the pixels (256, 256, 3) and, over their pixels too, of r rᵀ (3, 3) for r = (R, G, B)."""
    total = np.zeros((SIDE, SIDE, 3), np.int64)
    products = np.zeros((3, 3), np.int64)
    bad = {}
    for path in paths:
        try:
            picture = read_picture(path)
        except BadPicture as error:
            bad[str(path)] = error.reason
            continue
        total += picture
        colours = picture.reshape(-1, 3).astype(np.float64)
        products += (colours.T @ colours).astype(np.int64)  # exact: 255² · 256² is far below 2⁵³
    return total, products, bad


def _fingerprint(folder: ImageFolder) -> str:
    """A hash of the name and the size of every file."""
    digest = hashlib.sha256(b"1")  # the version: to be changed with what is computed or how it is kept
    for path, _ in folder.samples:
        try:
            size = os.stat(path).st_size
        except OSError:
            size = -1
        digest.update(os.fsencode(path.relative_to(folder.root)) + b"\0%d\0" % size)
    return digest.hexdigest()[:32]


def _save(statistics: Statistics, path: Path, root: Path) -> None:
    bad = {os.path.relpath(name, root): reason for name, reason in statistics.bad.items()}
    with written_aside(path) as aside:
        np.savez(aside, mean=statistics.mean, sigma=statistics.sigma, axes=statistics.axes, bad=json.dumps(bad))


def _load(path: Path, root: Path) -> Statistics:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as kept:
        bad = {str(root / name): reason for name, reason in json.loads(str(kept["bad"])).items()}
        return Statistics(kept["mean"], kept["sigma"], kept["axes"], bad)
