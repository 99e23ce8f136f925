"""What the network is shown of its pictures: y (C, H, W, N) of pictures (N, rows, columns, C), whole numbers 0–255.

    y[c, h, w, n] = (pictures[n, i, j, c] − mean[c, i, j] + noise[c, n]) · scale    at i = top + h, j = left + w

or, mirrored, at j = left + W − 1 − w. places (3, N): top, left, and whether mirrored, of each picture.
"""

from . import kernel


@kernel(axes=(0, 1), weight=4)
def crop(first, last, y, pictures, places, mean, noise, scale):
    _, H, W, N = y.shape
    for row in range(first, last):  # one item is one row (c, h) of all images
        c, h = row // H, row % H
        for n in range(N):
            i, left = places[0, n] + h, places[1, n]
            seen, shade = pictures[n, i, left : left + W, c], mean[c, i, left : left + W]
            added, view = noise[c, n], y[c, h, :, n]
            if places[2, n]:
                view = view[::-1]
            for w in range(W):
                view[w] = (y.dtype.type(seen[w]) - shade[w] + added) * scale
