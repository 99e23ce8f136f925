"""Other functions than the one that backward is of: what is left out of it, or goes along another axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .kinds import BENT, SUMS
from .others import Other, calls_of, name_of
from .record import Call, Ref, Tape
from .words import Words

__all__ = ["bare", "inputs", "reductions"]


def inputs(tape: Tape, leaf: int, words: Words) -> Iterator[Other]:
    """Another input as if it were 1, or 0, all over."""
    for n in tape.leaves:
        if n >= 0 and n != leaf and tape.calls[n].value.dtype.kind == "f":
            for number, name in ((1.0, "factor missing"), (0.0, "term missing")):
                call = replace(tape.calls[n], value=np.full_like(tape.calls[n].value, number))
                yield Other({n: call}, name, f"one where {words.called(n)} is {number:.0f} all over: it is forgotten")


def bare(tape: Tape, leaf: int, words: Words) -> Iterator[Other]:
    """A call as if it gave what it takes: a limit, a factor, a term that does not count."""
    for n, call in calls_of(tape):
        for source in dict.fromkeys(call.sources) if n != tape.output else ():
            if tape.calls[source].value.shape == call.value.shape and call.value.dtype.kind == "f":
                same = Call(np.positive, (Ref(source),), {}, call.value, site=call.site)
                name = "term missing" if name_of(call) in ("add", "subtract") else "factor missing"
                yield Other({n: same}, "mask forgotten" if name_of(call) in BENT else name,
                            f"with `{words.of(source)}` for `{words.of(n)}`")  # fmt: skip


def reductions(tape: Tape, leaf: int, words: Words) -> Iterator[Other]:
    """All that is summed, or normed, along one axis, along another."""
    along: dict[int, list[tuple[int, Call]]] = {}
    for n, call in calls_of(tape):
        axis: Any = call.settings.get("axis", (*call.args, None)[1]) if name_of(call) in SUMS | {"var", "std"} else None
        if isinstance(axis, int) and call.sources:
            along.setdefault(axis, []).append((n, call))
    for members in along.values():
        for new in range(max(tape.calls[call.sources[0]].value.ndim for _, call in members)):
            calls = {n: replace(c, args=c.args[:1], settings={**c.settings, "axis": new}) for n, c in members}
            yield Other(calls, "wrong axis", f"one in which `{words.of(members[0][0])}` goes over axis {new}")
