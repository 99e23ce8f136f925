"""Puts another text in the place of a file that is imported already: its functions get other code.

This takes no time, but leaves what was computed when the file was imported. Whoever sees no fault then must look again,
with planted.plant in a new process.
"""

import gc
import os
import types
from collections import defaultdict
from functools import cache
from inspect import CO_OPTIMIZED  # the code of a function, unlike that of a module or of a class
from pathlib import Path


def living():
    """All functions that live, by their files."""
    functions, real = defaultdict(list), cache(os.path.realpath)
    for each in gc.get_objects():
        if type(each) is types.FunctionType:  # isinstance would ask the object, which may be a stand-in for another
            functions[real(each.__code__.co_filename)].append(each)
    return functions


def swap(path, text, functions):
    """Functions of the file ``path``, among those of ``living()``, get their code from ``text``.

    Raises ValueError where that is not all that the text changes.
    """
    here = defaultdict(list)
    for function in functions[os.path.realpath(path)]:
        here[mark(function.__code__)].append(function)
    for old, new, at_import in changes(path, text):
        these = here[mark(old)]
        if at_import and not these:
            raise ValueError(f"{path}: no {old.co_qualname} lives")
        if these and old.co_freevars != new.co_freevars:
            raise ValueError(f"{path}: {old.co_qualname} would need variables from around it that it has not got")
        for function in these:
            function.__code__ = new


def fits(path, text):
    """Whether ``text`` changes nothing but functions."""
    try:
        changes(path, text)
    except ValueError:
        return False
    return True


def changes(path, text):
    """A list of (old code, new code, whether it is there after the import) of each function that ``text`` changes.

    Raises ValueError where something else changes: what a module or a class does itself, or how many functions there
    are in another.
    """
    old, new = (compile(each, str(path), "exec", dont_inherit=True)
                for each in (Path(path).read_text(encoding="utf-8"), text))
    return list(pairs(old, new, True))


def pairs(old, new, at_import):
    is_function = bool(old.co_flags & CO_OPTIMIZED)
    if not is_function and bare(old, hollow=True) != bare(new, hollow=True):
        raise ValueError(f"{old.co_qualname} itself changes")
    insides = [[part for part in code.co_consts if isinstance(part, types.CodeType)] for code in (old, new)]
    if len({tuple(part.co_name for part in inside) for inside in insides}) > 1:
        raise ValueError(f"{old.co_qualname} has other functions in it")
    if is_function and bare(old) != bare(new):
        yield old, new, at_import
    for inside in zip(*insides, strict=True):
        yield from pairs(*inside, at_import and not is_function)


def bare(code, hollow=False):
    """The code, but for where it stands in the text; if hollow, without the functions and classes in it."""
    inside = [(None if hollow else bare(part)) if isinstance(part, types.CodeType) else part for part in code.co_consts]
    return code.replace(co_firstlineno=1, co_linetable=b"", co_consts=tuple(inside))


def mark(code):
    """What no other code of a file has: two lambdas of a line begin at different columns."""
    return code.co_qualname, code.co_firstlineno, code.co_linetable
