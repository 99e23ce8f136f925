"""The graph that the engine has noted down, for scenes/graph.js: numbers, slopes, and the order of the walk."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn import Tensor
from minicnn.engine.backward import Node
from minicnn.engine.observers import Observer, observe

__all__ = ["walked"]


class Seen(Observer):
    """The value of every node, and what went back over every edge."""

    def __init__(self) -> None:
        self.values: dict[Node | Tensor, float] = {}
        self.shares: list[tuple[int, int, float]] = []

    def op_done(self, op: str, output: Tensor, inputs: list[Tensor]) -> None:
        self.values[output.node] = output.item()

    def gradient_done(self, node: Node | Tensor, source: Node | Tensor, gradient: Any) -> None:
        self.shares.append((node.age, source.age, gradient.item()))


def walked(function: Callable[..., Tensor], *leaves: float) -> dict[str, Any]:
    """What minicnn does for y = function(*leaves), all of them numbers, and then for y.backward().

    values: of all numbers, oldest first, the leaves before all others. edges: [from, to, slope] of each use of a number
    by another, in the order in which backward walks them, where slope is ∂to/∂from, as the tape's pullback has it.
    added: what has reached ``from`` over each edge, and the sum that it has then, [share, sum], where shares are added;
    replaced: the same where a share takes the place of the one before it, as `=` does for `+=`.
    """
    seen, inputs = Seen(), [Tensor(np.float64(leaf), requires_grad=True) for leaf in leaves]
    with observe(seen):
        y = function(*inputs)
    nodes = sorted({**dict.fromkeys(inputs), **seen.values}, key=lambda node: node.age)
    place = {node: i for i, node in enumerate(nodes)}
    slopes = {node: [pullback(np.ones(())).item() for pullback in node.gradients]
              for node in nodes if isinstance(node, Node)}  # fmt: skip
    edges, walks = [], {}
    for kind in ("added", "replaced"):
        flow, waiting, walks[kind], edges = {y.node: 1.0}, [(-y.age, y.node)], [], []
        while waiting:
            node = heapq.heappop(waiting)[1]
            g = flow.pop(node)
            for x, slope in zip(_inputs(node), slopes.get(node, []), strict=True):
                if x not in flow:
                    heapq.heappush(waiting, (-x.age, x))
                flow[x] = g * slope + (flow.get(x, 0.0) if kind == "added" else 0.0)
                edges.append([place[x], place[node], slope])
                walks[kind].append([g * slope, flow[x]])
    with observe(seen):
        y.backward()
    ages = [node.age for node in nodes]
    added = list(zip(edges, walks["added"], strict=True))
    assert [(ages[to], ages[at], share) for (at, to, _), (share, _) in added] == seen.shares
    last = {at: total for (at, _, _), (_, total) in added}
    assert [last[place[leaf]] for leaf in inputs] == [leaf.grad.item() for leaf in inputs]
    values = [*leaves, *(seen.values[node] for node in nodes[len(leaves) :])]
    return {"values": values, "edges": edges, **walks}


def _inputs(node: Node | Tensor) -> Sequence[Node | Tensor]:
    return (node.inputs or ()) if isinstance(node, Node) else ()
