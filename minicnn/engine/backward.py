"""The graph that ops leave behind, and the walk back through it: reverse-mode differentiation."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .memory import Array, in_engine_order
from .observers import observers

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["GradientShapeError", "Node", "Pullback", "needed_by", "walk_back"]

Pullback: TypeAlias = Callable[[Array], Array]
"""Takes the gradient of an op's output to that of one of its inputs: a vector-Jacobian product."""


class Node:
    """What is remembered of a tensor that an op made.

    It knows not the tensor's array: of that, the graph holds what gradient functions need, and nothing else.
    """

    __slots__ = ("__weakref__", "age", "device", "dtype", "gradients", "inputs", "made_by", "shape")

    def __init__(self, made_by: str, tensor: Tensor, inputs: tuple[Node | Tensor, ...],
                 gradients: tuple[Pullback, ...]):
        self.made_by = made_by  # the name of the op
        self.inputs: tuple[Node | Tensor, ...] | None = inputs  # that need a gradient; None once backward freed them
        self.gradients = gradients  # as many
        self.age, self.device, self.dtype, self.shape = tensor.age, tensor.device, tensor.dtype, tensor.shape


def walk_back(start: Node | Tensor, seed: Array) -> list[tuple[Tensor, Array]]:
    """(leaf, ∂L/∂leaf) of every leaf that requires a gradient, where seed is ∂L/∂start. Frees the graph on the way.

    A tensor is younger than its inputs, so from the youngest to the oldest is an order in which each is met only after
    all that was computed from it. A heap hands out the youngest of those that wait: no recursion. Where somebody looks
    on, a leaf need not wait for its turn: its gradient is whole once the graph of all that was computed from it is
    freed.

    Raises RuntimeError where the graph was freed before.
    """
    flow: dict[Node | Tensor, Array] = {start: seed}  # the gradient that has reached each tensor so far
    waiting = [(-start.age, start)]
    leaves: list[tuple[Tensor, Array]] = []

    def whole(leaf: Tensor) -> None:
        with leaf.device:
            leaves.append((leaf, _fitting(flow.pop(leaf), leaf)))
        for observer in observers:
            observer.leaf_done(*leaves[-1])

    while waiting:
        node = heapq.heappop(waiting)[1]
        if node not in flow:
            continue  # a leaf, whole since long
        if not isinstance(node, Node):
            whole(node)
            continue
        if node.inputs is None:
            raise RuntimeError(f"backward: the graph behind this result of {node.made_by} was freed by an earlier "
                               "backward(): compute it again, or add the losses and call backward() once")
        with node.device:
            g = _fitting(flow.pop(node), node)
            for x, pullback in zip(node.inputs, node.gradients, strict=True):
                part = pullback(g)
                for observer in observers:
                    observer.gradient_done(node, x, part)
                if not x.made_by and x.device == node.device and np.may_share_memory(part, g):
                    part = part.copy(order="K")  # a leaf keeps its gradient, so nobody else may hold it
                if part.shape != x.shape:
                    raise GradientShapeError(part, x)  # before a sum can hide it
                if x in flow:
                    with x.device:
                        flow[x] = flow[x] + part  # a tensor used twice gets the sum: the multivariate chain rule
                else:
                    flow[x] = part
                    heapq.heappush(waiting, (-x.age, x))
        sources, node.inputs, node.gradients = node.inputs, None, ()
        for observer in observers:
            observer.graph_freed(node)
        for x in sources if observers else ():
            if x in flow and not isinstance(x, Node) and _has_come_together(x):
                whole(x)
    return leaves


def needed_by(leaf: Tensor) -> Node | None:
    """Something that was computed from a leaf, and has yet to go backward."""
    return next((user for user in leaf._users if user.inputs), None)


def _has_come_together(leaf: Tensor) -> bool:
    try:
        return needed_by(leaf) is None
    except RuntimeError:  # another thread computes from it, just now
        return False


class GradientShapeError(ValueError):
    """What a pullback returned has not the shape of the tensor that it reached."""

    def __init__(self, gradient: Array, tensor: Node | Tensor):
        super().__init__(f"backward: a gradient of shape {gradient.shape} reached a tensor of shape {tensor.shape}, "
                         f"{'made by ' + tensor.made_by if tensor.made_by else 'a leaf'}: the two must be the same")
        self.gradient, self.tensor = gradient, tensor


def _fitting(g: Array, tensor: Node | Tensor) -> Array:
    if g.shape != tensor.shape:
        raise GradientShapeError(g, tensor)
    return in_engine_order(g.astype(tensor.dtype, copy=False))
