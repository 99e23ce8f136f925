"""The statistics of a training set: against a slow obvious reference, and the file in which they are kept."""
import os

import numpy as np
import pytest
from pictures import make_folder
from PIL import Image

from minicnn.data import BadPicture, DataError, ImageFolder, Statistics, read_picture
from minicnn.data.cache import cache_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def reference(folder):
    pictures = np.stack([read_picture(path) for path, _ in folder.samples]).astype(np.float64)
    colours = pictures.reshape(-1, 3)
    covariance = np.cov(colours.T, bias=True)
    return pictures.mean(axis=0).transpose(2, 0, 1), covariance


def check(statistics, folder):
    mean, covariance = reference(folder)
    assert statistics.mean.shape == (3, 256, 256)
    assert all(a.dtype == np.float32 for a in (statistics.mean, statistics.sigma, statistics.axes))
    np.testing.assert_allclose(statistics.mean, mean, rtol=1e-6)
    rebuilt = statistics.axes * statistics.sigma.astype(np.float64)**2 @ statistics.axes.T
    np.testing.assert_allclose(rebuilt, covariance, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(statistics.axes.T @ statistics.axes, np.eye(3), atol=1e-6)
    assert (np.diff(statistics.sigma) >= 0).all()
    assert statistics.deviation == pytest.approx(np.sqrt(np.trace(covariance) / 3), rel=1e-6)


def test_against_the_reference(tmp_path):
    folder = make_folder(tmp_path / "a", 20)
    check(Statistics.of(folder), folder)


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("mean", "sigma", "axes"))


