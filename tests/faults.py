"""Faults by hand: what no syntax tree can think of, and CUDA. planted_faults.py makes them, one at a time, beside those
of drawn_slips.py: another formula, another algorithm, a border between two programs, what is kept, shared or forgotten.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HOUSE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Fault:
    """In ``file`` the text ``old`` becomes ``new``, and then ``tests`` (files or node ids) must fail.

    place: the file, or folders: that file in them which has the text.
    old: stands there ``count`` times. at: which of them changes, from 0; None: all.
    verdict: what the numerical check of op ``case`` should say, or any one of several; None where it cannot tell: where
        value and gradient are wrong alike, or no gradient is wrong, or no verdict describes it.
    """

    name: str
    place: str
    old: str
    new: str
    tests: str = ""
    verdict: str | tuple[str, ...] | None = None
    case: str = ""
    count: int = 1
    at: int | None = None

    @cached_property
    def file(self) -> str:
        places = [HOUSE / place for place in self.place.split()]
        files = [path for place in places for path in ([place] if place.is_file() else sorted(place.rglob("*.py")))]
        having = [path for path in files if self.old in path.read_text(encoding="utf-8")]
        if len(having) != 1:
            raise ValueError(f"{self.name}: {self.old!r} stands in {len(having)} files of {self.place}, expected 1: "
                             "mend the fault")
        return having[0].relative_to(HOUSE).as_posix()

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


def slips(place: str, tests: str, **common):
    """Makes faults of one place, which the same tests see unless others are given."""

    def fault(name: str, old: str, new: str, tests: str = tests, **own) -> Fault:
        return Fault(name, place, old, new, tests, **{**common, **own})

    return fault


def ops(stem: str):
    return slips(f"minicnn/ops/{stem}.py", f"test_{stem}.py")


def kernel(stem: str):
    return slips(f"kernels/{stem}.py", f"test_{stem}.py")


def cuda(stem: str, test: str = ""):
    return slips(f"kernels/{stem}", f"test_cuda_kernels.py{test and '::test_'}{test}")


engine, border, arrays = (slips("minicnn/engine", f"test_{name}.py") for name in ("tensor", "op", "memory"))
on_gpus = slips("minicnn/engine", "test_cuda_devices.py")
modules, nn = slips("minicnn/nn", "test_modules.py"), slips("minicnn/nn", "test_nn.py")
alexnet = slips("minicnn/models", "test_alexnet.py")
arithmetic, reduce, shape = ops("arithmetic"), ops("reduce"), ops("shape")
linear, max_pool2d, avg_pool2d = ops("linear"), ops("max_pool2d"), ops("avg_pool2d")
lrn, relu, dropout = ops("local_response_norm"), ops("relu"), ops("dropout")
conv2d = slips("minicnn/ops kernels", "test_conv2d.py", case="conv2d")
window = slips("minicnn/ops/window.py", "test_conv2d.py::test_conv2d test_max_pool2d.py", case="conv2d")
im2col = slips("kernels", "test_conv2d.py::test_conv2d", case="conv2d")
fourier = slips("kernels", "test_fourier.py", case="conv2d")
pool_kernel, lrn_kernel, relu_kernel = kernel("max_pool2d"), kernel("local_response_norm"), kernel("relu")
loss_kernel, sgd_kernel = kernel("cross_entropy"), slips("kernels/sgd.py", "test_optim.py")
crop_kernel = slips("kernels/crop.py", "test_data_augment.py")
cores = slips("kernels", "")
cuda_columns, cuda_pool = cuda("im2col.cu", "columns"), cuda("max_pool2d.cu", "pooling")
cuda_rows = cuda("row2col.cu", "columns_of_rows")
cuda_lrn, cuda_relu = cuda("local_response_norm.cu", "local_response_norm"), cuda("relu.cu", "relu")
cuda_dropout, cuda_sgd = cuda("dropout.cu", "dropout_has_the_same_bits"), cuda("sgd.cu", "sgd")
cuda_crop, cuda_loss = cuda("crop.cu", "crop"), cuda("cross_entropy.cu", "cross_entropy")
cuda_prelude = cuda("prelude.cuh", "columns_of_rows")
COLLISION = ("= for +=", "overlapping windows")
TERM, BROADCAST, BORDER = "term missing", "broadcast axis not summed", "padded border"
EMPTY = "            copy = cupy().empty(array.shape, array.dtype)\n"
KEPT = "test_tensor.py::test_the_graph_keeps_what_gradients_need_and_nothing_else"
BITS = "test_kernels.py::test_results_are_the_same_to_the_last_bit_for_any_number_of_threads"
TWINS = "test_alexnet.py::test_two_towers_are_one_network_with_groups"
ORDER = "test_alexnet.py::test_layers_follow_each_other_as_published"

CONTROLS = [  # no faults: whatever turns red here, the runner made red
    relu("control: words in an op", "The slope at 0 is taken as 0", "At 0 the slope is taken as 0"),
    relu_kernel("control: words in a kernel", "NaN < 0 is false: NaN stays NaN", "NaN stays, since it is not < 0"),
]

FAULTS = [
    # -- arithmetic ----------------------------------------------------------------------------------------------------
    arithmetic("nothing summed over broadcast axes", "    g = total(g, tuple(range(",
               "    return g\n    g = total(g, tuple(range(",
               "test_arithmetic.py::test_broadcasting_on_either_side", verdict=BROADCAST, case="add"),
    arithmetic("axes of size 1 not summed", "total(g, tuple(i for i, size in enumerate(shape) if size == 1), "
               "keepdims=True)", "g",
               "test_arithmetic.py::test_broadcasting_on_either_side", verdict=BROADCAST, case="multiply"),
    arithmetic("a^b: ln 0 at a = 0", "np.log(where(np.equal(a, 0), 1, a), dtype=", "np.log(a, dtype=",
               "test_arithmetic.py::test_power_at_zero",
               verdict="not finite", case="power"),
    arithmetic("log: gradient in single precision", "gy / x", "(gy / x).astype(np.float32)", verdict="single precision",
               case="log"),
    # -- reductions ----------------------------------------------------------------------------------------------------
    reduce("mean: gradient not divided by n", "shape) / n", "shape)", verdict="constant factor", case="mean"),
    reduce("max: every tied element gets the gradient", "np.arange(rows.shape[-1], like=x) == winner[..., None]",
           "rows == rows.max(-1)[..., None]", verdict="kink or tie", case="max"),
    reduce("max: the last of equal maxima wins", "winner = rows.argmax(-1)",
           "winner = rows.shape[-1] - 1 - rows[..., ::-1].argmax(-1)", case="max"),
    reduce("max: NaN does not win", "x.max(axes, keepdims=keepdims), gx",
           "np.fmax.reduce(x, axes, keepdims=keepdims), gx"),
    # -- the border ----------------------------------------------------------------------------------------------------
    border("border: errors of others without the op's name", "raise _kind_of(error)(f\"{name}: {error}\") from error",
           "raise", "test_op.py::test_what_does_not_fit_is_told_under_the_name_of_the_op"),
    arrays("border: big-endian double becomes single", "x.dtype.itemsize > 4 else", "x.dtype == np.dtype('=f8') and "
           "x.dtype.isnative else"),
    # -- shapes --------------------------------------------------------------------------------------------------------
    shape("reshape: gradient filled column by column", "gy.reshape(before)", 'gy.reshape(before, order="F")',
          verdict="transposed", case="reshape"),
    shape("flatten: gradient turned round", "batch_first(gy.T.reshape(inside))",
          "gy.T.reshape(inside).transpose()", verdict="transposed", case="flatten"),
    shape("transpose: the order, not its inverse", "gy.transpose(*np.argsort(order).tolist())", "gy.transpose(order)",
          verdict="transposed", case="transpose"),
    shape("getitem: = for add.at", "add_at(g, indexes, gy)", "g[indexes] = gy",
          "test_shape.py::test_getitem_with_arrays_that_take_elements_several_times", verdict="= for +=",
          case="getitem"),
    shape("concatenate: parts shifted by one", "np.moveaxis(gy, axis, 0)[start:stop]",
          "np.roll(np.moveaxis(gy, axis, 0), 1, 0)[start:stop]",
          "test_shape.py::test_concatenate", case="concatenate"),
    # -- matrix products -----------------------------------------------------------------------------------------------
    linear("linear: gw transposed", "product(x.T, gy).T", "product(x.T, gy)", verdict="transposed"),
    linear("linear: gx transposed", "product(w.T, gy.T).T", "product(w.T, gy.T)", verdict="transposed"),
    linear("linear: mean for sum in gb", "total(gy, 0)", "total(gy, 0) / max(1, len(gy))",
           verdict="constant factor"),
    linear("matmul: ga transposed where square", "product(full(gy), B.swapaxes(-1, -2))",
           "np.matmul(B, full(gy).swapaxes(-1, -2))", "test_linear.py::test_a_tensor_times_itself",
           verdict="transposed", case="matmul"),
    # -- convolution ---------------------------------------------------------------------------------------------------
    conv2d("conv2d: mean for sum in gb", "rows[first:last].sum(axis=1, out=", "rows[first:last].mean(axis=1, out=",
           verdict="constant factor"),
    conv2d("conv2d: gx of a group shifted by a channel", "col2im(gx[_of_group(g, C)],",
           "col2im(gx[g * C - (g > 0) : (g + 1) * C - (g > 0)],", verdict="group boundary"),
    conv2d("conv2d: gw of a group from the first group's channels", "_columns(image, shape, geometry, block)",
           "_columns(image, shape, geometry, block._replace(group=0))", verdict="group boundary"),
    conv2d("conv2d: a group sees channels shifted by one", "own, size = image[_of_group(g, C)],",
           "own, size = image[g * C - (g > 0) : (g + 1) * C - (g > 0)],", verdict="group boundary"),
    conv2d("conv2d: = for += over blocks in gw", "gw += part", "gw = part",
           verdict=("= for +=", "group boundary")),
    fourier("Fourier: kernels exchanged, not turned round", "w[:, ::-1, ::-1].reshape(C, R, S, groups, -1)",
            "w.reshape(C, R, S, groups, -1)"),
    fourier("Fourier: a group's gradient from all kernels of the first", "G[:, k].swapaxes(1, 2)",
            "G[:, : K // geometry.groups].swapaxes(1, 2)", verdict="group boundary"),
    fourier("Fourier: = for += over the images of a batch", "back[:, f] += product(", "back[:, f] = product("),
    fourier("Fourier: the conjugates left out", "np.where(theta, 2, 1)[:, None, None] / T", "1 / T"),
    fourier("Fourier: angle 0 counted twice", "np.where(theta, 2, 1)[:, None, None]", "2"),
    fourier("Fourier: the weights themselves and not their conjugate", '"weights": [[1, 0], [1, 1], [1, -1]]',
            '"weights": [[1, 0], [1, -1], [1, 1]]'),
    fourier("Fourier: angles of even tiles on the real axis", "(0.5 if T % 2 == 0 else 0)", "0"),
    fourier("Fourier: tiles overlap by a pixel too few", "min(last + kernel - 1 - padding, image)",
            "min(last + kernel - 2 - padding, image)"),
    fourier("Fourier: padding taken for pixels", "start - first + padding))", "0))"),
    fourier("convolution: Fourier for one image, too", "tile if time < _time", "tile if time < 1e9 * _time"),
    window("windows: a step of 8 bits", 'pair(op, "stride", stride, 1)', "several(stride) or (stride, stride)",
           "test_conv2d.py::test_numbers_of_numpy_are_settings_too"),
    im2col("im2col: the first row seen as padding", "if not 0 <= h < H", "if not 0 < h < H", verdict=BORDER),
    im2col("im2col: the image repeated into the padding", "flat[to : to + inside * N] = 0",
           "for n in range(inside * N): flat[to + n] = image[(c * H + min(max(h, 0), H - 1)) * W * N + n % N]",
           verdict=BORDER),
    conv2d("row2col: a row below the image seen", "if not 0 <= row < H", "if not 0 <= row <= H"),
    conv2d("columns: a ring begins one row late", "-top % R * C * S", "(1 - top) % R * C * S"),
    im2col("col2im: = for +=", "seen[n] += column", "seen[n] = column", verdict=COLLISION),
    im2col("col2im: nothing for the first row", "if 0 <= h < H", "if 0 < h < H", verdict=BORDER),
    # -- pooling -------------------------------------------------------------------------------------------------------
    max_pool2d("max_pool2d: padding behind for padding before", "*windows.steps)",
               "windows.down, windows.right, windows.around[0][1], windows.around[1][1])",
               "test_max_pool2d.py::test_padding_on_one_side"),
    avg_pool2d("avg_pool2d: windows at the border by all of their places", "on.R * on.S if include else",
               "on.R * on.S if include or True else", "test_avg_pool2d.py::test_the_poolings_of_cuda_convnet"),
    avg_pool2d("avg_pool2d: a window too many", "min(count, (pixels - 1 - first) // step + 1)",
               "min(count, (pixels - first) // step + 1)", "test_avg_pool2d.py::test_avg_pool2d"),
    avg_pool2d("avg_pool2d: the gradient is not divided", "g = single(batch_last(gy)) / n",
               "g = single(batch_last(gy))", verdict="constant factor", case="avg_pool2d"),
    pool_kernel("max_pool2d: zeros for −∞ in the padding", "largest, place = -x.dtype.type(np.inf), ",
                "largest, place = x.dtype.type(0 if r_first or s_first else -np.inf), ", verdict=BORDER),
    pool_kernel("max_pool2d_backward: = for +=", "here[n] += sent[n] if won[n] == place else zero",
                "here[n] = sent[n] if won[n] == place else here[n]", verdict=COLLISION),
    pool_kernel("max_pool2d_backward: rows and columns of a window exchanged",
                "(h + top - p * down) * S + w + left - q * right", "(w + left - q * right) * S + h + top - p * down"),
    # -- local response normalisation ----------------------------------------------------------------------------------
    lrn("LRN: α / n, alike", "    y = np.empty_like(x)\n", "    y = np.empty_like(x)\n    alpha /= size\n"),
    lrn("LRN: α / n in the gradient", "rows(x), *settings, 2.0 * alpha * beta)",
        "rows(x), size // 2, alpha / size, float(beta), float(k), 2.0 * alpha / size * beta)"),
    lrn("LRN: αβ for 2αβ", "2.0 * alpha * beta", "1.0 * alpha * beta", verdict=TERM),
    lrn_kernel("LRN: cross term with the other sign", "result[i] -= here", "result[i] += here", verdict=TERM),
    lrn_kernel("LRN: x[j] for x[c] in the cross term", "-= here[i] * d[i]",
               "-= x[min(c + 1, C - 1), start + i] * d[i]"),
    lrn_kernel("LRN: k is 1, alike", "d[:] = k", "d[:] = 1", count=2),
    lrn_kernel("LRN: another β as 1 − β, forward", "** -beta", "** (beta - 1)", count=2, at=0),
    lrn_kernel("LRN: d in single precision", "d = np.empty(RUN, x.dtype)", "d = np.empty(RUN, np.float32)",
               verdict="single precision", count=2, at=0),
    # -- ReLU ----------------------------------------------------------------------------------------------------------
    relu("relu: slope 1 at 0", "        return g\n", "        return np.where(x >= 0, gy, g)\n"),
    relu_kernel("relu: NaN becomes 0", "zero if x[i, j] < zero else x[i, j]", "x[i, j] if x[i, j] > zero else zero",
                "test_relu.py::test_the_slope_at_zero_is_zero_and_nan_stays_nan"),
    # -- dropout -------------------------------------------------------------------------------------------------------
    dropout("dropout: the gradient with the next step's mask", "    return masked(x), masked",
            "    y = masked(x)\n    counter = counter + 1\n    return y, masked",
            verdict="wrong mask"),
    dropout("dropout: the gradient without 1 / (1 − p)", "    return masked(x), masked",
            "    y = masked(x)\n    scale = 1.0\n    return y, masked", verdict="constant factor"),
    dropout("dropout: another mask each time", "*seen, counter,",
            "*seen, np.random.default_rng().integers(2**62, size=2),", verdict="not deterministic"),
    dropout("dropout: p is the share kept", "np.uint64(p * 2**32)", "np.uint64((1 - p) * 2**32)"),
    # -- softmax and the loss ------------------------------------------------------------------------------------------
    loss_kernel("cross_entropy: gradient not divided by N", "gy[0] / y.dtype.type(N)", "gy[0]",
                verdict="constant factor"),
    loss_kernel("cross_entropy: gradient times N", "gy[0] / y.dtype.type(N)", "gy[0] * y.dtype.type(N)",
                verdict="constant factor"),
    loss_kernel("cross_entropy: one-hot missing", "(y[k, n] - y.dtype.type(k == labels[n]))", "y[k, n]", verdict=TERM),
    # -- data ----------------------------------------------------------------------------------------------------------
    ops("precision")("half: two digits behind the point", "return x.astype(np.float16), ",
                     "return np.round(x, 2).astype(np.float16), "),
    crop_kernel("crop: mirrored pixels less the mean of where they go", "shade = pictures[n, i, left : left + W, c], "
                "mean[c, i, left : left + W]", "shade = pictures[n, i, left : left + W, c], "
                "mean[c, i, left : left + W][:: -1 if places[2, n] else 1]"),
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
    cuda_rows("CUDA row2col: channels exchanged with rows", "int c = line / places / S % C;",
              "int c = line / places / S % rows % C;"),
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
    cuda_dropout("CUDA dropout: beyond the last image", "n < N)", "n <= N)"),
    cuda_dropout("CUDA dropout: the images before the first", "0 <= n && n", "n"),
    cuda_crop("CUDA crop: mirrored one column off", "W - 1 - w", "W - w"),
    cuda_crop("CUDA crop: colours exchanged with columns", "* columns + j) * C + c]", "* columns + j) + c * columns]"),
    cuda_sgd("CUDA SGD: decay without the rate", "decay * rate * w[i]", "decay * w[i]"),
    cuda_sgd("CUDA SGD: one element too many", "i < size", "i <= size"),
    cuda_loss("CUDA cross_entropy: a barrier left out", "= top;\n        __syncthreads();\n", "= top;\n"),
    cuda_loss("CUDA cross_entropy: beyond the last image", "n < N ? K : 0", "K"),
    cuda_loss("CUDA cross_entropy: every warp writes the loss", "if (first == 0 && n < N)", "if (n < N)"),
    cuda_loss("CUDA cross_entropy: label off by one", "(labels[n] == k)", "(labels[n] == k + 1)"),
    on_gpus("GPUs: an op does not enter its device", "place as device:",
            "__import__('contextlib').nullcontext(place) as device:",
            "test_cuda_devices.py::test_what_is_on_a_device_stays_there"),
    on_gpus("GPUs: a copy on the source's device", f"        with self:\n{EMPTY}            stream = ",
            f"        with source:\n{EMPTY}            stream = ",
            "test_cuda_devices.py::test_there_and_back_with_memory_order_and_gradient"),
    # -- the engine ----------------------------------------------------------------------------------------------------
    engine("backward: = for += where a tensor is used twice", "flow[x] = flow[x] + part", "flow[x] = part",
           verdict="= for +=", case="tensor"),
    max_pool2d("max_pool2d: what was pooled is kept", "np.empty_like(gy, shape=(C, H, W, N), order", "np.zeros_like("
               "batch_last(x), order", KEPT),
    engine("op: the graph keeps every tensor", "        tensor._made = Node(",
       "        tensor.grad = sources\n        tensor._made = Node(", KEPT),
    engine("backward: gradients in single precision", "g.astype(tensor.dtype, copy=False)", "g.astype(np.float32)"),
    engine("no_grad ignored", "return _mode.get()", "return True",
           "test_tensor.py::test_what_is_written_into_a_detached_leaf_is_written_into_both"),
    engine("op: everything becomes single precision",
       "if y.dtype == _DOUBLE and not any", "if y.dtype == _DOUBLE or any",
       verdict="single precision", case="exp"),
    engine("op: gradients of the wrong inputs", "zip(inputs, gradients, strict",
       "zip(inputs, gradients[::-1], strict", case="multiply"),
    engine("memory: batch_first turns all round", "array.transpose(-1, *range(array.ndim - 1))", "array.transpose()"),
    ops("__init__")("the list: mean is the sum", "from .reduce import max, mean, sum",
                    "from .reduce import max, sum, sum as mean", "test_reduce.py"),
    slips("kernels/add_at.py", "test_shape.py", case="getitem")(
        "add_at: = for +=", "        np.add.at(x, index, values)", "        x[index] += values", verdict="= for +="),
    engine("observers: all threads'", "class _Observers(threading.local)", "class _Observers",
           "test_guests.py::test_each_thread_is_watched_by_itself"),
    modules("modules in tuples are not found", "not isinstance(value, (str, bytes)",
                                       "not isinstance(value, (str, tuple)"),
    cores("product: every core has the first rows", "(slice(first, last), slice(None)) if by_rows",
          "(slice(last - first), slice(None)) if by_rows", "test_kernels.py::test_a_product_is_spread_over_the_cores"),
    cores("a @ b: shares by the number of cores", "// LEAST_SHARE, PARTS)",
          "// LEAST_SHARE, 2 * __import__(__package__, fromlist=['x']).get_num_threads())", BITS),
    cores("parallel_for: parts by the number of cores", "ranges = split_range(items, parts)",
          "ranges = split_range(items, 2 * _threads)", tests=BITS),
    cores("parallel_for inside of another: all at once", "    if _here.inside or len(ranges) < 2:\n",
          "    if _here.inside:\n        return [work(0, items)]\n    if len(ranges) < 2:\n",
          "test_kernels.py::test_parallel_for_inside_of_another_does_the_same_parts_on_one_core"),
    cores("towers at once: the graph is remembered by one core and not by the other",
          "contextvars.copy_context().run, worker", "contextvars.Context().run, worker",
          "test_alexnet.py::test_where_no_graph_grows_every_core_takes_a_tower"),
    # -- layers --------------------------------------------------------------------------------------------------------
    nn("Linear without its bias", "alike(self.weight, x), alike(self.bias, x))",
       "alike(self.weight, x))"),
    nn("Dropout at test too", "if not self.training:", "if not self.training and not self.inverted:",
       "test_nn.py::test_dropout_in_training_and_at_test"),
    # -- the update rule -----------------------------------------------------------------------------------------------
    sgd_kernel("SGD: the rate outside of the velocity", "decay * rate * w[i] - rate * g[i]\n        w[i] += v[i]",
               "decay * w[i] - g[i]\n        w[i] += rate * v[i]"),
    # -- AlexNet -------------------------------------------------------------------------------------------------------
    alexnet("AlexNet: conv3 sees its own tower alone", '"conv3", "both"', '"conv3", "own"'),
    alexnet("AlexNet: conv4 sees both towers", 'CONV4 = Row("conv4", "own"', 'CONV4 = Row("conv4", "both"'),
    alexnet("AlexNet: blueprint not normalised after block 5", 'layers="conv relu norm pool flatten"',
            'layers="conv relu pool flatten"', ORDER),
    alexnet("AlexNet: normalised before ReLU", '"conv1", "own", "conv relu norm pool"',
            '"conv1", "own", "conv norm relu pool"', ORDER),
    alexnet("AlexNet: tower b before tower a", "concatenate(*(x.to(device) for x in xs), axis=1)",
            "concatenate(*(x.to(device) for x in xs[::-1]), axis=1)", TWINS),
    alexnet("AlexNet: a tower sees no neighbour of the other in a window", "far = xs, norm.size // 2",
            "far = xs, 1", TWINS),
    alexnet("AlexNet: Caffe's α not divided", "IN_CAFFE = Norm(5, 1e-4 / 5, ", "IN_CAFFE = Norm(5, 1e-4, ", TWINS),
]  # fmt: skip
