"""What every op does with what it is given: one rule for types, and errors that begin with its name."""

from decimal import Decimal

import numpy as np
import pytest

from minicnn import Tensor, cpu, ops
from minicnn.engine.op import op

pytestmark = pytest.mark.processor
X = Tensor(np.ones((2, 3), np.float32))
SMALL, LARGE = np.array([100, 100, -128], np.int8), np.array([2**62, -(2**62), 1])
BYTES, TOP = np.array([200, 3, 0], np.uint8), np.array([2**63 - 1])


@pytest.mark.parametrize("make, expected", [
    (lambda: ops.add(SMALL, SMALL), [200, 200, -256]), (lambda: ops.multiply(SMALL, SMALL), [10000, 10000, 16384]),
    (lambda: ops.negative(BYTES), [-200, -3, 0]), (lambda: ops.subtract(BYTES, 201), [-1, -198, -201]),
    (lambda: ops.subtract([True, False], [True, True]), [0, -1]), (lambda: ops.add([True], [True]), [2]),
    (lambda: ops.negative([True]), [-1]), (lambda: ops.power(BYTES, 3), [8000000, 27, 0]),
    (lambda: ops.sum(np.full(300, 255, np.uint8)), 76500), (lambda: ops.sum([True, True]), 2),
    (lambda: ops.matmul(SMALL, SMALL), 36384), (lambda: ops.add(LARGE, LARGE[::-1]), [2**62 + 1, -(2**63), 2**62 + 1]),
    (lambda: ops.add(TOP, 0), [2**63 - 1]), (lambda: ops.add(np.array([2**63], np.uint64), -1), [2**63 - 1]),
    (lambda: ops.sum(np.array([2**62, 2**62, -(2**62), -(2**62), 7])), 7),
])  # fmt: skip
def test_whole_numbers_are_computed_in_64_bits(make, expected):
    y = make()
    assert y.dtype == np.int64
    assert y.numpy().tolist() == expected


@pytest.mark.parametrize("name, given", [
    ("add", (TOP, 1)), ("add", (LARGE, LARGE)), ("subtract", (-TOP, [2])), ("multiply", (LARGE, 2)), ("power",
    (BYTES, 9)),
    ("power", ([10], 30)), ("negative", (-TOP - 1,)), ("sum", (np.full(3, 2**62),)), ("matmul", (LARGE, LARGE)),
    ("sum", (np.array([2**63], np.uint64),)), ("multiply", (np.array([2**63], np.uint64), 1)),
])  # fmt: skip
def test_whole_numbers_never_wrap_around(name, given):
    with pytest.raises(ValueError, match=f"^{name}: a result is beyond the whole numbers of 64 bits: give"):
        getattr(ops, name)(*given)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64, np.bool_])
@pytest.mark.parametrize("name, right", [
    ("exp", np.exp), ("tanh", np.tanh), ("mean", np.mean), ("relu", lambda x: x), ("log", np.log),
    ("softmax", lambda x: np.exp(x) / np.exp(x).sum()), ("log_softmax", lambda x: x - np.log(np.exp(x).sum())),
    ("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("float", lambda x: x), ("divide", lambda x: x / np.float64(3)),
])  # fmt: skip
def test_everything_else_takes_them_as_real_numbers(name, right, dtype):
    x = np.array([1, 2, 7]).astype(dtype)
    y = getattr(ops, name)(x, *[3] * (name == "divide"))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), right(x.astype(np.float64)), rtol=1e-6, atol=1e-6)


def test_large_whole_numbers_lose_nothing_on_the_way_to_real_ones():
    assert ops.softmax([2**24, 2**24 + 1]).numpy().tolist() == pytest.approx([0.26894, 0.73106], abs=1e-5)
    assert (Tensor([-1.0]) ** (2**24 + 1)).item() == -1
    assert (Tensor([-1.0]) ** np.array([2**24 + 1])).item() == -1
    assert (Tensor([0.0]) * 1e300).item() == (Tensor([0.0]) / 1e-300).item() == 0


