"""Files that are no run of training: what they say of their pictures, and what they do not."""

import json
import re
import struct
import tracemalloc

import numpy as np
import pytest
from helpers import normal
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from test_classifier import _squashed, assert_colours_count, files, probabilities, run, said  # noqa: F401 - fixtures
from test_weights import as_torchvision, by_torchvision, close, layers_of
from weights_of_others import spoilt

from minicnn import models, no_grad
from minicnn.data import read_picture
from minicnn.models.classifier import load
from minicnn.models.others import IN_THE_GRAPH, facts_of, read_others
from minicnn.models.variants import Preprocessing
from minicnn.models.weights import WeightsError, read_facts, write_weights

pytestmark = pytest.mark.processor

# -- ONNX --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def onnx_of_others():
    pytest.importorskip("onnx", reason="pip install onnx")
    import onnx_of_others

    return onnx_of_others


@pytest.mark.parametrize("given", ["nothing", "a mean"])
def test_the_pictures_of_bvlcalexnet(given, files, tmp_path, onnx_of_others):  # noqa: F811
    """Blue, green and red, less the mean, 224 pixels, all of the picture squashed into them."""
    from test_onnx_net import by_bvlc
    from weights_of_others import blob

    layers, mean = layers_of("caffe"), normal(3, 256, 256) * 9 + 110
    path = onnx_of_others.saved(onnx_of_others.bvlc_alexnet(layers, 12), tmp_path, "bvlcalexnet-12.onnx")
    (tmp_path / "mean.binaryproto").write_bytes(blob(mean))
    ask = load(path, mean=tmp_path / "mean.binaryproto" if given == "a mean" else None)
    seen = np.stack([np.array(_squashed(file)) for file in files])[:, :, :, ::-1].transpose(0, 3, 1, 2).astype(float)
    seen -= mean if given == "a mean" else np.reshape([104.00698793, 116.66876762, 122.67891434], (3, 1, 1))
    y = by_bvlc(layers, seen[:, :, 16:240, 16:240])
    close(said(ask, files), y)
    close(ask.probabilities(files), probabilities(y))
    assert_colours_count(y, by_bvlc(layers, seen[:, ::-1, 16:240, 16:240]))
    assert [a.name for a in ask.classify(files[0], 1)] == [f"class {y[0].argmax()}"]


def test_features_are_values_of_the_graph(files, tmp_path, onnx_of_others):  # noqa: F811
    ask = load(onnx_of_others.saved(onnx_of_others.bvlc_alexnet(layers_of("caffe")), tmp_path))
    fc7 = ask.features(files, "fc7_2")
    assert fc7.shape == (3, 256)
    np.testing.assert_allclose(ask.features(files[1], "fc7_2"), fc7[1], rtol=1e-4, atol=1e-3)
    assert ask.features(files[0], "conv1_1").shape == (6, 54, 54)
    with no_grad():
        w, b = (ask.net.weights[name].numpy() for name in ("fc8_w_0", "fc8_b_0"))
    close(fc7 @ w.T + b, said(ask, files))
    with pytest.raises(ValueError, match=r"there is no value 'fc7' in this graph: choose one of fc7_1, fc7_2, fc7_3$"):
        ask.features(files[0])


