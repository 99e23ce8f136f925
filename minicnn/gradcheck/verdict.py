"""What mistake a wrong gradient looks like.

A verdict is a hypothesis that fits: each function below is one mistake that people make, says what backward would then
have given, and is heard only where that is what backward did give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

__all__ = ["Evidence", "Verdict", "read"]

KEPT = 1 << 24  # numbers of ∂y/∂x to keep
CLOSE = 1e-4  # how near, in units of what is added up, two gradients must be to be called the same


@dataclass(frozen=True)
class Verdict:
    """name: the mistake. text: what was seen, and where to look."""

    name: str
    text: str


class Evidence:
    """All that was measured about one input x, of which k elements were looked at.

    flat, places: where they are, as (k,) numbers and as (k, axes of x). analytic, numeric: (k,), ∂L/∂x by backward and
    by differences. scale: (k,), the sum of |what is added up| to make it. wrong: (k,).
    sent: (size of y, k), u · ∂y/∂x, what each output sends back to each element; None if that is too much to keep.
    uses: for each use of x by an op, (k,), what came back from it. shapes: of all inputs.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, u: np.ndarray, flat: np.ndarray, analytic: np.ndarray, floor: float,
                 shapes: Sequence[tuple[int, ...]]):
        self.x, self.y, self.u, self.flat, self.analytic, self.floor, self.shapes = x, y, u, flat, analytic, floor, shapes
        k = len(flat)
        self.places = np.stack(np.unravel_index(flat, x.shape), 1) if x.ndim else np.zeros((k, 0), int)
        self.numeric, self.sums, self.wrong = np.zeros(k), np.zeros(k), np.zeros(k, bool)
        self.sent = np.zeros((y.size, k)) if y.size * k <= KEPT else None
        self.uses: list[np.ndarray] = []

    def measured(self, j: int, sent: np.ndarray) -> None:
        self.numeric[j], self.sums[j] = sent.sum(), np.abs(sent).sum()
        if self.sent is not None:
            self.sent[:, j] = sent

    @property
    def scale(self) -> np.ndarray:
        said = np.where(np.isfinite(self.analytic), np.abs(self.analytic), 0)
        return np.maximum(self.sums, said) + self.floor

    @property
    def error(self) -> np.ndarray:
        """Relative, by element."""
        with np.errstate(invalid="ignore"):
            off = np.abs(self.analytic - self.numeric) / np.where(self.scale > 0, self.scale, 1)
        return np.where(np.isfinite(off), off, np.inf)

    def place(self, j: int) -> tuple[int, ...]:
        return tuple(self.places[j].tolist())

    @property
    def complete(self) -> bool:
        return len(self.flat) == self.x.size

    def gives(self, guess: np.ndarray, where: Any = slice(None)) -> bool:
        """Whether that is what backward gave."""
        near = np.abs(guess - self.analytic) <= CLOSE * (self.scale + np.abs(guess))
        return bool(near[where].all())

    def by_place(self) -> np.ndarray | None:
        """``sent``, with the channels of one place of an image taken together: (places of y, k)."""
        if self.sent is None or self.y.ndim != 4:
            return self.sent
        N, K, P, Q = self.y.shape
        return self.sent.reshape(N, K, P * Q, -1).sum(1).reshape(N * P * Q, -1)


Reader = Callable[[Evidence], Iterator[Verdict]]


def read(e: Evidence) -> list[Verdict]:
    """All verdicts that fit, the most telling first."""
    if not np.isfinite(e.analytic).all():
        return list(not_finite(e))
    found = [verdict for reader in READERS for verdict in reader(e)]
    names = [v.name for v in found]
    return [v for i, v in enumerate(found) if v.name not in names[:i]]


# -- of all elements ---------------------------------------------------------------------------------------------------


def not_finite(e: Evidence) -> Iterator[Verdict]:
    bad = ~np.isfinite(e.analytic)
    yield Verdict("not finite", f"{bad.sum()} of {bad.size} elements are not finite numbers: look for a division by 0, a "
                                "logarithm or a power of 0, an overflow")


def factor(e: Evidence) -> Iterator[Verdict]:
    if not (c := proportion(e, e.analytic, e.numeric)):
        return
    if abs(c + 1) < CLOSE:
        yield Verdict("wrong sign", "every element is −1 times what it should be: a minus is missing, or one too many")
    else:
        half = " Or of two equal terms one was lost." if abs(c - 0.5) < CLOSE else ""
        yield Verdict("constant factor", f"every element is {c:.6g} times what it should be.{origin(c, e)}{half}")


def proportion(e: Evidence, part: np.ndarray, whole: np.ndarray) -> float:
    """c, where part = c · whole all over; else 0."""
    known = np.abs(whole) > 1e-6 * e.scale
    if known.sum() < min(2, len(whole)) or not known.any():
        return 0.0
    c = float(part[known] @ whole[known] / (whole[known] @ whole[known]))
    same = np.abs(part - c * whole) <= CLOSE * min(1, abs(c)) * e.scale
    return c if abs(c) > 1e-8 and same.all() else 0.0


