from unittest.mock import patch

import numpy as np
import pytest
from helpers import check_op, check_value, normal
from hypothesis import example, given
from hypothesis import strategies as st

from minicnn import Tensor, gradcheck, ops
from minicnn.kernels import columns as by_columns
from minicnn.kernels import convolution as convolution_kernels


def around(padding):
    """((above, below), (left, right)) from one number, one for height and one for width, or that itself"""
    return np.broadcast_to(np.reshape(padding, (-1, 1)) if np.ndim(padding) < 2 else padding, (2, 2)).tolist()


def convolution(x, w, b=None, stride=1, padding=0, groups=1, algorithm=None):
    """y[n, k, p, q] = b[k] + Σ w[k, c, r, s] · x[n, c, p·down + r − above, q·right + s − left]"""
    (above, below), (left, right_side) = around(padding)
    down, right = np.broadcast_to(stride, 2)
    (N, C, H, W), (K, D, R, S) = x.shape, w.shape
    image = np.zeros((N, C, above + H + below, left + W + right_side))
    image[:, :, above : above + H, left : left + W] = x
    y = np.zeros((N, K, (image.shape[2] - R) // down + 1, (image.shape[3] - S) // right + 1))
    for n, k, p, q in np.ndindex(y.shape):
        c = k // (K // groups) * D  # the first of the channels that kernel k sees
        seen = image[n, c : c + D, p * down : p * down + R, q * right : q * right + S]
        y[n, k, p, q] = (w[k] * seen).sum() + (0 if b is None else b[k])
    return y


@st.composite
def geometries(draw, strides=(1, 2, 3), kernel=3, more=3):
    """Shapes of x and w, whether there is a bias, and settings, where the kernel fits into the image: its largest side,
    and by how many pixels an image is larger."""
    N, groups = draw(st.sampled_from([0, 1, 2, 9])), draw(st.integers(1, 3))  # 9: pieces that are copied one by one
    C, K = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    R, S = draw(st.integers(1, kernel)), draw(st.integers(1, kernel))
    two = st.tuples(st.integers(0, 2), st.integers(0, 3))
    padding = draw(st.integers(0, 2) | two | st.tuples(two, two))
    H, W = (max(1, size - sum(both), max(both) - size) + draw(st.integers(0, more)) for size, both in
            zip((R, S), around(padding), strict=True))  # fmt: skip
    stride = draw(st.sampled_from(strides) | st.tuples(st.sampled_from(strides), st.sampled_from(strides)))
    settings = {"stride": stride, "padding": padding, "groups": groups}
    return (N, C * groups, H, W), (K * groups, C, R, S), draw(st.booleans()), settings


@given(geometries())
@example(((2, 1, 1, 1), (1, 1, 1, 1), True, {}))  # one pixel
@example(((1, 2, 4, 3), (2, 2, 4, 3), True, {}))  # a kernel as large as the image
@example(((2, 4, 3, 3), (4, 1, 1, 1), True, {"groups": 4, "stride": 2}))  # a kernel of its own for every channel
@example(((9, 1, 3, 3), (1, 1, 1, 1), False, {"stride": 2}))  # many images, and columns that lie apart in them
@example(((1, 17, 3, 3), (2, 17, 2, 2), False, {"padding": (1, 0)}))  # channels go backward several at a time
def test_conv2d(geometry):
    x, w, bias, settings = geometry
    b = normal(w[0], seed=2) if bias else None
    check_op(ops.conv2d, convolution, normal(*x), normal(*w, seed=1), b, **settings)


@pytest.mark.parametrize("x, w, settings", [
    pytest.param((1, 3, 224, 224), (2, 3, 11, 11), {"stride": 4, "padding": ((0, 3), (0, 3))}, marks=pytest.mark.large),
    pytest.param((2, 48, 27, 27), (2, 48, 5, 5), {"padding": 2}, marks=pytest.mark.large),
    ((2, 256, 13, 13), (2, 256, 3, 3), {"padding": 1}),
    pytest.param((2, 192, 13, 13), (3, 192, 3, 3), {"padding": 1}, marks=pytest.mark.large),
    ((2, 16, 13, 13), (4, 8, 3, 3), {"padding": 1, "groups": 2}),
], ids=["conv1", "conv2", "conv3", "conv4", "conv5"])  # fmt: skip
def test_the_convolutions_of_alexnet(x, w, settings):
    check_op(ops.conv2d, convolution, normal(*x), normal(*w, seed=1), normal(w[0], seed=2), **settings)


@pytest.mark.parametrize("bytes", [8, 500, 3000])
def test_the_size_of_a_block_of_columns_does_not_matter(bytes, monkeypatch):
    monkeypatch.setattr(by_columns, "room", lambda like: (bytes, bytes))
    inputs = normal(2, 6, 5, 4), normal(4, 3, 3, 2, seed=1), normal(4, seed=2)
    check_op(ops.conv2d, convolution, *inputs, stride=1, padding=(1, 2), groups=2)
    check_op(ops.conv2d, convolution, *inputs, stride=2, padding=1, groups=2)


@given(geometries(), st.integers(1, 3000), st.integers(1, 8))
@example(((2, 2, 9, 7), (2, 1, 5, 4), True, {"stride": (2, 3), "padding": 2, "groups": 2}), 500, 3)
def test_columns_that_serve_on_for_the_next_row(geometry, bytes, blocks):
    x, w, bias, settings = geometry
    b = normal(w[0], seed=2) if bias else None
    with (patch.object(by_columns, "LEAST_ROW", 1), patch.object(by_columns, "RING", bytes),
          patch.object(by_columns, "LEAST_BLOCKS", blocks)):  # fmt: skip
        check_op(ops.conv2d, convolution, normal(*x), normal(*w, seed=1), b, **settings, algorithm="columns")


@pytest.mark.processor
@pytest.mark.parametrize("N, kernel", [(3, "im2col"), (by_columns.LEAST_ROW, "row2col")])
def test_the_numbers_moved_into_columns_are_counted(N, kernel, monkeypatch):
    """By which the faster algorithm is chosen."""
    made, real = [], getattr(by_columns, kernel)
    monkeypatch.setattr(by_columns, kernel, lambda columns, *rest: (made.append(columns.size), real(columns, *rest)))
    monkeypatch.setattr(by_columns, "LEAST_BLOCKS", 1)
    geometry = convolution_kernels.Geometry(2, 3, 4, 2, 1, 1, 0)
    image, w = normal(6, 6, 5, N), normal(3, 3, 2, 4)
    by_columns.forward(image, w, None, geometry)
    multiplications, moved, _ = by_columns.work(image.shape, w.shape, geometry)
    assert moved == sum(made)
    assert multiplications == 4 * 3 * 4 * N * w.size / 4
    assert by_columns.work(image.shape, w.shape, geometry, backwards=True)[1] == 2 * 3 * 4 * N * w.size / 4


def test_one_array_with_one_output_channel():
    """As it reaches a convolution from a sum, the gradient has no strides, and there is but one kernel."""
    check_op(ops.conv2d, convolution, normal(1, 1, 3, 3), normal(1, 1, 3, 3), None)


def test_a_tensor_that_is_image_and_kernel():
    gradcheck(lambda x: ops.conv2d(x, x, padding=1), normal(2, 2, 2, 2))


def test_of_an_empty_batch_the_kernels_get_no_gradient_but_zeros():
    w, b = Tensor(normal(4, 3, 2, 2), requires_grad=True), Tensor(normal(4), requires_grad=True)
    ops.conv2d(np.zeros((0, 3, 5, 5)), w, b).sum().backward()
    assert not w.grad.numpy().any()
    assert not b.grad.numpy().any()


def test_huge_and_tiny_images_in_one_batch_do_not_mix():
    x = normal(3, 2, 4, 4) * np.array([1e-6, 1e6, 1.0]).reshape(3, 1, 1, 1)
    w = normal(2, 2, 3, 3, seed=1)
    for n in range(3):
        check_value(lambda x, w, n=n: ops.conv2d(x, w)[n], lambda x, w, n=n: convolution(x, w)[n], (x, w), {})


@pytest.mark.parametrize("x, w, b, settings, match", [
    ((2, 3, 4), (2, 3, 1, 1), None, {}, r"x \(2, 3, 4\) must have the shape \(N, C, H, W\), w \(2, 3, 1, 1\)"),
    ((2, 3, 4, 4), (2, 3, 3), None, {}, r"x \(2, 3, 4, 4\) must have the shape \(N, C, H, W\), w \(2, 3, 3\)"),
    ((1, 3, 5, 5), (2, 4, 3, 3), None, {}, r"x has 3 channels, w expects 4: x \(1, 3, 5, 5\), w \(2, 4, 3, 3\)"),
    ((1, 4, 5, 5), (3, 2, 3, 3), None, {"groups": 2}, "2 groups do not divide the 4 channels .* 3 kernels"),
    ((1, 4, 5, 5), (2, 4, 3, 3), None, {"groups": 0}, "groups is 0: it must be at least 1"),
    ((1, 3, 5, 5), (2, 3, 3, 3), (3,), {}, r"b \(3,\) does not fit w \(2, 3, 3, 3\)"),
    ((1, 3, 5, 5), (2, 3, 3, 3), None, {"padding": -1}, "padding is -1: it must be at least 0"),
    ((1, 3, 5, 5), (2, 3, 3, 3), None, {"padding": (0, -1)}, "padding is -1: it must be at least 0"),
    ((1, 3, 5, 5), (2, 3, 3, 3), None, {"stride": 0}, "stride is 0: it must be at least 1"),
    ((1, 3, 5, 5), (2, 3, 3, 3), None, {"padding": 9}, "padding is 9: it is more than image and window, 5 and 3"),
    ((1, 3, 5, 5), (2, 3, 3, 3), None, {"padding": (0, 4_000_000)}, r"padding is \(0, 4000000\): it is more than"),
    ((1, 3, 5, 5), (2, 3, 3, 3), None, {"padding": (1, 2, 3)}, r"padding is \(1, 2, 3\): give one number, or two"),
    ((1, 3, 5, 5), (2, 3, 3, 3), None, {"padding": ((1, 2), (3,))}, r"padding is \(3,\): give one number, or two"),
    ((1, 3, 5, 5), (2, 3, 3, 3), None, {"stride": (1, 0)}, "stride is 0: it must be at least 1"),
    ((1, 3, 5, 5), (2, 3, 3, 3), None, {"stride": 2**80}, "stride is 1208925819614629174706176: it must be at most"),
    ((1, 3, 5, 5), (2, 3, 0, 3), None, {}, "size is 0: it must be at least 1"),
    ((1, 3, 5, 5), (2, 3, 8, 3), None, {"padding": 1}, "a window of 8 does not fit into 5 pixels with 2 of padding"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(x, w, b, settings, match):
    with pytest.raises(ValueError, match=f"conv2d: {match}"):
        ops.conv2d(normal(*x), normal(*w), None if b is None else normal(*b), **settings)


@pytest.mark.parametrize("settings", [
    {"stride": 1.0}, {"stride": True}, {"stride": "2"}, {"stride": (1, 1.5)}, {"stride": None}, {"padding": 0.5},
    {"padding": ((0, 1), (1.0, 1))}, {"padding": "same"}, {"groups": 1.0}, {"groups": np.bool_(True)},
    {"padding": np.array([0.0, 1.0])},
], ids=str)  # fmt: skip
def test_settings_that_are_no_whole_numbers_are_refused(settings):
    with pytest.raises(TypeError, match=f"conv2d: {next(iter(settings))} is .*: give a whole number"):
        ops.conv2d(normal(1, 1, 3, 3), normal(1, 1, 3, 3), **settings)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.uint64, np.array])
def test_numbers_of_numpy_are_settings_too(kind):
    """Small ones must not overflow where they are multiplied by a place."""
    x, w = normal(1, 2, 300, 4), normal(1, 1, 2, 2)
    given = {"stride": kind(2), "padding": (kind(1), kind(0)), "groups": kind(1)}
    np.testing.assert_array_equal(ops.conv2d(x[:, :1], w, **given).numpy(),
                                  ops.conv2d(x[:, :1], w, stride=2, padding=(1, 0)).numpy())
    given = {"size": kind(2), "stride": (kind(2), kind(1)), "padding": kind(1)}
    np.testing.assert_array_equal(ops.max_pool2d(x, **given).numpy(),
                                  ops.max_pool2d(x, size=2, stride=(2, 1), padding=1).numpy())


def test_two_types_are_refused():
    with pytest.raises(ValueError, match="conv2d: x is float32, w float64"):
        ops.conv2d(normal(1, 1, 3, 3).astype(np.float32), normal(1, 1, 3, 3))
