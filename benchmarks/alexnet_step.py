"""Time a training step of AlexNet: forward, loss, backward, update. Beside it, where it is installed, PyTorch's.

    python benchmarks/alexnet_step.py
    python benchmarks/alexnet_step.py --forward --batch-size 1 32 128          # no loss, no gradients
    python benchmarks/alexnet_step.py --no-torch --batch-size 1 8 32 128 512 --threads 1 2 --json result.json
    python benchmarks/alexnet_step.py --device cuda             # TF32 and half precision, PyTorch in three ways

Each rival works in a process of its own, so that its peak of memory is its own. They take turns, with a product of
matrices and a copy in between: whatever else the machine does meets all alike, so trust the ratios most. On the
processor a turn is one step, or as many as take 0.3 s, on a GPU ten, timed by the GPU's own events. PyTorch takes part
as pip installs it, and where the library jemalloc is installed once more with it, tuned to keep its pages: what an
expert gets. What holds a rival's BLAS below the processor (OPENBLAS_CORETYPE, OPENBLAS_L2_SIZE and their like) is unset
for all of them, unless --keep-blas-variables is given, and the kernels that multiply are named.

The limit is what a step would take that multiplied at the rate of that product and then moved what it must at the rate
of that copy: every activation once an op, ReLU and bias together with their neighbours, and each parameter eight times.
"""

from __future__ import annotations

import functools
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from turns import (
    COPIED,
    MATRIX,
    blas,
    copy,
    jemalloc,
    matrix_product,
    processor,
    take_turns,
    unset_blas_variables,
    use,
    write,
)

TRAFFIC = {"step": 31.9e6, "forward": 11.0e6}  # bytes of an image: activations and their gradients in single precision
WARM_UP = 2  # turns; the first step compiles
TURN = 10  # steps, on a GPU
LEAST = 0.3  # seconds of a turn, on the processor


@functools.cache
def work(what: str) -> tuple[float, float]:
    """(GFLOP of one image, counted as a direct convolution; bytes of parameters that a turn reads and writes)."""
    from minicnn import models

    layers = models.alexnet(classes=1000).costs()
    forward, parameters = sum(c.multiply_adds for c in layers), 4 * sum(c.parameters for c in layers)
    if what == "forward":
        return 2e-9 * forward, parameters
    # backward, each product twice, for the gradient of the weights and of what came in, which the images do not need;
    # the parameters forward, backward, as gradients, and for the update, in and out
    conv1 = sum(c.multiply_adds for c in layers if c.name in ("a.conv1.0", "b.conv1.0"))
    return 2e-9 * (3 * forward - conv1), 8 * parameters


# -- the rivals: each returns a step -----------------------------------------------------------------------------------


