"""The columns of a convolution, by rows of pixels: what its kernel sees of some rows from a row of the output.

x (C, H, W, N), columns (rows, C, S, places, N): rows of pixels from ``h`` on, counted with those of padding, and places
of the output from ``q`` on, ``right`` apart. Where ``right`` is 1, what a row sees lies in one piece.
"""

from . import FEW, kernel


@kernel(axes=(0, 1), weight=2)
def row2col(first, last, columns, x, h, q, right, top, left):
    _, C, S, places, N = columns.shape
    _, H, W, _ = x.shape
    flat, image = columns.reshape(-1), x.reshape(-1)
    for i in range(first, last):  # one item is one (row, c)
        row, c = h + i // C - top, i % C
        for s in range(S):
            w = q * right + s - left
            inside, outside = -(w // right), (W - 1 - w) // right + 1  # which places see the image
            inside, outside = min(max(0, inside), places), min(max(0, outside), places)
            if not 0 <= row < H or inside >= outside:
                inside = outside = places
            to, end = (i * S + s) * places * N, (i * S + s + 1) * places * N
            flat[to : to + inside * N], flat[to + outside * N : end] = 0, 0
            to, by = to + inside * N, ((c * H + row) * W + w + inside * right) * N
            pieces, size = (1, (outside - inside) * N) if right == 1 else (outside - inside, N)
            for n in range(size if size < FEW else 0):
                for j in range(pieces):
                    flat[to + j * size + n] = image[by + j * right * size + n]
            for j in range(pieces if size >= FEW else 0):
                column = flat[to + j * size : to + j * size + size]
                seen = image[by + j * right * size : by + j * right * size + size]
                for n in range(size):
                    column[n] = seen[n]
