"""Functions that are in both tables of mistakes, and parts of their backwards: no mistake is here. See mistakes.py."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def affine(x, w, b):
    return x @ w + b


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=1):
    y = np.exp(x - x.max(axis, keepdims=True))
    return y / y.sum(axis, keepdims=True)


def log_softmax(x):
    return x - x.max(1, keepdims=True) - np.log(np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True))


def one_hot(labels, classes):
    return np.eye(classes)[labels]


def cross_entropy(x, labels):
    return -log_softmax(x)[np.arange(len(x)), labels].mean()


def hinge(x, t):
    """Where t is True x belongs above 1, else below −1."""
    return np.maximum(0, 1 - np.where(t, x, -x))


def deviation(x, axis=0):
    return np.sqrt(x.var(axis, keepdims=True) + 1e-5)


def normalised(x, axis=0):
    return (x - x.mean(axis, keepdims=True)) / deviation(x, axis)


def through_norm(gy, x, axis=0):
    """The gradient that comes back through normalised()."""
    y = normalised(x, axis)
    return (gy - gy.mean(axis, keepdims=True) - y * (gy * y).mean(axis, keepdims=True)) / deviation(x, axis)


def layer_norm(x, gamma, beta):
    return gamma * normalised(x, 1) + beta


def with_affine_of_rows(gx, gy, x):
    return gx, (gy * normalised(x, 1)).sum(0), gy.sum(0)


def padded(x):
    return np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))


def windows(x, r, s, stride=1, dilation=1):
    """(N, C, H, W) → (N, C, P, Q, r, s)."""
    wide = sliding_window_view(x, (dilation * (r - 1) + 1, dilation * (s - 1) + 1), (2, 3))
    return wide[:, :, ::stride, ::stride, ::dilation, ::dilation]


def send_back(gy, w, shape, stride=1, dilation=1):
    """An image of ``shape``, where each output adds w times its gradient to its window."""
    g, (r, s) = np.zeros(shape), (dilation * (n - 1) + 1 for n in w.shape[2:])
    for p, q in np.ndindex(gy.shape[2:]):
        i, j = p * stride, q * stride
        g[:, :, i : i + r : dilation, j : j + s : dilation] += np.einsum("nk,kcrs->ncrs", gy[:, :, p, q], w)
    return g


def tiles(x):
    """(N, C, H, W) → (N, C, H/2, W/2, 2, 2)."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).swapaxes(3, 4)


def untiled(t):
    n, c, p, q = t.shape[:4]
    return t.swapaxes(3, 4).reshape(n, c, 2 * p, 2 * q)


def max_pool(x):
    return tiles(x).max((4, 5))


def winners(x):
    return tiles(x) == max_pool(x)[..., None, None]


def winner_places(x, stride=1):
    return sliding_window_view(x, 3, 1)[:, ::stride].argmax(2) + stride * np.arange((x.shape[1] - 3) // stride + 1)


def count_of_neighbours(h, w):
    """How many of the 3 × 3 around each place lie within the image."""
    return windows(padded(np.ones((1, 1, h, w))), 3, 3).sum((4, 5))


def dropout(x, kept):
    """Of p = 0.4, inverted."""
    return x * kept / 0.6


def all_uses(gy, words, w):
    g = np.zeros_like(w)
    np.add.at(g, words, gy)
    return g


def rnn_step(x, h, wx, wh):
    return np.tanh(x @ wx + h @ wh)


def with_one(gradients, number, g):
    """The gradients, but g for one of them."""
    return [g if i == number else right for i, right in enumerate(gradients)]


def rnn(x, h0, wx, wh):
    """All states, (N, T, H)."""
    states = [h0]
    for t in range(x.shape[1]):
        states.append(rnn_step(x[:, t], states[-1], wx, wh))
    return np.stack(states[1:], 1)


def rnn_before(x, h0, wx, wh):
    """The state before each step, (N, T, H)."""
    return np.concatenate([h0[:, None], rnn(x, h0, wx, wh)[:, :-1]], 1)


def rnn_inner(gy, x, h0, wx, wh):
    """What reaches each step before its tanh, (N, T, H)."""
    h, g, back = rnn(x, h0, wx, wh), np.zeros_like(gy), 0
    for t in reversed(range(x.shape[1])):
        g[:, t] = (gy[:, t] + back) * (1 - h[:, t] ** 2)
        back = g[:, t] @ wh.T
    return g


def rnn_backward(gy, *inputs):
    x, _, wx, wh = inputs
    g = rnn_inner(gy, *inputs)
    return [g @ wx.T, g[:, 0] @ wh.T, np.einsum("nti,nth->ih", x, g), np.einsum("nti,nth->ih", rnn_before(*inputs), g)]


def gates(x, h, c, wx, wh, b):
    """i, f, o, g; the new c; its tanh."""
    i, f, o, g = np.hsplit(x @ wx + h @ wh + b, 4)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    return i, f, o, g, f * c + i * g, np.tanh(f * c + i * g)


def lstm_step(x, h, c, wx, wh, b):
    """(h, c) of the next step, side by side."""
    _, _, o, _, c_next, bounded = gates(x, h, c, wx, wh, b)
    return np.hstack([o * bounded, c_next])


def lstm_inner(gy, x, h, c, wx, wh, b):
    """What reaches c, and what reaches the four gates before their σ and tanh."""
    i, f, o, g, _, bounded = gates(x, h, c, wx, wh, b)
    gh, gc = np.hsplit(gy, 2)
    gc = gc + gh * o * (1 - bounded**2)
    gi, gf, go, gg = gc * g * i * (1 - i), gc * c * f * (1 - f), gh * bounded * o * (1 - o), gc * i * (1 - g**2)
    return gc * f, np.hstack([gi, gf, go, gg])


def lstm_backward(gy, *inputs):
    x, h, _, wx, wh, _ = inputs
    gc, ga = lstm_inner(gy, *inputs)
    return [ga @ wx.T, ga @ wh.T, gc, x.T @ ga, h.T @ ga, ga.sum(0)]


def weights(q, k):
    return softmax(q @ k.T / np.sqrt(q.shape[1]))


def attention(q, k, v):
    return weights(q, k) @ v


def score_gradient(gy, q, k, v, along=1):
    """What reaches q kᵀ / √d."""
    p, g = weights(q, k), gy @ v.T
    return p * (g - (g * p).sum(along, keepdims=True)) / np.sqrt(q.shape[1])


def attention_backward(gy, q, k, v):
    s = score_gradient(gy, q, k, v)
    return [s @ k, s.T @ q, weights(q, k).T @ gy]
