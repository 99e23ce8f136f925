"""Every op of ONNX's that is known, alone and in chains, against the evaluators of others."""

import numpy as np
import pytest
from helpers import distinct, normal
from hypothesis import given
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx", reason="pip install onnx")

from onnx_of_others import model, saved  # noqa: E402
from test_onnx_export import reference  # noqa: E402
from test_onnx_net import by_onnxruntime, net_of, said  # noqa: E402

from minicnn.models.onnx_file import NotOnnx  # noqa: E402
from minicnn.models.onnx_ops import OPS  # noqa: E402

C, V = (4, 6, 5), (8,)  # an image, or a row of numbers
REALS = {"w": normal(6, 4, 3, 2), "g": normal(6, 2, 3, 3), "b": normal(6), "m": normal(8, 5), "t": normal(5, 8),
         "c": normal(5), "p": normal(4, 1, 1) + 3, "v": normal(4) ** 2 + 0.3, "four": normal(4), "two": np.array(2.0),
         "half": np.array(0.5)}  # fmt: skip
WHOLE = {"sizes": [0, -1, 5], "one": [1], "ends": [9], "axes": [1, 3], "zero": [0], "steps": [2], "parts": [1, 3],
         "ahead": [-2], "back": [-1], "least": [-(2**63)], "square": 2, "zeros": [0] * 5, "nine": [1] * 9}  # fmt: skip
