"""The training script on pictures that lie in archives: what it learns does not depend on where they lie."""

import io
import os
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from archives import files_of, shards, tar, tar_of_tars
from pictures import make_folder
from PIL import Image
from test_train_alexnet import cache, finished, inside, refused  # noqa: F401 - a fixture

from minicnn import checkpoint
from minicnn.data import ImageFolder, read_picture
from minicnn.data.pack import pack
from minicnn.data.sources import parts_of
from minicnn.training.pictures import pictures_under

NARROW = ["--width", "0.05", "--workers", "0", "--recipe", "small", "--seed", "3", "-b", "4"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "set"
    make_folder(root / "train", 5, ("cat", "dog", "emu"))
    make_folder(root / "val", 2, ("cat", "dog", "emu"))
    return root


def train(*arguments, epochs=1):
    return finished(inside(*arguments, "--epochs", epochs, *NARROW))


def weights_of(run):
    return checkpoint.part(checkpoint.load(run / "last.safetensors")[0], "model.")


def same(run, other):
    ours, theirs = weights_of(run), weights_of(other)
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def from_folder(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("folder") / "run"
    train(data, "-o", run)
    return run


def one_tar(data, to):
    return [tar(to / "all.tar", files_of(data))]


def as_imagenet(data, to):
    (to / "val").mkdir()
    flat = [(f"{i}.png", data) for i, (_, data) in enumerate(files_of(data / "val"))]
    (to / "labels.txt").write_text("".join(f"{name.split('/')[0]}\n" for name, _ in files_of(data / "val")))
    return [tar_of_tars(data / "train", to), "--val", tar(to / "val" / "val.tar", flat), "--labels", to / "labels.txt"]


def as_shards(data, to):
    (to / "val").mkdir()
    return [shards(data / "train", to), "--val", shards(data / "val", to / "val")]


def packed_raw(data, to):
    pack(parts_of(data), to / "raw.zip", quality=None)
    return [to / "raw.zip"]


@pytest.mark.parametrize("lie", [one_tar, as_imagenet, as_shards, packed_raw])
def test_the_same_weights_from_wherever_the_pictures_lie(data, from_folder, tmp_path, lie):
    run = tmp_path / "run"
    said = train(*lie(data, tmp_path), "-o", run)
    assert same(run, from_folder)
    assert "15 training and 6 validation pictures of 3 classes" in said
    with (run / "wrong.csv").open(encoding="utf-8-sig") as file:
        assert all(str(tmp_path) in line for line in list(file)[1:]), "wrong pictures are named by archive and place"


def test_other_pixels_are_other_weights(data, from_folder, tmp_path):
    pack(parts_of(data), tmp_path / "small.zip", quality=5)
    train(tmp_path / "small.zip", "-o", tmp_path / "run")
    assert not same(tmp_path / "run", from_folder)


def test_a_run_goes_on_in_its_archive(data, from_folder, tmp_path):
    path, = one_tar(data, tmp_path)
    train(path, "-o", tmp_path / "whole", epochs=2)
    train(path, "-o", tmp_path / "parts")
    finished(inside("--resume", tmp_path / "parts", "--epochs", 2))
    assert same(tmp_path / "parts", tmp_path / "whole")
    moved = shutil.copytree(from_folder, tmp_path / "moved")
    said = finished(inside(path, "--resume", moved, "--epochs", 2))
    assert "changed" not in said, "the same pictures, elsewhere"
    assert same(moved, tmp_path / "whole")


def test_an_archive_may_be_divided(data, tmp_path):
    path = tar_of_tars(data / "train", tmp_path)
    train(path, "--split", "0.4", "-o", tmp_path / "tar")
    train(data / "train", "--split", "0.4", "-o", tmp_path / "folder")
    assert same(tmp_path / "tar", tmp_path / "folder")
    assert (tmp_path / "tar" / "split.json").read_text() == (tmp_path / "folder" / "split.json").read_text()
    said = finished(inside("--resume", tmp_path / "tar", "--evaluate"))
    assert "is divided as" in said


def test_ten_views_at_the_end(data, from_folder, tmp_path):
    run = shutil.copytree(from_folder, tmp_path / "run")
    one, ten = (finished(inside("--resume", run, "--evaluate", "--crops", crops)).splitlines()[-1] for crops in (1, 10))
    assert re.fullmatch(r"top-1 [\d.]+% \([\d.]+ to [\d.]+\), of ten views each, loss [\d.]+: .*best\.safetensors", ten)
    assert one.partition("loss")[2] != ten.partition("loss")[2]
    assert "of ten views" not in one


def test_blocks_of_neighbours(data, tmp_path):
    path, = one_tar(data, tmp_path)
    train(path, "--shuffle-block", 3, "-o", tmp_path / "run")
    train(path, "-o", tmp_path / "other")
    assert not same(tmp_path / "run", tmp_path / "other")
    assert "--shuffle-block was 3 and is 5" in finished(
        inside("--resume", tmp_path / "run", "--epochs", 2, "--shuffle-block", 5))  # fmt: skip


def test_a_sample_for_the_mean(data, tmp_path):
    path, = one_tar(data, tmp_path)
    train(path, "--statistics-of", 2, "-o", tmp_path / "run")
    first, *_, last = (read_picture(place).astype(float) for place, _ in ImageFolder(data / "train").samples)
    kept = checkpoint.load(tmp_path / "run" / "last.safetensors")[0]["statistics.mean"]
    np.testing.assert_allclose(kept, ((first + last) / 2).transpose(2, 0, 1), rtol=1e-6)


def picture(mode="RGB", form="JPEG"):
    file = io.BytesIO()
    Image.effect_noise((300, 280), 80).convert(mode).save(file, form)
    return file.getvalue()


def odd(to):
    """A tar of tars in which all is odd that was ever seen. Behind 9 GiB of a film, of which nothing is written."""
    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    good = [(f"{i}.png", picture(form="PNG")) for i in range(3)]
    inside = {
        "ape": (good, tarfile.GNU_FORMAT),
        "cat": ([*good, ("cmyk.JPEG", picture("CMYK")), ("named.JPEG", picture(form="PNG")),
                 ("g" * 170 + ".jpg", picture()), ("2.png", picture(form="PNG"))], tarfile.GNU_FORMAT),
        "dog": ([("../../x/1.png", picture()), ("a/../../../x/2.png", picture()), (link, b""),
                 ("grey.jpg", picture("L")), ("写" * 70 + ".jpg", picture()), ("bad.jpg", picture()[:-900])],
                tarfile.PAX_FORMAT),
        "emu": ([("only.jpg", picture())], tarfile.GNU_FORMAT),
        "fox": ([*good, ("end.png", picture(form="PNG"))], tarfile.GNU_FORMAT)}  # fmt: skip
    path = to / "odd.tar"
    with path.open("wb") as file:
        film = tarfile.TarInfo(".film")
        film.size = 9 << 30
        file.write(film.tobuf(tarfile.GNU_FORMAT))
        file.seek(film.size, os.SEEK_CUR)
        for name, (files, form) in inside.items():
            entry, data = tarfile.TarInfo(f"{name}.tar"), tar(to / "part.tar", files, form).read_bytes()
            entry.size = len(data)
            file.write(entry.tobuf(tarfile.GNU_FORMAT) + data)
        file.truncate(file.tell() - len(data) + data.rindex(b"IEND"))  # in the last picture of the last tar
    (to / "part.tar").unlink()
    return path


def test_all_that_is_odd_at_once(tmp_path, capsys):
    path, val = odd(tmp_path), tmp_path / "val"
    make_folder(val, 1, ("ape", "cat", "dog", "emu", "fox"))
    said = train(path, "--val", val, "-o", tmp_path / "run")
    assert "16 training and 5 validation pictures of 5 classes" in said
    for words in (f"cut off in {path} 1", f"cut off in {path}/fox 1", "links, devices and sparse files 1",
                  "names that lead out of the archive 2", "older ones of the same name 1"):  # fmt: skip
        assert words in said, words
    assert re.search(rf"skipped {re.escape(str(path))}/dog/bad\.jpg: ", said)
    assert "1 pictures could not be read and were left out" in said
    assert {each.name for each in tmp_path.iterdir()} == {"odd.tar", "val", "run"}, "nothing is unpacked"
    assert not any((each / "x").exists() for each in (*tmp_path.parents, Path.cwd(), *Path.cwd().parents))
    training, validation, _ = pictures_under(path, 0.3, seed=0, evaluates=False, kept=None)
    assert "classes of one picture, which is for training: emu" in capsys.readouterr().out
    assert (len(training), len(validation)) == (11, 5)


@pytest.mark.parametrize(("arguments", "words"), [
    (["{}/set", "--crops", "10"], "--crops is for --evaluate"),
    (["--val", "{}/set"], "--val goes with DATA"),
    (["{}/set", "--val", "{}/set", "--split", "0.2"], "--split takes the validation pictures from DATA")])  # fmt: skip
def test_mistakes(tmp_path, arguments, words):
    assert words in refused(inside(*(each.format(tmp_path) for each in arguments)), code=2)


def test_error_other_data(data, tmp_path):
    path = tar_of_tars(data / "train", tmp_path)
    words = "expected the folders train and val in it, found cat, dog, emu: give the validation pictures by --val"
    assert words in refused(inside(path, *NARROW))
    assert "gone.tar: expected a folder of pictures, found nothing there" in refused(
        inside(path, "--val", tmp_path / "gone.tar", *NARROW))  # fmt: skip
    path.write_bytes(path.read_bytes()[:700])
    words = "expected an archive of pictures, found no tar that can be read"
    assert words in refused(inside(path, "--val", data / "val", *NARROW))
