"""The paper's update rule against itself, written out in a plain loop; the scale of a loss."""

import copy
import math
import pickle

import numpy as np
import pytest
from helpers import agree, normal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from minicnn import Tensor, cpu, nn, no_grad
from minicnn.optim import SGD, LossScale

SHAPES = {"conv.weight": (3, 2, 2, 2), "fc.weight": (300, 70), "fc.bias": (300,)}  # small, more than one slice, a bias
RATES = (0.1, 0.1, 0.01, 0.01)  # a drop in the middle: the velocity of before it is not scaled


def parameters(dtype=np.float64, seed=0):
    random = np.random.default_rng(seed)
    return {name: Tensor(random.standard_normal(s).astype(dtype), requires_grad=True) for name, s in SHAPES.items()}


def steps(optimiser, seed=1):
    """Let the optimiser take a step at each rate, with random gradients, which are returned."""
    random, taken = np.random.default_rng(seed), []
    for optimiser.lr in RATES:
        taken.append({name: random.standard_normal(p.shape) for name, p in optimiser.parameters.items()})
        for name, p in optimiser.parameters.items():
            p.grad = Tensor(taken[-1][name], dtype=p.dtype)
        optimiser.step()
    return taken


def by_hand(w, gradients, factor, decays, momentum, weight_decay, bias_lr, decay_biases):
    """Krizhevsky et al. 2012, §5, for one parameter."""
    v = np.zeros_like(w)
    bias = w.ndim == 1
    for lr, g in zip(RATES, gradients, strict=True):
        lr = factor * lr * bias_lr if bias else factor * lr
        decay = 0 if bias and not decay_biases else weight_decay * decays
        v = momentum * v - decay * lr * w - lr * g
        w = w + v
    return w, v


FACTORS = st.sampled_from([{}, {"fc": 10.0}, {"fc.weight": 0.5, "fc": 3, "conv": 0}])  # of layers


@given(momentum=st.sampled_from([0.0, 0.5, 0.9]), weight_decay=st.sampled_from([0.0, 0.0005, 0.3]),
       bias_lr=st.sampled_from([1.0, 2.0]), decay_biases=st.booleans(), dtype=st.sampled_from([np.float64, np.float32]),
       rates=FACTORS, decays=FACTORS)  # fmt: skip
def test_the_rule_to_the_letter(dtype, rates, decays, **settings):
    ours, before = parameters(dtype), parameters(dtype)
    optimiser = SGD(ours.items(), **settings, rates=rates, decays=decays)
    taken = steps(optimiser)
    precision = {"rtol": 1e-12, "atol": 1e-14} if dtype is np.float64 else {"rtol": 1e-5, "atol": 1e-6}
    for name, p in ours.items():
        start = before[name].numpy().astype(np.float64)
        of_rate, of_decay = (math.prod(factors.get(key, 1) for key in (name, name.partition(".")[0]))
                             for factors in (rates, decays))
        w, v = by_hand(start, [g[name] for g in taken], of_rate, of_decay, **settings)
        np.testing.assert_allclose(p.numpy(), w, err_msg=name, **precision)
        np.testing.assert_allclose(optimiser.state_dict()[name], v, err_msg=name, **precision)
        assert p.dtype == optimiser.velocity[name].dtype == dtype


@pytest.mark.parametrize(("rates", "error", "words"), [
    ({"fc8": 10}, ValueError, "rates has 'fc8', of which there is no parameter: there are conv.weight, fc.weight, "),
    ({"f": 1}, ValueError, "rates has 'f', of"), ({"": 1}, ValueError, "rates has '', of"),
    ({"fc": -1}, ValueError, r"rates\['fc'\] is -1"), ({"fc": np.nan}, ValueError, r"rates\['fc'\] is nan"),
    ({"fc": "a"}, TypeError, r"rates\['fc'\] is 'a'"), ([("fc", 1)], TypeError, r"rates is \[.*\]: give a dict"),
])  # fmt: skip
def test_rates_are_numbers_of_layers_that_are_there(rates, error, words):
    with pytest.raises(error, match=f"^SGD: {words}"):
        SGD(parameters().items(), rates=rates)
    with pytest.raises(error, match=f"^SGD: {words.replace('rates', 'decays')}"):
        SGD(parameters().items(), decays=rates)


