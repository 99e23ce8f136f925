"""Scenes of the walkthrough in a real browser, from a file and with the network off: what is picked by mouse, finger or
key is answered with the engine's numbers."""

import re
import shutil

import numpy as np
import pytest
from browser import browser, nothing_overlaps, opened  # noqa: F401 (fixtures)
from test_walkthrough import FOLDER

pytestmark = pytest.mark.processor
SMALLEST = """() => Math.min(...[...document.querySelectorAll("text, p, button, select, label, figcaption, td, span")]
    .filter(e => e.textContent.trim() && e.checkVisibility() && e.getBoundingClientRect().width)
    .map(e => parseFloat(getComputedStyle(e).fontSize) * (e.getScreenCTM ? e.getScreenCTM().a : 1)))"""
DEMO = """
const said = readout();
const x = grid({ name: "x", rows: 4, columns: 5, width: 300, pick,
                 cell: (r, c) => ({ colour: grey(data.x[r][c] / 20), text: show(data.x[r][c], 0) }) });
const y = grid({ name: "y", rows: 4, columns: 5, width: 300,
                 cell: (r, c) => ({ colour: signed(data.x[r][c] / 10 - 1), text: show(data.x[r][c] / 10 - 1, 1) }) });
function pick(r, c) {
  said.say(`x[${r}, ${c}] = ${show(data.x[r][c], 0)}`);
  x.frames([{ at: [r, c], kind: "picked" }]);
  y.frames([{ at: [r, c], kind: "reached", dashed: true }]);
  lines.draw([{ from: [x, r, c], to: [y, r, c], kind: "reached" }]);
}
const turn = choice("turn", [["a", "a"], ["b", "b"]], way => x.resize(way === "b" ? 2 : 4, 5));
stage.append(row(x.element, y.element), row(button("first", () => x.pick(0, 0)), turn.element), said.element);
const lines = links();
x.pick(1, 2);
"""


@pytest.fixture
def shown(browser, tmp_path, monkeypatch):  # noqa: F811
    """Opens a scene inside a page of a file, so many pixels wide, without a network: (page, frame of the scene)."""
    monkeypatch.syspath_prepend(str(FOLDER))
    context = browser.new_context(has_touch=True, offline=True)
    pages = []

    def show(scene, width):
        (tmp_path / "page.html").write_text(f"<!doctype html><title>a page</title><body>{scene.text}", encoding="utf-8")
        pages.append(opened(context, width))
        page = pages[-1].__enter__()
        page.goto((tmp_path / "page.html").as_uri())
        page.frame_locator("iframe").locator(".readout").wait_for()
        return page, page.frames[1]

    yield show
    for each in pages:
        each.__exit__(None, None, None)
    context.close()


def is_in_order(page, frame):
    """Nothing lies on another or sticks out, all of it is as high as its frame, and no text is too small."""
    nothing_overlaps(page)
    frame.evaluate("document.querySelectorAll('.over').forEach(e => { e.style.visibility = 'hidden'; })")  # on purpose
    nothing_overlaps(frame)
    frame.evaluate("document.querySelectorAll('.over').forEach(e => { e.style.visibility = ''; })")
    assert frame.evaluate("Math.abs(stage.getBoundingClientRect().height - innerHeight) < 2")
    assert frame.evaluate(SMALLEST) >= 9


@pytest.mark.parametrize("width", [400, 1200])
def test_what_all_scenes_share(shown, tmp_path, monkeypatch, width):
    import scene

    shutil.copytree(scene.FOLDER, tmp_path / "scenes")
    (tmp_path / "scenes" / "demo.js").write_text(DEMO)
    monkeypatch.setattr(scene, "FOLDER", tmp_path / "scenes")
    x = np.arange(20).reshape(4, 5)
    demo = scene.scene("demo", {"x": x, "words": '</script> & "so" on'}, 'A "demo" <of> scenes', 100)
    page, frame = shown(demo, width)
    assert page.locator("iframe").get_attribute("title") == 'A "demo" <of> scenes'
    assert frame.evaluate("data.words") == '</script> & "so" on'
    said, of_x = frame.locator(".readout"), frame.locator("svg[role=application]")
    assert said.inner_text() == "x[1, 2] = 7"
    texts = frame.locator("svg[role=img] text").all_text_contents()
    assert texts == [f"{v / 10 - 1:.1f}".replace("-", "−") for v in x.flat]
    is_in_order(page, frame)
    of_x.focus()
    for key, at in [("ArrowDown", (2, 2)), ("ArrowRight", (2, 3)), ("End", (2, 4)), ("ArrowRight", (2, 4)),
                    ("ArrowUp", (1, 4)), ("ArrowLeft", (1, 3)), ("Home", (1, 0)), ("Control+End", (3, 4)),
                    ("Control+Home", (0, 0)), ("ArrowUp", (0, 0))]:  # fmt: skip
        page.keyboard.press(key)
        assert said.inner_text() == f"x[{at[0]}, {at[1]}] = {x[at]}", key
    assert frame.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    box = of_x.bounding_box()
    at = {(r, c): (box["x"] + (c + 0.5) * box["width"] / 5, box["y"] + (r + 0.5) * box["height"] / 4)
          for r in range(4) for c in range(5)}  # fmt: skip
    page.mouse.click(*at[3, 1])
    assert said.inner_text() == "x[3, 1] = 16"
    page.mouse.move(*at[0, 0])
    page.mouse.down()
    page.mouse.move(*at[2, 2])
    page.mouse.up()
    assert said.inner_text() == "x[2, 2] = 12"
    page.touchscreen.tap(*at[1, 3])
    assert said.inner_text() == "x[1, 3] = 8"
    ends = [float(v) for v in re.findall(r"[\d.]+", frame.locator(".over path").get_attribute("d"))]
    inside = of_x.bounding_box(), frame.locator("svg[role=img]").bounding_box(), page.locator("iframe").bounding_box()
    for (left, top), svg in zip((ends[:2], ends[-2:]), inside, strict=False):
        assert left == pytest.approx(svg["x"] - inside[2]["x"] + 3.5 * svg["width"] / 5, abs=1)
        assert top == pytest.approx(svg["y"] - inside[2]["y"] + 1.5 * svg["height"] / 4, abs=1)
    frame.get_by_label("turn").select_option("b")
    is_in_order(page, frame)
    page.keyboard.press("Tab")
    frame.get_by_role("button", name="first").press("Enter")
    assert said.inner_text() == "x[0, 0] = 0"
    paper = [frame.evaluate("getComputedStyle(document.body).backgroundColor")]
    for theme in ("dark", "light"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        page.wait_for_timeout(50)
        paper.append(frame.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert paper[0] == paper[2] != paper[1]


def test_what_json_does_not_know_is_refused(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import scene

    with pytest.raises(TypeError, match="a scene's data: set is not JSON"):
        scene.document("demo", {1}, "")
    with pytest.raises(ValueError):
        scene.document("demo", np.array([np.inf]), "")
