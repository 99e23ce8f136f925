"""The built-in set: pictures of ten patterns, drawn on the spot, for whoever has no data at hand.

The classes differ in form and texture alone. Everything else is drawn at random for every picture: size, place and
direction of the pattern, its two colours and which of them is the lighter, shading, noise, height, width and the
quality of the JPEG.
"""

from __future__ import annotations

import atexit
import hashlib
import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..files import remove
from .cache import cache_folder, cached
from .images import DataError
from .workers import Workers

__all__ = ["DIGEST", "PATTERNS", "VERSION", "built_in_set", "draw_pattern"]

VERSION = 3  # to be changed with anything that changes a pixel
CHUNK = 50  # pictures a task
DIGEST = "digest.txt"  # beside train/ and val/: what they held when they were drawn

Field = NDArray[np.floating[Any]]


def _cell(x: Field) -> Field:
    """The distance to the nearest integer, with its sign: -½ to ½."""
    return x - np.round(x)


def _stripes(u: Field, v: Field) -> Field:
    return 0.25 - np.abs(_cell(u))


def _checkerboard(u: Field, v: Field) -> Field:
    a, b = 0.25 - np.abs(_cell(u)), 0.25 - np.abs(_cell(v))
    return np.copysign(np.minimum(np.abs(a), np.abs(b)), a * b)


def _dots(u: Field, v: Field) -> Field:
    return 0.32 - np.hypot(_cell(u), _cell(v))


def _rings(u: Field, v: Field) -> Field:
    return 0.08 - np.abs(np.hypot(_cell(u), _cell(v)) - 0.36)


def _honeycomb(u: Field, v: Field) -> Field:
    # The cells lie around the points of two lattices of 1 by √3, one shifted by half of both.
    a, b = np.abs(_cell(u)), math.sqrt(3) * np.abs(_cell(v / math.sqrt(3)))
    c, d = 0.5 - a, math.sqrt(3) / 2 - b
    edge = [0.5 - np.maximum(x, x / 2 + y * math.sqrt(3) / 2) for x, y in ((a, b), (c, d))]
    return np.maximum(*edge) - 0.06


def _crosses(u: Field, v: Field) -> Field:
    a, b = np.abs(_cell(u)), np.abs(_cell(v))
    return np.minimum(0.11 - np.minimum(a, b), 0.42 - np.maximum(a, b))


def _bricks(u: Field, v: Field) -> Field:
    row = np.round(2 * v)
    return np.minimum(0.5 - np.abs(_cell(u + row / 2)), 0.25 - np.abs(v - row / 2)) - 0.045


def _rays(u: Field, v: Field) -> Field:
    return math.pi / 6 * np.hypot(u, v) * (0.25 - np.abs(_cell(np.arctan2(v, u) * 6 / math.pi)))


def _waves(u: Field, v: Field) -> Field:
    return 0.7 * (0.25 - np.abs(_cell(v + 0.35 * np.sin(4 * u))))


def _spiral(u: Field, v: Field) -> Field:
    return 0.25 - np.abs(_cell(np.hypot(u, v) - np.arctan2(v, u) / (2 * np.pi)))


# Each is given coordinates in periods of the pattern and returns the distance to its edge, positive inside.
PATTERNS: dict[str, Callable[[Field, Field], Field]] = {
    "bricks": _bricks, "checkerboard": _checkerboard, "crosses": _crosses, "dots": _dots, "honeycomb": _honeycomb,
    "rays": _rays, "rings": _rings, "spiral": _spiral, "stripes": _stripes, "waves": _waves,
}


