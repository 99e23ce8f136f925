"""CIFAR-10 as its authors' archives have it, and as folders."""

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
    (folder / "batches.meta").write_bytes(b"not looked at")
    return folder


def pack(folder, path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


@pytest.mark.parametrize(("kind", "suffix"), [(as_python, ""), (lambda name: as_python(name, 4), ""),
                                              (as_binary, ".bin")])  # fmt: skip
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


class Command:
    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize(("broken", "words"), [
    (pickle.dumps(Command(), 2), r"it names \w*builtin\w*\.print, which no pictures need"), (b"\x80\x02}", "."),
    (pickle.dumps({"data": np.zeros((2, 9), np.uint8), "labels": [0, 1]}, 2), "reshape"), (b"1234", "reshape"),
    (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}, 2), "labels are from 0 to 9"), (b"", "."),
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
