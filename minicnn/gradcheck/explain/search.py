"""All readers of one record, one after the other, until too many calls have been followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..thresholds import CALLS_FOLLOWED
from .amounts import amounts, moved_factors
from .axes import axes, turned
from .branches import branches, parts, sides, slopes_of_all
from .chain import Chain
from .edits import View
from .examples import first_for_all, nonzero
from .found import Aim, Found
from .numbers import numbers
from .other_places import apart, first_places, moved, pads, repeats, steps
from .other_values import bare, inputs, reductions
from .others import others
from .places import masks, other_turns, places, written
from .program import Program
from .record import Tape
from .removed import removed, removed_pairs
from .swaps import swaps
from .ways import ways
from .words import Words

__all__ = ["search"]

OTHER = (inputs, reductions, apart, steps, moved, first_places, repeats, pads, bare)  # few first


def search(tape: Tape, i: int, gy: np.ndarray, gradient: np.ndarray, right: np.ndarray, scale: np.ndarray,
           ) -> list[Found]:  # fmt: skip
    """All slips that explain the gradient of input number i, in no order; of a parameter's each says where backward
    makes it. right, scale: NaN where nothing was measured."""
    found, made = slips(tape, i, gy, gradient, right, scale), tape.gradients[i]
    if i < tape.inputs or made < tape.gy:
        return found
    where = f"; backward has {Words(tape).statement(made)}"
    return [f if " in line " in f.text else replace(f, text=f.text + where) for f in found]


def slips(tape: Tape, i: int, gy: np.ndarray, gradient: np.ndarray, right: np.ndarray, scale: np.ndarray,
           ) -> list[Found]:  # fmt: skip
    leaf = tape.leaves[i]
    chain = Chain(tape, leaf)
    exact = chain.gradients(gy).get(leaf)
    known, scale = ~np.isnan(right), np.nan_to_num(scale)
    if exact is None or not Aim(leaf, gradient[known], right[known], scale[known]).is_right(exact[known]):
        return []
    aim = Aim(leaf, gradient, exact, scale)
    found = [*along(chain, gy, aim), *in_program(chain, gy, aim, tape.gradients[i])]
    return found or list(aim.counted(others(chain, gy, aim, OTHER)))


def along(chain: Chain, gy: np.ndarray, aim: Aim) -> Iterator[Found]:
    """What can be read off the function and the numbers alone."""
    for reader in (ways(chain, gy, aim), branches(chain, aim), sides(chain, aim), parts(chain, gy, aim),
                   first_for_all(chain, gy, aim), nonzero(chain, aim), slopes_of_all(chain, gy, aim)):
        yield from aim.counted(reader)


def in_program(chain: Chain, gy: np.ndarray, aim: Aim, out: int) -> Iterator[Found]:
    """What one change of backward as it ran makes right. out: the call that made the gradient."""
    tape = chain.tape
    if out < tape.gy or not aim.gave(tape.calls[out].value):
        return
    other = np.random.default_rng((7, gy.size)).standard_normal(gy.shape)
    program = Program(tape, out, aim, other, chain.gradients(other)[aim.leaf])
    view = View(program, chain)
    for kind in (swaps, masks, written, axes, removed, numbers, places, other_turns, turned, amounts,
                 moved_factors, removed_pairs):
        for edit in kind(view):
            if program.followed > CALLS_FOLLOWED:
                return
            if program.mends(edit):
                branch = view.branch(min(edit.changes))
                name = "one branch" if branch else edit.name
                text = edit.text if isinstance(edit.text, str) else edit.text()
                yield from aim.counted([Found(name, f"{text}{f', {branch}' * bool(branch)}", edit.cost)])
