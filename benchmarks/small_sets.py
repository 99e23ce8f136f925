"""Train on few pictures by the defaults of train_alexnet.py, beside a linear classifier that sees colours alone.

    python benchmarks/small_sets.py FOLDER                            # FOLDER/train/<class>/*, and val/ or test/
    python benchmarks/small_sets.py FOLDER --pictures 300 3000 30000 --seed 1 2 3 --json result.json
    python benchmarks/small_sets.py FOLDER --uneven 10                # the first class has ten times the last one's
    python benchmarks/small_sets.py                                   # the built-in set
    python benchmarks/small_sets.py FOLDER -- --width 0.25            # and whatever else train_alexnet.py takes

So many training pictures are drawn by the seed, class by class; fewer are a part of more. The rival is softmax
regression on a histogram of 8 × 8 × 8 colours, on the mean colours of 4 × 4 fields, and on both, at several rates and
weight decays. Of both the best epoch on the same validation pictures counts, of the rival that of its best setting,
too, which flatters it. The status is 1 where AlexNet did worse.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from turns import blas, processor, unset_blas_variables, write

from minicnn import nn, no_grad, ops, optim
from minicnn.command_line import Parser, location, new_file, number
from minicnn.data import DataError, built_in_set, image_folders

SCRIPT = Path(__file__).parent.parent / "examples" / "train_alexnet.py"
BINS, FIELDS = 8, 4
RATES, DECAYS, BATCH, STEPS = (0.003, 0.01), (0.001, 0.01, 0.1), 128, 1000
Samples = Sequence[tuple[Any, int]]


def drawn(samples: Samples, classes: int, count: int, seed: int, uneven: float = 1.0) -> Samples:
    """So many samples, whose classes have shares as in all of them, times 1 for the first, 1 / uneven for the last, and
    in even steps of a factor between; of each class those that a permutation by the seed puts first."""
    labels = np.array([label for _, label in samples])
    share = np.bincount(labels, minlength=classes) * uneven ** -np.linspace(0, 1, classes)
    sizes = np.maximum(1, np.floor(share * count / share.sum() + 0.5).astype(int))
    chosen: list[int] = []
    for label, size in enumerate(sizes):
        own = np.flatnonzero(labels == label)
        chosen += np.random.default_rng([seed, label]).permutation(own)[:size].tolist()
    return [samples[i] for i in chosen]


def lay(samples: Samples, classes: list[str], at: Path) -> None:
    """Links <class>/<file> to the pictures."""
    for number_, (path, label) in enumerate(samples):
        link = at / classes[label] / f"{number_:06d}{path.suffix.lower()}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.absolute())


# -- the rival ---------------------------------------------------------------------------------------------------------


def colours(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(√ of the share of pixels of each of 8 × 8 × 8 colours, the mean colours of 4 × 4 fields), flat."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    image.thumbnail((256, 256))
    bins = np.asarray(image).reshape(-1, 3) // (256 // BINS) @ np.array([BINS * BINS, BINS, 1])
    fields = np.asarray(image.resize((FIELDS, FIELDS), Image.Resampling.BOX), np.float32) / 255
    return np.sqrt(np.bincount(bins, minlength=BINS**3) / len(bins)).astype(np.float32), fields.reshape(-1)


def seen_in(samples: Samples) -> list[np.ndarray]:
    """[histograms, fields, labels] of the pictures that can be read; train_alexnet.py leaves out the others, too."""
    found = []
    for path, label in samples:
        try:
            found.append((*colours(path), np.array(label)))
        except Exception as error:  # a broken file makes Pillow raise nearly anything
            print(f"left out {path}: {error}", file=sys.stderr)
    if not found:
        raise DataError(f"none of {len(samples)} pictures can be read, as {samples[0][0]}")
    return [np.array(each) for each in zip(*found, strict=True)]


def linear(training: Samples, validation: Samples, classes: int) -> dict[str, Any]:
    """The best of softmax regression: its top-1, and by which colours and settings."""
    seen = [seen_in(part) for part in (training, validation)]
    labels = [part[2] for part in seen]
    best: dict[str, Any] = {"top1": -1.0}
    for kind, which in (("histogram", [0]), ("fields", [1]), ("both", [0, 1])):
        x, v = (np.concatenate([part[i] for i in which], axis=1) for part in seen)
        mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-3
        x, v = (x - mean) / deviation, (v - mean) / deviation
        for lr, decay in itertools.product(RATES, DECAYS):
            top1 = regression(x, labels[0], v, labels[1], classes, lr, decay)
            if top1 > best["top1"]:
                best = {"top1": top1, "colours": kind, "lr": lr, "weight_decay": decay}
    return best


def regression(x: np.ndarray, labels: np.ndarray, v: np.ndarray, right: np.ndarray, classes: int, lr: float,
               decay: float) -> float:
    """The highest of ten top-1 on (v, right) on the way to the end, where the rate is 0."""
    layer, random = nn.Linear(x.shape[1], classes), np.random.default_rng(0)
    layer.weight.writable()[...] = 0
    optimiser = optim.SGD(layer.named_parameters(), lr, 0.9, decay)
    best = 0.0
    for step in range(STEPS):
        optimiser.lr = lr * (1 + np.cos(np.pi * step / STEPS)) / 2
        some = random.integers(0, len(x), min(BATCH, len(x)))
        optimiser.zero_grad()
        ops.cross_entropy(layer(x[some]), labels[some]).backward()
        optimiser.step()
        if (step + 1) % (STEPS // 10) == 0:
            with no_grad():
                best = max(best, float((layer(v).numpy().argmax(axis=1) == right).mean()))
    return best


# -- the run -----------------------------------------------------------------------------------------------------------


def trained(data: Path, run: Path, seed: int, options: list[str]) -> dict[str, Any]:
    """What train_alexnet.py came to: the scores that its last line names, and those of each epoch."""
    begun = time.monotonic()
    command = [sys.executable, str(SCRIPT), str(data), "-o", str(run), "--seed", str(seed), "--keep", "0", *options]
    with (run.parent / "said").open("w+", encoding="utf-8") as said:
        if subprocess.run(command, stdout=said, stderr=subprocess.STDOUT).returncode:
            said.seek(0)
            sys.exit(f"small_sets: {' '.join(command)} failed: {said.read().strip().splitlines()[-1]}")
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    lines = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    epochs = [line for line in lines if "val_top1" in line]
    best = max(epochs, key=lambda line: (line["val_top1"], -line["val_loss"]))
    facts = {name: config[name] for name in ("recipe", "epochs", "batch_size", "lr", "schedule", "warm_up", "patience",
                                             "class_weights", "width", "workers", "blas")}  # fmt: skip
    return {"top1": best["val_top1"], "loss": best["val_loss"], "epoch": best["epoch"],
            "last_top1": epochs[-1]["val_top1"], "seconds": round(time.monotonic() - begun), "config": facts,
            "top1_of_epochs": [round(line["val_top1"], 5) for line in epochs]}  # fmt: skip


def measured(asked: argparse.Namespace, options: list[str]) -> list[dict[str, Any]]:
    """Of each number of pictures and each seed what both came to, also printed."""
    training, validation = image_folders(asked.folder or built_in_set())
    name, classes = asked.folder.name if asked.folder else "the built-in set", training.classes
    sizes = [count for count in asked.pictures if count <= len(training)] or [len(training)]
    others = drawn(validation.samples, len(classes), min(asked.validation, len(validation)), 0)
    print(f"{processor()}, {blas()}, {date.today()}: {name}, {len(classes)} classes, {len(others):,} for validation")
    print("pictures  a class        seed  AlexNet  after epoch  minutes  linear on colours")
    results: list[dict[str, Any]] = []
    for count, seed in itertools.product(sizes, asked.seed):
        chosen = drawn(training.samples, len(classes), count, seed, asked.uneven)
        if len(chosen) < count:
            print(f"a class has too few for --uneven {asked.uneven:g}: {len(chosen):,} of {count:,}", file=sys.stderr)
        counts = np.bincount([label for _, label in chosen], minlength=len(classes))
        rival = linear(chosen, others, len(classes))
        with tempfile.TemporaryDirectory() as at:
            for part, samples in (("train", chosen), ("val", others)):
                lay(samples, classes, Path(at) / "data" / part)
            ours = trained(Path(at) / "data", Path(at) / "run", seed, options)
        results.append({"pictures": len(chosen), "of_classes": counts.tolist(), "seed": seed, "alexnet": ours,
                        "linear": rival})  # fmt: skip
        spread = f"{counts.min():,}" + f" to {counts.max():,}" * bool(counts.min() < counts.max())
        print(f"{len(chosen):8,}  {spread:13}  {seed:4}  {ours['top1']:7.1%}  "
              f"{ours['epoch']:>3} of {ours['config']['epochs']:<4}  {ours['seconds'] / 60:7.1f}  {rival['top1']:.1%} "
              f"({rival['colours']}, rate {rival['lr']:g}, decay {rival['weight_decay']:g})", flush=True)  # fmt: skip
        write(asked.json, ["numpy", "numba", "pillow"], machine=processor(), data=name, validation=len(others),
              uneven=asked.uneven, options=options, results=results)
    return results


def main() -> None:
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = Parser(description=__doc__.partition(".")[0], epilog="What comes after -- goes to train_alexnet.py.")
    parser.add_argument("folder", nargs="?", type=location, metavar="FOLDER")
    parser.add_argument("--pictures", type=number(int, 1), nargs="+", default=[300, 3000, 30_000], metavar="N",
                        help="for training (default: 300 3000 30000, as far as there are so many)")  # fmt: skip
    parser.add_argument("--validation", type=number(int, 1), default=1000, metavar="N",
                        help="pictures to measure on, at most (default: 1000)")  # fmt: skip
    parser.add_argument("--uneven", type=number(float, 1), default=1.0, metavar="R",
                        help="R times as many pictures of the first class as of the last (default: 1)")  # fmt: skip
    parser.add_argument("--seed", type=number(int, 0), nargs="+", default=[1], metavar="S",
                        help="of what is drawn, and of the training (default: 1)")  # fmt: skip
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    parser.add_argument("--keep-blas-variables", action="store_true", help="measure with what holds BLAS back")
    asked, options = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    unset_blas_variables(asked.keep_blas_variables)
    try:
        results = measured(asked, options)
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, DataError) as error:
        sys.exit(f"small_sets: {error}")
    worse = [one for one in results if one["alexnet"]["top1"] < one["linear"]["top1"]]
    print(f"AlexNet is worse than the linear classifier in {len(worse)} of {len(results)}")
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
