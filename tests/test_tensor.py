import gc
import re
import threading
import weakref

import numpy as np
import pytest
from helpers import normal
from hypothesis import given
from hypothesis.extra.numpy import array_shapes

from minicnn import Tensor, cpu, device, gradcheck, no_grad, ops
from minicnn.engine.device import current_device
from minicnn.engine.memory import batch_first, batch_last, in_engine_order, rows
from minicnn.engine.observers import Observer, observe
from minicnn.engine.op import on_each, op


def parameter(*shape, seed=0):
    return Tensor(normal(*shape, seed=seed), requires_grad=True)


# -- what a tensor is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data, dtype", [
    (1.5, np.float32), ([1.0, 2.0], np.float32), (np.float64(1.5), np.float64), (np.ones(2), np.float64),
    (np.ones(2, np.float32), np.float32), (np.ones(2, np.float16), np.float32), ([1, 2], np.int64),
    (np.ones(2, np.uint8), np.uint8), ([True], np.bool_), (Tensor(np.ones(2)), np.float64),
], ids=repr)  # fmt: skip
def test_numbers_of_python_become_single_and_arrays_keep_their_type(data, dtype):
    assert Tensor(data).dtype == dtype


def test_a_type_may_be_asked_for():
    assert Tensor([1, 2], dtype=np.float64).dtype == np.float64


def test_double_goes_through_as_double():
    x = parameter(2, 3)
    y = ((x * 2 + 1.5).exp() / np.float32(3) - 1).mean()
    y.backward()
    assert y.dtype == x.grad.dtype == np.float64


def test_the_data_are_copied():
    array = np.ones(3)
    x = Tensor(array)
    array[0] = 5
    assert x.numpy().tolist() == [1, 1, 1]


@pytest.mark.parametrize("data", ["a", 1j, None, [None], {}])
def test_what_is_no_number_is_refused(data):
    with pytest.raises(TypeError, match=r"^Tensor: .* is not a type of real number"):
        Tensor(data)


def test_whole_numbers_take_no_gradient():
    with pytest.raises(TypeError, match="Tensor: requires_grad needs real numbers, got int64"):
        Tensor([1, 2], requires_grad=True)


def test_its_attributes():
    x = Tensor(normal(2, 3), device=cpu(1))
    assert (x.shape, x.ndim, x.size, len(x), x.device) == ((2, 3), 2, 6, 2, cpu(1))
    assert (x.requires_grad, x.grad) == (False, None)
    assert float(Tensor(1.5)) == Tensor(1.5).item() == Tensor([[1.5]]).item() == 1.5
    assert Tensor(1.0)
    assert not Tensor(0.0)


def test_repr():
    assert repr(Tensor([1.0, 2.0])) == f"Tensor([1., 2.], (2,), {current_device()})"
    assert repr(Tensor(np.zeros(2), requires_grad=True, device=cpu(1))) == (
        "Tensor([0., 0.], (2,), cpu(1), float64, requires_grad)")
    assert repr(Tensor(1.0, requires_grad=True) * 2) == f"Tensor(2., (), {current_device()}, from multiply)"
    assert len(repr(Tensor(normal(100, 100)))) < 1000


