import numpy as np
import pytest
from helpers import distinct, normal

from minicnn import GradientError, Tensor, gradcheck, nn, ops
from minicnn.op import op


@op
def wrong_sign(x):
    return x * x, lambda gy: -2 * x * gy


@op
def twice(x):
    return x.sum(1), lambda gy: 2 * np.broadcast_to(gy[:, None], x.shape)


@op
def term_missing(x):
    return np.exp(x) * x, lambda gy: gy * np.exp(x) * x


@op
def softmax_as_if_all_gradients_were_one(x):
    y = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    return y, lambda gy: 0 * gy


@op
def one_element_wrong(x):
    def gx(gy):
        g = 2 * x * gy
        g[1, 2] *= 1.001
        return g

    return x * x, gx


@op
def not_a_number(x):
    return x * x, lambda gy: np.nan * gy


@op
def second_input_wrong(a, b):
    return a * b, lambda gy: gy * b, lambda gy: gy * b


@pytest.mark.parametrize("careless", [wrong_sign, twice, term_missing, softmax_as_if_all_gradients_were_one,
                                      not_a_number])  # fmt: skip
def test_a_wrong_gradient_is_found(careless):
    with pytest.raises(GradientError, match=r"gradcheck: input 0 \(2, 3\), element .*backward says .* function does"):
        gradcheck(careless, normal(2, 3))


def test_it_says_which_element_of_which_input_is_worst():
    with pytest.raises(GradientError, match=r"input 0 \(2, 3\), element \(1, 2\)"):
        gradcheck(one_element_wrong, normal(2, 3))
    with pytest.raises(GradientError, match="input 1"):
        gradcheck(second_input_wrong, normal(3), normal(3, seed=1))


def test_a_gradient_that_does_not_arrive_is_found():
    with pytest.raises(GradientError, match=r"no gradient reached input 1 \(3,\)"):
        gradcheck(lambda a, b: a * b.detach(), normal(3), normal(3, seed=1))


def test_right_gradients_pass_and_the_difference_is_small():
    assert gradcheck(lambda x: ops.softmax(x) * x.max(1, keepdims=True), distinct(3, 4)) < 1e-8
    assert gradcheck(ops.exp, np.zeros((0, 3))) == 0


def test_single_precision_is_checked_in_double():
    gradcheck(ops.exp, normal(3).astype(np.float32))
    gradcheck(ops.exp, Tensor(normal(3).astype(np.float32)))


def test_labels_pass_through():
    gradcheck(ops.cross_entropy, normal(2, 3), np.array([0, 2]))


def test_inputs_stay_as_they_are():
    x = Tensor(normal(3), requires_grad=True)
    gradcheck(ops.exp, x)
    assert (x.numpy() == normal(3)).all()
    assert x.grad is None


def test_parameters_are_checked_too():
    layer = nn.Linear(3, 2)
    w, b = layer.weight, layer.bias = [Tensor(normal(*s), requires_grad=True) for s in ((2, 3), (2,))]
    gradcheck(layer, normal(4, 3), parameters=[w, b])
    with pytest.raises(GradientError, match=r"parameter 1 \(2,\)"):
        gradcheck(lambda x: ops.linear(x, w, wrong_sign(b)), normal(4, 3), parameters=[w, b])
    with pytest.raises(GradientError, match=r"no gradient reached parameter 0 \(2, 3\)"):
        gradcheck(lambda x: x * 2, normal(4, 3), parameters=[w])
