"""What the training script puts together: looked at in this process, just before the first step."""

import itertools
import json
import math
import os
import re
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from pictures import make_folder
from PIL import Image
from test_weights import as_caffe, as_torchvision, layers_of
from weights_of_others import caffe_net, torch_archive

from minicnn import checkpoint, cpu, manual_seed, no_grad
from minicnn.data import DataError, ImageFolder, Loader, Statistics, central_crop, image_folders, read_picture
from minicnn.data.division import Division
from minicnn.models import RECIPES, VARIANTS, alexnet
from minicnn.models import load as load_any
from minicnn.models.finetune import start_from
from minicnn.models.saved import load
from minicnn.nn import Dropout
from minicnn.schedule import PolySchedule, WarmUp
from minicnn.training.log import Log
from minicnn.training.parallel import Ranks
from minicnn.training.pictures import balanced_weights
from minicnn.training.showing import show_what_it_learned

EXAMPLES = Path(__file__).parent.parent / "examples"
NARROW = ["--width", "0.05", "--workers", "0"]


class Enough(Exception):
    """All that was to be seen has been seen."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    make_folder(data / "train", 8)
    make_folder(data / "val", 2)
    return data


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(EXAMPLES))
    try:
        import train_alexnet

        yield train_alexnet
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def run_with(script, tmp_path_factory):
    """Runs the script with a command line, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))

        def run_with(*arguments):
            patch.setattr(sys, "argv", ["train_alexnet.py", *map(str, arguments)])
            with ExitStack() as claims:
                script.train(script.arguments(), claims)

        yield run_with


@pytest.fixture
def built(script, monkeypatch, run_with):
    """(the trainer, the number of epochs) that a command line leads to; nothing is trained."""

    def built(*arguments):
        seen = []

        class Built(script.Trainer):
            def fit(self, epochs):
                seen.append((self, epochs))
                raise Enough

        with monkeypatch.context() as patch, pytest.raises(Enough):
            patch.setattr(script, "Trainer", Built)
            run_with(*arguments)
        return seen[0]

    return built


@pytest.fixture(scope="module")
def one_epoch(run_with, data, tmp_path_factory):
    run = tmp_path_factory.mktemp("one") / "run"
    run_with(data, "--epochs", "1", "--seed", "5", "-b", "8", "--momentum", "0.5", "-o", run, *NARROW)
    return run


