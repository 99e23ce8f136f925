"""The one helper that the tests of all ops share: ``check_op`` holds an op against its formula, written out slowly."""

import inspect
import sys
from math import inf, nan  # noqa: F401 - so are these numbers printed, in a call to paste
from pathlib import Path

import numpy as np

from minicnn import Tensor, gradcheck, ops
from minicnn.engine.device import current_device, ensure_on
from minicnn.engine.op import op as lift

PRECISION = {np.float64: 1e-11, np.float32: 2e-5}  # allowed difference, relative to the largest number that is expected


def normal(*shape, seed=0):
    """Normally distributed numbers, the same every time."""
    return np.random.default_rng(seed).standard_normal(shape)


def distinct(*shape, seed=0):
    """Numbers from −1 to 1, no two of them near each other: a maximum has no tie."""
    size = int(np.prod(shape))
    return np.random.default_rng(seed).permutation(np.linspace(-1, 1, size)).reshape(shape)


def agree(got, expected, what="value", tolerance=1e-11):
    """Raise AssertionError, which tells where they differ most, unless got is expected but for rounding."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{what}: the shape is {got.shape}, expected {expected.shape}"
    allowed = tolerance * np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    wrong = ~np.isclose(got, expected, rtol=0, atol=allowed, equal_nan=True)
    if wrong.any():
        with np.errstate(invalid="ignore"):
            distance = np.where(wrong, np.nan_to_num(np.abs(got - expected), nan=np.inf), -1)
        i = tuple(map(int, np.unravel_index(distance.argmax(), distance.shape)))
        raise AssertionError(f"{what} {got.shape}: {wrong.sum()} of {wrong.size} elements are wrong, most of all {i}: "
                             f"got {got[i]:.9g}, expected {expected[i]:.9g}")


def is_real(x):
    return x is not None and x.dtype.kind == "f"


def value_and_gradients(op, inputs, settings, backward):
    """The value y = op(inputs), and the gradients that backward(y) brings to those that are real numbers."""
    tensors = [Tensor(x, requires_grad=True) if is_real(x) else x for x in inputs]
    y = op(*tensors, **settings)
    backward(y)
    return [y.numpy()] + [x.grad.numpy() for x in tensors if is_real(x)]


def check_op(op, reference, *inputs, **settings):
    """Hold ``op(*inputs, **settings)`` against ``reference``, its formula, and its gradients against its value.

    inputs: arrays of float64, clear of kinks; whole numbers, such as labels, and None are passed on.
    Where it fails, the error carries a note: the call that fails again when it is pasted into Python in tests/.
    """
    try:
        check_value(op, reference, inputs, settings)
        check_gradients(op, inputs, settings)
        check_memory_orders(op, inputs, settings)
        check_shared_inputs(op, inputs, settings)
    except Exception as error:
        error.add_note("Again, in tests/: " + call(op, reference, inputs, settings))
        raise


def check_value(op, reference, inputs, settings):
    """In both precisions: the value, and the types, shapes and numbers of all gradients. All arrays that go in, and the
    value, stay as they were."""
    for dtype, tolerance in PRECISION.items():
        given = [x.astype(dtype) if is_real(x) else x for x in inputs]
        before = [np.copy(x) for x in given]
        tensors = [Tensor(x, requires_grad=True) if is_real(x) else x for x in given]
        y = op(*tensors, **settings)
        exact = [x.astype(np.float64) if is_real(x) else x for x in given]
        agree(y.numpy(), reference(*exact, **settings), f"value in {dtype.__name__}", tolerance)
        assert y.dtype == dtype, f"from {dtype.__name__} came {y.dtype}"
        value, u = y.numpy().copy(), Tensor(normal(*y.shape, seed=1), dtype=dtype).writable()
        handed = u.copy()
        hand_over(y, gradient=u).backward()
        assert (u == handed).all(), "backward changed the gradient that came in"
        assert np.array_equal(y.numpy(), value, equal_nan=True), "backward changed the value"
        expected = iter(value_and_gradients(op, exact, settings, lambda y, u=handed: y.backward(u))[1:])
        for i, (x, old) in enumerate(zip(tensors, before, strict=True)):
            if is_real(x):
                assert (x.grad.dtype, x.grad.shape) == (x.dtype, x.shape), f"input {i}, {x!r}, has gradient {x.grad!r}"
                agree(x.grad.numpy(), next(expected), f"gradient of input {i} in {dtype.__name__}", tolerance)
                assert (x.numpy() == old).all(), f"input {i} was changed: {x!r}, before {old}"
            elif x is not None:
                assert (x == old).all(), f"input {i} was changed: {x!r}, before {old}"


@lift
def hand_over(y, *, gradient):
    """A number whose gradient by y is the very array ``gradient``, not a copy."""
    return np.zeros_like(y, shape=1), lambda gy: ensure_on(gradient, current_device())


def check_gradients(op, inputs, settings):
    """Each gradient against differences of the value."""
    gradcheck(lambda *xs: op(*xs, **settings), *inputs)


def check_memory_orders(op, inputs, settings):
    """The same numbers give the same, however inputs or a gradient that comes in lie in memory."""
    u = normal(*op(*inputs, **settings).shape, seed=2)
    expected = value_and_gradients(op, inputs, settings, lambda y: y.backward(u))

    def same(what, op, inputs, backward=lambda y: y.backward(u), expected=expected):
        for got, right in zip(value_and_gradients(op, inputs, settings, backward), expected, strict=True):
            agree(got, right, what)

    same("gradient comes from a product", op, inputs, lambda y: (y * u).sum().backward())
    same("gradient comes transposed by an op", op, inputs, lambda y: (y.transpose() * u.T).sum().backward())
    for order in as_it_is, columns_first, turned_round, spread_out:
        g = order(u)
        same(f"gradient is given {order.__name__}", op, inputs, lambda y, g=g: y.backward(g))
        same(f"gradient comes {order.__name__}", op, inputs, lambda y, g=g: hand_over(y, gradient=g).backward())
        same(f"inputs are {order.__name__}", op, [x if x is None else order(x) for x in inputs])

    def twice_turned(*xs, **settings):
        return op(*(x.transpose().transpose() if isinstance(x, Tensor) else x for x in xs), **settings)

    same("inputs are transposed by an op", twice_turned, inputs)

    half = np.broadcast_to(0.5, u.shape)
    flat = value_and_gradients(op, inputs, settings, lambda y: y.backward(half.copy()))
    same("gradient is given with strides of 0", op, inputs, lambda y: y.backward(half), flat)
    same("gradient comes with strides of 0", op, inputs, lambda y: hand_over(y, gradient=half).backward(), flat)
    same("gradient comes from a sum", op, inputs, lambda y: (y.sum() * 0.5).backward(), flat)
    wide = [np.broadcast_to(x.ravel()[:1].sum(), x.shape) if is_real(x) else x for x in inputs]
    narrow = value_and_gradients(op, [np.copy(x) if is_real(x) else x for x in wide], settings,
                                 lambda y: y.backward(u))
    same("inputs have strides of 0", op, wide, expected=narrow)


def check_shared_inputs(op, inputs, settings):
    """One tensor given for two inputs gets the sum of their gradients."""
    for i, x in enumerate(inputs):
        for j in range(i):
            if is_real(x) and is_real(inputs[j]) and x.shape == inputs[j].shape:
                apart = [*inputs[:i], inputs[j], *inputs[i + 1 :]]
                tensors = [Tensor(x, requires_grad=True) if is_real(x) else x for x in apart]
                y = op(*tensors[:i], tensors[j], *tensors[i + 1 :], **settings)
                u = normal(*y.shape, seed=3)
                y.backward(u)
                value, *gradients = value_and_gradients(op, apart, settings, lambda y, u=u: y.backward(u))
                by = dict(zip((k for k, x in enumerate(inputs) if is_real(x)), gradients, strict=True))
                agree(y.numpy(), value, f"value where inputs {j} and {i} are one tensor")
                agree(tensors[j].grad.numpy(), by[j] + by[i], f"gradient where inputs {j} and {i} are one tensor")


# -- how numbers lie in memory ----------------------------------------------------------------------------------------


def as_it_is(x):
    return x


def columns_first(x):
    return x.copy(order="F")


def turned_round(x):
    return np.flip(np.flip(x).copy())


def spread_out(x):
    """The same numbers, each second place in memory being something else."""
    memory = np.full(tuple(2 * n for n in x.shape), np.nan if is_real(x) else 99, x.dtype)
    view = memory[(slice(None, None, 2),) * x.ndim] if x.ndim else memory
    view[...] = x
    return view


# -- what failed, to be pasted ----------------------------------------------------------------------------------------


def call(op, reference, inputs, settings):
    """``check_op(op, reference, *inputs, **settings)`` as Python, with all that it takes to run it."""
    (fetch, *_), (fetch_too, *_) = found = found_at(op), found_at(reference)
    given = [name for _, name, _ in found] + [code(x) for x in inputs] + [f"{k}={code(v)}" for k, v in settings.items()]
    notes = "".join(f"  ({note})" for *_, note in found if note)
    return f"from helpers import *; {fetch}{fetch_too}check_op({', '.join(given)}){notes}"


def found_at(function):
    """What imports the function, its name then, and what keeps it from being imported: one of the first and last is
    empty."""
    for module in (ops, sys.modules[getattr(function, "__module__", None) or "numpy"]):
        for name, value in vars(module).items():
            if value is function:
                fetch = "" if module is ops else f"from {module.__name__} import {name}; "
                return fetch, name if fetch else f"ops.{name}", ""
    name, source = getattr(function, "__name__", repr(function)), getattr(inspect.unwrap(function), "__code__", None)
    where = f"local to {Path(source.co_filename).name}:{source.co_firstlineno}" if source else "in no module"
    return "", name, f"{name} is {where}"


def code(x):
    """x in Python: an array by the function of this file that made it, or by its numbers to the last bit."""
    if isinstance(x, tuple):
        return f"({''.join(f'{code(item)}, ' for item in x)})"
    if not isinstance(x, np.ndarray):
        return repr(x)
    for made_by in (normal, distinct) if x.dtype == np.float64 else ():
        for seed in range(4):
            if made_by(*x.shape, seed=seed).tobytes() == x.tobytes():
                return f"{made_by.__name__}({', '.join([*map(str, x.shape)] + [f'seed={seed}'] * bool(seed))})"
    return f"np.array({x.ravel().tolist()}, np.{x.dtype}).reshape({x.shape})"
