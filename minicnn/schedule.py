"""Schedules of the learning rate: what it is in each epoch, and how it rises to that at first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .engine.settings import real, several, whole

__all__ = ["SCHEDULES", "CosineSchedule", "PlateauSchedule", "PolySchedule", "Schedule", "StepSchedule", "WarmUp"]


class Schedule(Protocol):
    """What a trainer asks of a schedule. lr: the rate of the epoch that comes. reason: why it is another now."""

    lr: float

    @property
    def reason(self) -> str: ...
    def epoch_ended(self, error: float) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def load_state(self, state: Mapping[str, Any]) -> None: ...


class _Planned:
    """A rate that is known beforehand: lr = start · share, where the share depends on how many epochs are done."""

    def __init__(self, lr: float):
        self.epoch = 0
        self.lr = lr

    @property
    def share(self) -> float:
        """The rate of the epoch that comes, as a share of the first."""
        raise NotImplementedError

    @property
    def lr(self) -> float:
        """The rate of the epoch that comes. Where another is set, those after it follow from that one.

        Raises ValueError and TypeError where it is no number ≥ 0, and ValueError where it must be 0.
        """
        return self.start * self.share

    @lr.setter
    def lr(self, rate: float) -> None:
        name = type(self).__name__
        rate = real(name, "lr", rate, least=0)
        if not self.share:
            raise ValueError(f"{name}: lr is {rate:g}: after {self.epoch} epochs it must be 0: plan more epochs")
        self.start = rate / self.share

    @property
    def reason(self) -> str:
        """Why the rate is another, when it is."""
        return f"as planned for epoch {self.epoch + 1}"

    def epoch_ended(self, error: float) -> None:
        """Say that an epoch ended, with what error on the validation set."""
        _number(type(self).__name__, error)
        self.epoch += 1

    def state(self) -> dict[str, Any]:
        """Plain numbers, from which ``load_state`` goes on."""
        return {"lr": self.lr, "start": self.start, "epoch": self.epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` gave. Raises LookupError where that is of another schedule."""
        lr, self.epoch = state["lr"], state["epoch"]
        if "start" in state:
            self.start = state["start"]
        else:  # of an older version
            self.lr = lr


class StepSchedule(_Planned):
    """lr = start · factor^(how many of ``drops`` are done): the rate is multiplied by ``factor`` at the start of each
    epoch listed there, counted from 0, as by PyTorch's MultiStepLR(milestones=drops, gamma=factor)."""

    def __init__(self, lr: float, drops: Iterable[int] = (), factor: float = 0.1):
        given = several(drops)
        if given is None:
            raise TypeError(f"StepSchedule: drops is {drops!r:.60}: give a list of epochs, as (20, 40)")
        self.drops = tuple(whole("StepSchedule", "drops", drop, least=1) for drop in given)  # epoch 0 begins with lr
        self.factor = real("StepSchedule", "factor", factor, above=0)
        super().__init__(lr)

    @property
    def share(self) -> float:
        """The rate of the epoch that comes, as a share of the first."""
        return self.factor ** sum(drop <= self.epoch for drop in set(self.drops))


class _ToZero(_Planned):
    """Down to 0 after so many ``epochs``, where it stays."""

    curve: str

    def __init__(self, lr: float, epochs: int):
        self.epochs = whole(type(self).__name__, "epochs", epochs, least=1)
        super().__init__(lr)

    @property
    def done(self) -> float:
        """The share of the epochs that are done."""
        return min(self.epoch / self.epochs, 1)

    @property
    def reason(self) -> str:
        """Why the rate is another, when it is."""
        return f"along a {self.curve} to 0 after {self.epochs} epochs"


class CosineSchedule(_ToZero):
    """lr = start · (1 + cos(π · epochs done / epochs)) / 2: down to 0 after so many ``epochs``, where it stays
    (Loshchilov & Hutter 2017, "SGDR", eq. 5, one period; PyTorch's CosineAnnealingLR(T_max=epochs))."""

    curve = "cosine"

    @property
    def share(self) -> float:
        """The rate of the epoch that comes, as a share of the first."""
        return (1 + math.cos(math.pi * self.done)) / 2


