"""The views of a picture: where they lie, what is subtracted, and how their colours vary."""
import numpy as np
import pytest

from minicnn.data import Statistics, central_crop, central_crops, training_crop
from minicnn.data.augment import draw

# Red tells the row and green the column of a pixel.
PLACES = np.stack([*np.mgrid[:256, :256], np.full((256, 256), 9)], axis=-1).astype(np.uint8)


def statistics(mean=0.0, sigma=(0.0, 0.0, 0.0), axes=None):
    return Statistics(np.broadcast_to(np.float32(mean), (3, 256, 256)), np.float32(sigma),
                      np.eye(3, dtype=np.float32) if axes is None else axes, {})


@pytest.fixture(scope="module")
def views():
    rng = np.random.default_rng(0)
    return [training_crop(PLACES, statistics(), rng) for _ in range(600)]


def test_every_place_is_reached(views):
    assert all(view.shape == (3, 224, 224) and view.dtype == np.float32 for view in views)
    for channel in (0, 1):
        assert {int(view[channel].min()) for view in views} == set(range(33))
    assert len({(view[0].min(), view[1].min()) for view in views}) > 400  # of 33 · 33: one does not tell the other


def test_a_view_is_a_piece_of_the_picture_mirrored_or_not(views):
    mirrored = 0
    for view in views:
        top, left = int(view[0].min()), int(view[1].min())
        piece = PLACES[top:top + 224, left:left + 224].transpose(2, 0, 1)
        flipped = view[1, 0, 0] > view[1, 0, -1]
        np.testing.assert_array_equal(view, piece[:, :, ::-1] if flipped else piece)
        mirrored += flipped
    assert 250 < mirrored < 350


def test_the_mean_is_that_of_the_same_place():
    own = statistics(mean=PLACES.transpose(2, 0, 1))
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert (training_crop(PLACES, own, rng) == 0).all()
    assert (central_crop(PLACES, own) == 0).all()


def test_another_crop_has_other_places():
    own, rng = statistics(), np.random.default_rng(0)
    views = [training_crop(PLACES, own, rng, 227) for _ in range(400)]
    assert {view.shape for view in views} == {(3, 227, 227)}
    for channel in (0, 1):
        assert {int(view[channel].min()) for view in views} == set(range(30))
    np.testing.assert_array_equal(central_crop(PLACES, own, 227), PLACES[14:241, 14:241].transpose(2, 0, 1))
    assert central_crops([PLACES], own, crop=227).shape == (1, 3, 227, 227)


def test_the_central_crop():
    view = central_crop(PLACES, statistics(mean=5))
    assert view.dtype == np.float32
    np.testing.assert_array_equal(view, PLACES[16:240, 16:240].transpose(2, 0, 1) - 5.0)


def test_colour_noise_lies_along_the_axes_in_units_of_sigma():
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0].astype(np.float32)
    sigma = np.array([20.0, 40.0, 120.0])
    rng = np.random.default_rng(0)
    flat = np.full((256, 256, 3), 100, np.uint8)
    views = [training_crop(flat, statistics(100, sigma, axes), rng) for _ in range(500)]
    assert all((view == view[:, :1, :1]).all() for view in views[:20])  # one draw for the whole view
    along = np.stack([view[:, 0, 0] for view in views]) @ axes
    np.testing.assert_allclose(along.std(axis=0), 0.1 * sigma, rtol=0.12)
    assert (np.abs(along.mean(axis=0)) < 0.03 * sigma).all()
    assert np.abs(np.corrcoef(along.T) - np.eye(3)).max() < 0.2  # each axis by a number of its own


def test_the_same_seed_gives_the_same_view():
    one, two, other = (training_crop(PLACES, statistics(sigma=(1, 1, 1)), np.random.default_rng(n)) for n in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_a_seed_draws_what_it_always_drew():
    """So that a run goes on with the views that it began with, whatever the version."""
    place, noise = draw(np.float32([20, 40, 120]), np.eye(3, dtype=np.float32), np.random.default_rng(3))
    assert place.tolist() == [26, 2, 1]
    np.testing.assert_allclose(noise, [0.8361977, -2.2710783, -5.4317913], rtol=1e-5)


def test_the_central_crops_are_those_of_the_pictures_scaled():
    pictures, own = [PLACES, PLACES[::-1]], statistics(mean=5)
    views = central_crops(pictures, own, 0.3)
    assert (views.shape, views.dtype) == ((2, 3, 224, 224), np.float32)
    for view, picture in zip(views, pictures, strict=True):
        np.testing.assert_array_equal(view, central_crop(picture, own) * np.float32(0.3))
