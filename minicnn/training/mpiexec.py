"""Whether mpiexec has started this process, and with whom."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .parallel import Ranks

__all__ = ["ranks_of_this_run"]


def ranks_of_this_run(environment: Mapping[str, str] = os.environ) -> Ranks:
    """The ranks that were started together with this process; without mpiexec one, and MPI is not asked.

    Raises ValueError where mpiexec has started several that cannot meet.
    """
    counts = [int(environment[name]) for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE") if name in environment]
    if "PMIX_RANK" in environment and "SLURM_STEP_NUM_TASKS" in environment:
        counts.append(int(environment["SLURM_STEP_NUM_TASKS"]))
    if max(counts, default=1) < 2 and (counts or "PMIX_RANK" not in environment):
        return Ranks()
    count = max(counts, default="several")
    try:
        from .mpi import MpiRanks

        ranks = MpiRanks()
    except (ImportError, RuntimeError) as error:  # the latter where mpi4py finds no library
        raise ValueError(f"mpiexec has started {count} ranks, and they have no way to meet: "
                         f"{str(error).splitlines()[0]}: pip install \"minicnn[mpi]\"") from None
    if counts and ranks.size != count:
        raise ValueError(f"mpiexec has started {count} ranks, and mpi4py sees {ranks.size}: they belong to different "
                         f"MPIs: start them by the mpiexec of mpi4py's own, {ranks.library()}")
    return ranks if ranks.size > 1 else Ranks()
