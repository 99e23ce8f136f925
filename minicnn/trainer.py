"""batch → loss → backward → step → report. Nothing in it knows pictures or AlexNet."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from . import checkpoint
from .log import Log
from .module import Module, watch
from .optim import SGD, LossScale, PlateauSchedule, StepSchedule
from .replay import Replay, gradients
from .scores import Loader, Scores, evaluate
from .tensor import Tensor, no_grad

__all__ = ["Diverged", "Progress", "Stopped", "Trainer"]

PLATEAU = 200  # steps after which a loss still at ln(classes) is worth a word


class Diverged(ArithmeticError):
    """The loss is no longer a number."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came; the batch was finished and everything is saved."""


@dataclass
class Progress:
    """Where a run is: all that a resumed one must know besides weights, velocities and rate."""

    epoch: int = 0  # of those begun, the last
    batch: int = 0  # of this epoch, so many are done
    step: int = 0
    best: float = -1.0  # the highest top-1 on the validation set
    scores: Scores = field(default_factory=Scores)  # of this epoch


class Trainer:
    """Train ``model`` on ``training``, watch it on ``validation``, and keep everything in ``folder``.

    extras: arrays and facts saved with every checkpoint, as what was done to the inputs and the names of the classes.
    keep: so many checkpoints of past epochs stay, besides the last and the best. save_minutes: one is written at least
    so often. print_every: steps from line to line where there is no terminal for a progress bar. loss_scale: for a
    model that computes in half precision. graph: on one GPU, tell it a step once and let it do that again.
    """

    def __init__(self, model: Module, optimiser: SGD, schedule: StepSchedule | PlateauSchedule, training: Loader,
                 validation: Loader, folder: Path, *, extras: tuple[dict[str, np.ndarray], dict[str, Any]] = ({}, {}),
                 keep: int = 1, save_minutes: float = 10.0, print_every: int = 10,
                 loss_scale: LossScale | None = None, graph: bool = False):
        self.model, self.optimiser, self.schedule = model, optimiser, schedule
        self.training, self.validation, self.folder, self.extras = training, validation, folder, extras
        self.keep, self.save_minutes, self.print_every = keep, save_minutes, print_every
        self.loss_scale = loss_scale or LossScale(1.0, patience=None)
        self.replay = Replay(model, optimiser) if graph else None
        self.progress = Progress()
        self.recent: deque[float] = deque(maxlen=PLATEAU // 2)
        self.log = Log(folder / "log.jsonl")
        self.stop = Stop()
        optimiser.lr = schedule.lr
        for unfinished in folder.glob(".*.part"):  # a save that kill -9 or a power cut ended
            unfinished.unlink()

    # -- the road ---------------------------------------------------------------------------------------------------

    def fit(self, epochs: int) -> Scores:
        """Train until so many epochs are done. Returns the last scores on the validation set.

        Raises Diverged, Stopped and CheckpointError.
        """
        scores = None
        saved = time.monotonic()
        with self.stop:
            while self.progress.epoch < epochs:
                begun = time.monotonic()
                for _ in self._epoch(epochs):
                    if self.stop.asked:
                        self._save_and_stop()
                    if time.monotonic() - saved > 60 * self.save_minutes:
                        self.save()
                        saved = time.monotonic()
                scores = self._close_epoch(epochs, begun)
                saved = time.monotonic()
        return scores or evaluate(self.model, self.validation)

    def _epoch(self, epochs: int) -> Iterator[None]:
        """One epoch, or what is left of it, yielding after every step."""
        progress = self.progress
        self.model.train()
        title, total = f"epoch {progress.epoch + 1}/{epochs}", len(self.training)
        terminal = sys.stderr.isatty()
        batches = self.training.epoch(progress.epoch, progress.batch, next(self.model.parameters()).device)
        with tqdm(desc=title, total=total, initial=progress.batch, unit="batch", disable=not terminal) as bar:
            clock = time.perf_counter()
            for inputs, labels in batches:
                arrived = time.perf_counter()
                progress.batch += 1
                bar.update()
                if not len(labels):  # every picture of this batch was bad
                    continue
                loss, logits = self.step(inputs, labels)
                now = time.perf_counter()
                here = Scores()
                here.add(loss, logits, labels)
                progress.scores.add(loss, logits, labels)
                line = {"epoch": progress.epoch + 1, "step": progress.step, **here.means(), "lr": self.optimiser.lr,
                        "images_per_second": len(labels) / (now - clock), "waiting": (arrived - clock) / (now - clock)}
                if self.loss_scale.patience:
                    line["loss_scale"] = self.loss_scale.factor
                self.log.write(line)
                text = (f"loss {line['loss']:.3f}, top-1 {line['top1']:.0%}, top-5 {line['top5']:.0%}, "
                        f"{line['images_per_second']:.1f} images/s, lr {line['lr']:g}, waiting {line['waiting']:.0%}")
                bar.set_postfix_str(text, refresh=False)
                if not terminal and (progress.batch % self.print_every == 0 or progress.batch == total):
                    print(f"{title}, batch {progress.batch}/{total}: {text}", flush=True)
                self._mention_a_plateau(loss, logits.shape[1])
                clock = time.perf_counter()
                yield

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is found in the loss, and explained
    def step(self, inputs: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        """One step of the optimiser. Returns the loss and the model's outputs before it."""
        factor = self.loss_scale.factor
        loss, logits = (self.replay.gradients(inputs, labels, factor) if self.replay else
                        gradients(self.model, self.optimiser, inputs, labels, factor))
        if not math.isfinite(loss.item()):  # only here, since a GPU that is asked has to finish what it was told
            raise Diverged(self._where(inputs, loss.item()))
        self.loss_scale.step(self.replay or self.optimiser)
        self.progress.step += 1
        return loss.item(), logits.numpy()

    def _close_epoch(self, epochs: int, begun: float) -> Scores:
        progress = self.progress
        scores = evaluate(self.model, self.validation, lambda: self.stop.asked)
        if self.stop.asked:
            self._save_and_stop()
        train, val = progress.scores.means(), scores.means()
        self.log.write({"epoch": progress.epoch + 1, "step": progress.step, "lr": self.optimiser.lr,
                    "seconds": time.monotonic() - begun, **{f"train_{k}": v for k, v in train.items()},
                    **{f"val_{k}": v for k, v in val.items()}})
        print(f"epoch {progress.epoch + 1}/{epochs}: training loss {train['loss']:.3f}, top-1 {train['top1']:.1%}; "
              f"validation loss {val['loss']:.3f}, top-1 {val['top1']:.1%}, top-5 {val['top5']:.1%}; "
              f"{time.monotonic() - begun:.0f} s", flush=True)
        self.schedule.epoch_ended(1 - val["top1"])
        self.optimiser.lr = self.schedule.lr
        improved = val["top1"] > progress.best
        self.progress = Progress(progress.epoch + 1, 0, progress.step, max(progress.best, val["top1"]))
        self.save()
        last = self.folder / "last.safetensors"
        checkpoint.keep(last, self.folder / f"epoch-{self.progress.epoch:04d}.safetensors")
        for old in sorted(self.folder.glob("epoch-*.safetensors"))[: -self.keep or None]:
            old.unlink()
        if improved:
            checkpoint.keep(last, self.folder / "best.safetensors")
        return scores

    # -- what is kept -------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write ``last.safetensors``. Raises CheckpointError; then the one before is still there."""
        arrays, facts = self.extras
        arrays = arrays | {f"model.{name}": a for name, a in self.model.state_dict().items()}
        arrays |= {f"velocity.{name}": a for name, a in self.optimiser.state_dict().items()}
        facts = facts | {"progress": asdict(self.progress), "schedule": self.schedule.state(),
                         "loss_scale": self.loss_scale.state()}
        checkpoint.save(self.folder / "last.safetensors", arrays, facts)

    def resume(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go on from what ``save`` wrote. Raises ValueError when it is of another model."""
        def part(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
        self.model.load_state_dict(part("model."))
        self.optimiser.load_state_dict(part("velocity."))
        vars(self.schedule).update(facts["schedule"])
        vars(self.loss_scale).update(facts.get("loss_scale", {}))  # older checkpoints know none
        self.optimiser.lr = self.schedule.lr
        self.progress = Progress(**facts["progress"] | {"scores": Scores(**facts["progress"]["scores"])})
        self.log.forget_after(self.progress.step, self.progress.epoch)

    def _save_and_stop(self) -> None:
        self.save()
        raise Stopped

    # -- what goes wrong ----------------------------------------------------------------------------------------------

    def _where(self, inputs: np.ndarray, loss: float) -> str:
        """Say at which layer the numbers stopped being numbers."""
        first: list[Module] = []

        def see(layer: Module, y: Tensor) -> None:
            if not first and not np.isfinite(y.numpy()).all():
                first.append(layer)

        with np.errstate(all="ignore"), no_grad(), watch(see):
            self.model(inputs)
        name = next((name for name, layer in self.model.named_modules() if first and layer is first[0]), "the loss")
        return (f"the loss is {loss} at step {self.progress.step + 1}, in epoch {self.progress.epoch + 1}; the first "
                f"output that is not finite is that of {name}; the learning rate is {self.optimiser.lr:g}: try a tenth "
                "of it")

    def _mention_a_plateau(self, loss: float, classes: int) -> None:
        self.recent.append(loss)
        guess = math.log(classes)
        if self.progress.step == PLATEAU and abs(sum(self.recent) / len(self.recent) - guess) < 0.02 * guess:
            tqdm.write(f"The loss has stayed at ln({classes}) = {guess:.3f}, what guessing costs, for {PLATEAU} steps. "
                       "Likely causes: weights that start too small for the depth, or biases of 1 that drown them "
                       "(--recipe small starts otherwise); a learning rate too low, or so high that the ReLUs died; "
                       "labels that do not belong to the pictures.", file=sys.stderr)


class Stop:
    """Inside ``with``, the first Ctrl-C or SIGTERM is only noted, as ``asked``; the second ends the program at once."""

    def __init__(self) -> None:
        self.asked = False
        self.before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self.before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for s, handler in self.before.items():
            signal.signal(s, handler)

    def _note(self, *args: object) -> None:
        if self.asked:
            os._exit(130)  # whatever is being saved is saved aside: the checkpoint before stays whole
        self.asked = True
        tqdm.write("Stopping after this batch; once more to stop at once.", file=sys.stderr)
