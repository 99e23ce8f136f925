"""A whole net: which is the first layer, from the loss backwards, whose own backward is wrong?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..engine.mode import grad_mode
from ..engine.settings import real, whole
from ..engine.tensor import Tensor
from ..nn.layers import Sequential
from ..nn.module import Module
from . import say, say_net
from .by_hand import Chain, has_passes, of_loss, recorded, subject_of, takes_gy
from .calls import named_inside
from .check import Check
from .evidence import Floats
from .of_modules import of_module, recorded_modules, tensors_of
from .say import GradientError, Report
from .subject import Gradients, Input, Subject, WrongShape, is_real, of_tensors
from .thresholds import ADDS, AWAY, SAME
from .twin import in_double

__all__ = ["layers"]

OURS = (0x6C617965, 0x72730000)  # our own stream: inputs drawn by default_rng(0) must not be u over again


@dataclass
class Unit:
    """What is checked by itself. gy: what came back to it. holds: it is made of other layers, of which ``missed`` did
    not go backward, and ``writes`` wrote into the gradient that they were given."""

    name: str
    subject: contextlib.AbstractContextManager[Subject]
    gy: Any = None
    holds: bool = False
    missed: Sequence[str] = ()
    writes: Sequence[str] = ()


def layers(net: Any, *inputs: Any, loss: Callable[..., Any] | None = None, seed: int = 0, step: float = 1e-6,
           tolerance: float | None = None, elements: int = 500) -> Report:
    """Find the first layer of a net, from the loss backwards, whose own backward is wrong.

    The net runs once, forwards and backwards. Then each layer is checked by itself, at the inputs that it met, in
    float64: the last first, with its parameters, as ``gradcheck`` does with a random gy; and whether its backward is as
    linear between that and the gy which it met. What holds other layers is checked after these, the net itself at the
    end, so that of a mistake between the layers it is said that it is there.

    net: a module, as a Sequential. Or NumPy classes with the methods forward(x), which returns one array and keeps what
        is needed in self, and backward(gy), which returns ∂L/∂x: a list of them, an object with a list ``layers``, or
        an object with forward and backward of its own that calls those which it holds. It is copied, not changed.
        A parameter W of theirs is an array in self, and its gradient after backward is in self as dW, d_W, W_grad,
        grad_W, gradW or gW; or they stand under one name in the dicts (or in one place of the lists) params and grads;
        or both in one object, as W.data or W.value, and W.grad.
    inputs: of the net, one or more. Whole numbers, as labels and words, pass through.
    loss: of the net's output y, checked first. For modules a function of tensors, for NumPy one that returns (loss,
        ∂loss/∂y), or an object with forward and backward. Without it the net gets a random gradient.
    seed, step, tolerance, elements: as for ``gradcheck``.

    Raises GradientError, whose ``layer`` is the name of the layer, as "layer 2 (ReLU)", and TypeError or ValueError
    where a layer cannot be run.
    """
    elements, seed = (whole("gradcheck.layers", name, n, least=least)
                      for name, n, least in (("elements", elements, 1), ("seed", seed, 0)))  # fmt: skip
    step = real("gradcheck.layers", "step", step, above=0, below=1)
    tolerance = 0.0 if tolerance is None else real("gradcheck.layers", "tolerance", tolerance, above=0)
    net = as_net(net)
    random = np.random.default_rng((seed, *OURS))
    report, right = Report(), list[str]()
    with grad_mode(True):
        for unit in (of_modules if isinstance(net, Module) else of_classes)(net, inputs, loss, random):
            with unit.subject as subject:
                if not subject.inputs:
                    continue
                try:
                    found = held(subject, unit, random, step, tolerance, elements)
                except GradientError as error:
                    besides = say_net.between(unit.missed, unit.writes) if unit.holds else ""
                    raise say_net.first_wrong(error, unit.name, right, besides).with_traceback(None) from None
            right.append(unit.name)
            report.add(unit.name, found)
    if not right:
        raise ValueError("gradcheck.layers: the net was given no real numbers to check: write 1.0 for 1")
    return report


def as_net(net: Any) -> Any:
    """A Module, or an object with forward and backward."""
    if not isinstance(net, (Module, type)) and not has_passes(net):
        net = getattr(net, "layers", net)
        if isinstance(net, (list, tuple)) and any(isinstance(layer, Module) for layer in net):
            return Sequential(*net)
        if isinstance(net, (Sequence, Mapping)) and not isinstance(net, str) and net:
            return Chain(net)
    if isinstance(net, Module) or has_passes(net):
        return net
    raise TypeError(f"gradcheck.layers: net is {net!r:.60}: give a module of minicnn, a list of layers, or an object "
                    "with forward and backward; a module of PyTorch to gradcheck.torch")


def held(subject: Subject, unit: Unit, random: np.random.Generator, step: float, tolerance: float, elements: int
         ) -> Report:
    """Check one layer with a random gradient, and whether that tells of its real one, too."""
    gy = unit.gy

    def check() -> Report:
        return Check(subject, random, step, tolerance, elements, False).run()

    try:
        if unit.holds:
            subject = without_effect_left_out(subject, random)
        try:
            report = check()
        except GradientError as error:
            if error.analytic is not None or [v.name for v in error.verdicts] != ["kink or tie"]:
                raise
            with a_little_away(subject.inputs, random):  # nothing was seen to be wrong: a window of zeros is one tie
                report = check()
            report.moved = {x.name: x.start.size for x in subject.inputs}
        if gy is not None and np.isfinite(gy).all() and np.any(gy):
            u = random.standard_normal(np.shape(gy)) * np.sqrt(np.mean(np.square(gy)))
            parts = [[np.zeros(()) if g is None else g for g in subject.gradients(np.array(part, np.float64))]
                     for part in (gy, u, gy + u)]  # fmt: skip
            for x, one, other, both in zip(subject.inputs, *parts, strict=True):
                if not additive(one, other, both, np.abs(gy).max()):
                    raise say_net.not_additive(subject.title, x)
        return report
    except WrongShape as wrong:
        raise say.wrong_shape(subject.title, wrong) from wrong.__cause__


@contextlib.contextmanager
def a_little_away(inputs: Sequence[Input], random: np.random.Generator) -> Iterator[None]:
    """Inside of ``with`` inputs are moved, by little beside their size and more than any step."""
    before = [x.start for x in inputs]
    try:
        for x in inputs:
            x.start = x.start + AWAY * x.size * random.standard_normal(x.start.shape)
            x.move(x.start)
        yield
    finally:
        for x, start in zip(inputs, before, strict=True):
            x.start = start
            x.move(start)


def additive(one: np.ndarray, other: np.ndarray, both: np.ndarray, gy: float) -> bool:
    """Whether one and other make both, but for rounding: of themselves, or of gy where most of that cancels."""
    largest = max(np.abs(one).max(initial=0), np.abs(other).max(initial=0))
    return bool((np.abs(both - one - other) <= SAME * largest + ADDS * gy).all())


def without_effect_left_out(subject: Subject, random: np.random.Generator) -> Subject:
    """A net as a subject without the inputs on which it does not depend, and of which backward says so but for
    rounding, as of a bias before a batch norm: there is nothing to compare. Each layer has been checked by itself."""
    y = subject.value()
    gradients = subject.gradients(random.standard_normal(y.shape))
    sizes = [0.0 if g is None else float(np.linalg.norm(g)) * x.size
             for x, g in zip(subject.inputs, gradients, strict=True)]  # fmt: skip
    kept = []
    for i, x in enumerate(subject.inputs):
        if sizes[i] <= SAME * max(sizes):
            with a_little_away([x], random):
                moved = np.abs(subject.value() - y).max(initial=0)
            if moved <= SAME * np.abs(y).max(initial=0):
                continue
        kept.append(i)

    def gradients_of_these(u: Floats) -> Gradients:
        every = subject.gradients(u)
        return [every[i] for i in kept]

    source = subject.source and replace(subject.source, real=[subject.source.real[i] for i in kept])
    return replace(subject, inputs=[subject.inputs[i] for i in kept], gradients=gradients_of_these,
                   uses=lambda u, i: subject.uses(u, kept[i]), source=source)  # fmt: skip


# -- what is checked, from the loss backwards --------------------------------------------------------------------------


def of_modules(net: Module, inputs: tuple[Any, ...], loss: Any, random: np.random.Generator) -> Iterator[Unit]:
    of_the_loss: list[Unit] = []

    def back(y: Tensor) -> None:
        if loss is None:
            return y.backward(random.standard_normal(y.shape))
        of_the_loss.append(Unit("the loss", of_tensors(loss, [y.copy()], [])))
        value = loss(y)
        if isinstance(value, Tensor) and value.requires_grad:
            value.backward()

    calls = recorded_modules(net, tensors_of(inputs), back)
    yield from of_the_loss
    for call in calls:
        yield Unit(call.name, of_module(call), call.gy, bool(list(call.layer.children())))


def of_classes(net: Any, inputs: tuple[Any, ...], loss: Any, random: np.random.Generator) -> Iterator[Unit]:
    net = in_double(net)
    with recorded(net):
        y = net.forward(*(np.array(x, np.float64) if is_real(x) else x for x in inputs))
    gy: Any = random.standard_normal(np.shape(y))
    if loss:
        subject, gy = of_loss(loss, y)
        yield Unit("the loss", contextlib.nullcontext(subject))
    gradient = [gy] * takes_gy(net)
    with recorded(net) as (calls, met):
        net.forward(*(np.array(x, np.float64) if is_real(x) else x for x in inputs))
        with contextlib.suppress(Exception):  # what is wrong may be a layer after that in which it shows
            net.backward(*gradient)
    for call in calls:
        if call.gy is not None and call.gy.shape != np.shape(call.y):
            raise say_net.gy_of_another_shape(call.name, call.gy.shape, np.shape(call.y))
        inside = {path: layer for path, layer in named_inside(call.layer, has_passes).items() if id(layer) in met}
        missed = [met[id(layer)] for layer in inside.values() if not any(layer is other.layer for other in calls)]
        writes = [other.name for other in calls if other.writes and other is not call]
        yield Unit(call.name, contextlib.nullcontext(subject_of(call, inside, id(call.layer) == next(iter(met)))),
                   call.gy, bool(inside), missed, writes)
