"""Several processes over MPI: they learn what one learns, and where one of them ends all do."""

import os
import random
import re
import signal
import socket
import subprocess
import time

import mpi
import numpy as np
import pytest
from mpi import HERE, needs_mpi
from test_parallel_step import SIZES, trained
from test_split import by_one

from minicnn import checkpoint
from minicnn.training.parallel import Ranks

pytestmark = needs_mpi
DEATHS = int(os.environ.get("DEATHS", 2))  # of each kind; in CI 20


@pytest.fixture(scope="module")
def alone():
    plain = [trained(sizes) for sizes in SIZES]
    exact = [trained(sizes, Ranks(), in_order=4) for sizes in SIZES]
    return {"plain": plain, "exact": exact}


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_the_weights_are_those_of_one_process(ranks, alone, tmp_path):
    mpi.run(ranks, HERE / "mpi_program.py", "equal", tmp_path / "ours.npz")
    mpi.run(ranks, HERE / "mpi_witness.py", tmp_path / "witness.npz", 20)
    ours, witness = (np.load(tmp_path / name) for name in ("ours.npz", "witness.npz"))
    for name in "w", "b":
        np.testing.assert_allclose(ours[name], witness[name], rtol=1e-5, atol=1e-6)
    if ranks > 1:
        losses, _, state = by_one("blueprint")
        np.testing.assert_allclose(ours["split.losses"], losses, rtol=1e-4)
        for name, array in state.items():
            np.testing.assert_allclose(ours[f"split.{name}"], array, rtol=1e-4, atol=2e-6, err_msg=name)
    for kind, right in alone.items():
        for i, (losses, _, state) in enumerate(right):
            close = {"rtol": 0} if kind == "exact" else {"rtol": 2e-5, "atol": 2e-6}
            np.testing.assert_allclose(ours[f"{i}.{kind}.losses"], losses, rtol=0 if kind == "exact" else 1e-5)
            for name, array in state.items():
                np.testing.assert_allclose(ours[f"{i}.{kind}.{name}"], array, err_msg=f"{kind} {name}", **close)


# -- the end -----------------------------------------------------------------------------------------------------------

HOST = re.escape(socket.gethostname())
SAVED = r"; (what was learned until step \d+ is saved: go on with --resume|nothing was learned (yet|since the last " \
        r"checkpoint))\n"
SAID = {  # how a rank ends, and what is said of it
    "kill": r"rank {} on {} \(process \d+\) has died: it was killed, ",
    "raise": r"rank {} on {}: a mistake of its own" + SAVED,
    "bug": r"rank {} on {}: TypeError: nobody thought of this" + SAVED,
    "disk": r"rank {} on {}: its pictures can no longer be read: is its drive still there\?" + SAVED,
}


def moments(kind):
    draw = random.Random(kind)
    for _ in range(min(DEATHS, 2) if kind == "bug" else DEATHS):
        size = draw.choice([2, 3])
        yield kind, size, draw.randrange(size), draw.uniform(0, 1) if kind == "kill" else draw.randrange(40)


def left_over(folder):
    """Processes whose command names the folder."""
    return subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout.split()


def whole(folder):
    """The last checkpoint, if there is one, can be read, and nothing unfinished is left."""
    if (folder / "last.safetensors").exists():
        _, facts = checkpoint.load(folder / "last.safetensors")
        return facts["progress"]["step"]
    return 0


@pytest.mark.parametrize("kind, size, rank, moment", [each for kind in SAID for each in moments(kind)])
def test_where_one_ends_all_end_and_it_is_named(kind, size, rank, moment, tmp_path):
    process = mpi.started(size, HERE / "mpi_program.py", "endless", tmp_path, kind, rank, moment)
    status, text, seconds = mpi.ended(process, 60)
    assert status, text
    said = SAID[kind].format(rank, HOST)
    if rank == 0 and kind != "kill":  # which speaks for itself
        said = said.removeprefix(f"rank 0 on {HOST}: ").removeprefix("TypeError: ")
    assert re.search(said.removesuffix(SAVED) if kind == "bug" and rank == 0 else said, text), text
    assert seconds < 30
    whole(tmp_path)
    assert not left_over(tmp_path)


@pytest.mark.parametrize("rank", [0, 1])
def test_who_fails_when_all_others_are_done_is_named_and_nobody_has_died(rank):
    _, text, seconds = mpi.ended(mpi.started(2, HERE / "mpi_program.py", "late", rank))
    assert re.fullmatch(rf"program: {'' if rank == 0 else f'rank 1 on {HOST}: '}too late\n", text), text
    assert seconds < 20


@pytest.mark.parametrize("name, number", [*(("SIGINT", number) for number in range(DEATHS)), ("SIGTERM", 0)])
def test_ctrl_c_on_mpiexec_saves(name, number, tmp_path):
    draw = random.Random(number)
    process = mpi.started(draw.choice([2, 3]), HERE / "mpi_program.py", "endless", tmp_path, "not", 0, 0)
    begun = time.monotonic()
    while not (tmp_path / "last.safetensors").exists():
        assert time.monotonic() - begun < 60
        time.sleep(0.05)
    time.sleep(draw.uniform(0, 1))
    process.send_signal(getattr(signal, name))
    status, text, _ = mpi.ended(process)
    assert status == 130, text
    assert "stopped; everything is saved: go on with --resume" in text
    assert whole(tmp_path) > 0
    assert not left_over(tmp_path)


@pytest.mark.parametrize("number", range(min(DEATHS, 2)))
def test_a_full_disk_ends_all_and_the_last_checkpoint_is_whole(number, tmp_path):
    saves = random.Random(number).randrange(1, 30)
    text = mpi.run(2, HERE / "mpi_program.py", "endless", tmp_path, "full", 0, saves, status=1)
    assert re.search(r"program: last.safetensors: No space left on device; what was learned since step \d+ is", text)
    assert whole(tmp_path) > 0
