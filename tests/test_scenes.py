"""Scenes of the walkthrough in a real browser, from a file and with the network off: what is picked by mouse, finger or
key is answered with the engine's numbers."""

import re
import shutil
import types

import numpy as np
import pytest
from browser import browser, nothing_overlaps, opened  # noqa: F401 (fixtures)
from test_walkthrough import FOLDER

pytestmark = pytest.mark.processor
SMALLEST = """() => Math.min(...[...document.querySelectorAll("text, p, button, select, label, figcaption, td, span")]
    .filter(e => e.textContent.trim() && e.checkVisibility() && e.getBoundingClientRect().width)
    .map(e => parseFloat(getComputedStyle(e).fontSize) * (e.getScreenCTM ? e.getScreenCTM().a : 1)))"""
HEAD = "<!doctype html><title>a page</title><body style='margin: 18px auto; max-width: 711px'>"  # as marimo has it
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
  lines.draw([{ from: [x, r], to: [y, r], kind: "reached" }]);
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
        (tmp_path / "page.html").write_text(f"{HEAD}{scene.text}", encoding="utf-8")
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
    """Nothing lies on another or sticks out, all of it is as high as its frame, at most one screen, and no text is too
    small."""
    nothing_overlaps(page)
    frame.evaluate("document.querySelectorAll('.over').forEach(e => { e.style.visibility = 'hidden'; })")  # on purpose
    nothing_overlaps(frame)
    frame.evaluate("document.querySelectorAll('.over').forEach(e => { e.style.visibility = ''; })")
    assert frame.evaluate("Math.abs(stage.getBoundingClientRect().height - innerHeight) < 2 && innerHeight <= 900")
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
    line, outer = frame.locator(".over line"), page.locator("iframe").bounding_box()
    for grid, i, side in ((of_x, 1, 1), (frame.locator("svg[role=img]"), 2, 0)):
        svg = grid.bounding_box()
        at = svg["x"] + side * svg["width"] - outer["x"], svg["y"] + 1.5 * svg["height"] / 4 - outer["y"]
        for which, expected in list(zip("xy", at, strict=True))[width < 1200 :]:  # on a narrow page not side by side
            assert float(line.get_attribute(f"{which}{i}")) == pytest.approx(expected, abs=1)
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


def written(x, digits):
    """A number as the scenes write it."""
    return f"{0 if round(x, digits) == 0 else x:.{digits}f}".replace("-", "−")


def read(text):
    return [float(v.replace("−", "-")) for v in re.findall(r"−?\d+(?:\.\d+)?", text)]


def grid_of(frame, name):
    """The grid of this name, and a function to the middle of its cells, in pixels of the page."""
    svg = frame.locator(f'svg[aria-label^="{name}:"], svg[aria-label^="{name},"], svg[aria-label^="{name} ="]')

    def middle(r, c):
        rows, columns = (float(v) / 40 for v in reversed(svg.get_attribute("viewBox").split()[2:]))
        box = svg.bounding_box()
        return box["x"] + (c + 0.5) * box["width"] / columns, box["y"] + (r + 0.5) * box["height"] / rows

    return svg, middle


def slow(x, w, target, stride, padding):
    """y, gy, gx, gw and the loss of ½ Σ (y − target)², as the formulas have it."""
    P = (len(x) + 2 * padding - 3) // stride + 1
    y, gx, gw = np.zeros((P, P)), np.zeros_like(x), np.zeros_like(w)
    places = [(p, q, r, s, p * stride + r - padding, q * stride + s - padding)
              for p, q in np.ndindex(P, P) for r, s in np.ndindex(3, 3)]  # fmt: skip
    places = [place for place in places if all(0 <= i < len(x) for i in place[4:])]
    for p, q, r, s, i, j in places:
        y[p, q] += x[i, j] * w[r, s]
    gy = y - target
    for p, q, r, s, i, j in places:
        gx[i, j] += gy[p, q] * w[r, s]
        gw[r, s] += gy[p, q] * x[i, j]
    return y, gy, gx, gw, (gy**2).sum() / 2


