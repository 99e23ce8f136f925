"""One file that holds all that is needed to go on: arrays and plain facts, as safetensors, never pickle.

The format (https://github.com/huggingface/safetensors): 8 bytes, the length of the header; the header, JSON that names
type, shape and place of every array and holds texts of ours; the numbers, little-endian. It is written here and not by
the library of that name, which makes a second unfinished file of its own and lets nobody but the owner read it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CheckpointError", "keep", "load", "save"]

MARK = "minicnn"  # the name of our facts in the header
BEGIN = b'{"__metadata__":{"checksum":"'  # of the header; 8 hexadecimal digits follow
PAGE = 4096  # bytes
KINDS = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
         "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
TYPES = {np.dtype(kind): word for word, kind in KINDS.items()}


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or cannot be written."""


def save(path: str | os.PathLike[str], arrays: Mapping[str, Any], facts: Mapping[str, Any],
         also: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Write ``arrays`` and ``facts`` (whatever JSON can say) to ``path``, whole or not at all, with a checksum.

    They are written aside and then renamed, so that a crash or a full disk leaves the file that was there before.
    also: other names that the new file gets, before it gets the name ``path``.
    Raises CheckpointError, with the reason, when that fails.
    """
    path = Path(path)
    kept = f"; the one saved before is still there: {path}" if path.exists() else ""
    try:
        text = json.dumps(facts, allow_nan=False)
        ready = {_named(name): _plain(name, array) for name, array in arrays.items()}
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"cannot save {path}: {error}{kept}") from error
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(ready, aside, {MARK: text})
        for name in also:
            keep(aside, name)
        aside.replace(path)
    except OSError as error:
        raise CheckpointError(f"cannot save {path}: {error.strerror or error}{kept}") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def save_file(arrays: dict[str, np.ndarray], path: Path, texts: dict[str, str]) -> None:
    """Write a file of this format, and its checksum, through to the disk."""
    header: dict[str, Any] = {"__metadata__": {"checksum": "0" * 8} | texts}
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)  # so that each starts where its type may
    end = 0
    for name, array in ordered:
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": TYPES[array.dtype], "shape": array.shape, "data_offsets": [begin, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little"))
        file.write(head)
        for _, array in ordered:
            file.write(_bytes(array))
        file.seek(8 + len(BEGIN))
        file.write(b"%08x" % _checksum(head, (array for _, array in ordered)))
        file.flush()
        os.fsync(file.fileno())


def keep(path: str | os.PathLike[str], name: str | os.PathLike[str]) -> None:
    """Give a checkpoint a second name, at no cost where the disk knows hard links. Raises CheckpointError."""
    path, name = Path(path), Path(name)
    aside = name.with_name(f".{name.name}.{os.getpid()}.part")
    try:
        aside.unlink(missing_ok=True)
        try:
            os.link(path, aside)
        except (OSError, NotImplementedError, AttributeError):
            shutil.copyfile(path, aside)
        aside.replace(name)
    except OSError as error:
        raise CheckpointError(f"cannot save {name}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the facts of a checkpoint. Raises CheckpointError when there is none, or it is damaged: where a
    single bit is another than was written, this is seen. Files of before there were checksums are read as they are."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            head, header = _header(file)
            texts = header.pop("__metadata__", {})
            if MARK not in texts:
                raise CheckpointError(f"{path} is not a checkpoint of minicnn")
            arrays, at = {}, 0
            for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
                kind, shape, (begin, end) = np.dtype(KINDS[entry["dtype"]]), entry["shape"], entry["data_offsets"]
                if begin != at or end - begin != math.prod(shape) * kind.itemsize:
                    raise ValueError(f"{name} of shape {shape} cannot be in bytes {begin} to {end}")
                arrays[name], at = np.empty(shape, kind), end
                if file.readinto(_bytes(arrays[name])) != end - begin:
                    raise ValueError(f"{name} is cut off")
        if texts.keys() != {MARK}:
            digits = slice(len(BEGIN), len(BEGIN) + 8)
            found = _checksum(head[:digits.start] + b"0" * 8 + head[digits.stop:], arrays.values())
            if not head.startswith(BEGIN) or head[digits] != b"%08x" % found:
                raise ValueError("its checksum is not that of what it holds")
        return arrays, json.loads(texts[MARK])
    except FileNotFoundError as error:
        raise CheckpointError(f"cannot load {path}: there is no such file") from error
    except OSError as error:
        raise CheckpointError(f"cannot load {path}: the file cannot be read: {error.strerror or error}") from error
    except CheckpointError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"cannot load {path}: the file is damaged: {error}") from error


def _header(file: Any) -> tuple[bytes, dict[str, Any]]:
    """The header, as it is and as read. Raises ValueError unless the file is exactly as long as it says."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= size - 8:
        raise ValueError(f"a header of {length} bytes in {size}")
    head = file.read(length)
    header = json.loads(head)
    end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    if 8 + length + end != size:
        raise ValueError(f"{size} bytes, {8 + length + end} are expected")
    return head, header


def _checksum(head: bytes, arrays: Iterable[np.ndarray]) -> int:
    """CRC-32 of the header, and of the sums of all pages of 512 words of 8 bytes: 25 GB/s, where CRC-32 of all would be
    2. A bit that flips changes the sum of its page, and pages that changed places change the order of the sums."""
    crc = zlib.crc32(head)
    for array in arrays:
        data = _bytes(array)
        whole = len(data) // PAGE * PAGE
        crc = zlib.crc32(np.frombuffer(data[:whole], "<u8").reshape(-1, PAGE // 8).sum(axis=1), crc)
        crc = zlib.crc32(data[whole:], crc)
    return crc


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _named(name: Any) -> str:
    if not isinstance(name, str) or name == "__metadata__":
        raise TypeError(f"{name!r} is no name for an array")
    name.encode()  # raises where UTF-8 cannot say it
    return name


def _plain(name: str, array: Any) -> np.ndarray:
    """The array in one piece and little-endian. Raises TypeError for what is no array of numbers."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it first, the mask is not saved")
    plain = np.asarray(array)
    if plain.dtype.newbyteorder("<") not in TYPES:
        raise TypeError(f"{name} is of {plain.dtype}: arrays of numbers or booleans of 1 to 8 bytes can be saved")
    return np.asarray(plain, plain.dtype.newbyteorder("<"), order="C").view(np.ndarray)
