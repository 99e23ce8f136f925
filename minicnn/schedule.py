"""Schedules of the learning rate: what it is in each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .engine.settings import real, several, whole

__all__ = ["PlateauSchedule", "StepSchedule"]


class StepSchedule:
    """The rate is multiplied by ``factor`` at the start of each epoch listed in ``drops``, counted from 0."""

    def __init__(self, lr: float, drops: Iterable[int] = (), factor: float = 0.1):
        given = several(drops)
        if given is None:
            raise TypeError(f"StepSchedule: drops is {drops!r:.60}: give a list of epochs, as (20, 40)")
        self.lr, self.factor = real("StepSchedule", "lr", lr, least=0), real("StepSchedule", "factor", factor, above=0)
        self.drops = tuple(whole("StepSchedule", "drops", drop, least=1) for drop in given)  # epoch 0 begins with lr
        self.epoch = 0

    @property
    def reason(self) -> str:
        """Why the rate has dropped, when it has."""
        return f"as planned for epoch {self.epoch + 1}"

    def epoch_ended(self, error: float) -> None:
        """Say that an epoch ended, with what error on the validation set."""
        _number("StepSchedule", error)
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
        name = "PlateauSchedule"
        self.lr, self.factor = real(name, "lr", lr, least=0), real(name, "factor", factor, above=0)
        self.patience, self.times = whole(name, "patience", patience, least=1), whole(name, "times", times, least=0)
        self.best, self.waited, self.dropped = math.inf, 0, 0

    @property
    def reason(self) -> str:
        """Why the rate has dropped, when it has."""
        return f"since the validation error has not improved for {self.patience} epochs"

    def epoch_ended(self, error: float) -> None:
        """Say that an epoch ended, with what error on the validation set. One that is not finite is no improvement."""
        error = _number("PlateauSchedule", error)
        better = math.isfinite(error) and error < self.best
        self.best, self.waited = (error, 0) if better else (self.best, self.waited + 1)
        if self.waited >= self.patience and self.dropped < self.times:
            self.lr, self.waited, self.dropped = self.lr * self.factor, 0, self.dropped + 1

    def state(self) -> dict[str, Any]:
        """Plain numbers, from which ``vars(schedule).update(state)`` goes on."""
        best = {"best": self.best} if math.isfinite(self.best) else {}  # JSON has no ∞
        return {"lr": self.lr, "waited": self.waited, "dropped": self.dropped} | best


def _number(name: str, error: Any) -> float:
    """The error as a number, NaN and infinity too."""
    try:
        if isinstance(error, (str, bytes)):
            raise TypeError
        return float(error)
    except TypeError:
        raise TypeError(f"{name}: the error is {error!r:.60}: give a number, NaN where there is none") from None
