"""Train AlexNet on a folder of pictures, or, with none at hand, on a built-in set.

    python examples/train_alexnet.py                      # ten patterns drawn on the spot
    python examples/train_alexnet.py DATA                 # DATA/train/<class>/*, DATA/val/<class>/*
    python examples/train_alexnet.py --resume runs/mine   # go on where a run was stopped
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from tqdm import tqdm

import minicnn
from minicnn import checkpoint, plots
from minicnn.data import (
    DataError,
    ImageFolder,
    Loader,
    Statistics,
    WorkerDied,
    built_in_set,
    central_crop,
    image_folders,
    read_picture,
)
from minicnn.doctor import choose
from minicnn.log import Log
from minicnn.models import RECIPES, VARIANTS, AlexNet, alexnet, recipe_for
from minicnn.optim import LossScale
from minicnn.scores import evaluate
from minicnn.tensor import no_grad
from minicnn.trainer import Stopped, Trainer

# -- what can be asked -------------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """One line for one mistake."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help shows all options\n")


def number(kind: type, low: float, high: float = math.inf) -> Any:
    """A parser of numbers, low ≤ x ≤ high."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= high:
            bounds = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"{text} is out of range: give {bounds}")
        return value

    return parse


def device_names(text: str) -> str:
    """One device for both towers, or two; or auto."""
    if text == "auto":
        return text
    try:
        count = len([minicnn.device(name) for name in text.split(",")])
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if count > 2:
        raise argparse.ArgumentTypeError(f"AlexNet has two towers: {count} devices are too many")
    return text


def arguments() -> argparse.Namespace:
    """The command line. What it leaves out is absent, so that a resumed run can fill it in from its checkpoint."""
    parser = Parser(description="Train AlexNet on a folder of pictures.", argument_default=argparse.SUPPRESS)
    add = parser.add_argument
    add("data", nargs="?", help="folder with train/<class>/* and val/<class>/* (default: a set drawn on the spot)")
    add("--variant", choices=VARIANTS, help="which AlexNet (default: blueprint)")
    add("--width", type=number(float, 0.01, 4), help="share of the paper's kernels and units (default: 1)")
    add("--recipe", choices=RECIPES, help="how it starts and learns (default: small below 100,000 pictures)")
    add("--epochs", type=number(int, 1), help="in all, also when resumed (default: the recipe's, paper 90, small 3)")
    add("-b", "--batch-size", type=number(int, 1), help="(default: the recipe's, paper 128, small 32)")
    add("--lr", type=number(float, 0), help="learning rate (default: the recipe's, paper 0.01, small 0.001)")
    add("--momentum", type=number(float, 0, 0.9999), help="(default: the recipe's, 0.9)")
    add("--weight-decay", type=number(float, 0), help="(default: the recipe's, 0.0005)")
    add("--seed", type=number(int, 0, 2**63 - 1), help="of weights, order, crops, dropout (default: drawn and printed)")
    add("-j", "--workers", type=number(int, 0), help="processes that decode pictures (default: half of the cores)")
    add("--device", type=device_names,
        help="where the towers live, one or two, as cuda:0,cuda:1 (default: auto, GPUs that work, else cpu:0,cpu:1)")
    add("--tf32", action="store_true", help="on GPUs, products of 10 bits after the point: meant for speed, less exact")
    add("--half", action="store_true", help="on GPUs, activations of half precision, a scaled loss: half the memory")
    add("--graph", action="store_true", help="on one GPU, tell it a step once and let it repeat that")
    add("-o", "--output", type=Path, help="folder of the run (default: runs/<date and time>)")
    add("--resume", type=Path, metavar="RUN", help="go on with the run in this folder, or from this checkpoint")
    add("--evaluate", action="store_true", help="only measure the checkpoint given by --resume on DATA/val")
    add("--keep", type=number(int, 0), help="past epochs to keep besides the last and the best (default: 1)")
    add("--save-minutes", type=number(float, 0), help="a checkpoint at least so often (default: 10)")
    given = parser.parse_args()
    if "evaluate" in given and "resume" not in given:
        parser.error("--evaluate measures a checkpoint: name it with --resume")
    return given


DEFAULTS: dict[str, Any] = {"data": None, "variant": "blueprint", "width": 1.0, "device": "auto", "tf32": False,
                            "half": False, "graph": False, "keep": 1, "save_minutes": 10.0,
                            "workers": max(1, (os.cpu_count() or 1) // 2)}


def configuration(given: argparse.Namespace, saved: dict[str, Any]) -> tuple[dict[str, Any], ImageFolder, ImageFolder]:
    """What this run does: what was given, else what the resumed run did, else the defaults and the recipe's."""
    asked = {name: value for name, value in vars(given).items() if name not in ("evaluate", "output", "resume")}
    config = DEFAULTS | saved | asked
    root = Path(config["data"]).absolute() if config["data"] else drawn_set(config["workers"])
    training, validation = image_folders(root)
    config["data"] = config["data"] and str(root)
    config.setdefault("recipe", recipe_for(len(training)))
    recipe = RECIPES[config["recipe"]]
    for name in ("epochs", "batch_size", "lr", "momentum", "weight_decay"):
        config.setdefault(name, getattr(recipe, name))
    config.setdefault("seed", secrets.randbelow(2**31))
    return config | {"version": minicnn.__version__}, training, validation


