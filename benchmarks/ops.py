"""Time every op of AlexNet in one tower's sizes, forwards and backwards. Beside it, where it is installed, PyTorch's.

    python benchmarks/ops.py
    python benchmarks/ops.py --only conv lrn --batch-size 32 --json result.json

Rivals take turns in processes of their own, with a product of matrices and a copy in between (see turns.py). What
multiplies is given in GFLOP/s, and as a share of that product; what only moves in GB/s, of what it must read and
write once, and as a share of that copy. Backward is all gradients that AlexNet needs: for the images there is none.
Variables that hold a BLAS below the processor are unset for all, unless --keep-blas-variables is given.
"""

from __future__ import annotations

import functools
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
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

WARM_UP = 2
LEAST = 0.2  # seconds of a turn


@dataclass(frozen=True)
class Work:
    """An op and the shapes (without the batch) of what it is given; settings as minicnn's op takes them."""

    op: str
    x: tuple[int, ...]
    w: tuple[int, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    images: bool = False  # nobody needs the gradient of x

    def amount(self, N: int) -> tuple[str, float, float]:
        """("FLOP" or "byte", forward, backward) at a batch of N."""
        x = N * np.prod(self.x, dtype=float)
        if self.op == "conv2d":
            K, C, R, S = self.w
            forward = 2.0 * K * C * R * S * N * self.outputs() ** 2
            return "FLOP", forward, forward * (1 if self.images else 2)
        if self.op == "linear":
            forward = 2.0 * N * self.w[0] * self.w[1]
            return "FLOP", forward, 2 * forward
        if self.op == "max_pool2d":  # the places of the winners are a byte each
            y = N * self.x[0] * self.outputs() ** 2
            return "byte", 4 * x + 5 * y, 5 * y + 4 * x
        if self.op == "sgd":
            return "byte", 20.0 * np.prod(self.x), 0.0  # reads w, v and g, writes w and v
        passes = {"relu": (2, 3), "local_response_norm": (2, 3), "dropout": (2, 2), "cross_entropy": (2, 2),
                  "concatenate": (2, 2)}[self.op]
        return "byte", 4 * x * passes[0], 4 * x * passes[1]

    def outputs(self) -> int:
        """Pixels along a side of what a window makes."""
        settings = dict(self.settings)
        padding, size = settings.get("padding", 0), self.w[-1] if self.w else settings["size"]
        both = sum(padding[0]) if isinstance(padding, tuple) else 2 * padding
        return (self.x[1] + both - size) // settings.get("stride", 1) + 1


POOL = (("size", 3), ("stride", 2))
WORK = {
    "conv1": Work("conv2d", (3, 224, 224), (48, 3, 11, 11), (("stride", 4), ("padding", ((0, 3),) * 2)), images=True),
    "conv2": Work("conv2d", (48, 27, 27), (128, 48, 5, 5), (("padding", 2),)),
    "conv3": Work("conv2d", (256, 13, 13), (192, 256, 3, 3), (("padding", 1),)),
    "conv4": Work("conv2d", (192, 13, 13), (192, 192, 3, 3), (("padding", 1),)),
    "conv5": Work("conv2d", (192, 13, 13), (128, 192, 3, 3), (("padding", 1),)),
    "fc6": Work("linear", (9216,), (2048, 9216)),
    "fc7": Work("linear", (4096,), (2048, 4096)),
    "fc8": Work("linear", (4096,), (1000, 4096)),
    "lrn1": Work("local_response_norm", (48, 55, 55)),
    "lrn2": Work("local_response_norm", (128, 27, 27)),
    "lrn5": Work("local_response_norm", (128, 13, 13)),
    "pool1": Work("max_pool2d", (48, 55, 55), settings=POOL),
    "pool2": Work("max_pool2d", (128, 27, 27), settings=POOL),
    "pool5": Work("max_pool2d", (128, 13, 13), settings=POOL),
    "relu1": Work("relu", (48, 55, 55)),
    "relu2": Work("relu", (128, 27, 27)),
    "relu3": Work("relu", (192, 13, 13)),
    "relu6": Work("relu", (2048,)),
    "dropout6": Work("dropout", (2048,)),
    "both towers, conv3": Work("concatenate", (256, 13, 13)),
    "loss": Work("cross_entropy", (1000,)),
    "update of fc6": Work("sgd", (2048, 9216)),
}


# -- the rivals: each returns (forward, backward of what forward returned) ---------------------------------------------

Ways = tuple[Callable[[], Any], Callable[[Any], Any]]


def arrays(work: Work, N: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    shapes = [(N, *work.x), work.w, work.w[:1]] if work.w else [(N, *work.x)]
    if work.op == "concatenate":
        shapes = [(N, work.x[0] // 2, *work.x[1:])] * 2
    if work.op == "sgd":
        shapes = [work.x] * 2
    return [random.standard_normal(shape, dtype=np.float32) for shape in shapes]


def ways_of_minicnn(work: Work, N: int) -> Ways:
    from minicnn import Tensor, ops, optim
    from minicnn.engine.memory import in_engine_order

    given = [Tensor(a, requires_grad=not (work.images and i == 0)) for i, a in enumerate(arrays(work, N))]
    if work.op == "sgd":
        parameter, parameter.grad = given
        optimiser = optim.SGD([("w", parameter)])
        return lambda: optimiser.step(), lambda y: None
    more = {"dropout": [np.array([1, 2])], "cross_entropy": [np.arange(N) % 1000]}.get(work.op, [])
    settings = dict(work.settings) | ({"axis": 1} if work.op == "concatenate" else {})
    function = getattr(ops, work.op)
    gradient = in_engine_order(np.ones(function(*given, *more, **settings).shape, np.float32))
    return lambda: function(*given, *more, **settings), lambda y: [pullback(gradient) for pullback in y.node.gradients]


def ways_of_torch(work: Work, N: int) -> Ways:
    import torch
    import torch.nn.functional as F

    given = [torch.from_numpy(a).requires_grad_(not (work.images and i == 0)) for i, a in enumerate(arrays(work, N))]
    if work.op == "sgd":
        parameter = given[0]
        parameter.grad = given[1].clone()
        optimiser = torch.optim.SGD([parameter], lr=0.01, momentum=0.9, weight_decay=0.0005)
        return lambda: optimiser.step(), lambda y: None
    settings = dict(work.settings)
    labels = torch.arange(N) % 1000
    functions: dict[str, Callable[..., torch.Tensor]] = {
        "conv2d": lambda x, w, b: F.conv2d(F.pad(x, (0, 3, 0, 3)) if work.images else x, w, b,
                                           settings.get("stride", 1), 0 if work.images else settings["padding"]),
        "linear": F.linear, "relu": F.relu, "dropout": F.dropout,
        "local_response_norm": lambda x: F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0),
        "max_pool2d": lambda x: F.max_pool2d(x, 3, 2), "concatenate": lambda *xs: torch.cat(xs, 1),
        "cross_entropy": lambda x: F.cross_entropy(x, labels),
    }  # fmt: skip
    function = functions[work.op]
    gradient = torch.ones_like(function(*given).detach())

    def backward(y: torch.Tensor) -> None:
        for x in given:
            x.grad = None
        y.backward(gradient)

    return lambda: function(*given), backward


def prepared(ways: Callable[[Work, int], Ways], N: int, threads: int) -> Callable[[str], tuple[float, float]]:
    """A turn with the op that is asked for: seconds forwards and backwards."""
    if ways is ways_of_torch:
        import torch

        torch.set_num_threads(threads)
    else:
        use(threads)
    ready: dict[str, Ways] = {}

    def turn(name: str) -> tuple[float, float]:
        if name not in ready:
            ready.clear()  # one op's arrays at a time
            ready[name] = ways(WORK[name], N)
        forward, backward = ready[name]
        backward(forward())  # wakes threads and caches after the others' turns
        there = back = 0.0
        times = 0
        while there + back < LEAST:
            start = time.perf_counter()
            y = forward()
            middle = time.perf_counter()
            backward(y)
            there, back, times = there + middle - start, back + time.perf_counter() - middle, times + 1
        return there / times, back / times

    return turn


def rate(of: Callable[[int, str], Callable[[], Any]], threads: int) -> Callable[[str], tuple[float, float]]:
    work = of(threads, "cpu")

    def turn(name: str) -> tuple[float, float]:
        work()
        start = time.perf_counter()
        work()
        return time.perf_counter() - start, 0.0

    return turn


# -- what is asked and printed -----------------------------------------------------------------------------------------


def main() -> None:
    # Not at the top: a rival's process holds none of minicnn.
    from minicnn.command_line import Parser, new_file, number
    from minicnn.kernels.machine import usable_cores

    positive, cores = number(int, 1), usable_cores()
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="WORD", help="rows with these words in them")
    parser.add_argument("--batch-size", type=positive, default=128, metavar="N", help="default: 128")
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="turns that count (default: 5)")
    parser.add_argument("--threads", type=positive, default=cores, metavar="N", help=f"default: all cores ({cores})")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    parser.add_argument("--no-torch", action="store_true", help="time minicnn alone")
    parser.add_argument("--keep-blas-variables", action="store_true",
                        help="do not unset OPENBLAS_CORETYPE and its like for the rivals")
    asked = parser.parse_args()
    names = [n for n in WORK if not asked.only or any(word in n for word in asked.only)]
    if not names:
        parser.error(f"--only: no row has {' or '.join(asked.only)} in it: there are {', '.join(WORK)}")
    unset_blas_variables(asked.keep_blas_variables)
    N, threads, multiplies = asked.batch_size, asked.threads, blas()
    rivals: dict[str, Any] = {"minicnn": functools.partial(prepared, ways_of_minicnn, N, threads)}
    if not asked.no_torch and importlib.util.find_spec("torch"):
        rivals["torch"] = functools.partial(prepared, ways_of_torch, N, threads)
    elif not asked.no_torch:
        print("PyTorch is not installed, so there is nothing to compare with: pip install torch", file=sys.stderr)
    rates = {name: functools.partial(rate, of, threads) for name, of in (("product", matrix_product), ("copy", copy))}
    keeps = jemalloc() or {}
    schedule = [name for name in names for _ in range(WARM_UP + asked.repeat)]
    turns = take_turns(rivals | rates, schedule, {"torch": keeps})

    def median(rival: str, name: str, way: int) -> float:
        took = [t for t, n in zip(turns[rival], schedule, strict=True) if n == name]
        return statistics.median(t[way] for t in took[WARM_UP:])

    print(f"{processor()}, {threads} threads, {multiplies}. AlexNet's ops in one tower, batch {N}, median of "
          f"{asked.repeat} turns{', torch with jemalloc' if keeps and 'torch' in rivals else ''}:\n")
    print("op                  way             ms     work done  share of    share  torch ms  ratio")
    results = []
    for name in names:
        unit, *amounts = WORK[name].amount(N)
        limit = (2 * MATRIX["cpu"] ** 3 / median("product", name, 0) if unit == "FLOP"
                 else 2 * COPIED["cpu"] / median("copy", name, 0))
        for way, (word, amount) in enumerate(zip(("forward", "backward"), amounts, strict=True)):
            if not amount:
                continue
            ours = median("minicnn", name, way)
            share = amount / ours / limit
            result = {"op": name, "way": word, "seconds": ours, "unit": unit, "amount": amount, "share": share}
            theirs = ""
            if "torch" in rivals:
                result["torch_seconds"] = median("torch", name, way)
                theirs = f"{1e3 * result['torch_seconds']:9.2f}  {result['torch_seconds'] / ours:5.2f}"
            done = f"{amount / ours / 1e9:6.1f} {'GFLOP/s' if unit == 'FLOP' else 'GB/s   '}"
            print(f"{name:18}  {word:8}  {1e3 * ours:8.2f}  {done:>14}  {'product' if unit == 'FLOP' else 'copy':8}  "
                  f"{share:6.0%} {theirs}", flush=True)
            results.append(result)
    product = 2 * MATRIX["cpu"] ** 3 / statistics.median(t for t, _ in turns["product"]) / 1e9
    moved = 2 * COPIED["cpu"] / statistics.median(t for t, _ in turns["copy"]) / 1e9
    print(f"\nThe ratio is torch's time by minicnn's. In the same run a product of {MATRIX['cpu']}³ made {product:.0f} "
          f"GFLOP/s, a copy moved {moved:.1f} GB/s, read and written.")
    write(asked.json, ["numpy", "numba", *(["torch"] if "torch" in rivals else [])], machine=processor(),
          blas=multiplies, threads=threads, batch_size=N, jemalloc=bool(keeps), gflop_per_s=product, gb_per_s=moved,
          results=results)


if __name__ == "__main__":
    main()
