"""The update rule of the paper, and the scale of a loss in half precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minicnn.kernels.sgd import sgd as kernel

from .engine.device import Device
from .engine.memory import batch_last, fitting
from .engine.settings import flag, real, whole
from .engine.tensor import Tensor
from .schedule import CosineSchedule, PlateauSchedule, PolySchedule, StepSchedule, WarmUp

Squares = dict[str, tuple[float, float]]  # of parameters, by name: Σ w², Σ (∂L/∂w)²

__all__ = ["SGD", "CosineSchedule", "LossScale", "PlateauSchedule", "PolySchedule", "StepSchedule", "WarmUp"]


class SGD:
    """Krizhevsky et al. 2012, §5:

    v ← momentum · v − weight_decay · lr · w − lr · ∂L/∂w;  w ← w + v

    The rate stands inside the velocity: a lower rate does not shrink the velocity already there, as it would with
    PyTorch's rule v ← momentum · v + g, w ← w − lr · v.

    named_parameters: as from ``model.named_parameters()``; or ``model.parameters()``, a dict by name, the model itself.
        Those without a name are called "0", "1", ... One that is given twice is one.
    bias_lr: factor on the rate of biases (parameters of one axis, or none). decay_biases: whether weight decay acts on
        them. The paper's text treats all alike; the authors' program had 2 and False.
    rates: further factors on the rate, by the layer or the parameter itself: {"fc8": 10, "a.conv1": 0} lets fc8.weight
        and fc8.bias learn ten times as fast as the others and a.conv1.0.weight not at all. Where several fit, all
        count. Caffe calls them lr_mult.
    decays: factors on the weight decay, likewise: {"fc10": 750}. Caffe calls them decay_mult.
    lars: η, the trust coefficient of layer-wise adaptive rates for large batches, 0.001 where they were published; None
        for none. Each parameter's rate is multiplied by η · ‖w‖ / (‖∂L/∂w‖ + weight_decay · ‖w‖), see ``_trust``. The
        rate itself is then far higher than without, as 10 for AlexNet and batches of 4,096.

    Raises TypeError where something else is given, and ValueError where a number is out of range, where there is
    nothing to train, where two parameters have one name, where a rate is of none, and for what takes no gradient.
    """

    def __init__(self, named_parameters: Any, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 0.0005,
                 bias_lr: float = 1.0, decay_biases: bool = True, rates: Mapping[str, float] | None = None,
                 lars: float | None = None, decays: Mapping[str, float] | None = None):
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.bias_lr, self.decay_biases = bias_lr, flag("SGD", "decay_biases", decay_biases)
        self.lars = lars
        self.over_parts: Callable[[Squares], Squares] | None = None  # adds up those of the parts of a parameter
        self._check()
        self.parameters = _by_name(named_parameters)
        self._factors = _factors("rates", self.parameters, {} if rates is None else rates)
        self._decays = _factors("decays", self.parameters, {} if decays is None else decays)
        self.velocity: dict[str, Tensor] = {}
        for name, p in self.parameters.items():
            with p.device:
                self.velocity[name] = Tensor(np.zeros_like(p.data))

    def _check(self) -> None:
        """The numbers, which may be set at any time."""
        for name in ("lr", "momentum", "weight_decay", "bias_lr"):
            below = 1 if name == "momentum" else None  # else the velocity grows without end
            setattr(self, name, real("SGD", name, getattr(self, name), least=0, below=below))
        self.lars = None if self.lars is None else real("SGD", "lars", self.lars, above=0)

    def step(self, loss_scale: float = 1.0) -> None:
        """Move every parameter that has a gradient by its velocity. The gradients are of the loss × ``loss_scale``.

        Raises RuntimeError where no parameter has a gradient, or a graph needs one of them, and then moves none.
        """
        self._check()
        loss_scale = real("SGD", "loss_scale", loss_scale, above=0)
        moving = {name: p for name, p in self.parameters.items() if p.grad is not None}
        if not moving:
            raise RuntimeError("SGD: no parameter has a gradient: before step(), call backward() of a loss that "
                               "depends on them")
        for parameter in moving.values():
            parameter.writable()
        trust = {} if self.lars is None else self._trust(self.lars, moving, loss_scale)
        for name, parameter in moving.items():
            gradient: Any = parameter.grad
            rate = self.lr * self._factors[name] * (self.bias_lr if parameter.ndim < 2 else 1.0) * trust.get(name, 1.0)
            if self.velocity[name].device != parameter.device:
                self.velocity[name].move(parameter.device)  # the model was moved since
            with parameter.device:
                flat = [batch_last(a).reshape(-1)
                        for a in (parameter.writable(), self.velocity[name].writable(), gradient.data)]
                # rate · decay and rate · ∂L/∂w are meant; a scale that is a power of two costs no rounding
                kernel(*flat, rate / loss_scale, float(self.momentum), self._decay(name) * loss_scale)

    def _decay(self, name: str) -> float:
        """The weight decay of a parameter."""
        return self.weight_decay * self._decays[name] if self.decay_biases or self.parameters[name].ndim > 1 else 0.0

    def _trust(self, lars: float, moving: Mapping[str, Tensor], loss_scale: float) -> dict[str, float]:
        """What LARS multiplies each rate by (You, Gitman & Ginsburg 2017, "Large batch training of convolutional
        networks", eq. 6 and algorithm 1): λ = η · ‖w‖ / (‖∂L/∂w‖ + weight_decay · ‖w‖), and 1 where a norm is 0.

        Weights and biases have each their own, as in the authors' program (NVCaffe, SGDSolver::GetLocalRate), from
        which the 1 is, too. For networks with batch normalisation parameters of one axis are often left out, as in
        MoCo v3; without it they would learn at the bare rate, at which AlexNet's loss was seen to rise.
        """
        trust = {}
        for name, (w, g) in self._squares(moving).items():
            w, g = math.sqrt(w), math.sqrt(g) / loss_scale
            trust[name] = lars * w / (g + self._decay(name) * w) if w and g else 1.0
        return trust

    def _squares(self, moving: Mapping[str, Tensor]) -> Squares:
        """(Σ w², Σ (∂L/∂w)²) of each, in their precision. Where a parameter is divided, those of its parts add up."""
        sums = {}
        for name, parameter in moving.items():  # first all is launched, and only then waited for
            gradient: Any = parameter.grad
            with parameter.device:
                flat = (batch_last(a).reshape(-1) for a in (parameter.data, gradient.data))
                sums[name] = [np.einsum("i,i->", a, a) for a in flat]  # a BLAS would cut by the number of its threads
        found = {}
        for name, (w, g) in sums.items():
            with moving[name].device:
                found[name] = float(w), float(g)
        return found if self.over_parts is None else self.over_parts(found)

    def gradient_norm(self) -> float:
        """√Σ (∂L/∂w)² over all parameters, in their precision: not finite where any gradient is not."""
        if self.over_parts is not None:
            moving = {name: p for name, p in self.parameters.items() if p.grad is not None}
            return math.sqrt(sum(g for _, g in self._squares(moving).values()))
        squares: dict[Device, Any] = {}  # added up on each device, so that each is waited for once
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                with parameter.device as device:
                    flat = batch_last(parameter.grad.data).reshape(-1)
                    squares[device] = squares.get(device, 0) + np.vdot(flat, flat)
        total = 0.0
        for device, square in squares.items():
            with device:
                total += float(square)
        return math.sqrt(total)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the velocities, by the names of the parameters."""
        return {name: np.array(v.numpy(), order="C") for name, v in self.velocity.items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy in what ``state_dict`` gave. Raises ValueError, and changes nothing, where names or shapes differ, and
        TypeError where what is given is no real numbers."""
        if not isinstance(state, Mapping):
            raise TypeError(f"SGD: {type(state).__name__} is no state: give a dict of arrays by name")
        if strange := sorted(map(str, self.velocity.keys() ^ state.keys())):
            raise ValueError(f"SGD: this is the state of another model: {strange[0]} is in one of the two alone")
        arrays = {name: fitting("SGD", name, v.data, state[name]) for name, v in self.velocity.items()}
        for name, v in self.velocity.items():
            v[...] = arrays[name]


def _by_name(given: Any) -> dict[str, Tensor]:
    """Parameters by name, each once, out of all that SGD takes."""
    if hasattr(given, "named_parameters") and not isinstance(given, type):
        given = given.named_parameters()
    if isinstance(given, Mapping):
        given = given.items()
    # a set has no order, so a state by "0", "1", ... would be given to others
    if isinstance(given, (str, bytes, Tensor, set, frozenset)) or not isinstance(given, Iterable):
        raise TypeError(f"SGD: {type(given).__name__} is no list of parameters: give model.named_parameters()")
    found: dict[str, Tensor] = {}
    for i, item in enumerate(given):
        name, p = item if isinstance(item, (tuple, list)) and len(item) == 2 else (str(i), item)
        if not (isinstance(name, str) and isinstance(p, Tensor)):
            raise TypeError(f"SGD: {item!r:.60} is neither a tensor nor a pair (name, tensor): give "
                            "model.named_parameters()")
        if p.made_by or not p.requires_grad:
            why = f"was made by {p.made_by}" if p.made_by else "has no requires_grad=True"
            raise ValueError(f"SGD: parameter {name!r} {why}: it gets no gradient: give the parameters themselves, "
                             "model.named_parameters()")
        if found.get(name, p) is not p:
            raise ValueError(f"SGD: two parameters are called {name!r}: give each a name of its own")
        if not any(p is known for known in found.values()):
            found[name] = p
    if not found:
        raise ValueError("SGD: there is no parameter to train: an empty list was given, or a generator that was used "
                         "before")
    return found


def _factors(what: str, names: Iterable[str], given: Any) -> dict[str, float]:
    """The factor of each parameter, out of those of layers. what: is multiplied, rates or decays."""
    if not isinstance(given, Mapping):
        raise TypeError(f"SGD: {what} is {given!r:.60}: give a dict of factors by the names of layers, as "
                        "{'fc8': 10}")
    factors = dict.fromkeys(names, 1.0)
    for layer, factor in given.items():
        factor = real("SGD", f"{what}[{layer!r:.60}]", factor, least=0)
        own = [name for name in factors if f"{name}.".startswith(f"{layer}.")]
        if not own:
            raise ValueError(f"SGD: {what} has {layer!r:.60}, of which there is no parameter: there are "
                             f"{', '.join(list(factors)[:3])} and so on")
        factors |= {name: factors[name] * factor for name in own}
    return factors


class LossScale:
    """Keeps small gradients from vanishing in half precision, which knows no number below 6·10⁻⁸: the gradients of
    loss × factor are computed, and ``step`` takes the factor out again (Micikevicius et al. 2018, "Mixed precision
    training", §3.2).

        (loss * scale.factor).backward()
        scale.step(optimiser)

    Where a gradient is not finite, the step is left out and the factor halved; after ``patience`` steps in a row that
    were not, it is doubled. patience: None leaves the factor as it is and does not look.
    """

    def __init__(self, factor: float = 2.0**16, patience: int | None = 2000):
        self.factor, self.waited = real("LossScale", "factor", factor, above=0), 0
        self.patience = None if patience is None else whole("LossScale", "patience", patience, least=1)

    def step(self, optimiser: SGD, update: Callable[[float], None] | None = None) -> bool:
        """optimiser.step(factor), or nothing; returns which. update: what does the same in another way, as by a graph.

        Raises OverflowError where no factor of at least 1 helps.
        """
        if self.patience is not None:
            if not math.isfinite(optimiser.gradient_norm()):
                self.factor, self.waited = self.factor / 2, 0
                if self.factor < 1:
                    raise OverflowError("LossScale: the gradients are not finite though the loss is not scaled up any "
                                        f"more; the learning rate is {optimiser.lr:g}: try a tenth of it, or single "
                                        "precision")
                return False
            self.waited += 1
        (update or optimiser.step)(self.factor)
        if self.waited == self.patience:
            self.factor, self.waited = self.factor * 2, 0
        return True

    def state(self) -> dict[str, Any]:
        """Plain numbers, from which ``vars(scale).update(state)`` goes on."""
        return {"factor": self.factor, "waited": self.waited}
