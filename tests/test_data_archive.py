"""Pictures in archives: found by their headers, read from their places, the same batches as from a folder."""

import io
import os
import tarfile
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from archives import KINDS, deflated, files_of, plain_tar, shards, tar, tar_of_tars, zipped
from hypothesis import given
from hypothesis import strategies as st
from pictures import make_folder
from PIL import Image

from minicnn.data import BadPicture, DataError, Loader, Statistics, read_picture
from minicnn.data import index as index_module
from minicnn.data.division import Division, in_both
from minicnn.data.image_archive import ImageArchive
from minicnn.data.images import changes
from minicnn.data.index import RECORD, index
from minicnn.data.sources import image_set, image_sets, validation_images


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "minicnn"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("folder") / "set", 7, ("cat", "dog", "emu"))


def picture():
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


PICTURE = picture()


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_what_the_folder_is(folder, tmp_path, kind):
    found = image_set(kind(folder.root, tmp_path))
    assert isinstance(found, ImageArchive)
    assert len(found) == 21
    assert found.labels.tolist() == folder.labels.tolist()
    for (place, label), (path, own) in zip(found.samples, folder.samples, strict=True):
        assert (place.read(), label) == (path.read_bytes(), own)
    if kind is not shards:
        assert (found.classes, found.names()) == (folder.classes, folder.names())
        assert changes(folder.listing(), found.listing(), same_root=False) == ""
        assert found.left_out_in_words() == ""
    else:
        assert found.classes == ["0", "1", "2"]
        assert found.left_out_in_words() == "left out: .json 21"


@pytest.mark.parametrize("kind", [tar_of_tars, deflated])
def test_the_same_batches_in_as_many_workers(folder, tmp_path, kind):
    found = image_set(kind(folder.root, tmp_path))
    statistics = [Statistics.of(each) for each in (folder, found)]
    for name in ("mean", "sigma", "axes"):
        np.testing.assert_array_equal(getattr(statistics[0], name), getattr(statistics[1], name))
    loaders = [
        Loader(folder, statistics[0], 8, train=True, seed=3),
        Loader(found, statistics[1], 8, train=True, seed=3, workers=2),
    ]
    with loaders[1]:
        for (x, y), (u, v) in zip(*(loader.epoch(1, start=5) for loader in loaders), strict=True):
            np.testing.assert_array_equal(x, u)
            np.testing.assert_array_equal(y, v)


def test_ten_classes_of_numbers_are_in_the_order_of_numbers(tmp_path):
    files = [pair for i in range(12) for pair in ((f"{i:03d}.png", PICTURE), (f"{i:03d}.cls", str(i).encode()))]
    files += [("lone.png", PICTURE), ("bad.png", PICTURE), ("bad.cls", b"x")]
    found = image_set(tar(tmp_path / "set.tar", files))
    assert found.classes == [str(i) for i in range(12)]
    assert [place.name for place, _ in found.samples] == [f"{i:03d}.png" for i in range(12)]
    assert found.left_out_in_words() == "left out: without a number of their class 2"


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_names_of_all_the_world(tmp_path, form):
    names = ["a" * 140 + "/" + "b" * 200 + ".png", "größe/写真.png", "größe/b.png"]
    found = image_set(tar(tmp_path / "set.tar", [(name, PICTURE) for name in names], form))
    assert sorted(found.names()) == sorted(names)
    assert [str(place) for place, _ in found.samples] == [f"{tmp_path}/set.tar/{name}" for name in found.names()]
    assert all(place.read() == PICTURE for place, _ in found.samples)


