"""What becomes of a batch on its way through a network: what tells its pictures apart, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np

from ..engine.mode import no_grad
from ..engine.observers import Observer, observe
from ..engine.tensor import Tensor
from ..nn.layers import ReLU
from ..nn.module import Module

__all__ = ["Seen", "Signal", "layers_in", "looked_at", "signals"]

PRODUCTS, VIEWS = {"matmul", "linear", "conv2d"}, {"transpose", "reshape"}  # ops, of weights


@dataclass
class Signal:
    """The outputs of a layer that has weights, before any ReLU, over a batch.

    mean, deviation: over all of them. apart: what tells pictures apart, √(the variance over the pictures, averaged over
    all outputs). common: what they have in common, √(the squared mean over the pictures, averaged likewise); apart² +
    common² is the mean square of the outputs. dead: where a ReLU follows, the share of units, or maps, that it never
    lets through, at no place of no picture; else None.
    """

    mean: float
    deviation: float
    apart: float
    common: float
    dead: float | None = None

    @property
    def share(self) -> float:
        """How much of the mean square of the outputs tells pictures apart: from 0 to 1; NaN where all outputs are 0."""
        whole = self.apart**2 + self.common**2
        return self.apart**2 / whole if whole else float("nan")


def layers_in(model: Module) -> Iterator[tuple[str, Module | None, list[Tensor]]]:
    """(name, module, its real tensors, weights first) of each layer with weights: of each module that holds but one
    tensor of two or more axes and no other module; of any other module it is each such tensor, with the vectors whose
    names end most alike, as b1 with w1, and no module."""
    for path, module in model.named_modules():
        own = [(name, t) for name, t in module._contents() if isinstance(t, Tensor) and t.dtype.kind == "f"]
        weights = [(name, t) for name, t in own if t.ndim > 1]
        vectors = [(name, t) for name, t in own if t.ndim == 1]
        if len(weights) == 1 and not any(True for _ in module.children()):
            yield path or type(module).__name__, module, [weights[0][1], *(t for _, t in own if t is not weights[0][1])]
        else:
            names = [name for name, _ in weights]
            whose = [max(names, key=partial(_end_alike, name)) for name, _ in vectors if names]
            for name, weight in weights:
                yield (f"{path}.{name}" if path else name), None, [
                    weight, *(t for (_, t), of in zip(vectors, whose, strict=False) if of == name)]


def _end_alike(a: str, b: str) -> int:
    """In how many letters at their end two names are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reversed(a), reversed(b), strict=False)))


class Seen(Observer):
    """Measures layers with weights; and of those without, that are no ReLU, counts the outputs that are not 0."""

    def __init__(self, model: Module):
        layers = [*layers_in(model)]
        self.names = {id(layer): name or type(layer).__name__ for name, layer in model.named_modules()
                      if not any(True for _ in layer.children())}
        self.weighted = {id(module) for _, module, _ in layers if module}
        self.tensors = {id(own[0]): name for name, module, own in layers if not module}  # weights of no module's own
        self.views: list[Tensor] = []  # of these weights
        self.product: Tensor | None = None  # with one of them, to which a bias may be added
        self.found: dict[str, Signal] = {}
        self.live: dict[str, int] = {}
        self.last = ""
        self.final: np.ndarray | None = None  # outputs of the last layer with weights
        self.sums: dict[str, float] = {}  # tell one pass from another

    def layer_done(self, layer: Any, output: Tensor) -> None:
        name = self.names.get(id(layer))
        if name is None:
            return
        y = output.numpy().astype(np.float32, copy=False)
        self.sums[name] = float(y.sum(dtype=np.float64))
        if id(layer) in self.weighted:
            self.measure(name, y)
        elif not isinstance(layer, ReLU):
            self.live[name] = int(np.count_nonzero(y))

    def measure(self, name: str, y: np.ndarray) -> None:
        with np.errstate(all="ignore"):
            self.found[name] = Signal(float(y.mean()), float(y.std()), float(np.sqrt(y.var(0).mean())),
                                      float(np.sqrt((y.mean(0) ** 2).mean())))
        self.last, self.final = name, y

    def op_done(self, op: str, output: Tensor, inputs: list[Tensor]) -> None:
        weight = next((self.tensors[id(given)] for given in inputs if id(given) in self.tensors), "")
        if weight and op in VIEWS:
            self.tensors[id(output)] = weight
            self.views.append(output)
        elif weight and op in PRODUCTS:
            self.measure(weight, output.numpy().astype(np.float32, copy=False))
            self.product = output
        elif op == "add" and any(given is self.product for given in inputs):
            self.measure(self.last, output.numpy().astype(np.float32, copy=False))
        if op == "relu" and self.last and output.ndim > 1:
            y = output.numpy()
            self.found[self.last].dead = 1 - float((y > 0).any((0, *range(2, y.ndim))).mean())
            self.last = ""


def looked_at(model: Module, inputs: Any) -> tuple[Seen, np.ndarray]:
    """What was seen of a batch, and the logits; in whatever mode the model is."""
    sees = Seen(model)
    with no_grad(), observe(sees):
        logits = model(inputs)
    return sees, logits.numpy().astype(np.float64)


def signals(model: Module, inputs: Any) -> tuple[dict[str, Signal], np.ndarray]:
    """({name of a layer with weights: its signal}, the logits), in the order in which the batch meets the layers."""
    sees, logits = looked_at(model, inputs)
    return sees.found, logits
