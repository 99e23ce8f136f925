"""What the training script puts together: looked at in this process, just before the first step."""

import itertools
import math
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from pictures import make_folder

from minicnn import checkpoint, cpu, manual_seed, no_grad
from minicnn.data import Loader, Statistics, central_crop, image_folders, read_picture
from minicnn.models import RECIPES, VARIANTS, alexnet
from minicnn.models.saved import load
from minicnn.nn import Dropout

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


@pytest.mark.parametrize("recipe", RECIPES)
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
        assert loader.scale == pytest.approx(1 / own.deviation if recipe == "small" else 1)


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


def test_a_run_goes_on_from_its_last_checkpoint_with_its_own_settings(built, run, data):
    arrays, facts = checkpoint.load(run / "last.safetensors")
    facts["progress"]["step"] = 1
    checkpoint.save(run / "best.safetensors", {name: a * 0 for name, a in arrays.items()}, facts)
    trainer, epochs = built("--resume", run, "--epochs", "4")
    assert epochs == 4
    assert trainer.progress.step == 2
    for name, weights in trainer.model.state_dict().items():
        np.testing.assert_array_equal(weights, arrays[f"model.{name}"], err_msg=name)
    assert (trainer.training.batch_size, trainer.training.seed, trainer.optimiser.momentum) == (8, 5, 0.5)
    other, _ = built("--resume", run, "--epochs", "4", "-b", "4", "--momentum", "0.25", "--lr", "0.0625")
    assert (other.training.batch_size, other.optimiser.momentum, other.optimiser.lr) == (4, 0.25, 0.0625)


def test_the_best_is_evaluated(script, run_with, run, monkeypatch):
    seen = []
    arrays, facts = checkpoint.load(run / "last.safetensors")
    checkpoint.save(run / "best.safetensors", {name: a * (2 if "model" in name else 1) for name, a in arrays.items()},
                    facts)
    monkeypatch.setattr(script, "measure", lambda *given: seen.append(given))
    run_with("--resume", run, "--evaluate")
    (_, loader, measured, path), = seen
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


def test_pictures_are_predicted_as_in_validation(script, built, data, tmp_path, monkeypatch):
    trainer, _ = built(data, "-o", tmp_path / "run", *NARROW)
    seen = {}
    for name in ("draw_curves", "draw_kernels", "draw_predictions"):
        monkeypatch.setattr(script.plots, name, lambda *given, name=name: seen.update({name: given}))
    model, loader = trainer.model, trainer.validation
    model.train()
    script.show_what_it_learned(model, loader, tmp_path / "run")
    pictures, labels, probabilities, classes, _ = seen["draw_predictions"]
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
