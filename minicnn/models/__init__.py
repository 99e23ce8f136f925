"""Models: lists of layers, and the recipes by which they learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .alexnet import AlexNet, alexnet
from .cuda_convnet import CUDA_CONVNETS, cuda_convnet
from .recipes import RECIPES, Recipe, recipe_for
from .variants import VARIANTS, Variant

__all__ = ["CUDA_CONVNETS", "RECIPES", "VARIANTS", "AlexNet", "Recipe", "Variant", "alexnet", "cuda_convnet", "load",
           "pretrained", "recipe_for"]

if TYPE_CHECKING:
    from .classifier import load, pretrained


def __getattr__(name: str) -> Any:
    if name in ("load", "pretrained"):  # which need Pillow and safetensors, and are not always wanted
        from . import classifier

        return getattr(classifier, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
