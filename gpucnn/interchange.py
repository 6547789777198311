"""Arrays of other libraries (PyTorch, JAX, Numba, ...) as ours, and ours as theirs, without a copy.

    y = ops.conv2d_forward(x, w, padding="same")  # x and w are Tensors of PyTorch
    y = interchange.like(y, x)                    # and so is y

An array comes in by DLPack (https://dmlc.github.io/dlpack), `__cuda_array_interface__` or
`__array_interface__`, and is then a NumPy or CuPy array on the same memory. CuPy makes its current
stream wait for the work of the other library's stream.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from gpucnn import backend as backends
from gpucnn.backend.contract import Array
from gpucnn.errors import DtypeError, GpucnnError

__all__ = ["like", "native"]

# dlpack.h, DLDeviceType. Memory of the first kind is the host's, of the second a GPU's.
_HOST = {1: "the CPU", 3: "the CPU, pinned"}
_CUDA = {2: "CUDA", 13: "CUDA, managed"}


def native(value: Any) -> Any:
    """The NumPy or CuPy array on the memory of another library's array; other values as they are.

    Subclasses of NumPy's array, such as masked arrays, follow rules of their own and stay what they
    are. Writing to the result writes to the given array; it is read-only if that is.

    Raises:
        DeviceError: it lies on a GPU, and CuPy cannot use that; the error says what to install.
        DtypeError: it cannot be taken over: its dtype, its layout or its device.
    """
    if isinstance(value, (np.ndarray, np.generic)) or backends.device_of(value) is not None:
        return value
    kind = type(value)  # not the value: a class has the attributes of its objects as well
    if hasattr(kind, "__dlpack__") and hasattr(kind, "__dlpack_device__"):
        return _taken_over(value, _from_dlpack)
    if hasattr(value, "__cuda_array_interface__"):
        return _taken_over(value, _from_cuda_interface)
    if hasattr(value, "__array_interface__") and not isinstance(value, type):
        return _taken_over(value, np.asarray)
    return value


def like(array: Array, other: Any) -> Any:
    """An array of ours as an array of the library of `other`, on the same memory.

    Negative strides, as of x[::-1], are copied: DLPack allows them, and PyTorch ends the process.

    Args:
        array: a NumPy or CuPy array, on the device of `other`; of a Tensor give `.data`.
        other: an array of a library that takes arrays by `from_dlpack`, such as PyTorch or JAX; or
            one of ours, then `array` is returned as it is.

    Raises:
        DtypeError: `array` is none of ours, or that library does not take it.
    """
    backends.of(array)  # raises if it is none
    if isinstance(array, np.generic):
        array = np.asarray(array)
    if isinstance(other, (np.ndarray, np.generic)) or backends.device_of(other) is not None:
        backends.of(array, other)
        return array
    from_dlpack = getattr(_library(other), "from_dlpack", None)
    if from_dlpack is None:
        raise DtypeError(
            f"no array can be made like a {_name(other)}",
            cause="its library has no from_dlpack",
            fix="give an array of PyTorch, JAX, NumPy or CuPy",
        )
    if min(array.strides, default=0) < 0:
        array = array.copy()
    try:
        return from_dlpack(array)
    except Exception as error:
        raise DtypeError(
            f"an array of {array.dtype} cannot be made like a {_name(other)}",
            cause=_first_line(error),
            fix="convert it, as with .astype(numpy.float32), or give a copy if it is read-only",
        ) from error


def _library(array: Any) -> Any:
    """The module with the array functions of an array's library."""
    if hasattr(array, "__array_namespace__"):  # the array API standard: JAX
        return array.__array_namespace__()
    return sys.modules.get(type(array).__module__.partition(".")[0])


def _taken_over(value: Any, take: Any) -> Array:
    try:
        if hasattr(value, "resolve_neg"):  # PyTorch's flag for "times -1", which DLPack drops
            value = value.resolve_neg()
        return take(value)
    except GpucnnError:
        raise
    except Exception as error:
        raise _refusal(value, error) from error


def _refusal(value: Any, error: Exception) -> DtypeError:
    needs_gradient = getattr(value, "requires_grad", False) is True
    return DtypeError(
        f"the memory of a {_name(value)} cannot be shared",
        cause=_first_line(error),
        fix="give x.detach(): gpucnn records its own gradients, in a gpucnn.Tensor"
        if needs_gradient
        else "convert it to a dense float32 array on the CPU or on a CUDA device",
    )


def _from_dlpack(value: Any) -> Array:
    kind, index = value.__dlpack_device__()
    if int(kind) in _HOST:
        return np.from_dlpack(value)
    if int(kind) in _CUDA:
        return _cupy(index).from_dlpack(value)
    raise DtypeError(
        f"no backend computes on a {_name(value)} on device {int(kind)} of DLPack",
        cause=f"there are backends for {', '.join((_HOST | _CUDA).values())}",
        fix="copy it to the CPU first, as in x.cpu()",
    )


def _from_cuda_interface(value: Any) -> Array:
    # The interface does not name the device; CuPy asks the driver for that of the pointer.
    return _cupy(0).asarray(value)


def _cupy(index: int) -> Any:
    return backends.get(f"cuda:{index}").xp  # or a DeviceError, which says what to install


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _name(value: Any) -> str:
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
