"""What an array is to the engine, and how it lies in memory.

Shapes are (N, C, H, W) everywhere a person can see them. In memory the first axis, the batch, runs fastest, then the
others as they stand: (C, H, W, N). So images lie as in Krizhevsky's own program, a kernel's inner loop runs over the
batch without a stride, half of the channels is one piece of memory, and flatten is a view.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .device import home

__all__ = ["Array", "array_of", "batch_first", "batch_last", "rows", "stored"]

Array = Any  # a NumPy or CuPy array


def batch_last(array: Array) -> Array:
    """(N, C, H, W) seen as it lies in memory: (C, H, W, N)."""
    return array.transpose(*range(1, array.ndim), 0) if array.ndim > 1 else array


def batch_first(array: Array) -> Array:
    """(C, H, W, N) seen as people write it: (N, C, H, W)."""
    return array.transpose(-1, *range(array.ndim - 1)) if array.ndim > 1 else array


def stored(array: Array) -> Array:
    """The array in the engine's memory order; a copy only if need be."""
    if isinstance(array, (np.generic, int, float)):
        array = np.asarray(array)  # NumPy turns what it computes from arrays without axes into scalars
    inside = batch_last(array)
    return array if inside.flags.c_contiguous else batch_first(inside.copy(order="C"))


def rows(array: Array) -> Array:
    """The memory of an array as a matrix: what lies first in memory (channels), by all the rest."""
    inside = batch_last(array)
    return inside.reshape(inside.shape[0], -1) if array.size and array.ndim > 1 else inside.reshape(1, -1)


def array_of(x: Any, dtype: Any = None) -> Array:
    """``x`` (tensor, array, number, list) as an array where it lives, in whatever memory order, not always a copy.

    Numbers written in Python become float32. Raises TypeError where x is not real numbers.
    """
    x = getattr(x, "_array", x)  # a tensor's
    if not isinstance(x, np.generic) and not hasattr(x, "ndim"):
        x = np.asarray(x)
        dtype = dtype or (np.float32 if x.dtype == np.float64 else None)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"Tensor: {x.dtype} is not a type of real number")
    odd = x.dtype.kind == "f" and x.dtype.itemsize not in (4, 8)  # half and long double
    with home(x):
        return x.astype(dtype or (np.float32 if odd else x.dtype), copy=False)
