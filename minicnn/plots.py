"""Pictures of a run, as PNG files: no window is opened, so a machine without a screen draws them too."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .console import printable
from .layout import tiled
from .training.log import Log

_says = logging.getLogger("matplotlib")
_level = _says.level
_says.setLevel(logging.ERROR)  # where no home can be written it says so at length, and makes a temporary one
try:
    import matplotlib
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator
finally:
    _says.setLevel(_level)

__all__ = ["draw_comparison", "draw_curves", "draw_gradcheck", "draw_kernels", "draw_neighbours", "draw_predictions",
           "drawn_alike"]

RIGHT, WRONG = "tab:orange", "lightsteelblue"
LONGEST = 40  # letters of a name that is drawn
EACH_ITS_OWN = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "black"]  # that all eyes tell apart


@contextmanager
def drawn_alike() -> Iterator[None]:
    """Figures look the same whatever the user's matplotlibrc says, and what a font lacks is a box, not a warning."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing")
        yield


def _label(name: object, longest: int = LONGEST) -> str:
    """A name to be drawn as it is, with parse_math=False: of dollar signs matplotlib would make a formula."""
    text = printable(name)
    return text if len(text) <= longest else f"{text[:longest - 1]}…"


@drawn_alike()
def draw_curves(log: Log, path: Path) -> None:
    """Loss and top-1 accuracy over the steps, from a run's log.jsonl: every step pale, epochs in full colour."""
    lines = log.read()
    steps = [line for line in lines if "loss" in line]
    epochs = [line for line in lines if "val_loss" in line]
    figure = Figure(figsize=(9, 3.4))
    figure.subplots_adjust(0.07, 0.14, 0.99, 0.91, 0.14)
    for axes, name, title in zip(figure.subplots(1, 2), ("loss", "top1"), ("loss", "top-1 accuracy"), strict=True):
        axes.plot([line["step"] for line in steps], [line.get(name) for line in steps], color="tab:blue", alpha=0.3,
                  linewidth=0.8, label="training, each step")
        for part, colour in (("train", "tab:blue"), ("val", "tab:orange")):
            axes.plot([line["step"] for line in epochs], [line.get(f"{part}_{name}") for line in epochs], "o-",
                      color=colour, label=f"{'training' if part == 'train' else 'validation'}, each epoch")
        axes.set(xlabel="step", title=title)
        axes.set_ylim(0, 1 if name == "top1" else None)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120, format="png")


