"""The list of faults may not rot: what it plants must be there to be changed. planted_faults.py plants them."""

import subprocess
import sys

import pytest
from faults import CONTROLS, FAULTS, HOUSE
from faults_road import ROAD

ALL = CONTROLS + FAULTS + ROAD
PLACES = ("minicnn/ops", "minicnn/models", "minicnn/data", "kernels")
FILES = sorted(path.relative_to(HOUSE).as_posix() for folder in PLACES for ending in ("*.py", "*.cu*")
               for path in (HOUSE / folder).glob(ending)
               if path.name != "__init__.py" or folder == "kernels")  # the others only name what is in their folder


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_a_fault_changes_its_file_and_names_its_tests(fault):
    source = (HOUSE / fault.file).read_text(encoding="utf-8")
    assert fault.source() != source
    if fault.file.endswith(".py"):
        compile(fault.source(), fault.file, "exec")
    assert fault.tests
    for test in fault.tests.split():
        file, _, function = test.partition("::")
        text = (HOUSE / "tests" / file).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in text


def test_what_is_no_longer_there_is_said():
    fault = FAULTS[0]
    with pytest.raises(ValueError, match=r"stands 0 times in minicnn/ops/arithmetic\.py, expected 1: mend the fault"):
        type(fault)("rotten", fault.file, "what nobody wrote", "", fault.tests).source()


def test_no_two_faults_are_the_same():
    assert len({fault.name for fault in ALL}) == len({(fault.file, fault.source()) for fault in ALL}) == len(ALL)


def test_there_are_many_and_every_op_and_kernel_and_place_on_the_road_has_one():
    assert len(FAULTS) >= 100
    assert len(ROAD) >= 80
    assert set(FILES) <= {fault.file for fault in FAULTS + ROAD}


STARTS = """
import subprocess, sys
from planted import plant
seen = plant(*sys.argv[1:])
assert not seen.exists()
{}
assert seen.exists()
"""
MODULE = 'import minicnn.training.log; subprocess.run([sys.executable, "-c", "import minicnn.training.log"])'
SCRIPT = 'subprocess.run([sys.executable, sys.argv[1], "an argument"])'
TEXT = "from pathlib import Path; print(Path(sys.argv[1]).read_text())"


@pytest.mark.parametrize(("file", "what", "said"), [
    ("minicnn/training/log.py", MODULE, 2), ("examples/train_alexnet.py", SCRIPT, 1), ("kernels/relu.cu", TEXT, 1)])
def test_what_is_planted_is_seen_here_and_in_what_is_started(file, what, said, tmp_path):
    before = (HOUSE / file).read_bytes()
    text = "print('planted')"
    command = [sys.executable, "-c", STARTS.format(what), str(HOUSE / file), text, str(tmp_path)]
    result = subprocess.run(command, cwd=HOUSE / "tests", capture_output=True, text=True, check=True)
    assert result.stdout.count("planted") == said, result
    assert (HOUSE / file).read_bytes() == before
