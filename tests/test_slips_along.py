"""gradcheck names the slip where backward cannot be read, but gave what the chain rule gives along another function."""

import numpy as np
import pytest
from helpers import distinct, normal
from mistakes_functions import sigmoid, softmax
from noise_named import by_differences

from minicnn import gradcheck
from minicnn.gradcheck.explain import others
from minicnn.gradcheck.explain.chain import Chain
from minicnn.gradcheck.explain.examples import first_for_all
from minicnn.gradcheck.explain.found import Aim
from minicnn.gradcheck.explain.people import record

X, W, ROWS = normal(4, 6), np.exp(normal(4, 6, seed=1) / 3), distinct(4, 6)
SHARES = sigmoid(X)
IDS = np.array([4, 1, 1, 3])


def plain(array):
    """The same numbers, of which nothing is recorded."""
    return np.array([float(v) for v in np.ravel(array)]).reshape(np.shape(array))


class Of:
    """A backward that nobody can read: the gradient of another function in the first input, by differences."""

    def __init__(self, other):
        self.other = other

    def __call__(self, gy, *inputs):
        x, *rest = [plain(i) for i in inputs]
        return [(plain(gy).ravel() @ by_differences(self.other, [x, *rest], 0)).reshape(x.shape), *[None] * len(rest)]


def first(function, *inputs, backward):
    with pytest.raises(AssertionError) as raised:
        gradcheck(function, *inputs, backward=backward)
    return raised.value.verdicts[0]


def every_second(x, w, far=2):
    """Windows of a loop, so far apart."""
    return sum(w[i] * np.tanh(x[:, far * i : far * i + 2]) for i in range(3))


def of_turns(x, late=0):
    """Σ over t of tanh(t x[t]), of the place before where it is late."""
    y = 0
    for t in range(1, 6):
        y = y + np.tanh(t * x[:, t - late])
    return y


def turns_late(x):
    return of_turns(np.pad(x, ((0, 0), (1, 0))))


def repeated(x):
    return np.repeat(x, 2, 1) ** 3 * np.arange(1.0, 13)


def tiled(x):
    return np.tile(x, (1, 2)) ** 3 * np.arange(1.0, 13)


def padded(x, mode="reflect"):
    return np.pad(x, ((0, 0), (2, 2)), mode=mode) ** 3 * np.arange(1.0, 11)


OTHERS = [
    ("a bare value", lambda x: np.tanh(np.exp(x) * np.sin(x)), lambda x: np.tanh(np.exp(x)), X,
     "factor missing", "`exp(x)` for `exp(x) * sin(x)`"),
    ("a bare value of a sum", lambda x: np.tanh(np.exp(x) + np.sin(x)), lambda x: np.tanh(np.exp(x)), X,
     "term missing", "`exp(x)` for `exp(x) + sin(x)`"),
    ("no limit", lambda x: softmax(np.maximum(x, -0.5)), softmax, X,
     "mask forgotten", "`x` for `maximum(x, -0.5)`"),
    ("no factor", lambda x: np.tanh(x / 3 + 0.5), lambda x: np.tanh(x + 0.5), X, "factor missing", "`x / 3`"),
    ("no term", lambda x: np.tanh(x / 3 + 0.5), lambda x: np.tanh(x / 3), X, "term missing", "`x / 3 + 0.5`"),
    ("another axis", lambda x: np.exp(np.cumsum(x, axis=1)), lambda x: np.exp(np.cumsum(x, axis=0)), X,
     "wrong axis", "over axis 0"),
    ("windows nearer", lambda x: every_second(x, [3, 5, 7]), lambda x: every_second(x, [3, 5, 7], 1), X,
     "stride", "1 apart of each other, and not 2"),
    ("all places", lambda x: np.sin(x[:, ::2]), lambda x: np.sin(x[:, :3]), X, "stride", "places 1 apart, and not 2"),
    ("one place back", lambda x: np.sin(x[:, 2:]), lambda x: np.sin(x[:, 1:-1]), X,
     "shifted", "reads one place further back"),
    ("one place on", lambda x: np.sin(x[:, 1:-1]), lambda x: np.sin(x[:, 2:]), X, "shifted", "one place further on"),
    ("all places of the last axis", lambda x: np.sin(x[..., ::2]), lambda x: np.sin(x[:, :3]), X, "stride",
     "places 1 apart, and not 2"),
    ("the turn before", of_turns, turns_late, X, "shifted", "reads one place further back"),
    ("the first places", lambda x: np.sin(x[IDS]), lambda x: np.sin(x[:4]), normal(6, 3),
     "shifted", "goes to the first 4 places"),
    ("tiled", repeated, tiled, X, "transposed", "np.tile for np.repeat"),
    ("mirrored with the edge", padded, lambda x: padded(x, "symmetric"), X, "padded border", "mode 'symmetric'"),
]  # fmt: skip


