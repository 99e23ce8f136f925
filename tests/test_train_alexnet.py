"""The training script as people run it: a process of its own, with a narrow network and a few pictures."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicnn import checkpoint
from minicnn.data import built_in_set

SCRIPT = Path(__file__).parent.parent / "examples" / "train_alexnet.py"
NARROW = ["--width", "0.05", "--batch-size", "4", "--workers", "0", "--recipe", "small"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Statistics of the pictures are kept in a folder of these tests."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("XDG_CACHE_HOME") if before is None else os.environ.update(XDG_CACHE_HOME=before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, cache):
    return built_in_set(tmp_path_factory.mktemp("pictures"), train=40, val=10)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, pictures):
    """A run of three epochs that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, finished(train(pictures, "--epochs", "3", "--seed", "7", "-o", folder, *NARROW))


def start(*arguments, **settings):
    """Standard output holds what the process says, on both of its channels."""
    return subprocess.Popen([sys.executable, SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **settings)


def train(*arguments, **settings):
    process = start(*arguments, **settings)
    said = process.communicate(timeout=120)[0]
    return process.returncode, said


def finished(result):
    code, said = result
    assert code == 0, said
    return said


def refused(result, code=1):
    """The one line in which the script said what was wrong, after what it says in any run."""
    assert result[0] == code, result
    assert "Traceback" not in result[1]
    complaints = [line for line in result[1].splitlines() if line.startswith("train_alexnet")]
    assert len(complaints) == 1, result[1]
    return complaints[0]


def weights(folder):
    arrays, _ = checkpoint.load(folder / "last.safetensors")
    return {name: array.tobytes() for name, array in arrays.items()}


def test_a_run_says_and_keeps_what_it_should(whole):
    folder, said = whole
    lines = said.splitlines()
    assert re.fullmatch(r"device: \S+:\d\S* \(.+\)", lines[0])
    assert "AlexNet (blueprint)" in lines[1]
    assert "seed 7" in said
    assert sum(line.startswith("epoch 3/3:") for line in lines) == 1
    assert lines[-1].startswith("top-1 ")
    assert lines[-1].endswith(str(folder))
    assert "\r" not in said
    names = {path.name for path in folder.iterdir()}
    assert names == {"best.safetensors", "last.safetensors", "epoch-0003.safetensors", "config.json", "log.jsonl",
                     "curves.png", "kernels.png", "predictions.png"}
    for picture in folder.glob("*.png"):
        with Image.open(picture) as image:
            assert min(image.size) >= 40
            assert np.asarray(image.convert("L")).std() > 1
    config = json.loads((folder / "config.json").read_text())
    assert config["seed"] == 7
    assert config["parameters"] > 1000
    assert config["recipe"] == "small"
    assert config["device"] == "auto", "resumed elsewhere, it chooses anew"
    assert config["devices"] == lines[0].split()[1]


def test_without_a_seed_one_is_drawn_and_printed(pictures, tmp_path):
    said = finished(train(pictures, "--epochs", "1", "-o", tmp_path / "a", *NARROW))
    seed = json.loads((tmp_path / "a" / "config.json").read_text())["seed"]
    assert f"seed {seed}" in said
    finished(train(pictures, "--epochs", "1", "-o", tmp_path / "b", "--seed", seed, *NARROW, "--workers", "1"))
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_two_epochs_and_one_are_three(whole, pictures, tmp_path):
    finished(train(pictures, "--epochs", "2", "--seed", "7", "-o", tmp_path / "run", *NARROW))
    said = finished(train("--resume", tmp_path / "run", "--epochs", "3"))
    assert "resumed after 20 steps, in epoch 3" in said
    assert weights(tmp_path / "run") == weights(whole[0])


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_at_a_random_moment_and_resumed_it_ends_the_same(which, whole, pictures, tmp_path):
    """The moment is drawn anew in every run of the tests: whichever it is, nothing is lost."""
    run = tmp_path / "run"
    process = start(pictures, "--epochs", "3", "--seed", "7", "-o", run, "--save-minutes", "0", *NARROW)
    log = run / "log.jsonl"
    steps = random.randint(1, 25)
    while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < steps):
        time.sleep(0.02)
    process.send_signal(which)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == (-9 if which == signal.SIGKILL else 130), said
    assert "Traceback" not in said
    if which != signal.SIGKILL:
        assert "everything is saved" in said
    finished(train("--resume", run))
    assert weights(run) == weights(whole[0])
    assert [path for path in run.iterdir() if path.name.endswith(".part")] == []
    steps = [line["step"] for line in map(json.loads, log.read_text().splitlines()) if "loss" in line]
    assert steps == list(range(1, 31))


def test_a_second_signal_ends_it_at_once_and_the_checkpoint_is_whole(whole, pictures, tmp_path):
    run = tmp_path / "run"
    process = start(pictures, "--epochs", "3", "--seed", "7", "-o", run, "--save-minutes", "0", *NARROW)
    while process.poll() is None and not (run / "last.safetensors").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    finished(train("--resume", run))
    assert weights(run) == weights(whole[0])


def test_evaluate_measures_and_writes_nothing(whole, pictures, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in whole[0].iterdir()}
    said = finished(train("--resume", whole[0], "--evaluate"))
    assert "top-1" in said.splitlines()[-1]
    assert {path: path.stat().st_mtime_ns for path in whole[0].iterdir()} == before