# -- what is done ------------------------------------------------------------------------------------------------------

ENOUGH = 32  # pictures from which a recipe may learn what its layers will see


def bar(title: str) -> Any:
    """A progress(done, total) that draws a bar where there is a terminal."""
    line = tqdm(desc=title, unit="picture", disable=not sys.stderr.isatty(), leave=False)

    def progress(done: int, total: int) -> None:
        line.total = total
        line.update(done - line.n)
        if done == total:
            line.close()

    return progress


def drawn_set(workers: int) -> Path:
    print("No folder of pictures was given: using the built-in set, ten patterns drawn on the spot.", flush=True)
    return built_in_set(workers=workers + 1, progress=bar("drawing pictures"))


def run_folder(given: argparse.Namespace) -> Path:
    """Where everything of this run is kept. A folder that holds another run is refused."""
    if "output" in given:
        folder = given.output
    elif "resume" in given:
        return given.resume if given.resume.is_dir() else given.resume.parent
    else:
        folder = Path("runs") / time.strftime("%Y-%m-%d-%H%M%S")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"--output {folder} is there already, and not empty: choose another folder, or go on with the "
                        f"run in it by --resume {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def where(config: dict[str, Any]) -> str:
    """The names of the devices to use, after a line that says why where that was left to us."""
    if config["tf32"]:
        os.environ["CUPY_TF32"] = "1"  # CuPy looks when it first multiplies
    names = config["device"]
    if names == "auto":
        names, reason = choose()
        print(f"device: {names} ({reason})", flush=True)
    if config["tf32"] and "cuda" not in names:
        print("--tf32 is for GPUs: it changes nothing here", file=sys.stderr)
    if config["half"] and "cpu" in names:
        raise DataError(f"--half is for GPUs, the towers are on {names}: leave it out")
    if config["graph"] and ("cpu" in names or len(set(names.split(","))) > 1):
        raise DataError(f"--graph is for one GPU, the towers are on {names}: give --device cuda:0, or leave it out")
    return names


def show_what_it_learned(model: AlexNet, loader: Loader, run: Path) -> None:
    """curves.png, kernels.png and predictions.png."""
    plots.draw_curves(Log(run / "log.jsonl"), run / "curves.png")
    plots.draw_kernels([tower.conv1.layers[0].weight.numpy() for tower in (model.a, model.b)], run / "kernels.png")
    good = [(path, label) for path, label in loader.folder.samples if str(path) not in loader.bad]
    some = [good[i] for i in np.linspace(0, len(good) - 1, 8).astype(int)]
    pictures = [read_picture(path) for path, _ in some]
    views = np.stack([central_crop(picture, loader.statistics) for picture in pictures]) * np.float32(loader.scale)
    model.eval()
    with no_grad():
        probabilities = model(views).softmax().numpy()
    plots.draw_predictions(pictures, [label for _, label in some], probabilities, loader.folder.classes,
                           run / "predictions.png")


