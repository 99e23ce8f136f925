import functools
import threading
import time

import numpy as np
import pytest
from helpers import agree, distinct, normal

import minicnn.data  # noqa: F401 - else kernels.crop would not be there
from minicnn import Tensor, kernels, no_grad, ops
from minicnn.kernels import cores
from minicnn.kernels.product import WORTH_A_CORE, product

WINNERS = np.random.default_rng(0).integers(0, 6, (2, 2, 3, 3)).astype(np.uint8)  # of windows 2 × 3
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 4, 5, 2)).astype(np.uint8)  # 4 pictures, 4 × 5, 2 colours
PLACES = np.array([[0, 2, 1, 2], [0, 2, 1, 0], [0, 1, 1, 0]], np.uint8)  # top, left, mirrored
LRN = (1, 0.9, 0.75, 2.0)  # half, α, β, k
KERNELS = {  # (kernel, items, arguments): outputs, inputs, sizes, factors
    # no two sizes, steps or borders alike: else rows exchanged with columns are not seen
    "im2col": (kernels.im2col.im2col, 4, (normal(2, 2, 3, 5, 3), normal(2, 4, 3, 3), 1, 2, 2, 1, 1, 0)),
    "row2col": (kernels.row2col.row2col, 6, (normal(2, 3, 3, 4, 3), normal(3, 4, 5, 3), 1, 0, 1, 1, 2)),
    "col2im": (kernels.im2col.col2im, 2, (normal(2, 4, 3, 3), normal(2, 2, 3, 5, 3), 1, 2, 2, 1, 1, 0)),
    "max_pool2d": (kernels.max_pool2d.max_pool2d, 4,
                   (normal(2, 2, 3, 3), np.zeros_like(WINNERS), distinct(2, 3, 5, 3), 2, 3, 2, 1, 1, 0)),
    "max_pool2d_backward": (kernels.max_pool2d.max_pool2d_backward, 8,
                            (normal(2, 4, 5, 3), normal(2, 2, 3, 3), WINNERS, 2, 3, 2, 1, 0, 0)),
    "local_response_norm": (kernels.local_response_norm.local_response_norm, 150,
                            (normal(4, 150), normal(4, 150), *LRN)),
    "local_response_norm, another β": (kernels.local_response_norm.local_response_norm, 50,
                                       (normal(4, 50), normal(4, 50), 1, 0.9, 0.6, 2.0)),
    "local_response_norm_backward": (kernels.local_response_norm.local_response_norm_backward, 150,
                                     (normal(4, 150), normal(4, 150), normal(4, 150, seed=1), *LRN, 1.35)),
    "dropout": (kernels.dropout.dropout, 3,
                (normal(3, 6), normal(3, 6), np.array([2**60, 2**40]), 7, 5, np.uint64(2**31), 2.0)),
    "cross_entropy": (kernels.cross_entropy.cross_entropy, 5,
                      (normal(4, 5), normal(5), 3 * normal(4, 5, seed=1), np.array([0, 3, 1, 1, 2]))),
    "cross_entropy_backward": (kernels.cross_entropy.cross_entropy_backward, 5,
                               (normal(4, 5), normal(4, 5, seed=1), np.array([0, 3, 1, 1, 2]), normal(1))),
    "crop": (kernels.crop.crop, 4, (normal(2, 2, 3, 4), PIXELS, PLACES, normal(2, 4, 5), normal(2, 4, seed=1), 0.5)),
    "relu": (kernels.relu.relu, 3, (normal(3, 4), normal(3, 4, seed=1))),
    "relu_backward": (kernels.relu.relu_backward, 3, (normal(3, 4), normal(3, 4), normal(3, 4, seed=1))),
    "sgd": (kernels.sgd.sgd, 9, (normal(9), normal(9), normal(9, seed=1), 0.1, 0.9, 0.01)),
}  # fmt: skip


def own(arguments, dtype):
    """Copies that a kernel may write to, in the precision asked for."""
    return [np.copy(a).astype(dtype if a.dtype.kind == "f" else a.dtype) if isinstance(a, np.ndarray) else a
            for a in arguments]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KERNELS)
