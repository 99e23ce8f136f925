"""What a run says of a step and of an epoch: a line for the log, and its words for people."""

from __future__ import annotations

from typing import Any

from ..schedule import Schedule
from .keeping import Progress
from .scores import Scores, in_words

__all__ = ["of_epoch", "of_patience", "of_rate", "of_step"]

Line = tuple[dict[str, Any], str]


def of_step(progress: Progress, scores: Scores, lr: float, seconds: float, waited: float, exchanged: float | None,
            more: dict[str, float]) -> Line:
    """Of a step that took so many ``seconds``; waited: of these for pictures, exchanged: for other ranks, of which
    there are none without it. more: what else belongs into the log."""
    line = {"epoch": progress.epoch + 1, "step": progress.step, **scores.means(), "lr": lr,
            "images_per_second": scores.seen / seconds, "waiting": waited / seconds, **more}
    text = (f"loss {line['loss']:.3f}, {in_words(line, 0)}, {line['images_per_second']:.1f} images/s, lr {lr:g}, "
            f"waiting {line['waiting']:.0%}")
    if exchanged is not None:
        line["exchange"] = exchanged / seconds
        text += f", exchange {line['exchange']:.0%}"
    return line, text


def of_epoch(progress: Progress, val: dict[str, float], epochs: int, lr: float, seconds: float) -> Line:
    """Of an epoch of so many; val: the means of its scores on the validation set."""
    train = progress.scores.means()
    line = {"epoch": progress.epoch + 1, "step": progress.step, "lr": lr, "seconds": seconds,
            **{f"train_{k}": v for k, v in train.items()}, **{f"val_{k}": v for k, v in val.items()}}
    return line, (f"epoch {progress.epoch + 1}/{epochs}: training loss {train['loss']:.3f}, top-1 {train['top1']:.1%}; "
                  f"validation loss {val['loss']:.3f}, {in_words(val)}; {seconds:.0f} s")


def of_rate(progress: Progress, before: float, schedule: Schedule) -> Line:
    """Of a learning rate that is another from the epoch on that comes."""
    line = {"epoch": progress.epoch, "step": progress.step, "lr_before": before, "lr_after": schedule.lr}
    return line, f"the learning rate goes from {before:g} to {schedule.lr:g}, {schedule.reason}"


def of_patience(progress: Progress) -> Line:
    """Of a run that ends before its time."""
    waited, best = progress.waited(), progress.best_epoch
    line = {"epoch": progress.epoch, "step": progress.step, "epochs_without_improvement": waited}
    return line, f"it ends early, after epoch {progress.epoch}: none of the last {waited} was better than epoch {best}"
