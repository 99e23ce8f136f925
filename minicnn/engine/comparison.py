"""Questions to a tensor's values: no gradient goes through the answers, which are tensors of truth values or places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .protocols import Protocols
from .settings import axes, flag
from .settings import axis as one_axis

__all__ = ["Comparison", "compared", "refuse_dtype_and_out"]


class Comparison(Protocols):
    """The part of ``Tensor`` that compares."""

    __slots__ = ()

    def __eq__(self, other: Any) -> Any:
        return compared(np.equal, self, other)

    def __ne__(self, other: Any) -> Any:
        return compared(np.not_equal, self, other)

    def __lt__(self, other: Any) -> Any:
        return compared(np.less, self, other)

    def __le__(self, other: Any) -> Any:
        return compared(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return compared(np.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return compared(np.greater_equal, self, other)

    def __and__(self, other: Any) -> Any:
        return compared(np.bitwise_and, self, other)

    def __or__(self, other: Any) -> Any:
        return compared(np.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Any:
        return compared(np.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__
    __hash__ = object.__hash__  # a tensor is itself, whatever it holds

    def __invert__(self) -> Any:
        return compared(np.invert, self)

    def __contains__(self, value: Any) -> bool:
        """Whether any element equals ``value``."""
        equal: Any = self == value
        return isinstance(equal, Comparison) and bool(equal.any())

    def any(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Any:
        """Whether any element over an axis, several, or all is not 0: a tensor of truth values."""
        return self._answer(np.any, axes("any", axis, self.ndim), keepdims, out)

    def all(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Any:
        """Whether no element over an axis, several, or all is 0: a tensor of truth values."""
        return self._answer(np.all, axes("all", axis, self.ndim), keepdims, out)

    def argmax(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Any:
        """Where along ``axis`` the maximum stands first, as whole numbers; without an axis, counted through all
        elements row by row. NaN wins."""
        return self._where("argmax", axis, keepdims, out)

    def argmin(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Any:
        """Where along ``axis`` the minimum stands first; see ``argmax``. NaN wins."""
        return self._where("argmin", axis, keepdims, out)

    def _where(self, name: str, axis: Any, keepdims: Any, out: Any) -> Any:
        axis = None if axis is None else one_axis(name, axis, self.ndim)
        if not (self.size if axis is None else self.shape[axis]):
            raise ValueError(f"{name}: no element stands along axis {axis} of shape {self.shape}: it is empty")
        return self._answer(getattr(np, name), axis, keepdims, out)

    def _answer(self, ask: Callable[..., Any], axis: Any, keepdims: Any, out: Any) -> Any:
        refuse_dtype_and_out(ask.__name__, None, out)
        with self.device:
            return self._like(ask(self._array, axis=axis, keepdims=flag(ask.__name__, "keepdims", keepdims)))


def refuse_dtype_and_out(name: str, dtype: Any, out: Any) -> None:
    """NumPy's functions hand these on: np.sum(t) is t.sum(axis=None, out=None)."""
    if dtype is not None or out is not None:
        raise TypeError(f"{name}: dtype= and out= are not for tensors: {name}(t) makes a new one, of the type of t")


def compared(ask: Callable[..., Any], *given: Any) -> Any:
    """ask(*given), one of them a tensor, element by element and broadcast: a tensor through which no gradient goes.

    NotImplemented where one of them is no number, so that Python goes on as with any two strange things.
    """
    me = next(x for x in given if isinstance(x, Comparison))
    try:
        operands = [x if isinstance(x, (bool, int, float)) else me._array if x is me else _beside(me, x) for x in given]
    except TypeError:
        return NotImplemented
    with me.device:
        try:
            return me._like(ask(*operands))
        except ValueError:
            shapes = " and ".join(str(np.shape(x)) for x in operands)
            raise ValueError(f"{ask.__name__}: shapes {shapes} do not broadcast: each axis must have the same size in "
                             "both, or 1") from None
        except TypeError:
            types = " and ".join(str(getattr(x, "dtype", type(x).__name__)) for x in operands)
            raise TypeError(f"{ask.__name__}: {types} have no bits: it is for truth values and whole numbers, as in "
                            "(t > 0) & (t < 1)") from None


def _beside(me: Comparison, x: Any) -> Any:
    if isinstance(x, np.generic) and x.dtype.kind in "fiub":
        return x
    if isinstance(x, (list, tuple)):
        x = np.asarray(x)
        if x.dtype == np.float64 and me.dtype.kind == "f":
            x = x.astype(me.dtype)  # numbers of Python are as precise as the tensor
    elif not isinstance(x, Comparison) and not hasattr(x, "ndim"):
        raise TypeError
    return me._beside(x)
