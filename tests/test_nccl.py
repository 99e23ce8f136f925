"""Ranks whose GPUs add up by NCCL, on a stand-in for both: several processes, none of which has a GPU."""

import pickle

import mpi
import numpy as np
import pytest
from cuda_on_cpu import needs_compiler
from gpus import gpus  # noqa: F401
from mpi import HERE, needs_mpi
from nccl_program import Net, learned, step_of
from threads_as_ranks import together

from minicnn import cpu, cuda
from minicnn.training import nccl
from minicnn.training.exchange import Exchange
from minicnn.training.nccl import Nccl, use_nccl
from minicnn.training.parallel import Ranks

pytestmark = pytest.mark.processor


def found(what, folder, status=0):
    """What each of two ranks found; None of one that did not come so far."""
    mpi.run(2, HERE / "nccl_program.py", what, folder, status=status)
    files = [folder / f"{rank}.pickle" for rank in range(2)]
    return [pickle.loads(file.read_bytes()) if file.exists() else None for file in files]


@needs_mpi
@needs_compiler
def test_the_weights_are_those_of_one_processor(tmp_path):
    losses, right = learned(step_of(Net([cpu(0)])))
    first, second = found("equal", tmp_path)
    assert len(first) == 6
    for (devices, bucket, kind), (how, sums, theirs, state) in first.items():
        assert how == "gradients go from GPU to GPU, by NCCL 2.28.9"
        assert {device for device, _ in sums} == set(range(devices)), "each device's gradients stay on it"
        assert len(sums) == 3 * (devices if bucket else 4), "all of a step in one, or each by itself"
        assert sum(size for _, size in sums) == 3 * sum(a.size for name, a in right.items() if "velocity" in name)
        np.testing.assert_allclose(theirs, losses, rtol=1e-5)
        for name, array in right.items():
            np.testing.assert_allclose(state[name], array, rtol=2e-5, atol=2e-6, err_msg=f"{devices} {kind} {name}")
            assert (state[name] == second[devices, bucket, kind][-1][name]).all(), "all ranks have the same bits"


@needs_mpi
@needs_compiler
def test_the_stand_in_sees_who_waits_for_no_event(tmp_path):
    for (right, early, unread, freed), violations in found("race", tmp_path):
        assert (right, freed) == (None, None)
        assert "reads what the null stream of GPU 0 wrote" in early, "a sum begins before its array is computed"
        assert "the null stream of GPU 0 reads what stream" in unread, "who did not wait reads what is half a sum"
        (violation,) = violations
        assert violation.startswith("12 bytes of the null stream of GPU 0 were freed while stream")


@needs_mpi
@needs_compiler
def test_where_nccl_will_not_the_ranks_add_up_by_way_of_main_memory(tmp_path):
    one, other = found("refused", tmp_path)
    assert one[0] == other[0], "all say the same"
    same, broken = one[0]
    by = "gradients go by way of main memory: rank 1 on "
    assert same.startswith(by)
    assert same.endswith(" is on GPU 0000:00:00.0, and so is rank 0, which NCCL refuses")
    assert broken.startswith(by)
    assert broken.endswith(": NCCL_ERROR_SYSTEM_ERROR: unhandled system error")
    assert (one[1] == 4).all()
    assert (other[1] == 4).all()
    assert one[2], "what rank 0 had made is let go"


@needs_mpi
@needs_compiler
def test_gpus_that_wait_for_a_rank_which_failed_are_let_go(tmp_path):
    (said, array, seconds), other = found("fails", tmp_path, status=1)
    assert said.startswith("rank 1 on ")
    assert said.endswith(": no more")
    assert np.isnan(array).all()
    assert seconds < 10
    assert other is None


# -- without mpiexec ---------------------------------------------------------------------------------------------------

A, B = "0000:00:00.0", "0000:01:00.0"


@pytest.mark.parametrize("first, second, said", [
    (("", "2.28.9", [A]), ("", "2.28.9", [B]), ""),
    (("", "2.28.9", [A, B]), ("", "2.28.9", ["0000:02:00.0"]), "rank 1 on b has 1 GPUs, rank 0 on a has 2"),
    (("", "2.28.9", [A]), ("", "2.27.0", [B]), "rank 1 on b has NCCL 2.27.0, rank 0 on a has 2.28.9"),
    (("", "2.28.9", [A]), ("it has none", "", [B]), "rank 1 on b: it has none"),
    (("", "2.28.9", [A]), ("", "2.28.9", [A]), ""),
])  # fmt: skip
def test_what_keeps_two_ranks_from_nccl(first, second, said):
    ranks = Ranks()
    ranks.hosts = ["a", "b"]
    assert nccl._hindrance(ranks, [first, second]) == said
    if first == second:
        ranks.hosts, refused = ["a", "a"], f"rank 1 on a is on GPU {A}, and so is rank 0, which NCCL refuses"
        assert nccl._hindrance(ranks, [first, second]) == refused


def test_what_a_rank_has(gpus, monkeypatch):  # noqa: F811
    one, two = cuda(0), cuda(1)
    assert nccl._facts([one, two]) == ("", "2.28.9", [A, B])
    assert nccl._facts([cpu(0), cpu(1)]) == ("its device is cpu(0)", "", [])
    assert nccl._facts([cpu(0), one]) == ("its devices are cpu(0) and cuda(0)", "", [A])
    monkeypatch.setattr(gpus.cuda.nccl, "available", False)
    assert nccl._facts([one]) == ("CuPy finds no NCCL: pip install nvidia-nccl-cu13", "", [A])


def test_what_pip_has_put_beside_cupy_is_loaded_first(gpus, monkeypatch):  # noqa: F811
    asked, pathfinder = [], pytest.importorskip("cuda.pathfinder")
    monkeypatch.setattr(pathfinder, "load_nvidia_dynamic_lib", asked.append)
    assert nccl.library() is gpus.cuda.nccl
    assert asked == ["nccl"]


def test_one_rank_and_processors_need_none():
    assert use_nccl(Ranks(), [cpu(0)]) == ""
    assert together(2, lambda ranks: use_nccl(ranks, [cpu(0), cpu(1)])) == ["", ""]


def test_what_it_cannot_add_up_is_refused(gpus):  # noqa: F811
    sums = object.__new__(Nccl)
    sums.nccl = gpus.cuda.nccl
    with cuda(0):
        with pytest.raises(TypeError, match="Nccl: an array is of int32: give one of float16, float32 or float64"):
            sums.begin(gpus.zeros(3, np.int32))
        with pytest.raises(ValueError, match=r"Nccl: an array \(2, 2\) has strides \(16, 4\): give one without gaps"):
            sums.begin(gpus.zeros((2, 4), np.float32)[:, :2])


def test_ranks_with_different_devices_send_the_same_buckets():
    """As where of three GPUs one rank has one, for both towers, and another two."""
    def work(ranks):
        net = Net([cpu(0), cpu(ranks.rank)])
        sent = Exchange(dict(net.named_parameters()), ranks)
        return sent._in_buckets(list(sent.parameters))

    first, second = together(2, work)
    assert first == second == [["first.weight", "first.bias"], ["second.weight", "second.bias"]]

