"""Other people's arrays on the way in: converted where the meaning is plain, refused by name where it is not."""

import array
import time
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from test_border import Closed, Foreign, Matrix

from minicnn import Tensor, cpu, ops

pytestmark = pytest.mark.processor
TWO = np.array([1.5, -2.0])
WIDE = np.array([10], np.longdouble) ** 4000
HUGE = 2**63


class Picture:
    """What Pillow's images give NumPy to read."""

    def __init__(self):
        self.pixels = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
        self.__array_interface__ = self.pixels.__array_interface__


@pytest.mark.parametrize("given, expected", [
    (TWO.astype(">f4"), TWO.astype(np.float32)), (TWO.astype(">f8"), TWO), (np.array([1, 2], ">i2"), np.int16([1, 2])),
    (np.array([1, 2], ">u8"), np.uint64([1, 2])), (TWO.astype(np.float16), np.float32([1.5, -2])),
    (TWO.astype(np.longdouble), TWO), (TWO[None].view(Matrix), TWO[None]), (TWO[None].view(np.matrix), TWO[None]),
    (Foreign(TWO), TWO), (Foreign(TWO.astype(">f4")), TWO.astype(np.float32)), (range(3), np.arange(3)),
    (array.array("d", TWO), TWO), (array.array("f", TWO), np.float32(TWO)), (memoryview(b"\1\2"), np.uint8([1, 2])),
    (memoryview(TWO), TWO), (bytearray(b"\1"), np.uint8([1])), (Picture(), np.arange(6).reshape(1, 2, 3).astype("u1")),
    ([[1.0, 2], (3, 4)], np.float32([[1, 2], [3, 4]])), ([True, False], np.array([True, False])), ([], np.float32([])),
    ([TWO, TWO], np.stack([TWO, TWO])), ([Tensor(TWO), TWO], np.stack([TWO, TWO])),
    ([Tensor([1.0])], np.float32([[1]])),
    ((Tensor([1, 2]),), np.array([[1, 2]])), ([[Tensor(1.5), 2.0]], np.float32([[1.5, 2]])),
    (np.float64(1.5), np.float64(1.5)), (1.5, np.float32(1.5)), (np.longdouble(1.5), np.float64(1.5)),
    (-(2**63), np.int64(-(2**63))), ([np.float64(0.1)], np.array([0.1])), (np.broadcast_to(1.5, (2, 2)),
    np.full((2, 2), 1.5)),
    (TWO[::-1], np.array([-2, 1.5])), (np.inf, np.float32(np.inf)), (np.rec.array(TWO), TWO),
])  # fmt: skip
def test_what_it_becomes(given, expected):
    x = Tensor(given)
    assert (x.dtype, x.shape) == (expected.dtype, expected.shape)
    assert x.dtype.isnative
    assert type(x.numpy()) is np.ndarray
    assert (x.numpy() == expected).all()


@pytest.mark.parametrize("given, error, match", [
    (np.ma.array(TWO, mask=[0, 1]), TypeError, r"masked array .*\.filled"), (np.ma.masked, TypeError, "masked"),
    ([np.ma.array(TWO, mask=[0, 1])], TypeError, "masked"), (TWO + 1j, TypeError, r"complex128 .*\.real and \.imag"),
    (np.complex64(1), TypeError, "complex64"), (np.array(["1"]), TypeError, "<U1"), (np.array([b"1"]),
    TypeError, r"\|S1"),
    ("1", TypeError, "<U1"), (b"1", TypeError, r"\|S1"), (["1"], TypeError, "<U1"), ([1, "a"], TypeError, "<U"),
    (np.array(["2020"], "M8[D]"), TypeError, "datetime64"), (np.timedelta64(1, "s"), TypeError, "timedelta64"),
    (np.zeros(2, "f4,i4"), TypeError, "fields"), (np.array([1, None]), TypeError, "object is not"),
    (None, TypeError, "NoneType is not a type of real number: give numbers"), ({1}, TypeError, "set is not"),
    ({1: 2}, TypeError, "dict is not"), ((i for i in range(2)), TypeError, "generator is not"),
    ([1, None], TypeError, "list of NoneType and int is not"), (Decimal(1), TypeError, "Decimal is not"),
    ([Fraction(1, 2)], TypeError, "list of Fraction is not"), (object(), TypeError, "object is not"),
    (Closed(), TypeError, "makes no array: this one requires a gradient"),
    ([[1], [1, 2]], ValueError, "differ in length"),
    (HUGE, ValueError, "9223372036854775808 does not fit in 64 bits"), ([HUGE, -1], ValueError, "does not fit in 64"),
    (2**70, ValueError, "does not fit"), ([2**64], ValueError, "does not fit"), (range(HUGE, HUGE + 2),
    ValueError, "fit"),
    (WIDE, ValueError, "beyond the range of float64"), (WIDE[0], ValueError, "beyond the range of float64"),
    (1e300, ValueError, "beyond the range of float32"), ([1.0, -1e39], ValueError, "beyond the range of float32"),
    ([Tensor([1.0], requires_grad=True)], TypeError, "no gradient would reach .*ops.concatenate"),
])  # fmt: skip
def test_what_is_refused(given, error, match):
    with pytest.raises(error, match=f"^Tensor: .*{match}"):
        Tensor(given)


def test_a_list_that_holds_itself():
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match=r"^Tensor: a list makes no array"):
        Tensor(endless)


@pytest.mark.parametrize("dtype", [complex, str, object, "M8[s]", "f4,i4", np.longdouble, "nothing", 3, [], np.bytes_])
def test_types_of_no_tensor(dtype):
    with pytest.raises(TypeError, match=r"^Tensor: dtype is .*: give bool, or a type of whole or real numbers"):
        Tensor([1.0], dtype=dtype)


@pytest.mark.parametrize("given, dtype", [([300], np.uint8), ([-1], np.uint8), ([np.nan], int), ([1e30], np.int32),
                                          ([1e300], np.float32), ([1e6], np.float16), (np.uint64([HUGE]),
                                          int)])  # fmt: skip
def test_numbers_that_a_type_does_not_hold(given, dtype):
    with pytest.raises(ValueError, match=r"^Tensor: .* numbers beyond the range of"):
        Tensor(given, dtype=dtype)


def test_types_that_are_asked_for():
    assert Tensor([1.5, -2.5], dtype=int).numpy().tolist() == [1, -2]  # cut, as by NumPy
    assert Tensor([0.0, np.nan], dtype=bool).numpy().tolist() == [False, True]
    assert Tensor([1.5], dtype=">f8").dtype == np.dtype(np.float64)
    assert Tensor([True], dtype=np.float32).numpy().tolist() == [1]


@pytest.mark.parametrize("options, match", [
    ({"requires_grad": 1}, "requires_grad is 1: give True or False"), ({"requires_grad": "no"}, "requires_grad"),
    ({"device": "cpu"}, "device is 'cpu': give cpu"), ({"device": 0}, "device is 0"),
])  # fmt: skip
def test_other_options(options, match):
    with pytest.raises(TypeError, match=f"^Tensor: {match}"):
        Tensor([1.0], **options)
    assert Tensor([1.0], requires_grad=np.True_, device=cpu(1)).requires_grad is True


def test_a_list_of_tensors_is_not_taken_apart_number_by_number():
    xs = [Tensor(np.ones((1000, 1000), np.float32)) for _ in range(4)]
    start = time.perf_counter()
    assert Tensor(xs).shape == (4, 1000, 1000)
    assert ops.add(xs, 1.0).shape == (4, 1000, 1000)
    assert time.perf_counter() - start < 2  # by numbers it takes half a minute
