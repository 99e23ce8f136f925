"""The chapters of the walkthrough: each runs from top to bottom as a script, with its own asserts, and its exercise is
told wrong as it stands, and as people get it wrong, and right when solved. The glossary has none."""

import argparse
import ast
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_saved import FACTS, STATISTICS
from test_weights import as_caffe, as_torchvision, layers_of
from weights_of_others import caffe_net, torch_archive

import minicnn
from minicnn import checkpoint
from minicnn.__main__ import main
from minicnn.data.shapes import PATTERNS
from minicnn.models import alexnet

FOLDER = Path(__file__).parent.parent / "examples" / "walkthrough"
CHAPTERS = sorted(FOLDER.glob("[0-9]*.py"))
RUN = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
spec = importlib.util.spec_from_file_location("chapter", sys.argv[2])
chapter = importlib.util.module_from_spec(spec)
spec.loader.exec_module(chapter)
_, names = chapter.app.run()
if "start" not in names:
    assert "glossary" in sys.argv[2], "a chapter has an exercise"
    sys.exit()
from page import attempt
from language import in_english
right, told = attempt(names["start"], names["asked"], names["check"])
assert not right, "the exercise is solved before anybody has touched it"
assert "Not yet" in told, told
right, told = attempt(names["answer"], names["asked"], names["check"])
assert right, told
for words, code in names.get("tries", {}).items():
    right, told = attempt(code, names["asked"], names["check"])
    told, words = in_english(told), in_english(words)
    assert not right and told.startswith("Not yet"), f"{words}: {told}"
    assert "Traceback" not in told and ("Python stops" not in told or "Python" in words), f"{words}: {told}"
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Begins a chapter as a script, and the next, so that two cores have work: (status, stdout, stderr)."""
    environment = dict(os.environ) | {"MPLBACKEND": "agg", "PYTHONWARNINGS": "ignore"}
    begun = {}

    def run(chapter):
        i = CHAPTERS.index(chapter)
        for one in CHAPTERS[i : i + 2]:
            if one not in begun:
                command = [sys.executable, "-c", RUN, str(FOLDER), str(one)]
                begun[one] = subprocess.Popen(command, cwd=tmp_path_factory.mktemp("chapter"), env=environment,
                                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        stdout, stderr = begun[chapter].communicate(timeout=300)
        return begun[chapter].returncode, stdout, stderr

    yield run
    for process in begun.values():
        process.kill()
        process.communicate()


@pytest.mark.processor
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_as_a_script_and_its_exercise_can_be_solved(chapter, runs):
    status, stdout, stderr = runs(chapter)
    assert status == 0, stdout[-3000:] + stderr[-3000:]
    assert stdout.startswith(f"# {int(chapter.stem[:2])} · "), "its first line is its title"
    assert not re.search(r"(?m)^\d+[.)] ", stdout), "a line that begins with a number and a point becomes a list"


# chapters, and what stands in their widgets, run by run
OF_11, OF_14 = {"picture_file": "", "label": "3", "entry": ""}, {"before": 4, "behind": 4, "rounded": "up"}
WIDGETS = [
    *((11, OF_11 | {"weights": file}) for file in ("source2012", "caffe.caffemodel", "torchvision.pth")),
    *((13, {"weights": file}) for file in ("source2012", "torchvision.pth")),
    (14, OF_14 | {"pixels": 227, "first": "source2012", "second": "torchvision", "loudness": 2.0, "shape": 0.5}),
]
ASK = """
import functools, importlib.util, sys, types
sys.path.insert(0, sys.argv[1])
@functools.cache
def read(path):
    spec = importlib.util.spec_from_file_location("chapter", path)
    chapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chapter)
    return chapter
