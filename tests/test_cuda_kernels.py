"""The CUDA kernels, where there is no GPU: each text compiles for every architecture, and run by the processor it does
what its Python twin does."""

import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cuda_on_cpu import ORDERS, KernelTrouble, compile, needs_compiler, ran
from helpers import agree, distinct, normal
from hypothesis import example, given
from hypothesis import strategies as st
from nvrtc import ARCHITECTURES, compiles, needs_nvrtc
from test_kernels import KERNELS

from minicnn import kernels
from minicnn.kernels import columns

HOUSE = Path(kernels.__file__).parent
ROOMS = [room for room in vars(kernels).values() if getattr(room, "__package__", "") == "minicnn.kernels"]
TWINS = {name: value for room in ROOMS for name, value in vars(room).items()
         if hasattr(value, "plain") and value.__module__ == room.__name__}  # fmt: skip
FILES = sorted({Path(kernel.plain.__code__.co_filename).stem for kernel in TWINS.values()})
GUARD = 40  # numbers on both sides of an array

# -- the text ---------------------------------------------------------------------------------------------------------


def test_every_kernel_has_its_twin_and_every_twin_a_kernel():
    there = {name for path in HOUSE.glob("*.cu") for name in re.findall(r"^KERNEL (\w+)\(", path.read_text(), re.M)}
    assert there == set(TWINS)
    assert {path.stem for path in HOUSE.glob("*.cu")} == set(FILES)


@pytest.mark.parametrize("name", TWINS)
def test_twins_take_the_same_arguments_in_the_same_order(name):
    kernel = TWINS[name].plain
    text = Path(kernel.__code__.co_filename).with_suffix(".cu").read_text(encoding="utf-8")
    parameters = re.search(rf"^KERNEL {name}\((.*?)\)", text, re.M | re.S)[1]
    named = [match[1] for p in parameters.split(",") if (match := re.search(r"\w[ *]+(\w+)$", p.strip()))]
    _, _, *expected = inspect.signature(kernel).parameters
    assert [n for n in named if n in expected] == expected


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("real", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("file", FILES)
def test_it_compiles_without_a_warning(file, real, architecture):
    wholes = {np.dtype(a.dtype) for name, (kernel, _, arguments) in KERNELS.items() for a in arguments
              if Path(kernel.plain.__code__.co_filename).stem == file and isinstance(a, np.ndarray)
              and a.dtype.kind in "iu"} or {np.dtype(np.uint8)}  # fmt: skip
    for whole in wholes | ({np.dtype(np.uint32)} if np.dtype(np.uint8) in wholes else set()):
        arrays = [np.empty(1, real), np.empty(1, whole)]
        compiles(file, *kernels.cuda_source(str(HOUSE / f"{file}.py"), arrays), architecture)


# -- what it does -----------------------------------------------------------------------------------------------------


def guarded(a):
    """(a copy of a, all the memory around it)"""
    memory = np.full(a.size + 2 * GUARD, 77, a.dtype)
    memory[GUARD : GUARD + a.size] = a.ravel()
    return memory[GUARD : GUARD + a.size].reshape(a.shape), memory


def on_gpu(kernel, arguments, order, blocks=None):
    """The arrays after a launch as the launcher would do it, or with so many blocks, of the kernel's CUDA text."""
    copies = [guarded(a) if isinstance(a, np.ndarray) else (a, None) for a in arguments]
    arrays = [a for a, memory in copies if memory is not None]
    real = np.result_type(np.float32, *(a.dtype for a in arrays if a.dtype.kind == "f")).type
    given = tuple(real(a) if isinstance(a, float) else a for a, _ in copies)
    name = kernel.__name__
    grid, block, values = kernels.launch_of(name, given)
    program = compile(*kernels.cuda_source(kernel.plain.__code__.co_filename, arrays))
    program.launch(name, (blocks,) if blocks else grid, block, values, order)
    for a, memory in copies:
        if memory is not None:
            edges = np.concatenate([memory[:GUARD], memory[GUARD + a.size :]])
            assert (edges == edges[0]).all(), f"{name} wrote beside an array {a.shape}"
    return arrays


def in_numba(kernel, given):
    """The arrays afterwards; those of half precision computed in single, and then rounded."""
    half = any(a.dtype == np.float16 for a in given if isinstance(a, np.ndarray))
    arguments = [(a.astype(np.float32) if a.dtype == np.float16 else a.copy()) if isinstance(a, np.ndarray) else a
                 for a in given]  # fmt: skip
    kernel(*arguments)
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    with np.errstate(over="ignore"):
        return [a.astype(np.float16) if half and a.dtype == np.float32 else a for a in arrays]


def check_twins(kernel, *arguments):
    """In all precisions and every order of threads: the CUDA text does what Numba does."""
    for real, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5), (np.float16, 1e-3)):
        given = [np.copy(a).astype(real if a.dtype.kind == "f" else a.dtype) if isinstance(a, np.ndarray) else a
                 for a in arguments]  # fmt: skip
        expected = in_numba(kernel, given)
        first = None
        for order in ORDERS:
            found = on_gpu(kernel, given, order)
            for got, right in zip(found, expected, strict=True):
                agree(got, right, f"{kernel.__name__} in {real.__name__}, {order}", tolerance)
            first = first or [a.tobytes() for a in found]
            assert [a.tobytes() for a in found] == first, f"{kernel.__name__}: other bits in another order"
            ran.add((kernel.__name__, order))
        for got, right in zip(on_gpu(kernel, given, "forward", blocks=1), expected, strict=True):
            agree(got, right, f"{kernel.__name__} in one block", tolerance)


