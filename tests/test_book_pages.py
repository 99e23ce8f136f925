"""The book in a real browser, from the disk and with the network off."""

import contextlib
import os
import re
import shutil
from pathlib import Path

import pytest
from browser import browser, nothing_overlaps, opened  # noqa: F401 (fixtures)
from test_book import SMALL
from test_walkthrough import CHAPTERS, FOLDER
from test_walkthrough_pages import numbers, telling

pytestmark = pytest.mark.processor
ONE = next(path for path in CHAPTERS if path.stem.startswith("01_"))

DRAWN = "[...document.images].every(i => i.complete && i.naturalWidth && i.hasAttribute('alt'))"

CUT = """() => {
    document.querySelectorAll("details").forEach(one => { one.open = true; });
    document.querySelectorAll("[data-choice]").forEach(one => { one.hidden = false; });
    return [...document.querySelectorAll("pre")].filter(one => one.scrollWidth > one.clientWidth)
        .map(one => one.innerText.split("\\n").sort((a, b) => b.length - a.length)[0]);
}"""  # of each piece of code that is wider than its place the longest line


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A book of two chapters, and what is said of them."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(SMALL, folder / "90_small.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import book

        book.build(folder / "book", [ONE, folder / "90_small.py"])
    return folder / "book"


@pytest.fixture(scope="module")
def whole(built):
    """All pages: those of a book that stands in $BOOK, or of this one."""
    return sorted(Path(os.environ.get("BOOK", built)).glob("*.html"))


@contextlib.contextmanager
def read(browser, width=1200, **how):  # noqa: F811
    """An empty page without a network, which asks for nothing but files."""
    context = browser.new_context(**how)
    context.set_offline(True)
    asked = []
    with opened(context, width) as page:
        page.on("request", lambda request: asked.append(request.url))
        yield page
    context.close()
    assert all(url.startswith(("file:", "data:")) for url in asked), asked


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_pages_are_read_at_any_width_in_either_light(whole, browser, width, theme):  # noqa: F811
    with read(browser, width, color_scheme=theme) as page:
        for file in whole:
            page.goto(file.as_uri())
            nothing_overlaps(page)
            assert page.evaluate(DRAWN)
            dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
            assert dark == (theme == "dark")
        assert page.locator("h1").count() == 1


def test_no_line_of_code_is_cut(whole, browser):  # noqa: F811
    """On a wide page, also in what is folded and in all answers to an exercise."""
    with read(browser) as page:
        for file in whole:
            page.goto(file.as_uri())
            assert page.evaluate(CUT) == [], file.name


def test_no_table_and_no_formula_is_cut(whole, browser):  # noqa: F811
    with read(browser, 400) as page:
        for file in whole:
            page.goto(file.as_uri())
            assert page.evaluate(CUT.replace('"pre"', '".wide, math[display=block]"')) == [], file.name


@pytest.mark.parametrize("width", [400, 1200])
def test_words_in_the_pictures_of_the_index_can_be_read(whole, browser, width):  # noqa: F811
    with read(browser, width) as page:
        page.goto(next(file for file in whole if file.stem == "index").as_uri())
        assert page.evaluate(DRAWN)
        shares = page.evaluate("[...document.querySelectorAll('.pages img')].map(i => i.width / i.naturalWidth)")
        assert shares and min(shares) * 10 * 130 / 72 >= 9, shares  # of 10 points


def test_every_widget_moves_to_and_fro(whole, browser):  # noqa: F811
    """And what it shows is there, also where others are moved: no key without a state."""
    with read(browser) as page:
        for file in whole:
            page.goto(file.as_uri())
            names = page.evaluate("[...document.querySelectorAll('[data-widget]')].map(one => one.dataset.widget)")
            for key in ("ArrowRight", "ArrowRight", "End", "ArrowLeft"):
                for name in names:
                    widget = page.locator(f'[data-widget="{name}"]').locator("input:not(:disabled), select").first
                    if widget.count():
                        widget.press(" " if widget.get_attribute("role") == "switch" else key)
            nothing_overlaps(page)
            assert page.evaluate(DRAWN)


