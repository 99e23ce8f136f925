import sys

import numpy as np
import pytest
from helpers import check_op, normal
from hypothesis import given
from hypothesis.extra.numpy import array_shapes

from minicnn import Tensor, cpu, cuda, gradcheck, ops
from minicnn.engine.device import CudaDevice, Device, current_device, ensure_on
from minicnn.engine.op import on_each


@pytest.fixture(autouse=True)
def an_empty_ledger():
    ops.ledger.clear()


def doubled_elsewhere(x):
    return (on_each(x, [cpu(0)])[0].to(cpu(1)) * 2.0).to(cpu(0))


def doubled(x):
    return 2 * x


@given(array_shapes(min_dims=0, min_side=0, max_side=3))
def test_there_and_back(shape):
    check_op(doubled_elsewhere, doubled, normal(*shape))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_gradient_cross_and_the_ledger_keeps_count(dtype):
    x = Tensor(normal(2, 3).astype(dtype), requires_grad=True)
    y = x.to(cpu(1))
    assert (y.device, y.shape, y.dtype) == (cpu(1), x.shape, x.dtype)
    assert (y.numpy() == x.numpy()).all()
    assert not np.shares_memory(y.numpy(), x.numpy())
    here = x.device
    assert ops.ledger == {(here, cpu(1)): 6 * np.dtype(dtype).itemsize}
    (y * y).sum().backward()
    assert x.grad.device == here
    assert (x.grad.numpy() == 2 * x.numpy()).all()
    assert ops.ledger == {(here, cpu(1)): x.numpy().nbytes, (cpu(1), here): x.numpy().nbytes}
    assert ops.ledger.total() == 2 * x.numpy().nbytes


def test_what_crosses_twice_counts_twice():
    x = Tensor([1.0, 2.0])
    x.to(cpu(1)), x.to(cpu(1))
    assert ops.ledger == {(x.device, cpu(1)): 16}


def test_on_the_same_device_it_is_the_tensor_itself():
    x = Tensor([1.0], device=cpu(1))
    assert x.to(cpu(1)) is x
    assert not ops.ledger


def test_what_needs_no_gradient_crosses_once():
    y = Tensor([1.0]).to(cpu(1))
    (y * Tensor([2.0], requires_grad=True, device=cpu(1))).sum().backward()
    assert ops.ledger == {(current_device(), cpu(1)): 4}


def test_one_tensor_that_goes_to_two_devices_gets_both_gradients():
    gradcheck(lambda x: x.to(cpu(1)).to(cpu(0)) * x.to(cpu(2)).to(cpu(0)), normal(3))


def test_memory_order_is_kept():
    x = Tensor(normal(4, 3, 2, 2))
    assert x.to(cpu(1)).numpy().strides == x.numpy().strides


def test_mixing_devices_names_both():
    with pytest.raises(ValueError, match=r"add: inputs live on cpu\(0\) and cpu\(1\).*\.to\(device\)"):
        Tensor([1.0], device=cpu(0)) + Tensor([1.0], device=cpu(1))


@pytest.mark.parametrize("make", [
    lambda: Device("gpu", 0), lambda: Device("cuda", 0), lambda: CudaDevice("cpu", 0), lambda: Device("cpu", -1),
    lambda: Device("cpu", 1.0), lambda: Device("cpu", True)])
def test_a_device_that_is_none_cannot_be_made(make):
    with pytest.raises(ValueError, match=r"^Device: there is no device .*: say cpu\(0\) or cuda\(0\)"):
        make()


@pytest.mark.processor
def test_main_memory_is_one_whatever_the_number_of_its_device():
    x = normal(3)
    assert all(ensure_on(x, cpu(i)) is x for i in range(3))


@pytest.mark.processor
def test_a_gpu_that_cannot_be_used_is_named_with_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it could not be found
    with pytest.raises(RuntimeError, match=r"^cuda\(1\): CuPy is not installed: `python -m minicnn doctor` says what"):
        cuda(1)
