"""What mistake a wrong gradient looks like.

A verdict is a hypothesis that fits: each reader below stands for one mistake that people make, says what backward would
then have given, or where it would have been wrong, and is heard only if so it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from .evidence import Evidence, Floats
from .thresholds import AXES, CLOSE, EPSILON, KNOWN, NO_FACTOR, SENDS, SIZES, TELLS

__all__ = ["Verdict", "accumulation", "broadcast", "explained", "factor", "misplaced", "term", "transposed"]


@dataclass(frozen=True)
class Verdict:
    """name: the mistake. text: what was seen, and where to look. explains: (of how many elements it says what backward
    gave for them, how many were looked at, to how many digits); None where it says where it is wrong, and not how."""

    name: str
    text: str
    explains: tuple[int, int, int] | None = None

    def __str__(self) -> str:
        counts = "" if not self.explains else ". Explains {} of {} elements to {} digits".format(*self.explains)
        return f"{self.name}: {self.text}{counts}"


def explained(apart: Floats) -> tuple[int, int, int]:
    """Verdict.explains, of the relative differences between what a verdict says and what there is."""
    same = apart <= CLOSE
    worst = float(apart[same].max(initial=EPSILON))
    return int(same.sum()), apart.size, int(-np.log10(worst))


# -- what was done to all elements -------------------------------------------------------------------------------------


def factor(e: Evidence) -> Iterator[Verdict]:
    c = proportion(e, e.analytic, e.numeric)
    if c and abs(c + 1) < CLOSE:
        yield Verdict("wrong sign", "every element is −1 times what it should be: a minus is missing, or one too many")
    elif c:
        half = "; or of two equal terms one was lost" if abs(c - 0.5) < CLOSE else ""
        yield Verdict("constant factor", f"every element is {c:.6g} times what it should be{origin(c, e)}{half}")


def proportion(e: Evidence, part: Floats, whole: Floats) -> float:
    """c, where part = c · whole all over; else 0."""
    known = np.abs(whole) > KNOWN * e.scale
    if known.sum() < min(2, len(whole)):
        return 0.0
    c = float(part[known] @ whole[known] / (whole[known] @ whole[known]))
    same = np.abs(part - c * whole) <= CLOSE * min(1, abs(c)) * e.scale
    if not (abs(c) > NO_FACTOR and same.all()):
        return 0.0
    e.apart = np.abs(part - c * whole) / (min(1, abs(c)) * e.units)
    return c


def origin(c: float, e: Evidence) -> str:
    """Which sizes of the arrays explain the factor c."""
    size = max(abs(c), 1 / abs(c))
    if abs(size - round(size)) > CLOSE * size:
        return ""
    sizes = {"the outputs for each element": e.y.size / e.x.size,
             "the elements for each output": e.x.size / max(1, e.y.size)}
    for i, shape in enumerate(e.shapes):
        sizes |= {f"axis {a} of input {i}": n for a, n in enumerate(shape)}
        if len(shape) == 4:
            sizes |= {f"the window of input {i}": shape[2] * shape[3],
                      f"all that a kernel of input {i} sees": shape[1] * shape[2] * shape[3]}  # fmt: skip
    sizes |= {f"axis {a} of the output": n for a, n in enumerate(e.y.shape)} | {"all outputs": e.y.size}
    sizes |= {f"axes {a} and {b} of the output": n * m for (a, n), (b, m) in combinations(enumerate(e.y.shape), 2)}
    names = [name for name, n in sizes.items() if n != 1 and abs(n - size) < CLOSE * size][:SIZES]
    mean = "perhaps a mean where the sum belongs" if abs(c) < 1 else "perhaps a sum where the mean belongs"
    why = f"; {round(size)} is {' or '.join(names)}: {mean}" if names else ""
    return f". That is {'−' if c < 0 else ''}{'1 / ' if abs(c) < 1 else ''}{round(size)}{why}"


def transposed(e: Evidence) -> Iterator[Verdict]:
    if not e.complete or e.x.ndim < 2:
        return
    right = e.numeric.reshape(e.x.shape)
    for axes in permutations(range(e.x.ndim)) if e.x.ndim <= AXES else ():
        if right.transpose(axes).shape == e.x.shape and e.gives(right.transpose(axes).ravel()):
            yield Verdict("transposed", f"it is the right gradient with its axes in the order {axes}: a transposition "
                                        "is missing, or one too many")
            return
    for axes in ((-1,), (-2,), (-2, -1)):
        if e.gives(np.flip(right, axes).ravel()):
            yield Verdict("transposed", f"it is the right gradient turned round along axes {axes}, as when a kernel is "
                                        "reflected, or is not")
            return


def misplaced(e: Evidence) -> Iterator[Verdict]:
    off = np.abs(np.sort(e.analytic) - np.sort(e.numeric))
    if e.complete and (off <= CLOSE * e.scale.min()).all():
        e.apart = off / e.units.min()
        yield Verdict("transposed", "the right numbers stand in the wrong places: look at transpose and reshape, at "
                                    "the order in which they read, and at what undoes them")


# -- what was not added up ---------------------------------------------------------------------------------------------


def broadcast(e: Evidence) -> Iterator[Verdict]:
    if e.sent is None or e.y.ndim < e.x.ndim:
        return
    wide = (1,) * (e.y.ndim - e.x.ndim) + e.x.shape
    sent = e.sent.reshape(*e.y.shape, -1)
    for axis, (n, m) in enumerate(zip(wide, e.y.shape, strict=True)):
        rest = tuple(a for a in range(e.y.ndim) if a != axis)
        if n == 1 < m and any(e.gives(part) for part in sent.sum(rest)):
            yield Verdict("broadcast axis not summed", f"the input was broadcast along axis {axis} of the output, and "
                                                       "what comes from one place there was taken for the sum of all")
            return


def accumulation(e: Evidence) -> Iterator[Verdict]:
    for i, use in enumerate(e.uses if len(e.uses) > 1 else ()):
        if e.gives(use) or e.gives(e.numeric - use):
            yield Verdict("= for +=", f"the input is used {len(e.uses)} times, and its gradient is that of use {i} "
                                      "alone, or of all but that: the gradients of all uses must be added up")
            return
    w, k = e.wrong, np.arange(len(e.flat))
    if e.sent is not None and e.x.shape == e.y.shape and e.gives(e.sent[e.flat, k]):
        return  # each element got what goes through the output at its own place: see term()
    for sent, what in ((e.by_place(), "places"), (e.sent, "outputs")):
        if sent is None or e.gives(np.zeros_like(e.numeric), w):
            continue
        one = np.abs(sent - e.analytic) <= CLOSE * e.scale
        several = (np.abs(sent) > SENDS * e.scale).sum(0) > 1
        if several[w].all() and one[:, w].any(0).all():
            e.apart = np.where(w, np.abs(sent - e.analytic).min(0), e.off) / e.units
            yield Verdict("= for +=", f"several {what} of the output send a gradient to each of the wrong elements, "
                                      "and it got that of one of them alone: += belongs where = stands")
            return


def term(e: Evidence) -> Iterator[Verdict]:
    if proportion(e, e.analytic, e.numeric) or e.gives(np.zeros_like(e.numeric), e.wrong):
        return  # that says it better
    lost = e.numeric - e.analytic
    for name, t in terms(e):
        missing = proportion(e, lost, t)
        if missing:
            weight = "" if abs(missing - 1) < CLOSE else f"{missing:.4g} times "
            yield Verdict("term missing", f"{weight}the term {name} is missing in the sum; all the rest is right")
            return
        rest = e.numeric - t
        if all((np.abs(part) > TELLS * e.scale).any() for part in (rest, t)):
            c = proportion(e, e.analytic - t, rest)
            if c:
                yield Verdict("term missing", f"the term {name} of the sum is right, and all the rest has {c:.4g} "
                                              "times its weight")  # fmt: skip
                return
            if e.gives(t):
                yield Verdict("term missing", f"backward gave {name} and nothing else: a term of the sum or a factor "
                                              "is missing")  # fmt: skip
                return
    wrong = lost[e.wrong]
    if len(wrong) > 1 and not e.wrong.all() and np.ptp(wrong) <= CLOSE * np.abs(wrong).max():
        yield Verdict("term missing", f"a term is missing in {len(wrong)} of {len(lost)} elements: {wrong[0]:.6g}")


def terms(e: Evidence) -> Iterator[tuple[str, Floats]]:
    """What often is one term of a gradient: (name, (k,))."""
    uses = e.uses if len(e.uses) > 1 else []
    yield from ((f"what comes from use {i} of the input", use) for i, use in enumerate(uses))
    if e.x.shape != e.y.shape:
        return
    x, y, u = (array.ravel()[e.flat] for array in (e.x, e.y, e.u))
    with np.errstate(all="ignore"):
        simple = {"gy": u, "gy · y": u * y, "gy · x": u * x, "gy · y / x": u * y / x, "gy · y²": u * y * y,
                  "gy · x²": u * x * x, "gy · x · y": u * x * y, "gy / x": u / x}  # fmt: skip
    yield from ((name, t) for name, t in simple.items() if np.isfinite(t).all())
    if e.sent is None:
        return
    yield "what goes through the output at the same place", e.sent[e.flat, np.arange(len(e.flat))]
    for axis, n in enumerate(e.x.shape):
        for far in range(1, n):
            before, after = (passed(e, e.sent, axis, away) for away in (-far, far))
            for text, t in ((f"{far} before", before), (f"{far} after", after), (f"{far} away", before + after)):
                if t.any():
                    yield f"what goes through the outputs {text} along axis {axis}", t


def passed(e: Evidence, sent: Floats, axis: int, away: int) -> Floats:
    """What each element gets from the output ``away`` from it along an axis, x and y having one shape."""
    there = e.places[:, axis] + away
    inside = (there >= 0) & (there < e.x.shape[axis])
    places = e.places[inside]
    places[:, axis] = there[inside]
    got = np.zeros(len(e.flat))
    got[inside] = sent[np.ravel_multi_index(tuple(places.T), e.x.shape), np.flatnonzero(inside)]
    return got
