"""python -m minicnn export: what comes out says of pictures what the network says here."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_classifier import files, run  # noqa: F401 - fixtures
from test_weights import as_torchvision, layers_of
from weights_of_others import torch_archive

from minicnn import models
from minicnn.__main__ import main
from minicnn.models.weights import read_weights


def test_a_run_as_onnx_takes_pixels(run, files, tmp_path, capsys):  # noqa: F811
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    assert main(["export", str(run), str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: paper, 3 classes\n"
    ask = models.load(run)
    pixels = np.stack([ask.read(file) for file in files])[:, 16:240, 16:240].transpose(0, 3, 1, 2).astype(np.float32)
    (said,) = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["probabilities"],
                                                                                        {"images": pixels})
    np.testing.assert_allclose(said, ask.probabilities(files), atol=1e-5)
    facts = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert facts["classes"] == ask.classes
    assert facts["variant"] == "paper"
    assert (facts["preprocessing"]["channels"], facts["preprocessing"]["crop"]) == ("RGB", 224)


def test_weights_alone_have_torchvisions_names_where_the_net_is_theirs(tmp_path):
    layers = layers_of("torchvision")
    (tmp_path / "w.pth").write_bytes(torch_archive(as_torchvision(layers)))
    assert main(["export", str(tmp_path / "w.pth"), str(tmp_path / "w.safetensors")]) == 0
    found = load_file(tmp_path / "w.safetensors")
    assert found.keys() == as_torchvision(layers).keys()
    for name, array in as_torchvision(layers).items():
        np.testing.assert_array_equal(found[name], array)
    assert read_weights(tmp_path / "w.safetensors").variant == "torchvision"


def test_weights_of_ours_have_our_names(run, tmp_path):  # noqa: F811
    assert main(["export", str(run), str(tmp_path / "w.safetensors")]) == 0
    found = load_file(tmp_path / "w.safetensors")
    for name, parameter in models.load(run).net.named_parameters():
        np.testing.assert_array_equal(found[name], parameter.numpy())


@pytest.mark.parametrize("given, words", [
    (["gone.safetensors", "net.onnx"], "there is no such file"), (["RUN", "net.txt"], "neither .onnx nor .safetensors"),
    (["RUN", "gone/net.onnx"], "there is no folder"), (["RUN", "net.onnx", "--variant", "paper"], "leave them out"),
])  # fmt: skip
def test_mistakes_are_one_line(given, words, run, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["export", *(str(run) if word == "RUN" else word for word in given)])
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n")) == (2, 1)
    assert words in said
    assert not list(tmp_path.iterdir())


def test_without_the_package_one_line_says_what_to_install(run, tmp_path):  # noqa: F811
    program = ("import sys; sys.modules['onnx'] = None; from minicnn.__main__ import main; "
               f"main(['export', {str(run)!r}, {str(tmp_path / 'net.onnx')!r}])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert 'pip install "minicnn[onnx]"' in done.stderr
