"""In which order an epoch goes through its data, and what else is drawn for it: by seed, epoch and place alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["WINDOW", "order_of", "order_of_blocks", "seed_of"]

WINDOW = 64  # blocks that are mixed with each other


def order_of(count: int, train: bool, seed: int, epoch: int) -> NDArray[np.int64]:
    """The places 0 … count − 1: in training shuffled anew for every epoch, else as they are."""
    places = np.arange(count)
    return np.random.default_rng(seed_of(seed, epoch)).permutation(places) if train else places


def order_of_blocks(lying: NDArray[np.int64], block: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """An order of training for disks that hate to seek, where places lie as in ``lying``: neighbours stay together in
    blocks, which come in random order; places are mixed with those of the same ``WINDOW`` blocks alone. Blocks begin
    elsewhere in every epoch."""
    random = np.random.default_rng(seed_of(seed, epoch))
    begins = np.arange(random.integers(block), len(lying), block)
    blocks = np.split(lying, begins)
    order = np.concatenate([blocks[i] for i in random.permutation(len(blocks))])
    for first in range(0, len(order), WINDOW * block):
        random.shuffle(order[first : first + WINDOW * block])
    return order


def seed_of(seed: int, *key: int) -> np.random.SeedSequence:
    """The seed of one epoch, or of one place (epoch, place) in it."""
    return np.random.SeedSequence(seed, spawn_key=key)
