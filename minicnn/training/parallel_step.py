"""A step of training over all ranks: each computes a part of the batch, the gradients are added up, all move alike."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from ..engine.memory import Array
from ..engine.mode import no_grad
from ..engine.observers import observe
from ..nn.layers import Dropout
from .diagnosis import Diverged, advice, where_not_finite
from .exchange import Exchange
from .parallel import Ranks, RanksDiffer
from .split import Split
from .step import CapturedStep, Step

__all__ = ["ParallelStep"]


class ParallelStep(Step):
    """What ``step`` does for a batch, done by all ranks together, each for its parts: with B images in all,

        ∂L/∂w = Σ over parts  share · ∂(mean loss of the part)/∂w,    share = images of the part / B

    which is the gradient of the mean loss of the batch, to rounding, and after it all ranks have the same weights.
    Where the model's fully connected layers are divided, see ``Split``, each rank has its own of these, whose gradients
    are whole where they are.

    parts: cut every batch into so many, and add up their gradients one by one, in their order: then as many parts give
        the same bits on any number of ranks; more slowly, and with the gradients of one's own parts in memory. 0: one
        part for each rank, added up as is fastest.
    weight: how much some labels count in the loss, where not each as much as another.
    """

    def __init__(self, step: Step, ranks: Ranks, parts: int = 0, weight: Callable[[Any], float] = len):
        super().__init__(step.model, step.optimiser, step.loss, step.loss_scale)
        if 0 < parts < ranks.size:
            raise ValueError(f"ParallelStep: {parts} parts are too few for {ranks.size} ranks: give as many, or more")
        self.step, self.ranks, self.in_order, self.weight = step, ranks, parts > 0, weight
        self.share = ranks.share(parts)
        split = getattr(self.model, "over_ranks", None)
        self.split: Split | None = split
        self.divided = split is not None
        if split is not None:
            if parts:
                raise ValueError(f"ParallelStep: {parts} parts have the same bits on any number of ranks, and layers "
                                 "that are divided over ranks have not: leave one out")
            self.optimiser.over_parts = split.add_up
        self.exchange = Exchange({name: p for name, p in self.optimiser.parameters.items() if self._is_alike(name)},
                                 ranks)
        self.dropouts = [layer for layer in self.model.modules() if isinstance(layer, Dropout)]

    def __call__(self, inputs: Any, labels: Any) -> tuple[float, np.ndarray]:
        """The step for a part of a batch that is one for each rank."""
        found = self.of([(inputs, labels)])
        if found is None:
            raise ValueError("ParallelStep: no rank has an image: give at least one of them some")
        loss, (logits,) = found
        return loss, logits

    @np.errstate(over="ignore", invalid="ignore")
    def of(self, parts: Sequence[tuple[Any, Any]]) -> tuple[float, list[np.ndarray]] | None:
        """As of a ``Step``, for this rank's parts. The loss is that of the whole batch, the logits are of the parts.

        Raises what the step itself raises, and ``RankFailed`` where another rank does.
        """
        mine = [(len(labels), self.weight(labels)) for _, labels in parts]
        every = self.ranks.gather(mine)
        if not any(count for each in every for count, _ in each):
            return None
        total = sum(weight for each in every for _, weight in each)
        first = sum(count for each in every[: self.ranks.rank] for count, _ in each)
        with self._undone_where_it_fails(), self._one_step_of_dropout() as begin:
            self.exchange.begin()
            losses, logits, gradients = [], [], []
            for (inputs, labels), (count, weight) in zip(parts, mine, strict=True):
                begin(first)
                first += count
                value, y = self._part(inputs, labels, weight / total) if count else self._no_image(inputs)
                losses += [value * weight / total] * bool(count)
                logits.append(np.empty((0, 0), np.float32) if y is None else y)
                if self.in_order and count:
                    gradients.append(self.exchange.of_part())
            if not self.divided and not any(count for count, _ in mine):
                self.exchange.forget()
            if self.in_order:
                self.exchange.finish_in_order(gradients)
            else:
                self.exchange.finish()
            loss = sum_of(part for each in self.ranks.gather(losses) for part in each)
            if not math.isfinite(loss):
                places = self.ranks.gather([where_not_finite(self.model, inputs) for inputs, labels in parts
                                            if len(labels) or self.divided])
                _, layer = min(place for each in places for place in each)
                raise Diverged(f"the loss is {loss}", f"the first output that is not finite is that of {layer}",
                               advice(self.optimiser.lr))
        self.updating = True
        self.update()
        self.updating = False
        return loss, logits

    def update(self) -> None:
        """As of the ``Step``."""
        self.step.update()

    def _part(self, inputs: Any, labels: Any, share: float) -> tuple[float, np.ndarray]:
        captured = isinstance(self.step, CapturedStep)  # is replayed without a word to observers
        with nullcontext() if self.in_order or captured else observe(self.exchange):
            loss, logits = self.step.gradients(inputs, labels, share)
        return loss.item(), logits.numpy()

    def _no_image(self, inputs: Any) -> tuple[float, np.ndarray | None]:
        """A part without an image: there is nothing to do, but for what all ranks do together."""
        if self.divided:
            self.optimiser.zero_grad()
            with observe(self.exchange):
                self.model(inputs).sum().backward()
        return 0.0, None

    def _is_alike(self, name: str) -> bool:
        """Whether all ranks have the same under this name."""
        return self.split is None or name not in self.split.units

    @contextmanager
    def _one_step_of_dropout(self) -> Iterator[Callable[[int], None]]:
        """Gives what is to be called before each part with the number of images before it in the batch: then all parts,
        of all ranks, are dropped as in one batch. Each batch is one step of dropout, also where there was no image."""
        before = [layer.counter.copy() for layer in self.dropouts]

        def begin(first: int) -> None:
            for layer, counter in zip(self.dropouts, before, strict=True):
                layer.first_image = 0 if self.divided else first  # a layer that is divided sees all images
                self._count(layer, counter, 0)

        try:
            yield begin
            for layer, counter in zip(self.dropouts, before, strict=True):
                self._count(layer, counter, 1)
        finally:
            for layer in self.dropouts:
                vars(layer).pop("first_image", None)

    def _count(self, layer: Dropout, counter: Any, steps: int) -> None:
        with no_grad(), layer.counter.device:
            written: Array = layer.counter.writable()
            written[...] = counter.data
            written[1:] += steps

    def check(self) -> None:
        """As of a ``Step``: compares a hash of all that is learned, but for what is divided."""
        digest = hashlib.sha256()
        for state in (self.model.state_dict(), self.optimiser.state_dict()):
            for name in filter(self._is_alike, sorted(state)):
                digest.update(state[name].tobytes())
        every = self.ranks.gather(digest.digest())
        right, _ = Counter(every).most_common(1)[0]
        if wrong := [self.ranks.named(rank) for rank, each in enumerate(every) if each != right]:
            others = "the others" if 2 * len(wrong) < len(every) else "the others, who are no more"
            raise RanksDiffer(f"the weights of {' and '.join(wrong)} are not those of {others}, though all move alike: "
                              "look for faults of memory, or another BLAS")

    # -- what a run keeps ----------------------------------------------------------------------------------------------

    def learned(self) -> dict[str, np.ndarray]:
        """As of a ``Step``."""
        learned = super().learned()
        return learned if self.split is None else self.split.whole(learned)

    def load_learned(self, arrays: dict[str, np.ndarray]) -> None:
        """As of a ``Step``: from the whole, of which each rank takes its own."""
        super().load_learned(arrays if self.split is None else self.split.part(arrays))

    def join(self) -> None:
        """As of a ``Step``."""
        if self.split is not None:
            self.split.join()

    # -- of the step itself --------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As of the ``Step``."""
        return self.step.state()

    def load_state(self, facts: dict[str, Any]) -> None:
        """As of the ``Step``."""
        self.step.load_state(facts)

    def report(self) -> dict[str, float]:
        """As of the ``Step``."""
        return self.step.report()


def sum_of(numbers: Iterable[float]) -> float:
    """Their sum, rounded once, in whatever order they come; NaN where one of them is not finite."""
    numbers = list(numbers)
    return math.fsum(numbers) if all(map(math.isfinite, numbers)) else math.nan
