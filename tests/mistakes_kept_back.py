"""Mistakes in backward passes written by hand: the half kept back, on which the check is tried in the end.

Whoever builds the check does not read on: what has been looked at says nothing of what others will try. See
mistakes.py.
"""

import numpy as np
from helpers import distinct, normal
from mistakes import BELOW, DENOMINATOR, MEAN, ONE, VARIANCE, Mistake, axis, operand, times
from mistakes_functions import (
    affine,
    all_uses,
    attention,
    attention_backward,
    count_of_neighbours,
    cross_entropy,
    deviation,
    dropout,
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
    rnn_step,
    score_gradient,
    send_back,
    sigmoid,
    softmax,
    through_norm,
    tiles,
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
    Mistake("affine: x where x.T belongs", affine, lambda gy, x, w, b: (gy @ w.T, x @ gy, gy.sum(0)),
            (normal(5, 5), normal(5, 6, seed=1), normal(6, seed=2)), 1,
            {"operand not transposed"}, [operand(0, "x")], "CS231n assignment 1, affine_backward"),
    Mistake("affine: the product for w taken the other way round", affine,
            lambda gy, x, w, b: (gy @ w.T, gy.T @ x, gy.sum(0)), SQUARE, 1,
            {"transposed"}, [], "deeplearning.ai, linear_backward with samples in rows"),
    Mistake("affine: the bias averaged over the batch", affine,
            lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy.mean(0)), LINEAR, 2,
            {"constant factor"}, [times(5)], "deeplearning.ai, 1/m taken twice"),
]  # fmt: skip


def weight_with_penalty(w, x):
    """The mean square of x w and half of λ times the square of w."""
    return 0.5 * ((x @ w) ** 2).mean() + 0.05 * (w * w).sum()


MISTAKES += [
    Mistake("penalty: λw forgotten", weight_with_penalty,
            lambda gy, w, x: (gy * x.T @ (x @ w) / (len(x) * w.shape[1]), gy * x @ w @ w.T / (len(x) * w.shape[1])),
            (normal(4, 3), normal(5, 4, seed=1)), 0,
            {"term missing"}, [], "CS231n assignment 1, two-layer net: regularisation"),
    Mistake("penalty: 2λw though the loss has λ/2", weight_with_penalty,
            lambda gy, w, x: (gy * (x.T @ (x @ w) / (len(x) * w.shape[1]) + 0.2 * w),
                              gy * x @ w @ w.T / (len(x) * w.shape[1])), (normal(4, 3), normal(5, 4, seed=1)), 0,
            {"wrong factor of a term"}, [], "CS231n assignment 1, two-layer net: reg * W or 2 * reg * W"),
]  # fmt: skip


def projection(x, w):
    return x @ w


MISTAKES += [
    Mistake("projection: weight decay added in backward", projection,
            lambda gy, x, w: (gy @ w.T, x.T @ gy + 0.1 * w), LINEAR[:2], 1,
            {"extra term"}, [operand(1, "w")], "issue trackers: decay in the layer and in the optimiser"),
    Mistake("projection: the first example alone", projection,
            lambda gy, x, w: (gy @ w.T, np.outer(x[0], gy[0])), LINEAR[:2], 1,
            {"one example only"}, [], "networks by hand: written for one example, run on a batch"),
]  # fmt: skip


def tied_autoencoder(x, w):
    return x @ w @ w.T


MISTAKES += [
    Mistake("tied weights: the decoder's use alone", tied_autoencoder,
            lambda gy, x, w: (gy @ w @ w.T, gy.T @ (x @ w)), (normal(5, 4), normal(4, 3, seed=1)), 1,
            {"term missing", "= for +="}, [], "autoencoders with tied weights"),
    Mistake("tied weights: the encoder's use alone", tied_autoencoder,
            lambda gy, x, w: (gy @ w @ w.T, x.T @ (gy @ w)), (normal(5, 4), normal(4, 3, seed=1)), 1,
            {"term missing", "= for +="}, [], "autoencoders with tied weights: W.T taken for another parameter"),
]  # fmt: skip


def batched_matmul(a, b):
    return a @ b


MISTAKES += [
    Mistake("batched product: b as it stands", batched_matmul,
            lambda gy, a, b: (gy @ b, a.swapaxes(1, 2) @ gy), (normal(2, 3, 4), normal(2, 4, 4, seed=1)), 0,
            {"operand not transposed"}, [operand(1, "b")], "minitorch module 3, MatMul.backward"),
    Mistake("batched product: the result's axes exchanged", batched_matmul,
            lambda gy, a, b: (gy @ b.swapaxes(1, 2), gy.swapaxes(1, 2) @ a),
            (normal(2, 3, 4), normal(2, 4, 4, seed=1)), 1,
            {"transposed"}, [axis(1, 2) + r"|order"], "minitorch module 3, MatMul.backward"),
]  # fmt: skip


def shared_matmul(a, b):
    """One matrix b for all of the batch."""
    return a @ b


MISTAKES += [
    Mistake("one matrix for a batch: the first product alone", shared_matmul,
            lambda gy, a, b: (gy @ b.T, a[0].T @ gy[0]), (normal(3, 4, 5), normal(5, 2, seed=1)), 1,
            {"one example only", "broadcast axis not summed"}, [], "minitorch module 3: a broadcast operand"),
    Mistake("one matrix for a batch: averaged over it", shared_matmul,
            lambda gy, a, b: (gy @ b.T, (a.swapaxes(1, 2) @ gy).mean(0)), (normal(3, 4, 5), normal(5, 2, seed=1)), 1,
            {"constant factor"}, [times(3)], "minitorch module 3: a broadcast operand"),
]  # fmt: skip


# -- functions of one number -------------------------------------------------------------------------------------------

X = normal(4, 5)

MISTAKES += [
    Mistake("sigmoid: x (1 − x)", sigmoid, lambda gy, x: gy * x * (1 - x), (X,), 0,
            {"input for output"}, [], "neural networks in eleven lines: the derivative takes the output"),
    Mistake("sigmoid: its slope at y", sigmoid,
            lambda gy, x: gy * sigmoid(sigmoid(x)) * (1 - sigmoid(sigmoid(x))), (X,), 0,
            {"output for input"}, [], "networks by hand: the derivative applied to the activation"),
    Mistake("sigmoid: y (1 + y)", sigmoid, lambda gy, x: gy * sigmoid(x) * (1 + sigmoid(x)), (X,), 0,
            {"wrong sign of a term"}, [], "deeplearning.ai, sigmoid_backward"),
    Mistake("sigmoid: y alone", sigmoid, lambda gy, x: gy * sigmoid(x), (X,), 0,
            {"factor missing"}, [r"1 *[−-] *y|y"], "minitorch module 1, Sigmoid.backward"),
    Mistake("sigmoid: the quotient's square forgotten", sigmoid,
            lambda gy, x: gy * np.exp(-x) / (1 + np.exp(-x)), (X,), 0,
            {"wrong power", "factor missing"}, [], "minitorch module 1: differentiated from the formula"),
]  # fmt: skip


def relu6(x):
    return np.clip(x, 0, 6)


MISTAKES += [
    Mistake("ReLU6: no end above", relu6, lambda gy, x: gy * (x > 0), (5 * normal(5, 6),), 0,
            {"wrong mask", "mask forgotten"}, [], "MobileNets by hand: the mask of a ReLU"),
]  # fmt: skip


def elu(x):
    return np.where(x > 0, x, 1.5 * (np.exp(x) - 1))


MISTAKES += [
    Mistake("ELU: no α below 0", elu, lambda gy, x: gy * np.where(x > 0, 1, np.exp(x)), (X,), 0,
            {"one branch"}, [BELOW], "ELU with an α that is not 1"),
    Mistake("ELU: y for y + α", elu, lambda gy, x: gy * np.where(x > 0, 1, elu(x)), (X,), 0,
            {"one branch", "term missing"}, [BELOW], "ELU by its output"),
    Mistake("ELU: the exponential everywhere", elu, lambda gy, x: gy * 1.5 * np.exp(x), (X,), 0,
            {"one branch", "mask forgotten"}, [], "ELU: the branch above 0 forgotten"),
]  # fmt: skip


def prelu(x, a):
    return np.where(x > 0, x, a * x)


SLOPES = normal(4, 6), 0.5 + 0.3 * normal(6, seed=1)

MISTAKES += [
    Mistake("PReLU: slopes learn from x above 0 also", prelu,
            lambda gy, x, a: (gy * np.where(x > 0, 1, a), (gy * x).sum(0)), SLOPES, 1,
            {"mask forgotten"}, [], "PReLU by hand"),
    Mistake("PReLU: slopes learn from x above 0 only", prelu,
            lambda gy, x, a: (gy * np.where(x > 0, 1, a), (gy * x * (x > 0)).sum(0)), SLOPES, 1,
            {"wrong mask"}, [], "PReLU by hand"),
    Mistake("PReLU: no slope below 0", prelu, lambda gy, x, a: (gy.copy(), (gy * x * (x <= 0)).sum(0)), SLOPES, 0,
            {"one branch", "mask forgotten"}, [], "PReLU by hand"),
    Mistake("PReLU: slopes averaged", prelu,
            lambda gy, x, a: (gy * np.where(x > 0, 1, a), (gy * x * (x <= 0)).mean(0)), SLOPES, 1,
            {"constant factor"}, [times(4)], "PReLU by hand"),
]  # fmt: skip

C = np.sqrt(2 / np.pi)


def gelu(x):
    """By tanh."""
    return 0.5 * x * (1 + np.tanh(C * (x + 0.044715 * x**3)))


def gelu_tanh(x):
    return np.tanh(C * (x + 0.044715 * x**3))


MISTAKES += [
    Mistake("GELU: x held to be constant", gelu,
            lambda gy, x: gy * 0.5 * x * (1 - gelu_tanh(x) ** 2) * C * (1 + 3 * 0.044715 * x**2), (X,), 0,
            {"term missing"}, [], "GPT-2 by hand: the product rule"),
    Mistake("GELU: the gate held to be constant", gelu, lambda gy, x: gy * 0.5 * (1 + gelu_tanh(x)), (X,), 0,
            {"term missing"}, [r"y */ *x|gate|tanh|product|rest"], "GPT-2 by hand: the product rule"),
    Mistake("GELU: the inner derivative forgotten", gelu,
            lambda gy, x: gy * (0.5 * (1 + gelu_tanh(x)) + 0.5 * x * (1 - gelu_tanh(x) ** 2)), (X,), 0,
            {"factor missing", "wrong factor of a term"}, [], "GPT-2 by hand: the chain rule"),
    Mistake("GELU: 1 + y for 1 − tanh²", gelu,
            lambda gy, x: gy * (0.5 * (1 + gelu_tanh(x)) + 0.5 * x * (1 + gelu_tanh(x) ** 2) * C
                                * (1 + 3 * 0.044715 * x**2)), (X,), 0,
            {"wrong sign of a term"}, [], "GPT-2 by hand"),
]  # fmt: skip


def hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


MISTAKES += [
    Mistake("hard sigmoid: slope 1", hard_sigmoid, lambda gy, x: gy * (np.abs(x) < 3), (2 * normal(5, 6),), 0,
            {"constant factor", "factor missing"}, [times(6)], "MobileNetV3 by hand"),
    Mistake("hard sigmoid: flat beyond 1", hard_sigmoid, lambda gy, x: gy / 6 * (np.abs(x) < 1), (2 * normal(5, 6),), 0,
            {"wrong mask", "zero where it should not be"}, [], "MobileNetV3 by hand: hardtanh's ends"),
]  # fmt: skip


def softsign(x):
    return x / (1 + np.abs(x))


MISTAKES += [
    Mistake("softsign: the square forgotten", softsign, lambda gy, x: gy / (1 + np.abs(x)), (X,), 0,
            {"wrong power"}, [], "softsign by hand"),
    Mistake("softsign: x for |x|", softsign, lambda gy, x: gy / (1 + x) ** 2, (X,), 0,
            {"one branch"}, [BELOW], "softsign by hand"),
]  # fmt: skip


def cube(x):
    return x**3


@np.errstate(all="ignore")
def cube_by_its_output(gy, x):
    return gy * 3 * cube(x) / x


MISTAKES += [
    Mistake("power: the exponent stays", cube, lambda gy, x: gy * 3 * x**3, (X,), 0,
            {"wrong power", "extra factor"}, [], "micrograd, Value.__pow__"),
    Mistake("power: the exponent does not come down", cube, lambda gy, x: gy * x**2, (X,), 0,
            {"constant factor", "factor missing"}, [times(3)], "micrograd, Value.__pow__"),
    Mistake("power: n y / x at 0", cube, cube_by_its_output, (np.r_[0, normal(7)],), 0,
            {"not finite"}, [], "issue trackers: NaN from pow at 0"),
]  # fmt: skip


def exponential(x):
    return np.exp(x)


MISTAKES += [
    Mistake("exp: x saved for y", exponential, lambda gy, x: gy * x, (X,), 0,
            {"input for output"}, [], "micrograd, Value.exp: self.data for out.data"),
    Mistake("exp: by the rule of powers", exponential, lambda gy, x: gy * x * np.exp(x), (X,), 0,
            {"extra factor"}, [r"\bx\b"], "minitorch, Exp.backward"),
]  # fmt: skip


def reciprocal(x):
    return 1 / x


MISTAKES += [
    Mistake("reciprocal: −1 / x", reciprocal, lambda gy, x: -gy / x, (np.exp(X),), 0,
            {"wrong power"}, [], "minitorch, Inv.backward"),
    Mistake("reciprocal: no minus", reciprocal, lambda gy, x: gy / x**2, (np.exp(X),), 0,
            {"wrong sign"}, [], "minitorch, Inv.backward"),
]  # fmt: skip


def sine_and_product(x):
    """As micrograd's exercises: one value used three times."""
    return x * np.sin(x) + x


MISTAKES += [
    Mistake("a value used three times: the last use alone", sine_and_product, lambda gy, x: gy.copy(), (X,), 0,
            {"= for +=", "term missing"}, [], "micrograd: self.grad = for +="),
    Mistake("a value used three times: the product's two lost", sine_and_product,
            lambda gy, x: gy * (1 + np.sin(x)), (X,), 0,
            {"= for +=", "term missing"}, [], "micrograd: self.grad = for +="),
]  # fmt: skip


# -- softmax and what is made of it ------------------------------------------------------------------------------------

MISTAKES += [
    Mistake("softmax: the diagonal alone", softmax, lambda gy, x: gy * softmax(x) * (1 - softmax(x)), (X,), 0,
            {"term missing"}, [], "networks by hand: softmax differentiated like a sigmoid"),
    Mistake("softmax: its sum held to be constant", softmax, lambda gy, x: gy * softmax(x), (X,), 0,
            {"statistics as constants", "term missing"}, [], "makemore, backprop ninja: counts_sum"),
    Mistake("softmax: summed over the batch", softmax,
            lambda gy, x: softmax(x) * (gy - (gy * softmax(x)).sum(0, keepdims=True)), (X,), 0,
            {"wrong axis"}, [axis(0, 1)], "attention by hand"),
    Mistake("softmax: the sum not weighted by y", softmax,
            lambda gy, x: softmax(x) * (gy - gy.sum(1, keepdims=True)), (X,), 0,
            {"factor missing", "wrong factor of a term"}, [], "attention by hand"),
    Mistake("softmax: keepdims forgotten, the array square", softmax,
            lambda gy, x: softmax(x) * (gy - (gy * softmax(x)).sum(1)), (normal(5, 5),), 0,
            {"wrong axis"}, [], "issue trackers: a broadcast that happens to fit"),
    Mistake("softmax: x weighs the sum", softmax,
            lambda gy, x: softmax(x) * (gy - (gy * x).sum(1, keepdims=True)), (X,), 0,
            {"input for output"}, [], "d2l by hand: scores for probabilities"),
]  # fmt: skip


def warm_softmax(x):
    """At temperature 2.5."""
    return softmax(x / 2.5)


MISTAKES += [
    Mistake("softmax: the temperature forgotten", warm_softmax,
            lambda gy, x: warm_softmax(x) * (gy - (gy * warm_softmax(x)).sum(1, keepdims=True)), (X,), 0,
            {"constant factor", "factor missing"}, [times(2.5)], "distillation by hand"),
    Mistake("softmax: the temperature forgotten inside", warm_softmax,
            lambda gy, x: softmax(x) * (gy - (gy * softmax(x)).sum(1, keepdims=True)) / 2.5, (X,), 0,
            {"factor missing"}, [], "distillation by hand: y taken again of x"),
]  # fmt: skip


def logsumexp(x):
    return x.max(1) + np.log(np.exp(x - x.max(1, keepdims=True)).sum(1))


@np.errstate(all="ignore")
def logsumexp_of_large(gy, x):
    return gy[:, None] * np.exp(x) / np.exp(x).sum(1, keepdims=True)


MISTAKES += [
    Mistake("log-sum-exp: shares over the batch", logsumexp, lambda gy, x: gy[:, None] * softmax(x, 0), (X,), 0,
            {"wrong axis"}, [axis(0, 1)], "minitorch module 4, logsumexp"),
    Mistake("log-sum-exp: not divided by the sum", logsumexp, lambda gy, x: gy[:, None] * np.exp(x), (X,), 0,
            {"factor missing"}, [], "minitorch module 4, logsumexp: log's slope"),
    Mistake("log-sum-exp: the maximum not taken off", logsumexp, logsumexp_of_large, (normal(3, 4) + 800,), 0,
            {"not finite"}, [], "issue trackers: NaN for large scores"),
]  # fmt: skip


# -- losses ------------------------------------------------------------------------------------------------------------

SCORES, LABELS = normal(5, 4), np.array([2, 0, 3, 3, 1])

MISTAKES += [
    Mistake("cross-entropy: the label's −1 forgotten", cross_entropy,
            lambda gy, x, labels: (gy * softmax(x) / len(x), None), (SCORES, LABELS), 0,
            {"term missing"}, [], "CS231n assignment 1, softmax_loss_naive"),
    Mistake("cross-entropy: softmax over the batch", cross_entropy,
            lambda gy, x, labels: (gy * (softmax(x, 0) - one_hot(labels, 4)) / len(x), None), (SCORES, LABELS), 0,
            {"wrong axis"}, [axis(0, 1)], "CS231n assignment 1: axis=0"),
    Mistake("cross-entropy: labels minus probabilities", cross_entropy,
            lambda gy, x, labels: (gy * (one_hot(labels, 4) - softmax(x)) / len(x), None), (SCORES, LABELS), 0,
            {"wrong sign"}, [], "networks by hand: target − output"),
    Mistake("cross-entropy: gy forgotten", cross_entropy,
            lambda gy, x, labels: ((softmax(x) - one_hot(labels, 4)) / len(x), None), (SCORES, LABELS), 0,
            {"gy not used"}, [], "CS231n's losses, which return dx, used inside of a graph"),
]  # fmt: skip


def weighted_cross_entropy(x, labels):
    """Class 0 counts half, class 3 double."""
    weights = np.array([0.5, 1, 1.5, 2])[labels]
    return -(weights * log_softmax(x)[np.arange(len(x)), labels]).sum() / weights.sum()


MISTAKES += [
    Mistake("weighted cross-entropy: divided by N", weighted_cross_entropy,
            lambda gy, x, labels: (gy * np.array([0.5, 1, 1.5, 2])[labels, None] * (softmax(x) - one_hot(labels, 4))
                                   / len(x), None), (SCORES, LABELS), 0,
            {"constant factor"}, [], "issue trackers: the mean of a weighted loss"),
    Mistake("weighted cross-entropy: the weight at the label alone", weighted_cross_entropy,
            lambda gy, x, labels: (gy * (softmax(x) - np.array([0.5, 1, 1.5, 2])[labels, None] * one_hot(labels, 4))
                                   / np.array([0.5, 1, 1.5, 2])[labels].sum(), None), (SCORES, LABELS), 0,
            {"factor missing", "wrong factor of a term"}, [], "class weights by hand"),
]  # fmt: skip


def smoothed_cross_entropy(x, labels):
    """One tenth of the label is shared among all classes."""
    return -((0.9 * one_hot(labels, x.shape[1]) + 0.1 / x.shape[1]) * log_softmax(x)).sum(1).mean()


MISTAKES += [
    Mistake("label smoothing: the label's part alone", smoothed_cross_entropy,
            lambda gy, x, labels: (gy * (softmax(x) - 0.9 * one_hot(labels, 4)) / len(x), None), (SCORES, LABELS), 0,
            {"term missing"}, [], "label smoothing by hand"),
    Mistake("label smoothing: hard labels", smoothed_cross_entropy,
            lambda gy, x, labels: (gy * (softmax(x) - one_hot(labels, 4)) / len(x), None), (SCORES, LABELS), 0,
            {"term missing", "wrong factor of a term"}, [], "label smoothing in forward only"),
]  # fmt: skip


