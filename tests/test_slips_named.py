"""gradcheck names the slip in a backward written by hand: by a record of what it does, and changes of that."""

import mistakes_looked_at
import noise_named
import numpy as np
import pytest
from helpers import distinct, normal
from mistakes_functions import normalised, sigmoid, softmax
from mistakes_named import named, verdicts

from minicnn import gradcheck
from minicnn.gradcheck.explain.chain import Chain
from minicnn.gradcheck.explain.found import Aim
from minicnn.gradcheck.explain.people import record
from minicnn.gradcheck.explain.record import Unrecorded

LOOKED_AT = mistakes_looked_at.MISTAKES
NOT_NAMED = {
    "group norm: as if all channels were one group",  # sums over groups, and over all: two shapes
}
X, Y = normal(4, 5), normal(4, 5, seed=1)


def failure(function, *inputs, backward, **options):
    with pytest.raises(AssertionError) as raised:
        gradcheck(function, *inputs, backward=backward, **options)
    return raised.value


@pytest.mark.parametrize("mistake", [m for m in LOOKED_AT if m.title not in NOT_NAMED], ids=lambda m: m.title)
def test_a_mistake_of_the_bank_is_named(mistake):
    found = verdicts(mistake)
    assert named(mistake, found), [(verdict.name, verdict.text) for verdict in found]


def test_few_are_not_named():
    assert len(NOT_NAMED) < 0.05 * len(LOOKED_AT)


# -- what it says ------------------------------------------------------------------------------------------------------

def tanh(x):
    return np.tanh(x)


SAID = [
    (tanh, lambda gy, x: gy * (1 - x**2), "input for output",
     "`gy * (1 - x ** 2)` in line {line} should be `gy * (1 - y ** 2)`: input 0 (`x`) stands where `tanh(x)`, the "
     "output, belongs"),
    (tanh, lambda gy, x: gy * (1 - np.tanh(x)), "wrong power", "`tanh(x)` in `1 - tanh(x)`"),
    (lambda x: x / x.sum(1, keepdims=True), lambda gy, x: gy / x.sum(1, keepdims=True), "statistics as constants",
     "`sum(x, 1, keepdims=True)` depends on the input"),
    (softmax, lambda gy, x: softmax(x) * (gy - (gy * softmax(x)).sum(0)), "wrong axis", "it goes over axis 0"),
    (lambda x: np.where(x > 0, x, 0.1 * x), lambda gy, x: gy * np.where(x > 0, 1, 0.01), "one branch", "x <= 0"),
    (lambda x: x + np.tanh(x), lambda gy, x: gy * (1 - np.tanh(x) ** 2), "term missing", "`x` in `x + tanh(x)`"),
    (lambda x: x * sigmoid(x), lambda gy, x: gy * sigmoid(x) * (1 + x * (1 + sigmoid(x))),
     "wrong sign of a term", "add stands where subtract belongs"),
    *((lambda x: np.log(np.exp(x).sum(1)), backward, "extra term", f"the term `{term}` is one too many")
      for term, backward in (("0.5", lambda gy, x: gy[:, None] * (softmax(x) - 0.5)),
                             ("2", lambda gy, x: gy[:, None] * (2 + softmax(x))),
                             ("1", lambda gy, x: gy[:, None] * (1 - softmax(x))))),
]  # fmt: skip


@pytest.mark.parametrize("function, backward, name, words", SAID, ids=[name for _, _, name, _ in SAID])
def test_both_formulas_are_said_and_where_they_stand(function, backward, name, words):
    first = failure(function, np.exp(0.5 * X), backward=backward).verdicts[0] if name.startswith("stat") else failure(
        function, X, backward=backward).verdicts[0]  # fmt: skip
    assert first.name == name
    assert words.format(line=backward.__code__.co_firstlineno) in first.text


def gated(h, n, w):
    z = sigmoid(h @ w)
    return z * h + (1 - z) * n


