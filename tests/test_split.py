"""AlexNet whose fully connected layers are divided over the ranks is AlexNet: the same weights, whatever is divided."""

import functools

import numpy as np
import pytest
from helpers import agree, normal
from hypothesis import given
from hypothesis import strategies as st
from threads_as_ranks import together

from minicnn import Tensor, checkpoint, cpu, no_grad
from minicnn.models import alexnet
from minicnn.optim import SGD, LossScale
from minicnn.schedule import StepSchedule
from minicnn.training.diagnosis import Diverged
from minicnn.training.keeping import Checkpoints, Progress
from minicnn.training.parallel import RankFailed
from minicnn.training.parallel_step import ParallelStep
from minicnn.training.scores import as_loader, evaluate, shared
from minicnn.training.split import Split, gather_over_ranks
from minicnn.training.step import Step

pytestmark = pytest.mark.processor  # ranks are threads here, and a stand-in for GPUs knows one
CLASSES, WIDTH = 3, 1 / 32
TWO, ONE = (cpu(0), cpu(1)), (cpu(0), cpu(0))
SIZES = (4, 3, 3, 2, 1)  # of the batches of five steps


# -- the op ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(any), st.integers(0, 1))
def test_all_that_there_is_side_by_side_and_the_sum_of_all_gradients(sizes, axis):
    xs = [normal(*((n, 2) if axis == 0 else (2, n)), seed=rank) for rank, n in enumerate(sizes)]
    whole = np.concatenate(xs, axis)
    scales = [normal(*whole.shape, seed=10 + rank) for rank in range(len(sizes))]  # what each rank makes of it

    def work(ranks):
        x = Tensor(xs[ranks.rank], requires_grad=True, device=cpu(1))
        y, own = gather_over_ranks(x, ranks, axis)
        assert (y.device, y.dtype) == (x.device, x.dtype)
        (y * Tensor(scales[ranks.rank], device=cpu(1))).sum().backward()
        return y.numpy(), own, x.grad.numpy(), ranks.sent

    for rank, (y, own, gx, sent) in enumerate(together(len(sizes), work)):
        index = (own,) if axis == 0 else (slice(None), own)
        assert (y == whole).all()
        assert (y[index] == xs[rank]).all()
        agree(gx, sum(scales)[index])
        assert sent == {"forward": (len(sizes) - 1) * xs[rank].nbytes, "backward": whole.nbytes - xs[rank].nbytes}


# -- the network -------------------------------------------------------------------------------------------------------


def network(variant="blueprint", devices=TWO):
    return alexnet(variant, CLASSES, devices, WIDTH, generator=np.random.default_rng(1))


def batches(sizes, pixels):
    return [(normal(n, 3, pixels, pixels, seed=i).astype(np.float32), np.random.default_rng(i).integers(0, CLASSES, n))
            for i, n in enumerate(sizes)]


def step_of(net, ranks=None, split=True, **settings):
    """A step; of ranks, that of a net which is divided, or not."""
    if ranks and split:
        Split(net, ranks)
    rule = {"lr": 0.001, "weight_decay": 0.01} | settings
    scale = rule.pop("loss_scale", None)
    step = Step(net, SGD(net.named_parameters(), **rule), loss_scale=scale)
    return ParallelStep(step, ranks) if ranks else step


def trained(variant, sizes=SIZES, ranks=None, devices=TWO, **settings):
    """The losses, the logits of one's own images, and on rank 0 all that is learned, after a step for each batch."""
    net = network(variant, devices)
    step = step_of(net, ranks, **settings)
    found = [step.of([(x[cut], labels[cut]) for cut in step.share.cuts(len(labels))])
             for x, labels in batches(sizes, net.pixels)]
    step.check()
    return [loss for loss, _ in found], [y for _, logits in found for y in logits], step.learned()


@functools.cache
def by_one(variant, devices=TWO, **settings):
    return trained(variant, devices=devices, **settings)