def temporal_cross_entropy(x, labels, mask):
    """Over (N, T, V), where mask is True, by N."""
    at = log_softmax(x.reshape(-1, x.shape[2]))[np.arange(labels.size), labels.ravel()]
    return -(at * mask.ravel()).sum() / len(x)


def temporal_softmax(x):
    return softmax(x.reshape(-1, x.shape[2])).reshape(x.shape)


CAPTIONS = normal(3, 2, 4), np.array([[1, 0], [3, 2], [2, 2]]), np.array([[True, True], [True, False], [True, True]])

MISTAKES += [
    Mistake("captions' loss: the mask forgotten", temporal_cross_entropy,
            lambda gy, x, labels, mask: (gy * (temporal_softmax(x) - one_hot(labels, 4)) / len(x), None, None),
            CAPTIONS, 0, {"mask forgotten"}, [], "CS231n assignment 3, temporal_softmax_loss"),
    Mistake("captions' loss: divided by N and T", temporal_cross_entropy,
            lambda gy, x, labels, mask: (gy * (temporal_softmax(x) - one_hot(labels, 4)) * mask[..., None]
                                         / labels.size,
                                         None, None), CAPTIONS, 0,
            {"constant factor"}, [times(2)], "CS231n assignment 3, temporal_softmax_loss"),
    Mistake("captions' loss: the last time step alone", temporal_cross_entropy,
            lambda gy, x, labels, mask: (gy * (temporal_softmax(x) - one_hot(labels, 4)) * mask[..., None] / len(x)
                                         * [[[0], [1]]], None, None),
            (CAPTIONS[0], CAPTIONS[1], np.ones((3, 2), bool)), 0,
            {"one example only", "zero where it should not be"}, [], "networks over time: out[:, -1]"),
]  # fmt: skip


def margins(x, labels):
    return np.maximum(x - x[np.arange(len(x)), labels][:, None] + 1, 0) * (1 - one_hot(labels, x.shape[1]))


def svm_loss(x, labels):
    return margins(x, labels).sum() / len(x)


def svm_counted(above, labels):
    """1 for each class that is above its margin, and as many less for the label."""
    return above - one_hot(labels, above.shape[1]) * above.sum(1, keepdims=True)


MISTAKES += [
    Mistake("SVM: nothing for the right class", svm_loss,
            lambda gy, x, labels: (gy * (margins(x, labels) > 0) / len(x), None), (SCORES, LABELS), 0,
            {"term missing", "zero where it should not be"}, [], "CS231n assignment 1, svm_loss_naive"),
    Mistake("SVM: −1 for the right class", svm_loss,
            lambda gy, x, labels: (gy * ((margins(x, labels) > 0) - one_hot(labels, 4)) / len(x), None),
            (normal(5, 4, seed=3), LABELS), 0,
            {"wrong factor of a term", "factor missing"}, [], "CS231n assignment 1, svm_loss_vectorized: no count"),
    Mistake("SVM: 1 / N forgotten", svm_loss,
            lambda gy, x, labels: (gy * svm_counted(margins(x, labels) > 0, labels), None), (SCORES, LABELS), 0,
            {"constant factor"}, [times(5)], "CS231n assignment 1, svm_loss_vectorized"),
    Mistake("SVM: the mask without the margin of 1", svm_loss,
            lambda gy, x, labels: (gy * svm_counted(x > x[np.arange(len(x)), labels][:, None], labels) / len(x), None),
            (SCORES, LABELS), 0, {"wrong mask"}, [], "CS231n assignment 1: delta in forward only"),
    Mistake("SVM: the margin for its mask", svm_loss,
            lambda gy, x, labels: (gy * svm_counted(margins(x, labels), labels) / len(x), None), (SCORES, LABELS), 0,
            {"extra factor"}, [], "CS231n assignment 1: the binary matrix not made"),
]  # fmt: skip

CHANCES = sigmoid(normal(4, 3)), sigmoid(normal(4, 3, seed=1))


def binary_cross_entropy(p, t):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def slope_for_target(gy, p):
    return gy * np.log((1 - p) / p)


MISTAKES += [
    Mistake("BCE: p − t", binary_cross_entropy, lambda gy, p, t: (gy * (p - t), slope_for_target(gy, p)), CHANCES, 0,
            {"factor missing"}, [], "logistic regression: the formula for logits"),
    Mistake("BCE: the two parts added", binary_cross_entropy,
            lambda gy, p, t: (gy * (-t / p - (1 - t) / (1 - p)), slope_for_target(gy, p)), CHANCES, 0,
            {"wrong sign of a term"}, [], "deeplearning.ai, L_model_backward"),
    Mistake("BCE: the part for 1 alone", binary_cross_entropy,
            lambda gy, p, t: (-gy * t / p, slope_for_target(gy, p)), CHANCES, 0,
            {"term missing"}, [], "GANs by hand: one of two logarithms"),
    Mistake("BCE: log(1 − p) not differentiated through the minus", binary_cross_entropy,
            lambda gy, p, t: (gy * (p - t) / (p * (1 - p)), gy * (np.log(1 - p) + np.log(p))), CHANCES, 1,
            {"wrong sign of a term"}, [], "distillation: a soft target's gradient"),
]  # fmt: skip


def bce_with_logits(x, t):
    return np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))


LOGITS = normal(4, 3), sigmoid(normal(4, 3, seed=1))

MISTAKES += [
    Mistake("BCE with logits: x − t", bce_with_logits, lambda gy, x, t: (gy * (x - t), -gy * x), LOGITS, 0,
            {"input for output"}, [], "logistic regression: the sigmoid forgotten"),
    Mistake("BCE with logits: the sigmoid's slope once more", bce_with_logits,
            lambda gy, x, t: (gy * (sigmoid(x) - t) * sigmoid(x) * (1 - sigmoid(x)), -gy * x), LOGITS, 0,
            {"extra factor"}, [], "networks by hand: squared error's delta for cross-entropy"),
    Mistake("BCE with logits: the target's gradient σ(x)", bce_with_logits,
            lambda gy, x, t: (gy * (sigmoid(x) - t), -gy * sigmoid(x)), LOGITS, 1,
            {"output for input"}, [], "distillation: a soft target's gradient"),
]  # fmt: skip

SIDES = normal(5, 3), normal(5, 3, seed=1) > 0

MISTAKES += [
    Mistake("hinge: the target's sign forgotten", hinge,
            lambda gy, x, t: (-gy * (np.where(t, x, -x) < 1), None), SIDES, 0,
            {"one branch", "factor missing"}, [], "binary SVM by hand"),
    Mistake("hinge: the mask without the target", hinge,
            lambda gy, x, t: (gy * np.where(t, -1, 1) * (x < 1), None), SIDES, 0,
            {"wrong mask"}, [], "binary SVM by hand"),
    Mistake("hinge: no mask", hinge, lambda gy, x, t: (gy * np.where(t, -1.0, 1.0), None), SIDES, 0,
            {"mask forgotten"}, [], "binary SVM by hand"),
]  # fmt: skip


def distances(a, b):
    """Of all rows of a from all rows of b, squared."""
    return ((a[:, None] - b) ** 2).sum(2)


def pull(gy, a, b):
    return 2 * (gy[:, :, None] * (a[:, None] - b))


POINTS = normal(4, 3), normal(5, 3, seed=1)

MISTAKES += [
    Mistake("distances: b not pushed the other way", distances,
            lambda gy, a, b: (pull(gy, a, b).sum(1), pull(gy, a, b).sum(0)), POINTS, 1,
            {"wrong sign"}, [], "CS231n assignment 1, k nearest, differentiated"),
    Mistake("distances: the product's part forgotten", distances,
            lambda gy, a, b: (2 * gy.sum(1, keepdims=True) * a, -pull(gy, a, b).sum(0)), POINTS, 0,
            {"term missing"}, [], "CS231n assignment 1: a² − 2ab + b² by parts"),
    Mistake("distances: summed over the other points", distances,
            lambda gy, a, b: (pull(gy, a, b).sum(0), -pull(gy, a, b).sum(0)), (normal(4, 3), normal(4, 3, seed=1)), 0,
            {"wrong axis"}, [axis(0, 1)], "contrastive learning by hand"),
]  # fmt: skip


def contrastive_loss(d, same):
    """Pairs that are the same at a distance of 0, others of 1 at least."""
    return np.where(same, d**2, np.maximum(1 - d, 0) ** 2)


NEAR = np.abs(normal(4, 5)) + 0.01, normal(4, 5, seed=1) > 0

MISTAKES += [
    Mistake("contrastive loss: no margin for others", contrastive_loss,
            lambda gy, d, same: (gy * np.where(same, 2 * d, -2 * (1 - d)), None), NEAR, 0,
            {"mask forgotten", "one branch"}, [], "Siamese networks by hand"),
    Mistake("contrastive loss: others drawn nearer", contrastive_loss,
            lambda gy, d, same: (gy * np.where(same, 2 * d, 2 * np.maximum(1 - d, 0)), None), NEAR, 0,
            {"one branch"}, [], "Siamese networks by hand"),
]  # fmt: skip


# -- norms -------------------------------------------------------------------------------------------------------------


def normalise(x):
    """Each row to length 1."""
    return x / np.sqrt((x * x).sum(1, keepdims=True))


def length(x):
    return np.sqrt((x * x).sum(1, keepdims=True))


MISTAKES += [
    Mistake("L2 normalisation: the norm held to be constant", normalise, lambda gy, x: gy / length(x), (X,), 0,
            {"statistics as constants"}, [DENOMINATOR], "face embeddings by hand"),
    Mistake("L2 normalisation: one power of the norm too few", normalise,
            lambda gy, x: gy / length(x) - x * (gy * x).sum(1, keepdims=True) / length(x) ** 2, (X,), 0,
            {"wrong power"}, [], "face embeddings by hand"),
    Mistake("L2 normalisation: over the batch", normalise,
            lambda gy, x: (gy - normalise(x) * (gy * normalise(x)).sum(0)) / length(x), (X,), 0,
            {"wrong axis"}, [axis(0, 1)], "face embeddings by hand"),
    Mistake("L2 normalisation: not divided by the norm", normalise,
            lambda gy, x: gy - normalise(x) * (gy * normalise(x)).sum(1, keepdims=True), (X,), 0,
            {"factor missing"}, [DENOMINATOR], "weight normalisation by hand"),
]  # fmt: skip


