"""The README shows what the program prints."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from minicnn import GradientError

BLOCKS = re.findall(r"```(\w*)\n(.*?)```", (Path(__file__).parent.parent / "README.md").read_text("utf-8"), re.DOTALL)


def words(text):
    """Its words, numbers as numbers: their last digits are not the same on every machine."""
    return [float(word) if re.fullmatch(r"-?\d+\.\d+", word) else word for word in text.split()]


def test_a_failure_is_shown_as_a_learner_sees_it():
    program, shown = next((a, b) for (_, a), (_, b) in pairwise(BLOCKS) if "backward=backward" in a)
    with pytest.raises(GradientError) as caught:
        exec(program, {})
    for word, is_shown in zip(words(str(caught.value)), words(shown), strict=True):
        assert word == (pytest.approx(is_shown, rel=1e-5) if isinstance(word, float) else is_shown)


def test_the_engine_does_what_it_is_shown_to_do(capsys):
    exec(next(text for kind, text in BLOCKS if kind == "python" and "models.alexnet()" in text), {})
    assert "60,965,224" in capsys.readouterr().out
