"""Layers: ops that own parameters. A layer is anything that can be called on a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from . import ops
from .module import Module, watch
from .ops.window import Padding, Pair, pair, sides
from .tensor import Tensor, no_grad

__all__ = [
    "Conv2d", "Dropout", "Flatten", "Linear", "LocalResponseNorm", "MaxPool2d", "Module", "ReLU", "Sequential",
    "initialise", "manual_seed", "watch",
]  # fmt: skip

_random = np.random.default_rng()


def manual_seed(seed: int) -> None:
    """Make the layers that are built from now on draw the same weights, and the same dropout, as after the last such
    call."""
    global _random
    _random = np.random.default_rng(seed)


def normal(shape: tuple[int, ...], deviation: float) -> np.ndarray:
    """Weights from N(0, deviation²), drawn in the order in which they lie in memory."""
    lying = _random.standard_normal((*shape[1:], shape[0]), dtype=np.float32)
    lying *= np.float32(deviation)
    return np.moveaxis(lying, -1, 0)


def draw_key() -> int:
    """A number that names a stream of dropout's random numbers."""
    return int(_random.integers(2**62))


class Sequential(Module):
    """Layers called one after the other."""

    def __init__(self, *layers: Module):
        self.layers = list(layers)

    def children(self) -> Iterator[tuple[str, Module]]:
        yield from ((str(i), layer) for i, layer in enumerate(self.layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def alike(parameter: Tensor, x: Tensor) -> Tensor:
    """A parameter in the precision that x is computed in: it is kept in single precision, since most updates are too
    small to change a number of half precision (Micikevicius et al. 2018, "Mixed precision training", §3.1)."""
    return parameter.half() if x.dtype == np.float16 else parameter


class Conv2d(Module):
    """``ops.conv2d`` with its weight (K, C / groups, R, S) and bias (K,); size: R = S, or (R, S).
    Starts from He's N(0, 2 / fan-in)."""

    def __init__(self, channels: int, kernels: int, size: Pair, *, stride: Pair = 1, padding: Padding = 0,
                 groups: int = 1):
        if channels % groups or kernels % groups:
            raise ValueError(f"Conv2d: {groups} groups do not divide {channels} channels and {kernels} kernels")
        shape = (kernels, channels // groups, *pair("Conv2d", "size", size, 1))
        self.weight = Tensor(normal(shape, math.sqrt(2 / math.prod(shape[1:]))), requires_grad=True)
        self.bias = Tensor(np.zeros(kernels, np.float32), requires_grad=True)
        pair("Conv2d", "stride", stride, 1), sides("Conv2d", padding)  # raise
        self.stride, self.padding, self.groups = stride, padding, groups

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, alike(self.weight, x), alike(self.bias, x), stride=self.stride, padding=self.padding,
                          groups=self.groups)

    def multiply_adds(self, y: Tensor) -> int:
        return self.weight.size * y.shape[2] * y.shape[3]


class Linear(Module):
    """``ops.linear`` with its weight (outputs, inputs) and bias (outputs,). Starts from He's N(0, 2 / inputs)."""

    def __init__(self, inputs: int, outputs: int):
        self.weight = Tensor(normal((outputs, inputs), math.sqrt(2 / inputs)), requires_grad=True)
        self.bias = Tensor(np.zeros(outputs, np.float32), requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, alike(self.weight, x), alike(self.bias, x))

    def multiply_adds(self, y: Tensor) -> int:
        return self.weight.size


class LocalResponseNorm(Module):
    """``ops.local_response_norm`` with the paper's constants."""

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        return ops.local_response_norm(x, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k)


class MaxPool2d(Module):
    """``ops.max_pool2d``; by itself the paper's overlapping windows, 3 wide and 2 apart."""

    def __init__(self, size: Pair = 3, stride: Pair = 2, padding: Padding = 0):
        pair("MaxPool2d", "size", size, 1), pair("MaxPool2d", "stride", stride, 1), sides("MaxPool2d", padding)  # raise
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return ops.max_pool2d(x, size=self.size, stride=self.stride, padding=self.padding)


class ReLU(Module):
    """``ops.relu``."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class Flatten(Module):
    """``ops.flatten``: (N, C, H, W) → (N, C·H·W)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.flatten(x)


class Dropout(Module):
    """``ops.dropout`` in training, a new mask at each call; at test nothing, or × (1 − p) where not ``inverted``.

    key: names the random numbers, by itself a new one for each layer. first_unit: where this layer's units begin among
    those that share the key.
    """

    def __init__(self, p: float = 0.5, *, inverted: bool = True, key: int | None = None, first_unit: int = 0):
        self.p, self.inverted, self.first_unit = p, inverted, first_unit
        # key and step, kept in the state, so that a resumed run draws the same
        self.counter = Tensor(np.array([draw_key() if key is None else key, 0], np.int64))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x if self.inverted else x * (1 - self.p)
        now = self.counter.detach()
        with self.counter.device:
            step = self.counter.writable()[1:]
            step += 1
        return ops.dropout(x, now, p=self.p, first_unit=self.first_unit, inverted=self.inverted)


def initialise(model: Module, deviation: Callable[[str, Tensor], float], bias: Callable[[str], float]) -> None:
    """Draw every weight (any parameter of more than one axis) anew from N(0, deviation(name, weight)²) and set every
    bias to bias(name)."""
    with no_grad():
        for name, parameter in model.named_parameters():
            weight = parameter.ndim > 1
            parameter[...] = normal(parameter.shape, deviation(name, parameter)) if weight else bias(name)
