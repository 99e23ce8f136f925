"""Mistakes on one side of a condition alone, and in some of the outputs alone: read off where the gradient is right."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np

from ..thresholds import BY_CHANCE, LONG
from .chain import Chain
from .found import Aim, Found
from .record import Call, Ref
from .words import Words

__all__ = ["branches", "condition", "parts", "sides", "slopes_of_all"]

OTHER = {"greater": "<=", "greater_equal": "<", "less": ">=", "less_equal": ">"}


def condition(words: Words, call: Call, second: bool) -> str:
    """Where the first or the second value of a np.where counts."""
    test = call.args[0]
    if not isinstance(test, Ref):
        return "where the condition holds" if not second else "where the condition does not hold"
    inner = words.tape.calls[test.to]
    name = getattr(inner.function, "__name__", "")
    if second and name in OTHER:
        left, right = (words.arg(arg, 5)[0] for arg in inner.args)
        return f"where `{left} {OTHER[name]} {right}`"
    return f"where `{words.of(test.to)}` is {'False' if second else 'True'}"


def branches(chain: Chain, aim: Aim) -> Iterator[Found]:
    """Right on one side of a np.where of the function, both sides of which depend on the input, wrong on the other."""
    words, tape = Words(chain.tape), chain.tape
    real = chain.made_of(aim.leaf)
    off = np.abs(aim.gradient - aim.right) > aim.level
    for n in range(tape.gy):
        call = tape.calls[n]
        if call.function is not np.where or len(call.args) != 3 or not isinstance(call.args[0], Ref):
            continue
        if sum(isinstance(arg, Ref) and arg.to in real for arg in call.args[1:]) < 2:
            continue
        test = chain.values[call.args[0].to]
        if test.shape != off.shape or not 0 < test.sum() < test.size:
            continue
        for second, side in ((False, test), (True, ~test.astype(bool))):
            side = side.astype(bool)
            if off[side].mean() > 0.5 and not off[~side].any():
                arg = call.args[2 if second else 1]
                value = f" (`{words.of(arg.to)}`)" if isinstance(arg, Ref) else ""
                ratio = aim.gradient[side] / aim.right[side]
                aim.gave_where(~off, ratio)
                what = f": there it is {ratio[0]:.6g} times what it should be" if np.ptp(ratio) < 1e-5 else ""
                yield Found("one branch", f"right on one side of `{words.of(n)}`, wrong on the other, "
                            f"{condition(words, call, second)}{value}{what}", 0.7)  # fmt: skip


def sides(chain: Chain, aim: Aim) -> Iterator[Found]:
    """Of a function of one number: right on one side of a number, wrong on the other."""
    x = chain.values[aim.leaf]
    off = np.abs(aim.gradient - aim.right) > aim.level
    if aim.nothing(np.where(off, 0, aim.right)) and not aim.nothing(np.where(off, aim.right, 0)):
        return  # what is nothing anyway is right on no side
    if x.shape != chain.values[chain.tape.output].shape or not 1 < off.sum() < off.size - 1:
        return
    for above in (True, False):
        wrong, right = (x[off], x[~off]) if above else (-x[off], -x[~off])
        if wrong.min() <= right.max() or not (proportional(aim, off) or comb(off.size, int(off.sum())) > BY_CHANCE):
            continue
        aim.gave_where(~off, aim.gradient[off] / aim.right[off])
        side = "above" if above else "below"
        sign, at = (">", float(right.max())) if above else ("<", -float(right.max()))
        but = f"right but for `{chain.tape.calls[aim.leaf].name}` {sign} {at:.4g}"
        if not aim.right[off].any():
            masked = any(call.value.dtype.kind == "b" for call in chain.tape.calls[chain.tape.gy :])
            name = "wrong mask" if masked else "mask forgotten"
            yield Found(name, f"{but}: {side} the gradient is 0, by a mask that is missing", 1.25)
        elif aim.right[off].all():
            what = "it is 0" if not aim.gradient[off].any() else "it has another slope"
            cost = 0.85 if proportional(aim, off) else 1.35
            yield Found("one branch", f"{but}: {side} {what} in backward", cost)


def slopes_of_all(chain: Chain, gy: np.ndarray, aim: Aim) -> Iterator[Found]:
    """Of a function of each element alone: its slope turned over, or to another power."""
    if gy.shape != aim.right.shape or (gy == 0).any():
        return
    slope = aim.right / gy
    ones = chain.gradients(np.ones_like(gy)).get(aim.leaf)
    if ones is None or not np.allclose(ones, slope, rtol=1e-6, atol=1e-9):
        return
    powers = {"1 / its slope": 1 / slope, "the square of its slope": slope**2, "the root of its slope": np.sqrt(slope)}
    for what, other in powers.items():
        if np.isfinite(other).all() and aim.gave(gy * other):
            yield Found("wrong power", f"backward multiplies gy by {what} and not by that, as where a division and a "
                        "product have changed places", 1.5)  # fmt: skip


def proportional(aim: Aim, off: np.ndarray) -> bool:
    """Whether what is wrong is c times what it should be, or 0."""
    ratio = aim.gradient[off] / aim.right[off]
    return bool(np.ptp(ratio) <= 1e-5 * np.abs(ratio).max(initial=1))


def parts(chain: Chain, gy: np.ndarray, aim: Aim) -> Iterator[Found]:
    """Right, but for a part of the outputs, whose gradient is not there: one example only, a row left out."""
    for axis, n in enumerate(gy.shape):
        if n < 2 or n * sum(value.size for value in chain.values) > LONG:
            continue
        columns = []
        for j in range(n):
            part = np.zeros_like(gy)
            part.swapaxes(0, axis)[j] = gy.swapaxes(0, axis)[j]
            columns.append(np.asarray(chain.gradients(part).get(aim.leaf, 0 * aim.right)).ravel())
        sends = [j for j in range(n) if not aim.nothing(columns[j].reshape(aim.right.shape))]
        matrix = np.stack(columns, 1)[:, sends]
        if len(sends) < 2 or np.linalg.matrix_rank(matrix) < len(sends):
            continue
        found = np.linalg.lstsq(matrix, aim.gradient.ravel(), rcond=None)[0]
        if not aim.gave((matrix @ found).reshape(aim.right.shape)) or np.isclose(found, found[0], atol=1e-5).all():
            continue
        weights = np.ones(n)
        weights[sends] = found
        there = np.isclose(weights, 1, atol=1e-5)
        gone = np.isclose(weights, 0, atol=1e-5)
        if (there | gone).all():
            kept = [j for j in np.flatnonzero(there).tolist() if j in sends]
            lost = np.flatnonzero(gone).tolist()
            wide = (1,) * (gy.ndim - aim.right.ndim) + aim.right.shape
            if len(kept) == 1 and axis and kept[0] != n - 1 and len(wide) == gy.ndim and wide[axis] == 1:
                yield Found("broadcast axis not summed", f"the input was broadcast along axis {axis} of the output, "
                            f"and what comes from place {kept[0]} there was taken for the sum of all", 0.8)  # fmt: skip
            elif len(kept) == 1 and (n > 2 or not axis):
                which = "first, 0," if kept[0] == 0 else "last" if kept[0] == n - 1 else f"{kept[0]}"
                yield Found("one example only", f"backward gave what comes from the {which} of the {n} along axis "
                            f"{axis} of the output, and nothing of the others: sum over all",
                            0.8 if kept[0] in (sends[0], sends[-1]) else 1.5)  # fmt: skip
            else:
                yield Found("term missing", f"what comes from {lost} of axis {axis} of the output is left out: a range "
                                            "or a slice ends too early", 0.9)  # fmt: skip
