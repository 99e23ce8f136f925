"""Several processes train one model: the ranks, which meet over MPI. Without mpiexec there is one, and no MPI.

    mpiexec -n 4 python examples/train_alexnet.py DATA

Ranks call the same functions in the same order. Each such call is a meeting: nobody gets through before all have come,
and who comes to say that he has failed ends it for all.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from traceback import print_exception
from typing import Any, TypeVar

from minicnn.kernels.machine import usable_cores

from ..data.share import Share
from ..engine.device import Device, device_of
from ..engine.memory import Array
from .interrupt import EXPECTED, Stopped, what

__all__ = ["ALONE", "RankFailed", "Ranks", "RanksDiffer", "check_alike"]

T = TypeVar("T")


class RankFailed(RuntimeError):
    """A rank has failed; the message names it, its host and its reason."""


class RanksDiffer(RankFailed):
    """Ranks that should have the same have not."""


class Ranks:
    """The ranks of a run: by itself one, as without mpiexec.

        with ranks_of_this_run() as ranks:
            ...

    Inside, what ranks but the first print is not seen; where one raises, all do, ``RankFailed`` with its reason.

    rank: one's own number, from 0. size: how many there are. hosts: of each rank the machine.
    waited: seconds spent in meetings so far, waiting or exchanging. beside: what adds up arrays of these GPUs, beside
    all that goes by way of the processor, and uncounted: see ``use_nccl``.
    """

    rank, size = 0, 1
    hosts: Sequence[str] = ("",)
    beside: Mapping[Device, Any] = {}
    waited = 0.0

    @cached_property
    def sent(self) -> Counter[str]:
        """A ledger: the bytes that this rank had to send so far, by what for: ``gradients``, and, where layers are
        divided over the ranks, ``forward`` and ``backward``. What is added up over R ranks counts 2 (R − 1) / R times,
        which is the least that it takes; sums in order are not counted."""
        return Counter()

    def gather(self, value: T) -> list[T]:
        """What each rank gave, in their order: to all of them."""
        return [value]

    def broadcast(self, value: T) -> T:
        """What rank 0 gave."""
        return self.gather(value)[0]

    def barrier(self) -> None:
        """Go on when all are here."""
        self.gather(None)

    def long_barrier(self) -> None:
        """The same, where nobody is surprised that it takes long."""
        self.barrier()

    def part(self) -> None:
        """Go on when all are here, for the last time: from now on each is by himself."""
        self.barrier()

    def all_reduce(self, array: Array) -> None:
        """Begin to add up this array over the ranks, in place. It is done after the next ``wait``."""

    def sum_in_order(self, parts: Sequence[Array], total: Array) -> None:
        """Begin to write into ``total`` the sum of the parts of rank 0, then those of rank 1, and so on, added one by
        one, so that it has the same bits whoever holds them. It is done after the next ``wait``."""
        with device_of(total):
            total[...] = 0
            for part in parts:
                total += part

    def all_to_all(self, parts: Sequence[Array]) -> list[Array]:
        """Give each rank, in their order, a part: what each gave this one, on the device of its own parts. The parts
        may differ in shape, not in their type; neither what is given nor what comes may be written into."""
        return [theirs[self.rank] for theirs in self.gather(list(parts))]

    def wait(self) -> None:
        """Go on when all sums that were begun are there; of those beside, a GPU waits for its own."""

    def fail(self, reason: str) -> None:
        """Tell the others that this rank cannot go on."""

    def close(self) -> None:
        """Let go of what was needed for all this."""

    def __enter__(self) -> Ranks:
        if self.rank:
            sys.stdout = sys.stderr = open(os.devnull, "w")
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None:
                self.long_barrier()  # who still has work to do, as drawing, may fail
            elif not isinstance(error, (RankFailed, Stopped)):
                if self.rank and not isinstance(error, (*EXPECTED, KeyboardInterrupt, SystemExit)):
                    print_exception(error, file=sys.__stderr__)
                self.fail(what(error))
        finally:
            self.close()

    def cores(self) -> int:
        """How many cores this rank may use: the host's, shared out among the ranks on it."""
        cores: int = usable_cores()
        return max(1, cores // self.here()[1])

    def here(self) -> tuple[int, int]:
        """Of the ranks on the same host: how many come before this one, and how many they are in all."""
        host = self.hosts[self.rank]
        return list(self.hosts[: self.rank]).count(host), list(self.hosts).count(host)

    def own(self, every: Sequence[T]) -> Sequence[T]:
        """Of so many things on this host, as GPUs, those that are this rank's: at least one, if there is any."""
        place, count = self.here()
        mine = every[place * len(every) // count : (place + 1) * len(every) // count]
        return mine or [every[place % len(every)]] if every else []

    def share(self, parts: int = 0) -> Share:
        """Which of so many parts of everything are this rank's; 0: one of each rank."""
        return Share.of(self.rank, self.size, parts or self.size)

    def first_then_others(self, work: Callable[[], T]) -> T:
        """work(), by rank 0 first, and when that is done by all others: what it puts on disk is there for them."""
        if self.rank:
            self.long_barrier()
        result = work()
        if not self.rank:
            self.long_barrier()
        return result

    def named(self, rank: int) -> str:
        """As "rank 2 on host b"."""
        return f"rank {rank} on {self.hosts[rank]}"


ALONE = Ranks()


def check_alike(ranks: Ranks, facts: Mapping[str, Any]) -> None:
    """Raises ValueError where a rank has another fact than rank 0, by name: with both."""
    first, *others = ranks.gather(dict(facts))
    for rank, theirs in enumerate(others, 1):
        for name in first:
            if theirs.get(name) != first[name]:
                raise ValueError(f"{ranks.named(rank)} has {name} {theirs.get(name)}, {ranks.named(0)} has "
                                 f"{first[name]}: let all ranks have the same")
