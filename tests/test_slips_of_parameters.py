"""Slips in the gradients of parameters, as they are made in homework: each is named in words, with its line."""

import inspect

import numpy as np
import pytest
from helpers import normal

from minicnn import GradientError, gradcheck

pytestmark = pytest.mark.processor
X = normal(6, 4, seed=9)
IMAGES = normal(3, 2, 5, 5, seed=9)


class Linear:
    """Gradients in self.dW and self.db."""

    def __init__(self, seed=0):
        self.W, self.b = normal(4, 3, seed=seed), normal(3, seed=seed + 1)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, gy):
        self.dW = self.x.T @ gy
        self.db = gy.sum(axis=0)
        return gy @ self.W.T


class Square(Linear):
    """As many outputs as inputs and examples."""

    def __init__(self):
        self.W, self.b = normal(6, 6), normal(6, seed=1)


class BiasOverFeatures(Square):
    def backward(self, gy):
        self.dW = self.x.T @ gy
        self.db = gy.sum(axis=1)  # slip
        return gy @ self.W.T


class BiasMean(Linear):
    def backward(self, gy):
        self.dW = self.x.T @ gy
        self.db = gy.mean(axis=0)  # slip
        return gy @ self.W.T


class WeightTransposed(Square):
    def backward(self, gy):
        self.dW = gy.T @ self.x  # slip
        self.db = gy.sum(axis=0)
        return gy @ self.W.T


class InputNotTransposed(Square):
    def backward(self, gy):
        self.dW = self.x @ gy  # slip
        self.db = gy.sum(axis=0)
        return gy @ self.W.T


class Tanh(Square):
    """A layer with its activation, and two dicts."""

    def __init__(self):
        self.params = {"W": normal(6, 6) / 3, "b": normal(6, seed=1)}
        self.grads = {}

    def forward(self, x):
        self.x = x
        self.y = np.tanh(np.dot(x, self.params["W"]) + self.params["b"])
        return self.y

    def backward(self, gy):
        d = gy * (1 - self.y**2)
        self.grads["W"] = np.dot(self.x.T, d)
        self.grads["b"] = np.sum(d, axis=0)
        return np.dot(d, self.params["W"].T)


class OutputForInput(Tanh):
    def backward(self, gy):
        d = gy * (1 - self.y**2)
        self.grads["W"] = np.dot(self.y.T, d)  # slip
        self.grads["b"] = np.sum(d, axis=0)
        return np.dot(d, self.params["W"].T)


class SlopeForgotten(Tanh):
    def backward(self, gy):
        d = gy * (1 - self.y**2)
        self.grads["W"] = np.dot(self.x.T, gy)  # slip
        self.grads["b"] = np.sum(d, axis=0)
        return np.dot(d, self.params["W"].T)


class ReLU(Linear):
    """Gradients that are added up."""

    def __init__(self):
        super().__init__()
        self.dW, self.db = np.zeros((4, 3)), np.zeros(3)

    def forward(self, x):
        self.cache = x, x @ self.W + self.b
        return np.maximum(self.cache[1], 0)

    def backward(self, gy):
        x, z = self.cache
        dz = gy * (z > 0)
        self.dW += x.T @ dz
        self.db += dz.sum(axis=0)
        return dz @ self.W.T


class MaskForgotten(ReLU):
    def backward(self, gy):
        x, z = self.cache
        dz = gy * (z > 0)
        self.dW += x.T @ dz
        self.db += gy.sum(axis=0)  # slip
        return dz @ self.W.T


class Parameter:
    def __init__(self, data):
        self.data, self.grad = data, np.zeros_like(data)


class Module:
    """Parameters as objects, gradients written into them."""

    def __init__(self):
        self.weight, self.bias = Parameter(normal(3, 4)), Parameter(normal(3, seed=1))

    def forward(self, x):
        self.x = x
        return x @ self.weight.data.T + self.bias.data

    def backward(self, gy):
        self.weight.grad[...] = gy.T @ self.x
        self.bias.grad[...] = gy.sum(0)
        return gy @ self.weight.data


