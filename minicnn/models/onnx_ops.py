"""ONNX's ops in terms of ours: one function for each, in ``OPS``.

What a function takes by position are the inputs of a node, tensors, or tuples of whole numbers where the file has them
as constants. What it takes by name are the attributes, with ONNX's defaults, and facts that some ask for: ``opset``;
``batch``, for how many pictures the file was written; ``outputs``, how many there are; ``most``, how many numbers the
result may have. An attribute that a function does not take is refused, and so is a value that ours do not compute.

In all of this axis 0 are the pictures, and no op may mix them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..engine.settings import axes as axes_of
from ..engine.settings import axis as axis_of
from ..engine.settings import shown
from ..engine.tensor import Tensor
from .onnx_windows import Ints, average_pool, conv, max_pool, only, room, static

__all__ = ["OPS"]

REAL = (1, 10, 11, "FLOAT", "FLOAT16", "DOUBLE")  # what a Cast may be to: all of it is computed in single precision


def over_all_places(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def pooled(x: Tensor) -> Tensor:
        return op(x, axis=tuple(range(2, x.ndim)), keepdims=True)

    return pooled


# -- products and sums -------------------------------------------------------------------------------------------------


def gemm(a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0,
         transB: int = 0, broadcast: int = 1, most: int) -> Tensor:
    only("transA", transA, 0)
    w = b if transB else ops.transpose(b)
    room(most, *a.shape[:1], *w.shape[:1])
    y = ops.linear(a, w)
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)


def matmul(a: Tensor, b: Tensor, *, most: int) -> Tensor:
    room(most, *np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *b.shape[-1:])
    return ops.matmul(a, b)


def of_two(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def function(a: Any, b: Any, *, broadcast: int = 0, axis: int | None = None, most: int) -> Tensor:
        """axis: before opset 7, that axis of a from which on b's go."""
        a, b = (x if isinstance(x, Tensor) else one_number(x) for x in (a, b))
        if axis is not None:
            first = axis_of("axis", axis, a.ndim)
            b = ops.reshape(b, shape=(*b.shape, *(1,) * (a.ndim - first - b.ndim)))
        room(most, *np.broadcast_shapes(*(x.shape for x in (a, b) if isinstance(x, Tensor))))
        return op(a, b)

    return function


def one_number(constant: Ints) -> float:
    if len(constant) != 1:
        raise ValueError(f"whole numbers {shown(constant)} beside real ones")
    return float(constant[0])


def total(*xs: Tensor, most: int) -> Tensor:
    y = xs[0]
    for x in xs[1:]:
        y = of_two(ops.add)(y, x, most=most)
    return y


def batch_normalization(x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, *,
                        epsilon: float = 1e-5, momentum: float = 0.9, spatial: int = 1, is_test: int = 1,
                        training_mode: int = 0) -> Tensor:
    only("spatial", spatial, 1)
    only("is_test", is_test, 1)
    only("training_mode", training_mode, 0)
    each = (x.shape[1], *(1,) * (x.ndim - 2))
    factor = scale / (variance + epsilon) ** 0.5
    return (x - mean.reshape(each)) * factor.reshape(each) + shift.reshape(each)


