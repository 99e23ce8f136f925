"""Files of ONNX: what is in them, and what is refused, in one line, before it takes memory or anything else."""

import os
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from helpers import normal
from weights_of_others import field, spoilt, varint

from minicnn import models
from minicnn.models.weights import WeightsError

pytestmark = pytest.mark.processor
onnx = pytest.importorskip("onnx", reason="pip install onnx")

from onnx_of_others import constant, model, saved  # noqa: E402

from minicnn.models.onnx_file import NotOnnx, read_onnx  # noqa: E402
from minicnn.models.onnx_net import OnnxNet  # noqa: E402

WEIGHTS = {"w": normal(2, 3, 3, 3).astype(np.float32), "b": normal(2).astype(np.float32),
           "w2": normal(3, 8).astype(np.float32), "sizes": np.array([1, 8])}


def net(**changes):
    """A small one: (1, 3, 128, 128) → 3 classes."""
    nodes = [("Conv", "x w b", "c", {"strides": [60, 60]}), ("Relu", "c", "r", {}),
             ("MaxPool", "r", "p", {"kernel_shape": [2, 2]}), ("Reshape", "p sizes", "f", {}),
             ("Gemm", "f w2", "g", {"transB": 1}), ("Softmax", "g", "y", {})]  # fmt: skip
    return model(nodes, WEIGHTS, (1, 3, 128, 128), opset=11, **changes)


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int64, np.int32, bool])
def test_constants_of_every_type_and_place(typed, dtype, tmp_path):
    numbers = (normal(2, 3) * 9).astype(dtype)
    nodes = [("Constant", "", "k", {"value": constant("", numbers, typed)}), ("Identity", "x", "y", {})]
    made = model(nodes, {"a": numbers, "scalar": numbers[0, 0]}, typed=typed)
    made.graph.node[0].ClearField("input")
    graph = read_onnx(saved(made, tmp_path))
    for name, right in (("a", numbers), ("k", numbers), ("scalar", numbers[0, 0])):
        if numbers.dtype.kind == "f":
            np.testing.assert_array_equal(graph.arrays[name], right)
            assert graph.arrays[name].dtype == dtype
        else:
            assert graph.whole[name] == tuple(right.reshape(-1).tolist())
    assert graph.trained >= {"a"}
    assert not graph.trained & {"k", "scalar"}


def test_constants_written_as_attributes(tmp_path):
    kinds = {"value_float": 0.5, "value_floats": [0.5, 2.0], "value_int": 7, "value_ints": [7, -1]}
    made = model([*(("Constant", "", name, {name: value}) for name, value in kinds.items()), ("Relu", "x", "y", {})])
    for node in made.graph.node[:4]:
        node.ClearField("input")
    graph = read_onnx(saved(made, tmp_path))
    assert {name: array.tolist() for name, array in graph.arrays.items()} == {"value_float": 0.5,
                                                                              "value_floats": [0.5, 2.0]}
    assert graph.whole == {"value_int": (7,), "value_ints": (7, -1)}


def test_what_stands_in_a_file(tmp_path):
    graph = read_onnx(saved(net(as_inputs=True, producer_name="someone"), tmp_path))
    assert [str(node) for node in graph.nodes[:2]] == ["node 'Conv_0' (Conv)", "node 'Relu_1' (Relu)"]
    assert (graph.input, graph.shape, graph.outputs, graph.opset, graph.producer) == (
        "x", (1, 3, 128, 128), ("y",), 11, "someone")  # fmt: skip
    assert (graph.nodes[0].attributes, graph.whole) == ({"strides": (60, 60)}, {"sizes": (1, 8)})
    assert graph.nodes[0].inputs == ("x", "w", "b")


# -- spoilt ------------------------------------------------------------------------------------------------------------


def put(made, spoil):
    """Whatever is to be otherwise in the buffers of a good file."""
    spoil(made)
    return made.SerializeToString()


