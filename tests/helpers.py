"""The one helper that the tests of all ops share: ``check_op`` holds an op against its formula, written out slowly."""

import numpy as np

from minicnn import Tensor, gradcheck

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


def value_and_gradients(op, inputs, settings, loss):
    """The value y = op(inputs), and the gradients of loss(y) by those that are real numbers."""
    tensors = [Tensor(x, requires_grad=True) if is_real(x) else x for x in inputs]
    y = op(*tensors, **settings)
    loss(y).backward()
    return [y.numpy()] + [x.grad.numpy() for x in tensors if is_real(x)]


def check_op(op, reference, *inputs, **settings):
    """Hold ``op(*inputs, **settings)`` against ``reference``, its formula, and its gradients against its value.

    inputs: arrays of float64, clear of kinks; whole numbers, such as labels, and None are passed on.
    """
    check_value(op, reference, inputs, settings)
    check_gradients(op, inputs, settings)
    check_memory_orders(op, inputs, settings)


def check_value(op, reference, inputs, settings):
    """In both precisions: the value, and the types and shapes of all gradients. Inputs stay as they were."""
    for dtype, tolerance in PRECISION.items():
        given = [x.astype(dtype) if is_real(x) else x for x in inputs]
        before = [np.copy(x) for x in given]
        tensors = [Tensor(x, requires_grad=True) if is_real(x) else x for x in given]
        y = op(*tensors, **settings)
        exact = [x.astype(np.float64) if is_real(x) else x for x in given]
        agree(y.numpy(), reference(*exact, **settings), f"value in {dtype.__name__}", tolerance)
        assert y.dtype == dtype, f"from {dtype.__name__} came {y.dtype}"
        y.backward(normal(*y.shape, seed=1))
        for i, (x, old) in enumerate(zip(tensors, before, strict=True)):
            if is_real(x):
                assert (x.grad.dtype, x.grad.shape) == (x.dtype, x.shape), f"input {i}, {x!r}, has gradient {x.grad!r}"
                assert (x.numpy() == old).all(), f"input {i} was changed: {x!r}, before {old}"
            elif x is not None:
                assert (x == old).all(), f"input {i} was changed: {x!r}, before {old}"


def check_gradients(op, inputs, settings):
    """Each gradient against differences of the value."""
    gradcheck(lambda *xs: op(*xs, **settings), *inputs)


def check_memory_orders(op, inputs, settings):
    """The same numbers give the same, however inputs or a gradient that comes in lie in memory."""
    u = normal(*op(*inputs, **settings).shape, seed=2)
    expected = value_and_gradients(op, inputs, settings, lambda y: (y * u).sum())

    def same(what, op, inputs, loss=lambda y: (y * u).sum(), expected=expected):
        for got, right in zip(value_and_gradients(op, inputs, settings, loss), expected, strict=True):
            agree(got, right, what)

    same("gradient comes transposed", op, inputs, lambda y: (y.transpose() * u.T).sum())
    flat = value_and_gradients(op, inputs, settings, lambda y: (y * np.full(y.shape, 0.5)).sum())
    same("gradient comes with strides of 0", op, inputs, lambda y: y.sum() * 0.5, flat)

    def twice_turned(*xs, **settings):
        return op(*(x.transpose().transpose() if isinstance(x, Tensor) else x for x in xs), **settings)

    same("inputs are transposed by an op", twice_turned, inputs)
    for order in columns_first, turned_round, spread_out:
        same(f"inputs are {order.__name__}", op, [order(x) if is_real(x) else x for x in inputs])
    wide = [np.broadcast_to(x.ravel()[:1].sum(), x.shape) if is_real(x) else x for x in inputs]
    narrow = value_and_gradients(op, [np.copy(x) if is_real(x) else x for x in wide], settings, lambda y: y.sum())
    same("inputs have strides of 0", op, wide, lambda y: y.sum(), narrow)


def columns_first(x):
    return x.copy(order="F")


def turned_round(x):
    return np.flip(np.flip(x).copy())


def spread_out(x):
    """The same numbers, each second place in memory being something else."""
    memory = np.full(tuple(2 * n for n in x.shape), np.nan, x.dtype)
    view = memory[(slice(None, None, 2),) * x.ndim] if x.ndim else memory
    view[...] = x
    return view