def gated_backward(gy, h, n, w):
    z = sigmoid(h @ w)
    ga = gy * (h - n) * z * (1 - z)
    return gy * z + ga @ w.T, gy * z, h.T @ ga


def smoothed(x):
    t = 0.8 * np.eye(5)[LABELS] + 0.04
    return -(t * np.log(softmax(x))).sum(1)


def grouped(x):
    g = x.reshape(2, 2, 2, 3, 3)
    return ((g - g.mean((2, 3, 4), keepdims=True)) * 2 + g.mean((2, 3, 4), keepdims=True) ** 2).reshape(x.shape)


def grouped_backward(gy, x):
    g, gg = x.reshape(2, 2, 2, 3, 3), gy.reshape(2, 2, 2, 3, 3)
    gm = (gg * g.mean((3, 4), keepdims=True)).mean((3, 4), keepdims=True)
    return (2 * gg - 2 * gg.mean((3, 4), keepdims=True) + 2 * gm).reshape(x.shape)


LABELS = np.array([0, 3, 1, 4])
RELATED = {
    "one share for the other": (gated, gated_backward, (X, Y, normal(5, 5)), "wrong mask",
                                "the share of the one is that of the other"),
    "a weight and a term": (smoothed, lambda gy, x: gy[:, None] * (softmax(x) - np.eye(5)[LABELS]), (X,),
                            "term missing", "what is added to it is missing, or its weight"),
    "a factor that makes the output": (lambda x: x * sigmoid(x), lambda gy, x: gy * (
        sigmoid(x) + sigmoid(x) * (1 - sigmoid(x))), (X,), "factor missing", "a factor is missing"),
    "the exponent": (lambda a, b: np.log(b - 1) + a**b, lambda gy, a, b: (
        gy * b * a**b, gy * (1 / (b - 1) + a**b * np.log(a))), (np.exp(X), np.exp(Y) + 2), "wrong power",
        "in the exponent"),
    "the logarithm of another": (lambda a, b: a**b, lambda gy, a, b: (gy * b * a ** (b - 1), gy * a**b * b),
                                 (np.exp(X), Y), "another input", "`log(a)` belongs"),
    "the square": (lambda x, z: np.tanh(x) + z * np.tanh(x) ** 2, lambda gy, x, z: (
        gy * (1 - np.tanh(x)) * (1 + 2 * z * np.tanh(x)), gy * np.tanh(x) ** 2), (X, Y), "wrong power",
        "`tanh(x)` stands where `tanh(x) ** 2` belongs"),
    "not summed": (lambda x: x - np.log(np.exp(x).sum(1, keepdims=True)), lambda gy, x: gy - softmax(x) * gy, (X,),
                   "broadcast axis not summed", "is to be its sum over axis 1"),
    "not averaged": (lambda x: x - x.mean(1, keepdims=True) / 2, lambda gy, x: gy - gy / 2, (X,),
                     "broadcast axis not summed", "is to be its mean over axis 1"),
    "averages of five axes": (grouped, grouped_backward, (normal(2, 4, 3, 3),), "wrong axis", "over axis (2, 3, 4)"),
}  # fmt: skip


@pytest.mark.parametrize("case", RELATED)
def test_what_stands_for_what_is_named(case):
    function, backward, inputs, name, words = RELATED[case]
    verdict = failure(function, *inputs, backward=backward).verdicts[0]
    assert verdict.name == name, verdict
    assert words in verdict.text


def test_the_line_is_said():
    def backward(gy, x):
        y = np.tanh(x)
        slope = 1 + y**2
        return gy * slope

    text = failure(np.tanh, X, backward=backward).verdicts[0].text
    assert f"in line {backward.__code__.co_firstlineno + 2}" in text


def test_at_most_two_that_are_as_likely_are_said():
    found = failure(lambda x: x @ x, normal(4, 4), backward=lambda gy, x: gy @ x.T + x @ gy).verdicts
    assert 1 <= len(found) <= 2
    assert found[0].name == "operand not transposed"


