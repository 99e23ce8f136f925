"""Right functions, drawn by chance: whatever gradcheck says against one of them is a false alarm.

``python tests/right_functions.py 2000`` draws so many, and prints each that is refused; ``1000 70000`` those from
number 70,000 on.

Each is a chain of pieces, every one with its own right backward, at inputs that make a check hard: near kinks and at
them, badly scaled, large, saturated, beside large constants, where a gradient cancels (a bias before a norm, cosines of
parallel vectors, minima).
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from mistakes_functions import sigmoid, softmax

from minicnn import GradientError, Tensor, gradcheck, ops

__all__ = ["Right", "drawn", "refused", "softmax_back"]

LOST = 1e-9  # of a value may change where its inputs change by 1e-13


@dataclass(frozen=True)
class Right:
    title: str
    function: Callable[..., object] = field(repr=False)
    backward: Callable[..., object] | None = field(repr=False)
    inputs: tuple[np.ndarray, ...] = field(repr=False)


# -- pieces: of x (N, M), their value and their pullback ---------------------------------------------------------------


def softmax_back(gy, x):
    y = softmax(x)
    return y * (gy - (gy * y).sum(1, keepdims=True))


def normal(x, axis, eps=1e-5):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def normal_back(gy, x, axis, eps=1e-5):
    y = normal(x, axis, eps)
    inner = gy - gy.mean(axis, keepdims=True) - y * (gy * y).mean(axis, keepdims=True)
    return inner / np.sqrt(x.var(axis, keepdims=True) + eps)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def unit_back(gy, x):
    y = unit(x)
    return (gy - y * (gy * y).sum(1, keepdims=True)) / np.linalg.norm(x, axis=1, keepdims=True)


def window(x):
    """Sums over each place and its two neighbours."""
    wide = np.pad(x, ((0, 0), (1, 1)))
    return wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]


def response(x, alpha=1e-4):
    return x * (2 + alpha * window(x * x)) ** -0.75


def response_back(gy, x, alpha=1e-4):
    d = 2 + alpha * window(x * x)
    return gy * d**-0.75 - 1.5 * alpha * x * window(gy * x * d**-1.75)


def largest_back(gy, x):
    return gy.sum(1, keepdims=True) * (np.arange(x.shape[1]) == x.argmax(1)[:, None])


def pieces(random, n, m):
    """Smooth ones, and ones with kinks: name: (value, pullback)."""
    w, c, mask = random.standard_normal((m, m)), float(10 ** random.uniform(-4, 4)), random.random((n, m)) > 0.4
    large = float(10 ** random.uniform(0, 6))
    order = random.permutation(m)
    smooth = {
        "tanh": (np.tanh, lambda gy, x: gy * (1 - np.tanh(x) ** 2)),
        "sigmoid": (sigmoid, lambda gy, x: gy * sigmoid(x) * (1 - sigmoid(x))),
        "saturated sigmoid": (lambda x: sigmoid(9 * x + 9), lambda gy, x: (
            9 * gy * sigmoid(9 * x + 9) * (1 - sigmoid(9 * x + 9)))),
        "exp": (lambda x: np.exp(x / 4), lambda gy, x: gy * np.exp(x / 4) / 4),
        "square": (lambda x: x * x, lambda gy, x: 2 * gy * x),
        "sin": (np.sin, lambda gy, x: gy * np.cos(x)),
        "1 - cos": (lambda x: 1 - np.cos(x), lambda gy, x: gy * np.sin(x)),
        "log": (lambda x: np.log(1 + x * x), lambda gy, x: 2 * gy * x / (1 + x * x)),
        "root": (lambda x: np.sqrt(1 + x * x), lambda gy, x: gy * x / np.sqrt(1 + x * x)),
        "softmax": (softmax, softmax_back),
        "sharp softmax": (lambda x: softmax(12 * x), lambda gy, x: 12 * softmax_back(gy, 12 * x)),
        "log softmax": (lambda x: np.log(softmax(x)), lambda gy, x: gy - softmax(x) * gy.sum(1, keepdims=True)),
        "batch norm": (lambda x: normal(x, 0), lambda gy, x: normal_back(gy, x, 0)),
        "layer norm": (lambda x: normal(x, 1), lambda gy, x: normal_back(gy, x, 1)),
        "unit rows": (unit, unit_back),
        "response norm": (response, response_back),
        "matmul": (lambda x: x @ w, lambda gy, x: gy @ w.T),
        "times a constant": (lambda x: c * x, lambda gy, x: c * gy),
        "a large constant more": (lambda x: x + large, lambda gy, x: gy),
        "mask": (lambda x: x * mask, lambda gy, x: gy * mask),
        "order": (lambda x: x[:, order], lambda gy, x: gy[:, np.argsort(order)]),
        "running sum": (lambda x: x.cumsum(1), lambda gy, x: gy[:, ::-1].cumsum(1)[:, ::-1]),
        "row's mean off": (lambda x: x - x.mean(1, keepdims=True), lambda gy, x: gy - gy.mean(1, keepdims=True)),
        "gram": (lambda x: x @ x.T @ x, lambda gy, x: gy @ x.T @ x + x @ gy.T @ x + x @ x.T @ gy),
    }
    bent = {
        "relu": (lambda x: np.maximum(x, 0), lambda gy, x: gy * (x > 0)),
        "leaky relu": (lambda x: np.where(x > 0, x, 0.1 * x), lambda gy, x: gy * np.where(x > 0, 1, 0.1)),
        "abs": (np.abs, lambda gy, x: gy * np.sign(x)),
        "clip": (lambda x: np.clip(x, -1, 1), lambda gy, x: gy * (np.abs(x) < 1)),
        "row's maximum off": (lambda x: x - x.max(1, keepdims=True), lambda gy, x: gy - largest_back(gy, x)),
        "row's maximum": (lambda x: x * 0.5 + x.max(1, keepdims=True), lambda gy, x: 0.5 * gy + largest_back(gy, x)),
    }
    return smooth, bent


ENDS = {
    "": (lambda y: y, lambda gy, y: gy),
    "sum": (lambda y: y.sum(), lambda gy, y: gy + 0 * y),
    "row sums": (lambda y: y.sum(1), lambda gy, y: gy[:, None] + 0 * y),
    "mean square": (lambda y: (y * y).mean(), lambda gy, y: gy * 2 * y / y.size),
    "norm": (lambda y: np.sqrt((y * y).sum()), lambda gy, y: gy * y / np.sqrt((y * y).sum())),
}


def chain(parts):
    """Pieces one after the other, and their pullbacks back again."""
    def function(x):
        for value, _ in parts:
            x = value(x)
        return x

    def backward(gy, x):
        seen = []
        for value, _ in parts:
            seen.append(x)
            x = value(x)
        for (_, pullback), x in zip(parts[::-1], seen[::-1], strict=True):
            gy = pullback(gy, x)
        return gy

    return function, backward


# -- inputs ------------------------------------------------------------------------------------------------------------


def plain(random, n, m):
    return random.standard_normal((n, m))


def some_large(random, n, m):
    return random.standard_normal((n, m)) * np.where(random.random((n, m)) < 0.2, 30, 1)


def scaled(random, n, m):
    return random.standard_normal((n, m)) * 10 ** random.uniform(-6, 2)


def near_kinks(random, n, m):
    """A third within 10⁻¹³ to 10⁻² of 0, 1 or −1, a few of them at it."""
    away = 10 ** random.uniform(-13, -2, (n, m)) * random.choice([-1, 0, 1], (n, m), p=[0.45, 0.1, 0.45])
    near = random.random((n, m)) < 0.3
    return np.where(near, random.choice([-1.0, 0.0, 1.0], (n, m)) + away, random.standard_normal((n, m)))


def ones(random, n, m):
    return np.full((n, m), random.standard_normal()) + 1e-3 * random.standard_normal((n, m))


def in_a_chain(random, title, kind):
    n, m = (int(k) for k in random.integers(2, 7, 2))
    if kind == "large":
        n, m = 200, 100
    smooth, bent = pieces(random, n, m)
    names = list(random.choice([*smooth, *(bent if kind == "smooth" else [])], int(random.integers(1, 5))))
    if kind in ("kinks", "large"):  # one kink alone: right choices at each of several may add up to what is not right
        names = [name for name in names if name in smooth][:2]
        names.insert(int(random.integers(len(names) + 1)) if kind == "large" else 0, str(random.choice([*bent])))
    end = str(random.choice([*ENDS]))
    parts = [*((smooth | bent)[name] for name in names), ENDS[end]]
    function, backward = chain(parts)
    draw = (plain, some_large, scaled, ones)[int(random.choice(4, p=[0.5, 0.2, 0.2, 0.1]))]
    draw = near_kinks if kind == "kinks" else draw
    x = draw(random, n, m)
    title = f"{title}: {draw.__name__} {x.shape}: {', '.join([*names, end])}"
    if kind != "bias":
        return Right(title, function, backward, (x,))
    b = random.standard_normal(m) * random.choice([0, 1, 10])
    return Right(f"{title}, with a bias", lambda x, b: function(x + b),
                 lambda gy, x, b: (lambda g: (g, g.sum(0)))(backward(gy, x + b)), (x, b))


# -- extrema, invariances, and functions of several inputs -------------------------------------------------------------


def cosine(a, b):
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def cosine_back(gy, a, b):
    na, nb, c = np.sqrt((a * a).sum()), np.sqrt((b * b).sum()), cosine(a, b)
    return gy * (b / (na * nb) - c * a / na**2), gy * (a / (na * nb) - c * b / nb**2)


def divergence(p, q):
    return (p * np.log(p / q)).sum()


def divergence_back(gy, p, q):
    return gy * (np.log(p / q) + 1), -gy * p / q


def of_logits(a, b):
    return divergence(softmax(a), softmax(b))


def of_logits_back(gy, a, b):
    gp, gq = divergence_back(gy, softmax(a), softmax(b))
    return softmax_back(gp, a), softmax_back(gq, b)


def keys(q, k, b):
    return softmax(q @ (k + b).T)


def keys_back(gy, q, k, b):
    g = softmax_back(gy, q @ (k + b).T)
    gk = g.T @ q
    return g @ (k + b), gk, gk.sum(0)


def squared(a, b):
    return ((a - b) ** 2).mean()


def squared_back(gy, a, b):
    g = gy * 2 * (a - b) / a.size
    return g, -g


def first_of(gy, a, b):
    return gy * (a >= b), gy * (a < b)


def special(random, title):
    n, m = (int(k) for k in random.integers(2, 7, 2))
    a, b = random.standard_normal((2, n, m))
    where = int(random.integers(9))
    name, function, backward, inputs = (
        ("cosine of parallel vectors", cosine, cosine_back, (a, a * float(random.uniform(-3, 3)))),
        ("1 - cosine at its minimum", lambda a, b: 1 - cosine(a, b),
         lambda gy, a, b: tuple(-g for g in cosine_back(gy, a, b)), (a, 2 * a)),
        ("divergence at equality", divergence, divergence_back, (softmax(a), softmax(a))),
        ("divergence of logits at equality", of_logits, of_logits_back, (a, a + 3)),
        ("bias on keys", keys, keys_back, (a, random.standard_normal((5, m)), random.standard_normal(m))),
        ("squares at their minimum", squared, squared_back, (a, a)),
        ("maximum, a tie", np.maximum, first_of, (np.where(random.random((n, m)) < 0.5, a, b), b)),
        ("norm after normalising", lambda x: np.linalg.norm(unit(x), axis=1),
         lambda gy, x: unit_back(gy[:, None] * unit(x), x), (a,)),
        ("variance beside a shift", lambda x, s: (x + s).var(0), lambda gy, x, s: (
            2 * gy * normal(x + s, 0, 0) * (x + s).std(0) / n,
            (2 * gy * ((x + s) - (x + s).mean(0)) / n).sum(0)), (a, 10 * b[0])),
    )[where]
    return Right(f"{title}: {name} {inputs[0].shape}", function, backward, inputs)


def of_ops(random, title):
    """The engine's own, composed, beside what the engine's tensors are."""
    n, m = (int(k) for k in random.integers(2, 7, 2))
    unary = [ops.tanh, ops.sigmoid, ops.relu, ops.softmax, ops.log_softmax, lambda x: ops.exp(x * 0.25),
             lambda x: x * x.sum(1, keepdims=True), lambda x: x - x.mean(0), lambda x: x / ((x * x).sum() + 1.0) ** 0.5,
             lambda x: x.max(1, keepdims=True) + x, lambda x: (x.T @ x) @ x.T, lambda x: ops.log(x * x + 1.0)]
    chosen = [int(k) for k in random.integers(len(unary), size=int(random.integers(1, 4)))]
    x, b = random.standard_normal((n, m)) * 10 ** random.uniform(-2, 1), random.standard_normal(m)
    labels = random.integers(0, m, n)

    def function(x, b):
        x = x + b
        for k in chosen:
            x = unary[k](x)
        return ops.cross_entropy(x, labels) if x.shape == (n, m) and chosen[0] % 2 else x

    return Right(f"{title}: ops {chosen} {x.shape}", function, None, (x, b))


def drawn(number):
    """The right function of this number, the same every time."""
    random = np.random.default_rng((number, 0x7269676874))
    kind = ("smooth", "smooth", "bias", "kinks", "special", "special", "ops", "bias", "kinks", "smooth")[number % 10]
    if number % 100 == 99:
        kind = "large"
    if kind == "special":
        return special(random, str(number))
    return of_ops(random, str(number)) if kind == "ops" else in_a_chain(random, str(number), kind)


def by_engine(function):
    """The backward of a function of tensors."""
    def backward(gy, *inputs):
        tensors = [Tensor(x, requires_grad=True) for x in inputs]
        function(*tensors).backward(gy)
        return tuple(x.grad.numpy() for x in tensors)

    return backward


def is_computed(right, number):
    """Whether a function's value and gradient are numbers, and it has not lost half of its digits to rounding."""
    y = np.asarray(right.function(*right.inputs))
    near = [x * (1 + 1e-13 * np.random.default_rng(number).standard_normal(x.shape)) for x in right.inputs]
    off = np.abs(np.asarray(right.function(*near)) - y).max()
    if right.backward:  # NumPy's functions know more digits, where the machine has them
        more = right.function(*(x.astype(np.longdouble) for x in right.inputs))
        off = max(off, float(np.abs(np.asarray(more) - y).max()))
    whole = off <= LOST * max(np.abs(y).max(), 1e-6 * max(np.abs(x).max() for x in right.inputs))
    found = (right.backward or by_engine(right.function))(np.ones(y.shape), *right.inputs)
    found = found if isinstance(found, tuple) else (found,)
    return whole and all(np.isfinite(array).all() for array in (y, *found))


def refused(numbers):
    """(right function, what gradcheck says against it) of those that it refuses."""
    for number in numbers:
        right = drawn(number)
        try:
            with np.errstate(all="ignore"):
                if is_computed(right, number):
                    gradcheck(right.function, *right.inputs, backward=right.backward, seed=number)
        except GradientError as error:
            yield right, error


if __name__ == "__main__":
    count, first = (int(text) for text in (*sys.argv[1:], *("2000", "0")[len(sys.argv) - 1 :]))
    start, alarms = time.perf_counter(), 0
    for right, error in refused(range(first, first + count)):
        alarms += 1
        print(f"{right}\n{error}\n")
    print(f"{alarms} false alarms in {count} right functions, {time.perf_counter() - start:.0f} s")
    sys.exit(bool(alarms))
