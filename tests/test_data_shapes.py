"""The built-in set: the same for the same seed, complete or not there, and not to be told by colour."""
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicnn.data import DataError, built_in_set, image_folders, shapes
from minicnn.data.shapes import DIGEST, PATTERNS, VERSION, draw_pattern


def raises(error):
    def call(*given, **named):
        raise error
    return call


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*.jpg"))}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return built_in_set(tmp_path_factory.mktemp("cache"), train=40, val=20)


def test_ten_classes_of_real_pictures(root):
    train, val = image_folders(root)
    assert train.classes == sorted(PATTERNS)
    assert len(train.classes) == 10
    assert np.bincount([label for _, label in train.samples]).tolist() == [4] * 10
    assert np.bincount([label for _, label in val.samples]).tolist() == [2] * 10
    sizes = set()
    for path, _ in train.samples:
        with Image.open(path) as image:
            assert image.format == "JPEG"
            sizes.add(image.size)
            assert 160 <= min(image.size) <= 340
    assert len(sizes) > 30


def test_the_same_seed_gives_the_same_pictures(root, tmp_path):
    assert contents(built_in_set(tmp_path, train=40, val=20, workers=2)) == contents(root)
    other = contents(built_in_set(tmp_path, seed=1, train=40, val=20))
    assert set(other) == set(contents(root))
    assert not set(other.values()) & set(contents(root).values())


def test_training_and_validation_pictures_differ(root):
    assert len(set(contents(root).values())) == 60


@pytest.mark.parametrize(("name", "inside", "outside"), [
    ("bricks", [(0, 0), (0.5, 0.5)], [(0.5, 0), (0, 0.5), (0, 0.25)]),
    ("checkerboard", [(0, 0), (0.5, 0.5)], [(0.5, 0), (0, 0.5)]),
    ("crosses", [(0, 0), (0.3, 0), (0, 0.3)], [(0.3, 0.3), (0.5, 0), (0.5, 0.5)]),
    ("dots", [(0, 0), (0.2, 0.2)], [(0.36, 0), (0.5, 0.5)]),
    ("honeycomb", [(0, 0), (0.5, 3**0.5 / 2)], [(0.5, 0), (0, 0.577)]),
    ("rays", [(1, 0), (2, 0), (0.5, 3**0.5 / 2)], [(0.966, 0.259)]),
    ("rings", [(0.36, 0), (0, -0.36)], [(0, 0), (0.5, 0.5)]),
    ("spiral", [(1, 0), (-0.5, 0), (0, 0.25)], [(0.5, 0), (-1, 0)]),
    ("stripes", [(0, 0), (0, 0.5), (1, 0.3)], [(0.5, 0), (0.5, 0.5)]),
    ("waves", [(0, 0), (np.pi / 8, -0.35)], [(0, 0.5), (np.pi / 8, 0.15)]),
])
def test_every_pattern_is_the_one_of_its_name(name, inside, outside):
    distance = [[float(PATTERNS[name](np.float64(u), np.float64(v))) for u, v in some] for some in (inside, outside)]
    assert min(distance[0]) > 0 > max(distance[1]), distance


def test_every_folder_has_pictures_of_its_pattern(tmp_path, monkeypatch):
    shades = {name: 25 * i for i, name in enumerate(PATTERNS)}
    monkeypatch.setattr(shapes, "draw_pattern", lambda name, rng: np.full((99, 99, 3), shades[name], np.uint8))
    for path in built_in_set(tmp_path, train=20, val=10).rglob("*.jpg"):
        with Image.open(path) as image:
            assert abs(np.asarray(image).mean() - shades[path.parent.name]) < 3, path


def test_bright_and_dark_stay_what_they_are(monkeypatch):
    """Where all is bright, shading and noise go beyond 255, and no pixel comes out dark; and the other way round."""
    for low, high, seen in ((200, 300, lambda p: p.min() > 60), (-100, 40, lambda p: p.max() < 130)):
        colours = tuple(np.full((3, 1, 1), c, np.float32) for c in (low, high))
        monkeypatch.setattr(shapes, "_two_colours", lambda rng, colours=colours: colours)
        assert all(seen(draw_pattern("dots", np.random.default_rng(seed))) for seed in range(5))


def test_two_colours_can_be_told_apart(root):
    rng = np.random.default_rng(0)
    assert min(abs(back.mean() - front.mean()) for back, front in map(shapes._two_colours, [rng] * 200)) >= 100