def test_another_graph_needs_a_variant_for_its_pictures(files, tmp_path, onnx_of_others):  # noqa: F811
    nodes = [("GlobalAveragePool", "x", "g", {}), ("Flatten", "g", "f", {}), ("Gemm", "f w", "y", {})]
    w = np.float32(normal(3, 4))
    path = onnx_of_others.saved(onnx_of_others.model(nodes, {"w": w}, ("N", 3, "rows", "columns")), tmp_path)
    with pytest.raises(WeightsError, match=r"cannot load .*net\.onnx: it does not say what its pictures go through: "
                                           "choose the one with whose preprocessing it was taught: blueprint, paper"):
        load(path)
    with pytest.raises(WeightsError, match="there is no variant 'vgg': choose"):
        load(path, variant="vgg")
    ask = load(path, variant="torchvision", classes=list("abcd"))
    pictures = np.stack([read_picture(file, filter="bilinear") for file in files]).astype(float)[:, 16:240, 16:240]
    seen = (pictures / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    close(said(ask, files), seen.mean((1, 2)) @ w)
    assert load(path, variant="caffe").net.shape == (3, 227, 227)


@pytest.mark.parametrize("shape, match", [
    ((1, 1, 28, 28), r"its input is \(1, 1, 28, 28\): pictures are \(N, 3, n, n\)"), ((1, 3, 224, 227), "pictures are"),
    ((1, 3, 299, 299), "n from 128 to 256"), ((1, 3, 224), "pictures are"), ((1, 3, 128, 128), "no classes of a pict"),
    ((1, 3, 1, 224), "pictures are"), ((1, 3, 127, 127), "of whose 256 pixels the middle n are shown"),
])  # fmt: skip
def test_what_takes_no_pictures_or_makes_no_classes(shape, match, tmp_path, onnx_of_others):
    path = onnx_of_others.saved(onnx_of_others.model([("Relu", "x", "y", {})], {}, shape), tmp_path)
    with pytest.raises(WeightsError, match=match):
        load(path, variant="torchvision")


@pytest.mark.parametrize("end", [("Sigmoid", {}), ("Exp", {}), ("Softmax", {"axis": 0})], ids=str)
def test_what_is_no_logits_would_be_wrong_probabilities(end, tmp_path, onnx_of_others):
    nodes = [("GlobalAveragePool", "x", "g", {}), ("Flatten", "g", "f", {}), (end[0], "f", "y", end[1])]
    path = onnx_of_others.saved(onnx_of_others.model(nodes, {}, (1, 3, 128, 128)), tmp_path)
    with pytest.raises(WeightsError, match=f"{end[0]}_2"):
        load(path, variant="torchvision")


# -- what export wrote -------------------------------------------------------------------------------------------------


def exported(path, folder, suffix):
    from minicnn.__main__ import main

    out = folder / f"out{suffix}"
    assert main(["export", str(path), str(out)]) == 0
    return out


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_a_run_that_was_exported_says_the_same(suffix, run, files, tmp_path):  # noqa: F811
    """Of dropout that is not inverted, pixels of its own scale, and a mean picture."""
    if suffix == ".onnx":
        pytest.importorskip("onnx")
    ask, again = load(run), load(exported(run, tmp_path, suffix))
    assert again.classes == ask.classes
    close(said(again, files), said(ask, files))
    close(again.probabilities(files), ask.probabilities(files))
    for given in ({"variant": "paper"}, {"classes": ["a", "b", "c"]}, {"mean": "m"}):
        with pytest.raises(WeightsError, match="was written by minicnn and knows its variant, classes and mean"):
            load(again.path, **given)
    if suffix == ".safetensors":
        again = load(exported(again.path, tmp_path, "2.safetensors"))
        close(said(again, files), said(ask, files))


@pytest.mark.parametrize("variant", models.VARIANTS)
def test_weights_of_every_variant_come_back(variant, tmp_path):
    net = models.alexnet(variant, 4, width=1 / 16, inverted_dropout=False, generator=np.random.default_rng(2)).eval()
    shown = Preprocessing("BGR", 0.5, deviation=(1.0, 2.0, 3.0), fit="squash", filter="bilinear")
    mean = normal(3, net.pixels, net.pixels).astype(np.float32)
    write_weights(net, tmp_path / "w.safetensors", facts_of(list("abcd"), shown, mean))
    found = read_others(tmp_path / "w.safetensors")
    assert (found.net.variant, found.classes, found.shown) == (variant, list("abcd"), shown)
    np.testing.assert_array_equal(found.mean, mean)
    x = normal(2, 3, net.pixels, net.pixels).astype(np.float32)
    with no_grad():
        close(found.net(x).numpy(), net(x).numpy())


def test_what_the_graph_does_with_pixels_is_done_once(files, tmp_path):  # noqa: F811
    pytest.importorskip("onnx")
    from minicnn.models.classifier import _prepared
    from minicnn.models.onnx_export import write_onnx

    net = models.alexnet("caffe", 4, width=1 / 16, generator=np.random.default_rng(2)).eval()
    shown, mean = Preprocessing("BGR", 0.5, None, (1.0, 2.0, 3.0), 256, "squash", "bilinear"), normal(3, 227, 227) * 20
    facts = {"classes": list("abcd"), "preprocessing": shown._asdict() | {"mean": IN_THE_GRAPH}}
    write_onnx(net, tmp_path / "net.onnx", facts, shown, mean)
    with no_grad():
        right = net(_prepared([np.array(_squashed(file)) for file in files], shown, mean, 227)).numpy()
    close(said(load(tmp_path / "net.onnx"), files), right)


def test_pytorch_needs_no_factor_of_dropout(tmp_path):
    """With their names the weights say there what they say here, though dropout there is inverted."""
    net = models.alexnet("torchvision", 4, width=1 / 16, inverted_dropout=False, generator=np.random.default_rng(2))
    write_weights(net.eval(), tmp_path / "w.safetensors", {})
    arrays, x = load_file(tmp_path / "w.safetensors"), normal(2, 3, 224, 224).astype(np.float32)
    layers = {row: (arrays[f"{theirs}.weight"], arrays[f"{theirs}.bias"])
              for row, theirs in models.weights.TORCHVISION.items()}  # fmt: skip
    with no_grad():
        close(net(x).numpy(), by_torchvision(layers, x.astype(float)))


def test_onnx_is_not_exported_again(run, tmp_path, capsys):  # noqa: F811
    pytest.importorskip("onnx")
    from minicnn.__main__ import main

    path = exported(run, tmp_path, ".onnx")
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(path), str(tmp_path / "again.onnx")])
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n")) == (2, 1)
    assert "is ONNX already" in said


