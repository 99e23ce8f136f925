"""Mistakes in backward passes written by hand: the half that may be looked at. See mistakes.py."""

import numpy as np
from helpers import distinct, normal
from mistakes import ABOVE, BELOW, DENOMINATOR, MEAN, ONE, VARIANCE, Mistake, axis, operand, times
from mistakes_functions import (
    affine,
    all_uses,
    attention,
    attention_backward,
    count_of_neighbours,
    cross_entropy,
    deviation,
    dropout,
    gates,
    hinge,
    layer_norm,
    log_softmax,
    lstm_backward,
    lstm_inner,
    lstm_step,
    max_pool,
    normalised,
    one_hot,
    padded,
    rnn,
    rnn_backward,
    rnn_inner,
    score_gradient,
    send_back,
    sigmoid,
    softmax,
    through_norm,
    untiled,
    weights,
    windows,
    winner_places,
    winners,
    with_affine_of_rows,
    with_one,
)  # fmt: skip
from numpy.lib.stride_tricks import sliding_window_view

MISTAKES: list[Mistake] = []


# -- linear layers -----------------------------------------------------------------------------------------------------

LINEAR = normal(5, 4), normal(4, 7, seed=1), normal(7, seed=2)
SQUARE = normal(6, 6), normal(6, 6, seed=1), normal(6, seed=2)

MISTAKES += [
    Mistake("affine: w where w.T belongs", affine, lambda gy, x, w, b: (gy @ w, x.T @ gy, gy.sum(0)),
            (normal(5, 6), normal(6, 6, seed=1), normal(6, seed=2)), 0,
            {"operand not transposed"}, [operand(1, "w")], "CS231n assignment 1, affine_backward"),
    Mistake("affine: the bias summed over the features", affine,
            lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy.sum(1)), SQUARE, 2,
            {"wrong axis"}, [axis(0, 1)], "CS231n assignment 1, affine_backward"),
    Mistake("affine: the bias gets the first row alone", affine,
            lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy[0]), LINEAR, 2,
            {"one example only", "broadcast axis not summed"}, [], "issue trackers: broadcasting a bias"),
]  # fmt: skip


def affine_relu(x, w, b):
    return np.maximum(x @ w + b, 0)


def of_active(gy, x, w, b):
    return gy * (x @ w + b > 0)


MISTAKES += [
    Mistake("affine and ReLU: the weights get the gradient from before the mask", affine_relu,
            lambda gy, x, w, b: (of_active(gy, x, w, b) @ w.T, x.T @ gy, of_active(gy, x, w, b).sum(0)), LINEAR, 1,
            {"mask forgotten"}, [], "CS231n assignment 1, TwoLayerNet: dout for da"),
    Mistake("affine and ReLU: the bias gets the gradient from before the mask", affine_relu,
            lambda gy, x, w, b: (of_active(gy, x, w, b) @ w.T, x.T @ of_active(gy, x, w, b), gy.sum(0)), LINEAR, 2,
            {"mask forgotten"}, [], "CS231n assignment 1, TwoLayerNet: dout for da"),
    Mistake("affine and ReLU: the mask is that of the layer's input", affine_relu,
            lambda gy, x, w, b: (gy @ w.T * (x > 0), x.T @ of_active(gy, x, w, b), of_active(gy, x, w, b).sum(0)),
            LINEAR, 0, {"wrong mask"}, [operand(0, "x")], "networks by hand: activations counted from the wrong layer"),
]  # fmt: skip


def residual(x, w):
    return x + np.tanh(x @ w)


def slope_of_tanh(x, w):
    return 1 - np.tanh(x @ w) ** 2


BLOCK = normal(4, 5), normal(5, 5, seed=1)

MISTAKES += [
    Mistake("residual: the way around forgotten", residual,
            lambda gy, x, w: (gy * slope_of_tanh(x, w) @ w.T, x.T @ (gy * slope_of_tanh(x, w))), BLOCK, 0,
            {"term missing"}, [r"\bgy\b|use|residual|identity|skip"], "d2l, residual block by hand"),
    Mistake("residual: the way around counted twice", residual,
            lambda gy, x, w: (2 * gy + gy * slope_of_tanh(x, w) @ w.T, x.T @ (gy * slope_of_tanh(x, w))), BLOCK, 0,
            {"extra term", "wrong factor of a term"}, [r"\bgy\b|use|residual|identity|skip"],
            "issue trackers: a residual's gradient added at both ends"),
    Mistake("residual: the weights get the slope of no activation", residual,
            lambda gy, x, w: (gy + gy * slope_of_tanh(x, w) @ w.T, x.T @ gy), BLOCK, 1,
            {"factor missing"}, [], "networks by hand: tanh′ forgotten for the weights"),
]  # fmt: skip


def quadratic_form(x, a):
    """xᵀ A x of each row."""
    return ((x @ a) * x).sum(1)


FORM = normal(3, 5), normal(5, 5, seed=1)

MISTAKES += [
    Mistake("xᵀAx: A held to be symmetric", quadratic_form,
            lambda gy, x, a: (2 * gy[:, None] * (x @ a), x.T @ (gy[:, None] * x)), FORM, 0,
            {"operand not transposed"}, [operand(1, "a")], "matrix calculus, exercises: 2 A x"),
    Mistake("xᵀAx: one of two uses of x", quadratic_form,
            lambda gy, x, a: (gy[:, None] * (x @ a.T), x.T @ (gy[:, None] * x)), FORM, 0,
            {"term missing", "= for +="}, [], "matrix calculus, exercises; minitorch: a value used twice"),
]  # fmt: skip


def bilinear(a, w, b):
    """aᵀ W b of each pair of rows."""
    return np.einsum("ni,ij,nj->n", a, w, b)


PAIRS = normal(4, 5), normal(5, 5, seed=1), normal(4, 5, seed=2)


def bilinear_backward(gy, a, w, b):
    return gy[:, None] * (b @ w.T), (gy[:, None] * a).T @ b, gy[:, None] * (a @ w)


MISTAKES += [
    Mistake("bilinear: b's gradient with the W of a's", bilinear,
            lambda gy, a, w, b: (*bilinear_backward(gy, a, w, b)[:2], gy[:, None] * (a @ w.T)), PAIRS, 2,
            {"operand not transposed"}, [operand(1, "w")], "bilinear attention by hand"),
    Mistake("bilinear: a where b belongs", bilinear,
            lambda gy, a, w, b: (gy[:, None] * (a @ w.T), *bilinear_backward(gy, a, w, b)[1:]), PAIRS, 0,
            {"another input"}, [operand(0, "a")], "bilinear attention by hand"),
    Mistake("bilinear: the outer product the other way round", bilinear,
            lambda gy, a, w, b: (gy[:, None] * (b @ w.T), (gy[:, None] * b).T @ a, gy[:, None] * (a @ w)), PAIRS, 1,
            {"transposed"}, [], "bilinear attention by hand"),
]  # fmt: skip


def outer(a, b):
    return np.einsum("ni,nj->nij", a, b)


MISTAKES += [
    Mistake("outer product: summed over the other axis", outer,
            lambda gy, a, b: (np.einsum("nij,nj->ni", gy, b), np.einsum("nij,ni->ni", gy, a)),
            (normal(3, 4), normal(3, 4, seed=1)), 1, {"wrong axis"}, [], "einsum products by hand"),
    Mistake("outer product: a where b belongs", outer,
            lambda gy, a, b: (np.einsum("nij,nj->ni", gy, a), np.einsum("nij,ni->nj", gy, a)),
            (normal(3, 4), normal(3, 4, seed=1)), 0, {"another input"}, [operand(0, "a")], "einsum products by hand"),
]  # fmt: skip


def trace_of_product(a, b):
    return np.trace(a @ b)


MISTAKES += [
    Mistake("trace of a product: B where its transpose belongs", trace_of_product,
            lambda gy, a, b: (gy * b, gy * a.T), (normal(4, 4), normal(4, 4, seed=1)), 0,
            {"operand not transposed", "transposed"}, [], "matrix calculus, exercises"),
]  # fmt: skip


# -- functions of one number -------------------------------------------------------------------------------------------

X = normal(4, 5)


def tanh(x):
    return np.tanh(x)


MISTAKES += [
    Mistake("tanh: 1 − x²", tanh, lambda gy, x: gy * (1 - x**2), (X,), 0,
            {"input for output"}, [], "micrograd: data of the wrong node"),
    Mistake("tanh: 1 − y", tanh, lambda gy, x: gy * (1 - np.tanh(x)), (X,), 0,
            {"wrong power"}, [], "micrograd, Value.tanh"),
    Mistake("tanh: 1 + y²", tanh, lambda gy, x: gy * (1 + np.tanh(x) ** 2), (X,), 0,
            {"wrong sign of a term"}, [], "RNNs by hand"),
    Mistake("tanh: its slope at y", tanh, lambda gy, x: gy * (1 - np.tanh(np.tanh(x)) ** 2), (X,), 0,
            {"output for input"}, [], "min-char-rnn: tanh taken of what is already the state"),
    Mistake("tanh: gy forgotten", tanh, lambda gy, x: 1 - np.tanh(x) ** 2 + 0 * gy, (X,), 0,
            {"gy not used", "factor missing"}, [], "micrograd: out.grad left out"),
]  # fmt: skip


def relu(x):
    return np.maximum(x, 0)


MISTAKES += [
    Mistake("ReLU: no mask", relu, lambda gy, x: gy.copy(), (X,), 0,
            {"mask forgotten"}, [], "CS231n assignment 1, relu_backward"),
    Mistake("ReLU: the mask of the gradient", relu, lambda gy, x: gy * (gy > 0), (X,), 0,
            {"wrong mask"}, [], "guided backpropagation for backpropagation"),
    Mistake("ReLU: the mask turned round", relu, lambda gy, x: gy * (x < 0), (X,), 0,
            {"wrong mask"}, [], "CS231n assignment 1: dx[x > 0] = 0"),
    Mistake("ReLU: y where its mask belongs", relu, lambda gy, x: gy * relu(x), (X,), 0,
            {"extra factor"}, [r"\b[xy]\b"], "CS231n assignment 1: dout * np.maximum(0, x)"),
    Mistake("ReLU: the mask begins at 1", relu, lambda gy, x: gy * (x > 1), (normal(5, 6),), 0,
            {"wrong mask", "zero where it should not be"}, [], "ReLU6 and ReLU mixed up"),
]  # fmt: skip