@given(shapes=st.lists(array_shapes(min_dims=0, max_dims=4, max_side=4), min_size=1, max_size=3),
       rates=st.tuples(*[st.floats(0, 1)] * 3), momentum=st.floats(0, 0.99), weight_decay=st.floats(0, 1))
def test_three_steps_element_by_element(shapes, rates, momentum, weight_decay):
    ours = {f"p{i}": Tensor(normal(*shape, seed=i), requires_grad=True) for i, shape in enumerate(shapes)}
    expected = {name: [(w, 0.0) for w in p.numpy().ravel().tolist()] for name, p in ours.items()}
    optimiser = SGD(ours.items(), momentum=momentum, weight_decay=weight_decay)
    for step, optimiser.lr in enumerate(rates):
        for seed, (name, p) in enumerate(ours.items()):
            p.grad = Tensor(normal(*p.shape, seed=10 * step + seed))
            for i, ((w, v), g) in enumerate(zip(expected[name], p.grad.numpy().ravel().tolist(), strict=True)):
                v = momentum * v - weight_decay * optimiser.lr * w - optimiser.lr * g
                expected[name][i] = w + v, v
        optimiser.step()
    for name, p in ours.items():
        w, v = np.transpose(expected[name])
        agree(p.numpy().ravel(), w, name)
        agree(optimiser.state_dict()[name].ravel(), v, f"velocity of {name}")


def by_lars(w, gradients, lars, lr, momentum, weight_decay):
    """You et al. 2017, algorithm 1, for one parameter, number by number."""
    w, v = w.ravel().tolist(), [0.0] * w.size
    for g in gradients:
        norm, of_gradient = (math.sqrt(sum(x * x for x in xs)) for xs in (w, g.ravel().tolist()))
        rate = lr
        if norm > 0 and of_gradient > 0:
            rate *= lars * norm / (of_gradient + weight_decay * norm)
        for i, gi in enumerate(g.ravel().tolist()):
            v[i] = momentum * v[i] - rate * (gi + weight_decay * w[i])
        w = [wi + vi for wi, vi in zip(w, v, strict=True)]
    return w, v


@given(shapes=st.lists(array_shapes(min_dims=0, max_dims=4, max_side=4), min_size=1, max_size=3),
       zero=st.sampled_from(["", "weight", "gradient"]), lars=st.sampled_from([0.001, 0.02, 1.0]),
       lr=st.sampled_from([0.0, 0.5, 10.0]), momentum=st.sampled_from([0.0, 0.9]),
       weight_decay=st.sampled_from([0.0, 0.0005, 0.3]), bias_lr=st.sampled_from([1.0, 2.0]),
       decay_biases=st.booleans(), loss_scale=st.sampled_from([1.0, 2.0**10]),
       dtype=st.sampled_from([np.float64, np.float32]))  # fmt: skip
def test_lars_gives_every_parameter_a_rate_of_its_own(shapes, zero, lars, lr, loss_scale, dtype, **settings):
    ours = {f"p{i}": Tensor(normal(*shape, seed=i) * (zero != "weight"), dtype=dtype, requires_grad=True)
            for i, shape in enumerate(shapes)}  # fmt: skip
    before = {name: p.numpy().astype(np.float64) for name, p in ours.items()}
    optimiser, taken = SGD(ours.items(), lr=lr, lars=lars, **settings), []
    for step in range(3):
        taken.append({name: normal(*p.shape, seed=10 * step + i) * (zero != "gradient" or step != 1)
                      for i, (name, p) in enumerate(ours.items())})  # fmt: skip
        for name, p in ours.items():
            p.grad = Tensor(taken[-1][name] * loss_scale, dtype=dtype)
        optimiser.step(loss_scale)
    for name, p in ours.items():
        decay = 0.0 if p.ndim < 2 and not settings["decay_biases"] else settings["weight_decay"]
        rate = lr * (settings["bias_lr"] if p.ndim < 2 else 1)
        w, v = by_lars(before[name], [g[name] for g in taken], lars, rate, settings["momentum"], decay)
        tolerance = 1e-11 if dtype is np.float64 else 1e-5
        agree(p.numpy().ravel(), w, name, tolerance)
        agree(optimiser.state_dict()[name].ravel(), v, f"velocity of {name}", tolerance)
        assert p.dtype == dtype


