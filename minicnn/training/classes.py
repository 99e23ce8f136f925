"""Which classes a model knows: what it said of every picture, and of that a table of the classes, the worst first."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..console import printable
from ..data.images import some
from ..layout import table

__all__ = ["OfClass", "Predictions", "advice_on", "class_table", "of_classes", "short", "write_classes", "write_wrong"]

RECORD = np.dtype([("place", np.int64), ("label", np.int32), ("said", np.int32), ("probability", np.float32)])
SHOWN, LONGEST = 20, 30  # classes in a table, letters of a name


class Predictions:
    """What was said of each picture, in the order in which they were looked at: 20 bytes a picture.

    classes: how many there are, once a batch was added.
    """

    def __init__(self) -> None:
        self.classes = 0
        self._parts: list[NDArray[np.void]] = [np.empty(0, RECORD)]

    def add(self, logits: np.ndarray, labels: np.ndarray, places: Sequence[int] | None = None) -> None:
        """Note a batch: logits (N, C), labels (N,). places: where in their folder its pictures stand; else they are
        counted.

        Of equal logits the first counts as the higher. Where the probabilities are no numbers nothing is said.
        """
        self.classes = logits.shape[1]
        before = sum(map(len, self._parts))
        part = np.empty(len(labels), RECORD)
        part["place"] = np.arange(before, before + len(labels)) if places is None else places
        part["label"] = labels
        with np.errstate(all="ignore"):
            x = logits.astype(np.float64)
            said = x.argmax(axis=1)  # a NaN, where there is one
            part["probability"] = 1 / np.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1)
        part["said"] = np.where(np.isnan(part["probability"]), -1, said)
        self._parts.append(part)

    def merge(self, every: Sequence[NDArray[np.void]], classes: int) -> None:
        """Take these records, of so many classes, in place of one's own, in the order of their places."""
        self.classes = classes
        records = np.concatenate(every)
        self._parts = [records[np.argsort(records["place"], kind="stable")]]

    @property
    def all(self) -> NDArray[np.void]:
        """A record of each picture: ``place``, ``label``, ``said``, which is −1 where nothing was, and its
        ``probability``."""
        self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def wrong(self) -> NDArray[np.void]:
        """Of the pictures that were taken for another class, the most probable first; last those of which nothing was
        said."""
        every = self.all
        wrong: NDArray[np.void] = every[every["said"] != every["label"]]
        return wrong[np.argsort(-wrong["probability"], kind="stable")]  # NaN stands last

    def confusions(self) -> list[tuple[int, int, int]]:
        """(class, what it was taken for, how often), the most frequent first, without those that are right."""
        wrong = self.wrong()
        wrong = wrong[wrong["said"] >= 0]
        pairs, counts = np.unique(wrong["label"].astype(np.int64) * self.classes + wrong["said"], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [(*divmod(int(pairs[i]), self.classes), int(counts[i])) for i in order]

    def matrix(self) -> NDArray[np.int64]:
        """How often each class (rows) was taken for each (columns)."""
        said = self.all[self.all["said"] >= 0]
        cells = said["label"].astype(np.int64) * self.classes + said["said"]
        return np.bincount(cells, minlength=self.classes**2).reshape(self.classes, self.classes)


@dataclass(frozen=True)
class OfClass:
    """How a class fared. pictures, right: how many. taken_for: (another class, how often), the most frequent first."""

    name: str
    pictures: int
    right: int
    taken_for: list[tuple[str, int]]

    @property
    def share(self) -> float:
        """Of its pictures those that are right; NaN where it has none."""
        return self.right / self.pictures if self.pictures else float("nan")


def of_classes(predictions: Predictions, names: Sequence[str]) -> list[OfClass]:
    """The classes, the worst first, of equal ones the largest; last those that have no picture."""
    every = predictions.all
    pictures = np.bincount(every["label"], minlength=len(names))
    right = np.bincount(every["label"][every["label"] == every["said"]], minlength=len(names))
    taken: list[list[tuple[str, int]]] = [[] for _ in names]
    for label, said, count in predictions.confusions():
        taken[label].append((names[said], count))
    found = [OfClass(*each) for each in zip(names, pictures.tolist(), right.tolist(), taken, strict=True)]
    return sorted(found, key=lambda one: (not one.pictures, one.share if one.pictures else 0, -one.pictures))


def short(name: object, longest: int = LONGEST) -> str:
    """A name in one line, and so short that a table or a picture stays readable; what is left out is its middle."""
    text = printable(name)
    return text if len(text) <= longest else f"{text[:longest // 2]}…{text[len(text) - (longest - 1) // 2:]}"


def class_table(classes: Sequence[OfClass]) -> str:
    """A line for each class; of many the worst alone, and a line on the others."""
    shown = classes if len(classes) <= SHOWN else classes[:SHOWN - 5]
    rows = [("class", "pictures", "right", "taken for")]
    for one in shown:
        taken = ", ".join(f"{short(name)} ({count:,})" for name, count in one.taken_for[:2])
        rows.append((short(one.name), f"{one.pictures:,}", f"{one.share:.1%}" if one.pictures else "-", taken))
    text = table(rows, right=(1, 2))
    if more := [one.share for one in classes[len(shown):] if one.pictures]:
        text += f"\n... and {len(classes) - len(shown):,} classes more, right from {more[0]:.1%} to {more[-1]:.1%}"
    return text


def advice_on(classes: Sequence[OfClass]) -> list[str]:
    """Lines on what a mean hides: classes of which no picture is right, or of which there was none, and a score that is
    no better than that of one answer for all."""
    never = [f"{short(one.name)} (0 of {one.pictures:,})" for one in classes if one.pictures and not one.right]
    none = [short(one.name) for one in classes if not one.pictures]
    lines = []
    if never:
        lines.append(f"NEVER RIGHT: {len(never):,} of {len(classes):,} classes: {some(never)}")
    if none:
        lines.append(f"NOT SEEN: {len(none):,} of {len(classes):,} classes, of which there was no validation picture "
                     f"or none that could be read: {some(none)}")
    every = sum(one.pictures for one in classes)
    commonest = max(classes, key=lambda one: one.pictures)
    right = sum(one.right for one in classes)
    if right <= commonest.pictures and right < every:
        lines.append(f"NOTHING LEARNED YET: top-1 is {right / every:.1%}, and who always says "
                     f"{short(commonest.name)}, the commonest class, is right for {commonest.pictures / every:.1%}: "
                     "try more epochs, another --lr, or see whether the labels belong to the pictures")
    return lines


def _write(path: Path, rows: list[tuple[object, ...]]) -> None:
    """Rows as CSV. A mark at its begin tells spreadsheets that it is UTF-8; names of other bytes stay as they are."""
    with path.open("w", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_wrong(predictions: Predictions, names: Sequence[str], samples: Sequence[tuple[object, int]],
                path: Path) -> None:
    """Every picture that was taken for another class, as CSV: its path, its class, what was said and with what
    probability, the most probable first. samples: (path, label) of the pictures, by their places.

    Where nothing could be said, as the probabilities were no numbers, these two are empty.
    """
    rows: list[tuple[object, ...]] = [("picture", "class", "said", "probability")]
    for place, label, said, probability in predictions.wrong().tolist():
        answer = (names[said], f"{probability:.4f}") if said >= 0 else ("", "")
        rows.append((samples[place][0], names[label], *answer))
    _write(path, rows)


def write_classes(classes: Sequence[OfClass], path: Path) -> None:
    """The whole table of the classes, as CSV: of each its pictures, how many are right, that as a share, what it was
    taken for most often, and how often. The share of a class without pictures is empty."""
    rows: list[tuple[object, ...]] = [("class", "pictures", "right", "share", "taken for", "times")]
    for one in classes:
        share = f"{one.share:.4f}" if one.pictures else ""
        rows.append((one.name, one.pictures, one.right, share, *(one.taken_for[0] if one.taken_for else ("", ""))))
    _write(path, rows)
