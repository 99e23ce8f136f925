"""python -m minicnn classify --explain: one page that needs nothing else, with the numbers of the network."""

import base64
import copy
import errno
import io
import json
import re
from collections import Counter
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import browser, nothing_overlaps, opened  # noqa: F401 (fixtures)
from PIL import Image
from test_classifier import files, run  # noqa: F401 - fixtures
from test_classify import told
from test_explain import PICTURE, narrow

from minicnn import explain, explain_page, models
from minicnn.explain_page import GLOW, GREYS, TURN, Page, percent, png
from minicnn.models import VARIANTS

pytestmark = pytest.mark.processor
VOID = {"meta", "img", "input"}
NASTY = """<script>alert("'1'")</script>&amp;"""


class Read(HTMLParser):
    """What a page is made of: tags with their attributes, and its text. Raises where a tag is not closed."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text

    def all(self, *tags):
        return [attributes for tag, attributes in self.tags if tag in tags]


def pixels(uri):
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))).convert("RGB"))


@pytest.fixture
def quickly(monkeypatch):
    """Few places are covered."""
    monkeypatch.setattr(explain_page, "occlusion", partial(explain.occlusion, cells=3, square=90))


def page_of(variant, classes="abcde", name="a.png"):
    ask = copy.copy(narrow(variant, np.float32))
    ask.classes = list(classes)
    page = Page(ask)
    page.add(name, PICTURE)
    return page


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_file_is_all_it_takes(variant, quickly):
    page = str(page_of(variant))
    read = Read(page)
    for attributes in read.all("img", "image"):
        assert attributes.get("src", attributes.get("href")).startswith("data:image/png;base64,")
    for attributes in read.all("a", "use"):
        assert attributes["href"][1:] in {one.get("id") for _, one in read.tags}
    assert {tag for tag, _ in read.tags}.isdisjoint({"script", "link", "iframe", "object", "base"})
    assert not re.search(r"https?:|url\(|@import|\son\w+=", re.sub(r"base64,[\w+/=]*", "", page))
    assert all("alt" in one for one in read.all("img"))
    assert all("aria-hidden" in one or (one["role"] == "img" and one["aria-label"]) for one in read.all("svg"))
    ids = Counter(one["id"] for _, one in read.tags if "id" in one)
    assert set(ids.values()) == {1}
    assert [one["for"] for one in read.all("label")] == [one["id"] for one in read.all("input")]
    assert ("tower b" in read.text) == (VARIANTS[variant].towers == 2)
    assert f"The {VARIANTS[variant].pixels} × {VARIANTS[variant].pixels} pixels" in read.text


def test_names_are_text(quickly):
    page = page_of("paper", [NASTY] * 5, f"{NASTY}\x1b\udc80.png")
    page.unread.append((NASTY, NASTY))
    read = Read(str(page))
    assert not read.all("script")
    assert read.text.count(NASTY) >= 4
    assert f"{NASTY}\\x1b\\udc80.png" in read.text
    str(page).encode("utf-8")
    alts = [one.get("alt", one.get("aria-label")) for one in read.all("img", "svg")]
    assert f"Saliency map of {NASTY}" in alts


@pytest.mark.parametrize("variant", ["caffe", "torchvision"])
def test_it_shows_what_is_computed(variant, quickly):
    ask, page = narrow(variant, np.float32), page_of(variant)
    read, first = Read(str(page)), (256 - ask.net.pixels) // 2
    inside = slice(first, first + ask.net.pixels)
    y = ask.scores([PICTURE])
    p = np.exp(y[0] - y.max()) / np.exp(y[0] - y.max()).sum()
    order = np.argsort(-p)
    said = [f"{ask.classes[c]}{100 * p[c]:.1f} %" for c in order]
    assert re.findall(r"([a-e])(\d+\.\d) %\n", read.text) == [(s[0], s[1:-2]) for s in said]
    widths = [float(one["style"].removeprefix("width:").removesuffix("%")) for one in read.all("i")]
    np.testing.assert_allclose(widths, 100 * p[order], atol=0.006)
    np.testing.assert_array_equal(pixels(read.all("image")[0]["href"]), PICTURE[inside, inside])  # red is red
    looks = [one["src"] for one in read.all("img") if one.get("class") == "look"]
    overs = [one["href"] for one in read.all("image") if one.get("class") == "over"]
    chosen = order[:3].tolist()
    saliency = np.abs(explain.gradient_of_score(ask, PICTURE, chosen)).max(1)
    whole = explain.log_odds(y, chosen)[:, 0]
    covered = explain.occlusion(ask, PICTURE, chosen, 3, 90)
    for look, over, s, c, w in zip(looks, overs, saliency, covered, whole, strict=True):
        of_the_brightest = s / np.quantile(s, 0.995)
        assert (pixels(look)[of_the_brightest >= 1] == GLOW[255]).all()
        assert (pixels(look)[s == 0] == GLOW[0]).all()
        by_hand = TURN[np.rint(127.5 * (1 + (c - w) / max(0.5, np.abs(c - w).max()))).astype(int)]
        np.testing.assert_array_equal(pixels(over), by_hand)
        assert f"<span>{percent(min(*c.flat, w))}</span><span>{percent(max(*c.flat, w))}</span>" in str(page)
        assert f"White: {percent(w)}, as uncovered" in str(page)
    frames, maps = read.all("rect"), [one["src"] for one in read.all("img") if "its answers" in one["alt"]]
    strong = [one for row in ("conv1", "conv5") for one in explain.strongest(ask, PICTURE, row)]
    for i, one in enumerate(strong):
        rows, columns = (slice(int(frames[2 * i][at]), int(frames[2 * i][at]) + int(frames[2 * i][size]))
                         for at, size in (("y", "height"), ("x", "width")))  # fmt: skip
        assert (rows, columns) == one.field
        np.testing.assert_array_equal(pixels(maps[i]), GREYS[np.rint(255 * (one.answers / one.largest)).astype(int)])
        assert (pixels(maps[i])[one.place] == 255).all()


@pytest.mark.parametrize("odds, text", [
    (0.0, "50.0 %"), (np.log(0.358 / 0.642), "35.8 %"), (np.log(0.0012 / 0.9988), "0.12 %"), (np.log(19), "95.0 %"),
    (np.log(99999), "99.9990 %"), (-16.0, "0.000011 %"), (30.0, "over 99.999999 %"), (-30.0, "under 0.000001 %"),
    (900.0, "over 99.999999 %"), (-900.0, "under 0.000001 %"),
])  # fmt: skip
def test_percentages_have_two_figures(odds, text):
    assert percent(odds) == text


def test_colours_lead_from_the_least_to_the_most():
    assert [GLOW[0].tolist(), GREYS[255].tolist(), TURN[0].tolist()] == [[0, 0, 0], [255, 255, 255], [0, 89, 166]]
    values = np.array([[0.0, 0.25, 1.0], [-3.0, 7.0, 0.5]])
    np.testing.assert_array_equal(pixels(png(values, GLOW)), GLOW[[[0, 64, 255], [0, 255, 128]]])


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_writes_it_and_says_so(run, files, tmp_path, capsys, quickly):  # noqa: F811
    bad, page = tmp_path / "bad.jpg", tmp_path / "why.html"
    bad.write_text("no picture")
    page.write_text("of before")
    status, lines, errors = told(capsys, files[0], bad, files[1], "--weights", run, "--top", 2, "--explain", page)
    assert (status, lines[-1], errors) == (1, f"explained in {page}", [f"{bad}: not a picture in any known format"])
    read = Read(page.read_text("utf-8"))
    assert [one["href"] for one in read.all("a")] == ["#picture1", "#picture2"]
    assert f"{bad}: not a picture in any known format" in read.text
    assert len(read.all("i")) == len(read.all("input")) == 4
    answers = [f"{a.name}{100 * a.probability:.1f} %" for a in models.load(run).classify(files[0], 2)]
    assert all(answer in read.text for answer in answers)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.jpg", "bad.jpg", "c.png", "why.html"]


def test_lines_of_json_stay_lines_of_json(run, files, tmp_path, capsys, quickly):  # noqa: F811
    status, lines, errors = told(capsys, files[0], "--weights", run, "--json", "--explain", tmp_path / "why.html")
    assert (status, errors) == (0, [f"explained in {tmp_path / 'why.html'}"])
    assert json.loads(*lines)["picture"] == str(files[0])
    assert not Read((tmp_path / "why.html").read_text("utf-8")).all("a")


def test_a_page_holds_so_many_pictures(run, files, tmp_path, capsys, quickly, monkeypatch):  # noqa: F811
    monkeypatch.setattr(explain_page, "MOST", 1)
    status, lines, _ = told(capsys, *files, "--weights", run, "--json", "--explain", tmp_path / "why.html")
    assert (status, len(lines)) == (0, 3)
    read = Read((tmp_path / "why.html").read_text("utf-8"))
    assert len(read.all("section")) == 1
    assert "The first 1 pictures; 2 more are answered alone." in read.text


@pytest.mark.parametrize("name, words", [
    ("gone/why.html", "there is no folder"), ("a.png", "ends in .html"), ("", "ends in .html"),
    (f"{'x' * 250}.html", "File name too long"),
])  # fmt: skip
def test_where_no_page_can_be_is_said_before_the_work(name, words, files, tmp_path, capsys):  # noqa: F811
    with pytest.raises(SystemExit) as stopped:
        told(capsys, files[0], "--weights", "none is looked for", "--explain", name and tmp_path / name)
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n")) == (2, 1)
    assert words in said
    assert "cannot write" in said


def test_a_full_disk_leaves_the_page_of_before(run, files, tmp_path, capsys, quickly, monkeypatch):  # noqa: F811
    page = tmp_path / "why.html"
    page.write_text("of before")

    def full(path, text, encoding):
        path.write_bytes(text[:99].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    status, _, errors = told(capsys, files[0], "--weights", run, "--explain", page)
    assert (status, errors) == (1, [f"{page} is not written: No space left on device"])
    assert page.read_text() == "of before"


def test_what_is_not_finite_is_named(run, files, tmp_path, capsys, quickly, monkeypatch):  # noqa: F811
    def broken(*given):
        raise ValueError("the scores are not finite")

    monkeypatch.setattr(explain_page, "strongest", broken)
    status, lines, errors = told(capsys, files[0], "--weights", run, "--explain", tmp_path / "why.html")
    assert (status, len(lines), errors) == (1, 5, [f"{files[0]}: the scores are not finite"])
    assert "the scores are not finite" in Read((tmp_path / "why.html").read_text("utf-8")).text


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [360, 1400])
def test_a_browser_shows_it_from_a_file(width, browser, tmp_path, quickly):  # noqa: F811
    page = page_of("paper", ["a class of so long a name " * 4, *"bcde"], "x" * 200 + ".png")
    page.add("b.png", PICTURE[::-1])
    page.write(tmp_path / "why.html")
    context = browser.new_context(offline=True, color_scheme="dark" if width == 360 else "light")
    with opened(context, width) as tab:
        tab.goto((tmp_path / "why.html").as_uri())
        nothing_overlaps(tab)
        assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert tab.evaluate("[...document.querySelectorAll('body *')].every(e => parseFloat(getComputedStyle(e)"
                            ".fontSize) >= 12)")
        assert tab.locator(".panel:visible").count() == 2
        reached = []
        for _ in range(5):  # how to read it, the two pictures, and for each the class
            tab.keyboard.press("Tab")
            reached.append(tab.evaluate("document.activeElement.tagName"))
            focus = "document.activeElement.matches('input') ? document.activeElement.nextElementSibling : " \
                    "document.activeElement"
            assert tab.evaluate(f"getComputedStyle({focus}).outlineStyle") == "solid"
        assert reached == ["SUMMARY", "A", "A", "INPUT", "INPUT"]
        second = tab.locator("#picture2 .panel").nth(1)
        assert not second.is_visible()
        tab.keyboard.press("ArrowRight")
        assert second.is_visible()
        assert tab.locator("#picture2 .panel:visible").count() == 1
        tab.locator("summary").focus()
        tab.keyboard.press("Enter")
        assert tab.get_by_text("Zeiler and Fergus 2014").is_visible()
        nothing_overlaps(tab)
    context.close()
