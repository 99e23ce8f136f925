"""What is captured as a CUDA graph and replayed. Where there is no GPU a stand-in captures, and nothing here then ran
on a GPU."""

import os
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from alexnet_twins import double, gradients
from gpus import gpus, real, violations  # noqa: F401 - the fixture
from helpers import agree, normal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_trainer import Batches, trainer

from minicnn import Tensor, cpu, cuda, manual_seed, ops
from minicnn.engine.device import copy_to
from minicnn.kernels import product
from minicnn.kernels.cuda_graph import capture, capturing
from minicnn.models import alexnet
from minicnn.nn import Conv2d, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2d, ReLU, Sequential
from minicnn.optim import SGD, LossScale
from minicnn.training.diagnosis import Diverged
from minicnn.training.log import Log
from minicnn.training.step import CapturedStep, Step

pytestmark = pytest.mark.usefixtures("gpus")


@pytest.fixture(autouse=True)
def bindings(gpus):  # noqa: F811
    if real:
        pytest.importorskip("nvmath.bindings.cublas")
    product._cublas.cache_clear()


def there(array):
    return copy_to(array, cuda(0))


def back(array):
    return copy_to(array, cpu(0))


def test_nothing_is_done_until_it_is_replayed_and_then_as_often_as_it_is_replayed():
    with cuda(0):
        x, total = there(normal(3, 4)), there(np.zeros((3, 4)))

        def work():
            y = x * 2
            total[...] = total + y
            return y

        work()
        before = back(total)
        y, again = capture(work)
        np.testing.assert_array_equal(back(total), before)
        for times in (2, 3):
            again()
            np.testing.assert_array_equal(back(y), 2 * normal(3, 4))
            agree(back(total), times * 2 * normal(3, 4))
        x[...] = there(np.ones((3, 4)))
        again()
        np.testing.assert_array_equal(back(y), np.full((3, 4), 2.0))
    assert not violations


def test_what_asks_for_a_number_is_refused_and_leaves_no_trace():
    with cuda(0):
        x = Tensor([1.0, 2.0], device=cuda(0))
        with pytest.raises(Exception, match=r"(?i)captur|not permitted"):
            capture(lambda: (x * 2).numpy())
        assert not capturing()
        agree((x * 2).numpy(), [2, 4])


@given(st.data(), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5),
       st.sampled_from([np.float16, np.float32, np.float64]), st.booleans())  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_captured_product_is_the_product(data, m, k, n, dtype, into):
    def matrix(rows, columns, seed):
        before, after, turned = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()))
        shape = (columns, before + rows + after) if turned else (rows, before + columns + after)
        large = there(normal(*shape, seed=seed).astype(dtype))
        piece = large[:, before : before + (rows if turned else columns)]
        return piece.T if turned else piece

    with cuda(0):
        a, b = matrix(m, k, 1), matrix(k, n, 2)
        room = there(np.full((m, n + 2), 7, dtype))
        out = room[:, 1 : n + 1] if into else None
        y, again = capture(lambda: product.product(a, b, out))
        again()
        tolerance = {np.float16: 2e-3, np.float32: 1e-5, np.float64: 1e-12}[dtype]
        agree(back(y), back(a).astype(np.float64) @ back(b).astype(np.float64), "product", tolerance)
        assert y.dtype == dtype
        if into:
            np.testing.assert_array_equal(back(room)[:, [0, -1]], np.full((m, 2), 7))
    assert not violations


def test_tf32_is_a_setting_of_products(gpus):  # noqa: F811
    from cupy._core import _routines_linalg as of_cupy

    with cuda(0):
        a = copy_to(np.ones((2, 3), np.float32), cuda(0))
        for allowed, compute in ((True, 77), (False, 68)):
            product.allow_tf32(allowed)
            with product.past_cupy():
                product.product(a, a.T)
            if not real:
                assert product._cublas(0)[0].computed_as[-1] == compute
                assert of_cupy.compute_types[np.dtype(np.float32)] == (7 if allowed else 1)


def test_products_that_cublas_cannot_take():
    with cuda(0):
        x = there(normal(4, 6))
        for a, b, out in ((x[:, ::2], x[:3], None), (x, x.T, there(normal(4, 4)).T)):
            with pytest.raises(ValueError, match=r"product: .* has strides"):
                capture(lambda a=a, b=b, out=out: product.product(a, b, out))


def test_a_convolution_by_fourier_is_not_captured():
    with cuda(0):
        x, w = (Tensor(normal(1, 1, 4, 4), device=cuda(0)) for _ in range(2))
        with pytest.raises(ValueError, match="conv2d: Fourier was not made to be captured in a CUDA graph: leave"):
            capture(lambda: ops.conv2d(x, w, algorithm="fourier"))


