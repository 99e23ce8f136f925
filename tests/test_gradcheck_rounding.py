"""The check follows rounding: what cancels passes, what is small is seen; what is right at one place alone is not."""

import time

import numpy as np
import pytest
import right_functions
from helpers import normal
from right_functions import chain, pieces, refused, response, response_back, sigmoid, unit, unit_back, window

from minicnn import GradientError, Tensor, gradcheck, nn, no_grad, ops
from minicnn.engine.op import op
from minicnn.gradcheck import judge
from minicnn.gradcheck.rounding import step_of


def told(function, *inputs, **options):
    """What is found wrong, on one line."""
    with pytest.raises(GradientError) as caught:
        gradcheck(function, *inputs, **options)
    return " ".join(str(caught.value).split())


def test_values_that_go_up_by_steps_show_them():
    x = 0.03 + 1e-3 * normal(8, 3)
    values = np.stack([1 - np.cos(x), np.sin(x), np.zeros(x.shape), 3 * np.round(8 * x)], -1)
    values[0, 0, 1] = np.nan
    found = step_of(values)
    assert (found[:, 0] == 2.0**-53).all()
    assert found[0, 1] == 0 and (found[1:, 1] < 2.0**-53).all()
    assert (found[:, 2:] == 0).all()
    assert (step_of(np.array([[-3.0, 6.5], [12.0, 0.0]])) == [1, 0.5]).all()


def test_an_error_of_another_slope_is_not_that_of_rounding():
    """Along lines of (step, error): it grows with smaller steps, as rounding, or stays, or falls."""
    noise, small = 1e-8, [10.0**-n for n in range(3, 9)]
    grows = [(0.1, 1e-2), (0.01, 1e-4), *((h, noise / h) for h in small)]
    assert judge.single(grows, 1.0, 1.0)
    assert not judge.single(grows, 1.0, 1e6), "so much is double precision's"
    assert not judge.another_slope(grows)
    assert not judge.another_slope([*grows, (1e-9, np.inf)])
    assert judge.another_slope([*grows[:-3], (1e-6, 0.23), (1e-7, 0.231), (1e-8, 0.229)])
    assert judge.another_slope([*grows[:-1], (1e-8, 0.001)])


# -- right ones --------------------------------------------------------------------------------------------------------


def test_right_functions_raise_no_alarm():
    assert not list(refused(range(100)))


@pytest.mark.parametrize("number", [253, 373, 508, 599, 1212, 1421, 5087, 5123, 5359, 5988, 20419, 30849, 40458, 40833,
                                    50102, 70099, 70240, 200433, 201011, 202611, 400483, 401103, 500648, 502673,
                                    503603, 503963, 504253, 505808, 507683, 508732, 508877, 510717, 511499, 511958,
                                    515173, 516237, 516363, 516413, 516991, 518893, 708043, 800073, 904953,
                                    911608])  # fmt: skip
def test_right_functions_that_once_raised_an_alarm_raise_none(number):
    assert not list(refused([number]))


@pytest.mark.parametrize("number", [633, 1263])
def test_of_a_value_that_is_rounding_alone_a_wrong_gradient_is_seen(number):
    """What differences cannot tell along a line, they tell by element."""
    right = right_functions.drawn(number)
    with pytest.raises(GradientError):
        gradcheck(right.function, *right.inputs, backward=lambda gy, x: 1.5 * right.backward(gy, x), seed=number)


def test_what_digits_cancel_in_is_counted_and_not_wrong():
    x = 3e-5 * normal(3, 4)
    report = gradcheck(lambda x: np.log(1 + x * x).sum(), x, backward=lambda gy, x: gy * 2 * x / (1 + x * x))
    assert report.untold == {"input 0 (x)": 12}
    assert report.error < report.resolution < 1e-2
    assert told(lambda x: np.log(1 + x * x).sum(), x, backward=lambda gy, x: gy * 2.5 * x / (1 + x * x))
    assert "float32" in told(lambda x: np.float32(np.log(1 + x * x).sum()), x, backward=lambda gy, x: gy * 2 * x)
    nothing = gradcheck(lambda x: 1 - np.cos(x), 1e-10 * normal(3), backward=lambda gy, x: gy * np.sin(x))
    assert nothing.untold == {"input 0 (x)": 3}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shift", [0, 100])
