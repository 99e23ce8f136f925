"""Layers: each is its op with parameters. Modules: names, state, modes, devices. Dropout that can be resumed."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from alexnet_twins import double
from helpers import agree, distinct, normal
from hypothesis import given
from hypothesis import strategies as st
from test_dropout import dropped

from minicnn import Tensor, cpu, gradcheck, manual_seed, models, nn, no_grad, ops
from minicnn.engine.device import current_device
from minicnn.nn import eval_mode
from minicnn.optim import SGD


def same(state, other):
    assert state.keys() == other.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


# -- every layer is its op: (layer, shape of its input, what it shall compute), of sizes that n(low, high) draws ------


def conv2d(n):
    groups, channels, kernels, size = n(1, 2), n(1, 2), n(1, 3), n(1, 3)
    settings = {"stride": n(1, 2), "padding": (n(0, 2), n(0, 2)), "groups": groups}
    layer = nn.Conv2d(channels * groups, kernels * groups, size, **settings)
    shape = (n(1, 3), channels * groups, n(size, 5), n(size, 5))
    return layer, shape, lambda x: ops.conv2d(x, layer.weight, layer.bias, **settings)


def linear(n):
    layer = nn.Linear(n(1, 5), n(1, 5))
    return layer, (n(1, 3), layer.weight.shape[1]), lambda x: ops.linear(x, layer.weight, layer.bias)


def local_response_norm(n):
    settings = {"size": 2 * n(0, 3) + 1, "alpha": n(0, 3) / 2, "beta": n(1, 4) / 4, "k": n(1, 3)}
    return (nn.LocalResponseNorm(**settings), (n(1, 3), n(1, 6), n(1, 3), n(1, 3)),
            lambda x: ops.local_response_norm(x, **settings))


def map_response_norm(n):
    settings = {"size": 2 * n(0, 3) + 1, "alpha": n(0, 3) / 2, "beta": n(1, 4) / 4, "k": n(1, 3)}
    return (nn.MapResponseNorm(**settings), (n(1, 3), n(1, 3), n(1, 4), n(1, 4)),
            lambda x: ops.map_response_norm(x, **settings))


def max_pool2d(n):
    size = n(2, 3)
    settings = {"size": size, "stride": n(1, 3), "padding": (n(0, 1), n(0, 1))}
    return nn.MaxPool2d(**settings), (n(1, 3), n(1, 3), n(size, 6), n(size, 6)), lambda x: ops.max_pool2d(x, **settings)


def avg_pool2d(n):
    size = n(2, 3)
    settings = {"size": size, "stride": n(1, 3), "padding": (n(0, 1), n(0, 1)), "count_include_pad": bool(n(0, 1))}
    return nn.AvgPool2d(**settings), (n(1, 3), n(1, 3), n(size, 6), n(size, 6)), lambda x: ops.avg_pool2d(x, **settings)


def relu(n):
    return nn.ReLU(), (n(1, 3), n(1, 4)), ops.relu


def tanh(n):
    return nn.Tanh(), (n(1, 3), n(1, 4)), ops.tanh


def flatten(n):
    return nn.Flatten(), (n(1, 3), n(1, 3), n(1, 3), n(1, 3)), ops.flatten


def row(n):
    conv, last = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(4, 3)
    layer = nn.Sequential(conv, nn.ReLU(), nn.LocalResponseNorm(), nn.MaxPool2d(), nn.Flatten(), last)

    def composed(x):
        y = ops.conv2d(x, conv.weight, conv.bias, padding=1).relu()
        return ops.linear(ops.max_pool2d(ops.local_response_norm(y)).flatten(), last.weight, last.bias)

    return layer, (n(1, 3), 2, n(3, 4), n(3, 4)), composed


@pytest.mark.parametrize("build", [conv2d, linear, local_response_norm, map_response_norm, max_pool2d,
                                   avg_pool2d, relu, tanh, flatten, row])
@given(st.data())
def test_a_layer_is_its_op_with_parameters(build, data):
    layer, shape, op = build(lambda low, high: data.draw(st.integers(low, high)))
    x = distinct(*shape) + 0.001  # no tie, and no 0
    single = x.astype(np.float32)
    np.testing.assert_array_equal(layer(single).numpy(), op(single).numpy())
    with no_grad():
        for parameter in double(layer).parameters():
            parameter += normal(*parameter.shape) / 10  # biases too
    gradcheck(layer, x, parameters=layer.parameters())


ONE_OF_EACH = [
    (nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 3, 3)), (nn.Linear(4, 3), (4,)), (nn.ReLU(), (4,)),
    (nn.Tanh(), (4,)), (nn.LocalResponseNorm(), (7, 2, 2)), (nn.MapResponseNorm(), (2, 3, 4)),
    (nn.MaxPool2d(), (2, 5, 5)), (nn.AvgPool2d(), (2, 5, 5)), (nn.Flatten(), (2, 3, 2)),
    (nn.Dropout(inverted=False), (4,)),
    (nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten()), (1, 3, 3)),
]  # fmt: skip


def test_no_layer_is_forgotten():
    layers = {layer for layer in vars(nn).values() if isinstance(layer, type) and issubclass(layer, nn.Module)}
    assert {type(layer) for layer, _ in ONE_OF_EACH} == layers - {nn.Module}


@pytest.mark.parametrize("layer, shape", ONE_OF_EACH, ids=lambda x: type(x).__name__)
def test_a_layer_is_checked_with_its_parameters_and_takes_an_empty_batch(layer, shape):
    gradcheck(layer.to(current_device()).eval(), distinct(3, *shape) + 0.001)
    x = Tensor(np.zeros((0, *shape), np.float32), requires_grad=True)
    y = layer.train()(x)
    assert len(y) == 0
    assert y.shape[1:] == layer(np.zeros((2, *shape), np.float32)).shape[1:]
    layer.zero_grad()
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert not any(p.grad.numpy().any() for p in layer.parameters())


def test_the_paper_s_numbers_are_the_defaults():
    x = normal(2, 7, 5, 5).astype(np.float32)
    constants = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}
    np.testing.assert_array_equal(nn.LocalResponseNorm()(x).numpy(), ops.local_response_norm(x, **constants).numpy())
    np.testing.assert_array_equal(nn.MaxPool2d()(x).numpy(), ops.max_pool2d(x, size=3, stride=2).numpy())
    assert nn.Dropout().p == 0.5


def test_layers_start_from_he():
    manual_seed(0)
    for layer in (nn.Conv2d(20, 60, 5), nn.Conv2d(40, 60, 5, groups=2), nn.Linear(500, 90)):
        w = layer.weight.numpy()
        assert w.std() == pytest.approx(math.sqrt(2 / 500), rel=0.05)
        assert abs(w.mean()) < 0.05 * w.std()
        assert w.dtype == np.float32
        assert not layer.bias.numpy().any()


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match="2 groups do not divide 3 channels and 4 kernels"):
        nn.Conv2d(3, 4, 1, groups=2)


# -- modules ----------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    """A bit of everything: layers in a list and by name, state, a constant that is no parameter."""

    def __init__(self):
        self.features = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten())
        self.drop = nn.Dropout()
        self.last = nn.Linear(12, 5)
        self.mean = Tensor(normal(2, 1, 1).astype(np.float32))
        self.scale = 3

    def forward(self, x):
        return self.last(self.drop(self.features(Tensor(x) - self.mean)))


IMAGES = normal(2, 2, 4, 4, seed=7).astype(np.float32)


def test_names_are_paths_of_attributes():
    net = Net()
    names = ["features.0.weight", "features.0.bias", "last.weight", "last.bias"]
    assert [name for name, _ in net.named_parameters()] == names
    assert [id(p) for p in net.parameters()] == [id(p) for _, p in net.named_parameters()]
    assert sorted(net.state_dict()) == sorted([*names, "mean", "drop.counter"])
    assert [type(module).__name__ for module in net.modules()] == [
        "Net", "Sequential", "Conv2d", "ReLU", "Flatten", "Dropout", "Linear"]


def test_state_makes_another_model_the_same():
    one, other = Net(), Net()
    one(IMAGES)
    state = one.state_dict()
    other.load_state_dict(state)
    same(other.state_dict(), state)
    np.testing.assert_array_equal(other(IMAGES).numpy(), one(IMAGES).numpy())


def test_state_is_a_copy_both_ways():
    net = Net()
    state = net.state_dict()
    for array in state.values():
        array[...] = 0
    assert all(p.numpy().any() for name, p in net.named_parameters() if name.endswith("weight"))
    net.load_state_dict(state)
    for array in state.values():
        array[...] = 1
    assert not any(array.any() for array in net.state_dict().values())


@pytest.mark.parametrize(("change", "message"), [
    (lambda state: state.pop("last.bias"), r"lacks \['last.bias'\] and has the unknown nothing"),
    (lambda state: state.update(more=np.zeros(1)), r"lacks nothing and has the unknown \['more'\]"),
    (lambda state: state.update({"last.bias": np.zeros((1, 5))}), r"last.bias has the shape \(5,\) here and \(1, 5\)"),
])
def test_a_strange_state_is_refused_and_changes_nothing(change, message):
    net = Net()
    before = net.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        net.load_state_dict(state)
    same(net.state_dict(), before)


def test_no_state_comes_in_while_a_graph_needs_the_old_one():
    net = Net()
    graph = net.last(normal(1, 12).astype(np.float32))  # of the last layer alone
    before = net.state_dict()
    with pytest.raises(RuntimeError, match="needs its values"):
        net.load_state_dict({name: array + 1 for name, array in before.items()})
    same(net.state_dict(), before)
    graph.sum().backward()


def test_modes_reach_every_layer():
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())


def test_zero_grad():
    net = Net()
    net(IMAGES).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_to_moves_parameters_and_keeps_their_values():
    net = Net()
    before, same_tensors = net.state_dict(), list(net.parameters())
    assert net.to(cpu(1)) is net
    assert {p.device for p in same_tensors} == {net.mean.device} == {cpu(1)}
    same(net.state_dict(), before)
    lying = [p.numpy() for p in net.to(cpu(1)).parameters()]
    assert all(map(np.shares_memory, lying, (p.numpy() for p in net.to(cpu(1)).parameters()))), "moved where they were"
    assert net.features(Tensor(IMAGES, device=cpu(1))).device == cpu(1)
    with pytest.raises(ValueError, match=r"inputs live on cpu\(\d\) and (cpu|cuda)\(\d\)"):
        net.features(Tensor(IMAGES))


def test_a_module_without_forward():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty: write its forward\(self, x\)"):
        Empty()(IMAGES)


def test_repr_shows_what_is_inside():
    layers = nn.Sequential(nn.Conv2d(2, 3, 5, padding=((0, 3), (0, 3))), nn.Sequential(nn.ReLU(), nn.Dropout(0.25)))
    lines = [line.strip() for line in repr(layers.eval()).splitlines()]
    assert lines[0] == "Sequential("
    assert lines[1].startswith("0: Conv2d(")
    assert "padding=((0, 3), (0, 3))" in lines[1]
    assert lines[2:4] == ["1: Sequential(", "0: ReLU()"]
    assert "p=0.25" in lines[4]
    assert "training" not in repr(layers)


def test_hooks_see_inner_layers_first_and_leave_even_after_an_error():
    net, seen = Net().features, []
    with nn.forward_hook(lambda layer, y: seen.append((type(layer).__name__, y.shape))):
        net(IMAGES)
    expected = [("Conv2d", (2, 3, 2, 2)), ("ReLU", (2, 3, 2, 2)), ("Flatten", (2, 12)), ("Sequential", (2, 12))]
    assert seen == expected
    with pytest.raises(ValueError, match="shape"), nn.forward_hook(lambda layer, y: seen.append(y)):
        net(IMAGES[0])
    net(IMAGES)
    assert seen == expected


def test_what_a_hook_returns_takes_the_place_of_the_output():
    net = nn.Sequential(nn.ReLU(), nn.Flatten())
    with nn.forward_hook(lambda layer, y: y * 2 if isinstance(layer, nn.ReLU) else None):
        agree(net(IMAGES).numpy(), 2 * np.maximum(IMAGES, 0).reshape(len(IMAGES), -1))
    with pytest.raises(TypeError, match=r"forward_hook: the hook returned a ndarray: give a Tensor .* or None"), (
            nn.forward_hook(lambda layer, y: y.numpy())):  # fmt: skip
        net(IMAGES)


def test_eval_mode_leaves_each_layer_as_it_was():
    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    net.layers[1].eval()
    with pytest.raises(ZeroDivisionError), eval_mode(net) as same:
        assert same is net
        assert not any(module.training for module in net.modules())
        raise ZeroDivisionError
    assert [layer.training for layer in net] == [True, False]


# -- who draws ---------------------------------------------------------------------------------------------------------


def drawn(generator=None):
    """All that layers draw when they are built."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, generator=generator), nn.Linear(5, 6, generator=generator),
                        nn.Dropout(generator=generator))  # fmt: skip
    nn.initialise(net, lambda name, weight: 0.1, lambda name: 0.0, generator)
    return [array.tobytes() for array in net.state_dict().values()]


