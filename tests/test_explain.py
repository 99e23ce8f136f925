"""Why a network answers as it does: gradients against differences, covered pictures one at a time, the strongest maps
against NumPy, and what a place of a map sees against what changes it."""

import functools
from pathlib import Path

import numpy as np
import pytest
from alexnet_twins import double
from helpers import agree
from hypothesis import given
from hypothesis import strategies as st

from minicnn import Tensor, nn, no_grad
from minicnn.explain import convolutions, gradient_of_score, log_odds, occlusion, receptive_field, squares, strongest
from minicnn.models import VARIANTS, alexnet
from minicnn.models.classifier import Classifier
from minicnn.models.variants import Preprocessing
from minicnn.nn import forward_hook

MEAN = np.array([90.0, 120.0, 100.0])  # of red, green and blue, in bytes
PICTURE = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)


def asked(net, shown, pixels, dtype=np.float64):
    """A classifier of 5 classes that shows pictures, which may be of real numbers, to a net in this precision."""

    def prepare(pictures):
        first = (256 - pixels) // 2
        seen = np.stack(pictures)[:, first : first + pixels, first : first + pixels] - MEAN
        order = [2, 1, 0] if shown.channels == "BGR" else [0, 1, 2]
        return (seen[..., order] * shown.scale / shown.deviation).transpose(0, 3, 1, 2).astype(dtype)

    return Classifier(net, list("abcde"), prepare, Path("none"), shown, MEAN)


@functools.cache
def narrow(variant, dtype=np.float64):
    """An AlexNet of a sixteenth of the width, all weights random."""
    net = alexnet(variant, 5, width=1 / 16, generator=np.random.default_rng(1))
    net = double(net) if dtype == np.float64 else net
    rng = np.random.default_rng(2)
    with no_grad():
        for p in net.parameters():
            fan = np.prod(p.shape[1:]) if p.ndim > 1 else 100
            p[...] = rng.standard_normal(p.shape) * np.sqrt(2 / fan)
    return asked(net, VARIANTS[variant].preprocessing, net.pixels, dtype)


# -- the gradient ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["source2012", "caffe", "torchvision"])  # other channels, scales, sizes, towers
def test_the_gradient_is_that_of_the_score_by_the_picture(variant):
    ask, classes = narrow(variant), [3, 0]
    first = (256 - ask.net.pixels) // 2
    gradient = gradient_of_score(ask, PICTURE, classes)
    assert gradient.shape == (2, 3, ask.net.pixels, ask.net.pixels)

    def scores(pictures):
        with no_grad():
            return ask.net.eval()(Tensor(ask.prepare(pictures))).numpy()[:, classes]

    places = [(c, 60 + 30 * c, 150 - 20 * c) for c in range(3)]
    step = 1e-3
    for c, row, column in places:
        there, back = PICTURE.astype(float), PICTURE.astype(float)
        there[first + row, first + column, c] += step
        back[first + row, first + column, c] -= step
        up, down = scores([there, back])
        agree(gradient[:, c, row, column] / np.abs(gradient).max(), (up - down) / (2 * step) / np.abs(gradient).max(),
              tolerance=1e-6)  # fmt: skip
    assert np.abs(gradient[:, *zip(*places, strict=True)]).min() > 1e-3 * np.abs(gradient).max(), "it says nothing"


class Linear(nn.Module):
    """Scores that are sums of pixels."""

    pixels = 6

    def __init__(self):
        self.layer = nn.Linear(3 * 6 * 6, 5)

    def forward(self, x):
        return self.layer(x.reshape(-1, 3 * 6 * 6))


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_of_a_linear_net_the_gradient_is_its_weights(channels):
    net, deviation = Linear(), np.array([0.5, 2.0, 4.0])
    ask = asked(net, Preprocessing(channels, scale=1 / 255, deviation=tuple(deviation)), 6, np.float32)
    weights = net.layer.weight.numpy().reshape(5, 3, 6, 6) / 255 / deviation.reshape(3, 1, 1)
    agree(gradient_of_score(ask, PICTURE, [4, 1]), weights[[4, 1], :: 1 if channels == "RGB" else -1], tolerance=1e-8)


