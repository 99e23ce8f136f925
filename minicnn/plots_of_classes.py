"""The picture of the classes: which are taken for which. Of few classes a matrix, of many the worst."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .console import printable
from .plots import drawn_alike
from .training.classes import Predictions, of_classes, short

__all__ = ["draw_confusions"]

MATRIX, BARS = 40, 30  # classes in a matrix, bars in a list
RIGHT, WRONG = np.array([0.0, 0.35, 0.65]), np.array([0.84, 0.37, 0.0])  # blue and orange: all eyes tell them apart


@drawn_alike()
def draw_confusions(predictions: Predictions, names: Sequence[str], title: str, path: Path) -> None:
    """Which class was taken for which: up to 40 classes as a matrix, of more the worst classes and the most frequent
    confusions as bars. Blue is right, orange is wrong, and darker the more of a class's pictures."""
    (_draw_matrix if len(names) <= MATRIX else _draw_bars)(predictions, names, printable(title), path)


def _draw_matrix(predictions: Predictions, names: Sequence[str], title: str, path: Path) -> None:
    """A row for each class, a column for what it was taken for; on the right how many of its pictures are right."""
    counts = predictions.matrix()
    pictures = np.bincount(predictions.all["label"], minlength=len(names))
    share = (counts / np.maximum(pictures, 1)[:, None])[..., None] ** 0.7  # so that few are seen, too
    one = np.eye(len(names), dtype=bool)[..., None]
    count = len(names)
    cell = min(0.9, max(0.28, 6 / count))  # inches
    labels = [short(name) for name in names]
    widest = max(map(len, labels))
    aslant = widest * 0.085 > cell
    letter = 9 if count <= 20 else 7.5
    side = cell * count
    figure = Figure(figsize=(max(side + widest * letter / 105 + 1.9, 0.1 * len(title)),
                             side + (widest * letter / 105 if aslant else 0.3) + 1.0), layout="constrained")
    axes = figure.subplots()
    axes.imshow(1 - share * (1 - np.where(one, RIGHT, WRONG)), aspect="equal")
    places = range(count)
    axes.set_xticks(places, labels, rotation=90 if aslant else 0, fontsize=letter, parse_math=False)
    axes.set_yticks(places, labels, fontsize=letter, parse_math=False)
    axes.set(xlabel="taken for", ylabel="class")
    figure.suptitle(title, fontsize=10, parse_math=False)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.85", linewidth=0.6)
    axes.tick_params(which="both", length=0)
    shares = axes.secondary_yaxis("right")
    shares.set_yticks(places, [f"{counts[i, i] / n:.0%} of {n:,}" if n else "none seen"
                               for i, n in enumerate(pictures.tolist())], fontsize=letter)
    shares.tick_params(length=0)
    for i, j in zip(*np.nonzero(counts), strict=True):
        text = f"{counts[i, j]}" if counts[i, j] < 1000 else f"{counts[i, j] / 1000:.0f}k"
        axes.text(j, i, text, ha="center", va="center", fontsize=min(letter + 1, 95 * cell / len(text)),
                  color="white" if share[i, j, 0] > 0.55 else "black")
    figure.savefig(path, dpi=120, format="png")


def _draw_bars(predictions: Predictions, names: Sequence[str], title: str, path: Path) -> None:
    """Left the worst classes, right the most frequent confusions."""
    every = of_classes(predictions, names)
    worst = [one for one in every if one.pictures][:BARS]
    pictures = {one.name: one.pictures for one in every}
    pairs = [(names[a], names[b], n) for a, b, n in predictions.confusions()[:BARS]]
    of_worst, of_pairs = [short(one.name) for one in worst], [f"{short(a)} → {short(b)}" for a, b, _ in pairs]
    letters = sum(max(map(len, labels), default=0) for labels in (of_worst, of_pairs))
    figure = Figure(figsize=(8 + 0.065 * letters, 1.3 + 0.24 * BARS), layout="constrained")
    figure.suptitle(title, fontsize=10, parse_math=False)
    left, right = figure.subplots(1, 2)
    _bars(left, of_worst, [one.share for one in worst],
          [f"{one.share:.0%} of {one.pictures:,}" for one in worst], RIGHT)
    left.set_title(f"the worst of {len(names):,} classes, and how much is right", fontsize=9)
    _bars(right, of_pairs, [n / pictures[a] for a, _, n in pairs],
          [f"{n:,} of {pictures[a]:,}" for a, _, n in pairs], WRONG)
    right.set_title("what is taken for what most often", fontsize=9)
    figure.savefig(path, dpi=120, format="png")


def _bars(axes: Any, labels: Sequence[str], shares: Sequence[float], texts: Sequence[str], colour: np.ndarray) -> None:
    """Bars from 0 to 1 below each other, with their labels and, behind each, its text."""
    places = range(len(labels))
    axes.barh(places, shares, color=colour, alpha=0.8)
    axes.set_yticks(places, labels, fontsize=7.5, parse_math=False)
    for place, share, text in zip(places, shares, texts, strict=True):
        axes.text(share + 0.01, place, text, va="center", fontsize=7.5)
    axes.set(xlim=(0, 1.3), ylim=(BARS - 0.4, -0.6), xticks=np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
