"""A graph of ONNX as a network: its constants are parameters, and ``forward`` walks its nodes in their order."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np

from .. import nn
from ..engine.device import cpu, current_device
from ..engine.memory import batch_first
from ..engine.mode import no_grad
from ..engine.op import on_each
from ..engine.settings import shown
from ..engine.tensor import Tensor, wrap
from .onnx_file import LARGEST, Node, NotOnnx, OnnxGraph
from .onnx_ops import OPS

__all__ = ["OnnxNet"]

FACTS = ("opset", "batch", "outputs", "most")  # what ops ask for besides attributes
WITH_WEIGHTS = ("BatchNormalization", "Conv", "Gemm", "MatMul")  # whose inputs after the first may not vary
SAME_NUMBERS = ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze")  # may stand behind a softmax


class OnnxNet(nn.Module):
    """A graph of ONNX as at test, for batches of any size, computed in single precision by our ops.

    Its parameters, ``weights.<name>``, are the file's initialisers that have axes; all other constants of real numbers
    are state. Where the graph ends in a softmax, what goes into that is returned: logits, as of every network here.

    graph: of ``read_onnx``. pixels: the side of images where the file leaves it open.
    shape: of an image. layers: names of the values on the way, for ``value``. classes: how many numbers an image gives,
    0 where these have more than one axis.

    Raises NotOnnx for ops and attributes that are not known, and where pictures of zeros cannot go through.
    """

    def __init__(self, graph: OnnxGraph, pixels: int | None = None):
        self.input, self.output, self.whole = graph.input, _before_softmax(graph), graph.whole
        self.shape = tuple(size or (pixels or 0) * (axis > 1) for axis, size in enumerate(graph.shape) if axis)
        if 0 in self.shape:
            raise NotOnnx(f"its input has the shape {graph.shape}, which does not say how large an image is")
        # names: of what depends on the pictures, and of what no op here makes
        self.varying, self.lost = {graph.input}, set[str]()
        self.nodes = tuple(self._ready(node, graph) for node in _needed(graph.nodes, self.output))
        self.layers = [name for node in self.nodes for name in node.outputs if name]
        if self.output not in self.varying:
            raise NotOnnx(f"its output {shown(self.output)} is not made of the picture, or not the first of its node")
        fixed = {name for node in self.nodes if node.kind == "BatchNormalization" for name in node.inputs[3:]}
        self.weights: dict[str, Tensor] = {}
        for name in (name for node in self.nodes for name in node.inputs if name in graph.arrays):
            shape = graph.arrays[name].shape
            self.weights[name] = wrap(batch_first(np.zeros((*shape[1:], *shape[:1]), np.float32)), cpu())
            self.weights[name].requires_grad = name in graph.trained - fixed
        try:
            self.load_state_dict({f"weights.{name}": graph.arrays[name] for name in self.weights})
        except ValueError as error:
            raise NotOnnx(str(error)) from error
        with no_grad():  # a constant that is added to two pictures alone shows with one
            y, _ = (self(np.zeros((n, *self.shape), np.float32)) for n in (2, 1))
        self.classes = y.shape[1] if y.ndim == 2 else 0

    @property
    def pixels(self) -> int:
        """The side of the images that it takes."""
        return self.shape[-1]

    def forward(self, images: Any) -> Tensor:
        """images: (N, ...), an array or a tensor. Returns (N, classes), or what else the graph makes of them."""
        y = self.value(images, self.output)
        return y.flatten() if y.ndim > 2 and y.size == y.shape[0] * y.shape[1] else y  # (N, classes, 1, 1)

    def multiply_adds(self, y: Tensor) -> int:
        """Raises ValueError: a graph is no layer, whose cost could be told from its output."""
        raise ValueError("OnnxNet: what the nodes of a graph cost is not counted")

    def value(self, images: Any, name: str) -> Tensor:
        """What the graph makes of images on the way, by its name, one of ``layers``.

        Raises ValueError where there is no such value, or the images have another shape, and NotOnnx, a ValueError too,
        where an op refuses what it is given.
        """
        if name not in (self.input, *self.layers):
            near = [layer for layer in self.layers if str(name) in layer] or self.layers
            raise ValueError(f"there is no value {shown(name)} in this graph: choose one of {', '.join(near):.500}")
        if np.shape(images)[1:] != self.shape:
            raise ValueError(f"OnnxNet: images {np.shape(images)} must have the shape (N, "
                             f"{', '.join(map(str, self.shape))}), as the file says")
        (x,) = on_each(images, [next((weight.device for weight in self.weights.values()), current_device())])
        values: dict[str, Any] = {"": None, self.input: x, **self.whole, **self.weights}
        nodes = _needed(self.nodes, name)
        last = {read: i for i, node in enumerate(nodes) for read in node.inputs}  # and then it is let go
        kept = x.size
        for i, node in enumerate(nodes):
            made = self._made(node, [values[read] for read in node.inputs], x.shape[0])
            values.update((as_, y) for as_, y in zip(node.outputs, made, strict=True) if as_)
            kept += sum(y.size for y in made)
            if kept > LARGEST * max(x.shape[0], 1):
                raise NotOnnx(f"{node}: {kept} numbers are kept by now: more than {LARGEST} for a picture")
            for read in self.varying.intersection(node.inputs) - {name}:
                if last[read] == i:
                    kept -= values.pop(read).size
        y: Tensor = values[name]
        return y

    def _made(self, node: Node, inputs: list[Any], N: int) -> list[Tensor]:
        """What a node gives for N pictures. Raises NotOnnx, which names it, where it cannot, or would mix pictures."""
        varies = [name in self.varying for name in node.inputs]
        most = {"most": LARGEST * max(N, 1)} if "most" in node.attributes else {}
        try:
            if len({x.ndim for x, varying in zip(inputs, varies, strict=True) if varying}) > 1:
                raise ValueError("it brings together values that have other numbers of axes")
            y = OPS[node.kind](*inputs, **node.attributes | most)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise NotOnnx(f"{node}: {error}") from error
        made = [y] if isinstance(y, Tensor) else list(y)
        if any(varies) and any(one.shape[:1] != (N,) for one in made):
            raise NotOnnx(f"{node} makes {shown([one.shape for one in made])} of {N} pictures: it mixes or loses some")
        return made

    def _ready(self, node: Node, graph: OnnxGraph) -> Node:
        """The node with the facts that its op asks for; what it makes is noted if it varies with the pictures.

        Raises NotOnnx where the op or an attribute is not known, or pictures would be mixed.
        """
        if node.kind not in OPS:
            raise NotOnnx(f"{node}: that op is not known: known are {', '.join(OPS)}")
        if lost := [name for name in node.inputs if name in self.lost]:
            raise NotOnnx(f"{node} reads {shown(lost[0])}: of a node only the first output is known, or those of Split")
        signature, varies = inspect.signature(OPS[node.kind]), [name in self.varying for name in node.inputs]
        for name, value in node.attributes.items():
            known = signature.parameters.get(name)
            if known is None or known.kind is not known.KEYWORD_ONLY or name in FACTS:
                raise NotOnnx(f"{node}: its attribute {shown(name)} is not known")
            if not _is(value, known.annotation.removesuffix(" | None")):
                raise NotOnnx(f"{node}: its attribute {name} is {shown(value)}, and must be {known.annotation}")
        turned = node.kind == "Transpose" and node.attributes.get("perm", ())[:1] != (0,)
        if (any(varies) and turned) or (any(varies[1:]) and node.kind in WITH_WEIGHTS):
            raise NotOnnx(f"{node} mixes pictures, or takes for weights what is made of them")
        places = [known.annotation for known in signature.parameters.values() if known.kind is not known.KEYWORD_ONLY]
        for i, name in enumerate(node.inputs):
            if name in graph.whole and places[min(i, len(places) - 1)] != "Any":
                raise NotOnnx(f"{node} reads {shown(name)}, whole numbers, where it takes real ones")
        facts = {"opset": graph.opset, "outputs": len(node.outputs), "most": 0,
                 "batch": graph.shape[0] if any(varies) else None}  # fmt: skip
        ready = node.attributes | {name: facts[name] for name in FACTS if name in signature.parameters}
        if lacks := [name for name, known in signature.parameters.items()
                     if known.kind is known.KEYWORD_ONLY and known.default is known.empty and name not in ready]:
            raise NotOnnx(f"{node} lacks the attribute {lacks[0]}")
        try:
            signature.bind(*node.inputs, **ready)
        except TypeError as error:
            raise NotOnnx(f"{node}: {error}") from error
        outputs = node.outputs if node.kind == "Split" else node.outputs[:1]
        self.lost.update(filter(None, node.outputs[len(outputs):]))
        if any(varies):
            self.varying.update(filter(None, outputs))
        return replace(node, attributes=ready, outputs=outputs)


def _is(value: Any, kind: str) -> bool:
    if kind == "Ints":
        return isinstance(value, tuple) and all(type(one) is int for one in value)
    return kind == "Any" or type(value).__name__ == kind


def _needed(nodes: tuple[Node, ...], output: str) -> tuple[Node, ...]:
    """Those without which there is no such output."""
    wanted, found = {output}, []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.outputs):
            wanted.update(filter(None, node.inputs))
            found.append(node)
    return tuple(found[::-1])


def _before_softmax(graph: OnnxGraph) -> str:
    """The value of which all outputs are made by no more than a softmax."""
    made_by = {name: node for node in graph.nodes for name in node.outputs[:1]}

    def before(output: str) -> str:
        node = made_by.get(output)
        while node and node.kind in SAME_NUMBERS and node.inputs:
            node = made_by.get(node.inputs[0])
        last = node and node.kind == "Softmax" and node.inputs and node.attributes.get("axis", 1) in (1, -1)
        return node.inputs[0] if node and last else output

    ends = {before(output) for output in graph.outputs}
    if len(ends) > 1:
        raise NotOnnx(f"it has the outputs {shown(list(graph.outputs))}, and pictures are asked for one")
    return ends.pop()
