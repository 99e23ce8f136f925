"""Reductions over axes: each element of x went into one element of y, so it gets that element's gradient, weighted."""

from math import prod

import numpy as np

from ..engine.memory import Array
from ..engine.op import Computed, Operand, exactly, op
from ..engine.settings import axes as axes_of
from ..engine.settings import flag

__all__ = ["max", "mean", "sum"]

Axis = int | tuple[int, ...] | None


def total(x: Array, axes: int | tuple[int, ...], keepdims: bool = False) -> Array:
    """x.sum(axes) of real numbers in their type, added up in double: a running sum of single ones ends at 2²⁴ ones."""
    if axes == ():
        return x
    double: Array = x.sum(axes, dtype=np.float64, keepdims=keepdims)
    return double.astype(x.dtype, copy=False)


def kept(y: Array, axes: tuple[int, ...]) -> Array:
    """y with the reduced axes back, of size 1."""
    for axis in sorted(axes):
        y = np.expand_dims(y, axis)
    return y


def filled(op: str, x: Array, axis: Axis) -> tuple[int, ...]:
    """The axes in order. Raises ValueError where one of them is empty."""
    axes = tuple(sorted(axes_of(op, axis, x.ndim)))
    if not prod(x.shape[a] for a in axes):
        what = "maximum" if op == "max" else op
        raise ValueError(f"{op}: no {what} over axes {axes} of shape {x.shape}: one of them is empty")
    return axes


@op(whole="x")
def sum(x: Operand, *, axis: Axis = None, keepdims: bool = False) -> Computed:
    """The sum over ``axis``: an axis, several, or all."""
    axes, shape, keepdims = axes_of("sum", axis, x.ndim), x.shape, flag("sum", "keepdims", keepdims)
    y = total(x, axes, keepdims) if x.dtype.kind == "f" else exactly("sum", lambda x: x.sum(axes, keepdims=keepdims), x)
    return y, lambda gy: np.broadcast_to(gy if keepdims else kept(gy, axes), shape)


@op
def mean(x: Operand, *, axis: Axis = None, keepdims: bool = False) -> Computed:
    """The mean over ``axis``: an axis, several, or all."""
    axes, shape, keepdims = filled("mean", x, axis), x.shape, flag("mean", "keepdims", keepdims)
    n = prod(shape[a] for a in axes)
    y = x.mean(axes, dtype=np.float64, keepdims=keepdims).astype(x.dtype, copy=False)
    return y, lambda gy: np.broadcast_to(gy if keepdims else kept(gy, axes), shape) / n


@op(whole="x")
def max(x: Operand, *, axis: Axis = None, keepdims: bool = False) -> Computed:
    """The maximum over ``axis``: an axis, several, or all. NaN wins; of equal maxima the first takes the gradient."""
    axes, keepdims = filled("max", x, axis), flag("max", "keepdims", keepdims)
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    rows = x.transpose(rest + axes).reshape((*(x.shape[a] for a in rest), prod(x.shape[a] for a in axes)))
    winner = rows.argmax(-1)

    def gx(gy: Array) -> Array:
        wins = np.arange(rows.shape[-1], like=x) == winner[..., None]
        g: Array = (wins * gy.reshape(winner.shape)[..., None]).astype(x.dtype)
        g = g.reshape(tuple(x.shape[a] for a in rest + axes))
        return g.transpose(np.argsort(rest + axes).tolist())

    return x.max(axes, keepdims=keepdims), gx
