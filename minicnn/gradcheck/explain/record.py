"""A record of what a function of NumPy arrays does: the calls that it made, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..thresholds import CALLS_READ

__all__ = ["Call", "Ref", "Tape", "Unrecorded", "at_place", "pick", "put", "refs", "replaced", "walk"]


class Unrecorded(Exception):
    """The function does what a record does not hold."""


@dataclass(frozen=True)
class Ref:
    """The value of call number ``to`` of a record, where it is an argument of another."""

    to: int


@dataclass
class Call:
    """function(*args, **settings) gave value. A leaf, as an input is, has no function but a name. site: where in the
    program: (file, line, instruction) of the call, of the call of the function that makes it, and so on."""

    function: Callable[..., Any] | None
    args: tuple[Any, ...]
    settings: dict[str, Any]
    value: np.ndarray
    name: str = ""
    site: tuple[tuple[str, int, int], ...] = ()

    def __post_init__(self) -> None:
        self.sources = refs((self.args, self.settings))  # the calls whose values it uses, as often as it does
        self.flat = sum(type(a) is Ref for a in self.args) == len(self.sources)  # none inside of a list or an index

    @property
    def line(self) -> int:
        """In the file, 0 where that is not known."""
        return self.site[0][1] if self.site else 0

    def again(self, values: Callable[[int], Any]) -> Any:
        """What it gives for other values of the calls before it."""
        assert self.function
        if self.flat:
            return self.function(*[values(a.to) if type(a) is Ref else a for a in self.args], **self.settings)
        return self.function(*replaced(self.args, values), **replaced(self.settings, values))


@dataclass
class Tape:
    """calls: in the order in which they were made, those of backward from gy on. output: the number of the call that
    made the function's value; gradients: of that which made each gradient, −1 where none did;
    leaves: of each input, −1 where it is no array, and of each parameter of a layer. inputs: how many of these are
    inputs."""

    calls: list[Call] = field(default_factory=list)
    gy: int = 0
    output: int = -1
    gradients: list[int] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    inputs: int = 0

    def follow(self, values: dict[int, Any], numbers: Iterable[int]) -> dict[int, Any]:
        """The values of these calls made once more, and of leaves what they are, where ``values`` has no other."""
        for n in numbers:
            if n not in values:
                call = self.calls[n]
                values[n] = call.value if call.function is None else call.again(values.__getitem__)
        return values

    def add(self, call: Call) -> int:
        """One more call; its number."""
        if len(self.calls) == CALLS_READ:
            raise Unrecorded(f"more than {CALLS_READ} calls")
        self.calls.append(call)
        return len(self.calls) - 1


def put(base: np.ndarray, index: Any, value: Any) -> np.ndarray:
    """base[index] = value, in a copy."""
    copy = np.array(base)
    copy[index] = value
    return copy


def at_place(base: np.ndarray, index: Any, ufunc: Any = np.add, *value: Any) -> np.ndarray:
    """np.add.at(base, index, value), in a copy."""
    copy = np.array(base)
    ufunc.at(copy, index, *value)
    return copy


def pick(i: int, function: Callable[..., Any], args: Any, settings: Any) -> Any:
    """One of several values that a call gives."""
    return function(*args, **settings)[i]


def walk(x: Any, change: Callable[[Any], Any], kind: type) -> Any:
    """x, with everything in it that is of one kind changed."""
    if isinstance(x, kind):
        return change(x)
    if isinstance(x, (tuple, list)) and type(x) in (tuple, list):
        return type(x)(walk(item, change, kind) for item in x)
    if isinstance(x, dict):
        return {key: walk(item, change, kind) for key, item in x.items()}
    if isinstance(x, slice):
        return slice(*(walk(part, change, kind) for part in (x.start, x.stop, x.step)))
    return x


def replaced(x: Any, values: Callable[[int], Any]) -> Any:
    """x, with a value for every Ref."""
    return walk(x, lambda ref: values(ref.to), Ref)


def refs(x: Any) -> list[int]:
    """The calls that x refers to, as often as it does."""
    found: list[int] = []
    walk(x, lambda ref: found.append(ref.to), Ref)
    return found
