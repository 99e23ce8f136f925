"""Pictures of a run: names of any kind, and a matplotlib that was set up by somebody else."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from minicnn.plots import draw_curves, draw_gradcheck, draw_predictions
from minicnn.training.log import Log

NAMES = ["ca$$h", "a$_$b", r"\frac{", "x_{^", "$", "größe", "犬と猫", "\U0001f408", "\udce9t\udce9", "a\nb", "\x1b[31m",
         "-rf", "x" * 240, " ", "é", "%s{}"]  # fmt: skip


def predictions(path, classes):
    count = len(classes)
    draw_predictions([np.zeros((8, 8, 3), np.uint8)] * count, range(count), np.full((count, count), 1 / count), classes,
                     path)  # fmt: skip
    with Image.open(path) as image:
        return image.size


def test_a_class_may_have_any_name(tmp_path):
    assert predictions(tmp_path / "a.png", NAMES)[0] == 1056


@pytest.mark.parametrize("count", [1, 5])
def test_few_classes(tmp_path, count):
    predictions(tmp_path / "a.png", NAMES[:count])


def test_an_op_may_have_any_name(tmp_path):
    draw_gradcheck("$op_{", [("$x^", np.ones((2, 2)), [(1e-3, 1e-6), (1e-6, 1e-3)])], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size


@pytest.mark.parametrize("setting", [{"text.usetex": True}, {"axes.prop_cycle": matplotlib.cycler(color=["red"])},
                                     {"savefig.format": "pdf", "savefig.dpi": 3}], ids=str)  # fmt: skip
def test_settings_of_the_user_change_nothing(tmp_path, setting):
    predictions(tmp_path / "a.png", ["a$b", "c"])
    with matplotlib.rc_context(setting):
        predictions(tmp_path / "b.png", ["a$b", "c"])
        assert {name: matplotlib.rcParams[name] for name in setting} == setting
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_curves_have_gaps_where_a_number_was_none(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    for step, loss in enumerate([2.0, None, 1.0, None]):
        log.write({"step": step, "loss": loss, "top1": 0.5})
    log.write({"step": 4, "train_loss": None, "val_loss": None, "train_top1": 0.5, "val_top1": 0.0})
    draw_curves(log, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size


def test_matplotlib_says_nothing_where_no_home_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    program = f"import sys; sys.path[:] = {sys.path!r}\nimport logging, minicnn.plots\n" \
              f"logging.getLogger('matplotlib').warning('heard again')"  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "XDG"))}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                         env=clean | {"HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)})  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "heard again\n")
