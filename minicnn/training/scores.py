"""How well a model does: loss, top-1 and top-5 over a set of data; where there are five classes or fewer no top-5."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from ..data.share import ALL, Share
from ..engine.device import Device
from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn import Module, eval_mode
from ..ops import cross_entropy
from .bars import on_terminal
from .classes import Predictions
from .parallel import ALONE, Ranks

__all__ = ["LoaderLike", "Scores", "as_loader", "evaluate", "in_words", "interval", "over_views", "share_bad", "shared",
           "with_intervals"]

FEW = 5  # classes, among the first five of which each picture's own always is


class LoaderLike(Protocol):
    """What a trainer asks of its data: ``len()`` batches an epoch, each (inputs, labels), the same ones every time.

    epoch(number, start, device): what is left of an epoch of which ``start`` is behind: pictures where the loader has a
    ``batch_size``, else batches. The inputs had better be on the device that is named, but may be anywhere.
    """

    def __len__(self) -> int: ...
    def epoch(self, number: int, start: int = 0, device: Device | None = None) -> Iterator[tuple[Any, np.ndarray]]: ...


class _Listed:
    """A list of batches as a loader: the same in every epoch."""

    def __init__(self, batches: Sequence[tuple[Any, Any]]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int, start: int = 0, device: Device | None = None) -> Iterator[tuple[Any, np.ndarray]]:
        return ((inputs, np.asarray(labels)) for inputs, labels in self.batches[start:])


class _Shared:
    """Of every batch of a loader the parts that are one rank's."""

    def __init__(self, loader: LoaderLike, share: Share):
        self.loader, self.share, self.shown = loader, share, range(0)
        if hasattr(loader, "batch_size"):
            self.batch_size = loader.batch_size

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, number: int, start: int = 0, device: Device | None = None) -> Iterator[tuple[Any, np.ndarray]]:
        behind = 0
        for inputs, labels in self.loader.epoch(number, start, device):
            for cut in self.share.cuts(len(labels)):
                self.shown = range(behind + cut.start, behind + cut.stop)
                yield inputs[cut], labels[cut]
            behind += len(labels)


def shared(loader: LoaderLike, share: Share) -> LoaderLike:
    """The loader, of every batch of which these parts come, one by one."""
    if hasattr(loader, "share"):
        loader.share = share
    return loader if share == getattr(loader, "share", ALL) else _Shared(loader, share)


def share_bad(loader: LoaderLike, ranks: Ranks) -> None:
    """Let a loader know of the pictures that other ranks could not read.

    Raises ValueError where nobody could read any.
    """
    bad: dict[str, str] = getattr(loader, "bad", {})
    for theirs in ranks.gather(dict(bad)):
        bad.update(theirs)
    if bad and len(bad) == len(getattr(loader, "folder", ())):
        path, reason = next(iter(bad.items()))
        raise ValueError(f"none of {len(bad)} pictures can be read; the first is {path}: {reason}")


def as_loader(data: LoaderLike | Sequence[tuple[Any, Any]], who: str) -> LoaderLike:
    """A loader as it is, a list of batches as one. Raises TypeError for what is neither, ValueError where it is empty,
    in the name of ``who``."""
    way = "give a loader, as minicnn.data.ArrayLoader or Loader, or a list of batches (inputs, labels)"
    if not hasattr(data, "epoch"):
        if not isinstance(data, (list, tuple)):
            raise TypeError(f"{who}: {type(data).__name__} is no data that can be gone through more than once: {way}")
        for batch in data:
            if not isinstance(batch, (list, tuple)) or len(batch) != 2 or np.ndim(batch[1]) != 1:
                raise TypeError(f"{who}: a batch is no pair (inputs, labels), labels of one axis, but a "
                                f"{type(batch).__name__}: {way}")
    loader = data if hasattr(data, "epoch") else _Listed(data)
    if not len(loader):
        raise ValueError(f"{who}: there is no batch in it: {way}")
    return loader