def test_a_widget_moved_by_the_keyboard_shows_the_engines_numbers(built, browser):  # noqa: F811
    with telling(ONE, {"slider": 1.75}) as told, read(browser) as page:
        page.goto((built / f"{ONE.stem}.html").as_uri())
        page.evaluate("document.querySelectorAll('main details').forEach(one => one.open = true)")
        before, picture = page.locator("main").inner_text(), page.locator("img").first
        pixels = picture.get_attribute("src")
        page.get_by_role("slider").first.focus()
        page.keyboard.press("ArrowRight")
        text, expected = page.locator("main").inner_text(), told()
        assert expected - {*numbers(before)}, "nothing would change"
        assert expected <= {*numbers(text)}
        assert picture.get_attribute("src") != pixels
        assert page.get_by_role("slider").first.get_attribute("aria-valuetext") == "1.75"
        page.keyboard.press("ArrowLeft")
        assert page.locator("main").inner_text() == before
        assert picture.get_attribute("src") == pixels


def test_an_exercise_shows_what_is_said_of_each_answer(built, browser):  # noqa: F811
    with read(browser, 400) as page:
        page.goto((built / f"{ONE.stem}.html").as_uri())
        assert "Not yet" in page.locator("main").inner_text()
        answers = page.get_by_role("group").get_by_role("radio")
        assert answers.count() >= 4
        answers.first.focus()
        said = set()
        for _ in range(answers.count() - 1):
            page.keyboard.press("ArrowDown")
            said.add(page.locator("main section").filter(has_text=re.compile("Not yet|Right:")).last.inner_text())
        assert len(said) == answers.count() - 1, "each is told something else"
        assert page.get_by_text("Right: backward agrees with the differences.").is_visible()
        assert page.locator(".code:visible").count() == 1


def test_what_is_said_of_an_answer_is_in_vietnamese_too(built, browser):  # noqa: F811
    with read(browser, 400) as page:
        page.goto((built / f"{ONE.stem}.html").as_uri())
        page.get_by_label("English").press("ArrowRight")
        answers = page.locator("fieldset.widget")
        assert answers.inner_text().startswith("Những câu trả lời hay gặp\n như đề bài\n chỉ giữ con đường thứ nhất\n")
        assert "bằng tiếng Anh của gradcheck" in answers.inner_text()
        text = page.locator("main").inner_text()
        assert "Chưa đúng. Gradient của input 0 (x) bị sai. Nhận xét: term missing: " in text
        assert "Các con số" in text and "Not yet" not in text
        answers.get_by_label("một lời giải").check()
        assert page.get_by_text("Đúng: backward khớp với").is_visible()
        nothing_overlaps(page)


def test_widgets_of_every_kind_move_what_depends_on_them(built, browser):  # noqa: F811
    with read(browser) as page:
        page.goto((built / "90_small.html").as_uri())
        shown = page.locator("td").nth(1)
        assert shown.inner_text() == "5.00"  # 4 · 1 · 0.5 + 3
        page.get_by_label("size").focus()
        page.keyboard.press("End")  # the second slider is a new one
        assert page.get_by_label("place").get_attribute("max") == "3"
        assert (shown.inner_text(), page.get_by_label("place").input_value()) == ("11.00", "2")
        assert page.get_by_role("img").get_attribute("alt") == "4 bars"
        page.get_by_label("place").focus()
        page.keyboard.press("ArrowRight")
        assert shown.inner_text() == "15.00"
        page.get_by_label("size").focus()
        page.keyboard.press("Home")
        assert (shown.inner_text(), page.get_by_label("place").input_value()) == ("3.00", "0")
        page.get_by_label("size").press("ArrowRight")
        page.locator("#w-kind").select_option("sum")
        assert shown.inner_text() == "5.50"
        page.get_by_role("switch").press(" ")
        assert shown.inner_text() == "0.50"
        page.get_by_label("share").press("End")
        note = page.get_by_role("status")
        if shown.inner_text() != "-17.00":  # more are moved than there are states for: the oldest goes back
            assert note.inner_text().startswith("Put back to where it began: kind.")
            assert shown.inner_text() == "-13.00"
            assert page.locator("#w-kind").input_value() == "1"
        assert page.get_by_label("file").is_disabled()
        assert page.get_by_text("To write here").count() == 2
        assert page.locator("small:visible").filter(has_text="To write here").count() == 1, "once for a row of them"


