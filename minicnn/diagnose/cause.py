"""What a diagnosis says."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cause"]


@dataclass(frozen=True)
class Cause:
    """name: what is wrong. numbers: that show it. remedy: the option of examples/train_alexnet.py, with its value, or
    the change, that mends it."""

    name: str
    numbers: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.numbers}\n  → {self.remedy}"
