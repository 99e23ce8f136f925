"""Why a network in which nothing is broken learns nothing: what becomes of the signal, and of the steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ..optim import SGD
from .cause import Cause
from .examine import Measured
from .measure import Layer
from .words import after, first, lower, names, redraw

__all__ = ["FLAT", "OF_SIGNAL", "OF_STEPS", "crushed", "faint", "fast", "flat", "hasty", "lost", "slow", "stopped",
           "uncentred"]

LOUD = 4  # times ln(classes), and 5: the first loss
WIDE, NARROW = 8.0, 0.02  # deviations of pixels
ABOUT, FLAT = 4.0, 1.5  # times what tells pixels apart is what they have in common; where the loss stays: ToTensor's 2
DEAD = 0.9  # of a layer's units
FAINT, LOST = 2e-4, 1e-2  # of what tells pictures apart in the last layer but one: its size, and its share
FAR, FLAT_FAR = 1000, 100  # times the reach of a step: where along the gradient the loss is least; after many steps
STILL = 1e-6  # of its size: what a step moves a layer by where it stays as it is
HASTY = 0.98  # momentum
FADES = 3000  # steps in which weight decay by itself halves a weight
CRUSHING = 0.05  # of a weight, that a step takes by decay
SPIKE = 5  # steps: one alone may be far off in a small batch


def rose(m: Measured) -> bool:
    """Whether the loss was far higher than at the start, for a few steps, or no number."""
    return bool(m.costs) and (not np.isfinite(m.costs).all() or float(
        np.convolve(m.costs, np.full(n := min(SPIKE, len(m.costs)), 1 / n), "valid").max()) > 2 * max(first(m), m.ln))


def high(m: Measured) -> bool:
    """Whether the loss stays above what guessing costs, and does not fall."""
    quarter = len(m.costs) // 4
    return rose(m) or (quarter >= 10 and float(np.mean(m.costs[-quarter:])) > max(
        1.05 * m.ln, 0.95 * float(np.mean(m.costs[quarter : 2 * quarter]))))


def flat(m: Measured) -> bool:
    """Whether many steps have come to no more than what knowing how often each label comes does."""
    return len(m.costs) >= 100 and float(np.mean(m.costs[-50:])) > 0.97 * m.knows


# -- the signal --------------------------------------------------------------------------------------------------------


def pixels(m: Measured) -> Iterator[Cause]:
    """Of another scale than the weights are meant for."""
    p = m.pixels
    numbers = f"they go from {p.least:.3g} to {p.greatest:.3g}, deviation {p.deviation:.3g}, mean {p.mean:.3g}"
    if p.apart < NARROW and p.deviation < 2.5 * NARROW:
        yield Cause("pixels are nearly constant", f"{numbers}; what tells pictures apart is {p.apart:.3g}",
                    "they were scaled twice: divide by 255, or by their deviation, once (--recipe small does)")
    elif p.deviation > WIDE and first(m) > LOUD * m.ln + 5 and m.unit_loss < max(0.5 * m.loss, m.ln + 1):
        yield Cause("pixels are not scaled", f"{numbers}: the first loss is {first(m):.3g}, of pixels of deviation 1 "
                    f"it would be {m.unit_loss:.3g}", "--recipe small, or divide the pixels by their deviation, "
                    f"{p.deviation:.3g}, or by 255")


def uncentred(m: Measured, times: float = ABOUT) -> Iterator[Cause]:
    """Pixels about another middle than 0. Many a network learns all the same, so that this hides no other cause."""
    p = m.pixels
    if p.common > times * p.apart > 0:
        yield Cause("the mean is not taken off the pixels", f"what all pictures have in common is {p.common:.3g}, what "
                    f"tells them apart {p.apart:.3g}", "subtract the mean picture of the training set (Statistics.of)")


def loud(m: Measured) -> Iterator[Cause]:
    if first(m) > LOUD * m.ln + 5:
        met = [layer for layer in m.layers if layer.met]
        worst = max(met, key=lambda layer: layer.signal.deviation, default=None)
        widest = f", {worst.name} one of {worst.signal.deviation:.3g}" if worst else ""
        yield Cause("weights start too large", f"the first loss is {first(m):.3g}, where guessing costs {m.ln:.3f}; "
                    f"the logits have a deviation of {m.logits.deviation:.3g}{widest}", redraw(m))


def dead(m: Measured) -> Iterator[Cause]:
    gone = [layer for layer in m.hidden if (layer.signal.dead or 0) >= DEAD]
    if not gone:
        return
    worst = gone[0]
    numbers = (f"{worst.signal.dead:.0%} of the units of {worst.name} answer to no picture"
               f"{f', so in {names(gone[1:])}' if len(gone) > 1 else ''}; its outputs are {worst.signal.mean:.3g} ± "
               f"{worst.signal.deviation:.3g} before ReLU, its biases {worst.bias:.3g} on average")
    begun = m.costs[:100]
    if not rose(m) and worst.bias < -0.5 * abs(worst.signal.mean):
        yield Cause("biases hold the ReLUs shut", numbers, f"start them at 0: {redraw(m)}")
    elif rose(m) or (begun and max(begun) - min(begun) > 0.05 * m.ln and first(m) > m.costs[-1] + 0.01 * m.ln):
        yield Cause("the rate is too high: the ReLUs died", numbers + after(m), f"{lower(m)}, from the start")
    else:
        yield Cause("the ReLUs are dead", numbers, redraw(m))


def faint(m: Measured) -> Iterator[Cause]:
    """What tells pictures apart is lost on the way, or drowns in what they have in common."""
    if not m.hidden or not m.pixels.apart:
        return
    last = m.hidden[-1]
    s = last.signal
    if s.apart > FAINT and s.share > LOST:
        return
    gains = {b.name: b.signal.apart / (a.signal.apart or 1.0) for a, b in pairwise(m.hidden)} or {last.name: 0.0}
    yield Cause("the signal dies between the layers", f"what tells pictures apart goes from {m.pixels.apart:.3g} in "
                f"the pixels to {s.apart:.2g} in {last.name}, beside {s.common:.2g} that they have in common; most is "
                f"lost in {min(gains, key=gains.__getitem__)}", f"weights that start larger, biases of 0: {redraw(m)}")


OF_SIGNAL = [pixels, loud, dead]


# -- the steps ---------------------------------------------------------------------------------------------------------


def at(m: Measured, rate: float) -> float:
    """The loss after a step at this rate along the gradient, or the nearest that was tried."""
    return min(m.line, key=lambda point: abs(math.log(point[0] / rate)), default=(0.0, math.nan))[1]


def lowest(m: Measured) -> tuple[float, float]:
    """(rate, loss) where the loss is least along the gradient."""
    return min(((rate, loss) for rate, loss in m.line if math.isfinite(loss)), key=lambda point: point[1],
               default=(0.1, math.inf))


def good(m: Measured) -> float:
    """A tenth of the rate at which the loss is least: momentum of 0.9 goes there."""
    return min(max(lowest(m)[0] / 10, 1e-5), 0.1)


def stopped(m: Measured) -> Iterator[Cause]:
    if m.optimiser is not None and not m.optimiser.lr and not m.learned:
        yield Cause("the rate is 0", "no step moves a weight", f"--lr {good(m):.2g} (optimiser.lr)")
    elif not m.moves and any(layer.update for layer in m.layers):
        yield Cause("a step moves nothing", "after step(inputs, labels) all weights have the bits that they had",
                    "call backward(), then optimiser.step(), and zero_grad() before both of them")


def slow(m: Measured) -> Iterator[Cause]:
    o = m.optimiser
    if o is None or not o.lr:
        return
    best, least = lowest(m)
    now, by_labels_alone = m.asked.value, max(0.0, m.ln - m.guess)
    change = f"by {at(m, o.lr) - now:+.1g}" if at(m, o.lr) != now else "by nothing that can be seen"
    still = flat(m) and all(layer.update < STILL * layer.weight for layer in m.layers if layer.met)
    far = best > (FLAT_FAR if flat(m) else FAR) * o.lr / (1 - o.momentum)
    if (far and (still or now - least > 0.02 * m.ln + by_labels_alone)) or (still and o.lars is not None):
        yield Cause("the rate is too low", f"{o.lr:g}: a step changes the loss {change}; along the same "
                    f"line it falls most at {best:g}, from {now:.3f} to {least:.3f}",
                    f"--lr {good(m):.2g} (optimiser.lr)")


def fast(m: Measured) -> Iterator[Cause]:
    o = m.optimiser
    if o is None or not o.lr or any(slow(m)):
        return
    now, one, reach = m.asked.value, at(m, o.lr), at(m, o.lr / (1 - o.momentum))
    level = max(now, m.ln)
    too_far = bool(m.line) and not (one < 2 * level and reach < 8 * level)
    if o.momentum < HASTY and (too_far or (high(m) and not any(crushed(m)))):  # the line is without decay
        moved = {layer.name: layer.update / layer.weight for layer in m.layers if layer.weight}
        most = max(moved, key=moved.__getitem__, default="")
        yield Cause("the rate is too high", f"{o.lr:g}: a step takes the loss from {now:.3g} to {one:.3g}, "
                    f"by momentum on to {reach:.3g}; the next one moves {most} by {moved.get(most, 0):.2g} of its "
                    f"size{after(m)}",
                    f"--lr {min(good(m), o.lr / 10):.2g} (optimiser.lr), from the start" if now < 2 * m.ln else
                    f"{lower(m)}, from the start")


def hasty(m: Measured) -> Iterator[Cause]:
    """Momentum that carries steps too far. It takes a while to gather, so that a network may have learned before."""
    o = m.optimiser
    if o is None or not o.lr or o.momentum < HASTY or m.loss < 0.5 * m.level or any(slow(m)):
        return
    now, reach = m.asked.value, at(m, o.lr / (1 - o.momentum))
    if not reach < 8 * max(now, m.ln) or (high(m) and not m.learned):
        yield Cause("momentum is too high", f"{o.momentum:g}: a step goes on for {1 / (1 - o.momentum):.0f} more, and "
                    f"where they lead the loss is {reach:.3g}, from {now:.3g}{after(m)}",
                    "--momentum 0.9 (SGD(momentum=))")


def decay(m: Measured) -> Iterator[Cause]:
    o = m.optimiser
    if o is None or not o.weight_decay or not o.lr or o.lars is not None or any(fast(m)) or any(hasty(m)):
        return
    halved = halves(o)
    if halved < FADES / 60 or (halved < FADES and 2 * len(pulled(m)) >= len(m.layers)):
        yield too_strong(m, o)


def halves(o: SGD) -> float:
    """In how many steps weight decay by itself halves a weight."""
    return math.log(2) * (1 - min(o.momentum, 0.9)) / (o.lr * o.weight_decay)


def pulled(m: Measured) -> list[Layer]:
    return [layer for layer in m.layers if layer.gradient is not None and layer.decay > 2 * layer.gradient]


def too_strong(m: Measured, o: SGD) -> Cause:
    worst = max(pulled(m) or m.layers, key=lambda layer: layer.decay, default=None)
    pulls = "" if worst is None else (
        f"; in {worst.name} it pulls with {worst.decay:.2g}, the gradient with {worst.gradient or 0:.2g}")
    halved = f"by itself it halves a weight in {halves(o):.0f} steps" if halves(o) > 1 else (
        f"by itself a step takes {o.lr * o.weight_decay:.2g} of a weight, and momentum more")
    return Cause("weight decay is too strong", f"{o.weight_decay:g}: {halved}{pulls}",
                 "--weight-decay 0.0005 (SGD(weight_decay=))")


def crushed(m: Measured) -> Iterator[Cause]:
    """By a decay that leaves nothing of any weight, whatever the gradient; not by a rate at which any would."""
    o = m.optimiser
    if o is None or o.lars is not None or m.learned:
        return
    strongest = max((o._decay(name) for name in o.parameters), default=0.0)
    if o.lr * strongest > CRUSHING and strongest > o.lr:
        yield too_strong(m, o)


def lost(m: Measured) -> Iterator[Cause]:
    """Learned, and gone since: by a checkpoint of before the loss rose."""
    if m.learned and len(m.costs) > 2 * SPIKE and not float(np.mean(m.costs[-SPIKE:])) < 2 * max(first(m), m.ln):
        yield Cause("the rate is too high", "it had learned before the loss rose" + after(m), lower(m))


OF_STEPS = [slow, fast, hasty, decay]
