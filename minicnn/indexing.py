"""``python -m minicnn index``: find the pictures in archives, once, so that training from them begins at once."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from .command_line import Parser, location
from .console import printable

__all__ = ["add_options", "find"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=location, metavar="FILE",
                        help="archives: .tar, also of tars, or .zip; a pattern, as 'train-{000..146}.tar'; a folder "
                             "with nothing else in it. Each FILE is a set of its own")


def find(parser: Parser, options: argparse.Namespace) -> int:
    """Say of each set how many pictures of which classes it holds, and what is left out. Returns 0."""
    from .data.images import DataError, some
    from .data.index import RECORD, index
    from .data.sources import archives_in
    from .training.bars import picture_bar

    for path in map(Path, options.files):
        try:
            archives = archives_in(path)
            if not archives:
                raise DataError(f"{path}: expected archives, found {'a folder' if path.exists() else 'nothing there'}")
            found = index(archives, picture_bar(f"reading headers of {path.name}", "B"))
        except DataError as error:
            parser.error(str(error))
        for part in found.parts or [""]:
            names = {folder.name for folder in found.folders if folder.part == part and not folder.left_out}
            there = np.array([folder.part == part and not folder.left_out for folder in found.folders])
            count = int(there[found.rows["folder"]].sum())
            what = f"{len(names):,} classes" if names != {""} else "no class, which --labels must say"
            print(printable(f"{path}{f', {part}' * bool(part)}: {count:,} pictures of {what}"))
        left_out = [f"{reason} {count:,}" for reason, count in found.left_out.most_common() if count]
        if left_out:
            print(printable(f"{path}: left out: {some(left_out)}"))
        print(printable(f"{path}: an index of {len(found.rows) * RECORD.itemsize / 1e3:,.0f} kB is kept"))
    return 0
