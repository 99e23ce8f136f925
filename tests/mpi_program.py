"""What tests let several processes do: mpiexec -n 3 python mpi_program.py WHAT ..."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import mpi_witness
import numpy as np

from minicnn.data import DataError
from minicnn.nn import Linear
from minicnn.optim import SGD, StepSchedule
from minicnn.training.interrupt import end_as_ctrl_c, ended
from minicnn.training.mpiexec import ranks_of_this_run
from minicnn.training.parallel_step import ParallelStep
from minicnn.training.step import Step
from minicnn.training.trainer import Trainer


def equal(ranks, out):
    """After some steps: what each kind of step has learned, and a softmax regression as the witness has it."""
    import test_split
    from test_parallel_step import SIZES, trained

    found = {}
    for i, sizes in enumerate(SIZES):
        for kind, parts in (("plain", 0), ("exact", 4)):
            losses, _, state = trained(sizes, ranks, parts)
            digests = ranks.gather(b"".join(array.tobytes() for array in state.values()))
            assert digests == digests[:1] * ranks.size, "all ranks have the same"
            found |= {f"{i}.{kind}.{name}": array for name, array in state.items()} | {f"{i}.{kind}.losses": losses}
    if ranks.size > 1:
        losses, _, state = test_split.trained("blueprint", ranks=ranks)
        found |= {f"split.{name}": array for name, array in state.items()} | {"split.losses": losses}
    net = Linear(mpi_witness.INPUTS, mpi_witness.CLASSES, generator=np.random.default_rng(0))
    net.load_state_dict(dict(zip(("weight", "bias"), mpi_witness.start(), strict=True)))
    step = ParallelStep(Step(net, SGD(net.named_parameters(), lr=0.1, weight_decay=0.01)), ranks)
    for number in range(20):
        x, labels = mpi_witness.batch(number)
        step.of([(x[cut], labels[cut]) for cut in step.share.cuts(len(labels))])
    if not ranks.rank:
        np.savez(out, **found, w=net.weight.numpy(), b=net.bias.numpy())


class Batches:
    """A few batches of numbers; ``trouble`` is called before each."""

    batch_size = 6

    def __init__(self, trouble=lambda batch: None):
        self.trouble = trouble

    def __len__(self):
        return 7

    def epoch(self, number, start=0, device=None):
        for first in range(start, 40, 6):
            self.trouble(7 * number + first // 6)
            random = np.random.default_rng([number, first])
            x = random.standard_normal((min(6, 40 - first), 20)).astype(np.float32)
            yield x, (x[:, 0] > 0).astype(np.int64)


def endless(ranks, folder, how, rank, moment):
    """Training without end, and what is to go wrong in one rank, so many seconds, or batches, after its start."""
    own = ranks.rank == int(rank)

    def kill():
        time.sleep(float(moment))
        os.kill(os.getpid(), signal.SIGKILL)

    def trouble(batch):
        if own and how in ("raise", "disk", "bug") and batch == int(moment):
            raise {"raise": ValueError("a mistake of its own"), "bug": TypeError("nobody thought of this"),
                   "disk": DataError("its pictures can no longer be read: is its drive still there?")}[how]

    if own and how == "kill":
        threading.Thread(target=kill, daemon=True).start()
    net = Linear(20, 2, generator=np.random.default_rng(0))
    step = ParallelStep(Step(net, SGD(net.named_parameters())), ranks)
    if how == "full" and own:
        step.state = full(int(moment), step.state)
    trainer = Trainer(step, StepSchedule(0.01, drops=()), Batches(trouble), Batches(), folder, keep=0,
                      print_every=10**9, save_minutes=10 if how in ("raise", "bug", "disk") else 0)
    Path(folder, f"started-{ranks.rank}").touch()
    ranks.barrier()
    trainer.fit(10**6)


def late(ranks, rank):
    """One rank fails when all others have done their work."""
    if ranks.rank == int(rank):
        time.sleep(0.5)
        raise ValueError("too late")


def full(saves, state):
    """The state of a step, or an error of the disk after so many saves."""
    def asked():
        nonlocal saves
        saves -= 1
        if saves < 0:
            raise OSError(28, "No space left on device", "last.safetensors")
        return state()
    return asked


def main():
    with ranks_of_this_run() as ranks:
        what, *more = sys.argv[1:]
        {"equal": equal, "endless": endless, "late": late}[what](ranks, *more)


if __name__ == "__main__":
    end_as_ctrl_c()
    sys.exit(ended(main, "program"))
