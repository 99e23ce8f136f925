"""What marimo shows, as HTML that any browser shows: nothing of marimo's own is left."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from .pictures import smaller
from .tex import mathml

__all__ = ["plain", "python", "words_of"]

EMPTY = {"br", "hr", "img", "input", "wbr", "col", "source", "meta", "link"}
PICTURE = ("src", "width", "height", "onload", "frameborder")
COLOURED = ("python", "cpp", "c++", "c", "console", "bash", "json")  # Pygments guesses where no language is named
WIDGETS = {f"marimo-{kind}" for kind in ("ui-element", "slider", "dropdown", "switch", "checkbox", "radio", "number",
                                         "text", "code-editor")}
STACKED = "display: flex"  # how the style of mo.vstack and mo.hstack begins


def python(code: str) -> str:
    """Highlighted, as the chapters' own code is."""
    return f'<div class="codehilite">{highlight(code, PythonLexer(), HtmlFormatter(nowrap=False))}</div>'


def plain(html: str, widget: Callable[[str, str], str]) -> str:
    """``widget(name, label)`` gives the HTML of a widget."""
    reader = Reader(widget)
    reader.feed(html)
    reader.close()
    if reader.open:
        raise ValueError(f"book: a chapter does not end <{reader.open[-1][0]}>")
    return "".join(reader.parts)


def words_of(html: str) -> str:
    """Only the text."""
    text = re.sub(r"<(style|script|math|pre)\b.*?</\1>|<[^>]+>", lambda m: " " if m[0].startswith("</") else "", html,
                  flags=re.DOTALL)  # fmt: skip
    return " ".join(text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&#x27;", "'")
                    .replace("&amp;", "&").split())  # fmt: skip


class Reader(HTMLParser):
    def __init__(self, widget: Callable[[str, str], str]) -> None:
        super().__init__(convert_charrefs=True)
        self.widget, self.parts = widget, []  # type: ignore[var-annotated]
        self.open: list[tuple[str, str]] = []  # the tags in which we are, each with what ends it
        self.tex: list[str] | None = None
        self.skip = 0  # inside of a widget, whose HTML is ours
        self.raw = False  # inside of a style
        self.name = ""

    def put(self, text: str) -> None:
        if not self.skip:
            self.parts.append(text)

    def begin(self, tag: str, start: str, end: str) -> None:
        self.put(start)
        self.open.append((tag, end))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self.skip:
            self.skip += tag not in EMPTY
            self.widget_of(tag, given)
        elif tag == "marimo-ui-element":
            self.name, self.skip = given["object-id"], 1
        elif tag == "marimo-tex":
            self.tex = []
        elif tag == "marimo-accordion":
            self.labels = [inline(plain(label, self.widget)) for label in json.loads(given["data-labels"])]
            self.begin(tag, "", "")
        elif tag.startswith("marimo-"):
            raise ValueError(f"book: a chapter shows <{tag}>, of which no page without marimo can be made")
        elif tag == "script":
            raise ValueError("book: a chapter has a script outside of a frame: make it a scene")
        elif self.open and self.open[-1][0] == "marimo-accordion":
            self.begin(tag, f"<details><summary>{self.labels.pop(0)}</summary><div>", "</div></details>")
        elif tag == "img":
            source, width, height = smaller(given["src"])
            if not given.get("alt"):
                raise ValueError("book: a picture has no words: give it some")
            self.put(f'<img src="{source}" width="{width}" height="{height}" alt="{escape(given["alt"])}">')
        elif tag == "iframe":
            kept = {name: value for name, value in given.items() if name not in PICTURE}
            self.begin(tag, f"<iframe{written(kept)}>", "</iframe>")
        elif tag == "table":
            self.begin(tag, f'<div class="wide"><table{written(given)}>', "</table></div>")
        elif tag == "span" and given.get("class") == "paragraph":
            self.begin(tag, "<p>", "</p>")
        elif tag == "span" and given.get("class", "").startswith("markdown"):
            self.begin(tag, "<div>", "</div>")
        elif given.get("class", "").endswith("codehilite"):
            language = given["class"].split()[0].removeprefix("language-")
            self.begin(tag, '<div class="codehilite">' if language in COLOURED else '<div class="told">', "</div>")
        elif given.get("style", "").startswith(STACKED):
            down = "direction: column" in given["style"]
            self.begin(tag, f'<div class="{"stack" if down else "row"}">', "</div>")
        elif tag in EMPTY:
            self.put(f"<{tag}{written(given)}>")
        else:
            self.raw = tag == "style"
            self.begin(tag, f"<{tag}{written(given)}>", f"</{tag}>")

    def widget_of(self, tag: str, given: dict[str, str]) -> None:
        """The first element inside of marimo's own for widgets says what it is."""
        if tag.startswith("marimo-") and tag not in WIDGETS:
            raise ValueError(f"book: a chapter shows <{tag}>, of which no page without marimo can be made")
        if self.name and "data-label" in given:
            label = json.loads(given["data-label"])
            self.parts.append(self.widget(self.name, inline(plain(label, self.widget)) if label else ""))
            self.name = ""

    def handle_endtag(self, tag: str) -> None:
        if self.skip:
            self.skip -= 1
        elif tag == "marimo-tex":
            self.put(mathml("".join(self.tex or ())))
            self.tex = None
        elif tag not in EMPTY:
            if not self.open or self.open[-1][0] != tag:
                raise ValueError(f"book: a chapter ends <{tag}> inside of <{self.open[-1][0] if self.open else ''}>")
            self.raw = False
            self.put(self.open.pop()[1])

    def handle_data(self, data: str) -> None:
        if self.tex is not None:
            self.tex.append(data)
        else:
            self.put(data if self.raw else escape(data, quote=False))


def inline(html: str) -> str:
    """A label: without paragraphs."""
    return re.sub(r"</?(p|div)>", "", html).strip()


def written(given: dict[str, str]) -> str:
    return "".join(f' {name}="{escape(value)}"' if value else f" {name}" for name, value in given.items()
                   if not name.startswith("on"))
