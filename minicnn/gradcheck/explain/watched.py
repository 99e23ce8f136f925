"""Arrays that write down every call they are part of."""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .record import Call, Ref, Tape, Unrecorded, at_place, pick, put, walk

__all__ = ["Watched", "plain", "watch"]


class Watched(np.ndarray):
    """An array that tells its tape of every call it is part of."""

    tape: Tape | None = None
    number: int = -1

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        tape, out = tape_of(inputs, settings), settings.pop("out", None)
        if method == "at":
            getattr(ufunc, method)(*plain(inputs))
            overwrite(tape, inputs[0], at_place, (inputs[0], inputs[1], ufunc, *inputs[2:]))
            return None
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return keep(tape, function, inputs, settings, function(*plain(inputs), **plain(settings)),
                    out[0] if out else None)  # fmt: skip

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        if func in IN_PLACE:
            func(*plain(args), **plain(kwargs))
            overwrite(tape_of(args, kwargs), args[0], IN_PLACE[func], args, kwargs)
            return None
        return keep(tape_of(args, kwargs), func, args, kwargs, func(*plain(args), **plain(kwargs)), out)

    def __getitem__(self, index: Any) -> Any:
        return keep(tape_of((self, index), {}), operator.getitem, (self, index), {}, plain(self)[plain(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        plain(self)[plain(index)] = plain(value)
        overwrite(tape_of((self, value), {}), self, put, (self, index, value))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __pow__(self, other: Any) -> Any:  # type: ignore[override]
        return np.power(self, other)  # and not square() where other is 2

    @property
    def T(self) -> Any:
        return np.transpose(self)

    @property
    def mT(self) -> Any:
        return np.swapaxes(self, -1, -2)

    def reshape(self, *shape: Any, **settings: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **settings)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def flatten(self) -> Any:  # type: ignore[override]
        return np.ravel(self)

    def copy(self, order: Any = "C") -> Any:
        copied = plain(self).copy().view(Watched)
        copied.tape, copied.number = self.tape, self.number
        return copied

    def astype(self, dtype: Any, **settings: Any) -> Any:  # type: ignore[override]
        return keep(tape_of((self,), {}), np.ndarray.astype, (self, dtype), {}, plain(self).astype(dtype))

    def fill(self, value: Any) -> None:
        self[...] = value


def method(name: str) -> Callable[..., Any]:
    """A function of NumPy as a method."""
    return lambda self, *args, **settings: getattr(np, name)(self, *args, **settings)


for name in ("sum", "mean", "max", "min", "std", "var", "prod", "cumsum", "cumprod", "argmax", "argmin", "argsort",
             "ravel", "swapaxes", "squeeze", "repeat", "trace", "clip", "dot", "take", "all", "any", "nonzero",
             "diagonal", "round"):  # fmt: skip
    setattr(Watched, name, method(name))


def in_copy(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a function that writes into its first argument makes of a copy of it."""

    @functools.wraps(function)
    def written(base: np.ndarray, *args: Any, **settings: Any) -> np.ndarray:
        copy = np.array(base)
        function(copy, *args, **settings)
        return copy

    return written


IN_PLACE = {f: in_copy(f) for f in (np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis)}


def watch(tape: Tape, function: Callable[..., Any] | None, args: tuple[Any, ...], settings: dict[str, Any], value: Any,
          name: str = "") -> Watched:  # fmt: skip
    """The value of a call, which is written down."""
    call = Call(function, refer(args), refer(settings), np.array(value), name, site())
    watched = np.asarray(value).view(Watched)
    watched.tape, watched.number = tape, tape.add(call)
    return watched


def site() -> tuple[tuple[str, int, int], ...]:
    """Where people's program stands, from the innermost call outwards as far as record()."""
    found, frame = [], sys._getframe(2)
    while frame and frame.f_code.co_name != "record":
        if frame.f_globals.get("__name__", "").split(".")[0] not in ("numpy", "minicnn"):
            found.append((frame.f_code.co_filename, frame.f_lineno, frame.f_lasti))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(found)


def plain(x: Any) -> Any:
    """x, with the arrays themselves for watched ones."""
    return walk(x, lambda w: w.view(np.ndarray), Watched)


def refer(x: Any) -> Any:
    """x as a record holds it: for what is watched a Ref, of other arrays copies."""
    return walk(walk(x, lambda w: Ref(w.number) if w.tape else w.view(np.ndarray).copy(), Watched), np.copy, np.ndarray)


def tape_of(args: Any, settings: Any) -> Tape | None:
    """That of the first watched array among the arguments."""
    found: list[Tape] = []
    walk((args, settings), lambda w: found.append(w.tape) if w.tape else None, Watched)
    return found[0] if found else None


def keep(tape: Tape | None, function: Any, args: Any, settings: Any, value: Any, out: Any = None) -> Any:
    """The value of a call, watched; of a call that gives several, each."""
    if out is not None:
        plain(out)[...] = value
        if isinstance(out, Watched):
            overwrite(tape, out, function, args, settings)
            return out
        value = plain(out)
    if tape is None or not isinstance(value, (np.ndarray, np.generic, tuple, list)):
        return value
    if isinstance(value, (tuple, list)):
        if not all(isinstance(v, (np.ndarray, np.generic)) for v in value):
            return value
        return type(value)(watch(tape, pick, (i, function, args, settings), {}, v) for i, v in enumerate(value))
    return watch(tape, function, tuple(args), dict(settings), value)


def overwrite(tape: Tape | None, changed: Any, function: Any, args: Any, settings: Any = None) -> None:
    """What is written into an array is the value of a call, which the array is from then on."""
    if tape is None or not isinstance(changed, Watched):
        raise Unrecorded("what is written into is not watched")
    new = watch(tape, function, tuple(args), dict(settings or {}), plain(changed))
    changed.tape, changed.number = tape, new.number
