"""gradcheck.layers: of a net, ours or of NumPy classes, it names the wrong layer that is nearest to the loss."""

import copy
import itertools

import numpy as np
import pytest
from helpers import normal

from minicnn import GradientError, Tensor, gradcheck, nn, no_grad, ops
from minicnn.engine.op import op

pytestmark = pytest.mark.processor
X = normal(5, 4)


# -- layers as people write them, and the same with a mistake ----------------------------------------------------------


class Affine:
    def __init__(self, inputs, outputs, seed=0):
        self.W, self.b = normal(inputs, outputs, seed=seed), normal(outputs, seed=seed + 1)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, gy):
        self.dW, self.db, self.dx = self.x.T @ gy, gy.sum(0), gy @ self.W.T
        return self.dx


class MeanAffine(Affine):
    def backward(self, gy):
        gx = super().backward(gy)
        self.db = gy.mean(0)
        return gx


class ReLU:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, gy):
        return gy * self.mask


class SignReLU(ReLU):
    def backward(self, gy):
        return gy * (gy > 0)


class Sigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, gy):
        return gy * self.y * (1 - self.y)


class HalfSigmoid(Sigmoid):
    def backward(self, gy):
        return gy * self.y


def chain(wrong=()):
    kinds = [(Affine, MeanAffine), (ReLU, SignReLU), (Affine, MeanAffine), (Sigmoid, HalfSigmoid), (Affine, MeanAffine)]
    sizes = [(4, 6), (), (6, 5), (), (5, 3)]
    return [kinds[i][i in wrong](*size) for i, size in enumerate(sizes)]


class Net:
    """Layers as attributes, and passes of its own: x + c(r(a(x)))."""

    def __init__(self, **others):
        vars(self).update({"a": Affine(4, 4), "r": ReLU(), "c": Affine(4, 4, 2), **others})

    def forward(self, x):
        return x + self.c.forward(self.r.forward(self.a.forward(x)))

    def backward(self, gy):
        return gy + self.a.backward(self.r.backward(self.c.backward(gy)))


def failure(net, *inputs, **options):
    with pytest.raises(GradientError) as caught:
        gradcheck.layers(net, *inputs, **options)
    return caught.value


def changed(net, **methods):
    """The net, whose class has other methods."""
    net.__class__ = type(type(net).__name__, (type(net),), methods)
    return net


# -- which layer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [c for n in (1, 2, 5) for c in itertools.combinations(range(5), n)])
def test_of_the_wrong_layers_that_nearest_to_the_loss_is_named(wrong):
    error = failure(chain(wrong), X)
    assert error.layer == f"layer {max(wrong)} ({type(chain(wrong)[max(wrong)]).__name__})"
    head = " ".join(str(error).partition("\n\n")[0].split())
    assert head.startswith(f"gradcheck: {error.layer} is wrong, the first from the loss backwards")
    assert all((f"layer {i} (" in head) == (i >= max(wrong)) for i in range(5))


def test_the_error_is_that_of_the_layer():
    error = failure(chain([2]), X)
    assert (error.input, error.verdicts[0].name) == ("parameter b", "constant factor")
    assert error.analytic.shape == error.numeric.shape == error.errors.shape == (5,)
    np.testing.assert_allclose(error.analytic, error.numeric / 5, rtol=1e-6)
    assert "perhaps a mean where the sum belongs" in " ".join(str(error).split())


class Holder:
    def __init__(self, layers):
        self.layers = layers


def by_call(net):
    """Layers are called as functions: one class gives forward a second name, the other calls it."""
    for layer in (net.a, net.c):
        changed(layer, __call__=type(layer).forward)
    changed(net.r, __call__=lambda self, x: self.forward(x))
    return changed(net, forward=lambda self, x: x + self.c(self.r(self.a(x))))


