import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from minicnn.engine.settings import axes, axis, flag, real, several, whole

NOT_WHOLE = [
    1.0, 2.5, np.float32(1), True, False, np.True_, np.array(True), "1", b"1", None, 1j, [1], (1,), {}, {1}, range(1),
    np.array([1]), np.array(1.0), Decimal(1), Fraction(1), np.datetime64(1, "s"), np.timedelta64(1, "s"), ...
]  # fmt: skip
NOT_REAL = [True, np.False_, np.array(True), "1.0", None, 1j, np.complex64(1), [1.0], np.ones(1), Decimal(1), {},
            np.timedelta64(1, "s"), np.array("a"), np.zeros((), "f4, i4")]  # fmt: skip


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3), np.array(3, np.uint8)], ids=repr)
def test_whole_numbers(value):
    number = whole("op", "size", value, least=3, most=3)
    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
def test_what_is_no_whole_number(value):
    with pytest.raises(TypeError, match=r"^op: size is .*: give a whole number"):
        whole("op", "size", value)


@pytest.mark.parametrize("value, bounds, match", [
    (0, {"least": 1}, "size is 0: it must be at least 1"), (5, {"most": 4}, "size is 5: it must be at most 4"),
    (2**63, {}, "at most 9223372036854775807"), (-(2**64), {}, "at most"), (10**5000, {}, "size is a int"),
], ids=["little", "much", "64 bits", "as many below", "digits"])  # fmt: skip
def test_whole_numbers_out_of_bounds(value, bounds, match):
    with pytest.raises(ValueError, match=f"^op: .*{match}"):
        whole("op", "size", value, **bounds)


@pytest.mark.parametrize("value", [0.5, np.float16(0.5), np.float64(0.5), np.longdouble(0.5), np.array(0.5),
                                   Fraction(1, 2)])  # fmt: skip
def test_real_numbers(value):
    number = real("op", "p", value, least=0.5, most=0.5, above=0, below=1)
    assert number == 0.5
    assert type(number) is float
    assert real("op", "p", np.int16(2)) == 2.0


@pytest.mark.parametrize("value", NOT_REAL, ids=repr)
def test_what_is_no_real_number(value):
    with pytest.raises(TypeError, match=r"^op: p is .*: give a number"):
        real("op", "p", value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32(np.nan), 10**400,
                                   np.longdouble(10) ** 4000])  # fmt: skip
def test_numbers_that_are_not_finite(value):
    with pytest.raises(ValueError, match=r"^op: p is .*: give a finite number"):
        real("op", "p", value)


@pytest.mark.parametrize("bounds, match", [
    ({"least": 2}, "at least 2"), ({"above": 1.5}, "greater than 1.5"), ({"most": 1}, "at most 1"),
    ({"below": 1.5}, "less than 1.5"), ({"least": 0, "below": 1}, "at least 0 and less than 1"),
])  # fmt: skip
def test_real_numbers_out_of_bounds(bounds, match):
    with pytest.raises(ValueError, match=f"op: p is 1.5: it must be {match}"):
        real("op", "p", 1.5, **bounds)


def test_flags():
    assert [flag("op", "keepdims", value) for value in (True, np.False_, np.array(True))] == [True, False, True]


@pytest.mark.parametrize("value", [0, 1, 1.0, None, "yes", [True], np.array([True]), np.int8(1)], ids=repr)
def test_what_is_neither_true_nor_false(value):
    with pytest.raises(TypeError, match=r"^op: keepdims is .*: give True or False"):
        flag("op", "keepdims", value)


def test_several():
    assert several((1, 2)) == several([1, 2]) == several(np.array([1, 2])) == several(range(1, 3)) == (1, 2)
    assert several("12") is several({1, 2}) is several({1: 2}) is several(3) is several(np.ones((2, 2))) is None


@pytest.mark.parametrize("value, expected", [
    (None, (0, 1, 2)), (1, (1,)), (-1, (2,)), (np.int8(-3), (0,)), (np.array(1), (1,)), ((0, -1), (0, 2)), ([2], (2,)),
    ((), ()), (np.array([0, 1]), (0, 1)),
])  # fmt: skip
def test_axes(value, expected):
    assert axes("op", value, 3) == expected
    assert axis("op", -1, 3) == 2


@pytest.mark.parametrize("error", [ValueError, IndexError])
@pytest.mark.parametrize("value, ndim, match", [
    (3, 3, "axis 3 is out of bounds: the axes are 0 to 2"), (-4, 3, "axis -4 is out"), ((0, 5), 3, "axis 5 is out"),
    (0, 0, "axis 0 is out of bounds: a single number has no axes"),
])  # fmt: skip
def test_axes_that_are_not_there(error, value, ndim, match):
    with pytest.raises(error, match=f"^op: {match}"):
        axes("op", value, ndim)


@pytest.mark.parametrize("value, error, match", [
    ((0, 0), ValueError, r"axis is \(0, 0\): a repeated axis"), ((0, -3), ValueError, "repeated"),
    (True, TypeError, "axis is True"), (1.0, TypeError, "axis is 1.0"), ("0", TypeError, "axis is '0'"),
    ({0}, TypeError, "axis is {0}"), ((0, None), TypeError, "axis is None"), (((0,),), TypeError, "whole number"),
])  # fmt: skip
def test_axes_of_a_wrong_kind(value, error, match):
    with pytest.raises(error, match=f"^op: .*{match}"):
        axes("op", value, 3)
