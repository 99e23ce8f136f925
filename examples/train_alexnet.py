"""Train AlexNet on a folder of pictures, or, with none at hand, on a built-in set.

    python examples/train_alexnet.py                      # ten patterns drawn on the spot
    python examples/train_alexnet.py DATA                 # DATA/train/<class>/*, DATA/val/<class>/*
    python examples/train_alexnet.py DATA --split 0.2     # DATA/<class>/*, a fifth of each for validation
    python examples/train_alexnet.py TAR --val TAR        # the same in archives, which stay as they are
    python examples/train_alexnet.py DATA --weights FILE  # from a trained network, to other classes
    python examples/train_alexnet.py --resume runs/mine   # go on where a run was stopped
    python examples/train_alexnet.py DATA --plan          # only say what it takes: disk, memory, hours
    mpiexec -n 4 python examples/train_alexnet.py DATA    # four processes, here or on several machines

Exit status: 0 done, also where there was nothing to do; 1 something went wrong, as a line says; 2 a bad command line;
130 stopped by Ctrl-C, SIGTERM or a terminal that closed; 141 nobody reads any more what it prints.
"""

from __future__ import annotations

import argparse
import math
import secrets
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minicnn
from minicnn import checkpoint
from minicnn.command_line import Parser, location, number
from minicnn.data import DataError, Loader, Statistics, built_in_set
from minicnn.data.division import Division
from minicnn.data.folder import validation_name
from minicnn.data.images import Images
from minicnn.doctor import choose
from minicnn.kernels import blas, set_num_threads
from minicnn.kernels.product import allow_tf32
from minicnn.models import RECIPES, VARIANTS, AlexNet, alexnet, recipe_for
from minicnn.models.finetune import Start, start_from
from minicnn.models.recipes import FINETUNE
from minicnn.models.saved import OWN, read
from minicnn.ops import cross_entropy
from minicnn.optim import LossScale
from minicnn.schedule import SCHEDULES
from minicnn.training.bars import picture_bar
from minicnn.training.classes import Predictions
from minicnn.training.finishing import finish
from minicnn.training.interrupt import end_as_ctrl_c, ended, note, say
from minicnn.training.mpiexec import ranks_of_this_run
from minicnn.training.nccl import use_nccl
from minicnn.training.parallel import ALONE, Ranks, check_alike
from minicnn.training.parallel_step import ParallelStep
from minicnn.training.pictures import (
    ENOUGH,
    balanced_loss,
    balanced_weights,
    check_classes,
    first_pictures,
    pictures_under,
    say_unreadable,
    seen_by,
    warn_of_uneven,
)
from minicnn.training.plan import plan
from minicnn.training.resuming import go_on
from minicnn.training.run_folder import SPLIT, checkpoint_in, new_run, run_of, write_config
from minicnn.training.scores import evaluate, with_intervals
from minicnn.training.showing import introduce, keep_classes, say_classes
from minicnn.training.split import Split
from minicnn.training.step import CapturedStep, Step
from minicnn.training.trainer import Trainer

# -- what can be asked -------------------------------------------------------------------------------------------------


def device_names(text: str, most: int) -> str:
    """One device for both towers, or two; or auto. most: there may be, as two for each rank here."""
    if text == "auto":
        return text
    try:
        count = len([minicnn.device(name) for name in text.split(",")])
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if count > most:
        raise argparse.ArgumentTypeError(f"AlexNet has two towers: {count} devices are too many")
    return text


def of_recipes(setting: str) -> str:
    """What each recipe has of a setting."""
    return ", ".join(f"{name} {getattr(recipe, setting)}" for name, recipe in RECIPES.items())


