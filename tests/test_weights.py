import functools

import numpy as np
import pytest
from helpers import normal
from safetensors.numpy import save_file
from weights_of_others import caffe_net, torch_archive

from minicnn import Tensor, no_grad
from minicnn.models import VARIANTS
from minicnn.models.weights import TORCHVISION, WeightsError, by_layer, read_weights

DRAWN = normal(10_007).astype(np.float32)  # numbers enough, none of them beside itself in two rows of a product


@functools.cache
def layers_of(variant, classes=7):
    """Random weights of a narrow net in other programs' shapes, of two towers or one."""
    return {row: (np.resize(DRAWN, shape) * np.float32(np.sqrt(2 / np.prod(shape[1:]))),
                  np.resize(DRAWN[::-1], shape[0]) / np.float32(10))
            for row, shape in VARIANTS[variant].shapes(classes, 1 / 16).items()}  # fmt: skip


def as_torchvision(layers):
    return {f"{theirs}.{kind}": array for row, theirs in TORCHVISION.items()
            for kind, array in zip(("weight", "bias"), layers[row], strict=True)}  # fmt: skip


def as_caffe(layers):
    return {row: ("InnerProduct" if row.startswith("fc") else "Convolution", list(pair))
            for row, pair in layers.items()}  # fmt: skip


IMAGES = normal(3, 3, 227, 227).astype(np.float32) * 40 + np.array([30, 0, -30], np.float32).reshape(3, 1, 1)


def logits(net, images):
    with no_grad():
        return net(Tensor(np.ascontiguousarray(images))).numpy()


def close(found, right):
    assert np.abs(found - right).max() < 1e-4 * np.abs(right).max()


# -- a witness of its own: networks in NumPy, in double, as their authors wrote them ----------------------------------


def conv(x, layer, stride=1, padding=0, groups=1):
    w, b = (array.astype(np.float64) for array in layer)
    x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    seen = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    parts = [np.einsum("ncpqrs,kcrs->nkpq", s, k, optimize=True)
             for s, k in zip(np.split(seen, groups, 1), np.split(w, groups), strict=True)]  # fmt: skip
    return np.concatenate(parts, 1) + b[:, None, None]


def relu(x):
    return np.maximum(x, 0)


def pool(x):
    return np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2].max((-2, -1))


def norm(x):
    """Caffe's, over all maps: 1e-4 divided by the 5 of a window."""
    squares = np.pad(x * x, ((0, 0), (2, 2), (0, 0), (0, 0)))
    return x / (1 + 1e-4 / 5 * sum(squares[:, i : i + x.shape[1]] for i in range(5))) ** 0.75


def linear(x, layer):
    w, b = layer
    return x @ w.T.astype(np.float64) + b


def by_torchvision(layers, x):
    x = pool(relu(conv(x, layers["conv1"], 4, 2)))
    x = pool(relu(conv(x, layers["conv2"], 1, 2)))
    for row in ("conv3", "conv4", "conv5"):
        x = relu(conv(x, layers[row], 1, 1))
    x = pool(x).reshape(len(x), -1)
    return linear(relu(linear(relu(linear(x, layers["fc6"])), layers["fc7"])), layers["fc8"])


def by_caffe(layers, x, after=lambda x: pool(norm(x))):
    x = after(relu(conv(x, layers["conv1"], 4)))
    x = after(relu(conv(x, layers["conv2"], 1, 2, 2)))
    x = relu(conv(x, layers["conv3"], 1, 1))
    x = relu(conv(x, layers["conv4"], 1, 1, 2))
    x = pool(relu(conv(x, layers["conv5"], 1, 1, 2))).reshape(len(x), -1)
    return linear(relu(linear(relu(linear(x, layers["fc6"])), layers["fc7"])), layers["fc8"])


def by_caffenet(layers, x):
    return by_caffe(layers, x, lambda x: norm(pool(x)))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvisions_weights_give_its_logits(suffix, tmp_path):
    layers, path = layers_of("torchvision"), tmp_path / f"w{suffix}"
    if suffix == ".pth":
        path.write_bytes(torch_archive(as_torchvision(layers)))
    else:
        save_file(as_torchvision(layers), path)
    net, images = read_weights(path), IMAGES[:, :, :224, :224]
    assert net.variant == "torchvision"
    close(logits(net, images), by_torchvision(layers, images))
    close(logits(net, images[:1]), by_torchvision(layers, images[:1]))


@pytest.mark.parametrize("name, variant, right", [
    ("AlexNet", "caffe", by_caffe), ("CaffeNet", "caffenet", by_caffenet),
])  # fmt: skip
def test_caffes_weights_give_the_logits_of_a_grouped_net(name, variant, right, tmp_path):
    layers, path = layers_of(variant), tmp_path / "net.caffemodel"
    path.write_bytes(caffe_net(as_caffe(layers), older=variant == "caffe", name=name))
    net = read_weights(path)
    assert net.variant == variant
    close(logits(net, IMAGES), right(layers, IMAGES))
    close(logits(net, IMAGES[:1]), right(layers, IMAGES[:1]))
    assert np.abs(logits(net, IMAGES[:1, ::-1]) - logits(net, IMAGES[:1])).max() > 0.1  # colours count