def test_an_explicit_rate_wins_over_the_saved_one(whole, tmp_path):
    run = shutil.copytree(whole[0], tmp_path / "run")
    finished(train("--resume", run, "--epochs", "4", "--lr", "0.000125"))
    assert json.loads((run / "log.jsonl").read_text().splitlines()[-1])["lr"] == 0.000125


def test_a_bad_picture_is_named_and_ends_nothing(pictures, tmp_path):
    data = shutil.copytree(pictures, tmp_path / "data")
    victim = min((data / "train" / "dots").iterdir())
    victim.write_bytes(victim.read_bytes()[:500])
    said = finished(train(data, "--epochs", "1", "-o", tmp_path / "run", *NARROW))
    assert f"skipped {victim}" in said
    assert "1 pictures could not be read" in said


def test_no_number_is_one_line_that_names_step_and_layer(pictures, tmp_path):
    line = refused(train(pictures, "--epochs", "1", "-o", tmp_path / "run", *NARROW, "--lr", "1e30"))
    assert "at step 2" in line
    assert "first output that is not finite is that of a.conv1.0" in line or "is that of a." in line
    assert "learning rate is 1e+30" in line


BAD_COMMAND_LINES = {
    ("--batch-size", "0"): "--batch-size: 0 is out of range: give at least 1",
    ("--lr", "fast"): "--lr: 'fast' is not a number",
    ("--epochs", "-1"): "give at least 1",
    ("--device", "gpu"): "there is no device 'gpu'",
    ("--device", "cuda:99"): "--device: cuda(99): ",
    ("--device", "auto,cpu:0"): "there is no device 'auto'",
    ("--device", "cpu:0,cpu:1,cpu:2"): "3 devices are too many",
    ("--variant", "lenet"): "invalid choice: 'lenet'",
    ("--evaluate",): "--evaluate measures a checkpoint",
}


@pytest.mark.parametrize(("arguments", "reason"), BAD_COMMAND_LINES.items(), ids=lambda x: " ".join(x))
def test_a_bad_command_line_is_one_line_and_status_2(arguments, reason):
    code, said = train(*arguments)
    assert code == 2
    assert reason in said
    assert said.count("\n") == 1


def test_a_device_that_is_no_longer_there_is_one_line(whole, tmp_path):
    arrays, facts = checkpoint.load(whole[0] / "last.safetensors")
    facts["config"]["device"] = "cuda:99"
    checkpoint.save(tmp_path / "last.safetensors", arrays, facts)
    assert "cuda(99): " in refused(train("--resume", tmp_path, "--epochs", "4"))
    assert "--graph is for one GPU, the towers are on cpu" in refused(
        train("--resume", tmp_path / "last.safetensors", "--evaluate", "--device", "cpu", "--graph"))
    assert "--half is for GPUs, the towers are on cpu" in refused(
        train("--resume", tmp_path / "last.safetensors", "--evaluate", "--device", "cpu", "--half"))
    assert "--tf32 is for GPUs" in finished(
        train("--resume", tmp_path / "last.safetensors", "--evaluate", "--device", "cpu", "--tf32"))


def test_help_shows_every_default():
    said = finished(train("--help"))
    assert said.count("default:") >= 14


def test_wrong_folders_are_said_in_one_line(pictures, tmp_path):
    assert "nowhere" in refused(train(tmp_path / "nowhere"))
    assert "train" in refused(train(tmp_path))
    lonely = shutil.copytree(pictures, tmp_path / "lonely")
    for name in [path.name for path in (lonely / "train").iterdir()][1:]:
        shutil.rmtree(lonely / "train" / name)
        shutil.rmtree(lonely / "val" / name)
    assert "two or more classes" in refused(train(lonely))
    empty = shutil.copytree(pictures, tmp_path / "empty")
    for path in (empty / "train" / "dots").iterdir():
        path.unlink()
    assert "dots" in refused(train(empty))


def test_what_cannot_be_resumed_is_said_in_one_line(whole, pictures, tmp_path):
    assert "there is no such file" in refused(train("--resume", tmp_path / "none.safetensors"))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((whole[0] / "last.safetensors").read_bytes()[:-1000])
    assert "damaged" in refused(train("--resume", damaged))
    assert "another model" in refused(train("--resume", whole[0], "--width", "0.06", "-o", tmp_path / "other"))
    classes = shutil.copytree(pictures, tmp_path / "classes")
    for part in ("train", "val"):
        (classes / part / "dots").rename(classes / part / "spots")
    assert "the checkpoint knows 10 classes" in refused(train(classes, "--resume", whole[0], "-o", tmp_path / "more"))


def test_another_run_is_never_overwritten(whole, pictures):
    before = weights(whole[0])
    assert "not empty" in refused(train(pictures, "-o", whole[0], *NARROW))
    assert weights(whole[0]) == before


def test_a_full_disk_is_said_in_one_line_and_the_last_checkpoint_stays(whole, tmp_path):
    """A limit on the size of files stands in for a full disk: the log still fits, the checkpoint does not."""
    run = shutil.copytree(whole[0], tmp_path / "run")
    before = weights(run)
    code = f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); " \
           f"sys.argv = ['train_alexnet.py', '--resume', {str(run)!r}, '--epochs', '4']; " \
           f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    line = refused((result.returncode, result.stdout + result.stderr))
    assert "cannot save" in line
    assert "still there" in line
    assert weights(run) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_said_in_one_line(pictures, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "Permission denied" in refused(train(pictures, "-o", locked / "run", *NARROW))


def test_a_file_in_the_way_is_said_in_one_line(pictures, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in refused(train(pictures, "-o", tmp_path / "file" / "run", *NARROW))
