"""Whole numbers out of a pickle that may be anybody's."""

from __future__ import annotations

import io
import pickle
import re
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .images import some

__all__ = ["unpickled", "whole_numbers"]


def unpickled(data: bytes, *names: str) -> list[Any]:
    """What the dictionary in a pickle has under these names, which may be texts or bytes there."""
    batch = _Plain(io.BytesIO(data), encoding="latin1").load()
    if not isinstance(batch, dict):
        raise ValueError(f"expected a dictionary, found a {type(batch).__name__}")
    found = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in batch.items()}
    if lacking := [name for name in names if name not in found]:
        raise ValueError(f"expected {' and '.join(names)}, found no {lacking[0]}, but {some(sorted(map(str, found)))}")
    return [found[name] for name in names]


def whole_numbers(given: Any) -> NDArray[Any]:
    """An array of a pickle, or a list of numbers. Raises ValueError where it is another thing."""
    array = getattr(given, "array", None) if isinstance(given, _Array) else np.asarray(given)
    if array is None:
        raise ValueError("expected an array, found none")
    if array.dtype.kind not in "iu":
        raise ValueError(f"expected whole numbers, found an array of {array.dtype}")
    return array


class _Kind:
    """What stands for a dtype in a pickle: of whole numbers, or refused."""

    def __init__(self, code: str, *more: Any):
        if str(code)[:1] not in ("i", "u") or not str(code)[1:].isdigit():
            raise ValueError(f"expected whole numbers, found an array of {code}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """What stands for an array in a pickle: NumPy's own takes a pickle's word for where its numbers lie."""

    array: NDArray[Any]

    def __init__(self, *given: Any):
        """As ``_reconstruct``; what there is to know comes as the state."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_column, numbers = state
        self.array = _from_buffer(numbers, kind, shape, "F" if by_column else "C").array


def _from_buffer(numbers: Any, kind: _Kind, shape: tuple[int, ...], order: Any) -> _Array:
    """An array as protocol 5 has it."""
    found = _Array()
    plain = numbers.encode("latin1") if isinstance(numbers, str) else bytes(numbers)  # a text in Python 2
    found.array = np.frombuffer(plain, kind.dtype).reshape(shape, order=order)
    return found


class _Plain(pickle.Unpickler):
    """A pickle is a program, and may call whatever it names: here what stands for NumPy's arrays, and no more."""

    MAY: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Kind, ("multiarray", "_reconstruct"): _Array,
        ("numeric", "_frombuffer"): _from_buffer,
        ("_codecs", "encode"): lambda text, _: text.encode("latin1")}  # fmt: skip  # bytes, in Python 2's protocols

    def find_class(self, module: str, name: str) -> Any:
        short = re.sub(r"^numpy\._?core\.", "", module)
        if (short, name) not in self.MAY:
            raise ValueError(f"it names {module}.{name}, which no pictures need")
        return self.MAY[short, name]
