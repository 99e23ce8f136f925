"""The order of an epoch: every place once, by seed and epoch alone, in blocks of neighbours where that is asked."""

import numpy as np
import pytest
from archives import tar_of_tars
from hypothesis import given
from hypothesis import strategies as st
from pictures import make_folder

from minicnn.data import ImageFolder, Loader, Statistics
from minicnn.data.order import WINDOW, order_of, order_of_blocks
from minicnn.data.sources import image_set


@given(st.integers(0, 3000), st.integers(1, 50), st.integers(0, 9), st.integers(0, 9))
def test_every_place_once(count, block, seed, epoch):
    lying = np.random.default_rng(0).permutation(count)
    order = order_of_blocks(lying, block, seed, epoch)
    assert sorted(order.tolist()) == list(range(count))
    np.testing.assert_array_equal(order, order_of_blocks(lying, block, seed, epoch))


def test_neighbours_stay_together_and_blocks_do_not():
    count, block = 40_000, 20
    lying = np.random.default_rng(0).permutation(count)
    at = np.argsort(lying)  # where each place lies
    first, second = (order_of_blocks(lying, block, 1, epoch) for epoch in (0, 1))
    blocks = []
    for begin in range(0, count, WINDOW * block):
        lies = np.sort(at[first[begin : begin + WINDOW * block]])
        runs = np.split(lies, np.flatnonzero(np.diff(lies) > 1) + 1)
        assert len(runs) <= WINDOW + 2, "a window is of so few pieces of the disk"
        assert lies[-1] - lies[0] > count / 2, "and these come from everywhere"
        blocks += [run[0] % block for run in runs if len(run) == block]
    assert len(set(blocks)) == 1
    steps = np.abs(np.diff(at[first]))
    assert np.mean(steps < block) < 0.1, "inside of a window they are mixed"
    assert np.mean(first == second) < 0.01
    assert np.any(np.sort(at[first[: WINDOW * block]]) % block != np.sort(at[second[: WINDOW * block]]) % block)
    assert not np.array_equal(first, order_of_blocks(lying, block, 2, 0))


def test_one_block_is_no_block():
    lying = np.arange(500)
    assert np.mean(np.diff(order_of_blocks(lying, 500, 0, 0)) == 1) < 0.05
    assert np.mean(np.abs(np.diff(order_of(500, True, 0, 0))) == 1) < 0.05


@pytest.fixture
def found(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return image_set(tar_of_tars(make_folder(tmp_path / "folder", 30).root, tmp_path))


def statistics():
    return Statistics(np.zeros((3, 256, 256), np.float32), np.ones(3, np.float32), np.eye(3, dtype=np.float32), {})


def test_a_loader_goes_by_blocks_from_wherever_it_begins(found, tmp_path):
    loader = Loader(found, statistics(), 7, train=True, seed=3, block=5)
    labels = np.concatenate([y for _, y in loader.epoch(2)])
    order = order_of_blocks(found.lying(), 5, 3, 2)
    np.testing.assert_array_equal(labels, found.labels[order])
    np.testing.assert_array_equal(np.concatenate([y for _, y in loader.epoch(2, start=14)]), labels[14:])
    unshuffled = Loader(found, statistics(), 60, train=False, block=5)
    np.testing.assert_array_equal(next(unshuffled.epoch(0))[1], found.labels)
    folder = Loader(ImageFolder(tmp_path / "folder"), statistics(), 60, train=True, seed=3, block=5)
    np.testing.assert_array_equal(next(folder.epoch(2))[1], labels)


def test_the_system_is_told_what_comes_a_window_before_it(found, monkeypatch):
    """With windows of 2 blocks of 10 places, and batches of 15: by the time of a batch it knows of its window and the
    next."""
    monkeypatch.setattr("minicnn.data.loader.WINDOW", 2)
    monkeypatch.setattr("minicnn.data.order.WINDOW", 2)
    asked = []
    monkeypatch.setattr(type(found), "will_need", lambda self, places: asked.extend(places.tolist()))
    loader = Loader(found, statistics(), 15, train=True, block=10)
    order = order_of_blocks(found.lying(), 10, 0, 0).tolist()
    known = []
    for number, _ in enumerate(loader.epoch(0)):
        known.append(len(asked))
        assert asked == order[: len(asked)]
        assert len(asked) >= min(15 * number + 20, 60)
    assert known == [40, 40, 60, 60]
    asked.clear()
    next(loader.epoch(0, start=30))
    assert asked == order[30:60]


@pytest.mark.skipif(not hasattr(__import__("os"), "posix_fadvise"), reason="this system cannot be told")
def test_what_comes_is_told_by_place_and_in_order(found, monkeypatch):
    told = []
    monkeypatch.setattr("os.posix_fadvise", lambda file, start, size, advice: told.append((start, size)))
    places = np.array([40, 3, 17])
    found.will_need(places)
    members = sorted((member.start, member.size) for member, _ in (found.samples[i] for i in places))
    assert told == members
