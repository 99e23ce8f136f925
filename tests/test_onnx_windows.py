"""Windows of every size, step, padding and rounding against onnxruntime and PyTorch."""

import numpy as np
import pytest
from helpers import normal
from hypothesis import assume, given
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx", reason="pip install onnx")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.processor

from onnx_of_others import model  # noqa: E402
from test_onnx_net import by_onnxruntime, net_of, said  # noqa: E402

TWO = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(kind=st.sampled_from(["Conv", "MaxPool", "AveragePool"]), image=st.tuples(st.integers(1, 9), st.integers(1, 9)),
       size=TWO, strides=TWO, pads=st.tuples(*[st.integers(0, 3)] * 4), ceil=st.integers(0, 1),
       auto_pad=st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]), counted=st.integers(0, 1))
def test_windows(kind, image, size, strides, pads, ceil, auto_pad, counted, tmp_path_factory):
    how = {"kernel_shape": size, "strides": strides}
    how |= {"pads": [min(p, r - 1) for p, r in zip(pads, size * 2, strict=True)]} if auto_pad == "NOTSET" else {
        "auto_pad": auto_pad}  # fmt: skip
    around = np.reshape(how.get("pads", [0] * 4), (2, 2)).sum(0)
    # SAME between windows: onnxruntime fails
    assume((np.array(size) >= strides if auto_pad.startswith("SAME") else np.array(image) + around >= size).all())
    if kind != "Conv" and auto_pad == "NOTSET":
        how["ceil_mode"] = ceil
    if kind == "AveragePool" and not how.get("ceil_mode"):
        how["count_include_pad"] = counted
    weights = {"w": normal(2, 3, *size).astype(np.float32)} if kind == "Conv" else {}
    made = model([(kind, "x w" if weights else "x", "y", how)], weights, ("N", 3, *image), opset=19)
    folder, x = tmp_path_factory.mktemp("windows"), normal(2, 3, *image).astype(np.float32)
    y = said(net_of(made, folder), x)
    right = by_onnxruntime(folder / "net.onnx", x, "y")
    np.testing.assert_allclose(y, right.reshape(y.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", [0, 1])
def test_rounding_up_is_pytorchs(padding, tmp_path):
    torch = pytest.importorskip("torch")
    for n in range(4, 12):
        x = torch.from_numpy(normal(2, 3, n, n + 1).astype(np.float32))
        how = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [padding] * 4, "ceil_mode": 1}
        for kind, function in (("MaxPool", torch.nn.functional.max_pool2d),
                               ("AveragePool", lambda *given: torch.nn.functional.avg_pool2d(*given, False))):
            right = function(x, 3, 2, padding, 1, True) if kind == "MaxPool" else function(x, 3, 2, padding, True)
            y = said(net_of(model([(kind, "x", "y", how)], {}, (1, 3, n, n + 1)), tmp_path), x.numpy())
            np.testing.assert_allclose(y, right.numpy(), rtol=1e-5, atol=1e-6)
