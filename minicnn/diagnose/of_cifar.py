"""Why does a run of ``examples/train_cifar10.py`` learn nothing?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .. import __version__, checkpoint
from ..checkpoint import CheckpointError
from ..data import ArrayLoader
from ..data.cifar import Small, cifar10
from ..models.cuda_convnet import CUDA_CONVNETS, cuda_convnet
from ..training.bars import on_terminal
from ..training.pictures import check_classes
from . import Cause, Report, diagnose

__all__ = ["of_cifar"]

PICTURES, ORDER, SOME = 128, 100, 500  # as the network sees them; batches whose order is looked at; as they are
OPTIONS = {"--batch-size", "--epochs", "--lr"}  # of train_cifar10.py, as far as a remedy may name one


def of_cifar(file: Path, config: Mapping[str, Any], history: list[float | None]) -> Report:
    """As this checkpoint of the run has it, or as it began where there is none; of a net that is shown parts of
    pictures, by the middle of each. config: of the run, lr the highest rate. Raises CheckpointError and DataError."""
    arrays, facts = checkpoint.load(file) if file.exists() else ({}, {})
    lacking = [name for name in ("data", "batch_size", "seed", "lr") if name not in config]
    if facts:
        lacking += [name for name in ("classes", "progress") if name not in facts] + ["mean"] * ("mean" not in arrays)
    if lacking:
        raise CheckpointError(f"{file} is of no run of train_cifar10: it lacks {', '.join(lacking)}")
    if config["net"] not in CUDA_CONVNETS:
        raise CheckpointError(f"{file}: minicnn {__version__} knows no net {config['net']!r}")
    training, test = cifar10(config["data"], progress=_bar)
    net, generator = CUDA_CONVNETS[config["net"]], np.random.default_rng(config["seed"])
    mean = arrays["mean"] if arrays else training.mean_image

    def shown(images: Any) -> NDArray[np.float32]:
        border = (images.shape[-1] - net.crop) // 2
        inside = slice(border, border + net.crop)
        return np.ascontiguousarray((np.asarray(images, np.float32) - mean)[:, :, inside, inside])

    model = cuda_convnet(net, len(training.classes), generator)
    optimiser = net.recipe.optimiser(model)
    if arrays:
        check_classes(facts["classes"], training.classes)
        model.load_state_dict(checkpoint.part(arrays, "model."))
        optimiser.load_state_dict(checkpoint.part(arrays, "velocity."))
    else:
        net.recipe.start(model, shown(training.images[:1]), generator)
    optimiser.lr, epoch = config["lr"], facts["progress"]["epoch"] if facts else 0
    loader = ArrayLoader(training.images, training.labels, config["batch_size"], train=True, seed=config["seed"])
    batches = list(islice(loader.epoch(epoch), ORDER))
    some, others = _some(training), _some(test)
    report = diagnose(model, [(shown(x), labels) for x, labels in batches[: -(-PICTURES // config["batch_size"])]],
                    optimiser, history=history, validation=[(shown(others.images), others.labels)],
                    order=[labels for _, labels in batches], names=training.classes,
                    counts=np.bincount(training.labels, minlength=len(training.classes)),
                    raw=[(np.moveaxis(part.images, 1, -1), part.labels) for part in (some, others)])
    return Report(report.measured, [_as_here(cause) for cause in report.causes])


def _as_here(cause: Cause) -> Cause:
    lacking = sorted({*re.findall(r"--[a-z-]+", cause.remedy)} - OPTIONS)
    return replace(cause, remedy=f"{cause.remedy}; train_cifar10.py has no {' and no '.join(lacking)}: that is of the "
                                 "net's recipe, in minicnn.models.cuda_convnet") if lacking else cause


def _bar(items: Iterable[Any], name: str) -> Iterable[Any]:
    shown: Iterable[Any] = tqdm(items, name, disable=not on_terminal())
    return shown


def _some(pictures: Small) -> Small:
    """So many, spread evenly over all."""
    count = len(pictures.labels)
    chosen = np.linspace(0, count - 1, min(SOME, count)).astype(int)
    return Small(pictures.images[chosen], pictures.labels[chosen], pictures.classes)
