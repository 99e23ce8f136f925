"""CUDA graphs: work that is captured once and then replayed, all of it at one launch.

A step of AlexNet is some three hundred launches, and each takes Python its time, however fast the GPU is. While work is
captured nothing is done, so nothing may be asked: no number may come back, none of the host's may go over. What changes
from one replay to the next, such as a batch or the step of dropout, lies in arrays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from .product import capturing, past_cupy

__all__ = ["capture", "capturing"]

Result = TypeVar("Result")


def capture(work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
    """(what work() returned, a function that lets the current GPU do all of it: the replay).

    Nothing is done yet: until it is replayed the arrays in the result hold nothing, and each replay writes them anew,
    in the same memory. Before it is captured, work must have been done once, so that all it needs is compiled.

    Raises RuntimeError where nvmath-python is missing, and what CuPy raises where work cannot be captured.
    """
    import cupy

    with past_cupy():
        cupy.get_default_memory_pool().free_all_blocks()
        pool = cupy.cuda.MemoryPool()  # nobody else may get memory that the graph writes to
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream, cupy.cuda.using_allocator(pool.malloc):
            stream.begin_capture()
            try:
                result = work()
            except BaseException:
                with contextlib.suppress(Exception):  # it is broken off, and the first error is the one to know
                    stream.end_capture()
                raise
            graph = stream.end_capture()

    def replay(pool: Any = pool) -> None:
        graph.launch()

    return result, replay