def origin(c: float, e: Evidence) -> str:
    """Which sizes of the arrays explain the factor c."""
    sizes: dict[str, float] = {}
    for i, shape in enumerate(e.shapes):
        sizes |= {f"axis {a} of input {i}": n for a, n in enumerate(shape)}
        if len(shape) == 4:
            sizes |= {f"the window of input {i}": shape[2] * shape[3],
                      f"all that one kernel of input {i} sees": np.prod(shape[1:])}
    sizes |= {f"axis {a} of the output": n for a, n in enumerate(e.y.shape)}
    sizes |= {"all outputs": e.y.size, "outputs for each element": e.y.size / e.x.size,
              "elements for each output": e.x.size / max(1, e.y.size)}
    for a, b in combinations(range(e.y.ndim), 2):
        sizes[f"axes {a} and {b} of the output"] = e.y.shape[a] * e.y.shape[b]
    size = abs(c) if abs(c) > 1 else 1 / abs(c)
    names = [name for name, n in sizes.items() if n != 1 and abs(n - size) < CLOSE * size]
    text = f" That is {'−' if c < 0 else ''}{'' if abs(c) > 1 else '1 / '}{round(size)}" if abs(
        size - round(size)) < CLOSE * size else ""  # fmt: skip
    mean = ", as a mean where the sum belongs, or the other way round" if names else ""
    return text and f"{text}{''.join(f', {n}' for n in names[:3])}{mean}."


def transposed(e: Evidence) -> Iterator[Verdict]:
    if not e.complete or e.x.ndim < 2:
        return
    right = e.numeric.reshape(e.x.shape)
    for a, b in combinations(range(e.x.ndim), 2):
        if 1 < e.x.shape[a] == e.x.shape[b] and e.gives(right.swapaxes(a, b).ravel()):
            yield Verdict("transposed", f"it is the right gradient with axes {a} and {b} exchanged: a transposition is "
                                        "missing, or one too many")
    for axes in ((-1,), (-2,), (-2, -1)):
        if all(e.x.shape[a] > 1 for a in axes) and e.gives(np.flip(right, axes).ravel()):
            yield Verdict("transposed", f"it is the right gradient turned round along axes {axes}, as when a kernel is "
                                        "reflected, or is not")


# -- of what was lost --------------------------------------------------------------------------------------------------


def accumulation(e: Evidence) -> Iterator[Verdict]:
    """= where += belongs."""
    w = e.wrong
    if len(e.uses) > 1:
        for i, use in enumerate(e.uses):
            if e.gives(use) or e.gives(e.numeric - use):
                yield Verdict("= for +=", f"the input is used {len(e.uses)} times, and its gradient is that of use {i} "
                                          "alone, or of all others: gradients of all uses must be added up")
                return
    for sent, what in ((e.by_place(), "places"), (e.sent, "outputs")):
        if sent is None or not w.any():
            continue
        one = np.abs(sent - e.analytic) <= CLOSE * e.scale
        several = (np.abs(sent) > 1e-9 * e.scale).sum(0) > 1
        if several[w].all() and one.any(0)[w].all() and not e.gives(np.zeros_like(e.numeric), w):
            yield Verdict("= for +=", f"several {what} of the output send a gradient to each of the wrong elements, and "
                                      "it got that of one of them alone: += belongs where = stands")
            return


def broadcast(e: Evidence) -> Iterator[Verdict]:
    """Of the outputs along an axis which x lacks, only one counts."""
    if e.sent is None or e.y.ndim < e.x.ndim:
        return
    wide = (1,) * (e.y.ndim - e.x.ndim) + e.x.shape
    sent = e.sent.reshape(*e.y.shape, -1)
    for axis, (n, m) in enumerate(zip(wide, e.y.shape, strict=True)):
        rest = tuple(a for a in range(e.y.ndim) if a != axis)
        if n == 1 < m and any(e.gives(part) for part in sent.sum(rest)):
            yield Verdict("broadcast axis not summed", f"the input was broadcast along axis {axis} of the output, and "
                                                       "the gradient of one place there was taken for the sum of all")
            return


def term(e: Evidence) -> Iterator[Verdict]:
    """One term of a sum is missing, or has a wrong factor."""
    if proportion(e, e.analytic, e.numeric) or e.gives(np.zeros_like(e.numeric), e.wrong):
        return  # that says it better
    lost = e.numeric - e.analytic
    for name, t in terms(e):
        missing = proportion(e, lost, t)
        c = 1 - missing
        if missing:
            how = "is missing" if abs(c) < CLOSE else f"has {c:.4g} times its weight"
            yield Verdict("term missing", f"the term {name} of the sum {how}; all the rest is right")
            return
        rest = e.numeric - t
        if (np.abs(rest) > 10 * CLOSE * e.scale).any() and (np.abs(t) > 10 * CLOSE * e.scale).any():
            c = proportion(e, e.analytic - t, rest)
            if c or e.gives(t):
                how = f"has {c:.4g} times its weight" if c else "is missing"
                yield Verdict("term missing", f"the term {name} of the sum is right, and all the rest of it {how}")
                return
    wrong = lost[e.wrong]
    if len(wrong) > 1 and not e.wrong.all() and np.ptp(wrong) <= CLOSE * np.abs(wrong).max():
        yield Verdict("term missing", f"a term is missing in {len(wrong)} of {len(lost)} elements, in each of them "
                                      f"{wrong[0]:.6g}")


