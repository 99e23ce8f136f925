"""The bank of mistakes: each is one, in one input alone, away from kinks. Of the half kept back only titles show."""

import dataclasses
import re

import mistakes_kept_back
import mistakes_looked_at
import numpy as np
import pytest
from helpers import is_real, normal
from mistakes import NAMES, Mistake

LOOKED_AT, KEPT_BACK = mistakes_looked_at.MISTAKES, mistakes_kept_back.MISTAKES
ALL = LOOKED_AT + KEPT_BACK
STEP = 1e-5


def value(mistake, inputs):
    """The function's value, of copies."""
    return np.array(mistake.function(*map(np.copy, inputs)), np.float64)


def slopes(mistake, inputs, i, u):
    """∂L/∂x of input i below and above each element, for L = Σ y · u."""
    found = np.empty((2, inputs[i].size))
    at = value(mistake, inputs)
    for side, h in enumerate((-STEP, STEP)):
        for j in range(inputs[i].size):
            moved = list(inputs)
            moved[i] = inputs[i].copy()
            moved[i].flat[j] += h
            found[side, j] = ((value(mistake, moved) - at) * u).sum() / h
    return found.reshape(2, *inputs[i].shape)


def error(got, expected):
    """Of each element, relative to the largest that is expected; ∞ where it is not a number."""
    return np.nan_to_num(np.abs(got - expected) / np.abs(expected).max(), nan=np.inf)


def faults(mistake):
    """What is the matter with an entry of the bank, in words."""
    if not (mistake.title and mistake.source and 1 <= len(mistake.names) <= 3 and mistake.names <= NAMES):
        yield "it needs a title, a source, and one to three names of the vocabulary"
    for number, pattern in enumerate(mistake.says):
        try:
            re.compile(pattern, re.IGNORECASE)
        except re.error:
            yield f"expression {number} of what is to be said cannot be searched for"
    inputs = mistake.inputs
    y = value(mistake, inputs)
    if not np.array_equal(y, value(mistake, inputs)):
        yield "the function is not deterministic"
    u = np.random.default_rng(1).standard_normal(y.shape)
    gradients = mistake.backward(u.copy(), *map(np.copy, inputs))
    gradients = gradients if isinstance(gradients, (tuple, list)) else (gradients,)
    if len(gradients) != len(inputs):
        yield f"{len(gradients)} gradients for {len(inputs)} inputs"
    for i, (x, g) in enumerate(zip(inputs, gradients, strict=False)):
        if not is_real(x):
            if g is not None or i == mistake.input:
                yield f"input {i} is no real number, and a gradient is told of it"
        elif np.shape(g) != x.shape:
            yield f"the gradient of input {i} has shape {np.shape(g)}, not {x.shape}"
        elif not 6 <= x.size <= 150:
            yield f"input {i} has {x.size} numbers, not 6 to 150"
        else:
            below, above = slopes(mistake, inputs, i, u)
            wrong = error(g, (below + above) / 2).max()
            if error(below, above).max() > 1e-2:
                yield f"input {i} has a kink"
            elif i == mistake.input and wrong < 1e-4:
                yield f"the gradient of input {i} is right, to {wrong:.1g}"
            elif i != mistake.input and wrong > 1e-6:
                yield f"the gradient of input {i} is wrong, too, by {wrong:.1g}"


@pytest.mark.parametrize("mistake", ALL, ids=lambda mistake: mistake.title)
def test_an_entry_is_one_mistake_in_one_gradient(mistake):
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            found = list(faults(mistake))
    except Exception as error:  # its traceback would show the entry
        found = [type(error).__name__]
    assert not found


DOUBLED = Mistake("a product", lambda x, w: x * w, lambda gy, x, w: (2 * gy * w, gy * x),
                  (normal(2, 3), normal(2, 3, seed=1)), 0, {"constant factor"}, [], "nowhere")  # fmt: skip


@pytest.mark.parametrize("changes, words", [
    ({"names": {"a slip"}}, "names of the vocabulary"), ({"names": set()}, "names of the vocabulary"),
    ({"source": ""}, "a source"), ({"says": ["x", "("]}, "expression 1"),
    ({"function": lambda x, w: x * np.random.default_rng().random()}, "not deterministic"),
    ({"backward": lambda gy, x, w: gy}, "1 gradients for 2 inputs"),
    ({"inputs": (normal(2, 3), np.array([[1, 2, 3]]))}, "is no real number"),
    ({"backward": lambda gy, x, w: (gy.T, gy * x)}, r"has shape \(3, 2\), not \(2, 3\)"),
    ({"inputs": (normal(2, 2), normal(2, 2))}, "has 4 numbers"),
    ({"inputs": (np.arange(6.0), normal(6)), "function": lambda x, w: np.abs(x) * w}, "input 0 has a kink"),
    ({"backward": lambda gy, x, w: (gy * w, gy * x)}, "input 0 is right"),
    ({"backward": lambda gy, x, w: (2 * gy * w, 2 * gy * x)}, "input 1 is wrong, too"),
])  # fmt: skip
def test_what_is_no_single_mistake_is_seen(changes, words):
    assert not list(faults(DOUBLED))
    assert re.search(words, "; ".join(faults(dataclasses.replace(DOUBLED, **changes))))


def test_titles_differ():
    titles = [mistake.title for mistake in ALL]
    assert not {title for title in titles if titles.count(title) > 1}


def test_both_halves_hold_the_same_kinds_in_functions_that_are_mostly_others():
    kinds = [{name for mistake in half for name in mistake.names} for half in (LOOKED_AT, KEPT_BACK)]
    assert not kinds[0] ^ kinds[1]
    functions = [{mistake.function.__name__ for mistake in half} for half in (LOOKED_AT, KEPT_BACK)]
    assert min(len(LOOKED_AT), len(KEPT_BACK)) >= 75
    assert len(functions[0] | functions[1]) >= 45
    assert len(functions[0] & functions[1]) <= 10
