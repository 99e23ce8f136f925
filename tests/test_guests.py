"""Tensors in other people's Python: numbers, sequences, comparison, copies, NumPy's functions; and help for all.

Each is as Python, NumPy and PyTorch have it, or one error that names the way: never silence.
"""

# ruff: noqa: SIM300 - who stands on which side is what is tried
import copy
import inspect
import math
import operator
import pickle
import pydoc
import re
import threading
import time

import numpy as np
import pytest
from helpers import agree, distinct, normal

import minicnn
from minicnn import Tensor, cpu, gradcheck, nn, no_grad, ops, optim
from minicnn.engine.device import current_device


def parameter(*shape, seed=0):
    return Tensor(normal(*shape, seed=seed), requires_grad=True)


ONE, MANY = Tensor(3.14159), Tensor([[1.0, 2.0], [3.0, 4.0]])


# -- a number ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ask", "answer"), [
    (lambda t: f"{t:.3f}", "3.142"), (lambda t: f"{t:>8.2e}", "3.14e+00"), (lambda t: f"{t}", repr(ONE)),
    (lambda t: f"{Tensor([[7]]):03d}", "007"), (lambda t: f"{3:.{int(t)}f}", "3.000"), (int, 3), (bool, True),
    (lambda t: round(t, 2), 3.14), (round, 3), (lambda t: complex(t).imag, 0.0), (math.floor, 3),
    (lambda t: float(Tensor([[2.5]])), 2.5), (lambda t: int(Tensor([7])), 7), (lambda t: bool(Tensor([0.0])), False),
    (lambda t: operator.index(Tensor(5)), 5), (lambda t: "abc"[Tensor(np.uint8(1))], "b"),
    (lambda t: [0, 1, 2, 3][Tensor(1) : Tensor(3)], [1, 2]), (lambda t: list(range(Tensor(2))), [0, 1]),
    (lambda t: MANY.tolist(), [[1.0, 2.0], [3.0, 4.0]]), (lambda t: type(Tensor([2]).item()), int),
])  # fmt: skip
def test_a_tensor_of_one_element_is_a_number(ask, answer):
    assert ask(ONE) == answer


@pytest.mark.parametrize(("ask", "error", "words"), [
    (lambda: f"{MANY:.3f}", TypeError, r"format '.3f': .* shape \(2, 2\) is not one number"),
    (lambda: f"{Tensor(np.zeros(0)):.3f}", TypeError, "format"), (lambda: int(MANY), TypeError, "int: "),
    (lambda: float(MANY), TypeError, "float: "), (lambda: complex(MANY), TypeError, "complex: "),
    (lambda: round(MANY), TypeError, "round: "), (MANY.item, ValueError, "item: "),
    (lambda: Tensor(np.zeros(0)).item(), ValueError, r"item: .* shape \(0,\)"),
    (lambda: bool(MANY), ValueError, r"bool: .*\.any\(\) or \.all\(\)"),
    (lambda: bool(Tensor(np.zeros(0))), ValueError, "bool: "),
    (lambda: operator.index(ONE), TypeError, "one whole number without axes, this is float32"),
    (lambda: [1, 2][Tensor([1])], TypeError, r"int64 of shape \(1,\)"),
    (lambda: [1, 2][Tensor(True)], TypeError, "this is bool"),
    (lambda: len(ONE), TypeError, "len: "), (lambda: list(ONE), TypeError, "iteration: "),
    (lambda: 3.0 in list(ONE), TypeError, "iteration: "),
    (lambda: MANY.view(4), AttributeError, r"no .view: t\.reshape"),
    (lambda: MANY.clip(0, 1), AttributeError, r"no .clip: t\.numpy\(\)\.clip"),
    (lambda: MANY.reshpe(4), AttributeError, "'Tensor' object has no attribute 'reshpe'"),
])  # fmt: skip
def test_what_it_is_not_is_said(ask, error, words):
    with pytest.raises(error, match=words):
        ask()


# -- a sequence --------------------------------------------------------------------------------------------------------


