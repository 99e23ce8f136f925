"""What is measured of a network that is being trained, on a batch or a few; nothing here says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.mode import grad_mode, no_grad
from ..engine.tensor import Tensor
from ..nn.layers import Dropout
from ..nn.module import Module
from ..ops import cross_entropy
from ..optim import SGD
from .signal import Seen, Signal, layers_in, looked_at

__all__ = ["Asked", "Layer", "cost", "dropped_by", "gradients", "layers_of", "line", "norm", "of_loss", "step_again"]

PLANTED = 1e3  # times a gradient
ALIKE = 1e-3  # of the largest weight: units that differ by less have only been rounded otherwise
LIVE = 100  # numbers that are not 0
RATES = [10.0**k for k in range(-5, 2)]  # at which the loss is looked at along the gradient
Labelled = tuple[Any, NDArray[np.int64]]


@dataclass
class Layer:
    """A layer with weights. met: the batch comes there. head: its outputs have the shape of the logits. signal: of its
    outputs at test; NaN where it was not met. weight, gradient, update: norms over its parameters: of these, of ∂L/∂w,
    and of what the next step adds; gradient None: none comes. decay: the norm of what weight decay adds to the
    gradient. bias: the mean of its biases. same: all its units have the same weights, by which something is multiplied.
    trained: it requires a gradient, and the optimiser has it at a rate above 0."""

    name: str
    met: bool
    head: bool
    signal: Signal
    weight: float
    gradient: float | None
    update: float
    decay: float
    bias: float
    same: bool
    trained: bool


@dataclass
class Asked:
    """What a loss asks of the logits, beside what cross-entropy does. value: its own; factor: on the gradient, the
    median over the pictures; alike: the cosine between the two, the median over those whose label has less than half of
    the probability; ignored: labels whose pictures get no gradient though cross-entropy has one for them, and they are
    not right yet; broken: those whose gradient is no number; own: the factor of each label. count: pictures. guess:
    what it is where all logits are 0. constant: it has no gradient at all. error: it cannot be computed."""

    value: float
    factor: float = 1.0
    alike: float = 1.0
    ignored: list[int] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    own: dict[int, float] = field(default_factory=dict)
    count: int = 0
    guess: float = math.nan
    constant: bool = False
    error: str = ""

    @property
    def weighs(self) -> bool:
        """Whether labels have factors of their own."""
        return max(self.own.values(), default=1.0) > 1.1 * min(self.own.values(), default=1.0)


def cost(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Cross-entropy."""
    return float(cross_entropy(Tensor(logits), labels).item())


def gradients(model: Module, loss: Callable[..., Tensor], batch: Labelled) -> None:
    """Forward and backward, in the mode that the model is in: the parameters now have the gradients of this batch."""
    model.zero_grad()
    with grad_mode(True):
        value = loss(model(batch[0]), batch[1])
        if value.requires_grad:
            value.backward()


def layers_of(model: Module, seen: Seen, logits: tuple[int, ...], optimiser: SGD | None) -> list[Layer]:
    """Of a model whose gradients are there, as it was seen. logits: their shape. Takes one step of the optimiser, to
    see how large it is, which the caller takes back."""
    found = seen.found
    held = {} if optimiser is None else {id(p): name for name, p in optimiser.parameters.items()}
    before = {id(p): p.numpy().copy() for _, p in model._named(Tensor)}
    grads = {id(p): None if p.grad is None else p.grad.numpy() for _, p in model._named(Tensor)}
    if optimiser and any(p.grad is not None for p in optimiser.parameters.values()):
        optimiser.step()
    layers = []
    for name, own in layers_in(model, found):
        got = [g for p in own if (g := grads[id(p)]) is not None]
        w = before[id(own[0])]
        decay = [optimiser._decay(held[id(p)]) * norm(before[id(p)]) for p in own if optimiser and id(p) in held]
        biases = [float(before[id(p)].mean()) for p in own if p.ndim == 1]
        layers.append(Layer(
            name, name in found, seen.shapes.get(name) == logits, found.get(name, Signal(*[math.nan] * 4)),
            norm(*(before[id(p)] for p in own)),
            norm(*got) if got else None, norm(*(p.numpy() - before[id(p)] for p in own)),
            float(np.hypot.reduce(decay or [0.0])), float(np.mean(biases or [0.0])),
            id(own[0]) in seen.multiplied and len(w) > 1 and bool((abs(w - w[:1]) <= ALIKE * abs(w).max()).all()),
            any(p.requires_grad and (optimiser is None or (id(p) in held and optimiser._factors[held[id(p)]] > 0))
                for p in own if p.ndim > 1)))
    order = list(found)
    return sorted(layers, key=lambda layer: order.index(layer.name) if layer.name in order else len(order))


def norm(*arrays: NDArray[Any]) -> float:
    return math.sqrt(sum(float(np.einsum("i,i->", flat, flat, dtype=np.float64)) for a in arrays
                         for flat in [np.ravel(a, order="K")]))


