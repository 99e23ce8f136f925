"""Programs under mpiexec."""

import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MPIEXEC = next((path for folder in (Path(sys.executable).parent, sysconfig.get_path("scripts"))
                if (path := Path(folder, "mpiexec")).exists()), None)
needs_mpi = pytest.mark.skipif(MPIEXEC is None and "CI" not in os.environ,
                               reason='no mpiexec: pip install "minicnn[mpi]"')


def started(ranks, *command, **settings):
    """mpiexec -n ranks python command, as a process whose two outputs are one."""
    assert MPIEXEC, 'pip install "minicnn[mpi]"'
    return subprocess.Popen([str(MPIEXEC), "-n", str(ranks), sys.executable, *map(str, command)],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **settings)


def ended(process, seconds=60):
    """(its exit status, what it printed, how long that took)"""
    begun = time.monotonic()
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"it hangs: {process.communicate()[0]}") from None
    return process.returncode, text, time.monotonic() - begun


def run(ranks, *command, status=0):
    """What the program prints."""
    found, text, _ = ended(started(ranks, *command))
    assert found == status, text
    return text
