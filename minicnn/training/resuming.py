"""A run goes on from its checkpoint; and a line for whatever is another than it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .interrupt import say
from .pictures import say_changes
from .trainer import Trainer

__all__ = ["best_anew", "go_on"]

# that a resumed run may have otherwise; and what they were where an older run does not say, None: the same
OPTIONS = {"batch_size": None, "momentum": None, "weight_decay": None, "lars": None, "patience": None,
           "class_weights": "none", "shuffle_block": 0}


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
    for name in OPTIONS:
        if (before := saved.get(name, OPTIONS[name])) not in (None, is_now := config.get(name)):
            say(f"--{name.replace('_', '-')} was {before} and is {is_now}")
    order = saved["seed"] != config["seed"]
    if order:
        say(f"the seed was {saved['seed']} and is {config['seed']}")
    order |= saved.get("shuffle_block", 0) != config["shuffle_block"]
    ordered, others = say_changes(arrays, kept, saved["data"] == config["data"] is not None)  # None may be drawn anew
    order |= ordered
    if others:
        best_anew(trainer, arrays)
    if order and trainer.progress.place:
        trainer.progress = trainer.progress.epoch_anew()
        say("this epoch starts anew")


def best_anew(trainer: Trainer, arrays: dict[str, np.ndarray]) -> None:
    """Measure what is kept as the best on the validation pictures that there are now, as the epochs to come are. All
    ranks call this. arrays: what the run goes on with."""
    before = trainer.progress
    if before.best < 0 or not (kept := trainer.checkpoints.best()):
        return
    trainer.step.load_learned(kept)
    scores = trainer.validate().means()
    trainer.step.load_learned(arrays)
    trainer.checkpoints.best_is(scores["top1"], scores["loss"])
    trainer.progress = replace(before, best=scores["top1"], best_loss=scores["loss"])
    say(f"the best until here, of epoch {before.best_epoch}, has {scores['top1']:.1%} on these pictures, and had "
        f"{before.best:.1%}")
