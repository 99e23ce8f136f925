"""The columns of a convolution: what its kernel sees at every output position, and the way back.

x (C, H, W, N), columns (C, R, S, positions, N): an output position is p · Q + q, counted from ``start``.
"""

from . import kernel


@kernel
def im2col(first, last, columns, x, start, Q, stride, top, left):
    _, R, S, positions, N = columns.shape
    H, W = x.shape[1], x.shape[2]
    for i in range(first, last):  # one item is one (c, r): no two write to the same place
        c, r = i // R, i % R
        for s in range(S):
            for t in range(positions):
                p, q = (start + t) // Q, (start + t) % Q
                h, w = p * stride + r - top, q * stride + s - left
                if 0 <= h < H and 0 <= w < W:
                    for n in range(N):
                        columns[c, r, s, t, n] = x[c, h, w, n]
                else:
                    for n in range(N):
                        columns[c, r, s, t, n] = 0


@kernel
def col2im(first, last, x, columns, start, Q, stride, top, left):
    _, R, S, positions, N = columns.shape
    H, W = x.shape[1], x.shape[2]
    for c in range(first, last):  # one item is one channel: windows overlap inside it, so they are added in turn
        for r in range(R):
            for s in range(S):
                for t in range(positions):
                    p, q = (start + t) // Q, (start + t) % Q
                    h, w = p * stride + r - top, q * stride + s - left
                    if 0 <= h < H and 0 <= w < W:
                        for n in range(N):
                            x[c, h, w, n] += columns[c, r, s, t, n]
