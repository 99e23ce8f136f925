import numpy as np
import pytest
from helpers import agree, check_op, distinct, normal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from minicnn import Tensor, gradcheck, ops


def reduced_by(function):
    """The function of a list of numbers, done to all elements that differ in the reduced axes only."""

    def of_array(x, axis=None, keepdims=False):
        axes = range(x.ndim) if axis is None else [a % x.ndim for a in np.atleast_1d(axis)]
        y = np.empty([1 if a in axes else n for a, n in enumerate(x.shape)])
        for i in np.ndindex(y.shape):
            y[i] = function([float(x[j]) for j in np.ndindex(x.shape)
                             if all(j[a] == i[a] for a in range(x.ndim) if a not in axes)])
        return y if keepdims else y.reshape([n for a, n in enumerate(x.shape) if a not in axes])

    return of_array


def mean_of(numbers):
    return sum(numbers) / len(numbers)


summed, averaged, largest = map(reduced_by, (sum, mean_of, max))
ALL = [(ops.sum, summed), (ops.mean, averaged), (ops.max, largest)]


@st.composite
def shapes_and_axes(draw):
    shape = draw(array_shapes(max_dims=3, max_side=4))
    axis = draw(st.none() | st.integers(-len(shape), len(shape) - 1)
                | st.sets(st.integers(0, len(shape) - 1), max_size=3).map(tuple))
    return shape, axis


@pytest.mark.parametrize("op, reference", ALL)
@given(shape_and_axis=shapes_and_axes(), keepdims=st.booleans())
def test_over_one_axis_several_or_all(op, reference, shape_and_axis, keepdims):
    shape, axis = shape_and_axis
    check_op(op, reference, distinct(*shape), axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("op, reference", ALL)
def test_an_empty_batch(op, reference):
    check_op(op, reference, normal(0, 3), axis=1)
    check_op(op, reference, normal(0, 3, 2), axis=(1, 2), keepdims=True)


def test_the_first_of_three_axes():
    for op, reference in ALL:
        check_op(op, reference, distinct(2, 3, 4), axis=0)


def test_the_sum_of_nothing_is_zero():
    check_op(ops.sum, summed, normal(0, 3), axis=0)


def test_methods():
    x = Tensor(normal(2, 3, 4))
    for name in ("sum", "mean", "max"):
        op = getattr(ops, name)
        assert (getattr(x, name)().numpy() == op(x).numpy()).all()
        assert (getattr(x, name)(1).numpy() == op(x, axis=1).numpy()).all()
        assert getattr(x, name)((0, -1), keepdims=True).shape == (1, 3, 1)


def test_of_equal_maxima_the_first_takes_the_gradient():
    x = Tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [3.0, 0.0, 1.0]], requires_grad=True)
    x.max(1).sum().backward()
    assert x.grad.numpy().tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 0]]
    x.zero_grad()
    x.max().backward()
    assert x.grad.numpy().tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


@given(shapes_and_axes(), st.data())
def test_the_first_of_equal_maxima_over_any_axes(shape_and_axis, data):
    shape, axis = shape_and_axis
    x = Tensor(data.draw(arrays(np.float64, shape, elements=st.sampled_from([-1.0, 0.0, 1.0]))), requires_grad=True)
    y = x.max(axis, keepdims=True)
    gy, expected = normal(*y.shape), np.zeros(shape)
    y.backward(gy)
    for i in np.ndindex(y.shape):
        inside = [j for j in np.ndindex(shape)
                  if all(size == 1 or m == n for size, m, n in zip(y.shape, i, j, strict=True))]
        expected[max(inside, key=lambda j: x.numpy()[j])] += gy[i]
    agree(x.grad.numpy(), expected)


def test_the_first_nan_wins():
    x = Tensor([1.0, np.nan, 5.0, np.nan], requires_grad=True)
    y = x.max()
    y.backward()
    assert np.isnan(y.item())
    assert x.grad.numpy().tolist() == [0, 1, 0, 0]


def test_a_mean_of_the_mean_of_one_tensor():
    gradcheck(lambda x: x.mean(0) * x.sum(0) - x.max(0), distinct(3, 2))


def test_there_is_no_maximum_of_nothing():
    with pytest.raises(ValueError, match=r"max: no maximum over axes \(1,\) of shape \(3, 0\)"):
        Tensor(np.zeros((3, 0))).max(1)


@pytest.mark.parametrize("op", [ops.sum, ops.mean, ops.max])
@pytest.mark.parametrize("axis", [2, -3, (0, 0)])
def test_axes_that_are_not_there_or_twice(op, axis):
    with pytest.raises(ValueError, match="axis"):
        op(Tensor(normal(2, 3)), axis=axis)


LONG = 400_000  # of these a running sum in single precision is wrong in the third digit


@pytest.mark.parametrize("order", [np.asarray, np.asfortranarray, np.flip, lambda x: x.T.copy().T])
def test_a_sum_of_many_numbers_is_exact(order):
    x = order(np.full((2, LONG), 0.1, np.float32))
    agree(Tensor(x).sum(axis=1).numpy() / LONG, [np.float32(0.1)] * 2, tolerance=1e-7)
    agree(Tensor(x).mean(axis=1).numpy(), [np.float32(0.1)] * 2, tolerance=1e-7)
    assert Tensor(x).sum(axis=1).dtype == np.float32


def test_sums_in_gradients_and_shares_are_as_exact():
    x, one = np.full((1, LONG), 0.1, np.float32), Tensor(np.ones((1, 1), np.float32), requires_grad=True)
    (one * x).sum().backward()
    agree(one.grad.numpy() / LONG, [[np.float32(0.1)]], tolerance=1e-7)
    x = np.tile(x, (2, 1))
    agree(ops.softmax(x).numpy() * LONG, np.ones(x.shape), tolerance=1e-6)
    agree(ops.log_softmax(x).numpy()[:, 0], [-np.log(LONG)] * 2, tolerance=1e-7)


def test_one_number_over_no_axes():
    for op in (ops.sum, ops.mean, ops.max):
        x = Tensor(3.0, requires_grad=True)
        op(x).backward()
        assert (op(x).item(), x.grad.item()) == (3, 1)
