"""The update rule of the paper, and its schedules of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minicnn.kernels import sgd as kernels

from .device import Device, cpu, home
from .memory import batch_last
from .tensor import Tensor

__all__ = ["SGD", "LossScale", "PlateauSchedule", "StepSchedule"]


class SGD:
    """Krizhevsky et al. 2012, §5:

    v ← momentum · v − weight_decay · lr · w − lr · ∂L/∂w;  w ← w + v

    The rate stands inside the velocity: a lower rate does not shrink the velocity already there, as it would with
    PyTorch's rule v ← momentum · v + g, w ← w − lr · v.

    named_parameters: as from ``model.named_parameters()``.
    bias_lr: factor on the rate of biases (parameters of one axis). decay_biases: whether weight decay acts on them. The
        paper's text treats all alike; the authors' program had 2 and False.

    Raises ValueError where a number is out of range.
    """

    def __init__(self, named_parameters: Iterable[tuple[str, Tensor]], lr: float = 0.01, momentum: float = 0.9,
                 weight_decay: float = 0.0005, bias_lr: float = 1.0, decay_biases: bool = True):
        for name, value in {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "bias_lr": bias_lr}.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"SGD: {name} is {value}: it must be a number ≥ 0")
        if momentum >= 1:
            raise ValueError(f"SGD: momentum is {momentum}: the velocity grows without end unless it is < 1")
        self.parameters = dict(named_parameters)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.bias_lr, self.decay_biases = bias_lr, decay_biases
        self.velocity = {}
        for name, p in self.parameters.items():
            with p.device:
                self.velocity[name] = np.zeros_like(p.data)

    def step(self, loss_scale: float = 1.0) -> None:
        """Move every parameter that has a gradient by its velocity. The gradients are of the loss × ``loss_scale``."""
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            bias = parameter.ndim == 1
            rate = self.lr * (self.bias_lr if bias else 1.0)
            decay = 0.0 if bias and not self.decay_biases else self.weight_decay
            with parameter.device:
                flat = [batch_last(a).reshape(-1)
                        for a in (parameter.writable(), self.velocity[name], parameter.grad.data)]
                # rate · decay and rate · ∂L/∂w are meant; a scale that is a power of two costs no rounding
                kernels.sgd(-(-parameter.size // kernels.RUN), *flat, rate / loss_scale, float(self.momentum),
                            decay * loss_scale)

    def gradient_norm(self) -> float:
        """√Σ (∂L/∂w)² over all parameters, in their precision: not finite where any gradient is not."""
        squares: dict[Device, Any] = {}  # added up on each device, so that each is waited for once
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                with parameter.device as device:
                    flat = batch_last(parameter.grad.data).reshape(-1)
                    squares[device] = squares.get(device, 0) + np.vdot(flat, flat)
        total = 0.0
        for device, square in squares.items():
            with device:
                total += float(square)
        return math.sqrt(total)

    def zero_grad(self) -> None:
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the velocities, by the names of the parameters."""
        return {name: np.ascontiguousarray(cpu(0).put(v)) for name, v in self.velocity.items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy in what ``state_dict`` gave. Raises ValueError, and changes nothing, where names or shapes differ."""
        mine, given = ({name: v.shape for name, v in d.items()} for d in (self.velocity, state))
        if mine != given:
            name = sorted(n for n in mine.keys() | given.keys() if mine.get(n) != given.get(n))[0]
            raise ValueError(f"SGD: this is the state of another model: {name} has the shape {mine.get(name)} here and "
                             f"{given.get(name)} there")
        for name, v in self.velocity.items():
            with home(v) as device:
                v[...] = device.bring(state[name])


class LossScale:
    """Keeps small gradients from vanishing in half precision, which knows no number below 6·10⁻⁸: the gradients of
    loss × factor are computed, and ``step`` takes the factor out again (Micikevicius et al. 2018, "Mixed precision
    training", §3.2).

        (loss * scale.factor).backward()
        scale.step(optimiser)

    Where a gradient is not finite, the step is left out and the factor halved; after ``patience`` steps in a row that
    were not, it is doubled. patience: None leaves the factor as it is and does not look.
    """

    def __init__(self, factor: float = 2.0**16, patience: int | None = 2000):
        self.factor, self.patience, self.waited = factor, patience, 0

    def step(self, optimiser: Any) -> bool:
        """optimiser.step(), or nothing; returns which. optimiser: an SGD, or a ``Replay`` of its steps.

        Raises OverflowError where no factor of at least 1 helps.
        """
        if self.patience is not None:
            if not math.isfinite(optimiser.gradient_norm()):
                self.factor, self.waited = self.factor / 2, 0
                if self.factor < 1:
                    raise OverflowError("LossScale: the gradients are not finite though the loss is not scaled up any "
                                        f"more; the learning rate is {optimiser.lr:g}: try a tenth of it, or single "
                                        "precision")
                return False
            self.waited += 1
        optimiser.step(self.factor)
        if self.waited == self.patience:
            self.factor, self.waited = self.factor * 2, 0
        return True

    def state(self) -> dict[str, Any]:
        """Plain numbers, from which ``vars(scale).update(state)`` goes on."""
        return {"factor": self.factor, "waited": self.waited}


class StepSchedule:
    """The rate is multiplied by ``factor`` at the start of each epoch listed in ``drops``, counted from 0."""

    def __init__(self, lr: float, drops: Iterable[int] = (), factor: float = 0.1):
        self.lr, self.drops, self.factor, self.epoch = lr, tuple(drops), factor, 0

    def epoch_ended(self, error: float) -> None:
        """Say that an epoch ended, with what error on the validation set."""
        self.epoch += 1
        if self.epoch in self.drops:
            self.lr *= self.factor

    def state(self) -> dict[str, Any]:
        """Plain numbers, from which ``vars(schedule).update(state)`` goes on."""
        return {"lr": self.lr, "epoch": self.epoch}


class PlateauSchedule:
    """The rate is multiplied by ``factor`` when the validation error has not improved for ``patience`` epochs, at most
    ``times`` times (Krizhevsky et al. 2012, §5: ÷ 10, three times)."""

    def __init__(self, lr: float, patience: int = 3, factor: float = 0.1, times: int = 3):
        self.lr, self.patience, self.factor, self.times = lr, patience, factor, times
        self.best, self.waited, self.dropped = math.inf, 0, 0

    def epoch_ended(self, error: float) -> None:
        """Say that an epoch ended, with what error on the validation set."""
        self.best, self.waited = (error, 0) if error < self.best else (self.best, self.waited + 1)
        if self.waited >= self.patience and self.dropped < self.times:
            self.lr, self.waited, self.dropped = self.lr * self.factor, 0, self.dropped + 1

    def state(self) -> dict[str, Any]:
        """Plain numbers, from which ``vars(schedule).update(state)`` goes on."""
        return {name: getattr(self, name) for name in ("lr", "best", "waited", "dropped")}