def test_it_is_gone_through_along_its_first_axis_and_gradients_come_back():
    x = parameter(3, 2)
    rows = list(x)
    assert [row.shape for row in rows] == [(2,)] * 3
    a, b, c = x
    (a * b - c).sum().backward()
    agree(x.grad.numpy(), np.stack([x.numpy()[1], x.numpy()[0], [-1, -1]]))
    assert list(Tensor(np.zeros((0, 3)))) == []
    assert [float(y) for y in reversed(Tensor([1.0, 2.0]))] == [2, 1]
    assert sum(Tensor([1.0, 2.0])).item() == max(Tensor([1.0, 3.0, 2.0])).item() == 3


def test_in_asks_every_element():
    assert 3 in MANY
    assert 5 not in MANY
    assert [3, 4] in MANY
    assert Tensor(2.0, device=MANY.device) in MANY
    assert "a" not in MANY
    assert None not in MANY


# -- comparison --------------------------------------------------------------------------------------------------------

COMPARE = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
BESIDE = [2, 2.0, True, np.float64(2), np.int8(2), [2.0, 3.0], (1, 4), np.array([[2], [3]]), np.array(2.0, np.float32),
          np.array([1, 3], ">i2"), np.zeros((0, 1, 1))]  # fmt: skip


@pytest.mark.parametrize("other", BESIDE, ids=repr)
@pytest.mark.parametrize("compare", COMPARE)
def test_comparison_is_numpys_on_either_side_and_carries_no_gradient(compare, other):
    x = Tensor(MANY, requires_grad=True)
    expected = compare(x.numpy(), other)
    for answer, right in ((compare(x, other), expected), (compare(other, x), compare(np.asarray(other), x.numpy())),
                          (compare(x, Tensor(other)), expected)):  # fmt: skip
        assert (type(answer), answer.dtype, answer.requires_grad) == (Tensor, bool, False)
        np.testing.assert_array_equal(answer.numpy(), right)


def test_a_number_of_python_is_as_precise_as_the_tensor():
    for dtype in (np.float32, np.float64):
        x = Tensor(np.array([0.1, 0.3], dtype))
        assert (x == [0.1, 0.3]).all()
        assert (x[0] == 0.1) & (0.3 == x[1])
    assert (Tensor([np.nan]) != np.nan).all()


def test_what_is_no_number_is_not_equal_and_not_less():
    for other in (None, "a", b"a", 1j, {}, {1}, object(), ["a", "b"], nn.ReLU()):
        assert (MANY == other) is False
        assert (MANY != other) is True
        with pytest.raises(TypeError, match="'<' not supported between instances of 'Tensor' and"):
            MANY < other  # noqa: B015
    with pytest.raises(ValueError, match=r"equal: shapes \(2, 2\) and \(3,\) do not broadcast"):
        MANY == [1, 2, 3]  # noqa: B015
    with pytest.raises(ValueError, match=r"lives on .* on cpu\(1\)"):
        MANY < Tensor(1.0, device=cpu(1))  # noqa: B015


def test_masks_are_combined_and_asked():
    x = parameter(5, 4)
    v = x.numpy()
    middle = (x > -1) & (x < 1) | ~(x < 2) ^ (1 <= x)
    np.testing.assert_array_equal(middle.numpy(), (v > -1) & (v < 1) | ~(v < 2) ^ (v >= 1))
    np.testing.assert_array_equal((True & (x > 0)).numpy(), v > 0)
    np.testing.assert_array_equal((x > 0).any(1).numpy(), (v > 0).any(1))
    np.testing.assert_array_equal((x > 0).all(axis=(0, 1), keepdims=True).numpy(), [[False]])
    x[x > 0].sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), v > 0)
    with pytest.raises(TypeError, match=r"bitwise_and: float.* have no bits"):
        x & 1


