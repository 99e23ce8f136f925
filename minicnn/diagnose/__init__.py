"""What is wrong with a training that learns nothing? Measured on a batch or a few, and judged by the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..engine.tensor import Tensor
from ..nn.module import Module
from ..ops import cross_entropy
from ..optim import SGD
from .cause import Cause
from .examine import Measured, examine
from .judge import causes
from .say import Report
from .signal import Signal, signals
from .untouched import untouched

__all__ = ["Cause", "Measured", "Report", "Signal", "diagnose", "signals"]

Labelled = tuple[Any, Any]
FEW = 100  # batches


def diagnose(model: Module, batches: Iterable[Labelled], optimiser: SGD | None = None,
             loss: Callable[..., Tensor] = cross_entropy, *, history: Sequence[float | None] = (),
             validation: Sequence[Labelled] = (), step: Callable[[Any, Any], Any] | None = None,
             order: Sequence[Any] = (), counts: Any = None, raw: Sequence[Labelled] = (),
             names: Sequence[str] = ()) -> Report:
    """Why does this not learn? Print what it returns: what was measured, and the cause that the numbers show, if they
    show one, with what mends it.

        print(diagnose(model, batches, optimiser, history=losses))

    model: a classifier, (N, ...) → (N, classes). batches: of training, (inputs, labels), a few, as they come, of which
    100 are taken; the first pictures go through the network. optimiser: without it nothing is said of rates.
    loss: of (logits, labels). history: the losses of all steps so far, or the first and the last of them; None or NaN
    where it was no number; empty: the training has not begun.
    validation: batches that are not trained on. step: what takes a step of training, called as step(inputs, labels):
    does it begin with no gradient, and move a weight? order: the labels of many batches, each an array, in their
    order; by itself those of ``batches``. counts: (classes,), how many pictures each class has, by itself in ``order``.
    raw: pictures before anything was done to them, (N, H, W, 3) bytes, with their labels: [those for training], or
    [those, others]. names: of the classes.

    Nothing is changed: weights, velocities, gradients, attributes of layers and random states are as before.

    Raises ValueError and TypeError where there is no batch, or one is none for this model: where labels are no whole
    numbers from 0 to classes − 1, say.
    """
    batches = list(islice(batches, FEW))
    if not batches:
        raise ValueError("diagnose: there is no batch to look at: give a few as [(inputs, labels), ...]")
    with untouched(model, optimiser) as put_back, np.errstate(all="ignore"):
        measured = examine(model, batches, optimiser, loss, history, validation, step, order, counts, raw, names,
                           put_back)
    return Report(measured, causes(measured))
