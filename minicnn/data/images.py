"""Pictures of classes, wherever they lie: what a loader asks of a folder, or of an archive."""

from __future__ import annotations

import copy
import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..console import printable
from .archive import Member

__all__ = ["VALIDATION", "DataError", "Images", "Place", "changes", "same_classes", "some"]

Place = Path | Member  # where a picture is
VALIDATION = ("val", "valid", "validation", "test")  # what people call that folder: the first that is there is taken


class DataError(ValueError):
    """The data are not as they must be; the message, in one line, says where, what was expected and what was found."""

    def __init__(self, message: str):
        super().__init__(printable(message))


class Images:
    """Pictures of classes.

    root: the folder or the archive. classes: the names of the classes; a label is a position in this list.
    samples: (place, label) of every picture, by class, then by name. left_out: how many files are no samples, by the
    reason; see ``left_out_in_words``.
    """

    root: Path
    classes: list[str]
    samples: Sequence[tuple[Any, int]]
    left_out: Counter[str]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of every picture, (N,)."""
        return np.array([label for _, label in self.samples], np.int64)

    def name(self, place: Any) -> str:
        """``class/picture``, as the disk has it."""
        return str(place.relative_to(self.root).as_posix())

    def names(self) -> list[str]:
        """``class/picture`` of every picture, in the one form of Unicode (NFC) that it has on every machine."""
        return [unicodedata.normalize("NFC", self.name(place)) for place, _ in self.samples]

    def part(self, chosen: NDArray[np.bool_]) -> Self:
        """The pictures that are chosen, (N,), of the same classes."""
        part = copy.copy(self)
        part.samples = [sample for sample, kept in zip(self.samples, chosen.tolist(), strict=True) if kept]
        return part

    def lying(self) -> NDArray[np.int64]:
        """The places of the samples in the order in which the pictures lie on the disk, as far as is known."""
        return np.arange(len(self))

    def will_need(self, places: NDArray[np.int64]) -> None:
        """Let the system read these pictures ahead, where it can be told to."""

    def listing(self) -> NDArray[np.uint64]:
        """Of every picture, in its order: a hash of its name, its size, and when it was changed: (N, 3)."""
        rows = np.zeros((len(self), 3), np.uint64)
        for row, (path, _) in zip(rows, self.samples, strict=True):
            row[0] = hash_of(self.name(path))
            try:
                stat = path.stat()
            except OSError:  # it is found bad when it is read
                continue
            row[1:] = stat.st_size, max(0, stat.st_mtime_ns)
        return rows

    def state(self) -> Iterator[bytes]:
        """What the disk knows of every file, after links: name, size, when it was written, which file it is, and when
        any of that was changed last. The last cannot be set, as the others can; Windows has no such time.

        To hash what is in the files would need each picture read at every start: minutes for a million, where this
        takes seconds.
        """
        for path, _ in self.samples:
            yield os.fsencode(self.name(path)) + f"\0{state_of(path)}\0".encode()

    def left_out_in_words(self) -> str:
        """What is left out, most of all first, as "left out: .heic 12, without suffix 3"; or nothing."""
        counts = [f"{printable(kind)} {count}"
                  for kind, count in sorted(self.left_out.items(), key=lambda item: (-item[1], item[0])) if count]
        return f"left out: {some(counts)}" if counts else ""


T = TypeVar("T", bound=Images)


def changes(then: NDArray[np.uint64], now: NDArray[np.uint64], same_root: bool) -> str:
    """What is different between two listings, in words. Times are compared only where the folder is the same one: a
    copy may have others."""
    (before, i), (after, j) = (np.unique(rows[:, 0], return_index=True) for rows in (then, now))
    both, p, q = np.intersect1d(before, after, assume_unique=True, return_indices=True)
    compared = slice(1, None if same_root else 2)
    changed = (then[i[p], compared] != now[j[q], compared]).any(axis=1)
    counts = {"new": after.size - both.size, "gone": before.size - both.size, "changed": changed.sum()}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def same_classes(root: Path, train: T, val: T) -> tuple[T, T]:
    """Both. Raises DataError where their classes differ."""
    if train.classes != val.classes:
        only_train, only_val = (sorted(set(a.classes) - set(b.classes)) for a, b in ((train, val), (val, train)))
        raise DataError(f"{root}: expected the same classes in {train.root.name} and {val.root.name}, found only in "
                        f"{train.root.name}: {some(only_train)}; only in {val.root.name}: {some(only_val)}")
    return train, val


def hash_of(name: str) -> int:
    """64 bits, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest(), "little")


def state_of(path: str | os.PathLike[str]) -> str:
    """What tells a file from what it was before."""
    try:
        found = os.stat(path)
    except OSError:
        return "not there"
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino} {found.st_ctime_ns}"


def some(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    if not names:
        return "nothing"
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