def test_a_generator_that_is_passed_draws_what_manual_seed_would():
    manual_seed(3)
    expected, after = drawn(), drawn()
    manual_seed(3)
    assert drawn(np.random.default_rng(3)) == expected != after
    assert drawn() == expected, "the default one has not moved"


@pytest.mark.processor  # the stand-in for GPUs knows one thread
def test_two_threads_that_build_and_train_at_once_have_each_the_bits_of_a_run_alone():
    def run(seed):
        generator = np.random.default_rng(seed)
        net = nn.Sequential(nn.Conv2d(3, 4, 2, generator=generator), nn.ReLU(), nn.Flatten(),
                            nn.Dropout(0.5, generator=generator), nn.Linear(16, 5, generator=generator))  # fmt: skip
        optimiser = SGD(net.named_parameters())
        for _ in range(20):
            optimiser.zero_grad()
            ops.cross_entropy(net(normal(6, 3, 3, 3).astype(np.float32)), np.arange(6) % 5).backward()
            optimiser.step()
        return [array.tobytes() for array in net.state_dict().values()]

    alone = [run(seed) for seed in range(2)]
    assert alone[0] != alone[1]
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(run, range(2))) == alone


@pytest.mark.parametrize("make", [
    lambda g: nn.Conv2d(1, 1, 1, generator=g), lambda g: nn.Linear(1, 1, generator=g),
    lambda g: nn.Dropout(generator=g), lambda g: models.alexnet(generator=g),
    lambda g: nn.initialise(nn.Linear(1, 1), lambda n, w: 1, lambda n: 0, g)])
