"""Time a training step of the authors' nets for CIFAR-10, beside PyTorch's.

    python benchmarks/small_nets.py
    python benchmarks/small_nets.py --batch-size 32 128 512 --threads 1 2 --json result.json

Rivals take turns in processes of their own, as in alexnet_step.py, with a product of matrices in between; trust the
ratios. "of the product" is what a step uses of that product's rate, counted as direct convolutions.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from alexnet_step import taking_part
from turns import MATRIX, blas, jemalloc, matrix_product, processor, take_turns, unset_blas_variables, use, write

WARM_UP = 2  # turns; the first step compiles
LEAST = 0.3  # seconds of a turn


def data(net: str, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    random, side = np.random.default_rng(0), 24 if net.endswith("translations") else 32
    images = 60 * random.standard_normal((batch_size, 3, side, side), dtype=np.float32)
    return images, random.integers(0, 10, batch_size)


def step_of_minicnn(net: str, batch_size: int, threads: int) -> Callable[[], Any]:
    from minicnn import keep_memory
    from minicnn.models.cuda_convnet import CUDA_CONVNETS, cuda_convnet
    from minicnn.training.step import Step

    use(threads)
    keep_memory()
    model, recipe, (images, labels) = cuda_convnet(net), CUDA_CONVNETS[net].recipe, data(net, batch_size)
    recipe.start(model, images)  # else pixels of 60 give losses in the hundreds, which a few steps make infinite
    step = Step(model, recipe.optimiser(model))
    return lambda: step(images, labels)


def step_of_torch(net: str, batch_size: int, threads: int) -> Callable[[], Any]:
    import torch
    import torch.nn.functional as F
    from torch import nn

    class MapNorm(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / (1 + 5e-5 * F.avg_pool2d(x * x, 3, 1, 1)) ** 0.75

    torch.set_num_threads(threads)
    images, labels = (torch.from_numpy(array) for array in data(net, batch_size))
    norm, side = [MapNorm()] if net == "layers-18pct" else [], images.shape[-1] // 8
    top = ([nn.Linear(64 * side**2, 64), nn.ReLU(), nn.Linear(64, 10)] if net == "layers-80sec" else
           [nn.Linear(64 * side**2, 10)])  # fmt: skip
    average = functools.partial(nn.AvgPool2d, 3, 2, ceil_mode=True, count_include_pad=False)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU(), *norm,
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(), average(), *norm,
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), average(), nn.Flatten(), *top)  # fmt: skip
    optimiser = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, weight_decay=0.004)

    def step() -> Any:
        loss = F.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def product(net: str, batch_size: int, threads: int) -> Callable[[], Any]:
    return matrix_product(threads, "cpu")


RIVALS: dict[str, Callable[[str, int, int], Callable[[], Any]]] = {
    "minicnn": step_of_minicnn, "torch": step_of_torch, "torch, jemalloc": step_of_torch,
    "product": product}  # fmt: skip


def prepared(rival: str, net: str, batch_size: int, threads: int) -> Callable[[Any], float]:
    step = RIVALS[rival](net, batch_size, threads)

    def turn(asked: Any) -> float:
        start, steps, took = time.perf_counter(), 0, 0.0
        while took < LEAST:
            step()
            steps, took = steps + 1, time.perf_counter() - start
        return took / steps

    return turn


def measure(rivals: list[str], net: str, batch_size: int, threads: int, repeat: int) -> list[dict[str, Any]]:
    from minicnn.models.cuda_convnet import cuda_convnet

    working = {rival: functools.partial(prepared, rival, net, batch_size, threads) for rival in rivals}
    turns = take_turns(working, range(WARM_UP + repeat), {"torch, jemalloc": jemalloc() or {}})
    seconds = {rival: took[WARM_UP:] for rival, took in turns.items()}
    rate = 2 * MATRIX["cpu"] ** 3 / statistics.median(seconds["product"])
    model = cuda_convnet(net)
    costs = model.costs((3, model.pixels, model.pixels))
    work = 2 * (3 * sum(c.multiply_adds for c in costs) - costs[0].multiply_adds)  # no gradient for the pictures
    return [{"rival": rival, "net": net, "batch_size": batch_size, "threads": threads, "seconds": took,
             "images_per_s": {f.__name__: f([batch_size / s for s in took]) for f in (statistics.median, min, max)},
             "share_of_product": batch_size * work / rate / statistics.median(took), "gflop_per_s": rate / 1e9}
            for rival, took in seconds.items() if rival != "product"]  # fmt: skip


def main() -> None:
    # Not at the top: a rival's process holds none of minicnn.
    from minicnn.command_line import Parser, new_file, number
    from minicnn.kernels.machine import usable_cores
    from minicnn.models.cuda_convnet import CUDA_CONVNETS

    positive, cores = number(int, 1), usable_cores()
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=CUDA_CONVNETS, default=list(CUDA_CONVNETS), help="(default: all)")
    parser.add_argument("--batch-size", type=positive, nargs="+", default=[128], metavar="N", help="(default: 128)")
    parser.add_argument("--threads", type=positive, nargs="+", default=[1, cores], metavar="N",
                        help=f"(default: 1 and all cores, {cores})")
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="turns that count (default: 5)")
    parser.add_argument("--no-torch", action="store_true", help="time minicnn alone")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    parser.add_argument("--keep-blas-variables", action="store_true",
                        help="do not unset OPENBLAS_CORETYPE and its like for the rivals")
    asked = parser.parse_args()
    unset_blas_variables(asked.keep_blas_variables)
    machine, multiplies, every = processor(), blas(), []
    rivals = [rival for rival in taking_part("cpu", not asked.no_torch) if rival in RIVALS]
    print(f"{machine}, {multiplies}. A training step, median of {asked.repeat} turns (least – most):\n\n"
          "net                        batch  threads  rival            images/s                  of the product  ratio")
    for net in asked.nets:
        for batch_size in asked.batch_size:
            for threads in dict.fromkeys(asked.threads):
                results = measure(rivals, net, batch_size, threads, asked.repeat)
                every += results
                ours = results[0]["images_per_s"]["median"]
                for result in results:
                    speed = result["images_per_s"]
                    spread = f"{speed['median']:.0f} ({speed['min']:.0f} – {speed['max']:.0f})"
                    ratio = "" if result is results[0] else f"{ours / speed['median']:.2f}"
                    print(f"{net:25}  {batch_size:5}  {threads:7}  {result['rival']:15}  {spread:24}  "
                          f"{result['share_of_product']:14.0%}  {ratio:>5}", flush=True)
    write(asked.json, ["numpy", "numba", *(["torch"] if "torch" in rivals else [])], machine=machine, blas=multiplies,
          results=every)


if __name__ == "__main__":
    main()
