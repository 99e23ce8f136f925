"""The folder of pictures: what is listed, in which order, and what is said when it is wrong."""
import os

import pytest
from pictures import make_folder

from minicnn.data import DataError, ImageFolder, image_folders


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


def test_train_and_val(tmp_path):
    make_folder(tmp_path / "train", 3)
    make_folder(tmp_path / "val", 1)
    train, val = image_folders(tmp_path)
    assert (len(train), len(val)) == (6, 2)
    assert train.classes == val.classes == ["cat", "dog"]


def check_error(root, *parts):
    with pytest.raises(DataError) as caught:
        image_folders(root)
    message = str(caught.value)
    assert "\n" not in message
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
