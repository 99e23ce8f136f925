import numpy as np
import pytest
from helpers import agree, check_op, distinct
from hypothesis import given
from hypothesis.extra.numpy import array_shapes

from minicnn import Tensor, gradcheck, ops


def rectified(x):
    y = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        y[i] = x[i] if x[i] > 0 else 0
    return y


def away_from_zero(*shape):
    x = distinct(*shape)
    return np.where(x < 0, x - 0.1, x + 0.1)


@given(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
def test_relu(shape):
    check_op(ops.relu, rectified, away_from_zero(*shape))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_slope_at_zero_is_zero_and_nan_stays_nan(dtype):
    x = Tensor(np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-30, -1e-30], dtype), requires_grad=True)
    y = x.relu()
    y.sum().backward()
    agree(y.numpy(), np.array([0, 0, np.nan, np.inf, 0, 1e-30, 0], dtype), tolerance=0)
    agree(x.grad.numpy()[[0, 1, 3, 4, 5, 6]], [0, 0, 1, 0, 1, 0])


def test_one_tensor_twice():
    gradcheck(lambda x: x.relu() + (-x).relu() * x.relu() + x.relu() * x, away_from_zero(2, 3))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_whole_numbers_count_as_real_ones(dtype):
    x = np.array([1, 0, 3]).astype(dtype)
    y = ops.relu(x)
    assert y.dtype == np.float32
    assert y.numpy().tolist() == x.astype(float).tolist()
    assert ops.relu([-1, 2]).numpy().tolist() == [0, 2]
