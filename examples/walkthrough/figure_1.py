"""Figure 1 of Krizhevsky et al. 2012 (§3.1): how fast a network of four layers learns with ReLU, and with tanh.

    python examples/walkthrough/figure_1.py CIFAR-10 --seed 1      # as examples/train_cifar10.py takes it
    python examples/walkthrough/figure_1.py CIFAR-10 --batch-size 32 --level 0.35 -o figure_1_batch_32.csv
    python examples/walkthrough/figure_1.py                        # on ten patterns drawn on the spot

The network is that of the authors' layers-19pct.cfg, and nothing regularises. For each activation the learning rate is
searched on a grid, each rate twice the one before, until the fastest has both its neighbours beside it. Chapter 8 draws
figure_1.csv, which lies beside it, and holds each figure_1_*.csv there against it.
"""

import argparse
import itertools
import math
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from minicnn import keep_memory, nn, no_grad, ops
from minicnn.command_line import Parser, location, new_file, number
from minicnn.data import DataError, built_in_set
from minicnn.data.cifar import Small, cifar10
from minicnn.models.cuda_convnet import CUDA_CONVNETS, Net, cuda_convnet

FIRST = {"relu": 0.002, "tanh": 0.008}  # the rates where the searches begin
LEVEL = 0.25  # the training error to reach, where no other is asked for
HOPELESS = 5, 0.8  # a run that after so many epochs has a larger error is given up
AT_ONCE = 500  # pictures, where the error is measured
SAME = "data", "pictures", "start", "activation", "batch", "level", "epochs"  # what all runs of a table have
HEADER = "activation,seed,lr,epoch,train_error,seconds"


def network(activation: str, start: str, before: bool) -> Net:
    """layers-19pct.cfg with another activation and without weight decay. start: "authors", the weights of that file,
    for pixels of 0–255 less their mean; "data": what every layer gives has mean 0 and deviation 1 over some images.
    before: whether the first pooling comes after the activation, as those behind it do, and not before it."""
    net = CUDA_CONVNETS["layers-19pct"]
    words = {"max relu": "relu max" if before else "max relu", "relu": activation}
    stages = []
    for stage in net.stages:
        layers = stage.layers
        for old, new in words.items():
            layers = layers.replace(old, new)
        stages.append(stage._replace(layers=layers))
    recipe = replace(net.recipe, weight_decay=0.0)
    if start == "data":
        recipe = replace(recipe, deviation=None, deviations={}, from_data=True, unit_input=True)
    return replace(net, stages=tuple(stages), recipe=recipe)


def learn(net: Net, lr: float, pictures: Small, asked: argparse.Namespace) -> Iterator[tuple[int, float, float]]:
    """(epoch, training error over all pictures, seconds of processor time so far), until that error is the level."""
    nn.manual_seed(asked.seed)
    random = np.random.default_rng(asked.seed)
    images = pictures.images - pictures.mean_image
    images *= np.float32(net.recipe.scale(images.std()))
    model = cuda_convnet(net, len(pictures.classes))
    net.recipe.start(model, images[:100])
    optimiser = net.recipe.optimiser(model)
    optimiser.lr = lr
    begun = time.process_time()
    for epoch in range(asked.epochs + 1):
        order = random.permutation(len(images)) if epoch else []  # epoch 0 is before any step
        for first in range(0, len(order), asked.batch_size):
            batch = order[first : first + asked.batch_size]
            loss = ops.cross_entropy(model(images[batch]), pictures.labels[batch])
            if not math.isfinite(loss.item()):
                return  # the rate is too large
            model.zero_grad()
            loss.backward()
            optimiser.step()
        with no_grad():
            said = [model(images[i : i + AT_ONCE]).numpy().argmax(1) for i in range(0, len(images), AT_ONCE)]
        error = float(np.mean(np.concatenate(said) != pictures.labels))
        yield epoch, error, time.process_time() - begun
        if error <= asked.level:
            return


def reached(errors: Sequence[float], level: float = LEVEL) -> float:
    """After how many epochs the error was at the level, on the line between the ends of two epochs; ∞ where it never
    was."""
    for epoch, (before, error) in enumerate(itertools.pairwise(errors), 1):
        if error <= level:
            return epoch - (level - error) / (before - error)
    return math.inf


