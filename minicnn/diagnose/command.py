"""``python -m minicnn diagnose``: why does a run learn nothing, or what would one on these pictures meet?"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..command_line import Parser, location

if TYPE_CHECKING:
    from ..data.images import Images
    from ..data.picture import BadPicture
    from . import Cause, Report

    Bad = list[tuple[int, BadPicture]]  # with their labels

__all__ = ["add_options", "of_data", "of_run", "run"]

PICTURES, ORDER = 128, 100  # that are looked at as a network sees them; batches of whose labels the order is looked at
NAMED, EACH = 10, 50  # classes, of which so many pictures are looked at as they are,
OF_FEW = 2400  # or so many by the square of their number: what two classes look like is told from chance by many alone
RISEN = 100  # steps after which a rate should have been reached
UNREADABLE = 0.1  # of the pictures
MEASURED = 2000  # pictures of which the mean and the colours are measured, where no run has done it

NEEDED = ("variant", "width", "recipe", "seed", "data", "batch_size")  # of a run's settings


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", type=location, metavar="RUN_OR_DATA",
                        help="the folder of a run of either example, or a checkpoint in it; or pictures, as "
                             "examples/train_alexnet.py takes them, for which the default network is started by the "
                             "default recipe")
    parser.add_argument("--val", type=location, metavar="DATA", help="validation pictures that are not in DATA")
    parser.add_argument("--labels", type=location, metavar="FILE", help="the classes of validation pictures in no "
                                                                        "folder, as of train_alexnet.py")


def run(parser: Parser, options: argparse.Namespace) -> int:
    """Print what was measured and the cause that it shows. Returns 0 where it is healthy, else 1."""
    target = Path(options.target)
    is_run = (target.suffix == ".safetensors" or bool({"recipe", "net"} & {*_config(target / "config.json")})
              or any((target / name).exists() for name in ("last.safetensors", "best.safetensors", "log.jsonl")))
    try:
        if is_run and (options.val or options.labels):
            raise ValueError(f"{target} is a run, which knows its pictures: leave --val and --labels out")
        report = of_run(target) if is_run else of_data(target, options.val, options.labels)
    except (ValueError, OSError) as error:  # DataError and CheckpointError are of the first
        parser.error(str(error))
    print(report)
    return 0 if report.healthy else 1


def of_data(data: Path, val: Path | None = None, labels: Path | None = None, width: float = 1.0) -> Report:
    """Of the default network on these pictures, before its first step. Raises DataError."""
    from ..data.sources import parts_of
    from ..models.recipes import RECIPES, recipe_for
    from ..training.bars import picture_bar

    parts = parts_of(data, val, labels, picture_bar("reading headers", "B"))
    training = parts.get("train", parts.get(""))
    assert training is not None
    name = recipe_for(len(training))
    config = {"variant": "blueprint", "width": width, "recipe": name, "seed": 0, "batch_size": RECIPES[name].batch_size}
    return _of(training, parts.get("val"), config, {}, [])


def of_run(path: Path) -> Report:
    """Of a run as its last checkpoint has it, or this one; of one that ended before its first, with weights drawn as
    they were at its start, unless it started from others', and the mean of a part of the pictures. Raises
    CheckpointError, DataError and ValueError."""
    from .. import __version__, checkpoint
    from ..data import built_in_set
    from ..models.recipes import FINETUNE, RECIPES
    from ..models.saved import checkpoint_at, read
    from ..models.variants import VARIANTS
    from ..training.bars import picture_bar
    from ..training.log import Log
    from ..training.pictures import check_classes, pictures_under
    from ..training.run_folder import CONFIG, LOG, SPLIT

    file = checkpoint_at(path, best=False)
    folder = file.parent
    config = _config(folder / CONFIG)
    steps = [line for line in Log(folder / LOG).read() if "loss" in line and "lr" in line]
    history, rates = [line["loss"] for line in steps], [line["lr"] for line in steps]
    if not config and file.exists():  # it was moved out of its folder
        config = checkpoint.load(file)[1].get("config", {})
    if "net" in config:
        from .of_cifar import of_cifar

        return of_cifar(file, _highest(config, rates), history)
    arrays: dict[str, np.ndarray] = {}
    facts: dict[str, Any] = {}
    if file.exists() or not (folder / CONFIG).exists():
        arrays, facts = read(file)
        config = facts["config"]
    else:
        if lacking := [name for name in NEEDED if name not in config]:
            raise ValueError(f"{folder / CONFIG} is that of no run of this program: it lacks {', '.join(lacking)}")
        for name, known in (("recipe", RECIPES), ("variant", VARIANTS)):
            if config[name] not in known:
                raise ValueError(f"{folder / CONFIG}: minicnn {__version__} knows no {name} {config[name]!r}: the run "
                                 f"is of version {config.get('version')}")
        if config["recipe"] == FINETUNE:
            raise ValueError(f"{folder} ended before its first checkpoint, and the weights that it started from are "
                             "not in it: diagnose it after it has saved one")
    root = Path(config["data"] or built_in_set(progress=picture_bar("drawing pictures")))
    kept = folder / SPLIT
    val, labels = (Path(config[name]) if config.get(name) else None for name in ("val", "labels"))
    training, validation, _ = pictures_under(root, config.get("split"), config["seed"], False,
                                             kept if kept.exists() else None, val, labels)
    assert training is not None
    if facts:
        check_classes(facts["classes"], training.classes)
    epoch = facts["progress"]["epoch"] if facts else 0
    learned = {kind: checkpoint.part(arrays, f"{kind}.") for kind in ("model", "velocity", "statistics")}
    learned["statistics"] = {f"statistics.{name}": array for name, array in learned["statistics"].items()}
    return _of(training, validation, _highest(config, rates), learned if arrays else {}, history, epoch)


def _config(path: Path) -> dict[str, Any]:
    """What a run's folder says of its settings: nothing where that is not there, or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _highest(config: dict[str, Any], rates: list[float]) -> dict[str, Any]:
    """A run's settings with its highest rate: what a warm-up begins with, and a schedule ends with, is meant to be
    low; but not of a warm-up that ends after the run."""
    never = len(rates) >= RISEN and (config.get("warm_up") or 0) >= (config.get("epochs") or math.inf)
    asked = [config.get("lr") or 0.0] * (not never)
    return config | {"lr": max([*asked, *rates])} if rates else config


