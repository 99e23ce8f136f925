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
    count = max(int(environment.get(name, 0)) for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"))
    if count < 2 and "PMIX_RANK" not in environment:
        return Ranks()
    try:
        from .mpi import MpiRanks

        ranks = MpiRanks()
    except (ImportError, RuntimeError) as error:  # the latter where mpi4py finds no library
        raise ValueError(f"mpiexec has started {count} ranks, and they have no way to meet: "
                         f"{str(error).splitlines()[0]}: pip install \"minicnn[mpi]\"") from None
    if count and ranks.size != count:
        raise ValueError(f"mpiexec has started {count} ranks, and mpi4py sees {ranks.size}: they belong to different "
                         f"MPIs: start them by the mpiexec of mpi4py's own, {ranks.library()}")
    return ranks if ranks.size > 1 else Ranks()
