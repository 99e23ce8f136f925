"""Which BLAS multiplies, with which kernels, and what holds these below the processor: on machines of every kind, which
are made up, and on this one, held back for real."""

import os
import subprocess
import sys

import llvmlite.binding
import numpy as np
import pytest
import threadpoolctl

from minicnn.kernels import blas
from minicnn.kernels.blas import held_below, in_use

WHEEL = "/usr/lib/python3/site-packages/numpy.libs/libscipy_openblas64_-32a4b2a6.so"
AVX512 = {"avx": True, "avx2": True, "avx512f": True, "avx512vl": True}
AVX2 = AVX512 | {"avx512f": False, "avx512vl": False}  # or a virtual machine that hides AVX-512
PHI = AVX512 | {"avx512vl": False}  # Knights Landing, for which OpenBLAS has the kernels of Haswell
AVX = {"avx": True, "avx2": False}
SSE = {"sse2": True, "avx": False}
ARM = {"neon": True, "sve": True}


def library(api="openblas", kernels=None, version="0.3.31", path=WHEEL, **more):
    """As threadpoolctl describes one."""
    own = {"architecture": kernels} if api in ("openblas", "blis") else {}
    return {"user_api": "blas", "internal_api": api, "version": version, "filepath": path} | own | more


@pytest.fixture
def machine(monkeypatch):
    """Makes one up: what threadpoolctl finds, the processor's flags, variables that are set, how NumPy was built."""
    for names in blas.VARIABLES.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)

    def make(libraries, flags=AVX512, built="scipy-openblas", **variables):
        config = {"Build Dependencies": {"blas": {"name": built, "found": True} if built else {"name": "none"}}}
        monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: libraries)
        monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: flags)
        monkeypatch.setattr(np, "show_config", lambda mode: config)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return make


CONDA, DEBIAN = "/opt/conda/lib/libmkl_rt.so.2", "/usr/lib/x86_64-linux-gnu/blis-openmp/libblis.so.4"
FEDORA = "/usr/lib64/libflexiblas.so.3"


@pytest.mark.parametrize("libraries, built, said", [
    ([library(kernels="SkylakeX")], "scipy-openblas", "OpenBLAS 0.3.31, kernels SkylakeX"),
    ([library(kernels=None, version=None)], "openblas", "OpenBLAS, kernels unknown"),
    ([library("blis", "zen3", "0.9.0", DEBIAN)], "blis", "BLIS 0.9.0, kernels zen3"),
    ([library("mkl", version="2024.2", path=CONDA)], "mkl-sdl", "MKL 2024.2, kernels unknown"),
    ([library("nvpl", version="0.3", path=CONDA)], "nvpl", "nvpl 0.3, kernels unknown"),  # threadpoolctl may learn more
    ([], "accelerate", "accelerate, kernels unknown"),
    ([], "scipy-openblas", "scipy-openblas, kernels unknown"),
    ([], None, "none, NumPy was built without"),
    ([library("flexiblas", version="3.4.2", path=FEDORA, current_backend="NETLIB")], "flexiblas",
     "FlexiBLAS 3.4.2, kernels NETLIB"),
    ([library("flexiblas", version="3.4.2", path=FEDORA, current_backend="OPENBLAS-OPENMP"),
      library(kernels="Zen", path="/usr/lib64/libopenblaso.so.0")], "flexiblas", "OpenBLAS 0.3.31, kernels Zen"),
])  # fmt: skip
def test_it_names_every_blas(machine, libraries, built, said):
    machine([{"user_api": "openmp", "internal_api": "openmp"}, *libraries], built=built)
    assert in_use() == said


@pytest.mark.parametrize("others", [
    "/usr/lib/python3/site-packages/scipy.libs/libscipy_openblas-1.so", "/usr/lib/libopenblas.so.0",
    r"C:\Python\Lib\site-packages\torch.libs\openblas.dll", "/site-packages/scipy/.dylibs/libscipy_openblas.dylib"])
