"""What a run of training saved: which file of its folder, what must be in it, and the network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, checkpoint
from ..checkpoint import CheckpointError
from ..data.statistics import Statistics
from .alexnet import AlexNet, alexnet
from .recipes import RECIPES
from .variants import VARIANTS

__all__ = ["OWN", "Saved", "Undrawn", "checkpoint_at", "load", "read"]

OWN = ("variant", "width", "recipe")  # of a run's configuration, what belongs to the weights


class Undrawn(np.random.Generator):
    """In place of random weights, zeros: for a network whose weights are read."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size: tuple[int, ...], dtype: type) -> np.ndarray:  # type: ignore[override]
        return np.zeros(size, dtype)


@dataclass(frozen=True, eq=False)
class Saved:
    """A trained network, and what must be known to ask it.

    path: the file. model: as at test, in main memory. statistics, scale: it was shown (pixels of 0 to 255 − mean
    picture) · scale. classes: their names, in the order of its outputs. arrays, facts: all that the file holds, see
    ``read``.
    """

    path: Path
    model: AlexNet
    statistics: Statistics
    scale: float
    classes: list[str]
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


def load(path: str | os.PathLike[str]) -> Saved:
    """The network in a checkpoint, or in the best checkpoint of a run's folder.

    Raises CheckpointError where ``read`` does and where a number is not finite, and ValueError where the weights are
    those of another network.
    """
    path = checkpoint_at(path)
    arrays, facts = read(path)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise CheckpointError(f"{path} holds numbers that are not finite")
    config, classes = facts["config"], facts["classes"]
    model = alexnet(config["variant"], len(classes), width=config["width"], inverted_dropout=config["inverted_dropout"],
                    generator=Undrawn())
    model.load_state_dict(checkpoint.part(arrays, "model."))
    model.eval()
    return Saved(path, model, Statistics.from_arrays(arrays), config["scale"], classes, arrays, facts)


def checkpoint_at(path: str | os.PathLike[str], best: bool = True) -> Path:
    """The file itself; of a run's folder the best checkpoint, if it is wanted and there is one yet, else the last."""
    path = Path(path)
    if not path.is_dir():
        return path
    last, kept = path / "last.safetensors", path / "best.safetensors"
    return kept if best and kept.exists() else last


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the facts of a checkpoint that ``examples/train_alexnet.py`` wrote.

    arrays: ``model.<parameter>``, ``velocity.<parameter>``, ``statistics.mean``, ``.sigma`` and ``.axes``, and more.
    facts: ``config``, ``classes``, ``progress``, ``schedule``, and more. In ``config`` older versions left out what was
    always the recipe's, ``scale``, ``inverted_dropout`` and ``schedule``: here they are there.
    Raises CheckpointError where it cannot be read, is none of this program, or of another version of it.
    """
    arrays, facts = checkpoint.load(path)
    kinds = {"progress": dict, "config": dict, "classes": list, "schedule": dict}
    lacking = [name for name, kind in kinds.items() if not isinstance(facts.get(name), kind)]
    lacking += [f"config.{name}" for name in ("seed", "data", *OWN) if not lacking and name not in facts["config"]]
    lacking += ["progress.epoch"] * (not lacking and not isinstance(facts["progress"].get("epoch"), int))
    lacking += [name for name in ("statistics.mean", "statistics.sigma", "statistics.axes") if name not in arrays]
    if lacking:
        raise CheckpointError(f"{path} holds no run of this program: it lacks {', '.join(lacking)}")
    config = facts["config"]
    for name, known in (("recipe", RECIPES), ("variant", VARIANTS)):
        if config[name] not in known:
            raise CheckpointError(f"{path}: minicnn {__version__} knows no {name} {config[name]!r}: the checkpoint is "
                                  f"of version {config.get('version')}")
    recipe = RECIPES[config["recipe"]]
    config.setdefault("inverted_dropout", recipe.inverted_dropout)
    config.setdefault("schedule", "constant" if config["recipe"] == "small" else recipe.schedule)
    config.setdefault("scale", recipe.scale(Statistics.from_arrays(arrays).deviation))
    return arrays, facts