def test_by_lars_the_size_of_a_gradient_says_nothing_and_its_direction_all():
    results = []
    for factor in (1.0, 2.0**20):
        ours = parameters()
        optimiser = SGD(ours.items(), lr=10.0, lars=0.001, weight_decay=0.0)
        give_gradients(optimiser, factor)
        optimiser.step()
        results.append({name: p.numpy().copy() for name, p in ours.items()})
        for name, v in optimiser.state_dict().items():
            start = parameters()[name].numpy()
            assert np.linalg.norm(v) == pytest.approx(10 * 0.001 * np.linalg.norm(start)), "a hundredth of the weights"
    for name, right in results[0].items():
        agree(results[1][name], right, name)


def test_lars_works_with_rates_and_on_two_devices():
    """A layer that stands still, one that learns twice as fast, and what has no gradient."""
    ours, here = parameters(), parameters()
    one, two = (SGD(of.items(), lr=2.0, lars=0.01, rates={"conv": 0, "fc.weight": 2}) for of in (ours, here))
    for optimiser in (one, two):
        give_gradients(optimiser, 1.0)
        optimiser.parameters["fc.bias"].grad = None
    moved = ours["fc.weight"]
    gradient, moved.grad = moved.grad.numpy(), None
    moved.move(cpu(1))
    moved.grad = Tensor(gradient, device=cpu(1))
    one.step()
    two.step()
    before = parameters()
    w = before["fc.weight"].numpy()
    rate = 2 * 2 * 0.01 * np.linalg.norm(w) / (np.linalg.norm(gradient) + 0.0005 * np.linalg.norm(w))
    agree(here["fc.weight"].numpy(), w - rate * (gradient + 0.0005 * w))
    for name, p in ours.items():
        agree(p.numpy(), here[name].numpy(), name)
    for name in ("conv.weight", "fc.bias"):
        np.testing.assert_array_equal(here[name].numpy(), before[name].numpy(), err_msg=name)


def test_the_paper_s_numbers_are_the_defaults():
    optimiser = SGD(parameters())
    assert (optimiser.lr, optimiser.momentum, optimiser.weight_decay) == (0.01, 0.9, 0.0005)
    assert (optimiser.bias_lr, optimiser.decay_biases, optimiser.lars) == (1.0, True, None)


def test_what_has_no_gradient_stays():
    ours, before = parameters(), parameters()
    optimiser = SGD(ours.items(), weight_decay=0.1)
    ours["fc.bias"].grad = Tensor(np.ones(300))
    optimiser.step()
    assert (ours["fc.bias"].numpy() != before["fc.bias"].numpy()).all()
    for name in ("conv.weight", "fc.weight"):
        np.testing.assert_array_equal(ours[name].numpy(), before[name].numpy())
    optimiser.zero_grad()
    assert ours["fc.bias"].grad is None


def test_no_step_while_a_graph_needs_the_weights():
    w = Tensor([2.0], requires_grad=True)
    w.grad = Tensor([1.0])
    loss = (w * w).sum()
    with pytest.raises(RuntimeError, match="call backward"):
        SGD([("w", w)]).step()
    loss.backward()
    assert w.grad.numpy() == [5.0]


def test_a_resumed_optimiser_goes_on_as_if_never_stopped():
    ours, theirs = parameters(), parameters()
    first = SGD(ours.items())
    steps(first)
    second = SGD(theirs.items())
    second.load_state_dict(first.state_dict())
    for name, p in theirs.items():
        with no_grad():
            p[...] = ours[name]
    steps(first, seed=2)
    steps(second, seed=2)
    for name, p in ours.items():
        np.testing.assert_array_equal(p.numpy(), theirs[name].numpy(), err_msg=name)


