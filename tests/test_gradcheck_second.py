"""The second look finds what is right at the given inputs alone, and refuses no ordinary right code."""

import re

import numpy as np
import pytest
from helpers import normal
from mistakes_functions import softmax
from right_functions import softmax_back

from minicnn import GradientError, gradcheck
from minicnn.gradcheck.second import constrained

N, C = 5, 4
LABELS = np.array([0, 2, 1, 3, 2])
ONE_HOT = np.eye(C)[LABELS]
WEIGHTS = np.array([1.0, 2.0, 0.5, 3.0])
MASK = (normal(N, C, seed=3) > 0) * 1.0


def told(function, *inputs, **options):
    with pytest.raises(GradientError) as caught:
        gradcheck(function, *inputs, **options)
    return caught.value


def cross_entropy(x, t):
    return -(t * np.log(softmax(x))).sum() / len(x)


def cross_entropy_back(gy, x, t):
    """p − t, which is right where Σ t = 1."""
    return gy * (softmax(x) - t) / len(x), -gy * np.log(softmax(x)) / len(x)


def weighted(x, w):
    return -(w[LABELS] * np.log(softmax(x))[np.arange(N), LABELS]).sum() / w[LABELS].sum()


def weighted_back(gy, x, w):
    rest = -np.log(softmax(x))[np.arange(N), LABELS] - weighted(x, w)
    gx = w[LABELS, None] * (softmax(x) - ONE_HOT)
    return gy * gx / w[LABELS].sum(), gy * np.bincount(LABELS, rest, C) / w[LABELS].sum()


def labelled(x, labels):
    return -np.log(softmax(x))[np.arange(len(x)), labels.astype(int)].mean()


def labelled_back(gy, x, labels):
    return gy * (softmax(x) - (np.arange(C) == labels.astype(int)[:, None])) / len(x), None


def attention(q, k, mask):
    return softmax(q @ k.T + mask)


def attention_back(gy, q, k, mask):
    g = softmax_back(gy, q @ k.T + mask)
    return g @ k, g.T @ q, g


def divergence(a, p):
    """KL(p ‖ softmax a), whose gradient softmax a − p is right where Σ p = 1."""
    return (p * np.log(p / softmax(a))).sum()


def projected(x, v):
    """x less its part along v, of norm 1."""
    return x - (x @ v)[:, None] * v


def projected_back(gy, x, v):
    """∂/∂x = I − v vᵀ for any v; twice projected is once only where the norm of v is 1."""
    gv = -(gy.T @ x @ v) - (x.T @ gy @ v)
    return projected(gy, v), gv


def twice_projected(x, v):
    return projected(projected(x, v), v)


def twice_back(gy, x, v):
    """As P² = P, which is right where the norm of v is 1."""
    once, first = projected_back(projected(gy, v), x, v)
    _, second = projected_back(gy, projected(x, v), v)
    return projected(gy, v) + 0 * once, first + second


