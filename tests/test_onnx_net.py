"""Networks of ONNX give here what they give there: those of Caffe, of every opset, our own, PyTorch's, of the zoo."""

import warnings

import numpy as np
import pytest
from helpers import normal
from test_weights import close, conv, layers_of, linear, norm, pool, relu

from minicnn import Tensor, cpu, gradcheck, models, no_grad, ops
from minicnn.engine.device import current_device

onnx = pytest.importorskip("onnx", reason="pip install onnx")

from onnx_of_others import REAL, bvlc_alexnet, model, of_the_zoo, saved  # noqa: E402
from test_onnx_export import images, network  # noqa: E402, F401 - a fixture

from minicnn.models.onnx_export import write_onnx  # noqa: E402
from minicnn.models.onnx_file import NotOnnx, read_onnx  # noqa: E402
from minicnn.models.onnx_net import OnnxNet  # noqa: E402


def net_of(made, folder):
    return OnnxNet(read_onnx(saved(made, folder)))


def said(net, x):
    with no_grad():
        return net(np.ascontiguousarray(x)).numpy()


def by_onnxruntime(path, x, output):
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run([output] if output else None, {session.get_inputs()[0].name: np.ascontiguousarray(x)})[0]


def by_bvlc(layers, x):
    """In NumPy: 224 pixels are 54 places, and the last pooling sees a row and a column of nothing behind the maps."""
    x = pool(norm(relu(conv(x, layers["conv1"], 4))))
    x = pool(norm(relu(conv(x, layers["conv2"], 1, 2, 2))))
    for row, groups in (("conv3", 1), ("conv4", 2), ("conv5", 2)):
        x = relu(conv(x, layers[row], 1, 1, groups))
    x = pool(np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=-np.inf)).reshape(len(x), -1)
    for row in ("fc6", "fc7"):
        x = relu(linear(x, layers[row]))
    return linear(x, layers["fc8"])


def softmax(y):
    y = np.exp(y - y.max(1, keepdims=True))
    return y / y.sum(1, keepdims=True)


LAYERS = layers_of("caffe")
X = normal(3, 3, 224, 224).astype(np.float32) * 40 + np.float32([30, 0, -30]).reshape(3, 1, 1)
RIGHT = by_bvlc(LAYERS, X)


@pytest.mark.parametrize("opset", [3, 6, 7, 8, 9, 12])
def test_bvlcalexnet_of_every_opset(opset, tmp_path):
    made = bvlc_alexnet(LAYERS, opset, typed=opset in (3, 8))
    onnx.checker.check_model(made)
    net = net_of(made, tmp_path)
    assert (net.shape, net.classes, net.output) == ((3, 224, 224), 7, "fc8_1")
    close(said(net, X), RIGHT)
    close(said(net, X[:1]), RIGHT[:1])
    if opset >= 7:  # of others onnxruntime lacks Relu
        close(softmax(RIGHT)[:1], by_onnxruntime(tmp_path / "net.onnx", X[:1], "prob_1"))
    assert np.abs(said(net, X[:, ::-1]) - RIGHT).max() > 0.01 * np.abs(RIGHT).max()  # colours count


@pytest.mark.skipif(not REAL.is_dir(), reason="this onnx has no graphs of the model zoo")
def test_that_is_how_the_real_file_is_made():
    """But for its names, it stands in the package onnx, without its weights."""

    def plan(made):
        nodes = [node for node in made.graph.node if node.op_type != "ConstantOfShape"]
        place = {name: (i, k) for i, node in enumerate(nodes) for k, name in enumerate(node.output)}
        return [(node.op_type, [place.get(name, name) for name in node.input], len(node.output), sorted(
            (a.name, str(onnx.helper.get_attribute_value(a))) for a in node.attribute)) for node in nodes]  # fmt: skip

    real = onnx.load(REAL / "light_bvlc_alexnet.onnx")
    assert plan(real) == plan(bvlc_alexnet(LAYERS, 9))
    assert real.graph.output[0].name == "prob_1"


