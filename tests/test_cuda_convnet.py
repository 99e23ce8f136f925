"""The authors' nets for CIFAR-10, against what their files say, written down once more and computed slowly."""

from dataclasses import replace

import numpy as np
import pytest
from alexnet_twins import double
from helpers import normal
from test_avg_pool2d import means
from test_conv2d import convolution
from test_map_response_norm import normalised_within
from test_max_pool2d import maxima

from minicnn import Tensor, gradcheck, manual_seed, no_grad
from minicnn.engine.device import current_device
from minicnn.models.cuda_convnet import CUDA_CONVNETS, Net, Stage, cuda_convnet, windows
from minicnn.models.variants import Norm

POOL = {"size": 3, "stride": 2, "padding": ((0, 1), (0, 1))}


def by_hand(net, x, parameters):
    """cuda-convnet, example-layers/layers-80sec.cfg, -19pct and -18pct, layer by layer."""
    w = {name.replace(".0.", "."): value for name, value in parameters.items()}

    def rnorm(x):
        return normalised_within(x, 3, 0.00005 / 3**2, 0.75, 1.0) if net == "layers-18pct" else x

    x = convolution(x, w["conv1.weight"], w["conv1.bias"], padding=2)
    x = rnorm(np.maximum(maxima(x, **POOL), 0))
    x = np.maximum(convolution(x, w["conv2.weight"], w["conv2.bias"], padding=2), 0)
    x = rnorm(means(x, **POOL, count_include_pad=False))
    x = np.maximum(convolution(x, w["conv3.weight"], w["conv3.bias"], padding=2), 0)
    x = means(x, **POOL, count_include_pad=False).reshape(len(x), -1)
    if net == "layers-80sec":
        x = np.maximum(x @ w["fc64.weight"].T + w["fc64.bias"], 0)
    return x @ w["fc10.weight"].T + w["fc10.bias"]


@pytest.mark.parametrize("name", CUDA_CONVNETS)
def test_a_net_is_that_of_its_file(name):
    net = double(cuda_convnet(replace(CUDA_CONVNETS[name], crop=8)))
    with no_grad():
        for i, p in enumerate(net.parameters()):
            p[...] = normal(*p.shape, seed=i) / 4
    x = 20 * normal(2, 3, 8, 8)
    right = by_hand(name, x, net.state_dict())
    np.testing.assert_allclose(net(x).numpy(), right, rtol=1e-9, atol=1e-9 * np.abs(right).max())


@pytest.mark.parametrize(("name", "parameters", "products", "sides"), [
    ("layers-80sec", 145_578, 12_354_176, [32, 16, 8, 4]), ("layers-19pct", 89_578, 12_298_240, [32, 16, 8, 4]),
    ("layers-18pct", 89_578, 12_298_240, [32, 16, 8, 4]),
    ("layers-19pct-translations", 85_098, 6_917_760, [24, 12, 6, 3]),
])  # fmt: skip
@pytest.mark.processor
def test_sizes(name, parameters, products, sides):
    net = cuda_convnet(name)
    costs = net.costs((3, net.pixels, net.pixels))
    assert sum(p.size for p in net.parameters()) == parameters
    assert sum(cost.multiply_adds for cost in costs) == products
    assert list(dict.fromkeys(cost.output[-1] for cost in costs if len(cost.output) == 3)) == sides


