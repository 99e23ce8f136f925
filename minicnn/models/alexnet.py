"""AlexNet, as Figure 2 of Krizhevsky et al. 2012 draws it: two towers, one on each device.

A tower is a list of rows, and a row says first what it sees: ``own``, the maps of its own tower, or ``both``, those of
the two towers side by side. Only there does anything cross from device to device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn
from ..engine.device import Device, cpu
from ..engine.op import as_tensor
from ..engine.settings import flag, real, whole
from ..engine.tensor import Tensor
from ..nn.layers import draw_key
from ..nn.module import side_by_side
from ..ops import concatenate

__all__ = ["VARIANTS", "AlexNet", "alexnet"]

VARIANTS: dict[str, dict[str, Any]] = {
    "blueprint": {"norm_after": (1, 2, 5)},
    "paper": {"norm_after": (1, 2)},
}
"""What tells one published AlexNet from another: the blocks after which responses are normalised."""


class Row(nn.Sequential):
    """Layers of one tower, and what the first of them sees."""

    def __init__(self, sees: str, *layers: nn.Module):
        super().__init__(*layers)
        self.sees = sees


def tower(i: int, width: float, norm_after: tuple[int, ...], keys: list[int], inverted: bool) -> dict[str, Row]:
    """Tower ``i`` of the two: half of the kernels and half of the units of every layer but the last."""

    def n(full: int) -> int:
        return max(1, round(full * width))

    def norm(block: int) -> list[nn.Module]:
        return [nn.LocalResponseNorm()] if block in norm_after else []

    def dropout(key: int) -> nn.Module:
        return nn.Dropout(0.5, inverted=inverted, key=key, first_unit=i * n(2048))

    Conv2d, Linear, MaxPool2d, ReLU, Flatten = nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.ReLU, nn.Flatten
    return {
        # 224 pixels and three zeros to the right and below make 55 places: the original rounded its output size up
        "conv1": Row("own", Conv2d(3, n(48), 11, stride=4, padding=((0, 3), (0, 3))), ReLU(), *norm(1),
                     MaxPool2d(3, 2)),
        "conv2": Row("own", Conv2d(n(48), n(128), 5, padding=2), ReLU(), *norm(2), MaxPool2d(3, 2)),
        "conv3": Row("both", Conv2d(2 * n(128), n(192), 3, padding=1), ReLU()),
        "conv4": Row("own", Conv2d(n(192), n(192), 3, padding=1), ReLU()),
        "conv5": Row("own", Conv2d(n(192), n(128), 3, padding=1), ReLU(), *norm(5), MaxPool2d(3, 2), Flatten()),
        "fc6": Row("both", Linear(2 * n(128) * 6 * 6, n(2048)), ReLU(), dropout(keys[0])),
        "fc7": Row("both", Linear(2 * n(2048), n(2048)), ReLU(), dropout(keys[1])),
    }


class Tower(nn.Module):
    """The rows of one tower, as attributes, in the order of the figure."""

    def __init__(self, rows: dict[str, Row]):
        vars(self).update(rows)

    def rows(self) -> list[Any]:
        """The rows, from the images on."""
        return [row for _, row in self.children()]


class AlexNet(nn.Module):
    """The network; see ``alexnet``."""

    def __init__(self, variant: str, classes: int, devices: tuple[Device, Device], width: float, inverted: bool,
                 half: bool):
        if not isinstance(variant, str) or variant not in VARIANTS:
            raise ValueError(f"alexnet: there is no variant {variant!r}: choose {' or '.join(VARIANTS)}")
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
        keys = [draw_key(), draw_key()]
        self.a, self.b = (Tower(tower(i, width, inverted=inverted, keys=keys, **VARIANTS[variant])) for i in (0, 1))
        self.fc8 = nn.Linear(2 * self.b.rows()[-1].layers[0].weight.shape[0], classes)
        self.a.to(devices[0])
        self.b.to(devices[1])
        self.fc8.to(devices[0])

    def forward(self, images: Any) -> Tensor:
        """images: (N, 3, 224, 224), an array or a tensor. Returns (N, classes) on the first device."""
        if np.shape(images)[1:] != (3, 224, 224):
            raise ValueError(f"alexnet: images {np.shape(images)} must have the shape (N, 3, 224, 224)")
        a, b = (as_tensor(images, device) for device in self.devices)
        if self.half:
            a, b = a.half(), b.half()
        for row_a, row_b in zip(self.a.rows(), self.b.rows(), strict=True):
            if row_a.sees == "both":
                a, b = (concatenate(a.to(device), b.to(device), axis=1) for device in self.devices)
            a, b = side_by_side((row_a, a), (row_b, b))
        y = self.fc8(concatenate(a, b.to(self.devices[0]), axis=1))
        return y.float() if self.half else y

    def to(self, device: Device) -> nn.Module:
        """Move both towers to ``device``."""
        super().to(device)
        self.devices = (device, device)
        return self


def alexnet(variant: str = "blueprint", classes: int = 1000, devices: tuple[Device, Device] = (cpu(0), cpu(0)),
            width: float = 1.0, inverted_dropout: bool = True, half: bool = False) -> AlexNet:
    """AlexNet of 60,965,224 parameters (Krizhevsky et al. 2012, §3.5 and Figure 2).

    variant: "blueprint" normalises after blocks 1, 2 and 5; "paper" after 1 and 2.
    devices: where tower a and tower b live; the last layer lives on the first.
    width: the share of the paper's kernels and units; 1/8 trains on a laptop in a moment.
    inverted_dropout: × 2 in training; False is the paper's form, × ½ at test.
    half: compute in half precision, from the images to the last layer; weights and loss stay in single. On GPUs alone.

    Raises ValueError for an unknown variant, for less than two classes, and for half precision on the processor.
    """
    return AlexNet(variant, classes, devices, width, inverted_dropout, half)
