"""What every tensor can do: the ops as operators and methods.

It stands above the ops, and gives what it defines to ``Tensor``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..engine.comparison import Comparison, refuse_dtype_and_out
from ..engine.device import Device
from ..engine.tensor import Tensor, wrap

__all__ = ["Methods"]


def _sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """reshape(2, 3) and reshape((2, 3)) are the same."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


class Methods(Comparison):
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
        refuse_dtype_and_out("sum", dtype, out)
        return ops.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False, *, dtype: Any = None, out: Any = None) -> Tensor:
        """The mean over an axis, several, or all: ``ops.mean``."""
        refuse_dtype_and_out("mean", dtype, out)
        return ops.mean(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False, *, out: Any = None) -> Tensor:
        """The maximum over an axis, several, or all: ``ops.max``."""
        refuse_dtype_and_out("max", None, out)
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

    def to(self: Any, device: Device) -> Tensor:
        """On another device; the gradient comes back from there: ``ops.to_device``."""
        return ops.to_device(self, device)

    # -- in place ------------------------------------------------------------------------------------------------------

    def __iadd__(self, other: Any) -> Tensor:
        return self._assign(ops.add(self, other))

    def __isub__(self, other: Any) -> Tensor:
        return self._assign(ops.subtract(self, other))

    def __imul__(self, other: Any) -> Tensor:
        return self._assign(ops.multiply(self, other))

    def __itruediv__(self, other: Any) -> Tensor:
        return self._assign(ops.divide(self, other))

    def __ipow__(self, other: Any) -> Tensor:
        return self._assign(ops.power(self, other))

    def __imatmul__(self, other: Any) -> Tensor:
        return self._assign(ops.matmul(self, other))


for _name, _member in vars(Methods).items():
    if (callable(_member) or isinstance(_member, property)) and _name not in ("__class__", "__hash__"):
        setattr(Tensor, _name, _member)
