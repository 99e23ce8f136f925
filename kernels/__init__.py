"""HOW numbers are computed: arrays in, arrays out. This room imports nothing of minicnn and knows nothing of tensors.

A kernel is a plain Python function

    name(first, last, *arguments)        arguments: outputs, inputs, sizes, factors

that does items ``first`` … ``last − 1`` of its outermost loop; no two items write to the same place. It is called
through the one door, ``kernel``, as ``name(items, *arguments)``. Where the arrays are NumPy's the door compiles it with
Numba and lets every core take slices of range(items). Where they are CuPy's it runs the twin of that name in the
``.cu`` beside it, which divides its work among threads by itself (see prelude.cuh). ``name.plain`` is the function
itself, which a debugger can step through.
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
from pathlib import Path
from typing import Any

import numpy as np

from .compiled import kept
from .machine import usable_cores

__all__ = ["add_at", "cores", "cut", "get_num_threads", "kernel", "one_thread", "over", "set_num_threads",
           "usable_cores", "workspace"]

SMALL = 1 << 16  # elements: work that one core has done before a second one has woken up
FEW = 8  # numbers side by side, such as a pixel of so many images: less are taken one by one, as no vector gains
SLICES = 16  # so that cores which start late, or are slower, do not leave the others waiting


def kernel(function: Callable[..., None]) -> Any:
    """The door to a kernel: checks its arrays, compiles it at the first call, runs it where they live.

    Python's whole numbers arrive as int, NumPy's as they are, factors in the type of the arrays, or as float32 where
    these are half, as they may be on a GPU.

    Raises ValueError where an array is not contiguous (a kernel knows no strides), where two arrays of real numbers
    differ in type, and where arrays do not all live on the one device that is current.
    """
    name = function.__name__

    @functools.cache
    def compiled() -> Callable[..., None]:
        import numba  # here, since it takes longer to import than all the rest

        return kept(numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})(function))

    @functools.wraps(function)
    def launch(items: int, *arguments: Any) -> None:
        arrays = [a for a in arguments if not isinstance(a, (int, float, np.generic))]
        _refuse_what_it_would_misread(name, arrays)
        real = _computed_in(arrays)
        arguments = tuple(real(a) if isinstance(a, float) else a for a in arguments)  # else sums would run in double
        if not isinstance(arrays[0], np.ndarray):
            _on_gpu(name, function.__code__.co_filename, arrays, arguments)
        elif _here.inside or max(a.size for a in arrays) < SMALL:
            compiled()(0, items, *arguments)
        else:
            run = compiled()
            parts = min(max(a.size for a in arrays) // SMALL * 2, SLICES) or 1  # what is worth waking a core for
            over(items, lambda first, last: run(first, last, *arguments), parts=parts)

    launch.plain = function  # type: ignore[attr-defined]
    return launch


def _refuse_what_it_would_misread(name: str, arrays: list[Any]) -> None:
    for a in arrays:
        if not a.flags.c_contiguous:
            raise ValueError(f"{name}: an array {a.shape} has strides {a.strides}: a kernel needs contiguous arrays")
    types = {a.dtype.name for a in arrays if a.dtype.kind == "f"}
    known = {"float32", "float64"} if isinstance(arrays[0], np.ndarray) else {"float16", "float32", "float64"}
    if len(types) != 1 or not types <= known:
        given = sorted(types or {a.dtype.name for a in arrays})
        raise ValueError(f"{name}: arrays of {' and '.join(given)}: give all of one type, float32 or float64, or on a "
                         "GPU float16")
    if len(places := {str(a.device) for a in arrays}) > 1:  # NumPy says "cpu", CuPy "<CUDA Device 0>"
        raise ValueError(f"{name}: arrays live on {' and '.join(sorted(places))}: bring them to one device")


def _computed_in(arrays: list[Any]) -> Any:
    """The type of factors and sums: that of the arrays, and single precision for half."""
    return np.result_type(np.float32, *(a.dtype for a in arrays if a.dtype.kind == "f")).type


# -- on a GPU ----------------------------------------------------------------------------------------------------------

IN_C = {"float16": "Half", "float32": "float", "float64": "double", "uint8": "unsigned char", "uint32": "unsigned int",
        "int64": "long long"}
THREADS = 256  # of a block
BLOCKS = 1 << 14  # of a launch: several times what the largest GPU runs at once; threads then take more than one turn
LARGEST = 2**31 - THREADS * BLOCKS  # elements of an array: a thread counts in int, one turn beyond the end


def _on_gpu(name: str, file: str, arrays: list[Any], arguments: tuple[Any, ...]) -> None:
    import cupy

    here = cupy.cuda.runtime.getDevice()
    if arrays[0].device.id != here:
        raise ValueError(f"{name}: the arrays live on cuda({arrays[0].device.id}), the current device is cuda({here}): "
                         f"call it under `with cuda({arrays[0].device.id}):`")
    grid, block, values = launch_of(name, arguments)
    if grid[0]:
        _on_device(here, name, *cuda_source(file, arrays))(grid, block, values)


@functools.cache
def _on_device(here: int, name: str, code: str, options: tuple[str, ...]) -> Any:
    return _module(code, options).get_function(name)


@functools.cache
def _module(code: str, options: tuple[str, ...]) -> Any:
    import cupy

    return cupy.RawModule(code=code, options=options)  # loads itself anew on every device


def cuda_source(file: str, arrays: list[Any]) -> tuple[str, tuple[str, ...]]:
    """(text, options): what NVRTC is to compile for arrays of these types. One text, since CuPy's cache of compiled
    kernels looks into no header."""
    types = {a.dtype.kind == "f": IN_C[a.dtype.name] for a in arrays}
    return _cuda_source(file, types[True], types.get(False, "int"))


@functools.cache
def _cuda_source(file: str, element: str, whole: str) -> tuple[str, tuple[str, ...]]:
    prelude, kernels = (f'#line 1 "{path.name}"\n{path.read_text(encoding="utf-8")}'
                        for path in (Path(__file__).with_name("prelude.cuh"), Path(file).with_suffix(".cu")))
    real = "float" if element == "Half" else element
    numbers = f"typedef {element} Element;\ntypedef {real} Real;\ntypedef {whole} Whole;"
    return "\n".join([prelude, numbers, kernels]), ("-std=c++17",)


def launch_of(name: str, arguments: tuple[Any, ...]) -> tuple[tuple[int], tuple[int], list[Any]]:
    """(blocks, threads of a block, values): at most a thread for each element of the first array, an output."""
    values: list[Any] = []
    for a in arguments:
        if isinstance(a, (int, np.generic)):
            values.append(a if isinstance(a, np.generic) else np.int32(a))  # CuPy would hand over a long long
            continue
        if a.size > LARGEST:
            raise ValueError(f"{name}: an array {a.shape} has {a.size} elements, more than {LARGEST}: take a smaller "
                             "batch")
        values += [a, *map(np.int32, a.shape)]
    return (min(-(-arguments[0].size // THREADS), BLOCKS),), (THREADS,), values


def add_at(x: Any, index: Any, values: Any) -> None:
    """x[index] += values, where an element that is taken twice gets both: np.add.at, wherever x lives."""
    if isinstance(x, np.ndarray):
        np.add.at(x, index, values)
    else:
        import cupy

        cupy.add.at(x, index, values)  # adds in no certain order


# -- every core at once ------------------------------------------------------------------------------------------------


class _Here(threading.local):
    def __init__(self) -> None:
        self.inside = False  # of a slice of work, which is one core's
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


@contextlib.contextmanager
def _inside() -> Iterator[None]:
    before, _here.inside = _here.inside, True
    try:
        yield
    finally:
        _here.inside = before


def over(items: int, work: Callable[[int, int], Any], like: Any = None, parts: int = SLICES) -> list[Any]:
    """[work(first, last)] for at most so many parts that together make range(items), in order.

    Every core takes the next slice as it gets free. The slices do not depend on how many cores there are nor on who
    asks, and so neither does what is added up over them. Matrix products inside ``work`` run on the core that asks for
    them. What NumPy is told to ignore, all ignore. ``over`` inside ``work`` does its slices one after the other. One
    item alone has all cores to itself, and so has all work where ``like``, an array that it is about, lives on a GPU.
    """
    slices = cut(items, parts if isinstance(like, (np.ndarray, type(None))) else 1)
    if _here.inside or len(slices) < 2:
        return [work(first, last) for first, last in slices]
    queue = iter(enumerate(slices))
    results: list[Any] = [None] * len(slices)

    def worker() -> None:
        with _inside():
            for i, (first, last) in queue:
                results[i] = work(first, last)

    with one_thread:
        others = [_pool(_threads - 1).submit(contextvars.copy_context().run, worker)
                  for _ in range(min(_threads, len(slices)) - 1)]
        try:
            worker()
        finally:
            others = [other for other in others if not other.cancel()]  # who has not yet begun need not
            wait(others)
    for other in others:
        other.result()
    return results


def cut(items: int, parts: int) -> list[tuple[int, int]]:
    """range(items) as so many ranges (first, last) of nearly one length; as fewer where there are fewer items."""
    parts = min(items, parts)
    return [(items * i // parts, items * (i + 1) // parts) for i in range(parts)]


def cores(like: Any) -> int:
    """How many cores share what is to be done where ``like`` lives: a GPU divides its work itself."""
    return _threads if isinstance(like, np.ndarray) else 1


def workspace(like: Any, shared: bool = False) -> int:
    """How many bytes of scratch memory a core, or all cores together, may fill at a time, where ``like`` lives: what
    stays in a cache. On a GPU a sixteenth of its memory, for products as large as it can use, but no more than a kernel
    can count."""
    if isinstance(like, np.ndarray):
        return 16 << 20 if shared else 4 << 20
    return min(_memory(like.device) // 16, LARGEST * like.itemsize)


@functools.cache
def _memory(gpu: Any) -> int:
    return gpu.mem_info[1]  # bytes in all, asked once: the driver need not answer while a graph is recorded