@pytest.mark.parametrize("net", [
    lambda: chain(), lambda: tuple(chain()), lambda: dict(zip("abcde", chain(), strict=True)), lambda: Holder(chain()),
    lambda: Holder(dict(enumerate(chain()))), lambda: Net(), lambda: by_call(Net()), lambda: Affine(4, 3),
    lambda: Net(others=[np, {"more": None}]), lambda: [Net(), ReLU(), Affine(4, 2)],
], ids=["list", "tuple", "dict", "layers", "dict of layers", "passes", "calls", "layer", "modules", "nested"])
def test_what_is_right_passes(net):
    report = gradcheck.layers(net(), X)
    assert report.error < 1e-7
    assert report.evaluations > 5
    assert not report.moved


@pytest.mark.parametrize("net, name", [
    ({"first": Affine(4, 3), "last": SignReLU()}, "last (SignReLU)"), (Holder([SignReLU()]), "layer 0 (SignReLU)"),
    (Net(r=SignReLU()), "r (SignReLU)"), (by_call(Net(a=MeanAffine(4, 4))), "a (MeanAffine)"),
    ([Net(c=MeanAffine(4, 4)), ReLU()], "layer 0.c (MeanAffine)"), (SignReLU(), "the net itself (SignReLU)"),
])  # fmt: skip
def test_wherever_it_is_kept_a_layer_has_a_name(net, name):
    assert failure(net, X).layer == name


def test_a_net_stays_as_it_was():
    net = [Affine(4, 6), ReLU(), Affine(6, 2)]
    net[0].W, net[0].dW = net[0].W.astype(np.float32), np.ones((4, 6), np.float32)
    kinds, before = list(map(type, net)), [{k: (v, v.copy()) for k, v in vars(layer).items()} for layer in net]
    gradcheck.layers(net, X)
    assert list(map(type, net)) == kinds
    for layer, kept in zip(net, before, strict=True):
        assert vars(layer).keys() == kept.keys()
        assert all(vars(layer)[k] is v and (v == copy).all() for k, (v, copy) in kept.items())


def test_what_is_one_array_in_two_places_stays_one():
    """Moved in one, it must be moved in the other, in whatever precision it was."""
    layer = changed(Affine(4, 3), forward=lambda self, x: setattr(self, "x", x) or x @ self.params["W"])
    layer.W = layer.W.astype(np.float32)
    del layer.b
    layer.params = {"W": layer.W}
    layer.grads = {}
    changed(layer, backward=lambda self, gy: setattr(self, "dW", self.x.T @ gy) or gy @ self.W.T)
    assert gradcheck.layers(layer, X).error < 1e-7


# -- parameters, under the names that people give them -----------------------------------------------------------------


class Parameter:
    def __init__(self, name):
        setattr(self, name, normal(4, seed=3))
        self.grad = None


class Scale:
    """x · p, whose parameter and gradient are kept as ``keep`` and ``write`` say."""

    def __init__(self, keep, read, write, times=1.0):
        keep(self)
        self.read, self.write, self.times = read, write, times

    def forward(self, x):
        self.x = x
        return x * self.read(self)

    def backward(self, gy):
        self.write(self, self.times * (gy * self.x).sum(0))
        return gy * self.read(self)


def in_attributes(name, gradient):
    return (lambda s: setattr(s, name, normal(4, seed=3)), lambda s: getattr(s, name),
            lambda s, g: setattr(s, gradient, g), f"parameter {name}")  # fmt: skip


def in_objects(attribute):
    return (lambda s: setattr(s, "p", Parameter(attribute)), lambda s: getattr(s.p, attribute),
            lambda s, g: setattr(s.p, "grad", g), "parameter p")  # fmt: skip


def in_containers(params, grads, key, named):
    def keep(s):
        s.params, s.grads = params, grads

    return keep, lambda s: s.params[key], lambda s, g: s.grads.__setitem__(named, g), f"parameter params[{key!r}]"


def of_methods():
    def keep(s):
        s.p = Parameter("value")
        s.params = lambda: {"p": s.p}

    return keep, lambda s: s.p.value, lambda s, g: setattr(s.p, "grad", g), "parameter p"


