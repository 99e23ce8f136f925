"""The check: each mistake is found and called by its name, what is right passes, and nothing is left changed."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import distinct, normal

from minicnn import GradientError, Tensor, cpu, gradcheck, models, nn, no_grad, ops
from minicnn.engine.op import op
from minicnn.gradcheck.lines import Lines

FOLDER = Path(models.__file__).parent.parent / "gradcheck"


def failure(function, *inputs, **options):
    with pytest.raises(GradientError) as caught:
        gradcheck(function, *inputs, **options)
    return caught.value


def told(*arguments, **options):
    """What the error says, on one line."""
    return " ".join(str(failure(*arguments, **options)).split())


def verdicts(function, *inputs, **options):
    return [verdict.name for verdict in failure(function, *inputs, **options).verdicts]


# -- mistakes, as they are made in homework: functions of arrays with a backward written by hand -----------------------


def pool(x):
    """Maxima over windows 3 wide and 2 apart."""
    return np.stack([x[..., 2 * q : 2 * q + 3].max(-1) for q in range((x.shape[-1] - 1) // 2)], -1)


def pool_backward(gy, x, overwrites):
    g = np.zeros_like(x)
    for *i, q in np.ndindex(gy.shape):
        place = (*i, 2 * q + int(x[(*i, slice(2 * q, 2 * q + 3))].argmax()))
        g[place] = gy[(*i, q)] + (0 if overwrites else g[place])
    return g


def softmax(x):
    y = np.exp(x - x.max(1, keepdims=True))
    return y / y.sum(1, keepdims=True)


def scattered(gy, x):
    g = np.zeros_like(x)
    g[[2, 0, 2]] = gy  # np.add.at would add
    return g


def shifted(gy, x):
    """The second of two halves of the channels goes one channel too low."""
    g = 2 * x * gy
    return np.concatenate([g[:, :4], np.roll(g[:, 4:], -1, 1)], 1)


def at_the_border(gy, x):
    g = 2 * x * gy
    g[..., 0, :] *= 1.1
    return g


X, B, SQUARE = normal(4, 3), normal(3, seed=1), normal(3, 3, seed=1)

def neighbours(x):
    """Each element, and the squares of those before and after it."""
    wide = np.pad(x, ((0, 0), (1, 1)))
    return x + wide[:, :-2] ** 2 + wide[:, 2:] ** 2


MISTAKES = {  # what was done wrong: the function, its backward, inputs, and the verdict
    "a minus": (lambda x: x * x, lambda gy, x: -2 * x * gy, (X,), "wrong sign"),
    "a factor 2": (lambda x: x * x, lambda gy, x: 4 * x * gy, (X,), "constant factor"),
    "half": (lambda x: x * x, lambda gy, x: x * gy, (X,), "constant factor"),
    "mean for sum": (lambda x, b: x + b, lambda gy, x, b: (gy, gy.mean(0)), (X, B), "constant factor"),
    "mean without 1 / n": (lambda x: x.mean(1), lambda gy, x: gy[:, None] + 0 * x, (X,), "constant factor"),
    "transposed": (lambda x, w: x @ w, lambda gy, x, w: (gy @ w.T, gy.T @ x), (X, SQUARE), "transposed"),
    "another shape": (lambda x, w: x @ w, lambda gy, x, w: (gy @ w.T, gy.T @ x), (X, normal(3, 2)), "transposed"),
    "not reflected": (lambda x: x * [1, 2, 3], lambda gy, x: (gy * [1, 2, 3])[:, ::-1], (X,), "transposed"),
    "reshaped amiss": (lambda x: x.T, lambda gy, x: gy.reshape(x.shape), (X,), "transposed"),
    "no sum": (lambda x, b: x + b, lambda gy, x, b: (gy, gy), (X, B), "broadcast axis not summed"),
    "no sum, one row": (lambda x, b: x + b, lambda gy, x, b: (gy, gy[0]), (X, B), "broadcast axis not summed"),
    "= in a scatter": (lambda x: x[[2, 0, 2]], scattered, (normal(4),), "= for +="),
    "= in a pool": (pool, lambda gy, x: pool_backward(gy, x, True), (distinct(3, 9),), "= for +="),
    "a border": (lambda x: x * x, at_the_border, (normal(2, 5, 6),), "padded border"),
    "a group": (lambda x, w: x * x, lambda gy, x, w: (shifted(gy, x), None),
                (normal(1, 8, 2, 2), np.ones((2, 4, 1, 1), int)), "group boundary"),
    "no product rule": (lambda x: np.exp(x) * x, lambda gy, x: gy * np.exp(x) * x, (X,), "term missing"),
    "no residual": (lambda x: x + np.tanh(x), lambda gy, x: gy * (1 - np.tanh(x) ** 2), (X,), "term missing"),
    "softmax without its sum": (softmax, lambda gy, x: gy * softmax(x), (X,), "term missing"),
    "a neighbour forgotten": (neighbours, lambda gy, x: gy + 2 * x * np.pad(gy, ((0, 0), (0, 1)))[:, 1:], (X,),
                              "term missing"),
    "no gradient": (lambda x: x * x, lambda gy, x: 0 * gy, (X,), "zero where it should not be"),
    "another mask": (lambda x: x * [1, 0, 1], lambda gy, x: gy * [1, 1, 0], (X,), "wrong mask"),
    "a division by 0": (lambda x: x * x, lambda gy, x: np.where(x > 0, np.nan, gy), (X,), "not finite"),
    "float32": (lambda x: x.astype(np.float32) * x, lambda gy, x: 2 * x * gy, (X,), "single precision"),
    "float32 backward": (lambda x: x * x, lambda gy, x: np.float32(2 * x * gy), (X,), "single precision"),
    "every maximum": (lambda x: x.max(1), lambda gy, x: gy[:, None] * (x == x.max(1, keepdims=True)),
                      (np.array([[1.0, 3.0, 3.0], [0.0, 2.0, 1.0]]),), "kink or tie"),
    "relu' = 2 at 0": (lambda x: np.maximum(x, 0), lambda gy, x: gy * np.where(x == 0, 2, x > 0),
                       (np.array([0, 1, -1.0]),), "kink or tie"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_and_named(mistake):
    function, backward, inputs, name = MISTAKES[mistake]
    assert verdicts(function, *inputs, backward=backward, search=False)[:1] == [name]


def test_where_every_channel_is_a_group_there_is_no_border_between_groups():
    def backward(gy, x, w):
        g = 2 * x * gy
        g[:, 3] += gy[:, 5] * x[:, 5]
        return g, None

    inputs = normal(1, 8, 2, 2), np.ones((2, 1, 1, 1), int)
    assert "group boundary" not in verdicts(lambda x, w: x * x, *inputs, backward=backward)


@pytest.mark.parametrize("function, backward, inputs", [
    (lambda x: x * x, lambda gy, x: 2 * x * gy, (normal(2, 3),)),
    (lambda x, w: x @ w, lambda gy, x, w: (gy @ w.T, x.T @ gy), (normal(4, 3), normal(3, 2))),
    (pool, lambda gy, x: pool_backward(gy, x, False), (distinct(3, 9),)),
    (softmax, lambda gy, x: softmax(x) * (gy - (gy * softmax(x)).sum(1, keepdims=True)), (normal(2, 3),)),
], ids=["square", "matmul", "pool", "softmax"])  # fmt: skip
def test_what_is_right_passes(function, backward, inputs):
    assert gradcheck(function, *inputs, backward=backward).error < 1e-8


def test_overlapping_windows_are_named_where_no_single_window_counts():
    def careless(gy, x):
        g = pool_backward(gy, x, False)
        return np.where(pool_backward(np.ones_like(gy), x, False) > 1, 0.3 * g, g)

    assert "overlapping windows" in verdicts(pool, distinct(3, 9), backward=careless, search=False)


def test_inputs_drawn_from_the_same_seed_hide_nothing():
    """With u equal to x, gy.T @ x would be as good as x.T @ gy."""
    x = np.random.default_rng(0).standard_normal((3, 3))
    assert failure(lambda x: x @ x, x, backward=lambda gy, x: gy @ x.T + gy.T @ x)


# -- what it says ------------------------------------------------------------------------------------------------------


def test_the_error_says_which_input_which_elements_and_both_numbers():
    @op
    def careless(a, b):
        def gb(gy):
            g = gy * a
            g[1, 2] *= 1.001
            return g

        return a * b, lambda gy: gy * b, gb

    error = failure(careless, normal(2, 3), normal(2, 3, seed=1))
    assert error.input == "input 1 (b)"
    assert "careless: the gradient of input 1 (b), shape (2, 3), is wrong in 1 of 6 elements" in str(error)
    row = next(line.split() for line in str(error).splitlines() if line.strip().startswith("(1, 2)"))
    assert [float(n) for n in row[2:]] == pytest.approx([error.analytic[1, 2], error.numeric[1, 2], 1.001])
    assert np.isfinite(error.numeric).all()


def test_the_worst_elements_come_first():
    x = np.arange(1.0, 9.0)
    error = failure(lambda x: x * x, x, backward=lambda gy, x: gy * (2 * x + (x == 5) + 0.1 * (x > 6)))
    lines = [line.split()[0] for line in str(error).splitlines() if line.strip().startswith("(")]
    assert lines[0] == "(4,)"
    assert len(lines) == 3


MATMUL = [
    (lambda gy, x, w: (-gy @ w.T, x.T @ gy), ["input 0 (x)", "every element is −1 times what it should be"]),
    (lambda gy, x, w: (gy @ w.T, x.T @ gy / 4),
     ["input 1 (w)", "0.25 times", "That is 1 / 4; 4 is", "axis 0 of input 0", "a mean where the sum belongs"]),
    (lambda gy, x, w: (gy @ w.T * 3, x.T @ gy), ["3 times what it should be", "That is 3; 3 is", "axis 1 of input 0"]),
    (lambda gy, x, w: (gy @ w.T, (x.T @ gy).T), ["has the shape (2, 3), the input (3, 2)", "in another order"]),
    (lambda gy, x, w: (gy @ w.T, gy[:, None, :] * x[:, :, None]), ["broadcast along axes (0,)", "sum the gradient"]),
    (lambda gy, x, w: (gy @ w.T, (x.T @ gy).ravel()), ["has the shape (6,), the input (3, 2)", "reshape it"]),
    (lambda gy, x, w: (gy @ w.T, x.T @ gy * [1, 1.3]), ["wrong in 3 of 6 elements", "No known mistake fits"]),
    (lambda gy, x, w: (gy @ w.T, None), ["wrong in 6 of 6 elements", "zero where it should not be"]),
]


@pytest.mark.parametrize("backward, says", MATMUL, ids=[says[-1] for _, says in MATMUL])
def test_it_says_what_is_wrong_and_what_to_look_for(backward, says):
    message = told(lambda x, w: x @ w, normal(4, 3), normal(3, 2, seed=1), backward=backward, search=False)
    assert not [part for part in says if part not in message], message


def test_where_several_mistakes_fit_it_names_them_all():
    error = failure(pool, distinct(3, 9), backward=lambda gy, x: pool_backward(gy, x, True), search=False)
    assert [v.name for v in error.verdicts] == ["= for +=", "overlapping windows"]
    assert "Several mistakes look like this:" in str(error)


def test_a_tie_shows_both_contenders_and_how_far_apart_they_are():
    x = np.array([[1.0, 3.0, 3.0 - 1e-11], [0.0, 2.0, 1.0]])
    message = told(lambda x: x.max(1), x, backward=lambda gy, x: gy[:, None] * (x > x.max(1, keepdims=True) - 1e-9))
    assert "elements (0, 1) = 3 and (0, 2) = 3, 1e-11 apart, contend for one output" in message


def test_rounding_shows_the_error_over_the_step():
    error = failure(lambda x: x.astype(np.float32) * x, normal(3), backward=lambda gy, x: 2 * x * gy)
    assert [v.name for v in error.verdicts] == ["single precision"]
    points = [line.split() for line in str(error).splitlines() if line.startswith("    step")]
    errors = {float(step): float(error) for _, step, _, error, _ in points}
    assert errors[1e-2] < 1e-4 < errors[1e-7]


def test_a_function_that_changes_is_named():
    random = np.random.default_rng(0)
    changing = failure(lambda x: ops.dropout(x, [int(random.integers(99)), 0]), normal(5))
    assert [v.name for v in changing.verdicts] == ["not deterministic"]
    assert "called twice with the same inputs" in str(changing)
    assert verdicts(nn.Dropout(), normal(5, 4)) == ["not deterministic"]
    gradcheck(nn.Dropout().eval(), normal(5, 4))


def test_a_function_that_changes_later_on_is_named_before_its_backward_is_blamed():
    calls = iter(range(99))
    later = verdicts(lambda x: x * x * (1 + 0.001 * (next(calls) > 3)), X, backward=lambda gy, x: 2 * x * gy)
    assert later == ["not deterministic"]


def test_of_many_wrong_elements_few_are_measured_again():
    calls = []
    failure(lambda x: calls.append(x) or x * x, normal(30, 30), backward=lambda gy, x: 3 * x * gy, elements=900)
    assert 2 * 900 < len(calls) < 3 * 900


def test_a_value_that_is_not_finite_is_named():
    error = failure(lambda x: x + np.array([0, np.inf, 0]), normal(3))
    assert [v.name for v in error.verdicts] == ["not finite"]


@pytest.mark.parametrize(("error", "setting"), [
    *((ValueError, setting) for setting in (
        {"step": 0.0}, {"step": 1.0}, {"step": np.nan}, {"tolerance": -1.0}, {"tolerance": np.inf}, {"elements": 0},
        {"seed": -1}, {"parameters": [Tensor([1.0])]}, {"parameters": [Tensor([1])]})),
    *((TypeError, setting) for setting in (
        {"step": "1e-6"}, {"elements": 2.5}, {"elements": True}, {"seed": None}, {"picture": 3}, {"parameters": 3},
        {"parameters": [3]}, {"parameters": Tensor([1.0], requires_grad=True)}, {"parameters": ["w"]},
        {"backward": "exp"}, {"function": None}, {"function": nn.ReLU}, {"function": 3})),
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(error, setting):
    name, = setting
    settings = {"function": ops.exp, **setting}
    with pytest.raises(error, match=f"gradcheck: {name.removesuffix('s')}"):
        gradcheck(settings.pop("function"), normal(3), **settings)


@pytest.mark.parametrize("returned, words", [
    (lambda x: np.float64(1), "float64, not a tensor: a function of NumPy arrays needs its backward="),
    (lambda x: (x, x), "tuple, not a tensor: check one"), (lambda x: [x], "list, not a tensor: check one"),
    (lambda x: None, "NoneType, not a tensor: it must return"), (lambda x: x > 0, "bool: only real numbers"),
    (lambda x: x.argmax(), "int64: only real numbers"), (lambda x: 1.0, "float, not a tensor"),
])  # fmt: skip
def test_what_is_no_function_of_tensors_is_refused(returned, words):
    with pytest.raises(TypeError, match=f"gradcheck: the function returned {words}"):
        gradcheck(returned, normal(3))


def test_what_a_backward_by_hand_returns_is_looked_at():
    with pytest.raises(TypeError, match=r"backward returned str for input 0 \(x\)"):
        gradcheck(lambda x: 2 * x, normal(3), backward=lambda gy, x: "2")
    with pytest.raises(ValueError, match="backward returned 1 gradients for 2 inputs"):
        gradcheck(lambda a, b: a * b, normal(3), normal(3), backward=lambda gy, a, b: gy * b)


class Kept:
    """A layer that keeps what backward needs, as courses write them."""

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, gy):
        return gy * (1 - self.y**2)

    def wrong(self, gy):
        return gy * (1 - self.y)


def test_a_method_may_take_gy_alone():
    kept, x = Kept(), normal(5)
    assert gradcheck(kept.forward, x, backward=kept.backward).error < 1e-9
    with pytest.raises(GradientError, match="wrong power"):
        gradcheck(kept.forward, x, backward=kept.wrong)


@pytest.mark.parametrize("backward, takes", [
    (lambda gy: gy, "(gy)"), (lambda a: a, "(a)"), (lambda gy, a: gy, "(gy, a)"), (lambda: 0, "()"),
    (lambda gy, a, b, c: gy, "(gy, a, b, c)"), (Kept.backward, "(self, gy)"), (lambda gy, *, a, b: gy, "(gy, *, a, b)"),
])  # fmt: skip
def test_a_backward_that_takes_something_else_is_told_what_to_take(backward, takes):
    with pytest.raises(TypeError) as told:
        gradcheck(lambda a, b: a * b, normal(3), normal(3), backward=backward)
    assert str(told.value) == (f"gradcheck: backward takes {takes}: write backward(gy, a, b), where gy is ∂L/∂y, of "
                               "the shape of the output")  # fmt: skip
    with pytest.raises(TypeError, match=r"write backward\(gy, a\)"):
        gradcheck.hvp(lambda a: a * a, normal(3), normal(3), backward=lambda gy: gy)


def test_a_right_op_is_right_under_no_grad_too():
    with no_grad():
        gradcheck(ops.exp, normal(3))
        gradcheck(nn.Linear(3, 2), normal(2, 3))
        assert not (Tensor([1.0], requires_grad=True) * 2).requires_grad
    assert no_grad()(gradcheck)(lambda x: x * x, normal(3)).error < 1e-6


@pytest.mark.parametrize("given", [[1.0, 2.0], 2.0, np.float32(2), normal(3).astype(np.float32), normal(3)[::-1],
                                   normal(2, 3).astype(">f8"), np.zeros((0, 2)), Tensor([1.0, 2.0]),
                                   Tensor([1.0], requires_grad=True) * 2], ids=repr)  # fmt: skip
def test_inputs_of_many_kinds_are_checked(given):
    if isinstance(given, np.ndarray):
        given.flags.writeable = False
    gradcheck(lambda x: x * x, given)


def test_parameters_of_many_kinds_are_checked_once():
    layer, x = nn.Linear(3, 2), normal(2, 3)
    for parameters in (layer, layer.parameters(), layer.named_parameters(), [*layer.parameters(), layer.weight]):
        assert gradcheck(lambda x: layer(x), x, parameters=parameters).evaluations == gradcheck(layer, x).evaluations


# -- mistakes inside of the engine -------------------------------------------------------------------------------------


def test_a_gradient_of_the_wrong_shape_inside_the_engine_is_named():
    @op
    def careless(x, b):
        return x + b, lambda gy: gy, lambda gy: gy

    assert verdicts(careless, normal(4, 3), normal(3)) == ["broadcast axis not summed"]
    assert "careless: the gradient of input 1 (b) has the shape (4, 3), the input (3,)" in told(
        careless, normal(4, 3), normal(3))
    assert "the gradient of what exp made has the shape (4, 3)" in told(
        lambda x, b: careless(x, b.exp()), normal(4, 3), normal(3))  # fmt: skip


def test_a_gradient_that_does_not_arrive_is_named():
    assert verdicts(lambda a, b: a * b.detach(), normal(3), normal(3, seed=1)) == ["zero where it should not be"]
    error = failure(lambda a, b: a * 2, normal(3), normal(3))
    assert "no gradient reached input 1 (b), shape (3,), and none should" in str(error)


def test_a_graph_that_loses_a_use_is_named(monkeypatch):
    """As if the engine kept the gradient of the last use alone."""
    backward = Tensor.backward

    def careless(self, gradient=None):
        node = self.node
        first = next(x for x in node.inputs if x.made_by)
        node.inputs, node.gradients = (first,), node.gradients[node.inputs.index(first) :][:1]
        backward(self, gradient)

    def two_uses(x):
        return x.exp() + x.tanh()

    gradcheck(two_uses, normal(3))
    ways = iter([careless, careless])
    monkeypatch.setattr(Tensor, "backward", lambda self, gradient: next(ways, backward)(self, gradient))
    assert verdicts(two_uses, normal(3))[0] == "= for +="


# -- kinks -------------------------------------------------------------------------------------------------------------


def test_elements_at_a_kink_are_left_out_and_counted():
    x = np.array([0.0, 1.0, -1.0, 0.0, 2.0])
    report = gradcheck(ops.relu, x)
    assert report.kinks == {"input 0 (x)": 2}
    assert report.error < 1e-8
    assert gradcheck(ops.relu, x[1:3]).kinks == {}


def test_what_backward_says_at_a_kink_counts_as_left_out_only_where_it_is_not_what_differences_say():
    x = np.array([0.0, 0.0, 1.0])
    report = gradcheck(lambda x: np.maximum(x, 0), x, backward=lambda gy, x: gy * [0.5, 1, 1])
    assert report.kinks == {"input 0 (x)": 1}


@pytest.mark.parametrize("x, others", [([0.0, 0.0, 1.0], []), ([0.0, 0.0, 0.0], ["constant factor"])])
def test_at_kinks_the_first_is_shown_and_other_mistakes_are_named_only_where_all_is_wrong(x, others):
    error = failure(lambda x: np.maximum(x, 0), np.array(x), backward=lambda gy, x: gy * np.where(x > 0, 1, 2))
    assert [verdict.name for verdict in error.verdicts] == ["kink or tie", *others]
    assert error.verdicts[0].text.startswith("element (0,) = 0 lies at a kink")


def test_elements_near_a_kink_are_checked_with_a_smaller_step():
    x = np.array([3e-8, 1.0, -1.0, -1e-7])
    assert gradcheck(ops.relu, x).kinks == {}
    report = gradcheck(ops.relu, np.array([0, *x]))  # the line goes through 0, so that all are looked at
    assert (report.kinks, report.near) == ({"input 0 (x)": 1}, {"input 0 (x)": 2})
    wrong = failure(np.vectorize(lambda v: max(v, 0)), x, backward=lambda gy, x: gy * (x > 1e-7))
    assert "(0,)" in str(wrong)
    assert gradcheck(ops.log, np.array([1e-10, 0.3, 0.7])).near == {}  # a smaller step, but for no kink


def test_of_elements_that_tie_any_may_take_the_gradient_but_one():
    def maximum(x):
        return x.max(1)

    x = np.array([[1.0, 3.0, 3.0, 3.0], [0.0, 2.0, 1.0, -1.0]])
    for i in (1, 2, 3):
        assert gradcheck(maximum, x, backward=lambda gy, x, i=i: gy[:, None] * np.eye(4)[[i, 1]]).kinks
    assert gradcheck(maximum, x, backward=lambda gy, x: gy[:, None] * [[0, 0.3, 0.5, 0.2], [0, 1, 0, 0]]).kinks
    assert verdicts(maximum, x, backward=lambda gy, x: gy[:, None] * (x == maximum(x)[:, None]))[0] == "kink or tie"
    assert verdicts(maximum, x, backward=lambda gy, x: gy[:, None] * np.eye(4)[[0, 1]])


def test_where_all_lies_at_kinks_it_is_moved_and_counted():
    report = gradcheck(ops.relu, np.zeros((2, 3)))
    assert (report.kinks, report.moved) == ({}, {"input 0 (x)": 6})
    wrong = verdicts(lambda x: np.maximum(x, 0), np.zeros((4, 5)), backward=lambda gy, x: gy * (x > 0) * 2)
    assert wrong == ["constant factor"]


# -- what it leaves alone, and how far it goes -------------------------------------------------------------------------


def test_right_gradients_pass_and_the_error_is_small():
    report = gradcheck(lambda x: ops.softmax(x) * x.max(1, keepdims=True), distinct(3, 4))
    assert report.error < 1e-8
    assert report.evaluations == 25
    assert gradcheck(ops.exp, np.zeros((0, 3))).error == 0


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_large_and_small_numbers_raise_no_alarm(size):
    gradcheck(ops.local_response_norm, size * normal(2, 5, 2, 2))
    gradcheck(lambda x: ops.softmax(x / size), size * normal(2, 5))
    gradcheck(lambda x: ops.exp(x / size) * size, size * normal(2, 5))
    assert verdicts(lambda x: x + x.detach(), size * normal(2, 5)) == ["constant factor"]


def test_a_small_gradient_beside_a_large_one_counts():
    def careless(gy, x):
        return gy * (1 + 1e-4 * 1.05 * np.cos(x))

    assert verdicts(lambda x: x + 1e-4 * np.sin(x), normal(3, 4), backward=careless)


def test_large_inputs_are_looked_at_here_and_there():
    x = normal(100, 50)
    error = failure(lambda x: x * x, x, backward=lambda gy, x: 3 * x * gy, elements=30)
    assert "wrong in 30 of 30 elements looked at (it has 5000)" in str(error)
    assert "1.5 times" in str(error)
    assert np.isfinite(error.numeric).sum() == 30


def test_of_a_large_input_the_only_wrong_element_is_found_by_ever_shorter_lines():
    x, calls = normal(100, 50), []
    lonely = failure(lambda x: calls.append(x) or x * x, x, elements=4,
                     backward=lambda gy, x: gy * np.where(x == x[7, 9], 3 * x, 2 * x))  # fmt: skip
    assert "wrong in 1 of 4 elements looked at (it has 5000)" in str(lonely)
    assert np.isfinite(lonely.numeric[7, 9])
    assert len(calls) < 200


def test_what_lines_say_is_wrong_and_no_element_is_said(monkeypatch):
    monkeypatch.setattr(Lines, "block", lambda self, s, most: np.arange(most))
    lonely = failure(lambda x: x * x, normal(100, 50), elements=4,
                     backward=lambda gy, x: gy * (2 * x + (x == x[7, 9])))  # fmt: skip
    assert "in none of 4 elements drawn by chance: look at more with elements=" in str(lonely)


def test_a_wrong_layer_of_a_million_parameters_is_named_soon():
    def layer(x, w, b):
        return np.maximum(x @ w + b, 0)

    def backward(gy, x, w, b):
        g = gy * (x @ w + b > 0)
        return g @ w.T, x.T @ g / len(x), g.sum(0)

    calls = []
    inputs = normal(8, 1000), normal(1000, 1000), normal(1000)
    error = failure(lambda *xs: calls.append(xs) or layer(*xs), *inputs, backward=backward)
    assert error.verdicts[0].name == "constant factor"
    assert "every element is 0.125 times" in str(error)
    assert len(calls) < 500
    slips = failure(layer, *inputs, backward=lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy.sum(0))).verdicts
    assert slips[0].name == "mask forgotten"  # read from its program, though few elements were looked at


def test_single_precision_is_checked_in_double():
    gradcheck(ops.exp, normal(3).astype(np.float32))
    gradcheck(ops.exp, Tensor(normal(3).astype(np.float32)))


def test_labels_pass_through():
    gradcheck(ops.cross_entropy, normal(2, 3), np.array([0, 2]))


def test_inputs_stay_as_they_are():
    x, array = Tensor(normal(3), requires_grad=True), normal(3)
    gradcheck(ops.multiply, x, array)
    gradcheck(lambda x: x * x, array, backward=lambda gy, x: 2 * gy * x)
    assert (x.numpy() == normal(3)).all()
    assert (array == normal(3)).all()
    assert x.grad is None


def test_a_layer_is_checked_with_its_parameters_and_left_as_it_was():
    layer = nn.Conv2d(2, 3, 2)
    layer(normal(1, 2, 3, 3).astype(np.float32)).sum().backward()
    before, gradient = layer.weight.numpy().copy(), layer.weight.grad
    gradcheck(layer, normal(1, 2, 3, 3))
    assert (layer.weight.dtype, layer.weight.grad) == (np.float32, gradient)
    assert (layer.weight.numpy() == before).all()
    layer.forward = lambda x: ops.conv2d(x, layer.weight * layer.weight.detach(), layer.bias)
    assert failure(layer, normal(1, 2, 3, 3)).input == "parameter weight"
    assert (layer.weight.numpy() == before).all()
    assert layer.weight.dtype == np.float32


def test_parameters_may_be_given():
    w, b = (Tensor(normal(*s), requires_grad=True) for s in ((2, 3), (2,)))
    gradcheck(lambda x: ops.linear(x, w, b), normal(4, 3), parameters=[w, ("bias", b)])
    error = failure(lambda x: ops.linear(x, w, b * b.detach()), normal(4, 3), parameters=[w, ("bias", b)])
    assert error.input == "parameter bias"


def test_two_devices():
    """Inputs, parameters and the way between."""
    w = Tensor(normal(3), requires_grad=True, device=cpu(1))
    b = Tensor(normal(3, seed=1), device=cpu(1))
    gradcheck(lambda a, b: a.to(cpu(1)) * b * w, Tensor(normal(3)), b, parameters=[w])
    ops.ledger.clear()


def test_alexnet_over_two_devices_with_its_loss():
    nn.manual_seed(0)
    net = models.alexnet(classes=7, devices=(cpu(0), cpu(1)), width=1 / 32).eval()
    labels = np.array([2, 6])
    images = normal(2, 3, 224, 224)
    report = gradcheck(lambda x: ops.cross_entropy(net(x), labels), images, parameters=net.named_parameters())
    assert report.error < 1e-6
    net.b.conv3.layers[0].forward = lambda x: ops.conv2d(
        x, net.b.conv3.layers[0].weight, net.b.conv3.layers[0].bias.detach(), padding=1)  # fmt: skip
    error = failure(lambda x: ops.cross_entropy(net(x), labels), images, parameters=net.named_parameters())
    assert error.input == "parameter b.conv3.0.bias"


def test_a_picture_is_drawn_of_what_is_right_and_of_what_is_wrong(tmp_path):
    gradcheck(ops.conv2d, normal(2, 2, 4, 5), normal(3, 2, 3, 3), picture=tmp_path / "right.png")
    failure(lambda x: x * x, normal(4, 5, 6), backward=at_the_border, picture=tmp_path / "wrong.png")
    for name in ("right.png", "wrong.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


# -- what a second pair of eyes found ----------------------------------------------------------------------------------


class NeverZeroed:
    gradient = 0

    def backward(self, gy, x):
        self.gradient = self.gradient + 2 * gy * x
        return self.gradient


def overwritten(gy, x):
    x *= 2
    return x * gy


def doubled(x):
    x *= 2
    return x


KEPT = normal(3)
HUGE_AND_SMALL = np.array([1e8, 0.3, 0.7])


@pytest.mark.parametrize("function, backward, x, name", [
    (lambda x: np.maximum(x, 0), lambda gy, x: (x > 0) * 1.0, X, "gy not used"),
    (lambda x: x * x, lambda gy, x: 2 * x, X, "gy not used"),
    (lambda x: KEPT * KEPT, lambda gy, x: 2 * gy * x, normal(3), "input not used"),
    (lambda x: x * x, overwritten, X, "input changed in place"),
    (doubled, lambda gy, x: 2 * gy, X, "input changed in place"),
    (lambda x: x * x, NeverZeroed().backward, X, "not deterministic"),
    (lambda x: np.float32(100 + (x * x).sum()), lambda gy, x: 0 * x, normal(8), "single precision"),
    (lambda x: x.astype(np.float32), lambda gy, x: gy, X, "single precision"),
    (lambda x: 1e8 + x, lambda gy, x: 0 * x, normal(3), "zero where it should not be"),
    (softmax, lambda gy, x: gy * softmax(x) * (1 - softmax(x)), X, "term missing"),
    (lambda x: np.maximum(x, 0), lambda gy, x: 1.1 * gy * (x > 0), normal(6, 8), "constant factor"),
], ids=["relu, no gy", "square, no gy", "kept", "backward writes", "forward writes", "never zeroed", "float32", "cast",
        "offset", "softmax's diagonal", "1.1"])  # fmt: skip
def test_what_no_difference_tells_alone_is_named_too(function, backward, x, name):
    assert verdicts(function, x, backward=backward)[:1] == [name]


@pytest.mark.parametrize("seed", range(8))
def test_many_ties_hide_no_gradient_sent_to_each(seed):
    x = np.random.default_rng(seed).integers(0, 5, (80, 6)).astype(float)
    wrong = verdicts(lambda x: x.max(1), x, backward=lambda gy, x: gy[:, None] * (x == x.max(1, keepdims=True)))
    assert wrong[0] == "kink or tie"
    gradcheck(lambda x: x.max(1), x, backward=lambda gy, x: gy[:, None] * (np.arange(6) == x.argmax(1)[:, None]))


def test_an_error_among_kinks_that_were_not_looked_at_does_not_pass():
    x = np.maximum(normal(100, 100), 0)
    more = np.where(np.arange(10000).reshape(100, 100) < 20, 5, 1)
    assert failure(lambda x: np.maximum(x, 0), x, backward=lambda gy, x: gy * (x > 0) * more)


@pytest.mark.parametrize("function, backward, x", [
    (np.log, lambda gy, x: gy / x, np.array([1e-10, 0.3, 0.7])),
    (np.sqrt, lambda gy, x: gy * 0.5 / np.sqrt(x), np.array([1e-8, 0.3, 0.7])),
    (lambda x: 1 / x, lambda gy, x: -gy / x**2, np.array([1e-9, 0.3, 0.7])),
    (np.sin, lambda gy, x: gy * np.cos(x), HUGE_AND_SMALL),
    (lambda x: x**3, lambda gy, x: 3 * x * x * gy, np.zeros(4)),
    (lambda x: np.abs(x) + x**3, lambda gy, x: gy * (np.where(x >= 0, 1, -1) + 3 * x * x), np.r_[0, normal(9)]),
], ids=["log", "sqrt", "1 / x", "sin", "cube at 0", "abs"])  # fmt: skip
@pytest.mark.parametrize("seed", range(4))
def test_hard_but_right_raises_no_alarm(function, backward, x, seed):
    gradcheck(function, x, backward=backward, seed=seed)


@pytest.mark.parametrize("seed", range(8))
def test_a_network_that_sees_a_row_of_zeros_raises_no_alarm(seed):
    """All units of the first layer then sit at their kink, and what the second adds up bends both ways."""
    nn.manual_seed(seed)
    x = normal(6, 4, seed=seed) * (np.arange(6) > 0)[:, None]
    gradcheck(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), x, seed=seed)


def test_a_mask_given_as_numbers_may_have_no_gradient():
    mask = np.array([1.0, 0, 1])
    gradcheck(lambda x, m: x * (m > 0.5), normal(3), mask, backward=lambda gy, x, m: (gy * (m > 0.5), None))


@pytest.mark.parametrize("arguments, match", [
    ((lambda x: x * x, np.arange(3)), "no real numbers to check: write 1.0 for 1"),
    ((lambda x, i: x[i], normal(5), np.array([0])), r"a gradient for input 1 \(i\), which is not of real numbers"),
])  # fmt: skip
def test_what_cannot_be_checked_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        gradcheck(*arguments, backward=lambda gy, *inputs: tuple(7 * gy for _ in inputs))


@pytest.mark.parametrize("value", [None, 1j, (1.0, 2.0)])
def test_a_function_that_returns_no_array_of_real_numbers_is_refused(value):
    with pytest.raises(TypeError, match="return one array of real numbers"):
        gradcheck(lambda x: value, normal(3), backward=lambda gy, x: x)


def test_parameters_beside_a_backward_by_hand_and_impossible_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match="all that it uses must be inputs"):
        gradcheck(lambda x: x, normal(3), backward=lambda gy, x: gy, parameters=["w"])
    for picture in (tmp_path / "nowhere" / "a.png", tmp_path / "a.xyz"):
        with pytest.raises(ValueError, match="cannot draw"):
            gradcheck(ops.exp, normal(3), picture=picture)


# -- the pipe: measure, judge, say -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file, looks_at", [
    ("evidence", {"thresholds"}), ("subject", {"evidence"}), ("rounding", {"evidence", "subject", "thresholds"}),
    ("measure", {"evidence", "rounding", "subject", "thresholds"}),
    ("verdict", {"evidence", "thresholds"}), ("judge", {"evidence", "thresholds", "verdict"}),
    ("display", {"evidence", "verdict"}), ("say", {"display", "evidence", "subject", "thresholds", "verdict"}),
])  # fmt: skip
def test_what_measures_knows_no_judge_and_what_judges_measures_nothing(file, looks_at):
    imports = re.findall(r"^from \..*", (FOLDER / f"{file}.py").read_text("utf-8"), re.M)
    assert {path.stem for path in FOLDER.glob("*.py")} & set(re.findall(r"\w+", " ".join(imports))) == looks_at


@pytest.mark.parametrize("file", ["check", "evidence", "judge", "look", "measure", "rounding", "said", "say", "subject",
                                  "verdict"])
def test_every_threshold_stands_in_the_table(file):
    """Other files hold whole numbers, as of axes, and these."""
    tree = ast.walk(ast.parse((FOLDER / f"{file}.py").read_text("utf-8")))
    assert {n.value for n in tree if isinstance(n, ast.Constant) and isinstance(n.value, float)} <= {0.0, 0.5, 1.0}


def test_rounding_that_reaches_every_output_is_no_kink():
    """By Fourier an output moves a little with inputs that it does not depend on, and more than its own rounding."""
    spectrum = np.fft.rfft([1.0, 2.0, *[0.0] * 62])

    def convolution(x):
        return np.fft.irfft(np.fft.rfft(x) * spectrum, n=64)

    def backward(gy, x):
        return 3 * np.fft.irfft(np.fft.rfft(gy) * spectrum, n=64)

    x = normal(64)
    x[10:12] = 0  # and so is what comes of them
    with pytest.raises(GradientError) as caught:
        gradcheck(convolution, x, backward=backward)
    assert "kink" not in str(caught.value)
