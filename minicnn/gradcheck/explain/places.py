"""The wrong places: an index off by one, a stride forgotten, one example only; a mask turned round; = for +=."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .edits import COMPARE, Site, View
from .program import Edit, Get, Make
from .record import Call, Ref, at_place, put
from .relation import as_tuple

__all__ = ["masks", "other_turns", "places", "written"]

Index = tuple[Any, ...]


def masks(view: View) -> Iterator[Edit]:
    """Comparisons, and masks that are used, turned round."""
    for site in view.sites:
        n = site[0]
        if view.tape.calls[n].function in COMPARE:
            yield Edit(view.calls(site, other_side), "wrong mask",
                       f"{view.shown(n, other_side(view.tape.calls[n]))}: the mask is turned round", 0.8)  # fmt: skip
    for use in view.uses():
        n, old = use[0][0], use[2][0]
        if view.values[old].dtype.kind == "b":
            yield Edit(view.arguments(use, np.logical_not), "wrong mask",
                       f"{view.inside(n, old)}: the mask is turned round", 0.9)  # fmt: skip


def other_side(call: Call) -> Call:
    """The comparison turned round."""
    return replace(call, function=COMPARE[call.function])  # type: ignore[index]


def written(view: View) -> Iterator[Edit]:
    """+= for =, where a place is written to several times."""
    for site in view.sites:
        if view.tape.calls[site[0]].function is put:
            why = "+= belongs where = stands, for a place comes several times; with an array of places, np.add.at"
            if "+=" in view.words.line(site[0]):
                why = "with an array of places += counts a place once, however often it comes: np.add.at adds all up"
            yield Edit(added(view, site), "= for +=", f"{view.words.statement(site[0])}: {why}", 0.75)
    sites = [site for site in view.sites if view.tape.calls[site[0]].function is put and read_before(view, site)]
    if 1 < len(sites) < 6:
        said = " and ".join(view.words.statement(site[0]) for site in sites)
        why = "with arrays of places np.add.at counts a place as often as it comes"
        yield Edit(added(view, [n for site in sites for n in site]), "= for +=", f"{said}: {why}", 0.8)


def added(view: View, site: Site) -> dict[int, Make]:
    """np.add.at for what one place of the program writes."""
    changes: dict[int, Make] = {}
    for n in site:
        base, index, value = view.tape.calls[n].args
        read = set(read_before(view, [n]))
        if isinstance(value, Ref) and view.name(value.to) == "add" and read & set(view.used(value.to)):
            value = next((arg for arg in view.tape.calls[value.to].args if getattr(arg, "to", -1) not in read), value)
        changes[n] = Call(at_place, (base, index, np.add, value), {}, view.values[n]).again
    return changes


def places(view: View) -> Iterator[Edit]:
    """Another index, where something is read or written."""
    same: dict[str, list[int]] = {}
    for site in view.sites:
        n = site[0]
        call = view.tape.calls[n]
        if call.function not in (operator.getitem, put):
            continue
        index = as_tuple(call.args[1])
        if not all(isinstance(part, (slice, int, np.integer, type(None), type(...))) for part in index):
            continue
        sizes = np.shape(view.values[view.used(n)[0]]) if view.used(n) else ()
        for change, name, why in indices(index, sizes):
            edited = partial(with_index, change)
            changes = view.calls(site, edited)
            if call.function is put:  # g[index] += value reads there, too
                changes |= view.calls(read_before(view, site), edited)
            cost = 1.05 if name == "one example only" else 1.1
            yield Edit(changes, name, f"{view.shown(n, edited(call))}: {why}", cost)
        if call.function is operator.getitem and isinstance(call.args[0], Ref):
            same.setdefault(str(call.args[1]), []).extend(site)
            for k, part in enumerate(index):
                if isinstance(part, (int, np.integer)):
                    yield from first_for_all(view, site, index, k)
                    takes = f"`{view.text(n)}`{view.words.at(n)} takes {part}"
                    yield Edit({m: partial(sum_of, view, m, k) for m in site}, "one example only",
                               f"{takes}, one place of axis {k}, where all are to be summed", 0.9)  # fmt: skip
    for members in same.values():
        if len(members) > 1:
            n = members[0]
            index = as_tuple(view.tape.calls[n].args[1])
            cut = [k for k, part in enumerate(index) if isinstance(part, slice) and part != slice(None)]
            if all(isinstance(part, (slice, type(...))) for part in index):
                name, why = left_out(index, cut)
                yield Edit({m: partial(all_of, view, m) for m in members}, name,
                           f"`{view.text(n)}`{view.words.at(n)}: {why}", 1.0)  # fmt: skip


def other_turns(view: View) -> Iterator[Edit]:
    """The states of a loop's other turns, where all but one of those that function uses are used."""
    sites: dict[Any, Site] = {}
    for n, call in enumerate(view.tape.calls[: view.tape.gy]):
        if call.site and call.function:
            sites.setdefault((call.site, call.function, len(call.sources)), []).append(n)  # type: ignore[attr-defined]
    turns = [(site, [view.used(n)[k] for n in site]) for site in sites.values() for k in range(len(view.used(site[0])))]
    for site, _, olds in view.uses():
        for of, states in turns:
            count = len(olds)
            if not len({*olds}) == len({*states}) == len(states) == count > 1 or len({*olds} - {*states}) != 1:
                continue
            text = (f"{view.inside(site[0], olds[0])} is the state of another turn of the loop than "
                    f"`{view.text(of[0])}`{view.words.at(of[0])} uses: it is off by one")  # fmt: skip
            for order in (states, states[::-1]):
                changes = {n: view.instead(n, old, partial(value_of, new))
                           for n, old, new in zip(site, olds, order, strict=True)}  # fmt: skip
                yield Edit(changes, "shifted", text, 1.0)


