"""Convolution by Fourier: forward, and the gradients of image and weights, as products of constant, real matrices.

    image (C · groups, H, W, N)    w (C, R, S, K · groups)    y (K · groups, P, Q, N), as they lie in memory

Along one axis, of a tile of T pixels: X = Σ x[t] e^(−iθt) and W = Σ w[r] e^(−iθr), at T angles θ which are 2π/T apart.
With Y = conj(W) X

    y[p] = 1/T Σ Y e^(iθp) = Σ w[r] x[p + r],

since Σ e^(iθ(p + r − t)) over all angles is T where t = p + r, and 0 where they differ by less than T. So it holds for
the T − R + 1 places whose kernel fits into the tile; tiles overlap by R − 1 pixels. It is the same along both axes. The
direct sum multiplies R · S times for each place, this once or twice.

As x is real, half of the angles along the height suffice: the others' numbers are conjugates. They begin at half a step
where T is even, so that none is its own conjugate; where T is odd, 0 is. Three products make one of complex numbers
(Gauss's): with W = a + ib and X = u + iv

    m₁ = a (u + v),  m₂ = (a + b) u,  m₃ = (a − b) v,    conj(W) X = m₁ − m₃ + i (m₁ − m₂).

All this is linear, so constant matrices say it: A makes u + v, u, v of an image, B makes a, a + b, a − b of weights, Zᵀ
makes places of the m. Written with ∘, at each of these points the product of a matrix (kernels, channels) by one
(channels, images),

    y = Zᵀ (B w ∘ A x),    ∂L/∂w = Bᵀ (Z gy ∘ A x),    ∂L/∂x = the same as y, of gy and the kernels turned round,

and BLAS does all of it. A, B and Z go down the height first; then across the width, for one angle of the height at a
time, whose numbers stay in a core's cache up to the product and back. Padding is left out of the matrices.

One pixel that is not finite spoils its whole tile. After Mathieu, Henaff, LeCun 2014, "Fast training of convolutional
networks through FFTs", arXiv 1312.5851, §2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .cores import cores_for, parts_on, split_range
from .product import product
from .spectrum import Part, Tiles, across, angles, down, each_angle, up, width

if TYPE_CHECKING:
    from .convolution import Geometry

__all__ = ["forward", "image_gradient", "scratch", "weight_gradient", "work"]

AT_ONCE = 128  # images, whose numbers at one angle stay in cache
ROOM = 1 << 28  # bytes that have come down the height: some tiles after the others, where all of them need more


def forward(image: Any, w: Any, b: Any, geometry: Geometry, tile: int) -> Any:
    """y[k, p, q, n] = b[k] + Σ w[c, r, s, k] · image[c, p + r − top, q + s − left, n]. tile: places along its sides."""
    (_, R, S, K), N, (_, P, Q, *_) = w.shape, image.shape[-1], geometry
    y, kernel = np.empty_like(image, shape=(K, P, Q, N), order="C"), Part(slice(0, R), slice(0, S))
    for tiles in _tiles(image, w.shape, geometry, tile):
        weights, images = down(w, "weights", tiles, [kernel]), down(image, "image", tiles, tiles.windows)
        back = [np.empty_like(y, shape=(K, tiles.angles, 2 * part.width, N), order="C") for part in tiles.places]

        def at_angle(f: int, tiles: Tiles = tiles, weights: Any = weights, images: Any = images, back: Any = back
                     ) -> None:
            W = across(weights, "weights", tiles, [kernel], f, slice(0, K))  # (points, C, K)
            for some in _images(N):
                X = across(images, "image", tiles, tiles.windows, f, some)  # (points, C · groups, tiles · images)
                Y = np.empty_like(X, shape=(K, len(X), X.shape[2]), order="C")
                for c, k in _groups(geometry, w.shape):
                    product(W[:, :, k].swapaxes(1, 2), X[:, c], Y[k].swapaxes(0, 1), shared=False)
                Y = Y.reshape(K, len(X), len(back), some.stop - some.start)
                for i, part in enumerate(tiles.places):
                    product(width("places", tiles.U, part, y).T, Y[:, :, i], back[i][:, f, :, some], shared=False)

        each_angle(at_angle, tiles, y)
        for numbers, part in zip(back, tiles.places, strict=True):
            up(numbers, "places", tiles, part, y, b)
    return y


def image_gradient(gy: Any, w: Any, backwards: Geometry, tile: int) -> Any:
    """∂L/∂image from gy = ∂L/∂y: gx[c, h, v, n] = Σ w[c, r, s, k] · gy[k, h + top − r, v + left − s, n].

    backwards: the geometry of this convolution, of gy with the kernels turned round.
    """
    (C, R, S, _), groups = w.shape, backwards.groups
    turned = w[:, ::-1, ::-1].reshape(C, R, S, groups, -1).transpose(4, 1, 2, 3, 0).reshape(-1, R, S, groups * C)
    return forward(gy, turned.copy(order="C"), None, backwards, tile)


def weight_gradient(gy: Any, image: Any, shape: tuple[int, ...], geometry: Geometry, tile: int) -> Any:
    """∂L/∂w, of this shape, from gy = ∂L/∂y.

    gw[c, r, s, k] = Σ gy[k, p, q, n] · image[c, p + r − top, q + s − left, n].
    """
    (C, R, S, K), (*_, N), some_tiles = shape, image.shape, _tiles(image, shape, geometry, tile)
    gw, kernel = np.empty_like(gy, shape=shape, order="C"), Part(slice(0, R), slice(0, S))
    back = np.zeros_like(gy, shape=(C, some_tiles[0].angles, 2 * S, K), order="C")
    for tiles in some_tiles:
        images, sent = down(image, "image", tiles, tiles.windows), down(gy, "places", tiles, tiles.places)

        def at_angle(f: int, tiles: Tiles = tiles, images: Any = images, sent: Any = sent) -> None:
            for some in _images(N):
                X = across(images, "image", tiles, tiles.windows, f, some)
                G = across(sent, "places", tiles, tiles.places, f, some)  # (points, K, tiles · images)
                M = np.empty_like(X, shape=(C, len(X), K), order="C")
                for c, k in _groups(geometry, shape):
                    product(X[:, c], G[:, k].swapaxes(1, 2), M[:, :, k].swapaxes(0, 1), shared=False)
                back[:, f] += product(width("weights", tiles.U, kernel, gw).T, M, shared=False)

        each_angle(at_angle, tiles, gy)
    up(back, "weights", some_tiles[0], kernel, gw)
    return gw


# -- tiles -------------------------------------------------------------------------------------------------------------


def work(image: tuple[int, ...], w: tuple[int, ...], geometry: Geometry, tile: int) -> tuple[float, float, float]:
    """Of one of the three ways, for these shapes: (multiplications, numbers moved, small products)."""
    (C, R, S, K), (_, H, W, N), (groups, P, Q, *_) = w, image, geometry
    p, q = min(tile, P), min(tile, Q)
    count, T, U = -(-P // p) * -(-Q // q), p + R - 1, q + S - 1
    h, v, F, points = min(T, H), min(U, W), angles(T), 3 * U * angles(T)
    of_image, of_places = F * (2 * h * v + 6 * U * v), F * (2 * p * q + 6 * U * q)
    return (float(count * N) * (C * groups * of_image + K * of_places + points * C * K)
            + float(C * K) * F * (2 * R * S + 6 * U * S),
            float(count * N) * (2 * F * (v * C * groups + q * K) + points * (C * groups + K))
            + float(points * C * K),
            float(F * (count + 1) * (C * groups + K) + points * groups))  # fmt: skip


def scratch(way: str, image: Any, w: tuple[int, ...], geometry: Geometry, tile: int) -> int:
    """Bytes that this way, "forward" or "weight", takes for a while beside what it returns; the gradient of the image
    is a "forward" of its own, of gy. See ``convolution.scratch``.

    What has come down the height, of image, weights and places, while there are several lots of tiles twice; and for
    every core the numbers at one angle, at all points of the width.
    """
    (C, _, S, K), N, G, size = w, image.shape[-1], geometry.groups, image.itemsize
    lots = _tiles(image, w, geometry, tile)
    some = max(lots, key=lambda tiles: len(tiles.places))
    seen, sent = (2 * some.angles * N * n * sum(part.width for part in parts)
                  for n, parts in ((C * G, some.windows), (K, some.places)))  # fmt: skip
    weights, points = 2 * some.angles * S * C * K, 3 * some.U
    each = points * C * K + len(some.places) * min(N, AT_ONCE) * points * (C * G + K)
    if way == "weight":
        each += 2 * S * C * K
    each *= cores_for(parts_on(image, some.angles))
    again = 2 if len(lots) > 1 else 1
    taken = weights + (seen + sent) * again if way == "weight" else (weights + seen + sent) * again
    return int(size * (taken + each))


def _tiles(image: Any, shape: tuple[int, ...], geometry: Geometry, tile: int) -> list[Tiles]:
    """All tiles, as many together as there is room for. shape: of w."""
    (_, H, W, N), (C, R, S, K), (groups, P, Q, _, _, top, left) = image.shape, shape, geometry
    both = [(Part(h, v, above, beside), Part(p, q)) for p, h, above in _cut(P, R, H, top, tile)
            for q, v, beside in _cut(Q, S, W, left, tile)]  # fmt: skip
    T, U = min(tile, P) + R - 1, min(tile, Q) + S - 1
    together = max(1, ROOM // max(1, T * U * (C * groups + K) * N * image.itemsize))
    parts = [both[i : i + together] for i in range(0, len(both), together)]
    return [Tiles(T, U, [window for window, _ in some], [places for _, places in some]) for some in parts]


def _cut(places: int, kernel: int, image: int, padding: int, tile: int) -> list[tuple[slice, slice, int]]:
    """Along one axis: (places of a tile, the pixels that they see, how many of padding they see before)."""
    parts = []
    for first in range(0, places, tile):
        last = min(first + tile, places)
        start = min(max(first - padding, 0), image)
        stop = max(start, min(last + kernel - 1 - padding, image))
        parts.append((slice(first, last), slice(start, stop), start - first + padding))
    return parts


def _images(N: int) -> list[slice]:
    return [slice(*some) for some in split_range(N, -(-N // AT_ONCE))]


def _groups(geometry: Geometry, shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    (C, *_, K), groups = shape, geometry.groups
    return [(slice(g * C, (g + 1) * C), slice(g * K // groups, (g + 1) * K // groups)) for g in range(groups)]
