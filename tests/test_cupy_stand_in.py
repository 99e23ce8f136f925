"""The stand-in for CuPy: each thing that goes wrong on a real GPU without a word is planted here and named, and the
right way beside it passes."""

import sys
import threading

import cupy_stand_in as stand_in
import numpy as np
import pytest
from cupy_stand_in import Strided, Unordered, WrongDevice


class Doubles:
    """A program whose every kernel doubles its arrays, by their flat memory as a GPU sees it."""

    def __init__(self, code, options):
        self.seen = []

    def launch(self, name, grid, block, arguments):
        self.seen.append((name, grid, block, arguments))
        for a in arguments:
            if isinstance(a, np.ndarray):
                a *= 2


@pytest.fixture
def cupy():
    yield stand_in.install(Doubles)
    assert not stand_in.violations
    stand_in.uninstall()


@pytest.fixture
def streams(cupy):
    return cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)


def test_it_comes_and_goes_and_what_was_there_comes_back():
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "cupy"}
    cupy = stand_in.install(Doubles)
    import cupy as imported
    from cupy.cuda import runtime

    assert imported is cupy and cupy.is_stand_in and cupy.__version__ == "stand-in" and runtime.getDeviceCount() == 2
    stand_in.uninstall()
    assert {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "cupy"} == before


# -- arrays -----------------------------------------------------------------------------------------------------------


def same(got, expected):
    assert type(got) is stand_in.ndarray and got.dtype == expected.dtype and got.shape == np.shape(expected)
    assert np.array_equal(got.get(), expected)


@pytest.mark.parametrize("compute", [
    lambda x: x + 1, lambda x: 2**x, lambda x: x @ x.T, lambda x: -x, lambda x: x / x, lambda x: np.float32(2) * x,
    lambda x: np.float64(2) * x, lambda x: np.maximum(x, 0), lambda x: np.exp(x), lambda x: x > 2, lambda x: x == 2,
    lambda x: np.where(x > 2, 0, x), lambda x: np.isfinite(x), lambda x: np.matmul(x, x.T), lambda x: x.sum(),
    lambda x: x.sum(()), lambda x: x.mean((0,), keepdims=True), lambda x: x.max(1, keepdims=True), lambda x: x.min(),
    lambda x: x.argmax(-1), lambda x: np.concatenate([x, x], 1), lambda x: np.arange(3, like=x),
    lambda x: np.zeros_like(x), lambda x: np.ones_like(x, dtype=int), lambda x: np.full_like(x, 3),
    lambda x: np.broadcast_to(x, (2, 2, 3)), lambda x: np.moveaxis(x, 0, 1), lambda x: np.expand_dims(x, (0, 1)),
    lambda x: x.reshape(3, -1), lambda x: x.T.reshape(-1), lambda x: x[:, None, ::-1], lambda x: x[..., [0, 2]],
    lambda x: x[[True, False]], lambda x: x[1, 2], lambda x: x[np.array([1, 1]), :2], lambda x: x.squeeze(),
    lambda x: x.swapaxes(0, 1), lambda x: x.ravel(), lambda x: x.view(np.int32), lambda x: x.astype(np.float64),
    lambda x: x.copy(order="K"), lambda x: x[None].transpose(-1, 0, 1), lambda x: np.einsum("ij->ji", x),
    lambda x: np.linalg.norm(x), lambda x: np.stack([x, x]), lambda x: np.clip(x, 1, 2),
])  # fmt: skip
def test_it_computes_what_numpy_does(cupy, compute):
    host = np.arange(6, dtype=np.float32).reshape(2, 3) + 1
    same(compute(cupy.array(host)), compute(host))


def test_in_place_and_out(cupy):
    x = cupy.arange(6.0).reshape(2, 3)
    x += 1
    x[0] = 0
    x[1] *= x[1]
    x[:, [0]] = np.array([[7.0]])  # where elements are picked, CuPy uploads
    same(x, np.array([[7.0, 0, 0], [7, 25, 36]]))
    out = cupy.empty((2, 2))
    assert np.matmul(x, x.T, out=out) is out
    cupy.add.at(out, ([0, 0],), 1.0)
    same(out, np.array([[51.0, 51], [49, 1970]]))
    assert [float(v) for v in out[0]] == out[0].tolist() == [51, 51] and len(out) == 2 and bool(out[0, 0] == 51)