# -- spoilt ------------------------------------------------------------------------------------------------------------


def refused(path, match=""):
    """One line that names the file, whatever is wrong, and no more memory than the file and a net's."""
    said = ""
    tracemalloc.start()
    try:
        load(path)
    except ValueError as error:
        said = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2 * path.stat().st_size + (8 << 20)
    assert re.search(match, said), said
    assert not said or (str(path) in said and "\n" not in said)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Our own weights alone, and their facts."""
    path = tmp_path_factory.mktemp("ours") / "w.safetensors"
    net = models.alexnet("paper", 3, width=1 / 48, generator=np.random.default_rng(2))
    write_weights(net, path, facts_of(list("abc"), Preprocessing(), np.ones((3, 1, 1))))
    with safe_open(path, "numpy") as file:
        return load_file(path), file.metadata(), read_facts(path)


@pytest.mark.parametrize("change, match", [
    ({"variant": "lenet"}, "weights are of 'lenet'"),
    ({"variant": ["paper"]}, "what it says of its weights is damaged"),
    ({"variant": "caffe"}, None), ({"variant": "torchvision"}, "it is no AlexNet: conv1"),
    ({"variant": "source2012"}, None), ({"inverted_dropout": 1}, "inverted 1"), ({"width": 2**70}, "width 1180"),
    ({"width": 0.05}, "conv1 is float32"), ({"width": float("nan")}, "width nan"), ({"width": None}, "width None"),
    ({"classes": ["a", "b"]}, "and has 3"),
    ({"classes": [1, 2, 3]}, "it names the classes"), ({"classes": None}, "it names the classes None"),
    ({"preprocessing": None}, "it says of preprocessing None"),
    ({"preprocessing": {"scale": 1}}, "says of preprocessing"),
    ({"scale": 0}, "of preprocessing"), ({"scale": "1e999"}, "of preprocessing"), ({"channels": "RGBA"}, "of preproc"),
    ({"fit": "tile"}, "of preprocessing"), ({"filter": "nearest"}, "of preproc"), ({"deviation": [1, 1]}, "of preproc"),
    ({"deviation": [1, 1, float("nan")]}, "of preprocessing"), ({"side": 2**31}, "of preprocessing"),
    ({"mean": None}, "its mean is damaged"), ({"mean": {"shape": [3, 1, 1], "float32": "????"}}, "its mean is damaged"),
    ({"mean": {"shape": [3, 2**31, 1], "float32": "AAAA"}}, "its mean is damaged, or none of .224, 224. pixels"),
    ({"mean": {"shape": [3], "float32": "AAAAAAAAAAAAAAAA"}}, "its mean is damaged"),
])  # fmt: skip
def test_facts_that_lie(change, match, ours, tmp_path):
    arrays, texts, facts = ours
    inner = {name: value for name, value in change.items() if name in Preprocessing._fields and name != "mean"}
    facts = facts | {name: value for name, value in change.items() if name not in inner}
    facts = facts | {"preprocessing": facts["preprocessing"] | inner} if inner else facts
    save_file(arrays, tmp_path / "w.safetensors", texts | {"minicnn.weights": json.dumps(facts)})
    if match:
        refused(tmp_path / "w.safetensors", match)
    else:  # nets of other rows of the same shapes
        assert load(tmp_path / "w.safetensors").net.variant == change["variant"]


def swapped(name):
    return lambda arrays: arrays | {name: np.ascontiguousarray(arrays[name].T)}


def without(name):
    return lambda arrays: {other: array for other, array in arrays.items() if other != name}


@pytest.mark.parametrize("change, match", [
    (swapped("a.conv1.0.weight"), r"conv1 is \(11, 11, 3, 1\) and \(1, 3, 11, 11\) in its towers"),
    (swapped("fc8.weight"), r"fc8 is float32 \(86, 3\)"), (without("b.fc6.0.weight"), "fc6 lacks weights or biases"),
    (without("fc8.bias"), "fc8 lacks"), (lambda arrays: {}, "lack weights"),
    (lambda arrays: arrays | {"fc8.bias": np.zeros((), np.float32)}, r"fc8 is \(\) in its towers"),
    (lambda arrays: arrays | {"fc8.bias": np.zeros(3, np.int64)}, "fc8 is int64"),
    (lambda arrays: arrays | {"fc8.bias": np.full(3, np.nan, np.float32)}, "fc8 holds numbers that are not finite"),
    (lambda arrays: arrays | {"fc8.weight": np.zeros((0, 86), np.float32), "fc8.bias": np.zeros(0, np.float32)},
     "its last layer has 0 outputs"),
])  # fmt: skip
def test_weights_of_ours_that_are_others(change, match, ours, tmp_path):
    arrays, texts, _ = ours
    save_file(change(dict(arrays)), tmp_path / "w.safetensors", texts)
    refused(tmp_path / "w.safetensors", match)


def header(entries, data=b"", length=None):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ONE = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}


@pytest.mark.parametrize("data", [
    header(ONE, bytes(4), 2**31), header(ONE, bytes(4), 2**63), header(ONE, bytes(4), 5), header(ONE),
    header(b"[" * 9999),
    header({"a": ONE["a"] | {"shape": [2**31]}}, bytes(4)), header({"a": ONE["a"] | {"shape": [2**62, 4]}}, bytes(4)),
    header({"a": ONE["a"] | {"data_offsets": [0, 2**40]}}, bytes(4)),
    header({"a": ONE["a"] | {"shape": [-1]}}, bytes(4)),
    header({"a": ONE["a"] | {"data_offsets": [4, 0]}}, bytes(4)), header({"a": ONE["a"] | {"dtype": "F31"}}, bytes(4)),
    header(ONE | {"__metadata__": {"minicnn.weights": "["}}, bytes(4)),
    header(ONE | {"__metadata__": {"minicnn.weights": "[" * 9999}}, bytes(4)), header(ONE, bytes(4)),
    header(ONE | {"__metadata__": {"minicnn.weights": "1"}}, bytes(4)),
    header(ONE | {"__metadata__": {"minicnn.weights": 1}}, bytes(4)), b"", b"\x00" * 7, b"{}",
], ids=lambda data: repr(data[:20]))  # fmt: skip
def test_headers_that_lie(data, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(data)
    refused(tmp_path / "w.safetensors", "w.safetensors")


@pytest.mark.parametrize("names", ["ours", "theirs"])
@pytest.mark.parametrize("seed", range(15))
def test_spoilt_files_are_refused_or_read(names, seed, ours, tmp_path):
    draw, path = np.random.default_rng(seed), tmp_path / "w.safetensors"
    arrays, texts, _ = ours
    if names == "ours":
        save_file(arrays, path, texts)
    else:
        save_file({name: array[:1] for name, array in as_torchvision(layers_of("torchvision")).items()}, path)
    data = path.read_bytes()
    first = 8 + int.from_bytes(data[:8], "little")
    path.write_bytes(spoilt(data[:first], draw) + data[first:] if seed % 2 else spoilt(data, draw))
    refused(path)


@pytest.mark.parametrize("entries", [
    {"classes": "["}, {"classes": "[" * 9999}, {"preprocessing": "1"}, {"preprocessing": '{"mean": 0}'},
    {"preprocessing": '{"mean": "in the graph"}'}, {"classes": "[1, 2, 3]"}, {"classes": None},
], ids=str)  # fmt: skip
def test_metadata_of_ours_that_lie(entries, run, tmp_path):  # noqa: F811
    onnx = pytest.importorskip("onnx")
    path = exported(run, tmp_path, ".onnx")
    made = onnx.load(path)
    texts = {entry.key: entry.value for entry in made.metadata_props} | entries
    del made.metadata_props[:]
    onnx.helper.set_model_props(made, {name: text for name, text in texts.items() if text is not None})
    path.write_bytes(made.SerializeToString())
    with pytest.raises(WeightsError, match=r"cannot load .*out\.onnx: it"):
        load(path)
