"""Max-pooling, forwards and backwards: x (C, H, W, N), y and winner (C, P, Q, N).

Windows are R × S, ``down`` and ``right`` apart. ``winner`` is the place r · S + s of the maximum inside its window.
Outside of the image is −∞.
"""

import numpy as np

from . import FEW, kernel


@kernel(axes=(0, 1), weight=2)
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
                        wins = (not value <= largest) & (largest == largest)
                        largest = value if wins else largest
                        place = r * S + s if wins else place
                y[c, p, q, n], winner[c, p, q, n] = largest, place
            if N >= FEW:
                best, place_of_best = y[c, p, q], winner[c, p, q]
                best[:], place_of_best[:] = -np.inf, r_first * S + s_first
                for r in range(r_first, r_last):
                    for s in range(s_first, s_last):
                        value_of = x[c, p * down + r - top, q * right + s - left]
                        here = winner.dtype.type(r * S + s)
                        for n in range(N):
                            # all is read first, into locals: else AVX2 compares one number at a time
                            new, old, place_of_old = value_of[n], best[n], place_of_best[n]
                            # the first maximum stays; NaN wins a window, and the first NaN stays
                            wins = (not new <= old) & (old == old)
                            best[n] = new if wins else old
                            place_of_best[n] = here if wins else place_of_old


@kernel(axes=(0, 1), weight=2)
def max_pool2d_backward(first, last, gx, gy, winner, R, S, down, right, top, left):
    H, W, N = gx.shape[1], gx.shape[2], gx.shape[3]
    P, Q = gy.shape[1], gy.shape[2]
    zero = gx.dtype.type(0)
    for i in range(first, last):  # one item is one row (c, h) of the image
        c, h = i // H, i % H
        p_first, p_last = max(0, (h + top - R) // down + 1), min(P, (h + top) // down + 1)  # windows that hold it
        for w in range(W):
            q_first, q_last = max(0, (w + left - S) // right + 1), min(Q, (w + left) // right + 1)
            here = gx[c, h, w]
            here[:] = zero
            for p in range(p_first, p_last):
                for q in range(q_first, q_last):
                    sent, won, place = gy[c, p, q], winner[c, p, q], (h + top - p * down) * S + w + left - q * right
                    for n in range(N):
                        here[n] += sent[n] if won[n] == place else zero