@pytest.mark.parametrize("x", [normal(4), normal(4, 5)], ids=["one axis", "two axes"])
def test_numbers_that_are_never_put_together_are_not_transposed(x):
    """The second term of x³ + 2x multiplies the first, in place of being added to it."""
    def backward(gy, x):
        gx = gy * 3 * x**2
        return gx * 2

    found = failure(lambda x: x**3 + 2 * x, x, backward=backward).verdicts
    assert [verdict.name for verdict in found] == ["term missing"]
    assert "2 times, and nothing else" in found[0].text


def unseen(x):
    """The same numbers, of which nobody knows how they were made."""
    return np.array([[float(number) for number in row] for row in x])


EXPLAINED = [
    (lambda gy, x: gy * (1 - x**2), "wrong sign of a term|input for output", 20),  # an edit of backward
    (lambda gy, x: 2 * gy * (1 - np.tanh(x) ** 2), "constant factor", 20),  # a reader of the numbers
    (lambda gy, x: gy * np.where(x > 0, 1, 3) * (1 - np.tanh(x) ** 2), "one branch", 20),  # by one ratio on one side
    (lambda gy, x: unseen(gy * (1 - np.tanh(x) ** 2) * np.where(x > 0, 1, x)), "one branch", int((X > 0).sum())),
]  # fmt: skip


@pytest.mark.parametrize("backward, name, count", EXPLAINED)
def test_a_verdict_says_how_many_elements_it_explains_and_to_how_many_digits(backward, name, count):
    error = failure(np.tanh, X, backward=backward)
    first = next(v for v in error.verdicts if v.name in name)
    elements, of, digits = first.explains
    assert (elements, of) == (count, 20)
    assert 7 <= digits <= 15
    said = f". Explains {count} of 20 elements to {digits} digits"
    assert str(first).endswith(said)
    assert said in " ".join(str(error).split())
    assert said in error._repr_html_()


def test_what_says_where_it_is_wrong_and_not_how_counts_nothing():
    first = failure(np.sin, X, backward=lambda gy, x: gy * np.cos(x) * (x > 0), search=False).verdicts[0]
    assert first.name == "zero where it should not be"
    assert first.explains is None
    assert "Explains" not in str(first)


def test_digits_are_those_of_the_worst_element():
    off = failure(np.sin, X, backward=lambda gy, x: -gy * np.cos(x) * (1 + 3e-6 * (x == x[1, 2])), search=False)
    assert off.verdicts[0].explains == (20, 20, 5)


def test_two_that_explain_as_much_are_both_printed():
    words = np.array([2, 0, 2, 1])

    def backward(gy, w):
        g = np.zeros_like(w)
        g[words] = gy
        return g

    message = " ".join(str(failure(lambda w: w[words], normal(4, 5), backward=backward)).split())
    assert "Several mistakes look like this: Verdict: = for +=: " in message
    assert message.count(". Explains 20 of 20 elements to") == 2


# -- when nothing is said ----------------------------------------------------------------------------------------------

NOISE = [
    lambda gy, g, random: g * (1 + 0.3 * random.standard_normal(g.shape)),
    lambda gy, g, random: random.standard_normal(g.shape) * np.abs(gy).mean(),
    lambda gy, g, random: g + 0.1 * random.standard_normal(g.shape) * np.abs(gy).mean(),
]


@pytest.mark.parametrize("noise", range(len(NOISE)))
@pytest.mark.parametrize("mistake", LOOKED_AT[::23], ids=lambda m: m.title)
def test_what_follows_no_formula_gets_no_formula(mistake, noise):
    def backward(gy, *inputs):
        found = mistake.backward(gy, *inputs)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        found[mistake.input] = NOISE[noise](gy, np.asarray(found[mistake.input]), np.random.default_rng(noise))
        return found

    with np.errstate(all="ignore"):
        found, without = (failure(mistake.function, *mistake.inputs, backward=backward, search=search).verdicts
                          for search in (True, False))  # fmt: skip
    assert found == without


