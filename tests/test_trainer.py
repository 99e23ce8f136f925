"""The trainer on a model and pictures small enough to train in a blink."""

import itertools
import json
import math
import os
import signal

import numpy as np
import pytest

from minicnn import checkpoint, manual_seed, no_grad
from minicnn.log import Log
from minicnn.nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from minicnn.optim import SGD, LossScale, PlateauSchedule, StepSchedule
from minicnn.scores import Scores, evaluate
from minicnn.trainer import Diverged, Stopped, Trainer

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


def trainer(folder, training=None, lr=0.01, seed=1, schedule=None, **settings):
    manual_seed(seed)
    model = Sequential(Conv2d(1, 4, 3, padding=1), ReLU(), MaxPool2d(3, 2), Flatten(), Dropout(0.2),
                       Linear(16, CLASSES))
    folder.mkdir(exist_ok=True)
    schedule = schedule or StepSchedule(lr, drops=(2,))
    optimiser = SGD(model.named_parameters())
    return Trainer(model, optimiser, schedule, training or Batches(), Batches(9), folder, **settings)


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
    assert steps[0].keys() == {"epoch", "step", "loss", "top1", "top5", "lr", "images_per_second", "waiting"}
    assert [line["lr"] for line in epochs] == pytest.approx([0.05] * 2 + [0.005] * 4)
    assert max(line["val_top1"] for line in epochs) == run.progress.best
    best = checkpoint.load(tmp_path / "run" / "best.safetensors")[1]["progress"]["best"]
    assert best == run.progress.best
    printed = capsys.readouterr().out
    assert "epoch 6/6: training loss" in printed
    assert "\r" not in printed


@pytest.mark.parametrize("schedule", [lambda: StepSchedule(0.02, (1, 3)), lambda: PlateauSchedule(0.02, patience=1)])
def test_two_and_two_epochs_are_four(tmp_path, schedule):
    whole = trainer(tmp_path / "whole", schedule=schedule())
    whole.fit(4)
    trainer(tmp_path / "parts", schedule=schedule()).fit(2)
    parts = resumed(tmp_path / "parts", schedule=schedule())
    parts.fit(4)
    assert same_weights(whole, parts)
    assert parts.optimiser.lr == whole.optimiser.lr


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (1, 3), (2, 4)])
def test_a_signal_stops_after_the_batch_and_nothing_is_lost(tmp_path, which, epoch, batch):
    whole = trainer(tmp_path / "whole")
    whole.fit(3)

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
    kept, expected = (strip(Log(tmp_path / name / "log.jsonl").read()) for name in ("parts", "whole"))
    assert kept == expected


def strip(lines):
    """The lines without what a clock said."""
    return [{k: v for k, v in line.items() if k not in ("images_per_second", "waiting", "seconds")} for line in lines]


def test_a_crash_loses_only_what_was_not_saved(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.fit(3)

    def crash(*now):
        if now == (1, 3):
            raise SystemError("the power went")

    with pytest.raises(SystemError):
        trainer(tmp_path / "parts", Batches(at=crash)).fit(3)
    with (tmp_path / "parts" / "log.jsonl").open("a") as log:
        log.write('{"step": 9, "lo')  # cut off in the middle of a line
    (tmp_path / "parts" / ".last.safetensors.123.part").write_bytes(b"half of a checkpoint")
    parts = resumed(tmp_path / "parts")
    assert (parts.progress.epoch, parts.progress.batch) == (1, 0)
    assert list((tmp_path / "parts").glob("*.part")) == list((tmp_path / "parts").glob(".*.part")) == []
    parts.fit(3)
    assert same_weights(whole, parts)
    assert strip(Log(tmp_path / "parts" / "log.jsonl").read()) == strip(Log(tmp_path / "whole" / "log.jsonl").read())


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


def test_a_plateau_is_mentioned_once(tmp_path, capsys):
    trainer(tmp_path / "flat", Batches(batches=50), lr=0.0).fit(1)
    assert "what guessing costs" not in capsys.readouterr().err
    flat = trainer(tmp_path / "flat2", Batches(batches=50), lr=0.0)
    flat.model.layers[-1].weight.writable()[...] = 0
    flat.fit(6)
    said = capsys.readouterr().err
    assert said.count(f"ln({CLASSES}) = {math.log(CLASSES):.3f}") == 1
    assert "learning rate too low" in said


def test_scores_count_ranks_as_a_reader_would():
    logits = np.array([[1.0, 3, 2, 0, -1, -2, -3], [0, 0, 0, 0, 0, 0, 0], [5, 4, 3, 2, 1, 0.5, 0]])
    scores = Scores()
    scores.add(0.5, logits, np.array([1, 6, 4]))
    assert (scores.seen, scores.top1, scores.top5) == (3, 1, 2)  # all alike is no hit for the last class
    assert scores.means() == {"loss": 0.5, "top1": 1 / 3, "top5": 2 / 3}


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
    assert parts.loss_scale.state() == whole.loss_scale.state()
