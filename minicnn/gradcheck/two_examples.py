"""A batch of one, looked at once more with two examples: a sum over the batch that is missing looks right with one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .check import Check
from .look import Look
from .measure import Differences
from .of_arrays import of_arrays
from .said import said_of
from .say import GradientError
from .say_second import right_for_one
from .subject import Function, Given, Subject, is_real

__all__ = ["two_examples"]


def two_examples(check: Check, backward: Function) -> None:
    """Raise GradientError where backward, as it was given, is right for the one example given, and wrong for two. Where
    it, or the function, does not take two, that is not held against it."""
    source = check.subject.source
    if not source or not batch_of_one(source.given[0]):
        return
    try:
        one = check.subject.value().shape
        for given in doubled(source.given):
            with contextlib.suppress(Exception):  # whatever their program refuses
                if wrong := of_two(check, of_arrays(source.function, given, backward), one):
                    break
        else:
            return
    finally:  # what they keep outside of themselves is of the one example again
        check.subject.value()
    raise right_for_one(wrong) from None


def batch_of_one(x: object) -> bool:
    array = np.asarray(x)
    return array.ndim > 1 and array.shape[0] == 1 and is_real(array)


def doubled(given: Given) -> Iterator[Given]:
    """What is given with two examples each: of all that has an axis of one in front, or of the first input and what is
    no real number, as labels. The second example has the numbers of the first in another order."""
    of_one = [i for i, x in enumerate(given) if np.ndim(x) and np.shape(x)[0] == 1]
    first = [i for i in of_one if i == 0 or not is_real(given[i])]
    random = np.random.default_rng(len(given))
    for some in [of_one, first] if first != of_one else [first]:
        yield [np.concatenate([x, random.permuted(x.ravel()).reshape(x.shape)]) if i in some else x
               for i, x in enumerate(given)]  # fmt: skip


def of_two(check: Check, subject: Subject, one: tuple[int, ...]) -> GradientError | None:
    """What is wrong with two examples; None if nothing is, or the function is not one of a batch. one: the shape of
    what it gives for one."""
    y = subject.value()
    if y.shape not in (one, (2, *one[1:])):
        return None
    random = np.random.default_rng(y.ndim)
    u = random.standard_normal(y.shape)
    d = Differences(subject, y, u, check.step, random)
    said = said_of(subject, u, subject.gradients(u), d.near())
    if Look(subject, check.title, d, random, check.settings).line([s for s in said if s.g.size]).right:
        return None
    try:
        replace(check, subject=subject, random=random, thorough=False, maps=[]).run()
    except GradientError as error:
        tie = any(verdict.name == "kink or tie" for verdict in error.verdicts)  # of the two examples
        return error if error.numeric is not None and not tie else None
    return None