def line(model: Module, loss: Callable[..., Tensor], batch: Labelled, optimiser: SGD | None,
         rates: Sequence[float]) -> list[tuple[float, float]]:
    """The loss after a step along the gradient at each of these rates, without momentum and decay: of a model whose
    gradients are there."""
    parameters = dict(model.named_parameters()) if optimiser is None else optimiser.parameters
    before = {name: p.numpy().copy() for name, p in parameters.items() if p.grad is not None}
    if not before:
        return []
    if optimiser is None:
        steps = {name: -parameters[name].grad.numpy() for name in before}  # type: ignore[union-attr]
    else:
        with no_grad():
            for velocity in optimiser.velocity.values():
                velocity[...] = 0
        optimiser.lr, optimiser.momentum, optimiser.weight_decay = 1.0, 0.0, 0.0
        optimiser.step()
        steps = {name: parameters[name].numpy() - array for name, array in before.items()}
    found = []
    with no_grad(), np.errstate(all="ignore"):
        for rate in rates:
            for name, array in before.items():
                parameters[name][...] = array + np.asarray(rate * steps[name], array.dtype)
            found.append((rate, float(loss(model(batch[0]), batch[1]).item())))
        for name, array in before.items():
            parameters[name][...] = array
    return found


def of_loss(loss: Callable[..., Tensor], logits: NDArray[np.float64], labels: NDArray[np.int64], like: Tensor) -> Asked:
    """What a loss asks of these logits, beside cross-entropy. like: a tensor of their type, where they live."""
    with like.device:
        leaf = Tensor(logits.astype(like.dtype), requires_grad=True)
    try:
        with grad_mode(True), np.errstate(all="ignore"):
            value = loss(leaf, labels)
            with no_grad():
                zero = float(loss(Tensor(np.zeros_like(leaf.numpy())).to(like.device), labels).item())
            if not value.requires_grad:
                return Asked(float(value.item()), count=len(labels), constant=True)
            value.backward()
    except Exception as error:
        return Asked(math.nan, error=str(error) or type(error).__name__)
    got = np.zeros_like(logits) if leaf.grad is None else leaf.grad.numpy().astype(np.float64)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    due = (shifted / shifted.sum(1, keepdims=True) - np.eye(logits.shape[1])[labels]) / len(labels)
    size = np.linalg.norm(due, axis=1)
    counts = size > 1e-3 * size.max(initial=1e-30)  # of those that are right already little is asked
    real = np.asarray(np.isfinite(got).all(1))
    broken = sorted(set(labels[~real].tolist()))
    got = np.where(real[:, None], got, 0)
    factors = (got * due).sum(1)[counts] / (size[counts] ** 2)
    own = {int(k): float(np.median(factors[labels[counts] == k])) for k in np.unique(labels[counts])}
    unsure = shifted[np.arange(len(labels)), labels] < 0.5 * shifted.sum(1)
    lost = {int(k) for k in labels[counts & real & unsure & (np.abs(got).max(1) == 0)]}
    ignored = sorted(lost - {int(k) for k in labels[np.abs(got).max(1) > 0]})
    lengths = float(np.linalg.norm(got) * np.linalg.norm(due))
    rows = np.linalg.norm(got, axis=1) * size
    turned = np.asarray((rows > 0) & unsure)
    alike = (got * due).sum(1)[turned] / rows[turned]
    return Asked(float(value.item()), float(np.median(factors)) if len(factors) else 1.0,
                 float(np.median(alike)) if len(alike) else float(lengths > 0), ignored, broken, own, len(labels), zero)


def dropped_by(model: Module, x: Any, once: Seen) -> tuple[dict[str, float], str]:
    """(by layers without weights that are no ReLU, as the batch meets them, the share of what is not 0 at test that is
    0 in training, of a Dropout its p; the first layer whose output at test is another the second time). once: what was
    seen the first time. Of a few numbers that are not 0 no share is told: chance may drop them all."""
    twice = looked_at(model, x)[0]
    restless = next((name for name, total in once.sums.items()
                     if total != twice.sums.get(name) and math.isfinite(total)), "")
    model.train()
    training = looked_at(model, x)[0]
    model.eval()
    dropped = {name: max(0.0, 1 - training.live[name] / live) for name, live in once.live.items()
               if live >= LIVE and name in training.live}
    given = {name: layer.p for name, layer in model.named_modules() if isinstance(layer, Dropout)}
    return {name: given.get(name, dropped.get(name, 0.0)) for name in once.live}, restless


def step_again(model: Module, step: Callable[[Any, Any], Any], batch: Labelled) -> tuple[float, bool]:
    """(how much of a gradient that was there before is in the one that a step leaves behind: 0 where each step begins
    with none, 1 where gradients are added up from step to step; whether steps move a weight: up to four are taken, as a
    loss scale may skip the first). Of a model whose gradients are there."""
    before = [(p, p.numpy().copy()) for p in model.parameters()]
    planted = {id(p): PLANTED * norm(p.grad.numpy()) for p in model.parameters() if p.grad is not None}
    for p in model.parameters():
        if p.grad is not None:
            p.grad = p.grad * PLANTED
    moved = False
    model.train()
    step(*batch)
    left = sum(norm(p.grad.numpy()) for p in model.parameters() if p.grad is not None and id(p) in planted)
    for _ in range(3):
        moved = moved or any((p.numpy() != w).any() for p, w in before)
        if not moved:
            step(*batch)
    model.eval()
    whole = sum(planted.values())
    return left / whole if whole else 0.0, moved or any((p.numpy() != w).any() for p, w in before)
