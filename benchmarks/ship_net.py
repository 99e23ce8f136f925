"""Make of a run of train_alexnet.py the small file that comes with minicnn, for ``models.pretrained()``.

    python benchmarks/ship_net.py runs/mine minicnn/models/alexnet-cifar10.safetensors

Of the run's best checkpoint, or its last where there is no best: the weights in half precision, the mean picture as
32 × 32 squares of one colour, and no velocities. The file says how it was taught, and how many of the run's validation
pictures it is right for, before and after.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from record_run import loaders, without_paths

from minicnn import checkpoint
from minicnn.command_line import Parser, location, number
from minicnn.data import Images, Loader
from minicnn.models.saved import Saved, load
from minicnn.training.scores import evaluate

SQUARES = 32  # a side: CIFAR's pictures have no more pixels
TOLD = ("variant", "width", "recipe", "batch_size", "lr", "schedule", "weight_decay", "epochs", "seed")
LICENCE = "MIT, as minicnn. It holds none of the pictures that it learned from."
LEARNED_FROM = ("CIFAR-10: Alex Krizhevsky, Vinod Nair and Geoffrey Hinton, 2009, 60,000 photographs out of 80 Million "
                "Tiny Images")


def small(saved: Saved) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint, in a seventh of its bytes."""
    side = saved.statistics.mean.shape[1] // SQUARES
    mean = saved.statistics.mean.reshape(3, SQUARES, side, SQUARES, side).mean((2, 4))
    arrays = {f"model.{name}": array for name, array in saved.model.state_dict().items()}
    arrays |= saved.statistics.arrays() | {"statistics.mean": mean}
    return {name: array.astype(np.float16) if array.dtype == np.float32 else array for name, array in arrays.items()}


def right(saved: Saved, pictures: Images, workers: int) -> dict[str, float]:
    """Of how many pictures, and with which loss."""
    with Loader(pictures, saved.statistics, 128, scale=saved.scale, crop=saved.model.pixels, workers=workers,
                train=False) as loader:
        scores = evaluate(saved.model, loader)
    return {"pictures": scores.seen, **{name: round(value, 6) for name, value in scores.means().items()}}


def ship(run: Path, out: Path, data_name: str, workers: int) -> dict[str, Any]:
    """Write ``out``; what it says of itself."""
    saved = load(run)
    config, progress = saved.facts["config"], saved.facts["progress"]
    if not progress["epoch"]:
        raise ValueError(f"{run}: no epoch of it has ended: ship it when one has")
    with contextlib.ExitStack() as stack:
        pictures = [stack.enter_context(loader).folder for loader in loaders(run, saved, 0)][1]
    options = " ".join(f"--{name.replace('_', '-')} {config[name]}" for name in TOLD if name in config)
    facts = {"config": without_paths(config, data_name), "classes": saved.classes, "schedule": {},
             "progress": {name: progress[name] for name in ("epoch", "step")},
             "command": f"python examples/train_alexnet.py {data_name} {options}", "licence": LICENCE,
             "learned_from": LEARNED_FROM, "before": right(saved, pictures, workers)}
    checkpoint.save(out, small(saved), facts)
    facts["scores"] = right(load(out), pictures, workers)
    checkpoint.save(out, small(saved), facts)
    return facts


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("run", type=location, help="the folder of a run")
    parser.add_argument("out", type=location, help="the file")
    parser.add_argument("--data-name", default="CIFAR-10", help="what the file calls the pictures (CIFAR-10)")
    parser.add_argument("-j", "--workers", type=number(int, 0), default=1, help="processes that read pictures")
    options = parser.parse_args()
    try:
        facts = ship(options.run, options.out, options.data_name, options.workers)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{options.out}: {options.out.stat().st_size:,} bytes, after epoch {facts['progress']['epoch']} right for "
          f"{facts['scores']['top1']:.2%} of {facts['scores']['pictures']:,} ({facts['before']['top1']:.2%} before)")


if __name__ == "__main__":
    main()
