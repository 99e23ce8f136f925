"""Recipes: the paper's to the letter, and one that starts where learning can begin."""

import math

import numpy as np
import pytest

from minicnn import Tensor, manual_seed, models, nn, no_grad, ops
from minicnn.models import RECIPES, VARIANTS, recipe_for
from minicnn.schedule import PlateauSchedule, PolySchedule, StepSchedule, WarmUp

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
    optimiser, schedule = recipe.optimiser(net), recipe.learning_rate(recipe.schedule, recipe.lr, recipe.epochs)
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


@pytest.mark.parametrize("errors", [[0.5] * 40, np.linspace(1, 0, 40)])
def test_the_small_recipe_s_rate_falls_to_almost_nothing_before_the_end(errors):
    """Whatever the few validation pictures say, which tie, or go up and down by chance."""
    recipe = RECIPES["small"]
    schedule, rates = recipe.learning_rate(recipe.schedule, recipe.lr, 40), []
    for error in errors:
        rates.append(schedule.lr)
        schedule.epoch_ended(error)
    assert rates[0] == recipe.lr
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < recipe.lr / 500


def test_the_fewer_pictures_the_more_epochs():
    small = RECIPES["small"]
    least = small.epochs
    for pictures, batch, steps in ((300, 32, 10), (3000, 32, 94), (3000, 128, 24), (1, 32, 1), (33, 32, 2)):
        epochs = small.epochs_for(pictures, batch)
        assert epochs == least or (epochs - 1) * steps < small.steps <= epochs * steps
    assert small.epochs_for(300, 32) > least == small.epochs_for(30_000, 32) == small.epochs_for(99_999, 32)
    assert small.epochs_for(0, 32) == small.steps, "of one step each; nobody trains on none"
    assert [RECIPES[name].epochs_for(10, 32) for name in RECIPES if name != "small"] == [
        RECIPES[name].epochs for name in RECIPES if name != "small"]  # fmt: skip


def test_the_small_recipe_wants_pixels_of_deviation_1_and_dropout_that_does_nothing_at_test():
    recipe = RECIPES["small"]
    assert recipe.unit_input
    assert recipe.inverted_dropout
    assert (recipe.batch_size, recipe.momentum, recipe.weight_decay) == (32, 0.9, 5e-4)


def started(name, variant):
    """(the deviation of every layer's weights, its bias) in tower a and fc8."""
    manual_seed(0)
    net = models.alexnet(variant, classes=7, width=1 / 8)
    RECIPES[name].start(net, IMAGES)
    found = {}
    for parameter, tensor in net.named_parameters():
        layer, values = parameter.removeprefix("a.").partition(".")[0], tensor.numpy()
        if not parameter.startswith("b."):
            deviation, _ = found.get(layer, (None, None))
            found[layer] = (values.std(), None) if values.ndim > 1 else (deviation, set(values.tolist()))
    return found


@pytest.mark.parametrize("name, deviations, bias", [
    ("paper", {}, 1.0), ("source2012", {"conv3": 0.03, "conv4": 0.03, "conv5": 0.03}, 1.0),
    ("caffe", {"fc6": 0.005, "fc7": 0.005}, 0.1), ("caffenet", {"fc6": 0.005, "fc7": 0.005}, 1.0)])
def test_every_layer_starts_as_was_published(name, deviations, bias):
    for layer, (deviation, biases) in started(name, name).items():
        assert deviation == pytest.approx(deviations.get(layer, 0.01), rel=0.1), layer
        expected = bias if layer in ("conv2", "conv4", "conv5", "fc6", "fc7") else 0
        assert biases == {np.float32(expected)}, layer


def test_biases_of_the_programs_learn_twice_as_fast_and_do_not_decay(net):
    for name in ("source2012", "caffe", "caffenet"):
        optimiser = RECIPES[name].optimiser(net)
        assert (optimiser.lr, optimiser.momentum, optimiser.weight_decay) == (0.01, 0.9, 5e-4)
        assert (optimiser.bias_lr, optimiser.decay_biases) == (2, False)


def test_fine_tuning_is_caffes_but_for_the_schedule(net):
    """Its fc8 starts from N(0, 0.01²) and learns ten times as fast as all others."""
    recipe = RECIPES["finetune"]
    optimiser = recipe.optimiser(net)
    assert (optimiser.lr, optimiser.momentum, optimiser.weight_decay) == (0.001, 0.9, 5e-4)
    assert (optimiser.bias_lr, optimiser.decay_biases, recipe.rates) == (2, False, {"fc8": 10})
    assert (recipe.batch_size, recipe.noise, recipe.deviation, recipe.biased) == (50, 0, 0.01, ())
    assert recipe.learning_rate(recipe.schedule, 1, 10).epochs == 10


@pytest.mark.parametrize("variant", ["blueprint", "torchvision"])
def test_a_factor_is_that_of_a_layer_in_every_tower(variant):
    model = models.alexnet(variant, classes=7, width=1 / 16)
    optimiser = RECIPES["photographs"].optimiser(model)
    assert {name for name, factor in optimiser._factors.items() if factor != 1} == {
        f"{tower}.conv1.0.{kind}" for tower in "ab"[: len(model.towers())] for kind in ("weight", "bias")}  # fmt: skip
    assert optimiser._factors["a.conv1.0.weight"] == 2
    assert {name: factor for name, factor in optimiser._decays.items() if factor != 1} == {
        name: 60 for name, factor in optimiser._factors.items() if factor == 2}  # fmt: skip
    tuned = RECIPES["finetune"].optimiser(model)
    assert {name for name, factor in tuned._factors.items() if factor == 10} == {"fc8.weight", "fc8.bias"}


