"""What is in archives of pictures, and where: tar, tar in tar, zip. Headers alone are read, once, and nothing is
unpacked; a picture is read from its place in the archive."""

from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

__all__ = ["ARCHIVES", "Entry", "Member", "NotAnArchive", "entries", "opened"]

ARCHIVES = (".tar", ".zip")
LARGEST = 1 << 28  # bytes of a picture: more is none
BLOCK = 512  # bytes, of which tar makes everything
LOCAL = struct.Struct("<4s5H3I2H")  # of zip: what stands before a file: ..., length of its name, length of what else
UTF8 = 1 << 11  # of zip: how a name is written

Progress = Callable[[int, int], object]


class NotAnArchive(ValueError):
    """What is wrong with an archive as a whole, in one line."""


class Entry(NamedTuple):
    """A file in an archive: its path, where it begins, its bytes, and how many bytes before it say what it is.

    left_out: why it cannot be read in place, where that is so. packed: where it is deflated, as zip may do, the bytes
    that it has there. crc: of what it holds, CRC-32, where the archive knows it.
    """

    path: str
    start: int
    size: int
    head: int
    left_out: str = ""
    packed: int = 0
    crc: int = 0


class Member(NamedTuple):
    """A picture in an archive, as ``Entry``. folder: the path in the archive to the folder it is in."""

    archive: str
    folder: str
    start: int
    size: int
    head: int
    packed: int = 0
    crc: int = 0

    def read(self) -> bytes:
        """The picture's bytes. Raises OSError where the archive cannot be read, and ValueError where it ends too early,
        or what is there is not what its checksum says."""
        data = _read(self.archive, self.start, self.packed or self.size)
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1) if self.packed else data
        except zlib.error as error:
            raise ValueError(f"damaged in its archive: {error}") from None
        if len(data) != self.size:
            raise ValueError("damaged in its archive: it is longer or shorter than its header says")
        if self.crc and zlib.crc32(data) != self.crc:
            raise ValueError("damaged in its archive: it is not what its checksum says")
        return data

    @property
    def name(self) -> str:
        """The picture's own name, from its header."""
        head = _read(self.archive, self.start - self.head, self.head)
        if head.startswith(b"PK"):
            _, _, flags, *_, length, _ = LOCAL.unpack_from(head)
            return _last(head[LOCAL.size : LOCAL.size + length].decode("utf-8" if flags & UTF8 else "cp437"))
        with tarfile.open(fileobj=io.BytesIO(head), mode="r:") as tar:
            member = tar.next()
        return _last(member.name) if member else ""

    def __str__(self) -> str:
        try:
            name = self.name
        except (OSError, ValueError, tarfile.TarError, struct.error):
            name = f"at byte {self.start}"
        return "/".join(part for part in (self.archive, self.folder.strip("/"), name) if part)


def opened(place: str | os.PathLike[str] | Member) -> io.BytesIO | io.BufferedReader:
    """A picture as a file, wherever it lies. Raises what ``open`` does, or ``Member.read``."""
    return io.BytesIO(place.read()) if isinstance(place, Member) else open(place, "rb")


