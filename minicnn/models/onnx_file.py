"""Read a network of ONNX: its nodes in their order, its constants, what goes in and what comes out.

The package onnx takes the protocol buffer apart. What the file says of itself is held against what is there: shapes
against numbers, names against what makes them. Nothing is read but this one file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.settings import shown

__all__ = ["LARGEST", "Node", "NotOnnx", "OnnxGraph", "read_onnx"]

OPSETS = range(1, 29)  # of which the ops here mean what ``onnx_ops`` says
LARGEST = 1 << 23  # numbers that a picture may need at once; two layers of VGG's have 6.4 million
MOST = 1 << 12  # whole numbers in one constant: shapes, axes, sizes
# Types of numbers: where they lie if not in raw_data, how they lie there, and in raw_data.
TYPES = {"FLOAT": ("float_data", "<f4", "<f4"), "DOUBLE": ("double_data", "<f8", "<f8"),
         "FLOAT16": ("int32_data", "<u2", "<f2"), "INT64": ("int64_data", "<i8", "<i8"),
         "INT32": ("int32_data", "<i4", "<i4"), "BOOL": ("int32_data", "?", "?")}
# Types of attributes, and where their values stand.
ATTRIBUTES = {"INT": "i", "FLOAT": "f", "STRING": "s", "INTS": "ints", "FLOATS": "floats", "TENSOR": "t"}


class NotOnnx(ValueError):
    """A file that is no network of ONNX's, or is damaged, or needs what is not known here."""


@dataclass(frozen=True)
class Node:
    """kind: of the op. name: of the node, or of what it makes. inputs, outputs: names of values, "" where one is left
    out. attributes: numbers, texts, tuples of numbers, arrays."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def __str__(self) -> str:
        return f"node {shown(self.name)} ({shown(self.kind)[1:-1]})"


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """nodes: each after those that it reads. arrays: constants of real numbers, by name; trained: those that are
    weights, and no part of a formula. whole: constants of whole numbers, flat. input: its name; shape: of it, None
    where the file leaves a size open, as that of the batch. outputs: their names. producer: what wrote the file.
    facts: its metadata."""

    nodes: tuple[Node, ...]
    arrays: dict[str, np.ndarray]
    trained: frozenset[str]
    whole: dict[str, tuple[int, ...]]
    input: str
    shape: tuple[int | None, ...]
    outputs: tuple[str, ...]
    opset: int
    producer: str
    facts: dict[str, str]


def read_onnx(path: str | os.PathLike[str]) -> OnnxGraph:
    """The graph in a file, of any opset from 1 to 28.

    Raises NotOnnx for all that is no such file, ImportError where the package onnx is missing, and OSError where the
    file cannot be read.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ImportError(f'reading ONNX needs the package onnx ({error}): pip install "minicnn[onnx]"') from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(Path(path).read_bytes())
        return _graph(model)
    except DecodeError as error:
        raise NotOnnx("it is damaged, or no file of ONNX") from error
    except (UnicodeDecodeError, OverflowError) as error:
        raise NotOnnx(f"it is damaged: {shown(error)}") from error


def _graph(model: Any) -> OnnxGraph:
    said, opset = model.graph, max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    if not said.node:
        raise NotOnnx("it holds no graph of ONNX")
    if opset not in OPSETS:
        raise NotOnnx(f"it is of opset {opset}: {OPSETS[0]} to {OPSETS[-1]} are known")
    constants = _once((_text(tensor.name), _array(tensor)) for tensor in said.initializer)
    trained, nodes = frozenset(name for name, array in constants.items() if array.ndim), []
    for node in map(_node, said.node):
        if node.kind == "Constant":
            constants = _once([*constants.items(), (node.outputs[0], _constant(node))])
        else:
            nodes.append(node)
    inputs = [value for value in said.input if _text(value.name) not in constants]  # before IR 4 constants were inputs
    if len(inputs) != 1:
        raise NotOnnx(f"it has {len(inputs)} inputs, {shown([i.name for i in inputs])}, and pictures are one")
    _in_order(nodes, {inputs[0].name, *constants}, outputs := _texts(value.name for value in said.output))
    whole = {name: tuple(array.reshape(-1).tolist()) for name, array in constants.items() if array.dtype.kind != "f"}
    return OnnxGraph(tuple(nodes), {name: array for name, array in constants.items() if name not in whole}, trained,
                     whole, inputs[0].name, _shape(inputs[0]), outputs, opset,
                     _text(model.producer_name),
                     {_text(entry.key): _text(entry.value) for entry in model.metadata_props})  # fmt: skip


def _text(said: Any) -> str:
    if not isinstance(said, str):  # the reader gives bytes that are no UTF-8 as they are
        raise NotOnnx(f"it is damaged: {said!r:.40} is no text")
    return said


def _texts(said: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(_text, said))