def _of(training: Images, validation: Images | None, config: Mapping[str, Any],
        learned: Mapping[str, dict[str, np.ndarray]], history: list[float | None], epoch: int = 0) -> Report:
    """Of a network on these pictures, as config says, with what it has learned so far."""
    from ..data import Loader, Statistics
    from ..engine.tensor import Tensor
    from ..models.alexnet import alexnet
    from ..models.recipes import RECIPES
    from ..ops import cross_entropy
    from ..training.bars import picture_bar
    from ..training.pictures import ENOUGH, balanced_weights, first_pictures
    from . import Report, diagnose

    recipe = RECIPES[config["recipe"]]
    statistics = (Statistics.from_arrays(learned["statistics"]) if learned else
                  Statistics.of(training, progress=picture_bar("measuring"), sample=MEASURED))
    generator = np.random.default_rng(config["seed"])  # of all that is drawn at a start, one after the other
    model = alexnet(config["variant"], len(training.classes), width=config["width"],
                    inverted_dropout=config.get("inverted_dropout", recipe.inverted_dropout), generator=generator)
    shown = {"scale": config.get("scale", recipe.scale(statistics.deviation)), "crop": model.pixels}
    loader = Loader(training, statistics, config["batch_size"], train=True, seed=config["seed"], noise=recipe.noise,
                    block=config.get("shuffle_block", 0), **shown)
    batches = list(islice(loader.epoch(epoch), -(-PICTURES // config["batch_size"])))
    if learned:
        model.load_state_dict(learned["model"])
    else:
        recipe.start(model, first_pictures(loader, ENOUGH), generator)
    optimiser = recipe.optimiser(model)
    for name in ("lr", "momentum", "weight_decay", "lars"):
        setattr(optimiser, name, config.get(name, getattr(optimiser, name)))
    if learned:
        optimiser.load_state_dict(learned["velocity"])
    loss = cross_entropy if config.get("class_weights", "none") == "none" else partial(
        cross_entropy, weight=Tensor(balanced_weights(training)))
    order = training.labels[loader.order(epoch)]
    size = config["batch_size"]
    some = _some(training, validation)
    others = []
    if learned and len(some) > 1:
        others = list(Loader(some[1], statistics, size, train=False, **shown).epoch(0))
    raw, bad = zip(*map(_as_they_are, some), strict=True)
    report = diagnose(model, batches, optimiser, loss, history=history, validation=others,
                      order=[order[i : i + size] for i in range(0, min(len(order), ORDER * size), size)],
                      counts=np.bincount(training.labels, minlength=len(training.classes)), names=training.classes,
                      raw=raw if len(raw[0][1]) else ())
    return Report(report.measured, [*_unreadable(some, bad, training.classes), *report.causes])


def _unreadable(parts: Sequence[Images], bad: Sequence[Bad], classes: list[str]) -> Iterator[Cause]:
    """Of a class all, or of all many."""
    from . import Cause
    from .words import listed

    for part, of_part in zip(parts, bad, strict=True):
        looked_at, lost = Counter(part.labels.tolist()), Counter(label for label, _ in of_part)
        gone = [classes[label] for label in lost if lost[label] == looked_at[label]]
        if gone or len(of_part) > UNREADABLE * len(part):
            of = f", all of {listed(gone)}" if gone else ""
            yield Cause("pictures cannot be read", f"{len(of_part)} of {len(part)} that were looked at in "
                        f"{part.root}{of}: {of_part[0][1]}", "write these files anew: training leaves them out")


def _some(training: Images, validation: Images | None) -> list[Images]:
    """Of the classes that have most pictures in training so many of each, spread evenly over it; and of validation, if
    it has any of these same classes."""
    classes = np.argsort(-np.bincount(training.labels), kind="stable")[:NAMED]
    each = max(EACH, OF_FEW // max(2, len(classes)) ** 2)
    parts = []
    for pictures in filter(None, (training, validation)):
        labels = pictures.labels
        chosen = np.zeros(len(labels), bool)
        for label in classes:
            own = np.flatnonzero(labels == label)
            chosen[own[np.linspace(0, len(own) - 1, min(each, len(own))).astype(int)]] = True
        if chosen.any():
            parts.append(pictures.part(chosen))
    return parts


def _as_they_are(pictures: Images) -> tuple[tuple[NDArray[np.uint8], NDArray[np.int64]], Bad]:
    """((pictures (N, 256, 256, 3), labels), what is wrong with those that cannot be read, which are not among them)"""
    from ..data.picture import BadPicture, read_picture

    found, labels, bad = [], [], []
    for place, label in pictures.samples:
        try:
            found.append(read_picture(place))
            labels.append(label)
        except BadPicture as error:
            bad.append((label, error))
    return (np.array(found, np.uint8).reshape(-1, 256, 256, 3), np.array(labels, np.int64)), bad
