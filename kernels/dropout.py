"""Dropout by counted random numbers, over arrays seen as (units, N).

Philox 4×32 with ten rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a counter of four
words and a key of two into four random words. The counter is (unit, image // 4, step): so a number depends on where it
is used and on nothing else, and neither a mask nor a generator's state is ever stored. Units and images are counted
from ``first_unit`` and ``first_image``, so that a part of a layer, or of a batch, gets the numbers that it has in the
whole. Key and step are two numbers in memory, so that a captured launch can be replayed for another step.
"""

import numpy as np

from . import kernel


@kernel(weight=8)
def dropout(first, last, y, x, counter, first_unit, first_image, threshold, scale):
    N = x.shape[1]
    key, step = np.uint64(counter[0]), np.uint64(counter[1])
    zero = x.dtype.type(0)
    word = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    for unit in range(first, last):
        for block in range(first_image // 4, (first_image + N + 3) // 4):
            c0, c1 = np.uint64(first_unit + unit), np.uint64(block)
            c2, c3 = step & word, step >> half
            k0, k1 = key & word, key >> half
            for _ in range(10):
                p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
                c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & word, (p0 >> half) ^ c3 ^ k1, p0 & word
                k0, k1 = (k0 + np.uint64(0x9E3779B9)) & word, (k1 + np.uint64(0xBB67AE85)) & word
            for i, number in enumerate((c0, c1, c2, c3)):
                n = 4 * block + i - first_image
                if 0 <= n < N:
                    y[unit, n] = x[unit, n] * scale if number >= np.uint64(threshold) else zero
