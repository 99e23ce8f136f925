"""Train the authors' nets for CIFAR-10, those of cuda-convnet, as they were published.

    python examples/train_cifar10.py DATA                       # layers-19pct: about 19 % test error
    python examples/train_cifar10.py DATA --net layers-80sec    # about 26 %, in ten epochs
    python examples/train_cifar10.py --resume runs/mine         # go on where a run was stopped

DATA is cifar-10-batches-py or -bin, the .tar.gz of either, or a folder with train/<class>/* and test/<class>/*.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import minicnn
from minicnn import checkpoint
from minicnn.command_line import Parser, location, number
from minicnn.data import ArrayLoader, BadPicture, DataError
from minicnn.data.cifar import CLASSES, SIDE, Small, cifar10
from minicnn.kernels import blas
from minicnn.models.cuda_convnet import CUDA_CONVNETS, CudaConvnet, cuda_convnet
from minicnn.training.bars import on_terminal
from minicnn.training.interrupt import end_as_ctrl_c, ended, note, say
from minicnn.training.log import Log
from minicnn.training.pictures import check_classes
from minicnn.training.resuming import best_anew
from minicnn.training.run_folder import checkpoint_in, new_run, run_of, write_config
from minicnn.training.scores import Scores, evaluate
from minicnn.training.showing import Curves
from minicnn.training.step import Step
from minicnn.training.trainer import Trainer


def arguments() -> argparse.Namespace:
    """The command line. What it leaves out is absent, so that a resumed run can fill it in from its checkpoint."""
    parser = Parser(description="Train the nets of cuda-convnet on CIFAR-10.", argument_default=argparse.SUPPRESS,
                    allow_abbrev=False)
    add = parser.add_argument
    add("data", nargs="?", type=location, help="cifar-10-batches-py or -bin, the .tar.gz of either, or a folder with "
        "train/<class>/* and test/<class>/*")
    add("--net", choices=CUDA_CONVNETS, help="which (default: layers-19pct)")
    add("--epochs", type=number(int, 1), help="in all, also when resumed (default: the net's, "
        + ", ".join(f"{name} {net.recipe.epochs}" for name, net in CUDA_CONVNETS.items()) + ")")
    add("-b", "--batch-size", type=number(int, 1), help="(default: the net's, 128)")
    add("--lr", type=number(float, 0), help="learning rate (default: the net's, 0.001)")
    add("--seed", type=number(int, 0, 2**63 - 1), help="of weights and order (default: drawn and printed)")
    add("--device", type=device, help="cpu:0 (default), or cuda:0")
    add("-o", "--output", type=location, help="folder of the run (default: runs/<date and time>)")
    add("--resume", type=location, metavar="RUN", help="go on with the run in this folder; its net is its own")
    given = parser.parse_args()
    if not ("data" in given or "resume" in given):
        parser.error("DATA is missing: CIFAR-10 is at www.cs.toronto.edu/~kriz/cifar.html; give cifar-10-python.tar.gz")
    return given


def device(name: str) -> Any:
    """For the command line, where the error says what may stand there."""
    try:
        return minicnn.device(name)
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def configuration(given: argparse.Namespace, facts: dict[str, Any]) -> dict[str, Any]:
    """What this run does: what was given, else what the resumed run did, else what was published with the net."""
    saved = facts.get("config", {})
    asked = {name: value for name, value in vars(given).items() if name not in ("output", "resume", "device")}
    if asked.get("net", saved.get("net")) != saved.get("net", asked.get("net")):
        raise DataError(f"--net {asked['net']} would be another model: the checkpoint is of {saved['net']}: leave it "
                        "out")
    config = {"net": "layers-19pct", "seed": secrets.randbelow(2**31)} | saved | asked
    recipe = CUDA_CONVNETS[config["net"]].recipe
    for name in ("epochs", "batch_size", "lr"):
        config.setdefault(name, getattr(recipe, name))
    return config | {"data": str(Path(config["data"]).absolute()), "recipe": config["net"],
                     "version": minicnn.__version__}


# -- pictures ----------------------------------------------------------------------------------------------------------


def read(path: str) -> tuple[Small, Small]:
    """The training and the test pictures, and a line for those that cannot be read."""
    bad: list[BadPicture] = []

    def bar(items: Iterable[Any], name: str) -> Iterable[Any]:
        return tqdm(items, name, disable=not on_terminal())

    training, test = cifar10(path, bad.append, bar)
    for error in bad:
        note(f"skipped {error}")
    if bad:
        note(f"{len(bad)} pictures could not be read and were left out")
    if training.classes != test.classes:
        raise DataError(f"{path}: training has the classes {', '.join(training.classes)}, test "
                        f"{', '.join(test.classes)}: give both the same")
    return training, test


def translated(image: np.ndarray, rng: np.random.Generator, crop: int) -> np.ndarray:
    """A random part of crop × crop pixels of an image (3, H, W), or its mirror image."""
    top, left = rng.integers(0, image.shape[1] - crop + 1, size=2)
    part = image[:, top : top + crop, left : left + crop]
    return part[:, :, ::-1] if rng.random() < 0.5 else part


def less(mean: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Images less the mean image, or, of parts from wherever, less its middle, as cuda-convnet's convdata.py does."""
    crop = images.shape[-1]
    first = (mean.shape[-1] - crop) // 2
    return images - mean[:, first : first + crop, first : first + crop]


