"""Whether CUDA can be used here, and if not, what is in the way and how to remove it.

The cheap questions come first: a missing driver or a missing CuPy is reported before
anything slow is imported.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from gpucnn.backend.cache_directory import contents
from gpucnn.backend.problem import Problem

_OLDEST_CUPY = 14
_OLDEST_GPU = 70  # Volta: the first with independent thread scheduling, which warp shuffles rely on
_INSUFFICIENT_DRIVER, _NO_DEVICE = 35, 100  # cudaErrorInsufficientDriver, cudaErrorNoDevice
_FLAVOURS = ("cupy-cuda", "cupy-rocm")  # cupy-cuda12x; a CuPy built from its source is "cupy"
_NO_DRIVER = (
    "install NVIDIA's driver (in a container: start it with --gpus all), "
    "or use --device cpu or --device sim"
)


def cuda_problem(index: int = 0) -> Problem | None:
    """The problem that keeps the GPU of this number from being used, or None.

    It imports CuPy (0.1 s to 0.5 s) only if a driver and one CuPy that is new enough are there,
    and it makes no context on the GPU.
    """
    return next(cuda_problems(index), None)


def cuda_problems(index: int = 0) -> Iterator[Problem]:
    """All such problems, but those that another one hides."""
    if (driver := _driver_version()) is None:
        yield Problem("there is no NVIDIA driver", _NO_DRIVER)
    if problem := _cupy_problem(driver or 0):
        yield problem
        return
    try:
        runtime, nvrtc = _import_cuda()
    except Exception as error:  # a broken installation fails in ways of its own
        yield Problem(f"CuPy cannot be imported: {_first_line(error)}", _replace_cupy(driver or 0))
        return
    problem = _device_problem(runtime, index, driver) if driver else None
    if problem:
        yield problem
    if compiler_problem := _compiler_problem(runtime, nvrtc):
        yield compiler_problem
    elif driver and not problem and (problem := _capability_problem(runtime, nvrtc, index)):
        yield problem


def cuda_facts() -> dict[str, str]:
    """The parts of CUDA on this machine, with their versions; it never raises.

    The keys are driver, cupy, runtime, nvrtc, headers, a gpu:N for each GPU, and cache. Parts that
    cannot be asked without CuPy are left out where it is missing.
    """
    driver = _driver_version()
    packages = _cupy_packages()
    facts = {
        "driver": "none" if driver is None else f"for CUDA {_version(driver)}",
        "cupy": ", ".join(f"{name} {version}" for name, version in packages.items()) or "none",
    }
    if _cupy_problem(driver or 0) is None:
        try:
            runtime, nvrtc = _import_cuda()
        except Exception as error:
            facts["cupy"] += f", which cannot be imported: {_first_line(error)}"
        else:
            facts["runtime"] = f"CUDA {_version(runtime.runtimeGetVersion())}"
            facts["nvrtc"] = _nvrtc_version(nvrtc) or "none"
            facts["headers"] = _headers() or "none"
            if driver is not None:
                facts |= _gpus(runtime)
    cache = os.environ.get("CUPY_CACHE_DIR", os.path.expanduser("~/.cupy/kernel_cache"))
    facts["cache"] = contents(Path(cache))
    return facts


# ---- one question each ---------------------------------------------------------------------


def _cupy_problem(driver: int) -> Problem | None:
    """A problem of the installed packages, found without importing them."""
    packages = _cupy_packages()
    if importlib.util.find_spec("cupy") is None:
        return Problem("CuPy is not installed", _install(driver))
    if len(packages) > 1:
        names = " and ".join(packages)
        cause = f"{names} are installed together and break each other"
        return Problem(cause, _replace_cupy(driver))
    for name, version in packages.items():
        major = version.partition(".")[0]
        if major.isdecimal() and int(major) < _OLDEST_CUPY:
            return Problem(
                f"{name} {version} is too old: gpucnn needs {_OLDEST_CUPY} or newer",
                f'pip install --upgrade "{name}>={_OLDEST_CUPY}"',
            )
    return None


def _device_problem(runtime: Any, index: int, driver: int) -> Problem | None:
    try:
        count = runtime.getDeviceCount()
        names = [_gpu_name(runtime, i) for i in range(count)]
    except runtime.CUDARuntimeError as error:
        if error.status == _INSUFFICIENT_DRIVER:
            needed = runtime.runtimeGetVersion()
            return Problem(
                f"the NVIDIA driver is too old: it is for CUDA {_version(driver)}, "
                f"CuPy was built for CUDA {_version(needed)}",
                f"install a driver for CUDA {_version(needed)}"
                + (f", or: {_replace_cupy(driver)}" if needed >= 13000 > driver >= 12000 else ""),
            )
        if error.status != _NO_DEVICE:
            return Problem(
                f"the NVIDIA driver answers: {_first_line(error)}",
                "see whether nvidia-smi works; restart the machine after a driver's update",
            )
        names = []
    if not names:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        return Problem(
            "there is a driver but no GPU"
            + ("" if hidden is None else f"; CUDA_VISIBLE_DEVICES is {hidden!r}"),
            "see whether nvidia-smi lists a GPU (in a container: start it with --gpus all)"
            + ("" if hidden is None else "; unset CUDA_VISIBLE_DEVICES"),
        )
    if index >= len(names):
        known = ", ".join(f"cuda:{i} ({name})" for i, name in enumerate(names))
        return Problem(f"there is no GPU number {index}", f"choose one of {known}")
    return None


def _compiler_problem(runtime: Any, nvrtc: Any) -> Problem | None:
    """NVRTC and the headers: without them no kernel is compiled."""
    fix = _install(runtime.runtimeGetVersion())
    if _nvrtc_version(nvrtc) is None:
        return Problem("NVRTC, which compiles the kernels, is not installed", fix)
    if _headers() is None:
        return Problem("the CUDA headers, which CuPy compiles with, are not installed", fix)
    return None


def _capability_problem(runtime: Any, nvrtc: Any, index: int) -> Problem | None:
    capability, name = _capability(runtime, index), _gpu_name(runtime, index)
    shown = f"{name} has compute capability {capability // 10}.{capability % 10}"
    if capability < _OLDEST_GPU:
        return Problem(
            f"{shown}; the kernels need {_OLDEST_GPU // 10}.0 or higher",
            "use a newer GPU, or --device cpu",
        )
    # One that is newer than NVRTC is no problem: code for the newest that NVRTC knows runs there.
    oldest = min(nvrtc.getSupportedArchs())
    if capability < oldest:
        return Problem(
            f"{shown}; NVRTC {_nvrtc_version(nvrtc)} compiles for {oldest // 10}.{oldest % 10} "
            "and higher",
            _replace_cupy(12000),
        )
    return None


# ---- facts ---------------------------------------------------------------------------------


def _driver_version() -> int | None:
    """The CUDA version that the driver is for, 12090 for 12.9; None where there is no driver."""
    version = ctypes.c_int()
    try:
        status = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):  # not there; a stub
        return None
    return version.value if status == 0 and version.value else None


def _cupy_packages() -> dict[str, str]:
    """The installed distributions of CuPy, name -> version. More than one is one too many."""
    names = (d.metadata["Name"] or "" for d in metadata.distributions())
    found = {name for name in names if name == "cupy" or name.startswith(_FLAVOURS)}
    return {name: metadata.version(name) for name in sorted(found)}


def _import_cuda() -> tuple[Any, Any]:
    """CuPy's bindings of the runtime and of NVRTC."""
    with warnings.catch_warnings():  # CuPy warns of some of what is reported here in better order
        warnings.simplefilter("ignore")
        from cupy.cuda import nvrtc, runtime
    return runtime, nvrtc