@pytest.fixture
def run(one_epoch, tmp_path):
    """A run of one epoch, to be spoilt."""
    return shutil.copytree(one_epoch, tmp_path / "run")


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "finetune"])
def test_who_learns_from_what(built, data, tmp_path, recipe):
    trainer, epochs = built(data, "--recipe", recipe, "--epochs", "7", "-b", "9", "--seed", "3", "-o", tmp_path / "run",
                            *NARROW)
    folders, own = image_folders(data), Statistics.of(image_folders(data)[0])
    loaders = trainer.training, trainer.validation
    assert epochs == 7
    assert [loader.folder.samples for loader in loaders] == [folder.samples for folder in folders]
    assert [loader.train for loader in loaders] == [True, False]
    for loader in loaders:
        assert (loader.seed, loader.batch_size) == (3, 9)
        np.testing.assert_array_equal(loader.statistics.mean, own.mean)
        assert loader.scale == pytest.approx(1 / own.deviation if recipe in ("small", "photographs") else 1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_shown_what_it_takes(run_with, data, tmp_path, capsys, variant):
    recipe = VARIANTS[variant].recipe or "small"
    run_with(data, "--variant", variant, "--recipe", recipe, "--epochs", "1", "-b", "16", "-o", tmp_path / "run",
             *NARROW)
    towers = "cpu(0) and" if VARIANTS[variant].towers == 2 else "cpu(0), 16 training"
    assert f"AlexNet ({variant})" in (said := capsys.readouterr().out)
    assert towers in said
    assert (tmp_path / "run" / "predictions.png").stat().st_size
    assert load(tmp_path / "run").model.variant == variant


@pytest.mark.parametrize("variant, crop, noise", [("caffe", 227, 0.0), ("source2012", 224, 0.1)])
def test_crop_and_noise_are_those_of_variant_and_recipe(built, data, tmp_path, variant, crop, noise):
    trainer, epochs = built(data, "--variant", variant, "--recipe", variant, "-o", tmp_path / "run", *NARROW)
    for loader in (trainer.training, trainer.validation):
        assert (loader.crop, loader.noise) == (crop, noise)
    assert epochs == RECIPES[variant].epochs


@pytest.mark.parametrize("recipe", ["small", "paper"])
@pytest.mark.parametrize("batch_size", [9, 64])
def test_the_network_starts_as_the_recipe_says(built, data, tmp_path, recipe, batch_size):
    trainer, _ = built(data, "--recipe", recipe, "-b", batch_size, "--seed", "3", "-o", tmp_path / "run", *NARROW)
    manual_seed(3)
    expected = alexnet(classes=2, width=0.05, inverted_dropout=recipe == "small")
    training = trainer.training
    loader = Loader(training.folder, training.statistics, batch_size, train=True, seed=3, scale=training.scale)
    first = itertools.islice(loader.epoch(0), math.ceil(32 / batch_size))  # 32 pictures, or all
    RECIPES[recipe].start(expected, np.concatenate([images for images, _ in first]))
    for name, right in expected.state_dict().items():
        np.testing.assert_array_equal(trainer.model.state_dict()[name], right, err_msg=name)
    drops = [layer for layer in trainer.model.modules() if isinstance(layer, Dropout)]
    assert [layer.inverted for layer in drops] == [recipe == "small"] * 4


def test_what_was_given_is_what_counts(built, data, tmp_path):
    trainer, _ = built(data, "--lr", "0.25", "--momentum", "0.75", "--weight-decay", "0.125", "--keep", "4",
                       "--save-minutes", "8", "--device", "cpu:0,cpu:1", "-o", tmp_path / "run", *NARROW)
    o = trainer.optimiser
    assert (o.lr, trainer.schedule.lr, o.momentum, o.weight_decay) == (0.25, 0.25, 0.75, 0.125)
    assert (trainer.checkpoints.keep, trainer.save_minutes) == (4, 8)
    assert trainer.model.devices == (cpu(0), cpu(1))


def test_few_pictures_take_many_epochs_and_that_is_said_and_kept(built, data, tmp_path, capsys):
    trainer, epochs = built(data, "-o", tmp_path / "run", *NARROW)
    assert epochs == RECIPES["small"].steps == trainer.schedule.epochs
    assert trainer.checkpoints.extras[1]["config"]["epochs"] == epochs
    assert f"epochs: {epochs}, of 1 steps each, as --recipe small has it\n" in capsys.readouterr().out
    trainer.save()
    make_folder(tmp_path / "more" / "train", 99)
    make_folder(tmp_path / "more" / "val", 2)
    assert built("--resume", tmp_path / "run", tmp_path / "more")[1] == epochs, "it goes on as it was begun"
    assert built(data, "-b", "4", "-o", tmp_path / "four", *NARROW)[1] == RECIPES["small"].steps / 4
    assert built(data, "--epochs", "7", "-o", tmp_path / "seven", *NARROW)[1] == 7
    assert "epochs: 7, of" not in capsys.readouterr().out


def test_patience_is_asked_for_kept_and_may_be_another(built, run_with, run, capsys):
    trainer, _ = built("--resume", run, "--epochs", "9", "--patience", "3")
    assert trainer.patience == trainer.checkpoints.extras[1]["config"]["patience"] == 3
    arrays, facts = checkpoint.load(run / "last.safetensors")
    facts["config"]["patience"], facts["progress"]["epoch"] = 3, 4
    checkpoint.save(run / "last.safetensors", arrays, facts)
    capsys.readouterr()
    before = (run / "config.json").read_bytes()
    run_with("--resume", run, "--epochs", "9", "-b", "3")
    assert (run / "config.json").read_bytes() == before, "nothing was trained so"
    assert capsys.readouterr().out.splitlines()[-1] == (
        "There is nothing to do: since epoch 1, the best, 3 epochs got no better, and --patience is 3: give more, or 0 "
        "for epochs to the end")
    assert built("--resume", run, "--epochs", "9", "--patience", "0")[0].patience == 0


@pytest.mark.parametrize(("patience", "short"), [(0, False), (3, True), (4, False)])
def test_a_patience_shorter_than_that_of_the_schedule_is_said(built, data, tmp_path, capsys, patience, short):
    built(data, "--schedule", "plateau", "--patience", patience, "-o", tmp_path / "run", *NARROW)
    said = "--patience 3 ends the run before --schedule plateau, which waits for 3 epochs, can lower the rate"
    assert (said in capsys.readouterr().err) == short


@pytest.mark.parametrize(("name", "right"), [("plateau", [8] * 5), ("step", [8, 0.8, 0.8, 0.08, 0.08]),
                                             ("cosine", [8, 6, 2, 0]), ("constant", [8] * 5),
                                             ("poly", [8, 5.12, 2.88, 1.28, 0.32])])
def test_the_schedule_is_the_one_asked_for_and_knows_the_epochs(built, data, tmp_path, name, right):
    trainer, _ = built(data, "--lr", "8", "--epochs", "3" if name == "cosine" else "5", "--schedule", name, "-o",
                       tmp_path / "run", *NARROW)
    rates = []
    for error in np.linspace(1, 0, len(right)):
        rates.append(trainer.schedule.lr)
        trainer.schedule.epoch_ended(error)
    assert rates == pytest.approx(right)


@pytest.mark.parametrize(("recipe", "name"), [("paper", "plateau"), ("small", "cosine"), ("large", "poly")])
def test_without_a_schedule_it_is_the_recipe_s(built, data, tmp_path, recipe, name):
    trainer, _ = built(data, "--recipe", recipe, "-o", tmp_path / "run", *NARROW)
    assert trainer.checkpoints.extras[1]["config"]["schedule"] == name


def test_a_large_batch_has_a_rate_in_proportion_and_a_warm_up(built, data, tmp_path, capsys):
    trainer, epochs = built(data, "--recipe", "large", "-o", tmp_path / "run", *NARROW)
    assert (trainer.training.batch_size, epochs, trainer.schedule.lr) == (1024, 100, 0.08)
    assert (trainer.warm_up, trainer.optimiser.lars) == (WarmUp(5, 1 / 8), None)
    assert isinstance(trainer.schedule, PolySchedule)
    other, _ = built(data, "--recipe", "large", "-b", "256", "--warm-up", "0.5", "-o", tmp_path / "other", *NARROW)
    assert (other.schedule.lr, other.warm_up) == (0.02, WarmUp(0.5, 0.5))
    assert "never comes to" not in capsys.readouterr().err
    built(data, "--recipe", "large", "-b", "256", "--epochs", "5", "-o", tmp_path / "five", *NARROW)
    assert "never comes to" not in capsys.readouterr().err
    built(data, "--recipe", "large", "-b", "256", "--epochs", "4", "-o", tmp_path / "four", *NARROW)
    assert ("the rate rises over 5 epochs and the run has 4: it never comes to 0.02: --warm-up takes fewer\n"
            in capsys.readouterr().err)  # fmt: skip
    small, _ = built(data, "--lr", "0.5", "--warm-up", "2", "-o", tmp_path / "small", *NARROW)
    assert (small.schedule.lr, small.warm_up) == (0.5, WarmUp(2, 0))


def test_lars_is_asked_for_together_with_its_rate_and_stays_with_a_run(built, run_with, data, run, tmp_path):
    trainer, _ = built(data, "--recipe", "large", "-b", "8", "--lars", "0.002", "--lr", "4", "-o", tmp_path / "large",
                       *NARROW)
    assert (trainer.optimiser.lars, trainer.schedule.lr, trainer.warm_up) == (0.002, 4, WarmUp(5, 0.0025))
    trainer.save()
    again, _ = built("--resume", tmp_path / "large")
    assert (again.optimiser.lars, again.schedule.lr, again.warm_up) == (0.002, 4, trainer.warm_up)
    other, _ = built("--resume", tmp_path / "large", "--lars", "0.001")
    assert (other.optimiser.lars, other.schedule.lr) == (0.001, 4)
    for given in ((data, "-o", tmp_path / "new", *NARROW), ("--resume", run, "--epochs", "2")):
        with pytest.raises(ValueError, match="--lars goes with rates far higher than others: give --lr with it, as 10"):
            run_with(*given, "--lars", "0.001")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("option", "value", "words"), [
    ("--lars", "0", "0 is out of range"), ("--lars", "nan", "nan is out of range"), ("--lars", "a", "'a' is not a num"),
    ("--warm-up", "-1", "-1 is out of range"), ("--warm-up", "inf", "inf is out of range")])
