"""Layers that pool neighbouring places of a map; by themselves over the overlapping windows of the paper, 3 by 2."""

from __future__ import annotations

from .. import ops
from ..engine.settings import flag
from ..engine.tensor import Tensor
from ..ops.window import Padding, Pair, own, pair, sides
from .module import Module

__all__ = ["AvgPool2d", "MaxPool2d"]


class _Pool2d(Module):
    """Windows over (N, C, H, W)."""

    def __init__(self, size: Pair = 3, stride: Pair = 2, padding: Padding = 0):
        name = type(self).__name__
        pair(name, "size", size, 1), pair(name, "stride", stride, 1), sides(name, padding)  # raise
        self.size, self.stride, self.padding = own(size), own(stride), own(padding)


class MaxPool2d(_Pool2d):
    """``ops.max_pool2d``."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, P, Q)."""
        return ops.max_pool2d(x, size=self.size, stride=self.stride, padding=self.padding)


class AvgPool2d(_Pool2d):
    """``ops.avg_pool2d``."""

    def __init__(self, size: Pair = 3, stride: Pair = 2, padding: Padding = 0, count_include_pad: bool = True):
        super().__init__(size, stride, padding)
        self.count_include_pad = flag("AvgPool2d", "count_include_pad", count_include_pad)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, P, Q)."""
        return ops.avg_pool2d(x, size=self.size, stride=self.stride, padding=self.padding,
                              count_include_pad=self.count_include_pad)
