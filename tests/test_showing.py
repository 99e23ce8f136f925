"""What is left of a run for people: whatever fails there is said, and no more."""

import pytest

from minicnn.training.log import Log
from minicnn.training.showing import Curves, made


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what is added to now[0]."""
    now = [1000.0]
    monkeypatch.setattr("minicnn.training.showing.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def drawn(monkeypatch, clock):
    """Numbers of log lines that were drawn. Drawing takes 0.5 s."""
    seen = []

    def draw(log, path):
        clock[0] += 0.5
        seen.append(len(log.read()))
        path.write_text("curves")

    monkeypatch.setattr("minicnn.plots.draw_curves", draw)
    return seen


def test_curves_take_a_twentieth_of_the_time(tmp_path, clock, drawn):
    log, curves = Log(tmp_path / "log.jsonl"), Curves(tmp_path)
    (tmp_path / "last.safetensors").write_text("")
    for epoch in range(1, 8):
        log.write({"step": epoch})
        curves.epoch_ended()
        clock[0] += 4
    assert drawn == [1, 4, 7], "10 s after 0.5 s"
    clock[0] += 6
    curves.epoch_ended()
    curves.draw()
    assert drawn == [1, 4, 7, 7, 7], "at the end in any case"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "last.safetensors", "log.jsonl"]


def test_of_a_run_that_saved_nothing_there_are_no_curves(tmp_path, drawn):
    Log(tmp_path / "log.jsonl").write({"step": 1})
    Curves(tmp_path).draw()
    assert not drawn
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


@pytest.mark.parametrize(("error", "words"), [(OSError(28, "No space left"), "No space left"), (KeyError("x"), "'x'"),
                                              (MemoryError(), "MemoryError"), (ImportError("no plots"), "no plots")])
def test_what_cannot_be_made_is_said_and_leaves_what_was_there(tmp_path, error, words):
    def fails(path):
        path.write_text("half of it")
        raise error

    (tmp_path / "a").write_text("before")
    assert made(tmp_path / "a", fails) == f"{tmp_path / 'a'} is not made: {words}"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]
    assert made(tmp_path / "none" / "a", lambda path: path.touch()).endswith("a is not made: No such file or directory")
    assert not made(tmp_path / "a", lambda path: path.write_text("after"))
    assert (tmp_path / "a").read_text() == "after"


def test_whoever_stops_it_stops_it(tmp_path):
    def stopped(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "a", stopped)
