"""What slip it is to write one value for another, by how the two are made."""

from __future__ import annotations

import operator

import numpy as np

from .edits import COMPARE, Use, View
from .kinds import CHOOSE, JOINS, MASKED, ORDERS, PRODUCTS, SUMS
from .record import Call, Ref, put, refs

__all__ = ["as_tuple", "relation"]


def relation(view: View, old: int, new: int, n: int, whole: Use | bool) -> tuple[str, str, float]:
    """The name of the slip of writing ``old`` for ``new`` in call n; why; how far it is. whole: whether all of the
    gradient goes through it, or the use to find it out from."""
    old, new = view.alias.get(old, old), view.alias.get(new, new)
    a, b = view.called(old), view.called(new)
    first, second = view.tape.calls[old], view.tape.calls[new]
    stands = f"{a} stands where {b} belongs"
    if view.values[old].dtype.kind == "b" or view.tape.calls[n].function in COMPARE:
        return "wrong mask", f"the mask is that of {a}, not of {b}", 0.8
    if view.name(n) in CHOOSE:
        return "wrong mask", f"{stands}: others are the largest", 1.0
    for one, other in ((first, new), (second, old)):
        if same_source(view, one, other):
            return arranged(view, one, old, n)
    if first.function is second.function is operator.getitem:
        return settings_differ(view, first, second, stands)
    if first.function is second.function and first.function and (
            first.args[:1] == second.args[:1] or same_parts(view, old, new)):
        return settings_differ(view, first, second, stands)
    for one, other in ((first, new), (second, old)):
        if getattr(one.function, "__name__", "") in ("power", "square", "sqrt") and other in (
                view.alias.get(s, s) for s in refs(one.args)):
            return "wrong power", stands, 1.0
    if view.name(n) == "power" and not isinstance(whole, bool) and whole[1] == len(view.used(n)) - 1 > 0:
        return "wrong power", f"{stands}, in the exponent", 1.0
    c = ratio(view.values[new], view.values[old])
    if c:
        if c != -1 and view.name(n) in ("exp", "exp2", "power"):
            return "wrong power", f"{stands}: {1 / c:.6g} times as much", 1.0
        whole = whole if isinstance(whole, bool) else view.whole_use(whole)
        if c == -1:
            return ("wrong sign" if whole else "wrong sign of a term"), stands, 1.1
        return ("constant factor" if whole else "wrong factor of a term"), f"{stands}: {1 / c:.6g} times as much", 1.1
    direct, name = old in view.used(new), view.name(new)
    if direct and name in MASKED:
        return "mask forgotten", f"{stands}: a mask is missing", 1.0
    if any(view.name(m) in MASKED and old in view.used(m) for m in view.before[new]) and not (
            view.of_gy(old) or view.name(n) in MASKED):
        return "mask forgotten", f"{stands}: a mask is missing", 1.0
    if direct and name in PRODUCTS and not view.of_gy(old) and new != view.tape.output:
        return "factor missing", f"{stands}: a factor is missing", 1.0
    if direct and name in ("absolute", "abs"):
        return "one branch", f"{stands}: wrong where `{view.text(old)}` is negative, < 0", 1.0
    if np.ptp(view.values[old]) == 0 and view.values[old].flat[0] == 1:
        return "factor missing", f"{stands}: a factor is missing", 1.0
    if view.of_gy(old) and view.of_gy(new):
        if first.function is put and new in view.before[old]:
            return "term missing", f"{a} leaves some of {b} out", 1.0
        if direct and name in ("add", "subtract"):
            return "term missing", f"{stands}: a term is missing", 1.0
        if old in view.before[new]:
            with np.errstate(all="ignore"):
                mask = np.isin(np.round(view.values[new] / view.values[old], 9), (0, 1)).all()
            return ("mask forgotten", f"{a} has not been through the mask yet, {b} has", 1.0) if mask else (
                "factor missing", f"{a} still lacks what {b} has", 1.7)  # fmt: skip
        if new in view.before[old]:
            return "extra factor", f"{a} has what {b} has not", 1.6
        return "another input", stands, 2.2
    if view.of_gy(old) or view.of_gy(new):
        return "another input", stands, 2.5
    if direct and name == "subtract" and new < view.tape.gy and is_rest(view.values[new], view.values[old]):
        return "wrong mask", f"{stands}: the share of the one is that of the other", 1.0
    if direct and name in ("add", "subtract"):
        return "term missing", f"{stands}: a term is missing", 1.0
    if direct and name == "multiply" and view.used(new) == [old, old]:
        return "wrong power", f"{stands}, its square", 1.0
    if direct and name == "multiply" and view.used(new) == [old] and any(
            np.size(arg) > 1 and np.isin(arg, (0, 1)).all() for arg in second.args if not isinstance(arg, Ref)):
        return "mask forgotten", f"{stands}: a mask is missing", 1.0
    if direct and view.name(new) in ("multiply", "divide", "true_divide") and new != view.tape.output:
        return "factor missing", f"{stands}: a factor is missing", 1.2
    if direct and new == view.tape.output:
        far = 1.3 if name in ("multiply", "divide") and not any(old in view.before[o] for o in view.used(new)) else 0.9
        if far > 1 and first.function is not None:
            return "factor missing", f"{stands}: a factor is missing", far
        return "input for output", f"{a} stands where {b}, the output, belongs", far
    if first.function is None and second.function is None:
        return "another input", stands, 0.8
    if old in view.before[new] or (first.function is None and new == view.tape.output):
        what = "the output" if new == view.tape.output else "what is made of it"
        far = 0.9 if first.function is None and new < view.tape.gy else 1.25 if new < view.tape.gy else 1.45
        if affine(view.values[new], view.values[old]):
            return "term missing", f"{stands}: what is added to it is missing, or its weight", far
        return "input for output", f"{a} stands where {b}, {what}, belongs", far
    if new in view.before[old] or old == view.tape.output:
        far = 0.9 if second.function is None else 1.0 if old == view.tape.output else 1.6
        return "output for input", f"{a} stands where {b}, which goes into it, belongs", far
    return ("input for output" if first.function is None else "another input"), stands, 1.7


