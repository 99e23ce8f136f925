"""What several causes say alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .examine import Measured
from .measure import Layer

__all__ = ["after", "first", "listed", "lower", "most", "names", "redraw", "some"]


def names(layers: Sequence[Layer]) -> str:
    """The names of the first few layers."""
    return listed([layer.name for layer in layers])


def some(m: Measured, labels: Sequence[int]) -> str:
    """The names of the first few classes."""
    return listed([m.names[k] for k in labels])


def listed(texts: Sequence[str]) -> str:
    return ", ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")


def first(m: Measured) -> float:
    """The first loss, as cross-entropy: of the run, or, where it has not begun, of the network as it is."""
    return m.costs[0] if m.costs else m.loss


def most(m: Measured) -> str:
    """The highest loss, in words."""
    return f"{max(m.history):.3g}" if np.isfinite(m.history).all() else "no number"


def after(m: Measured) -> str:
    """What became of the loss, in words."""
    if not m.history:
        return ""
    recent = float(np.mean(m.history[-20:]))
    return (f"; the loss began at {m.history[0]:.3g}, was {most(m)} at most, and is "
            f"{f'{recent:.3g}' if np.isfinite(recent) else 'none'}")


def lower(m: Measured) -> str:
    """A tenth of the rate, and no more than the paper's, where the loss along a line says nothing any more."""
    return f"--lr {min(m.optimiser.lr / 10, 0.01):.2g} (optimiser.lr)" if m.optimiser else "a tenth of the rate"


def redraw(m: Measured) -> str:
    """Weights to start from."""
    return "--recipe small (initialise() with σ = √(2 / fan-in), biases of 0)"
