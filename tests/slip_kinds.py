"""Kinds of slips of the pen. Each is a function of a node of a syntax tree, and of the Source it is in, that yields
(the part that is written otherwise, what stands there instead)."""

import ast
import re
from functools import cache
from itertools import pairwise

KINDS = []  # (name, types of nodes, function)
SYMBOLS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.LShift: "<<", ast.RShift: ">>",
           ast.BitOr: "|", ast.BitAnd: "&", ast.And: "and", ast.Or: "or", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
           ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.In: "in", ast.NotIn: "not in", ast.Is: "is",
           ast.IsNot: "is not"}  # fmt: skip
INSTEAD = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not", "is not": "is",
           "in": "not in", "not in": "in", "and": "or", "or": "and", "+": "-", "-": "+"}  # fmt: skip
PAIRS = ("max min", "maximum minimum", "argmax argmin", "floor ceil", "any all", "sum mean", "zeros_like ones_like",
         "zeros ones", "popleft pop", "train eval", "isnan isinf", "width height", "float64 float32", "keys values",
         "C F", "K C", "a w", "train val", "over under", "raise ignore")  # fmt: skip
COUNTERPARTS = {a: b for pair in reversed(PAIRS) for a, b in (pair.split(), pair.split()[::-1])}
CONVERSIONS = ("tuple", "list", "set", "float", "int", "bool", "str", "type", "len", "iter", "next", "range",
               "enumerate", "isinstance")  # fmt: skip - without them nothing is otherwise, or all
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def kind(name, *types):
    """Makes a function a kind of slip, of nodes of these types."""

    def known(function):
        KINDS.append((name, types, function))
        return function

    return known


# -- arithmetic --------------------------------------------------------------------------------------------------------


@kind("term dropped", ast.BinOp)
def _(n, s):
    if isinstance(n.op, (ast.Add, ast.Sub, ast.BitOr, ast.BitAnd)):
        left, right = s.halves(n, n.left, SYMBOLS[type(n.op)], n.right)
        yield n, left
        if not isinstance(n.op, ast.Sub):
            yield n, right


@kind("factor dropped", ast.BinOp)
def _(n, s):
    if isinstance(n.op, (ast.Mult, ast.Div, ast.Pow, ast.LShift, ast.RShift)):
        left, right = s.halves(n, n.left, SYMBOLS[type(n.op)], n.right)
        yield n, left
        if isinstance(n.op, ast.Mult):
            yield n, right


@kind("sign turned", ast.BinOp, ast.UnaryOp, ast.AugAssign)
def _(n, s):
    if isinstance(n, ast.UnaryOp):
        if isinstance(n.op, ast.USub):
            yield n, s.text(n.operand)
    elif isinstance(n.op, (ast.Add, ast.Sub)):
        left, right = (n.left, n.right) if isinstance(n, ast.BinOp) else (n.target, n.value)
        yield n, s.other(n, left, SYMBOLS[type(n.op)], right).replace("- = ", "-= ").replace("+ = ", "+= ")


@kind("= for +=", ast.AugAssign)
def _(n, s):
    yield n, f"{s.text(n.target)} = {s.text(n.value)}"


@kind("off by one", ast.Call, ast.Slice, ast.BinOp)
def _(n, s):
    first = last = None
    if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "range":
        first, last = (None, *n.args) if len(n.args) == 1 else n.args[:2]
    elif isinstance(n, ast.Slice):
        first, last = n.lower, n.upper
    elif isinstance(n, ast.BinOp) and isinstance(n.op, ast.FloorDiv):
        yield n, f"({s.text(n)} + 1)"
    if first:
        yield first, f"{s.text(first)} + 1"
    if last:
        yield last, f"{s.text(last)} - 1"


@kind("another axis", ast.keyword, ast.Subscript)
def _(n, s):
    named = n.arg == "axis" if isinstance(n, ast.keyword) else getattr(n.value, "attr", "") == "shape"
    axis = n.value if isinstance(n, ast.keyword) else n.slice
    if named and isinstance(axis, ast.Constant) and isinstance(axis.value, int):
        yield axis, "1" if axis.value == 0 else "0"


@kind("another number", ast.Constant)
def _(n, s):
    if type(n.value) is int:
        yield n, f"{n.value + 1}"
    elif type(n.value) is float:
        yield n, f"{n.value * 2 or 1.0}"


# -- conditions --------------------------------------------------------------------------------------------------------


@kind("comparison loosened", ast.Compare)
def _(n, s):
    for left, operator, right in zip([n.left, *n.comparators], n.ops, n.comparators, strict=False):
        yield n, s.other(n, left, SYMBOLS[type(operator)], right)


@kind("or for and", ast.BoolOp)
def _(n, s):
    for left, right in pairwise(n.values):
        yield n, s.other(n, left, SYMBOLS[type(n.op)], right)


@kind("condition dropped", ast.BoolOp)
def _(n, s):
    for value in n.values:
        yield value, str(isinstance(n.op, ast.And))


@kind("not dropped", ast.UnaryOp)
def _(n, s):
    if isinstance(n.op, ast.Not):
        yield n, s.text(n).removeprefix("not").strip()


