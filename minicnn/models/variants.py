"""The AlexNets as data: what each is made of, row by row, what it is shown, and where every number stands.

Paper, program and reproductions differ, and a network is one of them. The shapes are those of Figure 2 of Krizhevsky et
al. 2012; ``python -m minicnn variants`` prints what tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..ops.window import Padding

__all__ = ["VARIANTS", "Norm", "Preprocessing", "Row", "Variant"]


class Row(NamedTuple):
    """What a tower does before it looks again at what it sees.

    name: as the paper and Caffe call it. sees: "own", the maps of its own tower; "both", those of the two side by side;
    "edge", its own and those of the other that a normalising window reaches beyond the cut. layers: their words in the
    order in which they follow each other: conv, linear, relu, norm, map-norm, pool, dropout, flatten. maps: or units,
    that a conv or linear of one tower gives. size, stride, padding: of the conv, as in ``ops.conv2d``.
    """

    name: str
    sees: str
    layers: str
    maps: int = 0
    size: int = 0
    stride: int = 1
    padding: Padding = 0


class Norm(NamedTuple):
    """The settings of a normalisation, as in ``ops.local_response_norm``: α multiplies the plain sum."""

    size: int
    alpha: float
    beta: float
    k: float


class Preprocessing(NamedTuple):
    """What published weights expect of a picture: (pixels · scale − mean) / deviation.

    channels: their order, "RGB" or "BGR". scale: of bytes, 1 or 1/255. mean, deviation: of each channel, in that order,
    after scaling; mean None: the mean picture of the training set, (3, 256, 256). side, fit: the picture is scaled to
    side × side pixels before the crop, its central square ("centre") or all of it ("squash"), by ``filter``.
    """

    channels: str = "RGB"
    scale: float = 1.0
    mean: tuple[float, float, float] | None = None
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    side: int = 256
    fit: str = "centre"
    filter: str = "bicubic"


PAPERS = Preprocessing()


@dataclass(frozen=True)
class Variant:
    """An AlexNet as it was published.

    rows: of one tower, up to the last layer. sources: of each fact that ``python -m minicnn variants`` prints, where it
    stands. norm, map_norm: what "norm" and "map-norm" are in the rows. recipe: in ``RECIPES``, how it was started and
    taught, if that is known. pixels: the side of the crop that it sees. towers: two, or one on the first device.
    """

    rows: tuple[Row, ...]
    sources: Mapping[str, str]
    norm: Norm | None = None
    map_norm: Norm | None = None
    recipe: str | None = None
    preprocessing: Preprocessing = PAPERS
    pixels: int = 224
    towers: int = 2

    def shapes(self, classes: int = 1000, width: float = 1.0) -> dict[str, tuple[int, ...]]:
        """The shape of the weights of each row that has some, those of all towers together, and of fc8. width: as of
        ``alexnet``."""
        shapes: dict[str, tuple[int, ...]] = {}
        maps = 3
        for row in self.rows:
            seen = maps * (self.towers if row.sees == "both" else 1)
            maps = max(1, round(row.maps * width)) if row.maps else maps
            if "conv" in row.layers.split():
                shapes[row.name] = (maps * self.towers, seen, row.size, row.size)
            elif "linear" in row.layers.split():
                shapes[row.name] = (maps * self.towers, seen * 6 * 6 if row.name == "fc6" else seen)
        return shapes | {"fc8": (classes, maps * self.towers)}


# -- rows -------------------------------------------------------------------------------------------------------------

# 224 pixels and three zeros to the right and below make 55 places: the original rounded its output size up
CONV1 = Row("conv1", "own", "conv relu norm pool", 48, 11, 4, padding=((0, 3), (0, 3)))
CONV2 = Row("conv2", "own", "conv relu norm pool", 128, 5, padding=2)
CONV3 = Row("conv3", "both", "conv relu", 192, 3, padding=1)
CONV4 = Row("conv4", "own", "conv relu", 192, 3, padding=1)
CONV5 = Row("conv5", "own", "conv relu pool flatten", 128, 3, padding=1)
FC6 = Row("fc6", "both", "linear relu dropout", 2048)
FC7 = Row("fc7", "both", "linear relu dropout", 2048)


def rows(conv1: Row = CONV1, norm1: tuple[Row, ...] = (), conv2: Row = CONV2, norm2: tuple[Row, ...] = (),
         conv5: Row = CONV5) -> tuple[Row, ...]:
    """Two towers, of which conv3, fc6 and fc7 see each other: common to all but one variant."""
    return conv1, *norm1, conv2, *norm2, CONV3, CONV4, conv5, FC6, FC7


def both_normalised(block: int, *pool: str) -> tuple[Row, ...]:
    """What normalises over both towers, and perhaps a pooling behind it: rows of their own, as in Caffe."""
    return Row(f"norm{block}", "edge", "norm"), *(Row(f"{word}{block}", "own", word) for word in pool)


# -- variants ---------------------------------------------------------------------------------------------------------

PAPER, PROGRAM = "Krizhevsky et al. 2012", "computerhistory/AlexNet-Source-Code"
CFG, PARAMETERS = f"{PROGRAM} layers/layers-145.cfg", f"{PROGRAM} layers/layer-params-145.cfg"
ROUNDED_UP = f"{PROGRAM} layer.py: 1 + ⌈(224 − 11) / 4⌉ places, zeros outside; the paper says no padding"
FIGURES = {  # of the two-tower nets: derived from the paper's shapes, layer by layer
    "parameters": f"from the shapes of {PAPER}, §3.5: 60,965,224, its 60 million",
    "multiply-adds": f"from the shapes of {PAPER}, §3.5: 724,406,816",
}
OF_THE_PAPER = FIGURES | {
    "crop": f"{PAPER}, §3.5 and §4.1",
    "places of conv1": ROUNDED_UP,
    "order": f"{PAPER}, §3.3 and §3.5",
    "normalisation": f"{PAPER}, §3.3: α not divided",
    "windows": f"{PROGRAM}: a tower's own maps; the paper's N is all of a layer",
    "towers": f"{PAPER}, §3.5 and Figure 2",
    "weights": f"{PAPER}, §5",
    "biases": f"{PAPER}, §5",
    "bias rate, decay": f"{PAPER}, §5: equal for all layers",
    "dropout": f"{PAPER}, §4.2",
    "input": f"{PAPER}, §2; the filter of the resize is ours",
}
THE_POST = "the blueprint, a summary of the paper"
CAFFE = "BVLC/caffe models/bvlc_alexnet/train_val.prototxt"
CAFFENET = "BVLC/caffe models/bvlc_reference_caffenet/train_val.prototxt"
LRN_OF_CAFFE = "BVLC/caffe src/caffe/layers/lrn_layer.cpp"
VISION = "pytorch/vision torchvision/models/alexnet.py"


def of_caffe(prototxt: str) -> dict[str, str]:
    """The sources of one of Caffe's nets."""
    here = ("crop", "places of conv1", "order", "towers", "weights", "biases", "bias rate, decay")
    return FIGURES | dict.fromkeys(here, prototxt) | {
        "normalisation": f"{prototxt}: 1e-4, divided by 5 in {LRN_OF_CAFFE}; k is its default",
        "windows": f"{LRN_OF_CAFFE}: all channels, whatever the groups",
        "dropout": f"{prototxt}; form: BVLC/caffe src/caffe/layers/dropout_layer.cpp",
        "input": f"{prototxt}: mean_file; examples/imagenet/create_imagenet.sh, src/caffe/util/io.cpp: cv::resize",
    }


