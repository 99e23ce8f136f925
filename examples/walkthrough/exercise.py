"""Exercises: the editor in which an answer is written, what is said of the answer, and the answer that is folded."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from html import escape
from textwrap import fill
from typing import Any

import marimo as mo
import numpy as np
from language import both

from minicnn import GradientError

__all__ = ["answer_box", "attempt", "fold", "in_words", "one_answer"]

MOST = 4000  # characters of an answer's error
HERE = "<answer>"  # the name under which Python knows the reader's code
ABOUT_ITSELF = ("Verdict: ", "Several mistakes ", "No known mistake ")  # how the end of a message of gradcheck begins


def answer_box(start: str, what: str) -> Any:
    """An editor with the code of an exercise. An editor keeps the Tab key to itself, so it says how to leave."""
    return mo.ui.code_editor(value=start, language="python", label=both(
        f"{what} (Tab indents; to leave by the keyboard: Escape, then Tab)",
        "câu trả lời của bạn (Tab để thụt dòng; để ra ngoài bằng bàn phím: Escape, rồi Tab). "
        "gradcheck nhận xét bằng tiếng Anh"))  # fmt: skip


def one_answer(answer: str) -> Any:
    """An answer, folded until it is asked for."""
    return mo.accordion({both("One answer", "Một lời giải"): mo.md(f"```python\n{answer}```")})


def fold(title: str, text: str) -> str:
    """Markdown: the text in a box that opens at a click."""
    return f"/// details | {title}\n\n```text\n{text}\n```\n\n///"


def attempt(code: str, name: str, check: Callable[[Any], Any]) -> tuple[bool, str]:
    """(is it right, what to tell): runs the code of an answer, and check(what it calls ``name``), which raises where
    that is wrong, as gradcheck does. What is told is Markdown: the verdict first, in lines that wrap, and gradcheck's
    numbers folded. It is in both languages, but for what gradcheck and Python say themselves."""
    names: dict[str, Any] = {"np": np}
    not_yet = both("Not yet", "Chưa đúng")
    try:
        exec(compile(code, HERE, "exec"), names)
        if name not in names:
            why = both(f"There is no `{name}` in it: call your function `{name}`.",
                       f"Trong đó không có `{name}`: hãy đặt tên hàm của bạn là `{name}`.")  # fmt: skip
            return False, f"{not_yet}. {why}"
        if not re.search(r"\b(return|lambda)\b", code):
            why = both(f"`{name}` gives nothing back: end it with `return`.",
                       f"`{name}` không trả về gì: hãy kết thúc nó bằng `return`.")  # fmt: skip
            return False, f"{not_yet}. {why}"
        check(names[name])
    except GradientError as error:
        return False, f"{not_yet}. {in_words(error)}"
    except Exception as error:
        line, kind = _line_of(error), f"`{type(error).__name__}`"
        why = _quoted(str(error).replace(f"({HERE}, line {line})", "")[:MOST])
        if line:
            where = both(f"Python stops at line {line} of your code, with {kind}",
                         f"Python dừng ở dòng {line} trong mã của bạn, với {kind}")  # fmt: skip
            return False, f"{not_yet}. {where}: {why}"
        return False, f"{not_yet}: {why}"
    return True, both("Right: backward agrees with the differences.",
                      "Đúng: backward khớp với kết quả đo bằng các bước nhỏ.")  # fmt: skip


def in_words(error: GradientError) -> str:
    """Markdown: the mistakes that it looks like; then what was measured, and its table folded. What is wrong with a
    shape is seen at once, so then nothing is said of mistakes where none is known."""
    lines = str(error)[:MOST].removeprefix("gradcheck: ").removeprefix("<lambda>: ").splitlines()
    end = next((i for i, line in enumerate(lines) if line.startswith(ABOUT_ITSELF)), len(lines))
    measured = [line for line in lines[:end] if line.strip()]
    numbers = len(measured) > 1
    place, said = "", []
    if error.input not in ("", "output"):
        place = both(f"The gradient of {error.input} is wrong.", f"Gradient của {error.input} bị sai.") + " "
    known = [f"**{v.name}**: {v.text}." for v in error.verdicts]
    if len(known) == 1:
        said = [f"{place}{both('Verdict', 'Nhận xét')}: {known[0]}"]
    elif known:
        said = [place + both("Several mistakes look like this:", "Có vài lỗi trông như thế này:"),
                *(f"- {one}" for one in known)]  # fmt: skip
    elif numbers:
        said = [place + both(
            "It looks like none of the mistakes that `gradcheck` knows: compare the numbers with the formula.",
            "Nó không giống lỗi nào mà `gradcheck` biết: hãy so các con số với công thức.")]  # fmt: skip
    if numbers:
        table = "\n".join([fill(measured[0], 64), "", *measured[1:]])
        return "\n\n".join([*said, fold(both("The numbers", "Các con số"), table)])
    seen = f"{both('What was seen', 'Điều được thấy')}: {escape(measured[0], quote=False)}."
    return "\n\n".join([*said, seen])


def _line_of(error: Exception) -> int | None:
    """The line of the answer at which Python stopped, if it was there."""
    if isinstance(error, SyntaxError):
        return error.lineno
    return next((at.lineno for at in reversed(traceback.extract_tb(error.__traceback__)) if at.filename == HERE), None)


def _quoted(text: str) -> str:
    """As code, so that nothing in it is taken for Markdown, in one line that wraps."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"
