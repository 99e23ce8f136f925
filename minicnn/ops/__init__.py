"""WHAT is computed: one op a file, its value and its gradients side by side.

Shapes: N images, C channels, H × W pixels in; K kernels of R × S; P × Q pixels out.
Tensors x w b y; gradients of the loss gx gw gb gy.

This list is all there is to register; ``methods.py`` makes operators and methods of them, and ``dispatch.py`` is what
NumPy's functions do with tensors.
"""

from .arithmetic import add, divide, exp, log, multiply, negative, power, sigmoid, subtract, tanh
from .avg_pool2d import avg_pool2d
from .conv2d import conv2d
from .cross_entropy import cross_entropy, log_softmax, softmax
from .dropout import dropout
from .linear import linear, matmul
from .local_response_norm import local_response_norm
from .map_response_norm import map_response_norm
from .max_pool2d import max_pool2d
from .precision import float, half
from .reduce import max, mean, sum
from .relu import relu
from .shape import concatenate, flatten, getitem, reshape, transpose
from .to_device import ledger, to_device

__all__ = [
    "add", "avg_pool2d", "concatenate", "conv2d", "cross_entropy", "divide", "dropout", "exp", "flatten", "float",
    "getitem", "half", "ledger", "linear", "local_response_norm", "log", "log_softmax", "map_response_norm", "matmul",
    "max", "max_pool2d", "mean", "multiply", "negative", "power", "relu", "reshape", "sigmoid", "softmax", "subtract",
    "sum", "tanh", "to_device", "transpose",
]  # fmt: skip
