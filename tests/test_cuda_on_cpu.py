"""What is seen in a kernel's text when the processor runs it: slips that a GPU answers with wrong numbers, or not."""

import numpy as np
import pytest
from cuda_on_cpu import ORDERS, KernelTrouble, compile, needs_compiler
from nvrtc import compiles, needs_nvrtc

from minicnn.kernels import cuda_source, relu

pytestmark = needs_compiler
HEAD = cuda_source(relu.relu.plain.__code__.co_filename, [np.zeros(1)])[0].partition("#line 1 \"relu.cu\"")[0]

SUM = """KERNEL sum(Real *y, const Real *x, int size)  // one block adds up all of x
{
    __shared__ Real part[64];
    part[threadIdx.x] = 0;
    for (int i = threadIdx.x; i < size; i += blockDim.x)
        part[threadIdx.x] += x[i];
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
    }
    if (threadIdx.x == 0)
        y[0] = part[0];
}"""


def run(kernel, arguments, order="forward", threads=8, blocks=1):
    text = HEAD + kernel.replace("threadIdx.x < half", "int(threadIdx.x) < half")
    program = compile(text)
    program.launch(program.names[0], (blocks,), (threads,), arguments, order)


@pytest.mark.parametrize("order", ORDERS)
def test_threads_that_wait_for_one_another_are_right(order):
    y, x = np.zeros(1), np.arange(100.0)
    run(SUM, [y, x, np.int32(100)], order)
    assert y[0] == x.sum()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("old", "new", "trouble"), [
    ("        __syncthreads();\n", "", "reads what the other writes|writes what the other reads"),
    ("__syncthreads();", "if (int(threadIdx.x) < half) __syncthreads();", "waits at a barrier that others left out"),
    ("part[threadIdx.x] = 0;", "if (threadIdx.x) part[threadIdx.x] = 0;", None),
    ("if (threadIdx.x == 0)\n        y[0]", "y[0]", "both write, array 0, element 0|shared memory, byte 0"),
    ("i < size", "i <= size", "reads out of bounds, array 1, element 100"),
])  # fmt: skip
def test_a_slip_is_seen(old, new, trouble, order):
    assert SUM.count(old) == 1
    y, x = np.zeros(1), np.arange(100.0)
    if trouble is None:  # shared memory is not 0 at first
        run(SUM.replace(old, new), [y, x, np.int32(100)], order)
        assert np.isnan(y[0])
    else:
        with pytest.raises(KernelTrouble, match=f"sum, {order}: .*({trouble})"):
            run(SUM.replace(old, new), [y, x, np.int32(100)], order)


@pytest.mark.parametrize("blocks", [1, 3])
def test_an_update_that_a_gpu_would_lose_is_seen_though_the_answer_is_right(blocks):
    count = "KERNEL count(int *y, int size) { for (int i = thread(); i < size; i += threads()) y[i % 5]++; }"
    with pytest.raises(KernelTrouble, match=r"(both write|one reads what the other writes), array 0"):
        run(count, [np.zeros(5, np.int32), np.int32(100)], blocks=blocks)


def test_what_one_block_writes_no_other_may_read():
    chain = "KERNEL chain(int *y, int size) { if (thread() < size) y[thread() + 1] = y[thread()]; }"
    with pytest.raises(KernelTrouble, match=r"one (reads|writes) what the other (writes|reads)"):
        run(chain, [np.zeros(65, np.int32), np.int32(64)], blocks=8)


@pytest.mark.parametrize(("index", "element"), [("thread() - 1", -1), ("thread() + 1", 8)])
def test_a_write_beside_an_array_is_seen(index, element):
    beside = f"KERNEL beside(int *y) {{ y[{index}] = 1; }}"
    memory = np.zeros(32, np.int32)
    with pytest.raises(KernelTrouble, match=f"writes out of bounds, array 0, element {element}"):
        run(beside, [memory[8:16]])


def test_half_precision_is_read_and_rounded_as_numpy_does():
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    wide = np.zeros(every.size, np.float32)
    run("KERNEL widen(float *y, const Half *x) { y[thread()] = x[thread()]; }", [wide, every], blocks=1 << 13)
    np.testing.assert_array_equal(wide, every.astype(np.float32))
    assert (np.signbit(wide) == np.signbit(every)).all()

    finite = np.sort(wide[np.isfinite(wide)])
    between = (finite[1:] + finite[:-1]) / 2  # as far from the one as from the other
    x = np.concatenate([finite, between, np.nextafter(between, np.inf), np.nextafter(between, -np.inf),
                        np.float32([65519.9, 65520, -65520, 1e30, np.inf, -np.inf, np.nan, 1e-8, -1e-45])])
    narrow = np.zeros(x.size, np.float16)
    run("KERNEL narrow(Half *y, const float *x, int size) { if (thread() < size) y[thread()] = x[thread()]; }",
        [narrow, x, np.int32(x.size)], blocks=-(-x.size // 8))
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(narrow, expected)
    assert (np.signbit(narrow) == np.signbit(expected)).all()


@needs_nvrtc
def test_a_warning_of_the_compiler_is_an_error():
    with pytest.raises(AssertionError, match=r"unused.*never referenced"):
        compiles("relu", HEAD + "KERNEL f(int *y) { int unused; y[0] = 1; }", ("-std=c++17",), "sm_90")
