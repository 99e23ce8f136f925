"""Formulas, from TeX to MathML."""

from __future__ import annotations

import re
from functools import cache

from latex2mathml.converter import convert

__all__ = ["mathml"]


@cache
def mathml(tex: str) -> str:
    """What marimo writes into its element for formulas, ``||(x||)`` in a line or ``||[x||]`` by itself, as MathML.
    Raises ValueError for a command of TeX that the library does not know: it would stand on the page as it is."""
    block = tex.strip().startswith("||[")
    source = re.sub(r"^\|\|[(\[]|\|\|[)\]]$", "", tex.strip()).strip()
    math = convert(source, display="block" if block else "inline")
    if unknown := re.findall(r"\\[A-Za-z]+", re.sub(r"<annotation.*?</annotation>", "", math)):
        raise ValueError(f"book: the formula {source} has {', '.join(unknown)}, which does not become MathML: "
                         "write it in another way")  # fmt: skip
    return math