def test_a_bias_before_a_norm_may_have_the_rounding_of_its_terms(seed, shift):
    smooth, _ = pieces(np.random.default_rng(0), 6, 4)
    value, back = smooth["batch norm"]
    gradcheck(lambda x, b: value(x + b), shift + normal(6, 4, seed=seed), normal(4, seed=1), seed=seed,
              backward=lambda gy, x, b: (back(gy, x + b), back(gy, x + b).sum(0)))  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_saturated_ones_raise_no_alarm_and_a_wrong_one_is_seen(seed):
    x = 20 + normal(6, seed=seed)
    gradcheck(sigmoid, x, backward=lambda gy, x: gy * sigmoid(x) * (1 - sigmoid(x)), seed=seed)
    assert told(sigmoid, x, backward=lambda gy, x: 1.01 * gy * sigmoid(x) * sigmoid(-x), seed=seed)
    gradcheck(ops.softmax, 15 * normal(3, 5, seed=seed), seed=seed)


def test_a_minimum_and_what_says_0_of_it():
    gradcheck(lambda x: ((x - x.mean()) ** 2).sum(), np.ones(5), backward=lambda gy, x: gy * 2 * (x - x.mean()))
    assert told(lambda x: ((x - 1) ** 2).sum(), np.ones(5), backward=lambda gy, x: 0 * x)  # right only there


# -- small errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.05, 0.005])
@pytest.mark.parametrize("seed", range(4))
def test_a_term_that_is_small_beside_the_rest_is_seen(size, seed):
    def without_the_cross_term(gy, x):
        return gy * (2 + 1e-4 * window(x * x)) ** -0.75

    x = size * normal(4, 6, seed=seed)
    assert "term that is small" in told(response, x, backward=without_the_cross_term, seed=seed)
    report = gradcheck(response, x, backward=response_back, seed=seed)
    assert report.error <= report.resolution < 1e-11
    gradcheck(response, x, backward=without_the_cross_term, seed=seed, tolerance=1e-5)


def test_what_is_small_is_shown_with_its_digits():
    message = told(np.tanh, normal(5), backward=lambda gy, x: gy * (1 - np.tanh(x) ** 2) * (1 + 3e-8))
    assert "1 +3.0e-08" in message
    assert "right to 7.5 digits" in message


def test_no_line_hides_a_small_error():
    x = normal(4, 5)
    for seed in range(60):
        assert told(lambda x: x * x, x, seed=seed, backward=lambda gy, x: gy * (2 * x + 1e-5 * (x == x[1, 2])))


def test_an_epsilon_that_is_left_out_is_seen():
    assert told(lambda x: x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-8), normal(3, 4), backward=unit_back)
    gradcheck(unit, normal(3, 4), backward=unit_back)


# -- kinks -------------------------------------------------------------------------------------------------------------


AT_0 = np.array([0.0, 1.3, -0.4])


@pytest.mark.parametrize("said", [np.nan, np.inf, 1.5, -3])
@pytest.mark.parametrize("function", [np.abs, lambda x: np.abs(x).sum()])
def test_at_a_kink_with_two_slopes_only_what_is_between_is_right(function, said):
    gradcheck(function, AT_0, backward=lambda gy, x: gy * np.sign(x))
    assert told(function, AT_0, backward=lambda gy, x: gy * np.where(x == 0, said, np.sign(x)))


