"""Features and what is near in them, against a slow search through all of them."""

from math import dist

import numpy as np
import pytest
from helpers import normal
from hypothesis import given
from hypothesis import strategies as st

from minicnn import Tensor, cpu, manual_seed, no_grad
from minicnn.models import VARIANTS, alexnet
from minicnn.models.features import last_hidden, nearest, outputs_of


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(1, 8), st.integers(1, 3), st.integers(0, 99))
def test_the_nearest_are_those_of_a_slow_search(sizes, count, queries, seed):
    """Batches of any sizes, in any order of places; of small whole numbers, so that there are ties."""
    rng = np.random.default_rng(seed)
    asked, features = rng.integers(-1, 2, (queries, 2)), rng.integers(-1, 2, (sum(sizes) + 1, 2)).astype(np.float32)
    places = rng.permutation(1000)[: len(features)]
    cuts = np.cumsum(sizes)
    batches = zip(np.split(features, cuts), np.split(places, cuts), strict=True)
    found, distances = nearest(asked, batches, count)
    for query, own, far in zip(asked, found, distances, strict=True):
        every = sorted((dist(query, f), place) for f, place in zip(features, places, strict=True))[:count]
        assert [place for _, place in every] == own.tolist()
        np.testing.assert_allclose(far, [d for d, _ in every], rtol=1e-12)


def test_small_differences_of_large_features_count():
    """By |q|² + |f|² − 2 q·f they would be lost in rounding."""
    query = np.full((1, 4096), 1000, np.float32)
    features = np.repeat(query, 3, axis=0)
    features[:, 0] += [0.5, 0.25, -0.125]
    places, distances = nearest(query, [(features, np.arange(3))])
    assert places.tolist() == [[2, 1, 0]]
    assert distances.tolist() == [[0.125, 0.25, 0.5]]


@pytest.mark.parametrize("batches, match", [
    ([], "no feature to search"),
    ([(np.zeros((0, 2)), np.zeros(0, int))], "no feature to search"),
    ([(np.array([[0, np.nan]]), np.zeros(1, int))], "not all features are finite"),
    ([(np.array([[0.0, np.inf]]), np.zeros(1, int))], "not all features are finite"),
])  # fmt: skip
def test_where_nothing_is_near_that_is_said(batches, match):
    with pytest.raises(ValueError, match=f"^nearest: .*{match}"):
        nearest(np.zeros((1, 2)), batches)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_last_hidden_layer_is_what_fc8_sees(variant):
    manual_seed(0)
    net = alexnet(variant, classes=3, width=1 / 48)
    images = normal(2, 3, net.pixels, net.pixels).astype(np.float32)
    net.train()
    features = outputs_of(net, images, last_hidden(net))
    assert net.training, "as it was"
    assert (features.dtype, features.shape) == (np.float32, (2, net.fc8.weight.shape[1]))
    assert (features >= 0).all(), "behind ReLU"
    assert (features > 0).any()
    with no_grad():
        net.eval()
        y = net.fc8(Tensor(features, device=cpu(0))).numpy()
        np.testing.assert_allclose(y, net(images).numpy(), rtol=1e-4, atol=1e-6)
