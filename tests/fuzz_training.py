"""The training script in other people's hands: ``python tests/fuzz_training.py --runs 200 --seed 1`` draws folders,
options, machines and interruptions, lets each run go on afterwards, and holds what was said and kept against what it
should be. Exit status 1 where anything is wrong; ``--only N --keep FOLDER`` does one again and leaves all it made.
"""

import argparse
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from minicnn import checkpoint

SCRIPT = Path(__file__).parent.parent / "examples" / "train_alexnet.py"
LIMIT = 90  # seconds for one run
KEPT = {"best.safetensors", "last.safetensors", "config.json", "log.jsonl", "curves.png", "kernels.png",
        "predictions.png", "neighbours.png"}  # fmt: skip
OF_CLASSES = {"confusions.png", "wrong.csv", "classes.csv"}  # which --evaluate writes anew

# -- folders: each returns the pictures that cannot be read, or None where there is nothing to train on ---------------


def fill(root, draw, classes=("cat", "dog", "eel"), count=5, suffix=".png", colour=None):
    for part, many in (("train", count), ("val", max(1, count // 2))):
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for i in range(many):
                pixels = np.random.default_rng(draw.getrandbits(32)).integers(0, 256, (6, 7, 3), np.uint8)
                picture = Image.fromarray(pixels if colour is None else np.full_like(pixels, colour)).resize((40, 36))
                picture.save(root / part / name / f"{i}{suffix}")
    return set()


def with_bad_ones(root, draw):
    fill(root, draw)
    bad = set(draw.sample(sorted(root.glob("*/*/*.png")), draw.randint(1, 4)))
    for path in sorted(bad):
        kind = draw.randrange(4)
        content = [b"", b"no picture", path.read_bytes()[:60], None][kind]
        path.unlink()
        path.symlink_to("nowhere") if content is None else path.write_bytes(content)
    return bad


def odd_names(root, draw):
    names = ["ca$$h", "a$_$b", "größe", "e\u0301", "a b", "-x", "~", "{x}^2", "line\nend", "\x1b[31m", "%s", "'",
             "日本", os.fsdecode(b"\xff\xfe"), "x" * 200, "CON", "a,b"]
    fill(root, draw, draw.sample(names, 3))
    for path in draw.sample(sorted(root.glob("*/*/*.png")), 4):
        path.rename(path.with_name(draw.choice(names)[:100] + f"{draw.randrange(10**6)}.png"))
    return set()


def a_class_of_bad_ones(root, draw):
    fill(root, draw)
    bad = set((root / "train" / "dog").iterdir())
    for path in bad:
        path.write_bytes(b"none")
    return bad


def left_out(root, draw):
    fill(root, draw)
    for name in ("a.heic", "b.avif", "without", "notes.txt", ".hidden.png", "Thumbs.db"):
        (root / "train" / "cat" / name).write_bytes(b"x")
    shutil.copytree(root / "train" / "cat", root / "train" / "dog" / "more")
    return set()


def without(*names):
    def build(root, draw):
        fill(root, draw)
        for name in names:
            shutil.rmtree(root / name)

    return build


def class_folders(root, draw):
    fill(root, draw)
    shutil.rmtree(root / "val")
    for path in sorted((root / "train").iterdir()):
        path.rename(root / path.name)
    (root / "train").rmdir()


def another_name(root, draw):
    fill(root, draw)
    (root / "val").rename(root / draw.choice(["valid", "validation", "test"]))
    return set()


def one_class(root, draw):
    fill(root, draw, ("cat",))


def an_empty_class(root, draw):
    fill(root, draw)
    for path in (root / draw.choice(["train", "val"]) / "dog").iterdir():
        path.unlink()


def classes_differ(root, draw):
    fill(root, draw)
    (root / "val" / "dog").rename(root / "val" / "Dog")


def all_bad(part):
    def build(root, draw):
        fill(root, draw)
        for path in (root / part).glob("*/*"):
            path.write_bytes(b"none")

    return build


FOLDERS = {
    "normal": fill, "bad ones": with_bad_ones, "odd names": odd_names, "a class of bad ones": a_class_of_bad_ones,
    "left out": left_out, "grey": lambda root, draw: fill(root, draw, colour=128),
    "black": lambda root, draw: fill(root, draw, colour=0), "one a class": lambda root, draw: fill(root, draw, count=1),
    "two classes": lambda root, draw: fill(root, draw, ("a", "b")),
    "upper case": lambda root, draw: fill(root, draw, suffix=".PNG"),
    "JPEG": lambda root, draw: fill(root, draw, suffix=".JPEG"),
    "no val": without("val"), "no train": without("train"), "empty": without("train", "val"),
    "class folders": class_folders, "another name for val": another_name, "one class": one_class,
    "an empty class": an_empty_class,
    "classes differ": classes_differ, "nowhere": lambda root, draw: None,
    "a file": lambda root, draw: root.write_bytes(b"x") and None, "all bad in train": all_bad("train"),
    "all bad in val": all_bad("val"),
}  # fmt: skip
ODD_ONES = [name for name in FOLDERS if name != "normal"]

# -- options, machines, interruptions ----------------------------------------------------------------------------------

REFUSED = {  # and with what status
    ("--epochs", "0"): 2, ("--epochs", "2.5"): 2, ("--epochs", "many"): 2, ("--epochs", ""): 2, ("--epoch", "3"): 2,
    ("-b", "0"): 2, ("-b", "4.0"): 2, ("-b", "-4"): 2, ("--batch-size", "1e3"): 2, ("--lr", "nan"): 2,
    ("--lr", "inf"): 2, ("--lr", "-0.1"): 2, ("--lr", "0,1"): 2, ("--momentum", "1"): 2, ("--momentum", "nan"): 2,
    ("--weight-decay", "-1"): 2, ("--seed", "-1"): 2, ("--seed", "1.5"): 2, ("--workers", "-1"): 2, ("-j", "two"): 2,
    ("--keep", "-1"): 2, ("--save-minutes", "nan"): 2, ("--save-minutes", "-1"): 2, ("--width", "0"): 2,
    ("--width", "-1"): 2, ("--variant", "lenet"): 2, ("--recipe", "huge"): 2, ("--device", "gpu"): 2,
    ("--device", ""): 2, ("--device", "cpu:0,cpu:1,cpu:2"): 2, ("--evaluate",): 2, ("another", "word"): 2,
    ("--weights", "nowhere"): 2, ("--recipe", "finetune"): 2, ("--lars", "0"): 2, ("--warm-up", "-1"): 2,
    ("--lars", "0.001"): 1,
    ("--output",): 2, ("--half",): 1, ("--graph",): 1, ("--resume", "nowhere"): 1, ("--resume", "/dev/null"): 1,
}  # fmt: skip
TAKEN = [("--lr", "0"), ("--lr", "1e30"), ("--lr", "1e4"), ("--tf32",), ("--device", "cpu"), ("--momentum", "0"),
         ("--device", "cpu:0,cpu:1"), ("--weight-decay", "0"), ("--weight-decay", "1e30"), ("--keep", "0"),
         ("--keep", "9"), ("--variant", "paper"), ("--save-minutes", "0"), ("--save-minutes", "1e300")]  # fmt: skip
WILD = [("--lr", "1e30"), ("--lr", "1e4"), ("--weight-decay", "1e30")]  # diverges, unless it ends before
MACHINES = [{}, {}, {}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252"}, {"LC_ALL": "C"},
            {"HOME": "/nonexistent", "XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "/dev/null/x"}, {"COLUMNS": "20"},
            {"TMPDIR": "/nonexistent"}, {"PYTHONOPTIMIZE": "2"}, {"LANG": "tr_TR.UTF-8"}]  # fmt: skip
SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "SIGINT twice"]
MISHAPS = ["pictures gone", "run gone"]
OUTPUTS = ["closed pipe", "full", "closed", "errors closed", "full disk"]
ENDS = {"SIGINT": 130, "SIGTERM": 130, "SIGHUP": 130, "SIGKILL": -9, "SIGINT twice": 130}
LATER = {  # how a run is resumed: options, and whether it must end as if nothing had happened
    "as it was": ((), True), "workers": (("--workers", "1"), True), "keep": (("--keep", "2"), True),
    "smaller batches": (("-b", "2"), False), "larger batches": (("-b", "64"), False), "rate": (("--lr", "1e-4"), False),
    "seed": (("--seed", "99"), False), "a picture less": ((), False), "pictures touched": ((), False),
    "data moved": ((), False), "run moved": ((), True), "more epochs": (("--epochs", "3"), False),
    "fewer epochs": (("--epochs", "1"), False), "a bit flipped": ((), True),
}  # fmt: skip
OVERRULED = {  # options that belong to the weights: refused, and then the run goes on as it was
    "another variant": lambda case: ("--variant", "blueprint" if "paper" in case.special else "paper"),
    "another width": lambda case: ("--width", "0.06"),
    "another recipe": lambda case: ("--recipe", "small" if "paper" in case.options else "paper"),
}  # fmt: skip
LATER |= dict.fromkeys(OVERRULED, ((), True))


@dataclass
class Case:
    """What was drawn."""

    number: int
    folder: str
    options: tuple = ()
    special: tuple = ()
    machine: dict = field(default_factory=dict)
    output: str = "run"
    interruption: str = ""
    moment: int = 0  # steps in the log; 0: as soon as something was said; −1: when the last epoch is done
    later: str = "as it was"

    def __str__(self):
        machine = " ".join(f"{k}={v}" for k, v in self.machine.items())
        interrupted = self.interruption and f"{self.interruption} at {self.moment}"
        said = [self.folder, " ".join(self.options[2:] + self.special), machine, self.output, interrupted, self.later]
        return ", ".join(filter(None, said))


def drawn(seed, number):
    draw = random.Random(f"{seed} {number}")
    case = Case(number, "normal" if draw.random() < 0.5 else draw.choice(ODD_ONES))
    case.options = ("--width", "0.05", "--epochs", str(draw.randint(1, 3)), "--seed", str(draw.randint(0, 3)),
                    "--workers", str(draw.choice([0, 0, 0, 1, 2])), "-b", str(draw.choice([1, 3, 4, 7, 64])))
    case.options += ("--recipe", draw.choice(["small", "small", "paper"]), *draw.choice([(), ("--save-minutes", "0")]))
    if draw.random() < 0.1:
        case.special = draw.choice(list(REFUSED))
    elif draw.random() < 0.4:
        case.special = draw.choice(TAKEN)
    case.machine = draw.choice(MACHINES)
    case.output = draw.choice(["run"] * 20 + ["läuf e/neu $", "empty"] * 3 + ["taken", "a file", "a file/run"])
    if draw.random() < 0.75:
        case.interruption = draw.choice(SIGNALS + OUTPUTS + MISHAPS)
        case.moment = draw.choice([-1, 0, *range(1, 10)])
    case.later = draw.choice(list(LATER))
    return case


# -- one run -----------------------------------------------------------------------------------------------------------


@dataclass
class Ended:
    status: int | str
    said: str  # on standard output
    noted: str  # on the error output
    whole: bool = True  # all that it said was taken


def steps_in(log):
    try:
        return sum('"loss"' in line for line in log.read_text(encoding="utf-8").splitlines())
    except OSError:
        return 0


def launch(arguments, home, environment, interruption="", moment=0, log=None, epochs="1"):
    """Run the script, and interrupt it."""
    out, err = home / "out", home / "err"
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    with (home / "commands").open("a", encoding="utf-8", errors="backslashreplace") as file:
        values = " ".join(f"{k}={shlex.quote(v)}" for k, v in environment.items())
        file.write(f"{values} {shlex.join(command)}  # {interruption} {moment}\n")

    def prepare():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell has ignored in what runs in the background
        if interruption == "full disk":
            size = [2000, 30_000, 300_000, 10**6][moment % 4]
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        if interruption == "closed":
            os.close(1)
        if interruption == "errors closed":
            os.close(2)

    with open("/dev/full" if interruption == "full" else out, "wb") as output, err.open("wb") as errors:
        if interruption == "full":
            out.write_bytes(b"")
        piped = interruption == "closed pipe"
        process = subprocess.Popen(command, stdout=subprocess.PIPE if piped else output, stderr=errors, cwd=home,
                                   env=os.environ | environment, preexec_fn=prepare)
    try:
        disturb(process, interruption, moment, log, out, epochs)
        status = process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return Ended("hangs", "", "")
    said, noted = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
    return Ended(status, said, noted, interruption not in OUTPUTS)


def disturb(process, interruption, moment, log, out, epochs):
    """Wait for the moment, then do it."""
    if interruption == "closed pipe":
        out.write_bytes(b"".join(process.stdout.readline() for _ in range(max(1, moment))))
        process.stdout.close()
        return
    if interruption not in SIGNALS + MISHAPS:
        return
    end, last = time.monotonic() + LIMIT, f"epoch {epochs}/{epochs}: training".encode()
    while not (steps_in(log) >= moment if moment > 0 else (last if moment else b"settings") in out.read_bytes()):
        if process.poll() is not None:
            return
        if time.monotonic() > end:
            raise subprocess.TimeoutExpired(process.args, LIMIT)
        time.sleep(0.003)
    if interruption in MISHAPS:
        gone = log.parent if interruption == "run gone" else out.with_name("data")
        gone.rename(gone.with_name("gone"))
        process.wait(LIMIT)
        if not gone.exists():
            gone.with_name("gone").rename(gone)
        return
    process.send_signal(getattr(signal, interruption.split()[0]))
    if interruption.endswith("twice"):
        time.sleep(0.01)
        process.send_signal(signal.SIGTERM)


# -- what must be true -------------------------------------------------------------------------------------------------


def strict(text):
    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def of_any_run(ended, expected):
    """Troubles with how a run ended, and with what it said."""
    both = ended.said + ended.noted
    if ended.status not in expected:
        yield f"status {ended.status}, expected {' or '.join(map(str, expected))}: {both.strip()[-300:]!r}"
    for word in ("Traceback", "Exception ignored", "Warning", "Error:", "nan", "leaked"):
        if word in re.sub(r"skipped .*|settings: .*|.*loss (is|over) .*|.* is out of range.*", "", both):
            yield f"it says {word!r}: {both.strip()[-300:]!r}"
    if ended.status in ("hangs", 141) or not ended.noted:
        return
    complaints = [line for line in both.splitlines() if line.startswith("train_alexnet")]
    if len(complaints) != (ended.status in (1, 2)):
        yield f"{len(complaints)} lines of complaint with status {ended.status}: {both.strip()[-300:]!r}"
    if ended.status == 2 and both.count("\n") != 1:
        yield f"a bad command line is {both.count(chr(10))} lines: {both!r}"


def of_folder(run, ended, torn=False):
    """Troubles with what a run keeps. torn: its last line of the log may be cut off."""
    log, last = run / "log.jsonl", None
    lines = []
    for number, text in enumerate(log.read_text(encoding="utf-8").splitlines() if log.exists() else [], 1):
        try:
            lines.append(strict(text))
        except ValueError as error:
            if not torn:
                yield f"line {number} of the log: {error}: {text[:80]!r}"
    steps = [line["step"] for line in lines if "loss" in line]
    if steps != list(range(1, len(steps) + 1)):
        yield f"the steps of the log are {steps}"
    ends = [line for line in lines if "val_loss" in line]
    if [line["epoch"] for line in ends] != list(range(1, len(ends) + 1)):
        yield f"epochs that ended in the log are {[line['epoch'] for line in ends]}"
    if (run / "config.json").exists():
        try:
            strict((run / "config.json").read_text(encoding="utf-8"))
        except ValueError as error:
            yield f"config.json: {error}"
    for path in sorted(run.glob("*.safetensors")):
        arrays, facts = checkpoint.load(path)
        weak = [name for name, a in arrays.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]
        if weak:
            yield f"{path.name}: {weak[0]} is not finite"
        last = facts["progress"] if path.name == "last.safetensors" else last
        if path.name == "best.safetensors":
            top = max([line["val_top1"] for line in ends if line["val_top1"] is not None], default=None)
            if ended.status == 0 and facts["progress"]["best"] != top:
                yield f"best.safetensors is of {facts['progress']['best']}, the log's best is {top}"
    both = ended.said + ended.noted
    if "everything is saved" in both and (last is None or last["step"] != len(steps)):
        yield f"'everything is saved', but the checkpoint is {last and last['step']}, the log's last step {len(steps)}"
    for step in re.findall(r"until step (\d+) is saved", both):
        if last is None or last["step"] != int(step):
            yield f"step {step} is said to be saved, the checkpoint is of {last and last['step']}"
    if "before the first step" in both and steps:
        yield f"'before the first step', after {len(steps)} steps"
    for epoch, share in re.findall(r"best epoch: (\d+), top-1 ([\d.]+)%", both):
        best = checkpoint.load(run / "best.safetensors")[1]["progress"]
        if f"{best['best']:.1%}" != f"{share}%" or best["epoch"] != int(epoch):
            yield f"the best is said to be {share}% of epoch {epoch}, best.safetensors is {best}"
    if ended.status == 0 and "nothing to do" not in both and ends:
        found = re.search(r"^top-1 ([\d.]+%)(?:, top-5 ([\d.]+%))? after epoch (\d+)", ended.said, re.M)
        best = max(ends, key=lambda line: (line["val_top1"], -line["val_loss"]))
        right = [f"{best[name]:.1%}" if name in best else None for name in ("val_top1", "val_top5")]
        if ended.whole and (not found or [found[1], found[2], int(found[3])] != [*right, best["epoch"]]):
            yield f"the last line says {found and found[0]!r}, the log's best is {right} after {best['epoch']}"
        names = {path.name for path in run.iterdir() if not path.name.startswith("epoch-")}
        right = KEPT | OF_CLASSES
        if names != right and " is not made: " not in ended.noted:
            yield f"in the folder: {sorted(names ^ right)}"


def skipped(ended):
    return set(re.findall(r"^skipped (.*?): ", ended.noted, re.M))


def arrays_of(run):
    arrays, facts = checkpoint.load(run / "last.safetensors")
    return {name: a.tobytes() for name, a in arrays.items() if name.startswith(("model", "velocity"))}, facts


# -- one case ----------------------------------------------------------------------------------------------------------


def try_out(case, home):
    """Troubles with what was drawn, as (which run, what is wrong)."""
    draw = random.Random(case.number)
    data = home / "data"
    bad = FOLDERS[case.folder](data, draw)
    usable = bad is not None
    run = home / case.output
    environment = {"XDG_CACHE_HOME": str(home / "cache")} | case.machine
    epochs = case.options[3]
    arguments = [data, *case.options, *case.special, "-o", run]
    if case.output == "empty":
        run.mkdir()
    elif case.output == "taken":
        run.mkdir()
        (run / "thesis.txt").write_text("all of it")
    elif case.output.startswith("a file"):
        (home / "a file").write_text("")
    wild = case.special in WILD
    right = [0, 1] if wild else [0]
    if case.special in REFUSED:
        right = [REFUSED[case.special]]
    elif not usable or case.output == "taken" or case.output.startswith("a file"):
        right = [1]
    begins = right[0] == 0
    expected = list(right)
    if case.interruption in ENDS:
        expected += [ENDS[case.interruption]] + [-signal.SIGTERM, -signal.SIGHUP] * (case.moment in (0, -1))
    elif case.interruption in ("closed pipe", "full", "full disk", *MISHAPS):
        expected += [1] + [141] * (case.interruption == "closed pipe")
    first = launch(arguments, home, environment, case.interruption, case.moment, run / "log.jsonl", epochs)
    yield from (("first", text) for text in of_any_run(first, expected))
    if case.output == "taken" and [path.name for path in run.iterdir()] != ["thesis.txt"]:
        yield "first", f"it wrote into a folder of others: {sorted(path.name for path in run.iterdir())}"
    if not begins or not run.is_dir():
        return
    torn = case.interruption in ("SIGKILL", "full disk")
    yield from (("first", text) for text in of_folder(run, first, torn))
    named = {str(path).encode("ascii", "backslashreplace").decode("unicode_escape") for path in bad}
    if first.status == 0 and case.interruption != "errors closed" and skipped(first) != named:
        yield "first", f"skipped are {sorted(skipped(first))}, bad are {sorted(named)}"
    if first.status == 1 and not case.interruption and "learning rate" not in first.noted:
        yield "first", f"no word of the learning rate: {first.noted!r}"
    if wild:
        return
    yield from (("second", text) for text in go_on(case, home, data, run, environment, arguments, draw, bad))


def go_on(case, home, data, run, environment, arguments, draw, bad):
    """Resume it, or start it anew where nothing was saved."""
    options, same = LATER[case.later]
    if not (run / "last.safetensors").exists():
        again, same = arguments, True
    else:
        train = sorted(path for path in (data / "train").glob("*/*.*") if path not in bad and path.is_file())
        if case.later == "a picture less" and len(train) > 9:
            draw.choice(train).unlink()
        elif case.later == "pictures touched":
            for path in train:
                os.utime(path, (1e9, 1e9))
        elif case.later == "data moved":
            data = data.rename(home / "data elsewhere")
            options = (data,)
        elif case.later == "run moved":
            run = run.rename(home / "moved run")
        elif case.later in OVERRULED or case.later == "a bit flipped":
            yield from refused(case, home, run, environment, draw)
        again = ["--resume", run, *options]
    second = launch(again, home, environment)
    yield from of_any_run(second, [0])
    if second.status != 0:
        return
    yield from of_folder(run, second)
    if same:
        other = home / "undisturbed"
        third = launch([*arguments[:-1], other], home, environment)
        yield from of_any_run(third, [0])
        if third.status == 0:
            (mine, facts), (right, known) = arrays_of(run), arrays_of(other)
            if mine != right:
                yield f"{sum(mine[name] != right[name] for name in right)} arrays differ from an undisturbed run's"
            for name in ("epoch", "step", "best"):
                if facts["progress"][name] != known["progress"][name]:
                    yield f"{name} is {facts['progress'][name]}, undisturbed it is {known['progress'][name]}"
    if draw.random() < 0.5:
        shutil.rmtree(data / "train")  # which is not needed to evaluate
    before = contents(run)
    measured = launch([data, "--resume", run, "--evaluate"], home, environment)
    yield from of_any_run(measured, [0])
    best = checkpoint.load(run / "best.safetensors")[1]["progress"]["best"]
    if measured.status == 0 and f"top-1 {best:.1%}" not in measured.said:
        yield f"the best is {best:.1%}, evaluated: {measured.said.splitlines()[-1:]}"
    after = contents(run)
    if {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - OF_CLASSES:
        yield "--evaluate changed the run"


def refused(case, home, run, environment, draw):
    """What is no way to go on with this run, and must not change it."""
    last = run / "last.safetensors"
    whole = last.read_bytes()
    if case.later == "a bit flipped":
        spoilt = bytearray(whole)
        spoilt[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        last.write_bytes(spoilt)
    before = contents(run)
    ended = launch(["--resume", run, *OVERRULED.get(case.later, lambda case: ())(case)], home, environment)
    yield from of_any_run(ended, [1, 2])
    if contents(run) != before:
        yield "what was refused wrote into the folder"
    last.write_bytes(whole)


def contents(run):
    return {path.name: path.read_bytes() for path in run.iterdir() if path.name != ".lock"}


def tried(seed, number, keep=None):
    """(what was drawn, what is wrong, the command lines)"""
    case = drawn(seed, number)
    home = Path(keep or tempfile.mkdtemp(prefix="fuzz-"))
    home.mkdir(parents=True, exist_ok=True)
    try:
        troubles = [f"{which} run: {text}" for which, text in try_out(case, home)]
        commands = (home / "commands").read_text(encoding="utf-8") if troubles else ""
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    return case, troubles, commands


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="at once")
    parser.add_argument("--only", type=int, help="the number of the one to do")
    parser.add_argument("--keep", type=Path, help="a new folder for what is made by --only")
    given = parser.parse_args()
    numbers = [given.only] if given.only is not None else range(given.runs)
    began, wrong = time.monotonic(), 0
    print("| number | drawn | wrong |\n|---|---|---|")
    with ThreadPoolExecutor(given.jobs) as pool:
        for case, troubles, commands in pool.map(lambda number: tried(given.seed, number, given.keep), numbers):
            wrong += bool(troubles)
            row = f"| {case.number} | {case} | {'; '.join(troubles) or '-'} |".replace("\n", "\\n")
            print(row.encode("utf-8", "backslashreplace").decode(), flush=True)
            if troubles:
                print(commands, file=sys.stderr)
    print(f"\n{len(numbers)} drawn, {wrong} wrong, {time.monotonic() - began:.0f} s")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
