"""Why does it not learn? Some sixty causes, planted one at a time in a small network, each named; forty-odd healthy
runs, none of them accused; and nothing is changed by asking."""

import json
import math
import random
import re
import shutil

import numpy as np
import pytest

from minicnn import Tensor, checkpoint, manual_seed, ops
from minicnn.__main__ import main
from minicnn.data import ImageFolder, Statistics, built_in_set
from minicnn.data.cifar import cifar10
from minicnn.data.images import Images
from minicnn.diagnose import diagnose, signals
from minicnn.diagnose.cause import Cause
from minicnn.diagnose.command import _some as some_of
from minicnn.diagnose.command import of_data, of_run
from minicnn.diagnose.of_cifar import _as_here
from minicnn.diagnose.pictures import answers, features, labels_of, pixels_of, probe
from minicnn.diagnose.signal import layers_in
from minicnn.models import RECIPES, alexnet
from minicnn.models.cuda_convnet import CUDA_CONVNETS, cuda_convnet
from minicnn.nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential, initialise
from minicnn.nn.layers import he
from minicnn.optim import SGD, StepSchedule
from minicnn.training.diagnosis import PLATEAU, Diverged, Plateau
from minicnn.training.step import Step
from minicnn.training.trainer import Trainer

pytestmark = pytest.mark.processor  # a network on a GPU is looked at by the same lines, in main memory

CLASSES, COUNT, SIDE = 5, 240, 10


def pictures(seed=0, noise=0.8, classes=CLASSES, count=COUNT, channels=3):
    """(count, channels, SIDE, SIDE) of mean 0 and deviation near 1: of each class a pattern, and noise."""
    patterns = np.random.default_rng(99).normal(size=(classes, channels, SIDE, SIDE))
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    return (0.6 * patterns[labels] + noise * rng.normal(size=(count, channels, SIDE, SIDE))).astype(np.float32), labels


def network(seed=1, classes=CLASSES, channels=3, units=24, dropout=0.3, scale=1.0, bias=0.0, last=0.3):
    """Two convolutions and two linear layers, of He's weights × scale; the last layer's are smaller."""
    manual_seed(seed)
    net = Sequential(Conv2d(channels, 8, 3, padding=1), ReLU(), MaxPool2d(3, 2), Conv2d(8, 8, 3, padding=1), ReLU(),
                     Flatten(), Linear(8 * 4 * 4, units), ReLU(), Dropout(dropout), Linear(units, classes))
    initialise(net, lambda name, w: scale * he(w.shape) * (last if name.startswith("9") else 1), lambda name: bias)
    return net


def batches_of(x, labels, size=24):
    return [(x[i : i + size], labels[i : i + size]) for i in range(0, len(x), size)]


def trained(net, batches, optimiser, loss, epochs):
    """The losses of all steps; None where one was no number, which ends them."""
    net.train()
    step, losses = Step(net, optimiser, loss), []
    for _ in range(epochs):
        for batch in batches:
            try:
                losses.append(step(*batch)[0])
            except Diverged:
                return [*losses, None]
    return losses


def report(net=None, data=None, *, epochs=0, lr=0.02, momentum=0.9, decay=5e-4, loss=ops.cross_entropy, rates=None,
           given=lambda name: True, size=24, **more):
    """What is said of a network after so many epochs."""
    net = network() if net is None else net
    batches = batches_of(*(pictures() if data is None else data), size)
    optimiser = SGD([(n, p) for n, p in net.named_parameters() if given(n)], lr, momentum, decay, rates=rates)
    return diagnose(net, batches, optimiser, loss, history=trained(net, batches, optimiser, loss, epochs), **more)


def case(**settings):
    return settings


# -- planted causes ----------------------------------------------------------------------------------------------------


class Cut(Module):
    def forward(self, x):
        return x.detach()


class Softmax(Module):
    def forward(self, x):
        return x.softmax()


class Over(Module):
    def __init__(self, number):
        self.number = number

    def forward(self, x):
        return x / self.number


class Running(Module):
    """A normalisation of somebody's own: a scale for each map, and a mean that is another array after each batch."""

    def __init__(self):
        self.scale = Tensor(np.ones((8, 1, 1), np.float32), requires_grad=True)
        self.mean = np.zeros((8, 1, 1), np.float32)
        self.kept = {"means": [self.mean]}

    def forward(self, x):
        own = x.numpy().mean((0, 2, 3), keepdims=True)[0]
        self.mean = 0.9 * self.mean + 0.1 * own
        self.kept["means"].append(self.mean)
        return (x - own) * self.scale


class OfUnitRows(Module):
    """A last layer whose rows have a length of their own (weight normalisation)."""

    def __init__(self):
        random = np.random.default_rng(2)
        self.v = Tensor(random.normal(size=(CLASSES, 24)).astype(np.float32), requires_grad=True)
        self.g = Tensor(np.full((CLASSES, 1), 0.3, np.float32), requires_grad=True)

    def forward(self, x):
        return x @ (self.v * (self.g / (self.v * self.v).sum(axis=1, keepdims=True) ** 0.5)).T


class LowRank(Module):
    """A last layer that stays, and the product of two small matrices that is added to it and begins at 0."""

    def __init__(self):
        random = np.random.default_rng(3)
        self.w = Tensor(0.1 * random.normal(size=(24, CLASSES)).astype(np.float32))
        self.a = Tensor(random.normal(size=(24, 2)).astype(np.float32), requires_grad=True)
        self.b = Tensor(np.zeros((2, CLASSES), np.float32), requires_grad=True)

    def forward(self, x):
        return x @ self.a @ self.b + x @ self.w


class Around(Module):
    """x + f(x), where f begins at 0, and a scale of ones for every unit."""

    def __init__(self):
        self.inside, self.scale = Linear(128, 128), OfOnes()
        self.inside.weight.writable()[...] = 0

    def forward(self, x):
        return x + self.scale(self.inside(x))


class OfOnes(Module):
    def __init__(self):
        self.scale = Tensor(np.ones((1, 128), np.float32), requires_grad=True)

    def forward(self, x):
        return x * self.scale


class Fixed(Module):
    """The mean over the maps, by a matrix that is no parameter."""

    def __init__(self):
        self.mean = Tensor(np.full((8, 8), 1 / 8, np.float32) + np.eye(8, dtype=np.float32))

    def forward(self, x):
        return (x.transpose(0, 2, 3, 1) @ self.mean).transpose(0, 3, 1, 2)


def binary(logits, labels):
    """The sum of a binary cross-entropy for every class."""
    own = np.eye(logits.shape[1], dtype=np.float32)[labels]
    return ((1 + logits.exp()).log() - logits * own).sum() * (1 / len(labels))


def smoothed(logits, labels):
    own = 0.9 * np.eye(CLASSES, dtype=np.float32)[labels] + 0.1 / CLASSES
    return -(ops.log_softmax(logits) * own).sum() * (1 / len(labels))


