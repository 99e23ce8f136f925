"""Two GPUs for a test: real ones where the suite runs on such, else a stand-in's."""

import sys

import cuda_on_cpu
import cupy_stand_in
import pytest
from cupy_stand_in import Unordered, WrongDevice, violations

__all__ = ["Unordered", "WrongDevice", "gpus", "on_stand_in", "violations"]

real = False  # whether the suite runs on a GPU: conftest.py says
on_stand_in = pytest.mark.skipif("__import__('gpus').real", reason="a real GPU says nothing of this")


@pytest.fixture
def gpus():
    if real:
        import cupy

        if cupy.cuda.runtime.getDeviceCount() < 2:
            pytest.skip("this takes two GPUs")
        yield cupy
    elif getattr(sys.modules.get("cupy"), "is_stand_in", False):
        yield sys.modules["cupy"]
    else:
        try:
            yield cupy_stand_in.install(cuda_on_cpu.compile_unwatched)
        finally:
            cupy_stand_in.uninstall()
