"""Between half and single precision. Sums and weights want single; activations may be half."""

import numpy as np

from ..engine.op import Computed, Operand, op

__all__ = ["float", "half"]


@op
def half(x: Operand) -> Computed:
    """x rounded to half precision (IEEE binary16): 11 bits, from 6·10⁻⁸ to 65504, beyond which lies ∞.

    Half the memory. Only GPUs compute with it. The gradient takes the precision of x.
    """
    before = x.dtype
    return x.astype(np.float16), lambda gy: gy.astype(before)


@op
def float(x: Operand) -> Computed:
    """x in single precision (IEEE binary32). The gradient takes the precision of x."""
    before = x.dtype
    return x.astype(np.float32), lambda gy: gy.astype(before)
