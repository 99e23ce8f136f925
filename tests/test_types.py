"""Types are real: mypy --strict on the package as it is installed, kernels inside, and on a user's program."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
pytestmark = pytest.mark.processor

HOUSE = Path(__file__).parent.parent
MISTAKES = Path(__file__).with_name("typing_mistakes.py")


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """Runs mypy beside the package."""
    root = tmp_path_factory.mktemp("installed")
    (root / "minicnn").mkdir()
    for path in [*(HOUSE / "minicnn").iterdir(), HOUSE / "kernels"]:
        (root / "minicnn" / path.name).symlink_to(path)
    (root / MISTAKES.name).write_text(MISTAKES.read_text(encoding="utf-8"), encoding="utf-8")

    def run(*arguments):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"  # NumPy's own types are written for this one
        command = [sys.executable, "-m", "mypy", "--config-file", str(HOUSE / "setup.cfg"), "--python-version", version,
                   *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    return run


def test_the_package_as_it_is_installed(mypy):
    run = mypy("-p", "minicnn")
    assert (run.returncode, run.stderr) == (0, ""), run.stdout


def test_every_mistake_is_seen_before_the_program_runs(mypy):
    run = mypy(MISTAKES.name)
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    wrong = {i for i, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert len(wrong) >= 20
    assert {int(line) for line in re.findall(rf"^{MISTAKES.name}:(\d+): error", run.stdout, re.M)} == wrong, run.stdout
