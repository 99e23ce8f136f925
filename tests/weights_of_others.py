"""Files as PyTorch and Caffe write them, without either, and such files spoilt."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

# -- PyTorch -----------------------------------------------------------------------------------------------------------


class Named(NamedTuple):
    """Something that a pickle calls by its name alone."""

    module: str
    name: str

    def __call__(self):
        raise AssertionError("only a name")


class Stored(NamedTuple):
    type: str
    key: str
    count: int


class Object(NamedTuple):
    """What is to be called with what when a pickle is read."""

    call: Named
    arguments: tuple


STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class Writer(pickle._Pickler):
    """protocol 2, as torch.save's"""

    def __init__(self, file, older=False):
        super().__init__(file, protocol=2)
        self.older, self.storages = older, []

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Named):
            self.write(b"c" + "\n".join(obj).encode() + b"\n")
        else:
            super().save(obj, save_persistent_id)

    def persistent_id(self, obj):
        if isinstance(obj, Stored):
            return ("storage", Named("torch", obj.type), obj.key, "cpu", obj.count, *(None,) * self.older)
        return None

    def reducer_override(self, obj):
        if isinstance(obj, Object):
            return tuple(obj)
        if not isinstance(obj, np.ndarray):
            return NotImplemented
        array = obj if obj.T.flags.c_contiguous else np.ascontiguousarray(obj)
        data, strides = array.tobytes("A"), tuple(step // array.itemsize for step in array.strides)
        stored = Stored(STORAGES[obj.dtype.name], str(len(self.storages)), array.size)
        self.storages.append(data)
        rebuild = Named("torch._utils", "_rebuild_tensor_v2")
        return rebuild, (stored, 0, obj.shape, strides, False, OrderedDict())


def pickled(said):
    """(the pickle, the bytes of its storages)"""
    file = io.BytesIO()
    writer = Writer(file)
    writer.dump(said)
    return file.getvalue(), writer.storages


def torch_archive(said, spoil=lambda data: data):
    """The bytes of torch.save(said), whose pickle is spoilt."""
    data, storages = pickled(said)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", spoil(data))
        archive.writestr("archive/byteorder", "little")
        for key, numbers in enumerate(storages):
            archive.writestr(f"archive/data/{key}", numbers)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def torch_before_1_6(said):
    file = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "type_sizes": {"int": 4}}):
        pickle.dump(part, file, 2)
    writer = Writer(file, older=True)
    writer.dump(said)
    pickle.dump([str(key) for key in range(len(writer.storages))], file, 2)
    for numbers, array in zip(writer.storages, said.values(), strict=True):
        file.write(struct.pack("<q", array.size) + numbers)
    return file.getvalue()


# -- Caffe -------------------------------------------------------------------------------------------------------------


def varint(value):
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def field(number, value):
    """A field of a protocol buffer: a whole number, or a text, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array, older=False, packed=True):
    array = np.asarray(array, "<f4")
    if older:  # num, channels, height, width
        sizes = (1,) * (4 - array.ndim) + array.shape
        shape = b"".join(field(i + 1, size) for i, size in enumerate(sizes))
    else:
        shape = field(7, field(1, b"".join(varint(size) for size in array.shape)))
    if packed:
        return shape + field(5, array.tobytes())
    return shape + b"".join(varint(5 << 3 | 5) + number.tobytes() for number in array.reshape(-1))


def caffe_net(layers, older=False, packed=True, name="a net"):
    """layers: name → (type, blobs); older: as V1LayerParameter, whose types are numbers."""
    numbers = {"Convolution": 4, "InnerProduct": 14}
    data = field(1, name) + field(2 if older else 100, field(4 if older else 1, "data"))
    for layer, (kind, blobs) in layers.items():
        said = field(4, layer) + field(5, numbers[kind]) if older else field(1, layer) + field(2, kind)
        said += b"".join(field(6 if older else 7, blob(array, older, packed)) for array in blobs)
        data += field(2 if older else 100, said)
    return data


# -- spoilt ------------------------------------------------------------------------------------------------------------


def spoilt(data, draw):
    """Bytes cut short, with bits flipped, lengths that lie, a piece twice or gone. draw: NumPy's generator."""
    data, kind = bytearray(data), draw.integers(5)
    at = int(draw.integers(max(1, len(data))))
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        for _ in range(int(draw.integers(1, 20))):
            data[int(draw.integers(len(data)))] ^= 1 << int(draw.integers(8))
    elif kind == 2:
        data[at : at + 4] = draw.choice([b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff\xff\xff\xff", b"\0\0\0\0"])
    elif kind == 3:
        data[at:at] = data[at : at + int(draw.integers(1, 64))]
    else:
        del data[at : at + int(draw.integers(1, 64))]
    return bytes(data)
