"""Why a network gives its answer to a picture: what the score of a class hangs on, seen in three ways.

None of them is what the network "looked at". The gradient is about small changes, covering about large ones, and a map
answers whatever class is asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from .engine.mode import no_grad
from .engine.settings import shown, whole
from .engine.tensor import Tensor
from .models.classifier import Classifier, Picture, middle
from .models.variants import VARIANTS
from .nn.hooks import eval_mode, forward_hook
from .nn.module import Module
from .ops.window import sides

__all__ = ["Strong", "convolutions", "gradient_of_score", "log_odds", "occlusion", "receptive_field", "squares",
           "strongest"]

SQUARE, CELLS = 32, 16  # pixels of the side of the grey square, and its places along each side of the picture
GREY = 128


def gradient_of_score(classifier: Classifier, picture: Picture, classes: Sequence[int]) -> np.ndarray:
    """∂y[c] / ∂picture of each class c of ``classes``, by our own backward: (classes, 3, pixels, pixels), of red, green
    and blue, a change of the score for one step of the 255 of a colour.

    y: the scores (logits). Not the probability, softmax(y): that changes with the scores of other classes too, and
    hardly at all where the network is sure. The maximum over the three colours of the absolute value is the saliency
    map of Simonyan, Vedaldi and Zisserman 2014, arXiv:1312.6034, §3.

    Raises ValueError for a class that there is not, and where a gradient is not finite; what ``Classifier.read`` raises
    for what is no picture.
    """
    classes = _known("gradient_of_score", classifier, classes)
    seen = classifier.prepare([classifier.read(picture)])
    with _frozen(classifier.net):
        x = Tensor(np.repeat(seen, len(classes), axis=0), requires_grad=True)  # a picture for each class: one way back
        y = classifier.net(x)
        y.backward(np.eye(len(classifier.classes), dtype=seen.dtype)[classes])
    assert x.grad is not None
    about = classifier.shown  # what was seen is (picture · scale − mean) / deviation
    gradient = x.grad.numpy() * (about.scale / np.reshape(about.deviation, (3, 1, 1))).astype(seen.dtype)
    return _finite("gradient_of_score", gradient[:, ::-1] if about.channels == "BGR" else gradient)


def squares(pixels: int, cells: int = CELLS, square: int = SQUARE) -> list[slice]:
    """Where a square lies along a side of so many pixels, its middle in the middle of each of ``cells`` equal parts.
    What would lie outside of the picture is cut off."""
    middles = (np.arange(cells) + 0.5) * pixels / cells
    return [slice(max(0, round(m - square / 2)), min(pixels, round(m + square / 2))) for m in middles.tolist()]


def occlusion(classifier: Classifier, picture: Picture, classes: Sequence[int], cells: int = CELLS,
              square: int = SQUARE) -> np.ndarray:
    """The log-odds of each class of ``classes`` while a grey square covers a part of the picture, in each of the
    ``squares`` down and across: (classes, cells, cells). Zeiler and Fergus 2014, arXiv:1311.2901, §4.2, show p itself.

    Raises ValueError for a class that there is not, settings that are none, and scores that are not finite; what
    ``Classifier.read`` raises for what is no picture.
    """
    classes = _known("occlusion", classifier, classes)
    cells, square = whole("occlusion", "cells", cells, 1), whole("occlusion", "square", square, 1)
    along, inside = squares(classifier.net.pixels, cells, square), middle(classifier.net.pixels)
    covered = np.repeat(classifier.read(picture)[None], cells * cells, axis=0)
    for one, (down, across) in zip(covered, itertools.product(along, along), strict=True):
        one[inside, inside][down, across] = GREY
    return log_odds(classifier.scores(list(covered)), classes).reshape(len(classes), cells, cells)


def log_odds(y: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """ln p[c] / (1 − p[c]) = y[c] − ln Σ exp y[k] over all k but c, where p = softmax(y), of each class c of
    ``classes``: (classes, N) from the scores y (N, all classes). It still differs where p is rounded to 1.

    Raises ValueError where scores are not finite.
    """
    y = _finite("log_odds", y).astype(np.float64)
    return np.stack([y[:, c] - np.logaddexp.reduce(np.delete(y, c, axis=1), axis=1) for c in classes])


class Strong(NamedTuple):
    """A map that answers strongly.

    tower: "a" or "b". number: of the map in its tower, from 0. answers: (rows, columns), those below zero as 0.
    largest, place: of the answers, and its (row, column). field: the rows and the columns of the picture on which that
    one depends, as in ``receptive_field``.
    """

    tower: str
    number: int
    answers: np.ndarray
    largest: float
    place: tuple[int, int]
    field: tuple[slice, slice]


def strongest(classifier: Classifier, picture: Picture, row: str = "conv5", count: int = 4) -> list[Strong]:
    """The ``count`` maps of a row of AlexNet, of all towers, whose largest answers are the largest: what its
    convolution gives, before it is normalised or pooled, and nothing where that is negative, as by ReLU.

    Raises ValueError for a row that is no convolution, and where an answer is not finite; what ``Classifier.read``
    raises for what is no picture.
    """
    net = classifier.net
    _convolution("strongest", net.variant, row)
    towers = {id(getattr(tower, row)[0]): letter for letter, tower in zip("ab", net.towers(), strict=False)}
    maps: list[tuple[str, int, np.ndarray]] = []

    def keep(module: Module, output: Tensor) -> None:
        if id(module) in towers:
            answers = _finite("strongest", output.numpy()[0])
            maps.extend((towers[id(module)], i, one) for i, one in enumerate(np.maximum(answers, 0)))

    with no_grad(), eval_mode(net), forward_hook(keep):
        net(Tensor(classifier.prepare([classifier.read(picture)])))
    found = []
    for tower, number, answers in sorted(maps, key=lambda one: -float(one[2].max()))[:count]:
        down, across = divmod(int(answers.argmax()), answers.shape[1])
        found.append(Strong(tower, number, answers, float(answers[down, across]), (down, across),
                            receptive_field(net.variant, row, (down, across))))
    return found


def convolutions(variant: str) -> list[str]:
    """The names of the rows that are convolutions, from the picture on."""
    return [row.name for row in VARIANTS[variant].rows if "conv" in row.layers.split()]


def receptive_field(variant: str, row: str, place: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and the columns of the picture on which the answer of a row's convolution at (row, column) depends:
    through windows of R pixels, s apart, with b zeros before, places i to j are made of s · i − b to s · j − b + R − 1.

    Normalisation over maps sees one place alone, the one within a map a window. Raises ValueError for a row that is no
    convolution.
    """
    _convolution("receptive_field", variant, row)
    one = VARIANTS[variant]
    windows: list[tuple[int, int, tuple[int, int]]] = []  # (R, s, zeros above and left) on the way from the picture
    for name, _, layers, _, size, stride, padding in one.rows:
        (above, _), (left, _) = sides("receptive_field", padding)
        of = {"conv": (size, stride, (above, left)), "pool": (3, 2, (0, 0))}
        if one.map_norm:
            of["map-norm"] = (one.map_norm.size, 1, (one.map_norm.size // 2,) * 2)
        windows += [of[word] for word in layers.split()[: 1 if name == row else None] if word in of]
        if name == row:
            break
    field = []
    for axis, first in enumerate(place):
        last = first
        for size, stride, before in reversed(windows):
            first, last = stride * first - before[axis], stride * last - before[axis] + size - 1
        field.append(slice(max(0, first), min(one.pixels, last + 1)))  # zeros outside depend on nothing
    return field[0], field[1]


@contextmanager
def _frozen(net: Module) -> Iterator[None]:
    """As at test, and no parameter takes a gradient: theirs stay as they are, and are not computed."""
    parameters = list(net.parameters())
    try:
        for parameter in parameters:
            parameter.requires_grad = False
        with eval_mode(net):
            yield
    finally:
        for parameter in parameters:
            parameter.requires_grad = True


def _known(who: str, classifier: Classifier, classes: Sequence[int]) -> list[int]:
    if not len(classes):
        raise ValueError(f"{who}: no class is given: give the numbers of one or more")
    return [whole(who, "a class", c, 0, len(classifier.classes) - 1) for c in classes]


def _convolution(who: str, variant: str, row: str) -> None:
    if row not in (rows := convolutions(variant)):
        raise ValueError(f"{who}: {shown(row)} is no convolution of {variant}: choose one of {', '.join(rows)}")


def _finite(who: str, numbers: np.ndarray) -> np.ndarray:
    if not np.isfinite(numbers).all():
        raise ValueError(f"{who}: what the network computes of this picture is not finite: look at its weights")
    return numbers
