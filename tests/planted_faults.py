"""Does the test suite see a fault? ``python tests/planted_faults.py [--only WORD]`` plants faults one at a time and in
memory alone, and runs tests until one fails: those of faults.py and faults_road.py, made by hand, and slips of the pen
that drawn_slips.py draws from the code, others for every --seed. A fault that no test sees is a hole in the suite, one
that the numerical check misnames is a hole in the check: exit status 1.

The last column is what the check should say of the fault, and what it says: verdicts, the most telling first.
"""

import argparse
import gc
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.config import default_plugins
from drawn_slips import SEED, Drawn, drawn_slips, unused
from faults import CONTROLS, FAULTS, HOUSE
from faults_road import ROAD
from planted import plant

BY_HAND = CONTROLS + FAULTS + ROAD
LIMIT = 300  # seconds for one fault
TEST_LIMIT = 60  # seconds of the processor for one test
# The same for every fault, so imported once: each fault is planted in a fork of what has imported these, nothing of
# minicnn among them. Where there is no fork (Windows), each begins anew.
LIBRARIES = ["numpy", "numba", "pytest", *(f"_pytest.{name}" for name in default_plugins), "hypothesis.extra.numpy",
             "PIL.Image", "safetensors.numpy", "tqdm", "threadpoolctl", "matplotlib.figure",
             "matplotlib.backends.backend_agg", "numba_ready"]
PYTEST = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:anyio",  # another's plugin, which no test here needs
          "-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Hypothesis was imported before pytest could look at it

# -- in a process of its own: one fault --------------------------------------------------------------------------------


class FirstFailure:
    """A plugin that remembers the first test that failed, or was broken off. A file that cannot be imported is none.

    begun: a file for the name of the test that goes on, for whoever finds the process dead.
    """

    test = None

    def __init__(self, begun):
        self.begun = begun

    def pytest_sessionstart(self):
        from hypothesis import Phase, settings  # not before pytest has had a chance to rewrite its asserts

        phases = [Phase.explicit, Phase.generate]  # whoever only asks whether a test fails needs no smallest example
        settings.register_profile("planted", settings.get_profile("quick"), phases=phases)
        settings.load_profile("planted")

    def pytest_runtest_logstart(self, nodeid, location):
        self.begun.write_text(nodeid.removeprefix("tests/"), encoding="utf-8")
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, TEST_LIMIT)  # what never ends is ended, and so seen

    def pytest_keyboard_interrupt(self, excinfo):
        if self.begun.exists():  # else it was broken off before the first of them
            self.test = self.test or self.begun.read_text(encoding="utf-8")

    def pytest_runtest_logreport(self, report):
        if report.failed and self.test is None:
            self.test = report.nodeid.removeprefix("tests/")


def named(op):
    """What the numerical check says of the first case of an op that fails."""
    from minicnn import GradientError
    from minicnn.gradcheck.suite import CASES

    for case in CASES:
        if case.op == op:
            try:
                case.run()
            except GradientError as error:
                return [verdict.name for verdict in error.verdicts]
    return ["right"]


def one(fault, folder, machine_code):
    """Plant a fault, run its tests, and write to ``folder`` what they found."""
    with open(folder / "said", "wb") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # one signal ends it with all that it started
    multiprocessing.set_start_method(None, force=True)  # this and Ctrl-C as whoever runs the tests has them
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(HOUSE)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)  # pytest clears away old folders, which may be another run's
    os.environ["NUMBA_CACHE_DIR"] = str(machine_code)
    if fault.file.startswith("kernels") and fault.file.endswith(".py"):
        # else Numba would take the healthy machine code for the faulty, or keep this
        os.environ["NUMBA_CACHE_DIR"] = str(folder / "machine code")
        stem = Path(fault.file).stem
        if stem not in ("__init__", "compiled"):  # which decide how all kernels are compiled
            not_these = shutil.ignore_patterns(f"{stem}.*", "*.tmp.*")
            shutil.copytree(machine_code, folder / "machine code", ignore=not_these)
    if "numba" in sys.modules:
        sys.modules["numba"].config.reload_config()
    gc.freeze()  # what was imported before stays, and need not be looked through again and again
    seen = plant(HOUSE / fault.file, fault.source(), folder)
    first = FirstFailure(folder / "begun")
    tests = [f"tests/{test}" for test in fault.tests.split()]
    status = int(pytest.main([*PYTEST, *tests], plugins=[first]))
    first.begun.unlink(missing_ok=True)
    if not seen.exists():
        raise ImportError(f"{fault.name}: {fault.file} was never imported: the tests saw no fault")
    verdicts = named(fault.op) if fault.verdict else None
    report = {"test": first.test, "status": status, "verdicts": verdicts}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)  # whatever thread the fault left waiting


