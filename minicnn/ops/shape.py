"""Ops that move numbers and change none: their gradients move them back."""

from typing import Any

import numpy as np

from minicnn.kernels import add_at

from ..memory import Array, batch_first, batch_last
from ..op import op
from ..tensor import Tensor

__all__ = ["concatenate", "flatten", "getitem", "reshape", "transpose"]


@op
def reshape(x: Array, *, shape: tuple[int, ...]) -> Any:
    """x in another shape, its elements in the same order; one size may be −1."""
    before = x.shape
    return x.reshape(shape), lambda gy: gy.reshape(before)


@op
def flatten(x: Array) -> Any:
    """(N, C, H, W) → (N, C·H·W), or the same from any other number of axes: a view in the engine's memory order."""
    y = batch_last(x).reshape(int(np.prod(x.shape[1:])), x.shape[0]).T
    inside = batch_last(x).shape
    return y, lambda gy: batch_first(gy.T.reshape(inside))


@op
def transpose(x: Array, *, axes: tuple[int, ...] | None = None) -> Any:
    """x with its axes in the order ``axes``, or turned round."""
    order = tuple(reversed(range(x.ndim))) if axes is None else np.lib.array_utils.normalize_axis_tuple(axes, x.ndim)
    return x.transpose(order), lambda gy: gy.transpose(*np.argsort(order).tolist())


def own_index(index: Any) -> Any:
    """One index, no longer the caller's to change before backward: whole numbers or a mask, unless it is plain."""
    if index is None or index is Ellipsis or isinstance(index, (int, slice)):
        return index
    array = np.array(index.numpy() if isinstance(index, Tensor) else index)
    return array if array.size or array.dtype == bool else array.astype(int)  # [] makes an array of float64


@op
def getitem(x: Array, *, index: Any) -> Any:
    """x[index], with all that NumPy allows. An element taken twice gets both gradients."""
    indexes = tuple(own_index(i) for i in (index if isinstance(index, tuple) else (index,)))
    picks = any(isinstance(i, np.ndarray) for i in indexes)
    if picks:
        np.broadcast_to(False, x.shape)[indexes]  # raises IndexError, where a GPU would begin again at 0
    shape = x.shape

    def gx(gy: Array) -> Array:
        g = np.zeros_like(gy, shape=shape, order="C")
        if picks:
            add_at(g, indexes, gy)
        else:
            g[indexes] = gy  # slices take no element twice
        return g

    return x[indexes], gx


@op
def concatenate(*xs: Array, axis: int = 0) -> Any:
    """The arrays one after the other along ``axis``."""
    y = np.concatenate(xs, axis)
    ends = np.cumsum([x.shape[axis] for x in xs]).tolist()

    def part(start: int, stop: int) -> Any:
        return lambda gy: np.moveaxis(np.moveaxis(gy, axis, 0)[start:stop], 0, axis)

    return y, *(part(stop - x.shape[axis], stop) for x, stop in zip(xs, ends, strict=True))
