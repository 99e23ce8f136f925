"""Numba's cache of compiled kernels, where it can be kept, and never more than a saving of time."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

__all__ = ["kept"]


def kept(dispatcher: Any) -> Any:
    """The compiled function, which from now on looks into Numba's cache, if there is a place for that.

    Numba keeps it beside the source, else in the user's cache folder or in NUMBA_CACHE_DIR.  It raises where none of
    these can be written, where a file there is damaged, and where the disk is full: here the kernel is then compiled,
    which takes seconds, at each start.
    """
    with suppress(Exception):  # RuntimeError: "no locator available", but also of folders that are no folders
        dispatcher.enable_caching()
        dispatcher._cache = Forgiving(dispatcher._cache)
    return dispatcher


class Forgiving:
    """A cache of Numba's that finds nothing, or keeps nothing, where it would fail."""

    def __init__(self, cache: Any) -> None:
        self.cache = cache

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return self.cache.load_overload(sig, target_context)
        except Exception:  # whatever a damaged file makes of pickle and LLVM
            with suppress(Exception):
                self.cache.flush()  # else nothing could be kept beside it
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(Exception):
            self.cache.save_overload(sig, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cache, name)
