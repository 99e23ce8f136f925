"""``python -m minicnn gradcheck``: hold every gradient of minicnn against differences, and print a table.
``python -m minicnn doctor``: can a GPU be used here, and all of the processor, and if not, what is to be done?
``mpiexec -n 2 python -m minicnn doctor --mpi``: can these processes train together, and what keeps them back?
``python -m minicnn classify``: what a trained network sees in pictures.
``python -m minicnn export``: such a network as ONNX, or its weights alone.
``python -m minicnn index FILE``: find the pictures in archives, once, so that training from them begins at once.
``python -m minicnn pack SOURCE OUT``: all pictures of a set, scaled once, in one file to train from.
``python -m minicnn variants``: what tells one AlexNet from another, and where it stands.
``python -m minicnn compare RUN RUN``: what differs between runs, how well each did, and their curves in one picture.
``python -m minicnn walkthrough``: the chapters; with a number, one of them as a page."""

from __future__ import annotations

import ast
import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

from . import __version__, classify, console, export, indexing, packing
from .command_line import Parser, location, new_file, number


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="python -m minicnn", description=__doc__)
    parser.add_argument("--version", action="version", version=f"minicnn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("gradcheck", help="check the gradients of every op, every layer, and AlexNet")
    check.add_argument("names", nargs="*", metavar="OP", help="check only these, as conv2d or nn.Linear")
    check.add_argument("--full", action="store_true", help="AlexNet as in the paper, in its full size: 3 GB, minutes")
    doctor = commands.add_parser("doctor", help="look at GPUs and the BLAS, and say what keeps them back")
    doctor.add_argument("--batch-size", type=number(int, 1), default=128, metavar="N",
                        help="is there memory for these?")
    doctor.add_argument("--mpi", action="store_true", help="under mpiexec: can these processes train together?")
    ask = commands.add_parser("classify", help="ask a trained network what is in pictures")
    classify.add_options(ask)
    find = commands.add_parser("index", help="find the pictures in archives: .tar, also of tars, .zip")
    indexing.add_options(find)
    packs = commands.add_parser("pack", help="scale all pictures of a set once, into one file to train from")
    packing.add_options(packs)
    out = commands.add_parser("export", help="write a trained network as ONNX, or its weights as .safetensors")
    export.add_options(out)
    commands.add_parser("variants", help="what tells one AlexNet from another, each number with its source")
    runs = commands.add_parser("compare", help="set runs beside each other: settings, scores, curves")
    runs.add_argument("runs", nargs="+", type=location, metavar="RUN", help="the folder of a run; two or more")
    runs.add_argument("-o", "--output", type=new_file, default=Path("compare.png"), metavar="FILE",
                      help="the picture of the curves (default: compare.png in the current folder)")
    walk = commands.add_parser("walkthrough", help="list the chapters of the walkthrough, or open one as a page")
    walk.add_argument("chapter", nargs="?", type=number(int, 1), metavar="N", help="the number of a chapter")
    options = parser.parse_args(arguments)
    if options.command == "walkthrough":
        return walkthrough(walk, options.chapter)

    if options.command == "classify":
        return classify.classify(ask, options)

    if options.command == "index":
        return indexing.find(find, options)

    if options.command == "pack":
        return packing.scale(packs, options)

    if options.command == "export":
        return export.export(out, options)

    if options.command == "variants":
        from .models.differences import described

        print(described())
        return 0
    if options.command == "compare":
        if len(options.runs) < 2:
            runs.error(f"it takes two runs or more to compare, given is {options.runs[0]} alone")
        from .compare import compare

        try:
            return compare(options.runs, options.output)
        except ValueError as error:
            runs.error(str(error))

    if options.command == "doctor" and options.mpi:
        from . import doctor_mpi

        try:
            return doctor_mpi.report()
        except ValueError as error:
            doctor.error(str(error))

    if options.command == "doctor":
        from .doctor import report

        return report(options.batch_size)

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


def walkthrough(parser: Parser, number: int | None) -> int:
    folder = Path(__file__).parents[1] / "examples" / "walkthrough"
    chapters = {int(path.stem[:2]): path for path in sorted(folder.glob("[0-9][0-9]_*.py"))}
    if not chapters:
        parser.error(f"there are no chapters in {folder}: they come with the source of minicnn, not with its package")
    if number is None:
        for path in chapters.values():
            words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
            print(" ".join(words.partition("\n\n")[0].split()))
        print("\nOpen one by its number, as python -m minicnn walkthrough 1, or run it: python examples/walkthrough/"
              f"{chapters[1].name}")
        return 0
    if number not in chapters:
        parser.error(f"there is no chapter {number}: choose from 1 to {max(chapters)}")
    if not importlib.util.find_spec("marimo"):
        parser.error('pages need marimo: pip install -e ".[walkthrough]"')
    try:
        return subprocess.run([sys.executable, "-m", "marimo", "run", str(chapters[number])], check=False).returncode
    except KeyboardInterrupt:  # how one leaves a page
        return 0


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # where it is piped into head it ends without a word
    sys.exit(console.run(main, "minicnn"))
