"""What a run is going to take: predicted, held against what is measured; and what ``--plan`` says of it."""

import re
import sys
import tracemalloc
from pathlib import Path

import cupy_stand_in
import numpy as np
import pytest
from gpus import gpus  # noqa: F401 - a fixture
from helpers import normal
from pictures import make_folder
from test_train_alexnet import cache, finished, inside, refused  # noqa: F401 - a fixture

from minicnn import cpu, cuda
from minicnn.engine.observers import Observer, observe
from minicnn.kernels import convolution
from minicnn.models import VARIANTS, alexnet
from minicnn.nn import Linear, ReLU, Sequential
from minicnn.optim import SGD
from minicnn.training import memory, plan
from minicnn.training.memory import Need, predicted
from minicnn.training.step import Step

ONE, TWO = (cpu(0), cpu(0)), (cpu(0), cpu(1))
NARROW = ["--width", "0.05", "--workers", "0", "--seed", "3", "-b", "4", "--device", "cpu:0,cpu:1"]


def measured(model, batch_size):
    """Bytes of a step's widest moment, counted by tracemalloc: all but weights, velocities and the batch, which were
    there before. The least of three: which core still holds its columns when others go on is chance, and in nets as
    small as these a tenth."""
    images = np.moveaxis(normal(3, model.pixels, model.pixels, batch_size), -1, 0).astype(np.float32)
    step = Step(model, SGD(model, lr=0))
    step(images, np.zeros(batch_size, int))  # all that it needs is compiled
    tracemalloc.start()
    try:
        step(images, np.zeros(batch_size, int))  # whose gradients are there when the next one begins
        peaks = []
        for _ in range(3):
            tracemalloc.reset_peak()
            step(images, np.zeros(batch_size, int))
            peaks.append(tracemalloc.get_traced_memory()[1])
        return min(peaks)
    finally:
        tracemalloc.stop()


def test_of_a_small_net_by_hand():
    N, net = 4096, Sequential(Linear(5, 7), ReLU(), Linear(7, 3))
    (need,) = predicted(net, (5,), N).values()
    first, second = 4 * (5 * 7 + 7), 4 * (7 * 3 + 3)
    # the widest moment is backward through ReLU, when the second layer has its gradients: kept are the inputs of the
    # first layer and ReLU's output, and its gradient comes and goes
    assert need == (2 * (first + second), second, 4 * N * 5, 4 * N * (5 + 7), 4 * N * (7 + 7))


@pytest.mark.processor
@pytest.mark.parametrize(("image", "kernels", "stride", "padding"), [
    ((24, 27, 27, 64), (24, 5, 5, 64), 1, 2), ((64, 13, 13, 64), (64, 3, 3, 64), 1, 1),
    ((3, 115, 115, 32), (3, 11, 11, 48), 4, 0), ((6, 9, 9, 4), (6, 3, 3, 4), 2, 1)])  # fmt: skip
