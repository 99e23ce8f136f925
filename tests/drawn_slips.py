"""Which slips are planted, and which tests must see them: by place and by chance, never one by one."""

import functools
import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from slips import Slip, slips_of

HOUSE = Path(__file__).parent.parent
SEED = 1
# Files; how many slips of a kind are drawn of a function, on average; the tests that see them, after the test of the
# file's name.
PLACES = [
    ("kernels/compiled.py", 0.02, "test_machine.py"),
    ("kernels/machine.py", 0.02, ""),
    ("kernels/blas.py", 0.02, ""),
    ("kernels/__init__.py", 0.016, "test_kernels.py test_cuda_devices.py test_machine.py"),
    ("kernels/cores.py", 0.014, "test_kernels.py test_machine.py"),
    ("kernels/product.py", 0.02, "test_kernels.py test_cuda_graph.py"),
    ("kernels/cuda_graph.py", 0.02, "test_cuda_graph.py"),
    ("kernels/convolution.py", 0.01, "test_fourier.py test_conv2d.py test_plan.py"),
    ("kernels/columns.py", 0.014, "test_conv2d.py test_kernels.py test_cuda_devices.py test_cuda_kernels.py "
     "test_plan.py"),
    ("kernels/fourier.py", 0.01, "test_kernels.py test_plan.py"),
    ("kernels/spectrum.py", 0.01, "test_fourier.py"),
    ("kernels/add_at.py", 0.02, "test_shape.py test_cuda_devices.py"),
    ("kernels/*.py", 0.024, "test_kernels.py test_conv2d.py test_optim.py test_data_augment.py"),
    ("minicnn/ops/dispatch.py", 0.025, "test_guests.py test_border.py test_op.py test_habits.py test_tensor.py"),
    ("minicnn/ops/methods.py", 0.025, "test_guests.py test_tensor.py test_arithmetic.py test_reduce.py "
     "test_cross_entropy.py test_habits.py test_op.py test_cuda_devices.py"),
    ("minicnn/ops/*.py", 0.017, "test_tensor.py test_arithmetic.py test_guests.py test_border.py test_op.py "
     "test_habits.py test_conv2d.py test_max_pool2d.py test_nn.py test_kernels.py"),
    ("minicnn/engine/protocols.py", 0.02, "test_guests.py test_habits.py test_tensor.py test_border.py "
     "test_dlpack.py"),
    ("minicnn/engine/*.py", 0.02, "test_tensor.py test_op.py test_guests.py test_habits.py test_border.py "
     "test_memory.py test_modules.py test_to_device.py test_trace.py test_cuda_devices.py"),
    ("minicnn/nn/*.py", 0.03, "test_nn.py test_modules.py test_habits.py test_border.py test_guests.py "
     "test_precision.py test_alexnet.py"),
    ("minicnn/optim.py", 0.035, "test_habits.py test_modules.py test_trainer.py test_cuda_devices.py"),
    ("minicnn/schedule.py", 0.025, "test_habits.py test_trainer.py test_train_script.py"),
    ("minicnn/models/onnx_*.py", 0.014, "test_onnx_file.py test_onnx_net.py test_onnx_ops.py test_onnx_windows.py "
     "test_onnx_export.py"),
    ("minicnn/models/cuda_convnet.py", 0.02, "test_cuda_convnet.py"),
    ("minicnn/models/*.py", 0.02, "test_alexnet.py test_train_script.py"),
    ("minicnn/data/archive.py", 0.013, "test_data_archive.py"),
    ("minicnn/data/index.py", 0.013, "test_data_archive.py"),
    ("minicnn/data/image_archive.py", 0.013, "test_data_archive.py test_data_order.py test_train_archives.py"),
    ("minicnn/data/sources.py", 0.013, "test_data_archive.py test_data_pack.py"),
    ("minicnn/data/pack.py", 0.013, "test_data_pack.py"),
    ("minicnn/data/order.py", 0.013, "test_data_order.py test_data_arrays.py"),
    ("minicnn/data/loader.py", 0.02, "test_data_loader.py test_data_order.py test_ten_crops.py test_train_script.py"),
    ("minicnn/data/statistics.py", 0.02, "test_data_share.py test_data_statistics.py test_train_script.py"),
    ("minicnn/data/cifar.py", 0.02, "test_train_cifar10.py"),
    ("minicnn/data/*.py", 0.02, "test_data_folder.py test_data_bad_picture.py test_data_loader.py test_data_shapes.py "
     "test_train_script.py"),
    ("minicnn/checkpoint.py", 0.02, "test_trainer.py"),
    ("minicnn/diagnose/*.py", 0.008, "test_diagnose.py"),
    ("minicnn/training/interrupt.py", 0.013, "test_trainer.py test_train_alexnet.py"),
    ("minicnn/training/pictures.py", 0.013, "test_train_script.py test_train_alexnet.py"),
    ("minicnn/training/classes.py", 0.008, "test_plots_of_classes.py test_train_alexnet.py"),
    ("minicnn/training/showing.py", 0.013, "test_train_alexnet.py test_train_script.py"),
    ("minicnn/training/finishing.py", 0.013, "test_train_alexnet.py test_train_script.py"),
    ("minicnn/training/memory.py", 0.013, "test_plan.py"),
    ("minicnn/training/step.py", 0.013, "test_step.py test_cuda_graph.py test_trainer.py"),
    ("minicnn/training/exchange.py", 0.02, "test_parallel_step.py test_split.py"),
    ("minicnn/training/parallel_step.py", 0.013, "test_split.py"),
    ("minicnn/training/parallel.py", 0.013, "test_parallel_step.py test_trainer.py"),
    ("minicnn/training/watch.py", 0.013, ""),
    ("minicnn/training/mpi.py", 1e-9, "test_mpi.py"),  # which starts processes of its own: they see no slip
    ("minicnn/training/*.py", 0.013, "test_trainer.py test_train_script.py"),
    ("minicnn/trace.py", 0.013, "test_trace.py test_trace_page.py"),
    ("minicnn/explain.py", 0.013, "test_explain_page.py"),
    ("examples/train_alexnet.py", 0.01, "test_train_script.py test_train_archives.py test_train_alexnet.py"),
]  # fmt: skip
OFTEN = ("term dropped", "factor dropped", "sign turned", "= for +=", "off by one", "another axis",
         "with left out")  # twice as often
