"""What is checked, brought to one form: arrays that can be moved, a value, a gradient."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.backward import GradientShapeError, Node
from ..engine.device import Device, copy_to, cpu
from ..engine.memory import Array, in_engine_order
from ..engine.tensor import Tensor, no_grad
from ..nn.module import Module
from .error import misshapen, plain

__all__ = ["Input", "Subject", "of_arrays", "of_tensors"]


class Input:
    """An input that can be moved. array: what the function reads, on ``device``. start: its numbers, in main memory.

    size: the root mean square of the numbers, by which steps are measured; 1 where all are 0.
    """

    def __init__(self, name: str, array: Array, start: np.ndarray, device: Device):
        self.name, self.array, self.start, self.device = name, array, np.array(start), device
        size = float(np.sqrt(np.mean(self.start**2))) if self.start.size else 0.0
        self.size = size if 0 < size < np.inf else 1.0

    def now(self) -> np.ndarray:
        """The numbers as they are now, in main memory."""
        return copy_to(self.array, cpu(0))

    def move(self, to: np.ndarray) -> None:
        with self.device:
            self.array[...] = copy_to(in_engine_order(to), self.device)

    def move_element(self, place: tuple[int, ...], to: float) -> None:
        with self.device:
            self.array[place] = to


@dataclass
class Subject:
    """title: what to call it. call: the function, of what its inputs now are. gradients: from u, for each input; None
    where nothing arrived. uses: from u and the number of an input, for each op that uses it, what comes back from
    there. shapes: of all that the function is given."""

    title: str
    inputs: list[Input]
    call: Callable[[], Any]
    gradients: Callable[[np.ndarray], list[np.ndarray | None]]
    uses: Callable[[np.ndarray, int], list[np.ndarray]]
    shapes: Sequence[tuple[int, ...]]

    def value(self) -> np.ndarray:
        with np.errstate(all="ignore"):  # a step may lead out of where the function is defined
            y = self.call()
        if isinstance(y, (tuple, list)) or np.asarray(y).dtype.kind not in "fiub":
            raise TypeError(f"gradcheck: {self.title} returned {type(y).__name__}: return one array of real numbers")
        return np.array(y, np.float64)

    def unchanged(self, who: str) -> None:
        """Raise if an input is not what it was."""
        for x in self.inputs:
            if not np.array_equal(x.now(), x.start, equal_nan=True):
                raise plain(f"{self.title}: {who} changes {x.name}, shape {x.start.shape}", x.name,
                            "input changed in place", "work on a copy, as by x = x.copy(), or x = x * 2 for x *= 2")

    def linear(self, u: np.ndarray, gradients: list[np.ndarray | None]) -> bool:
        """Whether twice u gives twice the gradients. Raise if it gives the same."""
        for x, once, twice in zip(self.inputs, gradients, self.gradients(2 * u), strict=True):
            if once is None or twice is None or once.shape != twice.shape or not np.isfinite(once).all():
                continue
            allowed = 1e-9 * np.abs(once).max(initial=0)
            if (np.abs(twice - 2 * once) > allowed).any():
                if (np.abs(twice - once) > allowed).any():
                    return False
                raise plain(f"{self.title}: the gradient of {x.name}, shape {x.start.shape}, is the same for twice gy",
                            x.name, "gy not used", "multiply by gy, the gradient that comes in")  # fmt: skip
        return True


def title_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def is_real(x: Any) -> bool:
    if x is None or hasattr(x, "dtype"):
        return x is not None and x.dtype.kind == "f"
    try:
        return np.asarray(x).dtype.kind == "f"
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"gradcheck: an input cannot be made an array: {error}") from None


def named(parameters: Any) -> list[tuple[str, Tensor]]:
    """(name, tensor), each once, out of all that may be given as parameters."""
    given = parameters.named_parameters() if isinstance(parameters, Module) else parameters
    if isinstance(given, (str, Tensor)) or not isinstance(given, Iterable):
        raise TypeError(f"gradcheck: parameters is {type(given).__name__}: give a list of tensors, or the layer")
    found: list[tuple[str, Tensor]] = []
    for i, item in enumerate(given):
        name, p = item if isinstance(item, tuple) and len(item) == 2 else (str(i), item)
        if not isinstance(p, Tensor):
            raise TypeError(f"gradcheck: parameter {name} is {type(p).__name__}: give tensors")
        if p.made_by or not p.requires_grad:
            raise ValueError(f"gradcheck: parameter {name} gets no gradient: it must be a leaf with requires_grad=True")
        if not any(p is known for _, known in found):
            found.append((name, p))
    return found


def names(function: Callable[..., Any], count: int) -> list[str]:
    """"input 0 (x)" and so on, as far as the function names what it takes."""
    try:
        known = [p.name for p in inspect.signature(function).parameters.values()
                 if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]  # fmt: skip
    except (TypeError, ValueError):
        known = []
    return [f"input {i} ({known[i]})" if i < len(known) else f"input {i}" for i in range(count)]


@contextlib.contextmanager
def of_tensors(function: Callable[..., Any], given: Sequence[Any], parameters: list[tuple[str, Tensor]],
               ) -> Iterator[Subject]:  # fmt: skip
    """A function of tensors. Its parameters are in double precision inside of ``with``, and as before after it."""
    own = list(function.named_parameters()) if isinstance(function, Module) else []
    own += [(name, p) for name, p in parameters if not any(p is known for _, known in own)]
    tensors = [Tensor(x, dtype=np.float64, requires_grad=True, device=getattr(x, "device", None)
                      if isinstance(x, Tensor) else None) if is_real(x) else x for x in given]  # fmt: skip
    called = names(function.forward if isinstance(function, Module) else function, len(given))
    leaves = [(n, t) for n, t in zip(called, tensors, strict=True) if isinstance(t, Tensor) and t.requires_grad]
    leaves += [(f"parameter {n}", p) for n, p in own]

    def forward() -> Tensor:
        y = function(*tensors)
        if not isinstance(y, Tensor):
            way = ("it must return its output" if y is None else "check one of its outputs at a time"
                   if isinstance(y, (tuple, list, dict)) else "a function of NumPy arrays needs its backward=")
            raise TypeError(f"gradcheck: the function returned {type(y).__name__}, not a tensor: {way}")
        if y.dtype.kind != "f":
            raise TypeError(f"gradcheck: the function returned {y.dtype}: only real numbers have a gradient")
        return y

    def call() -> np.ndarray:
        with no_grad():
            return forward().numpy()

    def gradients(u: np.ndarray) -> list[np.ndarray | None]:
        for _, t in leaves:
            t.zero_grad()
        y = forward()
        try:
            if y.requires_grad:
                y.backward(u)
        except GradientShapeError as error:
            met = error.tensor
            name = next((n for n, t in leaves if t is met), f"what {met.made_by} made")
            raise misshapen(title_of(function), name, met.shape, error.gradient) from error
        return [None if t.grad is None else t.grad.numpy() for _, t in leaves]

    def uses(u: np.ndarray, i: int) -> list[np.ndarray]:
        y, x = forward(), leaves[i][1]
        parts: list[Tensor] = []
        waiting, seen = [y.node], {y.node}
        while waiting:  # every use gets a leaf of its own, so that nothing is added up
            user = waiting.pop()
            for source in user.inputs or ():
                if source is not x and source not in seen:
                    seen.add(source)
                    waiting.append(source)
            own = [Tensor(x, requires_grad=True, device=x.device) if s is x else s for s in user.inputs or ()]
            parts += [t for t, s in zip(own, user.inputs or (), strict=True) if s is x and isinstance(t, Tensor)]
            if isinstance(user, Node):
                user.inputs = tuple(own)
        if y.requires_grad:
            y.backward(u)
        return [part.grad.numpy() for part in parts if part.grad is not None]

    before = [(p, p.writable(), p.grad) for _, p in own]
    try:
        for p, array, _ in before:
            with p.device:
                p._array = in_engine_order(array.astype(np.float64, order="K", copy=True))
        shapes = [*map(np.shape, tensors), *(p.shape for _, p in own)]
        moved = [Input(n, t.writable(), t.numpy(), t.device) for n, t in leaves]
        yield Subject(title_of(function), moved, call, gradients, uses, shapes)
    finally:
        for p, array, grad in before:
            p._array, p.grad = array, grad


def of_arrays(function: Callable[..., Any], given: Sequence[Any], backward: Callable[..., Any]) -> Subject:
    """A function of NumPy arrays with a hand-written backward(gy, *inputs)."""
    arrays = [np.array(x, np.float64) if is_real(x) else np.array(x) if isinstance(x, list) else x for x in given]
    real = [i for i, x in enumerate(arrays) if is_real(x)]

    called = names(function, len(arrays))

    def gradients(u: np.ndarray) -> list[np.ndarray | None]:
        function(*arrays)  # so that a layer that keeps what it saw has seen just this
        found = backward(u.copy(), *arrays)
        found = found if isinstance(found, (tuple, list)) else (found,)
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
        return [np.zeros(arrays[i].shape) if found[i] is None else np.array(found[i]) for i in real]

    return Subject(title_of(function), [Input(called[i], arrays[i], arrays[i], cpu(0)) for i in real],
                   lambda: function(*arrays), gradients, lambda u, i: [], [np.shape(x) for x in arrays])
