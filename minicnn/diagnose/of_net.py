"""What is broken in a network, its loss, or what is trained of it: whatever becomes of a signal or a step in it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .cause import Cause
from .examine import Measured
from .measure import Layer
from .of_steps import crushed, fast, flat, slow
from .words import after, lower, names, redraw, some

__all__ = ["BROKEN", "no_numbers"]

DROPS = 0.9  # of what comes
HIDES = 100  # times what tells pictures apart before a last step than after it
TOO_SMALL, TOO_LARGE, NONE = 0.02, 50.0, 1e-5  # times the gradient of cross-entropy
LEFT = 10  # times a gradient: what was there before it


def of_loss(m: Measured) -> Iterator[Cause]:
    a = m.asked
    if a.error:
        yield Cause("the loss cannot be computed", a.error, "let it take these logits and labels, and give one number")
    elif a.constant:
        yield Cause("the loss has no gradient", f"it is {a.value:g}, and does not depend on the logits", "let it be "
                    "computed from the logits by ops of minicnn alone")
    elif a.broken:
        yield Cause("the loss is no number for some classes", f"it is {a.value:g}, cross-entropy {m.loss:.3f}; there "
                    f"is no number for a gradient of {some(m, a.broken)}", "mend its class weights: one finite number "
                    "above 0 for each class")
    elif not math.isfinite(a.value) and math.isfinite(m.loss):
        yield Cause("the loss is no number", f"it is {a.value:g}, where cross-entropy is {m.loss:.3f}",
                    "mend its class weights, or what it divides by")
    elif a.ignored:
        yield Cause("some classes do not count in the loss", f"{some(m, a.ignored)} get no gradient: a weight of 0",
                    "give each class a weight above 0, as --class-weights balanced does")
    elif a.alike < -0.9:
        yield Cause("the loss has the wrong sign", f"its gradient is {a.factor:.3g} times that of cross-entropy: each "
                    "step makes right answers less probable", "turn its sign")
    elif a.alike < min(0.05, 0.5 / math.sqrt(m.classes)) and not m.learned:  # other labels have -1 / classes
        yield Cause("the loss does not ask for these labels", f"the cosine between its gradient and that of "
                    f"cross-entropy is {a.alike:.2f} for the pictures that are not right yet", "let logits and labels "
                    "of one picture stand at the same place")
    elif m.summed and shows(m):
        yield Cause("the loss is a sum over the batch", f"its gradient is {a.factor:.3g} times that of the mean over "
                    f"{a.count} pictures", "divide it by their number, or take a rate that is as many times lower")
    elif not m.learned and (abs(a.factor) < NONE or (
            a.alike > 0.9 and not TOO_SMALL < a.factor < TOO_LARGE and shows(m))):  # fmt: skip
        yield Cause(f"the loss is scaled {'down' if abs(a.factor) < 1 else 'up'}", f"its gradient is {a.factor:.3g} "
                    "times that of cross-entropy", "leave the factor out"
                    + (f", or take a rate {1 / a.factor:.3g} times as high" if a.factor > 0 else ""))
    elif m.softmax_inside and a.alike > 0.99 and a.factor < 5:
        yield Cause("softmax is taken twice", "the outputs of every picture add up to 1, and cross_entropy takes "
                    "softmax itself", "let the network end with its last linear layer")


def shows(m: Measured) -> bool:
    """Whether the rate was not chosen for a loss of this size."""
    return not m.learned and (flat(m) or any(fast(m)) or any(slow(m)))


def follows(m: Measured) -> Iterator[Cause]:
    """Something between the last layer with weights and the loss, that lets little or nothing through."""
    if not m.follows or m.learned or (m.softmax_inside and m.asked.alike > 0.99):
        return
    last = [layer for layer in m.layers if layer.met][-1]
    if m.logits.apart * (2 if flat(m) else HIDES) < last.signal.apart:
        yield Cause("something follows the last layer", f"{last.name} gives {last.signal.mean:.3g} ± "
                    f"{last.signal.deviation:.3g}, the network {m.logits.mean:.3g} ± {m.logits.deviation:.3g}",
                    "let the network end with its last linear layer: cross_entropy takes any numbers")


def no_numbers(m: Measured) -> Iterator[Cause]:
    """Weights or outputs that are none, of pixels that are."""
    bad = [layer for layer in m.layers if not math.isfinite(layer.weight)]
    if not bad and (math.isfinite(m.loss) or not math.isfinite(m.pixels.mean)):
        return
    what = f"weights of {names(bad)} are no numbers" if bad else (
        "the outputs overflow; pixels and weights are numbers, these of a size of up to "
        f"{max((layer.weight for layer in m.layers), default=0.0):.2g}")
    if m.history and math.isfinite(m.history[0]):
        yield Cause("the rate is too high", what + after(m), f"{lower(m)}, from the start")
    else:
        yield Cause("the network gives no numbers", what, f"draw its weights anew: {redraw(m)}")


def dropout(m: Measured) -> Iterator[Cause]:
    if m.restless:
        yield Cause("dropout is on at test", "the same pictures give other outputs the second time, from "
                    f"{m.restless} on, in eval mode", "let the layer do nothing where self.training is False")
    if not m.learned and (name := next((name for name, share in m.dropped.items() if share >= DROPS), "")):
        yield Cause("dropout drops nearly everything", f"{name} sets {m.dropped[name]:.1%} of what comes to 0 in "
                    "training", "Dropout(0.5)")


def cut_off(m: Measured) -> Iterator[Cause]:
    """Layers that are to be trained, to which no gradient comes though it comes to others."""
    met = [layer for layer in m.layers if layer.met]
    cut = [layer for layer in met if layer.gradient is None and layer.trained]
    if cut and len(cut) < len(met):
        above = next((layer.name for layer in met[met.index(cut[-1]) + 1 :]), "the loss")
        yield Cause("a gradient is cut off", f"none comes to {names(cut)}: on the way from {above} to {cut[-1].name} "
                    "the graph ends", "no detach(), no_grad() or numpy() on the way")


def frozen(m: Measured) -> Iterator[Cause]:
    """The last layer; others may be meant to stay, unless nothing is learned."""
    met = [layer for layer in m.layers if layer.met]
    still = [layer for layer in met if not layer.trained]
    head = not any(layer.trained for layer in [layer for layer in met if layer.head] or met[-1:])
    if still and not m.learned and (head or len(m.history) >= 100):
        yield Cause("the last layer is frozen" if head else "layers are frozen", f"no step moves {names(still)}: "
                    "no requires_grad, a rate of 0, or not given to the optimiser",
                    "SGD(model.named_parameters()), no rates= of 0, and requires_grad=True")


def adding_up(m: Measured) -> Iterator[Cause]:
    numbers = ""
    if m.accumulates > 0.5:
        numbers = f"{m.accumulates:.0%} of a gradient of before is in that of a step"
    elif m.leftover > LEFT * max(1.0, (m.asked.count / m.size) ** 0.5) and m.loss > 0.5 * m.level:
        numbers = f"the gradient that was there is {m.leftover:.0f} times that of a batch"
    if numbers:
        yield Cause("gradients are not set to 0 between steps", numbers, "call optimiser.zero_grad() before backward()")


def same(m: Measured) -> Iterator[Cause]:
    """Units that are alike get like gradients, and stay so. Those of the last layer may be: labels tell them apart."""
    if any(crushed(m)):
        return
    alike = [layer for layer in m.hidden if layer.same]
    empty = [layer for layer in alike if not layer.signal.apart and not m.logits.apart]  # else there is a way around
    others: list[Layer] = [layer for layer in alike if layer.signal.apart]
    for found, name, why in ((empty, "weights are 0", "what goes through tells no pictures apart"),
                             (others, "all units are alike", "they have the same weights, and always will")):
        if found:
            yield Cause(name, f"in {names(found)}: {why}", f"draw them at random: {redraw(m)}")


BROKEN = [of_loss, follows, no_numbers, dropout, cut_off, frozen, adding_up, same]