def entries(path: str | os.PathLike[str], progress: Progress | None = None) -> Iterator[Entry]:
    """Every file in an archive, and in tars inside it, as if these were folders of their names.

    progress: called as progress(bytes done, bytes in all).
    Raises NotAnArchive, in one line, where it is none that can be read in place, or is damaged.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise NotAnArchive(f"{path}: expected an archive, found something that is no file")
            begin, size = file.read(BLOCK), status.st_size
            if begin.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
                raise NotAnArchive(f"{path} is compressed as a whole, so that no picture can be read from its place: "
                                   "decompress it once, as by gunzip")
            zipped = begin.startswith(b"PK")
            yield from _zip(str(path), file, progress) if zipped else _tar(str(path), file, 0, size, size, progress)
            if progress:
                progress(size, size)
    except OSError as error:
        raise NotAnArchive(f"{path}: {error.strerror or error}") from None


class _Window(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: IO[bytes], start: int, size: int):
        self.file, self.start, self.size, self.place = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, place: int, whence: int = 0) -> int:
        self.place = place + (0, self.place, self.size)[whence]
        return self.place

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self.place)
        self.file.seek(self.start + self.place)
        data = self.file.read(left if size < 0 else min(size, left))
        self.place += len(data)
        return data


def _tar(path: str, file: IO[bytes], start: int, size: int, whole: int, progress: Progress | None, inside: str = ""
         ) -> Iterator[Entry]:
    """The files of a tar, which is so many bytes of a file from ``start`` on. inside: the path to it in the archive."""
    name = f"{path}/{inside}".rstrip("/")
    window = _Window(file, start, size)
    try:
        tar = tarfile.open(fileobj=window, mode="r:")  # noqa: SIM115 - it goes on
    except tarfile.TarError as error:
        if not inside:
            raise NotAnArchive(f"{name} is neither a tar nor a zip that can be read: {error}") from None
        yield Entry(inside, 0, 0, 0, f"no tar that can be read, {name} ({error})")
        return
    while True:
        try:
            member = tar.next()
        except (tarfile.TarError, ValueError, OverflowError) as error:
            yield Entry(inside, 0, 0, 0, f"behind a damaged header of {name} ({error})")
            return
        if member is None:
            break
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
        there, head = start + member.offset_data, member.offset_data - member.offset
        path_of = "/".join(part for part in (inside, member.name) if part)
        there_are = size - member.offset_data
        if not 0 <= member.size <= there_are:
            if member.name.lower().endswith(".tar") and there_are > 0:
                yield from _tar(path, file, there, there_are, whole, progress, path_of[: -len(".tar")])
            yield Entry(path_of, there, 0, head, f"cut off in {name}")
            return
        if progress:
            progress(there, whole)
        if member.isreg() and not member.issparse():
            if member.name.lower().endswith(".tar"):
                yield from _tar(path, file, there, member.size, whole, progress, path_of[: -len(".tar")])
            else:
                yield Entry(path_of, there, member.size, head)
        elif not member.isdir():
            yield Entry(path_of, there, 0, head, "links, devices and sparse files")
    window.seek(tar.offset)
    if window.read(BLOCK).strip(b"\0"):
        yield Entry(inside, 0, 0, 0, f"behind a damaged header of {name}, at byte {start + tar.offset}")


def _zip(path: str, file: IO[bytes], progress: Progress | None) -> Iterator[Entry]:
    try:
        files = zipfile.ZipFile(file).infolist()  # not closed: that would end the file
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error) as error:
        raise NotAnArchive(f"{path} is no zip that can be read: {error}") from None
    for done, each in enumerate(files, 1):
        file.seek(each.header_offset)
        local = file.read(LOCAL.size)
        if len(local) < LOCAL.size or not local.startswith(b"PK\3\4"):
            yield Entry(each.filename, 0, 0, 0, f"damaged in {path}")
            continue
        *_, name, extra = LOCAL.unpack(local)
        head = LOCAL.size + name + extra
        start, packed = each.header_offset + head, each.compress_type == zipfile.ZIP_DEFLATED and each.compress_size
        if progress:
            progress(done, len(files))
        if stat.S_ISLNK(each.external_attr >> 16):
            yield Entry(each.filename, start, 0, head, "links, devices and sparse files")
        elif each.flag_bits & 1 or each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            yield Entry(each.filename, start, 0, head, "encrypted, or compressed in another way than by deflate")
        elif not each.is_dir():
            yield Entry(each.filename, start, each.file_size, head, packed=packed, crc=each.CRC)


def _read(path: str, start: int, size: int) -> bytes:
    """So many bytes of a file. Raises OSError, and ValueError where it ends before."""
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        data = file.read(size)
        while data and len(data) < size:  # a read gives 2 GiB at most
            more = file.read(size - len(data))
            if not more:
                break
            data += more
    if len(data) < size:
        raise ValueError("the archive ends before it does")
    return data


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
