"""A real browser, driven by Playwright, for pages that minicnn draws."""

import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """Chromium. Where there is none tests are skipped, but for CI, where it must be."""
    api = pytest.importorskip("playwright.sync_api")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    with api.sync_playwright() as playwright:
        if path is None and not os.path.exists(playwright.chromium.executable_path):
            if os.environ.get("CI"):
                pytest.fail("CI needs a browser: install chromium")
            pytest.skip("no browser: install chromium, or `playwright install chromium`")
        chromium = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(params=[400, 1400], ids="{} pixels wide".format)
def page(browser, request):
    """An empty page; whatever goes wrong on it makes the test fail."""
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    page = context.new_page()
    wrong = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert not wrong


def nothing_sticks_out(page):
    """Nothing is wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