def arguments(ranks: Ranks = ALONE) -> argparse.Namespace:
    """The command line. What it leaves out is absent, so that a resumed run can fill it in from its checkpoint."""
    parser = Parser(description="Train AlexNet on a folder of pictures.", argument_default=argparse.SUPPRESS,
                    epilog=__doc__.rpartition("\n\n")[2] if __doc__ else None, allow_abbrev=False)
    add = parser.add_argument
    add("data", nargs="?", type=location,
        help="folder with train/<class>/* and val/<class>/*; for val also valid, validation or test, of which the "
             "first that is there is taken; or an archive, .tar, also of tars, or .zip, or several, as "
             "'train-{000..146}.tar' (default: a set drawn on the spot)")
    add("--val", type=location, help="validation pictures that are not in DATA: a folder <class>/*, or archives")
    add("--labels", type=location, metavar="FILE",
        help="the classes of validation pictures that are in no folder: ImageNet's devkit.tar.gz, or a line for each, "
             "a class, or its name and its class")
    add("--split", type=number(float, 0.01, 0.99), metavar="SHARE",
        help="DATA is <class>/*: keep so much of each class for validation, as 0.2; the run keeps the division")
    from_file = parser.add_mutually_exclusive_group()
    from_file.add_argument("--weights", type=location, metavar="FILE",
        help="start from a trained network, all but its last layer: a run's folder, a checkpoint, torchvision's .pth "
             "or .safetensors, Caffe's .caffemodel; its variant, width, mean and scale are kept")
    from_file.add_argument("--resume", type=location, metavar="RUN",
        help="go on with the run in this folder, or from this checkpoint; its variant, width, recipe, schedule and "
             "split are its own")
    add("--variant", choices=VARIANTS, help="which AlexNet (default: blueprint)")
    add("--width", type=number(float, 0.01, 4), help="share of the paper's kernels and units (default: 1)")
    add("--recipe", choices=RECIPES, help="how it starts and learns (default: finetune with --weights, else small "
        "below 100,000 pictures)")
    add("--epochs", type=number(int, 1), help="in all, also when resumed (default: the recipe's, "
        f"{of_recipes('epochs')}; small at least as many as {RECIPES['small'].steps} steps take)")
    add("--patience", type=number(int, 0), metavar="EPOCHS",
        help="end early, after so many epochs in a row that are no better than the best before them, by top-1, then "
             "loss in validation, however far the schedule is (default: 0, never)")
    add("-b", "--batch-size", type=number(int, 1),
        help=f"(default: the recipe's, {of_recipes('batch_size')})")
    add("--lr", type=number(float, 0), help=f"learning rate (default: the recipe's, {of_recipes('lr')}; large for each "
        "128 of --batch-size; ten times that in the last layer of finetune, twice in conv1 of photographs)")
    add("--warm-up", type=number(float, 0), metavar="EPOCHS",
        help="the rate rises to --lr step by step in so many epochs, or a fraction of one (default: the recipe's, "
             "large 5 from 0.01 on, all others 0)")
    add("--lars", type=number(float, 1e-9), metavar="ETA",
        help="for batches beyond 1,024: each weight and bias has its own rate, LARS with this trust coefficient, 0.001 "
             "where it was published; --lr goes with it, and is far higher, there 10 for 4,096 (default: none)")
    add("--schedule", choices=SCHEDULES,
        help="of the learning rate: plateau, a tenth where validation stops improving; step, a tenth after each third "
             "of --epochs; cosine and poly, a parabola, to 0 over --epochs; constant (default: the recipe's, "
             f"{of_recipes('schedule')})")
    add("--class-weights", choices=("none", "balanced"),
        help="balanced: the fewer pictures a class has, the more one counts in the training loss; scores and the "
             "validation loss count all alike (default: none)")
    add("--momentum", type=number(float, 0, 0.9999), help="(default: the recipe's, 0.9)")
    add("--weight-decay", type=number(float, 0), help="(default: the recipe's, 0.0005)")
    add("--shuffle-block", type=number(int, 0), metavar="N",
        help="for disks that hate to seek: N neighbours stay together, in blocks of which 64 are mixed (default: 0, "
             "every picture by itself)")
    add("--statistics-of", type=number(int, 1), metavar="N",
        help="measure the mean and the colours of N pictures, spread evenly over all (default: of all)")
    add("--seed", type=number(int, 0, 2**63 - 1), help="of weights, order, crops, dropout (default: drawn and printed)")
    add("-j", "--workers", type=number(int, 0), help="processes that decode pictures (default: half of the cores)")
    add("--device", type=partial(device_names, most=2 * ranks.here()[1]),
        help="where the towers live, one or two, as cuda:0,cuda:1; the ranks of a machine share out its GPUs "
             "(default: auto, GPUs that work, else cpu:0,cpu:1)")
    add("--exact", action="store_true", help="the same bits on any number of ranks, more slowly: each batch is "
        "computed in --parts, which are added up in their order")
    add("--split-fc", action=argparse.BooleanOptionalAction, help="each rank keeps its share of the units of fc6, fc7 "
        "and fc8, of all images: far less is sent than with all weights on all ranks (\"one weird trick\")")
    add("--parts", type=number(int, 1), help="for --exact, as many ranks as may take part (default: 4)")
    add("--tf32", action="store_true", help="on GPUs, products of 10 bits after the point: meant for speed, less exact")
    add("--half", action="store_true", help="on GPUs, activations of half precision, a scaled loss: half the memory")
    add("--graph", action="store_true", help="on one GPU, capture a step as a CUDA graph and replay it for each batch")
    add("-o", "--output", type=location,
        help="folder of the run (default: runs/<date and time>), or of what --evaluate finds (default: the run's)")
    add("--evaluate", action="store_true", help="only measure the checkpoint given by --resume, on validation pictures")
    add("--crops", type=int, choices=(1, 10), help="views of each picture for --evaluate: its middle (default), or the "
        "paper's ten, of whose probabilities the mean counts")
    add("--keep", type=number(int, 0), help="past epochs to keep besides the last and the best (default: 1)")
    add("--save-minutes", type=number(float, 0), help="a checkpoint at least so often (default: 10)")
    add("--plan", action="store_true", help="only say what the run takes: checkpoints, memory, work, images/s of step "
        "and loader, hours; predicted, and measured on a few batches")
    given = parser.parse_args()
    if "evaluate" in given and "resume" not in given:
        parser.error("--evaluate measures a checkpoint: name it with --resume")
    if "crops" in given and "evaluate" not in given:
        parser.error("--crops is for --evaluate: in training the middle of each validation picture is seen")
    if "plan" in given and "evaluate" in given:
        parser.error("--plan is for training, --evaluate trains nothing: leave one out")
    if "val" in given and not ("data" in given or "resume" in given):
        parser.error("--val goes with DATA: name the training pictures, too")
    if "val" in given and "split" in given:
        parser.error("--split takes the validation pictures from DATA, --val has others: leave one out")
    if "split" in given and not ("data" in given or "resume" in given):
        parser.error("--split divides a folder of class folders: name it")
    if "recipe" in given and "resume" not in given and ("weights" in given) != (given.recipe == FINETUNE):
        parser.error(f"--recipe {given.recipe}: {FINETUNE} goes with --weights, and every other without")
    if "weights" in given:
        try:
            given.weights = start_from(given.weights, *(getattr(given, name, None) for name in ("variant", "width")))
        except (ValueError, OSError) as error:
            parser.error(str(error))
    return given


