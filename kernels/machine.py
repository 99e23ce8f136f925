"""How many cores this process may use: of those there are, those it is bound to, and what its quota pays for."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

__all__ = ["usable_cores"]


def usable_cores(root: Path = Path("/")) -> int:
    """At least 1, and at most: the cores there are, those of the process's affinity (taskset, SLURM), and the quota of
    its control groups (docker --cpus, Kubernetes), rounded down, as who asks for more is stopped for a while.

    root: where /proc and /sys are.
    """
    if hasattr(os, "process_cpu_count"):  # Python 3.13: the affinity too, and PYTHON_CPU_COUNT
        count = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    return max(1, min(count or 1, math.floor(_quota(root))))


def _quota(root: Path) -> float:
    """Cores' worth of time that the control groups of this process, and those above them, allow."""
    try:
        groups = (root / "proc/self/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return 1e9  # no Linux
    allowed = [1e9]
    for line in groups:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = {controllers, "cpu", "cpu,cpuacct", "cpuacct,cpu"} if controllers else {"", "unified"}
        inside = PurePosixPath("/", path).relative_to("/")
        for mount in mounts:
            for group in (inside, *inside.parents):  # in a container the path may be that of the host: see them all
                allowed.append(_of_group(root / "sys/fs/cgroup" / mount / group))
    return min(allowed)


def _of_group(folder: Path) -> float:
    with suppress(OSError, ValueError, ZeroDivisionError):  # version 2: "200000 100000" or "max 100000"
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period) if quota != "max" else 1e9
    with suppress(OSError, ValueError, ZeroDivisionError):  # version 1: -1 is no limit
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else 1e9
    return 1e9
