"""--split-fc as people run it: ranks that mpiexec has started, and what they send each other."""

import re
from pathlib import Path

import mpi
import numpy as np
import pytest
from mpi import needs_mpi
from pictures import make_folder

from minicnn import checkpoint

pytestmark = [needs_mpi, pytest.mark.processor]
SCRIPT = Path(__file__).parents[1] / "examples" / "train_alexnet.py"
SWAP = """
import numpy as np
from minicnn.training.mpi import MpiRanks
with MpiRanks() as ranks:
    for dtype in (np.float16, np.float32, np.float64):  # to rank r, r images of 2 numbers: also none
        parts = [np.arange(2 * r, dtype=dtype).reshape(2, r).T + 10 * ranks.rank for r in range(ranks.size)]
        got = ranks.all_to_all(parts)
        for rank, array in enumerate(got):
            assert (array.dtype, array.shape) == (dtype, (ranks.rank, 2))
            assert (array == np.arange(2 * ranks.rank).reshape(2, ranks.rank).T + 10 * rank).all()
    assert [len(a) for a in ranks.all_to_all([np.ones(ranks.rank)] * 3)] == [0, 1, 2]
    print("swapped")
"""
FAIL = """
import sys
import numpy as np
from minicnn.training.interrupt import ended
from minicnn.training.mpi import MpiRanks
def work():
    with MpiRanks() as ranks:
        if ranks.rank == 1:
            raise ValueError("it was enough")
        ranks.all_to_all([np.ones(2)] * ranks.size)
sys.exit(ended(work, "swap"))
"""


def test_a_split_run_learns_what_one_process_learns(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_folder(tmp_path / "data" / "train", 5)  # the last of its batches has fewer pictures than there are ranks
    make_folder(tmp_path / "data" / "val", 2)
    settings = [SCRIPT, tmp_path / "data", "--width", "0.02", "--epochs", "1", "--seed", "1", "-b", "4", "-j", "0",
                "-o"]
    assert "fc6, fc7 and fc8 are split" in mpi.run(3, *settings, tmp_path / "split", "--split-fc")
    assert "nothing is split" in mpi.run(1, *settings, tmp_path / "one", "--split-fc")
    split, one = (checkpoint.load(tmp_path / run / "last.safetensors")[0] for run in ("split", "one"))
    assert split.keys() == one.keys()
    for name, array in one.items():
        np.testing.assert_allclose(split[name], array, rtol=1e-3, atol=1e-5, err_msg=name)
    assert (tmp_path / "split" / "predictions.png").exists()


def test_a_part_for_each_rank_arrives_there():
    assert "swapped" in mpi.run(3, "-c", SWAP)


def test_where_a_rank_fails_nobody_waits_for_its_part():
    assert re.fullmatch(r"swap: rank 1 on \S+: it was enough\n", mpi.run(3, "-c", FAIL, status=1))
