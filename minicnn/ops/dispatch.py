"""NumPy's functions, given tensors: the op where there is one, else what NumPy says of the values, and never a gradient
lost in silence. It gives ``Tensor`` the three methods that NumPy asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..engine.comparison import compared
from ..engine.mode import grad_enabled
from ..engine.tensor import Tensor
from .methods import Methods

__all__: list[str] = []


def __array__(self: Tensor, dtype: Any = None, copy: Any = None) -> np.ndarray:
    """The values: as ``numpy()`` for reading where they lie in main memory, a copy where asked for or need be."""
    values: np.ndarray[Any, Any] = self.numpy()
    if copy is False and (self.device.kind != "cpu" or dtype not in (None, values.dtype)):
        raise ValueError(f"Tensor: {self.dtype} on {self.device} becomes {dtype or 'an array'} by a copy alone, "
                         "and copy=False forbids one")
    return values.astype(dtype or values.dtype, copy=bool(copy))


def __array_ufunc__(self: Tensor, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
    """np.exp(t), array + t: the op where there is one."""
    op = UFUNCS.get(ufunc) if method == "__call__" and not settings else None
    answer = op(*inputs) if op else NotImplemented
    return _by_values(f"np.{ufunc.__name__}", getattr(ufunc, method), inputs, settings) if (
        answer is NotImplemented) else answer


def __array_function__(self: Tensor, function: Any, types: Any, args: Any, settings: Any) -> Any:
    """np.sum(t), np.argmax(t, 1): the method where there is one."""
    known = args and (isinstance(args[0], Tensor) or function is np.concatenate)
    method = FUNCTIONS.get(function) if known else None
    return method(*args, **settings) if method else _by_values(f"np.{function.__name__}", function, args, settings)


def _by_values(name: str, function: Callable[..., Any], args: Any, settings: dict[str, Any]) -> Any:
    """What NumPy says of the values. Raises TypeError where the answer is real numbers to which a gradient belongs."""
    needing: list[Tensor] = []

    def values(x: Any) -> Any:
        if isinstance(x, Tensor):
            needing.extend([x] * x.requires_grad)
            return x.numpy()
        return type(x)(map(values, x)) if type(x) in (list, tuple) else x

    written = settings.get("out")
    if any(isinstance(x, Tensor) for x in (written if isinstance(written, tuple) else (written,))):
        raise TypeError(f"{name}: a tensor cannot be its out=: write into it by t[...] = values")
    if function in LIKE and args and isinstance(args[0], Tensor):
        args = (args[0].numpy(), *args[1:])  # of its shape and type alone
    args, settings = values(tuple(args)), {key: values(x) for key, x in settings.items()}
    lost = bool(needing) and grad_enabled()
    if not (lost and written is not None):
        answer = function(*args, **settings)
        if not (lost and _real(answer)):
            return answer
    raise TypeError(f"{name}: the gradient of a tensor does not go through it: use what minicnn.ops has, or give it "
                    "the values alone, t.numpy()")


def _real(answer: Any) -> bool:
    if isinstance(answer, (list, tuple)):
        return any(map(_real, answer))
    return isinstance(answer, float) or getattr(getattr(answer, "dtype", None), "kind", "") in ("f", "c")


UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: ops.add, np.subtract: ops.subtract, np.multiply: ops.multiply, np.divide: ops.divide, np.power: ops.power,
    np.matmul: ops.matmul, np.negative: ops.negative, np.positive: lambda x: x, np.absolute: abs, np.exp: ops.exp,
    np.log: ops.log, np.tanh: ops.tanh, np.sqrt: lambda x: ops.power(x, 0.5), np.square: lambda x: ops.multiply(x, x),
}  # fmt: skip
for _ask in (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.bitwise_and,
             np.bitwise_or, np.bitwise_xor, np.invert):  # fmt: skip
    UFUNCS[_ask] = lambda *given, _ask=_ask: compared(_ask, *given)

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    getattr(np, name): getattr(Methods, name)
    for name in ("sum", "mean", "max", "any", "all", "argmax", "argmin", "reshape", "transpose")
}
FUNCTIONS[np.amax] = Methods.max
FUNCTIONS[np.shape], FUNCTIONS[np.ndim] = lambda t: t.shape, lambda t: t.ndim
FUNCTIONS[np.size] = lambda t, axis=None: t.size if axis is None else t.shape[axis]
FUNCTIONS[np.concatenate] = lambda arrays, axis=0: ops.concatenate(*arrays, axis=axis)
LIKE = (np.zeros_like, np.ones_like, np.empty_like, np.full_like)

Tensor.__pandas_priority__ = 5000  # type: ignore[attr-defined]  # above its Series, which would take values alone
for _method in (__array__, __array_ufunc__, __array_function__):
    setattr(Tensor, _method.__name__, _method)
