"""The pictures of a run: what stands in them, looked up in the figure before it is written."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from minicnn import plots
from minicnn.training.log import Log


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, in their order."""
    figures, save = [], Figure.savefig

    def savefig(figure, *at, **how):
        figures.append(figure)
        save(figure, *at, **how)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def test_curves_are_those_of_the_log(tmp_path, drawn):
    log, step = Log(tmp_path / "log.jsonl"), 0
    for epoch in (1, 2, 3):
        for step in (2 * epoch - 1, 2 * epoch):
            log.write({"epoch": epoch, "step": step, "loss": 1 / step, "top1": step / 10, "top5": 1.0})
        log.write({"epoch": epoch, "step": step, "train_loss": 2.0 + epoch, "train_top1": 0.2 * epoch,
                   "val_loss": 3.0 + epoch, "val_top1": 0.3 * epoch})
    plots.draw_curves(log, tmp_path / "curves.png")
    loss, top1 = drawn[0].axes
    for axes, each, train, val in ((loss, [1 / s for s in range(1, 7)], [3, 4, 5], [4, 5, 6]),
                                   (top1, [s / 10 for s in range(1, 7)], [0.2, 0.4, 0.6], [0.3, 0.6, 0.9])):
        lines = {line.get_label(): line for line in axes.lines}
        assert lines.keys() == {"training, each step", "training, each epoch", "validation, each epoch"}
        for name, steps, values in (("training, each step", range(1, 7), each),
                                    ("training, each epoch", (2, 4, 6), train),
                                    ("validation, each epoch", (2, 4, 6), val)):
            np.testing.assert_allclose(lines[name].get_xdata(), list(steps))
            np.testing.assert_allclose(lines[name].get_ydata(), values)
        assert lines["training, each step"].get_color() == lines["training, each epoch"].get_color()
        assert lines["training, each epoch"].get_color() != lines["validation, each epoch"].get_color()
    assert top1.get_ylim() == (0, 1)


def test_kernels_are_stretched_each_by_itself_one_tower_above_the_other(tmp_path):
    rng = np.random.default_rng(0)
    towers = [rng.uniform(-1, 1, (20, 3, 11, 11)) * 10.0 ** rng.integers(-3, 2, (20, 1, 1, 1)) for _ in range(2)]
    plots.draw_kernels(towers, tmp_path / "kernels.png")
    with Image.open(tmp_path / "kernels.png") as image:
        picture = np.asarray(image.convert("RGB")).astype(int)
    assert picture.shape == (4 * (2 * 2 * 12 + 2), 4 * 16 * 12, 3)  # two rows of 16 a tower, a gap between the towers
    for i, kernels in enumerate(towers):
        for k, kernel in enumerate(kernels):
            top, left = i * (2 * 12 + 2) + k // 16 * 12, k % 16 * 12
            seen = picture[4 * top : 4 * top + 44 : 4, 4 * left : 4 * left + 44 : 4]
            expected = 255 * (0.5 + 0.5 * kernel / np.abs(kernel).max())
            assert np.abs(seen - expected.transpose(1, 2, 0)).max() <= 2, (i, k)
    assert (picture[-4:] == 255).all()
    plots.draw_kernels([towers[0][:3]], tmp_path / "few.png")
    with Image.open(tmp_path / "few.png") as image:
        assert image.size == (4 * 3 * 12, 4 * 12), "no wider than they are"


