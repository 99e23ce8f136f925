"""The training script as people run it: a process of its own, with a narrow network and a few pictures."""

import csv
import importlib.util
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicnn import checkpoint
from minicnn.data import BadPicture, built_in_set
from minicnn.kernels import blas
from minicnn.training.log import Log
from minicnn.training.pictures import first_pictures
from minicnn.training.run_folder import Claim

SCRIPT = Path(__file__).parent.parent / "examples" / "train_alexnet.py"
OF_CLASSES = {"wrong.csv", "classes.csv", "confusions.png"}
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
    return built_in_set(tmp_path_factory.mktemp("pictures"), train=20, val=10)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, pictures):
    """A run of three epochs that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, finished(train(pictures, "--epochs", "3", "--seed", "7", "--keep", "2", "-o", folder, *NARROW))


def start(*arguments, **settings):
    """Standard output holds what the process says, on both of its channels."""
    return subprocess.Popen([sys.executable, SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **settings)


def train(*arguments, **settings):
    process = start(*arguments, **settings)
    said = process.communicate(timeout=120)[0]
    return process.returncode, said


def loaded():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("train_alexnet", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def inside(*arguments, draws=False):
    """As ``train``, in this process, and without drawing what was learned unless asked to: quicker."""
    script = loaded()
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        if not draws:
            patch.setattr("minicnn.training.finishing.show_what_it_learned", lambda *of: None)
        with pytest.raises(SystemExit) as end:
            script.main()
    return end.value.code, said.getvalue()


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
    assert names == {"best.safetensors", "last.safetensors", "epoch-0002.safetensors", "epoch-0003.safetensors",
                     "config.json", "log.jsonl", "curves.png", "kernels.png", "predictions.png", "neighbours.png",
                     *OF_CLASSES}
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
    assert config["blas"] == blas.in_use()


def test_without_a_seed_one_is_drawn_and_printed(pictures, tmp_path):
    said = finished(inside(pictures, "--epochs", "1", "-o", tmp_path / "a", *NARROW))
    seed = json.loads((tmp_path / "a" / "config.json").read_text())["seed"]
    assert f"seed {seed}" in said
    finished(inside(pictures, "--epochs", "1", "-o", tmp_path / "b", "--seed", seed, *NARROW, "--workers", "1"))
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_two_epochs_and_one_are_three(whole, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(whole[0] / "epoch-0002.safetensors", tmp_path / "run" / "last.safetensors")
    said = finished(inside("--resume", tmp_path / "run", "--epochs", "3"))
    assert "resumed after 10 steps, in epoch 3" in said
    assert weights(tmp_path / "run") == weights(whole[0])


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_stopped_at_a_random_moment_and_resumed_it_ends_the_same(which, whole, pictures, tmp_path):
    """The moment is drawn anew in every run of the tests: whichever it is, nothing is lost."""
    run = tmp_path / "run"
    asked = [pictures, "--epochs", "3", "--seed", "7", "-o", run, "--save-minutes", "0", *NARROW]
    process = start(*asked)
    log = run / "log.jsonl"
    steps = random.randint(1, 13)
    while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < steps):
        time.sleep(0.02)
    process.send_signal(which)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == (-9 if which == signal.SIGKILL else 130), said
    assert "Traceback" not in said
    if which != signal.SIGKILL:
        assert "everything is saved" in said
    elif not (run / "last.safetensors").exists():  # the first step was done, and not yet saved
        assert f"start it anew by --output {run}" in refused(inside("--resume", run))
        finished(inside(*asked))
    if not (run / "epoch-0003.safetensors").exists():
        finished(inside("--resume", run))
    assert weights(run) == weights(whole[0])
    assert [path for path in run.iterdir() if path.name.startswith(".")] == []
    steps = [line["step"] for line in map(json.loads, log.read_text().splitlines()) if "loss" in line]
    assert steps == list(range(1, 16))


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
    finished(inside("--resume", run))
    assert weights(run) == weights(whole[0])


def kept(folder):
    """What must stay in a folder that is only measured: names, and when they were changed."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name not in OF_CLASSES}


