"""Local response normalisation across channels, forwards and backwards, over arrays seen as (C, positions).

    d[c] = k + α Σ x[j]²    over channels j at most ``half`` from c
    y[c] = x[c] / d[c]^β

Every window is summed afresh, since a running sum drifts. Positions are taken RUN at a time, so that all channels of
a run stay in the nearest cache. The usual β = 0.75 is two square roots, many times faster than a power.
"""

import numpy as np

from . import kernel

RUN = 128


@kernel
def local_response_norm(first, last, y, x, half, alpha, beta, k):
    C, positions = x.shape
    one = x.dtype.type(1)
    d = np.empty(RUN, x.dtype)
    for run in range(first, last):
        start = run * RUN
        length = min(RUN, positions - start)
        for c in range(C):
            for i in range(length):
                d[i] = k
            for j in range(max(0, c - half), min(C, c + half + 1)):
                for i in range(length):
                    d[i] += alpha * x[j, start + i] * x[j, start + i]
            if beta == 0.75:
                for i in range(length):
                    root = one / np.sqrt(d[i])
                    y[c, start + i] = x[c, start + i] * root * np.sqrt(root)
            else:
                for i in range(length):
                    y[c, start + i] = x[c, start + i] * d[i] ** -beta


@kernel
def local_response_norm_backward(first, last, gx, gy, x, half, alpha, beta, k, twice_alpha_beta):
    # gx[c] = gy[c] / d[c]^β − 2αβ x[c] Σ gy[j] y[j] / d[j]    over the channels j whose window holds c
    C, positions = x.shape
    one = x.dtype.type(1)
    d = np.empty(RUN, x.dtype)
    scale = np.empty(RUN, x.dtype)  # 1 / d^β
    share = np.empty((C, RUN), x.dtype)  # gy[j] y[j] / d[j]
    for run in range(first, last):
        start = run * RUN
        length = min(RUN, positions - start)
        for c in range(C):
            for i in range(length):
                d[i] = k
            for j in range(max(0, c - half), min(C, c + half + 1)):
                for i in range(length):
                    d[i] += alpha * x[j, start + i] * x[j, start + i]
            if beta == 0.75:
                for i in range(length):
                    root = one / np.sqrt(d[i])
                    scale[i] = root * np.sqrt(root)
            else:
                for i in range(length):
                    scale[i] = d[i] ** -beta
            for i in range(length):
                gx[c, start + i] = gy[c, start + i] * scale[i]
                share[c, i] = gx[c, start + i] * x[c, start + i] / d[i]
        for c in range(C):
            for j in range(max(0, c - half), min(C, c + half + 1)):
                for i in range(length):
                    gx[c, start + i] -= twice_alpha_beta * x[c, start + i] * share[j, i]
