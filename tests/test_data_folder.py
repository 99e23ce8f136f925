"""The folder of pictures: what is listed, in which order, and what is said when it is wrong."""
import json
import os
import shutil
import unicodedata
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from pictures import make_folder

from minicnn.data import DataError, ImageFolder, image_folders
from minicnn.data.folder import validation_folder, validation_name
from minicnn.data.picture import picture_suffixes


def names(folder):
    return [f"{path.parent.name}/{path.name}:{label}" for path, label in folder.samples]


def test_classes_and_samples_are_sorted(tmp_path):
    for file in ("b/2.jpg", "b/10.JPEG", "a/z.png", "a/y.tif"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    folder = ImageFolder(str(tmp_path))
    assert folder.classes == ["a", "b"]
    assert names(folder) == ["a/y.tif:0", "a/z.png:0", "b/10.JPEG:1", "b/2.jpg:1"]
    assert len(folder) == 4
    assert folder.root == tmp_path


def test_strays_are_left_out_but_unreadable_pictures_are_not(tmp_path):
    make_folder(tmp_path, 1, ("a b", "größe"))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "list.txt").touch()
    a = tmp_path / "a b"
    for stray in (".DS_Store", ".hidden.png", "notes.txt", "Thumbs.db", "page.eps"):
        (a / stray).touch()
    (a / "x.jpg").mkdir()
    (a / "link-to-folder.jpg").symlink_to(tmp_path)
    (a / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    (a / "loop.jpg").symlink_to(a / "loop.jpg")
    folder = ImageFolder(tmp_path)
    assert names(folder) == ["a b/0.png:0", "a b/dangling.jpg:0", "a b/loop.jpg:0", "größe/0.png:1"]


def lay(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


TWO = ("a/1.jpg", "b/1.jpg")


@pytest.mark.parametrize("files, words", [
    ((), ""),
    (("a/1.heic", "a/2.HEIC", "b/3.heic", "b/4.avif", "a/noext"), "left out: .heic 3, .avif 1, without suffix 1"),
    (("a/more/1.jpg", "a/more/still/2.jpg", "b/x/y/z/3.png"), "left out: in folders inside a class 3"),
    (("a/.thumb.jpg", "a/._1.jpg", "a/.DS_Store", ".git/x.jpg"), "left out: hidden pictures 1"),
    (("1.jpg", "list.txt"), "left out: .txt 1, pictures beside the folders of the classes 1"),
    (("a/1.jpg.tmp", "a/2.jpg~", "a/3.jpg "), "left out: .jpg  1, .jpg~ 1, .tmp 1"),
    (("a/1.\x1b[31m",), r"left out: .\x1b[31m 1"),
    (tuple(f"a/1.{letter}" for letter in "nopqrst"), "left out: .n 1, .o 1, .p 1, .q 1, .r 1 and 2 more")], ids=str)
def test_what_is_left_out_is_counted(tmp_path, files, words):
    folder = ImageFolder(lay(tmp_path, *TWO, *files))
    assert names(folder) == ["a/1.jpg:0", "b/1.jpg:1"]
    assert folder.left_out_in_words() == words


def test_a_link_to_a_folder_inside_a_class_is_not_walked(tmp_path):
    lay(tmp_path, *TWO)
    (tmp_path / "a" / "link").symlink_to("/")
    assert ImageFolder(tmp_path).left_out == {"in folders inside a class": 1}


@pytest.mark.parametrize("suffix", ["JPG", "Jpeg", "PNG", "TIF", "WebP", "BMP"])
def test_suffixes_in_capitals(tmp_path, suffix):
    assert len(ImageFolder(lay(tmp_path, f"a/1.{suffix}", "b/1.jpg"))) == 2


def test_a_class_of_folders_alone_says_where_its_pictures_are(tmp_path):
    lay(tmp_path, "a/1.jpg", "b/more/1.jpg", "b/more/2.jpg")
    with pytest.raises(DataError, match="found none in b; left out: in folders inside a class 2"):
        ImageFolder(tmp_path)


ODD = ["ca$$h", "a$_$b", "-rf", "--help", " ", "x" * 255, "a\nb", "\x1b[31m", "'\"", "犬", "%s{}", "~", "~root", "a\\b",
       os.fsdecode(b"gr\xf6\xdfe"), os.fsdecode(b"\xff")]  # fmt: skip


def test_classes_of_any_name(tmp_path):
    for part in ("train", "val"):
        lay(tmp_path / part, *(f"{name}/1.jpg" for name in ODD))
    train, val = image_folders(tmp_path)
    assert train.classes == val.classes == sorted(ODD)
    assert all(path.is_file() for path, _ in train.samples)
    assert json.loads(json.dumps(train.classes)) == train.classes


def test_two_unicode_forms_of_one_name(tmp_path):
    for part, form in (("train", "NFC"), ("val", "NFD")):
        lay(tmp_path / part, *(unicodedata.normalize(form, f"{name}/1.jpg") for name in ("größe", "한국", "zoo", "ﬁn")))
    train, val = image_folders(tmp_path)
    assert train.classes == val.classes == sorted(["größe", "한국", "zoo", "ﬁn"])
    assert all(path.is_file() for path, _ in val.samples)
    (tmp_path / "val" / "größe").mkdir()
    check_error(tmp_path, "val", "two whose names look the same, in two forms of Unicode: größe")


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(lay(tmp_path, *(f"pets/{part}/{file}" for part in ("train", "val") for file in TWO)))
    assert image_folders("~/pets")[0].root == tmp_path / "pets" / "train"
    assert ImageFolder("~/pets/val").root == tmp_path / "pets" / "val"
    for path in ("~nobody-of-this-name/pets", "~/cats"):
        with pytest.raises(DataError, match="found nothing there"):
            image_folders(path)
    lay(tmp_path / "~", *(f"pets/{part}/{file}" for part in ("train", "val") for file in TWO))
    assert str(image_folders("~/pets")[0].root) == os.path.join("~", "pets", "train")
    monkeypatch.delenv("HOME")
    image_folders(Path("~/pets"))


def test_pictures_are_known_by_the_suffixes_of_cameras_and_programs():
    assert {".jpg", ".jpeg", ".jfif", ".png", ".gif", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp", ".jp2",
            ".mpo"} <= picture_suffixes()
    assert not {"", ".txt", ".eps", ".pdf", ".npy"} & picture_suffixes()


@pytest.mark.parametrize("turn", [sorted, lambda entries, key: sorted(entries, key=key, reverse=True)])
def test_the_order_does_not_depend_on_the_disk(tmp_path, monkeypatch, turn):
    make_folder(tmp_path, 3, ("b", "a", "c"))
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: nullcontext(turn(scan(path), key=lambda entry: entry.name)))
    assert names(ImageFolder(tmp_path)) == [f"{name}/{n}.png:{label}" for label, name in enumerate("abc")
                                            for n in range(3)]


def test_train_and_val(tmp_path):
    make_folder(tmp_path / "train", 3)
    make_folder(tmp_path / "val", 1)
    train, val = image_folders(tmp_path)
    assert (len(train), len(val)) == (6, 2)
    assert train.classes == val.classes == ["cat", "dog"]


@pytest.mark.parametrize(("there", "taken"), [
    (("val", "valid", "validation", "test"), "val"), (("test", "valid"), "valid"), (("test",), "test"),
    (("validation", "test"), "validation"), (("valid", "validation"), "valid")])
def test_validation_by_other_names(tmp_path, there, taken):
    for name in ("train", *there):
        make_folder(tmp_path / name, 1)
    assert image_folders(tmp_path)[1].root == validation_folder(tmp_path).root == tmp_path / taken
    assert validation_name(tmp_path) == taken
    assert validation_name(tmp_path, there) is None
    shutil.rmtree(tmp_path / taken / "dog")
    shutil.rmtree(tmp_path / "train" / "cat")
    for name in ("train", taken):
        make_folder(tmp_path / name, 1, ("eel",))
    check_error(tmp_path, f"expected the same classes in train and {taken}", f"only in {taken}: cat")


def test_error_no_validation(tmp_path):
    make_folder(tmp_path / "train", 1)
    for measure in (image_folders, validation_folder):
        with pytest.raises(DataError, match="found train"):
            measure(tmp_path)
    with pytest.raises(DataError, match="expected a folder val, or else valid, validation or test, with one"):
        validation_folder(tmp_path)
    check_error(tmp_path, ": --split 0.2 keeps a fifth of each class for validation: give "
                f"{tmp_path / 'train'} with it")


def test_error_class_folders_alone(tmp_path):
    make_folder(tmp_path, 1)
    check_error(tmp_path, "found cat, dog: if these are the classes, --split 0.2 keeps a fifth of each for validation")
    make_folder(tmp_path, 1, ("train",))  # the vehicle
    check_error(tmp_path, "found cat, dog, train: if these are the classes, --split 0.2")


def test_a_part_has_all_classes(tmp_path):
    folder = make_folder(tmp_path, 3)
    part = folder.part(np.array([name == "dog/1.png" for name in folder.names()]))
    assert names(part) == ["dog/1.png:1"]
    assert (part.classes, part.root, len(folder)) == (folder.classes, folder.root, 6)


def check_error(root, *parts):
    with pytest.raises(DataError) as caught:
        image_folders(root)
    message = str(caught.value)
    assert message.isprintable()
    for part in (str(root), *parts):
        assert part in message


def test_error_nothing_there(tmp_path):
    check_error(tmp_path / "nowhere", "found nothing there")


def test_error_a_file(tmp_path):
    (tmp_path / "file").touch()
    check_error(tmp_path / "file", "found a file")


def test_error_no_permission(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))
    monkeypatch.setattr(os, "scandir", refuse)  # the superuser is refused nothing
    check_error(tmp_path, "cannot be read: Permission denied")