def rows(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_evaluate_measures_and_says_which_pictures_are_wrong(whole, pictures, tmp_path):
    before = kept(whole[0])
    said = finished(inside("--resume", whole[0], "--evaluate"))
    assert kept(whole[0]) == before
    *_, head, = [line for line in said.splitlines() if line.startswith("class ")]
    assert head.split() == ["class", "pictures", "right", "taken", "for"]
    found = re.fullmatch(r"top-1 ([\d.]+)% \(([\d.]+) to ([\d.]+)\), top-5 .*, loss .*", said.splitlines()[-1])
    top1, low, high = map(float, found.groups())
    assert low < top1 < high, "of ten pictures a share is not known well"
    assert high - low > 30
    wrong = rows(whole[0] / "wrong.csv")
    assert len(wrong) == round(10 * (1 - top1 / 100))
    for row in wrong:
        assert Path(row["picture"]).parent == pictures / "val" / row["class"]
        assert Path(row["picture"]).exists()
        assert row["said"] != row["class"]
    sure = [float(row["probability"]) for row in wrong]
    assert sure == sorted(sure, reverse=True)
    never = {row["class"] for row in rows(whole[0] / "classes.csv") if row["right"] == "0"}
    assert never == {row["class"] for row in wrong}, "one picture a class"
    assert f"NEVER RIGHT: {len(never)} of 10 classes: " in said
    other = tmp_path / "a" / "b"
    finished(inside("--resume", whole[0] / "last.safetensors", "--evaluate", "-o", other))
    assert {path.name for path in other.iterdir()} == OF_CLASSES
    assert rows(whole[0] / "wrong.csv") == wrong


def test_what_is_shown_and_named_at_the_end_of_a_run_is_its_best(whole, tmp_path):
    folder, said = whole
    measured = finished(inside("--resume", folder / "best.safetensors", "--evaluate", "-o", tmp_path))
    assert said[said.index("\nclass "):said.index("\nbest epoch")] in measured
    assert rows(tmp_path / "wrong.csv") == rows(folder / "wrong.csv")
    ends = [line for line in map(json.loads, (folder / "log.jsonl").read_text().splitlines()) if "val_loss" in line]
    best = max(ends, key=lambda line: (line["val_top1"], -line["val_loss"]))
    others = "" if best is ends[-1] else ", the best of 3"
    assert said.splitlines()[-1].startswith(f"top-1 {best['val_top1']:.1%}, top-5 {best['val_top5']:.1%} after epoch "
                                            f"{best['epoch']}{others}, ")


def test_a_checkpoint_outside_of_a_run_leaves_nothing_beside_it(whole, tmp_path):
    shutil.copy(whole[0] / "last.safetensors", tmp_path / "mine.safetensors")
    assert "NEVER RIGHT" in finished(inside("--resume", tmp_path / "mine.safetensors", "--evaluate"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_an_explicit_rate_wins_over_the_saved_one(whole, tmp_path):
    run = shutil.copytree(whole[0], tmp_path / "run")
    finished(inside("--resume", run, "--epochs", "4", "--lr", "0.000125"))
    rates = [line["lr"] for line in map(json.loads, (run / "log.jsonl").read_text().splitlines()) if "loss" in line]
    assert rates[-5:] == pytest.approx([0.000125] * 5)


def test_a_bad_picture_is_named_and_ends_nothing(pictures, tmp_path):
    data = shutil.copytree(pictures, tmp_path / "data")
    victim = min((data / "train" / "dots").iterdir())
    named = victim.rename(victim.with_name("a\nb\x1b[2J.jpg"))
    named.write_bytes(named.read_bytes()[:500])
    said = finished(inside(data, "--epochs", "1", "-o", tmp_path / "r\run", *NARROW, draws=True))
    assert f"skipped {victim.parent}/a\\nb\\x1b[2J.jpg: " in said
    assert said.endswith("r\\run\n"), "names command no terminal"
    assert not {"\x1b", "\r"} & set(said)
    assert "1 pictures could not be read" in said


def test_no_number_is_one_line_that_names_step_and_layer(pictures, tmp_path):
    line = refused(inside(pictures, "--epochs", "1", "-o", tmp_path / "run", *NARROW, "--lr", "1e30"))
    assert "at step 2" in line
    assert "first output that is not finite is that of a.conv1.0" in line or "is that of a." in line
    assert "learning rate is 1e+30" in line


def test_one_batch_that_ruins_the_weights_is_no_success(pictures, tmp_path):
    """Its own loss is still a number: only validation sees what became of the weights."""
    run = tmp_path / "run"
    narrow = [*NARROW, "--batch-size", "64", "--epochs", "1"]
    line = refused(inside(pictures, "-o", run, *narrow, "--lr", "1e30"))
    assert "the validation loss is nan after step 1" in line
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "log.jsonl"]
    for text in (run / "log.jsonl").read_text().splitlines():
        json.loads(text, parse_constant=pytest.fail)
    assert "start it anew by --output" in refused(inside("--resume", run))
    said = finished(inside(pictures, "-o", run, *narrow))  # as it says
    assert len([line for line in Log(run / "log.jsonl").read() if "lr" in line]) == 2, "a step and an epoch"
    best = checkpoint.load(run / "best.safetensors")[1]["progress"]["best"]
    assert f"best epoch: 1, top-1 {best:.1%}, kept in {run / 'best.safetensors'}\n" in said


def stopped(*arguments, after=3, **settings):
    """A run that is ended by a signal after some steps, and what it said."""
    run = Path(arguments[arguments.index("-o") + 1])
    process = start(*arguments, **settings)
    while process.poll() is None and len(Log(run / "log.jsonl").read()) < after:
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "everything is saved" in said
    return said


def test_an_epoch_goes_on_with_other_batches_and_says_what_changed(pictures, tmp_path):
    """Stopped in mid-epoch, it goes on in another folder, in larger batches, with every picture that was left."""
    run, moved = tmp_path / "run", tmp_path / "moved"
    stopped(pictures, "--epochs", "2", "--seed", "7", "-o", run, *NARROW)
    done = checkpoint.load(run / "last.safetensors")[1]["progress"]
    shutil.copytree(pictures, moved)
    said = finished(inside(moved, "--resume", run, "-b", "16", "--epochs", done["epoch"] + 1))
    assert "changed" not in said and " on these pictures" not in said
    assert "--batch-size was 4 and is 16\n" in said
    assert f"resumed after {done['step']} steps, in epoch {done['epoch'] + 1} of {done['epoch'] + 1}" in said
    after = checkpoint.load(run / "last.safetensors")[1]["progress"]
    assert after["step"] == done["step"] + -(-(20 - done["place"]) // 16)
    victim = min((moved / "train" / "dots").iterdir())
    victim.rename(victim.with_name("new.png"))
    (moved / "val" / "dots" / "more.png").write_bytes(b"none")
    said = finished(inside(moved, "--resume", run, "--epochs", done["epoch"] + 2))
    assert "the training pictures changed since the checkpoint: 1 new, 1 gone\n" in said
    assert "the validation pictures changed since the checkpoint: 1 new\nthe best until here, of epoch " in said
    assert "this epoch starts anew" not in said, "it has not begun"


def test_where_pictures_changed_in_mid_epoch_it_starts_anew(pictures, tmp_path):
    data = shutil.copytree(pictures, tmp_path / "data")
    run = tmp_path / "run"
    stopped(data, "--epochs", "1", "--seed", "7", "-o", run, *NARROW, "-b", "2", after=2)
    step = checkpoint.load(run / "last.safetensors")[1]["progress"]["step"]
    assert 0 < step < 10
    min((data / "train" / "dots").iterdir()).unlink()
    said = finished(inside("--resume", run))
    assert "the training pictures changed since the checkpoint: 1 gone\nthis epoch starts anew\n" in said
    assert checkpoint.load(run / "last.safetensors")[1]["progress"]["step"] == step + 10


def test_what_belongs_to_the_weights_is_not_overruled(whole, pictures, tmp_path):
    before = kept(whole[0])
    for options, words in {("--variant", "paper"): "of variant blueprint", ("--recipe", "paper"): "of recipe small",
                           ("--width", "0.06"): "of width 0.05"}.items():
        for more in (["--evaluate"], ["--epochs", "4"]):
            line = refused(inside("--resume", whole[0], *options, *more))
            assert f"{options[0]} {options[1]} would be another model: the checkpoint is {words}" in line
    said = finished(inside("--resume", whole[0], "--epochs", "2", "--width", "0.05"))
    assert "There is nothing to do: epochs are counted in all, 3 are done, and 2 were asked for" in said
    assert "There is nothing to do" in finished(inside("--resume", whole[0]))
    only = tmp_path / "only"
    shutil.copytree(pictures / "val", only / "val")
    assert "top-1" in finished(inside(only, "--resume", whole[0], "--evaluate", "--recipe", "small")).splitlines()[-1]
    assert kept(whole[0]) == before


def test_weights_that_are_no_numbers_have_no_scores(whole, tmp_path):
    arrays, facts = checkpoint.load(whole[0] / "best.safetensors")
    arrays["model.fc8.bias"][:] = np.nan
    checkpoint.save(tmp_path / "best.safetensors", arrays, facts)
    assert "the loss over the validation pictures is nan" in refused(inside("--resume", tmp_path, "--evaluate"))


def test_what_another_program_or_version_saved_is_said_in_one_line(whole, tmp_path):
    arrays, facts = checkpoint.load(whole[0] / "last.safetensors")

    def changed(name, **how):
        return facts | {name: facts[name] | how}

    for other, words in (
            *(({k: v for k, v in facts.items() if k != lacking}, f"holds no run of this program: it lacks {lacking}")
              for lacking in ("progress", "config", "classes", "schedule")),
            (facts | {"progress": 3}, "it lacks progress"),
            (facts | {"progress": {}}, "it lacks progress.epoch"),
            (facts | {"config": {"variant": "blueprint"}}, "it lacks config.seed, config.data, config.width"),
            (changed("config", recipe="huge"), "knows no recipe 'huge': the checkpoint is of version"),
            (changed("config", variant="lenet"), "knows no variant 'lenet'"),
            (changed("progress", of_tomorrow=1), "are not those that this version saves: TypeError"),
            (changed("progress", scores={"seen": 1, "of_tomorrow": 1}), "not those that this version saves: TypeError"),
            (facts | {"schedule": {"rate": 1}}, "not those that this version saves: KeyError('lr')")):
        checkpoint.save(tmp_path / "last.safetensors", arrays, other)
        assert words in refused(inside("--resume", tmp_path, "--epochs", "4"))


def test_a_run_goes_on_on_another_machine(whole, pictures, tmp_path, monkeypatch):
    """Its set is drawn anew there, there is no GPU, the best stayed behind, and in the end no picture can be read."""
    arrays, facts = checkpoint.load(whole[0] / "last.safetensors")
    facts["config"] |= {"data": None, "graph": True, "half": True}
    run, drawn = tmp_path / "run", tmp_path / "drawn"
    run.mkdir()
    checkpoint.save(run / "last.safetensors", arrays, facts)
    mine = [run / f"epoch-{name}.safetensors" for name in ("0001-good", "mine", "0009")]
    for path in mine:
        shutil.copy(run / "last.safetensors", path)

    def gone(path):
        raise BadPicture(path, "gone")

    shutil.copytree(pictures, drawn, copy_function=shutil.copyfile)
    monkeypatch.setattr("minicnn.data.built_in_set", lambda **settings: drawn)
    monkeypatch.setattr("minicnn.training.pictures.read_picture", gone)
    said = finished(inside("--resume", run, "--epochs", "4", "--device", "cpu", draws=True))
    assert "changed" not in said
    assert "--graph, which the run had, is for one GPU, the towers are on cpu: it goes on without\n" in said
    assert "--half, which the run had, is for GPUs, the towers are on cpu: it goes on without\n" in said
    best = facts["progress"]["best"]
    assert f"the best until here, {best:.1%} after epoch {facts['progress']['best_epoch']}, is not in {run}: " in said
    assert {path.name for path in run.glob("epoch-*")} == {"epoch-0004.safetensors", *(path.name for path in mine)}
    assert (run / "kernels.png").exists()
    assert not any((run / f"{name}.png").exists() for name in ("predictions", "neighbours"))


def test_a_checkpoint_alone_is_no_run(whole, tmp_path):
    """Beside it are files of others, which a run would replace."""
    for name in ("mine.safetensors", "best.safetensors"):
        shutil.copy(whole[0] / "last.safetensors", tmp_path / name)
        assert "is in no folder of a run: say by --output" in refused(inside("--resume", tmp_path / name))
    assert {path.name for path in tmp_path.iterdir()} == {"mine.safetensors", "best.safetensors"}


def test_classes_are_the_same_in_every_form_of_unicode(whole, pictures, tmp_path):
    shutil.copytree(pictures / "val", tmp_path / "val")
    (tmp_path / "val" / "dots").rename(tmp_path / "val" / "d\u00f3ts")
    arrays, facts = checkpoint.load(whole[0] / "last.safetensors")
    facts["classes"] = [name.replace("dots", "do\u0301ts") for name in facts["classes"]]  # as older versions kept it
    checkpoint.save(tmp_path / "old.safetensors", arrays, facts)
    assert "top-1" in finished(inside(tmp_path, "--resume", tmp_path / "old.safetensors", "--evaluate"))


def test_what_fails_after_training_says_that_training_is_saved(pictures, tmp_path, monkeypatch):
    def gone(*arguments):
        raise OSError(5, "Input/output error", "a.png")

    monkeypatch.setattr("minicnn.training.showing.predictions_of", gone)
    line = refused(inside(pictures, "--epochs", "1", "-o", tmp_path / "run", *NARROW, "-b", "64", draws=True))
    assert line == "train_alexnet: a.png: Input/output error; what was learned is saved"


def test_no_picture_of_a_run_can_make_it_fail(pictures, tmp_path, monkeypatch):
    """The disk is full, matplotlib has a bug, it is not there."""
    def full(*arguments):
        raise OSError(28, "No space left on device")

    run = tmp_path / "run"
    monkeypatch.setattr("minicnn.plots.draw_curves", full)
    monkeypatch.setattr("minicnn.plots.draw_kernels", lambda *given: {}["a key"])
    monkeypatch.setitem(sys.modules, "minicnn.plots_of_classes", None)
    said = finished(inside(pictures, "--epochs", "2", "-o", run, *NARROW, "-b", "64", draws=True))
    assert said.count("curves.png is not made: No space left on device") == 1, "in two epochs"
    assert "kernels.png is not made: 'a key'" in said
    assert "confusions.png is not made: import of minicnn.plots_of_classes halted" in said
    assert {path.name for path in run.iterdir()} == {
        "best.safetensors", "last.safetensors", "epoch-0002.safetensors", "config.json", "log.jsonl", "wrong.csv",
        "classes.csv"}


def test_curves_are_there_after_an_epoch_and_on_ctrl_c(pictures, tmp_path):
    run = tmp_path / "run"
    process = start(pictures, "--epochs", "90", "-o", run, *NARROW)
    while process.poll() is None and not (run / "curves.png").exists():
        time.sleep(0.02)
    with Image.open(run / "curves.png") as image:
        image.load()
    before = (run / "curves.png").stat().st_mtime_ns
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert (run / "curves.png").stat().st_mtime_ns > before
    assert re.search(r"^best epoch: \d+, top-1 [\d.]+%, kept in .*best.safetensors$", said, re.M)
    names = {path.name for path in run.iterdir() if not path.name.startswith("epoch-")}
    assert names == {"best.safetensors", "last.safetensors", "config.json", "log.jsonl", "curves.png"}


def test_an_error_without_a_name_is_not_blamed_on_the_output(monkeypatch):
    def none_left(**settings):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("minicnn.data.built_in_set", none_left)
    assert refused(inside()) == "train_alexnet: the system: Resource temporarily unavailable"


def test_it_starts_from_pictures_that_can_be_read():
    class Batches:
        def epoch(self, number):
            for count in (0, 0, 0, 20, 0, 20, 20):
                yield np.ones((count, 3)), np.zeros(count, int)

    assert first_pictures(Batches(), loaded().ENOUGH).shape == (40, 3)


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGHUP])
def test_stopped_before_the_first_step_it_ends_alike(which, pictures, tmp_path):
    """However far it has come: it draws or measures pictures, or trains."""
    process = start(pictures, "--epochs", "3", "-o", tmp_path / "run", *NARROW)
    assert process.stdout.readline().startswith("device: ")
    process.send_signal(which)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert said.splitlines()[-1].startswith("stopped")


def test_two_processes_on_one_run_the_second_is_refused(whole, pictures, tmp_path):
    run = shutil.copytree(whole[0], tmp_path / "run")
    with Claim(run):
        before = kept(run)
        for arguments in (["--resume", run, "--epochs", "9"], ["--resume", run / "last.safetensors", "--epochs", "9"]):
            assert "another process trains in this folder" in refused(inside(*arguments))
        finished(inside("--resume", run, "--evaluate"))
        assert kept(run) == before
    (tmp_path / "new").mkdir()
    with Claim(tmp_path / "new"):
        assert "another process trains" in refused(inside(pictures, "-o", tmp_path / "new", *NARROW))


@pytest.mark.parametrize(("output", "status", "words"), [("head", 141, "Broken pipe"), ("full", 1, "No space left")])
def test_an_output_that_nobody_takes_loses_nothing(whole, pictures, tmp_path, output, status, words):
    """It is closed, or full, from the end of the first epoch on."""
    run = tmp_path / "run"
    code = f"""if True:
        import os, runpy, sys
        from minicnn.training import trainer
        def say(text, real=trainer.say):
            if text.startswith("epoch 1/3: "):
                read, write = os.pipe()
                os.close(read)
                os.dup2(write if {output == "head"} else os.open("/dev/full", os.O_WRONLY), 1)
            real(text)
        trainer.say = say
        sys.argv = ["train_alexnet.py", *sys.argv[1:]]
        runpy.run_path({str(SCRIPT)!r}, run_name="__main__")"""
    result = subprocess.run([sys.executable, "-c", code, pictures, "--epochs", "3", "--seed", "7", "-o", run, *NARROW],
                            capture_output=True, text=True, timeout=60)
    line = refused((result.returncode, result.stderr), status)
    assert re.fullmatch(rf"train_alexnet: standard output: {words}.*; what was learned until step 5 is saved: go on "
                        "with --resume", line)
    finished(inside("--resume", run))
    assert weights(run) == weights(whole[0])


BAD_COMMAND_LINES = {
    ("--batch-size", "0"): "--batch-size: 0 is out of range: give at least 1",
    ("--lr", "fast"): "--lr: 'fast' is not a number",
    ("--epochs", "-1"): "give at least 1",
    ("--device", "gpu"): "there is no device 'gpu'",
    ("--device", "cuda:99"): "--device: cuda(99): ",
    ("--device", "auto,cpu:0"): "there is no device 'auto'",
    ("--device", "cpu:0,cpu:1,cpu:2"): "3 devices are too many",
    ("--variant", "lenet"): "invalid choice: 'lenet'",
    ("--schedule", "linear"): "invalid choice: 'linear'",
    ("--class-weights", "3"): "invalid choice: '3'",
    ("data", "--split", "0"): "--split: 0 is out of range: give from 0.01 to 0.99",
    ("data", "--split", "20%"): "--split: '20%' is not a number",
    ("--split", "0.2"): "--split divides a folder of class folders: name it",
    ("--epoch", "3"): "unrecognized arguments: --epoch",
    ("--lr", "inf"): "inf is out of range",
    ("--width", "nan"): "nan is out of range",
    ("--evaluate",): "--evaluate measures a checkpoint",
    ("",): "argument data: '' names no file or folder",  # a variable of the shell's that is not set
    ("--resume", ""): "argument --resume: '' names no file or folder",
    ("-o", ""): "argument -o/--output: '' names no file or folder",
    ("a", "b\nc"): "unrecognized arguments: b\\nc",
}


@pytest.mark.parametrize(("arguments", "reason"), BAD_COMMAND_LINES.items(), ids=lambda x: " ".join(x))
def test_a_bad_command_line_is_one_line_and_status_2(arguments, reason):
    code, said = inside(*arguments)
    assert code == 2
    assert reason in said
    assert said.count("\n") == 1


def test_a_device_that_is_no_longer_there_is_one_line(whole, tmp_path):
    arrays, facts = checkpoint.load(whole[0] / "last.safetensors")
    facts["config"]["device"] = "cuda:99"
    checkpoint.save(tmp_path / "last.safetensors", arrays, facts)
    assert "cuda(99): " in refused(inside("--resume", tmp_path, "--epochs", "4"))
    assert "--graph is for one GPU, the towers are on cpu" in refused(
        inside("--resume", tmp_path / "last.safetensors", "--evaluate", "--device", "cpu", "--graph"))
    assert "--half is for GPUs, the towers are on cpu" in refused(
        inside("--resume", tmp_path / "last.safetensors", "--evaluate", "--device", "cpu", "--half"))
    assert "--tf32 is for GPUs" in finished(
        inside("--resume", tmp_path / "last.safetensors", "--evaluate", "--device", "cpu", "--tf32"))


def test_help_shows_every_default():
    said = finished(inside("--help"))
    assert said.count("default:") >= 14


def test_wrong_folders_are_said_in_one_line(pictures, tmp_path):
    assert "nowhere" in refused(inside(tmp_path / "nowhere"))
    assert "train" in refused(inside(tmp_path))
    lonely = shutil.copytree(pictures, tmp_path / "lonely")
    for name in [path.name for path in (lonely / "train").iterdir()][1:]:
        shutil.rmtree(lonely / "train" / name)
        shutil.rmtree(lonely / "val" / name)
    assert "two or more classes" in refused(inside(lonely))
    empty = shutil.copytree(pictures, tmp_path / "empty")
    for path in (empty / "train" / "dots").iterdir():
        path.unlink()
    assert "dots" in refused(inside(empty))


def test_what_cannot_be_resumed_is_said_in_one_line(whole, pictures, tmp_path):
    assert "there is no such file" in refused(inside("--resume", tmp_path / "none.safetensors"))
    assert str(Path.home() / "none") in refused(inside("--resume", "~/none"))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((whole[0] / "last.safetensors").read_bytes()[:-1000])
    assert "damaged" in refused(inside("--resume", damaged))
    assert "another model" in refused(inside("--resume", whole[0], "--width", "0.06", "-o", tmp_path / "other"))
    classes = shutil.copytree(pictures, tmp_path / "classes")
    for part in ("train", "val"):
        (classes / part / "dots").rename(classes / part / "spots")
    line = refused(inside(classes, "--resume", whole[0], "-o", tmp_path / "more"))
    assert "the checkpoint knows 10 classes, the folder has 10: only in the checkpoint: dots; only in" in line
    assert "in the folder: spots: give" in line


def test_another_run_is_never_overwritten(whole, pictures):
    before = weights(whole[0])
    assert "not empty" in refused(inside(pictures, "-o", whole[0], *NARROW))
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
    assert "Permission denied" in refused(inside(pictures, "-o", locked / "run", *NARROW))


def test_a_file_in_the_way_is_said_in_one_line(pictures, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in refused(inside(pictures, "-o", tmp_path / "file" / "run", *NARROW))
