"""HOW numbers are computed: arrays in, arrays out. This wing imports nothing of minicnn and knows nothing of tensors.

A kernel is a plain Python function

    name(first, last, *arguments)        arguments: outputs, inputs, sizes, factors

that does items ``first`` … ``last − 1`` of its outermost loop; no two items write to the same place. What the loop goes
over is said where the kernel is defined, as axes of its first output; who calls it, by ``name(*arguments)``, need not
know.

This file is the launcher. Where the arrays are NumPy's it compiles the function with Numba and lets every core take
parts of the loop. Where they are CuPy's it launches the twin of that name in the ``.cu`` beside it, which divides its
work among threads by itself (see prelude.cuh). ``name.plain`` is the function, through which a debugger can step.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast, overload

import numpy as np

from .compiled import kept
from .cores import PARTS, get_num_threads, inside, parallel_for, set_num_threads

__all__ = ["Kernel", "get_num_threads", "kernel", "set_num_threads"]

WORTH_A_CORE = 1 << 18  # elements that one core has copied before a second one has woken up
HALF, SINGLE_OR_DOUBLE = {np.dtype(np.float16)}, {np.dtype(np.float32), np.dtype(np.float64)}
ON_GPUS = HALF | SINGLE_OR_DOUBLE
FEW = 8  # numbers side by side, such as a pixel of so many images: less are taken one by one, as no vector gains


class Kernel(Protocol):
    """A loop over arrays, wherever they live."""

    __name__: str
    plain: Callable[..., None]

    def __call__(self, *arguments: Any) -> None: ...


@overload
def kernel(function: Callable[..., None]) -> Kernel: ...
@overload
def kernel(*, axes: tuple[int, ...] = (0,), weight: int = 1) -> Callable[[Callable[..., None]], Kernel]: ...
def kernel(function: Callable[..., None] | None = None, *, axes: tuple[int, ...] = (0,), weight: int = 1) -> Any:
    """The launcher of a kernel: checks its arrays, compiles it at the first call, runs it where they live.

    axes: those of the first array that the outermost loop goes over, an item for each place on them.
    weight: how many times the work of a copy it is, for each element: where it is worth a second core.

    Python's whole numbers arrive as int, NumPy's as they are, factors in the type of the arrays, or as float32 where
    these are half, as they may be on a GPU.

    Raises ValueError where an array is not contiguous (a kernel knows no strides), where two arrays of real numbers
    differ in type, and where arrays do not all live on the one device that is current.
    """
    if function is None:
        return functools.partial(kernel, axes=axes, weight=weight)
    name, code = function.__name__, function.__code__

    @functools.cache
    def compiled() -> Any:
        import numba  # here, since it takes longer to import than all the rest

        return kept(numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})(function))

    @functools.wraps(function)
    def launch(*arguments: Any) -> None:
        arrays = [a for a in arguments if not isinstance(a, (int, float, np.generic))]
        real = _computed_in(name, arrays)
        arguments = tuple([real(a) if type(a) is float else a for a in arguments])  # else sums would run in double
        if not isinstance(arrays[0], np.ndarray):
            _on_gpu(name, code.co_filename, arrays, arguments)
            return
        run, items = compiled(), math.prod([arrays[0].shape[a] for a in axes])
        work = weight * max([a.size for a in arrays]) // WORTH_A_CORE
        if inside() or work < 2:
            run(0, items, *arguments)
        else:
            parallel_for(items, lambda first, last: run(first, last, *arguments), min(work, PARTS), products=False)

    launched = cast(Kernel, launch)
    launched.plain = function
    return launched


def _computed_in(name: str, arrays: list[Any]) -> Any:
    """The type of factors and sums: that of the arrays of real numbers, and single precision for half. Raises
    ValueError where a kernel would misread what it is given."""
    for a in arrays:
        if not a.flags.c_contiguous:
            raise ValueError(f"{name}: an array {a.shape} has strides {a.strides}: a kernel needs contiguous arrays")
    types, on_processor = {a.dtype for a in arrays if a.dtype.kind == "f"}, isinstance(arrays[0], np.ndarray)
    if len(types) != 1 or not types <= (SINGLE_OR_DOUBLE if on_processor else ON_GPUS):
        given = sorted({a.dtype.name for a in arrays if a.dtype.kind == "f" or not types})
        raise ValueError(f"{name}: arrays of {' and '.join(given)}: give all of one type, float32 or float64, or on a "
                         "GPU float16")
    if not (on_processor and all(type(a) is np.ndarray for a in arrays)):
        places = {str(a.device) for a in arrays}  # NumPy says "cpu", CuPy "<CUDA Device 0>"
        if len(places) > 1:
            raise ValueError(f"{name}: arrays live on {' and '.join(sorted(places))}: bring them to one device")
    return np.float32 if types <= HALF else types.pop().type


# -- on a GPU ----------------------------------------------------------------------------------------------------------

IN_C = {"float16": "Half", "float32": "float", "float64": "double", "uint8": "unsigned char", "uint32": "unsigned int",
        "int64": "long long"}
THREADS = 256  # of a block
BLOCKS = 1 << 14  # of a launch: several times what the largest GPU runs at once; threads then take more than one turn
MOST_ELEMENTS = 2**31 - THREADS * BLOCKS  # elements of an array: a thread counts in int, one turn beyond the end


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
        if a.size > MOST_ELEMENTS:
            raise ValueError(f"{name}: an array {a.shape} has {a.size} elements, more than {MOST_ELEMENTS}: take a "
                             "smaller batch")
        values += [a, *map(np.int32, a.shape)]
    return (min(-(-arguments[0].size // THREADS), BLOCKS),), (THREADS,), values
