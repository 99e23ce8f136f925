"""The chain rule over a record: the slope of every call by differences, and what comes back along them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..thresholds import JACOBIAN, NUDGE, WEIGHS
from .record import Call, Ref, Tape, at_place, put, refs, walk

__all__ = ["Chain", "Edge", "fitted"]


@dataclass(eq=False)
class Edge:
    """Call ``by`` uses the value of call ``of``. slope: of each element, where element i of the one makes element i of
    the other; else the Jacobian, (size of the value of ``by``, size of that of ``of``). pull: instead of both, of what
    only moves elements or is a product of matrices."""

    of: int
    by: int
    slope: np.ndarray
    apart: bool = False
    pull: Callable[[np.ndarray], np.ndarray] | None = None

    def own_slope(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Of each element of the value, of this shape, if it is made of its own element alone."""
        if self.apart or self.pull or self.slope.shape[0] != self.slope.shape[1]:
            return self.slope if self.apart else None
        own = np.diagonal(self.slope)
        return own.reshape(shape) if np.allclose(self.slope, np.diag(own), atol=1e-9) else None

    def back(self, gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """What a gradient of the call's value is for what the call uses."""
        if self.apart:
            return fitted(gradient * self.slope, shape)
        if self.pull:
            return self.pull(gradient)
        back: np.ndarray = gradient.ravel() @ self.slope
        return back.reshape(shape)


def fitted(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Summed over the axes along which an array of this shape was broadcast."""
    gradient = gradient.sum(tuple(range(gradient.ndim - len(shape))))
    axes = tuple(a for a, n in enumerate(shape) if n == 1 < gradient.shape[a])
    summed: np.ndarray = gradient.sum(axes, keepdims=True)
    return summed


class Chain:
    """The ways from the real inputs of a function to its value. edges: in the order of the calls; those whose Jacobian
    is too large are left out, unless they are ways of input ``leaf``. other: a chain some of whose calls have changed,
    and which. followed: how many calls were made again for slopes that are its own.

    Raises MemoryError where one of those is too large.
    """

    def __init__(self, tape: Tape, leaf: int = -1, other: tuple[Chain, set[int]] | None = None):
        self.tape, self.other = tape, other
        self.values = [call.value for call in tape.calls]
        self.made: dict[tuple[int, int], Edge | None] = {}
        self.followed = 0
        reach = {tape.output}
        for n in range(tape.gy - 1, -1, -1):
            if n in reach:
                reach |= set(tape.calls[n].sources)
        self.edges: list[Edge] = []
        moves = {n for n in range(tape.gy) if tape.calls[n].function is None and tape.calls[n].name}
        needed = {leaf}
        for n in range(tape.gy):
            call = tape.calls[n]
            if n not in reach or call.function is None or call.value.dtype.kind != "f":
                continue
            for k, source in enumerate(call.sources):
                if source in moves and self.values[source].dtype.kind == "f":
                    edge = self.made[n, k] = self.known(n, k) or self.edge(n, k, source)
                    if edge and edge.slope.any():
                        self.edges.append(edge)
                        moves.add(n)
                        needed |= {n} if source in needed else set()
                    elif not edge and source in needed:
                        raise MemoryError

    def made_of(self, leaf: int) -> set[int]:
        """An input, and the calls whose values depend on it."""
        found = {leaf}
        for edge in self.edges:
            if edge.of in found:
                found.add(edge.by)
        return found

    def known(self, n: int, k: int) -> Edge | None:
        """That of another chain, where nothing that it is made of has changed."""
        chain, changed = self.other or (self, {n})
        return None if changed & {n, *self.tape.calls[n].sources} else chain.made.get((n, k))

    def edge(self, n: int, k: int, source: int) -> Edge | None:
        """By differences in use number k of a value by call n; None where that is too much."""
        call, x = self.tape.calls[n], self.values[source]
        pull = pulled(call, k, [self.values[s] for s in call.sources])
        self.followed += 3 + (call.value.size + x.size) // WEIGHS
        if pull:
            return Edge(source, n, np.ones(1), pull=pull)
        size = min(float(np.sqrt(np.mean(x**2))), 1.0) if x.size else 1.0
        h = NUDGE * np.maximum(np.abs(x), size or 1.0)  # of each element

        def at(moved: np.ndarray) -> np.ndarray:
            count = iter(range(10**6))
            args, settings = walk((call.args, call.settings),
                                  lambda ref: moved if next(count) == k else self.values[ref.to], Ref)  # fmt: skip
            assert call.function
            return np.array(call.function(*args, **settings), np.float64)  # it may be a view of what moves

        if isinstance(call.function, np.ufunc) and not call.function.signature:
            return Edge(source, n, (at(x + h) - at(x - h)) / (2 * h), apart=True)
        if x.size * (call.value.size + sum(self.values[s].size for s in call.sources)) > JACOBIAN:
            return None
        self.followed += 2 * x.size * (1 + call.value.size // WEIGHS)
        columns = np.empty((x.size, call.value.size))
        moved = np.array(x)
        for i in range(x.size):
            moved.flat[i] = x.flat[i] + h.flat[i]
            above = at(moved)
            moved.flat[i] = x.flat[i] - h.flat[i]
            columns[i] = ((above - at(moved)) / (2 * h.flat[i])).ravel()
            moved.flat[i] = x.flat[i]
        return Edge(source, n, columns.T)

    def gradients(self, gy: np.ndarray, change: Callable[[Edge, np.ndarray], np.ndarray] | None = None,
                  ) -> dict[int, np.ndarray]:  # fmt: skip
        """∂L/∂value of every call between the inputs and the output. change: of what comes back along an edge."""
        self.last = found = {self.tape.output: np.asarray(gy, np.float64)}
        for edge in reversed(self.edges):
            if edge.by in found:
                part = edge.back(found[edge.by], self.values[edge.of].shape)
                if change:
                    part = change(edge, part)
                found[edge.of] = found.get(edge.of, np.float64(0)) + part
        return found


def pulled(call: Call, k: int, values: Sequence[np.ndarray]) -> Callable[[np.ndarray], np.ndarray] | None:
    """What goes back to use number k of a call that only moves elements, or is a product of matrices."""
    function, x = call.function, values[k]
    if function is np.matmul and len(values) == 2 and values[0].ndim == values[1].ndim == 2:
        a, b = values
        return (lambda g: a.T @ g) if k else (lambda g: g @ b.T)
    if len(values) == 1 and function is np.reshape:
        return lambda g: g.reshape(x.shape)
    places = call.args[1] if function in (operator.getitem, put) else None
    if places is None or refs(places):
        return None
    if function is operator.getitem:
        return lambda g: at_place(np.zeros(x.shape), places, np.add, g)
    if call.args[0] == Ref(call.sources[k]) and len(values) == 2 and k == 0:
        return lambda g: put(g, places, 0)
    if call.args[2] == Ref(call.sources[k]) and k == len(values) - 1:
        return lambda g: fitted(np.asarray(g[places]), x.shape)
    return None
