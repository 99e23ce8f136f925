"""Weights of other programs, brought into the towers of an AlexNet, and back.

Elsewhere a layer is one array, (kernels, inputs of a group, rows, columns); here each tower has its share of the
kernels, tower a the first half. What a kernel sees needs no cutting: in a grouped convolution these are the maps of its
own tower, and where it sees both they lie side by side, those of a first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..files import written_aside
from .alexnet import AlexNet, alexnet
from .caffe_file import NotCaffe, read_caffe
from .saved import Undrawn
from .torch_file import NotTorch, read_torch
from .variants import VARIANTS

__all__ = ["TORCHVISION", "WeightsError", "by_layer", "read_facts", "read_weights", "write_weights"]

FACTS = "minicnn.weights"  # beside the arrays: what must be known of them, as JSON

# torchvision's names of our rows
TORCHVISION = {"conv1": "features.0", "conv2": "features.3", "conv3": "features.6", "conv4": "features.8",
               "conv5": "features.10", "fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}
CAFFE = {"AlexNet": "caffe", "CaffeNet": "caffenet"}  # what the released nets call themselves

Layers = dict[str, tuple[np.ndarray, np.ndarray]]
"""(weights, biases) of each row that has some."""


class WeightsError(ValueError):
    """A file of weights that cannot be read, or whose weights are those of no AlexNet that is known."""


def read_weights(path: str | os.PathLike[str], variant: str | None = None) -> AlexNet:
    """The network whose weights are in a file of PyTorch's (.pth, .pt, .safetensors, with torchvision's names), of
    Caffe's (.caffemodel) or of ``write_weights``, as at test.

    variant: by itself "torchvision", and where a file says what it is, that. Narrower nets are read, too.
    Raises WeightsError, which names the file, for all that is no such file, and where its shapes are another network's.
    """
    path = Path(path)
    try:
        if path.suffix == ".caffemodel":
            variant, layers = _of_caffe(path, variant)
        elif facts := read_facts(path) if path.suffix == ".safetensors" else None:
            variant, layers = facts["variant"], _of_ours(path, facts["variant"])
            return _network(variant, layers, facts["width"], facts["inverted_dropout"])
        else:
            variant, layers = variant or "torchvision", _of_torchvision(path)
        return _network(variant, layers)
    except OSError as error:
        raise WeightsError(f"cannot load {path}: {error.strerror or error}") from error
    except (NotTorch, NotCaffe, SafetensorError, TypeError, WeightsError) as error:
        raise WeightsError(f"cannot load {path}: {error}") from error


def by_layer(net: AlexNet) -> Layers:
    """The weights and biases of a network as other programs have them: the towers' shares one below the other."""
    state = {name: parameter.numpy() for name, parameter in net.named_parameters()}
    return {row: (np.concatenate([state[f"{place}.weight"] for place in places]),
                  np.concatenate([state[f"{place}.bias"] for place in places]))
            for row, places in _places(net.variant).items()}  # fmt: skip


def write_weights(net: AlexNet, path: str | os.PathLike[str], facts: Mapping[str, Any]) -> None:
    """Write the weights alone as .safetensors, whole or not at all: with torchvision's names where the variant is
    theirs, else with ours. facts: what else ``read_facts`` is to find, as JSON. Raises OSError where that fails.

    Dropout that is not inverted is a factor at test, which PyTorch's is not: with their names it is in the weights.
    """
    theirs = net.variant == "torchvision"
    if theirs:
        arrays = {f"{TORCHVISION[row]}.{kind}": array for row, pair in by_layer(net).items()
                  for kind, array in zip(("weight", "bias"), pair, strict=True)}  # fmt: skip
        for row in ("fc6", "fc7") if not net.inverted_dropout else ():
            arrays[f"{TORCHVISION[row]}.weight"] *= np.float32(0.5)
    else:
        arrays = {name: parameter.numpy() for name, parameter in net.named_parameters()}
    known = {"variant": net.variant, "width": net.width, "inverted_dropout": net.inverted_dropout or theirs}
    with written_aside(Path(path)) as aside:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, aside,
                  {"format": "pt", FACTS: json.dumps({**facts, **known})})


# -- files -------------------------------------------------------------------------------------------------------------


def read_facts(path: Path) -> dict[str, Any] | None:
    """What ``write_weights`` noted beside the weights; None in others' files.

    Raises WeightsError where it is damaged, SafetensorError for what is no .safetensors, OSError where it cannot be
    read.
    """
    path.open("rb").close()  # says better than the library why a file cannot be read
    with safe_open(path, "numpy", backend="pread") as file:
        text = (file.metadata() or {}).get(FACTS)
    if text is None:
        return None
    try:
        facts = json.loads(text)
        right = (facts["variant"] in VARIANTS and isinstance(facts["inverted_dropout"], bool)
                 and isinstance(facts["width"], (int, float)) and 0 < facts["width"] < 100)  # fmt: skip
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise WeightsError(f"what it says of its weights is damaged: {error!r:.80}") from error
    if not right:
        raise WeightsError(f"it says that its weights are of {facts['variant']!r:.40}, width {facts['width']!r:.40}, "
                           f"inverted {facts['inverted_dropout']!r:.40}: known variants are {', '.join(VARIANTS)}")
    return dict(facts)


