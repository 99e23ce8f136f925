"""The pictures of an archive, as those of a folder: the same names, order and labels; they stay where they are."""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .archive import Member
from .images import DataError, Images, some, state_of
from .index import Index

__all__ = ["ImageArchive"]


class ImageArchive(Images):
    """The pictures of an index, where they lie.

    root: what people call the archives. part: that of the pictures, where they are divided. given: the class of each,
    where they are in no folder and so have none, in the order of their names.

    Raises DataError where there are fewer than two classes, or not as many were given as there are pictures.
    """

    samples: _Samples

    def __init__(self, root: Path, found: Index, part: str = "", given: Sequence[str] | None = None):
        self.root, self.left_out = root, Counter(found.left_out)
        mine = np.array([folder.part == part and not folder.left_out for folder in found.folders], bool)
        rows = found.rows[mine[found.rows["folder"]]]
        self._classes = {folder.path: folder.name for folder in found.folders}
        if given is None:
            names = [folder.name for folder, own in zip(found.folders, mine, strict=True) if own]
        elif len(given) != len(rows):
            raise DataError(f"{root}: it holds {len(rows):,} pictures, and the classes of {len(given):,} were given")
        else:
            names = list(given)
        self.classes = sorted(set(names), key=int) if found.numbered else sorted(set(names))
        if len(self.classes) < 2:
            way = ": as none is in a folder, --labels FILE must say of which class each is" * (self.classes == [""])
            raise DataError(f"{root}: expected a folder for each of two or more classes in it, found "
                            f"{some([name for name in self.classes if name])}{way}")
        label_of = {name: label for label, name in enumerate(self.classes)}
        if given is None:
            labels = np.array([label_of.get(folder.name, -1) for folder in found.folders])[rows["folder"]]
        else:
            labels = np.array([label_of[name] for name in given])
        order = np.argsort(labels, kind="stable")
        self.samples = _Samples(replace(found, rows=rows[order]), labels[order])

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.samples.labels

    def name(self, place: Any) -> str:
        """``class/picture``; the name alone, where the picture is in no folder."""
        folder = self._classes[place.folder]
        return f"{folder}/{place.name}" if folder else str(place.name)

    def part(self, chosen: NDArray[np.bool_]) -> ImageArchive:
        part, samples = copy.copy(self), self.samples
        part.samples = _Samples(replace(samples.found, rows=samples.found.rows[chosen]), samples.labels[chosen])
        return part

    def lying(self) -> NDArray[np.int64]:
        return np.lexsort((self.samples.found.rows["start"], self.samples.found.rows["archive"]))

    def will_need(self, places: NDArray[np.int64]) -> None:
        rows = self.samples.found.rows[places]
        rows = rows[np.lexsort((rows["start"], rows["archive"]))]
        for number in np.unique(rows["archive"]).tolist() if hasattr(os, "posix_fadvise") else ():
            with suppress(OSError), open(self.samples.found.archives[number], "rb") as file:
                for row in rows[rows["archive"] == number]:
                    size = int(row["packed"] or row["size"])
                    os.posix_fadvise(file.fileno(), int(row["start"]), size, os.POSIX_FADV_WILLNEED)

    def listing(self) -> NDArray[np.uint64]:
        rows = self.samples.found.rows
        times = [max(0, os.stat(archive).st_mtime_ns) for archive in self.samples.found.archives]
        return np.stack([rows["name"], rows["size"], np.array(times, np.uint64)[rows["archive"]]], axis=1)

    def state(self) -> Iterator[bytes]:
        for archive in self.samples.found.archives:
            yield os.fsencode(archive) + f"\0{state_of(archive)}\0".encode()
        yield self.samples.found.rows.tobytes()


class _Samples(Sequence[tuple[Member, int]]):
    """(member, label) of every picture, made when it is asked for."""

    def __init__(self, found: Index, labels: NDArray[np.int64]):  # an index of these alone: none is kept twice
        self.found, self.labels = found, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: Any) -> Any:
        return self.found.member(self.found.rows[place]), int(self.labels[place])
