"""Of every batch, the part that one of several processes computes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

__all__ = ["ALL", "Share"]


@dataclass(frozen=True)
class Share:
    """A batch is cut into so many ``parts``, as equal as can be; ``first`` to ``last`` − 1 of them are one's own. Where
    there are fewer images than parts, some have none, the first not."""

    first: int = 0
    last: int = 1
    parts: int = 1

    @classmethod
    def of(cls, rank: int, size: int, parts: int) -> Share:
        """The parts of one of so many ranks, which come in the order of the ranks."""
        return cls(-(-rank * parts // size), -(-(rank + 1) * parts // size), parts)

    def cuts(self, count: int) -> list[slice]:
        """Where one's own parts of a batch of ``count`` lie."""
        ends = [-(-part * count // self.parts) for part in range(self.first, self.last + 1)]
        return [slice(*pair) for pair in pairwise(ends)]

    def __len__(self) -> int:
        return self.last - self.first


ALL = Share()
