"""python -m minicnn compare: what differs between runs, how well each did, and their curves."""

import json
import math
import os

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minicnn.__main__ import main
from minicnn.compare import compared, read_run
from minicnn.plots import draw_comparison
from minicnn.training.log import Log


def made(folder, top1, losses=None, **config):
    """The folder of a run with so many epochs, each of 100 s."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"seed": 1, "lr": 0.01, "recipe": "small"} | config))
    log = Log(folder / "log.jsonl")
    for epoch, (top, loss) in enumerate(zip(top1, losses or [1.5] * len(top1), strict=True), 1):
        log.write({"epoch": epoch, "step": epoch, "loss": 9.0, "top1": 0.0})
        log.write({"epoch": epoch, "step": epoch, "lr": 0.01, "seconds": 100.4, "train_loss": 2.0, "train_top1": 0.25,
                   "val_loss": loss, "val_top1": top})
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_differs_and_how_well_each_did(here, capsys):
    one = made(here / "one", [0.5, *[0.625] * 4], [1.5, 1.5, 1.25, 1.25, math.inf])
    two = made(here / "two", [0.75], [0.5], lr=0.1, width=0.25)
    assert main(["compare", "one", "two"]) == 0
    table, _, end = capsys.readouterr().out.partition("\n\nbest: ")
    assert [" ".join(line.split()) for line in table.splitlines()] == [
        "one two", "lr 0.01 0.1", "width - 0.25", "", "best top-1 62.5% 75.0%", "after epoch 3 1",
        "last top-1 62.5% 75.0%", "last loss - 0.500", "epochs done 5 1", "time 0:08:22 0:01:40"]
    assert end == f"75.0% after epoch 1: {two.name}/best.safetensors\ncurves: compare.png\n"
    with Image.open(here / "compare.png") as image:
        assert image.format == "PNG"
    assert sorted(path.name for path in one.iterdir()) == ["config.json", "log.jsonl"]


def test_runs_of_one_name_and_of_the_same_settings(here):
    runs = [read_run(made(here / name / "run", [0.5])) for name in "ab"]
    lines = compared(runs).splitlines()
    assert lines[0].split() == [f"{here}/{name}/run"[:15] + "…" + f"{here}/{name}/run"[-14:] for name in "ab"]
    assert lines[1].split() == ["settings", "the", "same", "the", "same"]


def test_a_run_without_an_epoch_and_numbers_that_are_none(here, capsys):
    made(here / "a", [])
    made(here / "b", [None, 0.5], [None, 2.5])
    (here / "a" / "log.jsonl").unlink(missing_ok=True)
    assert main(["compare", "a", "b", "-o", "c.svg"]) == 0
    said = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "best top-1 - 50.0%" in said
    assert "epochs done - 2" in said
    assert (here / "c.svg").read_text().startswith("<?xml")
    made(here / "c", [])
    assert main(["compare", "a", "c"]) == 0
    assert "best: " not in capsys.readouterr().out


def test_the_curves_are_those_of_the_runs(here, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *at, **how: figures.append(figure))
    runs = [(f"ru$n{i}", read_run(made(here / str(i), [0.1 * i, 0.5], [3.0, i])).epochs) for i in range(9)]
    draw_comparison(runs, here / "a.png")
    figure, = figures
    for axes, name, train in zip(figure.axes, ("val_loss", "val_top1"), (2.0, 0.25), strict=True):
        assert len(axes.lines) == 18
        for i, (title, epochs) in enumerate(runs):
            pale, line = axes.lines[2 * i : 2 * i + 2]
            assert (line.get_label(), list(line.get_xdata())) == (title, [1, 2])
            np.testing.assert_allclose(line.get_ydata(), [end[name] for end in epochs])
            np.testing.assert_allclose(pale.get_ydata(), train)
            assert pale.get_color() == line.get_color()
        looks = {(line.get_color(), line.get_marker()) for line in axes.lines[1::2]}
        assert len(looks) == 9, "no two runs look alike"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [title for title, _ in runs]


BAD = {
    "not there": (lambda folder: None, "bad is not there: give the folder of a run"),
    "a file": (lambda folder: folder.write_text(""), "bad is a file: give the folder"),
    "empty": (lambda folder: folder.mkdir(), "bad holds no config.json: give the folder"),
    "damaged": (lambda folder: (made(folder, [0.5]) / "config.json").write_text("{"), "config.json is damaged: give"),
    "a list": (lambda folder: (made(folder, [0.5]) / "config.json").write_text("[]"), "config.json is damaged: give"),
    "no text": (lambda folder: (made(folder, [0.5]) / "config.json").write_bytes(b"\xff"), "config.json is damaged"),
    "a folder for a log": (lambda folder: os.replace(made(folder, [0.5]) / "config.json", folder / "log.jsonl") or
                           (folder / "config.json").mkdir(), "config.json: Is a directory"),
}


@pytest.mark.parametrize(("spoil", "words"), BAD.values(), ids=BAD)
def test_a_folder_that_holds_no_run_is_one_line_and_status_2(here, capsys, spoil, words):
    made(here / "good", [0.5])
    spoil(here / "bad")
    with pytest.raises(SystemExit) as end:
        main(["compare", "good", "bad"])
    said = capsys.readouterr()
    assert (end.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert words in said.err


@pytest.mark.parametrize(("arguments", "words"), [
    (["good"], "it takes two runs or more to compare, given is good alone"), ([], "arguments are required: RUN"),
    (["good", "good", "-o", "no/a.png"], "cannot write no/a.png: there is no folder no")])
def test_a_bad_command_line_is_one_line_and_status_2(here, capsys, arguments, words):
    made(here / "good", [0.5])
    with pytest.raises(SystemExit) as end:
        main(["compare", *arguments])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_without_a_picture_the_table_is_there_and_the_status_1(here, capsys):
    made(here / "good", [0.5])
    assert main(["compare", "good", "good", "-o", "a.xyz"]) == 1
    said = capsys.readouterr()
    assert "best top-1" in said.out
    assert said.err.startswith("a.xyz is not made: Format 'xyz' is not supported")
    assert said.err.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["good"]
