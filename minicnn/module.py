"""What all layers and models have in common: names for what is inside, state, modes, a table of what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minicnn.kernels import cores, over

from .device import Device
from .tensor import Tensor, no_grad, recording

__all__ = ["Module", "side_by_side", "watch"]

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


def side_by_side(*calls: tuple[Module, Tensor]) -> list[Tensor]:
    """[layer(x) for layer, x in calls], none of which needs another's result.

    On the processor every core takes one, if there are no more cores than calls: then they need not come together again
    for every op. Not where the graph is remembered or the layers are watched, since there it matters what came first.
    """
    if recording() or _watchers or not 1 < min(cores(x.data) for _, x in calls) <= len(calls):
        return [layer(x) for layer, x in calls]

    def some(first: int, last: int) -> list[Tensor]:
        with no_grad():  # which each thread has to be told
            return [layer(x) for layer, x in calls[first:last]]

    return [y for part in over(len(calls), some) for y in part]


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
        for value in mine.values():
            if isinstance(value, Tensor):
                value.writable()  # raises before anything has changed
        with no_grad():
            for name, value in mine.items():
                value[...] = state[name]

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
