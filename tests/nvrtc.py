"""NVIDIA's compiler for kernels, which needs no driver."""

import os

import pytest

try:
    from cuda.bindings import nvrtc

    nvrtc.nvrtcVersion()
    missing = ""
except (ImportError, RuntimeError) as error:
    nvrtc, missing = None, f"no NVRTC: {error}"
    if os.environ.get("CI"):
        raise RuntimeError(f"{missing}: where every proof must run, the kernels must compile") from error

needs_nvrtc = pytest.mark.skipif(nvrtc is None, reason=missing)
ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100")
compiled = set()  # (file, code, architecture)


def compiles(file, code, options, architecture):
    """Raise AssertionError, which shows what the compiler said, unless it compiles without a word."""
    flags = [*options, f"--gpu-architecture={architecture}"]
    program = done(nvrtc.nvrtcCreateProgram(code.encode(), f"{file}.cu".encode(), 0, [], []))
    status, = nvrtc.nvrtcCompileProgram(program, len(flags), [flag.encode() for flag in flags])
    text = bytearray(done(nvrtc.nvrtcGetProgramLogSize(program)))
    done(nvrtc.nvrtcGetProgramLog(program, text))
    said = text.decode().strip("\0\n ")
    assert not said and status == nvrtc.nvrtcResult.NVRTC_SUCCESS, f"{file}.cu for {architecture}:\n{said}"
    assert done(nvrtc.nvrtcGetCUBINSize(program)) > 0
    done(nvrtc.nvrtcDestroyProgram(program))
    compiled.add((file, code, architecture))


def done(result):
    status, *values = result
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, status
    return values[0] if values else None
