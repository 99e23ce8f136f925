"""Where pictures come from: folders, or archives in which they stay."""

from __future__ import annotations

import glob
import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from ..files import expanded
from .archive import ARCHIVES
from .folder import ImageFolder, image_folders, validation_folder, validation_name
from .image_archive import ImageArchive
from .images import VALIDATION, DataError, Images, same_classes, some
from .index import Index, index

__all__ = ["archives_in", "image_set", "image_sets", "parts_of", "validation_images"]

File: TypeAlias = "str | os.PathLike[str]"
Progress = Callable[[int, int], object]
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")  # as shells, and WebDataset, write 000 to 146


def archives_in(path: Path) -> list[Path]:
    """The archives that a path means: itself, those that it names by a pattern, or all in a folder that holds nothing
    else; [] where it is a folder of class folders. Raises DataError where there is none."""
    text = str(path)
    if path.is_file():
        return [path]
    if path.is_dir():
        try:
            inside = sorted(each for each in path.iterdir() if not each.name.startswith("."))
        except OSError:
            return []  # it cannot be read, as ImageFolder says
        found = [each for each in inside if each.suffix.lower() in ARCHIVES and each.is_file()]
        return found if not any(each.is_dir() for each in inside) else []
    if not glob.has_magic(text) and not RANGE.search(text):
        return []
    found = sorted(Path(each) for name in _ranges(text)
                   for each in (glob.glob(name) if glob.has_magic(name) else [name]))  # fmt: skip
    if not found:
        raise DataError(f"{path}: expected archives of these names, found none")
    return found


def _ranges(text: str) -> Iterator[str]:
    """train-{000..146}.tar as 147 names."""
    if (found := RANGE.search(text)) is None:
        yield text
        return
    first, last = found.groups()
    for number in range(int(first), int(last) + 1):
        yield from _ranges(f"{text[: found.start()]}{number:0{len(first)}d}{text[found.end() :]}")


def image_set(path: File, labels: File | None = None, progress: Progress | None = None) -> Images:
    """The pictures of a folder of class folders, or of archives."""
    path = expanded(path)
    archives = archives_in(path)
    if not archives:
        return ImageFolder(path)
    found = index(archives, progress)
    if len(found.parts) > 1:
        raise DataError(f"{path} is divided already, into {some(found.parts)}")
    return _archive(path, found, labels)


def _archive(root: Path, found: Index, labels: File | None, part: str = "") -> ImageArchive:
    if labels is None:
        return ImageArchive(root, found, part)
    names = [found.member(row).name for row in found.rows]
    return ImageArchive(root, found, part, classes_from(labels, names))


def image_sets(data: File, val: File | None = None, labels: File | None = None,
               progress: Progress | None = None) -> tuple[Images, Images]:
    """The training and the validation pictures, with the same classes: ``data`` and ``val``, or the parts train and val
    of ``data``. labels: see ``classes_from``; of the validation pictures.

    Raises DataError where one of the two is missing or wrong, or where their classes differ.
    """
    data = expanded(data)
    if val is not None:
        return same_classes(data, image_set(data, progress=progress), image_set(val, labels, progress))
    archives = archives_in(data)
    if not archives:
        return image_folders(data)
    return same_classes(data, *(_part(data, index(archives, progress), names) for names in (("train",), VALIDATION)))


def parts_of(data: File, val: File | None = None, labels: File | None = None,
             progress: Progress | None = None) -> dict[str, Images]:
    """{"train": pictures, "val": pictures} where ``data`` is divided, or ``val`` is given; else {"": pictures}."""
    data = expanded(data)
    archives = archives_in(data)
    divided = "train" in index(archives, progress).parts if archives else (
        (data / "train").is_dir() and validation_name(data) is not None)
    if val is None and not divided:
        return {"": image_set(data, labels, progress)}
    return dict(zip(("train", "val"), image_sets(data, val, labels, progress), strict=True))


def validation_images(data: File, val: File | None = None,
                      labels: File | None = None, progress: Progress | None = None) -> Images:
    """The validation pictures alone: ``val``, or the part val of ``data``."""
    data = expanded(data)
    if val is not None:
        return image_set(val, labels, progress)
    archives = archives_in(data)
    return _part(data, index(archives, progress), VALIDATION) if archives else validation_folder(data)


def _part(root: Path, found: Index, names: Sequence[str]) -> ImageArchive:
    part = next((name for name in names if name in found.parts), None)
    if part is None:
        inside = some([folder.path for folder in found.folders if not folder.left_out])
        raise DataError(f"{root}: expected the folders train and val in it, found {inside}: give the validation "
                        "pictures by --val, or --split 0.2")
    return ImageArchive(root, found, part)


# -- classes of pictures in no folder ----------------------------------------------------------------------------------


def classes_from(path: File, names: Sequence[str]) -> list[str]:
    """The class of each picture, from a file: ImageNet's devkit (.tar.gz), or a line for each picture, a class, or its
    name and its class. Lines of a class alone are in the order of the names.

    Raises DataError where that is none of these, or says nothing of a picture.
    """
    path = Path(path)
    try:
        if path.name.endswith((".tar.gz", ".tgz", ".tar")):
            return _from_devkit(path)
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, tarfile.TarError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    kinds = {len(line) for line in lines}
    if kinds == {1}:
        return [line[0] for line in lines]
    if kinds != {2}:
        raise DataError(f"{path}: expected a class a line, or a name and a class, found {min(kinds, default=0)} to "
                        f"{max(kinds, default=0)} words")
    known = {os.path.basename(name): kind for name, kind in lines}
    if missing := [name for name in names if name not in known]:
        raise DataError(f"{path}: it says nothing of {some(missing)}")
    return [known[name] for name in names]


def _from_devkit(path: Path) -> list[str]:
    """The WordNet ids of ILSVRC2012's validation pictures, in the order of their names: the devkit counts classes in an
    order of its own (ILSVRC2012_ID), which meta.mat translates."""
    try:
        from scipy.io import loadmat  # type: ignore[import-untyped]
    except ImportError:
        raise DataError(f'{path}: its tables are Matlab\'s: pip install "minicnn[imagenet]"') from None
    with tarfile.open(path) as tar:
        found: dict[str, bytes] = {}
        for member in tar:
            name = os.path.basename(member.name)
            if name in ("meta.mat", "ILSVRC2012_validation_ground_truth.txt") and (file := tar.extractfile(member)):
                found[name] = file.read()
    if len(found) < 2:
        raise DataError(f"{path}: expected meta.mat and ILSVRC2012_validation_ground_truth.txt in it, found "
                        f"{some(sorted(found))}")
    try:
        synsets = loadmat(io.BytesIO(found["meta.mat"]), squeeze_me=True)["synsets"]
        ids = {int(number): str(name) for number, name in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
        return [ids[int(number)] for number in found["ILSVRC2012_validation_ground_truth.txt"].split()]
    except Exception as error:
        raise DataError(f"{path}: its tables cannot be read: {type(error).__name__} {error}") from None