def test_state_is_a_copy():
    optimiser = SGD(parameters().items())
    state = optimiser.state_dict()
    steps(optimiser)
    assert not any(v.any() for v in state.values())


@pytest.mark.parametrize("change", [
    lambda state: state.pop("fc.bias"),
    lambda state: state.update({"fc.bias": np.zeros(299)}),
    lambda state: state.update({"fc9.bias": np.zeros(3)}),
])
def test_a_strange_state_is_refused_and_changes_nothing(change):
    optimiser = SGD(parameters().items())
    steps(optimiser)
    before = optimiser.state_dict()
    state = {name: v + 1 for name, v in before.items()}
    change(state)
    with pytest.raises(ValueError, match=r"^SGD: (.*model: fc9?\.bias is in one|fc\.bias has .*another model)"):
        optimiser.load_state_dict(state)
    for name, v in optimiser.state_dict().items():
        np.testing.assert_array_equal(v, before[name])


@pytest.mark.parametrize("setting", [
    {"lr": -0.1}, {"lr": math.nan}, {"momentum": -0.5}, {"momentum": 1.0}, {"momentum": math.inf},
    {"weight_decay": -1e-4}, {"bias_lr": -2.0}, {"lars": 0}, {"lars": -0.001}, {"lars": math.inf},
])
def test_numbers_out_of_range(setting):
    (name, value), = setting.items()
    with pytest.raises(ValueError, match=f"SGD: {name} is {value}"):
        SGD(parameters().items(), **setting)


# -- what it is given -------------------------------------------------------------------------------------------------


def ways(net):
    named = list(net.named_parameters())
    return {"pairs": named, "generator": net.named_parameters(), "parameters": net.parameters(), "dict": dict(named),
            "list": [p for _, p in named], "model": net, "tuple": tuple(named), "twice": named + named,
            "lists": [list(pair) for pair in named]}


@pytest.mark.parametrize("way", ways(nn.Linear(1, 1)))
def test_parameters_come_in_many_ways_and_all_are_trained(way):
    net = nn.Linear(3, 2)
    before = net.state_dict()
    optimiser = SGD(ways(net)[way])
    assert list(optimiser.parameters) == (["0", "1"] if way in ("parameters", "list") else ["weight", "bias"])
    net(np.ones((1, 3), np.float32)).sum().backward()
    optimiser.step()
    assert all((array != before[name]).all() for name, array in net.state_dict().items())
    assert set(optimiser.state_dict()) == set(optimiser.parameters)


W = Tensor([1.0, 2.0], requires_grad=True)


@pytest.mark.parametrize(("given", "error", "words"), [
    ([], ValueError, "no parameter"), ({}, ValueError, "no parameter"), (nn.ReLU(), ValueError, "no parameter"),
    (iter(()), ValueError, "no parameter"), (W, TypeError, "Tensor is no list"),
    ("weights", TypeError, "str is no list"),
    (None, TypeError, "NoneType is no list"), (3, TypeError, "int is no list"), ([3], TypeError, "3 is neither"),
    (["w"], TypeError, "'w' is neither"), ([("w", 3)], TypeError, "is neither"), ([(W, "w")], TypeError, "is neither"),
    ([{"params": [W]}], TypeError, "is neither a tensor nor a pair"), ([np.ones(3)], TypeError, "is neither"),
    ([Tensor([1.0])], ValueError, "parameter '0' has no requires_grad"), ([W * 2], ValueError, "was made by multiply"),
    ([("w", Tensor([1]))], ValueError, "parameter 'w' has no requires_grad"),
    ([("w", W), ("w", Tensor([1.0], requires_grad=True))], ValueError, "two parameters are called 'w'"),
])
def test_what_is_no_list_of_parameters_is_refused(given, error, words):
    with pytest.raises(error, match=f"SGD: .*{words}"):
        SGD(given)


