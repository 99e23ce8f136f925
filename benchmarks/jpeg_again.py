"""What being kept as JPEG costs small pictures: squeeze them once more, train on that, compare.

    python benchmarks/jpeg_again.py CIFAR-10 AGAIN        # CIFAR-10 as examples/train_cifar10.py takes it
    python examples/train_cifar10.py CIFAR-10 --net layers-80sec --seed 1
    python examples/train_cifar10.py AGAIN --net layers-80sec --seed 1

Where the pictures are JPEGs already, what their first compression cost cannot be measured without the originals; what
a second of the same quality costs can. Its blocks of 8 × 8 pixels begin 4 pixels further on than those of a JPEG as it
stands: on the same blocks a second compression would find little to take away. The result is kept as PNGs,
train/<class>/* and test/<class>/*.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from minicnn.command_line import Parser, location, number
from minicnn.data import DataError
from minicnn.data.cifar import cifar10

SHIFT = 4  # half a block; of 4:2:0, whose colours have blocks of 16, a quarter


def squeezed(image: np.ndarray, quality: int) -> np.ndarray:
    """image: (H, W, 3), bytes. What is left of it, of half the resolution in its colours (4:2:0)."""
    file = io.BytesIO()
    around = np.pad(image, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    Image.fromarray(around).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as again:
        return np.asarray(again)[SHIFT:-SHIFT, SHIFT:-SHIFT]


def again(data: Path, folder: Path, quality: int) -> None:
    sets = cifar10(data, lambda error: print(f"left out: {error}", file=sys.stderr))
    moved, pixels = 0.0, 0
    for name, part in zip(("train", "test"), sets, strict=True):
        for label in part.classes:
            (folder / name / label).mkdir(parents=True)
        for i, (image, label) in enumerate(zip(part.images.transpose(0, 2, 3, 1), part.labels, strict=True)):
            left = squeezed(image, quality)
            moved, pixels = moved + float(np.square(left.astype(float) - image).sum()), pixels + image.size
            Image.fromarray(left).save(folder / name / part.classes[label] / f"{i:05d}.png", compress_level=1)
    print(f"{sum(len(part.labels) for part in sets):,} pictures; a pixel moved by {(moved / pixels) ** 0.5:.1f} of 255 "
          f"(root of the mean square)")


def main() -> None:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=location, help="as examples/train_cifar10.py takes it")
    parser.add_argument("folder", type=location, help="where the squeezed pictures go; a new one")
    parser.add_argument("--quality", type=number(int, 1, 95), default=75, help="of the JPEGs (default: 75)")
    asked = parser.parse_args()
    if asked.folder.exists():
        parser.error(f"{asked.folder} is there already: name a new folder")
    try:
        again(asked.data, asked.folder, asked.quality)
    except KeyboardInterrupt:
        sys.exit(130)
    except (DataError, OSError) as error:
        sys.exit(f"jpeg_again: {error}")


if __name__ == "__main__":
    main()
