"""A run and its pictures: which are for what, those that changed or could not be read, and what a model takes some for.
"""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..data import BadPicture, DataError, Loader, central_crops, read_picture
from ..data.division import Division, in_both
from ..data.folder import validation_name
from ..data.images import VALIDATION, Images, changes, some
from ..data.sources import image_set, image_sets, validation_images
from ..engine.device import Device
from ..engine.mode import no_grad
from ..engine.tensor import Tensor
from ..nn.module import Module
from ..ops import cross_entropy
from .bars import picture_bar
from .interrupt import note, say

__all__ = ["ENOUGH", "balanced_loss", "balanced_weights", "check_classes", "first_pictures", "pictures_under",
           "predictions", "say_changes", "say_unreadable", "seen_by", "some_pictures", "warn_of_uneven"]

ENOUGH = 32  # pictures from which a recipe may learn what its layers will see
UNEVEN = 3  # times as many pictures as another class has, from which on weights are worth a word


def pictures_under(root: Path, share: float | None, seed: int, evaluates: bool, kept: Path | None,
                   val: Path | None = None, labels: Path | None = None
                   ) -> tuple[Images | None, Images, Division | None]:
    """The pictures for training, which are not needed to evaluate, and those for validation; and the division, where
    they are divided. share: to divide them. kept: where a run that goes on keeps its division. val, labels: see
    ``sources.image_sets``."""
    bar = picture_bar("reading headers", "B")
    if share:
        if kept is None and (root / "train").is_dir() and (name := validation_name(root)):
            raise DataError(f"{root} is divided already, into train and {name}: leave --split out")
        own, validation, division = divided(root, share, seed, kept)
        return None if evaluates else own, validation, division
    training, validation = ((None, validation_images(root, val, labels, bar)) if evaluates else
                            image_sets(root, val, labels, bar))
    if val or not root.is_dir():
        return training, validation, None
    others = [name for name in VALIDATION if name != validation.root.name and (root / name).is_dir()]
    if others or validation.root.name != "val":
        say(f"validation is on {validation.root}" + f", not on {' or '.join(others)}" * bool(others))
    return training, validation, None


def divided(root: Path, share: float, seed: int, kept: Path | None) -> tuple[Images, Images, Division]:
    """The training and the validation pictures of a folder of class folders, or of an archive, divided as the file
    ``kept`` says, or else anew; and lines on what is good to know of that."""
    folder = image_set(root, progress=picture_bar("reading headers", "B"))
    division = Division.read(kept) if kept else Division.of(folder, share, seed)
    training, validation = division.parts(folder)
    if kept:
        say(f"{root} is divided as {kept} says")
        return training, validation, division
    there = set(validation.labels.tolist())
    if lone := [name for label, name in enumerate(folder.classes) if label not in there]:
        say(f"classes of one picture, which is for training: {some(lone)}")
    if both := in_both(training, validation):
        names = some([folder.name(place) for place in both])
        say(f"{len(both)} validation pictures are for training too, byte for byte: {names}: scores are better for it")
    return training, validation, division


def first_pictures(loader: Loader, enough: int) -> np.ndarray:
    """The first batches, as one, until there are ``enough`` pictures in them, or all there are."""
    batches, count = [], 0
    for images, labels in loader.epoch(0):
        batches.append(images)
        count += len(labels)
        if count >= enough:
            break
    return np.concatenate(batches)


def balanced_weights(folder: Images) -> np.ndarray:
    """How much a picture of each class counts so that all classes count alike, (classes,): of N pictures,
    N / (classes · pictures of the class), as in scikit-learn, class_weight="balanced"."""
    counts = np.bincount(folder.labels, minlength=len(folder.classes))
    return (len(folder) / (len(folder.classes) * np.maximum(counts, 1))).astype(np.float32)


def balanced_loss(folder: Images, device: Device) -> Callable[..., Tensor]:
    """``cross_entropy`` with the balanced weights of a folder's classes, for logits that live on the device; and a line
    that says how much these are."""
    weights = balanced_weights(folder)
    least, most = weights.argmin(), weights.argmax()
    say(f"in the training loss a picture counts from {weights[least]:.3g} ({folder.classes[least]}) to "
        f"{weights[most]:.3g} ({folder.classes[most]}); in scores and the validation loss all count alike")
    return functools.partial(cross_entropy, weight=Tensor(weights, device=device))


