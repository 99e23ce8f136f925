"""The columns of a convolution: what its kernel sees at every output position, and the way back.

x (C, H, W, N), columns (C, R, S, positions, N): an output position is p · Q + q, counted from ``start``. They are taken
by rows of the output. Of the positions in a row, those from ``inside`` to ``outside`` see the image, the others only
padding. Windows are ``down`` and ``right`` apart. Where ``right`` is 1, what a row sees lies in one piece and is copied
at once.
"""

from . import FEW, kernel


@kernel(axes=(0, 1), weight=2)
def im2col(first, last, columns, x, start, Q, down, right, top, left):
    _, R, S, positions, N = columns.shape
    _, H, W, _ = x.shape
    flat, image = columns.reshape(-1), x.reshape(-1)
    for i in range(first, last):  # one item is one (c, r): no two write to the same place
        c, r = i // R, i % R
        for s in range(S):
            into, beyond = -((s - left) // right), (W - 1 - s + left) // right + 1  # where a whole row sees the image
            t, p, q = 0, start // Q, start % Q
            while t < positions:
                row = min(Q - q, positions - t)
                h, w = p * down + r - top, q * right + s - left
                inside, outside = min(max(0, into - q), row), min(beyond - q, row)
                if not 0 <= h < H or inside >= outside:
                    inside = outside = row
                to = ((i * S + s) * positions + t) * N
                if inside > 0:
                    flat[to : to + inside * N] = 0
                if outside < row:
                    flat[to + outside * N : to + row * N] = 0
                to, by = to + inside * N, ((c * H + h) * W + w + inside * right) * N
                pieces, size = (1, (outside - inside) * N) if right == 1 else (outside - inside, N)
                for n in range(size if size < FEW else 0):
                    column, seen = flat[to + n : to + pieces * size], image[by + n :]
                    for j in range(pieces):
                        column[j * size] = seen[j * right * size]
                for j in range(pieces if size >= FEW else 0):
                    column = flat[to + j * size : to + j * size + size]
                    seen = image[by + j * right * size : by + j * right * size + size]
                    for n in range(size):
                        column[n] = seen[n]
                t, p, q = t + row, p + 1, 0


@kernel(weight=2)
def col2im(first, last, x, columns, start, Q, down, right, top, left):
    _, R, S, positions, N = columns.shape
    _, H, W, _ = x.shape
    flat, image = columns.reshape(-1), x.reshape(-1)
    for c in range(first, last):  # one item is one channel: windows overlap inside it, so they are added in turn
        for r in range(R):
            for s in range(S):
                into, beyond = -((s - left) // right), (W - 1 - s + left) // right + 1
                t, p, q = 0, start // Q, start % Q
                while t < positions:
                    row = min(Q - q, positions - t)
                    h, w = p * down + r - top, q * right + s - left
                    inside, outside = min(max(0, into - q), row), min(beyond - q, row)
                    if 0 <= h < H and inside < outside:
                        by = (((c * R + r) * S + s) * positions + t + inside) * N
                        to = ((c * H + h) * W + w + inside * right) * N
                        pieces, size = (1, (outside - inside) * N) if right == 1 else (outside - inside, N)
                        for j in range(pieces):
                            column = flat[by + j * size : by + j * size + size]
                            seen = image[to + j * right * size : to + j * right * size + size]
                            for n in range(size):
                                seen[n] += column[n]
                    t, p, q = t + row, p + 1, 0
