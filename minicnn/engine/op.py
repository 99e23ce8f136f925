"""The border between tensors and arrays: outside an op everything is a Tensor, inside everything is an array.

What an op computes in, by what it is given:

- Real numbers: in their own type. Beside one another, single precision and double make double in arithmetic, as in
  NumPy; what sums up products (linear, matmul, conv2d) takes one type alone. Numbers written in Python take the type
  of the arrays beside them.
- Whole numbers and bool, which counts as 0 and 1: what moves numbers or picks one keeps their type; add, subtract,
  multiply, negative, power, matmul and sum give whole numbers of 64 bits, or an error where one does not fit, and never
  wrap around; everything else takes them as real numbers, of the type of the real ones beside them, or computes in
  double and rounds to single.
- So double precision comes from double alone, half from ``ops.half`` alone, and nothing but double from double.
- ∞ and NaN are values like others, with no warning.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeAlias, overload

import numpy as np

from .backward import Node, Pullback
from .device import Device, copy_to, current_device, ensure_on
from .memory import Array, array_of, in_engine_order
from .mode import grad_enabled
from .observers import observers
from .settings import OutOfRange
from .tensor import Tensor, wrap

__all__ = ["Computed", "Operand", "exactly", "on_each", "one_type", "op", "remember"]


def on_each(x: Any, devices: Sequence[Device]) -> list[Tensor]:
    """``x`` on each of these devices: a tensor crosses, which its gradient remembers. Anything else is put there, and
    where that is main memory it lies there once, however many devices are there."""
    if isinstance(x, Tensor):
        return [x.to(device) for device in devices]
    first = Tensor(x, device=devices[0])
    return [first if d == devices[0] else wrap(ensure_on(first._array, d), d) for d in devices]


def remember(name: str, y: Array, inputs: Sequence[Any], gradients: Sequence[Pullback | None],
             device: Device) -> Tensor:
    """The array ``y``, which op ``name`` computed on ``device`` from ``inputs``, as a tensor.

    gradients: the pullback of each input. Kept only for inputs that need them.
    """
    sources = [x for x in inputs if isinstance(x, Tensor)]
    y = in_engine_order(y)
    if y.dtype == _DOUBLE and not any(x.dtype == _DOUBLE for x in sources):
        y = y.astype(np.float32)  # double precision comes from double alone, not from numbers nor from whole ones
    tensor = wrap(y, device)
    kept = [(x.node, g) for x, g in zip(inputs, gradients, strict=True)
            if isinstance(x, Tensor) and x._requires_grad] if grad_enabled() else []  # fmt: skip
    if kept:
        tensor._requires_grad = True
        tensor._made = Node(name, tensor, *zip(*kept, strict=True))
        for x in sources:
            if not x.made_by:
                x._users.add(tensor._made)
    else:
        for x in sources:
            if (x.device is device or x.device == device) and np.may_share_memory(y, x._array):
                tensor._array = y.copy(order="K")  # what forgets its inputs owns its memory: see writable()
                break
    for observer in observers:
        observer.op_done(name, tensor, sources)
    return tensor


Operand: TypeAlias = Any
"""What an op is given: outside a tensor, an array or a number, inside an array."""

Computed: TypeAlias = tuple[Array, *tuple[Pullback | None, ...]]
"""What the function of an op returns: y, and for each array its pullback."""

Given = ParamSpec("Given")


@overload
def op(function: Callable[Given, Computed]) -> Callable[Given, Tensor]: ...
@overload
def op(*, whole: str) -> Callable[[Callable[Given, Computed]], Callable[Given, Tensor]]: ...
def op(function: Callable[..., Any] | None = None, *, whole: str = "") -> Any:
    """Turn a function of arrays into an op on tensors.

    function(*arrays, **settings) returns y and, for each array, its pullback: the function that takes ∂L/∂y to
    ∂L/∂array (a vector-Jacobian product).
    Positional arguments are values: tensors, arrays or numbers. Keyword arguments are settings, plain Python.
    whole: names of the arrays whose whole numbers come as they are. All others come as real numbers of one type.

    The op raises ValueError when its tensors live on different devices, and TypeError for what is no real number. All
    its errors begin with its name.
    """
    if function is None:
        return functools.partial(op, whole=whole)
    name, signature = function.__name__, inspect.signature(function)
    operands = [p for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    many = any(p.kind is p.VAR_POSITIONAL for p in operands)
    real = [i for i, p in enumerate(operands) if p.name not in whole.split() and not many]
    optional = [p.default is None for p in operands]
    arranged = _arranger(name, signature, operands, many)

    @functools.wraps(function)
    def lifted(*values: Any, **settings: Any) -> Tensor:
        try:
            values, settings = arranged(values, settings)
            tensors = [x for x in values if isinstance(x, Tensor)]
            place = tensors[0].device if tensors else current_device()
            for x in tensors:
                if x.device is not place and x.device != place:
                    places = " and ".join(sorted({repr(x.device) for x in tensors}))
                    raise ValueError(f"{name}: inputs live on {places}: bring them together with .to(device)")
            with np.errstate(all="ignore"), place as device:
                inputs = values if len(tensors) == len(values) else [
                    x if isinstance(x, Tensor) or (x is None and not many and optional[i]) else
                    _input(name, x, device) for i, x in enumerate(values)]
                if not (tensors or any(isinstance(x, Tensor) for x in inputs)):
                    inputs = [x if x is None else Tensor(array_of(x, name=name), device=device) for x in inputs]
                arrays = [x._array if isinstance(x, Tensor) else _exact(x) for x in inputs]
                given = [i for i in real if arrays[i] is not None]
                if len([i for i in given if getattr(arrays[i], "dtype", None) == _SINGLE]) < len(given):
                    same = one_type(name, **{operands[i].name: arrays[i] for i in given})
                    for i, array in zip(given, same, strict=True):
                        arrays[i] = array
                y, *gradients = function(*arrays, **settings)
                return remember(name, y, inputs, gradients, device)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if str(error).startswith(f"{name}: "):
                raise
            raise _kind_of(error)(f"{name}: {error}") from error

    lifted.__signature__ = signature.replace(return_annotation="Tensor")  # type: ignore[attr-defined]
    return lifted


Settings: TypeAlias = dict[str, Any]


def _arranger(name: str, signature: inspect.Signature, operands: list[inspect.Parameter], many: bool
              ) -> Callable[[tuple[Any, ...], Settings], tuple[tuple[Any, ...], Settings]]:
    """A function that puts each operand of op ``name`` in its place: it may have been given by its name, in a list with
    all the others, or left out where it may be None."""
    known = signature.parameters.keys() - {p.name for p in operands}
    left_out = tuple(p.default for p in operands)  # what stands for an operand that is left out, where one may be
    needed = left_out.count(inspect.Parameter.empty)

    def arranged(values: tuple[Any, ...], settings: Settings) -> tuple[tuple[Any, ...], Settings]:
        if many and values and isinstance(values[0], (list, tuple)):
            if len(values) > 1:
                raise TypeError(f"{name}: a list and {len(values) - 1} more: give all in the list, settings by name")
            values = tuple(values[0])
        if (needed <= len(values) <= len(operands) or many) and settings.keys() <= known:
            return values if many else values + left_out[len(values):], settings
        try:
            given = signature.bind(*values, **settings)
        except TypeError as error:
            plain = signature.replace(return_annotation=signature.empty, parameters=[
                p.replace(annotation=p.empty) for p in signature.parameters.values()])  # fmt: skip
            raise TypeError(f"{name}: {error}: write {name}{plain}") from None
        given.apply_defaults()
        return given.args, given.kwargs

    return arranged


def _kind_of(error: Exception) -> type[Exception]:
    """What an error inside of an op is to whoever called it."""
    if isinstance(error, LookupError):
        return OutOfRange
    return TypeError if isinstance(error, (AttributeError, TypeError)) else ValueError


def _input(name: str, x: Any, device: Device) -> Any:
    """Numbers as Python's, since a NumPy scalar would turn single precision into double; anything else as a new tensor,
    so that no graph holds an array that somebody may write to."""
    if isinstance(x, (float, bool)):
        return float(x) if isinstance(x, float) else x
    array = array_of(x, name=name)
    return wrap(in_engine_order(copy_to(array, device)), device) if array.shape else array.item()


def _exact(x: Any) -> Any:
    """A number as it is, unless single precision cannot hold it: then of a type that does, to be computed in."""
    if isinstance(x, int) and abs(x) > 1 << 24:
        return np.int64(x)
    if isinstance(x, float) and x and math.isfinite(x) and not _TINY < abs(x) < _HUGE:
        return np.float64(x)
    return x


_SINGLE, _DOUBLE, _WHOLE = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
_TINY, _HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def one_type(op: str, **arrays: Any) -> list[Array]:
    """Arrays and numbers as arrays of one type of real numbers: that of the real ones, and double where all are whole.

    Raises ValueError where real ones differ in type.
    """
    real = {name: x.dtype for name, x in arrays.items() if getattr(x, "dtype", np.dtype(int)).kind == "f"}
    if len(set(real.values())) > 1:
        raise ValueError(f"{op}: {', '.join(f'{name} {dtype}' for name, dtype in real.items()).replace(' ', ' is ', 1)}"
                         ": give all one type, as by .astype(np.float32)")
    dtype = next(iter(real.values()), np.dtype(np.float64))
    like = next((x for x in arrays.values() if not isinstance(x, (int, float, np.generic))), np.zeros(()))
    return [np.full_like(like, x, dtype=dtype, shape=()) if isinstance(x, (int, float, np.generic)) else
            x.astype(dtype, copy=False) for x in arrays.values()]  # fmt: skip


def exactly(op: str, function: Callable[..., Array], *xs: Any) -> Array:
    """function(*xs) of arrays and numbers; where all are whole, in 64 bits, or ValueError where these do not suffice.

    What wraps around is wrong by 2⁶⁴, which the same in double precision shows.
    """
    for x in xs:
        if isinstance(x, float) or getattr(x, "dtype", _WHOLE).kind == "f":
            return function(*xs)
    y, rough = (function(*(x.astype(t) if hasattr(x, "dtype") else t(x) for x in xs)) for t in (np.int64, np.float64))
    if not (abs(rough - y) < 2.0**62).all():
        raise ValueError(f"{op}: a result is beyond the whole numbers of 64 bits: give real numbers, as by "
                         "dtype=np.float64")
    return y
