import numpy as np
import pytest
from helpers import check_op, normal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from minicnn import Tensor, gradcheck, ops

SIDE = st.integers(0, 3)


def layer(x, w, b=None):
    """y[n, o] = b[o] + Σ w[o, i] x[n, i]"""
    y = np.zeros((len(x), len(w)))
    for n, o in np.ndindex(y.shape):
        y[n, o] = (0 if b is None else b[o]) + sum(w[o, i] * x[n, i] for i in range(x.shape[1]))
    return y


def product(a, b):
    """y[..., i, j] = Σ a[..., i, k] b[..., k, j]; the axis that a vector lacks is dropped again."""
    A, B = a.reshape((1, -1)) if a.ndim == 1 else a, b.reshape((-1, 1)) if b.ndim == 1 else b
    stack = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    A, B = np.broadcast_to(A, stack + A.shape[-2:]), np.broadcast_to(B, stack + B.shape[-2:])
    y = np.zeros((*stack, A.shape[-2], B.shape[-1]))
    for *s, i, j in np.ndindex(y.shape):
        y[(*s, i, j)] = sum(A[(*s, i, k)] * B[(*s, k, j)] for k in range(A.shape[-1]))
    return y.reshape(stack + a.shape[-2:-1] + (b.shape[-1:] if b.ndim > 1 else ()))


@given(N=SIDE, inputs=SIDE, outputs=SIDE, bias=st.booleans())
def test_linear(N, inputs, outputs, bias):
    check_op(ops.linear, layer, normal(N, inputs), normal(outputs, inputs, seed=1), normal(outputs) if bias else None)


def test_linear_where_sums_are_long():
    check_op(ops.linear, layer, normal(7, 90), normal(11, 90, seed=1), normal(11, seed=2))


@given(stacks=mutually_broadcastable_shapes(num_shapes=2, max_dims=2, min_side=0, max_side=3),
       rows=SIDE, inner=SIDE, columns=SIDE)
def test_matmul_of_stacks(stacks, rows, inner, columns):
    a, b = stacks.input_shapes
    check_op(ops.matmul, product, normal(*a, rows, inner), normal(*b, inner, columns, seed=1))


@pytest.mark.parametrize("a, b", [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (4, 3, 2)), ((4, 2, 3), (3,)),
                                  ((1,), (1,)), ((1,), (1, 1))])  # fmt: skip
def test_matmul_of_vectors(a, b):
    check_op(ops.matmul, product, normal(*a), normal(*b, seed=1))


def test_values_may_be_given_by_name():
    x, w, b = (Tensor(normal(*shape), requires_grad=True) for shape in ((2, 3), (4, 3), (4,)))
    ops.linear(w=w, b=b, x=x).sum().backward()
    assert [t.grad.shape for t in (x, w, b)] == [(2, 3), (4, 3), (4,)]


def test_a_tensor_times_itself():
    gradcheck(lambda x: x @ x, normal(3, 3))
    gradcheck(lambda x: x @ x, normal(3))
    gradcheck(lambda x: ops.linear(x, x), normal(3, 3))


def test_matmul_with_arrays_on_either_side():
    x, array = Tensor(normal(2, 3)), normal(3, 2, seed=1)
    assert (x @ array).shape == (2, 2)
    assert (array @ x).shape == (3, 3)


@pytest.mark.parametrize("shapes, match", [
    ([(2, 3), (4, 5)], r"linear: x \(2, 3\) and w \(4, 5\)"),
    ([(2, 3, 1, 1), (4, 3)], r"linear: x \(2, 3, 1, 1\) and w \(4, 3\).*flatten"),
    ([(2, 3), (4, 3), (3,)], r"linear: b \(3,\) does not fit w \(4, 3\)"),
])  # fmt: skip
def test_linear_refuses_shapes_that_do_not_fit(shapes, match):
    with pytest.raises(ValueError, match=match):
        ops.linear(*(normal(*s) for s in shapes))


@pytest.mark.parametrize("a, b, match", [
    (normal(2, 3), normal(2, 3), r"matmul: a \(2, 3\) and b \(2, 3\).* 3 columns, 2 rows"),
    (normal(2), normal(3), r"matmul: a \(2,\) and b \(3,\)"),
    (normal(2), 2.0, r"matmul: a \(2,\) and b \(\)"),
])  # fmt: skip
def test_matmul_refuses_shapes_that_do_not_fit(a, b, match):
    with pytest.raises(ValueError, match=match):
        ops.matmul(Tensor(a), b)
