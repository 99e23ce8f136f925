"""The border to other people's arrays, numbers and settings. Whatever an op or a layer is given, it gives what NumPy
gives in double precision, or raises a TypeError or ValueError that begins with its name: nothing else, and no warning.
"""

import datetime
import inspect
import math
import warnings
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes
from test_avg_pool2d import means
from test_conv2d import convolution
from test_dropout import dropped
from test_local_response_norm import normalised
from test_map_response_norm import normalised_within
from test_max_pool2d import maxima

from minicnn import Tensor, cpu, nn, ops

pytestmark = pytest.mark.processor
counts = Counter()  # of the calls that were tried: "right" or "refused"
REFUSED = object()  # what a value means that no op may take

# -- arrays and numbers of all kinds -----------------------------------------------------------------------------------

REAL = ["f4", "f8", "f4", "f8", "f2", "g"]
WHOLE = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
FOREIGN = ["c8", "c16", "U3", "S3", "O", "M8[s]", "m8[s]", "f4,i4"]


class Matrix(np.ndarray):
    """A subclass whose operators mean something else, as np.matrix has."""

    def __mul__(self, other):
        return "no product"

    __add__ = __rmul__ = __pow__ = __mul__


class Foreign:
    """An array of another library."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class Closed:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("this one requires a gradient")


def spread(x):
    memory = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
    memory[(slice(None, None, 2),) * x.ndim] = x
    return memory[(slice(None, None, 2),) * x.ndim]


LAYOUTS = [lambda x: x, np.asfortranarray, lambda x: np.flip(np.flip(x).copy()), lambda x: x.T.copy().T, spread,
           lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim else x]  # fmt: skip
WRAPPED = [lambda x: x] * 4 + [lambda x: x.view(Matrix), Foreign, lambda x: x.tolist(), np.ma.array, Tensor]


def numbers(dtype, shape, seed, special):
    random = np.random.default_rng(seed)
    if dtype.kind == "f":
        x = random.standard_normal(shape) * 2
        if special:
            x = np.where(random.random(shape) < 0.3, random.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], shape), x)
    elif dtype.kind in "iu":
        lowest, largest = np.iinfo(dtype).min, np.iinfo(dtype).max
        x = np.array(random.choice([lowest, 0, 1, 2, largest - 1, largest], shape) if special else
                     random.integers(max(lowest, -3), 4, shape))  # fmt: skip
    else:
        x = random.integers(0, 2, shape)
    return x.astype(dtype)


def meaning_of(x):
    """The numbers themselves: real ones in double, whole ones of Python's, which have no end; None where there are
    none."""
    if isinstance(x, np.ma.MaskedArray):
        return REFUSED
    x = np.asarray(x.numpy() if isinstance(x, Tensor) else x)
    return {"f": lambda: x.astype(np.float64), "i": lambda: x.astype(object), "u": lambda: x.astype(object),
            "b": lambda: x.astype(int).astype(object)}.get(x.dtype.kind, lambda: REFUSED)()  # fmt: skip


@st.composite
def arrays(draw, shape, dtypes=(*REAL, *REAL, *REAL, *WHOLE, *FOREIGN), special=True):
    """(an array, or what passes for one; what it means)"""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    with np.errstate(all="ignore"):
        x = numbers(dtype, shape, draw(st.integers(0, 99)), special and draw(st.booleans()))
    x = x.astype(dtype.newbyteorder(draw(st.sampled_from("===<>"))))
    x = np.asarray(draw(st.sampled_from(LAYOUTS))(x) if shape else x)
    if dtype.kind not in "fiub":
        return x, REFUSED
    x = draw(st.sampled_from(WRAPPED))(x)
    if isinstance(x, list) and dtype.kind == "f" and dtype.char != "g":
        return x, np.asarray(x, np.float32).astype(np.float64)
    if isinstance(x, Tensor) and dtype.kind == "f" and draw(st.booleans()):
        x.requires_grad = True
    return x, meaning_of(x)


NUMBERS = [2, -1, 0, 2.5, True, np.float32(0.5), np.float64(-2), np.float16(3), np.int8(-3), np.uint64(3),
           np.bool_(True), np.longdouble(2), np.array(3, np.uint8), np.array(1.5), 2**40 + 1, 1e-3]  # fmt: skip
STRANGE = [None, "a", "1", b"1", 1j, np.complex64(1), np.datetime64(1, "s"), np.timedelta64(1, "s"), Decimal(1),
           Fraction(1, 2), {}, {1: 2}, {1}, [None], ["a"], [[1], [1, 2]], object(), int, 2**70, [2**70], [2**63, -1],
           Closed(), datetime.date(2020, 1, 1), np.zeros((), "f4, i4"), np.ma.masked, np.str_("1"), lambda: 1,
           slice(None), ..., np.longdouble(10) ** 4000, [Tensor([1.0], requires_grad=True)]]  # fmt: skip


@st.composite
def values(draw, shape, **kinds):
    kind = draw(st.integers(0, 11))
    if kind == 0:
        return draw(st.sampled_from(STRANGE)), REFUSED
    if kind == 1:
        x = draw(st.sampled_from(NUMBERS))
        return x, meaning_of(x)
    return draw(arrays(shape, **kinds))


# -- settings: (what is given, what it means) --------------------------------------------------------------------------


def plain(*settings):
    return [(s, s) for s in settings]


def refused(*settings):
    return [(s, REFUSED) for s in settings]


NO_NUMBER = refused(True, np.False_, 1.0, np.float32(0), "0", "x", 1j, math.nan, {0}, {0: 1}, 2**70, object(),
                    [[0]], np.datetime64(1, "s"), (True,), (1.0,), ("0",), (None,), np.array(1.0),
                    np.ones((1, 1)))  # fmt: skip
ONE_AXIS = [*plain(0, 1, -1, -2, 3, -5), (np.int8(1), 1), (np.array(0), 0), (np.uint64(1), 1), *NO_NUMBER]
AXIS = [*plain(None, None, (), (0, 1), (-1,), (0, 0), (0, -2)), ([0], (0,)), (np.array([0, 1]), (0, 1)), *ONE_AXIS]
KEEPDIMS = [*plain(True, False, True, False), (np.True_, True), *refused(1, 0.0, None, "no", [True], np.int8(1))]
SHAPE = [*plain(-1, 6, (2, 3), (3, -1), (-1, -1), (), (0, -1), (2, 3, 1), 7), ([6], (6,)), (np.array([3, 2]), (3, 2)),
         (np.int64(6), 6), *refused(None, -2, (2, -3)), *NO_NUMBER]  # fmt: skip
AXES = [*plain(None, (0, 1), (1, 0), (-1, 0), (0, 0), (0,), (2, 0, 1)), ([1, 0], (1, 0)), *NO_NUMBER[4:]]
INDEX = [
    *plain(0, -1, 5, None, ..., (), (0, 0), slice(1, None), slice(None, None, -1), (slice(0, 9), 0), [0, 1], [], [9],
           True, np.array([1, 0], np.uint8), (..., None), np.bool_(True)),
    (Tensor([0, 1]), [0, 1]), (range(2), [0, 1]), (np.array([0, 1], ">i4"), [0, 1]),
    *refused(0.5, "0", [0.5], ["a"], {0: 1}, {0}, 1j, 2**70, np.float64(1), np.ma.array([0, 1], mask=[0, 1]),
             slice(0.5), slice("a"), [[0], [0, 1]], object(), [None]),
]  # fmt: skip


STEP = [*plain(2, 1, (1, 2)), (np.uint8(2), 2), ([2, 1], (2, 1)), (np.array([1, 2]), (1, 2)),
        *refused(0, -1, (1, 2, 3)), *NO_NUMBER]  # fmt: skip
MARGIN = [*plain(0, 1, (1, 0), ((0, 1), (1, 0))), (np.int8(1), 1), ([[0, 1], [1, 0]], ((0, 1), (1, 0))),
          *refused(-1, (0, -1), ((0, 1), 1), 4_000_000), *NO_NUMBER]  # fmt: skip
FACTOR = [(0.5, 0.5), (np.float32(0.25), 0.25), (np.array(1.5), 1.5), (1, 1), *refused(
    True, np.True_, "1", None, math.nan, math.inf, 1j, [1.0], np.ones(1), 10**400, {}, np.timedelta64(1, "s"))]


# -- what is right, in double precision or in Python's whole numbers ---------------------------------------------------


def real(function):
    return lambda *xs, **settings: function(*(None if x is None else x.astype(np.float64) for x in xs), **settings)


def shares(x, axis=-1):
    y = np.exp(x - x.max(axis=(axis % x.ndim), keepdims=True))
    return y / y.sum(axis=axis, keepdims=True)


def log_shares(x, axis=-1):
    shifted = x - x.max(axis=(axis % x.ndim), keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def loss(x, labels, weight=None):
    if labels.dtype != object or labels.shape != x.shape[:1] or not len(x):
        raise ValueError
    assert all(0 <= label < x.shape[1] for label in labels)
    each = [-row[label] for row, label in zip(log_shares(x.astype(np.float64)), labels, strict=True)]
    assert weight is None or weight.shape == x.shape[1:]
    return np.average(each, weights=None if weight is None else weight.astype(np.float64)[labels.astype(int)])


def raised(a, b):
    if a.dtype == b.dtype == object:
        assert not np.any(b < 0)
        beyond = (abs(a) > 1) & (b > 64)  # of all that fits, and Python would take its time
        return np.where(beyond, np.array(2**99, object), a ** np.where(beyond, np.array(0, object), b))
    return a.astype(np.float64) ** b.astype(np.float64)


def largest(x, axis=None, keepdims=False):
    return x.max(axis, keepdims=keepdims)


def mean(x, axis=None, keepdims=False):
    x.max(axis)  # raises where there is none
    return x.mean(axis, keepdims=keepdims)


def layer(x, w, b=None):
    assert x.ndim == w.ndim == 2
    assert b is None or b.shape == w.shape[:1]
    return x @ w.T + (0 if b is None else b)


def rectified(x):
    return np.where(x < 0, 0, x)


def normed(x, size=5, alpha=1e-4, beta=0.75, k=2.0):
    assert x.ndim > 1
    assert x.shape[1]
    return normalised(x, size, alpha, beta, k)


def normed_within(x, size=5, alpha=4e-5, beta=0.75, k=1.0):
    assert x.ndim == 4
    return normalised_within(x, size, alpha, beta, k)


def masked(x, counter, **settings):
    assert counter.dtype == object
    assert x.ndim
    return dropped(x.astype(np.float64), counter, **settings)


def pooled(x, size, stride, padding=0):
    assert np.max(padding) < np.min(size)
    return maxima(x, size, stride, padding)


def averaged(x, size, stride, padding=0, count_include_pad=True):
    assert np.max(padding) < np.min(size)
    return means(x, size, stride, padding, count_include_pad)


def joined(*xs, axis=0):
    assert all(x.ndim for x in xs)
    return np.concatenate(xs, axis)


# -- an op, its values and its settings --------------------------------------------------------------------------------

SHAPES = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
TWO = mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3).map(lambda s: s.input_shapes)
SIDE, FEW = st.integers(0, 3), {"special": False}
PICTURES = st.tuples(st.integers(0, 2), st.just(2), st.integers(3, 4), st.integers(3, 4))


def one(shapes=SHAPES, **kinds):
    return shapes.flatmap(lambda shape: st.tuples(values(shape, **kinds)))


def several(shapes, **kinds):
    return shapes.flatmap(lambda shapes: st.tuples(*(values(shape, **kinds) for shape in shapes)))


def of_tensors(values):
    return tuple((x if meaning is REFUSED or isinstance(x, Tensor) else Tensor(x), meaning) for x, meaning in values)


def weights(classes):
    """(weights of classes, what they mean), all above 0: a sum near 0 has no certain digits."""
    right = [np.arange(1, classes + 1).astype(dtype) for dtype in ("f4", "f8", ">f4", "i8", "u1", "f2")]
    right += [right[0].tolist(), Foreign(right[1]), Tensor(right[0]), np.ones(classes + 1, "f4"), np.float32(2)]
    wrong = [x for x in STRANGE if x is not None]
    return st.sampled_from([(x, meaning_of(x)) for x in right] * 3 + [(x, REFUSED) for x in wrong])


ROWS = st.tuples(SIDE, SIDE, SIDE).flatmap(lambda n: st.sampled_from(
    [((n[0], n[1]), (n[2], n[1])), ((n[0], n[1]), (n[2], n[1]), (n[2],)), ((n[0], n[1]), (n[2], n[0]), (n[1],))]))
PRODUCTS = st.tuples(SIDE, SIDE, SIDE).flatmap(lambda n: st.sampled_from(
    [(n[:2], n[1:]), ((n[1],), n[1:]), (n[:2], (n[1],)), ((2, *n[:2]), n[1:]), ((2, *n[:2]), (3, *n[1:])), (n, n)]))
SCORES = st.tuples(SIDE, st.integers(1, 3)).flatmap(lambda n: st.tuples(
    values(n), values(n[:1], dtypes=("i8", "u1", "i4", "f4", "?", "c8")), st.just((None, None)) | weights(n[1])))
IMAGES = PICTURES.flatmap(lambda shape: st.tuples(
    values(shape, **FEW), values((2, 2, 2, 3), **FEW), st.just((None, None)) | values((2,), **FEW)))  # fmt: skip
COUNTED = st.tuples(st.integers(0, 5), SIDE).flatmap(lambda n: st.tuples(
    values(n), values((2,), dtypes=("u1", "u4", "f4"), special=False)))  # fmt: skip
LISTED = st.lists(values((2, 3)), min_size=2, max_size=3).map(tuple)
OF_ONE = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "relu": rectified,
          "half": lambda x: x, "float": lambda x: x}  # fmt: skip
CALLS = {  # name: (values, settings, what is right)
    **{name: (one(), {}, real(function)) for name, function in OF_ONE.items()},
    "negative": (one(), {}, lambda x: -x),
    "add": (several(TWO), {}, np.add), "subtract": (several(TWO), {}, np.subtract),
    "multiply": (several(TWO), {}, np.multiply), "divide": (several(TWO), {}, real(np.divide)),
    "power": (several(TWO), {}, raised),
    "sum": (one(), {"axis": AXIS, "keepdims": KEEPDIMS}, np.sum),
    "mean": (one(), {"axis": AXIS, "keepdims": KEEPDIMS}, real(mean)),
    "max": (one(), {"axis": AXIS, "keepdims": KEEPDIMS}, largest),
    "softmax": (one(), {"axis": [*ONE_AXIS, *refused(None, (0,))]}, real(shares)),
    "log_softmax": (one(), {"axis": [*ONE_AXIS, *refused(None, (0,))]}, real(log_shares)),
    "reshape": (one(st.sampled_from([(2, 3), (6,), (3, 1, 2), (0, 3), (7,), (1,), ()])), {"shape": SHAPE},
                lambda x, shape: x.reshape(shape)),
    "flatten": (one(), {}, lambda x: x.reshape(x.shape[0], math.prod(x.shape[1:]))),
    "transpose": (one(st.sampled_from([(2, 3), (0, 1), (2, 3, 1)])), {"axes": AXES}, lambda x, axes: x.transpose(axes)),
    "getitem": (one(), {"index": INDEX}, lambda x, index: x[index]),
    "concatenate": (LISTED, {"axis": [*ONE_AXIS, *refused(None, (0,))]}, joined),
    "linear": (several(ROWS), {}, real(layer)), "matmul": (several(PRODUCTS), {}, np.matmul),
    "cross_entropy": (SCORES, {}, loss),
    "conv2d": (IMAGES, {"stride": STEP, "padding": MARGIN, "groups": [*plain(1), *refused(3, 0), *NO_NUMBER]},
               real(convolution)),
    "max_pool2d": (one(PICTURES, **FEW), {"size": [*plain(2, 3, 9, (2, 3)), *STEP[1:]], "stride": STEP,
                                          "padding": MARGIN}, real(pooled)),
    "avg_pool2d": (one(PICTURES, **FEW), {"size": [*plain(2, 3, 9, (2, 3)), *STEP[1:]], "stride": STEP,
                                          "padding": MARGIN, "count_include_pad": KEEPDIMS}, real(averaged)),
    "local_response_norm": (one(PICTURES), {"size": [*plain(1, 3, 5), (np.int8(3), 3), *refused(2, 0, -1), *NO_NUMBER],
                                            "alpha": FACTOR, "beta": FACTOR, "k": FACTOR}, real(normed)),
    "map_response_norm": (one(PICTURES), {"size": [*plain(1, 3, 9), (np.int8(3), 3), *refused(2, 0, -1), *NO_NUMBER],
                                          "alpha": FACTOR, "beta": FACTOR, "k": FACTOR}, real(normed_within)),
    "dropout": (COUNTED, {"p": [*FACTOR[:2], *refused(1, -0.5), *FACTOR[4:]], "inverted": KEEPDIMS} | {
        name: [*plain(0, 7), (np.uint8(3), 3), *refused(-1, 2**32), *NO_NUMBER]
        for name in ("first_unit", "first_image")}, masked),
    "to_device": (one().map(of_tensors), {"device": [*plain(cpu(0), cpu(1)), *refused("cpu", None, 0, "cuda")]},
                  lambda x, device: x),
}  # fmt: skip


def test_every_op_and_every_layer_is_called():
    assert {name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))} == set(CALLS)
    layers = [getattr(nn, name) for name in nn.__all__ if isinstance(getattr(nn, name), type)]
    layers = {layer.__name__ for layer in layers if issubclass(layer, nn.Module)}
    assert layers - {"Module", "Sequential"} == set(LAYERS)


def call(name, function, values, settings, right, names, parameters=()):
    """Call the function, and hold what comes against what is right."""
    given = [v for v, _ in values]
    meanings = [None if i == 2 and v is None else m for i, (v, m) in enumerate(values)]  # a bias may be left out
    told = {key: s for key, (s, _) in settings.items()}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert not any(meant is REFUSED for meant in [*meanings, *(meant for _, meant in settings.values())])
            expected = np.asarray(right(*meanings, **{key: meant for key, (_, meant) in settings.items()}))
    except Exception:
        expected = REFUSED
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            y = function(*given, **told)
    except (TypeError, ValueError) as error:
        assert str(error).startswith(tuple(f"{n}: " for n in names)), f"an error not ours: {error!r}"
        assert expected is REFUSED or not sound([*given, *parameters]), f"{name} refused what is right: {error}"
        counts[name, "refused"] += 1
        return
    assert expected is not REFUSED, f"{name} took it in silence: {y!r}"
    compare(name, y.numpy(), expected, meanings, any(is_double(x) for x in given))
    counts[name, "right"] += 1


def sound(given):
    """Whether all are arrays of NumPy, or tensors, of one type, single or double: no op may refuse these as inputs."""
    types = [x.dtype.newbyteorder("=") for x in given if type(x) in (np.ndarray, Tensor) and x.ndim]
    return len(types) == len(given) and set(types) in ({np.dtype(np.float32)}, {np.dtype(np.float64)})


def is_double(x):
    if isinstance(x, list):
        return np.asarray(x).dtype.char == "g"  # holds numbers that Python cannot write
    x = x if hasattr(x, "dtype") else np.asarray(x)
    return x.dtype.kind == "f" and x.dtype.itemsize >= 8 and (isinstance(x, Tensor) or x.ndim > 0)


def compare(name, y, expected, meanings, double):
    assert y.shape == expected.shape
    if y.dtype.kind in "iub":
        assert expected.dtype == object or expected.dtype.kind in "iub", f"{name} made whole numbers of real ones"
        assert all(a == b for a, b in zip(y.ravel().tolist(), expected.ravel().tolist(), strict=True)), (y, expected)
        return
    assert y.dtype == (np.float16 if name == "half" else np.float32 if name == "float" or not double else np.float64)
    tolerance = {np.float16: 2e-3, np.float32: 2e-5, np.float64: 1e-11}[y.dtype.type]
    with np.errstate(all="ignore"):
        expected = expected.astype(np.float64)
        sizes = [np.abs(m.astype(np.float64)) for m in meanings if m is not None and name not in ("power", "divide")]
        scale = max([1.0, *(s[np.isfinite(s)].max(initial=0) for s in sizes)])
        scale = scale**2 if name in ("linear", "matmul", "conv2d") else scale
        allowed = tolerance * (scale + np.abs(expected))
        rounded = expected.astype(y.dtype)  # beyond the range of the type lies ∞
        good = (np.abs(y - expected) <= allowed) | (y == rounded) | (np.isnan(y) & np.isnan(expected))
    assert good.all(), f"{name}: {y}, expected {expected}"


def mostly(choices):
    """Settings that some call may take: else most calls were refused for their settings."""
    return st.sampled_from([(setting, meaning) for setting, meaning in choices if meaning is not REFUSED])


@pytest.mark.parametrize("name", CALLS)
@given(data=st.data())
def test_an_op_is_right_or_refuses(name, data):
    values, settings, right = CALLS[name]
    drawn = {key: data.draw(st.sampled_from(choices) | mostly(choices), key) for key, choices in settings.items()}
    call(name, getattr(ops, name), data.draw(values, "values"), drawn, right, {name})


LAYERS = {  # name: (a layer, what it is given, the op that it is, and with what)
    "Linear": (nn.Linear(3, 2), one(st.sampled_from([(2, 3), (0, 3), (3,), (2, 2)])), "linear", {}),
    "Conv2d": (nn.Conv2d(2, 3, 3, padding=1), one(PICTURES, **FEW), "conv2d", {"padding": 1}),
    "MaxPool2d": (nn.MaxPool2d(2, 1), one(PICTURES, **FEW), "max_pool2d", {"size": 2, "stride": 1}),
    "AvgPool2d": (nn.AvgPool2d(2, 1), one(PICTURES, **FEW), "avg_pool2d", {"size": 2, "stride": 1}),
    "LocalResponseNorm": (nn.LocalResponseNorm(3), one(PICTURES), "local_response_norm", {"size": 3}),
    "MapResponseNorm": (nn.MapResponseNorm(3), one(PICTURES), "map_response_norm", {"size": 3}),
    "ReLU": (nn.ReLU(), one(), "relu", {}),
    "Tanh": (nn.Tanh(), one(), "tanh", {}),
    "Flatten": (nn.Flatten(), one(), "flatten", {}),
    "Dropout": (nn.Dropout(0.25, inverted=False).eval(), one(), "multiply", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data())
def test_a_layer_is_its_op(name, data):
    layer, values, op, settings = LAYERS[name]
    parameters = [p.numpy().astype(np.float64) for _, p in layer.named_parameters()]
    parameters += [np.array(0.75)] if name == "Dropout" else []

    def right(x):
        return CALLS[op][2](x, *parameters, **settings)

    ((x, meaning),) = data.draw(values, "values")
    if meaning is REFUSED:
        with pytest.raises((TypeError, ValueError), match=r"^Tensor: "):
            Tensor(x)
    else:
        call(op, layer, of_tensors([(x, meaning)]), {}, right, {op, name},
             [p for _, p in layer.named_parameters()])