@pytest.mark.parametrize("function, other, x, name, words", [case[1:] for case in OTHERS],
                         ids=[case[0] for case in OTHERS])  # fmt: skip
def test_the_gradient_of_another_function_is_named(function, other, x, name, words):
    verdict = first(function, x, backward=Of(other))
    assert verdict.name == name
    assert "backward gave the gradient of another function" in verdict.text
    assert words in verdict.text


@pytest.mark.parametrize("number, name", [(1, "factor missing"), (0, "term missing")])
def test_an_input_that_is_forgotten_is_named(number, name):
    def function(x, w):
        return np.log(2 + (w + 0.5) * np.exp(x) + w**2)

    verdict = first(function, X, W, backward=Of(lambda x, w: function(x, np.full_like(w, number))))
    assert verdict.name == name
    assert f"input 1 (`w`) is {number} all over: it is forgotten" in verdict.text


def test_other_functions_are_not_looked_at_without_end(monkeypatch):
    monkeypatch.setattr(others, "OTHERS", 0)
    with pytest.raises(AssertionError) as raised:
        gradcheck(padded, X, backward=Of(lambda x: padded(x, "symmetric")))
    assert not raised.value.verdicts


# -- one example for all, and what is not 0 ----------------------------------------------------------------------------


class Backward:
    """A backward that nobody can read."""

    def __init__(self, backward):
        self.backward = backward

    def __call__(self, *arrays):
        return self.backward(*map(plain, arrays))


def jacobian_of(gy, x, row):
    """All rows by the Jacobian of one."""
    y = softmax(x)[row]
    return y * (gy - (gy * y).sum(1, keepdims=True))


@pytest.mark.parametrize("row, which", [(0, "first"), (-1, "last")])
def test_the_slope_of_one_example_used_for_all_is_named(row, which):
    verdict = first(softmax, X, backward=Backward(lambda gy, x: jacobian_of(gy, x, row)))
    assert verdict.name == "one example only"
    assert f"what belongs to the {which} of the 4 along axis 0 is used for all of them" in verdict.text


def test_the_last_of_running_sums_is_no_example_for_all():
    gy = normal(4, 6, seed=2)
    tape = record(lambda x: np.cumsum(x, 0), lambda gy, x: gy, (X,), gy, ["x"])
    right = np.cumsum(gy[::-1], 0)[::-1]
    aim = Aim(tape.leaves[0], gy, right, np.abs(right))
    assert not [*first_for_all(Chain(tape, tape.leaves[0]), gy, aim)]  # its slope for itself is 1, and so is all of gy


def two_largest(x):
    return np.sort(x, 1)[:, -2:].sum(1)


def test_what_gets_something_where_nothing_belongs_has_forgotten_a_mask():
    verdict = first(two_largest, ROWS, backward=Backward(lambda gy, x: np.repeat(gy[:, None], 6, 1)))
    assert verdict.name == "mask forgotten"
    assert "16 of 24 elements that should get 0 got something" in verdict.text


@pytest.mark.parametrize("power, what", [(-1, "1 / its slope"), (2, "the square of its slope"),
                                         (0.5, "the root of its slope")])  # fmt: skip
def test_the_slope_to_another_power_is_named(power, what):
    def logit(p):
        return np.log(p / (1 - p))

    verdict = first(logit, SHARES, backward=Backward(lambda gy, p: gy / (p * (1 - p)) ** power))
    assert verdict.name == "wrong power"
    assert f"backward multiplies gy by {what}" in verdict.text


# -- what is not undone ------------------------------------------------------------------------------------------------

ORDER = [3, 0, 4, 5, 1, 2]
MOVES = [
    ("turned round", lambda x: np.sin(x)[:, ::-1], lambda gy, x: gy * np.cos(x), "wrong direction",
     "not move them back"),
    ("rolled", lambda x: np.roll(np.sin(x), 2, 1), lambda gy, x: gy * np.cos(x), "shifted", "not move them back"),
    ("rolled on", lambda x: np.roll(np.sin(x), 2, 1), lambda gy, x: np.roll(gy, 2, 1) * np.cos(x), "shifted",
     "moves them on, not back"),
    ("in an order", lambda x: np.sin(x)[:, ORDER], lambda gy, x: gy * np.cos(x), "transposed", "not move them back"),
    ("in an order, once more", lambda x: np.sin(x)[:, ORDER], lambda gy, x: gy[:, ORDER] * np.cos(x), "transposed",
     "moves them on, not back"),
    ("axes exchanged", lambda x: np.sin(x).T, lambda gy, x: gy.reshape(x.shape) * np.cos(x), "transposed",
     "not move them back"),
]  # fmt: skip


@pytest.mark.parametrize("function, backward, name, words", [case[1:] for case in MOVES],
                         ids=[case[0] for case in MOVES])  # fmt: skip
def test_what_moves_elements_and_is_not_undone_is_named(function, backward, name, words):
    verdict = first(function, X, backward=Backward(backward))
    assert verdict.name == name
    assert words in verdict.text