def test_a_page_in_two_languages_shows_the_one_that_was_chosen(built, browser):  # noqa: F811
    with read(browser, 400) as page:
        page.goto((built / "90_small.html").as_uri())
        page.get_by_text("On this page").click()
        contents = page.locator(".contents a:visible")
        for _ in range(2):
            assert contents.all_inner_texts() == ["In a line", "In English", "Found", "Found"]
            assert "One of 2." in page.locator("main").inner_text()
            page.get_by_label("English").press("ArrowRight")
            assert contents.all_inner_texts() == ["In a line", "Tiếng Việt", "Found", "Found"]
            page.reload()
            assert "Một trong 2." in page.locator("main").inner_text()
            assert "One of 2." not in page.locator("main").inner_text()
            nothing_overlaps(page)
            page.get_by_label("Tiếng").press("ArrowLeft")
            page.get_by_text("On this page").click()


def test_frames_take_on_the_theme(built, browser):  # noqa: F811
    with read(browser) as page:
        page.goto((built / "90_small.html").as_uri())
        of = "document.querySelector('iframe').contentDocument.documentElement.dataset.theme"
        for theme in ("dark", "light"):
            page.get_by_role("button", name="Light or dark").click()
            assert page.evaluate(of) == theme
        page.get_by_label("size").press("End")
        page.frame_locator("iframe").get_by_text("size 4").wait_for()
        page.wait_for_function(of + " === 'light'")
        page.reload()
        page.wait_for_function(of + " === 'light'")


def test_ways_between_pages_the_search_and_the_theme(built, browser):  # noqa: F811
    with read(browser, 400) as page:
        page.goto((built / "index.html").as_uri())
        assert page.locator(".pages a").all_inner_texts() == ["1 · One number", "90 · Small"]
        page.keyboard.press("/")
        page.keyboard.type("MARMALADE alone")
        assert page.locator("#found mark").all_inner_texts() == ["marmalade", "alone"]
        page.keyboard.type("xyz")
        assert page.locator("#found").inner_text() == "Nothing has all of these words."
        page.goto((built / "90_small.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("tangent parabola")
        page.keyboard.press("Enter")
        page.get_by_text("Nothing has").wait_for()
        page.get_by_role("searchbox").fill("youngest comes first")
        page.locator("#found a").first.click()
        page.wait_for_url("**/01_one_number.html#why-the-youngest-comes-first")
        assert page.get_by_role("link", name="On this page").count() == 0
        page.get_by_text("On this page").click()
        assert page.locator(".contents a").count() >= 3
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Light or dark").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        page.locator("a[rel=next]").first.click()
        page.wait_for_url("**/90_small.html")
        page.locator("a[rel=prev]").last.click()
        page.wait_for_url("**/01_one_number.html")


def test_a_widget_that_stands_at_two_places_is_one(built, browser):  # noqa: F811
    with read(browser) as page:
        page.goto((built / "90_small.html").as_uri())
        copies = page.get_by_label("kind")
        assert copies.count() == 2
        for one, other, kind in ((0, 1, "sum"), (1, 0, "product")):
            copies.nth(one).select_option(kind)
            assert copies.nth(other).locator("option:checked").inner_text() == kind
