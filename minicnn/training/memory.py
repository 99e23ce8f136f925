"""How much memory a step of training takes, told before it is taken: from what the graph of one image keeps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minicnn.kernels import convolution

from ..engine.backward import Node
from ..engine.device import Device
from ..engine.kept import pieces, whole_of
from ..engine.memory import batch_last
from ..engine.mode import no_grad
from ..engine.observers import Observer, observe
from ..engine.tensor import Tensor
from ..nn import Conv2d, Module
from ..ops import cross_entropy
from ..ops.window import Windows

__all__ = ["Need", "predicted"]

VIEWS = ("concatenate", "flatten", "reshape", "transpose")  # a gradient goes back through them where it lies
PASSING = {"map_response_norm": 3}  # arrays, as large as its output, that an op takes for a while besides


class Need(NamedTuple):
    """Bytes on a device at the widest moment of a step: weights and velocities; gradients of weights; the batch, as the
    loader gave it; what backward keeps; what is on its way, with scratch of convolutions."""

    weights: int
    gradients: int
    batch: int
    kept: int
    passing: int

    @property
    def total(self) -> int:
        return sum(self)


@dataclass
class Did:
    """An op of one image: what it made and where, all arrays that it saw, those that the graph keeps for it, and bytes
    that it takes for a while besides, forwards or for the gradient of an input."""

    made: Node | Tensor
    device: Device
    seen: list[int]
    kept: list[int]
    scratch: Callable[[Any], int]  # of None, or the input


def _place_of(device: Device) -> str:
    """Whose memory that is: all devices of the processor have one."""
    return "processor" if device.kind == "cpu" else repr(device)


def predicted(model: Module, shape: tuple[int, ...], batch_size: int, like: Any = None) -> dict[str, Need]:
    """What a step of SGD takes on each device, from its second time on; shape: of an image. By place: "processor", or
    the name of a GPU. like: one number, float32, on a GPU: what is told then is what the model, which is
    on the processor, would take there; its devices, cpu(0) and cpu(1), are two such GPUs.

    At each moment of the step that is

        2 w + g + 2 x + Σ kept + Σ passing

    w: the weights, as much as their velocities.  g: the gradients of the weights: those of the step before while it
    goes forward, and of those layers that are done while it goes back.  x: the batch, as it was given and as the model
    took it (this second one is counted as kept, from the layer on that keeps it).  kept: every array once that a
    gradient function still needs: a convolution and a linear layer their input, ReLU its output, LRN its input, which
    is that output where the two follow each other, pooling one byte for each output; of all layers where forward ends,
    and of fewer and fewer while it goes back.  passing: what an op reads and writes and nobody keeps; backwards the
    gradient that comes to it, the one that leaves it, and those that wait; and scratch of convolutions
    (``kernels.convolution.scratch``). The widest moment counts: the end of forward, or the way back through the first
    layers.

    What is kept is not listed by hand, but asked of the graph of one image; all but the weights is as many times as
    large for a batch. So it holds for any model, and for half precision. Counters of dropout stay as they were.

    Held against what tracemalloc and the process say (tests/test_plan.py): within a hundredth for batches that are
    large beside the scratch of convolutions, of which not every core takes its most at the same moment.
    """
    state = [(t, t.copy()) for _, t in model._named(Tensor) if not t.requires_grad]
    model.train()
    place_of = _place_of if like is None else repr
    watch = Watch([t for _, t in model._named(Tensor)], batch_size, place_of, like)
    with observe(watch):
        cross_entropy(model(np.zeros((1, *shape), np.float32)), [0])
    with no_grad():
        for tensor, before in state:
            tensor[...] = before
    own: Counter[str] = Counter()
    for parameter in model.parameters():
        own[place_of(parameter.device)] += parameter.data.nbytes
    given = batch_size * 4 * math.prod(shape)
    first = watch.did[0].device
    widest: dict[str, Need] = {}
    for gradients, kept, passing in (*watch.forward(own), *watch.backward()):
        for place, weights in own.items():
            need = Need(2 * weights, gradients[place], given * (place == place_of(first)), kept[place], passing[place])
            widest[place] = max(widest.get(place, need), need, key=lambda one: one.total)
    return widest


Moment = tuple[Counter[str], Counter[str], Counter[str]]  # bytes of gradients, kept, passing


class Watch(Observer):
    """Looks on while one image goes forward, and says what is alive at each moment with so many."""

    def __init__(self, parameters: list[Tensor], batch_size: int, place_of: Callable[[Device], str], like: Any):
        self.batch_size, self.place_of, self.like = batch_size, place_of, like
        self.did: list[Did] = []
        self.arrays: dict[int, Any] = {}  # by their id, which nobody else gets while they are here
        self.places: dict[int, str] = {}
        self.fixed = {id(whole_of(p._array)) for p in parameters}  # as large for any batch
        self.fixed_nodes: set[Node | Tensor] = set(parameters)
        self.there = set(self.fixed)  # and would be there without a step

    def op_done(self, op: str, output: Tensor, inputs: list[Tensor]) -> None:
        arrays = [whole_of(t._array) for t in (*inputs, output)]
        keeps = list(pieces(getattr(output.node, "gradients", ())))
        for array in (*arrays, *keeps):
            self.arrays[id(array)] = array
            self.places.setdefault(id(array), self.place_of(output.device))
        if all(id(whole_of(x._array)) in self.fixed for x in inputs):
            self.fixed |= {id(arrays[-1]), *map(id, keeps)}
            self.fixed_nodes.add(output.node)
        passing = PASSING.get(op, 0) * output._array.nbytes * self.batch_size
        self.did.append(Did(output.node, output.device, [*map(id, arrays)], [*map(id, keeps)], lambda x: passing))
        if op == "conv2d":
            self.convolved = inputs

    def layer_done(self, layer: Any, output: Tensor) -> None:
        if isinstance(layer, Conv2d):
            x, w = self.convolved[:2]
            windows = Windows.on("conv2d", x.shape[2:], w.shape[2:], layer.stride, layer.padding)
            geometry = convolution.Geometry(layer.groups, windows.P, windows.Q, *windows.steps)
            image = batch_last(x._array)
            like = image[:1, :1, :1, :1] if self.like is None else self.like.reshape(1, 1, 1, 1)
            images = np.broadcast_to(like, (*image.shape[:3], self.batch_size))
            self.did[-1].scratch = partial(_scratch, images, batch_last(w._array).shape, geometry,
                                           {None: "forward", x.node: "image", w.node: "weight"})

    def forward(self, own: Counter[str]) -> Iterator[Moment]:
        """The moments of the way to the loss. own: bytes of the parameters."""
        last = {array: i for i, did in enumerate(self.did) for array in did.seen}
        born: dict[int, int] = {}
        for i, did in enumerate(self.did):
            for array in (*did.seen, *did.kept):
                born.setdefault(array, i)
        keeps = {array for did in self.did for array in did.kept}
        for i, did in enumerate(self.did):
            alive = {a for a, begun in born.items() if begun <= i and (a in keeps or last[a] >= i)} - self.there
            passing = self._bytes(alive - keeps)
            passing[self.place_of(did.device)] += did.scratch(None)
            yield own, self._bytes(alive & keeps), passing

    def backward(self) -> Iterator[Moment]:
        """The moments of the way back: as ``engine.backward.walk_back`` walks it."""
        by_node = {did.made: did for did in self.did if isinstance(did.made, Node)}
        held = Counter(array for did in by_node.values() for array in did.kept if array not in self.there)
        done: Counter[str] = Counter()
        flow: dict[Any, list[_Gradient]] = {}  # those that reached a node; one may be seen from several
        for node in sorted(by_node, key=lambda node: -node.age):
            did, coming = by_node[node], flow.pop(node, [])
            for x in node.inputs or ():
                seen = coming and node.made_by in VIEWS
                part = coming[0] if seen else _Gradient(self.place_of(x.device), self._size(x))
                waiting = flow.setdefault(x, [])
                sums = [*waiting, _Gradient(part.place, part.bytes)] if waiting else []
                alive = {id(one): one for some in (coming, [part], sums, *flow.values()) for one in some}
                passing: Counter[str] = Counter()
                for one in alive.values():
                    passing[one.place] += one.bytes
                passing[self.place_of(did.device)] += did.scratch(x)
                yield done.copy(), self._bytes(held), passing
                if x in self.fixed_nodes and not x.made_by:
                    done[part.place] += part.bytes  # a parameter keeps its gradient
                    del flow[x]
                else:
                    flow[x] = sums[-1:] or [part]
            held -= Counter(array for array in did.kept if array not in self.there)

    def _bytes(self, arrays: Any) -> Counter[str]:
        total: Counter[str] = Counter()
        for array in arrays:
            total[self.places[array]] += self.arrays[array].nbytes * (1 if array in self.fixed else self.batch_size)
        return total

    def _size(self, x: Node | Tensor) -> int:
        return math.prod(x.shape) * x.dtype.itemsize * (1 if x in self.fixed_nodes else self.batch_size)


@dataclass
class _Gradient:
    place: str
    bytes: int


def _scratch(image: Any, w: tuple[int, ...], geometry: convolution.Geometry, ways: dict[Any, str], x: Any) -> int:
    return convolution.scratch(ways[x], image, w, geometry) if x in ways else 0  # the bias takes none