@drawn_alike()
def draw_comparison(runs: Sequence[tuple[str, Sequence[dict[str, Any]]]], path: Path, kind: str = "png") -> None:
    """Loss and top-1 accuracy of several runs over their epochs: validation as lines, training dashed and pale.

    runs: a name, and the lines of the log that end an epoch. kind: of the file, as png or svg.
    """
    figure = Figure(figsize=(10, 4 + 0.2 * len(runs)), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, name, title in zip(panels, ("loss", "top1"), ("loss", "top-1 accuracy"), strict=True):
        for i, (run, lines) in enumerate(runs):
            epochs, look = [line.get("epoch") for line in lines], {"color": EACH_ITS_OWN[i % len(EACH_ITS_OWN)]}
            axes.plot(epochs, [line.get(f"train_{name}") for line in lines], "--", alpha=0.5, **look)
            mark = "osD^vP*"[i // len(EACH_ITS_OWN) % 7]
            axes.plot(epochs, [line.get(f"val_{name}") for line in lines], "-", marker=mark, label=run, **look)
        axes.set(xlabel="epoch", title=f"{title}: validation, training dashed")
        axes.set_ylim(0, 1 if name == "top1" else None)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    legend = figure.legend(panels[0].get_lines()[1::2], [_label(run) for run, _ in runs], loc="outside lower center")
    for text in legend.get_texts():
        text.set_parse_math(False)
    figure.savefig(path, dpi=120, format=kind)


@drawn_alike()
def draw_kernels(towers: Sequence[np.ndarray], path: Path) -> None:
    """The kernels (K, 3, R, S) of the first layer, one tower above the other, as in Figure 3 of the paper.

    Each kernel is stretched to the full range of brightness by itself.
    """
    columns, gap, zoom = min(16, len(towers[0])), 2, 4
    blocks = []
    for kernels in towers:
        span = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
        block = tiled((0.5 + 0.5 * kernels / np.maximum(span, 1e-12)).transpose(0, 2, 3, 1), columns, between=1.0)
        blocks += [block, np.ones((gap, *block.shape[1:]))]
    picture = np.concatenate(blocks[:-1]).repeat(zoom, 0).repeat(zoom, 1)
    figure = Figure(figsize=(picture.shape[1] / 100, picture.shape[0] / 100))
    figure.figimage(picture)
    figure.savefig(path, dpi=100, format="png")


def _sheet(width: float, height: float) -> tuple[Figure, Any]:
    """A figure of so many inches, and axes that cover it, in inches from its upper left corner. One for all pictures:
    axes of their own, and a layout that looks for room for them, take twice as long."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def _place(axes: Any, picture: np.ndarray, left: float, top: float, side: float) -> None:
    """Show a picture (H, W, 3) in the middle of a square of the sheet."""
    high, wide = (side * n / max(picture.shape[:2]) for n in picture.shape[:2])
    left, top = left + (side - wide) / 2, top + (side - high) / 2
    axes.imshow(picture, extent=(left, left + wide, top + high, top))


@drawn_alike()
def draw_predictions(pictures: Sequence[np.ndarray], labels: Sequence[int], probabilities: np.ndarray,
                     classes: Sequence[str], path: Path) -> None:
    """Pictures (H, W, 3) with their five most probable classes, as in Figure 4 of the paper; the right one orange."""
    across, wide, high, side, thick = 4, 2.2, 3.2, 1.95, 0.165  # a cell, its picture, a bar
    figure, axes = _sheet(wide * across, high * -(-len(pictures) // across))
    for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = wide * (i % across) + (wide - side) / 2, high * (i // across) + 0.27
        axes.text(left + side / 2, top - 0.06, _label(classes[label], 30), ha="center", fontsize=9, parse_math=False)
        _place(axes, picture, left, top, side)
        best = np.argsort(-probabilities[i], kind="stable")[:5]
        middles = top + side + 0.1 + thick * (np.arange(len(best)) + 0.5)
        axes.barh(middles, side * probabilities[i][best], 0.9 * thick, left,
                  color=[RIGHT if c == label else WRONG for c in best])
        for middle, c in zip(middles, best, strict=True):
            axes.text(left + 0.04, middle, _label(classes[c]), va="center", fontsize=7, parse_math=False)
    figure.savefig(path, dpi=120, format="png")


@drawn_alike()
def draw_neighbours(rows: Sequence[tuple[np.ndarray, int, Sequence[tuple[np.ndarray, int, float]]]],
                    classes: Sequence[str], title: str, path: Path) -> None:
    """A row for each picture (H, W, 3) and its label: at its right its nearest, each (picture, label, distance), as in
    Figure 4 of the paper; those of its own class are framed orange."""
    across, wide, high, side = max(len(found) for _, _, found in rows), 1.3, 1.5, 1.18
    figure, axes = _sheet(wide * (1 + across) + 0.3, high * len(rows) + 0.4)
    figure.suptitle(title, fontsize=10, parse_math=False, y=1 - 0.2 / figure.get_figheight(), va="center")
    for i, (picture, label, found) in enumerate(rows):
        top = 0.4 + high * i + (high - side) - 0.06
        frames: list[tuple[float, np.ndarray, str, str | None]] = [(0.06, picture, _label(classes[label], 22), None)]
        frames += [(0.3 + 0.06 + wide * (1 + j), near, f"{_label(classes[other], 15)}  {distance:.3g}",
                    RIGHT if other == label else WRONG) for j, (near, other, distance) in enumerate(found)]
        for left, shown, text, colour in frames:
            axes.text(left + side / 2, top - 0.06, text, ha="center", fontsize=7, parse_math=False)
            _place(axes, shown, left, top, side)
            if colour:
                axes.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=colour, linewidth=2.5))
    figure.savefig(path, dpi=120, format="png")


@drawn_alike()
def draw_gradcheck(title: str, inputs: Sequence[tuple[str, np.ndarray, Sequence[tuple[float, float]]]],
                   path: Path) -> None:
    """For each input (name, relative error of every element, (step, relative error) along a line): a map of the errors,
    and the curve over the step.

    The map has the last two axes down and across, all others side by side, at most 64 of them. Where all is right the
    curve is a V, rounding on its left side and curvature on its right; where backward is wrong it has a floor.
    """
    count = max(1, len(inputs))
    figure = Figure(figsize=(11, 0.5 + 3.2 * count), layout="constrained")
    figure.suptitle(f"{printable(title)}: relative error of the gradient", parse_math=False)
    for (name, errors, curve), (left, right) in zip(inputs, figure.subplots(count, 2, squeeze=False), strict=False):
        tiles = errors.reshape(-1, *(1, 1, *errors.shape)[-2:])[:64]
        grid = tiled(tiles, min(8, len(tiles)), between=np.nan)[:-1, :-1]
        image = left.imshow(np.clip(grid, 1e-12, 1), norm=LogNorm(1e-12, 1), cmap="viridis")
        left.set_title(f"{printable(name)}, shape {errors.shape}", parse_math=False)
        left.set(xticks=[], yticks=[])
        figure.colorbar(image, ax=left, label="relative error")
        right.loglog([h for h, _ in curve], [min(max(e, 1e-16), 1e3) for _, e in curve], "o-")
        right.set(xlabel="step, in units of the input's size", ylabel="relative error along a line", ylim=(1e-16, 1e2))
        right.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
