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
    axes = drawn[0].axes
    tops, bars = axes[:2], axes[4:6]
    assert [a.get_title() for a in tops] == ["y", "z"]
    for a, picture in zip(tops, pictures, strict=True):
        np.testing.assert_array_equal(a.images[0].get_array(), picture)
    right = to_rgba("tab:orange")
    for a, order, marked in zip(bars, ("wyzuv", "uvwxy"), (1, None), strict=True):
        assert [text.get_text() for text in a.texts] == list(order)
        row = probabilities[bars.index(a)]
        np.testing.assert_allclose([bar.get_width() for bar in a.patches], [row["uvwxyz".index(c)] for c in order])
        assert [i for i, bar in enumerate(a.patches) if bar.get_facecolor() == right] == [marked] * (marked is not None)


def test_neighbours_stand_beside_their_picture_and_those_of_its_class_are_framed(tmp_path, drawn):
    shades = [np.full((8, 8, 3), shade, np.uint8) for shade in range(8)]
    rows = [(shades[0], 1, [(shades[1], 1, 2.5), (shades[2], 0, 3.25)]), (shades[3], 0, [(shades[4], 1, 1.0)])]
    plots.draw_neighbours(rows, ["u$", "v"], "of 3 $ pictures", tmp_path / "neighbours.png")
    assert drawn[0].get_suptitle() == "of 3 $ pictures"
    shown = [axes for axes in drawn[0].axes if axes.images]
    assert [int(axes.images[0].get_array().max()) for axes in shown] == [0, 1, 2, 3, 4]
    assert [axes.get_title() for axes in shown] == ["v", "v  2.5", "u$  3.25", "u$", "v  1"]
    right = to_rgba("tab:orange")
    assert [axes.axison and axes.spines["left"].get_edgecolor() == right for axes in shown] == [
        False, True, False, False, False]
