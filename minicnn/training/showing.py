"""What is shown of a run and left in its folder for people: pictures, tables, which pictures are wrong. Where one of
these cannot be made a line says so, and the run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__
from ..data import Images, Loader
from ..files import written_aside
from ..models import AlexNet
from ..models.first_layer import in_words
from .bars import picture_bar
from .classes import Predictions, advice_on, class_table, of_classes, write_classes, write_wrong
from .interrupt import note, say
from .log import Log
from .neighbours import neighbours as neighbours_of
from .pictures import predictions as predictions_of

__all__ = ["Curves", "introduce", "keep_classes", "made", "say_classes", "show_what_it_learned"]

SHARE = 0.05  # of the time of a run that its curves may take


def introduce(model: AlexNet, config: dict[str, Any], training: Images | None, validation: Images) -> None:
    """Say what is going to work on what."""
    counts = " and ".join(f"{len(folder):,} {name}" for folder, name in
                          ((training, "training"), (validation, "validation")) if folder)
    parameters, devices = sum(p.size for p in model.parameters()), model.devices[:len(model.towers())]
    say(f"minicnn {__version__}: AlexNet ({model.variant}), {parameters:,} parameters on "
        f"{' and '.join(map(repr, devices))}, {counts} pictures of {len(validation.classes)} classes")
    for folder in {folder.root: folder for folder in (training, validation) if folder}.values():
        if words := folder.left_out_in_words():
            say(f"{folder.root}: {words}")
    say("settings: " + ", ".join(f"{name} {config[name]}" for name in sorted(config) if name != "version"))


def made(path: Path, make: Callable[[Path], None]) -> str:
    """Let make(file) write the file ``path``, whole or not at all. Returns why that failed, if it did.

    Whatever fails is no reason to end a run: a full disk, a matplotlib that is not there, or its bugs.
    """
    try:
        with written_aside(path) as aside:
            make(aside)
    except Exception as error:
        return f"{path} is not made: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}"
    return ""


class Curves:
    """``curves.png`` in the folder of a run: drawn anew after every epoch, as long as that takes no more than a
    twentieth of the time, and at the end."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.took, self.drawn_at, self.complained = 0.0, -float("inf"), False

    def epoch_ended(self) -> None:
        """Draw, unless the last time was too short ago for what it took."""
        if time.monotonic() - self.drawn_at >= self.took / SHARE:
            self.draw()

    def draw(self) -> None:
        """Draw what is in the log, if anything of the run is saved. What fails is said once."""
        if not (self.folder / "last.safetensors").exists():
            return  # a run that may be started anew in the same folder

        def curves(path: Path) -> None:
            from ..plots import draw_curves  # needs matplotlib

            draw_curves(Log(self.folder / "log.jsonl"), path)

        begun = time.monotonic()
        why = made(self.folder / "curves.png", curves)
        self.drawn_at = time.monotonic()
        self.took = self.drawn_at - begun
        if why and not self.complained:
            note(why)
        self.complained |= bool(why)


def show_what_it_learned(model: AlexNet, training: Loader, validation: Loader, run: Path, searched: int | None = None
                         ) -> None:
    """kernels.png and, of pictures that can be read, predictions.png and neighbours.png. What cannot be drawn is said.

    searched: so many training pictures for neighbours, see ``neighbours.enough``."""
    pictures, labels, probabilities = predictions_of(model, validation)
    towers, classes = [tower.conv1.layers[0].weight.numpy() for tower in model.towers()], validation.folder.classes

    def kernels(path: Path) -> None:
        from ..plots import draw_kernels  # needs matplotlib

        draw_kernels(towers, path)

    def predicted(path: Path) -> None:
        from ..plots import draw_predictions

        draw_predictions(pictures, labels, probabilities, classes, path)

    def neighbours(path: Path) -> None:
        from ..plots import draw_neighbours

        found = neighbours_of(model, training, validation, searched=searched, progress=picture_bar("searching"))
        draw_neighbours(found.rows, classes, found.in_words(), path)

    for line in in_words(towers):
        say(line)
    why = made(run / "kernels.png", kernels) or (pictures and (made(run / "predictions.png", predicted)
                                                               or made(run / "neighbours.png", neighbours)))
    if why:
        note(why)


def say_classes(predictions: Predictions, names: list[str]) -> None:
    """The table of the classes, and what a mean hides."""
    classes = of_classes(predictions, names)
    for line in [*class_table(classes).splitlines(), *advice_on(classes)]:
        say(line)


def keep_classes(predictions: Predictions, loader: Loader, what: str, folder: Path) -> bool:
    """Write ``wrong.csv``, ``classes.csv`` and ``confusions.png`` into a folder. what: was asked, as best.safetensors.
    Returns whether that went well; if not, a line says why."""
    names, samples = loader.folder.classes, loader.folder.samples
    classes, every = of_classes(predictions, names), len(predictions.all)
    right = 1 - len(predictions.wrong()) / every
    title = f"{what}: {right:.1%} of {every:,} validation pictures are right"

    def confusions(path: Path) -> None:
        from ..plots_of_classes import draw_confusions  # needs matplotlib

        draw_confusions(predictions, names, title, path)

    for name, make in (("wrong.csv", lambda path: write_wrong(predictions, names, samples, path)),
                       ("classes.csv", lambda path: write_classes(classes, path)), ("confusions.png", confusions)):
        if why := made(folder / name, make):
            note(why)
            return False
    return True