SELDOM = ("0 for x", "x for y", "exchanged", "another number", "call left out", "element left out")  # half as often:
# these are many, and most of them raise at once
LONG, LONGEST = ("test_alexnet", "test_cuda_", "test_plan", "test_train_"), "test_train_alexnet.py"
NOBODY_SEES = [  # slips after which nothing is otherwise, or nothing that counts: what finds their names, and why
    (r"argument left out: zip\(.*, strict=True\) → ", "a guard against mistakes: the lengths are the same"),
    (r"flag turned: strict=True", "likewise"),
    (r"device\.py .*ensure_on: always so: .* → .*False", "a copy more, of the same numbers"),
    (r"kernels/__init__\.py .*kernel\.launch: .*(WORTH_A_CORE|weight)", "how many parts there are: only time"),
    (r"fourier\.py .*_tiles: .*(T \* U \*|groups \+ K)", "how many tiles go together: only memory"),
    (r"columns\.py .*_in_turn: (?!.*(range|places|groups))", "how many blocks there are: only time and memory"),
    (r"columns\.py .*_blocks: .*(split_range|RING|LEAST_BLOCKS)", "how many blocks there are: only time and memory"),
    (r"cuda_graph\.py .*capture: call left out: .*free_all_blocks", "memory that is free is given back, or is not"),
    (r"cuda_graph\.py .*capture: with left out: contextlib.suppress", "only a GPU's own end of a broken capture fails"),
    (r"product\.py .*product: .*(LEAST_SHARE|bit_length|4 \* M)", "how many shares there are: only time"),
    (r"row2col\.py .*off by one: .*else 0", "no turn of a loop either way"),
    (r"columns\.py .*_serve_on: ", "either way gives the same, one of them sooner"),
    (r"columns\.py .*room: ", "how large a block is: only time and memory"),
    (r"cores\.py .*concurrently: comparison loosened: 1 < _threads", "one core does one after the other either way"),
    (r"__init__\.py .*_module: argument left out: .*options", "C++17 is what NVRTC takes by itself"),
    (r"device\.py .*view: call left out: array\.view\(\) → array", "CuPy writes to the one as to the other"),
    (r"layers\.py .*normal: its counterpart: np.float32", "the last bit of a random number"),
    (r"shapes\.py .*comparison loosened: rng.random\(\) < 0.5", "a number that hardly ever comes"),
    (r"statistics\.py .*deviation: its counterpart: np.float64", "a last digit of a scale"),
    (r"workers\.py .*close: with left out: suppress", "a worker that is gone at that very moment"),
    (r"interrupt\.py .*_note: always so: not self.asked", "the same note once more"),
    (r"train_alexnet\.py .*configuration: exchanged: \(\(.data., root", "settings are found by their names"),
    (r"run_folder\.py .*Claim.__init__: sign turned: -1", "a number that stands for none until the file is opened"),
    (r"pictures\.py .*check_classes: off by one: :5", "how many names are shown"),
    (r"trace\.py .*_step: flag turned: copy=False", "a copy more, of the same numbers"),
    (r"trace\.py .*to_html: flag turned: allow_nan", "a guard: what is no number was replaced before"),
    (r"weights\.py .*argument left out: safe_open\(.*backend=", "the same numbers, by a map of the file"),
    (r"(columns|fourier|spectrum)\.py .*its counterpart: order=\"C\"", "the same numbers, by a copy more"),
    (r"state_dict: .*order=\"C\"", "the same numbers; how they lie in a file, checkpoint.py sees to"),
    (r"max_pool2d: always so: N < FEW", "both ways give the same, one of them sooner"),
    (r"settings\.py .*whole: always so: type\(value\) is not int → True", "the long way gives the same"),
    (r"memory\.py .*comparison loosened: own <= \{float, int\}", "the other branch does the same, and takes longer"),
]


