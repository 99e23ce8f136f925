"""The cache folder: what is costly to make and the same every time is kept here, where that is possible."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..files import remove, written_aside

__all__ = ["cache_folder", "cached"]

ABANDONED = 24 * 3600  # seconds after which what is unfinished belongs to nobody: its writer was killed


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/minicnn, or ~/.cache/minicnn if that variable is not set.

    Raises OSError for a user who has no home.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minicnn"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "there is no home folder") from None


@contextmanager
def cached(path: Path) -> Iterator[Path]:
    """``files.written_aside`` in a cache: its folder is made if need be, and what was abandoned in it is cleared away.

    Raises OSError where it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(".*.part"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                remove(left)
    with written_aside(path) as aside:
        yield aside
