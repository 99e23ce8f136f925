"""Networks of ONNX as other programs write them. Needs the package onnx."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

REAL = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"  # of the model zoo, without their weights


def constant(name, array, typed=False):
    """typed: not as raw bytes."""
    array = np.asarray(array)
    if typed:
        return helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array.ravel())
    return numpy_helper.from_array(array, name)


def model(nodes, constants=(), shape=(1, 3, 8, 8), outputs=("y",), opset=17, as_inputs=False, typed=False, **settings):
    """nodes: (kind, inputs, outputs, attributes), inputs and outputs as "x w b". constants: arrays by name. The input
    is x, of this shape, whose batch may be "N". as_inputs: constants are inputs, too, as before IR 4."""
    made = [helper.make_node(kind, inputs.split(" "), out.split(" "), f"{kind}_{i}", **attributes)
            for i, (kind, inputs, out, attributes) in enumerate(nodes)]  # fmt: skip
    tensors = [constant(name, array, typed) for name, array in dict(constants).items()]
    inputs = [helper.make_tensor_value_info(settings.pop("input", "x"), 1, shape)]
    inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors if as_inputs]
    ends = [helper.make_tensor_value_info(name, 1, settings.pop("ends", None)) for name in outputs]
    graph = helper.make_graph(made, settings.pop("graph", "a net"), inputs, ends, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3 if as_inputs else 8,
                             **settings)  # fmt: skip


def saved(made, folder, name="net.onnx"):
    (folder / name).write_bytes(made.SerializeToString())
    return folder / name


def bvlc_alexnet(layers, opset=9, typed=False):
    """bvlcalexnet-*.onnx with these weights, see ``test_weights.layers_of("caffe")``."""
    weights = {f"{row}_{kind}_0": array for row, pair in layers.items() for kind, array in zip("wb", pair, strict=True)}
    shape = np.array([1, layers["fc6"][0].shape[1]])
    gemm = {"transB": 1} | ({"broadcast": 1} if opset < 7 else {})
    drop = {} if opset >= 12 else {"ratio": 0.5} | ({"is_test": 1} if opset < 7 else {})
    lrn = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}

    def conv(i, x, size, pad=0, stride=1, group=1):
        how = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [pad] * 4} | ({"group": 2} if group > 1
                                                                                          else {})  # fmt: skip
        return [("Conv", f"{x} conv{i}_w_0 conv{i}_b_0", f"conv{i}_1", how), ("Relu", f"conv{i}_1", f"conv{i}_2", {})]

    def pool(x, y, *end):
        return ("MaxPool", x, y, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, *(end or (0, 0))]})

    nodes = [*conv(1, "data_0", 11, stride=4), ("LRN", "conv1_2", "norm1_1", lrn), pool("norm1_1", "pool1_1"),
             *conv(2, "pool1_1", 5, 2, group=2), ("LRN", "conv2_2", "norm2_1", lrn), pool("norm2_1", "pool2_1"),
             *conv(3, "pool2_1", 3, 1), *conv(4, "conv3_2", 3, 1, group=2), *conv(5, "conv4_2", 3, 1, group=2),
             pool("conv5_2", "pool5_1", 1, 1),
             ("Reshape", "pool5_1" + " OC2_DUMMY_1" * (opset >= 5), "OC2_DUMMY_0", {} if opset >= 5 else
              {"shape": shape.tolist()})]  # fmt: skip
    for i, x in ((6, "OC2_DUMMY_0"), (7, "fc6_3")):
        nodes += [("Gemm", f"{x} fc{i}_w_0 fc{i}_b_0", f"fc{i}_1", gemm), ("Relu", f"fc{i}_1", f"fc{i}_2", {}),
                  ("Dropout", f"fc{i}_2", f"fc{i}_3 _fc{i}_mask_1", drop)]  # fmt: skip
    nodes += [("Gemm", "fc7_3 fc8_w_0 fc8_b_0", "fc8_1", gemm), ("Softmax", "fc8_1", "prob_1", {})]
    return model(nodes, weights | {"OC2_DUMMY_1": shape}, (1, 3, 224, 224), ["prob_1"], opset, True, typed,
                 input="data_0", ends=(1, len(layers["fc8"][0])), graph="bvlc_alexnet", producer_name="onnx-caffe2")


def of_the_zoo(name, seed=0):
    """A net of the model zoo, whose weights, of which only the shapes are at hand, are drawn."""
    made, random = onnx.load(REAL / f"light_{name}.onnx"), np.random.default_rng(seed)
    graph, shapes, nodes = made.graph, {}, []
    for tensor in graph.initializer:
        shapes[tensor.name] = numpy_helper.to_array(tensor)
    weights = [constant(name, array) for name, array in shapes.items() if not name.endswith("__SHAPE")]
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            nodes.append(node)
            continue
        shape = tuple(shapes[node.input[0]])
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
        weights.append(constant(node.output[0], np.float32(random.standard_normal(shape) * scale)))
    inputs = [value for value in graph.input if value.name not in shapes]
    for field, now in ((graph.node, nodes), (graph.initializer, weights), (graph.input, inputs)):
        del field[:]
        field.extend(now)
    return made
