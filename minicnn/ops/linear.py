"""Matrix products."""

import numpy as np

from minicnn.kernels.product import product

from ..engine.memory import Array
from ..engine.op import Computed, Operand, exactly, one_type, op
from .arithmetic import summed_to
from .reduce import total

__all__ = ["linear", "matmul"]


@op
def linear(x: Operand, w: Operand, b: Operand | None = None) -> Computed:
    """A fully connected layer: y = x wᵀ + b.

    x: (N, inputs).  w: (outputs, inputs).  b: (outputs,) or None.  y: (N, outputs).
    Raises ValueError where the shapes do not fit, or the types of real numbers differ.
    """
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1]:
        raise ValueError(f"linear: x {x.shape} and w {w.shape} do not fit: w needs the shape (outputs, inputs), x "
                         "(N, inputs); .flatten() makes images fit")
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"linear: b {b.shape} does not fit w {w.shape}: it needs the shape ({w.shape[0]},)")
    y = product(w, x.T)  # (outputs, N), as it lies in memory: the batch runs fastest
    if b is not None:
        y += b[:, None]
    return (
        y.T,
        lambda gy: product(w.T, gy.T).T,
        lambda gy: product(x.T, gy).T,
        lambda gy: total(gy, 0),  # every image used the same bias, so its gradient is the sum over them
    )


@op(whole="a b")
def matmul(a: Operand, b: Operand) -> Computed:
    """a @ b: vectors, matrices, or stacks of matrices, broadcast.

    Raises ValueError where the shapes do not fit, or the types of real numbers differ.
    """
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        raise ValueError(f"matmul: a {np.shape(a)} and b {np.shape(b)} must have at least one axis: use * for numbers")
    A = a[None] if a.ndim == 1 else a
    B = b[:, None] if b.ndim == 1 else b
    if A.shape[-1] != B.shape[-2]:
        raise ValueError(f"matmul: a {a.shape} and b {b.shape} do not fit: {A.shape[-1]} columns, {B.shape[-2]} rows")
    if any(m != n and 1 not in (m, n) for m, n in zip(A.shape[-3::-1], B.shape[-3::-1], strict=False)):
        raise ValueError(f"matmul: a {a.shape} and b {b.shape} do not fit: the stacks must have the same sizes, or 1")
    if "f" in A.dtype.kind + B.dtype.kind:
        A, B = one_type("matmul", a=A, b=B)
    Y = exactly("matmul", product, A, B)
    drop = (-2,) * (a.ndim == 1) + (-1,) * (b.ndim == 1)  # a vector's own axis

    def full(gy: Array) -> Array:
        return gy.reshape(Y.shape)

    return (
        Y.squeeze(drop) if drop else Y,
        lambda gy: summed_to(product(full(gy), B.swapaxes(-1, -2)), A.shape).reshape(a.shape),
        lambda gy: summed_to(product(A.swapaxes(-1, -2), full(gy)), B.shape).reshape(b.shape),
    )