def warn_of_uneven(folder: Images) -> None:
    """A line where a class has more than ``UNEVEN`` times as many pictures as another."""
    counts = np.bincount(folder.labels, minlength=len(folder.classes))
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[most] > UNEVEN * counts[least]:
        note(f"the classes are uneven: {folder.classes[most]} has {counts[most]:,} training pictures, "
             f"{folder.classes[least]} {counts[least]:,}: rare classes are learned last; --class-weights balanced lets "
             "all classes count alike")


def check_classes(known: list[str], classes: list[str]) -> None:
    """Raises DataError where the classes of a checkpoint, ``known``, are not those of the folder."""
    known = [unicodedata.normalize("NFC", name) for name in known]
    if known != classes:
        lone = (", ".join(sorted(set(a) - set(b))[:5]) or "none" for a, b in ((known, classes), (classes, known)))
        raise DataError("the checkpoint knows {} classes, the folder has {}: only in the checkpoint: {}; only in the "
                        "folder: {}: give the data it was trained on".format(len(known), len(classes), *lone))


def seen_by(folder: Images | None) -> str:
    """The pictures of a folder in a word, which is another where a name, a size or a class is."""
    if folder is None:
        return "none"
    digest = hashlib.sha256(folder.listing()[:, :2].tobytes())
    digest.update(folder.labels.tobytes())
    digest.update("\0".join(folder.classes).encode("utf-8", "surrogateescape"))
    return f"{len(folder):,} of {len(folder.classes):,} classes ({digest.hexdigest()[:12]})"


def say_changes(then: dict[str, np.ndarray], now: dict[str, np.ndarray], same_root: bool) -> tuple[bool, bool]:
    """A line for the training and the validation pictures if they changed. Returns (whether an epoch has another order,
    whether the validation pictures changed).

    then, now: listings (see data/images.py) as pictures.training and pictures.validation. same_root: of one folder.
    """
    order = validation = False
    for part in ("training", "validation"):
        before, after = then.get(f"pictures.{part}"), now[f"pictures.{part}"]
        if before is None:  # an older checkpoint
            continue
        if found := changes(before, after, same_root):
            say(f"the {part} pictures changed since the checkpoint: {found}")
        if part == "training":
            order = not np.array_equal(before[:, 0], after[:, 0])
        else:
            validation = bool(found)
    return order, validation


def say_unreadable(*loaders: Any) -> None:
    """Name the pictures that could not be read."""
    bad = {path: reason for loader in loaders for path, reason in loader.bad.items()}
    for path, reason in sorted(bad.items()):
        note(f"skipped {path}: {reason}")
    if bad:
        note(f"{len(bad)} pictures could not be read and were left out")


def some_pictures(loader: Loader, count: int) -> tuple[list[np.ndarray], list[int]]:
    """(pictures, labels) of ``count`` pictures from all over the loader's folder, or of fewer where some cannot be
    read."""
    samples, bad = loader.folder.samples, loader.bad
    good = [i for i in range(len(samples)) if not bad or str(samples[i][0]) not in bad]
    pictures, labels = [], []
    for path, label in (samples[good[i]] for i in np.linspace(0, len(good) - 1, count).astype(int)):
        with suppress(BadPicture):  # it could be read a moment ago
            pictures.append(read_picture(path))
            labels.append(label)
    return pictures, labels


def predictions(model: Module, loader: Loader, count: int = 8) -> tuple[list[np.ndarray], list[int], np.ndarray]:
    """(pictures, labels, probabilities (N, classes)) of ``some_pictures``, as they are looked at in validation. The
    model is in eval mode after it."""
    pictures, labels = some_pictures(loader, count)
    if not pictures:
        return [], [], np.empty((0, len(loader.folder.classes)))
    views = central_crops(pictures, loader.statistics, loader.scale, loader.crop)
    model.eval()
    with no_grad():
        return pictures, labels, model(views).softmax().numpy()
