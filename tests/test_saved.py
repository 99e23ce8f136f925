"""A trained network as it is found again: the right file, whole, of this program, with its weights."""

import shutil

import numpy as np
import pytest

from minicnn import checkpoint, no_grad
from minicnn.checkpoint import CheckpointError
from minicnn.data import Statistics
from minicnn.models import RECIPES, alexnet
from minicnn.models.saved import checkpoint_at, load, read

STATISTICS = Statistics(np.ones((3, 256, 256), np.float32), np.float32([1, 2, 3]), np.eye(3, dtype=np.float32), bad={})
FACTS = {"config": {"recipe": "paper", "variant": "paper", "width": 0.05, "seed": 1, "data": None, "version": "0.9"},
         "classes": ["cat", "dog", "eel"], "progress": {"epoch": 2}, "schedule": {"lr": 0.1}}


@pytest.fixture(scope="module")
def net():
    return alexnet("paper", 3, width=0.05, inverted_dropout=False)


@pytest.fixture(scope="module")
def arrays(net):
    velocities = {f"velocity.{name}": p.numpy() for name, p in net.named_parameters()}
    return velocities | {f"model.{name}": array for name, array in net.state_dict().items()} | STATISTICS.arrays()


@pytest.fixture
def file(arrays, tmp_path):
    checkpoint.save(tmp_path / "last.safetensors", arrays, FACTS)
    return tmp_path / "last.safetensors"


def test_the_network_is_as_it_was_saved(file, net):
    saved = load(str(file))
    assert (saved.path, saved.classes) == (file, ["cat", "dog", "eel"])
    assert (saved.model.variant, saved.model.width, saved.model.inverted_dropout) == ("paper", 0.05, False)
    images = np.random.default_rng(0).random((2, 3, 224, 224), np.float32)
    net.eval()
    with no_grad():
        np.testing.assert_array_equal(saved.model(images).numpy(), net(images).numpy())
    assert saved.facts == FACTS | {"config": FACTS["config"] | {"inverted_dropout": False, "scale": 1.0,
                                                               "schedule": "plateau"}}
    for name in ("mean", "sigma", "axes"):
        np.testing.assert_array_equal(getattr(saved.statistics, name), getattr(STATISTICS, name))


def test_scale_and_dropout_are_the_run_s_or_else_its_recipe_s(arrays, tmp_path):
    for given, right in (({"recipe": "small"}, (RECIPES["small"].scale(STATISTICS.deviation), True)),
                         ({"scale": 0.25, "inverted_dropout": True}, (0.25, True)), ({}, (1.0, False))):  # fmt: skip
        checkpoint.save(tmp_path / "a", arrays, FACTS | {"config": FACTS["config"] | given})
        saved = load(tmp_path / "a")
        assert (saved.scale, saved.model.inverted_dropout) == right
        assert load(tmp_path / "a").facts["config"].items() >= {"scale": right[0], "inverted_dropout": right[1]}.items()


def test_of_a_run_the_best_is_taken_or_the_last(file):
    run, best = file.parent, file.with_name("best.safetensors")
    assert checkpoint_at(run) == checkpoint_at(run, best=False) == load(run).path == file
    shutil.copy(file, best)
    assert checkpoint_at(str(run)) == load(run).path == best
    assert checkpoint_at(run, best=False) == checkpoint_at(file) == file


@pytest.mark.parametrize("change, words", [
    (lambda arrays, facts: facts.pop("progress"), "holds no run of this program: it lacks progress"),
    (lambda arrays, facts: facts.update(progress={}), "it lacks progress.epoch"),
    (lambda arrays, facts: facts.update(config={"variant": "paper"}), "lacks config.seed, config.data, config.width"),
    (lambda arrays, facts: arrays.pop("statistics.axes"), "it lacks statistics.axes"),
    (lambda arrays, facts: facts["config"].update(recipe="huge"), "knows no recipe 'huge': .* is of version 0.9"),
    (lambda arrays, facts: facts["config"].update(variant="lenet"), "knows no variant 'lenet'")])
def test_what_is_of_another_program_or_version_is_refused(tmp_path, arrays, change, words):
    arrays, facts = dict(arrays), FACTS | {"config": dict(FACTS["config"])}
    change(arrays, facts)
    checkpoint.save(tmp_path / "other", arrays, facts)
    for function in (read, load):
        with pytest.raises(CheckpointError, match=words):
            function(tmp_path / "other")


def test_weights_that_are_not_finite_or_of_another_network_are_refused(tmp_path, arrays):
    bias = arrays["model.fc8.bias"]
    checkpoint.save(tmp_path / "nan", arrays | {"model.fc8.bias": bias * np.nan}, FACTS)
    with pytest.raises(CheckpointError, match="nan holds numbers that are not finite"):
        load(tmp_path / "nan")
    read(tmp_path / "nan")  # of which a training says more
    checkpoint.save(tmp_path / "wider", arrays, FACTS | {"config": FACTS["config"] | {"width": 0.1}})
    with pytest.raises(ValueError, match="load_state_dict"):
        load(tmp_path / "wider")
    with pytest.raises(CheckpointError, match="there is no such file"):
        load(tmp_path)
