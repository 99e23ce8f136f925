"""python -m minicnn doctor --mpi, under mpiexec, and with ranks that differ, which are made up."""

import sys

import mpi
import numpy as np
import pytest
from mpi import needs_mpi
from threads_as_ranks import together

from minicnn import cpu, doctor_mpi
from minicnn.__main__ import main
from minicnn.doctor import looked
from minicnn.doctor import mpi as of_mpi
from minicnn.doctor_mpi import cores, examine, facts_of, on_devices, pace, same_time, versions
from minicnn.training.parallel import Ranks


def ranks_on(*hosts):
    ranks = Ranks()
    ranks.hosts, ranks.size = hosts, len(hosts)
    return ranks


def lines(findings):
    return [f"{f.state} {f.name}: {f.text}" + f" → {f.remedy}" * bool(f.remedy) for f in findings]


@needs_mpi
def test_two_processes_under_mpiexec():
    said = mpi.run(2, "-m", "minicnn", "doctor", "--mpi").splitlines()
    assert [line.split()[:2] for line in said if line[:2].strip()] == [
        ["ok", "ranks"], [said[1].split()[0], "cores"], ["ok", "versions"], [said[-4].split()[0], "pace"],
        ["ok", "devices"], ["-", "NCCL"], ["ok", "all-reduce"]] or said
    assert " 2 on " in said[0]
    assert said[0].endswith("(ranks 0, 1)")
    assert any("mpi4py" in line and "MPICH" in line and f"NumPy {np.__version__}" in line for line in said)
    assert "60 MB in " in said[-1]
    assert "AlexNet's 244 MB a step take " in said[-1]


def test_without_mpiexec_it_says_how_it_is_called(capsys, monkeypatch):
    said = "--mpi looks at several processes: mpiexec -n 2 python -m minicnn doctor --mpi"
    for there in True, False:
        if not there:
            monkeypatch.setitem(sys.modules, "mpi4py", None)
        with pytest.raises(SystemExit) as stopped:
            main(["doctor", "--mpi"])
        assert stopped.value.code == 2
        assert said + ', after pip install "minicnn[mpi]"' * (not there) + ";" in capsys.readouterr().err


@pytest.mark.parametrize("status", [0, 1])
def test_the_exit_status_says_whether_training_would_refuse(status, monkeypatch, capsys):
    ranks = ranks_on("a", "a")
    monkeypatch.setattr(doctor_mpi, "ranks_of_this_run", lambda: ranks)
    monkeypatch.setattr(doctor_mpi, "examine", lambda *given: [doctor_mpi.Finding("x", ("ok", "NO")[status], "y")])
    assert main(["doctor", "--mpi"]) == status


def test_a_rank_with_other_versions_is_named():
    def work(ranks):
        ranks.hosts = ["a", "b", "b"]
        own = {"versions": {"minicnn": "0.1.0", "NumPy": "2.4.6", "Python": "3.11.7", "BLAS": "OpenBLAS"}}
        if ranks.rank == 2:
            own["versions"] |= {"NumPy": "2.0.0", "Python": "3.12.1", "BLAS": "MKL"}
        return lines(versions(ranks, ranks.gather(own)))

    for said in together(3, work):
        assert said == [
            "NO NumPy: 2.4.6 (ranks 0, 1), 2.0.0 (rank 2) → install one version everywhere",
            "! Python: 3.11.7 (ranks 0, 1), 3.12.1 (rank 2) → install one version everywhere",
            "! BLAS: OpenBLAS (ranks 0, 1), MKL (rank 2) → --exact does not give the bits of one process then",
            "ok versions: the same in all: minicnn 0.1.0"]


def worker(bound, usable, threads):
    return {"bound": list(bound), "usable": usable, "threads": threads}


TOO_MANY = " → they take each other's time: start {} ranks there, or fewer"