def test_views_share_memory_and_what_is_computed_lies_in_c_order(cupy):
    x = cupy.zeros((2, 3, 4)).transpose(1, 2, 0)
    assert np.may_share_memory(x, x[1:]) and x[1:].base is x.base and not np.may_share_memory(x, x.copy())
    assert not x.flags.c_contiguous and (x + 1).flags.c_contiguous and (x * x).sum(0).flags.c_contiguous
    assert x.copy(order="K").strides == x.strides == np.empty_like(x).strides


REFUSED = {
    "implicit": (lambda x, host: np.asarray(x), TypeError, "Implicit conversion to a NumPy array is not allowed"),
    "array": (lambda x, host: np.array(x, order="C"), TypeError, "Implicit conversion"),
    "mixed": (lambda x, host: x + host, TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "mixed the other way": (lambda x, host: host * x, TypeError, "Unsupported type"),
    "mixed in place": (lambda x, host: x.__iadd__(host), TypeError, "Unsupported type"),
    "mixed product": (lambda x, host: x @ host, TypeError, "incorrect type"),
    "mixed in a function": (lambda x, host: np.concatenate([x, host]), TypeError, "Unsupported type"),
    "share": (lambda x, host: np.may_share_memory(x, host), TypeError, "Unsupported type"),
    "list": (lambda x, host: x * [1], TypeError, "all returned NotImplemented from __array_ufunc__"),
    "out": (lambda x, host: np.add(x, 1, out=host), TypeError, "Output arguments type must be cupy.ndarray"),
    "slice": (lambda x, host: x.__setitem__(Ellipsis, host), ValueError, "non-scalar numpy.ndarray cannot be used"),
    "set type": (lambda x, host: x.set(host.astype(int)), TypeError, "int64 array cannot be set to float64 array"),
    "set strides": (lambda x, host: x[:, :1].set(host[:, :1]), RuntimeError, "Cannot set to non-contiguous array"),
    "writeable": (lambda x, host: x.flags.writeable, AttributeError, "writeable"),
    "add.at": (lambda x, host: np.add.at(x, 0, 1), TypeError, "all returned NotImplemented"),
    "insert": (lambda x, host: np.insert(x, 0, 1), TypeError, "no implementation found for 'numpy.insert'"),
    "spacing": (lambda x, host: np.spacing(x), TypeError, "all returned NotImplemented"),
    "initial": (lambda x, host: x.max(initial=0), TypeError, "initial"),
    "where": (lambda x, host: np.where(True, x, x), AttributeError, "'bool' object has no attribute 'astype'"),
    "casting": (lambda x, host: x.astype(int, casting="unsafe"), TypeError, "casting is not supported yet"),
    "item": (lambda x, host: x.item(), ValueError, "array of size 1"),
    "truth": (lambda x, host: bool(x), ValueError, "more than one element is ambiguous"),
    "hash": (lambda x, host: hash(x), TypeError, "unhashable"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses_what_cupy_refuses(cupy, what):
    do, error, text = REFUSED[what]
    with pytest.raises(error, match=text):
        do(cupy.ones((2, 2)), np.ones((2, 2)))


def test_it_differs_from_numpy_where_cupy_does(cupy):
    x = cupy.arange(3)
    same(x[[1, 3, -5]], np.array([1, 0, 1]))  # beyond the end it begins anew
    same(x == None, np.zeros(3, bool))  # noqa: E711
    assert type(x.sum()) is type(x[0]) is stand_in.ndarray
    assert np.empty_like(x, shape=()).shape == (3,)  # no shape, says CuPy
    assert cupy.array(np.zeros((2, 3, 4)).transpose(1, 0, 2)).flags.c_contiguous  # the host's order is lost
    assert cupy.get_array_module(x) is cupy and cupy.get_array_module(np.ones(1)) is np
    assert np.array2string(x) == str(x) == "[0 1 2]"
    with pytest.raises(AttributeError, match="no attribute 'insert'"):
        cupy.insert  # noqa: B018


# -- devices ----------------------------------------------------------------------------------------------------------


def test_arrays_live_where_they_were_made(cupy):
    with cupy.cuda.Device(1):
        x = cupy.ones(3)
        y = x + x
        assert cupy.cuda.runtime.getDevice() == 1
        assert cupy.get_default_memory_pool().used_bytes() >= x.nbytes + y.nbytes
    assert cupy.cuda.runtime.getDevice() == 0 and (x.device.id, y.device.id) == (1, 1)
    assert x.reshape(3, 1).T.shape == (1, 3) and x[1:].device == x.device  # to look at it costs nothing


@pytest.mark.parametrize("use", [
    lambda x, here: x + 1, lambda x, here: here + x, lambda x, here: np.exp(x), lambda x, here: x.sum(),
    lambda x, here: x.copy(), lambda x, here: x.get(), lambda x, here: x[[0]], lambda x, here: x.fill(0),
    lambda x, here: here.__setitem__(0, x[0]), lambda x, here: x.__iadd__(1), lambda x, here: np.concatenate([x, here]),
    lambda x, here: x.set(np.ones(3)), lambda x, here: x.astype(np.float32), lambda x, here: np.matmul(here, x, out=x),
])  # fmt: skip
def test_an_array_of_another_device_is_refused(cupy, use):
    with cupy.cuda.Device(1):
        x = cupy.ones(3)
    with pytest.raises(WrongDevice, match=r"an array of GPU 1 is (used|set) while GPU 0 is current"):
        use(x, cupy.ones(3))


def test_no_more_devices_than_there_are(cupy):
    runtime = cupy.cuda.runtime
    with pytest.raises(runtime.CUDARuntimeError, match="cudaErrorInvalidDevice"):
        cupy.cuda.Device(2).use()
    assert runtime.deviceCanAccessPeer(0, 1) and cupy.cuda.Device(0).mem_info[0] <= cupy.cuda.Device(0).mem_info[1]
    found = []
    runtime.setDevice(1)
    thread = threading.Thread(target=lambda: found.append(runtime.getDevice()))
    thread.start()
    thread.join()
    assert found == [0]  # each thread has its own
    runtime.setDevice(0)


def test_work_handed_to_another_thread_is_done_on_the_device_that_is_current_there(cupy):
    found = []

    def work():
        try:
            x + 1
        except WrongDevice as error:
            found.append(str(error))

    with cupy.cuda.Device(1):
        x = cupy.ones(3)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == ["an array of GPU 1 is used while GPU 0 is current"]


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_reader_waits_for_the_writer(cupy, streams):
    one, two = streams
    with one:
        x = cupy.ones(3)
    with two, pytest.raises(Unordered, match=r"stream .* reads what stream .* wrote: .* waited for no event"):
        x + 1
    two.wait_event(one.record())
    with two:
        y = x + 1
    one.wait_event(two.record())
    same_on(two, y, 2)


def same_on(stream, x, value):
    with stream:
        assert (x.get() == value).all()


def test_an_event_tells_what_came_before_it_only(cupy, streams):
    one, two = streams
    with one:
        x = cupy.ones(3)
        early = one.record()
        x += 1
    with pytest.raises(TypeError, match="is no event"):
        two.wait_event(one)
    two.wait_event(early)
    with two, pytest.raises(Unordered, match="reads"):
        x.sum()
    two.wait_event(one.record())
    same_on(two, x, 2)
    one.wait_event(two.record())


def test_a_writer_waits_for_all_readers(cupy, streams):
    one, two = streams
    with one:
        x = cupy.ones(3)
    two.wait_event(one.record())
    with two:
        y = x + 1
    with one, pytest.raises(Unordered, match=r"stream .* writes what stream .* reads"):
        x += 1
    one.wait_event(two.record())
    with one:
        x += 1
    same_on(two, y, 2)


def test_the_host_can_order_everything(cupy, streams):
    one, two = streams
    with one:
        x = cupy.ones(3)
    one.synchronize()
    with two:
        y = x + 1
    cupy.cuda.Device(0).synchronize()
    same_on(one, y, 2)


def test_the_null_stream_waits_for_blocking_streams_alone(cupy):
    for non_blocking in (False, True):
        stream = cupy.cuda.Stream(non_blocking=non_blocking)
        x = cupy.ones(3)
        if non_blocking:
            with stream, pytest.raises(Unordered, match="reads what the null stream of GPU 0 wrote"):
                x + 1
            continue
        with stream:
            y = x + 1
        same(y + 1, np.full(3, 3.0))


def test_null_streams_of_two_devices_know_nothing_of_each_other(cupy):
    x = cupy.ones(4)
    with cupy.cuda.Device(1):
        y = cupy.empty(4)
        with pytest.raises(Unordered, match="the null stream of GPU 1 reads what the null stream of GPU 0 wrote"):
            y.data.copy_from_device_async(x.data, x.nbytes)
    there = cupy.cuda.get_current_stream().record()
    with cupy.cuda.Device(1):
        stream = cupy.cuda.get_current_stream()
        stream.wait_event(there)
        y.data.copy_from_device_async(x.data, x.nbytes)
        same(y, np.ones(4))
        back = stream.record()
    cupy.cuda.get_current_stream().wait_event(back)


def test_memory_is_freed_when_its_stream_knows_all_that_used_it(cupy, streams):
    one, two = streams
    for waits in (True, False):
        with one:
            x = cupy.ones(3)
        two.wait_event(one.record())
        with two:
            y = x + 1
        if waits:
            one.wait_event(two.record())
        del x
        assert len(stand_in.violations) == (not waits)
        del y
    assert "24 bytes of stream" in stand_in.violations[0] and "were freed while stream" in stand_in.violations[0]
    stand_in.violations.clear()


def test_memory_from_the_pool_of_another_stream_is_not_yet_free(cupy, streams):
    one, two = streams
    with one:
        cupy.ones(3)
        x = cupy.empty(3)
    with two, pytest.raises(Unordered, match=r"writes what stream .* allocated, from a pool"):
        x.fill(1)


def test_a_stream_belongs_to_its_device(cupy):
    with cupy.cuda.Device(1):
        stream, event = cupy.cuda.Stream(), cupy.cuda.Event()
    with pytest.raises(WrongDevice, match="of GPU 1 is made the current one while GPU 0"), stream:
        pass
    with pytest.raises(WrongDevice, match="an event of GPU 1 is recorded on the null stream of GPU 0"):
        event.record()
    with cupy.cuda.Device(1), stream:
        assert cupy.cuda.get_current_stream() is stream
        with cupy.cuda.Device(0):
            assert cupy.cuda.get_current_stream().device_id == 0


def test_events_tell_the_time(cupy):
    start, end, mute = cupy.cuda.Event(), cupy.cuda.Event(), cupy.cuda.Event(disable_timing=True)
    for event in (start, end, mute):
        event.record()
    assert end.done and cupy.cuda.get_elapsed_time(start, end) >= 0
    with pytest.raises(RuntimeError, match="invalid resource handle"):
        cupy.cuda.get_elapsed_time(start, mute)


def test_pinned_memory_is_read_when_the_stream_comes_to_it(cupy, streams):
    pinned = cupy.cuda.alloc_pinned_memory(24)
    host = np.frombuffer(pinned, np.float64, 3)
    for waits in (True, False):
        host[:] = 1
        with streams[0]:
            x = cupy.empty(3)
            x.set(host)
        if waits:
            streams[0].synchronize()
        host[:] = 7  # too early, unless the host waited
        same_on(streams[0], x, 1 if waits else 7)
    plain = np.ones(3)
    with streams[0]:
        x.set(plain)
        plain[:] = 7
    same_on(streams[0], x, 1)  # other memory is staged at once


# -- kernels ----------------------------------------------------------------------------------------------------------


def test_a_kernel_runs_on_the_memory_of_its_arrays(cupy):
    double = cupy.RawModule(code="text", options=("-std=c++17",)).get_function("double")
    x = cupy.ones((2, 3))
    double((1,), (32,), (x, np.int32(3)))
    double((1,), (32,), (x[1],))
    same(x, np.array([[2.0] * 3, [4.0] * 3]))
    assert stand_in.launches == {"double": 2}


def test_a_kernel_is_handed_what_cupy_hands_over(cupy):
    module = cupy.RawModule(code="text")
    module.get_function("k")((1, 2), (3,), (1, 1.0, np.float32(1), True))
    (name, grid, block, given), = module._program.seen
    assert (name, grid, block) == ("k", (1, 2), (3,))
    assert [type(v) for v in given] == [np.int64, np.float64, np.float32, np.int64]
    for wrong, error, text in ((np.ones(3), TypeError, "numpy.ndarray of shape"), ("a", TypeError, "Unsupported type"),
                               (cupy.ones((2, 3)).T, Strided, r"argument 0 \(3, 2\) has strides \(8, 24\)")):
        with pytest.raises(error, match=text):
            module.get_function("k")((1,), (1,), (wrong,))
    for grid, block in (((0,), (1,)), ((1,), (0,)), ((1,), (2048,))):
        with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_VALUE"):
            module.get_function("k")(grid, block, (cupy.ones(1),))
    for wrong in ({"options": ["a"], "code": "text"}, {}):
        with pytest.raises(TypeError):
            cupy.RawModule(**wrong)


def test_a_kernel_writes_unless_said_otherwise(cupy, streams):
    one, two = streams
    launch = cupy.RawModule(code="text").get_function("k")
    x = cupy.ones(3)
    one.synchronize()
    cupy.cuda.Device(0).synchronize()
    with one:
        launch((1,), (1,), (x,))
    with two, pytest.raises(Unordered, match="wrote"):
        launch((1,), (1,), (x,))
    cupy.cuda.Device(0).synchronize()
    stand_in.only_read["k"] = {0}
    launch((1,), (1,), (x,), stream=one)
    launch((1,), (1,), (x,), stream=two)
    with pytest.raises(Unordered, match=r"the null stream of GPU 0 writes what stream .* reads"):
        x.fill(0)
    with cupy.cuda.Device(1), pytest.raises(WrongDevice, match="k: an array of GPU 0 is used while GPU 1 is current"):
        launch((1,), (1,), (x,))
    cupy.cuda.Device(0).synchronize()


@pytest.mark.parametrize("use", [lambda x: x.T.copy(), lambda x: x.T.reshape(-1), lambda x: x.astype(np.float32),
                                 lambda x: x.T.ravel(), lambda x: np.reshape(x.T, 6)])  # fmt: skip
def test_what_is_copied_has_arrived(cupy, use):
    pinned = np.frombuffer(cupy.cuda.alloc_pinned_memory(48), np.float64).reshape(2, 3)
    pinned[:] = np.arange(6.0).reshape(2, 3)
    x = cupy.empty((2, 3))
    x.set(pinned, cupy.cuda.get_current_stream())
    np.testing.assert_array_equal(use(x).get(), use(np.arange(6.0).reshape(2, 3)))


# -- a graph ----------------------------------------------------------------------------------------------------------


def captured(cupy, work):
    with (stream := cupy.cuda.Stream(non_blocking=True)):
        stream.begin_capture()
        try:
            return work()
        finally:
            graphs.append(stream.end_capture())


graphs = []


def test_what_is_captured_is_not_done(cupy):
    x = cupy.asarray(np.arange(3.0))

    def work():
        nonlocal x
        x += 1
        return x * 2

    y = captured(cupy, work)
    assert x.tolist() == [0, 1, 2]
    assert np.isnan(y.get()).all()
    for times in (1, 2):
        graphs[-1].launch()
        assert (x.tolist(), y.tolist()) == ([times, times + 1, times + 2], [2 * times, 2 * times + 2, 2 * times + 4])
    with cupy.cuda.Device(1), pytest.raises(WrongDevice, match="a graph of GPU 0 is launched while GPU 1"):
        graphs[-1].launch()


@pytest.mark.parametrize("use", [
    lambda cupy, x: x.get(), lambda cupy, x: float(x[0, 0]), lambda cupy, x: x[x > 0],
    lambda cupy, x: x.device.mem_info, lambda cupy, x: cupy.asarray([1.0]),
    lambda cupy, x: x.set(np.ones((2, 2))), lambda cupy, x: x @ x,
    lambda cupy, x: np.vdot(x, x), lambda cupy, x: cupy.cuda.get_current_stream().synchronize(),
])  # fmt: skip
def test_what_asks_or_calls_cublas_cannot_be_captured(cupy, use):
    x = cupy.ones((2, 2))
    with pytest.raises((cupy.cuda.runtime.CUDARuntimeError, NotImplementedError), match=r"capture|not permitted"):
        captured(cupy, lambda: use(cupy, x))
    x @ x


def test_work_on_a_graphs_arrays_waits_for_the_graph_as_for_any_other(cupy, streams):
    x = cupy.asarray(np.arange(3.0))
    captured(cupy, lambda: np.add(x, 1, out=x))
    one, other = streams
    with one:
        one.wait_event(cupy.cuda.Stream.null.record())
        graphs[-1].launch()
    with other, pytest.raises(Unordered):
        x * 2