def test_the_compiled_kernel_does_what_its_python_says(name, dtype):
    kernel, items, arguments = KERNELS[name]
    compiled, plain = own(arguments, dtype), own(arguments, dtype)
    kernel(*compiled)
    kernel.plain(0, items, *plain)
    for got, expected in zip(compiled, plain, strict=True):
        agree(got, expected, tolerance=1e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("name", KERNELS)
def test_items_may_be_done_in_any_order(name):
    kernel, items, arguments = KERNELS[name]
    at_once, one_by_one = own(arguments, np.float64), own(arguments, np.float64)
    kernel(*at_once)
    for i in reversed(range(items)):
        kernel.plain(i, i + 1, *one_by_one)
    for got, expected in zip(one_by_one, at_once, strict=True):
        agree(got, expected, tolerance=1e-13)


def test_every_kernel_is_tested_here():
    files = [vars(file) for file in vars(kernels).values() if getattr(file, "__package__", "") == "minicnn.kernels"]
    assert len(files) > 5
    assert {name for file in files for name, value in file.items() if hasattr(value, "plain")} <= set(KERNELS)


# -- the launcher ------------------------------------------------------------------------------------------------------


def test_the_launcher_refuses_arrays_that_are_not_contiguous():
    with pytest.raises(ValueError, match=r"relu: an array \(3, 4\) has strides \(8, 24\)"):
        kernels.relu.relu(np.empty((3, 4)), normal(4, 3).T)


def test_the_launcher_refuses_types_that_differ():
    with pytest.raises(ValueError, match="relu: arrays of float32 and float64: give all of one type"):
        kernels.relu.relu(np.empty((3, 4)), np.zeros((3, 4), np.float32))


@pytest.mark.parametrize("dtype", [np.int64, np.float16])
def test_the_launcher_refuses_types_it_has_no_kernels_for(dtype):
    with pytest.raises(ValueError, match=f"relu: arrays of {dtype.__name__}: give .* float32 or float64"):
        kernels.relu.relu(np.empty((3, 4), dtype), np.zeros((3, 4), dtype))


# -- every core at once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("items", [0, 1, 2, 15, 16, 17, 100, 1001])
def test_parallel_for_covers_every_item_once_and_in_order(items, count, threads):
    threads(count)
    slices = cores.parallel_for(items, lambda first, last: list(range(first, last)))
    assert [i for each in slices for i in each] == list(range(items))
    assert all(slices)


def test_the_parts_do_not_depend_on_the_threads(threads):
    def slices(count):
        threads(count)
        return cores.parallel_for(1000, lambda first, last: (first, last))

    assert slices(1) == slices(2) == slices(7)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_more_cores_work_than_may(count, threads):
    threads(count)
    workers = cores.parallel_for(100, lambda first, last: time.sleep(0.005) or threading.get_ident())
    assert len(set(workers)) <= count
    assert threading.get_ident() in workers


@pytest.mark.parametrize("count", [1, 2])
def test_an_exception_comes_out_of_parallel_for_and_the_next_one_works(count, threads):
    threads(count)

    def fail(first, last):
        if first <= 50 < last:
            raise ZeroDivisionError(f"{first} to {last}")

    with pytest.raises(ZeroDivisionError, match="to"):
        cores.parallel_for(100, fail)
    assert len(cores.parallel_for(100, lambda first, last: None)) == cores.PARTS


def test_an_exception_on_another_core_comes_out_too(threads):
    threads(2)
    here, others_turn = threading.get_ident(), threading.Event()

    def fail(first, last):
        if threading.get_ident() != here:
            others_turn.set()
            raise ZeroDivisionError
        others_turn.wait(10)

    with pytest.raises(ZeroDivisionError):
        cores.parallel_for(100, fail)


def test_what_numpy_is_told_to_ignore_is_ignored_on_every_core(threads):
    threads(2)
    here, others_turn, told = threading.get_ident(), threading.Event(), []

    def ask(first, last):
        told.append((threading.get_ident(), np.geterr()["over"]))
        if threading.get_ident() != here:
            others_turn.set()
        others_turn.wait(10)

    with np.errstate(over="raise"):
        cores.parallel_for(100, ask)
    assert len({thread for thread, _ in told}) == 2
    assert {state for _, state in told} == {"raise"}


def test_parallel_for_inside_of_another_does_the_same_parts_on_one_core(threads):
    threads(2)

    def inner(first, last):
        return cores.parallel_for(40, lambda a, b: (threading.get_ident(), a, b)), threading.get_ident()

    alone = [(a, b) for _, a, b in inner(0, 1)[0]]
    assert len(alone) == cores.PARTS
    for calls, thread in cores.parallel_for(40, inner):
        assert calls == [(thread, a, b) for a, b in alone]
    assert cores.parallel_for(10, lambda first, last: cores.parallel_for(0, lambda a, b: None)) == [[]] * 10


def test_parallel_for_inside_of_another_leaves_idle_cores_alone(threads):
    threads(4)

    def inner(first, last):
        return threading.get_ident(), cores.parallel_for(8, lambda a, b: time.sleep(0.001) or threading.get_ident())

    for thread, others in cores.parallel_for(2, inner):
        assert set(others) == {thread}


class Blas:
    """As threadpoolctl shows one: with a number of threads for the process, which only that thread may set which called
    it first, until told otherwise; or with one for each thread."""

    def __init__(self, threading_layer):
        self.threading_layer, self.number, self.controls, self.own = threading_layer, 8, None, threading.local()

    def clear_controlling_thread(self, force):
        self.controls = None

    def get_num_threads(self):
        return self.number if self.threading_layer == "pthreads" else getattr(self.own, "number", 8)

    def set_num_threads(self, number):
        if self.threading_layer == "openmp":
            self.own.number = number
        elif self.controls in (None, threading.get_ident()):
            self.number, self.controls = number, threading.get_ident()


@pytest.fixture(params=["this machine's", "pthreads", "openmp"])
def blas_threads(request, monkeypatch, threads):
    """Asks how many threads the BLAS takes in this thread of Python."""
    if request.param != "this machine's":
        blas = [Blas(request.param), Blas(request.param)]  # as where NumPy has one and SciPy another
        monkeypatch.setattr(cores, "_blas", lambda: blas)
        monkeypatch.setattr(cores, "_pool", functools.cache(cores._pool.__wrapped__))
    threads(2)
    before = [each.get_num_threads() for each in cores._blas()]
    cores.one_thread._set([3] * len(before))
    yield lambda: {each.get_num_threads() for each in cores._blas()}
    cores.one_thread._set(before)


def test_two_threads_at_once_leave_the_blas_as_it_was(blas_threads):
    begun, go_on, seen = threading.Event(), threading.Event(), []

    def hold(first, last):
        seen.append(blas_threads())
        begun.set()
        go_on.wait(10)
        seen.append(blas_threads())

    other = threading.Thread(target=cores.parallel_for, args=(2, hold))
    with cores.one_thread:  # comes first, and leaves first
        assert blas_threads() == {1}
        other.start()
        begun.wait(10)
    go_on.set()
    other.join()
    assert seen == [{1}] * 4
    assert blas_threads() == {3}


def test_an_error_leaves_the_blas_as_it_was(blas_threads):
    with pytest.raises(ZeroDivisionError):
        cores.parallel_for(100, lambda first, last: 1 // 0)
    with cores.one_thread, cores.one_thread:
        assert blas_threads() == {1}
    assert blas_threads() == {3}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("m, k, n", [(1, 3000, 2900), (520, 530, 67), (601, 3901, 4), (2, 27, 200_000)])
def test_a_product_is_spread_over_the_cores(m, k, n, count, threads):
    threads(count)
    random = np.random.default_rng(0)
    a, b = random.integers(-9, 9, (m, k)).astype(np.float32), random.integers(-9, 9, (k, n)).astype(np.float32)
    expected = a.astype(int) @ b.astype(int)  # small whole numbers, so that no sum is rounded
    assert m * k * n >= 2 * WORTH_A_CORE
    for x in (a, np.asfortranarray(a)):
        for y in (b, np.asfortranarray(b)):
            np.testing.assert_array_equal(product(x, y), expected)
            out = np.full((m, n + 2), np.nan, np.float32)
            product(x, y, out=out[:, :n])
            np.testing.assert_array_equal(out[:, :n], expected)
    assert product(a, b).dtype == np.float32


def test_who_has_not_begun_when_all_is_done_is_not_waited_for(threads):
    threads(2)
    held, begun = threading.Event(), threading.Event()

    def occupied():
        begun.set()
        return held.wait(5)

    pool = cores._pool(1)
    other = pool.submit(occupied)
    begun.wait(60)
    try:
        assert len(cores.parallel_for(100, lambda first, last: None)) == cores.PARTS
    finally:
        held.set()
    assert other.result(), "parallel_for waited for it"


@pytest.mark.parametrize("count", ["2", 2.0, None])
def test_threads_are_a_whole_number(count):
    with pytest.raises(TypeError, match=f"set_num_threads: {count!r} is no whole number: give 1 or more"):
        kernels.set_num_threads(count)


@pytest.mark.parametrize("count", [0, -1])
def test_no_threads_are_refused(count):
    with pytest.raises(ValueError, match=f"set_num_threads: {count} threads cannot work"):
        kernels.set_num_threads(count)


def net(x, w, b):
    y = ops.conv2d(x, w, b, padding=2, groups=2).relu()
    y = ops.max_pool2d(ops.local_response_norm(y, alpha=1.0))
    return ops.dropout(y, [1, 2])


SAME = {  # shapes of what goes in: of products that are shared out and of such that are not, blocks and slices
    "net": (net, (9, 12, 21, 21), (16, 6, 5, 5), (16,)),
    "conv2d, many blocks": (lambda x, w: ops.conv2d(x, w, padding=1), (40, 32, 31, 31), (24, 32, 3, 3)),
    "conv2d, by Fourier": (lambda x, w, b: ops.conv2d(x, w, b, padding=2, groups=2, algorithm="fourier"),
                           (131, 6, 17, 12), (10, 3, 5, 4), (10,)),
    "conv2d, Fourier's own choice": (lambda x, w: ops.conv2d(x, w, padding=1), (64, 128, 13, 13), (96, 128, 3, 3)),
    "conv2d, one picture": (lambda x, w: ops.conv2d(x, w, padding=1), (1, 48, 27, 27), (64, 48, 3, 3)),
    "conv2d, one channel": (lambda x, w: ops.conv2d(x, w, stride=2), (3, 1, 40, 40), (5, 1, 7, 7)),
    "linear": (ops.linear, (65, 501), (1100, 501), (1100,)),
    "linear, one picture": (ops.linear, (1, 3001), (257, 3001), (257,)),
    "matmul": (ops.matmul, (130, 777), (777, 1095)),
    "matmul, a vector": (ops.matmul, (515, 1030), (1030,)),
    "matmul, few rows": (ops.matmul, (3, 400), (400, 900)),
    "matmul, a stack": (ops.matmul, (7, 90, 110), (110, 130)),
    "softmax": (lambda x: x.log_softmax().softmax(0), (300, 401)),
    "sums": (lambda x: x.sum(0) * x.mean(1, keepdims=True), (300, 401)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("what", SAME)
def test_results_are_the_same_to_the_last_bit_for_any_number_of_threads(what, dtype, threads):
    function, *shapes = SAME[what]

    def results(count):
        threads(count)
        inputs = [Tensor(normal(*shape, seed=i), dtype=dtype, requires_grad=True) for i, shape in enumerate(shapes)]
        y = function(*inputs)
        y.backward(normal(*y.shape))
        with no_grad():
            again = function(*inputs)
        return [y.numpy().tobytes(), again.numpy().tobytes(), *(x.grad.numpy().tobytes() for x in inputs)]

    one = results(1)
    for count in (2, 3, 5):
        for i, (got, expected) in enumerate(zip(results(count), one, strict=True)):
            assert got == expected, f"{count} threads, result {i}"


@pytest.mark.parametrize("m, k, n", [(1, 9000, 1), (90, 100, 3), (200, 200, 200), (3000, 3000, 1)])
def test_every_product_that_a_blas_might_cut_runs_on_one_of_its_threads(m, k, n, blas_threads, monkeypatch):
    seen, multiply = [], np.matmul

    def watched(*inputs, **settings):
        seen.append(blas_threads())
        return multiply(*inputs, **settings)

    monkeypatch.setattr(np, "matmul", watched)
    product(np.ones((m, k)), np.ones((k, n)))
    assert seen == [{1}] * len(seen) != []


def test_the_same_bits_whatever_the_threads_of_the_blas():
    """NumPy's own number of threads is the user's; ops do not see it."""
    a, b = (Tensor(normal(700, 700, seed=i)) for i in (0, 1))
    expected = ops.matmul(a, b).numpy().tobytes()
    for each in cores._blas():
        before = each.get_num_threads()
        try:
            for count in (1, 2, 3):
                each.set_num_threads(count)
                assert ops.matmul(a, b).numpy().tobytes() == expected
        finally:
            each.set_num_threads(before)
