"""Saying what is wrong in a net: which layer, or what between the layers."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from .say import GradientError, plain, shown
from .subject import Input

SHOWN = 5  # layers

__all__ = ["between", "first_wrong", "gy_of_another_shape", "not_additive"]


def first_wrong(error: GradientError, name: str, right: Sequence[str], besides: str) -> GradientError:
    """The same error, which says in which layer, what was right before, and what else was seen."""
    more = f" and {len(right) - SHOWN} more" if len(right) > SHOWN else ""
    before = f"; right are {', '.join(right[-SHOWN:])}{more}" if right else ""
    head = fill(f"gradcheck: {name} is wrong, the first from the loss backwards{before}.", 100)
    said = str(error).removeprefix("gradcheck: ")
    error.layer, error.args = name, ("\n\n".join([head, said, *[fill(besides, 100)] * bool(besides)]),)
    return error


def between(missed: Sequence[str], writes: Sequence[str]) -> str:
    """Where to look, if a net is wrong and all of its layers are right."""
    parts = ["Each layer inside of it is right by itself, so the mistake lies between them: look at the order in which "
             "backward goes through them, at gradients to be added up where paths meet, at a layer called twice that "
             "keeps only what it saw last, at a gradient in self that is set where it should be added to."]  # fmt: skip
    if missed:
        parts.append(f"backward did not reach {', '.join(missed)}.")
    if writes:
        parts.append(f"backward of {', '.join(writes)} writes into the gradient that it is given, which others may "
                     "still need: let it work on a copy.")  # fmt: skip
    return " ".join(parts)


def gy_of_another_shape(name: str, gy: tuple[int, ...], y: tuple[int, ...]) -> GradientError:
    error = plain(f"{name}: backward was given a gradient of shape {gy}, and forward had returned shape {y}: both must "
                  "be the same", "output", "wrong gradient passed on", "look at what backward hands from one layer to "
                  "the next, and at the loss")  # fmt: skip
    error.layer = name
    return error


def not_additive(title: str, x: Input) -> GradientError:
    return plain(f"{title}: the gradient of {shown(x)}, is right for a random gy; but what backward gives for the gy "
                 "that it met in the net, and for another, does not add up to what it gives for their sum", x.name,
                 "not linear in gy", "it clips gy, rounds it, or leaves out what is small or large")  # fmt: skip