def leaky_relu(x):
    return np.where(x > 0, x, 0.1 * x)


MISTAKES += [
    Mistake("leaky ReLU: nothing below 0", leaky_relu, lambda gy, x: gy * (x > 0), (X,), 0,
            {"one branch", "zero where it should not be"}, [], "the mask of a ReLU for a leaky one"),
    Mistake("leaky ReLU: x in the slope below 0", leaky_relu, lambda gy, x: gy * np.where(x > 0, 1, 0.1 * x), (X,), 0,
            {"one branch", "extra factor"}, [BELOW], "the value for the slope, in one branch"),
    Mistake("leaky ReLU: another slope below 0", leaky_relu, lambda gy, x: gy * np.where(x > 0, 1, 0.01), (X,), 0,
            {"one branch"}, [BELOW], "a default in backward that is not forward's"),
    Mistake("leaky ReLU: minus below 0", leaky_relu, lambda gy, x: gy * np.where(x > 0, 1, -0.1), (X,), 0,
            {"one branch"}, [BELOW], "x below 0 taken for |x|"),
]  # fmt: skip


def selu(x):
    return 1.05 * np.where(x > 0, x, 1.67 * (np.exp(x) - 1))


MISTAKES += [
    Mistake("SELU: λ forgotten", selu, lambda gy, x: gy * np.where(x > 0, 1, 1.67 * np.exp(x)), (X,), 0,
            {"constant factor", "factor missing"}, [times(1.05)], "SELU by hand"),
    Mistake("SELU: λ above 0 alone", selu, lambda gy, x: gy * np.where(x > 0, 1.05, 1.67 * np.exp(x)), (X,), 0,
            {"one branch"}, [BELOW], "SELU by hand"),
]  # fmt: skip


def silu(x):
    return x * sigmoid(x)


MISTAKES += [
    Mistake("SiLU: no product rule", silu, lambda gy, x: gy * sigmoid(x), (X,), 0,
            {"term missing"}, [], "Llama by hand: x held to be a factor only"),
    Mistake("SiLU: the slope of the gate alone", silu, lambda gy, x: gy * x * sigmoid(x) * (1 - sigmoid(x)), (X,), 0,
            {"term missing"}, [], "Llama by hand: the gate's part only"),
    Mistake("SiLU: σ (1 + x (1 + σ))", silu, lambda gy, x: gy * sigmoid(x) * (1 + x * (1 + sigmoid(x))), (X,), 0,
            {"wrong sign of a term"}, [], "swish by hand"),
    Mistake("SiLU: σ (1 − y)", silu, lambda gy, x: gy * (sigmoid(x) + silu(x) * (1 - silu(x))), (X,), 0,
            {"output for input", "extra factor"}, [], "swish: y + σ (1 − y) with y for σ"),
]  # fmt: skip


def softplus(x):
    return np.logaddexp(0, x)


@np.errstate(all="ignore")
def softplus_of_large(gy, x):
    return gy * np.exp(x) / (1 + np.exp(x))


MISTAKES += [
    Mistake("softplus: σ(y)", softplus, lambda gy, x: gy * sigmoid(softplus(x)), (X,), 0,
            {"output for input"}, [], "softplus by hand: the cached output"),
    Mistake("softplus: a quotient of large numbers", softplus, softplus_of_large, (np.r_[800, 900, normal(6)],), 0,
            {"not finite"}, [], "issue trackers: NaN from exp(x) / (1 + exp(x))"),
]  # fmt: skip


def sharp_softplus(x):
    """ln(1 + exp 3x) / 3."""
    return np.logaddexp(0, 3 * x) / 3


MISTAKES += [
    Mistake("softplus with β: divided by β once more", sharp_softplus, lambda gy, x: gy * sigmoid(3 * x) / 3, (X,), 0,
            {"constant factor", "factor missing"}, [times(3)], "softplus with β: the inner derivative forgotten"),
]  # fmt: skip


def mish(x):
    return x * np.tanh(softplus(x))


MISTAKES += [
    Mistake("mish: softplus' slope forgotten", mish,
            lambda gy, x: gy * (np.tanh(softplus(x)) + x * (1 - np.tanh(softplus(x)) ** 2)), (X,), 0,
            {"factor missing", "wrong factor of a term"}, [], "mish by hand: the chain rule"),
    Mistake("mish: the gate held to be constant", mish, lambda gy, x: gy * np.tanh(softplus(x)), (X,), 0,
            {"term missing"}, [], "mish by hand: the product rule"),
]  # fmt: skip


def hardtanh(x):
    return np.clip(x, -1, 1)


MISTAKES += [
    Mistake("hardtanh: no end below", hardtanh, lambda gy, x: gy * (x < 1), (1.5 * normal(5, 6),), 0,
            {"wrong mask", "mask forgotten"}, [], "clipping by hand: one end"),
    Mistake("hardtanh: the slope where it is flat", hardtanh,
            lambda gy, x: gy * (np.abs(x) > 1), (1.5 * normal(5, 6),), 0,
            {"wrong mask"}, [], "clipping by hand: the mask turned round"),
    Mistake("hardtanh: straight through", hardtanh, lambda gy, x: gy.copy(), (1.5 * normal(5, 6),), 0,
            {"mask forgotten"}, [], "binarised networks: a straight-through estimator"),
]  # fmt: skip


def square_root(x):
    return np.sqrt(x)


MISTAKES += [
    Mistake("square root: 1 / 2x", square_root, lambda gy, x: gy * 0.5 / x, (np.exp(X),), 0,
            {"input for output", "wrong power"}, [], "minitorch, tensor functions: the wrong value saved"),
    Mistake("square root: the half forgotten", square_root, lambda gy, x: gy / np.sqrt(x), (np.exp(X),), 0,
            {"constant factor"}, [times(2)], "tensor functions by hand"),
]  # fmt: skip


def logarithm(x):
    return np.log(x)


MISTAKES += [
    Mistake("log: 1 / y", logarithm, lambda gy, x: gy / np.log(x), (np.exp(X),), 0,
            {"output for input"}, [], "minitorch, Log.backward: the wrong value saved"),
    Mistake("log: gy x", logarithm, lambda gy, x: gy * x, (np.exp(X),), 0,
            {"wrong power"}, [], "minitorch, Log.backward: multiplied for divided"),
]  # fmt: skip


def sine_of_square(x):
    return np.sin(x * x)


MISTAKES += [
    Mistake("sine of a square: no inner derivative", sine_of_square, lambda gy, x: gy * np.cos(x * x), (X,), 0,
            {"factor missing"}, [r"\bx\b"], "chain rule, exercises"),
    Mistake("sine of a square: cosine of x", sine_of_square, lambda gy, x: gy * np.cos(x) * 2 * x, (X,), 0,
            {"wrong power", "input for output"}, [], "chain rule, exercises: the outer slope at x"),
]  # fmt: skip


# -- softmax and what is made of it ------------------------------------------------------------------------------------

MISTAKES += [
    Mistake("log-softmax: the diagonal alone", log_softmax, lambda gy, x: gy * (1 - softmax(x)), (X,), 0,
            {"term missing"}, [], "makemore, backprop ninja"),
    Mistake("log-softmax: exp x for exp y", log_softmax,
            lambda gy, x: gy - np.exp(x) * gy.sum(1, keepdims=True), (X,), 0,
            {"input for output"}, [], "log-softmax by its output"),
    Mistake("log-softmax: a mean where the sum belongs", log_softmax,
            lambda gy, x: gy - softmax(x) * gy.mean(1, keepdims=True), (X,), 0,
            {"wrong factor of a term"}, [], "makemore, backprop ninja"),
    Mistake("log-softmax: summed over the batch", log_softmax,
            lambda gy, x: gy - softmax(x) * gy.sum(0, keepdims=True), (X,), 0,
            {"wrong axis"}, [axis(0, 1)], "makemore, backprop ninja"),
    Mistake("log-softmax: the normaliser forgotten", log_softmax, lambda gy, x: gy.copy(), (X,), 0,
            {"term missing", "statistics as constants"}, [], "makemore, backprop ninja"),
]  # fmt: skip


# -- losses ------------------------------------------------------------------------------------------------------------

SCORES, LABELS = normal(5, 4), np.array([2, 0, 3, 3, 1])

MISTAKES += [
    Mistake("cross-entropy: 1 / N forgotten", cross_entropy,
            lambda gy, x, labels: (gy * (softmax(x) - one_hot(labels, 4)), None), (SCORES, LABELS), 0,
            {"constant factor"}, [times(5)], "CS231n assignment 1, softmax_loss_vectorized"),
    Mistake("cross-entropy: scores for probabilities", cross_entropy,
            lambda gy, x, labels: (gy * (x - one_hot(labels, 4)) / len(x), None), (SCORES, LABELS), 0,
            {"input for output"}, [], "CS231n assignment 1: dscores = scores"),
    Mistake("cross-entropy: p[:, labels] −= 1", cross_entropy,
            lambda gy, x, labels: (gy * (softmax(x) - one_hot(labels, 6).max(0)) / len(x), None),
            (normal(4, 6), np.array([2, 0, 2, 5])), 0,
            {"wrong mask", "extra term"}, [], "CS231n assignment 1: an index that takes whole columns"),
]  # fmt: skip

TARGETS = normal(4, 3), normal(4, 3, seed=1)


def squared_error(y, t):
    return ((y - t) ** 2).mean()


