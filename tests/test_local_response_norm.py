import numpy as np
import pytest
from helpers import agree, check_op, check_value, normal
from hypothesis import example, given
from hypothesis import strategies as st

from minicnn import Tensor, gradcheck, ops


def normalised(x, size=5, alpha=1e-4, beta=0.75, k=2.0):
    """y[c] = x[c] / (k + α Σ x[j]²)^β, over the channels j at most size // 2 from c"""
    y = np.empty(x.shape)
    for n, c, *place in np.ndindex(x.shape):
        near = [x[(n, j, *place)] for j in range(x.shape[1]) if abs(j - c) <= size // 2]
        y[(n, c, *place)] = x[(n, c, *place)] / (k + alpha * sum(value**2 for value in near)) ** beta
    return y


@given(shape=st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(0, 2), st.integers(1, 2)),
       size=st.sampled_from([1, 3, 5, 7, 19, 21]), scale=st.floats(0.1, 50), alpha=st.floats(0, 1),
       beta=st.sampled_from([0.75, 0.5, 1.0, 2.3]), k=st.sampled_from([1.0, 2.0, 0.3]))  # fmt: skip
@example(shape=(2, 48, 3, 3), size=5, scale=50, alpha=1e-4, beta=0.75, k=2.0)  # AlexNet's, with fewer pixels
@example(shape=(2, 128, 3, 3), size=5, scale=50, alpha=1e-4, beta=0.75, k=2.0)
@example(shape=(1, 128, 2, 1), size=5, scale=3, alpha=1.0, beta=0.75, k=2.0)
@example(shape=(2, 9, 1, 2), size=21, scale=1, alpha=1.0, beta=0.75, k=2.0)  # wider than the channels
def test_local_response_norm(shape, size, scale, alpha, beta, k):
    check_op(ops.local_response_norm, normalised, scale * normal(*shape), size=size, alpha=alpha, beta=beta, k=k)


@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_large_responses(beta):
    x = normal(2, 8, 2, 1)
    x *= 50 / np.abs(x).max()
    check_op(ops.local_response_norm, normalised, x, size=5, alpha=1.0, beta=beta, k=2.0)


def test_the_constants_of_the_paper_are_the_defaults():
    check_op(ops.local_response_norm, normalised, 50 * normal(1, 7, 2, 2))


@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_more_places_than_are_done_at_a_time(beta):
    check_op(ops.local_response_norm, normalised, normal(3, 6, 9, 11), size=5, alpha=0.9, beta=beta, k=1.0)


def test_channels_without_height_and_width():
    check_op(ops.local_response_norm, normalised, normal(3, 6), size=3, alpha=1.0)


def test_one_large_channel_among_many_small_ones_leaves_no_trace_further_away():
    """A sum that adds what enters a window and takes off what leaves it would lose the small ones."""
    x = np.full((1, 12, 1, 1), 1e-3)
    x[0, 0] = 3e4
    check_value(lambda x: ops.local_response_norm(x, size=3, alpha=1.0, k=1e-6)[:, 2:],
                lambda x: normalised(x, size=3, alpha=1.0, k=1e-6)[:, 2:], (x,), {})  # fmt: skip


def test_double_is_summed_in_double():
    x = np.full((1, 5, 1, 1), 1 + 1e-10)
    change = ops.local_response_norm(x, alpha=1.0).numpy() - ops.local_response_norm(np.ones_like(x), alpha=1.0).numpy()
    agree(change * 1e10, (normalised(x, alpha=1.0) - normalised(np.ones_like(x), alpha=1.0)) * 1e10, tolerance=1e-4)


def test_one_tensor_normalised_twice():
    gradcheck(lambda x: ops.local_response_norm(x, alpha=1.0) * ops.local_response_norm(x, size=1), normal(1, 6, 1, 2))


@pytest.mark.parametrize("settings, match", [
    ({"size": 4}, "size is 4: .* give 5"),
    ({"size": 0}, "size is 0: it must be at least 1"),
    ({"size": -3}, "size is -3"),
    ({"beta": np.inf}, "beta is inf: give a finite number"),
    ({"alpha": np.nan}, "alpha is nan: give a finite number"),
    ({"k": 0.0}, r"k is 0.0 and alpha 0.0001"),
    ({"alpha": -1.0}, "k is 2.0 and alpha -1.0"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(settings, match):
    with pytest.raises(ValueError, match=f"local_response_norm: {match}"):
        ops.local_response_norm(Tensor(normal(1, 5, 1, 1)), **settings)


@pytest.mark.parametrize("settings", [{"size": 2.5}, {"size": True}, {"size": (3, 3)}, {"alpha": "1"}, {"beta": None},
                                      {"k": 1j}, {"k": np.bool_(True)}], ids=str)  # fmt: skip
def test_settings_that_are_no_numbers_are_refused(settings):
    with pytest.raises(TypeError, match=f"local_response_norm: {next(iter(settings))} is .*: give a (whole )?number"):
        ops.local_response_norm(normal(1, 5, 1, 1), **settings)


def test_a_window_wider_than_all_channels_sees_all():
    x = normal(2, 3, 2, 2)
    agree(ops.local_response_norm(x, size=2**62 + 1, alpha=1.0).numpy(), normalised(x, size=5, alpha=1.0))


def test_without_channels_there_is_nothing_to_normalise():
    with pytest.raises(ValueError, match=r"local_response_norm: x \(3,\) has no channels"):
        ops.local_response_norm(normal(3))
