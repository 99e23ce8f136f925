import numpy as np
import pytest
from helpers import agree, check_op, normal
from hypothesis import example, given
from hypothesis import strategies as st

from minicnn import Tensor, ops


def normalised_within(x, size=5, alpha=4e-5, beta=0.75, k=1.0):
    """y[p, q] = x[p, q] / (k + α Σ x[i, j]²)^β, where |i − p| and |j − q| are at most size // 2"""
    y, half = np.empty(x.shape), size // 2
    for n, c, p, q in np.ndindex(x.shape):
        near = x[n, c, max(0, p - half):p + half + 1, max(0, q - half):q + half + 1]
        y[n, c, p, q] = x[n, c, p, q] / (k + alpha * sum(value**2 for value in near.ravel())) ** beta
    return y


@given(shape=st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 6), st.integers(1, 6)),
       size=st.sampled_from([1, 3, 5, 7, 19]), scale=st.floats(0.1, 50), alpha=st.floats(0, 1),
       beta=st.sampled_from([0.75, 0.5, 1.0, 2.3]), k=st.sampled_from([1.0, 2.0, 0.3]))  # fmt: skip
@example(shape=(2, 3, 13, 11), size=5, scale=50, alpha=4e-5, beta=0.75, k=1.0)  # AlexNet's, with fewer places
def test_map_response_norm(shape, size, scale, alpha, beta, k):
    check_op(ops.map_response_norm, normalised_within, scale * normal(*shape), size=size, alpha=alpha, beta=beta, k=k)


def test_the_constants_of_the_program_are_the_defaults():
    """1e-3 divided by the 25 places of a window, and 1 added (layers/layers-145.cfg, layer.py of the program)."""
    check_op(ops.map_response_norm, normalised_within, 50 * normal(1, 2, 7, 6))
    expected = ops.map_response_norm(50 * normal(1, 2, 7, 6), size=5, alpha=1e-3 / 25, beta=0.75, k=1.0)
    agree(ops.map_response_norm(50 * normal(1, 2, 7, 6)).numpy(), expected.numpy())


def test_no_map_sees_another():
    x = normal(2, 3, 4, 4)
    alone = [ops.map_response_norm(x[:, c:c + 1], alpha=1.0).numpy() for c in range(3)]
    agree(ops.map_response_norm(x, alpha=1.0).numpy(), np.concatenate(alone, 1))


def test_a_window_wider_than_the_map_sees_all_of_it():
    x = normal(2, 3, 2, 4)
    agree(ops.map_response_norm(x, size=2**62 + 1, alpha=1.0).numpy(), normalised_within(x, size=9, alpha=1.0))


@pytest.mark.parametrize("beta", [0.75, 1.0])
def test_no_power_is_too_large_where_d_is_not(beta):
    x = np.full((1, 1, 3, 3), 1e18, np.float32)  # single precision ends at 3.4e38, and d is 9e36
    expected = normalised_within(x.astype(np.float64), alpha=1.0, beta=beta)
    agree(ops.map_response_norm(x, alpha=1.0, beta=beta).numpy() / expected, np.ones_like(x), tolerance=1e-5)


def test_half_precision_adds_up_in_single():
    x = Tensor(np.full((1, 1, 3, 3), 1000.0)).half()  # whose square is none of half precision's numbers
    y = ops.map_response_norm(x, alpha=1.0)
    assert y.dtype == np.float16
    agree(y.numpy(), normalised_within(np.full((1, 1, 3, 3), 1000.0), alpha=1.0), tolerance=1e-3)


@pytest.mark.parametrize("settings, match", [
    ({"size": 4}, "size is 4: .* give 5"),
    ({"size": 0}, "size is 0: it must be at least 1"),
    ({"beta": np.inf}, "beta is inf: give a finite number"),
    ({"k": 0.0}, r"k is 0.0 and alpha 4e-05"),
    ({"alpha": -1.0}, "k is 1.0 and alpha -1.0"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(settings, match):
    with pytest.raises(ValueError, match=f"map_response_norm: {match}"):
        ops.map_response_norm(Tensor(normal(1, 5, 1, 1)), **settings)


def test_what_has_no_maps_is_refused():
    with pytest.raises(ValueError, match=r"map_response_norm: x \(3, 4\) has no maps: it needs the shape"):
        ops.map_response_norm(normal(3, 4))
