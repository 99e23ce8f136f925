"""One file that holds all that is needed to go on: arrays and plain facts, as safetensors, never pickle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

__all__ = ["CheckpointError", "keep", "load", "save"]

MARK = "minicnn"


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or cannot be written."""


def save(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write ``arrays`` and ``facts`` (whatever JSON can say) to ``path``, whole or not at all.

    They are written aside and then renamed, so that a crash or a full disk leaves the file that was there before.
    Raises CheckpointError, with the reason, when that fails.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file({name: np.asarray(a, order="C") for name, a in arrays.items()}, aside, {MARK: json.dumps(facts)})
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except (OSError, SafetensorError) as error:
        aside.unlink(missing_ok=True)
        kept = f"; the one saved before is still there: {path}" if path.exists() else ""
        raise CheckpointError(f"cannot save {path}: {error}{kept}") from error


def keep(path: Path, name: Path) -> None:
    """Give a checkpoint a second name, at no cost where the disk knows hard links. Raises CheckpointError."""
    aside = name.with_name(f".{name.name}.part")
    try:
        aside.unlink(missing_ok=True)
        try:
            os.link(path, aside)
        except OSError:
            shutil.copyfile(path, aside)
        aside.replace(name)
    except OSError as error:
        raise CheckpointError(f"cannot save {name}: {error}") from error


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the facts of a checkpoint. Raises CheckpointError when there is none, or it is damaged."""
    try:
        with safe_open(path, "numpy") as file:
            facts = (file.metadata() or {}).get(MARK)
            if facts is None:
                raise CheckpointError(f"{path} is not a checkpoint of minicnn")
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(facts)  # noqa: SIM118
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        reason = "there is no such file" if not path.exists() else f"the file is damaged or cannot be read ({error})"
        raise CheckpointError(f"cannot load {path}: {reason}") from error
