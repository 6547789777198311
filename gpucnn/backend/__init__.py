"""The backends: `get` one by the name of a device, or the one `of` some arrays."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np

from gpucnn.backend.contract import Backend
from gpucnn.backend.cpu.arrays import is_plain
from gpucnn.backend.cpu.backend import CpuBackend
from gpucnn.backend.cuda.diagnosis import cuda_problem
from gpucnn.backend.numba.diagnosis import numba_problem
from gpucnn.errors import DeviceError, DtypeError, UsageError, expect, similar

__all__ = ["Backend", "choose", "device_of", "get", "of"]


def get(device: str = "cpu") -> Backend:
    """The backend of a device: "cpu", "cuda", "cuda:1", "sim" or "auto".

    Raises:
        DeviceError: the device cannot be used here; the error says why and what to do.
        UsageError: no such device.
    """
    expect(device, str, "the device", 'give its name, such as "cpu" or "cuda:1"')
    if device == "auto":
        return choose()[0]
    if device == "cpu":
        return _cpu()
    if device == "sim":
        return _sim()
    if cuda := re.fullmatch(r"cuda(?::(\d+))?", device):
        return _cuda(int(cuda[1] or 0))
    close = similar(("cpu", "cuda", "sim", "auto"), device)
    raise UsageError(
        f"unknown device {device!r}",
        cause="it is none of cpu, cuda, cuda:N, sim, auto",
        fix=f"did you mean --device {close}?" if close else "use --device auto",
    )


def choose() -> tuple[Backend, str]:
    """The backend that "auto" stands for, and the reason, to be shown to the user."""
    problem = cuda_problem()
    if problem is None:
        return _cuda(0), "CUDA can be used"
    return _cpu(), f"no CUDA: {problem.cause}"


def of(*arrays: Any) -> Backend:
    """The backend on which all of `arrays` lie; None is passed over.

    A number of NumPy's goes with the arrays of any device, as it does in CuPy.

    Raises:
        DtypeError: an argument is no array, or they lie on different devices.
    """
    given = [array for array in arrays if array is not None]
    if given and all(map(is_plain, given)):
        return _cpu()
    given = [array for array in given if not isinstance(array, np.generic)]
    devices = {device_of(array) for array in given}
    if len(devices) == 1 and (device := devices.pop()) is not None:
        return get(device)
    if None in devices or not devices:
        raise _no_array([a for a in given if device_of(a) is None])
    raise DtypeError(
        f"no backend computes on arrays of {' and '.join(sorted(map(str, devices)))} at once",
        cause="all arrays of a call must lie on one device",
        fix="convert them with the asarray of one backend: gpucnn.backend.get(device).asarray",
    )


def _no_array(others: list[Any]) -> DtypeError:
    """The error for arguments that are no arrays, or for none at all."""
    if not others:
        return DtypeError("no backend computes on no array at all", fix="give an array")
    kind = type(others[0])
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    fix = "give numpy.asarray(x)"
    if hasattr(others[0], "numpy"):
        fix = "give its array: x.numpy()"
        if kind.__module__.partition(".")[0] == "gpucnn":  # a Tensor
            fix = "give its array, x.data; or use gpucnn.functions, which computes on Tensors"
    return DtypeError(f"no backend computes on a {name}", cause="it is not an array", fix=fix)


def device_of(array: Any) -> str | None:
    """The device of an array, told by the name of its type; None for other objects."""
    module = type(array).__module__
    if is_plain(array):
        return "cpu"
    if module.partition(".")[0] == "cupy":
        return f"cuda:{array.device.id}"
    return "sim" if module == "gpucnn.backend.simulator.arrays" else None


@cache
def _cpu() -> Backend:
    if numba_problem() is not None:
        return CpuBackend()
    from gpucnn.backend.numba.backend import CompiledBackend

    return CompiledBackend()


@cache
def _cuda(index: int) -> Backend:
    if problem := cuda_problem(index):
        raise DeviceError(
            f"device cuda:{index} cannot be used", cause=problem.cause, fix=problem.fix
        )
    import cupy

    from gpucnn.backend.cuda.backend import CudaBackend
    from gpucnn.backend.cuda.cupy_launcher import CupyLauncher

    return CudaBackend(f"cuda:{index}", cupy, CupyLauncher(index))


@cache
def _sim() -> Backend:
    from gpucnn.backend.cuda.backend import CudaBackend
    from gpucnn.backend.simulator import SimulatorLauncher, xp

    return CudaBackend("sim", xp, SimulatorLauncher())
