"""The cache folder: what is costly to make and the same every time is kept here."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/minicnn, or ~/.cache/minicnn if that variable is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minicnn"


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file or a folder; it becomes `path` only when the block ends well.

    So whatever bears that name is complete, though the writer be killed.  Raises OSError if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as aside:
        yield Path(aside) / path.name
        os.replace(Path(aside) / path.name, path)
