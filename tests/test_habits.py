"""Habits of other people's programs that no op can see: threads, tasks, generators, what is written and replaced later,
where a module holds what it is made of."""

import asyncio
import copy
import pickle
import sys
import threading
from collections import UserDict, UserList

import numpy as np
import pytest
from helpers import agree, normal

from minicnn import Tensor, cpu, nn, no_grad, ops
from minicnn.optim import SGD, PlateauSchedule

pytestmark = pytest.mark.processor


def parameter(*shape):
    return Tensor(normal(*shape).astype(np.float32), requires_grad=True)


# -- threads, tasks and generators -------------------------------------------------------------------------------------


def test_threads_that_go_backward_to_one_leaf_lose_no_gradient():
    w, interval = parameter(300, 300), sys.getswitchinterval()

    def back():
        for _ in range(100):
            (w * np.ones((300, 300), np.float32)).sum().backward()

    threads = [threading.Thread(target=back) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    finally:
        sys.setswitchinterval(interval)
    assert (w.grad.numpy() == 400).all()


def test_a_decorated_function_is_called_by_two_threads_at_once():
    inside, found = threading.Event(), []

    @no_grad()
    def meet(then):
        then()

    def first():
        meet(lambda: (inside.set(), leave.wait(5)))
        found.append((parameter(2) * 2).requires_grad)

    leave, thread = threading.Event(), threading.Thread(target=first)
    thread.start()
    inside.wait(5)
    with no_grad():
        meet(lambda: (leave.set(), thread.join()))
    assert found == [True]


def test_a_task_and_a_thread_have_a_mode_of_their_own():
    async def inside():
        with no_grad():
            await asyncio.sleep(0.01)
            return (parameter(2) * 2).requires_grad

    async def beside():
        await asyncio.sleep(0.001)
        return (parameter(2) * 2).requires_grad

    async def both():
        return await asyncio.gather(inside(), beside())

    assert asyncio.run(both()) == [False, True]
    found = []
    with no_grad():
        thread = threading.Thread(target=lambda: found.append((parameter(2) * 2).requires_grad))
        thread.start()
        thread.join()
    assert found == [True]


def generator():
    yield 1


async def coroutine():
    return 1


async def both():
    yield 1


@pytest.mark.parametrize("function", [generator, coroutine, both])
def test_what_runs_after_the_call_is_no_function_to_decorate(function):
    with pytest.raises(TypeError, match=r"no_grad: the body of \w+ runs after the call"):
        no_grad()(function)


def test_one_no_grad_is_used_again_and_within_itself():
    mode, seen = no_grad(), []

    @mode
    def ask(again):
        seen.append((parameter(2) * 2).requires_grad)
        return again and ask(False)

    ask(True)
    with mode, mode:
        seen.append((parameter(2) * 2).requires_grad)
    with mode, pytest.raises(KeyError):
        raise KeyError
    assert seen == [False, False, False]
    assert (parameter(2) * 2).requires_grad


# -- what is written later ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "value"), [
    (np.uint8, 300), (np.uint8, -1), (np.int64, 1.5), (np.int32, [2**40]), (np.int64, np.nan), (bool, 2),
    (np.float32, np.float64(1e300)), (np.float32, np.array([1e39])), (np.int8, Tensor([200])),
])  # fmt: skip
def test_what_is_written_fits(dtype, value):
    t = Tensor(np.ones(1, dtype))
    with pytest.raises(ValueError, match=r"^writing in place: .* numbers beyond the range of"):
        t[...] = value
    assert t.tolist() == [1]
    t[...] = np.array([0.0, 1.0])[1:]
    assert t.tolist() == [1]


def test_a_gradient_that_is_given_fits():
    w = parameter(3)
    with pytest.raises(ValueError, match=r"^backward: float64 numbers beyond the range of float32"):
        (w * 1).backward(np.full(3, 1e300))
    (w * 1).backward([1, 2, 3])
    assert w.grad.tolist() == [1, 2, 3]


@pytest.mark.parametrize("make", [lambda s, p: nn.Conv2d(1, 1, 2, stride=s, padding=p), lambda s, p: nn.MaxPool2d(
    np.uint8(2), s, p)])  # fmt: skip
def test_a_layer_keeps_its_settings_though_the_caller_changes_his(make):
    stride, padding = [1, np.int8(2)], [[0, 1], np.array([1, 0])]
    layer = make(stride, padding)
    shape, shown = layer(normal(1, 1, 5, 5).astype(np.float32)).shape, repr(layer)
    assert "stride=(1, 2), padding=((0, 1), (1, 0))" in shown
    stride[0], padding[0][0] = 2, 5
    assert layer(normal(1, 1, 5, 5).astype(np.float32)).shape == shape
    assert repr(layer) == shown


@pytest.mark.parametrize("p", [1.5, -1, np.nan, "0.5"])
def test_a_probability_that_is_set_later_is_looked_at_too(p):
    for layer in (nn.Dropout(inverted=False).eval(), nn.Dropout()):
        layer.p = p
        with pytest.raises((TypeError, ValueError), match=r"^[dD]ropout: p is"):
            layer(np.ones((2, 2), np.float32))


