"""What every tensor can do: the ops as operators and methods, and questions about its values.

It stands above the ops, and gives what it defines to ``Tensor``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..engine.memory import stored
from ..engine.protocols import Protocols
from ..engine.settings import axes, flag
from ..engine.settings import axis as one_axis
from ..engine.tensor import Tensor, wrap

__all__ = ["Methods", "asked"]


def _sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """reshape(2, 3) and reshape((2, 3)) are the same."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


def _neither(name: str, dtype: Any, out: Any) -> None:
    """NumPy's functions hand these on: np.sum(t) is t.sum(axis=None, out=None)."""
    if dtype is not None or out is not None:
        raise TypeError(f"{name}: dtype= and out= are not for tensors: {name}(t) makes a new one, of the type of t")


def asked(ask: Callable[..., Any], *given: Any) -> Any:
    """ask(*given), one of them a tensor, element by element and broadcast: a tensor through which no gradient goes.

    NotImplemented where one of them is no number, so that Python goes on as with any two strange things.
    """
    me = next(x for x in given if isinstance(x, Tensor))
    try:
        operands = [x if isinstance(x, (bool, int, float)) else me._array if x is me else _beside(me, x) for x in given]
    except TypeError:
        return NotImplemented
    with me.device:
        try:
            return wrap(stored(ask(*operands)), me.device)
        except ValueError:
            shapes = " and ".join(str(np.shape(x)) for x in operands)
            raise ValueError(f"{ask.__name__}: shapes {shapes} do not broadcast: each axis must have the same size in "
                             "both, or 1") from None
        except TypeError:
            types = " and ".join(str(getattr(x, "dtype", type(x).__name__)) for x in operands)
            raise TypeError(f"{ask.__name__}: {types} have no bits: it is for truth values and whole numbers, as in "
                            "(t > 0) & (t < 1)") from None


def _beside(me: Tensor, x: Any) -> Any:
    if isinstance(x, np.generic) and x.dtype.kind in "fiub":
        return x
    if isinstance(x, (list, tuple)):
        x = np.asarray(x)
        if x.dtype == np.float64 and me.dtype.kind == "f":
            x = x.astype(me.dtype)  # numbers of Python are as precise as the tensor
    elif not isinstance(x, Tensor) and not hasattr(x, "ndim"):
        raise TypeError
    return me._beside(x)