for path, widgets in eval(sys.argv[2]):
    read(path).app.run(defs={name: types.SimpleNamespace(value=value) for name, value in widgets.items()})
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Narrow networks, as runs and as weights of others: the names of folders and files."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "torchvision.pth").write_bytes(torch_archive(as_torchvision(layers_of("torchvision"))))
    (folder / "caffe.caffemodel").write_bytes(caffe_net(as_caffe(layers_of("caffe")), name="AlexNet"))
    (folder / "source2012").mkdir()
    net = alexnet("source2012", len(PATTERNS), width=1 / 16, inverted_dropout=False)
    arrays = {f"model.{name}": array for name, array in net.state_dict().items()} | STATISTICS.arrays()
    config = FACTS["config"] | {"variant": "source2012", "recipe": "source2012", "width": 1 / 16}
    checkpoint.save(folder / "source2012" / "last.safetensors", arrays, FACTS | {
        "config": config, "classes": sorted(PATTERNS), "progress": {"epoch": 2, "step": 7}})  # fmt: skip
    return folder


@pytest.mark.processor
def test_what_chapters_say_of_other_weights_and_widgets(trained):
    """A run's folder, of any variant, and others' weights, of one tower or two: the chapters assert what they say."""
    asked = [(str(CHAPTERS[chapter]), widgets) for chapter, widgets in WIDGETS]
    command = [sys.executable, "-W", "ignore", "-c", ASK, FOLDER, repr(asked)]
    run = subprocess.run(command, cwd=trained, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    for words, count in [("There and back", 3), ("This network normalises over both towers", 1), ("after 7 steps", 1),
                         ("came without", 1), (" instead.\n", 0), ("places, rounded up\n**57**", 1)]:  # fmt: skip
        assert run.stdout.count(words) == count, words


@pytest.mark.processor
def test_figure_1_can_be_run_again(tmp_path):
    random = np.random.default_rng(1)
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(3):
            pixels = random.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")

    def run(*arguments):
        command = [sys.executable, FOLDER / "figure_1.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert run(".", "--epochs", "1", "--pictures", "4", "-b", "2").returncode == 0
    lines = (tmp_path / "figure_1.csv").read_text().splitlines()
    assert "# data: 4 pictures of 2 classes" in lines
    table = [line.split(",")[:4] for line in lines[lines.index("activation,seed,lr,epoch,train_error,seconds") + 1 :]]
    for activation, first in (("relu", 0.002), ("tanh", 0.008)):
        tried = list(dict.fromkeys(float(lr) for kind, _, lr, _ in table if kind == activation))
        assert tried[0] == first and len(tried) > 2
        assert all(lr / 2 in tried or lr * 2 in tried for lr in tried)
    again = run(".", "--epochs", "1", "--pictures", "4", "-b", "2")
    assert (again.returncode, again.stdout) == (0, "")  # all of it is there
    told = (tmp_path / "figure_1.csv").read_text().replace("2 classes", "2 classes, drawn by chance")
    (tmp_path / "figure_1.csv").write_text(told)  # what stands behind a comma is only told
    again = run(".", "--epochs", "1", "--pictures", "4", "-b", "2")
    assert (again.returncode, again.stdout) == (0, "")
    for changed in (["--level", "0.35"], ["--epochs", "2"]):
        other = run(".", "--epochs", "1", "--pictures", "4", "-b", "2", *changed)
        said = {"--level": "level: 0.35", "--epochs": "epochs: 2 at most"}[changed[0]]
        assert (other.returncode, other.stderr.count(said)) == (1, 1)
    assert run(".", "--epochs", "1", "--pictures", "4", "-b", "2", "--level", "1", "-o", "at_once.csv").returncode == 0
    ended = (tmp_path / "at_once.csv").read_text().splitlines()
    assert {line.split(",")[3] for line in ended if line.startswith(("relu,", "tanh,"))} == {"0"}
    Image.new("RGB", (40, 40)).save(tmp_path / "train/a/0.png")
    other = run(".", "--epochs", "1", "--pictures", "4", "-b", "2")
    assert (other.returncode, other.stderr.count("this experiment, pictures: ")) == (1, 1)
    wrong = run("nowhere", "-o", "other.csv")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert "nowhere" in wrong.stderr


@pytest.mark.processor
def test_another_table_of_figure_1_is_held_against_the_recorded_one(tmp_path):
    """One that lies beside it, to another error."""
    folder = tmp_path / "walkthrough"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("figure_1_*.csv", "__pycache__"))
    recorded = (folder / "figure_1.csv").read_text(encoding="utf-8")
    errors = {"relu": (0.9, 0.3), "tanh": (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)}
    rows = [f"{kind},5,{lr},{epoch},{error},0" for kind, lr in (("relu", 0.01), ("tanh", 0.02))
            for epoch, error in enumerate(errors[kind])]
    head = recorded[: recorded.index("relu,1,")]
    head = head.replace("batch: 128", "batch: 32").replace("level: 0.25", "level: 0.35")
    (folder / "figure_1_of_32.csv").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "figure_1_mine.csv").write_text(re.sub("# pictures: .*\n", "", recorded), encoding="utf-8")  # as before
    digest = re.search("# pictures: (.*)", recorded)[1]
    (folder / "figure_1_others.csv").write_text(recorded.replace(digest, "0" * 16), encoding="utf-8")
    command = [sys.executable, "-W", "ignore", folder / "08_relu_and_tanh.py"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert said.returncode == 0, said.stderr[-2000:]
    relu, tanh = 1 - 0.05 / 0.6, 6 - 0.05 / 0.1  # on the lines between the ends of two epochs
    assert f"| batches of 32 | 35 % | {relu:.2f} (0.01) | {tanh:.2f} (0.02) | {tanh / relu:.2f} |" in said.stdout
    assert "python examples/walkthrough/figure_1.py CIFAR-10 --seed 1 -o" in said.stdout  # nothing of another machine
    for words in ("again, seed 1", "other pictures"):
        assert f"| {words} | 25 % | 5.12 (0.004) | 37.85 (0.016) | 7.39 |" in said.stdout


def test_figure_1_finds_the_fastest_rate(monkeypatch, tmp_path):
    """A search whose runs are there after known numbers of epochs ends when both neighbours of the best are slower."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import figure_1

    there = {0.00025: 60, 0.0005: 30, 0.001: 12, 0.002: 9, 0.004: 10, 0.008: 40, 0.016: 90}  # epochs to the level
    tried = []

    def learn(net, lr, pictures, asked):
        tried.append(lr)
        for epoch in range(100):
            yield epoch, max(0.75 - epoch / there[lr] / 2, figure_1.LEVEL), float(epoch)
            if epoch >= there[lr]:
                return

    monkeypatch.setattr(figure_1, "learn", learn)
    for start, order in ((0.002, [0.002, 0.001, 0.004]), (0.004, [0.004, 0.002, 0.001]),
                         (0.008, [0.008, 0.004, 0.002, 0.001]), (0.0005, [0.0005, 0.00025, 0.001, 0.002, 0.004])):
        tried.clear()
        asked = argparse.Namespace(rate=start, start="authors", before=False, seed=1, level=figure_1.LEVEL)
        runs = list(figure_1.search("relu", None, asked, []))
        assert tried == order == [float(lines[0].split(",")[2]) for lines in runs]
        soonest = math.inf
        for lr, lines in zip(order, runs, strict=True):  # none goes on for longer than the fastest before it took
            assert len(lines) - 1 == min(soonest, there[lr])
            soonest = min(soonest, there[lr])
        tried.clear()
        table = [line for lines in runs[:-1] for line in lines]
        assert len(list(figure_1.search("relu", None, asked, table))) == 1 == len(tried)
    assert figure_1.reached([0.9, 0.5, 0.2]) == pytest.approx(1 + 0.25 / 0.3)
    assert figure_1.reached([0.9, 0.5]) == math.inf
    assert [stage.layers for stage in figure_1.network("tanh", "data", True).stages] == [
        "conv tanh max", "conv tanh avg", "conv tanh avg flatten", "linear"]  # fmt: skip
    assert figure_1.network("relu", "authors", False).stages == figure_1.CUDA_CONVNETS["layers-19pct"].stages


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_what_a_cell_says_is_shown(chapter):
    """A page shows what stands last in a cell, and nothing else."""
    said = 0
    for cell in ast.parse(chapter.read_text(encoding="utf-8")).body:
        for i, line in enumerate(cell.body if isinstance(cell, ast.FunctionDef) else []):
            call = line.value if isinstance(line, ast.Expr) else None
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("say", "picture"):
                said += 1
                assert all(isinstance(after, ast.Return) for after in cell.body[i + 1 :]), f"line {line.lineno}"
    assert said >= (2 if chapter.stem.endswith("glossary") else 3)


def test_the_glossary_finds_its_terms_in_the_chapters(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from glossary import GROUPS

    texts = {int(path.stem[:2]): path.read_text(encoding="utf-8") for path in CHAPTERS}
    terms = [term for terms in GROUPS.values() for term in terms]
    for names in zip(*((term.english, term.vietnamese) for term in terms), strict=True):
        assert len({name.lower() for name in names}) == len(names), "a term stands there twice"
    for term in terms:
        assert term.chapter != max(texts) and (term.seen or term.english) in texts[term.chapter], term.english


def test_a_graph_of_onnx_is_no_alexnet_to_look_into(trained, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from page import alexnet_in

    main(["export", str(trained / "torchvision.pth"), str(tmp_path / "net.onnx")])
    with pytest.raises(ValueError, match=r"net\.onnx is a graph of ONNX, which has no towers"):
        alexnet_in(tmp_path / "net.onnx")


SQUARE = "def backward(gy, x):\n    return {}\n"


@pytest.mark.parametrize("code, right, said", [
    (SQUARE.format("2 * gy * x"), True, "Right: backward agrees with the differences."),
    (SQUARE.format("-2 * gy * x"), False, r"Not yet. The gradient of input 0 \(x\) is wrong\. .*\*\*wrong sign\*\*: "
     r"(?s:[^\n]+\.\n\n/// details \| The numbers\n\n```text\nthe gradient of input 0 .* ratio\n.*\n```\n\n///$)"),
    (SQUARE.format("gy * np.exp(x)"), False, r"Not yet\. [^\n]+none of the mistakes that `gradcheck` knows"),
    (SQUARE.format("(gy * x)[:2]"), False, r"^Not yet. What was seen: .* \(x\) has the shape \(2,\)[^\n]+$"),
    (SQUARE.format("2 * x"), False, r"Verdict: \*\*gy not used\*\*"),
    (SQUARE.format("gy * z"), False, r"^Not yet. Python stops at line 2 .* `NameError`: `name 'z' is not "),
    (SQUARE.format("gy *"), False, r"^Not yet. Python stops at line 2 .* `SyntaxError`: `invalid syntax`$"),
    (SQUARE.format("{}['`*']"), False, r"with `KeyError`: `''\*'`$"),
    (SQUARE.replace("return {}", "2 * gy * x"), False, "^Not yet. `backward` gives nothing back: end it with `ret"),
    ("x = 1", False, "^Not yet. There is no `backward` in it: call your function `backward`.$"),
    ("backward = 3  # return", False, "^Not yet: `3 is no function`$"),
])  # fmt: skip
def test_what_is_told_of_an_answer(code, right, said, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from language import both, in_english
    from page import attempt

    def check(backward):
        if backward == 3:
            raise ValueError("3 is no\n function")
        minicnn.gradcheck(lambda x: x**2, np.array([0.5, -1.0, 2.0]), backward=backward)

    is_right, told = attempt(code, "backward", check)
    assert is_right == right
    assert re.search(said, in_english(told)), told
    if not right:
        assert told.startswith(both("Not yet", "Chưa đúng")), "in Vietnamese, too"


def test_a_script_prints_what_a_page_folds(monkeypatch, capsys):
    monkeypatch.syspath_prepend(FOLDER)
    import page

    monkeypatch.setattr(page.mo, "app_meta", lambda: argparse.Namespace(mode="script"))
    shown = page.say("Not yet.", page.fold("The numbers", "a\n b"))
    assert capsys.readouterr().out == "Not yet.\n\nThe numbers:\n\n```text\na\n b\n```\n\n"
    assert re.search("(?s)<details>.*<summary>The numbers</summary>.*a\n b", shown.text)
