"""The loader of arrays: the same batches for the same seed, wherever an epoch is taken up; and a run of training on it
that is stopped, saved and taken up again."""

import numpy as np
import pytest
from helpers import normal

from minicnn import Tensor, checkpoint, manual_seed, nn, optim
from minicnn.data import ArrayLoader
from minicnn.data.order import order_of, seed_of
from minicnn.engine.memory import batch_last
from minicnn.training.scores import evaluate
from minicnn.training.step import Step
from minicnn.training.trainer import Trainer

LABELS = np.arange(11) % 3
IMAGES = np.arange(11 * 2 * 3 * 4, dtype=np.float32).reshape(11, 2, 3, 4)


def equal(batches, others):
    return len(batches) == len(others) and all(
        np.array_equal(x, u) and np.array_equal(y, v) for (x, y), (u, v) in zip(batches, others, strict=True))


def shuffled(size=4, seed=0, **settings):
    return ArrayLoader(IMAGES, LABELS, size, train=True, seed=seed, **settings)


def noisy(image, rng):
    return image[:, :, ::-1] + rng.normal()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("shape", [(3,), (1, 4), (2, 3, 4)])
def test_batches_are_single_precision_with_the_batch_fastest(dtype, shape):
    images = (np.abs(normal(7, *shape)) * 100).astype(dtype)
    loader = ArrayLoader(images, np.arange(7, dtype=np.uint8), 3, train=False, scale=0.3)
    batches = list(loader.epoch(5))
    assert len(loader) == 3
    assert [len(y) for _, y in batches] == [len(x) for x, _ in batches] == [3, 3, 1]
    for x, y in batches:
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert batch_last(x).flags.c_contiguous
        assert x.flags.writeable
        assert not np.shares_memory(x, images)
    x, y = (np.concatenate(part) for part in zip(*batches, strict=True))
    np.testing.assert_array_equal(x, images.astype(np.float32) * np.float32(0.3))
    assert y.tolist() == list(range(7))


def test_an_epoch_shows_every_image_once_with_its_label_in_a_new_order():
    loader = shuffled()
    epochs = [list(loader.epoch(number)) for number in (0, 1)]
    orders = []
    for batches in epochs:
        x, y = (np.concatenate(part) for part in zip(*batches, strict=True))
        places = (x[:, 0, 0, 0] / 24).astype(int)
        np.testing.assert_array_equal(x, IMAGES[places])
        np.testing.assert_array_equal(y, LABELS[places])
        orders.append(places.tolist())
    assert [sorted(order) for order in orders] == [list(range(11))] * 2
    assert orders[0] != orders[1] != list(range(11)) != orders[0]
    assert equal(epochs[1], list(loader.epoch(1)))
    assert equal(epochs[1], list(shuffled().epoch(1)))
    assert not equal(epochs[1], list(shuffled(seed=1).epoch(1)))


def test_the_order_is_that_of_a_folder_of_as_many_pictures():
    order = order_of(11, True, 3, 2)
    right = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(2,))).permutation(11)
    np.testing.assert_array_equal(order, right)
    np.testing.assert_array_equal([y for _, labels in shuffled(seed=3).epoch(2) for y in labels], LABELS[right])
    assert order_of(3, False, 3, 2).tolist() == [0, 1, 2]


@pytest.mark.parametrize("augment", [None, noisy])
def test_from_any_start_and_for_any_batch_size_each_image_is_shown_the_same(augment):
    loader = shuffled(augment=augment)
    batches = list(loader.epoch(2))
    for start in (0, 1, 2):
        assert equal(batches[start:], list(loader.epoch(2, start * 4)))
    assert not list(loader.epoch(2, 12))
    one_by_one = np.concatenate([x for x, _ in shuffled(1, augment=augment).epoch(2)])
    np.testing.assert_array_equal(one_by_one, np.concatenate([x for x, _ in batches]))


def test_augment_draws_by_seed_epoch_and_image():
    def drawn(seed, epoch, train=True):
        loader = ArrayLoader(np.zeros((11, 1)), LABELS, 4, train=train, seed=seed,
                             augment=lambda image, rng: image + rng.normal())
        return np.concatenate([x[:, 0] for x, _ in loader.epoch(epoch)])

    right = [np.float32(np.random.default_rng(seed_of(1, 2, i)).normal()) for i in range(11)]
    np.testing.assert_array_equal(drawn(1, 2, train=False), right)
    np.testing.assert_array_equal(drawn(1, 2), np.array(right)[order_of(11, True, 1, 2)])
    assert len({*drawn(1, 2), *drawn(1, 3), *drawn(2, 2)}) == 33


def test_augment_may_change_type_and_shape_and_comes_before_the_scale():
    loader = ArrayLoader(IMAGES.astype(np.uint8), LABELS, 11, train=False, scale=0.5,
                         augment=lambda image, _: image[:, 1:])
    ((x, _),) = loader.epoch(0)
    np.testing.assert_array_equal(x, IMAGES.astype(np.uint8)[:, :, 1:] / 2)

    def spoil(image, rng):
        image += 1

    for augment, error, words in ((spoil, ValueError, "read-only"), (lambda *_: None, TypeError, "augment: .*NoneType"),
                                  (lambda image, _: image * 1j, TypeError, "augment: complex"),
                                  (lambda image, rng: image[:, : 1 + int(image[0, 0, 0] > 0)], ValueError,
                                   r"^ArrayLoader: augment gives images of the shapes \(2, 1, 4\) and \(2, 2, 4\)")):
        with pytest.raises(error, match=words):
            list(ArrayLoader(IMAGES, LABELS, 4, train=False, augment=augment).epoch(0))
    assert IMAGES[0, 0, 0, 0] == 0


