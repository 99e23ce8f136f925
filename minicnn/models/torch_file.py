"""Read the weights in a file of ``torch.save``, without PyTorch and without running anything that the file says.

Such a file is a ZIP archive: ``*/data.pkl``, a pickle that says how tensors are put together, and ``*/data/<key>``,
their numbers as they lay in memory; before PyTorch 1.6 it was five pickles with the numbers behind them. A pickle is a
program and may call whatever it names. Here only those names are known that a dictionary of tensors needs, and what
they call is ours; any other is refused by name, and so is every instruction that makes objects of a class.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["NotTorch", "read_torch"]

MAGIC = 0x1950A86A20F9469CFC6C  # of torch.save before 1.6
TYPES = {"FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "u2", "LongStorage": "i8",
         "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?"}
KNOWN = {("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"),
         ("torch._utils", "_rebuild_parameter"), *(("torch", name) for name in TYPES)}
# What dictionaries, lists, numbers, texts and tensors are made of.
OPCODES = {
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID",
}  # fmt: skip


class NotTorch(ValueError):
    """A file that holds no weights as ``torch.save`` writes them, or is damaged, or wants more than its weights."""


class Storage(NamedTuple):
    type: str
    key: str
    size: int  # in numbers


class Tensor(NamedTuple):
    """How a tensor lies in a storage, counted in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors of a state dict, by name: as arrays that only can be read, views of what the file holds.

    The state dict may be the whole file, or stand in it under "state_dict" or "model", as in checkpoints of training.
    Raises NotTorch for all that is no such file, and OSError where it cannot be read.
    """
    try:
        read = _read_archive if zipfile.is_zipfile(path) else _read_pickles
        tensors, numbers = read(Path(path))
        return {name: _view(name, tensor, numbers[tensor.storage]) for name, tensor in tensors.items()}
    except (NotTorch, OSError):
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, TypeError, AttributeError, OverflowError,
            RecursionError, NotImplementedError, RuntimeError, pickle.UnpicklingError) as error:
        raise NotTorch(f"it is damaged, or no file of torch.save: {error or type(error).__name__}") from error


def _read_archive(path: Path) -> tuple[dict[str, Tensor], dict[Storage, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if sum(info.file_size for info in members.values()) > path.stat().st_size:
            raise NotTorch("it unpacks to more than it holds")
        pickles = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise NotTorch("it is a ZIP archive without the data.pkl that torch.save writes")
        folder = pickles[0].removesuffix("data.pkl")
        order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in members else b"little"
        tensors = _tensors(_unpickled(io.BytesIO(archive.read(pickles[0]))))
        return tensors, {storage: _numbers(archive.read(f"{folder}data/{storage.key}"), storage, order == b"big")
                         for storage in {tensor.storage for tensor in tensors.values()}}


def _read_pickles(path: Path) -> tuple[dict[str, Tensor], dict[Storage, np.ndarray]]:
    """As PyTorch wrote them before 1.6: a magic number, a version, facts of the machine, the state dict, keys of the
    storages; then for each of them its length, in 8 bytes, and its numbers."""
    stream = io.BytesIO(path.read_bytes())
    if not stream.getvalue()[:1] == b"\x80" or _unpickled(stream) != MAGIC:
        raise NotTorch("it was not written by torch.save")
    _, machine, said, keys = (_unpickled(stream) for _ in range(4))
    tensors = _tensors(said)
    by_key = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    data, at, numbers, big = stream.getbuffer(), stream.tell(), {}, not machine.get("little_endian", True)
    for key in keys:
        count, storage = int.from_bytes(data[at : at + 8], "little"), by_key.get(key)
        if storage is None:
            raise NotTorch(f"no tensor says of what type the numbers of storage {key!r:.40} are")
        end = at + 8 + storage.size * np.dtype(TYPES[storage.type]).itemsize
        if count != storage.size:
            raise NotTorch(f"storage {key} has {count} numbers, where its tensor says {storage.size}")
        numbers[storage], at = _numbers(data[at + 8 : end], storage, big), end
    return tensors, numbers


# -- the pickle --------------------------------------------------------------------------------------------------------


class _Dict(dict[Any, Any]):
    """In place of an OrderedDict: takes the attributes that PyTorch's has."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise NotTorch(f"it wants {module}.{name}, which no weights need: nothing of it was run")
        if module == "torch":
            return name
        ours: dict[str, Callable[..., Any]]
        ours = {"OrderedDict": _Dict, "_rebuild_tensor_v2": _tensor, "_rebuild_parameter": _parameter}
        return lambda *arguments: ours[name](*arguments)  # a new one, as a pickle may set what it likes on it

    def persistent_load(self, pid: Any) -> Storage:
        kind, type_, key, _, count, *_ = pid
        if kind != "storage" or type_ not in TYPES or not isinstance(key, str) or not _whole(count):
            raise NotTorch(f"it names a storage {pid!r:.80}")
        return Storage(type_, key, count)


def _unpickled(stream: io.BytesIO) -> Any:
    """What the next pickle says, after a look at every instruction of it."""
    start = stream.tell()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if opcode.name not in OPCODES:
            raise NotTorch(f"its pickle holds more than dictionaries of tensors (instruction {opcode.name}); nothing "
                           "of it was run: with PyTorch, save model.state_dict()")
        if opcode.name == "LONG_BINPUT" and (argument or 0) > count:  # for which memory would be taken
            raise NotTorch(f"its pickle remembers {argument} objects after {count} instructions")
    end = stream.tell()
    stream.seek(start)
    said = _Unpickler(stream).load()
    stream.seek(end)
    return said


def _whole(*values: Any) -> bool:
    return all(type(value) is int and value >= 0 for value in values)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage) or not _whole(offset, *shape, *strides) or len(shape) != len(strides):
        raise NotTorch(f"it says that a tensor lies at {offset!r:.20}, {shape!r:.80}, {strides!r:.80}")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _tensors(said: Any) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(said, dict) and isinstance(said.get(key), dict):
            said = said[key]
    if not isinstance(said, dict) or not all(isinstance(name, str) for name in said):
        raise NotTorch(f"it holds a {type(said).__name__}, not a state dict: save model.state_dict()")
    tensors = {name: value for name, value in said.items() if isinstance(value, Tensor)}
    if not tensors:
        raise NotTorch("it holds no tensors")
    alone = all(name.startswith("module.") for name in tensors)  # as nn.DataParallel calls them
    return {name.removeprefix("module.") if alone else name: value for name, value in tensors.items()}


# -- the numbers -------------------------------------------------------------------------------------------------------


def _numbers(data: Any, storage: Storage, big: bool) -> np.ndarray:
    dtype = np.dtype(TYPES[storage.type]).newbyteorder(">" if big else "<")
    if len(data) < storage.size * dtype.itemsize:
        raise NotTorch(f"storage {storage.key} should hold {storage.size} numbers of {dtype.itemsize} bytes, and has "
                       f"{len(data)} bytes")
    numbers = np.frombuffer(data, dtype, storage.size)
    if storage.type == "BFloat16Storage":  # the upper half of a float
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers


def _view(name: str, tensor: Tensor, numbers: np.ndarray) -> np.ndarray:
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    if 0 not in tensor.shape and last >= numbers.size:
        raise NotTorch(f"{name} {tensor.shape} should reach number {last} of {numbers.size}")
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, numbers.dtype)
    steps = [step * numbers.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, steps, writeable=False)
