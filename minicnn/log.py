"""The log of a run for machines: a file of JSON lines, one a step and one an epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["Log"]


class Log:
    """Lines with a ``step``, in ``path``; those that end an epoch have its validation scores too."""

    def __init__(self, path: Path):
        self.path = path

    def write(self, line: dict[str, Any]) -> None:
        """Append a line; it is on its way to the disk when this returns. Raises OSError when that fails."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All lines, without the last one where a crash cut it off."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def forget_after(self, step: int, epochs: int) -> None:
        """Drop the lines of what will be done again, where a run goes on from so many steps and finished epochs."""
        lines = [line for line in self.read() if line["step"] <= step]
        kept = [line for line in lines if "val_loss" not in line or line["epoch"] <= epochs]
        aside = self.path.with_suffix(".part")
        aside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        aside.replace(self.path)