def nudged_text(name, value, h, losses, gradient, digits):
    loss, after = losses
    return [f"{name}: {written(value, 2)} → {written(value + h, 2)}, loss: {written(loss, digits)} → "
            f"{written(after, digits)}", f"change of the loss / step = {written((after - loss) / h, digits)}",
            f"gradient = {written(gradient, digits)}"]  # fmt: skip


def test_a_pixel_a_weight_and_an_output_of_a_convolution(shown):
    import scene
    import scene_numbers

    numbers = scene_numbers.convolution()
    x, w, edges, h = numbers["x"], numbers["w"], scene_numbers.EDGES, numbers["h"]
    page, frame = shown(scene.scene("convolution", numbers, "A convolution.", 800), 1200)
    said, nudge = frame.locator(".readout"), frame.locator(".nudge")
    products = frame.locator(".products div")
    wanted = slow(x, edges, 0, 1, 0)[0]
    y, gy, gx, gw, loss = slow(x, w, wanted, 1, 0)

    def shows(name, at, value, then=""):
        assert said.inner_text().startswith(f"{name}[{at[0]}, {at[1]}] = {written(value, 4)} = Σ {then}")

    def added_up():
        return sum(read(products.nth(i).locator("b").inner_text())[0] for i in range(9))

    _, place = grid_of(frame, "gx")
    page.mouse.click(*place(1, 4))
    shows("gx", (1, 4), gx[1, 4], "gy × w, 6 windows")
    assert added_up() == pytest.approx(gx[1, 4], abs=1e-9)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    shows("gx", (2, 5), gx[2, 5], "gy × w, 9 windows")
    for i, (r, s) in enumerate(np.ndindex(3, 3)):  # the turned kernel
        there, weight = gy[r, s + 3], w[2 - r, 2 - s]
        assert products.nth(i).inner_text().split("\n") == [f"{written(there, 3)} × {written(weight, 1)}",
                                                            written(there * weight, 4)]  # fmt: skip
    nudge.get_by_role("button", name="+ 0.1").press("Enter")
    raised = x.copy()
    raised[2, 5] += h
    text = nudge.inner_text()
    for line in nudged_text("x[2, 5]", x[2, 5], h, (loss, slow(raised, w, wanted, 1, 0)[4]), gx[2, 5], 6):
        assert line in text, text
    is_in_order(page, frame)

    of_y, place = grid_of(frame, "y")
    page.mouse.click(*place(7, 3))
    shows("y", (7, 3), y[7, 3], "x × w")
    assert added_up() == pytest.approx(y[7, 3], abs=1e-9)
    assert f"gy[7, 3] = y − wanted = {written(gy[7, 3], 4)}" in frame.locator("main").inner_text()
    assert not nudge.is_visible()
    is_in_order(page, frame)

    page.set_viewport_size({"width": 400, "height": 900})
    _, place = grid_of(frame, "gw")
    page.touchscreen.tap(*place(0, 2))
    shows("gw", (0, 2), gw[0, 2], f"gy × x, {gy.size} places")
    assert f"{written(gy[0, 0], 3)} × {written(x[0, 2], 2)} + " in frame.locator("main").inner_text()
    nudge.get_by_role("button", name="− 0.1").press("Enter")
    lowered = w.copy()
    lowered[0, 2] -= h
    text = nudge.inner_text()
    for line in nudged_text("w[0, 2]", w[0, 2], -h, (loss, slow(x, lowered, wanted, 1, 0)[4]), gw[0, 2], 6):
        assert line in text, text
    is_in_order(page, frame)

    of_x, place = grid_of(frame, "x")
    page.touchscreen.tap(*place(3, 6))
    shows("gx", (3, 6), gx[3, 6], "gy × w, 9 windows")
    is_in_order(page, frame)
    frame.get_by_label("stride").select_option("2")
    frame.get_by_label("padding").select_option("1")
    y, gy, gx, gw, loss = slow(x, w, slow(x, edges, 0, 2, 1)[0], 2, 1)
    shows("gx", (3, 6), gx[3, 6], "gy × w, 2 windows")
    assert [text.split("\n")[0] for text in products.all_inner_texts()].count("a gap") == 7
    of_x.focus()
    page.keyboard.press("ArrowDown")
    shows("gx", (4, 6), gx[4, 6], "gy × w, 1 window")
    page.keyboard.press("Control+Home")
    shows("gx", (0, 0), gx[0, 0], "gy × w, 1 window")
    of_y.focus()
    page.keyboard.press("Home")
    assert of_y.get_attribute("viewBox") == "0 0 480 480"
    shows("y", (7, 0), y[7, 0], "x × w")
    assert [text.split("\n")[0] for text in products.all_inner_texts()].count("border") == 3
    is_in_order(page, frame)