@given(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
def test_in_memory_the_batch_runs_fastest(shape):
    for array in (normal(*shape), normal(*shape[::-1]).T, np.broadcast_to(1.0, shape)):
        lying = in_engine_order(array)
        assert batch_last(lying).flags.c_contiguous
        assert (lying == array).all()
        assert (batch_first(batch_last(array)) == array).all()
        assert in_engine_order(lying) is lying
        assert rows(lying).size == array.size
        assert batch_last(Tensor(array).numpy()).flags.c_contiguous
        assert batch_last((Tensor(array) * 2).numpy()).flags.c_contiguous


def test_a_gradient_lies_like_its_tensor():
    x = parameter(4, 3, 2, 2)
    (x.transpose() * normal(2, 2, 3, 4)).sum().backward()
    assert x.grad.numpy().strides == x.numpy().strides


# -- backward ----------------------------------------------------------------------------------------------------------


def test_gradients_add_up_until_they_are_forgotten():
    x = parameter(3)
    for times in (1, 2, 3):
        (x * 2).sum().backward()
        assert x.grad.numpy().tolist() == [2 * times] * 3
    x.zero_grad()
    assert x.grad is None


def test_a_number_adds_its_gradients_up_too():
    x = Tensor(3.0, requires_grad=True)
    for times in (1, 2):
        (x * x).backward()
        assert (x.grad.item(), x.grad.shape) == (6 * times, ())


def test_a_tensor_used_by_many_gets_the_sum_of_their_gradients():
    x = Tensor([2.0], requires_grad=True)
    a = x * 3
    (a * a + x * a + x).sum().backward()  # 9x² + 3x² + x
    assert x.grad.item() == 24 * 2 + 1


@pytest.mark.parametrize("op", [
    ops.negative, ops.exp, ops.log, ops.tanh, ops.sigmoid, ops.relu, ops.softmax, ops.log_softmax, ops.sum, ops.mean,
    ops.flatten, ops.transpose, lambda x: x.reshape(3, 4), lambda x: x[1:], lambda x: x[[1, 0, 1]],
    lambda x: x.transpose(0, 2, 1), lambda x: x.max(1), lambda x: ops.concatenate(x, x), lambda x: x.to(cpu(1)),
])  # fmt: skip
def test_what_three_uses_of_a_tensor_send_back_is_added_up(op):
    def several(x):
        middle = x * x + 1
        return op(middle) * op(middle) + op(middle)

    gradcheck(several, normal(2, 3, 2))


def test_paths_of_different_length_meet_before_they_go_on():
    """Were a tensor left before all that was computed from it is done, the number of visits would double each time."""
    x = Tensor(1.0, requires_grad=True, dtype=np.float64)
    y = x
    for _ in range(60):
        y = y + y * 1.0
    y.backward()
    assert x.grad.item() == 2.0**60


def test_backward_with_a_gradient():
    x, u = parameter(2, 3), normal(2, 3, seed=1)
    for gradient in (u, Tensor(u), u.tolist(), np.asfortranarray(u)):
        x.zero_grad()
        (x * 2).backward(gradient)
        np.testing.assert_allclose(x.grad.numpy(), 2 * u, rtol=1e-6)


def test_the_gradient_given_is_not_kept():
    x, u = parameter(3), np.ones(3)
    x.backward(u)
    u[:] = 5
    assert x.grad.numpy().tolist() == [1, 1, 1]


def test_backward_of_many_numbers_needs_a_gradient():
    with pytest.raises(RuntimeError, match=r"backward: shape \(2, 3\) is not one number"):
        (parameter(2, 3) * 2).backward()


@pytest.mark.parametrize("shape", [(3,), (3, 2), (1, 2, 3), ()])
def test_a_gradient_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=rf"gradient of shape \({', '.join(map(str, shape))}.*shape \(2, 3\)"):
        (parameter(2, 3) * 2).backward(np.ones(shape))


@pytest.mark.parametrize("swap", [False, True])
def test_a_gradient_of_the_wrong_shape_is_not_hidden_by_a_sum(swap):
    @op
    def careless(x):
        return 2 * x, lambda gy: 2 * gy.sum(0)

    x = parameter(3, 2)
    parts = [careless(x), x * 1]
    with pytest.raises(ValueError, match=r"gradient of shape \(2,\) reached a tensor of shape \(3, 2\)"):
        (parts[swap] + parts[not swap]).sum().backward()
    assert x.grad is None


def test_an_op_that_returns_a_gradient_of_the_wrong_shape_is_caught():
    @op
    def careless(x):
        return x.sum(0), lambda gy: gy

    x = parameter(3, 2)
    with pytest.raises(ValueError, match=r"gradient of shape \(2,\) reached a tensor of shape \(3, 2\)"):
        careless(x).sum().backward()
    assert x.grad is None


def test_backward_where_nothing_requires_a_gradient():
    with pytest.raises(RuntimeError, match=r"backward: this tensor does not require a gradient.*no_grad\(\)"):
        (Tensor([1.0]) * 2).backward()


