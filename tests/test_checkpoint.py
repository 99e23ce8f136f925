"""Checkpoints: whole or not at all, and never a traceback without a reason."""

import itertools
import json
import math
import os
import random
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

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


@pytest.mark.parametrize("damage, what", [
    (lambda data: data[:-20], "the file is damaged"), (lambda data: b"", "it is no checkpoint, or the file is damaged"),
    (lambda data: b"\xff" * 9 + data[9:], "it is no checkpoint, or the file is damaged"),
    (lambda data: b"no checkpoint at all", "it is no checkpoint, or the file is damaged"),
])  # fmt: skip
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, damage, what):
    path = tmp_path / "c"
    checkpoint.save(path, ARRAYS, FACTS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=f"c: {what}: "):
        checkpoint.load(path)


def test_a_missing_file_and_another_programs(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such file"):
        checkpoint.load(tmp_path / "none")
    save_file({"w": np.zeros(3)}, tmp_path / "other")
    with pytest.raises(CheckpointError, match="not a checkpoint of minicnn"):
        checkpoint.load(tmp_path / "other")


def test_a_save_that_fails_leaves_the_last_one(tmp_path, monkeypatch):
    path = tmp_path / "c"
    checkpoint.save(path, ARRAYS, FACTS)

    def full(arrays, path, texts):
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


KINDS = {
    "none": np.zeros((0, 3), np.float32), "number": np.array(1.5), "numpy number": np.float32(2), "list": [[1], [3]],
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "big-endian": np.arange(5, dtype=">f4"),
    "half": np.ones(3, np.float16), "bool": np.array([True, False, True]), "strides": np.arange(20)[::-3],
    "read-only": np.broadcast_to(np.float32(1), (3, 2)), "more than a page": np.arange(3000, dtype=np.int16),
    "not finite": np.array([np.nan, np.inf]), "": np.uint8([1]), 'ü "}': np.uint64([2**64 - 1]),
}  # fmt: skip


def test_arrays_of_every_kind_survive_and_another_program_reads_them(tmp_path):
    checkpoint.save(str(tmp_path / "c"), KINDS, {"}": '"checksum":"00000000"'})
    arrays, facts = checkpoint.load(str(tmp_path / "c"))
    assert facts == {"}": '"checksum":"00000000"'}
    for found in (arrays, load_file(tmp_path / "c")):
        assert found.keys() == KINDS.keys()
        for name, array in KINDS.items():
            assert found[name].dtype.str.strip("<=|") == np.asarray(array).dtype.str.strip("<>=|"), name
            np.testing.assert_array_equal(found[name], array, err_msg=name, strict=isinstance(array, list))
            assert found[name].shape == np.shape(array), name
    arrays["list"][0, 0] = 7  # what is loaded may be written to


def test_a_file_of_the_library_without_a_checksum_loads(tmp_path):
    save_file({name: np.ascontiguousarray(a) for name, a in ARRAYS.items()}, tmp_path / "c",
              {"minicnn": json.dumps(FACTS)})
    arrays, facts = checkpoint.load(tmp_path / "c")
    assert facts == FACTS
    assert all((arrays[name] == array).all() for name, array in ARRAYS.items())


def test_every_bit_that_flips_is_seen(tmp_path):
    """All bits of the first words, and others, alone and by two, drawn anew in every run of the tests."""
    checkpoint.save(tmp_path / "c", KINDS, FACTS)
    whole = (tmp_path / "c").read_bytes()
    drawn = random.sample(range(400, 8 * len(whole)), 300)
    for bits in [*((bit,) for bit in [*range(400), *drawn]), *itertools.pairwise(drawn)]:
        other = bytearray(whole)
        for bit in bits:
            other[bit // 8] ^= 1 << bit % 8
        (tmp_path / "d").write_bytes(other)
        with pytest.raises(CheckpointError):
            checkpoint.load(tmp_path / "d")
    pages = whole[-4096 * 3:]  # and two pieces that changed places
    (tmp_path / "d").write_bytes(whole[:-4096 * 3] + pages[4096:8192] + pages[:4096] + pages[8192:])
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path / "d")


@pytest.mark.parametrize("words", [(0, 1), (3, 511), (0, 512), (511, 512), (7, 4615), (0, 2**17), (2**18, 2**18 + 1)])
def test_numbers_that_change_places_are_seen(tmp_path, words):
    """In a page, between pages and between blocks of pages: all sums of one kind stay the same."""
    array = np.arange(512 * 600, dtype=np.uint64)
    checkpoint.save(tmp_path / "c", {"a": array}, FACTS)
    file = np.memmap(tmp_path / "c", np.uint64, "r+", offset=(tmp_path / "c").stat().st_size - array.nbytes)
    file[list(words)] = file[list(words[::-1])]
    file.flush()
    with pytest.raises(CheckpointError, match="damaged: its checksum is not that of what it holds"):
        checkpoint.load(tmp_path / "c")


@pytest.mark.parametrize(("written", "other"), [
    (b'"F64"', b'"I64"'), (b'"F64"', b'"C64"'), (b"[2,3]", b"[3,2]"), (b"[0,3]", b"[0,7]"), (b"half", b"hall"),
    (b"epoch", b"epocH"),
])  # fmt: skip
def test_what_the_header_says_of_arrays_is_under_the_checksum(tmp_path, written, other):
    checkpoint.save(tmp_path / "c", KINDS, FACTS)
    whole = (tmp_path / "c").read_bytes()
    assert written in whole
    (tmp_path / "c").write_bytes(whole.replace(written, other, 1))
    with pytest.raises(CheckpointError, match="damaged: its checksum is not that of what it holds"):
        checkpoint.load(tmp_path / "c")


@pytest.mark.parametrize("texts", [{"checksum": "0" * 32}, {"checksum": ""}, {"checksun": "0" * 32}, {"format": "pt"}])
def test_texts_that_are_not_ours_are_damage(tmp_path, texts):
    save_file({"w": np.ones(3)}, tmp_path / "c", {"minicnn": "{}"} | texts)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path / "c")


