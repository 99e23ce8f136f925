"""The first page: the chapters, and the search over all pages."""

from __future__ import annotations

from html import escape

from .marks import words_of
from .pages import Page

__all__ = ["index_page"]


def index_page(pages: list[Page], reference: list[Page]) -> Page:
    shown = []
    for page in pages:
        sentence = next((text for anchor, text in page.said if text != page.title), "")
        image = f'<img src="{page.picture}" alt="">' if page.picture else ""
        shown.append(f'<li>{image}<div><a href="{page.file}">{escape(page.title)}</a>'
                     f"<p>{escape(first_of(sentence))}</p></div></li>")
    said = [[page.file, page.title, page.said] for page in pages + reference]
    names = "".join(f'<li><a href="{page.file}"><code>{page.title}</code></a></li>' for page in reference)
    body = f"""<h1 id="top">minicnn: the walkthrough</h1>
<p>A deep-learning engine taken apart, number by number. The numbers on these pages were computed by minicnn when they
were built, also those that appear when you move a slider; where a chapter shows a recorded run, it says so.</p>
<div id="results" hidden><h2 id="results-title">Found</h2><ol id="found"></ol></div>
<h2 id="chapters">Chapters</h2>
<ul class="pages">{"".join(shown)}</ul>
<h2 id="reference">Every public name</h2>
<ul class="reference">{names}</ul>"""
    return Page("index.html", "The walkthrough", body, data={"search": said})


def first_of(text: str) -> str:
    """Its first sentence."""
    end = text.find(". ")
    return words_of(text if end < 0 else text[: end + 1])
