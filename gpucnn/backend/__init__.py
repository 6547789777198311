"""Where arrays are computed on: `get` a backend by name, or the one `of` some arrays."""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from typing import Any

from gpucnn.backend.base import Backend
from gpucnn.backend.cpu import CpuBackend, is_plain
from gpucnn.errors import DeviceError, DtypeError, UsageError

__all__ = ["Backend", "choose", "get", "of"]

_NO_CUDA = "this version of gpucnn has no CUDA backend"


@lru_cache(maxsize=1)
def _cpu() -> CpuBackend:
    return CpuBackend()


def get(device: str = "cpu") -> Backend:
    """The backend of a device: "cpu", "cuda", "cuda:1", "sim" or "auto".

    Raises:
        DeviceError: the device cannot be used here; the error says why and what to do.
        UsageError: no such device.
    """
    if device == "auto":
        return choose()[0]
    if device == "cpu":
        return _cpu()
    if re.fullmatch(r"cuda(:\d+)?", device):
        cause = f"{_NO_CUDA}; besides, {why}" if (why := _missing_for_cuda()) else _NO_CUDA
        raise DeviceError(f"device {device} cannot be used", cause=cause, fix="use --device cpu")
    if device == "sim":
        cause = f"{_NO_CUDA} whose kernels could be simulated"
        raise DeviceError("device sim cannot be used", cause=cause, fix="use --device cpu")
    raise UsageError(
        f"unknown device {device!r}", cause="it is none of cpu, cuda, cuda:N, sim, auto",
        fix="use --device auto",
    )  # fmt: skip


def choose() -> tuple[Backend, str]:
    """The backend that "auto" stands for, and the reason, to be shown to the user."""
    return _cpu(), _NO_CUDA


def of(*arrays: Any) -> Backend:
    """The backend on which all of `arrays` lie; None is passed over.

    Raises:
        DtypeError: an argument is no array, or they lie on different devices.
        DeviceError: they are CuPy arrays, which this version cannot compute on.
    """
    given = [array for array in arrays if array is not None]
    if given and all(map(is_plain, given)):
        return _cpu()
    modules = {type(array).__module__.partition(".")[0] for array in given}
    if modules == {"cupy"}:
        raise DeviceError(
            "CuPy arrays cannot be computed on", cause=_NO_CUDA, fix="convert with cupy.asnumpy"
        )
    types = ", ".join(sorted({f"{type(a).__module__}.{type(a).__qualname__}" for a in given}))
    raise DtypeError(
        f"no backend computes on {types or 'no array at all'}",
        cause="arguments must all be NumPy arrays, or all CuPy arrays",
        fix="convert with numpy.asarray",
    )


def _missing_for_cuda() -> str | None:
    """What this machine lacks for CUDA, beside a version of gpucnn that has it."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    import cupy

    return None if cupy.is_available() else "CuPy finds no NVIDIA driver or no GPU"
