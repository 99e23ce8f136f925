"""Read a network of Caffe: the layers of a ``.caffemodel`` and their blobs, and a mean picture (``.binaryproto``).

Both are protocol buffers: a row of fields, each a key (its number and kind) and a value. Of Caffe's caffe.proto

    NetParameter       1 name, 2 layers (older: V1), 100 layer
    V1LayerParameter   4 name, 5 type (a number), 6 blobs
    LayerParameter     1 name, 2 type (a text), 7 blobs
    BlobProto          7 shape (1 dim), 5 data, 8 double_data; older: 1 num, 2 channels, 3 height, 4 width

All other fields are passed over.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["CaffeLayer", "NotCaffe", "read_caffe", "read_caffe_mean"]

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5  # kinds of fields
V1_TYPES = {4: "Convolution", 14: "InnerProduct"}  # those that have weights


class NotCaffe(ValueError):
    """A file that is no network of Caffe's, or no mean, or is damaged."""


class CaffeLayer(NamedTuple):
    name: str
    type: str
    blobs: list[np.ndarray]


def read_caffe(path: str | os.PathLike[str]) -> tuple[str, list[CaffeLayer]]:
    """What the network calls itself, and its layers that have blobs, in their order.

    Blobs are float32, weights (outputs, inputs, rows, columns) or (outputs, inputs), biases (outputs,), and can only be
    read: they are views of what the file holds.

    Raises NotCaffe for all that is no such file, and OSError where it cannot be read.
    """
    data = memoryview(Path(path).read_bytes())
    name, layers = "", []
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number in (2, 100) and isinstance(value, memoryview):
            layer = _layer(value, *((4, 5, 6) if number == 2 else (1, 2, 7)))
            if layer.blobs:
                layers.append(layer)
    if not layers:
        raise NotCaffe("it holds no layers with weights")
    return name, layers


def read_caffe_mean(path: str | os.PathLike[str]) -> np.ndarray:
    """A mean picture (channels, rows, columns), its channels in Caffe's order: blue, green, red.

    Raises NotCaffe for all that is no such file, and OSError where it cannot be read.
    """
    mean = _blob(memoryview(Path(path).read_bytes()))
    while mean.ndim > 3 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3 or mean.shape[0] != 3 or not mean.size:
        raise NotCaffe(f"its mean has the shape {mean.shape}, not (3, rows, columns)")
    return mean


def _layer(data: memoryview, name: int, type_: int, blobs: int) -> CaffeLayer:
    said, kind, arrays = "", "", []
    for number, value in _fields(data):
        if number == name:
            said = _text(value)
        elif number == type_:
            kind = V1_TYPES.get(value, str(value)) if isinstance(value, int) else _text(value)
        elif number == blobs:
            if not isinstance(value, memoryview):
                raise NotCaffe(f"a blob of {said or 'a layer'} is a number")
            arrays.append(_blob(value))
    arrays = [a.reshape(-1) if i == 1 else a for i, a in enumerate(arrays)]  # a bias, which may be (1, 1, 1, n)
    if kind == "InnerProduct" and arrays and arrays[0].ndim == 4:
        arrays[0] = arrays[0].reshape(arrays[0].shape[2:])  # (1, 1, outputs, inputs)
    return CaffeLayer(said, kind, arrays)


def _blob(data: memoryview) -> np.ndarray:
    shape: list[int] | None = None
    older = {1: 0, 2: 0, 3: 0, 4: 0}
    packed: dict[int, list[memoryview]] = {5: [], 8: []}
    for number, value in _fields(data):
        if number in older and isinstance(value, int):
            older[number] = value
        elif number == 7 and isinstance(value, memoryview):
            shape = [size for key, sizes in _fields(value) if key == 1 for size in _whole_numbers(sizes)]
        elif number in packed:
            if not isinstance(value, memoryview):
                raise NotCaffe("a blob's data is a whole number")
            packed[number].append(value)
    size, dtype = (8, "<f8") if packed[8] else (4, "<f4")
    pieces = packed[8] or packed[5]
    if any(len(piece) % size for piece in pieces):
        raise NotCaffe(f"the data of a blob is no row of numbers of {size} bytes")
    numbers = np.frombuffer(pieces[0] if len(pieces) == 1 else b"".join(pieces), dtype)
    if shape is None:
        shape = list(older.values()) if any(older.values()) else [numbers.size]
    if math.prod(shape) != numbers.size or len(shape) > 8:
        raise NotCaffe(f"a blob says that its shape is {tuple(shape)!s:.80}, and has {numbers.size} numbers")
    return numbers.reshape(shape).astype(np.float32, copy=False)


# -- protocol buffers --------------------------------------------------------------------------------------------------


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field: a whole number, or the bytes of all that is longer."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FOUR, EIGHT):
            size = 4 if kind == FOUR else 8
        else:
            raise NotCaffe(f"it is damaged, or none of Caffe's: byte {at} has a field of the kind {kind}")
        if size > len(data) - at:
            raise NotCaffe(f"it is cut short, or none of Caffe's: {len(data) - at} bytes are left of {size}")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, the lowest first; and where the next begins."""
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise NotCaffe("it is cut short, or none of Caffe's")
        value |= (data[at + i] & 127) << 7 * i
        if data[at + i] < 128:
            return value, at + i + 1
    raise NotCaffe("it is damaged, or none of Caffe's: a number of more than ten bytes")


def _whole_numbers(value: Any) -> list[int]:
    if isinstance(value, int):
        return [value]
    sizes, at = [], 0
    while at < len(value):
        size, at = _varint(value, at)
        sizes.append(size)
    return sizes


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview) else str(value)