NAMES = {
    "dW": in_attributes("W", "dW"), "dw": in_attributes("w", "dw"), "db": in_attributes("b", "db"),
    "d_scale": in_attributes("scale", "d_scale"), "weight_grad": in_attributes("weight", "weight_grad"),
    "grad_weight": in_attributes("weight", "grad_weight"), "gradW": in_attributes("W", "gradW"),
    "gW": in_attributes("W", "gW"), "data": in_objects("data"), "value": in_objects("value"),
    "dicts": in_containers({"W": normal(4)}, {}, "W", "W"), "d": in_containers({"W": normal(4)}, {}, "W", "dW"),
    "lists": in_containers([normal(4)], [None], 0, 0), "methods": of_methods(),
    "list of attributes": (lambda s: vars(s).update(Ws=[normal(4)], dWs=[0]), lambda s: s.Ws[0],
                           lambda s, g: s.dWs.__setitem__(0, g), "parameter Ws[0]"),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_known_by_the_usual_names(name):
    *how, parameter = NAMES[name]
    report = gradcheck.layers(Scale(*how), X)
    assert report.error < 1e-7
    assert report.evaluations == 17
    error = failure(Scale(*how, times=3.0), X)
    assert (error.input, error.verdicts[0].name) == (parameter, "constant factor")


def test_a_parameter_may_be_a_number():
    class Leaky:
        a = 0.25

        def __init__(self, times):
            self.a, self.times = self.a, times

        def forward(self, x):
            self.x = x
            return np.where(x > 0, x, self.a * x)

        def backward(self, gy):
            self.da = self.times * float((gy * self.x)[self.x < 0].sum())
            return gy * np.where(self.x > 0, 1, self.a)

    assert gradcheck.layers(Leaky(1), X).error < 1e-7
    assert failure(Leaky(2), X).input == "parameter a"


def adding(self, gy):
    self.dW += self.x.T @ gy
    self.db += gy.sum(0)
    return gy @ self.W.T


def test_gradients_may_be_added_up_from_call_to_call():
    layer = changed(Affine(4, 3), backward=adding)
    layer.dW, layer.db = np.ones((4, 3)), np.ones(3)
    assert gradcheck.layers(layer, X).error < 1e-7


@pytest.mark.parametrize("layer, name", [
    (changed(Affine(4, 3), backward=lambda self, gy: gy @ self.W.T), "W"),
    (Scale(in_objects("data")[0], lambda s: s.p.data, lambda s, g: None), "p"),
    (Scale(*in_containers({"W": normal(4)}, {}, "W", "another")[:3]), r"params\['W'\]"),
])  # fmt: skip
def test_a_parameter_without_a_gradient_is_no_silence(layer, name):
    with pytest.raises(ValueError, match=rf"layers: .*: backward left no gradient of {name}: keep it in self, as dW"):
        gradcheck.layers(layer, X)


def test_what_has_no_gradient_may_be_kept():
    """As running statistics, and a constant."""
    layer = changed(Affine(4, 3), forward=lambda self, x: Affine.forward(self, x - self.mean))
    layer.mean = normal(4)
    assert gradcheck.layers(layer, X).error < 1e-7


# -- what lies between layers ------------------------------------------------------------------------------------------


def straight(self, gy):
    return self.a.backward(self.r.backward(self.c.backward(gy)))


def stopped(self, gy):
    self.r.backward(self.c.backward(gy))
    return gy


def in_place(self, gy):
    gy *= self.mask
    return gy


@pytest.mark.parametrize("net, says", [
    (changed(Net(), backward=straight), "added up where paths meet"),
    (changed(Net(), backward=stopped), "backward did not reach a (Affine)."),
    (changed(Net(), backward=lambda self, gy: Net.backward(self, gy) + self.c.backward(gy)), "order"),
    (Net(r=changed(ReLU(), backward=in_place), a=ReLU()), None),
    (changed(Net(c=ReLU(), r=changed(ReLU(), backward=in_place)),
             forward=lambda self, x: self.a.forward(x) + self.r.forward(x),
             backward=lambda self, gy: self.r.backward(gy) + self.a.backward(gy)),
     "backward of r (ReLU) writes into the gradient"),
    ([Affine(4, 4)] * 2, "called twice"),
], ids=["residual", "stopped", "too often", "in place, and nobody minds", "in place", "twice"])  # fmt: skip
def test_where_all_layers_are_right_the_net_itself_may_be_wrong(net, says):
    if not says:
        assert gradcheck.layers(net, X).error < 1e-7
        return
    error = failure(net, X)
    assert error.layer.startswith("the net itself (")
    text = " ".join(str(error).split())
    assert says in text and "Each layer inside of it is right by itself" in text


def test_parameters_of_all_layers_are_checked_through_the_net():
    """Its backward gives the right gradient of x, and a layer the wrong gy."""
    def backward(self, gy):
        gx = Net.backward(self, gy)
        self.a.backward(gy)
        return gx

    error = failure(changed(Net(), backward=backward), X)
    assert (error.layer[:14], error.input) == ("the net itself", "parameter a.W")


def test_a_gradient_of_another_shape_is_seen_where_it_is_passed_on():
    class Column(Net):
        def forward(self, x):
            return self.r.forward(self.a.forward(x))[:, :1]

        def backward(self, gy):
            return self.a.backward(self.r.backward(gy))

    error = failure(Column(), X)
    assert (error.layer, error.verdicts[0].name) == ("r (ReLU)", "wrong gradient passed on")


class Tall(ReLU):
    def backward(self, gy):
        return gy.sum(0)


def test_a_layer_that_breaks_those_before_it_is_named_and_not_these():
    error = failure([Affine(4, 3), Tall()], X)
    assert (error.layer, error.verdicts) == ("layer 1 (Tall)", [])
    assert "has the shape (3,), the input (5, 3)" in str(error)


def test_what_a_layer_raises_says_where():
    with pytest.raises(ZeroDivisionError) as caught:
        gradcheck.layers([ReLU(), changed(ReLU(), backward=lambda self, gy: 1 / 0), ReLU()], X)
    assert caught.value.__notes__[0] == "gradcheck.layers: in backward of layer 1 (ReLU)"
    with pytest.raises(ValueError) as caught:
        gradcheck.layers([Affine(3, 4)], X)
    assert caught.value.__notes__[0] == "gradcheck.layers: in forward of layer 0 (Affine)"


# -- what it really meets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [lambda gy: np.clip(gy, -5, 5), lambda gy: np.where(abs(gy) > 30, 0, gy),
                                 lambda gy: np.round(gy, -2) if abs(gy).max() > 10 else gy])  # fmt: skip
