"""A folder of class folders, divided: the same on every machine, and kept as it was."""

import json
import os
import shutil
import unicodedata
from contextlib import nullcontext

import pytest

from minicnn.data import DataError, ImageFolder
from minicnn.data.division import Division, in_both


def lay(root, **counts):
    """A folder for each class, with so many pictures, each of another content."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.png").write_text(ascii(f"{name} {number}"))
    return ImageFolder(root)


def of_class(names, name):
    return [picture for picture in names if picture.startswith(f"{name}/")]


def test_so_much_of_each_class_is_for_validation(tmp_path):
    folder = lay(tmp_path, ant=100, bee=10, cat=7, dog=2, eel=1)
    division = Division.of(folder, 0.2, seed=1)
    assert [len(of_class(division.validation, name)) for name in folder.classes] == [20, 2, 1, 1, 0]
    assert [len(of_class(division.training, name)) for name in folder.classes] == [80, 8, 6, 1, 1]
    everything = [f"{path.parent.name}/{path.name}" for path, _ in folder.samples]
    assert sorted(division.training + division.validation) == sorted(everything)
    assert [len(of_class(Division.of(folder, 0.9, 1).training, name)) for name in folder.classes] == [10, 1, 1, 1, 1]
    assert [len(of_class(Division.of(folder, 0.25, 1).validation, name)) for name in folder.classes] == [25, 3, 2, 1, 0]


def test_the_seed_decides_and_each_class_is_drawn_by_itself(tmp_path):
    folder = lay(tmp_path / "one", ant=40, bee=40)
    one = Division.of(folder, 0.5, 1)
    assert Division.of(folder, 0.5, 1) == one
    assert Division.of(folder, 0.5, 2) != one
    assert {name.split("/")[1] for name in of_class(one.validation, "ant")} != {
        name.split("/")[1] for name in of_class(one.validation, "bee")}
    assert of_class(Division.of(lay(tmp_path / "two", bee=40, wasp=3), 0.5, 1).validation, "bee") == of_class(
        one.validation, "bee")


def test_it_is_the_same_on_every_machine(tmp_path):
    """Names and seed alone decide; these are what they gave."""
    division = Division.of(lay(tmp_path, ant=6, größe=6), 0.34, 7)
    assert division.validation == ["ant/1.png", "ant/2.png", "größe/1.png", "größe/4.png"]


def test_neither_the_order_of_the_disk_nor_the_form_of_a_name_counts(tmp_path, monkeypatch):
    one = Division.of(lay(tmp_path / "one", ant=9, größe=9), 0.34, 7)
    lay(tmp_path / "two", **{unicodedata.normalize("NFD", "größe"): 9, "ant": 9})
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: nullcontext(
        sorted(scan(path), key=lambda entry: entry.name, reverse=True)))
    folder = ImageFolder(tmp_path / "two")
    assert Division.of(folder, 0.34, 7) == one
    assert [len(part) for part in one.parts(folder)] == [len(one.training), len(one.validation)]


def test_the_parts_have_all_classes_and_no_picture_twice(tmp_path):
    folder = lay(tmp_path, ant=10, bee=5, eel=1)
    training, validation = Division.of(folder, 0.2, 3).parts(folder)
    assert training.classes == validation.classes == folder.classes == ["ant", "bee", "eel"]
    assert sorted(training.samples + validation.samples) == sorted(folder.samples)
    assert (len(training), len(validation)) == (13, 3)
    assert training.samples == sorted(training.samples), "by class, then by name"
    assert training.root == folder.root
    assert folder.left_out_in_words() == ""


def test_what_is_written_is_what_is_read_and_new_pictures_are_left_out(tmp_path):
    folder = lay(tmp_path / "data", ant=10, **{"a\nb": 4, os.fsdecode(b"\xff"): 4})
    division = Division.of(folder, 0.3, 3)
    division.write(tmp_path / "split.json")
    assert Division.read(tmp_path / "split.json") == division
    assert json.loads((tmp_path / "split.json").read_text()) == {"training": division.training,
                                                                 "validation": division.validation}
    before = [part.samples for part in division.parts(folder)]
    for name in ("00.png", "new.png"):
        (tmp_path / "data" / "ant" / name).write_text("new")
    again = ImageFolder(tmp_path / "data")
    training, validation = Division.read(tmp_path / "split.json").parts(again)
    assert [training.samples, validation.samples] == before
    for part in (training, validation):
        assert part.left_out_in_words() == "left out: new since the division 2"
    gone = tmp_path / "data" / division.training[0]
    gone.unlink()
    training, _ = division.parts(ImageFolder(tmp_path / "data"))
    assert len(training) == len(division.training) - 1


def test_one_picture_a_class_leaves_none(tmp_path):
    with pytest.raises(DataError, match="every class has one picture: none is left for validation"):
        Division.of(lay(tmp_path, ant=1, bee=1), 0.5, 1)


def test_another_folder(tmp_path):
    division = Division.of(lay(tmp_path / "one", ant=3, bee=3), 0.3, 1)
    with pytest.raises(DataError, match=r"two: none of the 2 pictures for validation is there, such as ant/\d.png: "):
        division.parts(lay(tmp_path / "two", cat=3, dog=3))


GOOD = {"training": ["a/1.png", "b/1.png"], "validation": ["a/2.png"]}


@pytest.mark.parametrize("text", [
    "", "{", "[]", "3", '{"training": []}', json.dumps(GOOD | {"validation": []}), "[" * 100_000,
    json.dumps(GOOD | {"training": "a/1.png"}), json.dumps(GOOD | {"training": [3]}),
    json.dumps(GOOD | {"validation": ["b/1.png"]}), json.dumps(GOOD, ensure_ascii=False) + "ö"])
def test_a_file_that_is_damaged(tmp_path, text):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(GOOD))
    assert Division.read(path) == Division(**GOOD)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"split\.json is damaged: expected two lists of names"):
        Division.read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"split\.json: No such file .*: it says which pictures are for validation"):
        Division.read(tmp_path / "split.json")


def test_the_same_file_on_both_sides_is_found(tmp_path):
    training, validation = lay(tmp_path / "one", ant=3, bee=3), lay(tmp_path / "two", cat=2, dog=2)
    assert in_both(training, validation) == []
    head, other, tail = b"h" * 5000, b"o" * 5000, b"t" * 5000
    a, b, c, d = (path for path, _ in validation.samples)
    (tmp_path / "one" / "ant" / "0.png").write_bytes(head + tail)
    a.write_bytes(head + tail)
    b.write_bytes(other + tail)  # of one size and one end
    c.unlink()
    c.symlink_to(training.samples[5][0])
    d.unlink()
    d.symlink_to("nowhere")
    assert in_both(training, validation) == [a, c]
    shutil.rmtree(tmp_path / "one")
    assert in_both(training, validation) == []
