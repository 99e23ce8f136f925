"""GPUs that add up from memory to memory, by NCCL as CuPy speaks to it. MPI is where their ranks meet, and no more.

A sum waits on its GPU, for ever, for a rank that does not come. So the host never waits for one before all ranks have
met once more: a step gathers the losses between the sums and the update. A rank that fails says so over MPI, and there
the others hear of it; all abort their communicators, which lets the GPUs go, and no weight was moved by what these
leave behind. Whoever stays away from that meeting, as he waits for his GPU after all, is ended by ``MpiRanks.fail``,
and a rank that is killed ends all by way of mpiexec. What nothing here ends is a wire that breaks between two hosts
while a sum is under way.

It was never run on a GPU, but on a stand-in for CuPy and NCCL.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..engine.device import Device, cupy
from ..engine.memory import Array
from .parallel import Ranks

__all__ = ["Nccl", "use_nccl"]


class Nccl:
    """Adds up arrays of one GPU over all ranks, one after the other, on a stream of its own.

    key: of this meeting, made by rank 0. Raises NcclError where NCCL cannot, also in other ranks.
    """

    def __init__(self, device: Device, size: int, key: tuple[int, ...], rank: int):
        self.device, self.nccl = device, library()
        self.held: list[Array] = []  # what is on its way: else its memory might be given to another
        with device:
            self.communicator = self.nccl.NcclCommunicator(size, key, rank)
            self.stream = cupy().cuda.Stream(non_blocking=True)

    def begin(self, array: Any) -> None:
        """Add it up, in place, when the current stream has done what it was asked for until now.

        Raises TypeError and ValueError where it is not of real numbers that lie without gaps.
        """
        nccl = self.nccl
        kind = {"e": nccl.NCCL_FLOAT16, "f": nccl.NCCL_FLOAT32, "d": nccl.NCCL_FLOAT64}.get(array.dtype.char)
        if kind is None:
            raise TypeError(f"Nccl: an array is of {array.dtype}: give one of float16, float32 or float64")
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            raise ValueError(f"Nccl: an array {array.shape} has strides {array.strides}: give one without gaps")
        with self.device:
            self.stream.wait_event(cupy().cuda.get_current_stream().record())
            place = array.data.ptr
            self.communicator.allReduce(place, place, array.size, kind, nccl.NCCL_SUM, self.stream.ptr)
        self.held.append(array)

    def wait(self) -> None:
        """Let the current stream go on when all that was begun is there. The host goes on at once."""
        with self.device:
            cupy().cuda.get_current_stream().wait_event(self.stream.record())
        self.held = []

    def abort(self) -> None:
        """End what is under way, wherever it is: what is in these arrays then is of no use."""
        with self.device:
            self.communicator.abort()

    def close(self) -> None:
        """Let go of NCCL, which has done what was begun."""
        with self.device:
            self.communicator.destroy()


def library() -> Any:
    """CuPy's NCCL. Raises ImportError where CuPy finds none.

    CuPy 13 does not look where pip puts NVIDIA's package, so what is there is loaded before."""
    with suppress(Exception):  # not there: CuPy looks elsewhere
        from cuda.pathfinder import load_nvidia_dynamic_lib

        load_nvidia_dynamic_lib("nccl")
    from cupy.cuda import nccl

    if not nccl.available:
        major = cupy().cuda.runtime.runtimeGetVersion() // 1000
        raise ImportError(f"CuPy finds no NCCL: pip install nvidia-nccl-cu{major}")
    return nccl


def use_nccl(ranks: Ranks, devices: Sequence[Device]) -> str:
    """Let the GPUs of all ranks add up by NCCL, if all of them can. devices: those that this rank adds up arrays of, in
    the order in which the others have theirs.

    Returns how the ranks add up from now on, and why; nothing where there are no GPUs, or there is one rank alone.
    """
    own = list(dict.fromkeys(devices))
    if ranks.size < 2:
        return ""
    every = ranks.gather(_facts(own))
    if not any(gpus for *_, gpus in every):
        return ""
    why = _hindrance(ranks, every) or _meet(ranks, own)
    if why:
        return f"gradients go by way of main memory: {why}"
    return f"gradients go from GPU to GPU, by NCCL {every[0][1]}"


def _facts(devices: list[Device]) -> tuple[str, str, list[str]]:
    """Of this rank: (what keeps it from NCCL; the version; of each GPU where on the host it is)"""
    gpus = [device for device in devices if device.kind == "cuda"]
    if not gpus:
        return f"its device is {devices[0]}", "", []
    places = [cupy().cuda.runtime.deviceGetPCIBusId(gpu.index) for gpu in gpus]
    if len(gpus) < len(devices):
        return f"its devices are {' and '.join(map(str, devices))}", "", places
    try:
        number = library().get_version()
    except Exception as error:  # none, or a broken one
        return str(error), "", places
    return "", f"{number // 10000}.{number // 100 % 100}.{number % 100}", places


def _hindrance(ranks: Ranks, every: list[tuple[str, str, list[str]]]) -> str:
    """What keeps these ranks from NCCL: of the first that it keeps."""
    there: dict[tuple[str, str], int] = {}
    for rank, (trouble, version, gpus) in enumerate(every):
        if trouble:
            return f"{ranks.named(rank)}: {trouble}"
        if version != every[0][1]:
            return f"{ranks.named(rank)} has NCCL {version}, {ranks.named(0)} has {every[0][1]}"
        if len(gpus) != len(every[0][2]):
            return f"{ranks.named(rank)} has {len(gpus)} GPUs, {ranks.named(0)} has {len(every[0][2])}"
        for gpu in gpus:
            if (other := there.setdefault((ranks.hosts[rank], gpu), rank)) != rank:
                return f"{ranks.named(rank)} is on GPU {gpu}, and so is rank {other}, which NCCL refuses"
    return ""


def _meet(ranks: Ranks, devices: list[Device]) -> str:
    """Make what adds up on each device, in all ranks or in none; then the reason is returned."""
    keys: list[tuple[int, ...]] = []
    made: dict[Device, Nccl] = {}
    trouble = ""
    try:
        if not ranks.rank:
            keys = [library().get_unique_id() for _ in devices]
    except Exception as error:  # NCCL looks for a network
        trouble = str(error)
    keys, trouble = ranks.broadcast((keys, trouble))
    try:
        for device, key in zip(devices, keys, strict=False):
            made[device] = Nccl(device, ranks.size, key, ranks.rank)
    except Exception as error:
        trouble = str(error)
    troubles = ranks.gather(trouble)
    if any(troubles):
        for each in made.values():
            each.abort()
        return next(f"{ranks.named(rank)}: {trouble}" for rank, trouble in enumerate(troubles) if trouble)
    ranks.beside = made
    return ""
