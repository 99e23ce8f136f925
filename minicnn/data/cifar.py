"""CIFAR-10 in memory: as its authors' archives have it, or from folders of small pictures."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import expanded
from .folder import validation_name
from .images import DataError, Images, some
from .picture import BadPicture, read_picture
from .sources import archives_in, image_sets

__all__ = ["CLASSES", "Small", "cifar10", "small_pictures"]

SIDE = 32
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TRAINING, TEST = [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"]
RECORD = 1 + 3 * SIDE * SIDE  # bytes of the binary version: a label, then red, green and blue, row by row


class Small(NamedTuple):
    """Pictures that are held in memory: images (N, 3, 32, 32), bytes; labels (N,), places in classes."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: list[str]

    @property
    def mean_image(self) -> NDArray[np.float32]:
        """The mean of all images, (3, 32, 32)."""
        mean: NDArray[np.float32] = self.images.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that tell sets apart, of pixels, labels and classes."""
        digest = hashlib.blake2b("\0".join(self.classes).encode("utf-8", "surrogatepass"), digest_size=8)
        for array in (self.images, self.labels):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def cifar10(path: str | Path, bad: Callable[[BadPicture], object] = lambda error: None,
            progress: Callable[[Iterable[Any], str], Iterable[Any]] = lambda items, name: items) -> tuple[Small, Small]:
    """(training, test) of what lies at ``path``: the folder cifar-10-batches-py or -bin, the .tar.gz that it came in,
    or folders of pictures, train/<class>/* and test/<class>/* (or val), which are brought to 32 × 32 pixels.

    bad: is told of a picture that cannot be read; it is left out. progress: wraps what is gone through, for a bar.
    Raises DataError where there is no such thing.
    """
    path = expanded(path)
    files = _batches(path)
    if not files:
        if path.is_dir() and not archives_in(path) and not ((path / "train").is_dir() and validation_name(path)):
            raise DataError(f"{path}: expected CIFAR-10's own files, data_batch_1 and so on, or the folders train and "
                            f"test, found {some(sorted(each.name for each in path.iterdir()))}")
        training, test = image_sets(path)
        return small_pictures(training, bad, progress), small_pictures(test, bad, progress)
    lacking = [name for name in (*TRAINING, *TEST) if name not in files]
    if lacking:
        raise DataError(f"{path}: expected {', '.join((*TRAINING, *TEST))}, found no {lacking[0]}")
    return _joined(path, files, TRAINING), _joined(path, files, TEST)


def small_pictures(images: Images, bad: Callable[[BadPicture], object] = lambda error: None,
                   progress: Callable[[Iterable[Any], str], Iterable[Any]] = lambda items, name: items,
                   side: int = SIDE) -> Small:
    """All pictures of a set, at side × side pixels."""
    pixels = np.empty((len(images), 3, side, side), np.uint8)
    labels: list[int] = []
    for place, label in progress(images.samples, f"reading {images.root.name}"):
        try:
            pixels[len(labels)] = read_picture(place, side=side).transpose(2, 0, 1)
        except BadPicture as error:
            bad(error)
            continue
        labels.append(label)
    if not labels:
        raise DataError(f"{images.root}: none of its {len(images):,} pictures can be read")
    return Small(pixels[: len(labels)], np.asarray(labels, np.int64), images.classes)


def _batches(path: Path) -> dict[str, bytes]:
    """The files of CIFAR-10's own versions, by name without .bin."""
    known = {*TRAINING, *TEST}
    if path.is_dir():
        inside = {file.name.removesuffix(".bin"): file for file in path.iterdir() if file.is_file()}
        return {name: file.read_bytes() for name, file in inside.items() if name in known}
    if path.is_file() and path.name.endswith((".tar.gz", ".tgz")):
        try:
            with gzip.open(path) as whole, tarfile.open(fileobj=whole) as archive:
                found = {Path(member.name).name.removesuffix(".bin"): file.read() for member in archive
                         if Path(member.name).name.removesuffix(".bin") in known
                         and (file := archive.extractfile(member))}
                while whole.read(1 << 20):  # to the checksum at the end
                    pass
                return found
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise DataError(f"{path}: expected CIFAR-10 as a .tar.gz: {error}") from error
    return {}


def _joined(path: Path, files: dict[str, bytes], names: list[str]) -> Small:
    parts = [_decoded(path, name, files[name]) for name in names]
    return Small(np.concatenate([pixels for pixels, _ in parts]), np.concatenate([labels for _, labels in parts]),
                 list(CLASSES))


def _decoded(path: Path, name: str, data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pictures and labels of one file, of either version."""
    try:
        if data[:1] == b"\x80":
            batch = _Plain(io.BytesIO(data), encoding="latin1").load()
            pixels, labels = np.asarray(batch["data"], np.uint8), np.asarray(batch["labels"], np.int64)
        else:
            rows = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
            pixels, labels = rows[:, 1:], rows[:, 0].astype(np.int64)
        images = pixels.reshape(len(labels), 3, SIDE, SIDE)
        if not len(labels) or labels.min() < 0 or labels.max() >= len(CLASSES):
            raise ValueError(f"labels are from 0 to {len(CLASSES) - 1}")
    except Exception as error:  # a broken pickle raises nearly anything
        raise DataError(f"{path}: {name} is not as CIFAR-10 has it: {error}") from error
    return images, labels


class _Plain(pickle.Unpickler):
    """A pickle is a program, and may call whatever it names: here the arrays of NumPy alone."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if (module, name) == ("_codecs", "encode"):  # bytes, in the protocols of Python 2
            return codecs.encode
        raise ValueError(f"it names {module}.{name}, which no pictures need")
