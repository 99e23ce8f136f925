"""Two languages on one page: both texts are there, with the same numbers in them, and a switch shows one of them."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["SWITCH", "agree", "both", "in_english", "part"]

NUMBER = re.compile(r"−?\d[\d.,]*(?<![.,])|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|[½¼¾⅓⅔]")
FORMULA = re.compile(r"\$\$[^$]+\$\$|\$[^$]+\$")
CODE = re.compile(r"`[^`]+`")

# Nothing runs when it is moved: a variable says whether a text is shown, which reaches the widgets' labels, too, though
# they are in trees of their own. What is not shown is not read aloud either.
SWITCH = """<style>
:root:has(.in-vietnamese:checked) { --english: none; --vietnamese: inline; --vietnamese-part: block }
.parts > * + * { margin-top: 1.25rem }
.languages { display: flex; gap: 1rem; margin-bottom: 0.75rem; font-size: 0.9rem }
.languages label { cursor: pointer }
.words { font-size: 0.85rem; opacity: 0.8 }
</style>
<div class="languages" role="radiogroup" aria-label="Language, ngôn ngữ">
<label lang="en"><input type="radio" name="language" value="en" checked> English</label>
<label lang="vi"><input type="radio" name="language" value="vi" class="in-vietnamese"> Tiếng Việt</label>
</div>
"""


def agree(english: str, vietnamese: str) -> None:
    """Raises ValueError where two texts that should say the same differ in a number, a formula or a name of the
    program."""
    for what, pattern in (("formulas", FORMULA), ("names", CODE), ("numbers", NUMBER)):
        en, vi = Counter(pattern.findall(english)), Counter(pattern.findall(vietnamese))
        if what != "numbers":  # one language may have to say a name twice
            en, vi = Counter({*en}), Counter({*vi})
        if en != vi:
            raise ValueError(f"{what} differ: {sorted((en - vi).elements())} is in English alone, "
                             f"{sorted((vi - en).elements())} in Vietnamese alone: {vietnamese[:200]!r}")  # fmt: skip
        english, vietnamese = pattern.sub(" ", english), pattern.sub(" ", vietnamese)


def both(english: str, vietnamese: str) -> str:
    """A few words in both languages, as HTML of which one is shown: for a widget's label or the head of a table."""
    agree(english, vietnamese)
    return (f'<span lang="en" style="display: var(--english, inline)">{english}</span>'
            f'<span lang="vi" style="display: var(--vietnamese, none)">{vietnamese}</span>')  # fmt: skip


def part(html: str, language: str) -> str:
    """A part of a page that is in one language."""
    shown = {"en": "--english, block", "vi": "--vietnamese-part, none"}[language]
    return f'<div lang="{language}" style="display: var({shown})">{html}</div>'


def in_english(text: str) -> str:
    """The text without what ``both`` has put into it in Vietnamese."""
    return re.sub(r'<span lang="en"[^>]*>(.*?)</span><span lang="vi"[^>]*>.*?</span>', r"\1", text)