def test_a_backward_that_is_right_for_a_random_gradient_alone_is_seen(cut):
    net = [changed(Affine(4, 3), backward=lambda self, gy: Affine.backward(self, cut(gy))), Affine(3, 2)]
    net[1].W *= 100
    assert failure(net, X).verdicts[0].name in ("not linear in gy", "not deterministic")


def test_a_layer_is_checked_at_the_inputs_that_it_meets():
    """Its mistake shows above 50 alone."""
    layer = changed(ReLU(), backward=lambda self, gy: gy * self.mask * np.where(self.x > 50, 2, 1),
                    forward=lambda self, x: setattr(self, "x", x) or ReLU.forward(self, x))  # fmt: skip
    assert gradcheck.layers([layer], X).error < 1e-7
    first = Affine(4, 3)
    first.W *= 100
    assert failure([first, layer], X).layer == "layer 1 (ReLU)"


def squares(y):
    return (y * y).sum() / 2, y


class Squares:
    def forward(self, y):
        self.y = y
        return (y * y).sum() / 2

    def backward(self, gy):
        return gy * self.y


class SquaresAlone(Squares):
    def backward(self):
        return self.y


@pytest.mark.parametrize("loss", [squares, Squares(), SquaresAlone()])
def test_a_loss_is_checked_first(loss):
    assert gradcheck.layers(chain(), X, loss=loss).error < 1e-7
    wrong = (changed(copy.copy(loss), backward=lambda self, *gy: 2 * self.y) if hasattr(loss, "backward")
             else lambda y: (squares(y)[0], 2 * y))  # fmt: skip
    error = failure(chain([4]), X, loss=wrong)
    assert (error.layer, error.input, error.verdicts[0].name) == ("the loss", "the net's output", "constant factor")
    assert failure(chain([4]), X, loss=loss).layer == "layer 4 (MeanAffine)"


