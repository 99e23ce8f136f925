"""A Hessian times a vector by differences of gradients: near to the exact one, and never farther off than it says."""

import numpy as np
import pytest
from helpers import agree, normal
from hypothesis import given
from hypothesis import strategies as st

from minicnn import GradientError, Tensor, cpu, manual_seed, nn, no_grad, ops
from minicnn.engine.op import op
from minicnn.gradcheck.hvp import hvp

LABELS = np.array([2, 0, 1, 1])


def by_hand(gradient, x, v):
    """hvp of a function of which the gradient alone is known."""
    return hvp(lambda x: 0.0, x, v, backward=lambda gy, x: gradient(x))


def bounded(found, exact, digits=0):
    """The error that comes with it is no less than the true one; and no more than leaves so many digits."""
    (product, error), exact = found, np.asarray(exact, np.longdouble)
    assert (product.shape, product.dtype) == (exact.shape, np.float64)
    assert np.linalg.norm((product - exact).astype(float)) <= error
    assert not digits or error <= 10.0**-digits * np.linalg.norm(exact.astype(float))


# -- against exact Hessians --------------------------------------------------------------------------------------------


@given(shape=st.sampled_from([(), (1,), (5,), (2, 3)]), seed=st.integers(0, 2**32 - 1), scale=st.integers(-6, 6))
def test_of_a_quadratic(shape, seed, scale):
    """f = x · A x / 2 + b · x: H = A, everywhere, for x, b and v of any size."""
    random = np.random.default_rng(seed)
    n = int(np.prod(shape))
    a, b, x, v = (random.normal(size=size) for size in ((n, n), n, shape, shape))
    a, b, x, v = a + a.T, b * 10.0**scale, x * 10.0 ** random.integers(-3, 4), v * 10.0 ** random.integers(-3, 4)

    def f(x):
        flat = x.reshape(n)
        return ((flat @ Tensor(a)) * flat).sum() * 0.5 + (flat * b).sum()

    bounded(hvp(f, x, v), (a @ v.ravel()).reshape(shape))


def test_of_softmax_and_cross_entropy():
    """f = −Σ ln p[label] / N, p = softmax(x): of each row, H = (diag(p) − p pᵀ) / N."""
    x, v = normal(4, 3), normal(4, 3, seed=1)
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    exact = [(np.diag(row) - np.outer(row, row)) @ u / 4 for row, u in zip(p, v, strict=True)]
    bounded(hvp(lambda x: ops.cross_entropy(x, LABELS), x, v), exact, digits=10)


def second_differences(f, w, v):
    """H v, one number after the other: (f(w + a + b) − f(w + a − b) − f(w − a + b) + f(w − a − b)) / 4h², for a = h eᵢ,
    b = h v: twice, in 80 bits, so that what is left of h² cancels."""
    w, v, found = w.astype(np.longdouble), v.astype(np.longdouble), []
    for e in np.eye(w.size, dtype=np.longdouble):
        coarse, fine = ((f(w + h * e + h * v) - f(w + h * e - h * v) - f(w - h * e + h * v) + f(w - h * e - h * v))
                        / (4 * h * h) for h in (np.longdouble(2e-4), np.longdouble(1e-4)))  # fmt: skip
        found.append((4 * fine - coarse) / 3)
    return np.array(found)


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="this machine's long double is a double")
@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_of_a_network_by_its_parameters(kind):
    """Its loss, written once more in NumPy, differentiated twice by differences."""
    manual_seed(0)
    images, net = normal(4, 5, seed=3), nn.Sequential(nn.Linear(5, 4), nn.Tanh() if kind == "tanh" else nn.ReLU(),
                                                      nn.Linear(4, 3))  # fmt: skip
    nn.initialise(net, lambda name, weight: 0.5, lambda name: 0.1)

    def loss(w):
        w1, b1, w2, b2 = np.split(w, [20, 24, 36])
        z = images @ w1.reshape(4, 5).T + b1
        scores = (np.tanh(z) if kind == "tanh" else np.maximum(z, 0)) @ w2.reshape(3, 4).T + b2
        return (np.log(np.exp(scores).sum(1)) - scores[range(4), LABELS]).mean()

    w = np.concatenate([p.numpy().ravel() for p in net.parameters()])
    product, error = hvp(lambda net: ops.cross_entropy(net(images), LABELS), net, normal(39, seed=4))
    exact = second_differences(loss, w, normal(39, seed=4))
    agree(product, exact.astype(float), tolerance=1e-8)
    assert error < 1e-9 * np.linalg.norm(product)