def test_a_seed_is_no_generator(make):
    with pytest.raises(TypeError, match=r"^(Conv2d|Linear|Dropout|initialise): generator is 7: give one of NumPy's"):
        make(7)


def test_summary_counts_and_leaves_no_trace():
    net = Net()
    net.drop.eval()
    before = net.state_dict()
    head, *rows, total = (line.split() for line in net.summary((2, 4, 4)).splitlines())
    assert head == ["name", "layer", "device", "output", "parameters", "multiply-adds", "bytes"]
    assert [row[:2] for row in rows] == [["features.0", "Conv2d"], ["features.1", "ReLU"], ["features.2", "Flatten"],
                                         ["drop", "Dropout"], ["last", "Linear"]]
    assert rows[0][2:] == [repr(current_device()), "3", "×", "2", "×", "2", "57", f"{3 * 2 * 3 * 3 * 2 * 2}", "48"]
    assert rows[-1][2:] == [repr(current_device()), "5", "65", "60", "20"]
    assert total == ["total", "122", "276", f"{(12 + 12 + 12 + 12 + 5) * 4}"]
    same(net.state_dict(), before)
    assert net.training
    assert not net.drop.training
    with pytest.raises(ValueError, match="shape"):
        net.summary((3, 4, 4))
    assert net.training


