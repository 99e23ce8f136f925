"""A run's folder: one process at a time writes into it, and clears away what one that was killed left unfinished."""

from __future__ import annotations

import itertools
import json
import os
import re
import time
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ..files import written_aside
from ..models.saved import checkpoint_at
from .log import to_json

__all__ = ["SPLIT", "Busy", "Claim", "checkpoint_in", "is_fresh", "new_run", "run_of", "write_config"]

LOG, CONFIG, SPLIT = "log.jsonl", "config.json", "split.json"


def _there(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


fcntl, msvcrt = _there("fcntl"), _there("msvcrt")  # of Unix, of Windows
UNFINISHED = re.compile(r"\..+\.part|log\.part|\.tmp\w{6}")  # ours, those of before, and of the library safetensors


def is_fresh(folder: Path) -> bool:
    """Whether a run can be started in a folder: nothing is in it but what one left that ended before its first save."""
    names = {path.name for path in folder.iterdir()}
    names -= {".lock", *filter(UNFINISHED.fullmatch, names)}
    if CONFIG in names and names <= {LOG, CONFIG, SPLIT}:
        try:  # of a run, and not of something else
            return "recipe" in json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        except (ValueError, TypeError):
            return False
    return not names


class Busy(ValueError):
    """Another process writes into the folder."""


class Claim:
    """``with Claim(folder):`` no other process may claim the folder, and nothing unfinished is in it.

    The system frees the claim when the process ends, however it ends: what is left of the file ``.lock`` blocks nobody.
    Where the disk knows no locks there is no claim, and nothing is cleared away. Raises Busy, and OSError where the
    folder cannot be written to.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        self.path = self.folder / ".lock"
        self.file = -1

    def __enter__(self) -> Claim:
        while True:
            self.file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                known = self._lock()
            except OSError:
                os.close(self.file)
                raise Busy(f"{self.folder}: another process trains in this folder: wait until it has ended, or choose "
                           "another folder") from None
            if fcntl is None or self._still_there():
                break
            os.close(self.file)  # the one before removed the file when it ended
        if known and (self.folder / LOG).exists():  # else it is no run's, and the files are none of ours
            for path in self.folder.iterdir():
                if UNFINISHED.fullmatch(path.name) and path.is_file():
                    path.unlink(missing_ok=True)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # as on Windows, where an open file stays
            self.path.unlink()
        os.close(self.file)

    def _lock(self) -> bool:
        """Whether the disk knows locks. Raises OSError where another process holds this one."""
        if not (fcntl or msvcrt):
            return False
        try:
            if fcntl:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                msvcrt.locking(self.file, msvcrt.LK_NBLCK, 1)
        except (BlockingIOError, PermissionError):  # by flock and by Windows
            raise
        except OSError:
            return False
        return True

    def _still_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.file))
        except FileNotFoundError:
            return False


def new_run(path: Path | None, claims: ExitStack) -> Path:
    """The folder of a new run, made and claimed. path: None takes runs/<date and time>, a name of its own for each of
    those that start in the same second. Raises ValueError where another run is in it, and what ``Claim`` raises."""
    if path is None:
        stem = time.strftime("%Y-%m-%d-%H%M%S")
        Path("runs").mkdir(exist_ok=True)
        for number in itertools.count(1):
            path = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
            with suppress(FileExistsError):
                path.mkdir()
                break
        assert path is not None
    taken = ValueError(f"{path} is there already, and not empty: choose another --output, or go on with the run in it "
                       f"by --resume {path}")
    if path.exists() and not (path.is_dir() and is_fresh(path)):
        raise taken
    path.mkdir(parents=True, exist_ok=True)
    claims.enter_context(Claim(path))
    if not is_fresh(path):  # by now: another process had it for a moment
        raise taken
    for name in (LOG, SPLIT):
        (path / name).unlink(missing_ok=True)
    return path


def checkpoint_in(path: Path, prefer_best: bool) -> Path:
    """The last checkpoint in the folder of a run, or the best, if there is one yet; ``path`` itself where it is a file.

    Raises ValueError where the run ended before its first save."""
    if path.is_dir() and is_fresh(path):
        raise ValueError(f"{path} holds no checkpoint: the run ended before its first save; start it anew by --output "
                         f"{path}")
    return checkpoint_at(path, best=prefer_best)


def run_of(given: Path, path: Path, claims: ExitStack) -> Path:
    """The folder of the run that is to go on from the checkpoint ``path``, claimed where that is there. given: that
    folder, or the checkpoint. Raises ValueError where it is in no such folder, and what ``Claim`` raises."""
    run = given if given.is_dir() else given.parent
    if path.exists():
        if run != given and not (run / LOG).exists():
            raise ValueError(f"{given} is in no folder of a run: say by --output where it is to go on")
        claims.enter_context(Claim(run))
    return run


def write_config(run: Path, facts: dict[str, Any]) -> None:
    """Write ``config.json``, whole or not at all."""
    with written_aside(run / CONFIG) as aside:
        aside.write_text(to_json(facts, indent=2) + "\n", encoding="utf-8")