def test_tensors_are_told_apart_as_keys_by_what_they_are_not_what_they_hold():
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    assert len({x, y, x}) == len({x: 1, y: 2}) == 2
    assert x in {x}
    assert y not in {x}
    with minicnn.trace() as t:  # which counts leaves too
        (x * y + x).sum()
    assert [step.inputs for step in t.steps] == [[-1, -1], [0, -1], [1]]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, np.int64(1)])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_where_the_most_is(name, axis, keepdims):
    for values in (distinct(3, 4), np.array([[1.0, np.nan, np.nan], [2.0, 2.0, 1.0]]), np.array([[3, 1], [1, 3]])):
        x = Tensor(values, requires_grad=values.dtype == float)
        expected = getattr(values, name)(axis, keepdims=keepdims)
        for answer in (getattr(x, name)(axis, keepdims), getattr(np, name)(x, axis, keepdims=keepdims)):
            assert (answer.dtype, answer.requires_grad) == (np.int64, False)
            np.testing.assert_array_equal(answer.numpy(), expected)
    assert Tensor(5.0).argmax().item() == 0


@pytest.mark.parametrize(("ask", "error", "words"), [
    (lambda: MANY.argmax(2), ValueError, "argmax: axis 2 is out of bounds"),
    (lambda: MANY.argmax(True), TypeError, "argmax: axis is True"),
    (lambda: MANY.argmin(1.0), TypeError, "argmin: axis is 1.0"),
    (lambda: Tensor(np.zeros((2, 0))).argmax(1), ValueError, r"argmax: no element .* shape \(2, 0\)"),
    (lambda: Tensor(np.zeros((2, 0))).argmax(), ValueError, "argmax: no element"),
    (lambda: np.argmax(MANY, out=np.zeros(1)), TypeError, "argmax: .*out="),
    (lambda: MANY.any(keepdims=1), TypeError, "any: keepdims is 1"),
    (lambda: MANY.all((0, 0)), ValueError, "all: .*repeated axis"),
])  # fmt: skip
def test_where_nothing_is_asked_for(ask, error, words):
    with pytest.raises(error, match=f"^{words}"):
        ask()


# -- other operators ---------------------------------------------------------------------------------------------------


def test_abs_and_plus():
    gradcheck(abs, distinct(3, 4) + 0.001)
    x = Tensor([-2.0, 0.0, np.nan], requires_grad=True)
    y = abs(x)
    np.testing.assert_array_equal(y.numpy(), [2, 0, np.nan])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [-1, 0, np.nan])
    assert +x is x
    for whole in (np.array([3, 1], np.uint8), np.array([-3, 2]), np.array([True])):
        np.testing.assert_array_equal(abs(Tensor(whole)).numpy(), abs(whole))


# -- NumPy -------------------------------------------------------------------------------------------------------------


@pytest.mark.processor
def test_asarray_is_the_memory_itself_for_reading_and_a_copy_where_one_is_asked_for():
    x = parameter(64, 3, 200, 200)
    begun = time.perf_counter()
    values = np.asarray(x)
    assert time.perf_counter() - begun < 0.1
    assert np.shares_memory(values, x.data)
    assert not values.flags.writeable
    for copied in (np.array(x[:1]), np.asarray(x[:1], np.float32), np.array(x[:1], np.int64)):
        assert copied.flags.writeable
        assert not np.shares_memory(copied, x.data)
    assert np.array(x[:1], copy=False).shape == (1, 3, 200, 200)
    with pytest.raises(ValueError, match=r"float64 on .* by a copy alone"):
        np.array(x, np.float32, copy=False)


@pytest.mark.parametrize("device", [cpu(0), cpu(1)])
def test_numpy_reads_tensors_wherever_they_are(device):
    x = Tensor(normal(2, 3), device=device)
    for values in (np.asarray(x), np.array(x), np.asanyarray(x), np.vstack([x]), np.array([x])[0], x.__array__()):
        np.testing.assert_array_equal(values, normal(2, 3))
    assert np.asarray(Tensor(3)).shape == ()
    here = np.zeros((2, 3))
    here[...] = x
    np.testing.assert_array_equal(here, normal(2, 3))
    assert np.arange(9)[Tensor([2])].shape == (1,)