# -- random numbers ---------------------------------------------------------------------------------------------------


def test_the_same_seed_builds_the_same_model():
    def built(seed):
        manual_seed(seed)
        net = Net()
        return net.state_dict() | {"y": net(IMAGES).numpy(), "again": net(IMAGES).numpy()}

    one, same_seed, other = built(1), built(1), built(2)
    same(one, same_seed)
    for name in ("features.0.weight", "last.weight", "drop.counter", "y"):
        assert (one[name] != other[name]).any(), name
    assert (one["y"] != one["again"]).any()  # a new mask at each call


def test_no_two_layers_of_dropout_drop_alike():
    assert len({int(nn.Dropout().counter[0]) for _ in range(1000)}) == 1000


@given(p=st.sampled_from([0.0, 0.25, 0.5, 0.9]), inverted=st.booleans())
def test_dropout_in_training_and_at_test(p, inverted):
    layer, x = nn.Dropout(p, inverted=inverted), distinct(40, 250) + 2  # no 0
    y = layer(x).numpy()
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / (1 - p) if inverted else x[kept], rtol=1e-12)
    assert kept.mean() == pytest.approx(1 - p, abs=0.02)  # 4 deviations of 10,000 draws
    layer.eval()
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), x if inverted else x * (1 - p), rtol=1e-12)


