"""A trained network that can be asked what is in a picture."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image
from safetensors import safe_open

from ..checkpoint import MARK
from ..data.archive import Member
from ..data.augment import central_crops
from ..data.picture import SIDE, read_picture, square
from ..data.statistics import Statistics
from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn.hooks import eval_mode
from ..ops import softmax
from . import saved
from .alexnet import AlexNet
from .caffe_file import NotCaffe, read_caffe_mean
from .features import outputs_of
from .onnx_net import OnnxNet
from .others import read_others
from .variants import VARIANTS, Preprocessing
from .weights import WeightsError

__all__ = ["Answer", "Classifier", "load", "middle", "pretrained"]

AT_ONCE = 64  # pictures, of which many go through the network sooner than one by one
OWN_WEIGHTS = Path(__file__).with_name("alexnet-cifar10.safetensors")  # written by benchmarks/ship_net.py
OTHERS = (".pth", ".pt", ".bin", ".caffemodel", ".onnx")  # besides .safetensors, which is ours as well
# Of the training set of ILSVRC 2012, blue, green and red: the mean of Caffe's mean picture over all its pixels.
MEAN = np.array([104.00698793, 116.66876762, 122.67891434])

Picture: TypeAlias = "str | os.PathLike[str] | Member | bytes | Image.Image | np.ndarray"
"""A file, a picture in an archive, what a file holds, an image of Pillow's, or an array of bytes (rows, columns, 3),
RGB, or (rows, columns)."""


class Answer(NamedTuple):
    name: str
    probability: float


class Classifier:
    """A network as at test, and what must be known to ask it; see ``load``.

    net: the network. classes: the names of its outputs, in their order. prepare: makes of pictures (256, 256, 3), RGB
    bytes, what the network sees, (N, 3, pixels, pixels). shown: what that is, of a square, (pixels · scale − mean) /
    deviation; mean: for every pixel of the crop, or one of each channel. path: the file of its weights. statistics: of
    the pictures that a run of ours was shown; facts: what it says of itself, see ``saved.read``. Others' have neither.
    """

    def __init__(self, net: AlexNet | OnnxNet, classes: Sequence[str],
                 prepare: Callable[[Sequence[np.ndarray]], np.ndarray], path: Path, shown: Preprocessing,
                 mean: np.ndarray, statistics: Statistics | None = None, facts: Mapping[str, Any] | None = None):
        self.net, self.classes, self.prepare, self.path = net, list(classes), prepare, path
        self.shown, self.mean, self.statistics, self.facts = shown, mean, statistics, dict(facts or {})

    def classify(self, picture: Picture | Sequence[Picture], top: int = 5) -> Any:
        """The most probable classes of a picture, as [Answer(name, probability), ...], the first the most probable.

        picture: a file, an image of Pillow's or an array of bytes; or a list of these, for which there is a list of
        such lists. Raises BadPicture where a file holds none, TypeError and ValueError for other values.
        """
        pictures = _list(picture)
        scores = self.scores(pictures)  # differ where probabilities are rounded to 0
        answers = [[Answer(self.classes[i], float(p[i])) for i in np.argsort(-row, kind="stable")[:top]]
                   for row, p in zip(scores, softmax(Tensor(scores)).numpy(), strict=True)]  # fmt: skip
        return answers if pictures is picture else answers[0]

    def probabilities(self, pictures: Sequence[Picture]) -> np.ndarray:
        """The probability of each class for each picture: (N, classes)."""
        return softmax(Tensor(self.scores(pictures))).numpy()

    def scores(self, pictures: Sequence[Picture]) -> np.ndarray:
        """What the last layer gives, of which softmax makes the probabilities: (N, classes)."""
        parts = [np.zeros((0, len(self.classes)), np.float32)]
        for start in range(0, len(pictures), AT_ONCE):
            with no_grad(), eval_mode(self.net):
                parts.append(self.net(Tensor(self._seen(pictures[start : start + AT_ONCE]))).numpy())
        return np.concatenate(parts)

    def features(self, picture: Picture | Sequence[Picture], layer: str = "fc7") -> np.ndarray:
        """What a row of the network gives for a picture, such as the 4,096 numbers of fc7, by which pictures can be
        compared (§6.1: those that lie near each other show like things). The towers' lie side by side; those of conv1
        to conv4 have the shape (maps, rows, columns).

        picture: as in ``classify``; for a list there is one more axis, in front. layer: of a network that was read from
        ONNX the name of a value in its graph, see ``OnnxNet.layers``.
        Raises ValueError where there is no such row or value.
        """
        if isinstance(self.net, OnnxNet):
            with no_grad():
                values = [self.net.value(self.prepare([self.read(one)]), layer).numpy()[0] for one in _list(picture)]
            return np.stack(values) if _list(picture) is picture else values[0]
        rows = [row.name for row in VARIANTS[self.net.variant].rows]
        if layer not in rows:
            raise ValueError(f"features: there is no row {layer!r:.40}: choose one of {', '.join(rows)}")
        pictures, found = _list(picture), []
        for start in range(0, len(pictures), AT_ONCE):
            found.append(outputs_of(self.net, Tensor(self._seen(pictures[start : start + AT_ONCE])), layer))
        every = np.concatenate(found)
        return every if pictures is picture else every[0]

    def read_all(self, pictures: Sequence[Picture]) -> list[np.ndarray | Exception]:
        """``read`` of each, on all cores; for one that is none, what that raises."""

        def one(picture: Picture) -> np.ndarray | Exception:
            try:
                return self.read(picture)
            except Exception as error:
                return error

        if len(pictures) < 2:
            return [one(picture) for picture in pictures]
        # each reading hushes warnings for the whole process: this puts back what was before all of them
        with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
            return list(pool.map(one, pictures))

    def _seen(self, pictures: Sequence[Picture]) -> np.ndarray:
        """What the network sees of pictures. Raises what ``read`` does."""
        read = self.read_all(pictures)
        if bad := next((one for one in read if isinstance(one, Exception)), None):
            raise bad
        return self.prepare([one for one in read if isinstance(one, np.ndarray)])

    def read(self, picture: Picture) -> np.ndarray:
        """A picture as RGB bytes (256, 256, 3), scaled as the network was shown its own."""
        if isinstance(picture, (str, os.PathLike, Member)):
            return read_picture(picture, self.shown.fit, self.shown.filter)
        if isinstance(picture, bytes):
            return read_picture(BytesIO(picture), self.shown.fit, self.shown.filter)
        if isinstance(picture, np.ndarray):
            if picture.dtype != np.uint8 or picture.ndim < 2 or picture.shape[2:] not in ((), (3,)) or not picture.size:
                raise ValueError(f"classify: a picture of {picture.dtype} {picture.shape}: give bytes, (rows, columns, "
                                 "3), red, green and blue, or (rows, columns), grey")
            picture = Image.fromarray(picture)
        if not isinstance(picture, Image.Image):
            raise TypeError(f"classify: a {type(picture).__name__} is no picture: give a file, an image of Pillow's, "
                            "or an array of bytes")
        return np.array(square(picture, self.shown.fit, self.shown.filter))


def load(path: str | os.PathLike[str], *, variant: str | None = None, classes: Sequence[str] | None = None,
         mean: str | os.PathLike[str] | None = None) -> Classifier:
    """A trained network that can be asked: ``load(path).classify("cat.jpg")``.

    path: the folder of a run of training, of which the best checkpoint is taken; a checkpoint; what ``export`` wrote;
        or a file of others: torchvision's weights (.pth, or .safetensors with their names), Caffe's (.caffemodel), or
        a network as ONNX (.onnx).
    variant, classes, mean: for files of others: what AlexNet it is, if they do not say, and for ONNX with whose
        preprocessing it was taught; the names of its classes, by themselves "class 0" and so on; Caffe's mean picture
        (.binaryproto), by itself that of ILSVRC 2012, a number for each channel.
    What a picture goes through comes with the variant: see ``variants.Preprocessing``.

    Raises CheckpointError or WeightsError, both of them ValueErrors, for a file that holds no such network.
    """
    path = Path(path)
    if path.suffix in OTHERS or (path.suffix == ".safetensors" and path.is_file() and not _own(path)):
        found = read_others(path, variant)
        net, shown, pixels = found.net, found.shown, found.net.pixels
        if found.classes is not None and (variant, classes, mean) != (None, None, None):
            raise WeightsError(f"{path} was written by minicnn and knows its variant, classes and mean: leave them out")
        names = found.classes or [f"class {i}" for i in range(net.classes)] if classes is None else list(classes)
        if len(names) != net.classes:
            raise WeightsError(f"{path} has {net.classes} classes, and {len(names)} names were given")
        less = _mean(shown, pixels, mean) if found.mean is None else found.mean
        return Classifier(net, names, lambda pictures: _prepared(pictures, shown, less, pixels), path, shown, less)
    if variant is not None or classes is not None or mean is not None:
        raise WeightsError(f"{path} is a run of minicnn and knows its variant, classes and mean: leave them out")
    run = saved.load(path)
    statistics, scale, pixels = run.statistics, run.scale, run.model.pixels
    inside = middle(pixels)
    return Classifier(run.model, run.classes, lambda pictures: central_crops(pictures, statistics, scale, pixels),
                      run.path, Preprocessing(scale=scale), statistics.mean[:, inside, inside] * np.float32(scale),
                      statistics, run.facts)


def pretrained() -> Classifier:
    """The trained network that comes with minicnn: an AlexNet of 1/16 of the width, which tells CIFAR-10's ten classes
    apart. ``facts`` of it says how it was taught, how often it is right, and its licence.

    Raises CheckpointError where its file is missing or damaged.
    """
    return load(OWN_WEIGHTS)


def _list(picture: Any) -> Sequence[Picture]:
    """A list as it is, and one picture as a list."""
    return picture if isinstance(picture, (list, tuple)) and not isinstance(picture, Member) else [picture]


def _own(path: Path) -> bool:
    """Whether a .safetensors file is a checkpoint of ours, or cannot even be read."""
    try:
        with safe_open(path, "numpy", backend="pread") as file:
            return MARK in (file.metadata() or {})
    except Exception:
        return True


def middle(pixels: int) -> slice:
    """The rows, or the columns, of a picture of 256 that a crop of so many pixels sees."""
    first = (SIDE - pixels) // 2
    return slice(first, first + pixels)


def _mean(shown: Preprocessing, pixels: int, path: str | os.PathLike[str] | None) -> np.ndarray:
    """What is taken off: (3, pixels, pixels), or (3, 1, 1). path: of Caffe's mean picture."""
    if path is None:
        less = np.array(shown.mean if shown.mean is not None else MEAN if shown.channels == "BGR" else MEAN[::-1])
        return less.reshape(3, 1, 1)
    try:
        picture = read_caffe_mean(path)
    except (NotCaffe, OSError) as error:
        raise WeightsError(f"cannot load {path}: {getattr(error, 'strerror', None) or error}") from error
    if picture.shape[1:] not in ((SIDE, SIDE), (pixels, pixels)):
        raise WeightsError(f"cannot load {path}: its mean is {picture.shape}, a picture {(3, SIDE, SIDE)}")
    inside = middle(pixels)
    return picture[:, inside, inside] if picture.shape[1] == SIDE else picture


def _prepared(pictures: Sequence[np.ndarray], shown: Preprocessing, mean: np.ndarray, pixels: int) -> np.ndarray:
    """What others' networks see of pictures (256, 256, 3)."""
    inside = middle(pixels)
    seen = np.stack(pictures)[:, inside, inside].transpose(0, 3, 1, 2).astype(np.float64)
    seen = seen[:, ::-1] if shown.channels == "BGR" else seen
    y: np.ndarray = (seen * shown.scale - mean) / np.reshape(shown.deviation, (3, 1, 1))
    return y.astype(np.float32)
