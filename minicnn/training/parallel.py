"""Several processes train one model: the ranks, which meet over MPI. Without mpiexec there is one, and no MPI.

    mpiexec -n 4 python examples/train_alexnet.py DATA

Ranks call the same functions in the same order. Each such call is a meeting: nobody gets through before all have come,
and who comes to say that he has failed ends it for all.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from traceback import print_exception
from typing import Any, TypeVar

import numpy as np

from minicnn.kernels.machine import usable_cores

from ..data.share import Share
from ..engine.device import copy_to, cpu, device_of, ensure_on
from ..engine.memory import Array
from .interrupt import EXPECTED, Stopped, what

__all__ = ["MpiRanks", "RankFailed", "Ranks", "ranks_of_this_run"]

T = TypeVar("T")
PAUSE = 1e-3  # seconds, at most, between two looks whether all have come: who waits must not take others' cores
PATIENCE = 20.0  # seconds in which all others learn that one has failed


class RankFailed(RuntimeError):
    """A rank has failed; the message names it, its host and its reason."""


class Ranks:
    """The ranks of a run: by itself one, as without mpiexec.

        with ranks_of_this_run() as ranks:
            ...

    Inside, what ranks but the first print is not seen; where one raises, all do, ``RankFailed`` with its reason.

    rank: one's own number, from 0. size: how many there are. hosts: of each rank the machine.
    waited: seconds spent in meetings so far, waiting or exchanging.
    """

    rank, size = 0, 1
    hosts: Sequence[str] = ("",)
    waited = 0.0

    def gather(self, value: T) -> list[T]:
        """What each rank gave, in their order: to all of them."""
        return [value]

    def broadcast(self, value: T) -> T:
        """What rank 0 gave."""
        return self.gather(value)[0]

    def barrier(self) -> None:
        """Go on when all are here."""
        self.gather(None)

    def all_reduce(self, array: Array) -> None:
        """Begin to add up this array over the ranks, in place. It is done after the next ``wait``."""

    def sum_in_order(self, parts: Sequence[Array], total: Array) -> None:
        """Begin to write into ``total`` the sum of the parts of rank 0, then those of rank 1, and so on, added one by
        one, so that it has the same bits whoever holds them. It is done after the next ``wait``."""
        with device_of(total):
            total[...] = 0
            for part in parts:
                total += part

    def wait(self) -> None:
        """Go on when all sums that were begun are there."""

    def fail(self, reason: str) -> None:
        """Tell the others that this rank cannot go on."""

    def close(self) -> None:
        """Let go of what was needed for all this."""

    def __enter__(self) -> Ranks:
        if self.rank:
            sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            self.barrier()  # who still has work to do, as drawing, may fail
        elif not isinstance(error, (RankFailed, Stopped)):
            if self.rank and not isinstance(error, (*EXPECTED, KeyboardInterrupt, SystemExit)):
                print_exception(error, file=sys.__stderr__)
            self.fail(what(error))
        self.close()

    def cores(self) -> int:
        """How many cores this rank may use: the host's, shared out among the ranks on it."""
        return max(1, usable_cores() // self.hosts.count(self.hosts[self.rank]))

    def share(self, parts: int = 0) -> Share:
        """Which of so many parts of everything are this rank's; 0: one of each rank."""
        return Share.of(self.rank, self.size, parts or self.size)

    def first_then_others(self, work: Callable[[], T]) -> T:
        """work(), by rank 0 first, and when that is done by all others: what it puts on disk is there for them."""
        if self.rank:
            self.barrier()
        result = work()
        if not self.rank:
            self.barrier()
        return result

    def named(self, rank: int) -> str:
        """As "rank 2 on host b"."""
        return f"rank {rank} on {self.hosts[rank]}"


class MpiRanks(Ranks):
    """The ranks that mpiexec has started, which exchange by way of main memory.

    All that is said over MPI is said by one thread, in the order in which it was asked for: sums go on beside what
    computes. Raises ImportError where there is no mpi4py.
    """

    def __init__(self) -> None:
        from mpi4py import MPI

        self._mpi, self._comm = MPI, MPI.COMM_WORLD.Dup()
        self.rank, self.size = self._comm.rank, self._comm.size
        self._thread = ThreadPoolExecutor(1, "ranks")
        self._sums: list[tuple[Future[None], Array, np.ndarray]] = []  # begun: (its end, where it is to go, what it is)
        self._over = False  # after a meeting in which one had failed there is no other
        self.hosts = self.gather(socket.gethostname())

    def gather(self, value: T) -> list[T]:
        return self._until_done(self._thread.submit(self._gathered, value))

    def broadcast(self, value: T) -> T:
        return self._until_done(self._thread.submit(self._from_first, value))

    def all_reduce(self, array: Array) -> None:
        self._begin(self._added, array)

    def sum_in_order(self, parts: Sequence[Array], total: Array) -> None:
        self._begin(self._added_in_order, total, [ensure_on(part, cpu(0)) for part in parts])

    def wait(self) -> None:
        for end, array, host in self._sums:
            self._until_done(end)
            if array is not host:
                with device_of(array) as device:
                    array[...] = copy_to(host, device)
        self._sums = []

    def fail(self, reason: str) -> None:
        """As of ``Ranks``. Where the others do not hear of it in time, all are ended at once."""
        try:
            self._thread.submit(self._meet, reason).result(PATIENCE)
        except RankFailed:
            return
        except TooLong:
            print(f"{self.named(self.rank)}: {reason}", file=sys.__stderr__, flush=True)
            self._mpi.COMM_WORLD.Abort(1)

    def close(self) -> None:
        self._thread.shutdown()

    def library(self) -> str:
        """The MPI that mpi4py speaks to, as "MPICH 5.0.2"."""
        name, version = self._mpi.get_vendor()
        return f"{name} {'.'.join(map(str, version))}"

    # -- by the thread -------------------------------------------------------------------------------------------------

    def _meet(self, reason: str | None = None) -> None:
        """Go on when all are here. reason: of one's own failure. Raises RankFailed where one has failed."""
        if self._over:
            raise RankFailed("the ranks have parted")
        failed, any_failed = np.array([reason is not None]), np.empty(1, bool)
        all_here, pause = self._comm.Iallreduce(failed, any_failed, op=self._mpi.LOR), PAUSE / 64
        while not all_here.Test():
            time.sleep(pause)
            pause = min(2 * pause, PAUSE)
        if any_failed[0]:
            self._over = True
            reasons = enumerate(self._comm.allgather(reason))
            raise RankFailed("; ".join(f"{self.named(rank)}: {why}" for rank, why in reasons if why is not None))

    def _gathered(self, value: T) -> list[T]:
        self._meet()
        everyone: list[T] = self._comm.allgather(value)
        return everyone

    def _from_first(self, value: T) -> T:
        self._meet()
        theirs: T = self._comm.bcast(value)
        return theirs

    def _added(self, array: np.ndarray) -> None:
        self._meet()
        self._comm.Allreduce(self._mpi.IN_PLACE, array)

    def _added_in_order(self, total: np.ndarray, parts: list[np.ndarray]) -> None:
        self._meet()
        if self.rank:
            self._comm.Recv(total, self.rank - 1)
        else:
            total[...] = 0
        for part in parts:
            total += part
        if self.rank < self.size - 1:
            self._comm.Send(total, self.rank + 1)
        self._comm.Bcast(total, self.size - 1)

    # -- by whoever asks -----------------------------------------------------------------------------------------------

    def _begin(self, work: Callable[..., None], array: Array, *more: Any) -> None:
        host = ensure_on(array, cpu(0))
        self._sums.append((self._thread.submit(work, host, *more), array, host))

    def _until_done(self, end: Future[T]) -> T:
        begun = time.perf_counter()
        try:
            return end.result()
        finally:
            self.waited += time.perf_counter() - begun


def ranks_of_this_run(environment: Mapping[str, str] = os.environ) -> Ranks:
    """The ranks that were started together with this process; without mpiexec one, and MPI is not asked.

    Raises ValueError where mpiexec has started several that cannot meet.
    """
    count = max(int(environment.get(name, 0)) for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"))
    if count < 2 and "PMIX_RANK" not in environment:
        return Ranks()
    try:
        ranks = MpiRanks()
    except ImportError as error:
        raise ValueError(f"mpiexec has started {count} ranks, and they have no way to meet: {error}: pip install "
                         '"minicnn[mpi]"') from None
    if count and ranks.size != count:
        raise ValueError(f"mpiexec has started {count} ranks, and mpi4py sees {ranks.size}: they belong to different "
                         f"MPIs: start them by the mpiexec of mpi4py's own, {ranks.library()}")
    return ranks if ranks.size > 1 else Ranks()
