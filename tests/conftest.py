"""Hypothesis: a few examples, always the same; HYPOTHESIS_PROFILE=deep draws many, new ones each time."""

import os

from hypothesis import settings

settings.register_profile("quick", max_examples=20, deadline=None, derandomize=True, database=None)
settings.register_profile("deep", max_examples=500, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