def views(images: np.ndarray, crop: int, places: Iterable[tuple[int, int]]) -> np.ndarray:
    """Of each image (N, 3, H, W) the parts of crop × crop pixels at these places, one after the other."""
    parts = [images[:, :, top : top + crop, left : left + crop] for top, left in places]
    return np.stack(parts, axis=1).reshape(-1, 3, crop, crop)


class Views:
    """A loader that shows the same parts of each picture, ``crops`` of them together, as ``evaluate`` asks."""

    def __init__(self, pictures: Small, mean: np.ndarray, batch_size: int, crop: int, places: list[Any]):
        self.images, self.labels, _ = pictures
        self.mean, self.batch_size = mean, batch_size
        self.crop, self.places, self.crops = crop, places, len(places)

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, number: int, start: int = 0, device: Any = None) -> Iterable[Any]:
        for first in range(start, len(self.labels), self.batch_size):
            some = slice(first, first + self.batch_size)
            yield less(self.mean, views(self.images[some], self.crop, self.places)), self.labels[some]


# -- what is done ------------------------------------------------------------------------------------------------------


def train(given: argparse.Namespace, claims: ExitStack) -> None:
    path, facts, arrays = None, {}, {}
    if "resume" in given:
        path = checkpoint_in(given.resume, prefer_best=False)
        arrays, facts = checkpoint.load(path)
        if "net" not in facts.get("config", {}):
            raise DataError(f"{path} is of no run of train_cifar10")
        if (name := facts["config"]["net"]) not in CUDA_CONVNETS:
            raise DataError(f"{path}: minicnn {minicnn.__version__} knows no net {name!r}, only "
                            f"{', '.join(CUDA_CONVNETS)}: the run is of version {facts['config'].get('version')}")
    config = configuration(given, facts)
    net = CUDA_CONVNETS[config["net"]]
    done = bool(facts) and facts["progress"]["epoch"] >= config["epochs"]
    if done and path and (net.crop == SIDE or any("views" in line and line["epoch"] == facts["progress"]["epoch"]
                                                  for line in Log(path.parent / "log.jsonl").read())):
        say(f"There is nothing to do: epochs are counted in all, {facts['progress']['epoch']} are done, and "
            f"{config['epochs']} were asked for: give more by --epochs")
        return
    try:
        training, test = read(config["data"])
    except (OSError, DataError) as error:
        if path and "data" not in given:
            error.add_note(f"if the pictures were moved: train_cifar10.py DATA --resume {given.resume}")
        raise
    mean = arrays.get("mean", training.mean_image)
    minicnn.manual_seed(config["seed"])
    model = cuda_convnet(net, len(training.classes))
    net.recipe.start(model, less(mean, training.images[:1, :, : net.crop, : net.crop]))
    device = getattr(given, "device", minicnn.device("cpu"))
    model.to(device)
    if facts:
        check_classes(facts["classes"], training.classes)
    run = (run_of(given.resume, path, claims) if path and "output" not in given else
           new_run(getattr(given, "output", None), claims))  # fmt: skip
    parameters = sum(p.size for p in model.parameters())
    say(f"minicnn {minicnn.__version__}: {config['net']}, {parameters:,} parameters on {device!r}, "
        f"{len(training.labels):,} training and {len(test.labels):,} test pictures of {len(training.classes)} classes")
    say("settings: " + ", ".join(f"{name} {config[name]}" for name in sorted(config) if name != "version"))
    trainer = made_trainer(model, config, training, test, mean, run)
    if facts:
        trainer.resume(arrays, facts)
        say(f"resumed after {trainer.progress.step} steps, in epoch {trainer.progress.epoch + 1} of {config['epochs']}"
            if not done else "its epochs are done; what is missing is its test by several parts of each picture")
        say_what_changed(trainer, config, arrays, facts)
        if "lr" in given:
            trainer.schedule.lr = trainer.optimiser.lr = given.lr
    write_config(run, config | {"parameters": parameters, "device": repr(device), "blas": blas.in_use()})
    finish(trainer, config, test, mean)


