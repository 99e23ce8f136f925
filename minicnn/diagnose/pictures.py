"""What pictures say of their labels, and whether they say anything at all: measured without any network."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.kernels.cores import one_thread

__all__ = ["Labels", "Pixels", "Probe", "answers", "features", "labels_of", "pixels_of", "probe"]

Floats = NDArray[np.float64]
SHUFFLES = 40  # of the labels, to see what a probe finds where there is nothing to find
RIDGE = 3.0  # of a probe, per picture and feature of deviation 1
ENOUGH = 16  # pictures of a class; of fewer a probe learns too little of what photographs have
IN_A_ROW = 8  # batches of one picture are joined, to see whether they are in order
AT_ONCE = 32  # pictures
PLACES = 5000  # of a picture, spread over it, of which its deviations are measured
SIDES = (64, 32, 16, 8)  # of a picture, at which its edges are counted


@dataclass
class Pixels:
    """Of the numbers of a batch (N, ...): the least, the greatest, mean and deviation over all. apart: what tells
    pictures apart, √ of the variance over the pictures averaged over all places; common: √ of their mean picture's
    mean square. different: how many of the ``count`` pictures are. conflicts: how many have a twin of another label."""

    least: float
    greatest: float
    mean: float
    deviation: float
    apart: float
    common: float
    count: int
    different: int
    conflicts: int


@dataclass
class Labels:
    """counts: of each class; known: of the whole set, not of these batches. knows: the entropy of these in nats, which
    a network pays that knows them and no picture. batches: how many labels a batch holds on average, and how many it
    would in random order; joined: of so many batches together, as one alone has one picture; surprise: of that, in
    standard deviations of χ²."""

    counts: NDArray[np.int64]
    known: bool
    knows: float
    batches: tuple[float, float]
    joined: int
    surprise: float


@dataclass
class Probe:
    """A linear classifier on colours and edges, asked about each picture that it was not shown: how many of ``count``
    it had right; by_chance, spread: the mean of that and its deviation over shuffled labels. classes: how many."""

    right: int
    count: int
    by_chance: float
    spread: float
    classes: int

    @property
    def surprise(self) -> float:
        """How far that is from chance, in deviations."""
        return (self.right - self.by_chance) / max(self.spread, 0.5)

    def could_tell(self, share: float = 0.2) -> bool:
        """Whether there were enough pictures to see an accuracy that is no more than this share of the way from chance
        to 1; weak features of real photographs are further."""
        return share * (self.count - self.by_chance) > 4 * max(self.spread, 1.0)


def pixels_of(x: Any, labels: NDArray[np.int64]) -> Pixels:
    """Of pictures (N, ...) and their labels."""
    x = np.asarray(x)
    sums = [hashlib.blake2b(np.ascontiguousarray(one).tobytes(), digest_size=8).digest() for one in x]
    own: dict[bytes, set[int]] = {}
    for digest, label in zip(sums, labels.tolist(), strict=True):
        own.setdefault(digest, set()).add(label)
    flat = x.reshape(len(x), -1)
    some = flat[:, :: max(1, flat.shape[1] // PLACES)].astype(np.float64)
    return Pixels(float(x.min()), float(x.max()), float(some.mean()), float(some.std()),
                  float(np.sqrt(some.var(0).mean())), float(np.sqrt((some.mean(0) ** 2).mean())), len(x), len(own),
                  sum(len(own[digest]) > 1 for digest in sums))


def labels_of(batches: Sequence[NDArray[np.int64]], classes: int, counts: NDArray[np.int64] | None = None) -> Labels:
    """Of the labels in the order in which they come, batch by batch. counts: of the whole set, where it is known."""
    every = np.concatenate(list(batches))
    known = counts is not None
    seen = np.bincount(every, minlength=classes)
    counts = seen if counts is None else counts
    shares = counts / counts.sum()
    knows = float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
    met = counts + seen > 0
    there = np.where(counts > 0, shares, seen / len(every))[met]
    joined = IN_A_ROW if len(every) == len(batches) else 1
    if joined > 1:
        batches = [every[i : i + joined] for i in range(0, len(every), joined)]
    held, expected, chi, freedom = [], [], 0.0, 0
    for own in batches:
        if len(own) > 1 and len(batches) > 1 and len(there) > 1:
            n = np.bincount(own, minlength=classes)
            held.append((n > 0).sum())
            expected.append((1 - (1 - there) ** len(own)).sum())
            chi += float(((n[met] - len(own) * there) ** 2 / (len(own) * there)).sum())
            freedom += len(there) - 1
    freedom -= (len(there) - 1) * bool(freedom and not known)  # the shares were measured on the same batches
    surprise = (chi - freedom) / math.sqrt(2 * freedom) if freedom > 0 else 0.0
    return Labels(counts, known, knows, (float(np.mean(held)), float(np.mean(expected))) if held else (0.0, 0.0),
                  joined, surprise)


# -- a linear classifier -----------------------------------------------------------------------------------------------


def features(x: Any) -> Floats:
    """Of pictures (N, C, H, W), or rows (N, D): (N, F). Of a picture the colours, their spread, a coarse picture of 4
    × 4; and at several sizes how strong its edges are and how they are spread over the directions, the moduli of the
    first Fourier coefficients of that, which stay when the picture is turned."""
    if np.ndim(x) != 4 or min(np.shape(x)[2:]) < 8:
        return np.reshape(x, (len(x), -1)).astype(np.float64)
    return np.concatenate([_features(x[first : first + AT_ONCE]) for first in range(0, len(x), AT_ONCE)])


def _features(x: Any) -> Floats:
    x = np.asarray(x, np.float32)
    x = shrunk(x, SIDES[0]) if min(x.shape[2:]) > SIDES[0] else x
    parts = [shrunk(x, 4).reshape(len(x), -1), x.mean((2, 3)), x.std((2, 3))]
    grey = x.mean(1, keepdims=True)
    for side in SIDES:
        if side <= min(x.shape[2:]):
            small = shrunk(grey, side)[:, 0]
            down, right = np.diff(small, axis=1)[:, :, :-1], np.diff(small, axis=2)[:, :-1]
            strength, turns = np.hypot(down, right), np.arctan2(down, right)
            total = strength.sum((1, 2)) + 1e-12
            parts.append(np.log(total / side**2 + 1e-6)[:, None])
            parts += [np.abs((strength * np.exp(1j * order * turns)).sum((1, 2)) / total)[:, None]
                      for order in (2, 4, 6, 8)]
            parts.append((strength.std((1, 2)) / (strength.mean((1, 2)) + 1e-12))[:, None])
    return np.concatenate(parts, axis=1).astype(np.float64)


def shrunk(x: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Means over blocks: (N, C, side, side); what is left over at the edges is left out."""
    h, w = (n // side for n in x.shape[2:])
    means: NDArray[np.float32] = x[:, :, : h * side, : w * side].reshape(*x.shape[:2], side, h, side, w).mean((3, 5))
    return means


def probe(seen: Floats, labels: NDArray[np.int64]) -> Probe | None:
    """Ridge regression on one-hot labels, by features and by how near pictures are to each other; each picture is
    judged by what is learned of all others, which has a closed form: with H = K (K + λ)⁻¹, ŷ₋ᵢ = (ŷᵢ − Hᵢᵢ yᵢ) /
    (1 − Hᵢᵢ). Of classes of which there are enough pictures; None where nothing can be told apart: fewer than two
    such classes, or pictures that are all alike."""
    enough = np.bincount(labels)[labels] >= ENOUGH
    seen, labels = seen[enough], labels[enough]
    names, places = np.unique(labels, return_inverse=True)
    if len(names) < 2 or not np.isfinite(seen).all() or not seen.std(0).any():
        return None
    with one_thread:  # for matrices as small as these others only wait for each other
        inner = _kernel(seen, seen)
        hat = inner @ np.linalg.inv(inner + RIDGE * np.eye(len(seen)))
    hat += (1 - hat.sum(1, keepdims=True)) / len(seen)  # of labels less their mean, which is added again
    own = np.diag(hat)[:, None]

    random = np.random.default_rng(0)
    tried = np.stack([places, *(random.permutation(places) for _ in range(SHUFFLES))], axis=1)
    y = np.eye(len(names))[tried]  # (pictures, labels in this order or that, classes)
    y_hat = (hat @ y.reshape(len(y), -1)).reshape(y.shape)
    left_out = (y_hat - own[:, :, None] * y) / (1 - own[:, :, None])
    right, *by_chance = (left_out.argmax(2) == tried).sum(0).tolist()
    return Probe(right, len(labels), float(np.mean(by_chance)), float(np.std(by_chance)), len(names))


def answers(seen: Floats, labels: NDArray[np.int64], others: Floats) -> NDArray[np.int64]:
    """What such a classifier, of all these pictures and labels, says of others."""
    y = np.eye(int(labels.max()) + 1)[labels]
    weights = np.linalg.solve(_kernel(seen, seen) + RIDGE * np.eye(len(seen)), y - y.mean(0))
    said: NDArray[np.int64] = (y.mean(0) + _kernel(others, seen) @ weights).argmax(1)
    return said


def _kernel(a: Floats, b: Floats) -> Floats:
    """How alike pictures of a and of b are, (len(a), len(b)), features taken in units of their deviation in b."""
    a, b = ((x - b.mean(0)) / (b.std(0) + 1e-9 * np.abs(b).max(0) + 1e-30) for x in (a, b))
    inner: Floats = a @ b.T / b.shape[1]
    far = (a * a).mean(1)[:, None] + (b * b).mean(1) - 2 * inner
    inner += np.exp(-far / 2)  # the mean of far is 2
    return inner