def cosine(a, b):
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def cosine_backward(gy, a, b):
    """For a."""
    return gy[:, None] * (normalise(b) - cosine(a, b)[:, None] * normalise(a)) / length(a)


ANGLES = normal(4, 5), normal(4, 5, seed=1)

MISTAKES += [
    Mistake("cosine: the norms held to be constant", cosine,
            lambda gy, a, b: (gy[:, None] * normalise(b) / length(a), cosine_backward(gy, b, a)), ANGLES, 0,
            {"statistics as constants", "term missing"}, [], "Siamese networks by hand"),
    Mistake("cosine: b drawn back for a", cosine,
            lambda gy, a, b: (gy[:, None] * (1 - cosine(a, b)[:, None]) * normalise(b) / length(a),
                              cosine_backward(gy, b, a)), ANGLES, 0,
            {"another input"}, [operand(1, "b")], "Siamese networks by hand"),
    Mistake("cosine: one norm too few", cosine,
            lambda gy, a, b: (cosine_backward(gy, a, b),
                              gy[:, None] * (normalise(a) - cosine(a, b)[:, None] * b) / length(b)), ANGLES, 1,
            {"wrong power", "factor missing"}, [], "Siamese networks by hand: b / |b| for b / |b|²"),
]  # fmt: skip

BATCH = normal(5, 6), 1.5 + 0.5 * normal(6, seed=1), normal(6, seed=2)


def batch_norm_bessel(x, gamma):
    """As in makemore, with the variance by N − 1."""
    return gamma * (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + 1e-5)


def bessel_backward(gy, x, gamma, count):
    sigma = np.sqrt(x.var(0, ddof=1) + 1e-5)
    y, g = (x - x.mean(0)) / sigma, gy * gamma
    return (g - g.mean(0) - y * (g * y).sum(0) / count) / sigma, (gy * y).sum(0)


MISTAKES += [
    Mistake("Bessel's batch norm: by N in backward", batch_norm_bessel,
            lambda gy, x, gamma: bessel_backward(gy, x, gamma, len(x)), BATCH[:2], 0,
            {"wrong factor of a term"}, [], "makemore, backprop ninja: 1/n for 1/(n − 1)"),
    Mistake("Bessel's batch norm: the last term not averaged", batch_norm_bessel,
            lambda gy, x, gamma: bessel_backward(gy, x, gamma, 1), BATCH[:2], 0,
            {"wrong factor of a term"}, [], "makemore, backprop ninja"),
]  # fmt: skip


def batch_norm_inference(x, mean, var, gamma, beta):
    return gamma * (x - mean) / np.sqrt(var + 1e-5) + beta


def inference_backward(gy, x, mean, var, gamma, beta):
    scale = gamma / np.sqrt(var + 1e-5)
    g_var = -0.5 * (gy * gamma * (x - mean)).sum(0) / (var + 1e-5) ** 1.5
    return gy * scale, -(gy * scale).sum(0), g_var, (gy * scale / gamma * (x - mean)).sum(0), gy.sum(0)


FIXED = normal(5, 6), 0.3 * normal(6, seed=3), np.exp(0.3 * normal(6, seed=4)), BATCH[1], BATCH[2]

MISTAKES += [
    Mistake("batch norm in inference: the mean's term of training", batch_norm_inference,
            lambda gy, x, mean, var, gamma, beta: (
                (gy - gy.mean(0)) * gamma / np.sqrt(var + 1e-5),
                *inference_backward(gy, x, mean, var, gamma, beta)[1:]), FIXED, 0,
            {"extra term"}, [], "issue trackers: training's backward after eval()"),
    Mistake("batch norm in inference: σ² where σ belongs", batch_norm_inference,
            lambda gy, x, mean, var, gamma, beta: (
                gy * gamma / (var + 1e-5), *inference_backward(gy, x, mean, var, gamma, beta)[1:]), FIXED, 0,
            {"wrong power"}, [], "issue trackers: the root of the running variance"),
]  # fmt: skip

MISTAKES += [
    Mistake("layer norm: batch norm's sums", layer_norm,
            lambda gy, x, gamma, beta: with_affine_of_rows(
                (gy * gamma - (gy * gamma).mean(0) - normalised(x, 1) * (gy * gamma * normalised(x, 1)).mean(0))
                / deviation(x, 1), gy, x), BATCH, 0,
            {"wrong axis"}, [axis(0, 1)], "CS231n assignment 2, layernorm_backward: copied from batch norm"),
    Mistake("layer norm: the variance held to be constant", layer_norm,
            lambda gy, x, gamma, beta: with_affine_of_rows(
                (gy * gamma - (gy * gamma).mean(1, keepdims=True)) / deviation(x, 1), gy, x), BATCH, 0,
            {"statistics as constants"}, [VARIANCE], "transformers by hand"),
    Mistake("layer norm: γ learns from x", layer_norm,
            lambda gy, x, gamma, beta: (through_norm(gy * gamma, x, 1), (gy * x).sum(0), gy.sum(0)), BATCH, 1,
            {"input for output"}, [], "transformers by hand"),
]  # fmt: skip


def root_mean_square(x):
    return np.sqrt((x * x).mean(1, keepdims=True))


def rms_norm(x, g):
    return g * x / root_mean_square(x)


def through_rms(gy, x):
    r = root_mean_square(x)
    return (gy - x * (gy * x).mean(1, keepdims=True) / r**2) / r


ROWS = normal(4, 6), BATCH[1]

MISTAKES += [
    Mistake("RMS norm: the root mean square held to be constant", rms_norm,
            lambda gy, x, g: (gy * g / root_mean_square(x), (gy * x / root_mean_square(x)).sum(0)), ROWS, 0,
            {"statistics as constants"}, [DENOMINATOR], "Llama by hand"),
    Mistake("RMS norm: a sum where the mean belongs", rms_norm,
            lambda gy, x, g: ((gy * g - x * (gy * g * x).sum(1, keepdims=True) / root_mean_square(x) ** 2)
                              / root_mean_square(x), (gy * x / root_mean_square(x)).sum(0)), ROWS, 0,
            {"wrong factor of a term"}, [], "Llama by hand"),
    Mistake("RMS norm: one power of the root too few", rms_norm,
            lambda gy, x, g: (gy * g / root_mean_square(x) - x * (gy * g * x).mean(1, keepdims=True)
                              / root_mean_square(x) ** 2, (gy * x / root_mean_square(x)).sum(0)), ROWS, 0,
            {"wrong power"}, [], "Llama by hand"),
    Mistake("RMS norm: the gain learns from x", rms_norm,
            lambda gy, x, g: (through_rms(gy * g, x), (gy * x).sum(0)), ROWS, 1,
            {"factor missing", "input for output"}, [], "Llama by hand: the input cached, not the normalised"),
]  # fmt: skip


def centred(x):
    return x - x.mean(0)


MISTAKES += [
    Mistake("centring: the mean held to be constant", centred, lambda gy, x: gy.copy(), (X,), 0,
            {"statistics as constants", "term missing"}, [MEAN], "preprocessing moved into the network"),
    Mistake("centring: the mean of each row", centred, lambda gy, x: gy - gy.mean(1, keepdims=True), (X,), 0,
            {"wrong axis"}, [axis(0, 1)], "preprocessing moved into the network"),
    Mistake("centring: the sum taken off", centred, lambda gy, x: gy - gy.sum(0), (X,), 0,
            {"wrong factor of a term"}, [], "makemore, backprop ninja: bnmeani without 1/n"),
]  # fmt: skip


def standardised(x):
    """Each column, by hand, N − 1 and no ε."""
    return (x - x.mean(0)) / x.std(0, ddof=1)


MISTAKES += [
    Mistake("standardising: mean and deviation held to be constant", standardised,
            lambda gy, x: gy / x.std(0, ddof=1), (X,), 0,
            {"statistics as constants"}, [MEAN, VARIANCE], "preprocessing moved into the network"),
    Mistake("standardising: variance where deviation belongs", standardised,
            lambda gy, x: (gy - gy.mean(0) - standardised(x) * (gy * standardised(x)).sum(0) / (len(x) - 1))
            / x.var(0, ddof=1), (X,), 0,
            {"wrong power"}, [], "preprocessing moved into the network"),
]  # fmt: skip


def scaled_by_maximum(x):
    return x / x.max(1, keepdims=True)


TO_ONE = (np.exp(0.5 * distinct(4, 5)),)

MISTAKES += [
    Mistake("by its maximum: held to be constant", scaled_by_maximum,
            lambda gy, x: gy / x.max(1, keepdims=True), TO_ONE, 0,
            {"statistics as constants", "term missing"}, [r"max"], "attention by hand: a maximum 'detached'"),
    Mistake("by its maximum: the quotient's square forgotten", scaled_by_maximum,
            lambda gy, x: (gy - (gy * x).sum(1, keepdims=True) * (x == x.max(1, keepdims=True)))
            / x.max(1, keepdims=True), TO_ONE, 0,
            {"wrong power", "wrong factor of a term", "factor missing"}, [], "quotient rule, exercises"),
]  # fmt: skip


# -- convolution -------------------------------------------------------------------------------------------------------


def dilated_conv2d(x, w):
    """Kernels of 2 × 2 with a gap of 1."""
    return np.einsum("ncpqrs,kcrs->nkpq", windows(x, 2, 2, 1, 2), w)


HOLES = normal(2, 2, 5, 4), normal(3, 2, 2, 2, seed=1)

MISTAKES += [
    Mistake("dilated convolution: no gap in backward", dilated_conv2d,
            lambda gy, x, w: (send_back(gy, w, x.shape), np.einsum("nkpq,ncpqrs->kcrs", gy, windows(x, 2, 2, 1, 2))),
            HOLES, 0, {"stride"}, [], "dilated convolution by hand"),
    Mistake("dilated convolution: kernels without the gap", dilated_conv2d,
            lambda gy, x, w: (send_back(gy, w, x.shape, 1, 2),
                              np.einsum("nkpq,ncpqrs->kcrs", gy, windows(x, 2, 2)[:, :, :3, :2])), HOLES, 1,
            {"stride"}, [], "dilated convolution by hand"),
]  # fmt: skip


def depthwise_conv(x, w):
    """A kernel of 2 × 3 for each channel."""
    return np.einsum("ncpqrs,crs->ncpq", windows(x, 2, 3), w)