MISTAKES += [
    Mistake("squared error: the 2 forgotten", squared_error,
            lambda gy, y, t: (gy * (y - t) / y.size, gy * 2 * (t - y) / y.size), TARGETS, 0,
            {"constant factor"}, [times(2)], "half a square in the book, a whole one in the code"),
    Mistake("squared error: divided by the batch", squared_error,
            lambda gy, y, t: (gy * 2 * (y - t) / len(y), gy * 2 * (t - y) / y.size), TARGETS, 0,
            {"constant factor"}, [times(3)], "d2l: mean over all or over the batch"),
    Mistake("squared error: target − output", squared_error,
            lambda gy, y, t: (gy * 2 * (t - y) / y.size, gy * 2 * (t - y) / y.size), TARGETS, 0,
            {"wrong sign"}, [], "networks by hand"),
    Mistake("squared error: the output for the difference", squared_error,
            lambda gy, y, t: (gy * 2 * y / y.size, gy * 2 * (t - y) / y.size), TARGETS, 0,
            {"term missing"}, [operand(1, "t")], "networks by hand"),
]  # fmt: skip


def huber(y, t):
    """Beyond 0.8 straight."""
    d = np.abs(y - t)
    return np.where(d < 0.8, d * d / 2, 0.8 * (d - 0.4))


def huber_slope(y, t):
    return np.clip(y - t, -0.8, 0.8)


MISTAKES += [
    Mistake("Huber: slope ±1 where it is straight", huber,
            lambda gy, y, t: (gy * np.where(np.abs(y - t) < 0.8, y - t, np.sign(y - t)), -gy * huber_slope(y, t)),
            TARGETS, 0, {"one branch"}, [ABOVE + r"|beyond|\|"], "Huber's loss with a δ that is not 1"),
    Mistake("Huber: no sign where it is straight", huber,
            lambda gy, y, t: (gy * np.where(np.abs(y - t) < 0.8, y - t, 0.8), -gy * huber_slope(y, t)), TARGETS, 0,
            {"one branch"}, [], "Huber's loss by hand"),
    Mistake("Huber: quadratic everywhere", huber, lambda gy, y, t: (gy * (y - t), -gy * huber_slope(y, t)), TARGETS, 0,
            {"one branch", "mask forgotten"}, [], "Huber's loss by hand: the branch forgotten"),
    Mistake("Huber: the target's sign", huber,
            lambda gy, y, t: (gy * huber_slope(y, t), gy * huber_slope(y, t)), TARGETS, 1,
            {"wrong sign"}, [], "losses by hand: the same gradient for both"),
]  # fmt: skip


def absolute_error(y, t):
    return np.abs(y - t).mean(1)


MISTAKES += [
    Mistake("absolute error: no sign", absolute_error,
            lambda gy, y, t: (gy[:, None] / y.shape[1] * np.ones_like(y), -gy[:, None] / y.shape[1] * np.sign(y - t)),
            TARGETS, 0, {"one branch", "factor missing"}, [], "losses by hand"),
    Mistake("absolute error: the output's sign", absolute_error,
            lambda gy, y, t: (gy[:, None] / y.shape[1] * np.sign(y), -gy[:, None] / y.shape[1] * np.sign(y - t)),
            TARGETS, 0, {"wrong mask", "another input", "term missing"}, [], "losses by hand: sign(y)"),
]  # fmt: skip

CHANCES = sigmoid(normal(4, 3)), sigmoid(normal(4, 3, seed=1))


def focal_loss(p, t):
    """With γ = 2, where t is True."""
    q = np.where(t, p, 1 - p)
    return -((1 - q) ** 2) * np.log(q)


def focal_sides(t):
    return np.where(t, 1, -1)


FOCAL = CHANCES[0], normal(4, 3, seed=2) > 0

MISTAKES += [
    Mistake("focal loss: the modulating factor held to be constant", focal_loss,
            lambda gy, p, t: (-gy * focal_sides(t) * (1 - np.where(t, p, 1 - p)) ** 2 / np.where(t, p, 1 - p), None),
            FOCAL, 0, {"term missing", "statistics as constants"}, [], "RetinaNet by hand"),
    Mistake("focal loss: the sign where t is False", focal_loss,
            lambda gy, p, t: (gy * (2 * (1 - np.where(t, p, 1 - p)) * np.log(np.where(t, p, 1 - p))
                                    - (1 - np.where(t, p, 1 - p)) ** 2 / np.where(t, p, 1 - p)), None), FOCAL, 0,
            {"one branch"}, [], "RetinaNet by hand: p_t for p"),
    Mistake("focal loss: γ does not come down", focal_loss,
            lambda gy, p, t: (gy * focal_sides(t) * ((1 - np.where(t, p, 1 - p)) * np.log(np.where(t, p, 1 - p))
                                    - (1 - np.where(t, p, 1 - p)) ** 2 / np.where(t, p, 1 - p)), None), FOCAL, 0,
            {"wrong factor of a term"}, [], "RetinaNet by hand"),
]  # fmt: skip


def kl_divergence(p, q):
    return (p * np.log(p / q)).sum(1)


MISTAKES += [
    Mistake("KL: no + 1 for p", kl_divergence,
            lambda gy, p, q: (gy[:, None] * np.log(p / q), -gy[:, None] * p / q), CHANCES, 0,
            {"term missing"}, [], "variational autoencoders by hand: the product rule"),
    Mistake("KL: the sign for q", kl_divergence,
            lambda gy, p, q: (gy[:, None] * (np.log(p / q) + 1), gy[:, None] * p / q), CHANCES, 1,
            {"wrong sign"}, [], "distillation by hand"),
    Mistake("KL: p not weighing q's", kl_divergence,
            lambda gy, p, q: (gy[:, None] * (np.log(p / q) + 1), -gy[:, None] / q), CHANCES, 1,
            {"factor missing"}, [operand(0, "p")], "distillation by hand"),
]  # fmt: skip


def gaussian_kl(mu, log_var):
    return -0.5 * (1 + log_var - mu**2 - np.exp(log_var)).sum(1)


LATENT = normal(4, 3), 0.5 * normal(4, 3, seed=1)

MISTAKES += [
    Mistake("Gaussian KL: only the logarithm's part", gaussian_kl,
            lambda gy, mu, log_var: (gy[:, None] * mu, -0.5 * gy[:, None] * np.ones_like(log_var)), LATENT, 1,
            {"term missing"}, [], "variational autoencoders by hand"),
    Mistake("Gaussian KL: half of μ", gaussian_kl,
            lambda gy, mu, log_var: (0.5 * gy[:, None] * mu, 0.5 * gy[:, None] * (np.exp(log_var) - 1)), LATENT, 0,
            {"constant factor"}, [times(2)], "variational autoencoders by hand"),
]  # fmt: skip


def reparametrised(mu, log_var, noise):
    return mu + np.exp(0.5 * log_var) * noise


MISTAKES += [
    Mistake("reparametrisation: the half forgotten", reparametrised,
            lambda gy, mu, log_var, noise: (gy, gy * noise * np.exp(0.5 * log_var), gy * np.exp(0.5 * log_var)),
            (*LATENT, normal(4, 3, seed=2)), 1,
            {"constant factor", "factor missing"}, [times(2)], "variational autoencoders by hand"),
    Mistake("reparametrisation: the variance for the deviation", reparametrised,
            lambda gy, mu, log_var, noise: (gy, 0.5 * gy * noise * np.exp(log_var), gy * np.exp(0.5 * log_var)),
            (*LATENT, normal(4, 3, seed=2)), 1, {"wrong power"}, [], "variational autoencoders by hand"),
]  # fmt: skip

SIDES = normal(5, 3), normal(5, 3, seed=1) > 0


def squared_hinge(x, t):
    return hinge(x, t) ** 2


MISTAKES += [
    Mistake("squared hinge: the margin forgotten", squared_hinge,
            lambda gy, x, t: (2 * gy * np.where(t, -1, 1) * (hinge(x, t) > 0), None), SIDES, 0,
            {"factor missing"}, [], "SVM by hand: L1's gradient for L2's"),
    Mistake("squared hinge: the square kept", squared_hinge,
            lambda gy, x, t: (2 * gy * np.where(t, -1, 1) * hinge(x, t) ** 2, None), SIDES, 0,
            {"wrong power", "extra factor"}, [], "SVM by hand"),
]  # fmt: skip


def triplet_loss(a, p, n):
    return np.maximum(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 1, 0)


def of_hard(gy, a, p, n):
    return 2 * gy[:, None] * (triplet_loss(a, p, n) > 0)[:, None]


TRIPLETS = normal(5, 3, seed=3), normal(5, 3, seed=4), normal(5, 3, seed=5)

MISTAKES += [
    Mistake("triplets: the negative's part added", triplet_loss,
            lambda gy, a, p, n: (of_hard(gy, a, p, n) * (a - p + a - n), of_hard(gy, a, p, n) * (p - a),
                                 of_hard(gy, a, p, n) * (a - n)), TRIPLETS, 0,
            {"wrong sign of a term"}, [], "FaceNet by hand"),
    Mistake("triplets: easy ones push also", triplet_loss,
            lambda gy, a, p, n: (of_hard(gy, a, p, n) * (n - p), of_hard(gy, a, p, n) * (p - a),
                                 2 * gy[:, None] * (a - n)), TRIPLETS, 2,
            {"mask forgotten"}, [], "FaceNet by hand"),
    Mistake("triplets: the positive's sign", triplet_loss,
            lambda gy, a, p, n: (of_hard(gy, a, p, n) * (n - p), of_hard(gy, a, p, n) * (a - p),
                                 of_hard(gy, a, p, n) * (a - n)), TRIPLETS, 1,
            {"wrong sign"}, [], "FaceNet by hand"),
    Mistake("triplets: the anchor by its positive alone", triplet_loss,
            lambda gy, a, p, n: (of_hard(gy, a, p, n) * (a - p), of_hard(gy, a, p, n) * (p - a),
                                 of_hard(gy, a, p, n) * (a - n)), TRIPLETS, 0,
            {"term missing", "= for +="}, [], "FaceNet by hand"),
]  # fmt: skip


# -- norms -------------------------------------------------------------------------------------------------------------


def norm(x):
    return np.sqrt((x * x).sum(1))


MISTAKES += [
    Mistake("norm: not divided by itself", norm, lambda gy, x: gy[:, None] * x, (X,), 0,
            {"factor missing"}, [], "norms by hand: the root's slope"),
    Mistake("norm: divided by its square", norm, lambda gy, x: gy[:, None] * x / (x * x).sum(1, keepdims=True), (X,), 0,
            {"wrong power"}, [], "norms by hand"),
]  # fmt: skip


