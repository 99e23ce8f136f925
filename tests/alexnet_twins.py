"""AlexNet as one network, written once more from what was published, and what it takes to hold the towers against it.

A convolution with groups=2 is two towers that do not see each other, the kernels of tower b after those of tower a. So
what the towers hold, side by side, is what the one network holds. It runs through the engine's ops, through plain
NumPy, each op written from its formula, and in test_torch.py through PyTorch.
"""

from types import SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minicnn import Tensor, nn, ops

ROUNDED_UP = ((0, 3), (0, 3))  # three zeros to the right and below make 55 places of 224 pixels
CONVOLUTIONS = {
    "conv1": {"stride": 4, "padding": ROUNDED_UP},
    "conv2": {"padding": 2, "groups": 2},
    "conv3": {"padding": 1},
    "conv4": {"padding": 1, "groups": 2},
    "conv5": {"padding": 1, "groups": 2},
}
ORDER = {  # what follows conv1, conv2, conv5
    "blueprint": ("relu norm pool", "relu norm pool", "relu norm pool"),
    "paper": ("relu norm pool", "relu norm pool", "relu pool"),
    "source2012": ("norm pool relu", "relu norm map-norm pool", "pool relu"),
    "caffe": ("relu norm pool", "relu norm pool", "relu pool"),
    "caffenet": ("relu pool norm", "relu pool norm", "relu pool"),
    "torchvision": ("relu pool", "relu pool", "relu pool"),
}
NORM = {  # α as published, whether it is divided by the window of 5, k, and over how many maps a window may reach
    "blueprint": (1e-4, False, 2.0, "half"), "paper": (1e-4, False, 2.0, "half"),
    "source2012": (1e-4, True, 2.0, "half"), "caffe": (1e-4, True, 1.0, "all"), "caffenet": (1e-4, True, 1.0, "all"),
}  # fmt: skip
PIXELS = dict.fromkeys(ORDER, 224) | {"caffe": 227, "caffenet": 227}


def convolution(variant, name):
    """The settings of a convolution of the one network."""
    settings = {"stride": 1, "groups": 1} | CONVOLUTIONS[name]
    if name == "conv1":
        settings["padding"] = {"caffe": 0, "caffenet": 0, "torchvision": 2}.get(variant, ROUNDED_UP)
    return settings | ({"groups": 1} if variant == "torchvision" else {})


def after(variant, name):
    """The words of what follows a convolution."""
    return dict(zip(("conv1", "conv2", "conv5"), ORDER[variant], strict=True)).get(name, "relu").split()


def one_network(through, w, x, masks, variant):
    """The logits, by the ops of ``through``. masks: of dropout at fc6 and fc7."""
    def norm(x):
        alpha, divided, k, reach = NORM[variant]
        half = x.shape[1] // (2 if reach == "half" else 1)
        parts = [x[:, :half], x[:, half:]][:2 if reach == "half" else 1]
        return through.concatenate([through.norm(part, alpha / 5 if divided else alpha, k) for part in parts])

    steps = {"relu": through.relu, "pool": through.pool, "norm": norm, "map-norm": through.map_norm}
    for name in CONVOLUTIONS:
        x = through.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **convolution(variant, name))
        for word in after(variant, name):
            x = steps[word](x)
    x = through.flatten(x)
    for name, mask in zip(("fc6", "fc7"), masks, strict=True):
        x = x * mask if variant == "torchvision" else x
        x = through.relu(through.linear(x, w[f"{name}.weight"], w[f"{name}.bias"]))
        x = x if variant == "torchvision" else x * mask
    return through.linear(x, w["fc8.weight"], w["fc8.bias"])


THROUGH_OPS = SimpleNamespace(
    conv2d=ops.conv2d, relu=ops.relu, pool=ops.max_pool2d, flatten=ops.flatten, linear=ops.linear,
    concatenate=lambda xs: ops.concatenate(*xs, axis=1),
    norm=lambda x, alpha, k: ops.local_response_norm(x, size=5, alpha=alpha, beta=0.75, k=k),
    map_norm=lambda x: ops.map_response_norm(x, size=5, alpha=1e-3 / 25, beta=0.75, k=1.0))


# -- plain NumPy -------------------------------------------------------------------------------------------------------


def conv2d(x, w, b, stride, padding, groups):
    """y[n, k, p, q] = b[k] + Σ w[k, c, r, s] · x[n, c, p · stride + r, q · stride + s], over the channels of a group"""
    around = padding if isinstance(padding, tuple) else ((padding, padding),) * 2
    x = np.pad(x, ((0, 0), (0, 0), *around))
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    parts = [np.einsum("ncpqrs,kcrs->nkpq", *part, optimize=True)
             for part in zip(np.split(windows, groups, 1), np.split(w, groups), strict=True)]
    return np.concatenate(parts, 1) + b[:, None, None]


def local_response_norm(x, alpha, k):
    """y[c] = x[c] / (k + α Σ x[j]²)^¾, over the channels j with |j − c| at most 2"""
    squares = [np.sum(x[:, max(0, c - 2):c + 3] ** 2, 1) for c in range(x.shape[1])]
    return x / (k + alpha * np.stack(squares, 1)) ** 0.75


def map_response_norm(x):
    """y[p, q] = x[p, q] / (1 + 10⁻³ / 25 · Σ x[i, j]²)^¾, over 5 × 5 places about (p, q)"""
    squares = sliding_window_view(np.pad(x**2, ((0, 0), (0, 0), (2, 2), (2, 2))), (5, 5), axis=(2, 3)).sum((-2, -1))
    return x / (1 + 1e-3 / 25 * squares) ** 0.75


IN_NUMPY = SimpleNamespace(
    conv2d=conv2d, norm=local_response_norm, map_norm=map_response_norm, relu=lambda x: np.maximum(x, 0),
    pool=lambda x: sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2].max((-2, -1)),
    flatten=lambda x: x.reshape(len(x), -1), linear=lambda x, w, b: x @ w.T + b,
    concatenate=lambda xs: np.concatenate(xs, 1))


# -- towers and one network --------------------------------------------------------------------------------------------


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
        if name.startswith("a.") and not name.endswith("counter"):
            _, row, _, kind = name.split(".")
            other = f"b{name[1:]}"
            one[f"{row}.{kind}"] = np.concatenate([array, arrays[other]]) if other in arrays else array
    return one


def gradients(model):
    return {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}


def masks(net, images):
    """What dropout will do next at fc6 and fc7, over the units of all towers."""
    for name in ("fc6", "fc7"):
        rows = [getattr(tower, name).layers for tower in net.towers()]
        (dropout,), (linear,) = ([layer for layer in rows[0] if isinstance(layer, kind)]
                                 for kind in (nn.Dropout, nn.Linear))
        outputs, inputs = linear.weight.shape
        units = inputs if rows[0][0] is dropout else outputs * len(rows)
        yield ops.dropout(np.ones((images, units)), dropout.counter.numpy()).numpy()


def batch(images, dtype=np.float64, pixels=224):
    """(images, labels of ten classes)"""
    random = np.random.default_rng(0)
    return random.standard_normal((images, 3, pixels, pixels)).astype(dtype), random.integers(0, 10, images)
