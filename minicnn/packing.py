"""``python -m minicnn pack``: scale all pictures of a set once, into one file to train from."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from .command_line import Parser, location, number
from .console import printable

__all__ = ["add_options", "scale"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=location, metavar="SOURCE",
                        help="pictures, as train_alexnet.py takes them: a folder, or archives")
    parser.add_argument("out", type=location, metavar="OUT",
                        help="the file, a zip; with --shard-size the folder for them. What a kill left is gone on with")
    parser.add_argument("--val", type=location, metavar="VAL", help="validation pictures that are not in SOURCE")
    parser.add_argument("--labels", type=location, metavar="FILE",
                        help="the classes of validation pictures that are in no folder, as ImageNet's devkit.tar.gz")
    parser.add_argument("--side", type=number(int, 1, 1 << 12), default=256, metavar="N",
                        help="pixels along each side (256, which is what training takes)")
    parser.add_argument("--quality", type=number(int, 1, 95), default=90, metavar="N", help="of JPEG (90)")
    parser.add_argument("--raw", action="store_true", help="no JPEG: 196,608 bytes a picture, which need no decoding")
    parser.add_argument("--shard-size", type=number(float, 1e-6), metavar="GB", help="no file larger than this")
    parser.add_argument("--workers", type=number(int, 0), metavar="N", help="processes (one for each core)")


def scale(parser: Parser, options: argparse.Namespace) -> int:
    """Write the pack, name what could not be read, and say what is there. Returns 0."""
    from .data.images import DataError
    from .data.pack import pack
    from .data.sources import parts_of
    from .kernels.machine import usable_cores
    from .training.bars import picture_bar

    out, bad = Path(options.out), []

    def is_bad(place: str, reason: str) -> None:
        bad.append(place)
        print(printable(f"left out {place}: {reason}"), file=sys.stderr, flush=True)

    try:
        sets = parts_of(options.source, options.val, options.labels, picture_bar("reading headers", "B"))
        most = options.shard_size and int(options.shard_size * 1e9)
        count = pack(sets, out, side=options.side, quality=None if options.raw else options.quality, most=most,
                     workers=usable_cores() if options.workers is None else options.workers,
                     progress=picture_bar("packing"), bad=is_bad)
    except DataError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot write {out}: {error.strerror or error}")
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    size = sum(os.path.getsize(file) for file in files)
    print(printable(f"{out}: {count:,} pictures of {options.side} × {options.side} pixels, "
                    f"{size / 1e6:,.1f} MB{f' in {len(files):,} files' * out.is_dir()}"
                    f"{f', {len(bad):,} left out' * bool(bad)}"))
    return 0
