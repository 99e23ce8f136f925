"""What it takes to hold AlexNet's two towers against one network of the same weights.

A convolution with groups=2 is two towers that do not see each other, the kernels of tower b after those of tower a. So
what the towers hold, side by side, is what the one network holds.
"""

import numpy as np

from minicnn import Tensor, ops
from minicnn.models import VARIANTS

CONVOLUTIONS = {  # padding: three zeros to the right and below make 55 places of 224 pixels
    "conv1": {"stride": 4, "padding": ((0, 3), (0, 3))},
    "conv2": {"padding": 2, "groups": 2},
    "conv3": {"padding": 1},
    "conv4": {"padding": 1, "groups": 2},
    "conv5": {"padding": 1, "groups": 2},
}
POOLED = ["conv1", "conv2", "conv5"]
NORMALISED = {variant: list(settings["norm_after"]) for variant, settings in VARIANTS.items()}


def double(model):
    """The model, its parameters now in float64."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor) and value.requires_grad:
                setattr(module, name, Tensor(value, dtype=np.float64, requires_grad=True, device=value.device))
    return model


def joined(arrays):
    """Weights, gradients or velocities of the towers, by name, as the one network has them."""
    one = {name: array for name, array in arrays.items() if name.startswith("fc8.")}
    for name, array in arrays.items():
        tower, _, rest = name.partition(".")
        if tower == "a" and not rest.endswith("counter"):
            one[rest.replace(".0.", ".")] = np.concatenate([array, arrays[f"b.{rest}"]])
    return one


def gradients(model):
    return {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}


def masks(net, images):
    """What dropout will do next to fc6 and to fc7, over the units of both towers."""
    for row in (net.a.fc6, net.a.fc7):
        linear, _, dropout = row.layers
        counter = dropout.counter.numpy()
        yield ops.dropout(np.ones((images, 2 * linear.weight.shape[0])), counter).numpy()


def batch(images, dtype=np.float64):
    """(images, labels of ten classes)"""
    random = np.random.default_rng(0)
    return random.standard_normal((images, 3, 224, 224)).astype(dtype), random.integers(0, 10, images)
