"""The trainer on a model and pictures small enough to train in a blink."""

import itertools
import json
import math
import os
import re
import signal
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import checkpoint, manual_seed, no_grad
from minicnn.nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from minicnn.optim import SGD, CosineSchedule, LossScale, PlateauSchedule, StepSchedule
from minicnn.schedule import WarmUp
from minicnn.training.diagnosis import first_not_finite
from minicnn.training.finishing import back_to_best
from minicnn.training.keeping import Checkpoints, Progress
from minicnn.training.log import Log
from minicnn.training.resuming import best_anew
from minicnn.training.scores import Scores, as_loader, evaluate, in_words
from minicnn.training.step import Step
from minicnn.training.trainer import Diverged, Stopped, Trainer

CLASSES = 3


class Batches:
    """Pictures of one bright column, in an order that depends on the epoch; ``at`` is called before each batch."""

    def __init__(self, seed=0, batches=5, at=lambda epoch, batch: None):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, CLASSES, (batches, 8))
        self.inputs = rng.standard_normal((batches, 8, 1, 6, 6), np.float32)
        for batch in range(batches):
            for i, label in enumerate(self.labels[batch]):
                self.inputs[batch, i, 0, :, 2 * label] += 3
        self.at = at

    def __len__(self):
        return len(self.inputs)

    def epoch(self, number, start=0, device=None):
        order = np.random.default_rng(number).permutation(len(self))
        for batch in range(start, len(self)):
            self.at(number, batch)
            yield self.inputs[order[batch]], self.labels[order[batch]]


def trainer(folder, training=None, lr=0.01, seed=1, schedule=None, step=Step, loss_scale=None, **settings):
    manual_seed(seed)
    model = Sequential(Conv2d(1, 4, 3, padding=1), ReLU(), MaxPool2d(3, 2), Flatten(), Dropout(0.2),
                       Linear(16, CLASSES))
    folder.mkdir(exist_ok=True)
    schedule = schedule or StepSchedule(lr, drops=(2,))
    taken = step(model, SGD(model.named_parameters()), loss_scale=loss_scale)
    return Trainer(taken, schedule, training or Batches(), Batches(9), folder, **settings)


def resumed(folder, **settings):
    again = trainer(folder, seed=2, **settings)
    again.resume(*checkpoint.load(folder / "last.safetensors"))
    return again


def same_weights(one, other):
    a, b = (t.model.state_dict() | {f"v.{n}": v for n, v in t.optimiser.state_dict().items()} for t in (one, other))
    return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)


