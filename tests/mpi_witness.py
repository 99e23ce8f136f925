"""Softmax regression by several processes, in NumPy and mpi4py alone: what averaging over MPI should give.

    mpiexec -n 3 python mpi_witness.py OUT.npz STEPS

Knows nothing of minicnn. v ← 0.9 v − 0.01 · 0.1 w − 0.1 ∂L/∂w; w ← w + v, L the mean over the images of all processes.
"""

import sys

import numpy as np
from mpi4py import MPI

IMAGES, INPUTS, CLASSES = 11, 6, 4


def batch(step):
    random = np.random.default_rng(step)
    return random.standard_normal((IMAGES, INPUTS)).astype(np.float32), random.integers(0, CLASSES, IMAGES)


def start():
    random = np.random.default_rng(99)
    return [random.standard_normal((CLASSES, INPUTS)).astype(np.float32), np.zeros(CLASSES, np.float32)]


def main():
    comm, (w, b) = MPI.COMM_WORLD, start()
    velocities = [np.zeros_like(w), np.zeros_like(b)]
    for step in range(int(sys.argv[2])):
        x, labels = batch(step)
        own = np.array_split(np.arange(IMAGES), comm.size)[comm.rank]
        x, labels = x[own], labels[own]
        y = x @ w.T + b
        p = np.exp(y - y.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(own)), labels] -= 1
        for parameter, velocity, gradient in zip((w, b), velocities, (p.T @ x, p.sum(0)), strict=True):
            total = np.empty_like(parameter)
            comm.Allreduce(np.ascontiguousarray(gradient, np.float32), total)
            velocity *= 0.9
            velocity -= 0.01 * 0.1 * parameter + 0.1 * total / IMAGES
            parameter += velocity
    if comm.rank == 0:
        np.savez(sys.argv[1], w=w, b=b)


if __name__ == "__main__":
    main()
