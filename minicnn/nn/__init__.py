"""Layers, and what is made of them. A layer is anything that can be called on a tensor."""

from .hooks import eval_mode, forward_hook
from .layers import (
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
    initialise,
    manual_seed,
)
from .module import Module

__all__ = [
    "Conv2d", "Dropout", "Flatten", "Linear", "LocalResponseNorm", "MaxPool2d", "Module", "ReLU", "Sequential",
    "eval_mode", "forward_hook", "initialise", "manual_seed",
]  # fmt: skip
