"""What is kept of a run to be shown: looked up in the run, and nothing of the machine in it."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import normal
from pictures import make_folder
from PIL import Image
from safetensors.numpy import load_file

from minicnn import checkpoint, manual_seed
from minicnn.data import Loader, Statistics, image_folders, read_picture
from minicnn.models import RECIPES, alexnet
from minicnn.models.first_layer import looks
from minicnn.training.log import Log
from minicnn.training.scores import evaluate

pytestmark = pytest.mark.processor
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FLAT = Statistics(np.full((3, 256, 256), 99, np.float32), np.float32([10, 20, 90]), np.eye(3, dtype=np.float32), {})
CLASSES = ["cat", "dog", "frog"]


@pytest.fixture(scope="module")
def program():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import record_run

        yield record_run
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(its folder, its network, its kernels at the start)."""
    root = tmp_path_factory.mktemp("home")
    for part, count in (("train", 5), ("val", 3)):
        make_folder(root / "set" / part, count, CLASSES)
    manual_seed(5)
    net = alexnet(classes=3, width=1 / 24)
    RECIPES["small"].start(net, normal(4, 3, 224, 224).astype(np.float32))
    start = [tower.conv1.layers[0].weight.numpy().copy() for tower in net.towers()]
    for tower in net.towers():
        tower.conv1.layers[0].weight.writable()[...] += 0.05 * normal(2, 3, 11, 11).astype(np.float32)
    config = {"variant": "blueprint", "recipe": "small", "width": 1 / 24, "seed": 5, "inverted_dropout": True,
              "scale": 0.02, "data": str(root / "set" / "train"), "val": str(root / "set" / "val"), "labels": None,
              "split": None}
    facts = {"config": config, "classes": CLASSES, "progress": {"epoch": 2, "step": 9}, "schedule": {}}
    run = root / "run"
    run.mkdir()
    arrays = {f"model.{name}": array for name, array in net.state_dict().items()} | FLAT.arrays()
    checkpoint.save(run / "best.safetensors", arrays, facts)
    (run / "config.json").write_text(json.dumps(config))
    Log(run / "log.jsonl").write({"step": 1, "loss": 1.0, "top1": 0.5})
    return run, net, start


@pytest.fixture(scope="module")
def out(program, run):
    out = run[0].parent / "out"
    program.record(run[0], out, "CIFAR", 0)
    return out


def test_no_weight_and_no_path_is_kept(run, out):
    assert {path.name for path in out.iterdir()} == {
        "record.json", "config.json", "log.jsonl", "curves.png", "kernels.png", "kernels.csv", "kernels.safetensors",
        "predictions.jpg", "neighbours.jpg", "thumbnails.jpg", "confusions.png", "classes.csv"}  # fmt: skip
    for path in out.iterdir():
        assert str(run[0].parent).encode() not in path.read_bytes(), path.name
    config = json.loads((out / "config.json").read_text())
    assert (config["data"], config["val"], config["seed"]) == ("CIFAR", "val", 5)
    assert (out / "log.jsonl").read_bytes() == (run[0] / "log.jsonl").read_bytes()
    for path in (*out.glob("*.jpg"), *out.glob("*.png")):
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 1


def test_kernels_are_those_of_now_and_of_the_start(run, out):
    _, net, start = run
    arrays = load_file(out / "kernels.safetensors")
    rows = list(csv.DictReader((out / "kernels.csv").read_text().splitlines()))
    for name, tower, before in zip("ab", net.towers(), start, strict=True):
        now = tower.conv1.layers[0].weight.numpy()
        np.testing.assert_allclose(arrays[f"{name}.now"], now, rtol=1e-3, atol=1e-4)
        drawn = arrays[f"{name}.start"].astype(float)
        for one, other in zip(drawn, before, strict=True):  # but for its size
            assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9999
        seen = looks(now)
        for i, row in enumerate(row for row in rows if row["tower"] == name):
            assert int(row["kernel"]) == i
            assert [float(row[key]) for key in seen._fields] == pytest.approx([of[i] for of in seen], abs=1e-4)
    assert len(rows) == 4


