"""What ends a run: signals, an output that nobody reads any more, whatever goes wrong; and what is said of it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tqdm import tqdm

from .. import console

__all__ = ["Stop", "Stopped", "end_as_ctrl_c", "ended", "note", "say", "what"]


def end_as_ctrl_c() -> None:
    """Let SIGTERM, and a terminal that closes, end the program as Ctrl-C does: by KeyboardInterrupt, so that it clears
    away what it began. Where one of them is ignored it stays so."""
    for name in ("SIGTERM", "SIGHUP"):  # the second is unknown to Windows
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


class Stopped(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP came; the batch was finished and everything is saved."""


class Stop:
    """Inside ``with``, the first Ctrl-C or SIGTERM is only noted, as ``asked``; the second ends the program at once.

    So is SIGHUP, of a terminal that closes, which may come twice by itself; where it is ignored, as under nohup, it
    stays so.
    """

    def __init__(self) -> None:
        self.asked = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        self.asked = False
        if threading.current_thread() is threading.main_thread():
            self.before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
            hangup = getattr(signal, "SIGHUP", None)  # Windows has none
            if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
                self.before[hangup] = signal.signal(hangup, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for s, handler in self.before.items():
            signal.signal(s, signal.SIG_DFL if handler is None else handler)  # None: not set from Python

    def _note(self, number: int, frame: object) -> None:
        hangup = number == getattr(signal, "SIGHUP", None)
        if self.asked and not hangup:
            os._exit(130)  # whatever is being saved is saved aside: the checkpoint before stays whole
        if not self.asked:
            self.asked = True
            note("Stopping after this batch; once more to stop at once.")


def say(text: str) -> None:
    """Print one line, whatever is in its names. Raises OSError, in the name of the standard output, where it fails."""
    try:
        print(console.printable(text), flush=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error
    except ValueError as error:  # closed
        raise OSError(errno.EBADF, str(error), "standard output") from error


def note(text: str) -> None:
    """One line on the error output, if somebody reads that."""
    with suppress(OSError, ValueError, AttributeError):
        tqdm.write(console.printable(text), file=sys.stderr)
        sys.stderr.flush()


def ended(main: Callable[[], None], name: str) -> int:
    """The exit status of a program that trains, after one line on whatever went wrong: 0 done; 1 something went wrong;
    130 stopped; 141 nobody reads what it prints."""
    console.prepare()
    status = 0
    try:
        main()
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        status = 130
        note(what(error))
    except EXPECTED as error:
        status = 141 if isinstance(error, BrokenPipeError) else 1
        note(f"{name}: {what(error)}")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            console.silence(stream)
    return status


# the last from CUDA, a worker, or for want of a GPU
EXPECTED = (MemoryError, OSError, ValueError, ArithmeticError, RuntimeError)


def what(error: BaseException) -> str:
    """What went wrong, in one line, and what that means for what was learned."""
    text = str(error)
    if isinstance(error, Stopped):
        return "stopped; everything is saved: go on with --resume"
    if isinstance(error, KeyboardInterrupt):
        begun = hasattr(error, "__notes__") or error.__context__  # the second one comes while the first is handled
        text = "stopped" if begun else "stopped before the first step"
    elif isinstance(error, MemoryError):
        text = f"{error or 'out of memory'}: try a smaller --batch-size"
    elif isinstance(error, OSError):
        text = f"{error.filename or 'the system'}: {error.strerror or error}"
    elif isinstance(error, SystemExit):
        return "; ".join(getattr(error, "__notes__", [f"ended with status {error.code}"]))
    elif not isinstance(error, EXPECTED):
        text = f"{type(error).__name__}: {error}"
    return "; ".join([text, *getattr(error, "__notes__", ())])