@kind("check left out", ast.If)
def _(n, s):
    if isinstance(n.body[-1], ast.Raise):
        yield n.test, "False"


@kind("always so", ast.If, ast.IfExp, ast.comprehension)
def _(n, s):
    if isinstance(n, ast.comprehension):
        yield from ((test, "True") for test in n.ifs)
    elif isinstance(n, ast.IfExp) or not isinstance(n.body[-1], ast.Raise):
        yield from ((n.test, always) for always in ("True", "False"))


@kind("flag turned", ast.Constant)
def _(n, s):
    if isinstance(n.value, bool):
        yield n, str(not n.value)


# -- one for another ---------------------------------------------------------------------------------------------------


@kind("its counterpart", ast.Name, ast.Attribute, ast.Constant)
def _(n, s):
    word = getattr(n, "id", "") or getattr(n, "attr", "") or getattr(n, "value", "")
    if isinstance(word, str) and word in COUNTERPARTS and (len(word) > 1 or isinstance(n, ast.Constant)):
        yield n, re.sub(rf"\b{word}(\W?)$", rf"{COUNTERPARTS[word]}\1", s.text(n))


@kind("exchanged", ast.Tuple, ast.Call)
def _(n, s):
    stored = isinstance(n, ast.Tuple) and isinstance(n.ctx, ast.Store)
    each = n.elts if isinstance(n, ast.Tuple) else n.args
    for a, b in pairwise([] if stored and isinstance(getattr(n.parent, "value", None), ast.Tuple) else each):
        if type(a) is type(b) is not ast.Starred:  # of ``a, b = x, y`` only x, y
            (start, end), (begin, stop) = s.span(a), s.span(b)
            yield n, s.text(n, end=start) + s.text(b) + s.text(n, end, begin) + s.text(a) + s.text(n, stop)


@kind("x for y", ast.Name)
def _(n, s):
    function = n
    while not isinstance(function, (*FUNCTIONS, ast.Module)):
        function = function.parent
    if isinstance(n.ctx, ast.Load) and n.id in (fellows := fellows_in(function)):
        yield n, fellows[n.id]


@cache
def fellows_in(function):
    """For its names another of their kind: a neighbour among parameters, or in what is assigned as H, W = shape."""
    groups = []
    if isinstance(function, FUNCTIONS):
        parameters = [a for a in function.args.args if a.arg not in ("self", "cls")]
        types = [ast.dump(a.annotation) if a.annotation else "" for a in parameters]
        groups = [[a.arg for a, kind in zip(parameters, types, strict=True) if kind == each] for each in types]
    for node in ast.walk(function):
        if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Store):
            groups.append([each.id for each in node.elts if isinstance(each, ast.Name) and each.id != "_"])
    fellows = {}
    for group in groups:
        for name, other in zip(group, group[1:] + group[-2:-1], strict=False):
            fellows.setdefault(name, other)
    return fellows


@kind("0 for x", ast.Call)
def _(n, s):
    for argument in n.args if getattr(n.func, "id", "") != "range" else []:
        if isinstance(argument, (ast.Name, ast.Attribute, ast.Subscript)):
            yield argument, "0"


# -- left out ----------------------------------------------------------------------------------------------------------


@kind("call left out", ast.Call, ast.Attribute)
def _(n, s):
    if isinstance(n, ast.Attribute):
        if n.attr == "T":
            yield n, s.text(n.value)
    elif isinstance(n.func, ast.Attribute) and s.text(n.func.value) not in s.modules:
        yield n, s.text(n.func.value)
    elif n.args and not isinstance(n.args[0], (ast.Starred, ast.GeneratorExp)) and s.text(n.func) not in CONVERSIONS:
        yield n, f"({s.text(n.args[0])})"


@kind("argument left out", ast.Call)
def _(n, s):
    for before, after in pairwise([*n.args, *n.keywords]):
        if isinstance(after, ast.keyword) and after.arg:
            yield n, s.halves(n, before, ",", after)[0] + s.text(n, start=s.span(after)[1])


@kind("element left out", ast.Tuple, ast.List, ast.Set, ast.Dict)
def _(n, s):
    keys, values = (n.keys, n.values) if isinstance(n, ast.Dict) else (n.elts, n.elts)
    stored = isinstance(getattr(n, "ctx", None), ast.Store)
    if not stored and (len(values) > 2 or not isinstance(n, ast.Tuple)):  # one in brackets is no tuple
        for before, key, value in zip(values, keys[1:], values[1:], strict=False):
            yield n, s.halves(n, before, ",", key or value)[0] + s.text(n, start=s.span(value)[1])


@kind("statement left out", ast.Expr, ast.Assign, ast.AugAssign, ast.Delete)
def _(n, s):
    targets = [part for target in getattr(n, "targets", []) for part in getattr(target, "elts", [target])]
    if isinstance(n.value, ast.Call) if isinstance(n, ast.Expr) else not any(isinstance(t, ast.Name) for t in targets):
        yield n, "pass"


@kind("with left out", ast.With)
def _(n, s):
    for item in n.items:
        if not item.optional_vars:
            yield item.context_expr, "__import__('contextlib').nullcontext()"


@kind("error not caught", ast.ExceptHandler)
def _(n, s):
    if n.type:
        yield n.type, "()"
