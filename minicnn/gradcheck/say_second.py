"""Saying what the second look found."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from .say import GradientError, listed
from .verdict import Verdict

__all__ = ["right_for_one", "right_only_here"]


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
    return instead(error, verdict, "a little away")


def right_for_one(error: GradientError) -> GradientError:
    """error: what was seen with two examples."""
    verdict = Verdict("right only here", "right for the one example given, but not for two, the second with the "
                      "numbers of the first in another order. With one example a sum over the batch that is missing "
                      "cannot be seen, nor a mean for a sum, nor a softmax or a norm over all of it")  # fmt: skip
    return instead(error, verdict, "with two examples")


def instead(error: GradientError, verdict: Verdict, there: str) -> GradientError:
    """What was seen there, after a verdict that says where that is."""
    message = str(error).removeprefix("gradcheck: ").replace(", is wrong in ", f", is wrong {there} in ", 1)
    message = message[: message.rindex("\n\n")]
    more = [fill(f"There it looks like: {v}.", 100, subsequent_indent="    ") for v in error.verdicts]
    return GradientError("\n".join([message, "", listed([verdict]), *more]), error.input, [verdict, *error.verdicts],
                         error.analytic, error.numeric, error.errors)  # fmt: skip
