"""python -m minicnn gradcheck: one line for each op, layer and network, and a status that a script can rely on."""

import importlib.util
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minicnn import ops
from minicnn.__main__ import main
from minicnn.engine.op import op
from minicnn.gradcheck.suite import CASES, case
from minicnn.models import VARIANTS
from minicnn.models.differences import FACTS


@op
def careless(x):
    return x * x, lambda gy: -2 * x * gy


@pytest.mark.parametrize("case", CASES, ids=[f"{c.op} {c.settings} {c.given}" for c in CASES])
def test_every_case_is_right(case):
    assert case.run().error < 1e-6


def test_every_op_and_every_layer_has_a_case():
    names = {c.op for c in CASES}
    rounding = {"half", "float"}  # goes in steps, of which no difference shows the slope: see test_precision.py
    assert set(ops.__all__) - {"ledger"} - rounding <= names
    assert {"nn.Conv2d", "nn.Linear", "nn.LocalResponseNorm", "nn.MaxPool2d", "nn.ReLU", "alexnet"} <= names


def test_the_table_has_a_line_for_each_case(capsys):
    assert main(["gradcheck", "relu", "linear"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["op", "settings", "inputs", "error", "time", "verdict"]
    rows = [line for line in lines if line.startswith(("relu", "linear"))]
    assert len(rows) == 3
    assert all(row.endswith("right") for row in rows)
    assert lines[-1] == "3 of 3 right"


def test_what_is_wrong_is_explained_and_the_status_says_so(capsys, monkeypatch):
    wrong = case(careless, np.arange(3.0), op="relu")
    monkeypatch.setattr(importlib.import_module("minicnn.gradcheck.suite"), "CASES", [wrong, *CASES])
    assert main(["gradcheck", "relu"]) == 1
    out = capsys.readouterr().out
    assert "WRONG" in out
    assert "Verdict: wrong sign" in out
    assert out.endswith("1 of 2 right\n")


def test_an_op_that_is_not_there_is_named_in_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["gradcheck", "conv3d"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert f"there is no case for conv3d: choose from {', '.join(sorted({case.op for case in CASES}))}" in said
    assert said.count("\n") == 1


def test_variants_are_told_apart_fact_by_fact(capsys):
    assert main(["variants"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in VARIANTS)
    assert all(f"\n{fact}\n" in f"\n{said}" for fact in FACTS)
    assert re.search("^  torchvision +61,100,840  PyTorch docs", said, re.MULTILINE)


def test_the_walkthrough_lists_its_chapters(capsys):
    assert main(["walkthrough"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Chapter 0: a net that learns.")
    assert lines[-1].endswith("python examples/walkthrough/01_one_number.py")


@pytest.mark.parametrize("number, match", [("99", "there is no chapter 99: choose from 0 to"),
                                           ("x", "'x' is not a whole number"), ("-1", "-1 is out of range")])
def test_a_chapter_that_is_none_is_one_line(number, match, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["walkthrough", number])
    assert exit.value.code == 2
    said = capsys.readouterr().err
    assert match in said
    assert said.count("\n") == 1


def test_without_marimo_a_page_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        main(["walkthrough", "1"])
    assert 'pip install -e ".[walkthrough]"' in capsys.readouterr().err


def test_a_page_needs_only_what_a_page_takes(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "latex2mathml" else name)
    monkeypatch.setattr(subprocess, "run", lambda command, check: subprocess.CompletedProcess(command, 0))
    assert main(["walkthrough", "1"]) == 0
    with pytest.raises(SystemExit):
        main(["walkthrough", "1", "--book", str(tmp_path / "book")])
    assert 'pages need marimo and latex2mathml: pip install -e ".[walkthrough]"' in capsys.readouterr().err


@pytest.mark.processor
@pytest.mark.parametrize("command", [["-m", "minicnn", "walkthrough"], ["examples/walkthrough/01_one_number.py"]],
                         ids=["the list", "a chapter"])  # fmt: skip
def test_piped_into_head_it_ends_without_a_word(command):
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, *command], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.close()
        assert b"Traceback" not in run.stderr.read()
        assert run.wait() == -signal.SIGPIPE
