"""Wrong gradients that follow no formula: whatever name gradcheck gives to one of them is a false one.

``python tests/noise_named.py 1000`` draws so many, and prints each that gets a name; ``500 7000`` those from number
7,000 on. The functions are those of the bank's half that is looked at, and the pieces of right_functions.py.

Noise is laid on the right gradient, which is then taken from differences so that nobody can find it in the program of
backward, or on one that is wrong already. A gradient whose numbers have changed places is rightly
said to have them in the wrong places: that name alone is not counted there.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import mistakes_looked_at
import numpy as np
from right_functions import ENDS, chain, pieces

from minicnn import GradientError, gradcheck

__all__ = ["NOISE", "Wrong", "drawn", "named"]

FUNCTIONS = list({(m.function.__name__, m.input): m for m in mistakes_looked_at.MISTAKES}.values())
SAY_MORE = {"gy not used", "not finite", "shifted", "wrong mask", "zero where it should not be"}  # rightly, under noise
NOTHING = 1e-6  # a gradient as small has no noise
SEEN = 1e-2  # of the largest element: noise as small, as where the gradient is the same all over, is none
H = 1e-6


@dataclass(frozen=True)
class Wrong:
    title: str
    function: Callable[..., object] = field(repr=False)
    backward: Callable[..., object] = field(repr=False)
    inputs: tuple[np.ndarray, ...] = field(repr=False)
    true: str = ""  # words of a verdict that says nothing false


# -- noise: from a gradient, the mean of |gradient|, and the input, another gradient -----------------------------------


def smooth(random, shape):
    """A sum of a few waves."""
    places = np.stack(np.unravel_index(np.arange(int(np.prod(shape))), shape), 1) if shape else np.zeros((1, 0))
    waves = [np.sin(places @ random.uniform(-1, 1, len(shape)) + random.uniform(0, 7)) for _ in range(3)]
    return (random.standard_normal(3) @ np.array(waves)).reshape(shape)


def low_rank(random, shape):
    """A product of one random vector for each axis."""
    out = np.ones(shape)
    for axis, n in enumerate(shape):
        out = out * random.standard_normal(n).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return out


def some(random, shape, share):
    """1 in a share of the places, at least in one."""
    size = int(np.prod(shape))
    chosen = np.zeros(size)
    chosen[random.choice(size, max(1, int(share * size)), replace=False)] = 1
    return chosen.reshape(shape)


NOISE = {
    "white": lambda r, g, size, x: size * r.standard_normal(g.shape),
    "white, added": lambda r, g, size, x: g + size * 10 ** r.uniform(-2, 0) * r.standard_normal(g.shape),
    "relative": lambda r, g, size, x: g * (1 + 10 ** r.uniform(-2, 0) * r.standard_normal(g.shape)),
    "smooth": lambda r, g, size, x: size * smooth(r, g.shape),
    "smooth, added": lambda r, g, size, x: g + size * 0.3 * smooth(r, g.shape),
    "smooth, relative": lambda r, g, size, x: g * (1 + 0.3 * smooth(r, g.shape)),
    "low rank": lambda r, g, size, x: size * low_rank(r, g.shape),
    "low rank, added": lambda r, g, size, x: g + size * 0.3 * low_rank(r, g.shape),
    "sparse": lambda r, g, size, x: g + size * some(r, g.shape, r.uniform(0.05, 0.5)) * r.standard_normal(g.shape),
    "sparse, relative": lambda r, g, size, x: g * (1 + some(r, g.shape, r.random()) * r.standard_normal(g.shape)),
    "one element": lambda r, g, size, x: g + size * some(r, g.shape, 0) * r.uniform(-1, 1),
    "some signs": lambda r, g, size, x: g * r.uniform(0.5, 1, g.shape) * r.choice([-1, 1], g.shape),
    "places changed": lambda r, g, size, x: r.permutation(g.ravel()).reshape(g.shape),
    "places, weighed": lambda r, g, size, x: r.permuted(g.ravel()).reshape(g.shape) * r.uniform(1, 3, g.shape),
    "of another function": lambda r, g, size, x: g * np.tanh(r.uniform(0.3, 3) * x + r.uniform(-1, 1)),
    "of another, added": lambda r, g, size, x: g + size * np.sin(r.uniform(0.3, 3) * x + r.uniform(-1, 1)),
}  # fmt: skip


# -- functions ---------------------------------------------------------------------------------------------------------


def of_bank(random):
    mistake = FUNCTIONS[int(random.integers(len(FUNCTIONS)))]
    return mistake.title, mistake.function, mistake.backward, mistake.inputs, mistake.input, mistake.names


def of_pieces(random):
    n, m = (int(k) for k in random.integers(3, 7, 2))
    values, _ = pieces(random, n, m)
    names = [str(name) for name in random.choice([*values], int(random.integers(1, 3)))]
    end = str(random.choice([*ENDS]))
    parts = [*(values[name] for name in names), ENDS[end]]
    function, backward = chain(parts)
    return f"{', '.join(names)} {end}", function, backward, (random.standard_normal((n, m)),), 0, set()


def by_differences(function, inputs, i):
    """(size of y, size of input i), ∂y/∂x."""
    x, columns = inputs[i], []
    for j in range(x.size):
        sides = []
        for h in (H, -H):
            moved = x.copy()
            moved.flat[j] += h
            sides.append(np.asarray(function(*inputs[:i], moved, *inputs[i + 1 :]), float).ravel())
        columns.append((sides[0] - sides[1]) / (2 * H))
    return np.array(columns).T


def drawn(number):
    """The wrong gradient of this number, the same every time."""
    random = np.random.default_rng((number, 0x6E6F697365))
    title, function, back, inputs, i, names = (of_bank if number % 2 else of_pieces)(random)
    kind = [*NOISE][number // 2 % len(NOISE)]
    alone = kind in ("sparse", "sparse, relative", "one element", "places changed")
    already = number % 4 == 1 and not alone and not names & SAY_MORE
    right, x = by_differences(function, inputs, i), inputs[i]
    if np.abs(right).max() < NOTHING:
        return drawn(number + 1_000_000)

    def plain(array):
        return np.array([float(v) for v in np.ravel(array)]).reshape(np.shape(array))

    def backward(gy, *inputs):
        found = back(gy, *inputs)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        g = found[i] if already else (plain(gy).ravel() @ right).reshape(x.shape)
        found[i] = NOISE[kind](np.random.default_rng(number), g, float(np.abs(plain(g)).mean()), x)
        return found

    u = random.standard_normal(np.shape(function(*inputs)))
    g = (u.ravel() @ right).reshape(x.shape)
    if np.abs(np.asarray(backward(u, *inputs)[i]) - g).max() < SEEN * np.abs(g).max():
        return drawn(number + 1_000_000)
    true = "wrong places" if kind == "places changed" else ""
    return Wrong(f"{number}: {title}: {kind}{', wrong already' * already}", function, backward, inputs, true)


def named(numbers):
    """(wrong gradient, verdicts) of those that get a name; with None those that are not seen to be wrong."""
    for number in numbers:
        wrong = drawn(number)
        try:
            with np.errstate(all="ignore"):
                gradcheck(wrong.function, *wrong.inputs, backward=wrong.backward, seed=number)
            yield wrong, None
        except GradientError as error:
            false = [v for v in error.verdicts if not (wrong.true and wrong.true in v.text)]
            if false:
                yield wrong, false


if __name__ == "__main__":
    count, first = (int(text) for text in (*sys.argv[1:], *("1000", "0")[len(sys.argv) - 1 :]))
    start, false, passed = time.process_time(), 0, 0
    for wrong, verdicts in named(range(first, first + count)):
        false, passed = false + bool(verdicts), passed + (verdicts is None)
        said = "".join(f"\n    {v.name}: {v.text}" for v in verdicts) if verdicts else "\n    not seen to be wrong"
        print(f"{wrong.title}{said}", flush=True)
    print(f"{false} false names on {count} wrong gradients that follow no formula, {false / count:.1%}; "
          f"{passed} passed; {time.process_time() - start:.0f} s")  # fmt: skip
    sys.exit(false > 0.01 * count)