def test_the_net_is_left_as_it_was():
    ask = narrow("paper", np.float32)
    ask.net.train()
    parameters = list(ask.net.parameters())
    before = [p.numpy().copy() for p in parameters]
    gradient_of_score(ask, PICTURE, [0])
    strongest(ask, PICTURE)
    with pytest.raises(TypeError):
        gradient_of_score(ask, 3, [0])
    ask.prepare, prepare = lambda pictures: np.zeros((1, 3, 9, 9), np.float32), ask.prepare
    with pytest.raises(ValueError, match="must have the shape"):
        gradient_of_score(ask, PICTURE, [0])
    ask.prepare = prepare
    assert [id(p) for p in ask.net.parameters()] == [id(p) for p in parameters]
    assert all(p.grad is None for p in parameters)
    assert all((p.numpy() == old).all() for p, old in zip(parameters, before, strict=True))
    assert all(module.training for module in ask.net.modules())


# -- covered pictures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["paper", "caffe"])
def test_each_place_is_covered_as_if_it_were_the_only_one(variant):
    ask, cells, square = narrow(variant), 3, 50
    pixels, first = ask.net.pixels, (256 - ask.net.pixels) // 2
    found = occlusion(ask, PICTURE, [2, 4], cells, square)
    assert found.shape == (2, cells, cells)
    for i, j in [(0, 0), (1, 2), (2, 2)]:
        covered = PICTURE.copy()
        for row in range(pixels):
            for column in range(pixels):
                if all(-25 <= at + 0.5 - (cell + 0.5) * pixels / 3 < 25 for at, cell in ((row, i), (column, j))):
                    covered[first + row, first + column] = 128
        y = ask.scores([covered])[0]
        others = [np.log(np.exp(np.delete(y, c)).sum()) for c in (2, 4)]
        agree(found[:, i, j], y[[2, 4]] - others, tolerance=1e-9)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(40, 60))
def test_squares_stand_in_the_middle_of_their_cells(cells, square, pixels):
    along = squares(pixels, cells, square)
    assert len(along) == cells
    for i, one in enumerate(along):
        middle = (i + 0.5) * pixels / cells
        assert one.start in (0, pytest.approx(middle - square / 2, abs=0.51))
        assert one.stop in (pixels, pytest.approx(middle + square / 2, abs=0.51))
        assert (0 <= one.start < one.stop <= pixels) or square == 1


def test_squares_of_an_alexnet():
    along = squares(224)
    assert (len(along), along[0], along[1], along[-1]) == (16, slice(0, 23), slice(5, 37), slice(201, 224))


def test_odds_differ_where_probabilities_are_rounded_to_one():
    y = np.array([[0.5, -1.0, 2.0], [100.0, 0.0, 0.0]], np.float32)
    p = np.exp(y[0]) / np.exp(y[0]).sum()
    agree(log_odds(y, [0, 1, 2])[:, 0], np.log(p / (1 - p)), tolerance=1e-6)
    agree(log_odds(y, [0, 1])[:, 1], [100 - np.log(2), -100.0], tolerance=1e-12)


def test_answers_whose_probability_is_rounded_to_nothing_stand_in_their_order():
    one = narrow("torchvision", np.float32)  # without a normalisation: larger pictures, larger scores
    ask = Classifier(one.net, one.classes, lambda pictures: 10**5 * one.prepare(pictures), one.path, one.shown, MEAN)
    said = ask.classify(PICTURE)
    assert [round(one.probability, 6) for one in said] == [1, 0, 0, 0, 0]
    assert [ask.classes.index(one.name) for one in said] == np.argsort(-ask.scores([PICTURE])[0]).tolist()