def test_who_won_a_window(shown):
    import scene
    import scene_numbers

    numbers = scene_numbers.pooling()
    x = numbers["x"]
    page, frame = shown(scene.scene("pooling", numbers, "Pooling.", 800), 400)
    said, nudge, main = frame.locator(".readout"), frame.locator(".nudge"), frame.locator("main")

    def won(size, stride):
        """Of each pixel: the windows that it lies in, and those that it won."""
        P = (9 - size) // stride + 1
        inside, wins = {at: [] for at in np.ndindex(9, 9)}, {at: [] for at in np.ndindex(9, 9)}
        for p, q in np.ndindex(P, P):
            window = [(p * stride + r, q * stride + s) for r, s in np.ndindex(size, size)]
            for at in window:
                inside[at].append((p, q))
            wins[max(window, key=lambda at: x[at])].append((p, q))
        return inside, wins, 1.0 + np.arange(P * P).reshape(P, P)

    def shows(at):
        n, m = len(inside[at]), len(wins[at])
        windows = f"{n or 'no'} window{'' if n == 1 else 's'}" + (f" and wins {m or 'none'}" if n else "")
        assert said.inner_text() == f"x[{at[0]}, {at[1]}] = {x[at]:g} lies in {windows}"

    inside, wins, gy = won(3, 2)
    of_gx, place = grid_of(frame, "gx")
    texts = of_gx.locator("text").all_text_contents()
    assert [float(text) for text in texts] == [sum(gy[w] for w in wins[at]) for at in np.ndindex(9, 9)]
    several = next(at for at in wins if len(wins[at]) > 1)
    page.touchscreen.tap(*place(*several))
    shows(several)
    shares = [f"{gy[w]:g}" for w in wins[several]]
    assert f"= {' + '.join(shares)} = {sum(gy[w] for w in wins[several]):g}." in main.inner_text()
    loss = sum(gy[w] * x[at] for at in wins for w in wins[at])
    nudge.get_by_role("button", name="+ 0.5").press("Enter")
    slope = sum(gy[w] for w in wins[several])
    for line in nudged_text(f"x[{several[0]}, {several[1]}]", x[several], 0.5, (loss, loss + slope / 2), slope, 1):
        assert line in nudge.inner_text()
    is_in_order(page, frame)
    mistake = frame.get_by_role("button", name="the mistake: = for +=")
    mistake.press("Enter")
    assert mistake.get_attribute("aria-pressed") == "true"
    assert f"only the last, {shares[-1]}, is left" in main.inner_text()
    left = sum(gy[wins[at][-1]] for at in wins if wins[at])
    assert f"gx to {left:g}: {gy.sum() - left:g} are lost." in main.inner_text()
    mistake.press("Enter")
    of_gx.focus()
    page.keyboard.press("Control+Home")
    for key in ["ArrowRight"] * 3 + ["ArrowDown"] * 4:
        page.keyboard.press(key)
    shows((4, 3))
    page.set_viewport_size({"width": 1200, "height": 900})
    frame.get_by_label("size").select_option("2")
    frame.get_by_label("stride").select_option("3")
    inside, wins, gy = won(2, 3)
    shows((4, 3))
    _, place = grid_of(frame, "x")
    page.mouse.click(*place(2, 2))
    shows((2, 2))
    assert not inside[2, 2]
    _, place = grid_of(frame, "y")
    page.mouse.click(*place(2, 1))
    (winner,) = (at for at in wins if (2, 1) in wins[at])
    assert said.inner_text() == f"y[2, 1] = {x[winner]:g}: the winner is x[{winner[0]}, {winner[1]}]"
    assert f"All of gy[2, 1] = {gy[2, 1]:g} goes to it" in main.inner_text()
    frames = frame.evaluate("""[...document.querySelectorAll('.grid:first-child .frame.picked')].map(
        e => [e.getAttribute('y') / 40, e.getAttribute('x') / 40])""")
    assert frames == [[*map(float, winner)]]
    is_in_order(page, frame)


