"""What the chapters share: text that is printed too where a chapter runs as a script, pictures that say in words what
they show, and what exercise.py has."""

from __future__ import annotations

import base64
import html
import inspect
import io
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import marimo as mo
import numpy as np
from exercise import answer_box, attempt, fold, in_words, one_answer
from language import SWITCH, agree, both, in_english, part
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.text import Text

from minicnn.data import BadPicture
from minicnn.models import AlexNet, load
from minicnn.models.classifier import Classifier

__all__ = ["alexnet_in", "answer_box", "attempt", "both", "figure", "fold", "given", "in_words", "one_answer",
           "picture", "say", "table"]

style.use("tableau-colorblind10")


def aloud(text: str) -> None:
    """Printed where a chapter runs as a script."""
    if mo.app_meta().mode == "script":
        if hasattr(signal, "SIGPIPE"):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `python 05_convolution.py | head` ends without a word
        text = re.sub(r"(?m)^/// details \| (.*)\n", r"\1:\n", text).replace("\n\n///", "")  # what a page folds
        print(in_english(text), end="\n\n")


def say(*parts: str, vi: Sequence[Any] = ()) -> Any:
    """Markdown for the page, a blank line between the parts; printed where there is no page.

    vi: the same in Vietnamese, part by part; ``...`` stands for a part that is in no language, as a table. Raises
    ValueError where the two differ in a number. A title in both brings the switch between them.
    """
    english = [inspect.cleandoc(text) for text in parts]
    aloud("\n\n".join(english))
    if not vi:
        return mo.md("\n\n".join(english))
    shown = []
    for text, other in zip(english, vi, strict=True):
        if other is ...:
            shown.append(f"<div>{mo.md(text).text}</div>")
        else:
            vietnamese = inspect.cleandoc(other)
            agree(text, vietnamese)
            shown += [part(mo.md(text).text, "en"), part(mo.md(vietnamese).text, "vi")]
    switch = SWITCH if english[0].startswith("# ") else ""
    return mo.Html(f'{switch}<div class="parts">{"".join(shown)}</div>')


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


def picture(of: Figure, words: str, *, vi: str = "", texts: dict[str, str] | None = None) -> Any:
    """A figure on the page, with words for whoever cannot see it; in Vietnamese they stand below it.

    texts: what is written in the figure, or parts of it, in English and in Vietnamese; then it is drawn once more, in
    Vietnamese. Raises ValueError where one of them is not in it.
    """
    aloud(f"[picture: {words}]")
    image = drawn(of, words)
    if not vi:
        return image
    agree(words, vi)
    below = part(f'<div class="words">{html.escape(vi)}</div>', "vi")
    if not texts:
        return mo.Html(image.text + below)
    translate(of, texts)
    return mo.Html(part(image.text, "en") + part(drawn(of, vi).text, "vi") + below)


def drawn(of: Figure, words: str) -> Any:
    """A figure as an image."""
    png = io.BytesIO()
    of.savefig(png, format="png", dpi=130)
    # inside the page: a file of its own may be gone before it is read, where a slider is moved fast
    source = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    return mo.image(source, alt=words, style={"max-width": "100%", "height": "auto"})


def translate(of: Figure, texts: dict[str, str]) -> None:
    """Replaces texts of a figure, those of its ticks, too."""
    unseen = set(texts)

    def turned(text: str) -> str:
        for english in sorted(texts, key=len, reverse=True):
            if english in text:
                unseen.discard(english)
                text = text.replace(english, texts[english])
        return text

    for english, vietnamese in texts.items():
        agree(english, vietnamese)
    for axis in (axis for axes in of.axes for axis in (axes.xaxis, axes.yaxis)):
        labels = [label.get_text() for label in axis.get_majorticklabels()]
        if (others := [turned(label) for label in labels]) != labels:
            axis.set_ticks(axis.get_majorticklocs(), others)
    for text in of.findobj(Text):
        text.set_text(turned(text.get_text()))
    if unseen:
        raise ValueError(f"not in the figure: {sorted(unseen)}: give texts that it shows")


def table(head: list[str], rows: list[list[Any]]) -> str:
    """Markdown of a table; numbers are written with six digits, and stand on the right."""
    def cell(x: Any) -> str:
        return f"{x:.6g}" if isinstance(x, (float, np.floating)) else str(x)

    sides = ["---:" if isinstance(x, (int, float, np.number)) else ":---" for x in (rows or [head])[0]]
    lines = [head, sides, *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)
