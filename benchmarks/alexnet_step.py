"""Time one training step of AlexNet: forward, loss, backward, update. Beside it, where it is installed, PyTorch's.

    python benchmarks/alexnet_step.py
    python benchmarks/alexnet_step.py --batch-size 32 128 --repeat 10 --json result.json
    python benchmarks/alexnet_step.py --device cuda             # TF32 and half precision, PyTorch in three ways

Each rival works in a process of its own, so that its peak of memory is its own. They take turns, with a product of
matrices and a copy in between: whatever else the machine does meets all alike, so trust the ratios most. On the
processor a turn is one step, on a GPU ten, timed by the GPU's own events.

The limit is what a step would take that multiplied at the rate of that product and then moved what it must at the rate
of that copy: every activation once an op, ReLU and bias together with their neighbours, and each parameter eight times.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from threadpoolctl import threadpool_limits

GFLOP = 4.1356  # of one image: 2 × (724.4 M multiply-adds forward + 1,343.4 M backward), convolved directly
PASSES = 8 * 243.86e6  # bytes: the parameters, forward, backward, as gradients, and for the update, in and out
TRAFFIC = 31.9e6  # bytes of an image: activations and their gradients in single precision
WARM_UP = 2  # turns; the first step compiles
TURN = 10  # steps, on a GPU
COPIED = {"cpu": 1 << 28, "cuda": 1 << 31}  # bytes
SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices that tell the machine's own rate


# -- the rivals: each returns a step -----------------------------------------------------------------------------------


def data(batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.standard_normal((batch_size, 3, 224, 224), dtype=np.float32)
    return images, random.integers(0, 1000, batch_size)


def step_of_minicnn(batch_size: int, threads: int, device: str, half: bool = False, graph: bool = False
                    ) -> Callable[[], Any]:
    os.environ["CUPY_TF32"] = "1"
    from minicnn import Tensor, cpu, cuda, keep_memory, kernels, models, optim
    from minicnn.replay import Replay, gradients

    keep_memory()  # as the training script does
    kernels.set_num_threads(threads)
    threadpool_limits(threads)
    place = {"cpu": cpu, "cuda": cuda}[device]()
    net = models.alexnet(devices=(place, place), half=half)
    scale = optim.LossScale() if half else optim.LossScale(1.0, patience=None)
    optimiser = optim.SGD(net.named_parameters(), lr=0.001)
    images, labels = data(batch_size)
    images = Tensor(images, device=place)
    replay = Replay(net, optimiser) if graph else None

    def step() -> Any:
        if replay:
            loss, _ = replay.gradients(images, labels, scale.factor)
        else:
            loss, _ = gradients(net, optimiser, images, labels, scale.factor)
        scale.step(replay or optimiser)
        return loss

    return step


def step_of_torch(batch_size: int, threads: int, device: str, channels_last: bool = False, compiled: bool = False
                  ) -> Callable[[], Any]:
    """The two towers as one network with groups, which is the same and, for PyTorch, faster. compiled: with bfloat16
    where autocast thinks it right."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Norm(nn.Module):
        """Each half of the channels as an image of its own, so that no window reaches into the other tower's."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            halves = x.view(2 * x.shape[0], x.shape[1] // 2, *x.shape[2:])
            return F.local_response_norm(halves, 5, alpha=5 * 1e-4, beta=0.75, k=2.0).view(x.shape)

    torch.set_num_threads(threads)
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    net = nn.Sequential(
        nn.ZeroPad2d((0, 3, 0, 3)), nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(4096, 1000),
    )  # fmt: skip
    lay = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(device, memory_format=lay)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)
    images, labels = (torch.from_numpy(array).to(device) for array in data(batch_size))
    images = images.to(memory_format=lay)
    forward = torch.compile(net) if compiled else net

    def step() -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=compiled):
            loss = F.cross_entropy(forward(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss

    return step


def matrix_product(batch_size: int, threads: int, device: str, half: bool = False) -> Callable[[], Any]:
    """Of two matrices: the machine's own rate."""
    os.environ["CUPY_TF32"] = "1"
    threadpool_limits(threads)
    a, b = np.random.default_rng(0).standard_normal((2, SIDE[device], SIDE[device]), dtype=np.float32)
    if device == "cuda":
        import cupy

        a, b = (cupy.asarray(x.astype(np.float16) if half else x) for x in (a, b))
    return lambda: np.matmul(a, b)