def test_of_several_it_names_that_of_numpy(machine, others):
    for own in (WHEEL, r"C:\Python\Lib\site-packages\numpy.libs\libscipy_openblas64_-1.dll",
                "/site-packages/numpy/.dylibs/libscipy_openblas64_.dylib"):  # fmt: skip
        machine([library(kernels="Zen", path=others), library(kernels="Haswell", path=own)])
        assert in_use() == "OpenBLAS 0.3.31, kernels Haswell"


def test_of_several_it_names_none_that_another_package_brought(machine):
    scipy = library(kernels="Zen", path="/usr/lib/python3/site-packages/scipy.libs/libscipy_openblas-1.so")
    machine([scipy, library("mkl", version="2024.2", path="/opt/libs/libmkl_rt.so")])
    assert in_use() == "MKL 2024.2, kernels unknown"
    machine([scipy], built="accelerate")
    assert in_use() == "accelerate, kernels unknown"
    machine([scipy], built=None)
    assert in_use() == "none, NumPy was built without"


@pytest.mark.parametrize("kernels, flags", [
    ("SkylakeX", AVX512), ("Cooperlake", AVX512), ("SapphireRapids", AVX512), ("SKYLAKEX", AVX512), ("Haswell", AVX2),
    ("Zen", AVX2), ("Excavator", AVX2), ("Haswell", PHI), ("HASWELL", AVX2), ("SkylakeX", AVX2), ("Sandybridge", AVX),
    ("Piledriver", AVX), ("Nehalem", SSE), ("Prescott", SSE), ("neoversen1", ARM), ("armv8", ARM), ("generic", ARM),
    ("Unknown", AVX512), ("GraniteRapids", AVX512), ("Nehalem", {}), ("Nehalem", None), ("", AVX512), (None, AVX512)])
def test_kernels_that_fit_the_processor_are_no_matter(machine, kernels, flags):
    """Nor are those that this program does not know, nor any where the processor is not known."""
    machine([library(kernels=kernels)], flags)
    assert held_below() == ""


@pytest.mark.parametrize("kernels, flags, levels", [
    ("Haswell", AVX512, "AVX2, the processor has AVX-512"), ("Zen", AVX512, "AVX2, the processor has AVX-512"),
    ("Sandybridge", AVX512, "AVX, the processor has AVX-512"), ("Sandybridge", AVX2, "AVX, the processor has AVX2"),
    ("Prescott", AVX2, "SSE, the processor has AVX2"), ("NEHALEM", AVX, "SSE, the processor has AVX"),
    ("generic", AVX2, "SSE, the processor has AVX2"), ("Nehalem", PHI, "SSE, the processor has AVX2")])
def test_an_old_blas_is_said(machine, kernels, flags, levels):
    for more in ({}, {"OPENBLAS_L2_SIZE": "512"}):  # which chooses no kernels
        machine([library(kernels=kernels, version="0.3.3")], flags, **more)
        assert held_below() == f"these are for {levels}: {blas.WHEELS}"
    assert "pip install --upgrade numpy" in blas.WHEELS


def test_the_reference_under_flexiblas(machine):
    machine([library("flexiblas", path=FEDORA, current_backend="NETLIB")], AVX2)
    assert held_below() == f"these are for SSE, the processor has AVX2: {blas.WHEELS}"
    machine([library("flexiblas", path=FEDORA, current_backend="BLIS-OPENMP")], AVX2)
    assert held_below() == ""