# -- here: all of them -------------------------------------------------------------------------------------------------


def outcome(fault, start, machine_code):
    """(what is wrong with the suite, or nothing; the row of the table after the fault's name and file)"""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process = start(target=one, args=(fault, folder, machine_code))
        process.start()
        process.join(LIMIT)
        if process.exitcode is None:
            end_group(process)
            return "hangs", "-", "-"
        end_group(process)
        if (folder / "begun").exists() and not fault.verdict and fault not in CONTROLS:  # the process is dead
            return "", f"{(folder / 'begun').read_text(encoding='utf-8')}, which it ended", "- / -"
        if not (folder / "report.json").exists():
            said = (folder / "said").read_text(encoding="utf-8", errors="replace") if (folder / "said").exists() else ""
            return f"broke off: {said.strip().splitlines()[-1:]}", "-", "-"
        found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    expected = [fault.verdict] if isinstance(fault.verdict, str) else list(fault.verdict or ["-"])
    verdicts = " or ".join(expected) + " / " + ", ".join(found["verdicts"] or ["-"])
    if fault in CONTROLS:
        trouble = "red without a fault" if found["status"] or found["test"] else ""
    elif not found["test"] and found["status"] and isinstance(fault, Drawn):
        return "", "(what imports it)", "- / -"  # no slip is too coarse
    elif not found["test"]:
        trouble = f"SURVIVES (pytest's status {found['status']})"
    else:
        trouble = "MISNAMED" if fault.verdict and found["verdicts"][:1] not in [[name] for name in expected] else ""
    return trouble, found["test"] or "-", verdicts


def starter():
    """What makes the processes: forks of one that has imported all libraries, where there is such a thing."""
    forked = "forkserver" in multiprocessing.get_all_start_methods()
    processes = multiprocessing.get_context("forkserver" if forked else "spawn")
    if forked:
        processes.set_forkserver_preload(LIBRARIES)
    return processes.Process


def end_group(process):
    """End a process with all that it started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="faults with one in name or file")
    parser.add_argument("--seed", type=int, default=SEED, help="draw other slips")
    parser.add_argument("--all", action="store_true", help="plant every slip, which takes hours")
    given = parser.parse_args()
    faults = BY_HAND + drawn_slips(given.seed, given.all)
    faults.sort(key=lambda fault: fault.file.startswith("kernels"))  # by then the others have compiled what all need
    chosen = [fault for fault in faults if any(word in f"{fault.name} {fault.file}" for word in given.only)]
    common = tempfile.TemporaryDirectory()  # what Numba compiles, and what runs CUDA on the processor, once for all
    os.environ.setdefault("CUDA_ON_CPU", common.name)
    machine_code = Path(common.name) / "machine code"
    machine_code.mkdir()
    start = starter()
    began, holes = time.monotonic(), []
    print("| fault | file | first test that failed | verdict: expected / named |\n|---|---|---|---|")
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        outcomes = pool.map(lambda fault: outcome(fault, start, machine_code), chosen)
        for fault, (trouble, test, verdicts) in zip(chosen, outcomes, strict=True):
            row = f"| {fault.name} | {fault.file} | {trouble or test} | {verdicts} |"
            print(row, flush=True)
            holes += [row] * bool(trouble)
    print(f"\n{len(chosen)} planted, {len(holes)} not as they should be, {time.monotonic() - began:.0f} s")
    print(*holes, sep="\n")  # again, as the end of a long text is what is read first
    for part in unused():
        print(f"drawn_slips.py: no slip is called {part!r} any more: NOBODY_SEES can do without")
    return int(bool(holes) or not chosen)


if __name__ == "__main__":
    sys.exit(main())