# -- the strongest maps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_strongest_maps_are_those_of_the_largest_answers(variant):
    ask, outputs, towers = narrow(variant, np.float32), [], VARIANTS[variant].towers

    def keep(layer, y):
        if isinstance(layer, nn.Conv2d):
            outputs.append(y.numpy()[0])

    with no_grad(), forward_hook(keep):
        ask.net.eval()(Tensor(ask.prepare([PICTURE])))
    for i, row in enumerate(["conv1", "conv2", "conv3", "conv4", "conv5"]):
        answers = np.maximum(np.concatenate(outputs[i * towers : (i + 1) * towers]), 0)
        found = strongest(ask, PICTURE, row, 3)
        order = np.argsort(-answers.max((1, 2)), kind="stable")[:3]
        each = len(answers) // towers
        assert [(one.tower, one.number) for one in found] == [("ab"[n // each], n % each) for n in order]
        for n, one in zip(order, found, strict=True):
            np.testing.assert_array_equal(one.answers, answers[n])
            assert one.largest == answers[n].max() == answers[n][one.place]
            assert one.field == receptive_field(variant, row, one.place)


@given(st.sampled_from(list(VARIANTS)), st.sampled_from(["conv1", "conv2", "conv3", "conv4", "conv5"]), st.data())
def test_nothing_outside_of_its_field_changes_an_answer(variant, row, data):
    ask = narrow(variant)
    side = {"conv1": 55, "conv2": 27}.get(row, 13)
    place = data.draw(st.tuples(*[st.integers(0, side - 1)] * 2))
    field = receptive_field(variant, row, place)
    seen = ask.prepare([PICTURE])
    outside = np.random.default_rng(0).permuted(seen)
    outside[0, :, *field] = seen[0, :, *field]
    inside = seen.copy()
    inside[0, :, *field] = outside.max()
    answers = []

    def keep(layer, y):
        if any(layer is getattr(tower, row)[0] for tower in ask.net.towers()):
            answers.append(y.numpy()[:, :, *place])

    with no_grad(), forward_hook(keep):
        ask.net.eval()(Tensor(np.concatenate([seen, outside, inside])))
    for before, changed_outside, changed_inside in answers:
        agree(changed_outside, before, tolerance=1e-9)
        assert np.abs(changed_inside - before).max() > 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
def test_fields_have_the_size_that_is_known(variant):
    """Araujo, Norris and Sim 2019 (Computing Receptive Fields of Convolutional Neural Networks): of the one tower 195
    after its last pooling, and so 163 before, whose windows of 3 stand 16 pixels apart."""
    within_a_map = 2 * 16 if variant == "source2012" else 0  # before the second pooling 4 places of 8 pixels more
    sizes = [rows.stop - rows.start for rows, _ in (receptive_field(variant, row, (6, 6)) for row in
                                                    ("conv2", "conv3", "conv4", "conv5"))]  # fmt: skip
    assert sizes == [51, 99 + within_a_map, 131 + within_a_map, 163 + within_a_map]
    assert receptive_field(variant, "conv1", (30, 2))[0] == slice(120, 131) or variant == "torchvision"
    assert receptive_field(variant, "conv1", (0, 54))[1].stop == VARIANTS[variant].pixels
    assert convolutions(variant) == ["conv1", "conv2", "conv3", "conv4", "conv5"]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [gradient_of_score, occlusion])
@pytest.mark.parametrize("classes, error, words", [
    ([5], ValueError, "a class is 5"), ([0, -1], ValueError, "a class is -1"), ([1.0], TypeError, "a class is 1.0"),
    ([], ValueError, "no class is given"),
])  # fmt: skip
def test_classes_that_there_are_not(call, classes, error, words):
    with pytest.raises(error, match=f"^{call.__name__}: {words}"):
        call(narrow("paper", np.float32), PICTURE, classes)


def test_settings_that_are_none():
    ask = narrow("paper", np.float32)
    for settings in ({"cells": 0}, {"square": 0}):
        with pytest.raises(ValueError, match=r"^occlusion: (cells|square) is 0"):
            occlusion(ask, PICTURE, [0], **settings)
    for call in (lambda: strongest(ask, PICTURE, "fc6"), lambda: receptive_field("paper", "norm1", (0, 0))):
        with pytest.raises(ValueError, match="is no convolution of paper: choose one of conv1, conv2"):
            call()


def test_what_is_not_finite_is_no_explanation():
    ask = asked(alexnet("torchvision", 5, width=1 / 16), Preprocessing(scale=np.inf), 224, np.float32)
    ask.prepare = lambda pictures: np.full((len(pictures), 3, 224, 224), np.inf, np.float32)
    one_is_none = np.array([[0.0, 1.0], [0.0, np.nan]])
    for call in (lambda: gradient_of_score(ask, PICTURE, [0]), lambda: occlusion(ask, PICTURE, [0], 1),
                 lambda: strongest(ask, PICTURE, "conv1"), lambda: log_odds(one_is_none, [0])):  # fmt: skip
        with np.errstate(all="ignore"), pytest.raises(ValueError, match="is not finite: look at its weights"):
            call()
