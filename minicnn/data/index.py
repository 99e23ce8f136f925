"""Where each picture of an archive is, and of which class: headers are read once for that, and what they say is kept in
the cache folder, as long as the archives are what they were."""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .archive import LARGEST, Entry, Member, NotAnArchive, entries
from .cache import cache_folder, cached
from .images import VALIDATION, DataError, hash_of, some, state_of
from .picture import picture_suffixes

__all__ = ["Folder", "Index", "index"]

VERSION = 2  # to be changed with what is kept, or how
# 38 bytes a picture. start, size, head, packed, crc: see archive.Member. archive, folder: which of these. name: a hash.
RECORD = np.dtype([("start", "<u8"), ("name", "<u8"), ("size", "<u4"), ("head", "<u4"), ("folder", "<u4"),
                   ("packed", "<u4"), ("crc", "<u4"), ("archive", "<u2")])
MOST = 1 << 16  # archives that such a record can tell apart
BEHIND = "pictures beside the folders of the classes", "in folders inside a class"


@dataclass(frozen=True)
class Folder:
    """A folder in an archive: its path, to which part of the set it belongs (as "train", or "" where there are none),
    and the class of its pictures; or why they are left out."""

    path: str
    part: str = ""
    name: str = ""
    left_out: str = ""


@dataclass(frozen=True)
class Index:
    """All pictures of some archives, by folder, then by name.

    numbered: whether their classes are numbers, in files beside them, as in WebDataset's shards.
    """

    archives: list[str]
    folders: list[Folder]
    rows: NDArray[Any]
    left_out: Counter[str]
    numbered: bool

    @property
    def parts(self) -> list[str]:
        return sorted({folder.part for folder in self.folders if folder.name})

    def member(self, row: Any) -> Member:
        start, _, size, head, folder, packed, crc, archive = row.item()
        return Member(self.archives[archive], self.folders[folder].path, start, size, head, packed, crc)


def index(archives: Sequence[Path], progress: Callable[[int, int], object] | None = None) -> Index:
    """What is in archives: kept, or read from their headers, one after the other.

    progress: called as progress(bytes done, bytes in all) where they are read.
    Raises DataError where one cannot be read, or there is no picture in any of them.
    """
    paths = [os.path.abspath(path) for path in archives]
    state = "\0".join(f"{path}\0{state_of(path)}" for path in paths)
    name = f"index-{hashlib.sha256(os.fsencode(f'{VERSION}{state}')).hexdigest()[:32]}.npz"
    with suppress(Exception):  # not there, or damaged in whatever way
        return _load(cache_folder() / name, paths)
    found = _made(paths, progress)
    with suppress(OSError):
        _save(found, cache_folder() / name)
    return found