# -- the error that it says --------------------------------------------------------------------------------------------


def exp(x):
    return np.exp(x), np.exp(x)


def inverse(x):
    """Elements may be far smaller than the norm of x, to which the steps are."""
    return 1 / x, -1 / x**2


def fast(x):
    """Many waves within the largest steps: from afar it looks flat."""
    return np.sin(1000 * x), 1000 * np.cos(1000 * x)


def single(x):
    """Rounded to float32 on the way: small steps change nothing."""
    return np.tanh(x).astype(np.float32).astype(x.dtype), 1 / np.cosh(x) ** 2


def scaled(x):
    """Rounded in the middle, and nearly flat where x is large."""
    return np.tanh(x / 4).astype(np.float32) * (x * 0 + 4 / 3), 1 / np.cosh(x / 4) ** 2 / 3


def kinks(x):
    """Of a sum of squares of rectified numbers: a third derivative would jump."""
    return np.maximum(x - 0.3, 0) + x, (x > 0.3) + 1.0


@pytest.mark.parametrize("f", [exp, inverse, fast, single, scaled, kinks])
@given(seed=st.integers(0, 2**32 - 1))
def test_the_error_is_at_least_the_true_one(f, seed):
    """f gives a gradient by each element, and its slope."""
    random = np.random.default_rng(seed)
    n = random.integers(1, 6)
    x, v = random.normal(size=n) * 10.0 ** random.uniform(-2, 1), random.normal(size=n) * 10.0 ** random.integers(-3, 4)
    bounded(by_hand(lambda x: f(x)[0], x, v), f(x.astype(np.longdouble))[1] * v)


def test_rounding_inside_is_seen_where_small_steps_change_nothing():
    x, v = np.array([27.0, 26.0]), np.array([1.0, 0.25])
    bounded(by_hand(lambda x: scaled(x)[0], x, v), scaled(x.astype(np.longdouble))[1] * v)
    bounded(by_hand(lambda x: single(x)[0], np.array([0.5]), [1]), single(np.longdouble([0.5]))[1], digits=3)
    x = np.array([15.0])  # where tanh is 1 in float32 at every step
    bounded(by_hand(lambda x: single(x)[0], x, [1]), single(x.astype(np.longdouble))[1])


def test_waves_look_flat_from_afar():
    x = np.array([1000.3])
    bounded(by_hand(lambda x: fast(x)[0], x, [1]), fast(x.astype(np.longdouble))[1])  # and not near enough
    x = np.array([5.0])
    bounded(by_hand(lambda x: np.float32(x + fast(x)[0] / 1000), x, [1]), 1 + fast(x.astype(np.longdouble))[1] / 1000)


def test_what_no_step_shows_is_a_last_digit_at_least():
    bounded(by_hand(lambda x: x / 3, np.zeros(1), [1]), [np.longdouble(1) / 3])  # each step rounds alike


def test_a_smooth_function_leaves_ten_digits():
    for seed in range(20):
        x, v = normal(6, seed=seed), normal(6, seed=seed + 100)
        bounded(by_hand(np.exp, x, v), np.exp(x.astype(np.longdouble)) * v, digits=10)
        bounded(by_hand(lambda x: np.tanh(x) / 3, 0 * x, v), v / 3, digits=10)  # x = 0 says nothing of a size


