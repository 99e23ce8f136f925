"""Between half and single precision. Sums and weights want single; activations may be half."""

from typing import Any

import numpy as np

from ..engine.memory import Array
from ..engine.op import op

__all__ = ["float", "half"]


@op
def half(x: Array) -> Any:
    """x rounded to half precision (IEEE binary16): 11 bits, from 6·10⁻⁸ to 65504, beyond which lies ∞.

    Half the memory. Only GPUs compute with it. The gradient takes the precision of x.
    """
    before = x.dtype
    return x.astype(np.float16), lambda gy: gy.astype(before)


@op
def float(x: Array) -> Any:
    """x in single precision (IEEE binary32). The gradient takes the precision of x."""
    before = x.dtype
    return x.astype(np.float32), lambda gy: gy.astype(before)
