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
        self.level = ALIKE * (self.scale + size + size.max(initial=0))  # of what is right: that may be far less
        self.level_given = self.level + ALIKE * np.abs(self.gradient)  # than what backward gave

    def same(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Whether two gradients made of what backward gave are the same, but for rounding."""
        return np.shape(a) == np.shape(b) and bool((np.abs(a - b) <= self.level_given).all())

    def gave(self, guess: np.ndarray) -> bool:
        """Whether it is what backward gave."""
        return self.same(guess, self.gradient)

    def is_right(self, guess: np.ndarray) -> bool:
        return self.is_near(guess, self.right)

    def is_near(self, a: np.ndarray, b: np.ndarray, c: float = 1.0) -> bool:
        """Whether two are the same to the rounding of what is right, or of c times that."""
        return np.shape(a) == np.shape(b) and bool((np.abs(a - b) <= self.level * max(1.0, abs(c))).all())

    def nothing(self, part: np.ndarray) -> bool:
        """Whether it is 0, but for rounding."""
        return bool((np.abs(part) <= NO_FACTOR_SEEN * self.level).all())

    def times(self, part: np.ndarray, whole: np.ndarray) -> float | None:
        """c, where c · part is the whole, and 0, 1 or −1 where it is that nearly."""
        square = float((part * part).sum())
        c = float((part * whole).sum()) / square if square else 0.0
        for easy in (0.0, 1.0, -1.0):
            if abs(c - easy) < 1e-4 and self.is_near(easy * part, whole):
                return easy
        tells = (np.abs(part) > NO_FACTOR_SEEN * self.level).sum() > 1
        return c if tells and self.is_near(c * part, whole, c) else None
