"""What every thread has of its own: whether ops remember their inputs, and who watches what they do."""

from __future__ import annotations

import contextlib
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


class _Mode(threading.local):
    recording = True


_mode = _Mode()


def recording() -> bool:
    """Whether ops remember their inputs: not under ``no_grad()``."""
    return _mode.recording


def no_grad() -> contextlib._GeneratorContextManager[None]:
    """``with no_grad():`` or ``@no_grad()``: ops inside remember nothing, so nothing can go backward through them."""
    return grad_mode(False)


@contextlib.contextmanager
def grad_mode(on: bool) -> Iterator[None]:
    """``with grad_mode(True):`` ops inside remember their inputs, even under ``no_grad()``, which is False."""
    before, _mode.recording = _mode.recording, on
    try:
        yield
    finally:
        _mode.recording = before