def test_without_nvidias_bindings_it_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvmath.bindings", None)
    with cuda(0), pytest.raises(RuntimeError, match=r"a CUDA graph needs nvmath-python .*pip install nvmath-python"):
        net = Linear(2, 2)
        CapturedStep(net, SGD(net.named_parameters()))


def test_nvidias_bindings_take_what_they_are_given():
    """Those that are installed, which without a driver can only be looked at."""
    look = """from nvmath.bindings import cublas
print(cublas.set_stream.__doc__, cublas.set_workspace.__doc__, cublas.gemm_ex.__doc__)
print(*(int(cublas.ComputeType[name]) for name in ("COMPUTE_32F", "COMPUTE_32F_FAST_TF32", "COMPUTE_64F")))"""
    looked_at = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True)
    if looked_at.returncode and "No module named 'nvmath'" in looked_at.stderr and not os.environ.get("CI"):
        pytest.skip("no nvmath-python")
    takes = {name: re.sub(r"\b(intptr_t|int|size_t) ", "", given).split(", ")
             for name, given in re.findall(r"(\w+)\(([^)]*)\)", looked_at.stdout)}
    assert takes["set_stream"] == ["handle", "stream_id"]
    assert takes["set_workspace"] == ["handle", "workspace", "workspace_size_in_bytes"]
    assert takes["gemm_ex"] == ["handle", "transa", "transb", "m", "n", "k", "alpha", "a", "atype", "lda", "b", "btype",
                                "ldb", "beta", "c", "ctype", "ldc", "compute_type", "algo"]  # fmt: skip
    assert looked_at.stdout.split()[-3:] == ["68", "77", "70"]


# -- a training step ---------------------------------------------------------------------------------------------------


def small(half):
    with cuda(0):
        return Sequential(Conv2d(3, 4, 3, padding=1), ReLU(), LocalResponseNorm(), MaxPool2d(), Flatten(), Dropout(0.3),
                          Linear(36, 10))  # fmt: skip


def large(half):
    return alexnet(classes=10, devices=(cuda(0), cuda(0)), width=1 / 32, half=half)


def train(captured, make, shape, half=False, steps=7, criterion=ops.cross_entropy, lars=None):
    """With dropout and a scaled loss: the fourth batch is smaller, before the sixth the rate drops."""
    manual_seed(0)
    net = make(half) if half else double(make(half))
    optimiser, scale = SGD(net.named_parameters(), lr=0.01, lars=lars), LossScale(4.0, patience=None)
    images, labels = normal(*shape).astype(np.float32 if half else np.float64), np.arange(len(normal(*shape)))
    take_step = CapturedStep(net, optimiser, criterion, scale) if captured else None
    eager, losses, forward = [], [], net.forward
    net.forward = lambda x: eager.append(len(losses)) or forward(x)
    for step in range(steps):
        x, y = (images * (1 + step / 10), (labels + step) % 10) if step != 3 else (images[:1], labels[:1])
        optimiser.lr = 0.01 if step < 5 else 0.001
        if captured:
            loss, logits = take_step(x, y)
        else:
            logits = net(x)
            loss = criterion(logits, y)
            optimiser.zero_grad()
            (loss * scale.factor).backward()
            loss = loss.item()
            scale.step(optimiser)
        losses.append(loss)
        assert logits.shape == (len(x), 10)
    assert not violations
    return {"losses": np.array(losses), **gradients(net), **{f"new {n}": w for n, w in net.state_dict().items()}}, eager


def test_replayed_steps_are_the_steps_that_eager_ones_would_be():
    (found, eager), (right, all_eager) = (train(captured, small, (3, 3, 7, 7)) for captured in (True, False))
    assert eager == [0, 1, 3], "eager at first, then captured, and eager again only for the smaller batch"
    assert all_eager == list(range(7))
    assert found.keys() == right.keys()
    for name, value in right.items():
        agree(found[name], value, name, 1e-12)


def test_by_lars_the_gradients_are_replayed_and_the_update_is_eager():
    """Its norms come back to the host, which nothing may that is captured."""
    found, right = (train(captured, small, (3, 3, 7, 7), lars=0.5) for captured in (True, False))
    plain, _ = train(False, small, (3, 3, 7, 7))
    assert found[1] == [0, 1, 3]
    for name, value in right[0].items():
        agree(found[0][name], value, name, 1e-12)
    assert not np.allclose(plain["losses"], right[0]["losses"])


