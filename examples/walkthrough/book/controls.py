"""Widgets as plain HTML: by mouse, touch and keyboard, and read aloud, as the browser has them."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from language import both
from marimo import ui

from .marks import python
from .widgets import Choices

__all__ = ["control"]


def control(name: str, label: str, widget: Any, choices: Choices, all_of_them: int, number: int, again: str) -> str:
    """``data-first`` is the choice that it begins with; what ``book.js`` needs stands in the element itself. again: of
    which copy it is, where a chapter shows a widget at several places, else nothing."""
    one, page = f"w-{name}{again}", f"<code>python -m minicnn walkthrough {number}</code>"
    first, shown = choices.first, choices.shown
    head = f'data-widget="{escape(name)}" data-first="{first}"'
    if isinstance(widget, ui.slider) and len(shown) > 1:
        fewer = (f" <small>{len(shown)} of its {all_of_them} stops; all are in {page}</small>"
                 if len(shown) < all_of_them else "")
        return (f'<div class="widget" {head} data-shown="{escape(json.dumps(shown, ensure_ascii=False))}">'
                f'<label for="{one}">{label}</label>'
                f'<input type="range" id="{one}" min="0" max="{len(shown) - 1}" step="1" value="{first}" '
                f'aria-valuetext="{shown[first]}"> <output for="{one}">{shown[first]}</output>{fewer}</div>')
    if isinstance(widget, ui.dropdown):
        options = "".join(f'<option value="{i}"{" selected" * (i == first)}>{escape(words)}</option>'
                          for i, words in enumerate(shown))
        return (f'<div class="widget" {head}><label for="{one}">{label}</label>'
                f'<select id="{one}">{options}</select></div>')
    if isinstance(widget, ui.switch | ui.checkbox):
        return (f'<div class="widget" {head}><label><input type="checkbox" role="switch" id="{one}"'
                f'{" checked" * first}> {label}</label></div>')
    if isinstance(widget, ui.radio) or (isinstance(widget, ui.code_editor) and len(shown) > 1):
        named = map(escape, shown) if isinstance(widget, ui.radio) else shown  # those of answers are HTML
        buttons = "".join(f'<label><input type="radio" name="{one}" value="{i}"{" checked" * (i == first)}> '
                          f"{words}</label>" for i, words in enumerate(named))
        if isinstance(widget, ui.radio):
            return (f'<fieldset class="widget" {head}><legend>{label}</legend><div class="row">{buttons}</div>'
                    f"</fieldset>")
        legend = both("Answers that people give", "Những câu trả lời hay gặp")
        codes = "".join(f'<div class="code" data-choice="{i}"{" hidden" * (i != first)}>{python(code)}</div>'
                        for i, code in enumerate(choices.values))
        own = both(f"Pick one to see what is said of it. To write your own, run {page}.",
                   f"Chọn một câu để xem nhận xét về nó, bằng tiếng Anh của gradcheck. Muốn tự viết, hãy chạy {page}.")
        return (f'<fieldset class="widget" {head}><legend>{legend}</legend><div class="row">{buttons}</div>{codes}'
                f"<small>{own}</small></fieldset>")
    value = f' value="{escape(str(choices.values[0]))}"' if choices.values[0] not in (None, "") else ""
    words = widget._component_args.get("placeholder") or ""
    idle = "" if isinstance(widget, ui.slider) else (
        f' <small class="idle">{both(f"To write here, run {page}.", f"Muốn viết vào đây, hãy chạy {page}.")}</small>')
    return (f'<div class="widget" {head}><label for="{one}">{label}</label><input id="{one}" disabled{value} '
            f'placeholder="{escape(words)}">{idle}</div>')
