"""A picture file of any kind becomes the central 256 × 256 pixels in RGB."""
import io
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minicnn.data import BadPicture, read_picture
from minicnn.data import picture as picture_module
from minicnn.data.picture import _decode, square

RED, GREEN, BLUE, WHITE = (200, 30, 40), (20, 180, 60), (30, 50, 210), (255, 255, 255)


def two_halves(left=RED, right=BLUE, size=(300, 300), mode="RGB"):
    image = Image.new(mode, size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image


def colours(picture):
    """The colours in the middle of the left and of the right half."""
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8
    return picture[128, 64].astype(int), picture[128, 192].astype(int)


def check(picture, left, right, tolerance=3):
    for found, expected in zip(colours(picture), (left, right), strict=True):
        assert np.abs(found - expected).max() <= tolerance, (found, expected)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.bmp", "a.ppm", "a.tif", "a.webp", "a.jp2"])
def test_formats(tmp_path, name):
    two_halves().save(tmp_path / name)
    check(read_picture(tmp_path / name), RED, BLUE, tolerance=6)


@pytest.mark.parametrize(("mode", "suffix", "left", "right"), [
    ("1", "png", (0, 0, 0), WHITE), ("L", "jpg", (88,) * 3, (62,) * 3), ("P", "png", RED, BLUE),
    ("CMYK", "jpg", RED, BLUE), ("CMYK", "tif", RED, BLUE), ("YCbCr", "jpg", RED, BLUE)])
def test_modes(tmp_path, mode, suffix, left, right):
    source = two_halves((0, 0, 0), WHITE) if mode == "1" else two_halves()
    kept = source.convert(mode, palette=Image.Palette.ADAPTIVE) if mode == "P" else source.convert(mode)
    kept.save(tmp_path / f"a.{suffix}")
    check(read_picture(tmp_path / f"a.{suffix}"), left, right, tolerance=6)


def test_ycck(tmp_path):
    # A CMYK file that holds luma and chroma of the ink (255 - RGB), and whose marker is made to say so.
    ink = two_halves(tuple(255 - c for c in RED), tuple(255 - c for c in BLUE)).convert("YCbCr")
    planes = [plane.point(lambda v: 255 - v) for plane in ink.split()]  # Pillow inverts what it writes, as Adobe does
    buffer = io.BytesIO()
    Image.merge("CMYK", [*planes, Image.new("L", ink.size, 0)]).save(buffer, "JPEG", quality=95)
    data = bytearray(buffer.getvalue())
    marker = data.index(b"Adobe")
    data[marker + 11] = 2
    (tmp_path / "a.jpg").write_bytes(data)
    check(read_picture(tmp_path / "a.jpg"), RED, BLUE, tolerance=8)


def test_hidden_colours_stay_hidden(tmp_path):
    clear, solid = (*RED, 0), (*BLUE, 255)
    image = two_halves(clear, solid, mode="RGBA")
    image.save(tmp_path / "rgba.png")
    image.save(tmp_path / "rgba.webp", lossless=True, exact=True)
    image.convert("LA").save(tmp_path / "la.png")
    two_halves().save(tmp_path / "key.png", transparency=RED)
    palette = two_halves(0, 1, mode="P")
    palette.putpalette([*RED, *BLUE])
    palette.save(tmp_path / "palette.png", transparency=0)
    palette.save(tmp_path / "palette.gif", transparency=0)
    palette.save(tmp_path / "bytes.png", transparency=bytes([0, 255]))
    for name in ("rgba.png", "rgba.webp", "key.png", "palette.png", "palette.gif", "bytes.png"):
        check(read_picture(tmp_path / name), WHITE, BLUE)
    grey = BLUE[0] * 0.299 + BLUE[1] * 0.587 + BLUE[2] * 0.114
    check(read_picture(tmp_path / "la.png"), WHITE, (grey,) * 3)


def test_half_transparent_is_half_white(tmp_path):
    two_halves((*RED, 128), (*BLUE, 255), mode="RGBA").save(tmp_path / "a.png")
    check(read_picture(tmp_path / "a.png"), (np.array(RED) + 255) / 2, BLUE)


def test_sixteen_bit_grey_is_scaled(tmp_path):
    values = np.full((300, 300), 40000, np.uint16)
    values[:, :150] = 1000
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values).save(tmp_path / "a.tif")
    (tmp_path / "a.pgm").write_bytes(b"P5 300 300 65535\n" + values.astype(">u2").tobytes())
    for name in ("a.png", "a.tif", "a.pgm"):
        check(read_picture(tmp_path / name), (1000 / 257,) * 3, (40000 / 257,) * 3)


