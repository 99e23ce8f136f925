"""examples/train_cifar10.py, as a user runs it, on a few small pictures."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from minicnn import checkpoint
from minicnn.data.cifar import Small
from minicnn.models.cuda_convnet import CUDA_CONVNETS

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPT = EXAMPLES / "train_cifar10.py"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(EXAMPLES))
    try:
        import train_cifar10

        yield train_cifar10
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six pictures of each of two classes, that a net of any kind tells apart: one is bright above, one below."""
    root, random = tmp_path_factory.mktemp("data"), np.random.default_rng(1)
    for part, count in (("train", 6), ("test", 3)):
        for label in ("above", "below"):
            (root / part / label).mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 100, (32, 32, 3), np.uint8)
                pixels[slice(16) if label == "above" else slice(16, None)] += 150
                Image.fromarray(pixels).save(root / part / label / f"{i}.png")
    return root


@pytest.fixture
def run(script, monkeypatch, capsys):
    """Runs the script in this process, which has imported and compiled all: (its status, what it printed)."""

    def ran(folder, *arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as ended:
            sys.exit(script.main())
        status, said = ended.value.code, capsys.readouterr()
        words = f"{status}\n" * isinstance(status, str)
        return SimpleNamespace(returncode=1 if words else status or 0, stdout=said.out, stderr=said.err + words)

    return ran


def in_a_process(folder, *arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], cwd=folder, capture_output=True, text=True)


def lines(run_folder):
    return [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]


def test_a_run_that_is_stopped_goes_on_to_the_same_end(tmp_path, data, run):
    asked = [data, "--net", "layers-19pct-translations", "-b", 4, "--seed", 3]
    whole = run(tmp_path, *asked, "--epochs", 2, "-o", "whole")
    assert whole.returncode == 0, whole.stderr
    assert "layers-19pct-translations, 80,482 parameters on cpu(0), 12 training and 6 test pictures of 2 classes" in (
        whole.stdout)  # fmt: skip
    assert "the authors" not in whole.stdout, "these are other pictures"
    assert "by the mean of 9 parts of each picture" in whole.stdout
    log = lines(tmp_path / "whole")
    assert [line["epoch"] for line in log if "val_loss" in line] == [1, 2]
    assert log[-1]["views"] == 9
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert (config["net"], config["epochs"], config["batch_size"], config["lr"]) == (
        "layers-19pct-translations", 2, 4, 0.001)  # fmt: skip
    assert run(tmp_path, *asked, "--epochs", 1, "-o", "parts").returncode == 0
    resumed = in_a_process(tmp_path, "--resume", "parts", "--epochs", 2)  # which knows what the files say, no more
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed after 3 steps, in epoch 2 of 2" in resumed.stdout
    assert "There is nothing to do: epochs are counted in all, 2 are done" in run(tmp_path, "--resume", "parts").stdout
    assert run(tmp_path, "--resume", "parts", "--epochs", 3, "--lr", 0.5, "-o", "more").returncode == 0
    assert [line["lr"] for line in lines(tmp_path / "more") if line.get("epoch") == 3 and "loss" in line] == [0.5] * 3
    assert not [line for line in lines(tmp_path / "parts") if line.get("epoch") == 3]
    ends = [checkpoint.load(tmp_path / name / "last.safetensors")[0] for name in ("whole", "parts")]
    assert ends[0].keys() == ends[1].keys()
    for name in ends[0]:
        np.testing.assert_array_equal(ends[0][name], ends[1][name], err_msg=name)


@pytest.mark.parametrize(("arguments", "status", "words"), [
    ([], 2, "DATA is missing: CIFAR-10 is at www.cs.toronto.edu/~kriz/cifar.html"),
    (["nowhere"], 1, "nowhere"), (["DATA", "--net", "layers-20pct"], 2, "invalid choice"),
    (["DATA", "--device", "foo"], 2, "there is no device 'foo': write cpu, cpu:1, cuda or cuda:0"),
    (["DATA", "--epochs", "0"], 2, "0 is out of range"), (["--resume", "nowhere"], 1, "nowhere"),
])  # fmt: skip
def test_mistakes_take_one_line(tmp_path, data, arguments, status, words):
    ended = in_a_process(tmp_path, *(data if word == "DATA" else word for word in arguments))
    assert (ended.returncode, ended.stderr.count("\n")) == (status, 1), ended.stderr
    assert words in ended.stderr


