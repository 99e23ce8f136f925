"""What kernels look like, in numbers: of drawn kernels of which that is known."""

from itertools import combinations

import numpy as np
import pytest
from helpers import normal
from hypothesis import given
from hypothesis import strategies as st

from minicnn.models.first_layer import SMOOTH_NOISE, apart, in_words, looks

Y, X = 5 - np.mgrid[:11, :11][0], np.mgrid[:11, :11][1] - 5  # upwards, to the right


def grating(angle, frequency, colour=(1, 1, 1), phase=0.0):
    """Stripes that run at an angle, in degrees anticlockwise, fading outwards."""
    t = np.radians(angle)
    wave = np.cos(2 * np.pi * frequency * (np.cos(t) * Y - np.sin(t) * X) + phase) * np.exp(-(X**2 + Y**2) / 18)
    return np.array(colour, float)[:, None, None] * wave


@given(st.floats(0, 179), st.floats(0.15, 0.35), st.floats(0, 6), st.floats(1e-6, 1e6))
def test_a_grating_has_one_direction_and_its_frequency(angle, frequency, phase, size):
    one = looks(size * grating(angle, frequency, phase=phase)[None])
    assert one.oriented[0] > 0.8
    assert abs((one.angle[0] - angle + 90) % 180 - 90) < 3
    assert abs(one.frequency[0] - frequency) < 0.03
    assert one.colour[0] < 1e-12


def test_a_blob_has_no_direction_and_no_frequency():
    one = looks(grating(0, 0, (1, -0.5, -0.5))[None])
    assert one.oriented[0] < 0.02
    assert one.frequency[0] == 0
    assert one.smooth[0] > 0.99
    assert one.colour[0] == pytest.approx(1)


def test_colour_is_what_departs_from_grey():
    """By hand: of (r, g, b) the grey is its mean m, and Σ c² = 3 m² + Σ (c − m)²."""
    colours = [(1, 1, 1), (1, 0, 0), (1, -1, 0), (3, 2, 1)]
    seen = looks(np.stack([grating(30, 0.2, colour) for colour in colours])).colour
    np.testing.assert_allclose(seen, [0, 2 / 3, 1, 2 / 14], atol=1e-12)


def test_noise_has_what_its_count_says():
    noise = looks(normal(400, 3, 11, 11))
    assert noise.colour.mean() == pytest.approx(2 / 3, abs=0.01)
    assert noise.smooth.mean() == pytest.approx(SMOOTH_NOISE, abs=0.005)
    assert noise.oriented.mean() < 0.1


def test_kernels_of_zeros_look_like_nothing():
    for name, numbers in looks(np.zeros((2, 3, 5, 5)))._asdict().items():
        assert name == "angle" or (numbers == 0).all(), name


def test_towers_that_are_apart():
    """As often as in all divisions, of which there are few enough to go through."""
    a, b = np.array([0.9, 0.8, 0.7, 0.1]), np.array([0.2, 0.3, 0.0, 0.15])
    both = np.concatenate([a, b])
    every = [abs(both[list(i)].mean() - np.delete(both, i).mean()) for i in combinations(range(8), 4)]
    assert apart(a, b) == pytest.approx(np.mean(np.array(every) >= abs(a.mean() - b.mean()) - 1e-12), abs=0.02)
    assert apart(a, a) == 1
    assert apart(np.zeros(48), np.ones(48)) == pytest.approx(1 / 10_001)


def test_in_words():
    grey = np.stack([grating(angle, 0.1) for angle in (0, 45, 90)])
    red = np.stack([grating(0, 0, (1, -1, 0))] * 3)
    a, b, both = in_words([grey, red])
    assert a.startswith("conv1, tower a: of 3 kernels 0 are mostly colour, 3 oriented; ")
    assert b.startswith("conv1, tower b: of 3 kernels 3 are mostly colour, 0 oriented; ")
    often = f"{apart(np.zeros(3), np.ones(3)):.2%}"
    assert both == (f"conv1: towers divided at random differ as much in colour in {often} of draws, in orientation in "
                    f"{often}")
    assert in_words([grey])[0].startswith("conv1: of 3 kernels 0 are mostly colour, 3 oriented; ")
    assert len(in_words([grey])) == 1
    (noise,) = in_words([normal(48, 3, 11, 11), normal(48, 3, 11, 11, seed=1)])
    assert noise.startswith("conv1: 13% of the kernels' energy is smooth, of noise 13%: they look like the noise")
