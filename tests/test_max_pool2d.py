import numpy as np
import pytest
from helpers import agree, check_op, distinct, normal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_conv2d import around

from minicnn import Tensor, gradcheck, ops


def windows(x, size, stride, padding):
    """(place (p, q), the rows and the columns of the image that its window holds), for every window"""
    (R, S), (down, right), border = np.broadcast_to(size, 2), np.broadcast_to(stride, 2), around(padding)
    H, W = x.shape[2:]
    P, Q = ((pixels + sum(both) - window) // step + 1 for pixels, both, window, step in
            zip((H, W), border, (R, S), (down, right), strict=True))  # fmt: skip
    for p, q in np.ndindex(P, Q):
        rows = range(max(0, p * down - border[0][0]), min(H, p * down - border[0][0] + R))
        columns = range(max(0, q * right - border[1][0]), min(W, q * right - border[1][0] + S))
        yield (p, q), rows, columns


def maxima(x, size, stride, padding=0):
    """y[n, c, p, q] = max x[n, c, p·down + r − above, q·right + s − left] over what lies inside the image"""
    N, C = x.shape[:2]
    *_, ((p, q), _, _) = windows(x, size, stride, padding)
    y = np.empty((N, C, p + 1, q + 1))
    for (p, q), rows, columns in windows(x, size, stride, padding):
        for n, c in np.ndindex(N, C):
            y[n, c, p, q] = max(x[n, c, h, w] for h in rows for w in columns)
    return y


def sent_to_the_first(gy, x, size, stride, padding=0):
    """∂L/∂x, where each window's maximum that comes first, row by row, takes its ∂L/∂y."""
    g = np.zeros(x.shape)
    for (p, q), rows, columns in windows(x, size, stride, padding):
        for n, c in np.ndindex(x.shape[:2]):
            first = max(((n, c, h, w) for h in rows for w in columns), key=lambda place: x[place])
            g[first] += gy[n, c, p, q]
    return g


@st.composite
def geometries(draw):
    one = st.integers(1, 4)
    size, stride = draw(one | st.tuples(one, one)), draw(st.integers(1, 5) | st.tuples(one, one))
    R, S = np.broadcast_to(size, 2).tolist()
    rows, columns = st.integers(0, R - 1), st.integers(0, S - 1)
    padding = draw(st.integers(0, min(R, S) - 1) | st.tuples(rows, columns) |
                   st.tuples(st.tuples(rows, rows), st.tuples(columns, columns)))  # fmt: skip
    H, W = (max(1, window - sum(both)) + draw(st.integers(0, 4)) for window, both in
            zip((R, S), around(padding), strict=True))  # fmt: skip
    settings = {"size": size, "stride": stride, "padding": padding}
    return (draw(st.sampled_from([0, 1, 2, 9])), draw(st.integers(1, 2)), H, W), settings


@given(geometries())
def test_max_pool2d(geometry):
    shape, settings = geometry
    check_op(ops.max_pool2d, maxima, distinct(*shape), **settings)
    check_op(ops.max_pool2d, maxima, distinct(*shape) - 5, **settings)  # all negative: no 0 from outside may win


@pytest.mark.parametrize("pixels, places", [(55, 27), (27, 13), (13, 6)])
def test_the_poolings_of_alexnet(pixels, places):
    assert ops.max_pool2d(distinct(2, 3, pixels, pixels), size=3, stride=2).shape == (2, 3, places, places)
    check_op(ops.max_pool2d, maxima, distinct(2, 2, pixels, pixels), size=3, stride=2)


@pytest.mark.parametrize("padding", [((0, 1), (0, 1)), ((1, 0), (1, 0)), ((0, 0), (2, 0)), (0, 1)])
def test_padding_on_one_side(padding):
    check_op(ops.max_pool2d, maxima, distinct(2, 2, 5, 4), size=3, stride=2, padding=padding)


def test_a_window_of_more_than_256_places():
    rising = np.linspace(-1, 1, 21 * 21).reshape(1, 1, 21, 21)  # so that the last place wins
    check_op(ops.max_pool2d, maxima, rising, size=18, stride=2)
    check_op(ops.max_pool2d, maxima, rising, size=(19, 14), stride=2)


