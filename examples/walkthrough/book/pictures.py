"""Pictures inside a page: the same pixels in fewer bytes, each once."""

from __future__ import annotations

import base64
import io
from functools import cache

import numpy as np
from PIL import Image

__all__ = ["smaller"]


@cache
def smaller(source: str) -> tuple[str, int, int]:
    """(a data: URL with the very same pixels, width, height). A drawing of up to 256 colours has a palette; with more,
    WebP without loss is the smallest."""
    head, _, data = source.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise ValueError(f"book: a picture is at {source[:60]}, outside of its page: make it with picture()")
    given = base64.b64decode(data)
    with Image.open(io.BytesIO(given)) as image:
        image.load()
    if "svg" in head or image.mode not in ("RGB", "RGBA"):
        return source, *image.size
    if image.mode == "RGBA" and image.getextrema()[3] == (255, 255):
        image = image.convert("RGB")
    kinds = [(given, head)]
    if image.mode == "RGB" and image.getcolors(256):
        colours, places = np.unique(np.asarray(image).reshape(-1, 3), axis=0, return_inverse=True)
        drawn = Image.fromarray(places.reshape(image.size[::-1]).astype(np.uint8), "P")
        drawn.putpalette(colours.tobytes())
        kinds.append((written(drawn, "PNG", optimize=True), "data:image/png;base64"))
    else:
        kinds.append((written(image, "WEBP", lossless=True, quality=50, method=2), "data:image/webp;base64"))
    best, head = min(kinds, key=lambda kind: len(kind[0]))
    return f"{head},{base64.b64encode(best).decode()}", *image.size


def written(image: Image.Image, kind: str, **how: object) -> bytes:
    into = io.BytesIO()
    image.save(into, kind, **how)
    return into.getvalue()