def test_the_witness_says_what_torch_says():
    torch = pytest.importorskip("torch")
    layers = layers_of("caffe")
    w = {row: [torch.from_numpy(array) for array in pair] for row, pair in layers.items()}
    x, functions = torch.from_numpy(IMAGES[:1]), torch.nn.functional
    for row, stride, padding, groups in (("conv1", 4, 0, 1), ("conv2", 1, 2, 2), ("conv3", 1, 1, 1), ("conv4", 1, 1, 2),
                                         ("conv5", 1, 1, 2)):  # fmt: skip
        x = functions.conv2d(x, *w[row], stride, padding, groups=groups).relu()
        if row in ("conv1", "conv2"):
            x = functions.local_response_norm(x, 5, 1e-4, 0.75, 1.0)
        x = functions.max_pool2d(x, 3, 2) if row not in ("conv3", "conv4") else x
    x = x.flatten(1)
    for row in ("fc6", "fc7"):
        x = functions.linear(x, *w[row]).relu()
    close(functions.linear(x, *w["fc8"]).numpy(), by_caffe(layers, IMAGES[:1]))


@pytest.mark.parametrize("variant, count", [("blueprint", 60_965_224), ("torchvision", 61_100_840)])
def test_shapes_are_those_of_the_published_nets(variant, count):
    shapes = VARIANTS[variant].shapes()
    assert sum(np.prod(shape) + shape[0] for shape in shapes.values()) == count
    assert shapes["conv2"] == ((256, 48, 5, 5) if variant == "blueprint" else (192, 64, 5, 5))


@pytest.mark.parametrize("variant", ["blueprint", "torchvision"])
def test_by_layer_is_the_way_back(variant, tmp_path):
    layers = layers_of(variant)
    save_file(as_torchvision(layers), tmp_path / "w.safetensors")
    net = read_weights(tmp_path / "w.safetensors", variant)
    for row, pair in by_layer(net).items():
        for found, right in zip(pair, layers[row], strict=True):
            np.testing.assert_array_equal(found, right)


def changed(**arrays):
    """Small layers of which some are others."""
    return {**as_torchvision({row: (np.zeros((2, 2), np.float32), np.zeros(2, np.float32)) for row in TORCHVISION}),
            **{name.replace("__", "."): array for name, array in arrays.items()}}  # fmt: skip


@pytest.mark.parametrize("arrays, match", [
    ({"x": np.zeros(3, np.float32)}, "it is no AlexNet: conv1, conv2, .*, fc8 lack weights or biases"),
    (changed(), r"conv1 is float32 \(2, 2\), the variant torchvision has floats \(2, 3, 11, 11\)"),
    (changed(features__0__weight=np.zeros((64, 3, 11, 11), np.int64), features__0__bias=np.zeros(64, np.float32)),
     r"conv1 is int64 \(64, 3, 11, 11\)"),
    (changed(features__0__weight=np.full((64, 3, 11, 11), np.nan, np.float32),
             features__0__bias=np.zeros(64, np.float32)), "conv1 holds numbers that are not finite"),
    (changed(classifier__6__bias=np.zeros(1, np.float32)), "its last layer has 1 outputs"),
])  # fmt: skip
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_alexnet_is_refused_before_a_network_is_made(arrays, match, suffix, tmp_path, monkeypatch):
    monkeypatch.setattr("minicnn.models.weights.alexnet", None)
    path = tmp_path / f"w{suffix}"
    save_file(arrays, path) if suffix == ".safetensors" else path.write_bytes(torch_archive(arrays))
    with pytest.raises(WeightsError, match=rf"cannot load .*w\{suffix}: {match}"):
        read_weights(path)


def test_files_that_are_not_there_or_something_else(tmp_path):
    for name in ("w.pth", "w.safetensors", "w.caffemodel"):
        with pytest.raises(WeightsError, match=f"cannot load .*{name}: No such file"):
            read_weights(tmp_path / name)
        (tmp_path / name).write_bytes(b"GIF89a, and no weights at all")
        with pytest.raises(WeightsError, match=f"cannot load .*{name}: "):
            read_weights(tmp_path / name)
    (tmp_path / "w.caffemodel").write_bytes(caffe_net(as_caffe({"fc8": (np.zeros((2, 2)), np.zeros(2))})))
    with pytest.raises(WeightsError, match="it calls itself 'a net', which does not say what AlexNet it is: choose"):
        read_weights(tmp_path / "w.caffemodel")
    with pytest.raises(WeightsError, match="there is no variant 'vgg'"):
        (tmp_path / "w.pth").write_bytes(torch_archive(changed()))
        read_weights(tmp_path / "w.pth", "vgg")