@pytest.mark.parametrize("setting", [
    {"lr": "0.1"}, {"lr": True}, {"momentum": True}, {"momentum": None}, {"weight_decay": [0.1]}, {"bias_lr": 1j},
    {"decay_biases": 1}, {"decay_biases": "no"}, {"lr": np.bool_(True)},
    {"lars": "0.001"}, {"lars": True},
])
def test_settings_of_another_kind(setting):
    name, = setting
    with pytest.raises(TypeError, match=f"SGD: {name} is "):
        SGD(parameters(), **setting)


@pytest.mark.parametrize(("name", "value"), [("lr", math.nan), ("lr", -1.0), ("momentum", 2.0), ("bias_lr", math.inf),
                                           ("lars", math.nan)])
def test_what_is_set_later_is_looked_at_too(name, value):
    w = Tensor([1.0], requires_grad=True)
    optimiser = SGD([w])
    w.grad = Tensor([1.0])
    setattr(optimiser, name, value)
    with pytest.raises(ValueError, match=f"SGD: {name} is {value}"):
        optimiser.step()
    for scale in (0, math.nan, -1.0):
        with pytest.raises(ValueError, match="SGD: loss_scale is"):
            SGD([w]).step(scale)
    assert w.item() == 1


def test_a_step_before_any_backward_is_an_error():
    net = nn.Linear(2, 2)
    optimiser = SGD(net)
    with pytest.raises(RuntimeError, match=r"SGD: no parameter has a gradient: before step\(\), call backward\(\)"):
        optimiser.step()
    net(np.ones((1, 2), np.float32)).sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    with pytest.raises(RuntimeError, match="no parameter has a gradient"):
        optimiser.step()


def test_a_step_that_cannot_be_moves_nothing():
    a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    a.grad, b.grad = Tensor([1.0]), Tensor([1.0])
    graph = b * b
    with pytest.raises(RuntimeError, match="multiply needs its values"):
        SGD([a, b]).step()
    assert a.item() == b.item() == 1
    del graph


def test_a_number_is_a_bias():
    gain, weight = Tensor(2.0, requires_grad=True), Tensor([[2.0]], requires_grad=True)
    optimiser = SGD([gain, weight], lr=1.0, momentum=0, weight_decay=0.5, bias_lr=3.0, decay_biases=False)
    gain.grad, weight.grad = Tensor(0.25), Tensor([[0.25]])
    optimiser.step()
    assert (gain.item(), weight.item()) == (2 - 3 * 0.25, 2 - 0.5 * 2 - 0.25)


@pytest.mark.parametrize("make", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copied_optimiser_goes_on_as_the_first(make):
    net = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(12, 2))  # velocities of every memory order
    optimiser = SGD(net.named_parameters(), lr=0.1)

    def go(net, optimiser, times):
        for seed in range(times):
            optimiser.zero_grad()
            net(normal(2, 2, 3, 3, seed=seed).astype(np.float32)).sum().backward()
            optimiser.step()

    go(net, optimiser, 2)
    other, its = make((net, optimiser))
    assert all(p is its.parameters[name] for name, p in other.named_parameters())
    for pair in ((net, optimiser), (other, its)):
        go(*pair, 2)
    for state, same in ((net.state_dict(), other.state_dict()), (optimiser.state_dict(), its.state_dict())):
        for name, array in state.items():
            np.testing.assert_array_equal(array, same[name], name)


def test_the_velocity_goes_where_its_parameter_went():
    net = nn.Linear(2, 2)
    optimiser = SGD(net)
    net.to(cpu(1))
    net(Tensor([[1.0, 2.0]], device=cpu(1))).sum().backward()
    optimiser.step()
    assert {v.device for v in optimiser.velocity.values()} == {cpu(1)}


@pytest.mark.parametrize("array", [np.ones(300, complex), np.array(["a"] * 300)])
def test_a_state_of_no_real_numbers_is_refused(array):
    optimiser = SGD(parameters().items())
    state = {name: v + 1 for name, v in optimiser.state_dict().items()} | {"fc.bias": array}
    with pytest.raises(TypeError, match=r"SGD: fc\.bias: .* is not a type of real number"):
        optimiser.load_state_dict(state)
    assert not any(v.any() for v in optimiser.state_dict().values())


