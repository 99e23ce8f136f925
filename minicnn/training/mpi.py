"""The ranks of a run over MPI, as mpi4py speaks to it."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI

from ..engine.device import copy_to, cpu, device_of, ensure_on
from ..engine.memory import Array
from .parallel import RankFailed, Ranks

__all__ = ["MpiRanks"]

T = TypeVar("T")
PAUSE = 1e-3  # seconds, at most, between two looks whether all have come: who waits must not take others' cores
PATIENCE = 20.0  # seconds in which all others learn that one has failed


class MpiRanks(Ranks):
    """The ranks that mpiexec has started, which exchange by way of main memory.

    All that is said over MPI is said by one thread, in the order in which it was asked for: sums go on beside what
    computes.
    """

    def __init__(self) -> None:
        self._comm = MPI.COMM_WORLD.Dup()
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
        beside = self.beside.get(device_of(array))
        if beside:
            beside.begin(array)
        else:
            self._begin(self._added, array)

    def sum_in_order(self, parts: Sequence[Array], total: Array) -> None:
        self._begin(self._added_in_order, total, [ensure_on(part, cpu(0)) for part in parts])

    def wait(self) -> None:
        for beside in self.beside.values():
            beside.wait()
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
            self._abort()
        except TooLong:
            print(f"{self.named(self.rank)}: {reason}", file=sys.__stderr__, flush=True)
            MPI.COMM_WORLD.Abort(1)

    def close(self) -> None:
        for beside in self.beside.values():
            beside.close()
        self._thread.shutdown()

    def library(self) -> str:
        """The MPI that mpi4py speaks to, as "MPICH 5.0.2"."""
        name, version = MPI.get_vendor()
        return f"{name} {'.'.join(map(str, version))}"

    # -- by the thread -------------------------------------------------------------------------------------------------

    def _meet(self, reason: str | None = None) -> None:
        """Go on when all are here. reason: of one's own failure. Raises RankFailed where one has failed."""
        if self._over:
            raise RankFailed("the ranks have parted")
        failed, any_failed = np.array([reason is not None]), np.empty(1, bool)
        all_here, pause = self._comm.Iallreduce(failed, any_failed, op=MPI.LOR), PAUSE / 64
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
        self._comm.Allreduce(MPI.IN_PLACE, array)

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
        except RankFailed:
            self._abort()
            raise
        finally:
            self.waited += time.perf_counter() - begun

    def _abort(self) -> None:
        """Let GPUs go that wait for a rank which does not come."""
        for beside in self.beside.values():
            beside.abort()
