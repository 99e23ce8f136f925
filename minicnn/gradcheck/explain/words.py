"""Calls of a record as the formulas they came from."""

from __future__ import annotations

import linecache
import operator
from typing import Any

import numpy as np

from ..thresholds import LETTERS, SOURCE
from .record import Call, Ref, Tape, pick, put

__all__ = ["Words"]

SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "true_divide": "/", "power": "**", "matmul": "@",
         "greater": ">", "greater_equal": ">=", "less": "<", "less_equal": "<=", "equal": "==", "not_equal": "!=",
         "negative": "-", "invert": "~", "bitwise_and": "&", "logical_and": "&"}  # fmt: skip
ORDER = {"**": 5, "*": 4, "/": 4, "@": 4, "+": 3, "-": 3, "&": 2}


class Words:
    """The texts of the calls of one tape."""

    def __init__(self, tape: Tape):
        self.tape = tape
        self.known: dict[int, str] = {}
        self.instead: dict[int, Call] = {}  # calls that are to be other ones

    def of(self, n: int) -> str:
        """The formula of call n: all of it, or its outermost parts where it is long."""
        if n in self.known and not self.instead:
            return self.known[n]
        for deep in range(6, 0, -1):
            text = self.call(n, deep)[0]
            if len(text) <= LETTERS:
                break
        if not self.instead:
            self.known[n] = text
        return text

    def called(self, n: int) -> str:
        """A call; an input with its number, and a parameter as such."""
        if n not in self.tape.leaves:
            return f"`{self.of(n)}`"
        i = self.tape.leaves.index(n)
        return f"input {i} (`{self.of(n)}`)" if i < self.tape.inputs else f"parameter `{self.of(n)}`"

    def of_changed(self, n: int, at: int, call: Call) -> str:
        """The formula of call n, if call ``at`` were another."""
        self.instead = {at: call}
        try:
            return self.of(n)
        finally:
            self.instead = {}

    def at(self, n: int) -> str:
        """" in line 12", as far as known, and what stands there if the formula of call n is not all of it."""
        line = self.tape.calls[n].line
        return f" in line {line}{self.source(n) if '…' in self.of(n) else ''}" if line else ""

    def source(self, n: int) -> str:
        """", `g[words] += gy`,": the line of the program that made call n; nothing where it is not known, or long."""
        text = self.line(n)
        return f", `{text}`," if text else ""

    def line(self, n: int) -> str:
        file, number, _ = self.tape.calls[n].site[0] if self.tape.calls[n].site else ("", 0, 0)
        text = linecache.getline(file, number).strip()
        return text if len(text) <= SOURCE else ""

    def statement(self, n: int) -> str:
        """What call n is a part of, as it stands in the program, and where."""
        line = self.tape.calls[n].line
        return f"`{self.line(n) or self.of(n)}`{f' in line {line}' * bool(line)}"

    def call(self, n: int, deep: int) -> tuple[str, int]:
        """(text, how tightly it holds)."""
        call = self.instead.get(n, self.tape.calls[n])
        if n == self.tape.output and call.function and deep < 6:
            return "y", 9
        if call.function is None:
            return call.name, 9
        if not deep:
            return "…", 9
        name = getattr(call.function, "__name__", "?")
        args = call.args
        if call.function is pick:
            return f"{self.call_of(args[1], args[2], args[3], deep)}[{args[0]}]", 9
        sign = SIGNS.get(name, "")
        if sign and len(args) == 1:
            text, holds = self.arg(args[0], deep - 1)
            return sign + (text if holds > 4 else f"({text})"), 4
        if sign and len(args) == 2:
            own = ORDER.get(sign, 1)
            (a, left), (b, right) = (self.arg(arg, deep - 1) for arg in args)
            return f"{a if left >= own else f'({a})'} {sign} {b if right > own else f'({b})'}", own
        if call.function is operator.getitem:
            return f"{self.tight(args[0], deep)}[{self.index(args[1], deep)}]", 9
        if call.function is put:
            value = self.arg(args[2], deep - 1)[0]
            return f"{self.tight(args[0], deep)} with [{self.index(args[1], deep)}] = {value}", 1
        if name == "transpose" and len(args) == 1:
            return f"{self.tight(args[0], deep)}.T", 9
        return self.call_of(call.function, args, call.settings, deep), 9

    def call_of(self, function: Any, args: Any, settings: dict[str, Any], deep: int) -> str:
        """A function with its arguments."""
        name = getattr(function, "__name__", "?")
        if name == "reduce" and hasattr(function, "__self__"):
            name = f"{function.__self__.__name__}.reduce"
        words = [self.arg(arg, deep - 1)[0] for arg in args]
        words += [f"{key}={self.arg(value, deep - 1)[0]}" for key, value in settings.items()]
        return f"{name}({', '.join(words)})"

    def tight(self, arg: Any, deep: int) -> str:
        """An argument, in brackets where it would fall apart."""
        text, holds = self.arg(arg, deep - 1)
        return text if holds == 9 else f"({text})"

    def arg(self, arg: Any, deep: int) -> tuple[str, int]:
        """As call(), of an argument."""
        if isinstance(arg, Ref):
            return self.call(arg.to, deep)
        if isinstance(arg, np.ndarray) and arg.size > 6:
            return "…", 9
        if isinstance(arg, (tuple, list)):
            return f"({', '.join(self.arg(item, deep)[0] for item in arg)})", 9
        if isinstance(arg, slice):
            return self.index(arg, deep), 9
        if isinstance(arg, (float, np.floating)) or (isinstance(arg, np.ndarray) and not arg.ndim):
            return f"{float(arg):.6g}", 9 if float(arg) >= 0 else 3
        return str(arg).replace("\n", " "), 9

    def index(self, index: Any, deep: int) -> str:
        """An index, without its brackets."""
        if isinstance(index, tuple):
            return ", ".join(self.index(part, deep) for part in index)
        if isinstance(index, slice):
            start, stop, step = ("" if part is None else str(part) for part in (index.start, index.stop, index.step))
            return f"{start}:{stop}" + f":{step}" * bool(step)
        return "..." if index is ... else self.arg(index, deep)[0]
