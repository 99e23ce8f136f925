"""The border between tensors and arrays: outside an op everything is a Tensor, inside everything is an array."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .device import Device, current_device
from .memory import Array, stored
from .tensor import Carry, Node, Tensor, recording, watchers, wrap

__all__ = ["as_tensor", "op", "remember"]


def as_tensor(x: Any, device: Device) -> Tensor:
    """``x`` on ``device``: a tensor crosses, which its gradient remembers; anything else is put there."""
    return x.to(device) if isinstance(x, Tensor) else Tensor(x, device=device)


def remember(name: str, y: Array, inputs: Sequence[Any], gradients: Sequence[Carry], device: Device) -> Tensor:
    """The array ``y``, which op ``name`` computed on ``device`` from ``inputs``, as a tensor.

    gradients: one function for each input, carrying ∂L/∂y to ∂L/∂input. Kept only for inputs that need them.
    """
    sources = [x for x in inputs if isinstance(x, Tensor)]
    y = stored(y)
    if y.dtype == np.float64 and not any(x.dtype == np.float64 for x in sources):
        y = y.astype(np.float32)  # double precision comes from double alone, not from numbers nor from whole ones
    tensor = wrap(y, device)
    if recording() and any(x.requires_grad for x in sources):
        pairs = zip(inputs, gradients, strict=True)
        kept = [(x.node, g) for x, g in pairs if isinstance(x, Tensor) and x.requires_grad]
        tensor.requires_grad = True
        tensor._made = Node(name, tensor, *zip(*kept, strict=True))
        for x in sources:
            if not x.made_by:
                x._users.add(tensor._made)
    elif any(x.device == device and np.may_share_memory(y, x._array) for x in sources):
        tensor._array = y.copy(order="K")  # what forgets its inputs owns its memory: see writable()
    for watcher in watchers:
        watcher.made(name, tensor, sources)
    return tensor


def op(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Turn a function of arrays into an op on tensors.

    function(*arrays, **settings) returns y and, for each array, the function that carries ∂L/∂y to ∂L/∂array.
    Positional arguments are values: tensors, arrays or numbers. Keyword arguments are settings, plain Python.

    The op raises ValueError when its tensors live on different devices.
    """
    name, signature = function.__name__, inspect.signature(function)
    count = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in signature.parameters.values())

    @functools.wraps(function)
    def lifted(*values: Any, **settings: Any) -> Tensor:
        if len(values) < count:  # a value was given by its name, or one that may be None was left out
            given = signature.bind(*values, **settings)
            given.apply_defaults()
            values, settings = given.args, given.kwargs
        devices = sorted({x.device for x in values if isinstance(x, Tensor)}, key=repr)
        if len(devices) > 1:
            raise ValueError(f"{name}: inputs live on {' and '.join(map(repr, devices))}: bring them together "
                             "with .to(device)")
        with devices[0] if devices else current_device() as device:
            inputs = [_input(x, device) for x in values]
            if not any(isinstance(x, Tensor) for x in inputs):
                inputs = [x if x is None else Tensor(x, device=device) for x in inputs]
            y, *gradients = function(*(x._array if isinstance(x, Tensor) else x for x in inputs), **settings)
            return remember(name, y, inputs, gradients, device)

    return lifted


def _input(x: Any, device: Device) -> Any:
    """A tensor as it is; None and numbers too, as Python numbers, since a NumPy scalar would turn single precision
    into double; anything else as a new tensor, so that no graph holds an array that somebody may write to."""
    if not isinstance(x, Tensor) and getattr(x, "shape", None) == ():
        return x.item()
    return x if isinstance(x, (Tensor, bool, int, float)) or x is None else Tensor(x, device=device)