def depthwise_back(gy, w, shape):
    g = np.zeros(shape)
    for p, q in np.ndindex(gy.shape[2:]):
        g[:, :, p : p + 2, q : q + 3] += gy[:, :, p, q, None, None] * w
    return g


DEEP = normal(2, 3, 4, 4), normal(3, 2, 3, seed=1)

MISTAKES += [
    Mistake("depthwise convolution: the kernel turned round", depthwise_conv,
            lambda gy, x, w: (depthwise_back(gy, w[:, ::-1, ::-1], x.shape),
                              np.einsum("ncpq,ncpqrs->crs", gy, windows(x, 2, 3))), DEEP, 0,
            {"kernel turned round"}, [], "MobileNets by hand"),
    Mistake("depthwise convolution: every kernel gets all channels' sum", depthwise_conv,
            lambda gy, x, w: (depthwise_back(gy, w, x.shape),
                              np.einsum("nkpq,ncpqrs->krs", gy, windows(x, 2, 3))), DEEP, 1,
            {"wrong axis", "extra term"}, [], "MobileNets by hand: an ordinary convolution's sum"),
    Mistake("depthwise convolution: the first image alone", depthwise_conv,
            lambda gy, x, w: (depthwise_back(gy, w, x.shape),
                              np.einsum("cpq,cpqrs->crs", gy[0], windows(x, 2, 3)[0])), DEEP, 1,
            {"one example only"}, [], "MobileNets by hand"),
]  # fmt: skip


def conv1d(x, w):
    """As minitorch's: (N, C, T), (K, C, 3) → (N, K, T), beyond the end zeros."""
    wide = np.pad(x, ((0, 0), (0, 0), (0, 2)))
    return np.einsum("nctr,kcr->nkt", sliding_window_view(wide, 3, 2), w)


def conv1d_image(gy, w):
    """The right one: from the left, the kernel turned round."""
    wide = np.pad(gy, ((0, 0), (0, 0), (2, 0)))
    return np.einsum("nktr,kcr->nct", sliding_window_view(wide, 3, 2), w[:, :, ::-1])


def conv1d_kernel(gy, x):
    return np.einsum("nkt,nctr->kcr", gy, sliding_window_view(np.pad(x, ((0, 0), (0, 0), (0, 2))), 3, 2))


SOUND = normal(2, 2, 6), normal(3, 2, 3, seed=1)

MISTAKES += [
    Mistake("conv1d: reverse forgotten", conv1d,
            lambda gy, x, w: (conv1d(gy, w.swapaxes(0, 1)), conv1d_kernel(gy, x)), SOUND, 0,
            {"kernel turned round", "shifted", "wrong direction"}, [], "minitorch module 4, conv1d: reverse=False"),
    Mistake("conv1d: from the left, but the kernel not turned round", conv1d,
            lambda gy, x, w: (conv1d_image(gy, w[:, :, ::-1]), conv1d_kernel(gy, x)), SOUND, 0,
            {"kernel turned round"}, [], "minitorch module 4, conv1d"),
    Mistake("conv1d: kernels and channels exchanged", conv1d,
            lambda gy, x, w: (conv1d_image(gy, w.swapaxes(0, 1)), conv1d_kernel(gy, x)),
            (normal(2, 3, 5), normal(3, 3, 3, seed=1)), 0,
            {"channels exchanged", "operand not transposed"}, [], "minitorch module 4, conv1d: no permute"),
    Mistake("conv1d: as if padded in the middle", conv1d,
            lambda gy, x, w: (np.einsum("nktr,kcr->nct", sliding_window_view(
                np.pad(gy, ((0, 0), (0, 0), (1, 1))), 3, 2), w[:, :, ::-1]), conv1d_kernel(gy, x)), SOUND, 0,
            {"shifted"}, [ONE], "minitorch module 4, conv1d: another convention for padding"),
]  # fmt: skip


def grouped(x, w):
    """Kernels of 2 × 2 in two groups: (N, C, H, W), (K, C/2, 2, 2) → (N, K, P, Q)."""
    halves = zip(np.split(windows(x, 2, 2), 2, 1), np.split(w, 2), strict=True)
    return np.concatenate([np.einsum("ncpqrs,kcrs->nkpq", v, part) for v, part in halves], 1)


