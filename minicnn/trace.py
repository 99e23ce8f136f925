"""What happened, step by step: every op forwards, every gradient backwards.

    with minicnn.trace(net) as t:
        loss = ops.cross_entropy(net(images), labels)
        loss.backward()

    print(t)
    t.to_html("backprop.html")
"""

from __future__ import annotations

import base64
import inspect
import io
import json
import math
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import ops
from .engine.backward import Node
from .engine.kept import pieces, whole_of
from .engine.memory import Array
from .engine.observers import Observer, observers
from .engine.tensor import Tensor
from .layout import table, tiled
from .nn.module import Module

__all__ = ["Step", "trace"]

LIBRARIES = str(Path(__file__).parent), str(Path(np.__file__).parent)  # np.errstate stands around backward
SHOWN, TILE = 16, 48  # channels of a picture of an array, and pixels along the longer side of each


@dataclass
class Step:
    """One op forwards, or one gradient backwards.

    way: "forward" or "backward".  op: its name.  node: what it made, or whose gradient goes back, counted as they
    came.  inputs: nodes, of a backward step the one input that the gradient goes to; −1 is a leaf.  name: of the layer
    whose op it is, or of the parameter that the gradient goes to.  where: the line of the user's code.
    shape, dtype, device: of the result.  seconds: since the step before it ended, all that Python did included; a GPU
    is waited for.  norm, mean, least, most, zeros: of the result, zeros as a share.
    kept: bytes that the graph keeps for the gradients of this op and kept for none before.  freed: bytes that the graph
    let go after this step.  moved: bytes that went from device to device.
    """

    way: str
    op: str
    node: int
    inputs: list[int]
    name: str
    where: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    seconds: float
    norm: float
    mean: float
    least: float
    most: float
    zeros: float
    kept: int = 0
    freed: int = 0
    moved: int = 0
    picture: str = ""  # a PNG, in base64


