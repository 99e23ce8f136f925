"""One picture file becomes 256 × 256 RGB bytes, or a ``BadPicture`` that names the file and says why not.

The size is the paper's (§2): the short side scaled to 256, then the central square.
"""

from __future__ import annotations

import functools
import os
import stat
import warnings
from io import BufferedReader, BytesIO
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ..console import printable
from .archive import Member, opened

__all__ = ["SIDE", "BadPicture", "picture_suffixes", "read_picture", "square"]

SIDE = 256
BACKGROUND = (255, 255, 255)  # what transparent pixels show: white, as on a page
LARGEST = 89_478_485  # pixels: the size from which Pillow suspects a decompression bomb
# Only these are opened, whatever a file is called: for some of its other formats Pillow runs another program.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "JPEG2000")


class BadPicture(Exception):
    """A file that is no picture, or a broken one.

    path: the file, or its place in an archive; reason: what is wrong with it; unread: whether the machine could not
    read it, for want of the file, a right, a drive or memory, so that nothing is known of the picture itself.
    """

    def __init__(self, path: str | os.PathLike[str] | Member, reason: str, unread: bool = False):
        super().__init__(path, reason, unread)
        self.path = path
        self.reason = reason
        self.unread = unread

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}")


@functools.cache
def picture_suffixes() -> frozenset[str]:
    """The suffixes of the formats that are read: '.jpg', '.png', ..."""
    return frozenset(suffix for suffix, name in Image.registered_extensions().items()
                     if name in FORMATS or name == "MPO")  # several JPEGs in one file, opened as the first of them


def read_picture(path: str | os.PathLike[str] | Member | BytesIO, fit: str = "centre",
                 filter: str = "bicubic", side: int = SIDE) -> NDArray[np.uint8]:
    """The picture in a file, in an archive, or in bytes, as RGB bytes (side, side, 3): rows, columns, channels.

    The format is that of the content, whatever the suffix. Of several frames the first is taken, the orientation in
    the EXIF data is applied, and the rest is done by ``square``.

    Raises BadPicture where the file cannot be opened or decoded to its last pixel, or is larger than ``LARGEST``.
    """
    try:
        with _opened(path) as file, warnings.catch_warnings(action="ignore"):
            if (pixels := _raw(file, side)) is not None:
                return pixels
            image = _decode(file, side)
            if image.format == "JPEG" and not _is_complete(file, image, side):
                raise ValueError("the picture data end too early")
            ImageOps.exif_transpose(image, in_place=True)
            return np.array(square(image, fit, filter, side))
    except Exception as error:  # a broken file makes Pillow raise nearly anything: OSError, SyntaxError, struct.error
        unread = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)
        raise BadPicture("-" if isinstance(path, BytesIO) else path, _reason(error), unread) from error


def _opened(path: str | os.PathLike[str] | Member | BytesIO) -> BytesIO | BufferedReader:
    if isinstance(path, BytesIO):
        return path
    if not isinstance(path, Member) and not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("not a regular file")
    return opened(path)


def _raw(file: BytesIO | BufferedReader, side: int) -> NDArray[np.uint8] | None:
    """The pixels of a PPM as packs hold it: of this size, nothing to decode, scale or turn. None of any other file."""
    head = b"P6\n%d %d\n255\n" % (side, side)
    if file.read(len(head)) == head:
        pixels = np.empty((side, side, 3), np.uint8)
        if file.readinto(pixels.data) == pixels.size:
            return pixels
    file.seek(0)
    return None


def _decode(file: IO[bytes], side: int) -> Image.Image:
    """Decode the first frame; a large JPEG at 1/2, 1/4 or 1/8 of its size, while both sides keep so many pixels."""
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > LARGEST:
        raise ValueError(f"{image.width} × {image.height} pixels, at most {LARGEST} are read")
    image.draft(None, (side, side))
    image.load()
    return image


def _is_complete(file: IO[bytes], image: Image.Image, side: int) -> bool:
    """Whether the data of a JPEG reach to its last pixel.

    Where they stop early at an end marker, the decoder says nothing and leaves the rest mid-grey. So if the last pixel
    is mid-grey, decode again with more data before the marker: they change a picture only if it was in need of them.
    """
    if not set(image.crop((image.width - 1, image.height - 1, image.width, image.height)).tobytes()) <= {127, 128}:
        return True
    file.seek(0)
    data, marker, rest = file.read().rpartition(b"\xff\xd9")
    return _decode(BytesIO(data + bytes(range(255)) + marker + rest), side).tobytes() == image.tobytes()


def square(image: Image.Image, fit: str = "centre", filter: str = "bicubic", side: int = SIDE) -> Image.Image:
    """An image of any mode as one of RGB, side × side.

    16-bit grey is divided by 256, and what is transparent shows white. Its central square ("centre"), or all of it
    ("squash"), is scaled with an antialiasing filter, "bicubic" or "bilinear"; a smaller picture is enlarged.
    Raises ValueError where the scale of its pixels is not known.
    """
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose scale is unknown")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    image = image if image.mode == mode else image.convert(mode)  # which copies, even where there is nothing to do
    width, height = (min(image.size),) * 2 if fit == "centre" else image.size
    left, top = (image.width - width) / 2, (image.height - height) / 2
    image = image.resize((side, side), Image.Resampling[filter.upper()], box=(left, top, left + width, top + height))
    if image.mode == "RGBA":
        page = Image.new("RGBA", image.size, BACKGROUND)
        page.alpha_composite(image)
        image = page.convert("RGB")
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey, with an alpha channel if one value stands for transparent."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"its pixels range from {values.min()} to {values.max()}, expected 0 to 65535")
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray((values != image.info["transparency"]).astype(np.uint8) * 255))
    return grey


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture in any known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