def test_photographs_are_small_with_the_papers_rate_and_hes_weights():
    small, photographs = RECIPES["small"], RECIPES["photographs"]
    assert (photographs.epochs_for(40, 128), photographs.batch_size, photographs.lr) == (12, 64, 0.01)
    assert (small.from_data, photographs.from_data, photographs.deviations) == (True, False, {"fc8": 0.005})
    same = ("deviation", "biased", "warm_up", "unit_input", "inverted_dropout", "momentum", "weight_decay",
            "noise", "schedule", "drops", "bias_lr")  # fmt: skip
    assert [getattr(photographs, name) for name in same] == [getattr(small, name) for name in same]


def test_the_first_kernels_lose_what_photographs_have_nothing_of():
    """What a kernel was drawn as falls below a fifth in 300 steps, where no gradient holds it; others keep 98 %."""
    model = models.alexnet("blueprint", classes=3, width=1 / 48)
    optimiser = RECIPES["photographs"].optimiser(model)
    kernel, other = (dict(model.named_parameters())[name] for name in ("a.conv1.0.weight", "fc8.weight"))
    before, others = kernel.numpy().copy(), other.numpy().copy()
    w, v, decay = np.ones(2), np.zeros(2), np.array([0.02 * 60, 0.01]) * 0.0005  # of the kernel, of the other
    for _ in range(300):
        for parameter in model.parameters():
            with parameter.device:
                parameter.grad = Tensor(np.zeros(parameter.shape, np.float32))
        optimiser.step()
        v = 0.9 * v - decay * w
        w = w + v
    assert w[0] < 0.2 and w[1] > 0.98
    np.testing.assert_allclose(kernel.numpy(), w[0] * before, rtol=1e-3)
    np.testing.assert_allclose(other.numpy(), w[1] * others, rtol=1e-5)


def test_large_batches_are_the_papers_with_a_rate_in_proportion(net):
    large, paper = RECIPES["large"], RECIPES["paper"]
    assert (large.batch_size, large.epochs, large.warm_up, large.lr_for) == (1024, 100, 5, 128)
    assert [large.rate(batch) for batch in (64, 128, 1024, 4096)] == pytest.approx([0.005, 0.01, 0.08, 0.32])
    assert [RECIPES[name].rate(4096) for name in RECIPES if name != "large"] == [
        RECIPES[name].lr for name in RECIPES if name != "large"]  # fmt: skip
    schedule = large.learning_rate(large.schedule, large.rate(1024), large.epochs)
    assert isinstance(schedule, PolySchedule)
    assert (schedule.lr, schedule.epochs) == (0.08, 100)
    same = ("deviation", "biased", "from_data", "unit_input", "inverted_dropout", "momentum", "weight_decay", "noise")
    assert [getattr(large, name) for name in same] == [getattr(paper, name) for name in same]
    assert paper.optimiser(net).lars is None


def test_a_warm_up_begins_at_the_rate_of_a_small_batch():
    large, small = RECIPES["large"], RECIPES["small"]
    assert large.rising(0.08, 5) == WarmUp(5, 1 / 8)
    assert large.rising(10.0, 2) == WarmUp(2, 0.001)
    assert large.rising(0.005, 5) == WarmUp(5, 1)  # lower than that of a small batch: there is nothing to rise to
    assert large.rising(0.0, 5) == WarmUp(5, 0)
    assert small.rising(0.001, 0.5) == WarmUp(0.5, 0)
    assert all(RECIPES[name].warm_up == 0 for name in RECIPES if name != "large")


def test_how_long_and_in_which_form_the_programs_were_trained():
    program, caffe = RECIPES["source2012"], RECIPES["caffe"]
    assert (program.batch_size, program.epochs, program.drops) == (128, 91, (25, 51, 79))
    steps = 1_281_167 / 256  # of an epoch
    assert (caffe.batch_size, caffe.epochs) == (256, round(450_000 / steps))
    assert caffe.drops == tuple(round(i * 100_000 / steps) for i in (1, 2, 3, 4))
    assert (program.inverted_dropout, caffe.inverted_dropout) == (False, True)
    assert (program.noise, caffe.noise, RECIPES["caffenet"].noise) == (0.1, 0, 0)


def test_published_steps_are_stretched_with_the_epochs():
    recipe = RECIPES["source2012"]
    schedule = recipe.learning_rate("step", 0.01, recipe.epochs)
    assert isinstance(schedule, StepSchedule)
    assert (schedule.lr, schedule.drops) == (0.01, recipe.drops)
    assert recipe.learning_rate("step", 0.01, 2 * recipe.epochs).drops == (50, 102, 158)
    assert recipe.learning_rate("step", 0.01, 2).drops == (1, 1, 2)
    assert recipe.learning_rate("step", 0.01, 1).lr == 0.01  # no step is done before there is an epoch
    assert isinstance(recipe.learning_rate("plateau", 0.01, 9), PlateauSchedule)
    assert RECIPES["paper"].learning_rate("step", 0.1, 9).drops == (3, 6)  # who published none takes thirds


def test_the_recipe_fits_the_size_of_the_set():
    assert recipe_for(3000) == recipe_for(99_999) == "small"
    assert recipe_for(100_000) == "paper"
    assert recipe_for(1_281_167) == "paper"
    assert recipe_for(99_999, "caffe") == "small"
    assert [recipe_for(100_000, variant) for variant in VARIANTS] == [
        "paper", "paper", "source2012", "caffe", "caffenet", "paper"]  # of torchvision's there is none