def search(activation: str, pictures: Small, asked: argparse.Namespace, table: list[str]) -> Iterator[list[str]]:
    """The lines of a run at every rate that is tried, ended where another was there already. table: lines of runs that
    are done."""
    net = network(activation, asked.start, asked.before)
    done: dict[float, list[float]] = {}  # the errors of the run at each rate
    for line in table:
        kind, seed, rate, _, error, _ = line.split(",")
        if (kind, seed) == (activation, str(asked.seed)):
            done.setdefault(float(rate), []).append(float(error))
    lr = asked.rate or FIRST[activation]

    def there(rate: float) -> float:
        return reached(done[rate], asked.level)

    while lr:
        if lr not in done:
            soonest = min(map(there, done), default=math.inf)
            lines, done[lr] = [], []
            for epoch, error, seconds in learn(net, lr, pictures, asked):
                done[lr].append(error)
                lines.append(f"{activation},{asked.seed},{lr},{epoch},{error:.5f},{seconds:.1f}")
                print(lines[-1], flush=True)
                if epoch >= soonest or (epoch == HOPELESS[0] and error > HOPELESS[1]):
                    break
            yield lines
        best = min(done, key=lambda rate: (there(rate), min(done[rate], default=1.0)))
        lr = next((rate for rate in (best / 2, best * 2) if rate not in done), 0.0)


def arguments() -> argparse.Namespace:
    parser = Parser(description="How many epochs ReLU and tanh take to the same training error.")
    add = parser.add_argument
    add("data", nargs="?", type=location, help="CIFAR-10, or a folder with train/<class>/* and test/<class>/* "
        "(default: ten patterns drawn on the spot)")
    add("--activations", nargs="+", choices=FIRST, default=list(FIRST), help="(default: relu tanh)")
    add("--epochs", type=number(int, 1), default=100, help="at most (default: 100)")
    add("--pictures", type=number(int, 1), help="so many, drawn by the seed (default: all)")
    add("-b", "--batch-size", type=number(int, 1), default=128, help="(default: 128)")
    add("--level", type=number(float, 0.0, 1.0), default=LEVEL, help=f"the training error to reach (default: {LEVEL})")
    add("--rate", type=number(float, 1e-9), help=f"where the search begins (default: {FIRST})")
    add("--start", choices=["authors", "data"], default="authors", help="of the weights (default: authors)")
    add("--before", action="store_true", help="the first activation stands before its pooling, not after it")
    add("--seed", type=number(int, 0), default=1, help="of weights, order and pictures (default: 1)")
    add("--machine", default=platform.platform(), help="what to write down as the machine")
    add("-o", "--output", type=new_file, default=Path("figure_1.csv"),
        help="the table; what is in it already is not done again (default: figure_1.csv)")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    keep_memory()
    try:
        pictures, _ = cifar10(asked.data or built_in_set())
        digest = pictures.digest
        some = np.random.default_rng(asked.seed).permutation(len(pictures.labels))[: asked.pictures]
        pictures = Small(pictures.images[some], pictures.labels[some], pictures.classes)
        command = [Path(word).name for word in sys.argv]
        facts = {"machine": asked.machine, "versions": f"Python {platform.python_version()}, NumPy {np.__version__}",
                 "date": time.strftime("%Y-%m-%d"), "command": shlex.join(["python", *command]),
                 "data": f"{len(some)} pictures of {len(pictures.classes)} classes", "pictures": digest,
                 "start": asked.start,
                 "activation": f"{'before' if asked.before else 'after'} the first pooling",
                 "batch": asked.batch_size, "level": asked.level, "epochs": f"{asked.epochs} at most"}  # fmt: skip
        table = [*(f"# {name}: {fact}" for name, fact in facts.items()), HEADER]
        if asked.output.exists():
            begun = asked.output.read_text(encoding="utf-8").splitlines()
            there = [line[2:].partition(",")[0] for line in begun]  # what stands behind a comma is only told
            other = [own for name in SAME if (own := f"{name}: {facts[name]}") not in there]
            if HEADER not in begun or other:
                raise DataError(f"{asked.output} is there, and not of this experiment, {'; '.join(other) or HEADER}: "
                                "choose another --output")
            table = begun
        for activation in asked.activations:
            for lines in search(activation, pictures, asked, table[table.index(HEADER) + 1:]):
                table += lines
                asked.output.write_text("\n".join(table) + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, DataError) as error:
        sys.exit(f"figure_1: {error}")


if __name__ == "__main__":
    main()
