"""DLPack: what is written on one side is read on the other, and where that cannot be there is a copy, or an error that
says why."""

import gc

import numpy as np
import pytest
from gpus import gpus  # noqa: F401 - a fixture
from helpers import normal

import minicnn
from minicnn import Tensor, cpu, cuda, from_dlpack, ops
from minicnn.engine.device import copy_to, current_device, device_of
from minicnn.engine.memory import batch_last

MAIN = pytest.mark.processor  # of main memory alone
REAL = (np.float16, np.float32, np.float64)
SHAPES = [(), (0,), (5,), (0, 3), (2, 0), (1, 4), (3, 1), (2, 3), (1, 3, 4, 5), (4, 3, 2, 2)]


def half(shape):
    """A tensor of half precision: ``Tensor`` makes none, an op does."""
    return ops.half(Tensor(normal(*shape), dtype=np.float32, device=cpu(0)))


def made(shape, dtype):
    return half(shape) if dtype == np.float16 else Tensor(np.abs(normal(*shape)), dtype=dtype, device=cpu(0))


def same_memory(a, b):
    return a.__array_interface__["data"][0] == b.__array_interface__["data"][0]


# -- out ---------------------------------------------------------------------------------------------------------------


@MAIN
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [*REAL, np.int64, np.uint8, bool])
def test_numpy_has_the_memory_of_a_tensor(shape, dtype):
    t = made(shape, dtype)
    array = np.from_dlpack(t)
    assert (array.shape, array.dtype, array.strides) == (t.shape, t.dtype, t.data.strides)
    assert array.flags.writeable
    array[...] = 1
    assert (t.numpy() == 1).all()
    t[...] = 0
    assert not array.any()
    np.from_dlpack(t, copy=True)[...] = 1
    assert not t.numpy().any()


@MAIN
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [*REAL, np.int64, np.uint8, bool])
def test_pytorch_has_the_memory_of_a_tensor(shape, dtype):
    torch = pytest.importorskip("torch")
    t = made(shape, dtype)
    theirs = torch.from_dlpack(t)
    assert (tuple(theirs.shape), str(theirs.dtype)) == (t.shape, f"torch.{t.dtype}")
    np.testing.assert_array_equal(theirs.numpy(), t.numpy())
    theirs.fill_(1)
    assert (t.numpy() == 1).all()
    t[...] = 0
    assert not theirs.any()
    kept = torch.from_dlpack(Tensor(normal(3, 2), device=cpu(0)))
    gc.collect()  # the tensor is gone, its memory is not
    np.testing.assert_array_equal(kept.numpy(), normal(3, 2))


@MAIN
def test_the_batch_runs_fastest_there_too():
    t = made((4, 3, 2, 2), np.float32)
    assert np.from_dlpack(t).transpose(1, 2, 3, 0).flags.c_contiguous
    torch = pytest.importorskip("torch")
    assert torch.from_dlpack(t).stride() == (1, 16, 8, 4)
    assert torch.from_dlpack(t).contiguous().stride() == (12, 4, 2, 1)


def test_what_requires_a_gradient_is_not_given_away():
    w = Tensor(normal(2, 2), requires_grad=True)
    for t in (w, w * 2, (w * 2).sum()):
        with pytest.raises(BufferError, match=r"__dlpack__: this tensor requires a gradient.*t\.detach\(\)"):
            t.__dlpack__()
        with pytest.raises(BufferError, match=r"^from_dlpack: .*requires a gradient"):
            from_dlpack(t)
    with minicnn.no_grad():
        assert (w * 2).__dlpack__() is not None


@MAIN
def test_what_a_graph_needs_is_for_reading_until_it_went_backward():
    w = Tensor(normal(2, 2), requires_grad=True, device=cpu(0))
    loss = (w * w).sum()
    for t in (w.detach(), (w * 3).detach()):
        assert not np.from_dlpack(t).flags.writeable
        assert same_memory(np.from_dlpack(t), t.data)
        with pytest.raises(BufferError, match="readonly"):
            t.__dlpack__()  # without a version: an older one is asked for
        t.__dlpack__(max_version=(1, 0))
    loss.backward()
    array = np.from_dlpack(w.detach())
    array[...] = 7
    assert (w.numpy() == 7).all()


class Recording:
    """An array that notes how it is asked."""

    def __init__(self):
        self.asked = []

    def __dlpack__(self, **asked):
        self.asked.append((asked, current_device()))
        return "a capsule"


def test_the_array_is_asked_as_the_tensor_was():
    t = Tensor([1.0], device=cpu(1))
    t._array = Recording()
    assert t.__dlpack__() == t.__dlpack__(stream=3, max_version=(1, 1), dl_device=(1, 0), copy=False) == "a capsule"
    assert t._array.asked == [
        ({}, cpu(1)), ({"stream": 3, "max_version": (1, 1), "dl_device": (1, 0), "copy": False}, cpu(1))]
    assert t.__dlpack_device__() == (1, 0)
    assert not hasattr(t, "__array_namespace__")


