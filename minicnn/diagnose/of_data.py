"""What is wrong with pictures and labels, whatever the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .cause import Cause
from .examine import Measured
from .pictures import Pixels

__all__ = ["OF_DATA", "independent"]

ALIKE = 0.02  # of the deviation inside of pictures: what tells them apart is less
LEAN = 0.35  # of ln(classes that have pictures): the labels' own entropy is less
BY_CHANCE = 1e-3  # how probable it may be that labels drawn at random are all the same
DARK = 8  # of 255
FEW = 8  # different pictures: one batch that is shown again and again has more


def no_numbers(m: Measured) -> Iterator[Cause]:
    if not np.isfinite([m.pixels.least, m.pixels.greatest, m.pixels.mean]).all():
        yield Cause("pixels are no numbers", f"the inputs go from {m.pixels.least:g} to {m.pixels.greatest:g}",
                    "mend what makes them: a division by a deviation of 0, say")


def alike(m: Measured) -> Iterator[Cause]:
    """The pictures themselves, or, where these are not known, what the network sees of them."""
    for pixels, what in ((m.raw, "pictures"), (m.pixels, "inputs")):
        if pixels and (cause := _alike(pixels, what)):
            yield cause
            return


def _alike(p: Pixels, what: str) -> Cause | None:
    if p.least == p.greatest:
        dark = "the pictures are black" if p.least == 0 else "nothing is in them"
        return Cause("pixels are all the same", f"every pixel of {p.count} {what} is {p.least + 0.0:g}: {dark}",
                     "look at the files, and at what is done to them before they come")
    if what == "pictures" and p.greatest <= DARK:
        return Cause("pictures are nearly black", f"the pixels of {p.count} {what} go from {p.least:g} to "
                     f"{p.greatest:g} of 255", "pixels of 0 to 1 were written as bytes: times 255 first")
    if p.count > 3 and (p.different <= min(FEW, max(1, p.count // 20)) or p.apart < ALIKE * p.deviation):
        return Cause("pictures are all alike", f"of {p.count} {what} {p.different} are different; what tells them "
                     f"apart is {p.apart:.3g}, where pixels have a deviation of {p.deviation:.3g}",
                     "look at the files: the same picture was written many times, or read from the same place")
    return None


def one_label(m: Measured) -> Iterator[Cause]:
    counts = np.sort(m.labels.counts)[::-1]
    total, there = int(counts.sum()), int((counts > 0).sum())
    if there == 1:
        if m.classes ** (1.0 - total) < BY_CHANCE:
            of = "" if m.labels.known else " of these batches"
            shuffle = "" if m.labels.known else "shuffle them if there are others, or "
            yield Cause("there is one label", f"all {total:,} labels{of} are {m.names[m.labels.counts.argmax()]}, of "
                        f"{m.classes} classes", f"{shuffle}see how labels are made: from the folder, or the column, "
                        "that tells pictures apart")
    elif m.labels.knows < LEAN * np.log(there) and not m.learned:
        weigh = "" if m.asked.weighs else "--class-weights balanced (cross_entropy(weight=)), or "
        yield Cause(f"{'one class has' if counts[0] > 0.5 * total else 'few classes have'} nearly all pictures",
                    f"class {m.names[m.labels.counts.argmax()]} has {counts[0]:,} of {total:,}, {there} of {m.classes} "
                    f"classes have any: who says always that pays {m.labels.knows:.3f}, where ln({there}) is "
                    f"{np.log(there):.3f}", f"{weigh}more pictures of the others")


def ordered(m: Measured) -> Iterator[Cause]:
    held, expected = m.labels.batches
    if m.labels.surprise > 10 and held < 0.7 * expected:
        hold, it = ("a batch holds", "it") if m.labels.joined == 1 else (f"{m.labels.joined} in a row hold", "they")
        yield Cause("order is not shuffled", f"{hold} {held:.1f} classes on average, in random order {it} would hold "
                    f"{expected:.1f}", "--shuffle-block 0, or ArrayLoader(train=True): let each batch hold pictures of "
                    "all classes")


def conflicting(m: Measured) -> Iterator[Cause]:
    p = m.raw or m.pixels
    if p.conflicts > 0.1 * p.count and p.conflicts > 3 and p.different > 1:
        yield Cause("one picture has several labels", f"of {p.count} pictures {p.conflicts} are there under another "
                    "label too, byte for byte", "let each picture be in one class")


def independent(m: Measured, share: float = 0.2) -> Iterator[Cause]:
    """A linear classifier on colours and edges finds nothing, and neither does the network in pictures that it has not
    seen. share: see ``Probe.could_tell``."""
    p = m.probe
    if p is None or not p.could_tell(share) or p.surprise > 3 or any(alike(m)):
        return
    if m.validation is not None:
        labels, said = m.validation
        by_chance = sum(float((labels == k).mean() * (said == k).mean()) for k in range(m.classes))
        spread = np.sqrt(by_chance * (1 - by_chance) / len(labels))
        if (labels == said).mean() > by_chance + 4 * spread:
            return
    elif m.learned and not m.of_images:
        return  # in rows of numbers there may be what no probe sees
    yield Cause("labels do not follow the pictures", f"a linear classifier on colours and edges is right for {p.right} "
                f"of {p.count} pictures that it was not shown, shuffled labels give {p.by_chance:.0f} ± {p.spread:.0f}",
                "see how pictures and labels come together: they were shuffled one without the other, or sorted in two "
                "ways")


def exchanged(m: Measured) -> Iterator[Cause]:
    """Classes that other pictures than those trained on have in another order: pictures of one are called another, and
    that is no mutual likeness, since hardly any is called what it is. A class that the probe was not taught is
    called one that is there by its right name."""
    by_network = m.validation is not None and m.learned
    answers = m.validation if by_network else m.by_probe
    if answers is None or any(independent(m)):
        return
    labels, said = answers
    found = np.zeros((m.classes, m.classes), np.int64)
    np.add.at(found, (labels, said), 1)
    there = found.sum(1) > 0
    other = found.argmax(1)
    hits, count, called = found.max(1), found.sum(1), found.sum(0) / len(labels)
    by_chance = count * called[other]
    moved = [k for k in np.flatnonzero(there) if other[k] != k and hits[k] > 3 * found[k, k]
             and hits[k] > by_chance[k] + 4 * np.sqrt(by_chance[k] + 1)]
    most = by_network and 2 * len(moved) > there.sum()  # then a class may also be called one of which none was shown
    moved = [k for k in moved if other[k] in {*moved} or (most and not there[other[k]])]
    targets = {int(other[k]) for k in moved}
    if len(moved) >= 2 and len(targets) == len(moved):
        named = ", ".join(f"{m.names[k]} are called {m.names[other[k]]} ({hits[k]} of {count[k]})"
                          for k in moved[:4])
        yield Cause("classes of training and validation differ", f"validation pictures of {named}: {len(moved)} "
                    f"classes have another's pictures, {int(np.trace(found))} of {len(labels)} are right", "let both "
                    "have the same classes in the same order: the names of the folders, or the lines of --labels")


def others_independent(m: Measured) -> Iterator[Cause]:
    """Pictures for training tell their labels, those for validation do not."""
    if m.by_probe is None or m.probe is None or m.probe.surprise < 6 or any(exchanged(m)):
        return
    labels, said = m.by_probe
    right = int((labels == said).sum())
    by_chance = sum(float((labels == k).mean() * (said == k).sum()) for k in range(m.classes))
    spread = max(np.sqrt(by_chance * (1 - by_chance / len(labels))), 1.0)
    expected = m.probe.right / m.probe.count * len(labels)
    if right < by_chance + 2 * spread and expected > by_chance + 6 * spread:
        yield Cause("labels of validation do not follow the pictures", f"what a linear classifier learns of colours "
                    f"and edges in training is right for {m.probe.right} of {m.probe.count} there, and for {right} of "
                    f"{len(labels)} of validation, by chance {by_chance:.0f} ± {spread:.0f}", "see how pictures and "
                    "labels of validation come together, and whether the pictures are those that are meant")


OF_DATA: list[Callable[[Measured], Iterator[Cause]]] = [no_numbers, alike, one_label, ordered, conflicting, independent,
                                                        exchanged, others_independent]