def test_a_second_backward_is_refused():
    x = parameter(3)
    y = (x * x).sum()
    y.backward()
    before = x.grad.numpy().copy()
    with pytest.raises(RuntimeError, match=r"result of sum was freed by an earlier backward\(\)"):
        y.backward()
    assert (x.grad.numpy() == before).all()


def test_a_second_backward_through_what_two_losses_share_changes_no_gradient():
    x, w = parameter(3), parameter(3, seed=1)
    shared = x * x
    first, second = shared.sum(), (shared * w).sum() + x.sum()
    first.backward()
    before = x.grad.numpy().copy()
    with pytest.raises(RuntimeError, match="result of multiply was freed"):
        second.backward()
    assert (x.grad.numpy() == before).all()
    assert w.grad is None


def test_a_gradient_that_nobody_needs_is_not_computed():
    @op
    def first_of_two(a, b):
        return a * b, lambda gy: gy * b, lambda gy: pytest.fail("computed")

    x = parameter(2)
    first_of_two(x, Tensor(normal(2))).sum().backward()
    assert (x.grad.numpy() == normal(2)).all()


def test_two_leaves_do_not_share_one_gradient():
    @op
    def twins(a, b):
        return a + b, lambda gy: gy, lambda gy: gy

    a, b = parameter(3), parameter(3, seed=1)
    (twins(a, b) * 2).sum().backward()
    assert not np.shares_memory(a.grad.numpy(), b.grad.numpy())
    a.grad[0] = 7
    assert b.grad.numpy().tolist() == [2, 2, 2]


def test_a_gradient_may_be_written_to_wherever_it_comes_from():
    for loss in (lambda x: x.sum(), lambda x: x.reshape(()), lambda x: x[0], lambda x: x.transpose().mean()):
        x = parameter(1)
        loss(x).backward()
        x.grad[0] = 5
        assert x.grad.item() == 5


@pytest.mark.large
def test_a_graph_of_a_hundred_thousand_ops():
    def deep(x):
        for _ in range(100_000):
            x = -x
        return x

    gc.disable()  # a graph has no cycles: what is forgotten is freed at once
    try:
        x = Tensor(1.0, requires_grad=True)
        deep(x).backward()
        assert x.grad.item() == 1
        y = deep(x)
        first = weakref.ref(y.node.inputs[0])
        del y
        assert first() is None, "forgotten without backward"
        assert not len(x._users)
    finally:
        gc.enable()


@pytest.mark.parametrize("use", [
    lambda x: x + 1, lambda x: 1 - x, Tensor.float, Tensor.relu, Tensor.exp, Tensor.sum, Tensor.mean,
    lambda x: x.reshape(-1).exp(), lambda x: x.flatten().exp(), lambda x: x[0].exp(), lambda x: x[[0, 0]],
    ops.max_pool2d, lambda x: ops.dropout(x, np.array([1, 2])), lambda x: x.to(cpu(1)),
    lambda x: ops.concatenate(x, x),
])  # fmt: skip
def test_the_graph_keeps_what_gradients_need_and_nothing_else(use):
    def made(x):
        y = x.exp().transpose(0, 2, 3, 1)  # a copy in memory, which the gradient of neither needs
        owner = y._array
        while owner.base is not None:
            owner = owner.base
        return y, weakref.ref(owner)

    x = parameter(2, 3, 4, 5)
    y, array = made(x)
    assert array() is not None
    y = use(y)
    assert y.requires_grad
    assert array() is None
    y.backward(np.ones(y.shape))
    assert x.grad is not None


def test_memory_is_freed_as_backward_goes():
    alive, arrays = [], []

    @op
    def watched(x):
        y = x * 2
        arrays.append(weakref.ref(y))

        def gx(gy):
            alive.append(sum(array() is not None for array in arrays))
            return gy * 2 + 0 * x

        return y, gx

    y = parameter(4)
    for _ in range(6):
        y = watched(y)
    y = y.sum()
    y.backward()
    assert len(alive) == 6
    assert all(left <= 6 - done for done, left in enumerate(alive)), alive
    assert not any(array() is not None for array in arrays)