def test_what_convolutions_take_besides(image, kernels, stride, padding, threads):
    """On one core, so that nothing is chance."""
    threads(1)
    (_, H, W, N), (_, R, S, K) = image, kernels
    P, Q = ((pixels + 2 * padding - size) // stride + 1 for pixels, size in ((H, R), (W, S)))
    x, w, gy = (np.ones(shape, np.float32) for shape in (image, kernels, (K, P, Q, N)))
    geometry = convolution.Geometry(1, P, Q, stride, stride, padding, padding)
    ways = {"forward": lambda: convolution.forward(x, w, None, geometry),
            "image": lambda: convolution.image_gradient(gy, w, image, geometry),
            "weight": lambda: convolution.weight_gradient(gy, x, kernels, geometry)}
    for way, compute in ways.items():
        compute()
        tracemalloc.start()
        result = compute()
        taken = tracemalloc.get_traced_memory()[1] - result.nbytes
        tracemalloc.stop()
        assert convolution.scratch(way, x, kernels, geometry) == pytest.approx(taken, rel=0.1, abs=50_000), way


@pytest.mark.processor
@pytest.mark.parametrize(("variant", "width", "batch_size", "devices"), [
    *((variant, 1 / 8, 24, TWO) for variant in VARIANTS),
    *((variant, 1 / 4, 8, ONE) for variant in ("caffe", "torchvision"))])  # fmt: skip
def test_what_is_predicted_is_what_is_measured(variant, width, batch_size, devices):
    model = alexnet(variant, 10, devices, width)
    (need,) = predicted(model, (3, model.pixels, model.pixels), batch_size).values()
    taken = measured(model, batch_size) + need.weights + need.batch
    assert need.total == pytest.approx(taken, rel=0.1)
    assert need.weights == 2 * sum(p.data.nbytes for p in model.parameters())
    assert need.batch == batch_size * 3 * model.pixels**2 * 4


@pytest.mark.processor
def test_towers_that_are_to_be_gpus_have_a_memory_each():
    model = alexnet("blueprint", 10, TWO, 1 / 16)
    together = predicted(model, (3, 224, 224), 8)["processor"]
    apart = predicted(model, (3, 224, 224), 8, like=np.zeros(1, np.float32))
    assert list(apart) == ["cpu(0)", "cpu(1)"]
    assert sum(need.weights for need in apart.values()) == together.weights
    assert (apart["cpu(0)"].batch, apart["cpu(1)"].batch) == (together.batch, 0)
    assert 0.5 * together.total < apart["cpu(0)"].total < together.total


class Used(Observer):
    """The most that is used on each of two GPUs, wherever an op or a gradient is done."""

    def __init__(self):
        self.most = [0, 0]

    def op_done(self, *of):
        self.most = [max(most, cupy_stand_in._used[i]) for i, most in enumerate(self.most)]

    gradient_done = op_done


def test_what_two_gpus_take_to_the_byte(gpus, monkeypatch):  # noqa: F811 - the fixture
    """On a stand-in, which counts as they would; but for scratch, which is gone where an op is done."""
    if not getattr(gpus, "is_stand_in", False):
        pytest.skip("a GPU does not tell what was used at most")
    monkeypatch.setattr(memory.convolution, "scratch", lambda *of: 0)
    model = alexnet("blueprint", 10, (cuda(0), cuda(1)), 1 / 16)
    need = predicted(model, (3, 224, 224), 2)
    with cuda(0):
        images = gpus.zeros((2, 3, 224, 224), np.float32)
    step, used = Step(model, SGD(model, lr=0)), Used()
    step(images, [0, 1])
    before = [cupy_stand_in._used[i] for i in range(2)]
    with observe(used):
        step(images, [0, 1])
    assert list(need) == ["cuda(0)", "cuda(1)"]
    for parts, most, now in zip(need.values(), used.most, before, strict=True):
        others = now - parts.weights - parts.weights // 2 - parts.batch  # now the gradients are there as well
        assert parts.total == pytest.approx(most - others, abs=5000)


def test_predicting_leaves_the_model_as_it_was():
    model = alexnet("blueprint", 10, width=1 / 16)
    before = {name: array.tobytes() for name, array in model.state_dict().items()}
    predicted(model, (3, 224, 224), 8)
    assert {name: array.tobytes() for name, array in model.state_dict().items()} == before


def test_a_gpu_is_a_place():
    with cuda(0) if "cupy" in sys.modules else cpu(0) as device:
        net = Sequential(Linear(5, 3))
    assert list(predicted(net, (5,), 2)) == ["processor" if device.kind == "cpu" else "cuda(0)"]


# -- what is measured --------------------------------------------------------------------------------------------------


@pytest.mark.processor
@pytest.mark.parametrize("linux", [True, False])
def test_the_memory_of_a_step(linux, monkeypatch):
    held = np.ones(40_000_000, np.uint8)
    if not linux:
        for name in ("write_text", "read_text"):  # as where there is no /proc
            monkeypatch.setattr(Path, name, lambda *given, **more: Path("/not/there").stat())
    elif not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux tells the peak of a process")
    steps = []

    def step():
        steps.append(np.ones(80_000_000 if len(steps) else 200_000_000, np.uint8))
        steps[0] = None

    need = {"processor": Need(10**6, 0, 2 * 10**6, 0, 0)}
    taken, peak = plan.taken_by(step, need, TWO)
    assert taken == {"processor": pytest.approx(83e6, rel=0.01)}, "of the second of two steps"
    assert (peak > 120e6) if linux else peak == 0
    assert len(steps) == 2
    assert held.all()


class Clock:
    """Of a machine on which everything takes as long as it says."""

    now = 100.0

    def perf_counter(self):
        return self.now


class Prepared:
    """A loader of batches of 4: the first takes 3 s, in which the workers start, each other one half a second."""

    def __init__(self, clock):
        self.clock, self.given = clock, 0

    def epoch(self, number, start, device):
        for _ in range(3):
            self.given += 1
            self.clock.now += 0.5 if self.given > 1 else 3
            yield f"images {self.given}", [0] * (4 if self.given > 1 else 2)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(plan, "time", clock)
    return clock


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_rate_of_a_loader(clock, workers):
    rate, batches, (images, labels) = plan.loader_rate(Prepared(clock), cpu(0), workers)
    assert rate == pytest.approx(4 / 0.5), "not of the time in which workers start"
    assert batches == 2 * (workers + 1) + 1
    assert (images, len(labels)) == ("images 2", 4), "the first that is as large as any"


def test_a_slow_loader_is_not_waited_for(clock):
    class Slow(Prepared):
        def epoch(self, *given):
            for batch in super().epoch(*given):
                self.clock.now += 60
                yield batch

    assert plan.loader_rate(Slow(clock), cpu(0), 8)[:2] == (pytest.approx(4 / 60.5), 1)


def test_the_rate_of_steps(clock):
    seconds = iter([1, 2, 4, 4, 4])

    def step():
        clock.now += next(seconds)

    assert plan.step_rate(step, 8) == [8, 4, 2, 2]


@pytest.mark.parametrize(("step", "loader", "workers", "cores", "rate", "words"), [
    (100, 300, 3, 0, 100, "the step is the limit: the loader keeps up: --workers 1 would do"),
    (100, 100, 1, 0, 100, "the loader is the limit: --workers 1 would keep up"),
    (100, 20, 1, 0, 20, "the loader is the limit: --workers 5 would keep up"),
    (100, 100, 0, 0, 50, "step and loader take turns, as there are no workers: give --workers 1"),
    (40, 160, 1, 2, 2 / (2 / 40 + 1 / 160), "the limit is the step, and the 2 cores, which it shares with the loader: "
     "the loader keeps up"),
    (40, 10, 1, 16, 10, "the loader is the limit: --workers 4 would keep up"),
])  # fmt: skip
def test_the_pace_of_both(step, loader, workers, cores, rate, words):
    assert plan.pace(step, loader, workers, cores) == (pytest.approx(rate), words)


def test_spans_of_time():
    assert [plan.span(seconds) for seconds in (12.4, 600, 36000, 5 * 86400)] == [
        "12 s", "10.0 minutes", "10.0 hours", "120.0 hours (5.0 days)"]  # fmt: skip


def test_whether_the_disk_has_room(tmp_path, monkeypatch):
    class Usage:
        free = 5 * 10**9

    asked = []
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: asked.append(path) or Usage)
    assert plan.on_disk(10**9, 2, tmp_path / "no" / "run").endswith(
        f" being written take 5.00 GB, predicted; 5.00 GB are free in {tmp_path}")
    assert plan.on_disk(10**9, 3, tmp_path).endswith("WHICH IS NOT ENOUGH: give an --output on another disk, or a "
                                                     "smaller --keep")
    assert asked == [tmp_path, tmp_path]