@dataclass
class Scores:
    """Sums over the pictures seen.

    A number that is not one is never a hit: neither where any score of a picture is NaN, nor where the score of its own
    class is infinite. Means are NaN where nothing was seen.
    """

    seen: int = 0
    loss: float = 0.0
    top1: int = 0
    top5: int = 0
    classes: int = 0  # known once a batch was added

    def add(self, loss: float, logits: np.ndarray, labels: np.ndarray) -> None:
        """Count a batch. loss: its mean. logits: (N, C). labels: (N,), whole numbers from 0 to C − 1. Raises ValueError
        and TypeError where they are not that."""
        logits, labels = np.asarray(logits), np.asarray(labels)
        if logits.ndim != 2 or labels.shape != logits.shape[:1]:
            raise ValueError(f"Scores: expected logits (N, C) and labels (N,), got {logits.shape} and {labels.shape}")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"Scores: labels are {labels.dtype}: they must be whole numbers, the places of the classes")
        if len(labels) and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
            raise ValueError(f"Scores: labels from {labels.min()} to {labels.max()} for {logits.shape[1]} classes")
        own = logits[np.arange(len(labels)), labels][:, None]
        before = np.arange(logits.shape[1]) < labels[:, None]
        rank = ((logits > own) | (logits == own) & before).sum(axis=1)  # of equal scores the first counts as higher
        real = np.isfinite(own[:, 0]) & ~np.isnan(logits).any(axis=1)
        self.seen += len(labels)
        self.classes = logits.shape[1]
        self.loss += float(loss) * len(labels)
        self.top1 += int((real & (rank < 1)).sum())
        self.top5 += int((real & (rank < 5)).sum())

    @staticmethod
    def of(loss: float, logits: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> Scores:
        """Of a batch in parts, see ``add``; a part may be empty."""
        scores = Scores()
        for y, right in zip(logits, labels, strict=True):
            if len(right):
                scores.add(loss, y, right)
        return scores

    def means(self) -> dict[str, float]:
        """Mean loss, and top-1 and top-5 accuracy as shares of 1. Of five classes or fewer there is no ``top5``: it
        would be 1 whatever a model says."""
        names = ("loss", "top1") if 0 < self.classes <= FEW else ("loss", "top1", "top5")
        return {name: getattr(self, name) / self.seen if self.seen else math.nan for name in names}

    def merge(self, others: Iterable[Scores]) -> Scores:
        """Of all these together."""
        every = [self, *others]
        sums = {name: sum(getattr(each, name) for each in every) for name in ("seen", "loss", "top1", "top5")}
        return Scores(**sums, classes=max(each.classes for each in every))


def interval(hits: int, seen: int) -> tuple[float, float]:
    """Where a share lies, with a confidence of 95 %, of which so many hits were seen among so many (Wilson 1927):

        (p + z²/2n ± z √(p (1 − p) / n + z²/4n²)) / (1 + z²/n),    p = hits / n, z = 1.96
    """
    if not seen:
        return math.nan, math.nan
    z, p = 1.959964, hits / seen
    middle, half = p + z * z / (2 * seen), z * math.sqrt(p * (1 - p) / seen + z * z / (4 * seen * seen))
    below, above = ((middle + side * half) / (1 + z * z / seen) for side in (-1, 1))
    return max(0.0, below), min(1.0, above)


def in_words(means: dict[str, float], digits: int = 1) -> str:
    """Of the means of ``Scores``, top-1 and, where it is there, top-5: "top-1 57.8%, top-5 90.1%"."""
    return ", ".join(f"top-{n} {means[f'top{n}']:.{digits}%}" for n in (1, 5) if f"top{n}" in means)


def over_views(logits: Tensor, views: int) -> Tensor:
    """ln of the mean of softmax over the views of each picture, (N, classes), which serves as its logits; of one view
    the logits as they are. logits: (N · views, classes), the views of a picture together."""
    if views == 1:
        return logits
    mean = logits.softmax().numpy().reshape(-1, views, logits.shape[1]).mean(axis=1)
    return Tensor(np.log(np.maximum(mean, np.finfo(mean.dtype).tiny)), device=logits.device)


def with_intervals(scores: Scores) -> str:
    """As ``in_words``, with intervals of 95 %: "top-1 57.8% (54.7 to 60.8), top-5 90.1% (88.1 to 91.8)"."""
    shares = [(n, getattr(scores, f"top{n}")) for n in (1, 5) if f"top{n}" in scores.means()]
    return ", ".join("top-{} {:.1%} ({:.1f} to {:.1f})".format(
        n, hits / scores.seen, *(100 * bound for bound in interval(hits, scores.seen))) for n, hits in shares)


def evaluate(model: Module, loader: LoaderLike | Sequence[tuple[Any, Any]],
             stop: Callable[[], bool] = lambda: False, predictions: Predictions | None = None,
             ranks: Ranks = ALONE) -> Scores:
    """The model's scores on all of the loader's pictures, with every layer in eval mode; its modes stay.

    Where the loader shows ten views of each picture, it is judged by the mean of their probabilities (§4.1).
    stop: is asked before every batch, and ends it early. predictions: gets what is said of each picture. ranks: who
        looks at the pictures together, each at the parts of the batches that the loader gives; all get all.
    Raises what ``as_loader`` and ``Scores.add`` raise.
    """
    loader = as_loader(loader, "evaluate")
    scores = Scores()
    batches: Iterable[tuple[Any, np.ndarray]] = loader.epoch(0, 0, next(model.parameters()).device)
    with eval_mode(model), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's: what overflows is found in the loss
        own = len(getattr(loader, "share", ALL))
        for i, (inputs, labels) in enumerate(tqdm(batches, "validation", len(loader) * own, leave=False,
                                                  disable=not on_terminal())):
            if i % own == 0 and stop():
                break
            if len(labels) or getattr(model, "over_ranks", None):  # which takes all ranks, also those without an image
                with no_grad():
                    y = model(inputs)
            if len(labels):
                with no_grad():
                    y = over_views(y, getattr(loader, "crops", 1))
                    loss, logits = cross_entropy(y, labels).item(), y.numpy()
                scores.add(loss, logits, labels)
                if predictions is not None:
                    predictions.add(logits, labels, getattr(loader, "shown", None))
    share_bad(loader, ranks)
    if ranks.size > 1:
        scores = Scores().merge(ranks.gather(scores))
        if predictions is not None:
            predictions.merge(ranks.gather(predictions.all), scores.classes)
    return scores
