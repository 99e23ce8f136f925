"""Chapters as pages in a real browser: a widget is moved by the keyboard, and the numbers on the page become those that
the engine computes for its new value."""

import contextlib
import functools
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


@functools.cache
def told(chapter, widget, value):
    """The numbers that the chapter prints, as a script, with this value of a widget."""
    command = [sys.executable, "-W", "ignore", "-c", TELL, str(FOLDER), str(chapter), widget, str(value)]
    run = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {*numbers(re.sub(r"(?m)^\[picture: .*\]$", "", run))}


def numbers(text):
    return re.findall(r"\d+\.\d{2,}", text)


@pytest.fixture(scope="module", params=[(4, "exponent", 4), (5, "p_slider", 2), (11, "step", 2)],
                ids="chapter {0[0]}".format)
def served(request):
    """(a chapter, its first slider, the value one step to the right, the address where marimo serves it)"""
    number, widget, value = request.param
    (chapter,) = FOLDER.glob(f"{number:02}_*.py")
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
        yield chapter, widget, value, f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def test_a_slider_moves_and_the_numbers_follow(served, page):  # noqa: F811
    chapter, widget, value, address = served
    page.goto(address)
    page.get_by_role("heading", name="Exercise").wait_for(timeout=60_000)
    before = {*numbers(page.locator("body").inner_text())}
    expected = told(chapter, widget, value)
    assert expected - before, "nothing would change"
    page.get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    for _ in range(300):
        after = {*numbers(page.locator("body").inner_text())}
        if expected <= after:
            break
        page.wait_for_timeout(100)
    assert expected <= after
    nothing_sticks_out(page)
    assert all(page.evaluate("[...document.querySelectorAll('img')].map(i => i.alt)")), "a picture without words"
