"""A few of the runs that fuzz_training.py draws; by hand it draws hundreds."""

import pytest
from fuzz_training import drawn, tried


@pytest.mark.parametrize("number", [3, 4, 35, 38])
def test_what_it_says_and_keeps_is_true(number):
    case, troubles, commands = tried(1, number)
    assert not troubles, f"{case}: {troubles}\n{commands}"


def test_the_same_numbers_draw_the_same():
    assert [drawn(1, n) for n in range(50)] == [drawn(1, n) for n in range(50)]
    assert len({str(drawn(1, n)) for n in range(200)}) > 190
