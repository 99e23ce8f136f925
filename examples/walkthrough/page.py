"""What the chapters share: text that is printed too where a chapter runs as a script, pictures that say in words what
they show, and exercises."""

from __future__ import annotations

import base64
import inspect
import io
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import marimo as mo
import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from minicnn.data import BadPicture
from minicnn.models import AlexNet, load
from minicnn.models.classifier import Classifier

__all__ = ["alexnet_in", "attempt", "figure", "given", "picture", "say", "table"]

style.use("tableau-colorblind10")
MOST = 4000  # characters of an answer's error


def aloud(text: str) -> None:
    """Printed where a chapter runs as a script."""
    if mo.app_meta().mode == "script":
        if hasattr(signal, "SIGPIPE"):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `python 05_convolution.py | head` ends without a word
        print(text, end="\n\n")


def say(*parts: str) -> Any:
    """Markdown for the page, a blank line between the parts; printed where there is no page."""
    text = "\n\n".join(inspect.cleandoc(part) for part in parts)
    aloud(text)
    return mo.md(text)


def given(path: str, read: Callable[[Path], Any], default: Callable[[], Any], name: str) -> tuple[Any, Any]:
    """(what read(path) gives, None); where there is no path or it cannot be read, (default(), a line that says why and
    that here is ``name`` instead, or None)."""
    try:
        return read(Path(path).expanduser()) if path else default(), None
    except Exception as error:  # in somebody's file there may be anything
        why = error if isinstance(error, (ValueError, BadPicture)) else f"cannot use {path}: {error!r}"
        return default(), say(f"`{' '.join(str(why).replace('`', ' ').split())}`: here is {name} instead.")


def alexnet_in(path: Path) -> Classifier:
    """What ``models.load`` reads, if it is an AlexNet. Raises ValueError for others, and what ``load`` raises."""
    ask = load(path)
    if not isinstance(ask.net, AlexNet):
        raise ValueError(f"{path} is a graph of ONNX, which has no towers and rows to look into")
    return ask


def figure(width: float = 7, height: float = 3) -> Figure:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def picture(of: Figure, words: str) -> Any:
    """A figure on the page, with words for whoever cannot see it."""
    aloud(f"[picture: {words}]")
    png = io.BytesIO()
    of.savefig(png, format="png", dpi=130)
    # inside the page: a file of its own may be gone before it is read, where a slider is moved fast
    source = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    return mo.image(source, alt=words, style={"max-width": "100%", "height": "auto"})


def table(head: list[str], rows: list[list[Any]]) -> str:
    """Markdown of a table; numbers are written with six digits, and stand on the right."""
    def cell(x: Any) -> str:
        return f"{x:.6g}" if isinstance(x, (float, np.floating)) else str(x)

    sides = ["---:" if isinstance(x, (int, float, np.number)) else ":---" for x in (rows or [head])[0]]
    lines = [head, sides, *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def attempt(code: str, name: str, check: Callable[[Any], Any]) -> tuple[bool, str]:
    """(is it right, what to tell): runs the code of an answer, and check(what it calls ``name``), which raises where
    that is wrong, as gradcheck does."""
    names: dict[str, Any] = {"np": np}
    try:
        exec(compile(code, "<answer>", "exec"), names)
        if name not in names:
            return False, f"There is no `{name}` in it: call your function `{name}`."
        check(names[name])
    except Exception as error:
        return False, f"Not yet. `{type(error).__name__}`:\n\n```\n{str(error)[:MOST]}\n```"
    return True, "Right: backward agrees with the differences."
