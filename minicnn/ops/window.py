"""Windows that move over an image: how large, how far apart, how much lies around the image, and how many there are."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

from ..engine.settings import several, shown, whole

__all__ = ["Padding", "Pair", "Windows", "pair", "sides"]

Pair = int | tuple[int, int]
"""One number for both, or (height, width)."""

Padding = Pair | tuple[tuple[int, int], tuple[int, int]]
"""Rows and columns on every side, (above and below, left and right), or ((above, below), (left, right))."""


class Windows(NamedTuple):
    """P × Q windows of R × S pixels, ``down`` and ``right`` apart, over an image with so many rows and columns around
    it: ((above, below), (left, right))."""

    R: int
    S: int
    down: int
    right: int
    around: tuple[tuple[int, int], tuple[int, int]]
    P: int
    Q: int

    @property
    def steps(self) -> tuple[int, int, int, int]:
        """(down, right, rows above, columns left), as kernels take them."""
        return self.down, self.right, self.around[0][0], self.around[1][0]

    @classmethod
    def on(cls, op: str, image: tuple[int, ...], size: Any, stride: Any, padding: Any) -> Windows:
        """The windows on an image (H, W): P = ⌊(H + above + below − R) / down⌋ + 1, and Q likewise.

        Raises TypeError where a setting is no whole number, and ValueError where a window does not fit or there is more
        padding than image and window.
        """
        (R, S), (down, right) = pair(op, "size", size, 1), pair(op, "stride", stride, 1)
        around = sides(op, padding)
        for pixels, window, border in zip(image, (R, S), around, strict=True):
            if max(border) > pixels + window:
                raise ValueError(f"{op}: padding is {shown(padding)}: it is more than image and window, {pixels} and "
                                 f"{window} pixels: give less")
            if pixels + sum(border) < window:
                raise ValueError(f"{op}: a window of {window} does not fit into {pixels} pixels with {sum(border)} of "
                                 "padding")
        H, W = (pixels + sum(border) for pixels, border in zip(image, around, strict=True))
        return cls(R, S, min(down, H), min(right, W), around, (H - R) // down + 1, (W - S) // right + 1)


def pair(op: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """``value`` for height and width: one whole number for both, or two."""
    two = several(value)
    if two is None:
        return (whole(op, name, value, least),) * 2
    if len(two) != 2:
        raise ValueError(f"{op}: {name} is {shown(value)}: give one number, or two for height and width")
    height, width = (whole(op, name, one, least) for one in two)
    return height, width


def own(value: Any) -> Any:
    """A setting of windows as plain numbers and tuples, no longer the caller's to change."""
    two = several(value)
    return operator.index(value) if two is None else tuple(map(own, two))


def sides(op: str, padding: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """((above, below), (left, right)) from any form of ``Padding``."""
    two = several(padding)
    if two is None or len(two) != 2 or all(several(one) is None for one in two):
        height, width = pair(op, "padding", padding, 0)
        return (height, height), (width, width)
    (above, below), (left, right) = (pair(op, "padding", one, 0) for one in two)
    return (above, below), (left, right)
