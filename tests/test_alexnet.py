"""AlexNet: its figures, its two towers against one network with groups, and its gradient as a whole."""

import re
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from alexnet_twins import CONVOLUTIONS, NORMALISED, POOLED, batch, double, gradients, joined, masks

from minicnn import Tensor, cpu, manual_seed, nn, no_grad, ops
from minicnn.models import VARIANTS, alexnet
from minicnn.optim import SGD

TOWERS = (cpu(0), cpu(1))
NORMALISED_AFTER = {"blueprint": "125", "paper": "12"}
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


def small(devices=TOWERS, variant="blueprint", width=1 / 8):
    manual_seed(0)
    return double(alexnet(variant, classes=10, devices=devices, width=width))


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
    assert set(NORMALISED_AFTER) == set(VARIANTS)
    for text in ((Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8"), alexnet.__doc__):
        assert all(variant in text for variant in VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_responses_are_normalised_between_relu_and_pooling(variant):
    net, blocks = alexnet(variant, width=1 / 16), NORMALISED_AFTER[variant]
    for tower in (net.a, net.b):
        kinds = {name: [type(layer).__name__ for layer in row.layers] for name, row in tower.children()}
        assert [name[-1] for name, layers in kinds.items() if "LocalResponseNorm" in layers] == list(blocks)
        for block in blocks:
            assert kinds[f"conv{block}"][1:4] == ["ReLU", "LocalResponseNorm", "MaxPool2d"]


def test_what_crosses_between_the_towers_is_60_mb_a_step_of_128():
    net, (images, labels) = alexnet(devices=TOWERS), batch(2, np.float32)
    names = {row: name for tower in (net.a, net.b) for name, row in tower.children()} | {net.fc8: "fc8"}
    crossed = Counter()

    def see(layer, y):
        if layer in names:
            crossed[names[layer]] += ops.ledger.total() - crossed.total()

    ops.ledger.clear()
    with nn.forward_hook(see):
        loss = ops.cross_entropy(net(images), labels)
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


def one_network(w, x, masks, variant):
    """AlexNet without towers."""
    for name, settings in CONVOLUTIONS.items():
        x = ops.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **settings).relu()
        if name in NORMALISED[variant]:  # inside each half
            half = x.shape[1] // 2
            x = ops.concatenate(*(ops.local_response_norm(part) for part in (x[:, :half], x[:, half:])), axis=1)
        if name in POOLED:
            x = ops.max_pool2d(x)
    x = x.flatten()
    for name, mask in zip(("fc6", "fc7"), masks, strict=True):
        x = ops.linear(x, w[f"{name}.weight"], w[f"{name}.bias"]).relu() * mask
    return ops.linear(x, w["fc8.weight"], w["fc8.bias"])


@pytest.mark.parametrize("variant", NORMALISED)
def test_two_towers_are_one_network_with_groups(variant):
    """Loss, gradients and weights of three steps with dropout, in double precision."""
    net, (images, labels) = small(variant=variant), batch(3)
    one = {name: Tensor(w, requires_grad=True) for name, w in joined(net.state_dict()).items()}
    towers, whole = (SGD(parameters, lr=0.01) for parameters in (net.named_parameters(), one.items()))
    for _ in range(3):
        expected = ops.cross_entropy(one_network(one, images, masks(net, len(images)), variant), labels)
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


def test_two_devices_compute_what_one_does_to_the_last_bit():
    images, labels = batch(2)
    results = []
    for devices in (TOWERS, (cpu(0), cpu(0)), (cpu(3), cpu(2))):
        net = small(devices)
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
    with pytest.raises(ValueError, match="no variant 'caffe': choose one of blueprint, paper"):
        alexnet("caffe")
    with pytest.raises(ValueError, match="1 classes"):
        alexnet(classes=1)
    net = alexnet(width=1 / 16)
    for shape in ((2, 3, 227, 227), (3, 224, 224), (2, 224, 224, 3)):
        with pytest.raises(ValueError, match=re.escape(str(shape))):
            net(np.zeros(shape, np.float32))


def test_a_network_for_laptops():
    shapes = {name: p.shape for name, p in alexnet(width=1 / 8, classes=3).named_parameters()}
    assert shapes["a.conv3.0.weight"] == (24, 32, 3, 3)
    assert shapes["fc8.weight"] == (3, 512)
