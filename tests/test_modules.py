"""Modules in other people's hands: layers in lists, tuples and dicts, what is shared, parameters of any shape, copies,
sequences, settings."""

import copy
import pickle
import time
from collections import deque

import numpy as np
import pytest
from helpers import agree, normal

from minicnn import Tensor, checkpoint, cpu, manual_seed, models, nn, no_grad, ops
from minicnn.engine.device import current_device
from minicnn.optim import SGD


class Net(nn.Module):
    """Calls, one after the other, the layers that it holds in some way."""

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def forward(self, x):
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                x = layer(x)
        return x


def parameter(*shape):
    return Tensor(normal(*shape), requires_grad=True)


def x():
    return normal(2, 4).astype(np.float32)


def learns(net, names):
    """Every parameter is found by its name, and is trained, saved, loaded, moved and set to eval."""
    assert [name for name, _ in net.named_parameters()] == names
    before = net.state_dict()
    assert set(names) <= set(before)
    optimiser = SGD(net.named_parameters(), lr=0.1)
    net(x()).sum().backward()
    optimiser.step()
    after = net.state_dict()
    assert all((after[name] != before[name]).any() for name in names)
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.load_state_dict(before)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert not any(module.training for module in net.eval().modules())
    assert {p.device for p in net.to(cpu(1)).parameters()} == {cpu(1)}
    assert f"{sum(p.size for p in net.parameters()):,}" in net.to(cpu(0)).summary((4,)).splitlines()[-1]


# -- where layers and tensors are held ---------------------------------------------------------------------------------

W, B = "weight", "bias"


@pytest.mark.processor
@pytest.mark.parametrize(("hold", "names"), [
    (lambda: {"layers": [nn.Linear(4, 4), nn.Dropout()]}, ["layers.0.weight", "layers.0.bias"]),
    (lambda: {"layers": (nn.Linear(4, 4), nn.Linear(4, 4))}, [f"layers.{i}.{n}" for i in (0, 1) for n in (W, B)]),
    (lambda: {"parts": {"head": nn.Linear(4, 4), 7: nn.ReLU()}}, ["parts.head.weight", "parts.head.bias"]),
    (lambda: {"deep": [{"a": ([nn.Linear(4, 4)],)}, None, ops.relu, 3]}, ["deep.0.a.0.0.weight", "deep.0.a.0.0.bias"]),
    (lambda: {"inner": Net(layers=[Net(last=nn.Linear(4, 3))])}, [f"inner.layers.0.last.{n}" for n in (W, B)]),
    (lambda: {"row": [nn.Sequential(nn.Linear(4, 4), nn.ReLU())]}, ["row.0.0.weight", "row.0.0.bias"]),
], ids=["list", "tuple", "dict", "nested", "module", "sequential"])
def test_layers_are_found_wherever_they_are_held(hold, names):
    learns(Net(**hold()), names)


def test_tensors_and_state_are_found_wherever_they_are_held():
    net = Net(scales=[parameter(3), (parameter(2), Tensor([1.0]))], bank={"a": np.ones(2), "words": "none"}, count=3)
    assert [name for name, _ in net.named_parameters()] == ["scales.0", "scales.1.0"]
    assert list(net.state_dict()) == ["scales.0", "scales.1.0", "scales.1.1", "bank.a"]
    net.load_state_dict({name: array + 1 for name, array in net.state_dict().items()})
    assert net.bank["a"].tolist() == [2, 2]
    assert net.scales[1][1].tolist() == [2]


@pytest.mark.processor
def test_names_of_sequences_stay_as_older_checkpoints_have_them():
    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    names = ["0.weight", "0.bias", "1.1.weight", "1.1.bias"]
    learns(net, names)
    assert list(net.state_dict()) == names
    net.extra = nn.Linear(2, 2)  # beside the row, yet not forgotten
    assert [name for name, _ in net.named_parameters()] == [*names, "extra.weight", "extra.bias"]


def test_what_cannot_be_named_is_refused():
    class Shared(nn.Module):
        layer = nn.Linear(2, 2)

    for net, words in ((Net(parts={nn.Linear(4, 4)}), "Module: parts is a set of layers"),
                       (Net(deep=[{"a": frozenset([parameter(2)])}]), r"deep\.0\.a is a set"),
                       (Shared(), "Shared: layer belongs to"), (nn.Sequential(Shared()), "Shared: layer")):  # fmt: skip
        for ask in (lambda net=net: list(net.parameters()), net.state_dict, net.eval, lambda net=net: SGD(net)):
            with pytest.raises(TypeError, match=words):
                ask()
    net = Shared()
    net.layer = nn.Linear(3, 3)
    assert net.state_dict()["layer.weight"].shape == (3, 3)
    assert list(Net(queue=deque([nn.ReLU(), nn.Linear(2, 2)])).state_dict()) == ["queue.1.weight", "queue.1.bias"]