@pytest.mark.parametrize(("numpys", "ours"), [
    (np.sum, Tensor.sum), (lambda x: np.sum(x, axis=1, keepdims=True), lambda x: x.sum(1, keepdims=True)),
    (np.mean, Tensor.mean), (lambda x: np.mean(x, 0), lambda x: x.mean(0)), (np.max, Tensor.max),
    (lambda x: np.amax(x, axis=(0, 1)), Tensor.max), (np.exp, Tensor.exp), (np.log, Tensor.log), (np.tanh, Tensor.tanh),
    (np.negative, lambda x: -x), (np.abs, abs), (np.square, lambda x: x * x), (np.sqrt, lambda x: x**0.5),
    (lambda x: np.add(x, 1), lambda x: x + 1), (lambda x: np.ones((2, 3)) - x, lambda x: 1 - x),
    (lambda x: np.ones(3) / x, lambda x: 1 / x), (lambda x: np.float64(2) ** x, lambda x: 2**x),
    (lambda x: np.ones((4, 2)) @ x, lambda x: ops.matmul(np.ones((4, 2)), x)),
    (np.transpose, lambda x: x.T), (lambda x: np.transpose(x, (1, 0)), lambda x: x.transpose(1, 0)),
    (lambda x: np.reshape(x, (3, 2)), lambda x: x.reshape(3, 2)),
    (lambda x: np.reshape(x, -1), lambda x: x.reshape(-1)),
    (lambda x: np.concatenate([x, np.ones((2, 3)), x], axis=0), lambda x: ops.concatenate(x, np.ones((2, 3)), x)),
    (np.positive, lambda x: x * 1), (lambda x: np.multiply(np.float32(2), x), lambda x: 2 * x),
])  # fmt: skip
def test_numpys_functions_are_ours_where_there_is_one_and_gradients_come_back(numpys, ours):
    x, y = (Tensor(np.abs(normal(2, 3)) + 0.5, requires_grad=True) for _ in range(2))
    a, b = numpys(x), ours(y)
    assert type(a) is Tensor
    agree(a.numpy(), b.numpy())
    u = normal(*a.shape, seed=1)
    a.backward(u), b.backward(u)
    agree(x.grad.numpy(), y.grad.numpy())


LOSING = [lambda x: np.clip(x, 0, 1), lambda x: np.maximum(x, 0), np.sin, np.linalg.norm, np.var, np.cumsum, np.sort,
          lambda x: np.stack([x, x]), lambda x: np.where(x > 0, x, 0), lambda x: np.add.reduce(x), np.ravel, np.floor,
          lambda x: np.dot(x, x), lambda x: np.einsum("i,i", x, x), np.nanmean, lambda x: np.add(x, 1, where=True),
          np.unique, np.squeeze, lambda x: np.split(x, 3), lambda x: np.arctan2(1.0, x), np.diff]  # fmt: skip


@pytest.mark.parametrize("function", LOSING)
def test_numpys_other_functions_take_values_and_lose_no_gradient(function):
    with pytest.raises(TypeError, match=r"^np\.\w+: the gradient of a tensor does not go through it: .*t\.numpy\(\)"):
        function(parameter(3))
    with no_grad():
        right = function(parameter(3))
    plain = function(Tensor(normal(3)))
    expected = function(normal(3))
    for got in (plain, right):
        assert not isinstance(got, Tensor)
        np.testing.assert_array_equal(got, expected)


def test_what_numpy_says_of_a_parameter_that_is_no_real_number_has_no_gradient():
    x = parameter(2, 3)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((2, 3), 2, 6, 3)
    assert np.isfinite(x).all()
    assert np.allclose(x, normal(2, 3))
    assert np.array_equal(x, normal(2, 3))
    np.testing.assert_allclose(x, normal(2, 3))
    assert "[" in np.array2string(x)
    assert not np.zeros_like(x).any()
    assert np.full_like(x, 3).shape == np.empty_like(x).shape == (2, 3)
    with pytest.raises(TypeError, match="full_like: the gradient"):
        np.full_like(x, x[0, 0])
    assert np.argsort(x).shape == (2, 3)