@st.composite
def windows(draw, largest=5):
    """(C, N, H, W, P, Q, geometry): windows R × S over an image with something above and left of it; geometry is (R, S,
    down, right, top, left)."""
    sizes, steps = st.integers(1, largest), st.integers(1, 4)
    R, S, down, right = draw(sizes), draw(sizes), draw(steps), draw(steps)
    top, left = draw(st.integers(0, R - 1)), draw(st.integers(0, S - 1))
    H, W = draw(st.integers(max(1, R - top), 9)), draw(st.integers(max(1, S - left), 9))
    below, beside = draw(st.integers(0, R - 1)), draw(st.integers(0, S - 1))
    P, Q = (H + top + below - R) // down + 1, (W + left + beside - S) // right + 1
    C, N = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 5, 31, 33, 70]))
    return C, N, H, W, P, Q, (R, S, down, right, top, left)


@needs_compiler
@given(windows(), st.data())
def test_columns_of_rows(window, data):
    C, N, H, W, P, Q, (R, S, down, right, top, left) = window
    rows, h = data.draw(st.integers(1, R)), data.draw(st.integers(0, (P - 1) * down))
    q = data.draw(st.integers(0, Q - 1))
    places = data.draw(st.integers(1, Q - q))
    columns, x = normal(rows, C, S, places, N), normal(C, H, W, N, seed=1)
    check_twins(TWINS["row2col"], columns, x, h, q, right, top, left)


@needs_compiler
@given(windows(), st.data())
def test_columns(window, data):
    C, N, H, W, P, Q, (R, S, *steps) = window
    start = data.draw(st.integers(0, P * Q - 1))
    positions = data.draw(st.integers(1, P * Q - start))
    columns, x = normal(C, R, S, positions, N), normal(C, H, W, N, seed=1)
    check_twins(TWINS["im2col"], columns, x, start, Q, *steps)
    check_twins(TWINS["col2im"], x, columns, start, Q, *steps)


@needs_compiler
@given(windows(), st.sampled_from([np.uint8, np.uint32]), st.booleans(), st.booleans())
def test_pooling(window, whole, ties, nan):
    C, N, H, W, P, Q, geometry = window
    x = np.round(2 * distinct(C, H, W, N)) if ties else distinct(C, H, W, N)
    if nan:
        x[..., 0][x[..., 0] > 0.5] = np.nan
    y, winner = normal(C, P, Q, N), np.zeros((C, P, Q, N), whole)
    check_twins(TWINS["max_pool2d"], y, winner, x, *geometry)
    TWINS["max_pool2d"](y, winner, x, *geometry)
    gx, gy = normal(C, H, W, N), normal(C, P, Q, N, seed=2)
    check_twins(TWINS["max_pool2d_backward"], gx, gy, winner, *geometry)


@needs_compiler
@given(st.integers(1, 21), st.sampled_from([1, 3, 33, 300]), st.sampled_from([0, 1, 2, 7, 8, 30]),
       st.sampled_from([0.75, 0.6, 1.0]))  # fmt: skip
@example(C=21, positions=3, half=8, beta=0.75)  # a window just too wide to be remembered
def test_local_response_norm(C, positions, half, beta):
    x, gy = normal(C, positions), normal(C, positions, seed=1)
    settings = (half, 0.9, beta, 2.0)
    check_twins(TWINS["local_response_norm"], np.zeros_like(x), x, *settings)
    check_twins(TWINS["local_response_norm_backward"], np.zeros_like(x), gy, x, *settings, 1.8 * beta)


@needs_compiler
@given(st.integers(1, 9), st.sampled_from([1, 3, 4, 130, 257]), st.integers(0, 2**31 - 10), st.integers(0, 2**31 - 262),
       st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.floats(0, 0.99))  # fmt: skip
