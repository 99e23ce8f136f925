"""What is looked for, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..thresholds import ALIKE, NO_FACTOR_SEEN
from ..verdict import explained

__all__ = ["Aim", "Found"]


@dataclass(frozen=True)
class Found:
    """name, text, explains: as of a verdict. cost: how far it is from what stands there: of several the least is said.
    """

    name: str
    text: str
    cost: float
    explains: tuple[int, int, int] | None = None


@dataclass
class Aim:
    """leaf: the number of the input. gradient: what backward gave for it; right: what it should be. scale: of each
    element the sum of |what is added up|. apart: of each element, what was last found to be the same, how far from each
    other."""

    leaf: int
    gradient: np.ndarray
    right: np.ndarray
    scale: np.ndarray

    def __post_init__(self) -> None:
        size = np.abs(self.right)
        self.level = ALIKE * (self.scale + size + size.max(initial=0))  # of what is right: that may be far less
        self.level_given = self.level + ALIKE * np.abs(self.gradient)  # than what backward gave
        self.units = np.where(self.scale + size > 0, self.scale + size, size.max(initial=0) or 1.0)
        self.apart = np.zeros(size.shape)

    def near(self, a: np.ndarray, b: np.ndarray, level: np.ndarray, unit: float = 1.0) -> bool:
        """Whether two gradients differ by no more than a level."""
        if np.shape(a) != np.shape(b):
            return False
        off = np.abs(a - b)
        if not (off <= level).all():
            return False
        self.apart = off / (self.units * unit)
        return True

    def counted(self, found: Iterable[Found]) -> Iterator[Found]:
        """What is found, with how many elements that explains."""
        for f in found:
            yield replace(f, explains=explained(self.apart))

    def same(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Whether two gradients made of what backward gave are the same, but for rounding."""
        return self.near(a, b, self.level_given)

    def gave(self, guess: np.ndarray) -> bool:
        """Whether it is what backward gave."""
        return self.same(guess, self.gradient)

    def gave_where(self, some: np.ndarray, ratio: np.ndarray) -> None:
        """Some elements are right. Of the others nothing is said, or if their ratios are one number, that."""
        c = ratio[0] if np.ptp(ratio) <= 1e-5 * np.abs(ratio).max(initial=1) else np.nan
        off = np.abs(self.gradient - np.where(some, self.right, c * self.right)) / self.units
        self.apart = np.nan_to_num(off, nan=np.inf)

    def is_right(self, guess: np.ndarray) -> bool:
        return self.is_near(guess, self.right)

    def is_near(self, a: np.ndarray, b: np.ndarray, c: float = 1.0) -> bool:
        """Whether two are the same to the rounding of what is right, or of c times that."""
        return self.near(a, b, self.level * max(1.0, abs(c)), max(1.0, abs(c)))

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