@pytest.mark.parametrize("variant", models.VARIANTS)
def test_our_own_export_comes_back(variant, images, tmp_path):  # noqa: F811
    net, path = network(variant), tmp_path / "net.onnx"
    write_onnx(net, path, {})
    again = OnnxNet(read_onnx(path))
    assert {name.removeprefix("weights."): p.shape for name, p in again.named_parameters()} == {
        name: p.shape for name, p in net.named_parameters()}  # fmt: skip
    for n in (3, 1):
        x = images[net.pixels][:n]
        expected = said(net, x)
        assert np.abs(said(again, x) - expected).max() < 1e-5 * np.abs(expected).max()


def test_the_gradients_are_those_of_the_same_net_written_by_hand(images, tmp_path):  # noqa: F811
    net, path = network("source2012"), tmp_path / "net.onnx"
    write_onnx(net, path, {})
    again, labels = OnnxNet(read_onnx(path)), np.array([1, 4])
    for each in (net, again):
        ops.cross_entropy(each(images[224][:2]), Tensor(labels, device=cpu(0))).backward()
    right = dict(net.named_parameters())
    for name, parameter in again.named_parameters():
        expected = right[name.removeprefix("weights.")].grad.numpy()
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


EVERY_KIND = [
    ("Conv", "x w b", "c", {"pads": [1, 0, 2, 1], "strides": [2, 1], "group": 2}),
    ("BatchNormalization", "c scale shift mean var", "n", {}), ("LRN", "n", "l", {"size": 3, "alpha": 0.3}),
    ("Split", "l", "s t", {"axis": 1}), ("MaxPool", "s", "m", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}),
    ("AveragePool", "t", "a", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}), ("Tanh", "a", "h", {}),
    ("Concat", "m h", "both", {"axis": 1}), ("Mul", "both factor", "f", {}), ("Flatten", "f", "flat", {}),
    ("Gemm", "flat w2 b2", "g", {"transB": 1, "alpha": 0.5, "beta": 2.0}), ("MatMul", "g w3", "y", {}),
]  # fmt: skip
WEIGHTS = {name: array.astype(np.float32) for name, array in {
    "w": normal(6, 2, 3, 3), "b": normal(6), "scale": normal(6) + 3, "shift": normal(6), "mean": normal(6) / 3,
    "var": normal(6) ** 2 + 0.5, "factor": normal(6, 1, 1, seed=5), "w2": normal(5, 6 * 4 * 7) / 4, "b2": normal(5),
    "w3": normal(5, 3)}.items()}  # fmt: skip


def test_a_graph_of_many_kinds_of_nodes(tmp_path):
    made = model(EVERY_KIND, WEIGHTS, (1, 4, 6, 8))
    net, x = net_of(made, tmp_path), normal(3, 4, 6, 8).astype(np.float32)
    right = np.concatenate([by_onnxruntime(tmp_path / "net.onnx", one[None], "y") for one in x])
    np.testing.assert_allclose(said(net, x), right, rtol=1e-4, atol=1e-5)
    assert {name for name, _ in net.named_parameters()} == {f"weights.{name}" for name in WEIGHTS} - {
        "weights.mean", "weights.var"}  # fmt: skip
    gradcheck(net, x[:2].astype(np.float64))
    for device in (cpu(1), current_device(), cpu(0)):
        net.to(device)
        assert net(x).device == device
        np.testing.assert_allclose(said(net, x), right, rtol=1e-4, atol=1e-5)
    state = net.state_dict()
    assert state.keys() == {f"weights.{name}" for name in WEIGHTS}
    net.load_state_dict({name: 2 * array for name, array in state.items()})
    assert np.abs(said(net, x) - right).max() > 0.1