def test_numbers_are_those_of_the_best(program, run, out):
    facts = json.loads((out / "record.json").read_text())
    _, validation = image_folders(run[0].parent / "set")
    scores = evaluate(run[1], Loader(validation, FLAT, 9, train=False, scale=0.02)).means()
    assert (facts["checkpoint"], facts["epoch"], facts["step"]) == ("best.safetensors", 2, 9)
    assert (facts["training"], facts["validation"], facts["classes"]) == (15, 9, CLASSES)
    assert facts["top1"] == scores["top1"]
    assert facts["loss"] == pytest.approx(scores["loss"], rel=1e-4)
    for _, best in facts["predictions"]:
        assert sum(best.values()) == pytest.approx(1)
        assert list(best.values()) == sorted(best.values(), reverse=True)
    assert [len(found) for _, found in facts["neighbours"]] == [6] * 5


def test_how_many_of_the_nearest_by_pixels_are_of_the_same_class(run, out):
    training, validation = image_folders(run[0].parent / "set")

    def small(path):
        return (read_picture(path)[16:240, 16:240].reshape(28, 8, 28, 8, 3).mean((1, 3)) * 0.02).ravel()

    hits = []
    for path, label in validation.samples:
        near = sorted(training.samples, key=lambda sample: np.linalg.norm(small(sample[0]) - small(path)))[:6]
        hits += [other == label for _, other in near]
    found = json.loads((out / "record.json").read_text())["nearest"]
    assert found["same_class_by_pixels"] == pytest.approx(np.mean(hits))
    assert (found["asked"], found["searched"], found["by"]) == (9, 15, "fc7")
    assert 0 <= found["same_class"] <= 1


def test_thumbnails_are_the_pictures_in_their_order(run, out):
    """Eight for their classes, then five and their six nearest each: in every row the first is a validation picture."""
    _, validation = image_folders(run[0].parent / "set")
    with Image.open(out / "thumbnails.jpg") as sheet:
        assert sheet.size == (7 * 64, 7 * 64)
        tiles = np.asarray(sheet).reshape(7, 64, 7, 64, 3).swapaxes(1, 2).reshape(49, 64, 64, 3).astype(float)
    chosen = np.linspace(0, 8, 8).astype(int).tolist() + np.linspace(0, 8, 5).astype(int).tolist()
    for place, i in zip([*range(8), *range(8, 43, 7)], chosen, strict=True):
        picture = Image.fromarray(read_picture(validation.samples[i][0])).resize((64, 64))
        assert np.abs(tiles[place] - np.asarray(picture)).mean() < 8, place


def test_what_is_no_run_is_refused_in_a_line(program, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["record_run.py", str(tmp_path), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as end:
        program.main()
    assert end.value.code == 2
    assert "last.safetensors" in capsys.readouterr().err.splitlines()[-1]


def test_a_run_of_which_no_epoch_has_ended_is_refused(program, run, tmp_path):
    arrays, facts = checkpoint.load(run[0] / "best.safetensors")
    checkpoint.save(tmp_path / "last.safetensors", arrays, facts | {"progress": {"epoch": 0, "step": 4}})
    with pytest.raises(ValueError, match="no epoch of it has ended: record it when one has"):
        program.record(tmp_path, tmp_path / "out", "CIFAR", 0)
    assert not (tmp_path / "out").exists()


SHIPPED = sorted((BENCHMARKS / "results").glob("train_alexnet-cifar10-*"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_what_ships_is_whole(folder):
    """Chapter 13 draws it: its table is that of its kernels, and its epoch is in its log."""
    arrays, config = load_file(folder / "kernels.safetensors"), json.loads((folder / "config.json").read_text())
    kernels = round(48 * config["width"])
    rows = list(csv.DictReader((folder / "kernels.csv").read_text().splitlines()))
    for name in "ab":
        seen = looks(arrays[f"{name}.now"].astype(np.float32))
        assert arrays[f"{name}.now"].shape == arrays[f"{name}.start"].shape == (kernels, 3, 11, 11)
        colours = [float(row["colour"]) for row in rows if row["tower"] == name]
        np.testing.assert_allclose(colours, seen.colour, atol=1e-3)
    facts, lines = json.loads((folder / "record.json").read_text()), Log(folder / "log.jsonl").read()
    assert any(line["step"] == facts["step"] for line in lines)
    assert facts["epoch"] >= 1
    assert config["data"] == "CIFAR"
    assert not [path.name for path in folder.iterdir() if path.stat().st_size > 1_500_000]
