import numpy as np
import pytest
from helpers import check_op, normal
from hypothesis import example, given
from hypothesis import strategies as st

from minicnn import Tensor, kernels, ops

WORD = 0xFFFFFFFF


def philox(counter, key):
    """Philox 4×32-10 (Salmon et al. 2011, §3.3) on Python's own whole numbers."""
    L0, R0, L1, R1 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * L0, 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * L1, 1 << 32)
        L0, R0, L1, R1 = high1 ^ R0 ^ k0, low1, high0 ^ R1 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return L0, R0, L1, R1


def numbers(unit, image, step, key):
    """The random word of one unit in one image."""
    return philox((unit, image // 4, step & WORD, step >> 32), (key & WORD, key >> 32))[image % 4]


def dropped(x, counter, p=0.5, first_unit=0, first_image=0, inverted=True):
    key, step = map(int, counter)
    y = np.zeros(x.shape)
    for unit, place in enumerate(np.ndindex(x.shape[1:])):
        for n in range(len(x)):
            if numbers(first_unit + unit, first_image + n, step, key) >= int(p * 2**32):
                y[(n, *place)] = x[(n, *place)] / (1 - p) if inverted else x[(n, *place)]
    return y


def mask(shape, key, step, **settings):
    return ops.dropout(np.ones(shape), [key, step], inverted=False, **settings).numpy()


@pytest.mark.parametrize("counter, key, words", [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
])  # fmt: skip
def test_the_reference_gives_the_known_answers(counter, key, words):
    """From the test vectors that the authors publish with their program."""
    assert philox(counter, key) == words


@given(unit=st.integers(0, WORD), step=st.integers(0, 2**63 - 1), key=st.integers(0, 2**63 - 1))
@example(unit=0, step=0, key=0)
@example(unit=WORD, step=2**63 - 1, key=2**63 - 1)
def test_the_kernel_gives_the_words_of_the_reference_to_the_last_bit(unit, step, key):
    for image in range(9):
        word = numbers(unit, image, step, key)
        for threshold, keeps in (word, 1), (word + 1, 0):
            y = np.empty((1, 9))
            kernels.dropout.dropout(y, np.ones((1, 9)), np.array([key, step]), unit, 0, threshold, 1.0)
            assert y[0, image] == keeps


@given(shape=st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(1, 2)), p=st.floats(0, 0.95),
       key=st.integers(0, 2**62), step=st.integers(0, 2**40), first_unit=st.integers(0, 9),
       first_image=st.integers(0, 9), inverted=st.booleans())
def test_dropout(shape, p, key, step, **settings):
    check_op(ops.dropout, dropped, normal(*shape), np.array([key, step]), p=p, **settings)


def test_the_mask_depends_on_unit_image_step_and_key_alone():
    whole = mask((8, 6), key=5, step=7)
    assert (mask((3, 6), key=5, step=7) == whole[:3]).all(), "fewer images"
    assert (mask((8, 2, 3), key=5, step=7) == whole.reshape(8, 2, 3)).all(), "another shape"
    halves = [mask((8, 3), key=5, step=7, first_unit=unit) for unit in (0, 3)]
    assert (np.concatenate(halves, 1) == whole).all(), "two towers"
    parts = [mask((n, 6), key=5, step=7, first_image=first) for first, n in ((0, 3), (3, 2), (5, 3))]
    assert (np.concatenate(parts) == whole).all(), "three processes"
    single = ops.dropout(np.ones((8, 6), np.float32), [5, 7], inverted=False)
    assert (single.numpy() == whole).all(), "single precision"


@pytest.mark.parametrize("part, there", [("key", 6), ("key", 5 + 2**32), ("step", 8), ("step", 7 + 2**32),
                                         ("first_unit", 1), ("first_image", 1)])  # fmt: skip
def test_every_part_of_the_counter_changes_the_mask(part, there):
    here = {"key": 5, "step": 7, "first_unit": 0, "first_image": 0}
    assert 0.4 < (mask((32, 32), **here) != mask((32, 32), **here | {part: there})).mean() < 0.6


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_the_share_that_is_kept(p):
    n = 200 * 200
    kept = mask((200, 200), p=p, key=1, step=2)
    assert abs(kept.mean() - (1 - p)) <= 4 * np.sqrt(p * (1 - p) / n)
    assert abs(kept.mean(0) - (1 - p)).max() < 0.25
    assert abs(kept.mean(1) - (1 - p)).max() < 0.25


def test_both_forms_and_the_gradient_use_one_mask():
    kept = mask((16, 8), p=0.25, key=3, step=4)
    for inverted, scale in (True, 4 / 3), (False, 1.0):
        x = Tensor(np.ones((16, 8)), requires_grad=True)
        y = ops.dropout(x, [3, 4], p=0.25, inverted=inverted)
        y.sum().backward()
        np.testing.assert_allclose(y.numpy(), kept * scale)
        np.testing.assert_allclose(x.grad.numpy(), kept * scale)


def test_one_tensor_dropped_at_two_steps():
    x = Tensor(np.ones((8, 8)), requires_grad=True)
    y = ops.dropout(x, [1, 1]) + ops.dropout(x, [1, 2])
    y.sum().backward()
    assert (x.grad.numpy() == y.numpy()).all()


@pytest.mark.parametrize("p", [1.0, -0.1, 2.0, float("nan")])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match=f"dropout: p is {p}"):
        ops.dropout(normal(2, 2), [0, 0], p=p)


@pytest.mark.parametrize("settings", [{"p": "0.5"}, {"p": True}, {"p": None}, {"first_unit": 1.5}, {"inverted": 1},
                                      {"first_unit": False}, {"first_image": 0.5}], ids=str)  # fmt: skip
def test_settings_of_another_kind_are_refused(settings):
    with pytest.raises(TypeError, match=f"dropout: {next(iter(settings))} is "):
        ops.dropout(normal(2, 2), [0, 0], **settings)


@pytest.mark.parametrize("first_unit", [-1, 2**31 - 1, 2**70])
def test_units_that_cannot_be_counted_are_refused(first_unit):
    """A GPU counts them in an int: beyond, two would share their random numbers."""
    with pytest.raises(ValueError, match=f"dropout: first_unit is {first_unit}: it must be at "):
        ops.dropout(normal(2, 2), [0, 0], first_unit=first_unit)
    assert ops.dropout(normal(2, 2), [0, 0], first_unit=2**31 - 2).shape == (2, 2)


@pytest.mark.parametrize("first_image", [-1, 2**31 - 5, 2**70])
def test_images_that_cannot_be_counted_are_refused(first_image):
    with pytest.raises(ValueError, match=f"dropout: first_image is {first_image}: it must be at "):
        ops.dropout(normal(2, 2), [0, 0], first_image=first_image)
    assert ops.dropout(normal(2, 2), [0, 0], first_image=2**31 - 6).shape == (2, 2)


@pytest.mark.parametrize("counter", [[1], [1, 2, 3], [1.0, 2.0], 5])
def test_a_counter_that_is_none(counter):
    with pytest.raises(ValueError, match=r"dropout: the counter is .*: give two whole numbers, \[key, step\]"):
        ops.dropout(normal(2, 2), np.array(counter), p=0.5)
