"""AlexNet, as Figure 2 of Krizhevsky et al. 2012 draws it: two towers, one on each device.

A tower is a list of rows, and a row says first what it sees: ``own``, the maps of its own tower, or ``both``, those of
the two towers side by side. Only there does anything cross from device to device.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minicnn.kernels.cores import concurrently

from .. import nn
from ..engine.device import Device, cpu
from ..engine.mode import grad_enabled
from ..engine.observers import observers
from ..engine.op import on_each
from ..engine.settings import flag, real, whole
from ..engine.tensor import Tensor
from ..nn.layers import draw_key
from ..ops import concatenate
from ..ops.window import Padding

__all__ = ["ROWS", "VARIANTS", "AlexNet", "Row", "alexnet"]

VARIANTS: dict[str, dict[str, Any]] = {
    "blueprint": {"norm_after": ("conv1", "conv2", "conv5")},
    "paper": {"norm_after": ("conv1", "conv2")},
}
"""What differs from one AlexNet to another: the rows after which responses are normalised."""


class Row(NamedTuple):
    """A convolution, or where there is no ``size`` a fully connected layer, and what follows it in its tower."""

    name: str
    sees: str  # "own" or "both"
    maps: int  # or units, of one tower
    size: int = 0
    stride: int = 1
    padding: Padding = 0
    pooled: bool = False


ROWS = (
    # 224 pixels and three zeros to the right and below make 55 places: the original rounded its output size up
    Row("conv1", "own", 48, 11, stride=4, padding=((0, 3), (0, 3)), pooled=True),
    Row("conv2", "own", 128, 5, padding=2, pooled=True),
    Row("conv3", "both", 192, 3, padding=1),
    Row("conv4", "own", 192, 3, padding=1),
    Row("conv5", "own", 128, 3, padding=1, pooled=True),
    Row("fc6", "both", 2048),
    Row("fc7", "both", 2048),
)


class AlexNet(nn.Module):
    """The network; see ``alexnet``."""

    def __init__(self, variant: str, classes: int, devices: tuple[Device, Device], width: float, inverted: bool,
                 half: bool, generator: np.random.Generator | None):
        if not isinstance(variant, str) or variant not in VARIANTS:
            raise ValueError(f"alexnet: there is no variant {variant!r}: choose one of {', '.join(VARIANTS)}")
        classes, width = whole("alexnet", "classes", classes), real("alexnet", "width", width, above=0)
        pair = isinstance(devices, (tuple, list)) and len(devices) == 2
        if not (pair and all(isinstance(device, Device) for device in devices)):
            raise TypeError(f"alexnet: devices is {devices!r:.60}: give two, one for each tower, as (cpu(0), cpu(1))")
        devices, half = (devices[0], devices[1]), flag("alexnet", "half", half)
        inverted = flag("alexnet", "inverted_dropout", inverted)
        if classes < 2:
            raise ValueError(f"alexnet: {classes} classes leave nothing to tell apart: give 2 or more")
        if half and "cpu" in (device.kind for device in devices):
            raise ValueError(f"alexnet: only GPUs compute in half precision, not {devices[0]} and {devices[1]}: leave "
                             "half out, or give devices that are GPUs")
        self.variant, self.classes, self.devices, self.width = variant, classes, devices, width
        self.inverted_dropout, self.half = inverted, half
        keys = {row.name: draw_key(generator) for row in ROWS if not row.size}  # the towers share what one net has
        self.a, self.b = nn.Module(), nn.Module()
        for i, tower in enumerate((self.a, self.b)):
            maps = 3
            for row in ROWS:
                seen = maps * (2 if row.sees == "both" else 1)
                maps = max(1, round(row.maps * width))
                setattr(tower, row.name, nn.Sequential(*self._layers(row, seen, maps, i, keys, generator)))
        self.fc8 = nn.Linear(2 * maps, classes, generator=generator)
        for part, device in ((self.a, devices[0]), (self.b, devices[1]), (self.fc8, devices[0])):
            part.to(device)

    def _layers(self, row: Row, seen: int, maps: int, tower: int, keys: dict[str, int],
                generator: np.random.Generator | None) -> Iterator[nn.Module]:
        if row.size:
            yield nn.Conv2d(seen, maps, row.size, stride=row.stride, padding=row.padding, generator=generator)
            yield nn.ReLU()
            if row.name in VARIANTS[self.variant]["norm_after"]:
                yield nn.LocalResponseNorm()
            if row.pooled:
                yield nn.MaxPool2d(3, 2)
            if row.name == "conv5":
                yield nn.Flatten()
        else:
            yield nn.Linear(seen * 6 * 6 if row.name == "fc6" else seen, maps, generator=generator)
            yield nn.ReLU()
            yield nn.Dropout(0.5, inverted=self.inverted_dropout, key=keys[row.name], first_unit=tower * maps)

    def forward(self, images: Any) -> Tensor:
        """images: (N, 3, 224, 224), an array or a tensor. Returns (N, classes) on the first device."""
        if np.shape(images)[1:] != (3, 224, 224):
            raise ValueError(f"alexnet: images {np.shape(images)} must have the shape (N, 3, 224, 224)")
        a, b = on_each(images, self.devices)
        if self.half:
            a, b = a.half(), b.half()
        for row in ROWS:
            if row.sees == "both":
                both = {d: concatenate(a.to(d), b.to(d), axis=1) for d in dict.fromkeys(self.devices)}  # on one, once
                a, b = (both[device] for device in self.devices)
            a, b = self._side_by_side(partial(getattr(self.a, row.name), a), partial(getattr(self.b, row.name), b))
        y = self.fc8(concatenate(a, b.to(self.devices[0]), axis=1))
        return y.float() if self.half else y

    def _side_by_side(self, *rows: partial[Tensor]) -> list[Tensor]:
        """What the rows of the two towers give: on the processor at once. Not where a graph grows or a hook looks on:
        there it matters which came first."""
        if grad_enabled() or observers or any(device.kind != "cpu" for device in self.devices):
            return [row() for row in rows]
        outputs: list[Tensor] = concurrently(*rows)
        return outputs

    def to(self, device: Device) -> nn.Module:
        """Move both towers to ``device``."""
        super().to(device)
        self.devices = (device, device)
        return self


def alexnet(variant: str = "blueprint", classes: int = 1000, devices: tuple[Device, Device] = (cpu(0), cpu(0)),
            width: float = 1.0, inverted_dropout: bool = True, half: bool = False,
            generator: np.random.Generator | None = None) -> AlexNet:
    """AlexNet of 60,965,224 parameters (Krizhevsky et al. 2012, §3.5 and Figure 2).

    variant: "blueprint" normalises after blocks 1, 2 and 5; "paper" after 1 and 2.
    devices: where tower a and tower b live; the last layer lives on the first.
    width: the share of the paper's kernels and units; 1/8 trains on a laptop in a moment.
    inverted_dropout: × 2 in training; False is the paper's form, × ½ at test.
    half: compute in half precision, from the images to the last layer; weights and loss stay in single. On GPUs alone.
    generator: of NumPy's, of weights and dropout keys; by itself that of ``manual_seed``.

    Raises ValueError for an unknown variant, for less than two classes, and for half precision on the processor.
    """
    return AlexNet(variant, classes, devices, width, inverted_dropout, half, generator)
