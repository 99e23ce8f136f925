"""Layers: ops that own parameters. A layer is anything that can be called on a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import ops
from ..engine.device import current_device, ensure_on
from ..engine.mode import no_grad
from ..engine.settings import flag, real, whole
from ..engine.tensor import Tensor, wrap
from ..ops.window import Padding, Pair, own, pair, sides
from .module import Module

__all__ = [
    "Conv2d", "Dropout", "Flatten", "Linear", "Module", "ReLU", "Sequential", "Tanh", "initialise", "manual_seed",
]  # fmt: skip

Generator = np.random.Generator
_default = np.random.default_rng()


def manual_seed(seed: int) -> None:
    """Make the layers that are built from now on, without a generator of their own, draw the same weights, and the same
    dropout, as after the last such call. For the whole process: threads that build nets at the same time give each its
    own generator. Raises TypeError where the seed is no whole number, ValueError where it is negative."""
    global _default
    _default = np.random.default_rng(whole("manual_seed", "seed", seed, least=0))


def generator_of(name: str, generator: Generator | None) -> Generator:
    """The generator that a layer of this name was given, or else that of ``manual_seed``."""
    if not isinstance(generator, (Generator, type(None))):
        raise TypeError(f"{name}: generator is {generator!r:.60}: give one of NumPy's, as np.random.default_rng(1)")
    return _default if generator is None else generator


def normal(name: str, shape: tuple[int, ...], deviation: float, generator: Generator | None) -> np.ndarray:
    """Weights from N(0, deviation²), drawn in the order in which they lie in memory."""
    lying = generator_of(name, generator).standard_normal((*shape[1:], shape[0]), dtype=np.float32)
    lying *= np.float32(deviation)
    return np.moveaxis(lying, -1, 0)


def he(shape: tuple[int, ...]) -> float:
    """σ of weights (outputs, inputs, ...) before a ReLU, √(2 / fan-in): He et al. 2015, "Delving deep into
    rectifiers", eq. 10."""
    return math.sqrt(2 / math.prod(shape[1:]))


def weights(name: str, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
    """A parameter that starts from He's N(0, 2 / fan-in): the drawn array itself, where it is on its device."""
    device = current_device()
    parameter = wrap(ensure_on(normal(name, shape, he(shape), generator), device), device)
    parameter.requires_grad = True
    return parameter


def draw_key(generator: Generator | None = None) -> int:
    """A number that names a stream of dropout's random numbers."""
    return int(generator_of("Dropout", generator).integers(2**62))


class Sequential(Module):
    """Layers called one after the other: modules, and functions of a tensor such as ``ops.relu``.

    It is a sequence of them: ``len(net)``, ``net[-1]``, ``net[:3]`` (a Sequential of the same layers), ``for layer in
    net``. Raises TypeError where one of them cannot be called on a tensor.
    """

    def __init__(self, *layers: Any):
        for i, layer in enumerate(layers):
            if isinstance(layer, type) or not callable(layer):
                way = (f"write {layer.__name__}(...), not the class" if isinstance(layer, type) else
                       "write Sequential(*layers)" if isinstance(layer, (list, tuple)) else "give layers or functions")
                raise TypeError(f"Sequential: layer {i} is {layer!r:.60}, which cannot be called on a tensor: {way}")
        self.layers = list(layers)

    def _contents(self) -> Iterator[tuple[str, Any]]:
        for name, value in super()._contents():  # "0.weight", not "layers.0.weight"
            yield name.removeprefix("layers."), value

    def forward(self, x: Tensor) -> Tensor:
        """The output of the last layer."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Sequential(*self.layers[index])
        index = whole("Sequential", "index", index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"Sequential: there is no layer {index}: it has {len(self)}")
        return self.layers[index]


def alike(parameter: Tensor, x: Any) -> Tensor:
    """A parameter in the precision that x is computed in: it is kept in single precision, since most updates are too
    small to change a number of half precision (Micikevicius et al. 2018, "Mixed precision training", §3.1)."""
    return parameter.half() if isinstance(x, Tensor) and x.dtype == np.float16 else parameter


class Conv2d(Module):
    """``ops.conv2d`` with its weight (K, C / groups, R, S) and bias (K,); size: R = S, or (R, S).
    Starts from He's N(0, 2 / fan-in), drawn by ``generator``, or by that of ``manual_seed``."""

    def __init__(self, channels: int, kernels: int, size: Pair, *, stride: Pair = 1, padding: Padding = 0,
                 groups: int = 1, generator: Generator | None = None):
        channels, kernels, groups = (whole("Conv2d", name, n, least=1) for name, n in
                                     (("channels", channels), ("kernels", kernels), ("groups", groups)))
        if channels % groups or kernels % groups:
            raise ValueError(f"Conv2d: {groups} groups do not divide {channels} channels and {kernels} kernels")
        shape = (kernels, channels // groups, *pair("Conv2d", "size", size, 1))
        self.weight = weights("Conv2d", shape, generator)
        self.bias = Tensor(np.zeros(kernels, np.float32), requires_grad=True)
        pair("Conv2d", "stride", stride, 1), sides("Conv2d", padding)  # raise
        self.stride, self.padding, self.groups = own(stride), own(padding), groups

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, K, P, Q)."""
        return ops.conv2d(x, alike(self.weight, x), alike(self.bias, x), stride=self.stride, padding=self.padding,
                          groups=self.groups)

    def multiply_adds(self, y: Tensor) -> int:
        """One for each weight at each place."""
        return self.weight.size * y.shape[2] * y.shape[3]

    def settings(self) -> str:
        """As in Conv2d(3, 96, 11, stride=4, padding=0, groups=1)."""
        kernels, channels, *size = self.weight.shape
        shown = size[0] if size[0] == size[1] else tuple(size)
        return f"{channels * self.groups}, {kernels}, {shown}, {super().settings()}"


class Linear(Module):
    """``ops.linear`` with its weight (outputs, inputs) and bias (outputs,). Starts from He's N(0, 2 / inputs),
    drawn by ``generator``, or by that of ``manual_seed``."""

    def __init__(self, inputs: int, outputs: int, *, generator: Generator | None = None):
        inputs, outputs = (whole("Linear", name, n, least=1) for name, n in (("inputs", inputs), ("outputs", outputs)))
        self.weight = weights("Linear", (outputs, inputs), generator)
        self.bias = Tensor(np.zeros(outputs, np.float32), requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) → (N, outputs)."""
        return ops.linear(x, alike(self.weight, x), alike(self.bias, x))

    def multiply_adds(self, y: Tensor) -> int:
        """One for each weight."""
        return self.weight.size

    def settings(self) -> str:
        """As in Linear(9216, 4096)."""
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}"


