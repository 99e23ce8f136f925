"""The trace: what it says of a step is what the engine did, and it leaves the engine as it was."""

import base64
import io
import json
import re

import numpy as np
import pytest
from helpers import normal
from PIL import Image

import minicnn
from minicnn import Tensor, cpu, models, ops
from minicnn.engine.observers import observers


def step_of(net, batch=2):
    loss = ops.cross_entropy(net(normal(batch, 3, 224, 224).astype(np.float32)), np.arange(batch))
    loss.backward()
    return loss


@pytest.fixture(scope="module")
def alexnet():
    minicnn.manual_seed(0)
    return models.alexnet(width=1 / 16, classes=10, devices=(cpu(0), cpu(1)))


@pytest.fixture(scope="module")
def traced(alexnet):
    alexnet.zero_grad()
    ops.ledger.clear()
    with minicnn.trace(alexnet) as t:
        loss = step_of(alexnet)
    return t, loss, ops.ledger.total()


def test_steps_are_told_in_order_with_their_numbers():
    x, w = Tensor(normal(2, 3), requires_grad=True), Tensor(normal(2, 3, seed=1), requires_grad=True)
    with minicnn.trace() as t:
        y = x * w
        z = y.relu().sum()
        z.backward()
    assert [(s.way, s.op) for s in t.steps] == [
        ("forward", "multiply"), ("forward", "relu"), ("forward", "sum"),
        ("backward", "sum"), ("backward", "relu"), ("backward", "multiply"), ("backward", "multiply"),
    ]  # fmt: skip
    multiply, relu, total = t.steps[:3]
    assert (multiply.inputs, relu.inputs, total.inputs) == ([-1, -1], [multiply.node], [relu.node])
    assert [s.inputs for s in t.steps[3:]] == [[relu.node], [multiply.node], [-1], [-1]]
    assert multiply.shape == (2, 3)
    assert multiply.device == repr(x.device)
    assert multiply.dtype == "float64"
    assert multiply.where.startswith("test_trace.py:")
    assert multiply.norm == pytest.approx(np.linalg.norm(y.numpy()))
    assert (multiply.mean, multiply.least, multiply.most) == pytest.approx(
        (y.numpy().mean(), y.numpy().min(), y.numpy().max()))  # fmt: skip
    assert relu.zeros == np.mean(y.numpy() <= 0)
    assert sorted(s.norm for s in t.steps[-2:]) == pytest.approx(sorted(np.linalg.norm(v.grad.numpy()) for v in (x, w)))
    assert all(s.seconds > 0 for s in t.steps)
    assert all(s.where.startswith("test_trace.py:") for s in t.steps)


def test_of_alexnet_every_layer_parameter_and_byte_is_told(traced, alexnet):
    t, loss, moved = traced
    forward = [s for s in t.steps if s.way == "forward"]
    names = [s.name for s in forward if s.name]
    assert names[0] == "a.conv1.0"
    assert len(set(names)) == len(names) == sum(1 for _, m in alexnet.named_modules() if not list(m.children()))
    assert {s.name for s in t.steps if s.inputs == [-1] and s.way == "backward"} == {
        name for name, _ in alexnet.named_parameters()}  # fmt: skip
    for name, parameter in alexnet.named_parameters():
        norms = [s.norm for s in t.steps if s.name == name]
        assert norms == [pytest.approx(np.linalg.norm(parameter.grad.numpy()), rel=1e-5)]
    assert sum(s.moved for s in t.steps) == moved > 0
    assert forward[-1].norm == pytest.approx(loss.item())
    assert {s.device for s in t.steps if s.name.startswith("b.")} == {"cpu(1)"}


def test_what_the_graph_keeps_is_let_go_backwards_and_is_what_the_ops_need(traced):
    steps = traced[0].steps
    assert sum(s.kept for s in steps) == sum(s.freed for s in steps) > 0
    assert steps[0].kept == 0  # of images and weights: they would be there without it
    relu = next(s for s in steps if s.op == "relu")
    assert relu.kept == 4 * np.prod(relu.shape)  # its output, which LRN keeps too
    norm = next(s for s in steps if s.op == "local_response_norm")
    assert norm.kept == 0
    pool = next(s for s in steps if s.op == "max_pool2d")
    assert pool.kept == np.prod(pool.shape)  # the winners, of 8 bits


def test_a_graph_made_before_is_known_by_its_gradients(alexnet):
    alexnet.zero_grad()
    loss = ops.cross_entropy(alexnet(normal(1, 3, 224, 224).astype(np.float32)), [3])
    with minicnn.trace() as t:
        loss.backward()
    assert {s.way for s in t.steps} == {"backward"}
    assert t.steps[0].op == "cross_entropy"
    assert t.steps[0].inputs == [t.steps[1].node]


def test_nothing_is_changed_and_nothing_stays(alexnet):
    def gradients(traced):
        alexnet.zero_grad()
        alexnet.load_state_dict(state)
        if traced:
            with minicnn.trace(alexnet):
                step_of(alexnet)
        else:
            step_of(alexnet)
        return [p.grad.numpy().tobytes() for p in alexnet.parameters()]

    state = alexnet.state_dict()
    assert gradients(True) == gradients(False)
    assert not observers
    with pytest.raises(ZeroDivisionError), minicnn.trace() as t:
        raise ZeroDivisionError
    assert not observers
    (Tensor([1.0]) * 2).sum()
    assert t.steps == []


def test_numbers_that_are_none(tmp_path):
    with minicnn.trace() as t:
        Tensor([np.nan, np.inf]) * 2
        Tensor(np.zeros((0, 3))) * 2
    assert np.isnan(t.steps[0].norm)
    assert t.steps[1].shape == (0, 3)
    t.to_html(tmp_path / "page.html")
    assert data_of(tmp_path / "page.html")["steps"][0]["norm"] is None


def test_the_table(traced):
    lines = str(traced[0]).splitlines()
    assert lines[0].split() == ["step", "way", "op", "name", "where", "shape", "device", "ms", "norm", "kept", "freed",
                                "moved"]  # fmt: skip
    assert len(lines) == len(traced[0].steps) + 2
    assert re.match(r" *0  forward +conv2d +a\.conv1\.0 +test_trace\.py:\d+ +2 × 3 × 55 × 55 +cpu\(0\)", lines[1])
    assert lines[-1].split()[0] == "all"


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)[1])


def test_the_page_needs_nothing_else(traced, tmp_path):
    page = tmp_path / "page.html"
    traced[0].to_html(page)
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="|url\(|@import|fetch\(|https?://(?!www\.w3\.org/2000/svg)', text)
    data = data_of(page)
    assert [s["norm"] for s in data["steps"]] == [s.norm for s in traced[0].steps]
    assert "y[n, k, p, q]" in data["formulas"]["conv2d"]
    picture = Image.open(io.BytesIO(base64.b64decode(data["steps"][0]["picture"])))
    assert picture.size == (57, 57)  # 3 channels of 55 pixels, every second one, two by two and a line between


def test_a_page_of_nothing_is_refused(tmp_path):
    with minicnn.trace() as t:
        pass
    with pytest.raises(ValueError, match="nothing was traced"):
        t.to_html(tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