def initialiser(index, **fields):
    def spoil(made):
        tensor = made.graph.initializer[index]
        for name, value in fields.items():
            if isinstance(value, list):
                tensor.ClearField(name)
                getattr(tensor, name).extend(value)
            else:
                setattr(tensor, name, value)

    return spoil


def attribute(node, name, **fields):
    def spoil(made):
        said = next((a for a in made.graph.node[node].attribute if a.name == name), None)
        said = said or made.graph.node[node].attribute.add(name=name)
        for kind in ("i", "f", "s", "ints", "floats", "t"):
            said.ClearField(kind)
        for kind, value in fields.items():
            getattr(said, kind).extend(value) if isinstance(value, list) else setattr(said, kind, value)

    return spoil


def outside(made):
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def rewired(node, inputs=None, outputs=None):
    def spoil(made):
        for name, value in (("input", inputs), ("output", outputs)):
            if value is not None:
                made.graph.node[node].ClearField(name)
                getattr(made.graph.node[node], name).extend(value)

    return spoil


def before_all(*node, **attributes):
    """A node, put before all others, which the first of them reads."""
    def spoil(made):
        kind, inputs = node
        first = onnx.helper.make_node(kind, inputs, ["first"], "first", **attributes)
        others = [onnx.NodeProto.FromString(other.SerializeToString()) for other in made.graph.node]
        others[0].input[0] = "first"
        del made.graph.node[:]
        made.graph.node.extend([first, *others])

    return spoil


def size_of_input(axis, size):
    return lambda made: setattr(made.graph.input[0].type.tensor_type.shape.dim[axis], "dim_value", size)


def nested(made):
    """Graphs in graphs, deeper than any reader goes."""
    graph = made.graph
    for _ in range(90):
        inner = onnx.GraphProto(name="inner")
        inner.node.add(op_type="If", output=["y"]).attribute.add(name="then_branch", type=5).g.CopyFrom(graph)
        graph = inner
    made.graph.CopyFrom(graph)


def deeper_than_a_stack(depth=200_000):
    data = b""
    for _ in range(60):  # a graph in an attribute of a node of a graph
        data = field(1, field(5, field(6, data)) + field(2, "x"))
    return field(7, data)


