"""check_op can fail: for each of its promises an op that breaks it, and the call that it prints fails again."""

import numpy as np
import pytest
from helpers import check_op, code, distinct, nan, normal
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from minicnn import Tensor, ops
from minicnn.engine.op import op

# -- careless ops, and what they say they are --------------------------------------------------------------------------


def itself(x):
    return x + 0


def square(x):
    return x * x


def plus(a, b):
    return a + b


@op
def wrong_value(x):
    return 1.001 * x, lambda gy: 1.001 * gy


@op
def wrong_value_in_single(x):
    return x * (1 + 1e-3 * (x.dtype == np.float32)), lambda gy: gy


@op
def wrong_shape(x):
    return x[None] + 0, lambda gy: gy[0]


@op
def nan_comes_out(x):
    return np.where(x == x.max(), np.nan, x), lambda gy: gy


@op
def wrong_gradient(x):
    return x * x, lambda gy: gy * x


@op
def wrong_gradient_in_single(x):
    return x * x, lambda gy: gy * x * (2 + 1e-3 * (x.dtype == np.float32))


@op
def gradient_of_one_image_for_all(x):
    return x * x, lambda gy: np.broadcast_to(2 * (gy * x)[:1], x.shape)


@op
def gradient_of_another_shape(x):
    return x + 0, lambda gy: gy.sum()


def double_constant(x):
    return x + Tensor(np.zeros(x.shape))


@op
def writes_into_its_input(x):
    y = x * x
    x += 1
    return y, lambda gy: 2 * gy * (x - 1)


@op
def writes_into_its_input_in_backward(x):
    return x * x, lambda gy: np.multiply(2 * gy, x, out=x)


@op
def writes_into_the_gradient(x):
    return x * x, lambda gy: np.multiply(2 * x, gy, out=gy)


@op
def writes_into_its_value(x):
    y = np.exp(x)
    return y, lambda gy: np.multiply(y, gy, out=y)


@op
def reads_memory_order(x):
    return x.ravel(order="K").reshape(x.shape), lambda gy: gy


@op
def reads_memory_order_of_the_gradient(x):
    return x * x, lambda gy: 2 * x * gy.ravel(order="K").reshape(x.shape)


@op
def reads_strides_of_the_gradient(x):
    return x + 0, lambda gy: gy + (gy.strides[0] == gy.itemsize)  # along an axis of size 1 they may be anything


@op
def wrong_value_of_one_tensor_twice(a, b):
    return (a if a is b else a + b), lambda gy: gy, lambda gy: gy


@op
def wrong_gradient_of_one_tensor_twice(a, b):
    return a + b, lambda gy: gy, lambda gy: gy * (a is not b)


@op
def wrong_from_three_on(x):
    return x + (x.size >= 3), lambda gy: gy


SOME = normal(2, 3)


@pytest.mark.parametrize("careless, reference, inputs, match", [
    (wrong_value, itself, [SOME], r"value in float64 \(2, 3\): 6 of 6 elements are wrong"),
    (wrong_value_in_single, itself, [SOME], "value in float32"),
    (wrong_shape, itself, [SOME], r"the shape is \(1, 2, 3\), expected \(2, 3\)"),
    (nan_comes_out, itself, [SOME], "1 of 6 elements are wrong.* got nan"),
    (wrong_gradient, square, [SOME], "0.5 times what it should be"),
    (wrong_gradient_in_single, square, [SOME], "gradient of input 0 in float32"),
    (gradient_of_one_image_for_all, square, [SOME], "gradient of input 0"),
    (gradient_of_another_shape, itself, [SOME], r"gradient of shape \(\) reached a tensor of shape \(2, 3\)"),
    (double_constant, itself, [SOME], "from float32 came float64"),
    (writes_into_its_input, square, [SOME], "input 0 was changed"),
    (writes_into_its_input_in_backward, square, [SOME], "input 0 was changed"),
    (writes_into_the_gradient, square, [SOME], "backward changed the gradient that came in"),
    pytest.param(writes_into_its_value, np.exp, [SOME], "backward changed the value", marks=pytest.mark.processor),
    (reads_memory_order, itself, [SOME], "value in float64"),
    (reads_memory_order_of_the_gradient, square, [SOME], "input 0"),
    (reads_strides_of_the_gradient, itself, [normal(1, 3)], "gradient (comes|is given) [a-z_ ]+"),
    (wrong_value_of_one_tensor_twice, plus, [SOME, normal(2, 3, seed=1)], "value where inputs 0 and 1 are one tensor"),
    (wrong_gradient_of_one_tensor_twice, plus, [SOME, SOME], "gradient where inputs 0 and 1 are one tensor"),
    (wrong_from_three_on, itself, [np.array([0.1, np.pi, -1e-300])], "value in float64"),
], ids=lambda x: getattr(x, "__name__", ""))  # fmt: skip
def test_a_careless_op_is_refused_and_refused_again_by_the_call_that_is_printed(careless, reference, inputs, match):
    with pytest.raises((AssertionError, ValueError), match=match) as first:
        check_op(careless, reference, *inputs)
    (note,) = first.value.__notes__
    with pytest.raises(type(first.value)) as second:
        exec(note.removeprefix("Again, in tests/: "), {})
    assert str(second.value) == str(first.value)


