"""Who looks on while tensors are computed: a trace, a table of layers, a picture of activations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backward import Node
    from .memory import Array
    from .tensor import Tensor

__all__ = ["Observer", "observe", "observers"]


class Observer:
    """Its methods are called with what is computed in its thread, inside of ``with observe(observer):``. Those that are
    not written do nothing. None of them may write into a tensor."""

    def op_done(self, op: str, output: Tensor, inputs: list[Tensor]) -> None:
        """An op of this name computed ``output`` from ``inputs``."""

    def gradient_done(self, node: Node | Tensor, source: Node | Tensor, gradient: Array) -> None:
        """A pullback took the gradient of what ``node`` stands for to one of its inputs, ``source``."""

    def leaf_done(self, leaf: Tensor, gradient: Array) -> None:
        """All of a leaf's gradient has come together, in the engine's memory order: backward() is going to add just
        this array to ``leaf.grad``, or to let it be that."""

    def graph_freed(self, node: Node | Tensor) -> None:
        """backward() let go of all that the gradients of ``node`` needed."""

    def layer_done(self, layer: Any, output: Tensor) -> Tensor | None:
        """A layer was called, those inside of it before. A tensor that is returned takes the place of its output."""
        return None


class _Observers(threading.local):
    """A list of which every thread has its own."""

    def __init__(self) -> None:
        self._list: list[Observer] = []
        self.append, self.remove = self._list.append, self._list.remove

    def __iter__(self) -> Iterator[Observer]:
        return iter(self._list)

    def __len__(self) -> int:
        return len(self._list)


observers = _Observers()


class observe:
    """``with observe(observer):`` its methods are called with all that this thread computes."""

    def __init__(self, observer: Observer):
        self.observer = observer

    def __enter__(self) -> None:
        observers.append(self.observer)

    def __exit__(self, *error: object) -> None:
        observers.remove(self.observer)