class trace(Observer):
    """``with trace() as t:`` records what ops and ``backward()`` do; ``t.steps`` are the steps.

    model: gives the layers and parameters their names. What was computed before is known by its name and shape alone.
    Every result is looked at, which takes time, and waits for GPUs; while nothing is traced nothing is lost. What other
    threads compute is not seen.
    """

    def __init__(self, model: Module | None = None):
        self.steps: list[Step] = []
        if not (model is None or isinstance(model, Module)):
            raise TypeError(f"trace: {type(model).__name__} is no Module: give the model whose layers have names, or "
                            "nothing")
        self._names = {id(module): name for name, module in model.named_modules()} if model is not None else {}
        self._leaves = {id(p): name for name, p in model.named_parameters()} if model is not None else {}
        self._nodes: dict[int, int] = {}  # of what was made, by its age, which nothing else has
        self._layer: dict[int, str] = {}  # of a node
        self._kept: dict[int, list[int]] = {}  # what a node keeps: pieces of memory
        self._held: Counter[int] = Counter()  # by how many nodes a piece is kept
        self._bytes: dict[int, int] = {}

    def __enter__(self) -> trace:
        observers.append(self)
        self._clock, self._moved = time.perf_counter(), ops.ledger.total()
        return self

    def __exit__(self, *error: Any) -> None:
        observers.remove(self)

    # -- what the engine calls -----------------------------------------------------------------------------------------

    def op_done(self, op: str, result: Tensor, inputs: list[Tensor]) -> None:
        """An op computed ``result``."""
        known = [self._nodes.get(x.node.age, -1) for x in inputs]
        node = self._number(result.node)
        step = self._step("forward", op, node, known, result._array, result)
        leaves = {id(whole_of(x._array)) for x in inputs if not x.made_by}  # would be there without the graph
        for array in pieces(result.node.gradients):
            piece, size = id(array), array.nbytes
            if piece in leaves:
                continue
            if piece not in self._held:
                step.kept += size
            self._bytes[piece] = size
            self._held[piece] += 1
            self._kept.setdefault(node, []).append(piece)

    def gradient_done(self, result: Node | Tensor, x: Node | Tensor, gradient: Array) -> None:
        """A gradient came from ``result`` to its input x."""
        to = self._number(x) if x.made_by else -1
        step = self._step("backward", result.made_by, self._number(result), [to], gradient, x)
        step.name = self._leaves.get(id(x)) or self._layer.get(step.node, "")

    def graph_freed(self, result: Node | Tensor) -> None:
        """The graph let go of what the gradients of ``result`` needed."""
        for piece in self._kept.pop(self._number(result), []):
            self._held[piece] -= 1
            if not self._held[piece]:
                self.steps[-1].freed += self._bytes[piece]
                del self._held[piece]

    def layer_done(self, layer: Module, result: Tensor) -> None:
        """The layer whose ops are the last steps gives them its name."""
        last = self.steps[-1] if self.steps else None
        if last and last.node == self._nodes.get(result.node.age) and not last.name and not list(layer.children()):
            last.name = self._layer[last.node] = self._names.get(id(layer), type(layer).__name__)

    def _number(self, node: Node | Tensor) -> int:
        return self._nodes.setdefault(node.age, len(self._nodes))

    def _step(self, way: str, op: str, node: int, inputs: list[int], array: Array, about: Node | Tensor) -> Step:
        values = about.device.numpy(array)  # waits for a GPU
        seconds, moved = time.perf_counter() - self._clock, ops.ledger.total() - self._moved
        norm = mean = least = most = zeros = math.nan
        if values.size:
            real = values.astype(np.float64, copy=False)
            norm, mean, least, most = (float(x) for x in (np.linalg.norm(real), real.mean(), real.min(), real.max()))
            zeros = float(np.mean(values == 0))
        step = Step(way, op, node, inputs, "", _where(), values.shape, str(values.dtype), repr(about.device), seconds,
                    norm, mean, least, most, zeros, moved=moved, picture=_picture(values))
        self.steps.append(step)
        self._clock, self._moved = time.perf_counter(), ops.ledger.total()
        return step

    # -- what it tells -------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        head = ["step", "way", "op", "name", "where", "shape", "device", "ms", "norm", "kept", "freed", "moved"]
        rows = [[str(i), s.way, s.op, s.name, s.where, " × ".join(map(str, s.shape)) or "number", s.device,
                 f"{1e3 * s.seconds:.2f}", f"{s.norm:.4g}",
                 *(f"{n:,}" if n else "" for n in (s.kept, s.freed, s.moved))] for i, s in enumerate(self.steps)]
        sums = [sum(getattr(s, name) for s in self.steps) for name in ("kept", "freed", "moved")]
        rows.append(["", "", "all", "", "", "", "", f"{1e3 * sum(s.seconds for s in self.steps):.2f}", "",
                     *(f"{n:,}" for n in sums)])
        return table([head, *rows], right=(0, 7, 8, 9, 10, 11))

    def to_html(self, path: str | Path) -> None:
        """Write one page that needs no other file and no network: the graph, and a slider that plays every step.

        Raises OSError where it cannot be written, and ValueError where nothing was traced.
        """
        if not self.steps:
            raise ValueError("trace: nothing was traced: compute something, or go backward, inside of `with trace():`")
        formulas = {op: inspect.getdoc(getattr(ops, op, None)) or "" for op in {s.op for s in self.steps}}
        steps = [{name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in vars(s).items()}
                 for s in self.steps]  # JSON knows no NaN
        data = json.dumps({"steps": steps, "formulas": formulas}, allow_nan=False)
        page = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
        Path(path).write_text(page.replace("__DATA__", data.replace("<", "\\u003c")), encoding="utf-8")


def _where() -> str:
    """file.py:line of the innermost frame that is neither minicnn's nor NumPy's."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(LIBRARIES):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _picture(values: np.ndarray) -> str:
    """The first image's channels side by side, or the numbers of a matrix: a PNG, in base64. Black is the least, white
    the most; what is larger than TILE is thinned out."""
    from PIL import Image

    if not values.size or values.ndim == 0:
        return ""
    tiles = values[0, :SHOWN] if values.ndim == 4 else values.reshape(1, -1, values.shape[-1]) if values.ndim > 1 else (
        values.reshape(1, 1, -1))
    by = max(1, -(-max(tiles.shape[1:]) // TILE))
    tiles = tiles[:, ::by, ::by].astype(np.float64)
    finite = tiles[np.isfinite(tiles)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    tiles = np.nan_to_num((tiles - low) / (high - low or 1.0), nan=1.0, posinf=1.0, neginf=0.0).clip(0, 1)
    grid = tiled(tiles, math.ceil(math.sqrt(len(tiles))), between=0.5)[:-1, :-1]
    png = io.BytesIO()
    Image.fromarray((255 * grid).astype(np.uint8)).save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode()
