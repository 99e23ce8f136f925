"""The very text of a .cu, compiled by g++ and run by the processor: see cuda_shim.h and cuda_shim.cpp."""

import atexit
import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ORDERS = ("forward", "reversed", "shuffled")
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
FLAGS = [COMPILER, "-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror"]

if COMPILER is None and os.environ.get("CI"):
    raise RuntimeError("g++ is missing: where every proof must run, the kernels' text must run too: install g++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no g++: the CUDA kernels' text did not run")


ran = set()  # (kernel, order of threads) that were held against the Python twin


class KernelTrouble(AssertionError):
    """A race, or a read or write where nothing is."""


class Program:
    """What one text of kernels was compiled to."""

    def __init__(self, code: str, watched: bool = True):
        self.names = re.findall(r"^KERNEL (\w+)\(", code, re.MULTILINE)
        self.watched, self.has_barriers = watched, "__syncthreads" in code
        exports = "".join(f"EXPORT({name})\n" for name in self.names)
        self.library = ctypes.CDLL(str(_built(f'#include "cuda_shim.h"\n{code}\n{exports}', watched)))
        self.library.launch.restype = ctypes.c_char_p

    def parameters(self, name):
        """As ["*f4", "i4", …]: a pointer to floats, an int."""
        text = ctypes.create_string_buffer(1000)
        getattr(self.library, f"signature_of_{name}")(text)
        return text.value.decode().split()

    def launch(self, name, grid, block, arguments, order="forward"):
        """Run it. Raises TypeError where arguments are not what the kernel expects, to the bit; KernelTrouble."""
        given = ["*" * isinstance(a, np.ndarray) + a.dtype.str[1:] for a in arguments]
        if given != (expected := self.parameters(name)):
            raise TypeError(f"{name}: takes {' '.join(expected)}, was given {' '.join(given)}")
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        pointers = [ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else
                    ctypes.create_string_buffer(a.tobytes(), a.itemsize) for a in arguments]  # fmt: skip
        values = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, pointers))
        seen = arrays if self.watched else []
        n = len(seen)
        trouble = self.library.launch(
            getattr(self.library, f"call_{name}"), *grid, *block, self.has_barriers, ORDERS.index(order), values, n,
            (ctypes.c_void_p * n)(*(a.ctypes.data for a in seen)), (ctypes.c_long * n)(*(a.nbytes for a in seen)),
            (ctypes.c_int * n)(*(a.itemsize for a in seen)))  # fmt: skip
        if trouble:
            raise KernelTrouble(f"{name}, {order}: {trouble.decode()} of {[a.shape for a in arrays]}")


@functools.cache
def compile(code, options=()):
    """The program that a text is, watched: every load and store is looked at."""
    return Program(code)


@functools.cache
def compile_unwatched(code, options=()):
    """The same, several times faster, and blind to races: for whoever has other things to look for."""
    return Program(code, watched=False)


def _built(code, watched):
    """The library of a text, built where nobody has built it yet: its name is a digest of all that it is made of."""
    flags = [*FLAGS, f"-I{HERE}", *["-fsanitize=thread"] * watched]
    made_of = [repr(flags).encode(), *(path.read_bytes() for path in sorted(HERE.glob("cuda_shim.*"))), code.encode()]
    library = _folder() / f"{hashlib.sha256(b''.join(made_of)).hexdigest()}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=_folder()) as name:
            folder = Path(name)
            (folder / "kernel.cpp").write_text(code, encoding="utf-8")
            _run([*flags, "-c", folder / "kernel.cpp", "-o", folder / "kernel.o"])
            _run([COMPILER, "-shared", folder / "kernel.o", _runner(), "-o", folder / "kernel.so"])
            (folder / "kernel.so").replace(library)
    return library


@functools.cache
def _runner():
    if not (_folder() / "shim.o").exists():
        _run([*FLAGS, "-c", HERE / "cuda_shim.cpp", "-o", _folder() / f"{os.getpid()}.o"])
        (_folder() / f"{os.getpid()}.o").rename(_folder() / "shim.o")
    return _folder() / "shim.o"


@functools.cache
def _folder():
    """For this process, or, as CUDA_ON_CPU, shared by several: those that a parent started, or one after the other."""
    if "CUDA_ON_CPU" in os.environ:
        return Path(os.environ["CUDA_ON_CPU"])
    folder = Path(tempfile.mkdtemp(prefix="minicnn-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"g++ refuses the kernels:\n{done.stderr}")