def test_what_is_linear_has_none():
    product, error = hvp(lambda x: (x * normal(3)).sum(), normal(3), normal(3))
    assert not product.any()
    assert error < 1e-12


def test_near_a_kink_the_steps_are_small_and_at_it_nothing_is_known():
    def f(x):
        return (ops.relu(x) * ops.relu(x) + ops.relu(x) * 3).sum()

    for distance in (0.1, 1e-3, -1e-3, 1e-5):
        bounded(hvp(f, [distance, 1.0], [1.0, 1.0]), [2.0 * (distance > 0), 2.0], digits=4)
    product, error = hvp(f, [0.0, 1.0], [1.0, 1.0])
    assert error >= np.linalg.norm(product)


@pytest.mark.parametrize("size", [2.0**-1000, 2.0**-40, 8.0, 2.0**1000])
def test_it_is_linear_in_v_for_any_size(size):
    x, v = normal(4), normal(4, seed=1)
    product, error = by_hand(np.exp, x, v)
    larger, its_error = by_hand(np.exp, x, size * v)
    agree(larger / size, product)
    assert its_error / size == pytest.approx(error)


def test_of_no_direction_it_is_nothing():
    product, error = by_hand(np.exp, normal(2, 3), np.zeros((2, 3)))
    assert (product.shape, product.any(), error) == ((2, 3), False, 0)


# -- what it is given --------------------------------------------------------------------------------------------------


def cube(x):
    return (x * x * x).sum()


@pytest.mark.parametrize("x", [
    [1.0, -2.0], np.float32([1, -2]), Tensor([1.0, -2.0]), Tensor([1.0, -2.0], requires_grad=True, device=cpu(1)),
])  # fmt: skip
def test_an_array_or_a_tensor_anywhere(x):
    with no_grad():
        bounded(hvp(cube, x, Tensor([1, 2])), [6, -24], digits=10)
    assert getattr(x, "grad", None) is None


class Squares(nn.Module):
    """A layer that has parameters of its own."""

    def __init__(self):
        self.w, self.unused = (Tensor([3.0, 4.0], dtype=np.float64, requires_grad=True) for _ in range(2))

    def forward(self, x):
        return (self.w * x * x).sum()


def test_a_layer_is_a_function_of_its_input():
    bounded(hvp(Squares(), [1.0, 1.0], [1, 2]), [6, 16], digits=10)


def test_parameters_without_gradient_are_left_out_and_those_not_used_do_not_bend():
    net = Squares()
    bounded(hvp(lambda net: cube(net.w), net, [1, 2, 3, 4]), [18, 48, 0, 0], digits=10)
    net.unused.requires_grad = False
    bounded(hvp(lambda net: cube(net.w), net, [1, 2]), [18, 48], digits=10)


def test_a_module_is_left_as_it_was():
    net, images = nn.Sequential(nn.Linear(3, 2), nn.Tanh()), normal(4, 3)
    gradient = net.layers[0].bias.grad = Tensor(np.ones(2, np.float32))
    before = net.state_dict()
    hvp(lambda net: net(images).sum(), net, normal(8))
    assert all(p.dtype == np.float32 and (p.numpy() == before[name]).all() for name, p in net.named_parameters())
    assert net.layers[0].bias.grad is gradient
    assert net.layers[0].weight.grad is None


def test_how_many_gradients_it_takes_and_how_far_away():
    calls, x = [], normal(3)
    by_hand(lambda at: calls.append(np.linalg.norm(at - x)) or np.exp(at), x, normal(3, seed=1))
    assert len(calls) == 28
    assert max(calls) == pytest.approx(np.linalg.norm(x) / 4)


def test_steps_out_of_where_it_is_defined_are_no_steps():
    with np.errstate(all="raise"):
        bounded(by_hand(lambda x: 1.5 * np.sqrt(x), np.array([1.0, 0.01]), [1, 1]), [0.75, 7.5], digits=8)
        bounded(by_hand(lambda x: np.where(x > 1.05, np.inf, x), np.ones(1), [1]), [1], digits=10)


