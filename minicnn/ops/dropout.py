"""Dropout (Krizhevsky et al. 2012, §4.2)."""

import numpy as np

from minicnn.kernels.dropout import dropout as kernel

from ..engine.memory import Array, batch_last
from ..engine.op import Computed, Operand, op
from ..engine.settings import flag, real, whole

__all__ = ["dropout"]


@op(whole="counter")
def dropout(x: Operand, counter: Operand, *, p: float = 0.5, first_unit: int = 0, first_image: int = 0,
            inverted: bool = True) -> Computed:
    """Set each element to 0 with probability p: y = x · mask, and · 1 / (1 − p) where ``inverted``.

    x, y: (N, ...).  counter: two whole numbers, a key and a step.  The mask is a function of (key, step, unit, image)
    and of nothing else: it is computed again for the gradient, and is the same on every device. A unit is a place in
    (...), counted from ``first_unit``, so that two towers can share what one net would have; images are counted from
    ``first_image``, so that two processes can share what one batch would have. ``inverted`` keeps the mean of x in
    training, and then nothing is to be done at test; the paper's own form leaves it to the test to multiply by 1 − p.

    Raises ValueError unless 0 ≤ p < 1, and where the counter is not two whole numbers.
    """
    p = real("dropout", "p", p)
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p is {p}: the probability of dropping a unit lies in 0 ≤ p < 1")
    inverted = flag("dropout", "inverted", inverted)
    if np.shape(counter) != (2,) or counter.dtype.kind not in "iu":
        raise ValueError(f"dropout: the counter is {np.result_type(counter)} {np.shape(counter)}: give two whole "
                         "numbers, [key, step]")
    counter = counter.astype(np.int64, copy=False)
    if not x.ndim:
        raise ValueError("dropout: x is a single number: it needs the shape (N, ...)")
    N = len(x)
    units = x.size // N if N else 0
    first_unit = whole("dropout", "first_unit", first_unit, 0, 2**31 - units)
    first_image = whole("dropout", "first_image", first_image, 0, 2**31 - N - 4)
    scale = 1 / (1 - p) if inverted else 1.0

    def masked(a: Array) -> Array:
        result = np.empty_like(a)
        seen = [batch_last(array).reshape(units, N) for array in (result, a)]
        kernel(*seen, counter, first_unit, first_image, np.uint64(p * 2**32), scale)
        return result

    return masked(x), masked, None
