"""Time what comes before a training step: a JPEG file decoded, cut, mirrored, its colours varied. Beside it the same in
Pillow and NumPy alone, as torchvision's transforms do it.

    python benchmarks/pictures.py FOLDER                   # any folder of pictures, however deep
    python benchmarks/pictures.py FOLDER --json result.json

Both work on one core, in turns, in processes of their own, on batches of 32. minicnn decodes a JPEG at 1/2, 1/4 or 1/8
of its size where that still leaves 256 pixels; --whole shows what that is worth.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin
from turns import processor, take_turns, use, write

from minicnn.command_line import Parser, location, new_file, number
from minicnn.data.picture import SIDE, picture_suffixes

BATCH = 32
CROP = 224
MEAN = np.full(3, 117.0, np.float32)
SIGMA = np.array([65.0, 20.0, 10.0], np.float32)  # of the colours of photographs, about
AXES = np.linalg.qr(np.ones((3, 3)) + np.eye(3))[0].astype(np.float32)


def of_minicnn(files: list[Path], whole: bool = False) -> Callable[[Any], float]:
    from minicnn.data.augment import draw, views
    from minicnn.data.picture import read_picture

    use(1)
    if whole:
        JpegImagePlugin.JpegImageFile.draft = lambda self, mode, size: None
    random = np.random.default_rng(0)
    mean = np.ascontiguousarray(np.broadcast_to(MEAN[:, None, None], (3, SIDE, SIDE)))

    def batch(some: list[Path]) -> np.ndarray:
        pictures = np.array([read_picture(path) for path in some])
        places, noise = zip(*(draw(SIGMA, AXES, random) for _ in some), strict=True)
        return views(pictures, np.array(places).T.copy(), np.array(noise).T.copy(), mean)

    return functools.partial(epoch, batch, files)


def of_pillow(files: list[Path]) -> Callable[[Any], float]:
    """Resize(256), CenterCrop(256), RandomCrop(224), RandomHorizontalFlip, floats, colour noise, Normalize, stack."""
    random = np.random.default_rng(0)

    def one(path: Path) -> np.ndarray:
        with Image.open(path) as file:
            image = file.convert("RGB")
        ratio = SIDE / min(image.size)
        image = image.resize((round(image.width * ratio), round(image.height * ratio)), Image.Resampling.BICUBIC)
        left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
        image = image.crop((left, top, left + SIDE, top + SIDE))
        left, top = random.integers(0, SIDE - CROP, size=2, endpoint=True)
        image = image.crop((left, top, left + CROP, top + CROP))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        floats = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32)
        noise = AXES @ (random.normal(0, 0.1, size=3) * SIGMA).astype(np.float32)
        floats += noise[:, None, None]
        floats -= MEAN[:, None, None]
        return floats

    return functools.partial(epoch, lambda some: np.stack([one(path) for path in some]), files)


def epoch(batch: Callable[[list[Path]], np.ndarray], files: list[Path], turn: Any) -> float:
    """Seconds for all files."""
    start = time.perf_counter()
    for first in range(0, len(files), BATCH):
        batch(files[first : first + BATCH])
    return time.perf_counter() - start


def main() -> None:
    positive = number(int, 1)
    parser = Parser(description=__doc__.partition(".")[0])
    parser.add_argument("folder", type=location, metavar="FOLDER")
    parser.add_argument("--most", type=positive, default=256, metavar="N", help="so many pictures (default: 256)")
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="turns that count (default: 5)")
    parser.add_argument("--whole", action="store_true", help="minicnn once more, decoding every JPEG in its full size")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    asked = parser.parse_args()
    if not asked.folder.is_dir():
        parser.error(f"FOLDER: there is no folder {asked.folder}")
    files = sorted(p for p in asked.folder.rglob("*") if p.suffix.lower() in picture_suffixes())[: asked.most]
    if not files:
        parser.error(f"FOLDER: there is no picture in {asked.folder}")
    sizes = []
    for path in files:
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
        except OSError as error:
            parser.error(f"FOLDER: {path} cannot be read ({error}): take it away")

    rivals: dict[str, Any] = {name: functools.partial(of, files)
                              for name, of in (("minicnn", of_minicnn), ("Pillow", of_pillow))}
    if asked.whole:
        rivals["minicnn, whole"] = functools.partial(of_minicnn, files, whole=True)
    turns = take_turns(rivals, range(1 + asked.repeat))
    side = statistics.median(min(size) for size in sizes)
    print(f"{processor()}, one core. {len(files)} pictures, {side:.0f} pixels along the short side (median), median of "
          f"{asked.repeat} turns (least – most):\n")
    print("rival           pictures/s                ms/picture  ratio")
    results = []
    for rival, seconds in turns.items():
        speeds = [len(files) / s for s in seconds[1:]]  # the first compiles
        middle = statistics.median(speeds)
        results.append({"rival": rival, "pictures_per_s": speeds})
        ours = statistics.median(results[0]["pictures_per_s"])
        ratio = f"{ours / middle:.2f}" if rival != "minicnn" else ""
        spread = f"{middle:.1f} ({min(speeds):.1f} – {max(speeds):.1f})"
        print(f"{rival:14}  {spread:25} {1e3 / middle:10.2f}  {ratio:>5}")
    write(asked.json, ["numpy", "numba", "pillow"], machine=processor(), pictures=len(files), short_side=side,
          results=results)


if __name__ == "__main__":
    main()
