"""Does the test suite see a fault? ``python tests/planted_faults.py [--only WORD]`` plants those of faults.py, one at a
time and in memory alone, and runs tests until one fails. A fault that no test sees is a hole in the suite, one that the
numerical check misnames is a hole in the check: exit status 1.

The last column is what the check should say of the fault, and what it says: verdicts, the most telling first.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
from faults import CONTROLS, FAULTS, HOUSE

ALL = CONTROLS + FAULTS
LIMIT = 300  # seconds for one fault

# -- in a process of its own: one fault --------------------------------------------------------------------------------


class Planted(SourceFileLoader):
    """Found before all other finders: the module of one file, compiled from its source with the fault in it."""

    def __init__(self, fault):
        super().__init__(fault.module, str(HOUSE / fault.file))
        self.text, self.ran = fault.source(), False

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname):
        return compile(self.text, self.path, "exec", dont_inherit=True)

    def exec_module(self, module):
        self.ran = True
        super().exec_module(module)

    def into_text(self, monkeypatch):
        """For a file that is no module, but read: a CUDA text."""
        read = Path.read_text

        def read_text(path, *options, **more):
            if path.name != Path(self.path).name:
                return read(path, *options, **more)
            self.ran = True
            return self.text

        monkeypatch.setattr(Path, "read_text", read_text)


class FirstFailure:
    """A plugin that remembers the first test that failed. A file that cannot be imported is none."""

    test = None

    def pytest_sessionstart(self):
        from hypothesis import Phase, settings  # not before pytest has had a chance to rewrite its asserts

        phases = [Phase.explicit, Phase.generate]  # whoever only asks whether a test fails needs no smallest example
        settings.register_profile("planted", settings.get_profile("quick"), phases=phases)
        settings.load_profile("planted")

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


def plant(fault, report):
    planted = Planted(fault)
    if fault.file.endswith(".py"):
        sys.meta_path.insert(0, planted)
    else:
        planted.into_text(pytest.MonkeyPatch())
    first = FirstFailure()
    tests = [f"tests/{test}" for test in fault.tests.split()]
    status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests], plugins=[first]))
    if not planted.ran:
        raise ImportError(f"{fault.name}: {fault.file} was never imported: the tests saw no fault")
    verdicts = named(fault.op) if fault.verdict else None
    report.write_text(json.dumps({"test": first.test, "status": status, "verdicts": verdicts}))


# -- here: all of them -------------------------------------------------------------------------------------------------


def outcome(fault):
    """(what is wrong with the suite, or nothing; the row of the table after the fault's name and file)"""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, __file__, "--plant", str(ALL.index(fault)), "--report", str(report)]
        environment = dict(os.environ)
        if fault.file.startswith("kernels") and fault.file.endswith(".py"):
            # else Numba would take the healthy machine code for the faulty, or keep this
            environment["NUMBA_CACHE_DIR"] = folder
        try:
            run = subprocess.run(command, cwd=HOUSE, env=environment, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return "hangs", "-", "-"
        if not report.exists():
            return f"broke off: {(run.stdout + run.stderr).strip().splitlines()[-1:]}", "-", "-"
        found = json.loads(report.read_text())
    expected = [fault.verdict] if isinstance(fault.verdict, str) else list(fault.verdict or ["-"])
    verdicts = " or ".join(expected) + " / " + ", ".join(found["verdicts"] or ["-"])
    if fault in CONTROLS:
        trouble = "red without a fault" if found["status"] or found["test"] else ""
    elif not found["test"]:
        trouble = f"SURVIVES (pytest's status {found['status']})"
    else:
        trouble = "MISNAMED" if fault.verdict and found["verdicts"][:1] not in [[name] for name in expected] else ""
    return trouble, found["test"] or "-", verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="faults with this word in name or file")
    parser.add_argument("--plant", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plant is not None:
        return plant(ALL[given.plant], given.report)
    chosen = [fault for fault in ALL if given.only in f"{fault.name} {fault.file}"]
    common = tempfile.TemporaryDirectory()  # what runs CUDA on the processor is compiled once for all
    os.environ["CUDA_ON_CPU"] = common.name
    began, holes = time.monotonic(), 0
    print("| fault | file | first test that failed | verdict: expected / named |\n|---|---|---|---|")
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for fault, (trouble, test, verdicts) in zip(chosen, pool.map(outcome, chosen), strict=True):
            holes += bool(trouble)
            print(f"| {fault.name} | {fault.file} | {trouble or test} | {verdicts} |", flush=True)
    print(f"\n{len(chosen)} planted, {holes} not as they should be, {time.monotonic() - began:.0f} s")
    return int(bool(holes) or not chosen)


if __name__ == "__main__":
    sys.exit(main())
