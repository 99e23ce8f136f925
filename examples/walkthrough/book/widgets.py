"""The widgets of a chapter: what each can be set to, and setting it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from marimo import ui

__all__ = ["Choices", "choices_of", "leaves", "put"]


@dataclass(frozen=True)
class Choices:
    """What a widget can be set to: the values as marimo's pages send them, what a reader sees of each, and which of
    them it begins with."""

    values: tuple[Any, ...]
    shown: tuple[str, ...]
    first: int

    def thinned(self, most: int) -> Choices:
        """At most so many of them, evenly spaced: both ends and the first are kept."""
        if len(self.values) <= most:
            return self
        spaced = {int(i) for i in np.linspace(0, len(self.values) - 1, most).round()}
        if self.first not in spaced:
            inner = spaced - {0, len(self.values) - 1} or spaced
            spaced = spaced - {min(inner, key=lambda i: abs(i - self.first))} | {self.first}
        kept = sorted(spaced)
        return Choices(tuple(self.values[i] for i in kept), tuple(self.shown[i] for i in kept), kept.index(self.first))


def leaves(name: str, thing: Any) -> dict[str, Any]:
    """The widgets behind a name of a chapter: one, or those of an array; none where it is something else."""
    if isinstance(thing, ui.array):
        return {f"{name}.{i}": one for i, one in enumerate(thing.elements)}
    return {name: thing} if isinstance(thing, ui.slider | ui.dropdown | ui.switch | ui.checkbox | ui.radio | ui.number |
                                       ui.text | ui.code_editor) else {}


def choices_of(widget: Any, codes: dict[str, str]) -> Choices:
    """All of them. What one may write into stays as it is; an editor has the answers ``codes``."""
    now, many = widget._value_frontend, {}
    if isinstance(widget, ui.slider) and not widget._component_args["disabled"]:
        if widget.steps:
            many = {i: f"{value:g}" for i, value in enumerate(widget.steps)}
        else:
            step = widget.step or 1
            count = int(np.floor((widget.stop - widget.start) / step + 1e-9)) + 1
            whole = all(isinstance(n, int) for n in (widget.start, widget.stop, step))
            spaced = [widget.start + i * step for i in range(count)]
            many = {n if whole else round(n, 9): f"{n:g}" if not whole else str(n) for n in spaced}
        if now not in many:
            many = dict(sorted({**many, now: f"{now:g}"}.items()))
        return Choices(tuple(many), tuple(many.values()), list(many).index(now))
    if isinstance(widget, ui.dropdown):
        names = list(widget.options)
        return Choices(tuple([name] for name in names), tuple(names), names.index(now[0]))
    if isinstance(widget, ui.radio):
        names = list(widget.options)
        return Choices(tuple(names), tuple(names), names.index(now))
    if isinstance(widget, ui.switch | ui.checkbox):
        return Choices((False, True), ("off", "on"), int(now))
    if isinstance(widget, ui.code_editor) and codes:
        return Choices(tuple(codes.values()), tuple(codes), 0)
    return Choices((now,), (str(now),), 0)


def put(whole: Any, widget: Any, value: Any) -> None:
    """Sets a widget, which may be one of the array ``whole``, as a page of marimo does."""
    if widget._value_frontend != value:
        widget._update(value)
        if whole is not widget:
            whole._update({})  # it looks at its widgets again
