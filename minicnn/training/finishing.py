"""The end of a run: whatever its last epoch was, what is shown, measured and named is its best."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from .interrupt import say
from .pictures import say_unreadable
from .scores import Scores, in_words
from .showing import Curves, keep_classes, say_classes, show_what_it_learned
from .trainer import Trainer

__all__ = ["back_to_best", "finish"]


def back_to_best(trainer: Trainer) -> Scores | None:
    """Let the model be what it was after the best epoch. Returns its validation scores, measured anew; or None, and
    leaves the model, where that epoch was the last or is not in the folder. All ranks call this.

    What is kept is left as it is: a run goes on from its last epoch, by another trainer.
    """
    if not (trainer.progress.waited() and (arrays := trainer.checkpoints.best())):
        return None
    trainer.step.load_learned(arrays)
    trainer.ended = True
    return trainer.validate()


def finish(trainer: Trainer, epochs: int) -> None:
    """Train pictures until so many epochs are done, in all, and let the model be what it was after the best of them;
    show that, and name it. All ranks call this. Raises what ``Trainer.fit`` raises."""
    begun = time.monotonic()
    model: Any = trainer.model
    training: Any = trainer.training
    loader: Any = trainer.validation
    curves = Curves(trainer.folder)
    if trainer.out_of_patience():
        say(f"There is nothing to do: since epoch {trainer.progress.best_epoch}, the best, {trainer.progress.waited()} "
            f"epochs got no better, and --patience is {trainer.patience}: give more, or 0 for epochs to the end")
        return
    if trainer.ranks.rank:
        trainer.fit(epochs)
        back_to_best(trainer)
        trainer.step.join()
        return
    trainer.epoch_ended = curves.epoch_ended
    try:
        scores = trainer.fit(epochs)
        try:
            best = back_to_best(trainer)
            trainer.step.join()  # from here on, the model is asked by this rank alone
            shown = trainer.progress.best_epoch if best else trainer.progress.epoch
            show_what_it_learned(model, training, loader, trainer.folder)
            keep_classes(trainer.predictions, loader, f"after epoch {shown}", trainer.folder)
            say_classes(trainer.predictions, loader.folder.classes)
        except BaseException as error:
            error.add_note("what was learned is saved")
            raise
    finally:
        say_unreadable(trainer.training, loader)
        curves.draw()
        progress = trainer.progress
        if progress.best >= 0:
            with suppress(OSError):  # what was raised before is more to the point
                of = ", of those that the run went back from" if progress.gone_back() else ""
                say(f"best epoch: {progress.best_epoch}{of}, top-1 {progress.best:.1%}, kept in "
                    f"{trainer.folder / 'best.safetensors'}")
    among = "before the run went back" if progress.gone_back() else f"the best of {progress.epoch}"
    others = f", {among}" if best else ""
    say(f"{in_words((best or scores).means())} after epoch {shown}{others}, {time.monotonic() - begun:.0f} s; "
        f"everything is in {trainer.folder}")
