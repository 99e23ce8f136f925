"""What the tests of minicnn.data share: small folders of generated pictures."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from minicnn.data import ImageFolder


def make_folder(root: Path, count: int = 6, classes: tuple[str, ...] = ("cat", "dog")) -> ImageFolder:
    """A folder of random PNG pictures, `count` a class, each 256 × 256 so that reading changes no pixel."""
    rng = np.random.default_rng(7)
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(count):
            coarse = rng.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
            Image.fromarray(coarse.repeat(32, axis=0).repeat(32, axis=1)).save(root / name / f"{number}.png")
    return ImageFolder(root)
