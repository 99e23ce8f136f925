"""What several machines would bring, on paper: from measured steps of one, and what links are said to carry.

    python benchmarks/scaling.py
    python benchmarks/alexnet_step.py --no-torch --batch-size 1 8 32 128 512 --json steps.json     # of this machine
    python benchmarks/scaling.py --steps steps.json --batch-size 128 1024
    python benchmarks/scaling.py --images-per-second 10000         # of a rank that is as fast at any batch: assumed

R ranks share out a batch of B images. A rank's step takes what a step of B / R images was measured to take, between
measured batches on a line; a third of that is forward, two thirds backward. Links carry what is on them, each rank its
own, both ways at once; latencies are assumed. An all-reduce of n bytes goes round a ring (Patarasuk & Yuan 2009):

    2 (R − 1) / R · n / bandwidth + 2 (R − 1) · latency            and a gather, or its counterpart, takes half of it

plain: every rank has the whole network and adds up 244 MB of gradients, which hides behind backward as far as that
    lasts: this is assumed, and nearly so where fully connected layers, 96 % of the bytes, come first backward.
split: the fully connected layers are shared out over the ranks (Krizhevsky 2014, "one weird trick", arXiv 1404.5997),
    so that 9.3 MB of gradients of convolutions hide behind backward; but before each such layer the activations of all
    B images are gathered, and their gradients go back: B × (9,216 + 4,096 + 4,096) numbers each way, and B × 1,000
    logits; nothing hides these. What a step costs however few images there are is taken to be theirs as to 96 %, and
    shared out, too.

A way stops paying where twice the ranks make less than 5 % more images/s; half is lost where R ranks make less than
R / 2 times what one does. Nothing here was run on more than one machine.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from turns import write

STEPS = Path(__file__).parent / "results" / "alexnet_batches-intel-xeon-avx512-2-cores-2026-11-28.json"
INPUTS, CLASSES = (9216, 4096, 4096), 1000  # of fully connected layers
PARAMETERS = 60_965_224
CONNECTED = sum((n + 1) * k for n, k in zip(INPUTS, (*INPUTS[1:], CLASSES), strict=True))  # of these parameters
MORE = 1.05  # times the images/s of half the ranks: else these are enough
ALL, CONVOLUTIONS = 4 * PARAMETERS, 4 * (PARAMETERS - CONNECTED)  # bytes of gradients


class Link(NamedTuple):
    name: str
    bandwidth: float  # bytes/s, each way
    latency: float  # seconds


LINKS = [Link("1 Gbit/s", 0.125e9, 50e-6), Link("10 Gbit/s", 1.25e9, 30e-6), Link("25 Gbit/s", 3.125e9, 20e-6),
         Link("100 Gbit/s", 12.5e9, 5e-6), Link("NVLink", 450e9, 5e-6)]  # the last: 900 GB/s of NVLink 4, both ways
Compute = Callable[[float], float]  # seconds that one rank takes for a step of so many images


# -- the model ---------------------------------------------------------------------------------------------------------


def between(seconds: dict[int, float]) -> Compute:
    """From measured seconds of steps, by batch size."""
    batches = sorted(seconds)
    times = [seconds[batch] for batch in batches]

    def compute(images: float) -> float:
        beyond = max(1.0, images / batches[-1])
        return beyond * float(np.interp(images, batches, times))

    return compute


def fixed(compute: Compute) -> float:
    """Seconds that a step would take without an image: where the line through 1 and 8 begins."""
    return max(0.0, compute(1) - (compute(8) - compute(1)) / 7)


def all_reduce(size: float, ranks: int, link: Link) -> float:
    return 2 * (ranks - 1) / ranks * size / link.bandwidth + 2 * (ranks - 1) * link.latency


def gather(size: float, ranks: int, link: Link) -> float:
    return all_reduce(size, ranks, link) / 2


def plain(compute: Compute, batch: int, ranks: int, link: Link) -> float:
    """Seconds of a step."""
    step = compute(-(-batch // ranks))
    return step / 3 + max(2 / 3 * step, all_reduce(ALL, ranks, link))


def split(compute: Compute, batch: int, ranks: int, link: Link) -> float:
    """Seconds of a step."""
    step = compute(-(-batch // ranks)) - fixed(compute) * CONNECTED / PARAMETERS * (1 - 1 / ranks)
    there_and_back = sum(2 * gather(4 * batch * width, ranks, link) for width in INPUTS)
    exchanged = there_and_back + gather(4 * batch * CLASSES, ranks, link)
    return step / 3 + exchanged + max(2 / 3 * step, all_reduce(CONVOLUTIONS, ranks, link))


WAYS = {"plain": plain, "split": split}


def table(compute: Compute, batch: int) -> list[dict[str, Any]]:
    """images/s for each way, link and number of ranks, 1 to 1,024, as far as there is an image for each."""
    rows = []
    for way, seconds in WAYS.items():
        for link in LINKS:
            for ranks in (2**i for i in range(11) if 2**i <= batch):
                speed, alone = batch / seconds(compute, batch, ranks, link), batch / compute(batch)
                rows.append({"way": way, "link": link.name, "batch_size": batch, "ranks": ranks,
                             "images_per_s": speed, "efficiency": speed / alone / ranks})
    return rows


def stops(rows: list[dict[str, Any]]) -> tuple[int | None, int | None]:
    """(the first number of ranks of which half is lost, the first that makes hardly more images/s than half as many) of
    one way and link."""
    half = next((row["ranks"] for row in rows if row["efficiency"] < 0.5), None)
    return half, next((more["ranks"] for row, more in itertools.pairwise(rows)
                       if more["images_per_s"] < MORE * row["images_per_s"]), None)  # fmt: skip


# -- what is asked and printed -----------------------------------------------------------------------------------------


def of(rows: list[dict[str, Any]], **facts: Any) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[name] == value for name, value in facts.items())]


def show(rows: list[dict[str, Any]]) -> None:
    names = [link.name for link in LINKS]
    print("| ranks | " + " | ".join(f"{way}, {name}" for way in WAYS for name in names) + " |")
    print("|---|" + "---|" * (len(WAYS) * len(names)))
    for ranks in sorted({row["ranks"] for row in rows}):
        cells = [of(rows, way=way, link=name, ranks=ranks)[0] for way in WAYS for name in names]
        print(f"| {ranks:,} | " + " | ".join(f"{c['images_per_s']:,.0f}, {c['efficiency']:.0%}" for c in cells) + " |")
    print("\n| from so many ranks on | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for way in WAYS:
        half, more = zip(*(stops(of(rows, way=way, link=name)) for name in names), strict=True)
        for words, found in ("half is lost", half), ("hardly more images/s", more):
            print(f"| {way}: {words} | " + " | ".join(f"{n:,}" if n else "–" for n in found) + " |")


def measured(path: Path) -> tuple[Compute, str]:
    """(what one rank takes, what it is) of what alexnet_step.py wrote: with most threads."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    steps = [each for each in facts["results"] if each["rival"] == "minicnn" and each["what"] == "step"]
    threads = max(each["threads"] for each in steps)
    seconds = {each["batch_size"]: statistics.median(each["seconds"]) for each in steps if each["threads"] == threads}
    if len(seconds) < 2:
        raise ValueError(f"{path} has steps of batches {sorted(seconds)}: measure two or more, best 1 8 32 128 512")
    return between(seconds), f"{facts['machine']}, {threads} threads, {facts['blas']}, {facts['date']}"


def main() -> None:
    from minicnn.command_line import Parser, location, new_file, number

    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=location, default=STEPS, metavar="FILE",
                        help=f"what alexnet_step.py --json wrote (default: {STEPS.name})")
    parser.add_argument("--images-per-second", type=number(float, 1e-9), metavar="N",
                        help="of a rank, at any batch, in place of what was measured")
    parser.add_argument("--batch-size", type=number(int, 1), nargs="+", default=[1024], metavar="N",
                        help="of all ranks together (default: 1024)")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    asked = parser.parse_args()
    try:
        compute, machine = measured(asked.steps)
    except (OSError, ValueError, LookupError) as error:
        parser.error(f"--steps: {error}")
    if asked.images_per_second:
        compute, machine = (lambda images: images / asked.images_per_second), "assumed, measured nowhere"
    every = []
    for batch in asked.batch_size:
        rows = table(compute, batch)
        every += rows
        print(f"A batch of {batch:,}, of which a rank alone makes {batch / compute(batch):,.1f} images/s ({machine}). "
              "images/s on paper, and the share of that many ranks alone:\n")
        show(rows)
        print()
    write(asked.json, ["numpy"], machine=machine, links=[link._asdict() for link in LINKS], results=every)


if __name__ == "__main__":
    main()
