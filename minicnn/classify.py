"""``python -m minicnn classify``: what a trained network sees in pictures."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .command_line import Parser, location, new_file, number
from .console import printable

__all__ = ["add_options", "classify"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", nargs="+", type=location, metavar="PICTURE",
                        help="files; folders, with all pictures in them; - for a picture on the standard input")
    parser.add_argument("--weights", type=location, metavar="FILE",
                        help="a run's folder, a checkpoint, torchvision's .pth or .safetensors, Caffe's .caffemodel, "
                             "ONNX's .onnx; by itself the small network that comes with minicnn, of ten classes")
    parser.add_argument("--top", type=number(int, 1), default=5, metavar="N", help="so many classes of each (5)")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each picture")
    parser.add_argument("--variant", metavar="NAME",
                        help="what weights of others are, if they do not say; of ONNX, whose preprocessing to take")
    parser.add_argument("--classes", type=location, metavar="FILE",
                        help="names of the classes of others' weights, a line each")
    parser.add_argument("--mean", type=location, metavar="FILE",
                        help="the mean picture of Caffe's weights, .binaryproto")
    parser.add_argument("--explain", type=_page, metavar="FILE.html",
                        help="a page that shows why: gradients, what covering a part does, the strongest maps")


def classify(parser: Parser, options: argparse.Namespace) -> int:
    """Print an answer for each picture. Returns 1 where one could not be read, which is named; else 0."""
    import numpy as np

    from .data import BadPicture
    from .engine.memory import keep_memory
    from .explain_page import Page
    from .models.classifier import AT_ONCE, OWN_WEIGHTS, load

    keep_memory()
    try:
        names = options.classes and _names(Path(options.classes))
        ask = load(options.weights or OWN_WEIGHTS, variant=options.variant, classes=names, mean=options.mean)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    page = Page(ask, options.top) if options.explain else None
    failed = False

    def complain(name: str, reason: str) -> None:
        nonlocal failed
        failed = True
        print(printable(f"{name}: {reason}"), file=sys.stderr)
        if page is not None:
            page.unread.append((name, reason))

    pictures = _pictures(options.pictures)
    while some := list(itertools.islice(pictures, AT_ONCE)):
        read = ask.read_all([picture for _, picture in some])
        answers = iter(ask.classify([one for one in read if isinstance(one, np.ndarray)], options.top))
        for (name, picture), one in zip(some, read, strict=True):
            answer = [] if isinstance(one, Exception) else next(answers)
            if any(math.isnan(each.probability) for each in answer):
                one = ValueError("the network's answer is NaN: its numbers overflow, as after a learning rate too "
                                 "large; take an earlier checkpoint")
            if isinstance(one, Exception):
                if picture is not None and not isinstance(one, (BadPicture, ValueError)):
                    raise one
                reason = one.reason if isinstance(one, BadPicture) else str(one)
                complain(name, "a folder without pictures" if picture is None else reason)
                if options.json:
                    print(json.dumps({"picture": name, "error": reason}), flush=True)
                continue
            _say(name, answer, options.json)
            if page is not None:
                try:
                    page.add(name, one)
                except ValueError as error:
                    complain(name, str(error))
    if page is None:
        return int(failed)
    try:
        page.write(options.explain)
    except OSError as error:
        print(printable(f"{options.explain} is not written: {error.strerror or error}"), file=sys.stderr)
        return 1
    print(printable(page.said(options.explain)), file=sys.stderr if options.json else sys.stdout)
    return int(failed)


def _page(text: str) -> Path:
    """Where a page is written; what does not end in .html may be a picture that was meant to be answered."""
    if not text.lower().endswith((".html", ".htm")):
        raise argparse.ArgumentTypeError(f"cannot write {text}: give a page a name that ends in .html")
    return new_file(text)


def _pictures(given: list[Any]) -> Iterator[tuple[str, Any]]:
    """(name, what can be read) of each picture; of folders all files that could be one, by name."""
    from .data.picture import picture_suffixes

    for path in given:
        if str(path) == "-":
            yield "-", sys.stdin.buffer.read()
        elif os.path.isdir(path):
            files = sorted(file for file in Path(path).rglob("*") if file.suffix.lower() in picture_suffixes())
            yield from ((str(file), file) for file in files) if files else [(str(path), None)]
        else:
            yield str(path), path


def _names(path: Path) -> list[str]:
    """A name a line; before it there may be ImageNet's number, as in "n01440764 tench, Tinca tinca"."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [line.partition(" ")[2] if re.match(r"n\d{8} ", line) else line for line in lines]


def _say(name: str, answers: list[Any], as_json: bool) -> None:
    if as_json:
        said = [{"class": answer.name, "probability": round(answer.probability, 6)} for answer in answers]
        print(json.dumps({"picture": name, "answers": said}), flush=True)
    else:
        lines = [f"{100 * answer.probability:6.1f} %  {answer.name}" for answer in answers]
        print(*map(printable, (name, *lines)), sep="\n", flush=True)