def test_a_long_list_of_numbers_takes_no_time():
    net = Net(layer=nn.Linear(4, 4), seen=list(range(1_000_000)), words={"a", "b"})
    begun = time.perf_counter()
    assert len(list(net.parameters())) == 2
    assert time.perf_counter() - begun < 0.5


def test_modules_that_hold_themselves_end():
    net = Net(layer=nn.Linear(4, 4))
    net.me, net.mine = net, [net]
    net.mine.append(net.mine)
    assert len(list(net.modules())) == 2
    assert list(net.state_dict()) == ["layer.weight", "layer.bias"]
    assert "..." in repr(net)
    assert net.eval().layer.training is False
    again = copy.deepcopy(net)
    assert again.me is again


def test_two_of_one_name_are_an_error():
    net = Net(parts={"1": parameter(2), 1: parameter(2)})
    for ask in (net.state_dict, lambda: list(net.parameters()), lambda: net.load_state_dict({})):
        with pytest.raises(ValueError, match=r"Net: two parameters or arrays are called parts\.1"):
            ask()


def test_an_output_that_is_kept_is_no_parameter():
    net = Net(layer=nn.Linear(4, 4))
    net.last = net(x())
    net.history = [net.last * 2]
    assert [name for name, _ in net.named_parameters()] == ["layer.weight", "layer.bias"]
    assert list(net.state_dict()) == ["layer.weight", "layer.bias"]


# -- what is shared is one ---------------------------------------------------------------------------------------------


def tied():
    one, two = nn.Linear(4, 4), nn.Linear(4, 4)
    two.weight = one.weight
    return Net(one=one, two=two, again=[one])


@pytest.mark.processor
def test_what_two_layers_share_is_one_parameter():
    net = tied()
    names = ["one.weight", "one.bias", "two.bias"]
    learns(net, names)
    assert list(net.state_dict()) == names
    assert [name for name, _ in net.named_modules()] == ["", "one", "two"]
    assert net.one.weight is net.two.weight
    _, *rows, total = (line.split() for line in net.summary((4,)).splitlines())
    assert [row[4] for row in rows] == ["20", "4"]
    assert total[1] == "24"


def test_one_step_moves_it_once():
    net, w = tied(), parameter(4, 4)
    before = net.one.weight.numpy().copy()
    net(x()).sum().backward()
    gradient = net.one.weight.grad.numpy().copy()
    for optimiser in (SGD(net.parameters(), lr=0.1, weight_decay=0), SGD([net.one.weight, net.two.weight], lr=0.1,
                                                                         weight_decay=0)):  # fmt: skip
        net.load_state_dict(net.state_dict() | {"one.weight": before})
        optimiser.step()
        agree(net.two.weight.numpy(), before - np.float32(0.1) * gradient, tolerance=1e-6)
    assert len(SGD([w, w]).parameters) == 1