def test_an_eta_is_above_0_and_a_warm_up_not_below(run_with, data, capsys, option, value, words):
    with pytest.raises(SystemExit) as end:
        run_with(data, option, value)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert f"argument {option}: {words}" in said
    assert said.count("\n") == 1


def test_a_tiny_run_of_large_batches_goes_on_in_its_warm_up(run_with, data, tmp_path, monkeypatch):
    monkeypatch.setattr("minicnn.training.finishing.show_what_it_learned", lambda *of: None)
    run_with(data, "--recipe", "large", "-b", "8", "--lars", "0.001", "--lr", "2", "--warm-up", "1.5", "--schedule",
             "constant", "--epochs", "1", "-o", tmp_path / "run", *NARROW)
    run_with("--resume", tmp_path / "run", "--epochs", "2")
    rates = [line["lr"] for line in Log(tmp_path / "run" / "log.jsonl").read() if "loss" in line]
    assert rates == pytest.approx([0.01 + 1.99 / 3, 0.01 + 2 * 1.99 / 3, 2, 2])


def test_rare_classes_count_more_where_that_is_asked_for(built, run_with, tmp_path, capsys):
    make_folder(tmp_path / "train", 2, ("cat", "dog", "eel"))
    make_folder(tmp_path / "val", 1, ("cat", "dog", "eel"))
    for i in range(2, 6):
        shutil.copy(tmp_path / "train" / "dog" / "1.png", tmp_path / "train" / "dog" / f"{i}.png")
    plain, _ = built(tmp_path, "-o", tmp_path / "plain", *NARROW)
    printed = capsys.readouterr()
    assert "counts from" not in printed.out
    assert "uneven" not in printed.err, "up to three times as many is even enough"
    trainer, _ = built(tmp_path, "--class-weights", "balanced", "-o", tmp_path / "run", *NARROW)
    said = "in the training loss a picture counts from 0.556 (dog) to 1.67 (cat); in scores and the validation loss all"
    assert said in capsys.readouterr().out
    x, labels = np.eye(3, dtype=np.float32)[[1, 1, 0]] * 2, np.array([0, 1, 2])
    each = np.array([plain.step.loss(x[i:i + 1], labels[i:i + 1]).item() for i in range(3)])
    weight = np.array([10 / 6, 10 / 18, 10 / 6])
    assert trainer.step.loss(x, labels).item() == pytest.approx((weight * each).sum() / weight.sum())
    assert plain.step.loss(x, labels).item() == pytest.approx(each.mean())
    assert balanced_weights(trainer.training.folder) == pytest.approx(weight)


