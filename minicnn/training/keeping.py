"""What is kept of a run: the last checkpoint, the best, those of past epochs; and how a run goes on from one."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import checkpoint
from ..schedule import Schedule
from .diagnosis import Diverged, advice
from .interrupt import note, say
from .run_folder import Busy, Claim
from .scores import Scores
from .step import Step

__all__ = ["Checkpoints", "Progress"]

NONE = (-1.0, 0, 0.0)  # top-1, epoch and loss of the best, where there is none yet
PAST = re.compile(r"epoch-(\d{4,})\.safetensors")  # ``keep`` is about these; others are the user's


@dataclass
class Progress:
    """Where a run is: all that a resumed one must know besides weights, velocities and rate."""

    epoch: int = 0  # of those begun, the last
    batch: int = 0  # of this epoch, so many are done
    place: int = 0  # of this epoch, so many pictures are behind it, bad ones too; batches, for a loader without a size
    step: int = 0
    best: float = -1.0  # the highest top-1 on the validation set
    best_epoch: int = 0  # and after how many epochs
    best_loss: float = 0.0  # and the loss there: of epochs with the same top-1 that with the lowest is the best
    since: int = 0  # after which epoch none was better: the best, or that which the run went back to from behind it
    scores: Scores = field(default_factory=Scores)  # of this epoch

    def next_epoch(self, top1: float, loss: float) -> Progress:
        """Where a run is when this epoch has ended, with these means over the validation set."""
        after = Progress(self.epoch + 1, step=self.step, best=self.best, best_epoch=self.best_epoch,
                         best_loss=self.best_loss, since=self.since)
        if (top1, -loss) > (self.best, -self.best_loss):
            after.best, after.best_loss, after.best_epoch, after.since = top1, loss, after.epoch, after.epoch
        return after

    def epoch_anew(self) -> Progress:
        """At the start of this epoch, with none of its pictures seen, as where there are others than before."""
        return replace(self, batch=0, place=0, scores=Scores())

    def waited(self) -> int:
        """The epochs in which the validation set got no better than the best."""
        return self.epoch - self.since if self.best >= 0 else 0

    def gone_back(self) -> bool:
        """Whether the best is of epochs that the run went back from, and which others take the place of."""
        return self.since != self.best_epoch


class Checkpoints:
    """The checkpoints of a run in its folder. extras: arrays and facts that are saved with each. keep: so many of past
    epochs stay, besides the last and the best."""

    def __init__(self, folder: Path, step: Step, schedule: Schedule,
                 extras: tuple[dict[str, np.ndarray], dict[str, Any]], keep: int):
        self.folder, self.step, self.schedule, self.extras, self.keep = folder, step, schedule, extras, keep
        self.saved, self.saved_at = 0, time.monotonic()  # the step that the last one is of, and when it was written
        self.writes = step.ranks.rank == 0  # for all, who have the same
        if not self.writes:
            return
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(Busy, OSError), Claim(folder):  # clears away what a save left that kill -9 ended
            pass

    # -- saving --------------------------------------------------------------------------------------------------------

    def save(self, progress: Progress, also: Sequence[Path] = ()) -> None:
        """Write ``last.safetensors``, and under the names ``also`` the same before.

        Raises CheckpointError, and Diverged where a weight is not finite; then those before are still there.
        """
        if self.writes or self.step.divided:
            state = self.finite_state(progress)
        if self.writes:
            arrays, facts = self.extras
            facts = facts | {"progress": asdict(progress), "schedule": self.schedule.state(), **self.step.state()}
            checkpoint.save(self.folder / "last.safetensors", arrays | state, facts, also)
        self.saved, self.saved_at = progress.step, time.monotonic()

    def finite_state(self, progress: Progress) -> dict[str, np.ndarray]:
        """``Step.learned``. Raises Diverged where a number is not finite."""
        state = self.step.learned()
        for name, array in state.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise Diverged(f"{name} is no longer finite after step {progress.step}, in epoch {progress.epoch + 1}: "
                               f"{advice(self.step.optimiser.lr)}")
        return state

    def save_epoch(self, progress: Progress, is_best: bool) -> None:
        """Save as the epoch that has just ended too, and as the best if it is."""
        best = [self.folder / "best.safetensors"] if is_best else []
        self.save(progress, [self.folder / f"epoch-{progress.epoch:04d}.safetensors", *best])

    def drop_past(self, epoch: int) -> None:
        """Drop those of past epochs beyond those to keep; not of epochs after ``epoch``, which were gone back from."""
        if not self.writes:
            return
        past = {int(found[1]): path for path in self.folder.iterdir() if (found := PAST.fullmatch(path.name))}
        for number in sorted(n for n in past if n <= epoch)[: -self.keep or None]:
            past[number].unlink(missing_ok=True)

    # -- what is lost, and what is not ---------------------------------------------------------------------------------

    def rescue(self, progress: Progress) -> str:
        """Save what was learned since the last checkpoint, if that is possible, and say whether it was."""
        if self.step.updating:
            return f"{self.lost()}: step {progress.step + 1} was not finished"
        if progress.step == self.saved:
            return "nothing was learned since the last checkpoint" if progress.step else "nothing was learned yet"
        if self.step.divided:
            return f"{self.lost()}: it is divided over the ranks, and it takes all of them to save it"
        try:
            self.save(progress)
        except Exception as error:
            return f"{self.lost()}: {error}"
        return f"what was learned until step {progress.step} is saved: go on with --resume"

    def lost(self) -> str:
        """What to say where the latest steps are gone."""
        return f"what was learned since step {self.saved} is lost" if self.saved else "what was learned is lost"

    # -- going on ------------------------------------------------------------------------------------------------------

    def restore(self, arrays: dict[str, np.ndarray], facts: dict[str, Any], batch_size: int | None) -> Progress:
        """Go on from what ``save`` wrote. batch_size: of the loader, if it has one.

        Raises ValueError when it is of another model, or of another version.
        """
        self.step.load_learned(arrays)
        try:
            self.schedule.load_state(facts["schedule"])
            self.step.optimiser.lr = self.schedule.lr
            self.step.load_state(facts)
            saved = facts["progress"] | {"scores": Scores(**facts["progress"]["scores"])}
            if "place" not in saved:  # an older one counted batches, of the size that it had
                size = facts.get("config", {}).get("batch_size", batch_size)
                saved["place"] = saved["batch"] * (1 if batch_size is None else size)
            progress = Progress(**{"since": saved.get("best_epoch", 0)} | saved)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise checkpoint.CheckpointError("Trainer: the facts of the checkpoint are not those that this version "
                                             f"saves: {error!r}") from error
        best, epoch, loss = self.step.ranks.broadcast(self._best() if self.writes else NONE)
        since = progress.since if epoch == progress.best_epoch else min(epoch, progress.epoch)
        if best < 0 <= progress.best:
            say(f"the best until here, {progress.best:.1%} after epoch {progress.best_epoch}, is not in {self.folder}: "
                "what comes is compared with itself alone")
        self.saved = progress.step
        return replace(progress, best=best, best_epoch=epoch, best_loss=loss, since=since)

    def best(self) -> dict[str, np.ndarray]:
        """What was learned until the end of the best epoch, for all ranks; nothing where that cannot be read any more,
        as a line says."""
        found: dict[str, np.ndarray] = {}
        if self.writes:
            try:
                found = checkpoint.load(self.folder / "best.safetensors")[0]
            except checkpoint.CheckpointError as error:
                note(str(error))
        return self.step.ranks.broadcast(found)

    def best_is(self, top1: float, loss: float) -> None:
        """Write into what is kept as the best that it has these scores, by other pictures than before."""
        if self.writes:
            arrays, facts = checkpoint.load(path := self.folder / "best.safetensors")
            facts["progress"] |= {"best": top1, "best_loss": loss}
            checkpoint.save(path, arrays, facts)

    def _best(self) -> tuple[float, int, float]:
        """Of the best checkpoint in the folder, its top-1, epoch and loss: what is called the best must be there."""
        try:
            kept = checkpoint.load(self.folder / "best.safetensors")[1]["progress"]
            return float(kept["best"]), int(kept["epoch"]), float(kept.get("best_loss", 0.0))
        except (checkpoint.CheckpointError, TypeError, ValueError, LookupError):
            return NONE
