"""What a gradient may lack as a factor or a term."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from .edits import View, varies
from .program import Get, Make

__all__ = ["inside", "makers"]

Maker = tuple[str, Make, bool, int]  # text, value, whether a mask, and of which call, or −1


def makers(view: View, n: int, shape: tuple[int, ...], before: int) -> Iterator[Maker]:
    """What may stand beside a value as a factor or a term."""
    for new in view.candidates:
        value = view.values[new]
        if new < max(before, view.tape.gy) and new != n:
            if inside(value.shape, shape):
                yield view.text(new), partial(reshaped, new, value.shape), view.is_mask(new), new
            if value.ndim < len(shape) and value.shape == shape[: value.ndim]:
                wide = (*value.shape, *(1,) * (len(shape) - value.ndim))
                yield view.text(new), partial(reshaped, new, wide), view.is_mask(new), new
    for leaf in view.tape.leaves:
        x, text = view.values[max(leaf, 0)], view.text(max(leaf, 0))
        if leaf >= 0 and x.dtype.kind == "f" and x.shape == shape:
            made = {f"{text}.mean({a})": x.mean(a, keepdims=True) for a in range(x.ndim)}
            made |= {f"log({text})": np.log(np.abs(x)), f"exp({text})": np.exp(x)}
            yield from ((what, partial(constant, m), False, -1) for what, m in made.items() if np.isfinite(m).all())
    for edge in view.chain.edges:
        slope = edge.own_slope(view.values[edge.by].shape)
        if slope is None or not varies(slope):
            continue
        if slope.ndim < len(shape) and slope.shape == shape[: slope.ndim]:
            slope = slope.reshape(*slope.shape, *(1,) * (len(shape) - slope.ndim))
        if inside(slope.shape, shape):
            mask = bool(np.isin(np.round(slope, 6), (0, 1)).all())
            text = f"slope of {view.text(edge.by)} in {view.text(edge.of)}"
            yield text, partial(constant, np.round(slope) if mask else slope), mask, -1


def reshaped(n: int, shape: tuple[int, ...], get: Get) -> Any:
    return np.reshape(get(n), shape)


def constant(x: np.ndarray, get: Get) -> np.ndarray:
    return x


def inside(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether an array of the one shape is broadcast to the other."""
    try:
        return np.broadcast_shapes(small, large) == large
    except ValueError:
        return False
