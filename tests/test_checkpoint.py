"""Checkpoints: whole or not at all, and never a traceback without a reason."""

import numpy as np
import pytest

from minicnn import checkpoint
from minicnn.checkpoint import CheckpointError

ARRAYS = {"w": np.arange(6.0).reshape(2, 3), "n": np.array([1, 2**62], np.int64), "t": np.arange(6.0).reshape(2, 3).T}
FACTS = {"epoch": 3, "best": 0.1 + 0.2, "names": ["a", "ü b"]}


def test_round_trip(tmp_path):
    checkpoint.save(tmp_path / "c", ARRAYS, FACTS)
    arrays, facts = checkpoint.load(tmp_path / "c")
    assert facts == FACTS
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"", lambda data: b"\xff" * 9 + data[9:],
                                    lambda data: b"no checkpoint at all"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, damage):
    path = tmp_path / "c"
    checkpoint.save(path, ARRAYS, FACTS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"c: the file is damaged"):
        checkpoint.load(path)


def test_a_missing_file_and_another_programs(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such file"):
        checkpoint.load(tmp_path / "none")
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(3)}, tmp_path / "other")
    with pytest.raises(CheckpointError, match="not a checkpoint of minicnn"):
        checkpoint.load(tmp_path / "other")


def test_a_save_that_fails_leaves_the_last_one(tmp_path, monkeypatch):
    path = tmp_path / "c"
    checkpoint.save(path, ARRAYS, FACTS)

    def full(arrays, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(CheckpointError, match=r"cannot save .*No space left.*still there"):
        checkpoint.save(path, ARRAYS, {})
    assert checkpoint.load(path)[1] == FACTS
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_second_name(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "c", ARRAYS, FACTS)
    checkpoint.keep(tmp_path / "c", tmp_path / "linked")

    def no_links(*names):
        raise OSError("no hard links here")

    monkeypatch.setattr(checkpoint.os, "link", no_links)
    checkpoint.keep(tmp_path / "c", tmp_path / "copied")
    checkpoint.save(tmp_path / "c", ARRAYS, {})
    assert checkpoint.load(tmp_path / "linked")[1] == checkpoint.load(tmp_path / "copied")[1] == FACTS
    with pytest.raises(CheckpointError, match="cannot save"):
        checkpoint.keep(tmp_path / "none", tmp_path / "d")
