"""A pack: what the loader makes of each picture, kept; the same file however often that is killed."""

import os
import zipfile

import numpy as np
import pytest
from archives import tar_of_tars
from hypothesis import given
from hypothesis import strategies as st
from pictures import make_folder
from PIL import Image

from minicnn.__main__ import main
from minicnn.data import DataError, ImageFolder, Loader, Statistics, read_picture
from minicnn.data.pack import FACTS, pack
from minicnn.data.sources import image_set, image_sets, parts_of


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures that are scaled, of several sizes, and not square."""
    root, random = tmp_path_factory.mktemp("folder") / "set", np.random.default_rng(0)
    for i in range(40):
        (root / f"class {i % 3}").mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (8, 8, 3), np.uint8).repeat(30 + i, axis=0).repeat(40, axis=1)
        Image.fromarray(coarse).save(root / f"class {i % 3}" / f"{i}.png")
    return ImageFolder(root)


def test_raw_it_is_what_the_loader_makes_of_each_picture(folder, tmp_path):
    assert pack({"": folder}, tmp_path / "set.zip", quality=None) == 40
    found = image_set(tmp_path / "set.zip")
    assert found.names() == [f"{name}.ppm" for name in folder.names()]
    statistics = [Statistics.of(each) for each in (folder, found)]
    np.testing.assert_array_equal(statistics[0].mean, statistics[1].mean)
    loaders = [Loader(each, own, 16, train=True, seed=1) for each, own in zip((folder, found), statistics, strict=True)]
    for (x, y), (u, v) in zip(*(loader.epoch(2) for loader in loaders), strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)


def test_as_jpeg_it_is_nearly_that_and_small(folder, tmp_path):
    sizes = []
    for quality in (50, 90):
        out = tmp_path / f"{quality}.zip"
        pack({"": folder}, out, quality=quality)
        found = image_set(out)
        pairs = [
            (read_picture(a), read_picture(b)) for (a, _), (b, _) in zip(folder.samples, found.samples, strict=True)
        ]
        assert np.mean([np.abs(x.astype(int) - y).mean() for x, y in pairs]) < 4
        sizes.append(out.stat().st_size)
    assert sizes[0] < 0.8 * sizes[1] < 0.2 * 40 * 3 * 256**2


def test_another_side(folder, tmp_path):
    pack({"": folder}, tmp_path / "set.zip", side=100)
    with zipfile.ZipFile(tmp_path / "set.zip") as file:
        sizes = {Image.open(file.open(name)).size for name in file.namelist() if name != FACTS}
    assert sizes == {(100, 100)}


def test_parts_of_a_set_stay_apart(folder, tmp_path):
    path = tar_of_tars(folder.root, tmp_path)
    assert list(parts_of(path)) == list(parts_of(folder.root)) == [""]
    sets = parts_of(path, folder.root)
    assert pack(sets, tmp_path / "set.zip", workers=2) == 80
    train, val = image_sets(tmp_path / "set.zip")
    assert train.names() == val.names() == [f"{name}.jpg" for name in folder.names()]
    for name in ("train", "val"):
        (tmp_path / "both").mkdir(exist_ok=True)
        (tmp_path / "both" / name).symlink_to(folder.root)
    pack(parts_of(tmp_path / "both"), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "set.zip").read_bytes()


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "set.zip"
    pack({"": folder}, path, quality=20)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
    return path.read_bytes()


@given(st.floats(0, 1), st.booleans())
def test_what_was_begun_is_gone_on_with(folder, whole, tmp_path_factory, kept, spoilt):
    """From wherever it was killed, and though what was written last never reached the disk."""
    to = tmp_path_factory.mktemp("begun")
    begun = bytearray(whole[: int(kept * len(whole))])
    if spoilt and len(begun) > 3000:
        begun[-500:] = bytes(500)
    (to / "set.zip.part").write_bytes(begun)
    asked = []
    pack({"": folder}, to / "set.zip", quality=20, progress=lambda *done: asked.append(done))
    assert (to / "set.zip").read_bytes() == whole
    assert [path.name for path in to.iterdir()] == ["set.zip"]
    assert kept < 0.9 or spoilt or len(asked) < 2


def test_files_of_a_given_size(folder, tmp_path):
    out = tmp_path / "shards"

    def packed(**more):
        return pack({"": folder}, out, most=60_000, **more)

    assert packed() == 40
    files = sorted(out.iterdir())
    assert len(files) > 3
    assert all(40_000 < file.stat().st_size < 64_000 for file in files[:-1])
    assert image_set(out).names() == [f"{name}.jpg" for name in folder.names()]
    before = [file.read_bytes() for file in files]
    assert packed() == 40
    files[-1].unlink()
    files[-2].rename(f"{files[-2]}.part")
    os.truncate(f"{files[-2]}.part", 20_000)
    assert packed(workers=1) == 40
    assert [file.read_bytes() for file in sorted(out.iterdir())] == before
    with pytest.raises(DataError, match=r"00000\.zip was begun with other pictures or in another way"):
        packed(side=100)


def test_what_is_there_or_was_begun_otherwise_stays(folder, tmp_path):
    out = tmp_path / "set.zip"
    out.write_text("mine")
    with pytest.raises(DataError, match="there is such a file already"):
        pack({"": folder}, out)
    assert out.read_text() == "mine"
    out.unlink()
    pack({"": folder}, out)
    out.rename(tmp_path / "set.zip.part")
    with pytest.raises(DataError, match=r"set\.zip\.part was begun with other pictures or in another way"):
        pack({"": folder}, out, quality=80)


def test_two_of_one_name(tmp_path):
    make_folder(tmp_path / "set", 1)
    (tmp_path / "set" / "cat" / "0.png.jpg").write_bytes((tmp_path / "set" / "cat" / "0.png").read_bytes())
    with pytest.raises(DataError, match=r"two pictures would have one name: cat/0\.png\.jpg"):
        pack({"": ImageFolder(tmp_path / "set")}, tmp_path / "set.zip")


def run(capsys, *words):
    try:
        status = main(list(map(str, words)))
    except SystemExit as end:
        status = end.code
    out = capsys.readouterr()
    assert "Traceback" not in out.err
    return status, out.out, out.err


def test_the_command(folder, tmp_path, capsys):
    root = make_folder(tmp_path / "set", 3).root
    (root / "cat" / "1.png").write_bytes(b"none")
    status, said, complained = run(capsys, "pack", root, tmp_path / "set.zip", "--workers", 0)
    assert (status, complained) == (0, f"left out {root}/cat/1.png: not a picture in any known format\n")
    assert said.startswith(f"{tmp_path}/set.zip: 5 pictures of 256 × 256 pixels, 0.")
    assert said.endswith(" MB, 1 left out\n")
    status, said, _ = run(capsys, "index", tmp_path / "set.zip")
    assert (status, said) == (
        0,
        f"{tmp_path}/set.zip: 5 pictures of 2 classes\n{tmp_path}/set.zip: an index of 0 kB is kept\n",
    )
    run(capsys, "pack", root, tmp_path / "shards", "--raw", "--shard-size", 0.0005, "--workers", 0)
    assert sum(zipfile.is_zipfile(path) for path in (tmp_path / "shards").iterdir()) == 3


@pytest.mark.parametrize(("words", "complaint"), [
    (["pack", "{}/nothing", "{}/out.zip"], "nothing: expected a folder of pictures, found nothing there"),
    (["pack", "{}/set", "{}/no/out.zip"], "cannot write {}/no/out.zip: No such file or directory"),
    (["pack", "{}/set", "{}/set.tar"], "set.tar: there is such a file already"),
    (["pack", "{}/set", "{}/out.zip", "--quality", "100"], "--quality: 100 is out of range: give from 1 to 95"),
    (["index", "{}/nothing"], "nothing: expected archives, found nothing there"),
    (["index", "{}/set"], "set: expected archives, found a folder")])  # fmt: skip
def test_mistakes_are_one_line(tmp_path, capsys, words, complaint):
    make_folder(tmp_path / "set", 1)
    (tmp_path / "set.tar").touch()
    status, said, complained = run(capsys, *(word.format(tmp_path) for word in words))
    assert (status, said, complained.count("\n")) == (2, "", 1)
    assert complaint.format(tmp_path) in complained
