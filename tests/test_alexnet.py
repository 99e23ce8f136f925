"""AlexNet: its figures, its two towers against one network with groups, and its gradient as a whole."""

import re
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from alexnet_twins import (
    IN_NUMPY,
    NORM,
    ORDER,
    PIXELS,
    THROUGH_OPS,
    after,
    batch,
    double,
    gradients,
    joined,
    masks,
    one_network,
)

from minicnn import Tensor, cpu, manual_seed, nn, no_grad, ops
from minicnn.models import VARIANTS, alexnet
from minicnn.models.differences import FACTS, counted, described
from minicnn.optim import SGD

TOWERS = (cpu(0), cpu(1))
OUTPUTS = {  # of one tower, after each row
    "conv1": "48 × 27 × 27", "conv2": "128 × 13 × 13", "conv3": "192 × 13 × 13", "conv4": "192 × 13 × 13",
    "conv5": "4608", "fc6": "2048", "fc7": "2048",
}  # fmt: skip
MULTIPLY_ADDS = {  # of one image, both towers
    "conv1": 105_415_200, "conv2": 223_948_800, "conv3": 149_520_384, "conv4": 112_140_288, "conv5": 74_760_192,
    "fc6": 37_748_736, "fc7": 16_777_216, "fc8": 4_096_000,
}  # fmt: skip
PARAMETERS = {
    "conv1": 34_944, "conv2": 307_456, "conv3": 885_120, "conv4": 663_936, "conv5": 442_624,
    "fc6": 37_752_832, "fc7": 16_781_312, "fc8": 4_097_000,
}  # fmt: skip

DRAWN = [2882744023523087010, *np.float32([-0.057266008, -0.06332064, 0.10220577])]  # by seed 7


def small(devices=TOWERS, variant="blueprint", width=1 / 8):
    manual_seed(0)
    return double(alexnet(variant, classes=10, devices=devices, width=width))


def test_the_words_that_tell_variants_apart():
    """Read by eye once, from the data and not beside it; every number has a source."""
    for name, variant in VARIANTS.items():
        assert set(variant.sources) == set(FACTS), name
        assert all(variant.sources.values())
    said = {fact: {name: of(variant) for name, variant in VARIANTS.items()} for fact, of in FACTS.items()}
    assert said["crop"]["caffe"] == "227 × 227"
    assert said["places of conv1"]["paper"] == "55 × 55: 0 zeros before, 3 behind"
    assert said["places of conv1"]["torchvision"] == "55 × 55: 2 zeros before, 2 behind, 1 pixel unused"
    assert said["order"]["source2012"] == "conv1 norm pool relu; conv2 relu norm map-norm pool; conv5 pool relu"
    assert said["normalisation"]["caffe"] == "n = 5, α = 2e-05 (× 5 = 0.0001), β = 0.75, k = 1"
    assert said["normalisation"]["source2012"].endswith("within maps n = 5, α = 4e-05 (× 25 = 0.001), β = 0.75, k = 1")
    assert said["windows"] == dict(zip(VARIANTS, ["end at the edge of a tower"] * 3 + ["over both towers"] * 2 +
                                       ["no normalisation"], strict=True))  # fmt: skip
    assert said["towers"]["torchvision"] == "1 of 64-192-384-256-256-4096-4096"
    assert said["weights"]["source2012"] == "σ = 0.01, 0.03 in conv3, conv4, conv5"
    assert said["biases"]["caffe"] == "0.1 in conv2, conv4, conv5, fc6, fc7, else 0"
    assert said["bias rate, decay"]["caffenet"] == "rate × 2, no decay"
    assert said["bias rate, decay"]["paper"] == "rate × 1, decay as of weights"
    assert said["dropout"]["torchvision"] == "½ before fc6 and fc7, × 2 in training"
    assert said["dropout"]["paper"] == "½ after fc6 and fc7, × ½ at test"
    assert said["input"]["caffenet"] == "all of it at 256 (bilinear), BGR 0–255 − mean picture"
    assert said["input"]["torchvision"].endswith("RGB × 1/255 − 0.485 0.456 0.406 / 0.229 0.224 0.225")
    lines = described().splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == list(FACTS)
    assert any(line.split("  ")[1:3] == ["blueprint, paper", "end at the edge of a tower"] for line in lines)