def test_values_on_the_way(tmp_path):
    net, x = net_of(model(EVERY_KIND, WEIGHTS, ("N", 4, 6, 8)), tmp_path), normal(2, 4, 6, 8).astype(np.float32)
    assert net.layers == ["c", "n", "l", "s", "t", "m", "a", "h", "both", "f", "flat", "g", "y"]
    with no_grad():
        both = net.value(x, "l").numpy()
        np.testing.assert_array_equal(net.value(x, "t").numpy(), both[:, 3:])
        np.testing.assert_array_equal(net.value(x, "y").numpy(), net(x).numpy())
    with pytest.raises(ValueError, match=r"there is no value 'z' in this graph: choose one of c, n, l, s, .*, y$"):
        net.value(x, "z")
    with pytest.raises(ValueError, match=r"images \(2, 4, 6, 7\) must have the shape \(N, 4, 6, 8\), as the file says"):
        net(x[..., :7])
    with pytest.raises(ValueError, match="OnnxNet: what the nodes of a graph cost is not counted"):
        net.summary((4, 6, 8))


def test_what_pytorch_writes(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.MaxPool2d(3, 2, ceil_mode=True),
        torch.nn.Conv2d(8, 4, 3, groups=2), torch.nn.AvgPool2d(2), torch.nn.Flatten(), torch.nn.Dropout(),
        torch.nn.Linear(16, 5), torch.nn.LogSoftmax(1))  # fmt: skip
    theirs[1].running_mean += torch.randn(8)
    theirs.eval()
    x = torch.randn(3, 3, 12, 12)
    for opset in (11, 17):
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(theirs, x[:1], tmp_path / "net.onnx", dynamo=False, opset_version=opset,
                              input_names=["x"], dynamic_axes={"x": {0: "N"}})
        net = OnnxNet(read_onnx(tmp_path / "net.onnx"))
        np.testing.assert_allclose(said(net, x.numpy()), theirs(x).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not REAL.is_dir(), reason="this onnx has no graphs of the model zoo")
def test_squeezenet_of_the_zoo(tmp_path):
    """An output (N, 1000, 1, 1), behind a softmax that goes over all axes after the first."""
    net, x = net_of(of_the_zoo("squeezenet"), tmp_path), X[:, :, :224, :224] / 40
    y = said(net, x)
    right = np.concatenate([by_onnxruntime(tmp_path / "net.onnx", one[None], "") for one in x])
    assert (net.classes, y.shape, right.shape) == (1000, (3, 1000), (3, 1000, 1, 1))
    np.testing.assert_allclose(softmax(y), right[:, :, 0, 0], rtol=1e-4, atol=1e-7)


# -- batches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 5, "N"])
def test_a_first_size_that_is_the_files_batch_means_as_many_as_come(batch, tmp_path):
    sizes = np.array([batch if batch != "N" else -1, 12])
    made = model([("Reshape", "x sizes", "y", {})], {"sizes": sizes}, (batch, 3, 2, 2))
    net = net_of(made, tmp_path)
    for n in (1, 3):
        x = normal(n, 3, 2, 2).astype(np.float32)
        np.testing.assert_array_equal(said(net, x), x.reshape(n, 12))


def test_the_shape_of_a_constant_is_not_that_of_the_pictures(tmp_path):
    made = model([("Reshape", "w sizes", "v", {}), ("Add", "x v", "y", {})],
                 {"w": np.float32([1, 2, 3]), "sizes": np.array([1, 3])}, (1, 3))
    x = normal(4, 3).astype(np.float32)
    np.testing.assert_array_equal(said(net_of(made, tmp_path), x), x + np.float32([1, 2, 3]))


