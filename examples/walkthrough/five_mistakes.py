"""Five mistakes in backward passes written by hand, of those that people make most, and what gradcheck says of each.
Chapter 4 shows them.

python examples/walkthrough/five_mistakes.py
"""

import textwrap

import numpy as np

from minicnn import GradientError, gradcheck

random = np.random.default_rng(0)
x = random.normal(size=(5, 4))

# 1. micrograd and minitorch: the input was kept where the output was meant


def tanh(x):
    return np.tanh(x)


def tanh_backward(gy, x):
    return gy * (1 - x**2)


# 2. makemore: softmax's sum goes over the batch


def softmax(x):
    p = np.exp(x - x.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def softmax_backward(gy, x):
    p = softmax(x)
    return p * (gy - (gy * p).sum(0))


# 3. CS231n, batch normalisation: the variance has a gradient, too


def batch_norm(x):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


def batch_norm_backward(gy, x):
    return (gy - gy.mean(0)) / np.sqrt(x.var(0) + 1e-5)


# 4. word embeddings: a word that comes twice gets one gradient alone

words = np.array([2, 0, 2, 1, 0])


def embedding(w):
    return w[words]


def embedding_backward(gy, w):
    g = np.zeros_like(w)
    g[words] += gy
    return g


# 5. leaky ReLU: another slope below 0 than in forward


def leaky_relu(x):
    return np.where(x > 0, x, 0.1 * x)


def leaky_relu_backward(gy, x):
    return gy * np.where(x > 0, 1, 0.01)


MISTAKES = [(tanh, tanh_backward, x), (softmax, softmax_backward, x), (batch_norm, batch_norm_backward, x),
            (embedding, embedding_backward, x[:3]), (leaky_relu, leaky_relu_backward, x)]  # fmt: skip


def verdicts():
    """(function, backward, what gradcheck says first) of each."""
    found = []
    for function, backward, given in MISTAKES:
        try:
            gradcheck(function, given, backward=backward)
        except GradientError as error:
            found.append((function, backward, error.verdicts[0]))
    return found


if __name__ == "__main__":
    for function, _, verdict in verdicts():
        said = f"{function.__name__}: {verdict.name}: {verdict.text}"
        print(textwrap.fill(said, 100, subsequent_indent="    "))
