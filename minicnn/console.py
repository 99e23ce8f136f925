"""Standard input, output and error as they are on other people's machines: closed, full, of other letters."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

__all__ = ["prepare", "printable", "run", "silence"]


def prepare() -> None:
    """Let printing never fail for a character: what a stream cannot say it says as \\u2192, say.

    A stream that is closed, or that there never was, as under Windows' pythonw, becomes one that says nothing.  That
    takes its number too: the next file to be opened would get it, and whatever a library prints.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8", errors="backslashreplace"))  # noqa: SIM115
        elif mode == "w" and hasattr(stream, "reconfigure"):  # which those of a notebook or a test have not
            stream.reconfigure(errors="backslashreplace")


def printable(text: object) -> str:
    """The text in one line that commands no terminal: controls, line ends, and bytes that are no letters, as \\x1b."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def silence(stream: TextIO | None) -> None:
    """Let what is still to be written to a stream go nowhere: Python would try again at its end, and complain."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


def run(main: Callable[[], int], name: str) -> int:
    """The exit status of a command: main()'s own, 130 when interrupted, 141 without a word when nobody reads what it
    prints, and 1 with one line when that cannot be written."""
    prepare()
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.filename is not None:  # not of a stream: these bear no name
            raise
        silence(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return 141  # as a shell says of one that SIGPIPE ended
        with suppress(OSError):
            print(f"{name}: what it prints cannot be written: {error.strerror or error}", file=sys.stderr, flush=True)
        return 1
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            silence(sys.stderr)
