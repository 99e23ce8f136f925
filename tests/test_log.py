"""The log: always JSON, whatever the numbers and whatever ended the one who wrote it."""

import json
import math

import numpy as np
import pytest

from minicnn.plots import draw_curves
from minicnn.training.log import Log, to_json

ODD = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "float32": np.float32(np.nan), "half": np.float16(np.inf)}


def strictly(text):
    """What a reader makes of it that knows only the JSON of the standard."""
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")
    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_what_is_not_finite_is_null(tmp_path, value):
    log = Log(str(tmp_path / "log.jsonl"))
    log.write({"step": 1, "loss": value, "more": [value, {"deep": (value, 2.5)}]})
    expected = {"step": 1, "loss": None, "more": [None, {"deep": [None, 2.5]}]}
    assert strictly((tmp_path / "log.jsonl").read_text()) == expected
    assert log.read() == [expected]


def test_numbers_of_numpy_are_numbers():
    line = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": True, "e": "nan", "f": None, "g": 10**400}
    assert strictly(to_json(line)) == {"a": 0.5, "b": 3, "c": True, "d": True, "e": "nan", "f": None, "g": 10**400}


def test_logs_of_old_and_broken_lines_are_read_and_mended(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1, "epoch": 1, "loss": NaN}\n{"step": 2, "ep{"step": 2, "epoch": 1, "loss": Infinity}\n'
                     b'{"step": 3, "epoch": 1, "loss": 1.5}\n\n[1]\n\xff\xfe}\n'
                     b'{"step": 3, "epoch": 1, "val_loss": NaN}\n'
                     b'{"step": 3, "epoch": 1, "lr_before": 0.1, "lr_after": 0.01}\n{"step": 4, "epoch": 2, "loss')
    log = Log(path)
    first, second, end, drop = log.read()
    assert (first["loss"], second["loss"], end["val_loss"], drop["lr_after"]) == (None, 1.5, None, 0.01)
    log.forget_after(3, 1)
    assert [strictly(line) for line in path.read_text().splitlines()] == [first, second, end, drop]
    log.forget_after(3, 0)
    assert log.read() == [first, second]
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError) as caught:
        Log(tmp_path / "none" / "log.jsonl").write({"step": 1})
    assert caught.value.filename == str(tmp_path / "none" / "log.jsonl")


def test_damaged_lines_are_none(tmp_path):
    """Whatever letter was changed: nothing that reads them later fails, nor draws what never was."""
    log = Log(tmp_path / "log.jsonl")
    line = {"epoch": 1, "step": 1, "loss": 2.5, "top1": 0.5, "top5": None}
    end = {"epoch": 1, "step": 1, "train_loss": 1, "train_top1": 0, "val_loss": 2, "val_top1": 1}
    for bad in (line | {"step": "1"}, line | {"loss": "2.5"}, line | {"top1": [0.5]}, line | {"step": True}, [line], 3,
                line | {"epoch": None}, end | {"val_loss": {}}, {"stop": 1, "loss": 2.5, "top1": 0.5}):
        with log.path.open("a") as file:
            file.write(json.dumps(bad) + "\n" + "[" * 100_000 + "\n")
    other = [{"step": 1, "epoch": 1, name: 1} for name in ("loss", "losr", "val_loss")]  # letters of names
    good = [line, end, *other, {"epoch": 1, "step": 1, "lr_before": 1.0, "lr_after": 0.1}]
    for one in good:
        log.write(one)
    assert log.read() == good
    log.forget_after(1, 1)
    assert len(log.path.read_text().splitlines()) == len(good)
    draw_curves(log, tmp_path / "curves.png")
