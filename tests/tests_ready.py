"""Importing this makes pytest start, and collect the files that the environment variable TESTS_READY names: once for
all forks of planted_faults.py that plant a fault in place."""

import os
from importlib import import_module

import pytest
from _pytest.config import _prepareconfig
from faults import HOUSE
from planted_faults import PYTEST, FirstFailure
from planted_in_place import living

import_module("libraries_ready")
os.chdir(HOUSE)
files = [f"tests/{file}" for file in os.environ.pop("TESTS_READY").split()]
first = FirstFailure()
config = _prepareconfig([*PYTEST, "-s", *files], [first])  # -s, else all forks shared one file for what is captured
session = pytest.Session.from_config(config)
config._do_configure()
config.hook.pytest_sessionstart(session=session)
config.hook.pytest_collection(session=session)
items = session.items
functions = living()


def run(tests, begun):
    """Runs those of the collected tests until one fails, as pytest.main does. (the first that failed, the status)"""
    first.begun, status = begun, pytest.ExitCode.OK
    session.items = list(dict.fromkeys(item for test in tests for item in items
                                       if f"{item.nodeid}[".startswith((f"{test}::", f"{test}["))))
    try:
        config.hook.pytest_runtestloop(session=session)
    except session.Failed:  # -x: no more of them
        status = pytest.ExitCode.TESTS_FAILED
    except KeyboardInterrupt:
        first.pytest_keyboard_interrupt(None)
        status = pytest.ExitCode.INTERRUPTED
    config.hook.pytest_sessionfinish(session=session, exitstatus=status)
    return first.test, int(status)
