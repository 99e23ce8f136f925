"""Which BLAS NumPy multiplies with, which kernels it chose, and whether these are below what the processor can do.

A BLAS chooses its kernels once, when it is loaded: by the processors that it knows, and by environment variables. Older
kernels are right, too, and take up to twice the time or more.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Any

import numpy as np

__all__ = ["VARIABLES", "held_below", "in_use"]

NAMES = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS", "flexiblas": "FlexiBLAS"}
SIZE = "OPENBLAS_L2_SIZE"  # of blocks; all others choose kernels
VARIABLES = {"openblas": ("OPENBLAS_CORETYPE", SIZE), "mkl": ("MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"),
             "blis": ("BLIS_ARCH_TYPE",)}  # fmt: skip
# What a processor must have for the kernels that OpenBLAS (driver/others/dynamic.c) and BLIS call by these names, for
# what MKL's variables say, and for the reference BLAS under FlexiBLAS. Others, as those of ARM, are not judged.
LEVELS = {
    "SSE": "katmai coppermine northwood prescott banias atom core2 penryn dunnington nehalem athlon opteron "
           "opteron_sse3 barcelona bobcat nano generic netlib compatible sse2 sse3 ssse3 sse4_1 sse4_2",
    "AVX": "sandybridge bulldozer piledriver steamroller avx",
    "AVX2": "haswell zen excavator avx2 avx2_e1",
    "AVX-512": "skylakex cooperlake sapphirerapids skx knl avx512 avx512_e1 avx512_e2 avx512_e3 avx512_e4 avx512_mic",
}  # fmt: skip
ORDER = list(LEVELS)
LEVEL_OF = {word: level for level, words in enumerate(LEVELS.values()) for word in words.split()}

NONE = "none, NumPy was built without"
WHEELS = "NumPy as PyPI has it brings a newer OpenBLAS: pip install --upgrade numpy numba"


def in_use() -> str:
    """As "OpenBLAS 0.3.31, kernels SkylakeX"; behind it the variables that it looked at, where they are set."""
    api, name, kernels = _library()
    if name == NONE:
        return name
    variables = ", ".join(f"{variable}={value}" for variable, value in _set(api).items())
    return f"{name}, kernels {kernels or 'unknown'}" + (f" ({variables})" if variables else "")


def held_below() -> str:
    """What holds the kernels below the processor, and what to do. Empty where nothing does, or it cannot be known."""
    api, name, kernels = _library()
    if name == NONE:
        return "its own loops take many times as long: pip install --force-reinstall numpy, whose wheels bring a BLAS"
    if name in {"blas", "cblas"}:  # as systems call whatever BLAS is installed, and those that are fast are known
        return f"perhaps the reference BLAS, which takes many times as long; {WHEELS}"
    variables = _set(api)
    words = [kernels] if kernels else list(variables.values())  # where it does not say, what it was asked for
    words = [word.partition(",")[0].lower() for word in words]
    level, processor = min((LEVEL_OF[word] for word in words if word in LEVEL_OF), default=len(ORDER)), _processor()
    if level >= processor:
        return ""
    why = f"these are for {ORDER[level]}, the processor has {ORDER[processor]}: "
    if variables.keys() - {SIZE}:
        return f"{why}unset {' and '.join(variables)}, as in env -u {' -u '.join(variables)} python ..."
    return why + WHEELS


def _library() -> tuple[str, str, str]:
    """(what it is among VARIABLES, or ""; its name and version; its kernels, or ""): NumPy's, of all in the process."""
    there: list[tuple[str, str, str, str]] = []
    with suppress(Exception):  # which looks into other people's libraries
        import threadpoolctl

        there = [_described(each) for each in threadpoolctl.threadpool_info() if each.get("user_api") == "blas"]
    own = [each for each in there if re.search(r"/numpy(\.libs|/\.dylibs)$", each[0])]
    shared = [each for each in there if not re.search(r"\.(dy)?libs$", each[0])]  # not another package's
    if found := own or shared:
        return min(found, key=lambda each: each[1] == "flexiblas")[1:]  # which hands on to another, if that is there
    with suppress(Exception):  # of a NumPy that says it otherwise
        config: Any = np.show_config(mode="dicts")
        built = config["Build Dependencies"]["blas"]
        name = str(built.get("name", "unknown")) if built.get("found") else NONE
        return next((api for api in VARIABLES if api in name), ""), name, ""
    return "", "unknown", ""


def _described(library: dict[str, Any]) -> tuple[str, str, str, str]:
    """(the folder where it lies, what it is, name and version, kernels) of what threadpoolctl found."""
    api, version = str(library.get("internal_api")), library.get("version")
    return (str(library.get("filepath")).replace("\\", "/").rpartition("/")[0], api,
            NAMES.get(api, api) + (f" {version}" if version else ""),
            str(library.get("architecture") or library.get("current_backend") or ""))


def _set(api: str) -> dict[str, str]:
    """The variables that this BLAS reads, where they are set."""
    return {variable: os.environ[variable] for variable in VARIABLES.get(api, ()) if variable in os.environ}


def _processor() -> int:
    """The highest of LEVELS that the processor has and the system, or a virtual machine, lets be used. 0 where that
    cannot be known, and for all but x86."""
    with suppress(Exception):  # as on a system that LLVM cannot ask
        from llvmlite.binding import get_host_cpu_features

        has = get_host_cpu_features()
        return sum(bool(has.get(flag)) for flag in {"avx", "avx2", "avx512vl"})  # each brings those before it
    return 0
