"""The parameters of layers written by hand, and their gradients: under which of the usual names they are kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from .calls import items

__all__ = ["Slot", "is_array", "parameters_of"]

GRADIENTS = ("d{}", "d_{}", "{}_grad", "grad_{}", "grad{}", "g{}")  # what the gradient of an attribute is called
ONE = (float, np.floating, np.ndarray)  # what the gradient of a number may be
SURELY = {"W", "w", "b", "weight", "weights", "bias", "gamma", "beta"}  # attributes that have one in every layer


WAYS = (f"keep it in self, as {', '.join(g.format('W') for g in GRADIENTS[:-1])} or {GRADIENTS[-1].format('W')}, or in "
        "self.grads as in self.params")  # fmt: skip


@dataclass
class Slot:
    """A parameter: its array, and how its gradient is found in the object that owns both, or a copy of that. expected:
    it surely has one."""

    name: str
    array: Any
    owner: Any
    find: Callable[[Any], Any]
    expected: bool = False

    def gradient(self) -> Any:
        return self.find(self.owner)


def is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def parameters_of(layer: Any, run: Callable[[], object]) -> list[Slot]:
    """The parameters of a layer, where ``run`` calls it once, forwards and backwards: of its arrays those that are
    still the same ones after another run, as what is kept for backward is not, and that have a gradient, or should.
    """
    run()
    numbers_to_arrays(layer)
    found = list(slots(layer))
    run()
    lasting = {id(slot.array) for slot in slots(layer)}
    kept: dict[int, Slot] = {}
    for slot in sorted(found, key=lambda slot: slot.gradient() is None):  # one array may be found in two places
        if id(slot.array) in lasting and (slot.expected or slot.gradient() is not None):
            kept.setdefault(id(slot.array), slot)
    return list(kept.values())


def numbers_to_arrays(layer: Any) -> None:
    """A parameter that is a Python number becomes an array, which can be moved."""
    for name, value in list(getattr(layer, "__dict__", {}).items()):
        if isinstance(value, (float, np.floating)) and isinstance(beside(name, layer), ONE):
            setattr(layer, name, np.array(value, np.float64))


def slots(layer: Any) -> Iterator[Slot]:
    """All arrays that could be parameters."""
    for name, value in getattr(layer, "__dict__", {}).items():
        for path, item in items(name, value):
            held = next((x for x in (getattr(item, "data", None), getattr(item, "value", None)) if is_array(x)), None)
            if held is not None and hasattr(item, "grad"):  # an object for each parameter
                yield Slot(path, held, item, attrgetter("grad"), True)
        if is_array(value):
            yield Slot(name, value, layer, partial(beside, name), name in SURELY)
        elif name != "params":
            yield from of_container(layer, name, value, partial(beside, name))
    yield from of_container(layer, "params", container("params", layer), partial(container, "grads"), True)


def of_container(layer: Any, name: str, value: Any, grads: Callable[[Any], Any], expected: bool = False,
                 ) -> Iterator[Slot]:  # fmt: skip
    if isinstance(value, (list, tuple, Mapping)):
        for key in value if isinstance(value, Mapping) else range(len(value)):
            if is_array(value[key]):
                yield Slot(f"{name}[{key!r}]", value[key], layer, partial(entry_of, grads, key), expected)


def container(name: str, layer: Any) -> Any:
    """A dict or list of a layer, or what its method of that name gives."""
    found = getattr(layer, name, None)
    return found() if callable(found) and not inspect.signature(found).parameters else found


def entry_of(find: Callable[[Any], Any], key: Any, layer: Any) -> Any:
    """The gradient of one parameter among those of all."""
    grads = find(layer)
    if isinstance(grads, Mapping):
        return grads.get(key, grads.get(f"d{key}"))
    return grads[key] if isinstance(grads, (list, tuple)) and isinstance(key, int) and key < len(grads) else None


def beside(name: str, layer: Any) -> Any:
    """The gradient of an attribute, itself an attribute; None if there is none yet."""
    found = (getattr(layer, g.format(name), None) for g in GRADIENTS)
    return next((g for g in found if isinstance(g, (np.ndarray, float, np.floating, list, tuple, dict))), None)