def terms(e: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    """What often is one term of a gradient: (name, (k,))."""
    for i, use in enumerate(e.uses if len(e.uses) > 1 else []):
        yield f"from use {i} of the input", use
    if e.x.shape != e.y.shape:
        return
    at = tuple(e.places.T)
    x, y, u = e.x[at], e.y[at], e.u[at]
    with np.errstate(all="ignore"):
        for name, t in {"gy": u, "gy · y": u * y, "gy · x": u * x, "gy · y / x": u * y / x, "gy · y²": u * y * y,
                        "gy · x²": u * x * x, "gy · x · y": u * x * y, "gy / x": u / x}.items():  # fmt: skip
            if np.isfinite(t).all():
                yield name, t
    if e.sent is None:
        return
    k = np.arange(len(e.places))
    flat = np.ravel_multi_index(at, e.x.shape) if e.x.ndim else np.zeros(1, int)
    own = e.sent[flat, k]
    yield "that goes through the output at the same place", own
    for axis, n in enumerate(e.x.shape):
        for far in range(1, n):
            near = np.zeros_like(own)
            for there in (e.places[:, axis] - far, e.places[:, axis] + far):
                inside = (there >= 0) & (there < n)
                places = e.places[inside].copy()
                places[:, axis] = there[inside]
                near[inside] += e.sent[np.ravel_multi_index(tuple(places.T), e.x.shape), k[inside]]
            if near.any():
                yield f"that goes through the outputs {far} away along axis {axis}", near


def zero(e: Evidence) -> Iterator[Verdict]:
    w = e.wrong
    if w.any() and e.gives(np.zeros_like(e.numeric), w):
        yield Verdict("zero where it should not be", f"{w.sum()} of {w.size} elements got 0: a mask, an index or a "
                                                     "slice leaves them out, or the gradient was cut off")
    elif w.any():
        none = np.abs(e.numeric) <= CLOSE * np.abs(e.analytic)
        if (none | (np.abs(e.analytic) <= CLOSE * e.scale))[w].all() and none[w].any():
            yield Verdict("zero where it should not be", "zeros and other numbers have changed places: forward and "
                                                         "backward do not use the same mask or the same places")


# -- of where it is wrong ----------------------------------------------------------------------------------------------


def overlap(e: Evidence) -> Iterator[Verdict]:
    sent = e.by_place()
    if sent is None or e.wrong.all() or not e.wrong.any():
        return
    windows = (np.abs(sent) > 1e-9 * e.scale).sum(0)
    if e.x.ndim > 1 and (windows[e.wrong] > 1).all() and ((windows == 1) & ~e.wrong).any():
        if e.wrong[windows > 1].mean() > 0.5:
            yield Verdict("overlapping windows", "right where one place of the output depends on an element, wrong "
                                                 "where several do: what windows that overlap send must be added up")


def border(e: Evidence) -> Iterator[Verdict]:
    if e.x.ndim < 3 or not e.wrong.any() or not (~e.wrong & (e.scale > 0)).any():
        return
    size = np.array(e.x.shape[-2:])
    inside = np.minimum(e.places[:, -2:], size - 1 - e.places[:, -2:])
    depth = np.where(size > 2, inside, size.max()).min(1)  # 0 for the outermost rows and columns
    deepest = depth[e.wrong].max()
    within = depth <= deepest
    if (~within & (np.abs(e.numeric) > 0)).any() and e.wrong[within].mean() > 0.2 and deepest < size.max() / 3:
        yield Verdict("padded border", f"right inside, wrong only within {deepest + 1} of the border of the last two "
                                       "axes: look at how padding is counted there, and at < and <=")


def group(e: Evidence) -> Iterator[Verdict]:
    images = [s for s in e.shapes if len(s) == 4]
    groups = next((a[1] // b[1] for a, b in zip(images, images[1:], strict=False) if b[1] and a[1] > b[1] and
                   a[1] % b[1] == 0), 0)  # fmt: skip
    axis = 1 if e.shapes[0] == e.x.shape and e.x.ndim == 4 else 0
    if groups < 2 or not e.x.ndim or e.x.shape[axis] % groups:
        return
    channels, each = e.x.shape[axis], e.x.shape[axis] // groups
    bad = np.array([e.wrong[e.places[:, axis] == c].any() for c in range(channels)])
    turns = np.flatnonzero(np.diff(bad)) + 1  # where right turns wrong or wrong right
    edges = np.arange(each, channels, each)
    if len(turns) and all(np.abs(edges - t).min() <= 1 for t in turns):
        yield Verdict("group boundary", f"right in channels {np.flatnonzero(~bad).tolist()}, wrong in "
                                        f"{np.flatnonzero(bad).tolist()}: that turns at the border between two of the "
                                        f"{groups} groups of {each}: look at where a group's slice begins")


READERS: list[Reader] = [factor, transposed, broadcast, accumulation, zero, group, border, overlap, term]
