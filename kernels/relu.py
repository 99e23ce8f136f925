"""ReLU, forwards and backwards, over arrays seen as matrices."""

from . import kernel


@kernel
def relu(first, last, y, x):
    zero = x.dtype.type(0)
    for i in range(first, last):
        for j in range(x.shape[1]):
            y[i, j] = zero if x[i, j] < zero else x[i, j]  # NaN < 0 is false: NaN stays NaN


@kernel
def relu_backward(first, last, gx, gy, y):
    zero = y.dtype.type(0)
    for i in range(first, last):
        for j in range(y.shape[1]):
            gx[i, j] = gy[i, j] if y[i, j] > zero else zero