def test_of_random_wrong_gradients_few_get_a_name():
    """``python tests/noise_named.py 1000`` draws more."""
    found = [(wrong, verdicts) for wrong, verdicts in noise_named.named(range(96))]
    assert len(found) <= 1, found
    assert all(verdicts is not None for _, verdicts in found)  # and none passes


def test_each_kind_of_noise_is_drawn_on_functions_of_both_sources_and_on_what_is_wrong_already():
    titles = [noise_named.drawn(number).title for number in range(96)]
    for kind in noise_named.NOISE:
        assert sum(f": {kind}" in title for title in titles) >= 5
    assert sum("wrong already" in title for title in titles) > 5


def test_what_mends_it_for_one_gy_alone_is_no_explanation():
    def backward(gy, x):
        return gy * np.exp(gy[0, 0] / gy[0, 1])  # as large for twice gy, not for another

    found, without = (failure(lambda x: 3 * x, X, backward=backward, search=search).verdicts
                      for search in (True, False))  # fmt: skip
    assert found == without


def test_the_search_can_be_switched_off():
    calls = []

    def backward(gy, x):
        calls.append(type(x))
        return gy * (1 - x**2)

    failure(np.tanh, X, backward=backward, search=False)
    assert set(calls) == {np.ndarray}
    failure(np.tanh, X, backward=backward)
    assert len(set(calls)) == 2


def test_what_cannot_be_recorded_is_left_to_the_others():
    def backward(gy, x):
        return 2 * np.array([[float(number) for number in row] for row in gy]) * x

    assert failure(lambda x: x * x / 2, X, backward=backward).verdicts[0].name == "constant factor"


# -- the record --------------------------------------------------------------------------------------------------------


def places(gy, x):
    g = np.zeros_like(x)
    for i in range(x.shape[1] - 1):
        g[:, i : i + 2] += gy[:, i : i + 1] * [1, 2]
    g[:, 0] *= 3
    return g


def in_place(gy, x):
    g = gy.copy()
    g -= g.mean(1, keepdims=True)
    np.multiply(g, 2, out=g)
    g[x < 0] = 0
    return g


def parts(gy, x):
    a, b = np.split(gy[:, :4], 2, 1)
    top = np.empty((len(gy), 5))
    top[:, :2], top[:, 2:4], top[:, 4] = a.cumsum(1), b.max(1, keepdims=True), 7
    np.put_along_axis(top, x.argmax(1)[:, None], gy[:, :1], 1)
    return np.hstack([top[:, 1:], top[:, :1]]).T.swapaxes(0, 1).reshape(4, -1)


def listed(gy, x):
    products = np.array([[g * w for g, w in zip(a, b, strict=True)] for a, b in zip(gy, x, strict=True)])
    return products + x.T[::-1].flatten()[:5]


def read_back(gy, x):
    g = gy
    g[x < 0] = 0  # in gy itself
    return gy.astype(np.float64) ** 2 + (gy @ x.T).trace()


@pytest.mark.parametrize("backward", [places, in_place, parts, listed, read_back])
def test_a_record_gives_again_what_the_program_gave_also_for_another_gy(backward):
    tape = record(lambda x: x * 1, backward, [X], Y, ["x"])
    out = tape.gradients[0]
    np.testing.assert_allclose(tape.calls[out].value, backward(Y.copy(), X))
    other = normal(4, 5, seed=7)
    again = tape.follow({tape.gy: other}, range(len(tape.calls)))
    np.testing.assert_allclose(again[out], backward(other.copy(), X))
    assert len(tape.calls) > 4


class Layer:
    """Keeps what it saw, as people's layers do."""

    def forward(self, x):
        self.x, self.y = x, np.tanh(x)
        return self.y

    def backward(self, gy, x):
        return gy * (1 - self.x**2)


class OfGradient(Layer):
    def backward(self, gy):
        return super().backward(gy, None)


def test_what_a_layer_keeps_from_forward_is_known_in_backward():
    layer = Layer()
    first = failure(layer.forward, X, backward=layer.backward).verdicts[0]
    assert (first.name, "1 - y ** 2" in first.text) == ("input for output", True)


