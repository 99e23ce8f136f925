"""Time what comes before a training step: a picture read, decoded, cut, mirrored, its colours varied. The same pictures
lie in a folder, in a tar, in a pack of JPEGs and in a raw pack; beside them other programs.

    python benchmarks/pictures.py FOLDER                   # any folder of pictures, however deep
    python benchmarks/pictures.py FOLDER --json result.json
    pip install torchvision webdataset                     # two more rivals, where they are installed

All work on one core, in turns, in processes of their own, on batches of 32. Beside minicnn: Pillow and NumPy alone,
torchvision's transforms, and WebDataset's reader of a tar before those of Pillow and NumPy; all decode in full size,
where minicnn decodes a JPEG at 1/2, 1/4 or 1/8 if that still leaves 256 pixels; --whole shows what that is worth. Then
the whole loader, with its workers, and which share of all cores' work that is.
"""

from __future__ import annotations

import functools
import importlib
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin
from turns import processor, take_turns, use, write

from minicnn.command_line import Parser, location, new_file, number
from minicnn.data.picture import SIDE, picture_suffixes
from minicnn.kernels.machine import usable_cores

BATCH = 32
CROP = 224
MEAN = np.full(3, 117.0, np.float32)
SIGMA = np.array([65.0, 20.0, 10.0], np.float32)  # of the colours of photographs, about
AXES = np.linalg.qr(np.ones((3, 3)) + np.eye(3))[0].astype(np.float32)
LIES = {"folder": "folder", "tar": "set.tar", "packed JPEG": "jpeg.zip", "packed raw": "raw.zip"}


def lay(files: list[Path], at: Path) -> None:
    """The same pictures in all of LIES, as two classes."""
    from minicnn.data import ImageFolder
    from minicnn.data.pack import pack

    with tarfile.open(at / "set.tar", "w", dereference=True) as tar:
        for i, path in enumerate(files):
            name = f"{i % 2}/{i:06d}{path.suffix.lower()}"
            link = at / "folder" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())
            tar.add(link, name)
    pack({"": ImageFolder(at / "folder")}, at / "jpeg.zip")
    pack({"": ImageFolder(at / "folder")}, at / "raw.zip", quality=None)


# -- rivals ------------------------------------------------------------------------------------------------------------


def of_minicnn(lies: Path, whole: bool = False) -> Callable[[Any], float]:
    from minicnn.data.augment import draw, views
    from minicnn.data.picture import read_picture
    from minicnn.data.sources import image_set

    use(1)
    if whole:
        JpegImagePlugin.JpegImageFile.draft = lambda self, mode, size: None
    random = np.random.default_rng(0)
    mean = np.ascontiguousarray(np.broadcast_to(MEAN[:, None, None], (3, SIDE, SIDE)))

    def batch(some: list[Any]) -> np.ndarray:
        pictures = np.array([read_picture(place) for place in some])
        places, noise = zip(*(draw(SIGMA, AXES, random) for _ in some), strict=True)
        return views(pictures, np.array(places).T.copy(), np.array(noise).T.copy(), mean)

    return functools.partial(epoch, batch, [place for place, _ in image_set(lies).samples])


def of_loader(lies: Path, workers: int, times: int) -> Callable[[Any], float]:
    """An epoch of all pictures so many times, in seconds for each time."""
    from minicnn.data import Loader, Statistics
    from minicnn.data.sources import image_set

    use(1)
    images = image_set(lies)
    images.samples = list(images.samples) * times
    mean = np.ascontiguousarray(np.broadcast_to(MEAN[:, None, None], (3, SIDE, SIDE)))
    loader = Loader(images, Statistics(mean, SIGMA, AXES, {}), BATCH, train=True, workers=workers)

    def turn(asked: Any) -> float:
        start = time.perf_counter()
        for _ in loader.epoch(asked):
            pass
        return (time.perf_counter() - start) / times

    return turn


def of_pillow(lies: Path) -> Callable[[Any], float]:
    vary = varied_by_pillow(np.random.default_rng(0))

    def one(path: Path) -> np.ndarray:
        with Image.open(path) as file:
            return vary(file)

    return functools.partial(epoch, lambda some: np.stack([one(path) for path in some]), files_in(lies))


def of_torchvision(lies: Path) -> Callable[[Any], float]:
    import torch
    from torchvision.transforms import v2

    use(1)
    torch.set_num_threads(1)
    axes, sigma = torch.from_numpy(AXES), torch.from_numpy(SIGMA)
    steps = v2.Compose([
        v2.Resize(SIDE, v2.InterpolationMode.BICUBIC), v2.CenterCrop(SIDE), v2.RandomCrop(CROP),
        v2.RandomHorizontalFlip(), v2.PILToTensor(), v2.ToDtype(torch.float32),
        lambda image: image.add_((axes @ (0.1 * torch.randn(3) * sigma))[:, None, None]),
        v2.Normalize(MEAN.tolist(), [1.0, 1.0, 1.0], inplace=True)])  # fmt: skip

    def one(path: Path) -> torch.Tensor:
        with Image.open(path) as file:
            return steps(file.convert("RGB"))

    return functools.partial(epoch, lambda some: torch.stack([one(path) for path in some]), files_in(lies))