@pytest.mark.parametrize("way", [Tensor.detach, Tensor.copy])
def test_detach_and_copy_have_no_graph(way):
    x = parameter(3)
    y = way(x * 2)
    assert (y.requires_grad, y.made_by) == (False, "")
    (x * y).sum().backward()
    assert (x.grad.numpy() == y.numpy()).all()


def test_a_copy_owns_its_memory():
    x = parameter(4, 3, 2)
    y = x.copy()
    assert batch_last(y.numpy()).flags.c_contiguous
    before = x.numpy().copy()
    y[...] = 7
    assert (x.numpy() == before).all()
    z = (x * 2).copy()
    z[...] = 1  # also of what an op made


@pytest.mark.processor
def test_what_is_written_into_a_detached_leaf_is_written_into_both():
    x = parameter(3)
    y, again = x.detach(), x.detach().detach()
    y[0] = 7
    assert x.numpy()[0] == again.numpy()[0] == 7
    loss = (x * x).sum()
    for detached in (y, again):
        with pytest.raises(RuntimeError, match=r"multiply needs its values.*\(\.copy\(\)\)"):
            detached[0] = 1
    loss.backward()
    y[0] = 1
    with no_grad():
        x[1] = 2
    assert y.numpy()[:2].tolist() == [1, 2]


def test_a_detached_result_cannot_be_written_to():
    """Its graph may need the values, and knows nothing of this tensor."""
    y = parameter(3).relu()
    for detached in (y.detach(), y.detach().detach()):
        with pytest.raises(RuntimeError, match=r"it was made by relu: write to a copy \(\.copy\(\)\)"):
            detached[0] = 1


# -- observers ---------------------------------------------------------------------------------------------------------


class Seen(Observer):
    """Notes what it is called with, by name."""

    def __init__(self):
        self.calls = []

    def op_done(self, op, output, inputs):
        self.calls.append(("op", op, output.shape, len(inputs)))

    def gradient_done(self, node, source, gradient):
        self.calls.append(("gradient", node.made_by, source.made_by, gradient.shape))

    def leaf_done(self, leaf, gradient):
        self.calls.append(("leaf", leaf.shape, gradient.sum()))

    def graph_freed(self, node):
        self.calls.append(("freed", node.made_by))


def test_an_observer_sees_what_is_computed_inside_of_its_with_and_no_more():
    x, seen = parameter(3), Seen()
    with pytest.raises(ZeroDivisionError), observe(seen):
        (x * 2.0).sum().backward()
        raise ZeroDivisionError
    (x * 2.0).sum().backward()
    assert seen.calls == [
        ("op", "multiply", (3,), 1), ("op", "sum", (), 1), ("gradient", "sum", "multiply", (3,)), ("freed", "sum"),
        ("gradient", "multiply", "", (3,)), ("freed", "multiply"), ("leaf", (3,), 6.0)]  # fmt: skip
    with observe(Observer()):  # which looks at nothing
        (x * 2.0).sum().backward()


def test_a_leafs_gradient_is_whole_as_soon_as_all_that_was_computed_from_it_went_backward():
    early, twice, elsewhere = (Tensor(np.ones(n), requires_grad=True) for n in (1, 2, 3))
    other = elsewhere * 2.0  # of another graph, which stays
    x = (twice * 2.0).sum()
    y = (x * elsewhere.sum() * early.sum() + twice.sum()).sum()
    with observe(seen := Seen()):
        y.backward()
    what = [call[:2] for call in seen.calls if call[0] in ("leaf", "freed")]
    assert what == [("freed", "sum"), ("freed", "add"), ("freed", "sum"), ("freed", "multiply"), ("freed", "sum"),
                    ("leaf", (1,)), ("freed", "multiply"), ("freed", "sum"), ("freed", "sum"), ("freed", "multiply"),
                    ("leaf", (2,)), ("leaf", (3,))]  # fmt: skip
    assert [t.grad.numpy().tolist() for t in (early, twice, elsewhere)] == [[12.0], [7.0] * 2, [4.0] * 3]
    other.sum().backward()
    assert elsewhere.grad.numpy().tolist() == [6.0] * 3


