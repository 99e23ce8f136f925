"""``mpiexec -n 4 python -m minicnn doctor --mpi``: can these processes train together, and what keeps them back?

Every rank says what it is and has; rank 0 prints what all of that comes to, in the doctor's lines.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import __version__
from .doctor import choose
from .engine.device import Device, copy_to, device
from .findings import Finding, show
from .kernels import blas, set_num_threads
from .kernels.machine import usable_cores
from .kernels.product import product
from .training.mpiexec import ranks_of_this_run
from .training.nccl import use_nccl
from .training.parallel import Ranks

__all__ = ["examine", "facts_of", "report"]

SENT, ALEXNET = 60_000_000, 4 * 60_965_224  # bytes that are added up here, and in a step of AlexNet
MATRIX = 1024  # of the square ones whose product shows how fast a rank is
SLOW = 0.7  # of the fastest rank's rate: who is slower keeps the others waiting for a third of their time
APART = 1.0  # seconds that clocks may differ
MUST_AGREE = ("minicnn", "NumPy")  # else training refuses


def report() -> int:
    """Print what was found. Returns the exit status: 1 where training would refuse.

    Raises ValueError where there is one process alone, with how there come to be several.
    """
    with ranks_of_this_run() as ranks:
        if ranks.size < 2:
            install = "" if importlib.util.find_spec("mpi4py") else ', after pip install "minicnn[mpi]"'
            raise ValueError(f"--mpi looks at several processes: mpiexec -n 2 python -m minicnn doctor --mpi{install}")
        set_num_threads(ranks.cores())
        names, reason = choose(most=2 * ranks.here()[1])
        if "cuda" in names:
            names = ",".join(ranks.own(names.split(",")))
        findings = examine(ranks, facts_of(ranks) | {"devices": f"{names} ({reason})"},
                           [device(name) for name in names.split(",")])
        show(findings)
        return int(any(f.state == "NO" for f in findings))


def facts_of(ranks: Ranks) -> dict[str, Any]:
    """What this rank is: versions, and where and with what it works."""
    bound = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    versions = {"Python": platform.python_version(), "minicnn": __version__, "NumPy": np.__version__,
                "Numba": importlib.metadata.version("numba"), "mpi4py": importlib.metadata.version("mpi4py"),
                "MPI": getattr(ranks, "library", str)(), "BLAS": blas.in_use()}
    return {"versions": versions, "bound": sorted(bound), "usable": usable_cores(), "threads": ranks.cores()}


def examine(ranks: Ranks, facts: dict[str, Any], devices: list[Device]) -> list[Finding]:
    """All findings, the same in all ranks. facts: of this one. devices: on which it would train."""
    every = ranks.gather(facts)
    return [hosts(ranks), *cores(ranks, every), *versions(ranks, every), *same_time(ranks), pace(ranks),
            *on_devices(ranks, every, devices), exchange(ranks, devices[0])]


# -- what is looked at -------------------------------------------------------------------------------------------------


def hosts(ranks: Ranks) -> Finding:
    return Finding("ranks", "ok", f"{ranks.size} on {_by_rank(ranks.hosts)}")


def cores(ranks: Ranks, every: list[dict[str, Any]]) -> Iterable[Finding]:
    """Of each host: do its ranks use the cores that there are, and no more?"""
    for host in dict.fromkeys(ranks.hosts):
        own = [facts for facts, place in zip(every, ranks.hosts, strict=True) if place == host]
        bound = set().union(*(facts["bound"] for facts in own))
        quota = max(facts["usable"] for facts in own if len(facts["bound"]) == max(len(f["bound"]) for f in own))
        there = len(bound) if quota >= min(len(facts["bound"]) for facts in own) else quota
        threads = [facts["threads"] for facts in own]
        text = f"{len(own)} ranks, {sum(threads)} threads, on {there} cores"
        name = f"cores of {host}"
        if sum(threads) > there:
            yield Finding(name, "!", text, f"they take each other's time: start {there} ranks there, or fewer")
        elif sum(threads) + len(own) <= there:
            yield Finding(name, "!", text, "each is bound to cores of its own, and these are shared out once more: "
                          "mpiexec -bind-to none lets each have its share of all")
        else:
            yield Finding(name, "ok", text)


def versions(ranks: Ranks, every: list[dict[str, Any]]) -> Iterable[Finding]:
    """One line where all ranks have the same, else one for each thing that differs."""
    alike = []
    for name, first in every[0]["versions"].items():
        found = [facts["versions"][name] for facts in every]
        if len(set(found)) == 1:
            alike.append(first if name in ("MPI", "BLAS") else f"{name} {first}")
        elif name == "BLAS":
            yield Finding(name, "!", _by_rank(found), "--exact does not give the bits of one process then")
        else:
            yield Finding(name, "NO" if name in MUST_AGREE else "!", _by_rank(found), "install one version everywhere")
    yield Finding("versions", "ok", "the same in all: " + ", ".join(alike))


def same_time(ranks: Ranks) -> Iterable[Finding]:
    """Do the clocks of several hosts agree, as far as a meeting can tell?"""
    ranks.barrier()
    clocks = ranks.gather(time.time())
    apart = max(clocks) - min(clocks)
    if apart > APART:
        late = _by_rank([f"{clock - clocks[0]:+.1f} s" for clock in clocks])
        yield Finding("clocks", "!", f"they differ: {late}", "set them by NTP: caches go by the time of files")
    elif len(set(ranks.hosts)) > 1:
        yield Finding("clocks", "ok", f"they differ by less than {APART:g} s")


def pace(ranks: Ranks) -> Finding:
    """How fast is each, all at once? A step takes as long as that of the slowest."""
    a = np.ones((MATRIX, MATRIX), np.float32)
    ranks.barrier()
    seconds = min(_timed(lambda: product(a, a)) for _ in range(5))
    rates = [2e-9 * MATRIX**3 / each for each in ranks.gather(seconds)]
    text = f"{min(rates):.0f} to {max(rates):.0f} GFLOP/s a rank, in a product of matrices"
    if min(rates) < SLOW * max(rates):
        slowest = ranks.named(int(np.argmin(rates)))
        return Finding("pace", "!", text, f"all wait for {slowest}: see what else it does, or leave it out")
    return Finding("pace", "ok", text)


def on_devices(ranks: Ranks, every: list[dict[str, Any]], devices: list[Device]) -> Iterable[Finding]:
    """Where each would train, and whether gradients go from GPU to GPU."""
    yield Finding("devices", "ok", _by_rank([facts["devices"] for facts in every]))
    how = use_nccl(ranks, devices)
    way, _, why = how.partition(": ")
    if not how:
        yield Finding("NCCL", "-", "no rank has a GPU")
    elif why:
        yield Finding("NCCL", "no", why, way)
    else:
        yield Finding("NCCL", "ok", how)


def exchange(ranks: Ranks, place: Device) -> Finding:
    """How fast is an array added up over the ranks, and what is that to AlexNet?"""
    array = copy_to(np.ones(SENT // 4, np.float32), place)
    meeting = statistics.median(_timed(ranks.barrier) for _ in range(20))

    def added_up() -> None:
        ranks.all_reduce(array)
        ranks.wait()
        place.numpy(array[:1])  # a GPU is asked only here

    ranks.barrier()
    seconds = statistics.median(max(ranks.gather(_timed(added_up))) for _ in range(3))
    return Finding("all-reduce", "ok", f"{SENT / 1e6:.0f} MB in {seconds:.3f} s, {SENT / 1e6 / seconds:,.0f} MB/s: "
                   f"AlexNet's {ALEXNET / 1e6:.0f} MB a step take {seconds * ALEXNET / SENT:.2f} s; a meeting "
                   f"{1e3 * meeting:.1f} ms")


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _by_rank(values: Iterable[str]) -> str:
    """As "a (ranks 0, 1), b (rank 2)"."""
    ranks: dict[str, list[str]] = {}
    for rank, value in enumerate(values):
        ranks.setdefault(value, []).append(str(rank))
    return ", ".join(f"{value} (rank{'s' * (len(of) > 1)} {', '.join(of)})" for value, of in ranks.items())
