"""What is checked, brought to one form: arrays that can be moved, a value, a gradient."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.backward import GradientShapeError, Node
from ..engine.device import Device, copy_to, cpu
from ..engine.memory import Array, in_engine_order
from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn.module import Module
from .evidence import Floats

if TYPE_CHECKING:
    from .parameters import Slot

__all__ = ["Function", "Given", "Gradients", "Input", "Parameters", "Source", "Subject", "WrongShape", "in_double",
           "is_real", "named", "names", "of_tensors", "own_names", "title_of"]  # fmt: skip

Function = Callable[..., object]
Given = Sequence[Any]  # what is no real number passes through, whatever it is
Gradients = list[np.ndarray | None]  # None where nothing arrived
Parameters = Module | Iterable[Tensor | tuple[str, Tensor]]


class Input:
    """An input that can be moved. array: what the function reads, on ``device``. start: its numbers, in main memory.

    size: the root mean square of the numbers, by which steps are measured; 1 where all are 0. fixed: whether a backward
    by hand says None of it, as of labels.
    """

    fixed = False

    def __init__(self, name: str, array: Array, start: Floats, device: Device):
        self.name, self.array, self.start, self.device = name, array, np.array(start), device
        size = float(np.sqrt(np.mean(self.start**2))) if self.start.size else 0.0
        self.size = size if 0 < size < np.inf else 1.0

    @property
    def changed(self) -> bool:
        """Whether the array no longer holds the numbers of ``start``."""
        return not np.array_equal(copy_to(self.array, cpu(0)), self.start, equal_nan=True)

    def move(self, to: Floats) -> None:
        with self.device:
            self.array[...] = to if isinstance(self.array, np.ndarray) else copy_to(in_engine_order(to), self.device)

    def move_element(self, place: tuple[int, ...], to: float) -> None:
        with self.device:
            self.array[place] = to


@dataclass(frozen=True)
class Source:
    """People's own function and backward(gy, *given), or of a layer backward(gy). names: of what is given. slots: the
    layer's parameters. real: which of both are checked, given first: the first inputs of the subject."""

    function: Function
    backward: Function
    given: Given
    names: Sequence[str]
    real: Sequence[int]
    layer: Any = None
    slots: Sequence[Slot] = ()


@dataclass
class Subject:
    """title: what to call it. call: the function, of what its inputs now are. gradients: from u, for each input. uses:
    from u and the number of an input, for each op that uses it, what comes back from there. shapes: of all that the
    function is given. whole: whether one backward belongs to it, of one op or written by hand. source: of what is
    written by hand. evaluations: how often it was called for its value."""

    title: str
    inputs: list[Input]
    call: Callable[[], object]
    gradients: Callable[[Floats], Gradients]
    uses: Callable[[Floats, int], list[np.ndarray]]
    shapes: Sequence[tuple[int, ...]]
    whole: Callable[[], bool]
    source: Source | None = None
    evaluations: int = 0

    @contextlib.contextmanager
    def moved(self, line: Iterable[tuple[Input, Floats]]) -> Iterator[None]:
        """Inside of ``with`` the inputs start from elsewhere, each from so far away."""
        home = [(x, x.start) for x in self.inputs]
        try:
            for x, way in line:
                x.start = x.start + way
                x.move(x.start)
            yield
        finally:
            for x, start in home:
                x.start = start
                x.move(start)

    def value(self) -> Floats:
        self.evaluations += 1
        with np.errstate(all="ignore"):  # a step may lead out of where the function is defined
            y = self.call()
        if isinstance(y, (tuple, list)) or np.asarray(y).dtype.kind not in "fiub":
            raise TypeError(f"gradcheck: {self.title} returned {type(y).__name__}: return one array of real numbers")
        return np.array(y, np.float64)


class WrongShape(Exception):
    """A gradient, on its way back to ``name``, has not the ``shape`` of what it reached."""

    def __init__(self, name: str, shape: tuple[int, ...], gradient: np.ndarray):
        self.name, self.shape, self.gradient = name, shape, gradient


def title_of(function: Function) -> str:
    return getattr(function, "__name__", type(function).__name__)


def is_real(x: object) -> bool:
    if x is None or hasattr(x, "dtype"):
        return x is not None and x.dtype.kind == "f"
    try:
        return np.asarray(x).dtype.kind == "f"
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"gradcheck: an input cannot be made an array: {error}") from None


def named(parameters: Parameters) -> list[tuple[str, Tensor]]:
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


def own_names(function: Function) -> list[str]:
    """What a function calls the things that it takes, in their order."""
    try:
        return [p.name for p in inspect.signature(function).parameters.values()
                if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]  # fmt: skip
    except (TypeError, ValueError):
        return []


def names(function: Function, count: int) -> list[str]:
    """"input 0 (x)" and so on, as far as the function names what it takes; or its own ``input_names``."""
    if hasattr(function, "input_names"):
        return list(function.input_names)
    known = own_names(function)
    return [f"input {i} ({known[i]})" if i < len(known) else f"input {i}" for i in range(count)]


@contextlib.contextmanager
def in_double(parameters: Sequence[Tensor]) -> Iterator[None]:
    """The parameters are in double precision inside of ``with``, and as before after it."""
    before = [(p, p.writable(), p.grad) for p in parameters]
    try:
        for p, array, _ in before:
            with p.device:
                p._array = in_engine_order(array.astype(np.float64, order="K", copy=True))
        yield
    finally:
        for p, array, grad in before:
            p._array, p.grad = array, grad


@contextlib.contextmanager
def of_tensors(function: Function, given: Given, parameters: list[tuple[str, Tensor]],
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

    def gradients(u: Floats) -> Gradients:
        for _, t in leaves:
            t.zero_grad()
        y = forward()
        try:
            if y.requires_grad:
                y.backward(u)
        except GradientShapeError as error:
            met = error.tensor
            name = next((n for n, t in leaves if t is met), f"what {met.made_by} made")
            raise WrongShape(name, met.shape, error.gradient) from error
        return [None if t.grad is None else t.grad.numpy() for _, t in leaves]

    with in_double([p for _, p in own]):
        shapes = [*map(np.shape, tensors), *(p.shape for _, p in own)]
        moved = [Input(n, t.writable(), t.numpy(), t.device) for n, t in leaves]
        yield Subject(title_of(function), moved, call, gradients, lambda u, i: uses(forward(), leaves[i][1], u), shapes,
                      lambda: not any(isinstance(x, Node) for x in forward().node.inputs or ()))


def uses(y: Tensor, x: Tensor, u: Floats) -> list[np.ndarray]:
    """For each op between x and y that uses x, what comes back from there."""
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
