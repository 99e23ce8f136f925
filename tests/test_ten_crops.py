"""The paper's test: ten views of each picture, the mean of their probabilities, and how sure a share is."""

import numpy as np
import pytest
from pictures import make_folder

from minicnn import manual_seed, nn
from minicnn.data import ImageFolder, Loader, Statistics, read_picture
from minicnn.training.classes import Predictions
from minicnn.training.scores import evaluate, interval

pytestmark = pytest.mark.processor


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def ten_by_hand(picture, mean, crop):
    """(10, 3, crop, crop), by slices: the corners and the middle, then all of them mirrored."""
    image = picture.transpose(2, 0, 1).astype(np.float64) - mean
    end, middle = 256 - crop, (256 - crop) // 2
    views = [image[:, top : top + crop, left : left + crop]
             for top, left in ((0, 0), (0, end), (end, 0), (end, end), (middle, middle))]  # fmt: skip
    return np.array(views + [view[:, :, ::-1] for view in views])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = make_folder(tmp_path_factory.mktemp("set"), 5, ("cat", "dog", "emu")).root
    (root / "dog" / "1.png").write_bytes(b"none")
    return root


def loader_of(root, batch_size, **more):
    random = np.random.default_rng(1)
    mean = random.uniform(90, 160, (3, 256, 256)).astype(np.float32)
    statistics = Statistics(mean, np.ones(3, np.float32), np.eye(3, dtype=np.float32), {})
    return Loader(ImageFolder(root), statistics, batch_size, **({"train": False, "crops": 10, "scale": 0.5} | more))


@pytest.mark.parametrize(("crop", "workers"), [(224, 0), (227, 1)])
def test_the_views_are_those_of_the_paper(root, crop, workers):
    with loader_of(root, 4, crop=crop, workers=workers) as loader:
        good = [(path, label) for path, label in loader.folder.samples if path != root / "dog" / "1.png"]
        for images, labels in loader.epoch(0):
            assert images.shape == (10 * len(labels), 3, crop, crop)
            for i, label in enumerate(labels):
                path, own = good.pop(0)
                by_hand = 0.5 * ten_by_hand(read_picture(path), loader.statistics.mean, crop)
                np.testing.assert_allclose(images[10 * i : 10 * i + 10], by_hand, atol=1e-4)
                assert label == own
        assert not good


@pytest.mark.parametrize("batch_size", [1, 4, 15])
def test_a_picture_is_judged_by_the_mean_of_its_probabilities(root, batch_size):
    manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 64, stride=32), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    loader, said = loader_of(root, batch_size, scale=0.1), Predictions()
    scores = evaluate(net, loader, predictions=said)
    losses, right, probabilities = [], 0, []
    for path, label in loader.folder.samples:
        if path == root / "dog" / "1.png":
            continue
        views = 0.1 * ten_by_hand(read_picture(path), loader.statistics.mean, 224)
        mean = np.mean([softmax(logits) for logits in net(views.astype(np.float32)).numpy().astype(np.float64)], axis=0)
        losses.append(-np.log(mean[label]))
        right += mean.argmax() == label
        probabilities.append(mean.max())
    assert (scores.seen, scores.top1) == (14, right)
    assert scores.means()["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    np.testing.assert_allclose(said.all["probability"], probabilities, rtol=1e-4)
    single = evaluate(net, loader_of(root, batch_size, scale=0.1, crops=1))
    assert single.means()["loss"] != pytest.approx(scores.means()["loss"], rel=1e-3)


@pytest.mark.parametrize("more", [{"crops": 5}, {"train": True}])
def test_error_crops(root, more):
    with pytest.raises(ValueError, match="give 1, or 10 where it is not for training"):
        loader_of(root, 4, **more)


@pytest.mark.parametrize(("hits", "seen"), [(0, 10), (10, 10), (3, 7), (578, 1000), (28_500, 50_000)])
def test_the_interval_is_wilsons(hits, seen):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(hits, seen).proportion_ci(method="wilson")
    np.testing.assert_allclose(interval(hits, seen), [expected.low, expected.high], atol=1e-6)


def test_no_interval_of_nothing():
    assert np.isnan(interval(0, 0)).all()
