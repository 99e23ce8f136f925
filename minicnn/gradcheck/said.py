"""What backward says of each input, with what it rounds that by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import judge, say
from .evidence import Floats
from .rounding import Line
from .subject import Gradients, Input, Subject, WrongShape
from .thresholds import CERTAIN

__all__ = ["Said", "Settings", "call_again", "said_of"]


@dataclass(frozen=True)
class Settings:
    """thorough: look at the elements of what is right, too. search: for the slip in what is wrong. The others as
    gradcheck() has them."""

    step: float
    tolerance: float
    elements: int
    thorough: bool
    search: bool


@dataclass(frozen=True)
class Said:
    """What backward says of one input: g, what it rounds that by, and whether it said nothing, which counts as 0."""

    x: Input
    g: Floats
    own: Floats
    nothing: bool

    @cached_property
    def size(self) -> float:
        """‖g‖, for a change of x by its own size."""
        return float(np.linalg.norm(self.g)) * self.x.size

    @property
    def rounding(self) -> float:
        """What backward rounds ``size`` by."""
        return CERTAIN * float(np.linalg.norm(self.own)) * self.x.size


def said_of(subject: Subject, u: Floats, gradients: Gradients, near: Line) -> list[Said]:
    """near: the way to places so near that what is said there differs by rounding alone, but for its slope."""
    for x, g in zip(subject.inputs, gradients, strict=True):
        if g is not None and g.shape != x.start.shape:
            raise WrongShape(x.name, x.start.shape, g)
    with subject.moved(near):
        thrice = subject.gradients(3 * u)  # is rounded otherwise, too
    with subject.moved([(x, -way) for x, way in near]):
        once = subject.gradients(u)
    found = []
    for x, g, above, below in zip(subject.inputs, gradients, thrice, once, strict=True):
        here = np.zeros(x.start.shape) if g is None else g.astype(np.float64)
        found.append(Said(x, here, judge.own_rounding(here, above, below), g is None))
    return found


def call_again(subject: Subject, title: str, y: Floats, times: int = 1) -> None:
    for _ in range(times):
        again = subject.value()
        if not judge.same(y, again):
            raise say.not_same(title, y, again)