def doubled(net):
    """In double precision."""
    for layer in net.modules():
        for name, value in vars(layer).copy().items():
            if isinstance(value, Tensor) and value.dtype.kind == "f":
                setattr(layer, name, Tensor(value.numpy().astype(np.float64), requires_grad=True))
    return net


class OfTensors(Module):
    """Two layers that are no modules: their products are written out."""

    def __init__(self, scale=1.0, bias=0.0):
        random = np.random.default_rng(1)
        inputs = 3 * SIDE * SIDE
        self.w1, self.w2 = (Tensor((s / n**0.5 * random.normal(size=shape)).astype(np.float32), requires_grad=True)
                            for s, n, shape in ((scale, inputs, (inputs, 24)), (0.3, 24, (CLASSES, 24))))  # fmt: skip
        self.b1, self.b2 = (Tensor(np.full(n, b, np.float32), requires_grad=True)
                            for n, b in ((24, bias), (CLASSES, 0)))  # fmt: skip

    def forward(self, x):
        return (Tensor(x).reshape(len(x), -1) @ self.w1 + self.b1).relu() @ self.w2.T + self.b2


class AlwaysDrops(Module):
    """A dropout that forgets to ask whether it is in training."""

    def __init__(self):
        self.random = np.random.default_rng(0)

    def forward(self, x):
        return x * (self.random.random(x.shape) < 0.5).astype(np.float32)


def with_layer(place, layer):
    net = network()
    net.layers.insert(place, layer)
    return net


def frozen(*places):
    net = network()
    for place in places:
        net[place].weight.requires_grad = net[place].bias.requires_grad = False
    return net


def constant(value):
    net = network()
    for place in (3, 6):
        net[place].weight.writable()[...] = value
    return net


def shut(place, bias):
    net = network()
    net[place].bias.writable()[...] = bias
    return net


def by_class(x, labels):
    order = np.argsort(labels, kind="stable")
    return x[order], labels[order]


def weighted(*weights):
    return lambda logits, labels: ops.cross_entropy(logits, labels, np.array(weights, np.float32))


def as_bytes(x, labels):
    return (255 / 8 * (np.moveaxis(x, 1, -1) + 4)).clip(0, 255).astype(np.uint8), labels


X, Y = pictures()
MIXED = np.random.default_rng(5).permutation(Y)
PLANTED = [  # what is planted, what has to be said
    ("weights of σ = 0.01 and biases of 1", "the signal dies", case(net=lambda: network(scale=0.05, bias=1.0))),
    ("the same, trained", "the signal dies", case(net=lambda: network(scale=0.05, bias=1.0), epochs=4)),
    ("weights far too small", "the signal dies", case(net=lambda: network(scale=0.03), epochs=2)),
    ("weights of 0", "weights are 0", case(net=lambda: network(scale=0.0), epochs=2)),
    ("weights all alike", "all units are alike", case(net=lambda: constant(0.05), epochs=2)),
    ("weights too large", "weights start too large", case(net=lambda: network(scale=6.0))),
    ("the same, trained", "weights start too large", case(net=lambda: network(scale=6.0), epochs=3)),
    ("a rate of 0", "the rate is 0", case(lr=0.0, epochs=3)),
    ("a rate of 1e-8", "the rate is too low", case(lr=1e-8, epochs=3)),
    ("a rate of 1e-8 before the first step", "the rate is too low", case(lr=1e-8)),
    ("a rate that kills ReLUs", "the rate is too high: the ReLUs died", case(lr=1.0, epochs=4)),
    ("a rate far too high", "the rate is too high", case(lr=1e4, epochs=4)),
    ("a rate too high before the first step", "the rate is too high", case(lr=3.0)),
    ("momentum too high", "momentum is too high", case(momentum=0.9995)),
    ("weight decay too strong", "weight decay is too strong", case(decay=2.0, epochs=6)),
    ("the same before the first step", "weight decay is too strong", case(decay=5.0)),
    ("labels shuffled", "labels do not follow", case(data=lambda: (X, MIXED), epochs=2)),
    ("the same, learned by heart", "labels do not follow", case(data=lambda: (X, MIXED), epochs=12, lr=0.05)),
    ("one label", "there is one label", case(data=lambda: (X, Y * 0 + 2), epochs=2)),
    ("one class has nearly all", "one class has nearly all",
     case(data=lambda: (X, np.where(np.arange(COUNT) % 25, 3, Y)), epochs=2)),
    ("batches of one class", "order is not shuffled", case(data=lambda: by_class(X, Y), epochs=2)),
    ("black pictures", "pixels are all the same", case(data=lambda: (X * 0, Y), epochs=2)),
    ("identical pictures", "pictures are all alike", case(data=lambda: (X[:1].repeat(COUNT, 0), Y), epochs=2)),
    ("nearly identical pictures", "pictures are all alike", case(data=lambda: (X[:1] + 0.003 * X, Y))),
    ("one picture under several labels", "one picture has several", case(data=lambda: (X[np.arange(COUNT) % 60], Y))),
    ("pixels of 0 to 255", "pixels are not scaled", case(data=lambda: (X * 64, Y))),
    ("the same, trained", "pixels are not scaled", case(data=lambda: (X * 64, Y), epochs=3)),
    ("pixels scaled twice", "pixels are nearly constant", case(data=lambda: (X / 255, Y), epochs=2)),
    ("pixels about 5", "the mean is not taken", case(data=lambda: (X + 5, Y))),
    ("pixels that are NaN", "pixels are no numbers", case(data=lambda: (np.where(X > 3, np.float32(np.nan), X), Y))),
    ("the last layer frozen", "the last layer is frozen", case(net=lambda: frozen(9), epochs=2)),
    ("the last layer at a rate of 0", "the last layer is frozen", case(rates={"9": 0}, epochs=2)),
    ("the last layer not given", "the last layer is frozen", case(given=lambda name: not name.startswith("9"))),
    ("a layer detached", "a gradient is cut off", case(net=lambda: with_layer(5, Cut()), epochs=2)),
    ("dropout of nearly all", "dropout drops nearly", case(net=lambda: network(dropout=0.98), epochs=2)),
    ("dropout at test", "dropout is on at test", case(net=lambda: with_layer(8, AlwaysDrops()), epochs=2)),
    ("biases that shut all", "biases hold the ReLUs shut", case(net=lambda: shut(6, -30.0), epochs=2)),
    ("the loss scaled down", "the loss is scaled down", case(loss=lambda a, b: ops.cross_entropy(a, b) * 1e-6)),
    ("the loss turned round", "the loss has the wrong", case(loss=lambda a, b: -ops.cross_entropy(a, b), epochs=1)),
    ("a class weight of NaN", "the loss is no number", case(loss=weighted(1, np.nan, 1, 1, 1))),
    ("class weights of 0", "some classes do not count", case(loss=weighted(0, 0, 1, 1, 1), epochs=1)),
    ("softmax twice", "softmax is taken twice", case(net=lambda: with_layer(10, Softmax()), epochs=2)),
    ("ReLU at the end, shut", "something follows the last layer",
     case(net=lambda: Sequential(*shut(9, -9.0).layers, ReLU()))),
    ("logits over 1000", "something follows the last layer", case(net=lambda: with_layer(10, Over(1000.0)))),
    ("the loss sees other labels", "the loss does not ask for these labels",
     case(loss=lambda a, b: ops.cross_entropy(a, b[::-1].copy()), epochs=2)),
    ("the loss sees the next class", "the loss does not ask for these labels",
     case(loss=lambda a, b: ops.cross_entropy(a, (b + 1) % CLASSES), epochs=2)),
    ("tensors of 0", "weights are 0", case(net=lambda: OfTensors(0.0))),
    ("tensors far too small", "the signal dies", case(net=lambda: OfTensors(1e-5))),
    ("a tensor of biases that shuts all", "biases hold the ReLUs shut", case(net=lambda: OfTensors(bias=-30.0))),
    ("the last tensor not given", "the last layer is frozen", case(net=OfTensors, given=lambda name: name != "w2")),
    ("the loss is a sum", "the loss is a sum", case(loss=lambda a, b: ops.cross_entropy(a, b) * len(b), lr=0.1)),
    ("the loss is a sum, trained", "the loss is a sum",
     case(loss=lambda a, b: ops.cross_entropy(a, b) * len(b), lr=0.1, epochs=3)),
    ("the loss is detached", "the loss has no gradient", case(loss=lambda a, b: ops.cross_entropy(a.detach(), b))),
    ("the loss fails", "the loss cannot be computed", case(loss=lambda a, b: ops.cross_entropy(a, b, np.ones(7)))),
    ("decay of 2000", "weight decay is too strong", case(decay=2000.0, lr=0.002, epochs=2)),
    ("decay until nothing is left", "weight decay is too strong", case(decay=40.0, lr=0.02, epochs=12)),
    ("batches of one in order", "order is not shuffled", case(data=lambda: by_class(X, Y), size=1)),
    ("pictures of 0 to 1 as bytes", "pictures are nearly black",
     case(raw=[(np.moveaxis(X > 0, 1, -1).astype(np.uint8), Y)])),
    ("labels of validation shuffled", "labels of validation do not follow",
     case(raw=[as_bytes(X, Y), as_bytes(X, MIXED)])),
]  # fmt: skip