DEFAULTS: dict[str, Any] = {"data": None, "val": None, "labels": None, "split": None, "shuffle_block": 0,
                            "statistics_of": None, "variant": "blueprint", "width": 1.0, "device": "auto",
                            "tf32": False, "half": False, "graph": False, "class_weights": "none", "keep": 1,
                            "lars": None, "patience": 0, "save_minutes": 10.0, "exact": False, "parts": 4,
                            "split_fc": False}
Pictures = tuple[Images | None, Images, Division | None]  # of training, of validation, and which are which


def usual(ranks: Ranks = ALONE) -> dict[str, Any]:
    """Defaults that depend on the machine, and on chance, which is the same for all."""
    return {"workers": max(1, ranks.cores() // 2), "seed": ranks.broadcast(secrets.randbelow(2**31))}


def configuration(given: argparse.Namespace, facts: dict[str, Any], path: Path | None, start: Start | None,
                  more: dict[str, Any] | None = None) -> tuple[dict[str, Any], Pictures]:
    """What this run does, and on which pictures: what was given, else what the resumed run did or comes with the
    weights, else the defaults and the recipe's. facts, path: of its checkpoint, where one is resumed. more: defaults,
    see ``usual``."""
    saved = facts.get("config", start.config if start else {})
    asked = {name: value for name, value in vars(given).items()
             if name not in ("crops", "evaluate", "output", "plan", "resume")}
    for name in OWN:
        if name in asked and saved.get(name, asked[name]) != asked[name]:
            raise DataError(f"--{name} {asked[name]} would be another model: the checkpoint is of {name} "
                            f"{saved[name]}, which belongs to its weights: leave it out")
    config = DEFAULTS | (more or usual()) | saved | asked
    if facts:
        kept = {"split": None} | saved
        for name in ("schedule", "split"):
            if asked.get(name, kept[name]) != kept[name]:
                raise DataError(f"--{name} {asked[name]}: the run has {kept[name] or 'none'}, by which it goes on: "
                                "leave it out, or start a new run")
    root, val, labels = (config[name] and Path(config[name]).absolute() for name in ("data", "val", "labels"))
    config |= {name: value and str(value) for name, value in (("data", root), ("val", val), ("labels", labels))}
    root = root or drawn_set(config["workers"])
    if facts and "data" in asked and root.is_dir() and validation_name(root, facts["classes"]):
        config["split"] = None  # other pictures, which are divided
    pictures = pictures_under(root, config["split"], config["seed"], "evaluate" in given, path and path.parent / SPLIT,
                              val, labels)
    config.setdefault("recipe", recipe_for(len(pictures[0] or ()), config["variant"]))
    recipe = RECIPES[config["recipe"]]
    for name in ("batch_size", "schedule", "momentum", "weight_decay", "inverted_dropout", "warm_up"):
        config.setdefault(name, getattr(recipe, name))
    if "epochs" not in config:
        config["epochs"] = recipe.epochs_for(count := len(pictures[0] or ()), config["batch_size"])
        say(f"epochs: {config['epochs']}, of {-(-count // config['batch_size'])} steps each, as --recipe "
            f"{config['recipe']} has it")
    if config["lars"] and not saved.get("lars") and "lr" not in asked:
        raise DataError("--lars goes with rates far higher than others: give --lr with it, as 10 for batches of 4,096")
    config.setdefault("lr", recipe.rate(config["batch_size"]))
    if "evaluate" not in given and config["warm_up"] > config["epochs"]:
        note(f"the rate rises over {config['warm_up']:g} epochs and the run has {config['epochs']}: it never comes to "
             f"{config['lr']:g}: --warm-up takes fewer")
    if "evaluate" not in given and config["schedule"] == "plateau" and 0 < config["patience"] <= 3:
        note(f"--patience {config['patience']} ends the run before --schedule plateau, which waits for 3 epochs, can "
             "lower the rate: give more")
    return config | {"version": minicnn.__version__}, pictures


# -- what is done ------------------------------------------------------------------------------------------------------

def drawn_set(workers: int) -> Path:
    say("No folder of pictures was given: using the built-in set, ten patterns drawn on the spot.")
    return built_in_set(workers=workers + 1, progress=picture_bar("drawing pictures"))


def where(config: dict[str, Any], given: argparse.Namespace, ranks: Ranks = ALONE) -> str:
    """The names of the devices to use, after a line that says why where that was left to us. What a resumed run used
    and these devices lack is no longer in config, as another line says. Ranks of one machine share out its GPUs."""
    names, (_, count) = config["device"], ranks.here()
    if names == "auto":
        names, reason = choose(most=2 * count)
        say(f"device: {names} ({reason})")
    if "cuda" in names and count > 1:
        names = ",".join(ranks.own(names.split(",")))
    if config["tf32"] and "cuda" in names:
        allow_tf32(True)
    elif config["tf32"]:
        note("--tf32 is for GPUs: it changes nothing here")
    one_gpu = "cpu" not in names and len(set(names.split(","))) == 1
    for name, fits, words, way in (("half", "cpu" not in names, "GPUs", ""),
                                   ("graph", one_gpu, "one GPU", "give --device cuda:0, or ")):
        if config[name] and not fits:
            if name in given:
                raise DataError(f"--{name} is for {words}, the towers are on {names}: {way}leave it out")
            note(f"--{name}, which the run had, is for {words}, the towers are on {names}: it goes on without")
            config[name] = False
    return names


def train(given: argparse.Namespace, claims: ExitStack, ranks: Ranks = ALONE) -> None:
    """Train a new network, or a trained one for other classes, go on with a run, or only evaluate one. claims: holds
    the folder of the run. ranks: all of them do this together; what is read or written of the run, rank 0 does."""
    evaluates, plans = "evaluate" in given, "plan" in given
    path, run, arrays, facts = None, None, {}, {}
    if not ranks.rank:
        path = checkpoint_in(given.resume, evaluates) if "resume" in given else None
        run = None if path is None or evaluates or plans or "output" in given else run_of(given.resume, path, claims)
        arrays, facts = read(path) if path else ({}, {})
    path, run, arrays, facts = ranks.broadcast((path, run, arrays, facts))
    start: Start | None = vars(given).pop("weights", None)
    if ranks.size > 1:
        set_num_threads(ranks.cores())
        say(f"{ranks.size} ranks on {', '.join(dict.fromkeys(ranks.hosts))}: each computes a part of every batch")
        facts.get("config", {}).pop("workers", None)  # which were for another number of ranks
    more = usual(ranks)
    config, (training, validation, division) = ranks.first_then_others(
        lambda: configuration(given, facts, path, start, more))
    check_ranks(ranks, config | {name: getattr(given, name, None) for name in ("evaluate", "crops", "plan")}, training,
                validation)
    divides = not evaluates and splits(config, ranks)
    classes = validation.classes
    if facts:
        check_classes(facts["classes"], classes)
    done = facts["progress"]["epoch"] if facts else 0
    if facts and not evaluates and done >= config["epochs"]:
        say(f"There is nothing to do: epochs are counted in all, {done} are done, and {config['epochs']} were asked "
            "for: give more by --epochs")
        return
    recipe = RECIPES[config["recipe"]]
    minicnn.manual_seed(config["seed"])
    chosen = where(config, given, ranks)
    devices = [minicnn.device(name) for name in chosen.split(",")]
    check_alike(ranks, {"--half": config["half"], "--graph": config["graph"], "a device": devices[0].kind})
    if how := use_nccl(ranks, devices):
        say(how)
    model = alexnet(config["variant"], len(classes), (devices[0], devices[-1]), config["width"],
                    config["inverted_dropout"], config["half"])
    if run is None and not (evaluates or plans):
        run = ranks.broadcast(None if ranks.rank else new_run(getattr(given, "output", None), claims))
    introduce(model, config, training, validation)
    if facts:
        statistics = Statistics.from_arrays(arrays)
    elif start:
        statistics = start.statistics
        say(f"starting from {start.path}: fc8 is drawn anew for {len(classes)} classes, and its rate is "
            f"{recipe.rates['fc8']:g} times the others'")
    else:
        assert training is not None
        say("measuring the mean and the colours of the training pictures")
        statistics = Statistics.of(training, workers=config["workers"] + 1, progress=picture_bar("measuring"),
                                   sample=ENOUGH if plans else config["statistics_of"], share=ranks.share(),
                                   gather=ranks.gather)
    statistics = ranks.broadcast(statistics)
    config.setdefault("scale", recipe.scale(statistics.deviation))
    common = {"seed": config["seed"], "workers": config["workers"],
              "scale": config["scale"], "crop": model.pixels, "noise": recipe.noise}
    crops = getattr(given, "crops", 1)
    with Loader(validation, statistics, -(-config["batch_size"] // crops), train=False, crops=crops, **common
                ) as val_loader:
        if training is None or evaluates:
            measure(model, val_loader, arrays, path, getattr(given, "output", None), ranks)
            return
        with Loader(training, statistics, config["batch_size"], train=True, block=config["shuffle_block"], **common
                    ) as train_loader:
            if start:
                start.give(model)
                start = None  # which holds as much as the model
            elif not facts:
                recipe.start(model, first_pictures(train_loader, ENOUGH))
            if plans:
                plan(made_step(model, config, train_loader, ranks), train_loader, val_loader,
                     getattr(given, "output", path and path.parent) or Path("runs"), config["epochs"] - done,
                     config["keep"], config["workers"])
                return
            assert run is not None
            if ranks.size > 1:  # another BLAS may have started it with other bits
                model.load_state_dict(ranks.broadcast({} if ranks.rank else model.state_dict()))
            parameters = sum(p.size for p in model.parameters())
            if divides:
                Split(model, ranks)
                here = sum(p.size for p in model.parameters())
                say(f"fc6, fc7 and fc8 are split: {here:,} parameters are on {ranks.named(0)}")
            trainer = made_trainer(model, config, train_loader, val_loader, run, ranks)
            if facts:
                go_on(trainer, arrays, facts, getattr(given, "lr", None))
            if not ranks.rank and not trainer.out_of_patience():  # else there is nothing to do
                write_config(run, config | {"parameters": parameters, "devices": chosen, "blas": blas.in_use(),
                                            "ranks": ranks.size})
                if division:
                    division.write(run / SPLIT)
            finish(trainer, config["epochs"])


def check_ranks(ranks: Ranks, config: dict[str, Any], training: Images | None, validation: Images) -> None:
    """Raises DataError and ValueError where several ranks cannot do this together."""
    if ranks.size < 2:
        return
    if config["plan"]:
        raise DataError("--plan measures one process: leave mpiexec out")
    if config["batch_size"] < ranks.size:
        raise DataError(f"--batch-size {config['batch_size']} is too small for {ranks.size} ranks: each takes at least "
                        "one picture")
    if config["exact"] and config["parts"] < ranks.size:
        raise DataError(f"--exact computes {config['parts']} parts, which are too few for {ranks.size} ranks: give "
                        f"--parts {ranks.size}, or take fewer ranks")
    own = {f"--{name.replace('_', '-')}": value for name, value in config.items()
           if name not in ("version", "workers", "device")}
    check_alike(ranks, {"minicnn": minicnn.__version__, "NumPy": np.__version__, **own,
                        "training pictures": seen_by(training), "validation pictures": seen_by(validation)})
    if len(set(kernels := ranks.gather(blas.in_use()))) > 1:
        note("the ranks have different BLAS: " + "; ".join(map("{}: {}".format, ranks.hosts, kernels)))


def splits(config: dict[str, Any], ranks: Ranks) -> bool:
    """Whether the fully connected layers are to be divided. Raises DataError where that cannot be."""
    for name, why in (("exact", "the bits of what is split depend on the number of ranks"),
                      ("graph", "the ranks have to meet inside of a step, which a graph cannot")):
        if config["split_fc"] and config[name]:
            raise DataError(f"--split-fc and --{name} do not go together: {why}: leave one out, or give --no-split-fc")
    if config["exact"] and config["graph"]:
        raise DataError("--exact and --graph do not go together: each part would be another graph: leave one out")
    if config["split_fc"] and ranks.size == 1:
        note("--split-fc is for several ranks: here is one, and nothing is split")
    return config["split_fc"] and ranks.size > 1


def made_trainer(model: AlexNet, config: dict[str, Any], training: Loader, validation: Loader, run: Path,
                 ranks: Ranks = ALONE) -> Trainer:
    """What trains the model, with the recipe's rule and the settings of this run."""
    recipe = RECIPES[config["recipe"]]
    schedule = recipe.learning_rate(config["schedule"], config["lr"], config["epochs"])
    step = made_step(model, config, training, ranks)
    kept = training.statistics.arrays() | {"pictures.training": training.folder.listing(),
                                           "pictures.validation": validation.folder.listing()}
    return Trainer(step, schedule, training, validation, run, keep=config["keep"], save_minutes=config["save_minutes"],
                   extras=(kept, {"config": config, "classes": validation.folder.classes}),
                   warm_up=recipe.rising(config["lr"], config["warm_up"]), patience=config["patience"])


def made_step(model: AlexNet, config: dict[str, Any], training: Loader, ranks: Ranks = ALONE) -> Step:
    """A step by the recipe's rule, with the settings of this run."""
    optimiser = RECIPES[config["recipe"]].optimiser(model)
    optimiser.momentum, optimiser.weight_decay, optimiser.lars = (config[name] for name in
                                                                  ("momentum", "weight_decay", "lars"))
    balanced = config["class_weights"] == "balanced"
    loss = balanced_loss(training.folder, model.devices[0]) if balanced else cross_entropy
    if not balanced:
        warn_of_uneven(training.folder)
    kind = CapturedStep if config["graph"] else Step
    step = kind(model, optimiser, loss, LossScale() if config["half"] else None)
    if ranks.size == 1 and not config["exact"]:
        return step
    weights = balanced_weights(training.folder) if balanced else np.ones(len(training.folder.classes))
    return ParallelStep(step, ranks, config["parts"] if config["exact"] else 0,
                        lambda labels: float(weights[labels].sum(dtype=np.float64)))


def measure(model: AlexNet, loader: Loader, arrays: dict[str, np.ndarray], path: Path, output: Path | None,
            ranks: Ranks = ALONE) -> None:
    """The scores of a checkpoint on the validation pictures, and of each class. output: the folder in which these are
    kept, by default that of the run; a checkpoint outside of one leaves nothing behind."""
    model.load_state_dict(checkpoint.part(arrays, "model."))
    said, loader.share = Predictions(), ranks.share()
    scores = evaluate(model, loader, predictions=said, ranks=ranks)
    if ranks.rank:
        return
    say_unreadable(loader)
    loss = scores.means()["loss"]
    if not math.isfinite(loss):
        raise DataError(f"{path}: the loss over the validation pictures is {loss}: its weights diverged")
    say_classes(said, loader.folder.classes)
    folder = output or (path.parent if (path.parent / "log.jsonl").exists() else None)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        if keep_classes(said, loader, path.name, folder):
            say(f"wrong.csv names every picture that is wrong, beside confusions.png and classes.csv in {folder}")
    views = ", of ten views each" * (loader.crops == 10)
    say(f"{with_intervals(scores)}{views}, loss {loss:.3f}: {path}")


def main() -> None:
    """Whatever goes wrong is said in one line. The exit status is that of the help."""

    def as_asked() -> None:
        with ranks_of_this_run() as ranks, ExitStack() as claims:
            given = arguments(ranks)
            minicnn.keep_memory()
            train(given, claims, ranks)

    sys.exit(ended(as_asked, "train_alexnet"))


if __name__ == "__main__":
    end_as_ctrl_c()
    main()
