"""Networks as ONNX give what they give here: judged by the reference of the onnx package, and by onnxruntime."""

import json

import numpy as np
import pytest
from helpers import normal

from minicnn import Tensor, models, nn, no_grad
from minicnn.models.onnx_export import write_onnx

onnx = pytest.importorskip("onnx", reason="pip install onnx")


@pytest.fixture(scope="module")
def images():
    return {n: normal(3, 3, n, n).astype(np.float32) * 40 + np.float32([30, 0, -30]).reshape(3, 1, 1)
            for n in (224, 227)}  # fmt: skip


def network(variant, **settings):
    """One whose biases and normalisations count."""
    net = models.alexnet(variant, 5, width=0.05, generator=np.random.default_rng(3), **settings)
    with no_grad():
        for i, (name, parameter) in enumerate(net.named_parameters()):
            if name.endswith("bias"):
                parameter[...] = normal(*parameter.shape, seed=i) / 5
    net.eval()
    return net


def right(net, x):
    with no_grad():
        return net(Tensor(np.ascontiguousarray(x))).numpy()


def reference(path):
    """The evaluator of the onnx package, with LRN as ONNX defines it: its own leaves out the last map of a window."""
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class LRN(OpRun):
        def _run(self, x, alpha=None, beta=None, bias=None, size=None):
            squares = np.pad(x * x, ((0, 0), (size // 2, size // 2), (0, 0), (0, 0)))
            total = sum(squares[:, i : i + x.shape[1]] for i in range(size))
            return ((x / (bias + alpha / size * total) ** beta).astype(x.dtype),)

    return ReferenceEvaluator(str(path), new_ops=[LRN]).run


@pytest.mark.parametrize("variant", models.VARIANTS)
@pytest.mark.parametrize("judge", ["reference", "onnxruntime"])
def test_every_variant_says_there_what_it_says_here(variant, judge, images, tmp_path):
    net, path = network(variant), tmp_path / "net.onnx"
    write_onnx(net, path, {})
    if judge == "reference":
        run = reference(path)
    else:
        run = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"]).run
    for n in (1, 3) if judge == "onnxruntime" else (1,):
        x = images[net.pixels][:n]
        logits, probabilities = run(["logits", "probabilities"], {"images": x})
        expected = right(net, x)
        assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
        turned, = run(["logits"], {"images": np.ascontiguousarray(x[:, ::-1])})
        assert np.abs(turned - expected).max() > 1e-3 * np.abs(expected).max()


def test_dropout_that_is_not_inverted_is_a_factor(images, tmp_path):
    net, path = network("paper", inverted_dropout=False), tmp_path / "net.onnx"
    write_onnx(net, path, {})
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits, = session.run(["logits"], {"images": images[224]})
    expected = right(net, images[224])
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()


def test_labels_and_preprocessing_are_metadata(tmp_path):
    net, path = network("caffe"), tmp_path / "net.onnx"
    write_onnx(net, path, {"classes": ["Katze", "ein „Hund“"], "preprocessing": {"channels": "BGR"}})
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    said = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert said == {"classes": ["Katze", "ein „Hund“"], "preprocessing": {"channels": "BGR"}}
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["N", 3, 227, 227]
    assert (model.producer_name, model.opset_import[0].version) == ("minicnn", 17)


def test_a_layer_that_cannot_be_written_leaves_no_file(tmp_path):
    net = network("paper")
    net.a.conv3.layers.append(nn.Sequential())
    with pytest.raises(TypeError, match="there is no way to write Sequential"):
        write_onnx(net, tmp_path / "net.onnx", {})
    assert not list(tmp_path.iterdir())
