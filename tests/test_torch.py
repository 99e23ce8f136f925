"""AlexNet beside PyTorch: the same weights and images give the same logits, gradients and weights after training."""

import numpy as np
import pytest
from alexnet_twins import CONVOLUTIONS, NORMALISED, POOLED, batch, double, gradients, joined, masks

from minicnn import manual_seed, ops
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


def logits(w, x, masks, variant):
    """AlexNet as one network in PyTorch."""
    for name, settings in CONVOLUTIONS.items():
        (before, after), _ = sides("", settings["padding"])
        x = F.pad(x, (before, after, before, after))
        x = F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **(settings | {"padding": 0})).relu()
        if name in NORMALISED[variant]:  # inside each half; PyTorch divides α by the size
            x = torch.cat([F.local_response_norm(half, 5, 5 * 1e-4, 0.75, 2.0) for half in x.chunk(2, dim=1)], dim=1)
        if name in POOLED:
            x = F.max_pool2d(x, 3, 2)
    x = x.flatten(1)
    for name, mask in zip(("fc6", "fc7"), masks, strict=True):
        x = F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"]).relu() * torch.tensor(mask, dtype=x.dtype)
    return F.linear(x, w["fc8.weight"], w["fc8.bias"])


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


@pytest.mark.parametrize("variant", NORMALISED)
def test_weights_after_five_steps_of_the_paper_s_rule(variant):
    """In double precision, with dropout, and a lower rate from the third step on."""
    manual_seed(0)
    net, (images, labels) = double(alexnet(variant, classes=10, width=1 / 8)), batch(2)
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
