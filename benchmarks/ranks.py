"""Time a training step of AlexNet over several processes of this machine that share out its cores, against one.

    python benchmarks/ranks.py
    python benchmarks/ranks.py --ranks 1 2 4 --batch-size 128 1024 --json result.json
    python benchmarks/ranks.py --width 0.25 --steps 3 --rounds 1       # a quick look

Each number of ranks is started by mpiexec, in turns, so that whatever else the machine does meets all alike. Of two
ranks or more every second step exchanges its gradients only when backward has ended: what the others need less is what
is hidden behind backward. "exchange" is the share of a step in which a rank waits for others, or for their gradients.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from turns import blas, processor, unset_blas_variables, use, write

WARM_UP = 2  # steps of each kind, the first of which compiles
KINDS = ("behind backward", "after backward")


# -- what a rank does --------------------------------------------------------------------------------------------------


def work(batch_size: int, width: float, steps: int) -> None:
    """Prints, as rank 0, for each kind of step the seconds of each and how many of these were waited."""
    from minicnn import models, optim
    from minicnn.training.mpiexec import ranks_of_this_run
    from minicnn.training.parallel_step import ParallelStep
    from minicnn.training.step import Step

    with ranks_of_this_run() as ranks:
        use(ranks.cores())
        net = models.alexnet(classes=1000, width=width, generator=np.random.default_rng(0))
        step: Any = Step(net, optim.SGD(net.named_parameters(), lr=0.001))
        if ranks.size > 1:
            step = ParallelStep(step, ranks)
        (cut,) = step.share.cuts(batch_size)
        random, own = np.random.default_rng(ranks.rank), len(range(*cut.indices(batch_size)))
        images = random.standard_normal((own, 3, net.pixels, net.pixels), dtype=np.float32)
        labels = random.integers(0, 1000, own)
        took: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS[: 1 + (ranks.size > 1)]}
        for turn in range(WARM_UP + steps):
            for kind in took:
                if ranks.size > 1:
                    begin_after(step, kind == KINDS[1])
                ranks.barrier()
                begun, waited = time.perf_counter(), ranks.waited
                step.of([(images, labels)])
                ranks.barrier()
                if turn >= WARM_UP:
                    took[kind].append((time.perf_counter() - begun, ranks.waited - waited))
        print(json.dumps({"threads": ranks.cores(), "took": took}), flush=True)


def begin_after(step: Any, after: bool) -> None:
    """Let the exchange see no gradient before backward has ended, or every one at once as usual."""
    step.exchange.leaf_done = (lambda *given: None) if after else type(step.exchange).leaf_done.__get__(step.exchange)


# -- what is asked and printed -----------------------------------------------------------------------------------------


def started(ranks: int, batch_size: int, width: float, steps: int) -> dict[str, Any]:
    """What such a run prints. Ends the program where it fails."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    own = [sys.executable, __file__, "--work", *map(str, (batch_size, width, steps))]
    command = own if ranks == 1 else [str(mpiexec if mpiexec.exists() else "mpiexec"), "-n", str(ranks), *own]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        sys.exit('ranks: there is no mpiexec: pip install "minicnn[mpi]"')
    except subprocess.CalledProcessError as error:
        sys.exit(f"ranks: {ranks} ranks failed: {(error.stderr.strip() or error.stdout.strip()).splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def measure(ranks: list[int], batch_size: int, width: float, steps: int, rounds: int) -> list[dict[str, Any]]:
    runs = [(count, started(count, batch_size, width, steps)) for _ in range(rounds) for count in ranks]
    results = []
    for count in ranks:
        own = [run for n, run in runs if n == count]
        for kind in own[0]["took"]:
            seconds = [s for run in own for s, _ in run["took"][kind]]
            waited = [w for run in own for _, w in run["took"][kind]]
            speeds = [batch_size / s for s in seconds]
            results.append({
                "ranks": count, "threads": own[0]["threads"], "kind": kind if count > 1 else "", "width": width,
                "batch_size": batch_size, "seconds": seconds, "waited": waited,
                "images_per_s": {f.__name__: f(speeds) for f in (statistics.median, min, max)},
                "exchange": statistics.median(w / s for w, s in zip(waited, seconds, strict=True))})  # fmt: skip
    return results


def hidden(results: list[dict[str, Any]], ranks: int) -> float:
    """Of the time that the exchange takes after backward, the share that it does not take when it goes on behind."""
    behind, after = (statistics.median(r["waited"]) for kind in KINDS for r in results
                     if r["ranks"] == ranks and r["kind"] == kind)  # fmt: skip
    return 1 - behind / after


def main() -> None:
    from minicnn.command_line import Parser, new_file, number

    positive = number(int, 1)
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ranks", type=positive, nargs="+", default=[1, 2], metavar="N", help="(default: 1 2)")
    parser.add_argument("--batch-size", type=positive, nargs="+", default=[128], metavar="N",
                        help="of all ranks together (default: 128)")
    parser.add_argument("--width", type=number(float, 0.01, 4), default=1.0, help="of AlexNet (default: 1)")
    parser.add_argument("--steps", type=positive, default=5, metavar="N", help="of each kind that count (default: 5)")
    parser.add_argument("--rounds", type=positive, default=2, metavar="N",
                        help="in which every number of ranks is started once (default: 2)")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    parser.add_argument("--keep-blas-variables", action="store_true",
                        help="do not unset OPENBLAS_CORETYPE and its like")
    asked = parser.parse_args()
    if max(asked.ranks) > min(asked.batch_size):
        parser.error(f"--batch-size {min(asked.batch_size)} is too small for {max(asked.ranks)} ranks")
    unset_blas_variables(asked.keep_blas_variables)
    machine, multiplies, every = processor(), blas(), []
    print(f"{machine}, {multiplies}, {date.today()}. A step of AlexNet, width {asked.width:g}, median of "
          f"{asked.rounds} × {asked.steps} (least – most):\n\n"
          "batch  ranks  threads each  gradients go     images/s                   exchange  hidden")
    for batch_size in asked.batch_size:
        results = measure(asked.ranks, batch_size, asked.width, asked.steps, asked.rounds)
        every += results
        for result in results:
            speed = result["images_per_s"]
            share = f"{hidden(results, result['ranks']):.0%}" if result["kind"] == KINDS[0] else ""
            print(f"{batch_size:5}  {result['ranks']:5}  {result['threads']:12}  {result['kind'] or 'nowhere':15}  "
                  f"{f'''{speed['median']:.1f} ({speed['min']:.1f} – {speed['max']:.1f})''':25}  "
                  f"{result['exchange']:8.0%}  {share:>6}", flush=True)
    write(asked.json, ["numpy", "numba", "mpi4py"], machine=machine, blas=multiplies, results=every)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