def test_images_may_be_what_a_tensor_is_made_of_and_are_not_copied():
    images = IMAGES.copy()
    loader = ArrayLoader(images, LABELS, 11, train=False)
    images[3] = -1
    ((x, _),) = loader.epoch(0)
    assert (x[3] == -1).all()
    for given in (Tensor(IMAGES), IMAGES.tolist()):
        ((x, y),) = ArrayLoader(given, Tensor(LABELS), 11, train=False).epoch(0)
        np.testing.assert_array_equal(x, IMAGES)
        assert y.tolist() == LABELS.tolist()


@pytest.mark.parametrize(("change", "error", "words"), [
    ({"labels": LABELS[:-1]}, ValueError, "there are 11 images and 10 labels"),
    ({"labels": LABELS * 1.0}, TypeError, "labels are float64: give whole numbers"),
    ({"labels": LABELS > 1}, TypeError, "labels are bool"),
    ({"labels": ["a"] * 11}, TypeError, "labels: "),
    ({"labels": np.eye(11, dtype=int)}, ValueError, r"labels have the shape \(11, 11\): .*argmax"),
    ({"labels": LABELS - 1}, ValueError, r"labels\[0\] is -1: classes are counted from 0"),
    ({"images": np.zeros((0, 2)), "labels": np.zeros(0, int)}, ValueError, r"images have the shape \(0, 2\)"),
    ({"images": np.zeros((11, 0))}, ValueError, r"images have the shape \(11, 0\)"),
    ({"images": np.zeros(11)}, ValueError, r"images have the shape \(11,\)"),
    ({"images": IMAGES * 1j}, TypeError, "images: complex"),
    ({"images": "a.npy"}, TypeError, "images: "),
    ({"images": np.where(IMAGES == 60, np.nan, IMAGES)}, ValueError, r"images\[2\] has numbers that are not finite"),
    ({"images": np.where(IMAGES == 3, -np.inf, IMAGES)}, ValueError, r"images\[0\] has numbers that are not finite"),
    ({"images": np.where(IMAGES >= 240, 1e300, IMAGES.astype(float))}, ValueError, r"images\[10\] has numbers"),
    ({"batch_size": 0}, ValueError, "batch_size is 0"), ({"batch_size": 2.0}, TypeError, "batch_size is 2.0"),
    ({"train": 1}, TypeError, "train is 1"), ({"seed": -1}, ValueError, "seed is -1"),
    ({"scale": np.nan}, ValueError, "scale is nan"),
])  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_is_trained(change, error, words):
    given = {"images": IMAGES, "labels": LABELS, "batch_size": 4, "train": True} | change
    with pytest.raises(error, match=f"^ArrayLoader: {words}"):
        ArrayLoader(given.pop("images"), given.pop("labels"), given.pop("batch_size"), **given)


def test_in_many_images_the_first_that_is_not_finite_is_named():
    images = np.zeros((3000, 2), np.float32)
    images[[2500, 2700]] = np.inf
    with pytest.raises(ValueError, match=r"images\[2500\]"):
        ArrayLoader(images, np.zeros(3000, int), 4, train=True)
    images[:] = 3
    ArrayLoader(images, np.zeros(3000, int), 4, train=True)


# -- a run -------------------------------------------------------------------------------------------------------------


def stripes(count, seed):
    """8-bit pictures (count, 1, 6, 6) with one bright column, and which of three it is."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 100, (count, 1, 6, 6), np.uint8), rng.integers(0, 3, count)
    images[np.arange(count), 0, :, 2 * labels] += 120
    return images, labels


def run(folder, size=8):
    manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 3))
    training = ArrayLoader(*stripes(60, 0), size, train=True, seed=5, scale=1 / 255,
                           augment=lambda image, rng: image[:, ::-1] if rng.random() < 0.5 else image)
    validation = ArrayLoader(*stripes(30, 1), 8, train=False, scale=1 / 255)
    step = Step(model, optim.SGD(model.named_parameters()))
    return Trainer(step, optim.StepSchedule(0.05), training, validation, folder)


@pytest.mark.parametrize("stop", [1, 3, 8, 10])
def test_a_run_that_was_cut_off_goes_on_bit_for_bit(tmp_path, stop):
    whole = run(tmp_path / "whole")
    scores = whole.fit(8).means()
    assert scores["top1"] == 1
    part = run(tmp_path / "part")
    steps = iter(range(stop))
    take = part.step.gradients
    part.step.gradients = lambda *batch: take(*batch) if next(steps, None) is not None else 1 / 0
    with pytest.raises(ZeroDivisionError):
        part.fit(8)
    again = run(tmp_path / "part")
    again.resume(*checkpoint.load(tmp_path / "part" / "last.safetensors"))
    assert again.progress.step == stop
    again.fit(8)
    for name, array in whole.model.state_dict().items():
        np.testing.assert_array_equal(array, again.model.state_dict()[name])
    assert evaluate(again.model, again.validation).means() == scores