def test_in_place_into_an_array():
    here = np.ones((2, 2))
    there = here
    here += MANY
    assert here is there
    np.testing.assert_array_equal(here, [[2, 3], [4, 5]])
    for write in (lambda a: a.__iadd__(parameter(2, 2)), lambda a: np.exp(parameter(2, 2), out=a),
                  lambda a: np.add(1, 1, out=MANY)):  # fmt: skip
        with pytest.raises(TypeError, match=r"gradient of a tensor does not go through|cannot be its out="):
            write(here)
    np.testing.assert_array_equal(here, [[2, 3], [4, 5]])
    for reduce, name in ((np.sum, "dtype"), (np.sum, "out"), (np.mean, "dtype"), (np.mean, "out"), (np.max, "out"),
                         (np.any, "out"), (np.argmax, "out")):  # fmt: skip
        with pytest.raises(TypeError, match=f"{reduce.__name__}: dtype= and out= are not for tensors"):
            reduce(MANY, **{name: np.float64})


# -- writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [lambda w: (w * 2)[0], lambda w: w[0], lambda w: [w[0, 0], 1.0],
                                   lambda w: (1, w[0, 1])])  # fmt: skip
def test_what_is_written_into_a_tensor_loses_no_gradient_in_silence(value):
    t, w = Tensor(np.zeros((2, 2))), parameter(2, 2)
    with pytest.raises(RuntimeError, match=r"writing in place: the value requires a gradient.*\.detach\(\)"):
        t[0] = value(w)
    with pytest.raises(RuntimeError, match="writing in place"):
        operator.setitem(t, (slice(None), 1), value(w))
    assert not t.numpy().any()
    with no_grad():
        t[0] = value(w)
    assert t.numpy().any()


def test_operators_that_write_lose_no_gradient():
    t, w = Tensor(np.ones(3)), parameter(3)
    t += w
    t *= w
    t.sum().backward()
    agree(w.grad.numpy(), 2 * normal(3) + 1)
    for write in (operator.ipow, operator.iadd, operator.itruediv):
        with pytest.raises(RuntimeError, match=r"requires a gradient: do it under no_grad\(\)"):
            write(w, 2)
    square, one = Tensor(np.eye(2) * 3, requires_grad=True), Tensor(np.eye(2))
    with no_grad():
        same = square
        square **= 2
        square @= one
    assert same is square
    assert square.tolist() == [[9, 0], [0, 9]]


@pytest.mark.parametrize(("gradient", "error", "words"), [
    (0, TypeError, "grad: int is no gradient"), (np.ones(3), TypeError, "grad: ndarray"),
    (Tensor(np.ones(4)), ValueError, r"grad: a gradient of \(4,\) float64"),
    (Tensor([1.0] * 3), ValueError, "float32 .* float64"),
    (Tensor(np.ones(3), device=cpu(7)), ValueError, r"on cpu\(7\)"),
])
def test_a_gradient_that_is_set_is_one(gradient, error, words):
    x = parameter(3)
    with pytest.raises(error, match=words):
        x.grad = gradient
    assert x.grad is None


def test_requires_grad_is_set_of_leaves_of_real_numbers():
    x = Tensor([1.0])
    x.requires_grad = True
    (x * 2).sum().backward()
    assert x.grad.item() == 2
    with pytest.raises(TypeError, match="requires_grad needs real numbers, got int64"):
        Tensor([1]).requires_grad = True
    with pytest.raises(TypeError, match="Tensor: requires_grad is 'no'"):
        x.requires_grad = "no"
    with pytest.raises(TypeError, match="Tensor: requires_grad is 1"):
        Tensor([1.0], requires_grad=1)
    with pytest.raises(RuntimeError, match="requires_grad of what multiply made"):
        (x * 2).requires_grad = False


# -- copies ------------------------------------------------------------------------------------------------------------

COPIES = [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]


