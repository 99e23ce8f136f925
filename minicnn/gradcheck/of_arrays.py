"""A function of arrays with a backward written by hand, as something that can be checked."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.device import copy_to, cpu, device_of
from ..engine.memory import Array
from .evidence import Floats
from .subject import Function, Given, Gradients, Input, Source, Subject, is_real, names, own_names, title_of

__all__ = ["of_arrays"]


def of_arrays(function: Function, given: Given, backward: Function) -> Subject:
    """A function of NumPy's, or CuPy's, arrays with a hand-written backward(gy, *inputs)."""
    real = {i: doubled(x) for i, x in enumerate(given) if is_real(x)}
    device = next((device_of(x) for x in real.values() if device_of(x) != cpu(0)), cpu(0))
    arrays = [real[i] if i in real else np.array(x) if isinstance(x, list) else x for i, x in enumerate(given)]
    called = names(function, len(arrays))
    backward = as_called(backward, own_names(function) or [f"input_{i}" for i in range(len(arrays))], len(arrays))

    def gradients(u: Floats) -> Gradients:
        function(*arrays)  # so that a layer that keeps what it saw has seen just this
        found = backward(copy_to(u, device), *arrays)
        found = [in_main_memory(g) for g in (found if isinstance(found, (tuple, list)) else (found,))]
        if len(found) != len(arrays):
            raise ValueError(f"gradcheck: backward returned {len(found)} gradients for {len(arrays)} inputs: return "
                             "one for each, None where there is none")
        for i, gradient in enumerate(found):
            if gradient is not None and np.asarray(gradient).dtype.kind not in "fiub":
                raise TypeError(f"gradcheck: backward returned {type(gradient).__name__} for {called[i]}: return an "
                                "array of real numbers, or None")
            if i not in real and gradient is not None:
                raise ValueError(f"gradcheck: backward returned a gradient for {called[i]}, which is not of real "
                                 "numbers (write 1.0 for 1) and was not checked: return None for it")
        for i, x in inputs.items():
            x.fixed = found[i] is None
        return [np.zeros(x.start.shape) if x.fixed else np.array(found[i]) for i, x in inputs.items()]

    known = own_names(function)
    short = [known[i] if i < len(known) else f"input {i}" for i in range(len(arrays))]
    source = Source(function, backward, arrays, short, list(real)) if device == cpu(0) else None
    inputs = {i: Input(called[i], x, in_main_memory(x), device_of(x)) for i, x in real.items()}
    return Subject(title_of(function), list(inputs.values()), lambda: in_main_memory(function(*arrays)), gradients,
                   lambda u, i: [], [np.shape(x) for x in arrays], lambda: True, source)


def as_called(backward: Function, inputs: Sequence[str], count: int) -> Function:
    """backward as it is called, with gy and so many inputs. A method may take gy alone: its object has seen the inputs.

    Raises TypeError where it takes anything else. inputs: what the function calls them."""
    try:
        signature = inspect.signature(backward)
    except (TypeError, ValueError):  # of what C wrote
        return backward

    def takes(many: int) -> bool:
        try:
            return signature.bind(*range(many)) is not None
        except TypeError:
            return False

    if takes(1 + count):
        return backward
    if inspect.ismethod(backward) and takes(1):
        return functools.wraps(backward)(lambda gy, *_: backward(gy))
    raise TypeError(f"gradcheck: backward takes {signature}: write backward(gy, {', '.join(inputs[:count])}), where gy "
                    "is ∂L/∂y, of the shape of the output")


def doubled(x: Any) -> Array:
    """A copy in double precision, of a GPU's array there."""
    with device_of(x):
        return x.astype(np.float64) if device_of(x) != cpu(0) else np.array(x, np.float64)


def in_main_memory(x: Any) -> Any:
    return copy_to(x, cpu(0)) if device_of(x) != cpu(0) else x
