"""The folder of pictures: which files there are, and the class of each.  Nothing here opens a picture.

    root/train/<class>/<picture>    root/val/<class>/<picture>
"""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .picture import picture_suffixes


class DataError(ValueError):
    """The data are not as they must be; the message says where, what was expected and what was found."""


class ImageFolder:
    """The pictures under `root`, which holds one folder a class.

    classes: the names of the classes, sorted; a label is a position in this list.
    samples: (path, label) of every picture, by class, then by name.

    Left out are hidden files, files whose suffix is not that of a picture, and folders inside a class.  A dangling
    link and an unreadable file stay: they are found bad, and are named, when they are read.

    Raises DataError if the folder cannot be read, holds fewer than two classes, or has a class without a picture.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.classes, others = _listing(self.root)
        if len(self.classes) < 2:
            raise DataError(f"{self.root}: expected a folder for each of two or more classes, "
                            f"found {_some(self.classes + others)}")
        self.samples: list[tuple[Path, int]] = []
        empty = []
        for label, name in enumerate(self.classes):
            folder = self.root / name
            pictures = [file for file in _listing(folder)[1] if Path(file).suffix.lower() in picture_suffixes()]
            self.samples += [(folder / file, label) for file in pictures]
            if not pictures:
                empty.append(name)
        if empty:
            raise DataError(f"{self.root}: expected pictures in the folder of each class, found none in {_some(empty)}")

    def __len__(self) -> int:
        return len(self.samples)


def image_folders(root: str | os.PathLike[str]) -> tuple[ImageFolder, ImageFolder]:
    """The training and the validation pictures: `root`/train and `root`/val, with the same classes.

    Raises DataError if one of the two is missing or wrong, or if their classes differ.
    """
    root = Path(root)
    folders, others = _listing(root)
    if not {"train", "val"} <= set(folders):
        raise DataError(f"{root}: expected the folders train and val, each with one folder a class, "
                        f"found {_some(folders + others)}")
    train, val = ImageFolder(root / "train"), ImageFolder(root / "val")
    if train.classes != val.classes:
        only_train, only_val = (sorted(set(a.classes) - set(b.classes)) for a, b in ((train, val), (val, train)))
        raise DataError(f"{root}: expected the same classes in train and val, "
                        f"found only in train: {_some(only_train)}; only in val: {_some(only_val)}")
    return train, val


def _listing(folder: Path) -> tuple[list[str], list[str]]:
    """The sorted names of the folders, and of everything else, in a folder; hidden ones are left out."""
    names: tuple[list[str], list[str]] = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    # DirEntry asks the disk about links only, but fails on one that leads to itself.
                    is_folder = os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
                    names[0 if is_folder else 1].append(entry.name)
    except FileNotFoundError:
        raise DataError(f"{folder}: expected a folder of pictures, found nothing there") from None
    except NotADirectoryError:
        raise DataError(f"{folder}: expected a folder of pictures, found a file") from None
    except OSError as error:
        raise DataError(f"{folder}: this folder cannot be read: {error.strerror}") from None
    return sorted(names[0]), sorted(names[1])


def _some(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    if not names:
        return "nothing"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