def test_what_moves_or_picks_numbers_keeps_their_type():
    for dtype in (np.uint8, np.int16, np.uint64, np.bool_, np.float32, np.float64):
        x = np.ones((2, 3), dtype)
        ys = [ops.reshape(x, shape=6), ops.flatten(x), ops.transpose(x), ops.getitem(x, index=0), ops.max(x),
              ops.concatenate(x, x)]  # fmt: skip
        assert {y.dtype for y in ys} == {np.dtype(dtype)}


def test_beside_real_numbers_whole_ones_take_their_type():
    w, pixels = np.ones((4, 3), np.float32), np.full((2, 3), 255, np.uint8)
    for dtype in (np.float32, np.float64):
        y = ops.linear(pixels, w.astype(dtype), np.zeros(4, dtype))
        assert (y.dtype, y.numpy()[0, 0]) == (dtype, 765)
        assert (ops.matmul(pixels, w.T.astype(dtype)).numpy() == 765).all()
    images = np.full((1, 1, 3, 3), 255, np.uint8)
    assert ops.conv2d(images, np.ones((1, 1, 3, 3), np.float32)).numpy().item() == 2295


@pytest.mark.parametrize("call, match", [
    (lambda: ops.linear(X, np.ones((4, 3))), "linear: x is float32, w float64: give all one type"),
    (lambda: ops.linear(X, np.ones((4, 3), np.float32), np.ones(4)), "linear: x is float32, w float32, b float64"),
    (lambda: X @ np.ones((3, 2)), "matmul: a is float32, b float64"),
    (lambda: ops.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3), np.float32)), "conv2d: x is float64, w float32"),
])  # fmt: skip
def test_sums_of_products_take_one_type_of_real_numbers(call, match):
    with pytest.raises(ValueError, match=f"^{match}"):
        call()


NUMBERS = [np.complex64(1j), 1j, np.longdouble(10) ** 4000, np.datetime64("2020"), np.timedelta64(1, "s"), Decimal(1),
           "1", None, np.zeros((), "f4,i4"), np.ma.masked, 2**63, -(2**70)]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "matmul", "linear"])
def test_numbers_are_looked_at_as_arrays_are(name, number):
    for given in (X, number), (number, X):
        with pytest.raises((TypeError, ValueError), match=f"^{name}: "):
            getattr(ops, name)(*given)