def say_what_changed(trainer: Trainer, config: dict[str, Any], arrays: dict[str, np.ndarray], facts: dict[str, Any]
                     ) -> None:
    """A line for each setting, and for pictures that are others than those of the checkpoint that a run goes on from.
    Where the order of pictures is another, the epoch starts anew, so that none is left out."""
    for name, before in facts["config"].items():
        if name in ("batch_size", "lr", "seed") and before != config[name]:
            say(f"--{name.replace('_', '-')} was {before} and is {config[name]}")
    then, now = facts.get("pictures"), trainer.checkpoints.extras[1]["pictures"]
    others = [before != after for before, after in zip(then, now, strict=True)] if then else [False, False]
    for name, other in zip(("training", "test"), others, strict=True):
        if other:
            say(f"the {name} pictures are not those of the checkpoint")
    if trainer.progress.place and (others[0] or facts["config"]["seed"] != config["seed"]):
        trainer.progress = trainer.progress.epoch_anew()
        say("this epoch starts anew")
    if others[1]:
        best_anew(trainer, arrays)


def made_trainer(model: CudaConvnet, config: dict[str, Any], training: Small, test: Small, mean: np.ndarray,
                 run: Path) -> Trainer:
    """What trains the model as its net was. mean: of the training images."""
    recipe, crop, border = model.net.recipe, model.net.crop, (SIDE - model.net.crop) // 2
    optimiser = recipe.optimiser(model)
    schedule = recipe.learning_rate(recipe.schedule, config["lr"], config["epochs"])
    images, augment = (training.images, lambda image, rng: less(mean, translated(image, rng, crop))) if border else (
        less(mean, training.images), None)
    loader = ArrayLoader(images, training.labels, config["batch_size"], train=True, seed=config["seed"],
                         augment=augment)
    middle = ArrayLoader(less(mean, views(test.images, crop, [(border, border)])), test.labels, 500, train=False)
    return Trainer(Step(model, optimiser), schedule, loader, middle, run, keep=0, print_every=100,
                   extras=({"mean": mean}, {"config": config, "classes": training.classes,
                                            "pictures": [training.digest, test.digest]}))


def finish(trainer: Trainer, config: dict[str, Any], test: Small, mean: np.ndarray) -> None:
    """Train to the end, and say the test error."""
    begun, curves = time.monotonic(), Curves(trainer.folder)
    trainer.epoch_ended = curves.epoch_ended
    try:
        scores = trainer.fit(config["epochs"])
    finally:
        curves.draw()
    try:
        say_error(trainer, config, test, mean, scores, time.monotonic() - begun)
    except BaseException as error:
        error.add_note("what was learned is saved: --resume tests it again")
        raise


def say_error(trainer: Trainer, config: dict[str, Any], test: Small, mean: np.ndarray, scores: Scores, seconds: float
              ) -> None:
    net = CUDA_CONVNETS[config["net"]]
    published = f", where the authors had {100 * net.test_error:g}%" * (test.classes == CLASSES)
    say(f"test error {error(scores):.2%} after {trainer.progress.epoch} epochs{published * (net.crop == SIDE)}; "
        f"{seconds:.0f} s; everything is in {trainer.folder}")
    if border := SIDE - net.crop:
        places = [(top, left) for top in (0, border // 2, border) for left in (0, border // 2, border)]
        nine = evaluate(trainer.model, Views(test, mean, 100, net.crop, places))
        trainer.log.write({"epoch": trainer.progress.epoch, "step": trainer.progress.step, "views": len(places),
                           **{f"views_{name}": value for name, value in nine.means().items()}})
        say(f"test error {error(nine):.2%} by the mean of {len(places)} parts of each picture{published}")


def error(scores: Scores) -> float:
    """The share that is wrong."""
    return 1 - scores.means()["top1"]


def main() -> None:
    def as_asked() -> None:
        with ExitStack() as claims:
            given = arguments()
            minicnn.keep_memory()
            train(given, claims)

    sys.exit(ended(as_asked, "train_cifar10"))


if __name__ == "__main__":
    end_as_ctrl_c()
    main()
