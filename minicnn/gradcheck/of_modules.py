"""Nets of our own modules: run once and taken down, so that each layer can be checked at what it really meets."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..engine.backward import GradientShapeError
from ..engine.tensor import Tensor
from ..nn.layers import Sequential
from ..nn.module import Module
from .calls import Call, called, class_changed
from .subject import Subject, in_double, is_real, named, of_tensors

__all__ = ["of_module", "recorded_modules", "tensors_of"]


class Function(Module):
    """A plain function that stands among the layers of a Sequential."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.function(x)
        return y


@contextlib.contextmanager
def functions_as_layers(net: Module) -> Iterator[None]:
    """Inside of ``with`` every plain function in a Sequential is a module, too."""
    before = [(module, module.layers) for module in net.modules() if isinstance(module, Sequential)]
    try:
        for module, layers in before:
            module.layers = [layer if isinstance(layer, Module) else Function(layer) for layer in layers]
        yield
    finally:
        for module, layers in before:
            module.layers = layers


def tensors_of(inputs: tuple[Any, ...]) -> list[Any]:
    """Real numbers as tensors in double precision; all else as it is."""
    return [Tensor(x, dtype=np.float64, device=x.device if isinstance(x, Tensor) else None) if is_real(x) else x
            for x in inputs]  # fmt: skip


def recorded_modules(net: Module, inputs: list[Any], back: Callable[[Tensor], object]) -> list[Call]:
    """Run a net in double precision, and ``back`` on its output: the calls of all its modules, from the loss backwards,
    what is inside of another before that."""
    calls: list[Call] = []
    probes: list[tuple[Call, Tensor]] = []

    def methods(layer: Module) -> dict[str, Callable[..., Any]]:
        kind = type(layer)
        title = getattr(layer.function, "__name__", "function") if isinstance(layer, Function) else kind.__name__
        name = called(names[id(layer)], title)

        def forward(self: Module, *given: Any, **settings: Any) -> Any:
            call = Call(name, layer, tuple(x.copy() if isinstance(x, Tensor) else x for x in given), settings)
            calls.append(call)
            y = kind.forward(self, *given, **settings)
            if not isinstance(y, Tensor) or y.dtype.kind != "f":
                return y
            call.y = y.detach()
            probe = Tensor(np.zeros(y.shape, y.dtype), requires_grad=True, device=y.device)
            probes.append((call, probe))
            return y + probe  # what comes back to the probe comes back to the layer

        return {"forward": forward}

    with functions_as_layers(net), in_double(list(net.parameters())):
        names = {id(module): path for path, module in net.named_modules()}
        with class_changed(list(net.modules()), methods):
            y = net(*inputs)
        if not isinstance(y, Tensor):
            raise TypeError(f"gradcheck.layers: the net returned {type(y).__name__}: return one tensor")
        with contextlib.suppress(GradientShapeError):  # the check of that layer says more
            back(y)
        for call, probe in probes:
            call.gy = None if probe.grad is None else probe.grad.numpy()
    return [call for call in reversed(calls) if call.y is not None]


@contextlib.contextmanager
def of_module(call: Call) -> Iterator[Subject]:
    """A module at what it was called with, and its parameters, which are in double precision inside of ``with``."""
    function = functools.partial(call.layer, **call.settings) if call.settings else call.layer
    with of_tensors(function, call.given, named(call.layer)) as subject:
        subject.title = call.name
        yield subject
