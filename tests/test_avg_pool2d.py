import numpy as np
import pytest
from helpers import check_op, normal
from hypothesis import given
from hypothesis import strategies as st
from test_max_pool2d import geometries, windows

from minicnn import ops


def means(x, size, stride, padding=0, count_include_pad=True):
    """y[n, c, p, q] = Σ x[n, c, h, w] over what of a window lies in the image, by the places of the window, or by those
    that lie in the image"""
    places = list(windows(x, size, stride, padding))
    y = np.empty((*x.shape[:2], *(1 + last for last in places[-1][0])))
    for (p, q), rows, columns in places:
        inside = [x[:, :, h, w] for h in rows for w in columns]
        y[:, :, p, q] = sum(inside) / (np.prod(np.broadcast_to(size, 2)) if count_include_pad else len(inside))
    return y


@given(geometries(), st.booleans())
def test_avg_pool2d(geometry, include):
    shape, settings = geometry
    check_op(ops.avg_pool2d, means, normal(*shape), **settings, count_include_pad=include)


@pytest.mark.parametrize("pixels, places", [(32, 16), (16, 8), (8, 4)])
def test_the_poolings_of_cuda_convnet(pixels, places):
    settings = {"size": 3, "stride": 2, "padding": ((0, 1), (0, 1)), "count_include_pad": False}
    assert ops.avg_pool2d(normal(2, 3, pixels, pixels), **settings).shape == (2, 3, places, places)
    check_op(ops.avg_pool2d, means, normal(2, 2, pixels, pixels), **settings)


def test_a_mean_of_ones_is_one_where_the_padding_does_not_count():
    x = np.ones((1, 1, 5, 5), np.float32)
    settings = {"size": 3, "stride": 2, "padding": 1}
    np.testing.assert_array_equal(ops.avg_pool2d(x, **settings, count_include_pad=False).numpy(), np.ones((1, 1, 3, 3)))
    assert ops.avg_pool2d(x, **settings).numpy()[0, 0, 0, 0] == np.float32(4 / 9)


def test_a_step_wider_than_its_window_leaves_pixels_out():
    x = normal(2, 1, 7, 7)
    check_op(ops.avg_pool2d, means, x, size=1, stride=3)
    check_op(ops.avg_pool2d, means, x, size=2, stride=5)


@pytest.mark.parametrize("shape, settings, said", [
    ((2, 3, 4), {}, r"avg_pool2d: x \(2, 3, 4\) must have the shape \(N, C, H, W\), with H and W at least 1"),
    ((1, 1, 0, 4), {}, r"x \(1, 1, 0, 4\) must have the shape"),
    ((1, 1, 2, 2), {}, "a window of 3 does not fit into 2 pixels with 0 of padding"),
    ((1, 1, 5, 5), {"padding": 3}, "padding 3 must be smaller than the window, 3 × 3"),
    ((1, 1, 5, 5), {"padding": ((0, 0), (3, 0))}, r"padding \(\(0, 0\), \(3, 0\)\) must be smaller"),
])  # fmt: skip
def test_what_is_no_pooling_is_said(shape, settings, said):
    with pytest.raises(ValueError, match=said):
        ops.avg_pool2d(normal(*shape), **settings)


def test_whether_padding_counts_is_true_or_false():
    with pytest.raises(TypeError, match="avg_pool2d: count_include_pad is 1: give True or False"):
        ops.avg_pool2d(normal(1, 1, 5, 5), count_include_pad=1)
