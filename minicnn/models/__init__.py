"""Models: lists of layers, and the recipes by which they learn."""

from .alexnet import AlexNet, alexnet
from .recipes import RECIPES, Recipe, recipe_for
from .variants import VARIANTS, Variant

__all__ = ["RECIPES", "VARIANTS", "AlexNet", "Recipe", "Variant", "alexnet", "recipe_for"]