# -- the loss scale ----------------------------------------------------------------------------------------------------


def give_gradients(optimiser, factor, seed=1, spoil=None):
    random = np.random.default_rng(seed)
    for name, p in optimiser.parameters.items():
        gradient = factor * random.standard_normal(p.shape)
        if name == spoil:
            gradient.flat[-1] = np.inf
        p.grad = Tensor(gradient, dtype=p.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_scaled_loss_changes_no_bit_of_the_step(dtype):
    results = []
    for factor in (1.0, 2.0**16):
        ours = parameters(dtype)
        optimiser = SGD(ours.items(), lr=0.1, weight_decay=0.3)
        for seed in (1, 2):
            give_gradients(optimiser, factor, seed)
            optimiser.step(factor)
        results.append({name: p.numpy().copy() for name, p in ours.items()} | optimiser.state_dict())
    for name, right in results[0].items():
        np.testing.assert_array_equal(results[1][name], right, name)


def test_the_norm_of_the_gradient_is_of_all_parameters():
    optimiser = SGD(parameters().items())
    assert optimiser.gradient_norm() == 0
    give_gradients(optimiser, 2.0)
    right = math.sqrt(sum((p.grad.numpy() ** 2).sum() for p in optimiser.parameters.values()))
    assert optimiser.gradient_norm() == pytest.approx(right, rel=1e-12)
    optimiser.parameters["fc.bias"].grad = None
    assert optimiser.gradient_norm() < right


@pytest.mark.parametrize("spoil", SHAPES)
def test_a_gradient_that_overflows_leaves_the_step_out(spoil):
    optimiser, scale = SGD(parameters().items(), lr=0.1), LossScale(16.0, patience=3)
    give_gradients(optimiser, 16.0)
    assert scale.step(optimiser)
    before = {name: p.numpy().copy() for name, p in optimiser.parameters.items()} | optimiser.state_dict()
    give_gradients(optimiser, 16.0, spoil=spoil)
    assert not scale.step(optimiser)
    after = {name: p.numpy() for name, p in optimiser.parameters.items()} | optimiser.state_dict()
    for name, right in before.items():
        np.testing.assert_array_equal(after[name], right, name)
    assert scale.state() == {"factor": 8.0, "waited": 0}


def test_the_factor_grows_after_so_many_steps_in_a_row():
    optimiser, scale = SGD(parameters().items()), LossScale(4.0, patience=3)
    factors = []
    for spoil in (None, None, "fc.bias", None, None, None, None, None, None):
        give_gradients(optimiser, scale.factor, spoil=spoil)
        scale.step(optimiser)
        factors.append(scale.factor)
    assert factors == [4, 4, 2, 2, 2, 4, 4, 4, 8]


def test_where_no_factor_helps_it_says_what_to_do():
    optimiser, scale = SGD(parameters().items(), lr=0.5), LossScale(2.0)
    give_gradients(optimiser, 1.0, spoil="fc.weight")
    assert not scale.step(optimiser)
    with pytest.raises(OverflowError, match=r"LossScale: the gradients are not finite .*rate is 0\.5: try a tenth"):
        scale.step(optimiser)


def test_without_patience_it_looks_at_nothing():
    optimiser, scale = SGD(parameters().items(), lr=0.1), LossScale(1.0, patience=None)
    give_gradients(optimiser, 1.0, spoil="fc.weight")
    assert scale.step(optimiser)
    assert scale.factor == 1


@pytest.mark.parametrize(("build", "error"), [
    (lambda: LossScale(0.0), ValueError), (lambda: LossScale("2"), TypeError), (lambda: LossScale(2.0, 0), ValueError),
    (lambda: LossScale(math.nan), ValueError), (lambda: LossScale(2.0, patience=1.5), TypeError),
])  # fmt: skip
def test_a_scale_of_nonsense_is_refused_by_name(build, error):
    with pytest.raises(error, match=r"^LossScale: \w+"):
        build()
