"""Tensors on GPUs. Where there are none they are a stand-in's (cupy_stand_in.py), which sees what GPUs would not say:
nothing here then ran on a GPU."""

import math

import numpy as np
import pytest
from alexnet_twins import batch, double, gradients
from gpus import gpus, violations  # noqa: F401 - the fixture
from helpers import agree, normal
from pictures import make_folder
from test_kernels import KERNELS, own

from minicnn import Tensor, cpu, cuda, gradcheck, manual_seed, ops
from minicnn.data import ArrayLoader, Loader, Statistics
from minicnn.engine.device import copy_to, current_device, device_of
from minicnn.engine.memory import batch_last
from minicnn.kernels import columns, convolution, relu
from minicnn.models import alexnet
from minicnn.nn import forward_hook
from minicnn.optim import SGD

two_gpus = pytest.mark.two_gpus
one_or_the_other = pytest.mark.parametrize("device", [0, pytest.param(1, marks=two_gpus)])
pytestmark = pytest.mark.usefixtures("gpus")


@two_gpus
def test_a_device_is_entered_and_the_one_before_restored_also_by_an_exception():
    import cupy

    outside = current_device()
    with cuda(1):
        assert cupy.cuda.runtime.getDevice() == 1
        with pytest.raises(ZeroDivisionError), cuda(0):
            assert (current_device(), cupy.cuda.runtime.getDevice()) == (cuda(0), 0)
            raise ZeroDivisionError
        assert (current_device(), cupy.cuda.runtime.getDevice()) == (cuda(1), 1)
        with cpu(0):
            assert Tensor([1.0]).device == cpu(0)
    assert current_device() == outside


@one_or_the_other
def test_what_is_on_a_device_stays_there(device):
    device = cuda(device)
    x = Tensor(normal(2, 3, 4, 4), requires_grad=True, device=device)
    y = ops.max_pool2d(ops.local_response_norm(x).relu(), size=2)
    y.mean().backward()
    assert device_of(x.data) == device_of(y.data) == device_of(x.grad.data) == y.device == device
    for answer in (x > 0, abs(x), (x > 0).any(), x.argmax(1)):
        assert device_of(answer.data) == answer.device == device
    assert isinstance(y.numpy(), np.ndarray)
    assert f"Tensor({np.float64(1.5)}, (), {device!r}" in repr(Tensor(1.5, device=device))
    assert Tensor(1.5, device=device).item() == float(Tensor(1.5, device=device)) == 1.5
    with device:
        assert Tensor([1.0]).device == device


@two_gpus
def test_gradients_are_added_where_they_are():
    x = Tensor(normal(3), requires_grad=True, device=cuda(1))
    for _ in range(2):
        (x * x + x).sum().backward()
    agree(x.grad.numpy(), 2 * (2 * normal(3) + 1))


@two_gpus
def test_an_optimiser_steps_on_every_device():
    parameters = {f"p{i}": Tensor(normal(3, 2), requires_grad=True, device=device)
                  for i, device in enumerate((cuda(0), cuda(1), cpu(0)))}  # fmt: skip
    optimiser = SGD(parameters.items(), lr=0.1)
    for _ in range(2):
        for p in parameters.values():
            p.grad = Tensor(normal(3, 2, seed=1), device=p.device)
        optimiser.step()
    for name, p in parameters.items():
        agree(p.numpy(), parameters["p2"].numpy(), name)
        assert device_of(optimiser.velocity[name].data) == device_of(p.data)


@two_gpus
def test_what_crosses_is_not_freed_before_it_has_crossed():
    for source, target in ((cuda(0), cuda(1)), (cuda(1), cuda(0))):
        y = Tensor(normal(40), device=source).to(target) * 2  # nobody waits, and the source is gone
        agree(y.numpy(), 2 * normal(40))
    assert not violations


@two_gpus
def test_a_convolution_in_blocks(monkeypatch):
    """The host's other threads know nothing of the device that this one has entered."""
    monkeypatch.setattr(columns, "room", lambda like: (500, 500))
    x, w = normal(2, 3, 6, 6), normal(4, 3, 3, 3)
    found = [Tensor(a, requires_grad=True, device=cuda(1)) for a in (x, w)]
    right = [Tensor(a, requires_grad=True, device=cpu(0)) for a in (x, w)]
    for pair in (found, right):
        (ops.conv2d(*pair) * 2).sum().backward()
    for got, expected in zip(found, right, strict=True):
        agree(got.grad.numpy(), expected.grad.numpy())


