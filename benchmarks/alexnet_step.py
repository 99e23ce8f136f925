"""Time one training step of AlexNet: forward, loss, backward, update. Beside it, where it is installed, PyTorch's.

    python benchmarks/alexnet_step.py
    python benchmarks/alexnet_step.py --batch-size 32 128 --repeat 10 --json result.json

Each rival works in a process of its own, so that its peak of memory is its own. They take turns, a step each, with a
product of matrices in between: whatever else the machine does meets all alike, so trust the ratios most.
"""

from __future__ import annotations

import argparse
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
WARM_UP = 2  # the first step compiles
SIDE = 2048  # of the matrices that tell the machine's own rate


# -- the rivals: each returns a step -----------------------------------------------------------------------------------


def data(batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.standard_normal((batch_size, 3, 224, 224), dtype=np.float32)
    return images, random.integers(0, 1000, batch_size)


def step_of_minicnn(batch_size: int, threads: int) -> Callable[[], float]:
    from minicnn import Tensor, keep_memory, kernels, models, ops, optim

    keep_memory()  # as the training script does
    kernels.set_num_threads(threads)
    threadpool_limits(threads)
    net = models.alexnet()
    optimiser = optim.SGD(net.named_parameters(), lr=0.001)
    images, labels = (Tensor(array) for array in data(batch_size))

    def step() -> float:
        loss = ops.cross_entropy(net(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def step_of_torch(batch_size: int, threads: int) -> Callable[[], float]:
    """The two towers as one network with groups, which is the same and, for PyTorch, faster."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Norm(nn.Module):
        """Each half of the channels as an image of its own, so that no window reaches into the other tower's."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            halves = x.view(2 * x.shape[0], x.shape[1] // 2, *x.shape[2:])
            return F.local_response_norm(halves, 5, alpha=5 * 1e-4, beta=0.75, k=2.0).view(x.shape)

    torch.set_num_threads(threads)
    net = nn.Sequential(
        nn.ZeroPad2d((0, 3, 0, 3)), nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(4096, 1000),
    )  # fmt: skip
    optimiser = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)
    images, labels = (torch.from_numpy(array) for array in data(batch_size))

    def step() -> float:
        loss = F.cross_entropy(net(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def matrix_product(threads: int) -> Callable[[], float]:
    """A measurement of GFLOP/s, float32."""
    a, b = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), dtype=np.float32)

    def measure() -> float:
        with threadpool_limits(threads):
            start = time.perf_counter()
            np.matmul(a, b)
            return 2 * SIDE**3 / (time.perf_counter() - start) / 1e9

    measure()
    return measure


# -- turns -------------------------------------------------------------------------------------------------------------


def peak_memory() -> int | None:
    """The most bytes this process ever held, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def work(rival: str, batch_size: int, threads: int, pipe: Any) -> None:
    """In a process of its own: for each True that comes, take a step and send how long it took, and the peak so far."""
    step = {"minicnn": step_of_minicnn, "torch": step_of_torch}[rival](batch_size, threads)
    while pipe.recv():
        start = time.perf_counter()
        step()
        pipe.send((time.perf_counter() - start, peak_memory()))


def measure(rivals: list[str], batch_size: int, threads: int, repeat: int, sgemm: list[float]) -> list[dict[str, Any]]:
    """What each rival did at this batch size; ``sgemm`` collects the machine's own rate in between."""
    context, product = multiprocessing.get_context("spawn"), matrix_product(threads)
    processes, results = {}, {rival: {"rival": rival, "batch_size": batch_size, "seconds": []} for rival in rivals}
    for rival in rivals:
        pipe, theirs = context.Pipe()
        process = context.Process(target=work, args=(rival, batch_size, threads, theirs), daemon=True)
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
                sgemm.append(product())
    for pipe, process in processes.values():
        pipe.send(False)
        process.join()
    for result in results.values():
        speeds = [batch_size / seconds for seconds in result["seconds"]]
        result["images_per_s"] = {f.__name__: f(speeds) for f in (statistics.median, min, max)}
    return list(results.values())


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
    asked = parser.parse_args()

    rivals = ["minicnn"]
    if not asked.no_torch and importlib.util.find_spec("torch"):
        rivals.append("torch")
    elif not asked.no_torch:
        print("PyTorch is not installed, so there is nothing to compare with: pip install torch", file=sys.stderr)
    sgemm: list[float] = []
    results = []
    print(f"{processor()}, {asked.threads} threads. A step of AlexNet, median of {asked.repeat} (least – most):\n")
    print("batch  rival     images/s                 s/step  peak memory  share of sgemm  minicnn / torch")
    for batch_size in asked.batch_size:
        here: list[float] = []
        pair = measure(rivals, batch_size, asked.threads, asked.repeat, here)
        for result in pair:
            speed, peak = result["images_per_s"], result["peak_bytes"]
            result["share_of_sgemm"] = speed["median"] * GFLOP / statistics.median(here)
            ratio = f"{pair[0]['images_per_s']['median'] / speed['median']:.2f}" if result is not pair[0] else ""
            spread = f"{speed['median']:.2f} ({speed['min']:.2f} – {speed['max']:.2f})"
            print(f"{batch_size:5}  {result['rival']:8}  {spread:23}  {statistics.median(result['seconds']):6.2f}  "
                  f"{f'{peak / 1e9:.2f} GB' if peak else 'unknown':>11}  {result['share_of_sgemm']:14.0%}  {ratio:>15}",
                  flush=True)
        results += pair
        sgemm += here
    rate = statistics.median(sgemm)
    print(f"\nsgemm of {SIDE}³ in the same run: {rate:.0f} GFLOP/s ({min(sgemm):.0f} – {max(sgemm):.0f}). An image is "
          f"{GFLOP} GFLOP: a step that did nothing else would make {rate / GFLOP:.1f} images/s.")
    if asked.json:
        packages = ["numpy", "numba", *rivals]
        asked.json.write_text(json.dumps({
            "date": date.today().isoformat(), "processor": processor(), "system": platform.system(),
            "cores": cores, "threads": asked.threads, "gflop_per_image": GFLOP,
            "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in packages}},
            "sgemm_gflop_per_s": {f.__name__: f(sgemm) for f in (statistics.median, min, max)}, "results": results,
        }, indent=1) + "\n")  # fmt: skip


if __name__ == "__main__":
    main()
