"""Runs beside each other: what differs in their settings, how well each did, and the curves of all in one picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any

from .console import printable
from .layout import table
from .training.classes import short
from .training.log import Log
from .training.showing import made

__all__ = ["Run", "compare", "compared", "read_run"]

MISSING = "-"


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it. config: its settings. epochs: of the log, the lines that end an epoch."""

    folder: Path
    config: dict[str, Any]
    epochs: list[dict[str, Any]]

    def best(self) -> dict[str, Any]:
        """The line of the epoch with the highest top-1 in validation, of equal ones that with the lowest loss; empty if
        there is none."""
        return max((line for line in self.epochs if line.get("val_top1") is not None),
                   key=lambda line: (line["val_top1"], -(inf if line["val_loss"] is None else line["val_loss"])),
                   default={})

    def seconds(self) -> float:
        """What all its epochs took."""
        return sum(float(line["seconds"]) for line in self.epochs if isinstance(line.get("seconds"), (int, float)))


def read_run(folder: Path) -> Run:
    """The run in a folder. Raises ValueError, in one line, where there is none."""
    way = "give the folder of a run, as train_alexnet.py makes it"
    if not folder.is_dir():
        raise ValueError(f"{folder} is {'a file' if folder.exists() else 'not there'}: {way}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no config.json: {way}") from None
    except OSError as error:
        raise ValueError(f"{folder / 'config.json'}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ValueError(f"{folder / 'config.json'} is damaged: {way}")
    try:
        lines = Log(folder / "log.jsonl").read()
    except OSError as error:
        raise ValueError(f"{folder / 'log.jsonl'}: {error.strerror or error}") from None
    return Run(folder, config, [line for line in lines if "val_loss" in line])


def names_of(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its folder's own, or where two are alike their whole paths."""
    own = [run.folder.resolve().name for run in runs]
    return [name if own.count(name) == 1 else str(run.folder) for name, run in zip(own, runs, strict=True)]


def compared(runs: Sequence[Run]) -> str:
    """A table with a column for each run: the settings in which they differ, then their scores in validation."""
    rows = [["", *(short(name) for name in names_of(runs))]]
    for key in sorted({key for run in runs for key in run.config}):
        values = [str(run.config[key]) if key in run.config else MISSING for run in runs]
        if len(set(values)) > 1:
            rows.append([short(key), *(short(value, 40) for value in values)])
    if len(rows) == 1:
        rows.append(["settings", *["the same"] * len(runs)])
    rows.append([""] * len(rows[0]))
    best, last = [run.best() for run in runs], [run.epochs[-1] if run.epochs else {} for run in runs]
    for title, lines, key, form in (("best top-1", best, "val_top1", ".1%"), ("  after epoch", best, "epoch", ""),
                                    ("last top-1", last, "val_top1", ".1%"), ("last top-5", last, "val_top5", ".1%"),
                                    ("last loss", last, "val_loss", ".3f"), ("epochs done", last, "epoch", "")):
        if any(key in line for line in lines) or key != "val_top5":
            rows.append([title, *(_shown(line.get(key), form) for line in lines)])
    rows.append(["time", *(str(timedelta(seconds=round(run.seconds()))) for run in runs)])
    return table(rows, right=())


def _shown(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, (int, float)) else MISSING


def compare(folders: Sequence[Path], output: Path) -> int:
    """Print the table, draw the curves into ``output``, and say which run did best. Returns the exit status: 1 where
    the picture could not be drawn. Raises ValueError where a folder holds no run."""
    runs = [read_run(folder) for folder in folders]
    print(compared(runs))

    def curves(path: Path) -> None:
        from .plots import draw_comparison  # needs matplotlib

        draw_comparison([(name, run.epochs) for name, run in zip(names_of(runs), runs, strict=True)], path,
                        output.suffix[1:] or "png")

    why = made(output, curves)
    if scored := [run for run in runs if run.best()]:
        first = max(scored, key=lambda run: float(run.best()["val_top1"]))
        print(f"\nbest: {first.best()['val_top1']:.1%} after epoch {first.best().get('epoch', MISSING)}: "
              + printable(first.folder / "best.safetensors"))
    print(printable(why or f"curves: {output}"), file=sys.stderr if why else sys.stdout)
    return 1 if why else 0
