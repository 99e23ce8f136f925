"""Many picture files: those that can be read, why the others cannot, and whether their storage is still there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .archive import Member
from .images import DataError, Images, Place
from .picture import BadPicture, read_picture

__all__ = ["Reading"]


@dataclass
class Reading:
    """What became of the files that were to be read.

    bad: the reason for every one that could not be, by its path. unread: how many of these the machine could not read,
    see ``BadPicture``. seen: of those that could be read, the last.
    """

    bad: dict[str, str] = field(default_factory=dict)
    unread: int = 0
    seen: Place | None = None

    def pictures(self, paths: Iterable[Place]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (i, picture) for every i-th path that can be read, the picture (256, 256, 3); the others are noted."""
        for i, path in enumerate(paths):
            try:
                picture = read_picture(path)
            except BadPicture as error:
                self.bad[str(path)] = error.reason
                self.unread += error.unread
            else:
                self.seen = path
                yield i, picture

    def add(self, part: Reading, folder: Images) -> None:
        """Add what became of more of a folder's pictures.

        Raises DataError where their storage has gone away: where some of them could not be read for a reason of the
        machine's, and now a picture that could be read before cannot, or, before any could, the folder itself.
        """
        self.bad |= part.bad
        self.unread += part.unread
        self.seen = part.seen or self.seen
        if part.unread:
            try:
                if self.seen or not folder.root.is_dir():
                    seen = self.seen or folder.root
                    with open(seen.archive if isinstance(seen, Member) else seen, "rb") as file:
                        file.read(1)
                else:
                    os.listdir(folder.root)
            except OSError as error:
                raise DataError(f"{folder.root}: its pictures can no longer be read: {self.seen or folder.root}: "
                                f"{error.strerror}: is its drive still there?") from None

    def nothing(self, folder: Images) -> DataError:
        """The error where none of a folder's pictures could be read."""
        path, reason = next(iter(self.bad.items()))
        return DataError(f"{folder.root}: none of its {len(folder)} pictures can be read; the first is {path}: "
                         f"{reason}")