@given(p=st.floats(0, 0.95), key=st.integers(0, 2**62), first_unit=st.integers(0, 9), inverted=st.booleans())
def test_each_call_in_training_takes_the_next_mask(p, key, first_unit, inverted):
    layer = nn.Dropout(p, key=key, first_unit=first_unit, inverted=inverted)
    for step in range(4):
        x = normal(3, 4, seed=step)
        agree(layer(x).numpy(), dropped(x, (key, step), p, first_unit, inverted=inverted), f"value of call {step}")
        layer.eval()(x)  # takes none
        layer.train()


@pytest.mark.parametrize("inverted", [True, False])
def test_both_forms_of_dropout_differ_by_a_factor_and_pass_gradients_where_they_kept(inverted):
    layer = nn.Dropout(0.5, inverted=inverted, key=3)

    def again(x):
        layer.counter[1] = 0
        return layer(x)

    gradcheck(again, normal(3, 8))
    other = nn.Dropout(0.5, inverted=not inverted, key=3)
    x = np.ones((3, 8))
    np.testing.assert_array_equal(again(x).numpy() * (1 if inverted else 2), other(x).numpy() * (2 if inverted else 1))


def test_a_resumed_layer_draws_what_the_first_would_have_drawn():
    x, first, second = np.ones((3, 50)), nn.Dropout(), nn.Dropout()
    first(x)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        np.testing.assert_array_equal(second(x).numpy(), first(x).numpy())


def test_at_test_dropout_draws_nothing():
    layer = nn.Dropout().eval()
    before = layer.state_dict()
    layer(Tensor([1.0]))
    same(layer.state_dict(), before)


def test_two_layers_of_one_key_share_what_one_would_draw():
    x, whole = np.ones((3, 50)), nn.Dropout(key=5)
    halves = [nn.Dropout(key=5), nn.Dropout(key=5, first_unit=25)]
    for _ in range(2):
        parts = [layer(x[:, :25]).numpy() for layer in halves]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole(x).numpy())


def test_initialise():
    manual_seed(0)
    net = nn.Sequential(nn.Conv2d(30, 40, 5), nn.Linear(100, 300))
    seen = {}

    def deviation(name, weight):
        seen[name] = weight.shape
        return 0.01 if name.startswith("0") else 0.5

    nn.initialise(net, deviation, bias=lambda name: 1.0 if name == "1.bias" else 0.0)
    assert seen == {"0.weight": (40, 30, 5, 5), "1.weight": (300, 100)}
    state = net.state_dict()
    for name, wanted in (("0.weight", 0.01), ("1.weight", 0.5)):
        assert state[name].std() == pytest.approx(wanted, rel=0.03)
        assert abs(state[name].mean()) < 0.03 * wanted
    assert not state["0.bias"].any()
    assert (state["1.bias"] == 1).all()
    with no_grad():
        nn.initialise(net, lambda name, weight: 0.0, bias=lambda name: 0.0)
    assert not any(array.any() for array in net.state_dict().values())