def local_response_norm(x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    return ops.local_response_norm(x, size=size, alpha=alpha / max(size, 1), beta=beta, k=bias)


def along_an_axis(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def function(x: Tensor, *, axis: int | None = None, opset: int) -> Tensor:
        """Before opset 13 over all axes from this one on."""
        first = axis_of("axis", (-1 if opset >= 13 else 1) if axis is None else axis, x.ndim)
        if not first:
            raise ValueError("it goes over axis 0, which are the pictures")
        if opset >= 13 or first == x.ndim - 1:
            return op(x, axis=first)
        return op(x.reshape(*x.shape[:first], math.prod(x.shape[first:])), axis=-1).reshape(x.shape)

    return function


def reduced(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def function(x: Tensor, given: Any = None, *, axes: Ints = (), keepdims: int = 1,
                 noop_with_empty_axes: int = 0) -> Tensor:
        if not (over := axes_of("axes", static(given, axes), x.ndim)):
            raise ValueError("it names no axes, and axis 0 are the pictures")
        return op(x, axis=over, keepdims=bool(keepdims))

    return function


# -- shapes ------------------------------------------------------------------------------------------------------------


def reshape(x: Tensor, sizes: Any = None, *, shape: Ints = (), allowzero: int = 0, batch: int | None) -> Tensor:
    """A first size that is the file's batch means as many pictures as come."""
    given = static(sizes, shape)
    only("allowzero", allowzero, 0)
    if len(given) > 8 or any(size == 0 and i >= x.ndim for i, size in enumerate(given)):
        raise ValueError(f"a shape {shown(given)} for {x.shape}")
    new = [x.shape[i] if size == 0 else size for i, size in enumerate(given)]
    return ops.reshape(x, shape=(x.shape[0], *new[1:]) if new[:1] == [batch] else tuple(new))


def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    only("axis", axis, 1, 1 - x.ndim)
    return ops.flatten(x)


def squeeze(x: Tensor, given: Any = None, *, axes: Ints = ()) -> Tensor:
    gone = axes_of("axes", static(given, axes), x.ndim)
    if not gone or any(x.shape[axis] != 1 for axis in gone):
        raise ValueError(f"axes {gone} of {x.shape}: name those to leave out, each of size 1")
    return ops.reshape(x, shape=tuple(size for axis, size in enumerate(x.shape) if axis not in gone))


def unsqueeze(x: Tensor, given: Any = None, *, axes: Ints = ()) -> Tensor:
    new = static(given, axes)
    if x.ndim + len(new) > 8:
        raise ValueError(f"{len(new)} more axes for {x.shape}")
    new, sizes = axes_of("axes", new, x.ndim + len(new)), iter(x.shape)
    return ops.reshape(x, shape=tuple(1 if axis in new else next(sizes) for axis in range(x.ndim + len(new))))


def transpose(x: Tensor, *, perm: Ints | None = None) -> Tensor:
    return ops.transpose(x, axes=perm)


def concat(*xs: Tensor, axis: int = 1, most: int) -> Tensor:
    room(most, sum(x.size for x in xs))
    return ops.concatenate(*xs, axis=axis)


def split(x: Tensor, sizes: Any = None, *, axis: int = 0, split: Ints = (), num_outputs: int | None = None,
          outputs: int) -> list[Tensor]:
    axis, parts = axis_of("axis", axis, x.ndim), static(sizes, split)
    size = x.shape[axis]
    if not parts and (num_outputs or size % outputs == 0):  # who says how many they are leaves the last one the rest
        each = -(-size // outputs)
        parts = (*(each,) * (outputs - 1), size - each * (outputs - 1))
    if len(parts) != outputs or sum(parts) != size or min(parts) < 0 or num_outputs not in (None, outputs):
        raise ValueError(f"{x.shape} is not split along axis {axis} into {outputs} parts {shown(parts)}")
    ends = np.cumsum(parts).tolist()
    return [ops.getitem(x, index=(*(slice(None),) * axis, slice(end - size, end)))
            for end, size in zip(ends, parts, strict=True)]  # fmt: skip


def part(x: Tensor, first: Any = None, last: Any = None, along: Any = None, step: Any = None, *, starts: Ints = (),
         ends: Ints = (), axes: Ints = ()) -> Tensor:
    begin, end = static(first, starts), static(last, ends)
    over, steps = static(along, axes) or tuple(range(len(begin))), static(step) or (1,) * len(begin)
    if not len(begin) == len(end) == len(over) == len(steps) or 0 in steps:
        raise ValueError(f"starts {shown(begin)}, ends {shown(end)}, axes {shown(over)} and steps {shown(steps)}")
    index = [slice(None)] * x.ndim
    for axis, *bounds in zip(axes_of("axes", over, x.ndim), begin, end, steps, strict=True):
        index[axis] = slice(*bounds)
    if index[:1] != [slice(None)]:
        raise ValueError("it takes a part of axis 0, which are the pictures")
    return ops.getitem(x, index=tuple(index))


# -- what passes at test -----------------------------------------------------------------------------------------------


def same(x: Tensor) -> Tensor:
    return x


def dropout(x: Tensor, p: Any = None, training: Any = None, *, ratio: float = 0.5, is_test: int = 1,
            seed: int = 0) -> Tensor:
    only("training_mode", static(training), (), (0,))
    return x


def cast(x: Tensor, *, to: Any, saturate: int = 1, round_mode: str = "up") -> Tensor:
    only("to", to, *REAL)
    return x


OPS: dict[str, Callable[..., Tensor | Sequence[Tensor]]] = {
    "Add": of_two(ops.add), "AveragePool": average_pool, "BatchNormalization": batch_normalization, "Cast": cast,
    "Concat": concat, "Conv": conv, "Div": of_two(ops.divide), "Dropout": dropout, "Exp": ops.exp,
    "Flatten": flatten, "Gemm": gemm, "GlobalAveragePool": over_all_places(ops.mean),
    "GlobalMaxPool": over_all_places(ops.max), "Identity": same, "LRN": local_response_norm,
    "Log": ops.log, "LogSoftmax": along_an_axis(ops.log_softmax), "MatMul": matmul, "MaxPool": max_pool,
    "Mul": of_two(ops.multiply), "Neg": operator.neg, "Pow": of_two(ops.power), "ReduceMax": reduced(ops.max),
    "ReduceMean": reduced(ops.mean), "ReduceSum": reduced(ops.sum), "Relu": ops.relu, "Reshape": reshape,
    "Sigmoid": ops.sigmoid, "Slice": part, "Softmax": along_an_axis(ops.softmax), "Split": split,
    "Sqrt": lambda x: ops.power(x, 0.5), "Squeeze": squeeze, "Sub": of_two(ops.subtract), "Sum": total,
    "Tanh": ops.tanh, "Transpose": transpose, "Unsqueeze": unsqueeze,
}  # fmt: skip
