"""The loader: the same batches for the same seed, whatever the workers, the place of the start and the bad pictures."""
import numpy as np
import pytest
from pictures import make_folder

from minicnn.data import DataError, ImageFolder, Loader, Statistics, central_crop, read_picture


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    make_folder(root, 10)
    return root


@pytest.fixture(scope="module")
def statistics():
    rng = np.random.default_rng(0)
    return Statistics(rng.uniform(0, 255, size=(3, 256, 256)).astype(np.float32), np.float32([10, 20, 90]),
                      np.eye(3, dtype=np.float32), {})


def equal(batches, others):
    return len(batches) == len(others) and all(
        np.array_equal(x, u) and np.array_equal(y, v) for (x, y), (u, v) in zip(batches, others, strict=True))


def test_shapes_and_memory_order(root, statistics):
    loader = Loader(ImageFolder(root), statistics, 18, train=True)
    assert len(loader) == 2
    (x, y), (last, _) = loader.epoch(0)
    assert x.shape == (18, 3, 224, 224)
    assert x.dtype == np.float32
    assert x.transpose(1, 2, 3, 0).flags.c_contiguous
    assert x.flags.writeable
    assert (y.shape, y.dtype) == ((18,), np.int64)
    assert len(last) == 2


@pytest.mark.parametrize("train", [True, False])
def test_a_network_may_see_another_crop(root, statistics, train):
    folder = ImageFolder(root)
    loader = Loader(folder, statistics, 20, train=train, crop=227, noise=0.0)
    (x, _), = loader.epoch(0)
    assert x.shape == (20, 3, 227, 227)
    if not train:
        for view, (path, _) in zip(x, folder.samples, strict=True):
            picture = read_picture(path)[14:241, 14:241].transpose(2, 0, 1)  # 14 above and left, 15 below and right
            np.testing.assert_array_equal(view, picture - statistics.mean[:, 14:241, 14:241])


def test_without_noise_colours_stay(tmp_path):
    make_folder(tmp_path, 3)
    flat = Statistics(np.zeros((3, 256, 256), np.float32), np.float32([10, 20, 90]), np.eye(3, dtype=np.float32), {})
    for noise in (0.0, 0.1):
        (x, _), = Loader(ImageFolder(tmp_path), flat, 6, train=True, noise=noise).epoch(0)
        assert (x == x.round()).all() == (noise == 0)


@pytest.mark.parametrize("crop, error", [(0, ValueError), (257, ValueError), (224.0, TypeError)])
def test_a_crop_that_is_none_is_refused(root, statistics, crop, error):
    with pytest.raises(error, match=r"^Loader: crop is "):
        Loader(ImageFolder(root), statistics, 20, train=True, crop=crop)


def test_validation_is_the_central_crops_in_order(root, statistics):
    folder = ImageFolder(root)
    batches = list(Loader(folder, statistics, 17, train=False, scale=0.25).epoch(5))
    x, y = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert y.tolist() == [label for _, label in folder.samples]
    for view, (path, _) in zip(x, folder.samples, strict=True):
        np.testing.assert_array_equal(view, central_crop(read_picture(path), statistics) * np.float32(0.25))


def test_an_epoch_shows_every_picture_once_in_a_new_order(root, statistics):
    folder = ImageFolder(root)
    loader = Loader(folder, statistics, 4, train=True, seed=1)
    epochs = [list(loader.epoch(number)) for number in (0, 1)]
    orders = [np.concatenate([y for _, y in epoch]).tolist() for epoch in epochs]
    assert [sorted(order) for order in orders] == [[0] * 10 + [1] * 10] * 2
    assert orders[0] != orders[1]
    assert equal(epochs[1], list(loader.epoch(1)))
    assert not equal(epochs[0], list(Loader(folder, statistics, 4, train=True, seed=2).epoch(0)))


def test_every_epoch_shows_new_views(root, statistics):
    loader = Loader(ImageFolder(root), statistics, 20, train=True, seed=1)
    epochs = [{view.tobytes() for x, _ in loader.epoch(number) for view in x} for number in range(3)]
    assert len(set.union(*epochs)) == 60


def test_the_order_depends_on_the_seed(root, statistics):
    orders = [[y.tolist() for _, y in Loader(ImageFolder(root), statistics, 20, train=True, seed=seed).epoch(0)]
              for seed in (1, 2)]
    assert orders[0] != orders[1]


def test_the_same_batches_for_any_number_of_workers_and_any_start(root, statistics):
    folder = ImageFolder(root)
    alone = list(Loader(folder, statistics, 6, train=True, seed=3).epoch(2))
    for workers in (0, 1, 2):
        with Loader(folder, statistics, 6, train=True, seed=3, workers=workers) as loader:
            next(loader.epoch(2))  # abandoned
            assert equal(alone, list(loader.epoch(2)))
            for start in (1, 3, 4):
                assert equal(alone[start:], list(loader.epoch(2, start * 6)))


@pytest.mark.parametrize("start", [0, 1, 5, 6, 19, 20])
@pytest.mark.parametrize("size", [1, 4, 7, 50])
def test_an_epoch_goes_on_at_any_picture_in_batches_of_any_size(root, statistics, start, size):
    folder = ImageFolder(root)
    everything, left = ([(view.tobytes(), label) for x, y in Loader(folder, statistics, n, train=True).epoch(1, first)
                         for view, label in zip(x, y, strict=True)] for n, first in ((3, 0), (size, start)))
    same = left == everything[start:]
    assert same  # views are large: what tells them apart is not to be printed


