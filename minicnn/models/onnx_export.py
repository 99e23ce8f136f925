"""Write a network as ONNX, which most other programs can run: towers as two chains, that join where a row sees both.

The graph is that of the network at test: dropout is gone, or a factor. Its input is "images" (N, 3, pixels, pixels),
its outputs "logits" and "probabilities" (N, classes), for any N. An LRN's α is divided by its window there, so ours is
written multiplied. With a classifier's mean, images are pixels of 0 to 255; how a picture is scaled and cut, in which
order its colours are, and the names of the classes stand in the metadata, as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, nn
from ..files import written_aside
from ..ops.window import sides
from .alexnet import AlexNet
from .variants import VARIANTS, Preprocessing

__all__ = ["write_onnx"]

OPSET = 17


class Graph:
    """Nodes and constants, as they are added one after the other."""

    def __init__(self, onnx: Any):
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def add(self, kind: str, output: str, *inputs: str, **attributes: Any) -> str:
        """A node; returns the name of its output."""
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def layer(self, name: str, layer: nn.Module, x: str) -> str:
        """The nodes of a layer; returns the name of its output. Raises TypeError for one that cannot be written."""
        if isinstance(layer, nn.Conv2d):
            (above, below), (left, right) = sides("conv2d", layer.padding)
            w, b = self._parameters(name, layer)
            return self.add("Conv", name, x, w, b, strides=_two(layer.stride), group=layer.groups,
                            pads=[above, left, below, right])
        if isinstance(layer, nn.Linear):
            return self.add("Gemm", name, x, *self._parameters(name, layer), transB=1)
        if isinstance(layer, nn.ReLU):
            return self.add("Relu", name, x)
        if isinstance(layer, nn.MapResponseNorm):
            return self._map_norm(name, layer, x)
        if isinstance(layer, nn.LocalResponseNorm):
            return self.add("LRN", name, x, size=layer.size, alpha=layer.alpha * layer.size, beta=layer.beta,
                            bias=layer.k)
        if isinstance(layer, nn.MaxPool2d):
            (above, below), (left, right) = sides("max_pool2d", layer.padding)
            return self.add("MaxPool", name, x, kernel_shape=_two(layer.size), strides=_two(layer.stride),
                            pads=[above, left, below, right])
        if isinstance(layer, nn.Flatten):
            return self.add("Flatten", name, x, axis=1)
        if isinstance(layer, nn.Dropout):
            return x if layer.inverted else self.add("Mul", name, x, self.constant(f"{name}.kept",
                                                                                   np.float32(1 - layer.p)))
        raise TypeError(f"write_onnx: there is no way to write {layer!r:.60}")

    def _parameters(self, name: str, layer: Any) -> list[str]:
        return [self.constant(f"{name}.{kind}", getattr(layer, kind).numpy()) for kind in ("weight", "bias")]

    def _map_norm(self, name: str, layer: nn.MapResponseNorm, x: str) -> str:
        """x / (k + α Σ x²)^β over the places of a window: the mean of squares with zeros around, times α · size²."""
        numbers = {"scale": layer.alpha * layer.size**2, "k": layer.k, "beta": layer.beta}
        scale, k, beta = (self.constant(f"{name}.{kind}", np.float32(value)) for kind, value in numbers.items())
        mean = self.add("AveragePool", f"{name}.mean", self.add("Mul", f"{name}.squares", x, x),
                        kernel_shape=_two(layer.size), pads=[layer.size // 2] * 4, count_include_pad=1)
        d = self.add("Add", f"{name}.d", self.add("Mul", f"{name}.sum", mean, scale), k)
        return self.add("Div", name, x, self.add("Pow", f"{name}.power", d, beta))


def write_onnx(net: AlexNet, path: str | os.PathLike[str], facts: Mapping[str, Any],
               shown: Preprocessing | None = None, mean: np.ndarray | None = None) -> None:
    """Write a network to ``path``, whole or not at all. facts: what goes into the metadata, as JSON. shown, mean: of a
    ``Classifier``; with them the graph begins with (images · scale − mean) / deviation.

    Raises ImportError where the package onnx is missing, and OSError where the file cannot be written.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError(f'writing ONNX needs the package onnx ({error}): pip install "minicnn[onnx]"') from error

    graph, towers, rows = Graph(onnx), net.towers(), VARIANTS[net.variant].rows
    letters = "ab"[: len(towers)]
    x = "images"
    if shown is not None and mean is not None:
        x = graph.add("Mul", "scaled", x, graph.constant("scale", np.float32(shown.scale)))
        x = graph.add("Sub", "less the mean", x, graph.constant("mean", mean.astype(np.float32)))
        deviation = np.array(shown.deviation, np.float32).reshape(3, 1, 1)
        x = graph.add("Div", "prepared", x, graph.constant("deviation", deviation))
    xs = [x] * len(towers)
    for row in rows:
        if row.sees == "edge":  # normalised over both, and each tower takes its own maps again
            x = graph.add("Concat", f"{row.name}.both", *xs, axis=1)
            layers: list[Any] = list(getattr(towers[0], row.name))
            for i, layer in enumerate(layers):
                x = graph.layer(f"{row.name}.{i}", layer, x)
            halves = [f"{letter}.{row.name}" for letter in letters]
            graph.nodes.append(onnx.helper.make_node("Split", [x], halves, f"{row.name}.split", axis=1))
            xs = halves
            continue
        if row.sees == "both" and len(xs) > 1:
            xs = [graph.add("Concat", f"{row.name}.both", *xs, axis=1)] * len(towers)
        for t, (letter, tower) in enumerate(zip(letters, towers, strict=True)):
            for i, layer in enumerate(getattr(tower, row.name)):
                xs[t] = graph.layer(f"{letter}.{row.name}.{i}", layer, xs[t])
    x = graph.add("Concat", "fc8.both", *xs, axis=1) if len(xs) > 1 else xs[0]
    graph.add("Softmax", "probabilities", graph.add("Identity", "logits", graph.layer("fc8", net.fc8, x)), axis=1)
    model = _model(onnx, graph, net, facts)
    onnx.checker.check_model(model)
    with written_aside(Path(path)) as aside:
        aside.write_bytes(model.SerializeToString())


def _model(onnx: Any, graph: Graph, net: AlexNet, facts: Mapping[str, Any]) -> Any:
    def value(name: str, *shape: Any) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *shape])

    outputs = [value(name, net.classes) for name in ("logits", "probabilities")]
    made = onnx.helper.make_graph(graph.nodes, f"AlexNet ({net.variant})", [value("images", 3, net.pixels, net.pixels)],
                                  outputs, graph.constants)
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8,
                                   producer_name="minicnn", producer_version=__version__)
    onnx.helper.set_model_props(model, {name: json.dumps(fact) for name, fact in facts.items()})
    return model


def _two(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