def batch_norm(x, gamma, beta):
    return gamma * normalised(x) + beta


def with_affine(gx, gy, x):
    """gx, and what is right for γ and β."""
    return gx, (gy * normalised(x)).sum(0), gy.sum(0)


def deviation_for_its_cube(gy, x, gamma, beta):
    away, g = x - x.mean(0), gy * gamma
    of_variance = -0.5 * (g * away).sum(0) / deviation(x)
    return with_affine((g - g.mean(0)) / deviation(x) + of_variance * 2 * away / len(x), gy, x)


def variance_not_averaged(gy, x, gamma, beta):
    away, g = x - x.mean(0), gy * gamma
    of_variance = -0.5 * (g * away).sum(0) / deviation(x) ** 3
    return with_affine((g - g.mean(0)) / deviation(x) + of_variance * 2 * away, gy, x)


def variance_without_two(gy, x, gamma, beta):
    away, g = x - x.mean(0), gy * gamma
    of_variance = -0.5 * (g * away).sum(0) / deviation(x) ** 3
    return with_affine((g - g.mean(0)) / deviation(x) + of_variance * away / len(x), gy, x)


def way_of_difference_lost(gy, x, gamma, beta):
    """The gradient of x − μ by the variance overwritten with that by the quotient, or the other way round."""
    away, g = x - x.mean(0), gy * gamma
    of_variance = -0.5 * (g * away).sum(0) / deviation(x) ** 3
    return with_affine(of_variance * 2 * away / len(x), gy, x)


BATCH = normal(5, 6), 1.5 + 0.5 * normal(6, seed=1), normal(6, seed=2)
SQUARE_BATCH = normal(6, 6), BATCH[1], BATCH[2]

MISTAKES += [
    Mistake("batch norm: mean and variance held to be constant", batch_norm,
            lambda gy, x, gamma, beta: with_affine(gy * gamma / deviation(x), gy, x), BATCH, 0,
            {"statistics as constants"}, [MEAN, VARIANCE], "networks by hand: as in inference"),
    Mistake("batch norm: the variance held to be constant", batch_norm,
            lambda gy, x, gamma, beta: with_affine(gamma * (gy - gy.mean(0)) / deviation(x), gy, x), BATCH, 0,
            {"statistics as constants"}, [VARIANCE], "CS231n assignment 2, batchnorm_backward"),
    Mistake("batch norm: the mean held to be constant", batch_norm,
            lambda gy, x, gamma, beta: with_affine(
                gamma * (gy - normalised(x) * (gy * normalised(x)).mean(0)) / deviation(x), gy, x), BATCH, 0,
            {"statistics as constants"}, [MEAN], "CS231n assignment 2, batchnorm_backward: dμ"),
    Mistake("batch norm: γ forgotten", batch_norm,
            lambda gy, x, gamma, beta: with_affine(through_norm(gy, x), gy, x), BATCH, 0,
            {"factor missing"}, [operand(1, "gamma") + "|γ"], "CS231n assignment 2, batchnorm_backward_alt"),
    Mistake("batch norm: σ where σ³ belongs", batch_norm, deviation_for_its_cube, BATCH, 0,
            {"wrong power", "wrong factor of a term"}, [], "CS231n assignment 2, batchnorm_backward: dvar"),
    Mistake("batch norm: the variance's part not divided by N", batch_norm, variance_not_averaged, BATCH, 0,
            {"wrong factor of a term"}, [], "CS231n assignment 2, batchnorm_backward: dvar"),
    Mistake("batch norm: the square's 2 forgotten", batch_norm, variance_without_two, BATCH, 0,
            {"wrong factor of a term"}, [], "CS231n assignment 2, batchnorm_backward: dvar"),
    Mistake("batch norm: one of two ways to x − μ lost", batch_norm, way_of_difference_lost, BATCH, 0,
            {"= for +=", "term missing"}, [], "makemore, backprop ninja: dbndiff"),
    Mistake("batch norm: the plain sum in the last term", batch_norm,
            lambda gy, x, gamma, beta: with_affine(
                gamma * (gy - gy.mean(0) - normalised(x) * gy.mean(0)) / deviation(x), gy, x), BATCH, 0,
            {"factor missing", "wrong factor of a term"}, [], "CS231n assignment 2, batchnorm_backward_alt"),
    Mistake("batch norm: the mean's part added", batch_norm,
            lambda gy, x, gamma, beta: with_affine(through_norm(gamma * gy, x) + 2 * gamma * gy.mean(0) / deviation(x),
                                                   gy, x), BATCH, 0,
            {"wrong sign of a term"}, [], "CS231n assignment 2, batchnorm_backward"),
    Mistake("batch norm: γ learns from x", batch_norm,
            lambda gy, x, gamma, beta: (through_norm(gamma * gy, x), (gy * x).sum(0), gy.sum(0)), BATCH, 1,
            {"input for output"}, [], "CS231n assignment 2: the wrong thing cached"),
    Mistake("batch norm: γ summed over the features", batch_norm,
            lambda gy, x, gamma, beta: (through_norm(gamma * gy, x), (gy * normalised(x)).sum(1), gy.sum(0)),
            SQUARE_BATCH, 1, {"wrong axis"}, [axis(0, 1)], "issue trackers: a square batch hides it"),
    Mistake("batch norm: β averaged", batch_norm,
            lambda gy, x, gamma, beta: (through_norm(gamma * gy, x), (gy * normalised(x)).sum(0), gy.mean(0)), BATCH, 2,
            {"constant factor"}, [times(5)], "CS231n assignment 2"),
]  # fmt: skip


