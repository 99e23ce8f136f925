"""DLPack: an array of another library as a tensor, in the same memory where that is possible.

The way back, ``torch.from_dlpack(t)`` and its like, is ``Tensor.__dlpack__`` in ``protocols.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .device import Device, copy_to, cpu, cuda, cupy, current_device, device_of, ensure_on
from .memory import Array, array_of, in_engine_order
from .settings import flag, shown
from .tensor import Tensor, wrap

__all__ = ["from_dlpack"]

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13  # dlpack.h: DLDeviceType


def from_dlpack(x: Any, *, device: Device | None = None, copy: bool | None = None) -> Tensor:
    """An array of NumPy, PyTorch, CuPy or JAX, or whatever else has ``__dlpack__``, as a tensor: a leaf, which takes no
    gradient until ``requires_grad`` is set.

    device: where the tensor shall live; if left out, where x does.
    copy: None, only where one is needed; True, in any case; False, never.

    Without a copy both have the same memory: what is written into one is read in the other, and a graph that needs the
    values of the tensor cannot know of it. A copy is needed

        for another device;
        where the numbers become others, as in ``Tensor(x)``: half precision becomes single;
        where x does not lie as a tensor does, its first axis fastest and then the others as they stand. In C order so
            lie arrays of one axis or none, batches of 1 and, turned round, a matrix; and whatever came from a tensor;
        where x may only be read, as arrays of JAX, or says less of itself than DLPack 1 does.

    Raises TypeError where x has no ``__dlpack__`` or holds no real numbers; BufferError where the other library
    refuses, as it does while a gradient is required, where x lives on a device that we do not know, and where copy is
    False but one is needed; and RuntimeError where a GPU cannot be used.
    """
    if not isinstance(device, (Device, type(None))):
        raise TypeError(f"from_dlpack: device is {shown(device)}: give cpu(0), cuda(0) or minicnn.device(name)")
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise TypeError(f"from_dlpack: {shown(x)}, a {type(x).__name__}, has no __dlpack__: give an array, as of "
                        "NumPy, PyTorch, CuPy or JAX, or say Tensor(x)")
    must_copy, may_copy = copy is not None and flag("from_dlpack", "copy", copy), copy is not False
    array, here = _array_and_device(x)
    device = device or here
    with device:
        ready = in_engine_order(ensure_on(array_of(array, name="from_dlpack"), device))
        needed = _why_a_copy(array, here, ready, device)
        if needed and not may_copy:
            raise BufferError(f"from_dlpack: {needed}, which takes a copy, and copy is False: leave it out")
        if ready is array and (needed or must_copy):
            ready = copy_to(array, device)
    return wrap(ready, device)


def _array_and_device(x: Any) -> tuple[Array, Device]:
    """(the memory of x as an array of NumPy or CuPy, where it lives). Raises as ``from_dlpack``."""
    try:
        kind, index = x.__dlpack_device__()
    except Exception as error:  # PyTorch's for a device that is none
        raise BufferError(f"from_dlpack: a {type(x).__name__} does not say where it lives: {error}") from error
    if kind not in (CPU, CUDA, CUDA_HOST, CUDA_MANAGED):
        raise BufferError(f"from_dlpack: a {type(x).__name__} lives on a device of DLPack's kind {int(kind)}: bring it "
                          f"to main memory, {CPU}, or a GPU of NVIDIA's, {CUDA}")
    on_gpu = kind in (CUDA, CUDA_MANAGED)
    here: Device = cuda(index) if on_gpu else current_device() if current_device().kind == "cpu" else cpu(0)
    try:
        with here:
            array: Array = (cupy() if on_gpu else np).from_dlpack(x)
    except BufferError as error:
        raise BufferError(f"from_dlpack: {error}") from error
    except (RuntimeError, TypeError, NotImplementedError) as error:  # NumPy's and CuPy's, of a type that they have not
        raise TypeError(f"from_dlpack: a {type(x).__name__} of {shown(getattr(x, 'dtype', 'another type'))} is no "
                        f"array here: {error}: convert it before, as to float32") from error
    return array, device_of(array) if on_gpu else here


def _why_a_copy(array: Array, here: Device, ready: Array, device: Device) -> str:
    """Why the tensor cannot have the memory of ``array``; nothing where it can."""
    if here != device and not here.kind == device.kind == "cpu":
        return f"it goes from {here} to {device}"
    if ready.dtype != array.dtype:
        return f"{array.dtype} becomes {ready.dtype}"
    if ready is not array:
        return (f"its strides {array.strides} are not those of a tensor of shape {array.shape}, {ready.strides}: the "
                "first axis is to run fastest")
    return "" if getattr(array.flags, "writeable", True) else "it may only be read"  # CuPy's may always be written to
