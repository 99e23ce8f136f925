"""Recipes: the paper's to the letter, and one that starts where learning can begin."""

import math

import numpy as np
import pytest

from minicnn import manual_seed, models, nn, no_grad, ops
from minicnn.models import RECIPES, recipe_for
from minicnn.schedule import SCHEDULES, PlateauSchedule

IMAGES = np.random.default_rng(0).standard_normal((16, 3, 224, 224), np.float32)


@pytest.fixture
def net():
    manual_seed(0)
    return models.alexnet(classes=7, width=1 / 8)


def test_the_papers_recipe_is_the_papers(net):
    recipe = RECIPES["paper"]
    recipe.start(net, IMAGES)
    for name, parameter in net.named_parameters():
        values = parameter.numpy()
        if parameter.ndim > 1:
            assert values.std() == pytest.approx(0.01, rel=0.1), name
            assert abs(values.mean()) < 0.002, name
        else:
            one = any(layer in name for layer in ("conv2", "conv4", "conv5", "fc6", "fc7"))
            assert (values == one).all(), name
    assert (recipe.batch_size, recipe.epochs, recipe.lr) == (128, 90, 0.01)
    optimiser, schedule = recipe.optimiser(net), SCHEDULES[recipe.schedule](recipe.lr, recipe.epochs)
    assert (optimiser.momentum, optimiser.weight_decay) == (0.9, 5e-4)
    assert (optimiser.bias_lr, optimiser.decay_biases) == (1, True)
    assert isinstance(schedule, PlateauSchedule)
    assert (schedule.lr, schedule.patience, schedule.factor, schedule.times) == (0.01, 2, 0.1, 3)
    assert not recipe.unit_input
    assert not recipe.inverted_dropout


def test_the_small_recipe_gives_every_layer_the_same_signal_and_no_opinion(net):
    recipe = RECIPES["small"]
    recipe.start(net, IMAGES)
    seen = {}

    def see(layer, y):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            axes = (0, *range(2, y.ndim))
            seen[id(layer)] = y.numpy().mean(axes), y.numpy().std(axes)

    assert all(module.training for module in net.modules()), "as it was"
    net.eval()
    with no_grad(), nn.forward_hook(see):
        logits = net(IMAGES)
    assert len(seen) == 15
    for name, layer in net.named_modules():
        if id(layer) in seen:
            mean, deviation = seen[id(layer)]
            np.testing.assert_allclose(mean, 0, atol=1e-3, err_msg=name)
            np.testing.assert_allclose(deviation, 0.1 if name == "fc8" else 1, rtol=0.05, err_msg=name)
    assert ops.cross_entropy(logits, np.arange(16) % 7).item() == pytest.approx(math.log(7), abs=0.1)
    schedule = SCHEDULES[recipe.schedule](recipe.lr, 52)
    for error in (0.5, 0.4, *[0.4] * 50):  # ties of a few validation pictures say nothing
        schedule.epoch_ended(error)
    assert schedule.lr == recipe.lr


def test_the_small_recipe_wants_pixels_of_deviation_1_and_dropout_that_does_nothing_at_test():
    recipe = RECIPES["small"]
    assert recipe.unit_input
    assert recipe.inverted_dropout
    assert (recipe.batch_size, recipe.momentum, recipe.weight_decay) == (32, 0.9, 5e-4)


def test_the_recipe_fits_the_size_of_the_set():
    assert recipe_for(3000) == recipe_for(99_999) == "small"
    assert recipe_for(100_000) == "paper"
    assert recipe_for(1_281_167) == "paper"