def test_classes_that_differ_and_pictures_that_cannot_be_read(tmp_path, data, run):
    shutil.copytree(data, tmp_path / "own")
    (tmp_path / "own" / "train" / "above" / "0.png").write_bytes(b"none")
    ended = run(tmp_path, "own", "--net", "layers-80sec", "--epochs", 1, "-b", 8, "-o", "run")
    assert ended.returncode == 0, ended.stderr
    assert "above/0.png" in ended.stderr and "1 pictures could not be read and were left out" in ended.stderr
    assert "11 training and 6 test pictures" in ended.stdout
    (tmp_path / "own" / "test" / "above").rename(tmp_path / "own" / "test" / "other")
    ended = run(tmp_path, "own", "--epochs", 1)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "other" in ended.stderr


def test_pictures_that_are_others_when_a_run_goes_on_are_said(tmp_path, data, script, run):
    """In mid-epoch it starts anew; and what is kept as the best is measured on the test pictures that there are now."""
    shutil.copytree(data, tmp_path / "own")
    assert run(tmp_path, "own", "--epochs", 1, "-b", 4, "--seed", 1, "-o", "run").returncode == 0
    best = tmp_path / "run" / "best.safetensors"
    arrays, facts = checkpoint.load(best)
    same = run(tmp_path, "--resume", "run", "--epochs", 2, "-o", "same").stdout
    assert "pictures are not those" not in same and " was " not in same
    facts["progress"] |= {"best": 1.0, "best_loss": 0.0}  # of other pictures
    checkpoint.save(best, arrays, facts)
    (tmp_path / "own" / "train" / "above" / "0.png").unlink()
    (tmp_path / "own" / "test" / "above" / "0.png").unlink()
    last = checkpoint.load(tmp_path / "run" / "last.safetensors")
    last[1]["progress"] |= {"place": 4, "batch": 1}
    checkpoint.save(tmp_path / "run" / "last.safetensors", *last)
    ended = run(tmp_path, "--resume", "run", "--epochs", 2, "-b", 3, "--lr", 0.002)
    assert ended.returncode == 0, ended.stderr
    for words in ("the training pictures are not those of the checkpoint", "this epoch starts anew",
                  "the test pictures are not those of the checkpoint", "--batch-size was 4 and is 3",
                  "--lr was 0.001 and is 0.002", " on these pictures, and had 100.0%"):
        assert words in ended.stdout, words
    assert [line["lr"] for line in lines(tmp_path / "run") if line.get("epoch") == 2 and "loss" in line] == [0.002] * 4
    measured = checkpoint.load(best)[1]["progress"]["best"]
    assert measured < 1 or checkpoint.load(best)[1]["progress"]["best_loss"] > 0
    assert measured == checkpoint.load(tmp_path / "run" / "last.safetensors")[1]["progress"]["best"]


def test_a_test_that_was_stopped_is_done_when_the_run_goes_on(tmp_path, data, script, monkeypatch, run):
    def stopped(*given):
        raise KeyboardInterrupt

    begun = [data, "--net", "layers-19pct-translations", "--epochs", 1, "-b", 4, "-o", "run"]
    for epochs, given in ((1, begun), (2, ["--resume", "run", "--epochs", 2])):
        with monkeypatch.context() as patch:
            patch.setattr(script, "evaluate", stopped)
            ended = run(tmp_path, *given)
        assert (ended.returncode, ended.stderr) == (
            130, "stopped; what was learned is saved: --resume tests it again\n")  # fmt: skip
        ended = run(tmp_path, "--resume", "run")
        last = lines(tmp_path / "run")[-1]
        assert (ended.returncode, last["views"], last["epoch"]) == (0, 9, epochs)
        assert "its epochs are done; what is missing is its test by several parts of each picture" in ended.stdout
        assert "test error" in ended.stdout and "by the mean of 9 parts of each picture" in ended.stdout
        assert "There is nothing to do" in run(tmp_path, "--resume", "run").stdout


