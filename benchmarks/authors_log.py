"""The authors' own log of layers-19pct, number by number: what its first steps cost, and how large its weights become.

    python benchmarks/authors_log.py CIFAR-10 --output log.json        # as examples/train_cifar10.py takes it

The log stands in the wiki of cuda-convnet (TrainingNet): the training loss and error of each data batch of 10,000
pictures, in 79 steps of which the last is of 16; after 13 of them the test error, and of each layer the mean of |w| and
of its velocity. Their pictures are divided and ordered once, so here too, at random. A seed takes some two minutes.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from turns import blas, processor, unset_blas_variables, write

from minicnn import keep_memory, manual_seed
from minicnn.command_line import Parser, location, new_file, number
from minicnn.data import ArrayLoader, DataError
from minicnn.data.cifar import Small, cifar10
from minicnn.models.cuda_convnet import CUDA_CONVNETS, cuda_convnet
from minicnn.training.diagnosis import Diverged
from minicnn.training.scores import Scores, evaluate
from minicnn.training.step import Step

DATA_BATCHES = 5
THEIRS = {  # the training loss and error of 13 data batches; then the test's; then mean |w| and mean |velocity|
    "training": [(2.277909, 0.8796), (2.145043, 0.7804), (1.983224, 0.7243), (1.913032, 0.7020), (1.813073, 0.6724),
                 (1.758718, 0.6491), (1.735701, 0.6376), (1.666571, 0.6099), (1.659595, 0.6048), (1.605653, 0.5849),
                 (1.561900, 0.5653), (1.553927, 0.5610), (1.497355, 0.5384)],
    "test": (1.538126, 0.5534),
    "weights": {"conv1": (1.411148e-02, 6.725948e-05), "conv2": (8.830208e-03, 2.333602e-05),
                "conv3": (8.476456e-03, 2.630907e-05), "fc10": (1.826295e-03, 1.369660e-04)},
}  # fmt: skip


def run(seed: int, training: Small, test: Small) -> dict[str, Any]:
    """The same numbers of a run of ours."""
    net, random = CUDA_CONVNETS["layers-19pct"], np.random.default_rng(seed)
    mean = training.mean_image
    images = training.images - mean
    manual_seed(seed)
    model = cuda_convnet(net, len(training.classes))
    net.recipe.start(model, images[:1])
    step, size = Step(model, net.recipe.optimiser(model)), net.recipe.batch_size
    data_batches = np.array_split(random.permutation(len(images)), DATA_BATCHES)
    found = []
    for i in range(len(THEIRS["training"])):
        own, seen = data_batches[i % DATA_BATCHES], Scores()
        for first in range(0, len(own), size):
            some = own[first : first + size]
            seen.add(*step(images[some], training.labels[some]), training.labels[some])
        means = seen.means()
        found.append((round(means["loss"], 6), round(1 - means["top1"], 4)))
        print(f"seed {seed}, {i // DATA_BATCHES + 1}.{i % DATA_BATCHES + 1}: {found[-1][0]:.4f}, {found[-1][1]:.4f}",
              flush=True)
    asked = evaluate(model, ArrayLoader(test.images - mean, test.labels, 500, train=False)).means()
    velocity = step.optimiser.velocity
    weights = {name.split(".")[0]: (float(np.abs(p.numpy()).mean()), float(np.abs(velocity[name].numpy()).mean()))
               for name, p in model.named_parameters() if p.ndim > 1}  # fmt: skip
    return {"seed": seed, "training": found, "test": (asked["loss"], 1 - asked["top1"]), "weights": weights}


def table(runs: list[dict[str, Any]]) -> list[str]:
    """Theirs beside ours, of which the mean and the least and the greatest over the seeds."""

    def row(what: str, theirs: float, ours: list[float], form: str) -> str:
        mean, least, greatest = (format(f(ours), form) for f in (np.mean, np.min, np.max))
        return f"| {what} | {format(theirs, form)} | {mean} ({least} – {greatest}) |"

    rows = ["| layers-19pct | the authors' log | here |", "|---|---|---|"]
    for first, last in ((0, 5), (5, 10), (10, 13)):
        for k, what in enumerate(("loss", "error")):
            theirs = float(np.mean([pair[k] for pair in THEIRS["training"][first:last]]))
            ours = [float(np.mean([pair[k] for pair in run["training"][first:last]])) for run in runs]
            part = f"epoch {first // 5 + 1}" + ", its first three fifths" * (last - first < 5)
            rows.append(row(f"training {what}, {part}", theirs, ours, ".3f"))
    for k, what in enumerate(("loss", "error")):
        rows.append(row(f"test {what} then", THEIRS["test"][k], [run["test"][k] for run in runs], ".3f"))
    for name, theirs in THEIRS["weights"].items():
        for k, what in enumerate(("\\|w\\|", "\\|velocity\\|")):
            rows.append(row(f"mean {what} of {name}", theirs[k], [run["weights"][name][k] for run in runs], ".3g"))
    return rows


def main() -> None:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=location, help="as examples/train_cifar10.py takes it")
    parser.add_argument("--seeds", type=number(int, 0), nargs="+", default=[1, 2, 3], help="(default: 1 2 3)")
    parser.add_argument("--output", type=new_file, help="a file for the numbers")
    parser.add_argument("--keep-blas-variables", action="store_true",
                        help="do not unset OPENBLAS_CORETYPE and its like")
    asked = parser.parse_args()
    unset_blas_variables(asked.keep_blas_variables)
    keep_memory()
    try:
        training, test = cifar10(asked.data)
        runs = [run(seed, training, test) for seed in asked.seeds]
        write(asked.output, ["numpy", "numba"], machine=processor(), blas=blas(), theirs=THEIRS, runs=runs,
              pictures=[training.digest, test.digest])  # fmt: skip
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, DataError, Diverged) as error:
        sys.exit(f"authors_log: {error}")
    print("\n".join(table(runs)))


if __name__ == "__main__":
    main()
