"""Max-pooling, forwards and backwards: x (C, H, W, N), y and winner (C, P, Q, N).

``winner`` is the place r · size + s of the maximum inside its window. Outside of the image is −∞.
"""

from . import kernel


@kernel
def max_pool2d(first, last, y, winner, x, size, stride, top, left):
    H, W, N = x.shape[1], x.shape[2], x.shape[3]
    P, Q = y.shape[1], y.shape[2]
    for i in range(first, last):  # one item is one row (c, p) of the output
        c, p = i // P, i % P
        for q in range(Q):
            fresh = True
            for r in range(size):
                h = p * stride + r - top
                for s in range(size):
                    w = q * stride + s - left
                    if not (0 <= h < H and 0 <= w < W):
                        continue
                    place = r * size + s
                    if fresh:
                        for n in range(N):
                            y[c, p, q, n] = x[c, h, w, n]
                            winner[c, p, q, n] = place
                        fresh = False
                    else:
                        for n in range(N):
                            best, value = y[c, p, q, n], x[c, h, w, n]
                            # the first maximum stays; NaN wins a window, and the first NaN stays
                            wins = (value > best) | ((value != value) & (best == best))
                            y[c, p, q, n] = value if wins else best
                            winner[c, p, q, n] = place if wins else winner[c, p, q, n]


@kernel
def max_pool2d_backward(first, last, gx, gy, winner, size, stride, top, left):
    P, Q, N = gy.shape[1], gy.shape[2], gy.shape[3]
    for c in range(first, last):  # one item is one channel: windows overlap inside it, so they are added in turn
        for p in range(P):
            for q in range(Q):
                for n in range(N):
                    r, s = winner[c, p, q, n] // size, winner[c, p, q, n] % size
                    gx[c, p * stride + r - top, q * stride + s - left, n] += gy[c, p, q, n]
