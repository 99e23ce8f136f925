"""Single changes of backward as it ran, of the kinds that people's slips are. What a line of a loop does many times is
changed each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .branches import condition
from .chain import Chain
from .found import Aim
from .program import Change, Get, Make, Program
from .record import Call, Ref, Tape
from .words import Words

__all__ = ["COMPARE", "Site", "Use", "View", "varies"]

Site = Sequence[int]  # the calls that one place of the program made
Use = tuple[Site, int, Sequence[int]]  # those; which of their uses of other calls; which call each of them uses there

COMPARE = {np.greater: np.less, np.less: np.greater, np.greater_equal: np.less_equal, np.less_equal: np.greater_equal}


class View:
    """A program as the makers of edits look at it. sites: of backward. before: what the value of each call is made of.
    candidates: calls whose values may stand for others. alias: the first call that gives the same value as another."""

    def __init__(self, program: Program, chain: Chain):
        self.program, self.chain = program, chain
        self.tape: Tape = program.tape
        self.aim: Aim = program.aim
        self.words, self.values = Words(program.tape), program.values
        self.before: list[set[int]] = []
        for call in self.tape.calls:
            sources = call.sources
            self.before.append(set(sources).union(*(self.before[s] for s in sources)))
        sites: dict[Any, list[int]] = {}
        for n in program.live:
            call = self.tape.calls[n]
            sites.setdefault((call.site, call.function, self.values[n].shape) if call.site else n, []).append(n)
        self.sites: list[Site] = list(sites.values())
        self.alias: dict[int, int] = {}
        self.candidates = self.known()

    def known(self) -> list[int]:
        """The calls of the tape whose values differ, inputs and output first."""
        seen: dict[Any, int] = {}
        first = [*(n for n in self.tape.leaves if n >= 0), self.tape.gy, self.tape.output]
        for n in [*first, *range(len(self.tape.calls))]:
            value = self.values[n]
            if value.dtype.kind in "fb" and value.size > 1 and np.isfinite(value).all() and varies(value.astype(float)):
                key = value.shape, value.dtype.kind, np.round(value.astype(float), 9).tobytes()
                self.alias[n] = seen.setdefault(key, n)
        return list(seen.values())

    def uses(self) -> Iterator[Use]:
        """What every place of the program uses, if each of its calls uses as many values."""
        for site in self.sites:
            of_each = [self.used(n) for n in site]
            if self.tape.calls[site[0]].function and len({len(of) for of in of_each}) == 1:
                yield from ((site, k, [of[k] for of in of_each]) for k in range(len(of_each[0])))

    # -- what an edit changes ----------------------------------------------------------------------------------------

    def arguments(self, use: Use, make: Callable[[Any], Any]) -> dict[int, Make]:
        """Other values for what one place of the program uses."""
        return self.changed_use(use, lambda x, get: make(x))

    def changed_use(self, use: Use, change: Change) -> dict[int, Make]:
        """As arguments(), but that the new values may be made of those of other calls, too."""
        site, k, olds = use
        return {n: self.program.with_arg(n, k, partial(self.of_value, old, change))
                for n, old in zip(site, olds, strict=True)}  # fmt: skip

    def of_value(self, n: int, change: Change, get: Get) -> Any:
        return change(get(n), get)

    def changed(self, site: Site, change: Change) -> dict[int, Make]:
        """Other values for what one place of the program gives."""
        return {n: partial(self.of_result, n, change) for n in site}

    def of_result(self, n: int, change: Change, get: Get) -> Any:
        return change(self.old(n, get), get)

    def calls(self, site: Site, change: Callable[[Call], Call]) -> dict[int, Make]:
        """What one place of the program gives if it makes other calls."""
        return {n: change(self.tape.calls[n]).again for n in site}

    def old(self, n: int, get: Get) -> Any:
        """What call n gives as it stands."""
        call = self.tape.calls[n]
        return get(n) if call.function is None else call.again(get)

    def instead(self, n: int, old: int, make: Make) -> Make:
        """The value of call n if it used another value wherever it uses that of call ``old``."""
        return lambda get: self.tape.calls[n].again(lambda s: make(get) if s == old else get(s))

    def with_others(self, n: int, other: Mapping[int, int], get: Get) -> Any:
        """The value of call n if it used other calls for some."""
        return self.tape.calls[n].again(lambda s: get(other.get(self.alias.get(s, s), s)))

    # -- how it is said ----------------------------------------------------------------------------------------------

    def text(self, n: int) -> str:
        return self.words.of(n)

    def shown(self, n: int, call: Call) -> str:
        """What call n should be, in the formula of the gradient where that is short."""
        for whole in (self.program.out, n):
            stands, belongs = self.text(whole), self.words.of_changed(whole, n, call)
            if stands != belongs and "…" not in stands + belongs:
                break
        return f"`{stands}`{self.words.at(n)} should be `{belongs}`"

    def inside(self, n: int, old: int) -> str:
        """A value where it is used."""
        if n == old:
            return f"`{self.text(n)}`{self.words.at(n)}"
        return f"{self.called(old)} in `{self.text(n)}`{self.words.at(n)}"

    def called(self, n: int) -> str:
        """A call, an input with its number."""
        return self.words.called(n)

    # -- what a value is ---------------------------------------------------------------------------------------------

    def used(self, n: int) -> list[int]:
        return self.tape.calls[n].sources

    def leaf(self, n: int) -> int:
        """The input that a value is made of, if it is one alone; else the value itself."""
        inputs = [leaf for leaf in self.tape.leaves if leaf in self.before[n]]
        return inputs[0] if len(inputs) == 1 else n

    def of_gy(self, n: int) -> bool:
        """Whether it is made of gy."""
        return n == self.tape.gy or self.tape.gy in self.before[n]

    def is_mask(self, n: int) -> bool:
        return bool(np.isin(self.values[n], (0, 1)).all())

    def is_real(self, n: int) -> bool:
        return bool(self.values[n].dtype.kind == "f")

    def name(self, n: int) -> str:
        return getattr(self.tape.calls[n].function, "__name__", "")

    def whole(self, n: int) -> bool:
        """Whether all of the gradient goes through call n, and in proportion."""
        return self.all_through(self.changed([n], lambda x, get: 0 * x))

    def whole_use(self, use: Use) -> bool:
        """Whether all of the gradient goes through one use."""
        return self.all_through(self.arguments(use, lambda x: 0 * x))

    def all_through(self, zeros: Mapping[int, Make]) -> bool:
        """Whether nothing is left of the gradient where some values are 0."""
        nothing = self.program.result(zeros, self.values)
        return nothing is not None and self.aim.nothing(nothing)

    def branch(self, n: int) -> str:
        """Where call n counts, as "where `x <= 0`", if it is one branch of a np.where; else nothing."""
        seen = n
        while True:
            users = [m for m in self.program.users.get(seen, ()) if self.tape.calls[m].function]
            if len(users) != 1 or self.values[users[0]].shape != self.values[n].shape:
                return ""
            call = self.tape.calls[users[0]]
            if call.function is np.where:
                return condition(self.words, call, call.args[2] == Ref(seen)) if call.args[0] != Ref(seen) else ""
            seen = users[0]


def varies(x: np.ndarray) -> bool:
    """Whether the elements of an array differ by more than rounding."""
    return bool(np.ptp(x) > 1e-6 * np.abs(x).max())
