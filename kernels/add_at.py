"""x[index] += values, where an element that is taken twice gets both."""

from typing import Any

import numpy as np

__all__ = ["add_at"]


def add_at(x: Any, index: Any, values: Any) -> None:
    """np.add.at, wherever x lives."""
    if isinstance(x, np.ndarray):
        np.add.at(x, index, values)
    else:
        import cupy

        cupy.add.at(x, index, values)  # adds in no certain order
