"""Max-pooling, forwards and backwards: x (C, H, W, N), y and winner (C, P, Q, N).

``winner`` is the place r · size + s of the maximum inside its window. Outside of the image is −∞.
"""

import numpy as np

from . import kernel


@kernel
def max_pool2d(first, last, y, winner, x, size, stride, top, left):
    H, W, N = x.shape[1], x.shape[2], x.shape[3]
    P, Q = y.shape[1], y.shape[2]
    for i in range(first, last):  # one item is one row (c, p) of the output
        c, p = i // P, i % P
        for q in range(Q):
            best, place = y[c, p, q], winner[c, p, q]
            fresh = True
            for r in range(size):
                h = p * stride + r - top
                for s in range(size):
                    w = q * stride + s - left
                    if not (0 <= h < H and 0 <= w < W):
                        continue
                    value, here = x[c, h, w], r * size + s
                    if fresh:
                        for n in range(N):
                            best[n] = value[n]
                            place[n] = here
                        fresh = False
                    else:
                        for n in range(N):
                            # the first maximum stays; NaN wins a window, and the first NaN stays
                            wins = (value[n] > best[n]) | ((value[n] != value[n]) & (best[n] == best[n]))
                            best[n] = value[n] if wins else best[n]
                            place[n] = here if wins else place[n]


@kernel
def max_pool2d_backward(first, last, gx, gy, winner, size, stride, top, left):
    W = gx.shape[2]
    P, Q, N = gy.shape[1], gy.shape[2], gy.shape[3]
    offset = np.empty(size * size, np.int64)  # in memory, from the window's first pixel to each of its places
    for place in range(size * size):
        offset[place] = (place // size * W + place % size) * N
    for c in range(first, last):  # one item is one channel: windows overlap inside it, so they are added in turn
        image = gx[c].reshape(-1)
        for p in range(P):
            for q in range(Q):
                sent, place = gy[c, p, q], winner[c, p, q]
                window = ((p * stride - top) * W + q * stride - left) * N
                for n in range(N):
                    image[window + offset[place[n]] + n] += sent[n]
