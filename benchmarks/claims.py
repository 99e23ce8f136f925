"""What of the paper's claims shows on CIFAR-10: each with and without, on the authors' net of 19 % test error.

    python benchmarks/claims.py CIFAR-10 --output claims.jsonl                     # hours: 8 nets, 3 seeds, 30 epochs
    python benchmarks/claims.py CIFAR-10 --nets plain lrn --seeds 1 --epochs 5     # a quick look
    python benchmarks/claims.py --table claims.jsonl                               # the table alone

A line of the file is a run: the test error after every epoch. What is in it already is not done again: a benchmark that
was stopped goes on, and several may be started, of other seeds, and their files joined.
"""

from __future__ import annotations

import contextlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from turns import blas, processor, unset_blas_variables

from minicnn import keep_memory, manual_seed
from minicnn.command_line import Parser, location, number
from minicnn.data import ArrayLoader, DataError
from minicnn.data.cifar import Small, cifar10
from minicnn.models.cuda_convnet import CUDA_CONVNETS, LAST, Net, Stage, cuda_convnet
from minicnn.models.variants import Norm
from minicnn.training.diagnosis import Diverged
from minicnn.training.scores import Scores, evaluate
from minicnn.training.step import Step

BASE = CUDA_CONVNETS["layers-19pct"]
CONV1, CONV2, CONV3, _ = BASE.stages
NOISE = 0.1  # of the colours, in units of their deviations (§4.1)
NORM = Norm(9, 0.001 / 9, 0.75, 1.0)  # cuda-convnet2: layers-cifar10-11pct.cfg


def with_stages(*stages: Stage, norm: Norm | None = None, **recipe: Any) -> Net:
    return replace(BASE, stages=stages, norm=norm, recipe=replace(BASE.recipe, **recipe))


def hidden(layers: str) -> Net:
    """256 units before the last ones, without which dropout has nothing to drop; weights as in layers-80sec.cfg."""
    return with_stages(CONV1, CONV2, CONV3, Stage("fc256", layers, 256), LAST,
                       deviations={"conv1": 1e-4, "fc": 0.1}, decays={"fc256": 7.5, "fc10": 7.5})


NETS = {  # by name
    "plain": BASE,
    "lrn": with_stages(CONV1._replace(layers="conv max relu norm"), CONV2._replace(layers="conv relu norm avg"), CONV3,
                       LAST, norm=NORM),
    "pools of 2": with_stages(*(stage._replace(pool=(2, 2)) for stage in BASE.stages)),
    "hidden": hidden("linear relu"),
    "hidden, dropout": hidden("linear relu dropout"),
    "colours": BASE,  # and what it is shown is varied
    # §3.2: against a net of one GPU with half as many kernels, but as many in the last convolution
    "two towers": with_stages(CONV1, CONV2._replace(groups=2), CONV3, LAST),
    "one tower": with_stages(CONV1._replace(maps=16), CONV2._replace(maps=16), CONV3, LAST),
}


@dataclass(frozen=True)
class Claim:
    """said: by how many points the paper's error falls, top-1 and top-5, and where it says so."""

    name: str
    with_it: str
    without: str
    said: str


CLAIMS = [
    Claim("response normalisation", "lrn", "plain", "1.4 and 1.2; CIFAR-10: 2 (§3.3)"),
    Claim("overlapping pooling", "plain", "pools of 2", "0.4 and 0.3 (§3.4)"),
    Claim("dropout", "hidden, dropout", "hidden", "“substantial overfitting” without (§4.2)"),
    Claim("colour noise", "colours", "plain", "over 1 (§4.1)"),
    Claim("two towers, not one", "two towers", "one tower", "1.7 and 1.2 (§3.2)"),
]

# -- runs --------------------------------------------------------------------------------------------------------------


def colours(images: np.ndarray) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """What adds to every pixel of an image Σᵢ axes[:, i] · αᵢ · σ[i], αᵢ ~ N(0, NOISE²) (§4.1)."""
    pixels = images.transpose(0, 2, 3, 1).reshape(-1, 3).astype(np.float64)
    variances, axes = np.linalg.eigh(np.cov(pixels.T))
    sigma = np.sqrt(np.maximum(variances, 0))

    def augment(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image + (axes @ (rng.normal(0, NOISE, 3) * sigma)).astype(np.float32)[:, None, None]

    return augment


def run(name: str, seed: int, epochs: int, lr: float, training: Small, test: Small) -> dict[str, Any]:
    """The line of a run. The rate falls along a cosine: of so few epochs the authors' two drops at the end
    would be nearly one."""
    net, begun = NETS[name], time.monotonic()
    mean = training.mean_image
    images = training.images - mean
    manual_seed(seed)
    model = cuda_convnet(net, len(training.classes))
    net.recipe.start(model, images[:1])
    step = Step(model, net.recipe.optimiser(model))
    schedule = net.recipe.learning_rate("cosine", lr, epochs)
    shown = ArrayLoader(images, training.labels, net.recipe.batch_size, train=True, seed=seed,
                        augment=colours(images) if name == "colours" else None)
    asked = ArrayLoader(test.images - mean, test.labels, 500, train=False)
    errors, seen = [], Scores()
    for epoch in range(epochs):
        step.optimiser.lr, seen = schedule.lr, Scores()
        model.train()
        for batch in shown.epoch(epoch):
            (loss, logits), (_, labels) = step(*batch), batch
            seen.add(loss, logits, labels)
        errors.append(1 - evaluate(model, asked).means()["top1"])
        schedule.epoch_ended(errors[-1])
        print(f"{name}, seed {seed}, epoch {epoch + 1}/{epochs}: training loss {seen.means()['loss']:.3f}, "
              f"test error {errors[-1]:.2%}", flush=True)
    return {"net": name, "seed": seed, "epochs": epochs, "lr": lr, "test_errors": [round(error, 5) for error in errors],
            "train_error": round(1 - seen.means()["top1"], 5), "seconds": round(time.monotonic() - begun, 1)}


# -- the table ---------------------------------------------------------------------------------------------------------


def lines_of(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):  # of a run that was cut off
            lines.append(json.loads(line))
    return lines


def add_line(path: Path, line: dict[str, Any]) -> None:
    """Behind what is there, of which the last line may have been cut off."""
    whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * (not whole) + json.dumps(line) + "\n")


