"""What the benchmarks measure with: BLAS and variables of the rivals' processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
from turns import blas, take_turns, unset_blas_variables
unset_blas_variables(keep=sys.argv[2] == "keep")
print(blas())
print(*sorted(name for name in os.environ if name in sys.argv[3:]))
"""
SET = {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_L2_SIZE": "512", "MKL_ENABLE_INSTRUCTIONS": "AVX", "MKL_CBWR": "SSE2",
       "BLIS_ARCH_TYPE": "generic", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2",
       "DNNL_MAX_CPU_ISA": "AVX2"}  # fmt: skip
LISTED = ", ".join(f"{name}={value}" for name, value in SET.items())


def measured(word, **variables):
    """(the BLAS that a heading names, which variables are still set, what is said) of a benchmark that begins so."""
    around = {name: value for name, value in os.environ.items() if name not in SET} | variables
    run = subprocess.run([sys.executable, "-c", PROGRAM, str(BENCHMARKS), word, *SET], capture_output=True, text=True,
                         check=True, env=around)  # fmt: skip
    return *run.stdout.splitlines(), run.stderr


def test_variables_that_hold_a_blas_back_are_unset_for_the_rivals_and_that_is_said():
    free, none, nothing = measured("unset")
    assert (none, nothing) == ("", "")
    said = f"{LISTED}: unset for all rivals; --keep-blas-variables keeps it\n"
    assert measured("unset", **SET) == (free, "", said), "though they hold the BLAS of this process"


def test_they_are_kept_where_that_is_asked_for_and_the_rivals_blas_is_named():
    kept, still, said = measured("keep", **SET)
    assert (still.split(), said) == (sorted(SET), f"{LISTED}: kept\n")
    if not kept.startswith("OpenBLAS") or "kernels Nehalem" not in kept:
        pytest.skip(f"NumPy multiplies with {kept}")
    assert kept.endswith(", kernels Nehalem (OPENBLAS_CORETYPE=Nehalem, OPENBLAS_L2_SIZE=512)")


@pytest.mark.parametrize("name", ["alexnet_step.py", "convolutions.py", "ops.py"])
def test_each_benchmark_has_the_option(name):
    run = subprocess.run([sys.executable, str(BENCHMARKS / name), "--help"], capture_output=True, text=True, check=True)
    assert "--keep-blas-variables" in run.stdout
