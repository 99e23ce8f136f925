"""What is wrong with a network, its loss, and its steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from .cause import Cause
from .examine import Measured
from .measure import Layer

__all__ = ["BROKEN", "OF_SIGNAL", "OF_STEPS"]

Reader = Callable[[Measured], Iterator[Cause]]
DEAD = 0.9  # of a layer's units
FAINT, LOST = 1e-2, 1e-2  # of what tells pictures apart: its size, and its share of the outputs' mean square
LOUD = 4  # times ln(classes), and 5: the first loss
FAR = 1000  # times the rate: where along the gradient the loss is least
FADES = 3000  # steps in which weight decay alone halves a weight


def names(layers: list[Layer]) -> str:
    return ", ".join(layer.name for layer in layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")


# -- what is broken, whatever the signal ------------------------------------------------------------------------------


def no_numbers(m: Measured) -> Iterator[Cause]:
    bad = [layer for layer in m.layers if not math.isfinite(layer.weight)]
    if bad or not math.isfinite(m.loss) and math.isfinite(m.pixels.mean):
        what = f"weights of {names(bad)} are no numbers" if bad else "the outputs overflow, though pixels and weights " \
            f"are numbers, of a size of {max(layer.weight for layer in m.layers):.2g}"
        began = bool(m.history) and math.isfinite(m.history[0])
        yield Cause("the rate is too high" if began else "the network gives no numbers", f"{what}{after(m)}",
                    f"{lower(m)}, from the start" if began else f"draw them anew: {redraw(m)}")


def after(m: Measured) -> str:
    """What became of the loss, in words."""
    if not m.history:
        return ""
    return (f"; the loss began at {m.history[0]:.3g}, was {most(m)} at most, and is "
            f"{float(np.mean(m.history[-20:])):.3g}").replace("nan", "no number")


def most(m: Measured) -> str:
    return f"{max(m.history):.3g}" if np.isfinite(m.history).all() else "no number"


def of_loss(m: Measured) -> Iterator[Cause]:
    a = m.asked
    if a.error:
        yield Cause("the loss has no gradient", a.error, "let it be computed from the logits by ops of minicnn alone")
    elif a.broken:
        yield Cause("the loss is no number for some classes", f"it is {a.value:g}, where cross-entropy is {m.loss:.3f}; "
                    f"the gradient is no number for classes {some(m, a.broken)}", "mend its class weights: cross_entropy("
                    "weight=) takes one finite number ≥ 0 for each class")
    elif not math.isfinite(a.value) and math.isfinite(m.loss):
        yield Cause("the loss is no number", f"it is {a.value:g}, where cross-entropy is {m.loss:.3f}",
                    "mend its class weights, or what it divides by")
    elif a.ignored:
        yield Cause("some classes do not count in the loss", f"classes {some(m, a.ignored)} get no gradient: a weight of 0",
                    "give each class a weight above 0, as --class-weights balanced does")
    elif a.alike < -0.9:
        yield Cause("the loss has the wrong sign", f"its gradient is {a.factor:.3g} times that of cross-entropy: each "
                    "step makes right answers less probable", "turn its sign")
    elif a.alike > 0.9 and not 0.02 < a.factor < 50 or abs(a.factor) < 1e-5:
        yield Cause(f"the loss is scaled {'down' if abs(a.factor) < 1 else 'up'}", f"its gradient is {a.factor:.3g} "
                    "times that of cross-entropy", f"leave the factor out, or a rate {1 / a.factor:.3g} times as high"
                    if a.factor else "leave the factor out")
    elif m.softmax_inside:
        yield Cause("softmax is taken twice", "the outputs of every picture add up to 1, and cross_entropy takes softmax "
                    "itself", "let the network end with its last linear layer")


def some(m: Measured, labels: list[int]) -> str:
    return ", ".join(m.names[k] for k in labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")


def dropout(m: Measured) -> Iterator[Cause]:
    if m.restless:
        yield Cause("dropout is on at test", f"the same pictures give other outputs the second time, from {m.restless} "
                    "on, in eval mode", "let the layer do nothing where self.training is False")
    lost = {name: share for name, share in m.dropped.items() if share > DEAD}
    if lost:
        name, share = max(lost.items(), key=lambda item: item[1])
        yield Cause("dropout drops nearly everything", f"{name} sets {share:.1%} of what comes to 0 in training",
                    "Dropout(0.5)")


def unmoved(m: Measured) -> Iterator[Cause]:
    """Gradients that do not arrive, and parameters that nobody moves."""
    met = [layer for layer in m.layers if layer.signal]
    if not any(layer.gradient is not None for layer in met) or m.asked.error:
        return
    cut = [layer for layer in met if layer.gradient is None and layer.trained]
    if cut:
        above = next((layer.name for layer in met[met.index(cut[-1]) + 1:]), "the loss")
        yield Cause("a gradient is cut off", f"none comes to {names(cut)}: on the way from {above} to {cut[-1].name} the "
                    "graph ends", "no detach(), no_grad() or numpy() on the way")
    still = [layer for layer in met if not layer.trained]
    head = met[-1] in still
    if head or (still and not m.learned and m.history):
        yield Cause("a layer is frozen" if not head else "the last layer is frozen", f"{names(still)}: no step moves "
                    f"{'it' if len(still) == 1 else 'them'}: no requires_grad, a rate of 0, or not given to the "
                    "optimiser", "give SGD model.named_parameters(), no rates of 0, and requires_grad=True")
    if m.accumulates > 0.5:
        yield Cause("gradients are not set to 0 between steps", f"{m.accumulates:.0%} of a gradient of before is in that "
                    "of a step", "call optimiser.zero_grad() before backward()")
    elif m.leftover > 10 and m.loss > 0.5 * m.guess:
        yield Cause("gradients are not set to 0 between steps", "the gradient that was there is "
                    f"{m.leftover:.0f} times that of a batch", "call optimiser.zero_grad() before backward()")


def same(m: Measured) -> Iterator[Cause]:
    empty = [layer for layer in m.hidden if layer.weight == 0 or (layer.same and layer.signal.deviation == 0)]
    alike = [layer for layer in m.hidden if layer.same and layer not in empty]
    if empty:
        yield Cause("weights are 0", f"all of {names(empty)}: what goes through tells no pictures apart",
                    f"draw them at random: {redraw(m)}")
    if alike:
        yield Cause("all units are alike", f"those of {names(alike)} have the same weights, and always will",
                    f"draw them at random: {redraw(m)}")


BROKEN: list[Reader] = [of_loss, no_numbers, dropout, unmoved, same]


# -- the signal -------------------------------------------------------------------------------------------------------


def lower(m: Measured) -> str:
    return f"--lr {m.optimiser.lr / 10:.3g} (optimiser.lr)" if m.optimiser else "a tenth of the rate"


def redraw(m: Measured) -> str:
    return "--recipe small (nn.initialise with He's √(2 / fan-in))"


def first(m: Measured) -> float:
    """The first loss: of the run, or of a network that no step has moved."""
    return m.history[0] if m.history else m.loss


def rose(m: Measured) -> bool:
    """Whether the loss was far higher than at the start, or no number."""
    return bool(m.history) and (not np.isfinite(m.history).all() or max(m.history) > 2 * max(first(m), m.ln))


def high(m: Measured) -> bool:
    """Whether the loss stays above what guessing costs, and does not fall."""
    quarter = len(m.history) // 4
    return rose(m) or (quarter >= 10 and np.mean(m.history[-quarter:]) > max(
        1.05 * m.ln, 0.95 * float(np.mean(m.history[quarter : 2 * quarter]))))


def pixels(m: Measured) -> Iterator[Cause]:
    """Pixels of another scale than the weights are meant for, or about another middle."""
    p, loud = m.pixels, first(m) > LOUD * m.ln + 5
    numbers = f"they go from {p.least:.3g} to {p.greatest:.3g}, deviation {p.deviation:.3g}, mean {p.mean:.3g}"
    if p.apart < 0.02 and p.deviation < 0.05:
        yield Cause("pixels are nearly constant", f"{numbers}; what tells pictures apart is {p.apart:.3g}",
                    "they were scaled twice: divide by 255, or by their deviation, once (--recipe small does)")
    elif p.deviation > 8 and loud and m.unit_loss < max(0.5 * m.loss, m.ln + 1):
        yield Cause("pixels are not scaled", f"{numbers}: the first loss is {first(m):.3g}, of pixels of deviation 1 it "
                    f"would be {m.unit_loss:.3g}", "--recipe small, or divide the pixels by their deviation, "
                    f"{p.deviation:.3g}, or by 255")
    if p.common > 1.5 * p.apart > 0:
        yield Cause("the mean is not taken off the pixels", f"what all pictures have in common is {p.common:.3g}, what "
                    f"tells them apart {p.apart:.3g}", "subtract the mean picture of the training set (Statistics.of)")


def loud(m: Measured) -> Iterator[Cause]:
    if first(m) > LOUD * m.ln + 5:
        worst = max(m.layers, key=lambda layer: layer.signal.deviation if layer.signal else 0)
        yield Cause("weights start too large", f"the first loss is {first(m):.3g}, where guessing costs {m.ln:.3f}; "
                    f"the logits have a deviation of {m.logits.deviation:.3g}, {worst.name} one of "
                    f"{worst.signal.deviation:.3g}", redraw(m))


def dead(m: Measured) -> Iterator[Cause]:
    gone = [layer for layer in m.hidden if (layer.signal.dead or 0) >= DEAD]
    if not gone:
        return
    worst = gone[0]
    numbers = (f"{worst.signal.dead:.0%} of the units of {worst.name} answer to no picture"
               f"{f', so in {names(gone[1:])}' if len(gone) > 1 else ''}; its outputs are {worst.signal.mean:.3g} ± "
               f"{worst.signal.deviation:.3g} before ReLU, its biases {worst.bias:.3g} on average")
    moved = m.history[:100]
    if rose(m) or (moved and max(moved) - min(moved) > 0.05 * m.ln and first(m) > m.history[-1] + 0.01 * m.ln):
        yield Cause("the rate is too high: the ReLUs died", numbers + after(m), f"{lower(m)}, from the start")
    elif worst.bias < -0.5 * abs(worst.signal.mean):
        yield Cause("biases hold the ReLUs shut", numbers, f"start them at 0: {redraw(m)}")
    else:
        yield Cause("the ReLUs are dead", numbers, redraw(m))


def faint(m: Measured) -> Iterator[Cause]:
    layers = m.hidden
    if not layers:
        return
    last = layers[-1]
    s, begin = last.signal, m.pixels.apart
    if s.apart > FAINT and s.share > LOST:
        return
    weakest = min(zip(layers, layers[1:]), key=lambda two: two[1].signal.apart / (two[0].signal.apart or 1),
                  default=(last, last))[1]
    yield Cause("the signal dies between the layers", f"what tells pictures apart goes from {begin:.3g} in the pixels to "
                f"{s.apart:.2g} in {last.name}, {s.share:.2g} of what that gives; the rest is common to all pictures, of "
                f"size {s.common:.3g}; most is lost in {weakest.name}", f"weights that start larger, and biases of 0: "
                f"{redraw(m)}")


OF_SIGNAL: list[Reader] = [pixels, loud, dead]


# -- the steps --------------------------------------------------------------------------------------------------------


def decay(m: Measured) -> Iterator[Cause]:
    o = m.optimiser
    if o is None or not o.weight_decay or not o.lr:
        return
    halved = math.log(2) * (1 - min(o.momentum, 0.9)) / (o.lr * o.weight_decay)
    pulled = [layer for layer in m.layers if layer.gradient is not None and layer.decay > 2 * layer.gradient]
    if halved < FADES / 60 or (halved < FADES and 2 * len(pulled) >= len(m.layers)):
        worst = max(pulled or m.layers, key=lambda layer: layer.decay)
        yield Cause("weight decay is too strong", f"{o.weight_decay:g}: it alone halves a weight in {halved:.0f} steps; in "
                    f"{worst.name} it pulls with {worst.decay:.2g}, the gradient with {worst.gradient or 0:.2g}",
                    "--weight-decay 0.0005 (SGD(weight_decay=))")


def at(m: Measured, rate: float) -> float:
    return min(m.line, key=lambda point: abs(math.log(point[0] / rate)))[1]


def slow(m: Measured) -> Iterator[Cause]:
    o = m.optimiser
    if o is None:
        return
    if not o.lr:
        yield Cause("the rate is 0", "no step moves a weight", f"--lr {good(m):.3g} (optimiser.lr)")
        return
    if not m.line:
        return
    finite = [(rate, loss) for rate, loss in m.line if math.isfinite(loss)]
    best, least = min(finite, key=lambda point: point[1], default=(o.lr, math.inf))
    reach = o.lr / (1 - o.momentum)
    if best > FAR * reach and m.asked.value - least > 0.02 * m.ln + max(0.0, m.ln - m.guess):
        yield Cause("the rate is too low", f"{o.lr:g}: a step changes the loss by {at(m, o.lr) - m.asked.value:+.2g}, along "
                    f"the same line it falls most at {best:g}, from {m.asked.value:.3f} to {least:.3f}",
                    f"--lr {good(m):.3g} (optimiser.lr)")


def good(m: Measured) -> float:
    """A tenth of the rate at which the loss is least along the gradient, at which momentum of 0.9 gets there."""
    finite = [(rate, loss) for rate, loss in m.line if math.isfinite(loss)]
    best = min(finite, key=lambda point: point[1], default=(0.01, 0.0))[0]
    return min(max(best / 10, 1e-4), 0.1)


def fast(m: Measured) -> Iterator[Cause]:
    o = m.optimiser
    if o is None or not o.lr or any(slow(m)):
        return
    now = m.asked.value
    one = at(m, o.lr) if m.line else math.nan
    reach = at(m, o.lr / (1 - o.momentum)) if m.line else math.nan
    too_far = bool(m.line) and not (one < 2 * max(now, m.ln) and reach < 8 * max(now, m.ln))
    numbers = f"{o.lr:g}: the next step takes the loss from {now:.3g} to {one:.3g}"
    grown = max(m.layers, key=lambda layer: layer.update / layer.weight if layer.weight else 0.0, default=None)
    if grown and grown.weight:
        numbers += f", and moves {grown.name} by {grown.update / grown.weight:.2g} of its size"
    if o.momentum >= 0.98 and (high(m) or too_far):
        yield Cause("momentum is too high", f"{o.momentum:g}: a step goes on for {1 / (1 - o.momentum):.0f} more, and where "
                    f"they lead the loss is {reach:.3g}, from {now:.3g}", "--momentum 0.9 (SGD(momentum=))")
    elif too_far or high(m):
        yield Cause("the rate is too high", numbers + after(m), f"--lr {min(good(m), o.lr / 10):.2g} (optimiser.lr), from the start")


OF_STEPS: list[Reader] = [decay, slow, fast]
