"""A step of training by itself: what it computes, and what is left where it fails. Captured: see test_cuda_graph.py."""

import numpy as np
import pytest
from helpers import normal

from minicnn import manual_seed, ops
from minicnn.nn import Dropout, Linear, ReLU, Sequential
from minicnn.optim import SGD, LossScale
from minicnn.training.diagnosis import Diverged
from minicnn.training.parallel import Ranks
from minicnn.training.parallel_step import ParallelStep
from minicnn.training.step import Step

IMAGES, LABELS = normal(6, 4).astype(np.float32), np.array([0, 2, 1, 2, 0, 1])


def network():
    manual_seed(1)
    net = Sequential(Linear(4, 8), ReLU(), Dropout(0.5), Linear(8, 3))
    return net, SGD(net.named_parameters(), lr=0.1)


def everything(net, optimiser):
    return net.state_dict() | {f"velocity.{name}": v for name, v in optimiser.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


@pytest.mark.parametrize("scale", [None, LossScale(2.0**10, patience=None)])
def test_a_step_is_forward_loss_backward_update(scale):
    (net, optimiser), (by_hand, other) = network(), network()
    step = Step(net, optimiser, loss_scale=scale)
    for _ in range(3):
        loss, logits = step(IMAGES, LABELS)
        right = by_hand(IMAGES)
        mean = ops.cross_entropy(right, LABELS)
        other.zero_grad()
        mean.backward()
        other.step()
        assert loss == mean.item()
        assert type(loss) is float
        np.testing.assert_array_equal(logits, right.numpy())
    assert same(everything(net, optimiser), everything(by_hand, other))


@pytest.mark.parametrize("parts", [1, 2, 4, 7])
def test_a_batch_in_parts_is_one_batch(parts):
    (net, optimiser), (by_hand, other) = network(), network()
    step, whole = ParallelStep(Step(net, optimiser), Ranks(), parts), Step(by_hand, other)
    for _ in range(3):
        loss, logits = step.of([(IMAGES[cut], LABELS[cut]) for cut in step.share.cuts(len(LABELS))])
        expected, right = whole(IMAGES, LABELS)
        assert loss == pytest.approx(expected, rel=1e-6)
        np.testing.assert_allclose(np.concatenate([y for y in logits if len(y)]), right, rtol=1e-5, atol=1e-6)
    for name, array in everything(by_hand, other).items():
        np.testing.assert_allclose(everything(net, optimiser)[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


def test_another_loss():
    net, optimiser = network()
    step = Step(net, optimiser, lambda logits, labels: 3 * ops.cross_entropy(logits, labels))
    assert step(IMAGES, LABELS)[0] == pytest.approx(3 * Step(*network())(IMAGES, LABELS)[0])


WRONG = {  # labels, and what is said of them
    "too high": (LABELS + 1, "cross_entropy: labels go from 1 to 3, but x (6, 3) has classes 0 to 2"),
    "negative": (LABELS - 1, "cross_entropy: labels go from -1 to 1, but x (6, 3) has classes 0 to 2"),
    "floats": (LABELS * 1.0, "cross_entropy: x (6, 3) and labels (6,), float64, do not fit: give x (N, classes) and"),
    "too few": (LABELS[:5], "cross_entropy: x (6, 3) and labels (5,), int64, do not fit"),
    "of two axes": (LABELS[:, None], "cross_entropy: x (6, 3) and labels (6, 1), int64, do not fit"),
    "text": (["cat"] * 6, "cross_entropy: <U3 is not a type of real number"),
}


@pytest.mark.parametrize(("labels", "words"), WRONG.values(), ids=WRONG)
def test_labels_that_are_no_classes_are_refused_as_the_loss_does_and_nothing_has_changed(labels, words):
    net, optimiser = network()
    step, before = Step(net, optimiser), everything(net, optimiser)
    with pytest.raises((TypeError, ValueError)) as caught:
        step(IMAGES, labels)
    assert str(caught.value).startswith(words)
    with pytest.raises(type(caught.value)) as of_the_loss:
        ops.cross_entropy(net.eval()(IMAGES), labels)
    assert str(of_the_loss.value) == str(caught.value)
    assert same(everything(net, optimiser), before)


def test_labels_are_looked_at_before_the_loss():
    step = Step(*network(), lambda logits, labels: pytest.fail("they went on"))
    with pytest.raises(ValueError, match="labels go from"):
        step(IMAGES, LABELS + 1)


@pytest.mark.parametrize("what", ["inputs", "weight"])
def test_a_loss_that_is_not_finite_changes_nothing_and_says_where_it_began(what):
    net, optimiser = network()
    step = Step(net, optimiser)
    step(IMAGES, LABELS)
    if what == "weight":
        net.layers[3].bias.writable()[0] = np.nan
    before = everything(net, optimiser)
    layer = {"inputs": 0, "weight": 3}[what]
    with pytest.raises(Diverged) as caught:
        step(IMAGES * np.float32(np.inf if what == "inputs" else 1), LABELS)
    assert str(caught.value) == (f"the loss is nan; the first output that is not finite is that of {layer}; the "
                                 "learning rate is 0.1: try a tenth of it")
    after = everything(net, optimiser)
    assert all(np.array_equal(after[name], array, equal_nan=True) for name, array in before.items())
    assert not step.updating


def test_an_update_that_fails_is_known(monkeypatch):
    net, optimiser = network()
    step = Step(net, optimiser)
    step(IMAGES, LABELS)
    assert not step.updating

    def half(loss_scale):
        raise MemoryError("in the middle")

    monkeypatch.setattr(optimiser, "step", half)
    with pytest.raises(MemoryError):
        step(IMAGES, LABELS)
    assert step.updating


def test_what_is_kept_and_logged_of_it_is_its_scale():
    step, again = (Step(*network(), loss_scale=LossScale(factor)) for factor in (4.0, 2.0))
    step(IMAGES, LABELS)
    assert step.state() == {"loss_scale": {"factor": 4.0, "waited": 1}}
    assert step.report() == {"loss_scale": 4.0}
    again.load_state({"progress": {}} | step.state())
    assert again.state() == step.state()
    again.load_state({})  # of an older checkpoint
    assert again.state() == step.state()
    assert Step(*network()).report() == {}
