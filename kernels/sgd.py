"""The update rule of Krizhevsky et al. 2012, §5, over flat arrays.

v ← momentum · v − decay · ε · w − ε · g;  w ← w + v
"""

from . import kernel


@kernel(weight=2)
def sgd(first, last, w, v, g, rate, momentum, decay):
    for i in range(first, last):
        v[i] = momentum * v[i] - decay * rate * w[i] - rate * g[i]
        w[i] += v[i]
