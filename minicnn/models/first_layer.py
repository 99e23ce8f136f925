"""What the kernels of a first layer look like, in numbers: colour, direction, coarse or fine; and whether two towers
have come to look for different things, as in Figure 3 of Krizhevsky et al. 2012."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOSTLY", "SMOOTH_NOISE", "Looks", "apart", "in_words", "looks"]

MOSTLY = 0.5  # from here on a kernel is called coloured, or oriented
SMOOTH_NOISE = (2 / 11) ** 2 / (1 / 2) ** 2  # discs in the plane of frequencies: |f| ≤ 2/11 of |f| ≤ 1/2
DIVISIONS = 10_000  # divisions that are drawn for ``apart``


class Looks(NamedTuple):
    """Of each kernel; see ``looks``."""

    colour: NDArray[np.float64]
    oriented: NDArray[np.float64]
    angle: NDArray[np.float64]
    frequency: NDArray[np.float64]
    smooth: NDArray[np.float64]


def looks(kernels: np.ndarray) -> Looks:
    """Of kernels w (K, 3, R, S), red, green and blue, five numbers each, (K,):

    colour: Σ (w − g)² / Σ w², where g is the mean of the three channels: the share of the energy in what departs from
        grey, 0 to 1; of white noise 2/3.
    oriented: |Σ P e^(2iθ)| / Σ P, over the waves of all directions θ, P their energy: 1 for a grating, 0 for what has
        no direction (1 − the circular variance of Ringach, Shapley & Hawken 2002, "Orientation selectivity in macaque
        V1", with energies for responses).
    angle: in degrees, 0 to 180, the direction in which edges and stripes run, anticlockwise from the horizontal, half
        the argument of that sum turned by 90°; it means something where ``oriented`` is high.
    frequency: of the strongest wave, in cycles a pixel; 0 for a blob.
    smooth: the share of the energy in waves of at most two cycles across the kernel; of noise 0.13.

    P(f) = Σ |Fourier transform|² over the channels, of the kernel with zeros around it, as a filter is: what it answers
    to a wave of f cycles a pixel, |f| ≤ ½. All are 0 for a kernel of zeros.
    """
    w = np.asarray(kernels, np.float64)
    w = w / np.maximum(abs(w).max((1, 2, 3), keepdims=True), 1e-300)
    energy = np.maximum((w**2).sum(axis=(1, 2, 3)), 1e-300)
    grey = w.mean(axis=1, keepdims=True)
    side = 8 * max(w.shape[2:])
    down, across = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    f = np.hypot(down, across)
    seen = f <= 0.5 + 1e-9
    power = (np.abs(np.fft.fft2(w, (side, side))) ** 2).sum(axis=1)[:, seen]
    total = np.maximum(power.sum(axis=1), 1e-300)
    f, θ = f[seen], np.arctan2(-down[seen], across[seen])  # rows are counted downwards
    turned = (power * np.exp(2j * θ)).sum(axis=1) / total
    return Looks(colour=((w - grey) ** 2).sum(axis=(1, 2, 3)) / energy,
                 oriented=np.abs(turned),
                 angle=(np.degrees(np.angle(turned)) / 2 + 90) % 180,
                 frequency=f[power.argmax(axis=1)],
                 smooth=power[:, f <= 2 / max(w.shape[2:]) + 1e-9].sum(axis=1) / total)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """How often towers that are divided at random differ as much in their means as these do, (n,) and (m,): the share
    of 10,000 random divisions of all n + m, as p = (1 + those that do) / (1 + divisions), which is never 0 (Phipson &
    Smyth 2010, "Permutation p-values should never be zero"). Small where the towers have specialised; it takes each
    kernel to be learned by itself."""
    both, random = np.concatenate([a, b]), np.random.default_rng(0)
    found = abs(np.mean(a) - np.mean(b))
    drawn = random.permuted(np.tile(both, (DIVISIONS, 1)), axis=1)
    differences = np.abs(drawn[:, : len(a)].mean(axis=1) - drawn[:, len(a) :].mean(axis=1))
    return float((1 + (differences >= found - 1e-12).sum()) / (1 + DIVISIONS))


def in_words(towers: Sequence[np.ndarray]) -> list[str]:
    """Lines on the kernels of each tower, and on whether two towers differ."""
    every = [looks(kernels) for kernels in towers]
    smooth = np.mean([one.smooth.mean() for one in every])
    if smooth < 2 * SMOOTH_NOISE:
        return [f"conv1: {smooth:.0%} of the kernels' energy is smooth, of noise {SMOOTH_NOISE:.0%}: they look like "
                "the noise that they were drawn as"]
    lines = []
    for name, one in zip("ab", every, strict=False):
        coloured, oriented = ((share > MOSTLY).sum() for share in (one.colour, one.oriented))
        whose = f", tower {name}" * (len(towers) > 1)
        lines.append(f"conv1{whose}: of {len(one.colour)} kernels {coloured} are mostly colour, {oriented} oriented; "
                     f"{one.smooth.mean():.0%} of their energy is smooth, of noise {SMOOTH_NOISE:.0%}")
    if len(every) == 2:
        a, b = every
        lines.append(f"conv1: towers divided at random differ as much in colour in {apart(a.colour, b.colour):.2%} of "
                     f"draws, in orientation in {apart(a.oriented, b.oriented):.2%}")
    return lines