class DividedByBatch(Module):
    def backward(self, gy):
        n = len(self.x)
        self.weight.grad[...] = gy.T @ self.x / n  # slip
        self.bias.grad[...] = gy.sum(0)
        return gy @ self.weight.data


class DecayAdded(Module):
    def backward(self, gy):
        self.weight.grad[...] = gy.T @ self.x + 0.1 * self.weight.data  # slip
        self.bias.grad[...] = gy.sum(0)
        return gy @ self.weight.data


class Penalised(Linear):
    """The loss of a linear regression with weight decay inside: forward returns one number for each example."""

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b + 0.05 * np.sum(self.W**2)

    def backward(self, gy):
        self.dW = self.x.T @ gy + 0.1 * self.W * gy.sum()
        self.db = gy.sum(axis=0)
        return gy @ self.W.T


class DecayForgotten(Penalised):
    def backward(self, gy):
        self.dW = self.x.T @ gy  # slip
        self.db = gy.sum(axis=0)
        return gy @ self.W.T


class DecayTwice(Penalised):
    def backward(self, gy):
        self.dW = self.x.T @ gy + 0.2 * self.W * gy.sum()  # slip
        self.db = gy.sum(axis=0)
        return gy @ self.W.T


class BatchNorm:
    """Lists of parameters and gradients."""

    def __init__(self):
        self.params, self.grads = [1 + normal(4) / 5, normal(4, seed=1)], [None, None]

    def forward(self, x):
        gamma, beta = self.params
        self.std = np.sqrt(x.var(axis=0) + 1e-5)
        self.xhat = (x - x.mean(axis=0)) / self.std
        return gamma * self.xhat + beta

    def backward(self, gy):
        self.grads[0] = np.sum(gy * self.xhat, axis=0)
        self.grads[1] = np.sum(gy, axis=0)
        g = gy * self.params[0]
        return (g - g.mean(axis=0) - self.xhat * (g * self.xhat).mean(axis=0)) / self.std


class GammaAndBetaExchanged(BatchNorm):
    def backward(self, gy):
        self.grads[0] = np.sum(gy, axis=0)  # slip
        self.grads[1] = np.sum(gy * self.xhat, axis=0)
        g = gy * self.params[0]
        return (g - g.mean(axis=0) - self.xhat * (g * self.xhat).mean(axis=0)) / self.std


class GammaByInput(BatchNorm):
    def forward(self, x):
        self.x = x
        return super().forward(x)

    def backward(self, gy):
        self.grads[0] = np.sum(gy * self.x, axis=0)  # slip
        self.grads[1] = np.sum(gy, axis=0)
        g = gy * self.params[0]
        return (g - g.mean(axis=0) - self.xhat * (g * self.xhat).mean(axis=0)) / self.std


class Conv:
    """A convolution by loops, with gradients in self.grads."""

    def __init__(self):
        self.W, self.b = normal(3, 2, 3, 3) / 3, normal(3, seed=1)

    def forward(self, x):
        self.x = x
        N, _, H, W = x.shape
        y = np.zeros((N, len(self.W), H - 2, W - 2))
        for i in range(H - 2):
            for j in range(W - 2):
                window = x[:, :, i : i + 3, j : j + 3]
                y[:, :, i, j] = np.tensordot(window, self.W, axes=([1, 2, 3], [1, 2, 3])) + self.b
        return y

    def backward(self, gy):
        gx = np.zeros_like(self.x)
        self.dW = np.zeros_like(self.W)
        self.db = gy.sum(axis=(0, 2, 3))
        for i in range(gy.shape[2]):
            for j in range(gy.shape[3]):
                window = self.x[:, :, i : i + 3, j : j + 3]
                self.dW += np.tensordot(gy[:, :, i, j], window, axes=([0], [0]))
                gx[:, :, i : i + 3, j : j + 3] += np.tensordot(gy[:, :, i, j], self.W, axes=([1], [0]))
        return gx