@pytest.mark.processor
def test_what_they_were_taught_by():
    """layer-params-*.cfg: epsW, epsB, momW and wc, and of layers-*.cfg initW."""
    for name, decay, sigma in [("layers-80sec", 0.03, 0.1), ("layers-19pct", 3.0, 0.01), ("layers-18pct", 1.0, 0.01),
                               ("layers-19pct-translations", 0.0, 0.01)]:  # fmt: skip
        recipe = CUDA_CONVNETS[name].recipe
        manual_seed(1)
        net = cuda_convnet(name)
        recipe.start(net, np.zeros((1, 3, net.pixels, net.pixels), np.float32))
        sgd = recipe.optimiser(net)
        rates = {p: sgd.lr * (sgd.bias_lr if p.endswith("bias") else 1) for p in sgd.parameters}
        assert all(np.isclose(rate, 0.002 if p.endswith("bias") else 0.001) for p, rate in rates.items())
        conv = 0.0 if name.endswith("translations") else 0.004
        for p in sgd.parameters:
            wanted = 0.0 if p.endswith("bias") else decay if p.startswith("fc") else conv
            assert np.isclose(sgd._decay(p), wanted), p
        assert sgd.momentum == 0.9
        deviations = {p: net.state_dict()[p].std() for p in sgd.parameters if p.endswith("weight")}
        for p, deviation in deviations.items():
            wanted = {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01}.get(p.partition(".")[0], sigma)
            assert abs(deviation / wanted - 1) < 0.1, p
        assert not any(net.state_dict()[p].any() for p in sgd.parameters if p.endswith("bias"))
        schedule, seen = recipe.learning_rate(recipe.schedule, recipe.lr, recipe.epochs), []
        for _ in range(recipe.epochs):
            seen.append(schedule.lr)
            schedule.epoch_ended(0.5)
        drops = [epoch for epoch in range(1, recipe.epochs) if seen[epoch] < seen[epoch - 1] / 9]
        assert drops == {"layers-80sec": [8], "layers-19pct-translations": [240, 250]}.get(name, [120, 130])


def test_gradients():
    stages = (Stage("conv1", "conv max tanh norm", 4), Stage("conv2", "conv relu avg map-norm", 4, size=3, groups=2),
              Stage("top", "flatten linear relu dropout", 5), Stage("fc10", "linear"))  # fmt: skip
    net = cuda_convnet(Net(stages, CUDA_CONVNETS["layers-19pct"].recipe, 1.0, Norm(3, 0.5, 0.75, 1.0), crop=8), 3)
    kinds = [type(layer).__name__ for layer in net.modules() if not next(layer.children(), None)]
    assert kinds == ["Conv2d", "MaxPool2d", "Tanh", "LocalResponseNorm", "Conv2d", "ReLU", "AvgPool2d",
                     "MapResponseNorm", "Flatten", "Linear", "ReLU", "Dropout", "Linear"]  # fmt: skip
    assert net.top[3].inverted
    recipe = replace(CUDA_CONVNETS["layers-19pct"].recipe, inverted_dropout=False)
    assert not cuda_convnet(Net(stages, recipe, 1.0, Norm(3, 0.5, 0.75, 1.0), crop=8), 3).top[3].inverted
    gradcheck(net.to(current_device()).eval(), normal(2, 3, 8, 8))


@pytest.mark.processor
def test_as_many_windows_as_cover_the_picture():
    for pixels in range(1, 40):
        for size in range(1, 5):
            for stride in range(1, size + 1):
                count, beyond = windows(pixels, size, stride)
                assert pixels <= (count - 1) * stride + size == pixels + max(beyond, size - pixels)
                assert count == 1 or (count - 2) * stride + size < pixels


def test_pictures_of_another_size_and_nets_that_are_not_there():
    with pytest.raises(ValueError, match=r"images \(2, 3, 31, 32\) must have the shape \(N, 3, 32, 32\)"):
        cuda_convnet()(np.zeros((2, 3, 31, 32), np.float32))
    with pytest.raises(ValueError, match="there is no net 'layers-20pct': choose one of layers-80sec, layers-19pct, "):
        cuda_convnet("layers-20pct")
    with pytest.raises(TypeError, match="cuda_convnet: net is 19: give a name, or a Net"):
        cuda_convnet(19)
    with pytest.raises(ValueError, match="cuda_convnet: classes is 1"):
        cuda_convnet(classes=1)


def test_it_goes_where_it_is_sent():
    net = cuda_convnet(replace(CUDA_CONVNETS["layers-19pct"], crop=8)).to(current_device())
    x = normal(2, 3, 8, 8).astype(np.float32)
    y = net(x)
    assert y.device == current_device() and y.shape == (2, 10)
    np.testing.assert_array_equal(y.numpy(), net(Tensor(x, device=current_device())).numpy())