def of_webdataset(lies: Path) -> Callable[[Any], float]:
    import webdataset

    use(1)
    vary = varied_by_pillow(np.random.default_rng(0))
    kinds = ";".join(suffix[1:] for suffix in picture_suffixes())

    def turn(asked: Any) -> float:
        start = time.perf_counter()
        pictures = webdataset.WebDataset(str(lies), shardshuffle=False).decode("pil").to_tuple(kinds).map_tuple(vary)
        for _ in pictures.batched(BATCH):
            pass
        return time.perf_counter() - start

    return turn


def varied_by_pillow(random: np.random.Generator) -> Callable[[Image.Image], np.ndarray]:
    """Resize(256), CenterCrop(256), RandomCrop(224), RandomHorizontalFlip, floats, colour noise, Normalize."""

    def vary(image: Image.Image) -> np.ndarray:
        image = image.convert("RGB")
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

    return vary


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in picture_suffixes())


def epoch(batch: Callable[[list[Any]], Any], places: list[Any], turn: Any) -> float:
    """Seconds for all pictures."""
    start = time.perf_counter()
    for first in range(0, len(places), BATCH):
        batch(places[first : first + BATCH])
    return time.perf_counter() - start


# -- the run -----------------------------------------------------------------------------------------------------------


def main() -> None:
    positive = number(int, 1)
    parser = Parser(description=__doc__.partition(".")[0])
    parser.add_argument("folder", type=location, metavar="FOLDER")
    parser.add_argument("--most", type=positive, default=256, metavar="N", help="so many pictures (default: 256)")
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="turns that count (default: 5)")
    parser.add_argument("--workers", type=positive, default=usable_cores(), metavar="N",
                        help="of the whole loader (default: one for each core)")  # fmt: skip
    parser.add_argument("--whole", action="store_true", help="minicnn once more, decoding every JPEG in its full size")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all figures there")
    asked = parser.parse_args()
    if not asked.folder.is_dir():
        parser.error(f"FOLDER: there is no folder {asked.folder}")
    files = files_in(asked.folder)[: asked.most]
    if len(files) < 2:
        parser.error(f"FOLDER: expected two pictures or more, found {len(files)} in {asked.folder}")
    sizes = []
    for path in files:
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
        except OSError as error:
            parser.error(f"FOLDER: {path} cannot be read ({error}): take it away")

    with tempfile.TemporaryDirectory() as at:
        os.environ["XDG_CACHE_HOME"] = at  # of the indexes
        lay(files, Path(at))
        turns = take_turns(rivals(Path(at), asked), range(1 + asked.repeat))
        held = {name: (Path(at) / file).stat().st_size for name, file in LIES.items() if name != "folder"}
    side = statistics.median(min(size) for size in sizes)
    print(f"{processor()}. {len(files)} pictures, {side:.0f} pixels along the short side (median), median of "
          f"{asked.repeat} turns (least – most):\n")  # fmt: skip
    print("one core                 pictures/s                ms/picture  ratio")
    results: dict[str, list[float]] = {}
    for rival, seconds in turns.items():
        results[rival] = speeds = [len(files) / s for s in seconds[1:]]  # the first compiles
        middle = statistics.median(speeds)
        ours = statistics.median(results["minicnn, folder"])
        last = f"{ours / middle:8.2f}" if rival != "minicnn, folder" else ""
        if rival.startswith("loader"):
            if rival == "loader, folder":
                print(f"\n{asked.workers} workers, {usable_cores()} cores" + " " * 48 + "share of all cores")
            one = statistics.median(results[rival.replace("loader", "minicnn")])
            last = f"{100 * middle / (usable_cores() * one):6.0f} %"
        spread = f"{middle:.1f} ({min(speeds):.1f} – {max(speeds):.1f})"
        print(f"{rival:23}  {spread:25} {1e3 / middle:9.2f}{last}")
    print("\nbytes a picture: " + ", ".join(f"{name} {size / len(files):,.0f}" for name, size in held.items()))
    write(asked.json, ["numpy", "numba", "pillow"], machine=processor(), pictures=len(files), short_side=side,
          workers=asked.workers, bytes=held, pictures_per_s=results)


def rivals(at: Path, asked: Any) -> dict[str, Any]:
    """What takes turns. What cannot be imported is named."""
    found: dict[str, Any] = {f"minicnn, {name}": functools.partial(of_minicnn, at / file)
                             for name, file in LIES.items()}  # fmt: skip
    if asked.whole:
        found["minicnn, whole"] = functools.partial(of_minicnn, at / "folder", whole=True)
    found["Pillow, folder"] = functools.partial(of_pillow, at / "folder")
    for package, of, file in (("torchvision", of_torchvision, "folder"), ("webdataset", of_webdataset, "set.tar")):
        try:
            importlib.import_module(package)
        except Exception as error:  # one for another torch is nearly anything
            print(f"{package} cannot be imported ({error}): pip install {package}\n")
        else:
            found[f"{package}, {Path(file).suffix[1:] or file}"] = functools.partial(of, at / file)
    for name, file in LIES.items():
        times = 16 if name == "packed raw" else 4
        found[f"loader, {name}"] = functools.partial(of_loader, at / file, asked.workers, times)
    return found


if __name__ == "__main__":
    main()
