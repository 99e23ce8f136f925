"""The picture of the classes: what stands in it, looked up in the figure before it is written."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minicnn.plots_of_classes import draw_confusions
from minicnn.training.classes import Predictions


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """draw(pairs of (class, what was said), names) returns the figure that is saved."""
    figures, save = [], Figure.savefig

    def savefig(figure, *at, **how):
        figures.append(figure)
        save(figure, *at, **how)

    monkeypatch.setattr(Figure, "savefig", savefig)

    def draw(pairs, names):
        predictions = Predictions()
        labels, said = np.array(pairs).T
        logits = np.where((said < 0)[:, None], np.nan, np.eye(len(names))[said])
        predictions.add(logits, labels)
        draw_confusions(predictions, names, "the $title", tmp_path / ".a.png.part")
        with Image.open(tmp_path / ".a.png.part") as image:
            assert image.format == "PNG"
            assert min(image.size) > 150
            assert max(image.size) < 4000
        return figures.pop()

    return draw


def test_few_classes_are_a_matrix(drawn):
    pairs = [(0, 0)] * 3 + [(0, 1)] + [(1, 0)] * 2 + [(1, -1)] + [(3, 3)] * 1500
    axes, = drawn(pairs, ["ca$t", "dog$", "eel", "fox"]).axes
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "3"), ((1, 0), "1"), ((0, 1), "2"), ((3, 3), "2k")}
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ca$t", "dog$", "eel", "fox"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["ca$t", "dog$", "eel", "fox"]
    (right,) = axes.child_axes
    shares = ["75% of 4", "0% of 3", "none seen", "100% of 1,500"]
    assert [text.get_text() for text in right.get_yticklabels()] == shares
    image = np.asarray(axes.images[0].get_array())
    red, _, blue = image.transpose(2, 0, 1)
    assert (image[2] == 1).all(), "nothing was seen of it"
    assert blue[0, 0] > red[0, 0], "right is blue"
    assert red[1, 0] > blue[1, 0], "wrong is orange"
    assert image[3, 3].sum() < image[0, 0].sum() < 3, "and darker the more there is"
    assert image[1, 0].sum() < image[0, 1].sum() < 3


def test_many_classes_are_the_worst_ones_and_the_commonest_confusions(drawn):
    names = [f"{i:03d}" for i in range(100)]
    pairs = [(i, i if j < i else (i + 1) % 100) for i in range(100) for j in range(100)]
    left, right = drawn(pairs, names).axes
    assert [text.get_text() for text in left.get_yticklabels()] == names[:30]
    assert [text.get_text() for text in left.texts] == [f"{i}% of 100" for i in range(30)]
    np.testing.assert_allclose([bar.get_width() for bar in left.patches], np.arange(30) / 100)
    assert [text.get_text() for text in right.get_yticklabels()] == [f"{i:03d} → {i + 1:03d}" for i in range(30)]
    assert [text.get_text() for text in right.texts] == [f"{100 - i} of 100" for i in range(30)]
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], 1 - np.arange(30) / 100)


@pytest.mark.parametrize("count", [2, 40, 41, 1000])
def test_any_number_of_classes_of_any_names(drawn, count):
    names = [f"{'long ' * 30}\n\x1b\udce9犬 {i}" for i in range(count)]
    drawn([(i, i) for i in range(count - 1)], names)