@MAIN
def test_what_numpy_refuses_is_refused():
    with pytest.raises(BufferError, match="unsupported device"):
        Tensor([1.0]).__dlpack__(dl_device=(2, 0))


# -- in ----------------------------------------------------------------------------------------------------------------


def lying_so(shape, dtype):
    """Zeros of NumPy's that lie as a tensor does."""
    inside = np.zeros((*shape[1:], *shape[:1]), dtype)
    return inside.transpose(-1, *range(len(shape) - 1)) if shape else inside


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_a_tensor_has_the_memory_of_what_lies_as_it_does(library, shape, dtype):
    array = lying_so(shape, dtype)
    x = array if library == "numpy" else pytest.importorskip("torch").from_numpy(array)
    t = from_dlpack(x, copy=False)
    assert (type(t), t.shape, t.dtype, t.device, t.requires_grad) == (Tensor, shape, dtype, cpu(0), False)
    t[...] = 1
    assert (array == 1).all()
    array[...] = 0
    assert not t.numpy().any()
    apart = from_dlpack(x, copy=True)
    apart[...] = 1
    assert not array.any()
    assert batch_last(apart.data).flags.c_contiguous


@pytest.mark.parametrize(("array", "why"), [
    (normal(2, 3), r"its strides \(24, 8\) are not those of a tensor of shape \(2, 3\), \(8, 16\)"),
    (normal(2, 3, 4, 5), "its strides"), (normal(6)[::2], "its strides"), (normal(6)[::-1], r"its strides \(-8,\)"),
    (normal(3, 4).T[:, ::-1], "its strides"), (np.broadcast_to(np.array(1.0), (3, 2)), "its strides"),
    (np.float16([1, 2]), "float16 becomes float32"),
])  # fmt: skip
def test_what_lies_otherwise_is_copied(array, why):
    for copy in (None, True):
        t = from_dlpack(array, copy=copy)
        np.testing.assert_array_equal(t.numpy(), array)
        assert t.dtype == (np.float32 if array.dtype == np.float16 else array.dtype)
        assert batch_last(t.data).flags.c_contiguous
        assert not np.shares_memory(t.numpy(), array)
    with pytest.raises(BufferError, match=f"^from_dlpack: {why}.*takes a copy, and copy is False"):
        from_dlpack(array, copy=False)


def test_batches_of_one_and_transposed_matrices_and_what_came_from_a_tensor_are_not_copied():
    for array in (normal(1, 3, 4, 5), normal(3, 2).T, normal(7), np.from_dlpack(Tensor(normal(2, 3), device=cpu(0)))):
        assert same_memory(from_dlpack(array, copy=False).numpy(), array)
    t = Tensor(normal(2, 3, 4), device=cpu(1))
    again = from_dlpack(t, copy=False)
    again[...] = 1
    assert (t.numpy() == 1).all()
    assert again.age > t.age


def test_pytorchs_pictures_are_copied_but_for_a_batch_of_one():
    torch = pytest.importorskip("torch")
    pictures = torch.arange(120.0).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(from_dlpack(pictures).numpy(), pictures.numpy())
    with pytest.raises(BufferError, match="its strides"):
        from_dlpack(pictures, copy=False)
    assert same_memory(from_dlpack(pictures[1:], copy=False).numpy(), pictures[1:].numpy())
    assert same_memory(from_dlpack(pictures.permute(3, 0, 1, 2), copy=False).numpy(), pictures.numpy())
    assert from_dlpack(torch.tensor([1.5], dtype=torch.float16)).dtype == np.float32


def test_what_may_only_be_read_is_copied():
    array = normal(5)
    array.flags.writeable = False
    t = from_dlpack(array)
    t[...] = 1
    assert not (array == 1).any()
    with pytest.raises(BufferError, match="it may only be read"):
        from_dlpack(array, copy=False)
    w = Tensor(normal(3), requires_grad=True, device=cpu(0))
    loss = (w * w).sum()
    from_dlpack(w.detach())[...] = 0
    loss.backward()
    np.testing.assert_array_equal(w.grad.numpy(), 2 * normal(3))