@dataclass(frozen=True)
class Drawn:
    """A slip in a file, as planted_faults.py plants it: see ``faults.Fault``."""

    file: str
    slip: Slip
    tests: str

    @property
    def name(self):
        return f"{Path(self.file).stem}: {self.slip.name}"

    @property
    def verdict(self):
        """What the numerical check should say, where the kind of slip leaves it no choice."""
        old, new = (re.findall(r"\w+|-", text) for text in (self.slip.old, self.slip.new))
        if not self.slip.gradient or not self.file.startswith(("minicnn/ops/", "kernels/")):
            return None
        if self.slip.kind == "sign turned" and old == ["-", "gy"]:
            return "wrong sign"
        if self.slip.kind == "factor dropped" and "gy" in old and "gy" not in new:
            return "gy not used"
        return None

    @property
    def op(self):
        """The op that is checked: the function, or what its file is named after."""
        return self.slip.function.partition(".")[0].removesuffix("_backward")

    def source(self):
        return self.slip.planted_in((HOUSE / self.file).read_text(encoding="utf-8"))


def tests_of(path, others):
    """The test of the file's name, if there is one, and then the others: first those that name it most, and last those
    that take long."""
    own = [f"test_{name}.py" for name in (path.stem, f"data_{path.stem}")]
    there = [HOUSE / "tests" / name for name in dict.fromkeys([*own, *others.split()])]
    texts = {test.name: test.read_text(encoding="utf-8") for test in there if test.exists()}
    said = {name: len(re.findall(rf"\b{path.stem}\b", text)) for name, text in texts.items()}
    return " ".join(sorted(texts, key=lambda name: (name == LONGEST, name not in own, name.startswith(LONG),
                                                    -said[name])))


def chance(seed, slip):
    """From 0 to 1. It knows no names: a renaming draws no others, and a function that is rewritten only its own."""
    digest = hashlib.blake2b(f"{seed} {slip.kind} {slip.mark}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


@functools.cache
def every_slip():
    """(slip in its file, how many of its kind are drawn of a function): all that somebody could see. Numbers on which a
    whole file depends are left to faults.py, except for those of models."""
    every, seen = [], set()
    for pattern, rate, tests in PLACES:
        for path in sorted(set(HOUSE.glob(pattern)) - seen):
            seen.add(path)
            file, of_file = path.relative_to(HOUSE).as_posix(), tests_of(path, tests)
            for slip in slips_of(path.read_text(encoding="utf-8")):
                if slip.function or "models" in file:
                    often = 2 if slip.kind in OFTEN else 0.5 if slip.kind in SELDOM else 1
                    every.append((Drawn(file, slip, of_file), rate * often))
    return every


def drawn_slips(seed=SEED, everything=False):
    """Of every kind in every function some, by chance, and in all at least one; of each file of kernels and of ops at
    least one of those that are drawn often; and all whose verdict is known."""
    slips = [(each, rate) for each, rate in every_slip() if not excuse(each)]
    kinds = Counter((each.file, each.slip.function, each.slip.kind) for each, _ in slips)
    rank, first = {}, {}
    for each, rate in slips:
        function = each.file, each.slip.function
        rank[each] = chance(seed, each.slip) * kinds[*function, each.slip.kind] / rate
        own = each.slip.kind in OFTEN and each.file.startswith(("kernels/", "minicnn/ops/"))
        for of in (each.slip.kind, each.file)[: 1 + own]:
            first[of] = min(first.get(of, each), each, key=rank.get)
    least = set(first.values())
    return [each for each in rank if everything or rank[each] < 1 or each in least or each.verdict]


def excuse(each):
    """Why nobody sees a slip, if there is a reason."""
    said = f"{each.file} {each.name}"
    return next((why for part, why in NOBODY_SEES if re.search(part, said)), "")


def unused():
    """What NOBODY_SEES says of slips that are no longer there."""
    names = [f"{each.file} {each.name}" for each, _ in every_slip()]
    return [part for part, _ in NOBODY_SEES if not any(re.search(part, name) for name in names)]
