"""What a model costs: parameters, multiply-adds and memory, layer by layer, as one image meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..engine.device import Device
from ..engine.mode import no_grad
from ..engine.settings import several, whole
from ..engine.tensor import Tensor
from ..layout import table
from .hooks import eval_mode, forward_hook

if TYPE_CHECKING:
    from .module import Module

__all__ = ["Cost", "costs", "summary"]


class Cost(NamedTuple):
    """Of one layer, for one image: its path and kind, where and of what shape its output is, how many parameters it
    has, multiply-adds it does, and bytes its output takes in float32."""

    name: str
    layer: str
    device: Device
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    bytes: int


def costs(model: Module, shape: tuple[int, ...]) -> list[Cost]:
    """See ``Module.costs``."""
    sizes = several(shape)
    if sizes is None:
        raise TypeError(f"summary: shape is {shape!r:.60}: give that of one image, as (3, 224, 224)")
    shape = tuple(whole("summary", "shape", size, least=1) for size in sizes)
    names = {id(module): name for name, module in model.named_modules()}
    found: list[Cost] = []
    met: set[int] = set()

    def see(layer: Module, y: Tensor) -> None:
        if next(layer.children(), None) is None:
            own = sum(t.size for t in layer.parameters() if id(t) not in met)
            met.update(map(id, layer.parameters()))
            found.append(Cost(names.get(id(layer), ""), type(layer).__name__, y.device, y.shape[1:], own,
                              layer.multiply_adds(y), 4 * y.size))

    with no_grad(), eval_mode(model), forward_hook(see):
        model(np.zeros((1, *shape), np.float32))
    return found


def summary(model: Module, shape: tuple[int, ...]) -> str:
    """See ``Module.summary``."""
    layers = costs(model, shape)
    parameters = sum(t.size for t in model.parameters())  # those too that belong to no layer of the table
    head = ["name", "layer", "device", "output", "parameters", "multiply-adds", "bytes"]
    rows = [[c.name, c.layer, str(c.device), " × ".join(map(str, c.output)),
             *(f"{n:,}" for n in (c.parameters, c.multiply_adds, c.bytes))] for c in layers]
    sums = (parameters, sum(c.multiply_adds for c in layers), sum(c.bytes for c in layers))
    return table([head, *rows, ["total", "", "", "", *(f"{n:,}" for n in sums)]], right=(4, 5, 6))
