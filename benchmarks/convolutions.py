"""Time every convolution of AlexNet, VGG and a network for CIFAR by columns and by Fourier: is the choice right?

    python benchmarks/convolutions.py
    python benchmarks/convolutions.py --only AlexNet VGG --batch-size 1 32 128 --json result.json

For each layer and batch the mean of the three ways: forward, the gradient of the image, that of the weights; in turns.
"products" are Fourier's multiplications by the direct sum's, then with its transforms. A layer is left out where
an array would take more than 512 MB.
"""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from turns import blas, processor, take_turns, unset_blas_variables, use, write

LAYERS = {  # channels, kernels, pixels along a side, of a kernel, padding
    "AlexNet conv2": (48, 128, 27, 5, 2), "AlexNet conv3": (256, 192, 13, 3, 1), "AlexNet conv4": (192, 192, 13, 3, 1),
    "AlexNet conv5": (192, 128, 13, 3, 1), "CIFAR conv1": (3, 32, 32, 5, 2), "CIFAR conv2": (32, 32, 16, 5, 2),
    "CIFAR conv3": (32, 64, 8, 5, 2), "VGG conv1_1": (3, 64, 224, 3, 1), "VGG conv1_2": (64, 64, 224, 3, 1),
    "VGG conv2_1": (64, 128, 112, 3, 1), "VGG conv3_1": (128, 256, 56, 3, 1), "VGG conv3_2": (256, 256, 56, 3, 1),
    "VGG conv4_2": (512, 512, 28, 3, 1), "VGG conv5_1": (512, 512, 14, 3, 1), "1 × 1": (64, 128, 28, 1, 0),
    "7 × 7": (64, 64, 28, 7, 3),
}  # fmt: skip
LARGEST = 1 << 29  # bytes
LEAST = 0.1  # seconds of a turn


def ways(layer: tuple[int, ...], N: int) -> dict[str, list[Callable[[], Any]]]:
    """The three ways by each algorithm."""
    from minicnn.kernels import convolution

    C, K, H, R, padding = layer
    P = H + 2 * padding - R + 1
    geometry = convolution.Geometry(1, P, P, 1, 1, padding, padding)
    random = np.random.default_rng(0)
    x, w, gy = (random.standard_normal(shape, dtype=np.float32) for shape in
                ((C, H, H, N), (C, R, R, K), (K, P, P, N)))  # fmt: skip
    return {algorithm: [lambda a=algorithm: convolution.forward(x, w, None, geometry, a),
                        lambda a=algorithm: convolution.image_gradient(gy, w, x.shape, geometry, a),
                        lambda a=algorithm: convolution.weight_gradient(gy, x, w.shape, geometry, a)]
            for algorithm in convolution.ALGORITHMS}  # fmt: skip


def size(layer: tuple[int, ...], N: int) -> int:
    """Bytes of the largest array."""
    C, K, H, *_ = layer
    return 4 * max(C, K) * H * H * N


def prepared(threads: int, repeat: int) -> Callable[[tuple[str, int]], dict[str, Any]]:
    use(threads)
    return lambda asked: measure(*asked, repeat)


def seconds(way: Callable[[], Any]) -> float:
    start, times = time.perf_counter(), 0
    while times < 1 or time.perf_counter() - start < LEAST:
        way()
        times += 1
    return (time.perf_counter() - start) / times


def measure(name: str, N: int, repeat: int) -> dict[str, Any]:
    """Seconds of both, what is chosen, what Fourier multiplies, and the time of the choice by that of the better one.
    """
    from minicnn.kernels import convolution, fourier
    from minicnn.kernels.spectrum import angles

    C, K, H, R, padding = LAYERS[name]
    P = H + 2 * padding - R + 1
    shapes = (C, H, H, N), (C, R, R, K), convolution.Geometry(1, P, P, 1, 1, padding, padding)
    rivals = ways(LAYERS[name], N)
    for all_three in rivals.values():
        for way in all_three:
            way()
    took: dict[str, list[float]] = {algorithm: [] for algorithm in rivals}
    for _ in range(repeat):
        for algorithm, all_three in rivals.items():
            took[algorithm].append(statistics.mean(map(seconds, all_three)))
    medians = {algorithm: statistics.median(times) for algorithm, times in took.items()}
    tile = convolution._best_tile(*shapes)[1]
    T, direct = min(tile, P) + R - 1, C * K * R * R * P * P * N
    chosen = "fourier" if convolution.chosen(*shapes) else "columns"
    return {"layer": name, "batch_size": N, "seconds": medians, "chosen": chosen, "tile": tile,
            "products": 3 * T * angles(T) * math.ceil(P / tile) ** 2 * C * K * N / direct,
            "multiplications": fourier.work(*shapes, tile)[0] / direct,
            "by_the_better": medians[chosen] / min(medians.values())}  # fmt: skip


def main() -> None:
    from minicnn.command_line import Parser, new_file, number
    from minicnn.kernels.machine import usable_cores

    positive, cores = number(int, 1), usable_cores()
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="WORD", help="rows with these words in them")
    parser.add_argument("--batch-size", type=positive, nargs="+", default=[1, 8, 32, 128, 512], metavar="N",
                        help="default: 1 8 32 128 512")
    parser.add_argument("--repeat", type=positive, default=3, metavar="N", help="turns that count (default: 3)")
    parser.add_argument("--threads", type=positive, default=cores, metavar="N", help=f"default: all cores ({cores})")
    parser.add_argument("--keep-blas-variables", action="store_true", help="let OPENBLAS_CORETYPE and the like hold")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    asked = parser.parse_args()
    names = [n for n in LAYERS if not asked.only or any(word in n for word in asked.only)]
    if not names:
        parser.error(f"--only: no row has {' or '.join(asked.only)} in it: there are {', '.join(LAYERS)}")
    unset_blas_variables(asked.keep_blas_variables)
    schedule = [(name, N) for name in names for N in asked.batch_size if size(LAYERS[name], N) <= LARGEST]
    working = {"minicnn": functools.partial(prepared, asked.threads, asked.repeat)}
    print(f"{processor()}, {blas()}, {asked.threads} threads, median of {asked.repeat} turns:\n")
    print("layer          batch  columns ms  Fourier ms  ratio  chosen   by the better tile  products  with transforms")
    results = []
    for each in schedule:
        result = take_turns(working, [each])["minicnn"][0]
        by_columns, by_fourier = (1e3 * result["seconds"][a] for a in ("columns", "fourier"))
        print(f"{result['layer']:14} {result['batch_size']:5}  {by_columns:10.2f}  {by_fourier:10.2f}  "
              f"{by_columns / by_fourier:5.2f}  {result['chosen']:8} {result['by_the_better']:13.2f} "
              f"{result['tile']:4}  {result['products']:8.2f}  {result['multiplications']:15.2f}", flush=True)
        results.append(result)
    worse = [result["by_the_better"] for result in results]
    print(f"\nThe choice takes {statistics.geometric_mean(worse):.3f} times as long as the better of the two, at most "
          f"{max(worse):.2f}; columns everywhere would take "
          f"{statistics.geometric_mean(r['seconds']['columns'] / min(r['seconds'].values()) for r in results):.2f}.")
    write(asked.json, ["numpy", "numba"], machine=processor(), blas=blas(), threads=asked.threads, results=results)


if __name__ == "__main__":
    main()