@pytest.mark.parametrize("variant", VARIANTS)
def test_work_of_an_image(variant):
    """Back, the work of conv1 is not done for the pictures: of a tower 11 × 11 × 3 for each of its places."""
    model = alexnet(variant, 10, width=1 / 16)
    kernels = sum(tower.conv1[0].weight.size for tower in model.towers())
    forward, training = plan.multiply_adds(model)
    assert forward == sum(layer.multiply_adds for layer in model.costs())
    assert training == 3 * forward - 55 * 55 * kernels


# -- the script --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    make_folder(data / "train", 6)
    make_folder(data / "val", 3)
    return data


@pytest.mark.processor
def test_a_plan_trains_nothing_and_is_right(data, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "STEPS", 2)
    run = tmp_path / "run"
    said = finished(inside(data, "-o", run, "--epochs", 1, *NARROW, "--plan"))
    assert not run.exists()
    lines = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    assert lines["plan"].startswith("nothing is trained")
    said_of = ["plan", "parameters", "checkpoint", "work", "memory of the processor", "step", "loader", "together",
               "time"]  # fmt: skip
    assert [name for name in lines if name in said_of] == said_of
    assert re.search(r"MB predicted \(.*\), \d+ MB measured: \d+\.\d% apart$", lines["memory of the processor"])
    assert re.search(r"of batches of 4, measured on 2 steps", lines["step"])
    assert re.match(r"an epoch \S+ s, 1 epochs \S+ s, .*; predicted$", lines["time"])
    finished(inside(data, "-o", run, "--epochs", 1, *NARROW))
    size = float(lines["checkpoint"].split()[0])
    assert (run / "last.safetensors").stat().st_size / 1e6 == pytest.approx(size, abs=0.1)
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    said = finished(inside("--resume", run, "--epochs", 4, "--plan"))
    assert ", 3 epochs " in said, "those that are left"
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before
    assert f"free in {run}" in said


def test_a_plan_is_for_training(data, tmp_path):
    said = refused(inside("--resume", tmp_path, "--evaluate", "--plan"), 2)
    assert "--plan is for training, --evaluate trains nothing" in said