def test_behind_eight_gigabytes(tmp_path):
    """Beyond what tar's own numbers, of eleven octal digits, can say."""
    large, path = 9 << 30, tmp_path / "set.tar"
    with path.open("wb") as file:
        for name, size in (("a/film.mp4", large), ("a/1.png", len(PICTURE)), ("b/2.png", len(PICTURE))):
            entry = tarfile.TarInfo(name)
            entry.size = size
            file.write(entry.tobuf(tarfile.GNU_FORMAT))
            if size == large:
                file.seek(large, os.SEEK_CUR)  # nothing is written
            else:
                file.write(PICTURE.ljust(512 * (-(-size // 512)), b"\0"))
        file.write(bytes(1024))
    found = image_set(path)
    assert found.names() == ["a/1.png", "b/2.png"]
    assert all(place.start > large and place.read() == PICTURE for place, _ in found.samples)
    assert found.left_out_in_words() == "left out: .mp4 1"


def of_kind(name, kind, link=""):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry, b""


ODD = {
    "names that lead out of the archive 3": [
        ("../../x/1.png", PICTURE), ("/etc/1.png", PICTURE), ("a/../../1.png", PICTURE)],
    "links, devices and sparse files 4": [
        of_kind("a/1.png", tarfile.SYMTYPE, "/etc/passwd"), of_kind("a/2.png", tarfile.LNKTYPE, "b/good.png"),
        of_kind("a/3.png", tarfile.FIFOTYPE), of_kind("a/4.png", tarfile.CHRTYPE)],
    "hidden pictures 1": [("a/.1.png", PICTURE), ("a/._2.png", PICTURE), ("a/.DS_Store", b"")],
    "in folders inside a class 1": [("a/more/1.png", PICTURE)],
    "pictures beside the folders of the classes 1": [("1.png", PICTURE)],
    ".heic 1, without suffix 1": [("a/1.heic", PICTURE), ("README", b"")],
    ".heic in c, which has no picture 2, .txt 1, .xml in a/notes, which has no picture 1": [
        ("c/1.heic", PICTURE), ("c/2.HEIC", PICTURE), ("a/more.txt", b""), ("a/notes/1.xml", b""), ("c/.hidden", b"")],
    "older ones of the same name 1": [("a/good.png", b"old")],
}  # fmt: skip


@pytest.mark.parametrize(("words", "files"), ODD.items(), ids=ODD)
def test_what_is_left_out_is_counted(tmp_path, words, files):
    path = tar(tmp_path / "set.tar", [*files, ("a/good.png", PICTURE), ("b/good.png", PICTURE)])
    found = image_set(path)
    assert found.names() == ["a/good.png", "b/good.png"]
    assert [place.read() for place, _ in found.samples] == [PICTURE, PICTURE]
    assert found.left_out_in_words() == f"left out: {words}"
    assert {each.name for each in tmp_path.iterdir()} == {"cache", "set.tar"}, "nothing is unpacked"


def test_of_a_tar_that_is_cut_off_or_damaged_what_is_whole_is_read(folder, tmp_path):
    path = tar_of_tars(folder.root, tmp_path)
    data, places = path.read_bytes(), [place for place, _ in image_set(path).samples]
    path.write_bytes(data[: places[10].start + 5])
    found = image_set(path)
    assert [place for place, _ in found.samples] == places[:10]
    assert found.left_out_in_words() == f"left out: cut off in {path} 1, cut off in {path}/dog 1"
    path.write_bytes(data[: places[10].start - 512] + b"nonsense" * 64 + data[places[10].start :])
    found = image_set(path)
    assert [place for place, _ in found.samples] == places[:10] + places[14:], "the next tar inside is whole"
    assert (
        found.left_out_in_words()
        == f"left out: behind a damaged header of {path}/dog, at byte {places[10].start - 512} 1"
    )


def test_a_bad_picture_is_named(tmp_path):
    path = tar(tmp_path / "set.tar", [("a/1.png", PICTURE), ("b/2.png", PICTURE[:-30]), ("b/3.png", b"")])
    good, *bad = (place for place, _ in image_set(path).samples)
    assert read_picture(good).shape == (256, 256, 3)
    for place, name in zip(bad, ("2.png", "3.png"), strict=True):
        with pytest.raises(BadPicture) as caught:
            read_picture(place)
        assert str(caught.value).startswith(f"{path}/b/{name}: ")
        assert not caught.value.unread


def test_a_deflated_picture_is_no_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a/1.png", PICTURE * 100)
        out.writestr("a/2.png", bytes((1 << 28) + 1))
        out.writestr("b/3.png", PICTURE)
    found = image_set(tmp_path / "set.zip")
    (place, _), (good, _) = found.samples
    assert (good.read(), place.size) == (PICTURE, 100 * len(PICTURE))
    assert found.left_out_in_words() == "left out: larger than 268,435,456 bytes 1"
    for size in (len(PICTURE), 101 * len(PICTURE)):  # what a header may say
        with pytest.raises(BadPicture, match="longer or shorter than its header says"):
            read_picture(place._replace(size=size))


def test_a_zip_knows_what_it_holds(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as out:
        out.writestr("a/1.png", PICTURE)
        out.writestr("b/2.png", PICTURE)
    (place, _), _ = image_set(tmp_path / "set.zip").samples
    data = bytearray((tmp_path / "set.zip").read_bytes())
    data[place.start + place.size - 20] ^= 1  # in no pixel: a decoder would not say anything
    (tmp_path / "set.zip").write_bytes(data)
    with pytest.raises(BadPicture, match="not what its checksum says"):
        read_picture(place)


def error_of(*given, **more):
    with pytest.raises(DataError) as caught:
        image_set(*given, **more)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_what_cannot_be_read_in_place_is_refused(folder, tmp_path):
    plain = plain_tar(folder.root, tmp_path)
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as out:
        out.add(folder.root, "set")
    (tmp_path / "empty.tar").write_bytes(b"")
    (tmp_path / "words.tar").write_text("words" * 300)
    tar(tmp_path / "nothing.tar", [("a/words.txt", b"words")])
    tar(tmp_path / "one.tar", [("a/1.png", PICTURE)])
    zipped(folder.root, tmp_path)
    (tmp_path / "cut.zip").write_bytes((tmp_path / "set.zip").read_bytes()[:-100])
    assert "set.tar.gz is compressed as a whole" in error_of(tmp_path / "set.tar.gz")
    assert "empty.tar is neither a tar nor a zip that can be read: empty file" in error_of(tmp_path / "empty.tar")
    assert "words.tar is neither a tar nor a zip that can be read" in error_of(tmp_path / "words.tar")
    assert "nothing.tar: expected an archive of pictures, found .txt 1" in error_of(tmp_path / "nothing.tar")
    assert "one.tar: expected a folder for each of two or more classes in it, found a" in error_of(tmp_path / "one.tar")
    assert "cut.zip is no zip that can be read" in error_of(tmp_path / "cut.zip")
    assert "expected archives of these names, found none" in error_of(tmp_path / "not there-*.tar")
    assert "not there-1.tar: No such file" in error_of(tmp_path / "not there-{1..2}.tar")
    plain.chmod(0)
    if os.geteuid():
        assert "Permission denied" in error_of(plain)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    make_folder(tmp_path / "set", 1)

    def refused(*given):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refused)
    monkeypatch.setattr("os.listdir", refused)
    assert error_of(tmp_path / "set").endswith("this folder cannot be read: Permission denied")


def test_more_archives_than_an_index_can_tell_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "MOST", 2)
    for i in range(3):
        tar(tmp_path / f"set-{i}.tar", [(f"{i}/1.png", PICTURE)])
    assert "3 archives, at most 2 make a set" in error_of(tmp_path / "set-{0..2}.tar")
    assert len(image_set(tmp_path / "set-{0..1}.tar")) == 2


def test_headers_are_read_once(folder, tmp_path, cache, monkeypatch):
    path, asked = tar_of_tars(folder.root, tmp_path), []
    real = index_module.entries
    monkeypatch.setattr(index_module, "entries", lambda *given: asked.append(given) or real(*given))
    first = index([path])
    (kept,) = cache.iterdir()
    assert len(asked) == 1
    again = index([path])
    assert len(asked) == 1
    np.testing.assert_array_equal(first.rows, again.rows)
    assert (first.folders, first.archives, first.left_out) == (again.folders, again.archives, again.left_out)
    assert RECORD.itemsize < 40
    kept.write_bytes(kept.read_bytes()[:-200])
    index([path])
    assert len(asked) == 2
    os.utime(path, ns=(1, 1))
    index([path])
    assert len(asked) == 3
    path.write_bytes(path.read_bytes() + bytes(512))
    index([path])
    assert len(asked) == 4


def test_progress_goes_by_bytes(folder, tmp_path):
    said = []
    tar_of_tars(folder.root, tmp_path)
    plain = tar(tmp_path / "plain.tar", files_of(folder.root))
    index([tmp_path / "set.tar", plain], lambda *done: said.append(done))
    done, total = zip(*said, strict=True)
    assert set(total) == {sum((tmp_path / name).stat().st_size for name in ("set.tar", "plain.tar"))}
    assert sorted(done) == list(done)
    assert 0.9 * total[0] < done[-1] <= total[0]


def test_training_and_validation(folder, tmp_path):
    files = files_of(folder.root)
    both = [(f"all/{part}/{name}", data) for part, count in (("train", 5), ("val", 2)) for name, data in files
            if int(name[-5]) < count]  # fmt: skip
    train, val = image_sets(tar(tmp_path / "set.tar", both))
    assert (len(train), len(val), train.classes) == (15, 6, folder.classes)
    assert [len(each.samples.found.rows) for each in (train, val)] == [15, 6], "what is not theirs is not held"
    assert (
        val.names()
        == validation_images(tmp_path / "set.tar").names()
        == [f"{c}/{i}.png" for c in folder.classes for i in (0, 1)]
    )
    own = tar(tmp_path / "own.tar", files_of(folder.root))
    assert [len(each) for each in image_sets(folder.root, own)] == [21, 21]
    with pytest.raises(DataError, match="is divided already, into train, val"):
        image_sets(own, tmp_path / "set.tar")
    with pytest.raises(
        DataError, match=r"expected the folders train and val in it, found cat, dog, emu: give .* --val"
    ):
        image_sets(own)
    less = tar(tmp_path / "less.tar", [pair for pair in files_of(folder.root) if not pair[0].startswith("emu")])
    with pytest.raises(DataError, match=r"found only in own\.tar: emu; only in less\.tar: nothing"):
        image_sets(own, less)


def flat(to):
    """As ImageNet's validation pictures are."""
    return tar(to / "val.tar", [(f"val_{i:08d}.png", PICTURE + bytes([i])) for i in (3, 1, 2, 4)])


@pytest.mark.parametrize(
    "lines", ["b\na\nb\nc\n", "val_00000002.png a\nval_00000001.png b\nx/val_00000004.png c\n\nval_00000003.png b"]
)
def test_classes_of_pictures_in_no_folder(tmp_path, lines):
    (tmp_path / "labels.txt").write_text(lines)
    found = image_set(flat(tmp_path), tmp_path / "labels.txt")
    assert found.classes == ["a", "b", "c"]
    assert [(place.name[-5], found.classes[label]) for place, label in found.samples] == [
        ("2", "a"), ("1", "b"), ("3", "b"), ("4", "c")]  # fmt: skip
    assert found.names()[0] == "val_00000002.png"


@pytest.mark.parametrize(("lines", "words"), [
    ("a\nb\nc\n", "it holds 4 pictures, and the classes of 3 were given"), ("", "found 0 to 0 words"),
    ("a b c\nd\n", "expected a class a line, or a name and a class, found 1 to 3 words"),
    ("val_00000001.png a\nval_00000002.png b\n", "it says nothing of val_00000003.png, val_00000004.png")])  # fmt: skip
def test_error_labels(tmp_path, lines, words):
    path = flat(tmp_path)
    assert "as none is in a folder, --labels FILE must say of which class each is" in error_of(path)
    (tmp_path / "labels.txt").write_text(lines)
    assert words in error_of(path, tmp_path / "labels.txt")


def devkit(path, numbers, ids):
    """A devkit as ILSVRC2012's: its numbers are not in the order of the WordNet ids."""
    from scipy.io import savemat

    synsets = np.array(
        [(number, name, "words") for number, name in ids], [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")]
    )
    matlab = io.BytesIO()
    savemat(matlab, {"synsets": synsets})
    with tarfile.open(path, "w:gz") as out:
        for name, data in (
            ("meta.mat", matlab.getvalue()),
            ("ILSVRC2012_validation_ground_truth.txt", "".join(f"{n}\n" for n in numbers).encode()),
        ):
            entry = tarfile.TarInfo(f"devkit/data/{name}")
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
    return path


def test_the_devkit_of_imagenet(tmp_path):
    pytest.importorskip("scipy")
    path, ids = flat(tmp_path), [(1, "n09"), (2, "n01"), (3, "n05")]
    found = image_set(path, devkit(tmp_path / "devkit.tar.gz", [2, 1, 1, 3], ids))
    assert found.classes == ["n01", "n05", "n09"]
    assert [(place.name[-5], found.classes[label]) for place, label in found.samples] == [
        ("1", "n01"), ("4", "n05"), ("2", "n09"), ("3", "n09")]  # fmt: skip
    assert "its tables cannot be read: KeyError 7" in error_of(path, devkit(tmp_path / "bad.tar.gz", [2, 1, 1, 7], ids))
    tar(tmp_path / "other.tar", [("meta.mat", b"")])
    assert "ILSVRC2012_validation_ground_truth.txt in it, found meta.mat" in error_of(path, tmp_path / "other.tar")
    (tmp_path / "no.tar.gz").write_bytes(b"no")
    assert "no.tar.gz: " in error_of(path, tmp_path / "no.tar.gz")


def test_an_archive_is_divided_as_the_folder_is(folder, tmp_path):
    found = image_set(tar_of_tars(folder.root, tmp_path))
    division = Division.of(found, 0.3, 5)
    assert division == Division.of(folder, 0.3, 5)
    for part, own in zip(division.parts(found), division.parts(folder), strict=True):
        assert (part.names(), part.labels.tolist()) == (own.names(), own.labels.tolist())
    assert in_both(found, folder) == [path for path, _ in folder.samples]
    assert in_both(folder, division.parts(found)[1]) == [place for place, _ in division.parts(found)[1].samples]


def test_an_archive_that_goes_away(folder, tmp_path):
    path = plain_tar(folder.root, tmp_path)
    found = image_set(path)
    statistics = Statistics.of(found)
    path.unlink()
    with pytest.raises(DataError, match=r"set\.tar: its pictures can no longer be read"):
        list(Loader(found, statistics, 8, train=False).epoch(0))


@given(
    st.sampled_from([tar_of_tars, zipped, deflated]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=4),
    st.floats(0.2, 1),
)
def test_spoilt_archives_end_in_words(tmp_path_factory, kind, flips, kept):
    """Bits flipped, mostly in headers, and cut off: pictures, or one line."""
    to = tmp_path_factory.mktemp("spoilt")
    path = kind(make_folder(to / "set of pictures", 2).root, to)
    data = bytearray(path.read_bytes()[: int(path.stat().st_size * kept)])
    for place, bits in flips:
        data[min(int(place * len(data)) // 512 * 512 + bits % 160, len(data) - 1)] ^= bits
    path.write_bytes(data)
    try:
        found = image_set(path)
    except DataError as error:
        assert str(error).isprintable()
        return
    for place, _ in found.samples:
        str(place)
        with suppress(BadPicture):
            read_picture(place)