def test_the_first_layer_may_leave_out_the_gradient_of_the_data():
    net = [changed(Affine(4, 3), backward=lambda self, gy: Affine.backward(self, gy)[:0].sum() or None), ReLU()]
    assert gradcheck.layers(net, X).error < 1e-7
    net[0] = changed(MeanAffine(4, 3), backward=lambda self, gy: MeanAffine.backward(self, gy)[:0].sum() or None)
    assert failure(net, X).layer == "layer 0 (MeanAffine)"


def test_layers_may_know_the_net_and_layers_that_are_not_used_stand_aside():
    net = Net(unused=Affine(2, 2))
    net.a.net = net
    assert gradcheck.layers(net, X).error < 1e-7


class WithLoss(Net):
    """forward(x, labels) gives the loss, and backward takes nothing and returns nothing."""

    def forward(self, x, labels):
        y = super().forward(x)
        self.p = np.exp(y) / np.exp(y).sum(1, keepdims=True)
        self.labels = labels
        return -np.log(self.p[np.arange(len(x)), labels]).mean()

    def backward(self):
        super().backward((self.p - np.eye(4)[self.labels]) / len(self.p))


class WithSum(WithLoss):
    def backward(self):
        Net.backward(self, self.p - np.eye(4)[self.labels])


def test_a_net_may_have_its_loss_inside():
    labels = np.array([0, 3, 1, 1, 2])
    assert gradcheck.layers(WithLoss(), X, labels).error < 1e-7
    error = failure(WithSum(), X, labels)
    assert (error.layer, error.verdicts[0].name) == ("the net itself (WithSum)", "constant factor")
    assert failure(WithLoss(r=SignReLU()), X, labels).layer == "r (SignReLU)"


def test_a_net_may_give_its_layers_more_than_a_gradient():
    class Power:
        def forward(self, x, *, n=2):
            self.x = x
            return x**n

        def backward(self, gy, n):
            return gy * n * self.x ** (n - 1)

    def with_power(backward):
        made = changed(Net(p=Power()), forward=lambda self, x: self.p.forward(self.a.forward(x), n=3))
        return changed(made, backward=lambda self, gy: self.a.backward(backward(self.p, gy)))

    assert gradcheck.layers(with_power(lambda p, gy: p.backward(gy, 3)), X).error < 1e-7
    assert failure(with_power(lambda p, gy: p.backward(gy, 4)), X).layer == "p (Power)"


class Product:
    def forward(self, x, y):
        self.x, self.y = x, y
        return x * y

    def backward(self, gy):
        return gy * self.y, gy * self.x


def test_a_layer_may_take_several_arrays():
    def net(product):
        made = changed(Net(m=product), forward=lambda self, x: self.m.forward(self.a.forward(x), self.c.forward(x)))
        return changed(made, backward=lambda self, gy: sum(layer.backward(g) for layer, g in
                                                           zip((self.a, self.c), self.m.backward(gy), strict=True)))

    assert gradcheck.layers(net(Product()), X).error < 1e-7
    assert failure(net(changed(Product(), backward=lambda self, gy: (gy * self.x, gy * self.y))), X).layer[0] == "m"


class Embedding:
    def __init__(self):
        self.W = normal(7, 3)

    def forward(self, words):
        self.words = words
        return self.W[words]

    def backward(self, gy):
        self.dW = np.zeros_like(self.W)
        np.add.at(self.dW, self.words, gy)


def test_words_pass_through():
    words = np.array([[1, 0, 1], [2, 6, 1]])
    assert gradcheck.layers([Embedding(), ReLU()], words).error < 1e-7
    once = changed(Embedding(), backward=lambda self, gy: Embedding.backward(self, gy) or self.dW.__setitem__(1, 0))
    assert failure([once, ReLU()], words).input == "parameter W"