@pytest.mark.parametrize("make", COPIES)
def test_a_copy_is_a_leaf_of_its_own(make):
    for shape in ((), (3,), (0, 2), (4, 3, 2, 2)):
        x = Tensor(normal(*shape), requires_grad=True, device=cpu(1))
        y = make(x)
        assert (y.shape, y.dtype, y.device, y.requires_grad, y.made_by) == (shape, np.float64, cpu(1), True, "")
        np.testing.assert_array_equal(y.numpy(), x.numpy())
        assert not np.shares_memory(y.numpy(), x.numpy())
        assert y.numpy().strides == x.numpy().strides
        assert y.age != x.age
        (x * y + x).sum().backward()  # both in one graph
        agree(x.grad.numpy(), y.numpy() + 1)
        agree(y.grad.numpy(), x.numpy())
    assert make(Tensor([1, 2])).dtype == np.int64
    assert make(Tensor([1.0]).half()).dtype == np.float16
    with pytest.raises(TypeError, match=r"(copy|pickle): this tensor was made by multiply.*\.copy\(\)"):
        make(x * 2)
    with no_grad():
        assert make(x * 2).shape == x.shape


@pytest.mark.parametrize("make", COPIES[1:])
def test_a_gradient_is_copied_too(make):
    x = parameter(3)
    (x * 2).sum().backward()
    y = make(x)
    assert y.grad.numpy().tolist() == [2, 2, 2]
    y.grad[0] = 5
    assert x.grad.numpy().tolist() == [2, 2, 2]


@pytest.mark.parametrize("make", COPIES[1:])
def test_a_copied_layer_keeps_nobody(make):
    layer = make(nn.Linear(3, 2))
    graph = layer(normal(1, 3).astype(np.float32)).sum()
    again = make(layer)  # made while a graph needs the values of the first
    graph.backward()
    for _ in range(10):
        for net in (layer, again):
            net(normal(1, 3).astype(np.float32)).sum().backward()
    assert not [p for net in (layer, again) for p in net.parameters() if len(p._users)]
    again.weight.writable()


# -- threads -----------------------------------------------------------------------------------------------------------


@pytest.mark.processor
def test_each_thread_is_watched_by_itself():
    x, seen = Tensor(normal(3)), []

    def other():
        seen.append(len(list(minicnn.engine.observers.observers)))
        for _ in range(20):
            nn.ReLU()(x * 2)

    layer, called = nn.ReLU(), []
    with minicnn.trace() as t, nn.forward_hook(lambda layer, y: called.append(layer)):
        thread = threading.Thread(target=other)
        thread.start()
        layer(x)
        thread.join()
        layer(x)
    assert seen == [0]
    assert [step.op for step in t.steps] == ["relu", "relu"]
    assert called == [layer, layer]


# -- help --------------------------------------------------------------------------------------------------------------


def public():
    """(name, what it is) of every public attribute of every class and every function that users meet."""
    modules = (minicnn, nn, ops, optim, minicnn.models)
    things = {name: getattr(module, name) for module in modules for name in module.__all__}
    for name, thing in things.items():
        if inspect.isclass(thing):
            own = (key for key in dir(thing) if not (key.startswith("_") or hasattr(Exception, key)))
            yield from ((f"{name}.{key}", getattr(thing, key)) for key in own)
        if callable(thing):
            yield name, thing


def test_help_says_something_of_everything():
    found = dict(public())
    assert {"Tensor.sum", "Tensor.grad", "SGD.step", "Module.train", "conv2d", "StepSchedule.epoch_ended"} <= set(found)
    plain = (bool, int, float, str, tuple, list, type(None))  # defaults, which are described where they stand
    mute = [name for name, x in found.items() if not isinstance(x, plain) and not (inspect.getdoc(x) or "").strip()]
    assert not mute
    assert all(inspect.getdoc(getattr(Tensor, name)) for name in ("age", "device", "shape", "T", "made_by"))
    lambdas = [name for name, x in found.items() if getattr(x, "__name__", "") == "<lambda>"]
    assert not lambdas
    for thing in (Tensor, nn.Module, nn.Conv2d, optim.SGD, ops.relu, minicnn.gradcheck, minicnn.no_grad):
        assert len(pydoc.render_doc(thing)) > 150


@pytest.mark.parametrize("name", ["sum", "reshape", "to", "argmax"])
def test_a_method_knows_its_name(name):
    assert re.search(rf"\b{name}\(self", f"{name}{inspect.signature(getattr(Tensor, name))}")
    assert current_device() == Tensor(1.0).device