class LastWindowOnly(Conv):
    def backward(self, gy):
        gx = np.zeros_like(self.x)
        self.dW = np.zeros_like(self.W)
        self.db = gy.sum(axis=(0, 2, 3))
        for i in range(gy.shape[2]):
            for j in range(gy.shape[3]):
                window = self.x[:, :, i : i + 3, j : j + 3]
                self.dW[:] = np.tensordot(gy[:, :, i, j], window, axes=([0], [0]))  # slip
                gx[:, :, i : i + 3, j : j + 3] += np.tensordot(gy[:, :, i, j], self.W, axes=([1], [0]))
        return gx


class ConvBiasMean(Conv):
    def backward(self, gy):
        gx = super().backward(gy)
        self.db = gy.mean(axis=(0, 2, 3))  # slip
        return gx


class Recurrent:
    """A plain recurrent network over T steps, with gradients in self.dWx and so on."""

    def __init__(self):
        self.Wx, self.Wh, self.b = normal(4, 3) / 3, normal(3, 3, seed=1) / 3, normal(3, seed=2)

    def forward(self, x):
        self.x, h = x, np.zeros((x.shape[0], 3))
        self.h = [h]
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] @ self.Wx + h @ self.Wh + self.b)
            self.h.append(h)
        return h

    def backward(self, gy):
        gx = np.zeros_like(self.x)
        self.dWx, self.dWh, self.db = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.b)
        for t in reversed(range(self.x.shape[1])):
            d = gy * (1 - self.h[t + 1] ** 2)
            self.dWx += self.x[:, t].T @ d
            self.dWh += self.h[t].T @ d
            self.db += d.sum(0)
            gx[:, t] = d @ self.Wx.T
            gy = d @ self.Wh.T
        return gx


class StateAfterTheStep(Recurrent):
    def backward(self, gy):
        gx = np.zeros_like(self.x)
        self.dWx, self.dWh, self.db = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.b)
        for t in reversed(range(self.x.shape[1])):
            d = gy * (1 - self.h[t + 1] ** 2)
            self.dWx += self.x[:, t].T @ d
            self.dWh += self.h[t + 1].T @ d  # slip
            self.db += d.sum(0)
            gx[:, t] = d @ self.Wx.T
            gy = d @ self.Wh.T
        return gx


class LastStepOnly(Recurrent):
    def backward(self, gy):
        gx = np.zeros_like(self.x)
        self.dWx, self.dWh = np.zeros_like(self.Wx), np.zeros_like(self.Wh)
        for t in reversed(range(self.x.shape[1])):
            d = gy * (1 - self.h[t + 1] ** 2)
            self.dWx += self.x[:, t].T @ d
            self.dWh += self.h[t].T @ d
            self.db = d.sum(0)  # slip
            gx[:, t] = d @ self.Wx.T
            gy = d @ self.Wh.T
        return gx


class TwoLayers:
    """All of a small network in one class, as in the first homework."""

    def __init__(self):
        self.params = {"W1": normal(4, 5), "b1": normal(5, seed=1), "W2": normal(5, 3, seed=2), "b2": normal(3, seed=3)}
        self.grads = {}

    def forward(self, X):
        self.X = X
        self.h = np.maximum(0, X.dot(self.params["W1"]) + self.params["b1"])
        return self.h.dot(self.params["W2"]) + self.params["b2"]

    def backward(self, dout):
        dh = dout.dot(self.params["W2"].T)
        dh[self.h <= 0] = 0
        self.grads["W2"] = self.h.T.dot(dout)
        self.grads["b2"] = dout.sum(axis=0)
        self.grads["W1"] = self.X.T.dot(dh)
        self.grads["b1"] = dh.sum(axis=0)
        return dh.dot(self.params["W1"].T)


class HiddenMaskForgotten(TwoLayers):
    def backward(self, dout):
        dh = dout.dot(self.params["W2"].T)  # slip
        self.grads["W2"] = self.h.T.dot(dout)
        self.grads["b2"] = dout.sum(axis=0)
        self.grads["W1"] = self.X.T.dot(dh)
        dh = dh * (self.h > 0)
        self.grads["b1"] = dh.sum(axis=0)
        return dh.dot(self.params["W1"].T)


