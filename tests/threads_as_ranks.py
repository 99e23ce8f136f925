"""Ranks as threads of one process: what the ranks of a run say to each other, without MPI and without starting any."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from minicnn.engine.device import current_device
from minicnn.training.parallel import Ranks


class _Table:
    """Where the ranks meet."""

    def __init__(self, size):
        self.barrier, self.values = threading.Barrier(size, timeout=60), [None] * size


class ThreadRanks(Ranks):
    def __init__(self, table, rank):
        self.table, self.rank, self.size = table, rank, len(table.values)
        self.hosts = ["here"] * self.size
        self.sums = []

    def gather(self, value):
        self.table.values[self.rank] = value
        self.table.barrier.wait()
        values = list(self.table.values)
        self.table.barrier.wait()
        return values

    def all_reduce(self, array):
        self.sums.append((array, None))

    def sum_in_order(self, parts, total):
        self.sums.append((total, list(parts)))

    def wait(self):
        shapes = self.gather([array.shape for array, _ in self.sums])
        assert shapes == shapes[:1] * self.size, "all ranks add up the same arrays in the same order"
        for array, parts in self.sums:
            every = self.gather([array] if parts is None else parts)
            total = np.zeros_like(array)
            for part in (part for each in every for part in each):
                total += part
            self.barrier()
            array[...] = total
        self.sums = []


def together(size, work):
    """What work(ranks) gives for each of so many ranks, all at once. Where one raises, so does this."""
    table, here = _Table(size), current_device()

    def run(rank):
        try:
            with here:
                return work(ThreadRanks(table, rank))
        except BaseException:
            table.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        ends = [pool.submit(run, rank) for rank in range(size)]
    errors = [end.exception() for end in ends if end.exception()]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [end.result() for end in ends]
