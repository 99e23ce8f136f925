"""The list of faults may not rot: what it plants must be there to be changed. planted_faults.py plants them."""

import pytest
from faults import CONTROLS, FAULTS, HOUSE

ALL = CONTROLS + FAULTS
FILES = sorted(path.relative_to(HOUSE).as_posix() for folder in ("minicnn/ops", "kernels")
               for ending in ("*.py", "*.cu*") for path in (HOUSE / folder).glob(ending))  # fmt: skip


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


def test_there_are_many_and_every_op_and_kernel_has_one():
    assert len(FAULTS) >= 100
    assert set(FILES) <= {fault.file for fault in FAULTS}
