"""The page of a trace, in a real browser, from a file and with the network off."""

import pytest
from browser import browser, nothing_sticks_out, page  # noqa: F401 (fixtures)
from test_trace import alexnet, traced  # noqa: F401 (fixtures)

pytestmark = pytest.mark.processor
IN_ITS_BOX = """() => [...document.querySelectorAll("g.node")].every(g => {
    const box = g.querySelector("rect").getBBox(), texts = [...g.querySelectorAll("text")].map(t => t.getBBox());
    return texts.every(t => t.x >= box.x && t.x + t.width <= box.x + box.width &&
                            t.y + t.height <= box.y + box.height + 1);
})"""
APART = """() => {
    const boxes = [...document.querySelectorAll("g.node rect")].map(r => r.getBBox());
    return boxes.every((a, i) => boxes.slice(i + 1).every(b => a.x + a.width <= b.x || b.x + b.width <= a.x ||
                                                             a.y + a.height <= b.y || b.y + b.height <= a.y));
}"""


def test_every_step_is_played_with_the_engines_numbers(page, traced, tmp_path):  # noqa: F811
    steps = traced[0].steps
    traced[0].to_html(tmp_path / "backprop.html")
    page.context.set_offline(True)
    page.goto((tmp_path / "backprop.html").as_uri())
    assert page.locator("g.node").count() == len({s.node for s in steps})

    def shows(at):
        assert page.locator("#count").inner_text() == f"{at + 1} of {len(steps)}"
        assert float(page.locator("#value-norm").inner_text()) == pytest.approx(steps[at].norm, rel=1e-5)
        assert page.locator("#value-shape").inner_text() == (" × ".join(map(str, steps[at].shape)) or "one number")
        assert page.locator("#value-where").inner_text() == steps[at].where
        assert page.locator("g.node.now").count() == 1
        nothing_sticks_out(page)

    shows(0)
    for at in range(1, len(steps)):  # by the keyboard alone, and nothing has the focus
        page.keyboard.press("ArrowRight")
        if at % 9 == 0 or at == len(steps) - 1:
            shows(at)
    assert page.locator("g.node.backward").count() == len({s.node for s in steps})
    page.keyboard.press("ArrowLeft")
    assert page.locator("#details img").get_attribute("alt").startswith("gradient of shape 3 × 3 × 11 × 11, from")
    assert page.evaluate(IN_ITS_BOX)
    assert page.evaluate(APART)
    page.keyboard.press("Home")
    shows(0)
    page.locator("#play").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('slider').value >= 2")
    page.keyboard.press("Enter")
    assert page.locator("#play").inner_text() == "Play"
    first = page.locator("g.node").first
    first.focus()
    page.keyboard.press("Enter")  # a node shows its last step
    shows(max(i for i, s in enumerate(steps) if s.node == steps[0].node))
    assert page.locator("#details pre").inner_text().startswith("Every kernel at every place of the image")


def test_buttons_and_keys_go_a_step_wherever_the_focus_is(page, traced, tmp_path):  # noqa: F811
    end = len(traced[0].steps) - 1
    traced[0].to_html(tmp_path / "backprop.html")
    page.goto((tmp_path / "backprop.html").as_uri())

    def is_at(step):
        assert page.locator("#count").inner_text() == f"{step + 1} of {end + 1}"

    def click(name):
        page.get_by_role("button", name=name, exact=True).click()

    for name, step in [("Forward", 1), ("Forward", 2), ("Back", 1), ("Last", end), ("Forward", end), ("Back", end - 1),
                       ("First", 0), ("Back", 0)]:  # fmt: skip
        click(name)
        is_at(step)
    for focus in ("#play", "g.node >> nth=3", "#slider", "#graph svg"):
        page.locator(focus).evaluate("e => e.focus()")
        for key, step in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", end), ("ArrowRight", end),
                          ("Home", 0), ("ArrowLeft", 0)):  # fmt: skip
            page.keyboard.press(key)
            is_at(step)
    page.locator("#play").focus()
    page.keyboard.press("Control+ArrowRight")  # the browser's own
    is_at(0)
    page.evaluate("document.body.append(document.createElement('textarea'))")
    page.locator("textarea").fill("of the host")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("End")
    is_at(0)
    page.get_by_role("button", name="Play").click()
    click("Last")  # whoever goes by hand does not want it to go on
    assert page.locator("#play").inner_text() == "Play"
    page.wait_for_timeout(700)
    is_at(end)
    for button in page.locator(".bar button").all():
        box = button.bounding_box()
        assert box["height"] >= 24
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.viewport_size["width"]


def test_it_is_light_or_dark(page, traced, tmp_path):  # noqa: F811
    traced[0].to_html(tmp_path / "backprop.html")
    page.goto((tmp_path / "backprop.html").as_uri())
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(paper)
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert page.evaluate(paper) == light != dark
    page.emulate_media(color_scheme="light")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert page.evaluate(paper) == dark