def test_it_learns_and_keeps_everything(tmp_path, capsys):
    run = trainer(tmp_path / "run", lr=0.05, keep=2)
    run.fit(6)
    assert run.progress.epoch == 6
    assert run.progress.step == 30
    assert run.progress.best > 0.9
    kept = sorted(path.stem for path in (tmp_path / "run").iterdir())
    assert kept == ["best", "epoch-0005", "epoch-0006", "last", "log"]
    lines = Log(tmp_path / "run" / "log.jsonl").read()
    steps = [line for line in lines if "loss" in line]
    epochs = [line for line in lines if "val_loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 31))
    assert [line["epoch"] for line in epochs] == list(range(1, 7))
    assert steps[0].keys() == {"epoch", "step", "loss", "top1", "lr", "images_per_second", "waiting"}
    assert {name for line in epochs for name in line if "top" in name} == {"train_top1", "val_top1"}
    assert [line["lr"] for line in epochs] == pytest.approx([0.05] * 2 + [0.005] * 4)
    assert max(line["val_top1"] for line in epochs) == run.progress.best
    best = checkpoint.load(tmp_path / "run" / "best.safetensors")[1]["progress"]["best"]
    assert best == run.progress.best
    printed = capsys.readouterr().out
    assert "epoch 6/6: training loss" in printed
    assert "top-5" not in printed, "of three classes"
    assert "\r" not in printed


@pytest.mark.parametrize("schedule", [lambda: StepSchedule(0.02, (1, 3)), lambda: PlateauSchedule(0.02, patience=0),
                                      lambda: CosineSchedule(0.02, 4)])
def test_two_and_two_epochs_are_four(tmp_path, schedule):
    whole = trainer(tmp_path / "whole", schedule=schedule())
    whole.fit(4)
    trainer(tmp_path / "parts", schedule=schedule()).fit(2)
    parts = resumed(tmp_path / "parts", schedule=schedule())
    parts.fit(4)
    assert same_weights(whole, parts)
    assert parts.optimiser.lr == whole.optimiser.lr


# -- the best, and how long to wait for a better one -------------------------------------------------------------------


def measuring(run, *scores):
    """Lets a trainer find these (hits of 10, loss) on its validation set, epoch by epoch."""
    def found(*stop):
        hits, loss = scores[min(run.progress.epoch, len(scores) - 1)]
        return Scores(10, 10 * loss, hits, 0, 3)

    run.validate = found
    return run


TIES = ((5, 1.0), (7, 0.9), (7, 0.9), (7, 0.8), (6, 0.1), (7, 0.8), (9, 0.7))


@pytest.mark.parametrize(("patience", "epochs", "best"), [(0, 7, 7), (1, 3, 2), (2, 6, 4), (3, 7, 7)])
def test_it_ends_where_patience_does_and_the_lowest_loss_tells_equal_epochs_apart(tmp_path, capsys, patience, epochs,
                                                                                    best):
    run = measuring(trainer(tmp_path / "run", patience=patience), *TIES)
    run.fit(7)
    progress = run.progress
    assert (progress.epoch, progress.best_epoch) == (epochs, best)
    assert (progress.best, progress.best_loss) == (TIES[best - 1][0] / 10, pytest.approx(TIES[best - 1][1]))
    assert checkpoint.load(tmp_path / "run" / "best.safetensors")[1]["progress"]["epoch"] == best
    early = epochs < 7
    said = f"it ends early, after epoch {epochs}: none of the last {patience} was better than epoch {best}\n"
    assert (said in capsys.readouterr().out) == early == run.out_of_patience()
    lines = [line for line in Log(tmp_path / "run" / "log.jsonl").read() if "epochs_without_improvement" in line]
    assert [(line["epoch"], line["epochs_without_improvement"]) for line in lines] == [(epochs, patience)] * early
    run.fit(7)
    assert run.progress.epoch == epochs, "once more it ends at once"


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_best_is_the_first_of_those_with_the_highest_top_1_and_of_these_the_lowest_loss(scores):
    progress = Progress()
    for done, (hits, loss) in enumerate(scores, 1):
        progress = progress.next_epoch(hits / 4, float(loss))
        best = max(range(done), key=lambda i: (scores[i][0], -scores[i][1]))
        assert (progress.best_epoch, progress.waited()) == (best + 1, done - 1 - best)
        assert (progress.best, progress.best_loss) == (scores[best][0] / 4, scores[best][1])


@pytest.mark.parametrize("stop", range(1, 6))
def test_patience_goes_on_where_a_run_does(tmp_path, stop):
    whole = measuring(trainer(tmp_path / "whole", patience=2), *TIES)
    whole.fit(7)
    measuring(trainer(tmp_path / "parts", patience=2), *TIES).fit(stop)
    parts = measuring(resumed(tmp_path / "parts", patience=2), *TIES)
    parts.fit(7)
    assert parts.progress == whole.progress
    assert same_weights(whole, parts)


def test_nobody_waits_for_a_best_that_is_not_there(tmp_path):
    measuring(trainer(tmp_path / "run"), *TIES).fit(6)
    (tmp_path / "run" / "best.safetensors").unlink()
    again = measuring(resumed(tmp_path / "run", patience=1), *TIES)
    assert not again.out_of_patience()
    again.fit(7)
    assert (again.progress.epoch, again.progress.best_epoch) == (7, 7)


def test_at_the_end_it_can_be_what_it_was_at_its_best(tmp_path, capsys):
    run = trainer(tmp_path / "run", lr=0.05)
    real = run.validate
    measuring(run, (5, 1.0), (8, 0.5), (7, 0.5)).fit(3)
    run.validate = real
    last, best = (checkpoint.load(tmp_path / "run" / f"{name}.safetensors")[0] for name in ("last", "best"))
    before = (tmp_path / "run" / "last.safetensors").read_bytes()
    scores = back_to_best(run)
    with pytest.raises(RuntimeError, match="its model is that of the best epoch again: let another one resume"):
        run.fit(9)
    for name, array in run.model.state_dict().items():
        np.testing.assert_array_equal(array, best[f"model.{name}"])
    assert any((last[name] != best[name]).any() for name in best if name.startswith("model."))
    assert scores == evaluate(run.model, Batches(9))
    assert len(run.predictions.all) == scores.seen
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == before, "a run goes on from its last epoch"
    (tmp_path / "run" / "best.safetensors").unlink()
    assert back_to_best(run) is None
    assert "best.safetensors" in capsys.readouterr().err
    ended = measuring(trainer(tmp_path / "other"), (5, 1.0))
    ended.fit(1)
    assert back_to_best(ended) is None, "the last epoch is the best"


@pytest.mark.parametrize("patience", [0, 1])
def test_a_run_that_went_back_keeps_a_best_that_is_better_and_counts_from_where_it_went_on(tmp_path, capsys, patience):
    """The best is of epoch 3. From epoch 2 it goes on worse: what is kept stays, though this one is called 3, too."""
    run = measuring(trainer(tmp_path / "run", keep=9), *TIES[:2], (9, 0.5), (8, 0.5))
    run.fit(4)
    kept = (tmp_path / "run" / "best.safetensors").read_bytes()
    worse = measuring(trainer(tmp_path / "run", keep=9, patience=patience), *TIES[:2], (8, 0.1), (8, 0.2), (9, 0.4))
    worse.resume(*checkpoint.load(tmp_path / "run" / "epoch-0002.safetensors"))
    assert (worse.progress.best_epoch, worse.progress.waited(), worse.progress.gone_back()) == (3, 0, True)
    worse.fit(3)
    assert (worse.progress.best, worse.progress.best_epoch, worse.progress.waited()) == (0.9, 3, 1)
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == kept
    again = measuring(resumed(tmp_path / "run", keep=9, patience=patience), *TIES[:2], (8, 0.1), (8, 0.2), (9, 0.4))
    assert again.progress == worse.progress and again.progress.gone_back()
    again.fit(5)
    assert again.progress.epoch == (3 if patience else 5)
    assert (again.progress.best_epoch, again.progress.gone_back()) == ((3, True) if patience else (5, False))
    assert ((tmp_path / "run" / "best.safetensors").read_bytes() == kept) == bool(patience)
    assert back_to_best(again) is None or patience


def test_what_went_back_ends_as_the_best_that_is_kept(tmp_path):
    run = measuring(trainer(tmp_path / "run", keep=9), *TIES[:2], (9, 0.5))
    run.fit(3)
    best = checkpoint.load(tmp_path / "run" / "best.safetensors")[0]
    worse = trainer(tmp_path / "run", keep=9, lr=0.05)
    real = worse.validate
    measuring(worse, *TIES[:2], (8, 0.1))
    worse.resume(*checkpoint.load(tmp_path / "run" / "epoch-0002.safetensors"))
    worse.fit(3)
    worse.validate = real
    assert back_to_best(worse)
    for name, array in worse.model.state_dict().items():
        np.testing.assert_array_equal(array, best[f"model.{name}"])


def test_the_best_is_measured_anew_where_the_validation_pictures_are_others(tmp_path, capsys):
    run = measuring(trainer(tmp_path / "run", lr=0.05), (5, 1.0), (8, 0.5), (7, 0.5))
    run.fit(3)
    best, last = (checkpoint.load(tmp_path / "run" / f"{name}.safetensors") for name in ("best", "last"))
    again = trainer(tmp_path / "run", lr=0.05)
    again.resume(*last)
    best_anew(again, last[0])
    for name, array in again.model.state_dict().items():
        np.testing.assert_array_equal(array, last[0][f"model.{name}"], err_msg="it goes on from the last")
    run.step.load_learned(best[0])
    scores = run.model.eval() and evaluate(run.model, Batches(9)).means()
    assert scores["top1"] != 0.8
    said = f"the best until here, of epoch 2, has {scores['top1']:.1%} on these pictures, and had 80.0%\n"
    assert capsys.readouterr().out.endswith(said)
    for progress in (again.progress, resumed(tmp_path / "run").progress):
        assert (progress.best, progress.best_loss, progress.best_epoch, progress.waited()) == (
            scores["top1"], scores["loss"], 2, 1)  # fmt: skip
    (tmp_path / "run" / "best.safetensors").unlink()
    none = resumed(tmp_path / "run")
    best_anew(none, last[0])
    assert none.progress.best == -1


# -- whatever ends it --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of three epochs that nothing stopped."""
    run = trainer(tmp_path_factory.mktemp("runs") / "whole")
    run.fit(3)
    return run


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (1, 3), (2, 4)])
def test_a_signal_stops_after_the_batch_and_nothing_is_lost(whole, tmp_path, which, epoch, batch):
    def stop(*now):
        if now == (epoch, batch):
            os.kill(os.getpid(), which)

    before = signal.getsignal(which)
    with pytest.raises(Stopped):
        trainer(tmp_path / "parts", Batches(at=stop)).fit(3)
    assert signal.getsignal(which) is before
    parts = resumed(tmp_path / "parts")
    assert (parts.progress.epoch, parts.progress.batch) == (epoch, batch + 1)
    parts.fit(3)
    assert same_weights(whole, parts)
    kept, expected = (strip(Log(folder / "log.jsonl").read()) for folder in (tmp_path / "parts", whole.folder))
    assert kept == expected


