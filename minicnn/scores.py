"""How well a model does: loss, top-1 and top-5 over a set of data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from .device import Device
from .module import Module
from .ops import cross_entropy
from .tensor import no_grad

__all__ = ["Loader", "Scores", "evaluate"]


class Loader(Protocol):
    """What a trainer asks of its data: ``len()`` batches an epoch, each (inputs, labels), the same ones every time. The
    inputs had better be on the device that is named, but may be anywhere."""

    def __len__(self) -> int: ...
    def epoch(self, number: int, start: int = 0, device: Device | None = None) -> Iterator[tuple[Any, np.ndarray]]: ...


@dataclass
class Scores:
    """Sums over the pictures seen."""

    seen: int = 0
    loss: float = 0.0
    top1: int = 0
    top5: int = 0

    def add(self, loss: float, logits: np.ndarray, labels: np.ndarray) -> None:
        own = logits[np.arange(len(labels)), labels][:, None]
        before = np.arange(logits.shape[1]) < labels[:, None]
        rank = ((logits > own) | (logits == own) & before).sum(axis=1)  # of equal scores the first counts as higher
        self.seen += len(labels)
        self.loss += loss * len(labels)
        self.top1 += int((rank < 1).sum())
        self.top5 += int((rank < 5).sum())

    def means(self) -> dict[str, float]:
        """Mean loss, and top-1 and top-5 accuracy as shares of 1."""
        return {name: getattr(self, name) / max(1, self.seen) for name in ("loss", "top1", "top5")}


def evaluate(model: Module, loader: Loader, stop: Callable[[], bool] = lambda: False) -> Scores:
    """The model's scores on all of the loader's pictures."""
    scores = Scores()
    model.eval()
    quiet = not sys.stderr.isatty()
    batches = loader.epoch(0, 0, next(model.parameters()).device)
    for inputs, labels in tqdm(batches, "validation", len(loader), leave=False, disable=quiet):
        if stop():
            break
        if len(labels):
            with no_grad():
                logits = model(inputs)
                scores.add(cross_entropy(logits, labels).item(), logits.numpy(), labels)
    return scores
