"""HOW numbers are computed: arrays in, arrays out. This room imports nothing of minicnn and knows nothing of tensors.

A kernel is a plain Python function

    name(first, last, *arguments)        arguments: outputs, inputs, sizes, factors

that does items ``first`` … ``last − 1`` of its outermost loop; no two items write to the same place. It is called
through the one door, ``kernel``, as ``name(items, *arguments)``: the door compiles it with Numba and lets every core
take slices of range(items). ``name.plain`` is the function itself, which a debugger can step through.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

__all__ = ["get_num_threads", "kernel", "over", "set_num_threads", "workspace"]

SMALL = 1 << 14  # elements: work that one core has done before a second one has woken up
SLICES = 16  # so that cores which start late, or are slower, do not leave the others waiting


def kernel(function: Callable[..., None]) -> Any:
    """The door to a kernel: checks its arrays, compiles it at the first call, runs it on every core.

    Raises ValueError where an array is not contiguous (a kernel knows no strides) or where two arrays of real numbers
    differ in type.
    """
    name = function.__name__

    @functools.cache
    def compiled() -> Callable[..., None]:
        import numba  # here, since it takes longer to import than all the rest

        return numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})(function)

    @functools.wraps(function)
    def launch(items: int, *arguments: Any) -> None:
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        _refuse_what_it_would_misread(name, arrays)
        real = next(a.dtype.type for a in arrays if a.dtype.kind == "f")
        arguments = tuple(real(a) if isinstance(a, float) else a for a in arguments)  # else sums would run in double
        run = compiled()
        if max(a.size for a in arrays) < SMALL:
            run(0, items, *arguments)
        else:
            over(items, lambda first, last: run(first, last, *arguments))

    launch.plain = function  # type: ignore[attr-defined]
    return launch


def _refuse_what_it_would_misread(name: str, arrays: list[np.ndarray]) -> None:
    for a in arrays:
        if not a.flags.c_contiguous:
            raise ValueError(f"{name}: an array {a.shape} has strides {a.strides}: a kernel needs contiguous arrays")
    types = {a.dtype.name for a in arrays if a.dtype.kind == "f"}
    if len(types) != 1 or not types <= {"float32", "float64"}:
        given = sorted(types or {a.dtype.name for a in arrays})
        raise ValueError(f"{name}: arrays of {' and '.join(given)}: give all of one type, float32 or float64")


# -- every core at once ------------------------------------------------------------------------------------------------


class _Here(threading.local):
    inside = False


_here = _Here()
_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """How many cores kernels and convolutions use."""
    return _threads


def set_num_threads(threads: int) -> None:
    """Let kernels and convolutions use so many cores. Raises ValueError for less than one."""
    global _threads
    if threads < 1:
        raise ValueError(f"set_num_threads: {threads} threads cannot work: give 1 or more")
    _threads = threads


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "minicnn")


@functools.cache
def _blas() -> Any:
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()


@contextlib.contextmanager
def _inside() -> Iterator[None]:
    before, _here.inside = _here.inside, True
    try:
        yield
    finally:
        _here.inside = before


def over(items: int, work: Callable[[int, int], Any]) -> list[Any]:
    """[work(first, last)] for at most SLICES slices that together make range(items), in order.

    Every core takes the next slice as it gets free. The slices do not depend on how many cores there are, nor does
    what is added up over them. Matrix products inside ``work`` run on the core that asks for them, and ``over``
    inside ``work`` is a plain call.
    """
    if _here.inside:
        return [work(0, items)] if items else []
    slices = min(items, SLICES)
    queue = iter([(items * i // slices, items * (i + 1) // slices, i) for i in range(slices)])
    results: list[Any] = [None] * slices

    def worker() -> None:
        with _inside():
            for first, last, i in queue:
                results[i] = work(first, last)

    with _blas().limit(limits=1, user_api="blas"):
        others = [_pool(_threads - 1).submit(worker) for _ in range(min(_threads, slices) - 1)]
        try:
            worker()
        finally:
            wait(others)
    for other in others:
        other.result()
    return results


def workspace(like: Any) -> int:
    """How many bytes of scratch memory a core may fill at a time, where ``like`` lives: what stays in its cache."""
    return 2 << 20
