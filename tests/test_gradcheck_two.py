"""gradcheck looks at a batch of one once more with two examples: what is right for one alone is told."""

import numpy as np
import pytest
from helpers import normal
from mistakes_functions import affine, log_softmax, one_hot, softmax

from minicnn import GradientError, gradcheck

X, W, B = normal(1, 4), normal(4, 3, seed=1), normal(3, seed=2)
LABEL = np.array([2])


def affine_backward(gy, x, w, b):
    return gy @ w.T, x.T @ gy, gy.sum(0)


def loss(x, t):
    return ((x - t) ** 2).mean()


def loss_backward(gy, x, t):
    g = 2 * gy * (x - t) / x.size
    return g, -g


def cross_entropy(x, labels):
    return -(log_softmax(x) * one_hot(labels, 4)[range(len(x))]).sum(1).mean()  # a label for each


def biased(x, b, labels):
    return cross_entropy(x + b, labels)


def biased_backward(gy, x, b, labels):
    return gy * (softmax(x + b) - one_hot(labels, 4)) / len(x)


def step(x, h, w, u, b):
    return np.tanh(x @ w + h @ u + b)


def step_backward(gy, x, h, w, u, b):
    g = gy * (1 - step(x, h, w, u, b) ** 2)
    return g @ w.T, g @ u.T, x.T @ g, h.T @ g, g.sum(0)


STEP = X, normal(1, 3, seed=3), W, normal(3, 3, seed=4), B
WRONG = {
    "the bias of the first row": (affine, lambda gy, x, w, b: (*affine_backward(gy, x, w, b)[:2], gy[0]), (X, W, B),
                                  "one example only"),
    "a mean over the batch": (affine, lambda gy, x, w, b: (*affine_backward(gy, x, w, b)[:2], gy.mean(0)), (X, W, B),
                              "constant factor"),
    "softmax over everything": (softmax, lambda gy, x: softmax(x) * (gy - (gy * softmax(x)).sum()), (X,), "wrong axis"),
    "not divided by the batch": (loss, lambda gy, x, t: [g * len(x) for g in loss_backward(gy, x, t)],
                                 (X, normal(1, 4, seed=5)), "constant factor"),
    "labels": (cross_entropy, lambda gy, x, labels: (gy * (softmax(x) - one_hot(labels, 4)), None), (X, LABEL),
               "constant factor"),
    "the first example's x": (affine, lambda gy, x, w, b: (gy @ w.T, x[:1].T @ gy.sum(0, keepdims=True), gy.sum(0)),
                              (X, W, B), ""),
    "a bias with an axis of one": (affine, lambda gy, x, w, b: (gy @ w.T, x.T @ gy / len(x), gy.sum(0, keepdims=True)),
                                   (X, W, B[None]), "constant factor"),
    "labels, and a bias with an axis of one": (
        biased, lambda gy, x, b, labels: (biased_backward(gy, x, b, labels) * len(x), biased_backward(
            gy, x, b, labels).sum(0, keepdims=True), None), (X, normal(1, 4, seed=6), LABEL), "constant factor"),
    "a state": (step, lambda gy, *of: (*step_backward(gy, *of)[:4], step_backward(gy, *of)[4] / len(gy)), STEP,
                "constant factor"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_right_for_one_example_alone_is_told(case):
    function, backward, inputs, name = WRONG[case]
    with pytest.raises(GradientError, match="is wrong with two examples in") as raised:
        gradcheck(function, *inputs, backward=backward)
    assert [verdict.name for verdict in raised.value.verdicts[: 1 + bool(name)]] == [
        "right only here", *[name] * bool(name)]  # fmt: skip
    assert "right for the one example given, but not for two" in raised.value.verdicts[0].text
    assert ("There it looks like" in str(raised.value)) == bool(name)


def quadratic(x):
    return x @ np.diag([1.0, 2]) @ x.T


def for_one(x):
    if len(x) > 1:
        raise RuntimeError("one at a time")
    return x**2


RIGHT = {
    "affine": (affine, affine_backward, (X, W, B)),
    "a bias with an axis of one": (affine, lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy.sum(0, keepdims=True)),
                                   (X, W, B[None])),
    "a bias with an axis of one that takes two": (lambda x, b: x + b, lambda gy, x, b: (gy, gy), (X, normal(1, 4))),
    "labels": (cross_entropy, lambda gy, x, labels: (gy * (softmax(x) - one_hot(labels, 4)) / len(x), None),
               (X, LABEL)),
    "a state": (step, step_backward, STEP),
    "no batch": (quadratic, lambda gy, x: 2 * gy * x @ np.diag([1.0, 2]), (normal(1, 2),)),
    "a number in an array": (lambda x: x[0] ** 2, lambda gy, x: 2 * gy * x, (normal(1),)),
    "ties of two": (lambda x: x.max(0), lambda gy, x: gy * (x == x.max(0)), (np.array([[1.0, 1, 1, 2]]),)),
    "gy not used with two": (lambda x: x**2, lambda gy, x: 2 * x * (gy if len(x) == 1 else 1), (X,)),
    "a function that takes one alone": (for_one, lambda gy, x: 2 * gy * x, (X,)),
    "a backward that takes one alone": (lambda x: x.sum(1), lambda gy, x: np.full((1, 4), gy[0]), (X,)),
    "more than one": (lambda x: x.sum(1), lambda gy, x: gy[:, None] * np.ones((1, 4)), (normal(3, 4),)),
    "a maximum": (lambda x: np.maximum(x, 0), lambda gy, x: gy * (x > 0), (X,)),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_for_two_or_does_not_take_two_passes(case):
    function, backward, inputs = RIGHT[case]
    gradcheck(function, *inputs, backward=backward)


class Squares:
    def forward(self, x):
        self.x = x
        return x**2

    def backward(self, gy):
        return 2 * gy * self.x


def test_what_a_layer_keeps_is_of_one_example_again():
    layer = Squares()
    gradcheck(layer.forward, X, backward=layer.backward)
    assert np.array_equal(layer.x, X)


def test_a_batch_of_one_costs_few_evaluations_more():
    count = 0

    def function(x):
        nonlocal count
        count += 1
        return np.sin(x)

    seen = []
    for x in (X, normal(2, 4)):
        count = 0
        gradcheck(function, x, backward=lambda gy, x: gy * np.cos(x))
        seen.append(count)
    assert seen[1] < seen[0] < 1.8 * seen[1]
