"""The page of ``python -m minicnn classify --explain``: one file, which needs no other, and no network."""

from __future__ import annotations

import base64
import html
import io
import math
import re
from pathlib import Path

import numpy as np
from PIL import Image

from . import __version__
from .console import printable
from .explain import CELLS, SQUARE, Strong, convolutions, gradient_of_score, log_odds, occlusion, strongest
from .files import written_aside
from .models.alexnet import AlexNet
from .models.classifier import Classifier, middle

__all__ = ["MOST", "Page"]

MOST = 24  # pictures of a page: each takes half a megabyte, and seconds
EXPLAINED = 3  # classes of a picture
FULL = 0.5  # the least change of the log-odds that gets the full colour


def ramp(*colours: tuple[int, int, int]) -> np.ndarray:
    """256 colours that lead from one to the next: (256, 3) bytes."""
    steps = np.linspace(0, len(colours) - 1, 256)
    channels = [np.interp(steps, range(len(colours)), one) for one in zip(*colours, strict=True)]
    return np.stack(channels, axis=1).astype(np.uint8)


GREYS = ramp((0, 0, 0), (255, 255, 255))
GLOW = ramp((0, 0, 0), (66, 10, 104), (188, 55, 84), (249, 142, 9), (252, 255, 164))
TURN = ramp((0, 89, 166), (138, 184, 224), (255, 255, 255), (240, 177, 125), (214, 94, 0))  # as in plots_of_classes.py


MAPS = """
<h3>The maps that answered most</h3>
<p class="quiet">Left of each a frame around all that the map’s largest answer can see of the picture, right the map
itself, white where it answers most. Maps answer whatever class is asked for: a large answer need not speak for it.</p>
"""


