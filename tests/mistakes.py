"""What stands in the bank of mistakes: a function, a backward as somebody wrote it, and what a teacher would call it.

The entries are in two tables, which were drawn by chance out of one collection, whole functions at a time (but for a
few that are in both) and so that every name stands about as often in each: mistakes_looked_at.py is for whoever builds
the check; mistakes_kept_back.py is not, for it is what the check is tried on in the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["ABOVE", "BELOW", "DENOMINATOR", "MEAN", "NAMES", "ONE", "VARIANCE", "Mistake", "axis", "operand", "times"]

NAMES = {
    # the whole gradient
    "wrong sign", "constant factor", "zero where it should not be", "not finite", "gy not used",
    # arrangement; "wrong direction": a sum, or time, runs the other way round
    "transposed", "operand not transposed", "kernel turned round", "shifted", "stride", "channels exchanged",
    "wrong direction",
    # sums
    "wrong axis", "broadcast axis not summed", "= for +=", "one example only", "window shared out",
    # terms
    "term missing", "statistics as constants", "extra term", "wrong sign of a term", "wrong factor of a term",
    # factors
    "factor missing", "extra factor", "wrong power",
    # one for another
    "input for output", "output for input", "another input",
    # masks and branches
    "mask forgotten", "wrong mask", "one branch",
    # places
    "padded border", "group boundary", "overlapping windows", "kink or tie",
}  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """One slip in one backward. Its repr, which a test that fails may print, is the title alone.

    function(*inputs) gives an array; backward(gy, *inputs) a gradient for each input, None for what is no real number.
    All of them are right but that of input number ``input``. names: any of these is what a teacher would say. says:
    regular expressions, without regard to case, each of which the verdict's text must hold. source: where people
    make it.
    """

    title: str
    function: Callable[..., np.ndarray] = field(repr=False)
    backward: Callable[..., object] = field(repr=False)
    inputs: tuple[np.ndarray, ...] = field(repr=False)
    input: int = field(repr=False)
    names: set[str] = field(repr=False)
    says: list[str] = field(repr=False)
    source: str = field(repr=False)


# -- what a verdict may say, in any of the usual words -----------------------------------------------------------------

VARIANCE = r"varianc|\bvar\b|deviation|\bstd\b|sigma|σ"
MEAN = r"\bmean|average|\bmu\b|μ"
DENOMINATOR = r"norm|length|denominator|divisor|divided|\bsum|root|squares?\b"
BELOW = r"negative|below|[<≤]|minus"
ABOVE = r"positive|above|[>≥]"
ONE = r"\bone\b|\b1\b|next|neighbour"


def axis(*numbers: int) -> str:
    """An axis that is named by its number, or any one of several."""
    return rf"\bax[ei]s\b[^.;]*\b({'|'.join(map(str, numbers))})\b"


def times(factor: float) -> str:
    """A factor, or its inverse, as a number or as 1 / n."""
    return "|".join(rf"(?<![\d.]){int(c)}(?![\d.]*\d)" if c == int(c) else str(c)[:4].replace(".", r"\.")
                    for c in (factor, 1 / factor))  # fmt: skip


def operand(number: int, letter: str) -> str:
    """An input, by its number or by its letter."""
    return rf"input {number}\b|\b{letter}\b"
