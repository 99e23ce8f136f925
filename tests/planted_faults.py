"""Does the test suite see a fault? ``python tests/planted_faults.py [--only WORD]`` plants faults one at a time and in
memory alone, and runs tests until one fails: those of faults.py and faults_road.py, made by hand, and slips of the pen
that drawn_slips.py draws from the code, others for every --seed. A fault that no test sees is a hole in the suite, one
that the numerical check misnames is a hole in the check: exit status 1.

Most are planted where minicnn and the tests are imported already, by planted_in_place.py. What nobody sees there, and
what it refuses, is planted where nothing of them is.

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
from multiprocessing import forkserver
from pathlib import Path

import pytest
from drawn_slips import SEED, Drawn, drawn_slips, unused
from faults import CONTROLS, FAULTS, HOUSE
from faults_road import ROAD
from planted import plant
from planted_in_place import fits, swap

BY_HAND = CONTROLS + FAULTS + ROAD
LIMIT = 900  # seconds for one fault: four minutes where it is seen late, twice that where the machine has other work
TEST_LIMIT = 60  # seconds of the processor for one test
FORKS = "forkserver" in multiprocessing.get_all_start_methods()  # else (Windows) each process begins anew
PYTEST = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:faulthandler",
          "-p", "no:anyio",  # another's plugin, which no test here needs
          "-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Hypothesis was imported before pytest could look at it

# -- in a process of its own: one fault --------------------------------------------------------------------------------


class FirstFailure:
    """A plugin that remembers the first test that failed, or was broken off. A file that cannot be imported is none.

    begun: a file for the name of the test that goes on, for whoever finds the process dead.
    """

    test = None

    def __init__(self, begun=None):
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


def run(tests, begun):
    """(the first that failed, pytest's status)"""
    first = FirstFailure(begun)
    status = pytest.main([*PYTEST, *tests], plugins=[first])
    return first.test, int(status)


def one(fault, folder, machine_code, imported):
    """Plant a fault, run its tests, and write to ``folder`` what they found. imported: what a fork has, by name."""
    with open(folder / "said", "wb") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # one signal ends it with all that it started
    multiprocessing.set_start_method(None, force=True)  # this and Ctrl-C as whoever runs the tests has them
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if FORKS and imported not in sys.modules:  # the server of forks says nothing of it
        raise ImportError(f"{imported}.py cannot be imported")
    os.chdir(HOUSE)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)  # pytest clears away old folders, which may be another run's
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
    seen, begun = plant(HOUSE / fault.file, fault.source(), folder), folder / "begun"
    tests = [f"tests/{test}" for test in fault.tests.split()]
    ready = sys.modules.get("tests_ready")
    if ready and fault.file.endswith(".py"):
        swap(HOUSE / fault.file, fault.source(), ready.functions)
        seen.touch()
    test, status = ready.run(tests, begun) if ready else run(tests, begun)
    begun.unlink(missing_ok=True)
    if not seen.exists():
        raise ImportError(f"{fault.name}: {fault.file} was never imported: the tests saw no fault")
    verdicts = named(fault.op) if fault.verdict else None
    report = {"test": test, "status": status, "verdicts": verdicts}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)  # whatever thread the fault left waiting


# -- here: all of them -------------------------------------------------------------------------------------------------


def outcome(fault, start, *given):
    """(what is wrong with the suite, or nothing; the row of the table after the fault's name and file)"""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process = start(target=one, args=(fault, folder, *given))
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


def starter(ready):
    """What makes the processes: forks of one that has imported the module ``ready``, where there is such a thing."""
    if not FORKS:
        return multiprocessing.get_context("spawn").Process
    forkserver._forkserver._stop()  # the one before, which has imported another
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([ready])
    return processes.Process


def end_group(process):
    """End a process with all that it started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def in_place(fault):
    """Whether a fault may be planted where all is imported: files that are no modules may be read only later."""
    return FORKS and (not fault.file.endswith(".py") or fits(HOUSE / fault.file, fault.source()))


def outcomes(faults, machine_code, anew):
    """(fault, its outcome, whether that was in place) of all. Controls are planted in both ways."""
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:

        def planted(faults, ready):
            faults.sort(key=lambda fault: fault.file.startswith("kernels"))  # by then the others have compiled them
            start = starter(ready)
            return zip(faults, pool.map(lambda fault: outcome(fault, start, machine_code, ready), faults), strict=True)

        quick = [fault for fault in faults if not anew and in_place(fault)]
        rest = [fault for fault in faults if fault not in quick]
        tests = {test.partition("::")[0] for fault in quick for test in fault.tests.split()}
        os.environ["TESTS_READY"] = " ".join(sorted(tests))
        for fault, found in planted(quick, "tests_ready"):
            if bool(found[0]) == (fault in CONTROLS):
                yield fault, found, True
            else:
                rest.append(fault)
        for fault, found in planted(rest, "libraries_ready"):
            yield fault, found, False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="faults with one in name or file")
    parser.add_argument("--seed", type=int, default=SEED, help="draw other slips")
    parser.add_argument("--all", action="store_true", help="plant every slip, which takes hours")
    parser.add_argument("--anew", action="store_true", help="import all anew for each, which takes longer")
    given = parser.parse_args()
    faults = BY_HAND + drawn_slips(given.seed, given.all)
    chosen = [fault for fault in faults if any(word in f"{fault.name} {fault.file}" for word in given.only)]
    common = tempfile.TemporaryDirectory()  # what Numba compiles, and what runs CUDA on the processor, once for all
    os.environ.setdefault("CUDA_ON_CPU", common.name)
    machine_code = Path(common.name) / "machine code"
    machine_code.mkdir()
    os.environ["NUMBA_CACHE_DIR"] = str(machine_code)
    os.chdir(HOUSE / "tests")  # where the server of forks looks for what it imports
    began, quick, holes = time.monotonic(), 0, []
    print("| fault | file | first test that failed | verdict: expected / named |\n|---|---|---|---|")
    for fault, (trouble, test, verdicts), here in outcomes(chosen, machine_code, given.anew):
        row = f"| {fault.name} | {fault.file} | {trouble or test} | {verdicts} |"
        print(row, flush=True)
        quick += here
        holes += [row] * bool(trouble)
    seconds = time.monotonic() - began
    print(f"\n{len(chosen)} planted, {quick} in place, {len(holes)} not as they should be, {seconds:.0f} s")
    print(*holes, sep="\n")  # again, as the end of a long text is what is read first
    for part in unused():
        print(f"drawn_slips.py: no slip is called {part!r} any more: NOBODY_SEES can do without")
    return int(bool(holes) or not chosen)


if __name__ == "__main__":
    sys.exit(main())