def ratio(new: np.ndarray, old: np.ndarray) -> float:
    """c, where new = c · old; else 0."""
    with np.errstate(all="ignore"):
        c = float((new * old).sum() / (old * old).sum()) if new.dtype.kind == "f" else 0.0
        return (round(c, 9) if np.allclose(new, c * old, rtol=1e-9, atol=1e-12) else 0.0) if np.isfinite(c) else 0.0


def is_rest(new: np.ndarray, old: np.ndarray) -> bool:
    """Whether new = 1 − old, of shares, as of a gate."""
    return bool(0 <= old.min() <= old.max() <= 1) and np.allclose(old + new, 1)


def affine(new: np.ndarray, old: np.ndarray) -> bool:
    """Whether new = a · old + b, for two numbers."""
    old, new = old.ravel().astype(float), new.ravel().astype(float)
    line = np.polynomial.Polynomial.fit(old, new, 1) if np.ptp(old) else None
    return old.size > 2 and line is not None and np.allclose(line(old), new, rtol=1e-9, atol=1e-12)


def same_parts(view: View, a: int, b: int) -> bool:
    """Whether two calls put the same parts together."""
    parts = [sorted(view.alias.get(s, s) for s in view.used(n)) for n in (a, b)]
    return view.name(a) in JOINS and parts[0] == parts[1]


def same_source(view: View, call: Call, other: int) -> bool:
    """Whether a call only puts the elements of another in order."""
    if getattr(call.function, "__name__", "") not in ORDERS:
        return False
    sources = refs(call.args)
    return sources[:1] == [other] or (bool(sources) and same_source(view, view.tape.calls[sources[0]], other))


def arranged(view: View, call: Call, old: int, n: int) -> tuple[str, str, float]:
    """The slip of putting a value in order, or not."""
    name = getattr(call.function, "__name__", "")
    if view.name(n) in SUMS:
        return "wrong axis", f"{view.called(old)} is summed along another axis", 0.8
    operand = not view.of_gy(old) and (view.name(n) in PRODUCTS | ORDERS or call.value.ndim > 2)
    if call.function is operator.getitem or name in ("flip", "fliplr", "flipud", "rot90"):
        turned = name
        if call.function is operator.getitem:
            turned = f"[{', '.join('::-1' if s == slice(None, None, -1) else ':' for s in as_tuple(call.args[1]))}]"
        if call.value.ndim == 4 and operand:
            why = f"{view.called(old)} is turned round ({turned}), or is not where it should be"
            return "kernel turned round", why, 0.8
        return "wrong direction", f"{view.called(old)} runs the other way round ({turned})", 1.0
    if name == "roll":
        return "shifted", f"{view.called(old)} is rolled, or is not where it should be", 1.0
    if call.value.ndim == 4 and operand and name == "swapaxes" and {*call.args[1:]} == {0, 1}:
        return "channels exchanged", f"{view.called(old)} has its first two axes exchanged, kernels and channels", 0.8
    name = "operand not transposed" if operand else "transposed"
    return name, f"{view.called(old)} is to be transposed, or is and should not be", 0.8


def as_tuple(index: object) -> tuple[object, ...]:
    return index if isinstance(index, tuple) else (index,)


def settings_differ(view: View, first: Call, second: Call, stands: str) -> tuple[str, str, float]:
    """Two calls of one function of the same value, with other settings."""
    name = getattr(first.function, "__name__", "")
    if first.function is operator.getitem:
        steps = [[part.step for part in as_tuple(call.args[1]) if isinstance(part, slice)] for call in (first, second)]
        return ("stride" if steps[0] != steps[1] else "shifted"), f"{stands}: other places", 1.0
    if name in ("pad", "roll"):
        return "shifted", f"{stands}: off by one place, or more", 1.0
    if name in ("sum", "mean", "max", "cumsum", "var", "std"):
        return "wrong axis", f"{stands}: over another axis", 1.0
    if name == "power":
        return "wrong power", stands, 1.0
    if name in JOINS:
        return "channels exchanged", f"{stands}: in another order", 1.0
    return "another input", stands, 1.5
