"""Progress bars, where somebody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tqdm import tqdm

__all__ = ["on_terminal", "picture_bar"]


def on_terminal() -> bool:
    """Whether somebody looks at the error output, where progress bars are drawn."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False


def picture_bar(title: str, unit: str = "picture") -> Callable[[int, int], None]:
    """A progress(done, total) in pictures, or in bytes ("B"), that draws a bar where there is a terminal."""
    line = tqdm(desc=title, unit=unit, unit_scale=unit == "B", disable=not on_terminal(), leave=False)

    def progress(done: int, total: int) -> None:
        line.total = total
        line.update(done - line.n)
        if done == total:
            line.close()

    return progress