def copy(batch_size: int, threads: int, device: str) -> Callable[[], Any]:
    """From one array to another, each far too large for a cache: the memory's own rate."""
    from minicnn import kernels

    kernels.set_num_threads(threads)
    a = np.zeros(COPIED[device] // 4, np.float32)
    if device == "cuda":
        import cupy

        a = cupy.asarray(a)
    b = a.copy()

    def part(first: int, last: int) -> None:
        b[first:last] = a[first:last]

    return lambda: kernels.over(a.size, part, like=a)


RIVALS: dict[str, Callable[[int, int, str], Callable[[], Any]]] = {
    "minicnn": step_of_minicnn,
    "torch": step_of_torch,
    "torch, channels last": functools.partial(step_of_torch, channels_last=True),
    "torch, compiled, bf16": functools.partial(step_of_torch, channels_last=True, compiled=True),
    "minicnn, graph": functools.partial(step_of_minicnn, graph=True),
    "minicnn, half": functools.partial(step_of_minicnn, half=True),
    "minicnn, graph, half": functools.partial(step_of_minicnn, graph=True, half=True),
    "product": matrix_product,
    "product of halves": functools.partial(matrix_product, half=True),
    "copy": copy,
}
ON_GPUS = ("minicnn, graph", "minicnn, half", "minicnn, graph, half", "torch, channels last", "torch, compiled, bf16",
           "product of halves")


# -- turns -------------------------------------------------------------------------------------------------------------


def peak_memory() -> int | None:
    """The most bytes this process ever held, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def clock_of(rival: str, device: str) -> Callable[[Callable[[], Any]], tuple[float, int | None]]:
    """Measures seconds of a step, and the peak of memory so far."""

    def on_the_processor(step: Callable[[], Any]) -> tuple[float, int | None]:
        start = time.perf_counter()
        step()
        return time.perf_counter() - start, peak_memory()

    def by_cupy(step: Callable[[], Any]) -> tuple[float, int | None]:
        import cupy

        start = cupy.cuda.get_current_stream().record(cupy.cuda.Event())
        for _ in range(TURN):
            step()
        end = cupy.cuda.get_current_stream().record(cupy.cuda.Event())
        end.synchronize()
        seconds = cupy.cuda.get_elapsed_time(start, end) / 1e3 / TURN
        return seconds, None if "graph" in rival else cupy.get_default_memory_pool().total_bytes()  # it has its own

    def by_torch(step: Callable[[], Any]) -> tuple[float, int]:
        import torch

        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(TURN):
            step()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3 / TURN, torch.cuda.max_memory_reserved()

    if device == "cpu":
        return on_the_processor
    return by_torch if rival.startswith("torch") else by_cupy


def work(rival: str, batch_size: int, threads: int, device: str, pipe: Any) -> None:
    """In a process of its own: for each True that comes, take a turn, and send what it took."""
    step, clock = RIVALS[rival](batch_size, threads, device), clock_of(rival, device)
    while pipe.recv():
        pipe.send(clock(step))


def measure(rivals: list[str], batch_size: int, threads: int, device: str, repeat: int) -> list[dict[str, Any]]:
    """What each rival did at this batch size."""
    context = multiprocessing.get_context("spawn")
    processes, results = {}, {rival: {"rival": rival, "batch_size": batch_size, "seconds": []} for rival in rivals}
    for rival in rivals:
        pipe, theirs = context.Pipe()
        process = context.Process(target=work, args=(rival, batch_size, threads, device, theirs), daemon=True)
        process.start()
        theirs.close()
        processes[rival] = pipe, process
    for turn in range(WARM_UP + repeat):
        for rival, (pipe, _) in processes.items():
            pipe.send(True)
            try:
                seconds, results[rival]["peak_bytes"] = pipe.recv()
            except EOFError:
                sys.exit(f"alexnet_step: {rival} died at batch {batch_size}, perhaps for want of memory")
            if turn >= WARM_UP:
                results[rival]["seconds"].append(seconds)
    for pipe, process in processes.values():
        pipe.send(False)
        process.join()
    for result in results.values():
        speeds = [batch_size / seconds for seconds in result["seconds"]]
        result["images_per_s"] = {f.__name__: f(speeds) for f in (statistics.median, min, max)}
    return list(results.values())


def machine_rates(measured: dict[str, dict[str, Any]], device: str) -> dict[str, float]:
    """How fast the machine multiplied and copied in between."""
    seconds = {rival: statistics.median(result["seconds"]) for rival, result in measured.items()}
    rates = {"gflop_per_s": 2 * SIDE[device] ** 3 / seconds["product"] / 1e9,
             "bytes_per_s": 2 * COPIED[device] / seconds["copy"]}
    if "product of halves" in seconds:
        rates["half_gflop_per_s"] = 2 * SIDE[device] ** 3 / seconds["product of halves"] / 1e9
    return rates


# -- what is asked and told --------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help shows all options\n")


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number ≥ 1")
    return int(text)


def new_file(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise argparse.ArgumentTypeError(f"cannot write {text}: {what}")
    return path


def processor() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch-size", type=positive, nargs="+", default=[32, 128], metavar="N",
                        help="default: 32 128")
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="steps that count (default: 5)")
    parser.add_argument("--threads", type=positive, default=cores, metavar="N", help=f"default: all cores ({cores})")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    parser.add_argument("--no-torch", action="store_true", help="time minicnn alone")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: cpu")
    asked = parser.parse_args()
    machine = f"{processor()}, {asked.threads} threads"
    if asked.device == "cuda":
        from minicnn import cuda

        try:
            machine = cuda(0).name
        except RuntimeError as error:
            parser.error(f"--device: {error}")

    rivals = [r for r in RIVALS if asked.device == "cuda" or r not in ON_GPUS]
    if asked.no_torch or not importlib.util.find_spec("torch"):
        rivals = [r for r in rivals if not r.startswith("torch")]
        if not asked.no_torch:
            print("PyTorch is not installed, so there is nothing to compare with: pip install torch", file=sys.stderr)
    results: list[dict[str, Any]] = []
    machines: list[dict[str, float]] = []
    print(f"{machine}. A step of AlexNet, median of {asked.repeat} turns (least – most):\n")
    print("batch  rival                  images/s                     ms/step  peak memory  of the product  "
          "of the limit  ratio")
    for batch_size in asked.batch_size:
        measured = {r["rival"]: r for r in measure(rivals, batch_size, asked.threads, asked.device, asked.repeat)}
        rates = machine_rates(measured, asked.device)
        machines.append(rates)
        ours = measured["minicnn"]["images_per_s"]["median"]
        for rival, result in measured.items():
            if not rival.startswith(("minicnn", "torch")):
                continue
            speed, peak, seconds = result["images_per_s"], result["peak_bytes"], statistics.median(result["seconds"])
            half = rival.endswith(("half", "bf16"))
            arithmetic = batch_size * GFLOP / rates["half_gflop_per_s" if half else "gflop_per_s"]
            memory = (PASSES + batch_size * TRAFFIC / (2 if half else 1)) / rates["bytes_per_s"]
            result["share_of_product"], result["share_of_limit"] = arithmetic / seconds, (arithmetic + memory) / seconds
            ratio = f"{ours / speed['median']:.2f}" if rival != "minicnn" else ""
            spread = f"{speed['median']:.2f} ({speed['min']:.2f} – {speed['max']:.2f})"
            print(f"{batch_size:5}  {rival:21}  {spread:27}  {1e3 * seconds:7.2f}  "
                  f"{f'{peak / 1e9:.2f} GB' if peak else 'unknown':>11}  {result['share_of_product']:14.0%}  "
                  f"{result['share_of_limit']:12.0%}  {ratio:>5}", flush=True)
            results.append(result)
    rates = {name: statistics.median(each[name] for each in machines) for name in machines[0]}
    halves = f", in half precision {rates['half_gflop_per_s']:.0f}" if "half_gflop_per_s" in rates else ""
    print(f"\nThe ratio is minicnn's images/s by the rival's. In the same run a product of {SIDE[asked.device]}³ made "
          f"{rates['gflop_per_s']:.0f} GFLOP/s{halves}, a copy moved {rates['bytes_per_s'] / 1e9:.1f} GB/s, read and "
          f"written. An image is {GFLOP} GFLOP: a step of nothing else would make "
          f"{rates['gflop_per_s'] / GFLOP:.1f} images/s.")
    if asked.json:
        packages = ["numpy", "numba", *(["torch"] if "torch" in rivals else [])]
        asked.json.write_text(json.dumps({
            "date": date.today().isoformat(), "machine": machine, "system": platform.system(),
            "cores": cores, "threads": asked.threads, "gflop_per_image": GFLOP,
            "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in packages}},
            "bytes_per_step": PASSES, "bytes_per_image": TRAFFIC, "rates": machines, "results": results,
        }, indent=1) + "\n")  # fmt: skip


if __name__ == "__main__":
    main()