def data(batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.standard_normal((batch_size, 3, 224, 224), dtype=np.float32)
    return images, random.integers(0, 1000, batch_size)


def step_of_minicnn(what: str, batch_size: int, threads: int, device: str, half: bool = False, graph: bool = False
                    ) -> Callable[[], Any]:
    from minicnn import Tensor, cpu, cuda, models, no_grad, optim
    from minicnn.kernels.product import allow_tf32
    from minicnn.training.step import CapturedStep, Step

    use(threads)
    if device == "cuda":
        allow_tf32(True)
    place = {"cpu": cpu, "cuda": cuda}[device]()
    net = models.alexnet(devices=(place, place), half=half)
    images, labels = data(batch_size)
    images = Tensor(images, device=place)
    if what == "forward":
        return no_grad()(lambda: net.eval()(images))
    optimiser = optim.SGD(net.named_parameters(), lr=0.001)
    parts = (CapturedStep if graph else Step)(net, optimiser, loss_scale=optim.LossScale() if half else None)

    def step() -> Any:  # without looking at the loss, for which a GPU would have to finish first
        loss, _ = parts.gradients(images, labels)
        parts.update()
        return loss

    return step


def step_of_torch(what: str, batch_size: int, threads: int, device: str, channels_last: bool = False,
                  compiled: bool = False) -> Callable[[], Any]:
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
    images, labels = (torch.from_numpy(array).to(device) for array in data(batch_size))
    images = images.to(memory_format=lay)
    forward = torch.compile(net) if compiled else net
    if what == "forward":
        net.eval()
        return torch.no_grad()(lambda: forward(images))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)

    def step() -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=compiled):
            loss = F.cross_entropy(forward(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss

    return step


def rate(of: Callable[..., Callable[[], Any]], what: str, batch_size: int, threads: int, device: str
         ) -> Callable[[], Any]:
    return of(threads, device)


RIVALS: dict[str, Callable[[str, int, int, str], Callable[[], Any]]] = {
    "minicnn": step_of_minicnn,
    "torch": step_of_torch,
    "torch, jemalloc": step_of_torch,
    "torch, channels last": functools.partial(step_of_torch, channels_last=True),
    "torch, compiled, bf16": functools.partial(step_of_torch, channels_last=True, compiled=True),
    "minicnn, graph": functools.partial(step_of_minicnn, graph=True),
    "minicnn, half": functools.partial(step_of_minicnn, half=True),
    "minicnn, graph, half": functools.partial(step_of_minicnn, graph=True, half=True),
    "product": functools.partial(rate, matrix_product),
    "product of halves": functools.partial(rate, functools.partial(matrix_product, half=True)),
    "copy": functools.partial(rate, copy),
}
ON_GPUS = {"minicnn, graph", "minicnn, half", "minicnn, graph, half", "torch, channels last", "torch, compiled, bf16",
           "product of halves"}


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
        start, steps, took = time.perf_counter(), 0, 0.0
        while took < LEAST:
            step()
            steps, took = steps + 1, time.perf_counter() - start
        return took / steps, peak_memory()

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


def prepared(rival: str, what: str, batch_size: int, threads: int, device: str
             ) -> Callable[[Any], tuple[float, int | None]]:
    step, clock = RIVALS[rival](what, batch_size, threads, device), clock_of(rival, device)
    return lambda turn: clock(step)


def measure(rivals: list[str], what: str, batch_size: int, threads: int, device: str, repeat: int
            ) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """(what each rival did, the machine's own rates in between)."""
    working = {rival: functools.partial(prepared, rival, what, batch_size, threads, device) for rival in rivals}
    turns = take_turns(working, range(WARM_UP + repeat), {"torch, jemalloc": jemalloc() or {}})
    seconds = {rival: [s for s, _ in took[WARM_UP:]] for rival, took in turns.items()}
    medians = {rival: statistics.median(s) for rival, s in seconds.items()}
    rates = {"gflop_per_s": 2 * MATRIX[device] ** 3 / medians["product"] / 1e9,
             "bytes_per_s": 2 * COPIED[device] / medians["copy"]}
    if "product of halves" in medians:
        rates["half_gflop_per_s"] = 2 * MATRIX[device] ** 3 / medians["product of halves"] / 1e9
    results, (gflop, passes) = [], work(what)
    for rival in (r for r in rivals if r.startswith(("minicnn", "torch"))):
        speeds = [batch_size / s for s in seconds[rival]]
        half = rival.endswith(("half", "bf16"))
        arithmetic = batch_size * gflop / rates["half_gflop_per_s" if half else "gflop_per_s"]
        memory = (passes + batch_size * TRAFFIC[what] / (2 if half else 1)) / rates["bytes_per_s"]
        results.append({
            "rival": rival, "what": what, "batch_size": batch_size, "threads": threads, "seconds": seconds[rival],
            "images_per_s": {f.__name__: f(speeds) for f in (statistics.median, min, max)},
            "peak_bytes": turns[rival][-1][1], "share_of_product": arithmetic / medians[rival],
            "share_of_limit": (arithmetic + memory) / medians[rival],
        })  # fmt: skip
    return results, rates


# -- what is asked and printed -----------------------------------------------------------------------------------------


def taking_part(device: str, torch_too: bool) -> list[str]:
    """Who takes part, and on stderr who does not for want of something."""
    rivals = [r for r in RIVALS if (device == "cuda" or r not in ON_GPUS) and (torch_too or not r.startswith("torch"))]
    if torch_too and not importlib.util.find_spec("torch"):
        print("PyTorch is not installed, so there is nothing to compare with: pip install torch", file=sys.stderr)
        return [r for r in rivals if not r.startswith("torch")]
    if device == "cuda" or (torch_too and not jemalloc()):
        if device == "cpu":
            print("The library jemalloc is not installed, so PyTorch takes part without it alone", file=sys.stderr)
        rivals.remove("torch, jemalloc") if "torch, jemalloc" in rivals else None
    return rivals


def main() -> None:
    # Not at the top: a rival's process holds none of minicnn.
    from minicnn.command_line import Parser, new_file, number
    from minicnn.kernels.machine import usable_cores

    positive, cores = number(int, 1), usable_cores()
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--forward", action="store_true", help="the outputs alone, as for pictures to be recognised")
    parser.add_argument("--batch-size", type=positive, nargs="+", default=[32, 128], metavar="N",
                        help="default: 32 128")
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="turns that count (default: 5)")
    parser.add_argument("--threads", type=positive, nargs="+", default=[cores], metavar="N",
                        help=f"default: all cores ({cores})")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    parser.add_argument("--no-torch", action="store_true", help="time minicnn alone")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: cpu")
    parser.add_argument("--keep-blas-variables", action="store_true",
                        help="do not unset OPENBLAS_CORETYPE and its like for the rivals")
    asked = parser.parse_args()
    unset_blas_variables(asked.keep_blas_variables)
    machine, what = processor(), "forward" if asked.forward else "step"
    multiplies = blas() if asked.device == "cpu" else "cuBLAS"
    if asked.device == "cuda":
        from minicnn import cuda

        try:
            machine = cuda(0).name
        except RuntimeError as error:
            parser.error(f"--device: {error}")

    rivals = taking_part(asked.device, not asked.no_torch)
    results: list[dict[str, Any]] = []
    machines: list[dict[str, float]] = []
    print(f"{machine}, {multiplies}. {'A step of AlexNet' if what == 'step' else 'AlexNet forward'}, median of "
          f"{asked.repeat} turns (least – most):\n")
    print("threads  batch  rival                  images/s                        ms/turn  peak memory  of the product"
          "  of the limit  ratio")
    for threads in asked.threads:
        for batch_size in asked.batch_size:
            measured, rates = measure(rivals, what, batch_size, threads, asked.device, asked.repeat)
            results += measured
            machines.append(rates)
            ours = measured[0]["images_per_s"]["median"]
            for result in measured:
                speed, peak = result["images_per_s"], result["peak_bytes"]
                ratio = f"{ours / speed['median']:.2f}" if result is not measured[0] else ""
                spread = f"{speed['median']:.2f} ({speed['min']:.2f} – {speed['max']:.2f})"
                print(f"{threads:7}  {batch_size:5}  {result['rival']:21}  {spread:28}  "
                      f"{1e3 * statistics.median(result['seconds']):9.2f}  "
                      f"{f'{peak / 1e9:.2f} GB' if peak else 'unknown':>11}  {result['share_of_product']:14.0%}  "
                      f"{result['share_of_limit']:12.0%}  {ratio:>5}", flush=True)
    rates = {name: statistics.median(each[name] for each in machines) for name in machines[0]}
    gflop, passes = work(what)
    halves = f", in half precision {rates['half_gflop_per_s']:.0f}" if "half_gflop_per_s" in rates else ""
    print(f"\nThe ratio is minicnn's images/s by the rival's. In the same run a product of {MATRIX[asked.device]}³ "
          f"made {rates['gflop_per_s']:.0f} GFLOP/s{halves}, a copy moved {rates['bytes_per_s'] / 1e9:.1f} GB/s, read "
          f"and written (medians). An image is {gflop:.4f} GFLOP: nothing else would make "
          f"{rates['gflop_per_s'] / gflop:.1f} images/s.")
    write(asked.json, ["numpy", "numba", *(["torch"] if "torch" in rivals else [])], machine=machine,
          blas=multiplies, gflop_per_image=gflop, bytes_per_turn=passes, bytes_per_image=TRAFFIC[what],
          rates=machines, results=results)


if __name__ == "__main__":
    main()
