"""Checks of settings: of all that is no array, such as an axis, a stride or a probability.

Each returns the setting as a plain number of Python. A whole number is what Python takes for an index: an int, one of
NumPy's, an array without axes; True is none, nor is 1.0. The errors name the op, or the layer or function, first:
TypeError for a wrong kind of thing, ValueError for a wrong value.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

__all__ = ["OutOfRange", "axes", "axis", "flag", "real", "several", "shown", "whole"]

MOST_IN_64_BITS = 2**63 - 1


class OutOfRange(ValueError, IndexError):
    """An axis or an index that is not there: an IndexError, as of every sequence, and a wrong value."""


def shown(value: Any) -> str:
    """The value in a message: short, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a foreign object, or an int of more digits than Python prints
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or (getattr(value, "shape", None) == () and getattr(value.dtype, "kind", "") == "b")


def whole(op: str, name: str, value: Any, least: int | None = None, most: int = MOST_IN_64_BITS) -> int:
    """``value`` as an int with least ≤ value ≤ most. Raises TypeError where it is no whole number, else ValueError."""
    number: Any = value
    if type(value) is not int:
        try:
            if _is_bool(value):
                raise TypeError
            number = operator.index(value)
        except Exception:
            raise TypeError(f"{op}: {name} is {shown(value)}: give a whole number") from None
    if least is not None and number < least:
        raise ValueError(f"{op}: {name} is {shown(number)}: it must be at least {least}")
    if not -MOST_IN_64_BITS <= number <= most:
        raise ValueError(f"{op}: {name} is {shown(number)}: it must be at most {most} in size")
    return int(number)


def real(op: str, name: str, value: Any, least: float | None = None, above: float | None = None,
         most: float | None = None, below: float | None = None) -> float:
    """``value`` as a finite float with least ≤ value ≤ most and above < value < below, where they are given.

    Raises TypeError where it is no real number, and ValueError where it is NaN, infinite or out of bounds.
    """
    try:
        if type(value) is not float and getattr(value, "shape", None) == () and not isinstance(value, numbers.Number):
            value = value.item()  # an array or a tensor without axes
        if type(value) is not float and (not isinstance(value, numbers.Real) or _is_bool(value)):
            raise TypeError
        number = float(value)
    except OverflowError:  # an int
        number = math.inf
    except Exception:
        raise TypeError(f"{op}: {name} is {shown(value)}: give a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{op}: {name} is {shown(value)}: give a finite number")
    if (least is not None and number < least) or (above is not None and number <= above) or (
            most is not None and number > most) or (below is not None and number >= below):  # fmt: skip
        bounds = ((least, "at least"), (above, "greater than"), (most, "at most"), (below, "less than"))
        wanted = " and ".join(f"{words} {bound}" for bound, words in bounds if bound is not None)
        raise ValueError(f"{op}: {name} is {shown(number)}: it must be {wanted}")
    return number


def flag(op: str, name: str, value: Any) -> bool:
    """``value`` as a bool. Raises TypeError where it is neither True nor False, of Python or of NumPy."""
    if not _is_bool(value):
        raise TypeError(f"{op}: {name} is {shown(value)}: give True or False")
    return bool(value)


def several(value: Any) -> tuple[Any, ...] | None:
    """What a list, a tuple or an array of one axis holds; None for anything else, a string too."""
    if isinstance(value, (str, bytes, bytearray)):
        return None
    return tuple(value) if isinstance(value, Sequence) or getattr(value, "ndim", 0) == 1 else None


def axis(op: str, value: Any, ndim: int, name: str = "axis") -> int:
    """``value`` as the number of an axis, 0 … ndim − 1; from −1 down they count from the last.

    Raises TypeError where it is no whole number, and OutOfRange, a ValueError, where there is no such axis.
    """
    number = whole(op, name, value)
    if not -ndim <= number < ndim:
        there = f"the axes are 0 to {ndim - 1}" if ndim else "a single number has no axes"
        raise OutOfRange(f"{op}: {name} {number} is out of bounds: {there}")
    return number % ndim


def axes(op: str, value: Any, ndim: int, name: str = "axis") -> tuple[int, ...]:
    """``value``, an axis, several, or None for all, as the numbers of axes. Raises as ``axis``, and where one is named
    twice."""
    if value is None:
        return tuple(range(ndim))
    given = several(value)
    numbers = tuple(axis(op, one, ndim, name) for one in ((value,) if given is None else given))
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{op}: {name} is {shown(value)}: a repeated axis: name each once")
    return numbers
