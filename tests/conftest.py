"""Hypothesis: ``pytest`` draws a few examples, always the same. ``pytest -m deep`` runs the tests that draw alone, with
many new ones each time, or those of --hypothesis-seed=N; HYPOTHESIS_EXAMPLES says how many, and where it is less than
20 how few.

Devices: ``pytest -m gpu`` runs on cuda(0) all tests that can be run there. ``pytest --on stand-in`` does so on a
stand-in for two GPUs, which sees what GPUs would not say; but not what is too large for it, nor what every run of the
suite does on it.
"""

import os
from contextlib import nullcontext

import cuda_on_cpu
import cupy_stand_in
import gpus
import nvrtc
import pytest
from hypothesis import settings

from minicnn import cuda, kernels

many = int(os.environ.get("HYPOTHESIS_EXAMPLES", 1000))
settings.register_profile("quick", max_examples=min(many, 20), deadline=None, derandomize=True, database=None)
settings.register_profile("deep", max_examples=many, deadline=None, derandomize=False, database=None)
settings.register_profile("stand-in", settings.get_profile("quick"), max_examples=5)

PROCESSOR_ONLY = ("test_benchmarks", "test_blas", "test_classes", "test_compare", "test_console",
                  "test_cuda_kernels", "test_cuda_on_cpu", "test_cupy_stand_in", "test_data_", "test_doctor",
                  "test_gradcheck_layers", "test_gradcheck_rounding", "test_gradcheck_second", "test_house",
                  "test_hvp", "test_kernels", "test_machine", "test_mistakes", "test_mpi", "test_onnx_file",
                  "test_onnx_ops", "test_onnx_windows", "test_parallel", "test_planted", "test_plots", "test_readme",
                  "test_showing", "test_slips", "test_train_", "test_watch")  # fmt: skip


def pytest_addoption(parser):
    parser.addoption("--on", choices=["stand-in"], help="run what -m gpu runs, on a stand-in for two GPUs")


def pytest_configure(config):
    profile = "deep" if config.option.markexpr == "deep" else "quick"
    if config.option.on:
        if not cuda_on_cpu.COMPILER:
            raise pytest.UsageError("--on stand-in: its kernels are compiled by g++, which is missing")
        cupy_stand_in.install(cuda_on_cpu.compile_unwatched)
        config.option.markexpr, profile = "gpu", "stand-in"
    elif config.option.markexpr == "gpu":
        try:
            cuda(0)
        except RuntimeError as error:
            raise pytest.UsageError(f"-m gpu: {error}") from None
        gpus.real = True
    settings.load_profile(profile)


def pytest_itemcollected(item):
    if getattr(item.obj, "is_hypothesis_test", False):
        item.add_marker(pytest.mark.deep)
    elsewhere = item.config.option.on and ("gpus" in item.fixturenames or item.get_closest_marker("large"))
    if not (item.path.name.startswith(PROCESSOR_ONLY) or item.get_closest_marker("processor") or elsewhere):
        item.add_marker(pytest.mark.gpu)


@pytest.fixture
def threads():
    """Sets the number of threads, and in the end what it was before."""
    before = kernels.get_num_threads()
    yield kernels.set_num_threads
    kernels.set_num_threads(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with cuda(0) if item.config.option.markexpr == "gpu" else nullcontext():
        return (yield)


def pytest_terminal_summary(terminalreporter):
    """What was proven of the GPUs' side. None of it ran on one, but for what -m gpu ran."""
    kernels, orders = ({each[i] for each in cuda_on_cpu.ran} for i in (0, 1))
    if kernels:
        terminalreporter.write_line(f"CUDA kernels run by the processor: {len(kernels)}, in {len(orders)} orders of "
                                    f"threads ({', '.join(sorted(orders))})")
    if nvrtc.compiled:
        files, texts, architectures = (sorted({each[i] for each in nvrtc.compiled}) for i in range(3))
        terminalreporter.write_line(f"CUDA files compiled by NVRTC: {len(files)}, as {len(texts)} texts in half, float "
                                    f"and double, for {len(architectures)} architectures ({', '.join(architectures)})")
    if cupy_stand_in.launches:
        terminalreporter.write_line(f"CUDA kernels launched on a stand-in for GPUs: {cupy_stand_in.launches.total():,} "
                                    f"times, {len(cupy_stand_in.launches)} of them")
    for violation in cupy_stand_in.violations:
        terminalreporter.write_line(f"VIOLATION: {violation}")