@pytest.mark.parametrize("every, said", [
    ([worker(range(8), 8, 4)] * 2, "ok cores of a: 2 ranks, 8 threads, on 8 cores"),
    ([worker(range(3), 3, 1)] * 2, "ok cores of a: 2 ranks, 2 threads, on 3 cores"),
    ([worker(range(2), 2, 1)] * 3, "! cores of a: 3 ranks, 3 threads, on 2 cores" + TOO_MANY.format(2)),
    ([worker(range(64), 4, 1)] * 4, "ok cores of a: 4 ranks, 4 threads, on 4 cores"),  # a container's quota
    ([worker(range(64), 4, 1)] * 5, "! cores of a: 5 ranks, 5 threads, on 4 cores" + TOO_MANY.format(4)),
    ([worker([0], 1, 1), worker([1], 1, 1)], "ok cores of a: 2 ranks, 2 threads, on 2 cores"),  # each bound to one
    ([worker(range(4), 4, 2), worker(range(4, 8), 4, 2)], "! cores of a: 2 ranks, 4 threads, on 8 cores → each is "
     "bound to cores of its own, and these are shared out once more: mpiexec -bind-to none lets each have its share of "
     "all"),
])  # fmt: skip
def test_cores_of_a_host(every, said):
    (only,) = lines(cores(ranks_on(*["a"] * len(every)), every))
    assert only == said
    twice = lines(cores(ranks_on(*["a", "b"] * len(every)), [facts for facts in every for _ in "ab"]))
    assert twice == [said, said.replace("cores of a", "cores of b")], "each host by itself"


def test_clocks_and_rates_that_differ():
    ranks = ranks_on("a", "b", "b")
    ranks.gather = lambda value: [100.0, 100.25, 97.0]
    (said,) = lines(same_time(ranks))
    assert said.startswith("! clocks: they differ: +0.0 s (rank 0), +0.2 s (rank 1), -3.0 s (rank 2) → set them by NTP")
    ranks.gather = lambda value: [100.0, 100.25, 100.5]
    assert lines(same_time(ranks)) == ["ok clocks: they differ by less than 1 s"]
    assert lines(same_time(ranks_on("a", "a"))) == [], "one host has one clock"
    ranks.gather = lambda value: [0.01, 0.011, 0.02]
    (said,) = lines([pace(ranks)])
    assert said == ("! pace: 107 to 215 GFLOP/s a rank, in a product of matrices → all wait for rank 2 on b: see what "
                    "else it does, or leave it out")
    ranks.gather = lambda value: [0.01, 0.011, 0.012]
    assert lines([pace(ranks)]) == ["ok pace: 179 to 215 GFLOP/s a rank, in a product of matrices"]


@pytest.mark.parametrize("how, said", [
    ("", "- NCCL: no rank has a GPU"),
    ("gradients go from GPU to GPU, by NCCL 2.28.9", "ok NCCL: gradients go from GPU to GPU, by NCCL 2.28.9"),
    ("gradients go by way of main memory: rank 1 on b: no", "no NCCL: rank 1 on b: no → gradients go by way of main "
     "memory"),
])  # fmt: skip
def test_whether_gpus_have_nccl(how, said, monkeypatch):
    monkeypatch.setattr(doctor_mpi, "use_nccl", lambda ranks, devices: how)
    every = [{"devices": "cuda:0 (1 GPU)"}, {"devices": "cuda:1 (1 GPU)"}]
    assert lines(on_devices(ranks_on("a", "a"), every, [])) == [
        "ok devices: cuda:0 (1 GPU) (rank 0), cuda:1 (1 GPU) (rank 1)", said]


def test_all_ranks_find_the_same(monkeypatch):
    monkeypatch.setattr(doctor_mpi, "SENT", 4000)
    monkeypatch.setattr(doctor_mpi, "MATRIX", 8)
    found = together(2, lambda ranks: lines(examine(ranks, facts_of(ranks) | {"devices": "cpu:0"}, [cpu(0)])))
    (first, *rest), other = found
    assert (first, rest[-2]) == (other[0], other[-2])
    assert [line.partition(":")[0].split(maxsplit=1)[1] for line in (first, *rest)] == [
        "ranks", "cores of here", "versions", "pace", "devices", "NCCL", "all-reduce"]


# -- without --mpi: one line -------------------------------------------------------------------------------------------


def test_the_doctor_says_whether_there_is_mpi(capsys, monkeypatch):
    text = pytest.importorskip("mpi4py").__version__
    assert lines([looked("MPI", of_mpi)])[0].startswith(f"ok MPI: mpi4py {text}, ")
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    monkeypatch.delattr(sys.modules["mpi4py"], "MPI", raising=False)
    assert lines([looked("MPI", of_mpi)])[0].startswith("NO MPI: mpi4py finds no library: ")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert lines([looked("MPI", of_mpi)]) == [
        'no MPI: mpi4py is not installed → to train in several processes: pip install "minicnn[mpi]"']
    assert main(["doctor"]) == 0, "that it is absent is no fault"
