"""What several processes take of the same pictures: together all of them, each once, and the same numbers as one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import make_folder
from threads_as_ranks import together

from minicnn.data import ImageFolder, Loader, Statistics
from minicnn.data.share import ALL, Share


@given(size=st.integers(1, 7), more=st.integers(0, 9), count=st.integers(0, 40))
def test_every_image_is_in_one_part_of_one_rank(size, more, count):
    shares = [Share.of(rank, size, size + more) for rank in range(size)]
    cuts = [cut for share in shares for cut in share.cuts(count)]
    assert [i for cut in cuts for i in range(cut.start, cut.stop)] == list(range(count))
    sizes = [cut.stop - cut.start for cut in cuts]
    assert max(sizes) - min(sizes) <= 1
    assert sizes[0] == max(sizes)
    assert sum(map(len, shares)) == len(cuts) == size + more
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert ALL.cuts(count) == [slice(0, count)]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_folder(tmp_path / "set", 9)
    (tmp_path / "set" / "dog" / "3.png").write_bytes(b"no picture")
    return tmp_path / "set"


@pytest.mark.parametrize("train, block, crops", [(True, 0, 1), (True, 2, 1), (False, 0, 10)])
def test_a_loader_gives_the_parts_of_every_batch(root, train, block, crops):
    folder = ImageFolder(root)
    statistics = Statistics.of(folder)
    given = {"train": train, "seed": 3, "block": block, "crops": crops}
    whole = list(Loader(folder, statistics, 7, **given).epoch(2, 7))
    shown, parts, read_ahead = [], [], []
    for rank in range(2):
        loader = Loader(folder, statistics, 7, share=Share.of(rank, 2, 3), **given)
        folder.will_need = lambda places, all_read=read_ahead: all_read.extend(places.tolist())
        found = [(images, labels, loader.shown) for images, labels in loader.epoch(2, 7)]
        assert len(found) == 2 * len(loader.share)
        parts.append([found[i : i + len(loader.share)] for i in range(0, len(found), len(loader.share))])
    for number, (images, labels) in enumerate(whole):
        every = [part for rank in parts for part in rank[number]]
        np.testing.assert_array_equal(np.concatenate([part[0] for part in every]), images)
        np.testing.assert_array_equal(np.concatenate([part[1] for part in every]), labels)
        shown += [place for part in every for place in part[2]]
    assert len(shown) == len(set(shown)) == sum(len(labels) for _, labels in whole)
    if block:
        assert len(read_ahead) == 11, "of each place once, by whoever takes it"
        assert set(shown) <= set(read_ahead)


def test_statistics_are_those_of_one_process(root, tmp_path, monkeypatch):
    right = Statistics.of(ImageFolder(root))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))

    def measured(ranks):
        done = []
        found = Statistics.of(ImageFolder(root), share=ranks.share(), gather=ranks.gather,
                              progress=lambda *given: done.append(given))
        return found, done[-1] if done else None

    for ours, progress in together(3, measured):
        assert all((array == right.arrays()[name]).all() for name, array in ours.arrays().items())
        assert ours.bad == right.bad != {}
        assert progress == (6, 6)
    cached = next((tmp_path / "other").glob("*/statistics-*"))
    monkeypatch.setattr("minicnn.data.statistics._load", only_once(cached, right))
    for ours, progress in together(3, measured):
        assert ours is right, "one of them has it from before: so all have"
        assert progress is None


def only_once(path, statistics):
    asked = []

    def load(given, folder):
        asked.append(given)
        if len(asked) > 1:
            raise FileNotFoundError(given)
        return statistics

    return load
