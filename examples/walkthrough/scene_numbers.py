"""What the scenes show: the engine's numbers for every pick and every setting, held to loops that can be read."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.cbook import get_sample_data
from numpy.typing import NDArray
from PIL import Image

from minicnn import Tensor, ops

__all__ = ["convolution", "fourier", "hopper", "pooling", "response_norm", "spectrum"]

Array = NDArray[Any]
W = np.array([[-0.2, 0.1, 0.1], [0.1, -0.3, 0.3], [-0.1, 0.1, -0.1]])  # a kernel that has still to learn
EDGES = np.array([[-0.1, 0, 0.1], [-0.2, 0, 0.2], [-0.1, 0, 0.1]])  # what it is to become: it finds vertical edges


def hopper(side: int, top: int, left: int, block: int) -> Array:
    """side × side grey levels from 0 to 1 of Grace Hopper, each the mean of block × block pixels of the photograph."""
    pixels = np.asarray(Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)), np.float64).mean(axis=2)
    cut = pixels[top : top + side * block, left : left + side * block]
    means = cut.reshape(side, block, side, block).mean(axis=(1, 3))
    return (means - means.min()) / np.ptp(means)


def nudged(loss: Any, a: Array, h: float) -> list[Array]:
    """The losses where one number of ``a`` is h smaller, and where it is h larger: two arrays of the shape of a.
    loss takes a batch of copies of ``a``."""
    steps = h * np.eye(a.size).reshape(a.size, *a.shape)
    return [loss(a + sign * steps).reshape(a.shape) for sign in (-1, 1)]


def convolution(side: int = 24, h: float = 0.1) -> dict[str, Any]:
    """y = conv(x, w), loss = ½ Σ (y − target)², target = conv(x, EDGES), at stride 1 and 2 and padding 0 and 1. Pixels
    have two digits behind the point and weights one, so y and gy have three and gx four: sums are checked by hand."""
    x = np.round(hopper(side, 96, 196, 7), 2)

    def setting(stride: int, padding: int) -> dict[str, Any]:
        def conv(x: Any, w: Any) -> Any:
            return ops.conv2d(x, w, stride=stride, padding=padding)

        target = conv(x[None, None], EDGES[None, None]).numpy()
        tensors = Tensor(x[None, None], requires_grad=True), Tensor(W[None, None], requires_grad=True)
        y = conv(*tensors)
        loss = ((y - target) ** 2).sum() / 2
        loss.backward()
        gy = y.numpy() - target
        gx, gw = (t.grad.numpy() for t in tensors)

        def of_pixels(pictures: Array) -> Array:
            return ((conv(pictures[:, None], W[None, None]).numpy() - target) ** 2).sum(axis=(1, 2, 3)) / 2

        def of_weights(kernels: Array) -> Array:  # one convolution with many kernels
            return ((conv(x[None, None], kernels[:, None]).numpy() - target) ** 2).sum(axis=(0, 2, 3)) / 2

        of_x, of_w = nudged(of_pixels, x, h), nudged(of_weights, W, h)
        for (below, above), g in ((of_x, gx), (of_w, gw)):
            assert np.abs((above - below) / (2 * h) - g).max() < 1e-9, "the loss is a parabola: both sides are exact"
        found = [a[0, 0] for a in (y.numpy(), target, gy, gx, gw)]
        slow = by_loops(x, W, stride, padding, found[2])
        for a, b in zip((found[0], *found[3:]), slow, strict=True):
            assert np.abs(a - b).max() < 1e-12
        names = ("y", "target", "gy", "gx", "gw")
        below, above = ({"x": np.round(a, 8), "w": np.round(b, 8)} for a, b in zip(of_x, of_w, strict=True))
        return {"stride": stride, "padding": padding, "loss": round(loss.item(), 8), "below": below, "above": above,
                **{name: np.round(a, 8) for name, a in zip(names, found, strict=True)}}  # fmt: skip

    settings = [setting(stride, padding) for stride in (1, 2) for padding in (0, 1)]
    first = np.unravel_index(np.abs(settings[0]["gx"]).argmax(), x.shape)
    return {"x": x, "w": W, "h": h, "first": np.array(first), "settings": settings}


def by_loops(x: Array, w: Array, stride: int, padding: int, gy: Array) -> tuple[Array, Array, Array]:
    """y, gx and gw of one channel, number by number."""
    y, gx, gw = np.zeros_like(gy), np.zeros_like(x), np.zeros_like(w)
    for p, q in np.ndindex(gy.shape):
        for r, s in np.ndindex(w.shape):
            i, j = p * stride + r - padding, q * stride + s - padding
            if 0 <= i < x.shape[0] and 0 <= j < x.shape[1]:
                y[p, q] += w[r, s] * x[i, j]
                gx[i, j] += w[r, s] * gy[p, q]
                gw[r, s] += x[i, j] * gy[p, q]
    return y, gx, gw


def pooling(h: float = 0.5) -> dict[str, Any]:
    """y = max-pooling of 9 × 9 pixels of an eye, loss = Σ gy · y with gy = 1, 2, 3 …, at sizes 2 to 4 and strides 1 to
    3. No window has two largest pixels, so a step of half a grey level changes no winner."""
    x = np.round(99 * hopper(9, 174, 212, 3))

    def setting(size: int, stride: int) -> dict[str, Any]:
        def pool(pictures: Any) -> Any:
            return ops.max_pool2d(pictures, size=size, stride=stride)

        picture = Tensor(x[None, None], requires_grad=True)
        y = pool(picture)
        gy = 1.0 + np.arange(y.numpy().size).reshape(y.shape)
        (y * gy).sum().backward()
        gx, gy = picture.grad.numpy()[0, 0], gy[0, 0]
        below, above = nudged(lambda p: (pool(p[:, None]).numpy()[:, 0] * gy).sum(axis=(1, 2)), x, h)
        winner, added, overwritten = np.zeros((*gy.shape, 2), int), np.zeros_like(x), np.zeros_like(x)
        for p, q in np.ndindex(gy.shape):
            top, left = p * stride, q * stride
            window = x[top : top + size, left : left + size]
            assert (window == window.max()).sum() == 1 and window.max() == y.numpy()[0, 0, p, q]
            r, s = np.unravel_index(window.argmax(), window.shape)
            winner[p, q] = at = top + r, left + s
            added[tuple(at)] += gy[p, q]
            overwritten[tuple(at)] = gy[p, q]
        assert np.array_equal(added, gx)
        assert np.abs((above - below) / (2 * h) - gx).max() < 1e-9
        return {"size": size, "stride": stride, "y": y.numpy()[0, 0], "gy": gy, "gx": gx, "overwritten": overwritten,
                "winner": winner, "loss": (y.numpy()[0, 0] * gy).sum(), "below": below, "above": above}  # fmt: skip

    settings = [setting(size, stride) for size in (2, 3, 4) for stride in (1, 2, 3)]
    of_paper = next(each for each in settings if (each["size"], each["stride"]) == (3, 2))
    several = np.argwhere(of_paper["gx"] != of_paper["overwritten"])  # pixels that won more than one window
    first = several[len(several) // 2]
    return {"x": x, "h": h, "first": first, "settings": settings}


def response_norm() -> dict[str, Any]:
    """Twelve channels of one pixel: y, d, and gx as its own term and the cross terms, cross[i, j] from channel j, for
    each n, α, β and k."""
    random = np.random.default_rng(53)
    x = np.maximum(random.normal(0.8, 1.2, 12), 0).round(1)  # what a ReLU lets through
    gy = random.normal(size=12).round(1)

    def setting(n: int, alpha: float, beta: float, k: float) -> dict[str, Any]:
        column = Tensor(x[None, :, None, None], requires_grad=True)  # (N, C, H, W)
        y = ops.local_response_norm(column, size=n, alpha=alpha, beta=beta, k=k)
        y.backward(gy[None, :, None, None])
        d, cross = np.full(12, k), np.zeros((12, 12))
        for i in range(12):
            for j in range(max(0, i - n // 2), min(12, i + n // 2 + 1)):
                d[i] += alpha * x[j] ** 2
        own = gy * d**-beta
        for i in range(12):
            for j in range(max(0, i - n // 2), min(12, i + n // 2 + 1)):
                cross[i, j] = -2 * alpha * beta * x[i] * gy[j] * x[j] * d[j] ** (-beta - 1)
        found_y, found_gx = y.numpy()[0, :, 0, 0], column.grad.numpy()[0, :, 0, 0]
        assert np.abs(found_y - x * d**-beta).max() < 1e-12
        assert np.abs(found_gx - own - cross.sum(axis=1)).max() < 1e-12
        numbers = {"y": found_y, "d": d, "own": own, "cross": cross, "gx": found_gx}
        return {"n": n, "alpha": alpha, "beta": beta, "k": k, **{name: np.round(a, 7) for name, a in numbers.items()}}

    return {"x": x, "gy": gy, "first": 5, "settings": [
        setting(n, alpha, beta, k)
        for n in (5, 1, 3, 9) for alpha in (1.0, 0.1, 0.0001) for beta in (0.75, 0.5, 1.0) for k in (2.0, 1.0)
    ]}


def spectrum(w: Array, T: int) -> Array:
    """W[f, g] = Σ w[r, s] exp(−2πi (f r + g s) / T), f and g from −T/2 to T/2 − 1, r and s from the kernel's middle."""
    waves = [np.outer(np.arange(-T // 2, T // 2), np.arange(size) - size // 2) for size in w.shape]
    down, across = (np.exp(-2j * np.pi / T * wave) for wave in waves)
    return down @ w @ across.T


def fourier(T: int = 18) -> dict[str, Any]:
    """Kernels, and what each does to the T × T waves of a tile: conv2d of a wave is the wave times conj(W)."""
    r, s = np.mgrid[-5:6, -5:6]
    kernels = {
        "Gabor, 11 × 11": np.exp(-(r**2 + s**2) / 10) * np.cos(2 * np.pi / T * (2 * r + 3 * s) - 1) / 16,
        "blur": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
        "vertical edges": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8,
        "random, 5 × 5": np.random.default_rng(6).normal(size=(5, 5)) / 5,
    }

    def seen(name: str, w: Array) -> dict[str, Any]:
        W, more = spectrum(w, T), len(w) // 2
        turns, places = np.arange(-T // 2, T // 2), np.arange(-more, T + more)
        down = (turns[:, None] * places)[:, None, :, None]  # (f, 1, p, 1)
        across = (turns[:, None] * places)[None, :, None, :]
        waves = np.exp(2j * np.pi / T * (down + across)).reshape(T * T, 1, len(places), len(places))
        after = ops.conv2d(waves.real.copy(), w[None, None]).numpy()
        expected = (W.conj().reshape(-1, 1, 1, 1) * waves[:, :, more : more + T, more : more + T]).real
        assert np.abs(after - expected).max() < 1e-12
        parts = {"re": W.real, "im": W.imag, "sizes": np.abs(W)}
        return {"name": name, "w": np.round(w, 6), **{part: np.round(a, 6) for part, a in parts.items()}}

    return {"T": T, "kernels": [seen(*each) for each in kernels.items()]}