def test_who_competed(shown):
    import scene
    import scene_numbers

    numbers = scene_numbers.response_norm()
    x, gy = numbers["x"], numbers["gy"]
    page, frame = shown(scene.scene("response_norm", numbers, "Normalisation.", 500), 400)
    said, bars = frame.locator(".readout"), frame.locator(".bars .number")

    def d(i, n, alpha, k):
        return k + alpha * sum(x[j] ** 2 for j in around(i, n))

    def around(i, n):
        return range(max(0, i - n // 2), min(12, i + n // 2 + 1))

    def terms(i, n, alpha, beta, k):
        own = gy[i] * d(i, n, alpha, k) ** -beta
        cross = [-2 * alpha * beta * x[i] * gy[j] * x[j] * d(j, n, alpha, k) ** (-beta - 1) for j in around(i, n)]
        return [own, *cross, own + sum(cross)]

    def shows(i, *settings):
        expected = terms(i, *settings)
        assert bars.all_inner_texts() == [written(v, 4) for v in expected]
        assert said.inner_text().startswith(f"gx({i}) = own term + cross terms = {written(expected[0], 4)} ")
        assert said.inner_text().endswith(f" = {written(expected[-1], 4)}")

    shows(5, 5, 1.0, 0.75, 2.0)
    of_gx, place = grid_of(frame, "gx")
    page.touchscreen.tap(*place(0, 7))
    shows(7, 5, 1.0, 0.75, 2.0)
    is_in_order(page, frame)
    of_gx.focus()
    page.keyboard.press("Home")
    shows(0, 5, 1.0, 0.75, 2.0)
    for label, value in (("n", 9), ("α", 0.1), ("β", 1), ("k", 1)):
        frame.get_by_role("combobox", name=label, exact=True).select_option(str(value))
    shows(0, 9, 0.1, 1.0, 1.0)
    page.keyboard.press("End")
    is_in_order(page, frame)
    page.set_viewport_size({"width": 1200, "height": 900})
    _, place = grid_of(frame, "y")
    page.mouse.click(*place(0, 10))
    of_d = d(10, 9, 0.1, 1.0)
    assert bars.all_inner_texts() == [written(v, 4) for v in (1, *(0.1 * x[j] ** 2 for j in around(10, 9)), of_d)]
    assert said.inner_text().endswith(f"= {written(x[10], 2)} / {written(of_d, 4)}^1 = {written(x[10] / of_d, 4)}")
    is_in_order(page, frame)


def test_what_a_kernel_does_to_a_wave(shown):
    import scene
    import scene_numbers

    numbers = scene_numbers.fourier()
    page, frame = shown(scene.scene("fourier", numbers, "Waves.", 300), 400)
    said, spectrum = frame.locator(".readout"), frame.locator("svg[role=application]")

    def shows(kernel, f, g):
        w, middle = kernel["w"], len(kernel["w"]) // 2
        angles = {(r, s): 2 * np.pi / 18 * (f * (r - middle) + g * (s - middle)) for r, s in np.ndindex(w.shape)}
        W = sum(w[at] * np.exp(-1j * angle) for at, angle in angles.items())
        text = said.inner_text()
        assert text.startswith(f"f = {written(f, 0)}, g = {written(g, 0)}: ")
        if abs(W) < 1e-5:
            assert text.endswith("nothing comes out")
        else:
            assert read(text)[2] == pytest.approx(abs(W), abs=1e-4)
            turned = (read(text)[3] + np.degrees(np.angle(W)) + 180) % 360 - 180
            assert abs(turned) < 0.6, (text, W)

    shows(numbers["kernels"][0], 2, 3)
    spectrum.focus()
    for _ in range(2):
        page.keyboard.press("ArrowUp")
    shows(numbers["kernels"][0], 0, 3)
    is_in_order(page, frame)
    frame.get_by_role("combobox", name="kernel").select_option("blur")
    shows(numbers["kernels"][1], 0, 3)
    page.keyboard.press("Home")
    box = spectrum.bounding_box()
    page.touchscreen.tap(box["x"] + 12.5 * box["width"] / 18, box["y"] + 0.5 * box["height"] / 18)
    shows(numbers["kernels"][1], -9, 3)
    page.set_viewport_size({"width": 1200, "height": 900})
    is_in_order(page, frame)


@pytest.mark.parametrize(("name", "calls"), [
    ("convolution", ["pixel(3, 4)", "output(0, 4)", "weight(0, 1)"]),
    ("pooling", ["pixel(...data.first)", "mistake.click()", "pixel(0, 1)", "output(1, 1)"]),
    ("response_norm", ["gradientOf(4)", "outputOf(3)"]), ("fourier", ["pick(0, 1)"]),
])  # fmt: skip
def test_a_scene_speaks_the_language_of_its_page(shown, name, calls):
    """Where the page is turned to Vietnamese the scene says the same numbers, and nothing is left in English."""
    import scene
    import scene_numbers
    from language import SWITCH

    drawn = scene.scene(name, getattr(scene_numbers, name)(), "A scene.", 800)
    page, frame = shown(types.SimpleNamespace(text=SWITCH + drawn.text), 400)
    main = frame.locator("main")

    def said():
        for call in calls:
            frame.evaluate(call)
            for each in frame.locator(".nudge button").all():
                if each.is_visible():
                    each.click()
            yield main.inner_text()

    english = [*said()]
    page.get_by_role("radio", name="Tiếng Việt").check()
    frame.locator("html[lang=vi] .readout").wait_for()
    for one, other in zip(english, said(), strict=True):
        assert read(one) == read(other)
        left = {*one.splitlines()} & {*other.splitlines()}
        assert {*re.findall(r"[A-Za-z]{4,}", " ".join(left))} <= {"gradient", "kernel", "Gabor"}, left
        is_in_order(page, frame)
    page.get_by_role("radio", name="English").check()
    frame.locator("html[lang=en] .readout").wait_for()
    assert [*said()] == english


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_mistake_of_a_stepped_graph_is_shown_where_it_is_seen(shown, language):
    from graph import walked
    from scene import scene

    data = {"nodes": [{"name": "x", "at": [60, 30]}, {"name": "y = x · x", "at": [60, 110]}], "choose": "x =",
            "cases": [["3", walked(lambda x: x * x, 3.0)]], "wide": 345, "height": 140}  # fmt: skip
    page, frame = shown(scene("graph", data, "y = x · x", 300), 400)
    if language == "vi":
        page.evaluate("""() => {
            document.body.insertAdjacentHTML("beforeend", '<input type="checkbox" class="in-vietnamese">');
            document.querySelector(".in-vietnamese").click();
        }""")
        frame.wait_for_function("document.documentElement.lang === 'vi'")
    said = frame.locator(".readout")
    assert said.inner_text().startswith({"en": "Step 0 of", "vi": "Bước 0 trong"}[language])
    frame.get_by_role("button", name="= for +=").click()
    assert {"en": "It takes the place of 3, which is lost.", "vi": "Nó thế chỗ 3, và số đó bị mất."}[
        language] in said.inner_text()  # fmt: skip
    assert frame.get_by_role("button", name={"en": "Last", "vi": "Cuối"}[language]).is_disabled()
