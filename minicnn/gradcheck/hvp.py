"""Second derivatives by differences: how the gradient of one number changes along a line, and how well one knows."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ..engine.mode import grad_mode
from ..engine.tensor import Tensor
from ..nn.module import Module
from . import judge, say
from .evidence import Floats
from .of_arrays import of_arrays
from .subject import Input, Subject, WrongShape, is_real, named, of_tensors
from .thresholds import EPSILON, EPSILON32, QUARTERS, ROUNDED, SIGNAL, TAIL

__all__ = ["hvp"]


def hvp(f: Callable[..., object], x: object, v: ArrayLike | Tensor, *, backward: Callable[..., object] | None = None,
        ) -> tuple[Floats, float]:  # fmt: skip
    """(H v, its error) of the Hessian H = ∂²f/∂x∂x of one number, by H v ≈ (∇f(x + h v) − ∇f(x − h v)) / 2h =: D(h).

    All that it asks of f are 28 gradients, in float64. It relies on them: ``gradcheck`` tells whether they are right.

    f: takes x and returns one number, a tensor. Or takes and returns NumPy arrays, if there is a
    backward: a hand-written backward(gy, x), as of ``gradcheck``.
    x: an array or a tensor. Or a module: H is that of its parameters (those with requires_grad), which are in float64
        for as long as it takes. What else f uses, such as images, must be in float64, too.
    v: of x's shape. Of a module a vector, one number for each parameter: all of one, then all of the next, in the order
        of ``np.concatenate([p.numpy().ravel() for p in x.parameters()])``.

    Returns H v, of v's shape, and a bound of ‖what is returned − H v‖. (16 D(h / 4) − D(h)) / 15 is right up to h⁴
    (Richardson 1911); how far two of these are apart says what is left, and how far apart the D of small steps are,
    what rounding does. Of the steps that agree with all smaller ones, that of the least error is taken. A smooth f
    leaves 10 or 11 digits. At a kink there is no H, and the error is as large as what is returned. What is rounded to
    float32 inside of f is noticed if any step, of up to a quarter of ‖x‖, changes it.

    Raises TypeError where f is no function, or x or v no real numbers; ValueError where f(x) is not one number, its
    gradient does not reach x or is not finite, or v has another shape; GradientError where the gradient has another
    shape than x, or f is not finite, or not the same when called twice.
    """
    for name, what in (("f", f), ("backward", backward)):
        if isinstance(what, type) or not (what is None or callable(what)) or f is None:
            raise TypeError(f"gradcheck.hvp: {name} is {what!r:.60}: give a function")
    if not isinstance(x, Module) and not is_real(x):
        raise TypeError(f"gradcheck.hvp: x is {x!r:.60}: give real numbers, 1.0 for 1, or a module")
    if backward and isinstance(x, Module):
        raise ValueError("gradcheck.hvp: x is a module: where backward= is given, x must be an array")
    with contextlib.ExitStack() as stack:
        stack.enter_context(grad_mode(True))  # it may be asked under no_grad()
        if isinstance(x, Module):
            subject = stack.enter_context(of_tensors(functools.wraps(f)(lambda: f(x)), (), named(x)))
            inputs, shape = subject.inputs, (sum(i.start.size for i in subject.inputs),)
            if not inputs:
                raise ValueError(f"gradcheck.hvp: x, {type(x).__name__}, has no parameter with requires_grad=True")
        else:
            subject = of_arrays(f, (x,), backward) if backward else stack.enter_context(of_tensors(f, (x,), []))
            inputs, shape = subject.inputs[:1], subject.inputs[0].start.shape  # f may be a layer: not by its parameters
        line = _direction(v, shape)
        longest = float(np.abs(line).max(initial=0)) or 1.0  # so that no square of v is beyond the range of float64
        found, error = _along(subject, inputs, line.ravel() / longest)
        return longest * found.reshape(shape), longest * error


def _direction(v: ArrayLike | Tensor, shape: tuple[int, ...]) -> Floats:
    """v as an array. Raises as ``hvp``."""
    line = np.asarray(v)
    if line.dtype.kind not in "fiu":
        raise TypeError(f"gradcheck.hvp: v is of {line.dtype}: give real numbers")
    if line.shape != shape:
        raise ValueError(f"gradcheck.hvp: v has the shape {line.shape}, x {shape}: both must be the same")
    if not np.isfinite(line).all():
        raise ValueError("gradcheck.hvp: v has elements that are not finite: H v would have none that are")
    return line.astype(np.float64)


def _along(subject: Subject, inputs: list[Input], line: Floats) -> tuple[Floats, float]:
    """(H · line, its error), as vectors over all inputs. Raises as ``hvp``."""
    y = subject.value()
    if y.size != 1:
        raise ValueError(f"gradcheck.hvp: {subject.title} returned the shape {y.shape}: it must be one number, as of a "
                         "sum or a mean")
    if not np.isfinite(y).all():
        raise say.not_finite(subject.title)

    def gradient(x: Floats) -> Floats:
        for i, part in zip(inputs, np.split(x, cuts), strict=True):
            i.move(part.reshape(i.start.shape))
        return _gradient(subject, inputs, np.ones(y.shape))

    cuts = np.cumsum([i.start.size for i in inputs])[:-1]
    x = np.concatenate([i.start.ravel() for i in inputs])
    g = gradient(x)
    if not np.isfinite(g).all():
        raise ValueError(f"gradcheck.hvp: {subject.title} is finite, its gradient is not: choose another x")
    again = gradient(x)
    if not judge.same(g, again):
        raise say.not_same(subject.title, g, again)
    if not line.any():
        return np.zeros(x.size), 0.0
    farthest = (float(np.linalg.norm(x)) or np.sqrt(x.size)) / float(np.linalg.norm(line))
    steps, sizes, single, differences = [farthest * 4.0**-n for n in QUARTERS], [np.linalg.norm(g)], True, []
    for h in steps:
        above, below = gradient(x + h * line), gradient(x - h * line)
        single &= judge.single_gradient(above) and judge.single_gradient(below)
        sizes.append(np.linalg.norm(above))
        differences.append((above - below) / (2 * h))
    found, error = _best(steps, differences, sizes, EPSILON32 if single else EPSILON)
    if not error < np.inf:
        raise ValueError(f"gradcheck.hvp: right beside x the gradient of {subject.title} is not finite: choose another "
                         "x")
    return found, error


def _gradient(subject: Subject, inputs: list[Input], u: Floats) -> Floats:
    """The gradient by all inputs, where they are now, as one vector. Raises as ``hvp``."""
    try:
        with np.errstate(all="ignore"):  # a step may lead out of where f is defined
            found = subject.gradients(u)[: len(inputs)]
    except WrongShape as wrong:
        raise say.wrong_shape(subject.title, wrong) from wrong.__cause__
    if all(g is None for g in found):
        raise ValueError(f"gradcheck.hvp: no gradient of {subject.title} reaches x: it must use x, and not by .numpy() "
                         "or .detach()")
    for i, g in zip(inputs, found, strict=True):
        if g is not None and g.shape != i.start.shape:
            raise say.wrong_shape(subject.title, WrongShape(i.name, i.start.shape, g))
    return np.concatenate([np.zeros(i.start.size) if g is None else g.ravel()
                           for i, g in zip(inputs, found, strict=True)], dtype=np.float64)  # fmt: skip


def _best(steps: list[float], d: list[Floats], sizes: list[np.floating], eps: float) -> tuple[Floats, float]:
    """What the differences d come to, and its error. steps: each a quarter of the one before. sizes: of the gradient at
    x, of which at least the share eps is rounded off, and of those at the steps.

    A gradient that is off by r makes d off by r / h, so that ‖d(4 h) − d(h)‖ · h tells r wherever h is so small that
    nothing else is left. Where the smallest step changes nothing, r is at least what larger steps change there, if that
    is no more than float32 would round off. What is no small share of the gradients is no rounding: then even small
    steps are too large, and larger ones are not looked at.
    """
    with np.errstate(all="ignore"):  # differences may be infinite, or none
        off = [(a - b) * h for a, b, h in zip(d[:-1], d[1:], steps[1:], strict=True)]
        lost = [np.linalg.norm(one[d[-1] == 0]) for one in off]
        rounded = np.max([eps * sizes[0], *(np.linalg.norm(one) for one in off[-TAIL:]),
                          *(one for one in lost if one <= EPSILON32 * sizes[0])])  # fmt: skip
        r = [(16 * b - a) / 15 for a, b in pairwise(d)]  # of steps[n] and steps[n + 1]
        best, least, last = r[-1], np.inf, len(r) - 1
        for n in range(last, 0, -1) if rounded < SIGNAL * max(sizes) else [last]:
            error = float(np.linalg.norm(r[n - 1] - r[n]) + ROUNDED * rounded / steps[n + 1]
                          + EPSILON * np.linalg.norm(r[n]))  # fmt: skip
            if not np.linalg.norm(r[n] - best) <= least:
                break
            if error < least:
                best, least = r[n], error
    return best, least