class Page:
    """Explains up to ``MOST`` pictures to which a classifier gave answers. top: how many answers of each it shows."""

    def __init__(self, classifier: Classifier, top: int = 5):
        net = classifier.net
        self.two, self.rows, self.what = False, list[str](), "network of ONNX"  # whose rows have no names that we know
        if isinstance(net, AlexNet):
            self.two, self.rows = len(net.towers()) > 1, convolutions(net.variant)[::4]
            self.what = f"AlexNet ({net.variant})"
        self.classifier, self.top, self._pixels = classifier, top, classifier.net.pixels
        self._size = f'width="{self._pixels}" height="{self._pixels}" preserveAspectRatio="none"'
        self.names: list[str] = []
        self.sections: list[str] = []
        self.unread: list[tuple[str, str]] = []
        self.left_out = 0

    def add(self, name: str, picture: np.ndarray) -> None:
        """Explain one more picture (256, 256, 3), bytes. Raises ValueError where what is computed is not finite."""
        if len(self.sections) == MOST:
            self.left_out += 1
            return
        ask, at, inside = self.classifier, len(self.sections) + 1, middle(self.classifier.net.pixels)
        y = ask.scores([picture])
        order = np.argsort(-y[0], kind="stable")[: self.top].tolist()
        chosen = order[:EXPLAINED]
        whole = log_odds(y, order)[:, 0].tolist()
        saliency = np.abs(gradient_of_score(ask, picture, chosen)).max(axis=1)
        looks = zip(chosen, whole[:EXPLAINED], saliency, occlusion(ask, picture, chosen), strict=True)
        names = [_text(one) for one in ask.classes]
        bars = "".join(f"""
<li><span>{names[c]}</span><span class="number">{100 * probability(odds):.1f} %</span>
<div class="bar"><i style="width:{100 * probability(odds):.2f}%"></i></div></li>"""
                       for c, odds in zip(order, whole, strict=True))
        tabs = "".join(f"""
<input type="radio" name="class{at}" id="class{at}-{c}"{" checked" * (c == chosen[0])}>
<label for="class{at}-{c}">{names[c]}</label>""" for c in chosen)
        panels = "".join(self._panel(at, names[c], *look) for c, *look in looks)
        maps = "".join(self._maps(at, row, strongest(ask, picture, row)) for row in self.rows)
        self.sections.append(f"""
<section id="picture{at}" aria-labelledby="name{at}">
<h2 id="name{at}">{_text(name)}</h2>
<svg class="store" aria-hidden="true"><image id="p{at}" {self._size} href="{png(picture[inside, inside])}"/></svg>
<div class="sides">
<div>
<figure>{self._svg(at, f"{_text(name)}, as the network saw it")}
<figcaption>The {self._pixels} × {self._pixels} pixels that the network saw, and its most probable answers.</figcaption>
</figure>
<ol>{bars}</ol>
</div>
<fieldset><legend>The class explained</legend>{tabs}{panels}</fieldset>
</div>{MAPS * bool(maps)}{maps}
</section>""")
        self.names.append(name)

    def _panel(self, at: int, name: str, whole: float, saliency: np.ndarray, covered: np.ndarray) -> str:
        """What a class hangs on. whole: its log-odds with nothing covered; covered: with a part."""
        top = float(np.percentile(saliency, 99.5)) or float(saliency.max()) or 1.0
        span = 2 * max(float(np.abs(covered - whole).max()), FULL)
        low, high = min(float(covered.min()), whole), max(float(covered.max()), whole)
        over = f'<image class="over" {self._size} href="{png((covered - whole) / span + 0.5, TURN)}"/>'
        return f"""
<div class="panel"><div class="two">
<figure><h3>The gradient of the score</h3>
<img class="look" src="{png(saliency / top, GLOW)}" alt="Saliency map of {name}">
{_scale(np.linspace(0, 1, 256), GLOW, "0", f"{top:.2g} or more")}
<figcaption>The brighter a pixel, the more the score changes with a small change of its colour, here for one of 255
steps. It is not what the network looked at, and not how much the pixel adds to the score.</figcaption></figure>
<figure><h3>A part covered</h3>
{self._svg(at, f"Probability of {name} while a square covers each place", over, "cover")}
{_scale((np.linspace(low, high, 256) - whole) / span + 0.5, TURN, percent(low), percent(high))}
<figcaption>The colour of a place tells the probability while a grey square of {SQUARE} × {SQUARE} pixels covers it,
moved in steps of {self._pixels / CELLS:.3g}. White: {percent(whole)}, as uncovered. Blue: less, so what is there speaks
for the class. Orange: more. It is no outline of the thing: another square shows another map.</figcaption></figure>
</div></div>"""

    def _maps(self, at: int, row: str, found: list[Strong]) -> str:
        """The strongest maps of a row."""
        high, wide = found[0].answers.shape
        maps = "".join(self._map(at, row, one) for one in found)
        return f'\n<h4>{row}, of maps of {high} × {wide}</h4><div class="four">{maps}</div>'

    def _map(self, at: int, row: str, one: Strong) -> str:
        rows, columns = one.field
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        who = f"map {one.number}" + f" of tower {one.tower}" * self.two
        frame = "".join(f'<rect class="{kind}" x="{columns.start}" y="{rows.start}" width="{wide}" height="{high}"/>'
                        for kind in ("dark", "light"))
        return f"""
<figure class="map"><div class="pair">{self._svg(at, f"What {row}, {who} sees at its largest answer", frame)}
<img src="{png(one.answers / (one.largest or 1.0))}" alt="{row}, {who}: its answers"></div>
<figcaption><b>{who.capitalize()}</b>: {one.largest:.3g} at row {one.place[0]}, column {one.place[1]}, which sees
{wide} × {high} pixels.</figcaption></figure>"""

    def _svg(self, at: int, label: str, over: str = "", kind: str = "") -> str:
        """The picture, once more, and something over it."""
        return (f'<svg class="{kind}" viewBox="0 0 {self._pixels} {self._pixels}" role="img" aria-label="{label}">'
                f'<use href="#p{at}"/>{over}</svg>')

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all. Raises OSError where it cannot be written."""
        with written_aside(path) as aside:
            aside.write_text(str(self), encoding="utf-8")

    def said(self, path: Path) -> str:
        """A line about the page, once it is written."""
        rest = f": the first {MOST} pictures, {self.left_out} more are answered alone" * bool(self.left_out)
        return f"explained in {path}{rest}"

    def __str__(self) -> str:
        """The page, of what there is so far."""
        ask = self.classifier
        names = [f'<li><a href="#picture{i}">{_text(name)}</a></li>' for i, name in enumerate(self.names, 1)]
        unread = [f"<li>{_text(name)}: {_text(reason)}</li>" for name, reason in self.unread]
        words = {
            "MADE_BY": f"minicnn {__version__}", "WEIGHTS": _text(ask.path), "WHAT": self.what,
            "CLASSES": f"{len(ask.classes):,}", "SQUARE": f"{SQUARE} × {SQUARE}", "PLACES": f"{CELLS} × {CELLS}",
            "STEP": f"{self._pixels / CELLS:.3g}", "FULL": f"{math.exp(FULL):.1f}",
            "PICTURES": f'<nav aria-label="Pictures"><ul>{"".join(names)}</ul></nav>' * (len(names) > 1),
            "UNREAD": f'<h2>Not explained</h2><ul>{"".join(unread)}</ul>' * bool(unread),
            "LEFT_OUT": f"<p>The first {MOST} pictures; {self.left_out} more are answered alone.</p>" * bool(
                self.left_out), "SECTIONS": "".join(self.sections),
        }  # fmt: skip
        page = Path(__file__).with_name("explain.html").read_text(encoding="utf-8")
        return re.sub("__([A-Z_]+?)__", lambda found: words[found[1]], page)


def probability(odds: float) -> float:
    """1 / (1 + e^−odds), of log-odds."""
    return 1 / (1 + math.exp(-max(-700.0, odds)))


def percent(odds: float) -> str:
    """A probability, of its log-odds, with two figures of it or of what lacks to 100, but no more than six places."""
    least = 100 * probability(-abs(odds))
    if least < 1e-6:
        return "over 99.999999 %" if odds > 0 else "under 0.000001 %"
    return f"{100 * probability(odds):.{min(6, max(1, 1 - math.floor(math.log10(least))))}f} %"


def png(values: np.ndarray, colours: np.ndarray = GREYS) -> str:
    """A picture as a data: URI: of bytes (rows, columns, 3), or of numbers (rows, columns) of which 0 gets the first of
    256 colours, and 1 the last."""
    if values.ndim == 2:
        image = Image.fromarray(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8))
        image.putpalette(colours.tobytes())
    else:
        image = Image.fromarray(values)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _scale(values: np.ndarray, colours: np.ndarray, low: str, high: str) -> str:
    """A bar of colours, with the numbers of its ends."""
    bar = f'<img src="{png(values[None], colours)}" alt="">'
    return f'<div class="scale">{bar}<div><span>{low}</span><span>{high}</span></div></div>'


def _text(value: object) -> str:
    return html.escape(printable(value))
