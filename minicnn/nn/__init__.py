"""Layers, and what is made of them. A layer is anything that can be called on a tensor."""

from .hooks import eval_mode, forward_hook
from .layers import (
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    Tanh,
    initialise,
    manual_seed,
)
from .module import Module
from .norms import LocalResponseNorm, MapResponseNorm
from .pooling import AvgPool2d, MaxPool2d

__all__ = [
    "AvgPool2d", "Conv2d", "Dropout", "Flatten", "Linear", "LocalResponseNorm", "MapResponseNorm", "MaxPool2d",
    "Module", "ReLU", "Sequential", "Tanh", "eval_mode", "forward_hook", "initialise", "manual_seed",
]  # fmt: skip