def test_predictions_name_the_five_most_probable_and_mark_the_right_one(tmp_path, drawn):
    probabilities = np.array([[0.1, 0.05, 0.4, 0.02, 0.3, 0.13], [0.5, 0.2, 0.1, 0.1, 0.06, 0.04]])
    pictures = [np.full((8, 8, 3), shade, np.uint8) for shade in (50, 200)]
    plots.draw_predictions(pictures, [4, 5], probabilities, list("uvwxyz"), tmp_path / "predictions.png")
    (sheet,) = drawn[0].axes
    right = to_rgba("tab:orange")
    said = zip(pictures, "yz", ("wyzuv", "uvwxy"), (1, None), strict=True)
    for i, (picture, title, order, marked) in enumerate(said):
        image = sheet.images[i]
        left, end, bottom, top = image.get_extent()
        np.testing.assert_array_equal(image.get_array(), picture)
        assert end - left == pytest.approx(bottom - top)
        texts = [text for text in sheet.texts if left <= text.get_position()[0] <= end]
        assert [text.get_text() for text in texts] == [title, *order]
        assert texts[0].get_position() == pytest.approx(((left + end) / 2, top), abs=0.1)
        bars = [bar for bar in sheet.patches if bar.get_x() == left]
        for bar, text in zip(bars, texts[1:], strict=True):
            assert bar.get_y() > bottom and bar.get_y() + bar.get_height() / 2 == pytest.approx(text.get_position()[1])
        shares = [probabilities[i]["uvwxyz".index(c)] for c in order]
        np.testing.assert_allclose([bar.get_width() / (end - left) for bar in bars], shares)
        assert [i for i, bar in enumerate(bars) if bar.get_facecolor() == right] == [marked] * (marked is not None)
    nothing_is_cut_off(drawn[0])


def nothing_is_cut_off(figure):
    """All that stands on the one sheet of a figure, texts included, lies inside of it."""
    (sheet,) = figure.axes
    inches = [part.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
              for part in (*figure.texts, *sheet.texts, *sheet.patches, *sheet.images)]
    width, height = figure.get_size_inches()
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in inches)


def test_names_of_any_length_have_room_and_any_number_of_pictures(tmp_path, drawn):
    long, pictures = ["Wm" * 40, "i" * 60], [np.zeros((5, 9, 3)), np.zeros((9, 5, 3))] * 3
    plots.draw_predictions(pictures[:5], [0, 1, 0, 1, 0], np.full((5, 2), 0.5), long, tmp_path / "a.png")
    rows = [(picture, 0, [(picture, i % 2, 123.456) for i in range(6)]) for picture in pictures]
    plots.draw_neighbours(rows, long, "a title", tmp_path / "b.png")
    for figure in drawn:
        (sheet,) = figure.axes
        for image in sheet.images:
            left, end, bottom, top = image.get_extent()
            wide, high = image.get_array().shape[1::-1]
            assert (end - left) / (bottom - top) == pytest.approx(wide / high)
    plots.draw_neighbours([(pictures[0], 0, [])], ["u"], "none is near", tmp_path / "c.png")
    nothing_is_cut_off(drawn[2])


def test_neighbours_stand_beside_their_picture_and_those_of_its_class_are_framed(tmp_path, drawn):
    shades = [np.full((8, 8, 3), shade, np.uint8) for shade in range(8)]
    rows = [(shades[0], 1, [(shades[1], 1, 2.5), (shades[2], 0, 3.25)]), (shades[3], 0, [(shades[4], 1, 1.0)])]
    plots.draw_neighbours(rows, ["u$", "v"], "of 3 $ pictures", tmp_path / "neighbours.png")
    assert drawn[0].get_suptitle() == "of 3 $ pictures"
    (sheet,) = drawn[0].axes
    assert [int(image.get_array().max()) for image in sheet.images] == [0, 1, 2, 3, 4]
    assert [text.get_text() for text in sheet.texts] == ["v", "v  2.5", "u$  3.25", "u$", "v  1"]
    for image, text in zip(sheet.images, sheet.texts, strict=True):
        left, end, _, top = image.get_extent()
        assert text.get_position() == pytest.approx(((left + end) / 2, top), abs=0.1)
    places = [image.get_extent() for image in sheet.images]
    assert [place[3] for place in places] == [places[0][3]] * 3 + [places[3][3]] * 2 and places[0][2] < places[3][3]
    framed = {frame.get_xy(): frame.get_edgecolor() == to_rgba("tab:orange") for frame in sheet.patches}
    assert [framed.get((left, top)) for left, _, _, top in places] == [None, True, False, None, False]
    nothing_is_cut_off(drawn[0])
