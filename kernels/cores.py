"""All cores at once: work is split by its size alone, and a BLAS runs on the core that asks for a product.

So the last bits of a result depend neither on how many cores there are nor on which of them did what.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import operator
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import numpy as np

from .machine import usable_cores

__all__ = ["concurrently", "cores_for", "get_num_threads", "inside", "one_thread", "parallel_for", "parts_on",
           "set_num_threads", "split_range"]

Result = TypeVar("Result")
PARTS = 16  # so that cores which start late, or are slower, do not leave the others waiting


class _Here(threading.local):
    def __init__(self) -> None:
        self.inside = False  # of a part of work, which is one core's
        self.before: list[list[int]] = []  # threads of the BLAS


_here = _Here()
_threads = usable_cores()


def get_num_threads() -> int:
    """How many cores kernels and convolutions use."""
    return _threads


def set_num_threads(threads: int) -> None:
    """Let kernels and convolutions use so many cores. Raises ValueError for less than one."""
    global _threads
    try:
        count = operator.index(threads)
    except TypeError:
        raise TypeError(f"set_num_threads: {threads!r} is no whole number: give 1 or more") from None
    if count < 1:
        raise ValueError(f"set_num_threads: {threads} threads cannot work: give 1 or more")
    _threads = count


def split_range(items: int, parts: int = PARTS) -> list[tuple[int, int]]:
    """range(items) as so many ranges (first, last) of nearly one length; as fewer where there are fewer items."""
    parts = min(items, parts)
    return [(items * i // parts, items * (i + 1) // parts) for i in range(parts)]


def parts_on(like: Any, parts: int = PARTS) -> int:
    """So many parts where this array is NumPy's; one on a GPU, which divides its work itself."""
    return parts if isinstance(like, np.ndarray) else 1


def parallel_for(items: int, work: Callable[[int, int], Result], parts: int = PARTS, products: bool = True
                 ) -> list[Result]:
    """[work(first, last) for first, last in split_range(items, parts)], in order.

    Every core takes the next part as it gets free. The parts do not depend on how many cores there are nor on who asks,
    and so neither does what is added up over them. Matrix products inside ``work`` run on the core that asks for them;
    where there are none, ``products`` says so. What ``np.errstate`` ignores here is ignored on every core.
    ``parallel_for`` inside ``work`` does its parts one after the other. One part alone has all cores to itself.
    """
    ranges = split_range(items, parts)
    if _here.inside or len(ranges) < 2:
        return [work(first, last) for first, last in ranges]
    queue = iter(enumerate(ranges))
    results: list[Any] = [None] * len(ranges)

    def worker() -> None:
        with _inside():
            for i, (first, last) in queue:
                results[i] = work(first, last)

    with one_thread if products else contextlib.nullcontext():
        others = [_pool(_threads - 1).submit(contextvars.copy_context().run, worker)
                  for _ in range(min(_threads, len(ranges)) - 1)]
        try:
            worker()
        finally:
            others = [other for other in others if not other.cancel()]  # who has not yet begun need not
            wait(others)
    for other in others:
        other.result()
    return results


def cores_for(parts: int) -> int:
    """How many cores ``parallel_for`` takes for so many parts, where it is asked from outside of such a part."""
    return max(1, min(_threads, parts))


def concurrently(*tasks: Callable[[], Result]) -> list[Result]:
    """[task() for task in tasks], where none needs another's result: each on a core of its own, if there are no more
    cores than tasks, for then they need not come together again for every loop inside of them."""
    if not 1 < _threads <= len(tasks):
        return [task() for task in tasks]
    return parallel_for(len(tasks), lambda first, last: tasks[first](), parts=len(tasks))


def inside() -> bool:
    """Whether this is a part of work that was spread over the cores, and so one core's."""
    return _here.inside


@contextlib.contextmanager
def _inside() -> Iterator[None]:
    before, _here.inside = _here.inside, True
    try:
        yield
    finally:
        _here.inside = before


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "minicnn", initializer=one_thread._set, initargs=([1] * len(_blas()),))


@functools.cache
def _blas() -> list[Any]:
    import threadpoolctl

    return [each for each in threadpoolctl.ThreadpoolController().lib_controllers if each.user_api == "blas"]


class _OneThread:
    """``with`` it, a matrix product runs on the core that asks for it, whatever BLAS NumPy has: one with threads cuts a
    product by their number, and so their number would show in the last bits.

    A BLAS has one number of threads for the process, so whoever of Python's threads comes first sets it, and who leaves
    last puts back what was there; or, with OpenMP, one for each of Python's threads.
    """

    def __init__(self) -> None:
        self.lock, self.count, self.before = threading.Lock(), 0, [0]

    def __enter__(self) -> None:
        if _here.inside:  # where it is so already
            return
        with self.lock:
            self.count += 1
            now = [each.get_num_threads() for each in _blas()]
            if self.count == 1:
                self.before = now
            _here.before.append(now)
            self._set([1] * len(now))

    def __exit__(self, *error: object) -> None:
        if _here.inside:
            return
        with self.lock:
            self.count -= 1
            own, common = _here.before.pop(), self.before if not self.count else [1] * len(self.before)
            self._set([a if _has_own(each) else b for each, a, b in zip(_blas(), own, common, strict=True)])

    def _set(self, threads: list[int]) -> None:
        for each, number in zip(_blas(), threads, strict=True):
            if hasattr(each, "clear_controlling_thread"):  # else threadpoolctl obeys the thread that called first alone
                each.clear_controlling_thread(force=True)
            each.set_num_threads(number)

    def _forked(self) -> None:
        """In a forked process only the thread that forked goes on, and the lock may be another's."""
        self.lock, others, self.count = threading.Lock(), self.count, len(_here.before)
        if others and not self.count:
            self._set(self.before)


def _has_own(blas: Any) -> bool:
    """Whether it has a number of threads for each of Python's threads."""
    return getattr(blas, "threading_layer", "") == "openmp"


one_thread = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
    os.register_at_fork(after_in_child=one_thread._forked)
