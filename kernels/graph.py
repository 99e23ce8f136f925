"""What a GPU is told once and then does again at a word: a CUDA graph.

A step of AlexNet is some three hundred things to do, and each takes Python its time to tell, however fast the GPU is.
While work is recorded nothing is done, so nothing may be asked: no number may come back, none of the host's may go
over. What changes from one time to the next, such as a batch or the step of dropout, lies in arrays.

CuPy 14 refuses to call cuBLAS while it records; NVIDIA's own bindings, nvmath-python, do not.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from . import SLICES, one_thread, over

__all__ = ["matmul", "recorded", "recording"]

Result = TypeVar("Result")
SMALL = 1 << 13  # multiplications: for so few no BLAS wakes a second core
ENOUGH = 1 << 20  # multiplications: what is worth waking a core for
SHARE = 128  # rows or columns: with less, a BLAS moves more than it multiplies
WORKSPACE = 32 << 20  # bytes: what NVIDIA advises for cuBLAS on its larger GPUs


class _Here(threading.local):
    recording = False


_here = _Here()


def recording() -> bool:
    """Whether what is told to a GPU now is only recorded."""
    return _here.recording


def recorded(work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
    """(what work() returned, a function that lets the current GPU do all of it).

    Nothing is done yet: until the function is called the arrays in the result hold nothing, and each call writes them
    anew, in the same memory. Before it is recorded, work must have been done once, so that all it needs is compiled.

    Raises RuntimeError where nvmath-python is missing, and what CuPy raises where work cannot be recorded.
    """
    import cupy

    _cublas(cupy.cuda.runtime.getDevice())
    cupy.get_default_memory_pool().free_all_blocks()
    pool = cupy.cuda.MemoryPool()  # nobody else may get memory that the graph writes to
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream, cupy.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        _here.recording = True
        try:
            result = work()
        except BaseException:
            with contextlib.suppress(Exception):  # it is broken off, and the first error is the one to know
                stream.end_capture()
            raise
        finally:
            _here.recording = False
        graph = stream.end_capture()

    def again(pool: Any = pool) -> None:
        graph.launch()

    return result, again


def matmul(a: Any, b: Any, out: Any = None, shared: bool = True) -> Any:
    """a @ b of two matrices, wherever they live and also while recording; in main memory of stacks of matrices, too.

    Every core does a share of the rows, or of the columns where there are more of these; the one that asks does all
    where it is not ``shared``. The shares depend on the shapes alone, so the bits do too. The threads of a BLAS would
    do as well, but cut by their number, and go on waiting for more, awake, in the way of all that is not a product.
    """
    if _here.recording:
        return _gemm(a, b, out)
    if not isinstance(a, np.ndarray) or a.size * b.shape[-1] < SMALL:
        return np.matmul(a, b, out=out)
    stack = a.shape[:-2] if a.ndim == b.ndim == 2 else np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    (M, K), N = a.shape[-2:], b.shape[-1]
    by_rows = N <= M
    parts = min(math.prod((*stack, M, K, N)) // ENOUGH, max(M, N) // SHARE, SLICES) if shared else 1
    with one_thread:
        if parts < 2:
            return np.matmul(a, b, out=out)
        y = np.empty((*stack, M, N), np.result_type(a, b)) if out is None else out

        def share(first: int, last: int) -> None:
            rows, columns = (slice(first, last), slice(None)) if by_rows else (slice(None), slice(first, last))
            np.matmul(a[..., rows, :], b[..., columns], out=y[..., rows, columns])

        over(M if by_rows else N, share, parts=parts)
    return y


@functools.cache
def _cublas(device: int) -> tuple[Any, int, Any]:
    """(NVIDIA's bindings, a handle, its workspace) for a GPU, which is the current one."""
    import cupy

    try:
        from nvmath.bindings import cublas
    except ImportError as error:
        raise RuntimeError(f"a CUDA graph needs nvmath-python ({error}): pip install nvmath-python, or record none"
                           ) from error
    return cublas, cublas.create(), cupy.empty(WORKSPACE, np.uint8)


def _gemm(a: Any, b: Any, out: Any) -> Any:
    """cuBLAS counts by columns: what it takes for the transposed product, of the transposed matrices, is ours."""
    import cupy

    (m, k), (_, n) = a.shape, b.shape
    out = cupy.empty((m, n), a.dtype) if out is None else out
    if not out.size:
        return out
    cublas, handle, workspace = _cublas(cupy.cuda.runtime.getDevice())
    cublas.set_stream(handle, cupy.cuda.get_current_stream().ptr)
    cublas.set_workspace(handle, workspace.data.ptr, workspace.nbytes)
    types = cublas.ComputeType
    single = types.COMPUTE_32F_FAST_TF32 if os.environ.get("CUPY_TF32") == "1" else types.COMPUTE_32F
    # CUDA_R_16F, CUDA_R_32F, CUDA_R_64F, and what is added up in
    number, compute = {"float16": (2, types.COMPUTE_32F), "float32": (0, single),
                       "float64": (1, types.COMPUTE_64F)}[a.dtype.name]  # fmt: skip
    one, zero = (np.array(value, np.result_type(a.dtype, np.float32)) for value in (1, 0))
    (turn_a, lda), (turn_b, ldb), (turned, ldc) = _lies(a), _lies(b), _lies(out)
    if turned:
        raise ValueError(f"matmul: out {out.shape} has strides {out.strides}: its rows must be without gaps")
    cublas.gemm_ex(handle, turn_b, turn_a, n, m, k, one.ctypes.data, b.data.ptr, number, ldb, a.data.ptr, number, lda,
                   zero.ctypes.data, out.data.ptr, number, ldc, int(compute), -1)  # −1: let cuBLAS choose
    return out


def _lies(matrix: Any) -> tuple[int, int]:
    """(0, elements from row to row) where rows are without gaps, (1, elements from column to column) where columns are.

    Raises ValueError where neither are.
    """
    (rows, columns), (row, column) = matrix.shape, (stride // matrix.itemsize for stride in matrix.strides)
    if column == 1 or columns == 1:
        return 0, max(row, columns) if rows > 1 else columns
    if row == 1 or rows == 1:
        return 1, max(column, rows)
    raise ValueError(f"matmul: a matrix {matrix.shape} has strides {matrix.strides}: rows or columns must be without "
                     "gaps")
