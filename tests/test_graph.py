"""The graph that is stepped: its numbers are the engine's, and a reader reaches all of them by the keyboard."""

import importlib.util

import numpy as np
import pytest
from browser import browser  # noqa: F401 (a fixture)
from hypothesis import assume, given
from hypothesis import strategies as st
from test_scenes import is_in_order, shown  # noqa: F401 (a fixture)
from test_walkthrough import CHAPTERS, FOLDER

pytestmark = pytest.mark.processor


@pytest.fixture(scope="module", autouse=True)
def chapters_are_found():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield


def slopes_by_hand(program, values):
    """∂y/∂(each number) with += and with =, over all roads from y: a step is (op, inputs), its number the place in the
    list. Slow: the sum over each road of the product of its slopes; with = only the road that is walked last."""
    def slope(i, side):
        op, inputs = program[i]
        other = values[inputs[1 - side]] if len(inputs) == 2 else None
        return {"+": 1.0, "*": other, "tanh": 1 - values[i] ** 2}[op]

    def users(j):
        return [(i, side) for i in range(len(program) - 1, -1, -1) if program[i] for side, k in enumerate(program[i][1])
                if k == j]

    def added(j):
        return 1.0 if j == len(program) - 1 else sum(added(i) * slope(i, side) for i, side in users(j))

    def replaced(j):
        if j == len(program) - 1:
            return 1.0
        i, side = users(j)[-1]  # the youngest is walked first, so the oldest last
        return replaced(i) * slope(i, side)

    return added, replaced


@given(st.data())
def test_a_graph_has_the_values_slopes_and_sums_of_its_formula(data):
    from graph import walked

    leaves = data.draw(st.lists(st.floats(-2, 2).map(lambda x: round(x, 2) + 0.005), min_size=1, max_size=3))
    program = [None] * len(leaves)
    for _ in range(data.draw(st.integers(1, 5))):
        op = data.draw(st.sampled_from(["+", "*", "tanh"]))
        inputs = [len(program) - 1, data.draw(st.integers(0, len(program) - 1))]  # the newest is always used
        program.append((op, inputs[: 1 if op == "tanh" else 2]))

    def function(*numbers):
        numbers = list(numbers)
        for op, inputs in program[len(leaves) :]:
            a, *b = (numbers[i] for i in inputs)
            tanh = a.tanh if hasattr(a, "tanh") else lambda a=a: np.tanh(a)
            numbers.append(a + b[0] if op == "+" else a * b[0] if op == "*" else tanh())
        return numbers[-1], numbers

    values = function(*leaves)[1]
    used = {len(program) - 1}
    for i in range(len(program) - 1, len(leaves) - 1, -1):
        used |= set(program[i][1])
    assume(used == set(range(len(program))))  # a leaf that nothing needs is in no graph
    case = walked(lambda *numbers: function(*numbers)[0], *leaves)
    assert np.allclose(case["values"], values, rtol=1e-12)
    assert sorted((at, to) for at, to, _ in case["edges"]) == sorted(
        (j, i) for i in range(len(leaves), len(program)) for j in program[i][1])
    added, replaced = slopes_by_hand(program, values)
    for kind, by_hand in (("added", added), ("replaced", replaced)):
        last = {at: total for (at, _, _), (_, total) in zip(case["edges"], case[kind], strict=True)}
        assert np.allclose([last[j] for j in range(len(program) - 1)], [by_hand(j) for j in range(len(program) - 1)],
                           rtol=1e-9, atol=1e-12)


def short(x, digits=3):
    return f"{float(f'{x:.{digits}g}'):g}".replace("-", "−")


def scene_of(chapter):
    spec = importlib.util.spec_from_file_location("chapter", CHAPTERS[chapter])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _, names = module.app.run()
    return names["data"]


