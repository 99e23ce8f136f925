"""What is looked for, and what was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..thresholds import ALIKE, NO_FACTOR_SEEN

__all__ = ["Aim", "Found"]


@dataclass(frozen=True)
class Found:
    """name, text: as of a verdict. cost: how far it is from what stands there: of several the least is said."""

    name: str
    text: str
    cost: float


@dataclass
class Aim:
    """leaf: the number of the input. gradient: what backward gave for it; right: what it should be. scale: of each
    element the sum of |what is added up|."""

    leaf: int
    gradient: np.ndarray
    right: np.ndarray
    scale: np.ndarray

    def __post_init__(self) -> None:
        size = np.abs(self.right)
        self.level = ALIKE * (self.scale + size + np.abs(self.gradient) + size.max(initial=0))

    def same(self, a: np.ndarray, b: np.ndarray) -> bool:
        """But for rounding."""
        return np.shape(a) == np.shape(b) and bool((np.abs(a - b) <= self.level).all())

    def gave(self, guess: np.ndarray) -> bool:
        """Whether it is what backward gave."""
        return self.same(guess, self.gradient)

    def is_right(self, guess: np.ndarray) -> bool:
        return self.same(guess, self.right)

    def nothing(self, part: np.ndarray) -> bool:
        """Whether it is 0, but for rounding."""
        return bool((np.abs(part) <= NO_FACTOR_SEEN * self.level).all())

    def times(self, part: np.ndarray, whole: np.ndarray) -> float | None:
        """c, where c · part is the whole, and 0, 1 or −1 where it is that nearly."""
        square = float((part * part).sum())
        c = float((part * whole).sum()) / square if square else 0.0
        for easy in (0.0, 1.0, -1.0):
            if abs(c - easy) < 1e-4 and self.same(easy * part, whole):
                return easy
        return c if self.same(c * part, whole) and (np.abs(part) > NO_FACTOR_SEEN * self.level).sum() > 1 else None
