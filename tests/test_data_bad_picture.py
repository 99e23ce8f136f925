"""A file that is no picture, or a broken one, becomes a BadPicture that names it, without a memory spike."""
import io
import os
import resource

import numpy as np
import pytest
from pictures import make_folder
from PIL import Image

from minicnn.data import BadPicture, read_picture
from minicnn.data.reading import Reading


def memory():
    """The most memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def check_bad(path, *parts):
    with pytest.raises(BadPicture) as caught:
        read_picture(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)
    assert str(path) not in caught.value.reason
    assert caught.value.reason
    for part in parts:
        assert part in caught.value.reason


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.bmp", "a.ppm", "a.tif", "a.webp", "a.jp2"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated(tmp_path, name, share):
    noise = np.random.default_rng(0).integers(0, 256, size=(300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:int(share * len(data))])
    check_bad(tmp_path / name)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_truncated_jpeg_with_an_end_marker(tmp_path, mode):
    noise = np.random.default_rng(0).integers(0, 256, size=(300, 300, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, "JPEG")
    for share in (0.5, 0.95):
        (tmp_path / "a.jpg").write_bytes(buffer.getvalue()[:int(share * len(buffer.getvalue()))] + b"\xff\xd9")
        check_bad(tmp_path / "a.jpg", "end too early")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_grey_picture_is_not_truncated(tmp_path, progressive):
    Image.new("RGB", (300, 300), (128, 128, 128)).save(tmp_path / "a.jpg", progressive=progressive)
    assert (read_picture(tmp_path / "a.jpg") == 128).all()


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "not a picture in any known format"), (b"hello, I am a text", "not a picture in any known format"),
    (bytes(10000), "not a picture in any known format"), (b"\xff\xd8\xff\xe0 and then nothing like a JPEG", ""),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture in any known format")])
def test_no_picture(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    check_bad(tmp_path / "a.jpg", reason)


def test_broken_stream(tmp_path):
    Image.new("RGB", (300, 300), (200, 30, 40)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    check_bad(tmp_path / "a.png")


@pytest.mark.parametrize(("side", "reason"), [(9500, "9500 × 9500 pixels, at most 89478485"), (60000, "3600000000")])
def test_absurd_size_takes_no_memory(tmp_path, side, reason):
    header = b"P6 %d %d 255\n" % (side, side)
    (tmp_path / "a.ppm").write_bytes(header + bytes(1000))
    before = memory()
    check_bad(tmp_path / "a.ppm", reason)
    assert memory() - before < 50e6


def test_a_line_of_pixels_takes_no_memory(tmp_path):
    Image.new("RGB", (60000, 1)).save(tmp_path / "a.png")
    before = memory()
    read_picture(tmp_path / "a.png")
    assert memory() - before < 50e6


def test_floating_point_pixels(tmp_path):
    Image.new("F", (300, 300), 0.5).save(tmp_path / "a.tif")
    check_bad(tmp_path / "a.tif", "floating-point")


def test_not_a_file(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    check_bad(tmp_path / "folder.jpg", "not a regular file")
    os.mkfifo(tmp_path / "pipe.jpg")
    check_bad(tmp_path / "pipe.jpg", "not a regular file")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    check_bad(tmp_path / "dangling.jpg", "No such file or directory")


def test_no_permission(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied", str(path))
    Image.new("RGB", (300, 300), (200, 30, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr("builtins.open", refuse)  # the superuser is refused nothing
    check_bad(tmp_path / "a.png", "Permission denied")


def test_what_the_machine_could_not_read_stays_known(tmp_path):
    """So statistics that lack it are not kept, wherever among the parts it was."""
    folder, reading = make_folder(tmp_path, 2), Reading()
    for part in (Reading({"a": "gone"}, unread=1), Reading({"b": "broken"}), Reading(seen=folder.samples[0][0])):
        reading.add(part, folder)
    assert (reading.bad, reading.unread) == ({"a": "gone", "b": "broken"}, 1)
    assert reading.seen == folder.samples[0][0]