def per_channel(x):
    """(N, C, H, W) → (N H W, C)."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def spatial_batch_norm(x, gamma):
    return gamma[:, None, None] * normalised(x, (0, 2, 3))


def gamma_of_channels(gy, x):
    return (gy * normalised(x, (0, 2, 3))).sum((0, 2, 3))


IMAGES = normal(2, 6, 3, 2), BATCH[1]

MISTAKES += [
    Mistake("spatial batch norm: reshaped where axes are to move", spatial_batch_norm,
            lambda gy, x, gamma: (per_channel(through_norm(gy * gamma[:, None, None], x, (0, 2, 3))).reshape(x.shape),
                                  gamma_of_channels(gy, x)), IMAGES, 0,
            {"transposed"}, [], "CS231n assignment 2, spatial_batchnorm_backward"),
    Mistake("spatial batch norm: each image by itself", spatial_batch_norm,
            lambda gy, x, gamma: (through_norm(gy * gamma[:, None, None], x, (2, 3)), gamma_of_channels(gy, x)),
            IMAGES, 0, {"wrong axis"}, [axis(0)], "instance norm's backward for batch norm's"),
    Mistake("spatial batch norm: the variance held to be constant", spatial_batch_norm,
            lambda gy, x, gamma: (gamma[:, None, None] * (gy - gy.mean((0, 2, 3), keepdims=True))
                                  / deviation(x, (0, 2, 3)),
                                  gamma_of_channels(gy, x)), IMAGES, 0,
            {"statistics as constants"}, [VARIANCE], "CS231n assignment 2, spatial batch norm"),
    Mistake("spatial batch norm: γ averaged", spatial_batch_norm,
            lambda gy, x, gamma: (through_norm(gy * gamma[:, None, None], x, (0, 2, 3)),
                                  gamma_of_channels(gy, x) / x[:, 0].size), IMAGES, 1,
            {"constant factor"}, [times(12)], "CS231n assignment 2, spatial batch norm: mean for sum"),
    Mistake("spatial batch norm: γ from the first image", spatial_batch_norm,
            lambda gy, x, gamma: (through_norm(gy * gamma[:, None, None], x, (0, 2, 3)),
                                  (gy * normalised(x, (0, 2, 3)))[0].sum((1, 2))), IMAGES, 1,
            {"one example only"}, [], "CS231n assignment 2, spatial batch norm"),
]  # fmt: skip

MISTAKES += [
    Mistake("layer norm: γ after the sums", layer_norm,
            lambda gy, x, gamma, beta: with_affine_of_rows(gamma * through_norm(gy, x, 1), gy, x), BATCH, 0,
            {"wrong factor of a term", "factor missing"}, [],
            "CS231n assignment 2, layernorm_backward: γ put outside, as in batch norm"),
    Mistake("layer norm: γ summed over the features", layer_norm,
            lambda gy, x, gamma, beta: (through_norm(gy * gamma, x, 1), (gy * normalised(x, 1)).sum(1), gy.sum(0)),
            SQUARE_BATCH, 1, {"wrong axis"}, [axis(0, 1)], "CS231n assignment 2, layernorm_backward"),
    Mistake("layer norm: sums over D divided by N", layer_norm,
            lambda gy, x, gamma, beta: with_affine_of_rows(
                (gy * gamma - ((gy * gamma).sum(1, keepdims=True)
                + normalised(x, 1) * (gy * gamma * normalised(x, 1)).sum(1, keepdims=True)) / len(x))
                / deviation(x, 1), gy, x), BATCH, 0,
            {"wrong factor of a term"}, [], "CS231n assignment 2, layernorm_backward: N for D"),
]  # fmt: skip


def in_groups(x):
    """(N, C, H, W) → (N, 2, C/2 H W)."""
    return x.reshape(len(x), 2, -1)


def group_norm(x):
    return normalised(in_groups(x), 2).reshape(x.shape)


def last_left_out(gy, x):
    """The sums leave out the last channel of each group."""
    g, z = in_groups(gy), in_groups(x)
    y, k = normalised(z, 2), z.shape[2] - x[0, 0].size
    sums = g[..., :k].sum(2, keepdims=True) + y * (g * y)[..., :k].sum(2, keepdims=True)
    return ((g - sums / z.shape[2]) / deviation(z, 2)).reshape(x.shape)


MISTAKES += [
    Mistake("group norm: as if all channels were one group", group_norm,
            lambda gy, x: (gy - gy.mean((1, 2, 3), keepdims=True) - group_norm(x)
                           * (gy * group_norm(x)).mean((1, 2, 3), keepdims=True))
            / deviation(in_groups(x), 2).repeat(3, 1)[..., None], (normal(2, 6, 3, 2),), 0,
            {"wrong axis"}, [], "CS231n assignment 2, spatial_groupnorm_backward"),
    Mistake("group norm: mean and variance held to be constant", group_norm,
            lambda gy, x: (in_groups(gy) / deviation(in_groups(x), 2)).reshape(x.shape), (normal(2, 6, 3, 2),), 0,
            {"statistics as constants"}, [MEAN, VARIANCE], "CS231n assignment 2, spatial_groupnorm_backward"),
    Mistake("group norm: the sums end one channel early", group_norm, last_left_out, (normal(2, 6, 3, 2),), 0,
            {"term missing", "group boundary"}, [], "CS231n assignment 2: a group's slice that ends too early"),
]  # fmt: skip


def instance_norm(x):
    return normalised(x, (2, 3))


MISTAKES += [
    Mistake("instance norm: over the batch also", instance_norm,
            lambda gy, x: (gy - gy.mean((0, 2, 3), keepdims=True) - instance_norm(x)
                           * (gy * instance_norm(x)).mean((0, 2, 3), keepdims=True)) / deviation(x, (2, 3)),
            (normal(3, 2, 3, 4),), 0, {"wrong axis"}, [axis(0)], "style transfer by hand: batch norm's backward"),
    Mistake("instance norm: the mean held to be constant", instance_norm,
            lambda gy, x: (gy - instance_norm(x) * (gy * instance_norm(x)).mean((2, 3), keepdims=True))
            / deviation(x, (2, 3)), (normal(3, 2, 3, 4),), 0,
            {"statistics as constants"}, [MEAN], "style transfer by hand"),
]  # fmt: skip

TO_ONE = (np.exp(0.5 * distinct(4, 5)),)


def shares(x):
    return x / x.sum(1, keepdims=True)


MISTAKES += [
    Mistake("shares: the sum held to be constant", shares, lambda gy, x: gy / x.sum(1, keepdims=True), TO_ONE, 0,
            {"statistics as constants"}, [DENOMINATOR], "makemore, backprop ninja: counts / counts_sum"),
    Mistake("shares: the sum's part added", shares,
            lambda gy, x: (gy + (gy * shares(x)).sum(1, keepdims=True)) / x.sum(1, keepdims=True), TO_ONE, 0,
            {"wrong sign of a term"}, [], "makemore, backprop ninja: counts_sum_inv"),
    Mistake("shares: over the batch", shares,
            lambda gy, x: (gy - (gy * shares(x)).sum(0)) / x.sum(1, keepdims=True), TO_ONE, 0,
            {"wrong axis"}, [axis(0, 1)], "makemore, backprop ninja"),
]  # fmt: skip


def spread_of_rows(x):
    return x.std(1)


MISTAKES += [
    Mistake("deviation: the root's slope forgotten", spread_of_rows,
            lambda gy, x: gy[:, None] * (x - x.mean(1, keepdims=True)) / x.shape[1], (X,), 0,
            {"factor missing"}, [], "statistics by hand: the variance's gradient"),
    Mistake("deviation: x not centred", spread_of_rows,
            lambda gy, x: gy[:, None] * x / x.shape[1] / x.std(1, keepdims=True), (X,), 0,
            {"term missing", "statistics as constants"}, [MEAN], "statistics by hand"),
]  # fmt: skip


# -- convolution -------------------------------------------------------------------------------------------------------


def conv2d(x, w):
    """Kernels of 3 × 3, padding 1."""
    return np.einsum("ncpqrs,kcrs->nkpq", windows(padded(x), 3, 3), w)


def image_gradient(gy, x, w):
    return send_back(gy, w, padded(x).shape)[:, :, 1:-1, 1:-1]


def kernel_gradient(gy, x):
    return np.einsum("nkpq,ncpqrs->kcrs", gy, windows(padded(x), 3, 3))


def overwritten(gy, x, w):
    g = np.zeros(padded(x).shape)
    for p, q in np.ndindex(gy.shape[2:]):
        g[:, :, p : p + 3, q : q + 3] = np.einsum("nk,kcrs->ncrs", gy[:, :, p, q], w)
    return g[:, :, 1:-1, 1:-1]


PHOTOS = normal(2, 2, 4, 5), normal(3, 2, 3, 3, seed=1)
EQUAL = normal(2, 3, 4, 5), normal(3, 3, 3, 3, seed=1)

MISTAKES += [
    Mistake("convolution: the padding taken off one place too late", conv2d,
            lambda gy, x, w: (send_back(gy, w, padded(x).shape)[:, :, 2:, 2:], kernel_gradient(gy, x)), PHOTOS, 0,
            {"shifted"}, [ONE], "CS231n assignment 2, conv_backward_naive"),
    Mistake("convolution: all the padding taken off at the end", conv2d,
            lambda gy, x, w: (send_back(gy, w, padded(x).shape)[:, :, :-2, :-2], kernel_gradient(gy, x)), PHOTOS, 0,
            {"shifted"}, [ONE], "CS231n assignment 2, conv_backward_naive"),
    Mistake("convolution: the kernel turned round", conv2d,
            lambda gy, x, w: (image_gradient(gy, x, w[:, :, ::-1, ::-1]), kernel_gradient(gy, x)), PHOTOS, 0,
            {"kernel turned round"}, [], "deeplearning.ai course 4: correlation with w where convolution belongs"),
    Mistake("convolution: kernels from the first image", conv2d,
            lambda gy, x, w: (image_gradient(gy, x, w), kernel_gradient(gy[:1], x[:1])), PHOTOS, 1,
            {"one example only"}, [r"\b0\b|first"], "deeplearning.ai course 4, conv_backward"),
    Mistake("convolution: windows overwrite each other", conv2d,
            lambda gy, x, w: (overwritten(gy, x, w), kernel_gradient(gy, x)), PHOTOS, 0,
            {"= for +=", "overlapping windows"}, [], "CS231n assignment 2, conv_backward_naive"),
    Mistake("convolution: kernels and channels exchanged", conv2d,
            lambda gy, x, w: (image_gradient(gy, x, w.swapaxes(0, 1)), kernel_gradient(gy, x)), EQUAL, 0,
            {"channels exchanged", "operand not transposed"}, [], "convolution by convolution: w as it stands"),
    Mistake("convolution: the result has channels before kernels", conv2d,
            lambda gy, x, w: (image_gradient(gy, x, w), kernel_gradient(gy, x).swapaxes(0, 1)), EQUAL, 1,
            {"transposed", "channels exchanged"}, [], "convolution by im2col: axes of the result"),
    Mistake("convolution: in backward padded at the end only", conv2d,
            lambda gy, x, w: (image_gradient(gy, x, w), np.einsum("nkpq,ncpqrs->kcrs", gy, windows(
                np.pad(x, ((0, 0), (0, 0), (0, 2), (0, 2))), 3, 3))), PHOTOS, 1,
            {"shifted"}, [ONE], "frameworks that pad 'same' on one side"),
    Mistake("convolution: kernels averaged over the batch", conv2d,
            lambda gy, x, w: (image_gradient(gy, x, w), kernel_gradient(gy, x) / len(x)), PHOTOS, 1,
            {"constant factor"}, [times(2)], "networks by hand: 1 / N in the loss and in the layer"),
    Mistake("convolution: the gradient not padded", conv2d,
            lambda gy, x, w: (padded(np.einsum("nkpqrs,kcrs->ncpq", windows(gy, 3, 3), w[:, :, ::-1, ::-1])),
                              kernel_gradient(gy, x)), (normal(1, 2, 7, 8), PHOTOS[1]), 0,
            {"padded border", "zero where it should not be"}, [], "full and valid convolution mixed up"),
]  # fmt: skip


def strided_conv2d(x, w):
    """Kernels of 3 × 3, two apart."""
    return np.einsum("ncpqrs,kcrs->nkpq", windows(x, 3, 3, 2), w)


WIDE = normal(2, 2, 5, 7), normal(3, 2, 3, 3, seed=1)

MISTAKES += [
    Mistake("strided convolution: windows one apart in backward", strided_conv2d,
            lambda gy, x, w: (send_back(gy, w, x.shape), np.einsum("nkpq,ncpqrs->kcrs", gy, windows(x, 3, 3, 2))),
            WIDE, 0, {"stride"}, [], "CS231n assignment 2, conv_backward_naive: stride in forward only"),
    Mistake("strided convolution: kernels from windows one apart", strided_conv2d,
            lambda gy, x, w: (send_back(gy, w, x.shape, 2),
                              np.einsum("nkpq,ncpqrs->kcrs", gy, windows(x, 3, 3)[:, :, :2, :3])), WIDE, 1,
            {"stride"}, [], "CS231n assignment 2, conv_backward_naive: stride in forward only"),
    Mistake("strided convolution: the last row of outputs left out", strided_conv2d,
            lambda gy, x, w: (send_back(gy[:, :, :-1], w, x.shape, 2),
                              np.einsum("nkpq,ncpqrs->kcrs", gy, windows(x, 3, 3, 2))), WIDE, 0,
            {"term missing", "zero where it should not be"}, [],
            "deeplearning.ai course 4: a range that ends too early"),
]  # fmt: skip


def transposed_conv2d(x, w):
    """Kernels of 2 × 3, two apart: (N, C, H, W), (C, K, 2, 3) → (N, K, 2H, 2W + 1)."""
    return send_back(x, w, (len(x), w.shape[1], 2 * x.shape[2], 2 * x.shape[3] + 1), 2)


UP = normal(2, 3, 3, 2), normal(3, 2, 2, 3, seed=1)

MISTAKES += [
    Mistake("transposed convolution: windows one apart", transposed_conv2d,
            lambda gy, x, w: (np.einsum("nkpqrs,ckrs->ncpq", windows(gy, 2, 3)[:, :, :3, :2], w),
                              np.einsum("ncpq,nkpqrs->ckrs", x, windows(gy, 2, 3, 2))), UP, 0,
            {"stride"}, [], "DCGAN by hand"),
    Mistake("transposed convolution: the kernel turned round", transposed_conv2d,
            lambda gy, x, w: (np.einsum("nkpqrs,ckrs->ncpq", windows(gy, 2, 3, 2), w[:, :, ::-1, ::-1]),
                              np.einsum("ncpq,nkpqrs->ckrs", x, windows(gy, 2, 3, 2))), UP, 0,
            {"kernel turned round"}, [], "DCGAN by hand: transposed is not turned round"),
    Mistake("transposed convolution: kernels from the last image", transposed_conv2d,
            lambda gy, x, w: (np.einsum("nkpqrs,ckrs->ncpq", windows(gy, 2, 3, 2), w),
                              np.einsum("cpq,kpqrs->ckrs", x[-1], windows(gy, 2, 3, 2)[-1])), UP, 1,
            {"one example only", "= for +="}, [], "DCGAN by hand: = in the loop over images"),
]  # fmt: skip


def pointwise_towers(x, w):
    """Each of three groups of two channels has its own 2 × 2 matrix, w: (6, 2, 1, 1)."""
    return np.einsum("ngchw,gkc->ngkhw", x.reshape(len(x), 3, 2, *x.shape[2:]), w.reshape(3, 2, 2)).reshape(x.shape)


def towers_backward(gy, x, w):
    g, z = (a.reshape(len(a), 3, 2, *a.shape[2:]) for a in (gy, x))
    return (np.einsum("ngkhw,gkc->ngchw", g, w.reshape(3, 2, 2)).reshape(x.shape),
            np.einsum("ngkhw,ngchw->gkc", g, z).reshape(w.shape))  # fmt: skip


TOWERS = normal(2, 6, 2, 3), normal(6, 2, 1, 1, seed=1)

MISTAKES += [
    Mistake("towers: the last channel of each group left out", pointwise_towers,
            lambda gy, x, w: (towers_backward(gy, x, w)[0] * np.array([1, 0] * 3)[:, None, None],
                              towers_backward(gy, x, w)[1]), TOWERS, 0,
            {"group boundary", "zero where it should not be"}, [],
            "grouped layers by hand: a slice that ends too early"),
    Mistake("towers: the matrices not transposed", pointwise_towers,
            lambda gy, x, w: (pointwise_towers(gy, w), towers_backward(gy, x, w)[1]), TOWERS, 0,
            {"operand not transposed"}, [operand(1, "w")], "grouped layers by hand"),
]  # fmt: skip


# -- pooling and resizing ----------------------------------------------------------------------------------------------

POOL = (distinct(2, 2, 4, 6),)

MISTAKES += [
    Mistake("max pooling: to every place of the window", max_pool, lambda gy, x: gy.repeat(2, 2).repeat(2, 3), POOL, 0,
            {"window shared out", "mask forgotten"}, [], "CS231n assignment 2, max_pool_backward_naive"),
    Mistake("max pooling: row and column within the window exchanged", max_pool,
            lambda gy, x: untiled(gy[..., None, None] * winners(x).swapaxes(4, 5)), POOL, 0,
            {"transposed", "wrong mask"}, [], "CS231n assignment 2: argmax's row and column"),
    Mistake("max pooling: the winners of the first image", max_pool,
            lambda gy, x: untiled(gy[..., None, None] * winners(x)[:1]), POOL, 0,
            {"wrong mask", "one example only"}, [], "deeplearning.ai course 4, pool_backward"),
]  # fmt: skip


def overlapping_max(x):
    """Maxima of 3 in a row, one apart."""
    return sliding_window_view(x, 3, 1).max(2)


def last_window_wins(gy, x):
    g = np.zeros_like(x)
    g[np.arange(len(x))[:, None], winner_places(x)] = gy
    return g


def window_offset_forgotten(gy, x):
    g = np.zeros_like(x)
    np.add.at(g, (np.arange(len(x))[:, None], winner_places(x) - np.arange(x.shape[1] - 2)), gy)
    return g


MISTAKES += [
    Mistake("overlapping maxima: a winner of several windows gets the last", overlapping_max,
            last_window_wins, (distinct(4, 9),), 0,
            {"= for +=", "overlapping windows"}, [], "AlexNet's pooling by hand"),
    Mistake("overlapping maxima: each an equal third", overlapping_max,
            lambda gy, x: sum(np.pad(gy, ((0, 0), (i, 2 - i))) for i in range(3)) / 3, (distinct(4, 9),), 0,
            {"window shared out"}, [], "average pooling's backward for max pooling's"),
    Mistake("overlapping maxima: places counted from each window's own start", overlapping_max,
            window_offset_forgotten, (distinct(4, 9),), 0,
            {"shifted", "stride"}, [], "AlexNet's pooling by hand: argmax within the window"),
]  # fmt: skip


def box_blur(x):
    """The mean over 3 × 3, beyond the image zeros."""
    return windows(padded(x), 3, 3).sum((4, 5)) / 9


MISTAKES += [
    Mistake("box blur: by the number of neighbours at the border", box_blur,
            lambda gy, x: windows(padded(gy), 3, 3).sum((4, 5)) / count_of_neighbours(*x.shape[2:]),
            (normal(1, 1, 8, 9),), 0, {"padded border"}, [], "issue trackers: count_include_pad"),
    Mistake("box blur: the mean forgotten", box_blur,
            lambda gy, x: windows(padded(gy), 3, 3).sum((4, 5)), (normal(1, 2, 5, 6),), 0,
            {"constant factor"}, [times(9)], "filters by hand"),
    Mistake("box blur: the place itself alone", box_blur, lambda gy, x: gy / 9, (normal(1, 2, 5, 6),), 0,
            {"term missing", "= for +="}, [], "filters by hand: neighbours forgotten"),
]  # fmt: skip


def interpolated(x):
    """A quarter of the way from each place to the next."""
    return 0.75 * x[:, :-1] + 0.25 * x[:, 1:]


def of_neighbours(gy, left, right):
    return left * np.pad(gy, ((0, 0), (0, 1))) + right * np.pad(gy, ((0, 0), (1, 0)))


MISTAKES += [
    Mistake("interpolation: the right neighbour forgotten", interpolated,
            lambda gy, x: of_neighbours(gy, 0.75, 0), (normal(4, 6),), 0,
            {"term missing", "= for +="}, [], "bilinear sampling by hand"),
    Mistake("interpolation: weights exchanged", interpolated,
            lambda gy, x: of_neighbours(gy, 0.25, 0.75), (normal(4, 6),), 0,
            {"wrong factor of a term", "kernel turned round"}, [], "bilinear sampling by hand: t for 1 − t"),
    Mistake("interpolation: not weighted", interpolated, lambda gy, x: of_neighbours(gy, 0.75, 1), (normal(4, 6),), 0,
            {"wrong factor of a term", "factor missing"}, [], "bilinear sampling by hand"),
]  # fmt: skip


def channel_shuffle(x):
    """Three groups of two channels, dealt out."""
    return x.reshape(len(x), 3, 2, -1).swapaxes(1, 2).reshape(x.shape)


MISTAKES += [
    Mistake("channel shuffle: shuffled again", channel_shuffle,
            lambda gy, x: channel_shuffle(gy), (normal(2, 6, 2, 3),), 0,
            {"channels exchanged", "transposed"}, [], "ShuffleNet by hand: not its own inverse"),
    Mistake("channel shuffle: left as it came", channel_shuffle, lambda gy, x: gy.copy(), (normal(2, 6, 2, 3),), 0,
            {"channels exchanged", "transposed"}, [], "ShuffleNet by hand"),
]  # fmt: skip


def neighbours_squared(x):
    """Over three channels, beyond the first and last zeros."""
    wide = np.pad(x * x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    return wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]


def over_channels(x):
    wide = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    return wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]


def response_norm(x):
    return x * (2 + 0.5 * neighbours_squared(x)) ** -0.75


def response_cross(gy, x, power=-1.75):
    return 2 * x * 0.5 * over_channels(gy * x * -0.75 * (2 + 0.5 * neighbours_squared(x)) ** power)


RESPONSES = (normal(2, 5, 2, 3),)

MISTAKES += [
    Mistake("response norm: the sum of squares held to be constant", response_norm,
            lambda gy, x: gy * (2 + 0.5 * neighbours_squared(x)) ** -0.75, RESPONSES, 0,
            {"statistics as constants", "term missing"}, [], "AlexNet by hand, LRN"),
    Mistake("response norm: the power stays", response_norm,
            lambda gy, x: gy * (2 + 0.5 * neighbours_squared(x)) ** -0.75 + response_cross(gy, x, -0.75), RESPONSES, 0,
            {"wrong power"}, [], "AlexNet by hand, LRN"),
    Mistake("response norm: the channel itself alone in the sum", response_norm,
            lambda gy, x: gy * (2 + 0.5 * neighbours_squared(x)) ** -0.75
            - 0.75 * gy * x * x * (2 + 0.5 * neighbours_squared(x)) ** -1.75, RESPONSES, 0,
            {"term missing"}, [], "AlexNet by hand, LRN"),
    Mistake("response norm: the square's 2 forgotten", response_norm,
            lambda gy, x: gy * (2 + 0.5 * neighbours_squared(x)) ** -0.75 + response_cross(gy, x) / 2, RESPONSES, 0,
            {"wrong factor of a term"}, [], "AlexNet by hand, LRN"),
]  # fmt: skip


# -- arithmetic, sums and shapes ---------------------------------------------------------------------------------------

TWO = normal(4, 3), normal(4, 3, seed=1)
APART = normal(4, 3), np.exp(0.5 * normal(4, 3, seed=1))


def column_added(x, c):
    """(N, D) and (N, 1)."""
    return x + c


MISTAKES += [
    Mistake("column: broadcast, not summed", column_added,
            lambda gy, x, c: (gy, gy[:, :1]), (normal(6, 4), normal(6, 1, seed=1)), 1,
            {"broadcast axis not summed"}, [axis(1)], "minitorch module 2, broadcasting"),
    Mistake("column: the mean of what it was added to", column_added,
            lambda gy, x, c: (gy, gy.mean(1, keepdims=True)), (normal(6, 4), normal(6, 1, seed=1)), 1,
            {"constant factor"}, [times(4)], "minitorch module 2, broadcasting"),
    Mistake("column: summed over the rows", column_added,
            lambda gy, x, c: (gy, gy.sum(0)[:, None]), (normal(6, 6), normal(6, 1, seed=1)), 1,
            {"wrong axis"}, [axis(0, 1)], "minitorch module 2, broadcasting"),
]  # fmt: skip


def difference(a, b):
    return a - b


MISTAKES += [
    Mistake("difference: plus for b", difference, lambda gy, a, b: (gy, gy), TWO, 1,
            {"wrong sign"}, [], "micrograd, Value.__sub__"),
]  # fmt: skip


def quotient(a, b):
    return a / b


MISTAKES += [
    Mistake("quotient: the square forgotten", quotient, lambda gy, a, b: (gy / b, -gy * a / b), APART, 1,
            {"wrong power"}, [operand(1, "b")], "quotient rule, exercises"),
    Mistake("quotient: a forgotten for b", quotient, lambda gy, a, b: (gy / b, -gy / b**2), APART, 1,
            {"factor missing"}, [operand(0, "a")], "quotient rule, exercises"),
    Mistake("quotient: multiplied by b", quotient, lambda gy, a, b: (gy * b, -gy * a / b**2), APART, 0,
            {"wrong power"}, [operand(1, "b")], "minitorch: the product's backward"),
    Mistake("quotient: plus for b", quotient, lambda gy, a, b: (gy / b, gy * a / b**2), APART, 1,
            {"wrong sign"}, [], "quotient rule, exercises"),
]  # fmt: skip


def power_of(a, b):
    return a**b


POWERS = np.exp(0.5 * normal(4, 3)), normal(4, 3, seed=1)

MISTAKES += [
    Mistake("aᵇ: no logarithm for b", power_of, lambda gy, a, b: (gy * b * a ** (b - 1), gy * a**b), POWERS, 1,
            {"factor missing"}, [r"log|ln|" + operand(0, "a")], "tensor functions by hand"),
    Mistake("aᵇ: b does not come down", power_of,
            lambda gy, a, b: (gy * a ** (b - 1), gy * a**b * np.log(a)), POWERS, 0,
            {"factor missing"}, [operand(1, "b")], "tensor functions by hand"),
    Mistake("aᵇ: the logarithm of b", power_of,
            lambda gy, a, b: (gy * b * a ** (b - 1), gy * a**b * np.log(np.abs(b))), POWERS, 1,
            {"another input"}, [operand(1, "b")], "tensor functions by hand"),
]  # fmt: skip


def chosen(mask, a, b):
    return np.where(mask, a, b)


PICKED = normal(4, 3, seed=2) > 0, *TWO

MISTAKES += [
    Mistake("where: b under a's mask", chosen, lambda gy, mask, a, b: (None, gy * mask, gy * mask), PICKED, 2,
            {"wrong mask"}, [], "tensor functions by hand"),
    Mistake("where: a everywhere", chosen, lambda gy, mask, a, b: (None, gy.copy(), gy * ~mask), PICKED, 1,
            {"mask forgotten"}, [], "tensor functions by hand"),
]  # fmt: skip


def rectified_sum(a, b):
    return np.maximum(a, 0) + b


def mask_in_place(gy, a, b):
    ga = gy
    ga[a < 0] = 0
    return ga, gy


MISTAKES += [
    Mistake("sum: the mask written into what both share", rectified_sum, mask_in_place, TWO, 1,
            {"wrong mask", "zero where it should not be", "extra factor"}, [],
            "issue trackers: a gradient handed on without a copy"),
]  # fmt: skip


def column_products(x):
    return x.prod(0)


@np.errstate(all="ignore")
def product_over_x(gy, x):
    return gy * x.prod(0) / x


def with_a_zero(*shape):
    x = normal(*shape)
    x[1, 1] = 0
    return x


MISTAKES += [
    Mistake("products: not divided by the factor itself", column_products,
            lambda gy, x: gy * x.prod(0) + np.zeros_like(x), (X,), 0,
            {"factor missing"}, [operand(0, "x")], "tensor functions by hand"),
    Mistake("products: y / x where a factor is 0", column_products, product_over_x, (with_a_zero(4, 5),), 0,
            {"not finite"}, [], "issue trackers: NaN from prod with a zero"),
    Mistake("products: sums' backward", column_products, lambda gy, x: gy + np.zeros_like(x), (X,), 0,
            {"factor missing"}, [], "minitorch: reduce by mul with add's backward"),
]  # fmt: skip


def running_sums(x):
    return x.cumsum(1)


MISTAKES += [
    Mistake("running sums: summed from the front again", running_sums, lambda gy, x: gy.cumsum(1), (X,), 0,
            {"wrong direction"}, [], "tensor functions by hand, cumsum"),
    Mistake("running sums: over the other axis", running_sums, lambda gy, x: gy[::-1].cumsum(0)[::-1], (X,), 0,
            {"wrong axis"}, [axis(0, 1)], "tensor functions by hand, cumsum"),
    Mistake("running sums: without the place itself", running_sums,
            lambda gy, x: gy[:, ::-1].cumsum(1)[:, ::-1] - gy, (X,), 0,
            {"term missing", "shifted"}, [], "tensor functions by hand, cumsum"),
    Mistake("running sums: a plain gradient", running_sums, lambda gy, x: gy.copy(), (X,), 0,
            {"term missing", "= for +="}, [], "tensor functions by hand, cumsum"),
]  # fmt: skip


def moved_axes(x):
    return x.transpose(2, 0, 1)


MISTAKES += [
    Mistake("permute: permuted again", moved_axes, lambda gy, x: gy.transpose(2, 0, 1), (normal(4, 4, 4),), 0,
            {"transposed"}, [], "minitorch module 2, Permute.backward: the order for its inverse"),
    Mistake("permute: viewed back", moved_axes, lambda gy, x: gy.reshape(x.shape), (normal(2, 3, 4),), 0,
            {"transposed"}, [], "minitorch module 2: View.backward for Permute's"),
]  # fmt: skip


def rolled(x):
    return np.roll(x, 2, 1)


MISTAKES += [
    Mistake("roll: rolled on", rolled, lambda gy, x: np.roll(gy, 2, 1), (normal(3, 7),), 0,
            {"shifted", "wrong direction"}, [], "shifted windows by hand"),
    Mistake("roll: one place back", rolled, lambda gy, x: np.roll(gy, -1, 1), (normal(3, 7),), 0,
            {"shifted"}, [ONE], "shifted windows by hand"),
]  # fmt: skip


def every_second(x):
    return x[:, ::2]


def first_ones(gy, x):
    g = np.zeros_like(x)
    g[:, : gy.shape[1]] = gy
    return g


def odd_ones(gy, x):
    g = np.zeros_like(x)
    g[:, 1::2] = gy
    return g


MISTAKES += [
    Mistake("every second: put side by side", every_second, first_ones, (normal(4, 6),), 0,
            {"stride"}, [], "slices by hand"),
    Mistake("every second: the others", every_second, odd_ones, (normal(4, 6),), 0,
            {"shifted"}, [ONE], "slices by hand"),
]  # fmt: skip


def side_by_side(a, b):
    return np.hstack([a, b])


JOINED = normal(4, 3), normal(4, 5, seed=1)

MISTAKES += [
    Mistake("concatenation: b's part begins one too early", side_by_side,
            lambda gy, a, b: (gy[:, :3], gy[:, 2:7]), JOINED, 1,
            {"shifted"}, [ONE], "U-Net by hand: offsets of a split"),
    Mistake("concatenation: a gets the end", side_by_side, lambda gy, a, b: (gy[:, -3:], gy[:, 3:]), JOINED, 0,
            {"shifted", "channels exchanged"}, [], "U-Net by hand: put together in another order"),
]  # fmt: skip


def swiglu(a, b):
    return silu(a) * b


MISTAKES += [
    Mistake("SwiGLU: the slope of the sigmoid alone", swiglu,
            lambda gy, a, b: (gy * b * a * sigmoid(a) * (1 - sigmoid(a)), gy * silu(a)), TWO, 0,
            {"term missing"}, [], "Llama by hand"),
    Mistake("SwiGLU: σ(a) for silu(a)", swiglu,
            lambda gy, a, b: (gy * b * (sigmoid(a) + silu(a) * (1 - sigmoid(a))), gy * sigmoid(a)), TWO, 1,
            {"factor missing"}, [operand(0, "a")], "Llama by hand"),
]  # fmt: skip


def log_determinant(x):
    """Of each 2 × 2 matrix."""
    return np.log(np.abs(x[:, 0, 0] * x[:, 1, 1] - x[:, 0, 1] * x[:, 1, 0]))


MATRICES = (normal(4, 2, 2) + 2 * np.eye(2),)

MISTAKES += [
    Mistake("log-determinant: the inverse, not transposed", log_determinant,
            lambda gy, x: gy[:, None, None] * np.linalg.inv(x), MATRICES, 0,
            {"transposed", "operand not transposed"}, [], "normalising flows by hand"),
]  # fmt: skip


def determinant(x):
    return np.linalg.det(x)


MISTAKES += [
    Mistake("determinant: the logarithm's gradient", determinant,
            lambda gy, x: gy[:, None, None] * np.linalg.inv(x).swapaxes(1, 2), MATRICES, 0,
            {"factor missing"}, [r"\by\b|det|output"], "matrix calculus, exercises"),
]  # fmt: skip


# -- masks, places and embeddings --------------------------------------------------------------------------------------

DROPPED = normal(4, 6), np.arange(24).reshape(4, 6) % 5 > 1

MISTAKES += [
    Mistake("dropout: the scale forgotten", dropout, lambda gy, x, kept: (gy * kept, None), DROPPED, 0,
            {"constant factor", "factor missing"}, [times(0.6)], "CS231n assignment 2, dropout_backward"),
    Mistake("dropout: p for 1 / (1 − p)", dropout, lambda gy, x, kept: (gy * kept * 0.4, None), DROPPED, 0,
            {"constant factor"}, [], "CS231n assignment 2: p kept or dropped"),
    Mistake("dropout: those that were dropped", dropout, lambda gy, x, kept: (gy * ~kept / 0.6, None), DROPPED, 0,
            {"wrong mask"}, [], "CS231n assignment 2: the mask turned round"),
]  # fmt: skip


def masked_mean(x, mask):
    """Of each row, where mask is True."""
    return (x * mask).sum(1) / mask.sum(1)


MASKED = normal(4, 5), np.arange(20).reshape(4, 5) % 3 > 0

MISTAKES += [
    Mistake("masked mean: by the whole length", masked_mean,
            lambda gy, x, mask: (gy[:, None] * mask / x.shape[1], None), MASKED, 0,
            {"constant factor", "factor missing"}, [], "sentence embeddings by hand"),
    Mistake("masked mean: padding learns also", masked_mean,
            lambda gy, x, mask: (gy[:, None] / mask.sum(1, keepdims=True) + np.zeros_like(x), None), MASKED, 0,
            {"mask forgotten"}, [], "sentence embeddings by hand"),
]  # fmt: skip


def embedding(words, w):
    return w[words]


def last_use(gy, words, w):
    g = np.zeros_like(w)
    g[words] = gy
    return None, g


def first_sentence(gy, words, w):
    g = np.zeros_like(w)
    np.add.at(g, words[0], gy[0])
    return None, g


WORDS = np.array([[1, 4, 1], [0, 1, 4]]), normal(5, 4)

MISTAKES += [
    Mistake("embedding: a word's last use alone", embedding, last_use, WORDS, 1,
            {"= for +="}, [], "CS231n assignment 3, word_embedding_backward"),
    Mistake("embedding: the first sentence alone", embedding, first_sentence, WORDS, 1,
            {"one example only"}, [], "CS231n assignment 3, word_embedding_backward"),
    Mistake("embedding: averaged over a word's uses", embedding,
            lambda gy, words, w: (None, all_uses(gy, words, w)
                                  / np.maximum(np.bincount(words.ravel(), minlength=5), 1)[:, None]), WORDS, 1,
            {"constant factor", "extra factor"}, [], "word2vec by hand"),
    Mistake("embedding: words counted from 1", embedding,
            lambda gy, words, w: (None, np.roll(all_uses(gy, words, w), 1, 0)), WORDS, 1,
            {"shifted"}, [ONE], "vocabularies with a place for padding in front"),
]  # fmt: skip


def scattered(x, places):
    """Rows added up at places: (5, D) → (3, D)."""
    y = np.zeros((3, x.shape[1]))
    np.add.at(y, places, x)
    return y


BAGS = normal(5, 4), np.array([2, 0, 2, 1, 0])

MISTAKES += [
    Mistake("scatter: averaged in backward", scattered,
            lambda gy, x, places: (gy[places] / np.bincount(places)[places][:, None], None), BAGS, 0,
            {"constant factor", "extra factor"}, [], "graph networks by hand: mean for sum"),
    Mistake("scatter: in the order of places", scattered, lambda gy, x, places: (gy[np.sort(places)], None), BAGS, 0,
            {"transposed"}, [], "graph networks by hand: nodes sorted"),
]  # fmt: skip


# -- states over time --------------------------------------------------------------------------------------------------

TIME = normal(2, 4, 3), normal(2, 3, seed=1), 0.7 * normal(3, 3, seed=2), 0.7 * normal(3, 3, seed=3)

MISTAKES += [
    Mistake("RNN: x's weights from the last step alone", rnn,
            lambda gy, *inputs: with_one(
                rnn_backward(gy, *inputs), 2, inputs[0][:, -1].T @ rnn_inner(gy, *inputs)[:, -1]), TIME, 2,
            {"one example only", "= for +="}, [], "CS231n assignment 3, rnn_backward: = for += over time"),
    Mistake("RNN: the state's weights from the first step alone", rnn,
            lambda gy, *inputs: with_one(rnn_backward(gy, *inputs), 3, inputs[1].T @ rnn_inner(gy, *inputs)[:, 0]),
            TIME, 3,
            {"one example only", "= for +="}, [], "CS231n assignment 3, rnn_backward: = in a loop that runs back"),
    Mistake("RNN: the list of gradients not turned round", rnn,
            lambda gy, *inputs: with_one(rnn_backward(gy, *inputs), 0, rnn_backward(gy, *inputs)[0][:, ::-1]), TIME, 0,
            {"transposed", "wrong direction"}, [], "d2l, backpropagation through time: appended from the end"),
]  # fmt: skip

CELL = (normal(4, 3), normal(4, 2, seed=1), normal(4, 2, seed=2), normal(3, 8, seed=3), normal(2, 8, seed=4),
        normal(8, seed=5))  # fmt: skip

MISTAKES += [
    Mistake("LSTM step: the forget gate forgotten", lstm_step,
            lambda gy, *inputs: with_one(
                lstm_backward(gy, *inputs), 2, lstm_backward(gy, *inputs)[2] / gates(*inputs)[1]), CELL, 2,
            {"factor missing"}, [], "CS231n assignment 3, lstm_step_backward: dprev_c"),
    Mistake("LSTM step: c by its own way alone", lstm_step,
            lambda gy, *inputs: with_one(lstm_backward(gy, *inputs), 2, gy[:, 2:] * gates(*inputs)[1]), CELL, 2,
            {"term missing"}, [], "CS231n assignment 3, lstm_step_backward: the way by h"),
    Mistake("LSTM step: c not through tanh", lstm_step,
            lambda gy, *inputs: with_one(lstm_backward(gy, *inputs), 2, (gy[:, 2:] + gy[:, :2] * gates(*inputs)[2])
                                         * gates(*inputs)[1]), CELL, 2,
            {"factor missing", "wrong factor of a term"}, [], "deeplearning.ai course 5, lstm_cell_backward"),
    Mistake("LSTM step: the new state teaches the weights", lstm_step,
            lambda gy, *inputs: with_one(lstm_backward(gy, *inputs), 4,
                                         lstm_step(*inputs)[:, :2].T @ lstm_inner(gy, *inputs)[1]), CELL, 4,
            {"output for input"}, [], "CS231n assignment 3, lstm_step_backward"),
]  # fmt: skip


# -- attention ---------------------------------------------------------------------------------------------------------

QKV = normal(4, 5), normal(6, 5, seed=1), normal(6, 3, seed=2)
SAME = normal(5, 4), normal(5, 4, seed=1), normal(5, 3, seed=2)

MISTAKES += [
    Mistake("attention: the scale forgotten for q", attention,
            lambda gy, q, k, v: with_one(
                attention_backward(gy, q, k, v), 0, score_gradient(gy, q, k, v) @ k * np.sqrt(5)), QKV, 0,
            {"constant factor", "factor missing"}, [times(np.sqrt(5))], "transformers by hand"),
    Mistake("attention: the weights not transposed for v", attention,
            lambda gy, q, k, v: with_one(attention_backward(gy, q, k, v), 2, weights(q, k) @ gy), SAME, 2,
            {"operand not transposed"}, [], "transformers by hand"),
    Mistake("attention: q for k", attention,
            lambda gy, q, k, v: with_one(attention_backward(gy, q, k, v), 0, score_gradient(gy, q, k, v) @ q), SAME, 0,
            {"another input"}, [operand(0, "q")], "transformers by hand"),
    Mistake("attention: softmax's sum over the queries", attention,
            lambda gy, q, k, v: with_one(attention_backward(gy, q, k, v), 1, score_gradient(gy, q, k, v, 0).T @ q),
            QKV, 1, {"wrong axis"}, [axis(0, 1)], "transformers by hand"),
]  # fmt: skip


def split_heads(x):
    """(N, T, 2 · D) → (N, 2, T, D)."""
    return x.reshape(*x.shape[:2], 2, -1).swapaxes(1, 2)


MISTAKES += [
    Mistake("heads: reshaped back", split_heads, lambda gy, x: gy.reshape(x.shape), (normal(2, 3, 8),), 0,
            {"transposed"}, [], "transformers by hand, issue trackers: view for transpose"),
    Mistake("heads: features and heads exchanged", split_heads,
            lambda gy, x: gy.transpose(0, 2, 3, 1).reshape(x.shape), (normal(2, 3, 8),), 0,
            {"transposed", "channels exchanged"}, [], "transformers by hand"),
]  # fmt: skip


def positions_added(x, p):
    """(N, T, D) and (T, D)."""
    return x + p


MISTAKES += [
    Mistake("positions: summed over time", positions_added,
            lambda gy, x, p: (gy, gy.sum(1)), (normal(4, 4, 3), normal(4, 3, seed=1)), 1,
            {"wrong axis"}, [axis(0, 1)], "GPT by hand: as many texts as places"),
    Mistake("positions: averaged over the batch", positions_added,
            lambda gy, x, p: (gy, gy.mean(0)), (normal(3, 4, 2), normal(4, 2, seed=1)), 1,
            {"constant factor"}, [times(3)], "GPT by hand"),
    Mistake("positions: the first text alone", positions_added,
            lambda gy, x, p: (gy, gy[0]), (normal(3, 4, 2), normal(4, 2, seed=1)), 1,
            {"one example only", "broadcast axis not summed"}, [], "GPT by hand"),
]  # fmt: skip


def relative_bias(s, table):
    """Scores of 4 places and a number for each of the 7 distances between them."""
    return s + table[np.arange(4)[:, None] - np.arange(4) + 3]


def by_distance(gy):
    return np.array([gy.trace(3 - d, 1, 2).sum() for d in range(7)])


DISTANCES = normal(2, 4, 4), normal(7, seed=1)

MISTAKES += [
    Mistake("relative bias: j − i for i − j", relative_bias,
            lambda gy, s, table: (gy, by_distance(gy)[::-1]), DISTANCES, 1,
            {"wrong direction", "transposed"}, [], "T5 by hand: sign of the distance"),
    Mistake("relative bias: a mean over each distance", relative_bias,
            lambda gy, s, table: (gy, by_distance(gy) / [1, 2, 3, 4, 3, 2, 1]), DISTANCES, 1,
            {"constant factor", "extra factor"}, [], "T5 by hand"),
    Mistake("relative bias: the first text alone", relative_bias,
            lambda gy, s, table: (gy, by_distance(gy[:1])), DISTANCES, 1,
            {"one example only", "broadcast axis not summed"}, [], "T5 by hand"),
]  # fmt: skip