def strip(lines):
    """The lines without what a clock said."""
    return [{k: v for k, v in line.items() if k not in ("images_per_second", "waiting", "seconds")} for line in lines]


def test_a_crash_loses_only_what_was_not_saved(whole, tmp_path, monkeypatch):
    def crash(*now):
        if now == (1, 3):
            monkeypatch.setattr(Checkpoints, "save", lambda *given: 1 / 0)
            raise SystemError("the power went")

    with pytest.raises(SystemError) as caught:
        trainer(tmp_path / "parts", Batches(at=crash)).fit(3)
    assert caught.value.__notes__ == ["what was learned since step 5 is lost: division by zero"]
    monkeypatch.undo()
    with (tmp_path / "parts" / "log.jsonl").open("a") as log:
        log.write('{"step": 9, "lo')  # cut off in the middle of a line
    for name in (".last.safetensors.123.part", ".best.safetensors.part", "log.part", ".log.jsonl.part", ".tmpa1B2c3"):
        (tmp_path / "parts" / name).write_bytes(b"half of a checkpoint")
    parts = resumed(tmp_path / "parts")
    assert (parts.progress.epoch, parts.progress.batch) == (1, 0)
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {
        "best.safetensors", "epoch-0001.safetensors", "last.safetensors", "log.jsonl"}
    parts.fit(3)
    assert same_weights(whole, parts)
    assert strip(Log(tmp_path / "parts" / "log.jsonl").read()) == strip(Log(whole.folder / "log.jsonl").read())


@pytest.mark.parametrize("error", [MemoryError, OSError, KeyboardInterrupt, GeneratorExit, RuntimeError])
@pytest.mark.parametrize(("epoch", "batch"), [(0, 2), (1, 0), (2, 4)])
def test_whatever_ends_it_what_was_learned_is_saved(whole, tmp_path, error, epoch, batch):
    def crash(*now):
        if now == (epoch, batch):
            raise error("from outside")

    with pytest.raises(error) as caught:
        trainer(tmp_path / "parts", Batches(at=crash)).fit(3)
    step = 5 * epoch + batch
    assert caught.value.__notes__ == ["nothing was learned since the last checkpoint" if not batch else
                                      f"what was learned until step {step} is saved: go on with --resume"]
    parts = resumed(tmp_path / "parts")
    assert (parts.progress.step, parts.progress.batch) == (step, batch)
    parts.fit(3)
    assert same_weights(whole, parts)
    assert strip(Log(tmp_path / "parts" / "log.jsonl").read()) == strip(Log(whole.folder / "log.jsonl").read())


class Full:
    """A standard output that is full, or that nobody reads, after some lines."""

    def __init__(self, lines, error):
        self.lines, self.error = lines, error

    def write(self, text):
        self.lines -= text.count("\n")
        if self.lines < 0:
            raise self.error
        return len(text)

    def flush(self):
        pass


@pytest.mark.parametrize("lines", range(6))
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe"),
                                   ValueError("I/O operation on closed file")], ids=lambda e: type(e).__name__)
def test_what_nobody_reads_ends_it_and_nothing_is_lost(whole, tmp_path, monkeypatch, lines, error):
    monkeypatch.setattr(sys, "stdout", Full(lines, error))
    with pytest.raises(OSError, match="standard output") as caught:
        trainer(tmp_path / "parts", print_every=2).fit(3)
    monkeypatch.undo()
    note, = caught.value.__notes__
    assert re.fullmatch(r"what was learned until step \d+ is saved: go on with --resume", note)
    parts = resumed(tmp_path / "parts")
    assert parts.progress.step == int(re.search(r"\d+", note)[0])
    parts.fit(3)
    assert same_weights(whole, parts)
    assert strip(Log(tmp_path / "parts" / "log.jsonl").read()) == strip(Log(whole.folder / "log.jsonl").read())


def test_an_error_output_that_is_closed_ends_nothing(tmp_path, monkeypatch):
    def stop(*now):
        if now == (0, 2):
            os.kill(os.getpid(), signal.SIGTERM)

    for stream in (None, Full(0, OSError(5, "Input/output error"))):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            with pytest.raises(Stopped):
                trainer(tmp_path / "run", Batches(at=stop)).fit(1)


def test_a_step_that_was_not_finished_is_not_saved(tmp_path, monkeypatch):
    run = trainer(tmp_path / "run")
    run.fit(1)
    before = (tmp_path / "run" / "last.safetensors").read_bytes()
    step = run.optimiser.step

    def half(factor):
        if run.progress.step == 7:
            raise MemoryError("in the middle")
        step(factor)

    monkeypatch.setattr(run.optimiser, "step", half)
    with pytest.raises(MemoryError) as caught:
        run.fit(2)
    assert caught.value.__notes__ == ["what was learned since step 5 is lost: step 8 was not finished"]
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == before


def test_a_step_that_fails_before_the_weights_move_has_not_been(tmp_path, monkeypatch):
    """In the middle of its forward pass: some masks of dropout were drawn already."""
    whole = trainer(tmp_path / "whole")
    whole.fit(2)
    run = trainer(tmp_path / "parts")
    last = run.model.layers[-1]
    forward = last.forward

    def short_of_memory(x):
        if run.progress.step == 3 and run.model.training:
            raise MemoryError("in the middle")
        return forward(x)

    monkeypatch.setattr(last, "forward", short_of_memory)
    with pytest.raises(MemoryError) as caught:
        run.fit(2)
    assert caught.value.__notes__ == ["what was learned until step 3 is saved: go on with --resume"]
    parts = resumed(tmp_path / "parts")
    parts.fit(2)
    assert same_weights(whole, parts)


