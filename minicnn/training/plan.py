"""What a run is going to take: disk, memory and time, said before anything is trained; see ``plan``."""

from __future__ import annotations

import itertools
import math
import re
import shutil
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from minicnn.kernels import get_num_threads

from ..data import Loader
from ..engine.device import Device, cupy
from ..engine.tensor import Tensor
from ..models import AlexNet
from ..nn import Conv2d
from .interrupt import say
from .memory import Need, predicted
from .step import CapturedStep, Step

__all__ = ["Pace", "checkpoint_bytes", "loader_rate", "multiply_adds", "pace", "plan", "span", "step_rate",
           "taken_by"]

SECONDS = 10.0  # that the loader may be measured, and that steps may, which are two at least
STEPS = 10
FORWARD = 3  # a step takes so many times as long as going forward: there, to the images, to the weights


def plan(step: Step, training: Loader, validation: Loader, folder: Path, epochs: int, keep: int, workers: int) -> None:
    """Say in one line each what a run takes, and end there. What is predicted and what is measured is said to be so.

    folder: of the run, which need not be there. epochs: those to come. keep: past checkpoints. workers: of the loader.

    The learning rate is 0 after it, so that the steps that are measured change nothing; nothing is written. Raises what
    a step and a loader raise.
    """
    model: Any = step.model
    step.optimiser.lr = 0.0  # whatever is taught: nothing moves, and nothing diverges
    counts, devices = (len(training.folder), len(validation.folder)), model.devices[: len(model.towers())]
    say("plan: nothing is trained and nothing is saved; a few batches are read and a few steps are taken, within a "
        "minute or so")
    parameters = sum(p.size for p in model.parameters())
    say(f"parameters: {parameters:,} in {4 * parameters / 1e6:,.1f} MB")
    say(f"checkpoint: {on_disk(checkpoint_bytes(step, training, sum(counts)), keep, folder)}")
    forward, both = multiply_adds(model)
    say(f"work: {forward / 1e6:,.1f} million multiply-adds an image forward, {both / 1e6:,.1f} million in training; "
        "counted")
    say("… measuring the loader")
    loading, batches, batch = loader_rate(training, devices[0], workers)
    size = len(batch[1])
    need = predicted(model, (3, model.pixels, model.pixels), size)
    say(f"… measuring steps of {size} images")
    for _ in range(2 if isinstance(step, CapturedStep) else 1):  # warm: compiled, captured, in the caches
        step(*batch)
    taken, peak = taken_by(lambda: step(*batch), need, devices)
    for place, parts in need.items():
        say(f"memory of the {place}: {of_memory(parts, taken[place])}")
    if peak:
        say(f"memory of the process: {peak / 1e6:,.0f} MB at its peak, measured, with Python and the libraries; "
            "workers have their own")
    rates = step_rate(lambda: step(*batch), size)
    mean = len(rates) / sum(1 / rate for rate in rates)
    say(f"step: {mean:,.1f} images/s of batches of {size}, measured on {len(rates)} steps, {min(rates):,.1f} to "
        f"{max(rates):,.1f}")
    say(f"loader: {loading:,.1f} images/s by itself with {of_workers(workers)}, measured on {batches} batches")
    cores = get_num_threads() if devices[0].kind == "cpu" else 0
    both_ways = pace(mean, loading, workers, cores)
    say(f"together: {both_ways.rate:,.1f} images/s predicted; {both_ways.words}")
    epoch = counts[0] / both_ways.rate + counts[1] / pace(FORWARD * mean, loading, workers, cores).rate
    say(f"time: an epoch {span(epoch)}, {epochs} epochs {span(epochs * epoch)}, validation in it; predicted")


# -- disk --------------------------------------------------------------------------------------------------------------


def checkpoint_bytes(step: Step, loader: Loader, pictures: int) -> int:
    """Of a file: weights and velocities, mean and colours of the pictures, and what is noted of each (24 bytes)."""
    tensors = [*dict(step.model._named(Tensor)).values(), *step.optimiser.velocity.values()]
    noted = [*(tensor.data for tensor in tensors), *loader.statistics.arrays().values()]
    return sum(int(array.nbytes) for array in noted) + 24 * pictures


def on_disk(each: int, keep: int, folder: Path) -> str:
    """What checkpoints take at most, and whether there is room for them."""
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free, most = shutil.disk_usage(there).free, (keep + 3) * each
    way = "" if most <= free else ", WHICH IS NOT ENOUGH: give an --output on another disk, or a smaller --keep"
    return (f"{each / 1e6:,.1f} MB with the velocities; the last, the best, {keep} of past epochs (--keep) and one that"
            f" is being written take {most / 1e9:,.2f} GB, predicted; {free / 1e9:,.2f} GB are free in {there}{way}")


# -- work and memory ---------------------------------------------------------------------------------------------------


