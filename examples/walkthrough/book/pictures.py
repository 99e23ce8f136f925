"""Pictures inside a page, in fewer bytes."""

from __future__ import annotations

import base64
import io
from functools import cache

import numpy as np
from PIL import Image, ImageChops

__all__ = ["smaller"]

NEAR = 16  # of 255: two shades on the edge of a line that nobody tells apart


@cache
def smaller(source: str) -> tuple[str, int, int]:
    """(a data: URL, width, height). Of a drawing, in which 256 colours are nearly all there are, these are kept, pixel
    by pixel; a photograph is compressed as photographs are."""
    head, _, data = source.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise ValueError(f"book: a picture is at {source[:60]}, outside of its page: make it with picture()")
    given = base64.b64decode(data)
    with Image.open(io.BytesIO(given)) as image:
        image.load()
    if image.mode not in ("RGB", "RGBA") or (image.mode == "RGBA" and image.getextrema()[3] != (255, 255)):
        return source, *image.size
    image = image.convert("RGB")
    few = of_few_colours(image)
    drawing = max(most for _, most in ImageChops.difference(image, few).getextrema()) <= NEAR
    into = io.BytesIO()
    if drawing:
        few.save(into, "WEBP", lossless=True, quality=50, method=2)
    else:
        image.save(into, "WEBP", quality=90, method=2)
    if into.tell() >= len(given):
        return source, *image.size
    return f"data:image/webp;base64,{base64.b64encode(into.getvalue()).decode()}", *image.size


def of_few_colours(image: Image.Image) -> Image.Image:
    """Of 256, each the most frequent of the shades that it stands for: so white stays white."""
    drawn = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    shades = np.asarray(image).astype(int) @ [1 << 16, 1 << 8, 1]  # (H, W)
    kinds, counts = np.unique(np.asarray(drawn).astype(int) << 24 | shades, return_counts=True)
    kinds, colours = kinds[np.argsort(counts)], np.zeros(256, int)
    colours[kinds >> 24] = kinds & 0xFFFFFF  # of equal places the last counts
    drawn.putpalette(np.stack([colours >> 16, colours >> 8 & 255, colours & 255], 1).astype(np.uint8).tobytes())
    return drawn.convert("RGB")
