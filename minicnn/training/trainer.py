"""batch → loss → backward → step → report. Nothing in it knows pictures or AlexNet."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import checkpoint
from ..engine.settings import whole
from ..engine.tensor import Tensor, no_grad
from ..nn.module import Module
from ..optim import SGD, LossScale, PlateauSchedule, StepSchedule
from .diagnosis import PLATEAU, Plateau, first_not_finite
from .interrupt import Stop, say
from .log import Log
from .run_folder import Busy, Claim
from .scores import Loader, Scores, as_loader, evaluate, on_terminal
from .step import Replay, gradients

__all__ = ["PLATEAU", "Diverged", "Progress", "Stopped", "Trainer"]

PAST = re.compile(r"epoch-(\d{4,})\.safetensors")  # ``keep`` is about these; others are the user's

class Diverged(ArithmeticError):
    """The loss, or a weight, is no longer a number."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP came; the batch was finished and everything is saved."""


@dataclass
class Progress:
    """Where a run is: all that a resumed one must know besides weights, velocities and rate."""

    epoch: int = 0  # of those begun, the last
    batch: int = 0  # of this epoch, so many are done
    place: int = 0  # of this epoch, so many pictures are behind it, bad ones too; batches, for a loader without a size
    step: int = 0
    best: float = -1.0  # the highest top-1 on the validation set
    best_epoch: int = 0  # and after how many epochs
    scores: Scores = field(default_factory=Scores)  # of this epoch


