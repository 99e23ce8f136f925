"""AlexNet beside PyTorch: the same weights and images give the same logits, gradients and weights after training."""

from types import SimpleNamespace

import numpy as np
import pytest
from alexnet_twins import ORDER, PIXELS, batch, double, gradients, joined, masks, one_network

from minicnn import manual_seed, no_grad, ops
from minicnn.models import alexnet
from minicnn.ops.window import sides
from minicnn.optim import SGD

torch = pytest.importorskip("torch")
F = torch.nn.functional


def same(ours, theirs, tolerance):
    """Equal by name, to ``tolerance`` of the largest."""
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        expected = theirs[name].detach().numpy()
        assert array.shape == expected.shape
        distance = np.abs(array - expected).max() / np.abs(expected).max()
        assert distance <= tolerance, f"{name}: {distance:.1e} of the largest apart"


def conv2d(x, w, b, stride, padding, groups):
    (before, after), _ = sides("", padding)
    return F.conv2d(F.pad(x, (before, after, before, after)), w, b, stride, groups=groups)


THROUGH_TORCH = SimpleNamespace(
    conv2d=conv2d, relu=torch.relu, linear=F.linear, pool=lambda x: F.max_pool2d(x, 3, 2),
    flatten=lambda x: x.flatten(1), concatenate=lambda xs: torch.cat(xs, 1),
    norm=lambda x, alpha, k: F.local_response_norm(x, 5, 5 * alpha, 0.75, k),  # which divides α by the size
    map_norm=lambda x: x / (1 + 1e-3 * F.avg_pool2d(x * x, 5, 1, 2)) ** 0.75)  # the mean over 25, zeros outside


def logits(w, x, masks, variant):
    """AlexNet as one network in PyTorch."""
    return one_network(THROUGH_TORCH, w, x, [torch.tensor(mask, dtype=x.dtype) for mask in masks], variant)


def leaves(net):
    return {name: torch.tensor(w, requires_grad=True) for name, w in joined(net.state_dict()).items()}


def test_logits_and_gradients_at_full_width():
    """In double precision: in single, two pixels of a pooling window may be equal but for rounding, and then the
    gradient goes to the one here and to the other there."""
    manual_seed(0)
    net, (images, labels) = double(alexnet("blueprint", classes=10)), batch(1)
    w = leaves(net)
    theirs = logits(w, torch.tensor(images), masks(net, len(images)), "blueprint")
    ours = net(images)
    same({"logits": ours.numpy()}, {"logits": theirs}, 1e-10)
    ops.cross_entropy(ours, labels).backward()
    F.cross_entropy(theirs, torch.tensor(labels)).backward()
    same(joined(gradients(net)), {name: tensor.grad for name, tensor in w.items()}, 1e-10)


@pytest.mark.parametrize("variant", ["blueprint", "source2012", "caffe", "torchvision"])
def test_weights_after_five_steps_of_the_paper_s_rule(variant):
    """In double precision, with dropout, and a lower rate from the third step on."""
    manual_seed(0)
    net, (images, labels) = double(alexnet(variant, classes=10, width=1 / 8)), batch(2, pixels=PIXELS[variant])
    w = leaves(net)
    v = {name: torch.zeros_like(tensor) for name, tensor in w.items()}
    optimiser = SGD(net.named_parameters(), lr=0.01)
    for step in range(5):
        optimiser.lr = 0.01 if step < 2 else 0.001
        loss = F.cross_entropy(logits(w, torch.tensor(images), masks(net, len(images)), variant), torch.tensor(labels))
        for (name, tensor), g in zip(w.items(), torch.autograd.grad(loss, list(w.values())), strict=True):
            v[name] = 0.9 * v[name] - 0.0005 * optimiser.lr * tensor - optimiser.lr * g
            w[name] = (tensor + v[name]).detach().requires_grad_()
        optimiser.zero_grad()
        ops.cross_entropy(net(images), labels).backward()
        optimiser.step()
    same(joined(net.state_dict()), w, 1e-10)
    same(joined(optimiser.state_dict()), v, 1e-10)


@pytest.mark.parametrize("inverted", [True, False])
def test_logits_at_test_in_single_precision(inverted):
    """Dropout does nothing at test, or halves in the paper's form."""
    manual_seed(0)
    net, (images, _) = alexnet(classes=10, width=1 / 2, inverted_dropout=inverted).eval(), batch(2, np.float32)
    scale = 1.0 if inverted else 0.5
    with torch.no_grad():
        theirs = logits(leaves(net), torch.tensor(images), (scale, scale), "blueprint")
    same({"logits": net(images).numpy()}, {"logits": theirs}, 1e-5)


@pytest.mark.parametrize("variant", ORDER)
def test_logits_of_every_variant_at_full_width_in_single_precision(variant):
    manual_seed(0)
    net, (images, _) = alexnet(variant).eval(), batch(1, np.float32, PIXELS[variant])
    images *= 50  # as large as pixels are, so that normalisation does something
    with torch.no_grad(), no_grad():
        theirs = logits(leaves(net), torch.tensor(images), (1.0, 1.0), variant)
        same({"logits": net(images).numpy()}, {"logits": theirs}, 1e-4)


def test_torchvision_s_own_layers():
    """As torchvision builds them, weights by its names: from features.0 to classifier.6."""
    manual_seed(0)
    net, nn = alexnet("torchvision", classes=10).eval(), torch.nn
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(),
        nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2))
    classifier = nn.Sequential(nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096),
                               nn.ReLU(), nn.Linear(4096, 10))
    theirs = nn.ModuleDict({"features": features, "classifier": classifier}).eval()
    ours = [p.numpy() for p in net.parameters()]
    theirs.load_state_dict({name: torch.tensor(p) for name, p in zip(theirs.state_dict(), ours, strict=True)})
    images, _ = batch(2, np.float32)
    with torch.no_grad(), no_grad():
        expected = classifier(nn.AdaptiveAvgPool2d(6)(features(torch.tensor(images))).flatten(1))
        same({"logits": net(images).numpy()}, {"logits": expected}, 1e-4)
