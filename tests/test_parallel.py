"""What ranks know of each other, without MPI: what they share out, and whether they are alike."""

import numpy as np
import pytest
from threads_as_ranks import together

from minicnn.training.parallel import Ranks, check_alike

pytestmark = pytest.mark.processor


@pytest.mark.parametrize("hosts, gpus, own", [
    ("aa", "0123", ["01", "23"]), ("aa", "012", ["0", "12"]), ("aa", "0", ["0", "0"]), ("aaa", "01", ["0", "0", "1"]),
    ("aba", "01", ["0", "01", "1"]), ("a", "0123", ["0123"]), ("aa", "", ["", ""]),
])  # fmt: skip
def test_ranks_of_a_host_share_out_its_gpus(hosts, gpus, own):
    for rank, mine in enumerate(own):
        ranks = Ranks()
        ranks.hosts, ranks.rank, ranks.size = hosts, rank, len(hosts)
        assert "".join(ranks.own(gpus)) == mine


def test_one_rank_adds_up_in_order():
    total = np.full(3, 7, np.float32)
    Ranks().sum_in_order([np.arange(3, dtype=np.float32), np.ones(3, np.float32)], total)
    assert total.tolist() == [1, 2, 3]


def test_ranks_that_differ_are_named():
    def work(ranks):
        check_alike(ranks, {"NumPy": "2.4"})
        with pytest.raises(ValueError, match="let all ranks have the same") as found:
            check_alike(ranks, {"NumPy": "2.4", "--lr": 0.1 if ranks.rank == 2 else 0.01})
        assert str(found.value).startswith("rank 2 on here has --lr 0.1, rank 0 on here has 0.01: ")

    together(3, work)