def test_sixteen_bit_grey_with_a_transparent_value(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    row = b"\0" + struct.pack(">H", 1000) * 150 + struct.pack(">H", 40000) * 150
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 300, 300, 16, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", 1000)) + chunk(b"IDAT", zlib.compress(row * 300)) + chunk(b"IEND", b""))
    check(read_picture(tmp_path / "a.png"), WHITE, (156,) * 3)


def test_the_content_counts_not_the_suffix(tmp_path):
    two_halves().save(tmp_path / "a.JPEG", "PNG")
    check(read_picture(str(tmp_path / "a.JPEG")), RED, BLUE, tolerance=0)


def ppm(pixels, head=b"P6\n%d %d\n255\n", size=(256, 256)):
    return BytesIO(head % size + pixels.tobytes())


def test_a_raw_picture_is_taken_as_it_is(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    expected = read_picture(ppm(pixels, b"P6 %d %d 255\n"))  # by Pillow
    np.testing.assert_array_equal(expected, pixels)
    monkeypatch.setattr(picture_module, "_decode", None)
    found = read_picture(ppm(pixels))
    np.testing.assert_array_equal(found, pixels)
    assert found.flags.writeable


def test_other_raw_pictures_are_decoded():
    random = np.random.default_rng(1)
    grey, small, wide = (random.integers(0, 256, size, np.uint8) for size in ((256, 256), (64, 64, 3), (256, 768, 3)))
    np.testing.assert_array_equal(read_picture(ppm(grey, b"P5\n%d %d\n255\n")), grey[..., None].repeat(3, axis=2))
    assert (read_picture(ppm(small, size=(64, 64)))[:4, :4] != 0).any()
    np.testing.assert_array_equal(read_picture(ppm(wide, size=(768, 256))), wide[:, 256:512])
    np.testing.assert_array_equal(read_picture(ppm(small, size=(64, 64)), side=64), small)
    with pytest.raises(BadPicture, match="truncated"):
        read_picture(ppm(wide[:, :255]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = Image.new("RGB", (400, 300), WHITE)
    upright.paste(RED, (50, 0, 200, 150))  # the top left of the central square
    upright.paste(BLUE, (200, 150, 350, 300))
    upright.paste(GREEN, (200, 0, 350, 150))
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes what a viewer will do
    stored = upright.transpose(Image.Transpose(turn[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "a.png", "a.tif", "a.webp"):
        stored.save(tmp_path / name, exif=exif)
        picture = read_picture(tmp_path / name).astype(int)
        for (y, x), colour in {(64, 64): RED, (64, 192): GREEN, (192, 192): BLUE, (192, 64): WHITE}.items():
            assert np.abs(picture[y, x] - colour).max() <= 6, (name, y, x)


def test_broken_exif_does_not_spoil_a_picture(tmp_path):
    two_halves().save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xffnonsense")
    two_halves().save(tmp_path / "b.jpg", exif=b"Exif\0\0nonsense")
    for name in ("a.jpg", "b.jpg"):
        check(read_picture(tmp_path / name), RED, BLUE, tolerance=6)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tif", "a.webp", "a.mpo"])
def test_the_first_frame(tmp_path, name):
    two_halves().save(tmp_path / name, save_all=True, append_images=[two_halves(GREEN, GREEN)])
    check(read_picture(tmp_path / name), RED, BLUE, tolerance=6)


@given(width=st.integers(1, 700), height=st.integers(1, 700))
def test_the_central_square_of_any_size(width, height):
    short = min(width, height)
    image = Image.new("RGB", (width, height), RED)
    left, top = (width - short) // 2, (height - short) // 2
    image.paste(GREEN, (left, top, left + short + (width - short) % 2, top + short + (height - short) % 2))
    picture = np.asarray(square(image))
    assert picture.shape == (256, 256, 3)
    margin = 0 if width == height else 256 * 2 // short + 3  # as far as the filter sees the red
    inner = picture[margin:256 - margin, margin:256 - margin]
    assert (inner == GREEN).all()


@pytest.mark.parametrize("side", [2, 3, 4])
def test_a_pixel_is_the_mean_of_all_that_it_covers(tmp_path, side):
    """A board of single pixels, black and white, is grey from afar."""
    board = (np.indices((side * 256, side * 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "a.png")
    inner = read_picture(tmp_path / "a.png")[8:-8, 8:-8].astype(int)
    assert np.abs(inner - 127).max() < 40
    assert abs(inner.mean() - 127.5) < 2


def test_a_large_jpeg_is_decoded_at_reduced_size(tmp_path):
    two_halves(size=(2100, 1100)).save(tmp_path / "a.jpg")
    with open(tmp_path / "a.jpg", "rb") as file:
        assert _decode(file, 256).size == (525, 275)
    check(read_picture(tmp_path / "a.jpg"), RED, BLUE, tolerance=6)
    two_halves(size=(600, 500)).save(tmp_path / "b.jpg")
    with open(tmp_path / "b.jpg", "rb") as file:
        assert _decode(file, 256).size == (600, 500)
