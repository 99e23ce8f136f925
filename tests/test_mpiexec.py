"""Whether mpiexec has started a process is told by its environment alone, and MPI is asked only then."""

import sys

import pytest

from minicnn.training.mpiexec import ranks_of_this_run
from minicnn.training.parallel import Ranks


@pytest.mark.parametrize("environment", [
    {}, {"PMI_SIZE": "1"}, {"OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"},
    {"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_STEP_NUM_TASKS": "8"}])  # fmt: skip
def test_without_mpiexec_there_is_one_rank_and_no_mpi(environment, monkeypatch):
    monkeypatch.setitem(sys.modules, "minicnn.training.mpi", None)
    assert type(ranks_of_this_run(environment)) is Ranks


@pytest.mark.parametrize("environment, count", [
    ({"PMI_SIZE": "2"}, "2"), ({"OMPI_COMM_WORLD_SIZE": "3"}, "3"), ({"PMIX_RANK": "0"}, "several"),
    ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "4"}, "4"), ({"PMI_SIZE": "1", "OMPI_COMM_WORLD_SIZE": "5"}, "5"),
])  # fmt: skip
def test_ranks_that_cannot_meet_say_what_to_install(environment, count, monkeypatch):
    monkeypatch.setitem(sys.modules, "minicnn.training.mpi", None)
    with pytest.raises(ValueError, match=f"^mpiexec has started {count} ranks, and they have no way to meet: .*: pip "
                                         r'install "minicnn\[mpi\]"$'):
        ranks_of_this_run(environment)


class Others(Ranks):
    size = 2

    @staticmethod
    def library():
        return "MPICH 5.0.2"


def test_ranks_of_another_mpi_say_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "minicnn.training.mpi", type(sys)("mpi"))
    monkeypatch.setattr(sys.modules["minicnn.training.mpi"], "MpiRanks", Others, raising=False)
    assert type(ranks_of_this_run({"PMI_SIZE": "2"})) is Others
    assert type(ranks_of_this_run({"PMIX_RANK": "0"})) is Others
    with pytest.raises(ValueError, match="mpiexec has started 3 ranks, and mpi4py sees 2: they belong to different "
                                         "MPIs: start them by the mpiexec of mpi4py's own, MPICH 5"):
        ranks_of_this_run({"PMI_SIZE": "3"})
