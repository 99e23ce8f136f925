"""Models: lists of layers, and the recipes by which they learn."""

from .alexnet import VARIANTS, AlexNet, alexnet
from .recipes import RECIPES, Recipe, recipe_for

__all__ = ["RECIPES", "VARIANTS", "AlexNet", "Recipe", "alexnet", "recipe_for"]
