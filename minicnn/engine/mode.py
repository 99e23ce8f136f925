"""What every thread has of its own: whether ops remember their inputs, and who watches what they do."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["PerThread", "grad_mode", "no_grad", "recording", "watchers"]


class PerThread(threading.local):
    """A list of which every thread has its own."""

    def __init__(self) -> None:
        self._list: list[Any] = []
        self.append, self.remove = self._list.append, self._list.remove

    def __iter__(self) -> Iterator[Any]:
        return iter(self._list)

    def __len__(self) -> int:
        return len(self._list)


watchers = PerThread()  # are told what each op made and what each gradient function carried: see trace.py


_mode: contextvars.ContextVar[bool] = contextvars.ContextVar("recording", default=True)  # a task of asyncio has its own


def recording() -> bool:
    """Whether ops remember their inputs: not under ``no_grad()``."""
    return _mode.get()


def no_grad() -> grad_mode:
    """``with no_grad():`` or ``@no_grad()``: ops inside remember nothing, so nothing can go backward through them."""
    return grad_mode(False)


class grad_mode(contextlib.ContextDecorator):
    """``with grad_mode(True):`` ops inside remember their inputs, even under ``no_grad()``, which is False."""

    def __init__(self, on: bool):
        self.on, self.before = on, list[bool]()

    def __enter__(self) -> None:
        self.before.append(recording())
        _mode.set(self.on)

    def __exit__(self, *error: object) -> None:
        _mode.set(self.before.pop())

    def __call__(self, function: Any) -> Any:
        """As a decorator. Raises TypeError for a generator or coroutine function, whose body runs after the call."""
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function) or (
                inspect.isasyncgenfunction(function)):  # fmt: skip
            raise TypeError(f"no_grad: the body of {function.__name__} runs after the call that is decorated: write "
                            "`with no_grad():` inside of it")
        return super().__call__(function)

    def _recreate_cm(self) -> grad_mode:
        return grad_mode(self.on)  # each call has one of its own, in whatever thread
