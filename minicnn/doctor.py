"""``python -m minicnn doctor``: can a GPU be used here, and all of the processor, and if not, what is to be done?

Every check does what the engine would do, and says what it found; where it fails it says the remedy. What stands behind
a check that failed is not looked at.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .engine.device import copy_to, cpu, cuda, cupy
from .findings import Absent, Finding, Trouble, first_line, show
from .kernels import blas, cuda_source, get_num_threads
from .kernels.relu import relu
from .models import alexnet
from .training.memory import predicted

__all__ = ["Finding", "choose", "examine", "report"]

DRIVERS = {12: 525, 13: 580}  # the oldest driver for a CUDA of that major version (NVIDIA's CUDA compatibility guide)


def examine(batch_size: int = 128) -> list[Finding]:
    """All findings, in the order in which one thing needs another."""
    findings: list[Finding] = []

    def look(name: str, check: Callable[[], str]) -> bool:
        if any(f.state != "ok" for f in findings if f.name in NEEDS.get(name.rpartition(" ")[2], ())):
            findings.append(Finding(name, "-", "not looked at"))
            return False
        findings.append(looked(name, check))
        return findings[-1].state == "ok"

    look("processor", processor)
    held = blas.held_below()
    findings.append(Finding("BLAS", "!" if held else "ok", blas.in_use(), held))
    look("CuPy", installed)
    look("driver", driver)
    gpus = range(cupy().cuda.runtime.getDeviceCount() if look("devices", devices) else 0)
    look("compiler", compiler)
    for i in gpus:
        look(f"cuda:{i}", partial(properties, i))
        look(f"cuda:{i} kernels", partial(kernels, i))
        look(f"cuda:{i} cuBLAS", partial(cublas, i))
        look(f"cuda:{i} memory", partial(memory, i, batch_size, len(gpus)))
    for i in gpus:
        for j in gpus[i + 1 :]:
            look(f"cuda:{i} and cuda:{j}", partial(peers, i, j))
    return findings


def looked(name: str, check: Callable[[], str]) -> Finding:
    """What a check found."""
    try:
        return Finding(name, "ok", check())
    except Trouble as trouble:
        return Finding(name, "no" if isinstance(trouble, Absent) else "NO", *trouble.args)
    except Exception as error:  # whatever CuPy, CUDA or a damaged installation may raise
        return Finding(name, "NO", first_line(error), REMEDIES.get(name.rpartition(" ")[2], LOG))


NEEDS = {"driver": ("CuPy",), "compiler": ("CuPy",), "devices": ("CuPy", "driver"), "kernels": ("compiler",)}
WHOLE = 'install all of CUDA that CuPy needs: pip install "minicnn[cuda13]", or minicnn[cuda12] for CUDA 12'
LOG = "see whether nvidia-smi lists the GPU as healthy, and look for errors of it in the system's log"
REMEDIES = dict.fromkeys(("compiler", "kernels", "cuBLAS"), WHOLE) | {
    "processor": "install Numba anew, in a version for this Python: pip install --force-reinstall numba"}


# -- the checks: each returns what it found, or raises -----------------------------------------------------------------


def processor() -> str:
    x = np.arange(-2.0, 3.0, dtype=np.float32).reshape(1, 5)
    y = np.empty_like(x)
    relu(y, x)
    if y.sum() != 3:
        raise Trouble(f"a kernel computed {y.sum()}, not 3", REMEDIES["processor"])
    return f"{get_num_threads()} cores, Numba {sys.modules['numba'].__version__}"


def installed() -> str:
    try:
        found = cupy()
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise
        raise Absent("not installed", 'for a GPU: pip install "minicnn[cuda13]", or minicnn[cuda12] for an older driver'
                     ) from None
    except Exception as error:
        raise Trouble(f"cannot be imported: {first_line(error)}",
                      "keep one CuPy alone: pip list shows them; uninstall all, then install one anew") from error
    if getattr(found, "is_stand_in", False):
        return "a stand-in for tests: nothing below is a GPU"
    return f"{found.__version__}, for CUDA {version(found.cuda.runtime.runtimeGetVersion())}"


def version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def driver() -> str:
    runtime = cupy().cuda.runtime
    needs, has = runtime.runtimeGetVersion(), runtime.driverGetVersion()
    oldest = f"install NVIDIA's driver {DRIVERS.get(needs // 1000, max(DRIVERS.values()))} or newer"
    if not has:
        raise Absent("none: there is no NVIDIA GPU here, or no driver for it", f"if there is a GPU: {oldest}")
    if has // 1000 < needs // 1000:
        raise Trouble(f"it knows CUDA up to {version(has)}, CuPy is for {version(needs)}",
                      f"{oldest}, or take CuPy for the older CUDA: pip install \"minicnn[cuda{has // 1000}]\"")
    return f"knows CUDA up to {version(has)}"


def devices() -> str:
    count = cupy().cuda.runtime.getDeviceCount()
    if not count:
        raise Absent("none", "see whether nvidia-smi lists a GPU, and whether CUDA_VISIBLE_DEVICES hides it")
    return f"{count}"


def compiler() -> str:
    """NVRTC, on one of minicnn's texts: it needs neither a GPU nor a driver."""
    nvrtc = cupy().cuda.nvrtc
    code, options = cuda_source(relu.plain.__code__.co_filename, [np.zeros(1, np.float32)])
    program = nvrtc.createProgram(code, "relu.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*options, "--gpu-architecture=sm_75"))
    finally:
        nvrtc.destroyProgram(program)
    return f"NVRTC {'.'.join(map(str, nvrtc.getVersion()))}, which compiles"


def properties(i: int) -> str:
    module = cupy()
    capability = module.cuda.Device(i).compute_capability
    if int(capability) < 75:
        raise Trouble(f"{cuda(i).name}, compute capability {capability[:-1]}.{capability[-1]}",
                      "minicnn's kernels are compiled for 7.5 (Turing) and newer: use the processor")
    total = module.cuda.Device(i).mem_info[1]
    return f"{cuda(i).name}, compute capability {capability[:-1]}.{capability[-1]}, {total / 1e9:.1f} GB"


def kernels(i: int) -> str:
    """One of minicnn's, and two of CuPy's own, which need CUDA's headers."""
    with cuda(i) as device:
        x = copy_to(np.arange(-2.0, 3.0, dtype=np.float32).reshape(1, 5), device)
        y = np.empty_like(x)
        relu(y, x)
        found = device.numpy((y + 1).sum())
    if found != 8:
        raise Trouble(f"they computed {found}, not 8", LOG)
    return "compiled, and right"


def cublas(i: int) -> str:
    with cuda(i) as device:
        x = copy_to(np.ones((4, 4), np.float32), device)
        found = device.numpy(np.matmul(x, x))
    if (found != 4).any():
        raise Trouble(f"a product of ones is {found[0, 0]}, not 4", LOG)
    return "answers"


def need(batch_size: int, count: int, like: Any) -> int:
    """Bytes that a training step of AlexNet takes of each of so many GPUs: of two each has a tower, and of these the
    fuller one counts. like: an array of such a GPU."""
    model = alexnet(devices=(cpu(0), cpu(min(count, 2) - 1)))
    return max(parts.total for parts in predicted(model, (3, model.pixels, model.pixels), batch_size, like).values())


def memory(i: int, batch_size: int, count: int) -> str:
    with cuda(i) as device:
        free = cupy().cuda.Device(i).mem_info[0]
        like = copy_to(np.zeros(1, np.float32), device)
    share = need(batch_size, count, like)
    text = (f"{free / 1e9:.1f} GB free, AlexNet at batch {batch_size} takes about {share / 1e9:.1f}"
            + " here, with one tower" * (count > 1))
    if free < share:
        raise Trouble(text, "give a smaller --batch-size, or end what else uses the GPU (nvidia-smi shows it)")
    return text


def peers(i: int, j: int) -> str:
    runtime = cupy().cuda.runtime
    direct = runtime.deviceCanAccessPeer(i, j) and runtime.deviceCanAccessPeer(j, i)
    return "copy to each other directly" if direct else "copy by way of main memory"


def mpi() -> str:
    """What lets several processes train together. MPI is not begun."""
    if not importlib.util.find_spec("mpi4py"):
        raise Absent("mpi4py is not installed", 'to train in several processes: pip install "minicnn[mpi]"')
    import mpi4py

    mpi4py.rc(initialize=False, finalize=False)
    try:
        from mpi4py import MPI
    except Exception as error:
        raise Trouble(f"mpi4py finds no library: {first_line(error)}", 'pip install "minicnn[mpi]"') from error
    name, number = MPI.get_vendor()
    return f"mpi4py {importlib.metadata.version('mpi4py')}, {name} {'.'.join(map(str, number))}"


# -- what follows -----------------------------------------------------------------------------------------------------


def choose(most: int = 2) -> tuple[str, str]:
    """(the devices that ``--device auto`` means here, why): what really works, ``most`` GPUs before one, else the
    processor.

    It tries what training needs, on every GPU, and so takes a moment where there is one.
    """
    return chosen(examine(), most)


def chosen(findings: list[Finding], most: int = 2) -> tuple[str, str]:
    by_name = {f.name: f for f in findings}
    works = [name for name in by_name if re.fullmatch(r"cuda:\d+", name)
             and all(by_name[name + what].state == "ok" for what in ("", " kernels", " cuBLAS"))]  # fmt: skip
    if not works:
        wrong = next(f for f in findings if f.state in ("NO", "no"))
        return "cpu:0,cpu:1", f"{wrong.name}: {wrong.text}"
    return ",".join(works[:most]), f"{len(works)} GPUs work" if len(works) > 1 else by_name[works[0]].text


def report(batch_size: int) -> int:
    """Print it all. Returns the exit status: 1 where something is there and does not work, 0 also where there is simply
    no GPU, no driver or no CuPy."""
    findings = examine(batch_size)
    show([*findings, looked("MPI", mpi)])
    names, reason = chosen(findings)
    print(f"\n--device auto is {names} here ({reason})")
    states = {f.state for f in findings}
    return int("NO" in states and "no" not in states)
