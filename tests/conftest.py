"""Hypothesis: ``pytest`` draws a few examples, always the same. ``pytest -m deep`` runs the tests that draw alone, with
many new ones each time, or those of --hypothesis-seed=N; HYPOTHESIS_EXAMPLES says how many."""

import os

import cuda_on_cpu
import nvrtc
import pytest
from hypothesis import settings

many = int(os.environ.get("HYPOTHESIS_EXAMPLES", 1000))
settings.register_profile("quick", max_examples=20, deadline=None, derandomize=True, database=None)
settings.register_profile("deep", max_examples=many, deadline=None, derandomize=False, database=None)


def pytest_configure(config):
    settings.load_profile("deep" if config.option.markexpr == "deep" else "quick")


def pytest_itemcollected(item):
    if getattr(item.obj, "is_hypothesis_test", False):
        item.add_marker(pytest.mark.deep)


def pytest_terminal_summary(terminalreporter):
    """What was proven of the CUDA kernels. None of it ran on a GPU."""
    kernels, orders = ({each[i] for each in cuda_on_cpu.ran} for i in (0, 1))
    if kernels:
        terminalreporter.write_line(f"CUDA kernels run by the processor: {len(kernels)}, in {len(orders)} orders of "
                                    f"threads ({', '.join(sorted(orders))})")
    if nvrtc.compiled:
        files, texts, architectures = (sorted({each[i] for each in nvrtc.compiled}) for i in range(3))
        terminalreporter.write_line(f"CUDA files compiled by NVRTC: {len(files)}, as {len(texts)} texts in float and "
                                    f"double, for {len(architectures)} architectures ({', '.join(architectures)})")
