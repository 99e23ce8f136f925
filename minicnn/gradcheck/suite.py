"""What ``python -m minicnn gradcheck`` checks: every op, every layer, and AlexNet with its loss.

The settings are such that a mistake shows: no two sizes alike, padding before unlike after, windows that overlap and
windows that do not, more than one group, an input used twice, α near 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .. import nn, ops
from ..engine.device import Device, cpu
from ..engine.tensor import Tensor
from ..models import VARIANTS, alexnet
from . import GradientError, Report, gradcheck
from .evidence import Floats

__all__ = ["CASES", "Case", "full_alexnet", "table"]


def normal(*shape: int) -> Floats:
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape)


def positive(*shape: int) -> Floats:
    return np.abs(normal(*shape)) + 0.5


def distinct(*shape: int) -> Floats:
    """No two numbers near each other, none near 0: no ties, no kinks."""
    size = int(np.prod(shape))
    return np.random.default_rng(size).permutation(np.linspace(-1, 1, 2 * size)[::2]).reshape(shape)


@dataclass(frozen=True)
class Case:
    """An op under a name, how it is set, what it is given, and how it is checked."""

    op: str
    settings: str
    given: str
    run: Callable[[], Report]


def case(function: Callable[..., object], *inputs: np.ndarray | None, op: str = "", note: str = "",
         **settings: object) -> Case:  # fmt: skip
    written = ", ".join(f"{k}={v}" for k, v in settings.items())
    return Case(op or function.__name__, note or written, " ".join(str(np.shape(x)) for x in inputs if x is not None),
                lambda: gradcheck(_set(function, settings), *inputs))  # fmt: skip


def _set(function: Callable[..., object], settings: dict[str, object]) -> Callable[..., object]:
    if not settings:
        return function

    def with_settings(*xs: object) -> object:
        return function(*xs, **settings)

    with_settings.__name__, with_settings.__wrapped__ = function.__name__, function  # type: ignore[attr-defined]
    return with_settings


def layer(make: Callable[[], nn.Module], x: np.ndarray, note: str = "") -> Case:
    module = make()
    return Case(f"nn.{type(module).__name__}", note, str(x.shape), lambda: gradcheck(make(), x))


def network(variant: str, width: float, devices: tuple[Device, Device], classes: int) -> Case:
    """AlexNet with its loss: images and every parameter."""

    def run() -> Report:
        nn.manual_seed(0)
        net = alexnet(variant, classes, devices, width)
        dropouts = [module for module in net.modules() if isinstance(module, nn.Dropout)]
        images, labels = normal(2, 3, net.pixels, net.pixels), np.array([1, classes - 1])

        def loss(images: Tensor) -> Tensor:
            for dropout in dropouts:
                dropout.counter[1] = 0  # the same mask in every call
            return ops.cross_entropy(net(images), labels)

        return gradcheck(loss, images, parameters=net.named_parameters())

    pixels = VARIANTS[variant].pixels
    return Case("alexnet", f"{variant}, width {width:g}, {devices[0]} {devices[1]}", f"(2, 3, {pixels}, {pixels})", run)


def _cases() -> Iterable[Case]:
    op: Callable[..., Tensor]
    for op in (ops.add, ops.subtract, ops.multiply, ops.divide):
        yield case(op, normal(2, 3, 4), positive(2, 3, 4))
        yield case(op, normal(3, 4), positive(2, 3, 1), note="broadcast")
        yield case(op, normal(2, 1, 4), positive(4), note="broadcast")
    yield case(ops.power, positive(2, 3), normal(2, 3))
    yield case(ops.power, positive(3), normal(2, 1), note="broadcast")
    yield case(ops.power, np.array([0.0, 0.0, 1.5]), np.array([2.0, 3.0, 0.5]), note="0 to a power")
    for op in (ops.negative, ops.exp, ops.tanh, ops.sigmoid):
        yield case(op, normal(3, 4))
    yield case(ops.log, positive(3, 4))
    yield case(ops.relu, distinct(2, 3, 4))
    for op in (ops.sum, ops.mean, ops.max):
        yield case(op, distinct(2, 3, 4))
        yield case(op, distinct(2, 3, 4), axis=1)
        yield case(op, distinct(3, 3, 3), axis=0)
        yield case(op, distinct(2, 3, 4), axis=(0, 2), keepdims=True)
    yield case(ops.max, np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), axis=1, note="axis=1, ties")
    yield case(ops.reshape, normal(2, 3, 4), shape=(4, 6))
    yield case(ops.flatten, normal(2, 3, 4))
    yield case(ops.transpose, normal(2, 3, 4), axes=(1, 2, 0))
    yield case(ops.transpose, normal(3, 3, 3), axes=(1, 2, 0))
    yield case(ops.getitem, normal(4, 5), index=(slice(1, None), slice(None, None, -2)))
    yield case(ops.getitem, normal(4, 5), index=[2, 0, 2, 3, 2])
    yield case(ops.concatenate, normal(2, 3), normal(2, 1), normal(2, 4), axis=1)
    yield case(ops.linear, normal(3, 4), normal(5, 4), normal(5))
    yield case(ops.linear, normal(4, 4), normal(4, 4), None)
    yield case(ops.matmul, normal(2, 3), normal(3, 4))
    yield case(ops.matmul, normal(4, 4), normal(4, 4) + 1)
    yield case(ops.matmul, normal(3), normal(5, 3, 2), note="stacks")
    yield case(ops.conv2d, normal(2, 3, 6, 5), normal(4, 3, 3, 2), normal(4))
    yield case(ops.conv2d, normal(2, 3, 6, 5), normal(4, 3, 3, 3), None, padding=1)
    yield case(ops.conv2d, normal(2, 3, 7, 7), normal(4, 3, 3, 3), normal(4), stride=2, padding=((0, 1), (0, 1)))
    yield case(ops.conv2d, normal(2, 6, 5, 5), normal(4, 3, 3, 3), normal(4), padding=1, groups=2)
    yield case(ops.conv2d, normal(1, 6, 4, 4), normal(9, 2, 2, 2), normal(9), stride=2, groups=3)
    yield case(ops.conv2d, normal(2, 4, 7, 6), normal(4, 2, 3, 2), normal(4), padding=(1, 2), groups=2,
               algorithm="fourier")  # fmt: skip
    yield case(ops.max_pool2d, distinct(2, 3, 7, 7), size=3, stride=2)
    yield case(ops.max_pool2d, distinct(2, 2, 7, 8) - 2, size=3, stride=1, padding=1)
    yield case(ops.max_pool2d, distinct(2, 2, 6, 6), size=2, stride=2)
    yield case(ops.max_pool2d, np.repeat(distinct(1, 2, 4, 2), 2, 3), size=2, stride=2, note="size=2, stride=2, ties")
    yield case(ops.avg_pool2d, normal(2, 3, 7, 7), size=3, stride=2)
    yield case(ops.avg_pool2d, normal(2, 2, 6, 5), size=3, stride=2, padding=((0, 1), (1, 1)), count_include_pad=False)
    for beta in (0.75, 0.6):
        yield case(ops.local_response_norm, normal(2, 7, 2, 2), alpha=1.0, beta=beta)
        yield case(ops.local_response_norm, 20 * normal(2, 4, 2, 1), size=3, alpha=0.5, beta=beta, k=1.0)
    yield case(ops.local_response_norm, normal(1, 3, 1, 2), size=7, alpha=0.9)
    yield case(ops.local_response_norm, 50 * normal(2, 9, 2, 2), note="the paper's, x up to 100")
    for beta in (0.75, 0.6):
        yield case(ops.map_response_norm, normal(2, 3, 5, 7), alpha=1.0, beta=beta)
    yield case(ops.map_response_norm, 20 * normal(1, 2, 3, 4), size=7, alpha=0.5, k=2.0)
    yield case(ops.dropout, normal(5, 6), np.array([1, 2]), p=0.5)
    yield case(ops.dropout, normal(5, 6), np.array([1, 2]), p=0.3, inverted=False)
    yield case(ops.softmax, normal(3, 4))
    yield case(ops.softmax, normal(3, 4), axis=0)
    yield case(ops.log_softmax, normal(3, 4))
    yield case(ops.cross_entropy, normal(3, 4), np.array([0, 3, 1]))
    yield case(ops.cross_entropy, normal(3, 4), np.array([0, 3, 3]), positive(4), note="a weight for each class")
    yield case(lambda x: (x.to(cpu(1)) * 2.0).to(x.device) * x, normal(3, 4), op="to_device", note="there and back")
    yield case(lambda x: x * x.sum() + x.exp() + x, normal(3, 4), op="tensor", note="one input, four uses")
    yield case(lambda x: (lambda z: z * z.tanh() + z)(x * 2.0), normal(3, 4), op="tensor", note="a result used thrice")
    yield layer(lambda: nn.Linear(4, 5), normal(3, 4))
    yield layer(lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), normal(2, 4, 5, 5), "stride=2, groups=2")
    yield layer(lambda: nn.LocalResponseNorm(5, 1.0), normal(2, 6, 2, 2), "alpha=1.0")
    yield layer(lambda: nn.MapResponseNorm(3, 1.0), normal(2, 2, 4, 5), "alpha=1.0")
    yield layer(nn.MaxPool2d, distinct(2, 2, 7, 7))
    yield layer(nn.AvgPool2d, normal(2, 2, 7, 7))
    yield layer(nn.ReLU, distinct(3, 4))
    yield layer(nn.Tanh, normal(3, 4))
    yield layer(nn.Flatten, normal(2, 3, 2, 2))
    yield layer(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(), nn.Flatten(), nn.Linear(4, 5)),
                normal(2, 3, 5, 5), "from Conv2d to Linear")  # fmt: skip
    for variant in VARIANTS:
        yield network(variant, 1 / 16, (cpu(0), cpu(1)), 10)


CASES = list(_cases())
full_alexnet = network("paper", 1.0, (cpu(0), cpu(1)), 1000)


def table(cases: Iterable[Case], say: Callable[[str], object] = print) -> int:
    """Run the cases, say a line for each and what is wrong at the end; how many are wrong."""
    say(f"{'op':<22} {'settings':<40} {'inputs':<38} {'error':>8} {'time':>8}  verdict")
    failures = []
    for c in cases:
        start = time.perf_counter()
        try:
            report = c.run()
            left_out = sum(report.kinks.values())
            error, verdict = f"{report.error:.1e}", "right" + (f", {left_out} at kinks left out" if left_out else "")
        except GradientError as failure:
            failures.append(failure)
            error, verdict = "WRONG", ", ".join(v.name for v in failure.verdicts) or "no known mistake"
        took = time.perf_counter() - start
        say(f"{c.op:<22} {c.settings:<40} {c.given:<38} {error:>8} {took:>6.2f} s  {verdict}")
    for message in failures:
        say(f"\n{message}")
    return len(failures)
