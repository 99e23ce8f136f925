"""CIFAR-10 as its authors' archives have it, and as folders."""

import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from minicnn.data import BadPicture, DataError
from minicnn.data.cifar import CLASSES, TEST, TRAINING, cifar10, small_pictures
from minicnn.data.folder import ImageFolder

EACH = 4  # pictures a file
NAMES = [*TRAINING, *TEST]
RANDOM = np.random.default_rng(3)
PIXELS = {name: RANDOM.integers(0, 256, (EACH, 3, 32, 32), np.uint8) for name in NAMES}
LABELS = {name: RANDOM.integers(0, 10, EACH) for name in NAMES}


def as_python(name, protocol=2):
    """As cifar-10-batches-py has it: a dictionary of texts of bytes, pickled by Python 2."""
    batch = {"data": PIXELS[name].reshape(EACH, -1), "labels": LABELS[name].tolist(), "batch_label": name}
    return pickle.dumps(batch, protocol)


def as_binary(name):
    return b"".join(bytes([label]) + pixels.tobytes() for label, pixels in zip(LABELS[name], PIXELS[name], strict=True))


def write(folder, kind, suffix=""):
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}{suffix}").write_bytes(kind(name))
    if suffix:
        (folder / "batches.meta.txt").write_text("\n".join([*CLASSES, "", ""]))
    else:
        (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CLASSES, "num_vis": 3072}, 2))
    return folder


