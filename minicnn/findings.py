"""What an examination of a machine found, line by line, and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Absent", "Finding", "Trouble", "first_line", "show"]


@dataclass
class Finding:
    """state: "ok"; "!" works, and is held back; "NO" is there, and does not work; "no" is not there; "-" left out."""

    name: str
    state: str
    text: str
    remedy: str = ""


class Trouble(Exception):
    """What is wrong, and what to do about it."""


class Absent(Trouble):
    """What is not there, and need not be."""


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def show(findings: list[Finding]) -> None:
    """Print them, a line each, and the remedy under it."""
    width = max(len(f.name) for f in findings)
    for f in findings:
        print(f"{f.state:2}  {f.name:{width}}  {f.text}")
        if f.remedy:
            print(f"{'':{width + 6}}→ {f.remedy}")
