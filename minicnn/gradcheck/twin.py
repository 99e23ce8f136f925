"""Copies of people's nets, with other arrays in them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from .calls import items
from .parameters import is_array

__all__ = ["copied", "in_double"]


def in_double(net: Any) -> Any:
    """A copy of a net with all its real numbers in double precision; what was one array is one in the copy, too."""
    return copied(net, {id(value): value.astype(np.float64) for value in everything(net) if is_array(value)})


def copied(net: Any, memo: dict[int, Any]) -> Any:
    """A copy of a net. memo: by the id of what the net holds, wherever that is, what the copy holds instead; all that
    is copied is added to it."""
    memo.update({id(value): value for value in everything(net) if isinstance(value, ModuleType)})  # as self.np = numpy
    return copy.deepcopy(net, memo)


def everything(net: Any) -> Iterator[Any]:
    """All that a net holds, each once."""
    waiting, seen = [net], set()
    while waiting:
        for _, value in items("", waiting.pop()):
            if id(value) not in seen:
                seen.add(id(value))
                yield value
                waiting.append(None if isinstance(value, ModuleType) else getattr(value, "__dict__", None))
