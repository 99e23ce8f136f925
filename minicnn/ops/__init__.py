"""WHAT is computed: one op a file, its value and its gradients side by side.

Shapes: N images, C channels, H × W pixels in; K kernels of R × S; P × Q pixels out.
Tensors x w b y; gradients of the loss gx gw gb gy.

This list is all there is to register; below it, the operators and methods that every tensor gets.
"""

from typing import Any

from ..tensor import Tensor
from .arithmetic import add, divide, exp, log, multiply, negative, power, sigmoid, subtract, tanh
from .conv2d import conv2d
from .cross_entropy import cross_entropy, log_softmax, softmax
from .dropout import dropout
from .linear import linear, matmul
from .local_response_norm import local_response_norm
from .max_pool2d import max_pool2d
from .precision import float, half
from .reduce import max, mean, sum
from .relu import relu
from .shape import concatenate, flatten, getitem, reshape, transpose
from .to_device import ledger, to_device

__all__ = [
    "add", "concatenate", "conv2d", "cross_entropy", "divide", "dropout", "exp", "flatten", "float", "getitem", "half",
    "ledger", "linear", "local_response_norm", "log", "log_softmax", "matmul", "max", "max_pool2d", "mean", "multiply",
    "negative", "power", "relu", "reshape", "sigmoid", "softmax", "subtract", "sum", "tanh", "to_device", "transpose",
]  # fmt: skip


def _reversed(op: Any) -> Any:
    return lambda self, other: op(other, self)


def _over_axes(op: Any) -> Any:
    return lambda self, axis=None, keepdims=False: op(self, axis=axis, keepdims=keepdims)


def _sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """reshape(2, 3) and reshape((2, 3)) are the same."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


_operators = {"add": add, "sub": subtract, "mul": multiply, "truediv": divide, "pow": power, "matmul": matmul}
for _name, _op in _operators.items():
    setattr(Tensor, f"__{_name}__", _op)
    setattr(Tensor, f"__r{_name}__", _reversed(_op))
for _op in (exp, log, tanh, sigmoid, relu, flatten, half, float):
    setattr(Tensor, _op.__name__, _op)
for _op in (sum, mean, max):
    setattr(Tensor, _op.__name__, _over_axes(_op))
_methods: dict[str, Any] = {
    "__neg__": negative,
    "__getitem__": lambda self, index: getitem(self, index=index),
    "softmax": lambda self, axis=-1: softmax(self, axis=axis),
    "log_softmax": lambda self, axis=-1: log_softmax(self, axis=axis),
    "reshape": lambda self, *shape: reshape(self, shape=_sizes(shape)),
    "transpose": lambda self, *axes: transpose(self, axes=_sizes(axes) or None),
    "to": to_device,
    "T": property(transpose),
}
for _name, _method in _methods.items():
    setattr(Tensor, _name, _method)
