"""One file that holds all that is needed to go on: arrays and plain facts, as safetensors, never pickle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .files import written_aside

__all__ = ["CheckpointError", "keep", "load", "part", "save"]

MARK, CHECKSUM = "minicnn", "checksum"  # the texts beside the arrays: our facts, as JSON, and the checksum of it all
PAGE, BLOCK = 4096, 1 << 20  # bytes: what has a sum of its own, and what stays in the cache while it is added up


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
        ready = {name: _plain(name, array) for name, array in arrays.items()}
        with written_aside(path) as aside:
            aside.touch()
            mode = aside.stat().st_mode  # as the umask says; the library's is for the owner alone
            save_file(ready, aside, {MARK: text, CHECKSUM: _checksum(text, ready)})
            aside.chmod(mode)
            with aside.open("r+b") as file:
                os.fsync(file.fileno())
            for name in also:
                keep(aside, name)
    except (OSError, SafetensorError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"cannot save {path}: {getattr(error, 'strerror', None) or error}{kept}") from error


def keep(path: str | os.PathLike[str], name: str | os.PathLike[str]) -> None:
    """Give a checkpoint a second name, at no cost where the disk knows hard links. Raises CheckpointError."""
    path, name = Path(path), Path(name)
    try:
        with written_aside(name) as aside:
            try:
                os.link(path, aside)
            except (OSError, NotImplementedError, AttributeError):
                shutil.copyfile(path, aside)
    except OSError as error:
        raise CheckpointError(f"cannot save {name}: {error.strerror or error}") from error


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the facts of a checkpoint. Raises CheckpointError when there is none, or it is damaged: where a
    single bit is another than was written, this is seen. Files of before there were checksums are read as they are."""
    path = Path(path)
    try:
        path.open("rb").close()  # says better than the library why a file cannot be read
        with safe_open(path, "numpy", backend="pread") as file:  # a map kills us where a drive goes away
            texts = file.metadata() or {}
            if MARK not in texts:
                raise CheckpointError(f"{path} is not a checkpoint of minicnn")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if len(texts) > 1 and texts != {MARK: texts[MARK], CHECKSUM: _checksum(texts[MARK], arrays)}:
            raise ValueError("its checksum is not that of what it holds")
        return arrays, json.loads(texts[MARK])
    except FileNotFoundError as error:
        raise CheckpointError(f"cannot load {path}: there is no such file") from error
    except OSError as error:
        raise CheckpointError(f"cannot load {path}: the file cannot be read: {error.strerror or error}") from error
    except CheckpointError:
        raise
    except (SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        what = "the file is damaged" if _begins(path) else "it is no checkpoint, or the file is damaged"
        raise CheckpointError(f"cannot load {path}: {what}: {error}") from error


def _begins(path: Path) -> bool:
    """Whether a file begins as safetensors does: eight bytes of a length, and JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with ``prefix``, by what follows it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """A hash of the facts, of names, types and shapes, and of the arrays' sums: in every MiB, of each page of 512 words
    of 8 bytes, and of all first words of its pages, all second ones, and so on. A bit that flips changes two sums, and
    so do any two bits; the sums are read ten times as fast as a hash of every byte."""
    names = sorted(arrays)
    entries = [(name, arrays[name].dtype.str, arrays[name].shape) for name in names]
    digest = hashlib.blake2b(json.dumps([text, entries]).encode(), digest_size=16)
    for name in names:
        data = arrays[name].reshape(-1).view(np.uint8)
        for begin in range(0, data.size, BLOCK):
            block = data[begin:begin + BLOCK]
            words = block[:block.size // PAGE * PAGE].view("<u8").reshape(-1, PAGE // 8)
            for part in (words.sum(axis=0), words.sum(axis=1), block[words.nbytes:]):
                digest.update(part.data)
    return digest.hexdigest()


def _plain(name: str, array: Any) -> np.ndarray:
    """The array in one piece and little-endian. Raises TypeError for what is no array of numbers under a name. Control
    characters are in none: the library writes them as \\u001f, and a bit flips f to F, which says the same."""
    if not isinstance(name, str) or name == "__metadata__" or any(letter < " " for letter in name):
        raise TypeError(f"{name!r} is no name for an array")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it first, the mask is not saved")
    plain = np.asarray(array)
    if plain.dtype.kind not in "biuf" or plain.dtype.itemsize > 8:
        raise TypeError(f"{name} is of {plain.dtype}: arrays of numbers or booleans of 1 to 8 bytes can be saved")
    return np.asarray(plain, plain.dtype.newbyteorder("<"), order="C").view(np.ndarray)
