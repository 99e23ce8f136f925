"""python -m minicnn doctor, on machines of every kind: those that are not at hand are made up."""

import os
import subprocess
import sys
from types import SimpleNamespace

import cuda_on_cpu
import cupy_stand_in
import pytest
from cuda_on_cpu import needs_compiler

from minicnn import cpu, doctor
from minicnn.__main__ import main
from minicnn.doctor import choose, examine
from minicnn.training.memory import Need

NO_DRIVER = "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"


def raises(error):
    def call(*given):
        raise error

    return call


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it could not be found


@pytest.fixture
def no_driver(monkeypatch):
    """CuPy as it is where there is no driver."""
    runtime = SimpleNamespace(runtimeGetVersion=lambda: 13020, driverGetVersion=lambda: 0,
                              getDeviceCount=raises(RuntimeError(NO_DRIVER)))  # fmt: skip
    nvrtc = SimpleNamespace(getVersion=lambda: (13, 5), createProgram=lambda *given: 1,
                            compileProgram=lambda *given: None, destroyProgram=lambda *given: None)  # fmt: skip
    cupy = SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime, nvrtc=nvrtc))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


@pytest.fixture
def two_gpus():
    """A stand-in's, to be spoilt."""
    try:
        yield cupy_stand_in.install(cuda_on_cpu.compile_unwatched)
    finally:
        cupy_stand_in.uninstall()


def states():
    return {f.name: f.state for f in examine()}


def the(name):
    (finding,) = [f for f in examine() if f.name == name]
    return finding


@pytest.mark.parametrize("error", [ImportError("Numba needs NumPy 2.4 or less"), ModuleNotFoundError("numba"),
                                   SystemError("initialization of _internal failed"), OSError("llvmlite.so")], ids=str)
def test_a_processor_without_a_compiler(no_cupy, monkeypatch, capsys, error):
    monkeypatch.setattr(doctor, "relu", raises(error))
    finding = the("processor")
    assert (finding.state, finding.text) == ("NO", str(error))
    assert "pip install --force-reinstall numba" in finding.remedy
    main(["doctor"])
    assert "Traceback" not in capsys.readouterr().out


def test_a_processor_that_computes_something_else(no_cupy, monkeypatch):
    monkeypatch.setattr(doctor, "relu", lambda y, x: y.fill(1))
    assert the("processor").text == "a kernel computed 5.0, not 3"


def test_the_processor_says_how_many_cores_may_be_used(no_cupy, threads):
    threads(7)
    assert the("processor").text.startswith("7 cores, Numba 0.")


@pytest.mark.parametrize("held, state", [("", "ok"), ("these are for AVX2: unset A", "!")])
def test_the_blas_is_named_and_what_holds_it_back(no_cupy, monkeypatch, capsys, held, state):
    """As a remark: all works, so the status is 0, and devices are chosen for another reason."""
    monkeypatch.setattr(doctor.blas, "in_use", lambda: "OpenBLAS 0.3.31, kernels Haswell (A=1)")
    monkeypatch.setattr(doctor.blas, "held_below", lambda: held)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{state:2}  BLAS       OpenBLAS 0.3.31, kernels Haswell (A=1)"
    assert lines[2].startswith(f"               → {held}" if held else "no  CuPy ")
    assert lines[-1] == "--device auto is cpu:0,cpu:1 here (CuPy: not installed)"


def test_a_variable_that_holds_the_blas_back():
    """Nehalem's kernels are below what nearly every x86 has."""
    around = {name: value for name, value in os.environ.items() if name != "OPENBLAS_L2_SIZE"}
    run = subprocess.run([sys.executable, "-m", "minicnn", "doctor"], capture_output=True, text=True, check=False,
                         env=around | {"OPENBLAS_CORETYPE": "Nehalem"})  # fmt: skip
    line, remedy = run.stdout.splitlines()[1:3]
    if not line.endswith(", kernels Nehalem (OPENBLAS_CORETYPE=Nehalem)") or not doctor.blas._processor():
        pytest.skip(f"it cannot be held back: {line}")
    assert line.split()[:2] == ["!", "BLAS"]
    assert "→ these are for SSE, the processor has AVX" in remedy
    assert remedy.endswith(": unset OPENBLAS_CORETYPE, as in env -u OPENBLAS_CORETYPE python ...")


