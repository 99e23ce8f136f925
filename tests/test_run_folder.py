"""A run's folder: one process at a time, and nothing unfinished stays."""

import errno
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from minicnn.training import run_folder
from minicnn.training.run_folder import Busy, Claim, is_fresh, new_run

HOLD = ("import sys; from minicnn.training.run_folder import Claim; Claim(sys.argv[1]).__enter__(); "
        "print(1, flush=True); input()")


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_second_process_is_refused_and_a_dead_one_blocks_nobody(tmp_path, end):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=-1, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(Busy, match="another process trains in this folder"), Claim(tmp_path):
            pass
        getattr(other, end)()
    with Claim(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_claim_ends_and_two_of_one_process_are_two(tmp_path):
    with Claim(tmp_path):
        with pytest.raises(Busy), Claim(tmp_path):
            pass
        with pytest.raises(Busy), Claim(str(tmp_path)):  # whoever was refused has not freed it
            pass
    with Claim(tmp_path), Claim(tmp_path.parent):
        pass


def test_who_waited_at_a_file_that_was_removed_claims_the_new_one(tmp_path, monkeypatch):
    claim, real = Claim(tmp_path), Claim._lock

    def slow(self):
        known = real(self)
        if not seen:
            seen.append(claim.path.unlink())  # the one before ends just now
        return known

    seen = []
    monkeypatch.setattr(Claim, "_lock", slow)
    with claim:
        assert len(seen) == 1
        with pytest.raises(Busy), Claim(tmp_path):
            pass


def test_a_disk_without_locks_ends_nothing(tmp_path, monkeypatch):
    def none(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / "log.jsonl").write_text("")
    (tmp_path / ".last.safetensors.1.part").write_text("")
    monkeypatch.setattr(run_folder.fcntl, "flock", none)
    with Claim(tmp_path), Claim(tmp_path):
        assert (tmp_path / ".last.safetensors.1.part").exists(), "it may be of a process that lives"


UNFINISHED = [".last.safetensors.17.part", ".best.safetensors.part", ".epoch-0001.safetensors.3.part", ".tmpXy12aB",
              "log.part", ".log.jsonl.part", ".config.json.part"]


def test_what_is_unfinished_is_cleared_away_and_nothing_else(tmp_path):
    others = ["last.safetensors", "x.part", ".hidden", ".tmp", "log.jsonl", ".tmplongest", "notes"]
    for name in UNFINISHED + others:
        (tmp_path / name).write_text("")
    (tmp_path / ".folder.part").mkdir()
    with Claim(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {*others, ".lock", ".folder.part"}
    (tmp_path / "log.jsonl").unlink()
    (tmp_path / ".tmpXy12aB").write_text("")
    with Claim(tmp_path):
        assert (tmp_path / ".tmpXy12aB").exists(), "this is no run's folder: somebody else's"


@pytest.mark.parametrize(("files", "fresh"), [
    ({}, True), ({"config.json": '{"recipe": "small"}', "log.jsonl": ""}, True),
    ({"config.json": '{"recipe": "small"}', **dict.fromkeys(UNFINISHED, "")}, True),
    ({".lock": "", ".tmpXy12aB": ""}, True), ({"split.json": ""}, False),
    ({"config.json": '{"recipe": "small"}', "log.jsonl": "", "split.json": "{}"}, True),
    ({"config.json": '{"recipe": "small"}', "last.safetensors": ""}, False), ({"config.json": "{}"}, False),
    ({"config.json": "no JSON"}, False), ({"log.jsonl": ""}, False), ({"notes": ""}, False), ({".hidden": ""}, False),
])  # fmt: skip
def test_only_what_ended_before_its_first_save_is_started_anew(tmp_path, files, fresh):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert is_fresh(tmp_path) == fresh
    with ExitStack() as claims:
        if fresh:
            assert new_run(tmp_path, claims) == tmp_path
            assert not (tmp_path / "log.jsonl").exists()
            assert not (tmp_path / "split.json").exists()
        else:
            with pytest.raises(ValueError, match=r"not empty: choose another --output, or go on .* by --resume"):
                new_run(tmp_path, claims)
            assert {path.name for path in tmp_path.iterdir()} == set(files)


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "2026-11-25-120000")
    with ExitStack() as claims:
        names = [new_run(None, claims).as_posix() for _ in range(3)]
    assert names == ["runs/2026-11-25-120000", "runs/2026-11-25-120000-2", "runs/2026-11-25-120000-3"]


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with ExitStack() as claims, pytest.raises(ValueError, match="is there already"):
        new_run(tmp_path / "file", claims)
    with ExitStack() as claims, pytest.raises(OSError):
        new_run(tmp_path / "file" / "run", claims)
