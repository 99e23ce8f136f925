"""What an array is to the engine, and how it lies in memory.

Shapes are (N, C, H, W) everywhere a person can see them. In memory the first axis, the batch, runs fastest, then the
others as they stand: (C, H, W, N). So images lie as in Krizhevsky's own program, a kernel's inner loop runs over the
batch without a stride, half of the channels is one piece of memory, and flatten is a view.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from .device import Array, device_of
from .settings import shown

__all__ = ["Array", "array_of", "batch_first", "batch_last", "fitting", "in_engine_order", "keep_memory", "rows"]



def batch_last(array: Array) -> Array:
    """(N, C, H, W) seen as it lies in memory: (C, H, W, N)."""
    return array.transpose(*range(1, array.ndim), 0) if array.ndim > 1 else array


def batch_first(array: Array) -> Array:
    """(C, H, W, N) seen as people write it: (N, C, H, W)."""
    return array.transpose(-1, *range(array.ndim - 1)) if array.ndim > 1 else array


def in_engine_order(array: Array) -> Array:
    """The array in the engine's memory order; a copy only if need be."""
    if isinstance(array, (np.generic, int, float)):
        array = np.asarray(array)  # NumPy turns what it computes from arrays without axes into scalars
    inside = batch_last(array)
    return array if inside.flags.c_contiguous else batch_first(inside.copy(order="C"))


def rows(array: Array) -> Array:
    """The memory of an array as a matrix: what lies first in memory (channels), by all the rest."""
    inside = batch_last(array)
    return inside.reshape(inside.shape[0], -1) if array.size and array.ndim > 1 else inside.reshape(1, -1)


def array_of(x: Any, dtype: Any = None, name: str = "Tensor", exact: bool = False) -> Array:
    """``x`` as a plain array where it lives, in whatever memory order, not always a copy.

    x: a tensor; an array of any byte order and subclass, of whatever library, if np.asarray understands it; a number;
        a list or tuple of these, of equal shapes. Arrays keep their type, but half precision becomes single, long
        double double. Numbers written in Python become float32, whole ones int64.
    dtype: bool, or a type of whole or real numbers.
    name: who asks, for the errors. exact: as whole numbers and bool, take only numbers that are such.

    Raises TypeError where x is not real numbers or some are masked, and ValueError where the lengths of lists differ,
    and where a number does not fit: none becomes infinite, wraps around or is cut to another.
    """
    wanted = None if dtype is None else _type(dtype, name)
    x = getattr(x, "_array", x)  # a tensor's
    if not (hasattr(x, "__cuda_array_interface__") and hasattr(x, "astype")):
        x, written = _in_main_memory(x, name)
        wanted = wanted or (np.dtype(np.float32) if written and x.dtype.kind == "f" else None)
    if x.dtype.kind not in "fiub":
        raise _no_numbers(name, str(x.dtype), x.dtype.kind)
    if x.dtype.kind == "f":
        return _as_type(x, wanted or np.dtype(np.float64 if x.dtype.itemsize > 4 else np.float32), name, exact)
    return _as_type(x, wanted or x.dtype.newbyteorder("="), name, exact)


def fitting(op: str, name: str, mine: Array, given: Any) -> np.ndarray:
    """``given``, called ``name`` in a state, as an array of the type and shape of ``mine``. Raises TypeError or
    ValueError where it is none."""
    who = f"{op}: {name}"
    array = array_of(given, mine.dtype, who, exact=True) if mine.dtype.kind in "fiub" else np.asarray(given)
    if array.shape != mine.shape:
        raise ValueError(f"{who} has the shape {mine.shape} here and {array.shape} in the state: it is the state of "
                         "another model")
    if array.dtype.kind != mine.dtype.kind:
        raise TypeError(f"{who} is {mine.dtype} here and {array.dtype} in the state: it is the state of another model")
    return array


