"""Softmax and the loss of classification (Krizhevsky et al. 2012, §3.5: multinomial logistic regression)."""

from typing import Any

import numpy as np

from minicnn.kernels.add_at import add_at
from minicnn.kernels.cross_entropy import cross_entropy as kernel
from minicnn.kernels.cross_entropy import cross_entropy_backward as kernel_backward
from minicnn.kernels.cross_entropy import outside

from ..engine.memory import Array, rows
from ..engine.op import Computed, Operand, op
from ..engine.settings import axis as axis_of
from .reduce import total

__all__ = ["check_labels", "cross_entropy", "log_softmax", "softmax"]


def less_its_maximum(op: str, x: Array, axis: int) -> tuple[Array, int]:
    """(x − max x along the axis, the axis). Raises ValueError where there is none, or it is empty."""
    axis = axis_of(op, axis, x.ndim)
    if not x.shape[axis]:
        raise ValueError(f"{op}: axis {axis} of shape {x.shape} is empty: there is nothing to share out")
    return x - x.max(axis, keepdims=True), axis


@op
def softmax(x: Operand, *, axis: int = -1) -> Computed:
    """eˣ / Σ eˣ along ``axis``; the maximum is taken off first, so that nothing overflows.

    −∞ takes no share. Where the maximum is ∞, −∞ or NaN, all along the axis is NaN.
    """
    shifted, axis = less_its_maximum("softmax", x, axis)
    y = np.exp(shifted)
    y /= total(y, axis, keepdims=True)
    return y, lambda gy: y * (gy - total(gy * y, axis, keepdims=True))


@op
def log_softmax(x: Operand, *, axis: int = -1) -> Computed:
    """ln softmax(x) = x − ln Σ eˣ along ``axis``; NaN where softmax is."""
    shifted, axis = less_its_maximum("log_softmax", x, axis)
    y = shifted - np.log(total(np.exp(shifted), axis, keepdims=True))
    return y, lambda gy: gy - np.exp(y) * total(gy, axis, keepdims=True)


def check_labels(labels: Array, logits: tuple[int, ...]) -> None:
    """Raises ValueError unless the labels are (N,), whole numbers from 0 to classes − 1, for logits (N, classes)."""
    if len(logits) != 2 or np.shape(labels) != logits[:1] or labels.dtype.kind not in "iu" or not logits[0]:
        raise ValueError(f"cross_entropy: x {logits} and labels {np.shape(labels)}, {getattr(labels, 'dtype', '')}, do "
                         "not fit: give x (N, classes) and N ≥ 1 labels, whole numbers")
    if outside(labels, logits[1]):
        raise ValueError(f"cross_entropy: labels go from {labels.min()} to {labels.max()}, but x {logits} has classes "
                         f"0 to {logits[1] - 1}")


@op(whole="labels")
def cross_entropy(x: Operand, labels: Operand, weight: Operand | None = None) -> Computed:
    """The mean over the images of −ln softmax(x)[label]. Its gradient is (softmax(x) − one-hot labels) / N.

    x: (N, classes), before any softmax.  labels: (N,), whole numbers from 0.  y: one number.
    weight: (classes,), how much an image of each class counts; without it, all count alike. The mean then is
        Σ weight[label] · loss / Σ weight[label], as in PyTorch, and NaN where that is 0 / 0.
    ln(classes) is what guessing costs: a loss that stays there has learned nothing.

    Raises ValueError for an empty batch, shapes that do not fit, and a label that is no class; the last not while a
    CUDA graph is captured, which can ask nothing.
    """
    check_labels(labels, x.shape)
    if weight is not None and weight.shape != x.shape[1:]:
        raise ValueError(f"cross_entropy: x {x.shape} and weight {weight.shape} do not fit: give one number a "
                         f"class, ({x.shape[1]},)")
    y, each = np.empty_like(x), np.empty_like(x, shape=len(x))
    labels = labels.astype(np.int64, copy=False)
    kernel(rows(y), each, rows(x), labels)
    count: Any = None if weight is None else weight.take(labels)  # of each image
    mean = each.mean() if count is None else (count * each).sum() / count.sum()

    def gx(gy: Array) -> Array:
        g: Array = np.empty_like(y)
        kernel_backward(rows(g), rows(y), labels, gy.reshape(1))
        if count is not None:
            rows(g)[...] *= count * (len(x) / count.sum())  # the kernel has divided by N
        return g

    def gweight(gy: Array) -> Array:
        g = np.zeros_like(weight)
        add_at(g, labels, gy * (each - mean) / count.sum())
        return g

    return mean, gx, None, gweight
