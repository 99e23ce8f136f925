"""The network in a file that is no run of training, of PyTorch's, Caffe's, ONNX's or our own weights alone, and what is
known there of its classes and of what its pictures go through."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError

from ..data.picture import SIDE
from .alexnet import AlexNet
from .onnx_file import NotOnnx, OnnxGraph, read_onnx
from .onnx_net import OnnxNet
from .variants import VARIANTS, Preprocessing
from .weights import TORCHVISION, WeightsError, read_facts, read_weights

__all__ = ["IN_THE_GRAPH", "Others", "facts_of", "read_others"]

IN_THE_GRAPH = "in the graph"  # stands for the mean where an ONNX file takes it off itself: its images are pixels
CROPS = range(SIDE // 2, SIDE + 1)  # sides of the crop; of a smaller one most of a picture would not be seen
OF_CAFFE = {f"{row}_{kind}_0" for row in TORCHVISION for kind in "wb"}  # the weights of bvlcalexnet-*.onnx


class Others(NamedTuple):
    """classes: their names, None where the file does not say. shown, mean: as of a ``Classifier``; mean None: that of
    the variant, or of a file."""

    net: AlexNet | OnnxNet
    classes: list[str] | None
    shown: Preprocessing
    mean: np.ndarray | None


def read_others(path: str | os.PathLike[str], variant: str | None = None) -> Others:
    """The network, as at test. variant: as of ``read_weights``. An ONNX file that neither we wrote nor Caffe2 does not
    say what its pictures go through: then the one with whose preprocessing it was taught.

    Raises WeightsError, which names the file, for all that is no such file, and where the package onnx is missing.
    """
    path = Path(path)
    try:
        if path.suffix == ".onnx":
            return _of_onnx(read_onnx(path), variant)
        facts = read_facts(path) if path.suffix == ".safetensors" else None
        if facts is None:
            net = read_weights(path, variant)
            return Others(net, None, VARIANTS[net.variant].preprocessing, None)
        shown, mean = _preprocessing(facts), _mean(facts, VARIANTS[facts["variant"]].pixels)
        net = read_weights(path)
        return Others(net, _names(facts, net.classes), shown, mean)
    except OSError as error:
        raise WeightsError(f"cannot load {path}: {error.strerror or error}") from error
    except (ImportError, NotOnnx, SafetensorError, WeightsError) as error:
        words = str(error).removeprefix(f"cannot load {path}: ")
        raise WeightsError(f"cannot load {path}: {words}") from error


def facts_of(classes: list[str], shown: Preprocessing, mean: np.ndarray) -> dict[str, Any]:
    """What ``write_weights`` notes of a ``Classifier``, for ``read_others``."""
    numbers = base64.b64encode(mean.astype("<f4").tobytes()).decode()
    return {"classes": classes, "preprocessing": shown._asdict(), "mean": {"shape": mean.shape, "float32": numbers}}


def _of_onnx(graph: OnnxGraph, variant: str | None) -> Others:
    if graph.producer == "minicnn" and "preprocessing" in graph.facts:
        try:
            facts = {name: json.loads(graph.facts[name]) for name in ("classes", "preprocessing")}
            if facts["preprocessing"]["mean"] != IN_THE_GRAPH:
                raise ValueError(f"the mean is not {IN_THE_GRAPH}")
        except (LookupError, RecursionError, TypeError, ValueError) as error:
            raise WeightsError(f"its metadata are damaged: {error!r:.80}") from error
        net = _for_pictures(graph)
        shown = _preprocessing(facts)._replace(scale=1.0, deviation=(1.0, 1.0, 1.0))
        return Others(net, _names(facts, net.classes), shown, np.zeros((3, 1, 1)))
    variant = variant or ("caffe" if graph.arrays.keys() >= OF_CAFFE else None)
    if variant not in VARIANTS:
        reason = f"there is no variant {variant!r:.40}" if variant else "it does not say what its pictures go through"
        raise WeightsError(f"{reason}: choose the one with whose preprocessing it was taught: {', '.join(VARIANTS)}")
    return Others(_for_pictures(graph, VARIANTS[variant].pixels), None, VARIANTS[variant].preprocessing, None)


def _for_pictures(graph: OnnxGraph, pixels: int | None = None) -> OnnxNet:
    _, *sizes = (size or pixels for size in graph.shape)
    if len(sizes) != 3 or sizes[0] != 3 or sizes[1] != sizes[2] or (sizes[2] or 0) not in CROPS:
        raise WeightsError(f"its input is {graph.shape}: pictures are (N, 3, n, n), of whose {SIDE} pixels the middle "
                           f"n are shown, n from {CROPS[0]} to {CROPS[-1]}")
    net = OnnxNet(graph, pixels)
    if net.nodes and net.nodes[-1].kind in ("Exp", "Sigmoid", "Softmax"):
        raise WeightsError(f"it ends in {net.nodes[-1]}: that gives no logits, of which a softmax makes probabilities")
    if net.classes < 2:
        raise WeightsError(f"it makes {net.classes or 'no'} classes of a picture: give one with two or more")
    return net


def _names(facts: Mapping[str, Any], count: int) -> list[str]:
    names = facts.get("classes")
    if not isinstance(names, list) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise WeightsError(f"it names the classes {names!r:.60}, and has {count}")
    return names


def _preprocessing(facts: Mapping[str, Any]) -> Preprocessing:
    try:
        said = facts["preprocessing"]
        red, green, blue = map(float, said["deviation"])
        shown = Preprocessing(said["channels"], float(said["scale"]), None, (red, green, blue), SIDE, said["fit"],
                              said["filter"])
        if (shown.channels in ("RGB", "BGR") and shown.fit in ("centre", "squash") and said["side"] == SIDE
                and shown.filter in ("bicubic", "bilinear")
                and all(0 < number < math.inf for number in (shown.scale, red, green, blue))):  # fmt: skip
            return shown
    except (LookupError, TypeError, ValueError):
        pass
    raise WeightsError(f"it says of preprocessing {facts.get('preprocessing')!r:.80}, which is not known here")


def _mean(facts: Mapping[str, Any], pixels: int) -> np.ndarray:
    try:
        said = facts["mean"]
        mean = np.frombuffer(base64.b64decode(said["float32"], validate=True), "<f4").reshape(said["shape"])
        if mean.shape in ((3, 1, 1), (3, pixels, pixels)) and np.isfinite(mean).all():
            return mean
    except (LookupError, TypeError, ValueError):
        pass
    raise WeightsError(f"its mean is damaged, or none of ({pixels}, {pixels}) pixels")