def test_a_view_depends_on_its_picture_not_on_its_batch(root, statistics):
    one, other = ([view for x, _ in Loader(ImageFolder(root), statistics, size, train=True).epoch(0) for view in x]
                  for size in (3, 20))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_bad_pictures_leave_the_others_as_they_are(tmp_path, statistics, train, workers):
    folder = make_folder(tmp_path, 6)
    good = list(Loader(folder, statistics, 4, train=train).epoch(0))
    order = [path for path, _ in folder.samples]
    bad = {order[1]: "not a picture in any known format", order[7]: "No such file or directory"}
    order[1].write_bytes(b"nonsense")
    order[7].unlink()
    with Loader(folder, statistics, 4, train=train, workers=workers) as loader:
        for _ in range(2):
            batches = list(loader.epoch(0))
    assert loader.bad == {str(path): reason for path, reason in bad.items()}
    assert sum(len(y) for _, y in batches) == 10
    for (x, y), (u, v) in zip(batches, good, strict=True):  # what is left of each batch, in its order
        kept = [n for n in range(len(v)) if any(np.array_equal(u[n], view) for view in x)]
        np.testing.assert_array_equal(u[kept], x)
        np.testing.assert_array_equal(v[kept], y)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_shown_is_known_by_its_place(tmp_path, statistics, train, workers):
    folder = make_folder(tmp_path, 6)
    lost, good = folder.samples[1][0], folder.samples[7][0].read_bytes()
    lost.write_bytes(b"nonsense")
    with Loader(folder, statistics, 4, train=train, workers=workers) as loader:
        for wrong in (b"nonsense", good):  # in a second epoch it can be read again
            folder.samples[7][0].write_bytes(wrong)
            seen = []
            for _, labels in loader.epoch(0):
                assert [folder.samples[place][1] for place in loader.shown] == labels.tolist()
                seen += loader.shown
            assert sorted(seen) == [i for i in range(12) if i != 1 and not (i == 7 and wrong != good)]
            assert (seen == sorted(seen)) != train


def test_a_wholly_bad_batch_comes_empty(tmp_path, statistics):
    folder = make_folder(tmp_path, 4)
    for path, _ in folder.samples[2:4]:
        path.write_bytes(b"")
    loader = Loader(folder, statistics, 2, train=False)
    assert [(len(x), y.tolist()) for x, y in loader.epoch(0)] == [(2, [0, 0]), (0, []), (2, [1, 1]), (2, [1, 1])]
    assert len(loader.bad) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_every_picture_bad(tmp_path, statistics, workers):
    folder = make_folder(tmp_path, 2)
    for path, _ in folder.samples:
        path.write_bytes(b"")
    with (Loader(folder, statistics, 3, train=True, workers=workers) as loader,
          pytest.raises(DataError, match=r"none of its 4 pictures can be read; the first is .*\.png: not a picture")):
        list(loader.epoch(0))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("part", ["", "..", "*"], ids=["the folder", "the drive", "its pictures"])
def test_storage_that_goes_away_ends_the_epoch_at_once(tmp_path, statistics, workers, part):
    folder = make_folder(tmp_path / "drive" / "train", 10)
    with Loader(folder, statistics, 2, train=True, workers=workers) as loader:
        batches = loader.epoch(0)
        next(batches)
        if part == "*":
            for path in folder.root.glob("*/*.png"):
                path.unlink()
        else:
            (folder.root / part).resolve().rename(tmp_path / "gone")
        with pytest.raises(DataError, match=r"train: its pictures can no longer be read: .*: No such file"):
            for _ in range(workers + 3):  # so many may be read already
                next(batches)


def test_storage_that_is_not_there_from_the_start(tmp_path, statistics):
    folder = make_folder(tmp_path / "train", 10)
    folder.root.rename(tmp_path / "gone")
    with pytest.raises(DataError, match=r"train: its pictures can no longer be read: .*train: No such file"):
        next(Loader(folder, statistics, 2, train=True).epoch(0))


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OSError(116, "Stale file handle"),
                                   OSError(107, "Transport endpoint is not connected"), PermissionError(13, "denied")],
                         ids=str)  # fmt: skip
def test_storage_of_any_kind(tmp_path, statistics, monkeypatch, error):
    loader = Loader(make_folder(tmp_path, 10), statistics, 2, train=True)
    batches = loader.epoch(0)
    next(batches)
    opened = open

    def fail(path, *given, **named):
        if str(path).endswith(".png"):
            raise error
        return opened(path, *given, **named)

    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(DataError, match=f"its pictures can no longer be read: .*{error.strerror}: is its drive"):
        next(batches)


def test_a_batch_of_pictures_that_are_gone_ends_nothing_while_others_are_there(tmp_path, statistics):
    folder = make_folder(tmp_path, 4)
    for path, _ in folder.samples[2:6]:
        path.unlink()
    for size in (1, 2):
        loader = Loader(folder, statistics, size, train=False)
        assert sum(len(labels) for _, labels in loader.epoch(0)) == 4
        assert set(loader.bad.values()) == {"No such file or directory"}


def test_a_batch_size_of_nothing(root, statistics):
    with pytest.raises(ValueError, match="Loader: batch_size is 0: it must be at least 1"):
        Loader(ImageFolder(root), statistics, 0, train=True)


def test_another_loader_of_a_part_shows_it_as_in_validation(root, statistics):
    folder = ImageFolder(root)
    loader = Loader(folder, statistics, 4, train=True, seed=1, scale=0.25, block=2)
    part = loader.of(folder.part(np.arange(20) % 3 == 0), 5)
    batches = list(part.epoch(3))
    assert [len(y) for _, y in batches] == [5, 2]
    x = np.concatenate([x for x, _ in batches])
    for view, (path, _) in zip(x, folder.samples[::3], strict=True):
        np.testing.assert_array_equal(view, central_crop(read_picture(path), statistics) * np.float32(0.25))
    assert (len(loader.folder), loader.train, loader.batch_size) == (20, True, 4)
