"""Chapters as pages in a real browser, narrow and wide. By the keyboard alone a widget is moved, and the numbers on the
page become those that the engine computes for its new value; a file that cannot be used is told in one line."""

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from browser import browser, nothing_overlaps, opened  # noqa: F401 (fixtures)
from safetensors.numpy import save_file
from test_walkthrough import CHAPTERS, FOLDER

pytestmark = pytest.mark.processor
TELL = """
import importlib.util, sys, types
sys.path.insert(0, sys.argv[1])
spec = importlib.util.spec_from_file_location("chapter", sys.argv[2])
chapter = importlib.util.module_from_spec(spec)
spec.loader.exec_module(chapter)
chapter.app.run(defs={name: types.SimpleNamespace(value=value) for name, value in eval(sys.argv[3]).items()})
"""
# the key that moves each widget, found by its role, the first of them or the one of this name, and what the chapter is
# told when run as a script
MOVED = {
    0: ([("slider", "ArrowRight")], {"stage": 2}),
    1: ([("slider", "ArrowRight")], {"slider": 1.75}),
    2: ([("slider", "ArrowRight")], {"x_slider": 0.75}),
    3: ([("slider", "ArrowLeft"), ("combobox", "ArrowDown")], {"batch": 3, "pair": "(2, 3) + (2, 1)"}),
    4: ([("slider", "ArrowRight"), ("combobox", "ArrowDown")], {"exponent": 4, "fault": "loss: wrong sign"}),
    11: ([("slider", "ArrowRight")], {"step": 1}),
    12: ([("slider", "ArrowRight")], {"share_slider": 1.5}),
}
REACHED = """e => { e.focus(); const tab = e.tabIndex >= 0 || e.isContentEditable;
                  return tab && e.getRootNode().activeElement === e; }"""
SEEN = """language => [...document.querySelectorAll(`div[lang=${language}], span[lang=${language}]`)].filter(
    e => e.checkVisibility()).length"""
UNSEEN = r"(?m)^\[picture: .*\]$|^The numbers:\n\n```(?s:.*?)```$"  # of what is printed, text that a page does not show
NAMED = "e => e.outerHTML.slice(0, 300)"
# of these, text in pictures is to be read on a narrow page: 10 points of at most 5.6 inches are 9 of its 364 pixels
READABLE, WIDEST = {0, 1, *range(3, 15)}, 5.6 * 130
# each widget stands within one screen of the whole picture or table that it moves, the next one below it
BELOW = """() => [...document.querySelectorAll("marimo-slider, marimo-dropdown, marimo-text")].map(widget => {
    const moved = [...document.querySelectorAll("img, table")].find(e => widget.compareDocumentPosition(e) & 4);
    const parts = [...widget.shadowRoot.querySelectorAll("*")].map(e => e.getBoundingClientRect());
    return moved.getBoundingClientRect().bottom - Math.min(...parts.filter(r => r.height).map(r => r.top)); })"""
BAD = {11: ["picture", "weights"], 13: ["weights"]}  # the files that a chapter asks for