@pytest.mark.parametrize("call, error, match", [
    (lambda: ops.relu(X, inplace=True), TypeError, r"relu: .*'inplace': write relu\(x\)"),
    (lambda: ops.softmax(X, 1), TypeError, r"softmax: too many positional arguments: write softmax\(x, \*, axis=-1\)"),
    (lambda: ops.sum(X, dim=1), TypeError, r"sum: .*'dim': write sum\(x, \*, axis=None, keepdims=False\)"),
    (lambda: ops.linear(X), TypeError, "linear: missing a required argument: 'w'"),
    (lambda: ops.reshape(X), TypeError, "reshape: .*'shape'"), (lambda: ops.relu(None), TypeError, "relu: NoneType"),
    (lambda: ops.concatenate([X, X], 1), TypeError, "concatenate: a list and 1 more: give all in the list"),
    (lambda: ops.concatenate(X, X, 1), ValueError, r"concatenate: input 0 has shape \(2, 3\), input 2 \(\)"),
    (lambda: ops.concatenate(), ValueError, "concatenate: there are no arrays"),
    (lambda: ops.concatenate([]), ValueError, "concatenate: there are no arrays"),
    (lambda: ops.concatenate(np.uint64([1]), [1]), ValueError, "concatenate: no type .* uint64 and int64"),
    (lambda: ops.power([2], -1), ValueError, "power: a whole number to a negative power"),
    (lambda: X + np.ones(4), ValueError, r"add: shapes \(2, 3\) and \(4,\) do not fit"),
    (lambda: ops.matmul(np.ones((2, 1, 3)), np.ones((3, 3, 1))),
    ValueError, r"matmul: a \(2, 1, 3\) and b \(3, 3, 1\)"),
    (lambda: ops.softmax(np.ones((2, 0))), ValueError, r"softmax: axis 1 of shape \(2, 0\) is empty"),
    (lambda: ops.log_softmax(3.0), ValueError, "log_softmax: axis -1 is out of bounds: a single number has no axes"),
    (lambda: ops.mean(np.ones((0, 2))), ValueError, r"mean: no mean over axes \(0, 1\)"),
    (lambda: ops.flatten(2.0), ValueError, "flatten: x has no axes"),
    (lambda: ops.cross_entropy(X, ["a", "b"]), TypeError, "cross_entropy: <U1"),
    (lambda: X.to("cpu"), TypeError, "to_device: .*'cpu'"), (lambda: ops.to_device(1.0, cpu(1)),
    TypeError, "to_device"),
    (lambda: X[5], IndexError, "getitem: index 5 is out of bounds for axis 0 with size 2"),
    (lambda: X["a"], IndexError, "getitem: 'a' is no index"), (lambda: X[0.5], ValueError, "getitem: 0.5 is no index"),
    (lambda: X[np.ma.array([0, 1], mask=[0, 1])], ValueError, "getitem: .*masked.* is no index"),
    (lambda: X[{"a": 1}], ValueError, "getitem: .* is no index"), (lambda: X[0, 0, 0], IndexError, "getitem: too many"),
    (lambda: X.sum(True), TypeError, "sum: axis is True"), (lambda: X.max(1.0), TypeError, "max: axis is 1.0"),
    (lambda: X.mean((0, 0)), ValueError, r"mean: axis is \(0, 0\): a repeated axis"),
    (lambda: X.sum(0, keepdims=1), TypeError, "sum: keepdims is 1"), (lambda: X.reshape(2.0, 3),
    TypeError, "reshape: shape"),
    (lambda: X.reshape(-1, -1), ValueError, r"reshape: cannot turn shape \(2, 3\), size 6 into shape \(-1, -1\)"),
    (lambda: X.transpose(0), ValueError, r"transpose: axes \(0,\) of shape \(2, 3\): name each of the 2 once"),
])  # fmt: skip
def test_what_does_not_fit_is_told_under_the_name_of_the_op(call, error, match):
    with pytest.raises(error, match=f"^{match}"):
        call()


@pytest.mark.parametrize("error, kind", [
    (TypeError, TypeError), (AttributeError, TypeError), (ValueError, ValueError), (IndexError, IndexError),
    (KeyError, ValueError), (OverflowError, ValueError), (ZeroDivisionError, ValueError),
])  # fmt: skip
def test_whatever_else_goes_wrong_inside_of_an_op_comes_out_under_its_name(error, kind):
    @op
    def breaks(x):
        raise error("inside")

    with pytest.raises(kind, match=r"^breaks: '?inside") as caught:
        breaks(1.0)
    assert isinstance(caught.value, (TypeError, ValueError))
    assert isinstance(caught.value.__cause__, error)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, RuntimeError, NotImplementedError])
def test_what_is_no_fault_of_the_caller_goes_through(error):
    @op
    def breaks(x):
        raise error("inside")

    with pytest.raises(error, match=r"^inside"):
        breaks(1.0)


def test_infinity_and_nan_are_values_without_a_warning():
    x = Tensor([-1.0, 0.0, np.inf, np.nan, 1e30], requires_grad=True)
    for y in (ops.log(x), ops.divide(1.0, x), ops.exp(x), x * x, ops.softmax(x), ops.power(x, 0.5), ops.relu(x)):
        y.backward(np.ones(5))
    assert ops.divide([1, 0], 0).numpy()[0] == np.inf
    assert ops.softmax([1.0, -np.inf]).numpy().tolist() == [1, 0]
    assert np.isnan(ops.softmax([1.0, np.inf]).numpy()).all()
