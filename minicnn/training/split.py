"""AlexNet over several ranks: its convolutions divide the images, its fully connected layers their units.

Of AlexNet the convolutions hold 4 % of the weights and do 92 % of the work, and the fully connected layers all the
rest (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997). So images
are best divided in the first, where few gradients are to be added up, and units in the second, whose weights then stay
where they are, while what they see travels:

    conv1 … conv5     own images, all maps; gradients are added up over the ranks, see ``exchange.py``
    gather images
    fc6               all images, own units
    gather units
    fc7               all images, own units
    gather units
    fc8               all images, own classes
    gather classes
    loss              own images
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import numpy as np

from ..engine.memory import Array
from ..engine.op import remember
from ..engine.tensor import Tensor
from ..models import AlexNet
from ..nn import Dropout, Linear, Sequential
from ..optim import Squares
from .parallel import Ranks

__all__ = ["Split", "gather_over_ranks"]


def gather_over_ranks(x: Tensor, ranks: Ranks, axis: int) -> tuple[Tensor, slice]:
    """The x of all ranks side by side, in their order, along axis 0, of images, or 1, of units; and where among them
    one's own are. A rank may have more of them than another, or none.

        y = (x₀, x₁, …);    ∂L/∂x of rank r = Σ over all ranks of the slice r of their ∂L/∂y

    That is the gradient of the sum L of what all ranks compute from their y, alike or not. They must all call this, and
    go backward, in the same order. What it sends is counted in ``ranks.sent``. Raises what ``Ranks.all_to_all`` raises.
    """
    own = x._array
    with x.device:
        every = ranks.all_to_all([own] * ranks.size)
        y = np.concatenate(every, axis)
    ranks.sent["forward"] += (ranks.size - 1) * own.nbytes
    ends = list(accumulate(part.shape[axis] for part in every))[:-1]

    def pullback(gy: Array) -> Array:
        parts = np.split(gy, ends, axis)
        ranks.sent["backward"] += gy.nbytes - parts[ranks.rank].nbytes
        first, *others = ranks.all_to_all(parts)
        return sum(others, start=first)

    start = [0, *ends][ranks.rank]
    return remember("gather_over_ranks", y, [x], [pullback], x.device), slice(start, start + own.shape[axis])


class Split:
    """Divides the fully connected layers of ``model`` over the ranks: of each, a rank keeps as many units as the
    others, or one less, and lets go of the rest. From then on the model takes a rank's own images and gives their
    logits, and all ranks must call it together, also those that have no image.

    The model is the whole one, the same on all ranks, as it was built or started. An optimiser is made after this, and
    steps are taken by a ``ParallelStep``.

    units: of each parameter that is divided, by its name, how many there are in all, and which are here.
    """

    def __init__(self, model: AlexNet, ranks: Ranks):
        self.model, self.ranks = model, ranks
        self.units: dict[str, tuple[int, slice]] = {}
        self.images = slice(0)  # of those of all ranks, one's own, in the present batch
        for name, layer in model.named_modules():
            if isinstance(layer, Linear):
                for kind in ("weight", "bias"):
                    count = len(getattr(layer, kind).data)
                    (own,) = ranks.share().cuts(count)
                    self.units[f"{name}.{kind}"] = count, own
                    self._put(layer, kind, getattr(layer, kind).numpy()[own])
        self._count_units(1)
        model.over_ranks = self

    def __call__(self, row: str, x: Tensor) -> Tensor:
        """What comes to a row, or, without a name, out of the last, where x is what this rank has of it."""
        if row == "fc6":
            y, self.images = gather_over_ranks(x, self.ranks, 0)
            return y
        if row not in ("fc7", "fc8", ""):
            return x
        y, _ = gather_over_ranks(x, self.ranks, 1)
        return y if row else y[self.images]

    def add_up(self, squares: Squares) -> Squares:
        """Sums of squares by the names of parameters: of the divided ones those of all ranks together."""
        every = self.ranks.gather({name: squares[name] for name in squares if name in self.units})
        return squares | {name: (sum(each[name][0] for each in every), sum(each[name][1] for each in every))
                          for name in every[0]}

    # -- whole again ---------------------------------------------------------------------------------------------------

    def whole(self, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A state, by the names of parameters behind a first word, as "model.fc8.bias", with the units of all ranks: on
        rank 0. For all others, who must ask too, there is nothing."""
        every = {name: self._all_units(array) if self._units_of(name) else array for name, array in state.items()}
        return {} if self.ranks.rank else every

    def part(self, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Of such a state what is this rank's. Raises ValueError where a layer has another number of units."""
        parts = dict(state)
        for name, array in state.items():
            if units := self._units_of(name):
                count, own = units
                if np.shape(array)[:1] != (count,):
                    raise ValueError(f"Split: {name} has {count} units here and the shape {np.shape(array)} in the "
                                     "state: it is the state of another model")
                parts[name] = array[own]
        return parts

    def join(self) -> None:
        """Let rank 0 have the whole model again, which it can then call alone. On all others it is of no more use."""
        for layer in self.model.modules():
            if isinstance(layer, Linear):
                for kind in ("weight", "bias"):
                    self._put(layer, kind, self._all_units(getattr(layer, kind).numpy()))
        self._count_units(-1)
        self.model.over_ranks = None

    def _units_of(self, name: str) -> tuple[int, slice] | None:
        return self.units.get(name.partition(".")[2])

    def _all_units(self, array: np.ndarray) -> np.ndarray:
        """On rank 0 the parts of all ranks, one below the other."""
        return np.concatenate(self.ranks.all_to_all([array, *[array[:0]] * (self.ranks.size - 1)]))

    def _put(self, layer: Linear, kind: str, values: np.ndarray) -> None:
        setattr(layer, kind, Tensor(values, requires_grad=True, device=getattr(layer, kind).device))

    def _count_units(self, sign: int) -> None:
        """Let dropout behind a divided layer count its units from the first of this rank, as in the whole layer."""
        for name, row in self.model.named_modules():
            before = 0
            for i, layer in enumerate(row if isinstance(row, Sequential) else ()):
                if isinstance(layer, Linear):
                    before = self.units[f"{name}.{i}.bias"][1].start
                elif isinstance(layer, Dropout):
                    layer.first_unit += sign * before