def value_of(n: int, get: Get) -> Any:
    return get(n)


def first_for_all(view: View, site: Site, index: Index, k: int) -> Iterator[Edit]:
    """One place of an axis, broadcast to all or used anew in every turn of a loop, where each has its own."""
    n = site[0]
    text = f"`{view.text(n)}`{view.words.at(n)} takes {index[k]}, {'the first' if index[k] == 0 else 'one'}, for all"
    yield Edit({m: partial(all_of, view, m) for m in site}, "one example only", text, 0.9)
    whole_ = (*index[:k], slice(None), *index[k + 1 :])
    yield Edit(view.calls(site, partial(with_index, lambda _: whole_)), "one example only", text, 0.95)
    size = view.values[view.used(n)[0]].shape[k] if view.used(n) and k < view.values[view.used(n)[0]].ndim else 0
    for use in view.uses():
        turns, _, olds = use
        if size and len(turns) % size == 0 and all(o in site for o in olds):
            for each in {len(turns) // size, 1}:
                changes: dict[int, Make] = {}
                for j, (m, o) in enumerate(zip(turns, olds, strict=True)):
                    own = (*index[:k], (j // each) % size, *index[k + 1 :])
                    call = view.tape.calls[o]
                    changes[m] = view.instead(m, o, replace(call, args=(call.args[0], own)).again)
                yield Edit(changes, "one example only", f"{text} turns of the loop", 0.95)


def sum_of(view: View, n: int, axis: int, get: Get) -> Any:
    """What call n takes a part of, summed."""
    return get(view.used(n)[0]).sum(axis)


def all_of(view: View, n: int, get: Get) -> Any:
    """What call n takes a part of."""
    return get(view.used(n)[0])


def with_index(change: Callable[[Index], Index], call: Call) -> Call:
    return replace(call, args=(call.args[0], change(as_tuple(call.args[1])), *call.args[2:]))


def read_before(view: View, site: Site) -> list[int]:
    """The calls that read what these write anew."""
    found = []
    for n in site:
        value = view.tape.calls[n].args[2]
        for m in [value.to, *view.used(value.to)] if isinstance(value, Ref) else ():
            read = view.tape.calls[m]
            if read.function is operator.getitem and str(read.args[1]) == str(view.tape.calls[n].args[1]):
                found.append(m)
    return found


def indices(parts: Index, sizes: tuple[int, ...]) -> Iterator[tuple[Callable[[Index], Index], str, str]]:
    """(from an index, another; the name; why)."""
    cut = [k for k, part in enumerate(parts) if isinstance(part, slice) and part != slice(None)]
    plain = ... not in parts and None not in parts
    for chosen in [*([k] for k, part in enumerate(parts) if isinstance(part, slice)), *([cut] if len(cut) > 1 else [])]:
        longest = max(sizes[k] for k in chosen) if plain and max(chosen) < len(sizes) else 3
        for by in [b for near in range(1, min(longest, 9)) for b in (near, -near)]:
            yield partial(with_slices, chosen, partial(shifted, by)), "shifted", f"it is off by {abs(by)}"
        for step in (2, 3):
            for change in (whole, stepped, spaced):
                yield partial(with_slices, chosen, partial(change, step)), "stride", f"the stride {step} is missing"
        yield partial(with_slices, chosen, partial(stepped, -1)), "wrong direction", "it runs the other way round"
        yield partial(with_slices, chosen, partial(whole, 1)), *left_out(parts, chosen)


def with_slices(chosen: list[int], change: Callable[[slice], slice], parts: Index) -> Index:
    """Some slices of an index changed."""
    return tuple(change(part) if k in chosen else part for k, part in enumerate(parts))


def left_out(parts: Index, chosen: list[int]) -> tuple[str, str]:
    """What it is to have these parts of an index, and not all."""
    if any(parts[k].step == -1 for k in chosen):
        name = "kernel turned round" if len(chosen) == 2 or len(parts) > 2 else "wrong direction"
        return name, "it is turned round, and should not be"
    if any(parts[k] == slice(None, 1) for k in chosen):
        return "one example only", "only the first, 0, is taken"
    return "term missing", "a part is left out"


def whole(step: int, part: slice) -> slice:
    return slice(None, None, step)


def stepped(step: int, part: slice) -> slice:
    return slice(part.start, part.stop, step)


def spaced(step: int, part: slice) -> slice:
    """The same length, from a start so many times as far."""
    if part.start is None or part.stop is None:
        return part
    return slice(part.start * step, part.start * step + part.stop - part.start, part.step)


def shifted(by: int, part: slice) -> slice:
    """Moved by so many places."""
    start = (part.start or 0) + by
    stop = part.stop + by if part.stop is not None else by if by < 0 else None
    return slice(start if part.start is not None or start > 0 else None, stop or None, part.step)
