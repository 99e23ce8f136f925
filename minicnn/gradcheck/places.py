"""Where a wrong gradient is wrong: at a border, at that of a group, where windows overlap, where it is 0."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from .evidence import Evidence
from .thresholds import BORDER, BORDER_DEPTH, BORDER_SIZE, CLOSE, OVERLAP, SENDS
from .verdict import Verdict

__all__ = ["border", "group", "overlap", "zero"]


def zero(e: Evidence) -> Iterator[Verdict]:
    small = np.abs(e.analytic) <= CLOSE * e.scale
    swapped = small | (np.abs(e.numeric) <= CLOSE * np.abs(e.analytic))
    if small[e.wrong].all():
        yield Verdict("zero where it should not be", f"{e.wrong.sum()} of {e.wrong.size} elements got 0: a mask, an "
                                                     "index or a slice leaves them out, or the gradient was cut off")
    elif swapped[e.wrong].all() and small[e.wrong].any():
        yield Verdict("wrong mask", "zeros and other numbers have changed places: forward and backward do not use the "
                                    "same mask, or the same places")


def group(e: Evidence) -> Iterator[Verdict]:
    images = [shape for shape in e.shapes if len(shape) == 4]
    groups = next((a[1] // b[1] for a, b in pairwise(images) if 0 < b[1] < a[1] and a[1] % b[1] == 0), 0)
    axis = 1 if e.shapes[0] == e.x.shape and e.x.ndim == 4 else 0  # channels of the image, or kernels
    if groups < 2 or not e.x.ndim or e.x.shape[axis] % groups or e.x.shape[axis] == groups:  # a border everywhere
        return
    each = e.x.shape[axis] // groups
    bad = np.bincount(e.places[:, axis], e.wrong, e.x.shape[axis]) > 0
    turns = np.flatnonzero(np.diff(bad)) + 1  # where right turns wrong or wrong right
    if e.wrong[bad[e.places[:, axis]]].mean() < OVERLAP:  # one element in a channel is no slice
        return
    if len(turns) and all(min(turn % each, -turn % each) <= 1 for turn in turns):
        yield Verdict("group boundary", f"right in channels {np.flatnonzero(~bad).tolist()}, wrong in channels "
                                        f"{np.flatnonzero(bad).tolist()}: it turns at the border between two of "
                                        f"{groups} groups of {each}: look at where a group's slice begins and ends")


def border(e: Evidence) -> Iterator[Verdict]:
    if e.x.ndim < 3:
        return
    size = np.array(e.x.shape[-2:])
    margin = np.minimum(e.places[:, -2:], size - 1 - e.places[:, -2:])
    depth = np.where(size > 2, margin, size.max()).min(1)  # 0 for the outermost rows and columns
    deepest = depth[e.wrong].max()
    passes = (e.analytic != 0) | (e.numeric != 0)  # a gradient, right or wrong
    inside, within = passes & (depth > deepest), passes & (depth <= deepest)
    narrow = deepest < size.max() / BORDER_DEPTH and size.min() > BORDER_SIZE
    if inside.any() and e.wrong[within].mean() > BORDER and narrow:
        yield Verdict("padded border", f"right inside, wrong only in the {'outermost' if not deepest else deepest + 1} "
                                       "rows or columns of the last two axes: look at how padding is counted")


def overlap(e: Evidence) -> Iterator[Verdict]:
    sent = e.by_place()
    if sent is None or e.x.ndim < 2:
        return
    windows = (np.abs(sent) > SENDS * e.scale).sum(0)
    alone = (windows == 1) & ~e.wrong
    if alone.any() and (windows[e.wrong] > 1).all() and e.wrong[windows > 1].mean() > OVERLAP:
        yield Verdict("overlapping windows", "right where one place of the output depends on an element, wrong where "
                                             "several do: what windows that overlap send must be added up")
