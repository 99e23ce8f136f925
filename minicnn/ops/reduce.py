"""Reductions over axes: each element of x went into one element of y, so it gets that element's gradient, weighted."""

from math import prod
from typing import Any

import numpy as np

from ..memory import Array
from ..op import op

__all__ = ["max", "mean", "sum"]

Axis = int | tuple[int, ...] | None


def axes_of(x: Array, axis: Axis) -> tuple[int, ...]:
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(np.lib.array_utils.normalize_axis_tuple(tuple(axes), x.ndim))


def kept(y: Array, axes: tuple[int, ...]) -> Array:
    """y with the reduced axes back, of size 1."""
    for axis in sorted(axes):
        y = np.expand_dims(y, axis)
    return y


@op
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over ``axis``: an axis, several, or all."""
    axes, shape = axes_of(x, axis), x.shape
    return x.sum(axes, keepdims=keepdims), lambda gy: np.broadcast_to(gy if keepdims else kept(gy, axes), shape)


@op
def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over ``axis``: an axis, several, or all."""
    axes, shape = axes_of(x, axis), x.shape
    n = prod(shape[a] for a in axes)
    return x.mean(axes, keepdims=keepdims), lambda gy: np.broadcast_to(gy if keepdims else kept(gy, axes), shape) / n


@op
def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The maximum over ``axis``: an axis, several, or all. NaN wins; of equal maxima the first takes the gradient."""
    axes = axes_of(x, axis)
    if not prod(x.shape[a] for a in axes):
        raise ValueError(f"max: no maximum over axes {axes} of shape {x.shape}: one of them is empty")
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    rows = x.transpose(*rest, *sorted(axes)).reshape(*(x.shape[a] for a in rest), prod(x.shape[a] for a in axes))
    winner = rows.argmax(-1)

    def gx(gy: Array) -> Array:
        wins = np.arange(rows.shape[-1], like=x) == winner[..., None]
        g = (wins * gy.reshape(winner.shape)[..., None]).astype(x.dtype)
        g = g.reshape(*(x.shape[a] for a in rest), *(x.shape[a] for a in sorted(axes)))
        return g.transpose(*np.argsort(rest + tuple(sorted(axes))).tolist())

    return x.max(axes, keepdims=keepdims), gx
