"""The walkthrough as a book: in every state a page shows what the chapter gives when it is run with these values."""

import itertools
import json
import re
import sys
import types
from pathlib import Path

import pytest
from test_walkthrough import FOLDER

from minicnn.__main__ import main

pytestmark = pytest.mark.processor
DOT = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJg"
       "gg==")
SMALL = Path(__file__).with_name("small_chapter.py")


@pytest.fixture(scope="module")
def book():
    """The package, from the folder of the chapters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import book

        yield book


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chapters")
    path = folder / "90_small.py"
    path.write_text(SMALL.read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def built(book, small, tmp_path_factory):
    """The folder of a book of one small chapter."""
    folder = tmp_path_factory.mktemp("book") / "new"
    book.build(folder, [small])
    return folder


@pytest.fixture(scope="module")
def states(built):
    text = (built / "90_small.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="states">(.*?)</script>', text, re.DOTALL)[1])


def found(size, share, place, kind, minus, way, first):
    """What the chapter computes, said again."""
    whole = 2 * size + place if kind == "sum" else 2 * size * place
    return (-1 if minus else 1) * whole * share + (3 if way == "up" else first)


def test_every_state_shows_its_own_number(built, states):
    page = (built / "90_small.html").read_text(encoding="utf-8")
    (cell,) = (cell for cell in states["cells"] if {"place", "kind"} <= {*cell["needs"]})
    assert {*cell["needs"]} == {"size", "share", "place", "kind", "minus", "way", "file", "class_", "pair.0", "pair.1"}
    shown = re.compile(r"<td[^>]*>(-?\d+\.\d\d)</td>")
    first = shown.search(page)[1]
    met = set()
    for key, text in cell["at"].items():
        at = dict(zip(cell["needs"], map(int, key.split(",")), strict=True))
        size = at["size"] + 1
        right = found(size, [0.25, 0.5, 4.0][at["share"]], at["place"], ["sum", "product"][at["kind"]], at["minus"],
                      ["up", "down"][at["way"]], at["pair.0"])  # fmt: skip
        told = first if text == -1 else shown.search(states["texts"][text])[1]
        assert told == f"{right:.2f}", at
        away = [at["share"] != 1, at["kind"] != 1, at["minus"], at["way"], at["size"] != 1, not at["pair.0"],
                at["place"] != size // 2]  # fmt: skip
        met.add(tuple(map(bool, away)))
        assert at["place"] < size  # its range depends on another widget
    assert len(cell["at"]) <= 160
    assert {away for away in itertools.product((False, True), repeat=7) if sum(away) <= 2} <= met, "any two move"


def test_the_states_are_those_of_the_chapter_run_as_a_script(book, small, states, capsys):
    from book.states import read

    app = read(small).app
    (cell,) = (cell for cell in states["cells"] if {"place", "kind"} <= {*cell["needs"]})
    keys = sorted(key for key, text in cell["at"].items() if text >= 0)
    for key in keys[:: len(keys) // 4]:
        at = dict(zip(cell["needs"], map(int, key.split(",")), strict=True))
        values = {"size": at["size"] + 1, "share": [0.25, 0.5, 4.0][at["share"]], "place": at["place"], "file": "",
                  "kind": ["sum", "product"][at["kind"]], "minus": bool(at["minus"]), "class_": 3,
                  "way": ["up", "down"][at["way"]], "pair": [at["pair.0"], 0]}  # fmt: skip
        capsys.readouterr()
        app.run(defs={name: types.SimpleNamespace(value=value) for name, value in values.items()})
        (told,) = re.findall(r"\| all \| (\S+) \|", capsys.readouterr().out)
        assert f">{told}</td>" in states["texts"][cell["at"][key]]


def test_a_page_is_plain_html(built, states):
    page = (built / "90_small.html").read_text(encoding="utf-8")
    everything = page + json.dumps(states["texts"])
    assert "marimo-" not in everything
    assert not re.search(r'(src|href)="(?!data:|#|index\.html|90_small\.html)', page), "is elsewhere"
    for part in ("<mfrac>", '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">', 'lang="vi"',
                 '<span class="nb">print</span>', '<div class="told">', "told &amp; done",
                 "<summary>One answer</summary>",
                 'type="range" id="w-size" min="0" max="3" step="1" value="1"', '<option value="1" selected>product',
                 'role="switch" id="w-minus"', 'placeholder="none"', "share <math", 'alt="2 bars"',
                 'id="found"', 'id="found-2"', "Right", "Not yet", "Answers that people give",
                 "To write here, run <code>", "To write your own, run <code>"):  # fmt: skip
        assert part in everything, part
    editor = next(cell for cell in states["cells"] if cell["needs"] == ["editor"])
    assert [*editor["at"]] == ["0", "1", "2"]
    assert [(states["texts"][text]).count("Right") for text in (*editor["at"].values(),) if text >= 0] == [1]
    assert editor["at"]["0"] == editor["at"]["1"] == -1  # what is alike is there once


def test_pictures_keep_their_pixels_in_fewer_bytes(book):
    import base64
    import io

    import numpy as np
    from book.pictures import NEAR, smaller
    from PIL import Image

    random = np.random.default_rng(0)
    drawn = np.repeat(np.repeat(random.integers(0, 2, (20, 30, 3), np.uint8) * 255, 4, 0), 4, 1)
    shade = random.integers(0, 6, drawn.shape) * (random.random(drawn.shape) < 0.1)
    shaded = np.abs(drawn.astype(int) - shade)
    photograph = np.indices((256, 256)).sum(0)[..., None] // 2 + random.integers(-9, 9, (256, 256, 3))
    photograph = photograph.clip(0, 255)
    for pixels, near in ((drawn, NEAR), (shaded, NEAR), (photograph, 0)):
        source = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).convert("RGBA").save(source, "PNG", compress_level=0)
        data, *size = smaller("data:image/png;base64," + base64.b64encode(source.getvalue()).decode())
        small = base64.b64decode(data.partition(",")[2])
        kept = np.asarray(Image.open(io.BytesIO(small)).convert("RGB")).astype(int)
        off = np.abs(kept - pixels)
        assert size == [*pixels.shape[1::-1]] and (off.max() <= near if near else off.mean() < 6)
        assert len(small) < len(source.getvalue())
        if near:
            assert len({*map(tuple, kept.reshape(-1, 3))}) <= 256
            assert np.array_equal(kept[drawn == pixels], pixels[drawn == pixels]), "what is white stays white"
    assert smaller(data)[0] == data, "it is not made larger"
    with pytest.raises(ValueError, match="outside of its page"):
        smaller("https://example.org/a.png")


def test_widgets_are_thinned_out_and_keep_their_ends(book):
    from book.widgets import Choices

    of = Choices(tuple(range(30)), tuple(map(str, range(30))), 7)
    for most in (3, 5, 9, 29):
        few = of.thinned(most)
        assert len(few.values) == most and few.values[few.first] == 7 and {0, 29} < {*few.values}
        assert [*few.values] == sorted(few.values) and few.shown == tuple(map(str, few.values))
    assert of.thinned(30) is of
    assert Choices(of.values, of.shown, 0).thinned(4).first == 0


def test_too_many_states_are_bounded(book, small, monkeypatch):
    from book import states

    monkeypatch.setattr(states, "MOST", 12)
    monkeypatch.setattr(states, "PICTURES", 3)
    monkeypatch.setattr(states, "STOPS", 3)
    chapter = states.Chapter(small)
    moved = chapter.plan()
    shown = next(cell for cell in chapter.cells if "kind" in cell.needs)
    assert moved[shown.place] == 1
    assert len(chapter.choices("size", chapter.first).values) == 3
    assert chapter.of_all("size", chapter.first) == 4
    assert chapter.choices("size", {}).values == (1, 2, 4)
    assert chapter.first["size"] == 1 and chapter.first["share"] == 1
    assert chapter.stops == {"size": 3}, "for the picture; with fewer choices, two would still be too many"
    chapter.keep(lambda cell, state: cell.output)
    assert len(shown.kept) == chapter.count(shown, 1) <= 12


def test_widgets_that_cannot_be_moved_together_anywhere_have_no_such_states(book, small, monkeypatch):
    from book import states

    chapter = states.Chapter(small)
    shown, placed, drawn = (next(cell for cell in chapter.cells if cell.needs and word in cell.output)
                            for word in ("<table", "place", "<img"))  # fmt: skip
    assert chapter.plan()[shown.place] > 1
    monkeypatch.setattr(states, "ALONE", {"90_small"})
    assert {*chapter.plan().values()} == {1}
    monkeypatch.undo()
    fits = chapter.fits
    monkeypatch.setattr(chapter, "fits", lambda cell, n: fits(cell, n) and (cell is not shown or n < 3))
    moved = chapter.plan()
    assert (moved[shown.place], moved[placed.place], moved[drawn.place]) == (2, 1, 1)
    drawn.needs = "size", "share", "kind"
    assert chapter.plan()[drawn.place] == 2
    drawn.needs = "size", "editor"
    monkeypatch.setattr(chapter, "fits", lambda cell, n: n < 2 or cell is not shown)
    assert (chapter.plan()[drawn.place], chapter.plan()[shown.place]) == (2, 1)


@pytest.mark.parametrize("wrong, said", [
    ('say("$\\\\nosuch$")', r"the formula \nosuch has \nosuch, which does not become MathML"),
    ('mo.ui.tabs({"a": mo.md("b")})', "shows <marimo-tabs>"),
    ('mo.ui.slider(0, 1, label="x")', "90_small.py shows a widget, 'x', that none of its names holds"),
    ('mo.Html("<p><b>x</p>")', "ends <p> inside of <b>"),
    ('mo.Html("</p>")', "ends <p> inside of <>"),
    ('mo.Html("<p>x")', "does not end <p>"),
    ('mo.Html("<script>1</script>")', "has a script outside of a frame"),
    (f'mo.Html("<img src={DOT}>")',
     "a picture has no words"),
])  # fmt: skip
def test_what_cannot_be_shown_is_an_error(book, tmp_path, wrong, said):
    chapter = tmp_path / "90_small.py"
    head = SMALL.read_text(encoding="utf-8").split("@app.cell\n", 1)[0]
    chapter.write_text(f"{head}@app.cell\ndef _():\n    {wrong}\n    return\n", encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(said)):
        book.build(tmp_path / "new", [chapter])
    assert not (tmp_path / "new").exists()


def test_a_folder_is_only_written_where_it_is_new_or_a_book(book, small, built, tmp_path, monkeypatch, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    monkeypatch.syspath_prepend(FOLDER)
    for folder in (other, other / "mine.txt", other / "mine.txt" / "book"):
        with pytest.raises(SystemExit):
            main(["walkthrough", "1", "--book", str(folder)])
        said = capsys.readouterr()
        assert str(folder) in said.err and not said.out, "it is told before anything is computed"
    assert [file.name for file in other.iterdir()] == ["mine.txt"]
    (built / "mine.txt").write_text("mine")
    (built / ".minicnn-book").write_text("90_small.html\nold.html\n../mine.html\n")
    (built / "old.html").write_text("of an earlier book")
    (built.parent / "mine.html").write_text("mine")
    of, pages = sys.modules["book.build"], sys.modules["book.pages"]
    monkeypatch.setattr(of, "chapter_page", lambda path: pages.Page("90_small.html", "Small", "Small"))
    sizes = book.build(built, [small])
    assert {*sizes} <= {file.name for file in built.iterdir()} and not (built / "old.html").exists()
    assert (built / "mine.txt").exists() and (built.parent / "mine.html").exists()
    monkeypatch.setattr(of, "MOST", 100)
    with pytest.raises(ValueError, match="more than 100"):
        book.build(tmp_path / "large", [small])


def test_the_command_builds_chapters(monkeypatch, capsys, tmp_path):
    built = []

    def build(folder, chapters):
        built.append(chapters)
        return {"a": 1_500_000}

    monkeypatch.setitem(sys.modules, "book", types.SimpleNamespace(build=build))
    assert main(["walkthrough", "--book", str(tmp_path)]) == main(["walkthrough", "2", "--book", str(tmp_path)]) == 0
    assert [path.name[:3] for path in built[0][:2]] in (["00_", "01_"], ["01_", "02_"])
    assert [path.name for path in built[1]] == ["02_a_tape.py"]
    assert capsys.readouterr().out.count(f"1 pages, 1.5 MB: open {tmp_path / 'index.html'}") == 2
