"""What becomes of a batch on its way through a network: what tells its pictures apart, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.mode import no_grad
from ..engine.observers import Observer, observe
from ..engine.tensor import Tensor
from ..nn.layers import ReLU
from ..nn.module import Module

__all__ = ["Seen", "Signal", "looked_at", "signals"]


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


class Seen(Observer):
    """Measures layers with weights; and of those without, that are no ReLU, counts the outputs that are not 0."""

    def __init__(self, model: Module):
        self.names = {id(layer): name or type(layer).__name__ for name, layer in model.named_modules()
                      if not any(True for _ in layer.children())}
        self.weighted = {id(layer) for layer in model.modules()
                         if any(isinstance(value, Tensor) and value.ndim > 1 for value in vars(layer).values())}
        self.found: dict[str, Signal] = {}
        self.live: dict[str, int] = {}
        self.last = ""
        self.sums: dict[str, float] = {}  # tell one pass from another

    def layer_done(self, layer: Any, output: Tensor) -> None:
        name = self.names.get(id(layer))
        if name is None:
            return
        y = output.numpy().astype(np.float32, copy=False)
        self.sums[name] = float(y.sum(dtype=np.float64))
        if id(layer) in self.weighted:
            with np.errstate(all="ignore"):
                self.found[name] = Signal(float(y.mean()), float(y.std()), float(np.sqrt(y.var(0).mean())),
                                          float(np.sqrt((y.mean(0) ** 2).mean())))
            self.last = name
        elif not isinstance(layer, ReLU):
            self.live[name] = int(np.count_nonzero(y))

    def op_done(self, op: str, output: Tensor, inputs: list[Tensor]) -> None:
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
