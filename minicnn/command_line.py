"""What can be asked on a command line: kinds of values, each with one line for what is none of them."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, NoReturn

from .console import printable
from .files import expanded, try_to_write

__all__ = ["Parser", "location", "new_file", "number"]


class Parser(argparse.ArgumentParser):
    """One line for one mistake."""

    def error(self, message: str) -> NoReturn:
        text = printable(f"{self.prog}: {message}; --help shows all options")
        try:
            self.exit(2, text + "\n")
        except SystemExit as error:
            error.add_note(text)  # for whoever says it elsewhere
            raise


def number(kind: type, low: float, high: float = math.inf) -> Any:
    """A parser of numbers of a kind, int or float, low ≤ x ≤ high."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a {'whole ' * (kind is int)}number") from None
        if not (low <= value <= high and math.isfinite(value)):
            bounds = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"{text} is out of range: give {bounds}")
        return value

    return parse


def location(text: str) -> Path | str:
    """A path, where a leading ~ is the user's home, whatever the shell made of it."""
    if text is argparse.SUPPRESS:  # argparse asks for a default that is text, too
        return text
    if not text:  # a variable of the shell's that is not set
        raise argparse.ArgumentTypeError("'' names no file or folder")
    return expanded(text)


def new_file(text: str) -> Path:
    """The path of a file that can be made or written anew: its folder is there, and takes files."""
    path, what = Path(location(text)), ""
    try:
        if path.is_dir():
            what = "it is a folder"
        elif not path.parent.is_dir():
            what = f"there is no folder {path.parent}"
        else:
            try_to_write(path)
    except OSError as error:
        what = error.strerror or str(error)
    if what:
        raise argparse.ArgumentTypeError(f"cannot write {text}: {what}")
    return path