@pytest.mark.parametrize(("value", "what"), [
    (lambda w: w * 2, "what multiply made"), (lambda w: w.numpy(), "array"), (lambda w: Tensor(w.numpy()), "Tensor"),
    (lambda w: no_grad()(lambda: w * 2)(), "Tensor"), (lambda w: [w], "Tensor"), (lambda w: 1.0, "1.0"),
])  # fmt: skip
def test_a_parameter_is_not_replaced_by_what_nobody_trains(value, what):
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=rf"^Linear: weight is a parameter, and .*{what}.* would never"):
        layer.weight = value(layer.weight)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    layer.weight = other = Tensor(layer.weight, requires_grad=True)
    assert next(iter(layer.parameters())) is other
    layer.bias = None
    layer.bias = 3.0  # what was no parameter may be anything
    layer.weight.requires_grad = False  # frozen
    layer.weight = layer.weight * 2


# -- what a module is made of ------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self, held):
        self.held = held


class Slots(nn.Module):
    __slots__ = ("held", "unset")

    def __init__(self, held):
        self.held = held


@pytest.mark.parametrize(("make", "name"), [
    (lambda w: Net(UserList([w])), "held.0"), (lambda w: Net(UserDict(a=w)), "held.a"), (Slots, "held"),
    (lambda w: Slots([w]), "held.0"), (lambda w: Net(["words", range(3), (w,)]), "held.2.0"),
])  # fmt: skip
def test_other_sequences_and_slots_are_looked_into(make, name):
    net = make(parameter(2))
    assert [n for n, _ in net.named_parameters()] == list(net.state_dict()) == [name]


def test_what_has_no_name_is_refused():
    class Row(nn.Module):
        layers = (nn.ReLU(), [nn.Linear(2, 2)])
        mean, words = np.zeros(3), ["a"]

    for net, words in ((Row(), "Row: layers belongs to the class"),
                       (Net(np.array([nn.ReLU(), None])), "Module: held is an array of layers")):  # fmt: skip
        with pytest.raises(TypeError, match=words):
            net.state_dict()
    assert list(Net(np.array(["a", None])).state_dict()) == ["held"]


def test_a_set_of_parameters_has_no_order():
    net = nn.Linear(2, 2)
    for given in (set(net.parameters()), frozenset(net.parameters()), nn.Linear):
        with pytest.raises(TypeError, match=r"^SGD: \w+ is no list of parameters"):
            SGD(given)


@pytest.mark.parametrize("array", [np.ma.array(np.ones(2), mask=[1, 0]), [[1.0], [1.0, 2.0]], None, np.full(2, 1e300)])
@pytest.mark.filterwarnings("error")
def test_a_state_of_an_optimiser_fits(array):
    optimiser = SGD([parameter(2)])
    with pytest.raises((TypeError, ValueError), match=r"^SGD: 0: "):
        optimiser.load_state_dict({"0": array})
    for state in (None, [1], "a"):
        with pytest.raises(TypeError, match=r"^SGD: \w+ is no state"):
            optimiser.load_state_dict(state)
    with pytest.raises(ValueError, match="another model: 0 is in one"):
        optimiser.load_state_dict({0: np.ones(2), "a": np.ones(2)})
    assert optimiser.velocity["0"].tolist() == [0, 0]


@pytest.mark.parametrize(("deviation", "bias", "words"), [
    (np.nan, 0.0, "the deviation of weight is nan"), (-1, 0.0, "the deviation of weight is -1"),
    ("a", 0.0, "the deviation of weight is 'a'"), (1.0, np.inf, "the bias bias is inf"), (1.0, None, "the bias bias"),
])  # fmt: skip
def test_weights_are_drawn_from_numbers(deviation, bias, words):
    with pytest.raises((TypeError, ValueError), match=f"^initialise: {words}"):
        nn.initialise(nn.Linear(2, 2), lambda name, weight: deviation, lambda name: bias)


@pytest.mark.parametrize("error", [np.ones(2), 1j, "1", None, Tensor([1.0, 2.0])])
def test_an_error_of_an_epoch_is_one_number(error):
    with pytest.raises(TypeError, match=r"^PlateauSchedule: the error is"):
        PlateauSchedule(0.1).epoch_ended(error)


# -- subclasses and other libraries ------------------------------------------------------------------------------------


class Named(Tensor):
    """A subclass with attributes of its own."""

    def __init__(self, data, name="x"):
        super().__init__(data)
        self.name, self.notes = name, [name]


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_copy_of_a_subclass_keeps_its_attributes(make):
    t = Named([1.0, 2.0], "scores")
    same = make(t)
    assert (type(same), same.name, same.tolist()) == (Named, "scores", [1, 2])
    assert (same.notes is t.notes) == (make is copy.copy)


class Series:
    """What pandas does beside an object of higher priority: it leaves the operator to it."""

    __array_ufunc__ = None

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __mul__(self, other):
        if getattr(other, "__pandas_priority__", 0) > 4000:
            return NotImplemented
        return self.values * np.asarray(other)


def test_beside_a_frame_of_pandas_no_gradient_is_lost():
    w = parameter(3)
    y = Series(np.array([1.0, 2.0, 3.0], np.float32)) * w
    y.sum().backward()
    agree(w.grad.numpy(), [1, 2, 3])


@pytest.mark.parametrize("index", [-1, 1.0, True, "0", None])
def test_devices_are_counted(index):
    with pytest.raises(ValueError, match=r"^cpu: there is no device"):
        cpu(index)
    assert cpu(np.int64(1)) == cpu(1)
    assert ops.relu(Tensor([1.0], device=cpu(np.int8(0)))).device == cpu()
