"""Nets of NumPy classes with forward and backward methods: run once and taken down, and each layer made a subject."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..engine.device import cpu
from .calls import Call, called, class_changed, named_inside
from .evidence import Floats
from .parameters import WAYS, Slot, is_array, parameters_of
from .subject import Gradients, Input, Source, Subject, is_real, own_names

__all__ = ["Chain", "has_passes", "of_loss", "recorded", "subject_of", "takes_gy"]


def has_passes(x: Any) -> bool:
    """Whether it is a layer: an object with the methods forward and backward."""
    return not isinstance(x, type) and all(callable(getattr(x, name, None)) for name in ("forward", "backward"))


class Chain:
    """A list of layers as a net: each is called on what the one before it gave."""

    def __init__(self, layers: Sequence[Any] | Mapping[str, Any]):
        self.layers = layers
        for name, layer in layers.items() if isinstance(layers, Mapping) else enumerate(layers):
            missing = [m for m in ("forward", "backward") if not callable(getattr(layer, m, None))]
            if isinstance(layer, type):
                raise TypeError(f"gradcheck.layers: layer {name} is a class: write {layer.__name__}(...)")
            if missing:
                raise TypeError(f"gradcheck.layers: {called(str(name), type(layer).__name__)} has no "
                                f"{' and no '.join(missing)}: write forward(x) and backward(gy)")

    def in_order(self) -> list[Any]:
        return list(self.layers.values() if isinstance(self.layers, Mapping) else self.layers)

    def forward(self, x: Any) -> Any:
        for layer in self.in_order():
            x = layer.forward(x)
        return x

    def backward(self, gy: Any) -> Any:
        for layer in reversed(self.in_order()):
            gy = layer.backward(gy)
        return gy


@contextlib.contextmanager
def recorded(net: Any) -> Iterator[tuple[list[Call], dict[int, str]]]:
    """Inside of ``with`` the calls of all layers of a net, and of itself, are listed when they have gone backward; and
    the names of those that have gone forward, by id."""
    found = {**named_inside(net, has_passes), "": net}
    names = {id(layer): called(path, type(layer).__name__) for path, layer in found.items()}
    layers = list(found.values())
    forwards: dict[int, list[Call]] = {id(layer): [] for layer in layers}
    done: list[Call] = []
    met: dict[int, str] = {}

    def methods(layer: Any) -> dict[str, Callable[..., Any]]:
        kind, name = type(layer), names[id(layer)]

        def forward(self: Any, *given: Any, **settings: Any) -> Any:
            call = Call(name, layer, tuple(copy.copy(x) if is_array(x) else x for x in given), settings)
            with noted(name, "forward"):
                call.y = y = kind.forward(self, *given, **settings)
            if y is None or isinstance(y, (tuple, list, dict)):
                raise TypeError(f"gradcheck.layers: {name}: forward returned {type(y).__name__}: return one array, and "
                                "keep what backward needs in self")
            forwards[id(layer)].append(call)
            met[id(layer)] = name
            return y

        def backward(self: Any, *given: Any, **settings: Any) -> Any:
            calls = forwards[id(layer)]
            if not calls:
                return kind.backward(self, *given, **settings)
            call = calls.pop() if len(calls) > 1 else replace(calls[0])
            call.gy = np.array(given[0], np.float64) if given else None
            call.back = given[1:]
            try:
                with noted(name, "backward"):
                    return kind.backward(self, *given, **settings)
            finally:
                call.writes = bool(given) and not np.array_equal(call.gy, given[0])
                done.append(call)

        same = kind.__dict__.get("__call__") is kind.forward  # one function with two names
        return {"forward": forward, "backward": backward, **({"__call__": forward} if same else {})}

    with class_changed(layers, methods):
        yield done, met


@contextlib.contextmanager
def noted(name: str, method: str) -> Iterator[None]:
    """What is raised inside of ``with`` says in which layer."""
    try:
        yield
    except Exception as error:
        error.add_note(f"gradcheck.layers: in {method} of {name}")
        raise


# -- one layer ---------------------------------------------------------------------------------------------------------


def takes_gy(layer: Any) -> bool:
    """Whether backward is given a gradient. That of a loss may not be: then it gives the gradient of one number."""
    try:
        return bool(inspect.signature(layer.backward).parameters)
    except (TypeError, ValueError):
        return True


def subject_of(call: Call, inside: Mapping[str, Any], first: bool) -> Subject:
    """A layer at what it was called with: the real numbers among that, its own parameters, and those of the layers
    inside. first: it is the first to go forward, whose backward may return nothing, as may that of a net."""
    layer, takes = call.layer, takes_gy(call.layer)
    given = [np.array(x, np.float64) if is_real(x) else x for x in call.given]

    def forward(given: Sequence[Any] = given) -> Any:
        with noted(call.name, "forward"):
            return layer.forward(*given, **call.settings)

    def back(gy: Any) -> list[Any]:
        """For each of ``given`` its gradient."""
        with noted(call.name, "backward"):
            found = layer.backward(gy, *call.back) if takes else layer.backward()
        real = [i for i, x in enumerate(given) if is_real(x)]
        if not isinstance(found, (tuple, list)):
            at = real[0] if len(real) == 1 else 0
            found = [found if i == at else None for i in range(len(given))]
        if len(found) != len(given):
            raise TypeError(f"gradcheck.layers: {call.name}: backward returned {len(found)} gradients for {len(given)} "
                            "inputs: return those of the inputs alone, and keep those of parameters in self")
        for i, g in enumerate(found):
            if g is None and i in real and not (first or inside):
                raise TypeError(f"gradcheck.layers: {call.name}: backward returned None: return the gradient of the "
                                "layer's input")
            if g is not None and i not in real:
                raise ValueError(f"gradcheck.layers: {call.name}: backward returned a gradient for input {i}, which is "
                                 "not of real numbers: write 1.0 for 1; where it has none return None")
        return [g if g is None else np.asarray(g) for g in found]

    def once() -> list[Any]:
        y = forward(list(map(copy.copy, given)))
        if not takes and np.size(y) != 1:
            raise TypeError(f"gradcheck.layers: {call.name}: backward takes no gradient, and forward returned not one "
                            f"number but {np.size(y)}: write backward(self, gy)")
        return back(np.ones(np.shape(y)))

    checked = [i for i, g in enumerate(once()) if g is not None]
    own: dict[int, tuple[str, Slot]] = {}
    for path, owner in {"": layer, **inside}.items():
        for slot in parameters_of(owner, once):
            if slot.gradient() is None and not path:
                raise ValueError(f"gradcheck.layers: {call.name}: backward left no gradient of {slot.name}: {WAYS}")
            own.setdefault(id(slot.array), (f"parameter {path}{'.' * bool(path)}{slot.name}", slot))

    def gradients(u: Floats) -> Gradients:
        for _, slot in own.values():
            before = slot.gradient()
            if is_array(before) and before.flags.writeable:  # it may be added to, from call to call
                before[...] = 0
        forward()
        found = back(u.copy())
        after = [*(found[i] for i in checked), *(slot.gradient() for _, slot in own.values())]
        return [None if g is None else np.array(g) * (1 if takes else float(u)) for g in after]

    inputs = [Input(f"input {i}", given[i], given[i], cpu(0)) for i in checked]
    inputs += [Input(name, slot.array, slot.array, cpu(0)) for name, slot in own.values()]
    known = own_names(layer.forward)
    called = [known[i] if i < len(known) else f"input {i}" for i in range(len(given))]
    alone = takes and not (call.back or call.settings)
    slots = [replace(slot, name=name.removeprefix("parameter ")) for name, slot in own.values()]
    real = [*checked, *range(len(given), len(given) + len(slots))]
    source = Source(layer.forward, layer.backward, given, called, real, layer, slots) if alone else None
    return Subject(call.name, inputs, forward, gradients, lambda u, i: [], [x.start.shape for x in inputs],
                   lambda: True, source)


def of_loss(loss: Any, y: Any) -> tuple[Subject, Any]:
    """(the loss of a net's output y as a subject, ∂L/∂y)"""
    x = np.array(y, np.float64)

    def both() -> tuple[Any, Any]:
        if has_passes(loss):
            value = loss.forward(x)
            return value, loss.backward(np.ones(())) if takes_gy(loss) else loss.backward()
        pair = loss(x)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"gradcheck.layers: loss returned {type(pair).__name__}: return (loss, its gradient)")
        return pair

    subject = Subject("the loss", [Input("the net's output", x, x, cpu(0))], lambda: both()[0],
                      lambda u: [float(u) * np.array(both()[1])], lambda u, i: [], [x.shape],
                      lambda: True)
    return subject, both()[1]