def train(given: argparse.Namespace) -> None:
    arrays, facts = checkpoint.load(checkpoint_of(given)) if "resume" in given else ({}, {})
    config, training, validation = configuration(given, facts.get("config", {}))
    if facts and facts["classes"] != training.classes:
        known, found = (f"{len(x)} classes ({', '.join(x[:3])} …)" for x in (facts["classes"], training.classes))
        raise DataError(f"the checkpoint knows {known}, the folder has {found}: give the data it was trained on")
    recipe = RECIPES[config["recipe"]]
    minicnn.manual_seed(config["seed"])
    chosen = where(config)
    devices = [minicnn.device(name) for name in chosen.split(",")]
    model = alexnet(config["variant"], len(training.classes), (devices[0], devices[-1]), config["width"],
                    recipe.inverted_dropout, config["half"])
    parameters = sum(p.size for p in model.parameters())

    run = None if "evaluate" in given else run_folder(given)
    print(f"minicnn {minicnn.__version__}: AlexNet ({config['variant']}), {parameters:,} parameters on "
          f"{' and '.join(map(repr, model.devices))}, {len(training):,} training and {len(validation):,} validation "
          f"pictures of {len(training.classes)} classes")
    print("settings:", ", ".join(f"{name} {config[name]}" for name in sorted(config) if name != "version"), flush=True)
    if facts:
        names = ("mean", "sigma", "axes")
        statistics = Statistics(*(arrays.pop(f"statistics.{name}") for name in names), bad={})
    else:
        print("measuring the mean and the colours of the training pictures", flush=True)
        statistics = Statistics.of(training, workers=config["workers"] + 1, progress=bar("measuring"))
    scale = 1 / statistics.deviation if recipe.unit_input else 1.0
    common = {"seed": config["seed"], "workers": config["workers"], "scale": scale}
    with (Loader(training, statistics, config["batch_size"], train=True, **common) as train_loader,
          Loader(validation, statistics, config["batch_size"], train=False, **common) as val_loader):
        if run is None:
            model.load_state_dict({n.removeprefix("model."): a for n, a in arrays.items() if n.startswith("model.")})
            scores = evaluate(model, val_loader).means()
            report(val_loader)
            print(f"top-1 {scores['top1']:.1%}, top-5 {scores['top5']:.1%}, loss {scores['loss']:.3f}: {given.resume}")
            return
        if not facts:
            first = itertools.islice(train_loader.epoch(0), math.ceil(ENOUGH / config["batch_size"]))
            recipe.start(model, np.concatenate([images for images, _ in first]))
        optimiser, schedule = recipe.optimiser(model), recipe.schedule()
        optimiser.momentum, optimiser.weight_decay = config["momentum"], config["weight_decay"]
        schedule.lr = config["lr"]
        kept = {f"statistics.{name}": getattr(statistics, name) for name in ("mean", "sigma", "axes")}
        trainer = Trainer(model, optimiser, schedule, train_loader, val_loader, run, keep=config["keep"],
                          save_minutes=config["save_minutes"],
                          loss_scale=LossScale() if config["half"] else None, graph=config["graph"],
                          extras=(kept, {"config": config, "classes": training.classes}))
        if facts:
            trainer.resume(arrays, facts)
            if "lr" in given:
                optimiser.lr = schedule.lr = given.lr
            print(f"resumed after {trainer.progress.step} steps, in epoch {trainer.progress.epoch + 1}", flush=True)
        facts_of_run = json.dumps(config | {"parameters": parameters, "devices": chosen}, indent=2)
        (run / "config.json").write_text(facts_of_run + "\n", encoding="utf-8")
        begun = time.monotonic()
        try:
            scores = trainer.fit(config["epochs"]).means()
            show_what_it_learned(model, val_loader, run)
        finally:
            report(train_loader, val_loader)
            if trainer.progress.best >= 0:
                print(f"best top-1 so far: {trainer.progress.best:.1%}")
    print(f"top-1 {scores['top1']:.1%}, top-5 {scores['top5']:.1%} after {config['epochs']} epochs, "
          f"{time.monotonic() - begun:.0f} s; everything is in {run}")


def checkpoint_of(given: argparse.Namespace) -> Path:
    """In the folder of a run, the last checkpoint to go on from, and the best one to evaluate."""
    name = "best.safetensors" if "evaluate" in given else "last.safetensors"
    return given.resume / name if given.resume.is_dir() else given.resume


def report(*loaders: Loader) -> None:
    """Name the pictures that could not be read."""
    bad = {path: reason for loader in loaders for path, reason in loader.bad.items()}
    for path, reason in sorted(bad.items()):
        print(f"skipped {path}: {reason}", file=sys.stderr)
    if bad:
        print(f"{len(bad)} pictures could not be read and were left out", file=sys.stderr)


def main() -> None:
    """Whatever goes wrong is said in one line. Exit status: 2 for a bad command line, 1 for what else can go wrong, 130
    when stopped."""
    given = arguments()
    minicnn.keep_memory()
    try:
        train(given)
    except Stopped:
        print("stopped; everything is saved: go on with --resume", file=sys.stderr)
        sys.exit(130)
    except KeyboardInterrupt:
        print("stopped before the first step", file=sys.stderr)
        sys.exit(130)
    except MemoryError as error:
        sys.exit(f"train_alexnet: {error}: try a smaller --batch-size")
    except OSError as error:
        sys.exit(f"train_alexnet: {error.filename or 'a file'}: {error.strerror or error}")
    except (ValueError, WorkerDied, ArithmeticError, RuntimeError) as error:  # the last from CUDA, or for want of a GPU
        sys.exit(f"train_alexnet: {error}")


if __name__ == "__main__":
    main()