class Older:
    """An array that knows DLPack as it was before version 1."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_what_knows_an_older_dlpack_is_read():
    np.testing.assert_array_equal(from_dlpack(Older(normal(3))).numpy(), normal(3))


def test_gradients_go_into_what_came_in():
    x = from_dlpack(normal(3), device=cpu(1))
    assert x.device == cpu(1)
    x.requires_grad = True
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * normal(3))


@MAIN
def test_in_main_memory_the_current_device_is_kept():
    with cpu(1):
        assert from_dlpack(normal(3)).device == cpu(1)
    assert from_dlpack(normal(3)).device == cpu(0)


class At:
    """An array on a device that is not here."""

    dtype = "float32"

    def __init__(self, kind):
        self.kind = kind

    def __dlpack__(self, **asked):
        raise BufferError("it does not want to")

    def __dlpack_device__(self):
        if self.kind is None:
            raise ValueError("meta is no device")
        return self.kind, 0


@pytest.mark.parametrize(("ask", "error", "words"), [
    (lambda: from_dlpack([1.0]), TypeError, r"\[1.0\], a list, has no __dlpack__: .*Tensor\(x\)"),
    (lambda: from_dlpack(None), TypeError, "None, a NoneType"),
    (lambda: from_dlpack(normal(2), copy=1), TypeError, "copy is 1: give True or False"),
    (lambda: from_dlpack(normal(2), device="cpu"), TypeError, "device is 'cpu'"),
    (lambda: from_dlpack(normal(2) * 1j), TypeError, "complex128 is not a type of real number"),
    (lambda: from_dlpack(normal(2).astype(">f8")), BufferError, "DLPack only supports native byte order"),
    (lambda: from_dlpack(np.zeros(2, "M8[s]")), BufferError, "DLPack only supports"),
    (lambda: from_dlpack(At(8)), BufferError, "an? At lives on a device of DLPack's kind 8: bring it to main memory"),
    (lambda: from_dlpack(At(1)), BufferError, "it does not want to"),
    (lambda: from_dlpack(At(None)), BufferError, "meta is no device"),
])  # fmt: skip
def test_what_does_not_fit_is_said(ask, error, words):
    with pytest.raises(error, match=f"^from_dlpack: .*{words}"):
        ask()


def test_what_pytorch_has_and_we_have_not_is_said():
    torch = pytest.importorskip("torch")
    for dtype in (torch.bfloat16, torch.float8_e4m3fn):
        with pytest.raises(TypeError, match=rf"^from_dlpack: a Tensor of {dtype} is no array here: .*as to float32"):
            from_dlpack(torch.ones(2).to(dtype))
    with pytest.raises(TypeError, match="complex64 is not a type of real number"):
        from_dlpack(torch.ones(2, dtype=torch.complex64))
    for theirs in (torch.ones(2, requires_grad=True), torch.ones(2).to_sparse(), torch.ones(2, device="meta")):
        with pytest.raises(BufferError, match=r"^from_dlpack: "):
            from_dlpack(theirs)


# -- GPUs --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("gpus")
def test_a_gpus_memory_is_given_and_taken():
    import cupy

    t = Tensor(normal(4, 3, 2), device=cuda(0))
    assert t.__dlpack_device__() == (2, 0)
    theirs = cupy.from_dlpack(t)
    with cuda(0):
        theirs[...] = 1
    assert (t.numpy() == 1).all()
    back = from_dlpack(theirs, copy=False)
    assert back.device == cuda(0)
    back[...] = 0
    assert not t.numpy().any()
    with cuda(0):
        array = cupy.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(from_dlpack(array).numpy(), np.arange(6.0).reshape(2, 3))
    with pytest.raises(BufferError, match="its strides"):
        from_dlpack(array, copy=False)
    apart = from_dlpack(theirs, copy=True)
    apart[...] = 1
    assert not t.numpy().any()


@pytest.mark.usefixtures("gpus")
def test_to_a_gpu_and_from_it_goes_a_copy():
    import cupy

    t = from_dlpack(normal(4, 3), device=cuda(0))
    assert (t.device, device_of(t.data)) == (cuda(0), cuda(0))
    np.testing.assert_array_equal(t.numpy(), normal(4, 3))
    for x in (t, cupy.from_dlpack(t)):
        here = from_dlpack(x, device=cpu(1))
        assert here.device == cpu(1)
        np.testing.assert_array_equal(here.data, normal(4, 3))
        with pytest.raises(BufferError, match=r"^from_dlpack: it goes from cuda\(0\) to cpu\(0\)"):
            from_dlpack(x, device=cpu(0), copy=False)
    with pytest.raises(BufferError, match=r"from cpu\(0\) to cuda\(0\)"):
        from_dlpack(normal(3), device=cuda(0), copy=False)


@pytest.mark.two_gpus
@pytest.mark.usefixtures("gpus")
def test_an_array_of_the_other_gpu_is_taken_there():
    import cupy

    with cuda(1):
        array = cupy.arange(3.0)
    t = from_dlpack(array, copy=False)
    assert t.device == cuda(1)
    assert t.__dlpack_device__() == (2, 1)
    np.testing.assert_array_equal(copy_to(from_dlpack(t, device=cuda(0)).data, cpu(0)), [0, 1, 2])


@MAIN
@pytest.mark.usefixtures("gpus")
def test_numpy_gets_a_copy_from_a_gpu_where_it_asks_for_one():
    t = Tensor(normal(4, 3), device=cuda(0))
    np.testing.assert_array_equal(np.from_dlpack(t, device="cpu"), normal(4, 3))