@pytest.mark.processor
def test_one_core_and_several_make_the_same_step_to_the_last_bit(threads):
    images, labels = batch(3)

    def step(count):
        threads(count)
        net = small()
        ops.cross_entropy(net(images), labels).backward()
        return gradients(net)

    one = step(1)
    for count in (2, 3):
        for name, gradient in step(count).items():
            np.testing.assert_array_equal(gradient, one[name], err_msg=name)


@pytest.mark.processor
def test_two_towers_at_once_are_the_towers_one_after_the_other(threads):
    threads(2)
    net, images = small().eval(), batch(2)[0]
    expected = net(images).numpy()
    with no_grad():
        np.testing.assert_array_equal(net(images).numpy(), expected)


# -- its figures ------------------------------------------------------------------------------------------------------


@pytest.mark.processor
def test_the_summary_is_the_table_of_the_paper():
    net = alexnet(devices=TOWERS)
    lines = [re.split(r"\s{2,}", line) for line in net.summary().splitlines()[1:]]
    outputs, parameters, multiply_adds = {}, Counter(), Counter()
    for name, _, device, output, *numbers in lines[:-1]:
        row = name.partition(".")[2].partition(".")[0] or name
        outputs[row, device] = output  # that of the last layer in the row stays
        parameters[row] += int(numbers[0].replace(",", ""))
        multiply_adds[row] += int(numbers[1].replace(",", ""))
    assert outputs == {(row, device): output for row, output in OUTPUTS.items() for device in ("cpu(0)", "cpu(1)")} | {
        ("fc8", "cpu(0)"): "1000"}
    assert parameters == PARAMETERS
    assert multiply_adds == MULTIPLY_ADDS
    assert lines[-1][:3] == ["total", "60,965,224", "724,406,816"]
    assert sum(p.size for p in net.parameters()) == 60_965_224