def spread(differences: list[float]) -> str:
    """Their mean, and an interval of 95 % by Student's t, which of three seeds is 2.48 deviations wide to each side."""
    mean = statistics.mean(differences)
    if len(differences) < 2:
        return f"{mean:+.2f}"
    t = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262][min(len(differences), 10) - 2]
    half = t * statistics.stdev(differences) / math.sqrt(len(differences))
    return f"{mean:+.2f} ± {half:.2f}"


def table(runs: list[dict[str, Any]]) -> list[str]:
    """A line for each claim, of which there are runs with and without it by the same seeds: of the longest runs, and of
    these of the highest rate."""
    runs = [line for line in runs if line.keys() >= {"net", "seed", "epochs", "lr", "test_errors", "train_error"}]
    chosen = max(((line["epochs"], line["lr"]) for line in runs), default=None)
    last = {(line["net"], line["seed"]): line for line in runs if (line["epochs"], line["lr"]) == chosen}
    rows = ["| claim | the paper, points less | with it, test error (training) | without | points less here |",
            "|---|---|---|---|---|"]
    for claim in CLAIMS:
        seeds = sorted({seed for net, seed in last if net == claim.with_it}
                       & {seed for net, seed in last if net == claim.without})  # fmt: skip
        if not seeds:
            continue
        sides = [[last[net, seed] for seed in seeds] for net in (claim.with_it, claim.without)]
        each = (" ".join(f"{100 * line['test_errors'][-1]:.2f} ({100 * line['train_error']:.1f})" for line in side)
                for side in sides)
        less = [100 * (b["test_errors"][-1] - a["test_errors"][-1]) for a, b in zip(*sides, strict=True)]
        rows.append(f"| {claim.name} | {claim.said} | {' | '.join(each)} | {spread(less)} |")
    return rows


def main() -> None:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", type=location, help="as examples/train_cifar10.py takes it")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS), help="(default: all)")
    parser.add_argument("--seeds", type=number(int, 0), nargs="+", default=[1, 2, 3], help="(default: 1 2 3)")
    parser.add_argument("--epochs", type=number(int, 1), default=30, help="of each run (default: 30)")
    parser.add_argument("--lr", type=number(float, 0), default=0.002,
                        help="the rate at the start (default: 0.002, for few epochs; the authors', for 140: 0.001)")
    parser.add_argument("--output", type=location, default=Path("claims.jsonl"), help="(default: claims.jsonl)")
    parser.add_argument("--table", type=location, metavar="FILE", help="only print the table of this file")
    parser.add_argument("--keep-blas-variables", action="store_true",
                        help="do not unset OPENBLAS_CORETYPE and its like")
    asked = parser.parse_args()
    if asked.table and not asked.table.exists():
        parser.error(f"--table {asked.table}: there is no such file")
    if asked.table:
        print("\n".join(table(lines_of(asked.table))))
        return
    if not asked.data:
        parser.error("DATA is missing, or --table")
    unset_blas_variables(asked.keep_blas_variables)
    keep_memory()
    try:
        training, test = cifar10(asked.data)
        facts = {"machine": processor(), "blas": blas(), "date": date.today().isoformat(),
                 "training": len(training.labels), "test": len(test.labels),
                 "pictures": [training.digest, test.digest]}  # fmt: skip
        there = lines_of(asked.output)
        if [line for line in there if line.get("pictures", facts["pictures"]) != facts["pictures"]]:
            raise DataError(f"{asked.output} is there, and of other pictures: choose another --output")
        if not there:
            add_line(asked.output, facts)
        for seed in asked.seeds:
            for name in asked.nets:
                done = [[line.get(key) for key in ("net", "seed", "epochs", "lr")] for line in lines_of(asked.output)]
                if [name, seed, asked.epochs, asked.lr] not in done:
                    add_line(asked.output, run(name, seed, asked.epochs, asked.lr, training, test))
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, DataError, Diverged) as error:
        sys.exit(f"claims: {error}")
    print("\n".join(table(lines_of(asked.output))))


if __name__ == "__main__":
    main()
