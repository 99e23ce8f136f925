"""Importing this imports what every fork of planted_faults.py needs, and nothing of minicnn. What is missing, or fails,
is left to the tests that need it."""

from contextlib import suppress
from importlib import import_module

from _pytest.config import default_plugins

LIBRARIES = ["numpy", "pytest", *(f"_pytest.{name}" for name in default_plugins), "_hypothesis_pytestplugin",
             "hypothesis.extra.numpy", "PIL.Image", "safetensors.numpy", "tqdm", "threadpoolctl", "matplotlib.figure",
             "matplotlib.backends.backend_agg", "asyncio", "unittest.mock", "tarfile", "pdb", "numba",
             "nvrtc", "drawn_slips", "faults_road"]  # fmt: skip
for name in LIBRARIES:
    with suppress(Exception):
        import_module(name)
with suppress(Exception):  # Numba loads what it needs before it can run any kernel: half a second
    import_module("numba").njit("int64(int64)")(lambda x: x)