def test_a_closing_terminal_may_say_so_twice_and_nohup_is_obeyed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "_exit", lambda status: pytest.fail("it ended at once"))

    def twice(*now):
        if now == (0, 2):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)

    with pytest.raises(Stopped):
        trainer(tmp_path / "run", Batches(at=twice)).fit(1)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trainer(tmp_path / "nohup", Batches(at=twice)).fit(1)
    except Stopped:
        pytest.fail("it was to ignore this")
    finally:
        signal.signal(signal.SIGHUP, before)


def test_one_is_saved_every_few_minutes(tmp_path):
    seen = []

    def look(epoch, batch):
        path = tmp_path / "run" / "last.safetensors"
        seen.append(checkpoint.load(path)[1]["progress"]["batch"] if path.exists() else None)

    trainer(tmp_path / "run", Batches(at=look), save_minutes=0).fit(1)
    assert seen == [None, 1, 2, 3, 4]


def test_the_state_of_another_model_is_refused(tmp_path):
    trainer(tmp_path / "run").fit(1)
    arrays, facts = checkpoint.load(tmp_path / "run" / "last.safetensors")
    arrays["model.5.weight"] = np.zeros((4, 16), np.float32)
    again = trainer(tmp_path / "run", seed=3)
    before = again.model.state_dict()
    with pytest.raises(ValueError, match="another model"):
        again.resume(arrays, facts)
    assert all((again.model.state_dict()[name] == before[name]).all() for name in before)


def test_no_number_stops_and_names_step_layer_and_rate(tmp_path):
    data = Batches()
    data.inputs[:] = 1e30
    where = r"step 1, in epoch 1; the first output that is not finite is that of 5; .* 0\.01"
    with pytest.raises(Diverged, match=where):
        run = trainer(tmp_path / "run", data)
        run.model.layers[-1].weight.writable()[...] = 1e30
        run.fit(1)


@pytest.mark.parametrize("layer", [0, 5])
def test_the_first_layer_that_is_not_finite_is_named(tmp_path, layer):
    model = trainer(tmp_path / "run").model
    model.layers[layer].bias.writable()[...] = np.inf
    assert first_not_finite(model, Batches().inputs[0]) == str(layer)


def test_what_learns_is_on_no_plateau(tmp_path, capsys):
    trainer(tmp_path / "run", Batches(batches=50), lr=0.05).fit(5)
    assert "what guessing costs" not in capsys.readouterr().err


def test_a_plateau_is_mentioned_once(tmp_path, capsys):
    trainer(tmp_path / "flat", Batches(batches=50), lr=0.0).fit(1)
    assert "what guessing costs" not in capsys.readouterr().err
    flat = trainer(tmp_path / "flat2", Batches(batches=50), lr=0.0)
    flat.model.layers[-1].weight.writable()[...] = 0
    flat.fit(6)
    said = capsys.readouterr().err
    assert said.count(f"ln({CLASSES}) = {math.log(CLASSES):.3f}") == 1
    assert "the rate is 0: no step moves a weight" in said


NAN, INF = math.nan, math.inf
NOT_FINITE = {  # logits of six classes, the class: hits among the first and among the first five
    "all NaN": ([NAN] * 6, 0, 0, 0), "its own NaN": ([NAN, 1, 2, 3, 4, 5], 0, 0, 0),
    "another NaN": ([9, NAN, 0, 0, 0, 0], 0, 0, 0), "none": ([5, 4, 3, 2, 1, 0], 4, 0, 1),
    "all infinite": ([INF] * 6, 0, 0, 0), "its own infinite": ([INF, 1, 2, 3, 4, 5], 0, 0, 0),
    "its own −infinite": ([-INF, 1, 2, 3, 4, 5], 0, 0, 0), "all −infinite": ([-INF] * 6, 5, 0, 0),
    "another infinite": ([1, INF, 0, 0, 0, 0], 0, 0, 1), "others −infinite": ([1] + [-INF] * 5, 0, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize(("row", "label", "top1", "top5"), NOT_FINITE.values(), ids=NOT_FINITE)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_what_is_no_number_is_no_hit(row, label, top1, top5, kind):
    scores = Scores()
    scores.add(1.0, np.array([row, [9, 0, 0, 0, 0, 0]], kind), np.array([label, 0]))
    assert (scores.seen, scores.top1, scores.top5) == (2, 1 + top1, 1 + top5)


def test_the_mean_of_nothing_is_no_number():
    assert all(math.isnan(value) for value in Scores().means().values())
    scores = Scores()
    scores.add(NAN, np.zeros((2, 3)), np.array([0, 1]))
    assert math.isnan(scores.means()["loss"])


@pytest.mark.parametrize(("logits", "labels", "error", "reason"), [
    (np.zeros((2, 3)), [0, 3], ValueError, "labels from 0 to 3 for 3 classes"),
    (np.zeros((2, 3)), [-1, 0], ValueError, "labels from -1"),
    (np.zeros((2, 3)), [0.0, 1.0], TypeError, "labels are float64"),
    (np.zeros((2, 3)), [True, False], TypeError, "labels are bool"),
    (np.zeros((2, 3)), [0], ValueError, "expected logits"),
    (np.zeros(3), [0, 1, 2], ValueError, "expected logits"),
    (np.zeros((2, 3)), [[0], [1]], ValueError, "expected logits"),
])  # fmt: skip
def test_scores_of_what_is_no_batch(logits, labels, error, reason):
    with pytest.raises(error, match=f"Scores: .*{reason}"):
        Scores().add(0.0, logits, labels)


class Poison:
    """Makes something NaN after so many steps, as an overflow would."""

    def __init__(self, run, step, what, value):
        self.run, self.at, self.what, self.value = run, step, what, value
        self.step, run.optimiser.step = run.optimiser.step, self

    def __call__(self, factor):
        weight = self.run.model.layers[-1].bias
        if self.what == "gradient" and self.run.progress.step + 1 == self.at:
            weight.grad.writable()[0] = self.value
        self.step(factor)
        if self.what == "weight" and self.run.progress.step + 1 == self.at:
            weight.writable()[0] = self.value
        if self.what == "velocity" and self.run.progress.step + 1 == self.at:
            self.run.optimiser.velocity["5.bias"][0] = self.value


@pytest.mark.parametrize("what", ["gradient", "weight", "velocity"])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("step", [7, 10])
def test_nothing_that_is_no_number_is_saved_or_called_the_best(tmp_path, what, value, step):
    """The step is in the middle of the second epoch, or its last: then no other loss is there to see it."""
    run = trainer(tmp_path / "run", save_minutes=0)
    run.fit(1)
    best = (tmp_path / "run" / "best.safetensors").read_bytes()
    Poison(run, step, what, value)
    with pytest.raises(Diverged, match=rf"at step {step + 1}|after step {step}, in epoch 2"):
        run.fit(2)
    arrays, facts = checkpoint.load(tmp_path / "run" / "last.safetensors")
    assert all(np.isfinite(a).all() for a in arrays.values())
    assert facts["progress"]["step"] == step - 1
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == best


@pytest.mark.parametrize("asked", ["stop", "crash", "minutes"])
def test_nor_when_it_is_stopped(tmp_path, asked):
    def at(*now):
        if now == (0, 3):
            if asked == "crash":
                raise RuntimeError("from outside")
            if asked == "stop":
                os.kill(os.getpid(), signal.SIGTERM)

    run = trainer(tmp_path / "run", Batches(at=at), save_minutes=0 if asked == "minutes" else 10)
    run.take_step([next(Batches().epoch(0))])
    run.save()
    before = (tmp_path / "run" / "last.safetensors").read_bytes()
    Poison(run, {"stop": 5, "crash": 4, "minutes": 2}[asked], "weight", NAN)
    with pytest.raises((Diverged, RuntimeError)) as caught:
        run.fit(1)
    assert "5.bias is no longer finite" in str(caught.value) + str(getattr(caught.value, "__notes__", ""))
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == before


def test_a_validation_that_overflows_never_wins(tmp_path):
    run = trainer(tmp_path / "run")
    run.fit(1)
    before = {path: path.read_bytes() for path in (tmp_path / "run").glob("*.safetensors")}
    run.validation.inputs[3, 2] = INF
    with pytest.raises(Diverged, match=r"the validation loss is (nan|inf) after step 10, in epoch 2"):
        run.fit(2)
    assert {path: path.read_bytes() for path in (tmp_path / "run").glob("*.safetensors")} == before
    assert (run.progress.epoch, run.progress.best > 0) == (1, True)
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1], parse_constant=pytest.fail)
    assert line["val_loss"] is None


