"""How tables of text and pictures of many tiles are laid out."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

__all__ = ["table", "tiled"]


def table(rows: Sequence[Sequence[str]], right: Container[int]) -> str:
    """The rows as lines whose columns stand below each other, two blanks apart. right: the columns that stand on the
    right, as numbers do."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) if i in right else cell.ljust(width)
                               for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                     for row in rows)


def tiled(tiles: np.ndarray, across: int, between: float) -> np.ndarray:
    """Tiles (N, H, W) or (N, H, W, channels) as one picture, ``across`` of them in a row; one pixel of the value
    ``between`` to the right of each and below it, and in the places for which there is no tile."""
    channels = tiles.shape[3:]
    room = ((0, -len(tiles) % across), (0, 1), (0, 1), *((0, 0) for _ in channels))
    tiles = np.pad(tiles, room, constant_values=between)
    _, height, width = tiles.shape[:3]
    rows = tiles.reshape(-1, across, height, width, *channels).swapaxes(1, 2)
    return rows.reshape(-1, across * width, *channels)
