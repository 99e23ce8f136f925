"""Hooks, which see and may replace what layers give, and a mode that ends by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine.observers import Observer, observe
from ..engine.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

__all__ = ["eval_mode", "forward_hook", "replaced"]

Hook = Callable[[Any, Tensor], "Tensor | None"]


class forward_hook(observe):
    """``with forward_hook(hook):`` calls hook(layer, output) after every call of a layer in this thread, the inner ones
    first. A tensor that it returns takes the place of the output.

    It is not called for a layer whose output is no tensor but, say, a tuple of them.
    """

    def __init__(self, hook: Hook):
        observer = Observer()
        observer.layer_done = hook  # type: ignore[method-assign, assignment]
        super().__init__(observer)


class eval_mode:
    """``with eval_mode(model):`` it behaves as at test, and afterwards each layer as it did before."""

    def __init__(self, model: Module):
        self.model = model

    def __enter__(self) -> Module:
        self.before = [(module, module.training) for module in self.model.modules()]
        return self.model.eval()

    def __exit__(self, *error: object) -> None:
        for module, mode in self.before:
            module.training = mode


def replaced(output: Tensor, replacement: Any) -> Tensor:
    """What goes on from a layer, of which a hook returned ``replacement``."""
    if replacement is None:
        return output
    if not isinstance(replacement, Tensor):
        raise TypeError(f"forward_hook: the hook returned a {type(replacement).__name__}: give a Tensor to take the "
                        "place of the output, or None")
    return replacement