def _made(paths: list[str], progress: Callable[[int, int], object] | None) -> Index:
    if len(paths) > MOST:
        raise DataError(f"{paths[0]} and others: {len(paths):,} archives, at most {MOST:,} make a set")
    sizes = [os.path.getsize(path) if os.path.exists(path) else 0 for path in paths]
    found = _Found()
    for number, path in enumerate(paths):
        before = sum(sizes[:number])

        def so_far(done: int, of: int, before: int = before, size: int = sizes[number]) -> None:
            if progress:
                progress(before + size * done // max(of, 1), sum(sizes))

        try:
            for entry in entries(path, so_far):
                found.add(entry, number, path)
        except NotAnArchive as error:
            raise DataError(str(error)) from None
        found.archive_ends()
    found.count_others()
    if not found.names:
        words = some([f"{reason} {count}" for reason, count in found.left_out.most_common()])
        raise DataError(f"{some([os.fspath(path) for path in paths])}: expected an archive of pictures, found {words}")
    return found.index(paths)


class _Found:
    """The pictures found so far."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.numbers = {field: array("Q") for field in RECORD.fields or () if field != "name"}
        self.folders: dict[str, int] = {}
        self.left_out: Counter[str] = Counter()
        self.others: Counter[tuple[str, str]] = Counter()  # of a folder and a kind: files that are no pictures
        self.by_key: dict[str, int] = {}  # of one archive: what a picture is called up to the first point
        self.classes: dict[str, str] = {}
        self.numbered = False

    def add(self, entry: Entry, archive: int, path: str) -> None:
        parts = [part for part in unicodedata.normalize("NFC", entry.path).split("/") if part not in ("", ".")]
        *folders, name = parts or [""]
        suffix = posixpath.splitext(name)[1].lower()
        key = "/".join([*folders, name.partition(".")[0]])
        if entry.left_out:
            self.left_out[entry.left_out] += 1
        elif suffix == ".cls" and entry.size < 20:
            member = Member(path, "", entry.start, entry.size, entry.head, entry.packed, entry.crc)
            with suppress(ValueError, OSError):
                self.classes[key] = str(int(member.read()))
        elif suffix not in picture_suffixes():
            if not name.startswith("."):
                self.others["/".join(folders), suffix or "without suffix"] += 1
        elif name.startswith("."):
            self.left_out["hidden pictures"] += not name.startswith("._")  # these macOS puts beside every file
        elif ".." in folders or entry.path.startswith("/"):
            self.left_out["names that lead out of the archive"] += 1
        elif entry.size > LARGEST:
            self.left_out[f"larger than {LARGEST:,} bytes"] += 1
        else:
            self.by_key[key] = len(self.names)
            self.names.append(name)
            folder = self.folders.setdefault("/".join(folders), len(self.folders))
            row = entry.start, entry.size, entry.head, folder, entry.packed, entry.crc, archive
            for field, number in zip(self.numbers, row, strict=True):
                self.numbers[field].append(number)

    def archive_ends(self) -> None:
        """Give the pictures the classes that stand beside them."""
        for key, name in self.classes.items():
            if key in self.by_key:
                self.numbered = True
                self.numbers["folder"][self.by_key[key]] = self.folders.setdefault(f"/{name}", len(self.folders))
        self.by_key.clear()
        self.classes.clear()

    def count_others(self) -> None:
        """Count what is no picture as left out, with the folders of which no picture is left: classes, they may be."""
        filled = {"", *self.folders}
        for path in self.folders:
            filled |= {path[:end] for end, sign in enumerate(path) if sign == "/"}
        for (folder, kind), count in self.others.items():
            empty = self.folders and folder not in filled
            self.left_out[f"{kind} in {folder}, which has no picture" if empty else kind] += count

    def index(self, paths: list[str]) -> Index:
        rows = np.empty(len(self.names), RECORD)
        for field, numbers in self.numbers.items():
            rows[field] = numbers
        names = list(self.folders)
        if self.numbered:
            folders = [Folder(name, name=name[1:]) if name.startswith("/") else
                       Folder(name, left_out="without a number of their class") for name in names]
        else:
            if len(paths) > 1 and names == [""]:  # an archive for each class
                rows["folder"] = rows["archive"]
                names = [Path(path).stem for path in paths]
            folders = _layout(names)
        place = {folder.path: i for i, folder in enumerate(sorted(folders, key=lambda folder: folder.path))}
        rows["folder"] = np.array([place[folder.path] for folder in folders])[rows["folder"]]
        folders = sorted(folders, key=lambda folder: folder.path)
        by_folder = np.argsort(rows["folder"], kind="stable")
        ends = np.searchsorted(rows["folder"][by_folder], np.arange(len(folders) + 1))
        order: list[int] = []
        for folder, first, last in zip(folders, ends[:-1], ends[1:], strict=True):
            some_places = by_folder[first:last].tolist()
            if folder.left_out:
                self.left_out[folder.left_out] += len(some_places)
                continue
            # of one name in one archive the last counts, as where it is unpacked
            by_name = {(self.names[i], int(rows["archive"][i])): i for i in some_places}
            self.left_out["older ones of the same name"] += len(some_places) - len(by_name)
            for (name, _), i in sorted(by_name.items()):
                rows["name"][i] = hash_of(f"{folder.name}/{name}" if folder.name else name)
                order.append(i)
        return Index(paths, folders, rows[order], self.left_out, self.numbered)


def _layout(paths: list[str]) -> list[Folder]:
    """What the folders of pictures in an archive are: classes, in folders train and val where both are there; whatever
    they all are in does not count. Pictures that are in no folder at all have no class yet."""
    if paths == [""]:
        return [Folder("")]
    common = posixpath.commonpath(paths) if len(paths) > 1 else posixpath.dirname(paths[0])
    below = [path[len(common):].strip("/").split("/") for path in paths]
    tops = {parts[0] for parts in below}
    validation = next((name for name in VALIDATION if name in tops), "")
    divided = validation and "train" in tops
    folders = []
    for path, parts in zip(paths, below, strict=True):
        part, inside = (parts[0], parts[1:]) if divided else ("", parts if parts != [""] else [])
        if divided and part not in ("train", validation):
            folders.append(Folder(path, left_out=f"neither in train nor in {validation}"))
        elif len(inside) != 1:
            folders.append(Folder(path, left_out=BEHIND[len(inside) > 1]))
        else:
            folders.append(Folder(path, part, inside[0]))
    return folders


# -- what is kept ------------------------------------------------------------------------------------------------------


def _save(found: Index, path: Path) -> None:
    words = {"folders": [[f.path, f.part, f.name, f.left_out] for f in found.folders],
             "left_out": found.left_out, "numbered": found.numbered}
    with cached(path) as aside, aside.open("wb") as file:
        np.savez(file, rows=found.rows, words=np.frombuffer(json.dumps(words).encode(), np.uint8))


def _load(path: Path, archives: list[str]) -> Index:
    """Raises nearly anything where the file is not as it was written."""
    with open(path, "rb") as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as kept:
        rows, words = kept["rows"], json.loads(kept["words"].tobytes())
    folders = [Folder(*each) for each in words["folders"]]
    if rows.dtype != RECORD or rows.ndim != 1 or (rows["folder"] >= len(folders)).any():
        raise ValueError("not what was kept")
    sizes = np.array([os.path.getsize(archive) for archive in archives], np.uint64)
    ends = rows["start"] + np.where(rows["packed"], rows["packed"], rows["size"])
    if (ends > sizes[rows["archive"]]).any() or (rows["head"] > rows["start"]).any():
        raise ValueError("not what was kept")
    return Index(archives, folders, rows, Counter(words["left_out"]), bool(words["numbered"]))
