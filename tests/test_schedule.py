"""Schedules of the learning rate, epoch by epoch."""

import math

import numpy as np
import pytest

from minicnn.schedule import PlateauSchedule, StepSchedule


def rates(schedule, errors):
    """The rate of each epoch: the first, and that after each error."""
    yield schedule.lr
    for error in errors:
        schedule.epoch_ended(error)
        yield schedule.lr


def test_steps():
    assert list(rates(StepSchedule(1.0, drops=(2, 3), factor=0.5), [0.0] * 5)) == [1, 1, 0.5, 0.25, 0.25, 0.25]
    assert list(rates(StepSchedule(1.0), [0.0] * 3)) == [1] * 4


def test_plateau():
    schedule = PlateauSchedule(1.0, patience=2, factor=0.5, times=2)
    #         better     no   no: drop   better   no   no: drop    no more drops
    errors = [0.9,       0.9, 0.95,      0.8,     0.8, 0.9,        0.9, 0.9, 0.9]
    assert list(rates(schedule, errors)) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("new", [lambda: StepSchedule(1.0, (2, 4)), lambda: PlateauSchedule(1.0, patience=2),
                                 lambda: PlateauSchedule(1.0, patience=1, times=1)])
@pytest.mark.parametrize("stop", range(7))
def test_a_resumed_schedule_goes_on_as_if_never_stopped(new, stop):
    errors = [0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8]
    whole, first, second = new(), new(), new()
    expected = list(rates(whole, errors))
    list(rates(first, errors[:stop]))
    vars(second).update(first.state())
    assert list(rates(second, errors[stop:])) == expected[stop:]


@pytest.mark.parametrize("error", [math.nan, math.inf, -math.inf, np.float32(np.nan)])
def test_an_error_that_is_not_finite_never_improves(error):
    schedule = PlateauSchedule(1.0, patience=2, factor=0.5)
    assert list(rates(schedule, [error, error, error, 0.5, error, 0.4])) == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert schedule.best == 0.4


@pytest.mark.parametrize(("build", "error"), [
    (lambda: StepSchedule(1.0, 3), TypeError), (lambda: StepSchedule(1.0, [1.5]), TypeError),
    (lambda: StepSchedule(1.0, ["3"]), TypeError), (lambda: StepSchedule(1.0, [0]), ValueError),
    (lambda: StepSchedule(1.0, [-2]), ValueError), (lambda: StepSchedule(1.0, [2], factor=-0.1), ValueError),
    (lambda: StepSchedule(math.nan), ValueError), (lambda: StepSchedule("1"), TypeError),
    (lambda: StepSchedule(1.0).epoch_ended(None), TypeError), (lambda: PlateauSchedule(-1.0), ValueError),
    (lambda: PlateauSchedule(1.0, patience=0), ValueError), (lambda: PlateauSchedule(1.0, patience=2.5), TypeError),
    (lambda: PlateauSchedule(1.0, factor=0), ValueError), (lambda: PlateauSchedule(1.0, factor=math.nan), ValueError),
    (lambda: PlateauSchedule(1.0, times=-1), ValueError), (lambda: PlateauSchedule(1.0, times=True), TypeError),
    (lambda: PlateauSchedule(1.0).epoch_ended("0.5"), TypeError),
])  # fmt: skip
def test_schedules_of_nonsense_are_refused_by_name(build, error):
    with pytest.raises(error, match=r"^(StepSchedule|PlateauSchedule): \w+"):
        build()
