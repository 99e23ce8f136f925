"""Softmax and the loss −ln softmax(x)[label], forwards and backwards, over arrays seen as (K, N): classes, images.

The maximum is taken off first, so that nothing overflows.
"""

from typing import Any

import numpy as np

from . import kernel
from .cuda_graph import capturing


def outside(labels: Any, classes: int) -> bool:
    """Whether a label is none of 0 … classes − 1. While a CUDA graph is captured nothing can be asked: then who
    captures has looked, on the host."""
    return not capturing() and bool(((labels < 0) | (labels >= classes)).any())  # a GPU is asked once


@kernel(axes=(1,), weight=8)
def cross_entropy(first, last, y, loss, x, labels):
    K = x.shape[0]
    top = x[0, first:last].copy()
    total = np.zeros(last - first)  # in double: of many classes, each adds less than single precision can see
    for k in range(K):
        for n in range(first, last):
            if x[k, n] > top[n - first]:
                top[n - first] = x[k, n]
    for k in range(K):
        for n in range(first, last):
            y[k, n] = np.exp(x[k, n] - top[n - first])
            total[n - first] += y[k, n]
    for k in range(K):
        for n in range(first, last):
            y[k, n] = y[k, n] / total[n - first]
    for n in range(first, last):
        loss[n] = np.log(total[n - first]) - (x[labels[n], n] - top[n - first])


@kernel(axes=(1,))
def cross_entropy_backward(first, last, gx, y, labels, gy):
    # gx = (y − 1 at the label) · gy / N, where gy is the gradient of the mean over the images
    K, N = y.shape
    share = gy[0] / y.dtype.type(N)
    for k in range(K):
        for n in range(first, last):
            gx[k, n] = (y[k, n] - y.dtype.type(k == labels[n])) * share
