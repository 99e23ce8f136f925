"""What belongs to one example, used for all: its mask, its winners, its Jacobian; and what is 0 that should not be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..thresholds import LONG
from .chain import Chain
from .found import Aim, Found

__all__ = ["first_for_all", "nonzero"]


def first_for_all(chain: Chain, gy: np.ndarray, aim: Aim) -> Iterator[Found]:
    """Each example has its own slope, or its own places, and all of them get those of the first, or of the last."""
    for axis in range(min(gy.ndim, aim.right.ndim)):
        n = gy.shape[axis]
        if n < 2 or aim.right.shape[axis] != n or n * sum(value.size for value in chain.values) > LONG:
            continue
        for place, which in ((0, "first"), (n - 1, "last")):
            guess = np.stack([back(chain, gy, aim, axis, j, place)[place] for j in range(n)], axis)
            if aim.gave(guess) and apart(chain, gy, aim, axis):
                yield Found("one example only", f"what belongs to the {which} of the {n} along axis {axis} is used "
                            "for all of them: its mask, its places or its slope, where each has its own",
                            1.6)  # fmt: skip


def back(chain: Chain, gy: np.ndarray, aim: Aim, axis: int, j: int, place: int) -> np.ndarray:
    """The gradient, an axis of it in front, if gy of example j were that of the one at ``place`` and all others 0."""
    part = np.zeros_like(gy)
    part.swapaxes(0, axis)[place] = gy.swapaxes(0, axis)[j]
    return np.moveaxis(np.asarray(chain.gradients(part).get(aim.leaf, 0 * aim.right)), axis, 0)


def apart(chain: Chain, gy: np.ndarray, aim: Aim, axis: int) -> bool:
    """Whether each example of the output is made of its own in the input alone."""
    n = gy.shape[axis]
    own = np.stack([back(chain, gy, aim, axis, j, j)[j] for j in range(n)], axis)
    return aim.is_right(own)


def nonzero(chain: Chain, aim: Aim) -> Iterator[Found]:
    """Right wherever there is a gradient, and not 0 where there is none."""
    none = np.abs(aim.right) <= aim.level
    off = np.abs(aim.gradient - aim.right) > aim.level
    if 1 < none.sum() < none.size - 1 and (none == off).all():
        aim.gave_where(~off, np.array([0.0]))
        yield Found("mask forgotten", f"right wherever a gradient belongs, but {none.sum()} of {none.size} elements "
                    "that should get 0 got something: a mask is missing, or a choice", 1.7)  # fmt: skip
