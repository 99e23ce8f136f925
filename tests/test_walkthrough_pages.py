"""Chapters as pages in a real browser: a widget is moved by the keyboard, and the numbers on the page become those that
the engine computes for its new value."""

import contextlib
import re
import socket
import subprocess
import sys
import time

import pytest
from browser import browser, nothing_sticks_out, page  # noqa: F401 (fixtures)
from test_walkthrough import FOLDER

pytestmark = pytest.mark.processor
TELL = """
import importlib.util, sys, types
sys.path.insert(0, sys.argv[1])
spec = importlib.util.spec_from_file_location("chapter", sys.argv[2])
chapter = importlib.util.module_from_spec(spec)
spec.loader.exec_module(chapter)
chapter.app.run(defs={sys.argv[3]: types.SimpleNamespace(value=eval(sys.argv[4]))})
"""


def told(chapter, widget, value):
    """The numbers that the chapter prints, as a script, with this value of a widget; without times, which change."""
    command = [sys.executable, "-W", "ignore", "-c", TELL, str(FOLDER), str(chapter), widget, str(value)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    return set.intersection(*({*numbers(re.sub(r"(?m)^\[picture: .*\]$", "", run))} for run in runs))


def numbers(text):
    return re.findall(r"\d+\.\d{2,}", text)


@contextlib.contextmanager
def served(chapter):
    """The address of a chapter that marimo serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "marimo", "run", str(chapter), "--headless", "--no-token", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize("number, widget, place, value", [
    (4, "exponent", 0, 4), (5, "p_slider", 0, 2), (11, "step", 0, 2),
])  # fmt: skip
def test_a_slider_moves_and_the_numbers_follow(number, widget, place, value, page):  # noqa: F811
    (chapter,) = FOLDER.glob(f"{number:02}_*.py")
    with served(chapter) as address:
        page.goto(address)
        page.get_by_role("heading", name="Exercise").wait_for(timeout=60_000)
        before = {*numbers(page.locator("body").inner_text())}
        expected = told(chapter, widget, value)
        assert expected - before, "nothing would change"
        page.get_by_role("slider").nth(place).focus()
        page.keyboard.press("ArrowRight")
        for _ in range(300):
            after = {*numbers(page.locator("body").inner_text())}
            if expected <= after:
                break
            page.wait_for_timeout(100)
        assert expected <= after
        nothing_sticks_out(page)
        assert all(page.evaluate("[...document.querySelectorAll('img')].map(i => i.alt)")), "a picture without words"
