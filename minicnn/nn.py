"""Layers: ops that own parameters. A layer is anything that can be called on a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from . import ops
from .device import Device
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


Watcher = Callable[["Module", Tensor], None]
_watchers: list[Watcher] = []


class watch:
    """``with watch(see):`` calls see(layer, output) after every call of a layer, the inner ones first."""

    def __init__(self, see: Watcher):
        self.see = see

    def __enter__(self) -> None:
        _watchers.append(self.see)

    def __exit__(self, *error: object) -> None:
        _watchers.remove(self.see)


class Module:
    """A layer or a model: its attributes are parameters (tensors that require a gradient), state (NumPy arrays) and
    other modules; ``forward`` says what it computes. Layers in a row go into a ``Sequential``."""

    training = True

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: write its forward(self, x)")

    def __call__(self, x: Any) -> Tensor:
        y = self.forward(x)
        for see in _watchers:
            see(self, y)
        return y

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules right inside this one."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module, whose path is empty, and of all inside it."""
        yield "", self
        for name, child in self.children():
            yield from ((f"{name}.{path}".rstrip("."), module) for path, module in child.named_modules())

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def _named(self, kind: type) -> Iterator[tuple[str, Any]]:
        yield from ((name, value) for name, value in vars(self).items() if isinstance(value, kind))
        for prefix, child in self.children():
            yield from ((f"{prefix}.{name}", value) for name, value in child._named(kind))

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) of every parameter; a name is the path of attributes, as in "a.conv1.weight"."""
        yield from ((name, tensor) for name, tensor in self._named(Tensor) if tensor.requires_grad)

    def parameters(self) -> Iterator[Tensor]:
        return (tensor for _, tensor in self.named_parameters())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and state, by name: all that is needed to go on from here."""
        tensors = {name: np.array(tensor.numpy(), order="C") for name, tensor in self._named(Tensor)}
        return tensors | {name: array.copy() for name, array in self._named(np.ndarray)}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy in what ``state_dict`` gave. Raises, and changes nothing, ValueError where names or shapes differ, and
        what ``Tensor.writable()`` raises."""
        mine = dict(self._named(Tensor)) | dict(self._named(np.ndarray))
        missing, strange = sorted(mine.keys() - state.keys()), sorted(state.keys() - mine.keys())
        if missing or strange:
            raise ValueError(f"load_state_dict: this is the state of another model: it lacks {missing[:3] or 'nothing'}"
                             f" and has the unknown {strange[:3] or 'nothing'}")
        for name, value in mine.items():
            if value.shape != state[name].shape:
                raise ValueError(f"load_state_dict: {name} has the shape {value.shape} here and {state[name].shape} in "
                                 "the state: it is the state of another model")
        targets = {name: value.writable() if isinstance(value, Tensor) else value for name, value in mine.items()}
        for name, target in targets.items():
            target[...] = state[name]

    def train(self, mode: bool = True) -> Module:
        """Behave as in training (dropout drops), or, with False, as ``eval()``."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Behave as at test."""
        return self.train(False)

    def zero_grad(self) -> None:
        for tensor in self.parameters():
            tensor.zero_grad()

    def to(self, device: Device) -> Module:
        """Move every parameter to ``device``."""
        for _, tensor in self._named(Tensor):
            tensor.move(device)
        return self

    def multiply_adds(self, y: Tensor) -> int:
        """How many multiply-adds one image costs, where the output is y."""
        return 0

    def summary(self, shape: tuple[int, ...] = (3, 224, 224)) -> str:
        """A table of the layers as one image of ``shape`` meets them: device, output, parameters, multiply-adds, bytes
        of the output (float32) for one image."""
        names = {id(module): name for name, module in self.named_modules()}
        lines, totals = [], [0, 0, 0]

        def see(layer: Module, y: Tensor) -> None:
            if next(layer.children(), None) is None:
                counts = [sum(t.size for t in layer.parameters()), layer.multiply_adds(y), y.size * 4]
                totals[:] = [a + b for a, b in zip(totals, counts, strict=True)]
                lines.append([names[id(layer)], type(layer).__name__, str(y.device),
                              " × ".join(map(str, y.shape[1:])), *(f"{n:,}" for n in counts)])

        was = [(module, module.training) for module in self.modules()]
        try:
            with no_grad(), watch(see):
                self.eval()(np.zeros((1, *shape), np.float32))
        finally:
            for module, mode in was:
                module.training = mode
        head = ["name", "layer", "device", "output", "parameters", "multiply-adds", "bytes"]
        table = [head, *lines, ["total", "", "", "", *(f"{n:,}" for n in totals)]]
        widths = [max(len(row[i]) for row in table) for i in range(len(head))]
        return "\n".join("  ".join(cell.rjust(w) if i > 3 else cell.ljust(w) for i, (cell, w) in
                                   enumerate(zip(row, widths, strict=True))).rstrip() for row in table)

    def __repr__(self) -> str:
        inner = "".join(f"\n{name}: {child!r}".replace("\n", "\n    ") for name, child in self.children())
        return f"{type(self).__name__}({self.settings()}{inner})"

    def settings(self) -> str:
        return ", ".join(f"{k}={v!r}" for k, v in vars(self).items()
                         if isinstance(v, (bool, int, float, tuple)) and k != "training")


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


class Conv2d(Module):
    """``ops.conv2d`` with its weight (K, C / groups, size, size) and bias (K,). Starts from He's N(0, 2 / fan-in)."""

    def __init__(self, channels: int, kernels: int, size: int, *, stride: int = 1, padding: int | tuple[int, int] = 0,
                 groups: int = 1):
        if channels % groups or kernels % groups:
            raise ValueError(f"Conv2d: {groups} groups do not divide {channels} channels and {kernels} kernels")
        shape = (kernels, channels // groups, size, size)
        self.weight = Tensor(normal(shape, math.sqrt(2 / math.prod(shape[1:]))), requires_grad=True)
        self.bias = Tensor(np.zeros(kernels, np.float32), requires_grad=True)
        self.stride, self.padding, self.groups = stride, padding, groups

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding, groups=self.groups)

    def multiply_adds(self, y: Tensor) -> int:
        return self.weight.size * y.shape[2] * y.shape[3]


class Linear(Module):
    """``ops.linear`` with its weight (outputs, inputs) and bias (outputs,). Starts from He's N(0, 2 / inputs)."""

    def __init__(self, inputs: int, outputs: int):
        self.weight = Tensor(normal((outputs, inputs), math.sqrt(2 / inputs)), requires_grad=True)
        self.bias = Tensor(np.zeros(outputs, np.float32), requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, self.weight, self.bias)

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

    def __init__(self, size: int = 3, stride: int = 2, padding: int | tuple[int, int] = 0):
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
        self.counter = np.array([draw_key() if key is None else key, 0], np.int64)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x if self.inverted else x * (1 - self.p)
        key, step = self.counter.tolist()
        self.counter[1] += 1
        return ops.dropout(x, p=self.p, key=key, step=step, first_unit=self.first_unit, inverted=self.inverted)


def initialise(model: Module, deviation: Callable[[str, Tensor], float], bias: Callable[[str], float]) -> None:
    """Draw every weight (any parameter of more than one axis) anew from N(0, deviation(name, weight)²) and set every
    bias to bias(name)."""
    for name, parameter in model.named_parameters():
        start = normal(parameter.shape, deviation(name, parameter)) if parameter.ndim > 1 else bias(name)
        parameter.writable()[...] = start
