"""The faults may not rot: what is planted by hand must be there to be changed, and each kind of slip is one.
planted_faults.py plants them."""

import subprocess
import sys

import pytest
from drawn_slips import NOBODY_SEES, chance, drawn_slips, unused
from faults import CONTROLS, FAULTS, HOUSE
from faults_road import ROAD
from slip_kinds import KINDS
from slips import slips_of

BY_HAND = CONTROLS + FAULTS + ROAD
PLACES = ("minicnn/ops", "minicnn/models", "minicnn/data", "kernels")
FILES = sorted(path.relative_to(HOUSE).as_posix() for folder in PLACES for ending in ("*.py", "*.cu*")
               for path in (HOUSE / folder).glob(ending)
               if path.name != "__init__.py" or folder == "kernels")  # the others only name what is in their folder


@pytest.mark.parametrize("fault", BY_HAND, ids=lambda fault: fault.name)
def test_a_fault_changes_its_file_and_names_its_tests(fault):
    assert fault.source() != (HOUSE / fault.file).read_text(encoding="utf-8")
    if fault.file.endswith(".py"):
        compile(fault.source(), fault.file, "exec")
    assert fault.tests
    for test in fault.tests.split():
        file, _, function = test.partition("::")
        text = (HOUSE / "tests" / file).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in text


def test_what_is_no_longer_there_is_said():
    fault = FAULTS[0]
    with pytest.raises(ValueError, match=r"rotten: 'what nobody wrote' stands in 0 files of kernels, expected 1: mend"):
        type(fault)("rotten", "kernels", "what nobody wrote", "", fault.tests).source()
    with pytest.raises(ValueError, match=r"rotten: 'gy' stands \d+ times in minicnn/ops/relu\.py, expected 1: mend"):
        type(fault)("rotten", "minicnn/ops/relu.py", "gy", "", fault.tests).source()


def test_no_two_faults_are_the_same():
    sources = {(fault.file, fault.source()) for fault in BY_HAND}
    assert len({fault.name for fault in BY_HAND}) == len(sources) == len(BY_HAND)


@pytest.fixture(scope="module")
def drawn():
    return drawn_slips()


def test_slips_change_their_files_and_have_names_and_tests_of_their_own(drawn):
    sources = {(slip.file, slip.source()) for slip in drawn}
    assert len({(slip.file, slip.name) for slip in drawn}) == len(sources) == len(drawn)
    for file, source in sources:
        assert source != (HOUSE / file).read_text(encoding="utf-8")
        compile(source, file, "exec")
    assert all((HOUSE / "tests" / test).exists() for slip in drawn for test in slip.tests.split())
    assert all(slip.tests for slip in drawn)


def test_there_are_many_and_every_op_and_kernel_and_place_on_the_road_has_one(drawn):
    assert 140 <= len(drawn) <= 450  # beside those by hand, what CI has time for
    assert {slip.slip.kind for slip in drawn} == {name for name, _, _ in KINDS}
    assert len([fault for fault in BY_HAND + drawn if fault.verdict]) >= 46
    assert set(FILES) <= {fault.file for fault in BY_HAND + drawn}


def test_another_seed_draws_others_and_the_same_seed_the_same(drawn):
    assert drawn_slips() == drawn
    others = drawn_slips(seed=2)
    assert len(set(others) & set(drawn)) < len(drawn) / 2


def test_a_renaming_draws_no_others():
    here, there = (slips_of(f"def f({x}):\n    {y} = {x} + 1\n    return {y} * {x} - 2\n") for x, y in ("ab", "xy"))
    assert [chance(1, slip) for slip in here] == [chance(1, slip) for slip in there]
    assert len({chance(1, slip) for slip in here}) == len(here)


def test_what_nobody_sees_is_there_and_has_a_reason():
    assert not unused()
    assert all(why for _, why in NOBODY_SEES)


OF_EACH_KIND = [  # what is written, and what may be written instead
    ("term dropped", "y = a + b - c", ["a + b", "a - c", "b - c"]),
    ("factor dropped", "y = 2 * (a + b) / n", ["2 * (a + b)", "2 / n", "(a + b) / n"]),
    ("sign turned", "y += -a - b", ["y -= -a - b", "y += -a + b", "y += a - b"]),
    ("= for +=", "y[i] += x", ["y[i] = x"]),
    ("off by one", "for i in range(a, b): x[i : n // 2]", [
        "range(a + 1, b)", "range(a, b - 1)", "x[i + 1 : n // 2]", "x[i : n // 2 - 1]", "x[i : (n // 2 + 1)]"]),
    ("another axis", "y = x.sum(axis=0) + x.shape[1]", ["axis=1", "x.shape[0]"]),
    ("another number", "y = 3 * x ** 0.5", ["4 * x", "x ** 1.0"]),
    ("comparison loosened", "y = 0 <= (h) < H", ["0 < (h) < H", "0 <= (h) <= H"]),
    ("or for and", "y = a and (b or c)", ["a or (b or c)", "a and (b and c)"]),
    ("condition dropped", "y = a and (b or c)", ["True and (b or c)", "a and (True)", "a and (False or c)",
                                                 "a and (b or False)"]),
    ("not dropped", "y = not a", ["y = a"]),
    ("check left out", "if a:\n    raise ValueError(b + c)", ["if False:"]),
    ("always so", "y = a if b else c", ["a if True else c", "a if False else c"]),
    ("flag turned", "y = f(x, keepdims=True)", ["keepdims=False"]),
    ("its counterpart", "y = np.max(x, order='K')", ["np.min(x", "order='C'"]),
    ("exchanged", "def f(gy):\n    return a, b, f(x, y)", ["return b, a, f(x, y)", "f(y, x)"]),
    ("x for y", "H, W = x.shape\nrange(H)", ["range(W)"]),
    ("0 for x", "f(x, y)", ["f(0, y)", "f(x, 0)"]),
    ("call left out", "y = total(x.T, 0).copy(order='C')", ["y = total(x.T, 0)", "y = (x.T).copy", "total(x, 0)"]),
    ("argument left out", "f(x, y, groups=g)", ["f(x, y)"]),
    ("element left out", "y = {'lr': a, 'epoch': b}", ["{'lr': a}"]),
    ("statement left out", "f(x)\ny[0] = 1\ny, z = 1, 2", ["pass\ny[0]", "f(x)\npass\ny, z"]),
    ("with left out", "with a, b as c: pass", ["with __import__('contextlib').nullcontext(), b as c"]),
    ("error not caught", "try: f()\nexcept KeyError: pass", ["except ():"]),
]


@pytest.mark.parametrize(("kind", "text", "instead"), OF_EACH_KIND, ids=lambda value: str(value)[:20])
def test_a_kind_of_slip(kind, text, instead):
    text = f"# ÷\n{text}\n"  # whose columns are not its bytes
    made = [slip.planted_in(text) for slip in slips_of(text) if slip.kind == kind]
    assert len(made) >= len(instead)
    for part in instead:
        assert any(part in each for each in made), made
    for each in made:
        compile(each, "slip", "exec")


def test_every_kind_of_slip_is_shown():
    assert [kind for kind, _, _ in OF_EACH_KIND] == [name for name, _, _ in KINDS]


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
