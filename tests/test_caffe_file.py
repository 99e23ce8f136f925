import tracemalloc

import numpy as np
import pytest
from helpers import normal
from weights_of_others import blob, caffe_net, field, spoilt, varint

from minicnn.models.caffe_file import NotCaffe, read_caffe, read_caffe_mean

LAYERS = {"conv1": ("Convolution", [normal(4, 3, 2, 5), normal(4)]), "fc": ("InnerProduct", [normal(6, 7), normal(6)])}


def file(data, tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("packed", [True, False])
def test_every_blob_is_read(older, packed, tmp_path):
    name, found = read_caffe(file(caffe_net(LAYERS, older, packed), tmp_path))
    assert name == "a net"
    assert [layer.name for layer in found] == list(LAYERS)
    for layer, (kind, blobs) in zip(found, LAYERS.values(), strict=True):
        assert layer.type == kind
        for got, expected in zip(layer.blobs, blobs, strict=True):
            np.testing.assert_array_equal(got, expected.astype(np.float32))
            assert got.dtype == np.float32


def test_double_data_and_fields_that_nobody_knows(tmp_path):
    numbers = normal(2, 3)
    shape = field(7, field(1, varint(2) + varint(3)))
    said = field(200, "?") + field(1, "fc") + varint(9 << 3 | 1) + bytes(8) + field(2, "InnerProduct")
    data = field(100, said + field(7, shape + field(8, numbers.astype("<f8").tobytes())))
    _, (layer,) = read_caffe(file(data, tmp_path))
    np.testing.assert_array_equal(layer.blobs[0], numbers.astype(np.float32))


def test_a_mean(tmp_path):
    mean = normal(3, 4, 5)
    for older in (False, True):
        np.testing.assert_array_equal(read_caffe_mean(file(blob(mean, older), tmp_path)), mean.astype(np.float32))
    np.testing.assert_array_equal(read_caffe_mean(file(blob(mean[None]), tmp_path)), mean.astype(np.float32))


@pytest.mark.parametrize("data, match", [
    (b"", "holds no layers with weights"),
    (field(1, "a net"), "holds no layers with weights"),
    (b"\xff" * 20, "more than ten bytes"),
    (field(100, "x" * 50)[:-1], "cut short"),
    (varint(100 << 3 | 2) + varint(2**31) + b"abc", "3 bytes are left of 2147483648"),
    (b"\x0b", "has a field of the kind 3"),
    (field(100, field(1, "a") + field(7, field(5, b"abcde"))), "no row of numbers of 4 bytes"),
    (field(100, field(7, 3)), "a blob of a layer is a number"),
    (field(100, field(7, field(7, field(1, varint(2**31))) + field(5, bytes(8)))), r"\(2147483648,\), and has 2"),
    (field(100, field(7, field(1, 2**33) + field(5, bytes(8)))), "8589934592, 0, 0, 0"),
    (b"\x89PNG\r\n\x1a\n", "none of Caffe's"),
])  # fmt: skip
def test_files_that_are_no_network(data, match, tmp_path):
    with pytest.raises(NotCaffe, match=match):
        read_caffe(file(data, tmp_path))


@pytest.mark.parametrize("shape", [(3,), (1, 4, 5), (2, 3, 4, 5), (3, 0, 4)], ids=str)
def test_what_is_no_mean(shape, tmp_path):
    with pytest.raises(NotCaffe, match="its mean has the shape"):
        read_caffe_mean(file(blob(np.zeros(shape)), tmp_path))


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_spoilt_files_are_refused_or_read(older, seed, tmp_path):
    draw = np.random.default_rng(seed)
    path = file(spoilt(caffe_net(LAYERS, older), draw), tmp_path)
    tracemalloc.start()
    try:
        read_caffe(path)
    except NotCaffe as error:
        assert "\n" not in str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2 * path.stat().st_size + (1 << 20)