def test_uneven_classes_are_said_with_the_option_that_helps(built, tmp_path, capsys):
    make_folder(tmp_path / "train", 2)
    make_folder(tmp_path / "val", 1)
    for i in range(2, 7):
        shutil.copy(tmp_path / "train" / "dog" / "1.png", tmp_path / "train" / "dog" / f"{i}.png")
    said = "the classes are uneven: dog has 7 training pictures, cat 2: "
    for weights in ("none", "balanced"):
        built(tmp_path, "--class-weights", weights, "-o", tmp_path / weights, *NARROW)
        err = capsys.readouterr().err
        assert (said in err) == ("--class-weights balanced lets all" in err) == (weights == "none")


def test_class_weights_stay_with_a_run_unless_asked_otherwise(built, run, capsys):
    trainer, _ = built("--resume", run, "--epochs", "4", "--class-weights", "balanced")
    assert "--class-weights was none and is balanced\n" in capsys.readouterr().out
    assert trainer.checkpoints.extras[1]["config"]["class_weights"] == "balanced"
    trainer.save()
    built("--resume", run, "--epochs", "4")
    said = capsys.readouterr().out
    assert "counts from 1 (cat) to 1 (cat)" in said
    assert "--class-weights was" not in said


@pytest.fixture(scope="module")
def class_folders(tmp_path_factory):
    data = tmp_path_factory.mktemp("class folders")
    make_folder(data, 10)
    make_folder(data, 1, ("eel",))
    return data


@pytest.fixture(scope="module")
def divided_run(run_with, class_folders, tmp_path_factory):
    run = tmp_path_factory.mktemp("divided") / "run"
    run_with(class_folders, "--split", "0.3", "--epochs", "1", "--seed", "5", "-b", "8", "-o", run, *NARROW)
    return run


def pictures_of(trainer):
    return [loader.folder.samples for loader in (trainer.training, trainer.validation)]


def test_a_folder_of_class_folders_is_divided(built, divided_run, class_folders, tmp_path, capsys):
    trainer, _ = built(class_folders, "--split", "0.3", "--seed", "5", "-o", tmp_path / "run", *NARROW)
    said = capsys.readouterr().out
    assert "classes of one picture, which is for training: eel\n" in said
    assert "15 training and 6 validation pictures of 3 classes" in said
    assert "byte for byte" not in said
    assert [len(part) for part in pictures_of(trainer)] == [15, 6]
    division = Division.of(ImageFolder(class_folders), 0.3, 5)
    assert Division.read(tmp_path / "run" / "split.json") == Division.read(divided_run / "split.json") == division
    assert pictures_of(trainer) == [part.samples for part in division.parts(ImageFolder(class_folders))]
    other, _ = built(class_folders, "--split", "0.3", "--seed", "6", "-o", tmp_path / "other", *NARROW)
    assert pictures_of(other) != pictures_of(trainer)
    np.testing.assert_array_equal(trainer.training.statistics.mean, Statistics.of(trainer.training.folder).mean)


def test_the_division_stays_though_pictures_were_added(script, built, run_with, divided_run, class_folders, tmp_path,
                                                       capsys, monkeypatch):
    run, data = shutil.copytree(divided_run, tmp_path / "run"), shutil.copytree(class_folders, tmp_path / "data")
    before = [[path.relative_to(class_folders) for path, _ in part] for part in
              pictures_of(built("--resume", run, "--epochs", "2")[0])]
    for i in range(20):
        shutil.copy(data / "cat" / "0.png", data / "cat" / f"a{i}.png")
    capsys.readouterr()
    for arguments in ((), ("--seed", "9"), ("--split", "0.3"), ("-o", tmp_path / "elsewhere")):
        trainer, _ = built(data, "--resume", run, "--epochs", "2", *arguments)
        said = capsys.readouterr().out
        assert [[path.relative_to(data) for path, _ in part] for part in pictures_of(trainer)] == before
        assert f"{data} is divided as {run / 'split.json'} says\n" in said
        assert said.count("left out: new since the division 20\n") == 1
        assert "pictures changed" not in said
    assert (tmp_path / "elsewhere" / "split.json").read_text() == (run / "split.json").read_text()
    (run / "split.json").rename(tmp_path / "split.json")
    shutil.copy(run / "last.safetensors", tmp_path / "mine.safetensors")
    seen = []
    monkeypatch.setattr(script, "measure", lambda model, loader, *rest: seen.append(loader))
    run_with(data, "--resume", tmp_path / "mine.safetensors", "--evaluate")
    assert [path.relative_to(data) for path, _ in seen[0].folder.samples] == before[1]
    with pytest.raises(ValueError, match=r"split\.json: No such file"):
        run_with(data, "--resume", run, "--epochs", "2")