def test_every_variant_is_described():
    assert set(ORDER) == set(VARIANTS)
    for text in ((Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8"), alexnet.__doc__):
        assert all(variant in text for variant in VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_layers_follow_each_other_as_published(variant):
    words = {nn.ReLU: "relu", nn.LocalResponseNorm: "norm", nn.MapResponseNorm: "map-norm", nn.MaxPool2d: "pool"}
    net = alexnet(variant, width=1 / 16)
    for tower in net.towers():
        found = {}
        for name, row in tower.children():
            if name.startswith("conv"):
                found[block := name] = []
            if not name.startswith("fc"):
                found[block] += [words[type(layer)] for layer in row.layers if type(layer) in words]
        assert found == {f"conv{i}": after(variant, f"conv{i}") for i in range(1, 6)}
        kinds = [[type(layer) for layer in row.layers] for name, row in tower.children() if name.startswith("fc")]
        units = [nn.Linear, nn.ReLU]
        assert kinds == [[nn.Dropout, *units] if variant == "torchvision" else [*units, nn.Dropout]] * 2


@pytest.mark.processor
@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_and_multiply_adds_are_the_published_ones(variant):
    figures = (61_100_840, 714_188_480) if variant == "torchvision" else (60_965_224, 724_406_816)
    assert counted(VARIANTS[variant]) == figures
    if variant not in ("blueprint", "paper"):  # what those of all layers add up to, stands above
        costs = alexnet(variant).costs()
        assert (sum(c.parameters for c in costs), sum(c.multiply_adds for c in costs)) == figures


@pytest.mark.parametrize("variant", ["blueprint", "paper"])
def test_a_seed_draws_what_it_always_drew(variant):
    """So that a run can be repeated, and what was saved long ago fits: by name, and to the last bit."""
    net = alexnet(variant, classes=10, width=1 / 8, generator=np.random.default_rng(7))
    rows = [f"conv{i}" for i in range(1, 6)] + ["fc6", "fc7"]
    kinds = ("weight", "bias")
    assert list(dict(net.named_parameters())) == [
        f"{tower}.{row}.0.{kind}" for tower in "ab" for row in rows for kind in kinds] + [f"fc8.{k}" for k in kinds]
    assert sorted(net.state_dict().keys() - dict(net.named_parameters()).keys()) == [
        f"{tower}.{row}.2.counter" for tower in "ab" for row in ("fc6", "fc7")]
    found = [net.a.fc6.layers[2].counter.numpy()[0], net.a.conv1.layers[0].weight.numpy()[0, 0, 0, 0],
             net.b.conv1.layers[0].weight.numpy()[0, 0, 0, 0], net.fc8.weight.numpy()[0, 0]]
    assert found == DRAWN


def crossing(net, images):
    """What the net gives, and how many bytes went from tower to tower for each row."""
    names = {row: name for tower in net.towers() for name, row in tower.children()} | {net.fc8: "fc8"}
    crossed = Counter()

    def see(layer, y):
        if layer in names:
            crossed[names[layer]] += ops.ledger.total() - crossed.total()

    ops.ledger.clear()
    with nn.forward_hook(see):
        return net(images), crossed


def test_what_crosses_between_the_towers_is_60_mb_a_step_of_128():
    net, (images, labels) = alexnet(devices=TOWERS), batch(2, np.float32)
    y, crossed = crossing(net, images)
    loss = ops.cross_entropy(y, labels)
    both_ways = {"conv3": 128 * 13 * 13, "fc6": 128 * 6 * 6, "fc7": 2048}  # numbers of one image
    expected = {name: 2 * numbers for name, numbers in both_ways.items()} | {"fc8": 2048}
    assert +crossed == {name: numbers * 4 * len(images) for name, numbers in expected.items()}
    forward = dict(ops.ledger)
    loss.backward()
    back = {way: total - forward[way] for way, total in ops.ledger.items()}
    assert back == {(target, source): total for (source, target), total in forward.items()}
    assert round(ops.ledger.total() * 128 / 2 / 1e6, 1) == 60.0


class Where(nn.Module):
    """Tells in which thread it was called, and whether a graph grows there."""

    def __init__(self):
        self.seen = []

    def forward(self, x):
        self.seen.append((threading.get_ident(), (x * 2).requires_grad))
        self.others.wait(10)  # until the other one was called too, or else in vain
        return x


def with_two_looked_at():
    net = alexnet(classes=10, width=1 / 32)
    a, b = Where(), Where()
    net.a.conv1.layers.append(a)
    net.b.conv1.layers.append(b)
    return net, a, b


@pytest.mark.processor
@pytest.mark.parametrize("count, together", [(1, False), (2, True), (3, False)])
def test_where_no_graph_grows_every_core_takes_a_tower(count, together, threads):
    threads(count)
    net, a, b = with_two_looked_at()
    images, _ = batch(1, np.float32)
    a.others = b.others = threading.Barrier(2 if together else 1)
    with no_grad():
        net(images)
    assert len({thread for thread, _ in a.seen + b.seen}) == 1 + together
    assert not any(grows for _, grows in a.seen + b.seen)


@pytest.mark.processor
def test_where_a_graph_grows_or_a_hook_looks_on_the_towers_come_in_order(threads):
    threads(2)
    net, a, b = with_two_looked_at()
    images, _ = batch(1, np.float32)
    a.others = b.others = SimpleNamespace(wait=lambda limit: time.sleep(0.05))  # long enough to be overtaken
    net(images)
    with no_grad(), nn.forward_hook(lambda layer, y: None):
        net(images)
    assert {thread for thread, _ in a.seen + b.seen} == {threading.get_ident()}


@pytest.mark.processor
@pytest.mark.parametrize("devices", [(cpu(0), cpu(0)), (cpu(0), cpu(1))])
def test_the_batch_is_copied_once(devices):
    net, (images, _) = alexnet(classes=10, width=1 / 32, devices=devices), batch(2, np.float32)
    first, met = {net.a.conv1.layers[0]: 0, net.b.conv1.layers[0]: 1}, {}
    for layer in first:
        layer.forward = lambda x, layer=layer, forward=layer.forward: [met.update({first[layer]: x}), forward(x)][1]
    net(images)
    assert [met[i].device for i in (0, 1)] == list(devices)
    assert np.shares_memory(met[0].data, met[1].data)
    assert not np.shares_memory(met[0].data, images), "who gave them may write to them"


# -- two towers are one network with groups --------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_are_those_of_plain_numpy(variant):
    """In double and in single precision; of a network of one sixteenth of the width."""
    images, _ = batch(2, np.float64, PIXELS[variant])
    for dtype, tolerance in ((np.float64, 1e-11), (np.float32, 1e-5)):
        manual_seed(0)
        net = alexnet(variant, classes=10, width=1 / 16).eval()
        net = double(net) if dtype == np.float64 else net
        with no_grad():
            for parameter in net.parameters():
                parameter += np.random.default_rng(parameter.size).standard_normal(parameter.shape) / 100  # biases too
            ours = net(images.astype(dtype)).numpy()
        expected = one_network(IN_NUMPY, joined(net.state_dict()), images, (1, 1), variant)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_what_tells_two_variants_apart_can_be_seen():
    """Else the logits above might agree with anything: α, k and the edge are small things."""
    x, logits = 50 * batch(1, np.float64, 227)[0], {}
    manual_seed(0)
    w = joined(double(alexnet("caffe", classes=10, width=1 / 8)).state_dict())
    for name in ("caffe", "caffenet"):
        logits[name] = one_network(IN_NUMPY, w, x, (1, 1), name)
    for name, other in {"α": (1e-4, False, 1.0, "all"), "k": (1e-4, True, 2.0, "all"),
                        "edge": (1e-4, True, 1.0, "half")}.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(NORM, "caffe", other)
            logits[name] = one_network(IN_NUMPY, w, x, (1, 1), "caffe")
    for name, others in logits.items():
        apart = np.abs(others - logits["caffe"]).max() / np.abs(logits["caffe"]).max()
        assert (apart > 1e-5) == (name != "caffe"), f"{name}: {apart}"


@pytest.mark.parametrize("variant", [variant if variant in ("blueprint", "torchvision") else
                                     pytest.param(variant, marks=pytest.mark.large) for variant in VARIANTS])
def test_two_towers_are_one_network_with_groups(variant):
    """Loss, gradients and weights of three steps with dropout, in double precision."""
    net, (images, labels) = small(variant=variant), batch(3, pixels=PIXELS[variant])
    one = {name: Tensor(w, requires_grad=True) for name, w in joined(net.state_dict()).items()}
    towers, whole = (SGD(parameters, lr=0.01) for parameters in (net.named_parameters(), one.items()))
    for _ in range(3):
        expected = ops.cross_entropy(one_network(THROUGH_OPS, one, images, masks(net, len(images)), variant), labels)
        loss = ops.cross_entropy(net(images), labels)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        for each, optimiser in ((loss, towers), (expected, whole)):
            optimiser.zero_grad()
            each.backward()
        for name, g in joined(gradients(net)).items():
            np.testing.assert_allclose(g, one[name].grad.numpy(), rtol=1e-9, atol=1e-12 * np.abs(g).max(), err_msg=name)
        towers.step()
        whole.step()
        for name, w in joined(net.state_dict()).items():
            np.testing.assert_allclose(w, one[name].numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("variant", ["blueprint", "caffe"])
def test_two_devices_compute_what_one_does_to_the_last_bit(variant):
    images, labels = batch(2, pixels=PIXELS[variant])
    results = []
    for devices in (TOWERS, (cpu(0), cpu(0)), (cpu(3), cpu(2))):
        net = small(devices, variant)
        loss = ops.cross_entropy(net(images), labels)
        loss.backward()
        assert loss.device == devices[0]
        assert {p.grad.device for p in net.b.parameters()} == {devices[1]}
        results.append({"loss": loss.numpy(), **gradients(net)})
    for other in results[1:]:
        for name, value in results[0].items():
            np.testing.assert_array_equal(other[name], value, err_msg=name)


def test_to_brings_both_towers_together():
    net, (images, _) = small().eval(), batch(1)
    apart = net(images).numpy()
    ops.ledger.clear()
    assert net.to(cpu(2)).devices == (cpu(2), cpu(2))
    np.testing.assert_array_equal(net(images).numpy(), apart)
    assert not ops.ledger.total()


def test_each_layer_drops_by_its_own_numbers_and_both_towers_by_the_same():
    net = alexnet(width=1 / 16)
    (fc6, fc7), towers_b = ([row.layers[-1].counter.numpy()[0] for row in (t.fc6, t.fc7)] for t in (net.a, net.b))
    assert fc6 != fc7
    assert towers_b == [fc6, fc7]


@pytest.mark.parametrize("inverted", [True, False])
def test_half_is_dropped_in_the_form_that_was_asked_for(inverted):
    drops = [layer for layer in alexnet(width=1 / 16, inverted_dropout=inverted).modules()
             if isinstance(layer, nn.Dropout)]
    assert [(layer.p, layer.inverted) for layer in drops] == [(0.5, inverted)] * 4


def test_gradient_of_the_whole_along_a_line():
    """(L(w + hd) − L(w − hd)) / 2h = Σ ∂L/∂w · d, dropout included."""
    net, (images, labels) = small(), batch(2)
    random, h = np.random.default_rng(1), 1e-6
    start = net.state_dict()
    line = {name: random.standard_normal(p.shape) * p.numpy().std() for name, p in net.named_parameters()}

    def loss(step):
        net.load_state_dict({name: value + step * line.get(name, 0) for name, value in start.items()})
        return ops.cross_entropy(net(images), labels)

    loss(0.0).backward()
    slope = sum((g * line[name]).sum() for name, g in gradients(net).items())
    with no_grad():
        assert slope == pytest.approx((loss(h).item() - loss(-h).item()) / (2 * h), rel=1e-6)


# -- what it refuses --------------------------------------------------------------------------------------------------


def test_errors():
    with pytest.raises(ValueError, match="no variant 'lenet': choose one of blueprint, paper, source2012, caff"):
        alexnet("lenet")
    with pytest.raises(ValueError, match="1 classes"):
        alexnet(classes=1)
    net = alexnet(width=1 / 16)
    for shape in ((2, 3, 227, 227), (3, 224, 224), (2, 224, 224, 3)):
        with pytest.raises(ValueError, match=re.escape(str(shape))):
            net(np.zeros(shape, np.float32))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_takes_images_of_its_own_size(variant):
    net, pixels = alexnet(variant, width=1 / 32), PIXELS[variant]
    assert net.pixels == pixels
    other = 224 + 227 - pixels
    with pytest.raises(ValueError, match=rf"^alexnet: images \(1, 3, {other}, {other}\) must have the shape "
                       rf"\(N, 3, {pixels}, {pixels}\) for the variant {variant}: give it crops of {pixels} pixels$"):
        net(np.zeros((1, 3, other, other), np.float32))
    assert net(np.zeros((1, 3, pixels, pixels), np.float32)).shape == (1, 1000)
    assert net.costs()[-1].name == "fc8"
    assert net.summary() == net.summary((3, pixels, pixels))


def test_one_tower_lives_on_the_first_device():
    net, (images, _) = alexnet("torchvision", classes=10, width=1 / 32, devices=(cpu(1), cpu(2))), batch(1, np.float32)
    assert net.devices == (cpu(1), cpu(1))
    assert {p.device for p in net.parameters()} == {cpu(1)}
    ops.ledger.clear()
    assert net(images).device == cpu(1)
    assert not ops.ledger.total()
    assert [name for name, _ in net.named_parameters()] == [
        f"{row}.{kind}" for row in (*(f"a.conv{i}.0" for i in range(1, 6)), "a.fc6.1", "a.fc7.1", "fc8")
        for kind in ("weight", "bias")]  # fmt: skip


def test_a_window_over_both_towers_takes_two_maps_across():
    net, (images, _) = alexnet("caffe", classes=10, devices=TOWERS, width=1 / 8), batch(1, np.float32, 227)
    _, crossed = crossing(net, images)
    assert crossed["norm1"] == 4 * 2 * 2 * 55 * 55
    assert crossed["norm2"] == 4 * 2 * 2 * 27 * 27


def test_a_network_for_laptops():
    shapes = {name: p.shape for name, p in alexnet(width=1 / 8, classes=3).named_parameters()}
    assert shapes["a.conv3.0.weight"] == (24, 32, 3, 3)
    assert shapes["fc8.weight"] == (3, 512)