@pytest.mark.parametrize("size", [(16, 16), (17, 15), (17, 16), (15, 20), (2, 129), (257, 1), (1, 257)])
def test_the_last_place_of_a_window_wins_whatever_number_it_has(size):
    """It fits in a byte up to 255."""
    x = Tensor(np.arange(np.prod(size), dtype=float).reshape(1, 1, *size), requires_grad=True)
    ops.max_pool2d(x, size=size, stride=1).sum().backward()
    assert x.grad.numpy().ravel().tolist() == [0] * (x.size - 1) + [1]


few_and_many = pytest.mark.parametrize("images", [1, 9])  # are compared one by one, and a vector at a time


@few_and_many
def test_of_equal_maxima_the_first_row_by_row_takes_the_gradient(images):
    x = Tensor([[[[0.0, 2.0, 2.0], [2.0, 2.0, 1.0]]]] * images, requires_grad=True)
    ops.max_pool2d(x, size=2, stride=1).sum().backward()
    assert x.grad.numpy().tolist() == [[[[0, 2, 0], [0, 0, 0]]]] * images
    flat = Tensor(np.full((2, 3, 4, 4), -1.0), requires_grad=True)
    ops.max_pool2d(flat, size=3, stride=2, padding=1).sum().backward()
    assert flat.grad.numpy()[0, 0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@given(geometries(), st.data())
def test_the_first_of_equal_maxima_in_any_geometry(geometry, data):
    shape, settings = geometry
    x = Tensor(data.draw(arrays(np.float64, shape, elements=st.sampled_from([-1.0, 0.0, 1.0]))), requires_grad=True)
    y = ops.max_pool2d(x, **settings)
    gy = normal(*y.shape)
    y.backward(gy)
    agree(y.numpy(), maxima(x.numpy(), **settings), tolerance=0)
    agree(x.grad.numpy(), sent_to_the_first(gy, x.numpy(), **settings))


@few_and_many
def test_nan_wins_a_window_and_the_first_takes_the_gradient(images):
    x = Tensor([[[[5.0, np.nan, 1.0, 2.0], [np.nan, 9.0, 4.0, 3.0]]]] * images, requires_grad=True)
    y = ops.max_pool2d(x, size=2, stride=2)
    y.sum().backward()
    agree(y.numpy(), [[[[np.nan, 4]]]] * images)
    assert x.grad.numpy().tolist() == [[[[0, 1, 0, 0], [0, 0, 1, 0]]]] * images


@few_and_many
@pytest.mark.parametrize("padding, sent", [(0, [[1, 0], [0, 0]]), (1, [[4, 2], [2, 1]])])
def test_minus_infinity_is_a_maximum_too_and_lies_in_the_image(padding, sent, images):
    x = Tensor(np.full((images, 1, 2, 2), -np.inf), requires_grad=True)
    y = ops.max_pool2d(x, size=2, stride=1, padding=padding)
    y.backward(np.ones(y.shape))
    assert (y.numpy() == -np.inf).all()
    assert x.grad.numpy().tolist() == [[sent]] * images


def test_one_tensor_pooled_twice():
    gradcheck(lambda x: ops.max_pool2d(x, size=2, stride=1) * ops.max_pool2d(x, size=2, stride=2, padding=1),
              distinct(1, 2, 3, 3)[:, :, :2, :2])  # fmt: skip


@pytest.mark.parametrize("shape, settings, match", [
    ((3, 4, 4), {}, r"x \(3, 4, 4\) must have the shape \(N, C, H, W\)"),
    ((1, 1, 0, 4), {"padding": 2}, r"x \(1, 1, 0, 4\) .* H and W at least 1"),
    ((1, 1, 4, 4), {"size": 5}, "a window of 5 does not fit into 4 pixels with 0 of padding"),
    ((1, 1, 4, 4), {"size": 2, "padding": 2}, "padding 2 must be smaller than the window, 2 × 2"),
    ((1, 1, 4, 4), {"size": 2, "padding": (0, 2)}, r"padding \(0, 2\) must be smaller than the window, 2 × 2"),
    ((1, 1, 4, 4), {"size": 2, "padding": (2, 0)}, r"padding \(2, 0\) must be smaller than the window, 2 × 2"),
    ((1, 1, 4, 4), {"padding": -1}, "padding is -1: it must be at least 0"),
    ((1, 1, 4, 4), {"stride": 0}, "stride is 0: it must be at least 1"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(shape, settings, match):
    with pytest.raises(ValueError, match=f"max_pool2d: {match}"):
        ops.max_pool2d(distinct(*shape), **settings)