def test_other_pictures_that_are_divided_are_taken_as_they_are(script, built, run_with, divided_run, tmp_path,
                                                               monkeypatch):
    run = shutil.copytree(divided_run, tmp_path / "run")
    for part in ("train", "test"):
        make_folder(tmp_path / "other" / part, 2, ("cat", "dog", "eel"))
    seen = []
    monkeypatch.setattr(script, "measure", lambda model, loader, *rest: seen.append(loader))
    run_with(tmp_path / "other", "--resume", run, "--evaluate")
    assert seen[0].folder.root == tmp_path / "other" / "test"
    trainer, _ = built(tmp_path / "other", "--resume", run, "--epochs", "2")
    assert [len(part) for part in pictures_of(trainer)] == [6, 6]
    assert trainer.checkpoints.extras[1]["config"]["split"] is None


def test_a_class_that_is_called_test(built, tmp_path):
    data = tmp_path / "data"
    make_folder(data, 4, ("control", "test"))
    run = tmp_path / "run"
    trainer, _ = built(data, "--split", "0.25", "-o", run, *NARROW)
    trainer.save()
    again, _ = built(data, "--resume", run)
    assert pictures_of(again) == pictures_of(trainer)


def test_a_division_that_cannot_be_is_refused(run_with, run, divided_run, data, class_folders, tmp_path):
    for more in ((), ("--evaluate",)):
        with pytest.raises(ValueError, match=r"^--split 0\.5: the run has 0\.3, by which it goes on: leave it out"):
            run_with("--resume", divided_run, "--epochs", "2", "--split", "0.5", *more)
        with pytest.raises(ValueError, match=r"^--split 0\.5: the run has none, by which it goes on: leave it out"):
            run_with("--resume", run, "--epochs", "2", "--split", "0.5", *more)
    with pytest.raises(ValueError, match="is divided already, into train and val: leave --split out"):
        run_with(data, "--split", "0.5", "-o", tmp_path / "new", *NARROW)
    with pytest.raises(ValueError, match=r"if these are the classes, --split 0\.2 keeps a fifth"):
        run_with(class_folders, "-o", tmp_path / "new", *NARROW)
    assert not (tmp_path / "new").exists()


def test_pictures_on_both_sides_are_said(built, tmp_path, capsys):
    data = tmp_path / "data"
    make_folder(data, 5)
    for i in range(5, 10):
        os.link(data / "dog" / "0.png", data / "dog" / f"{i}.png")
    trainer, _ = built(data, "--split", "0.5", "--seed", "1", "-o", tmp_path / "run", *NARROW)
    same = {f"dog/{i}.png" for i in (0, 5, 6, 7, 8, 9)}
    there = sorted(same & {path.relative_to(data).as_posix() for path, _ in trainer.validation.folder.samples})
    assert f"{len(there)} validation pictures are for training too, byte for byte: {', '.join(there)}: " in (
        capsys.readouterr().out)


@pytest.mark.parametrize(("names", "said"), [(("val",), ""), (("test",), "validation is on {}/test\n"),
                                             (("val", "test"), "validation is on {}/val, not on test\n")])
def test_which_folder_is_validation_is_said(built, tmp_path, capsys, names, said):
    for name in ("train", *names):
        make_folder(tmp_path / name, 2)
    trainer, _ = built(tmp_path, "-o", tmp_path / "run", *NARROW)
    assert trainer.validation.folder.root == tmp_path / names[0]
    text = capsys.readouterr().out
    assert said.format(tmp_path) in text
    assert said or "validation is on" not in text


@pytest.mark.parametrize("older", [False, True])
def test_a_run_keeps_its_schedule(built, run_with, run, older):
    """Before a run noted it, the recipe small kept its rate; then there was no patience, and of equal epochs the first
    was the best."""
    arrays, facts = checkpoint.load(run / "last.safetensors")
    own, other = "cosine", "constant"
    if older:
        own, other = other, own
        del facts["config"]["schedule"], facts["config"]["patience"], facts["progress"]["best_loss"]
        facts["schedule"] = {"lr": 0.001, "epoch": 1}
        for name in ("last", "best"):
            checkpoint.save(run / f"{name}.safetensors", arrays, facts)
    for more in ((), ("--evaluate",)):
        with pytest.raises(ValueError, match=rf"--schedule {other}: the run has {own}, .*: leave it out"):
            run_with("--resume", run, "--epochs", "4", "--schedule", other, *more)
    trainer, _ = built("--resume", run, "--epochs", "4", "--schedule", own)
    right = 0.001 if older else facts["config"]["lr"] * (1 + math.sqrt(0.5)) / 2  # of the second of four epochs
    assert trainer.optimiser.lr == trainer.schedule.lr == pytest.approx(right)
    assert (trainer.patience, trainer.progress.best_epoch) == (0, 1)
    assert (trainer.progress.best_loss == 0) == older