def test_a_resumed_run_keeps_its_net(tmp_path, data, run):
    assert run(tmp_path, data, "--net", "layers-80sec", "--epochs", 1, "-b", 8, "-o", "run").returncode == 0
    ended = run(tmp_path, "--resume", "run", "--net", "layers-19pct", "--epochs", 2)
    assert ended.returncode == 1
    assert "--net layers-19pct would be another model: the checkpoint is of layers-80sec: leave it out" in ended.stderr
    arrays, facts = checkpoint.load(tmp_path / "run" / "last.safetensors")
    for changed, words in (({"data": str(tmp_path / "moved")}, "were moved: train_cifar10.py DATA --resume "),
                           ({"net": "layers-11pct"}, "knows no net 'layers-11pct', only layers-80sec, layers-19pct, ")):
        facts["config"] |= changed
        checkpoint.save(tmp_path / "run" / "last.safetensors", arrays, facts)
        ended = run(tmp_path, "--resume", "run", "--epochs", 2)
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
        assert words in ended.stderr


def test_random_parts_and_their_mirror_images(script):
    image = np.arange(3 * 32 * 32).reshape(3, 32, 32)
    rng, seen = np.random.default_rng(0), set()
    for _ in range(2000):
        part = script.translated(image, rng, 24)
        assert part.shape == (3, 24, 24)
        mirrored = part[0, 0, 0] > part[0, 0, -1]
        top, left = divmod(int(part[0, 0, -1 if mirrored else 0]), 32)
        right = image[:, top : top + 24, left : left + 24]
        np.testing.assert_array_equal(part, right[:, :, ::-1] if mirrored else right)
        seen.add((top, left, bool(mirrored)))
    assert len(seen) == 9 * 9 * 2


def test_the_views_of_a_picture(script):
    """Less the middle of the mean image, wherever they are from."""
    random, labels = np.random.default_rng(0), np.arange(5)
    images, mean = random.integers(0, 256, (5, 3, 32, 32), np.uint8), random.normal(size=(3, 32, 32))
    loader = script.Views(Small(images, labels, ["a"]), mean, 2, 24, [(0, 0), (8, 4)])
    batches = list(loader.epoch(0))
    assert (len(loader), loader.crops, [len(own) for _, own in batches]) == (3, 2, [2, 2, 1])
    np.testing.assert_array_equal(np.concatenate([own for _, own in batches]), labels)
    shown = np.concatenate([parts for parts, _ in batches])
    for i in range(5):
        np.testing.assert_array_equal(shown[2 * i], images[i, :, :24, :24] - mean[:, 4:28, 4:28])
        np.testing.assert_array_equal(shown[2 * i + 1], images[i, :, 8:, 4:28] - mean[:, 4:28, 4:28])


@pytest.mark.parametrize("net", ["layers-19pct", "layers-19pct-translations"])
def test_the_mean_is_taken_and_the_rate_falls(tmp_path, data, script, monkeypatch, net):
    """What comes to the net is less the mean of training, also in the test; of a part less the middle of it."""
    seen, border = [], 4 * (net == "layers-19pct-translations")
    monkeypatch.setattr(script.Trainer, "fit", lambda self, epochs: (_ for _ in ()).throw(ValueError("enough")))
    monkeypatch.setattr(script.Trainer, "__init__", lambda self, *given, **more: (seen.append((given, more)), setattr(
        self, "folder", tmp_path))[0])  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["train_cifar10.py", str(data), "--net", net, "--seed", "1", "-o",
                                      str(tmp_path / "run")])  # fmt: skip
    with pytest.raises(SystemExit):
        script.main()
    (step, schedule, training, test, _), more = seen[0]
    shown = np.concatenate([images for images, _ in training.epoch(0)])
    inside = slice(border, 32 - border)
    mean = more["extras"][0]["mean"][:, inside, inside]
    if border:
        assert training.images.dtype == np.uint8  # parts of these come, less the mean
        assert np.abs(shown + mean - np.round(shown + mean)).max() < 1e-3 and np.ptp(shown) > 50
    else:
        assert np.abs(shown.mean(0)).max() < 1e-3 < np.abs(shown).max()
    first = next(test.epoch(0))[0][0] + mean
    pixels = np.asarray(Image.open(data / "test" / "above" / "0.png")).transpose(2, 0, 1)[:, inside, inside]
    np.testing.assert_allclose(first, pixels, atol=1e-3)
    assert (schedule.drops, schedule.lr, step.optimiser.bias_lr) == (
        CUDA_CONVNETS[net].recipe.drops, 0.001, 2.0)  # fmt: skip
    assert training.batch_size == 128 and training.train and not test.train
