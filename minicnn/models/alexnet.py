"""AlexNet, as Figure 2 of Krizhevsky et al. 2012 draws it: two towers, one on each device; and its later forms.

A tower is a list of rows, and a row says first what it sees: ``own``, the maps of its own tower, ``both``, those of the
two towers side by side, or ``edge``, its own and a few of the other's. Only there does anything cross from device to
device. Which rows there are, and all numbers, stand in ``variants.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minicnn.kernels.cores import concurrently

from .. import nn
from ..engine.device import Device, cpu
from ..engine.mode import grad_enabled
from ..engine.observers import observers
from ..engine.op import on_each
from ..engine.settings import flag, real, whole
from ..engine.tensor import Tensor
from ..nn.costs import Cost
from ..nn.layers import draw_key
from ..ops import concatenate
from .variants import VARIANTS, Row

__all__ = ["AlexNet", "alexnet"]


class AlexNet(nn.Module):
    """The network; see ``alexnet``.

    Its parameters are called ``<tower>.<row>.<place in the row>.weight`` and ``.bias``, as a.conv1.0.weight, and
    fc8.weight. Tower b is there where there are two. "torchvision" has one, and dropout before fc6 and fc7, so that its
    names are a.conv1.0 to a.conv5.0, a.fc6.1, a.fc7.1 and fc8.
    """

    def __init__(self, variant: str, classes: int, devices: tuple[Device, Device], width: float, inverted: bool,
                 half: bool, generator: np.random.Generator | None):
        if not isinstance(variant, str) or variant not in VARIANTS:
            raise ValueError(f"alexnet: there is no variant {variant!r}: choose one of {', '.join(VARIANTS)}")
        classes, width = whole("alexnet", "classes", classes), real("alexnet", "width", width, above=0)
        pair = isinstance(devices, (tuple, list)) and len(devices) == 2
        if not (pair and all(isinstance(device, Device) for device in devices)):
            raise TypeError(f"alexnet: devices is {devices!r:.60}: give two, one for each tower, as (cpu(0), cpu(1))")
        devices, half = (devices[0], devices[VARIANTS[variant].towers - 1]), flag("alexnet", "half", half)
        inverted = flag("alexnet", "inverted_dropout", inverted)
        if classes < 2:
            raise ValueError(f"alexnet: {classes} classes leave nothing to tell apart: give 2 or more")
        if half and "cpu" in (device.kind for device in devices):
            raise ValueError(f"alexnet: only GPUs compute in half precision, not {devices[0]} and {devices[1]}: leave "
                             "half out, or give devices that are GPUs")
        self.variant, self.classes, self.devices, self.width = variant, classes, devices, width
        self.inverted_dropout, self.half = inverted, half
        self.over_ranks: Callable[[str, Tensor], Tensor] | None = None  # see training/split.py
        count, rows = VARIANTS[variant].towers, VARIANTS[variant].rows
        # the towers share what one net has
        keys = {row.name: draw_key(generator) for row in rows if "dropout" in row.layers}
        for i, letter in enumerate("ab"[:count]):
            tower, maps = nn.Module(), 3
            for row in rows:
                seen = maps * (count if row.sees == "both" else 1)
                maps = max(1, round(row.maps * width)) if row.maps else maps
                setattr(tower, row.name, nn.Sequential(*self._layers(row, seen, maps, i, keys, generator)))
            setattr(self, letter, tower)
        self.fc8 = nn.Linear(count * maps, classes, generator=generator)
        for part, device in zip((*self.towers(), self.fc8), (*devices[:count], devices[0]), strict=True):
            part.to(device)

    def _layers(self, row: Row, seen: int, maps: int, tower: int, keys: dict[str, int],
                generator: np.random.Generator | None) -> list[nn.Module]:
        """The layers of a row of ``maps`` maps or units, to which ``seen`` maps come."""
        norm, map_norm = VARIANTS[self.variant].norm, VARIANTS[self.variant].map_norm
        make: dict[str, Callable[[], nn.Module]] = {
            "conv": lambda: nn.Conv2d(seen, maps, row.size, stride=row.stride, padding=row.padding,
                                      generator=generator),
            "linear": lambda: nn.Linear(seen * 6 * 6 if row.name == "fc6" else seen, maps, generator=generator),
            "relu": nn.ReLU,
            "norm": lambda: nn.LocalResponseNorm(*norm or ()),
            "map-norm": lambda: nn.MapResponseNorm(*map_norm or ()),
            "pool": lambda: nn.MaxPool2d(3, 2),
            "flatten": nn.Flatten,
            "dropout": lambda: nn.Dropout(0.5, inverted=self.inverted_dropout, key=keys[row.name],
                                          first_unit=tower * maps),
        }
        return [make[word]() for word in row.layers.split()]

    @property
    def pixels(self) -> int:
        """The side of the images that it takes."""
        return VARIANTS[self.variant].pixels

    def towers(self) -> list[Any]:
        """a and b, or a alone."""
        return [getattr(self, letter) for letter in "ab" if hasattr(self, letter)]

    def forward(self, images: Any) -> Tensor:
        """images: (N, 3, pixels, pixels), an array or a tensor; pixels is 224, or 227 in Caffe's variants. Returns
        (N, classes) on the first device."""
        if np.shape(images)[1:] != (3, self.pixels, self.pixels):
            raise ValueError(f"alexnet: images {np.shape(images)} must have the shape (N, 3, {self.pixels}, "
                             f"{self.pixels}) for the variant {self.variant}: give it crops of {self.pixels} pixels")
        towers = self.towers()
        xs = on_each(images, self.devices[:len(towers)])
        if self.half:
            xs = [x.half() for x in xs]
        for row in VARIANTS[self.variant].rows:
            own = xs[0].shape[1]
            xs = self._seen(row, self._of_all_ranks(row.name, xs))
            xs = self._side_by_side(*(partial(getattr(t, row.name), x) for t, x in zip(towers, xs, strict=True)))
            if row.sees == "edge":
                xs = [xs[0][:, :own], xs[1][:, -own:]]
        y = self.fc8(self._joined(self._of_all_ranks("fc8", xs), self.devices[0]))
        (y,) = self._of_all_ranks("", [y])
        return y.float() if self.half else y

    def _of_all_ranks(self, row: str, xs: list[Tensor]) -> list[Tensor]:
        """What comes to a row, or out of the last, where layers are divided over ranks. Each tower has its own."""
        return xs if self.over_ranks is None else [self.over_ranks(row, x) for x in xs]

    def _seen(self, row: Row, xs: list[Tensor]) -> list[Tensor]:
        """What a row sees in each tower, where xs are their own maps."""
        if row.sees == "both":
            both = {device: self._joined(xs, device) for device in dict.fromkeys(self.devices)}  # on one, once
            return [both[x.device] for x in xs]
        norm = VARIANTS[self.variant].norm
        if row.sees == "edge" and norm:  # so many of the other tower's maps lie in a window
            (a, b), far = xs, norm.size // 2
            return [self._joined([a, b[:, :far]], a.device), self._joined([a[:, -far:], b], b.device)]
        return xs

    def _joined(self, xs: list[Tensor], device: Device) -> Tensor:
        """The maps, or units, of the towers side by side."""
        return concatenate(*(x.to(device) for x in xs), axis=1) if len(xs) > 1 else xs[0]

    def _side_by_side(self, *rows: partial[Tensor]) -> list[Tensor]:
        """What the rows of the towers give: on the processor at once. Not where a graph grows or a hook looks on: there
        it matters which came first."""
        if grad_enabled() or observers or any(device.kind != "cpu" for device in self.devices):
            return [row() for row in rows]
        outputs: list[Tensor] = concurrently(*rows)
        return outputs

    def to(self, device: Device) -> nn.Module:
        """Move all towers to ``device``."""
        super().to(device)
        self.devices = (device, device)
        return self

    def costs(self, shape: tuple[int, ...] | None = None) -> list[Cost]:
        """As of any module; shape: by itself that of an image of this variant."""
        return super().costs((3, self.pixels, self.pixels) if shape is None else shape)

    def summary(self, shape: tuple[int, ...] | None = None) -> str:
        """As of any module; shape: by itself that of an image of this variant."""
        return super().summary((3, self.pixels, self.pixels) if shape is None else shape)


def alexnet(variant: str = "blueprint", classes: int = 1000, devices: tuple[Device, Device] = (cpu(0), cpu(0)),
            width: float = 1.0, inverted_dropout: bool = True, half: bool = False,
            generator: np.random.Generator | None = None) -> AlexNet:
    """AlexNet of 60,965,224 parameters (Krizhevsky et al. 2012, §3.5 and Figure 2), or 61,100,840 in one tower.

    variant: "blueprint" normalises after blocks 1, 2 and 5; "paper" after 1 and 2; "source2012" is net 145 of the
        authors' program; "caffe" (bvlc_alexnet) and "caffenet" normalise over both towers and see 227 pixels;
        "torchvision" has one tower and no normalisation ("one weird trick"). ``python -m minicnn variants`` has more.
    devices: where tower a and tower b live; the last layer lives on the first, and so does a net of one tower.
    width: the share of the variant's kernels and units; 1/8 trains on a laptop in a moment.
    inverted_dropout: × 2 in training; False is the paper's form, × ½ at test.
    half: compute in half precision, from the images to the last layer; weights and loss stay in single. On GPUs alone.
    generator: of NumPy's, of weights and dropout keys; by itself that of ``manual_seed``.

    Raises ValueError for an unknown variant, for less than two classes, and for half precision on the processor.
    """
    return AlexNet(variant, classes, devices, width, inverted_dropout, half, generator)
