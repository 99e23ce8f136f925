"""The update rule of Krizhevsky et al. 2012, §5, over flat arrays, RUN elements an item.

v ← momentum · v − decay · ε · w − ε · g;  w ← w + v
"""

from . import kernel

RUN = 1 << 14


@kernel
def sgd(first, last, w, v, g, rate, momentum, decay):
    for i in range(first * RUN, min(last * RUN, w.size)):
        v[i] = momentum * v[i] - decay * rate * w[i] - rate * g[i]
        w[i] += v[i]