@pytest.mark.parametrize("chapter, width", [(1, 400), (2, 400), (2, 1200)])
def test_a_graph_is_stepped_by_the_keyboard(chapter, width, shown):  # noqa: F811
    from scene import scene

    data = scene_of(chapter)
    page, frame = shown(scene("graph", data, "a graph", 400), width)
    n, case = len(data["nodes"]), data["cases"][data["chosen"]][1]
    is_in_order(page, frame)
    page.keyboard.press("Tab")  # First is of no use yet, so this is Step
    assert frame.evaluate("document.activeElement.textContent") == "Step ▶"

    def texts(name):
        return frame.locator(f".{name}").all_text_contents()

    leaves = n - len({to for _, to, _ in case["edges"]})
    assert texts("value") == [short(value) for value in case["values"][:leaves]] + [""] * (n - leaves)
    for i in range(leaves, n):
        page.keyboard.press("ArrowRight")
        assert texts("value")[i] == short(case["values"][i])
        assert texts("gradient") == [""] * n
    page.keyboard.press("Enter")
    assert texts("gradient") == [""] * (n - 1) + ["∂ 1"]
    for e, (at, _, slope) in enumerate(case["edges"]):
        page.keyboard.press("ArrowRight")
        assert texts("gradient")[at] == f"∂ {short(case['added'][e][1])}"
        assert texts("slope")[e] == f"×{short(slope)}"
        share, total = (short(x, 4) for x in case["added"][e])
        said = frame.locator(".readout").inner_text()
        assert f"= {share} goes to " in said
        assert ("It is added" in said) == (case["added"][e][0] != case["added"][e][1])
        assert "It is added" not in said or said.endswith(f" = {total}.")
    is_in_order(page, frame)
    boxes = frame.evaluate("""[...document.querySelectorAll('.graph g g')].map(g => [...g.children].map(e => {
        const b = e.getBoundingClientRect(); return [b.left, b.right]; }))""")
    for box, _, value, gradient in boxes:
        assert box[0] < value[0] and value[1] < gradient[0] and gradient[1] < box[1], "numbers lie on each other"
    page.keyboard.press("ArrowLeft")
    assert texts("slope")[-1] == ""
    page.keyboard.press("Home")
    assert texts("gradient") == [""] * n
    page.keyboard.press("End")
    while frame.evaluate("document.activeElement.textContent") != "= for +=":
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert frame.get_by_text("= for +=", exact=True).get_attribute("aria-pressed") == "true"
    last = {at: total for (at, _, _), (_, total) in zip(case["edges"], case["replaced"], strict=True)}
    assert texts("gradient") == [f"∂ {short(last.get(i, 1.0))}" for i in range(n)]
    frame.locator("select").select_option(data["cases"][0][0])
    assert texts("value") == [short(value) for value in data["cases"][0][1]["values"]]
    page.wait_for_timeout(100)
    is_in_order(page, frame)


def test_a_net_learns_at_the_press_of_a_button(shown):  # noqa: F811
    from scene import scene

    maps = ["A" * 16, "g" * 16, "/" * 16]
    data = {"points": [[0.5, 0.5], [-0.5, 0]], "labels": [0, 1], "side": 4, "reach": 1, "at": [0, 2, 4], "maps": maps,
            "losses": [1.0, 0.7, 0.5, 0.2, 0.125], "right": [0.5, 0.5, 1]}
    page, frame = shown(scene("learning", data, "a net", 400), 400)
    said = frame.locator(".readout")
    assert said.inner_text() == "Step 0: loss 1.000, 50 % right"
    is_in_order(page, frame)
    seen = frame.locator("image").get_attribute("href")
    frame.get_by_label("step", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert said.inner_text() == "Step 2: loss 0.500, 50 % right"
    assert frame.locator("image").get_attribute("href") != seen
    play = frame.get_by_role("button")
    play.click()
    frame.get_by_text("Step 4: loss 0.125, 100 % right").wait_for()
    assert play.inner_text() == "▶ Play"
