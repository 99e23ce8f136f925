"""Files that are whole or not there, whatever ends the one who writes them."""

import argparse
import errno
from pathlib import Path

import pytest

from minicnn.command_line import new_file
from minicnn.files import remove, try_to_write, written_aside
from minicnn.training.run_folder import UNFINISHED


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_gets_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "log.jsonl"
    for text in ("first", "second"):
        with written_aside(path) as aside:
            aside.write_text(text)
            assert not path.exists() or path.read_text() == "first"
            assert aside.parent == tmp_path
        assert path.read_text() == text
    assert names(tmp_path) == ["log.jsonl"]


def test_a_folder_too_but_in_the_place_of_no_other(tmp_path):
    with written_aside(tmp_path / "set") as aside:
        (aside / "train").mkdir(parents=True)
    with pytest.raises(OSError), written_aside(tmp_path / "set") as aside:
        (aside / "val").mkdir(parents=True)
    assert names(tmp_path) == ["set"]
    assert names(tmp_path / "set") == ["train"]


@pytest.mark.parametrize("make", [Path.touch, lambda aside: (aside / "x").mkdir(parents=True), str],
                         ids=["a file", "a folder", "nothing"])  # fmt: skip
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")], ids=repr)
def test_what_is_not_finished_leaves_the_one_before_and_nothing_else(tmp_path, make, error):
    (tmp_path / "kept").write_text("before")
    with pytest.raises(type(error)), written_aside(tmp_path / "kept") as aside:
        make(aside)
        raise error
    assert names(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_text() == "before"


def test_two_who_write_the_same_do_not_meet_and_a_run_knows_what_they_leave(tmp_path):
    with written_aside(tmp_path / "a") as one, written_aside(tmp_path / "a") as two:
        assert one != two
        for aside in (one, two):
            aside.write_text(aside.name)
            assert UNFINISHED.fullmatch(aside.name)


def test_whether_a_file_can_be_written_is_known_before_and_nothing_is_left(tmp_path):
    (tmp_path / "kept").write_text("before")
    for name in ("kept", "new"):
        try_to_write(tmp_path / name)
        assert new_file(str(tmp_path / name)) == tmp_path / name
    for name in ("none/new", "kept/new", "x" * 250):
        with pytest.raises(OSError):
            try_to_write(tmp_path / name)
    assert names(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_text() == "before"


@pytest.mark.parametrize("name, words", [
    ("kept/new", "there is no folder"), (".", "it is a folder"), ("x" * 250, "File name too long"),
    ("x" * 300, "File name too long"),
])  # fmt: skip
def test_where_no_new_file_can_be_is_one_line(name, words, tmp_path):
    (tmp_path / "kept").touch()
    with pytest.raises(argparse.ArgumentTypeError, match=f"^cannot write .*{name[:9]}.*: .*{words}"):
        new_file(str(tmp_path / name))


def test_what_cannot_be_removed_stays_without_a_word(tmp_path, monkeypatch):
    def refuse(*given, **named):
        raise PermissionError(errno.EACCES, "Permission denied")

    remove(tmp_path / "none")
    (tmp_path / "file").touch()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        remove(tmp_path / "file")
    remove(tmp_path / "file")
    assert names(tmp_path) == []
