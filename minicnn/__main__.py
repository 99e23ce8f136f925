"""``python -m minicnn gradcheck``: hold every gradient of minicnn against differences, and print a table.
``python -m minicnn doctor``: can a GPU be used here, and all of the processor, and if not, what is to be done?
``mpiexec -n 2 python -m minicnn doctor --mpi``: can these processes train together, and what keeps them back?
``python -m minicnn classify``: what a trained network sees in pictures.
``python -m minicnn export``: such a network as ONNX, or its weights alone.
``python -m minicnn index FILE``: find the pictures in archives, once, so that training from them begins at once.
``python -m minicnn pack SOURCE OUT``: all pictures of a set, scaled once, in one file to train from.
``python -m minicnn variants``: what tells one AlexNet from another, and where it stands.
``python -m minicnn compare RUN RUN``: what differs between runs, how well each did, and their curves in one picture.
``python -m minicnn diagnose``: why does a run learn nothing? Measured, with the cause that the numbers show.
``python -m minicnn walkthrough``: the chapters; with a number, one of them as a page; with --book, all as a book."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import __version__, classify, console, export, indexing, packing
from .command_line import Parser, location, new_file, number
from .diagnose import command as diagnosis


def main(arguments: list[str] | None = None) -> int:
    top = Parser(prog="python -m minicnn", description=__doc__)
    top.add_argument("--version", action="version", version=f"minicnn {__version__}")
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, help: str, run: Callable[[Parser, argparse.Namespace], int],
            options: Callable[[argparse.ArgumentParser], None] = lambda parser: None) -> None:
        parser = commands.add_parser(name, help=help)
        options(parser)
        parser.set_defaults(run=partial(run, parser))

    add("gradcheck", "check the gradients of every op, every layer, and AlexNet", check_gradients, of_gradcheck)
    add("doctor", "look at GPUs and the BLAS, and say what keeps them back", examine_machine, of_doctor)
    add("classify", "ask a trained network what is in pictures", classify.classify, classify.add_options)
    add("index", "find the pictures in archives: .tar, also of tars, .zip", indexing.find, indexing.add_options)
    add("pack", "scale all pictures of a set once, into one file to train from", packing.scale, packing.add_options)
    add("export", "write a trained network as ONNX, or its weights as .safetensors", export.export, export.add_options)
    add("variants", "what tells one AlexNet from another, each number with its source", variants)
    add("compare", "set runs beside each other: settings, scores, curves", compare, of_compare)
    add("diagnose", "measure why a run learns nothing, or what one on these pictures would meet", diagnosis.run,
        diagnosis.add_options)
    add("walkthrough", "list the chapters of the walkthrough, or open one as a page", walkthrough, of_walkthrough)
    options = top.parse_args(arguments)
    status: int = options.run(options)
    return status


def of_gradcheck(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="OP", help="check only these, as conv2d or nn.Linear")
    parser.add_argument("--full", action="store_true", help="AlexNet as in the paper, in its full size: 3 GB, minutes")


def check_gradients(parser: Parser, options: argparse.Namespace) -> int:
    from .gradcheck.suite import CASES, full_alexnet, table

    known = {case.op for case in CASES}
    if options.full and options.names:
        parser.error(f"--full checks AlexNet alone, not {', '.join(options.names)}")
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"there is no case for {', '.join(unknown)}: choose from {', '.join(sorted(known))}")
    chosen = [full_alexnet] if options.full else [c for c in CASES if not options.names or c.op in options.names]
    wrong = table(chosen)
    print(f"\n{len(chosen) - wrong} of {len(chosen)} right")
    return 1 if wrong else 0


def of_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch-size", type=number(int, 1), default=128, metavar="N",
                        help="is there memory for these?")
    parser.add_argument("--mpi", action="store_true", help="under mpiexec: can these processes train together?")


def examine_machine(parser: Parser, options: argparse.Namespace) -> int:
    if not options.mpi:
        from .doctor import report

        return report(options.batch_size)
    from . import doctor_mpi

    try:
        return doctor_mpi.report()
    except ValueError as error:
        parser.error(str(error))


def variants(parser: Parser, options: argparse.Namespace) -> int:
    from .models.differences import described

    print(described())
    return 0


def of_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=location, metavar="RUN", help="the folder of a run; two or more")
    parser.add_argument("-o", "--output", type=new_file, default=Path("compare.png"), metavar="FILE",
                        help="the picture of the curves (default: compare.png in the current folder)")


def compare(parser: Parser, options: argparse.Namespace) -> int:
    if len(options.runs) < 2:
        parser.error(f"it takes two runs or more to compare, given is {options.runs[0]} alone")
    from .compare import compare

    try:
        return compare(options.runs, options.output)
    except ValueError as error:
        parser.error(str(error))


def of_walkthrough(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chapter", nargs="?", type=number(int, 0), metavar="N", help="the number of a chapter")
    parser.add_argument("--book", type=Path, metavar="DIR",
                        help="write all chapters, or N, as pages that need no server and no network")


def walkthrough(parser: Parser, options: argparse.Namespace) -> int:
    number = options.chapter
    folder = Path(__file__).parents[1] / "examples" / "walkthrough"
    chapters = {int(path.stem[:2]): path for path in sorted(folder.glob("[0-9][0-9]_*.py"))}
    if not chapters:
        parser.error(f"there are no chapters in {folder}: they come with the source of minicnn, not with its package")
    if number is None and not options.book:
        for path in chapters.values():
            words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
            print(" ".join(words.partition("\n\n")[0].split()))
        print("\nOpen one by its number, as python -m minicnn walkthrough 1, or run it: python examples/walkthrough/"
              f"{chapters[1].name}")
        return 0
    if number is not None and number not in chapters:
        parser.error(f"there is no chapter {number}: choose from 0 to {max(chapters)}")
    needed = ["marimo"] + ["latex2mathml"] * bool(options.book)
    if not all(map(importlib.util.find_spec, needed)):
        parser.error(f'pages need {" and ".join(needed)}: pip install -e ".[walkthrough]"')
    if options.book:
        return book(parser, folder, options.book, [chapters[number]] if number is not None else [*chapters.values()])
    try:
        return subprocess.run([sys.executable, "-m", "marimo", "run", str(chapters[number])], check=False).returncode
    except KeyboardInterrupt:  # how one leaves a page
        return 0


def book(parser: Parser, folder: Path, into: Path, chapters: list[Path]) -> int:
    sys.path.insert(0, str(folder))  # chapters import what stands beside them
    try:
        sizes = importlib.import_module("book").build(into, chapters)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{len(sizes)} pages, {sum(sizes.values()) / 1e6:.1f} MB: open {into / 'index.html'}")
    return 0


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # where it is piped into head it ends without a word
    sys.exit(console.run(main, "minicnn"))
