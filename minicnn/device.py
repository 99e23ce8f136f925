"""Where an array lives. The lowest room of the house: it imports nothing of minicnn.

``cpu(0)`` and ``cpu(1)`` are two devices though the memory is one, so that whatever is said of two GPUs (what lives
where, what crosses, what may not be mixed) is said, and tested, on any laptop.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["Device", "cpu", "cuda", "device", "keep_memory"]


@dataclass(frozen=True, order=True)
class Device:
    """A place for arrays. ``with device:`` makes it the current one, and restores the one before."""

    kind: str
    index: int

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def __repr__(self) -> str:
        return f"{self.kind}({self.index})"

    def put(self, array: Any) -> Any:
        """A copy of ``array`` on this device, in the same memory order."""
        return array.copy(order="K")


def cpu(index: int = 0) -> Device:
    """Main memory and the processor. The index only tells one such device from another."""
    return Device("cpu", index)


def cuda(index: int = 0) -> Device:
    """A GPU. Raises RuntimeError: this version has kernels for the processor alone."""
    raise RuntimeError(f"cuda({index}): this version of minicnn has no GPU kernels yet: use cpu(0)")


def device(name: str) -> Device:
    """The device called ``name``: "cpu", "cpu:1", "cuda", "cuda:0". Raises ValueError for any other name."""
    found = re.fullmatch(r"(cpu|cuda)(?::(\d+))?", name)
    if not found:
        raise ValueError(f"device: there is no device {name!r}: write cpu, cpu:1, cuda or cuda:0")
    return {"cpu": cpu, "cuda": cuda}[found[1]](int(found[2] or 0))


def keep_memory() -> bool:
    """Let the C library keep the pages of freed arrays for the next ones, instead of returning them to the system.

    A step of AlexNet frees and asks again for more than a gigabyte, and a sixth of its time goes into fresh pages. This
    holds for the whole process, so it is for a program to say, not for a library. Returns whether it took effect:
    glibc can.
    """
    M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))