@example(units=2, N=130, first_unit=3, first_image=6, step=2**62 + 1, key=2**62 + 1, p=0.5)
def test_dropout_has_the_same_bits(units, N, first_unit, first_image, step, key, p):
    settings = np.array([key, step]), first_unit, first_image, np.uint64(p * 2**32), 1.0
    x = normal(units, N)
    check_twins(TWINS["dropout"], np.zeros_like(x), x, *settings)
    host = np.empty_like(x)
    TWINS["dropout"](host, x, *settings)
    assert on_gpu(TWINS["dropout"], (np.empty_like(x), x, *settings), "forward")[0].tobytes() == host.tobytes()


@needs_compiler
@given(st.integers(1, 40), st.sampled_from([1, 2, 31, 32, 33, 70]), st.sampled_from([1.0, 1e4]))
def test_cross_entropy(K, N, size):
    x, labels = size * normal(K, N), np.random.default_rng(0).integers(0, K, N)
    check_twins(TWINS["cross_entropy"], np.zeros_like(x), np.zeros(N), x, labels)
    y = np.abs(normal(K, N, seed=1))
    check_twins(TWINS["cross_entropy_backward"], np.zeros_like(x), y, labels, normal(1))


@needs_compiler
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.sampled_from([1, 2, 33, 64]))
def test_crop(C, H, W, N):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (N, H + 2, W + 3, C)).astype(np.uint8)
    places = np.stack([random.integers(0, 3, N), random.integers(0, 4, N), random.integers(0, 2, N)]).astype(np.uint8)
    mean, noise = 100 * normal(C, H + 2, W + 3), normal(C, N, seed=1)
    check_twins(TWINS["crop"], np.zeros((C, H, W, N)), pictures, places, mean, noise, 0.37)


@needs_compiler
@given(st.integers(1, 5), st.integers(1, 300))
def test_relu(items, size):
    x, g = normal(items, size), normal(items, size, seed=1)
    x[0, 0] = np.nan
    x[-1, -1] = 0
    check_twins(TWINS["relu"], g, x)
    check_twins(TWINS["relu_backward"], np.zeros_like(x), g, x)


@needs_compiler
@given(st.sampled_from([1, 255, 256, 257, 20_000]))
def test_sgd(size):
    check_twins(TWINS["sgd"], *(normal(size, seed=i) for i in range(3)), 0.1, 0.9, 0.01)


@needs_compiler
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_ran_in_every_order(name):
    """Also alone, so that this holds whichever tests are chosen."""
    kernel, _, arguments = KERNELS[name]
    check_twins(kernel, *arguments)
    assert {(kernel.__name__, order) for order in ORDERS} <= ran


# -- the launcher ------------------------------------------------------------------------------------------------------


def test_the_launcher_takes_no_more_threads_than_it_can_count():
    grid, block, values = kernels.launch_of("sgd", (np.broadcast_to(np.float32(0), (2**30,)), 3, np.uint64(2**40)))
    assert (grid, block) == ((kernels.BLOCKS,), (kernels.THREADS,))
    assert [(type(v), v) for v in values[1:]] == [(np.int32, 2**30), (np.int32, 3), (np.uint64, 2**40)]
    with pytest.raises(ValueError, match=r"relu: an array \(65536, 32768\) has 2147483648 elements.*smaller batch"):
        kernels.launch_of("relu", (np.broadcast_to(np.float32(0), (2**16, 2**15)),))
    with pytest.raises(OverflowError):
        kernels.launch_of("dropout", (np.zeros(1), 2**40))


def test_a_workspace_is_a_share_of_the_memory_that_a_kernel_can_count():
    def like(total, itemsize):
        gpu = type("Gpu", (), {"mem_info": (0, total)})()  # with a hash, as CuPy's
        return SimpleNamespace(device=gpu, itemsize=itemsize)

    assert columns.room(np.zeros(1)) == (4 << 20, 16 << 20)
    assert columns.room(like(8 << 30, 4)) == (1 << 29, 1 << 29)
    assert columns.room(like(192 << 30, 4))[0] == 4 * kernels.MOST_ELEMENTS


@needs_compiler
def test_a_kernel_is_launched_with_the_very_types_that_it_declares():
    x = np.zeros((2, 3))
    program = compile(*kernels.cuda_source(str(HOUSE / "relu.py"), [x]))
    for values in ([x, np.int64(2), np.int32(3)] * 2, [x.astype(np.float32), *map(np.int32, x.shape)] * 2, [x, x]):
        with pytest.raises(TypeError, match=r"relu: takes \*f8 i4 i4 \*f8 i4 i4, was given"):
            program.launch("relu", (1,), (32,), values)
    with pytest.raises(KernelTrouble, match="reads out of bounds, array 1, element 6"):
        program.launch("relu", (1,), (32,), [np.zeros(7), np.int32(7), np.int32(1), x, np.int32(7), np.int32(1)])
