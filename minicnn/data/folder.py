"""The folder of pictures: which files there are, and the class of each. Nothing here opens a picture.

    root/train/<class>/<picture>    root/val/<class>/<picture>, or valid, validation, test for val
"""

from __future__ import annotations

import copy
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from ..console import printable
from ..files import expanded
from .picture import picture_suffixes

__all__ = ["VALIDATION", "DataError", "ImageFolder", "image_folders", "some", "validation_folder", "validation_name"]

VALIDATION = ("val", "valid", "validation", "test")  # what people call that folder: the first that is there is taken


class DataError(ValueError):
    """The data are not as they must be; the message, in one line, says where, what was expected and what was found."""

    def __init__(self, message: str):
        super().__init__(printable(message))


class ImageFolder:
    """The pictures under ``root``, which holds one folder a class. A leading ~ is the user's home.

    classes: the names of the classes, sorted; a label is a position in this list. Of the Unicode forms of a name they
        have the composed one (NFC), as Linux and Windows write it; macOS may write the other.
    samples: (path, label) of every picture, by class, then by name.
    left_out: how many files are no samples, by suffix, hidden or inside further folders; see ``left_out_in_words``.

    Left out are files whose suffix is not that of a picture, hidden ones, and what is in folders inside a class. A
    dangling link and an unreadable file stay: they are found bad, and are named, when they are read.

    Raises DataError where the folder cannot be read, holds fewer than two classes, or has a class without a picture.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = expanded(root)
        self.left_out: Counter[str] = Counter()
        folders, others = _listing(self.root)
        by_name: dict[str, list[str]] = {}
        for folder in folders:
            by_name.setdefault(unicodedata.normalize("NFC", folder), []).append(folder)
        self.classes = sorted(by_name)
        if len(self.classes) < 2:
            raise DataError(f"{self.root}: expected a folder for each of two or more classes, "
                            f"found {some(self.classes + _visible(others))}")
        if twice := [name for name, forms in by_name.items() if len(forms) > 1]:
            raise DataError(f"{self.root}: expected one folder a class, found two whose names look the same, in two "
                            f"forms of Unicode: {some(twice)}: move the pictures of one into the other")
        for file in others:
            self._leave_out(file, "pictures beside the folders of the classes")
        self.samples: list[tuple[Path, int]] = []
        empty = []
        for label, name in enumerate(self.classes):
            place = self.root / by_name[name][0]
            inside, files = _listing(place)
            before = len(self.samples)
            for file in files:
                if _is_picture(file) and not file.startswith("."):
                    self.samples.append((place / file, label))
                else:
                    self._leave_out(file, "hidden pictures")
            for path in inside:
                self.left_out["in folders inside a class"] += _count(place / path)
            if len(self.samples) == before:
                empty.append(name)
        if empty:
            words = self.left_out_in_words()
            raise DataError(f"{self.root}: expected pictures in the folder of each class, found none in {some(empty)}"
                            + f"; {words}" * bool(words))

    def _leave_out(self, file: str, pictures: str) -> None:
        """Count a file: by its suffix, or under the word for pictures."""
        if _is_picture(file):
            self.left_out[pictures] += not file.startswith("._")  # these macOS puts beside every file
        elif not file.startswith("."):
            self.left_out[Path(file).suffix.lower() or "without suffix"] += 1

    def left_out_in_words(self) -> str:
        """What is left out, most of all first, as "left out: .heic 12, without suffix 3"; or nothing."""
        counts = [f"{printable(kind)} {count}"
                  for kind, count in sorted(self.left_out.items(), key=lambda item: (-item[1], item[0])) if count]
        return f"left out: {some(counts)}" if counts else ""

    def part(self, chosen: Callable[[Path], bool]) -> ImageFolder:
        """The pictures whose path is chosen, as a folder of the same classes."""
        part = copy.copy(self)
        part.samples = [(path, label) for path, label in self.samples if chosen(path)]
        return part

    def __len__(self) -> int:
        return len(self.samples)


def validation_name(root: str | os.PathLike[str], classes: Collection[str] = ()) -> str | None:
    """What the folder of validation pictures is called: val, valid, validation or test, the first that is there. None
    of ``classes`` is meant. Raises DataError where ``root`` is no folder that can be read."""
    folders = _listing(expanded(root))[0]
    return next((name for name in VALIDATION if name in folders and name not in classes), None)


def validation_folder(root: str | os.PathLike[str]) -> ImageFolder:
    """The validation pictures alone. Raises DataError where they are missing or wrong."""
    root, name = expanded(root), validation_name(root)
    if name is None:
        folders, others = _listing(root)
        raise DataError(f"{root}: expected a folder val, or else valid, validation or test, with one folder a class, "
                        f"found {some(folders + _visible(others))}")
    return ImageFolder(root / name)


def image_folders(root: str | os.PathLike[str]) -> tuple[ImageFolder, ImageFolder]:
    """The training and the validation pictures: ``root``/train and ``root``/val, or see ``validation_name``, with the
    same classes.

    Raises DataError where one of the two is missing or wrong, or where their classes differ.
    """
    root = expanded(root)
    folders, others = _listing(root)
    name = validation_name(root)
    if "train" not in folders or name is None:
        raise DataError(f"{root}: expected the folders train and val, each with one folder a class, "
                        f"found {some(folders + _visible(others))}{_way(root, folders)}")
    train, val = ImageFolder(root / "train"), ImageFolder(root / name)
    if train.classes != val.classes:
        only_train, only_val = (sorted(set(a.classes) - set(b.classes)) for a, b in ((train, val), (val, train)))
        raise DataError(f"{root}: expected the same classes in train and {name}, "
                        f"found only in train: {some(only_train)}; only in {name}: {some(only_val)}")
    return train, val


def _way(root: Path, folders: Sequence[str]) -> str:
    """What to do with pictures that are not divided."""
    if folders == ["train"]:
        return f": --split 0.2 keeps a fifth of each class for validation: give {root / 'train'} with it"
    return ": if these are the classes, --split 0.2 keeps a fifth of each for validation" * (len(folders) > 1)


def _visible(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]


def _is_picture(file: str) -> bool:
    return Path(file).suffix.lower() in picture_suffixes()


def _count(folder: Path) -> int:
    """How many files there are in a folder and in those inside it; of a link, which may lead anywhere, 1."""
    if folder.is_symlink():
        return 1
    return sum(len(_visible(files)) for _, _, files in os.walk(folder))


def _listing(folder: Path) -> tuple[list[str], list[str]]:
    """The sorted names of the folders that are not hidden, and of everything else, in a folder."""
    names: tuple[list[str], list[str]] = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # DirEntry asks the disk about links only, but fails on one that leads to itself.
                is_folder = os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
                if not (is_folder and entry.name.startswith(".")):
                    names[0 if is_folder else 1].append(entry.name)
    except FileNotFoundError:
        raise DataError(f"{folder}: expected a folder of pictures, found nothing there") from None
    except NotADirectoryError:
        raise DataError(f"{folder}: expected a folder of pictures, found a file") from None
    except OSError as error:
        raise DataError(f"{folder}: this folder cannot be read: {error.strerror}") from None
    return sorted(names[0]), sorted(names[1])


def some(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    if not names:
        return "nothing"
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
