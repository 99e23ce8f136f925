"""What mistake a wrong gradient looks like: what explains the slip comes first, then the readers of verdict.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from . import places, verdict
from .evidence import Evidence
from .verdict import Verdict, explained

__all__ = ["mistakes", "small"]


def small(e: Evidence) -> list[Verdict]:
    """An error too small to be read: below what the readers call the same."""
    if not e.gives(e.numeric):
        return []
    share = float(e.error[e.wrong].max())
    return [Verdict("term missing", f"it is right to {-np.log10(share):.1f} digits, and differences are surer than "
                                    "that: a term that is small here is missing or wrong, or a constant such as an ε "
                                    "is left out or rounded")]  # fmt: skip


# Each yields what it sees in the evidence; the most telling first. What else can read it takes its place here.
READERS: list[Callable[[Evidence], Iterator[Verdict]]] = [
    verdict.factor, verdict.transposed, verdict.broadcast, verdict.accumulation, places.group, places.border,
    places.overlap, places.zero, verdict.misplaced, verdict.term,
]  # fmt: skip


def mistakes(e: Evidence, explained: Sequence[Verdict] = ()) -> list[Verdict]:
    """All verdicts that fit, none twice: what ``explained`` the gradient alone where there is that. None is looked for
    where a tie explains what is wrong."""
    if e.tie and not e.wrong.all():
        return []
    bad = ~np.isfinite(e.analytic)
    if bad.any():
        return [Verdict("not finite", f"{bad.sum()} of {bad.size} elements are not finite numbers: look for a division "
                                      "by 0, a logarithm or a power of 0, an overflow")]
    if not e.numeric.any():
        return [Verdict("input not used", "the function does not change with it: it reads another array, or one kept "
                                          "from an earlier call")]  # fmt: skip
    if explained:
        more = {seen.name: f"; {seen.text}" for seen in explained}
        first = [replace(v, text=v.text + more.get(v.name, ""))
                 for reader in (verdict.factor, places.group, places.border) for v in counted(reader, e)]
        told = {v.name for v in first} | ({"one branch"} if any(verdict.factor(e)) else set())
        return [*first, *(v for v in explained if v.name not in told)]
    found: dict[str, Verdict] = {}
    for reader in READERS:
        for seen in counted(reader, e):
            found.setdefault(seen.name, seen)
    return list(found.values())


def counted(reader: Callable[[Evidence], Iterator[Verdict]], e: Evidence) -> Iterator[Verdict]:
    """What a reader sees, with how many elements that explains."""
    e.apart = None
    for seen in reader(e):
        yield seen if e.apart is None else replace(seen, explains=explained(e.apart))