def _once(named: Iterable[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name, array in named:
        if found.setdefault(name, array) is not array:
            raise NotOnnx(f"two constants are called {shown(name)}")
    return found


def _in_order(nodes: list[Node], there: set[str], outputs: tuple[str, ...]) -> None:
    """Raises NotOnnx unless all that a node reads is there before it, nothing is made twice, and the outputs are."""
    made: set[str] = set()
    for node in nodes:
        for name in filter(None, node.inputs):
            if name not in there | made:
                raise NotOnnx(f"{node} reads {shown(name)}, which nothing before it makes")
        for name in filter(None, node.outputs):
            if name in there | made:
                raise NotOnnx(f"{node} makes {shown(name)}, which is there already")
            made.add(name)
    if not outputs or not made.issuperset(outputs):
        raise NotOnnx(f"its outputs are {shown(list(outputs))}, which no node makes")


def _shape(value: Any) -> tuple[int | None, ...]:
    """Of an input: its sizes, None where one is open."""
    tensor, name = value.type.tensor_type, shown(value.name)
    if tensor.elem_type not in (1, 10, 11) or not tensor.HasField("shape"):
        raise NotOnnx(f"its input {name} is of type {tensor.elem_type}, or has no shape: pictures are real numbers")
    shape = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim)
    if len(shape) not in range(2, 9) or math.prod(size or 1 for size in shape) > LARGEST:
        raise NotOnnx(f"its input {name} has the shape {shown(shape)}: that is no batch of pictures")
    return shape


def _node(said: Any) -> Node:
    inputs, outputs = _texts(said.input), _texts(said.output)
    node = Node(_text(said.op_type), _text(said.name) or "".join(outputs[:1]), inputs, outputs, {})
    if said.domain not in ("", "ai.onnx"):
        raise NotOnnx(f"{node} is an op of {shown(said.domain)}: only those of ONNX itself are known")
    if not any(node.outputs):
        raise NotOnnx(f"{node} makes nothing")
    values = [(_text(one.name), _attribute(node, one)) for one in said.attribute]
    if len(dict(values)) < len(values):
        raise NotOnnx(f"{node} has an attribute twice")
    return replace(node, attributes=dict(values))


def _attribute(node: Node, said: Any) -> Any:
    kind = said.AttributeType.Name(said.type) if said.type in said.AttributeType.values() else str(said.type)
    field = ATTRIBUTES.get(kind)
    if field is None or (len(field) == 1 and not said.HasField(field)):
        raise NotOnnx(f"{node}: its attribute {shown(said.name)} is no value of the type {kind} that it is said to be, "
                      f"or of another than {', '.join(ATTRIBUTES)}")
    value = getattr(said, field)
    if kind == "STRING":
        return value.decode()
    return _array(value) if kind == "TENSOR" else tuple(value) if kind.endswith("S") else value


def _constant(node: Node) -> np.ndarray:
    kinds = {"value": "", "value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}
    for name, value in node.attributes.items():
        if name in kinds and isinstance(value, np.ndarray) == (name == "value") and len(node.attributes) == 1:
            return value if name == "value" else _checked(node.name, np.array(value, kinds[name]))
    raise NotOnnx(f"{node} has the attributes {shown(sorted(node.attributes))}: known is one of {', '.join(kinds)}")


def _array(tensor: Any) -> np.ndarray:
    """The numbers of a tensor, where it has as many as its shape says: little-endian, maybe for reading only."""
    name, shape = shown(tensor.name), tuple(tensor.dims)
    if tensor.external_data or tensor.data_location:
        where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        raise NotOnnx(f"the numbers of {name} lie in another file, {shown(where)}, which is not read: make one file of "
                      "both, by onnx.save(onnx.load(path), path)")
    kind = tensor.DataType.Name(tensor.data_type) if tensor.data_type in tensor.DataType.values() else "?"
    if kind not in TYPES:
        raise NotOnnx(f"{name} is of type {tensor.data_type} ({kind}): known are {', '.join(TYPES)}")
    field, there, dtype = TYPES[kind]
    if tensor.HasField("raw_data"):
        data = tensor.raw_data
        if len(data) % np.dtype(dtype).itemsize:
            raise NotOnnx(f"the data of {name} are {len(data)} bytes, no row of numbers of {np.dtype(dtype).itemsize}")
        array = np.frombuffer(data, dtype)
    else:
        array = np.fromiter(getattr(tensor, field), there, len(getattr(tensor, field))).view(dtype)
    if len(shape) > 8 or min(shape, default=0) < 0 or math.prod(shape) != array.size:
        raise NotOnnx(f"{name} says that its shape is {shown(shape)}, and has {array.size} numbers")
    return _checked(name, array.reshape(shape))


def _checked(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotOnnx(f"{name} holds numbers that are not finite")
    if array.dtype.kind != "f" and array.size > MOST:
        raise NotOnnx(f"{name} holds {array.size} whole numbers: no op here takes more than {MOST}")
    return array
