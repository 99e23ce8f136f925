"""Other functions whose gradient, a right one, is what backward gave: read off the record of the function alone, where
no slip in the program of backward was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..thresholds import OTHERS
from .chain import Chain
from .found import Aim, Found
from .record import Call, Tape
from .words import Words

__all__ = ["Other", "calls_of", "name_of", "others", "sites", "with_arg"]

FAR = 1.6  # Found.cost, of all of them


@dataclass(frozen=True)
class Other:
    """The function with other calls, and what it is to take it for the right one."""

    calls: Mapping[int, Call]
    name: str
    text: str


Kind = Callable[[Tape, int, Words], Iterator[Other]]  # from a record and an input that is checked


def others(chain: Chain, gy: np.ndarray, aim: Aim, kinds: Sequence[Kind]) -> Iterator[Found]:
    """Slips in what backward takes the function to be, until as much has been computed as is allowed."""
    left = OTHERS
    for kind in kinds:
        for other in kind(chain.tape, aim.leaf, Words(chain.tape)):
            if left < 0:
                return
            guess, followed = gradient(chain, other.calls, gy, aim.leaf)
            left -= followed
            if guess is not None and aim.gave(guess):
                yield Found(other.name, f"backward gave the gradient of another function, {other.text}", FAR)


def gradient(chain: Chain, calls: Mapping[int, Call], gy: np.ndarray, leaf: int) -> tuple[np.ndarray | None, int]:
    """(∂L/∂input of the function with other calls, None where that does not work; how many calls were followed)."""
    old = chain.tape
    tape = Tape(list(old.calls[: old.gy]), old.gy, old.output, [], old.leaves, old.inputs)
    changed = set[int]()
    try:
        for n, was in enumerate(old.calls[: old.gy]):
            call = calls.get(n, was)
            if n in calls or changed.intersection(call.sources):
                value = call.value if call.function is None else np.asarray(call.again(lambda m: tape.calls[m].value))
                tape.calls[n] = replace(call, value=value)
                changed.add(n)
        new = Chain(tape, leaf, (chain, changed))
        return new.gradients(gy).get(leaf), len(chain.edges) + new.followed
    except (ValueError, IndexError, TypeError, MemoryError):  # whatever does not fit
        return None, len(chain.edges)


def name_of(call: Call) -> str:
    return getattr(call.function, "__name__", "")


def with_arg(call: Call, k: int, arg: Any) -> Call:
    return replace(call, args=(*call.args[:k], arg, *call.args[k + 1 :]))


def calls_of(tape: Tape) -> Iterator[tuple[int, Call]]:
    """The calls of the function, with their numbers."""
    return ((n, call) for n, call in enumerate(tape.calls[: tape.gy]) if call.function)


def sites(tape: Tape, function: Any) -> Iterator[list[int]]:
    """The calls of a function of NumPy that one place of the program made."""
    found: dict[Any, list[int]] = {}
    for n, call in calls_of(tape):
        if call.function is function and call.sources:
            found.setdefault(call.site or n, []).append(n)
    yield from found.values()