NODES = [  # op, inputs, attributes, opset, image; outputs are y, or as many as are named
    ("Add", "x p", {}, 7, C), ("Add", "x four", {"broadcast": 1, "axis": 1}, 6, C), ("Add", "p x", {}, 13, C),
    ("AveragePool", "x", {"kernel_shape": [3, 2], "strides": [2, 1]}, 9, C),
    ("BatchNormalization", "x four p1 four v", {"epsilon": 0.1}, 9, C), ("Cast", "x", {"to": 1}, 9, C),
    ("Concat", "x x x", {"axis": -3}, 9, C), ("Conv", "x w b", {"strides": [2, 1], "pads": [1, 0, 2, 1]}, 9, C),
    ("Conv", "x g", {"group": 2, "kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2]}, 11, C),
    ("Div", "x p", {}, 7, C), ("Div", "p x", {}, 7, C), ("Dropout", "x half", {}, 12, C),
    ("Dropout", "x", {"ratio": 0.3}, 10, C), ("Exp", "x", {}, 6, C), ("Flatten", "x", {}, 9, C),
    ("Flatten", "x", {"axis": -3}, 11, C), ("Gemm", "x m c", {"alpha": 0.5, "beta": 2.0}, 11, V),
    ("Gemm", "x t", {"transB": 1}, 11, V), ("GlobalAveragePool", "x", {}, 9, C), ("GlobalMaxPool", "x", {}, 9, C),
    ("Identity", "x", {}, 9, C), ("LRN", "x", {"size": 3, "alpha": 0.2, "beta": 0.6, "bias": 1.5}, 9, C),
    ("Log", "Exp", {}, 6, C), ("LogSoftmax", "x", {}, 13, C), ("LogSoftmax", "x", {"axis": 2}, 9, C),
    ("MatMul", "x m", {}, 9, V), ("MaxPool", "x", {"kernel_shape": [3, 2], "pads": [1, 0, 2, 1]}, 9, C),
    ("Mul", "x p", {}, 7, C), ("Neg", "x", {}, 6, C), ("Pow", "x square", {}, 12, C), ("Pow", "x two", {}, 7, C),
    ("ReduceMax", "x", {"axes": [1], "keepdims": 0}, 11, C), ("ReduceMean", "x axes", {}, 18, C),
    ("ReduceMean", "x", {"axes": [2, 3], "keepdims": 0}, 13, C), ("ReduceSum", "x axes", {"keepdims": 0}, 13, C),
    ("Relu", "x", {}, 6, C), ("Reshape", "x sizes", {}, 13, C), ("Sigmoid", "x", {}, 6, C),
    ("Slice", "x one ends one", {}, 10, C), ("Slice", "x ahead least axis3 back", {}, 13, C),
    ("Slice", "x zero ends axis2 steps", {}, 13, C), ("Slice", "x", {"starts": [1], "ends": [-1], "axes": [2]}, 9, C),
    ("Softmax", "x", {"axis": 1}, 13, C), ("Softmax", "x", {"axis": 2}, 11, C), ("Softmax", "x", {"axis": -1}, 11, C),
    ("Split", "x parts", {"axis": 1}, 13, C, 2), ("Split", "x", {"axis": 2, "split": [2, 4]}, 11, C, 2),
    ("Split", "x", {"axis": 3, "num_outputs": 3}, 18, C, 3), ("Split", "x", {"axis": 1}, 13, C, 2),
    ("Sqrt", "Exp", {}, 6, C), ("Squeeze", "x", {"axes": [1]}, 11, (1, 6, 5)), ("Squeeze", "x one", {}, 13, (1, 6, 5)),
    ("Sub", "x p", {}, 7, C), ("Sub", "p x", {}, 7, C), ("Sum", "x p x", {}, 8, C), ("Tanh", "x", {}, 6, C),
    ("Transpose", "x", {"perm": [0, 2, 3, 1]}, 13, C), ("Unsqueeze", "x axes", {}, 13, V),
    ("Unsqueeze", "x", {"axes": [-1, 1]}, 11, V),
]  # fmt: skip
MORE = {"p1": REALS["four"], "axis2": [2], "axis3": [3]}


def made_of(kind, inputs, attributes, opset, image, outputs=1):
    """A net of one node, or of Exp and the node; of several outputs, the last, times itself."""
    before = [("Exp", "x", "Exp", {})] if inputs == "Exp" else []
    names = " ".join(f"y{i}" for i in range(outputs - 1)) + " " * (outputs > 1) + "last"
    nodes = [*before, (kind, inputs, names, attributes), ("Neg", "last", "y", {})]
    constants = {name: np.asarray(array, np.float32) for name, array in REALS.items()}
    constants |= {name: np.array(array) for name, array in WHOLE.items()}
    constants |= {name: np.asarray(array, np.float32 if name[0] == "p" else int) for name, array in MORE.items()}
    used = {name: constants[name] for name in inputs.split() if name in constants}
    return model(nodes, used, (1, *image), ["y"], opset)


@pytest.mark.parametrize("node", NODES, ids=lambda node: f"{node[0]}-{node[3]}")
def test_a_node_alone(node, tmp_path):
    made, x = made_of(*node), distinct(3, *node[4]).astype(np.float32) * 3
    net = net_of(made, tmp_path)
    if "broadcast" in node[2]:  # before opset 7, which no evaluator knows
        right = -(x + REALS["four"].reshape(4, 1, 1))
    else:
        judge = by_onnxruntime if node[3] >= 7 else lambda path, x, output: reference(path)(None, {"x": x})[0]
        right = np.concatenate([judge(tmp_path / "net.onnx", one[None], "y") for one in x])
    y = said(net, x)
    np.testing.assert_allclose(y, right.reshape(y.shape), rtol=1e-5, atol=1e-6)


def test_every_op_stands_in_the_table():
    assert {node[0] for node in NODES} == OPS.keys()


@pytest.mark.parametrize("node, match", [
    (("Conv", "x w", {"dilations": [2, 1]}, 11, C), r"dilations is \(2, 1\): known is \(1, 1\)"),
    (("Conv", "x w", {"kernel_shape": [2, 3]}, 11, C), r"kernel_shape is \(2, 3\): known is None or \(3, 2\)"),
    (("Conv", "x w", {"auto_pad": "SAME"}, 11, C), "auto_pad is 'SAME': known is 'NOTSET' or"),
    (("Conv", "x w", {"pads": [1, 1]}, 11, C), r"pads \(1, 1\) on \(2, 4, 6, 5\): known are those over \(N, C, H, W\)"),
    (("Conv", "x w", {"strides": [0, 1]}, 11, C), "are none"),
    (("Conv", "x w", {"pads": [0, 0, -1, 0]}, 11, C), "are none"),
    (("Conv", "x w", {"group": 3}, 11, C), "3 groups do not divide"), (("Conv", "x x", {}, 11, C), "made of them"),
    (("MaxPool", "x", {"kernel_shape": [2, 2], "storage_order": 1}, 11, C), "storage_order is 1: known is 0"),
    (("AveragePool", "x", {"kernel_shape": [2, 2], "ceil_mode": 1, "count_include_pad": 1}, 11, C), "known is one of"),
    (("MaxPool", "x", {}, 11, C), "lacks the attribute kernel_shape"),
    (("LRN", "x", {"size": 4}, 11, C), "size is 4: a window with a middle is odd"),
    (("LRN", "x", {"size": 0}, 11, C), "size is 0"), (("Gemm", "x m", {"transA": 1}, 11, V), "transA is 1"),
    (("BatchNormalization", "x four four four v", {"training_mode": 1}, 14, C), "training_mode is 1"),
    (("BatchNormalization", "x four four four v", {"spatial": 0}, 7, C), "spatial is 0"),
    (("Dropout", "x half zero", {}, 12, C), None), (("Dropout", "x half one", {}, 12, C), r"training_mode is \(1,\)"),
    (("Cast", "x", {"to": 7}, 11, C), "to is 7: known is 1 or 10"), (("Flatten", "x", {"axis": 2}, 11, C), "axis is 2"),
    (("Reshape", "x sizes", {"allowzero": 1}, 14, C), "allowzero is 1"),
    (("Reshape", "x zeros", {}, 14, C), r"a shape \(0, 0, 0, 0, 0\) for \(2, 4, 6, 5\)"),
    (("Reshape", "x nine", {}, 14, C), r"a shape \(1, 1, 1, 1, 1, 1, 1, 1, 1\) for"),
    (("Reshape", "x b", {}, 14, C), "what should be whole numbers is computed, or real"),
    (("Reshape", "x x", {}, 14, C), "what should be whole numbers is computed, or real"),
    (("Squeeze", "x one", {}, 13, C), r"axes \(1,\) of \(2, 4, 6, 5\): name those to leave out, each of size 1"),
    (("Squeeze", "x", {}, 13, C), "name those to leave out"),
    (("Split", "x parts", {"axis": 2}, 13, C, 2), "along axis 2 into 2 parts"),
    (("Split", "x", {"axis": 3}, 13, C, 2), "is not split"), (("Pow", "x parts", {}, 13, C), "beside real ones"),
    (("Slice", "x one ends axes", {}, 10, C), r"starts \(1,\), ends \(9,\), axes \(1, 3\) and steps \(1,\)"),
    (("Add", "x m", {}, 13, C), "broadcast"), (("Relu", "x x", {}, 13, C), "too many"), (("Erf", "x", {}, 13, C),
     "node 'Erf_0' .Erf.: that op is not known: known are Add, AveragePool,"),
    (("Relu", "x", {"slope": 1}, 13, C), "its attribute 'slope' is not known"),
    (("Softmax", "x", {"opset": 1}, 13, C), "its attribute 'opset' is not known"),
    (("Reshape", "x", {"sizes": [1]}, 13, C), "its attribute 'sizes' is not known"),
    (("Softmax", "x", {"axis": 1.0}, 13, C), "its attribute axis is 1.0, and must be int"),
    (("Conv", "x w", {"pads": [1.0] * 4}, 13, C), r"its attribute pads is \(1.0, .*, and must be Ints"),
    (("LRN", "x", {"size": 3, "alpha": 1}, 13, C), "its attribute alpha is 1, and must be float"),
    (("Relu", "sizes", {}, 13, C), "whole"), (("Concat", "x sizes", {}, 13, C), "whole"),
], ids=lambda value: value[0] if isinstance(value, tuple) else "")  # fmt: skip
def test_what_is_not_known_is_refused_by_its_name(node, match, tmp_path):
    made = made_of(*node)
    if match is None:
        net_of(made, tmp_path)
        return
    with pytest.raises(NotOnnx, match=match) as caught:
        net_of(made, tmp_path)
    assert str(caught.value).startswith(f"node '{node[0]}_0' ({node[0]})")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("nodes", [
    [("Concat", "x x", f"x{0}", {}), *(("Concat", f"x{i} x{i}", f"x{i + 1}", {}) for i in range(31))],
    [("Transpose", "m", "mt", {}), ("Mul", "m mt", "mm", {}), ("Add", "x mm", "x31", {})],
    [("Unsqueeze", "m", "mm", {"axes": [0]}), ("MatMul", "m row", "x31", {})],
    [("Conv", "x many", "x31", {})],
    [("MaxPool", "x", "x31", {"kernel_shape": [5000, 5000], "pads": [4999] * 4})],
    [("AveragePool", "x", "x31", {"kernel_shape": [5000, 5000], "pads": [4999] * 4})],
    [("Gemm", "m row", "x31", {})], [("Sum", "m row", "x31", {})],
], ids=lambda nodes: nodes[-1][0])  # fmt: skip
def test_what_would_not_fit_into_memory_is_refused_before(nodes, tmp_path):
    weights = {"m": np.zeros((60_000, 1), np.float32), "row": np.zeros((1, 60_000), np.float32),
               "many": np.zeros((9_000_000 // 36, 3, 1, 1), np.float32)}  # fmt: skip
    nodes = [*nodes, ("Add", "x x31", "y", {})]
    used = {name: array for name, array in weights.items() if any(name in node[1].split() for node in nodes)}
    with pytest.raises(NotOnnx, match=r"more than (8388608|16777216)"):
        net_of(model(nodes, used, (1, 3, 8, 8), opset=11), tmp_path)


def test_what_is_kept_must_fit_into_memory_together(tmp_path):
    nodes = [*(("Relu", "x", f"r{i}", {}) for i in range(9)), ("Sum", " ".join(f"r{i}" for i in range(9)), "y", {})]
    assert net_of(model(nodes, {}, (1, 3, 300, 300)), tmp_path).shape == (3, 300, 300)
    with pytest.raises(NotOnnx, match=r"node 'Relu_6' \(Relu\): \d+ numbers are kept by now: more than 8388608 for a"):
        net_of(model(nodes, {}, (1, 3, 600, 600)), tmp_path)


# -- chains ------------------------------------------------------------------------------------------------------------

ELEMENTWISE = ["Relu", "Tanh", "Sigmoid", "Neg", "Exp", "Identity"]


@st.composite
def chains(draw):
    """(nodes, constants, shape of an image): what may follow each other, on images and then on rows of numbers."""
    random = np.random.default_rng(draw(st.integers(0, 99)))
    shape = [draw(st.integers(1, 4)), draw(st.integers(3, 7)), draw(st.integers(3, 7))]
    image, nodes, constants = tuple(shape), [], {}

    def constant(*sizes):
        name = f"c{len(constants)}"
        constants[name] = random.standard_normal(sizes).astype(np.float32) / np.float32(np.sqrt(np.prod(sizes[1:])))
        return name

    x = "x"
    for i in range(draw(st.integers(1, 5))):
        kinds = ["Conv", "MaxPool", "AveragePool", "LRN", "BatchNormalization", "Concat", "Split", "Add", "Mul", "same",
                 "Transpose"] if len(shape) == 3 and min(shape[1:]) > 1 else ["same", "Add"]  # fmt: skip
        kind, y = draw(st.sampled_from(kinds)), f"v{i}"
        channels, *places = shape
        if kind in ("Conv", "MaxPool", "AveragePool"):
            size, step = ([draw(st.integers(1, 3)) for _ in range(2)] for _ in range(2))
            size = [min(r, n) for r, n in zip(size, places, strict=True)]
            pads = [draw(st.integers(0, r - 1)) for r in size * 2]
            if kind == "MaxPool":  # the reference takes pads of four for others
                pads = [min(pads)] * 4
            how = {"strides": step, "pads": pads}
            if kind == "Conv":
                group = draw(st.sampled_from([g for g in (1, 2) if channels % g == 0]))
                shape[0] = draw(st.integers(1, 2)) * group
                nodes.append((kind, f"{x} {constant(shape[0], channels // group, *size)} {constant(shape[0])}", y,
                              how | {"group": group}))  # fmt: skip
            else:
                also = {"count_include_pad": draw(st.integers(0, 1))} if kind == "AveragePool" else {}
                nodes.append((kind, x, y, how | also | {"kernel_shape": size}))
            shape[1:] = [(n + pads[a] + pads[a + 2] - size[a]) // step[a] + 1 for a, n in enumerate(places)]
        elif kind == "LRN":
            nodes.append((kind, x, y, {"size": draw(st.sampled_from([1, 3, 5])), "alpha": 0.5}))
        elif kind == "BatchNormalization":
            names = [constant(channels) for _ in range(4)]
            constants[names[3]] = np.abs(constants[names[3]]) + np.float32(0.5)
            nodes.append((kind, " ".join([x, *names]), y, {}))
        elif kind == "Concat":
            nodes.append((kind, f"{x} {x}", y, {"axis": draw(st.sampled_from([1, -3]))}))
            shape[0] *= 2
        elif kind == "Split":
            if channels > 1:
                constants[f"parts{i}"] = np.array([1, channels - 1])
                nodes.append((kind, f"{x} parts{i}", f"{y} rest{i}", {"axis": 1}))
                shape[0], y = draw(st.sampled_from([(1, y), (channels - 1, f"rest{i}")]))
            else:
                y = x
        elif kind in ("Add", "Mul"):
            nodes.append((kind, f"{x} {constant(shape[0], *[1] * (len(shape) - 1))}", y, {}))
        elif kind == "Transpose":
            nodes.append((kind, x, y, {"perm": [0, 1, 3, 2]}))
            shape[1:] = shape[:0:-1]
        else:
            nodes.append((draw(st.sampled_from(ELEMENTWISE)), x, y, {}))
        x = y
    if draw(st.booleans()):
        nodes += [("Flatten", x, "flat", {}), ("Gemm", f"flat {constant(3, int(np.prod(shape)))} {constant(3)}", "g",
                                               {"transB": 1}), ("LogSoftmax", "g", "ls", {})]  # fmt: skip
        x = "ls"
    return [*nodes, ("Identity", x, "y", {})], constants, image


@given(chain=chains())
def test_chains_of_nodes(chain, tmp_path_factory):
    nodes, constants, image = chain
    folder = tmp_path_factory.mktemp("chain")
    made = model(nodes, constants, ("N", *image), opset=15)
    net, x = net_of(made, folder), np.random.default_rng(7).standard_normal((3, *image)).astype(np.float32)
    right, = reference(saved(made, folder))(None, {"x": x})
    y, most = said(net, x), np.abs(right).max()
    np.testing.assert_allclose(y, right.reshape(y.shape), rtol=1e-4, atol=1e-4 * most)
    np.testing.assert_allclose(said(net, x[:1]), y[:1], rtol=1e-4, atol=1e-4 * most)
