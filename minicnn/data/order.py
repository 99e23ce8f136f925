"""In which order an epoch goes through its data, and what else is drawn for it: by seed, epoch and place alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["order_of", "seed_of"]


def order_of(count: int, train: bool, seed: int, epoch: int) -> NDArray[np.int64]:
    """The places 0 … count − 1: in training shuffled anew for every epoch, else as they are."""
    places = np.arange(count)
    return np.random.default_rng(seed_of(seed, epoch)).permutation(places) if train else places


def seed_of(seed: int, *key: int) -> np.random.SeedSequence:
    """The seed of one epoch, or of one place (epoch, place) in it."""
    return np.random.SeedSequence(seed, spawn_key=key)
