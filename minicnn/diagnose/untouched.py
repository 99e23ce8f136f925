"""What is tried and leaves no trace: the same bits of weights, velocities, gradients and random states after it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn.hooks import eval_mode
from ..nn.module import Module
from ..optim import SGD

__all__ = ["untouched"]

RULE = ("lr", "momentum", "weight_decay")  # of the optimiser, that are changed to see what would be


def _containers(own: Any) -> Iterator[Any]:
    """A dict or list, and those in it."""
    yield own
    for value in own.values() if isinstance(own, dict) else own:
        if type(value) in (dict, list):
            yield from _containers(value)


@contextmanager
def untouched(model: Module, optimiser: SGD | None = None) -> Iterator[Callable[[], None]]:
    """Puts back at the end, and whenever what it gives is called, what forward, backward and step change: parameters,
    state such as the counters of dropout, attributes of layers that become others, gradients (the very tensors that
    were there), modes, velocities, the rule of the optimiser, and random states: of generators that layers hold, of
    NumPy and of Python. Inside, the model is as at test."""
    tensors = [(t, t.numpy().copy(), t.grad) for _, t in model._named(Tensor)]
    arrays = [(array, array.copy()) for _, array in model._named(np.ndarray)]
    attributes = [(own, own.copy()) for layer in model.modules() for own in _containers(vars(layer))]
    velocities = [(v, v.numpy().copy()) for v in optimiser.velocity.values()] if optimiser else []
    rule = {name: getattr(optimiser, name) for name in RULE} if optimiser else {}
    drawn = [(g.bit_generator, g.bit_generator.state) for layer in model.modules() for g in vars(layer).values()
             if isinstance(g, np.random.Generator)]
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 - a layer may draw from it

    def put_back() -> None:
        for own, kept in attributes:
            if isinstance(own, list):
                own[:] = kept
                continue
            own.update(kept)
            for name in own.keys() - kept.keys():
                del own[name]
        with no_grad():
            for tensor, before, gradient in tensors:
                tensor[...] = before
                tensor.grad = gradient
            for velocity, before in velocities:
                velocity[...] = before
        for array, before in arrays:
            array[...] = before
        for name, value in rule.items():
            setattr(optimiser, name, value)
        for bits, state in drawn:
            bits.state = state
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)
        for layer in model.modules():
            layer.training = False

    with eval_mode(model):
        try:
            yield put_back
        finally:
            put_back()
