"""All that is measured, put together: of the pictures, of the labels, of the network, of its steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.tensor import Tensor
from ..nn.module import Module
from ..ops import log_softmax
from ..optim import SGD
from .measure import RATES, Asked, Layer, cost, dropped_by, gradients, layers_of, line, norm, of_loss, step_again
from .pictures import Labels, Pixels, Probe, answers, features, labels_of, pixels_of, probe
from .signal import Signal, looked_at

__all__ = ["Measured", "examine"]

PICTURES, PROBED = 64, 600  # that go through the network with their gradients; at which labels and outputs are looked
Labelled = tuple[Any, Any]


@dataclass
class Measured:
    """What ``examine`` finds; see the functions that measure each."""

    classes: int
    of_images: bool  # (N, C, H, W)
    size: int  # pictures in a batch
    pixels: Pixels  # as the network sees them
    raw: Pixels | None  # before anything was done to them
    labels: Labels
    probe: Probe | None
    loss: float  # of the batch as at test, cross-entropy
    guess: float  # what one pays who knows how often each label comes in the batch, and sees no picture
    gain: float  # how much less the loss is than where all pictures get the mean of the logits
    logits: Signal
    softmax_inside: bool
    follows: bool  # what the last layer with weights gives are other logits than those of the network
    asked: Asked
    layers: list[Layer]
    dropped: dict[str, float]  # what share each layer without weights drops in training, see ``dropped_by``
    restless: str  # the first layer that gives another output the second time, at test
    line: list[tuple[float, float]]  # (rate, loss after a step of it along the gradient)
    unit_loss: float  # if the pixels had mean 0 and deviation 1
    history: list[float]  # losses of past steps; NaN where there was no number
    optimiser: SGD | None
    leftover: float  # the gradient that was there before, beside that of the batch
    accumulates: float  # how much of an older gradient is in that of a step
    moves: bool  # whether a step moves a weight
    validation: tuple[NDArray[np.int64], NDArray[np.int64]] | None  # labels of other pictures, and what is said of them
    by_probe: tuple[NDArray[np.int64], NDArray[np.int64]] | None  # the same of what a linear classifier says
    names: list[str]  # of the classes

    @property
    def ln(self) -> float:
        """ln(classes): what guessing costs."""
        return math.log(self.classes)

    @property
    def knows(self) -> float:
        """What one pays who knows how often each class comes, as far as enough labels were seen to tell."""
        enough = self.labels.known or self.labels.counts.sum() >= 2 * self.classes
        return min(self.ln, self.labels.knows) if enough else self.ln

    @property
    def level(self) -> float:
        """What the batch costs who knows that: of few pictures of many classes more than their own labels tell."""
        return self.guess if self.asked.count >= 2 * self.classes else max(self.guess, self.knows)

    @property
    def costs(self) -> list[float]:
        """The history as cross-entropy: in proportion, where the loss is so many times that, or its sum over a batch;
        none, where it is of another kind, whose losses say nothing beside ln(classes)."""
        own = self.asked.guess / self.ln
        if not own > 0 or 1 / 1.5 < own < 1.5 or not math.isfinite(own):
            return self.history
        if self.asked.alike < 0.9 or not 0.7 < self.asked.factor / own < 1.4:
            return []
        whole = own * self.size / self.asked.count if self.summed else own
        return [value / whole for value in self.history]

    @property
    def summed(self) -> bool:
        """Whether the loss is the sum over a batch, not the mean."""
        return self.asked.count > 3 and self.asked.alike > 0.9 and abs(self.asked.factor / self.asked.count - 1) < 0.05

    @property
    def learned(self) -> bool:
        """Whether what the network says of pictures that it trains on has to do with their labels."""
        recent = self.costs[-20:]
        return (self.gain > 0.06 * self.ln and self.loss < 0.95 * self.level) or (
            len(self.costs) >= 60 and float(np.mean(recent)) < 0.85 * self.knows)

    @property
    def hidden(self) -> list[Layer]:
        """The layers that the batch meets, but for the last."""
        return [layer for layer in self.layers if layer.met][:-1]


def examine(model: Module, batches: Sequence[Labelled], optimiser: SGD | None, loss: Callable[..., Tensor],
            history: Sequence[float | None], validation: Sequence[Labelled], step: Callable[[Any, Any], Any] | None,
            order: Sequence[Any], counts: NDArray[np.int64] | None, raw: Sequence[tuple[Any, Any]],
            names: Sequence[str], put_back: Callable[[], None]) -> Measured:
    """Arguments as of ``diagnose``. put_back: undoes what was tried, see ``untouched``."""
    xs, labels = together(batches, PROBED)
    size = next(len(own) for own in [*order, *(own for _, own in batches)] if len(own))
    batch = x, y = xs[:PICTURES], labels[:PICTURES]
    leftover = _gradient(model)
    once, logits = looked_at(model, x)
    if logits.ndim != 2:
        raise ValueError(f"diagnose: the model gives {logits.shape} for {len(x)} pictures: give one that classifies, "
                         "(N, classes)")
    classes = logits.shape[1]
    for own in (labels, *(right for _, right in [*validation, *raw])):
        _check(_labels(own), classes)
    in_order = [_check(_labels(own), classes) for own in (order or [own for _, own in batches]) if len(own)]
    if counts is not None and (counts := np.asarray(counts)).shape != (classes,):
        raise ValueError(f"diagnose: counts has the shape {counts.shape}, the model {classes} outputs: give one number "
                         "for each")
    dropped, restless = dropped_by(model, x, once)
    real = bool(np.isfinite(logits).all())
    like = next((p for p in reversed(list(model.parameters())) if p.dtype.kind == "f"), Tensor(np.float32(0)))
    asked = of_loss(loss, logits if real else np.zeros_like(logits), y, like)
    usable = real and not asked.error and not asked.constant

    def tried(what: Callable[[], Any], without: Any) -> Any:
        """what(), of a model that has the gradients of the batch, and is as before after it."""
        if not usable:
            return without
        gradients(model, loss, batch)
        found = what()
        put_back()
        return found

    own = tried(lambda: _gradient(model), 0.0)
    rates = {*RATES} | ({optimiser.lr, optimiser.lr / (1 - optimiser.momentum)} if optimiser else set()) - {0.0}
    rates = {float(f"{rate:.6g}") for rate in rates}  # 0.01 / (1 - 0.9) is not 0.1
    along = tried(lambda: line(model, loss, batch, optimiser, sorted(rates)), [])
    accumulates, moves = tried(lambda: step_again(model, step, batch), (0.0, True)) if step else (0.0, True)
    if usable:
        gradients(model, loss, batch)
    layers = layers_of(model, once, logits.shape, optimiser)
    put_back()
    pixels = pixels_of(xs, labels)
    _, as_unit = looked_at(model, ((x - x.mean()) / (x.std() or 1)).astype(x.dtype if x.dtype.kind == "f" else "f4"))
    pictures, theirs = _channels_first(*raw[0]) if raw else (xs, labels)
    seen_there = features(pictures)
    shares = np.bincount(y) / len(y)
    shares = shares[shares > 0]
    said = by_probe = None
    if validation:
        seen, right = together(validation, PROBED)
        said = right, np.concatenate([looked_at(model, seen[i : i + PICTURES])[1].argmax(1)
                                      for i in range(0, len(seen), PICTURES)])
    if len(raw) > 1 and len(raw[1][1]):
        others, right = _channels_first(*raw[1])
        by_probe = right, answers(seen_there, theirs, features(others))
    spread = Signal(float(logits.mean()), float(logits.std()), float(np.sqrt(logits.var(0).mean())),
                    float(np.sqrt((logits.mean(0) ** 2).mean())))
    own_cost, flat_cost = cost(logits, y), cost(np.repeat(logits.mean(0)[None], len(y), axis=0), y)
    final = once.final
    follows = real and final is not None and final.shape == logits.shape and bool(
        np.abs(log_softmax(final.astype(np.float64)).numpy() - log_softmax(logits).numpy()).max() > 1e-3)
    return Measured(classes, xs.ndim == 4, size, pixels, pixels_of(pictures, theirs) if raw else None,
                    labels_of(in_order, classes, counts), probe(seen_there, theirs), own_cost,
                    float(-(shares * np.log(shares)).sum()), flat_cost - own_cost, spread,
                    bool((logits >= 0).all() and np.abs(logits.sum(1) - 1).max() < 1e-3), follows, asked, layers,
                    dropped, restless, along, cost(as_unit, y),
                    [math.nan if value is None else float(value) for value in history], optimiser,
                    leftover / own if own else 0.0, accumulates, moves, said, by_probe,
                    [*names, *(str(k) for k in range(len(names), classes))])


def together(batches: Sequence[Labelled], most: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(pictures, labels) of the first batches, at most so many of them, in main memory."""
    xs, ys, count = [], [], 0
    for inputs, labels in batches:
        if count < most and len(labels):
            xs.append(Tensor(inputs).numpy()[: most - count])
            ys.append(_labels(labels)[: most - count])
            if len(inputs) != len(labels):
                raise ValueError(f"diagnose: a batch has {len(inputs)} pictures and {len(labels)} labels: give as many")
            count += len(ys[-1])
    if not xs:
        raise ValueError("diagnose: there is no picture in these batches: give some that hold any")
    return np.concatenate(xs), np.concatenate(ys)


def _labels(own: Any) -> NDArray[np.int64]:
    found = np.asarray(own.numpy() if isinstance(own, Tensor) else own)
    if found.ndim != 1:
        raise ValueError(f"diagnose: labels are {found.shape}: give (N,), a number for each picture, of one-hot rows "
                         "their argmax(1)")
    if found.dtype.kind not in "iub" and (broken := found[found != np.round(found)]).size:
        raise ValueError(f"diagnose: labels are numbers like {broken[0]:g}: give whole ones")
    return found.astype(np.int64)


def _check(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    least, most = int(labels.min(initial=0)), int(labels.max(initial=0))
    if least < 0 or most >= classes:
        change = "they count from 1: take 1 off" if (labels.min(), most) == (1, classes) else "give both the same"
        raise ValueError(f"diagnose: labels go from {labels.min()} to {most}, where the model has {classes} outputs, 0 "
                         f"to {classes - 1}: {change}")
    return labels


def _channels_first(pictures: Any, labels: Any) -> tuple[Any, NDArray[np.int64]]:
    return np.moveaxis(np.asarray(pictures), -1, 1), _labels(labels)


def _gradient(model: Module) -> float:
    return norm(*(p.grad.numpy() for p in model.parameters() if p.grad is not None))