def test_a_loss_that_weighs_classes_is_captured_too():
    weight = Tensor(np.arange(1.0, 11.0), device=cuda(0))
    found, right = (train(captured, small, (3, 3, 7, 7), criterion=partial(ops.cross_entropy, weight=weight))
                    for captured in (True, False))
    assert found[1] == [0, 1, 3]
    for name, value in right[0].items():
        agree(found[0][name], value, name, 1e-12)


def test_a_scale_that_grows_is_that_of_the_next_step():
    found = {}
    for kind in (Step, CapturedStep):
        manual_seed(0)
        net = double(small(half=False))
        step = kind(net, SGD(net.named_parameters()), loss_scale=LossScale(4.0, patience=3))
        factors = [step(normal(3, 3, 7, 7), np.arange(3)) and step.loss_scale.factor for _ in range(7)]
        assert factors == [4, 4, 8, 8, 8, 16, 16]
        found[kind] = net.state_dict()
    for name, value in found[Step].items():
        agree(found[CapturedStep][name], value, name, 1e-12)


def test_three_steps_of_alexnet_of_which_the_third_is_replayed():
    (found, eager), (right, _) = (train(captured, large, (1, 3, 224, 224), steps=3) for captured in (True, False))
    assert eager == [0, 1]
    for name, value in right.items():
        agree(found[name], value, name, 1e-12)


def test_also_in_half_precision():
    (found, eager), (right, _) = (train(captured, large, (1, 3, 224, 224), True, 3) for captured in (True, False))
    assert eager == [0, 1]
    agree(found["losses"], right["losses"], tolerance=2e-3)


@pytest.fixture(params=range(4))
def after_some(request):
    """(net, its captured step, images, labels): the next step is eager, captured or replayed."""
    with cuda(0):
        net = Sequential(Dropout(0.5), Linear(4, 10))
    take_step = CapturedStep(net, SGD(net.named_parameters()))
    images, labels = normal(2, 4).astype(np.float32), np.array([3, 5])
    for _ in range(request.param):
        take_step(images, labels)
    return net, take_step, images, labels


def test_a_label_that_is_no_class_is_refused_before_anything_has_changed(after_some):
    """Also as a tensor."""
    net, take_step, images, labels = after_some
    with cuda(0):
        before = net.state_dict()
        for wrong in (labels + 10, labels - 10, Tensor(labels - 10)):
            with pytest.raises(ValueError, match="cross_entropy: labels go from"):
                take_step(images, wrong)
        for wrong in (labels + 0.5, labels[:1], labels[:, None]):
            with pytest.raises(ValueError, match=r"cross_entropy: x \(2, 10\) and labels .* do not fit"):
                take_step(images, wrong)
        for name, array in net.state_dict().items():
            np.testing.assert_array_equal(array, before[name])
        assert np.isfinite(take_step(images, Tensor(labels))[0])


def test_a_loss_that_is_not_finite_is_found_before_anything_has_changed(after_some):
    net, take_step, images, labels = after_some
    before = net.state_dict()
    with pytest.raises(Diverged, match="the loss is nan; the first output that is not finite is that of 0; the learn"):
        take_step(images * np.float32(np.inf), labels)
    assert not take_step.updating
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("devices", [(0,), pytest.param((0, 1), marks=pytest.mark.two_gpus)])
def test_a_graph_is_of_one_gpu(devices):
    places = (cpu(0), cuda(0)) if len(devices) == 1 else tuple(map(cuda, devices))
    net = alexnet(classes=10, devices=places, width=1 / 32)
    with pytest.raises(ValueError, match=r"CapturedStep: a CUDA graph is of one GPU, the model lives on .* and cuda"):
        CapturedStep(net, SGD(net.named_parameters()))


def test_a_trainer_handed_a_captured_step_trains_as_with_one_that_is_not(tmp_path):
    runs = {}
    for kind in (Step, CapturedStep):
        with cuda(0):
            run = trainer(tmp_path / kind.__name__, Batches(batches=6), step=kind)
            run.fit(3)  # the rate drops before the last epoch
            runs[kind] = run.model.state_dict()
            steps = [line["loss"] for line in Log(tmp_path / kind.__name__ / "log.jsonl").read() if "loss" in line]
            runs[kind]["losses"] = np.array(steps)
    for name, right in runs[Step].items():
        agree(runs[CapturedStep][name], right, name, 1e-4)
    assert not violations


@pytest.mark.processor
def test_on_the_processor_there_is_nothing_to_capture(tmp_path):
    with cpu(0), pytest.raises(ValueError, match=r"CapturedStep: a CUDA graph is of one GPU, the model .* cpu\(0\)"):
        trainer(tmp_path / "run", step=CapturedStep)