def grouped_backward(gy, x, w):
    gx = [send_back(g, part, (len(x), x.shape[1] // 2, *x.shape[2:]))
          for g, part in zip(np.split(gy, 2, 1), np.split(w, 2), strict=True)]  # fmt: skip
    gw = [np.einsum("nkpq,ncpqrs->kcrs", g, v)
          for g, v in zip(np.split(gy, 2, 1), np.split(windows(x, 2, 2), 2, 1), strict=True)]  # fmt: skip
    return np.concatenate(gx, 1), np.concatenate(gw)


def second_group_too_low(gy, x, w):
    gx, gw = grouped_backward(gy, x, w)
    g = np.zeros_like(gx)
    g[:, :4] = gx[:, :4]
    g[:, 3:-1] = gx[:, 4:]
    return g, gw


GROUPS = normal(1, 8, 3, 3), normal(6, 4, 2, 2, seed=1)

MISTAKES += [
    Mistake("grouped convolution: the second group one channel too low", grouped, second_group_too_low, GROUPS, 0,
            {"group boundary", "shifted"}, [], "AlexNet by hand: slices of groups"),
    Mistake("grouped convolution: the second kernels see the first channels", grouped,
            lambda gy, x, w: (grouped_backward(gy, x, w)[0],
                              np.einsum("nkpq,ncpqrs->kcrs", gy, windows(x[:, :4], 2, 2))), GROUPS, 1,
            {"group boundary", "channels exchanged"}, [], "AlexNet by hand: the offset of a group forgotten"),
    Mistake("grouped convolution: the groups' gradients exchanged", grouped,
            lambda gy, x, w: (np.roll(grouped_backward(gy, x, w)[0], 4, 1), grouped_backward(gy, x, w)[1]), GROUPS, 0,
            {"channels exchanged", "transposed", "shifted"}, [], "AlexNet by hand: put together in the wrong order"),
]  # fmt: skip


def im2col(x):
    """Columns of windows of 2 × 2: (N, C, H, W) → (N, C · 4, P Q)."""
    w = windows(x, 2, 2)
    return w.transpose(0, 1, 4, 5, 2, 3).reshape(len(x), -1, w.shape[2] * w.shape[3])


def col2im(gy, x, add=True):
    g, (h, w) = np.zeros_like(x), (x.shape[2] - 1, x.shape[3] - 1)
    each = gy.reshape(*x.shape[:2], 2, 2, h, w)
    for r, s in np.ndindex(2, 2):
        g[:, :, r : r + h, s : s + w] = each[:, :, r, s] + (g[:, :, r : r + h, s : s + w] if add else 0)
    return g


MISTAKES += [
    Mistake("col2im: windows overwrite each other", im2col,
            lambda gy, x: col2im(gy, x, False), (normal(2, 2, 3, 4),), 0,
            {"= for +=", "overlapping windows"}, [], "CS231n assignment 2, col2im"),
    Mistake("col2im: channels and places within the window exchanged", im2col,
            lambda gy, x: col2im(gy.reshape(len(x), 4, x.shape[1], -1).swapaxes(1, 2), x), (normal(2, 2, 3, 4),), 0,
            {"transposed", "channels exchanged"}, [], "CS231n assignment 2, col2im: the order of a reshape"),
]  # fmt: skip


# -- pooling and resizing ----------------------------------------------------------------------------------------------

POOL = (distinct(2, 2, 4, 6),)

MISTAKES += [
    Mistake("max pooling: an equal share to every place", max_pool,
            lambda gy, x: gy.repeat(2, 2).repeat(2, 3) / 4, POOL, 0,
            {"window shared out"}, [], "deeplearning.ai course 4: distribute_value in the wrong mode"),
    Mistake("max pooling: to the smallest", max_pool,
            lambda gy, x: untiled(gy[..., None, None] * (tiles(x) == tiles(x).min((4, 5), keepdims=True))), POOL, 0,
            {"wrong mask"}, [], "pooling by hand: argsort for argmax"),
    Mistake("max pooling: times the maximum", max_pool,
            lambda gy, x: untiled((gy * max_pool(x))[..., None, None] * winners(x)), POOL, 0,
            {"extra factor"}, [r"\b[xy]\b|max"], "deeplearning.ai course 4: the window times its mask"),
]  # fmt: skip


def max_pool_3_2(x):
    """Maxima of 3 in a row, two apart."""
    return sliding_window_view(x, 3, 1)[:, ::2].max(2)


def added_at(gy, x, places):
    g = np.zeros_like(x)
    np.add.at(g, (np.arange(len(x))[:, None], places), gy)
    return g


MISTAKES += [
    Mistake("pooling 3 / 2: windows one apart in backward", max_pool_3_2,
            lambda gy, x: added_at(gy, x, winner_places(x, 2) - np.arange(gy.shape[1])), (distinct(4, 9),), 0,
            {"stride", "shifted"}, [], "AlexNet's pooling by hand"),
    Mistake("pooling 3 / 2: one place too far", max_pool_3_2,
            lambda gy, x: added_at(gy, x, (winner_places(x, 2) + 1) % x.shape[1]), (distinct(4, 9),), 0,
            {"shifted"}, [ONE], "pooling by hand: places counted from 1"),
]  # fmt: skip


def avg_pool(x):
    return tiles(x).mean((4, 5))


MISTAKES += [
    Mistake("average pooling: not divided", avg_pool,
            lambda gy, x: gy.repeat(2, 2).repeat(2, 3), (normal(2, 2, 4, 6),), 0,
            {"constant factor"}, [times(4)], "minitorch module 4, avgpool2d"),
    Mistake("average pooling: divided by the window's side", avg_pool,
            lambda gy, x: gy.repeat(2, 2).repeat(2, 3) / 2, (normal(2, 2, 4, 6),), 0,
            {"constant factor"}, [times(2)], "deeplearning.ai course 4, distribute_value"),
    Mistake("average pooling: to the first place of the window", avg_pool,
            lambda gy, x: untiled(gy[..., None, None] * np.array([[0.25, 0], [0, 0]])), (normal(2, 2, 4, 6),), 0,
            {"zero where it should not be"}, [], "average pooling by hand: = at the window's corner"),
    Mistake("average pooling: reshaped without moving the axes", avg_pool,
            lambda gy, x: np.broadcast_to(gy[..., None, None] / 4, (*gy.shape, 2, 2)).reshape(x.shape),
            (normal(2, 2, 4, 6),), 0, {"transposed"}, [], "minitorch module 4, tile"),
]  # fmt: skip


def mean_of_neighbours(x):
    """Over 3 × 3, of those within the image."""
    return windows(padded(x), 3, 3).sum((4, 5)) / count_of_neighbours(*x.shape[2:])


MISTAKES += [
    Mistake("mean of neighbours: by 9 at the border also", mean_of_neighbours,
            lambda gy, x: windows(padded(gy), 3, 3).sum((4, 5)) / 9, (normal(1, 1, 9, 10),), 0,
            {"padded border"}, [], "issue trackers: count_include_pad"),
    Mistake("mean of neighbours: divided after the sum", mean_of_neighbours,
            lambda gy, x: windows(padded(gy), 3, 3).sum((4, 5)) / count_of_neighbours(*x.shape[2:]),
            (normal(1, 1, 9, 10),), 0, {"padded border"}, [], "issue trackers: the count of the wrong window"),
]  # fmt: skip


def edge_padding(x):
    return np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")


MISTAKES += [
    Mistake("padding with the edge: what was padded gives nothing back", edge_padding,
            lambda gy, x: gy[:, :, 1:-1, 1:-1], (normal(1, 2, 6, 7),), 0,
            {"padded border", "term missing"}, [], "padding by hand: as if with zeros"),
]  # fmt: skip


def zero_padding(x):
    """Two places before and one after."""
    return np.pad(x, ((0, 0), (2, 1)))


MISTAKES += [
    Mistake("padding: taken off as after, not as before", zero_padding, lambda gy, x: gy[:, 1:-2], (normal(4, 6),), 0,
            {"shifted"}, [ONE], "asymmetric padding by hand"),
    Mistake("padding: all taken off at the end", zero_padding, lambda gy, x: gy[:, : x.shape[1]], (normal(4, 6),), 0,
            {"shifted"}, [r"\b2\b|two"], "asymmetric padding by hand"),
]  # fmt: skip


def upsample(x):
    """Each place twice, down and across."""
    return x.repeat(2, 2).repeat(2, 3)


MISTAKES += [
    Mistake("upsampling: a mean where the sum belongs", upsample,
            lambda gy, x: tiles(gy).mean((4, 5)), (normal(2, 2, 2, 3),), 0,
            {"constant factor"}, [times(4)], "U-Net by hand"),
    Mistake("upsampling: one of four", upsample, lambda gy, x: gy[:, :, ::2, ::2], (normal(2, 2, 2, 3),), 0,
            {"broadcast axis not summed", "= for +=", "one example only"}, [], "U-Net by hand: sliced for summed"),
    Mistake("upsampling: tiled for repeated", upsample,
            lambda gy, x: gy.reshape(2, 2, 2, 2, 2, 3).sum((2, 4)), (normal(2, 2, 2, 3),), 0,
            {"transposed", "stride"}, [], "U-Net by hand: np.tile and np.repeat mixed up"),
]  # fmt: skip


def global_average(x):
    return x.mean((2, 3))


MISTAKES += [
    Mistake("global average: divided by one side", global_average,
            lambda gy, x: gy[:, :, None, None] / x.shape[2] * np.ones_like(x), (normal(2, 3, 3, 4),), 0,
            {"constant factor"}, [times(4)], "ResNet by hand"),
    Mistake("global average: images and channels exchanged", global_average,
            lambda gy, x: gy.T[:, :, None, None] / 12 * np.ones_like(x), (normal(3, 3, 3, 4),), 0,
            {"transposed", "channels exchanged"}, [], "ResNet by hand"),
]  # fmt: skip


def pixel_shuffle(x):
    """(N, 4, H, W) → (N, 2H, 2W)."""
    n, _, h, w = x.shape
    return x.reshape(n, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(n, 2 * h, 2 * w)


MISTAKES += [
    Mistake("pixel shuffle: reshaped back", pixel_shuffle, lambda gy, x: gy.reshape(x.shape), (normal(2, 4, 2, 3),), 0,
            {"transposed"}, [], "super-resolution by hand"),
    Mistake("pixel shuffle: down and across exchanged", pixel_shuffle,
            lambda gy, x: gy.reshape(2, 2, 2, 3, 2).transpose(0, 4, 2, 1, 3).reshape(x.shape), (normal(2, 4, 2, 3),), 0,
            {"transposed", "channels exchanged"}, [], "super-resolution by hand"),
]  # fmt: skip


def maxout(x):
    """The larger of each pair of features."""
    return np.maximum(x[:, ::2], x[:, 1::2])


def paired(even, odd):
    return np.stack([even, odd], 2).reshape(len(even), -1)


MISTAKES += [
    Mistake("maxout: to both", maxout, lambda gy, x: gy.repeat(2, 1), (distinct(4, 6),), 0,
            {"window shared out", "mask forgotten"}, [], "maxout networks by hand"),
    Mistake("maxout: to the loser", maxout,
            lambda gy, x: paired(gy * (x[:, ::2] < x[:, 1::2]), gy * (x[:, ::2] > x[:, 1::2])), (distinct(4, 6),), 0,
            {"wrong mask", "channels exchanged"}, [], "maxout networks by hand"),
    Mistake("maxout: the second half for the odd", maxout,
            lambda gy, x: np.hstack([gy * (x[:, ::2] > x[:, 1::2]), gy * (x[:, ::2] < x[:, 1::2])]),
            (distinct(4, 6),), 0, {"transposed", "stride"}, [], "maxout networks by hand: split for strided"),
]  # fmt: skip


# -- arithmetic, sums and shapes ---------------------------------------------------------------------------------------

TWO = normal(4, 3), normal(4, 3, seed=1)


def product(a, b):
    return a * b


def in_place(gy, a, b):
    ga = gy
    ga *= b
    return ga, gy * a


MISTAKES += [
    Mistake("product: a for b", product, lambda gy, a, b: (gy * a, gy * a), TWO, 0,
            {"another input"}, [operand(0, "a")], "minitorch module 1, Mul.backward"),
    Mistake("product: gy changed before it is used again", product, in_place, TWO, 1,
            {"extra factor"}, [operand(1, "b")], "issue trackers: an in-place change of the gradient"),
    Mistake("product: b forgotten", product, lambda gy, a, b: (gy.copy(), gy * a), TWO, 0,
            {"factor missing"}, [operand(1, "b")], "micrograd, Value.__mul__"),
]  # fmt: skip


def scaled_rows(x, s):
    """(N, D) and (D,)."""
    return x * s


MISTAKES += [
    Mistake("scale: summed over the features", scaled_rows,
            lambda gy, x, s: (gy * s, (gy * x).sum(1)), (normal(6, 6), normal(6, seed=1)), 1,
            {"wrong axis"}, [axis(0, 1)], "minitorch module 2, broadcasting"),
    Mistake("scale: the last row alone", scaled_rows,
            lambda gy, x, s: (gy * s, (gy * x)[-1]), (normal(5, 6), normal(6, seed=1)), 1,
            {"one example only", "= for +=", "broadcast axis not summed"}, [], "minitorch module 2, broadcasting"),
    Mistake("scale: x forgotten", scaled_rows,
            lambda gy, x, s: (gy * s, gy.sum(0)), (normal(5, 6), normal(6, seed=1)), 1,
            {"factor missing"}, [operand(0, "x")], "networks by hand: a scale taken for a bias"),
    Mistake("scale: the columns' scale laid along the rows", scaled_rows,
            lambda gy, x, s: (gy * s[:, None], (gy * x).sum(0)), (normal(6, 6), normal(6, seed=1)), 0,
            {"wrong axis", "operand not transposed"}, [], "issue trackers: a broadcast that happens to fit"),
]  # fmt: skip


def larger(a, b):
    return np.maximum(a, b)


MISTAKES += [
    Mistake("maximum of two: to both", larger, lambda gy, a, b: (gy * (a > b), gy.copy()), TWO, 1,
            {"mask forgotten"}, [], "tensor functions by hand"),
    Mistake("maximum of two: b where a is larger", larger, lambda gy, a, b: (gy * (a > b), gy * (a > b)), TWO, 1,
            {"wrong mask"}, [], "tensor functions by hand"),
    Mistake("maximum of two: a where it is above 0", larger, lambda gy, a, b: (gy * (a > 0), gy * (a < b)), TWO, 0,
            {"wrong mask"}, [], "a ReLU's mask for a maximum's"),
]  # fmt: skip


def row_sums(x):
    return x.sum(1)


MISTAKES += [
    Mistake("row sums: spread along the other axis", row_sums, lambda gy, x: gy + np.zeros_like(x), (normal(5, 5),), 0,
            {"wrong axis", "transposed"}, [], "minitorch module 2: keepdims forgotten, the array square"),
    Mistake("row sums: shared out", row_sums, lambda gy, x: gy[:, None] / x.shape[1] + np.zeros_like(x), (X,), 0,
            {"constant factor"}, [times(5)], "minitorch module 2: a mean's backward"),
    Mistake("row sums: times x", row_sums, lambda gy, x: gy[:, None] * x, (X,), 0,
            {"extra factor"}, [operand(0, "x")], "minitorch module 2: a square's backward"),
]  # fmt: skip


def row_means(x):
    return x.mean(1)


MISTAKES += [
    Mistake("row means: divided by the rows", row_means, lambda gy, x: gy[:, None] / len(x) + np.zeros_like(x), (X,), 0,
            {"constant factor"}, [], "minitorch: the size of the wrong axis"),
    Mistake("row means: not divided", row_means, lambda gy, x: gy[:, None] + np.zeros_like(x), (X,), 0,
            {"constant factor"}, [times(5)], "d2l: a sum's backward"),
]  # fmt: skip


def sequence_mean(x):
    """Over N and T of (N, T, D)."""
    return x.mean((0, 1))


MISTAKES += [
    Mistake("mean over batch and time: by the batch alone", sequence_mean,
            lambda gy, x: gy / len(x) + np.zeros_like(x), (normal(3, 4, 5),), 0,
            {"constant factor"}, [times(4)], "issue trackers: batch, not batch · time"),
    Mistake("mean over batch and time: the last time step alone", sequence_mean,
            lambda gy, x: gy / x[..., 0].size * (np.arange(x.shape[1]) == x.shape[1] - 1)[:, None] + np.zeros_like(x),
            (normal(3, 4, 5),), 0,
            {"one example only", "zero where it should not be"}, [], "networks over time: out[:, -1]"),
]  # fmt: skip


def row_maxima(x):
    return x.max(1)


MISTAKES += [
    Mistake("row maxima: to all of the row", row_maxima,
            lambda gy, x: gy[:, None] + np.zeros_like(x), (distinct(4, 5),), 0,
            {"mask forgotten", "window shared out"}, [], "minitorch module 4, Max.backward"),
    Mistake("row maxima: those of columns", row_maxima,
            lambda gy, x: gy[:, None] * (x == x.max(0)), (distinct(4, 5),), 0,
            {"wrong axis", "wrong mask"}, [], "minitorch module 4, argmax over the wrong dim"),
    Mistake("row maxima: to the smallest", row_maxima,
            lambda gy, x: gy[:, None] * (x == x.min(1, keepdims=True)), (distinct(4, 5),), 0,
            {"wrong mask"}, [], "minitorch module 4: min by max of −x"),
]  # fmt: skip


def sorted_rows(x):
    return np.sort(x, 1)


MISTAKES += [
    Mistake("sort: left in order", sorted_rows, lambda gy, x: gy.copy(), (distinct(4, 5),), 0,
            {"transposed"}, [], "sorting by hand: the order not undone"),
    Mistake("sort: ordered once more", sorted_rows,
            lambda gy, x: np.take_along_axis(gy, x.argsort(1), 1), (distinct(4, 6, seed=1),), 0,
            {"transposed"}, [], "sorting by hand: argsort for its inverse"),
]  # fmt: skip


def steps_between(x):
    """Each place less the one before."""
    return np.diff(x, axis=1)


MISTAKES += [
    Mistake("differences: the signs exchanged", steps_between,
            lambda gy, x: np.pad(gy, ((0, 0), (0, 1))) - np.pad(gy, ((0, 0), (1, 0))), (normal(4, 6),), 0,
            {"wrong sign"}, [], "total variation by hand"),
    Mistake("differences: the place before forgotten", steps_between,
            lambda gy, x: np.pad(gy, ((0, 0), (1, 0))), (normal(4, 6),), 0,
            {"term missing", "= for +="}, [], "total variation by hand"),
]  # fmt: skip


def flipped(x):
    return x[:, ::-1] ** 2


MISTAKES += [
    Mistake("flip: not flipped back", flipped, lambda gy, x: 2 * gy * x[:, ::-1], (normal(3, 5),), 0,
            {"transposed", "wrong direction"}, [], "bidirectional RNNs by hand"),
    Mistake("flip: the gradient flipped, x also", flipped,
            lambda gy, x: 2 * gy[:, ::-1] * x[:, ::-1], (normal(3, 5),), 0,
            {"wrong direction"}, [], "bidirectional RNNs by hand"),
]  # fmt: skip


def gated(x):
    """GLU: the first half times σ of the second."""
    a, b = np.hsplit(x, 2)
    return a * sigmoid(b)


def gated_backward(gy, x):
    a, b = np.hsplit(x, 2)
    return gy * sigmoid(b), gy * a * sigmoid(b) * (1 - sigmoid(b))


MISTAKES += [
    Mistake("GLU: halves exchanged", gated, lambda gy, x: np.hstack(gated_backward(gy, x)[::-1]), (normal(4, 6),), 0,
            {"channels exchanged"}, [], "gated units by hand"),
    Mistake("GLU: the gate's slope without 1 − σ", gated,
            lambda gy, x: np.hstack([gated_backward(gy, x)[0], gy * gated(x)]), (normal(4, 6),), 0,
            {"factor missing"}, [], "gated units by hand"),
    Mistake("GLU: nothing for the gate", gated,
            lambda gy, x: np.hstack([gated_backward(gy, x)[0], 0 * gy]), (normal(4, 6),), 0,
            {"zero where it should not be", "statistics as constants"}, [], "gated units by hand: the gate a constant"),
]  # fmt: skip

MATRICES = (normal(4, 2, 2) + 2 * np.eye(2),)


def inverse(x):
    return np.linalg.inv(x)


MISTAKES += [
    Mistake("inverse: the minus forgotten", inverse,
            lambda gy, x: inverse(x).swapaxes(1, 2) @ gy @ inverse(x).swapaxes(1, 2), MATRICES, 0,
            {"wrong sign"}, [], "matrix calculus, exercises"),
    Mistake("inverse: as it stands", inverse, lambda gy, x: -inverse(x) @ gy @ inverse(x), MATRICES, 0,
            {"operand not transposed"}, [], "matrix calculus, exercises"),
]  # fmt: skip


# -- masks, places and embeddings --------------------------------------------------------------------------------------

DROPPED = normal(4, 6), np.arange(24).reshape(4, 6) % 5 > 1

MISTAKES += [
    Mistake("dropout: the mask forgotten", dropout, lambda gy, x, kept: (gy / 0.6, None), DROPPED, 0,
            {"mask forgotten"}, [], "CS231n assignment 2, dropout_backward"),
    Mistake("dropout: the forward pass again", dropout, lambda gy, x, kept: (gy * x * kept / 0.6, None), DROPPED, 0,
            {"extra factor"}, [operand(0, "x")], "issue trackers: the mask applied to x, not to gy"),
    Mistake("dropout: the scale twice", dropout, lambda gy, x, kept: (gy * kept / 0.36, None), DROPPED, 0,
            {"constant factor", "extra factor"}, [times(0.6)], "CS231n assignment 2: a mask that holds the scale"),
]  # fmt: skip

WORDS = np.array([[1, 4, 1], [0, 1, 4]]), normal(5, 4)


def scaled_embedding(words, w):
    """As in a transformer, times the root of the width."""
    return 2 * w[words]


MISTAKES += [
    Mistake("scaled embedding: the scale forgotten", scaled_embedding,
            lambda gy, words, w: (None, all_uses(gy, words, w)), WORDS, 1,
            {"constant factor", "factor missing"}, [times(2)], "transformers by hand: √d"),
]  # fmt: skip


def gathered(x, places):
    """One number of each row."""
    return np.take_along_axis(x, places, 1)


def from_the_front(gy, x, places):
    g = np.zeros_like(x)
    np.put_along_axis(g, places, gy, 1)
    return g, None


MISTAKES += [
    Mistake("gather: a place that is asked for twice", gathered,
            from_the_front, (normal(4, 5), np.array([[1, 1, 0], [4, 2, 4], [3, 0, 3], [2, 2, 2]])), 0,
            {"= for +="}, [], "tensor functions by hand, gather"),
    Mistake("gather: one place too far", gathered,
            lambda gy, x, places: from_the_front(gy, x, (places + 1) % x.shape[1]),
            (normal(4, 5), np.array([[1, 0], [4, 2], [3, 0], [2, 1]])), 0, {"shifted"}, [ONE], "labels counted from 1"),
]  # fmt: skip


# -- states over time --------------------------------------------------------------------------------------------------


def rnn_slope(gy, x, h, wx, wh):
    return gy * (1 - rnn_step(x, h, wx, wh) ** 2)


STEP = normal(4, 3), normal(4, 3, seed=1), normal(3, 3, seed=2), normal(3, 3, seed=3)


def rnn_step_backward(gy, *inputs):
    x, h, wx, wh = inputs
    g = rnn_slope(gy, *inputs)
    return [g @ wx.T, g @ wh.T, x.T @ g, h.T @ g]


MISTAKES += [
    Mistake("RNN step: the slope of tanh forgotten for h", rnn_step,
            lambda gy, x, h, wx, wh: with_one(rnn_step_backward(gy, x, h, wx, wh), 1, gy @ wh.T), STEP, 1,
            {"factor missing"}, [], "CS231n assignment 3, rnn_step_backward"),
    Mistake("RNN step: 1 − h² of the state before", rnn_step,
            lambda gy, x, h, wx, wh: with_one(rnn_step_backward(gy, x, h, wx, wh), 0, gy * (1 - h**2) @ wx.T), STEP, 0,
            {"another input", "input for output"}, [operand(1, "h")], "min-char-rnn: hs[t − 1] for hs[t]"),
    Mistake("RNN step: the new state for the old one", rnn_step,
            lambda gy, x, h, wx, wh: with_one(rnn_step_backward(gy, x, h, wx, wh), 3,
                                              rnn_step(x, h, wx, wh).T @ rnn_slope(gy, x, h, wx, wh)), STEP, 3,
            {"output for input"}, [], "min-char-rnn: hs[t] for hs[t − 1]"),
    Mistake("RNN step: x teaches the state's weights", rnn_step,
            lambda gy, x, h, wx, wh: with_one(
                rnn_step_backward(gy, x, h, wx, wh), 3, x.T @ rnn_slope(gy, x, h, wx, wh)), STEP, 3,
            {"another input"}, [operand(0, "x")], "CS231n assignment 3, rnn_step_backward"),
    Mistake("RNN step: the state's weights not transposed", rnn_step,
            lambda gy, x, h, wx, wh: with_one(rnn_step_backward(gy, x, h, wx, wh), 1, rnn_slope(gy, x, h, wx, wh) @ wh),
            STEP, 1, {"operand not transposed"}, [operand(3, "wh")], "CS231n assignment 3, rnn_step_backward"),
]  # fmt: skip

TIME = normal(2, 4, 3), normal(2, 3, seed=1), 0.7 * normal(3, 3, seed=2), 0.7 * normal(3, 3, seed=3)

MISTAKES += [
    Mistake("RNN: nothing back through time", rnn,
            lambda gy, *inputs: with_one(rnn_backward(gy, *inputs), 0, gy * (1 - rnn(*inputs) ** 2) @ inputs[2].T),
            TIME, 0, {"term missing", "= for +="}, [], "CS231n assignment 3, rnn_backward: dprev_h dropped"),
    Mistake("RNN: states one step too late", rnn,
            lambda gy, *inputs: with_one(rnn_backward(gy, *inputs), 3, np.einsum(
                "nti,nth->ih", rnn(*inputs), rnn_inner(gy, *inputs))), TIME, 3,
            {"shifted", "output for input"}, [], "CS231n assignment 3: h[t] for h[t − 1]"),
    Mistake("RNN: the first state's gradient is the first step's own", rnn,
            lambda gy, *inputs: with_one(
                rnn_backward(gy, *inputs), 1, gy[:, 0] * (1 - rnn(*inputs)[:, 0] ** 2) @ inputs[3].T), TIME, 1,
            {"term missing", "= for +=", "one example only"}, [], "CS231n assignment 3, rnn_backward: dh0"),
    Mistake("RNN: the first state's gradient without the weights", rnn,
            lambda gy, *inputs: with_one(rnn_backward(gy, *inputs), 1, rnn_inner(gy, *inputs)[:, 0]), TIME, 1,
            {"factor missing"}, [operand(3, "wh") + "|weight"], "CS231n assignment 3, rnn_backward: dh0"),
]  # fmt: skip

CELL = (normal(4, 3), normal(4, 2, seed=1), normal(4, 2, seed=2), normal(3, 8, seed=3), normal(2, 8, seed=4),
        normal(8, seed=5))  # fmt: skip


def gates_exchanged(gy, *inputs):
    i, f, o, g = np.hsplit(lstm_inner(gy, *inputs)[1], 4)
    return with_one(lstm_backward(gy, *inputs), 5, np.hstack([f, i, o, g]).sum(0))


MISTAKES += [
    Mistake("LSTM step: two gates exchanged", lstm_step, gates_exchanged, CELL, 5,
            {"channels exchanged"}, [], "LSTMs whose gates stand in another order in backward"),
    Mistake("LSTM step: the bias averaged", lstm_step,
            lambda gy, *inputs: with_one(lstm_backward(gy, *inputs), 5, lstm_inner(gy, *inputs)[1].mean(0)), CELL, 5,
            {"constant factor"}, [times(4)], "deeplearning.ai course 5, lstm_cell_backward"),
    Mistake("LSTM step: c teaches the state's weights", lstm_step,
            lambda gy, *inputs: with_one(lstm_backward(gy, *inputs), 4, inputs[2].T @ lstm_inner(gy, *inputs)[1]),
            CELL, 4, {"another input"}, [operand(2, "c")], "deeplearning.ai course 5, lstm_cell_backward"),
]  # fmt: skip


def gru_step(x, h, wz, uz, wn, un):
    """Without a reset gate: (1 − z) n + z h."""
    z, n = sigmoid(x @ wz + h @ uz), np.tanh(x @ wn + h @ un)
    return (1 - z) * n + z * h


def gru_inner(gy, x, h, wz, uz, wn, un):
    z, n = sigmoid(x @ wz + h @ uz), np.tanh(x @ wn + h @ un)
    return gy * z, gy * (h - n) * z * (1 - z), gy * (1 - z) * (1 - n**2)


def gru_backward(gy, *inputs):
    x, h, wz, uz, wn, un = inputs
    direct, gz, gn = gru_inner(gy, *inputs)
    return [gz @ wz.T + gn @ wn.T, direct + gz @ uz.T + gn @ un.T, x.T @ gz, h.T @ gz, x.T @ gn, h.T @ gn]


GRU = tuple(normal(*s, seed=i) for i, s in enumerate(((5, 3), (5, 3), (3, 3), (3, 3), (3, 3), (3, 3))))

MISTAKES += [
    Mistake("GRU step: the direct way forgotten", gru_step,
            lambda gy, *inputs: with_one(
                gru_backward(gy, *inputs), 1, gru_backward(gy, *inputs)[1] - gru_inner(gy, *inputs)[0]), GRU, 1,
            {"term missing"}, [], "d2l, GRU by hand"),
    Mistake("GRU step: n − h for h − n", gru_step,
            lambda gy, *inputs: with_one(gru_backward(gy, *inputs), 2, -gru_backward(gy, *inputs)[2]), GRU, 2,
            {"wrong sign"}, [], "GRU by hand: the other convention for z"),
    Mistake("GRU step: the state's way by the gate alone", gru_step,
            lambda gy, *inputs: with_one(gru_backward(gy, *inputs), 1, gru_inner(gy, *inputs)[0]
                                         + gru_inner(gy, *inputs)[1] @ inputs[3].T), GRU, 1,
            {"term missing", "= for +="}, [], "GRU by hand"),
    Mistake("GRU step: the slope of tanh forgotten", gru_step,
            lambda gy, *inputs: with_one(gru_backward(gy, *inputs), 4, inputs[0].T @ (
                gy * (1 - sigmoid(inputs[0] @ inputs[2] + inputs[1] @ inputs[3])))), GRU, 4,
            {"factor missing"}, [], "GRU by hand"),
    Mistake("GRU step: x teaches the state's weights", gru_step,
            lambda gy, *inputs: with_one(gru_backward(gy, *inputs), 5, inputs[0].T @ gru_inner(gy, *inputs)[2]), GRU, 5,
            {"another input"}, [operand(0, "x")], "GRU by hand"),
]  # fmt: skip


# -- attention ---------------------------------------------------------------------------------------------------------

QKV = normal(4, 5), normal(6, 5, seed=1), normal(6, 3, seed=2)
SAME = normal(5, 4), normal(5, 4, seed=1), normal(5, 3, seed=2)

MISTAKES += [
    Mistake("attention: divided by d for k", attention,
            lambda gy, q, k, v: with_one(
                attention_backward(gy, q, k, v), 1, score_gradient(gy, q, k, v).T @ q / np.sqrt(5)), QKV, 1,
            {"constant factor", "wrong power"}, [times(np.sqrt(5))], "transformers by hand: d for √d"),
    Mistake("attention: softmax without its sum", attention,
            lambda gy, q, k, v: with_one(
                attention_backward(gy, q, k, v), 0, weights(q, k) * (gy @ v.T) @ k / np.sqrt(5)), QKV, 0,
            {"term missing", "statistics as constants"}, [], "transformers by hand"),
    Mistake("attention: the scores not transposed for k", attention,
            lambda gy, q, k, v: with_one(attention_backward(gy, q, k, v), 1, score_gradient(gy, q, k, v) @ q), SAME, 1,
            {"operand not transposed"}, [], "transformers by hand"),
    Mistake("attention: no softmax on the way back", attention,
            lambda gy, q, k, v: with_one(attention_backward(gy, q, k, v), 0, gy @ v.T @ k / np.sqrt(5)), QKV, 0,
            {"factor missing"}, [], "transformers by hand: linear attention's backward"),
]  # fmt: skip


def causal_scores(q, k):
    """Of each place with itself and those before it."""
    return np.tril(q @ k.T)


MISTAKES += [
    Mistake("causal scores: the mask forgotten", causal_scores,
            lambda gy, q, k: (gy @ k, np.tril(gy).T @ q), SAME[:2], 0,
            {"mask forgotten"}, [], "GPT by hand"),
    Mistake("causal scores: the future for the past", causal_scores,
            lambda gy, q, k: (np.tril(gy) @ k, np.triu(gy).T @ q), SAME[:2], 1,
            {"wrong mask"}, [], "GPT by hand: triu for tril"),
    Mistake("causal scores: each place without itself", causal_scores,
            lambda gy, q, k: (np.tril(gy, -1) @ k, np.tril(gy).T @ q), SAME[:2], 0,
            {"wrong mask", "term missing", "shifted"}, [], "GPT by hand: the diagonal"),
]  # fmt: skip


def additive_scores(q, k):
    """tanh of every query plus every key, summed over the features: (T, D), (S, D) → (T, S)."""
    return np.tanh(q[:, None] + k).sum(2)


def additive_slope(gy, q, k):
    return gy[:, :, None] * (1 - np.tanh(q[:, None] + k) ** 2)


MISTAKES += [
    Mistake("additive attention: keys summed over keys", additive_scores,
            lambda gy, q, k: (additive_slope(gy, q, k).sum(1), additive_slope(gy, q, k).sum(1)), SAME[:2], 1,
            {"wrong axis"}, [axis(0, 1)], "d2l, additive attention by hand"),
    Mistake("additive attention: the first query alone", additive_scores,
            lambda gy, q, k: (additive_slope(gy, q, k).sum(1), additive_slope(gy, q, k)[0]), QKV[:2], 1,
            {"one example only", "broadcast axis not summed"}, [], "d2l, additive attention by hand"),
    Mistake("additive attention: the slope of tanh forgotten", additive_scores,
            lambda gy, q, k: (gy.sum(1, keepdims=True) + np.zeros_like(q), additive_slope(gy, q, k).sum(0)), QKV[:2], 0,
            {"factor missing"}, [], "d2l, additive attention by hand"),
]  # fmt: skip


def angles(x):
    return np.arange(len(x))[:, None] / 2.0 ** np.arange(x.shape[1] // 2)


def turned(x, angle):
    a, b = np.hsplit(x, 2)
    return np.hstack([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)])


def rotary(x):
    return turned(x, angles(x))


MISTAKES += [
    Mistake("rotary: turned on, not back", rotary, lambda gy, x: turned(gy, angles(x)), (normal(5, 6),), 0,
            {"operand not transposed", "wrong sign of a term"}, [], "Llama by hand: the same function for backward"),
    Mistake("rotary: halves exchanged", rotary, lambda gy, x: np.roll(turned(gy, -angles(x)), 3, 1), (normal(5, 6),), 0,
            {"channels exchanged", "shifted", "transposed"}, [], "Llama by hand: rotate_half"),
    Mistake("rotary: places counted from 1", rotary,
            lambda gy, x: turned(gy, -angles(x) - 1 / 2.0 ** np.arange(3)), (normal(5, 6),), 0,
            {"shifted"}, [], "Llama by hand: offsets of a cache"),
]  # fmt: skip


def mixed_experts(x, wa, wb):
    """Two experts, of which each row's first feature says how much of each."""
    gate = sigmoid(x[:, :1])
    return gate * (x @ wa) + (1 - gate) * (x @ wb)


def mixed_backward(gy, x, wa, wb):
    gate = sigmoid(x[:, :1])
    g = gate * gy @ wa.T + (1 - gate) * gy @ wb.T
    g[:, :1] += (gy * (x @ wa - x @ wb)).sum(1, keepdims=True) * gate * (1 - gate)
    return [g, x.T @ (gate * gy), x.T @ ((1 - gate) * gy)]


EXPERTS = normal(5, 3), normal(3, 4, seed=1), normal(3, 4, seed=2)

MISTAKES += [
    Mistake("experts: the gate held to be constant", mixed_experts,
            lambda gy, x, wa, wb: with_one(mixed_backward(gy, x, wa, wb), 0,
                                           sigmoid(x[:, :1]) * gy @ wa.T + (1 - sigmoid(x[:, :1])) * gy @ wb.T),
            EXPERTS, 0, {"term missing", "statistics as constants"}, [], "mixtures of experts by hand"),
    Mistake("experts: the second one not weighted", mixed_experts,
            lambda gy, x, wa, wb: with_one(mixed_backward(gy, x, wa, wb), 2, x.T @ gy), EXPERTS, 2,
            {"factor missing"}, [], "mixtures of experts by hand"),
]  # fmt: skip
