"""Models: lists of layers, and the recipes by which they learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .alexnet import AlexNet, alexnet
from .cuda_convnet import CUDA_CONVNETS, cuda_convnet
from .recipes import RECIPES, Recipe, recipe_for
from .variants import VARIANTS, Variant

__all__ = ["CUDA_CONVNETS", "RECIPES", "VARIANTS", "AlexNet", "Recipe", "Variant", "alexnet", "cuda_convnet", "load",
           "recipe_for"]

if TYPE_CHECKING:
    from .classifier import load


def __getattr__(name: str) -> Any:
    if name == "load":  # which needs Pillow and safetensors, and is not always wanted
        from .classifier import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
