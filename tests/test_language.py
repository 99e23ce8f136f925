"""Chapters in two languages: both texts on one page, with the same numbers in them; a script prints the English one."""

import ast
import re

import pytest
from test_walkthrough import CHAPTERS, FOLDER


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import page

    return page


LIKE = "Of 1,024 pictures, `gy` has −0.5 · 10⁻³ where $x^2$ is ½."


@pytest.mark.parametrize("other, wrong", [
    ("Trong 1,024 ảnh, $x^2$ bằng ½, và `gy` bằng −0.5 · 10⁻³; `gy` đó, $x^2$ đó...", None),
    (LIKE.replace("1,024", "1,023"), "numbers"), (LIKE.replace("−0.5", "0.5"), "numbers"),
    (LIKE.replace("10⁻³", "10⁻²"), "numbers"), (LIKE.replace("½", "¼"), "numbers"), (LIKE + " 7", "numbers"),
    (LIKE.replace("1,024 ", ""), "numbers"), (LIKE.replace("x^2", "x^3"), "formulas"),
    (LIKE.replace("gy", "gx"), "names"), (LIKE.replace("$x^2$", "$$x^2$$"), "formulas"),
])  # fmt: skip
def test_two_languages_say_the_same_numbers(page, other, wrong):
    calls = [lambda: page.say(LIKE, vi=[other]), lambda: page.both(LIKE, other),
             lambda: page.picture(page.figure(), LIKE, vi=other)]  # fmt: skip
    for call in calls:
        if wrong is None:
            call()
        else:
            with pytest.raises(ValueError, match=f"^{wrong} differ: .* Vietnamese alone"):
                call()


def test_a_figure_is_drawn_in_both_languages(page, monkeypatch):
    written = []

    def drawn(of, words):
        written.append((words, [text.get_text() for text in of.findobj(page.Text)]))
        return page.mo.Html(f"<img alt='{words}'>")

    monkeypatch.setattr(page, "drawn", drawn)
    figure = page.figure()
    axes = figure.subplots()
    axes.plot([0, 1], label="loss of 2")
    axes.set(xlabel="steps", xticks=[0, 1], xticklabels=["loss", "picture"])
    axes.legend()
    texts = {"loss": "mất mát", "loss of": "mất mát của", "steps": "bước", "picture": "ảnh"}
    shown = page.picture(figure, "In 2", vi="Trong 2", texts=texts).text
    (english, at_first), (vietnamese, then) = written
    assert (english, vietnamese) == ("In 2", "Trong 2")
    assert {"loss of 2", "steps"} <= {*at_first} and {"mất mát của 2", "bước"} <= {*then} and "steps" not in then
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["mất mát", "ảnh"]
    assert re.findall(r'<div lang="(..)"', shown) == ["en", "vi", "vi"]
    for texts, wrong in ({"absent": "vắng"}, "not in the figure: .'absent'"), ({"bước": "bước 2"}, "numbers differ"):
        with pytest.raises(ValueError, match=wrong):
            page.picture(figure, "In 2", vi="Trong 2", texts=texts)


def test_both_stand_on_the_page_and_one_is_printed(page, capsys, monkeypatch):
    table = page.table([page.both("name", "tên"), "x"], [["a", 2.5]])
    monkeypatch.setattr(page.mo, "app_meta", lambda: type("Meta", (), {"mode": "script"}))
    title = page.say("# 1 · One", table, vi=["# 1 · Một", ...]).text
    assert re.findall(r'<div lang="(..)"', title) == ["en", "vi"] and title.count("2.5") == 1
    assert title.count('type="radio"') == 2, "a title brings the switch"
    assert "radio" not in page.say("One", vi=["Một"]).text + page.say("# 1 · One").text
    assert capsys.readouterr().out.startswith("# 1 · One\n\n| name | x |\n| :--- | ---: |\n| a | 2.5 |\n\nOne\n")
    with pytest.raises(ValueError, match="zip"):
        page.say("One", "Two", vi=["Một"])


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_in_both_languages_or_in_one(chapter):
    """Whatever it says and shows, from its title to its exercise; but what the program itself answers is English."""
    calls = [node for node in ast.walk(ast.parse(chapter.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    spoken = [call for call in calls if getattr(call.func, "id", "") in ("say", "picture")]
    spoken = [call for call in spoken if "attempt(" not in ast.unparse(call)]
    translated = [call for call in spoken if any(word.arg == "vi" for word in call.keywords)]
    assert translated in ([], spoken), [call.lineno for call in spoken if call not in translated]
    tries = [node.value for node in ast.walk(ast.parse(chapter.read_text(encoding="utf-8")))
             if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "tries"]  # fmt: skip
    names = [getattr(getattr(key, "func", None), "id", "") for one in tries for key in one.keys]
    assert names or "glossary" in chapter.name
    assert {*names} == ({"both"} if translated else {""}) or not names, "names of answers, likewise"
