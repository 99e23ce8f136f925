"""A step of training: forward, loss, backward, update; eager, or captured as a CUDA graph and replayed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.kernels.cuda_graph import capture

from .. import checkpoint
from ..data.share import ALL
from ..engine.device import Device
from ..engine.memory import array_of
from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn.layers import Dropout
from ..nn.module import Module
from ..ops.cross_entropy import check_labels, cross_entropy
from ..optim import SGD, LossScale
from .diagnosis import Diverged, advice, first_not_finite
from .parallel import ALONE

__all__ = ["CapturedStep", "Step"]


class Step:
    """A step of training a classifier: forward, loss, backward, update.

        step = Step(model, optimiser)
        loss, logits = step(inputs, labels)

    loss: a function of (logits, labels) that gives one number. loss_scale: for a model that computes in half precision.
    ranks, share: who takes the step together, and which parts of every batch are computed here; divided: whether what
    is learned is, too, so that it takes all ranks to save it. See ``ParallelStep``.
    """

    ranks, share, divided = ALONE, ALL, False

    def __init__(self, model: Module, optimiser: SGD, loss: Callable[..., Tensor] = cross_entropy,
                 loss_scale: LossScale | None = None):
        self.model, self.optimiser, self.loss = model, optimiser, loss
        self.loss_scale = loss_scale or LossScale(1.0, patience=None)
        self.updating = False  # True where the last update failed: some weights may have moved, others not

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is found in the loss, and explained
    def __call__(self, inputs: Any, labels: Any) -> tuple[float, np.ndarray]:
        """Take the step for a batch. Returns (loss, logits) of before the update.

        inputs: (N, ...).  labels: (N,), whole numbers from 0 to classes − 1.  logits: (N, classes).

        Raises ValueError and TypeError for labels that are not that, Diverged where the loss is not finite, and what
        ``LossScale.step`` raises. Where the step fails before its update, it has not been: nothing has changed.
        """
        with self._undone_where_it_fails():
            loss, logits = self.gradients(inputs, labels)
            value = loss.item()  # only now, since a GPU that is asked has to finish first
            if not math.isfinite(value):
                raise Diverged(f"the loss is {value}", "the first output that is not finite is that of "
                               f"{first_not_finite(self.model, inputs)}", advice(self.optimiser.lr))
            outputs = logits.numpy()
        self.updating = True
        self.update()
        self.updating = False
        return value, outputs

    def of(self, parts: Sequence[tuple[Any, Any]]) -> tuple[float, list[np.ndarray]] | None:
        """The step for a batch as a trainer has it, in parts: here there is one. None where there is no image.

        Returns the loss and the logits of each part, and raises what the step itself raises.
        """
        ((inputs, labels),) = parts
        if not len(labels):
            return None
        loss, logits = self(inputs, labels)
        return loss, [logits]

    def gradients(self, inputs: Any, labels: Any, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Forward, loss, backward: (loss, logits); the parameters now have the gradients of loss × factor × share.

        share: what these images count in the loss of a batch of which they are a part.
        """
        logits = self.model(inputs)
        loss = self.loss(logits, checked(labels, logits.shape))
        self.optimiser.zero_grad()
        (loss * (self.loss_scale.factor * share)).backward()
        return loss, logits

    def update(self) -> None:
        """Move the weights by these gradients, unless one of them overflowed."""
        self.loss_scale.step(self.optimiser)

    @contextmanager
    def _undone_where_it_fails(self) -> Iterator[None]:
        """Puts back what a forward pass changes besides gradients: the counters of dropout."""
        state = [(t, t.copy()) for _, t in self.model._named(Tensor) if not t.requires_grad]
        try:
            yield
        except BaseException:
            with no_grad():
                for tensor, before in state:
                    tensor[...] = before
            raise

    def check(self) -> None:
        """Raises RanksDiffer where not all ranks have the same weights."""

    def join(self) -> None:
        """After the last step: let rank 0 have the whole model, where it is divided. All ranks have to call this."""

    # -- what a run keeps and logs of it -------------------------------------------------------------------------------

    def learned(self) -> dict[str, np.ndarray]:
        """All that is learned, by its name in a checkpoint: weights and state, and velocities. Where it is divided, all
        ranks have to ask together, and rank 0 gets it."""
        return {f"{kind}.{name}": array for kind, of in (("model", self.model), ("velocity", self.optimiser))
                for name, array in of.state_dict().items()}

    def load_learned(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what ``learned`` gave, among other arrays. Raises ValueError where it is of another model."""
        self.model.load_state_dict(checkpoint.part(arrays, "model."))
        self.optimiser.load_state_dict(checkpoint.part(arrays, "velocity."))

    def state(self) -> dict[str, Any]:
        """Plain facts for a checkpoint, besides the model's and the optimiser's own state."""
        return {"loss_scale": self.loss_scale.state()}

    def load_state(self, facts: dict[str, Any]) -> None:
        """Go on from what ``state`` gave, among other facts. Older checkpoints know nothing of it."""
        vars(self.loss_scale).update(facts.get("loss_scale", {}))

    def report(self) -> dict[str, float]:
        """What belongs into the log beside the loss."""
        return {"loss_scale": self.loss_scale.factor} if self.loss_scale.patience else {}


def checked(labels: Any, logits: tuple[int, ...]) -> Any:
    """The labels, looked at in main memory before they go to a GPU, as ones for logits (N, classes). Raises what
    ``cross_entropy`` raises. Those of a tensor are left to the loss: while work is captured a GPU cannot be asked."""
    if isinstance(labels, Tensor):
        return labels
    labels = array_of(labels, name="cross_entropy")
    check_labels(labels, logits)
    return labels


class CapturedStep(Step):
    """The same step on one GPU, as two CUDA graphs, ``gradients`` and ``update``: between them the loss is looked at.

    Each is eager the first time, captured the second, and replayed after that; again so when a setting changes, such as
    the learning rate: in a warm-up, that is every update. A batch of another shape than the first is always eager, and
    so is the update by LARS. See ``kernels/cuda_graph.py``.

    Raises ValueError where the model does not live on one GPU, and what ``capture`` raises.
    """

    def __init__(self, model: Module, optimiser: SGD, loss: Callable[..., Tensor] = cross_entropy,
                 loss_scale: LossScale | None = None):
        super().__init__(model, optimiser, loss, loss_scale)
        self.device, *others = {p.device for p in model.parameters()}
        if others or self.device.kind != "cuda":
            places = " and ".join(sorted(map(repr, [self.device, *others])))
            raise ValueError(f"CapturedStep: a CUDA graph is of one GPU, the model lives on {places}: move it to one, "
                             "or take a Step")
        with self.device:
            capture(lambda: None)  # what is missing for it is better said before the first step
        self.batch: tuple[Tensor, Tensor] | None = None  # inputs and labels: where every batch of that shape is put
        self.logits: tuple[int, ...] = ()  # the shape of what comes of them
        self.written: list[tuple[Tensor, Tensor | None]] = []  # parameters, and the gradients that came with them last
        self.captured_gradients, self.captured_update = _Captured(self.device), _Captured(self.device)

    def gradients(self, inputs: Any, labels: Any, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """As of a ``Step``. What is returned is written anew by the next call."""
        eager = super().gradients
        dropouts = (layer for layer in self.model.modules() if isinstance(layer, Dropout))
        settings = (self.loss_scale.factor, share, *(layer.first_image for layer in dropouts))
        if self.batch is None:
            loss, logits = self.captured_gradients(settings, lambda: eager(inputs, labels, share))
            self.batch = Tensor(inputs, device=self.device), Tensor(labels, device=self.device)
            self.logits = logits.shape
            return loss, logits
        x, y = self.batch
        if np.shape(inputs) != x.shape:
            return eager(inputs, labels, share)
        labels = labels.numpy() if isinstance(labels, Tensor) else labels
        x[...], y[...] = inputs, checked(labels, self.logits)

        def work() -> tuple[tuple[Tensor, Tensor], list[tuple[Tensor, Tensor | None]]]:
            return eager(x, y, share), [(parameter, parameter.grad) for parameter in self.model.parameters()]

        result: tuple[Tensor, Tensor]
        result, self.written = self.captured_gradients(settings, work)
        for parameter, gradient in self.written:
            parameter.grad = gradient
        return result

    def update(self) -> None:
        """As of a ``Step``."""
        self.loss_scale.step(self.optimiser, self._update)

    def _update(self, loss_scale: float) -> None:
        o = self.optimiser
        if o.lars is not None or any(p.grad is not gradient for p, gradient in self.written):
            return o.step(loss_scale)  # LARS asks for norms, which a capture refuses; or those of a smaller batch
        settings = (o.lr, o.momentum, o.weight_decay, o.bias_lr, o.decay_biases, loss_scale)
        self.captured_update((*settings, self.captured_gradients.replay), lambda: o.step(loss_scale))


class _Captured:
    """Work on a GPU: eager where its settings are new, captured where they come again, and replayed from then on."""

    def __init__(self, device: Device):
        self.device = device
        self.settings: tuple[Any, ...] | None = None  # of the last time
        self.result: Any = None  # of the work that was captured: each replay writes it anew
        self.replay: Callable[[], None] | None = None

    def __call__(self, settings: tuple[Any, ...], work: Callable[[], Any]) -> Any:
        """What work() returns."""
        if settings != self.settings:
            self.settings, self.replay = None, None
            result = work()
            self.settings = settings
            return result
        with self.device:
            if self.replay is None:
                self.result, self.replay = capture(work)
            self.replay()
        return self.result