def test_a_save_takes_no_copy_in_memory(tmp_path):
    arrays = {name: np.ones(2**20) for name in "abcd"}  # of 8 MiB each
    tracemalloc.start()
    try:
        checkpoint.save(tmp_path / "c", arrays, FACTS)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("arrays", "facts", "reason"), [
    ({"w": np.array([1, "a", None], object)}, {}, "w is of object"),
    ({"w": [[1], [1, 2]]}, {}, "inhomogeneous"),
    ({"w": np.array(["a"])}, {}, "w is of <U1"),
    ({"w": np.array([1j])}, {}, "w is of complex128"),
    ({"w": np.ma.array([1, 2], mask=[0, 1])}, {}, "w is a masked array"),
    ({3: np.zeros(2)}, {}, "3 is no name for an array"),
    ({"__metadata__": np.zeros(2)}, {}, "no name for an array"),
    ({"\udcff": np.zeros(2)}, {}, "surrogates not allowed"),
    ({"a\x1f": np.zeros(2)}, {}, r"'a\\x1f' is no name for an array"),
    ({"w": np.complex64([1j])}, {}, "w is of complex64"),
    ([np.zeros(2)], {}, "no attribute 'items'"),
    (ARRAYS, {"best": math.nan}, "not JSON compliant"),
    (ARRAYS, {"rates": [1, math.inf]}, "not JSON compliant"),
    (ARRAYS, {"when": object()}, "not JSON serializable"),
    (ARRAYS, {("a", "b"): 1}, "keys must be"),
])  # fmt: skip
def test_what_cannot_be_saved_is_said_and_the_old_file_stays(tmp_path, arrays, facts, reason):
    path = tmp_path / "c"
    checkpoint.save(path, ARRAYS, FACTS)
    with pytest.raises(CheckpointError, match=f"cannot save .*c: .*{reason}.*still there"):
        checkpoint.save(path, arrays, facts)
    assert checkpoint.load(path)[1] == FACTS
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_places_that_cannot_be_written_or_read(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "c"):
        with pytest.raises(CheckpointError, match="cannot save"):
            checkpoint.save(path, ARRAYS, FACTS)
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such modes")
def test_others_may_read_it_where_the_umask_lets_them(tmp_path):
    before = os.umask(0o022)
    try:
        checkpoint.save(tmp_path / "c", ARRAYS, FACTS, also=[tmp_path / "best"])
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("c", "best")] == [0o644] * 2


def test_other_names_come_first_so_that_none_says_more_than_it_holds(tmp_path, monkeypatch):
    """A disk without links that is full when the second name is given: the checkpoint itself stays the old one too."""
    checkpoint.save(tmp_path / "last", ARRAYS, FACTS, also=[tmp_path / "best"])

    def full(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "link", full)
    monkeypatch.setattr(checkpoint.shutil, "copyfile", full)
    with pytest.raises(CheckpointError, match=r"best: No space left"):
        checkpoint.save(tmp_path / "last", ARRAYS, {}, also=[tmp_path / "best"])
    assert checkpoint.load(tmp_path / "last")[1] == checkpoint.load(tmp_path / "best")[1] == FACTS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "last"]


def test_it_goes_through_to_the_disk_from_a_file_open_for_writing(tmp_path, monkeypatch):
    """Windows knows no other way; here a file that is open for reading cannot be cut."""
    sizes = []

    def synced(number):
        sizes.append(os.fstat(number).st_size)
        os.ftruncate(number, sizes[-1])

    monkeypatch.setattr(checkpoint.os, "fsync", synced)
    checkpoint.save(tmp_path / "c", ARRAYS, FACTS)
    assert sizes == [(tmp_path / "c").stat().st_size]


def test_a_write_is_broken_off_without_a_trace(tmp_path, monkeypatch):
    def stop(number):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path / "c", ARRAYS, FACTS)
    assert list(tmp_path.iterdir()) == []
