"""The report of a diagnosis, as people read it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..console import printable
from .cause import Cause
from .examine import Measured

__all__ = ["Report"]

HEAD = ("layer", "mean", "deviation", "apart", "common", "dead", "gradient", "step / w")


@dataclass(frozen=True, eq=False)
class Report:
    """measured: the numbers. causes: what they show; there is none where nothing is wrong that is measured. Printed, it
    is the numbers, the causes, and what mends each."""

    measured: Measured
    causes: list[Cause]

    @property
    def healthy(self) -> bool:
        """Whether no cause was found."""
        return not self.causes

    def __str__(self) -> str:
        return "\n".join([*self.numbers(), "", self.verdict()])

    def verdict(self) -> str:
        """The causes, two lines for each; or that there is none."""
        if self.causes:
            return "\n".join(f"{cause}" for cause in self.causes)
        m = self.measured
        if m.learned:
            return "healthy: what it says of pictures has to do with their labels, and nothing measured is wrong"
        if len(m.history) < 200:
            return "healthy: it has learned little so far, and nothing measured is wrong"
        return ("healthy as far as is measured: it has learned nothing yet, and none of these numbers says why: "
                "pictures, labels, signal, gradients and steps are as they should be")

    def numbers(self) -> Iterator[str]:
        """What was measured, line by line."""
        m, p = self.measured, self.measured.pixels
        begun = f"first {m.history[0]:.4g}, last {float(np.mean(m.history[-20:])):.4g}, " if m.history else ""
        yield (f"loss     {begun}now {m.loss:.4g}; guessing costs ln({m.classes}) = {m.ln:.3f}, knowing how often each "
               f"class comes {m.labels.knows:.3f}")
        yield (f"pixels   {p.least:.3g} to {p.greatest:.3g}, mean {p.mean:.3g}, deviation {p.deviation:.3g}; they tell "
               f"pictures apart by {p.apart:.3g} and have {p.common:.3g} in common; {p.different} of {p.count} differ")
        counts, (held, by_chance) = m.labels.counts, m.labels.batches
        hold = "a batch holds" if m.labels.joined == 1 else f"{m.labels.joined} in a row hold"
        order = f"; {hold} {held:.1f} classes, in random order {by_chance:.1f}" if by_chance else ""
        yield (f"labels   {int((counts > 0).sum())} of {m.classes} classes, {counts.min():,} to {counts.max():,} "
               f"pictures{order}")
        if m.probe:
            enough = "" if m.probe.could_tell() else "; too few to tell"
            yield (f"         a linear classifier on colours and edges: {m.probe.right} of {m.probe.count} right, by "
                   f"chance {m.probe.by_chance:.0f} ± {m.probe.spread:.0f}{enough}")
        if m.validation is not None:
            labels, said = m.validation
            yield f"         the network, of other pictures: {int((labels == said).sum())} of {len(labels)} right"
        yield from self.table()
        if m.line:
            yield ("step     loss after one along the gradient, by rate: "
                   + ", ".join(f"{rate:.3g}: {loss:.3g}" for rate, loss in m.line))
        if (o := m.optimiser) is not None:
            yield f"         rate {o.lr:g}, momentum {o.momentum:g}, weight decay {o.weight_decay:g}"

    def table(self) -> list[str]:
        """The layers with weights: of their outputs the mean, the deviation, what tells pictures apart and what these
        have in common, the share of dead units; the norm of the gradient; the next step beside the weights."""
        rows: list[tuple[str, ...]] = [HEAD]
        for layer in self.measured.layers:
            s = layer.signal
            seen = ("–",) * 5 if not layer.met else (*(f"{x:.2g}" for x in (s.mean, s.deviation, s.apart, s.common)),
                                                  "–" if s.dead is None else f"{s.dead:.0%}")
            moved = f"{layer.update / layer.weight:.1e}" if layer.weight and math.isfinite(layer.weight) else "–"
            rows.append((printable(layer.name), *seen, "none" if layer.gradient is None else f"{layer.gradient:.2g}",
                         moved))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:],
                                                                                               strict=True))])
                for row in rows]
