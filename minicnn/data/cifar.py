"""CIFAR-10 in memory: as its authors' archives have it, or from folders of small pictures."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import expanded
from .archive import ARCHIVES
from .folder import validation_name
from .images import DataError, Images, same_classes, some
from .index import index
from .picture import BadPicture, picture_suffixes, read_picture
from .plain_pickle import unpickled, whole_numbers
from .sources import archives_in, image_set, image_sets

__all__ = ["CLASSES", "SIDE", "Small", "cifar10", "small_pictures"]

SIDE = 32
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TRAINING, TEST = [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"]
META = "batches.meta", "batches.meta.txt"  # names of the classes, of the one version and the other
EXPECTED = "expected CIFAR-10's own files, data_batch_1 and so on"
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
    or folders of pictures, train/<class>/* and test/<class>/*, or else val, which are brought to 32 × 32 pixels.

    bad: is told of a picture that cannot be read; it is left out. progress: wraps what is gone through, for a bar.
    Raises DataError where there is no such thing.
    """
    path = expanded(path)
    files = _batches(path)
    if not files:
        training, test = _pictures(path)
        return small_pictures(training, bad, progress), small_pictures(test, bad, progress)
    lacking = [name for name in (*TRAINING, *TEST) if name not in files]
    if lacking:
        raise DataError(f"{path}: expected {', '.join((*TRAINING, *TEST))}, found no {lacking[0]}")
    return _joined(path, files, TRAINING), _joined(path, files, TEST)


def _pictures(path: Path) -> tuple[Images, Images]:
    """Of folders or an archive of pictures, those for training and for the test."""
    archives = archives_in(path)
    if path.is_dir() and not archives:
        inside = sorted(each.name for each in path.iterdir())
        part = "test" if (path / "test").is_dir() else validation_name(path)
        if not (path / "train").is_dir() or part is None:
            raise DataError(f"{path}: {EXPECTED}, or the folders train and test, found {some(inside)}")
        return same_classes(path, image_set(path / "train"), image_set(path / part))
    if archives and "test" in [part for folder in index(archives).folders if folder.left_out
                               for part in folder.path.split("/")]:  # fmt: skip
        raise DataError(f"{path}: expected pictures in train and test, found more parts: leave out all but these")
    return image_sets(path)


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


# -- the authors' files ------------------------------------------------------------------------------------------------


def _batches(path: Path) -> dict[str, bytes]:
    """The files of CIFAR-10's own versions, by name without .bin; none where other things are at ``path``."""
    found: dict[str, bytes] = {}

    def add(name: str, read: Callable[[], bytes]) -> None:
        known = name.removesuffix(".bin")
        if known in found:
            raise DataError(f"{path}: {known} is there twice: which one is meant? Leave the other out")
        if known in (*TRAINING, *TEST, *META):
            found[known] = read()

    if path.is_dir():
        for file in path.iterdir():
            if file.is_file():
                add(file.name, file.read_bytes)
    elif path.is_file() and ((zipped := _begins(path, b"\x1f\x8b")) or ".tar" in path.suffixes):
        inside = []
        try:
            with (gzip.open(path) if zipped else path.open("rb") as whole,
                  tarfile.open(fileobj=whole, mode="r:" if zipped else "r:*") as archive):
                for member in archive:
                    inside.append(member.name)
                    if member.isreg() and (content := archive.extractfile(member)):
                        add(Path(member.name).name, content.read)
                while zipped and whole.read(1 << 20):  # to the checksum at the end
                    pass
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            why = str(error).partition("\n")[0]
            raise DataError(f"{path}: expected CIFAR-10 as a .tar.gz: {why}") from error
        kinds = {posixpath.splitext(name)[1].lower() for name in inside}
        if not {*TRAINING, *TEST} & {*found} and (zipped or not kinds & {*picture_suffixes(), *ARCHIVES}):
            raise DataError(f"{path}: {EXPECTED}, found {some(inside)}")
    return found if {*TRAINING, *TEST} & {*found} else {}


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _joined(path: Path, files: dict[str, bytes], names: list[str]) -> Small:
    classes = _class_names(path, files)
    parts = [_decoded(path, name, files[name], len(classes)) for name in names]
    return Small(np.concatenate([pixels for pixels, _ in parts]), np.concatenate([labels for _, labels in parts]),
                 classes)


def _class_names(path: Path, files: dict[str, bytes]) -> list[str]:
    """As batches.meta has them, which may be another's who has pictures in this form; CIFAR-10's where it is not there.
    """
    name = next((name for name in META if name in files), None)
    try:
        if name == META[1]:
            return [line for line in files[name].decode().splitlines() if line.strip()]
        found = unpickled(files[name], "label_names")[0] if name else CLASSES
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise ValueError("label_names are no texts")
        return list(found)
    except Exception as error:
        raise DataError(f"{path}: {name} is not as CIFAR-10 has it: {error}") from error


def _decoded(path: Path, name: str, data: bytes, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pictures and labels of one file, of either version."""
    try:
        if data[:1] == b"\x80":
            pixels, labels = map(whole_numbers, unpickled(data, "data", "labels"))
        else:
            if len(data) % RECORD:
                raise ValueError(f"expected {RECORD:,} bytes a picture, found {len(data):,}, which is no multiple")
            rows = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
            pixels, labels = rows[:, 1:], rows[:, 0]
        if labels.ndim != 1 or pixels.shape != (len(labels), RECORD - 1):
            raise ValueError(f"expected data of (N, {RECORD - 1}) and labels of (N,), found {pixels.shape} and "
                             f"{labels.shape}")
        if not len(labels):
            raise ValueError("it holds no pictures")
        for what, numbers, most in (("pixels", pixels, 255), ("labels", labels, classes - 1)):
            if numbers.min() < 0 or numbers.max() > most:
                raise ValueError(f"expected {what} from 0 to {most}, found {numbers.min()} to {numbers.max()}")
    except Exception as error:  # a broken pickle raises nearly anything
        raise DataError(f"{path}: {name} is not as CIFAR-10 has it: {error}") from error
    return pixels.astype(np.uint8, copy=False).reshape(-1, 3, SIDE, SIDE), labels.astype(np.int64)