# -- what it refuses ---------------------------------------------------------------------------------------------------


def several(net):
    return net.w * 2


NOISE = np.random.default_rng(0)
REFUSED = {
    "no function": (lambda: hvp(None, [1.0], [1]), TypeError, "f is None: give a function"),
    "a class": (lambda: hvp(Squares, [1.0], [1]), TypeError, "f is <class .*: give a function"),
    "no backward": (lambda: hvp(cube, [1.0], [1], backward=3), TypeError, "backward is 3: give a function"),
    "x of whole numbers": (lambda: hvp(cube, [1, 2], [1, 1]), TypeError, r"x is \[1, 2\]: give real numbers, 1.0 for"),
    "x of words": (lambda: hvp(cube, "a", [1, 1]), TypeError, "x is 'a': give real numbers"),
    "v of words": (lambda: hvp(cube, [1.0, 2.0], ["a", "b"]), TypeError, "v is of <U1: give real numbers"),
    "another shape": (lambda: hvp(cube, [1.0, 2.0], [[1, 1]]), ValueError, r"v has the shape \(1, 2\), x \(2,\)"),
    "too few": (lambda: hvp(lambda net: cube(net.w), Squares(), [1, 2]), ValueError, r"shape \(2,\), x \(4,\): both"),
    "v not finite": (lambda: hvp(cube, [1.0, 2.0], [1, np.inf]), ValueError, "v has elements that are not finite"),
    "several numbers": (lambda: hvp(lambda x: x * x, [1.0, 2.0], [1, 1]), ValueError,
                        r"<lambda> returned the shape \(2,\): it must be one number, as of a sum"),
    "several of a module": (lambda: hvp(several, Squares(), [1] * 4), ValueError, "several returned the shape"),
    "no graph": (lambda: hvp(lambda x: cube(x.detach()), [1.0], [1]), ValueError, "no gradient of <lambda> reaches x"),
    "another's graph": (lambda: hvp(lambda x: cube(Squares().w), [1.0], [1]), ValueError, "no gradient .* reaches x"),
    "no parameters": (lambda: hvp(cube, nn.ReLU(), []), ValueError, "x, ReLU, has no parameter with requires_grad"),
    "by hand, of a module": (lambda: hvp(cube, Squares(), [1] * 4, backward=cube), ValueError, "x is a module: where"),
    "infinite slope": (lambda: by_hand(lambda x: 1 / x, np.zeros(2), [1, 1]), ValueError, "its gradient is not: cho"),
    "the edge": (lambda: by_hand(np.sqrt, np.array([1.0, 0.0]), [1, 1]), ValueError, "right beside x the gradient of"),
    "not finite": (lambda: hvp(lambda x: np.nan, [1.0], [1], backward=lambda gy, x: x), GradientError, "not finite"),
    "chance": (lambda: hvp(lambda x: cube(x * NOISE.normal()), [1.0], [1]), GradientError, "not deterministic"),
    "a gradient by chance": (lambda: by_hand(lambda x: NOISE.normal(size=1), [1.0], [1]), GradientError, "not determ"),
    "a gradient of another shape": (lambda: by_hand(lambda x: x[:1], normal(2), [1, 1]), GradientError,
                                    r"has the shape \(1,\), the input \(2,\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_it_is_refused_by_name(case):
    call, error, words = REFUSED[case]
    with pytest.raises(error, match=words) as caught:
        call()
    assert str(caught.value).startswith("gradcheck")


def test_a_gradient_of_another_shape_on_the_way():
    @op
    def wrong(x):
        return x * x, lambda gy: gy[:1]

    with pytest.raises(GradientError, match=r"the gradient of input 0 \(x\) has the shape \(1,\)"):
        hvp(lambda x: wrong(x).sum(), normal(3), normal(3))
