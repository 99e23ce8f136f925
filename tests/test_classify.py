"""python -m minicnn classify: every picture answered or named, and a status that a script can rely on."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image
from test_classifier import files, run  # noqa: F401 - fixtures

from minicnn import checkpoint, models
from minicnn.__main__ import main


def told(capsys, *arguments):
    """(status, what it printed, what it complained of)"""
    status = main(["classify", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out.splitlines(), said.err.splitlines()


def test_a_table(run, files, capsys):  # noqa: F811
    status, lines, errors = told(capsys, *files[:2], "--weights", run, "--top", 2)
    assert (status, errors, len(lines)) == (0, [], 6)
    answers = models.load(run).classify(files[1], 2)
    assert lines[3:] == [str(files[1]), *(f"{100 * a.probability:6.1f} %  {a.name}" for a in answers)]


def test_without_weights_the_network_that_comes_with_minicnn_is_asked(files, capsys):  # noqa: F811
    status, lines, errors = told(capsys, files[0], "--top", 10)
    answers = models.pretrained().classify(files[0], 10)
    assert (status, errors, len(answers)) == (0, [], 10)
    assert lines[1:] == [f"{100 * a.probability:6.1f} %  {a.name}" for a in answers]


def test_a_network_that_gives_no_numbers_answers_nothing(run, files, tmp_path, capsys):  # noqa: F811
    arrays, facts = checkpoint.load(run / "last.safetensors")
    arrays |= {name: array * np.float32(1e20) for name, array in arrays.items() if ".fc" in name and "weight" in name}
    checkpoint.save(tmp_path / "nan.safetensors", arrays, facts)
    status, lines, errors = told(capsys, files[0], "--weights", tmp_path / "nan.safetensors")
    assert (status, lines) == (1, [])
    assert errors == [f"{files[0]}: the network's answer is NaN: its numbers overflow, as after a learning rate too "
                      "large; take an earlier checkpoint"]  # fmt: skip
    status, lines, _ = told(capsys, files[0], "--weights", tmp_path / "nan.safetensors", "--json")
    assert status == 1 and "NaN" in json.loads(lines[0])["error"]


def test_json_lines(run, files, capsys):  # noqa: F811
    status, lines, _ = told(capsys, files[0], "--weights", run, "--json")
    (answer,) = map(json.loads, lines)
    assert (status, answer["picture"]) == (0, str(files[0]))
    assert [a["class"] for a in answer["answers"]] == [a.name for a in models.load(run).classify(files[0])]
    assert abs(sum(a["probability"] for a in answer["answers"]) - 1) < 1e-5


def test_one_bad_picture_is_named_and_the_others_answered_in_their_order(run, files, tmp_path, capsys):  # noqa: F811
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    status, lines, errors = told(capsys, files[0], bad, tmp_path / "gone.png", files[1], "--weights", run, "--json")
    assert status == 1
    assert [json.loads(line)["picture"] for line in lines] == [str(p) for p in (files[0], bad, tmp_path / "gone.png",
                                                                                files[1])]  # fmt: skip
    assert errors == [f"{bad}: not a picture in any known format",
                      f"{tmp_path / 'gone.png'}: No such file or directory"]  # fmt: skip
    assert json.loads(lines[1])["error"] == "not a picture in any known format"


def test_folders_hold_pictures_at_any_depth(run, files, tmp_path, capsys):  # noqa: F811
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for file, name in zip(files, ("inner/z.png", "b.JPG", "a.png"), strict=True):
        file.rename(tmp_path / "folder" / name)
    (tmp_path / "folder" / "notes.txt").write_text("not one")
    status, lines, _ = told(capsys, tmp_path / "folder", "--weights", run, "--json")
    assert status == 0
    assert [json.loads(line)["picture"] for line in lines] == [str(tmp_path / "folder" / name) for name in
                                                               ("a.png", "b.JPG", "inner/z.png")]  # fmt: skip
    (tmp_path / "empty").mkdir()
    status, _, errors = told(capsys, tmp_path / "empty", "--weights", run)
    assert (status, errors) == (1, [f"{tmp_path / 'empty'}: a folder without pictures"])


def test_a_picture_on_the_standard_input(run, files, capsys, monkeypatch):  # noqa: F811
    for content, status in ((files[0].read_bytes(), 0), (b"no picture", 1), (b"", 1)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert told(capsys, "-", "--weights", run)[0] == status


def test_many_pictures_come_in_batches(run, files, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr("minicnn.models.classifier.AT_ONCE", 2)
    _, lines, _ = told(capsys, *files, *files, "--weights", run, "--json")
    assert [json.loads(line)["picture"] for line in lines] == [str(file) for file in files * 2]


@pytest.mark.parametrize("weights, words", [
    ("gone.safetensors", "there is no such file"), ("gone.pth", "No such file"), (".", "last.safetensors"),
    ("text.pth", "not written by torch.save"), ("text.safetensors", "it is no checkpoint, or the file is damaged"),
    ("text.caffemodel", "none of Caffe's"), ("README.md", "it is no checkpoint, or the file is damaged"),
    ("empty", "it is no checkpoint, or the file is damaged"),
])  # fmt: skip
def test_weights_that_cannot_be_had_are_one_line(weights, words, files, tmp_path, capsys):  # noqa: F811
    for suffix in (".pth", ".safetensors", ".caffemodel"):
        (tmp_path / f"text{suffix}").write_text("nothing of the kind")
    (tmp_path / "README.md").write_text("# What this is")
    (tmp_path / "empty").touch()
    with pytest.raises(SystemExit) as stopped:
        main(["classify", str(files[0]), "--weights", str(tmp_path / weights)])
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n")) == (2, 1)
    assert words in said


def test_names_of_classes(tmp_path):
    from minicnn.classify import _names

    (tmp_path / "names").write_text("n01440764 tench, Tinca tinca\n\n  a cat \nnone of these\n", encoding="utf-8")
    assert _names(tmp_path / "names") == ["tench, Tinca tinca", "a cat", "none of these"]


def test_control_characters_in_a_name_are_not_printed(run, tmp_path, capsys):  # noqa: F811
    path = tmp_path / "a\x1b[31m.png"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    _, lines, _ = told(capsys, path, "--weights", run)
    assert "\x1b" not in "".join(lines)
