"""The cache folder: what is costly to make and the same every time is kept here, where that is possible."""
from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
def written_aside(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file or a folder; it becomes `path` only when the block ends well.

    So whatever bears that name is complete, though the writer be killed.  Raises OSError if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(".unfinished-*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as aside:
        yield Path(aside) / path.name
        os.replace(Path(aside) / path.name, path)