@pytest.mark.parametrize("good, reference, x", [(ops.exp, np.exp, SOME), (ops.negative, np.negative, normal(0, 3))])
def test_a_careful_op_passes(good, reference, x):
    check_op(good, reference, x)


# -- the call to paste -------------------------------------------------------------------------------------------------


def printed(careless, reference, *inputs, **settings):
    with pytest.raises(AssertionError) as caught:
        check_op(careless, reference, *inputs, **settings)
    (note,) = caught.value.__notes__
    return note


def test_arrays_are_printed_by_the_function_that_made_them():
    assert printed(wrong_value, itself, distinct(2, 3, seed=3)) == (
        "Again, in tests/: from helpers import *; from test_helpers import wrong_value; "
        "from test_helpers import itself; check_op(wrong_value, itself, distinct(2, 3, seed=3))")
    assert "check_op(ops.negative, itself, normal(1))" in printed(ops.negative, itself, normal(1))


@pytest.mark.parametrize("x", [
    normal(2, 3) / 3, normal(2, 3).astype(np.float32), normal(3, 2).T, normal(0, 3), np.zeros((2, 0), np.int64),
    normal(), np.array(0.1), np.array([nan, -np.inf, -0.0, 5e-324]), np.array([[True, False]]),
    np.array([[1, 255]], np.uint8), np.float64(0.1), (slice(None), np.array([1, 1]), None, ...), (3,), (), None, "word",
], ids=repr)  # fmt: skip
def test_what_is_printed_is_the_same_to_the_last_bit(x):
    again = {}
    exec(f"from helpers import *; x = {code(x)}", again)
    for got, expected in zip(again["x"], x, strict=True) if isinstance(x, tuple) else [(again["x"], x)]:
        assert type(got) is type(expected)
        np.testing.assert_array_equal(got, expected, strict=isinstance(expected, np.ndarray))
        assert not isinstance(x, np.ndarray) or got.tobytes() == expected.tobytes()


def test_a_local_function_is_named_with_file_and_line():
    def local(x):
        return x + 0

    line = local.__code__.co_firstlineno
    note = printed(wrong_value, local, normal(3))
    assert note.endswith(f"check_op(wrong_value, local, normal(3))  (local is local to test_helpers.py:{line})")


def test_what_is_no_function_does_not_hide_the_error():
    class Object:
        def __call__(self, x):
            return x + 0

    assert "Object object at" in printed(wrong_value, Object(), normal(3))


def test_the_call_of_the_smallest_example_is_printed():
    @settings(phases=[Phase.generate, Phase.shrink])
    @given(st.integers(1, 9))
    def fails(n):
        check_op(wrong_from_three_on, itself, normal(n))

    with pytest.raises(AssertionError) as caught:
        fails()
    assert any(note.endswith("check_op(wrong_from_three_on, itself, normal(3))") for note in caught.value.__notes__)