@two_gpus
def test_a_convolution_by_fourier():
    """By the same products; nobody has timed them on a GPU, so they are not chosen there."""
    x, w, b = normal(3, 4, 9, 8), normal(6, 2, 3, 2, seed=1), normal(6, seed=2)
    found = [Tensor(a, requires_grad=True, device=cuda(1)) for a in (x, w, b)]
    right = [Tensor(a, requires_grad=True, device=cpu(0)) for a in (x, w, b)]
    for given in (found, right):
        y = ops.conv2d(*given, padding=(1, 2), groups=2, algorithm="fourier")
        (y * y).sum().backward()
    for got, expected in zip(found, right, strict=True):
        agree(got.grad.numpy(), expected.grad.numpy())
    image, kernels, geometry = (48, 27, 27, 128), (48, 5, 5, 128), convolution.Geometry(1, 27, 27, 1, 1, 2, 2)
    assert convolution.chosen(image, kernels, geometry)
    assert not convolution._asked(None, found[0]._array, image, kernels, geometry)
    with pytest.raises(ValueError, match="conv2d: Fourier needs single or double precision, and x is float16: leave"):
        ops.conv2d(ops.half(found[0]), ops.half(found[1]), groups=2, algorithm="fourier")
    assert not violations


@two_gpus
@pytest.mark.parametrize("source", [cpu, cuda])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4, 5)])
def test_there_and_back_with_memory_order_and_gradient(source, shape):
    x = Tensor(normal(*shape), requires_grad=True, device=source(0))
    ops.ledger.clear()
    y = x.to(cuda(1))
    assert (device_of(y.data), y.device) == (cuda(1), cuda(1))
    assert batch_last(y.data).flags.c_contiguous
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    (y * y).sum().backward()
    assert x.grad.device == source(0)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())
    assert ops.ledger == {way: n for way in ((source(0), cuda(1)), (cuda(1), source(0))) if (n := x.size * 8)} or not n


@two_gpus
def test_devices_are_not_mixed():
    with pytest.raises(ValueError, match=r"add: inputs live on cpu\(0\) and cuda\(1\): bring them together"):
        Tensor([1.0], device=cpu(0)) + Tensor([1.0], device=cuda(1))
    with pytest.raises(ValueError, match=r"add: inputs live on cuda\(0\) and cuda\(1\)"):
        Tensor([1.0], device=cuda(0)) + Tensor([1.0], device=cuda(1))
    with pytest.raises(RuntimeError, match=r"cuda\(99\): there are \d+ GPUs, counted from 0"):
        cuda(99)


@two_gpus
def test_the_launcher_refuses_what_a_kernel_would_misread():
    x, y = (Tensor(normal(4, 3), device=cuda(1)).writable().T for _ in range(2))  # as it lies
    with cuda(0), pytest.raises(ValueError, match=r"relu: the arrays live on cuda\(1\), the current .* is cuda\(0\)"):
        relu.relu(y, x)
    with cuda(1):
        relu.relu(y, x)
        with pytest.raises(ValueError, match=r"relu: an array \(4, 3\) has strides"):
            relu.relu(y.T, x.T)
        with pytest.raises(ValueError, match="relu: arrays live on"):
            relu.relu(y, np.zeros((3, 4)))