@pytest.mark.parametrize("node, match", [
    (("Reshape", "x sizes", "y", {}), r"node 'Reshape_0' \(Reshape\) makes \[\(24,\)\] of 2 pictures: it mixes"),
    (("Transpose", "x", "y", {"perm": [1, 0, 2, 3]}), r"\(Transpose\) mixes pictures"),
    (("Transpose", "x", "y", {}), "mixes pictures"),
    (("Add", "x two", "y", {}), "of 1 pictures: it mixes"),
    (("Softmax", "x", "y", {"axis": 0}), "axis 0, which are the pict"),
    (("Concat", "x x", "y", {"axis": 0}), "it mixes or loses some"), (("Gemm", "w x", "y", {}), "made of them"),
    (("MatMul", "w x", "y", {}), "takes for weights what is made of them"),
    (("ReduceMean", "x", "y", {}), "it names no axes, and axis 0 are"),
    (("ReduceMean", "x", "y", {"axes": [0], "keepdims": 0}), "it mixes or loses some"),
    (("Slice", "x zero minus axis back", "y", {}), "a part of axis 0"), (("Flatten", "x", "y", {"axis": 0}), "axis is"),
    (("Gemm", "x w", "y", {"transA": 1}), "transA is 1: known is 0"),
])  # fmt: skip
def test_no_node_may_mix_pictures(node, match, tmp_path):
    whole = {"sizes": [-1], "zero": [-1], "minus": [-(2**63)], "axis": [0], "back": [-1]}
    reals = {"w": np.float32(normal(3, 3)), "two": np.float32(normal(2, 1, 1, 1))}
    made = model([node], reals | {name: np.array(value) for name, value in whole.items()}, (1, 3, 2, 2))
    with pytest.raises(NotOnnx, match=match):
        net_of(made, tmp_path)


# -- what is asked for -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [
    [("Softmax", "g", "y", {"axis": 1})], [("Softmax", "g", "p", {}), ("Identity", "p", "y", {})],
    [("Softmax", "g", "p", {}), ("Reshape", "p sizes", "y", {})], [("Identity", "g", "y", {})],
    [("Dropout", "g", "d", {}), ("Softmax", "d", "p", {}), ("Flatten", "p", "y", {})],
], ids=str)  # fmt: skip
def test_logits_are_what_goes_into_the_last_softmax(tail, tmp_path):
    made = model([("Gemm", "x w", "g", {}), *tail], {"w": np.float32(normal(4, 3)), "sizes": np.array([1, 3])}, (1, 4))
    x = normal(2, 4).astype(np.float32)
    np.testing.assert_allclose(said(net_of(made, tmp_path), x), x @ normal(4, 3), rtol=1e-5)


def test_a_softmax_elsewhere_stays(tmp_path):
    made = model([("Softmax", "x", "p", {}), ("Gemm", "p w", "y", {})], {"w": np.float32(normal(4, 3))}, (1, 4))
    x = normal(2, 4).astype(np.float32)
    np.testing.assert_allclose(said(net_of(made, tmp_path), x), softmax(x) @ normal(4, 3), rtol=1e-5)


def test_what_leads_to_no_output_need_not_be_known(tmp_path):
    made = model([("Relu", "x", "y", {}), ("Erf", "y", "z", {})], {"unused": np.float32([1])}, (1, 3))
    net = net_of(made, tmp_path)
    assert (net.layers, list(net.weights)) == (["y"], [])
    with pytest.raises(NotOnnx, match=r"it has the outputs \['y', 'r'\], and pictures are asked for one"):
        net_of(model([("Relu", "x", "y", {}), ("Exp", "y", "r", {})], {}, (1, 3), ["y", "r"]), tmp_path)


def test_half_and_double_weights_are_computed_in_single(tmp_path):
    for dtype in (np.float16, np.float64):
        w = normal(4, 3).astype(dtype)
        made = model([("Cast", "x", "c", {"to": 10}), ("MatMul", "c w", "y", {})], {"w": w}, (1, 4), typed=True)
        net, x = net_of(made, tmp_path), normal(2, 4).astype(np.float32)
        assert (said(net, x).dtype, net.weights["w"].dtype) == (np.float32, np.float32)
        np.testing.assert_allclose(said(net, x), x @ w.astype(np.float64), rtol=1e-5)
    with pytest.raises(ValueError, match="w: float64 numbers beyond the range of float32"):
        net_of(model([("MatMul", "x w", "y", {})], {"w": np.full((4, 3), 1e300)}, (1, 4)), tmp_path)
