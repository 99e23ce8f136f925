"""Slips of the pen, read off a file's syntax tree: what somebody might write instead, whatever the names are.

The kinds are in slip_kinds.py. Which slips are planted, and which tests must see them, says drawn_slips.py.
"""

import ast
import re
from collections import Counter
from dataclasses import dataclass

from slip_kinds import FUNCTIONS, INSTEAD, KINDS

SKIPPED = (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)  # words to people; what fails at once


@dataclass(frozen=True)
class Slip:
    """In ``function`` (with what it stands in, as "conv2d.gx"; "" is the file itself) ``old`` becomes ``new``.

    nth: which of those that read alike, from 0. start: where ``old`` begins, in bytes. mark: the function without its
    names, and which of its slips this is. gradient: whether it is in what takes ``gy``, the gradient of an
    op's output, and uses it once.
    """

    kind: str
    function: str
    old: str
    new: str
    nth: int
    start: int
    mark: str
    gradient: bool

    @property
    def name(self) -> str:
        """One line, which no other slip of the file has."""
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.function}: {self.kind}: {old} → {new}" + f" [{self.nth}]" * (self.nth > 0)

    def planted_in(self, text: str) -> str:
        written = text.encode()
        return (written[: self.start] + self.new.encode() + written[self.start + len(self.old.encode()) :]).decode()


class Source:
    """A file's text, and where in it the nodes of its tree stand; each node knows its parent."""

    def __init__(self, text):
        self.bytes, self.tree = text.encode(), ast.parse(text)
        self.begins = [0]  # of lines
        for line in self.bytes.split(b"\n"):
            self.begins.append(self.begins[-1] + len(line) + 1)
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                child.parent = node
        imports = [node for node in ast.walk(self.tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
        self.modules = {alias.asname or alias.name for node in imports for alias in node.names}

    def span(self, node):
        """(start, end): the tree counts columns in bytes of UTF-8."""
        return (self.begins[node.lineno - 1] + node.col_offset, self.begins[node.end_lineno - 1] + node.end_col_offset)

    def text(self, node, start=None, end=None):
        """What stands from the node's start to its end, or to others."""
        own = self.span(node)
        return self.bytes[own[0] if start is None else start : own[1] if end is None else end].decode()

    def halves(self, whole, left, operator, right):
        """What stands before and behind the operator between two parts of a node, each with its own brackets."""
        middle, behind = self.span(left)[1], self.span(right)[0]
        before, _, after = self.bytes[middle:behind].decode().partition(operator)
        return (self.text(whole, end=middle) + before).rstrip(), (after + self.text(whole, start=behind)).lstrip()

    def other(self, whole, left, operator, right):
        """A node's text with the counterpart of the operator between two of its parts."""
        before, after = self.halves(whole, left, operator, right)
        return f"{before} {INSTEAD[operator]} {after}"

    def changed(self, whole, part, new):
        """A node's text with something else for one of its parts."""
        start, end = self.span(part)
        return self.text(whole, end=start) + new + self.text(whole, start=end)


def slips_of(text):
    """Every slip of a file's text, in the order of the file."""
    source, found, alike, texts = Source(text), [], Counter(), {hash(text)}

    def visit(node, function, shape, gradient):
        if is_skipped(node):
            return
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            function = f"{function}.{node.name}".removeprefix(".")
            shape = re.sub(r"[^\W\d]\w*", "_", "".join(source.text(node).split()))
        if isinstance(node, (*FUNCTIONS, ast.Lambda)) and "gy" in [argument.arg for argument in node.args.args]:
            gradient = [getattr(name, "id", "") for name in ast.walk(node)].count("gy") == 1
        for kind, types, instead in KINDS:
            for part, new in instead(node, source) if isinstance(node, types) else ():
                whole = part  # of a name, a number, a condition alone a reader could make nothing
                while isinstance(whole.parent, (ast.expr, ast.keyword)) and (
                        isinstance(whole, (ast.Name, ast.Constant)) or isinstance(whole.parent, ast.BoolOp)):
                    whole = whole.parent
                old, new = source.text(whole), source.changed(whole, part, new)
                reads = kind, function, old, new
                slip = Slip(*reads, alike[reads], source.span(whole)[0], f"{shape} {alike[function]}", gradient)
                if hash(planted := slip.planted_in(text)) not in texts:  # else two kinds write the same
                    texts.add(hash(planted))
                    found.append(slip)
                    alike.update([reads, function])
        for child in ast.iter_child_nodes(node):
            visit(child, function, shape, gradient)

    visit(source.tree, "", "", False)
    return found


def is_skipped(node):
    """Words to people, what says types, and what fails on import."""
    parent = getattr(node, "parent", None)
    for name in ("annotation", "returns", "decorator_list", "bases"):
        if node is (beside := getattr(parent, name, None)) or (isinstance(beside, list) and node in beside):
            return True
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", "").endswith(("Error", "print"))
    return isinstance(node, SKIPPED) or (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING")
