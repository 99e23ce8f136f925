"""Train on as many pictures as ImageNet has, in an archive like its own: a tar of 1,000 tars.

    python benchmarks/imagenet_size.py                        # 1,281,000 small pictures, 3 GB in a temporary folder
    python benchmarks/imagenet_size.py --in FOLDER            # where they stay for the next time
    python benchmarks/imagenet_size.py --pictures 20 --steps 5        # of each class

It prints how long the headers took, how long the first step when these were known, what memory the trainer held before
the first batch and each worker at the end, the rate, the share of waiting; then it kills a run, lets it go on, and says
whether that saw and learned the same as one that was not killed.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from turns import processor

from minicnn.command_line import Parser, location, number

CLASSES = 1000
SCRIPT = Path(__file__).parent.parent / "examples" / "train_alexnet.py"
MEMORY = """
import sys
from minicnn.data import Loader, Statistics
from minicnn.data.sources import image_sets
import minicnn.models, minicnn.training.showing, minicnn.training.trainer
images, _ = image_sets(sys.argv[1], sys.argv[2])
loader, listing = Loader(images, Statistics.of(images, sample=100), 128, train=True), images.listing()
order = loader._order(0)
print(*[int(line.split()[1]) // 1000 for line in open("/proc/self/smaps_rollup") if line.startswith("Pss:")])
"""


def make(at: Path, each: int) -> None:
    """train.tar, ``each`` pictures a class, of 300 that are drawn; and val/<class>/0.jpg."""
    random, drawn = np.random.default_rng(0), []
    for _ in range(300):
        file = io.BytesIO()
        colours = random.integers(0, 256, (8, 8, 3), np.uint8).repeat(32, axis=0).repeat(32, axis=1)
        Image.fromarray(colours).save(file, "JPEG", quality=30)
        drawn.append(file.getvalue())
    with (at / "train.tar.part").open("wb") as tar:
        for label in range(CLASSES):
            name = f"n{label:08d}"
            some = [drawn[(label * each + i) % len(drawn)] for i in range(each)]
            inside = b"".join(member(f"{name}_{i}.JPEG", data) for i, data in enumerate(some))
            tar.write(member(f"{name}.tar", inside + bytes(1024)))
            (at / "val" / name).mkdir(parents=True, exist_ok=True)
            (at / "val" / name / "0.jpg").write_bytes(some[0])
        tar.write(bytes(1024))
    (at / "train.tar.part").replace(at / "train.tar")


def member(name: str, data: bytes) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    return entry.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def steps_of(run: Path) -> list[dict[str, Any]]:
    path = run / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()[:-1]] if path.exists() else []


def until(run: Path, steps: int, *arguments: str) -> tuple[float, list[int]]:
    """Train until so many steps are logged, then kill. Returns when the first was, in seconds, and each worker's MB."""
    with (run.parent / f"{run.name}.txt").open("a") as said:
        process = subprocess.Popen([sys.executable, SCRIPT, *arguments], stdout=said, stderr=said)
    begun, first = time.perf_counter(), 0.0
    while len(steps_of(run)) < steps and process.poll() is None:
        time.sleep(0.05)
        first = first or (time.perf_counter() - begun if steps_of(run) else 0.0)
    if process.poll() is not None:
        sys.exit(f"imagenet_size: {' '.join(arguments)} ended: see {said.name}")
    children = [child for task in Path(f"/proc/{process.pid}/task").iterdir()
                for child in (task / "children").read_text().split()]  # fmt: skip
    memory = [int(line.split()[1]) // 1000 for child in children
              for line in Path(f"/proc/{child}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")]
    process.kill()
    process.wait()
    return first, memory


def main() -> None:
    parser = Parser(description=__doc__.partition(".")[0])
    parser.add_argument("--in", dest="at", type=location, metavar="FOLDER", help="for the archive (default: temporary)")
    parser.add_argument("--pictures", type=number(int, 1), default=1281, metavar="N", help="a class (default: 1281)")
    parser.add_argument("--steps", type=number(int, 2), default=40, metavar="N", help="of 128 pictures (default: 40)")
    parser.add_argument("--workers", type=number(int, 0), default=1, metavar="N", help="(default: 1)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        at, runs = asked.at or Path(temporary), Path(temporary)
        os.environ["XDG_CACHE_HOME"] = temporary
        if not (at / "train.tar").exists():
            make(at, asked.pictures)
        data = [str(at / "train.tar"), "--val", str(at / "val")]
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "minicnn", "index", data[0]], check=True)
        print(f"{processor()}\nheaders      {time.perf_counter() - begun:7.1f} s, once")
        new = [*data, "--width", "0.0625", "-b", "128", "--seed", "1", "--statistics-of", "2000", "--recipe", "paper",
               "--workers", str(asked.workers), "--save-minutes", "0.05"]  # fmt: skip
        until(runs / "once", 2, *new, "-o", str(runs / "once"))  # the statistics are known from here on
        first, memory = until(runs / "whole", asked.steps, *new, "-o", str(runs / "whole"))
        base = subprocess.check_output([sys.executable, "-c", MEMORY, data[0], data[2]])
        print(f"first step   {first:7.1f} s\nmemory       {int(base):7} MB, and {memory} in workers")
        log = steps_of(runs / "whole")
        for name, words, factor in (("images_per_second", "images/s", 1), ("waiting", "% waiting", 100)):
            print(f"             {factor * np.median([line[name] for line in log[1:]]):7.1f} {words}")
        until(runs / "killed", asked.steps // 2, *new, "-o", str(runs / "killed"))
        until(runs / "killed", asked.steps, "--resume", str(runs / "killed"))
        again = {line["step"]: line["loss"] for line in steps_of(runs / "killed")}
        same = sum(again.get(line["step"]) == line["loss"] for line in log)
        print(f"killed       {same} of {len(log)} steps as in the run that was not")


if __name__ == "__main__":
    main()
