"""A chapter as a page: what it shows as it begins, and beside it what each cell shows in its other states."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from language import both

from .controls import control
from .marks import plain, words_of
from .states import Cell, Chapter, State

__all__ = ["Page", "chapter_page", "framed"]

FOLDER = Path(__file__).parent
IMAGE = re.compile(r'<img src="(data:[^"]*)"')
HEADING = re.compile(r'<h([1-6]) id="([^"]*)">(.*?)</h\1>', re.DOTALL)

SAID = re.compile(r'<h[1-6] id="([^"]*)">(.*?)</h\d>|<(p|li|dd|dt|pre|tr)\b[^>]*>(.*?)</\3>', re.DOTALL)


@dataclass
class Page:
    """A file of the book. ``said`` are its headings and paragraphs, for the search: (anchor, text)."""

    file: str
    title: str
    body: str
    said: list[tuple[str, str]] = field(default_factory=list)
    data: dict[str, Any] | None = None
    picture: str = ""


def chapter_page(path: Path) -> Page:
    chapter, number = Chapter(path), int(path.stem[:2])

    def show(cell: Cell, state: State) -> str:
        def widget(name: str, label: str) -> str:
            if name not in chapter.owner:
                raise ValueError(f"book: {path.name} shows a widget, {label!r}, that none of its names holds: name it")
            choices = chapter.choices(name, state)
            again = "" if name in cell.own else f"-{cell.place}"
            return control(name, label, chapter.widget(name), choices, chapter.of_all(name, state), number, again)

        return plain(cell.output, widget)

    chapter.keep(show)
    texts: dict[str, int] = {}
    images: dict[str, int] = {}
    cells, sections, began = [], {}, {}
    for cell in chapter.cells:
        first = cell.kept[cell.key(chapter.first)]
        began[cell.place] = first
        if any(cell.kept.values()):
            sections[cell.place] = f'<section id="cell-{cell.place}">{first}</section>'
        if not cell.needs or cell.place not in sections:
            continue
        at = {}
        for key, html in cell.kept.items():
            small = IMAGE.sub(lambda m: f'<img data-src="{images.setdefault(m[1], len(images))}"', html)
            at[",".join(map(str, key))] = -1 if html == first else texts.setdefault(small, len(texts))
        cells.append({"place": cell.place, "needs": cell.needs, "own": [*cell.own], "at": at})
    data = {"first": {name: i for name, i in chapter.first.items() if any(name in one["needs"] for one in cells)},
            "cells": cells, "texts": [*texts], "images": [*images]}  # fmt: skip
    body = unique("\n".join(sections[place] for place in sorted(sections)))
    title = words_of(HEADING.search(body)[3]) if HEADING.search(body) else path.stem
    picture = IMAGE.search(body)
    return Page(f"{path.stem}.html", title, body, paragraphs(body), data if cells else None,
                picture[1] if picture else "")  # fmt: skip


def language_at(html: str, place: int) -> str:
    """Of a page in two languages: in which one this place is."""
    begun = html.rfind('<div lang="', 0, place)
    inside = html[begun:place]
    return inside[11:13] if begun >= 0 and inside.count("<div") > inside.count("</div") else ""


def unique(html: str) -> str:
    """Each heading has an address of its own."""
    met: dict[str, int] = {}

    def name(match: re.Match[str]) -> str:
        met[match[2]] = met.get(match[2], 0) + 1
        again = f"-{met[match[2]]}" if met[match[2]] > 1 else ""
        return f'<h{match[1]} id="{match[2]}{again}">{match[3]}</h{match[1]}>'

    return HEADING.sub(name, html)


def paragraphs(html: str) -> list[tuple[str, str]]:
    """(the heading above, what is said), for headings, paragraphs, lines of lists and cells of tables."""
    found, anchor = [], ""
    for match in SAID.finditer(html):
        anchor = match[1] or anchor
        text = words_of(match[2] or match[4])
        if text:
            found.append((anchor, text))
    return found


def framed(page: Page, pages: list[tuple[str, str]]) -> str:
    """A whole file: the page with its style, its script and its states inside, and the way to the others."""
    files = [file for file, _ in pages]
    i = files.index(page.file) if page.file in files else None
    before = pages[i - 1] if i else None
    after = pages[i + 1] if i is not None and i + 1 < len(pages) else None
    ways = "".join([
        f'<a rel="prev" href="{before[0]}">← {escape(before[1])}</a>' if before else "<span></span>",
        f'<a rel="next" href="{after[0]}">{escape(after[1])} →</a>' if after else "<span></span>"]) if pages else ""
    inside = [(m[2], m[3], language_at(page.body, m.start())) for m in HEADING.finditer(page.body) if m[1] == "2"]
    contents = "".join(f'<li{f" lang={language}" if language else ""}><a href="#{name}">{words}</a></li>'
                       for name, words, language in inside)
    contents = (f'<details class="contents"><summary>{both("On this page", "Trên trang này")}</summary>'
                f"<ul>{contents}</ul></details>") if len(inside) > 2 else ""  # fmt: skip
    home = "index.html" if page.file.count("/") == 0 else "../index.html"
    numbers = json.dumps(page.data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("book.css", "book.js"))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(page.title)} · minicnn</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#page">To the text</a>
<header>
<a href="{home}" class="home">minicnn, the walkthrough</a>
<form role="search" action="{home}">
<label><span>{both("Search", "Tìm")}</span> <input type="search" name="q" placeholder="/"></label>
</form>
<button type="button" id="theme" aria-label="Light or dark">◐</button>
</header>
<main id="page">
{f'<nav class="ways" aria-label="Pages">{ways}</nav>' if ways else ""}
{contents}
{page.body}
{f'<nav class="ways" aria-label="Pages, again">{ways}</nav>' if ways else ""}
</main>
<p id="note" role="status"></p>
{f'<script type="application/json" id="states">{numbers}</script>' if page.data else ""}
<script>
{script}</script>
</body>
</html>
"""
