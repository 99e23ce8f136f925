"""What is wrong with a training that goes wrong."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn import Module, forward_hook
from .interrupt import note
from .parallel import Ranks

__all__ = ["PLATEAU", "Diverged", "Pace", "Plateau", "advice", "first_not_finite", "where_not_finite"]

PACE = 20  # steps over which ranks are compared
PLATEAU = 200  # steps after which a loss still at ln(classes) is worth a word


class Diverged(ArithmeticError):
    """The loss, or a weight, is no longer a number. args: what is not, then where that began and what to do."""

    def __str__(self) -> str:
        return "; ".join(self.args)


def advice(lr: float) -> str:
    """What to do where a training diverged."""
    return f"the learning rate is {lr:g}: try a tenth of it"


def first_not_finite(model: Module, inputs: Any) -> str:
    """The name of the layer whose output is the first that is not finite."""
    return where_not_finite(model, inputs)[1]


def where_not_finite(model: Module, inputs: Any) -> tuple[int, str]:
    """(how many layers came before, the name) of the layer whose output is the first that is not finite."""
    finite: list[Module] = []
    first: list[Module] = []

    def see(layer: Module, y: Tensor) -> None:
        (first if first or not np.isfinite(y.numpy()).all() else finite).append(layer)

    with np.errstate(all="ignore"), no_grad(), forward_hook(see):
        model(inputs)
    name = next((name for name, layer in model.named_modules() if first and layer is first[0]), "the loss")
    return len(finite), name


class Pace:
    """Sees how long each rank was busy with its part of every step, and names one that all others wait for."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.recent: deque[list[float]] = deque(maxlen=PACE)
        self.named: set[int] = set()

    def see(self, seconds: list[float]) -> None:
        self.recent.append(seconds)
        if len(seconds) < 2 or len(self.recent) < PACE:
            return
        each = np.mean(self.recent, axis=0)
        self.recent.clear()
        slowest = int(each.argmax())
        others = float(np.median(np.delete(each, slowest)))
        if each[slowest] > 1.5 * others and slowest not in self.named:
            self.named.add(slowest)
            note(f"{self.ranks.named(slowest)} needs {each[slowest]:.2f} s for its part of a step, the others "
                 f"{others:.2f} s, and wait for it: does something else run there?")


class Plateau:
    """Sees the losses of all steps, and says once where they stay at what guessing costs."""

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=PLATEAU // 2)

    def see(self, step: int, loss: float, classes: int) -> None:
        self.recent.append(loss)
        guess = math.log(classes)
        if step == PLATEAU and abs(sum(self.recent) / len(self.recent) - guess) < 0.02 * guess:
            note(f"The loss has stayed at ln({classes}) = {guess:.3f}, what guessing costs, for {PLATEAU} steps. "
                 "Likely causes: weights that start too small for the depth, or biases of 1 that drown them "
                 "(--recipe small starts otherwise); a learning rate too low, or so high that the ReLUs died; "
                 "labels that do not belong to the pictures.")
