"""Half precision: what is rounded, what stays single. That GPUs compute with it is in test_cuda_devices.py."""

import numpy as np
import pytest
from helpers import agree, normal
from hypothesis import given
from hypothesis.extra.numpy import array_shapes

from minicnn import Tensor, cpu
from minicnn.models import alexnet
from minicnn.nn import Linear


@given(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
def test_there_and_back(shape):
    for dtype in (np.float32, np.float64):
        x = Tensor(normal(*shape).astype(dtype), requires_grad=True)
        y = x.half()
        assert (y.dtype, y.made_by) == (np.float16, "half")
        np.testing.assert_array_equal(y.numpy(), x.numpy().astype(np.float16))
        z = y.float()
        assert (z.dtype, z.made_by) == (np.float32, "float")
        np.testing.assert_array_equal(z.numpy(), y.numpy())
        g = normal(*shape, seed=1).astype(np.float32)
        z.backward(g)
        assert x.grad.dtype == dtype
        np.testing.assert_array_equal(x.grad.numpy(), g.astype(np.float16))  # it went through half precision


def test_gradients_of_two_uses_add_up():
    x = Tensor([0.5, 2.0], requires_grad=True)
    (x.half() * x.half() * 1024).float().sum().backward()
    agree(x.grad.numpy(), [1024, 4096])


def test_a_weight_is_seen_in_half_and_kept_in_single():
    layer = Linear(3, 2)
    x = Tensor(normal(4, 3)).half()
    y = layer(x)
    assert y.dtype == np.float16
    y.sum().backward()
    assert {p.dtype.name for p in (layer.weight, layer.bias, layer.weight.grad, layer.bias.grad)} == {"float32"}
    agree(layer.bias.grad.numpy(), [4, 4])
    agree(layer.weight.grad.numpy(), np.broadcast_to(x.numpy().astype(np.float64).sum(axis=0), (2, 3)), tolerance=2e-3)


def test_a_gradient_too_small_for_half_precision_needs_a_scaled_loss():
    for factor, right in ((1.0, 0.0), (2.0**16, 1e-9)):
        x = Tensor([3.0], requires_grad=True)
        (x.half().float() * 1e-9).sum().backward(factor)
        agree(x.grad.numpy() / factor / 1e-9, [right / 1e-9], tolerance=1e-3)


@pytest.mark.processor
def test_the_processor_refuses_half_precision_and_says_who_does_not():
    with pytest.raises(ValueError, match=r"relu: arrays of float16: .*on a GPU float16"):
        Tensor(normal(2, 3)).half().relu()
    with pytest.raises(ValueError, match=r"alexnet: only GPUs compute in half precision, not cpu\(0\) and cpu\(1\)"):
        alexnet(devices=(cpu(0), cpu(1)), width=1 / 32, half=True)