class Pictures(Batches):
    """Numbered pictures in batches of any size; ``seen`` lists those that were shown."""

    def __init__(self, count, size, stop_at=None):
        super().__init__(batches=-(-count // 8))
        self.inputs, self.labels = self.inputs.reshape(-1, 1, 6, 6)[:count], self.labels.reshape(-1)[:count]
        self.batch_size, self.stop_at, self.seen = size, stop_at, []

    def __len__(self):
        return -(-len(self.inputs) // self.batch_size)

    def epoch(self, number, start=0, device=None):
        order = np.random.default_rng(number).permutation(len(self.inputs))
        for batch, first in enumerate(range(start, len(order), self.batch_size)):
            if batch == self.stop_at:
                raise SystemError("stopped")
            some = order[first:first + self.batch_size]
            self.seen += some.tolist()
            yield self.inputs[some], self.labels[some]


@pytest.mark.parametrize("sizes", [(4, 8), (8, 4), (4, 3, 5, 1), (1, 50), (7, 7, 7), (6, 40, 2), (41, 3), (3, 13, 100)])
@pytest.mark.parametrize("count", [40, 41])
def test_every_picture_of_an_epoch_is_shown_once_whatever_the_batches(tmp_path, sizes, count):
    seen = []
    for number, size in enumerate(sizes):
        data = Pictures(count, size, stop_at=2 if number < len(sizes) - 1 else None)
        run = (resumed if number else trainer)(tmp_path / "run", training=data)
        with pytest.raises(SystemError) if data.stop_at and len(seen) + 2 * size < count else nullcontext():
            run.fit(1)
        seen += data.seen
        assert run.progress.batch <= len(data)
    assert sorted(seen) == list(range(count))
    assert run.progress.epoch == 1


@pytest.mark.parametrize("size", [4, 6, 16])
def test_an_older_checkpoint_that_counted_batches_goes_on_at_its_picture(tmp_path, size):
    data = Pictures(40, 4, stop_at=3)
    with pytest.raises(SystemError):
        trainer(tmp_path / "run", data).fit(1)
    arrays, facts = checkpoint.load(tmp_path / "run" / "last.safetensors")
    assert [facts["progress"]["batch"], facts["progress"].pop("place")] == [3, 12]
    del facts["progress"]["best_epoch"]
    rest = Pictures(40, size)
    again = trainer(tmp_path / "run", rest)
    again.resume(arrays, facts | {"config": {"batch_size": 4}})
    again.fit(1)
    assert sorted(data.seen + rest.seen) == list(range(40))


def test_the_place_counts_pictures_that_could_not_be_read(tmp_path):
    class Holes(Pictures):
        def epoch(self, number, start=0, device=None):
            for inputs, labels in super().epoch(number, start):
                bad = self.seen[-1] in lost
                yield (inputs[:0], labels[:0]) if bad else (inputs, labels)

    lost = np.random.default_rng(0).permutation(40)[4:8]  # the second batch
    data, rest = Holes(40, 4, stop_at=3), Holes(40, 4)
    with pytest.raises(SystemError):
        trainer(tmp_path / "run", data).fit(1)
    again = resumed(tmp_path / "run", training=rest)
    assert (again.progress.place, again.progress.step) == (12, 2)
    again.fit(1)
    assert sorted(data.seen + rest.seen) == list(range(40))
    assert again.progress.step == 9


def test_the_best_is_the_first_of_those_that_were_best(tmp_path, monkeypatch):
    hits, told, kept = [4, 3, 4, 7, 7, 5], [], []
    schedule = StepSchedule(0.01)
    monkeypatch.setattr("minicnn.training.trainer.evaluate",
                        lambda *given: Scores(10, 5.0, hits[run.progress.epoch], 9))
    monkeypatch.setattr(schedule, "epoch_ended", told.append)
    run = trainer(tmp_path / "run", schedule=schedule)
    for epoch in range(1, 7):
        run.fit(epoch)
        best = checkpoint.load(tmp_path / "run" / "best.safetensors")[1]["progress"]
        kept.append(best["epoch"])
        assert (run.progress.best, run.progress.best_epoch) == (best["best"], best["epoch"])
    assert kept == [1, 1, 1, 4, 4, 4]
    assert told == [1 - n / 10 for n in hits]


def test_none_is_kept_where_none_is_wanted(tmp_path):
    trainer(tmp_path / "run", keep=0).fit(3)
    assert sorted(path.name for path in (tmp_path / "run").glob("*.safetensors")) == [
        "best.safetensors", "last.safetensors"]  # fmt: skip


def test_minutes_are_minutes(tmp_path, monkeypatch):
    clock, saves = itertools.count(step=7), []
    run = trainer(tmp_path / "run", Batches(batches=40), save_minutes=1)
    monkeypatch.setattr("minicnn.training.trainer.time.monotonic", lambda: next(clock))
    save = run.checkpoints.save
    monkeypatch.setattr(run.checkpoints, "save", lambda progress, *also: (
        saves.append(progress.batch), save(progress, *also)))
    run.fit(1)
    assert saves == [8, 17, 26, 35, 0]  # more than 60 s after the one before; and at the end of the epoch


def test_scores_of_half_a_validation_do_not_count(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.fit(2)

    def stop(epoch, batch):
        if batch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    parts = trainer(tmp_path / "parts")
    parts.validation = Batches(9, at=stop)
    with pytest.raises(Stopped):
        parts.fit(2)
    assert (parts.progress.epoch, parts.progress.batch, parts.progress.best) == (0, 5, -1)
    parts = resumed(tmp_path / "parts")
    parts.fit(2)
    assert strip(Log(tmp_path / "parts" / "log.jsonl").read()) == strip(Log(tmp_path / "whole" / "log.jsonl").read())


def test_infinity_is_no_loss(tmp_path, monkeypatch):
    run = trainer(tmp_path / "run")
    with no_grad():
        run.model.layers[-1].weight[...] = 0
        run.model.layers[-1].bias[...] = [3e38, -3e38, 0]  # whose difference is beyond single precision
    with pytest.raises(Diverged, match="the loss is inf at step 1"):
        run.fit(1)
    run = trainer(tmp_path / "run")
    monkeypatch.setattr("minicnn.training.trainer.evaluate", lambda *given: Scores(10, math.inf, 10, 10))
    with pytest.raises(Diverged, match="the validation loss is inf after step 5"):
        run.fit(1)
    assert run.progress.best == -1
    assert not (tmp_path / "run" / "best.safetensors").exists()


def test_an_epoch_that_starts_anew_shows_every_picture_again(tmp_path):
    with pytest.raises(SystemError):
        trainer(tmp_path / "run", Pictures(40, 4, stop_at=3)).fit(1)
    data = Pictures(44, 4)
    run = resumed(tmp_path / "run", training=data)
    assert run.progress.scores.seen == 12
    run.progress = run.progress.epoch_anew()
    assert run.progress.scores.seen == 0
    run.fit(1)
    assert sorted(data.seen) == list(range(44))
    assert run.progress.step == 3 + 11


def test_the_best_is_what_the_file_holds(tmp_path, monkeypatch):
    """A disk that is full, and one that is full only where a copy is made for want of links."""
    run = trainer(tmp_path / "run", lr=0.0001)
    run.fit(1)
    first = run.progress.best
    assert first < 0.9

    def full(*names):
        raise OSError(28, "No space left on device")

    for broken in ((checkpoint, "save_file"), (checkpoint.os, "link")):
        better = resumed(tmp_path / "run")
        better.schedule.lr = better.optimiser.lr = 0.05
        with monkeypatch.context() as patch:
            patch.setattr(*broken, full)
            patch.setattr(checkpoint.shutil, "copyfile", full)
            with pytest.raises(checkpoint.CheckpointError, match="No space left"):
                better.fit(2)
        assert better.progress.best == first
        assert (better.progress.epoch, better.schedule.epoch) == (1, 1)
    assert checkpoint.load(tmp_path / "run" / "best.safetensors")[1]["progress"]["best"] == first
    better.fit(6)
    kept = checkpoint.load(tmp_path / "run" / "best.safetensors")[1]["progress"]
    assert kept["best"] == better.progress.best > first
    assert kept["epoch"] == better.progress.best_epoch


def test_a_run_that_goes_on_from_an_older_epoch_or_elsewhere_knows_what_best_is_there(tmp_path):
    run = trainer(tmp_path / "run", lr=0.05, keep=9)
    run.fit(4)
    older = checkpoint.load(tmp_path / "run" / "epoch-0001.safetensors")
    again = trainer(tmp_path / "run")
    again.resume(*older)
    assert (again.progress.best, again.progress.best_epoch) == (run.progress.best, run.progress.best_epoch)
    elsewhere = trainer(tmp_path / "elsewhere")
    elsewhere.resume(*older)
    assert elsewhere.progress.best == -1


@pytest.mark.parametrize(("schedule", "reason"), [
    (lambda: StepSchedule(0.02, (1, 3)), "as planned for epoch 2"),
    (lambda: CosineSchedule(0.02, 2), "along a cosine to 0 after 2 epochs"),
    (lambda: PlateauSchedule(0.02, patience=0), "since the validation error has not improved for 1 epochs")])
def test_every_drop_of_the_rate_is_said_and_logged(tmp_path, capsys, schedule, reason):
    run = trainer(tmp_path / "run", schedule=schedule())
    run.fit(8)
    lines = Log(tmp_path / "run" / "log.jsonl").read()
    drops = [line for line in lines if "lr_after" in line]
    rates = [line["lr"] for line in lines if "loss" in line]
    rates.append(run.optimiser.lr)  # it may drop after the last epoch too
    assert [(a, b) for a, b in itertools.pairwise(rates) if a != b] == [(d["lr_before"], d["lr_after"]) for d in drops]
    said = capsys.readouterr().out
    assert said.count("the learning rate goes from") == len(drops) > 1
    assert re.search(rf"the learning rate goes from 0\.02 to 0\.\d+, {reason}\n", said)


def logged(folder):
    return [line["lr"] for line in Log(folder / "log.jsonl").read() if "loss" in line]


@pytest.mark.parametrize("schedule", [lambda: StepSchedule(0.02, (1, 3)), lambda: PlateauSchedule(0.02, patience=0),
                                      lambda: CosineSchedule(0.02, 9)])
def test_the_rate_rises_from_step_to_step_to_that_of_the_schedule(tmp_path, capsys, schedule):
    run, plain = (trainer(tmp_path / name, schedule=schedule(), **settings) for name, settings in
                  (("run", {"warm_up": WarmUp(1.6, 0.25)}), ("plain", {})))
    run.fit(3)
    said = capsys.readouterr().out
    drops = [line for line in Log(tmp_path / "run" / "log.jsonl").read() if "lr_after" in line]
    of_epochs = [[0.02, *(drop["lr_after"] for drop in drops if drop["epoch"] <= epoch)][-1] for epoch in range(3)]
    assert logged(tmp_path / "run") == pytest.approx(
        [of_epochs[step // 5] * min(1, 0.25 + 0.75 * (step + 1) / 8) for step in range(15)])  # 1.6 epochs are 8 steps
    assert [drop["lr_before"] for drop in drops] == [0.02, *(drop["lr_after"] for drop in drops[:-1])][:len(drops)]
    assert all(drop["lr_after"] < drop["lr_before"] for drop in drops), "what rises in the warm-up is no drop"
    assert said.count("the learning rate goes from") == len(drops)
    plain.fit(1)
    assert logged(tmp_path / "plain") == [0.02] * 5
    assert run.optimiser.lr == run.schedule.lr


@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (0, 3), (1, 1), (1, 4), (2, 2)])
def test_a_run_stopped_in_its_warm_up_goes_on_as_if_it_were_not(tmp_path, epoch, batch):
    warm_up = WarmUp(1.6, 0.25)
    whole = trainer(tmp_path / "whole", warm_up=warm_up)
    whole.fit(3)

    def stop(*now):
        if now == (epoch, batch):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        trainer(tmp_path / "parts", Batches(at=stop), warm_up=warm_up).fit(3)
    parts = resumed(tmp_path / "parts", warm_up=warm_up)
    parts.fit(3)
    assert same_weights(whole, parts)
    assert logged(tmp_path / "parts") == logged(tmp_path / "whole")
    assert len(set(logged(tmp_path / "whole"))) == 8 + 1  # and the drop


LISTED = [(Batches().inputs[0], Batches().labels[0]), (Batches().inputs[1], Batches().labels[1].tolist())]
ODD = {  # what is odd about a trainer: what it raises, if anything
    "a folder as text": (lambda path: {"folder": str(path / "run")}, None),
    "a folder in a folder not there": (lambda path: {"folder": path / "a" / "b"}, None),
    "a list of batches": (lambda path: {"training": LISTED, "validation": LISTED}, None),
    "a tuple of batches": (lambda path: {"training": tuple(LISTED)}, None),
    "keep of NumPy": (lambda path: {"keep": np.int64(2)}, None),
    "a generator": (lambda path: {"training": iter(LISTED)}, "TypeError: Trainer: training: list_iterator is no data"),
    "one batch": (lambda path: {"training": LISTED[0]}, "TypeError: Trainer: training: a batch is no pair"),
    "labels of no axis": (lambda path: {"training": [(LISTED[0][0], 1)]}, "Trainer: training: a batch is no pair"),
    "an array": (lambda path: {"validation": np.zeros((3, 2))}, "TypeError: Trainer: validation: ndarray is no data"),
    "nothing": (lambda path: {"validation": None}, "TypeError: Trainer: validation: NoneType is no data"),
    "an empty list": (lambda path: {"training": []}, "ValueError: Trainer: training: there is no batch"),
    "an empty loader": (lambda path: {"training": Batches(batches=0)}, "Trainer: training: there is no batch"),
    "negative keep": (lambda path: {"keep": -1}, "ValueError: Trainer: keep is -1: it must be at least 0"),
    "negative patience": (lambda path: {"patience": -1}, "ValueError: Trainer: patience is -1: it must be at least 0"),
    "half a keep": (lambda path: {"keep": 1.5}, "TypeError: Trainer: keep is 1.5: give a whole number"),
    "print never": (lambda path: {"print_every": 0}, "ValueError: Trainer: print_every is 0"),
    "no minutes": (lambda path: {"save_minutes": NAN}, "ValueError: Trainer: save_minutes is nan"),
    "labels of floats": (lambda path: {"training": [(LISTED[0][0], LISTED[0][1] * 1.0)]}, "Error: cross_entropy: "),
    "labels too many": (lambda path: {"training": [(LISTED[0][0], LISTED[0][1] + 9)]}, "Error: cross_entropy: "),
}


@pytest.mark.parametrize(("odd", "error"), ODD.values(), ids=ODD)
def test_a_trainer_takes_what_has_a_plain_meaning_and_refuses_the_rest(tmp_path, odd, error):
    manual_seed(0)
    model = Sequential(Flatten(), Linear(36, CLASSES))
    settings = {"training": Batches(), "validation": Batches(9), "folder": tmp_path / "run"} | odd(tmp_path)
    with pytest.raises((TypeError, ValueError)) if error else nullcontext() as caught:
        run = Trainer(Step(model, SGD(model.named_parameters())), StepSchedule(0.01), **settings)
        run.fit(1)
        assert (run.folder / "last.safetensors").exists()
        assert run.progress.step == len(settings["training"])
    if error:
        assert error in f"{caught.type.__name__}: {caught.value}"


@pytest.mark.parametrize(("epochs", "error"), [(-1, ValueError), (2.5, TypeError), (2.0, TypeError), (True, TypeError),
                                               ("2", TypeError), (None, TypeError), (0, None), (np.int32(1), None)])
def test_epochs_are_a_whole_number(tmp_path, epochs, error):
    run = trainer(tmp_path / "run")
    with pytest.raises(error, match="Trainer: epochs is") if error else nullcontext():
        assert run.fit(epochs).seen == 40
        assert run.progress.epoch == epochs


def test_a_list_of_batches_goes_on_where_it_was_and_an_empty_one_is_no_score(tmp_path):
    whole = trainer(tmp_path / "whole", LISTED * 3)
    whole.fit(2)
    with pytest.raises(TypeError, match="<U4"):
        trainer(tmp_path / "parts", [*LISTED, (LISTED[0][0], ["what"])]).fit(2)
    parts = resumed(tmp_path / "parts", training=LISTED * 3)
    assert parts.progress.batch == 2
    parts.fit(2)
    assert same_weights(whole, parts)
    with pytest.raises(ValueError, match="evaluate: there is no batch"):
        evaluate(parts.model, [])


def test_scores_count_ranks_as_a_reader_would():
    logits = np.array([[1.0, 3, 2, 0, -1, -2, -3], [0, 0, 0, 0, 0, 0, 0], [5, 4, 3, 2, 1, 0.5, 0]])
    scores = Scores()
    scores.add(0.5, logits, np.array([1, 6, 4]))
    assert (scores.seen, scores.top1, scores.top5) == (3, 1, 2)  # all alike is no hit for the last class
    assert scores.means() == {"loss": 0.5, "top1": 1 / 3, "top5": 2 / 3}


@pytest.mark.parametrize("label", range(8))
def test_top_1_counts_one_and_top_5_five(label):
    scores = Scores()
    scores.add(0.0, np.arange(8.0, 0.0, -1.0)[None], np.array([label]))
    assert (scores.top1, scores.top5) == (label < 1, label < 5)


@pytest.mark.parametrize(("classes", "words"), [(5, "top-1 50.0%"), (6, "top-1 50.0%, top-5 100.0%")])
def test_of_five_classes_there_is_no_top_5(classes, words):
    scores = Scores()
    scores.add(0.5, np.eye(classes)[:2], np.array([0, 3]))
    assert ("top5" in scores.means()) == (classes > 5)
    assert in_words(scores.means()) == words
    assert in_words(scores.means(), digits=0) == words.replace(".0", "")


def test_after_every_epoch_somebody_may_look(tmp_path):
    seen = []
    run = trainer(tmp_path / "run", epoch_ended=lambda: seen.append((run.progress.epoch, run.checkpoints.saved)))
    run.fit(3)
    assert seen == [(1, 5), (2, 10), (3, 15)], "once it is saved"


@pytest.mark.parametrize("epochs", [0, 2])
def test_predictions_are_those_of_the_last_validation(tmp_path, epochs):
    run = trainer(tmp_path / "run")
    scores = run.fit(epochs)
    seen = run.predictions.all
    assert seen["label"].tolist() == [i for _, labels in Batches(9).epoch(0) for i in labels]
    assert (seen["label"] == seen["said"]).sum() == scores.top1
    assert run.predictions.classes == CLASSES


def test_evaluation_weighs_batches_by_their_size_and_draws_no_dropout():
    class Two:
        def __len__(self):
            return 2

        def epoch(self, number, start=0, device=None):
            yield np.zeros((3, 2), np.float32), np.zeros(3, int)
            yield np.full((1, 2), 100, np.float32), np.ones(1, int)

    class Keep(Module):
        def __init__(self):
            self.dropout, self.linear = Dropout(), Linear(2, 2)
            with no_grad():
                self.linear.weight[...] = np.eye(2)

        def forward(self, x):
            return self.linear(self.dropout(x))

    scores = evaluate(Keep(), Two()).means()
    assert scores["loss"] == pytest.approx(math.log(2))
    assert scores["top1"] == 0.75


@pytest.mark.parametrize("ends", ["done", "stopped", "failed"])
def test_evaluation_leaves_every_layer_in_the_mode_that_it_found(ends):
    def at(epoch, batch):
        assert not any(layer.training for layer in model.modules())
        if ends == "failed" and batch:
            raise SystemError("from outside")

    model = Sequential(Flatten(), Dropout(), Linear(36, CLASSES))
    model.layers[1].eval()
    modes = [layer.training for layer in model.modules()]
    with pytest.raises(SystemError) if ends == "failed" else nullcontext():
        evaluate(model, Batches(at=at), lambda: ends == "stopped")
    assert [layer.training for layer in model.modules()] == modes == [True, True, False, True]


def test_a_model_is_trained_in_training_mode_whatever_it_was_in(tmp_path):
    whole, other = trainer(tmp_path / "whole"), trainer(tmp_path / "other")
    whole.fit(1)
    other.model.eval()
    other.fit(1)
    assert same_weights(whole, other)


def test_an_empty_batch_is_passed_over(tmp_path):
    data = Batches()
    whole = data.epoch

    def epoch(number, start=0, device=None):
        for batch, (inputs, labels) in enumerate(whole(number, start)):
            yield (inputs[:0], labels[:0]) if batch == 2 else (inputs, labels)

    data.epoch = epoch
    run = trainer(tmp_path / "run", data)
    run.fit(1)
    assert run.progress.step == 4


def test_every_line_of_the_log_is_json(tmp_path):
    trainer(tmp_path / "run").fit(1)
    for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_scaled_loss_trains_alike_leaves_steps_out_and_goes_on_where_it_was(tmp_path):
    def scaled(name, again=False, **settings):
        make = resumed if again else trainer
        return make(tmp_path / name, **settings)

    plain = scaled("plain")
    plain.fit(2)
    same = scaled("same", loss_scale=LossScale(2.0**10))
    same.fit(2)
    assert same_weights(plain, same)

    whole = scaled("whole", loss_scale=LossScale(2.0**66, patience=4))
    whole.fit(3)
    factors = [line["loss_scale"] for line in Log(tmp_path / "whole" / "log.jsonl").read() if "loss" in line]
    assert factors[0] == 2.0**65, "the square of the first gradient is beyond single precision"
    assert any(b == 2 * a for a, b in itertools.pairwise(factors)), "and it grows again"
    scaled("parts", loss_scale=LossScale(2.0**66, patience=4)).fit(1)
    parts = scaled("parts", again=True, loss_scale=LossScale(1.0, patience=4))
    parts.fit(3)
    assert same_weights(whole, parts)
    assert parts.step.state() == whole.step.state()


def test_keep_is_about_its_own_checkpoints_alone(tmp_path):
    """Not about copies that somebody made, nor epochs from before it was taken back; and 10,000 comes after 9,999."""
    run = trainer(tmp_path / "run", Batches(batches=1))
    others = {f"epoch-{name}.safetensors" for name in ("0001-good", "0001.safetensors", "mine", "0012")}
    for name in others:
        (run.folder / name).write_bytes(b"of somebody")
    run.fit(3)
    assert {path.name for path in run.folder.glob("epoch-*")} == others | {"epoch-0003.safetensors"}
    run.progress.epoch = 9998
    run.fit(10_000)
    assert {path.name for path in run.folder.glob("epoch-*")} == others - {"epoch-0012.safetensors"} | {
        "epoch-10000.safetensors"}


def test_a_best_that_is_damaged_is_no_best_and_that_is_said(tmp_path, capsys):
    trainer(tmp_path / "run", lr=0.05).fit(3)
    best = tmp_path / "run" / "best.safetensors"
    good = best.read_bytes()
    for bad in (good[:-1], good[:99] + bytes([good[99] ^ 1]) + good[100:], None):
        best.unlink()
        if bad:
            best.write_bytes(bad)
        else:
            checkpoint.save(best, {"a": np.ones(3)}, {"of": "another program"})
        again = resumed(tmp_path / "run")
        assert again.progress.best == -1
        assert "is not in" in capsys.readouterr().out


def test_a_list_of_batches_is_gone_through_from_where_one_likes():
    loader = as_loader([(np.full(2, i), [i, i]) for i in range(3)], "a test")
    for start, left in ((0, [0, 1, 2]), (1, [1, 2]), (3, [])):
        assert [inputs[0] for inputs, _ in loader.epoch(0, start)] == left
    assert [labels.tolist() for _, labels in loader.epoch(0)] == [[0, 0], [1, 1], [2, 2]]