def same(state, expected):
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(state[name], array, rtol=1e-4, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("variant, size, devices", [
    ("blueprint", 1, TWO), ("blueprint", 2, TWO), ("blueprint", 3, ONE), ("blueprint", 4, TWO),
    ("torchvision", 3, ONE)])  # fmt: skip
def test_the_weights_are_those_of_one_rank(variant, size, devices):
    """Ragged batches, fewer images than ranks, fewer classes than ranks; dropout before and behind what is divided."""
    losses, logits, state = by_one(variant, devices)
    every = together(size, lambda ranks: trained(variant, ranks=ranks, devices=devices))
    for theirs, _, _ in every:
        np.testing.assert_allclose(theirs, losses, rtol=1e-4)
    for i, whole in enumerate(logits):
        parts = [theirs[i] for _, theirs, _ in every if len(theirs[i])]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-3, atol=1e-4)
    assert [bool(learned) for *_, learned in every] == [True] + [False] * (size - 1)
    same(every[0][2], state)


@pytest.mark.parametrize("settings", [{"lars": 0.01, "lr": 0.1}, {"loss_scale": LossScale(2.0**12)}])
def test_norms_are_those_of_whole_layers(settings):
    made = lambda: {k: LossScale(v.factor) if k == "loss_scale" else v for k, v in settings.items()}  # noqa: E731
    state = trained("blueprint", SIZES[:2], **made())[2]
    same(together(3, lambda ranks: trained("blueprint", SIZES[:2], ranks, **made()))[0][2], state)


def gradient_norm(ranks=None):
    net = network()
    step = step_of(net, ranks)
    (x, labels), = batches((5,), net.pixels)
    (cut,) = step.share.cuts(5)
    step.update = lambda: None
    step.of([(x[cut], labels[cut])])
    return step.optimiser.gradient_norm()


def test_all_ranks_see_the_norm_of_the_whole_gradient():
    norms = together(3, gradient_norm)
    assert len(set(norms)) == 1
    np.testing.assert_allclose(norms[0], gradient_norm(), rtol=1e-5)


def test_each_rank_keeps_its_units_and_rank_0_can_have_the_whole():
    def work(ranks):
        net = network()
        before = net.state_dict()
        images = normal(2, 3, 224, 224).astype(np.float32)
        split = Split(net, ranks)
        shapes = {name: p.shape for name, p in net.named_parameters()}
        firsts = net.a.fc6.layers[-1].first_unit, net.b.fc7.layers[-1].first_unit
        split.join()
        after = net.state_dict()
        with no_grad():
            right = ranks.rank or (net(images).numpy() == network()(images).numpy()).all()
        return shapes, firsts, ranks.rank or all((after[name] == a).all() for name, a in before.items()), right

    whole = {name: p.shape for name, p in network().named_parameters()}
    every = together(3, work)
    for name, shape in whole.items():
        parts = [shapes[name] for shapes, *_ in every]
        divided = ".fc" in name or name.startswith("fc8")
        assert [part[1:] for part in parts] == [shape[1:]] * 3
        assert parts == [shape] * 3 if not divided else sum(part[0] for part in parts) == shape[0]
    assert [shapes["a.fc6.0.bias"] for shapes, *_ in every] == [(22,), (21,), (21,)]
    assert [firsts for _, firsts, *_ in every] == [(0, 64), (22, 86), (43, 107)]  # tower b counts on from a's 64
    assert all(kept and right for *_, kept, right in every)


def test_validation_is_that_of_one_rank_also_where_a_rank_has_no_image():
    loader = as_loader(batches((5, 1), 224), "test")
    expected = evaluate(network(), loader)

    def work(ranks):
        net = network()
        Split(net, ranks)
        return evaluate(net, shared(loader, ranks.share()), ranks=ranks)

    for scores in together(3, work):
        assert (scores.seen, scores.top1) == (expected.seen, expected.top1)
        np.testing.assert_allclose(scores.loss, expected.loss, rtol=1e-5)


def test_what_is_sent():
    """Maps of 36 places, the units of two layers, classes; and the gradients of the convolutions."""

    def work(ranks):
        step = step_of(network(), ranks)
        (x, labels), = batches((6,), 224)
        (cut,) = step.share.cuts(6)
        step.of([(x[cut], labels[cut])])
        convolutions = sum(p.data.nbytes for name, p in step.model.named_parameters() if "conv" in name)
        return ranks.sent, convolutions

    (sent, convolutions), (other, _) = together(2, work)
    maps, units = 4 * 3 * 8 * 36, 4 * 6 * 64 * 2  # half of the images, and half of the units of two layers
    classes = 4 * 6 * np.array([2, 1])  # of three
    assert [sent["forward"], other["forward"]] == (maps + units + classes).tolist()
    assert [sent["backward"], other["backward"]] == (maps + units + classes[::-1]).tolist()
    assert sent["gradients"] == other["gradients"] == convolutions


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_the_first_layer_that_is_not_finite_is_found_by_all_together():
    def work(ranks):
        step = step_of(network(), ranks)
        if ranks.rank == 1:  # its units of fc6 in tower b
            with no_grad():
                step.model.b.fc6.layers[0].bias[...] = np.nan
        (x, labels), = batches((1,), 224)
        (cut,) = step.share.cuts(1)
        with pytest.raises(Diverged, match=r"the first output that is not finite is that of b\.fc6\.0"):
            step.of([(x[cut], labels[cut])])

    together(2, work)