@pytest.mark.parametrize("real", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_does_what_the_processors_does(name, real):
    kernel, _, arguments = KERNELS[name]
    host = own(arguments, real)
    with cuda(0) as device:
        there = [copy_to(a, device) if isinstance(a, np.ndarray) else a for a in own(arguments, real)]
        kernel(*there)
    if real == np.float16:  # which the processor computes in single
        host = [a.astype(np.float32) if getattr(a, "dtype", None) == np.float16 else a for a in host]
    kernel(*host)
    for got, right in zip(there, host, strict=True):
        if isinstance(right, np.ndarray):
            agree(copy_to(got, cpu(0)), right, name, {np.float64: 1e-10, np.float32: 1e-5, np.float16: 1e-3}[real])


# -- AlexNet -----------------------------------------------------------------------------------------------------------


def three_steps(devices):
    """Losses, and in the end all gradients and parameters, of a small AlexNet with dropout, in double precision."""
    manual_seed(0)
    net = double(alexnet(classes=10, devices=devices, width=1 / 16))
    optimiser, (images, labels) = SGD(net.named_parameters(), lr=0.01), batch(2)
    losses = []
    for _ in range(3):
        loss = ops.cross_entropy(net(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert {p.device for p in net.b.parameters()} == {devices[1]}
    return {"losses": np.array(losses), **gradients(net), **{f"new {n}": w for n, w in net.state_dict().items()}}


@pytest.fixture(scope="module")
def on_the_processor():
    with cpu(0):
        return three_steps((cpu(0), cpu(1)))


@pytest.mark.parametrize("devices", [
    (cuda, 0, cuda, 0), (cuda, 0, cpu, 0), pytest.param((cuda, 0, cuda, 1), marks=two_gpus),
    pytest.param((cpu, 0, cuda, 1), marks=two_gpus),
])  # fmt: skip
def test_three_steps_of_alexnet_are_the_processors(devices, on_the_processor):
    kind, i, other, j = devices
    found = three_steps((kind(i), other(j)))
    assert found.keys() == on_the_processor.keys()
    for name, right in on_the_processor.items():
        agree(found[name], right, name, 1e-10)
    assert not violations


@pytest.mark.parametrize("devices", [(0, 0), pytest.param((0, 1), marks=two_gpus)])
def test_alexnet_in_half_precision_is_the_processors_but_for_rounding(devices):
    found = {}
    for half, places in ((False, (cpu(0), cpu(1))), (True, tuple(map(cuda, devices)))):
        with places[0]:
            manual_seed(0)
            net = alexnet(classes=10, devices=places, width=1 / 16, half=half)
            seen = []
            with forward_hook(lambda layer, y, seen=seen: seen.append((layer, y.dtype))):
                logits, factor = net(batch(2, np.float32)[0]), 2.0**10 if half else 1.0
            assert {dtype.name for layer, dtype in seen if layer is not net} == {"float16" if half else "float32"}
            ops.cross_entropy(logits, batch(2)[1]).backward(factor)
            found[half] = gradients(net) | {"logits": logits.numpy()}
            optimiser = SGD(net.named_parameters(), lr=0.1, momentum=0.0)
            optimiser.step(factor)
            assert math.isfinite(optimiser.gradient_norm())
            assert {(p.dtype.name, p.grad.dtype.name) for p in net.parameters()} == {("float32", "float32")}
            found[half] |= {f"new {name}": value for name, value in net.state_dict().items()}
    assert logits.dtype == np.float32
    for name, right in found[False].items():
        got = found[True][name] / (factor if name in gradients(net) else 1)
        away = np.linalg.norm(got - right) / np.linalg.norm(right)
        # what rounds to a tie goes to another window or stops at a ReLU: to one unit in a hundred in the first layers
        assert away <= (2e-3 if name in ("logits", "fc8.weight", "fc8.bias") else 0.15), f"{name}: {away}"
    assert not violations


@two_gpus
def test_a_gradient_checked_across_two_gpus():
    gradcheck(lambda x: ops.local_response_norm((x.to(cuda(1)) * 2).to(cuda(0))), normal(2, 3, 2, 2))
    assert not violations


# -- batches that come while others are worked on ----------------------------------------------------------------------


@one_or_the_other
def test_batches_come_ahead_in_order_and_whole(device):
    device = cuda(device)
    batches = [(normal(4, 3, seed=i), i) for i in range(5)]
    for n in (0, 1, 2, 5):
        asked = []
        source = (asked.append(i) or (array, i) for array, i in batches[:n])
        doubled = []
        for k, (array, i) in enumerate(device.prefetch(source)):
            assert asked == list(range(min(k + 2, n))), "the next one is on its way, and no more"
            assert (i, device_of(array)) == (k, device)
            doubled.append(Tensor(array, device=device) * 2)
            del array  # nobody waits for the GPU before this is freed
        for y, (x, _) in zip(doubled, batches, strict=False):
            agree(y.numpy(), 2 * x)
        assert len(doubled) == n
    assert len(next(device.prefetch(iter(batches)))) == 2  # and no more, as when training is stopped
    assert not violations


@one_or_the_other
def test_a_loader_cuts_its_views_on_the_gpu(device, tmp_path):
    device = cuda(device)
    rng = np.random.default_rng(0)
    statistics = Statistics(rng.uniform(0, 255, size=(3, 256, 256)).astype(np.float32), np.float32([10, 20, 90]),
                            np.eye(3, dtype=np.float32), {})  # fmt: skip
    loader = Loader(make_folder(tmp_path, 4), statistics, 3, train=True, scale=0.25)
    for (x, labels), (right, expected) in zip(loader.epoch(0, 0, device), loader.epoch(0), strict=True):
        assert device_of(x) == device
        assert batch_last(x).flags.c_contiguous
        np.testing.assert_array_equal(copy_to(x, cpu(0)), right)
        assert labels.tolist() == expected.tolist()
    assert not violations


@one_or_the_other
def test_arrays_are_sent_as_they_are_and_become_single_on_the_gpu(device):
    device = cuda(device)
    for dtype in (np.uint8, np.float64):
        images = np.random.default_rng(0).uniform(0, 255, (7, 2, 4, 3)).astype(dtype)
        for augment in (None, lambda image, rng: image[:, ::-1] * rng.normal()):
            loader = ArrayLoader(images, np.arange(7), 3, train=True, scale=0.3, augment=augment)
            for (x, labels), (right, expected) in zip(loader.epoch(1, 0, device), loader.epoch(1), strict=True):
                assert device_of(x) == device
                assert batch_last(x).flags.c_contiguous
                np.testing.assert_array_equal(copy_to(x, cpu(0)), right)
                assert labels.tolist() == expected.tolist()
    with cuda(0):
        here = copy_to(images, cuda(0))
    ((x, _),) = ArrayLoader(here, np.arange(7), 7, train=False).epoch(0)
    np.testing.assert_array_equal(x, images.astype(np.float32))
    assert not violations


def test_the_processor_takes_batches_as_they_come():
    batches = [(normal(2), 0)]
    assert next(cpu(0).prefetch(batches))[0] is batches[0][0]
