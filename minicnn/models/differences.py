"""What tells one AlexNet from another, fact by fact, and where each stands: ``python -m minicnn variants``.

Every fact is read off the data in ``variants.py`` and ``recipes.py``, or counted from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..layout import table
from ..ops.window import Windows, sides
from .recipes import RECIPES, Recipe
from .variants import VARIANTS, Norm, Row, Variant

__all__ = ["FACTS", "counted", "described"]

AS_PYTORCH = "U(−1/√fan-in, 1/√fan-in), as PyTorch's layers"


def described() -> str:
    """For every fact: what it is, in which variants, and the source."""
    blocks = []
    for fact, of in FACTS.items():
        found: dict[tuple[str, str], list[str]] = {}
        for name, variant in VARIANTS.items():
            found.setdefault((of(variant), variant.sources[fact]), []).append(name)
        lines = [["", ", ".join(names), words, source] for (words, source), names in found.items()]
        blocks.append(f"{fact}\n{table(lines, right=())}")
    return "\n\n".join(blocks)


def counted(variant: Variant, classes: int = 1000) -> tuple[int, int]:
    """(parameters, multiply-adds for one image) of all towers and the last layer."""
    side, parameters, products, shapes = variant.pixels, 0, 0, variant.shapes(classes)
    for row in (*variant.rows, Row("fc8", "both", "linear")):
        for word in row.layers.split():
            if word in ("conv", "linear"):
                side = places(row, side).P if word == "conv" else 1
                weights = math.prod(shapes[row.name])
                parameters += weights + shapes[row.name][0]
                products += weights * side**2
            elif word == "pool":
                side = (side - 3) // 2 + 1
    return parameters, products


def places(row: Row, side: int) -> Windows:
    """The windows of a convolution on side × side pixels."""
    return Windows.on(row.name, (side, side), row.size, row.stride, row.padding)


def recipe_of(variant: Variant) -> Recipe | None:
    return RECIPES[variant.recipe] if variant.recipe else None


# -- facts ------------------------------------------------------------------------------------------------------------


def places_of_conv1(variant: Variant) -> str:
    row = variant.rows[0]
    (before, behind), _ = sides(row.name, row.padding)
    P = places(row, variant.pixels).P
    left = variant.pixels + before + behind - (P - 1) * row.stride - row.size
    return f"{P} × {P}: {before} zeros before, {behind} behind" + f", {left} pixel unused" * bool(left)


def order(variant: Variant) -> str:
    blocks: list[str] = []
    for row in variant.rows:
        if row.size:
            blocks.append(row.name)
        if not row.name.startswith("fc"):
            blocks[-1] += "".join(f" {word}" for word in row.layers.split() if word not in ("conv", "flatten"))
    return "; ".join(block for block in blocks if "pool" in block)


def normalisation(variant: Variant) -> str:
    def words(norm: Norm, terms: int) -> str:
        divided = norm.alpha * terms
        return f"n = {norm.size}, α = {norm.alpha:g} (× {terms} = {divided:g}), β = {norm.beta:g}, k = {norm.k:g}"

    if variant.norm is None:
        return "none"
    inside = f"; within maps {words(variant.map_norm, variant.map_norm.size**2)}" if variant.map_norm else ""
    return words(variant.norm, variant.norm.size) + inside


def windows(variant: Variant) -> str:
    if variant.norm is None:
        return "no normalisation"
    return "over both towers" if any(row.sees == "edge" for row in variant.rows) else "end at the edge of a tower"


def towers(variant: Variant) -> str:
    return f"{variant.towers} of " + "-".join(str(row.maps) for row in variant.rows if row.maps)


def weights(variant: Variant) -> str:
    recipe = recipe_of(variant)
    if recipe is None:
        return AS_PYTORCH
    layers: dict[float, list[str]] = {}
    for layer, σ in recipe.deviations.items():
        layers.setdefault(σ, []).append(layer)
    return f"σ = {recipe.deviation:g}" + "".join(f", {σ:g} in {', '.join(names)}" for σ, names in layers.items())


def biases(variant: Variant) -> str:
    recipe = recipe_of(variant)
    return f"{recipe.bias:g} in {', '.join(recipe.biased)}, else 0" if recipe else AS_PYTORCH


def bias_rate(variant: Variant) -> str:
    recipe = recipe_of(variant)
    if recipe is None:
        return "left to the user"
    return f"rate × {recipe.bias_lr:g}, {'decay as of weights' if recipe.decay_biases else 'no decay'}"


def dropout(variant: Variant) -> str:
    names = [row.name for row in variant.rows if "dropout" in row.layers]
    place = "before" if any(row.layers.startswith("dropout") for row in variant.rows) else "after"
    recipe = recipe_of(variant)
    form = "× 2 in training" if recipe is None or recipe.inverted_dropout else "× ½ at test"
    return f"½ {place} {' and '.join(names)}, {form}"


def shown(variant: Variant) -> str:
    p = variant.preprocessing
    fit = "central square" if p.fit == "centre" else "all of it"
    scale = "0–255" if p.scale == 1 else f"× 1/{1 / p.scale:g}"
    mean = "mean picture" if p.mean is None else " ".join(f"{m:g}" for m in p.mean)
    deviation = "" if p.deviation == (1, 1, 1) else f" / {' '.join(f'{d:g}' for d in p.deviation)}"
    return f"{fit} at {p.side} ({p.filter}), {p.channels} {scale} − {mean}{deviation}"


FACTS: dict[str, Callable[[Variant], str]] = {
    "crop": lambda variant: f"{variant.pixels} × {variant.pixels}",
    "places of conv1": places_of_conv1,
    "order": order,
    "normalisation": normalisation,
    "windows": windows,
    "towers": towers,
    "weights": weights,
    "biases": biases,
    "bias rate, decay": bias_rate,
    "dropout": dropout,
    "input": shown,
    "parameters": lambda variant: f"{counted(variant)[0]:,}",
    "multiply-adds": lambda variant: f"{counted(variant)[1]:,}",
}
"""What is said of every variant, and how it is read off the data."""
