"""What the graph holds on to: the arrays that gradient functions still need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["pieces", "whole_of"]


def pieces(gradients: tuple[Any, ...]) -> Iterator[Any]:
    """Every piece of memory that gradient functions hold on to, once, as ``whole_of`` gives it."""
    found: dict[int, Any] = {}
    seen: set[int] = set()
    waiting: list[Any] = list(gradients)
    while waiting:
        x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if hasattr(x, "nbytes") and hasattr(x, "dtype"):
            whole = whole_of(x)
            found[id(whole)] = whole
        elif isinstance(x, (tuple, list)):
            waiting += x
        elif hasattr(x, "__closure__"):
            waiting += [cell.cell_contents for cell in x.__closure__ or ()]
    yield from found.values()


def whole_of(array: Any) -> Any:
    """The array that owns the memory: a view keeps all of it."""
    while hasattr(getattr(array, "base", None), "dtype"):
        array = array.base
    return array
