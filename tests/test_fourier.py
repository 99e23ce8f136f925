"""Convolution by Fourier against the sum it stands for, its spectra against theirs, and when it is chosen."""

import itertools
from unittest import mock

import numpy as np
import pytest
from helpers import agree, check_op, normal
from hypothesis import example, given
from hypothesis import strategies as st
from test_conv2d import convolution, geometries

from minicnn import Tensor, ops
from minicnn.kernels import columns, fourier, spectrum
from minicnn.kernels import convolution as both
from minicnn.kernels.convolution import Geometry


def by_fourier(x, w, b=None, **settings):
    return ops.conv2d(x, w, b, algorithm="fourier", **settings)


@given(geometries(strides=(1,), kernel=4, more=5), st.integers(1, 9), st.integers(1, 3))
@example(((1, 1, 1, 1), (1, 1, 1, 1), True, {}), 1, 1)  # a tile of one pixel: no angle but 0
@example(((1, 1, 2, 2), (1, 1, 2, 2), True, {"padding": 2}), 1, 1)  # tiles that see nothing but padding
@example(((2, 2, 4, 3), (2, 2, 4, 3), True, {}), 9, 1)  # a kernel as large as the image
@example(((3, 2, 9, 4), (2, 1, 2, 3), False, {"padding": ((0, 3), (2, 1)), "groups": 2}), 3, 2)
def test_conv2d_by_fourier(geometry, tile, at_once):
    """In tiles of any size, all at once or one after the other, of few images at a time."""
    x, w, bias, settings = geometry
    b = normal(w[0], seed=2) if bias else None
    with (mock.patch.object(both, "_best_tile", lambda *shapes: (0, tile)),
          mock.patch.multiple(fourier, AT_ONCE=at_once, ROOM=1000 if at_once > 1 else 1 << 28)):  # fmt: skip
        check_op(by_fourier, convolution, normal(*x), normal(*w, seed=1), b, **settings)


ALEXNET = {"conv2": (48, 128, 27, 5, 2), "conv3": (256, 192, 13, 3, 1), "conv4": (192, 192, 13, 3, 1),
           "conv5": (192, 128, 13, 3, 1)}  # channels, kernels of a tower, pixels along a side, of a kernel, padding


def shapes(name, N):
    """(image, w, geometry), as they lie in memory."""
    C, K, H, R, padding = ALEXNET[name]
    return (C, H, H, N), (C, R, R, K), Geometry(1, H, H, 1, 1, padding, padding)


@pytest.mark.parametrize("name", ALEXNET)
def test_it_rounds_no_more_than_twice_what_columns_do(name):
    image, w, geometry = shapes(name, 5)
    x, weights, gy = normal(*image), normal(*w, seed=1), normal(w[-1], *image[1:], seed=2)

    def errors(algorithm):
        """(largest error, root of the mean square) of y, gx and gw in single precision, relative to the right ones."""
        for f, a, b, *more in ((both.forward, x, weights, None), (both.image_gradient, gy, weights, x.shape),
                               (both.weight_gradient, gy, x, weights.shape)):  # fmt: skip
            right = f(a, b, *more, geometry, "columns")
            got = f(a.astype(np.float32), b.astype(np.float32), *more, geometry, algorithm)
            yield abs(got - right).max() / abs(right).max()
            yield np.sqrt(((got - right) ** 2).mean() / (right**2).mean())

    for by, most in zip(errors("fourier"), errors("columns"), strict=True):
        assert 0 < by < 2 * most < 1e-5


@pytest.mark.parametrize("T, U", [(1, 1), (2, 3), (5, 4), (8, 7)])
@pytest.mark.parametrize("kind, points", [("image", lambda a, b: (a + b, a, b)),
                                          ("weights", lambda a, b: (a, a + b, a - b))])