def test_what_is_alike_is_what_the_network_sees_where_the_pictures_are_not_known():
    numbers = report(data=(X[:1].repeat(COUNT, 0), Y)).causes[0].numbers
    assert numbers.startswith(f"of {COUNT} inputs 1 are different; what tells them apart is ")


def made(subject):
    return {name: value() if name in ("net", "data") else value for name, value in subject.items()}


@pytest.mark.parametrize(("said", "subject"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_a_planted_cause_is_named(said, subject):
    found = report(**made(subject))
    assert found.causes
    assert found.causes[0].name.startswith(said), found
    assert not found.healthy
    assert f"{found.causes[0].name}: {found.causes[0].numbers}\n  → {found.causes[0].remedy}" in str(found)


@pytest.mark.parametrize("name", ["given the step", "left behind"])
def test_gradients_that_add_up_from_step_to_step(name):
    net, batches = network(), batches_of(X, Y)
    optimiser = SGD(net.named_parameters(), 1e-4)

    def step(inputs, labels):
        ops.cross_entropy(net(inputs), labels).backward()
        optimiser.step()

    def right(inputs, labels):
        optimiser.zero_grad()
        step(inputs, labels)

    assert diagnose(net, batches, optimiser, step=right).healthy
    for batch in batches * 3 if name == "left behind" else []:
        step(*batch)
    found = diagnose(net, batches, optimiser, step=step if name == "given the step" else None)
    assert [cause.name for cause in found.causes] == ["gradients are not set to 0 between steps"]


def test_a_step_that_moves_nothing():
    net, batches = network(), batches_of(X, Y)
    optimiser = SGD(net.named_parameters(), 1e-4)

    def step(inputs, labels):
        optimiser.zero_grad()
        ops.cross_entropy(net(inputs), labels).backward()

    found = diagnose(net, batches, optimiser, step=step)
    assert [cause.name for cause in found.causes] == ["a step moves nothing"]


@pytest.mark.parametrize("other", [[1, 0, 2, 3, 4], [1, 2, 3, 4, 0]])
def test_classes_that_validation_has_in_another_order(other):
    """By what the network says where it has learned, else by what a linear classifier says of the pictures."""
    x, labels = pictures(7)
    net = network()
    assert report(net, epochs=6, validation=batches_of(x, labels)).healthy
    names = ["ant", "bee", "cat", "dog", "elk"]
    found = diagnose(net, batches_of(X, Y), validation=batches_of(x, np.array(other)[labels]), names=names)
    assert [cause.name for cause in found.causes] == ["classes of training and validation differ"]
    assert f"{names[other[0]]} are called ant" in found.causes[0].numbers
    some = np.isin(labels, [0, 2])  # all of these are called what there is none of
    found = diagnose(net, batches_of(X, Y), validation=batches_of(x[some], labels[some] + 1))
    assert [cause.name for cause in found.causes] == ["classes of training and validation differ"]
    found = diagnose(network(), batches_of(X, Y), raw=[as_bytes(X, Y), as_bytes(x, np.array(other)[labels])])
    assert [cause.name for cause in found.causes] == ["classes of training and validation differ"]


def test_a_probe_is_asked_only_of_classes_that_it_was_taught():
    x, labels = pictures(7, count=100)
    other = np.where(np.isin(labels, [0, 1]), labels + CLASSES, labels)  # pictures that look like those of 0 and 1
    assert diagnose(network(classes=7), batches_of(X, Y), raw=[as_bytes(X, Y), as_bytes(x, other)]).healthy
    few = np.where((np.arange(COUNT) % 8 == 0) & np.isin(Y, [0, 1]), Y + CLASSES, Y)  # of which it was taught some
    assert diagnose(network(classes=7), batches_of(X, Y), raw=[as_bytes(X, few), as_bytes(x, other)]).healthy
    swapped = np.array([1, 0, 2, 3, 4])[labels]
    swapped[::2][swapped[::2] == 0] = 5  # which looks like what is now called 0
    found = diagnose(network(classes=7), batches_of(X, Y), raw=[as_bytes(X, Y), as_bytes(x, swapped)])
    assert [cause.name for cause in found.causes] == ["classes of training and validation differ"]


def test_the_same_classes_of_training_and_validation_are_looked_at():
    """Of 12, where those that come first in validation have fewest in training."""
    def of(*counts):
        images = Images()
        images.samples = [(f"{k}/{i}", k) for k, count in enumerate(counts) for i in range(count)]
        return images

    training, validation = some_of(of(1, 1, *[3] * 10), of(*[2] * 12))
    assert {*training.labels.tolist()} == {*validation.labels.tolist()} == {*range(2, 12)}
    assert len(some_of(of(1, 1, *[3] * 10), of(5))) == len(some_of(of(1, 1), None)) == 1


# -- healthy runs ------------------------------------------------------------------------------------------------------

UNEVEN = np.random.default_rng(1).random(COUNT) < np.where(Y < 2, 1, 0.3)
HEALTHY = [
    *(case(net=lambda s=s: network(s), data=lambda s=s: pictures(s), epochs=e) for s in (2, 3) for e in (0, 1, 2, 10)),
    *(case(net=lambda u=u: network(units=u), epochs=e) for u in (12, 64) for e in (0, 3)),
    *(case(data=lambda: (X[UNEVEN], Y[UNEVEN]), epochs=e) for e in (0, 4)),
    *(case(net=lambda: network(classes=2), data=lambda: pictures(classes=2), epochs=e) for e in (0, 3)),
    *(case(net=lambda: network(channels=1), data=lambda: pictures(channels=1), epochs=e) for e in (0, 3)),
    case(data=lambda: pictures(3, noise=3.0), epochs=3),  # hard
    case(data=lambda: pictures(count=10), epochs=5),  # a handful
    case(net=lambda: network(dropout=0.5, last=1.0), epochs=2),
    case(net=lambda: network(last=0.0)),
    case(data=lambda: (X / 8 + 0.5, Y), epochs=12, lr=0.1),  # pixels of 0 to 1, learned nevertheless
    case(net=lambda: frozen(0, 3), epochs=10),  # on purpose
    case(loss=weighted(1, 2, 3, 4, 5), epochs=2),
    case(lr=0.002, momentum=0.0, epochs=1),
    case(net=lambda: with_layer(10, Softmax()), loss=lambda p, y: -p[np.arange(len(y)), y].log().mean()),
    case(loss=lambda a, b: ops.cross_entropy(a, b) * len(b), lr=0.02 / 24, epochs=3),
    case(loss=smoothed, epochs=12, lr=0.05),
    case(data=lambda: (X[:16].repeat(20, 0).reshape(16, 20, 3, SIDE, SIDE).swapaxes(0, 1).reshape(320, 3, SIDE, SIDE),
                       np.tile(Y[:16], 20)), size=16, epochs=2),  # whether it can learn one batch by heart
    case(data=lambda: (X[:1], Y[:1])),
    case(data=lambda: ((2 * X + 4).clip(0, 9).astype(np.uint8), Y), epochs=2),
    case(size=1, epochs=2, lr=0.002),
    case(net=lambda: doubled(network()), data=lambda: (X.astype(np.float64), Y), epochs=2,
         loss=lambda a, b: ops.cross_entropy(a, b, np.ones(CLASSES))),
    case(net=lambda: with_layer(1, Running()), epochs=2),
    *(case(net=OfTensors, epochs=e) for e in (0, 8)),
    case(loss=lambda a, b: ops.cross_entropy(a, b) * len(b), lr=0.02 / 24),
    case(net=lambda: Sequential(*network(classes=100).layers, Softmax()), data=lambda: pictures(classes=100),
         loss=lambda p, y: -p[np.arange(len(y)), y].log().mean(), lr=1e-4),
    case(net=lambda: network(classes=1000), data=lambda: pictures(classes=1000), loss=binary, lr=1e-4),
    *(case(net=lambda h=h: Sequential(*frozen(0, 3).layers[:8], h())) for h in (OfUnitRows, LowRank)),
    case(net=lambda: with_layer(6, Around())),
    case(net=lambda: with_layer(1, Fixed())),
    case(net=lambda: with_layer(10, ReLU())),
]  # fmt: skip


@pytest.mark.parametrize("subject", HEALTHY, ids=range(len(HEALTHY)))
def test_a_healthy_run_is_not_accused(subject):
    found = report(**made(subject))
    assert found.healthy, found
    assert found.verdict().startswith("healthy")


FLAT = [math.log(CLASSES) + 0.001 * (-1) ** i for i in range(300)]  # losses


def unlearned(data=(X, Y), lr=0.02, history=FLAT, net=None, **more):
    """Of a network as it starts, whose losses are said to have been these."""
    net = network() if net is None else net
    optimiser = SGD(net.named_parameters(), lr, **more)
    return [cause.name for cause in diagnose(net, batches_of(*data), optimiser, history=history).causes]


@pytest.mark.parametrize(("lr", "said"), [(0.0, "the rate is 0"), (1e-7, "the rate is too low"),
                                          (1e-3, "the mean is not taken off the pixels")])
def test_pixels_of_0_to_1_hide_no_other_cause(lr, said):
    """Those of photographs have twice as much in common as tells them apart; that is the cause if nothing else is."""
    photographs = (0.2 * X + 0.45, Y)
    assert unlearned(photographs, lr) == [said]
    assert not unlearned(photographs, history=[])
    assert unlearned((X + 5, Y), lr)[0] == (said if lr == 0 else "the mean is not taken off the pixels")


def test_pixels_of_0_to_1_do_not_hide_that_a_signal_dies():
    assert unlearned((0.2 * X + 0.45, Y), net=network(scale=0.05, bias=1.0)) == ["the signal dies between the layers"]


def test_a_net_that_knows_uneven_classes_is_healthy():
    labels = np.where(np.arange(COUNT) % 25, 3, Y)
    x = X + np.eye(3)[:, :, None, None][labels % 3] * (labels[:, None, None, None] != 3)  # the few are told apart
    found = report(data=(x.astype(np.float32), labels), epochs=12, lr=0.05)
    assert found.healthy, found


def test_of_few_pictures_of_many_classes_nothing_is_said():
    """A classifier learns too little of one or two pictures of each, and of a hundred that hardly differ."""
    for classes, count, noise in (10, 64, 4.0), (100, 256, 4.0), (1000, 256, 4.0), (2, 100, 40.0):
        x, labels = pictures(noise=noise, classes=classes, count=count)
        flat = [math.log(classes)] * 300
        assert not unlearned((x / np.float32(noise), labels), net=network(classes=classes), history=flat)


def test_what_was_learned_of_many_classes_is_known_by_the_loss():
    """Of 64 pictures, who knows their labels' frequencies pays ln(64) at most, and guessing costs ln(300)."""
    found = report(network(classes=300, units=64), pictures(noise=0.3, classes=300, count=1200), epochs=2, lr=0.05)
    assert math.log(64) < found.measured.loss < 0.9 * math.log(300)
    assert found.measured.learned and found.healthy


def test_a_run_that_learned_and_then_went_wrong_is_not_healthy():
    """By a checkpoint of before."""
    net = network()
    losses = trained(net, batches_of(X, Y), SGD(net.named_parameters(), 0.02), ops.cross_entropy, 8)
    for after in [5.0, 50.0, 500.0, 5000.0, 5e4], [None]:
        found = diagnose(net, batches_of(X, Y), SGD(net.named_parameters(), 0.02), history=losses + after)
        assert [cause.name for cause in found.causes] == ["the rate is too high"]
    assert diagnose(net, batches_of(X, Y), SGD(net.named_parameters(), 0.02), history=[*losses, 5.0]).healthy


def test_where_the_loss_is_lost_no_line_says_which_rate_is_good():
    """A tenth of the run's is proposed, or the paper's."""
    net = network(last=300.0)
    found = diagnose(net, batches_of(X, Y), SGD(net.named_parameters(), 3.0), history=[1.6, 9.0, 90.0, 900.0])
    assert found.measured.loss > 2 * found.measured.ln
    assert found.causes[0].remedy == "--lr 0.01 (optimiser.lr), from the start"


def test_rates_are_told_also_where_layers_have_their_own():
    assert unlearned(lr=1e-6, lars=1e-6, history=FLAT) == ["the rate is too low"]
    assert not unlearned(lr=10.0, lars=0.001, weight_decay=5e-4, history=[])
    assert unlearned(lr=1e-5) == ["the rate is too low"]


def test_a_batch_may_hold_nothing():
    assert diagnose(network(), [(X[:0], Y[:0]), *batches_of(X, Y)]).healthy
    plateau = Plateau(Step(net := network(), SGD(net.named_parameters(), 0.02)))
    for _ in range(PLATEAU + 50):
        plateau.see(math.log(CLASSES), CLASSES, [(X[:0], Y[:0])])
    assert plateau.said


def test_the_losses_of_a_sum_are_those_of_the_runs_batches():
    net, ln = network(), math.log(CLASSES)
    for size, many in (24, 80), (128, 200):
        batches = [(X[:size], Y[:size])] * 3
        found = diagnose(net, batches, SGD(net.named_parameters(), 1e-4), lambda a, b: ops.cross_entropy(a, b) * len(b),
                         history=[size * ln] * many, order=[Y[:size]] * 3).measured  # fmt: skip
        np.testing.assert_allclose(found.costs, ln, rtol=1e-3)
        assert not found.learned
    right = np.eye(CLASSES, dtype=np.float32)
    squares = diagnose(net, batches_of(X, Y), loss=lambda a, b: ((a - right[b]) ** 2).mean(), history=[0.1] * 80)
    assert squares.measured.costs == [] and squares.healthy  # they say nothing beside ln(classes)


def test_a_step_may_move_nothing_where_that_is_meant():
    net, batches = network(), batches_of(X, Y)
    optimiser, taken = SGD(net.named_parameters(), 0.02), []

    def skips(inputs, labels):  # as a loss scale does that begins too large
        taken.append(len(inputs))
        optimiser.zero_grad()
        ops.cross_entropy(net(inputs), labels).backward()
        if len(taken) > 2:
            optimiser.step()

    assert diagnose(net, batches, optimiser, step=skips).healthy
    losses = trained(net, batches, optimiser, ops.cross_entropy, 8)
    optimiser.lr = 0.0  # the end of a schedule
    assert diagnose(net, batches, optimiser, step=Step(net, optimiser), history=losses).healthy


def test_batches_may_come_one_by_one():
    assert diagnose(network(), (batch for batch in batches_of(X, Y))).measured.labels.counts.sum() == COUNT


def test_a_head_with_more_outputs_than_there_are_classes_is_healthy():
    assert report(network(classes=200), epochs=1).healthy


def test_who_weighs_classes_already_is_not_told_to():
    data = X, np.where(np.arange(COUNT) % 25, 3, Y)
    found = [report(data=data, loss=loss) for loss in (ops.cross_entropy, weighted(9, 9, 9, 0.2, 9))]
    asked = found[0].measured.asked
    assert [asked.factor, asked.alike, *asked.own.values()] == pytest.approx([1] * (2 + len(asked.own)), rel=1e-3)
    assert found[0].measured.guess == pytest.approx(labels_of([data[1][:64]], CLASSES).knows)
    even, weighed = (each.causes[0] for each in found)
    assert even.name == weighed.name == "one class has nearly all pictures"
    assert "--class-weights balanced" in even.remedy
    assert weighed.remedy == "more pictures of the others"


class Drops(Module):
    """A dropout of somebody's own."""

    def forward(self, x):
        return x * (np.random.default_rng(0).random(x.shape) < 0.02).astype(np.float32) if self.training else x


def test_what_dropout_drops_is_told_of_many_numbers_and_of_no_relu():
    found = diagnose(with_layer(5, Drops()), batches_of(X, Y))
    assert [cause.name for cause in found.causes] == ["dropout drops nearly everything"]
    assert found.causes[0].numbers.startswith("5 sets 9")
    for seed in range(2):
        net = network(seed, dropout=0.5)
        net.eval()
        net[6].bias.writable()[...] = -0.999 * net[:7](X[:64]).numpy().max()  # one number is left, which may be dropped
        net.train()
        for layers in net.layers, [*net.layers[:6], net[6], net[8], net[7], net[9]]:
            assert unlearned(net=Sequential(*layers), history=[]) == ["biases hold the ReLUs shut"]


def test_layers_that_are_frozen_are_meant_to_be_until_many_steps_have_come_to_nothing():
    assert not unlearned(history=[1.6], rates={"0": 0})
    assert unlearned(rates={"0": 0}) == ["layers are frozen"]


def test_rows_that_no_line_divides_are_no_shuffled_labels():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(COUNT, 2)).astype(np.float32)
    labels = (x[:, 0] * x[:, 1] > 0).astype(int)
    net = Sequential(Linear(2, 16), ReLU(), Linear(16, 2))
    assert report(net, (x, labels)).healthy


def test_a_run_that_ended_its_schedule_at_a_rate_of_0_is_healthy():
    net, batches = network(), batches_of(X, Y)
    optimiser = SGD(net.named_parameters(), 0.02)
    losses = trained(net, batches, optimiser, ops.cross_entropy, 8)
    optimiser.lr = 0.0
    assert diagnose(net, batches, optimiser, history=losses).healthy


# -- nothing is changed ------------------------------------------------------------------------------------------------


def state(net, optimiser):
    return [array.tobytes() for of in (net, optimiser) for array in of.state_dict().values()]


def test_nothing_is_changed_by_asking():
    net, batches = with_layer(8, AlwaysDrops()), batches_of(X, Y)
    optimiser = SGD(net.named_parameters(), 0.02)
    trained(net, batches, optimiser, ops.cross_entropy, 1)
    net[3].eval()
    before, modes, rule = state(net, optimiser), [m.training for m in net.modules()], vars(optimiser).copy()
    gradients = [p.grad for p in net.parameters()]
    bits = [g.numpy().tobytes() for g in gradients]

    def drawn():
        return net[8].random.bit_generator.state, random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002

    chance = drawn()

    def step(inputs, labels):
        random.random(), np.random.rand()  # noqa: NPY002
        Step(net, optimiser)(inputs, labels)

    net.layers.insert(1, running := Running())
    mean, scale = running.mean, running.scale
    diagnose(net, batches, optimiser, step=step, validation=batches)
    assert running.mean is mean and running.scale is scale and not mean.any() and len(running.kept["means"]) == 1
    del net.layers[1]
    assert state(net, optimiser) == before
    assert [m.training for m in net.modules()] == modes
    assert vars(optimiser) == rule
    assert all(p.grad is g for p, g in zip(net.parameters(), gradients, strict=True))
    assert [g.numpy().tobytes() for g in gradients] == bits
    assert drawn() == chance


def test_nothing_is_changed_either_where_asking_fails():
    net = network()
    optimiser = SGD(net.named_parameters(), 0.02)
    before = state(net, optimiser)

    def step(inputs, labels):
        Step(net, optimiser)(inputs, labels)
        raise RuntimeError("it fails")

    with pytest.raises(RuntimeError, match="it fails"):
        diagnose(net, batches_of(X, Y), optimiser, step=step)
    assert state(net, optimiser) == before
    assert net.training


@pytest.mark.parametrize("batches", [[], [(X[:0], Y[:0])]])
def test_without_a_picture_nothing_is_measured(batches):
    with pytest.raises(ValueError, match="diagnose: there is no"):
        diagnose(network(), batches)


def test_a_model_that_is_no_classifier_is_refused():
    with pytest.raises(ValueError, match=r"the model gives \(48, 8, 10, 10\) for 48 pictures"):
        diagnose(network()[:2], batches_of(X, Y)[:2])


@pytest.mark.parametrize(("labels", "more", "said"), [
    (Y + 1, {}, "labels go from 1 to 5, where the model has 5 outputs, 0 to 4: they count from 1: take 1 off"),
    (Y - 1, {}, "labels go from -1 to 3, where the model has 5 outputs, 0 to 4: give both the same"),
    (np.eye(CLASSES)[Y], {}, r"labels are \(24, 5\): give \(N,\), a number for each picture, of one-hot rows"),
    (Y, {"validation": batches_of(X, Y + 1)}, "labels go from"),
    (Y, {"raw": [(np.moveaxis(X, 1, -1), Y + 1)]}, "labels go from 1 to 5"),
    (Y, {"order": [Y + 5]}, "labels go from 5 to 9, where the model has 5 outputs, 0 to 4: give both the same"),
    (Y[:200], {}, "a batch has 24 pictures and 8 labels: give as many"),
    (Y + 0.5, {}, "labels are numbers like 4.5: give whole ones"),
    (Y, {"counts": [100, 200]}, r"counts has the shape \(2,\), the model 5 outputs: give one number for each"),
])  # fmt: skip
def test_labels_that_are_none_are_named_in_one_line(labels, more, said):
    with pytest.raises(ValueError, match=f"diagnose: {said}") as error:
        diagnose(network(), batches_of(X, labels)[:9], **more)
    assert "\n" not in str(error.value)


def test_counts_are_a_list_and_names_some(capsys):
    found = diagnose(network(), batches_of(X, Y), counts=[0, 0, 0, 0, 9], names=["ant"])
    assert found.measured.names == ["ant", "1", "2", "3", "4"]
    assert found.causes[0].numbers == "all 9 labels are 4, of 5 classes"


# -- what is measured --------------------------------------------------------------------------------------------------


def test_what_tells_pictures_apart_and_what_they_have_in_common():
    layer = Linear(2, 2)
    layer.weight.writable()[...] = [[1, 0], [0, -1]]
    x = np.array([[1, 5], [3, 5]], np.float32)
    found, logits = signals(Sequential(layer, ReLU()), x)
    (signal,) = found.values()
    assert (logits == [[1, 0], [3, 0]]).all()
    assert signal.apart == pytest.approx(math.sqrt(0.5))  # variances 1 and 0
    assert signal.common == pytest.approx(math.sqrt((4 + 25) / 2))
    assert signal.mean == -1.5
    assert signal.dead == 0.5
    assert signal.share == pytest.approx(0.5 / 15)


def test_a_map_is_dead_where_it_answers_at_no_place_of_no_picture():
    layer = Conv2d(1, 3, 1)
    layer.weight.writable()[:, 0, 0, 0] = [1, -1, 0]
    x = np.array([[[[1, 2], [0, 0]]], [[[3, 0], [0, 0]]]], np.float32)
    found, _ = signals(Sequential(layer, ReLU(), Flatten()), x)
    assert found["0"].dead == pytest.approx(2 / 3)


def test_a_layer_may_be_tensors_that_no_module_holds_alone():
    found = report(OfTensors(bias=0.5))
    layers = found.measured.layers
    assert [(layer.name, layer.met, layer.bias) for layer in layers] == [("w1", True, 0.5), ("w2", True, 0.0)]
    net = OfTensors(bias=0.5)
    x = X[:64].reshape(64, -1)
    hidden = x @ net.w1.numpy() + 0.5  # the bias is in it
    assert layers[0].signal.mean == pytest.approx(hidden.mean(), rel=1e-4)
    assert layers[0].signal.dead == (hidden <= 0).all(0).mean()
    assert layers[1].weight == pytest.approx(np.linalg.norm(net.w2.numpy()), rel=1e-5)
    both = Sequential(net, Linear(5, 5))
    assert [name for name, _ in layers_in(both, {"0.w2"})] == ["0.w1", "0.w2", "1"]
    assert [name for name, _ in layers_in(both)] == ["0", "1"]  # none was met by itself


def test_pixels_are_counted():
    x = np.array([[0, 2], [0, 2], [4, 2], [4, 0]], np.float32)
    found = pixels_of(x, np.array([0, 1, 1, 1]))
    assert (found.least, found.greatest, found.mean) == (0, 4, 1.75)
    assert (found.count, found.different, found.conflicts) == (4, 3, 2)
    assert found.apart == pytest.approx(math.sqrt((4 + 0.75) / 2))
    assert found.common == pytest.approx(math.sqrt((4 + 2.25) / 2))


def test_the_order_of_labels():
    mixed = labels_of([np.array([0, 1, 2, 3])] * 6, 4)
    assert mixed.knows == pytest.approx(math.log(4))
    assert mixed.batches[0] == 4
    assert mixed.surprise < 0
    sorted_ = labels_of([np.full(4, k) for k in (0, 0, 1, 1, 2, 2, 3, 3)], 4)
    assert sorted_.batches == (1.0, pytest.approx(4 * (1 - 0.75**4)))
    assert sorted_.surprise > 10
    even = [np.array([0, 1, 2, 3])] * 6  # of χ² 0, where 15 or, of known shares, 18 are expected
    assert labels_of(even, 4).surprise == pytest.approx(-15 / math.sqrt(30))
    assert labels_of(even, 4, np.full(4, 9)).surprise == pytest.approx(-18 / math.sqrt(36))
    one_by_one = labels_of([np.array([k % 4]) for k in range(32)], 4)
    assert (one_by_one.joined, one_by_one.batches[0]) == (8, 4)
    assert labels_of([np.array([0, 0, 0, 1])], 2, np.array([30, 10])).knows == pytest.approx(
        -0.75 * math.log(0.75) - 0.25 * math.log(0.25))  # fmt: skip


def test_each_picture_is_judged_by_all_others():
    """The closed form, against learning 50 times from all but one."""
    x, labels = pictures(classes=2, count=50)
    seen = features(x)
    right = 0
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        inside = (seen - seen.mean(0)) / seen.std(0)  # as the closed form has it: by all pictures
        right += answers(inside[others], labels[others], inside[i : i + 1])[0] == labels[i]
    found = probe(seen, labels)
    assert abs(found.right - right) <= 2
    assert found.right > found.by_chance + 4 * found.spread


def test_a_classifier_is_asked_where_there_are_enough_pictures_of_two_classes():
    x, _ = pictures(count=40)
    for counts, seen in ((16, 16), 32), ((16, 15), 0), ((16, 16, 8), 32):
        found = probe(features(x[: sum(counts)]), np.repeat(np.arange(len(counts)), counts))
        assert (found.count if found else 0) == seen


def test_a_classifier_sees_edges_whichever_way_they_turn():
    rng = np.random.default_rng(0)
    place = np.arange(32)

    def stripes(both):
        angle, waves = rng.uniform(0, np.pi), []
        for turn in (angle, angle + np.pi / 2) if both else (angle,):
            waves.append(np.sin(place[:, None] * np.cos(turn) + place * np.sin(turn) + rng.uniform(0, 6)))
        return np.mean(waves, axis=0) + 0.1 * rng.normal(size=(32, 32))

    labels = np.arange(80) % 2
    x = np.stack([stripes(label)[None] for label in labels])
    assert probe(features(x), labels).right > 70


# -- by itself, and as a command ---------------------------------------------------------------------------------------


def test_a_trainer_that_gets_nowhere_says_why_once_and_goes_on_as_if_it_had_not(tmp_path, capsys, monkeypatch):
    def run(folder):
        net = network(scale=0.05, bias=1.0)
        step = Step(net, SGD(net.named_parameters()))
        Trainer(step, StepSchedule(0.01, ()), batches_of(X, Y), batches_of(X, Y)[:1], tmp_path / folder).fit(21)
        return state(net, step.optimiser)

    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    after = run("a")
    said = capsys.readouterr().err
    assert said.count(f"The loss has stayed at ln({CLASSES}) = {math.log(CLASSES):.3f}, what guessing costs, for "
                      f"{PLATEAU} steps.\nthe signal dies between the layers: what tells pictures apart goes from") == 1
    assert "--recipe small" in said
    monkeypatch.setattr("minicnn.training.diagnosis.Plateau.see", lambda *of: None)
    assert run("b") == after


def test_a_plateau_in_a_warm_up_is_judged_by_the_rate_to_which_it_rises(capsys):
    for rate, said in (0.02, "healthy"), (1e-8, "the rate is too low"):
        net = network()
        plateau = Plateau(Step(net, SGD(net.named_parameters(), 1e-8)))
        for _ in range(PLATEAU):
            plateau.see(math.log(CLASSES), CLASSES, [(X[:24], Y[:24])], rate)
        assert capsys.readouterr().err.splitlines()[1].startswith(said)
        assert plateau.step.optimiser.lr == 1e-8


@pytest.mark.parametrize(("size", "kept"), [(16, 600), (100, 600), (4, 164)])
def test_a_plateau_that_comes_late_is_judged_by_many_batches(monkeypatch, capsys, size, kept):
    """As many as make 600 pictures, of 75 of each at most; of the last 41, which all lay on the plateau."""
    given, steps = [], []
    monkeypatch.setattr("minicnn.training.diagnosis.diagnose", lambda model, batches, *of, **more: given.append(
        [len(labels) for _, labels in batches]) or diagnose(model, batches, *of, **more))  # fmt: skip
    net = network()
    plateau = Plateau(Step(net, SGD(net.named_parameters(), 0.02)))
    for step in range(3 * PLATEAU):
        steps += [step] * (not plateau.said)
        plateau.see(5.0 if step < PLATEAU else math.log(CLASSES), CLASSES, [(X[:size], Y[:size])])
    assert len(given) == 1 and "The loss has stayed at" in capsys.readouterr().err
    assert kept <= sum(given[0]) < kept + min(size, 75) and max(given[0]) == min(size, 75)
    assert 2 * PLATEAU <= steps[-1] < 2.5 * PLATEAU


def test_what_fails_in_measuring_ends_no_run(tmp_path, capsys, monkeypatch):
    def fails(*of, **more):
        raise RuntimeError("no memory is left")

    monkeypatch.setattr("minicnn.training.diagnosis.diagnose", fails)
    net = network(scale=0.05)
    (tmp_path / "run").mkdir()
    step = Step(net, SGD(net.named_parameters()))
    Trainer(step, StepSchedule(0.01, ()), batches_of(X, Y, 8), batches_of(X, Y)[:1], tmp_path / "run").fit(7)
    assert "Why cannot be measured: no memory is left" in capsys.readouterr().err


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The built-in set, a few pictures of it."""
    return built_in_set(tmp_path_factory.mktemp("pictures"), train=20, val=10)


def run_of(folder, drawn, lr, losses=(), shares=(), **more):
    """The folder of a run of a narrow AlexNet, after no step. shares: of lr, the rates of its log. more: settings."""
    training = ImageFolder(drawn / "train")
    statistics = Statistics.of(training)
    config = {"variant": "paper", "width": 1 / 16, "recipe": "small", "seed": 3, "data": str(drawn), "batch_size": 20,
              "lr": lr, "momentum": 0.9, "weight_decay": 0.0005, "version": "0", **more}
    net = alexnet("paper", len(training.classes), width=1 / 16, generator=np.random.default_rng(3))
    RECIPES["small"].start(net, np.random.default_rng(0).normal(size=(8, 3, 224, 224)).astype(np.float32))
    learned = Step(net, RECIPES["small"].optimiser(net)).learned()
    checkpoint.save(folder / "last.safetensors", learned | statistics.arrays(), {
        "config": config, "classes": training.classes, "progress": {"epoch": 0}, "schedule": {"lr": lr}})
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "log.jsonl").write_text("".join(json.dumps({"step": i, "loss": loss, "lr": lr * share}) + "\n"
                                              for i, (loss, share) in enumerate(zip(losses, shares, strict=True))),
                                      encoding="utf-8")
    return folder


@pytest.mark.parametrize("saved", [True, False])
def test_a_run_is_diagnosed_by_its_folder(tmp_path, drawn, capsys, monkeypatch, saved):
    """Also one that ended before it was saved, in its warm-up; by the highest rate."""
    models = []
    monkeypatch.setattr("minicnn.diagnose.diagnose", lambda model, *of, **more: models.append(model) or diagnose(
        model, *of, **more))  # fmt: skip
    folder = run_of(tmp_path, drawn, 1e-9, [2.4, 2.5, 2.3], [0.1, 1.0, 0.01] if saved else [0.01, 0.02, 0.03])
    if not saved:
        (folder / "last.safetensors").unlink()
    assert main(["diagnose", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "first 2.4, last 2.4, now 2." in said
    assert "a.conv1.0" in said
    assert "the rate is too low: 1e-09: " in said
    assert re.search(r"→ --lr 0\.0+1 \(optimiser\.lr\)\n$", said)
    assert ("the network, of other pictures: " in said) == saved
    if not saved:  # drawn as training draws it; pictures give it its scale
        manual_seed(3)
        started = alexnet("paper", 10, width=1 / 16)
        RECIPES["small"].start(started, np.random.default_rng(0).normal(size=(8, 3, 224, 224)).astype(np.float32))
        a, b = (net.fc8.weight.numpy() for net in (started, *models))
        assert (np.sign(a) == np.sign(b)).all()


def test_a_run_from_other_weights_that_saved_none_is_not_diagnosed_as_another(tmp_path, capsys):
    config = {"variant": "paper", "width": 1.0, "recipe": "finetune", "seed": 3, "data": "x", "batch_size": 20}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["diagnose", str(tmp_path)])
    assert "the weights that it started from are not in it" in capsys.readouterr().err


def test_a_run_of_a_net_for_cifar_10_is_diagnosed_too(tmp_path, drawn, monkeypatch):
    """By the middle of each picture, where it is shown parts; once it is saved. As many as were asked for."""
    monkeypatch.setattr("minicnn.diagnose.of_cifar.PICTURES", 20)
    net = CUDA_CONVNETS["layers-19pct-translations"]
    model, (training, _) = cuda_convnet(net, 10, np.random.default_rng(3)), cifar10(drawn)
    net.recipe.start(model, np.zeros((1, 3, 24, 24), np.float32), np.random.default_rng(3))
    config = {"net": "layers-19pct-translations", "data": str(drawn), "seed": 3, "batch_size": 10, "lr": 0.0}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2.3, "lr": 0.0}\n', encoding="utf-8")
    found = of_run(tmp_path)  # before its first checkpoint
    assert [cause.name for cause in found.causes] == ["the rate is 0"]
    for lr, losses, said in (0.001, [2.3026], ""), (10.0, [2.3, 90.0, 1e4, None], "the rate is too high"):
        (tmp_path / "config.json").write_text(json.dumps(config | {"lr": lr}), encoding="utf-8")
        (tmp_path / "log.jsonl").write_text("".join(json.dumps({"step": i, "loss": loss, "lr": lr}) + "\n"
                                                    for i, loss in enumerate(losses)), encoding="utf-8")
        assert "".join(cause.name for cause in of_run(tmp_path).causes) == said
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2.3, "lr": 0.0}\n', encoding="utf-8")
    mean = training.images.mean(0).astype(np.float32)
    checkpoint.save(tmp_path / "last.safetensors", Step(model, net.recipe.optimiser(model)).learned() | {"mean": mean},
                    {"config": config, "classes": training.classes, "progress": {"epoch": 0}})
    found = of_run(tmp_path)
    seen = (training.images - mean)[:, :, 4:28, 4:28]
    assert (found.measured.pixels.least, found.measured.pixels.greatest) == (seen.min(), seen.max())
    assert found.measured.pixels.mean == pytest.approx(0, abs=1e-4)
    assert found.measured.raw.count == found.measured.labels.counts.sum() == 20
    assert len(found.measured.validation[0]) == len(found.measured.by_probe[0]) == 10
    assert [cause.name for cause in found.causes] == ["the rate is 0"]
    assert str(_as_here(Cause("", "", "--lr 1"))).endswith("--lr 1")
    assert str(_as_here(Cause("", "", "--momentum 0.9, or --recipe small"))).endswith(
        "; train_cifar10.py has no --momentum and no --recipe: that is of the net's recipe, in "
        "minicnn.models.cuda_convnet")  # fmt: skip
    (tmp_path / "away").mkdir()
    shutil.copy(tmp_path / "last.safetensors", tmp_path / "away" / "net.safetensors")
    assert [cause.name for cause in of_run(tmp_path / "away" / "net.safetensors").causes] == ["the rate is 0"]
    for other, said in ({**config, "net": "x"}, "knows no net 'x'"), ({"net": "x"}, "it lacks data, batch_size, seed$"):
        (tmp_path / "config.json").write_text(json.dumps(other), encoding="utf-8")
        with pytest.raises(ValueError, match=said):
            of_run(tmp_path)


def test_pictures_are_diagnosed_by_the_default_network(drawn):
    found = of_data(drawn, width=1 / 16)
    assert found.healthy, found
    assert found.measured.raw.count == 20
    assert [layer.name for layer in found.measured.layers][-1] == "fc8"


def test_pictures_that_cannot_be_read_are_said(tmp_path, drawn):
    """All of one class."""
    shutil.copytree(drawn, tmp_path / "data")
    for path in (tmp_path / "data" / "train" / "dots").iterdir():
        path.write_bytes(b"none")
    cause = of_data(tmp_path / "data", width=1 / 16).causes[0]
    assert cause.name == "pictures cannot be read"
    said = re.match(r"2 of 20 that were looked at in .*train, all of dots: .*train.dots.\d+\.jpg: ", cause.numbers)
    assert said, cause.numbers


def test_a_folder_of_pictures_may_hold_settings_of_somebody_elses(tmp_path, drawn, capsys):
    shutil.copytree(drawn, tmp_path / "data")
    (tmp_path / "data" / "config.json").write_text('{"author": "me"}', encoding="utf-8")
    assert of_data(tmp_path / "data", width=1 / 16).healthy
    folder = run_of(tmp_path, drawn, 0.1)
    (folder / "last.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"recipe": "of tomorrow"}), encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["diagnose", str(folder)])
    assert "knows no recipe 'of tomorrow': the run is of version 0" in capsys.readouterr().err


def test_a_warm_up_that_outlasts_the_run_is_a_rate_too_low(tmp_path, drawn):
    for steps, said in (50, ""), (120, "the rate is too low"):
        shares = [i / 1e8 for i in range(steps)]
        assert of_run(run_of(tmp_path, drawn, 0.002, [2.3026] * steps, shares, warm_up=4, epochs=5)).healthy
        report = of_run(run_of(tmp_path, drawn, 0.002, [2.3026] * steps, shares, warm_up=5000, epochs=5))
        assert "".join(cause.name for cause in report.causes) == said


def test_a_run_is_given_alone(tmp_path, drawn, capsys):
    run_of(tmp_path, drawn, 0.1)
    with pytest.raises(SystemExit):
        main(["diagnose", str(tmp_path), "--val", str(drawn / "val")])
    assert "is a run, which knows its pictures: leave --val and --labels out" in capsys.readouterr().err


def test_a_target_that_is_nothing_is_one_line(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "file.safetensors").write_bytes(b"x")
    for target in ("nothing", "run", "file.safetensors"):
        with pytest.raises(SystemExit) as exit:
            main(["diagnose", str(tmp_path / target)])
        assert exit.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
