"""The ranks of a run over MPI, as mpi4py speaks to it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI

from ..engine.device import copy_to, cpu, device_of, ensure_on
from ..engine.memory import Array, batch_first, batch_last, in_engine_order
from . import watch
from .parallel import RankFailed, Ranks

__all__ = ["MpiRanks"]

T = TypeVar("T")
PAUSE = 1e-3  # seconds, at most, between two looks whether all have come: who waits must not take others' cores
PATIENCE = 20.0  # seconds in which all others learn that one has failed
LONG = 10.0  # seconds after which who waits says so to the watcher
LONGEST = 3600.0  # seconds after which nobody waits any more


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
        self._long = False  # whether nobody is surprised that a meeting takes long
        self._over = False  # after a meeting in which one had failed there is no other
        self._watcher: socket.socket | None = None
        self.hosts = self.gather(socket.gethostname())

    def __enter__(self) -> Ranks:
        try:
            self._be_watched()
        except BaseException as error:  # then nobody calls __exit__
            self.__exit__(type(error), error, None)
            raise
        return super().__enter__()

    def _be_watched(self) -> None:
        key = secrets.token_hex(8)
        port = self.broadcast(_watched(self, key) if self.rank == 0 else 0)
        key = self.broadcast(key)
        with suppress(OSError):  # else nobody says which one has died, but mpiexec that one has
            self._watcher = socket.create_connection((self.hosts[0] if self._far() else "localhost", port), timeout=5)
            self._key = key
        self._tell(f"hello {self.named(self.rank)} (process {os.getpid()})")

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

    def all_to_all(self, parts: Sequence[Array]) -> list[Array]:
        here = {id(part): ensure_on(in_engine_order(part), cpu(0)) for part in parts}  # what all get is brought once
        every = self._until_done(self._thread.submit(self._swapped, [here[id(part)] for part in parts]))
        return [ensure_on(part, device_of(parts[0])) for part in every]

    def wait(self) -> None:
        for beside in self.beside.values():
            beside.wait()
        for end, array, host in self._sums:
            self._until_done(end)
            if array is not host:
                with device_of(array) as device:
                    array[...] = copy_to(host, device)
        self._sums = []

    def long_barrier(self) -> None:
        self._long = True
        self.barrier()
        self._long = False

    def part(self) -> None:
        self.barrier()
        self._over = True

    def fail(self, reason: str) -> None:
        """As of ``Ranks``. Where the others do not hear of it in time, all are ended at once."""
        try:
            self._thread.submit(self._meet, reason).result(PATIENCE)
        except RankFailed:
            self._abort()
        except TooLong:
            self._end(reason)

    def close(self) -> None:
        self._tell("bye")  # first of all: what NCCL says at its end is no death
        if self._watcher:
            self._watcher.close()
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
        begun, long = time.monotonic(), False
        while not all_here.Test():
            time.sleep(pause)
            pause = min(2 * pause, PAUSE)
            waits = time.monotonic() - begun
            if waits > LONG and not (long or self._long):
                long = True
                self._tell("waiting")
            if waits > LONGEST and not self._long:
                self._end(f"others have not come for {waits:.0f} s")
        if long:
            self._tell("busy")
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

    def _swapped(self, parts: list[np.ndarray]) -> list[np.ndarray]:
        self._meet()
        shapes, dtype = self._comm.alltoall([part.shape for part in parts]), parts[0].dtype
        every = [batch_first(np.empty((*shape[1:], shape[0]), dtype)) for shape in shapes]
        MPI.Request.Waitall([self._comm.Irecv(_bytes(theirs), rank) for rank, theirs in enumerate(every)]
                            + [self._comm.Isend(_bytes(part), rank) for rank, part in enumerate(parts)])
        return every

    # -- the watcher, and the end --------------------------------------------------------------------------------------

    def _far(self) -> bool:
        """Whether the ranks are on several machines."""
        return len(set(self.hosts)) > 1

    def _tell(self, what: str) -> None:
        if self._watcher:
            with suppress(OSError):
                self._watcher.sendall(f"{self._key}{what}\n".encode())

    def _end(self, reason: str) -> None:
        """End all ranks, at once."""
        self._tell("over")
        print(f"{self.named(self.rank)}: {reason}", file=sys.__stderr__, flush=True)
        MPI.COMM_WORLD.Abort(1)

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


def _bytes(array: np.ndarray) -> list[Any]:
    """The memory of an array in the engine's order, as MPI takes that of any type."""
    return [batch_last(array).reshape(-1), MPI.BYTE]


def _watched(ranks: MpiRanks, key: str) -> int:
    """Start the watcher of all ranks. Returns the port on which it listens, 0 where there is none."""
    try:
        with socket.create_server(("" if ranks._far() else "localhost", 0), backlog=ranks.size) as listening:
            watcher = subprocess.Popen(
                [sys.executable, "-I", watch.__file__, str(listening.fileno()), str(ranks.size),
                 os.path.basename(sys.argv[0]).removesuffix(".py")],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[listening.fileno()], start_new_session=True)
            assert watcher.stdin
            with watcher.stdin as secret:
                secret.write(key.encode())
            port: int = listening.getsockname()[1]
            return port
    except OSError:
        return 0
