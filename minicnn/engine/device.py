"""Where an array lives. The lowest room of the house: it imports nothing of minicnn.

``cpu(0)`` and ``cpu(1)`` are two devices though the memory is one, so that whatever is said of two GPUs (what lives
where, what crosses, what may not be mixed) is said, and tested, on any laptop.

A GPU works through what was launched, in a queue of its own (CUDA's stream), while Python goes on. Within a queue all
is done in order; what goes from one GPU to another has to wait in both, and only ``copy_to`` lets it.
"""

from __future__ import annotations

import collections
import operator
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Device", "copy_to", "cpu", "cuda", "current_device", "device", "device_of", "ensure_on"]

Array: TypeAlias = NDArray[Any]
"""NumPy's, or CuPy's, which is used alike."""

Rest = TypeVar("Rest")


class _Here(threading.local):
    def __init__(self) -> None:
        self.entered: list[Device] = []
        self.contexts: list[Any] = []  # CuPy's, of the GPUs among them


_here = _Here()


@dataclass(frozen=True)
class Device:
    """A place for arrays. ``with device:`` makes it the current one, where new tensors go, and restores the one before.

    This is main memory; see ``CudaDevice``.
    """

    KIND: ClassVar = "cpu"
    kind: str
    index: int

    def __post_init__(self) -> None:
        if self.kind != self.KIND or type(self.index) is not int or self.index < 0:
            raise ValueError(f"Device: there is no device {self.kind!r}, {self.index!r}: say cpu(0) or cuda(0)")

    def __enter__(self) -> Device:
        _here.entered.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        _here.entered.pop()

    def __repr__(self) -> str:
        return f"{self.kind}({self.index})"

    def _copied(self, array: Array) -> Array:
        """See ``copy_to``."""
        source = device_of(array)
        if source.kind == "cpu":
            return array.copy(order="K")
        with source:
            inside, axes = _as_it_lies(array)
            host: Array = inside.get()  # waits until it is computed
            return host.transpose(axes)

    def view(self, array: Array) -> Array:
        """``array``, of this device, for reading."""
        view = array.view()
        view.flags.writeable = False
        return view

    def numpy(self, array: Array) -> NDArray[Any]:
        """``array``, of this device, for reading, in main memory: the same or a copy."""
        return self.view(array)

    def prefetch(self, batches: Iterable[tuple[np.ndarray, Rest]]) -> Iterator[tuple[Any, Rest]]:
        """The same batches; a GPU fetches the array of the next one while it works on this one."""
        return iter(batches)


class CudaDevice(Device):
    """A GPU, its memory, and its queue of work: CuPy's current stream there."""

    KIND = "cuda"

    def __enter__(self) -> Device:
        context = cupy().cuda.Device(self.index)
        context.__enter__()
        _here.contexts.append(context)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        _here.contexts.pop().__exit__(*error)

    @property
    def name(self) -> str:
        """As "NVIDIA H100 80GB HBM3"."""
        name: bytes = cupy().cuda.runtime.getDeviceProperties(self.index)["name"]
        return name.decode()

    def _copied(self, array: Array) -> Array:
        source = device_of(array)
        with source:
            inside, axes = _as_it_lies(array)
            if source == self:
                copy: Array = inside.copy()
                return copy.transpose(axes)
        copy = self._from_host(inside) if source.kind == "cpu" else self._from_gpu(inside, source)
        return copy.transpose(axes)

    def _from_host(self, array: np.ndarray) -> Any:
        """By way of pinned memory, from where the GPU fetches by itself while Python goes on."""
        with self:
            copy = cupy().empty(array.shape, array.dtype)
            if not array.nbytes:
                return copy
            while _uploads and _uploads[0][0].done:
                _uploads.popleft()  # CuPy then hands its memory to the next
            pinned = np.frombuffer(cupy().cuda.alloc_pinned_memory(array.nbytes), array.dtype, array.size)
            pinned[:] = array.reshape(-1)
            stream = cupy().cuda.get_current_stream()
            copy.set(pinned.reshape(array.shape), stream)
            _uploads.append((stream.record(), pinned))
            return copy

    def prefetch(self, batches: Iterable[tuple[np.ndarray, Rest]]) -> Iterator[tuple[Any, Rest]]:
        with self:
            beside = cupy().cuda.Stream(non_blocking=True)
        line: collections.deque[tuple[Any, Any, Rest]] = collections.deque()  # (array, the event of its arrival, rest)

        def first_in_line() -> Iterator[tuple[Any, Rest]]:
            array, arrival, rest = line[0]
            with self:
                cupy().cuda.get_current_stream().wait_event(arrival)
            try:
                yield array, rest
            finally:  # what is sent next may be written where this one lies, once nobody needs it
                with self:
                    beside.wait_event(cupy().cuda.get_current_stream().record())
                line.popleft()

        for array, rest in batches:
            with self, beside:
                line.append((self._from_host(array), beside.record(), rest))
            if len(line) > 1:
                yield from first_in_line()
        if line:
            yield from first_in_line()

    def _from_gpu(self, array: Any, source: Device) -> Any:
        """From GPU to GPU where the two can, else the driver goes through main memory."""
        with source:
            computed = cupy().cuda.get_current_stream().record()
        with self:
            copy = cupy().empty(array.shape, array.dtype)
            stream = cupy().cuda.get_current_stream()
            stream.wait_event(computed)
            copy.data.copy_from_device_async(array.data, array.nbytes, stream)
            copied = stream.record()
        with source:
            cupy().cuda.get_current_stream().wait_event(copied)  # else the source may be freed, and written to, before
        return copy

    def view(self, array: Array) -> Array:
        return array.view()  # CuPy cannot refuse to write

    def numpy(self, array: Array) -> NDArray[Any]:
        return cpu(0).view(copy_to(array, cpu(0)))