# -- kinks -------------------------------------------------------------------------------------------------------------


class RowMaximum:
    def forward(self, x):
        assert np.abs(x).max() < 0.1
        self.x, self.y = x, x.max(1, keepdims=True)
        return self.y

    def backward(self, gy):
        mask = np.zeros_like(self.x)
        mask[np.arange(len(self.x)), self.x.argmax(1)] = 1
        return gy * mask


def test_ties_that_a_relu_makes_are_no_mistake_and_a_gradient_to_each_is_one():
    x = np.abs(normal(40, 20)) / 100
    x[::2] *= -1
    report = gradcheck.layers([ReLU(), RowMaximum()], x)
    assert report.error < 1e-7
    assert report.moved == {"layer 1 (RowMaximum), input 0": 800}
    each = changed(RowMaximum(), backward=lambda self, gy: gy * (self.x == self.y))
    assert failure([ReLU(), each], x[:6, :5]).verdicts[0].name == "kink or tie"


class Centred:
    """x less its mean over the batch, to which a bias before it makes no difference."""

    def forward(self, x):
        return x - x.mean(0)

    def backward(self, gy):
        return gy - gy.mean(0)


def test_what_makes_no_difference_to_the_net_is_no_mistake():
    assert gradcheck.layers([Affine(4, 4), Centred(), Affine(4, 3)], X).error < 1e-7
    assert failure([MeanAffine(4, 4), Centred(), Affine(4, 3)], X).layer == "layer 0 (MeanAffine)"
    stopped_before = changed(Net(n=Centred()), forward=lambda self, x: self.n.forward(self.a.forward(x)),
                             backward=lambda self, gy: self.a.backward(self.n.backward(gy) * 0))
    error = failure(stopped_before, X)
    assert (error.layer, error.verdicts[0].name) == ("the net itself (Net)", "zero where it should not be")


class Softmax:
    def forward(self, x):
        self.y = np.exp(x - x.max(1, keepdims=True))
        self.y /= self.y.sum(1, keepdims=True)
        return self.y

    def backward(self, gy):
        return self.y * (gy - (gy * self.y).sum(1, keepdims=True))


def test_a_gradient_that_cancels_is_told_from_one_that_is_cut():
    x = np.array([[1.0, 30.0, 2.0], [25.0, -3.0, 0.0]])
    assert gradcheck.layers([Softmax(), Affine(3, 2)], x).error < 1e-6


# -- our own modules ---------------------------------------------------------------------------------------------------


@op
def half_tanh(x):
    y = np.tanh(x)
    return y, lambda gy: gy * (1 - y * y) / 2


class HalfTanh(nn.Module):
    def forward(self, x):
        return half_tanh(x)


class Block(nn.Module):
    """x + fc(act(x)), and twice that if asked for."""

    def __init__(self, act, between=None):
        self.fc, self.act, self.between = nn.Linear(4, 4), act, between or (lambda x: x)

    def forward(self, x, *, twice=False):
        y = x + self.between(self.fc(self.act(x)))
        return y + y if twice else y


class Twice(nn.Module):
    def __init__(self, block):
        self.block = block

    def forward(self, x):
        return self.block(self.block(x, twice=True))


def sequence(wrong=()):
    return [nn.Linear(4, 6), half_tanh if 1 in wrong else ops.relu, nn.Linear(6, 4),
            HalfTanh() if 3 in wrong else nn.Tanh(), nn.Linear(4, 3)]  # fmt: skip


LABELS = np.array([0, 2, 1, 1, 2])


def loss(y):
    return ops.cross_entropy(y, LABELS)


@pytest.mark.parametrize("make", [lambda layers: nn.Sequential(*layers), list], ids=["Sequential", "list"])
def test_layers_of_ours_are_named(make):
    with pytest.raises(TypeError, match="the function returned float, not a tensor"):
        gradcheck.layers(make(sequence()), X, loss=lambda y: 3.0)
    for options in ({}, {"loss": loss}):
        assert gradcheck.layers(make(sequence()), X, **options).error < 1e-6
        assert failure(make(sequence([1, 3])), X, **options).layer == "layer 3 (HalfTanh)"
        assert failure(make(sequence([1])), X, **options).layer == "layer 1 (half_tanh)"