# -- no_grad -----------------------------------------------------------------------------------------------------------


def test_under_no_grad_nothing_is_remembered():
    x = parameter(3)

    @no_grad()
    def function():
        return x * 2

    with no_grad():
        with no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad, "after an inner one"
    assert (x * 2).requires_grad
    assert not function().requires_grad
    assert (x * 2).requires_grad


def test_no_grad_ends_with_an_exception():
    with pytest.raises(ZeroDivisionError), no_grad():
        1 / 0  # noqa: B018
    assert (parameter(3) * 2).requires_grad


def test_no_grad_holds_for_its_own_thread():
    x, seen = parameter(3), []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


# -- reading and writing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [Tensor.numpy, lambda x: x.numpy().T, lambda x: x.grad.numpy(),
                                  *[pytest.param(read, marks=pytest.mark.processor) for read in
                                    (lambda x: x.data, lambda x: x.data.T, lambda x: x.grad.data)]])  # fmt: skip
def test_what_is_read_cannot_be_written(read):
    x = parameter(3)
    x.sum().backward()
    with pytest.raises(ValueError, match="read-only"):
        read(x)[0] = 1


def put_5(x):
    x[0] = 5


def add_5(x):
    x += 5


WRITES = [put_5, add_5, lambda x: x.writable(), lambda x: x.move(cpu(1)), lambda x: x.__imul__(2.0)]


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written_while_a_graph_needs_the_values(write):
    x = parameter(3)
    y = (x * x).sum()
    with no_grad():
        with pytest.raises(RuntimeError, match=r"writing in place: multiply needs its values: call backward\(\) first"):
            write(x)
        y.backward()
        assert (x.grad.numpy() == 2 * normal(3)).all()
        write(x)
        y = x * x
        write(x)  # y was made under no_grad: it remembers nothing
        assert not y.requires_grad


@pytest.mark.parametrize("write", WRITES)
def test_what_needs_no_gradient_may_be_needed_for_that_of_another(write):
    x, w = Tensor(normal(3)), parameter(3, seed=1)
    y = (w * x.reshape(3)).sum()  # x.reshape(3) has memory of its own
    write(x)
    y.backward()
    assert (w.grad.numpy() == normal(3)).all()


@pytest.mark.parametrize("write", [put_5, lambda x: x.writable(), lambda x: x.move(cpu(1))])
def test_what_a_live_graph_holds_is_not_written(write):
    x, w = Tensor(normal(3)), parameter(3, seed=1)
    y = (w * x).sum()
    with pytest.raises(RuntimeError, match="multiply needs its values"):
        write(x)
    del y
    write(x)


def test_what_an_op_made_is_not_written():
    y = parameter(3) * 2
    with no_grad(), pytest.raises(RuntimeError, match="writing in place: it was made by multiply"):
        y[0] = 1


@pytest.mark.parametrize("write", [put_5, add_5])
def test_a_parameter_is_written_under_no_grad_only(write):
    with pytest.raises(RuntimeError, match=r"requires a gradient: do it under no_grad\(\)"):
        write(parameter(3))


def test_in_place_operators():
    x, plain = parameter(3), Tensor(normal(3))
    array = x.writable()
    with no_grad():
        x += 1
        x -= plain
        x *= np.array([1.0, 2.0, 4.0])
        x /= 2
    assert x.writable() is array, "a parameter stays where it is"
    np.testing.assert_allclose(x.numpy(), [0.5, 1, 2])
    y = before = x * 1
    y += 1  # what an op made becomes a new tensor, and its gradient goes on
    y.sum().backward()
    assert y is not before
    assert x.grad.numpy().tolist() == [1, 1, 1]


def test_setitem():
    x = Tensor(np.zeros((2, 3)))
    x[0], x[1, 1:], x[[1], [0]] = 1, Tensor([2.0, 3.0]), np.array([4])
    assert x.numpy().tolist() == [[1, 1, 1], [4, 2, 3]]
    assert x.dtype == np.float64


