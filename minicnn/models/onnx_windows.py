"""ONNX's windows in terms of ours, and what all of ``onnx_ops`` has in common."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..engine.settings import shown
from ..engine.tensor import Tensor
from ..ops.window import Windows

__all__ = ["Ints", "average_pool", "conv", "max_pool", "only", "room", "static"]

Ints = tuple[int, ...]


def only(name: str, value: Any, *known: Any) -> None:
    """Raises ValueError for any other value."""
    if value not in known:
        raise ValueError(f"{name} is {shown(value)}: known is {' or '.join(map(shown, known))}")


def room(most: int, *shape: int) -> None:
    """Raises ValueError where a result of this shape has more than ``most`` numbers: before it takes their memory."""
    if math.prod(shape) > most:
        raise ValueError(f"its result would be {shown(shape)}: more than {most} numbers no network for pictures needs")


def static(value: Any, otherwise: Ints = ()) -> Ints:
    """Whole numbers that an input gives in later opsets, and an attribute in earlier ones."""
    if isinstance(value, Tensor):
        raise ValueError("what should be whole numbers is computed, or real: only constants are known here")
    return otherwise if value is None else tuple(value)


def windows_on(x: Tensor, size: Ints, strides: Ints, pads: Ints, dilations: Ints, auto_pad: str, ceil: int,
               most: int) -> Windows:
    """The windows on x. ceil: as many as begin in the image or before it, of which the last may end beyond all padding.
    most: so many numbers may be made of them, one of each in each map."""
    if x.ndim != 4 or not len(size) == len(strides) == len(pads) / 2 == 2:
        raise ValueError(f"windows {shown(size)}, strides {shown(strides)} and pads {shown(pads)} on {x.shape}: known "
                         "are those over (N, C, H, W)")
    only("dilations", dilations, (1, 1))
    only("auto_pad", auto_pad, "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    only("ceil_mode", ceil, 0, 1)
    if min(*strides, *size) < 1 or min(pads) < 0:
        raise ValueError(f"windows {shown(size)}, strides {shown(strides)} and pads {shown(pads)} are none")
    sides = []
    for n, window, step, before, after in zip(x.shape[2:], size, strides, pads[:2], pads[2:], strict=True):
        if auto_pad == "VALID":
            before = after = 0
        elif auto_pad != "NOTSET":
            total = max((-(-n // step) - 1) * step + window - n, 0)
            before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            after = total - before
        if ceil:
            last = min(-(-(n + before + after - window) // step), (n + before - 1) // step)
            after = max(last * step + window - n - before, 0)
        sides.append((before, after))
    windows = Windows.on("windows", x.shape[2:], size, strides, sides)
    room(most, *x.shape[:2], windows.P, windows.Q)
    return windows


def conv(x: Tensor, w: Tensor, b: Tensor | None = None, *, kernel_shape: Ints | None = None, strides: Ints = (1, 1),
         pads: Ints = (0, 0, 0, 0), dilations: Ints = (1, 1), group: int = 1, auto_pad: str = "NOTSET",
         most: int) -> Tensor:
    """As ``ops.conv2d``."""
    only("kernel_shape", kernel_shape, None, w.shape[2:])
    on = windows_on(x, w.shape[2:], strides, pads, dilations, auto_pad, 0, most)
    room(most, x.shape[0], w.shape[0], on.P, on.Q)
    return ops.conv2d(x, w, b, stride=(on.down, on.right), padding=on.around, groups=group)


def max_pool(x: Tensor, *, kernel_shape: Ints, strides: Ints = (1, 1), pads: Ints = (0, 0, 0, 0),
             dilations: Ints = (1, 1), auto_pad: str = "NOTSET", ceil_mode: int = 0, storage_order: int = 0,
             most: int) -> Tensor:
    """As ``ops.max_pool2d``."""
    only("storage_order", storage_order, 0)
    on = windows_on(x, kernel_shape, strides, pads, dilations, auto_pad, ceil_mode, most)
    return ops.max_pool2d(x, size=(on.R, on.S), stride=(on.down, on.right), padding=on.around)


def average_pool(x: Tensor, *, kernel_shape: Ints, strides: Ints = (1, 1), pads: Ints = (0, 0, 0, 0),
                 dilations: Ints = (1, 1), auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0,
                 most: int) -> Tensor:
    """As ``ops.avg_pool2d``."""
    if ceil_mode and count_include_pad:
        raise ValueError("ceil_mode is 1 and count_include_pad is 1: known is one of them")
    on = windows_on(x, kernel_shape, strides, pads, dilations, auto_pad, ceil_mode, most)
    return ops.avg_pool2d(x, size=(on.R, on.S), stride=(on.down, on.right), padding=on.around,
                          count_include_pad=bool(count_include_pad))
