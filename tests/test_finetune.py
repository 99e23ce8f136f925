"""What a network starts from that was trained for other classes: it gives the same for the same picture."""

import hashlib

import numpy as np
import pytest
from gpus import gpus, violations  # noqa: F401 - the fixture
from test_saved import FACTS, STATISTICS
from test_weights import as_caffe, as_torchvision, layers_of
from weights_of_others import caffe_net, torch_archive

from minicnn import checkpoint, cpu, cuda, manual_seed, nn
from minicnn.data import central_crops
from minicnn.models import alexnet, classifier
from minicnn.models.finetune import start_from
from minicnn.models.variants import Preprocessing
from minicnn.models.weights import WeightsError, by_layer

PICTURE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8).repeat(32, 0).repeat(32, 1)
PICTURE[..., 0] //= 4  # colours count


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each kind, with random weights of a narrow net."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "torchvision.pth").write_bytes(torch_archive(as_torchvision(layers_of("torchvision"))))
    for name, variant in (("AlexNet", "caffe"), ("CaffeNet", "caffenet"), ("mine", "caffe")):
        (folder / f"{name}.caffemodel").write_bytes(caffe_net(as_caffe(layers_of(variant)), name=name))
    net = alexnet("paper", 3, width=0.05, inverted_dropout=False, generator=np.random.default_rng(1))
    arrays = {f"model.{name}": array for name, array in net.state_dict().items()} | STATISTICS.arrays()
    for name in [name for name in arrays if name.endswith("counter")]:
        arrays[name][1] = 7  # steps
    checkpoint.save(folder / "own.safetensors", arrays, FACTS | {"config": FACTS["config"] | {"scale": 0.25}})
    return folder


def started(start, classes=5, **settings):
    settings = {name: start.config[name] for name in ("width", "inverted_dropout")} | settings
    model = alexnet(start.config["variant"], classes, **settings)
    start.give(model)
    return model


EVERY = ["torchvision.pth", "AlexNet.caffemodel", "CaffeNet.caffemodel", "own.safetensors"]


@pytest.mark.parametrize("name", EVERY)
def test_features_are_those_of_the_trained_network(files, name):
    start, ask = start_from(files / name), classifier.load(files / name)
    model = started(start)
    scale = start.config["scale"]
    new = classifier.Classifier(model, "abcde", lambda ps: central_crops(ps, start.statistics, scale, model.pixels),
                                files / name, Preprocessing(), start.statistics.mean)  # fmt: skip
    for layer in ("conv1", "fc7"):
        right = ask.features(PICTURE, layer)
        assert np.abs(new.features(PICTURE, layer) - right).max() < 1e-4 * np.abs(right).max()
        turned = ask.features(PICTURE[..., ::-1], layer)
        assert np.abs(turned - right).max() > 1e-2 * np.abs(right).max()


@pytest.mark.parametrize("name", EVERY)
def test_weights_are_those_of_the_file_but_for_fc8(files, name):
    manual_seed(3)
    model, net = started(start_from(files / name), classes=50), classifier.load(files / name).net
    found, right = by_layer(model), by_layer(net)
    if name == "torchvision.pth":
        ratio = np.array([0.229, 0.224, 0.225]) * np.mean([1 / 0.229, 1 / 0.224, 1 / 0.225])
        assert np.abs(ratio - 1).max() < 0.014
        np.testing.assert_allclose(found["conv1"][0] * ratio.reshape(3, 1, 1), right["conv1"][0], rtol=1e-5)
        found["conv1"] = right["conv1"][0], found["conv1"][1]
    if name.endswith(".caffemodel"):
        found["conv1"] = found["conv1"][0][:, ::-1], found["conv1"][1]
    weights, biases = found.pop("fc8")
    assert weights.std() == pytest.approx(0.01, rel=0.1)
    assert not biases.any()
    for row, pair in found.items():
        for ours, theirs in zip(pair, right[row], strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=row)
    steps = [array[1] for name, array in model.state_dict().items() if name.endswith("counter")]
    assert steps == [0] * 2 * len(model.towers()), "dropout begins anew"


def test_a_run_keeps_its_statistics_and_its_form(files):
    start = start_from(str(files / "own.safetensors"))
    for name in ("mean", "sigma", "axes"):
        np.testing.assert_array_equal(getattr(start.statistics, name), getattr(STATISTICS, name))
    digest = hashlib.sha256((files / "own.safetensors").read_bytes()).hexdigest()
    assert start.config == {
        "recipe": "finetune", "variant": "paper", "width": 0.05, "inverted_dropout": False, "scale": 0.25,
        "weights": str(files / "own.safetensors"), "weights_sha256": digest[:16]}  # fmt: skip
    assert not any(layer.inverted for layer in started(start).modules() if isinstance(layer, nn.Dropout))


def test_the_mean_of_others_is_that_of_their_colours_in_our_order(files):
    for name, mean, scale in (("torchvision.pth", [0.485 * 255, 0.456 * 255, 0.406 * 255], 1 / 255 / 0.22597),
                              ("AlexNet.caffemodel", [122.67891434, 116.66876762, 104.00698793], 1.0)):  # fmt: skip
        start = start_from(files / name)
        assert start.statistics.mean.shape == (3, 256, 256)
        np.testing.assert_allclose(start.statistics.mean[:, 7, 250], mean, rtol=1e-6)
        np.testing.assert_allclose(start.statistics.mean.std((1, 2)), 0, atol=1e-4)
        assert start.config["scale"] == pytest.approx(scale, rel=1e-4)
        assert start.statistics.sigma.tolist() == [0, 0, 0]


def test_another_variant_or_width_is_refused(files):
    for name, variant, width, words in (
            ("torchvision.pth", "paper", None, r"^variant paper would be another model: .*\.pth is of variant torchvi"),
            ("AlexNet.caffemodel", "caffenet", None, "^variant caffenet would .* is of variant caffe: leave it out"),
            ("own.safetensors", "caffe", None, "^variant caffe would .* is of variant paper: leave it out"),
            ("own.safetensors", None, 1.0, "^width 1.0 would be another model: .* is of width 0.05: leave it out")):
        with pytest.raises(WeightsError, match=words):
            start_from(files / name, variant, width)
    assert start_from(files / "torchvision.pth", "torchvision", 1 / 16).config["width"] == 1 / 16


def test_what_does_not_say_which_alexnet_it_is_can_be_told(files):
    with pytest.raises(WeightsError, match="it calls itself 'mine'"):
        start_from(files / "mine.caffemodel")
    assert start_from(files / "mine.caffemodel", "caffe").config["variant"] == "caffe"


def test_what_is_no_alexnet_is_refused(files, monkeypatch):
    def other(path):
        return classifier.Classifier(nn.Linear(2, 2), "ab", None, path, Preprocessing(), np.zeros((3, 1, 1)))

    monkeypatch.setattr("minicnn.models.finetune.load", other)
    with pytest.raises(WeightsError, match=r"own\.safetensors is no AlexNet of towers and fc8, but a Linear"):
        start_from(files / "own.safetensors")


@pytest.mark.two_gpus
@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("half", [False, True])
def test_the_towers_get_their_weights_where_they_live(files, half):
    start = start_from(files / "own.safetensors")
    right = by_layer(started(start, devices=(cpu(0), cpu(1))))
    model = started(start, devices=(cuda(0), cuda(1)), half=half)
    assert {repr(p.device) for p in model.parameters()} == {"cuda(0)", "cuda(1)"}
    for row, pair in by_layer(model).items():
        if row != "fc8":
            for ours, theirs in zip(pair, right[row], strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=row)
    assert not violations
