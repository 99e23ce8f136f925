"""What becomes of a batch on its way through a network: what tells its pictures apart, and what they have in common."""

from __future__ import annotations

from collections.abc import Container, Iterator
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
    common² is the mean square of the outputs. dead: where a ReLU follows, the share of units, or maps, that it lets
    through at no place of any picture; else None.
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


def layers_in(model: Module, found: Container[str] = ()) -> Iterator[tuple[str, list[Tensor]]]:
    """(name, its real tensors, weights first) of each layer with weights. That is a module that holds such a tensor, of
    two or more axes, and no other module; but where a module holds several, or others besides, and ``found`` says that
    these were met by themselves, as in x @ self.w1, each that is trained is a layer, see ``_tensors_in``."""
    for path, module in model.named_modules():
        own = [t for _, t in module._contents() if isinstance(t, Tensor) and t.dtype.kind == "f"]
        weights = [t for t in own if t.ndim > 1]
        inside = _tensors_in(path, module)
        if weights and _is_leaf(module) and not any(name in found for name, _ in inside):
            yield path or type(module).__name__, [*weights, *(t for t in own if t.ndim <= 1)]
        else:
            yield from inside


def _is_leaf(module: Module) -> bool:
    return not any(True for _ in module.children())


def _tensors_in(path: str, module: Module) -> list[tuple[str, list[Tensor]]]:
    """(name, [weight and the vectors whose names end most alike, as b1 with w1]) of each trained weight that a module
    holds; none where it holds one alone."""
    own = [(name, t) for name, t in module._contents() if isinstance(t, Tensor) and t.dtype.kind == "f"]
    weights = [(name, t) for name, t in own if t.ndim > 1 and t.requires_grad]
    if _is_leaf(module) and sum(t.ndim > 1 for _, t in own) < 2:
        return []
    names = [name for name, _ in weights]
    whose = [(max(names, key=partial(_end_alike, name)), t) for name, t in own if t.ndim == 1 and names]
    return [(f"{path}.{name}" if path else name, [weight, *(t for of, t in whose if of == name)])
            for name, weight in weights]


def _end_alike(a: str, b: str) -> int:
    """In how many letters at their end two names are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reversed(a), reversed(b), strict=False)))


class Seen(Observer):
    """Measures layers with weights; and of those without, that are no ReLU, counts the outputs that are not 0."""

    def __init__(self, model: Module):
        self.names = {id(layer): name or type(layer).__name__ for name, layer in model.named_modules()
                      if _is_leaf(layer)}
        self.weighted = {id(layer) for layer in model.modules()
                         if any(isinstance(t, Tensor) and t.ndim > 1 for _, t in layer._contents())}
        self.inside = {id(layer): _tensors_in(path, layer) for path, layer in model.named_modules()}
        self.tensors = {id(own[0]): name for inside in self.inside.values() for name, own in inside}
        self.vectors = {id(t) for inside in self.inside.values() for _, own in inside for t in own[1:]}
        self.weights = {id(t): id(t) for _, t in model._named(Tensor) if t.ndim > 1}  # and of what is a view of them
        self.views: list[Tensor] = []
        self.multiplied: set[int] = set()  # weights that images or outputs were multiplied with
        self.product: tuple[str, Tensor] | None = None  # with a weight in ``tensors``, to which its bias may be added
        self.found: dict[str, Signal] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
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
        if id(layer) in self.weighted and not any(inside in self.found for inside, _ in self.inside[id(layer)]):
            self.measure(name, y)
        elif not isinstance(layer, ReLU):
            self.live[name] = int(np.count_nonzero(y))

    def measure(self, name: str, y: np.ndarray) -> None:
        with np.errstate(all="ignore"):
            self.found[name] = Signal(float(y.mean()), float(y.std()), float(np.sqrt(y.var(0).mean())),
                                      float(np.sqrt((y.mean(0) ** 2).mean())))
        self.last, self.final, self.shapes[name] = name, y, y.shape

    def op_done(self, op: str, output: Tensor, inputs: list[Tensor]) -> None:
        own = [self.weights[id(given)] for given in inputs if id(given) in self.weights]
        if own and (op in VIEWS or (op in PRODUCTS and len(own) == len(inputs))):  # no output of a layer is in it
            self.weights[id(output)] = own[-1]
            self.views.append(output)
        elif own and op in PRODUCTS:
            self.multiplied.update(own)
            if name := next((self.tensors[weight] for weight in own if weight in self.tensors), ""):
                self.measure(name, output.numpy().astype(np.float32, copy=False))
                self.product = name, output
        elif (op == "add" and self.product and any(given is self.product[1] for given in inputs)
              and any(id(given) in self.vectors for given in inputs)):  # fmt: skip
            self.measure(self.product[0], output.numpy().astype(np.float32, copy=False))
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