@pytest.mark.parametrize("found, variables, said, unset", [
    (library(kernels="Haswell"), {"OPENBLAS_CORETYPE": "Haswell"}, "AVX2", "OPENBLAS_CORETYPE"),
    (library(kernels="Core2"), {"OPENBLAS_CORETYPE": "Penryn"}, "SSE", "OPENBLAS_CORETYPE"),  # as builds without it do
    (library(kernels="Prescott"), {"OPENBLAS_CORETYPE": "Nonsense"}, "SSE", "OPENBLAS_CORETYPE"),  # old OpenBLAS
    (library(kernels="Nehalem"), {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_L2_SIZE": "512"}, "SSE",
     "OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE"),
    (library(kernels=None), {"OPENBLAS_CORETYPE": "sandybridge"}, "AVX", "OPENBLAS_CORETYPE"),  # it does not say
    (library("mkl"), {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}, "AVX2", "MKL_ENABLE_INSTRUCTIONS"),
    (library("mkl"), {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}, "SSE", "MKL_ENABLE_INSTRUCTIONS"),
    (library("mkl"), {"MKL_CBWR": "AVX2,STRICT"}, "AVX2", "MKL_CBWR"),
    (library("mkl"), {"MKL_CBWR": "COMPATIBLE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"}, "SSE",
     "MKL_ENABLE_INSTRUCTIONS and MKL_CBWR"),
    (library("blis", "haswell", "0.9.0"), {"BLIS_ARCH_TYPE": "haswell"}, "AVX2", "BLIS_ARCH_TYPE"),
    (library("mkl"), {"MKL_CBWR": "SSE4_2"}, "SSE", "MKL_CBWR")])
def test_a_variable_that_holds_it_back_is_named_and_is_to_be_unset(machine, found, variables, said, unset):
    machine([found], **variables)
    assert all(f"{name}={value}" in in_use() for name, value in variables.items())
    way = f"unset {unset}, as in env -u {unset.replace(' and ', ' -u ')} python ..."
    assert held_below() == f"these are for {said}, the processor has AVX-512: {way}"


@pytest.mark.parametrize("found, variables, flags, said", [
    (library(kernels="SkylakeX"), {"OPENBLAS_CORETYPE": "SkylakeX"}, AVX512, " (OPENBLAS_CORETYPE=SkylakeX)"),
    (library(kernels="Haswell"), {"OPENBLAS_CORETYPE": "SkylakeX"}, AVX2, " (OPENBLAS_CORETYPE=SkylakeX)"),
    (library(kernels="Haswell"), {"OPENBLAS_CORETYPE": "Haswell"}, AVX2, " (OPENBLAS_CORETYPE=Haswell)"),
    (library(kernels="SkylakeX"), {"OPENBLAS_L2_SIZE": "512"}, AVX512, " (OPENBLAS_L2_SIZE=512)"),
    (library(kernels="armv8"), {"OPENBLAS_CORETYPE": "ARMV8"}, ARM, " (OPENBLAS_CORETYPE=ARMV8)"),
    (library(kernels=None), {"OPENBLAS_L2_SIZE": "512"}, AVX512, " (OPENBLAS_L2_SIZE=512)"),
    (library("mkl"), {"MKL_CBWR": "AUTO"}, AVX512, " (MKL_CBWR=AUTO)"),
    (library("mkl"), {"MKL_ENABLE_INSTRUCTIONS": "AVX512"}, AVX512, " (MKL_ENABLE_INSTRUCTIONS=AVX512)"),
    (library("mkl"), {"OPENBLAS_CORETYPE": "Nehalem"}, AVX512, ""),  # another's variable
    (library("blis", "skx"), {"BLIS_ARCH_TYPE": "skx"}, AVX512, " (BLIS_ARCH_TYPE=skx)"),
    (library(kernels="SkylakeX"), {"OPENBLAS_NUM_THREADS": "1", "MKL_CBWR": "SSE2"}, AVX512, "")])
def test_a_variable_that_does_no_harm_is_named_at_most(machine, found, variables, flags, said):
    machine([found], flags, **variables)
    assert in_use().partition(" (")[1:] == (said[:2], said[2:])
    assert held_below() == ""


def test_no_blas_and_the_reference(machine):
    machine([], built=None)
    assert "pip install --force-reinstall numpy" in held_below()
    for built in ("blas", "cblas"):  # what Debian calls whatever is installed
        machine([], built=built)
        assert in_use() == f"{built}, kernels unknown"
        assert held_below().startswith("perhaps the reference BLAS, which takes many times as long")
    machine([library(kernels="SkylakeX", path="/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3")], built="blas")
    assert (in_use(), held_below()) == ("OpenBLAS 0.3.31, kernels SkylakeX", "")
    machine([], ARM, built="accelerate")
    assert held_below() == ""


def test_a_blas_that_only_numpy_knows_of(machine):
    """As one that is linked into NumPy itself."""
    variables = {"OPENBLAS_CORETYPE": "Haswell", "MKL_CBWR": "SSE2"}
    machine([], built="scipy-openblas", **variables)
    assert in_use() == "scipy-openblas, kernels unknown (OPENBLAS_CORETYPE=Haswell)"
    assert held_below().startswith("these are for AVX2, the processor has AVX-512: unset OPENBLAS_CORETYPE")
    machine([], built="accelerate", **variables)
    assert (in_use(), held_below()) == ("accelerate, kernels unknown", "")


def raises(*given, **more):
    raise RuntimeError("no")


@pytest.mark.parametrize("info", [lambda: None, lambda: [None], lambda: [{"user_api": "blas"}], raises,
                                  lambda: [{"user_api": "blas", "version": 3, "filepath": None, "architecture": 7}]])
@pytest.mark.parametrize("flags", [lambda: None, dict, raises])
@pytest.mark.parametrize("config", [lambda mode: None, lambda mode: {"Build Dependencies": {}}, raises,
                                    lambda mode: {"Build Dependencies": {"blas": None}}, lambda: None])
def test_whatever_others_say_it_has_an_answer_and_raises_no_alarm(monkeypatch, info, flags, config):
    monkeypatch.setattr(threadpoolctl, "threadpool_info", info)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", flags)
    monkeypatch.setattr(np, "show_config", config)
    assert ", kernels " in in_use()
    assert held_below() == ""


def test_without_the_packages_that_it_asks(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    monkeypatch.setattr(np, "show_config", lambda mode: {"Build Dependencies": {"blas": {"name": "a", "found": True}}})
    assert (in_use(), held_below()) == ("a, kernels unknown", "")
    monkeypatch.setattr(np, "show_config", raises)
    assert (in_use(), held_below()) == ("unknown, kernels unknown", "")


# -- this machine ------------------------------------------------------------------------------------------------------


def asked(**variables):
    """What a process says that begins with these variables and no others of a BLAS."""
    ours = {name for names in blas.VARIABLES.values() for name in names}
    around = {name: value for name, value in os.environ.items() if name not in ours} | variables
    program = "from minicnn.kernels.blas import *; print(in_use()); print(held_below())"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=around)
    return run.stdout.splitlines()


def chooses(name):
    """Skips where OpenBLAS does not take the kernels that it is asked for, or the processor has nothing above them."""
    said, _ = asked(OPENBLAS_CORETYPE=name)
    if f"kernels {name} " not in said:
        pytest.skip(f"NumPy multiplies with {said}")
    if blas._processor() <= blas.LEVEL_OF[name.lower()]:
        pytest.skip(f"the processor has no more than {name}")
    return said


def test_this_machine_is_not_held_back_by_itself():
    said, advice = asked()
    assert "(" not in said
    assert "unset" not in advice


@pytest.mark.parametrize("name", ["Nehalem", "Haswell"])
def test_this_machine_held_back(name):
    said = chooses(name)
    assert said.endswith(f", kernels {name} (OPENBLAS_CORETYPE={name})")
    _, advice = asked(OPENBLAS_CORETYPE=name, OPENBLAS_L2_SIZE="512")
    assert advice.startswith(f"these are for {blas.ORDER[blas.LEVEL_OF[name.lower()]]}, the processor has ")
    assert advice.endswith("as in env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python ...")


def test_the_variables_of_threads_change_no_product_of_minicnn():
    """So nobody needs to be told of them: minicnn shares work out by itself, and holds the BLAS to one thread."""
    program = ("import numpy as np; from minicnn.kernels.product import product; "
               "a, b = np.random.default_rng(0).standard_normal((2, 300, 700)).astype(np.float32); "
               "print(hash(product(a, b.T.copy()).tobytes()))")  # fmt: skip
    answers = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                              env=os.environ | {"PYTHONHASHSEED": "0"} | more).stdout
               for more in ({}, {"OPENBLAS_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "1"})}  # fmt: skip
    assert len(answers) == 1
