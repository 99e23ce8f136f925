"""The trained network that comes with minicnn, and the program that makes its file of a run."""

import shutil
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_record_run import BENCHMARKS, CLASSES, FLAT, program, run  # noqa: F401 (fixtures)

from minicnn import checkpoint, models
from minicnn.checkpoint import CheckpointError
from minicnn.data import Loader, image_folders
from minicnn.models import classifier
from minicnn.models.first_layer import SMOOTH_NOISE, looks
from minicnn.models.saved import load
from minicnn.training.scores import evaluate

pytestmark = pytest.mark.processor


def test_it_is_what_its_file_holds():
    ask, arrays = models.pretrained(), load_file(classifier.OWN_WEIGHTS)
    assert ask.classes == ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    assert (ask.net.variant, ask.net.width, ask.net.training) == ("blueprint", 1 / 16, False)
    state = ask.net.state_dict()
    assert {f"model.{name}" for name in state} == {name for name in arrays if name.startswith("model.")}
    for name, array in state.items():
        stored = arrays[f"model.{name}"]
        assert array.dtype != np.float32 or stored.dtype == np.float16
        np.testing.assert_array_equal(array, stored)
    np.testing.assert_array_equal(ask.statistics.mean[:, ::8, 5::8], arrays["statistics.mean"])
    np.testing.assert_array_equal(ask.statistics.mean[:, 7::8, ::8], arrays["statistics.mean"])
    assert not [name for name in arrays if name.startswith("velocity")]


def test_its_first_kernels_are_colours_in_one_tower_and_grey_in_the_other_and_no_noise():
    """As in the paper's Figure 3; edges are those of directions that are far apart."""
    a, b = (looks(tower.conv1.layers[0].weight.numpy()) for tower in models.pretrained().net.towers())
    assert min(a.smooth.min(), b.smooth.min()) > 6 * SMOOTH_NOISE
    assert a.colour.min() > 0.6 and b.colour.max() < 0.1
    edges = b.angle[b.oriented > 0.25]
    assert len(edges) == 2 and 45 < np.ptp(edges) < 135


def test_it_says_what_it_is():
    facts = models.pretrained().facts
    assert facts["command"].startswith("python examples/train_alexnet.py CIFAR-10 --variant blueprint --width 0.0625 ")
    assert facts["licence"].startswith("MIT")
    assert "Krizhevsky" in facts["learned_from"]
    before, scores = facts["before"], facts["scores"]
    assert before["pictures"] == scores["pictures"] == 10_000
    assert 0.6 < scores["top1"] < scores["top5"] < 1
    assert abs(before["top1"] - scores["top1"]) < 0.002  # what half precision costs
    assert facts["config"]["data"] == "CIFAR-10"
    assert not [value for value in facts["config"].values() if "/" in str(value)]
    assert classifier.OWN_WEIGHTS.stat().st_size < 500_000


def test_a_file_that_is_missing_or_damaged_is_told_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "OWN_WEIGHTS", tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=r"^cannot load .*net\.safetensors: there is no such file$"):
        models.pretrained()
    data = bytearray((BENCHMARKS.parent / "minicnn" / "models" / "alexnet-cifar10.safetensors").read_bytes())
    data[-1000] ^= 1
    (tmp_path / "net.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"^cannot load .*: the file is damaged: its checksum is not .*$"):
        models.pretrained()
    (tmp_path / "net.safetensors").write_bytes(data[:5000])
    with pytest.raises(CheckpointError, match=r"^cannot load .*: the file is damaged: .*$"):
        models.pretrained()


@pytest.fixture(scope="module")
def ship_net(program):  # noqa: F811
    import ship_net

    return ship_net


def test_what_is_shipped_of_a_run(ship_net, run, tmp_path):  # noqa: F811
    folder, out = run[0], tmp_path / "net.safetensors"
    facts = ship_net.ship(folder, out, "SET", 0)
    small, whole = load(out), load(folder)
    assert small.facts.items() >= {name: facts[name] for name in ("command", "licence", "before", "scores")}.items()
    for name, array in small.model.state_dict().items():
        own = whole.model.state_dict()[name]
        np.testing.assert_array_equal(array, own.astype(np.float16) if own.dtype == np.float32 else own)
    np.testing.assert_array_equal(small.statistics.mean, FLAT.mean)
    np.testing.assert_array_equal(small.statistics.sigma, FLAT.sigma)
    assert (small.classes, small.scale) == (CLASSES, whole.scale)
    assert small.facts["config"] == whole.facts["config"] | {"data": "SET", "val": "val"}
    assert "--variant blueprint" in facts["command"]
    assert "--seed 5" in facts["command"]
    assert facts["progress"] == {"epoch": 2, "step": 9}
    _, pictures = image_folders(folder.parent / "set")
    for name, net in (("before", whole), ("scores", small)):
        with Loader(pictures, net.statistics, 4, scale=net.scale, workers=0, train=False) as loader:
            expected = evaluate(net.model, loader)
        assert facts[name] == {"pictures": 9, **{key: pytest.approx(value, abs=1e-5)
                                                 for key, value in expected.means().items()}}
    assert facts["before"]["loss"] != facts["scores"]["loss"]
    assert out.stat().st_size < (folder / "best.safetensors").stat().st_size / 2


def test_the_mean_picture_is_kept_in_squares(ship_net, run, tmp_path):  # noqa: F811
    arrays, facts = checkpoint.load(run[0] / "best.safetensors")
    mean = np.random.default_rng(0).uniform(0, 255, (3, 256, 256)).astype(np.float32)
    checkpoint.save(tmp_path / "last.safetensors", arrays | {"statistics.mean": mean}, facts)
    kept = ship_net.small(load(tmp_path))["statistics.mean"]
    assert kept.shape == (3, 32, 32)
    for i, j in ((0, 0), (3, 30), (31, 7)):
        expected = mean[:, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8].mean((1, 2))
        np.testing.assert_allclose(kept[:, i, j], expected, rtol=1e-3)


def test_a_run_without_an_epoch_is_refused(ship_net, run, tmp_path, monkeypatch, capsys):  # noqa: F811
    arrays, facts = checkpoint.load(run[0] / "best.safetensors")
    checkpoint.save(tmp_path / "last.safetensors", arrays, facts | {"progress": {"epoch": 0, "step": 4}})
    for name, words in ((str(tmp_path), "no epoch of it has ended: ship it when one has"), ("nowhere", "no such")):
        monkeypatch.setattr(sys, "argv", ["ship_net.py", name, str(tmp_path / "net.safetensors")])
        with pytest.raises(SystemExit) as end:
            ship_net.main()
        assert end.value.code == 2
        assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "net.safetensors").exists()


def test_the_program_says_what_it_wrote(ship_net, run, tmp_path, monkeypatch, capsys):  # noqa: F811
    shutil.copytree(run[0], tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["ship_net.py", str(tmp_path / "run"), str(tmp_path / "a.safetensors"), "-j", "0"])
    ship_net.main()
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith("% before)")
    assert "bytes, after epoch 2 right for " in said