def test_a_rank_whose_convolutions_are_others_is_found():
    def work(ranks):
        step = step_of(network(), ranks)
        step.check()
        with no_grad():
            step.model.a.conv1.layers[0].bias[0] = ranks.rank // 2
        with pytest.raises(RankFailed, match="the weights of rank 2 on here are not those of the others"):
            step.check()

    together(3, work)


def test_the_same_bits_on_any_number_of_ranks_are_not_to_be_had():
    def work(ranks):
        net = network()
        Split(net, ranks)
        with pytest.raises(ValueError, match=r"4 parts have the same bits .* leave one out"):
            ParallelStep(Step(net, SGD(net.named_parameters())), ranks, 4)

    together(2, work)


# -- what is kept ------------------------------------------------------------------------------------------------------


def kept_by(step, folder):
    return Checkpoints(folder, step, StepSchedule(0.001), ({}, {}), 1)


def some_steps(checkpoints, first, last):
    for x, labels in batches(SIZES, 224)[first:last]:
        checkpoints.step.of([(x[cut], labels[cut]) for cut in checkpoints.step.share.cuts(len(labels))])


def test_a_run_goes_on_with_any_number_of_ranks_divided_or_not(tmp_path):
    def going_on(folder, first, last, ranks=None, split=True):
        checkpoints = kept_by(step_of(network(), ranks, split), folder)
        if first:
            checkpoints.restore(*checkpoint.load(folder / "last.safetensors"), None)
        if ranks:
            ranks.barrier()  # all have read what is written anew
        some_steps(checkpoints, first, last)
        checkpoints.save(Progress(step=last))
        return checkpoint.load(folder / "last.safetensors")[0] if not ranks else None

    expected = going_on(tmp_path / "one", 0, 4)
    for size, split, *steps in ((2, True, 0, 1), (3, False, 1, 2), (3, True, 2, 3)):
        together(size, lambda ranks, split=split, steps=steps: going_on(tmp_path / "many", *steps, ranks, split))
    same(going_on(tmp_path / "many", 3, 4), expected)


def test_all_ranks_go_back_to_the_best(tmp_path):
    def work(ranks):
        checkpoints = kept_by(step_of(network(), ranks), tmp_path)
        some_steps(checkpoints, 0, 1)
        checkpoints.save_epoch(Progress(1, step=1), is_best=True)
        some_steps(checkpoints, 1, 2)
        ranks.barrier()
        checkpoints.step.load_learned(checkpoints.best())
        return checkpoints.step.learned()

    there, nothing = together(2, work)
    assert nothing == {}
    same(there, {name: array for name, array in checkpoint.load(tmp_path / "best.safetensors")[0].items()
                 if name in there})  # fmt: skip


def test_what_a_rank_alone_cannot_save_is_said_to_be_lost(tmp_path):
    def work(ranks):
        checkpoints = kept_by(step_of(network(), ranks), tmp_path)
        some_steps(checkpoints, 0, 1)
        return checkpoints.rescue(Progress(step=1)) if not ranks.rank else ""  # the others are gone

    assert together(2, work)[0] == ("what was learned is lost: it is divided over the ranks, and it takes all of them "
                                    "to save it")  # fmt: skip
    assert not (tmp_path / "last.safetensors").exists()


def test_the_state_of_another_model_is_refused():
    def work(ranks):
        step = step_of(network(), ranks)
        state = Step(network(), SGD(network().named_parameters())).learned()
        for wrong in (np.zeros((4, 128), np.float32), np.float32(1)):
            with pytest.raises(ValueError, match=r"model.fc8.weight has 3 units here and the shape \(.*another model"):
                step.load_learned(state | {"model.fc8.weight": wrong})
        step.load_learned(state)

    together(2, work)