class Trainer:
    """Train ``model`` on ``training``, watch it on ``validation``, and keep everything in ``folder``.

    training, validation: loaders, or lists of batches (inputs, labels). folder: made where it is not there.
    extras: arrays and facts saved with every checkpoint, as what was done to the inputs and the names of the classes.
    keep: so many checkpoints of past epochs stay, besides the last and the best. save_minutes: one is written at least
    so often. print_every: steps from line to line where there is no terminal for a progress bar. loss_scale: for a
    model that computes in half precision. graph: on one GPU, tell it a step once and let it do that again.

    Raises TypeError and ValueError where data or numbers are not of that kind.
    """

    def __init__(self, model: Module, optimiser: SGD, schedule: StepSchedule | PlateauSchedule,
                 training: Loader | Sequence[tuple[Any, Any]], validation: Loader | Sequence[tuple[Any, Any]],
                 folder: str | os.PathLike[str], *,
                 extras: tuple[dict[str, np.ndarray], dict[str, Any]] = ({}, {}),
                 keep: int = 1, save_minutes: float = 10.0, print_every: int = 10,
                 loss_scale: LossScale | None = None, graph: bool = False):
        self.model, self.optimiser, self.schedule = model, optimiser, schedule
        self.training = as_loader(training, "Trainer: training")
        self.validation = as_loader(validation, "Trainer: validation")
        self.keep = whole("Trainer", "keep", keep, least=0)
        self.print_every = whole("Trainer", "print_every", print_every, least=1)
        if not save_minutes >= 0:
            raise ValueError(f"Trainer: save_minutes is {save_minutes}: it must be a number ≥ 0")
        self.folder, self.extras, self.save_minutes = Path(folder), extras, save_minutes
        self.loss_scale = loss_scale or LossScale(1.0, patience=None)
        self.replay = Replay(model, optimiser) if graph else None
        self.progress = Progress()
        self.saved, self.saved_at = 0, time.monotonic()  # the step that the checkpoint is of, and when it was written
        self.amid = False  # a step is being taken: some weights have moved, others not yet
        self.plateau = Plateau()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = Log(self.folder / "log.jsonl")
        self.stop = Stop()
        optimiser.lr = schedule.lr
        with suppress(Busy, OSError), Claim(self.folder):  # clears away what a save left that kill -9 ended
            pass

    # -- the road ---------------------------------------------------------------------------------------------------

    def fit(self, epochs: int) -> Scores:
        """Train until so many epochs are done, in all. Returns the last scores on the validation set.

        Raises Diverged, Stopped and CheckpointError, and whatever else goes wrong; then what was learned since the last
        checkpoint is saved, if a number of whole steps was done and all weights are finite. A note says which.
        """
        epochs = whole("Trainer", "epochs", epochs, least=0)
        scores = None
        self.saved_at = time.monotonic()
        try:
            with self.stop:
                while self.progress.epoch < epochs:
                    begun = time.monotonic()
                    for _ in self._epoch(epochs):
                        if self.stop.asked:
                            self._save_and_stop()
                        if time.monotonic() - self.saved_at > 60 * self.save_minutes:
                            self.save()
                    scores = self._close_epoch(epochs, begun)
        except Stopped:
            raise
        except (Diverged, checkpoint.CheckpointError) as error:
            if self.progress.step > self.saved:
                error.add_note(self._lost())
            raise
        except BaseException as error:
            error.add_note(self._rescue())
            raise
        return scores or evaluate(self.model, self.validation)

    def _epoch(self, epochs: int) -> Iterator[None]:
        """One epoch, or what is left of it, yielding after every step."""
        progress = self.progress
        self.model.train()
        title, total = f"epoch {progress.epoch + 1}/{epochs}", len(self.training)
        terminal = on_terminal()
        size = getattr(self.training, "batch_size", 1)
        progress.batch = min(progress.place // size, total)  # it may have been another before
        batches = self.training.epoch(progress.epoch, progress.place, next(self.model.parameters()).device)
        with tqdm(desc=title, total=total, initial=progress.batch, unit="batch", disable=not terminal) as bar:
            clock = time.perf_counter()
            for inputs, labels in batches:
                arrived = time.perf_counter()
                if not len(labels):  # every picture of this batch was bad
                    progress.batch, progress.place = progress.batch + 1, progress.place + size
                    bar.update()
                    continue
                loss, logits = self.step(inputs, labels)
                seconds = time.perf_counter() - clock
                here = Scores()
                here.add(loss, logits, labels)
                progress.scores.add(loss, logits, labels)
                progress.batch, progress.place = progress.batch + 1, progress.place + size
                text = self._log_step(here, seconds, waited=arrived - clock)
                bar.set_postfix_str(text, refresh=False)
                bar.update()
                if not terminal and (progress.batch % self.print_every == 0 or progress.batch == total):
                    say(f"{title}, batch {progress.batch}/{total}: {text}")
                self.plateau.see(progress.step, loss, logits.shape[1])
                clock = time.perf_counter()
                yield

    def _log_step(self, scores: Scores, seconds: float, waited: float) -> str:
        """Write the line of a step into the log. Returns what a person wants to know of it."""
        line = {"epoch": self.progress.epoch + 1, "step": self.progress.step, **scores.means(), "lr": self.optimiser.lr,
                "images_per_second": scores.seen / seconds, "waiting": waited / seconds}
        if self.loss_scale.patience:
            line["loss_scale"] = self.loss_scale.factor
        self.log.write(line)
        return (f"loss {line['loss']:.3f}, top-1 {line['top1']:.0%}, top-5 {line['top5']:.0%}, "
                f"{line['images_per_second']:.1f} images/s, lr {line['lr']:g}, waiting {line['waiting']:.0%}")

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is found in the loss, and explained
    def step(self, inputs: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        """One step of the optimiser. Returns the loss and the model's outputs before it."""
        factor = self.loss_scale.factor
        state = [(t, t.detach()) for _, t in self.model._named(Tensor) if not t.requires_grad]  # counters of dropout
        try:
            loss, logits = (self.replay.gradients(inputs, labels, factor) if self.replay else
                            gradients(self.model, self.optimiser, inputs, labels, factor))
        except BaseException:  # this step has not been
            with no_grad():
                for tensor, before in state:
                    tensor[...] = before
            raise
        if not math.isfinite(loss.item()):  # only here, since a GPU that is asked has to finish what it was told
            raise Diverged(self._where(inputs, loss.item()))
        value, outputs = loss.item(), logits.numpy()
        self.amid = True
        self.loss_scale.step(self.replay or self.optimiser)
        self.progress.step += 1
        self.amid = False
        return value, outputs

    def _close_epoch(self, epochs: int, begun: float) -> Scores:
        progress = self.progress
        scores = evaluate(self.model, self.validation, lambda: self.stop.asked)
        if self.stop.asked:
            self._save_and_stop()
        train, val = progress.scores.means(), scores.means()
        self.log.write({"epoch": progress.epoch + 1, "step": progress.step, "lr": self.optimiser.lr,
                    "seconds": time.monotonic() - begun, **{f"train_{k}": v for k, v in train.items()},
                    **{f"val_{k}": v for k, v in val.items()}})
        if not math.isfinite(val["loss"]):
            self._check_weights()
            raise Diverged(f"the validation loss is {val['loss']} after step {progress.step}, in epoch "
                           f"{progress.epoch + 1}: {self._advice()}")
        say(f"epoch {progress.epoch + 1}/{epochs}: training loss {train['loss']:.3f}, top-1 {train['top1']:.1%}; "
            f"validation loss {val['loss']:.3f}, top-1 {val['top1']:.1%}, top-5 {val['top5']:.1%}; "
            f"{time.monotonic() - begun:.0f} s")
        names = [self.folder / f"epoch-{progress.epoch + 1:04d}.safetensors"]
        after = Progress(progress.epoch + 1, step=progress.step, best=progress.best, best_epoch=progress.best_epoch)
        if val["top1"] > progress.best:
            after.best, after.best_epoch = val["top1"], after.epoch
            names.append(self.folder / "best.safetensors")
        before = dict(vars(self.schedule))
        self.schedule.epoch_ended(1 - val["top1"])
        try:
            self.progress = after
            self.save(also=names)
        except BaseException:  # then all that is known of this epoch is that its last batch is done
            self.progress = progress
            vars(self.schedule).update(before)
            raise
        past = {int(found[1]): path for path in self.folder.iterdir() if (found := PAST.fullmatch(path.name))}
        for number in sorted(n for n in past if n <= after.epoch)[: -self.keep or None]:  # later ones: gone back from
            past[number].unlink(missing_ok=True)
        if self.schedule.lr != self.optimiser.lr:
            say(f"the learning rate goes from {self.optimiser.lr:g} to {self.schedule.lr:g}, {self.schedule.reason}")
            self.log.write({"epoch": after.epoch, "step": after.step, "lr_before": self.optimiser.lr,
                            "lr_after": self.schedule.lr})
            self.optimiser.lr = self.schedule.lr
        return scores

    # -- what is kept -------------------------------------------------------------------------------------------------

    def save(self, also: Sequence[Path] = ()) -> None:
        """Write ``last.safetensors``, and under the names ``also`` the same before.

        Raises CheckpointError, and Diverged where a weight is not finite; then those before are still there.
        """
        state = self._check_weights()
        arrays, facts = self.extras
        facts = facts | {"progress": asdict(self.progress), "schedule": self.schedule.state(),
                         "loss_scale": self.loss_scale.state()}
        checkpoint.save(self.folder / "last.safetensors", arrays | state, facts, also)
        self.saved, self.saved_at = self.progress.step, time.monotonic()

    def resume(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go on from what ``save`` wrote. Raises ValueError when it is of another model, or of another version."""
        def part(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
        self.model.load_state_dict(part("model."))
        self.optimiser.load_state_dict(part("velocity."))
        try:
            vars(self.schedule).update(facts["schedule"])
            self.optimiser.lr = facts["schedule"]["lr"]
            vars(self.loss_scale).update(facts.get("loss_scale", {}))  # older checkpoints know none
            saved = facts["progress"] | {"scores": Scores(**facts["progress"]["scores"])}
            if "place" not in saved:  # an older one counted batches, of the size that it had
                size = facts.get("config", {}).get("batch_size", getattr(self.training, "batch_size", 1))
                saved["place"] = saved["batch"] * (size if hasattr(self.training, "batch_size") else 1)
            self.progress = Progress(**saved)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise checkpoint.CheckpointError("Trainer: the facts of the checkpoint are not those that this version "
                                             f"saves: {error!r}") from error
        best, epoch = self._best_kept()
        if best < 0 <= self.progress.best:
            say(f"the best until here, {self.progress.best:.1%} after epoch {self.progress.best_epoch}, is not in "
                f"{self.folder}: what comes is compared with itself alone")
        self.progress = replace(self.progress, best=best, best_epoch=epoch)
        self.saved = self.progress.step
        self.log.forget_after(self.progress.step, self.progress.epoch)

    def _best_kept(self) -> tuple[float, int]:
        """Of the best checkpoint in the folder, its top-1 and its epoch: what is called the best must be there."""
        try:
            kept = checkpoint.load(self.folder / "best.safetensors")[1]["progress"]
            return float(kept["best"]), int(kept["epoch"])
        except (checkpoint.CheckpointError, TypeError, ValueError, LookupError):
            return -1.0, 0

    def start_epoch_anew(self) -> None:
        """Forget the place in the epoch, as where there are other pictures than before."""
        self.progress = replace(self.progress, batch=0, place=0, scores=Scores())

    def _save_and_stop(self) -> None:
        self.save()
        raise Stopped

    def _rescue(self) -> str:
        """Save what was learned since the last checkpoint, if that is possible, and say whether it was."""
        step, saved = self.progress.step, self.saved
        if step == saved and not self.amid:
            return "nothing was learned since the last checkpoint" if step else "nothing was learned yet"
        if self.amid:
            return f"{self._lost()}: step {step + 1} was not finished"
        try:
            self.save()
        except Exception as error:
            return f"{self._lost()}: {error}"
        return f"what was learned until step {step} is saved: go on with --resume"

    def _lost(self) -> str:
        return f"what was learned since step {self.saved} is lost" if self.saved else "what was learned is lost"

    # -- what goes wrong ----------------------------------------------------------------------------------------------

    def _where(self, inputs: np.ndarray, loss: float) -> str:
        """Say at which layer the numbers stopped being numbers."""
        return (f"the loss is {loss} at step {self.progress.step + 1}, in epoch {self.progress.epoch + 1}; the first "
                f"output that is not finite is that of {first_not_finite(self.model, inputs)}; {self._advice()}")

    def _advice(self) -> str:
        return f"the learning rate is {self.optimiser.lr:g}: try a tenth of it"

    def _check_weights(self) -> dict[str, np.ndarray]:
        """All that is learned, by name. Raises Diverged where a number is not finite."""
        state = {f"model.{name}": a for name, a in self.model.state_dict().items()}
        state |= {f"velocity.{name}": a for name, a in self.optimiser.state_dict().items()}
        for name, array in state.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise Diverged(f"{name} is no longer finite after step {self.progress.step}, in epoch "
                               f"{self.progress.epoch + 1}: {self._advice()}")
        return state