def _in_main_memory(x: Any, name: str) -> tuple[np.ndarray, bool]:
    """(x as an array of NumPy, whether it is numbers of Python, or a list in which nothing is double)"""
    kinds = {type(x)}
    try:
        if isinstance(x, (list, tuple)):
            x = _items(x, name, kinds := set())
        elif isinstance(x, range):
            kinds = {int}
        array = np.asarray(_item(x, name))
    except (TypeError, ValueError) as error:
        if str(error).startswith(f"{name}: "):
            raise
        what = "its lists differ in length: give rows of one length" if "inhomogeneous" in str(error) else error
        raise type(error)(f"{name}: {_shown(x)} makes no array: {what}") from error
    except MemoryError:
        raise
    except Exception as error:  # whatever a foreign object answers
        raise TypeError(f"{name}: {_shown(x)} makes no array: {error}") from error
    if array.size and array.dtype.kind not in "bi" and all(issubclass(kind, int) for kind in kinds):
        raise ValueError(f"{name}: {_shown(x)} does not fit in 64 bits: write it as a float, with a point")
    if array.dtype.kind == "O" and not hasattr(x, "dtype"):
        held = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise _no_numbers(name, held if kinds == {type(x)} else f"{type(x).__name__} of {held}", "O")
    return array, isinstance(x, (int, float, list, tuple)) and not any(map(_may_be_double, kinds))


def _items(x: Any, name: str, kinds: set[type]) -> list[Any]:
    """A list as np.asarray takes it quickly; the types of all that it holds are added to ``kinds``."""
    own = set(map(type, x))
    if own <= {float, int}:
        kinds |= own
        return list(x)
    items = [_items(item, name, kinds) if isinstance(item, (list, tuple)) else _item(item, name) for item in x]
    kinds.update(getattr(getattr(i, "dtype", None), "type", type(i)) for i in items if not isinstance(i, list))
    return items


def _may_be_double(kind: type) -> bool:
    """Whether numbers of this type have more digits than single precision, though not written in Python."""
    known = issubclass(kind, np.generic)
    return issubclass(kind, (np.float64, np.longdouble)) if known else hasattr(kind, "dtype")


def _item(x: Any, name: str) -> Any:
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name}: some elements of a masked array are no numbers: give it .filled(value)")
    if not hasattr(x, "_array"):
        return x
    if x.requires_grad:
        raise TypeError(f"{name}: a list of tensors is copied, so no gradient would reach one that requires it: join "
                        "them by ops.concatenate, each as t[None], or give t.detach()")
    return x.numpy()


def _type(dtype: Any, name: str) -> np.dtype:
    try:
        found: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    except Exception:
        found = np.dtype(object)
    if found.kind not in "fiub" or found.itemsize > 8:
        raise TypeError(f"{name}: dtype is {shown(dtype)}: give bool, or a type of whole or real numbers of at most 64 "
                        "bits, as np.float32, np.float64 or np.int64")
    return found


def _as_type(x: Array, dtype: np.dtype, name: str, exact: bool) -> Array:
    lossy = dtype != x.dtype and (dtype.kind in "iu" or (exact and dtype.kind == "b"))
    with device_of(x), np.errstate(over="raise", invalid="raise" if lossy else "ignore", under="ignore"):
        try:
            y = x.astype(dtype, copy=False)
            wrong = lossy and bool((y != (x if exact else np.trunc(x))).any())
        except FloatingPointError:
            wrong = True
    if wrong:
        what = f"beyond the range of {dtype}{', or not whole' if exact and lossy else ''}"
        raise ValueError(f"{name}: {x.dtype} numbers {what}: give a dtype that holds them, as np.float64")
    return y


def _no_numbers(name: str, kind: str, letter: str) -> TypeError:
    ways = {"c": "give .real and .imag apart", "V": "give its fields one by one",
            "M": "give numbers, as by .astype(np.int64)", "m": "give numbers, as by .astype(np.int64)"}  # fmt: skip
    return TypeError(f"{name}: {kind} is not a type of real number: "
                     f"{ways.get(letter, 'give numbers, as an array or a list of floats')}")


def _shown(x: Any) -> str:
    return f"a {type(x).__name__}" if hasattr(x, "__len__") else shown(x)


def keep_memory() -> bool:
    """Let the C library keep the pages of freed arrays for the next ones, instead of returning them to the system.

    A step of AlexNet frees and asks again for more than a gigabyte, and a sixth of its time goes into fresh pages. This
    holds for the whole process, so it is for a program to say, not for a library. Returns whether it took effect:
    glibc can.
    """
    M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))