def test_a_cosine_goes_on_to_the_end_that_was_asked_for(run_with, built, data, tmp_path, capsys):
    run_with(data, "--epochs", "1", "--seed", "5", "-b", "8", "--lr", "1e-9", "--schedule", "cosine", "-o",
             tmp_path / "run", *NARROW)
    trainer, _ = built("--resume", tmp_path / "run", "--epochs", "3")
    assert trainer.schedule.lr == trainer.optimiser.lr == pytest.approx(0.75e-9)
    assert "the learning rate was 0 and is 7.5e-10" in capsys.readouterr().out
    trainer, _ = built("--resume", tmp_path / "run", "--epochs", "3", "--lr", "0.25")
    assert trainer.schedule.lr == trainer.optimiser.lr == pytest.approx(0.25)
    trainer.schedule.epoch_ended(0.5)
    assert trainer.schedule.lr == pytest.approx(0.25 / 3)


def test_a_run_goes_on_from_its_last_checkpoint_with_its_own_settings(built, run, data, capsys):
    arrays, facts = checkpoint.load(run / "last.safetensors")
    facts["progress"]["step"] = 1
    checkpoint.save(run / "best.safetensors", {name: a * 0 for name, a in arrays.items()}, facts)
    trainer, epochs = built("--resume", run, "--epochs", "4")
    assert epochs == 4
    assert trainer.progress.step == 2
    for name, weights in trainer.model.state_dict().items():
        np.testing.assert_array_equal(weights, arrays[f"model.{name}"], err_msg=name)
    assert (trainer.training.batch_size, trainer.training.seed, trainer.optimiser.momentum) == (8, 5, 0.5)
    assert " was " not in capsys.readouterr().out.replace("the learning rate was", "")
    other, _ = built("--resume", run, "--epochs", "4", "-b", "4", "--momentum", "0.25", "--lr", "0.0625")
    assert (other.training.batch_size, other.optimiser.momentum, other.optimiser.lr) == (4, 0.25, 0.0625)
    said = capsys.readouterr().out
    assert "--batch-size was 8 and is 4\n--momentum was 0.5 and is 0.25\n" in said and said.count("--") == 2


def test_a_best_that_was_gone_back_from_is_named_as_such(run_with, run, capsys):
    arrays, facts = checkpoint.load(run / "best.safetensors")
    facts["progress"] |= {"best": 1.0, "best_loss": 0.0, "epoch": 5}
    checkpoint.save(run / "best.safetensors", arrays, facts)
    run_with("--resume", run, "--epochs", "2")
    said = capsys.readouterr().out
    assert "best epoch: 5, of those that the run went back from, top-1 100.0%, kept in " in said
    assert " after epoch 5, before the run went back, " in said


def test_the_best_is_evaluated(script, run_with, run, monkeypatch):
    seen = []
    arrays, facts = checkpoint.load(run / "last.safetensors")
    checkpoint.save(run / "best.safetensors", {name: a * (2 if "model" in name else 1) for name, a in arrays.items()},
                    facts)
    monkeypatch.setattr(script, "measure", lambda *given: seen.append(given))
    run_with("--resume", run, "--evaluate")
    (_, loader, measured, path, output, _), = seen
    assert output is None
    assert not loader.train
    assert path == run / "best.safetensors"
    np.testing.assert_array_equal(measured["model.fc8.weight"], 2 * arrays["model.fc8.weight"])