class PolySchedule(_ToZero):
    """lr = start · (1 − epochs done / epochs)²: down to 0 after so many ``epochs``, where it stays (Caffe's lr_policy
    "poly" with power 2, there step by step; PyTorch's PolynomialLR(total_iters=epochs, power=2))."""

    curve = "parabola"

    @property
    def share(self) -> float:
        """The rate of the epoch that comes, as a share of the first."""
        return (1 - self.done) ** 2


class PlateauSchedule:
    """The rate is multiplied by ``factor`` when the validation error has not improved for more than ``patience``
    epochs, at most ``times`` times (Krizhevsky et al. 2012, §5: ÷ 10, three times), as by PyTorch's ReduceLROnPlateau
    with threshold=0."""

    def __init__(self, lr: float, patience: int = 2, factor: float = 0.1, times: int = 3):
        name = "PlateauSchedule"
        self.lr, self.factor = real(name, "lr", lr, least=0), real(name, "factor", factor, above=0)
        self.patience, self.times = whole(name, "patience", patience, least=0), whole(name, "times", times, least=0)
        self.best, self.waited, self.dropped = math.inf, 0, 0

    @property
    def reason(self) -> str:
        """Why the rate has dropped, when it has."""
        return f"since the validation error has not improved for {self.patience + 1} epochs"

    def epoch_ended(self, error: float) -> None:
        """Say that an epoch ended, with what error on the validation set. One that is not finite is no improvement."""
        error = _number("PlateauSchedule", error)
        better = math.isfinite(error) and error < self.best
        self.best, self.waited = (error, 0) if better else (self.best, self.waited + 1)
        if self.waited > self.patience and self.dropped < self.times:
            self.lr, self.waited, self.dropped = self.lr * self.factor, 0, self.dropped + 1

    def state(self) -> dict[str, Any]:
        """Plain numbers, from which ``load_state`` goes on."""
        best = {"best": self.best} if math.isfinite(self.best) else {}  # JSON has no ∞
        return {"lr": self.lr, "waited": self.waited, "dropped": self.dropped} | best

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` gave. Raises LookupError where that is of another schedule."""
        self.lr, self.waited, self.dropped = state["lr"], state["waited"], state["dropped"]
        self.best = state.get("best", math.inf)


@dataclass(frozen=True)
class WarmUp:
    """In each step of the first ``epochs`` the rate is the schedule's · (start + (1 − start) · t / epochs), where t
    epochs, and a fraction of one, are done when the step is: gradual warm-up (Goyal et al. 2017, "Accurate, large
    minibatch SGD", §2.2). They have 5 epochs, and start = 1 / k where the linear rule, §2.1, made the rate k times as
    high. As in LARS's algorithm 1, the velocity is not corrected for the rate that rises inside of it (their §3).

    epochs: any number ≥ 0, 0.5 is half an epoch. start: from 0 to 1. Raises TypeError and ValueError for others.
    """

    epochs: float = 0.0
    start: float = 0.0

    def __post_init__(self) -> None:
        real("WarmUp", "epochs", self.epochs, least=0)
        real("WarmUp", "start", self.start, least=0, most=1)

    def share(self, done: float) -> float:
        """The rate of the step after which so many epochs are done, as a share of the schedule's."""
        return self.start + (1 - self.start) * done / self.epochs if done < self.epochs else 1.0


def _number(name: str, error: Any) -> float:
    """The error as a number, NaN and infinity too."""
    try:
        if isinstance(error, (str, bytes)):
            raise TypeError
        return float(error)
    except TypeError:
        raise TypeError(f"{name}: the error is {error!r:.60}: give a number, NaN where there is none") from None


def thirds(epochs: int) -> list[int]:
    """The epochs after the first and the second third of so many, as 30 and 60 of 90."""
    return sorted({epochs // 3, 2 * epochs // 3} - {0})


SCHEDULES: dict[str, Callable[[float, int], Schedule]] = {  # by name: of the first rate, and of the epochs in all
    "plateau": lambda lr, epochs: PlateauSchedule(lr),
    "step": lambda lr, epochs: StepSchedule(lr, thirds(epochs)),
    "cosine": CosineSchedule,
    "poly": PolySchedule,
    "constant": lambda lr, epochs: StepSchedule(lr),
}
