"""Max-pooling, forwards and backwards: x (C, H, W, N), y and winner (C, P, Q, N).

Windows are R × S, ``down`` and ``right`` apart. ``winner`` is the place r · S + s of the maximum inside its window.
Outside of the image is −∞.
"""

import numpy as np

from . import FEW, kernel


@kernel(axes=(0, 1))
def max_pool2d(first, last, y, winner, x, R, S, down, right, top, left):
    H, W, N = x.shape[1], x.shape[2], x.shape[3]
    P, Q = y.shape[1], y.shape[2]
    pixels = x.reshape(-1)
    for i in range(first, last):  # one item is one row (c, p) of the output
        c, p = i // P, i % P
        r_first, r_last = max(0, top - p * down), min(R, H + top - p * down)  # what of a window is in the image
        for q in range(Q):
            s_first, s_last = max(0, left - q * right), min(S, W + left - q * right)
            # of one image, the winner so far is kept in a register; of many, they are compared a vector at a time
            for n in range(N if N < FEW else 0):
                largest, place = -x.dtype.type(np.inf), r_first * S + s_first
                for r in range(r_first, r_last):
                    row = ((c * H + p * down + r - top) * W + q * right - left) * N + n
                    for s in range(s_first, s_last):
                        value = pixels[row + s * N]
                        wins = (value > largest) | ((value != value) & (largest == largest))
                        largest = value if wins else largest
                        place = r * S + s if wins else place
                y[c, p, q, n], winner[c, p, q, n] = largest, place
            if N >= FEW:
                best, place_of_best = y[c, p, q], winner[c, p, q]
                best[:], place_of_best[:] = -np.inf, r_first * S + s_first
                for r in range(r_first, r_last):
                    for s in range(s_first, s_last):
                        value_of, here = x[c, p * down + r - top, q * right + s - left], r * S + s
                        for n in range(N):
                            # the first maximum stays; NaN wins a window, and the first NaN stays
                            wins = (value_of[n] > best[n]) | ((value_of[n] != value_of[n]) & (best[n] == best[n]))
                            best[n] = value_of[n] if wins else best[n]
                            place_of_best[n] = here if wins else place_of_best[n]


@kernel
def max_pool2d_backward(first, last, gx, gy, winner, R, S, down, right, top, left):
    W = gx.shape[2]
    P, Q, N = gy.shape[1], gy.shape[2], gy.shape[3]
    offset = np.empty(R * S, np.int64)  # in memory, from the window's first pixel to each of its places
    for place in range(R * S):
        offset[place] = (place // S * W + place % S) * N
    for c in range(first, last):  # one item is one channel: windows overlap inside it, so they are added in turn
        image = gx[c].reshape(-1)
        for p in range(P):
            for q in range(Q):
                sent, place = gy[c, p, q], winner[c, p, q]
                window = ((p * down - top) * W + q * right - left) * N
                for n in range(N):
                    image[window + offset[place[n]] + n] += sent[n]