@pytest.mark.parametrize("option", [("--variant", "paper"), ("--width", "0.06"), ("--recipe", "paper")])
@pytest.mark.parametrize("evaluate", [(), ("--evaluate",)])
def test_what_belongs_to_the_weights_stays(run_with, run, option, evaluate):
    before = {path: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(ValueError, match=f"{option[0]} {option[1]}"):
        run_with("--resume", run, "--epochs", "2", *option, *evaluate)
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_pictures_are_predicted_as_in_validation(built, data, tmp_path, monkeypatch):
    trainer, _ = built(data, "-o", tmp_path / "run", *NARROW)
    seen = {}

    def drawn(*given):
        seen["draw_predictions"] = given
        given[-1].write_text("")

    monkeypatch.setattr("minicnn.plots.draw_predictions", drawn)
    model, loader = trainer.model, trainer.validation
    model.train()
    show_what_it_learned(model, trainer.training, loader, tmp_path / "run")
    pictures, labels, probabilities, classes, _ = seen["draw_predictions"]
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == {"kernels.png", "predictions.png",
                                                                         "neighbours.png"}
    assert classes == ["cat", "dog"]
    by_hand = [read_picture(path) for path, _ in loader.folder.samples]
    assert labels == [label for path, label in loader.folder.samples for picture in pictures
                      if (picture == read_picture(path)).all()]
    model.eval()
    with no_grad():
        views = np.stack([central_crop(p, loader.statistics) * np.float32(loader.scale) for p in by_hand])
        right = model(views).softmax().numpy()
    for picture, row in zip(pictures, probabilities, strict=True):
        i = next(i for i, p in enumerate(by_hand) if (p == picture).all())
        np.testing.assert_allclose(row, right[i], rtol=1e-5)


# -- from trained weights ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Pictures of other classes than those of ``data``: each has a colour of its own."""
    root = tmp_path_factory.mktemp("others")
    for part, count in (("train", 8), ("val", 2)):
        for path, label in make_folder(root / part, count, ("ash", "birch", "elm")).samples:
            pixels = np.array(Image.open(path))
            pixels[..., label] //= 4
            Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(scope="module")
def weights(one_epoch, tmp_path_factory):
    """Files of trained weights, by what wrote them."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "w.pth").write_bytes(torch_archive(as_torchvision(layers_of("torchvision"))))
    (folder / "w.caffemodel").write_bytes(caffe_net(as_caffe(layers_of("caffe")), name="AlexNet"))
    return {"minicnn": one_epoch, "PyTorch": folder / "w.pth", "Caffe": folder / "w.caffemodel"}


def from_weights(others, file, run, *more):
    return others, "--weights", file, "--seed", "3", "--workers", "0", "-o", run, *more


@pytest.mark.parametrize("kind", ["minicnn", "PyTorch", "Caffe"])
def test_it_starts_from_weights_and_is_shown_what_they_were(built, others, weights, tmp_path, capsys, kind):
    trainer, epochs = built(*from_weights(others, weights[kind], tmp_path / "run"))
    ask, start = load_any(weights[kind]), start_from(weights[kind])
    said = capsys.readouterr().out
    assert f"starting from {ask.path}: fc8 is drawn anew for 3 classes, and its rate is 10 times the others'" in said
    assert "measuring" not in said
    assert f"AlexNet ({ask.net.variant})" in said
    assert (epochs, trainer.training.batch_size, trainer.optimiser.lr) == (10, 50, 0.001)
    net = trainer.model
    assert (net.variant, net.width, net.inverted_dropout) == (
        ask.net.variant, ask.net.width, ask.net.inverted_dropout)
    state = net.state_dict()
    for name, right in start.state.items():
        np.testing.assert_array_equal(state[name], right, err_msg=name)
    assert state["fc8.weight"].std() == pytest.approx(0.01, rel=0.2)
    for loader in (trainer.training, trainer.validation):
        assert loader.statistics is trainer.training.statistics
        np.testing.assert_array_equal(loader.statistics.mean, start.statistics.mean)
        assert (loader.scale, loader.crop, loader.noise) == (start.config["scale"], net.pixels, 0)
    config = trainer.checkpoints.extras[1]["config"]
    assert config.items() >= start.config.items()
    assert config["weights"] == str(ask.path)


@pytest.mark.parametrize("kind", ["minicnn", "PyTorch", "Caffe"])
def test_who_asks_it_later_shows_it_what_training_and_validation_did(built, others, weights, tmp_path, kind):
    trainer, _ = built(*from_weights(others, weights[kind], tmp_path / "run"))
    trainer.save()
    ask = load_any(tmp_path / "run")
    images, _ = next(trainer.validation.epoch(0))
    seen = ask.prepare([ask.read(path) for path, _ in trainer.validation.folder.samples])
    np.testing.assert_array_equal(images, seen)
    with no_grad():
        probabilities = trainer.model.eval()(images).softmax().numpy()
    paths = [path for path, _ in trainer.validation.folder.samples]
    np.testing.assert_allclose(ask.probabilities(paths), probabilities, rtol=1e-4)
    resumed, _ = built("--resume", tmp_path / "run")
    np.testing.assert_array_equal(next(resumed.validation.epoch(0))[0], images)
    for loader, other in ((trainer.training, resumed.training), (trainer.validation, resumed.validation)):
        np.testing.assert_array_equal(next(loader.epoch(1))[0], next(other.epoch(1))[0])
    assert resumed.model.inverted_dropout == trainer.model.inverted_dropout


def test_the_last_layer_learns_ten_times_as_fast(built, others, weights, tmp_path):
    """v = −ε (g + decay · w), where ε is 0.001 for weights, twice that for biases, which do not decay; × 10 in fc8."""
    trainer, _ = built(*from_weights(others, weights["minicnn"], tmp_path / "run"))
    before = trainer.model.state_dict()
    trainer.take_step([next(trainer.training.epoch(0))])
    for name, parameter in trainer.model.named_parameters():
        w, bias = before[name], parameter.ndim == 1
        rate = 0.001 * (2 if bias else 1) * (10 if name.startswith("fc8") else 1)
        v = -rate * (parameter.grad.numpy() + (0 if bias else 0.0005) * w)
        np.testing.assert_allclose(parameter.numpy(), w + v, rtol=1e-5, atol=1e-9, err_msg=name)
        assert np.abs(v).max() > 0


def test_it_learns_and_goes_on_without_the_file_to_the_same_bits(run_with, one_epoch, others, tmp_path, capsys):
    file, run = shutil.copy(one_epoch / "best.safetensors", tmp_path / "w.safetensors"), tmp_path / "run"
    run_with(*from_weights(others, file, run, "--epochs", "2", "-b", "4", "--keep", "2", "--device", "cpu:0,cpu:1"))
    losses = [line["val_loss"] for line in Log(run / "log.jsonl").read() if "val_loss" in line]
    assert losses[1] < 0.5 * math.log(3), "half of what guessing costs"
    assert losses[1] < losses[0]
    os.remove(file)
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(run / "epoch-0001.safetensors", again / "last.safetensors")
    capsys.readouterr()
    run_with("--resume", again)
    assert "starting from" not in capsys.readouterr().out
    ends = [checkpoint.load(folder / "last.safetensors") for folder in (run, again)]
    assert ends[0][0].keys() == ends[1][0].keys()
    for name, array in ends[0][0].items():
        np.testing.assert_array_equal(array, ends[1][0][name], err_msg=name)
    for folder in (run, again):
        config = json.loads((folder / "config.json").read_text())
        assert (config["recipe"], config["weights"]) == ("finetune", str(file))
    capsys.readouterr()
    run_with("--resume", run, "--evaluate", "-o", tmp_path / "scores")
    assert f"loss {losses[-1]:.3f}: " in capsys.readouterr().out
    assert (tmp_path / "scores" / "classes.csv").exists()
    assert load_any(run).classes == ["ash", "birch", "elm"]
    assert start_from(run).config["scale"] == config["scale"], "from there on to yet others"


def test_the_same_classes_are_learned_anew_too(built, data, weights, tmp_path, capsys):
    trainer, _ = built(*from_weights(data, weights["minicnn"], tmp_path / "run"))
    assert "fc8 is drawn anew for 2 classes" in capsys.readouterr().out
    assert (trainer.model.fc8.weight.numpy() != load(weights["minicnn"]).model.fc8.weight.numpy()).all()


@pytest.mark.parametrize(("options", "words"), [
    (["--weights", "{0}", "--variant", "paper"], "variant paper would be another model: .* is of variant blueprint"),
    (["--weights", "{0}", "--width", "0.5"], "width 0.5 would be another model: .* is of width 0.05: leave it out"),
    (["--weights", "nowhere"], "cannot load nowhere: there is no such file"),
    (["--weights", "nowhere.pth"], "cannot load nowhere.pth: No such file"),
    (["--weights", "{0}/config.json"], "cannot load .*config.json: "),
    (["--weights", "{0}", "--recipe", "small"], "--recipe small: finetune goes with --weights, and every other"),
    (["--recipe", "finetune"], "--recipe finetune: finetune goes with --weights, and every other without"),
    (["--weights", "{0}", "--resume", "{0}"], "argument --resume: not allowed with argument --weights"),
    (["--weights", "{0}", "--evaluate"], "--evaluate measures a checkpoint: name it with --resume"),
])  # fmt: skip
def test_what_cannot_be_started_from_is_a_bad_command_line(run_with, others, one_epoch, tmp_path, capsys, options,
                                                           words):
    with pytest.raises(SystemExit) as end:
        run_with(others, "-o", tmp_path / "run", *(option.format(one_epoch) for option in options))
    assert end.value.code == 2
    assert re.search(words, said := capsys.readouterr().err)
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_may_name_its_recipe_and_no_other(built, run_with, others, weights, tmp_path):
    trainer, _ = built(*from_weights(others, weights["minicnn"], tmp_path / "run"))
    trainer.save()
    built("--resume", tmp_path / "run", "--recipe", "finetune")
    with pytest.raises(ValueError, match="--recipe small would be another model: the checkpoint is of recipe finetune"):
        run_with("--resume", tmp_path / "run", "--recipe", "small")


def test_what_several_ranks_cannot_do_together_is_said(script):
    ranks = Ranks()
    ranks.size, ranks.hosts = 6, ["here"] * 6
    config = {"plan": None, "batch_size": 32, "exact": True, "parts": 4}
    for change, said in (({}, "--exact computes 4 parts, which are too few for 6 ranks: give --parts 6, or"),
                         ({"batch_size": 5}, "--batch-size 5 is too small for 6 ranks: each takes at least one pic"),
                         ({"plan": True}, "--plan measures one process: leave mpiexec out")):
        with pytest.raises(DataError, match=said):
            script.check_ranks(ranks, config | change, None, None)
