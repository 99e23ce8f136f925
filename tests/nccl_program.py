"""What tests let several processes do with a stand-in for GPUs and NCCL.

    mpiexec -n 2 python nccl_program.py WHAT FOLDER

Each writes what it found as FOLDER/<rank>.pickle.
"""

import gc
import pickle
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import cuda_on_cpu
import cupy_stand_in
import numpy as np

from minicnn import Tensor, cuda
from minicnn.nn import Linear, Module
from minicnn.ops import relu, to_device
from minicnn.optim import SGD
from minicnn.training import exchange
from minicnn.training.nccl import Nccl, use_nccl
from minicnn.training.parallel import RankFailed
from minicnn.training.parallel_step import ParallelStep
from minicnn.training.step import CapturedStep, Step


class Net(Module):
    """Two layers, perhaps on two devices."""

    def __init__(self, devices):
        self.devices, random = devices, np.random.default_rng(1)
        with devices[0]:
            self.first = Linear(6, 8, generator=random)
        with devices[-1]:
            self.second = Linear(8, 3, generator=random)

    def forward(self, x):
        x = relu(self.first(x if isinstance(x, Tensor) else Tensor(x, device=self.devices[0])))
        return self.second(to_device(x, self.devices[-1]))


def batch(number, size=7):
    random = np.random.default_rng(number)
    return random.standard_normal((size, 6)).astype(np.float32), random.integers(0, 3, size)


def step_of(net, kind=Step):
    return kind(net, SGD(net.named_parameters(), lr=0.1, weight_decay=0.01))


def learned(step, steps=3):
    """The losses, and all that is learned, after some steps."""
    losses = []
    for number in range(steps):
        x, labels = batch(number, 8)
        losses.append(step.of([(x[cut], labels[cut]) for cut in step.share.cuts(len(labels))])[0])
    return losses, step.model.state_dict() | {f"velocity.{k}": v for k, v in step.optimiser.state_dict().items()}


# -- what each rank does -----------------------------------------------------------------------------------------------


def equal(ranks):
    """One device and two, each bucket one gradient and all in one, eager and captured; and which sums NCCL did."""
    found, sums, begin = {}, [], Nccl.begin
    Nccl.begin = lambda self, array: (sums.append((self.device.index, array.size)), begin(self, array))
    for devices in [cuda(0)], [cuda(0), cuda(1)]:
        for bucket in 0, 2**22:
            for kind in (Step, CapturedStep) if len(devices) == 1 else (Step,):
                sums.clear()
                exchange.BUCKET = bucket
                with devices[0]:
                    how = use_nccl(ranks, devices)
                    losses, state = learned(ParallelStep(step_of(Net(devices), kind), ranks))
                found[len(devices), bucket, kind.__name__] = how, [*sums], losses, state
    return found


def race(ranks):
    """What the stand-in says of each mistake that a GPU would not mention."""
    use_nccl(ranks, [cuda(0)])
    (sums,) = ranks.beside.values()
    cupy, found = cupy_stand_in.sys.modules["cupy"], []
    with cuda(0):
        @contextmanager
        def seen():
            try:
                yield found.append(None)
            except cupy_stand_in.Unordered as error:
                found[-1] = str(error)

        array = cupy.ones(3, np.float32)
        with seen():  # nothing is wrong
            sums.begin(array)
            sums.begin(cupy.ones(5, np.float32))  # whose memory nobody else keeps
            gc.collect()
            sums.wait()
            assert (array.get() == 2).all()
        wait_event, sums.stream.wait_event = sums.stream.wait_event, lambda event: None
        array += 1
        with seen():
            sums.begin(array)
        sums.stream.wait_event = wait_event
        with seen():
            sums.begin(array)
            array.get()
        sums.wait()
        with seen():
            sums.begin(cupy.ones(3, np.float32))
            sums.held.clear()
            gc.collect()
    return found, list(cupy_stand_in.violations)


def refused(ranks):
    """Where NCCL cannot, or will not in one rank, all add up by way of main memory; and they do add up."""
    said, made, original = [], [], cupy_stand_in.NcclCommunicator.__init__

    def broken(self, ndev, key, rank):
        original(self, ndev, key, rank)
        made.append(self)
        if rank:
            raise cupy_stand_in.NcclError("NCCL_ERROR_SYSTEM_ERROR: unhandled system error")

    with cuda(0):
        array = cupy_stand_in.sys.modules["cupy"].ones(3, np.float32)
        for place, init in (0, original), (2 * ranks.rank, broken):
            cupy_stand_in.first_bus, cupy_stand_in.NcclCommunicator.__init__ = place, init
            said.append(use_nccl(ranks, [cuda(0)]))
            assert not ranks.beside
            ranks.all_reduce(array)
            ranks.wait()
        return said, array.get(), made[0].aborted


def fails(ranks):
    """Rank 1 fails when others' GPUs wait for it: they are let go."""
    use_nccl(ranks, [cuda(0)])
    begun = time.monotonic()
    with cuda(0):
        arrays = [cupy_stand_in.sys.modules["cupy"].ones(3, np.float32) for _ in range(2)]
        ranks.all_reduce(arrays[0])
        if ranks.rank:
            raise ValueError("no more")
        ranks.all_reduce(arrays[1])
        ranks.wait()
        try:
            ranks.gather(None)
        except RankFailed as error:
            return str(error), arrays[1].get(), time.monotonic() - begun


def main():
    from minicnn.training.mpi import MpiRanks

    what, folder = sys.argv[1:]
    cupy_stand_in.install(cuda_on_cpu.compile_unwatched)
    with MpiRanks() as ranks:
        cupy_stand_in.first_bus = 2 * ranks.rank
        found = globals()[what](ranks)
        Path(folder, f"{ranks.rank}.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main()
