"""What the benchmarks share: rivals that work in turns, each in a process of its own, and how figures are printed."""

from __future__ import annotations

import contextlib
import ctypes.util
import importlib.metadata
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

COPIED = {"cpu": 1 << 28, "cuda": 1 << 31}  # bytes
MATRIX = {"cpu": 2048, "cuda": 8192}  # of the matrices whose product shows the machine's own rate

Turn = Callable[[Any], Any]  # does the work it is asked for once, and returns what it took
Rival = Callable[[], Turn]  # can be pickled; called in the process where the rival will work


# -- turns -------------------------------------------------------------------------------------------------------------


def take_turns(rivals: dict[str, Rival], asked: Sequence[Any], around: dict[str, dict[str, str]] | None = None
               ) -> dict[str, list[Any]]:
    """What every rival returned for each of ``asked``, all for the first one, then all for the second: so whatever else
    the machine does meets all alike.

    around: environment variables of a rival's process. Ends the program where a rival dies.
    """
    context = multiprocessing.get_context("spawn")
    processes, results = {}, {name: [] for name in rivals}
    for name, rival in rivals.items():
        pipe, theirs = context.Pipe()
        process = context.Process(target=_work, args=(rival, theirs), daemon=True)
        with _environment((around or {}).get(name, {})):
            process.start()
        theirs.close()
        processes[name] = pipe, process
    for what in asked:
        for name, (pipe, _) in processes.items():
            pipe.send([what])
            try:
                results[name].append(pipe.recv())
            except EOFError:
                sys.exit(f"{Path(sys.argv[0]).stem}: {name} died at {what}, perhaps for want of memory")
    for pipe, process in processes.values():
        pipe.send([])
        process.join()
    return results


def _work(rival: Rival, pipe: Any) -> None:
    turn = rival()
    while asked := pipe.recv():
        pipe.send(turn(*asked))


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def unset_blas_variables(keep: bool) -> None:
    """Unset, for this process and so for its rivals, what can hold NumPy's BLAS or PyTorch below the processor, and say
    so on stderr. keep: say so alone."""
    from minicnn.kernels.blas import VARIABLES

    of_torch = ["ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"]
    there = [name for name in [*sum(VARIABLES.values(), ()), *of_torch] if name in os.environ]
    if there:
        said = ", ".join(f"{name}={os.environ[name]}" for name in there)
        print(f"{said}: {'kept' if keep else 'unset for all rivals; --keep-blas-variables keeps it'}", file=sys.stderr)
    for name in [] if keep else there:
        del os.environ[name]


def blas() -> str:
    """The BLAS and the kernels that NumPy multiplies with in a rival's process: here they may be others."""
    return take_turns({"BLAS": _blas}, [None])["BLAS"][0]


def _blas() -> Turn:
    from minicnn.kernels.blas import in_use

    return lambda asked: in_use()


def jemalloc() -> dict[str, str] | None:
    """What lets a process take its memory from jemalloc, tuned to keep its pages as PyTorch's guide to tuning advises,
    where that is installed."""
    name = ctypes.util.find_library("jemalloc") if sys.platform == "linux" else None
    keep = "oversize_threshold:1,background_thread:true,metadata_thp:auto,dirty_decay_ms:-1,muzzy_decay_ms:-1"
    return {"LD_PRELOAD": name, "MALLOC_CONF": keep} if name else None


# -- the machine's own rates -------------------------------------------------------------------------------------------


def use(threads: int) -> None:
    """Let this process work with so many threads, and keep its memory, as the training script does."""
    from threadpoolctl import threadpool_limits

    from minicnn import keep_memory, kernels

    keep_memory()
    kernels.set_num_threads(threads)
    threadpool_limits(threads)


def matrix_product(threads: int, device: str, half: bool = False) -> Callable[[], Any]:
    """Of two matrices: the machine's own rate."""
    use(threads)
    a, b = np.random.default_rng(0).standard_normal((2, MATRIX[device], MATRIX[device]), dtype=np.float32)
    if device == "cuda":
        import cupy

        from minicnn.kernels.product import allow_tf32

        allow_tf32(True)
        a, b = (cupy.asarray(x.astype(np.float16) if half else x) for x in (a, b))
    return lambda: np.matmul(a, b)


def copy(threads: int, device: str) -> Callable[[], Any]:
    """From one array to another, each far too large for a cache: the memory's own rate."""
    from minicnn.kernels.cores import parallel_for

    use(threads)
    a = np.zeros(COPIED[device] // 4, np.float32)
    if device == "cuda":
        import cupy

        a = cupy.asarray(a)
    b = a.copy()

    def part(first: int, last: int) -> None:
        b[first:last] = a[first:last]

    return lambda: part(0, a.size) if device == "cuda" else parallel_for(a.size, part)


def processor() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


# -- what is printed -----------------------------------------------------------------------------------------


def write(path: Path | None, packages: list[str], **facts: Any) -> None:
    """All figures of a run, with date, machine and versions, as JSON."""
    from minicnn.kernels.machine import usable_cores

    if path:
        versions = {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in packages}}
        facts = {"date": date.today().isoformat(), "system": platform.system(), "cores": usable_cores(),
                 "versions": versions, **facts}
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
