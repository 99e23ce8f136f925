"""The workers: processes that decode pictures beside the one that trains.

A thread here and a process there, joined by two pipes, make one worker: the thread sends a pickled task and reads the
pickled answer. Either end of a pipe tells when the other has died: a killed worker is an error here, not a hang, and
workers whose parent was killed end by themselves. ``multiprocessing`` would import the user's script once more in every
worker, and its one queue for all of them stays locked for ever when a worker is killed in the middle of an answer.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import starmap
from typing import Any, TypeVar

from .. import console
from ..engine.settings import whole

__all__ = ["WorkerDied", "Workers", "serve"]

T = TypeVar("T")


class WorkerDied(RuntimeError):
    """A worker process ended before it had answered."""


class Workers:
    """``count`` processes that call functions; with a count of 0 the functions are called in this process.

    Processes start when they are first needed and stay until ``close``; one that has died is replaced by the next call.
    Raises TypeError and ValueError where ``count`` is no such number.
    """

    def __init__(self, count: int):
        self.count = whole("Workers", "count", count, least=0)
        self._begin()

    def _begin(self) -> None:
        self._parent = os.getpid()
        self._threads = ThreadPoolExecutor(max(self.count, 1))
        self._own = threading.local()  # .process: the one that belongs to the current thread
        self._processes: list[subprocess.Popen[bytes]] = []

    def starmap(self, function: Callable[..., T], tasks: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """Yield function(*task) for every task, in their order, prefetching ``count`` + 1 of them.

        Functions, tasks and results travel pickled; the functions must be found by import, so not those of a script.
        The iterator may be abandoned at any time.
        Raises WorkerDied where a process ends before it has answered: because it was killed, or because the function
        raised an exception, which the process then prints.
        """
        if not self.count:
            yield from starmap(function, tasks)
            return
        if self._parent != os.getpid():
            self._begin()  # a forked process has none of the threads, and the processes are its parent's
        pending: deque[Future[T]] = deque()
        try:
            for task in tasks:
                pending.append(self._threads.submit(self._ask, function, task))
                if len(pending) > self.count + 1:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for answer in pending:
                answer.cancel()

    def close(self) -> None:
        """End the processes and wait for their end. May be called twice."""
        if self._parent != os.getpid():
            return
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.kill()
        self._threads.shutdown()
        for process in self._processes:
            with suppress(BrokenPipeError), process:  # closes the pipes and waits
                process.kill()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _ask(self, function: Callable[..., T], task: tuple[Any, ...]) -> T:
        process = getattr(self._own, "process", None)
        if process is None:
            process = self._own.process = self._start()
        assert process.stdin and process.stdout
        try:
            pickle.dump((function, task), process.stdin, protocol=5)
            process.stdin.flush()
            answer: T = pickle.load(process.stdout)
            return answer
        except (EOFError, OSError, pickle.UnpicklingError):  # of a broken pipe Windows says "invalid argument"
            self._own.process = None
            code = process.wait()
            end = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise WorkerDied(f"worker process {process.pid} {end} before it had answered: see what it printed; "
                             f"if memory is short, use fewer workers") from None

    def _start(self) -> subprocess.Popen[bytes]:
        # Not by PYTHONPATH: a path may have a colon in it. The encoding of names of files is that of the parent.
        program = f"import sys; sys.path[:] = {sys.path!a}; from minicnn.data.workers import serve; serve()"
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-X", f"utf8={sys.flags.utf8_mode}", "-c", program],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                process_group=0,  # the Ctrl-C of a terminal goes to the parent alone: so on Windows
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
        except OSError as error:
            raise WorkerDied(f"a worker process cannot be started: {error.strerror or error}: use fewer workers, or "
                             f"none") from error
        self._processes.append(process)
        for pipe in (process.stdin, process.stdout):
            _widen(pipe)
        return process


def _widen(pipe: Any) -> None:
    """Let a pipe hold a megabyte, if we may: a batch is tens of them, and the usual 64 kB takes twice as long.

    Who is not root may have 64 MiB of pipes in all (fcntl(2), F_SETPIPE_SZ); only Linux lets a size be asked for.
    """
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        for size in (2**20, 2**19, 2**18, 2**17):
            with suppress(PermissionError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, size)
                return


def serve() -> None:
    """The whole life of a worker process: answer tasks until the parent is gone."""
    console.prepare()  # for a parent whose error output is closed
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library may print goes to the error output, not among the answers
    while True:
        try:
            function, task = pickle.load(tasks)
        except (EOFError, pickle.UnpicklingError):
            return
        answer = function(*task)
        try:
            pickle.dump(answer, answers, protocol=5)
            answers.flush()
        except BrokenPipeError:
            os._exit(0)  # not by return, which would flush once more and complain
