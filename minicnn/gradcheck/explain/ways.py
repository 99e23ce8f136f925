"""What backward would give if the chain rule were followed along the function with one slip: a way left out or
weighted, a statistic held to be constant, a slope forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ..thresholds import STATISTICS, WAYS_FOLLOWED, WEIGHS
from .branches import condition
from .chain import Chain, Edge
from .found import Aim, Found
from .kinds import JOINS, TOGETHER
from .record import Ref
from .slopes import Slope, slope_lost, slopes
from .words import Words

__all__ = ["Ways", "ways"]

KIND = {"mean": "the mean ", "average": "the mean ", "var": "the variance ", "std": "the deviation ", "sum": "the sum ",
        "max": "the maximum ", "amax": "the maximum ", "norm": "the norm "}  # fmt: skip


class Ways:
    """The ways from one input to the output of a function. on: the edges along them. right: the gradient of every call.
    statistics: the calls that take many elements of the input together to norm them, or are made of such values alone.
    """

    def __init__(self, chain: Chain, gy: np.ndarray, aim: Aim):
        self.chain, self.gy, self.aim, self.tape = chain, gy, aim, chain.tape
        self.words, self.followed = Words(chain.tape), 0
        self.weight = sum(1 + chain.values[edge.by].size // WEIGHS for edge in chain.edges)
        self.used_by: dict[int, list[int]] = {}
        for m in range(chain.tape.gy):
            for n in dict.fromkeys(chain.tape.calls[m].sources):
                self.used_by.setdefault(n, []).append(m)
        real = chain.made_of(aim.leaf)
        self.on = [edge for edge in chain.edges if edge.of in real]
        self.right = chain.gradients(gy)
        self.direct = [edge for edge in self.on if edge.of == aim.leaf]
        self.calls = list(dict.fromkeys(edge.by for edge in self.on))
        self.edges_into: dict[int, list[Edge]] = {}
        for edge in self.on:
            self.edges_into.setdefault(edge.by, []).append(edge)
        self.statistics = [n for n in self.calls if self.statistic(n)]

    def name(self, n: int) -> str:
        return getattr(self.tape.calls[n].function, "__name__", "")

    def users(self, n: int) -> list[int]:
        return self.used_by.get(n, [])

    def statistic(self, n: int) -> bool:
        """Whether call n takes many elements together to norm them, or is made of such values alone."""
        sources = [edge.of for edge in self.edges_into[n]]
        size = max(self.chain.values[s].size for s in sources)
        joined = {self.name(m) for m in self.users(n)} <= JOINS
        if self.name(n) in TOGETHER and self.chain.values[n].size < size and not joined:
            return self.name(n) != "sum" or self.norms(n)
        return self.aim.leaf not in sources and all(self.statistic(s) for s in sources)

    def norms(self, n: int) -> bool:
        """Whether a sum goes where sums go that norm: below a fraction, into a root, a power, a logarithm."""
        for m in self.users(n):
            name, args = self.name(m), self.tape.calls[m].args
            if name in ("sqrt", "power", "log", "reciprocal") or (name == "divide" and args[1] == Ref(n)):
                return True
            if name in ("add", "multiply", "divide", "getitem", "reshape", "expand_dims", "negative") and self.norms(m):
                return True
        return False

    def gradient(self, change: Callable[[Edge, np.ndarray], np.ndarray]) -> np.ndarray:
        """What backward would give with another part along some edges."""
        self.followed += self.weight
        return np.asarray(self.chain.gradients(self.gy, change).get(self.aim.leaf, np.zeros_like(self.aim.right)))

    def without(self, edges: Sequence[Edge]) -> np.ndarray:
        lost = {id(edge) for edge in edges}
        return self.gradient(lambda edge, part: 0 * part if id(edge) in lost else part)

    def with_slope(self, edges: Sequence[Edge], slope: Slope) -> np.ndarray:
        changed = {id(edge) for edge in edges}
        return self.gradient(lambda edge, part: slope(part, edge) if id(edge) in changed else part)

    def into(self, *calls: int) -> list[Edge]:
        return [edge for n in calls for edge in self.edges_into.get(n, [])]

    def could_be_transposed(self, n: int) -> bool:
        """Whether call n puts elements together that lie along two axes of one array, as a product of matrices does."""
        call = self.tape.calls[n]
        alone = isinstance(call.function, np.ufunc) and call.function.signature is None  # each element by itself
        return not alone and any(sum(size > 1 for size in self.chain.values[s].shape) > 1 for s in call.sources)

    def what_is(self, n: int) -> str:
        call, kind = self.tape.calls[n], KIND.get(self.name(n), "")
        inner = [self.tape.calls[s] for s in call.sources]
        squares = (c.function is np.power or (c.function is np.multiply and c.args[0] == c.args[1]) for c in inner)
        if kind and any(squares):
            kind += "of squares "
        return f"{kind}`{self.words.of(n)}`"

    def branch(self, n: int) -> str:
        """Where call n counts, if it is one branch of a np.where; else nothing."""
        users = self.users(n)
        if len(users) != 1 or self.tape.calls[users[0]].value.shape != self.tape.calls[n].value.shape:
            return ""
        call = self.tape.calls[users[0]]
        if call.function is np.where:
            return condition(self.words, call, call.args[2] == Ref(n)) if call.args[0] != Ref(n) else ""
        if self.name(users[0]) in ("maximum", "minimum") and len({e.of for e in self.into(users[0])}) == 2:
            return f"where `{self.words.of(n)}` is the {'larger' if self.name(users[0]) == 'maximum' else 'smaller'}"
        return self.branch(users[0])


def ways(chain: Chain, gy: np.ndarray, aim: Aim) -> Iterator[Found]:
    """Slips along the function that give what backward gave, until too many have been followed."""
    w = Ways(chain, gy, aim)
    for kind in (of_sites, of_pairs, of_calls, of_edges):
        yield from kind(w)
    for leaf in w.tape.leaves:
        right = w.right.get(leaf)
        if leaf >= 0 and leaf != aim.leaf and right is not None and aim.gave(np.asarray(right)):
            yield Found("another input", f"that is the gradient of {w.words.called(leaf)}", 1.25)


def of_sites(w: Ways) -> Iterator[Found]:
    """What one place of the program does, however often: all of its edges together, and their slopes."""
    sites: dict[Any, list[Edge]] = {}
    for edge in w.on:
        sites.setdefault((w.tape.calls[edge.by].site, w.tape.calls[edge.by].sources.index(edge.of)), []).append(edge)
    for edges in sites.values():
        if len(edges) > 1:
            what = f"`{w.words.of(edges[-1].of)}` in `{w.words.of(edges[-1].by)}`, and the like"
            yield from weighed(w, edges, edges[-1].by, what, "", False)
        for slope, what, name in slopes(w, edges[0]):
            other = w.with_slope(edges, slope)
            for c, how in ((1.0, ""), (-1.0, ", and the sign is wrong")):
                if w.aim.gave(c * other):
                    yield Found(name, f"{what}{how}", 2.0)


def of_pairs(w: Ways) -> Iterator[Found]:
    """Two statistics."""
    for pair in combinations(w.statistics[:STATISTICS], 2):
        if w.aim.gave(w.without(w.into(*pair))):
            said = " and ".join(w.what_is(n) for n in pair)
            yield Found("statistics as constants", f"{said} depend on the input, but backward held them to be constant",
                        1.0)  # fmt: skip


def of_calls(w: Ways) -> Iterator[Found]:
    """All that comes back through one call."""
    for n in w.calls:
        if n != w.tape.output and w.followed < WAYS_FOLLOWED:
            yield from weighed(w, w.into(n), n, w.what_is(n), "", n in w.statistics)
            yield from slope_lost(w, n)


def of_edges(w: Ways) -> Iterator[Found]:
    """What comes back to one use of a value."""
    for edge in w.on:
        if w.followed > WAYS_FOLLOWED:
            return
        loop = [e for e in w.direct if w.tape.calls[e.by].site == w.tape.calls[edge.by].site]
        kind = "" if edge not in w.direct or len(w.direct) < 2 else "loop" if len(loop) > 1 else "use"
        first = edge.by in w.statistics and edge.of not in w.statistics
        what = f"`{w.words.of(edge.of)}` in `{w.words.of(edge.by)}`"
        yield from weighed(w, [edge], edge.by, what, kind, first)


def weighed(w: Ways, edges: Sequence[Edge], n: int, what: str, kind: str, constant: bool) -> Iterator[Found]:
    """What comes back along some edges, right − rest, times a wrong number. kind: "use" or "loop", of the input
    itself."""
    aim = w.aim
    rest = w.without(edges)
    part = aim.right - rest
    if aim.nothing(part) or aim.nothing(rest):
        return
    way = f"what comes back by {what}"
    c = aim.times(part, aim.gradient - rest)
    if c is None:
        yield from alone(w, part, way, kind)
    elif c == 0 and constant:
        why = f"{w.what_is(n)} depends on the input, but backward held it to be constant"
        yield Found("statistics as constants", why, 0.7)
    elif c == 0 and len(edges) == 1 and w.tape.calls[n].sources.count(edges[0].of) > 1:
        yield Found("wrong factor of a term", f"{way} is half of what it should be: it is used twice there, as in a "
                                              "square, whose slope has a 2", 1.0)  # fmt: skip
    elif c != 1 and w.branch(n):
        yield Found("one branch", f"{way} has {c:.6g} times its weight, {w.branch(n)}; all the rest is right", 0.9)
    elif c == 0:
        why = f"{way} is missing in the sum{', one use of the input' * bool(kind)}; all the rest is right"
        yield Found("term missing", why, 0.75 if kind else 1.2 if len(edges) == 1 else 1.3)
    elif c == -1 and not (len(edges) == 1 and w.tape.calls[n].sources.count(edges[0].of) > 1):
        yield Found("wrong sign of a term", f"{way} has the wrong sign; all the rest is right", 1.1)
    elif c not in (1, -1):
        yield Found("wrong factor of a term", f"{way} has {c:.6g} times its weight; all the rest is right", 3.0)


def alone(w: Ways, part: np.ndarray, way: str, kind: str) -> Iterator[Found]:
    """What comes back by one way is all that there is."""
    c = w.aim.times(part, w.aim.gradient)
    if c == 1 and kind == "loop":
        yield Found("= for +=", f"backward gave {way} and nothing else: what comes back by all uses must be added up, "
                                "+= for =", 1.1)  # fmt: skip
    elif c == 1:
        yield Found("term missing", f"backward gave {way} and nothing else: a term of the sum is missing", 1.4)
    elif c is not None and round(c) > 1 and abs(c - round(c)) < 1e-4:
        if any(map(w.could_be_transposed, w.calls)):
            yield Found("operand not transposed", f"backward gave {way}, {c:.0f} times, as if a matrix, or gy, were "
                                                  "symmetric and the other way gave the same", 1.6)  # fmt: skip
        else:
            yield Found("term missing", f"backward gave {way}, {c:.0f} times, and nothing else: a term of the sum is "
                                        "missing", 1.6)  # fmt: skip