def pack(folder, path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


def as_others(name):
    """As somebody may write it: keys of bytes, wider numbers of another byte order, an array of labels."""
    pixels = np.asfortranarray(PIXELS[name].reshape(EACH, -1).astype(">i4"))
    return pickle.dumps({b"data": pixels, b"labels": LABELS[name].astype(np.uint16)}, 5)


@pytest.mark.parametrize(("kind", "suffix"), [(as_python, ""), (lambda name: as_python(name, 4), ""), (as_others, ""),
                                              (lambda name: as_python(name, 5), ""), (as_binary, ".bin")])  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_the_authors_versions(tmp_path, kind, suffix, packed):
    place = write(tmp_path / "cifar-10-batches", kind, suffix)
    training, test = cifar10(pack(place, tmp_path / "cifar-10.tar.gz") if packed else place)
    np.testing.assert_array_equal(training.images, np.concatenate([PIXELS[name] for name in TRAINING]))
    np.testing.assert_array_equal(training.labels, np.concatenate([LABELS[name] for name in TRAINING]))
    np.testing.assert_array_equal(test.images, PIXELS["test_batch"])
    np.testing.assert_array_equal(test.labels, LABELS["test_batch"])
    assert training.classes == test.classes == CLASSES
    assert (training.images.dtype, training.labels.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize("name", ["CIFAR-10.TAR.GZ", "cifar-10.tar", "cifar (1).gz", "cifar.tar.xz"])
def test_archives_under_other_names(tmp_path, name):
    place = write(tmp_path / "cifar-10-batches-py", as_python)
    with tarfile.open(tmp_path / name, {"tar": "w", "xz": "w:xz"}.get(name.rpartition(".")[2], "w:gz")) as archive:
        archive.add(place, place.name)
    assert cifar10(tmp_path / name)[0].digest == cifar10(place)[0].digest


def test_classes_are_called_as_the_files_say(tmp_path):
    named = write(tmp_path / "named", as_python)
    names = [f"class {i}" for i in range(10)]
    for kind, file, content in ((as_python, "batches.meta", pickle.dumps({"label_names": names})),
                                (as_binary, "batches.meta.txt", "\n".join(names).encode())):
        place = write(tmp_path / file, kind, ".bin" * (kind is as_binary))
        (place / file).write_bytes(content)
        assert [part.classes for part in cifar10(place)] == [names, names]
        (place / file).unlink()
        assert cifar10(place)[0].classes == CLASSES
    for content, words in ((pickle.dumps({"fine_label_names": names}), "found no label_names, but fine_label_names"),
                           (pickle.dumps({"label_names": [1]}), "no texts"), (b"x", ".")):
        (named / "batches.meta").write_bytes(content)
        with pytest.raises(DataError, match=f"batches.meta is not as CIFAR-10 has it: .*{words}"):
            cifar10(named)
    (named / "batches.meta").write_bytes(pickle.dumps({"label_names": names[:5]}))
    with pytest.raises(DataError, match="data_batch_1 is not as CIFAR-10 has it: expected labels from 0 to 4, found "):
        cifar10(named)


class Command:
    """What a pickle may name, with what it is called with, and what it is told then."""

    def __init__(self, what, given=(), state=None):
        self.what, self.given, self.state = what, given, state

    def __reduce__(self):
        return (self.what, self.given, self.state)[: 2 + (self.state is not None)]


def lying(code, names, fields):
    """An array of memory as it is: its dtype has fields of pointers, or of another place, and does not say so."""
    kind = Command(np.dtype, (code, False, True), (3, "|", None, names, fields, int(code[1:]), 1, 0))
    return Command(np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (1,), kind, False, b"A" * 8))


def labelled(data, labels=(0,)):
    return pickle.dumps({"data": data, "labels": list(labels)}, 2)


@pytest.mark.parametrize(("broken", "words"), [
    (pickle.dumps(Command(print, ("it ran",)), 2), r"it names \w*builtin\w*\.print, which no pictures need"),
    (labelled(Command(np.ndarray, ((1, 3072), "u1"))), "expected an array, found none"),
    (labelled(lying("V8", ("a",), {"a": (np.dtype("O"), 0)})), "found an array of V8"),
    (labelled(lying("V1", ("a",), {"a": (np.dtype("u1"), 1 << 30)})), "found an array of V1"),
    (labelled(Command(np.array([1]).tofile, ("/nowhere",))), "which no pictures need"),
    (b"\x80\x02}", "."), (b"1234", "expected 3,073 bytes a picture, found 4"), (b"", "it holds no pictures"),
    (pickle.dumps([1], 2), "expected a dictionary, found a list"),
    (pickle.dumps({"data": 1, "fine_labels": 2}, 2), "found no labels, but data, fine_labels"),
    (labelled(np.zeros((2, 9), np.uint8), [0, 1]), r"expected data of \(N, 3072\) .*, found \(2, 9\) and \(2,\)"),
    (labelled(np.zeros((1, 32, 32, 3), np.uint8)), r"found \(1, 32, 32, 3\)"),
    (labelled(np.zeros((1, 3072), np.uint8), [0, 0]), r"found \(1, 3072\) and \(2,\)"),
    (labelled(np.zeros((1, 3072), np.uint8), [[0]]), r"found \(1, 3072\) and \(1, 1\)"),
    (labelled(np.zeros((1, 3072), np.uint8), [10]), "expected labels from 0 to 9, found 10 to 10"),
    (labelled(np.zeros((1, 3072), np.uint8), [-1]), "expected labels from 0 to 9, found -1 to -1"),
    (labelled(np.full((1, 3072), 256)), "expected pixels from 0 to 255, found 256 to 256"),
    (labelled(np.full((1, 3072), -1)), "expected pixels from 0 to 255, found -1 to -1"),
    (labelled(np.zeros((1, 3072))), "expected whole numbers, found an array of f8"),
    (labelled(np.zeros((1, 3072), np.uint8), [0.5]), "expected whole numbers, found an array of float64"),
    (labelled(np.zeros((1, 3072), np.uint8), ["1"]), "expected whole numbers, found an array of <U1"),
])  # fmt: skip
def test_files_that_are_none(tmp_path, capsys, broken, words):
    place = write(tmp_path / "batches", as_python)
    (place / "data_batch_3").write_bytes(broken)
    with pytest.raises(DataError, match=f"batches: data_batch_3 is not as CIFAR-10 has it: .*{words}"):
        cifar10(place)
    assert not capsys.readouterr().out
    (place / "data_batch_3").unlink()
    with pytest.raises(DataError, match=r"expected data_batch_1, .* found no data_batch_3"):
        cifar10(place)


def test_a_file_that_is_there_twice(tmp_path):
    place = write(tmp_path / "batches", as_python)
    (place / "data_batch_2.bin").write_bytes(as_binary("data_batch_2"))
    with pytest.raises(DataError, match="data_batch_2 is there twice"):
        cifar10(place)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("target", ["nowhere", "data_batch_1", "c/data_batch_1"])
def test_links_and_folders_in_an_archive_are_no_files(tmp_path, kind, target):
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("c/data_batch_1")
        link.type, link.linkname = kind, target
        archive.addfile(link)
        archive.add(write(tmp_path / "batches", as_python) / "data_batch_2", "c/data_batch_2")
    with pytest.raises(DataError, match="found no data_batch_1"):
        cifar10(tmp_path / "cifar.tar.gz")


@pytest.mark.parametrize("name", ["cifar-100-python.tar.gz", "cifar-100-python.tar", "none.tar.gz"])
def test_archives_of_other_things(tmp_path, name):
    (tmp_path / "train").write_bytes(b"x")
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        archive.add(tmp_path / "train", "cifar-100-python/train")
    said = "expected CIFAR-10's own files, data_batch_1 and so on, found cifar-100-python/train"
    if name == "none.tar.gz":
        (tmp_path / name).write_bytes(gzip.compress(b"hello" * 1000))
        said = "expected CIFAR-10 as a .tar.gz: [^\n]*$"
    with pytest.raises(DataError, match=said):
        cifar10(tmp_path / name)


def test_an_archive_that_is_cut_off(tmp_path):
    whole = pack(write(tmp_path / "batches", as_binary, ".bin"), tmp_path / "cifar-10-binary.tar.gz")
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz: expected CIFAR-10 as a .tar.gz: "):
        cifar10(whole)


def test_a_byte_that_is_another(tmp_path):
    whole = pack(write(tmp_path / "batches", as_binary, ".bin"), tmp_path / "cifar-10-binary.tar.gz")
    data = whole.read_bytes()
    for place in range(200, len(data) - 8, len(data) // 20):
        whole.write_bytes(data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :])
        with pytest.raises(DataError):
            cifar10(whole)


def picture(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.transpose(1, 2, 0)).save(path)


def test_folders_of_pictures(tmp_path):
    for part, names in (("train", TRAINING), ("test", TEST)):
        for i, name in enumerate(names):
            for j, pixels in enumerate(PIXELS[name]):
                picture(tmp_path / part / "ab"[j % 2] / f"{i}{j}.png", pixels)
    picture(tmp_path / "train" / "b" / "99.png", np.full((3, 64, 96), 7, np.uint8))  # of another size
    (tmp_path / "train" / "a" / "00.png").write_bytes(b"no picture")
    bad, bars = [], []
    training, test = cifar10(tmp_path, bad.append, lambda items, name: bars.append(name) or items)
    assert training.classes == ["a", "b"] and bars == ["reading train", "reading test"]
    assert [(type(error), error.path.name) for error in bad] == [(BadPicture, "00.png")]
    inside = [(i, j) for label in (0, 1) for i in range(5) for j in (label, label + 2)][1:]
    right = np.stack([PIXELS[TRAINING[i]][j] for i, j in inside] + [np.full((3, 32, 32), 7, np.uint8)])
    np.testing.assert_array_equal(training.images, right)
    np.testing.assert_array_equal(training.labels, [0] * 9 + [1] * 11)
    np.testing.assert_array_equal(test.images, PIXELS["test_batch"][[0, 2, 1, 3]])
    again, _ = cifar10(tmp_path)
    another = [training._replace(images=255 - training.images), training._replace(labels=1 - training.labels),
               training._replace(classes=["a", "c"])]  # fmt: skip
    assert len(training.digest) == 16 and training.digest == again.digest
    assert len({each.digest for each in (training, test, *another)}) == 5


def test_the_test_is_on_test_where_there_is_val_too(tmp_path):
    for part, level in (("train", 0), ("val", 1), ("test", 2)):
        for name in "ab":
            picture(tmp_path / "data" / part / name / "1.png", np.full((3, 32, 32), level, np.uint8))
    assert [int(part.images.max()) for part in cifar10(tmp_path / "data")] == [0, 2]
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        archive.add(tmp_path / "data", "data")
    with pytest.raises(DataError, match="expected pictures in train and test, found more parts"):
        cifar10(tmp_path / "data.tar")
    (tmp_path / "data" / "test").rename(tmp_path / "away")
    with tarfile.open(tmp_path / "two.tar", "w") as archive:
        archive.add(tmp_path / "data", "data")
    for path in (tmp_path / "data", tmp_path / "two.tar"):
        assert [int(part.images.max()) for part in cifar10(path)] == [0, 1]


@pytest.mark.parametrize("there", ["train", "test"])
def test_a_folder_that_is_none(tmp_path, there):
    (tmp_path / there / "a").mkdir(parents=True)
    said = f"expected CIFAR-10's own files, data_batch_1 and so on, or the folders train and test, found {there}"
    with pytest.raises(DataError, match=said):
        cifar10(tmp_path)


def test_no_picture_can_be_read(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(io.BytesIO().getvalue())
    with pytest.raises(DataError, match="none of its 2 pictures can be read"):
        small_pictures(ImageFolder(tmp_path))