@pytest.mark.parametrize("make", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_share_among_themselves_and_with_nobody_else(make):
    net = tied().to(cpu(1))
    net.eval()
    again = make(net)
    assert again.one.weight is again.two.weight
    assert again.again[0] is again.one
    assert again.one.weight is not net.one.weight
    assert {p.device for p in again.parameters()} == {cpu(1)}
    assert not again.one.training
    np.testing.assert_array_equal(again(Tensor(x(), device=cpu(1))).numpy(), net(Tensor(x(), device=cpu(1))).numpy())


def test_a_state_of_both_names_must_agree():
    net = tied()
    state = net.state_dict()
    both = state | {"two.weight": state["one.weight"]}
    net.load_state_dict(both)
    net.load_state_dict({name: array for name, array in both.items() if name != "one.weight"})
    both["two.weight"] = both["two.weight"] + 1
    with pytest.raises(ValueError, match=r"one\.weight and two\.weight are one here, and differ in the state"):
        net.load_state_dict(both)


# -- shapes and states -------------------------------------------------------------------------------------------------


@pytest.mark.processor
@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (1, 1), (2, 3, 4), (2, 1, 3, 1, 2)])
def test_a_parameter_of_any_shape_lives_through_it_all(shape, tmp_path):
    net, other = (Net(p=parameter(*shape), layers=[Net(q=parameter(*shape))]) for _ in range(2))
    one, two = SGD(net.named_parameters(), lr=0.1), SGD(other.named_parameters(), lr=0.1)
    for step in range(3):
        ((net.p * net.layers[0].q).sum() + net.p.sum() * step).backward()
        one.step()
        one.zero_grad()
    checkpoint.save(tmp_path / "a.safetensors", {f"m.{k}": v for k, v in net.state_dict().items()}
                    | {f"v.{k}": v for k, v in one.state_dict().items()}, {})  # fmt: skip
    arrays, _ = checkpoint.load(tmp_path / "a.safetensors")
    assert {a.shape for a in arrays.values()} == {shape}
    other.load_state_dict({k[2:]: v for k, v in arrays.items() if k.startswith("m.")})
    two.load_state_dict({k[2:]: v for k, v in arrays.items() if k.startswith("v.")})
    for model, optimiser in ((net, one), (other, two)):
        ((model.p * model.layers[0].q).sum()).backward()
        optimiser.step()
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, other.state_dict()[name])
        assert array.shape == shape


@pytest.mark.parametrize(("name", "array", "error", "words"), [
    ("p", np.ones(3, complex), TypeError, "load_state_dict: p: complex128 is not a type of real number"),
    ("p", np.array(["a", "b", "c"]), TypeError, "load_state_dict: p: <U1 is not"),
    ("p", None, TypeError, r"load_state_dict: p: NoneType is not"),
    ("p", [[1.0], [1.0, 2.0]], ValueError, "load_state_dict: p: .* differ in length"),
    ("p", np.ma.array(np.ones(3), mask=[1, 0, 0]), TypeError, "load_state_dict: p: .*masked"),
    ("p", [1.0, 2.0], ValueError, r"p has the shape \(3,\) here and \(2,\)"),
    ("single", np.array([1e300]), ValueError, "load_state_dict: single: float64 numbers beyond the range of float32"),
    ("whole", np.array([1.5, 2.0]), ValueError, "whole: float64 numbers beyond .* int64"),
    ("small", np.array([300]), ValueError, "small: int64 numbers beyond .* uint8"),
    ("whole", np.array([np.nan, 0]), ValueError, "whole: float64 numbers beyond"),
])
@pytest.mark.filterwarnings("error")
def test_a_state_that_does_not_fit_changes_nothing(name, array, error, words):
    net = Net(p=parameter(3), single=Tensor([1.0]), whole=Tensor([1, 2]), small=np.ones(1, np.uint8))
    before = net.state_dict()
    with pytest.raises(error, match=words):
        net.load_state_dict({key: a + 1 for key, a in before.items()} | {name: array})
    for key, a in net.state_dict().items():
        np.testing.assert_array_equal(a, before[key])


def test_a_state_that_fits_comes_in_from_many_kinds():
    net = Net(p=parameter(3), single=Tensor([1.0]), whole=Tensor([1, 2]))
    net.load_state_dict({"p": [1, 2, np.nan], "single": np.array([np.inf]), "whole": np.array([3.0, 4.0], ">f8")})
    np.testing.assert_array_equal(net.p.numpy(), [1, 2, np.nan])
    assert net.whole.tolist() == [3, 4]
    assert net.whole.dtype == np.int64
    net.load_state_dict({"p": parameter(3), "single": Tensor([5.0], device=cpu(1)), "whole": Tensor([1, 2])})
    np.testing.assert_array_equal(net.p.numpy(), normal(3))
    assert net.single.tolist() == [5]
    locked = np.ones(2)
    locked.flags.writeable = False
    net.locked, before = locked, net.state_dict()
    with pytest.raises(ValueError, match="read-only"):
        net.load_state_dict({key: a + 1 for key, a in net.state_dict().items()})
    np.testing.assert_array_equal(net.p.numpy(), before["p"])