class BeforeTheReLU(TwoLayers):
    def forward(self, X):
        self.z = X.dot(self.params["W1"]) + self.params["b1"]
        return super().forward(X)

    def backward(self, dout):
        gx = super().backward(dout)
        self.grads["W2"] = self.z.T.dot(dout)  # slip
        return gx


class Dropped(Linear):
    """Dropout, the mask given, before a linear layer."""

    def forward(self, x):
        self.x, self.mask = x, np.arange(x.size).reshape(x.shape) % 3 > 0
        return (x * self.mask / 0.5) @ self.W + self.b

    def backward(self, gy):
        self.dW = (self.x * self.mask / 0.5).T @ gy
        self.db = gy.sum(axis=0)
        return gy @ self.W.T * self.mask / 0.5


class DroppedAlone(Dropped):
    def backward(self, gy):
        self.dW = (self.x * self.mask).T @ gy  # slip
        self.db = gy.sum(axis=0)
        return gy @ self.W.T * self.mask / 0.5


class MaskOfInputAlone(Dropped):
    def backward(self, gy):
        self.dW = (self.x / 0.5).T @ gy  # slip
        self.db = gy.sum(axis=0)
        return gy @ self.W.T * self.mask / 0.5


class PReLU:
    """Its slope is a number."""

    def __init__(self):
        self.a = 0.25

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.a * x)

    def backward(self, gy):
        self.da = np.sum(gy * np.where(self.x > 0, 0, self.x))
        return gy * np.where(self.x > 0, 1, self.a)


class SlopeOfTheOtherSide(PReLU):
    def backward(self, gy):
        self.da = np.sum(gy * np.where(self.x > 0, self.x, 0))  # slip
        return gy * np.where(self.x > 0, 1, self.a)


class Outer:
    """Holds a layer, has a parameter of its own, and one that makes no difference."""

    def __init__(self):
        self.inner, self.shift, self.W = Square(), normal(6, seed=5), normal(6, 6, seed=4)

    def forward(self, x):
        self.h = self.inner.forward(x) + self.shift
        self.h = self.h - self.h.mean(axis=0)
        return self.h @ self.W

    def backward(self, gy):
        self.dW = self.h.T @ gy
        g = gy @ self.W.T
        g = g - g.mean(axis=0)
        self.dshift = g.sum(axis=0)
        return self.inner.backward(g)


class OuterTransposed(Outer):
    def backward(self, gy):
        gx = super().backward(gy)
        self.dW = gy.T @ self.h  # slip
        return gx