def _nvrtc_version(nvrtc: Any) -> str | None:
    try:
        return ".".join(map(str, nvrtc.getVersion()))
    except Exception:  # the library is opened by the first call; what that raises is not public
        return None


def _headers() -> str | None:
    """The folder of the CUDA headers, found as CuPy finds it."""
    try:
        from cuda import pathfinder

        return pathfinder.find_nvidia_header_directory("cudart")
    except Exception:
        return None


def _capability(runtime: Any, index: int) -> int:
    """90 for compute capability 9.0."""
    properties = runtime.getDeviceProperties(index)
    return 10 * properties["major"] + properties["minor"]


def _gpu_name(runtime: Any, index: int) -> str:
    return runtime.getDeviceProperties(index)["name"].decode()


def _gpus(runtime: Any) -> dict[str, str]:
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError:
        return {}
    return {f"gpu:{index}": _gpu(runtime, index) for index in range(count)}


def _gpu(runtime: Any, index: int) -> str:
    try:
        before = runtime.getDevice()
        try:
            runtime.setDevice(index)
            free, total = runtime.memGetInfo()
        finally:
            runtime.setDevice(before)
        capability = _capability(runtime, index)
        return (
            f"{_gpu_name(runtime, index)}, compute capability {capability // 10}."
            f"{capability % 10}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        )
    except runtime.CUDARuntimeError as error:
        return f"cannot be used: {_first_line(error)}"


# ---- words ---------------------------------------------------------------------------------


def _install(version: int) -> str:
    """The line that installs all that CUDA needs; version: of the driver, or of the runtime."""
    return f'pip install "gpucnn[{"cuda13" if version >= 13000 else "cuda12"}]"'


def _replace_cupy(version: int) -> str:
    """The same where there is a CuPy that must go first."""
    return f"pip uninstall -y {' '.join(_cupy_packages()) or 'cupy'} && {_install(version)}"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