class ReLU(Module):
    """``ops.relu``."""

    def forward(self, x: Tensor) -> Tensor:
        """max(x, 0)."""
        return ops.relu(x)


class Tanh(Module):
    """``ops.tanh``."""

    def forward(self, x: Tensor) -> Tensor:
        """tanh x."""
        return ops.tanh(x)


class Flatten(Module):
    """``ops.flatten``: (N, C, H, W) → (N, C·H·W)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C·H·W)."""
        return ops.flatten(x)


class Dropout(Module):
    """``ops.dropout`` in training, a new mask at each call; at test nothing, or × (1 − p) where not ``inverted``.

    key: names the random numbers, by itself a new one for each layer, drawn by ``generator``, or by that of
    ``manual_seed``. first_unit: where this layer's units begin among those that share the key. first_image: may be set,
    where the images of a call are a part of a larger batch, to how many come before them.
    """

    first_image = 0

    def __init__(self, p: float = 0.5, *, inverted: bool = True, key: int | None = None, first_unit: int = 0,
                 generator: Generator | None = None):
        self.p, self.inverted = real("Dropout", "p", p, least=0, below=1), flag("Dropout", "inverted", inverted)
        self.first_unit = whole("Dropout", "first_unit", first_unit, least=0)
        if key is not None:
            whole("Dropout", "key", key, least=0)
        # key and step, kept in the state, so that a resumed run draws the same
        self.counter = Tensor(np.array([draw_key(generator) if key is None else key, 0], np.int64))

    def forward(self, x: Tensor) -> Tensor:
        """x with a share p of its elements set to 0."""
        x = x if isinstance(x, Tensor) else Tensor(x, device=self.counter.device)
        if not self.training:
            return x if self.inverted else x * (1 - real("Dropout", "p", self.p, least=0, below=1))
        now = self.counter.copy()
        with self.counter.device:
            step = self.counter.writable()[1:]
            step += 1
        return ops.dropout(x, now, p=self.p, first_unit=self.first_unit, first_image=self.first_image,
                           inverted=self.inverted)


def initialise(model: Module, deviation: Callable[[str, Tensor], float], bias: Callable[[str], float],
               generator: Generator | None = None) -> None:
    """Draw every weight (any parameter of more than one axis) anew from N(0, deviation(name, weight)²) and set every
    bias to bias(name)."""
    if not (callable(deviation) and callable(bias)):
        raise TypeError(f"initialise: deviation is {deviation!r:.60} and bias {bias!r:.60}: give functions, as lambda "
                        "name, weight: 0.01 and lambda name: 0.0")
    if not isinstance(model, Module):
        raise TypeError(f"initialise: {model!r:.60} is no model: give a Module")
    with no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                spread = real("initialise", f"the deviation of {name}", deviation(name, parameter), least=0)
                parameter[...] = normal("initialise", parameter.shape, spread, generator)
            else:
                parameter[...] = real("initialise", f"the bias {name}", bias(name))
