import math

import numpy as np
import pytest
from helpers import agree, check_op, normal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from minicnn import Tensor, gradcheck, ops


def shares(x, axis=-1):
    """eˣ / Σ eˣ, one place after the other"""
    y = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        along = list(i)
        along[axis] = slice(None)
        y[i] = math.exp(x[i]) / sum(math.exp(v) for v in x[tuple(along)])
    return y


def log_shares(x, axis=-1):
    return np.log(shares(x, axis))


def loss(x, labels, weight=None):
    """the mean of −ln softmax(x)[label], each image as often as its class counts"""
    counts = [1.0 if weight is None else weight[label] for label in labels]
    each = [-math.log(shares(row)[label]) for row, label in zip(x, labels, strict=True)]
    return np.array(sum(c * e for c, e in zip(counts, each, strict=True)) / sum(counts))


@given(st.data())
def test_softmax(data):
    shape = data.draw(array_shapes(max_dims=3, max_side=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check_op(ops.softmax, shares, normal(*shape), axis=axis)
    check_op(ops.log_softmax, log_shares, normal(*shape), axis=axis)


@given(N=st.integers(1, 4), classes=st.integers(1, 5), dtype=st.sampled_from([np.int64, np.int32, np.uint8]))
def test_cross_entropy(N, classes, dtype):
    labels = np.random.default_rng(N).integers(0, classes, N).astype(dtype)
    check_op(ops.cross_entropy, loss, normal(N, classes), labels)


@given(N=st.integers(2, 5), classes=st.integers(2, 5))
def test_weighted_cross_entropy(N, classes):
    labels = np.arange(N) % classes  # of one class alone, the weight cancels out, and its gradient is rounding
    check_op(ops.cross_entropy, loss, normal(N, classes), labels, 0.1 + np.abs(normal(classes)))


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_weights_are_pytorch_s(dtype, tolerance):
    torch = pytest.importorskip("torch")
    x, labels = normal(6, 4).astype(dtype), np.array([0, 3, 3, 1, 3, 0])
    weight = np.array([0.5, 2.0, 7.0, 0.25], dtype)  # of a class that is not there, too
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = ops.cross_entropy(ours, labels, weight=weight)
    z = torch.nn.functional.cross_entropy(theirs, torch.tensor(labels), weight=torch.tensor(weight))
    (3 * y).backward()
    (3 * z).backward()
    agree(y.numpy(), z.detach().numpy(), "loss", tolerance)
    agree(ours.grad.numpy(), theirs.grad.numpy(), "gradient", tolerance)
    assert y.dtype == ours.grad.dtype == dtype


def test_weights_of_1_change_nothing_and_their_scale_does_not_count():
    x, labels = normal(5, 3), [0, 2, 2, 1, 2]
    plain = ops.cross_entropy(x, labels).numpy()
    for weight in ([1, 1, 1], [4, 4, 4], np.full(3, 0.1)):
        agree(ops.cross_entropy(x, labels, weight=weight).numpy(), plain)
    agree(ops.cross_entropy(x, labels, weight=[1, 2, 3]).numpy(), ops.cross_entropy(x, labels, [2, 4, 6]).numpy())


def test_a_class_of_weight_0_does_not_count():
    x = Tensor(normal(3, 2), requires_grad=True)
    y = ops.cross_entropy(x, [0, 1, 0], weight=[1, 0])
    agree(y.numpy(), ops.cross_entropy(x.numpy()[[0, 2]], [0, 0]).numpy())
    y.backward()
    assert (x.grad.numpy()[1] == 0).all()
    assert math.isnan(ops.cross_entropy(x, [1, 1, 1], weight=[1, 0]).item())


@pytest.mark.parametrize("weight", [[1], [1, 2, 3, 4], 2.0, np.ones((1, 3))])
def test_weights_that_do_not_fit_are_refused(weight):
    with pytest.raises(ValueError, match=r"cross_entropy: x \(2, 3\) and weight \(.* do not fit: give one number"):
        ops.cross_entropy(normal(2, 3), [0, 1], weight=weight)


def test_cross_entropy_of_a_thousand_classes():
    check_op(ops.cross_entropy, loss, 3 * normal(2, 1000), np.array([999, 7]))


def test_of_very_many_classes_each_counts():
    """Added up one after the other in single precision, 300,000 of them are off by 4 in a million."""
    x = normal(2, 300_000).astype(np.float32)
    powers = np.exp(x.astype(np.float64))
    expected = -np.log(powers[:, 7] / powers.sum(1)).mean()
    t = Tensor(x, requires_grad=True)
    y = ops.cross_entropy(t, [7, 7])
    y.backward()
    assert y.item() == pytest.approx(expected, rel=2e-7)
    gradient = powers / powers.sum(1, keepdims=True) / 2  # but at the label
    agree(t.grad.numpy()[:, 8:] * 1e5, gradient[:, 8:] * 1e5, tolerance=3e-7)


@pytest.mark.parametrize("op, reference", [(ops.softmax, shares), (ops.log_softmax, log_shares)])
def test_softmax_of_an_empty_batch(op, reference):
    check_op(op, reference, normal(0, 3))


def test_guessing_costs_the_logarithm_of_the_classes():
    assert ops.cross_entropy(np.zeros((4, 1000)), np.arange(4)).item() == pytest.approx(math.log(1000))


def test_labels_as_list_array_and_tensor():
    x = normal(3, 4)
    losses = {ops.cross_entropy(x, labels).item() for labels in ([0, 3, 1], np.array([0, 3, 1]), Tensor([0, 3, 1]))}
    assert len(losses) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_numbers_do_not_overflow(dtype):
    x = Tensor(np.array([[1e4, -1e4, 0.0], [-3e38, 0.0, 0.0]], dtype), requires_grad=True)
    agree(ops.softmax(x).numpy(), [[1, 0, 0], [0, 0.5, 0.5]])
    agree(ops.log_softmax(x[:1]).numpy(), [[0, -2e4, -1e4]])
    y = ops.cross_entropy(x, [1, 2])
    agree(y.numpy(), (2e4 + math.log(2)) / 2, tolerance=1e-6)
    y.backward()
    agree(x.grad.numpy(), [[0.5, -0.5, 0], [0, 0.25, -0.25]])


def test_the_gradient_is_softmax_less_the_labels():
    x = Tensor(normal(3, 4), requires_grad=True)
    ops.cross_entropy(x, [0, 3, 1]).backward()
    agree(x.grad.numpy(), (shares(x.numpy()) - np.eye(4)[[0, 3, 1]]) / 3)


def test_a_cross_entropy_inside_a_larger_loss():
    gradcheck(lambda x: 3 * ops.cross_entropy(x, [0, 2]) ** 2 + ops.cross_entropy(x, [1, 1]), normal(2, 3))


def test_methods():
    x = Tensor(normal(2, 3, 4))
    assert (x.softmax().numpy() == ops.softmax(x, axis=2).numpy()).all()
    assert (x.log_softmax().numpy() == ops.log_softmax(x, axis=2).numpy()).all()
    assert (ops.softmax(x).numpy() == x.softmax().numpy()).all()
    assert (ops.log_softmax(x).numpy() == x.log_softmax().numpy()).all()
    assert (x.log_softmax(0).numpy() == ops.log_softmax(x, axis=0).numpy()).all()


@pytest.mark.parametrize("x, labels, match", [
    (normal(2, 3), [0, 3], r"labels go from 0 to 3, but x \(2, 3\) has classes 0 to 2"),
    (normal(2, 3), [-1, 0], "labels go from -1 to 0"),
    (normal(2, 3), [0, 1, 2], r"x \(2, 3\) and labels \(3,\)"),
    (normal(2, 3), [0.0, 1.0], "labels .*float32"),
    (normal(2, 3), [True, False], "labels .*bool"),
    (normal(2, 3), 1, r"labels \(\)"),
    (normal(2, 3), [[0, 1, 0], [1, 0, 0]], r"labels \(2, 3\)"),
    (normal(3), [0, 1, 2], r"x \(3,\)"),
    (normal(0, 3), np.zeros(0, int), r"x \(0, 3\).*N ≥ 1"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_refused(x, labels, match):
    with pytest.raises(ValueError, match=f"cross_entropy: .*{match}"):
        ops.cross_entropy(x, labels)