def _of_ours(path: Path, variant: str) -> Layers:
    if variant == "torchvision":
        return _of_torchvision(path)
    with safe_open(path, "numpy", backend="pread") as file:
        there = set(file.keys())

        def joined(row: str, places: list[str], kind: str) -> np.ndarray | None:
            names = [f"{place}.{kind}" for place in places]
            shares = [file.get_tensor(name) for name in names if name in there]
            if len({share.shape for share in shares}) > 1 or any(not share.ndim for share in shares):
                raise WeightsError(f"{row} is {' and '.join(str(share.shape) for share in shares)} in its towers")
            return np.concatenate(shares) if len(shares) == len(names) else None

        return _all_of({row: [joined(row, places, kind) for kind in ("weight", "bias")]
                        for row, places in _places(variant).items()})  # fmt: skip


def _of_torchvision(path: Path) -> Layers:
    arrays: Mapping[str, np.ndarray]
    if path.suffix == ".safetensors":
        with safe_open(path, "numpy", backend="pread") as file:
            wanted = {f"{theirs}.{kind}" for theirs in TORCHVISION.values() for kind in ("weight", "bias")}
            arrays = {name: file.get_tensor(name) for name in wanted & set(file.keys())}
    else:
        arrays = read_torch(path)
    return _all_of({row: [arrays.get(f"{theirs}.{kind}") for kind in ("weight", "bias")]
                    for row, theirs in TORCHVISION.items()})  # fmt: skip


def _of_caffe(path: Path, variant: str | None) -> tuple[str, Layers]:
    name, layers = read_caffe(path)
    if not (variant := variant or CAFFE.get(name)):
        raise WeightsError(f"it calls itself {name!r:.60}, which does not say what AlexNet it is: choose the variant, "
                           f"{' or '.join(CAFFE.values())}")
    blobs = {layer.name: layer.blobs for layer in layers}
    return variant, _all_of({row: blobs.get(row, []) for row in TORCHVISION})


def _all_of(found: Mapping[str, Iterable[np.ndarray | None]]) -> Layers:
    layers = {row: tuple(array for array in arrays if array is not None) for row, arrays in found.items()}
    if lacking := [row for row, arrays in layers.items() if len(arrays) != 2]:
        raise WeightsError(f"it is no AlexNet: {', '.join(lacking)} {'lack' if len(lacking) > 1 else 'lacks'} weights "
                           "or biases")
    return {row: (weights, biases) for row, (weights, biases) in layers.items()}


# -- towers ------------------------------------------------------------------------------------------------------------


def _network(variant: str, layers: Layers, width: float | None = None, inverted_dropout: bool = True) -> AlexNet:
    if variant not in VARIANTS:
        raise WeightsError(f"there is no variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    classes, kernels = (len(layers[row][1]) for row in ("fc8", "conv1"))
    if classes < 2:
        raise WeightsError(f"its last layer has {classes} outputs: it tells nothing apart")
    width = width or kernels / VARIANTS[variant].shapes()["conv1"][0]
    for row, shape in VARIANTS[variant].shapes(classes, width).items():
        for array, right in zip(layers[row], (shape, shape[:1]), strict=True):
            if array.shape != right or array.dtype.kind != "f":
                raise WeightsError(f"{row} is {array.dtype} {array.shape}, the variant {variant} has floats {right}")
            if not np.isfinite(array).all():
                raise WeightsError(f"{row} holds numbers that are not finite")
    net = alexnet(variant, classes, width=width, inverted_dropout=inverted_dropout, generator=Undrawn())
    state = {name: array for name, array in net.state_dict().items() if name.endswith("counter")}
    for row, places in _places(variant).items():
        for kind, array in zip(("weight", "bias"), layers[row], strict=True):
            for place, share in zip(places, np.split(array, len(places)), strict=True):
                state[f"{place}.{kind}"] = share.astype(np.float32, copy=False)
    net.load_state_dict(state)
    net.eval()
    return net


def _places(variant: str) -> dict[str, list[str]]:
    """The names of the layers, one for each tower, that are one layer elsewhere."""
    places = {}
    for row in VARIANTS[variant].rows:
        words = row.layers.split()
        for word in {"conv", "linear"} & set(words):
            places[row.name] = [f"{tower}.{row.name}.{words.index(word)}" for tower in "ab"[: VARIANTS[variant].towers]]
    return places | {"fc8": ["fc8"]}
