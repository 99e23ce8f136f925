"""A run goes on from its checkpoint; and a line for whatever is another than it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from .interrupt import say
from .pictures import say_changes
from .trainer import Trainer

__all__ = ["go_on"]


def go_on(trainer: Trainer, arrays: dict[str, np.ndarray], facts: dict[str, Any], lr: float | None = None) -> None:
    """Let a trainer of pictures go on from a checkpoint, see ``models.saved.read``. lr: a rate in place of its own.

    Where what changed decides which pictures were seen, the epoch starts anew, so that none is left out. Raises what
    ``Trainer.resume`` raises.
    """
    trainer.resume(arrays, facts)
    if lr is not None:
        trainer.schedule.lr = lr
        trainer.optimiser.lr = trainer.schedule.lr
    kept, now = trainer.checkpoints.extras
    config, saved = now["config"], facts["config"]
    say(f"resumed after {trainer.progress.step} steps, in epoch {trainer.progress.epoch + 1} of {config['epochs']}")
    if trainer.schedule.lr != facts["schedule"]["lr"]:
        say(f"the learning rate was {facts['schedule']['lr']:g} and is {trainer.schedule.lr:g}")
    if (before := saved.get("class_weights", "none")) != config["class_weights"]:
        say(f"--class-weights was {before} and is {config['class_weights']}")
    order = saved["seed"] != config["seed"]
    if order:
        say(f"the seed was {saved['seed']} and is {config['seed']}")
    if (before := saved.get("shuffle_block", 0)) != config["shuffle_block"]:
        say(f"--shuffle-block was {before} and is {config['shuffle_block']}")
        order = True
    order |= say_changes(arrays, kept, saved["data"] == config["data"] is not None)  # None may be drawn anew
    if order and trainer.progress.place:
        trainer.progress = trainer.progress.epoch_anew()
        say("this epoch starts anew")
