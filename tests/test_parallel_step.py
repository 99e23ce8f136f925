"""A step over several ranks is a step of one: the same weights, from every way to share out a batch."""

import numpy as np
import pytest
from helpers import normal
from threads_as_ranks import together

from minicnn.data.share import Share
from minicnn.nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential
from minicnn.ops import cross_entropy
from minicnn.optim import SGD, LossScale
from minicnn.training import exchange
from minicnn.training.diagnosis import PACE, Diverged, Pace
from minicnn.training.parallel import Ranks, RanksDiffer, check_alike
from minicnn.training.parallel_step import ParallelStep
from minicnn.training.step import Step

CLASSES = 3


def network(generator=1):
    random = np.random.default_rng(generator)
    return Sequential(Conv2d(2, 4, 3, padding=1, generator=random), ReLU(), MaxPool2d(3, 2), Flatten(),
                      Dropout(0.3, key=5), Linear(16, 8, generator=random), ReLU(), Dropout(0.5, key=6),
                      Linear(8, CLASSES, generator=random))  # fmt: skip


def step_of(net, **settings):
    return Step(net, SGD(net.named_parameters(), lr=0.1, weight_decay=0.01), **settings)


def batches(sizes):
    return [(normal(n, 2, 6, 6, seed=i).astype(np.float32), np.random.default_rng(i).integers(0, CLASSES, n))
            for i, n in enumerate(sizes)]


def trained(sizes, ranks=None, in_order=0, step=step_of, weight=len):
    """Losses, and all that is learned, after a step for each batch; by an ordinary step where there are no ranks."""
    net = network()
    taken, share = step(net), Share()
    if ranks:
        taken = ParallelStep(taken, ranks, in_order, weight)
        share = taken.share
    found = [taken.of([(x[cut], labels[cut]) for cut in share.cuts(len(labels))]) for x, labels in batches(sizes)]
    state = net.state_dict() | {f"velocity.{name}": v for name, v in taken.optimiser.state_dict().items()}
    return [loss for loss, _ in found], [y for _, logits in found for y in logits], state


SIZES = [(12, 12, 12, 12, 7), (1, 2, 3), (5, 1, 9)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("bucket", [0, 300, 2**22])
def test_the_weights_are_those_of_one_rank(size, sizes, bucket, monkeypatch):
    monkeypatch.setattr(exchange, "BUCKET", bucket)
    losses, _, state = trained(sizes)
    for theirs, _, other in together(size, lambda ranks: trained(sizes, ranks)):
        np.testing.assert_allclose(theirs, losses, rtol=1e-5)
        for name, array in state.items():
            np.testing.assert_allclose(other[name], array, rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("sizes", SIZES)
def test_in_order_they_have_the_same_bits_on_any_number_of_ranks(sizes):
    losses, _, state = trained(sizes, Ranks(), in_order=4)
    for size in (1, 2, 3, 4):
        for theirs, _, other in together(size, lambda ranks: trained(sizes, ranks, in_order=4)):
            assert theirs == losses
            assert all((array == other[name]).all() for name, array in state.items()), size
    plain = trained(sizes)[2]
    for name, array in plain.items():
        np.testing.assert_allclose(state[name], array, rtol=2e-5, atol=2e-6, err_msg=name)


def test_all_ranks_have_the_same_bits():
    first, *others = (state for *_, state in together(3, lambda ranks: trained(SIZES[0], ranks)))
    assert all((other[name] == array).all() for other in others for name, array in first.items())


def test_labels_may_count_unequally():
    weights = np.float32([0.5, 2, 3])
    counted = lambda labels: float(weights[labels].sum())  # noqa: E731
    step = lambda net: step_of(net, loss=lambda y, labels: cross_entropy(y, labels, weight=weights))  # noqa: E731
    losses, _, state = trained((9, 5), step=step)
    for theirs, _, other in together(3, lambda ranks: trained((9, 5), ranks, step=step, weight=counted)):
        np.testing.assert_allclose(theirs, losses, rtol=1e-5)
        for name, array in state.items():
            np.testing.assert_allclose(other[name], array, rtol=2e-5, atol=2e-6, err_msg=name)


def test_the_logits_are_those_of_ones_own_images():
    whole = trained((7,))[1][0]
    parts = [y for _, logits, _ in together(3, lambda ranks: trained((7,), ranks)) for y in logits]
    assert list(map(len, parts)) == [3, 2, 2]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5)


def test_without_an_image_there_is_no_step():
    def work(ranks):
        taken = ParallelStep(step_of(network()), ranks)
        before = {name: a.copy() for name, a in taken.model.state_dict().items()}
        none = normal(0, 2, 6, 6).astype(np.float32), np.zeros(0, np.int64)
        assert taken.of([none]) is None
        with pytest.raises(ValueError, match="no rank has an image"):
            taken(*none)
        assert all((a == before[name]).all() for name, a in taken.model.state_dict().items())

    together(2, work)


def test_a_loss_that_is_not_finite_is_so_for_all_and_nothing_has_changed():
    def work(ranks):
        taken = ParallelStep(step_of(network()), ranks)
        before = {name: a.copy() for name, a in taken.model.state_dict().items()}
        images, labels = batches((4,))[0]
        said = "the loss is nan; the first output that is not finite is that of 0; the learning rate is 0.1"
        with pytest.raises(Diverged, match=said) as found:
            taken(images * (np.nan if ranks.rank == 1 else 1), labels)
        assert all((a == before[name]).all() for name, a in taken.model.state_dict().items())
        return str(found.value)

    assert len(set(together(3, work))) == 1


def test_who_has_other_facts_is_named():
    def work(ranks):
        check_alike(ranks, {"NumPy": "2.1", "--lr": 0.1})
        with pytest.raises(ValueError, match=r"^rank 2 on here has --lr 0.3, rank 0 on here has 0.1: let all ranks "):
            check_alike(ranks, {"NumPy": "2.1", "--lr": 0.3 if ranks.rank == 2 else 0.1})

    together(3, work)


def test_who_has_other_weights_is_named():
    def work(ranks):
        taken = ParallelStep(step_of(network()), ranks)
        taken.check()
        if ranks.rank == 1:
            taken.model.layers[-1].bias.writable()[0] = 1e-7
        with pytest.raises(RanksDiffer, match="the weights of rank 1 on here are not those of the others"):
            taken.check()

    together(3, work)


@pytest.mark.parametrize("slow, named", [(1.4, False), (1.6, True)])
def test_a_rank_for_which_all_others_wait_is_named_once(slow, named, capsys):
    ranks = Ranks()
    ranks.hosts = ["a", "a", "b"]
    pace = Pace(ranks)
    for _ in range(3 * PACE):
        pace.see([1.0, slow, 0.9])
    said = capsys.readouterr().err
    assert said == named * ("rank 1 on a needs 1.60 s for its part of a step, the others 0.95 s, and wait for it: does "
                            "something else run there?\n")


def test_one_rank_is_never_slow(capsys):
    pace = Pace(Ranks())
    for _ in range(3 * PACE):
        pace.see([9.0])
    assert capsys.readouterr().err == ""


def test_a_loss_that_is_scaled_for_half_precision():
    scaled = lambda net: step_of(net, loss_scale=LossScale(2.0**12, patience=None))  # noqa: E731
    _, _, state = trained((6, 5))
    for _, _, other in together(2, lambda ranks: trained((6, 5), ranks, step=scaled)):
        for name, array in state.items():
            np.testing.assert_allclose(other[name], array, rtol=2e-5, atol=2e-6, err_msg=name)
