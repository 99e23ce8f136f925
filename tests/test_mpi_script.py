"""examples/train_alexnet.py under mpiexec."""

import json
import os
import re
import signal
import time
from pathlib import Path

import mpi
import numpy as np
import pytest
from mpi import needs_mpi
from pictures import make_folder

from minicnn import checkpoint

pytestmark = needs_mpi
SCRIPT = Path(__file__).parents[1] / "examples" / "train_alexnet.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    make_folder(root / "train", 7)
    make_folder(root / "val", 3)
    return root


def command(data, run, *more):
    return [SCRIPT, data, "--width", "0.02", "--epochs", "3", "--seed", "1", "-b", "4", "-j", "0", "-o", run, *more]


def learned(run):
    arrays, facts = checkpoint.load(run / "last.safetensors")
    return {name: a for name, a in arrays.items() if name.startswith(("model.", "velocity."))}, facts


def steps(run):
    log = run / "log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def stopped(process, run, after):
    """Ctrl-C once the log has so many lines."""
    begun = time.monotonic()
    while len(steps(run)) < after:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() - begun < 60
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    status, text, _ = mpi.ended(process)
    assert status == 130, text
    return text


def test_it_goes_on_with_another_number_of_ranks_at_the_same_picture(data, tmp_path):
    mpi.run(1, *command(data, tmp_path / "whole", "--exact"))
    run = tmp_path / "run"
    text = stopped(mpi.started(2, *command(data, run, "--exact", "--save-minutes", "0")), run, 2)
    assert text.count("settings: ") == 1, "rank 0 alone speaks"
    assert 0 < learned(run)[1]["progress"]["step"] < 12
    stopped(mpi.started(3, SCRIPT, "--resume", run, "-j", "0"), run, 7)
    text = mpi.run(1, SCRIPT, "--resume", run, "-j", "0")
    assert "resumed after" in text
    (ours, facts), (right, others) = learned(run), learned(tmp_path / "whole")
    assert facts["progress"]["step"] == others["progress"]["step"] == 12
    assert all((ours[name] == a).all() for name, a in right.items())
    for mine, theirs in zip(steps(run), steps(tmp_path / "whole"), strict=True):
        assert {k: v for k, v in mine.items() if k in ("step", "top1", "val_top1")} == {
            k: v for k, v in theirs.items() if k in ("step", "top1", "val_top1")}
        assert mine.get("loss", 0) == pytest.approx(theirs.get("loss", 0), rel=1e-9)


def test_bad_pictures_and_a_ragged_batch_are_counted_as_by_one(data, tmp_path):
    """And the tables of the classes are those of all pictures."""
    make_folder(tmp_path / "data" / "train", 5)
    make_folder(tmp_path / "data" / "val", 4)
    for bad in sorted((tmp_path / "data").glob("*/*/*"))[::6]:
        bad.write_bytes(b"no picture")
    outputs = [mpi.run(ranks, *command(tmp_path / "data", tmp_path / str(ranks), "--epochs", "1", "--lr", "0"))
               for ranks in (1, 3)]
    one, three = (steps(tmp_path / name) for name in "13")
    assert [line.get("val_top1") for line in one] == [line.get("val_top1") for line in three]
    for mine, theirs in zip(three, one, strict=True):
        for name in ("loss", "val_loss", "train_loss"):
            assert mine.get(name, 0) == pytest.approx(theirs.get(name, 0), rel=1e-5)
    for name in ("wrong.csv", "classes.csv"):
        ours, right = ((tmp_path / ranks / name).read_text() for ranks in "31")
        assert len(ours.splitlines()) == len(right.splitlines())
    skipped = [sorted(re.findall(r"skipped .*?: ", text)) for text in outputs]
    assert skipped[0] == skipped[1] != []
    arrays = [learned(tmp_path / name)[0] for name in "13"]
    for name, a in arrays[0].items():
        np.testing.assert_allclose(arrays[1][name], a, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_checkpoint_is_evaluated_by_all(data, tmp_path):
    mpi.run(2, *command(data, tmp_path / "run", "--epochs", "1"))
    found = [mpi.run(ranks, SCRIPT, "--resume", tmp_path / "run", "--evaluate", "--crops", "10", "-j", "0", "-o",
                     tmp_path / str(ranks)).splitlines()[-1] for ranks in (1, 3)]
    assert found[0] == found[1]
    assert "of ten views each" in found[0]
    assert (tmp_path / "1" / "classes.csv").read_text() == (tmp_path / "3" / "classes.csv").read_text()


@pytest.mark.parametrize("other, said", [
    (["--lr", "0.5"], r"rank 1 on \S+ has --lr 0.5, rank 0 on \S+ has 0.002: let all ranks have the same"),
    (["--lr", "much"], r"rank 1 on \S+: train_alexnet.py: argument --lr: 'much' is not a number; --help shows all"),
])  # fmt: skip
def test_ranks_of_other_options_say_so_before_the_first_step(data, tmp_path, other, said):
    mine = list(map(str, command(data, tmp_path / "run")))
    process = mpi.started(1, *mine, ":", "-n", "1", mpi.sys.executable, *mine, *other)
    status, text, _ = mpi.ended(process)
    assert status, text
    assert re.search(said, text), text
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_ranks_that_see_other_pictures_say_so_before_the_first_step(data, tmp_path):
    for name in "ab":
        os.makedirs(tmp_path / name)
        for part in ("train", "val"):
            make_folder(tmp_path / name / "data" / part, 3 if name == "a" else 4)
    mine = [SCRIPT, "data", "--width", "0.02", "-j", "0", "--seed", "1", "--epochs", "1"]
    process = mpi.started(1, *mine, "-o", tmp_path / "run", ":", "-n", "1", "-wdir", tmp_path / "b", mpi.sys.executable,
                          *map(str, mine), cwd=tmp_path / "a")
    status, text, _ = mpi.ended(process)
    assert status == 1, text
    assert re.search(r"rank 1 on \S+ has (--data|training pictures) ", text), text
