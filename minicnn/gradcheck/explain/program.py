"""Backward as it ran: its calls, followed once more with a few of them changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..thresholds import WEIGHS
from .found import Aim
from .record import Call, Ref, Tape, walk

__all__ = ["Change", "Edit", "Get", "Make", "Program"]

Get = Callable[[int], Any]  # the value of a call
Make = Callable[[Get], Any]  # from the values of the calls before it, that of a call
Change = Callable[[Any, Get], Any]  # from a value and those of the calls before it, another


@dataclass(frozen=True)
class Edit:
    """What other values some calls would have, and what to say if the gradient is right then."""

    changes: Mapping[int, Make]
    name: str
    text: str | Callable[[], str]
    cost: float


class Program:
    """One gradient of a tape. live: the calls of backward that it is made from, it among them, in order. elsewhere: the
    values for another gy, and what is right there."""

    def __init__(self, tape: Tape, out: int, aim: Aim, gy: np.ndarray, right: np.ndarray):
        self.tape, self.out, self.aim, self.followed = tape, out, aim, 0
        self.values: Mapping[int, Any] = {n: call.value for n, call in enumerate(tape.calls)}
        self.elsewhere: Mapping[int, Any] = tape.follow({tape.gy: gy}, range(len(tape.calls)))
        self.aim_elsewhere = Aim(aim.leaf, self.elsewhere[out], right, aim.scale)
        needed = {out}
        for n in range(out, tape.gy, -1):
            if n in needed:
                needed |= set(tape.calls[n].sources)
        self.live = [n for n in range(tape.gy, out + 1) if n in needed]
        sizes = {n: sum(np.size(self.values[m]) for m in [n, *tape.calls[n].sources]) for n in self.live}
        self.weights = {n: 1 + size // WEIGHS for n, size in sizes.items()}
        self.users = {n: [m for m in self.live if n in tape.calls[m].sources] for n in needed}

    def result(self, changes: Mapping[int, Make], values: Mapping[int, Any]) -> Any:
        """The gradient, where some calls have other values; None where that does not work."""
        new: dict[int, Any] = {}

        def get(n: int) -> Any:
            return new[n] if n in new else values[n]

        waiting = set(changes)
        try:
            for n in self.live if len(waiting) > 1 or self.out not in waiting else (self.out,):
                if n in changes:
                    new[n] = changes[n](get)
                elif n in waiting:
                    new[n] = self.tape.calls[n].again(get)
                else:
                    continue
                self.followed += self.weights[n]
                waiting.update(self.users[n])
            return np.asarray(get(self.out))
        except Exception:  # whatever NumPy refuses
            return None

    def mends(self, edit: Edit) -> bool:
        """Whether the gradient is right with it, also for another gy."""
        got = self.result(edit.changes, self.values)
        if got is None or not self.aim.is_right(got):
            return False
        got = self.result(edit.changes, self.elsewhere)
        return got is not None and self.aim_elsewhere.is_right(got)

    def with_arg(self, n: int, k: int, make: Make) -> Make:
        """The value of call n if its use number k of another call were another."""
        call = self.tape.calls[n]

        def value(get: Get) -> Any:
            args, settings = put_use((call.args, call.settings), k, lambda: make(get), get)
            assert call.function
            return call.function(*args, **settings)

        return value

    def call_with(self, n: int, k: int, to: int) -> Call:
        """Call n as it would be written with its use number k of another call being of call ``to``."""
        call = self.tape.calls[n]
        args, settings = put_use((call.args, call.settings), k, lambda: Ref(to), Ref)
        return Call(call.function, args, settings, call.value, call.name, call.site)


def put_use(x: Any, k: int, new: Callable[[], Any], others: Callable[[int], Any]) -> Any:
    """x with a new value for its use number k of a call, and what it has from others for the rest."""
    count = iter(range(10**6))
    return walk(x, lambda ref: new() if next(count) == k else others(ref.to), Ref)
