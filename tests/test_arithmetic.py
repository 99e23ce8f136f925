import math
import operator

import numpy as np
import pytest
from helpers import agree, check_op, normal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from minicnn import Tensor, gradcheck, ops

UNARY = {
    "negative": lambda x: -x,
    "exp": math.exp,
    "log": math.log,
    "tanh": lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}
BINARY = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "power": math.pow,
}  # fmt: skip


def each(function):
    """The function of numbers, done to one place after the other."""

    def of_arrays(*arrays):
        arrays = np.broadcast_arrays(*arrays)
        y = np.empty(arrays[0].shape)
        for i in np.ndindex(y.shape):
            y[i] = function(*(float(a[i]) for a in arrays))
        return y

    return of_arrays


def positive(shape, seed=0):
    return np.abs(normal(*shape, seed=seed)) + 0.5


@pytest.mark.parametrize("name", UNARY)
@given(shape=array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
def test_functions_of_one_number(name, shape):
    x = positive(shape) if name == "log" else normal(*shape)
    check_op(getattr(ops, name), each(UNARY[name]), x)


@pytest.mark.parametrize("name", BINARY)
@given(shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3))
def test_broadcasting_on_either_side(name, shapes):
    a, b = (positive(shape, seed) for seed, shape in enumerate(shapes.input_shapes))
    check_op(getattr(ops, name), each(BINARY[name]), a, b)


@pytest.mark.parametrize("name", BINARY)
def test_one_tensor_on_both_sides_gets_both_gradients(name):
    gradcheck(lambda x: getattr(ops, name)(x, x), positive((2, 3)))


OTHERS = [3, 2.5, np.float64(2.5), np.float32(2.5), np.int64(3), np.array(2.5), np.array([1, 2, 3]), [1.0, 2.0, 3.0]]


@pytest.mark.parametrize("other", OTHERS, ids=repr)
@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow])
def test_numbers_and_arrays_on_either_side_leave_single_precision_single(operation, other):
    x = positive((2, 3)).astype(np.float32)
    for both in (lambda x: operation(x, other), lambda x: operation(other, x)):
        tensor = Tensor(x, requires_grad=True)
        y = both(tensor)
        y.sum().backward()
        agree(y.numpy(), both(x.astype(np.float64)), tolerance=1e-6)
        assert y.dtype == tensor.grad.dtype == np.float32
        gradcheck(both, x)


@pytest.mark.parametrize("make", [
    lambda: Tensor([1, 2]) * 0.5, lambda: Tensor([1, 2]) / 2, lambda: Tensor([1, 2]).mean(), lambda: ops.exp(1.0),
    lambda: ops.add(1.0, np.float64(2)), lambda: ops.power(np.array([1, 2]), 0.5),
])  # fmt: skip
def test_double_precision_comes_from_double_precision_alone(make):
    assert make().dtype == np.float32


def test_whole_numbers_stay_whole():
    assert (Tensor([1, 2]) + 1).numpy().tolist() == [2, 3]
    assert (Tensor([1, 2]) + 1).dtype.kind == "i"


def test_double_beside_single_is_double_and_each_gradient_keeps_its_type():
    a, b = Tensor(normal(3), requires_grad=True), Tensor(normal(3).astype(np.float32), requires_grad=True)
    y = a * b
    y.sum().backward()
    assert (y.dtype, a.grad.dtype, b.grad.dtype) == (np.float64, np.float64, np.float32)


@pytest.mark.parametrize("name, slope", [
    ("exp", np.exp), ("log", lambda x: 1 / x), ("tanh", lambda x: 1 / np.cosh(x) ** 2),
    ("sigmoid", lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
])  # fmt: skip
def test_gradients_of_double_are_computed_in_double(name, slope):
    x = Tensor(positive((5,)), requires_grad=True)
    getattr(ops, name)(x).sum().backward()
    agree(x.grad.numpy(), slope(x.numpy()))


def test_power_at_zero():
    a, b = Tensor([0.0, 0.0, 0.0, 2.0], requires_grad=True), Tensor([0.0, 1.0, 2.0, 0.0], requires_grad=True)
    y = a**b
    y.sum().backward()
    agree(y.numpy(), [1, 0, 0, 1])
    agree(a.grad.numpy(), [0, 1, 0, 0])
    agree(b.grad.numpy(), [0, 0, 0, math.log(2)], tolerance=1e-6)


def test_powers_of_negative_numbers():
    gradcheck(lambda x: x**2, normal(5))
    gradcheck(lambda x: x**-3.0, -positive((5,)))


@given(st.sampled_from([-1e4, -800.0, 0.0, 800.0, 1e4]))
def test_sigmoid_does_not_overflow(x):
    tensor = Tensor([x], requires_grad=True)
    y = tensor.sigmoid()
    y.sum().backward()
    assert y.item() == 0.5 + np.sign(x) / 2
    assert tensor.grad.item() == (0.25 if x == 0 else 0)


def test_operators_and_methods_are_these_ops():
    x, y = Tensor(positive((2,))), Tensor(positive((2,), seed=1))
    pairs = [(x + y, ops.add), (x - y, ops.subtract), (x * y, ops.multiply), (x / y, ops.divide), (x**y, ops.power)]
    assert all((got.numpy() == op(x, y).numpy()).all() for got, op in pairs)
    assert ((-x).numpy() == ops.negative(x).numpy()).all()
    assert all((getattr(x, n)().numpy() == getattr(ops, n)(x).numpy()).all() for n in ("exp", "log", "tanh", "sigmoid"))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        Tensor([1.0, 2.0]) + Tensor([1.0, 2.0, 3.0])
