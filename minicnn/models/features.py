"""What AlexNet makes of pictures before it names them, by which they can be compared (Krizhevsky et al. 2012, §6.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn.hooks import eval_mode, forward_hook
from .alexnet import AlexNet
from .variants import VARIANTS

__all__ = ["last_hidden", "nearest", "outputs_of"]


def last_hidden(net: AlexNet) -> str:
    """The row that fc8 sees, the last of its variant: fc7, of 4,096 numbers at full width."""
    return VARIANTS[net.variant].rows[-1].name


def outputs_of(net: AlexNet, images: Any, row: str) -> NDArray[np.float32]:
    """What a row gives for images (N, 3, pixels, pixels) as at test, the maps or units of the towers side by side:
    (N, units), or (N, maps, rows, columns)."""
    layers = [getattr(tower, row) for tower in net.towers()]
    parts: dict[int, np.ndarray] = {}

    def keep(module: Any, output: Tensor) -> None:
        parts.update({i: output.numpy() for i, layer in enumerate(layers) if layer is module})

    with no_grad(), eval_mode(net), forward_hook(keep):
        net(images)
    return np.concatenate([parts[i] for i in range(len(layers))], axis=1).astype(np.float32, copy=False)


def nearest(queries: np.ndarray, batches: Iterable[tuple[np.ndarray, np.ndarray]], count: int = 6
            ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each of ``queries`` (Q, D) the ``count`` nearest of the features in ``batches``, by their Euclidean distance
    √Σ (q − f)²: (their places, their distances), both (Q, count), the nearest first, of equal ones the first place.

    batches: (features (N, D), their places (N,)). No batch is kept, so there may be as many as ImageNet has. Where they
    are fewer than ``count`` in all, so are those that are found.
    Raises ValueError where there is none, and where a number is not finite.
    """
    places, distances = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0))
    for features, where in batches:
        far = [np.sqrt(np.square(features - query, dtype=np.float64).sum(axis=1)) for query in queries]
        places = np.concatenate([places, np.broadcast_to(where, (len(queries), len(features)))], axis=1)
        distances = np.concatenate([distances, np.reshape(far, (len(queries), len(features)))], axis=1)
        if not np.isfinite(distances).all():
            raise ValueError("nearest: not all features are finite numbers, so that there is no distance between them")
        order = np.lexsort((places, distances))[:, :count]
        places, distances = np.take_along_axis(places, order, 1), np.take_along_axis(distances, order, 1)
    if not places.shape[1]:
        raise ValueError("nearest: there is no feature to search")
    return places, distances