def test_without_cupy_it_says_how_to_get_it(no_cupy, capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "no  CuPy       not installed" in out
    assert '→ for a GPU: pip install "minicnn[cuda13]", or minicnn[cuda12]' in out
    assert "-   driver     not looked at" in out
    assert out.endswith("--device auto is cpu:0,cpu:1 here (CuPy: not installed)\n")


def test_a_broken_cupy_is_said_and_the_status_is_1(monkeypatch, capsys):
    broken = raises(ImportError("libcudart.so.13: no such file\nand more"))
    finder = SimpleNamespace(find_spec=lambda name, *more: broken() if name == "cupy" else None)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "NO  CuPy       cannot be imported: libcudart.so.13: no such file\n" in out
    assert "→ keep one CuPy alone" in out


def test_without_a_driver_the_compiler_is_still_looked_at(no_driver, capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ok  CuPy       14.2.0, for CUDA 13.2" in out
    assert "no  driver     none" in out
    assert "→ if there is a GPU: install NVIDIA's driver 580 or newer" in out
    assert "ok  compiler   NVRTC 13.5, which compiles" in out
    assert "cpu:0,cpu:1 here (driver: none" in out


def test_a_driver_that_is_too_old(no_driver):
    no_driver.cuda.runtime.driverGetVersion = lambda: 12040
    found = the("driver")
    assert (found.state, found.text) == ("NO", "it knows CUDA up to 12.4, CuPy is for 13.2")
    assert 'driver 580 or newer, or take CuPy for the older CUDA: pip install "minicnn[cuda12]"' in found.remedy


def test_what_no_check_foresaw_is_one_line_with_a_remedy(no_driver):
    no_driver.cuda.runtime.driverGetVersion = lambda: 13020
    found = the("devices")
    assert (found.state, found.text, found.remedy) == ("NO", NO_DRIVER, doctor.LOG)
    no_driver.cuda.nvrtc.compileProgram = raises(OSError("libnvrtc.so.13"))
    found = the("compiler")
    assert (found.state, found.text, found.remedy) == ("NO", "libnvrtc.so.13", doctor.WHOLE)
    assert main(["doctor"]) == 1
    no_driver.cuda.runtime.driverGetVersion = lambda: 0
    assert main(["doctor"]) == 0, "without a driver there is nothing to compile for"


def test_a_driver_without_a_gpu(no_driver):
    no_driver.cuda.runtime.driverGetVersion = lambda: 13020
    no_driver.cuda.runtime.getDeviceCount = lambda: 0
    assert "CUDA_VISIBLE_DEVICES" in the("devices").remedy
    assert choose() == ("cpu:0,cpu:1", "devices: none")


@needs_compiler
def test_where_all_is_well_both_gpus_are_chosen(two_gpus, capsys):
    assert main(["doctor", "--batch-size", "64"]) == 0
    out = capsys.readouterr().out
    assert "CuPy               a stand-in for tests: nothing below is a GPU" in out
    assert "cuda:1 kernels     compiled, and right" in out
    assert "cuda:0 and cuda:1  copy to each other directly" in out
    assert "AlexNet at batch 64 takes about" in out
    assert out.endswith("--device auto is cuda:0,cuda:1 here (2 GPUs work)\n")


@needs_compiler
def test_a_gpu_that_computes_wrongly_is_not_chosen(two_gpus, monkeypatch):
    monkeypatch.setattr(cupy_stand_in.RawModule, "_launch", lambda *given, **more: None)
    monkeypatch.setattr(doctor, "need", lambda *of: 2 * 10**9)
    assert the("cuda:0 kernels").text.startswith("they computed ")
    names, reason = choose()
    assert names == "cpu:0,cpu:1"
    assert reason.startswith("cuda:0 kernels: they computed")


@needs_compiler
def test_one_gpu_is_used_for_both_towers(two_gpus, monkeypatch):
    monkeypatch.setattr(two_gpus.cuda.runtime, "getDeviceCount", lambda: 1)
    assert choose() == ("cuda:0", "stand-in, compute capability 9.0, 85.9 GB")


@needs_compiler
def test_an_old_gpu_and_one_without_memory(two_gpus, monkeypatch):
    monkeypatch.setattr(doctor, "need", lambda *of: 2 * 10**9)
    monkeypatch.setattr(cupy_stand_in.Device, "mem_info", property(lambda self: (10**9, 8 * 10**9)))
    assert the("cuda:0 memory").state == "NO"
    assert "smaller --batch-size" in the("cuda:0 memory").remedy
    assert choose()[0] == "cuda:0,cuda:1", "a smaller batch may fit"
    monkeypatch.setattr(cupy_stand_in.Device, "compute_capability", "61")
    assert "compute capability 6.1" in the("cuda:1").text
    assert choose()[0] == "cpu:0,cpu:1"
    monkeypatch.setattr(two_gpus.cuda.runtime, "deviceCanAccessPeer", lambda i, j: 0)
    assert the("cuda:0 and cuda:1").text == "copy by way of main memory"


@needs_compiler
def test_what_a_step_of_alexnet_needs_is_what_a_plan_says(two_gpus, monkeypatch):
    asked = []

    def predicted(model, shape, batch_size, like):
        asked.append((model.devices, shape, batch_size, hasattr(like, "__cuda_array_interface__")))
        return {"cpu(0)": Need(3, 10**9, 0, 0, 0), "cpu(1)": Need(2, 10**9, 0, 0, 0)}

    monkeypatch.setattr(doctor, "alexnet", lambda devices: SimpleNamespace(devices=devices, pixels=224))
    monkeypatch.setattr(doctor, "predicted", predicted)
    assert "85.9 GB free, AlexNet at batch 64 takes about 1.0" in doctor.memory(0, 64, 1)
    assert "with one tower" in doctor.memory(1, 32, 2)
    image = (3, 224, 224)
    assert asked == [((cpu(0), cpu(0)), image, 64, True), ((cpu(0), cpu(1)), image, 32, True)]
    monkeypatch.setattr(cupy_stand_in.Device, "mem_info", property(lambda self: (10**9 + 2, 8 * 10**9)))
    with pytest.raises(doctor.Trouble):
        doctor.memory(0, 64, 1)


def test_a_batch_of_nothing_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "--batch-size", "0"])
    assert stopped.value.code == 2
    assert "--batch-size: 0 is out of range: give at least 1" in capsys.readouterr().err
