"""The README shows what the program prints."""

import code
import re
import runpy
from itertools import pairwise
from pathlib import Path

import pytest

from minicnn import GradientError

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def words(text):
    """Its words, numbers as numbers: their last digits are not the same on every machine, nor is how many agree."""
    agree = re.findall(r"elements to\s+(\d+)\s+digits", text)
    assert all(int(digits) >= 6 for digits in agree), agree
    text = re.sub(r"(elements to\s+)\d+(\s+digits)", r"\1so many\2", text)
    return [float(word) if re.fullmatch(r"-?\d+\.\d+", word) else word for word in text.split()]


def test_a_failure_is_shown_as_a_learner_sees_it():
    program, shown = next((a, b) for (_, a), (_, b) in pairwise(BLOCKS) if "backward=backward" in a)
    with pytest.raises(GradientError) as caught:
        exec(program, {})
    for word, is_shown in zip(words(str(caught.value)), words(shown), strict=True):
        assert word == (pytest.approx(is_shown, rel=1e-5) if isinstance(word, float) else is_shown)


PROGRAMS = [text for kind, text in BLOCKS if kind == "python" and "backward=backward" not in text]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.splitlines()[-1][:40])
def test_every_program_runs_as_it_is_printed(program, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    said = capsys.readouterr().out
    assert ("60,965,224" in said) == ("net.summary()" in program)
    assert (tmp_path / "backprop.html").exists() == ("to_html" in program)
    if "ArrayLoader" in program:
        shown = next(b for (_, a), (_, b) in pairwise(BLOCKS) if a == program)
        assert said.splitlines(keepends=True)[-1] == shown


def test_the_trace_can_be_pasted_into_python_line_by_line():
    """Where a block ends there an empty line must stand."""
    (program,) = (text for text in PROGRAMS if "to_html" in text)
    lines, complaints = code.InteractiveConsole(), []
    lines.runcode, lines.write = (lambda _: None), complaints.append
    assert not any([lines.push(line) for line in program.splitlines()][-2:])
    assert not complaints


def alike(said, shown):
    """Whether it is the same text, but for where lines break and for last digits."""
    assert len(words(said)) == len(words(shown))
    return all(word == (pytest.approx(is_shown, rel=1e-5) if isinstance(word, float) else is_shown)
               for word, is_shown in zip(words(said), words(shown), strict=True))  # fmt: skip


def test_the_wrong_layer_is_shown_as_it_is_printed(capsys):
    program, shown = next((a, b) for (_, a), (_, b) in pairwise(BLOCKS) if "gradcheck.layers(" in a)
    exec(program, {})
    assert alike(capsys.readouterr().out, shown)


def test_five_mistakes_are_shown_as_they_are_printed(capsys):
    shown = next(b for (_, a), (_, b) in pairwise(BLOCKS) if a == "python examples/walkthrough/five_mistakes.py\n")
    runpy.run_path(str(README.parent / "examples" / "walkthrough" / "five_mistakes.py"), run_name="__main__")
    assert alike(capsys.readouterr().out, shown)


def test_no_program_is_left_out():
    assert sum(kind == "python" for kind, _ in BLOCKS) >= 4
    assert not [text for kind, text in BLOCKS if not kind and "import " in text]
