"""GPUs for a test: real ones where the suite runs on such, else a stand-in's."""

import sys

import cuda_on_cpu
import cupy_stand_in
import pytest
from cupy_stand_in import violations

__all__ = ["gpus", "violations"]

real = False  # whether the suite runs on a GPU: conftest.py says


@pytest.fixture
def gpus(request):
    if real:
        import cupy

        if request.node.get_closest_marker("two_gpus") and cupy.cuda.runtime.getDeviceCount() < 2:
            pytest.skip("this takes two GPUs")
        yield cupy
    elif getattr(sys.modules.get("cupy"), "is_stand_in", False):
        yield sys.modules["cupy"]
    elif not cuda_on_cpu.COMPILER:
        pytest.skip("no g++: the CUDA kernels' text did not run")
    else:
        try:
            yield cupy_stand_in.install(cuda_on_cpu.compile_unwatched)
        finally:
            cupy_stand_in.uninstall()
