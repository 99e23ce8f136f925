"""The classes of a run: what was said of each picture, and the tables of it."""

import csv
import math

import numpy as np
import pytest

from minicnn.training.classes import (
    Predictions,
    advice_on,
    class_table,
    of_classes,
    short,
    write_classes,
    write_wrong,
)
from minicnn.training.scores import Scores

NAMES = ["cat", "dog", "eel"]


def made(*pairs, classes=3, sure=4.0):
    """Predictions of pictures given as (class, what was said)."""
    predictions = Predictions()
    for label, said in pairs:
        predictions.add(sure * np.eye(classes)[[said]], np.array([label]))
    return predictions


def rows(path):
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return list(csv.reader(file))


PAIRS = [(0, 0), (0, 1), (0, 2), (0, 2), (1, 1), (2, 1), (2, 1)]


def test_the_worst_class_comes_first_and_what_it_is_taken_for():
    classes = of_classes(made(*PAIRS), NAMES)
    assert [(one.name, one.pictures, one.right, one.taken_for) for one in classes] == [
        ("eel", 2, 0, [("dog", 2)]), ("cat", 4, 1, [("eel", 2), ("dog", 1)]), ("dog", 1, 1, [])]
    assert class_table(classes).splitlines() == [
        "class  pictures   right  taken for",
        "eel           2    0.0%  dog (2)",
        "cat           4   25.0%  eel (2), dog (1)",
        "dog           1  100.0%"]  # fmt: skip
    np.testing.assert_array_equal(made(*PAIRS).matrix(), [[1, 1, 2], [0, 1, 0], [0, 2, 0]])


@pytest.mark.parametrize("batches", [1, 3, 7])
def test_batches_of_any_size_give_the_same(batches):
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(0, 4, 50)
    predictions = Predictions()
    for part in np.array_split(np.arange(50), batches):
        predictions.add(logits[part], labels[part])
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    every = predictions.all
    np.testing.assert_array_equal(every["place"], np.arange(50))
    np.testing.assert_array_equal(every["said"], softmax.argmax(axis=1))
    np.testing.assert_allclose(every["probability"], softmax.max(axis=1), rtol=1e-6)
    wrong = [i for i in np.argsort(-softmax.max(axis=1)) if softmax[i].argmax() != labels[i]]
    np.testing.assert_array_equal(predictions.wrong()["place"], wrong)
    assert every.dtype.itemsize == 20


@pytest.mark.parametrize("row", [[np.nan, 0, 1], [np.inf, 0, 0], [-np.inf] * 3, [-np.inf, 1, 0], [0, 0, 0], [0, 1, 1]],
                         ids=str)  # fmt: skip
@pytest.mark.parametrize("label", [0, 1, 2])
def test_what_is_right_is_what_the_scores_count(row, label):
    scores, predictions = Scores(), Predictions()
    for each in (scores, predictions):
        each.add(*([1.0] if each is scores else []), np.array([row], np.float32), np.array([label]))
    assert len(predictions.wrong()) == 1 - scores.top1
    number = not math.isnan(predictions.all["probability"][0])
    assert (predictions.all["said"][0] >= 0) == number == (np.isfinite(np.max(row)))


def test_a_class_at_none_and_a_class_unseen_and_a_score_of_no_worth_are_said():
    never, none, nothing = advice_on(of_classes(made((0, 1), (0, 1), (0, 1), (1, 1)), NAMES))
    assert never == "NEVER RIGHT: 1 of 3 classes: cat (0 of 3)"
    assert none == ("NOT SEEN: 1 of 3 classes, of which there was no validation picture or none that could be read: "
                    "eel")
    assert nothing.startswith("NOTHING LEARNED YET: top-1 is 25.0%, and who always says cat, the commonest class, is "
                              "right for 75.0%: ")
    assert not advice_on(of_classes(made((0, 0), (0, 0), (1, 1), (2, 2), (2, 1)), NAMES))
    assert not advice_on(of_classes(made((0, 0), (1, 0), (1, 1), (2, 2), (0, 1), (2, 1)), NAMES)), "3 of 6, not 2"
    assert advice_on(of_classes(made((0, 0), (0, 1), (1, 1), (1, 0)), NAMES))[-1].startswith("NOTHING"), "2 of 4"


def test_all_right_is_something_learned_though_all_are_of_one_class():
    assert [line.partition(":")[0] for line in advice_on(of_classes(made((0, 0), (0, 0)), NAMES))] == ["NOT SEEN"]
    assert advice_on(of_classes(made((0, 0), (0, 1)), NAMES))[-1].startswith("NOTHING LEARNED YET: top-1 is 50.0%")


def test_of_many_classes_the_worst_are_shown_and_the_others_summed_up():
    pairs = [(i, i if j < i % 40 else (i + 1) % 1000) for i in range(1000) for j in range(40)]
    predictions = Predictions()
    labels, said = np.array(pairs).T
    predictions.add(np.eye(1000, dtype=np.float16)[said], labels)
    lines = class_table(of_classes(predictions, [f"n{i:08d}" for i in range(1000)])).splitlines()
    assert len(lines) == 17
    assert lines[1].split() == ["n00000000", "40", "0.0%", "n00000001", "(40)"]
    assert lines[-1] == "... and 985 classes more, right from 0.0% to 97.5%"
    assert "25 of 1,000 classes: " in advice_on(of_classes(predictions, [f"n{i}" for i in range(1000)]))[0]
    assert " and 20 more" in advice_on(of_classes(predictions, [f"n{i}" for i in range(1000)]))[0]


def test_names_are_short_and_in_one_line():
    assert short("a\nb") == "a\\nb"
    assert short("x" * 30) == "x" * 30
    assert short("begin" + "-" * 200 + "end.") == "begin----------…----------end."
    assert len(short("y" * 31)) == 30


def test_wrong_pictures_are_named_the_surest_first(tmp_path):
    predictions = Predictions()
    predictions.add(np.array([[0, 2, 0], [5, 0, 0], [np.nan, 0, 0], [9, 0, 0]]), np.array([0, 1, 2, 0]), [4, 7, 8, 9])
    paths = [tmp_path / f"a,b\udce9 {i}.png" for i in range(10)]
    write_wrong(predictions, ["kät", 'd"og', "=eel"], paths, tmp_path / "wrong.csv")
    assert rows(tmp_path / "wrong.csv") == [
        ["picture", "class", "said", "probability"],
        [str(paths[7]), 'd"og', "kät", "0.9867"],
        [str(paths[4]), "kät", 'd"og', "0.7870"],
        [str(paths[8]), "=eel", "", ""]]  # fmt: skip
    assert (tmp_path / "wrong.csv").read_bytes().startswith(b"\xef\xbb\xbfpicture,"), "spreadsheets ask for the mark"


def test_the_whole_table_is_kept(tmp_path):
    write_classes(of_classes(made(*PAIRS[:5]), NAMES), tmp_path / "classes.csv")
    assert rows(tmp_path / "classes.csv") == [
        ["class", "pictures", "right", "share", "taken for", "times"],
        ["cat", "4", "1", "0.2500", "eel", "2"], ["dog", "1", "1", "1.0000", "", ""], ["eel", "0", "0", "", "", ""]]