_uploads: collections.deque[tuple[Any, np.ndarray]] = collections.deque()  # (the event of its end, what it reads)


def _as_it_lies(array: Any) -> tuple[Any, tuple[int, ...]]:
    """(a view of ``array`` without gaps, or a copy; the axes that turn it back)"""
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    inside = array.transpose(order)
    return (inside if inside.flags.c_contiguous else inside.copy(order="C")), tuple(map(order.index, range(array.ndim)))


def cupy() -> Any:
    """CuPy, from when a GPU is first asked for. Raises what importing it raises."""
    import cupy as module

    return module


def copy_to(array: Array, device: Device) -> Array:
    """A copy of ``array``, wherever it lives, on ``device`` and in the same memory order."""
    return device._copied(array)


def ensure_on(array: Array, device: Device) -> Array:
    """``array`` itself if it lies in the memory of ``device``, else a copy there."""
    here = device_of(array)
    return array if here == device or here.kind == device.kind == "cpu" else device._copied(array)


def device_of(array: Any) -> Device:
    """Where an array lives: cuda(i) if it is CuPy's, and cpu(0) for all else."""
    return CudaDevice("cuda", array.device.id) if hasattr(array, "__cuda_array_interface__") else cpu(0)


def current_device() -> Device:
    """The device of the innermost ``with``; at first, cpu(0)."""
    return _here.entered[-1] if _here.entered else _MAIN


def cpu(index: int = 0) -> Device:
    """Main memory and the processor. The index only tells one such device from another.

    Raises ValueError where it is no whole number from 0."""
    if isinstance(index, bool) or not hasattr(index, "__index__") or operator.index(index) < 0:
        raise ValueError(f"cpu: there is no device {index!r:.60}: give a whole number from 0")
    return Device("cpu", operator.index(index)) if index else _MAIN


_MAIN = Device("cpu", 0)


def cuda(index: int = 0) -> CudaDevice:
    """A GPU, counted as CUDA counts them. Raises RuntimeError, with the reason, where it cannot be used."""
    try:
        count = cupy().cuda.runtime.getDeviceCount()
    except Exception as error:  # no CuPy, a broken one, no driver: each has its own
        reason = "CuPy is not installed" if isinstance(error, ModuleNotFoundError) else str(error).splitlines()[0]
        raise RuntimeError(f"cuda({index}): {reason}: `python -m minicnn doctor` says what to do; cpu always works"
                           ) from error
    if index >= count:
        raise RuntimeError(f"cuda({index}): there are {count} GPUs, counted from 0: use one of them, or cpu")
    return CudaDevice("cuda", index)


def device(name: str) -> Device:
    """The device called ``name``: "cpu", "cpu:1", "cuda", "cuda:0". Raises ValueError for any other name."""
    found = re.fullmatch(r"(cpu|cuda)(?::(\d+))?", name)
    if not found:
        raise ValueError(f"device: there is no device {name!r}: write cpu, cpu:1, cuda or cuda:0")
    index = int(found[2] or 0)
    return cpu(index) if found[1] == "cpu" else cuda(index)
