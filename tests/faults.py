"""Faults, each a small slip of the pen as anybody may make it. planted_faults.py makes them, one at a time."""

from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Fault:
    """In ``file`` the text ``old`` becomes ``new``, and then ``tests`` (files or node ids) must fail.

    old: stands there ``count`` times. at: which of them changes, from 0; None: all.
    verdict: what the numerical check of op ``case`` should say, or any one of several; None where it cannot tell: where
        value and gradient are wrong alike, or no gradient is wrong, or no verdict describes it.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str = ""
    verdict: str | tuple[str, ...] | None = None
    case: str = ""
    count: int = 1
    at: int | None = None

    @property
    def op(self) -> str:
        return self.case or Path(self.file).stem

    def source(self) -> str:
        """The text of the file with the fault in it."""
        pieces = (HOUSE / self.file).read_text(encoding="utf-8").split(self.old)
        if len(pieces) != self.count + 1:
            raise ValueError(f"{self.name}: {self.old!r} stands {len(pieces) - 1} times in {self.file}, expected "
                             f"{self.count}: mend the fault")
        joints = [self.new if self.at in (None, i) else self.old for i in range(self.count)]
        return "".join(a + b for a, b in zip(pieces, [*joints, ""], strict=True))


def slips(file: str, tests: str, **common):
    """Makes faults of one file, which the same tests see unless others are given."""

    def fault(name: str, old: str, new: str, tests: str = tests, **own) -> Fault:
        return Fault(name, file, old, new, tests, **{**common, **own})

    return fault


def ops(stem: str):
    return slips(f"minicnn/ops/{stem}.py", f"test_{stem}.py")


def kernel(stem: str):
    return slips(f"kernels/{stem}.py", f"test_{stem}.py")


def cuda(stem: str, test: str = ""):
    return slips(f"kernels/{stem}", f"test_cuda_kernels.py{test and '::test_'}{test}")


def gpus(stem: str):
    fault = slips(f"minicnn/{stem}.py", "")
    return lambda name, old, new, test: fault(name, old, new, f"test_cuda_devices.py::{test}")


def house(stem: str, tests: str):
    return slips(f"minicnn/{stem}.py", tests)


on_gpus, backward_on_gpus = gpus("engine/device"), gpus("engine/tensor")
modules = house("nn/module", "test_modules.py")
COLLISION = ("= for +=", "overlapping windows")
TERM, BROADCAST, BORDER = "term missing", "broadcast axis not summed", "padded border"

arithmetic, reduce, shape = ops("arithmetic"), ops("reduce"), ops("shape")
linear, conv2d, max_pool2d = ops("linear"), ops("conv2d"), ops("max_pool2d")
lrn, relu, dropout = ops("local_response_norm"), ops("relu"), ops("dropout")
cross_entropy, to_device = ops("cross_entropy"), ops("to_device")
window = slips("minicnn/ops/window.py", "test_conv2d.py::test_conv2d test_max_pool2d.py", case="conv2d")
im2col = slips("kernels/im2col.py", "test_conv2d.py::test_conv2d", case="conv2d")
pool_kernel, lrn_kernel = kernel("max_pool2d"), kernel("local_response_norm")
relu_kernel, dropout_kernel, loss_kernel = kernel("relu"), kernel("dropout"), kernel("cross_entropy")
sgd_kernel = slips("kernels/sgd.py", "test_optim.py")
cuda_columns, cuda_pool = cuda("im2col.cu", "columns"), cuda("max_pool2d.cu", "pooling")
cuda_lrn, cuda_relu = cuda("local_response_norm.cu", "local_response_norm"), cuda("relu.cu", "relu")
cuda_dropout, cuda_sgd = cuda("dropout.cu", "dropout_has_the_same_bits"), cuda("sgd.cu", "sgd")
the_door = slips("kernels/__init__.py", "test_cuda_devices.py::test_the_launcher_refuses_what_a_kernel_would_misread")
QUEUE = "cupy().cuda.get_current_stream()"
EMPTY = "            copy = cupy().empty(array.shape, array.dtype)\n"
crop_kernel = slips("kernels/crop.py", "test_data_augment.py")
cuda_crop = cuda("crop.cu", "crop")
GRAPH = "test_cuda_graph.py::test_"
PRODUCT, STEPS = f"{GRAPH}a_recorded_product_is_the_product", f"{GRAPH}steps_done_again_are_the_steps_that_were_told"
graph, replay = slips("kernels/graph.py", PRODUCT), slips("minicnn/training/step.py", STEPS)
KEPT = "test_tensor.py::test_the_graph_keeps_what_gradients_need_and_nothing_else"
HALF = "test_alexnet_in_half_precision_is_the_processors_but_for_rounding"
cuda_loss, cuda_prelude = cuda("cross_entropy.cu", "cross_entropy"), cuda("prelude.cuh")
tensor, op, memory, mode = (house(f"engine/{name}", "test_tensor.py") for name in ("tensor", "op", "memory", "mode"))
border, arrays = house("engine/op", "test_op.py"), house("engine/memory", "test_memory.py")
settings = house("engine/settings", "test_settings.py")
nn, optim = house("nn/layers", "test_nn.py"), house("optim", "test_optim.py")
alexnet = house("models/alexnet", "test_alexnet.py")
BITS = "test_kernels.py::test_results_are_the_same_to_the_last_bit_for_any_number_of_threads"
TWINS = "test_alexnet.py::test_two_towers_are_one_network_with_groups"

CONTROLS = [  # no faults: whatever turns red here, the runner made red
    relu("control: words in an op", "The slope at 0 is taken as 0", "At 0 the slope is taken as 0"),
    relu_kernel("control: words in a kernel", "NaN < 0 is false: NaN stays NaN", "NaN stays, since it is not < 0"),
]

FAULTS = [
    # -- arithmetic ----------------------------------------------------------------------------------------------------
    arithmetic("nothing summed over broadcast axes", "    g = total(g, tuple(range(",
               "    return g\n    g = total(g, tuple(range(", verdict=BROADCAST, case="add"),
    arithmetic("axes of size 1 not summed", "total(g, tuple(i for i, size in enumerate(shape) if size == 1), "
               "keepdims=True)", "g", verdict=BROADCAST, case="multiply"),
    arithmetic("a − b: gb has the sign of ga", "summed_to(-gy, B)", "summed_to(gy, B)", verdict="wrong sign",
               case="subtract"),
    arithmetic("a · b: ga times a", "summed_to(gy * b, A)", "summed_to(gy * a, A)", case="multiply"),
    arithmetic("a / b: gb without its sign", "summed_to(-gy * y / b, B)", "summed_to(gy * y / b, B)",
               verdict="wrong sign", case="divide"),
    arithmetic("a^b: ga with a^b for a^(b−1)", "where(np.equal(b, 0), 1, b - 1)", "np.where(np.equal(b, 0), 1, b)",
               case="power"),
    arithmetic("a^b: ga without b", "0, b * a **", "0, a **", case="power"),
    arithmetic("a^b: ln 0 at a = 0", "np.log(where(np.equal(a, 0), 1, a))", "np.log(a)", verdict="not finite",
               case="power"),
    arithmetic("−x: gradient without its sign", "neg, x), lambda gy: -gy", "neg, x), lambda gy: gy",
               verdict="wrong sign", case="negative"),
    arithmetic("tanh: 1 − y for 1 − y²", "(1 - y * y)", "(1 - y)", case="tanh"),
    arithmetic("sigmoid: without 1 − y", "gy * y * (1 - y)", "gy * y", case="sigmoid"),
    arithmetic("log: gradient in single precision", "gy / x", "(gy / x).astype(np.float32)", verdict="single precision",
               case="log"),
    # -- reductions ----------------------------------------------------------------------------------------------------
    reduce("mean: gradient not divided by n", "shape) / n", "shape)", verdict="constant factor", case="mean"),
    reduce("sum: reduced axes not put back", "return y, lambda gy: np.broadcast_to(gy if keepdims else "
           "kept(gy, axes), shape)\n", "return y, lambda gy: np.broadcast_to(gy, shape)\n", case="sum"),
    reduce("max: every tied element gets the gradient", "np.arange(rows.shape[-1], like=x) == winner[..., None]",
           "rows == rows.max(-1)[..., None]", verdict="kink or tie", case="max"),
    reduce("max: the last of equal maxima wins", "winner = rows.argmax(-1)",
           "winner = rows.shape[-1] - 1 - rows[..., ::-1].argmax(-1)", case="max"),
    reduce("max: NaN does not win", "x.max(axes, keepdims=keepdims), gx",
           "np.fmax.reduce(x, axes, keepdims=keepdims), gx"),
    reduce("max: axes not turned back", "np.argsort(rest + axes).tolist()", "(rest + axes)",
           verdict="transposed", case="max"),
    reduce("sums of single precision run in single precision", "x.sum(axes, dtype=np.float64, keepdims",
           "x.sum(axes, keepdims", "test_reduce.py::test_a_sum_of_many_numbers_is_exact"),
    # -- the border ----------------------------------------------------------------------------------------------------
    border("border: whole numbers wrap around", "if not (abs(rough - y) < 2.0**62).all():", "if False:"),
    border("border: whole numbers computed in their own type", "x.astype(t) if hasattr", "x if hasattr"),
    border("border: two types of real numbers multiplied", "if len(set(real.values())) > 1:", "if False:"),
    border("border: whole numbers in single precision before they are computed", "iter(real.values()), np.dtype("
           "np.float64))", "iter(real.values()), np.dtype(np.float32))"),
    border("border: a number beyond single precision becomes infinite", "return np.float64(x)\n", "return x\n"),
    border("border: errors of others without the op's name", "raise kind(f\"{name}: {error}\") from error", "raise"),
    border("border: settings that are unknown go through", "settings.keys() <= known:", "True:"),
    arrays("border: masked elements are numbers", "if isinstance(x, np.ma.MaskedArray):", "if False:"),
    arrays("border: another byte order is kept", "wanted or x.dtype.newbyteorder(\"=\")", "wanted or x.dtype"),
    arrays("border: big-endian double becomes single", "x.dtype.itemsize > 4 else", "x.dtype == np.dtype('=f8') and "
           "x.dtype.isnative else"),
    arrays("border: beyond a type lies infinity", 'errstate(over="raise"', 'errstate(over="ignore"'),
    arrays("border: whole numbers cut to a type", "wrong = lossy and", "wrong = False and"),
    arrays("border: a list of tensors loses their graph", "if x.requires_grad:", "if False:"),
    arrays("border: numbers beyond 64 bits become real", 'if array.size and array.dtype.kind not in "bi"',
           'if False and array.dtype.kind not in "bi"'),
    settings("border: True is an axis",
             "            if _is_bool(value):\n                raise TypeError\n            number = operator",
             "            number = operator"),
    settings("border: NaN is a setting", "if not math.isfinite(number):", "if False:"),
    # -- shapes --------------------------------------------------------------------------------------------------------
    shape("reshape: gradient filled column by column", "gy.reshape(before)", 'gy.reshape(before, order="F")',
          verdict="transposed", case="reshape"),
    shape("flatten: gradient turned round", "batch_first(gy.T.reshape(inside))",
          "gy.T.reshape(inside).transpose()", verdict="transposed", case="flatten"),
    shape("transpose: the order, not its inverse", "gy.transpose(*np.argsort(order).tolist())", "gy.transpose(order)",
          verdict="transposed", case="transpose"),
    shape("getitem: = for add.at", "add_at(g, indexes, gy)", "g[indexes] = gy", verdict="= for +=", case="getitem"),
    shape("concatenate: parts shifted by one", "np.moveaxis(gy, axis, 0)[start:stop]",
          "np.roll(np.moveaxis(gy, axis, 0), 1, 0)[start:stop]", case="concatenate"),
    shape("concatenate: every part the first", "[start:stop]", "[: stop - start]", case="concatenate"),
    # -- matrix products -----------------------------------------------------------------------------------------------
    linear("linear: gw transposed", "product(x.T, gy).T", "product(x.T, gy)", verdict="transposed"),
    linear("linear: gx transposed", "product(w.T, gy.T).T", "product(w.T, gy.T)", verdict="transposed"),
    linear("linear: mean for sum in gb", "total(gy, 0)", "total(gy, 0) / max(1, len(gy))",
           verdict="constant factor"),
    linear("linear: the bias is taken off", "y += b[:, None]", "y -= b[:, None]", verdict="wrong sign"),
    linear("matmul: ga transposed where square", "product(full(gy), B.swapaxes(-1, -2))",
           "np.matmul(B, full(gy).swapaxes(-1, -2))", "test_linear.py::test_a_tensor_times_itself",
           verdict="transposed", case="matmul"),
    linear("matmul: ga with b, not bᵀ", "product(full(gy), B.swapaxes(-1, -2))", "np.matmul(full(gy), B)",
           "test_linear.py::test_a_tensor_times_itself", case="matmul"),
    linear("matmul: gb not summed over stacks", "product(A.swapaxes(-1, -2), full(gy)), B.shape)",
           "product(A.swapaxes(-1, -2), full(gy)), gy.shape)", case="matmul"),
    # -- convolution ---------------------------------------------------------------------------------------------------
    conv2d("conv2d: mean for sum in gb", ".sum(axis=1)  #", ".sum(axis=1) / max(1, P * Q * N)  #",
           verdict="constant factor"),
    conv2d("conv2d: gx of a group shifted by a channel", "g_image[g * C : (g + 1) * C]",
           "g_image[g * C - (g > 0) : (g + 1) * C - (g > 0)]", verdict="group boundary"),
    conv2d("conv2d: gw of a group from the first group's channels", "matmul(columns(g, start, stop), sent",
           "matmul(columns(0, start, stop), sent", verdict="group boundary"),
    conv2d("conv2d: a group sees channels shifted by one", "result, image[g * C : (g + 1) * C]",
           "result, image[g * C - (g > 0) : (g + 1) * C - (g > 0)]", verdict="group boundary"),
    conv2d("conv2d: every group with the first one's bias", "b[seen_by(g), None]", "b[seen_by(0), None]"),
    conv2d("conv2d: = for += over slices in gw", "g_matrix += part", "g_matrix = part",
           verdict=("= for +=", "group boundary")),
    conv2d("conv2d: = for += over blocks in gw", "total[:, seen_by(g)] +=", "total[:, seen_by(g)] =",
           "test_conv2d.py::test_the_size_of_a_block_of_columns_does_not_matter"),
    conv2d("conv2d: rows for columns of the output", "geometry = (Q, *", "geometry = (P, *"),
    window("conv2d: padding behind for padding before", "self.around[0][0], self.around[1][0]",
           "self.around[0][1], self.around[1][1]"),
    window("conv2d: one row of places too few", "(H - R) // down + 1", "(H - R) // down"),
    window("windows: height for width", "return self.down, self.right", "return self.right, self.down"),
    window("windows: padding of the height for the width too", "return (height, height), (width, width)",
           "return (height, height), (height, height)"),
    window("windows: a step of 8 bits", 'pair(op, "stride", stride, 1)', "several(stride) or (stride, stride)",
           "test_conv2d.py::test_numbers_of_numpy_are_settings_too"),
    im2col("im2col: the first row seen as padding", "if not 0 <= h < H", "if not 0 < h < H", verdict=BORDER),
    im2col("im2col: the image repeated into the padding", "flat[to : to + inside * N] = 0",
           "for n in range(inside * N): flat[to + n] = image[(c * H + min(max(h, 0), H - 1)) * W * N + n % N]",
           verdict=BORDER),
    im2col("im2col: a block that begins inside a row as if the stride were 1", "q * right + s - left", "q + s - left",
           "test_conv2d.py::test_the_size_of_a_block_of_columns_does_not_matter", count=2, at=0),
    im2col("im2col: neighbours of a row as if the stride were 1",
           "image[by + j * right * size : by + j * right * size", "image[by + j * size : by + j * size"),
    im2col("im2col: the same of small pieces", "column[j * size] = seen[j * right * size]",
           "column[j * size] = seen[j * size]"),
    im2col("col2im: = for +=", "seen[n] += column", "seen[n] = column", verdict=COLLISION),
    im2col("col2im: nothing for the first row", "if 0 <= h < H", "if 0 < h < H", verdict=BORDER),
    im2col("col2im: nothing for the last column", "(W - 1 - s + left) // right", "(W - 2 - s + left) // right",
           verdict=BORDER, count=2, at=1),
    im2col("col2im: one row too low", "p * down + r - top", "p * down + r + 1 - top", count=2, at=1),
    # -- pooling -------------------------------------------------------------------------------------------------------
    max_pool2d("max_pool2d: places of large windows in 8 bits", "np.uint8 if R * S <= 256 else np.uint32", "np.uint8",
               "test_max_pool2d.py::test_a_window_of_more_than_256_places"),
    max_pool2d("max_pool2d: padding behind for padding before", "*windows.steps)",
               "windows.down, windows.right, windows.around[0][1], windows.around[1][1])",
               "test_max_pool2d.py::test_padding_on_one_side"),
    max_pool2d("max_pool2d: places of a window of 16 × 17 in a byte", "R * S <= 256", "R <= 16",
               "test_max_pool2d.py::test_the_last_place_of_a_window_wins_whatever_number_it_has"),
    max_pool2d("max_pool2d: places of a window of 257 in a byte", "R * S <= 256", "R * S <= 257",
               "test_max_pool2d.py::test_the_last_place_of_a_window_wins_whatever_number_it_has"),
    pool_kernel("max_pool2d: the last of equal maxima wins", "(value_of[n] > best[n])", "(value_of[n] >= best[n])",
                "test_max_pool2d.py::test_of_equal_maxima_the_first_row_by_row_takes_the_gradient"),
    pool_kernel("max_pool2d: the last of equal maxima in few images", "(value > largest)", "(value >= largest)",
                "test_max_pool2d.py::test_of_equal_maxima_the_first_row_by_row_takes_the_gradient"),
    pool_kernel("max_pool2d: NaN does not win", " | ((value_of[n] != value_of[n]) & (best[n] == best[n]))", "",
                "test_max_pool2d.py::test_nan_wins_a_window_and_the_first_takes_the_gradient"),
    pool_kernel("max_pool2d: NaN does not win in few images", " | ((value != value) & (largest == largest))", "",
                "test_max_pool2d.py::test_nan_wins_a_window_and_the_first_takes_the_gradient"),
    pool_kernel("max_pool2d: zeros for −∞ in the padding", "largest, place = -x.dtype.type(np.inf), ",
                "largest, place = x.dtype.type(0 if r_first or s_first else -np.inf), ", verdict=BORDER),
    pool_kernel("max_pool2d: nobody's place wins where all is −∞", "-np.inf, r_first * S + s_first", "-np.inf, 0",
                "test_max_pool2d.py::test_minus_infinity_is_a_maximum_too_and_lies_in_the_image"),
    pool_kernel("max_pool2d_backward: = for +=", "[n]] + n] += sent", "[n]] + n] = sent", verdict=COLLISION),
    pool_kernel("max_pool2d_backward: rows and columns of a window exchanged", "(place // S * W + place % S)",
                "(place % S * W + place // S)"),
    # -- local response normalisation ----------------------------------------------------------------------------------
    lrn("LRN: window one short on either side, alike", "settings = (min(size // 2,", "settings = (min(size // 2 - 1,"),
    lrn("LRN: α / n, alike", "    y = np.empty_like(x)\n", "    y = np.empty_like(x)\n    alpha /= size\n"),
    lrn("LRN: α / n in the gradient", "rows(x), *settings, 2.0 * alpha * beta)",
        "rows(x), size // 2, alpha / size, float(beta), float(k), 2.0 * alpha / size * beta)"),
    lrn("LRN: no cross term", "2.0 * alpha * beta", "0.0", verdict=TERM),
    lrn("LRN: αβ for 2αβ", "2.0 * alpha * beta", "1.0 * alpha * beta", verdict=TERM),
    lrn_kernel("LRN: cross term with the other sign", "result[i] -= here", "result[i] += here", verdict=TERM),
    lrn_kernel("LRN: β for β + 1 in the cross term", "result[i] * here[i] / d[i]", "result[i] * here[i]"),
    lrn_kernel("LRN: x[j] for x[c] in the cross term", "-= here[i] * d[i]",
               "-= x[min(c + 1, C - 1), start + i] * d[i]"),
    lrn_kernel("LRN: window one short, forward", "c + half + 1", "c + half", count=3, at=0),
    lrn_kernel("LRN: window one short, d in the gradient", "c + half + 1", "c + half", count=3, at=1),
    lrn_kernel("LRN: window one short, cross term", "c + half + 1", "c + half", verdict=TERM, count=3, at=2),
    lrn_kernel("LRN: k is 1, alike", "d[:] = k", "d[:] = 1", count=2),
    lrn_kernel("LRN: another β as 1 − β, forward", "** -beta", "** (beta - 1)", count=2, at=0),
    lrn_kernel("LRN: d in single precision", "d = np.empty(RUN, x.dtype)", "d = np.empty(RUN, np.float32)",
               verdict="single precision", count=2, at=0),
    # -- ReLU ----------------------------------------------------------------------------------------------------------
    relu("relu: slope 1 at 0", "        return g\n", "        return np.where(x >= 0, gy, g)\n"),
    relu_kernel("relu: the gradient passes everywhere", "if y[i, j] > zero", "if y[i, j] >= zero"),
    relu_kernel("relu: NaN becomes 0", "zero if x[i, j] < zero else x[i, j]", "x[i, j] if x[i, j] > zero else zero",
                "test_relu.py::test_the_slope_at_zero_is_zero_and_nan_stays_nan"),
    # -- dropout -------------------------------------------------------------------------------------------------------
    dropout("dropout: the gradient with the next step's mask", "    return masked(x), masked",
            "    y = masked(x)\n    counter = counter + 1\n    return y, masked",
            verdict="zero where it should not be"),
    dropout("dropout: the gradient without 1 / (1 − p)", "    return masked(x), masked",
            "    y = masked(x)\n    scale = 1.0\n    return y, masked", verdict="constant factor"),
    dropout("dropout: another mask each time", "*seen, counter,",
            "*seen, np.random.default_rng().integers(2**62, size=2),", verdict="not deterministic"),
    dropout("dropout: p is the share kept", "np.uint64(p * 2**32)", "np.uint64((1 - p) * 2**32)"),
    dropout("dropout: first unit ignored", "counter, first_unit,", "counter, 0,"),
    dropout_kernel("dropout: nine rounds for ten", "range(10)", "range(9)"),
    dropout_kernel("dropout: high word of the step dropped", "step & word, step >> half", "step & word, np.uint64(0)"),
    dropout_kernel("dropout: > for ≥ at the threshold", "if number >= np", "if number > np"),
    # -- softmax and the loss ------------------------------------------------------------------------------------------
    cross_entropy("softmax: gradient without its sum", "y * (gy - total(gy * y, axis, keepdims=True))", "y * gy",
                  verdict=TERM, case="softmax"),
    cross_entropy("log_softmax: gradient without exp", "gy - np.exp(y) * total", "gy - y * total",
                  case="log_softmax"),
    loss_kernel("cross_entropy: gradient not divided by N", "gy[0] / y.dtype.type(N)", "gy[0]",
                verdict="constant factor"),
    loss_kernel("cross_entropy: gradient times N", "gy[0] / y.dtype.type(N)", "gy[0] * y.dtype.type(N)",
                verdict="constant factor"),
    loss_kernel("cross_entropy: one-hot missing", "(y[k, n] - y.dtype.type(k == labels[n]))", "y[k, n]", verdict=TERM),
    loss_kernel("cross_entropy: label off by one", "k == labels[n]", "k == labels[n] - 1"),
    loss_kernel("cross_entropy: maximum not taken off", "np.exp(x[k, n] - top[n - first])", "np.exp(x[k, n])"),
    cross_entropy("cross_entropy: sum for mean, forward", ".mean(), gx, None", ".sum(), gx, None",
                  verdict="constant factor"),
    cross_entropy("softmax: maximum not taken off", "return x - x.max(axis, keepdims=True), axis", "return x, axis",
                  case="softmax"),
    # -- data ----------------------------------------------------------------------------------------------------------
    ops("precision")("half: two digits behind the point", "return x.astype(np.float16), ",
                     "return np.round(x, 2).astype(np.float16), "),
    ops("precision")("float: what was half stays so", "return x.astype(np.float32), ", "return x.copy(), "),
    crop_kernel("crop: mirrored pixels less the mean of where they go", "shade = pictures[n, i, left : left + W, c], "
                "mean[c, i, left : left + W]", "shade = pictures[n, i, left : left + W, c], "
                "mean[c, i, left : left + W][:: -1 if places[2, n] else 1]"),
    crop_kernel("crop: the mean of another place", "mean[c, i, left : left + W]", "mean[c, h, :W]"),
    crop_kernel("crop: noise after the scale", "+ added) * scale", ") * scale + added",
                "test_cuda_kernels.py::test_crop"),
    # -- on a GPU ------------------------------------------------------------------------------------------------------
    cuda_prelude("CUDA: threads counted short", "gridDim.x * blockDim.x;", "gridDim.x * blockDim.x - 1;"),
    cuda_prelude("CUDA: every block does the same", "blockIdx.x * blockDim.x + threadIdx.x", "threadIdx.x"),
    cuda_columns("CUDA im2col: half precision cut to whole numbers", "inside ? Real(x[", "inside ? int(x["),
    cuda_prelude("CUDA: half precision written as its bits", "bits = narrowed(x);", "bits = (unsigned short)x;"),
    cuda_columns("CUDA im2col: one column too many", "0 <= w && w < W", "0 <= w && w <= W"),
    cuda_columns("CUDA im2col: start ignored", "int t = start + row % positions;", "int t = row % positions;"),
    cuda_columns("CUDA im2col: rows and columns of the kernel exchanged", "int s = row / positions % S;",
                 "int s = row / positions % R;"),
    cuda_columns("CUDA col2im: what was there is lost", "Real sum = x[row * N + n];", "Real sum = 0;"),
    cuda_columns("CUDA col2im: beyond the right border", "if (q < Q && 0 <= t", "if (0 <= t"),
    cuda_columns("CUDA col2im: beyond the block", "0 <= t && t < positions", "0 <= t"),
    cuda_columns("CUDA: a warp ends where a block of images does", "n < N; n += WARP", "n < WARP; n += WARP", count=2,
                 at=0),
    cuda_pool("CUDA pooling: the last maximum wins", "value > best", "value >= best"),
    cuda_pool("CUDA pooling: NaN loses", " || (value != value && best == best)", ""),
    cuda_pool("CUDA pooling: padding counts as 0", "Real best = 0;\n            int place = -1;",
              "Real best = 0;\n            int place = 0;"),
    cuda_pool("CUDA pooling: = for +=", "sum += gy[window]", "sum = gy[window]"),
    cuda_pool("CUDA pooling: first window left out", "(h - R) / down + 1", "(h - R) / down + 2"),
    cuda_lrn("CUDA LRN: window beyond the last channel", "j < C && j <= c + half; j++)\n        d +=",
             "j <= c + half; j++)\n        d +="),
    cuda_lrn("CUDA LRN: a ring too small", "2 * half < RING", "half < RING"),
    cuda_lrn("CUDA LRN: β = 0.75 for every β", "if (beta == Real(0.75))", "if (beta > 0)"),
    cuda_relu("CUDA ReLU: NaN becomes 0", "x[i] < 0 ? 0 : Real(x[i])", "x[i] > 0 ? Real(x[i]) : 0"),
    cuda_dropout("CUDA dropout: nine rounds for ten", "round < 10", "round < 9"),
    cuda_dropout("CUDA dropout: the key's high word lost", "Word(key >> 32)", "Word(0)"),
    cuda_dropout("CUDA dropout: beyond the last image", "if (n < N)", "if (n <= N)"),
    cuda_crop("CUDA crop: mirrored one column off", "W - 1 - w", "W - w"),
    cuda_crop("CUDA crop: colours exchanged with columns", "* columns + j) * C + c]", "* columns + j) + c * columns]"),
    cuda_sgd("CUDA SGD: decay without the rate", "decay * rate * w[i]", "decay * w[i]"),
    cuda_sgd("CUDA SGD: one element too many", "i < size", "i <= size"),
    cuda_loss("CUDA cross_entropy: a barrier left out", "= top;\n        __syncthreads();\n", "= top;\n"),
    cuda_loss("CUDA cross_entropy: beyond the last image", "n < N ? K : 0", "K"),
    cuda_loss("CUDA cross_entropy: every warp writes the loss", "if (first == 0 && n < N)", "if (n < N)"),
    cuda_loss("CUDA cross_entropy: label off by one", "(labels[n] == k)", "(labels[n] == k + 1)"),
    slips("kernels/__init__.py", "test_cuda_devices.py")("the door: factors in half precision",
          "np.result_type(np.float32, *", "np.result_type(*"),
    gpus("optim")("GPUs: the gradient's norm read from another device", "            with device:\n",
                  "            if True:\n", HALF),
    gpus("models/alexnet")("half precision: the loss too", "y.float() if self.half else y", "y", HALF),
    gpus("models/alexnet")("half precision: not on tower b", "a, b = a.half(), b.half()", "a = a.half()", HALF),
    slips("kernels/__init__.py", "test_cuda_kernels.py")("the door: whole numbers as CuPy hands them over",
          "np.int32(a))", "np.int64(a))"),
    gpus("engine/op")("GPUs: an op does not enter its device",
               "place as device:", "__import__('contextlib').nullcontext(place) as device:",
               "test_what_is_on_a_device_stays_there"),
    backward_on_gpus("GPUs: backward does not enter the device", "    with tensor.device:", "    if True:",
               "test_what_is_on_a_device_stays_there"),
    backward_on_gpus("GPUs: gradients of leaves added on another", "    with leaf.device, _adding:", "    if True:",
               "test_gradients_are_added_where_they_are"),
    gpus("optim")("GPUs: the optimiser does not enter the device", "with parameter.device:", "if True:",
               "test_an_optimiser_steps_on_every_device"),
    optim("SGD: velocities stay where the model was", "if self.velocity[name].device != parameter.device:",
          "if False:"),
    gpus("ops/conv2d")("GPUs: blocks spread over the host's threads", "forward, like=x)", "forward)",
               "test_a_convolution_in_blocks"),
    on_gpus("GPUs: a copy that does not wait for its source", "stream.wait_event(computed)", "pass",
               "test_there_and_back_with_memory_order_and_gradient"),
    on_gpus("GPUs: a source freed before it is copied", f"{QUEUE}.wait_event(copied)", "pass",
               "test_what_crosses_is_not_freed_before_it_has_crossed"),
    on_gpus("GPUs: a batch used before it arrived", f"{QUEUE}.wait_event(arrival)", "pass",
               "test_batches_come_ahead_in_order_and_whole"),
    on_gpus("GPUs: a batch overwritten while it is used", f"beside.wait_event({QUEUE}.record())", "pass",
               "test_batches_come_ahead_in_order_and_whole"),
    on_gpus("GPUs: the device before is not restored", "        _here.contexts.pop().__exit__(*error)\n", "",
               "test_a_device_is_entered_and_the_one_before_restored_also_by_an_exception"),
    on_gpus("GPUs: memory order lost on the way", "return inside.get().transpose(axes)", "return inside.get()",
               "test_there_and_back_with_memory_order_and_gradient"),
    on_gpus("GPUs: a copy on the source's device", f"        with self:\n{EMPTY}            stream = ",
                   f"        with source:\n{EMPTY}            stream = ",
               "test_there_and_back_with_memory_order_and_gradient"),
    graph("CUDA graph: a product's factors not exchanged", "a.data.ptr, number, lda,\n", "b.data.ptr, number, lda,\n"),
    graph("CUDA graph: turned matrices taken for plain ones", "return 1, max(column, rows)",
          "return 0, max(column, columns)"),
    graph("CUDA graph: pieces of a matrix taken for whole ones", "return 0, max(row, columns) if rows > 1 else columns",
          "return 0, columns"),
    graph("CUDA graph: recording never ends", "            _here.recording = False\n", "            pass\n",
          f"{GRAPH}what_asks_for_a_number_is_refused_and_leaves_no_trace"),
    replay("CUDA graph: the batch is not the new one", "x[...], y[...] = inputs, checked(",
           "x[...], y[...] = x, checked("),
    replay("CUDA graph: gradients of another batch stay", "            parameter.grad = gradient\n",
           "            pass\n"),
    replay("CUDA graph: the rate of the first step for ever", "settings = (o.lr, ", "settings = ("),
    replay("CUDA graph: a smaller batch spread over the larger", "if np.shape(inputs) != x.shape:", "if False:"),
    replay("CUDA graph: labels not looked at", "inputs, checked(labels, self.logits)", "inputs, labels",
           f"{GRAPH}a_label_that_is_no_class_is_refused_before_anything_has_changed"),
    slips("minicnn/ops/cross_entropy.py", STEPS)("CUDA graph: the loss asks for an answer", "if not recording() and",
                                                 "if"),
    the_door("the door: arrays with strides let through", "if not a.flags.c_contiguous:", "if False:"),
    the_door("the door: arrays of another device let through", "if arrays[0].device.id != here:", "if False:"),
    # -- devices -------------------------------------------------------------------------------------------------------
    to_device("to_device: the gradient does not cross back", "cross(gy, device, source)", "gy"),
    to_device("to_device: the ledger forgets", "target] += array.nbytes", "target] = array.nbytes"),
    to_device("to_device: the array is shared", "return target.put(array)", "return array"),
    house("engine/device", "test_tensor.py")("device: put() changes the memory order",
                                         'copy(order="K")', 'copy(order="C")'),
    # -- the engine ----------------------------------------------------------------------------------------------------
    tensor("backward: = for += where a tensor is used twice", "flow[x] = flow[x] + part", "flow[x] = part",
           verdict="= for +="),
    tensor("backward: = for += at a leaf", "g if leaf._grad is None else in_engine_order(leaf._grad._array + g)", "g"),
    tensor("backward: oldest first", "heapq.heappush(waiting, (-x.age, x))", "heapq.heappush(waiting, (x.age, x))"),
    max_pool2d("max_pool2d: what was pooled is kept", "np.zeros_like(gy, shape=(C, H, W, N), order", "np.zeros_like("
               "batch_last(x), order", KEPT),
    op("op: the graph keeps every tensor", "        tensor._made = Node(",
       "        tensor.grad = sources\n        tensor._made = Node(", KEPT),
    tensor("backward: the graph is kept", "tensor.inputs, tensor.gradients = None, ()", "pass"),
    tensor("backward: a leaf shares its gradient", 'part = part.copy(order="K")', "pass"),
    tensor("backward: gradients in single precision", "g.astype(tensor.dtype, copy=False)", "g.astype(np.float32)"),
    tensor("backward: shapes not compared", "if g.shape != tensor.shape:", "if False:"),
    tensor("backward: the gradient given is ignored", "if gradient is None else self._beside",
           "if True else self._beside", case="exp"),
    mode("no_grad ignored", "return _mode.get()", "return True"),
    mode("no_grad never ends", "        _mode.set(self.before.pop())\n", "        pass\n"),
    tensor("writing while a graph needs the values", "if user is not None or self.made_by:", "if self.made_by:"),
    op("op: everything becomes single precision",
       "if y.dtype == _DOUBLE and not any", "if y.dtype == _DOUBLE or any",
       verdict="single precision", case="exp"),
    op("op: gradients of the wrong inputs", "zip(inputs, gradients, strict",
       "zip(inputs, gradients[::-1], strict", case="multiply"),
    op("op: devices may be mixed", "x.device is not place and x.device != place:", "False:"),
    memory("memory: batch_first turns all round", "array.transpose(-1, *range(array.ndim - 1))", "array.transpose()"),
    memory("memory: any order will do", "array if inside.flags.c_contiguous else", "array if array.ndim else"),
    house("ops/methods", "test_arithmetic.py")("operators: 2 − x is x − 2", "subtract(other, self)",
                                           "subtract(self, other)"),
    house("ops/__init__", "test_reduce.py")("the list: mean is the sum", "from .reduce import max, mean, sum",
                                            "from .reduce import max, sum, sum as mean"),
    house("engine/protocols", "test_guests.py")("copy: a leaf that takes no gradient", "_become(array, requires_grad)",
                                         "_become(array, False)"),
    house("ops/dispatch", "test_guests.py")("NumPy's functions lose gradients", "lost = bool(needing) and",
                                        "lost = False and"),
    tensor("writing: a gradient is lost", "if _needs_gradient(value):", "if False:", "test_guests.py"),
    mode("watchers: all threads'", "class PerThread(threading.local)", "class PerThread", "test_guests.py"),
    modules("modules in tuples are not found", "not isinstance(value, (str, bytes)",
                                       "not isinstance(value, (str, tuple)"),
    modules("what is shared is named twice", "kinds) and id(value) not in seen", "kinds)"),
    slips("kernels/graph.py", "test_kernels.py::test_a_product_is_spread_over_the_cores")(
        "product: every core has the first rows", "(slice(first, last), slice(None)) if by_rows",
        "(slice(last - first), slice(None)) if by_rows"),
    Fault("over: a core that has not begun is waited for", "kernels/__init__.py", "if not other.cancel()]", "]",
          "test_kernels.py::test_who_has_not_begun_when_all_is_done_is_not_waited_for"),
    graph("a @ b: shares by the number of cores", "    with one_thread:\n",
          "    from . import get_num_threads\n    parts = min(parts, 2 * get_num_threads())\n    with one_thread:\n",
          BITS),
    graph("a @ b: not shared out, so cut by the threads of the BLAS", "    with one_thread:\n", "    if True:\n",
          "test_kernels.py::test_every_product_that_a_blas_might_cut_runs_on_one_of_its_threads"),
    Fault("over: slices by the number of cores", "kernels/__init__.py", "slices = cut(items, parts if",
          "slices = cut(items, 2 * _threads if", tests=BITS),
    Fault("over inside over: all at once", "kernels/__init__.py", "    if _here.inside or len(slices) < 2:\n",
          "    if _here.inside:\n        return [work(0, items)]\n    if len(slices) < 2:\n",
          "test_kernels.py::test_over_inside_over_does_the_same_slices_on_one_core"),
    Fault("over: the first thread to leave frees the BLAS for all", "kernels/__init__.py",
          "self.before if not self.count else [1] * len(self.before)", "self.before",
          "test_kernels.py::test_two_threads_at_once_leave_the_blas_as_it_was"),
    Fault("over: the BLAS keeps one thread", "kernels/__init__.py", "            self._set([a if", "            ([a if",
          "test_kernels.py::test_an_error_leaves_the_blas_as_it_was"),
    Fault("over: with OpenMP, the pool's threads keep all of the BLAS's", "kernels/__init__.py",
          'initializer=one_thread._set, initargs=([1] * len(_blas()),)', "",
          "test_kernels.py::test_two_threads_at_once_leave_the_blas_as_it_was"),
    Fault("towers at once: the graph is remembered by one core and not by the other", "kernels/__init__.py",
          "contextvars.copy_context().run, worker", "contextvars.Context().run, worker",
          "test_nn.py::test_where_nothing_is_remembered_every_core_takes_one_of_the_calls"),
    Fault("towers at once: where the order counts too", "minicnn/nn/module.py", "if recording() or _watchers or not",
          "if not", "test_nn.py::test_what_is_remembered_or_watched_is_called_in_order"),
    Fault("towers at once: one after the other", "minicnn/nn/module.py", "not 1 < min", "not 9 < min",
          "test_nn.py::test_where_nothing_is_remembered_every_core_takes_one_of_the_calls"),
    Fault("over: the last item is left out", "kernels/__init__.py", "items * (i + 1) // parts) for",
          "items * (i + 1) // parts - (i == parts - 1)) for",
          "test_kernels.py::test_over_covers_every_item_once_and_in_order"),
    Fault("trace: what the graph keeps is counted for every op that keeps it", "minicnn/trace.py",
          "if piece not in self._held:", "if True:", "test_trace.py::test_what_the_graph_keeps_is_let_go_backwards"
          "_and_is_what_the_ops_need"),
    Fault("trace: parameters kept by the graph", "minicnn/trace.py", "if piece in leaves:", "if False:",
          "test_trace.py::test_what_the_graph_keeps_is_let_go_backwards_and_is_what_the_ops_need"),
    Fault("trace: it never ends", "minicnn/trace.py", "watchers.remove(self)", "pass",
          "test_trace.py::test_nothing_is_changed_and_nothing_stays"),
    Fault("trace: gradients are not told", "minicnn/engine/tensor.py", "watcher.carried(tensor, x, part)", "pass",
          "test_trace.py::test_steps_are_told_in_order_with_their_numbers"),
    # -- layers --------------------------------------------------------------------------------------------------------
    nn("Linear without its bias", "alike(self.weight, x), alike(self.bias, x))",
       "alike(self.weight, x))"),
    nn("Conv2d: groups not passed on", "groups=self.groups)\n\n    def multiply", "groups=1)\n\n    def multiply"),
    nn("half precision: weights kept in single are used so", "return parameter.half() if", "return parameter if",
       "test_precision.py"),
    nn("He with fan-out", "math.sqrt(2 / inputs)", "math.sqrt(2 / outputs)", "test_nn.py::test_layers_start_from_he"),
    nn("LRN: β is 1", "alpha=self.alpha, beta=self.beta", "alpha=self.alpha, beta=1.0"),
    nn("Dropout at test too", "if not self.training:", "if not self.training and not self.inverted:",
       "test_nn.py::test_dropout_in_training_and_at_test"),
    nn("Dropout: paper's form not scaled at test", "else x * (1 - real(", "else x * (1 - 0 * real(",
       "test_nn.py::test_dropout_in_training_and_at_test"),
    nn("Dropout: always the first step's mask", "            step += 1\n", "",
       "test_nn.py::test_the_same_seed_builds_the_same_model"),
    # -- the update rule -----------------------------------------------------------------------------------------------
    sgd_kernel("SGD: the rate outside of the velocity", "decay * rate * w[i] - rate * g[i]\n        w[i] += v[i]",
               "decay * w[i] - g[i]\n        w[i] += rate * v[i]"),
    sgd_kernel("SGD: decay without the rate", "decay * rate * w[i]", "decay * w[i]"),
    sgd_kernel("SGD: no velocity is kept", "v[i] = momentum * v[i] -", "v[i] = -"),
    sgd_kernel("SGD: uphill", "- rate * g[i]", "+ rate * g[i]"),
    optim("SGD: the biases' rate for the weights", "self.bias_lr if bias else 1.0", "1.0 if bias else self.bias_lr"),
    optim("SGD: biases decay anyway", "0.0 if bias and not self.decay_biases else self.weight_decay",
          "self.weight_decay"),
    optim("SGD: the loss scale is not taken out", "rate / loss_scale, ", "rate, "),
    optim("SGD: the loss scale is taken out of the decay too", "decay * loss_scale)", "decay)"),
    optim("LossScale: a step that overflowed is taken", "                return False\n", ""),
    optim("LossScale: steps left out count", "self.factor / 2, 0\n", "self.factor / 2, self.waited\n"),
    optim("LossScale: it never grows", "self.factor * 2, 0\n", "self.factor, 0\n"),
    optim("SGD: the norm of some gradients only", "squares.get(device, 0) + np.vdot", "np.vdot"),
    optim("StepSchedule: an epoch late", "if self.epoch in self.drops", "if self.epoch - 1 in self.drops"),
    optim("PlateauSchedule: an epoch late", "self.waited >= self.patience", "self.waited > self.patience"),
    optim("PlateauSchedule: equal is better", "error < self.best", "error <= self.best"),
    optim("PlateauSchedule: one drop too many", "self.dropped < self.times", "self.dropped <= self.times"),
    # -- AlexNet -------------------------------------------------------------------------------------------------------
    alexnet("AlexNet: conv3 sees its own tower alone", 'Row("both", Conv2d(2 * n(128), n(192)',
            'Row("own", Conv2d(n(128), n(192)'),
    alexnet("AlexNet: conv4 sees both towers", 'Row("own", Conv2d(n(192), n(192)',
            'Row("both", Conv2d(2 * n(192), n(192)'),
    alexnet("AlexNet: normalised after block 4 for 5", '"norm_after": (1, 2, 5)', '"norm_after": (1, 2, 4)',
            "test_alexnet.py::test_responses_are_normalised_between_relu_and_pooling"),
    alexnet("AlexNet: normalised before ReLU", "ReLU(), *norm(2),", "*norm(2), ReLU(),",
            "test_alexnet.py::test_responses_are_normalised_between_relu_and_pooling"),
    alexnet("AlexNet: both towers drop alike", "first_unit=i * n(2048)", "first_unit=0",
            TWINS),
    alexnet("AlexNet: fc6 and fc7 drop alike", "dropout(keys[1])", "dropout(keys[0])",
            "test_alexnet.py::test_each_layer_drops_by_its_own_numbers_and_both_towers_by_the_same"),
    alexnet("AlexNet: zeros to the left and above", "padding=((0, 3), (0, 3))", "padding=((3, 0), (3, 0))",
            TWINS),
    alexnet("AlexNet: tower b before tower a", "concatenate(a, b.to(self.devices[0]), axis=1)",
            "concatenate(b.to(self.devices[0]), a, axis=1)", TWINS),
]  # fmt: skip
