"""Tables of text, and pictures of many tiles."""

import numpy as np
import pytest

from minicnn.layout import table, tiled


def test_columns_stand_below_each_other():
    rows = [["name", "n", "what"], ["a", "1,000", "x"], ["", "7", ""]]
    assert table(rows, right=(1,)) == ("name      n  what\n"
                                       "a     1,000  x\n"
                                       "          7")


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("count, across", [(1, 1), (4, 2), (5, 3), (3, 3)])
def test_every_tile_is_in_its_place(channels, count, across):
    tiles = np.random.default_rng(0).random((count, 4, 5, *channels))
    picture = tiled(tiles, across, between=-1.0)
    down = -(-count // across)
    assert picture.shape == (5 * down, 6 * across, *channels)
    for i, tile in enumerate(tiles):
        top, left = i // across * 5, i % across * 6
        np.testing.assert_array_equal(picture[top : top + 4, left : left + 5], tile)
        picture[top : top + 4, left : left + 5] = -1
    assert (picture == -1).all()
