"""A real browser, driven by Playwright, for pages that minicnn draws."""

import contextlib
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


@contextlib.contextmanager
def opened(context, width):
    """An empty page, so many pixels wide; whatever goes wrong on it is an error."""
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    wrong = []
    page.on("console", lambda said: wrong.append(f"{said.text} {said.location}") if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        yield page
    finally:
        page.close()
    assert not wrong, wrong


@pytest.fixture(params=[400, 1400], ids="{} pixels wide".format)
def page(browser, request):
    """An empty page, narrow and wide."""
    context = browser.new_context()
    with opened(context, request.param) as page:
        yield page
    context.close()


def nothing_sticks_out(page):
    """Nothing is wider than the window."""
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window, (wide, window)


# Lines of text, pictures and widgets that can be seen, each with the box in which it is drawn, through shadow roots. A
# formula or an editor is one thing: what lies on top of each other inside of it does so on purpose, as does what is
# fixed to the window, a menu.
OVERLAPS = """() => {
    const found = [], whole = ".katex, math, .cm-editor, img, iframe, svg, canvas, input, select, [role=slider]";
    function seen(element) {
        return element.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
    }
    function add(what, rect, element) {
        if (rect.width > 1 && rect.height > 1 && seen(element)) found.push([what, rect]);
    }
    function walk(node, clip) {
        if (node.nodeType === Node.TEXT_NODE && node.data.trim()) {
            const range = document.createRange();
            range.selectNodeContents(node);
            for (const r of range.getClientRects()) {
                const left = Math.max(r.left, clip.left), right = Math.min(r.right, clip.right);
                const top = Math.max(r.top, clip.top), bottom = Math.min(r.bottom, clip.bottom);
                add(node.data.trim().slice(0, 40), new DOMRect(left, top, right - left, bottom - top),
                    node.parentElement);
            }
        } else if (node.nodeType === Node.ELEMENT_NODE) {
            if (node.matches("style, script, noscript")) return;
            const rect = node.getBoundingClientRect(), style = getComputedStyle(node);
            if (style.position === "fixed") return;
            if (node.matches(whole)) {
                for (const r of node.getClientRects()) add(node.tagName + " " + (node.alt || node.innerText), r, node);
                return;
            }
            if (style.overflow !== "visible")
                clip = {left: Math.max(clip.left, rect.left), right: Math.min(clip.right, rect.right),
                        top: Math.max(clip.top, rect.top), bottom: Math.min(clip.bottom, rect.bottom)};
            for (const child of [...node.childNodes, ...(node.shadowRoot?.childNodes || [])]) walk(child, clip);
        }
    }
    walk(document.body, {left: -1e9, top: -1e9, right: 1e9, bottom: 1e9});
    const overlaps = [];
    found.sort(([, a], [, b]) => a.top - b.top);  // then the others of a box are those that begin above its end
    for (const [i, [what, a]] of found.entries())
        for (let j = i + 1; j < found.length && found[j][1].top < a.bottom - 4; j++) {
            const [other, b] = found[j], high = Math.min(a.bottom, b.bottom) - b.top;
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            if (wide > 2 && high > 4) overlaps.push(`${what} | ${other}: ${Math.round(wide)} x ${Math.round(high)}`);
        }
    return overlaps;
}"""  # lines of text may touch: 4 pixels of their boxes are empty


def nothing_overlaps(page):
    """No line of text, picture or widget lies on another, and nothing is wider than the window."""
    nothing_sticks_out(page)
    overlaps = page.evaluate(OVERLAPS)
    assert not overlaps, overlaps