def test_few_are_grey(root):
    grey = 0
    for path in root.rglob("*.jpg"):
        with Image.open(path) as image:
            grey += image.mode == "L"
    assert 1 <= grey <= 10


def test_drawn_once(tmp_path):
    calls = []
    for _ in range(2):
        built_in_set(tmp_path, train=60, val=10, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(50, 70), (70, 70)]


def test_an_interrupted_set_is_not_taken_for_a_complete_one(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        built_in_set(tmp_path, train=60, val=10, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    assert len(contents(built_in_set(tmp_path, train=60, val=10))) == 70


def test_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a"))
    assert built_in_set(train=10, val=10).parent == tmp_path / "a" / "minicnn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "b"))
    assert built_in_set(train=10, val=10).parent == tmp_path / "b" / ".cache" / "minicnn"


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=f"{tmp_path / 'file'}.*set XDG_CACHE_HOME to a folder that can be written"):
        built_in_set(tmp_path / "file", train=10, val=10)


def test_another_process_may_be_faster(tmp_path):
    root = tmp_path / f"shapes-{VERSION}-seed0-10-10"

    def overtake(done, total):
        if done == total:
            built_in_set(tmp_path, train=10, val=10)
            (root / "by the faster").touch()
    assert built_in_set(tmp_path, train=10, val=10, progress=overtake) == root
    assert (root / "by the faster").exists()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    path.write_bytes(path.read_bytes()[:-3] + b"\0" + path.read_bytes()[-2:])


@pytest.mark.parametrize("harm", [
    lambda root: shutil.rmtree(root / "val"), lambda root: shutil.rmtree(root / "train" / "dots"),
    lambda root: next(root.glob("val/rings/*")).unlink(), lambda root: truncate(next(root.glob("train/rays/*"))),
    lambda root: flip(next(root.glob("train/rays/*"))), lambda root: (root / DIGEST).unlink(),
    lambda root: (root / "val" / "dots" / "mine.jpg").touch(), lambda root: (root / DIGEST).write_bytes(b"\xff")],
    ids=["no val", "no class", "one is missing", "one is cut", "one bit", "of an older minicnn", "one more", "no text"])
def test_a_damaged_set_is_drawn_anew(root, tmp_path, harm):
    damaged = tmp_path / root.name
    shutil.copytree(root, damaged)
    harm(damaged)
    assert built_in_set(tmp_path, train=40, val=20) == damaged
    assert contents(damaged) == contents(root)
    assert list(tmp_path.iterdir()) == [damaged]


@pytest.mark.parametrize("home", ["a file", "none"])
def test_without_a_cache_it_is_drawn_in_a_temporary_folder(tmp_path, monkeypatch, home):
    (tmp_path / "a file").touch()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "a file"))
    if home == "none":
        monkeypatch.setattr(Path, "home", raises(RuntimeError("Could not determine home directory.")))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    root = built_in_set(train=10, val=10)
    assert tmp_path in root.parents
    assert len(contents(root)) == 20
    monkeypatch.setattr(tempfile, "mkdtemp", raises(FileNotFoundError(2, "No usable temporary directory found")))
    with pytest.raises(DataError, match=r"cannot be written here: No usable.*; set XDG_CACHE_HOME"):
        built_in_set(train=10, val=10)


def test_what_a_killed_writer_left_is_swept(tmp_path):
    for name, age in (("old", 2 * 24 * 3600), ("new", 60)):
        (tmp_path / f".shapes.{name}.part" / "x").mkdir(parents=True)
        os.utime(tmp_path / f".shapes.{name}.part", (time.time() - age,) * 2)
    built_in_set(tmp_path, train=10, val=10)
    assert [path.name for path in tmp_path.glob(".*")] == [".shapes.new.part"]


def test_colour_and_brightness_do_not_tell_the_classes():
    def colours(split, count):
        pictures = [[draw_pattern(name, np.random.default_rng([split, label, n])) for n in range(count)]
                    for label, name in enumerate(PATTERNS)]
        return np.array([[[*p.mean(axis=(0, 1)), p.mean()] for p in row] for row in pictures])
    centres = colours(0, 20).mean(axis=1)  # (class, feature)
    seen = colours(1, 12)  # (class, picture, feature)
    nearest = np.linalg.norm(seen[:, :, None] - centres, axis=-1).argmin(axis=-1)
    assert (nearest == np.arange(10)[:, None]).mean() < 0.25
