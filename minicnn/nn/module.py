"""What all layers and models have in common: names for what is inside, state, modes, a table of what it costs."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence, Set
from types import FunctionType, MemberDescriptorType, NoneType
from typing import Any

import numpy as np

from ..engine.device import Device
from ..engine.memory import fitting
from ..engine.mode import no_grad
from ..engine.observers import observers
from ..engine.settings import flag, shown
from ..engine.tensor import Tensor
from .costs import Cost, costs, summary
from .hooks import replaced

__all__ = ["Module"]

PLAIN = {bool, int, float, str, NoneType, FunctionType}  # hold nothing; seen first, as each step walks all modules
AT_ONCE = 128  # rows of a matrix, which in one array lie one after the other and in the other side by side

def _held(name: str, value: Any, around: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """(path, value) of the modules, tensors and arrays that an attribute is or, as lists, tuples and dicts, holds."""
    if type(value) in PLAIN:
        return
    if isinstance(value, (Sequence, Mapping)) and not isinstance(value, (str, bytes)) and id(value) not in around:
        items = value.values() if isinstance(value, Mapping) else value
        if any(issubclass(kind, (*HELD, Sequence, Mapping, Set)) for kind in set(map(type, items))):
            for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
                yield from _held(f"{name}.{key}", item, (*around, id(value)))
    elif isinstance(value, np.ndarray) and value.dtype == object and any(isinstance(x, HELD) for x in value.flat):
        raise TypeError(f"Module: {name} is an array of layers or tensors, which has no names for them: use a list")
    elif isinstance(value, HELD):
        if not getattr(value, "made_by", ""):  # an output that was kept is no state
            yield name, value
    elif isinstance(value, Set) and any(isinstance(item, HELD) for item in value):
        raise TypeError(f"Module: {name} is a set of layers or tensors, which has no names for them: use a list")


def _copy_in(value: Any, array: np.ndarray) -> None:
    if not array.ndim:
        value[...] = array
        return
    for first in range(0, len(array), AT_ONCE):
        value[first : first + AT_ONCE] = array[first : first + AT_ONCE]


class Module:
    """A layer or a model: its attributes are parameters (tensors that require a gradient), state (other tensors, and
    NumPy arrays) and other modules, also in lists, tuples and dicts; ``forward`` says what it computes. Layers in a row
    go into a ``Sequential``.

    What stands in two places is one: it is named once, by the first path that leads to it, saved, moved, trained and
    counted once.
    """

    training = True

    def forward(self, x: Tensor) -> Tensor:
        """The output for the input x: what a subclass writes."""
        raise NotImplementedError(f"{type(self).__name__}: write its forward(self, x)")

    def __call__(self, *inputs: Any, **settings: Any) -> Tensor:
        y = self.forward(*inputs, **settings)
        if y is None:
            raise TypeError(f"{type(self).__name__}: its forward returned None: it must return its output")
        if isinstance(y, Tensor):
            for observer in observers:
                y = replaced(y, observer.layer_done(self, y))
        return y

    def __setattr__(self, name: str, value: Any) -> None:
        """Raises TypeError where a parameter would become something that nobody trains."""
        before = vars(self).get(name)
        if isinstance(before, Tensor) and before.requires_grad and not before.made_by and value is not None and (
                not isinstance(value, Tensor) or value.made_by or not value.requires_grad):  # fmt: skip
            what = f"what {value.made_by} made" if getattr(value, "made_by", "") else shown(value)
            raise TypeError(f"{type(self).__name__}: {name} is a parameter, and {what} would never be trained: give "
                            "Tensor(values, requires_grad=True); or write into it, under no_grad(), by "
                            f"{name}[...] = values")
        super().__setattr__(name, value)

    def _contents(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            yield from _held(name, value)
        for kind in type(self).__mro__[:-1]:  # without object
            for name, value in vars(kind).items():
                if type(value) in PLAIN:
                    continue
                if isinstance(value, MemberDescriptorType) and hasattr(self, name):  # of __slots__
                    yield from _held(name, getattr(self, name))
                if name not in vars(self) and any(isinstance(x, (Module, Tensor)) for _, x in _held(name, value)):
                    raise TypeError(f"{kind.__name__}: {name} belongs to the class, and so to all of its instances: "
                                    "make it in __init__, as self." + name)

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules right inside this one, each once."""
        seen: set[int] = set()
        for name, value in self._contents():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module, whose path is empty, and of all inside it, each once."""
        seen: set[int] = set()

        def walk(prefix: str, module: Module) -> Iterator[tuple[str, Module]]:
            if id(module) not in seen:
                seen.add(id(module))
                yield prefix, module
                for name, child in module.children():
                    yield from walk(f"{prefix}.{name}" if prefix else name, child)

        return walk("", self)

    def modules(self) -> Iterator[Module]:
        """This module and all inside it, each once."""
        return (module for _, module in self.named_modules())

    def _everything(self) -> Iterator[tuple[str, Any]]:
        """(name, tensor or array) of every place where one is. Raises ValueError where two have one name."""
        found: dict[str, Any] = {}
        for path, module in self.named_modules():
            for name, value in module._contents():
                name = f"{path}.{name}" if path else name
                if not isinstance(value, Module):
                    if found.setdefault(name, value) is not value:
                        raise ValueError(f"{type(self).__name__}: two parameters or arrays are called {name}: let the "
                                         "keys of a dict differ in how they are written")
                    yield name, value

    def _named(self, *kinds: type) -> Iterator[tuple[str, Any]]:
        """The same of these kinds, each once."""
        seen: set[int] = set()
        for name, value in self._everything():
            if isinstance(value, kinds) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) of every parameter; a name is the path of attributes, as in "a.conv1.weight" or, in a list,
        "layers.0.weight"."""
        yield from ((name, tensor) for name, tensor in self._named(Tensor) if tensor.requires_grad)

    def parameters(self) -> Iterator[Tensor]:
        """Every parameter, each once."""
        return (tensor for _, tensor in self.named_parameters())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and state, by name: all that is needed to go on from here."""
        tensors = {name: np.array(tensor.numpy(), order="C") for name, tensor in self._named(Tensor)}
        return tensors | {name: array.copy() for name, array in self._named(np.ndarray)}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy in what ``state_dict`` gave. What two places share may stand in it under either name or under both.

        Raises, and changes nothing, ValueError where names, shapes or numbers do not fit, TypeError where the kind of
        numbers does not, and what ``Tensor.writable()`` raises.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: {type(state).__name__} is no state: give a dict of arrays by name")
        places = list(self._everything())
        wanted: dict[int, list[str]] = {}
        for name, value in places:
            wanted.setdefault(id(value), []).append(name)
        missing = sorted(names[0] for names in wanted.values() if not any(name in state for name in names))
        strange = sorted(state.keys() - {name for name, _ in places})
        if missing or strange:
            raise ValueError(f"load_state_dict: this is the state of another model: it lacks {missing[:3] or 'nothing'}"
                             f" and has the unknown {strange[:3] or 'nothing'}")
        new = {name: fitting("load_state_dict", name, value, state[name]) for name, value in places if name in state}
        for value, array in ((value, new[name]) for name, value in places if name in new):
            first, *others = (name for name in wanted[id(value)] if name in new)
            for other in others:
                if not np.array_equal(new[first], new[other], equal_nan=new[first].dtype.kind == "f"):
                    raise ValueError(f"load_state_dict: {first} and {other} are one here, and differ in the state")
            if isinstance(value, Tensor):
                value.writable()  # raises before anything has changed
            elif not value.flags.writeable and array.size:
                raise ValueError("load_state_dict: an array of this model is read-only: let it hold a copy")
        with no_grad():
            for name, value in places:
                if name in new:
                    _copy_in(value, new[name])

    def train(self, mode: bool = True) -> Module:
        """Behave as in training (dropout drops), or, with False, as ``eval()``."""
        mode = flag("train", "mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Behave as at test."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for tensor in self.parameters():
            tensor.zero_grad()

    def to(self, device: Device) -> Module:
        """Move every parameter to ``device``, but for those that live there. Raises what ``Tensor.writable()`` raises,
        and then moves nothing."""
        if not isinstance(device, Device):
            raise TypeError(f"to: {device!r} is no device: give one as minicnn.cpu() or minicnn.device('cuda:0')")
        tensors = [tensor for _, tensor in self._named(Tensor)]
        for tensor in tensors:
            tensor.writable()
        for tensor in tensors:
            if tensor.device != device:
                tensor.move(device)
        return self

    def multiply_adds(self, y: Tensor) -> int:
        """How many multiply-adds one image costs, where the output is y."""
        return 0

    def costs(self, shape: tuple[int, ...] = (3, 224, 224)) -> list[Cost]:
        """What each layer costs for one image of ``shape``, in the order in which the image meets them. What is met
        again has no parameters of its own the second time."""
        return costs(self, shape)

    def summary(self, shape: tuple[int, ...] = (3, 224, 224)) -> str:
        """A table of the ``costs``: device, output, parameters, multiply-adds, bytes of the output (float32)."""
        return summary(self, shape)

    @reprlib.recursive_repr("...")
    def __repr__(self) -> str:
        inner = "".join(f"\n{name}: {child!r}".replace("\n", "\n    ") for name, child in self.children())
        return f"{type(self).__name__}({self.settings()}{inner})"

    def settings(self) -> str:
        """The settings as one would type them: the plain values among the attributes."""
        return ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if k != "training" and _is_plain(v))


HELD = (Module, Tensor, np.ndarray)  # what a module is made of


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str, Device))
