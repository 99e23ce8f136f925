import io
import os
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from helpers import normal
from weights_of_others import Named, Object, Writer, pickled, spoilt, torch_archive, torch_before_1_6

from minicnn.models.torch_file import NotTorch, read_torch

STATE = OrderedDict([("a.weight", normal(4, 3, 2).astype(np.float32)), ("a.bias", normal(4).astype(np.float32)),
                     ("b", normal(3, 5).T.astype(np.float64)), ("none", np.zeros((0, 2), np.float16)),
                     ("count", np.array([3], np.int64))])  # fmt: skip


def read(data, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return read_torch(path)


@pytest.mark.parametrize("write", [torch_archive, torch_before_1_6])
def test_every_tensor_is_read(write, tmp_path):
    found = read(write(STATE), tmp_path)
    assert list(found) == list(STATE)
    for name, array in STATE.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_state_dict_inside_a_checkpoint_of_several_gpus(tmp_path):
    inside = {f"module.{name}": array for name, array in STATE.items()}
    found = read(torch_archive({"epoch": 7, "best": 56.5, "arch": "alexnet", "state_dict": inside}), tmp_path)
    assert list(found) == list(STATE)


def test_what_pytorch_itself_writes(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.randn(5, 4)
    state = {"t": base.t(), "rows": base[1:3], "b": torch.randn(7)[2:].bfloat16(),
             "wide": torch.randn(3, 1).expand(3, 4), "none": torch.zeros(0, 3),
             "one": torch.tensor(3.5), "p": torch.nn.Parameter(torch.randn(3))}
    path = tmp_path / "weights.pth"
    for how in ({}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}):
        torch.save(state, path, **how)
        for name, array in read_torch(path).items():
            right = state[name].detach()
            np.testing.assert_array_equal(array, right.float() if right.dtype == torch.bfloat16 else right)


MARK = []


def called(*arguments):
    MARK.append(arguments)


@pytest.mark.parametrize("call, match", [
    (Named("os", "system"), r"it wants os\.system, which no weights need: nothing of it was run"),
    (Named("test_torch_file", "called"), r"it wants test_torch_file\.called"),
    (Named("builtins", "eval"), r"it wants builtins\.eval"),
    (Named("torch", "load"), r"it wants torch\.load"),
    (Named("torch._utils", "_rebuild_tensor"), r"it wants torch\._utils\._rebuild_tensor"),
])  # fmt: skip
def test_nothing_that_a_file_names_is_run(call, match, tmp_path):
    for said in ({**STATE, "x": Object(call, ("echo x > run",))}, Object(call, ("echo x > run",))):
        with pytest.raises(NotTorch, match=match):
            read(torch_archive(said), tmp_path)
    assert not MARK
    assert not (tmp_path / "run").exists()
    assert not os.path.exists("run")


@pytest.mark.parametrize("pickle, match", [
    (b"\x80\x02c__builtin__\nobject\n)\x81.", "instruction NEWOBJ.*save model.state_dict"),
    (b"\x80\x02r\xff\xff\xff\x7f.", "remembers 2147483647 objects"),
    (b"(i__builtin__\nexec\n.", "instruction INST"),
    (b"\x80\x02\x8a\xff.", "damaged"),
    (b"", "damaged"),
    (b"\x80\x02N.", "it holds a NoneType, not a state dict"),
    (b"\x80\x02}.", "it holds no tensors"),
    (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04exit\x85R.", r"it wants os\.system"),
])  # fmt: skip
def test_pickles_that_are_no_state_dict(pickle, match, tmp_path):
    with pytest.raises(NotTorch, match=match):
        read(torch_archive({}, lambda data: pickle), tmp_path)


def test_a_pickle_cannot_change_what_reads_the_next(tmp_path):
    """BUILD sets attributes of what lies on top, be it a function."""
    call = b"ctorch._utils\n_rebuild_tensor_v2\n"
    read_anyway = b"\x80\x02" + call + b"N}X\x0c\x00\x00\x00__defaults__K\x01\x85s\x86b."
    with pytest.raises(NotTorch):
        read(torch_archive({}, lambda data: read_anyway), tmp_path)
    with pytest.raises(NotTorch):
        read(torch_archive({"a": Object(Named("torch._utils", "_rebuild_tensor_v2"), ())}), tmp_path)


def lying(offset=0, shape=(4,), strides=(1,), count=None):
    """The archive of one tensor that says something else of how it lies."""

    class Lying(Writer):
        def reducer_override(self, obj):
            made = super().reducer_override(obj)
            if made is NotImplemented or not isinstance(obj, np.ndarray):
                return made
            rebuild, (stored, *_, grad, hooks) = made
            said = stored._replace(count=stored.count if count is None else count)
            return rebuild, (said, offset, shape, strides, grad, hooks)

    file = io.BytesIO()
    writer = Lying(file)
    writer.dump({"a": np.zeros(4, np.float32)})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("x/data.pkl", file.getvalue())
        zipped.writestr("x/data/0", writer.storages[0])
    return archive.getvalue()


@pytest.mark.parametrize("lie, match", [
    ({"shape": (2**31,)}, r"a \(2147483648,\) should reach number 2147483647 of 4"),
    ({"shape": (2**62, 2**62), "strides": (2**62, 1)}, "should reach number"),
    ({"offset": 1}, r"should reach number 4 of 4"),
    ({"offset": -1}, "it says that a tensor lies at -1"),
    ({"strides": (-1,)}, "it says that a tensor lies at"),
    ({"strides": (1, 1)}, "it says that a tensor lies at"),
    ({"shape": (4.0,)}, "it says that a tensor lies at"),
    ({"shape": (True,)}, "it says that a tensor lies at"),
    ({"count": 2**31}, "should hold 2147483648 numbers of 4 bytes, and has 16 bytes"),
    ({"count": -1}, "it names a storage"),
])  # fmt: skip
def test_tensors_that_lie_of_their_shape(lie, match, tmp_path):
    with pytest.raises(NotTorch, match=match):
        read(lying(**lie), tmp_path)
    assert read(lying(), tmp_path)["a"].shape == (4,)


def test_an_archive_that_unpacks_to_more_than_it_holds(tmp_path):
    data, _ = pickled(STATE)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", data + b"\0" * 10_000_000)
    with pytest.raises(NotTorch, match="unpacks to more than it holds"):
        read(file.getvalue(), tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK", b"GIF89a", b"\x80", b"\x80\x02K\x01."], ids=repr)
def test_files_of_another_kind(data, tmp_path):
    with pytest.raises(NotTorch):
        read(data, tmp_path)


@pytest.mark.parametrize("write", [torch_archive, torch_before_1_6])
@pytest.mark.parametrize("seed", range(60))
def test_spoilt_files_are_refused_or_read(write, seed, tmp_path):
    draw = np.random.default_rng(seed)
    whole = write({"a": normal(40, 50).astype(np.float32), "b": normal(300).astype(np.float32)})
    inside = write is torch_archive and seed % 2
    data = torch_archive(STATE, lambda data: spoilt(data, draw)) if inside else spoilt(whole, draw)
    tracemalloc.start()
    try:
        read(data, tmp_path)
    except NotTorch as error:
        assert "\n" not in str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2 * len(data) + (1 << 20)
