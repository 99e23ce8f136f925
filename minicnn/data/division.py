"""A folder of class folders, divided: which of its pictures are for training, and which for validation."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..files import written_aside
from .archive import Member, opened
from .images import DataError, Images, Place

__all__ = ["Division", "in_both"]

T = TypeVar("T", bound=Images)
TAIL = 4096  # bytes at the end of a file, where two pictures hardly ever agree


@dataclass(frozen=True)
class Division:
    """The names of pictures, ``class/picture``, as a run keeps them in its folder."""

    training: list[str]
    validation: list[str]

    @classmethod
    def of(cls, folder: Images, share: float, seed: int) -> Division:
        """Of the n pictures of a class ``share`` · n, rounded, are for validation: at least 1, at most n − 1.

        They are those whose names have the lowest hashes together with the seed, so that seed and names alone decide:
        no order of a disk, no machine, and no picture of another class.
        Raises DataError where every class has one picture.
        """
        by_class: list[list[str]] = [[] for _ in folder.classes]
        for name, label in zip(folder.names(), folder.labels, strict=True):
            by_class[label].append(name)
        chosen: set[str] = set()
        for names in by_class:
            count = min(max(math.floor(share * len(names) + 0.5), 1), len(names) - 1)
            chosen.update(sorted(names, key=lambda name: (_hash(f"{seed}/{name}"), name))[:count])
        if not chosen:
            raise DataError(f"{folder.root}: every class has one picture: none is left for validation: give more")
        names = [name for names in by_class for name in names]
        return cls([name for name in names if name not in chosen], [name for name in names if name in chosen])

    def parts(self, folder: T) -> tuple[T, T]:
        """The pictures of the folder that are for training, and those for validation. What came later is left out, and
        counted in ``left_out``. Raises DataError where none is there for validation."""
        names, lists = folder.names(), (set(self.training), set(self.validation))
        chosen = [np.array([name in some for name in names], bool) for some in lists]
        folder.left_out["new since the division"] = int((~chosen[0] & ~chosen[1]).sum())
        training, validation = folder.part(chosen[0]), folder.part(chosen[1])
        if not len(validation):
            raise DataError(f"{folder.root}: none of the {len(lists[1])} pictures for validation is there, such as "
                            f"{self.validation[0]}: give the folder that was divided")
        return training, validation

    def write(self, path: Path) -> None:
        """Write the names as JSON, a line each: whole or not at all."""
        with written_aside(path) as aside:
            aside.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="ascii")

    @classmethod
    def read(cls, path: Path) -> Division:
        """What ``write`` wrote. Raises DataError where that is not there, or damaged."""
        try:
            found = json.loads(path.read_text(encoding="ascii"))
            lists = found["training"], found["validation"]
            if any(type(names) is not list or not all(type(name) is str for name in names) for names in lists):
                raise TypeError
            if set(lists[0]) & set(lists[1]) or not lists[1]:
                raise ValueError
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}: it says which pictures are for validation, and belongs to the "
                            "checkpoint: put it back beside that") from None
        except (ValueError, LookupError, TypeError, RecursionError):
            raise DataError(f"{path} is damaged: expected two lists of names that share none, training and validation: "
                            "take it from a copy of the run") from None
        return cls(*lists)


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def in_both(training: Images, validation: Images) -> list[Place]:
    """The validation pictures that are among those for training too, byte for byte. Few are read for that: those of a
    size that is on both sides, and in whole only where their ends agree."""
    sides = [[place for place, _ in images.samples] for images in (training, validation)]
    for key in (_size, _tail, _content):
        keys = [{place: _or_none(key, place) for place in side} for side in sides]
        common = set(keys[0].values()) & set(keys[1].values()) - {None}
        sides = [[place for place in side if keys[i][place] in common] for i, side in enumerate(sides)]
    return sides[1]


def _or_none(key: Callable[[Any], object], place: Place) -> object:
    try:
        return key(place)
    except (OSError, ValueError):  # it is found bad when it is read
        return None


def _size(place: Place) -> int:
    return place.size if isinstance(place, Member) else place.stat().st_size


def _tail(place: Place) -> bytes:
    with opened(place) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        return file.read()


def _content(place: Place) -> bytes:
    with opened(place) as file:
        return hashlib.file_digest(file, "blake2b").digest()
