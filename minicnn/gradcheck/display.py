"""What a notebook shows of a check: the verdict, and a map of the errors. HTML and SVG as text, for light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil

import numpy as np

from .evidence import Floats
from .verdict import Verdict

__all__ = ["of_error", "of_report"]

TILES, CELLS, WIDE = 16, 1024, 64  # at most so many maps side by side, squares in all, and squares in a row or column
SIDE = 14  # pixels of a square
COLOURS = ((1e-6, "#4477aa", "right"), (1e-4, "#ccbb44", "to 1e-4"), (1e-2, "#ee8866", "to 1e-2"),
           (np.inf, "#cc3311", "more"))  # of an error: Tol's, which the colour-blind can tell from each other
FRAME = 'style="font-family: system-ui, sans-serif; line-height: 1.4"'


def of_error(message: str, input: str, verdicts: Sequence[Verdict], errors: Floats | None) -> str:
    """The verdicts, the map of an input's errors if there is one, and the message to unfold."""
    lines = [f"<b>{escape(v.name)}</b>{escape(str(v).removeprefix(v.name))}." for v in verdicts]
    lines = lines or ["<b>No known mistake fits.</b>"]
    drawn = "" if errors is None else f"<p>{escape(input)}, shape {errors.shape}</p>{picture(errors)}"
    return (f"<div {FRAME}><p>Wrong: {'<br/>'.join(lines)}</p>{drawn}<details><summary>The numbers</summary>"
            f"<pre>{escape(message)}</pre></details></div>")  # fmt: skip


def of_report(error: float, evaluations: int, counts: Mapping[str, Mapping[str, int]]) -> str:
    """What was right, and by input what was left out or checked otherwise, and how many elements."""
    rows = "".join(f"<tr><td>{escape(input)}</td><td>{n:,}</td><td>{escape(what)}</td></tr>"
                   for what, of in counts.items() for input, n in of.items())  # fmt: skip
    table = f"<table><tr><th>input</th><th>elements</th><th></th></tr>{rows}</table>" if rows else ""
    return (f"<div {FRAME}><p><b>Right</b>: the largest relative error is {error:.1e}, by {evaluations:,} evaluations "
            f"of the function.</p>{table}</div>")  # fmt: skip


def picture(errors: Floats) -> str:
    """A map of relative errors: the last two axes down and across, the others side by side. What is too much to draw is
    shown by the largest error of each block, and by the maps with the largest."""
    maps = errors.reshape(-1, *(1, 1, *errors.shape)[-2:])
    names = [str(place) if place else "" for place in np.ndindex(errors.shape[:-2])]
    if not maps.size:
        return ""
    worst = sorted(np.argsort(-largest(maps.reshape(len(maps), -1), 1), kind="stable")[:TILES].tolist())
    drawn = "".join(svg(names[i], maps[i], CELLS // len(worst)) for i in worst)
    more = f"<p>{len(maps) - len(worst)} more, with no larger errors.</p>" if len(maps) > len(worst) else ""
    squares = " ".join(f'<span style="color: {colour}">■</span> {escape(text)}' for _, colour, text in COLOURS)
    return f"{drawn}{more}<p>relative error: {squares}, □ not looked at</p>"


def largest(x: Floats, axis: int | tuple[int, ...]) -> Floats:
    """The maximum of what is a number; −1 where nothing is, so that it is told from 0."""
    found: Floats = np.where(np.isnan(x), -1, x).max(axis)
    return found


def block(rows: int, columns: int, most: int) -> tuple[int, int]:
    """How many elements down and across one cell has to be, for no more than ``most`` cells and ``WIDE`` in a row."""
    down, across = ceil(rows / WIDE), ceil(columns / WIDE)
    while ceil(rows / down) * ceil(columns / across) > most:
        if rows / down >= columns / across:
            down += 1
        else:
            across += 1
    return down, across


def svg(name: str, errors: Floats, most: int) -> str:
    """One map (rows, columns)."""
    down, across = block(len(errors), errors.shape[1], most)
    rows, columns = ceil(len(errors) / down), ceil(errors.shape[1] / across)
    whole = np.full((rows * down, columns * across), np.nan)
    whole[: len(errors), : errors.shape[1]] = errors
    cells = largest(whole.reshape(rows, down, columns, across), (1, 3))
    rects = "".join(square(r, c, float(e), (down * r, across * c)) for (r, c), e in np.ndenumerate(cells))
    label = f"errors{f' at {name}' if name else ''}"
    label += f"; a square is {down} × {across} elements" if down * across > 1 else ""
    width, height = SIDE * columns + 2, SIDE * rows + 2
    return (f'<svg role="img" width="{width}" height="{height}" viewBox="-1 -1 {width} {height}" '
            f'style="margin: 2px; max-width: 100%"><title>{label}</title>{rects}</svg>')


def square(row: int, column: int, error: float, place: tuple[int, int]) -> str:
    colour = next(colour for bound, colour, _ in COLOURS if error <= bound) if error >= 0 else "none"
    told = f"<title>{place}: {error:.1e}</title>" if error > COLOURS[0][0] else ""
    return (f'<rect x="{SIDE * column}" y="{SIDE * row}" width="{SIDE - 1}" height="{SIDE - 1}" fill="{colour}" '
            f'stroke="currentColor" stroke-opacity=".25">{told}</rect>')
