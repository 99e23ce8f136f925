import math

import numpy as np
import pytest
from helpers import check_op, normal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, integer_array_indices

from minicnn import Tensor, gradcheck, ops

SHAPES = array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3)


def one_by_one(x, shape):
    """Filled in the order in which one reads: the last axis runs fastest."""
    y = np.empty(shape)
    for i, j in zip(np.ndindex(x.shape), np.ndindex(shape), strict=True):
        y[j] = x[i]
    return y


def axes_in_order(x, axes=None):
    axes = range(x.ndim)[::-1] if axes is None else [a % x.ndim for a in axes]
    y = np.empty([x.shape[a] for a in axes])
    for i in np.ndindex(x.shape):
        y[tuple(i[a] for a in axes)] = x[i]
    return y


def rows(x):
    return one_by_one(x, (len(x), math.prod(x.shape[1:])))


def taken(x, index):
    return x[index]


def one_after_the_other(*xs, axis):
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    y, start = np.empty(shape), 0
    for x in xs:
        for i in np.ndindex(x.shape):
            y[tuple(n + start if a == axis % x.ndim else n for a, n in enumerate(i))] = x[i]
        start += x.shape[axis]
    return y


@given(SHAPES)
def test_reshape(shape):
    check_op(ops.reshape, one_by_one, normal(*shape), shape=(math.prod(shape),))
    check_op(ops.reshape, one_by_one, normal(*shape), shape=shape[::-1])


@given(SHAPES)
def test_flatten(shape):
    check_op(ops.flatten, rows, normal(*shape))


def test_flatten_is_a_view():
    x = Tensor(normal(3, 2, 4, 5), requires_grad=True)
    assert np.may_share_memory(x.flatten().data, x.data)


@given(st.data())
def test_transpose(data):
    shape = data.draw(SHAPES)
    axes = data.draw(st.none() | st.permutations(range(-len(shape), 0)) | st.permutations(range(len(shape))))
    check_op(ops.transpose, axes_in_order, normal(*shape), axes=axes)


@given(st.data())
def test_getitem_with_slices_numbers_new_axes_and_ellipsis(data):
    shape = data.draw(SHAPES)
    index = data.draw(basic_indices(shape, allow_newaxis=True))
    check_op(ops.getitem, taken, normal(*shape), index=index)


@given(st.data())
def test_getitem_with_arrays_that_take_elements_several_times(data):
    shape = data.draw(array_shapes(max_dims=3, max_side=3))
    index = data.draw(integer_array_indices(shape, result_shape=array_shapes(max_dims=2, max_side=5)))
    check_op(ops.getitem, taken, normal(*shape), index=index)


@pytest.mark.parametrize("index", [
    [2, 0, 2], [], (slice(None), [1, 1]), ([0, 2], ..., None, [3, 1]), [True, False, True], np.int64(1), -1,
    slice(None, None, -2), np.arange(12).reshape(3, 4) % 5 == 0, (np.zeros(3, bool), 1), (None, [0, 0, 0], 2),
], ids=repr)  # fmt: skip
def test_getitem_with_lists_and_masks(index):
    check_op(ops.getitem, taken, normal(3, 4), index=index)


def test_getitem_with_a_tensor():
    x = Tensor(normal(3, 4))
    assert (x[Tensor([2, 0])].numpy() == x.numpy()[[2, 0]]).all()
    assert (x[Tensor(x.numpy()[:, 0] > 0), 1:].numpy() == x.numpy()[x.numpy()[:, 0] > 0, 1:]).all()


def test_getitem_with_an_empty_mask():
    check_op(ops.getitem, taken, normal(0, 3), index=np.zeros((0, 3), bool))


def test_an_index_changed_after_the_op_does_not_change_the_gradient():
    x, index = Tensor(normal(4), requires_grad=True), np.array([0, 1])
    y = x[index]
    index[:] = 3
    y.sum().backward()
    assert x.grad.numpy().tolist() == [1, 1, 0, 0]


@given(st.data())
def test_concatenate(data):
    shape = data.draw(array_shapes(max_dims=3, max_side=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    shapes = [[size if a == axis % len(shape) else n for a, n in enumerate(shape)] for size in sizes]
    check_op(ops.concatenate, one_after_the_other, *(normal(*s, seed=i) for i, s in enumerate(shapes)), axis=axis)


def test_a_list_of_arrays_is_joined_as_they_are_one_by_one():
    x = Tensor(normal(2, 3), requires_grad=True)
    for both in ([x, x.numpy()], (x, x.numpy())):
        y = ops.concatenate(both, axis=np.int64(-1))
        assert (y.numpy() == np.concatenate([x.numpy()] * 2, 1)).all()
        y.sum().backward()
    assert (x.grad.numpy() == 2).all()


def test_one_tensor_joined_to_itself_gets_both_gradients():
    gradcheck(lambda x: ops.concatenate(x, x, axis=1), normal(2, 3))


def test_methods():
    x = Tensor(normal(2, 3, 4))
    assert x.reshape(6, 4).shape == x.reshape((6, 4)).shape == x.reshape([6, -1]).shape == (6, 4)
    assert x.reshape(np.int64(24)).shape == x.reshape(-1).shape == (24,)
    assert x.transpose().shape == x.T.shape == (4, 3, 2)
    assert x.transpose(1, 2, 0).shape == x.transpose((1, 2, 0)).shape == (3, 4, 2)
    assert x[:1].reshape(12).sum().reshape(()).shape == ()
    assert [row.shape for row in x] == [(3, 4)] * 2


@pytest.mark.parametrize("wrong, match", [
    (lambda x: x.reshape(5), r"size 6 into shape \(5,\)"),
    (lambda x: x.transpose(0, 2), "axis 2 is out of bounds"),
    (lambda x: x.transpose(0, 0), "repeated axis"),
    (lambda x: ops.concatenate(x, x[:, :2], axis=0), "size 3 .* size 2"),
])  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        wrong(Tensor(normal(2, 3)))


@pytest.mark.parametrize("index", [2, (0, 3), [5], 0.5])
def test_an_index_out_of_bounds_is_refused(index):
    with pytest.raises(IndexError):
        Tensor(normal(2, 3))[index]