RIGHT = {
    "one-hot targets": (cross_entropy, cross_entropy_back, (normal(N, C), ONE_HOT)),
    "smoothed targets": (cross_entropy, cross_entropy_back, (normal(N, C), 0.9 * ONE_HOT + 0.1 / C)),
    "soft targets": (cross_entropy, cross_entropy_back, (normal(N, C), softmax(normal(N, C, seed=1)))),
    "normalised probabilities": (divergence, lambda gy, a, p: (
        gy * (softmax(a) - p), gy * (np.log(p / softmax(a)) + 1)), (normal(N, C), softmax(normal(N, C, seed=1)))),
    "labels given as floats": (labelled, labelled_back, (normal(N, C), LABELS * 1.0)),
    "a mask of 0 and 1": (lambda x, m: x * m, lambda gy, x, m: (gy * (m == 1), gy * x), (normal(N, C), MASK)),
    "a mask of dropout": (lambda x, m: x * m, lambda gy, x, m: (gy * (m > 0) * 2, gy * x), (normal(N, C), 2 * MASK)),
    "a mask by where": (lambda x, m: np.where(m > 0.5, x, 0), lambda gy, x, m: (gy * (m > 0.5), None),
                        (normal(N, C), np.ones((N, C)))),
    "a mask of attention": (attention, attention_back, (
        normal(3, 2), normal(3, 2, seed=1), np.where(np.tri(3), 0, -1e9))),
    "class weights": (weighted, weighted_back, (normal(N, C), WEIGHTS)),
    "a unit vector": (twice_projected, twice_back, (normal(N, C), np.array([0.6, 0, 0.8, 0]))),
    "rows of norm 1": (lambda x, w: x @ w @ w.T, lambda gy, x, w: (gy @ w @ w.T, x.T @ (gy @ w) + gy.T @ (x @ w)),
                       (normal(N, 2), np.array([[0.6, -0.8], [0.8, 0.6]]))),
    "a symmetric, positive matrix": (lambda a: np.log(np.linalg.det(a)), lambda gy, a: gy * np.linalg.inv(a).T,
                                     (np.array([[2, 0.5], [0.5, 1]]),)),
    "a quadratic form": (lambda x, a: x @ a @ x, lambda gy, x, a: (gy * (a + a.T) @ x, gy * np.outer(x, x)),
                         (normal(2), np.array([[2, 0.5], [0.5, 1]]))),
    "gamma of 1 and beta of 0": (lambda x, g, b: x * g + b, lambda gy, x, g, b: (gy * g, (gy * x).sum(0), gy.sum(0)),
                                 (normal(N, C), np.ones(C), np.zeros(C))),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", RIGHT)
def test_ordinary_right_code_is_not_refused(name, seed):
    function, backward, inputs = RIGHT[name]
    gradcheck(function, *inputs, backward=backward, seed=seed)


@pytest.mark.parametrize("x, is_so", [
    (ONE_HOT, True), (softmax(normal(3, 4)), True), (softmax(normal(3, 4)).T, True), (LABELS * 1.0, True),
    (MASK / 0.7, True), (np.array([0, -1e9, -3e9, 1.5]), True), (np.array([[0.6, -0.8]]), True),
    (np.array([2.0, 2, 5]), True), (np.array([0.2, 0.5, 0.3]), True), (np.eye(3), True),
    (np.ones(4), False), (np.zeros((2, 3)), False), (np.array(1.0), False), (np.full(3, 0.5), False),
    (normal(3, 4), False), (normal(2), False), (np.array([[2.0, 1], [1, 3]]), False), (WEIGHTS, False),
    (np.zeros(0), False),
])  # fmt: skip
def test_what_obeys_a_constraint_is_known(x, is_so):
    assert constrained(x) == is_so


HIDDEN = {
    "a gamma of 1": (lambda x, g: x * g, lambda gy, x, g: (gy, gy * x), (normal(3), np.ones(3)), "input 1 (g) is 1"),
    "a scale of 1": (lambda x, s: x * s, lambda gy, x, s: (gy, (gy * x).sum()), (normal(3), np.array(1.0)), "(s) is 1"),
    "a symmetric matrix": (lambda x, w: x @ w, lambda gy, x, w: (gy @ w, x.T @ gy), (
        normal(4, 3), normal(3, 3) + normal(3, 3).T), "input 1 (w) is symmetric"),
    "of whole numbers": (lambda x, w: x @ w, lambda gy, x, w: (gy @ w, x.T @ gy), (
        normal(4, 2), np.array([[2.0, 1], [1, 3]])), "input 1 (w) is symmetric"),
    "a state of 0": (lambda h, w: np.tanh(h @ w + 1), lambda gy, h, w: (
        gy * (1 - np.tanh(h @ w + 1) ** 2) @ w.T, 0 * w), (np.zeros((2, 3)), normal(3, 3)), "(h) is 0 all over"),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_right_at_the_given_inputs_alone_says_so_and_why(name, seed):
    function, backward, inputs, why = HIDDEN[name]
    error = told(function, *inputs, backward=backward, seed=seed)
    assert error.verdicts[0].name == "right only here"
    text = " ".join(str(error).split())
    assert why in text
    assert "is wrong a little away in" in text
    assert re.search(r"0\.2[4-6]? times that by 0\.25 %", text)


def test_what_stays_as_wrong_however_near_is_not_held_against_it():
    """As where backward asks whether a factor is 1, which it is of a mask that is all ones."""
    gradcheck(lambda x, m: x * m, normal(3), np.ones(3), backward=lambda gy, x, m: (gy * (m == 1), gy * x))


def test_zeros_among_others_stay():
    """As those of a triangular matrix, of which backward knows that it is one."""
    lower = np.tril(1.5 + normal(4, 4, seed=2))
    gradcheck(lambda x, a: np.tril(a) @ x, normal(4), lower, backward=lambda gy, x, a: (
        a.T @ gy, np.tril(np.outer(gy, x))))  # fmt: skip


def test_what_backward_says_none_of_is_not_moved():
    bounds = np.array([0.3, 1.7, 2.4])
    gradcheck(lambda x, bounds: x * np.round(bounds).sum(), normal(3), bounds, backward=lambda gy, x, given: (
        gy * (4 + (given - bounds).sum()), None))  # fmt: skip