IN_CAFFE = Norm(5, 1e-4 / 5, 0.75, 1.0)
SHOWN_TO_CAFFE = Preprocessing("BGR", fit="squash", filter="bilinear")
VARIANTS: dict[str, Variant] = {
    "blueprint": Variant(
        rows(conv5=CONV5._replace(layers="conv relu norm pool flatten")),
        OF_THE_PAPER | {
            "crop": THE_POST,
            "order": f"{THE_POST}: normalised after blocks 1, 2 and 5",
            "normalisation": f"{THE_POST}: α not divided; its sum of a(i)² is a misprint for a(j)²",
            **dict.fromkeys(("weights", "biases", "bias rate, decay", "dropout"), f"not in the blueprint: {PAPER}"),
        },
        norm=Norm(5, 1e-4, 0.75, 2.0), recipe="paper"),
    "paper": Variant(rows(), OF_THE_PAPER, norm=Norm(5, 1e-4, 0.75, 2.0), recipe="paper"),
    "source2012": Variant(
        rows(CONV1._replace(layers="conv norm pool relu"), (), CONV2._replace(layers="conv relu norm map-norm pool"),
             (), CONV5._replace(layers="conv pool relu flatten")),
        OF_THE_PAPER | {
            "crop": f"{PROGRAM} convdata_jpeg.py",
            "places of conv1": f"{PROGRAM} layer.py: 1 + ⌈(224 − 11) / 4⌉ places, zeros outside",
            "order": CFG,
            "normalisation": f"{PARAMETERS}: 1e-4 and 1e-3, divided by 5 and 25 in layer.py; minDiv 2, default 1",
            "windows": f"{CFG}: a layer for each tower",
            "towers": CFG,
            "weights": CFG,
            "biases": CFG,
            "bias rate, decay": f"{PARAMETERS}; src/layer.cu: no decay",
            "dropout": f"{CFG}; × keep at test: src/layer.cu",
            "input": f"{PROGRAM} convdata_jpeg.py: the mean of the centre, whatever the crop; then / 1.1; filter: ours",
        },
        norm=Norm(5, 1e-4 / 5, 0.75, 2.0), map_norm=Norm(5, 1e-3 / 25, 0.75, 1.0), recipe="source2012"),
    "caffe": Variant(
        rows(CONV1._replace(layers="conv relu", padding=0), both_normalised(1, "pool"),
             CONV2._replace(layers="conv relu"), both_normalised(2, "pool")),
        of_caffe(CAFFE), norm=IN_CAFFE, recipe="caffe", preprocessing=SHOWN_TO_CAFFE, pixels=227),
    "caffenet": Variant(
        rows(CONV1._replace(layers="conv relu pool", padding=0), both_normalised(1),
             CONV2._replace(layers="conv relu pool"), both_normalised(2)),
        of_caffe(CAFFENET), norm=IN_CAFFE, recipe="caffenet", preprocessing=SHOWN_TO_CAFFE, pixels=227),
    "torchvision": Variant(
        (Row("conv1", "own", "conv relu pool", 64, 11, 4, padding=2),
         Row("conv2", "own", "conv relu pool", 192, 5, padding=2),
         Row("conv3", "own", "conv relu", 384, 3, padding=1),
         Row("conv4", "own", "conv relu", 256, 3, padding=1),
         Row("conv5", "own", "conv relu pool flatten", 256, 3, padding=1),
         Row("fc6", "own", "dropout linear relu", 4096),
         Row("fc7", "own", "dropout linear relu", 4096)),
        dict.fromkeys(("places of conv1", "order", "normalisation", "windows", "towers", "dropout"), VISION) | {
            "crop": "PyTorch docs, torchvision.models.alexnet",
            "weights": "pytorch/pytorch torch/nn/modules/conv.py, linear.py: reset_parameters",
            "biases": "pytorch/pytorch torch/nn/modules/conv.py, linear.py: reset_parameters",
            "bias rate, decay": "not in the model",
            "input": "PyTorch docs, torchvision.models.alexnet",
            "parameters": "PyTorch docs, torchvision.models.alexnet: 61,100,840",
            "multiply-adds": f"from the shapes of {VISION}: 714.2 million",
        },
        preprocessing=Preprocessing(scale=1 / 255, mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225),
                                    filter="bilinear"),
        towers=1),
}  # fmt: skip
"""By name: all that ``alexnet`` can build."""
