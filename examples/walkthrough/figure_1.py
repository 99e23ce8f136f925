"""Figure 1 of Krizhevsky et al. 2012 (§3.1): how fast a network of four layers learns with ReLU, and with tanh.

    python examples/walkthrough/figure_1.py --epochs 60 --output figure_1.csv        # on the built-in set
    python examples/walkthrough/figure_1.py DATA --pictures 1000                     # DATA/train/<class>/*

Nothing regularises. Each tries every learning rate, and the fastest counts. Chapter 8 draws the figure_1.csv that lies
beside it, and figure_1_data.csv, where --start data was given.
"""

import argparse
import itertools
import math
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import Tensor, keep_memory, nn, no_grad, ops, optim
from minicnn.command_line import Parser, location, new_file, number
from minicnn.data import BadPicture, ImageFolder, built_in_set, read_picture
from minicnn.models.recipes import standardise
from minicnn.nn import initialise

SIDE, BATCH = 32, 32  # pixels, pictures a step
RATES = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016]
LEVEL = 0.25  # the training error to reach
HOPELESS = 5, 0.8  # a run that after so many epochs has a larger error is given up
DEVIATIONS = 1e-4, 0.01, 0.01, 0.01  # of the weights, layer by layer (cuda-convnet, layers-19pct.cfg)


class Tanh(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()


ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": Tanh}


def network(activation: str, start: str, images: np.ndarray, classes: int) -> nn.Sequential:
    """Three convolutions of 5 × 5 and a linear layer, as in the authors' cuda-convnet, layers-19pct.cfg, but with max
    pooling alone. An activation that never falls gives the same before pooling as after it, where there is less of it.
    Both start by the same rule. "authors": the weights of that file, for pixels of 0–255 less their mean. "data": what
    every layer gives has mean 0 and deviation 1 over some images.
    """
    layers: list[nn.Module] = []
    for channels, kernels in ((3, 32), (32, 32), (32, 64)):  # pooling halves the side
        layers += [nn.Conv2d(channels, kernels, 5, padding=2), nn.MaxPool2d(padding=((0, 1), (0, 1))),
                   ACTIVATIONS[activation]()]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (SIDE // 8) ** 2, classes))
    if start == "data":
        standardise(net, images[:100])
    else:
        deviations = iter(DEVIATIONS)
        initialise(net, lambda *_: next(deviations), lambda _: 0.0)
    return net


def read(folder: ImageFolder, most: int) -> tuple[np.ndarray, np.ndarray]:
    """At most so many pictures a class, (N, 3, 32, 32), 0–255 less their mean, and their labels."""
    pictures, labels = [], []
    for label, group in itertools.groupby(folder.samples, lambda sample: sample[1]):
        for path, _ in itertools.islice(group, most):
            squares = read_picture(path).reshape(SIDE, 256 // SIDE, SIDE, 256 // SIDE, 3)
            pictures.append(squares.mean((1, 3), np.float32).transpose(2, 0, 1))
            labels.append(label)
    return np.stack(pictures) - np.mean(pictures, axis=0), np.array(labels)


def learn(activation: str, lr: float, images: np.ndarray, labels: np.ndarray, epochs: int,
          asked: argparse.Namespace) -> Iterator[Any]:
    """(epoch, training error over all images, seconds of processor time so far), until that error is LEVEL."""
    nn.manual_seed(asked.seed)
    random = np.random.default_rng(asked.seed)
    if asked.start == "data":
        images = images / images.std()
    net = network(activation, asked.start, images, 1 + labels.max())
    optimiser = optim.SGD(net.named_parameters(), lr, momentum=0.9, weight_decay=0, bias_lr=2)
    begun = time.process_time()
    for epoch in range(epochs + 1):
        order = random.permutation(len(images)) if epoch else []  # epoch 0 is before any step
        for first in range(0, len(order), BATCH):
            batch = order[first : first + BATCH]
            loss = ops.cross_entropy(net(images[batch]), labels[batch])
            if not math.isfinite(loss.item()):
                return  # the rate is too large
            net.zero_grad()
            loss.backward()
            optimiser.step()
        with no_grad():
            said = [net(images[i : i + 500]).numpy().argmax(1) for i in range(0, len(images), 500)]
        error = float(np.mean(np.concatenate(said) != labels))
        yield epoch, error, time.process_time() - begun
        if error <= LEVEL:
            return


def compare(images: np.ndarray, labels: np.ndarray, asked: argparse.Namespace) -> Iterator[str]:
    """The lines of the table: of both, a run at every rate, ended where another rate was there already."""
    for activation in ACTIVATIONS:
        most = asked.epochs
        for lr in sorted(asked.rates, reverse=True):
            for epoch, error, seconds in learn(activation, lr, images, labels, most, asked):
                yield f"{activation},{lr:g},{epoch},{error:.5f},{seconds:.1f}"
                if error <= LEVEL:
                    most = epoch
                if epoch == HOPELESS[0] and error > HOPELESS[1]:
                    break


def arguments() -> argparse.Namespace:
    parser = Parser(description="How many epochs ReLU and tanh take to the same training error.")
    add = parser.add_argument
    add("data", nargs="?", type=location, help="folder with train/<class>/* (default: ten patterns drawn on the spot)")
    add("--epochs", type=number(int, 1), default=60, help="at most (default: 60)")
    add("--pictures", type=number(int, 1), default=5000, help="at most so many a class (default: 5000)")
    add("--rates", type=number(float, 0), nargs="+", default=RATES, help=f"to try (default: {RATES})")
    add("--start", choices=["authors", "data"], default="authors", help="of the weights (default: authors)")
    add("--seed", type=number(int, 0), default=1, help="of weights and order (default: 1)")
    add("--machine", default=platform.platform(), help="what to write down as the machine")
    add("-o", "--output", type=new_file, default="figure_1.csv", help="the table, written when it ends or is stopped")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    keep_memory()
    try:
        folder = ImageFolder(Path(asked.data or built_in_set()) / "train")
        images, labels = read(folder, asked.pictures)
        order = np.random.default_rng(asked.seed).permutation(len(images))
        data = f"{len(images)} pictures of {len(folder.classes)} classes, from {asked.data or 'the built-in set'}"
        facts = {"machine": asked.machine, "versions": f"Python {platform.python_version()}, NumPy {np.__version__}",
                 "date": time.strftime("%Y-%m-%d"), "command": shlex.join(["python", *sys.argv]), "data": data,
                 "start": asked.start, "batch": BATCH, "seed": asked.seed}  # fmt: skip
        lines = [*(f"# {name}: {fact}" for name, fact in facts.items()), "activation,lr,epoch,train_error,seconds"]
        print("\n".join(lines), flush=True)
        try:
            for line in compare(images[order], labels[order], asked):
                print(line, flush=True)
                lines.append(line)
        finally:  # also where it is stopped
            asked.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, ValueError, BadPicture) as error:
        sys.exit(f"figure_1: {error}")


if __name__ == "__main__":
    main()
