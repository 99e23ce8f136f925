"""The one way from device to device."""

from collections import Counter

from ..engine.device import Device, copy_to
from ..engine.memory import Array
from ..engine.op import remember
from ..engine.settings import shown
from ..engine.tensor import Tensor

__all__ = ["ledger", "to_device"]

ledger: Counter[tuple[Device, Device]] = Counter()
"""Bytes that have crossed, by (from, to). ``ledger.clear()`` starts anew; ``ledger.total()`` adds up."""


def cross(array: Array, source: Device, target: Device) -> Array:
    ledger[source, target] += array.nbytes
    return copy_to(array, target)


def to_device(x: Tensor, device: Device) -> Tensor:
    """x on ``device``. Its gradient crosses back. On the same device it is x itself."""
    if not isinstance(x, Tensor) or not isinstance(device, Device):
        raise TypeError(f"to_device: x is a {type(x).__name__}, device {shown(device)}: give a tensor and a device, as "
                        "minicnn.cpu(1), minicnn.cuda(0) or minicnn.device(name)")
    if x.device == device:
        return x
    source = x.device
    y = cross(x._array, source, device)
    return remember("to_device", y, [x], [lambda gy: cross(gy, device, source)], device)