def multiply_adds(model: AlexNet) -> tuple[int, int]:
    """Of an image: (forward, in training). Back to the weights and back to the images is as much again each, but no
    gradient goes to the pictures themselves."""
    layers = model.costs()
    forward = sum(layer.multiply_adds for layer in layers)
    first = sum(layer.multiply_adds for layer in layers
                if layer.layer == Conv2d.__name__ and layer.name.split(".")[1] == "conv1")
    return forward, 3 * forward - first


def of_memory(need: Need, taken: int) -> str:
    parts = ", ".join(f"{words} {part / 1e6:,.0f}" for words, part in zip(
        ("weights and velocities", "gradients", "batch", "kept for backward", "on its way"), need, strict=True))
    return (f"{need.total / 1e6:,.0f} MB predicted ({parts}), {taken / 1e6:,.0f} MB measured: "
            f"{abs(need.total / taken - 1):.1%} apart")


def taken_by(take_step: Callable[[], object], need: dict[str, Need], devices: tuple[Device, ...]
             ) -> tuple[dict[str, int], int]:
    """(bytes that a step takes at its widest by place, those of the whole process at its peak, or 0 where Linux does
    not tell). Weights, velocities and the batch are there before, and are added.

    In main memory all arrays, as tracemalloc counts them; on a GPU all that CuPy's pool has after it.
    """
    gpus = {repr(device): device for device in devices if device.kind == "cuda"}
    for device in gpus.values():
        with device:
            cupy().get_default_memory_pool().free_all_blocks()
    tracemalloc.start()
    try:
        take_step()  # its gradients are there when the next one begins
        tracemalloc.reset_peak()
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak of the process begins here: proc(5)
        take_step()
        arrays = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    taken = {place: arrays + parts.weights + parts.batch if place == "processor" else _pool(gpus[place])
             for place, parts in need.items()}  # fmt: skip
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
        return taken, 1024 * int(found[1]) if found else 0
    return taken, 0


def _pool(device: Device) -> int:
    with device:
        return int(cupy().get_default_memory_pool().total_bytes())


# -- time --------------------------------------------------------------------------------------------------------------


def loader_rate(loader: Loader, device: Device, workers: int) -> tuple[float, int, tuple[Any, Any]]:
    """(images/s, on how many batches, the largest batch): what the loader gives to whoever takes it at once. Those
    batches do not count that lay ready or were begun while the worker processes started."""
    largest: tuple[Any, Any] = (None, ())
    begun, seen, counted, asked = 0.0, 0, 0, time.perf_counter()
    batches = (batch for epoch in itertools.count() for batch in loader.epoch(epoch, 0, device))
    for number, (images, labels) in enumerate(batches):
        now = time.perf_counter()
        if len(labels) > len(largest[1]):
            largest = images, labels
        if begun:
            seen, counted = seen + len(labels), counted + 1
            if seen and (counted > 2 * (workers + 1) or now - asked > SECONDS):
                break
        elif number >= workers or now - asked > SECONDS:
            begun = now
    return seen / (now - begun), counted, largest


def step_rate(take_step: Callable[[], object], size: int) -> list[float]:
    """images/s of each of some steps."""
    rates: list[float] = []
    begun = time.perf_counter()
    while len(rates) < 2 or (len(rates) < STEPS and time.perf_counter() - begun < SECONDS):
        before = time.perf_counter()
        take_step()
        rates.append(size / (time.perf_counter() - before))
    return rates


class Pace(NamedTuple):
    """images/s of step and loader together, and what limits them."""

    rate: float
    words: str


def pace(step: float, loader: float, workers: int, cores: int) -> Pace:
    """step, loader: images/s of each by itself. cores: those of a step on the processor, which are all; 0 where it is
    a GPU's.

    The slower of both sets the pace, without workers one after the other. On a processor both also share its cores:
    an image takes cores / step + workers / loader seconds of a core.
    """
    if not workers:
        return Pace(1 / (1 / step + 1 / loader),
                    "step and loader take turns, as there are no workers: give --workers 1")
    needed = math.ceil(step * workers / loader)
    keeps_up = "the loader keeps up" + f": --workers {needed} would do" * (needed < workers) if needed <= workers else (
        f"the loader does not keep up: --workers {needed} would")
    shared = cores / (cores / step + workers / loader) if cores else math.inf
    rate = min(step, loader, shared)
    if rate == loader:
        return Pace(rate, f"the loader is the limit: --workers {needed} would keep up")
    if rate == shared:
        return Pace(rate, f"the limit is the step, and the {cores} cores, which it shares with the loader: {keeps_up}")
    return Pace(rate, f"the step is the limit: {keeps_up}")


def of_workers(workers: int) -> str:
    return f"{workers} workers" if workers != 1 else "1 worker"


def span(seconds: float) -> str:
    """As people say it: 12 s, 34.5 minutes, 7.8 hours, 90 hours (3.8 days)."""
    for least, unit, words in ((48 * 3600, 3600, "hours"), (5400, 3600, "hours"), (90, 60, "minutes")):
        if seconds >= least:
            return f"{seconds / unit:,.1f} {words}" + (f" ({seconds / 86400:,.1f} days)" if least > 5400 else "")
    return f"{seconds:.0f} s"
