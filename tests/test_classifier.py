"""A trained network is asked: pictures of every kind, as it was shown its own, and the way they come."""

import tarfile

import numpy as np
import pytest
from helpers import normal
from PIL import Image
from test_saved import FACTS, STATISTICS
from test_weights import as_caffe, as_torchvision, by_caffe, by_torchvision, close, layers_of
from weights_of_others import blob, caffe_net, torch_archive

from minicnn import Tensor, checkpoint, cpu, no_grad
from minicnn.checkpoint import CheckpointError
from minicnn.data import BadPicture, central_crops, read_picture
from minicnn.data.sources import image_set
from minicnn.models import RECIPES, alexnet
from minicnn.models.classifier import Answer, load
from minicnn.models.weights import WeightsError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of training whose network answers something else for every picture."""
    net = alexnet("paper", 3, width=0.05, inverted_dropout=False, generator=np.random.default_rng(1))
    arrays = {f"model.{name}": array for name, array in net.state_dict().items()} | STATISTICS.arrays()
    folder = tmp_path_factory.mktemp("run")
    checkpoint.save(folder / "last.safetensors", arrays, FACTS)
    return folder


@pytest.fixture
def files(tmp_path):
    """Three pictures, one of which has an alpha channel, and all of them colours that count."""
    names = ["a.png", "b.jpg", "c.png"]
    for i, (name, mode) in enumerate(zip(names, ("RGB", "RGB", "RGBA"), strict=True)):
        numbers = np.random.default_rng(i).integers(0, 256, (40, 60, len(mode)), np.uint8)
        numbers[..., i] //= 4
        Image.fromarray(numbers, mode).resize((300, 400)).save(tmp_path / name)
    return [tmp_path / name for name in names]


def right(run, files):
    """Softmax of what the network says of the central crops."""
    ask = load(run)
    scale = RECIPES["paper"].scale(STATISTICS.deviation)
    seen = central_crops([read_picture(file) for file in files], STATISTICS, scale)
    with no_grad():
        y = np.exp(ask.net(Tensor(seen)).numpy().astype(np.float64))
    return y / y.sum(1, keepdims=True)


def test_the_most_probable_classes_first(run, files):
    ask, probabilities = load(run), right(run, files)
    assert {name: ask.facts[name] for name in ("classes", "progress")} == {
        name: FACTS[name] for name in ("classes", "progress")}  # fmt: skip
    for file, row, answers in zip(files, probabilities, ask.classify(files), strict=True):
        assert [a.name for a in answers] == [FACTS["classes"][i] for i in np.argsort(-row)]
        np.testing.assert_allclose([a.probability for a in answers], sorted(row)[::-1], rtol=1e-4)
        assert ask.classify(file) == ask.classify(str(file))
        assert [a.name for a in ask.classify(file, top=2)] == [a.name for a in answers[:2]]
    assert isinstance(ask.classify(files[0])[0], Answer)
    assert ask.classify([]) == []
    assert len({tuple(np.round(row, 4)) for row in probabilities}) == 3


def test_images_of_pillows_and_arrays_are_pictures_too(run, files):
    ask = load(run)
    for file in files:
        with Image.open(file) as image:
            assert ask.classify(image) == ask.classify(file)
            if image.mode == "RGB":
                assert ask.classify(np.array(image)) == ask.classify(file)
    grey = np.array(Image.open(files[0]).convert("L"))
    assert ask.classify(grey) == ask.classify(np.stack([grey] * 3, 2))


def test_pictures_in_an_archive(run, files, tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as out:
        for i, file in enumerate(files):
            out.add(file, f"{i % 2}/{file.name}")
    ask = load(run)
    found = {place.name: place for place, _ in image_set(tmp_path / "set.tar").samples}
    assert ask.classify([found[file.name] for file in files]) == ask.classify(files)
    assert ask.classify(found["a.png"]) == ask.classify(files[0])


def test_batches_are_put_together_again(run, files, monkeypatch):
    ask = load(run)
    whole, features = ask.probabilities(files), ask.features(files)
    monkeypatch.setattr("minicnn.models.classifier.AT_ONCE", 2)
    np.testing.assert_allclose(ask.probabilities(files), whole, rtol=1e-5)
    np.testing.assert_allclose(ask.features(files), features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("picture, error, match", [
    (3, TypeError, "a int is no picture"),
    (None, TypeError, "a NoneType is no picture"),
    (np.zeros((4, 4, 3)), ValueError, r"a picture of float64 \(4, 4, 3\): give bytes"),
    (np.zeros((4, 4, 4), np.uint8), ValueError, r"a picture of uint8 \(4, 4, 4\)"),
    (np.zeros((0, 4), np.uint8), ValueError, r"a picture of uint8 \(0, 4\)"),
    (np.zeros(4, np.uint8), ValueError, r"a picture of uint8 \(4,\)"),
])  # fmt: skip
def test_what_is_no_picture_is_refused(picture, error, match, run, tmp_path):
    ask = load(run)
    with pytest.raises(error, match=f"classify: {match}"):
        ask.classify(picture)
    (tmp_path / "x.jpg").write_text("no picture")
    with pytest.raises(BadPicture, match=r"x\.jpg: not a picture"):
        ask.classify(tmp_path / "x.jpg")


def test_features_are_what_the_rows_of_both_towers_give(run, files):
    ask = load(run)
    seen = Tensor(ask.prepare([ask.read(files[0])]), device=cpu(0))
    with no_grad():
        a, b = ask.net.a.conv1(seen).numpy()[0], ask.net.b.conv1(seen).numpy()[0]
    np.testing.assert_array_equal(ask.features(files[0], "conv1"), np.concatenate([a, b]))
    fc7 = ask.features(files)
    assert fc7.shape == (3, 2 * round(2048 * 0.05))
    np.testing.assert_allclose(fc7[1], ask.features(files[1], "fc7"), rtol=1e-4, atol=1e-5)
    with no_grad():
        y = ask.net.fc8(Tensor(fc7[:1], device=cpu(0))).numpy()
        np.testing.assert_allclose(y, ask.net(seen).numpy(), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="there is no row 'fc9': choose one of conv1, conv2"):
        ask.features(files[0], "fc9")


def test_what_is_no_file_of_safetensors_is_told_as_a_checkpoint_is(tmp_path):
    (tmp_path / "text.safetensors").write_text("nothing of the kind")
    with pytest.raises(CheckpointError, match=r"text\.safetensors: it is no checkpoint, or the file is damaged"):
        load(tmp_path / "text.safetensors")


# -- weights of others -------------------------------------------------------------------------------------------------


def probabilities(y):
    y = np.exp(y - y.max(1, keepdims=True))
    return y / y.sum(1, keepdims=True)


def said(ask, files):
    """The logits, of which a softmax may leave nothing but a 1."""
    with no_grad():
        return ask.net(Tensor(ask.prepare([ask.read(file) for file in files]))).numpy()


def assert_colours_count(y, turned):
    """Else who exchanges red and blue would not be seen."""
    assert np.abs(y - turned).max() > 0.01 * np.abs(y).max()


def test_torchvisions_pictures(files, tmp_path):
    """Red, green and blue, by 255, less the mean, over the deviation, 224 pixels, scaled bilinearly."""
    layers, path = layers_of("torchvision"), tmp_path / "w.pth"
    path.write_bytes(torch_archive(as_torchvision(layers)))
    ask = load(path, classes=list("abcdefg"))
    assert ask.facts == {}
    pictures = np.stack([read_picture(file, filter="bilinear") for file in files]).astype(float)[:, 16:240, 16:240]
    seen = (pictures / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    y = by_torchvision(layers, seen.transpose(0, 3, 1, 2))
    close(said(ask, files), y)
    close(ask.probabilities(files), probabilities(y))
    assert {a.name for a in ask.classify(files[0], 7)} == set("abcdefg")
    assert_colours_count(y, by_torchvision(layers, seen.transpose(0, 3, 1, 2)[:, ::-1]))


@pytest.mark.parametrize("given", ["nothing", "a mean"])
def test_caffes_pictures(given, files, tmp_path):
    """Blue, green and red, less the mean, 227 pixels, all of the picture squashed into them."""
    layers, path, mean = layers_of("caffe"), tmp_path / "net.caffemodel", normal(3, 256, 256) * 9 + 110
    path.write_bytes(caffe_net(as_caffe(layers), name="AlexNet"))
    (tmp_path / "mean.binaryproto").write_bytes(blob(mean[None], older=True))
    ask = load(path, mean=tmp_path / "mean.binaryproto" if given == "a mean" else None)
    pictures = np.stack([np.array(_squashed(file)) for file in files])
    seen = pictures[:, :, :, ::-1].transpose(0, 3, 1, 2).astype(float)
    seen -= mean if given == "a mean" else np.reshape([104.00698793, 116.66876762, 122.67891434], (3, 1, 1))
    y = by_caffe(layers, seen[:, :, 14:241, 14:241])
    close(said(ask, files), y)
    assert_colours_count(y, by_caffe(layers, seen[:, ::-1, 14:241, 14:241]))
    assert ask.classify(files[0])[0].name.startswith("class ")


def _squashed(file):
    image = Image.open(file)
    if image.mode == "RGBA":
        image.load()
        small = image.resize((256, 256), Image.Resampling.BILINEAR)
        page = Image.new("RGBA", small.size, (255, 255, 255))
        page.alpha_composite(small)
        return page.convert("RGB")
    return image.resize((256, 256), Image.Resampling.BILINEAR)


def test_what_does_not_belong_together_is_refused(run, tmp_path):
    layers, path = layers_of("torchvision"), tmp_path / "w.pth"
    path.write_bytes(torch_archive(as_torchvision(layers)))
    with pytest.raises(WeightsError, match=r"w\.pth has 7 classes, and 2 names were given"):
        load(path, classes=["a", "b"])
    with pytest.raises(WeightsError, match="knows its variant, classes and mean"):
        load(run, variant="paper")
    for content, match in ((b"no", "cut short|none of Caffe's"), (blob(normal(3, 4, 4)), r"its mean is \(3, 4, 4\)")):
        (tmp_path / "m").write_bytes(content)
        with pytest.raises(WeightsError, match=f"cannot load .*m: .*{match}"):
            load(path, mean=tmp_path / "m")
    with pytest.raises(WeightsError, match=r"cannot load .*gone: No such file"):
        load(path, mean=tmp_path / "gone")
    with pytest.raises(ValueError, match="there is no such file"):
        load(tmp_path / "gone.safetensors")
