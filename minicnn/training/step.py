"""A training step that a GPU is told once and then does again for every batch: see ``kernels/cuda_graph.py``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.kernels.cuda_graph import capture as recorded

from ..engine.tensor import Tensor
from ..nn.module import Module
from ..ops import cross_entropy
from ..optim import SGD

__all__ = ["Replay", "gradients"]


def gradients(model: Module, optimiser: SGD, inputs: Any, labels: Any, loss_scale: float) -> tuple[Tensor, Tensor]:
    """(loss, outputs of the model) for a batch; the parameters now have the gradients of loss × ``loss_scale``."""
    outputs = model(inputs)
    loss = cross_entropy(outputs, labels)
    optimiser.zero_grad()
    (loss * loss_scale).backward()
    return loss, outputs


class Replay:
    """``gradients`` and ``optimiser.step`` of a model on one GPU, each as a CUDA graph.

    What comes for the first time, in its shape and its settings, is told as ever, for the second time recorded, and
    from then on done again. A batch of another shape than the first is always told as ever. The two are apart, so that
    the loss can be looked at before any weight has changed.

    Raises ValueError where the model does not live on one GPU, and what ``recorded`` raises.
    """

    def __init__(self, model: Module, optimiser: SGD):
        self.device, *others = {p.device for p in model.parameters()}
        if others or self.device.kind != "cuda":
            places = " and ".join(sorted(map(repr, [self.device, *others])))
            raise ValueError(f"Replay: a graph is of one GPU, the model lives on {places}: bring it to one, or tell it "
                             "every step")
        with self.device:
            recorded(lambda: None)  # what is missing for it is better said before the first step
        self.model, self.optimiser = model, optimiser
        self.gradient_norm = optimiser.gradient_norm
        self.batch: tuple[Tensor, Tensor] | None = None  # inputs and labels: where every batch of their shape is put
        self.classes = math.inf  # until the first outputs show how many there are
        self.found: list[tuple[Tensor, Tensor | None]] = []  # parameters, and their gradients of the last such batch
        self.known: dict[str, tuple[Any, ...]] = {}  # settings of what was told last
        self.recorded: dict[str, tuple[Any, Callable[[], None]]] = {}  # its result, and what does it again

    lr = property(lambda self: self.optimiser.lr)

    def gradients(self, inputs: Any, labels: np.ndarray, loss_scale: float) -> tuple[Tensor, Tensor]:
        """As the function of that name. What is returned is written anew by the next call."""
        if self.batch is None:
            self.batch = Tensor(inputs, device=self.device), Tensor(labels, device=self.device)
        x, y = self.batch
        if np.shape(inputs) != x.shape or not ((labels >= 0) & (labels < self.classes)).all():  # a graph cannot ask
            return gradients(self.model, self.optimiser, inputs, labels, loss_scale)
        x[...], y[...] = inputs, labels

        def work() -> tuple[tuple[Tensor, Tensor], list[tuple[Tensor, Tensor | None]]]:
            result = gradients(self.model, self.optimiser, x, y, loss_scale)
            return result, [(parameter, parameter.grad) for parameter in self.model.parameters()]

        result, self.found = self._do("gradients", (loss_scale,), work)
        for parameter, gradient in self.found:
            parameter.grad = gradient
        self.classes = result[1].shape[1]
        return result

    def step(self, loss_scale: float = 1.0) -> None:
        """As ``optimiser.step``."""
        o = self.optimiser
        if any(parameter.grad is not gradient for parameter, gradient in self.found):  # those of a smaller batch
            return o.step(loss_scale)
        settings = (o.lr, o.momentum, o.weight_decay, o.bias_lr, o.decay_biases, loss_scale)
        return self._do("step", (*settings, self.recorded.get("gradients")), lambda: o.step(loss_scale))

    def _do(self, name: str, settings: tuple[Any, ...], work: Callable[[], Any]) -> Any:
        """What work() returns: told where the settings are new, else recorded, and done again."""
        if self.known.get(name) != settings:
            self.known[name] = settings
            self.recorded.pop(name, None)
            return work()
        with self.device:
            if name not in self.recorded:
                self.recorded[name] = recorded(work)
            result, again = self.recorded[name]
            again()
        return result
