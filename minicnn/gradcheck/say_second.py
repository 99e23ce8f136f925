"""Saying what the second look found."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from .say import GradientError, listed
from .verdict import Verdict

__all__ = ["right_only_here"]


def right_only_here(error: GradientError, errors: Sequence[float], away: Sequence[float], special: Sequence[str],
                    ) -> GradientError:  # fmt: skip
    """error: what was seen there. errors: along a line, with inputs moved so far. special: what may have hidden it."""
    less = " and ".join(f"{off / errors[0]:.2g} times that by {100 * far:.2g} %"
                        for off, far in zip(errors[1:], away[1:], strict=False))  # fmt: skip
    holds = f", where {' and '.join(special)}" if special else ""
    verdict = Verdict("right only here", "right at the inputs given, but not a little away from them: the error along "
                      f"a line is {errors[0]:.2g} with inputs moved by {100 * away[0]:.2g} %, and {less}, so it is 0 "
                      f"at the given ones alone{holds}. What is missing cannot be seen there. If the function is for "
                      "inputs that obey a condition alone, let it make them so itself")  # fmt: skip
    message = str(error).removeprefix("gradcheck: ").replace(", is wrong in ", ", is wrong a little away in ", 1)
    message = message[: message.rindex("\n\n")]
    more = [fill(f"There it looks like: {v}.", 100, subsequent_indent="    ") for v in error.verdicts]
    return GradientError("\n".join([message, "", listed([verdict]), *more]), error.input, [verdict, *error.verdicts],
                         error.analytic, error.numeric, error.errors)  # fmt: skip