HUGE = 2**31
SPOILT = [
    (lambda made: made.ClearField("graph"), "it holds no graph"),
    (lambda made: made.graph.ClearField("node"), "it holds no graph"),
    (lambda made: made.graph.ClearField("input"), r"it has 0 inputs"),
    (lambda made: made.graph.input.add(name="z"), r"it has 2 inputs, \['x', 'z'\]"),
    (lambda made: made.graph.ClearField("output"), "its outputs are"),
    (lambda made: setattr(made.graph.output[0], "name", "z"), r"its outputs are \['z'\], which no node makes"),
    (lambda made: setattr(made.graph.output[0], "name", "w"), r"its outputs are \['w'\]"),
    (lambda made: made.graph.input[0].type.tensor_type.ClearField("shape"), "has no shape"),
    (lambda made: setattr(made.graph.input[0].type.tensor_type, "elem_type", 7), "is of type 7"),
    (lambda made: made.graph.input[0].type.tensor_type.shape.dim.add(dim_value=HUGE), "that is no batch of pictures"),
    (size_of_input(3, HUGE), "that is no batch of pictures"), (size_of_input(3, -1), r"\(1, 3, 128, None\)"),
    (size_of_input(1, 4), r"\(1, 4, 128, 128\)"), (size_of_input(0, -5), None), (size_of_input(0, HUGE), "no batch"),
    (lambda made: setattr(made.opset_import[0], "version", 99), "it is of opset 99: 1 to 28 are known"),
    (lambda made: setattr(made.opset_import[0], "version", -3), "it is of opset -3"),
    (initialiser(0, dims=[HUGE, 3, 3, 3]), r"w' says that its shape is \(2147483648, 3, 3, 3\), and has 54 numbers"),
    (initialiser(0, dims=[HUGE] * 4), "and has 54 numbers"), (initialiser(0, dims=[-2, -3, 3, 3]), "54 numbers"),
    (initialiser(0, dims=[3, 2, 3, 3]), r"\(Conv\): "), (initialiser(2, dims=[8, 3]), r"\(Gemm\): linear: x"),
    (initialiser(0, dims=[1] * 99), "and has 54 numbers"),
    (initialiser(0, raw_data=b"abc"), "3 bytes, no row of numbers"),
    (initialiser(0, data_type=8), r"is of type 8 \(STRING\): known are FLOAT"),
    (initialiser(0, data_type=16), r"\(BFLOAT16\)"), (initialiser(0, data_type=77), r"is of type 77 \(\?\)"),
    (initialiser(0, data_type=7), "27 numbers|whole"), (initialiser(3, data_type=1), "has 4 numbers|real"),
    (initialiser(0, raw_data=np.full(54, np.nan, "<f4").tobytes()), "not finite"),
    (initialiser(3, raw_data=np.array([HUGE, -1]).tobytes()), r"\(Reshape\): reshape"),
    (initialiser(3, raw_data=np.array([1, -8]).tobytes()), r"\(Reshape\): reshape"),
    (initialiser(3, dims=[0], raw_data=b""), r"\(Reshape\): "),
    (initialiser(0, name="b"), "two constants are called 'b'"),
    (initialiser(0, name=""), "which nothing before it makes"),
    (initialiser(3, dims=[9000], raw_data=bytes(72_000)), "'sizes' holds 9000 whole numbers"),
    (outside, r"lie in another file, '../../../etc/passwd', which is not read: make one file"),
    (rewired(1, inputs=["y"]), r"node 'Relu_1' \(Relu\) reads 'y', which nothing before it makes"),
    (rewired(1, inputs=["r"]), "reads 'r', which nothing before it makes"),
    (rewired(1, inputs=[]), "missing a required"), (rewired(0, inputs=["x"]), "missing a required"),
    (rewired(0, inputs=["", "w", "b"]), "not made of the picture"),
    (rewired(1, outputs=["w"]), "makes 'w', which is there already"),
    (rewired(1, outputs=["x"]), "makes 'x', which is there already"), (rewired(1, outputs=[]), "makes nothing"),
    (rewired(1, outputs=["", "r"]), "reads 'r': of a node only the first output is known"),
    (rewired(2, outputs=["other", "p"]), "reads 'p': of a node only"),
    (rewired(5, outputs=["z", "y"]), "its output 'y' is not made of the picture, or not the first"),
    (rewired(4, inputs=["w2", "w2"]), "its output 'g' is not made of the picture"),
    (lambda made: setattr(made.graph.node[1], "op_type", "Loop"), "that op is not known"),
    (lambda made: setattr(made.graph.node[1], "op_type", ""), "that op is not known"),
    (lambda made: setattr(made.graph.node[1], "op_type", "A\nB" * 99), "that op is not known"),
    (lambda made: setattr(made.graph.node[1], "name", "\n\x1b[31m" * 99), None),
    (lambda made: setattr(made.graph.node[1], "domain", "com.microsoft"), "is an op of 'com.microsoft'"),
    (attribute(0, "strides", type=7, ints=[HUGE, HUGE]), None),
    (attribute(0, "strides", type=7, ints=[0, 0]), "are none"),
    (attribute(0, "strides", type=7), "strides"),
    (attribute(0, "strides", type=2, ints=[2, 2]), "strides' is no value"),
    (attribute(0, "strides", type=6, floats=[2.0, 2.0]), r"strides is \(2.0, 2.0\), and must be Ints"),
    (attribute(0, "strides", type=0, ints=[2, 2]), "is no value of the type"),
    (attribute(0, "strides", type=5), "is no value of the type GRAPH"),
    (attribute(0, "pads", type=7, ints=[HUGE] * 4), "padding is"), (attribute(0, "pads", type=7, ints=[1]), "pads"),
    (attribute(0, "group", type=2, i=HUGE), "groups do not divide"), (attribute(0, "group", type=2, i=-1), "group"),
    (attribute(2, "kernel_shape", type=7, ints=[HUGE] * 2), "does not fit"),
    (attribute(0, "auto_pad", type=3, s=b"\xff\xfe"), "damaged"), (attribute(4, "alpha", type=1, f=float("nan")), None),
    (lambda made: made.graph.node[0].attribute.add(name="strides", type=7), "has an attribute twice"),
    (before_all("ConstantOfShape", ["sizes"]), r"node 'first' \(ConstantOfShape\): that op is not known"),
    (before_all("Expand", ["x", "sizes"]), "that op is not known"), (before_all("Pad", ["x", "sizes"]), "not known"),
    (before_all("Tile", ["x", "sizes"]), "not known"), (before_all("Reshape", ["x"], shape=[HUGE, HUGE]), "reshape"),
    (before_all("Constant", []), r"\(Constant\) has the attributes \[\]"),
    (before_all("Constant", [], value_ints=[1], value_int=1), "known is one of value"),
    (before_all("Constant", [], value=onnx.TensorProto(dims=[HUGE], data_type=1)), r"\(2147483648,\), and has 0"),
    (before_all("Constant", [], value_string="rm"), "known is one of"), (before_all("If", ["x"]), "not known"),
    (nested, "not known|damaged"),
]