def test_the_numbers_at_an_angle_are_those_of_the_transform(kind, points, T, U):
    """Σ x[t, u] e^(−i(θt + φu)), of a part of a tile that begins at (top, left)."""
    tiles = spectrum.Tiles(T, U, [], [])
    for top, left in itertools.product({0, T - 1}, {0, U // 2}):
        x = normal(2, T - top, U - left, 3)
        part = spectrum.Part(slice(0, T - top), slice(0, U - left), top, left)
        came_down = spectrum.down(x, kind, tiles, [part])
        for f in range(tiles.angles):
            theta = 2 * np.pi * (f if T % 2 else f + 0.5) / T
            got = spectrum.across(came_down, kind, tiles, [part], f, slice(0, 3)).reshape(U, 3, 2, 3)
            for g in range(U):
                t, u = np.arange(top, T)[:, None, None], np.arange(left, U)[:, None]
                z = (x * np.exp(-1j * (theta * t + 2 * np.pi * g / U * u))).sum((1, 2))
                agree(got[g], np.stack(points(z.real, z.imag)), f"angle {f}, {g}", 1e-12)


def test_what_is_not_finite_stays_in_its_image():
    x, w = normal(3, 2, 9, 9), normal(2, 2, 3, 3, seed=1)
    x[1, 0, 4, 4] = np.nan
    y = by_fourier(x, w).numpy()
    expected = convolution(x, w)
    agree(y[[0, 2]], expected[[0, 2]])
    assert np.isnan(y[1]).all()


# -- the choice --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALEXNET)
def test_fourier_is_for_batches(name):
    for N, algorithm in ((1, "columns"), (32, "fourier"), (128, "fourier"), (512, "fourier")):
        image, w, geometry = shapes(name, N)
        assert bool(both.chosen(image, w, geometry)) == (algorithm == "fourier"), N


@pytest.mark.parametrize("image, w, geometry", [
    ((3, 224, 224, 128), (3, 11, 11, 48), Geometry(1, 55, 55, 4, 4, 0, 0)),  # conv1 of AlexNet: its stride
    ((64, 28, 28, 128), (64, 1, 1, 128), Geometry(1, 28, 28, 1, 1, 0, 0)),  # a kernel of one pixel has nothing to save
    ((3, 32, 32, 128), (3, 5, 5, 32), Geometry(1, 32, 32, 1, 1, 2, 2)),  # few channels
    ((48, 27, 27, 0), (48, 5, 5, 128), Geometry(1, 27, 27, 1, 1, 2, 2)),  # no image
])  # fmt: skip
def test_columns_are_for_all_others(image, w, geometry):
    assert both.chosen(image, w, geometry) is None


def test_each_way_is_chosen_for_itself(monkeypatch):
    image, w, geometry = (64, 16, 16, 32), (64, 5, 5, 3), Geometry(1, 16, 16, 1, 1, 2, 2)
    asked = []
    monkeypatch.setattr(both, "chosen", lambda *given: asked.append(given))
    x, weights, gy = (np.zeros(shape, np.float32) for shape in (image, w, (3, 16, 16, 32)))
    both.forward(x, weights, None, geometry)
    both.weight_gradient(gy, x, w, geometry)
    both.image_gradient(gy, weights, image, geometry)
    assert asked == [(image, w, geometry, False)] * 2 + [(image, w, geometry, True)]


def test_an_image_that_fits_is_one_tile():
    """Two of 14 places would multiply less, and take a fifth longer, as was measured at a batch of 32."""
    assert both.chosen(*shapes("conv2", 32)) == 27


def test_large_images_are_cut_into_tiles():
    image, w, geometry = (256, 56, 56, 32), (256, 3, 3, 256), Geometry(1, 56, 56, 1, 1, 1, 1)
    assert 8 < both.chosen(image, w, geometry) < 32


@pytest.mark.parametrize("algorithm", ["columns", "fourier", pytest.param(None, marks=pytest.mark.processor)])
def test_all_three_ways_go_by_what_is_asked(algorithm, monkeypatch):
    asked, N, ways = set(), 32, ["forward", "image_gradient", "weight_gradient"]

    def spied(name, way, function):
        def spy(*given):
            asked.add((name, way))
            return function(*given)

        return spy

    for name, module in (("columns", columns), ("fourier", fourier)):
        for way in ways:
            monkeypatch.setattr(module, way, spied(name, way, getattr(module, way)))
    image, w, _ = shapes("conv5", N)
    x, weights = Tensor(normal(N, *image[:3]), dtype=np.float32, requires_grad=True), normal(w[-1], *w[:3], seed=1)
    weights = Tensor(weights, dtype=np.float32, requires_grad=True)
    ops.conv2d(x, weights, padding=1, algorithm=algorithm).sum().backward()
    assert asked == {(algorithm or "fourier", way) for way in ways}


def test_what_fourier_cannot_do_is_refused():
    x, w = normal(1, 1, 5, 5), normal(1, 1, 3, 3)
    with pytest.raises(ValueError, match=r"conv2d: Fourier needs a stride of 1, and it is \(2, 1\): leave"):
        by_fourier(x, w, stride=(2, 1))
    with pytest.raises(ValueError, match="conv2d: algorithm is 'fft': give columns, fourier, or None"):
        ops.conv2d(x, w, algorithm="fft")
