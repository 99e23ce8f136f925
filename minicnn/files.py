"""Files and folders: whole or not there, and found where people say they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["expanded", "remove", "try_to_write", "written_aside"]


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write a file or a folder; it becomes ``path`` only when the block ends well.

    So whatever bears that name is complete, and a crash or a full disk leaves what was there before. The place is
    called ``.<name>.<8 letters>.part``, under which a writer that was killed leaves it. A folder cannot take the place
    of one in which there is something.

    Raises OSError where it cannot become ``path``.
    """
    aside = _beside(path)
    try:
        yield aside
        aside.replace(path)
    finally:
        remove(aside)


def try_to_write(path: Path) -> None:
    """Raise OSError where ``written_aside`` could not write a file ``path``: before the work of which it is the end."""
    aside = _beside(path)
    try:
        aside.touch()
    finally:
        remove(aside)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path, where a leading ~ is the user's home, as a shell reads it; unless there is a folder of that name."""
    path = Path(path)
    if path.parts[:1] and path.parts[0].startswith("~") and not path.exists():
        with suppress(RuntimeError):  # there is no such user, or he has no home
            return path.expanduser()
    return path


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, where there is one and it can be deleted."""
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)