@contextlib.contextmanager
def telling(chapter, values):
    """A function that gives the numbers that the chapter prints, run beside us as a script, with these values of its
    widgets."""
    command = [sys.executable, "-W", "ignore", "-c", TELL, str(FOLDER), str(chapter), repr(values)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:

        def told():
            said, _ = run.communicate()
            assert run.returncode == 0
            return {*numbers(re.sub(UNSEEN, "", said))}

        yield told


def numbers(text):
    return re.findall(r"\d+\.\d{2,}", text)


@pytest.fixture(scope="module")
def context(browser):  # noqa: F811
    """One for all, so that marimo's own program is loaded and compiled once."""
    return browser.new_context()


@pytest.fixture(scope="module")
def address():
    """Where marimo serves the folder of chapters. Its pages are threads of one process and would share minicnn's random
    numbers, so one page at a time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "marimo", "run", str(FOLDER), "--headless", "--no-token", "--session-ttl", "1"]
    server = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def comes(page, wanted):
    """Waits until wanted(text of the page); the text."""
    for _ in range(300):
        text = page.locator("body").inner_text()
        if wanted(text):
            return text
        page.wait_for_timeout(100)
    raise AssertionError(f"it never came; the page said:\n{text}")


def rests(page):
    """Waits until nothing runs: until then an hourglass hovers over the page."""
    page.get_by_test_id("loading-indicator").wait_for(state="detached", timeout=60_000)


def speaks_both(page):
    """By the keyboard a page in two languages is turned into Vietnamese, with all of its numbers, and back."""
    if page.get_by_role("radio", name="Tiếng Việt").count():
        english = Counter(numbers(page.locator("body").inner_text()))
        page.get_by_role("radio", name="English").focus()
        page.keyboard.press("ArrowRight")
        text = page.locator("body").inner_text()
        assert "Tiếng Việt" in text and not english - Counter(numbers(text))
        assert page.evaluate(SEEN, "en") == 0 < page.evaluate(SEEN, "vi")
        nothing_overlaps(page)
        page.keyboard.press("ArrowLeft")
        assert page.evaluate(SEEN, "vi") == 0 < page.evaluate(SEEN, "en")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_a_page(chapter, address, context, tmp_path):
    number = int(chapter.stem[:2])
    moves, values = MOVED.get(number, ([], {}))
    bad = {"picture": "no.jpg", "weights": "another.safetensors"}
    (tmp_path / "no.jpg").write_text("this is no picture")
    save_file({"model.weight": np.zeros((2, 2))}, tmp_path / "another.safetensors")
    script = telling(chapter, values) if moves else contextlib.nullcontext()
    with script as told, opened(context, 400) as page:
        page.goto(f"{address}/?file={chapter.name}")
        last = "Numbers in a computer" if chapter.stem.endswith("glossary") else "One answer"
        page.get_by_text(last, exact=True).first.wait_for(timeout=120_000)  # its last cell
        rests(page)
        before = page.locator("body").inner_text()
        nothing_overlaps(page)
        for role, key, *name in moves:
            page.get_by_role(role, name=name[0] if name else None).first.focus()
            page.keyboard.press(key)
        if moves:
            expected = told()
            assert expected - {*numbers(before)}, "nothing would change"
            comes(page, lambda text: expected <= {*numbers(text)})
        for label in BAD.get(number, []):
            page.get_by_label(re.compile(f"^{label}")).focus()  # which may be in both languages
            page.keyboard.type(str(tmp_path / bad[label]))
            page.keyboard.press("Enter")
            text = comes(page, lambda text, name=bad[label]: name in text)
            (line,) = (line for line in text.splitlines() if bad[label] in line)
            assert line.endswith("instead."), line
        for widget in page.locator("input, select, [role=slider], [role=switch], .cm-content, [aria-expanded]").all():
            assert widget.is_disabled() or widget.is_hidden() or widget.evaluate(REACHED), widget.evaluate(NAMED)
        rests(page)
        speaks_both(page)
        for width in (400, 1200):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(300)
            nothing_overlaps(page)
            assert max(below := page.evaluate(BELOW), default=0) <= 900, below
        assert all(page.evaluate("[...document.querySelectorAll('img')].map(i => i.alt)")), "a picture without words"
        widths = page.evaluate("[...document.querySelectorAll('img')].map(i => i.naturalWidth)")
        assert number not in READABLE or max(widths) <= WIDEST, widths


def test_an_exercise_is_solved_by_the_keyboard(address, context):
    with opened(context, 400) as page:
        page.goto(f"{address}/?file={CHAPTERS[1].name}")
        page.get_by_role("button", name="One answer").focus()
        page.keyboard.press("Enter")
        answer = page.get_by_role("region", name="One answer").locator("code").inner_text()
        page.locator(".cm-content").focus()
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.insert_text(answer)
        comes(page, lambda text: "Right: backward agrees with the differences." in text)
        editor, inside = page.locator(".cm-content"), "e => e.getRootNode().activeElement === e"
        page.keyboard.press("Tab")  # belongs to the editor, which says how it is left
        assert editor.evaluate(inside)
        assert page.get_by_text("to leave by the keyboard: Escape, then Tab").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("Tab")
        assert not editor.evaluate(inside)
