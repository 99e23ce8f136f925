"""People's function and backward, called so that what they do is recorded."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..parameters import Slot, is_array
from ..twin import copied
from .record import Tape, Unrecorded
from .watched import Watched, plain, watch

__all__ = ["record"]

MAKE = ("zeros", "ones", "empty", "full", "eye", "identity", "array", "asarray", "zeros_like", "ones_like",
        "empty_like", "full_like")  # fmt: skip


class Numpy(types.ModuleType):
    """NumPy, but that the arrays which it makes are watched."""

    def __init__(self, tape: Tape):
        super().__init__("numpy")
        self.tape = tape

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if name not in MAKE:
            return found

        def make(*args: Any, **settings: Any) -> Any:
            if name in ("array", "asarray") and isinstance(args[0], Watched):
                return args[0].copy() if name == "array" else args[0]
            return watch(self.tape, found, args, settings, found(*plain(args), **plain(settings)))

        return make


def rebound(function: Any, numpy: Numpy, done: dict[int, Any]) -> Any:
    """A copy of a function that sees ``numpy`` for NumPy, as do those that it calls."""
    if isinstance(function, types.MethodType):
        return types.MethodType(rebound(function.__func__, numpy, done), function.__self__)
    if function is np:
        return numpy
    if isinstance(function, np.vectorize):
        return lambda *args, **settings: watch(numpy.tape, function, args, settings,
                                               function(*plain(args), **plain(settings)))  # fmt: skip
    if not isinstance(function, types.FunctionType):
        return function
    if (function.__module__ or "").split(".")[0] in ("numpy", "minicnn"):
        return function
    if id(function) not in done:
        seen = done.setdefault(id(function.__globals__), dict(function.__globals__))
        cells = tuple(types.CellType() for _ in function.__closure__ or ())
        copy = types.FunctionType(function.__code__, seen, function.__name__, function.__defaults__, cells)
        copy.__kwdefaults__ = function.__kwdefaults__
        done[id(function)] = done[id(copy)] = copy
        for cell, old in zip(cells, function.__closure__ or (), strict=True):
            cell.cell_contents = rebound(old.cell_contents, numpy, done)
        for name in names_in(function.__code__):
            if name in seen and (seen[name] is np or isinstance(seen[name], (types.FunctionType, np.vectorize))):
                seen[name] = rebound(seen[name], numpy, done)
    return done[id(function)]


def names_in(code: types.CodeType) -> set[str]:
    """All names that a function uses, and those inside it."""
    inner = [names_in(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    return set(code.co_names).union(*inner)


def record(function: Callable[..., Any], backward: Callable[..., Any], inputs: Sequence[Any], gy: np.ndarray,
           names: Sequence[str], layer: Any = None, slots: Sequence[Slot] = ()) -> Tape:  # fmt: skip
    """The tape of function(*inputs) and of backward(gy, *inputs), of a layer backward(gy), called one after the other
    on copies, of a layer on a copy of it. slots: its parameters, which are inputs, too.

    Raises Unrecorded where the tape, followed once more, does not give what the two gave.
    """
    tape = Tape()
    numpy, done = Numpy(tape), {}  # type: ignore[var-annotated]
    leaves = [watch(tape, None, (), {}, np.array(x), name) if isinstance(x, np.ndarray) else x
              for x, name in zip(inputs, names, strict=True)]  # fmt: skip
    own = {id(slot.array): watch(tape, None, (), {}, np.array(slot.array), slot.name) for slot in slots}
    tape.leaves = [x.number if isinstance(x, Watched) else -1 for x in (*leaves, *own.values())]
    tape.inputs = len(leaves)
    if layer is not None:
        memo: dict[int, Any] = dict(own)
        for before in [slot.gradient() for slot in slots]:
            if is_array(before):  # it may be added to, or written into
                memo.setdefault(id(before), watch(tape, np.zeros, (before.shape,), {}, np.zeros(before.shape)))
        twin = copied(layer, memo)
        function, backward = twin.forward, twin.backward
    y = rebound(function, numpy, done)(*[x.copy() if isinstance(x, Watched) else x for x in leaves])
    tape.gy = len(tape.calls)
    found = rebound(backward, numpy, done)(watch(tape, None, (), {}, gy, "gy"), *([] if layer is not None else leaves))
    returned = [y, *(found if isinstance(found, (tuple, list)) else [found])]
    returned += [None] * (1 + len(leaves) - len(returned))
    returned += [slot.find(memo[id(slot.owner)]) for slot in slots]
    tape.output, *tape.gradients = [g.number if isinstance(g, Watched) and g.tape is tape else -1 for g in returned]
    again = tape.follow({}, range(len(tape.calls)))
    for value, number in zip(returned, (tape.output, *tape.gradients), strict=True):
        if number >= 0 and not np.allclose(again[number], plain(value), rtol=1e-9, atol=0, equal_nan=True):
            raise Unrecorded("followed once more, it gives something else")
    return tape
