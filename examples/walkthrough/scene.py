"""Scenes: figures in which a number is picked, by mouse, touch or keys, and everything that made it lights up. The
numbers come from the engine; the script of a scene looks them up."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import marimo as mo
import numpy as np
from page import aloud

__all__ = ["document", "scene"]

FOLDER = Path(__file__).parent / "scenes"


def plain(x: Any) -> Any:
    """What JSON knows, of what it does not."""
    if isinstance(x, (np.ndarray, np.generic)):
        return x.tolist()
    raise TypeError(f"a scene's data: {type(x).__name__} is not JSON: use arrays, numbers, words, lists and dicts")


def document(name: str, data: Any, words: str) -> str:
    """The page of a scene, whole: style, script and data are inside it, so it needs neither server nor network.

    ``scenes/name.js`` finds in ``data`` what is handed over here, arrays as lists of lists, and draws into ``stage``
    with what ``scenes/scene.js`` gives. Raises ValueError for numbers that JSON does not have, ∞ and NaN.
    """
    numbers = json.dumps(data, default=plain, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    style, shared, own = ((FOLDER / file).read_text(encoding="utf-8") for file in
                          ("scene.css", "scene.js", f"{name}.js"))  # fmt: skip
    return (f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(words)}</title>\n<style>\n{style}</style>\n"
            f'<main id="stage"></main>\n<script type="application/json" id="data">{numbers}</script>\n'
            f'<script>\n"use strict";\n{shared}{own}</script>\n</html>\n')  # fmt: skip


def scene(name: str, data: Any, words: str, height: int) -> Any:
    """A scene on the page, so many pixels high until it has measured itself, with words for whoever cannot see it.

    Raises what ``document`` raises.
    """
    aloud(f"[picture: {words}]")
    # inside the page, as pictures are, and of its origin: so it may take on the page's colours and its own height
    title, inside = html.escape(words), html.escape(document(name, data, words))
    return mo.Html(f'<iframe class="scene" title="{title}" srcdoc="{inside}" '
                   f'style="width: 100%; height: {height}px; border: 0; display: block"></iframe>')