@pytest.mark.parametrize("net, layer", [
    (Block(nn.Tanh()), None), (Twice(Block(nn.Tanh())), None), (Block(HalfTanh()), "act (HalfTanh)"),
    (Block(nn.Tanh(), half_tanh), "the net itself (Block)"), (Twice(Block(HalfTanh())), "block.act (HalfTanh)"),
    (nn.Sequential(Block(HalfTanh()), nn.Linear(4, 3)), "layer 0.act (HalfTanh)"),
    (nn.Sequential(Block(nn.Tanh(), half_tanh), nn.Linear(4, 3)), "layer 0 (Block)"),
])  # fmt: skip
def test_modules_inside_of_modules_are_checked_before_these(net, layer):
    if layer:
        error = failure(net, X)
        assert error.layer == layer
        assert ("right by itself" in str(error)) == ("Block" in layer)
    else:
        assert gradcheck.layers(net, X).error < 1e-6


def test_what_somebody_asks_under_no_grad_is_answered():
    with no_grad():
        assert failure(nn.Sequential(*sequence([3])), X).layer == "layer 3 (HalfTanh)"
        assert gradcheck.layers(nn.Sequential(*sequence()), X, loss=loss).error < 1e-6


def test_a_wrong_loss_of_ours_is_seen_first():
    assert failure(nn.Sequential(*sequence([3])), X, loss=lambda y: half_tanh(y).sum()).layer == "the loss"


def test_a_net_of_ours_stays_as_it_was():
    net = nn.Sequential(*sequence())
    layers, kinds = list(net.layers), list(map(type, net.layers))
    before = {name: (p._array, p.numpy().copy()) for name, p in net.named_parameters()}
    gradcheck.layers(net, Tensor(X), loss=loss)
    with pytest.raises(GradientError):
        gradcheck.layers(net, X, loss=lambda y: half_tanh(y).sum())
    assert all(a is b for a, b in zip(net.layers, layers, strict=True)) and list(map(type, net.layers)) == kinds
    for name, p in net.named_parameters():
        assert p._array is before[name][0] and (p.numpy() == before[name][1]).all() and p.grad is None


@op
def flat_relu(x):
    return np.maximum(x, 0), lambda gy: (gy * (x > 0)).reshape(-1)


def test_a_pullback_of_another_shape_is_seen_in_its_layer():
    assert failure(nn.Sequential(nn.Linear(4, 3), flat_relu, nn.Linear(3, 2)), X).layer == "layer 1 (flat_relu)"


@op
def clipped(x):
    return x * 2.0, lambda gy: np.clip(2 * gy, -100, 100)


def test_what_really_comes_back_is_looked_at_in_nets_of_ours_too():
    net = nn.Sequential(clipped, lambda x: x * 1000.0)
    assert failure(net, X).verdicts[0].name == "not linear in gy"


def test_what_comes_back_to_a_layer_is_what_comes_of_the_loss():
    assert gradcheck.layers(nn.Sequential(clipped), X).error < 1e-7
    net = nn.Sequential(clipped, nn.Tanh())
    assert failure(net, X, loss=lambda y: 1000.0 * y.sum()).verdicts[0].name == "not linear in gy"


def test_dropout_is_named_and_at_test_it_is_none():
    net = nn.Sequential(nn.Linear(4, 6), nn.Dropout(), nn.Linear(6, 3))
    error = failure(net, X)
    assert (error.layer, error.verdicts[0].name) == ("layer 1 (Dropout)", "not deterministic")
    assert gradcheck.layers(net.eval(), X).error < 1e-6

    class Drop(ReLU):
        def forward(self, x):
            self.mask = np.random.default_rng().random(x.shape) > 0.5
            return x * self.mask

    error = failure([Affine(4, 3), Drop(), ReLU()], X)
    assert (error.layer, error.verdicts[0].name) == ("layer 1 (Drop)", "not deterministic")