def test_a_leaky_relu_that_gives_0_at_0_is_wrong_by_hand_or_as_an_op():
    def leaky(x):
        return np.where(x > 0, x, 0.1 * x)

    @op
    def careless(x):
        return leaky(x), lambda gy: gy * (np.where(x > 0, 1, 0.1) * (x != 0))

    assert "kink or tie" in told(careless, AT_0)
    assert "kink or tie" in told(leaky, AT_0, backward=lambda gy, x: gy * np.where(x > 0, 1, 0.1) * (x != 0))
    gradcheck(lambda x: ops.relu(x) - 0.1 * ops.relu(-x), AT_0)  # of right choices at each of two kinks


def test_a_row_of_zeros_divided_by_its_norm_is_not_finite():
    x = normal(3, 4) * [[1], [0], [1]]
    with np.errstate(invalid="ignore"):
        assert "not finite" in told(lambda x: np.linalg.norm(x, axis=1), x, backward=lambda gy, x: (
            gy[:, None] * x / np.linalg.norm(x, axis=1, keepdims=True)))  # fmt: skip


@pytest.mark.parametrize("wrong", [lambda gy, a, b: (gy * (a >= b), gy * (b >= a)),
                                   lambda gy, a, b: (gy * (a > b), gy * (b > a))], ids=["to both", "to neither"])
@pytest.mark.parametrize("tied", [np.arange(4) < 4, np.arange(4) < 2], ids=["all", "two"])
def test_of_two_inputs_that_tie_one_gets_the_gradient_or_both_share_it(wrong, tied):
    a, b = normal(4), np.where(tied, normal(4), normal(4, seed=1))
    assert "contend for the same outputs" in told(np.maximum, a, b, backward=wrong)
    gradcheck(np.maximum, a, b, backward=lambda gy, a, b: (gy * (a >= b), gy * (b > a)))
    gradcheck(np.maximum, a, b, backward=lambda gy, a, b: tuple(gy * ((c > 0) + (c == 0) / 2) for c in (a - b, b - a)))


@pytest.mark.parametrize("shares, right", [((0.5, 1), False), ((1, 0.5), False), ((0.5, 0), False), ((0.5, 0.5), True),
                                           ((0, 1), True), ((0.3, 0.7), True)])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_a_share_that_looks_right_alone_is_held_against_that_of_the_other(shares, right, seed):
    a, b = normal(4), np.where(np.arange(4) < 2, normal(4), normal(4, seed=1))

    def backward(gy, a, b):
        return gy * ((a > b) + shares[0] * (a == b)), gy * ((b > a) + shares[1] * (a == b))

    if right:
        gradcheck(np.maximum, a, b, backward=backward, seed=seed)
    else:
        said = told(np.maximum, a, b, backward=backward, seed=seed)
        assert "elements of input 0 (x1) and input 1 (x2) contend for the same outputs" in said


@pytest.mark.parametrize("said, right", [(0, True), (0.3, True), (-0.49, True), (0.6, False), (1, False), (-5, False)])
@pytest.mark.parametrize("seed", range(3))
def test_at_a_row_of_zeros_its_norm_has_no_slope_beyond_1(said, right, seed):
    x = normal(3, 4) * [[1], [0], [1]]  # 4 times 0.5 is a vector of norm 1

    def norm(x):
        return np.linalg.norm(x, axis=1)

    def backward(gy, x):
        far = norm(x)[:, None]
        return gy[:, None] * np.where(far > 0, x / np.where(far > 0, far, 1), said * np.array([1, -1, 1, 1]))

    if right:
        gradcheck(norm, x, backward=backward, seed=seed)
    else:
        words = "must lie between the slopes in every direction, as 0 does"
        assert words in told(norm, x, backward=backward, seed=seed)


def test_sums_of_kinks_that_have_nothing_to_do_with_each_other_are_no_corner():
    chosen = np.array([-1, 1, -1])  # at 0
    for seed in range(20):
        gradcheck(lambda x: (np.abs(x) + x).sum(), np.zeros(3), seed=seed,
                  backward=lambda gy, x: gy * (1 + np.where(x == 0, chosen, np.sign(x))))
    gradcheck(lambda x, b: np.maximum(x + b, 0).sum(1), np.zeros((2, 3)), normal(3) * [0, 1, 0],
              backward=lambda gy, x, b: (lambda g: (g, g.sum(0)))(gy[:, None] * (x + b > 0)))  # fmt: skip


