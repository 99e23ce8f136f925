"""Make of a run what can be shown to others: its pictures and numbers, without paths, and of its weights conv1's alone.

    python benchmarks/record_run.py runs/mine OUT --data-name CIFAR

Of the run's best checkpoint, or its last where there is no best, the folder OUT gets
    record.json           its epoch and scores; how alike pictures are that lie near each other in the last hidden layer
    config.json           the settings; of a path no more than its name
    log.jsonl             as it is
    curves.png            loss and accuracy
    kernels.png           the first layer, as Figure 3 of the paper
    kernels.csv           each kernel's colour, direction and so on in numbers, see ``minicnn.models.first_layer``
    kernels.safetensors   the kernels, as they are and as they were at the start, in half precision
    predictions.jpg       the five most probable classes of eight pictures, as Figure 4, left
    neighbours.jpg        the nearest of all training pictures to five others, as Figure 4, right
    thumbnails.jpg        the pictures in these two, by themselves
    confusions.png, classes.csv
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save
from turns import processor, write

from minicnn import manual_seed
from minicnn.command_line import Parser, location, number
from minicnn.data import Loader, built_in_set
from minicnn.models import RECIPES, alexnet
from minicnn.models.features import last_hidden, nearest, outputs_of
from minicnn.models.first_layer import looks
from minicnn.models.recipes import FINETUNE
from minicnn.models.saved import Saved, load
from minicnn.plots import draw_curves, draw_kernels, draw_neighbours, draw_predictions
from minicnn.training.bars import picture_bar
from minicnn.training.classes import Predictions
from minicnn.training.log import Log, to_json
from minicnn.training.neighbours import enough, neighbours
from minicnn.training.pictures import pictures_under, predictions
from minicnn.training.run_folder import SPLIT
from minicnn.training.scores import evaluate
from minicnn.training.showing import keep_classes

ASKED, EACH = 200, 6  # pictures, and how many of their nearest are counted, and drawn


def loaders(run: Path, saved: Saved, workers: int) -> tuple[Loader, Loader]:
    """The training and the validation pictures, as the run saw them."""
    config = saved.facts["config"]
    data, val, labels = (config.get(name) and Path(config[name]) for name in ("data", "val", "labels"))
    split = run / SPLIT
    training, validation, _ = pictures_under(data or built_in_set(), config.get("split"), config["seed"], False,
                                             split if split.exists() else None, val, labels)
    assert training is not None
    common: dict[str, Any] = {"scale": saved.scale, "crop": saved.model.pixels, "workers": workers, "train": False}
    return (Loader(training, saved.statistics, 128, **common), Loader(validation, saved.statistics, 128, **common))


def first_kernels(net: Any) -> dict[str, np.ndarray]:
    """By tower, (K, 3, R, S)."""
    return {name: tower.conv1.layers[0].weight.numpy() for name, tower in zip("ab", net.towers(), strict=False)}


def as_drawn(config: dict[str, Any], classes: int) -> dict[str, np.ndarray]:
    """The first kernels as the run drew them, but for the size of each, if it drew them."""
    if config["recipe"] == FINETUNE:
        return {}
    manual_seed(config["seed"])
    net = alexnet(config["variant"], classes, width=config["width"], inverted_dropout=config["inverted_dropout"])
    replace(RECIPES[config["recipe"]], from_data=False).start(net, np.zeros(0))
    return first_kernels(net)


def same_class(training: Loader, validation: Loader, describe: Callable[[np.ndarray], np.ndarray]) -> float:
    """Of the nearest of some training pictures to some others, the share that is of their class."""

    def spread(loader: Loader, count: int) -> Loader:
        chosen = np.zeros(len(loader.folder), bool)
        chosen[np.linspace(0, len(chosen) - 1, min(count, len(chosen))).astype(int)] = True
        return loader.of(loader.folder.part(chosen), 64)

    def described(loader: Loader) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for images, labels in loader.epoch(0):
            if len(labels):
                yield describe(images), labels

    asked = list(described(spread(validation, ASKED)))
    queries, own = (np.concatenate(part) for part in zip(*asked, strict=True))
    found, _ = nearest(queries, described(spread(training, enough(len(training.folder)))), EACH)
    return float((found == own[:, None]).mean())


def small(images: np.ndarray) -> np.ndarray:
    """Pixels, in blocks of 8 × 8."""
    side = images.shape[2] // 8
    cut = np.ascontiguousarray(images[:, :, : 8 * side, : 8 * side])
    return cut.reshape(len(cut), 3, side, 8, side, 8).mean((3, 5)).reshape(len(cut), -1)


def as_jpeg(path: Path, draw: Callable[[Path], None]) -> None:
    """What is drawn as PNG, of photographs, in a fifth of its bytes."""
    with TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn.png"
        draw(drawn)
        with Image.open(drawn) as image:
            image.convert("RGB").save(path, quality=90, optimize=True)


def thumbnails(pictures: list[np.ndarray], path: Path) -> None:
    """Pictures at 64 × 64 pixels, seven in a row, so that others can be drawn of them."""
    side, across = 64, 1 + EACH
    sheet = Image.new("RGB", (across * side, -(-len(pictures) // across) * side))
    for i, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(small, (i % across * side, i // across * side))
    sheet.save(path, quality=90, subsampling=0)


def write_kernels(now: dict[str, np.ndarray], before: dict[str, np.ndarray], out: Path) -> None:
    half = {f"{name}.{when}": np.ascontiguousarray(kernels, np.float16) for when, every in
            (("now", now), ("start", before)) for name, kernels in every.items()}
    (out / "kernels.safetensors").write_bytes(save(half))
    with (out / "kernels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        for tower, kernels in now.items():
            seen = looks(kernels)
            if tower == "a":
                table.writerow(["tower", "kernel", *seen._fields])
            for i, row in enumerate(zip(*seen, strict=True)):
                table.writerow([tower, i, *(f"{value:.4f}" for value in row)])


def without_paths(config: dict[str, Any], data_name: str) -> dict[str, Any]:
    """Of paths their names alone, for they say where somebody lives."""
    config = {name: Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
              for name, value in config.items()}
    return config | ({"data": data_name} if config.get("data") else {})


def record(run: Path, out: Path, data_name: str, workers: int) -> None:
    saved = load(run)
    if not saved.facts["progress"]["epoch"]:
        raise ValueError(f"{run}: no epoch of it has ended: record it when one has")
    training, validation = loaders(run, saved, workers)
    out.mkdir(parents=True, exist_ok=True)
    with training, validation:
        said = Predictions()
        scores = evaluate(saved.model, validation, predictions=said)
        keep_classes(said, validation, saved.path.name, out)
        (out / "wrong.csv").unlink(missing_ok=True)  # paths
        pictures, labels, probabilities = predictions(saved.model, validation)
        found = neighbours(saved.model, training, validation, each=EACH, searched=len(training.folder),
                           progress=picture_bar("searching"))
        layer = last_hidden(saved.model)
        near = {"by": layer, "asked": min(ASKED, len(validation.folder)), "searched": enough(len(training.folder)),
                "each": EACH,
                "same_class": same_class(training, validation, lambda x: outputs_of(saved.model, x, layer)),
                "same_class_by_pixels": same_class(training, validation, small)}
    names = saved.classes
    as_jpeg(out / "predictions.jpg", lambda path: draw_predictions(pictures, labels, probabilities, names, path))
    as_jpeg(out / "neighbours.jpg", lambda path: draw_neighbours(found.rows, names, found.in_words(), path))
    every = [*pictures, *(tile for picture, _, near in found.rows for tile in (picture, *(one for one, *_ in near)))]
    thumbnails(every, out / "thumbnails.jpg")
    first = first_kernels(saved.model)
    draw_kernels(list(first.values()), out / "kernels.png")
    write_kernels(first, as_drawn(saved.facts["config"], len(names)), out)
    shutil.copy(run / "log.jsonl", out / "log.jsonl")
    draw_curves(Log(out / "log.jsonl"), out / "curves.png")
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    (out / "config.json").write_text(to_json(without_paths(config, data_name), indent=2) + "\n", encoding="utf-8")
    progress = saved.facts["progress"]
    write(out / "record.json", ["numpy", "numba", "pillow"], machine=processor(), checkpoint=saved.path.name,
          epoch=progress["epoch"], step=progress["step"], classes=names, training=len(training.folder),
          validation=scores.seen, **scores.means(), nearest=near,
          predictions=[[names[label], {names[c]: float(p[c]) for c in np.argsort(-p, kind="stable")[:5]}]
                       for label, p in zip(labels, probabilities, strict=True)],
          neighbours=[[names[label], [[names[other], distance] for _, other, distance in near]]
                      for _, label, near in found.rows])


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("run", type=location, help="the folder of a run")
    parser.add_argument("out", type=location, help="a folder for what is to be shown")
    parser.add_argument("--data-name", default="DATA", help="what config.json calls the pictures (default: DATA)")
    parser.add_argument("-j", "--workers", type=number(int, 0), default=1, help="processes that read pictures")
    options = parser.parse_args()
    try:
        record(options.run, options.out, options.data_name, options.workers)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