def draw_pattern(name: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random picture of a pattern: RGB bytes (H, W, 3), the short side 160 to 340, the long up to 1.6 times that."""
    short = int(rng.integers(160, 341))
    height, width = short, int(short * rng.uniform(1, 1.6))
    if rng.random() < 0.5:
        height, width = width, height
    period = short * rng.uniform(0.14, 0.24)  # pixels
    y = np.arange(height, dtype=np.float32)[:, None] / period - height / period / 2 + rng.uniform(-0.5, 0.5)
    x = np.arange(width, dtype=np.float32)[None, :] / period - width / period / 2 + rng.uniform(-0.5, 0.5)
    angle = rng.uniform(-0.3, 0.3)  # radians
    distance = PATTERNS[name](math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x)
    inside = np.clip(0.5 + distance * period, 0, 1)  # (H, W): from 0 to 1 over one pixel
    back, front = _two_colours(rng)
    slope_y, slope_x = rng.uniform(-0.06, 0.06, size=2).tolist()
    shading = np.clip(1 + slope_y * y + slope_x * x, 0.6, 1.4)
    noise = rng.uniform(2, 12) * rng.standard_normal((height, width), np.float32)
    picture = (back + inside * (front - back)) * shading + noise  # (3, H, W)
    return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _two_colours(rng: np.random.Generator) -> tuple[Field, Field]:
    """Two colours (3, 1, 1) whose brightnesses differ by at least 100 of 255."""
    while True:
        back, front = rng.uniform(0, 255, size=(2, 3, 1, 1)).astype(np.float32)
        if abs(np.mean(back) - np.mean(front)) >= 100:
            return back, front


def built_in_set(cache: Path | None = None, *, seed: int = 0, train: int = 2500, val: int = 500, workers: int = 0,
                 progress: Callable[[int, int], object] | None = None) -> Path:
    """A folder train/<pattern>/*.jpg, val/<pattern>/*.jpg of ``train`` and ``val`` pictures, drawn unless it is there.

    Every picture depends on the seed and on its own place alone. A set of which anything is missing or was changed is
    drawn anew.
    cache: where to keep the folder; without it, the cache folder of minicnn, or where that cannot be written a
        temporary folder that is deleted when the program ends.
    progress: called as progress(pictures done, pictures in all).
    Raises DataError where the folder cannot be written.
    """
    name = f"shapes-{VERSION}-seed{seed}-{train}-{val}"
    try:
        root = (cache or cache_folder()) / name
        return _drawn(root, seed, train, val, workers, progress)
    except OSError as error:
        if cache:
            raise _not_here(root, error) from error
    try:
        root = Path(tempfile.mkdtemp(prefix="minicnn-")) / name
        atexit.register(shutil.rmtree, root.parent, ignore_errors=True)
        return _drawn(root, seed, train, val, workers, progress)
    except OSError as error:
        raise _not_here(Path(tempfile.tempdir or "") / name, error) from error


def _not_here(root: Path, error: OSError) -> DataError:
    return DataError(f"{root}: the built-in set cannot be written here: {error.strerror or error}; set "
                     f"XDG_CACHE_HOME to a folder that can be written, or give a folder of your own pictures")


def _drawn(root: Path, seed: int, train: int, val: int, workers: int,
           progress: Callable[[int, int], object] | None) -> Path:
    """The folder ``root`` with the whole set in it. Raises OSError where it cannot be written."""
    if _is_whole(root):
        return root
    try:
        with cached(root) as aside, Workers(workers) as pool:
            remove(root)  # what is damaged
            places = [(split, number) for split, count in (("train", train), ("val", val)) for number in range(count)]
            for split in ("train", "val"):
                for name in PATTERNS:
                    (aside / split / name).mkdir(parents=True)
            tasks = ((aside, seed, places[first:first + CHUNK]) for first in range(0, len(places), CHUNK))
            for done, _ in enumerate(pool.starmap(_write, tasks), 1):
                if progress:
                    progress(min(done * CHUNK, len(places)), len(places))
            (aside / DIGEST).write_text(_digest(aside), encoding="ascii")
    except OSError:
        if not _is_whole(root):  # else another process was faster
            raise
    return root


def _digest(root: Path) -> str:
    """A hash of all files in train/ and val/: their names and what is in them."""
    digest = hashlib.sha256()
    for path in sorted(path for split in ("train", "val") for path in (root / split).rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _is_whole(root: Path) -> bool:
    """Whether every picture is as it was drawn: to read them all takes a fifth of a second."""
    try:
        return (root / DIGEST).read_text(encoding="ascii") == _digest(root)
    except (OSError, ValueError):
        return False


def _write(root: Path, seed: int, places: list[tuple[str, int]]) -> None:
    for split, number in places:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(("train", "val").index(split), number)))
        name = list(PATTERNS)[number % len(PATTERNS)]
        image = Image.fromarray(draw_pattern(name, rng))
        if rng.random() < 0.05:
            image = image.convert("L")
        image.save(root / split / name / f"{number:05d}.jpg", quality=int(rng.integers(60, 96)))
