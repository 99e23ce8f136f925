"""A chapter, run once for every state that its widgets can be in."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from language import both
from marimo._ast.app import InternalApp
from marimo._output.formatting import as_html

from .widgets import Choices, choices_of, leaves, put

__all__ = ["Cell", "Chapter"]

MOST = 160  # states of a cell that are kept,
PICTURES = 64  # of one that draws
STOPS = 7  # to which a widget may be thinned out, so that any two can be moved together
ALONE = {"11_alexnet", "12_why_6_9"}  # whose states take seconds each: there one widget is moved at a time

State = dict[str, int]  # of each widget, which of its choices


def read(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where inspect looks for the source of its functions
    spec.loader.exec_module(module)
    return module


@dataclass
class Cell:
    """One cell. ``needs`` are the widgets that it depends on, by any road; ``kept`` is what it gives, by what they are
    set to."""

    run: Callable[..., Any]
    refs: set[str]
    place: int  # on the page
    above: frozenset[int] = frozenset()  # the places of those whose names it uses, by any road
    needs: tuple[str, ...] = ()
    own: dict[str, Any] = field(default_factory=dict)  # its widgets
    kept: dict[tuple[int, ...], str] = field(default_factory=dict)
    defs: dict[str, Any] = field(default_factory=dict)  # of its latest run,
    output: str = ""
    stamp: Any = None  # which was in this state,
    runs: int = 0  # and the so many-th

    def key(self, state: State) -> tuple[int, ...]:
        return tuple(state[name] for name in self.needs)


class Chapter:
    """Reads a chapter and runs it as it begins. ``keep()`` then runs the other states."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.module = read(path)
        app = InternalApp(self.module.app)
        places = list(app.cell_manager.cell_ids())
        self.setup = {name: value for name, value in vars(self.module).items() if not name.startswith("__")}
        self.cells: list[Cell] = []  # in the order of running
        self.owner: dict[str, Cell] = {}  # of every name and of every widget
        self.stops: dict[str, int] = {}
        self.codes: dict[str, str] = {}
        self._choices: dict[Any, Choices] = {}
        state: State = {}
        for cell_id in app.execution_order:
            one = app.cell_manager.cell_data_at(cell_id).cell
            if cell_id == "setup" or one is None:
                continue
            cell = Cell(one.run, one.refs, places.index(cell_id))
            used = {ref: self.owner[ref] for ref in cell.refs if ref in self.owner}
            cell.above = frozenset({place for other in used.values() for place in (other.place, *other.above)})
            needs = {name for ref, other in used.items() for name in (*other.needs, *leaves(ref, other.defs[ref]))}
            cell.needs = tuple(name for name in self.owner if name in needs)
            self.cells.append(cell)
            self._bring(cell, state)
            self.owner |= dict.fromkeys(cell.defs, cell)
            cell.own = {leaf: name for name, thing in cell.defs.items() for leaf in leaves(name, thing)}
            self.owner |= dict.fromkeys(cell.own, cell)
            self._answers(cell.defs)
            for name in cell.own:
                state[name] = self.choices(name, state).first
        self.first = state

    def _answers(self, defs: dict[str, Any]) -> None:
        """What people answer to an exercise, by words for it, as HTML: as it stands, wrong in several ways, right."""
        if {"start", "answer"} <= {*defs}:
            self.codes = {both("as it stands", "như đề bài"): defs["start"], **defs.get("tries", {}),
                          both("one answer", "một lời giải"): defs["answer"]}

    def widget(self, name: str) -> Any:
        whole = self.owner[name].own[name]
        return leaves(whole, self.owner[name].defs[whole])[name]

    def choices(self, name: str, state: State) -> Choices:
        """Of a widget, in a state of those that it depends on."""
        cell = self.owner[name]
        at = name, cell.key(state)
        if at not in self._choices:
            self._bring(cell, state)
            self._choices[at] = choices_of(self.widget(name), self.codes)
        return self._choices[at].thinned(self.stops.get(name, sys.maxsize))

    def of_all(self, name: str, state: State) -> int:
        """How many choices it has in the chapter itself."""
        return len(self._choices[name, self.owner[name].key(state)].values)

    def _bring(self, cell: Cell, state: State) -> None:
        """Runs a cell if it is not as it would be in this state, and before it those that it depends on: as marimo
        does, in their order, since a cell may change what another has made."""
        for one in (*(other for other in self.cells if other.place in cell.above), cell):
            self._run(one, state)

    def _run(self, cell: Cell, state: State) -> None:
        stamp = cell.key(state), tuple(other.runs for other in self.cells if other.place in cell.above)
        if stamp == cell.stamp:
            return
        for name in cell.needs:
            whole = self.owner[name].defs[self.owner[name].own[name]]
            put(whole, self.widget(name), self.choices(name, state).values[state[name]])
        known = self.setup | {ref: self.owner[ref].defs[ref] for ref in cell.refs if ref in self.owner}
        output, defs = cell.run(**{ref: known[ref] for ref in cell.refs if ref in known})
        cell.defs, cell.stamp, cell.runs = dict(defs), stamp, cell.runs + 1
        cell.output = "" if output is None else self._named(as_html(output).text, cell)

    def _named(self, html: str, cell: Cell) -> str:
        """Widgets by their names: marimo's are other ones in every run."""
        known = {ref: self.owner[ref].defs.get(ref) for ref in cell.refs if ref in self.owner} | cell.defs
        for name, thing in known.items():
            for leaf, widget in leaves(name, thing).items():
                html = re.sub(rf"object-id='{widget._id}' random-id='[^']*'", f"object-id='{leaf}'", html)
        return html

    def states(self, cell: Cell, moved: int) -> Iterator[State]:
        """Those that a cell tells apart, in which at most so many widgets do not stand as they begin."""
        def grow(names: tuple[str, ...], state: State, left: int) -> Iterator[State]:
            if not names:
                yield state
                return
            (name, *rest), known = names, state
            choices = self.choices(name, known)
            free = name in cell.needs
            for i in range(len(choices.values)) if free and left else [choices.first]:
                yield from grow(tuple(rest), known | {name: i}, left - (i != choices.first))

        yield from grow(tuple(self.first), {}, moved)

    def count(self, cell: Cell, moved: int) -> int:
        return sum(1 for _ in islice(self.states(cell, moved), 10 * MOST))

    def fits(self, cell: Cell, moved: int) -> bool:
        return self.count(cell, moved) <= (PICTURES if "<img" in cell.output else MOST)

    def thin(self, cell: Cell, moved: int) -> bool:
        """Thins out the widgets with the most choices until the states of a cell fit, if they can."""
        before = dict(self.stops)
        while not self.fits(cell, moved):
            wide = {name: len(self.choices(name, self.first).values) for name in cell.needs}
            name = max(wide, key=wide.__getitem__)
            if wide[name] <= STOPS:
                self.stops = before
                return False
            self.stops[name] = max(STOPS, wide[name] * 3 // 4)
        return True

    def plan(self) -> dict[int, int]:
        """Of each cell, how many of its widgets may be moved together: two, if need be with fewer choices, or more."""
        shown = [cell for cell in self.cells if cell.needs and (cell.output or cell.own)]
        alone = self.path.stem in ALONE
        for cell in shown:
            if alone or len(cell.needs) < 2 or not self.thin(cell, 2):
                self.thin(cell, 1)
        for name in self.first:
            self.first[name] = self.choices(name, self.first).first
        most = {cell.place: next((n for n in range(1 if alone else len(cell.needs), 1, -1) if self.fits(cell, n)), 1)
                for cell in shown}  # fmt: skip
        # two widgets can be moved together only where every cell that needs both has such states
        return {cell.place: min(most[other.place] for other in shown if other is cell or
                                len({*other.needs} & {*cell.needs}) > 1) for cell in shown}  # fmt: skip

    def keep(self, show: Callable[[Cell, State], str]) -> None:
        """Runs every state, so that each cell has what ``show`` makes of its outputs."""
        moved = self.plan()
        asked: dict[tuple[int, ...], tuple[State, list[Cell]]] = {}
        for cell in self.cells:
            for state in self.states(cell, moved[cell.place]) if cell.place in moved else [self.first]:
                asked.setdefault(tuple(state.values()), (state, []))[1].append(cell)
        for _, (state, cells) in sorted(asked.items(), key=lambda item: item[0]):
            for cell in cells:
                self._bring(cell, state)
                cell.kept[cell.key(state)] = show(cell, state)
