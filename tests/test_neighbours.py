"""The nearest training pictures of a run, against features that are computed one by one."""

import numpy as np
import pytest
from gpus import gpus  # noqa: F401 - a fixture
from pictures import make_folder

from minicnn import cuda, manual_seed, no_grad
from minicnn.data import ImageFolder, Loader, Statistics, central_crop, read_picture
from minicnn.models import alexnet
from minicnn.ops import concatenate
from minicnn.training import neighbours as module
from minicnn.training.neighbours import enough, neighbours

FLAT = Statistics(np.full((3, 256, 256), 99, np.float32), np.float32([10, 20, 90]), np.eye(3, dtype=np.float32), {})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    for part, count in (("train", 9), ("val", 22), ("few", 2)):
        make_folder(root / part, count)
    for number in range(18):  # among them are those of the training set
        for name in ("cat", "dog"):
            (root / "val" / name / f"{number}.png").unlink()
    (root / "train" / "cat" / "4.png").write_text("no picture")
    return root


@pytest.fixture(scope="module")
def model():
    manual_seed(3)
    return alexnet(classes=2, width=1 / 48)


def loaders(root, part="train"):
    return [Loader(ImageFolder(root / name), FLAT, 4, train=name != "val", scale=0.02, seed=1)
            for name in (part, "val")]


def feature(model, path):
    view = central_crop(read_picture(path), FLAT) * np.float32(0.02)
    with no_grad():
        model.eval()
        towers = (model.a, model.b)
        x = [t.conv2(t.conv1(view[None])) for t in towers]
        both = concatenate(*x, axis=1)
        x = concatenate(*(t.conv5(t.conv4(t.conv3(both))) for t in towers), axis=1)
        x = concatenate(*(t.fc6(x) for t in towers), axis=1)
        return np.concatenate([t.fc7(x).numpy()[0] for t in towers])


def test_they_are_those_of_a_slow_search(model, root, monkeypatch):
    monkeypatch.setattr(module, "LEAST", 10)
    training, validation = loaders(root)
    done = []
    found = neighbours(model, training, validation, count=3, each=4, progress=lambda *at: done.append(at))
    samples = training.folder.samples
    chosen = [i for i in np.linspace(0, 17, 10).astype(int) if samples[i][0].name != "4.png" or samples[i][1]]
    assert (found.searched, found.among, found.layer) == (len(chosen), 18, "fc7")
    assert found.units == 2 * round(2048 / 48)
    features = {i: feature(model, samples[i][0]) for i in chosen}
    queries = [validation.folder.samples[i] for i in (0, 3, 7)]
    for (picture, label, near), (path, right) in zip(found.rows, queries, strict=True):
        assert label == right
        np.testing.assert_array_equal(picture, read_picture(path))
        own = feature(model, path)
        best = sorted(chosen, key=lambda i: np.linalg.norm(features[i] - own))[:4]
        for (image, other, distance), i in zip(near, best, strict=True):
            np.testing.assert_array_equal(image, read_picture(samples[i][0]))
            assert other == samples[i][1]
            assert distance == pytest.approx(np.linalg.norm(features[i] - own), rel=1e-3)
    assert done[-1] == (10, 10)
    assert found.in_words() == (f"validation pictures, and of {len(chosen)} of 18 training pictures those that are "
                                "nearest in fc7 (86 numbers, Euclidean distance)")


def test_of_fewer_than_six_all_are_near(model, root):
    found = neighbours(model, *loaders(root, "few"))
    assert [len(near) for _, _, near in found.rows] == [4] * 5
    assert "of 4 training pictures" in found.in_words()


def test_a_picture_is_its_own_nearest(model, root):
    training, _ = loaders(root)
    found = neighbours(model, training, training, count=2, each=1)
    assert [near[0][2] for _, _, near in found.rows] == pytest.approx([0, 0], abs=1e-4)


@pytest.mark.two_gpus
def test_on_two_gpus_they_are_the_same(gpus, model, root):  # noqa: F811
    manual_seed(3)
    two = alexnet(classes=2, width=1 / 48, devices=(cuda(0), cuda(1)))
    training, validation = loaders(root, "few")
    for (_, _, here), (_, _, there) in zip(neighbours(model, training, validation).rows,
                                           neighbours(two, training, validation).rows, strict=True):
        assert [distance for *_, distance in here] == pytest.approx([distance for *_, distance in there], rel=1e-3)
        assert [label for _, label, _ in here] == [label for _, label, _ in there]


def test_where_no_picture_can_be_read_that_is_said(model, tmp_path, root):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_text("no picture")
    bad = Loader(ImageFolder(tmp_path), FLAT, 4, train=False)
    training, validation = loaders(root)
    for pair in ((training, bad), (bad, validation)):
        with pytest.raises(ValueError, match=r"none of its (2 )?pictures can be read"):
            neighbours(model, *pair)


@pytest.mark.parametrize("count, searched", [(3, 3), (2000, 2000), (2500, 2000), (50_000, 5000), (1_281_167, 128_117)])
def test_how_many_are_enough(count, searched):
    assert enough(count) == searched