def test_the_bias_of_a_large_layer_is_named():
    """Slopes of what has many numbers are not measured where they are no way of the bias."""
    inputs = normal(32, 300), normal(300, 40, seed=1) / 10, normal(40, seed=2)

    def backward(gy, x, w, b):
        g = gy * (x @ w + b > 0)
        return g @ w.T, x.T @ g, gy.sum(0)

    found = failure(lambda x, w, b: np.maximum(x @ w + b, 0), *inputs, backward=backward).verdicts
    assert found[0].name == "mask forgotten"


def test_a_layer_is_left_without_anything_watched():
    layer = Layer()
    failure(layer.forward, X, backward=layer.backward)
    assert type(layer.x) is type(layer.y) is np.ndarray


def test_layers_of_a_net_are_named_their_slips():
    with pytest.raises(AssertionError) as raised:
        gradcheck.layers([OfGradient(), OfGradient()], X)
    first = raised.value.verdicts[0]
    assert (first.name, "`gy * (1 - y ** 2)`" in first.text) == ("input for output", True)


def test_inputs_and_program_are_left_as_they_were():
    given = X.copy()
    before = sigmoid.__globals__["np"]
    failure(lambda x: x * sigmoid(x), given, backward=lambda gy, x: gy * sigmoid(x))
    assert np.array_equal(given, X)
    assert sigmoid.__globals__["np"] is before is np


def test_a_program_of_very_many_calls_is_not_read():
    def backward(gy, x):
        for _ in range(4000):
            gy = gy * 1.0
        return gy

    with pytest.raises(Unrecorded, match="3000 calls"):
        record(np.tanh, backward, [X], Y, ["x"])
    assert failure(np.tanh, X, backward=backward)


# -- the chain rule ----------------------------------------------------------------------------------------------------


def norm(x, w):
    a = np.zeros((4, 3))
    for i in range(4):
        a[i] = normalised(x)[i] @ w
        a[:, :1] += x[i, :1] * a[i : i + 1, 1:2]
    a = a.reshape(3, 4).reshape(4, 3) @ (w.T @ w)
    return np.where(a > 0, a, 0.1 * a).sum(1) + np.pad(x, 1)[1:-1, 1:-1].max(1)


def test_the_chain_rule_along_the_record_gives_the_gradient_at_every_call():
    inputs = distinct(4, 5), normal(5, 3)
    gy = normal(4, seed=3)
    tape = record(norm, lambda gy, x, w: (x, w), inputs, gy, ["x", "w"])
    found = Chain(tape).gradients(gy)
    for n in [*tape.leaves, *range(2, tape.gy)]:
        call = tape.calls[n]
        if call.value.dtype.kind != "f" or n not in found:
            continue
        for j in range(call.value.size):
            sums = []
            for h in (1e-6, -1e-6):
                moved = call.value.copy()
                moved.flat[j] += h
                sums.append((tape.follow({n: moved}, range(tape.gy))[tape.output] * gy).sum())
            assert found[n].flat[j] == pytest.approx((sums[0] - sums[1]) / 2e-6, rel=1e-6, abs=1e-7)
    assert len(found) > 40


def test_what_is_right_is_no_looser_where_backward_gave_far_too_much():
    right = normal(6)
    assert Aim(0, 1e12 * right, right, np.abs(right)).times(right, 1e12 * right) == pytest.approx(1e12)
    assert not Aim(0, 1e12 * right, right, np.abs(right)).is_right(right + 1)


def test_what_is_nearly_the_same_is_not():
    right = normal(6)
    aim = Aim(0, right * 2, right, np.abs(right))
    assert aim.is_right(right * (1 + 1e-8))
    assert not aim.is_right(right * (1 + 1e-4))
    assert not aim.gave(right)
    assert aim.times(right, 2 * right) == pytest.approx(2)
    assert aim.times(right, 2 * right + 0.01 * normal(6, seed=2)) is None
