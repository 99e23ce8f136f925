"""Schedules of the learning rate, epoch by epoch."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.schedule import SCHEDULES, CosineSchedule, PlateauSchedule, PolySchedule, StepSchedule, WarmUp


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
    schedule = PlateauSchedule(1.0, patience=1, factor=0.5, times=2)
    #         better     no   no: drop   better   no   no: drop    no more drops
    errors = [0.9,       0.9, 0.95,      0.8,     0.8, 0.9,        0.9, 0.9, 0.9]
    assert list(rates(schedule, errors)) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]


def test_cosine():
    half, quarter = math.sqrt(0.5), (math.cos(math.pi / 8), math.cos(3 * math.pi / 8))
    right = [2, 1 + quarter[0], 1 + half, 1 + quarter[1], 1, 1 - quarter[1], 1 - half, 1 - quarter[0], 0, 0]
    assert list(rates(CosineSchedule(2.0, 8), [0.0] * 9)) == pytest.approx(right, abs=1e-15)


def test_poly():
    assert list(rates(PolySchedule(32.0, 4), [0.0] * 5)) == [32, 18, 8, 2, 0, 0]


THEIRS = {  # ours, and PyTorch's of an optimiser
    "constant": (lambda: StepSchedule(0.5), lambda of, o: of.ConstantLR(o, 1.0)),
    "step": (lambda: StepSchedule(0.5, (2, 3, 7), 0.3), lambda of, o: of.MultiStepLR(o, (2, 3, 7), 0.3)),
    "cosine": (lambda: CosineSchedule(0.5, 9), lambda of, o: of.CosineAnnealingLR(o, 9)),
    "poly": (lambda: PolySchedule(0.5, 9), lambda of, o: of.PolynomialLR(o, 9, power=2)),
    "plateau": (lambda: PlateauSchedule(0.5, patience=1, factor=0.3, times=9),
                lambda of, o: of.ReduceLROnPlateau(o, patience=1, factor=0.3, threshold=0)),
    "impatient": (lambda: PlateauSchedule(0.5, patience=0, factor=0.3, times=9),
                  lambda of, o: of.ReduceLROnPlateau(o, patience=0, factor=0.3, threshold=0)),
}  # fmt: skip


@pytest.mark.parametrize("name", THEIRS)
def test_it_is_pytorch_s(name):
    torch = pytest.importorskip("torch")
    ours, theirs = THEIRS[name]
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.5)
    schedule = theirs(torch.optim.lr_scheduler, optimiser)
    errors, right = [0.9, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8, 0.7, 0.7], [0.5]
    for error in errors:
        optimiser.step()
        schedule.step(*[error] * isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau))
        right.append(optimiser.param_groups[0]["lr"])
    assert list(rates(ours(), errors)) == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize(("name", "right"), [
    ("plateau", [1, 1, 1, 1, 0.1, 0.1, 0.1]), ("step", [1, 1, 0.1, 0.1, 0.01, 0.01, 0.01]), ("constant", [1] * 7),
    ("cosine", [1, 0.5 + math.sqrt(3) / 4, 0.75, 0.5, 0.25, 0.5 - math.sqrt(3) / 4, 0]),
    ("poly", [1, 25 / 36, 4 / 9, 1 / 4, 1 / 9, 1 / 36, 0])])
def test_those_that_have_a_name(name, right):
    assert list(rates(SCHEDULES[name](1.0, 6), [0.5] * 6)) == pytest.approx(right, abs=1e-15)


@pytest.mark.parametrize(("epochs", "drops"), [(1, ()), (2, (1,)), (3, (1, 2)), (5, (1, 3)), (90, (30, 60))])
def test_steps_of_a_third(epochs, drops):
    assert list(rates(SCHEDULES["step"](1.0, epochs), [0.0] * epochs)) == list(
        rates(StepSchedule(1.0, drops), [0.0] * epochs))


@pytest.mark.parametrize("new", [lambda: StepSchedule(1.0, (2, 4)), lambda: CosineSchedule(1.0, 4),
                                 lambda: PolySchedule(1.0, 4)])
def test_another_rate_is_that_of_now_and_later_ones_follow_from_it(new):
    usual, other = new(), new()
    for schedule in (usual, other):
        list(rates(schedule, [0.0] * 3))
    now = usual.lr
    other.lr = 5 * now
    assert other.lr == pytest.approx(5 * now)
    assert list(rates(other, [0.0] * 2)) == pytest.approx([5 * rate for rate in rates(usual, [0.0] * 2)])


@pytest.mark.parametrize("kind", [CosineSchedule, PolySchedule])
def test_where_the_rate_must_be_0_no_other_can_be_set(kind):
    schedule = kind(1.0, 2)
    list(rates(schedule, [0.0] * 2))
    words = rf"{kind.__name__}: lr is 0\.5: after 2 epochs it must be 0: plan more epochs"
    with pytest.raises(ValueError, match=words):
        schedule.lr = 0.5


@pytest.mark.parametrize("name", ["step", "cosine", "poly"])
def test_with_more_epochs_it_goes_on_as_if_they_had_been_planned_from_the_start(name):
    first, planned, later = (SCHEDULES[name](1.0, epochs) for epochs in (3, 9, 9))
    for schedule in (first, planned):
        list(rates(schedule, [0.0] * 3))
    later.load_state(first.state())
    assert list(rates(later, [0.0] * 6)) == list(rates(planned, [0.0] * 6))


def test_the_state_of_an_older_version():
    schedule = StepSchedule(1.0, (2, 4))
    schedule.load_state({"lr": 0.25, "epoch": 3})
    assert list(rates(schedule, [0.0])) == pytest.approx([0.25, 0.025])


@pytest.mark.parametrize("new", [lambda: StepSchedule(1.0), lambda: PlateauSchedule(1.0)])
@pytest.mark.parametrize("state", [{}, {"rate": 1.0}, {"lr": 1.0}])
def test_the_state_of_another_schedule(new, state):
    with pytest.raises(LookupError):
        new().load_state(state)


@pytest.mark.parametrize("new", [lambda: StepSchedule(1.0, (2, 4)), lambda: PlateauSchedule(1.0, patience=1),
                                 lambda: PlateauSchedule(1.0, patience=0, times=1), lambda: CosineSchedule(1.0, 6),
                                 lambda: PolySchedule(1.0, 6)])
@pytest.mark.parametrize("stop", range(7))
def test_a_resumed_schedule_goes_on_as_if_never_stopped(new, stop):
    errors = [0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8]
    whole, first, second = new(), new(), new()
    whole.lr = first.lr = 0.7
    expected = list(rates(whole, errors))
    list(rates(first, errors[:stop]))
    second.load_state(json.loads(json.dumps(first.state())))
    assert list(rates(second, errors[stop:])) == expected[stop:]


@pytest.mark.parametrize("error", [math.nan, math.inf, -math.inf, np.float32(np.nan)])
def test_an_error_that_is_not_finite_never_improves(error):
    schedule = PlateauSchedule(1.0, patience=1, factor=0.5)
    assert list(rates(schedule, [error, error, error, 0.5, error, 0.4])) == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert schedule.best == 0.4


# -- warm-up -----------------------------------------------------------------------------------------------------------


def test_a_rate_rises_by_the_same_amount_in_every_step():
    """From 1 / 8 of it on, over 2 epochs of 4 steps."""
    shares = [WarmUp(2, 1 / 8).share((step + 1) / 4) for step in range(12)]
    assert shares == [1 / 8 + 7 / 64 * (step + 1) for step in range(8)] + [1] * 4
    assert [WarmUp(0.5).share((step + 1) / 4) for step in range(4)] == [0.5, 1, 1, 1]
    assert [WarmUp().share(done) for done in (0, 0.1, 1)] == [1, 1, 1]


@given(epochs=st.floats(0, 9), start=st.floats(0, 1), steps=st.integers(1, 50))
def test_it_never_falls_and_ends_at_the_whole_rate(epochs, start, steps):
    shares = [WarmUp(epochs, start).share((step + 1) / steps) for step in range(10 * steps)]
    assert shares == sorted(shares)
    assert start <= shares[0] <= shares[-1] == 1
    assert len(set(shares) - {1}) <= epochs * steps + 1


@pytest.mark.parametrize(("build", "error"), [
    (lambda: StepSchedule(1.0, 3), TypeError), (lambda: StepSchedule(1.0, [1.5]), TypeError),
    (lambda: StepSchedule(1.0, ["3"]), TypeError), (lambda: StepSchedule(1.0, [0]), ValueError),
    (lambda: StepSchedule(1.0, [-2]), ValueError), (lambda: StepSchedule(1.0, [2], factor=-0.1), ValueError),
    (lambda: StepSchedule(math.nan), ValueError), (lambda: StepSchedule("1"), TypeError),
    (lambda: StepSchedule(1.0).epoch_ended(None), TypeError), (lambda: PlateauSchedule(-1.0), ValueError),
    (lambda: PlateauSchedule(1.0, patience=-1), ValueError), (lambda: PlateauSchedule(1.0, patience=2.5), TypeError),
    (lambda: PlateauSchedule(1.0, factor=0), ValueError), (lambda: PlateauSchedule(1.0, factor=math.nan), ValueError),
    (lambda: PlateauSchedule(1.0, times=-1), ValueError), (lambda: PlateauSchedule(1.0, times=True), TypeError),
    (lambda: PlateauSchedule(1.0).epoch_ended("0.5"), TypeError), (lambda: CosineSchedule(1.0, 0), ValueError),
    (lambda: CosineSchedule(1.0, 2.0), TypeError), (lambda: CosineSchedule(-1.0, 2), ValueError),
    (lambda: CosineSchedule(1.0, 2).epoch_ended([]), TypeError),
    (lambda: setattr(StepSchedule(1.0), "lr", -1), ValueError), (lambda: PolySchedule(1.0, 0), ValueError),
    (lambda: WarmUp(-1), ValueError), (lambda: WarmUp(math.nan), ValueError), (lambda: WarmUp("5"), TypeError),
    (lambda: WarmUp(5, 1.5), ValueError), (lambda: WarmUp(5, -0.1), ValueError), (lambda: WarmUp(5, None), TypeError),
])  # fmt: skip
def test_schedules_of_nonsense_are_refused_by_name(build, error):
    with pytest.raises(error, match=r"^(StepSchedule|CosineSchedule|PlateauSchedule|PolySchedule|WarmUp): \w+"):
        build()