def test_error_no_train(tmp_path):
    check_error(tmp_path, "expected the folders train and val", "found nothing")
    make_folder(tmp_path, 1, tuple("abcdefgh"))
    check_error(tmp_path, "expected the folders train and val", "found a, b, c, d, e and 3 more")
    make_folder(tmp_path / "train")
    check_error(tmp_path, "expected the folders train and val")


def test_error_empty_class(tmp_path):
    make_folder(tmp_path / "train", 1, ("cat", "dog", "eel"))
    make_folder(tmp_path / "val", 1, ("cat", "dog", "eel"))
    (tmp_path / "val" / "eel" / "0.png").unlink()
    check_error(tmp_path, "val", "found none in eel")


def test_error_one_class(tmp_path):
    make_folder(tmp_path / "train")
    (tmp_path / "val" / "cat").mkdir(parents=True)
    check_error(tmp_path, "val", "two or more classes", "found cat")


def test_error_classes_differ(tmp_path):
    make_folder(tmp_path / "train", 1, ("cat", "dog", "eel"))
    make_folder(tmp_path / "val", 1, ("cat", "dog", "fox"))
    check_error(tmp_path, "same classes", "only in train: eel", "only in val: fox")


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", os.fsdecode(b"\xff"), "\u202etxt"])
def test_a_name_in_an_error_commands_no_terminal(tmp_path, name):
    with pytest.raises(DataError) as caught:
        ImageFolder(lay(tmp_path / name, "only/1.jpg"))
    assert str(caught.value).isprintable()
    with pytest.raises(DataError) as caught:
        ImageFolder(lay(tmp_path / "x", f"{name}/1.txt", "b/1.jpg"))
    assert str(caught.value).isprintable()