@pytest.mark.parametrize("view", [lambda x: x.reshape(4), lambda x: x[:1], Tensor.transpose, Tensor.flatten])
def test_what_remembers_nothing_shares_no_memory(view):
    x = Tensor(normal(2, 2))
    assert not np.shares_memory(view(x).numpy(), x.numpy())
    with no_grad():
        assert not np.shares_memory(view(parameter(2, 2)).numpy(), x.numpy())


def test_an_array_changed_after_the_op_changes_no_gradient():
    x, array = parameter(3), np.ones(3)
    y = (x * array).sum()
    array[:] = 5
    y.backward()
    assert x.grad.numpy().tolist() == [1, 1, 1]


# -- devices -----------------------------------------------------------------------------------------------------------


def test_devices_by_name():
    assert [device(name) for name in ("cpu", "cpu:0", "cpu:12")] == [cpu(0), cpu(0), cpu(12)]
    assert repr(cpu(1)) == "cpu(1)"
    for name in ("gpu", "cpu:", "cpu:-1", "cpu(0)", ""):
        with pytest.raises(ValueError, match=re.escape(f"device: there is no device {name!r}")):
            device(name)


def test_a_result_lives_where_its_inputs_do():
    x = Tensor(normal(3), device=cpu(1), requires_grad=True)
    y = (x * normal(3) + 1).sum()
    y.backward()
    assert y.device == x.grad.device == cpu(1)


@pytest.mark.parametrize("mix", [
    lambda a, b: a + b, lambda a, b: ops.concatenate(a, b), lambda a, b: a.__iadd__(b),
    lambda a, b: a.__setitem__(0, b), lambda a, b: parameter(3).backward(b),
])  # fmt: skip
def test_mixing_devices_is_an_error_that_names_both(mix):
    a, b = Tensor(normal(3)), Tensor(normal(3), device=cpu(1))
    with pytest.raises(ValueError, match=r"\(\d\).* and .*\(\d\).*\.to\(device\)|\(\d\), the value .* cpu\(1\)"):
        mix(a, b)


def test_move_takes_the_tensor_itself_and_forgets_its_gradient():
    x = parameter(3)
    x.sum().backward()
    x.move(cpu(1))
    assert (x.device, x.grad, x.requires_grad) == (cpu(1), None, True)
    x = parameter(4, 3, 2, 2)
    x.move(cpu(1))
    assert batch_last(x.numpy()).flags.c_contiguous


def test_on_each():
    x = Tensor([1.0, 2.0], requires_grad=True)
    a, b = on_each(x, (current_device(), cpu(1)))
    assert a is x
    assert (b.made_by, b.device) == ("to_device", cpu(1))
    values = np.ones(2)
    found = on_each(values, (cpu(1), cpu(0), cpu(1)))
    assert [y.device for y in found] == [cpu(1), cpu(0), cpu(1)]
    values[0] = 7
    assert [y.numpy().tolist() for y in found] == [[1, 1]] * 3


def test_ops_run_inside_the_device_of_their_inputs_and_so_do_their_gradients():
    seen = []

    @op
    def double(x):
        def gx(gy):
            seen.append(current_device())
            return gy * 2

        seen.append(current_device())
        return x * 2, gx

    x = Tensor([1.0], device=cpu(1), requires_grad=True)
    y = double(x.to(cpu(2)))
    with cpu(3):
        y.sum().backward()
        assert current_device() == cpu(3)
    assert seen == [cpu(2), cpu(2)]


def test_a_new_tensor_lives_on_the_current_device_which_an_exception_restores():
    before = current_device()
    with pytest.raises(ZeroDivisionError), cpu(1):
        assert Tensor([1.0]).device == (Tensor([1.0]) + 1).device == ops.add(1.0, 2.0).device == cpu(1)
        with cpu(2):
            assert Tensor([1.0]).device == cpu(2)
        assert current_device() == cpu(1)
        raise ZeroDivisionError
    assert current_device() == Tensor([1.0]).device == before
