"""What is wrong with a training that goes wrong."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..diagnose import diagnose
from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn import Module, forward_hook
from .interrupt import note
from .parallel import Ranks

__all__ = ["PLATEAU", "Diverged", "Pace", "Plateau", "advice", "first_not_finite", "where_not_finite"]

PACE = 20  # steps over which ranks are compared
PLATEAU = 200  # steps after which a loss that stays at ln(classes) is worth a word
LAST = 40  # of these steps, whose batches are kept
KEPT, EACH = 600, 75  # pictures, as many as a diagnosis looks at, and of a batch


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
    """Sees the losses of all steps, and says once where they stay at what guessing costs, and why: measured on the
    latest batches, on a model that is as before after it. step: that is taken."""

    def __init__(self, step: Any) -> None:
        self.step, self.ranks = step, step.ranks
        self.first: list[float] = []  # the losses of before those that are recent
        self.recent: deque[float] = deque(maxlen=PLATEAU)
        self.order: deque[np.ndarray] = deque(maxlen=PLATEAU // 2)  # the labels of the latest batches
        self.batches: deque[tuple[np.ndarray, np.ndarray]] = deque()
        self.rate, self.held, self.said = 0.0, 0, False

    def see(self, loss: float, classes: int, parts: Sequence[tuple[Any, Any]], rate: float = 0.0) -> None:
        """A step was taken for these parts of a batch. rate: the schedule's, to which a warm-up rises. All ranks see
        the same loss, and so come to the same end."""
        if self.said:
            return
        self.rate = max(self.rate, rate)
        if len(self.recent) == PLATEAU and len(self.first) < PLATEAU:
            self.first.append(self.recent[0])
        self.recent.append(loss)
        self.order += [np.array(labels) for _, labels in parts if len(labels)]
        if len(self.recent) < PLATEAU - LAST:
            return
        guess, recent = math.log(classes), list(self.recent)
        early, late = (abs(float(np.mean(half)) / guess - 1) for half in np.array_split(recent, 2))
        if early > 0.03 or late > 0.02:  # at first there may be something to unlearn
            self.batches.clear()
            self.held = 0
            return
        self.held += 1
        if not (self.ranks.rank or self.step.divided):
            self.batches += [(Tensor(inputs)[:EACH].numpy().copy(), np.array(labels)[:EACH]) for inputs, labels in parts
                             if len(labels)]
            while self.batches and sum(len(labels) for _, labels in self.batches) - len(self.batches[0][1]) >= KEPT:
                self.batches.popleft()
        if len(recent) == PLATEAU and self.held > LAST:
            self.said = True
            note(f"The loss has stayed at ln({classes}) = {guess:.3f}, what guessing costs, for {PLATEAU} steps.")
            if not self.ranks.rank:
                for line in self._why().splitlines():
                    note(line)
            self.batches.clear()
            self.ranks.long_barrier()

    def _why(self) -> str:
        """The cause that the numbers show. Whatever fails in finding it is no reason to end a run."""
        if self.step.divided:
            return "python -m minicnn diagnose RUN measures why: here the layers are divided over the ranks."
        gradients = [(p, p.grad) for p in self.step.model.parameters()]
        optimiser, own = self.step.optimiser, self.step.optimiser.lr
        try:
            optimiser.lr = self.rate or own  # of a warm-up, or the end of a schedule, the rate is meant to be low
            self.step.model.zero_grad()  # those of a scaled loss would look as if they were never set to 0
            report = diagnose(self.step.model, list(self.batches), optimiser, self.step.loss,
                              history=[*self.first, *self.recent], order=list(self.order))
        except Exception as error:
            return f"Why cannot be measured: {error or type(error).__name__}"
        finally:
            optimiser.lr = own
            for parameter, gradient in gradients:
                parameter.grad = gradient
        return report.verdict()