def test_independent_kinks_in_one_sum_do_not_contend():
    clip = lambda x: np.clip(x, -1, 1).sum()  # noqa: E731
    gradcheck(clip, np.array([1, -1, 0.3]), backward=lambda gy, x: gy * (np.abs(x) <= 1))


# -- right at the given inputs alone -----------------------------------------------------------------------------------


@pytest.mark.parametrize("function, backward, inputs", [
    (lambda x, g: x * g, lambda gy, x, g: (gy, gy * x), (normal(3), np.ones(3))),
    (lambda x, w: x @ w, lambda gy, x, w: (gy @ w, x.T @ gy), (normal(4, 3), normal(3, 3) + normal(3, 3).T)),
    (lambda h, w: np.tanh(h @ w + 1), lambda gy, h, w: (gy * (1 - np.tanh(h @ w + 1) ** 2) @ w.T, 0 * w),
     (np.zeros((2, 3)), normal(3, 3))),
    (lambda x, g: np.maximum(x, 0) * g, lambda gy, x, g: (gy * (x > 0), gy * np.maximum(x, 0)), (AT_0, np.ones(3))),
], ids=["a factor of 1", "a symmetric matrix", "a state of 0", "beside kinks"])  # fmt: skip
def test_what_is_right_at_the_given_inputs_alone_is_wrong(function, backward, inputs):
    assert "right at the inputs given, but not a little away" in told(function, *inputs, backward=backward)


@pytest.mark.parametrize("function, backward, x", [
    (np.sqrt, lambda gy, x: gy / (2 * np.sqrt(x)), np.array([1e-9, 1, 4])),
    (np.arcsin, lambda gy, x: gy / np.sqrt(1 - x * x), np.array([0.999999, -0.5])),
], ids=["root", "arcsin"])  # fmt: skip
def test_what_is_not_defined_a_little_away_is_not_held_against_it(function, backward, x):
    gradcheck(function, x, backward=backward)


def test_what_raises_a_little_away_is_not_held_against_it():
    def choose(x, p):
        if not 0 <= p <= 1:
            raise ValueError(p)
        return x * p

    gradcheck(choose, normal(3), np.array(0.5), backward=lambda gy, x, p: (gy * p, (gy * x).sum()))


def test_inputs_are_put_back_after_the_look_away():
    layer, x = nn.Linear(3, 2), Tensor(normal(2, 3))
    before = layer.weight.numpy().copy()
    gradcheck(layer, x)
    assert (layer.weight.numpy() == before).all()
    assert (x.numpy() == normal(2, 3)).all()


# -- and --------------------------------------------------------------------------------------------------------------


def test_a_backward_by_hand_and_a_layer_are_checked_under_no_grad():
    with no_grad():
        gradcheck(np.tanh, normal(3), backward=lambda gy, x: gy * (1 - np.tanh(x) ** 2))
        gradcheck(nn.Linear(3, 2), normal(2, 3))
        assert told(lambda x: x * x.detach(), normal(3))


def test_a_layer_of_a_million_parameters_takes_seconds():
    start = time.perf_counter()
    report = gradcheck(nn.Linear(1000, 1000), normal(8, 1000))
    assert time.perf_counter() - start < 20
    assert report.resolution < 1e-6


def test_a_chain_of_right_pieces_is_right():
    """As ``right_functions`` draws them: its pullbacks go back in the other order."""
    smooth, _ = pieces(np.random.default_rng(1), 3, 4)
    function, backward = chain([smooth["tanh"], smooth["softmax"]])
    gradcheck(function, normal(3, 4), backward=backward)
    assert right_functions.drawn(5).title == right_functions.drawn(5).title
