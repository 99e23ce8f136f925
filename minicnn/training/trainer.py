"""Epochs of steps, and what is said, logged and saved of them. Nothing in it knows pictures, losses or GPUs."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..checkpoint import CheckpointError
from ..engine.settings import whole
from ..schedule import Schedule, WarmUp
from .bars import on_terminal
from .classes import Predictions
from .diagnosis import Diverged, Pace, Plateau, advice
from .interrupt import Stop, Stopped, say
from .keeping import Checkpoints, Progress
from .lines import of_epoch, of_patience, of_rate, of_step
from .log import Log
from .parallel import RanksDiffer
from .scores import LoaderLike, Scores, as_loader, evaluate, share_bad, shared
from .step import Step

__all__ = ["Diverged", "Progress", "Stopped", "Trainer"]


class Trainer:
    """Take a step for every batch of ``training``, measure it on ``validation``, keep everything in ``folder``.

    training, validation: loaders, or lists of batches (inputs, labels). folder: made where it is not there.
    extras: arrays and facts saved with every checkpoint, as what was done to the inputs and the names of the classes.
    keep: so many checkpoints of past epochs stay, besides the last and the best. save_minutes: one is written at least
    so often. print_every: steps from line to line where there is no terminal for a progress bar. epoch_ended: is called
    after every epoch, when that is saved. warm_up: how the schedule's rate is reached; by default it is from the start.
    patience: training ends after so many epochs without a better one, by top-1, then loss, on ``validation``; 0: never.
    predictions: what was said of each validation picture when they were looked at last. ended: see ``back_to_best``.

    Raises TypeError and ValueError where data or numbers are not of that kind.
    """

    def __init__(self, step: Step, schedule: Schedule,
                 training: LoaderLike | Sequence[tuple[Any, Any]], validation: LoaderLike | Sequence[tuple[Any, Any]],
                 folder: str | os.PathLike[str], *,
                 extras: tuple[dict[str, np.ndarray], dict[str, Any]] = ({}, {}),
                 keep: int = 1, save_minutes: float = 10.0, print_every: int = 10,
                 epoch_ended: Callable[[], None] = lambda: None, warm_up: WarmUp | None = None, patience: int = 0):
        self.step, self.model, self.optimiser, self.schedule = step, step.model, step.optimiser, schedule
        self.ranks = step.ranks
        self.training = shared(as_loader(training, "Trainer: training"), step.share)
        self.validation = shared(as_loader(validation, "Trainer: validation"), step.share)
        keep, self.patience = (whole("Trainer", *of, least=0) for of in (("keep", keep), ("patience", patience)))
        self.print_every = whole("Trainer", "print_every", print_every, least=1)
        if not save_minutes >= 0:
            raise ValueError(f"Trainer: save_minutes is {save_minutes}: it must be a number ≥ 0")
        self.folder, self.save_minutes, self.epoch_ended = Path(folder), save_minutes, epoch_ended
        self.warm_up = warm_up or WarmUp()
        self.checkpoints = Checkpoints(self.folder, step, schedule, extras, keep)
        self.log = Log(self.folder / "log.jsonl", writes=not self.ranks.rank)
        self.progress, self.plateau, self.stop, self.pace = Progress(), Plateau(step), Stop(), Pace(self.ranks)
        self.stops = self.due = False  # whether all are to stop, and whether a checkpoint is due: agreed upon
        self.predictions = Predictions()
        self.optimiser.lr, self.ended = schedule.lr, False

    def fit(self, epochs: int) -> Scores:
        """Train until so many epochs are done, in all, or ``patience`` ends it. Returns the last validation scores.

        Raises Diverged, Stopped and CheckpointError, and whatever else goes wrong; then what was learned since the last
        checkpoint is saved, if a number of whole steps was done and all weights are finite. A note says which.
        """
        epochs = whole("Trainer", "epochs", epochs, least=0)
        if self.ended:
            raise RuntimeError("Trainer: its model is that of the best epoch again: let another one resume from "
                               "last.safetensors")
        scores = None
        self.checkpoints.saved_at = time.monotonic()
        try:
            with self.stop:
                while self.progress.epoch < epochs and not self.out_of_patience():
                    begun = time.monotonic()
                    for _ in self._epoch(epochs):
                        if self.stops:
                            self._save_and_stop()
                        if self.due:
                            self.save()
                    scores = self._close_epoch(epochs, begun)
                    if self.progress.epoch < epochs and self.out_of_patience():
                        self._tell(*of_patience(self.progress))
                    self.epoch_ended()
        except Stopped:
            raise
        except (Diverged, CheckpointError, RanksDiffer) as error:
            if self.progress.step > self.checkpoints.saved and self.checkpoints.writes:
                error.add_note(self.checkpoints.lost())
            raise
        except BaseException as error:
            if self.checkpoints.writes:
                error.add_note(self.checkpoints.rescue(self.progress))
            raise
        return scores or self.validate()

    def out_of_patience(self) -> bool:
        """Whether ``patience`` epochs in a row were no better than the best before them."""
        return 0 < self.patience <= self.progress.waited()

    def validate(self, stop: Callable[[], bool] = lambda: False) -> Scores:
        """The scores on the validation set, as ``evaluate`` measures them; ``predictions`` are those of it."""
        self.predictions = Predictions()
        return evaluate(self.model, self.validation, stop, self.predictions, self.ranks)

    # -- an epoch ------------------------------------------------------------------------------------------------------

    def _epoch(self, epochs: int) -> Iterator[None]:
        """One epoch, or what is left of it, yielding after every step."""
        progress = self.progress
        self.model.train()
        title, total, terminal = f"epoch {progress.epoch + 1}/{epochs}", len(self.training), on_terminal()
        size = getattr(self.training, "batch_size", 1)
        progress.batch = min(progress.place // size, total)  # it may have been another before
        batches = iter(self.training.epoch(progress.epoch, progress.place, next(self.model.parameters()).device))
        with tqdm(desc=title, total=total, initial=progress.batch, unit="batch", disable=not terminal) as bar:
            clock = time.perf_counter()
            while parts := list(islice(batches, len(self.step.share))):
                arrived, exchanged = time.perf_counter(), self.ranks.waited
                done = progress.epoch + (progress.batch + 1) / total
                self.optimiser.lr = self.schedule.lr * self.warm_up.share(done)
                found = self.take_step(parts)
                progress.batch, progress.place = progress.batch + 1, progress.place + size
                bar.update()
                if not found:  # every picture of this batch was bad
                    continue
                loss, own = found
                here = self._agree(own, time.perf_counter() - clock - (self.ranks.waited - exchanged))
                seconds = time.perf_counter() - clock
                progress.scores = progress.scores.merge([here])
                text = self._log_step(here, seconds, arrived - clock, self.ranks.waited - exchanged)
                bar.set_postfix_str(text, refresh=False)
                if not terminal and (progress.batch % self.print_every == 0 or progress.batch == total):
                    say(f"{title}, batch {progress.batch}/{total}: {text}")
                self.plateau.see(loss, here.classes, parts, self.schedule.lr)
                yield
                clock = time.perf_counter()  # what a checkpoint takes is no part of a step

    def take_step(self, parts: list[tuple[Any, Any]]) -> tuple[float, Scores] | None:
        """One step, counted. Returns the loss of all its pictures and the scores of one's own, or None where there was
        none. Where it raises Diverged, that says at which step."""
        try:
            found = self.step.of(parts)
        except Diverged as error:
            what, *why = error.args
            place = f"at step {self.progress.step + 1}, in epoch {self.progress.epoch + 1}"
            raise Diverged(f"{what} {place}", *why) from None
        if not found:
            return None
        self.progress.step += 1
        loss, logits = found
        return loss, Scores.of(loss, logits, [labels for _, labels in parts])

    def _agree(self, own: Scores, seconds: float) -> Scores:
        """The scores of all; and let all ranks stop and save where one of them is to. seconds: that this one was busy
        with its part."""
        due = time.monotonic() - self.checkpoints.saved_at > 60 * self.save_minutes
        every = self.ranks.gather((own, self.stop.asked, due, seconds))
        self.stops, self.due = any(asked for _, asked, *_ in every), every[0][2]
        self.pace.see([each[-1] for each in every])
        return Scores().merge(each[0] for each in every)

    def _log_step(self, scores: Scores, seconds: float, waited: float, exchanged: float) -> str:
        """Write the line of a step into the log. Returns what a person wants to know of it."""
        line, text = of_step(self.progress, scores, self.optimiser.lr, seconds, waited,
                             exchanged if self.ranks.size > 1 else None, self.step.report())
        self.log.write(line)
        return text

    def _close_epoch(self, epochs: int, begun: float) -> Scores:
        """Look at the validation set, say and log the scores, save, and let the schedule set the rate."""
        self.step.check()
        share_bad(self.training, self.ranks)
        scores = self.validate(self._asked)
        if self._asked():
            self._save_and_stop()
        val, before = scores.means(), self.schedule.lr
        self._report_epoch(val, epochs, begun)
        self._save_epoch(val["top1"], val["loss"])
        if self.schedule.lr != before:
            self._tell(*of_rate(self.progress, before, self.schedule))
            self.optimiser.lr = self.schedule.lr
        return scores

    def _tell(self, line: dict[str, Any], text: str) -> None:
        self.log.write(line)
        say(text)

    def _asked(self) -> bool:
        """Whether any rank was asked to stop."""
        return any(self.ranks.gather(self.stop.asked))

    def _report_epoch(self, val: dict[str, float], epochs: int, begun: float) -> None:
        progress = self.progress
        line, text = of_epoch(progress, val, epochs, self.optimiser.lr, time.monotonic() - begun)
        if math.isfinite(val["loss"]):
            return self._tell(line, text)
        self.log.write(line)
        self.checkpoints.finite_state(progress)  # raises where it is the weights that are not
        raise Diverged(f"the validation loss is {val['loss']} after step {progress.step}, in epoch "
                       f"{progress.epoch + 1}: {advice(self.optimiser.lr)}")

    def _save_epoch(self, top1: float, loss: float) -> None:
        """Go over to the next epoch. Where that cannot be saved, it is not so: its last batch is done, and no more."""
        before, rate = self.progress, dict(vars(self.schedule))
        after = before.next_epoch(top1, loss)
        self.schedule.epoch_ended(1 - top1)
        try:
            self.progress = after
            self.checkpoints.save_epoch(after, is_best=after.since == after.epoch)
        except BaseException:
            self.progress = before
            vars(self.schedule).update(rate)
            raise
        self.checkpoints.drop_past(after.epoch)

    # -- saving and going on -------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write ``last.safetensors``. Raises what ``Checkpoints.save`` raises."""
        self.checkpoints.save(self.progress)

    def _save_and_stop(self) -> None:
        share_bad(self.training, self.ranks)
        self.save()
        self.ranks.part()
        raise Stopped

    def resume(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go on from what ``save`` wrote. Raises ValueError when it is of another model, or of another version."""
        self.progress = self.checkpoints.restore(arrays, facts, getattr(self.training, "batch_size", None))
        self.log.forget_after(self.progress.step, self.progress.epoch)