class Methods(Protocols):
    """Given to ``Tensor`` below."""

    __slots__ = ()

    # -- operators -----------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.divide(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        """|x|, whose slope at 0 is taken as 0."""
        if self.dtype.kind in "bu":
            return self
        with self.device:
            return ops.multiply(self, wrap(np.sign(self._array), self.device))

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index=index)

    # -- ops as methods ------------------------------------------------------------------------------------------------

    def exp(self) -> Tensor:
        """eˣ of every element: ``ops.exp``."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """The natural logarithm of every element: ``ops.log``."""
        return ops.log(self)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent of every element: ``ops.tanh``."""
        return ops.tanh(self)

    def sigmoid(self) -> Tensor:
        """1 / (1 + e⁻ˣ) of every element: ``ops.sigmoid``."""
        return ops.sigmoid(self)

    def relu(self) -> Tensor:
        """max(x, 0) of every element: ``ops.relu``."""
        return ops.relu(self)

    def softmax(self, axis: int = -1) -> Tensor:
        """eˣ / Σ eˣ along ``axis``: ``ops.softmax``."""
        return ops.softmax(self, axis=axis)

    def log_softmax(self, axis: int = -1) -> Tensor:
        """x − ln Σ eˣ along ``axis``: ``ops.log_softmax``."""
        return ops.log_softmax(self, axis=axis)

    def sum(self, axis: Any = None, keepdims: bool = False, *, dtype: Any = None, out: Any = None) -> Tensor:
        """The sum over an axis, several, or all: ``ops.sum``."""
        _neither("sum", dtype, out)
        return ops.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False, *, dtype: Any = None, out: Any = None) -> Tensor:
        """The mean over an axis, several, or all: ``ops.mean``."""
        _neither("mean", dtype, out)
        return ops.mean(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Tensor:
        """The maximum over an axis, several, or all: ``ops.max``."""
        _neither("max", None, out)
        return ops.max(self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape, as .reshape(2, −1) or .reshape((2, −1)): ``ops.reshape``."""
        return ops.reshape(self, shape=_sizes(shape))

    def flatten(self) -> Tensor:
        """(N, C, H, W) → (N, C·H·W): ``ops.flatten``. The first axis stays, where NumPy's method keeps none."""
        return ops.flatten(self)

    def transpose(self, *axes: Any) -> Tensor:
        """The axes in another order, as .transpose(1, 0), or turned round: ``ops.transpose``."""
        return ops.transpose(self, axes=None if axes in ((), (None,)) else _sizes(axes))

    @property
    def T(self) -> Tensor:
        """The axes turned round."""
        return ops.transpose(self)

    def half(self) -> Tensor:
        """In half precision: ``ops.half``."""
        return ops.half(self)

    def float(self) -> Tensor:
        """In single precision: ``ops.float``."""
        return ops.float(self)

    def to(self: Any, device: Any) -> Tensor:
        """On another device; the gradient comes back from there: ``ops.to_device``."""
        return ops.to_device(self, device)

    # -- questions: no gradient goes through the answers ---------------------------------------------------------------

    def __eq__(self, other: Any) -> Any:
        return asked(np.equal, self, other)

    def __ne__(self, other: Any) -> Any:
        return asked(np.not_equal, self, other)

    def __lt__(self, other: Any) -> Any:
        return asked(np.less, self, other)

    def __le__(self, other: Any) -> Any:
        return asked(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return asked(np.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return asked(np.greater_equal, self, other)

    def __and__(self, other: Any) -> Any:
        return asked(np.bitwise_and, self, other)

    def __or__(self, other: Any) -> Any:
        return asked(np.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Any:
        return asked(np.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Any:
        return asked(np.invert, self)

    def __contains__(self, value: Any) -> bool:
        """Whether any element equals ``value``."""
        equal: Any = self == value
        return isinstance(equal, Tensor) and bool(equal.any())

    def any(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Tensor:
        """Whether any element over an axis, several, or all is not 0: a tensor of truth values."""
        return self._answer(np.any, axes("any", axis, self.ndim), keepdims, out)

    def all(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Tensor:
        """Whether no element over an axis, several, or all is 0: a tensor of truth values."""
        return self._answer(np.all, axes("all", axis, self.ndim), keepdims, out)

    def argmax(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Tensor:
        """Where along ``axis`` the maximum stands first, as whole numbers; without an axis, counted through all
        elements row by row. NaN wins."""
        return self._where("argmax", axis, keepdims, out)

    def argmin(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Tensor:
        """Where along ``axis`` the minimum stands first; see ``argmax``. NaN wins."""
        return self._where("argmin", axis, keepdims, out)

    def _where(self, name: str, axis: Any, keepdims: Any, out: Any) -> Tensor:
        axis = None if axis is None else one_axis(name, axis, self.ndim)
        if not (self.size if axis is None else self.shape[axis]):
            raise ValueError(f"{name}: no element stands along axis {axis} of shape {self.shape}: it is empty")
        return self._answer(getattr(np, name), axis, keepdims, out)

    def _answer(self, ask: Callable[..., Any], axis: Any, keepdims: Any, out: Any) -> Tensor:
        _neither(ask.__name__, None, out)
        with self.device:
            return wrap(stored(ask(self._array, axis=axis, keepdims=flag(ask.__name__, "keepdims", keepdims))),
                        self.device)


for _name, _member in vars(Methods).items():
    if (callable(_member) or isinstance(_member, property)) and _name not in ("__class__", "__hash__"):
        setattr(Tensor, _name, _member)
