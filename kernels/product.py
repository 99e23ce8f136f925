"""The matrix product, wherever its matrices live: over all cores by NumPy's BLAS, or by cuBLAS, through CuPy, and past
it while a CUDA graph is captured, as CuPy 14 then refuses to call it; NVIDIA's own bindings, nvmath-python, do not."""

from __future__ import annotations

import contextlib
import functools
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from .cores import PARTS, one_thread, parallel_for

__all__ = ["allow_tf32", "capturing", "past_cupy", "product"]

FEW_PRODUCTS = 1 << 13  # multiplications: for so few no BLAS wakes a second core
WORTH_A_CORE = 1 << 22  # multiplications: what is worth waking a core for
LEAST_SHARE = 256  # rows or columns: with less, a BLAS moves more than it multiplies
WORKSPACE = 32 << 20  # bytes: what NVIDIA advises for cuBLAS on its larger GPUs


class _Here(threading.local):
    capturing = False


_here = _Here()
_tf32 = False


def product(a: Any, b: Any, out: Any = None, shared: bool = True) -> Any:
    """a @ b of two matrices, wherever they live; in main memory of stacks of matrices, too.

    Every core does a share of the rows, or of the columns where there are many more of these; the one that asks does
    all where it is not ``shared``. The shares depend on the shapes alone, so the bits do too. The threads of a BLAS
    would do as well, but cut by their number, and go on waiting for more, awake, in the way of all that is no product.
    """
    if _here.capturing:
        return _gemm(a, b, out)
    if not isinstance(a, np.ndarray) or a.size * b.shape[-1] < FEW_PRODUCTS:
        return np.matmul(a, b, out=out)
    stack = a.shape[:-2] if a.ndim == b.ndim == 2 else np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    (M, K), N = a.shape[-2:], b.shape[-1]
    by_rows = N <= 4 * M  # whose results lie in one piece
    most = min(math.prod((*stack, M, K, N)) // WORTH_A_CORE, (M if by_rows else N) // LEAST_SHARE, PARTS)
    with one_thread:
        if most < 2 or not shared:
            return np.matmul(a, b, out=out)
        y = np.empty((*stack, M, N), np.result_type(a, b)) if out is None else out

        def share(first: int, last: int) -> None:
            rows, columns = (slice(first, last), slice(None)) if by_rows else (slice(None), slice(first, last))
            np.matmul(a[..., rows, :], b[..., columns], out=y[..., rows, columns])

        parallel_for(M if by_rows else N, share, 1 << most.bit_length() - 1)  # as many as cores share evenly
    return y


# -- on a GPU ----------------------------------------------------------------------------------------------------------


def allow_tf32(allowed: bool) -> None:
    """Let products of single precision on GPUs round what they multiply to 10 bits after the point (TF32), meant for
    speed. For the whole process; not allowed from the start, unless CUPY_TF32 is set, which CuPy reads."""
    global _tf32
    from cupy._core import _routines_linalg as cupy_products  # CuPy has no public name for it

    types = cupy_products
    cupy_products.set_compute_type(np.float32, types.COMPUTE_TYPE_TF32 if allowed else types.COMPUTE_TYPE_DEFAULT)
    _tf32 = allowed


def capturing() -> bool:
    """Whether what is launched now is captured in a CUDA graph, and not done."""
    return _here.capturing


@contextlib.contextmanager
def past_cupy() -> Iterator[None]:
    """While a CUDA graph is captured: products on the current GPU go to cuBLAS and not through CuPy.

    Raises RuntimeError where nvmath-python is missing."""
    import cupy

    _cublas(cupy.cuda.runtime.getDevice())
    _here.capturing = True
    try:
        yield
    finally:
        _here.capturing = False


@functools.cache
def _cublas(device: int) -> tuple[Any, int, Any]:
    """(NVIDIA's bindings, a handle, its workspace) for a GPU, which is the current one."""
    import cupy

    try:
        from nvmath.bindings import cublas
    except ImportError as error:
        raise RuntimeError(f"a CUDA graph needs nvmath-python ({error}): pip install nvmath-python, or capture none"
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
    single = types.COMPUTE_32F_FAST_TF32 if _tf32 else types.COMPUTE_32F
    # CUDA_R_16F, CUDA_R_32F, CUDA_R_64F, and what is added up in
    number, compute = {"float16": (2, types.COMPUTE_32F), "float32": (0, single),
                       "float64": (1, types.COMPUTE_64F)}[a.dtype.name]  # fmt: skip
    one, zero = (np.array(value, np.result_type(a.dtype, np.float32)) for value in (1, 0))
    (turn_a, lda), (turn_b, ldb), (turned, ldc) = _lies(a), _lies(b), _lies(out)
    if turned:
        raise ValueError(f"product: out {out.shape} has strides {out.strides}: its rows must be without gaps")
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
    raise ValueError(f"product: a matrix {matrix.shape} has strides {matrix.strides}: rows or columns must be without "
                     "gaps")