def refused(data, folder, *words):
    """What ``models.load`` says: one line that names the file, and no more memory than the file and some pictures'."""
    path = folder / "net.onnx"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        models.load(path, variant="torchvision")
        return None
    except WeightsError as error:
        said = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * len(data) + (100 << 20)
    assert said.startswith(f"cannot load {path}: ")
    assert "\n" not in said
    assert len(said) < 1000
    return said


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory):
    """What is compiled for it is not counted."""
    OnnxNet(read_onnx(saved(net(), tmp_path_factory.mktemp("good"))))


def test_the_good_one_is_read(tmp_path):
    assert refused(net().SerializeToString(), tmp_path) is None


@pytest.mark.parametrize("spoil, match", SPOILT, ids=[str(i) for i in range(len(SPOILT))])
def test_files_that_lie(spoil, match, tmp_path):
    said = refused(put(net(), spoil), tmp_path)
    assert match is None or re.search(match, said), said


@pytest.mark.parametrize("data", [
    b"", b"\x00", b"GIF89a, and no network at all", b"\xff" * 40, b"PK\x03\x04", field(7, b""), field(7, b"\xff"),
    varint(7 << 3 | 2) + varint(2**31) + b"abc", deeper_than_a_stack(), b"\x3a" * 5000,
], ids=lambda data: repr(data[:8]))  # fmt: skip
def test_files_of_another_kind(data, tmp_path):
    assert refused(data, tmp_path)


@pytest.mark.parametrize("seed", range(60))
def test_spoilt_files_are_refused_or_read(seed, tmp_path):
    made = net(as_inputs=bool(seed % 2), typed=seed % 4 > 1)
    refused(spoilt(made.SerializeToString(), np.random.default_rng(seed)), tmp_path)


def test_a_file_that_is_not_there_or_no_package(tmp_path):
    with pytest.raises(WeightsError, match=r"cannot load .*gone\.onnx: No such file"):
        models.load(tmp_path / "gone.onnx", variant="torchvision")
    with pytest.raises(FileNotFoundError):
        read_onnx(tmp_path / "gone.onnx")
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(NotOnnx, match="it holds no graph of ONNX"):
        read_onnx(tmp_path / "net.onnx")
    program = ("import sys; sys.modules['onnx'] = None; from minicnn.__main__ import main; "
               f"main(['classify', 'x.png', '--weights', {str(tmp_path / 'net.onnx')!r}])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=os.environ)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert 'reading ONNX needs the package onnx' in done.stderr
    assert 'pip install "minicnn[onnx]"' in done.stderr