SQUARE = normal(6, 6, seed=9)
WORDS = normal(5, 3, 4)
SLIPS = [
    (BiasOverFeatures, SQUARE, "b", "wrong axis", "it goes over axis 1, and should over axis 0"),
    (BiasMean, X, "b", "constant factor", "a mean stands where a sum belongs, over 6"),
    (WeightTransposed, SQUARE, "W", "transposed", "should have its axes in the order (1, 0)"),
    (InputNotTransposed, SQUARE, "W", "operand not transposed", "input 0 (`x`) in `x @ gy`"),
    (OutputForInput, SQUARE, "params['W']", "output for input", "should be `dot(x.T, gy * (1 - y ** 2))`"),
    (SlopeForgotten, SQUARE, "params['W']", "factor missing", "should be `dot(x.T, gy * (1 - y ** 2))`"),
    (MaskForgotten, X, "b", "mask forgotten", "should be `zeros((3)) + sum(gy * (x @ W + b > 0), axis=0)`"),
    (DividedByBatch, X, "weight", "constant factor", "backward has `self.weight.grad[...] = gy.T @ self.x / n"),
    (DecayAdded, X, "weight", "extra term", "0.1 · the parameter weight itself is added"),
    (DecayForgotten, X, "W", "term missing", "by `W` in `W ** 2` is missing"),
    (DecayTwice, X, "W", "wrong factor of a term", "`0.2 * W` in line"),
    (GammaAndBetaExchanged, X, "params[0]", "another input", "that is the gradient of parameter `params[1]`"),
    (GammaByInput, X, "params[0]", "input for output", "`gy * x` in line"),
    (LastWindowOnly, IMAGES, "W", "= for +=", "+= belongs where = stands"),
    (ConvBiasMean, IMAGES, "b", "constant factor", "a mean stands where a sum belongs, over 27"),
    (StateAfterTheStep, WORDS, "Wh", "shifted", "is the state of another turn of the loop than"),
    (LastStepOnly, WORDS, "b", "= for +=", "what comes back by all uses must be added up"),
    (HiddenMaskForgotten, X, "params['W1']", "mask forgotten", "lacks the mask `slope of maximum"),
    (BeforeTheReLU, X, "params['W2']", "mask forgotten", "lacks the mask `slope of maximum"),
    (DroppedAlone, X, "W", "constant factor / input for output", "0.5 times what it should be"),
    (MaskOfInputAlone, X, "W", "mask forgotten", "should be `x * … / 0.5`"),
    (SlopeOfTheOtherSide, X, "a", "constant factor / wrong mask", "should be `sum(gy * where(x < 0, x, 0))`"),
    (OuterTransposed, SQUARE, "W", "transposed", "`gy.T @"),
]


@pytest.mark.parametrize("kind, x, parameter, name, words", SLIPS, ids=[kind.__name__ for kind, *_ in SLIPS])
def test_a_slip_in_the_gradient_of_a_parameter_is_named_with_its_line(kind, x, parameter, name, words):
    with pytest.raises(GradientError) as caught:
        gradcheck.layers([kind()], x)
    lines, start = inspect.getsourcelines(kind)
    line = next(start + i for i, text in enumerate(lines) if "# slip" in text)
    said = " ".join(verdict.text for verdict in caught.value.verdicts)
    assert caught.value.input == f"parameter {parameter}"
    assert " / ".join(verdict.name for verdict in caught.value.verdicts) == name
    assert words in said
    assert f"in line {line}" in said


@pytest.mark.parametrize("kind, x", [
    (Linear, X), (Square, SQUARE), (Tanh, SQUARE), (ReLU, X), (Module, X), (Penalised, X), (BatchNorm, X),
    (Conv, IMAGES), (Recurrent, WORDS), (TwoLayers, X), (Dropped, X), (PReLU, X), (Outer, SQUARE)])  # fmt: skip
def test_the_same_layers_without_a_slip_are_right(kind, x):
    assert gradcheck.layers([kind()], x).error < 1e-6


def test_the_gradient_of_an_input_names_a_parameter_as_such():
    class Turned(Square):
        def backward(self, gy):
            self.dW, self.db = self.x.T @ gy, gy.sum(axis=0)
            return gy @ self.W

    with pytest.raises(GradientError) as caught:
        gradcheck.layers([Turned()], SQUARE)
    assert "parameter `W` in `gy @ W`" in caught.value.verdicts[0].text


def test_what_is_kept_from_call_to_call_is_no_term_of_its_own():
    """The gradient is another in every call, and what it is where gy is 0 tells nothing."""

    class Kept(Linear):
        total = 0.0

        def backward(self, gy):
            gx = super().backward(gy)
            self.total = self.total + self.db
            self.db = self.total * 1.0
            return gx

    with pytest.raises(GradientError) as caught:
        gradcheck.layers([Kept()], X)
    assert caught.value.verdicts[0].name == "not deterministic"


def test_a_term_without_gy_is_a_multiple_of_the_parameter_or_is_not():
    class Constant(Linear):
        def backward(self, gy):
            gx = super().backward(gy)
            self.dW = self.dW + np.sign(self.W)
            return gx

    with pytest.raises(GradientError) as caught:
        gradcheck.layers([Constant()], X)
    assert caught.value.verdicts[0].text.startswith("a term is added that gy is no factor of, in `self.dW = self.dW +")
