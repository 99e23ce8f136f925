"""Whether ops remember their inputs: of each thread, and of each task of asyncio, its own."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from typing import Any

__all__ = ["grad_enabled", "grad_mode", "no_grad"]


_mode: contextvars.ContextVar[bool] = contextvars.ContextVar("grad_enabled", default=True)


def grad_enabled() -> bool:
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
        self.before.append(grad_enabled())
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