def test_a_move_that_cannot_be_moves_nothing():
    net = Net(first=nn.Linear(4, 4), last=nn.Linear(4, 2))
    graph = net.last(normal(1, 4).astype(np.float32))
    here = {p.device for p in net.parameters()}
    with pytest.raises(RuntimeError, match="needs its values"):
        net.to(cpu(5))
    assert {p.device for p in net.parameters()} == here
    graph.sum().backward()
    with pytest.raises(TypeError, match=r"to: 'cpu' is no device: .*minicnn\.device"):
        net.to("cpu")
    for ask, words in ((lambda: net.train("yes"), "train: mode is 'yes'"), (lambda: net.summary("a"), "summary: shape"),
                       (lambda: net.summary(3), "summary: shape is 3"), (lambda: net.summary((2.5,)), "summary: shape"),
                       (lambda: net.load_state_dict(None), "load_state_dict: NoneType is no state"),
                       (lambda: net.load_state_dict([1]), "load_state_dict: list"),
                       (lambda: nn.initialise(net, 0.1, lambda name: 0), "initialise: deviation is 0.1"),
                       (lambda: nn.initialise(net, lambda name, w: 1, 0), "initialise: .* and bias 0:")):  # fmt: skip
        with pytest.raises(TypeError, match=words):
            ask()


# -- sequences ---------------------------------------------------------------------------------------------------------


def test_a_sequential_is_a_sequence():
    layers = [nn.Linear(4, 4), ops.relu, nn.Linear(4, 2)]
    net = nn.Sequential(*layers)
    assert (len(net), list(net), net[0], net[-1], net[np.int64(1)]) == (3, layers, layers[0], layers[2], ops.relu)
    part = net[1:]
    assert (type(part), list(part)) == (nn.Sequential, layers[1:])
    agree(net(x()).numpy(), part(net[0](x())).numpy())
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(IndexError, match="Sequential: there is no layer 3: it has 3"):
        net[3]
    with pytest.raises(IndexError, match="there is no layer 0: it has 0"):
        nn.Sequential()[0]
    with pytest.raises(TypeError, match="Sequential: index is 'a'"):
        net["a"]


@pytest.mark.parametrize(("layers", "words"), [
    ([[nn.ReLU(), nn.ReLU()]], r"layer 0 is \[ReLU\(\), ReLU\(\)\].*Sequential\(\*layers\)"),
    ([nn.ReLU(), nn.ReLU], r"layer 1 is .*write ReLU\(\.\.\.\), not the class"), ([nn.ReLU(), 3], "layer 1 is 3"),
    (["relu"], "layer 0 is 'relu'"), ([None], "layer 0 is None"), ([np.ones(3)], "layer 0 is array"),
    ([(nn.ReLU(),)], "layer 0 is"), ([{"a": nn.ReLU()}], "layer 0 is"), ([Tensor([1.0])], "layer 0 is Tensor"),
])
def test_what_cannot_be_called_is_no_layer(layers, words):
    with pytest.raises(TypeError, match=f"^Sequential: {words}"):
        nn.Sequential(*layers)


# -- calls -------------------------------------------------------------------------------------------------------------


def test_a_forward_that_forgets_to_return_is_named():
    class Forgets(nn.Module):
        def forward(self, x):
            x * 2

    with pytest.raises(TypeError, match="Forgets: its forward returned None"):
        Forgets()(Tensor([1.0]))


def test_modules_may_take_and_return_several():
    class Both(nn.Module):
        def forward(self, x, y, *, scale=1):
            return x * scale, y * scale

    seen = []
    with nn.forward_hook(lambda layer, y: seen.append(y)):
        a, b = Both()(Tensor([1.0]), Tensor([2.0]), scale=3)
    assert (a.item(), b.item(), seen) == (3, 6, [])


@pytest.mark.parametrize("layer", [nn.Linear(4, 2), nn.Dropout(), nn.Dropout().eval(), nn.ReLU(), nn.Flatten(),
                                   nn.Dropout(inverted=False).eval()], ids=repr)  # fmt: skip
def test_layers_take_arrays_and_lists(layer):
    layer.to(current_device())
    for given in (np.ones((2, 4), np.float32), np.ones((2, 4), np.float16), [[1.0] * 4] * 2, Tensor([[1.0] * 4])):
        assert isinstance(layer(given), Tensor)
        assert layer(given).dtype == np.float32
    if not isinstance(layer, nn.Dropout):  # half precision as an array is no reason to compute in it
        np.testing.assert_array_equal(*(layer(np.ones((2, 4), t)).numpy() for t in (np.float16, np.float32)))


