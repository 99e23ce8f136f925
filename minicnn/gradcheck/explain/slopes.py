"""A slope that is forgotten along a function, and a maximum whose gradient goes to all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .chain import Edge, fitted
from .found import Found
from .kinds import BENT, LARGEST, MOVED, PRODUCTS
from .moves import not_undone
from .record import put

if TYPE_CHECKING:
    from .ways import Ways

__all__ = ["Slope", "slope_lost", "slopes"]

Slope = Callable[[np.ndarray, Edge], np.ndarray]  # from what comes back to a call, what comes back along an edge


def slope_lost(w: Ways, n: int) -> Iterator[Found]:
    """All that is between the input and call n is taken to have a slope of 1."""
    back = w.right.get(n)
    if back is None or back.shape != w.aim.right.shape or w.name(n) in MOVED:
        return
    if any(edge.own_slope(w.chain.values[n].shape) is None for edge in w.into(n)):
        return
    rest = w.without(w.into(n))
    c = w.aim.times(back, w.aim.gradient - rest)
    if c and not w.aim.nothing(w.aim.right - rest - back):
        times = f", and there is a factor {c:.6g}" if c != 1 else ""
        what, name = ("mask", "mask forgotten") if w.name(n) in BENT else ("slope", "factor missing")
        yield Found(name, f"the {what} of `{w.words.of(n)}` is missing, by the chain rule a factor{times}",
                    1.5 + 0.3 * (c != 1))  # fmt: skip


def slopes(w: Ways, edge: Edge) -> Iterator[tuple[Slope, str, str]]:
    """(what comes back along an edge with another slope, what is wrong then, the name of it)."""
    call, name, text = w.tape.calls[edge.by], w.name(edge.by), w.words.of(edge.by)
    yield from not_undone(w, edge)
    if name in MOVED or call.function is put:
        return
    others = [n for n in dict.fromkeys(call.sources) if n != edge.of]

    def dropped(part: np.ndarray, e: Edge) -> np.ndarray:
        return spread(w.chain.last[e.by], part.shape, w.tape.calls[e.by])

    def shared(part: np.ndarray, e: Edge) -> np.ndarray:
        return dropped(part, e) * w.tape.calls[e.by].value.size / part.size

    def halved(part: np.ndarray, e: Edge) -> np.ndarray:
        return 0.5 * dropped(part, e)

    if name in ("maximum", "minimum") and others:
        yield halved, f"of `{text}` each gets half of the gradient, and not the larger all of it", "window shared out"
    if name in LARGEST:
        yield dropped, f"of `{text}` all get the gradient, and not the largest alone", "window shared out"
        yield shared, f"of `{text}` all get a share of the gradient, and not the largest all of it", "window shared out"
    elif name in BENT:
        yield dropped, f"the mask of `{text}` is missing: the gradient goes back to all alike", "mask forgotten"
    elif name in ("multiply", "divide", "true_divide") and others:
        mask = bool(np.isin(w.chain.values[others[0]], (0, 1)).all())
        what = f"`{'1 / ' * (name != 'multiply')}{w.words.of(others[0])}`"
        yield (dropped, f"the {'mask' if mask else 'factor'} {what} of `{text}` is missing",
               "mask forgotten" if mask else "factor missing")  # fmt: skip
    elif name in PRODUCTS and others:
        yield dropped, f"the factor `{w.words.of(others[0])}` of `{text}` is missing", "factor missing"
    elif not edge.apart and not edge.pull and edge.slope.shape[0] == edge.slope.shape[1]:
        yield dropped, f"of `{text}` each element gets what comes from its own place alone", "term missing"
    else:
        yield dropped, f"the slope of `{text}` is missing, by the chain rule a factor", "factor missing"


def spread(gradient: np.ndarray, shape: tuple[int, ...], call: Any) -> np.ndarray:
    """A gradient of a call's value as that of what it takes, as if the slope were 1."""
    nothing = np.full(shape, np.nan)
    try:
        if gradient.size >= int(np.prod(shape)) and gradient.ndim >= len(shape):
            return fitted(gradient, shape).reshape(shape)
        axes = call.settings.get("axis", call.args[1] if len(call.args) > 1 else None)
        if axes is not None and gradient.ndim < len(shape):
            gradient = np.expand_dims(gradient, axes)
        return np.broadcast_to(gradient, shape)
    except (ValueError, TypeError):
        return nothing
