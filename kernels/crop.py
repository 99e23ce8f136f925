"""What the network is shown of its pictures: y (C, H, W, N) of pictures (N, rows, columns, C), whole numbers 0–255.

    y[c, h, w, n] = (pictures[n, i, j, c] − mean[c, i, j] + noise[c, n]) · scale    at i = top + h, j = left + w

or, mirrored, at j = left + W − 1 − w. places (3, N): top, left, and whether mirrored, of each picture.
"""

from . import kernel


@kernel
def crop(first, last, y, pictures, places, mean, noise, scale):
    _, H, W, N = y.shape
    for row in range(first, last):  # one item is one row (c, h) of all images
        c, h = row // H, row % H
        for w in range(W):
            for n in range(N):
                i = places[0, n] + h
                j = places[1, n] + (W - 1 - w if places[2, n] else w)
                pixel = y.dtype.type(pictures[n, i, j, c])
                y[c, h, w, n] = (pixel - mean[c, i, j] + noise[c, n]) * scale
