"""Hypothesis: ``pytest`` draws a few examples, always the same. ``pytest -m deep`` runs the tests that draw alone, with
many new ones each time, or those of --hypothesis-seed=N; HYPOTHESIS_EXAMPLES says how many."""

import os

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
