"""Arithmetic with broadcasting, and functions of one number.

Where an input was broadcast, each of its elements was used many times, so its gradient is the sum over those uses.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.memory import Array
from ..engine.op import Computed, Operand, exactly, op
from .reduce import total

__all__ = ["add", "divide", "exp", "log", "multiply", "negative", "power", "sigmoid", "subtract", "tanh"]


def summed_to(g: Array, shape: tuple[int, ...]) -> Array:
    """The gradient g of what was broadcast, added up to the shape that it had before."""
    g = total(g, tuple(range(g.ndim - len(shape))))
    return total(g, tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


def shape_of(x: Any) -> tuple[int, ...]:
    """np.shape of an array or a number, without making an array of the number."""
    return getattr(x, "shape", ())


def where(condition: Any, yes: Any, no: Any) -> Any:
    """np.where, but for numbers a number: NumPy's array of one would not go with another device's."""
    return np.where(condition, yes, no) if np.ndim(condition) else yes if condition else no


def together(op: str, function: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    """function(a, b), elementwise, broadcast. Raises ValueError where the shapes do not fit."""
    A, B = shape_of(a), shape_of(b)
    if A != B and any(m != n and 1 not in (m, n) for m, n in zip(A[::-1], B[::-1], strict=False)):
        raise ValueError(f"{op}: shapes {A} and {B} do not fit: counted from the last, each pair of axes must have one "
                         "size, or one of them size 1")
    return exactly(op, function, a, b) if function is not operator.truediv else a / b


def exponents(a: Array, b: Array) -> Array:
    """a ** b. Raises ValueError where both are whole and b is negative somewhere: that is not whole."""
    if np.result_type(a, b).kind in "iu" and np.any(b < 0):
        raise ValueError("power: a whole number to a negative power is not whole: give real numbers, as 2.0 for 2")
    return a**b


@op(whole="a b")
def add(a: Operand, b: Operand) -> Computed:
    """a + b, broadcast."""
    A, B = shape_of(a), shape_of(b)  # no more than these is kept
    return together("add", operator.add, a, b), lambda gy: summed_to(gy, A), lambda gy: summed_to(gy, B)


@op(whole="a b")
def subtract(a: Operand, b: Operand) -> Computed:
    """a − b, broadcast."""
    A, B = shape_of(a), shape_of(b)
    y = together("subtract", operator.sub, a, b)
    return y, lambda gy: summed_to(gy, A), lambda gy: summed_to(-gy, B)


@op(whole="a b")
def multiply(a: Operand, b: Operand) -> Computed:
    """a · b, broadcast."""
    A, B = shape_of(a), shape_of(b)
    y = together("multiply", operator.mul, a, b)
    return y, lambda gy: summed_to(gy * b, A), lambda gy: summed_to(gy * a, B)


@op(whole="a b")
def divide(a: Operand, b: Operand) -> Computed:
    """a / b, broadcast."""
    y, A, B = together("divide", operator.truediv, a, b), shape_of(a), shape_of(b)
    return y, lambda gy: summed_to(gy / b, A), lambda gy: summed_to(-gy * y / b, B)


@op(whole="a b")
def power(a: Operand, b: Operand) -> Computed:
    """a^b, broadcast. ∂y/∂a = b a^(b−1), which is 0 for b = 0; ∂y/∂b = a^b ln a, taken as 0 at a = 0."""
    y = together("power", exponents, a, b)

    def ga(gy: Array) -> Array:
        return summed_to(gy * where(np.equal(b, 0), 0, b * a ** where(np.equal(b, 0), 1, b - 1)), shape_of(a))

    def gb(gy: Array) -> Array:
        return summed_to(gy * y * np.log(where(np.equal(a, 0), 1, a), dtype=y.dtype), shape_of(b))

    return y, ga, gb


@op(whole="x")
def negative(x: Operand) -> Computed:
    """−x."""
    return exactly("negative", operator.neg, x), lambda gy: -gy


@op
def exp(x: Operand) -> Computed:
    """eˣ."""
    y = np.exp(x)
    return y, lambda gy: gy * y


@op
def log(x: Operand) -> Computed:
    """The natural logarithm."""
    return np.log(x), lambda gy: gy / x


@op
def tanh(x: Operand) -> Computed:
    """The hyperbolic tangent, whose slope is 1 − y²."""
    y = np.tanh(x)
    return y, lambda gy: gy * (1 - y * y)


@op
def sigmoid(x: Operand) -> Computed:
    """1 / (1 + e⁻ˣ), whose slope is y (1 − y); computed as (1 + tanh(x / 2)) / 2, which cannot overflow."""
    y = np.tanh(x * 0.5) * 0.5 + 0.5
    return y, lambda gy: gy * y * (1 - y)
