"""A pack: the pictures of a set, scaled once as the loader would scale them each time, in one zip, or in several.

Anything opens a zip; it knows a checksum of every file in it; and an index of it is made from its end, at once.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import Image

from .archive import LOCAL
from .images import DataError, Images, Place, some
from .picture import BadPicture, read_picture
from .workers import Workers

__all__ = ["pack"]

CHUNK = 32  # pictures a task
FACTS = ".minicnn.json"  # how a pack was made
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first moment that zip knows: a pack is the same whenever it is made


def pack(sets: Mapping[str, Images], out: Path, *, side: int = 256, quality: int | None = 90, most: int | None = None,
         workers: int = 0, progress: Callable[[int, int], object] | None = None,
         bad: Callable[[str, str], object] = lambda place, reason: None) -> int:
    """Write the pictures of sets, which bear the name of their part, as "train", or "", and return how many.

    out: the zip; or, where a file is to have no more than ``most`` bytes, the folder for them. side: of the pictures,
    in pixels. quality: of JPEG, 1 to 95; None: their bytes as they are (PPM). bad: called as bad(place, reason) for
    each that cannot be read, and is left out. progress: called as progress(pictures done, pictures in all).
    What was begun and did not end, as ``out``.part, is gone on with. Files, order and bytes are the same whatever the
    number of workers.

    Raises DataError where that was begun with other pictures or in another way, and OSError where it cannot be written.
    """
    suffix = ".ppm" if quality is None else ".jpg"
    places = [(images.samples, i) for images in sets.values() for i in range(len(images))]
    names = [f"{part}/{name}".lstrip("/") for part, images in sets.items() for name in images.names()]
    names = [name if name.lower().endswith(suffix) else name + suffix for name in names]
    names = [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in names]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1}) if len(names) < 10_000 else []
        raise DataError(f"pack: two pictures would have one name: {some(twice)}: rename one")
    facts = {"side": side, "quality": quality, "pictures": len(names),
             "names": f"{zlib.crc32(chr(0).join(names).encode()):08x}"}
    with _Zips(out, most, json.dumps(facts)) as zips, Workers(workers) as pool:
        begin = names.index(zips.last) + 1 if zips.last else 0
        tasks = (([samples[i][0] for samples, i in places[first : first + CHUNK]], side, quality)
                 for first in range(begin, len(places), CHUNK))  # fmt: skip
        for first, made in zip(range(begin, len(places), CHUNK), pool.starmap(_scaled, tasks), strict=True):
            for name, (data, place, reason) in zip(names[first : first + CHUNK], made, strict=True):
                if reason:
                    bad(place, reason)
                else:
                    zips.write(name, data)
            if progress:
                progress(first + len(made), len(places))
        return zips.count


def _scaled(places: list[Place], side: int, quality: int | None) -> list[tuple[bytes, str, str]]:
    """Of each picture (its bytes, "", ""), or (b"", its place, why it cannot be read)."""
    made = []
    for place in places:
        try:
            picture, file = Image.fromarray(read_picture(place, side=side)), BytesIO()
        except BadPicture as error:
            made.append((b"", str(place), error.reason))
        else:
            picture.save(file, "PPM") if quality is None else picture.save(file, "JPEG", quality=quality)
            made.append((file.getvalue(), "", ""))
    return made


class _Zips:
    """Zips that are written one after the other, and are named .part until they are whole.

    last: the name of the last file that was written before; count: how many there are.
    """

    def __init__(self, out: Path, most: int | None, facts: str):
        self.out, self.most, self.facts, self.count, self.last, self.number = out, most, facts, 0, "", 0
        if most is not None:
            out.mkdir(exist_ok=True)
            while self.path.exists():  # whole
                with zipfile.ZipFile(self.path) as whole:
                    self._known(self.path, whole.infolist(), whole.read(FACTS).decode())
                self.number += 1
        elif out.exists():
            raise DataError(f"{out}: there is such a file already: delete it, or give another name")
        self.begin()

    @property
    def path(self) -> Path:
        return self.out if self.most is None else self.out / f"{self.number:05d}.zip"

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    def _known(self, path: Path, files: list[zipfile.ZipInfo], facts: str) -> None:
        if facts != self.facts:
            raise DataError(f"{path} was begun with other pictures or in another way ({facts}), this is "
                            f"{self.facts}: delete it, or give another name")
        names = [file.filename for file in files if file.filename != FACTS]
        self.count += len(names)
        self.last = names[-1] if names else self.last

    def begin(self) -> None:
        """Go on with a file that was begun, or begin one."""
        self.file = open(self.part, "r+b" if self.part.exists() else "w+b")  # noqa: SIM115 - close() ends it
        files, end = _whole_files(self.file)
        try:
            if files:
                self._known(self.part, files, _read(self.file, files[0]).decode("utf-8", "replace"))
        except DataError:
            self.file.close()
            raise
        self.file.truncate(end)
        self.zip = zipfile.ZipFile(self.file, "a")
        self.zip.filelist.extend(files)
        self.zip.NameToInfo.update({each.filename: each for each in files})
        if not files:
            self.zip.writestr(zipfile.ZipInfo(FACTS, LONG_AGO), self.facts)

    def write(self, name: str, data: bytes) -> None:
        if self.most is not None and self.file.tell() + len(data) > self.most and len(self.zip.filelist) > 1:
            self.close()
            self.number += 1
            self.begin()
        self.zip.writestr(zipfile.ZipInfo(name, LONG_AGO), data)
        self.count += 1

    def close(self) -> None:
        """The file is whole."""
        self.zip.close()
        self.file.close()
        if len(self.zip.filelist) > 1 or not self.number:
            self.part.replace(self.path)
        else:  # all was written before
            self.part.unlink()

    def __enter__(self) -> _Zips:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            self.close()
            return
        with suppress(OSError):  # what was raised before is more to the point
            self.zip.close()
        self.file.close()


def _whole_files(file: IO[bytes]) -> tuple[list[zipfile.ZipInfo], int]:
    """The files of a zip that was begun, without any that was not written to its end; and where the next may begin."""
    files: list[zipfile.ZipInfo] = []
    end, size = 0, file.seek(0, os.SEEK_END)
    while True:
        file.seek(end)
        head = file.read(LOCAL.size)
        if len(head) < LOCAL.size or not head.startswith(b"PK\3\4"):
            break
        *_, crc, stored, _, length, more = LOCAL.unpack(head)
        found = zipfile.ZipInfo(file.read(length).decode("utf-8", "replace"), LONG_AGO)
        found.header_offset, found.CRC, found.compress_size, found.file_size = end, crc, stored, stored
        found.external_attr = 0o600 << 16  # as zipfile gives it
        if end + LOCAL.size + length + more + stored > size:
            break
        files.append(found)
        end += LOCAL.size + length + more + stored
    while files and zlib.crc32(_read(file, files[-1])) != files[-1].CRC:
        end = files.pop().header_offset
    return files, end


def _read(file: IO[bytes], found: zipfile.ZipInfo) -> bytes:
    file.seek(found.header_offset)
    *_, length, more = LOCAL.unpack(file.read(LOCAL.size))
    file.seek(length + more, os.SEEK_CUR)
    return file.read(found.file_size)
