"""The log of a run for machines: a file of JSON lines, one a step and one an epoch."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from ..files import written_aside

__all__ = ["Log", "to_json"]

DRAWN = ("loss", "top1", "train_loss", "train_top1", "val_loss", "val_top1")


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON that every program can read: what is not finite, of which JSON knows nothing, becomes null."""
    return json.dumps(_finite(value), allow_nan=False, indent=indent)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    value = value.item() if hasattr(value, "item") else value  # a number of NumPy's
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_line(found: Any) -> bool:
    """Whether a line is one of ours: its step and epoch are whole numbers, and what is drawn of it numbers or null."""
    if not isinstance(found, dict) or any(type(found.get(name, 0)) is not int for name in ("step", "epoch")):
        return False
    return "step" in found and all(found.get(name) is None or type(found[name]) in (int, float) for name in DRAWN)


class Log:
    """Lines with a ``step``, in ``path``; those that end an epoch have its validation scores too. A number that was not
    finite is None, in logs of old too, which have NaN. Of five classes or fewer there is no ``top5``, ``train_top5`` or
    ``val_top5``. writes: False for one of many who would write the same."""

    def __init__(self, path: str | os.PathLike[str], writes: bool = True):
        self.path, self.writes = Path(path), writes

    def write(self, line: dict[str, Any]) -> None:
        """Append a line; it is on its way to the disk when this returns. Raises OSError when that fails."""
        if not self.writes:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(to_json(line) + "\n")
        except OSError as error:  # that of a write bears no name
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def read(self) -> list[dict[str, Any]]:
        """All lines but those that a crash or a full disk cut off, or that are damaged otherwise."""
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""
        lines = []
        for line in text.splitlines():
            try:
                found = json.loads(line, parse_constant=lambda name: None)
            except (ValueError, RecursionError):
                continue
            if _is_line(found):
                lines.append(found)
        return lines

    def forget_after(self, step: int, epochs: int) -> None:
        """Drop the lines of what will be done again, where a run goes on from so many steps and finished epochs."""
        if not self.writes:
            return
        lines = [line for line in self.read() if line["step"] <= step]
        kept = [line for line in lines if "loss" in line or line.get("epoch", 0) <= epochs]
        with written_aside(self.path) as aside:
            aside.write_text("".join(to_json(line) + "\n" for line in kept), encoding="utf-8")
