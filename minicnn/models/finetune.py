"""Fine-tuning: a trained AlexNet as the start of one for other classes, whose last layer alone is drawn anew."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.picture import SIDE
from ..data.statistics import Statistics
from .alexnet import AlexNet
from .classifier import Classifier, load
from .recipes import FINETUNE, RECIPES
from .weights import WeightsError

__all__ = ["Start", "start_from"]


@dataclass(frozen=True, eq=False)
class Start:
    """What a network starts from, and what it goes on to be shown: RGB, (pixels of 0 to 255 − mean picture) · scale,
    as whatever is trained here.

    path: the file. state: its weights and biases but those of fc8, by name. config: what of a run's configuration is
    decided by it.
    """

    path: Path
    state: dict[str, np.ndarray]
    statistics: Statistics
    config: dict[str, Any]

    def give(self, model: AlexNet) -> None:
        """Copy in all but fc8, and draw that as the recipe says: N(0, 0.01²), biases of 0."""
        model.load_state_dict(model.state_dict() | self.state)
        RECIPES[FINETUNE].start(model.fc8, np.empty(0))


def start_from(path: str | os.PathLike[str], variant: str | None = None, width: float | None = None) -> Start:
    """The network in whatever ``models.load`` takes, to start from. variant, width: what it is expected to be.

    Where others count blue first, or divide each colour by a deviation of its own, conv1's weights are turned instead,
    and scaled by what the deviations differ from their mean (by 1.4 % at most in torchvision's), so that the network
    gives the same for the same picture. Theirs is a mean of each colour, ours a mean picture.

    Raises what ``load`` raises, and WeightsError where it is no AlexNet or another than was expected.
    """
    ask = _loaded(Path(path), variant)
    net: Any = ask.net
    if not isinstance(net, AlexNet):
        raise WeightsError(f"{ask.path} is no AlexNet of towers and fc8, but a {type(net).__name__}: it cannot be the "
                           "start of one")
    for name, wanted in (("variant", variant), ("width", width)):
        if wanted is not None and wanted != getattr(net, name):
            raise WeightsError(f"{name} {wanted} would be another model: {ask.path} is of {name} {getattr(net, name)}: "
                               "leave it out")
    state = {name: p.numpy() for name, p in net.named_parameters() if not name.startswith("fc8.")}
    statistics, scale = ask.statistics, ask.shown.scale
    if statistics is None:
        statistics, scale = _in_our_way(ask, state)
    with ask.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return Start(ask.path, state, statistics, {
        "recipe": FINETUNE, "variant": net.variant, "width": net.width, "inverted_dropout": net.inverted_dropout,
        "scale": scale, "weights": str(ask.path.absolute()), "weights_sha256": digest})  # fmt: skip


def _loaded(path: Path, variant: str | None) -> Classifier:
    try:
        return load(path)
    except WeightsError:
        if variant is None or path.suffix != ".caffemodel":
            raise
        return load(path, variant=variant)  # which it may not say


def _in_our_way(ask: Classifier, state: dict[str, np.ndarray]) -> tuple[Statistics, float]:
    """Statistics and scale of others' weights, whose conv1 is changed in ``state``:

    Σ w (pixels · scale − mean) / deviation = Σ w' (pixels − mean / scale) · s    with w' = w · scale / (s · deviation)
    """
    order = slice(None, None, -1 if ask.shown.channels == "BGR" else 1)
    factors = (ask.shown.scale / np.array(ask.shown.deviation))[order]
    s = float(factors.mean())
    for name in [name for name in state if ".conv1." in name and name.endswith("weight")]:
        state[name] = (state[name][:, order] * (factors / s).reshape(3, 1, 1)).astype(np.float32)
    mean = np.broadcast_to((ask.mean / ask.shown.scale)[order], (3, SIDE, SIDE)).astype(np.float32)
    return Statistics(mean, np.zeros(3, np.float32), np.eye(3, dtype=np.float32), bad={}), s
