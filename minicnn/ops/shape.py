"""Ops that move numbers and change none: their gradients move them back."""

from math import prod
from typing import Any

import numpy as np

from minicnn.kernels.add_at import add_at

from ..engine.memory import Array, array_of, batch_first, batch_last
from ..engine.op import Computed, Operand, op
from ..engine.settings import OutOfRange, several, shown, whole
from ..engine.settings import axes as axes_of
from ..engine.settings import axis as axis_of
from ..engine.tensor import Tensor

__all__ = ["concatenate", "flatten", "getitem", "reshape", "transpose"]


@op(whole="x")
def reshape(x: Operand, *, shape: int | tuple[int, ...]) -> Computed:
    """x in another shape, its elements in the same order; one size may be −1.

    Raises ValueError where so many elements have no place, or too much.
    """
    given, before = several(shape), x.shape
    sizes = tuple(whole("reshape", "shape", n, least=-1) for n in ((shape,) if given is None else given))
    known = prod(n for n in sizes if n != -1)
    fits = known and x.size % known == 0 and sizes.count(-1) == 1 if -1 in sizes else known == x.size
    if not fits:
        raise ValueError(f"reshape: cannot turn shape {before}, size {x.size} into shape {sizes}: the products of the "
                         "sizes must be the same, and one size may be -1")
    return x.reshape(sizes), lambda gy: gy.reshape(before)


@op(whole="x")
def flatten(x: Operand) -> Computed:
    """(N, C, H, W) → (N, C·H·W), or the same from any other number of axes: a view in the engine's memory order."""
    if not x.ndim:
        raise ValueError("flatten: x has no axes, so there are no images: give at least (N,)")
    y = batch_last(x).reshape(int(np.prod(x.shape[1:])), x.shape[0]).T
    inside = batch_last(x).shape
    return y, lambda gy: batch_first(gy.T.reshape(inside))


@op(whole="x")
def transpose(x: Operand, *, axes: tuple[int, ...] | None = None) -> Computed:
    """x with its axes in the order ``axes``, or turned round."""
    order = tuple(reversed(range(x.ndim))) if axes is None else axes_of("transpose", axes, x.ndim)
    if len(order) != x.ndim:
        raise ValueError(f"transpose: axes {shown(axes)} of shape {x.shape}: name each of the {x.ndim} once")
    return x.transpose(order), lambda gy: gy.transpose(*np.argsort(order).tolist())


def own_index(index: Any) -> Any:
    """One index, no longer the caller's to change before backward: whole numbers or a mask, unless it is plain."""
    if index is None or index is Ellipsis or isinstance(index, (int, slice)):
        return index
    if isinstance(index, (list, tuple)) and not len(index):
        return np.zeros(0, int)  # NumPy would make it real numbers
    try:
        array = array_of(index.numpy() if isinstance(index, Tensor) else index, name="getitem")
        if array.dtype.kind == "f":
            raise TypeError
    except TypeError:
        raise OutOfRange(f"getitem: {shown(index)} is no index: give whole numbers, slices or masks") from None
    return array.copy()


@op(whole="x")
def getitem(x: Operand, *, index: Any) -> Computed:
    """x[index], with all that NumPy allows. An element taken twice gets both gradients.

    Raises IndexError, which is a ValueError too, where there is no such element.
    """
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


@op(whole="xs")
def concatenate(*xs: Operand, axis: int = 0) -> Computed:
    """The arrays, given one by one or in one list, one after the other along ``axis``.

    Raises ValueError where there are none, or where their shapes differ in another axis.
    """
    if not xs:
        raise ValueError("concatenate: there are no arrays: give at least one")
    shapes = [np.shape(x) for x in xs]
    axis = axis_of("concatenate", axis, len(shapes[0]))
    for i, shape in enumerate(shapes):
        if len(shape) != len(shapes[0]):
            raise ValueError(f"concatenate: input 0 has shape {shapes[0]}, input {i} {shape}: give all as many axes")
        for a in range(len(shape)):
            if a != axis and shape[a] != shapes[0][a]:
                raise ValueError(f"concatenate: along axis {a} input 0 has size {shapes[0][a]} and input {i} size "
                                 f"{shape[a]}: they may differ along axis {axis} alone")
    y = np.concatenate(xs, axis)
    if y.dtype.kind == "f" and not any(x.dtype.kind == "f" for x in xs):
        raise ValueError(f"concatenate: no type of whole numbers holds {' and '.join(str(x.dtype) for x in xs)}: give "
                         "all one type")
    ends = np.cumsum([x.shape[axis] for x in xs]).tolist()

    def part(start: int, stop: int) -> Any:
        return lambda gy: np.moveaxis(np.moveaxis(gy, axis, 0)[start:stop], 0, axis)

    return y, *(part(stop - x.shape[axis], stop) for x, stop in zip(xs, ends, strict=True))