def test_the_same_for_any_number_of_workers(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "a", 40)
    alone = Statistics.of(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert same(alone, Statistics.of(folder, workers=2))


def test_of_a_sample(tmp_path):
    folder = make_folder(tmp_path / "a", 20)
    chosen = np.zeros(40, bool)
    chosen[[0, 13, 26, 39]] = True
    check(Statistics.of(folder, sample=4), folder.part(chosen))
    check(Statistics.of(folder, sample=40), folder)
    check(Statistics.of(folder, sample=1000), folder)


def test_axes_and_deviations_of_constructed_colours(tmp_path):
    # Along (1, 1, 1) the values are ±30√3, across it, along (1, -1, 0), ±10√2: these are the deviations.
    for name, a in (("a", 30), ("b", -30)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number, b in enumerate((10, -10)):
            colour = (120 + a + b, 120 + a - b, 120 + a)
            Image.new("RGB", (256, 256), colour).save(tmp_path / "set" / name / f"{number}.png")
    statistics = Statistics.of(ImageFolder(tmp_path / "set"))
    np.testing.assert_allclose(statistics.sigma, [0, 10 * 2**0.5, 30 * 3**0.5], atol=1e-3)
    np.testing.assert_allclose(np.abs(statistics.axes[:, 2]), [3**-0.5] * 3, atol=1e-6)
    np.testing.assert_allclose(np.abs(statistics.axes[:, 1]), [2**-0.5, 2**-0.5, 0], atol=1e-6)
    assert statistics.deviation == pytest.approx(((200 + 2700) / 3)**0.5, rel=1e-5)
    assert (statistics.mean == 120).all()


def test_progress(tmp_path):
    calls = []
    Statistics.of(make_folder(tmp_path / "a", 20), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(32, 40), (40, 40)]


def was_read(folder):
    calls = []
    statistics = Statistics.of(folder, progress=lambda done, total: calls.append(done))
    check(statistics, folder)
    return bool(calls)


def test_kept_and_read_again_only_after_a_change(tmp_path):
    folder = make_folder(tmp_path / "a")
    assert was_read(folder)
    assert not was_read(folder)
    (tmp_path / "a").rename(tmp_path / "moved")
    assert not was_read(ImageFolder(tmp_path / "moved"))
    Image.new("RGB", (256, 256)).save(tmp_path / "moved" / "cat" / "new.png")
    assert was_read(ImageFolder(tmp_path / "moved"))
    Image.new("L", (256, 256)).save(tmp_path / "moved" / "cat" / "new.png")
    assert was_read(ImageFolder(tmp_path / "moved"))


def in_place(a, b):
    """Other pixels under the same name, in a file of the same size, said to be written at the same time."""
    before = a.stat()
    a.write_bytes(b.read_bytes())
    os.utime(a, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (a.stat().st_size, a.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def moved_over(a, b):
    os.utime(b, ns=(a.stat().st_atime_ns, a.stat().st_mtime_ns))
    b.replace(a)


def swapped(a, b):
    aside = a.with_name("aside")
    a.rename(aside)
    b.rename(a)
    aside.rename(b)


def linked_elsewhere(a, b):
    a.unlink()
    a.symlink_to(b)


def renamed(a, b):
    a.parent.rename(a.parent.with_name("lion"))


@pytest.mark.parametrize("change", [in_place, moved_over, swapped, linked_elsewhere, renamed])
def test_pictures_that_changed_are_measured_anew(tmp_path, change):
    folder = make_folder(tmp_path / "a", 3)
    other = tmp_path / "other.bmp"
    for path, _ in folder.samples:  # of .bmp all have one size
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    Image.new("RGB", (256, 256), (9, 99, 199)).save(other)
    assert was_read(ImageFolder(tmp_path / "a"))
    for path in tmp_path.rglob("*.bmp"):
        os.utime(path, (10**9, 10**9))  # as out of an archive
    assert was_read(ImageFolder(tmp_path / "a"))  # for what was touched
    assert not was_read(ImageFolder(tmp_path / "a"))
    change(tmp_path / "a" / "cat" / "1.bmp", other)
    assert was_read(ImageFolder(tmp_path / "a"))


def test_a_link_that_leads_to_another_file_and_a_picture_that_was_mended(tmp_path):
    make_folder(tmp_path / "a", 3)
    link, good = tmp_path / "a" / "cat" / "3.png", tmp_path / "a" / "dog" / "0.png"
    link.symlink_to(tmp_path / "nowhere")
    assert Statistics.of(ImageFolder(tmp_path / "a")).bad.keys() == {str(link)}
    (tmp_path / "nowhere").write_bytes(b"nonsense")
    assert Statistics.of(ImageFolder(tmp_path / "a")).bad == {str(link): "not a picture in any known format"}
    (tmp_path / "nowhere").write_bytes(good.read_bytes())
    assert was_read(ImageFolder(tmp_path / "a"))
    Image.new("RGB", (256, 256)).save(tmp_path / "other.png")
    link.unlink()
    link.symlink_to(tmp_path / "other.png")
    assert was_read(ImageFolder(tmp_path / "a"))


def test_what_changes_meanwhile_or_cannot_be_read_for_now_is_not_kept(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "a", 3)

    def paint(done, total):
        Image.new("RGB", (256, 256)).save(folder.samples[0][0])

    Statistics.of(folder, progress=paint)
    assert was_read(folder)

    def busy(path):
        if path == folder.samples[1][0]:
            raise BadPicture(path, "Too many open files", unread=True)
        return read_picture(path)

    (tmp_path / "a" / "dog" / "0.png").touch()
    with monkeypatch.context() as patch:
        patch.setattr("minicnn.data.reading.read_picture", busy)
        assert len(Statistics.of(folder).bad) == 1
    assert was_read(folder)


def test_a_drive_that_goes_away_is_an_error_and_no_mean_of_half_of_the_pictures(tmp_path):
    folder = make_folder(tmp_path / "a", 40)

    def unplug(done, total):
        if done == 32:
            (tmp_path / "a").rename(tmp_path / "gone")

    with pytest.raises(DataError, match=r"a: its pictures can no longer be read: .*: No such file or directory"):
        Statistics.of(folder, progress=unplug)


@pytest.mark.parametrize("colour", [0, (255, 255, 255), (9, 99, 201)])
def test_pictures_all_of_one_colour(tmp_path, colour):
    for name in "abc":
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (256, 256), colour).save(tmp_path / "set" / name / "0.png")
    statistics = Statistics.of(ImageFolder(tmp_path / "set"))
    assert statistics.deviation == 1
    assert (statistics.sigma == 0).all()
    assert np.isfinite(statistics.axes).all()


@pytest.mark.parametrize("change", [
    lambda kept: {**kept, "mean": kept["mean"] * np.nan}, lambda kept: {**kept, "sigma": kept["sigma"] + np.inf},
    lambda kept: {**kept, "mean": kept["mean"][:, :224, :224]}, lambda kept: {**kept, "mean": kept["mean"] - 300},
    lambda kept: {**kept, "axes": kept["axes"].astype(">f8")}, lambda kept: {**kept, "bad": "[1, 2]"},
    lambda kept: {name: kept[name] for name in ("mean", "sigma")}],
    ids=["NaN", "inf", "shape", "range", "type", "names", "missing"])  # fmt: skip
def test_a_kept_file_that_somebody_edited_is_replaced(tmp_path, change):
    folder = make_folder(tmp_path / "a")
    Statistics.of(folder)
    [kept] = cache_folder().iterdir()
    with np.load(kept) as file:
        arrays = dict(file)
    np.savez(kept, **change(arrays))
    assert was_read(folder)
    assert not was_read(folder)


@pytest.mark.parametrize("home", [None, "", "/proc/nowhere"])
def test_no_home_is_no_error(tmp_path, monkeypatch, home):
    monkeypatch.delenv("XDG_CACHE_HOME")
    if home is None:
        monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine it")))
    monkeypatch.setenv("HOME", home or "/proc")
    assert was_read(make_folder(tmp_path / "a"))


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_broken_kept_file_is_replaced(tmp_path, content):
    folder = make_folder(tmp_path / "a")
    Statistics.of(folder)
    [kept] = cache_folder().iterdir()
    kept.write_bytes(kept.read_bytes()[:1000] if content is None else content)
    assert was_read(folder)
    assert not was_read(folder)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = make_folder(tmp_path / "a")
    assert was_read(folder)
    assert was_read(folder)


def test_bad_pictures_are_left_out_and_named(tmp_path):
    folder = make_folder(tmp_path / "a", 3)
    good = Statistics.of(folder)
    (tmp_path / "a" / "cat" / "bad.png").write_bytes(b"nonsense")
    (tmp_path / "a" / "dog" / "gone.png").symlink_to(tmp_path / "nowhere")
    for _ in range(2):  # measured, then kept
        statistics = Statistics.of(ImageFolder(tmp_path / "a"))
        assert same(statistics, good)
        assert statistics.bad == {str(tmp_path / "a" / "cat" / "bad.png"): "not a picture in any known format",
                                  str(tmp_path / "a" / "dog" / "gone.png"): "No such file or directory"}


def test_bad_pictures_are_named_wherever_they_stand(tmp_path):
    folder = make_folder(tmp_path / "a", 17)  # 34: two tasks
    bad = [path for path, _ in (folder.samples[0], folder.samples[-1])]
    for path in bad:
        path.write_bytes(b"nonsense")
    assert Statistics.of(folder).bad == {str(path): "not a picture in any known format" for path in bad}


def test_every_picture_bad(tmp_path):
    folder = make_folder(tmp_path / "a", 2)
    for path, _ in folder.samples:
        path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"none of its 4 pictures .*cat/0.png: not a picture"):
        Statistics.of(folder)


def test_a_mean_picture_of_squares():
    """Kept small, it is what it was, in squares of one colour."""
    arrays = Statistics(np.zeros((3, 256, 256), np.float32), np.ones(3, np.float32), np.eye(3, dtype=np.float32),
                        {}).arrays()  # fmt: skip
    small = np.arange(3 * 8 * 4, dtype=np.float16).reshape(3, 8, 4)
    mean = Statistics.from_arrays(arrays | {"statistics.mean": small}).mean
    assert mean.dtype == np.float32
    for c, i, j in np.ndindex(3, 256, 256):
        assert mean[c, i, j] == small[c, i // 32, j // 64]
    for shape in ((3, 256), (3, 7, 8), (3, 8, 7), (4, 8, 8), (3, 0, 8), (3, 512, 8)):
        with pytest.raises(ValueError, match=r"a mean picture of \(\d"):
            Statistics.from_arrays(arrays | {"statistics.mean": np.zeros(shape)})