# -- what they are built with ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("build", "error"), [
    (lambda: nn.Linear(-1, 3), ValueError), (lambda: nn.Linear(2.5, 3), TypeError),
    (lambda: nn.Linear(3, 0), ValueError), (lambda: nn.Dropout(2), ValueError),
    (lambda: nn.Linear("3", 3), TypeError), (lambda: nn.Linear(True, 3), TypeError),
    (lambda: nn.Dropout(1), ValueError), (lambda: nn.Dropout(-0.1), ValueError), (lambda: nn.Dropout("0.5"), TypeError),
    (lambda: nn.Dropout(np.nan), ValueError), (lambda: nn.Dropout(True), TypeError),
    (lambda: nn.Dropout(first_unit=1.5), TypeError), (lambda: nn.Dropout(key=-1), ValueError),
    (lambda: nn.Dropout(inverted=1), TypeError), (lambda: nn.Conv2d(0, 3, 1), ValueError),
    (lambda: nn.Conv2d(3, 2.0, 1), TypeError), (lambda: nn.Conv2d(3, 3, 1, groups=0), ValueError),
    (lambda: nn.Conv2d(3, 3, 1, groups=-1), ValueError), (lambda: nn.LocalResponseNorm(size=2.5), TypeError),
    (lambda: nn.LocalResponseNorm(alpha="a"), TypeError), (lambda: nn.LocalResponseNorm(k=np.inf), ValueError),
    (lambda: manual_seed("x"), TypeError), (lambda: manual_seed(-1), ValueError), (lambda: manual_seed(1.5), TypeError),
    (lambda: manual_seed(None), TypeError), (lambda: models.alexnet(width=-1), ValueError),
    (lambda: models.alexnet(width=np.nan), ValueError), (lambda: models.alexnet(width=0), ValueError),
    (lambda: models.alexnet(width="1"), TypeError), (lambda: models.alexnet(classes=2.5), TypeError),
    (lambda: models.alexnet(classes=True), TypeError), (lambda: models.alexnet(variant=None), ValueError),
    (lambda: models.alexnet(devices=cpu(0)), TypeError), (lambda: models.alexnet(devices=("cpu", "cpu")), TypeError),
    (lambda: models.alexnet(half="no"), TypeError), (lambda: models.alexnet(inverted_dropout=0), TypeError),
])  # fmt: skip
def test_what_no_layer_can_be_built_with_is_refused_by_name(build, error):
    with pytest.raises(error, match=r"^(Linear|Dropout|Conv2d|LocalResponseNorm|manual_seed|alexnet): \w+"):
        build()


def test_numbers_of_numpy_are_settings():
    manual_seed(np.int64(3))
    layer = nn.Linear(np.int32(4), np.uint8(2))
    manual_seed(3)
    np.testing.assert_array_equal(nn.Linear(4, 2).weight.numpy(), layer.weight.numpy())
    assert nn.Dropout(np.float32(0.5)).p == 0.5


@pytest.mark.parametrize(("layer", "words"), [
    (nn.Conv2d(3, 8, 3), "Conv2d(3, 8, 3, stride=1, padding=0, groups=1)"),
    (nn.Conv2d(4, 8, 5, stride=2, groups=2), "Conv2d(4, 8, 5, stride=2, padding=0, groups=2)"),
    (nn.Linear(4, 2), "Linear(4, 2)"), (nn.ReLU(), "ReLU()"), (nn.Tanh(), "Tanh()"), (nn.Flatten(), "Flatten()"),
    (nn.Dropout(0.25), "Dropout(p=0.25, inverted=True, first_unit=0)"),
    (nn.LocalResponseNorm(), "LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=2.0)"),
    (nn.MapResponseNorm(3), "MapResponseNorm(size=3, alpha=4e-05, beta=0.75, k=1.0)"),
    (nn.MaxPool2d(), "MaxPool2d(size=3, stride=2, padding=0)"),
    (nn.AvgPool2d(2), "AvgPool2d(size=2, stride=2, padding=0, count_include_pad=True)"),
])
def test_repr_is_what_one_would_type(layer, words):
    assert repr(layer) == repr(layer.eval()) == words
    assert repr(eval(words, vars(nn))) == words


def test_repr_of_models():
    text = repr(models.alexnet(width=1 / 16, classes=7))
    assert text.startswith("AlexNet(variant='blueprint', classes=7, devices=(cpu(0), cpu(0)), width=0.0625")
    assert "Linear(256, 7)" in text
    assert "layers.0: Linear(4, 2)" in repr(Net(layers=[nn.Linear(4, 2), 3]))
    with no_grad():
        assert models.alexnet(width=1 / 16, classes=7)(np.zeros((1, 3, 224, 224), np.float32)).shape == (1, 7)