def test_windows_of_zeros_behind_a_relu_are_no_mistake():
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(), nn.Flatten(), nn.Linear(4 * 36, 3))
    with no_grad():
        net[0].bias[...] = -1.0
    report = gradcheck.layers(net, normal(2, 2, 16, 16))
    assert report.error < 1e-6
    assert list(report.moved) == ["layer 2 (MaxPool2d), input 0 (x)"]


# -- what cannot be checked --------------------------------------------------------------------------------------------


class ForwardAlone:
    def forward(self, x):
        return x


def cached(self, x):
    return x, (x,)


@pytest.mark.parametrize("net, kind, says", [
    ([Affine(4, 3), ForwardAlone()], TypeError, r"layer 1 \(ForwardAlone\) has no backward: write forward\(x\)"),
    ([changed(ReLU(), backward=None)], TypeError, r"layer 0 \(ReLU\) has no backward: write"),
    ([Affine(4, 3), np.tanh], TypeError, r"layer 1 \(ufunc\) has no forward and no backward"),
    ([Affine(4, 3), ReLU], TypeError, r"layer 1 is a class: write ReLU\(...\)"),
    ([changed(ReLU(), forward=cached)], TypeError, r"layer 0 \(ReLU\): forward returned tuple: return one array"),
    ([changed(ReLU(), forward=lambda self, x: None)], TypeError, "forward returned NoneType"),
    ([ReLU(), changed(ReLU(), backward=lambda self, gy: None)], TypeError, "layer 1 .*: backward returned None"),
    ([changed(ReLU(), backward=lambda self, gy: (gy, gy))], TypeError, "backward returned 2 gradients for 1 inputs"),
    ([changed(ReLU(), backward=lambda self: self.mask)], TypeError, "takes no gradient, and forward returned not"),
    (ForwardAlone(), TypeError, "net is .*ForwardAlone.*: give a module of minicnn, a list of layers, or an ob"),
    (Affine, TypeError, "net is .*Affine.*: give a module"),
    ([], TypeError, r"net is \[\]: give"),
    (nn.Sequential(nn.Linear(4, 3), lambda x: (x, x)), TypeError, "the net returned tuple: return one tensor"),
])  # fmt: skip
def test_what_is_no_net_is_refused_by_name(net, kind, says):
    with pytest.raises(kind, match=says):
        gradcheck.layers(net, X)


def test_whole_numbers_are_not_taken_for_real_ones():
    with pytest.raises(ValueError, match=r"layer 0 .* a gradient for input 0, which is not of real numbers: write 1"):
        gradcheck.layers([Affine(4, 3)], X.astype(int))
    with pytest.raises(ValueError, match="was given no real numbers to check: write 1"):
        gradcheck.layers([changed(ReLU(), backward=lambda self, gy: None)], X.astype(int))


@pytest.mark.parametrize("wrong, says", [
    (lambda y: y.sum(), "loss returned float64: return"), (lambda y: (1, 2, 3), "loss returned tuple: return"),
])  # fmt: skip
def test_a_loss_must_give_its_gradient(wrong, says):
    with pytest.raises(TypeError, match=says):
        gradcheck.layers(chain(), X, loss=wrong)


def test_options_reach_the_check():
    nearly = changed(Sigmoid(), backward=lambda self, gy: 1.0001 * Sigmoid.backward(self, gy))
    assert failure([nearly], X, tolerance=1e-5).layer == "layer 0 (Sigmoid)"
    assert 1e-5 < gradcheck.layers([nearly], X, tolerance=1e-3).error < 1e-3
    assert "in 7 of 7 elements looked at" in str(failure([nearly], X, elements=7))


@pytest.mark.parametrize("options", [{"elements": 0}, {"step": 2}, {"tolerance": -1}, {"seed": -1}])
def test_options_are_looked_at(options):
    with pytest.raises(ValueError, match=f"gradcheck.layers: {next(iter(options))}"):
        gradcheck.layers(chain(), X, **options)
